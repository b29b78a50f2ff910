/* What an implementation of the SM3 compression function offers to the code above it. Inside this folder
 * only. */
#ifndef FN_CRYPTO_SM3_ENGINE_H
#define FN_CRYPTO_SM3_ENGINE_H

#include "crypto/sm3/sm3.h"

#define FN_SM3_LANES_MOST 16

struct fn_sm3_engine {
    const char *name;
    /* Absorbs `count` whole blocks that follow one another at p. */
    void (*blocks)(uint32_t state[8], const uint8_t *p, size_t count);
    /* The same for `lanes` independent messages side by side: word i of lane l is state[i * lanes + l], p[l]
     * points to the lane's own `count` blocks. NULL with lanes = 1 when nothing is faster than one message
     * after another. */
    void (*lane_blocks)(uint32_t *state, const uint8_t *const *p, size_t count);
    size_t lanes;
};

extern const struct fn_sm3_engine fn_sm3_portable;

/* Chosen once, when the process starts and before any thread; portable until then. */
extern const struct fn_sm3_engine *fn_sm3_engine;

extern const uint32_t fn_sm3_iv[8];

/* One message of a batch: `before` bytes (whole blocks) are already in `state`, the rest follows. out may be
 * the place where the message itself lies. */
struct fn_sm3_job {
    const uint32_t *state;
    uint64_t before;
    struct fn_bytes rest;
    uint8_t *out;
};
/* Runs jobs 0 … n-1 that `next(self, i, job)` describes one at a time, filling the lanes across them. */
void fn_sm3_run_jobs(size_t n, void (*next)(const void *self, size_t i, struct fn_sm3_job *job),
                     const void *self);

#endif
