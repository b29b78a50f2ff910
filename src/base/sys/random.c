#include "base/sys/random.h"

#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/secret.h"

#define POOL  512
#define ALIVE 0x52414e444f4d2131u

/* In memory that a forked child finds zeroed; `alive` is not there then. */
struct live {
    uint64_t alive;
    struct fn_drbg drbg;
    uint8_t pool[POOL];
    size_t left; /* unused bytes, at the end of the pool */
    int64_t filled_ms;
};

struct fn_random {
    struct fn_entropy *entropy;
    struct fn_drbg_source source;
    struct fn_random_options options;
    uint8_t personalisation[64];
    struct fn_clock_watch watch;
    struct fn_random_figures figures;
    bool dropped; /* by us, not by a fork */
    struct live *live;
};

static fn_err take_entropy(void *self, uint8_t *out, size_t n)
{
    struct fn_random *r = self;
    r->figures.seedings++;
    return fn_entropy_collect(r->entropy, out, n);
}

static int64_t monotonic(void *self)
{
    (void)self;
    return fn_monotonic_ms();
}

void fn_random_drop(struct fn_random *r)
{
    fn_wipe(r->live, sizeof *r->live);
    r->dropped = true;
}

static fn_err open_generator(struct fn_random *r)
{
    struct live *l = r->live;
    if (!r->dropped) r->figures.after_fork++;
    FN_TRY(
        fn_drbg_open(&l->drbg, r->options.kind, &r->options.limits, &r->source, r->options.personalisation));
    l->alive = ALIVE;
    l->left = 0;
    r->dropped = false;
    return FN_OK;
}

/* Drops what may no longer be used and sees that there is a generator. */
static fn_err refresh(struct fn_random *r)
{
    struct live *l = r->live;
    if (l->alive == ALIVE && fn_clock_watch_look(&r->watch) != 0) {
        r->figures.after_clock_step++;
        fn_random_drop(r);
    }
    if (l->alive != ALIVE) return open_generator(r);
    if (l->left > 0 && fn_monotonic_ms() - l->filled_ms >= (int64_t)r->options.limits.seconds * 1000) {
        fn_wipe(l->pool, sizeof l->pool);
        l->left = 0;
    }
    return FN_OK;
}

static fn_err fill_pool(struct fn_random *r)
{
    struct live *l = r->live;
    FN_TRY(fn_drbg_fill(&l->drbg, l->pool, sizeof l->pool));
    l->left = sizeof l->pool;
    l->filled_ms = fn_monotonic_ms();
    return FN_OK;
}

static fn_err fill(void *self, uint8_t *out, size_t n)
{
    struct fn_random *r = self;
    FN_TRY(refresh(r));
    struct live *l = r->live;
    if (n >= POOL) return fn_drbg_fill(&l->drbg, out, n);
    while (n > 0) {
        if (l->left == 0) FN_TRY(fill_pool(r));
        size_t take = n < l->left ? n : l->left;
        uint8_t *from = l->pool + POOL - l->left;
        memcpy(out, from, take);
        fn_wipe(from, take);
        l->left -= take;
        out += take;
        n -= take;
    }
    return FN_OK;
}

static void take_options(struct fn_random *r, const struct fn_random_options *options)
{
    if (options) r->options = *options;
    if (r->options.limits.calls == 0 || r->options.limits.seconds == 0) r->options.limits = fn_drbg_level2;
    struct fn_bytes *p = &r->options.personalisation;
    if (p->n > sizeof r->personalisation) p->n = sizeof r->personalisation;
    if (p->n > 0) memcpy(r->personalisation, p->p, p->n);
    p->p = r->personalisation;
}

fn_err fn_random_open(struct fn_random **out, struct fn_entropy *entropy,
                      const struct fn_random_options *options)
{
    struct fn_random *r = NULL;
    *out = NULL;
    if (options && options->personalisation.n > sizeof r->personalisation)
        return FN_FAIL(FN_E_TOO_LARGE, "personalisation of %zu bytes", options->personalisation.n);
    FN_TRY(fn_heap_array(&r, 1, sizeof *r));
    take_options(r, options);
    r->entropy = entropy;
    r->source = (struct fn_drbg_source){take_entropy, monotonic, r};
    r->dropped = true;
    fn_clock_watch_start(&r->watch);
    fn_err err = fn_secret_alloc_forkless(&r->live, sizeof *r->live);
    if (err == FN_OK) err = open_generator(r);
    if (err != FN_OK) {
        fn_random_close(r);
        return err;
    }
    *out = r;
    return FN_OK;
}

struct fn_rng fn_random_rng(struct fn_random *r)
{
    return (struct fn_rng){fill, r};
}

void fn_random_close(struct fn_random *r)
{
    if (!r) return;
    fn_secret_free(r->live);
    free(r);
}

void fn_random_figures(const struct fn_random *r, struct fn_random_figures *figures)
{
    *figures = r->figures;
}
