/* GCM and CCM: vectors of RFC 8998 and of our own records, every length against the reference, tampering,
 * batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "crypto/cpu.h"
#include "crypto/sm4/sm4.h"
#include "crypto/sm4/sm4_impl.h"
#include "sm4_reference.h"

#define MOST 300
#define SIZE 2200

static uint64_t random_state = 0xD1B54A32D192ED03;

static void fill(void *p, size_t n)
{
    uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        b[i] = (uint8_t)(random_state >> 32);
    }
}

static size_t below(size_t limit)
{
    uint32_t v;
    fill(&v, sizeof v);
    return v % limit;
}

static size_t unhex(uint8_t *out, const char *text)
{
    size_t n = 0;
    for (; text[0]; text += 2) {
        char pair[3] = {text[0], text[1], 0};
        out[n++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static void assert_hex(const uint8_t *p, size_t n, const char *hex)
{
    uint8_t want[SIZE];
    assert_int_equal(unhex(want, hex), n);
    assert_memory_equal(p, want, n);
}

struct vector {
    const char *key, *nonce, *aad, *plain, *cipher, *tag;
};

#define RFC_KEY   "0123456789ABCDEFFEDCBA9876543210"
#define RFC_NONCE "00001234567800000000ABCD"
#define RFC_AAD   "FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2"
#define RFC_PLAIN                                                                                            \
    "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCCDDDDDDDDDDDDDDDDEEEEEEEEEEEEEEEEFFFFFFFFFFFFFFFF"       \
    "EEEEEEEEEEEEEEEEAAAAAAAAAAAAAAAA"

/* RFC 8998 A.1. */
static const struct vector rfc_gcm = {
    RFC_KEY,
    RFC_NONCE,
    RFC_AAD,
    RFC_PLAIN,
    "17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735D82710CA5C22F0CCFA7CBF93D496AC15"
    "A56834CBCF98C397B4024A2691233B8D",
    "83DE3541E4C2B58177E065A9BF7B62EC"};
/* RFC 8998 A.2. */
static const struct vector rfc_ccm = {
    RFC_KEY,
    RFC_NONCE,
    RFC_AAD,
    RFC_PLAIN,
    "48AF93501FA62ADBCD414CCE6034D895DDA1BF8F132F042098661572E7483094FD12E518CE062C98ACEE28D95DF4416B"
    "ED31A2F04476C18BB40C84A74B97DC5B",
    "16842D4FA186F56AB33256971FA110F4"};
/* An application record of TLCP, ECDHE_SM4_GCM_SM3, client to server: sequence 1, type 23, version 0101,
 * "ping\n". */
static const struct vector tlcp_gcm = {"e9b929360ac0d214026ecb35972ebbf5",
                                       "376f23a90000000000000001",
                                       "00000000000000011701010005",
                                       "70696e670a",
                                       "081c4ef227",
                                       "f6cd9cfde8f98dc0644c08c4ef9af74d"};

static void gcm_vector(const struct vector *v)
{
    uint8_t k[16], nonce[16], aad[32], text[64], tag[16];
    struct fn_gcm_key key;
    unhex(k, v->key);
    size_t nonce_n = unhex(nonce, v->nonce), aad_n = unhex(aad, v->aad), n = unhex(text, v->plain);
    fn_gcm_key_init(&key, k);
    struct fn_gcm_job job = {&key, fn_bytes(nonce, nonce_n), fn_bytes(aad, aad_n), text, text, n, tag, 16, 0};
    assert_int_equal(fn_gcm_encrypt(&job), FN_OK);
    assert_hex(text, n, v->cipher);
    assert_hex(tag, 16, v->tag);
    assert_int_equal(fn_gcm_decrypt(&job), FN_OK);
    assert_hex(text, n, v->plain);
}

static void vectors(void **state)
{
    (void)state;
    gcm_vector(&rfc_gcm);
    gcm_vector(&tlcp_gcm);
    uint8_t k[16], nonce[16], aad[32], text[64], tag[16];
    struct fn_sm4_key key;
    unhex(k, rfc_ccm.key);
    fn_sm4_key_init(&key, k);
    struct fn_bytes nonce_view = fn_bytes(nonce, unhex(nonce, rfc_ccm.nonce));
    struct fn_bytes aad_view = fn_bytes(aad, unhex(aad, rfc_ccm.aad));
    size_t n = unhex(text, rfc_ccm.plain);
    assert_int_equal(fn_ccm_encrypt(&key, nonce_view, aad_view, text, text, n, tag, 16), FN_OK);
    assert_hex(text, n, rfc_ccm.cipher);
    assert_hex(tag, 16, rfc_ccm.tag);
    assert_int_equal(fn_ccm_decrypt(&key, nonce_view, aad_view, text, text, n, tag, 16), FN_OK);
    assert_hex(text, n, rfc_ccm.plain);
}

static const size_t tag_sizes[] = {4, 8, 12, 13, 14, 15, 16};

static void gcm_compare(size_t n, size_t aad_n, size_t nonce_n)
{
    uint8_t k[16], nonce[MOST], aad[MOST], plain[SIZE], want[SIZE], want_tag[16], got[SIZE], tag[17];
    struct fn_gcm_key key;
    fill(k, 16);
    fill(nonce, nonce_n);
    fill(aad, aad_n);
    fill(plain, n);
    struct ref_key ref = ref_expand(k);
    fn_gcm_key_init(&key, k);
    ref_gcm(&ref, nonce, nonce_n, aad, aad_n, plain, want, n, want_tag);
    size_t tag_size = tag_sizes[n % FN_COUNT(tag_sizes)];
    memset(got, 0xA5, sizeof got);
    memset(tag, 0xA5, sizeof tag);
    struct fn_gcm_job job = {
        &key, fn_bytes(nonce, nonce_n), fn_bytes(aad, aad_n), plain, got, n, tag, tag_size, 0};
    assert_int_equal(fn_gcm_encrypt(&job), FN_OK);
    assert_memory_equal(got, want, n);
    assert_int_equal(got[n], 0xA5);
    assert_memory_equal(tag, want_tag, tag_size);
    assert_int_equal(tag[tag_size], 0xA5);
    job.in = got; /* back, in place */
    assert_int_equal(fn_gcm_decrypt(&job), FN_OK);
    assert_memory_equal(got, plain, n);
    assert_int_equal(fn_gcm_encrypt(&job), FN_OK);
    assert_memory_equal(got, want, n);
}

static void gcm_every_length(void **state)
{
    (void)state;
    for (size_t n = 0; n <= MOST; n++) gcm_compare(n, n * 7 % 45, 12);
    for (size_t n = 0; n <= MOST; n++) gcm_compare(n * 5 % 37, n, 12);
    for (size_t nonce_n = 1; nonce_n <= 140; nonce_n++) gcm_compare(nonce_n % 50, nonce_n % 20, nonce_n);
    for (size_t n = 470; n <= 2100; n += 23) gcm_compare(n, 13, 12);
}

/* Counters that start just below 2^32 wrap on 32 bits alone. */
static void gcm_counter_wrap(void **state)
{
    (void)state;
    /* With H known, the 16-byte nonce that leads to a chosen J0: J0 = (N·H ⊕ L)·H, L = lengths, so
     * N = (J0·H⁻¹ ⊕ L)·H⁻¹ and H⁻¹ = H^(2^128 − 2). */
    uint8_t k[16], h[16] = {0}, inverse[16] = {0x80}, square[16], plain[100], want[100], got[100],
                   want_tag[16], tag[16];
    fill(k, 16);
    fill(plain, sizeof plain);
    struct ref_key ref = ref_expand(k);
    ref_block(&ref, false, h, h);
    memcpy(square, h, 16);
    for (int i = 1; i < 128; i++) {
        uint8_t t[16];
        memcpy(t, square, 16);
        ref_gf_multiply(square, t);
        ref_gf_multiply(inverse, square);
    }
    struct fn_gcm_key key;
    fn_gcm_key_init(&key, k);
    for (uint32_t back = 0; back < 8; back++) {
        uint8_t nonce[16], lengths[16] = {0}, again[16] = {0};
        lengths[15] = 128;
        fill(nonce, 12);
        memset(nonce + 12, 0xFF, 4);
        nonce[15] = (uint8_t)(0xFF - back);
        uint8_t j0[16];
        memcpy(j0, nonce, 16);
        ref_gf_multiply(nonce, inverse);
        ref_xor(nonce, nonce, lengths, 16);
        ref_gf_multiply(nonce, inverse);
        ref_ghash(h, again, nonce, 16);
        ref_ghash_lengths(h, again, 0, 16);
        assert_memory_equal(again, j0, 16); /* the nonce does lead there */
        ref_gcm(&ref, nonce, 16, NULL, 0, plain, want, sizeof plain, want_tag);
        struct fn_gcm_job job = {
            &key, fn_bytes(nonce, 16), fn_bytes(NULL, 0), plain, got, sizeof plain, tag, 16, 0};
        assert_int_equal(fn_gcm_encrypt(&job), FN_OK);
        assert_memory_equal(got, want, sizeof plain);
        assert_memory_equal(tag, want_tag, 16);
        struct fn_gcm g;
        assert_int_equal(fn_gcm_start(&g, &key, false, fn_bytes(nonce, 16), fn_bytes(NULL, 0)), FN_OK);
        for (size_t i = 0; i < sizeof plain; i++)
            assert_int_equal(fn_gcm_update(&g, plain + i, got + i, 1), FN_OK);
        fn_gcm_finish(&g, tag);
        assert_memory_equal(got, want, sizeof plain);
        assert_memory_equal(tag, want_tag, 16);
    }
}

static void gcm_streaming(void **state)
{
    (void)state;
    enum { N = 700 };
    uint8_t k[16], nonce[12], aad[33], plain[N], cipher[N], got[N], tag[16], want_tag[16];
    struct fn_gcm_key key;
    fill(k, 16);
    fill(nonce, 12);
    fill(aad, sizeof aad);
    fill(plain, N);
    struct ref_key ref = ref_expand(k);
    fn_gcm_key_init(&key, k);
    for (size_t n = 0; n <= N; n = n < 70 ? n + 1 : n + 157) {
        ref_gcm(&ref, nonce, 12, aad, sizeof aad, plain, cipher, n, want_tag);
        for (size_t cut = 0; cut <= n; cut++)
            for (int decrypt = 0; decrypt < 2; decrypt++) {
                const uint8_t *in = decrypt ? cipher : plain, *want = decrypt ? plain : cipher;
                size_t second = cut + (n - cut) / 3;
                struct fn_gcm g;
                assert_int_equal(
                    fn_gcm_start(&g, &key, decrypt, fn_bytes(nonce, 12), fn_bytes(aad, sizeof aad)), FN_OK);
                memcpy(got, in, n); /* in place */
                assert_int_equal(fn_gcm_update(&g, got, got, cut), FN_OK);
                assert_int_equal(fn_gcm_update(&g, got + cut, got + cut, second - cut), FN_OK);
                assert_int_equal(fn_gcm_update(&g, got + second, got + second, n - second), FN_OK);
                fn_gcm_finish(&g, tag);
                assert_memory_equal(got, want, n);
                assert_memory_equal(tag, want_tag, 16);
            }
    }
}

/* Each bit of a short tag, each byte of everything else: refused, and nothing written. */
static void gcm_tampering(void **state)
{
    (void)state;
    enum { N = 83 };
    uint8_t k[16], nonce[12], aad[21], plain[N], cipher[N], out[N], untouched[N], tag[16];
    struct fn_gcm_key key;
    fill(k, 16);
    fill(nonce, 12);
    fill(aad, sizeof aad);
    fill(plain, N);
    memset(untouched, 0xA5, N);
    fn_gcm_key_init(&key, k);
    for (size_t t = 0; t < FN_COUNT(tag_sizes); t++) {
        struct fn_gcm_job job = {
            &key, fn_bytes(nonce, 12), fn_bytes(aad, sizeof aad), plain, cipher, N, tag, tag_sizes[t], 0};
        assert_int_equal(fn_gcm_encrypt(&job), FN_OK);
        job.in = cipher;
        job.out = out;
        struct {
            uint8_t *p;
            size_t n;
        } places[] = {{tag, tag_sizes[t]}, {cipher, N}, {aad, sizeof aad}, {nonce, 12}};
        for (size_t p = 0; p < FN_COUNT(places); p++)
            for (size_t i = 0; i < places[p].n; i++)
                for (int bit = 0; bit < 8; bit += p == 0 ? 1 : 5) {
                    memset(out, 0xA5, N);
                    places[p].p[i] ^= (uint8_t)(1 << bit);
                    assert_int_equal(fn_gcm_decrypt(&job), FN_E_TAG);
                    assert_int_equal(job.result, FN_E_TAG);
                    assert_memory_equal(out, untouched, N);
                    places[p].p[i] ^= (uint8_t)(1 << bit);
                }
        job.n--;
        assert_int_equal(fn_gcm_decrypt(&job), FN_E_TAG);
        job.n++;
        assert_int_equal(fn_gcm_decrypt(&job), FN_OK);
        assert_memory_equal(out, plain, N);
    }
}

static void gcm_arguments(void **state)
{
    (void)state;
    uint8_t k[16] = {0}, nonce[12] = {0}, b[16] = {0}, tag[32] = {0};
    struct fn_gcm_key key;
    struct fn_gcm g;
    fn_gcm_key_init(&key, k);
    for (size_t size = 0; size < 32; size++) {
        bool good = size == 4 || size == 8 || (size >= 12 && size <= 16);
        struct fn_gcm_job job = {&key, fn_bytes(nonce, 12), fn_bytes(NULL, 0), b, b, sizeof b, tag, size, 0};
        assert_int_equal(fn_gcm_encrypt(&job), good ? FN_OK : FN_E_ARGUMENT);
        assert_int_equal(fn_gcm_decrypt(&job), good ? FN_OK : FN_E_ARGUMENT);
        assert_int_equal(b[0], 0);
        job.nonce.n = 0;
        assert_int_equal(fn_gcm_encrypt(&job), FN_E_ARGUMENT);
    }
    assert_int_equal(fn_gcm_start(&g, &key, false, fn_bytes(NULL, 0), fn_bytes(NULL, 0)), FN_E_ARGUMENT);
    /* In pieces the limit is the same: 16 bytes before it, as if so much had gone through. */
    assert_int_equal(fn_gcm_start(&g, &key, false, fn_bytes(nonce, 12), fn_bytes(NULL, 0)), FN_OK);
    g.text_size = (1ull << 36) - 48;
    uint8_t text[17] = {0}, before[17] = {0};
    assert_int_equal(fn_gcm_update(&g, text, text, 17), FN_E_TOO_LARGE);
    assert_memory_equal(text, before, 17);
    assert_int_equal(fn_gcm_update(&g, text, text, 16), FN_OK);
    memcpy(before, text, 17);
    assert_int_equal(fn_gcm_update(&g, text, text, 1), FN_E_TOO_LARGE);
    assert_int_equal(fn_gcm_update(&g, text, text, SIZE_MAX), FN_E_TOO_LARGE);
    assert_int_equal(fn_gcm_update(&g, text, text, 0), FN_OK);
    assert_memory_equal(text, before, 17);
#if SIZE_MAX > UINT32_MAX
    struct fn_gcm_job job = {&key, fn_bytes(nonce, 12), fn_bytes(NULL, 0), b, b, (1ull << 36) - 31, tag, 16,
                             0};
    assert_int_equal(fn_gcm_encrypt(&job), FN_E_TOO_LARGE);
#endif
}

#define JOBS    200
#define LONGEST 1400

static uint8_t batch_k[JOBS][16], batch_nonce[JOBS][20], batch_aad[JOBS][40], batch_plain[JOBS][LONGEST];
static uint8_t batch_out[JOBS][LONGEST], batch_tag[JOBS][16], batch_want[LONGEST], batch_want_tag[16];
static struct fn_gcm_key batch_keys[JOBS];
static struct fn_gcm_job jobs[JOBS];

static void fill_jobs(size_t count, size_t keys, size_t longest)
{
    fill(batch_nonce, sizeof batch_nonce);
    fill(batch_aad, sizeof batch_aad);
    for (size_t i = 0; i < count; i++) {
        fill(batch_plain[i], LONGEST);
        memcpy(batch_out[i], batch_plain[i], LONGEST);
        jobs[i] = (struct fn_gcm_job){&batch_keys[i % keys],
                                      fn_bytes(batch_nonce[i], below(4) ? 12 : 1 + below(20)),
                                      fn_bytes(batch_aad[i], below(41)),
                                      below(2) ? batch_plain[i] : batch_out[i],
                                      batch_out[i],
                                      below(longest + 1),
                                      batch_tag[i],
                                      tag_sizes[below(FN_COUNT(tag_sizes))],
                                      FN_E_INTERNAL};
    }
}

static void gcm_batch(void **state)
{
    (void)state;
    for (size_t i = 0; i < JOBS; i++) {
        fill(batch_k[i], 16);
        fn_gcm_key_init(&batch_keys[i], batch_k[i]);
    }
    static const size_t keys[] = {1, 2, 5, JOBS}, longest[] = {40, 64, 300, LONGEST};
    for (int round = 0; round < 48; round++) {
        size_t count = round < 16 ? (size_t)round : 1 + below(JOBS), of_keys = keys[round % 4];
        fill_jobs(count, of_keys, longest[round / 4 % 4]);
        if (count > 5) jobs[5].tag_size = 5;
        fn_gcm_encrypt_batch(count, jobs);
        for (size_t i = 0; i < count; i++) {
            struct ref_key ref = ref_expand(batch_k[i % of_keys]);
            const struct fn_gcm_job *j = &jobs[i];
            if (i == 5) {
                assert_int_equal(j->result, FN_E_ARGUMENT);
                assert_memory_equal(batch_out[i], batch_plain[i], LONGEST);
                continue;
            }
            assert_int_equal(j->result, FN_OK);
            ref_gcm(&ref, j->nonce.p, j->nonce.n, j->aad.p, j->aad.n, batch_plain[i], batch_want, j->n,
                    batch_want_tag);
            assert_memory_equal(batch_out[i], batch_want, j->n);
            assert_memory_equal(batch_out[i] + j->n, batch_plain[i] + j->n, LONGEST - j->n);
            assert_memory_equal(batch_tag[i], batch_want_tag, j->tag_size);
        }
        if (count > 5) jobs[5].nonce.n = 0;
        for (size_t i = 0; i < count; i++) {
            jobs[i].in = batch_out[i];
            if (i % 7 == 2) batch_tag[i][jobs[i].tag_size - 1] ^= 0x10;
        }
        if (count > 2) memcpy(batch_want, batch_out[2], LONGEST);
        fn_gcm_decrypt_batch(count, jobs);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(jobs[i].result, i == 5 ? FN_E_ARGUMENT : i % 7 == 2 ? FN_E_TAG : FN_OK);
            if (jobs[i].result == FN_OK) assert_memory_equal(batch_out[i], batch_plain[i], jobs[i].n);
            if (i == 2) assert_memory_equal(batch_out[2], batch_want, LONGEST);
        }
    }
}

static void ccm_compare(size_t n, size_t aad_n, size_t nonce_n, size_t tag_size)
{
    static uint8_t aad[70000];
    uint8_t k[16], nonce[13], plain[SIZE], want[SIZE], want_tag[16], got[SIZE], tag[17];
    struct fn_sm4_key key;
    fill(k, 16);
    fill(nonce, 13);
    fill(aad, aad_n);
    fill(plain, n);
    struct ref_key ref = ref_expand(k);
    fn_sm4_key_init(&key, k);
    ref_ccm(&ref, nonce, nonce_n, aad, aad_n, plain, want, n, want_tag, tag_size);
    memset(got, 0xA5, sizeof got);
    memset(tag, 0xA5, sizeof tag);
    struct fn_bytes nonce_view = fn_bytes(nonce, nonce_n), aad_view = fn_bytes(aad, aad_n);
    assert_int_equal(fn_ccm_encrypt(&key, nonce_view, aad_view, plain, got, n, tag, tag_size), FN_OK);
    assert_memory_equal(got, want, n);
    assert_int_equal(got[n], 0xA5);
    assert_memory_equal(tag, want_tag, tag_size);
    assert_int_equal(tag[tag_size], 0xA5);
    assert_int_equal(fn_ccm_decrypt(&key, nonce_view, aad_view, got, got, n, tag, tag_size), FN_OK);
    assert_memory_equal(got, plain, n);
    assert_int_equal(fn_ccm_encrypt(&key, nonce_view, aad_view, got, got, n, tag, tag_size), FN_OK);
    assert_memory_equal(got, want, n);
    uint8_t zero[SIZE] = {0};
    for (size_t i = 0; i < tag_size; i++) {
        tag[i] ^= 0x40;
        assert_int_equal(fn_ccm_decrypt(&key, nonce_view, aad_view, want, got, n, tag, tag_size), FN_E_TAG);
        assert_memory_equal(got, zero, n);
        tag[i] ^= 0x40;
        if (n > 100) break;
    }
}

static void ccm_every_length(void **state)
{
    (void)state;
    for (size_t n = 0; n <= MOST; n++) ccm_compare(n, n * 7 % 45, 7 + n % 7, 4 + n % 7 * 2);
    for (size_t n = 0; n <= MOST; n++) ccm_compare(n * 5 % 37, n, 12, 16);
    ccm_compare(1, 0xFEFF, 12, 16);
    ccm_compare(1, 0xFF00, 12, 16);
    ccm_compare(1, 70000, 13, 8);
    ccm_compare(SIZE - 1, 13, 13, 16);
}

static void ccm_arguments(void **state)
{
    (void)state;
    static uint8_t big[65536];
    uint8_t k[16] = {0}, nonce[16] = {0}, tag[32];
    struct fn_sm4_key key;
    fn_sm4_key_init(&key, k);
    for (size_t nonce_n = 0; nonce_n <= 16; nonce_n++)
        for (size_t size = 0; size <= 18; size++) {
            bool good = nonce_n >= 7 && nonce_n <= 13 && size >= 4 && size <= 16 && size % 2 == 0;
            fn_err want = good ? FN_OK : FN_E_ARGUMENT;
            struct fn_bytes n = fn_bytes(nonce, nonce_n), none = {0};
            assert_int_equal(fn_ccm_encrypt(&key, n, none, big, big, 1, tag, size), want);
            assert_int_equal(fn_ccm_decrypt(&key, n, none, big, big, 1, tag, size), want);
        }
    /* A nonce of 13 bytes leaves 16 bits for the length. */
    struct fn_bytes none = {0};
    assert_int_equal(fn_ccm_encrypt(&key, fn_bytes(nonce, 13), none, big, big, 65535, tag, 16), FN_OK);
    assert_int_equal(fn_ccm_encrypt(&key, fn_bytes(nonce, 13), none, big, big, 65536, tag, 16),
                     FN_E_TOO_LARGE);
    assert_int_equal(fn_ccm_decrypt(&key, fn_bytes(nonce, 13), none, big, big, 65536, tag, 16),
                     FN_E_TOO_LARGE);
    assert_int_equal(fn_ccm_encrypt(&key, fn_bytes(nonce, 12), none, big, big, 65536, tag, 16), FN_OK);
}

static void print_hex(const uint8_t *p, size_t n)
{
    putchar(' ');
    if (!n) putchar('-');
    for (size_t i = 0; i < n; i++) printf("%02x", p[i]);
}

/* One line of results for the reference in another language: mode key iv aad in out tag. */
static void print_line(const char *mode, size_t n)
{
    uint8_t k[32], iv[16], chain[16], aad[64], in[200], out[200], tag[16];
    struct fn_sm4_key key, key2;
    struct fn_gcm_key gcm_key;
    bool xts = strncmp(mode, "xts", 3) == 0, gcm = strcmp(mode, "gcm") == 0, ccm = strcmp(mode, "ccm") == 0;
    bool mac = strstr(mode, "mac"), aead = gcm || ccm;
    size_t iv_n = ccm ? 7 + below(7) : gcm && below(2) ? 12 : gcm ? 1 + below(16) : 16;
    size_t aad_n = aead ? below(sizeof aad) : 0, tag_n = ccm ? 4 + 2 * below(7) : aead || mac ? 16 : 0;
    fill(k, sizeof k);
    fill(iv, sizeof iv);
    fill(aad, sizeof aad);
    fill(in, sizeof in);
    if (below(3) == 0) memset(iv + 3, 0xFF, 13);
    if (below(8) == 0) memset(in, 0xFF, sizeof in);
    memcpy(chain, iv, sizeof iv);
    fn_sm4_key_init(&key, k);
    fn_sm4_key_init(&key2, k + 16);
    fn_gcm_key_init(&gcm_key, k);
    struct fn_bytes nonce = fn_bytes(iv, iv_n), extra = fn_bytes(aad, aad_n);
    struct fn_gcm_job job = {&gcm_key, nonce, extra, in, out, n, tag, tag_n, 0};
    fn_err err = FN_OK;
    if (strcmp(mode, "ecb") == 0) err = fn_sm4_ecb_encrypt(&key, in, out, n);
    if (strcmp(mode, "cbc") == 0) err = fn_sm4_cbc_encrypt(&key, chain, in, out, n);
    if (strcmp(mode, "cfb") == 0) fn_sm4_cfb_encrypt(&key, chain, in, out, n);
    if (strcmp(mode, "ofb") == 0) fn_sm4_ofb_crypt(&key, chain, in, out, n);
    if (strcmp(mode, "ctr") == 0) fn_sm4_ctr_crypt(&key, chain, in, out, n);
    if (strcmp(mode, "xts-gb") == 0) err = fn_sm4_xts_encrypt(&key, &key2, FN_SM4_XTS_GB, iv, in, out, n);
    if (strcmp(mode, "xts-ieee") == 0) err = fn_sm4_xts_encrypt(&key, &key2, FN_SM4_XTS_IEEE, iv, in, out, n);
    if (strcmp(mode, "cmac") == 0) fn_sm4_cmac(&key, in, n, tag);
    if (strcmp(mode, "cbc-mac") == 0) err = fn_sm4_cbc_mac(&key, chain, in, n);
    if (strcmp(mode, "cbc-mac") == 0) memcpy(tag, chain, 16);
    if (gcm) err = fn_gcm_encrypt(&job);
    if (ccm) err = fn_ccm_encrypt(&key, nonce, extra, in, out, n, tag, tag_n);
    if (err != FN_OK) exit(1);
    fputs(mode, stdout);
    print_hex(k, xts ? 32 : 16);
    print_hex(iv, iv_n);
    print_hex(aad, aad_n);
    print_hex(in, n);
    print_hex(out, mac ? 0 : n);
    print_hex(tag, tag_n);
    putchar('\n');
}

static int print_all(void)
{
    static const char *const whole[] = {"ecb", "cbc", "cbc-mac"};
    static const char *const any[] = {"cfb", "ofb", "ctr", "cmac", "xts-gb", "xts-ieee", "gcm", "ccm"};
    for (size_t m = 0; m < FN_COUNT(whole); m++)
        for (size_t n = 0; n <= 192; n += 16) print_line(whole[m], n);
    for (size_t m = 0; m < FN_COUNT(any); m++)
        for (size_t n = any[m][0] == 'x' ? 16 : 0; n <= 200; n += n < 50 ? 1 : 17) print_line(any[m], n);
    return 0;
}

static int select_variant(void **state)
{
    (void)state;
    return fn_cpu_select(getenv("FENGNI_CPU"));
}

/* With "print" the program writes results for test_sm4_reference.py instead. */
int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "print") == 0) return select_variant(NULL) == FN_OK ? print_all() : 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),          cmocka_unit_test(gcm_every_length),
        cmocka_unit_test(gcm_counter_wrap), cmocka_unit_test(gcm_streaming),
        cmocka_unit_test(gcm_tampering),    cmocka_unit_test(gcm_arguments),
        cmocka_unit_test(gcm_batch),        cmocka_unit_test(ccm_every_length),
        cmocka_unit_test(ccm_arguments),
    };
    return cmocka_run_group_tests(tests, select_variant, NULL);
}
