/* The two mechanisms behind fn_drbg. Inside this folder only; lengths are checked by the caller. */
#ifndef FN_CRYPTO_DRBG_KIND_H
#define FN_CRYPTO_DRBG_KIND_H

#include "crypto/rng/drbg.h"

struct fn_drbg_mechanism {
    size_t most; /* bytes of one generate */
    void (*instantiate)(struct fn_drbg *d, struct fn_bytes entropy, struct fn_bytes nonce,
                        struct fn_bytes personalisation);
    void (*reseed)(struct fn_drbg *d, struct fn_bytes entropy, struct fn_bytes additional);
    void (*generate)(struct fn_drbg *d, struct fn_bytes additional, uint8_t *out, size_t n);
};

extern const struct fn_drbg_mechanism fn_drbg_sm3, fn_drbg_sm4;

#endif
