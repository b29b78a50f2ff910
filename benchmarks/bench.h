/* Rows of ./bench: ours beside what a user would pick instead, measured in the same run, medians. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_PEERS   4
#define BENCH_NO_GOAL (-1.0)

struct bench_row {
    const char *name, *unit; /* unit: "op/s", "MB/s", "ratio", "ms", "MiB", … */
    bool lower_is_better;
    double ours;
    struct {
        const char *name; /* NULL ends */
        double figure;
    } peers[BENCH_PEERS];
    double goal;      /* in the row's unit, or BENCH_NO_GOAL */
    const char *note; /* one core or two, one call or batch; for the table only */
};

void bench_emit(const struct bench_row *row);
/* Whether rows of this name were asked for; groups ask before they set anything up. */
bool bench_wanted(const char *name);

/* One measurement on one core: `run` does `operations` operations. Returns operations per second of the
 * thread's CPU time, the median of several runs long enough to measure. */
double bench_rate(void (*run)(void *context), void *context, double operations);
/* The same on `threads` threads at once, each with its own context; the sum, in wall time. */
double bench_rate_threads(void (*run)(void *context), void *const *contexts, size_t threads,
                          double operations);
double bench_median(double *values, size_t n);
double bench_now(void); /* seconds */

/* Mbit/s as GM/T 0030-2014 9.4 counts it: 8 L N / (1024 · 1024 · T). */
static inline double bench_mbit(double bytes_per_second)
{
    return 8 * bytes_per_second / (1024.0 * 1024.0);
}

/* A running, initialised instance of its own, made at the first call and removed at the end: its device's
 * socket and a directory for files. */
const char *bench_device_socket(void);
const char *bench_device_directory(void);

/* Groups. */
void bench_sm2(void);
void bench_sm3(void);
void bench_sm4(void);
void bench_device(void);
void bench_start(void);
void bench_data(void);

#endif
