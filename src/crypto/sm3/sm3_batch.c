/* Many messages at once: each lane of the engine works on a message of its own and takes the next one when it
 * is done. */
#include "crypto/sm3/sm3_engine.h"

struct lane {
    const uint8_t *p;
    size_t left;  /* whole blocks at p */
    bool in_tail; /* p is in `tail` */
    uint8_t tail[2 * FN_SM3_BLOCK];
    size_t tail_blocks;
    uint8_t *out; /* NULL: the lane is idle */
};

struct lanes {
    const struct fn_sm3_engine *engine;
    struct lane lane[FN_SM3_LANES_MOST];
    uint32_t state[8 * FN_SM3_LANES_MOST];
    size_t busy;
};

static void lane_to_tail(struct lane *lane)
{
    lane->p = lane->tail;
    lane->left = lane->tail_blocks;
    lane->in_tail = true;
}

static void lane_load(struct lanes *s, size_t l, const struct fn_sm3_job *job)
{
    struct lane *lane = &s->lane[l];
    size_t whole = job->rest.n / FN_SM3_BLOCK, held = job->rest.n % FN_SM3_BLOCK;
    if (held > 0) memcpy(lane->tail, job->rest.p + whole * FN_SM3_BLOCK, held);
    lane->tail_blocks = held < FN_SM3_BLOCK - 8 ? 1 : 2;
    size_t end = lane->tail_blocks * FN_SM3_BLOCK;
    lane->tail[held] = 0x80;
    memset(lane->tail + held + 1, 0, end - 8 - held - 1);
    fn_put_be64(lane->tail + end - 8, (job->before + job->rest.n) << 3);
    lane->p = job->rest.p;
    lane->left = whole;
    lane->in_tail = false;
    lane->out = job->out;
    if (whole == 0) lane_to_tail(lane);
    for (size_t i = 0; i < 8; i++) s->state[i * s->engine->lanes + l] = job->state[i];
    s->busy++;
}

static void lane_done(struct lanes *s, size_t l)
{
    for (size_t i = 0; i < 8; i++) fn_put_be32(s->lane[l].out + 4 * i, s->state[i * s->engine->lanes + l]);
    s->lane[l].out = NULL;
    s->busy--;
}

/* Advances all lanes by as many blocks as the shortest has before it. Idle lanes repeat the work of a busy
 * one in a state that nobody reads. */
static void lanes_step(struct lanes *s)
{
    const uint8_t *p[FN_SM3_LANES_MOST] = {NULL};
    size_t lanes = s->engine->lanes, count = SIZE_MAX, example = 0;
    for (size_t l = 0; l < lanes; l++) {
        if (!s->lane[l].out) continue;
        example = l;
        if (s->lane[l].left < count) count = s->lane[l].left;
    }
    for (size_t l = 0; l < lanes; l++) p[l] = s->lane[s->lane[l].out ? l : example].p;
    s->engine->lane_blocks(s->state, p, count);
    for (size_t l = 0; l < lanes; l++) {
        struct lane *lane = &s->lane[l];
        if (!lane->out) continue;
        lane->left -= count;
        lane->p += count * FN_SM3_BLOCK;
        if (lane->left > 0) continue;
        if (lane->in_tail)
            lane_done(s, l);
        else
            lane_to_tail(lane);
    }
}

/* Finishes a lane's message alone, when too few are left to fill the lanes. */
static void lane_finish(struct lanes *s, size_t l)
{
    struct lane *lane = &s->lane[l];
    uint32_t state[8];
    for (size_t i = 0; i < 8; i++) state[i] = s->state[i * s->engine->lanes + l];
    s->engine->blocks(state, lane->p, lane->left);
    if (!lane->in_tail) s->engine->blocks(state, lane->tail, lane->tail_blocks);
    for (size_t i = 0; i < 8; i++) s->state[i * s->engine->lanes + l] = state[i];
    lane_done(s, l);
    fn_wipe(state, sizeof state);
}

void fn_sm3_run_jobs(size_t n, void (*next)(const void *self, size_t i, struct fn_sm3_job *job),
                     const void *self)
{
    struct lanes s;
    struct fn_sm3_job job;
    s.engine = fn_sm3_engine;
    s.busy = 0;
    size_t lanes = s.engine->lanes, taken = 0;
    for (size_t l = 0; l < lanes; l++) s.lane[l].out = NULL;
    for (;;) {
        for (size_t l = 0; l < lanes && taken < n; l++) {
            if (s.lane[l].out) continue;
            next(self, taken++, &job);
            lane_load(&s, l, &job);
        }
        if (s.busy == 0) break;
        if (lanes > 1 && s.busy > lanes / 2) {
            lanes_step(&s);
            continue;
        }
        for (size_t l = 0; l < lanes; l++) {
            if (s.lane[l].out) lane_finish(&s, l);
        }
    }
    fn_wipe(&s, sizeof s);
}

struct digest_batch {
    const struct fn_bytes *messages;
    uint8_t (*out)[FN_SM3_SIZE];
    const struct fn_hmac_key *const *keys;
};

static void next_digest(const void *self, size_t i, struct fn_sm3_job *job)
{
    const struct digest_batch *b = self;
    *job = (struct fn_sm3_job){fn_sm3_iv, 0, b->messages[i], b->out[i]};
}

void fn_sm3_batch(size_t n, const struct fn_bytes *messages, uint8_t (*out)[FN_SM3_SIZE])
{
    struct digest_batch b = {messages, out, NULL};
    fn_sm3_run_jobs(n, next_digest, &b);
}

static void next_inner(const void *self, size_t i, struct fn_sm3_job *job)
{
    const struct digest_batch *b = self;
    *job = (struct fn_sm3_job){b->keys[i]->inner, FN_SM3_BLOCK, b->messages[i], b->out[i]};
}

static void next_outer(const void *self, size_t i, struct fn_sm3_job *job)
{
    const struct digest_batch *b = self;
    *job = (struct fn_sm3_job){b->keys[i]->outer, FN_SM3_BLOCK, {b->out[i], FN_SM3_SIZE}, b->out[i]};
}

void fn_hmac_batch(size_t n, const struct fn_hmac_key *const *keys, const struct fn_bytes *messages,
                   uint8_t (*out)[FN_SM3_SIZE])
{
    struct digest_batch b = {messages, out, keys};
    fn_sm3_run_jobs(n, next_inner, &b);
    fn_sm3_run_jobs(n, next_outer, &b);
}

/* KDF (GB/T 32918.4 5.4.3): SM3(z ‖ be32(counter)) for counter 1, 2, …; the whole blocks of z are absorbed
 * once. */
#define KDF_GROUP FN_SM3_LANES_MOST

struct kdf {
    uint32_t state[8];
    uint64_t before;
    size_t message_size;
    uint8_t message[KDF_GROUP][FN_SM3_BLOCK - 1 + 4];
    uint8_t out[KDF_GROUP][FN_SM3_SIZE];
};

static void next_kdf(const void *self, size_t i, struct fn_sm3_job *job)
{
    const struct kdf *k = self;
    *job = (struct fn_sm3_job){k->state, k->before, {k->message[i], k->message_size}, (uint8_t *)k->out[i]};
}

void fn_sm3_kdf(const void *z, size_t z_size, uint8_t *out, size_t n)
{
    struct kdf k;
    const uint8_t *p = z;
    size_t held = z_size % FN_SM3_BLOCK, whole = z_size - held;
    memcpy(k.state, fn_sm3_iv, sizeof k.state);
    if (whole > 0) fn_sm3_engine->blocks(k.state, p, whole / FN_SM3_BLOCK);
    k.before = whole;
    k.message_size = held + 4;
    size_t blocks = n / FN_SM3_SIZE + (n % FN_SM3_SIZE > 0);
    for (size_t i = 0; held > 0 && i < KDF_GROUP && i < blocks; i++) memcpy(k.message[i], p + whole, held);
    for (uint32_t counter = 1; n > 0;) {
        size_t group = blocks < KDF_GROUP ? blocks : KDF_GROUP;
        for (size_t i = 0; i < group; i++) fn_put_be32(k.message[i] + held, counter++);
        fn_sm3_run_jobs(group, next_kdf, &k);
        size_t take = n < group * FN_SM3_SIZE ? n : group * FN_SM3_SIZE;
        memcpy(out, k.out, take);
        out += take;
        n -= take;
        blocks -= group;
    }
    fn_wipe(&k, sizeof k);
}
