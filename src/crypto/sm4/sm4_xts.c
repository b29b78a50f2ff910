/* XTS (GB/T 17964-2021 clause 10 and IEEE 1619-2018). C_j = E(K1, P_j ⊕ T_j) ⊕ T_j with T_0 = E(K2, tweak)
 * and T_(j+1) = x·T_j; the two standards number the bits of T_j in opposite order. */
#include "crypto/sm4/sm4_impl.h"

#define CHUNK_BYTES (16 * FN_SM4_CHUNK)
#define UNIT_MOST   ((size_t)16 << 20)

static inline uint64_t swap(uint64_t v)
{
    return __builtin_bswap64(v);
}

/* GB/T: the string is a big-endian number, x shifts right, x^128 comes back as E1 in the first byte. */
static void tweaks_gb(uint8_t *out, size_t n, uint8_t t[16])
{
    uint64_t high = fn_get_be64(t), low = fn_get_be64(t + 8);
    for (; n; n--, out += 16) {
        uint64_t lost = -(low & 1);
        fn_sm4_put128(out, high, low);
        low = low >> 1 | high << 63;
        high = high >> 1 ^ (lost & 0xE100000000000000);
    }
    fn_put_be64(t, high);
    fn_put_be64(t + 8, low);
}

/* IEEE: the string is a little-endian number, x shifts left, x^128 comes back as 87 in the first byte. */
static void tweaks_ieee(uint8_t *out, size_t n, uint8_t t[16])
{
    uint64_t low = swap(fn_get_be64(t)), high = swap(fn_get_be64(t + 8));
    for (; n; n--, out += 16) {
        uint64_t lost = -(high >> 63);
        fn_sm4_put128(out, swap(low), swap(high));
        high = high << 1 | low >> 63;
        low = low << 1 ^ (lost & 0x87);
    }
    fn_put_be64(t, swap(low));
    fn_put_be64(t + 8, swap(high));
}

struct xts {
    struct fn_sm4_lanes lanes;
    _Alignas(16) uint8_t tweaks[CHUNK_BYTES], work[CHUNK_BYTES];
    uint8_t t[16];
    enum fn_sm4_xts kind;
    const struct fn_sm4_key *key;
    bool decrypt;
};

/* The next n tweaks. */
static void tweaks(struct xts *x, uint8_t *out, size_t n)
{
    if (x->kind == FN_SM4_XTS_GB)
        tweaks_gb(out, n, x->t);
    else
        tweaks_ieee(out, n, x->t);
}

static void whole(struct xts *x, const uint8_t *in, uint8_t *out, size_t n)
{
    for (size_t now; n; n -= now, in += now, out += now) {
        now = n < CHUNK_BYTES ? n : CHUNK_BYTES;
        tweaks(x, x->tweaks, now / 16);
        fn_sm4_xor(x->work, in, x->tweaks, now);
        fn_sm4_ops->run(&x->lanes, x->work, x->work, now / 16);
        fn_sm4_xor(out, x->work, x->tweaks, now);
    }
}

static void single(struct xts *x, const uint8_t *tweak, const uint8_t *in, uint8_t *out)
{
    uint8_t work[16];
    fn_sm4_xor(work, in, tweak, 16);
    fn_sm4_ops->one(x->key, x->decrypt, work, work);
    fn_sm4_xor(out, work, tweak, 16);
}

/* The last whole block and the `rest` bytes after it (ciphertext stealing): what the first pass leaves over
 * completes the short block, and both change places. Decryption uses the two tweaks in the other order. */
static void steal(struct xts *x, const uint8_t *in, uint8_t *out, size_t rest)
{
    uint8_t t[2][16], first[16], second[16];
    tweaks(x, t[0], 2);
    single(x, t[x->decrypt], in, first);
    memcpy(second, in + 16, rest);
    memcpy(second + rest, first + rest, 16 - rest);
    memcpy(out + 16, first, rest);
    single(x, t[!x->decrypt], second, out);
    fn_wipe(t, sizeof t);
    fn_wipe(first, sizeof first);
    fn_wipe(second, sizeof second);
}

static fn_err crypt(const struct fn_sm4_key *key1, const struct fn_sm4_key *key2, enum fn_sm4_xts kind,
                    bool decrypt, const uint8_t tweak[16], const uint8_t *in, uint8_t *out, size_t n)
{
    if (kind != FN_SM4_XTS_GB && kind != FN_SM4_XTS_IEEE)
        return FN_FAIL(FN_E_ARGUMENT, "XTS kind %d", (int)kind);
    if (n < 16 || n > UNIT_MOST)
        return FN_FAIL(FN_E_CIPHER_LENGTH, "XTS data unit of %zu bytes, 16 to %zu allowed", n, UNIT_MOST);
    FN_SM4_UNSET struct xts x;
    x.kind = kind;
    x.key = key1;
    x.decrypt = decrypt;
    fn_sm4_one(key2, tweak, x.t);
    size_t rest = n % 16, most = rest ? n - rest - 16 : n;
    if (most) {
        fn_sm4_ops->load(&x.lanes, key1, decrypt);
        whole(&x, in, out, most);
    }
    if (rest) steal(&x, in + most, out + most, rest);
    fn_wipe(&x, sizeof x);
    return FN_OK;
}

fn_err fn_sm4_xts_encrypt(const struct fn_sm4_key *key1, const struct fn_sm4_key *key2, enum fn_sm4_xts kind,
                          const uint8_t tweak[16], const uint8_t *in, uint8_t *out, size_t n)
{
    FN_TRY(crypt(key1, key2, kind, false, tweak, in, out, n));
    return FN_OK;
}

fn_err fn_sm4_xts_decrypt(const struct fn_sm4_key *key1, const struct fn_sm4_key *key2, enum fn_sm4_xts kind,
                          const uint8_t tweak[16], const uint8_t *in, uint8_t *out, size_t n)
{
    FN_TRY(crypt(key1, key2, kind, true, tweak, in, out, n));
    return FN_OK;
}
