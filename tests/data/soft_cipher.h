/* The cipher interface over libgcrypt, for tests alone: an implementation apart from ours, keys derived from
 * a seed, anchors in memory, and faults on demand. */
#ifndef FN_TESTS_DATA_SOFT_CIPHER_H
#define FN_TESTS_DATA_SOFT_CIPHER_H

#include "base/sys/heap.h"
#include "data/cipher.h"
#include <gcrypt.h>
#include <string.h>

struct soft_anchor {
    char name[96];
    uint64_t counter;
    uint8_t digest[32];
};

struct soft_cipher {
    struct fn_cipher cipher;
    struct {
        char label[96];
        struct fn_data_key key;
        uint8_t secret[32];
    } keys[32];
    size_t key_count;
    struct soft_anchor anchors[32];
    size_t anchor_count;
    uint64_t drawn;       /* deterministic random bytes */
    int fail_in;          /* > 0: the job after that many fails with FN_E_DEVICE_LOST */
    int anchor_fails;     /* anchors are refused while set */
    uint64_t jobs, items; /* what was asked */
};

static inline void soft_random(struct soft_cipher *s, void *out, size_t n)
{
    for (uint8_t *p = out; n;) {
        uint8_t block[32], seed[16] = "soft cipher";
        size_t k = n < 32 ? n : 32;
        fn_put_be32(seed + 12, (uint32_t)s->drawn++);
        gcry_md_hash_buffer(GCRY_MD_SM3, block, seed, sizeof seed);
        memcpy(p, block, k);
        p += k;
        n -= k;
    }
}

static inline const uint8_t *soft_secret(struct soft_cipher *s, const struct fn_uuid *uuid)
{
    for (size_t i = 0; i < s->key_count; i++)
        if (!memcmp(s->keys[i].key.uuid.b, uuid->b, 16)) return s->keys[i].secret;
    return NULL;
}

static inline fn_err soft_hmac(const uint8_t *key, struct fn_bytes m, uint8_t mac[32])
{
    gcry_mac_hd_t h;
    size_t n = 32;
    if (gcry_mac_open(&h, GCRY_MAC_HMAC_SM3, 0, NULL) || gcry_mac_setkey(h, key, 32) ||
        gcry_mac_write(h, m.p, m.n) || gcry_mac_read(h, mac, &n))
        return FN_FAIL(FN_E_INTERNAL, "libgcrypt");
    gcry_mac_close(h);
    return FN_OK;
}

/* Results of a job: one buffer with room for everything. */
struct soft_state {
    uint8_t *room;
    size_t used;
};

static inline uint8_t *soft_take(struct soft_state *st, size_t n)
{
    uint8_t *p = st->room + st->used;
    st->used += n;
    return p;
}

static inline fn_err soft_gcm(const uint8_t *key, struct fn_cipher_item *it, struct soft_state *st, bool seal)
{
    gcry_cipher_hd_t h;
    uint8_t *out = soft_take(st, it->in.n + 1);
    if (gcry_cipher_open(&h, GCRY_CIPHER_SM4, GCRY_CIPHER_MODE_GCM, 0) || gcry_cipher_setkey(h, key, 16) ||
        gcry_cipher_setiv(h, it->nonce.p, it->nonce.n) || gcry_cipher_authenticate(h, it->aad.p, it->aad.n))
        return FN_FAIL(FN_E_INTERNAL, "libgcrypt");
    if (seal) {
        uint8_t *tag = soft_take(st, 16);
        if (it->in.n && gcry_cipher_encrypt(h, out, it->in.n, it->in.p, it->in.n))
            return FN_FAIL(FN_E_INTERNAL, "libgcrypt");
        if (gcry_cipher_gettag(h, tag, 16)) return FN_FAIL(FN_E_INTERNAL, "libgcrypt");
        it->tag = fn_bytes(tag, 16);
    } else {
        if (it->in.n && gcry_cipher_decrypt(h, out, it->in.n, it->in.p, it->in.n))
            return FN_FAIL(FN_E_INTERNAL, "libgcrypt");
        if (gcry_cipher_checktag(h, it->tag.p, it->tag.n)) it->result = FN_E_TAG;
    }
    it->out = fn_bytes(out, it->in.n);
    gcry_cipher_close(h);
    return FN_OK;
}

static inline fn_err soft_cbc(const uint8_t *key, const uint8_t *iv, const uint8_t *in, uint8_t *out,
                              size_t n, bool seal)
{
    gcry_cipher_hd_t h;
    if (gcry_cipher_open(&h, GCRY_CIPHER_SM4, GCRY_CIPHER_MODE_CBC, 0) || gcry_cipher_setkey(h, key, 16) ||
        gcry_cipher_setiv(h, iv, 16) || (seal ? gcry_cipher_encrypt : gcry_cipher_decrypt)(h, out, n, in, n))
        return FN_FAIL(FN_E_INTERNAL, "libgcrypt");
    gcry_cipher_close(h);
    return FN_OK;
}

static inline fn_err soft_cbc_hmac(struct soft_cipher *s, const struct fn_cipher_job *job,
                                   struct fn_cipher_item *it, struct soft_state *st, bool seal)
{
    const uint8_t *key = soft_secret(s, &job->key.uuid), *mac_key = soft_secret(s, &job->mac_key.uuid);
    FN_SCOPED_BUF struct fn_buf padded = fn_buf_heap(), message = fn_buf_heap();
    uint8_t mac[32], *tag = soft_take(st, 32);
    if (seal) {
        FN_TRY(fn_field_pad(&padded, it->in));
        uint8_t *out = soft_take(st, padded.n);
        FN_TRY(soft_cbc(key, it->nonce.p + 4, padded.p, out, padded.n, true));
        it->out = fn_bytes(out, padded.n);
        FN_TRY(fn_field_mac_message(&message, &job->key.uuid, it->key_version, it->aad, it->nonce, it->out));
        FN_TRY(soft_hmac(mac_key, fn_buf_view(&message), tag));
        it->tag = fn_bytes(tag, 32);
        return FN_OK;
    }
    FN_TRY(fn_field_mac_message(&message, &job->key.uuid, it->key_version, it->aad, it->nonce, it->in));
    FN_TRY(soft_hmac(mac_key, fn_buf_view(&message), mac));
    if (it->tag.n != 32 || memcmp(mac, it->tag.p, 32)) {
        it->result = FN_E_TAG;
        return FN_OK;
    }
    uint8_t *out = soft_take(st, it->in.n);
    FN_TRY(soft_cbc(key, it->nonce.p + 4, it->in.p, out, it->in.n, false));
    return fn_field_unpad(fn_bytes(out, it->in.n), &it->out);
}

static inline fn_err soft_item(struct soft_cipher *s, struct fn_cipher_job *job, struct fn_cipher_item *it,
                               struct soft_state *st)
{
    const uint8_t *key = soft_secret(s, &job->key.uuid);
    it->result = FN_OK;
    if (!key) return FN_FAIL(FN_E_KEY_NOT_FOUND, "soft cipher");
    if (job->work == FN_CIPHER_MAC) {
        uint8_t *tag = soft_take(st, 32);
        it->tag = fn_bytes(tag, 32);
        return soft_hmac(key, it->in, tag);
    }
    if (job->work == FN_CIPHER_SEAL) {
        size_t n = job->suite == FN_SUITE_SM4_GCM ? 12 : 20;
        uint8_t *nonce = soft_take(st, n);
        soft_random(s, nonce, n);
        if (n == 20) fn_put_be32(nonce, job->mac_key.version);
        it->nonce = fn_bytes(nonce, n);
        it->key_version = job->key.version;
    }
    if (job->suite == FN_SUITE_SM4_GCM) return soft_gcm(key, it, st, job->work == FN_CIPHER_SEAL);
    return soft_cbc_hmac(s, job, it, st, job->work == FN_CIPHER_SEAL);
}

static inline fn_err soft_start(void *self, struct fn_cipher_job *job)
{
    struct soft_cipher *s = self;
    size_t room = 0;
    s->jobs++;
    s->items += job->count;
    if (s->fail_in && !--s->fail_in) return FN_FAIL(FN_E_DEVICE_LOST, "as the test wishes");
    for (size_t i = 0; i < job->count; i++) room += job->items[i].in.n + 128;
    struct soft_state *st;
    FN_TRY(fn_heap_array(&st, 1, sizeof *st));
    FN_TRY(fn_heap_array(&st->room, room + 1, 1));
    job->state = st;
    for (size_t i = 0; i < job->count; i++) FN_TRY(soft_item(s, job, &job->items[i], st));
    return FN_OK;
}

static inline fn_err soft_finish(void *self, struct fn_cipher_job *job)
{
    (void)self;
    return job->state ? FN_OK : FN_FAIL(FN_E_INTERNAL, "not started");
}

static inline void soft_done(void *self, struct fn_cipher_job *job)
{
    struct soft_state *st = job->state;
    (void)self;
    if (st) free(st->room);
    free(st);
    job->state = NULL;
}

static inline fn_err soft_rng(void *self, void *out, size_t n)
{
    soft_random(self, out, n);
    return FN_OK;
}

/* uuid and secret of a key are SM3 of its label: the golden files are made this way. */
static inline fn_err soft_key(void *self, const char *label, enum fn_data_key_kind kind, bool create,
                              struct fn_data_key *key)
{
    struct soft_cipher *s = self;
    uint8_t digest[32];
    (void)kind;
    for (size_t i = 0; i < s->key_count; i++) {
        if (strcmp(s->keys[i].label, label)) continue;
        *key = s->keys[i].key;
        return FN_OK;
    }
    if (!create || s->key_count == FN_COUNT(s->keys)) return FN_FAIL(FN_E_KEY_NOT_FOUND, "%s", label);
    gcry_md_hash_buffer(GCRY_MD_SM3, s->keys[s->key_count].secret, label, strlen(label));
    gcry_md_hash_buffer(GCRY_MD_SM3, digest, s->keys[s->key_count].secret, 32);
    memcpy(s->keys[s->key_count].key.uuid.b, digest, 16);
    s->keys[s->key_count].key.version = 1;
    fn_format(s->keys[s->key_count].label, sizeof s->keys[0].label, "%s", label);
    *key = s->keys[s->key_count++].key;
    return FN_OK;
}

static inline struct soft_anchor *soft_find_anchor(struct soft_cipher *s, const char *name)
{
    for (size_t i = 0; i < s->anchor_count; i++)
        if (!strcmp(s->anchors[i].name, name)) return &s->anchors[i];
    return NULL;
}

static inline fn_err soft_anchor_get(void *self, const char *name, uint64_t *counter, uint8_t digest[32])
{
    struct soft_anchor *a = soft_find_anchor(self, name);
    if (!a) return FN_FAIL(FN_E_NOT_FOUND, "anchor %s", name);
    *counter = a->counter;
    memcpy(digest, a->digest, 32);
    return FN_OK;
}

static inline fn_err soft_anchor_set(void *self, const char *name, uint64_t expected, uint64_t counter,
                                     const uint8_t digest[32])
{
    struct soft_cipher *s = self;
    struct soft_anchor *a = soft_find_anchor(s, name);
    if (s->anchor_fails) return FN_FAIL(FN_E_DEVICE_LOST, "as the test wishes");
    if ((a ? a->counter : 0) != expected || counter <= expected)
        return FN_FAIL(FN_E_ANCHOR_OLD, "anchor %s", name);
    if (!a) {
        if (s->anchor_count == FN_COUNT(s->anchors)) return FN_FAIL(FN_E_TOO_LARGE, "anchors");
        a = &s->anchors[s->anchor_count++];
        fn_format(a->name, sizeof a->name, "%s", name);
    }
    a->counter = counter;
    memcpy(a->digest, digest, 32);
    return FN_OK;
}

static inline void soft_close(void *self)
{
    (void)self;
}

static inline void soft_cipher_init(struct soft_cipher *s)
{
    memset(s, 0, sizeof *s);
    gcry_check_version(NULL);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    s->cipher = (struct fn_cipher){s,        soft_start,      soft_finish,     soft_done, soft_rng,
                                   soft_key, soft_anchor_get, soft_anchor_set, soft_close};
}

#endif
