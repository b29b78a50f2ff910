/* CCM (GB/T 36624-2018 clause 9, NIST SP 800-38C): CBC-MAC over the plaintext, then CTR over plaintext and
 * MAC. */
#include "crypto/sm4/sm4_impl.h"

/* What CBC-MAC has taken in: `n` bytes of an unfinished block are already added to the sum. */
struct mac {
    const struct fn_sm4_key *key;
    uint8_t sum[16];
    size_t n;
};

static void mac_add(struct mac *m, const uint8_t *p, size_t n)
{
    for (size_t now; n; n -= now, p += now) {
        now = 16 - m->n < n ? 16 - m->n : n;
        fn_sm4_xor(m->sum + m->n, m->sum + m->n, p, now);
        m->n += now;
        if (m->n < 16) continue;
        fn_sm4_one(m->key, m->sum, m->sum);
        m->n = 0;
    }
}

static void mac_pad(struct mac *m)
{
    if (m->n) fn_sm4_one(m->key, m->sum, m->sum);
    m->n = 0;
}

static void mac_aad(struct mac *m, struct fn_bytes aad)
{
    uint8_t size[10];
    if (!aad.n) return;
    if (aad.n < 0xFF00) {
        fn_put_be16(size, (uint16_t)aad.n);
        mac_add(m, size, 2);
    } else if ((uint64_t)aad.n <= UINT32_MAX) {
        fn_put_be16(size, 0xFFFE);
        fn_put_be32(size + 2, (uint32_t)aad.n);
        mac_add(m, size, 6);
    } else {
        fn_put_be16(size, 0xFFFF);
        fn_put_be64(size + 2, aad.n);
        mac_add(m, size, 10);
    }
    mac_add(m, aad.p, aad.n);
    mac_pad(m);
}

static void mac_message(struct mac *m, const struct fn_sm4_key *key, struct fn_bytes nonce,
                        struct fn_bytes aad, const uint8_t *p, size_t n, size_t tag_size)
{
    size_t q = 15 - nonce.n;
    *m = (struct mac){.key = key};
    m->sum[0] = (uint8_t)((aad.n ? 0x40 : 0) | (tag_size - 2) / 2 << 3 | (q - 1));
    memcpy(m->sum + 1, nonce.p, nonce.n);
    for (size_t i = 0; i < q && i < 8; i++) m->sum[15 - i] = (uint8_t)((uint64_t)n >> 8 * i);
    fn_sm4_one(key, m->sum, m->sum);
    mac_aad(m, aad);
    mac_add(m, p, n);
    mac_pad(m);
}

static fn_err check(struct fn_bytes nonce, size_t n, size_t tag_size)
{
    if (nonce.n < 7 || nonce.n > 13)
        return FN_FAIL(FN_E_ARGUMENT, "CCM nonce of %zu bytes, 7 to 13 allowed", nonce.n);
    if (tag_size < 4 || tag_size > 16 || tag_size % 2)
        return FN_FAIL(FN_E_ARGUMENT, "CCM tag of %zu bytes, 4, 6 … 16 allowed", tag_size);
    size_t bits = 8 * (15 - nonce.n);
    if (bits < 64 && (uint64_t)n >> bits)
        return FN_FAIL(FN_E_TOO_LARGE, "%zu bytes do not fit the %zu-bit length field that the nonce leaves",
                       n, bits);
    return FN_OK;
}

/* Counter block 0 masks the tag, the text starts at 1. */
static void crypt(const struct fn_sm4_key *key, struct fn_bytes nonce, const uint8_t *in, uint8_t *out,
                  size_t n, uint8_t mask[16])
{
    uint8_t counter[16] = {(uint8_t)(14 - nonce.n)};
    memcpy(counter + 1, nonce.p, nonce.n);
    fn_sm4_one(key, counter, mask);
    counter[15] = 1;
    fn_sm4_ctr_crypt(key, counter, in, out, n);
}

fn_err fn_ccm_encrypt(const struct fn_sm4_key *key, struct fn_bytes nonce, struct fn_bytes aad,
                      const uint8_t *in, uint8_t *out, size_t n, uint8_t *tag, size_t tag_size)
{
    FN_TRY(check(nonce, n, tag_size));
    struct mac m;
    uint8_t mask[16];
    mac_message(&m, key, nonce, aad, in, n, tag_size);
    crypt(key, nonce, in, out, n, mask);
    fn_sm4_xor(tag, m.sum, mask, tag_size);
    fn_wipe(&m, sizeof m);
    fn_wipe(mask, sizeof mask);
    return FN_OK;
}

fn_err fn_ccm_decrypt(const struct fn_sm4_key *key, struct fn_bytes nonce, struct fn_bytes aad,
                      const uint8_t *in, uint8_t *out, size_t n, const uint8_t *tag, size_t tag_size)
{
    FN_TRY(check(nonce, n, tag_size));
    struct mac m;
    uint8_t mask[16], received[16];
    memcpy(received, tag, tag_size); /* the tag may lie where the text is written */
    crypt(key, nonce, in, out, n, mask);
    mac_message(&m, key, nonce, aad, out, n, tag_size);
    fn_sm4_xor(m.sum, m.sum, mask, tag_size);
    bool good = fn_equal_ct(m.sum, received, tag_size);
    FN_SM4_PUBLIC(good);
    fn_wipe(&m, sizeof m);
    fn_wipe(mask, sizeof mask);
    if (good) return FN_OK;
    if (n) fn_wipe(out, n);
    return FN_FAIL(FN_E_TAG, "CCM message of %zu bytes", n);
}
