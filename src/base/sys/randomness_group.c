/* Groups of randomness tests over many samples. */
#include "base/sys/randomness.h"

#include "base/sys/heap.h"
#include "base/sys/randomness_math.h"
#include <math.h>
#include <string.h>

#define COMMON_TESTS                                                                                         \
    {FN_RT_MONOBIT, 0}, {FN_RT_POKER, 4}, {FN_RT_POKER, 8}, {FN_RT_OVERLAPPING, 3}, {FN_RT_OVERLAPPING, 5},  \
        {FN_RT_RUNS, 0}, {FN_RT_RUN_DISTRIBUTION, 0}, {FN_RT_DERIVATIVE, 3}, {FN_RT_DERIVATIVE, 7},          \
        {FN_RT_AUTOCORRELATION, 2}, {FN_RT_AUTOCORRELATION, 8}, {FN_RT_AUTOCORRELATION, 16},                 \
        {FN_RT_MATRIX_RANK, 0}, {FN_RT_CUMULATIVE_SUMS, 0}, {FN_RT_APPROXIMATE_ENTROPY, 2},                  \
    {                                                                                                        \
        FN_RT_APPROXIMATE_ENTROPY, 5                                                                         \
    }
#define LONG_TESTS                                                                                           \
    {FN_RT_AUTOCORRELATION, 1}, {FN_RT_LONGEST_RUN, 10000}, {FN_RT_LINEAR_COMPLEXITY, 500},                  \
    {                                                                                                        \
        FN_RT_UNIVERSAL, 0                                                                                   \
    }

/* 20,000 bits; the last one belongs to the fifteen but not to the periodic group (GM/T 0030 6.2). */
static const struct fn_randomness_test tests_short[] = {
    COMMON_TESTS, {FN_RT_BLOCK_FREQUENCY, 1000}, {FN_RT_LONGEST_RUN, 128}, {FN_RT_DFT, 0}};
static const struct fn_randomness_test tests_million[] = {
    COMMON_TESTS, LONG_TESTS, {FN_RT_BLOCK_FREQUENCY, 10000}, {FN_RT_DFT, 0}};
static const struct fn_randomness_test tests_huge[] = {
    COMMON_TESTS,           LONG_TESTS,    {FN_RT_BLOCK_FREQUENCY, 100000}, {FN_RT_OVERLAPPING, 7},
    {FN_RT_DERIVATIVE, 15}, {FN_RT_DFT, 0}};

const struct fn_randomness_group fn_randomness_factory = {"factory",     {"出厂检测", "factory"}, 50, 1000000,
                                                          tests_million, FN_COUNT(tests_million)};
const struct fn_randomness_group fn_randomness_power_on = {
    "power-on", {"上电检测", "power-on"}, 20, 1000000, tests_million, FN_COUNT(tests_million)};
const struct fn_randomness_group fn_randomness_periodic = {"periodic",  {"周期检测", "periodic"}, 20, 20000,
                                                           tests_short, FN_COUNT(tests_short) - 1};

const struct fn_randomness_group *fn_randomness_group_named(const char *name)
{
    static const struct fn_randomness_group *const all[] = {&fn_randomness_factory, &fn_randomness_power_on,
                                                            &fn_randomness_periodic};
    for (size_t i = 0; i < FN_COUNT(all); i++) {
        if (strcmp(all[i]->name, name) == 0) return all[i];
    }
    return NULL;
}

const struct fn_randomness_test *fn_randomness_tests_for(size_t n, size_t *count)
{
    if (n < 1000000) {
        *count = FN_COUNT(tests_short);
        return tests_short;
    }
    if (n < 100000000) {
        *count = FN_COUNT(tests_million);
        return tests_million;
    }
    *count = FN_COUNT(tests_huge);
    return tests_huge;
}

size_t fn_randomness_pass_count(size_t samples)
{
    const double s = (double)samples, alpha = FN_RANDOMNESS_ALPHA;
    double least = s * (1 - alpha - 3 * sqrt(alpha * (1 - alpha) / s));
    return least > 0 ? (size_t)ceil(least) : 0;
}

double fn_randomness_uniformity(const double *q, size_t samples)
{
    size_t counts[10] = {0};
    double expected = (double)samples / 10, sum = 0;
    for (size_t i = 0; i < samples; i++) {
        int class = (int)(q[i] * 10);
        counts[class < 0 ? 0 : class > 9 ? 9 : class]++;
    }
    for (int i = 0; i < 10; i++) {
        double off = (double)counts[i] - expected;
        sum += off * off / expected;
    }
    return fn_igamc(4.5, sum / 2);
}

/* A run over samples that come one by one. */
struct run {
    struct fn_randomness_report *report;
    const struct fn_randomness_test *tests;
    size_t test_count, done;
    uint8_t *bits;
    double *q; /* [row][sample] */
};

static void run_free(struct run *r)
{
    free(r->bits);
    free(r->q);
}

static fn_err run_start(struct run *r, const struct fn_randomness_test *tests, size_t test_count,
                        size_t samples, size_t sample_bits, struct fn_randomness_report *report)
{
    if (samples == 0 || sample_bits == 0 || sample_bits % 8 != 0 || test_count * 2 > FN_RANDOMNESS_ROWS)
        return FN_FAIL(FN_E_ARGUMENT, "%zu samples of %zu bits, %zu tests", samples, sample_bits, test_count);
    *report = (struct fn_randomness_report){
        .samples = samples, .sample_bits = sample_bits, .needed = fn_randomness_pass_count(samples)};
    r->report = report;
    r->tests = tests;
    r->test_count = test_count;
    FN_TRY(fn_heap_array(&r->bits, sample_bits, 1));
    return fn_heap_array(&r->q, samples * FN_RANDOMNESS_ROWS, sizeof *r->q);
}

static void note_value(struct run *r, size_t row_number, const struct fn_randomness_test *test,
                       unsigned which, const struct fn_randomness_value *value)
{
    struct fn_randomness_row *row = &r->report->row[row_number];
    if (r->done == 0)
        *row = (struct fn_randomness_row){
            .test = *test, .value = which, .p = value->p[which], .q = value->q[which]};
    row->passed += value->p[which] >= FN_RANDOMNESS_ALPHA;
    r->q[row_number * r->report->samples + r->done] = value->q[which];
}

static fn_err run_sample(struct run *r, const uint8_t *bytes)
{
    size_t n = r->report->sample_bits, rows = 0;
    for (size_t i = 0; i < n; i++) r->bits[i] = bytes[i / 8] >> (7 - i % 8) & 1;
    for (size_t t = 0; t < r->test_count; t++) {
        struct fn_randomness_value value;
        FN_TRY(fn_randomness_run(r->tests[t].item, r->tests[t].parameter, r->bits, n, &value));
        for (unsigned k = 0; k < value.values; k++) note_value(r, rows++, &r->tests[t], k, &value);
    }
    r->report->rows = rows;
    r->done++;
    return FN_OK;
}

/* The item first, then the parameter: the order of the standard. */
static void sort_rows(struct fn_randomness_report *report)
{
    for (size_t i = 1; i < report->rows; i++) {
        struct fn_randomness_row row = report->row[i];
        size_t k = i;
        for (; k > 0; k--) {
            const struct fn_randomness_test *a = &report->row[k - 1].test;
            if (a->item < row.test.item || (a->item == row.test.item && a->parameter <= row.test.parameter))
                break;
            report->row[k] = report->row[k - 1];
        }
        report->row[k] = row;
    }
}

/* A lone sample is judged by P alone: ten classes of one value say nothing. */
static void run_judge(struct run *r)
{
    struct fn_randomness_report *report = r->report;
    report->good = report->rows > 0;
    for (size_t i = 0; i < report->rows; i++) {
        struct fn_randomness_row *row = &report->row[i];
        row->uniformity =
            report->samples > 1 ? fn_randomness_uniformity(r->q + i * report->samples, report->samples) : 1;
        row->good = row->passed >= report->needed && row->uniformity >= FN_RANDOMNESS_ALPHA_UNIFORM;
        if (report->samples == 1) row->good = row->passed == 1;
        if (!row->good) report->good = false;
    }
    sort_rows(report);
}

fn_err fn_randomness_samples(const struct fn_randomness_test *tests, size_t test_count, const uint8_t *bytes,
                             size_t samples, size_t sample_bits, struct fn_randomness_report *report)
{
    struct run r __attribute__((cleanup(run_free))) = {0};
    FN_TRY(run_start(&r, tests, test_count, samples, sample_bits, report));
    for (size_t i = 0; i < samples; i++) FN_TRY(run_sample(&r, bytes + i * (sample_bits / 8)));
    run_judge(&r);
    return FN_OK;
}

static fn_err run_on_rng(const struct fn_randomness_group *group, const struct fn_randomness_test *tests,
                         size_t test_count, const struct fn_rng *rng, struct fn_randomness_report *report)
{
    struct run r __attribute__((cleanup(run_free))) = {0};
    FN_SCOPED_HEAP uint8_t *bytes = NULL;
    FN_TRY(fn_heap_array(&bytes, group->sample_bits / 8, 1));
    FN_TRY(run_start(&r, tests, test_count, group->samples, group->sample_bits, report));
    for (size_t i = 0; i < group->samples; i++) {
        FN_TRY(fn_rng_fill(rng, bytes, group->sample_bits / 8));
        FN_TRY(run_sample(&r, bytes));
    }
    run_judge(&r);
    report->group = group;
    return FN_OK;
}

static size_t failed_tests(const struct fn_randomness_report *report, struct fn_randomness_test *tests)
{
    size_t count = 0;
    for (size_t i = 0; i < report->rows; i++) {
        const struct fn_randomness_row *row = &report->row[i];
        bool listed = count > 0 && memcmp(&tests[count - 1], &row->test, sizeof row->test) == 0;
        if (!row->good && !listed) tests[count++] = row->test;
    }
    return count;
}

/* Rows of the repetition take the place of the rows that failed. */
static void replace_failed(struct fn_randomness_report *report, const struct fn_randomness_report *again)
{
    report->good = true;
    for (size_t i = 0; i < report->rows; i++) {
        struct fn_randomness_row *row = &report->row[i];
        for (size_t k = 0; k < again->rows && !row->good; k++) {
            const struct fn_randomness_row *new_row = &again->row[k];
            if (memcmp(&row->test, &new_row->test, sizeof row->test) != 0 || row->value != new_row->value)
                continue;
            *row = *new_row;
            break;
        }
        if (!row->good) report->good = false;
    }
}

fn_err fn_randomness_check(const struct fn_randomness_group *group, const struct fn_rng *rng,
                           unsigned repeats, struct fn_randomness_report *report)
{
    FN_TRY(run_on_rng(group, group->tests, group->test_count, rng, report));
    for (unsigned i = 0; i < repeats && !report->good; i++) {
        struct fn_randomness_test tests[FN_RANDOMNESS_ROWS];
        struct fn_randomness_report again;
        size_t count = failed_tests(report, tests);
        FN_TRY(run_on_rng(group, tests, count, rng, &again));
        replace_failed(report, &again);
    }
    if (report->good) return FN_OK;
    return FN_FAIL(FN_E_RANDOM_SOURCE, "randomness tests (%s) failed", group->name);
}
