/* Where algorithms take random bytes from. */
#ifndef FN_CRYPTO_RNG_H
#define FN_CRYPTO_RNG_H

#include "base/core/bytes.h"

/* A source of uniformly random bytes. `fill` delivers exactly n bytes or fails; it never delivers fewer. */
struct fn_rng {
    fn_err (*fill)(void *self, uint8_t *out, size_t n);
    void *self;
};

static inline fn_err fn_rng_fill(const struct fn_rng *rng, void *out, size_t n) { return rng->fill(rng->self, out, n); }

#endif
