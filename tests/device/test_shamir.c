/* Secret sharing: the vector of hsm.md 7, every choice of shares, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/core/text.h"
#include "device/shamir.h"
#include <string.h>

static void unhex(uint8_t *out, size_t room, const char *text)
{
    size_t n;
    assert_int_equal(fn_hex_decode(out, room, &n, text, strlen(text)), FN_OK);
    assert_int_equal(n, room);
}

static const char *const vector[5] = {
    "b193f5d7391b7d5f4e6c0a28c6e482a001", "97b3dffb07234f6b587c1034c8ec80a402", "27036f4bb793ffdbe8cca084785c301403",
    "af99c3f577411b2df0c69caa281e447204", "1f297345c7f1ab9d40762c1a98aef4c205",
};

static void known_answer(void **state)
{
    (void)state;
    uint8_t secret[16], coefficients[32], share[17], expected[17], shares[5][17], back[16];
    unhex(secret, 16, "0123456789abcdeffedcba9876543210");
    for (int i = 0; i < 16; i++) {
        coefficients[i] = (uint8_t)(0x10 + i);
        coefficients[16 + i] = (uint8_t)(0xa0 + i);
    }
    for (int i = 0; i < 5; i++) {
        unhex(expected, 17, vector[i]);
        fn_shamir_share(secret, coefficients, 16, 3, (uint8_t)(i + 1), share);
        assert_memory_equal(share, expected, 17);
        memcpy(shares[i], expected, 17);
    }
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < 5; b++)
            for (int c = 0; c < 5; c++) {
                const uint8_t *chosen[3] = {shares[a], shares[b], shares[c]};
                fn_err err = fn_shamir_combine(chosen, 3, 16, back);
                if (a == b || b == c || a == c) {
                    assert_int_equal(err, FN_E_ARGUMENT);
                    continue;
                }
                assert_int_equal(err, FN_OK);
                assert_memory_equal(back, secret, 16);
            }
    const uint8_t *two[2] = {shares[0], shares[1]};
    assert_int_equal(fn_shamir_combine(two, 2, 16, back), FN_OK);
    unhex(expected, 16, "5a7a1a3adafa9abab595f5d535157555");
    assert_memory_equal(back, expected, 16);
    shares[0][16] = 0;
    assert_int_equal(fn_shamir_combine(two, 2, 16, back), FN_E_ARGUMENT);
}

static fn_err counting(void *self, uint8_t *out, size_t n)
{
    uint32_t *seed = self;
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)((*seed = *seed * 1664525u + 1013904223u) >> 24);
    return FN_OK;
}

static void sizes(void **state)
{
    (void)state;
    uint32_t seed = 7;
    struct fn_rng rng = {counting, &seed};
    static uint8_t shares[255 * 33];
    uint8_t secret[32], back[32];
    for (unsigned needed = 2; needed <= 255; needed += needed < 10 ? 1 : 49)
        for (unsigned count = needed; count <= 255; count += count < 12 ? 1 : 61) {
            const uint8_t *chosen[255];
            counting(&seed, secret, 32);
            assert_int_equal(fn_shamir_split(secret, 32, needed, count, &rng, shares), FN_OK);
            for (unsigned i = 0; i < needed; i++) chosen[i] = shares + (count - 1 - i) * 33;
            assert_int_equal(fn_shamir_combine(chosen, needed, 32, back), FN_OK);
            assert_memory_equal(back, secret, 32);
        }
    assert_int_equal(fn_shamir_split(secret, 32, 1, 5, &rng, shares), FN_E_ARGUMENT);
    assert_int_equal(fn_shamir_split(secret, 32, 6, 5, &rng, shares), FN_E_ARGUMENT);
    assert_int_equal(fn_shamir_split(secret, 65, 2, 5, &rng, shares), FN_E_ARGUMENT);
    assert_int_equal(fn_shamir_split(secret, 0, 2, 5, &rng, shares), FN_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answer), cmocka_unit_test(sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
