/* Health tests of a noise source (GM/T 0105-2021 Annex D): they look at raw samples, before any conditioning,
 * and know nothing of where the samples come from. */
#ifndef FN_CRYPTO_HEALTH_H
#define FN_CRYPTO_HEALTH_H

#include "crypto/rng/rng.h"

#define FN_HEALTH_WINDOW  512  /* samples of one adaptive proportion test */
#define FN_HEALTH_STARTUP 1024 /* consecutive samples that must pass before a source is used */

/* Min-entropy is counted in eighths of a bit for one sample of 8 bits: 1 … 64. Both cutoffs let a source that
 * has this entropy fail with a probability of 2^-20 a test. */
uint32_t fn_health_repetition_cutoff(unsigned entropy_eighths);
uint32_t fn_health_proportion_cutoff(unsigned entropy_eighths);

enum fn_health_verdict { FN_HEALTH_GOOD, FN_HEALTH_REPETITION, FN_HEALTH_PROPORTION };

struct fn_health {
    uint32_t repetition_cutoff, proportion_cutoff;
    uint32_t run;     /* how often the last sample came in a row */
    uint32_t seen;    /* samples of the present window */
    uint32_t same;    /* how many of them equal the window's first */
    uint64_t samples; /* since start */
    uint8_t last, first;
    enum fn_health_verdict verdict; /* the first failure stays */
};

void fn_health_start(struct fn_health *h, unsigned entropy_eighths);
/* Takes n samples; the verdict over everything since the start. */
enum fn_health_verdict fn_health_feed(struct fn_health *h, const uint8_t *samples, size_t n);
/* Whether the start-up test is over and passed. */
bool fn_health_started(const struct fn_health *h);

#endif
