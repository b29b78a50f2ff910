/* GCM (GB/T 36624-2018 clause 11, NIST SP 800-38D): one message, many messages, and a message in pieces. */
#include "crypto/sm4/sm4_impl.h"

#define CHUNK_BYTES (16 * FN_SM4_CHUNK)
#define TEXT_MOST   (((uint64_t)1 << 36) - 32)

void fn_gcm_key_init(struct fn_gcm_key *key, const uint8_t k[FN_SM4_KEY])
{
    uint8_t h[16] = {0};
    fn_sm4_key_init(&key->sm4, k);
    fn_sm4_one(&key->sm4, h, h);
    fn_sm4_ops->ghash_init(key->h, h);
    fn_wipe(h, sizeof h);
}

/* Adds n bytes, filled up with zeros to whole blocks. */
static void hash_padded(const struct fn_gcm_key *key, uint8_t y[16], const uint8_t *p, size_t n)
{
    fn_sm4_ops->ghash(key->h, y, p, n / 16);
    if (n % 16 == 0) return;
    uint8_t last[16] = {0};
    memcpy(last, p + n - n % 16, n % 16);
    fn_sm4_ops->ghash(key->h, y, last, 1);
}

static void hash_lengths(const struct fn_gcm_key *key, uint8_t y[16], uint64_t a, uint64_t b)
{
    uint8_t lengths[16];
    fn_put_be64(lengths, 8 * a);
    fn_put_be64(lengths + 8, 8 * b);
    fn_sm4_ops->ghash(key->h, y, lengths, 1);
}

/* Counter block 0 (SP 800-38D 7.1 step 2). */
static void first_counter(const struct fn_gcm_key *key, struct fn_bytes nonce, uint8_t j0[16])
{
    memset(j0, 0, 16);
    if (nonce.n == 12) {
        memcpy(j0, nonce.p, 12);
        j0[15] = 1;
        return;
    }
    hash_padded(key, j0, nonce.p, nonce.n);
    hash_lengths(key, j0, 0, nonce.n);
}

/* Only the last 32 bits count. */
static inline void count32(uint8_t counter[16])
{
    fn_put_be32(counter + 12, fn_get_be32(counter + 12) + 1);
}

static fn_err check(const struct fn_gcm_job *job)
{
    if (job->nonce.n == 0) return FN_FAIL(FN_E_ARGUMENT, "GCM nonce is empty");
    if (job->tag_size != 4 && job->tag_size != 8 && (job->tag_size < 12 || job->tag_size > 16))
        return FN_FAIL(FN_E_ARGUMENT, "GCM tag of %zu bytes, 4, 8, 12 to 16 allowed", job->tag_size);
    if ((uint64_t)job->n > TEXT_MOST) return FN_FAIL(FN_E_TOO_LARGE, "GCM message of %zu bytes", job->n);
    return FN_OK;
}

/* Key stream for several messages. Counter blocks wait here until a kernel is full, whatever key each of them
 * needs. */
struct segment {
    const uint8_t *in;
    uint8_t *out;
    size_t n;     /* bytes */
    size_t block; /* where its key stream starts */
};

struct stream {
    struct fn_sm4_lanes lanes;
    const struct fn_sm4_key *loaded; /* the key in all lanes, NULL when they differ */
    size_t used, segments;
    const struct fn_sm4_key *keys[FN_SM4_CHUNK];
    struct segment segment[FN_SM4_CHUNK];
    _Alignas(16) uint8_t blocks[CHUNK_BYTES];
};

static void stream_start(struct stream *s)
{
    s->loaded = NULL;
    s->used = s->segments = 0;
}

static void stream_end(struct stream *s)
{
    fn_wipe(&s->lanes, sizeof s->lanes);
    fn_wipe(s->blocks, sizeof s->blocks);
}

/* Turns n blocks from `first` on into key stream; at most one kernel full when their keys differ. */
static void stream_run(struct stream *s, size_t first, size_t n, bool same)
{
    const struct fn_sm4_key *const *keys = s->keys + first;
    uint8_t *blocks = s->blocks + 16 * first;
    if (n == 1) {
        fn_sm4_one(keys[0], blocks, blocks);
        return;
    }
    if (!same)
        fn_sm4_ops->load_each(&s->lanes, n, keys);
    else if (s->loaded != keys[0])
        fn_sm4_ops->load(&s->lanes, keys[0], false);
    s->loaded = same ? keys[0] : NULL;
    fn_sm4_ops->run(&s->lanes, blocks, blocks, n);
}

static bool same_keys(const struct fn_sm4_key *const *keys, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (keys[i] != keys[0]) return false;
    return true;
}

static void stream_flush(struct stream *s)
{
    size_t lanes = fn_sm4_ops->lanes;
    if (s->used && same_keys(s->keys, s->used))
        stream_run(s, 0, s->used, true);
    else
        for (size_t i = 0, n; i < s->used; i += n) {
            n = s->used - i < lanes ? s->used - i : lanes;
            stream_run(s, i, n, same_keys(s->keys + i, n));
        }
    for (size_t i = 0; i < s->segments; i++) {
        const struct segment *g = &s->segment[i];
        fn_sm4_xor(g->out, g->in, s->blocks + 16 * g->block, g->n);
    }
    s->used = s->segments = 0;
}

/* XORs the key stream from `counter` on to in[0..n); counter moves on. Nothing may be written before a flush.
 */
static void stream_add(struct stream *s, const struct fn_sm4_key *key, uint8_t counter[16], const uint8_t *in,
                       uint8_t *out, size_t n)
{
    while (n) {
        size_t room = 16 * (FN_SM4_CHUNK - s->used), now = n < room ? n : room;
        s->segment[s->segments++] = (struct segment){in, out, now, s->used};
        size_t blocks = (now + 15) / 16;
        fn_sm4_counters32(s->blocks + 16 * s->used, blocks, counter);
        for (size_t i = 0; i < blocks; i++) s->keys[s->used++] = key;
        in += now;
        out += now;
        n -= now;
        if (s->used == FN_SM4_CHUNK) stream_flush(s);
    }
}

/* Messages that are worked on together; bounds the stack. */
#define TOGETHER 64

struct group {
    struct stream stream;
    struct fn_gcm_job *jobs;
    size_t count;
    uint8_t counter[TOGETHER][16], pad[TOGETHER][16];
};

static const uint8_t zeros[16];

/* Checks each job and makes its first counter and the pad of its tag. */
static void group_start(struct group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        struct fn_gcm_job *job = &g->jobs[i];
        job->result = check(job);
        if (job->result != FN_OK) continue;
        first_counter(job->key, job->nonce, g->counter[i]);
        stream_add(&g->stream, &job->key->sm4, g->counter[i], zeros, g->pad[i], 16);
    }
}

static void group_crypt(struct group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        struct fn_gcm_job *job = &g->jobs[i];
        if (job->result == FN_OK)
            stream_add(&g->stream, &job->key->sm4, g->counter[i], job->in, job->out, job->n);
    }
    stream_flush(&g->stream);
}

/* A short message is hashed in one go: the engine has a price for each call. */
#define HASH_SHORT 256

static void job_tag(const struct fn_gcm_job *job, const uint8_t *ciphertext, const uint8_t pad[16],
                    uint8_t tag[16])
{
    memset(tag, 0, 16);
    size_t aad_n = job->aad.n, n = job->n;
    if (aad_n <= HASH_SHORT && n <= HASH_SHORT) {
        FN_SM4_UNSET uint8_t text[2 * HASH_SHORT + 16];
        size_t text_at = (aad_n + 15) / 16 * 16, lengths_at = text_at + (n + 15) / 16 * 16;
        memset(text, 0, lengths_at);
        if (aad_n) memcpy(text, job->aad.p, aad_n);
        if (n) memcpy(text + text_at, ciphertext, n);
        fn_put_be64(text + lengths_at, 8 * (uint64_t)aad_n);
        fn_put_be64(text + lengths_at + 8, 8 * (uint64_t)n);
        fn_sm4_ops->ghash(job->key->h, tag, text, lengths_at / 16 + 1);
    } else {
        hash_padded(job->key, tag, job->aad.p, aad_n);
        hash_padded(job->key, tag, ciphertext, n);
        hash_lengths(job->key, tag, aad_n, n);
    }
    fn_sm4_xor(tag, tag, pad, 16);
}

static void group_encrypt(struct group *g)
{
    group_start(g);
    group_crypt(g);
    for (size_t i = 0; i < g->count; i++) {
        struct fn_gcm_job *job = &g->jobs[i];
        uint8_t tag[16];
        if (job->result != FN_OK) continue;
        job_tag(job, job->out, g->pad[i], tag);
        memcpy(job->tag, tag, job->tag_size);
    }
}

static void group_decrypt(struct group *g)
{
    group_start(g);
    stream_flush(&g->stream);
    for (size_t i = 0; i < g->count; i++) {
        struct fn_gcm_job *job = &g->jobs[i];
        uint8_t tag[16];
        if (job->result != FN_OK) continue;
        job_tag(job, job->in, g->pad[i], tag);
        bool good = fn_equal_ct(tag, job->tag, job->tag_size);
        FN_SM4_PUBLIC(good);
        if (!good) job->result = FN_FAIL(FN_E_TAG, "GCM message of %zu bytes", job->n);
        fn_wipe(tag, sizeof tag);
    }
    group_crypt(g);
}

static void batch(size_t count, struct fn_gcm_job *jobs, void (*work)(struct group *))
{
    FN_SM4_UNSET struct group g;
    stream_start(&g.stream);
    for (; count; count -= g.count, jobs += g.count) {
        g.jobs = jobs;
        g.count = count < TOGETHER ? count : TOGETHER;
        work(&g);
    }
    stream_end(&g.stream);
    fn_wipe(g.pad, sizeof g.pad);
}

void fn_gcm_encrypt_batch(size_t count, struct fn_gcm_job *jobs)
{
    batch(count, jobs, group_encrypt);
}
void fn_gcm_decrypt_batch(size_t count, struct fn_gcm_job *jobs)
{
    batch(count, jobs, group_decrypt);
}

fn_err fn_gcm_encrypt(struct fn_gcm_job *job)
{
    batch(1, job, group_encrypt);
    FN_TRY(job->result);
    return FN_OK;
}

fn_err fn_gcm_decrypt(struct fn_gcm_job *job)
{
    batch(1, job, group_decrypt);
    FN_TRY(job->result);
    return FN_OK;
}

fn_err fn_gcm_start(struct fn_gcm *g, const struct fn_gcm_key *key, bool decrypt, struct fn_bytes nonce,
                    struct fn_bytes aad)
{
    if (nonce.n == 0) return FN_FAIL(FN_E_ARGUMENT, "GCM nonce is empty");
    memset(g, 0, sizeof *g);
    g->key = key;
    g->decrypt = decrypt;
    g->aad_size = aad.n;
    first_counter(key, nonce, g->counter);
    fn_sm4_one(&key->sm4, g->counter, g->first);
    count32(g->counter);
    hash_padded(key, g->hash, aad.p, aad.n);
    return FN_OK;
}

/* Bytes within one block; `part` collects its ciphertext, `pad` is its key stream. */
static void update_part(struct fn_gcm *g, const uint8_t *in, uint8_t *out, size_t n)
{
    size_t at = g->text_size % 16;
    if (at == 0) {
        fn_sm4_one(&g->key->sm4, g->counter, g->pad);
        count32(g->counter);
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t c = in[i] ^ g->pad[at + i];
        g->part[at + i] = g->decrypt ? in[i] : c;
        out[i] = c;
    }
    g->text_size += n;
    if (at + n == 16) fn_sm4_ops->ghash(g->key->h, g->hash, g->part, 1);
}

static void update_blocks(struct fn_gcm *g, const uint8_t *in, uint8_t *out, size_t n)
{
    FN_SM4_UNSET struct stream s;
    stream_start(&s);
    if (g->decrypt) fn_sm4_ops->ghash(g->key->h, g->hash, in, n / 16);
    stream_add(&s, &g->key->sm4, g->counter, in, out, n);
    stream_flush(&s);
    stream_end(&s);
    if (!g->decrypt) fn_sm4_ops->ghash(g->key->h, g->hash, out, n / 16);
    g->text_size += n;
}

fn_err fn_gcm_update(struct fn_gcm *g, const uint8_t *in, uint8_t *out, size_t n)
{
    /* Beyond it the counter comes round and the key stream, that of the tag included, is used again. */
    if ((uint64_t)n > TEXT_MOST - g->text_size)
        return FN_FAIL(FN_E_TOO_LARGE, "%zu bytes after %llu of a GCM message", n,
                       (unsigned long long)g->text_size);
    size_t at = g->text_size % 16, head = at ? 16 - at : 0;
    if (head > n) head = n;
    if (head) update_part(g, in, out, head);
    size_t whole = (n - head) / 16 * 16, tail = n - head - whole;
    if (whole) update_blocks(g, in + head, out + head, whole);
    if (tail) update_part(g, in + head + whole, out + head + whole, tail);
    return FN_OK;
}

void fn_gcm_finish(struct fn_gcm *g, uint8_t tag[16])
{
    hash_padded(g->key, g->hash, g->part, g->text_size % 16);
    hash_lengths(g->key, g->hash, g->aad_size, g->text_size);
    fn_sm4_xor(tag, g->hash, g->first, 16);
    fn_wipe(g, sizeof *g);
}
