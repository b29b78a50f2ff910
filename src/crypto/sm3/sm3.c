#include "crypto/sm3/sm3.h"
#include "crypto/sm3/sm3_engine.h"

const uint32_t fn_sm3_iv[8] = {0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600,
                               0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e};

static void put_state(uint8_t out[FN_SM3_SIZE], const uint32_t state[8])
{
    for (size_t i = 0; i < 8; i++) fn_put_be32(out + 4 * i, state[i]);
}

static void start_from(struct fn_sm3 *h, const uint32_t state[8], uint64_t length)
{
    memcpy(h->state, state, sizeof h->state);
    h->length = length;
}

void fn_sm3_init(struct fn_sm3 *h)
{
    start_from(h, fn_sm3_iv, 0);
}

void fn_sm3_update(struct fn_sm3 *h, const void *data, size_t n)
{
    const uint8_t *p = data;
    if (n == 0) return;
    size_t held = h->length % FN_SM3_BLOCK;
    h->length += n;
    if (held > 0) {
        size_t room = FN_SM3_BLOCK - held;
        size_t take = n < room ? n : room;
        memcpy(h->block + held, p, take);
        if (take < room) return;
        fn_sm3_engine->blocks(h->state, h->block, 1);
        p += take;
        n -= take;
    }
    size_t whole = n / FN_SM3_BLOCK;
    if (whole > 0) fn_sm3_engine->blocks(h->state, p, whole);
    if (n % FN_SM3_BLOCK > 0) memcpy(h->block, p + whole * FN_SM3_BLOCK, n % FN_SM3_BLOCK);
}

/* Padding (GB/T 32905 5.2): a one bit, zeros, the length in bits; one block or two. */
static void absorb_padding(struct fn_sm3 *h)
{
    size_t held = h->length % FN_SM3_BLOCK;
    h->block[held++] = 0x80;
    if (held > FN_SM3_BLOCK - 8) {
        memset(h->block + held, 0, FN_SM3_BLOCK - held);
        fn_sm3_engine->blocks(h->state, h->block, 1);
        held = 0;
    }
    memset(h->block + held, 0, FN_SM3_BLOCK - 8 - held);
    fn_put_be64(h->block + FN_SM3_BLOCK - 8, h->length << 3);
    fn_sm3_engine->blocks(h->state, h->block, 1);
}

void fn_sm3_final(struct fn_sm3 *h, uint8_t out[FN_SM3_SIZE])
{
    absorb_padding(h);
    put_state(out, h->state);
    fn_wipe(h, sizeof *h);
}

void fn_sm3_digest(const void *p, size_t n, uint8_t out[FN_SM3_SIZE])
{
    struct fn_sm3 h;
    fn_sm3_init(&h);
    fn_sm3_update(&h, p, n);
    fn_sm3_final(&h, out);
}

/* HMAC (GB/T 15852.2 7). */
void fn_hmac_key_init(struct fn_hmac_key *key, const void *p, size_t n)
{
    uint8_t pad[FN_SM3_BLOCK] = {0};
    if (n > sizeof pad)
        fn_sm3_digest(p, n, pad);
    else if (n > 0)
        memcpy(pad, p, n);
    for (size_t i = 0; i < sizeof pad; i++) pad[i] ^= 0x36;
    memcpy(key->inner, fn_sm3_iv, sizeof key->inner);
    fn_sm3_engine->blocks(key->inner, pad, 1);
    for (size_t i = 0; i < sizeof pad; i++) pad[i] ^= 0x36 ^ 0x5c;
    memcpy(key->outer, fn_sm3_iv, sizeof key->outer);
    fn_sm3_engine->blocks(key->outer, pad, 1);
    fn_wipe(pad, sizeof pad);
}

void fn_hmac_init(struct fn_hmac *m, const struct fn_hmac_key *key)
{
    start_from(&m->inner, key->inner, FN_SM3_BLOCK);
    memcpy(m->outer, key->outer, sizeof m->outer);
}

void fn_hmac_update(struct fn_hmac *m, const void *p, size_t n)
{
    fn_sm3_update(&m->inner, p, n);
}

/* A block that holds a digest and the padding of a message of one block and that digest: what the outer hash
 * and every later step of PBKDF2 absorb. */
static void digest_block_init(uint8_t block[FN_SM3_BLOCK])
{
    memset(block, 0, FN_SM3_BLOCK);
    block[FN_SM3_SIZE] = 0x80;
    fn_put_be16(block + FN_SM3_BLOCK - 2, (FN_SM3_BLOCK + FN_SM3_SIZE) * 8);
}

void fn_hmac_final(struct fn_hmac *m, uint8_t out[FN_SM3_SIZE])
{
    absorb_padding(&m->inner);
    uint8_t *block = m->inner.block;
    digest_block_init(block);
    put_state(block, m->inner.state);
    fn_sm3_engine->blocks(m->outer, block, 1);
    put_state(out, m->outer);
    fn_wipe(m, sizeof *m);
}

void fn_hmac_digest(const struct fn_hmac_key *key, const void *p, size_t n, uint8_t out[FN_SM3_SIZE])
{
    struct fn_hmac m;
    fn_hmac_init(&m, key);
    fn_hmac_update(&m, p, n);
    fn_hmac_final(&m, out);
}

/* PBKDF2 (RFC 8018 5.2): every step after the first is two compressions of one prepared block each. */
static void pbkdf2_block(const struct fn_hmac_key *key, const uint8_t first[FN_SM3_SIZE], uint32_t iterations,
                         uint32_t sum[8])
{
    void (*const blocks)(uint32_t *, const uint8_t *, size_t) = fn_sm3_engine->blocks;
    uint8_t block[FN_SM3_BLOCK];
    uint32_t state[8];
    digest_block_init(block);
    memcpy(block, first, FN_SM3_SIZE);
    for (size_t i = 0; i < 8; i++) sum[i] = fn_get_be32(first + 4 * i);
    for (uint32_t step = 1; step < iterations; step++) {
        memcpy(state, key->inner, sizeof state);
        blocks(state, block, 1);
        put_state(block, state);
        memcpy(state, key->outer, sizeof state);
        blocks(state, block, 1);
        put_state(block, state);
        for (size_t i = 0; i < 8; i++) sum[i] ^= state[i];
    }
    fn_wipe(block, sizeof block);
    fn_wipe(state, sizeof state);
}

void fn_pbkdf2_sm3(const void *password, size_t password_size, const void *salt, size_t salt_size,
                   uint32_t iterations, uint8_t *out, size_t n)
{
    struct fn_hmac_key key;
    struct fn_hmac salted, m;
    uint8_t number[4], u[FN_SM3_SIZE];
    uint32_t sum[8];
    fn_hmac_key_init(&key, password, password_size);
    fn_hmac_init(&salted, &key);
    fn_hmac_update(&salted, salt, salt_size);
    for (uint32_t i = 1; n > 0; i++) {
        m = salted;
        fn_put_be32(number, i);
        fn_hmac_update(&m, number, sizeof number);
        fn_hmac_final(&m, u);
        pbkdf2_block(&key, u, iterations, sum);
        put_state(u, sum);
        size_t take = n < sizeof u ? n : sizeof u;
        memcpy(out, u, take);
        out += take;
        n -= take;
    }
    fn_wipe(&key, sizeof key);
    fn_wipe(&salted, sizeof salted);
    fn_wipe(u, sizeof u);
    fn_wipe(sum, sizeof sum);
}
