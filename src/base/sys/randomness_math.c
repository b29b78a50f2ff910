#include "base/sys/randomness_math.h"

#include "base/sys/heap.h"
#include <math.h>

double fn_normal(double x)
{
    return 0.5 * erfc(-x / M_SQRT2);
}

/* P(a, x) by its power series, good for x < a + 1. */
static double gamma_series(double a, double x)
{
    double term = 1 / a, sum = term;
    for (int i = 1; i < 100000 && fabs(term) > fabs(sum) * 1e-17; i++) {
        term *= x / (a + i);
        sum += term;
    }
    return sum * exp(-x + a * log(x) - lgamma(a));
}

/* Q(a, x) by its continued fraction (evaluated from the front, after Lentz), good for x >= a + 1. */
static double gamma_fraction(double a, double x)
{
    const double tiny = 1e-300;
    double b = x + 1 - a, c = 1 / tiny, d = 1 / b, h = d;
    for (int i = 1; i < 100000; i++) {
        double an = -i * (i - a);
        b += 2;
        d = an * d + b;
        if (fabs(d) < tiny) d = tiny;
        c = b + an / c;
        if (fabs(c) < tiny) c = tiny;
        d = 1 / d;
        h *= d * c;
        if (fabs(d * c - 1) < 1e-16) break;
    }
    return h * exp(-x + a * log(x) - lgamma(a));
}

double fn_igamc(double a, double x)
{
    if (x <= 0) return 1;
    return x < a + 1 ? 1 - gamma_series(a, x) : gamma_fraction(a, x);
}

struct complex {
    double re, im;
};

static struct complex times(struct complex a, struct complex b)
{
    return (struct complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static void bit_reverse(struct complex *x, size_t n)
{
    for (size_t i = 1, j = 0; i < n; i++) {
        size_t bit = n >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i >= j) continue;
        struct complex t = x[i];
        x[i] = x[j];
        x[j] = t;
    }
}

/* In place, n a power of two, roots[k] = exp(-2πi k/n). */
static void fft(struct complex *x, size_t n, const struct complex *roots)
{
    bit_reverse(x, n);
    for (size_t half = 1; half < n; half *= 2) {
        size_t stride = n / 2 / half;
        for (size_t at = 0; at < n; at += 2 * half) {
            for (size_t k = 0; k < half; k++) {
                struct complex *a = x + at + k, *b = a + half, t = times(*b, roots[k * stride]);
                *b = (struct complex){a->re - t.re, a->im - t.im};
                *a = (struct complex){a->re + t.re, a->im + t.im};
            }
        }
    }
}

static struct complex unit(double turns)
{
    return (struct complex){cos(2 * M_PI * turns), -sin(2 * M_PI * turns)};
}

/* The chirp exp(-πi k²/n); k² is taken modulo 2n in integers so that no precision is lost. */
static struct complex chirp(uint64_t k, uint64_t n)
{
    return unit((double)(uint64_t)((unsigned __int128)k * k % (2 * n)) / (2 * (double)n));
}

/* Bluestein: f_j = chirp(j) · Σ (x_k chirp(k)) · conj chirp(j−k), a convolution that transforms of length 2^m
 * >= 2n do. */
static void bluestein(const uint8_t *bits, size_t n, struct complex *x, struct complex *y,
                      struct complex *roots, size_t size)
{
    for (size_t k = 0; k < size / 2; k++) roots[k] = unit((double)k / (double)size);
    for (size_t k = 0; k < n; k++) {
        struct complex c = chirp(k, n);
        x[k] = bits[k] ? c : (struct complex){-c.re, -c.im};
        y[k] = (struct complex){c.re, -c.im};
        if (k > 0) y[size - k] = y[k];
    }
    fft(x, size, roots);
    fft(y, size, roots);
    /* The inverse transform is the conjugate of the transform of the conjugate. */
    for (size_t k = 0; k < size; k++) {
        x[k] = times(x[k], y[k]);
        x[k].im = -x[k].im;
    }
    fft(x, size, roots);
}

fn_err fn_dft_below(const uint8_t *bits, size_t n, double limit, size_t *below)
{
    size_t size = 1;
    if (n < 2 || n > (size_t)1 << 27) return FN_FAIL(FN_E_ARGUMENT, "transform of %zu bits", n);
    while (size < 2 * n) size *= 2;
    FN_SCOPED_HEAP struct complex *x = NULL;
    FN_SCOPED_HEAP struct complex *y = NULL;
    FN_SCOPED_HEAP struct complex *roots = NULL;
    FN_TRY(fn_heap_array(&x, size, sizeof *x));
    FN_TRY(fn_heap_array(&y, size, sizeof *y));
    FN_TRY(fn_heap_array(&roots, size / 2, sizeof *roots));
    bluestein(bits, n, x, y, roots, size);
    *below = 0;
    for (size_t j = 0; j < n / 2; j++) *below += hypot(x[j].re, x[j].im) / (double)size < limit;
    return FN_OK;
}

#define WORDS (5000 / 64 + 2)

/* target ^= source << by */
static void xor_shifted(uint64_t *target, const uint64_t *source, unsigned by, unsigned words)
{
    unsigned whole = by / 64, part = by % 64;
    for (unsigned i = words; i-- > whole;) {
        uint64_t v = source[i - whole] << part;
        if (part > 0 && i > whole) v |= source[i - whole - 1] >> (64 - part);
        target[i] ^= v;
    }
}

/* Berlekamp-Massey on words. `past` holds the sequence with the newest bit lowest, so that the discrepancy is
 * the parity of connection polynomial and past. */
unsigned fn_linear_complexity(const uint8_t *bits, unsigned m)
{
    uint64_t c[WORDS] = {1}, b[WORDS] = {1}, past[WORDS] = {0}, keep[WORDS];
    unsigned length = 0, since = 1, words = m / 64 + 1;
    for (unsigned i = 0; i < m; i++, since++) {
        uint64_t sum = 0;
        for (unsigned k = words; k-- > 1;) past[k] = past[k] << 1 | past[k - 1] >> 63;
        past[0] = past[0] << 1 | bits[i];
        for (unsigned k = 0; k < words; k++) sum ^= c[k] & past[k];
        if (!__builtin_parityll(sum)) continue;
        bool longer = 2 * length <= i;
        if (longer) memcpy(keep, c, sizeof keep);
        xor_shifted(c, b, since, words);
        if (!longer) continue;
        memcpy(b, keep, sizeof b);
        length = i + 1 - length;
        since = 0;
    }
    return length;
}

unsigned fn_rank32(uint32_t row[32])
{
    unsigned rank = 0;
    for (unsigned column = 0; column < 32; column++) {
        unsigned pivot = rank;
        while (pivot < 32 && !(row[pivot] >> column & 1)) pivot++;
        if (pivot == 32) continue;
        uint32_t t = row[pivot];
        row[pivot] = row[rank];
        row[rank] = t;
        for (unsigned k = rank + 1; k < 32; k++) row[k] ^= row[k] >> column & 1 ? t : 0;
        rank++;
    }
    return rank;
}
