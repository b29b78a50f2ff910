/* Hash_DRBG on SM3 (GM/T 0105-2021 Annex B). It is NIST's but for the reseeding, where the entropy comes
 * before V. */
#include "crypto/rng/drbg_kind.h"
#include "crypto/sm3/sm3.h"

#define SEED FN_DRBG_SM3_SEED

/* Hash_df: SM3(counter ‖ be32(440) ‖ input) for counter 1 and 2, cut to 440 bits. */
static void derive(uint8_t out[SEED], const struct fn_bytes *parts, size_t count)
{
    uint8_t head[5], digests[2][FN_SM3_SIZE];
    struct fn_sm3 h;
    fn_put_be32(head + 1, SEED * 8);
    for (uint8_t i = 0; i < 2; i++) {
        head[0] = (uint8_t)(i + 1);
        fn_sm3_init(&h);
        fn_sm3_update(&h, head, sizeof head);
        for (size_t k = 0; k < count; k++) fn_sm3_update(&h, parts[k].p, parts[k].n);
        fn_sm3_final(&h, digests[i]);
    }
    memcpy(out, digests, SEED);
    fn_wipe(digests, sizeof digests);
}

/* v = v + x modulo 2^440, x of n <= 55 bytes. The carry is always run through to the end. */
static void add(uint8_t v[SEED], const uint8_t *x, size_t n)
{
    uint32_t carry = 0;
    for (size_t i = 0; i < SEED; i++) {
        carry += v[SEED - 1 - i];
        if (i < n) carry += x[n - 1 - i];
        v[SEED - 1 - i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static void hash_with(uint8_t out[FN_SM3_SIZE], uint8_t prefix, const uint8_t v[SEED], struct fn_bytes more)
{
    struct fn_sm3 h;
    fn_sm3_init(&h);
    fn_sm3_update(&h, &prefix, 1);
    fn_sm3_update(&h, v, SEED);
    fn_sm3_update(&h, more.p, more.n);
    fn_sm3_final(&h, out);
}

static void set_c(struct fn_drbg *d)
{
    static const uint8_t zero = 0;
    const struct fn_bytes parts[] = {{&zero, 1}, {d->state.sm3.v, SEED}};
    derive(d->state.sm3.c, parts, FN_COUNT(parts));
}

static void instantiate(struct fn_drbg *d, struct fn_bytes entropy, struct fn_bytes nonce,
                        struct fn_bytes personalisation)
{
    const struct fn_bytes parts[] = {entropy, nonce, personalisation};
    derive(d->state.sm3.v, parts, FN_COUNT(parts));
    set_c(d);
}

static void reseed(struct fn_drbg *d, struct fn_bytes entropy, struct fn_bytes additional)
{
    static const uint8_t one = 1;
    uint8_t v[SEED];
    const struct fn_bytes parts[] = {{&one, 1}, entropy, {d->state.sm3.v, SEED}, additional};
    derive(v, parts, FN_COUNT(parts));
    memcpy(d->state.sm3.v, v, SEED);
    fn_wipe(v, sizeof v);
    set_c(d);
}

static void generate(struct fn_drbg *d, struct fn_bytes additional, uint8_t *out, size_t n)
{
    uint8_t digest[FN_SM3_SIZE], counter[4], *v = d->state.sm3.v;
    if (additional.n > 0) {
        hash_with(digest, 2, v, additional);
        add(v, digest, sizeof digest);
    }
    fn_sm3_digest(v, SEED, digest);
    memcpy(out, digest, n);
    hash_with(digest, 3, v, fn_bytes(NULL, 0));
    add(v, digest, sizeof digest);
    add(v, d->state.sm3.c, SEED);
    fn_put_be32(counter, d->counter);
    add(v, counter, sizeof counter);
    fn_wipe(digest, sizeof digest);
}

const struct fn_drbg_mechanism fn_drbg_sm3 = {FN_SM3_SIZE, instantiate, reseed, generate};
