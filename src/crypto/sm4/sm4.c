#include "crypto/sm4/sm4_impl.h"

const uint32_t fn_sm4_fk[4] = {0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC};

/* Byte j of word i is 7(4i + j) mod 256. */
#define CK(i)                                                                                                \
    ((uint32_t)((28 * (i)) & 0xFF) << 24 | (uint32_t)((28 * (i) + 7) & 0xFF) << 16 |                         \
     (uint32_t)((28 * (i) + 14) & 0xFF) << 8 | (uint32_t)((28 * (i) + 21) & 0xFF))
#define CK4(i) CK(i), CK((i) + 1), CK((i) + 2), CK((i) + 3)
const uint32_t fn_sm4_ck[32] = {CK4(0), CK4(4), CK4(8), CK4(12), CK4(16), CK4(20), CK4(24), CK4(28)};

void fn_sm4_key_init(struct fn_sm4_key *key, const uint8_t k[FN_SM4_KEY])
{
    fn_sm4_ops->schedule(1, &key, (const uint8_t(*)[FN_SM4_KEY])(const void *)k);
}

void fn_sm4_key_init_batch(size_t n, struct fn_sm4_key *const *keys, const uint8_t (*k)[FN_SM4_KEY])
{
    fn_sm4_ops->schedule(n, keys, k);
}

#define CHUNK_BYTES (16 * FN_SM4_CHUNK)

static fn_err whole_blocks(size_t n)
{
    if (n % 16) return FN_FAIL(FN_E_CIPHER_LENGTH, "%zu bytes, not a multiple of 16", n);
    return FN_OK;
}

/* Scratch of the parallel modes: wiped in one go when the call ends. */
struct scratch {
    struct fn_sm4_lanes lanes;
    _Alignas(16) uint8_t a[CHUNK_BYTES], b[CHUNK_BYTES];
};

static void ecb(const struct fn_sm4_key *key, bool decrypt, const uint8_t *in, uint8_t *out, size_t n)
{
    if (n == 16) {
        fn_sm4_ops->one(key, decrypt, in, out);
    } else if (n) {
        FN_SM4_UNSET struct fn_sm4_lanes lanes;
        fn_sm4_ops->load(&lanes, key, decrypt);
        fn_sm4_ops->run(&lanes, in, out, n / 16);
        fn_wipe(&lanes, sizeof lanes);
    }
}

fn_err fn_sm4_ecb_encrypt(const struct fn_sm4_key *key, const uint8_t *in, uint8_t *out, size_t n)
{
    FN_TRY(whole_blocks(n));
    ecb(key, false, in, out, n);
    return FN_OK;
}

fn_err fn_sm4_ecb_decrypt(const struct fn_sm4_key *key, const uint8_t *in, uint8_t *out, size_t n)
{
    FN_TRY(whole_blocks(n));
    ecb(key, true, in, out, n);
    return FN_OK;
}

fn_err fn_sm4_cbc_encrypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                          size_t n)
{
    FN_TRY(whole_blocks(n));
    for (; n; n -= 16, in += 16, out += 16) {
        fn_sm4_xor(iv, iv, in, 16);
        fn_sm4_one(key, iv, iv);
        memcpy(out, iv, 16);
    }
    return FN_OK;
}

/* CBC decryption and CFB decryption run the cipher over what is known beforehand, all blocks of a chunk
 * together: CBC: P_i = D(C_i) ⊕ C_(i−1); CFB: P_i = E(C_(i−1)) ⊕ C_i. */
fn_err fn_sm4_cbc_decrypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                          size_t n)
{
    FN_TRY(whole_blocks(n));
    if (!n) return FN_OK;
    FN_SM4_UNSET struct scratch s;
    uint8_t last[16];
    if (n > 16) fn_sm4_ops->load(&s.lanes, key, true);
    for (size_t now; n; n -= now, in += now, out += now) {
        now = n < CHUNK_BYTES ? n : CHUNK_BYTES;
        memcpy(last, in + now - 16, 16);
        memcpy(s.a, iv, 16);
        memcpy(s.a + 16, in, now - 16);
        if (now == 16)
            fn_sm4_ops->one(key, true, in, s.b);
        else
            fn_sm4_ops->run(&s.lanes, in, s.b, now / 16);
        fn_sm4_xor(out, s.b, s.a, now);
        memcpy(iv, last, 16);
    }
    fn_wipe(&s, sizeof s);
    return FN_OK;
}

void fn_sm4_cfb_encrypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                        size_t n)
{
    for (size_t now; n; n -= now, in += now, out += now) {
        now = n < 16 ? n : 16;
        fn_sm4_one(key, iv, iv);
        fn_sm4_xor(iv, iv, in, now);
        memcpy(out, iv, now);
    }
}

void fn_sm4_cfb_decrypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                        size_t n)
{
    if (!n) return;
    FN_SM4_UNSET struct scratch s;
    if (n > 16) fn_sm4_ops->load(&s.lanes, key, false);
    for (size_t now; n; n -= now, in += now, out += now) {
        now = n < CHUNK_BYTES ? n : CHUNK_BYTES;
        size_t blocks = (now + 15) / 16;
        memcpy(s.a, iv, 16);
        memcpy(s.a + 16, in, 16 * (blocks - 1));
        if (now % 16 == 0) memcpy(iv, in + now - 16, 16);
        if (blocks == 1)
            fn_sm4_one(key, s.a, s.b);
        else
            fn_sm4_ops->run(&s.lanes, s.a, s.b, blocks);
        fn_sm4_xor(out, in, s.b, now);
    }
    fn_wipe(&s, sizeof s);
}

void fn_sm4_ofb_crypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out, size_t n)
{
    for (size_t now; n; n -= now, in += now, out += now) {
        now = n < 16 ? n : 16;
        fn_sm4_one(key, iv, iv);
        fn_sm4_xor(out, in, iv, now);
    }
}

void fn_sm4_ctr_crypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out, size_t n)
{
    if (!n) return;
    FN_SM4_UNSET struct scratch s;
    if (n > 16) fn_sm4_ops->load(&s.lanes, key, false);
    for (size_t now; n; n -= now, in += now, out += now) {
        now = n < CHUNK_BYTES ? n : CHUNK_BYTES;
        size_t blocks = (now + 15) / 16;
        fn_sm4_counters(s.a, blocks, iv);
        if (blocks == 1)
            fn_sm4_one(key, s.a, s.b);
        else
            fn_sm4_ops->run(&s.lanes, s.a, s.b, blocks);
        fn_sm4_xor(out, in, s.b, now);
    }
    fn_wipe(&s, sizeof s);
}

fn_err fn_sm4_cbc_mac(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, size_t n)
{
    FN_TRY(whole_blocks(n));
    for (; n; n -= 16, in += 16) {
        fn_sm4_xor(iv, iv, in, 16);
        fn_sm4_one(key, iv, iv);
    }
    return FN_OK;
}

/* Doubling in GF(2^128), most significant bit first, modulo x^128 + x^7 + x^2 + x + 1. */
static void double_msb(uint8_t v[16])
{
    uint64_t high = fn_get_be64(v), low = fn_get_be64(v + 8);
    uint64_t carry = -(high >> 63);
    fn_put_be64(v, high << 1 | low >> 63);
    fn_put_be64(v + 8, low << 1 ^ (carry & 0x87));
}

/* CMAC (GB/T 15852.1-2020 algorithm 5): the last block is masked with 2·E(0), or when padded with 4·E(0). */
void fn_sm4_cmac(const struct fn_sm4_key *key, const uint8_t *in, size_t n, uint8_t out[16])
{
    uint8_t mask[16] = {0}, sum[16] = {0}, last[16] = {0};
    fn_sm4_one(key, mask, mask);
    double_msb(mask);
    for (; n > 16; n -= 16, in += 16) {
        fn_sm4_xor(sum, sum, in, 16);
        fn_sm4_one(key, sum, sum);
    }
    if (n) memcpy(last, in, n);
    if (n < 16) {
        last[n] = 0x80;
        double_msb(mask);
    }
    fn_sm4_xor(sum, sum, last, 16);
    fn_sm4_xor(sum, sum, mask, 16);
    fn_sm4_one(key, sum, out);
    fn_wipe(mask, sizeof mask);
    fn_wipe(sum, sizeof sum);
    fn_wipe(last, sizeof last);
}
