/* Under valgrind: keys and plaintexts are undefined memory, so that every branch and every address that
 * depends on them is reported. Ciphertexts and tags are declared public where the interface makes them so.
 * With the argument "leak" the program does depend on a secret, to show that the method notices. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <valgrind/memcheck.h>

#include "crypto/sm4/sm4.h"

#define N 1200

static void secret(const void *p, size_t n)
{
    VALGRIND_MAKE_MEM_UNDEFINED(p, n);
}
static void public(const void *p, size_t n)
{
    VALGRIND_MAKE_MEM_DEFINED(p, n);
}

static int failures;

static void expect(fn_err got, fn_err want, const char *what)
{
    if (got == want) return;
    fprintf(stderr, "%s: %d instead of %d\n", what, got, want);
    failures++;
}

/* valgrind follows definedness: what depends on the key must have stayed undefined, or the run proved
 * nothing. */
static void expect_tainted(const void *p, size_t n, const char *what)
{
    uint8_t bits[1024];
    const uint8_t *start = p;
    if (n > sizeof bits) n = sizeof bits;
    if (!RUNNING_ON_VALGRIND) return;
    (void)VALGRIND_GET_VBITS(start, bits, n);
    for (size_t i = 0; i < n; i++)
        if (bits[i]) return;
    fprintf(stderr, "%s does not depend on the secret\n", what);
    failures++;
}

static uint8_t k[64][16], text[N], out[N], iv[16], mac[16];
static struct fn_sm4_key key, key2, keys[64];

static void make_keys(void)
{
    struct fn_sm4_key *pointers[64];
    secret(k, sizeof k);
    fn_sm4_key_init(&key, k[0]);
    fn_sm4_key_init(&key2, k[1]);
    for (size_t i = 0; i < 64; i++) pointers[i] = &keys[i];
    fn_sm4_key_init_batch(64, pointers, (const uint8_t(*)[16])k);
    expect_tainted(&key, sizeof key, "round keys");
    expect_tainted(&keys[63], sizeof keys[63], "round keys of a batch");
}

static void modes(size_t n)
{
    size_t whole = n / 16 * 16;
    secret(text, sizeof text);
    expect(fn_sm4_ecb_encrypt(&key, text, out, whole), FN_OK, "ECB");
    if (whole) expect_tainted(out, 1, "ECB");
    expect(fn_sm4_ecb_decrypt(&key, text, out, whole), FN_OK, "ECB");
    expect(fn_sm4_cbc_encrypt(&key, iv, text, out, whole), FN_OK, "CBC");
    expect(fn_sm4_cbc_decrypt(&key, iv, text, out, whole), FN_OK, "CBC");
    fn_sm4_cfb_encrypt(&key, iv, text, out, n);
    fn_sm4_cfb_decrypt(&key, iv, text, out, n);
    fn_sm4_ofb_crypt(&key, iv, text, out, n);
    fn_sm4_ctr_crypt(&key, iv, text, out, n);
    expect(fn_sm4_cbc_mac(&key, iv, text, whole), FN_OK, "CBC-MAC");
    fn_sm4_cmac(&key, text, n, mac);
    expect_tainted(mac, sizeof mac, "CMAC");
    for (int kind = 0; n >= 16 && kind < 2; kind++) {
        enum fn_sm4_xts xts = kind ? FN_SM4_XTS_IEEE : FN_SM4_XTS_GB;
        expect(fn_sm4_xts_encrypt(&key, &key2, xts, iv, text, out, n), FN_OK, "XTS");
        expect(fn_sm4_xts_decrypt(&key, &key2, xts, iv, text, out, n), FN_OK, "XTS");
    }
}

static void cbc_batch(bool one_key)
{
    static uint8_t ivs[50][16];
    struct fn_sm4_cbc_job jobs[50];
    for (size_t i = 0; i < 50; i++)
        jobs[i] = (struct fn_sm4_cbc_job){one_key ? &key : &keys[i], ivs[i], text, out + 16 * i, i % 5 * 16};
    /* outputs overlap from job to job, which is harmless here: only the flow of data counts */
    expect(fn_sm4_cbc_encrypt_batch(50, jobs), FN_OK, "CBC batch");
}

static uint8_t nonce[13], aad[29], tags[64][16], cipher[64][N];
static struct fn_gcm_key gcm_keys[64];

static void gcm(size_t count, size_t n, bool one_key)
{
    struct fn_gcm_job jobs[64];
    secret(text, sizeof text);
    secret(aad, sizeof aad);
    for (size_t i = 0; i < count; i++)
        jobs[i] = (struct fn_gcm_job){&gcm_keys[one_key ? 0 : i],
                                      fn_bytes(nonce, i % 2 ? 12 : 13),
                                      fn_bytes(aad, i % 30),
                                      text,
                                      cipher[i],
                                      n,
                                      tags[i],
                                      16,
                                      FN_OK};
    fn_gcm_encrypt_batch(count, jobs);
    for (size_t i = 0; i < count; i++) {
        expect(jobs[i].result, FN_OK, "GCM");
        expect_tainted(tags[i], 16, "GCM tag");
        public(cipher[i], n);
        public(tags[i], 16);
        jobs[i].in = cipher[i];
        jobs[i].out = cipher[i];
        if (i == 3) tags[i][0] ^= 1;
    }
    fn_gcm_decrypt_batch(count, jobs);
    for (size_t i = 0; i < count; i++) expect(jobs[i].result, i == 3 ? FN_E_TAG : FN_OK, "GCM decryption");
    struct fn_gcm g;
    uint8_t tag[16];
    expect(fn_gcm_start(&g, &gcm_keys[0], false, fn_bytes(nonce, 12), fn_bytes(aad, sizeof aad)), FN_OK,
           "GCM start");
    for (size_t at = 0; at < n; at += 100)
        expect(fn_gcm_update(&g, text + at, out + at, n - at < 100 ? n - at : 100), FN_OK, "GCM update");
    fn_gcm_finish(&g, tag);
    expect_tainted(tag, 16, "GCM tag of a stream");
}

static void ccm(size_t n)
{
    uint8_t tag[16];
    secret(text, sizeof text);
    secret(aad, sizeof aad);
    expect(fn_ccm_encrypt(&key, fn_bytes(nonce, 12), fn_bytes(aad, sizeof aad), text, out, n, tag, 16), FN_OK,
           "CCM");
    expect_tainted(tag, 16, "CCM tag");
    public(out, n);
    public(tag, 16);
    expect(fn_ccm_decrypt(&key, fn_bytes(nonce, 12), fn_bytes(aad, sizeof aad), out, out, n, tag, 16), FN_OK,
           "CCM");
    tag[15] ^= 1;
    expect(fn_ccm_decrypt(&key, fn_bytes(nonce, 12), fn_bytes(aad, sizeof aad), out, out, n, tag, 16),
           FN_E_TAG, "CCM");
}

int main(int argc, char **argv)
{
    static const size_t lengths[] = {0, 5, 16, 40, 512, 1000, N};
    make_keys();
    for (size_t i = 0; i < 64; i++) fn_gcm_key_init(&gcm_keys[i], k[i]);
    for (size_t i = 0; i < FN_COUNT(lengths); i++) {
        modes(lengths[i]);
        gcm(1, lengths[i], true);
        ccm(lengths[i]);
    }
    cbc_batch(true);
    cbc_batch(false);
    gcm(64, 70, true);
    gcm(64, 70, false);
    if (argc > 1 && strcmp(argv[1], "leak") == 0 && (key.rk[0] & 1)) puts("the first round key is odd");
    if (argc > 2 && strcmp(argv[1], "leak-address") == 0) printf("%d\n", argv[2][k[0][0] & 1]);
    return failures ? 1 : 0;
}
