/* Random bytes for one thread: a generator of GM/T 0105 with buffered output, seeded from an fn_entropy that
 * many share.
 *
 * Generator and buffer lie in memory that is locked, left out of core dumps and zeroed in a forked child.
 * Both are dropped and seeded anew after a fork, when the wall clock was stepped (a machine put back to a
 * snapshot), and when the limits of calls or of seconds are reached. */
#ifndef FN_BASE_SYS_RANDOM_H
#define FN_BASE_SYS_RANDOM_H

#include "base/sys/entropy.h"
#include "crypto/rng/drbg.h"

struct fn_random;

struct fn_random_options {
    enum fn_drbg_kind kind;
    struct fn_drbg_limits limits; /* zeros: level 2, 1,024 calls and 60 s */
    struct fn_bytes personalisation;
};

/* `options` may be NULL: SM3, level 2. The entropy must outlive the object. */
fn_err fn_random_open(struct fn_random **r, struct fn_entropy *entropy,
                      const struct fn_random_options *options);
/* For use by the thread that owns r, without locks. */
struct fn_rng fn_random_rng(struct fn_random *r);
/* Forgets everything now; the next request seeds anew. */
void fn_random_drop(struct fn_random *r);
void fn_random_close(struct fn_random *r);

struct fn_random_figures {
    uint64_t seedings, after_fork, after_clock_step;
};
void fn_random_figures(const struct fn_random *r, struct fn_random_figures *figures);

#endif
