/* The device's random bytes: one health-tested entropy, and for each thread a generator of GM/T 0105 of its
 * own.
 *
 * A virtual machine put back to a snapshot is noticed by its clock alone (base/sys/random.h). The kernel has
 * no file with the machine's generation: its vmgenid driver (looked at in 6.18) reseeds the kernel's generator
 * and sends a device event over netlink, which this process, without sockets of its own, cannot hear. What may
 * then repeat is said in docs/architecture.md 8. */
#include "device/device.h"

#include "base/sys/heap.h"
#include "base/sys/random.h"

static struct fn_entropy *entropy;
static pthread_key_t at_exit;
static _Thread_local struct fn_random *own;

static void forget(void *p)
{
    fn_random_close(p);
}

static fn_err fill(void *self, uint8_t *out, size_t n)
{
    (void)self;
    if (!own) {
        FN_TRY(fn_random_open(&own, entropy, NULL));
        pthread_setspecific(at_exit, own);
    }
    struct fn_rng rng = fn_random_rng(own);
    return fn_rng_fill(&rng, out, n);
}

static const struct fn_rng device_rng = {fill, NULL};

fn_err fn_device_random_open(void)
{
    if (entropy) return FN_OK;
    if (pthread_key_create(&at_exit, forget)) return FN_FAIL(FN_E_NO_MEMORY, "thread key");
    return fn_entropy_open(&entropy, NULL, 0, false);
}

void fn_device_random_close(void)
{
    fn_random_close(own);
    own = NULL;
    if (!entropy) return;
    pthread_key_delete(at_exit);
    fn_entropy_close(entropy);
    entropy = NULL;
}

const struct fn_rng *fn_device_rng(void)
{
    return &device_rng;
}

fn_err fn_device_random_recheck(void)
{
    return fn_entropy_recheck(entropy);
}

/* One bit for each source that took part. */
uint8_t fn_device_random_source(void)
{
    struct fn_entropy_status status;
    uint8_t bits = 0;
    fn_entropy_status(entropy, &status);
    for (size_t i = 0; i < status.count && i < 8; i++)
        if (status.source[i].state == FN_SOURCE_READY) bits |= (uint8_t)(1u << i);
    return bits;
}

fn_err fn_device_random_names(uint8_t bits, struct fn_buf *out)
{
    struct fn_entropy_status status;
    fn_entropy_status(entropy, &status);
    for (size_t i = 0, n = 0; i < status.count && i < 8; i++)
        if (bits >> i & 1) FN_TRY(fn_buf_format(out, "%s%s", n++ ? "+" : "", status.source[i].name));
    return FN_OK;
}

bool fn_device_random_degraded(void)
{
    struct fn_entropy_status status;
    fn_entropy_status(entropy, &status);
    return status.degraded;
}
