/* Long differential runs: our algorithms against other libraries on random and extreme inputs.
 *
 * A file of cases exports an array and its length; main.c lists the arrays and runs each case for a fixed
 * time. */
#ifndef FN_TESTS_SOAK_H
#define FN_TESTS_SOAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct soak;

struct soak_case {
    const char *name; /* "sm3-digest" */
    /* Compares for about 50 ms and returns the number of operations compared; a difference goes to
     * soak_mismatch. */
    uint64_t (*run)(struct soak *s);
};

/* Reproducible from the seed that was printed. */
void soak_random(struct soak *s, void *buf, size_t n);
/* Uniform below `limit` (> 0). */
uint64_t soak_below(struct soak *s, uint64_t limit);
/* A 256-bit big-endian number, random half of the time, else near an edge: 0, 1, 2, n-1, n, p-1, p, p+1,
 * 2^256-1, powers of two, runs of ones, limbs of all ones or all zeros, the products of carries. */
void soak_extreme_scalar(struct soak *s, uint8_t out[32]);
/* Bytes of which whole stretches are often 00, ff, 80 or 7f. */
void soak_extreme_bytes(struct soak *s, uint8_t *out, size_t n);
/* True while the slice of about 50 ms lasts; asks the clock at every call. */
bool soak_slice(struct soak *s);
/* Prints seed, case and the message and ends the program with status 1. */
void soak_mismatch(struct soak *s, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
/* Compares n bytes; on a difference prints both in hex and ends as soak_mismatch does. */
void soak_same(struct soak *s, const void *ours, const void *theirs, size_t n, const char *what);

extern const struct soak_case soak_cases_sm2[], soak_cases_sm3[], soak_cases_sm4[];
extern const size_t soak_count_sm2, soak_count_sm3, soak_count_sm4;

#endif
