#include "base/sys/randomness.h"
#include "crypto/rng/drbg.h"
#include "crypto/sm3/sm3.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/bn.h>

static void assert_near(double got, double want)
{
    if (fabs(got - want) < 2e-6) return;
    fail_msg("%.9f, expected %.6f", got, want);
}

/* P and Q of the which-th value. */
static void check(enum fn_randomness_item item, unsigned parameter, const uint8_t *bits, size_t n,
                  unsigned which, double p, double q)
{
    struct fn_randomness_value v;
    assert_int_equal(fn_randomness_run(item, parameter, bits, n, &v), FN_OK);
    assert_true(which < v.values);
    assert_near(v.p[which], p);
    assert_near(v.q[which], q);
}

#define CHECK(item, parameter, which, p) check(item, parameter, bits, n, which, p, p)
#define CHECK2(item, parameter, p, q)    check(item, parameter, bits, n, 0, p, q)

static void unpack(uint8_t *bits, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) bits[i] = bytes[i / 8] >> (7 - i % 8) & 1;
}

/* GM/T 0005-2021, example of 128 bits. */
static void example_128(void **state)
{
    (void)state;
    static const uint8_t bytes[16] = {0xcc, 0x15, 0x6c, 0x4c, 0xe0, 0x02, 0x4d, 0x51,
                                      0x13, 0xd6, 0x80, 0xd7, 0xcc, 0xe6, 0xd8, 0xb2};
    uint8_t bits[128];
    const size_t n = 128;
    unpack(bits, bytes, n);
    CHECK2(FN_RT_MONOBIT, 0, .215925, .892038);
    CHECK(FN_RT_POKER, 4, 0, .213734);
    CHECK(FN_RT_POKER, 8, 0, .221829);
    CHECK(FN_RT_OVERLAPPING, 2, 0, .436868);
    CHECK(FN_RT_OVERLAPPING, 2, 1, .723674);
    CHECK2(FN_RT_RUNS, 0, .620729, .310364);
    CHECK(FN_RT_RUN_DISTRIBUTION, 0, 0, .970152);
    CHECK(FN_RT_LONGEST_RUN, 8, 0, .180598);
    CHECK(FN_RT_LONGEST_RUN, 8, 1, .839299);
    CHECK2(FN_RT_DERIVATIVE, 3, .039669, .980166);
    CHECK2(FN_RT_AUTOCORRELATION, 1, .790080, .395040);
}

static void example_100(void **state)
{
    (void)state;
    static const char text[] = "11001001000011111101101010100010001000010110100011"
                               "00001000110100110001001100011001100010100010111000";
    uint8_t bits[100];
    const size_t n = 100;
    for (size_t i = 0; i < n; i++) bits[i] = text[i] == '1';
    CHECK(FN_RT_BLOCK_FREQUENCY, 10, 0, .706438);
    CHECK(FN_RT_CUMULATIVE_SUMS, 0, 0, .219194);
    CHECK(FN_RT_CUMULATIVE_SUMS, 0, 1, .114866);
    CHECK(FN_RT_APPROXIMATE_ENTROPY, 2, 0, .235301);
    CHECK2(FN_RT_DFT, 0, .654721, .327360);
}

/* Σ 1/k! for a < k <= b is p/q · 1/a!, by halves. */
static void factorials(BIGNUM *p, BIGNUM *q, unsigned a, unsigned b, BN_CTX *ctx)
{
    if (b - a == 1) {
        BN_set_word(p, 1);
        BN_set_word(q, b);
        return;
    }
    BIGNUM *p2 = BN_new(), *q2 = BN_new();
    unsigned middle = a + (b - a) / 2;
    factorials(p, q, a, middle, ctx);
    factorials(p2, q2, middle, b, ctx);
    BN_mul(p, p, q2, ctx);
    BN_add(p, p, p2);
    BN_mul(q, q, q2, ctx);
    BN_free(p2);
    BN_free(q2);
}

/* The first 10^6 binary digits of e = 10.101…, of which two stand before the point. */
static void example_e(void **state)
{
    (void)state;
    const size_t n = 1000000;
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *p = BN_new(), *q = BN_new();
    factorials(p, q, 0, 76000, ctx);
    BN_add(p, p, q);
    BN_lshift(p, p, (int)n - 2);
    BN_div(p, NULL, p, q, ctx);
    assert_int_equal(BN_num_bits(p), n);
    uint8_t *bytes = malloc(n / 8), *bits = malloc(n);
    assert_int_equal(BN_bn2binpad(p, bytes, (int)n / 8), n / 8);
    unpack(bits, bytes, n);
    CHECK(FN_RT_MATRIX_RANK, 0, 0, .307543);
    CHECK(FN_RT_LINEAR_COMPLEXITY, 1000, 0, .844721);
    CHECK(FN_RT_LINEAR_COMPLEXITY, 500, 0, .826194);
    CHECK2(FN_RT_UNIVERSAL, 0, .282568, .141284);
    free(bits);
    free(bytes);
    BN_free(p);
    BN_free(q);
    BN_CTX_free(ctx);
}

/* SM3(be32(0)) ‖ SM3(be32(1)) ‖ … */
static uint8_t *stream_bits(size_t n)
{
    uint8_t *bits = malloc(n), digest[32], number[4];
    assert_non_null(bits);
    for (uint32_t i = 0; i < (n + 255) / 256; i++) {
        fn_put_be32(number, i);
        fn_sm3_digest(number, 4, digest);
        unpack(bits + 256 * i, digest, n - 256 * i < 256 ? n - 256 * i : 256);
    }
    return bits;
}

static void stream_20000(void **state)
{
    (void)state;
    const size_t n = 20000;
    uint8_t *bits = stream_bits(n);
    CHECK2(FN_RT_MONOBIT, 0, .234857, .117429);
    CHECK(FN_RT_BLOCK_FREQUENCY, 1000, 0, .240302);
    CHECK(FN_RT_POKER, 4, 0, .143342);
    CHECK(FN_RT_POKER, 8, 0, .510496);
    CHECK(FN_RT_OVERLAPPING, 3, 0, .407632);
    CHECK(FN_RT_OVERLAPPING, 3, 1, .281169);
    CHECK(FN_RT_OVERLAPPING, 5, 0, .770601);
    CHECK(FN_RT_OVERLAPPING, 5, 1, .752434);
    CHECK2(FN_RT_RUNS, 0, .861959, .569021);
    CHECK(FN_RT_RUN_DISTRIBUTION, 0, 0, .761947);
    CHECK(FN_RT_LONGEST_RUN, 128, 0, .175028);
    CHECK(FN_RT_LONGEST_RUN, 128, 1, .648235);
    CHECK2(FN_RT_DERIVATIVE, 3, .190790, .904605);
    CHECK2(FN_RT_DERIVATIVE, 7, .645732, .677134);
    CHECK2(FN_RT_AUTOCORRELATION, 2, .110012, .944994);
    CHECK2(FN_RT_AUTOCORRELATION, 8, .315238, .157619);
    CHECK2(FN_RT_AUTOCORRELATION, 16, .650744, .325372);
    CHECK(FN_RT_CUMULATIVE_SUMS, 0, 0, .282680);
    CHECK(FN_RT_CUMULATIVE_SUMS, 0, 1, .081998);
    CHECK(FN_RT_APPROXIMATE_ENTROPY, 2, 0, .413227);
    CHECK(FN_RT_APPROXIMATE_ENTROPY, 5, 0, .892990);
    CHECK2(FN_RT_DFT, 0, .184126, .907937);
    free(bits);
}

static void stream_million(void **state)
{
    (void)state;
    const size_t n = 1000000;
    uint8_t *bits = stream_bits(n);
    CHECK2(FN_RT_MONOBIT, 0, .010959, .005480);
    CHECK(FN_RT_BLOCK_FREQUENCY, 10000, 0, .705240);
    CHECK(FN_RT_POKER, 4, 0, .009832);
    CHECK(FN_RT_POKER, 8, 0, .019397);
    CHECK(FN_RT_OVERLAPPING, 3, 0, .094794);
    CHECK(FN_RT_OVERLAPPING, 3, 1, .922998);
    CHECK(FN_RT_OVERLAPPING, 5, 0, .138548);
    CHECK(FN_RT_OVERLAPPING, 5, 1, .988415);
    CHECK2(FN_RT_RUNS, 0, .261210, .869395);
    CHECK(FN_RT_RUN_DISTRIBUTION, 0, 0, .355901);
    CHECK(FN_RT_LONGEST_RUN, 10000, 0, .059305);
    CHECK(FN_RT_LONGEST_RUN, 10000, 1, .422307);
    CHECK2(FN_RT_DERIVATIVE, 3, .047144, .976428);
    CHECK2(FN_RT_DERIVATIVE, 7, .099969, .049984);
    CHECK2(FN_RT_AUTOCORRELATION, 1, .258055, .870973);
    CHECK2(FN_RT_AUTOCORRELATION, 2, .988830, .494415);
    CHECK2(FN_RT_AUTOCORRELATION, 8, .539214, .269607);
    CHECK2(FN_RT_AUTOCORRELATION, 16, .511821, .255910);
    CHECK(FN_RT_CUMULATIVE_SUMS, 0, 0, .007068);
    CHECK(FN_RT_CUMULATIVE_SUMS, 0, 1, .015398);
    CHECK(FN_RT_APPROXIMATE_ENTROPY, 2, 0, .095162);
    CHECK(FN_RT_APPROXIMATE_ENTROPY, 5, 0, .395474);
    CHECK(FN_RT_MATRIX_RANK, 0, 0, .990270);
    CHECK(FN_RT_LINEAR_COMPLEXITY, 500, 0, .295843);
    CHECK(FN_RT_LINEAR_COMPLEXITY, 1000, 0, .254061);
    CHECK2(FN_RT_UNIVERSAL, 0, .582010, .708995);
    CHECK2(FN_RT_DFT, 0, .641858, .679071);
    free(bits);
}

static void pass_counts(void **state)
{
    (void)state;
    static const size_t want[][2] = {{20, 19}, {50, 48}, {100, 97}, {1000, 981}};
    for (size_t i = 0; i < FN_COUNT(want); i++)
        assert_int_equal(fn_randomness_pass_count(want[i][0]), want[i][1]);
}

static void uniformity(void **state)
{
    (void)state;
    double q[100];
    for (int i = 0; i < 100; i++) q[i] = i / 100.0;
    assert_near(fn_randomness_uniformity(q, 100), 1);
    for (int i = 0; i < 100; i++) q[i] = 1; /* Q = 1 belongs to the last class */
    assert_near(fn_randomness_uniformity(q, 100), 0);
}

static fn_err zeros(void *self, uint8_t *out, size_t n)
{
    (void)self;
    memset(out, 0, n);
    return FN_OK;
}

/* Every eighth bit is always zero. */
static fn_err weak(void *self, uint8_t *out, size_t n)
{
    FN_TRY(fn_drbg_fill(self, out, n));
    for (size_t i = 0; i < n; i++) out[i] &= 0x7f;
    return FN_OK;
}

static fn_err counted(void *self, uint8_t *out, size_t n)
{
    struct {
        struct fn_drbg d;
        size_t total;
    } *c = self;
    c->total += n;
    return fn_drbg_fill(&c->d, out, n);
}

static void periodic_group(void **state)
{
    (void)state;
    static const struct fn_drbg_limits many = {1u << 30, 1000};
    static const uint8_t seed[48] = {9};
    struct {
        struct fn_drbg d;
        size_t total;
    } c = {0};
    struct fn_randomness_report report;
    assert_int_equal(fn_drbg_instantiate(&c.d, FN_DRBG_SM3_HASH, &many, fn_bytes(seed, 32),
                                         fn_bytes(seed + 32, 16), fn_bytes(NULL, 0)),
                     FN_OK);
    struct fn_rng good = {counted, &c}, zero = {zeros, NULL}, bad = {weak, &c.d};
    assert_int_equal(fn_randomness_check(&fn_randomness_periodic, &good, 0, &report), FN_OK);
    assert_int_equal(c.total, 50000);
    assert_int_equal(report.rows, 22);
    assert_int_equal(report.needed, 19);
    assert_true(report.good);
    unsigned items = 0;
    for (size_t i = 0; i < report.rows; i++) items |= 1u << report.row[i].test.item;
    assert_int_equal(items, 0x1ffe); /* 1 to 12 */
    assert_int_equal(fn_randomness_check(&fn_randomness_periodic, &zero, 1, &report), FN_E_RANDOM_SOURCE);
    assert_false(report.good);
    assert_int_equal(fn_randomness_check(&fn_randomness_periodic, &bad, 1, &report), FN_E_RANDOM_SOURCE);
    assert_false(report.good);
}

/* Bad for one run, good from then on: the repetition decides, and only over the tests that failed. */
static fn_err recovers(void *self, uint8_t *out, size_t n)
{
    struct {
        struct fn_drbg d;
        size_t total;
    } *c = self;
    c->total += n;
    return c->total <= 50000 ? weak(&c->d, out, n) : fn_drbg_fill(&c->d, out, n);
}

static void one_repetition(void **state)
{
    (void)state;
    static const struct fn_drbg_limits many = {1u << 30, 1000};
    static const uint8_t seed[48] = {5};
    struct {
        struct fn_drbg d;
        size_t total;
    } c = {0};
    struct fn_randomness_report report;
    assert_int_equal(fn_drbg_instantiate(&c.d, FN_DRBG_SM3_HASH, &many, fn_bytes(seed, 32),
                                         fn_bytes(seed + 32, 16), fn_bytes(NULL, 0)),
                     FN_OK);
    struct fn_rng rng = {recovers, &c};
    assert_int_equal(fn_randomness_check(&fn_randomness_periodic, &rng, 0, &report), FN_E_RANDOM_SOURCE);
    c.total = 0;
    assert_int_equal(fn_randomness_check(&fn_randomness_periodic, &rng, 1, &report), FN_OK);
    assert_int_equal(c.total, 100000);
    assert_int_equal(report.rows, 22);
}

static void single_use(void **state)
{
    (void)state;
    uint8_t p[64];
    for (size_t i = 0; i < sizeof p; i++) p[i] = (uint8_t)(i * 0x1b + (i >> 2) * 0x35);
    assert_true(fn_randomness_single(p, 64));
    assert_false(fn_randomness_single(p, 15));
    memset(p, 0, sizeof p);
    assert_false(fn_randomness_single(p, 16));
    assert_false(fn_randomness_single(p, 64));
    /* 64 pairs of bits of which one kind comes x times more than the others: V = 4/64·Σ n² − 64. */
    memset(p, 0x1b, 16); /* 16 of each: V = 0 */
    assert_true(fn_randomness_single(p, 16));
    memset(p, 0x00, 3); /* 25, 13, 13, 13: V = 6.75 */
    assert_true(fn_randomness_single(p, 16));
    p[3] = 0; /* 28, 12, 12, 12: V = 12 > 11.345 */
    assert_false(fn_randomness_single(p, 16));
}

static void arguments(void **state)
{
    (void)state;
    uint8_t bits[16] = {0};
    struct fn_randomness_value v;
    assert_int_equal(fn_randomness_run((enum fn_randomness_item)0, 0, bits, 16, &v), FN_E_ARGUMENT);
    assert_int_equal(fn_randomness_run((enum fn_randomness_item)16, 0, bits, 16, &v), FN_E_ARGUMENT);
    assert_int_equal(fn_randomness_run(FN_RT_POKER, 9, bits, 16, &v), FN_E_ARGUMENT);
    assert_int_equal(fn_randomness_run(FN_RT_OVERLAPPING, 1, bits, 16, &v), FN_E_ARGUMENT);
    assert_int_equal(fn_randomness_run(FN_RT_LONGEST_RUN, 100, bits, 16, &v), FN_E_ARGUMENT);
    assert_int_equal(fn_randomness_run(FN_RT_DERIVATIVE, 16, bits, 16, &v), FN_E_ARGUMENT);
    for (int item = 1; item <= FN_RT_ITEMS; item++) { /* too short for most: no value, no crash */
        static const unsigned usable[] = {0, 0, 1000, 4, 3, 0, 0, 128, 3, 2, 0, 0, 2, 500, 0, 0};
        for (size_t n = 2; n <= 16; n++)
            assert_int_equal(fn_randomness_run((enum fn_randomness_item)item, usable[item], bits, n, &v),
                             FN_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_128),  cmocka_unit_test(example_100),    cmocka_unit_test(example_e),
        cmocka_unit_test(stream_20000), cmocka_unit_test(stream_million), cmocka_unit_test(pass_counts),
        cmocka_unit_test(uniformity),   cmocka_unit_test(periodic_group), cmocka_unit_test(one_repetition),
        cmocka_unit_test(single_use),   cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
