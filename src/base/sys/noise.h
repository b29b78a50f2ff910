/* Noise sources of this machine: raw samples, as they come. */
#ifndef FN_BASE_SYS_NOISE_H
#define FN_BASE_SYS_NOISE_H

#include "base/core/err.h"
#include <stdbool.h>
#include <stdint.h>

/* A source. `read` delivers exactly n raw samples of one byte or fails; it is called by one thread at a time.
 */
struct fn_noise {
    const char *name;     /* "getrandom", also what a key's record of its source says */
    const char *title[2]; /* by enum fn_lang */
    fn_err (*read)(void *self, uint8_t *samples, size_t n);
    void *self;
    unsigned entropy_eighths; /* min-entropy credited to a sample, in eighths of a bit, 1 … 64 */
};

#define FN_NOISE_BUILT_IN 3
/* The kernel's generator, the jitter of the processor, and its RDSEED or RDRAND; present[i] says whether this
 * machine has it. */
extern const struct fn_noise fn_noise_built_in[FN_NOISE_BUILT_IN];
void fn_noise_present(bool present[FN_NOISE_BUILT_IN]);

#endif
