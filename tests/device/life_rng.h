/* Repeatable bytes for the tests of shares and carriers (xorshift64*); a failing source. */
#ifndef FN_TEST_LIFE_RNG_H
#define FN_TEST_LIFE_RNG_H

#include "crypto/rng/rng.h"

static fn_err noise_fill(void *self, uint8_t *out, size_t n)
{
    uint64_t *s = self;
    for (size_t i = 0; i < n; i++) {
        *s ^= *s >> 12;
        *s ^= *s << 25;
        *s ^= *s >> 27;
        out[i] = (uint8_t)(*s * 0x2545f4914f6cdd1dull >> 56);
    }
    return FN_OK;
}

static uint64_t noise_state = 0x9e3779b97f4a7c15ull;
static const struct fn_rng noise = {noise_fill, &noise_state};

static inline fn_err broken_fill(void *self, uint8_t *out, size_t n)
{
    (void)self;
    memset(out, 0xee, n / 2);
    return FN_FAIL(FN_E_RANDOM_SOURCE, "broken source");
}

#endif
