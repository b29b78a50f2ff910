#include "base/core/text.h"
#include "crypto/sm3/sm3.h"
#include "crypto/sm3/sm3_engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static void assert_hex(const uint8_t *p, size_t n, const char *hex)
{
    uint8_t want[64];
    size_t size;
    assert_int_equal(fn_hex_decode(want, sizeof want, &size, hex, strlen(hex)), FN_OK);
    assert_int_equal(size, n);
    assert_memory_equal(p, want, n);
}

/* GB/T 32905-2016 Annex A. */
static void standard_examples(void **state)
{
    (void)state;
    uint8_t out[32], m[64];
    fn_sm3_digest("abc", 3, out);
    assert_hex(out, 32, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
    for (size_t i = 0; i < sizeof m; i++) m[i] = (uint8_t)("abcd"[i % 4]);
    fn_sm3_digest(m, sizeof m, out);
    assert_hex(out, 32, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732");
    fn_sm3_digest(NULL, 0, out);
    assert_hex(out, 32, "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b");
}

static void libcrypto_sm3(const void *p, size_t n, uint8_t out[32])
{
    assert_int_equal(EVP_Digest(p, n, out, NULL, EVP_sm3(), NULL), 1);
}

static void fill(uint8_t *p, size_t n)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        p[i] = (uint8_t)(x >> 24);
    }
}

static void every_length(void **state)
{
    (void)state;
    uint8_t m[300], ours[32], theirs[32];
    fill(m, sizeof m);
    for (size_t n = 0; n <= sizeof m; n++) {
        fn_sm3_digest(m, n, ours);
        libcrypto_sm3(m, n, theirs);
        assert_memory_equal(ours, theirs, 32);
    }
}

static void every_split(void **state)
{
    (void)state;
    uint8_t m[200], ours[32], theirs[32];
    fill(m, sizeof m);
    libcrypto_sm3(m, sizeof m, theirs);
    for (size_t a = 0; a <= sizeof m; a++) {
        for (size_t b = a; b <= sizeof m; b += 13) {
            struct fn_sm3 h;
            fn_sm3_init(&h);
            fn_sm3_update(&h, m, a);
            fn_sm3_update(&h, m + a, b - a);
            fn_sm3_update(&h, m + b, sizeof m - b);
            fn_sm3_final(&h, ours);
            assert_memory_equal(ours, theirs, 32);
        }
    }
}

static void final_wipes(void **state)
{
    (void)state;
    static const uint8_t zero[sizeof(struct fn_hmac)];
    struct fn_sm3 h;
    struct fn_hmac m;
    struct fn_hmac_key key;
    uint8_t out[32];
    fn_sm3_init(&h);
    fn_sm3_update(&h, "secret", 6);
    fn_sm3_final(&h, out);
    assert_memory_equal(&h, zero, sizeof h);
    fn_hmac_key_init(&key, "key", 3);
    fn_hmac_init(&m, &key);
    fn_hmac_update(&m, "secret", 6);
    fn_hmac_final(&m, out);
    assert_memory_equal(&m, zero, sizeof m);
}

static void hmac_key_lengths(void **state)
{
    (void)state;
    uint8_t key[150], m[100], ours[32], theirs[32];
    fill(key, sizeof key);
    fill(m, sizeof m);
    for (size_t n = 1; n <= sizeof key; n++) {
        struct fn_hmac_key k;
        fn_hmac_key_init(&k, key, n);
        fn_hmac_digest(&k, m, n % sizeof m, ours);
        assert_non_null(HMAC(EVP_sm3(), key, (int)n, m, n % sizeof m, theirs, NULL));
        assert_memory_equal(ours, theirs, 32);
    }
    struct fn_hmac_key empty, zero;
    fn_hmac_key_init(&empty, NULL, 0);
    fn_hmac_key_init(&zero, "", 1);
    assert_memory_equal(&empty, &zero, sizeof empty);
}

/* Every count around the lane number, lengths that end the lanes at different times. */
static void batch_of_any_count(void **state)
{
    (void)state;
    static uint8_t m[1000];
    struct fn_bytes messages[40];
    struct fn_hmac_key keys[2];
    const struct fn_hmac_key *of[40];
    uint8_t out[40][32], one[32];
    fill(m, sizeof m);
    fn_hmac_key_init(&keys[0], m, 16);
    fn_hmac_key_init(&keys[1], m, 99);
    for (size_t count = 0; count <= FN_COUNT(messages); count++) {
        for (size_t i = 0; i < count; i++) {
            messages[i] = fn_bytes(m + i, i * i * 37 % 700 + (count & 1 ? 55 + i : 0));
            of[i] = &keys[i * i % 2];
        }
        fn_sm3_batch(count, messages, out);
        for (size_t i = 0; i < count; i++) {
            fn_sm3_digest(messages[i].p, messages[i].n, one);
            assert_memory_equal(out[i], one, 32);
        }
        fn_hmac_batch(count, of, messages, out);
        for (size_t i = 0; i < count; i++) {
            fn_hmac_digest(of[i], messages[i].p, messages[i].n, one);
            assert_memory_equal(out[i], one, 32);
        }
    }
}

static void kdf_is_counter_hash(void **state)
{
    (void)state;
    uint8_t z[140], out[1300], again[1300], one[32], in[144];
    fill(z, sizeof z);
    for (size_t z_size = 0; z_size <= sizeof z; z_size += 7) {
        fn_sm3_kdf(z, z_size, out, sizeof out);
        for (uint32_t i = 0; i < sizeof out / 32; i++) {
            memcpy(in, z, z_size);
            fn_put_be32(in + z_size, i + 1);
            libcrypto_sm3(in, z_size + 4, one);
            assert_memory_equal(out + 32 * i, one, 32);
        }
    }
    for (size_t n = 0; n < 200; n++) {
        memset(again, 0xa5, sizeof again);
        fn_sm3_kdf(z, sizeof z, again, n);
        fn_sm3_kdf(z, sizeof z, out, sizeof out);
        assert_memory_equal(again, out, n);
        assert_int_equal(again[n], 0xa5);
    }
}

static void pbkdf2_against_libcrypto(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 1000};
    uint8_t ours[100], theirs[100];
    for (size_t c = 0; c < FN_COUNT(counts); c++) {
        for (size_t n = 1; n <= sizeof ours; n += 31) {
            fn_pbkdf2_sm3("password", 8, "salt and more", 13, counts[c], ours, n);
            assert_int_equal(PKCS5_PBKDF2_HMAC("password", 8, (const uint8_t *)"salt and more", 13,
                                               (int)counts[c], EVP_sm3(), (int)n, theirs),
                             1);
            assert_memory_equal(ours, theirs, n);
        }
    }
}

/* More than 2^32 bits: the length field needs its upper word. */
static void long_message(void **state)
{
    (void)state;
    size_t piece = 1 << 20;
    uint8_t *m = calloc(piece, 1), ours[32], theirs[32];
    struct fn_sm3 h;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    assert_non_null(m);
    assert_int_equal(EVP_DigestInit_ex(c, EVP_sm3(), NULL), 1);
    fn_sm3_init(&h);
    for (int i = 0; i < 513; i++) {
        fn_sm3_update(&h, m, piece);
        assert_int_equal(EVP_DigestUpdate(c, m, piece), 1);
    }
    fn_sm3_final(&h, ours);
    assert_int_equal(EVP_DigestFinal_ex(c, theirs, NULL), 1);
    assert_memory_equal(ours, theirs, 32);
    EVP_MD_CTX_free(c);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_examples),   cmocka_unit_test(every_length),
        cmocka_unit_test(every_split),         cmocka_unit_test(final_wipes),
        cmocka_unit_test(hmac_key_lengths),    cmocka_unit_test(batch_of_any_count),
        cmocka_unit_test(kdf_is_counter_hash), cmocka_unit_test(pbkdf2_against_libcrypto),
        cmocka_unit_test(long_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
