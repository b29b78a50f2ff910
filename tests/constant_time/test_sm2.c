/* Run under valgrind: private keys, nonces and what comes of them are undefined to memcheck, so that a branch
 * or an address that depends on them is an error. Only what leaves as public is defined again. */
#include <stdio.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "crypto/sm2/sm2_internal.h"

static int failures;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

static void secret(void *p, size_t n)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(p, n);
}

static void public(void *p, size_t n)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(p, n);
}

/* Now and then numbers that must be drawn again, otherwise a fixed sequence; all of it undefined. */
static fn_err fill(void *self, uint8_t *out, size_t n)
{
    uint32_t *counter = self;
    uint8_t block[36] = {0}, digest[32];
    for (size_t at = 0; at < n; at += 32) {
        fn_put_be32(block, ++*counter);
        fn_sm3_digest(block, sizeof block, digest);
        if (*counter % 7 == 3) memset(digest, *counter % 2 ? 0xff : 0, 32);
        memcpy(out + at, digest, n - at < 32 ? n - at : 32);
    }
    secret(out, n);
    return FN_OK;
}

static void test_keys(const struct fn_rng *rng, struct fn_sm2_private *keys, size_t n)
{
    CHECK(fn_sm2_generate(&keys[0], rng) == FN_OK);
    CHECK(fn_sm2_generate_batch(n - 1, keys + 1, rng) == FN_OK);
    for (size_t i = 0; i < n; i++) {
        /* The library did not define what is secret; outside valgrind there is nothing to see. */
        uint8_t undefined[32] = {0};
        CHECK(VALGRIND_GET_VBITS(keys[i].d, undefined, 32) != 1 || undefined[31] == 0xff);
        CHECK(VALGRIND_GET_VBITS(keys[i].ready, undefined, 32) != 1 || undefined[31] == 0xff);
        public(&keys[i].pub, sizeof keys[i].pub);
        CHECK(fn_sm2_public_check(&keys[i].pub) == FN_OK);
        struct fn_sm2_private again;
        CHECK(fn_sm2_private_load(&again, keys[i].d) == FN_OK);
        public(&again.pub, sizeof again.pub);
        CHECK(memcmp(&again.pub, &keys[i].pub, sizeof again.pub) == 0);
    }
    uint8_t d[32];
    memset(d, 0xff, 32);
    secret(d, 32);
    CHECK(fn_sm2_private_load(&keys[n], d) == FN_E_SM2_PRIVATE);
}

static void test_signatures(const struct fn_rng *rng, const struct fn_sm2_private *keys)
{
    enum { JOBS = 35 };
    static uint8_t sigs[JOBS][64];
    uint8_t e[32] = {1, 2, 3};
    struct fn_sm2_sign_job jobs[JOBS];
    CHECK(fn_sm2_sign(&keys[0], rng, e, sigs[0]) == FN_OK);
    public(sigs[0], 64);
    CHECK(fn_sm2_verify(&keys[0].pub, e, sigs[0]) == FN_OK);
    for (int i = 0; i < JOBS; i++) jobs[i] = (struct fn_sm2_sign_job){&keys[i % 3], e, sigs[i]};
    CHECK(fn_sm2_sign_batch(JOBS, jobs, rng) == FN_OK);
    public(sigs, sizeof sigs);
    for (int i = 0; i < JOBS; i++) CHECK(fn_sm2_verify(&keys[i % 3].pub, e, sigs[i]) == FN_OK);
    uint8_t k[32];
    CHECK(fill(rng->self, k, 32) == FN_OK);
    CHECK(fn_sm2_sign_with_nonce(&keys[0], k, e, sigs[0]) == FN_OK);
}

static void test_encryption(const struct fn_rng *rng, const struct fn_sm2_private *key)
{
    uint8_t m[70], back[70], c3[32], c2[70];
    struct fn_sm2_public c1;
    static const size_t sizes[] = {1, 16, 32, 70};
    for (size_t i = 0; i < FN_COUNT(sizes); i++) {
        memset(m, 0x31, sizeof m);
        secret(m, sizeof m);
        CHECK(fn_sm2_encrypt(&key->pub, rng, m, sizes[i], &c1, c3, c2) == FN_OK);
        public(&c1, sizeof c1);
        public(c3, sizeof c3);
        public(c2, sizeof c2);
        CHECK(fn_sm2_decrypt(key, &c1, c3, c2, sizes[i], back) == FN_OK);
        public(m, sizeof m);
        public(back, sizeof back);
        CHECK(memcmp(m, back, sizes[i]) == 0);
        c2[0] ^= 1;
        CHECK(fn_sm2_decrypt(key, &c1, c3, c2, sizes[i], back) == FN_E_SM2_CIPHERTEXT);
    }
}

static void test_agreement(const struct fn_sm2_private *keys)
{
    uint8_t z[2][32] = {{1}, {2}}, key[2][48];
    struct fn_sm2_kex_confirm confirm[2];
    for (int i = 0; i < 2; i++) {
        struct fn_sm2_kex kex = {i == 0,           &keys[i], &keys[2 + i], &keys[1 - i].pub,
                                 &keys[3 - i].pub, z[0],     z[1]};
        CHECK(fn_sm2_kex(&kex, key[i], sizeof key[i], &confirm[i]) == FN_OK);
    }
    public(key, sizeof key);
    public(confirm, sizeof confirm);
    CHECK(memcmp(key[0], key[1], sizeof key[0]) == 0);
    CHECK(memcmp(&confirm[0], &confirm[1], sizeof confirm[0]) == 0);
}

/* The multiples of the group's generator by numbers near the edges, both methods. */
static void test_multiples(const struct fn_sm2_private *key)
{
    static const uint8_t ends[] = {0x00, 0x01, 0x02, 0x1d, 0x1f, 0x22, 0x23, 0xff};
    for (size_t i = 0; i < 2 * FN_COUNT(ends); i++) {
        struct fn_sm2_public out;
        uint8_t k[32] = {0};
        if (i >= FN_COUNT(ends)) fn_scalar_store(k, &fn_sm2_n);
        k[31] = ends[i % FN_COUNT(ends)];
        bool zero = (i == 0) || (i >= FN_COUNT(ends) && k[31] == 0x23);
        secret(k, 32);
        CHECK(fn_sm2_multiply(&out, k, &key->pub) == (zero ? FN_E_SM2_POINT : FN_OK));
    }
    struct fn_sm2_public out;
    CHECK(fn_sm2_multiply(&out, key->d, &key->pub) == FN_OK);
}

int main(void)
{
    static struct fn_sm2_private keys[5];
    uint32_t counter = 0;
    struct fn_rng rng = {fill, &counter};
    test_keys(&rng, keys, 4);
    test_signatures(&rng, keys);
    test_encryption(&rng, &keys[0]);
    test_agreement(keys);
    test_multiples(&keys[1]);
    return failures != 0;
}
