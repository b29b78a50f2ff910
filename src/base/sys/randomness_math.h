/* Functions behind the randomness tests. Inside base/sys only. */
#ifndef FN_BASE_SYS_RANDOMNESS_MATH_H
#define FN_BASE_SYS_RANDOMNESS_MATH_H

#include "base/core/err.h"
#include <stdint.h>

/* Regularised upper incomplete gamma function Q(a, x), a > 0, x >= 0. */
double fn_igamc(double a, double x);
/* Distribution function of the normal distribution. */
double fn_normal(double x);
/* How many of |f_j|, 0 <= j < n/2, of the discrete Fourier transform of n values ±1 (bit 1 is +1) lie below
 * the limit. Any n. */
fn_err fn_dft_below(const uint8_t *bits, size_t n, double limit, size_t *below);
/* Length of the shortest linear feedback shift register of m bits, m <= 5,000. */
unsigned fn_linear_complexity(const uint8_t *bits, unsigned m);
/* Rank over GF(2) of 32 rows. */
unsigned fn_rank32(uint32_t row[32]);

#endif
