/* Where the device's random bytes come from. */
#include "device/device.h"

#include "base/sys/os_err.h"
#include <errno.h>
#include <sys/random.h>

static fn_err kernel_fill(void *self, uint8_t *out, size_t n)
{
    (void)self;
    while (n) {
        ssize_t got = getrandom(out, n < 256 ? n : 256, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return FN_FAIL_OS("getrandom");
        out += got;
        n -= (size_t)got;
    }
    return FN_OK;
}

static const struct fn_rng kernel = {kernel_fill, NULL};

fn_err fn_random_open(void) { return FN_OK; }
const struct fn_rng *fn_random(void) { return &kernel; }
const char *fn_random_name(void) { return "kernel"; }
uint8_t fn_random_source(void) { return 1; }
