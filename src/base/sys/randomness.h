/* The fifteen randomness tests of GM/T 0005-2021 and the groups in which a device runs them (GM/T 0030 6.2,
 * GM/T 0062). */
#ifndef FN_BASE_SYS_RANDOMNESS_H
#define FN_BASE_SYS_RANDOMNESS_H

#include "base/core/bytes.h"
#include "crypto/rng/rng.h"

#define FN_RANDOMNESS_ALPHA         0.01   /* a P below this fails */
#define FN_RANDOMNESS_ALPHA_UNIFORM 0.0001 /* P_T, the uniformity of many Q */

enum fn_randomness_item {
    FN_RT_MONOBIT = 1,
    FN_RT_BLOCK_FREQUENCY,
    FN_RT_POKER,
    FN_RT_OVERLAPPING,
    FN_RT_RUNS,
    FN_RT_RUN_DISTRIBUTION,
    FN_RT_LONGEST_RUN,
    FN_RT_DERIVATIVE,
    FN_RT_AUTOCORRELATION,
    FN_RT_MATRIX_RANK,
    FN_RT_CUMULATIVE_SUMS,
    FN_RT_APPROXIMATE_ENTROPY,
    FN_RT_LINEAR_COMPLEXITY,
    FN_RT_UNIVERSAL,
    FN_RT_DFT,
    FN_RT_ITEMS = FN_RT_DFT
};

/* Longest sequence for the Fourier test, which needs up to 160 bytes for each bit; beyond it the test is left
 * out. */
#define FN_RANDOMNESS_DFT_MOST ((size_t)1 << 23)

/* Names by enum fn_lang. */
const char *fn_randomness_name(enum fn_randomness_item item, int lang);

/* P decides, Q goes into the uniformity; they differ in the two-sided tests. Two values where a test has two
 * statistics: overlapping (first and second difference), longest run (of ones, of zeros), cumulative sums
 * (forward, backward). */
struct fn_randomness_value {
    double p[2], q[2];
    unsigned values; /* 1 or 2; 0 when the sequence does not suit the test */
};

/* One test of n bits, one bit a byte (0 or 1). `parameter` is m, d or k of the test's definition and is
 * ignored by tests that have none (longest run: m = 8, 128 or 10,000; universal: L = 7, Q = 1,280).
 * FN_E_NO_MEMORY, FN_E_ARGUMENT. */
fn_err fn_randomness_run(enum fn_randomness_item item, unsigned parameter, const uint8_t *bits, size_t n,
                         struct fn_randomness_value *value);

/* A test with its parameter. Lists are data: what a stage runs is one of these. */
struct fn_randomness_test {
    enum fn_randomness_item item;
    unsigned parameter;
};
struct fn_randomness_group {
    const char *name, *title[2];
    size_t samples, sample_bits;
    const struct fn_randomness_test *tests;
    size_t test_count;
};
extern const struct fn_randomness_group fn_randomness_factory, fn_randomness_power_on, fn_randomness_periodic;
/* By name: "factory", "power-on", "periodic"; NULL. */
const struct fn_randomness_group *fn_randomness_group_named(const char *name);
/* The tests for sequences of about n bits (all fifteen where n allows); *count of them. */
const struct fn_randomness_test *fn_randomness_tests_for(size_t n, size_t *count);

/* How many of s samples must pass: s(1 − α − 3√(α(1 − α)/s)), rounded up. */
size_t fn_randomness_pass_count(size_t samples);
/* P_T of s values of Q. */
double fn_randomness_uniformity(const double *q, size_t samples);

/* Result of one value of one test over all samples. */
#define FN_RANDOMNESS_ROWS 48
struct fn_randomness_row {
    struct fn_randomness_test test;
    unsigned value; /* 0 or 1 */
    size_t passed;  /* samples */
    double p, q;    /* of the first sample */
    double uniformity;
    bool good;
};
struct fn_randomness_report {
    const struct fn_randomness_group *group;
    size_t samples, sample_bits, needed;
    struct fn_randomness_row row[FN_RANDOMNESS_ROWS];
    size_t rows;
    bool good;
};

/* Runs tests on `samples` consecutive samples of sample_bits bits each (a multiple of 8), most significant
 * bit first. */
fn_err fn_randomness_samples(const struct fn_randomness_test *tests, size_t test_count, const uint8_t *bytes,
                             size_t samples, size_t sample_bits, struct fn_randomness_report *report);

/* A group on a generator, `repeats` more times on fresh output while rows fail. In a repetition only the
 * tests that failed are judged. report->good is the outcome; FN_E_RANDOM_SOURCE when it is not good. The
 * periodic group takes 50,000 bytes.
 *
 * The standards allow one repetition. A row of 20 samples fails by chance in 1.7 % of all runs, so that a
 * perfect generator fails the periodic group of 22 rows with a probability of about 0.3 without repetition,
 * 0.006 with one, 10^-4 with two and 2·10^-6 with three. */
fn_err fn_randomness_check(const struct fn_randomness_group *group, const struct fn_rng *rng,
                           unsigned repeats, struct fn_randomness_report *report);

/* Single use: poker test with m = 2 below 320 bits, else 4; n of at least 16 bytes. */
bool fn_randomness_single(const uint8_t *p, size_t n);

#endif
