/* Session keys: made and wrapped, unwrapped, agreed upon (GM/T 0018 6.3). */
#include "base/sys/heap.h"
#include "base/sys/secret.h"
#include "device/part.h"
#include "device/sgd.h"
#include <string.h>

#define AGREEMENTS_MOST 256u

struct fn_agreement {
    struct fn_agreement *next;
    uint64_t handle;
    struct fn_key *key;
    struct fn_sm2_private *ephemeral; /* locked */
    size_t bytes;
    uint8_t z[32];
};

struct raw {
    uint8_t b[64];
    size_t n;
};

static fn_err key_bytes(uint64_t bits, size_t *n)
{
    if (bits < 8 || bits > 512 || bits % 8)
        return FN_FAIL(FN_E_ARGUMENT, "session key of %u bits: 8 to 512, whole bytes", (unsigned)bits);
    *n = (size_t)bits / 8;
    return FN_OK;
}

static fn_err raw_new(struct fn_work *w, uint64_t bits, struct raw *raw)
{
    FN_TRY(key_bytes(bits, &raw->n));
    return fn_rng_fill(fn_work_rng(w), raw->b, raw->n);
}

/* var ciphertext ‖ handle */
static fn_err hand_out(struct fn_work *w, struct fn_item *item, const struct raw *raw,
                       struct fn_bytes wrapped)
{
    uint64_t handle;
    FN_TRY(
        fn_session_key_new(w, item->request->session, fn_bytes(raw->b, raw->n), FN_CLASS_APP_ENC, &handle));
    FN_TRY(fn_buf_var(&item->out, wrapped.p, wrapped.n));
    return fn_buf_u64(&item->out, handle);
}

static fn_err take_in(struct fn_work *w, struct fn_item *item, struct fn_bytes raw, uint16_t key_class)
{
    uint64_t handle;
    FN_TRY(fn_session_key_new(w, item->request->session, raw, key_class, &handle));
    return fn_buf_u64(&item->out, handle);
}

static fn_err wrap_public(struct fn_work *w, struct fn_item *item)
{
    struct raw raw;
    FN_SCOPED_WIPE(raw);
    struct fn_buf wrapped = fn_buf_arena();
    if (fn_key_alg_symmetric(item->key->alg)) return FN_FAIL(FN_E_KEY_ALGORITHM, "not a key pair");
    FN_TRY(raw_new(w, item->f[1].n, &raw));
    FN_TRY(fn_key_encrypt(item->key, fn_work_rng(w), fn_bytes(raw.b, raw.n), &wrapped));
    return hand_out(w, item, &raw, fn_buf_view(&wrapped));
}

void fn_run_SESSION_KEY_IPK(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], wrap_public(w, items[i]));
}

void fn_run_SESSION_KEY_EPK(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fn_err err =
            items[i]->key->external ? FN_OK : FN_FAIL(FN_E_ARGUMENT, "an external public key is wanted");
        fn_item_fail(items[i], err == FN_OK ? wrap_public(w, items[i]) : err);
    }
}

static fn_err unwrap_private(struct fn_work *w, struct fn_item *item)
{
    struct fn_buf raw FN_SCOPED_BUF = fn_buf_secret();
    FN_TRY(fn_key_decrypt(item->key, item->f[1].b, &raw));
    return take_in(w, item, fn_buf_view(&raw), FN_CLASS_APP_ENC);
}

void fn_run_SESSION_KEY_ISK(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], unwrap_private(w, items[i]));
}

static fn_err need_kek(const struct fn_key *key)
{
    if (key->alg == FN_ALG_SM4 && key->secret && key->secret->n == 16) return FN_OK;
    return FN_FAIL(FN_E_KEY_ALGORITHM, "not an SM4 KEK");
}

/* ECB as the standard says; CBC as IV ‖ padded ciphertext, which known clients expect (sdf.md 4.2); GCM as
 * nonce ‖ tag ‖ ciphertext. */
static fn_err kek_wrap(const struct fn_key *kek, const struct fn_rng *rng, uint32_t alg,
                       const struct raw *raw, struct fn_buf *out)
{
    const struct fn_sm4_key *k = &kek->secret->gcm.sm4;
    uint8_t *p, iv[16], padded[80];
    FN_SCOPED_WIPE(padded);
    FN_TRY(fn_buf_reserve(out, sizeof padded + 32, &p));
    switch (alg) {
    case FN_SGD_SM4_ECB:
        FN_TRY(fn_sm4_ecb_encrypt(k, raw->b, p, raw->n));
        out->n += raw->n;
        return FN_OK;
    case FN_SGD_SM4_CBC: {
        size_t pad = 16;
        if (raw->n % 16) return FN_FAIL(FN_E_ARGUMENT, "%zu bytes: CBC wraps whole blocks", raw->n);
        memcpy(padded, raw->b, raw->n);
        memset(padded + raw->n, (int)pad, pad);
        FN_TRY(fn_rng_fill(rng, iv, 16));
        memcpy(p, iv, 16);
        FN_TRY(fn_sm4_cbc_encrypt(k, iv, padded, p + 16, raw->n + pad));
        out->n += 16 + raw->n + pad;
        return FN_OK;
    }
    case FN_SGD_SM4_GCM: {
        FN_TRY(fn_rng_fill(rng, p, 12));
        struct fn_gcm_job job = {.key = &kek->secret->gcm,
                                 .nonce = fn_bytes(p, 12),
                                 .in = raw->b,
                                 .out = p + 28,
                                 .n = raw->n,
                                 .tag = p + 12,
                                 .tag_size = 16};
        FN_TRY(fn_gcm_encrypt(&job));
        out->n += 28 + raw->n;
        return FN_OK;
    }
    default:
        return FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %x", alg);
    }
}

/* Nothing authenticates this form. If shorter padding were taken, whoever asks often enough would learn the
 * wrapped key byte by byte from what opens; a whole block of it is guessed with 128 bits or not at all. */
static fn_err unpad(struct raw *raw)
{
    uint8_t padding[16];
    memset(padding, 16, sizeof padding);
    if (raw->n < 32 || !fn_equal_ct(raw->b + raw->n - 16, padding, 16))
        return FN_FAIL(FN_E_KEY_BLOB, "wrapped key does not open");
    raw->n -= 16;
    return FN_OK;
}

static fn_err kek_unwrap(const struct fn_key *kek, uint32_t alg, struct fn_bytes in, struct raw *raw)
{
    const struct fn_sm4_key *k = &kek->secret->gcm.sm4;
    uint8_t iv[16], tag[16];
    if (in.n < 16 || in.n > 16 + sizeof raw->b) return FN_FAIL(FN_E_KEY_BLOB, "%zu bytes", in.n);
    switch (alg) {
    case FN_SGD_SM4_ECB:
        if (in.n > sizeof raw->b) return FN_FAIL(FN_E_KEY_BLOB, "%zu bytes", in.n);
        raw->n = in.n;
        return fn_sm4_ecb_decrypt(k, in.p, raw->b, in.n);
    case FN_SGD_SM4_CBC:
        memcpy(iv, in.p, 16);
        raw->n = in.n - 16;
        FN_TRY(fn_sm4_cbc_decrypt(k, iv, in.p + 16, raw->b, raw->n));
        return unpad(raw);
    case FN_SGD_SM4_GCM: {
        if (in.n < 29) return FN_FAIL(FN_E_KEY_BLOB, "%zu bytes", in.n);
        memcpy(tag, in.p + 12, 16);
        raw->n = in.n - 28;
        struct fn_gcm_job job = {.key = &kek->secret->gcm,
                                 .nonce = fn_bytes(in.p, 12),
                                 .in = in.p + 28,
                                 .out = raw->b,
                                 .n = raw->n,
                                 .tag = tag,
                                 .tag_size = 16};
        return fn_gcm_decrypt(&job) == FN_OK ? FN_OK
                                             : FN_FAIL(FN_E_KEY_BLOB, "wrapped key does not authenticate");
    }
    default:
        return FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %x", alg);
    }
}

static fn_err session_kek(struct fn_work *w, struct fn_item *item)
{
    struct raw raw;
    FN_SCOPED_WIPE(raw);
    struct fn_buf wrapped = fn_buf_arena();
    FN_TRY(need_kek(item->key));
    FN_TRY(raw_new(w, item->f[1].n, &raw));
    FN_TRY(kek_wrap(item->key, fn_work_rng(w), (uint32_t)item->f[2].n, &raw, &wrapped));
    return hand_out(w, item, &raw, fn_buf_view(&wrapped));
}

void fn_run_SESSION_KEY_KEK(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], session_kek(w, items[i]));
}

static fn_err session_kek_in(struct fn_work *w, struct fn_item *item)
{
    struct raw raw = {.n = 0};
    FN_SCOPED_WIPE(raw);
    FN_TRY(need_kek(item->key));
    FN_TRY(kek_unwrap(item->key, (uint32_t)item->f[1].n, item->f[2].b, &raw));
    return take_in(w, item, fn_bytes(raw.b, raw.n), FN_CLASS_APP_ENC);
}

void fn_run_SESSION_KEY_KEK_IN(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], session_kek_in(w, items[i]));
}

static fn_err clear_in(struct fn_work *w, struct fn_item *item)
{
    const struct fn_identity *who = item->request->who;
    if (!who->test) return FN_FAIL(FN_E_CLEAR_KEY, "tenant %s", who->tenant);
    FN_TRY(take_in(w, item, item->f[0].b, FN_CLASS_EXTERNAL));
    fn_dlog_event(fn_work_device(w), who, "key.clear_in", NULL, FN_OK, NULL);
    return FN_OK;
}

void fn_run_SESSION_KEY_CLEAR_IN(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], clear_in(w, items[i]));
}

static fn_err exchange(struct fn_work *w, struct fn_item *item)
{
    struct fn_buf raw FN_SCOPED_BUF = fn_buf_secret();
    struct fn_key *to;
    FN_TRY(fn_request_key(item->request, item->f[1].b, &to));
    fn_err err = to->external ? fn_key_decrypt(item->key, item->f[2].b, &raw)
                              : FN_FAIL(FN_E_ARGUMENT, "the recipient's key is external");
    struct fn_buf wrapped = fn_buf_arena();
    if (err == FN_OK) err = fn_key_encrypt(to, fn_work_rng(w), fn_buf_view(&raw), &wrapped);
    fn_key_release(to);
    FN_TRY(err);
    return fn_buf_var(&item->out, wrapped.p, wrapped.n);
}

void fn_run_ENVELOPE_EXCHANGE(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], exchange(w, items[i]));
}

/* ---- agreement (GB/T 32918.3) ---- */

static void agreement_free(struct fn_session *s, struct fn_agreement **link)
{
    struct fn_agreement *a = *link;
    *link = a->next;
    s->agreements_count--;
    fn_key_release(a->key);
    fn_secret_free(a->ephemeral);
    free(a);
}

void fn_agreements_free(struct fn_session *s)
{
    while (s->agreements) agreement_free(s, &s->agreements);
}

static struct fn_agreement **agreement_find(struct fn_session *s, uint64_t handle)
{
    for (struct fn_agreement **link = &s->agreements; *link; link = &(*link)->next)
        if ((*link)->handle == handle) return link;
    return NULL;
}

bool fn_agreement_drop(struct fn_session *s, uint64_t handle)
{
    struct fn_agreement **link = agreement_find(s, handle);
    if (link) agreement_free(s, link);
    return link != NULL;
}

static fn_err public_in(struct fn_bytes b, struct fn_sm2_public *pub)
{
    if (b.n != sizeof *pub) return FN_FAIL(FN_E_SM2_POINT, "public key of %zu bytes, 64 wanted", b.n);
    memcpy(pub, b.p, sizeof *pub);
    return fn_sm2_public_check(pub);
}

static fn_err agree_start(struct fn_work *w, struct fn_item *item)
{
    struct fn_session *s = item->request->session;
    struct fn_agreement *a;
    size_t n;
    if (item->key->alg != FN_ALG_SM2 || !item->key->secret)
        return FN_FAIL(FN_E_KEY_ALGORITHM, "not an SM2 pair");
    FN_TRY(key_bytes(item->f[1].n, &n));
    if (s->agreements_count >= AGREEMENTS_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "%zu agreements under way", s->agreements_count);
    FN_TRY(fn_heap_array(&a, 1, sizeof *a));
    a->next = s->agreements;
    s->agreements = a;
    s->agreements_count++;
    a->key = fn_key_hold(item->key);
    a->bytes = n;
    fn_err err = fn_secret_alloc(&a->ephemeral, sizeof *a->ephemeral);
    if (err == FN_OK) err = fn_sm2_z(a->z, &item->key->pub, item->f[2].b);
    if (err == FN_OK) err = fn_sm2_generate(a->ephemeral, fn_work_rng(w));
    if (err == FN_OK) err = fn_rng_fill(fn_work_rng(w), &a->handle, sizeof a->handle);
    if (err == FN_OK) err = fn_buf_var(&item->out, &item->key->pub, 64);
    if (err == FN_OK) err = fn_buf_var(&item->out, &a->ephemeral->pub, 64);
    if (err == FN_OK) err = fn_buf_u64(&item->out, a->handle);
    if (err != FN_OK) agreement_free(s, &s->agreements);
    return err;
}

void fn_run_AGREE_START(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], agree_start(w, items[i]));
}

static fn_err agree_finish(struct fn_work *w, struct fn_item *item)
{
    struct fn_session *s = item->request->session;
    struct fn_agreement **link = agreement_find(s, item->f[0].n), *a;
    struct fn_sm2_public peer, ephemeral;
    struct raw raw;
    FN_SCOPED_WIPE(raw);
    uint8_t z[32];
    if (!link) return FN_FAIL(FN_E_KEY_HANDLE, "not an agreement of this session");
    a = *link;
    FN_TRY(fn_key_not_destroyed(fn_work_device(w), a->key));
    FN_TRY(public_in(item->f[2].b, &peer));
    FN_TRY(public_in(item->f[3].b, &ephemeral));
    FN_TRY(fn_sm2_z(z, &peer, item->f[1].b));
    struct fn_sm2_kex kex = {true, &a->key->secret->sm2, a->ephemeral, &peer, &ephemeral, a->z, z};
    raw.n = a->bytes;
    FN_TRY(fn_sm2_kex(&kex, raw.b, raw.n, NULL));
    FN_TRY(take_in(w, item, fn_bytes(raw.b, raw.n), FN_CLASS_NET_ENC));
    agreement_free(s, link);
    return FN_OK;
}

void fn_run_AGREE_FINISH(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], agree_finish(w, items[i]));
}

static fn_err agree_respond(struct fn_work *w, struct fn_item *item)
{
    struct fn_sm2_public peer, peer_ephemeral;
    struct raw raw;
    FN_SCOPED_WIPE(raw);
    struct fn_sm2_private *own FN_SCOPED_SECRET = NULL;
    uint8_t z_own[32], z_peer[32];
    if (item->key->alg != FN_ALG_SM2 || !item->key->secret)
        return FN_FAIL(FN_E_KEY_ALGORITHM, "not an SM2 pair");
    FN_TRY(key_bytes(item->f[1].n, &raw.n));
    FN_TRY(public_in(item->f[4].b, &peer));
    FN_TRY(public_in(item->f[5].b, &peer_ephemeral));
    FN_TRY(fn_sm2_z(z_own, &item->key->pub, item->f[2].b));
    FN_TRY(fn_sm2_z(z_peer, &peer, item->f[3].b));
    FN_TRY(fn_secret_alloc(&own, sizeof *own));
    FN_TRY(fn_sm2_generate(own, fn_work_rng(w)));
    struct fn_sm2_kex kex = {false, &item->key->secret->sm2, own, &peer, &peer_ephemeral, z_peer, z_own};
    FN_TRY(fn_sm2_kex(&kex, raw.b, raw.n, NULL));
    FN_TRY(fn_buf_var(&item->out, &item->key->pub, 64));
    FN_TRY(fn_buf_var(&item->out, &own->pub, 64));
    return take_in(w, item, fn_bytes(raw.b, raw.n), FN_CLASS_NET_ENC);
}

void fn_run_AGREE_RESPOND(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], agree_respond(w, items[i]));
}
