/* The generators with undefined entropy and state (see test_sm3.c). */
#include "crypto/rng/drbg.h"

#include <valgrind/memcheck.h>

static uint8_t secret[100], out[200];

static fn_err entropy(void *self, uint8_t *p, size_t n)
{
    (void)self;
    memset(p, 3, n);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(p, n);
    return FN_OK;
}

static int64_t now(void *self)
{
    (void)self;
    return 0;
}

static fn_err generators(enum fn_drbg_kind kind)
{
    static const struct fn_drbg_limits few = {5, 60};
    const struct fn_drbg_source source = {entropy, now, NULL};
    struct fn_drbg d;
    FN_TRY(fn_drbg_instantiate(&d, kind, &fn_drbg_level2, fn_bytes(secret, 32), fn_bytes(secret + 32, 16),
                               fn_bytes(secret, 50)));
    FN_TRY(fn_drbg_generate(&d, fn_bytes(NULL, 0), out, 16));
    FN_TRY(fn_drbg_generate(&d, fn_bytes(secret, 77), out, 16));
    FN_TRY(fn_drbg_reseed(&d, fn_bytes(secret, 48), fn_bytes(secret + 48, 5)));
    FN_TRY(fn_drbg_generate(&d, fn_bytes(NULL, 0), out, 16));
    FN_TRY(fn_drbg_open(&d, kind, &few, &source, fn_bytes(NULL, 0)));
    FN_TRY(fn_drbg_fill(&d, out, sizeof out));
    fn_drbg_wipe(&d);
    return FN_OK;
}

int main(void)
{
    if (!RUNNING_ON_VALGRIND) return 77;
    (void)VALGRIND_MAKE_MEM_UNDEFINED(secret, sizeof secret);
    if (generators(FN_DRBG_SM3_HASH) != FN_OK || generators(FN_DRBG_SM4_CTR) != FN_OK) return 1;
    if (VALGRIND_COUNT_ERRORS) return 9;
    /* What came out depends on the secrets: valgrind must still know that. */
    static uint8_t bits[sizeof out];
    if (VALGRIND_GET_VBITS(out, bits, sizeof out) != 1) return 1;
    for (size_t i = 0; i < sizeof out; i++) {
        if (bits[i] != 0xff) return 1;
    }
    return 0;
}
