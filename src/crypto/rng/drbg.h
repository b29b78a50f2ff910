/* Deterministic random bit generators of GM/T 0105-2021: Hash_DRBG on SM3 and CTR_DRBG on SM4. All state is
 * secret. Not for use by two threads at once. */
#ifndef FN_CRYPTO_DRBG_H
#define FN_CRYPTO_DRBG_H

#include "crypto/rng/rng.h"

enum fn_drbg_kind { FN_DRBG_SM3_HASH, FN_DRBG_SM4_CTR };

#define FN_DRBG_ENTROPY_LEAST 32 /* bytes */
#define FN_DRBG_NONCE_LEAST   16
#define FN_DRBG_INPUT_MOST    4096 /* of one personalisation or additional input */
#define FN_DRBG_SM3_SEED      55   /* 440 bits */

/* When a generator must be seeded again: after so many calls of generate or so many seconds. */
struct fn_drbg_limits {
    uint32_t calls, seconds;
};
extern const struct fn_drbg_limits fn_drbg_level1, fn_drbg_level2; /* 2^20 calls, 600 s; 2^10 calls, 60 s */

/* Where a generator that is used as fn_rng takes entropy and time from. */
struct fn_drbg_source {
    fn_err (*entropy)(void *self, uint8_t *out, size_t n); /* n full-entropy bytes or a failure */
    int64_t (*now_ms)(void *self);                         /* a clock that never steps */
    void *self;
};

struct fn_drbg {
    enum fn_drbg_kind kind;
    bool ready;
    uint32_t counter; /* reseed counter: 1 after seeding, one more with each generate */
    struct fn_drbg_limits limits;
    const struct fn_drbg_source *source; /* NULL: the caller seeds and watches the time */
    int64_t seeded_ms;
    union {
        struct {
            uint8_t v[FN_DRBG_SM3_SEED], c[FN_DRBG_SM3_SEED];
        } sm3;
        struct {
            uint8_t v[16], key[16];
        } sm4;
    } state;
};

/* entropy of at least 32 bytes, nonce of at least 16; personalisation may be empty. FN_E_ARGUMENT. */
fn_err fn_drbg_instantiate(struct fn_drbg *d, enum fn_drbg_kind kind, const struct fn_drbg_limits *limits,
                           struct fn_bytes entropy, struct fn_bytes nonce, struct fn_bytes personalisation);
/* The same with entropy, nonce and every later reseeding taken from the source, which must outlive the
 * generator. */
fn_err fn_drbg_open(struct fn_drbg *d, enum fn_drbg_kind kind, const struct fn_drbg_limits *limits,
                    const struct fn_drbg_source *source, struct fn_bytes personalisation);
/* The order of the inputs is GM/T 0105's: entropy before the old V, not after it. */
fn_err fn_drbg_reseed(struct fn_drbg *d, struct fn_bytes entropy, struct fn_bytes additional);
/* Bytes that one generate gives at most: 32 (SM3) or 16 (SM4). */
size_t fn_drbg_most(enum fn_drbg_kind kind);
/* One generate. FN_E_RANDOM_LEFT when the limit of calls is reached: reseed first. FN_E_TOO_LARGE beyond
 * fn_drbg_most. */
fn_err fn_drbg_generate(struct fn_drbg *d, struct fn_bytes additional, uint8_t *out, size_t n);
/* Whether calls or seconds (with a source) have run out. */
bool fn_drbg_due(const struct fn_drbg *d);
/* Any number of bytes; reseeds from the source as often as due. On failure nothing of `out` may be used. */
fn_err fn_drbg_fill(struct fn_drbg *d, uint8_t *out, size_t n);
/* The generator as a source of random bytes; d must outlive it. */
struct fn_rng fn_drbg_rng(struct fn_drbg *d);
void fn_drbg_wipe(struct fn_drbg *d);

#endif
