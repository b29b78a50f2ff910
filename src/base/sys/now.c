#include "base/sys/now.h"

#include "base/sys/os_err.h"
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

fn_ms fn_now_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}
int64_t fn_monotonic_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000;
}
int64_t fn_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

/* NTP slews by at most 500 ppm and steps from 128 ms on; 500 ms apart is a step whatever the pause between
 * two looks below a quarter of an hour. */
#define THRESHOLD_MS 500

void fn_clock_watch_start(struct fn_clock_watch *watch)
{
    watch->threshold_ms = THRESHOLD_MS;
    watch->offset_ms = fn_now_ms() - read_ns(CLOCK_BOOTTIME) / 1000000;
}

int64_t fn_clock_watch_rule(struct fn_clock_watch *watch, fn_ms wall, int64_t boot_ms)
{
    int64_t step = wall - boot_ms - watch->offset_ms;
    watch->offset_ms += step;
    return step <= -watch->threshold_ms || step >= watch->threshold_ms ? step : 0;
}

int64_t fn_clock_watch_look(struct fn_clock_watch *watch)
{
    return fn_clock_watch_rule(watch, fn_now_ms(), read_ns(CLOCK_BOOTTIME) / 1000000);
}

fn_err fn_clock_watch_fd(int *fd)
{
    int timer = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer < 0) return FN_FAIL_OS("timerfd");
    /* Never due by itself: only the cancellation by a clock step is of interest. */
    struct itimerspec far = {.it_value = {.tv_sec = INT64_C(1) << 40}};
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL)) {
        fn_err err = FN_FAIL_OS("timerfd");
        close(timer);
        return err;
    }
    *fd = timer;
    return FN_OK;
}
