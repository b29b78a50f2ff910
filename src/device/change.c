/* Changes of durable state: one act claims the names it changes, commits all of its changes at once, and is
 * remembered by its request id, so that a repeat after a lost answer gets the first result. */
#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "device/device.h"
#include "device/server.h"
#include <string.h>

/* Changes that wait for the disk, of all clients: more are refused until it keeps up. */
#define ACTS_MOST 4096u

struct fn_remembered {
    struct fn_remembered *next;
    struct fn_record_name name;
    int64_t until_ms; /* by the clock that nobody sets */
};

fn_err fn_pending_new(struct fn_device *d, struct fn_pending **out)
{
    struct fn_pending *p;
    FN_TRY(fn_heap_array(&p, 1, sizeof *p));
    p->device = d;
    p->answer = fn_buf_heap();
    *out = p;
    return FN_OK;
}

static size_t bucket(const struct fn_record_name *name)
{
    uint32_t h = name->kind;
    for (size_t i = 0; i < name->n; i++) h = (h ^ name->b[i]) * 16777619u;
    return h % FN_COUNT(((struct fn_device *)0)->claims);
}

static bool same(const struct fn_record_name *a, const struct fn_record_name *b)
{
    return a->kind == b->kind && a->n == b->n && memcmp(a->b, b->b, a->n) == 0;
}

static void claims_drop(struct fn_pending *p)
{
    pthread_mutex_lock(&p->device->claims_mutex);
    for (unsigned i = 0; i < p->claims_count; i++) {
        struct fn_claim **link = &p->device->claims[bucket(&p->claims[i].name)];
        while (*link != &p->claims[i]) link = &(*link)->next;
        *link = p->claims[i].next;
    }
    p->claims_count = 0;
    pthread_mutex_unlock(&p->device->claims_mutex);
}

static void changes_drop(struct fn_pending *p)
{
    for (size_t i = 0; i < p->changes_count; i++) {
        uint8_t *value = (uint8_t *)(uintptr_t)p->changes[i].value.p;
        if (value) fn_wipe(value, p->changes[i].value.n);
        free(value);
    }
    p->changes_count = 0;
}

void fn_pending_free(struct fn_pending *p)
{
    if (!p) return;
    if (p->counted) atomic_fetch_sub(&p->device->acts, 1);
    claims_drop(p);
    changes_drop(p);
    free(p->changes);
    fn_buf_free(&p->answer);
    free(p);
}

fn_err fn_pending_claim(struct fn_pending *p, const struct fn_record_name *name)
{
    struct fn_device *d = p->device;
    fn_err err = FN_OK;
    pthread_mutex_lock(&d->claims_mutex);
    struct fn_claim **head = &d->claims[bucket(name)];
    for (struct fn_claim *c = *head; c && err == FN_OK; c = c->next)
        if (same(&c->name, name)) err = FN_E_DEVICE_BUSY;
    if (err == FN_OK && p->claims_count >= FN_PENDING_CLAIMS) err = FN_E_INTERNAL;
    if (err == FN_OK) {
        struct fn_claim *c = &p->claims[p->claims_count++];
        c->name = *name;
        c->next = *head;
        *head = c;
    }
    pthread_mutex_unlock(&d->claims_mutex);
    return err == FN_OK ? FN_OK : FN_FAIL(err, "another request is changing this");
}

static fn_err add(struct fn_pending *p, const struct fn_record_name *name, struct fn_bytes value, bool remove)
{
    FN_TRY(fn_heap_grow(&p->changes, &p->changes_room, p->changes_count + 1, sizeof *p->changes));
    struct fn_change *c = &p->changes[p->changes_count];
    *c = (struct fn_change){.name = *name, .remove = remove};
    if (value.n) {
        uint8_t *copy;
        FN_TRY(fn_heap_array(&copy, value.n, 1));
        memcpy(copy, value.p, value.n);
        c->value = fn_bytes(copy, value.n);
    }
    p->changes_count++;
    return FN_OK;
}

fn_err fn_pending_put(struct fn_pending *p, const struct fn_record_name *name, struct fn_bytes value)
{
    return add(p, name, value, false);
}

fn_err fn_pending_remove(struct fn_pending *p, const struct fn_record_name *name)
{
    return add(p, name, fn_bytes(NULL, 0), true);
}

fn_err fn_pending_commit(struct fn_pending *p)
{
    if (!p->changes_count) return FN_OK;
    FN_TRY(fn_device_store_commit(p->device->store, p->changes, p->changes_count));
    for (unsigned i = 0; i < p->purge_count; i++) fn_keys_purge(p->device, &p->purge[i]);
    return FN_OK;
}

/* ---- remembered results ---- */

static void request_name(struct fn_record_name *name, const struct fn_identity *who, const uint8_t id[16])
{
    *name = (struct fn_record_name){.kind = FN_RECORD_REQUEST, .n = 32};
    memcpy(name->b, who->client, 16);
    memcpy(name->b + 16, id, 16);
}

static void remember(struct fn_device *d, const struct fn_record_name *name, int64_t left_ms)
{
    struct fn_remembered *r = malloc(sizeof *r);
    if (!r) return; /* found again at the next start */
    *r = (struct fn_remembered){.name = *name, .until_ms = fn_monotonic_ms() + left_ms};
    pthread_mutex_lock(&d->remember_mutex);
    if (d->remembered_last)
        d->remembered_last->next = r;
    else
        d->remembered_first = r;
    d->remembered_last = r;
    pthread_mutex_unlock(&d->remember_mutex);
}

/* Value: time ‖ operation ‖ status ‖ answer. */
static fn_err remember_put(struct fn_pending *p)
{
    struct fn_record_name name;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    int64_t now = fn_now_ms();
    request_name(&name, p->who, p->id);
    FN_TRY(fn_buf_u64(&value, (uint64_t)now));
    FN_TRY(fn_buf_u16(&value, p->operation));
    FN_TRY(fn_buf_u32(&value, (uint32_t)p->final));
    FN_TRY(fn_buf_add(&value, p->answer.p, p->answer.n));
    FN_TRY(fn_pending_put(p, &name, fn_buf_view(&value)));
    remember(p->device, &name, FN_DEVICE_REMEMBER_MS);
    return FN_OK;
}

/* Answers a repeat. FN_E_NOT_FOUND when this id is new. */
static fn_err recall(struct fn_item *item, const struct fn_record_name *name)
{
    struct fn_device *d = fn_work_device(item->request->work);
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    uint64_t at;
    uint16_t operation;
    uint32_t status;
    if (!fn_device_store_has(d->store, name)) return FN_E_NOT_FOUND;
    FN_TRY(fn_device_store_get(d->store, name, &value));
    struct fn_cur c = fn_cur(fn_buf_view(&value));
    FN_TRY(fn_cur_u64(&c, &at));
    FN_TRY(fn_cur_u16(&c, &operation));
    FN_TRY(fn_cur_u32(&c, &status));
    if (operation != item->request->number)
        return FN_FAIL(FN_E_DEVICE_FRAME, "request id used before for another operation");
    if (status) return FN_FAIL((fn_err)status, "as answered before");
    return fn_buf_add(&item->out, c.p, fn_cur_left(&c));
}

fn_err fn_change_begin(struct fn_item *item, struct fn_pending **out)
{
    struct fn_request *rq = item->request;
    struct fn_pending *p;
    struct fn_record_name name;
    *out = NULL;
    struct fn_device *d = fn_work_device(rq->work);
    if (atomic_load(&d->acts) >= ACTS_MOST)
        return FN_FAIL(FN_E_DEVICE_BUSY, "%u changes wait for the disk", ACTS_MOST);
    FN_TRY(fn_pending_new(d, &p));
    atomic_fetch_add(&d->acts, 1);
    p->counted = true;
    p->who = rq->who;
    p->work = rq->work;
    p->operation = rq->number;
    p->session_id = rq->session_id;
    p->remember = true;
    memcpy(p->id, rq->id, sizeof p->id);
    request_name(&name, rq->who, rq->id);
    fn_err err = fn_pending_claim(p, &name);
    if (err == FN_OK) {
        err = recall(item, &name);
        if (err == FN_E_NOT_FOUND) return *out = p, FN_OK;
    }
    fn_pending_free(p);
    return err;
}

static void committed(void *context, fn_err result)
{
    struct fn_pending *p = context;
    p->status = result;
    if (result != FN_OK) {
        const struct fn_err_cause *causes;
        if (fn_err_chain(&causes)) memcpy(p->detail, causes[0].detail, sizeof p->detail);
    }
    fn_work_complete(p->work, p);
}

static fn_err submit(struct fn_pending *p)
{
    if (p->remember && !p->after) FN_TRY(remember_put(p));
    return fn_device_store_submit(p->device->store, p->changes, p->changes_count, committed, p);
}

fn_err fn_change_submit(struct fn_item *item, struct fn_pending *p)
{
    p->conn = item->request->conn;
    fn_err err = fn_buf_add(&p->answer, item->out.p, item->out.n);
    /* The connection may not go away before the completion, which another thread can deliver at once. */
    fn_work_wait(item->request, p);
    if (err == FN_OK) err = submit(p);
    if (err == FN_OK) return FN_OK;
    fn_work_unwait(item->request, p);
    fn_pending_free(p);
    return err;
}

void fn_change_run(struct fn_work *w, struct fn_item *item,
                   fn_err (*what)(struct fn_work *w, struct fn_item *item, struct fn_pending *p))
{
    struct fn_pending *p;
    fn_err err = fn_change_begin(item, &p);
    if (err == FN_OK && p) {
        err = what(w, item, p);
        if (err == FN_OK)
            err = fn_change_submit(item, p);
        else
            fn_pending_free(p);
    }
    fn_item_fail(item, err);
}

bool fn_change_done(struct fn_work *w, struct fn_pending *p)
{
    if (p->status != FN_OK) return true;
    for (unsigned i = 0; i < p->purge_count; i++) fn_keys_purge(p->device, &p->purge[i]);
    if (!p->after) return true;
    /* The second step: the answer speaks of the first commit, and is remembered by a commit of its own. */
    fn_err err = p->after(w, p);
    p->after = NULL;
    changes_drop(p);
    if (err == FN_OK) err = submit(p);
    if (err == FN_OK) return false; /* the store's from now on: it may have been done with already */
    p->status = err;
    return true;
}

static fn_err found_request(void *context, const struct fn_record_name *name)
{
    struct fn_device *d = context;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(fn_device_store_get(d->store, name, &value));
    if (value.n < 8) return FN_FAIL(FN_E_CORRUPT, "remembered request of %zu bytes", value.n);
    /* Of an earlier start only the wall clock's time is known; what seems to come from the future is kept in
     * full. */
    int64_t left = (int64_t)fn_get_be64(value.p) + FN_DEVICE_REMEMBER_MS - fn_now_ms();
    remember(d, name, left > FN_DEVICE_REMEMBER_MS ? FN_DEVICE_REMEMBER_MS : left);
    return FN_OK;
}

fn_err fn_change_open(struct fn_device *d)
{
    return fn_device_store_each(d->store, FN_RECORD_REQUEST, NULL, found_request, d);
}

void fn_change_close(struct fn_device *d)
{
    while (d->remembered_first) {
        struct fn_remembered *next = d->remembered_first->next;
        free(d->remembered_first);
        d->remembered_first = next;
    }
    d->remembered_last = NULL;
}

void fn_change_prune(struct fn_device *d)
{
    struct fn_change changes[256];
    size_t n;
    do {
        int64_t now = fn_monotonic_ms();
        n = 0;
        pthread_mutex_lock(&d->remember_mutex);
        while (n < FN_COUNT(changes) && d->remembered_first && d->remembered_first->until_ms < now) {
            struct fn_remembered *r = d->remembered_first;
            changes[n++] = (struct fn_change){.name = r->name, .remove = true};
            d->remembered_first = r->next;
            if (!r->next) d->remembered_last = NULL;
            free(r);
        }
        pthread_mutex_unlock(&d->remember_mutex);
        if (n && fn_device_store_commit(d->store, changes, n) != FN_OK) fn_err_clear();
    } while (n == FN_COUNT(changes));
}
