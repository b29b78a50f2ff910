/* Sharing: the field against logarithms, all small cases, what fewer than t shares say, refusals. With the
 * argument "lines" the program answers splits and combinations from standard input for the comparison in
 * tests/reference/test_shamir_reference.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/core/text.h"
#include "device/shamir.h"
#include "life_rng.h"

/* Random bytes from a given sequence; fails at its end. */
struct stream {
    const uint8_t *p;
    size_t n;
};

static fn_err stream_fill(void *self, uint8_t *out, size_t n)
{
    struct stream *s = self;
    if (n > s->n) return FN_FAIL(FN_E_RANDOM_LEFT, "stream has %zu of %zu bytes", s->n, n);
    memcpy(out, s->p, n);
    s->p += n;
    s->n -= n;
    return FN_OK;
}

static void test_field(void **state)
{
    (void)state;
    /* Powers of the generator 3 = x + 1: an independent multiplication by logarithms. */
    uint8_t power[510], logarithm[256] = {0};
    unsigned v = 1;
    for (unsigned i = 0; i < 255; i++) {
        power[i] = power[i + 255] = (uint8_t)v;
        logarithm[v] = (uint8_t)i;
        v ^= v << 1;
        if (v & 0x100) v ^= 0x11b;
    }
    assert_int_equal(v, 1);
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            uint8_t want = a && b ? power[logarithm[a] + logarithm[b]] : 0;
            assert_int_equal(fn_gf256_multiply((uint8_t)a, (uint8_t)b), want);
        }
        if (a) assert_int_equal(fn_gf256_multiply((uint8_t)a, fn_gf256_invert((uint8_t)a)), 1);
    }
    assert_int_equal(fn_gf256_invert(0), 0);
}

/* Computed from the definition: secret 01 23 …, t = 3, n = 5, coefficients of x 10 … 1f, of x² a0 … af. */
static void test_vector(void **state)
{
    (void)state;
    static const uint8_t secret[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                       0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10};
    static const char *const want[5] = {
        "b193f5d7391b7d5f4e6c0a28c6e482a001", "97b3dffb07234f6b587c1034c8ec80a402",
        "27036f4bb793ffdbe8cca084785c301403", "af99c3f577411b2df0c69caa281e447204",
        "1f297345c7f1ab9d40762c1a98aef4c205"};
    uint8_t coefficients[32], shares[5][17], back[16];
    for (unsigned i = 0; i < 16; i++) {
        coefficients[2 * i] = (uint8_t)(0x10 + i);
        coefficients[2 * i + 1] = (uint8_t)(0xa0 + i);
    }
    struct stream stream = {coefficients, sizeof coefficients};
    assert_int_equal(fn_shamir_split(&(struct fn_rng){stream_fill, &stream}, secret, 16, 3, 5, shares[0]),
                     FN_OK);
    assert_int_equal(stream.n, 0);
    for (int i = 0; i < 5; i++) {
        char text[35];
        fn_hex_encode(text, shares[i], 17);
        assert_string_equal(text, want[i]);
    }
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < 5; b++)
            for (int c = 0; c < 5; c++) {
                if (a == b || b == c || a == c) continue;
                struct fn_bytes three[3] = {{shares[a], 17}, {shares[b], 17}, {shares[c], 17}};
                assert_int_equal(fn_shamir_combine(three, 3, back, 16), FN_OK);
                assert_memory_equal(back, secret, 16);
            }
    struct fn_bytes two[2] = {{shares[0], 17}, {shares[1], 17}};
    char text[33];
    assert_int_equal(fn_shamir_combine(two, 2, back, 16), FN_OK);
    fn_hex_encode(text, back, 16);
    assert_string_equal(text, "5a7a1a3adafa9abab595f5d535157555");
}

/* Every t and n up to 7, every subset of the shares: t and more give the secret, fewer never do (16 bytes
 * agree by chance once in 2^128). */
static void test_all_small(void **state)
{
    (void)state;
    for (unsigned n = 2; n <= 7; n++)
        for (unsigned t = 2; t <= n; t++) {
            uint8_t secret[16], shares[7 * 17], back[16];
            noise_fill(&noise_state, secret, sizeof secret);
            assert_int_equal(fn_shamir_split(&noise, secret, 16, t, n, shares), FN_OK);
            for (unsigned set = 0; set < 1u << n; set++) {
                struct fn_bytes some[7];
                size_t count = 0;
                for (unsigned i = 0; i < n; i++)
                    if (set >> i & 1) some[count++] = fn_bytes(shares + i * 17, 17);
                if (count < 2) continue;
                assert_int_equal(fn_shamir_combine(some, count, back, 16), FN_OK);
                assert_int_equal(memcmp(back, secret, 16) == 0, count >= t);
            }
        }
}

/* What two holders of a 3-of-n sharing see says nothing: over all coefficients each pair of y comes exactly
 * once, whatever the secret. */
static void test_secrecy(void **state)
{
    (void)state;
    static const uint8_t secrets[] = {0x00, 0x53, 0xff};
    static uint8_t seen[65536];
    for (size_t s = 0; s < sizeof secrets; s++) {
        memset(seen, 0, sizeof seen);
        for (unsigned c = 0; c < 65536; c++) {
            uint8_t coefficients[2] = {(uint8_t)c, (uint8_t)(c >> 8)}, shares[5][2];
            struct stream stream = {coefficients, 2};
            assert_int_equal(
                fn_shamir_split(&(struct fn_rng){stream_fill, &stream}, &secrets[s], 1, 3, 5, shares[0]),
                FN_OK);
            seen[shares[1][0] << 8 | shares[4][0]]++;
        }
        for (unsigned i = 0; i < 65536; i++) assert_int_equal(seen[i], 1);
    }
}

static void test_largest(void **state)
{
    (void)state;
    static uint8_t shares[255 * 33];
    uint8_t secret[32], back[32];
    struct fn_bytes all[255];
    noise_fill(&noise_state, secret, sizeof secret);
    assert_int_equal(fn_shamir_split(&noise, secret, 32, 255, 255, shares), FN_OK);
    for (int i = 0; i < 255; i++) all[i] = fn_bytes(shares + i * 33, 33);
    assert_int_equal(fn_shamir_combine(all, 255, back, 32), FN_OK);
    assert_memory_equal(back, secret, 32);
    assert_int_equal(fn_shamir_combine(all, 254, back, 32), FN_OK);
    assert_memory_not_equal(back, secret, 32);
}

static void test_refusals(void **state)
{
    (void)state;
    uint8_t secret[4] = {1, 2, 3, 4}, shares[256 * 5], back[4];
    assert_int_equal(fn_shamir_split(&noise, secret, 0, 2, 3, shares), FN_E_ARGUMENT);
    assert_int_equal(fn_shamir_split(&noise, secret, 4, 1, 3, shares), FN_E_ARGUMENT);
    assert_int_equal(fn_shamir_split(&noise, secret, 4, 4, 3, shares), FN_E_ARGUMENT);
    assert_int_equal(fn_shamir_split(&noise, secret, 4, 2, 256, shares), FN_E_ARGUMENT);
    /* A source that fails at the last byte leaves no share behind. */
    uint8_t bytes[7] = {9, 9, 9, 9, 9, 9, 9};
    struct stream stream = {bytes, sizeof bytes};
    assert_int_equal(fn_shamir_split(&(struct fn_rng){stream_fill, &stream}, secret, 4, 3, 3, shares),
                     FN_E_RANDOM_LEFT);
    for (int i = 0; i < 15; i++) assert_int_equal(shares[i], 0);

    assert_int_equal(fn_shamir_split(&noise, secret, 4, 2, 3, shares), FN_OK);
    struct fn_bytes two[2] = {{shares, 5}, {shares + 5, 5}};
    assert_int_equal(fn_shamir_combine(two, 2, back, 4), FN_OK);
    assert_memory_equal(back, secret, 4);
    assert_int_equal(fn_shamir_combine(two, 1, back, 4), FN_E_ARGUMENT);
    two[1] = two[0];
    assert_int_equal(fn_shamir_combine(two, 2, back, 4), FN_E_ARGUMENT);
    two[1] = fn_bytes(shares + 5, 4);
    assert_int_equal(fn_shamir_combine(two, 2, back, 4), FN_E_ARGUMENT);
    two[1] = fn_bytes(shares + 5, 5);
    shares[9] = 0;
    assert_int_equal(fn_shamir_combine(two, 2, back, 4), FN_E_ARGUMENT);
}

/* "split T N SECRET STREAM" and "combine SHARE…", all hex; one line of answer each. */
static int answer_lines(void)
{
    static char line[1 << 16];
    static uint8_t bytes[255][1024], shares[255 * 256];
    while (fgets(line, sizeof line, stdin)) {
        char *word[260];
        size_t words = 0, n[255] = {0}, count;
        for (char *w = strtok(line, " \n"); w && words < FN_COUNT(word); w = strtok(NULL, " \n"))
            word[words++] = w;
        if (words < 3) return 2;
        bool split = strcmp(word[0], "split") == 0;
        size_t first = split ? 3 : 1, size;
        for (size_t i = first; i < words; i++)
            if (fn_hex_decode(bytes[i - first], 1024, &n[i - first], word[i], strlen(word[i]))) return 2;
        if (split) {
            struct stream stream = {bytes[1], n[1]};
            struct fn_rng rng = {stream_fill, &stream};
            count = strtoul(word[2], NULL, 10);
            size = n[0] + 1;
            if (fn_shamir_split(&rng, bytes[0], n[0], (unsigned)atoi(word[1]), (unsigned)count, shares) ||
                stream.n)
                return 1;
        } else {
            struct fn_bytes list[255];
            for (size_t i = 0; i < words - 1; i++) list[i] = fn_bytes(bytes[i], n[i]);
            count = 1;
            size = n[0] - 1;
            if (fn_shamir_combine(list, words - 1, shares, size)) return 1;
        }
        for (size_t i = 0; i < count; i++) {
            char text[515];
            fn_hex_encode(text, shares + i * size, size);
            printf("%s%s", i ? " " : "", text);
        }
        printf("\n");
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "lines") == 0) return answer_lines();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_field),   cmocka_unit_test(test_vector),  cmocka_unit_test(test_all_small),
        cmocka_unit_test(test_secrecy), cmocka_unit_test(test_largest), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
