#include "data/cipher_device.h"

#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "device/client/client.h"
#include "policy/policy.h"
#include <pthread.h>
#include <string.h>
#include <time.h>

/* Identifiers of GB/T 33560 and GM/T 0006. */
enum { SGD_SM3_HMAC = 0x8, SGD_SM4_CBC = 0x402, SGD_SM4_GCM = 0x02000400 };

#define PATIENCE_MS 30000u
#define SESSIONS    2u
#define CHUNK_ITEMS 512u
#define CHUNK_BYTES                                                                                          \
    (192u << 10) /* a frame is sent when it is this full, so that the device begins while we go on */
#define POLL_MS 200u

/* One request on its way; its items stay here for a repeat when the device is overloaded or was lost. */
struct part {
    struct part *next; /* of those not answered */
    uint64_t token;
    uint32_t session;
    uint16_t operation, count;
    struct fn_buf items;
    const uint32_t *index; /* which items of the job, in order */
    bool answered;
    fn_err failure; /* it could not be sent again */
    struct fn_client_response response;
};

/* What a job has here: its parts, and memory for messages and results of suite 2. */
struct work {
    struct part **parts;
    size_t count, room;
    uint32_t *index; /* numbers of items, parts point into it */
    struct fn_buf memory;
    bool finished;
};

/* The caller's thread makes requests and reads answers; the pump moves bytes between socket and memory
 * meanwhile, so that large requests go out and their answers come in while the caller is at work on the
 * database. */
struct device {
    struct fn_client *client;
    uint32_t patience_ms;
    /* Requests of one session run one after the other, those of two side by side: ours take turns. */
    uint32_t sessions[SESSIONS], turn;
    pthread_t pump;
    bool pumping;
    pthread_mutex_t lock; /* over what follows, and over parts that are open */
    pthread_cond_t answered;
    bool stop;
    uint64_t tokens;
    struct part *open; /* submitted, not answered */
};

static void sleep_ms(uint32_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static fn_err submit(struct device *d, const struct part *p, uint64_t token)
{
    int64_t until = fn_monotonic_ms() + d->patience_ms;
    for (;;) {
        fn_err err =
            fn_client_submit(d->client, p->session, p->operation, p->count, fn_buf_view(&p->items), token);
        if (err != FN_E_DEVICE_BUSY || fn_monotonic_ms() >= until) return err;
        sleep_ms(5);
    }
}

/* The part becomes known before it is sent: its answer may come at once. */
static fn_err part_submit(struct device *d, struct part *p)
{
    pthread_mutex_lock(&d->lock);
    p->token = ++d->tokens;
    p->next = d->open;
    d->open = p;
    uint64_t token = p->token;
    pthread_mutex_unlock(&d->lock);
    return submit(d, p, token);
}

/* Takes the part with that token out of the open ones; NULL when its job was given up. With the lock held. */
static struct part *take_open(struct device *d, uint64_t token)
{
    struct part **at = &d->open, *p;
    while (*at && (*at)->token != token) at = &(*at)->next;
    p = *at;
    if (p) *at = p->next;
    return p;
}

static void part_free(struct device *d, struct part *p)
{
    pthread_mutex_lock(&d->lock);
    take_open(d, p->token);
    pthread_mutex_unlock(&d->lock);
    fn_client_response_free(&p->response);
    if (p->items.n) fn_wipe(p->items.p, p->items.n);
    fn_buf_free(&p->items);
    free(p);
}

/* Overload and loss: the request goes out again under the same token. With the lock held, so that its owner
 * waits with us. */
static void send_again(struct device *d, struct part *p, uint32_t pause_ms)
{
    sleep_ms(pause_ms ? pause_ms < 1000 ? pause_ms : 1000 : 20);
    p->failure =
        fn_client_submit(d->client, p->session, p->operation, p->count, fn_buf_view(&p->items), p->token);
    if (p->failure == FN_OK) {
        p->next = d->open;
        d->open = p;
    } else {
        p->answered = true;
    }
}

static void take_response(struct device *d, struct fn_client_response *r)
{
    pthread_mutex_lock(&d->lock);
    struct part *p = take_open(d, r->token);
    if (!p) {
        fn_client_response_free(r);
    } else if (r->status == FN_E_DEVICE_BUSY || r->status == FN_E_DEVICE_LOST) {
        uint32_t pause = r->retry_ms;
        fn_client_response_free(r);
        send_again(d, p, pause);
    } else {
        p->response = *r;
        p->answered = true;
    }
    pthread_cond_signal(&d->answered);
    pthread_mutex_unlock(&d->lock);
}

static void *pump(void *self)
{
    struct device *d = self;
    for (;;) {
        struct fn_client_response r = {0};
        pthread_mutex_lock(&d->lock);
        bool stop = d->stop;
        pthread_mutex_unlock(&d->lock);
        if (stop) return NULL;
        if (fn_client_poll(d->client, POLL_MS, &r) == FN_OK) take_response(d, &r);
    }
}

static fn_err start_pump(struct device *d)
{
    if (d->pumping) return FN_OK;
    for (size_t i = 0; i < SESSIONS; i++)
        if (!d->sessions[i]) FN_TRY(fn_client_session_open(d->client, &d->sessions[i]));
    if (pthread_create(&d->pump, NULL, pump, d)) return FN_FAIL(FN_E_NO_MEMORY, "a thread");
    d->pumping = true;
    return FN_OK;
}

static fn_err part_make(struct work *w, uint16_t operation, size_t room, struct part **part)
{
    FN_TRY(fn_heap_grow(&w->parts, &w->room, w->count + 1, sizeof(struct part *)));
    FN_TRY(fn_heap_array(part, 1, sizeof **part));
    uint8_t *where;
    (*part)->operation = operation;
    (*part)->items = fn_buf_heap();
    w->parts[w->count++] = *part;
    return fn_buf_reserve(&(*part)->items, room, &where);
}

static fn_err wait_answer(struct device *d, struct part *p)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += d->patience_ms / 1000 + 1;
    int late = 0;
    pthread_mutex_lock(&d->lock);
    while (!p->answered && !late) late = pthread_cond_timedwait(&d->answered, &d->lock, &until);
    bool answered = p->answered;
    pthread_mutex_unlock(&d->lock);
    if (!answered) return FN_FAIL(FN_E_TIMEOUT, "no answer of the device within %u ms", d->patience_ms);
    return p->failure == FN_OK ? FN_OK : FN_FAIL(p->failure, "the request could not be sent again");
}

static fn_err wait_part(struct device *d, struct part *p)
{
    FN_TRY(wait_answer(d, p));
    int n = p->response.items.n > 160 ? 160 : (int)p->response.items.n;
    if (p->response.status != FN_OK)
        return FN_FAIL(p->response.status, "%.*s", n, n ? (const char *)p->response.items.p : "");
    if (p->response.count != p->count)
        return FN_FAIL(FN_E_FORMAT, "%u answers to %u items", p->response.count, p->count);
    return FN_OK;
}

/* How one item of an operation is laid out and read back. */
typedef fn_err put_item(struct fn_buf *b, const struct fn_cipher_job *job, const struct fn_cipher_item *item);
typedef fn_err get_item(struct fn_cur *c, struct work *w, const struct fn_cipher_job *job,
                        struct fn_cipher_item *item);

/* Sends the items named by `index` in as many requests as they fill. */
static fn_err send_items(struct device *d, struct work *w, struct fn_cipher_job *job, uint16_t operation,
                         const uint32_t *index, size_t count, put_item *put)
{
    for (size_t i = 0; i < count;) {
        struct part *p;
        FN_TRY(part_make(w, operation,
                         (count - i) * 256 < CHUNK_BYTES ? (count - i) * 256 : CHUNK_BYTES + 4096, &p));
        p->index = index + i;
        p->session = d->sessions[d->turn++ % SESSIONS];
        while (i < count && p->count < CHUNK_ITEMS) {
            size_t before = p->items.n;
            FN_TRY(put(&p->items, job, &job->items[index[i]]));
            /* A large item begins a request of its own. */
            if (p->count && p->items.n > CHUNK_BYTES) {
                p->items.n = before;
                break;
            }
            p->count++;
            i++;
        }
        FN_TRY(part_submit(d, p));
    }
    return FN_OK;
}

/* Waits for parts from..end of the job and hands their answers to the items. */
static fn_err collect(struct device *d, struct work *w, struct fn_cipher_job *job, size_t from, get_item *get)
{
    for (size_t i = from; i < w->count; i++) {
        struct part *p = w->parts[i];
        FN_TRY(wait_part(d, p));
        struct fn_cur c = fn_cur(p->response.items);
        for (size_t k = 0; k < p->count; k++) {
            struct fn_cipher_item *item = &job->items[p->index[k]];
            uint32_t status;
            FN_TRY(fn_cur_u32(&c, &status));
            item->result = (fn_err)status;
            if (item->result == FN_OK) FN_TRY(get(&c, w, job, item));
        }
        FN_TRY(fn_cur_end(&c));
    }
    return FN_OK;
}

/* --- single operations
 * ------------------------------------------------------------------------------------------------------ */

static fn_err put_seal(struct fn_buf *b, const struct fn_cipher_job *job, const struct fn_cipher_item *item)
{
    FN_TRY(fn_client_put_uuid(b, &job->key.uuid, 0));
    FN_TRY(fn_buf_u32(b, SGD_SM4_GCM));
    FN_TRY(fn_buf_u32(b, 0)); /* the nonce is the device's */
    FN_TRY(fn_buf_var(b, item->aad.p, item->aad.n));
    return fn_buf_var(b, item->in.p, item->in.n);
}

static fn_err get_seal(struct fn_cur *c, struct work *w, const struct fn_cipher_job *job,
                       struct fn_cipher_item *item)
{
    (void)w;
    (void)job;
    FN_TRY(fn_cur_var(c, 64, &item->nonce));
    FN_TRY(fn_cur_var(c, FN_DEVICE_FRAME_MOST, &item->out));
    FN_TRY(fn_cur_var(c, 64, &item->tag));
    return fn_cur_u32(c, &item->key_version);
}

static fn_err put_open(struct fn_buf *b, const struct fn_cipher_job *job, const struct fn_cipher_item *item)
{
    FN_TRY(fn_client_put_uuid(b, &job->key.uuid, item->key_version));
    FN_TRY(fn_buf_u32(b, SGD_SM4_GCM));
    FN_TRY(fn_buf_var(b, item->nonce.p, item->nonce.n));
    FN_TRY(fn_buf_var(b, item->aad.p, item->aad.n));
    FN_TRY(fn_buf_var(b, item->tag.p, item->tag.n));
    return fn_buf_var(b, item->in.p, item->in.n);
}

static fn_err get_open(struct fn_cur *c, struct work *w, const struct fn_cipher_job *job,
                       struct fn_cipher_item *item)
{
    (void)w;
    (void)job;
    return fn_cur_var(c, FN_DEVICE_FRAME_MOST, &item->out);
}

static fn_err put_hmac(struct fn_buf *b, const struct fn_data_key *key, uint32_t version,
                       struct fn_bytes message)
{
    FN_TRY(fn_client_put_uuid(b, &key->uuid, version));
    FN_TRY(fn_buf_u32(b, SGD_SM3_HMAC));
    FN_TRY(fn_buf_u32(b, 0));
    return fn_buf_var(b, message.p, message.n);
}

static fn_err get_hmac(struct fn_cur *c, struct fn_bytes *mac)
{
    struct fn_bytes chaining;
    FN_TRY(fn_cur_var(c, 64, &chaining));
    return fn_cur_var(c, 64, mac);
}

static fn_err put_mac(struct fn_buf *b, const struct fn_cipher_job *job, const struct fn_cipher_item *item)
{
    return put_hmac(b, &job->key, item->key_version ? item->key_version : job->key.version, item->in);
}

static fn_err get_mac(struct fn_cur *c, struct work *w, const struct fn_cipher_job *job,
                      struct fn_cipher_item *item)
{
    (void)w;
    (void)job;
    return get_hmac(c, &item->tag);
}

/* --- suite 2: two operations
 * ------------------------------------------------------------------------------------------------ */

static fn_err put_cbc(struct fn_buf *b, const struct fn_cipher_job *job, const struct fn_cipher_item *item)
{
    FN_TRY(fn_client_put_uuid(b, &job->key.uuid, job->key.version));
    FN_TRY(fn_buf_u32(b, SGD_SM4_CBC));
    FN_TRY(fn_buf_u32(b, 0)); /* the start value is the device's */
    FN_TRY(fn_buf_u32(b, (uint32_t)(item->in.n / 16 + 1) * 16));
    return fn_field_pad(b, item->in);
}

/* Memory that stays until the job is done; the caller has reserved it. */
static struct fn_bytes keep(struct work *w, const void *p, size_t n)
{
    struct fn_bytes kept = fn_bytes(w->memory.p + w->memory.n, n);
    memcpy(w->memory.p + w->memory.n, p, n);
    w->memory.n += n;
    return kept;
}

static fn_err get_cbc(struct fn_cur *c, struct work *w, const struct fn_cipher_job *job,
                      struct fn_cipher_item *item)
{
    struct fn_bytes iv;
    uint8_t nonce[FN_FIELD_CBC_NONCE];
    FN_TRY(fn_cur_var(c, 64, &iv));
    FN_TRY(fn_cur_var(c, FN_DEVICE_FRAME_MOST, &item->out));
    if (iv.n != 16) return FN_FAIL(FN_E_FORMAT, "start value of %zu bytes", iv.n);
    fn_put_be32(nonce, job->mac_key.version);
    memcpy(nonce + 4, iv.p, 16);
    item->nonce = keep(w, nonce, sizeof nonce);
    item->key_version = job->key.version;
    return FN_OK;
}

static fn_err put_field_mac(struct fn_buf *b, const struct fn_cipher_job *job,
                            const struct fn_cipher_item *item)
{
    struct fn_bytes ciphertext = job->work == FN_CIPHER_SEAL ? item->out : item->in;
    size_t size = FN_FIELD_HEADER + 4 + item->aad.n + item->nonce.n + ciphertext.n;
    FN_TRY(fn_client_put_uuid(b, &job->mac_key.uuid, fn_get_be32(item->nonce.p)));
    FN_TRY(fn_buf_u32(b, SGD_SM3_HMAC));
    FN_TRY(fn_buf_u32(b, 0));
    FN_TRY(fn_buf_u32(b, (uint32_t)size));
    return fn_field_mac_message(b, &job->key.uuid, item->key_version, item->aad, item->nonce, ciphertext);
}

static fn_err check_field_mac(struct fn_cur *c, struct work *w, const struct fn_cipher_job *job,
                              struct fn_cipher_item *item)
{
    struct fn_bytes mac;
    (void)w;
    (void)job;
    FN_TRY(get_hmac(c, &mac));
    if (mac.n != FN_FIELD_CBC_TAG || item->tag.n != mac.n || !fn_equal_ct(mac.p, item->tag.p, mac.n))
        item->result = FN_E_TAG;
    return FN_OK;
}

static fn_err put_uncbc(struct fn_buf *b, const struct fn_cipher_job *job, const struct fn_cipher_item *item)
{
    FN_TRY(fn_client_put_uuid(b, &job->key.uuid, item->key_version));
    FN_TRY(fn_buf_u32(b, SGD_SM4_CBC));
    FN_TRY(fn_buf_var(b, item->nonce.p + 4, 16));
    return fn_buf_var(b, item->in.p, item->in.n);
}

static fn_err get_uncbc(struct fn_cur *c, struct work *w, const struct fn_cipher_job *job,
                        struct fn_cipher_item *item)
{
    struct fn_bytes chaining, padded;
    (void)w;
    (void)job;
    FN_TRY(fn_cur_var(c, 64, &chaining));
    FN_TRY(fn_cur_var(c, FN_DEVICE_FRAME_MOST, &padded));
    item->result = fn_field_unpad(padded, &item->out);
    return FN_OK;
}

/* The items still in order, for the second operation. */
static size_t still_good(struct work *w, const struct fn_cipher_job *job)
{
    size_t n = 0;
    for (uint32_t i = 0; i < job->count; i++)
        if (job->items[i].result == FN_OK) w->index[job->count + n++] = i;
    return n;
}

static fn_err finish_cbc(struct device *d, struct work *w, struct fn_cipher_job *job)
{
    bool seal = job->work == FN_CIPHER_SEAL;
    uint8_t *where;
    FN_TRY(fn_buf_reserve(&w->memory, job->count * FN_FIELD_CBC_NONCE, &where));
    FN_TRY(collect(d, w, job, 0, seal ? get_cbc : check_field_mac));
    size_t from = w->count, good = still_good(w, job);
    FN_TRY(send_items(d, w, job, seal ? FN_OP_MAC : FN_OP_DECRYPT, w->index + job->count, good,
                      seal ? put_field_mac : put_uncbc));
    return collect(d, w, job, from, seal ? get_mac : get_uncbc);
}

/* --- the interface
 * ----------------------------------------------------------------------------------------------------------
 */

static void device_done(void *self, struct fn_cipher_job *job)
{
    struct device *d = self;
    struct work *w = job->state;
    if (!w) return;
    for (size_t i = 0; i < w->count; i++) part_free(d, w->parts[i]);
    free(w->parts);
    free(w->index);
    fn_buf_free(&w->memory);
    free(w);
    job->state = NULL;
}

static fn_err start(struct device *d, struct work *w, struct fn_cipher_job *job)
{
    w->memory = fn_buf_heap();
    FN_TRY(start_pump(d));
    FN_TRY(fn_heap_array(&w->index, 2 * job->count + 1, sizeof *w->index));
    for (uint32_t i = 0; i < job->count; i++) w->index[i] = i;
    bool cbc = job->suite == FN_SUITE_SM4_CBC_HMAC;
    switch (job->work) {
    case FN_CIPHER_MAC:
        return send_items(d, w, job, FN_OP_MAC, w->index, job->count, put_mac);
    case FN_CIPHER_SEAL:
        return send_items(d, w, job, cbc ? FN_OP_ENCRYPT : FN_OP_AEAD_ENCRYPT, w->index, job->count,
                          cbc ? put_cbc : put_seal);
    case FN_CIPHER_OPEN:
        return send_items(d, w, job, cbc ? FN_OP_MAC : FN_OP_AEAD_DECRYPT, w->index, job->count,
                          cbc ? put_field_mac : put_open);
    }
    return FN_FAIL(FN_E_INTERNAL, "work %d", (int)job->work);
}

static fn_err device_start(void *self, struct fn_cipher_job *job)
{
    struct work *w;
    FN_TRY(fn_heap_array(&w, 1, sizeof *w));
    job->state = w;
    fn_err err = start(self, w, job);
    if (err != FN_OK) device_done(self, job);
    return err;
}

static fn_err device_finish(void *self, struct fn_cipher_job *job)
{
    struct device *d = self;
    struct work *w = job->state;
    if (!w) return FN_FAIL(FN_E_INTERNAL, "job was not started");
    if (w->finished) return FN_OK;
    if (job->work == FN_CIPHER_MAC)
        FN_TRY(collect(d, w, job, 0, get_mac));
    else if (job->suite == FN_SUITE_SM4_CBC_HMAC)
        FN_TRY(finish_cbc(d, w, job));
    else
        FN_TRY(collect(d, w, job, 0, job->work == FN_CIPHER_SEAL ? get_seal : get_open));
    w->finished = true;
    return FN_OK;
}

/* One item to and fro; *c reads the answer behind its status. */
static fn_err call_one(struct device *d, uint16_t operation, const struct fn_buf *item,
                       struct fn_client_response *r, struct fn_cur *c)
{
    int64_t until = fn_monotonic_ms() + d->patience_ms;
    fn_err err;
    do err = fn_client_call(d->client, 0, operation, 1, fn_buf_view(item), r);
    while ((err == FN_E_DEVICE_LOST || err == FN_E_CONNECTION) && fn_monotonic_ms() < until &&
           (sleep_ms(20), true));
    FN_TRY(err);
    *c = fn_cur(r->items);
    err = fn_client_item_status(c);
    if (err != FN_OK) fn_client_response_free(r);
    return err;
}

static fn_err device_random(void *self, void *out, size_t n)
{
    FN_SCOPED_BUF struct fn_buf item = fn_buf_heap();
    struct fn_client_response r;
    struct fn_cur c;
    struct fn_bytes bytes;
    FN_TRY(fn_buf_u32(&item, (uint32_t)n));
    FN_TRY(call_one(self, FN_OP_RANDOM, &item, &r, &c));
    fn_err err = fn_cur_var(&c, n, &bytes);
    if (err == FN_OK && bytes.n != n) err = FN_FAIL(FN_E_FORMAT, "%zu random bytes", bytes.n);
    if (err == FN_OK) memcpy(out, bytes.p, n);
    fn_client_response_free(&r);
    return err;
}

static fn_err take_key(struct fn_cur *c, struct fn_data_key *key)
{
    FN_TRY(fn_cur_copy(c, key->uuid.b, sizeof key->uuid.b));
    return fn_cur_u32(c, &key->version);
}

static fn_err find_key(struct device *d, const char *label, struct fn_data_key *key)
{
    FN_SCOPED_BUF struct fn_buf item = fn_buf_heap();
    struct fn_client_response r;
    struct fn_cur c;
    FN_TRY(fn_buf_var(&item, label, strlen(label)));
    FN_TRY(call_one(d, FN_OP_KEY_FIND, &item, &r, &c));
    fn_err err = take_key(&c, key);
    fn_client_response_free(&r);
    return err;
}

static fn_err make_key(struct device *d, const char *label, enum fn_data_key_kind kind,
                       struct fn_data_key *key)
{
    FN_SCOPED_BUF struct fn_buf item = fn_buf_heap();
    struct fn_client_response r;
    struct fn_cur c;
    bool storage = kind == FN_DATA_KEY_STORAGE;
    FN_TRY(fn_buf_u16(&item, storage ? FN_CLASS_DATA_ENC : FN_CLASS_MAC));
    FN_TRY(fn_buf_u16(&item, storage ? FN_ALG_SM4 : FN_ALG_HMAC_SM3));
    FN_TRY(fn_buf_u32(&item, storage ? FN_USE_ENCRYPT | FN_USE_DECRYPT : FN_USE_MAC));
    FN_TRY(fn_buf_var(&item, label, strlen(label)));
    FN_TRY(fn_buf_u32(&item, 0));
    FN_TRY(call_one(d, FN_OP_KEY_NEW, &item, &r, &c));
    fn_err err = take_key(&c, key);
    fn_client_response_free(&r);
    return err;
}

static fn_err device_key(void *self, const char *label, enum fn_data_key_kind kind, bool create,
                         struct fn_data_key *key)
{
    fn_err err = find_key(self, label, key);
    if (err != FN_E_KEY_NOT_FOUND && err != FN_E_NOT_FOUND) return err;
    if (!create) return FN_WRAP(FN_E_KEY_NOT_FOUND, "%s", label);
    err = make_key(self, label, kind, key);
    return err == FN_E_EXISTS ? find_key(self, label, key) : err;
}

static fn_err device_anchor_get(void *self, const char *name, uint64_t *counter, uint8_t digest[32])
{
    FN_SCOPED_BUF struct fn_buf item = fn_buf_heap();
    struct fn_client_response r;
    struct fn_cur c;
    struct fn_bytes owner;
    uint8_t challenge[32] = {0};
    FN_TRY(fn_buf_var(&item, name, strlen(name)));
    FN_TRY(fn_buf_add(&item, challenge, sizeof challenge));
    FN_TRY(call_one(self, FN_OP_ANCHOR_GET, &item, &r, &c));
    fn_err err = fn_cur_var(&c, 1024, &owner);
    if (err == FN_OK) err = fn_cur_u64(&c, counter);
    if (err == FN_OK) err = fn_cur_copy(&c, digest, 32);
    fn_client_response_free(&r);
    return err;
}

static fn_err device_anchor_set(void *self, const char *name, uint64_t expected, uint64_t counter,
                                const uint8_t digest[32])
{
    FN_SCOPED_BUF struct fn_buf item = fn_buf_heap();
    struct fn_client_response r;
    struct fn_cur c;
    FN_TRY(fn_buf_var(&item, name, strlen(name)));
    FN_TRY(fn_buf_u64(&item, expected));
    FN_TRY(fn_buf_u64(&item, counter));
    FN_TRY(fn_buf_add(&item, digest, 32));
    FN_TRY(call_one(self, FN_OP_ANCHOR_SET, &item, &r, &c));
    fn_client_response_free(&r);
    return FN_OK;
}

static void device_close(void *self)
{
    struct device *d = self;
    static const uint8_t one_byte[4] = {0, 0, 0, 1};
    if (d->pumping) {
        pthread_mutex_lock(&d->lock);
        d->stop = true;
        pthread_mutex_unlock(&d->lock);
        /* An answer that nobody wants wakes the pump; without it the pump wakes by itself. */
        if (fn_client_submit(d->client, 0, FN_OP_RANDOM, 1, fn_bytes(one_byte, sizeof one_byte), 0) != FN_OK)
            fn_err_clear();
        pthread_join(d->pump, NULL);
    }
    pthread_cond_destroy(&d->answered);
    pthread_mutex_destroy(&d->lock);
    fn_client_close(d->client);
    free(d);
}

static void make_lock(struct device *d)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&d->answered, &attributes);
    pthread_condattr_destroy(&attributes);
}

fn_err fn_cipher_device(struct fn_cipher *cipher, const char *socket, uint32_t patience_ms)
{
    struct device *d;
    FN_TRY(fn_heap_array(&d, 1, sizeof *d));
    d->patience_ms = patience_ms ? patience_ms : PATIENCE_MS;
    struct fn_client_options options = {.socket = socket, .timeout_ms = d->patience_ms};
    fn_err err = fn_client_open(&d->client, &options);
    if (err != FN_OK) {
        free(d);
        return err;
    }
    make_lock(d);
    *cipher = (struct fn_cipher){.self = d,
                                 .start = device_start,
                                 .finish = device_finish,
                                 .done = device_done,
                                 .random = device_random,
                                 .key = device_key,
                                 .anchor_get = device_anchor_get,
                                 .anchor_set = device_anchor_set,
                                 .close = device_close};
    return FN_OK;
}
