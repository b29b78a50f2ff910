/* Shamir's secret sharing over GF(2^8), polynomial 0x11B, one polynomial a byte (hsm.md 7). A share is the y bytes and the x
 * byte after them. Time depends on the numbers of bytes and shares alone. There is no integrity here: callers check. */
#ifndef FN_DEVICE_SHAMIR_H
#define FN_DEVICE_SHAMIR_H

#include "crypto/rng/rng.h"

#define FN_SHAMIR_SECRET_MOST 64u

/* count shares of size + 1 bytes each, x = 1 … count. 2 <= needed <= count <= 255; FN_E_ARGUMENT. */
fn_err fn_shamir_split(const uint8_t *secret, size_t size, unsigned needed, unsigned count, const struct fn_rng *rng, uint8_t *shares);
/* From exactly `needed` shares; FN_E_ARGUMENT when two have the same x or one has x = 0. */
fn_err fn_shamir_combine(const uint8_t *const *shares, unsigned needed, size_t size, uint8_t *secret);
/* One share for given coefficients (needed - 1 rows of size bytes), for known answers. */
void fn_shamir_share(const uint8_t *secret, const uint8_t *coefficients, size_t size, unsigned needed, uint8_t x, uint8_t *share);

#endif
