/* The clocks of the machine, and a watcher that tells when the wall clock was stepped. */
#ifndef FN_BASE_SYS_NOW_H
#define FN_BASE_SYS_NOW_H

#include "base/core/clock.h"

/* Wall clock, UTC. */
fn_ms fn_now_ms(void);
/* Never steps; counts from an arbitrary start. */
int64_t fn_monotonic_ms(void);
int64_t fn_monotonic_ns(void);

/* Compares the wall clock with the time since boot (which goes on in sleep). */
struct fn_clock_watch {
    int64_t offset_ms;    /* wall minus boot at the last look */
    int64_t threshold_ms; /* smaller differences are slewing, not steps */
};
void fn_clock_watch_start(struct fn_clock_watch *watch);
/* Milliseconds by which the wall clock was stepped since the last look: negative when back, 0 when not. */
int64_t fn_clock_watch_look(struct fn_clock_watch *watch);
/* The rule alone, with the two clocks as values. */
int64_t fn_clock_watch_rule(struct fn_clock_watch *watch, fn_ms wall, int64_t boot_ms);
/* A descriptor that becomes readable when somebody sets the clock (the read fails with ECANCELED; then look and go on waiting). */
fn_err fn_clock_watch_fd(int *fd);

#endif
