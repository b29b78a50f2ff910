#include "crypto/rng/drbg_kind.h"

const struct fn_drbg_limits fn_drbg_level1 = {1u << 20, 600};
const struct fn_drbg_limits fn_drbg_level2 = {1u << 10, 60};

static const struct fn_drbg_mechanism *mechanism(enum fn_drbg_kind kind)
{
    return kind == FN_DRBG_SM3_HASH ? &fn_drbg_sm3 : &fn_drbg_sm4;
}

static fn_err check_inputs(struct fn_bytes entropy, struct fn_bytes other)
{
    if (entropy.n < FN_DRBG_ENTROPY_LEAST || entropy.n > FN_DRBG_INPUT_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "entropy of %zu bytes, at least %d", entropy.n, FN_DRBG_ENTROPY_LEAST);
    if (other.n > FN_DRBG_INPUT_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "input of %zu bytes, at most %d", other.n, FN_DRBG_INPUT_MOST);
    return FN_OK;
}

static void seeded(struct fn_drbg *d)
{
    d->counter = 1;
    d->ready = true;
    if (d->source) d->seeded_ms = d->source->now_ms(d->source->self);
}

fn_err fn_drbg_instantiate(struct fn_drbg *d, enum fn_drbg_kind kind, const struct fn_drbg_limits *limits,
                           struct fn_bytes entropy, struct fn_bytes nonce, struct fn_bytes personalisation)
{
    memset(d, 0, sizeof *d);
    if (kind != FN_DRBG_SM3_HASH && kind != FN_DRBG_SM4_CTR)
        return FN_FAIL(FN_E_ARGUMENT, "generator %d", (int)kind);
    FN_TRY(check_inputs(entropy, personalisation));
    if (nonce.n < FN_DRBG_NONCE_LEAST || nonce.n > FN_DRBG_INPUT_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "nonce of %zu bytes, at least %d", nonce.n, FN_DRBG_NONCE_LEAST);
    d->kind = kind;
    d->limits = *limits;
    mechanism(kind)->instantiate(d, entropy, nonce, personalisation);
    seeded(d);
    return FN_OK;
}

fn_err fn_drbg_open(struct fn_drbg *d, enum fn_drbg_kind kind, const struct fn_drbg_limits *limits,
                    const struct fn_drbg_source *source, struct fn_bytes personalisation)
{
    uint8_t seed[FN_DRBG_ENTROPY_LEAST + FN_DRBG_NONCE_LEAST] = {0};
    FN_SCOPED_WIPE(seed);
    memset(d, 0, sizeof *d);
    FN_TRY(source->entropy(source->self, seed, sizeof seed));
    FN_TRY(fn_drbg_instantiate(d, kind, limits, fn_bytes(seed, FN_DRBG_ENTROPY_LEAST),
                               fn_bytes(seed + FN_DRBG_ENTROPY_LEAST, FN_DRBG_NONCE_LEAST), personalisation));
    d->source = source;
    d->seeded_ms = source->now_ms(source->self);
    return FN_OK;
}

fn_err fn_drbg_reseed(struct fn_drbg *d, struct fn_bytes entropy, struct fn_bytes additional)
{
    if (!d->ready) return FN_FAIL(FN_E_RANDOM_LEFT, "generator not instantiated");
    FN_TRY(check_inputs(entropy, additional));
    mechanism(d->kind)->reseed(d, entropy, additional);
    seeded(d);
    return FN_OK;
}

size_t fn_drbg_most(enum fn_drbg_kind kind)
{
    return mechanism(kind)->most;
}

bool fn_drbg_due(const struct fn_drbg *d)
{
    if (d->counter > d->limits.calls) return true;
    if (!d->source) return false;
    int64_t age_ms = d->source->now_ms(d->source->self) - d->seeded_ms;
    return age_ms < 0 || age_ms >= (int64_t)d->limits.seconds * 1000;
}

fn_err fn_drbg_generate(struct fn_drbg *d, struct fn_bytes additional, uint8_t *out, size_t n)
{
    if (!d->ready) return FN_FAIL(FN_E_RANDOM_LEFT, "generator not instantiated");
    if (d->counter > d->limits.calls)
        return FN_FAIL(FN_E_RANDOM_LEFT, "reseed after %u calls", d->limits.calls);
    if (n > mechanism(d->kind)->most)
        return FN_FAIL(FN_E_TOO_LARGE, "%zu bytes in one call, at most %zu", n, mechanism(d->kind)->most);
    if (additional.n > FN_DRBG_INPUT_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "input of %zu bytes, at most %d", additional.n, FN_DRBG_INPUT_MOST);
    mechanism(d->kind)->generate(d, additional, out, n);
    d->counter++;
    return FN_OK;
}

static fn_err reseed_from_source(struct fn_drbg *d)
{
    uint8_t seed[FN_DRBG_ENTROPY_LEAST] = {0};
    FN_SCOPED_WIPE(seed);
    if (!d->source) return FN_FAIL(FN_E_RANDOM_LEFT, "reseeding is due and there is no source");
    FN_TRY(d->source->entropy(d->source->self, seed, sizeof seed));
    return fn_drbg_reseed(d, fn_bytes(seed, sizeof seed), fn_bytes(NULL, 0));
}

fn_err fn_drbg_fill(struct fn_drbg *d, uint8_t *out, size_t n)
{
    size_t most = mechanism(d->kind)->most;
    if (!d->ready) return FN_FAIL(FN_E_RANDOM_LEFT, "generator not instantiated");
    if (fn_drbg_due(d)) FN_TRY(reseed_from_source(d));
    while (n > 0) {
        size_t take = n < most ? n : most;
        if (d->counter > d->limits.calls) FN_TRY(reseed_from_source(d));
        FN_TRY(fn_drbg_generate(d, fn_bytes(NULL, 0), out, take));
        out += take;
        n -= take;
    }
    return FN_OK;
}

static fn_err fill(void *self, uint8_t *out, size_t n)
{
    return fn_drbg_fill(self, out, n);
}

struct fn_rng fn_drbg_rng(struct fn_drbg *d)
{
    return (struct fn_rng){fill, d};
}

void fn_drbg_wipe(struct fn_drbg *d)
{
    fn_wipe(d, sizeof *d);
}
