/* Sharing of a secret among n holders, any t of whom give it back (Shamir over GF(2^8), polynomial
 * x^8 + x^4 + x^3 + x + 1, one random polynomial of degree t - 1 for each byte). A share is y bytes ‖ x, the
 * layout that Vault and OpenBao write. Nothing here tells a wrong share from a right one: share.h carries a
 * check value and a signature for that.
 *
 * Constant time in secret, coefficients and y; t, n and the x of a share are public. */
#ifndef FN_DEVICE_SHAMIR_H
#define FN_DEVICE_SHAMIR_H

#include "crypto/rng/rng.h"

#define FN_SHAMIR_SHARES_MOST 255u
#define FN_SHAMIR_SHARE(size) ((size) + 1)

/* Product and inverse in the field; the inverse of 0 is 0. */
uint8_t fn_gf256_multiply(uint8_t a, uint8_t b);
uint8_t fn_gf256_invert(uint8_t a);

/* Splits `size` (at least 1) bytes into n shares with x = 1 … n, 2 <= t <= n <= 255, written one after
 * another to `shares` (n * (size + 1) bytes; must not overlap the secret). Takes (t - 1) * size bytes from
 * rng: for each byte of the secret the coefficients of x, x², …. On failure the shares are wiped.
 * FN_E_ARGUMENT; what rng returns. */
fn_err fn_shamir_split(const struct fn_rng *rng, const uint8_t *secret, size_t size, unsigned t, unsigned n,
                       uint8_t *shares);
/* The secret (size bytes) from `count` shares, all used: at least t of them give the right one, fewer give a
 * value that says nothing. FN_E_ARGUMENT for fewer than 2 shares, a share that is not size + 1 bytes, x = 0,
 * or two shares with one x. */
fn_err fn_shamir_combine(const struct fn_bytes *shares, size_t count, uint8_t *secret, size_t size);

#endif
