#include "base/core/text.h"
#include "crypto/rng/drbg.h"
#include "crypto/sm3/sm3.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct fn_bytes unhex(uint8_t *room, size_t size, const char *hex)
{
    size_t n;
    assert_int_equal(fn_hex_decode(room, size, &n, hex, strlen(hex)), FN_OK);
    return fn_bytes(room, n);
}

static void assert_hex(const uint8_t *p, size_t n, const char *hex)
{
    uint8_t room[64];
    struct fn_bytes want = unhex(room, sizeof room, hex);
    assert_int_equal(want.n, n);
    assert_memory_equal(p, want.p, n);
}

static const struct fn_bytes none;

static void sm3_vector(void **state)
{
    (void)state;
    uint8_t e[32], no[16], r[32], out[32];
    struct fn_drbg d;
    struct fn_bytes entropy =
        unhex(e, sizeof e, "63363377e41e86468deb0ab4a8ed683f6a134e47e014c700454e81e95358a569");
    struct fn_bytes nonce = unhex(no, sizeof no, "808aa38f2a72a62359915a9f8a04ca68");
    struct fn_bytes again =
        unhex(r, sizeof r, "e62b8a8ee8f141b6980566e3bfe3c04903dad4ac2cdf9f2280010a6739bc83d3");
    assert_int_equal(fn_drbg_instantiate(&d, FN_DRBG_SM3_HASH, &fn_drbg_level2, entropy, nonce, none), FN_OK);
    assert_hex(d.state.sm3.v, 55,
               "7a070cb0c9806fe6a74c0396825642690fc458e76397b75b5977e8a5e693687a703b08c8fbb9e9a600d181c530e88"
               "9336390818c"
               "a2c271");
    assert_hex(d.state.sm3.c, 55,
               "218bcd7e3a836cc2e275e660a29fab9c1b3e5596275d8f3141f8c7fb3b285b9edda112e7e85e8492c9b4ed9c1ea46"
               "6b00cce3be9"
               "c10a03");
    assert_int_equal(fn_drbg_reseed(&d, again, none), FN_OK);
    assert_hex(d.state.sm3.v, 55,
               "99ec25b65124082695c773d8ef03cc2b31a916956bb582752399c3951c9956d21a73a08091f47401e7133844ea654"
               "4361961c7cc"
               "4d7e6e");
    assert_hex(d.state.sm3.c, 55,
               "c7d8714c59bce8c8b033b99ce3577acd68a3b10151cc0a60c4b2790e56ce47592574d6909fab7fc551d33402f364a"
               "aa4d6fcc839"
               "89b9c7");
    assert_int_equal(fn_drbg_generate(&d, none, out, 32), FN_OK);
    assert_hex(out, 32, "8f3b97bc83c7a3a83fc9861c82d84bb862a6753b125482be718f55a039895b74");
    assert_int_equal(fn_drbg_generate(&d, none, out, 32), FN_OK);
    assert_hex(out, 32, "00d98d35a2fab8df23e9e1fb9aad143d62c0759eb79e15c37e8f2bc5064e68da");
}

static void sm4_vector(void **state)
{
    (void)state;
    uint8_t e[32], no[16], r[32], out[16];
    struct fn_drbg d;
    struct fn_bytes entropy =
        unhex(e, sizeof e, "2d4c9f46b981c6a0b2b5d8c69391e569ff13851437ebc0fc00d616340252fed5");
    struct fn_bytes nonce = unhex(no, sizeof no, "0bf814b411f65ec4866be1abb59d3c32");
    struct fn_bytes again =
        unhex(r, sizeof r, "93500fae4fa32b86033b7a7bac9d37e710dcc67ca266bc8607d665937766d207");
    assert_int_equal(fn_drbg_instantiate(&d, FN_DRBG_SM4_CTR, &fn_drbg_level2, entropy, nonce, none), FN_OK);
    assert_hex(d.state.sm4.v, 16, "044f9ff3b7e8ad2b60a7b2c05fe6b5b7");
    assert_hex(d.state.sm4.key, 16, "7fce60b97d8ceb60506bff1d37b1a936");
    assert_int_equal(fn_drbg_reseed(&d, again, none), FN_OK);
    assert_hex(d.state.sm4.v, 16, "8bd44b2e39f8186497f889c73555797d");
    assert_hex(d.state.sm4.key, 16, "02b9a8f88124bd9cec909e1fd7ec9971");
    assert_int_equal(fn_drbg_generate(&d, none, out, 16), FN_OK);
    assert_hex(out, 16, "45de66e82916443ded1134255c3cf58f");
    assert_hex(d.state.sm4.v, 16, "fbc91ad876ba3a84588be2f358b9e13c");
    assert_hex(d.state.sm4.key, 16, "4804b2a1a971ca729abff5bada051cf6");
    assert_int_equal(fn_drbg_generate(&d, none, out, 16), FN_OK);
    assert_hex(out, 16, "e732a524de8ad239aa293ac8ae588f9d");
    assert_hex(d.state.sm4.v, 16, "ce60250d77048bdbe48ade354b6869f6");
    assert_hex(d.state.sm4.key, 16, "6788e31ae27aae09a14aed967ce8b219");
}

static const uint8_t seed[48] = {1, 2, 3};

/* Additional input: V + SM3(02 ‖ V ‖ input) before the output (written out here a second time). */
static void sm3_additional_input(void **state)
{
    (void)state;
    struct fn_drbg d;
    uint8_t m[1 + 55 + 5], digest[32], want[32], out[32];
    assert_int_equal(fn_drbg_instantiate(&d, FN_DRBG_SM3_HASH, &fn_drbg_level1, fn_bytes(seed, 32),
                                         fn_bytes(seed + 32, 16), FN_BYTES_LITERAL("name")),
                     FN_OK);
    m[0] = 2;
    memcpy(m + 1, d.state.sm3.v, 55);
    memcpy(m + 56, "extra", 5);
    fn_sm3_digest(m, sizeof m, digest);
    unsigned carry = 0;
    for (int i = 54; i >= 0; i--) {
        carry += m[1 + i] + (i >= 23 ? digest[i - 23] : 0u);
        m[1 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    fn_sm3_digest(m + 1, 55, want);
    assert_int_equal(fn_drbg_generate(&d, FN_BYTES_LITERAL("extra"), out, 32), FN_OK);
    assert_memory_equal(out, want, 32);
}

static void inputs_are_checked(void **state)
{
    (void)state;
    struct fn_drbg d = {0};
    uint8_t out[64];
    static const uint8_t big[FN_DRBG_INPUT_MOST + 1];
    assert_int_equal(fn_drbg_generate(&d, none, out, 16), FN_E_RANDOM_LEFT);
    assert_int_equal(fn_drbg_reseed(&d, fn_bytes(seed, 32), none), FN_E_RANDOM_LEFT);
    assert_int_equal(fn_drbg_fill(&d, out, 16), FN_E_RANDOM_LEFT);
    for (int kind = FN_DRBG_SM3_HASH; kind <= FN_DRBG_SM4_CTR; kind++) {
        enum fn_drbg_kind k = (enum fn_drbg_kind)kind;
        size_t most = fn_drbg_most(k);
        assert_int_equal(
            fn_drbg_instantiate(&d, k, &fn_drbg_level2, fn_bytes(seed, 31), fn_bytes(seed, 16), none),
            FN_E_ARGUMENT);
        assert_int_equal(
            fn_drbg_instantiate(&d, k, &fn_drbg_level2, fn_bytes(seed, 32), fn_bytes(seed, 15), none),
            FN_E_ARGUMENT);
        assert_int_equal(fn_drbg_instantiate(&d, k, &fn_drbg_level2, fn_bytes(seed, 32), fn_bytes(seed, 16),
                                             fn_bytes(big, sizeof big)),
                         FN_E_TOO_LARGE);
        assert_int_equal(
            fn_drbg_instantiate(&d, k, &fn_drbg_level2, fn_bytes(seed, 32), fn_bytes(seed, 16), none), FN_OK);
        assert_int_equal(fn_drbg_generate(&d, none, out, most + 1), FN_E_TOO_LARGE);
        assert_int_equal(fn_drbg_generate(&d, fn_bytes(big, sizeof big), out, 1), FN_E_TOO_LARGE);
        assert_int_equal(fn_drbg_reseed(&d, fn_bytes(seed, 31), none), FN_E_ARGUMENT);
        fn_drbg_wipe(&d);
        static const struct fn_drbg zero;
        assert_memory_equal(&d, &zero, sizeof d);
    }
}

static void call_limit(void **state)
{
    (void)state;
    static const struct fn_drbg_limits three = {3, 60};
    struct fn_drbg d;
    uint8_t out[16];
    for (int kind = FN_DRBG_SM3_HASH; kind <= FN_DRBG_SM4_CTR; kind++) {
        assert_int_equal(fn_drbg_instantiate(&d, (enum fn_drbg_kind)kind, &three, fn_bytes(seed, 32),
                                             fn_bytes(seed, 16), none),
                         FN_OK);
        for (int i = 0; i < 3; i++) {
            assert_false(fn_drbg_due(&d));
            assert_int_equal(fn_drbg_generate(&d, none, out, 16), FN_OK);
        }
        assert_true(fn_drbg_due(&d));
        assert_int_equal(fn_drbg_generate(&d, none, out, 16), FN_E_RANDOM_LEFT);
        assert_int_equal(fn_drbg_fill(&d, out, 16), FN_E_RANDOM_LEFT);
        assert_int_equal(fn_drbg_reseed(&d, fn_bytes(seed, 32), none), FN_OK);
        assert_int_equal(fn_drbg_generate(&d, none, out, 16), FN_OK);
    }
}

struct counted_source {
    int64_t now;
    int calls;
    bool broken;
};

static fn_err counted_entropy(void *self, uint8_t *out, size_t n)
{
    struct counted_source *s = self;
    if (s->broken) return FN_FAIL(FN_E_RANDOM_SOURCE, "broken on purpose");
    s->calls++;
    memset(out, s->calls, n);
    return FN_OK;
}

static int64_t counted_now(void *self)
{
    return ((struct counted_source *)self)->now;
}

static void reseeds_from_source(void **state)
{
    (void)state;
    static const struct fn_drbg_limits ten = {10, 60};
    struct counted_source s = {.now = 1000};
    struct fn_drbg_source source = {counted_entropy, counted_now, &s};
    struct fn_drbg d;
    uint8_t out[32 * 25];
    assert_int_equal(fn_drbg_open(&d, FN_DRBG_SM3_HASH, &ten, &source, none), FN_OK);
    assert_int_equal(s.calls, 1);
    struct fn_rng rng = fn_drbg_rng(&d);
    assert_int_equal(fn_rng_fill(&rng, out, sizeof out), FN_OK);
    assert_int_equal(s.calls, 3); /* before calls 11 and 21 */
    s.now += 59999;
    assert_int_equal(fn_rng_fill(&rng, out, 1), FN_OK);
    assert_int_equal(s.calls, 3);
    s.now += 1;
    assert_int_equal(fn_rng_fill(&rng, out, 1), FN_OK);
    assert_int_equal(s.calls, 4);
    s.now -= 1; /* a clock that runs back is not trusted */
    assert_int_equal(fn_rng_fill(&rng, out, 1), FN_OK);
    assert_int_equal(s.calls, 5);
    s.now += 60000;
    s.broken = true;
    assert_int_equal(fn_rng_fill(&rng, out, 1), FN_E_RANDOM_SOURCE);
    s.broken = false;
    assert_int_equal(fn_rng_fill(&rng, out, 1), FN_OK);
}

/* fill cuts its output into generates of the largest size. */
static void fill_is_generate_in_a_row(void **state)
{
    (void)state;
    for (int kind = FN_DRBG_SM3_HASH; kind <= FN_DRBG_SM4_CTR; kind++) {
        struct fn_drbg a, b;
        uint8_t one[150], other[150];
        size_t most = fn_drbg_most((enum fn_drbg_kind)kind);
        assert_int_equal(fn_drbg_instantiate(&a, (enum fn_drbg_kind)kind, &fn_drbg_level2, fn_bytes(seed, 32),
                                             fn_bytes(seed, 16), none),
                         FN_OK);
        b = a;
        assert_int_equal(fn_drbg_fill(&a, one, sizeof one), FN_OK);
        for (size_t at = 0; at < sizeof other; at += most) {
            size_t n = sizeof other - at < most ? sizeof other - at : most;
            assert_int_equal(fn_drbg_generate(&b, none, other + at, n), FN_OK);
        }
        assert_memory_equal(one, other, sizeof one);
        assert_memory_equal(&a.state, &b.state, sizeof a.state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sm3_vector),
        cmocka_unit_test(sm4_vector),
        cmocka_unit_test(sm3_additional_input),
        cmocka_unit_test(inputs_are_checked),
        cmocka_unit_test(call_limit),
        cmocka_unit_test(reseeds_from_source),
        cmocka_unit_test(fill_is_generate_in_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
