/* CBC encryption of many streams: each stream has a lane and moves forward by one block a step. */
#include "crypto/sm4/sm4_impl.h"

struct lane {
    const struct fn_sm4_cbc_job *job;
    size_t done;
};

struct lanes {
    struct fn_sm4_lanes keys;
    _Alignas(16) uint8_t blocks[16 * FN_SM4_CHUNK];
    const struct fn_sm4_key *key[FN_SM4_CHUNK];
    struct lane lane[FN_SM4_CHUNK];
    size_t used;
};

struct queue {
    const struct fn_sm4_cbc_job *next, *end;
};

static const struct fn_sm4_cbc_job *take(struct queue *q)
{
    while (q->next != q->end && q->next->n == 0) q->next++;
    return q->next == q->end ? NULL : q->next++;
}

/* Replaces finished streams by waiting ones and closes gaps. True when the keys of the lanes changed. */
static bool refill(struct lanes *l, struct queue *q)
{
    bool changed = false;
    size_t kept = 0;
    for (size_t i = 0; i < fn_sm4_ops->lanes; i++) {
        struct lane lane = {0};
        if (i < l->used) lane = l->lane[i];
        if (!lane.job || lane.done == lane.job->n) lane = (struct lane){take(q), 0};
        if (!lane.job) continue;
        changed = changed || kept >= l->used || l->key[kept] != lane.job->key;
        l->key[kept] = lane.job->key;
        l->lane[kept++] = lane;
    }
    l->used = kept;
    return changed;
}

static void load_keys(struct lanes *l)
{
    bool same = true;
    for (size_t i = 1; i < l->used; i++) same = same && l->key[i] == l->key[0];
    if (same)
        fn_sm4_ops->load(&l->keys, l->key[0], false);
    else
        fn_sm4_ops->load_each(&l->keys, l->used, l->key);
}

static void step(struct lanes *l)
{
    for (size_t i = 0; i < l->used; i++) {
        const struct fn_sm4_cbc_job *job = l->lane[i].job;
        fn_sm4_xor(l->blocks + 16 * i, job->iv, job->in + l->lane[i].done, 16);
    }
    fn_sm4_ops->run(&l->keys, l->blocks, l->blocks, l->used);
    for (size_t i = 0; i < l->used; i++) {
        const struct fn_sm4_cbc_job *job = l->lane[i].job;
        memcpy(job->iv, l->blocks + 16 * i, 16);
        memcpy(job->out + l->lane[i].done, l->blocks + 16 * i, 16);
        l->lane[i].done += 16;
    }
}

fn_err fn_sm4_cbc_encrypt_batch(size_t count, const struct fn_sm4_cbc_job *jobs)
{
    for (size_t i = 0; i < count; i++)
        if (jobs[i].n % 16)
            return FN_FAIL(FN_E_CIPHER_LENGTH, "job %zu has %zu bytes, not a multiple of 16", i, jobs[i].n);
    FN_SM4_UNSET struct lanes l;
    l.used = 0;
    struct queue q = {jobs, count ? jobs + count : jobs};
    for (;;) {
        bool changed = refill(&l, &q);
        if (l.used < 2) break;
        if (changed) load_keys(&l);
        size_t steps = SIZE_MAX;
        for (size_t i = 0; i < l.used; i++) {
            size_t left = (l.lane[i].job->n - l.lane[i].done) / 16;
            if (left < steps) steps = left;
        }
        for (; steps; steps--) step(&l);
    }
    if (l.used) { /* what one stream has left is serial */
        const struct fn_sm4_cbc_job *job = l.lane[0].job;
        size_t done = l.lane[0].done;
        FN_TRY(fn_sm4_cbc_encrypt(job->key, job->iv, job->in + done, job->out + done, job->n - done));
    }
    fn_wipe(&l.keys, sizeof l.keys);
    fn_wipe(l.blocks, sizeof l.blocks);
    return FN_OK;
}
