/* CTR_DRBG on SM4 with derivation function (GM/T 0105-2021 Annex C): seed of key and V, 32 bytes. */
#include "crypto/rng/drbg_kind.h"
#include "crypto/sm4/sm4.h"

#define BLOCK FN_SM4_BLOCK
#define SEED  (FN_SM4_KEY + FN_SM4_BLOCK)

/* CBC-MAC over pieces, whole blocks of which reach the cipher at once. */
struct chain {
    struct fn_sm4_key key;
    uint8_t value[BLOCK], part[BLOCK];
    size_t held;
};

static void encrypt_block(const struct fn_sm4_key *key, const uint8_t in[BLOCK], uint8_t out[BLOCK])
{
    (void)fn_sm4_ecb_encrypt(key, in, out, BLOCK); /* one whole block cannot be refused */
}

static void chain_add(struct chain *c, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        c->part[c->held++] = p[i];
        if (c->held < BLOCK) continue;
        for (size_t k = 0; k < BLOCK; k++) c->value[k] ^= c->part[k];
        encrypt_block(&c->key, c->value, c->value);
        c->held = 0;
    }
}

/* The block cipher derivation function: two chains with different first blocks over be32(length) ‖ be32(32) ‖
 * input ‖ 80 00… under the key 00 01 … 0f give a key and a start value; two encryptions give the seed. */
static void derive(uint8_t out[SEED], const struct fn_bytes *parts, size_t count)
{
    static const uint8_t mark = 0x80, zeros[BLOCK];
    uint8_t fixed_key[FN_SM4_KEY], head[BLOCK + 8] = {0}, derived[SEED];
    struct chain c;
    size_t length = 0;
    for (size_t k = 0; k < count; k++) length += parts[k].n;
    for (uint8_t i = 0; i < FN_SM4_KEY; i++) fixed_key[i] = i;
    fn_put_be32(head + BLOCK, (uint32_t)length);
    fn_put_be32(head + BLOCK + 4, SEED);
    for (uint32_t i = 0; i < 2; i++) {
        memset(&c, 0, sizeof c);
        fn_sm4_key_init(&c.key, fixed_key);
        fn_put_be32(head, i);
        chain_add(&c, head, sizeof head);
        for (size_t k = 0; k < count; k++) chain_add(&c, parts[k].p, parts[k].n);
        chain_add(&c, &mark, 1);
        if (c.held > 0) chain_add(&c, zeros, BLOCK - c.held);
        memcpy(derived + BLOCK * i, c.value, BLOCK);
    }
    fn_sm4_key_init(&c.key, derived);
    encrypt_block(&c.key, derived + FN_SM4_KEY, out);
    encrypt_block(&c.key, out, out + BLOCK);
    fn_wipe(derived, sizeof derived);
    fn_wipe(&c, sizeof c);
}

static void increment(uint8_t v[BLOCK])
{
    uint32_t carry = 1;
    for (size_t i = BLOCK; i-- > 0;) {
        carry += v[i];
        v[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static void update(struct fn_drbg *d, const uint8_t data[SEED])
{
    uint8_t next[SEED];
    struct fn_sm4_key key;
    fn_sm4_key_init(&key, d->state.sm4.key);
    for (size_t i = 0; i < SEED; i += BLOCK) {
        increment(d->state.sm4.v);
        encrypt_block(&key, d->state.sm4.v, next + i);
    }
    for (size_t i = 0; i < SEED; i++) next[i] ^= data[i];
    memcpy(d->state.sm4.key, next, FN_SM4_KEY);
    memcpy(d->state.sm4.v, next + FN_SM4_KEY, BLOCK);
    fn_wipe(next, sizeof next);
    fn_wipe(&key, sizeof key);
}

static void update_with(struct fn_drbg *d, const struct fn_bytes *parts, size_t count, uint8_t seed[SEED])
{
    derive(seed, parts, count);
    update(d, seed);
}

static void instantiate(struct fn_drbg *d, struct fn_bytes entropy, struct fn_bytes nonce,
                        struct fn_bytes personalisation)
{
    const struct fn_bytes parts[] = {entropy, nonce, personalisation};
    uint8_t seed[SEED];
    memset(&d->state.sm4, 0, sizeof d->state.sm4);
    update_with(d, parts, FN_COUNT(parts), seed);
    fn_wipe(seed, sizeof seed);
}

static void reseed(struct fn_drbg *d, struct fn_bytes entropy, struct fn_bytes additional)
{
    const struct fn_bytes parts[] = {entropy, additional};
    uint8_t seed[SEED];
    update_with(d, parts, FN_COUNT(parts), seed);
    fn_wipe(seed, sizeof seed);
}

static void generate(struct fn_drbg *d, struct fn_bytes additional, uint8_t *out, size_t n)
{
    uint8_t seed[SEED] = {0}, block[BLOCK];
    struct fn_sm4_key key;
    if (additional.n > 0) update_with(d, &additional, 1, seed);
    fn_sm4_key_init(&key, d->state.sm4.key);
    increment(d->state.sm4.v);
    encrypt_block(&key, d->state.sm4.v, block);
    memcpy(out, block, n);
    update(d, seed);
    fn_wipe(seed, sizeof seed);
    fn_wipe(block, sizeof block);
    fn_wipe(&key, sizeof key);
}

const struct fn_drbg_mechanism fn_drbg_sm4 = {FN_SM4_BLOCK, instantiate, reseed, generate};
