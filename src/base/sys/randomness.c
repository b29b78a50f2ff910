#include "base/sys/randomness.h"

#include "base/sys/heap.h"
#include "base/sys/randomness_math.h"
#include <math.h>

typedef fn_err (*test_function)(unsigned parameter, const uint8_t *bits, size_t n,
                                struct fn_randomness_value *v);

static size_t count_ones(const uint8_t *bits, size_t n)
{
    size_t ones = 0;
    for (size_t i = 0; i < n; i++) ones += bits[i];
    return ones;
}

/* Statistic that is normal for random bits: P looks at both sides, Q at one. */
static void two_sided(struct fn_randomness_value *v, double statistic)
{
    v->p[v->values] = erfc(fabs(statistic) / M_SQRT2);
    v->q[v->values++] = 0.5 * erfc(statistic / M_SQRT2);
}

static void one_value(struct fn_randomness_value *v, double p)
{
    v->p[v->values] = v->q[v->values] = p;
    v->values++;
}

static double balance(const uint8_t *bits, size_t n)
{
    return (2 * (double)count_ones(bits, n) - (double)n) / sqrt((double)n);
}

static fn_err monobit(unsigned parameter, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    (void)parameter;
    two_sided(v, balance(bits, n));
    return FN_OK;
}

static fn_err block_frequency(unsigned m, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    size_t blocks = m ? n / m : 0;
    double sum = 0;
    if (blocks == 0) return FN_OK;
    for (size_t i = 0; i < blocks; i++) {
        double off = (double)count_ones(bits + i * m, m) / m - 0.5;
        sum += off * off;
    }
    one_value(v, fn_igamc((double)blocks / 2, 2 * m * sum));
    return FN_OK;
}

#define PATTERN_BITS 8 /* longest pattern whose occurrences are counted */

static fn_err poker(unsigned m, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    size_t counts[1 << PATTERN_BITS] = {0}, kinds = (size_t)1 << m, blocks;
    if (m < 1 || m > PATTERN_BITS) return FN_FAIL(FN_E_ARGUMENT, "poker test with m = %u", m);
    blocks = n / m;
    if (blocks == 0) return FN_OK;
    for (size_t i = 0; i < blocks; i++) {
        unsigned pattern = 0;
        for (unsigned k = 0; k < m; k++) pattern = pattern << 1 | bits[i * m + k];
        counts[pattern]++;
    }
    double sum = 0;
    for (size_t i = 0; i < kinds; i++) sum += (double)counts[i] * (double)counts[i];
    double statistic = (double)kinds / (double)blocks * sum - (double)blocks;
    one_value(v, fn_igamc((double)(kinds - 1) / 2, statistic / 2));
    return FN_OK;
}

/* Occurrences of every m-bit pattern in the cyclic sequence. */
static void count_patterns(unsigned m, const uint8_t *bits, size_t n, size_t counts[1 << PATTERN_BITS])
{
    unsigned pattern = 0, mask = (1u << m) - 1;
    memset(counts, 0, sizeof(size_t) << PATTERN_BITS);
    for (unsigned k = 0; k + 1 < m; k++) pattern = pattern << 1 | bits[k % n];
    for (size_t i = 0, next = m > 0 ? (m - 1) % n : 0; i < n; i++) {
        pattern = (pattern << 1 | bits[next]) & mask;
        counts[pattern]++;
        if (++next == n) next = 0;
    }
}

/* Patterns of m−1 bits from those of m: in a cycle every one is followed by 0 or 1. */
static void shorten_patterns(unsigned m, size_t counts[1 << PATTERN_BITS])
{
    for (size_t i = 0; i < (size_t)1 << (m - 1); i++) counts[i] = counts[2 * i] + counts[2 * i + 1];
}

static double psi_square(unsigned m, const size_t *counts, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < (size_t)1 << m; i++) sum += (double)counts[i] * (double)counts[i];
    return (double)((size_t)1 << m) / (double)n * sum - (double)n;
}

static fn_err overlapping(unsigned m, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    size_t counts[1 << PATTERN_BITS];
    double psi[3];
    if (m < 2 || m > PATTERN_BITS) return FN_FAIL(FN_E_ARGUMENT, "overlapping test with m = %u", m);
    if (n < m) return FN_OK;
    count_patterns(m, bits, n, counts);
    for (unsigned k = 0; k < 3; k++) {
        psi[k] = psi_square(m - k, counts, n);
        if (k < 2) shorten_patterns(m - k, counts);
    }
    one_value(v, fn_igamc(ldexp(1, (int)m - 2), (psi[0] - psi[1]) / 2));
    one_value(v, fn_igamc(ldexp(1, (int)m - 3), (psi[0] - 2 * psi[1] + psi[2]) / 2));
    return FN_OK;
}

static size_t count_runs(const uint8_t *bits, size_t n)
{
    size_t runs = n > 0;
    for (size_t i = 1; i < n; i++) runs += bits[i] ^ bits[i - 1];
    return runs;
}

static fn_err runs(unsigned parameter, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    (void)parameter;
    double share = (double)count_ones(bits, n) / (double)n, product = share * (1 - share);
    if (product == 0)
        one_value(v, 0);
    else
        two_sided(v,
                  ((double)count_runs(bits, n) - 2 * (double)n * product) / (2 * sqrt((double)n) * product));
    return FN_OK;
}

#define RUN_MOST 32

static fn_err run_distribution(unsigned parameter, const uint8_t *bits, size_t n,
                               struct fn_randomness_value *v)
{
    (void)parameter;
    size_t counts[2][RUN_MOST + 1] = {{0}};
    unsigned k = 0;
    while (k < RUN_MOST && ((double)n - (k + 1) + 3) / ldexp(1, (int)k + 3) >= 5) k++;
    if (k < 2) return FN_OK;
    for (size_t i = 0; i < n;) {
        size_t start = i;
        while (i < n && bits[i] == bits[start]) i++;
        counts[bits[start]][i - start < k ? i - start : k]++;
    }
    double total = (double)count_runs(bits, n), sum = 0;
    for (unsigned i = 1; i <= k; i++) {
        double expected = total / ldexp(1, i < k ? (int)i + 1 : (int)k);
        for (int bit = 0; bit < 2; bit++) {
            double off = (double)counts[bit][i] - expected;
            sum += off * off / expected;
        }
    }
    one_value(v, fn_igamc(k - 1, sum / 2));
    return FN_OK;
}

struct longest_table {
    unsigned m, least, classes; /* the first class is "at most `least`" */
    double share[7];
};
static const struct longest_table longest_tables[] = {
    {8, 1, 4, {.2148, .3672, .2305, .1875}},
    {128, 4, 6, {.1174, .2430, .2494, .1752, .1027, .1124}},
    {10000, 10, 7, {.086632, .208201, .248419, .193913, .121458, .068011, .073366}},
};

static unsigned longest_in_block(const uint8_t *bits, unsigned m, uint8_t bit)
{
    unsigned longest = 0, run = 0;
    for (unsigned i = 0; i < m; i++) {
        run = bits[i] == bit ? run + 1 : 0;
        if (run > longest) longest = run;
    }
    return longest;
}

static fn_err longest_run(unsigned m, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    const struct longest_table *t = longest_tables;
    while (t < longest_tables + FN_COUNT(longest_tables) && t->m != m) t++;
    if (t == longest_tables + FN_COUNT(longest_tables))
        return FN_FAIL(FN_E_ARGUMENT, "longest run with m = %u", m);
    size_t blocks = n / m;
    if (blocks == 0) return FN_OK;
    for (int which = 0; which < 2; which++) {
        const uint8_t bit = which == 0; /* ones first */
        size_t counts[7] = {0};
        for (size_t i = 0; i < blocks; i++) {
            unsigned longest = longest_in_block(bits + i * m, m, bit);
            unsigned class = longest <= t->least ? 0 : longest - t->least;
            counts[class < t->classes ? class : t->classes - 1]++;
        }
        double sum = 0;
        for (unsigned i = 0; i < t->classes; i++) {
            double expected = (double)blocks * t->share[i], off = (double)counts[i] - expected;
            sum += off * off / expected;
        }
        one_value(v, fn_igamc((t->classes - 1) / 2.0, sum / 2));
    }
    return FN_OK;
}

#define DERIVATIVE_MOST 15

/* Bit i of the k-th derivative is the sum of those bits i+j whose binomial k over j is odd, that is j is a
 * submask of k. */
static fn_err derivative(unsigned k, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    unsigned taps[DERIVATIVE_MOST + 1], count = 0;
    if (k < 1 || k > DERIVATIVE_MOST) return FN_FAIL(FN_E_ARGUMENT, "binary derivative with k = %u", k);
    if (n <= k) return FN_OK;
    for (unsigned j = 0; j <= k; j++) {
        if ((j & ~k) == 0) taps[count++] = j;
    }
    size_t ones = 0, length = n - k;
    for (size_t i = 0; i < length; i++) {
        unsigned bit = 0;
        for (unsigned j = 0; j < count; j++) bit ^= bits[i + taps[j]];
        ones += bit;
    }
    two_sided(v, (2 * (double)ones - (double)length) / sqrt((double)length));
    return FN_OK;
}

static fn_err autocorrelation(unsigned d, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    if (d < 1) return FN_FAIL(FN_E_ARGUMENT, "autocorrelation with d = %u", d);
    if (n <= d) return FN_OK;
    size_t unequal = 0, length = n - d;
    for (size_t i = 0; i < length; i++) unequal += bits[i] ^ bits[i + d];
    two_sided(v, 2 * ((double)unequal - (double)length / 2) / sqrt((double)length));
    return FN_OK;
}

static fn_err matrix_rank(unsigned parameter, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    (void)parameter;
    static const double share[3] = {.2888, .5776, .1336};
    size_t matrices = n / 1024, counts[3] = {0};
    if (matrices == 0) return FN_OK;
    for (size_t i = 0; i < matrices; i++) {
        uint32_t row[32] = {0};
        for (size_t k = 0; k < 1024; k++) row[k / 32] = row[k / 32] << 1 | bits[1024 * i + k];
        unsigned rank = fn_rank32(row);
        counts[rank >= 31 ? 32 - rank : 2]++;
    }
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        double expected = (double)matrices * share[i], off = (double)counts[i] - expected;
        sum += off * off / expected;
    }
    one_value(v, fn_igamc(1, sum / 2));
    return FN_OK;
}

/* The bounds of the sums are the standard's: n/Z as a whole number, divisions towards zero. */
static double cumulative_p(int64_t n, int64_t z)
{
    double root = sqrt((double)n), p = 1;
    for (int64_t i = (-n / z + 1) / 4; i <= (n / z - 1) / 4; i++)
        p -= fn_normal((double)((4 * i + 1) * z) / root) - fn_normal((double)((4 * i - 1) * z) / root);
    for (int64_t i = (-n / z - 3) / 4; i <= (n / z - 1) / 4; i++)
        p += fn_normal((double)((4 * i + 3) * z) / root) - fn_normal((double)((4 * i + 1) * z) / root);
    return p;
}

static fn_err cumulative_sums(unsigned parameter, const uint8_t *bits, size_t n,
                              struct fn_randomness_value *v)
{
    (void)parameter;
    for (int backward = 0; backward < 2; backward++) {
        int64_t sum = 0, most = 0;
        for (size_t i = 0; i < n; i++) {
            sum += bits[backward ? n - 1 - i : i] ? 1 : -1;
            int64_t size = sum < 0 ? -sum : sum;
            if (size > most) most = size;
        }
        one_value(v, cumulative_p((int64_t)n, most));
    }
    return FN_OK;
}

static double phi(unsigned m, const size_t *counts, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < (size_t)1 << m; i++) {
        double share = (double)counts[i] / (double)n;
        if (counts[i] > 0) sum += share * log(share);
    }
    return sum;
}

static fn_err approximate_entropy(unsigned m, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    size_t counts[1 << PATTERN_BITS];
    if (m < 1 || m >= PATTERN_BITS) return FN_FAIL(FN_E_ARGUMENT, "approximate entropy with m = %u", m);
    if (n <= m) return FN_OK;
    count_patterns(m + 1, bits, n, counts);
    double longer = phi(m + 1, counts, n);
    shorten_patterns(m + 1, counts);
    double entropy = phi(m, counts, n) - longer;
    one_value(v, fn_igamc(ldexp(1, (int)m - 1), (double)n * (M_LN2 - entropy)));
    return FN_OK;
}

static fn_err linear_complexity(unsigned m, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    static const double share[7] = {.010417, .03125, .125, .5, .25, .0625, .020833};
    if (m < 2 || m > 5000) return FN_FAIL(FN_E_ARGUMENT, "linear complexity with m = %u", m);
    size_t blocks = n / m, counts[7] = {0};
    if (blocks == 0) return FN_OK;
    double sign = m % 2 ? -1 : 1, mean = m / 2.0 + (9 - sign) / 36 - (m / 3.0 + 2.0 / 9) / ldexp(1, (int)m);
    for (size_t i = 0; i < blocks; i++) {
        double t = sign * (fn_linear_complexity(bits + i * m, m) - mean) + 2.0 / 9;
        int class = (int)ceil(t + 2.5);
        counts[class < 0 ? 0 : class > 6 ? 6 : class]++;
    }
    double sum = 0;
    for (int i = 0; i < 7; i++) {
        double expected = (double)blocks * share[i], off = (double)counts[i] - expected;
        sum += off * off / expected;
    }
    one_value(v, fn_igamc(3, sum / 2));
    return FN_OK;
}

/* Maurer's test with blocks of L = 7 bits, the first Q = 1,280 of which only fill the table. */
static fn_err universal(unsigned parameter, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    (void)parameter;
    enum { L = 7, Q = 1280 };
    size_t blocks = n / L, last[1 << L] = {0};
    if (blocks <= Q) return FN_OK;
    double k = (double)(blocks - Q), sum = 0;
    for (size_t i = 1; i <= blocks; i++) {
        unsigned pattern = 0;
        for (unsigned b = 0; b < L; b++) pattern = pattern << 1 | bits[(i - 1) * L + b];
        if (i > Q) sum += log2((double)(i - last[pattern]));
        last[pattern] = i;
    }
    double c = 0.7 - 0.8 / L + (4 + 32.0 / L) * pow(k, -3.0 / L) / 15;
    two_sided(v, (sum / k - 6.1962507) / (c * sqrt(3.125 / k)));
    return FN_OK;
}

static fn_err dft(unsigned parameter, const uint8_t *bits, size_t n, struct fn_randomness_value *v)
{
    (void)parameter;
    size_t below;
    if (n > FN_RANDOMNESS_DFT_MOST) return FN_OK;
    FN_TRY(fn_dft_below(bits, n, sqrt(2.995732274 * (double)n), &below));
    two_sided(v, ((double)below - 0.95 * (double)n / 2) / sqrt(0.95 * 0.05 * (double)n / 3.8));
    return FN_OK;
}

static const struct {
    const char *name[2];
    test_function run;
} items[FN_RT_ITEMS + 1] = {
    [FN_RT_MONOBIT] = {{"单比特频数", "monobit frequency"}, monobit},
    [FN_RT_BLOCK_FREQUENCY] = {{"块内频数", "block frequency"}, block_frequency},
    [FN_RT_POKER] = {{"扑克", "poker"}, poker},
    [FN_RT_OVERLAPPING] = {{"重叠子序列", "overlapping subsequences"}, overlapping},
    [FN_RT_RUNS] = {{"游程总数", "number of runs"}, runs},
    [FN_RT_RUN_DISTRIBUTION] = {{"游程分布", "run distribution"}, run_distribution},
    [FN_RT_LONGEST_RUN] = {{"块内最大游程", "longest run in a block"}, longest_run},
    [FN_RT_DERIVATIVE] = {{"二元推导", "binary derivative"}, derivative},
    [FN_RT_AUTOCORRELATION] = {{"自相关", "autocorrelation"}, autocorrelation},
    [FN_RT_MATRIX_RANK] = {{"矩阵秩", "matrix rank"}, matrix_rank},
    [FN_RT_CUMULATIVE_SUMS] = {{"累加和", "cumulative sums"}, cumulative_sums},
    [FN_RT_APPROXIMATE_ENTROPY] = {{"近似熵", "approximate entropy"}, approximate_entropy},
    [FN_RT_LINEAR_COMPLEXITY] = {{"线性复杂度", "linear complexity"}, linear_complexity},
    [FN_RT_UNIVERSAL] = {{"通用统计", "Maurer universal"}, universal},
    [FN_RT_DFT] = {{"离散傅里叶", "discrete Fourier transform"}, dft},
};

const char *fn_randomness_name(enum fn_randomness_item item, int lang)
{
    return item >= FN_RT_MONOBIT && item <= FN_RT_ITEMS ? items[item].name[lang] : "";
}

fn_err fn_randomness_run(enum fn_randomness_item item, unsigned parameter, const uint8_t *bits, size_t n,
                         struct fn_randomness_value *value)
{
    *value = (struct fn_randomness_value){0};
    if (item < FN_RT_MONOBIT || item > FN_RT_ITEMS)
        return FN_FAIL(FN_E_ARGUMENT, "randomness test %d", (int)item);
    if (n < 2 || n > INT32_MAX) return FN_FAIL(FN_E_ARGUMENT, "sequence of %zu bits", n);
    return items[item].run(parameter, bits, n, value);
}

/* Critical values of χ² with 3 and 15 degrees of freedom at 0.01, so that a generator can be checked without
 * more mathematics. */
bool fn_randomness_single(const uint8_t *p, size_t n)
{
    const unsigned m = n * 8 < 320 ? 2 : 4, kinds = 1u << m;
    const double critical = m == 2 ? 11.344866730144371 : 30.577914166892491;
    size_t counts[16] = {0}, blocks = n * 8 / m;
    if (n < 16) return false;
    for (size_t i = 0; i < n; i++) {
        for (unsigned shift = 0; shift < 8; shift += m) counts[p[i] >> shift & (kinds - 1)]++;
    }
    double sum = 0;
    for (unsigned i = 0; i < kinds; i++) sum += (double)counts[i] * (double)counts[i];
    return (double)kinds / (double)blocks * sum - (double)blocks <= critical;
}
