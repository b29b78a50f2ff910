/* Files (GM/T 0018 6.7) and anchors: named durable records of an application. */
#include "base/sys/heap.h"
#include "device/json.h"
#include "device/device.h"
#include <string.h>

#define FILE_NAME_MOST   128u
#define FILE_SIZE_MOST   ((1u << 20) - 4096u)
#define FILES_MOST       65536u
#define ANCHOR_NAME_MOST 256u
#define ANCHORS_MOST     262144u

/* ---- files: the value is the content; its length is the size given at creation ---- */

static fn_err file_name(const struct fn_identity *who, struct fn_bytes text, struct fn_record_name *name)
{
    if (text.n < 1 || text.n > FILE_NAME_MOST) return FN_FAIL(FN_E_ARGUMENT, "file name of %zu bytes, 1 to %u", text.n, FILE_NAME_MOST);
    fn_name_scoped(name, FN_RECORD_FILE, who->tenant, who->application, text);
    return FN_OK;
}

/* One byte of format stands before the content, so that an empty file is a record too. */
static fn_err file_get(struct fn_device *d, const struct fn_record_name *name, struct fn_buf *value)
{
    fn_err err = fn_device_store_get(d->store, name, value);
    if (err == FN_E_NOT_FOUND) return FN_FAIL(FN_E_NOT_FOUND, "no such file");
    FN_TRY(err);
    return value->n >= 1 && value->p[0] == 1 ? FN_OK : FN_FAIL(FN_E_CORRUPT, "file record");
}

static fn_err file_create(struct fn_work *w, struct fn_item *item, struct fn_pending *p)
{
    struct fn_device *d = fn_work_device(w);
    struct fn_record_name name;
    size_t size = item->f[1].n;
    FN_TRY(file_name(item->request->who, item->f[0].b, &name));
    if (size > FILE_SIZE_MOST) return FN_FAIL(FN_E_FILE_SIZE, "%zu bytes, at most %u", size, FILE_SIZE_MOST);
    FN_TRY(fn_pending_claim(p, &name));
    if (fn_device_store_has(d->store, &name)) return FN_FAIL(FN_E_EXISTS, "file");
    if (fn_device_store_count(d->store, FN_RECORD_FILE) >= FILES_MOST) return FN_FAIL(FN_E_TOO_LARGE, "%u files", FILES_MOST);
    uint8_t *content = fn_arena_zero(fn_work_arena(w), size + 1);
    if (!content) return FN_FAIL(FN_E_NO_MEMORY, "%zu bytes", size);
    content[0] = 1;
    fn_dlog_event(d, item->request->who, "file.create", NULL, FN_OK, NULL);
    return fn_pending_put(p, &name, fn_bytes(content, size + 1));
}

static fn_err file_write(struct fn_work *w, struct fn_item *item, struct fn_pending *p)
{
    struct fn_record_name name;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    struct fn_bytes data = item->f[2].b;
    size_t offset = item->f[1].n;
    FN_TRY(file_name(item->request->who, item->f[0].b, &name));
    FN_TRY(fn_pending_claim(p, &name));
    FN_TRY(file_get(fn_work_device(w), &name, &value));
    if (offset > value.n - 1) return FN_FAIL(FN_E_FILE_OFFSET, "offset %zu of %zu", offset, value.n - 1);
    if (data.n > value.n - 1 - offset) return FN_FAIL(FN_E_FILE_SIZE, "%zu bytes at %zu of %zu", data.n, offset, value.n - 1);
    if (data.n) memcpy(value.p + 1 + offset, data.p, data.n);
    return fn_pending_put(p, &name, fn_buf_view(&value));
}

static fn_err file_delete(struct fn_work *w, struct fn_item *item, struct fn_pending *p)
{
    struct fn_record_name name;
    FN_TRY(file_name(item->request->who, item->f[0].b, &name));
    FN_TRY(fn_pending_claim(p, &name));
    if (!fn_device_store_has(fn_work_device(w)->store, &name)) return FN_FAIL(FN_E_NOT_FOUND, "no such file");
    fn_dlog_event(fn_work_device(w), item->request->who, "file.delete", NULL, FN_OK, NULL);
    return fn_pending_remove(p, &name);
}

static fn_err file_read(struct fn_work *w, struct fn_item *item)
{
    struct fn_record_name name;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    size_t offset = item->f[1].n, n = item->f[2].n;
    FN_TRY(file_name(item->request->who, item->f[0].b, &name));
    FN_TRY(file_get(fn_work_device(w), &name, &value));
    size_t size = value.n - 1;
    if (offset > size) return FN_FAIL(FN_E_FILE_OFFSET, "offset %zu of %zu", offset, size);
    if (n > size - offset) n = size - offset;
    return fn_buf_var(&item->out, value.p + 1 + offset, n);
}

void fn_run_FILE_CREATE(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)n;
    fn_change_run(w, items[0], file_create);
}
void fn_run_FILE_WRITE(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)n;
    fn_change_run(w, items[0], file_write);
}
void fn_run_FILE_DELETE(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)n;
    fn_change_run(w, items[0], file_delete);
}
void fn_run_FILE_READ(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], file_read(w, items[i]));
}

/* ---- anchors: u8 1 ‖ var tenant ‖ var owner ‖ var name ‖ u64 counter ‖ digest ---- */

struct anchor {
    struct fn_bytes tenant, owner, name;
    uint64_t counter;
    uint8_t digest[32];
};

static fn_err anchor_parse(struct fn_bytes value, struct anchor *a)
{
    struct fn_cur c = fn_cur(value);
    uint8_t format;
    FN_TRY(fn_cur_u8(&c, &format));
    if (format != 1) return FN_FAIL(FN_E_VERSION, "anchor format %d", format);
    FN_TRY(fn_cur_var(&c, FN_NAME_MOST, &a->tenant));
    FN_TRY(fn_cur_var(&c, FN_NAME_MOST, &a->owner));
    FN_TRY(fn_cur_var(&c, ANCHOR_NAME_MOST, &a->name));
    FN_TRY(fn_cur_u64(&c, &a->counter));
    FN_TRY(fn_cur_copy(&c, a->digest, 32));
    return fn_cur_end(&c);
}

static fn_err anchor_write(const struct anchor *a, struct fn_buf *out)
{
    FN_TRY(fn_buf_u8(out, 1));
    FN_TRY(fn_buf_var(out, a->tenant.p, a->tenant.n));
    FN_TRY(fn_buf_var(out, a->owner.p, a->owner.n));
    FN_TRY(fn_buf_var(out, a->name.p, a->name.n));
    FN_TRY(fn_buf_u64(out, a->counter));
    return fn_buf_add(out, a->digest, 32);
}

static fn_err anchor_statement(const struct anchor *a, const uint8_t challenge[32], struct fn_buf *out)
{
    FN_TRY(fn_buf_add(out, "fengni anchor 1", 16));
    FN_TRY(fn_buf_add(out, challenge, 32));
    FN_TRY(fn_buf_var(out, a->name.p, a->name.n));
    FN_TRY(fn_buf_var(out, a->owner.p, a->owner.n));
    FN_TRY(fn_buf_u64(out, a->counter));
    return fn_buf_add(out, a->digest, 32);
}

static fn_err anchor_sign(struct fn_work *w, const struct anchor *a, const uint8_t challenge[32], uint8_t signature[64])
{
    struct fn_buf statement = fn_buf_arena();
    FN_TRY(anchor_statement(a, challenge, &statement));
    return fn_device_sign(fn_work_device(w), fn_work_rng(w), fn_buf_view(&statement), signature);
}

static fn_err anchor_name(const struct fn_identity *who, struct fn_bytes text, struct fn_record_name *name)
{
    size_t bad_at;
    if (text.n < 1 || text.n > ANCHOR_NAME_MOST) return FN_FAIL(FN_E_ARGUMENT, "anchor name of %zu bytes, 1 to %u", text.n, ANCHOR_NAME_MOST);
    if (!fn_utf8_valid(text, &bad_at)) return FN_FAIL(FN_E_ENCODING, "anchor name at offset %zu", bad_at);
    fn_name_scoped(name, FN_RECORD_ANCHOR, who->tenant, "", text);
    return FN_OK;
}

/* Advances only from exactly the expected counter to a higher one (design, wall 5). */
static fn_err anchor_set(struct fn_work *w, struct fn_item *item, struct fn_pending *p)
{
    static const uint8_t no_challenge[32];
    struct fn_device *d = fn_work_device(w);
    const struct fn_identity *who = item->request->who;
    struct fn_record_name name;
    struct anchor a = {.counter = 0};
    struct fn_buf old = fn_buf_arena(), value = fn_buf_arena();
    uint8_t signature[64];
    FN_TRY(anchor_name(who, item->f[0].b, &name));
    FN_TRY(fn_pending_claim(p, &name));
    fn_err err = fn_device_store_get(d->store, &name, &old);
    if (err == FN_OK) {
        FN_TRY(anchor_parse(fn_buf_view(&old), &a));
        if (!fn_bytes_equal(a.owner, fn_bytes(who->application, strlen(who->application))))
            return FN_FAIL(FN_E_ANCHOR_OWNER, "owner %.*s", (int)a.owner.n, a.owner.p);
    } else if (err != FN_E_NOT_FOUND) {
        return err;
    } else if (fn_device_store_count(d->store, FN_RECORD_ANCHOR) >= ANCHORS_MOST) {
        return FN_FAIL(FN_E_TOO_LARGE, "%u anchors", ANCHORS_MOST);
    }
    if (item->f[1].n != a.counter || item->f[2].n <= a.counter)
        return FN_FAIL(FN_E_ANCHOR_OLD, "counter is %llu, expected %llu, new %llu", (unsigned long long)a.counter,
                       (unsigned long long)item->f[1].n, (unsigned long long)item->f[2].n);
    a.tenant = fn_bytes(who->tenant, strlen(who->tenant));
    a.owner = fn_bytes(who->application, strlen(who->application));
    a.name = item->f[0].b;
    a.counter = item->f[2].n;
    memcpy(a.digest, item->f[3].b.p, 32);
    FN_TRY(anchor_write(&a, &value));
    FN_TRY(fn_pending_put(p, &name, fn_buf_view(&value)));
    FN_TRY(anchor_sign(w, &a, no_challenge, signature));
    return fn_buf_var(&item->out, signature, sizeof signature);
}

void fn_run_ANCHOR_SET(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)n;
    fn_change_run(w, items[0], anchor_set);
}

static fn_err anchor_get(struct fn_work *w, struct fn_item *item)
{
    struct fn_record_name name;
    struct anchor a;
    struct fn_buf value = fn_buf_arena();
    uint8_t signature[64];
    FN_TRY(anchor_name(item->request->who, item->f[0].b, &name));
    fn_err err = fn_device_store_get(fn_work_device(w)->store, &name, &value);
    if (err == FN_E_NOT_FOUND) return FN_FAIL(FN_E_NOT_FOUND, "no such anchor");
    FN_TRY(err);
    FN_TRY(anchor_parse(fn_buf_view(&value), &a));
    FN_TRY(anchor_sign(w, &a, item->f[1].b.p, signature));
    FN_TRY(fn_buf_var(&item->out, a.owner.p, a.owner.n));
    FN_TRY(fn_buf_u64(&item->out, a.counter));
    FN_TRY(fn_buf_add(&item->out, a.digest, 32));
    return fn_buf_var(&item->out, signature, sizeof signature);
}

void fn_run_ANCHOR_GET(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], anchor_get(w, items[i]));
}

struct anchor_listing {
    struct fn_device *device;
    const struct fn_identity *who;
    struct fn_buf *out;
};

static fn_err list_anchor(void *context, const struct fn_record_name *name)
{
    struct anchor_listing *l = context;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    struct anchor a;
    FN_TRY(fn_device_store_get(l->device->store, name, &value));
    FN_TRY(anchor_parse(fn_buf_view(&value), &a));
    if (!fn_bytes_equal(a.tenant, fn_bytes(l->who->tenant, strlen(l->who->tenant)))) return FN_OK;
    if (l->out->n > FN_DEVICE_FRAME_MOST) return FN_E_CANCELLED;
    FN_TRY(fn_buf_text(l->out, l->out->p[l->out->n - 1] == '[' ? "{" : ",{"));
    FN_TRY(fn_djson_put_name(l->out, "name"));
    FN_TRY(fn_djson_put_text(l->out, a.name));
    FN_TRY(fn_djson_put_name(l->out, "owner"));
    FN_TRY(fn_djson_put_text(l->out, a.owner));
    FN_TRY(fn_djson_put_number(l->out, "counter", (int64_t)a.counter));
    FN_TRY(fn_djson_put_hex(l->out, "digest", a.digest, 32));
    return fn_buf_text(l->out, "}");
}

static fn_err anchor_list(struct fn_work *w, struct fn_item *item)
{
    struct fn_buf json = fn_buf_arena();
    struct anchor_listing l = {fn_work_device(w), item->request->who, &json};
    FN_TRY(fn_buf_text(&json, "["));
    fn_err err = fn_device_store_each(l.device->store, FN_RECORD_ANCHOR, NULL, list_anchor, &l);
    if (err != FN_OK && err != FN_E_CANCELLED) return err;
    FN_TRY(fn_buf_text(&json, "]"));
    return fn_buf_var(&item->out, json.p, json.n);
}

void fn_run_ANCHOR_LIST(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], anchor_list(w, items[i]));
}

fn_err fn_anchor_receipt_check(struct fn_device *d, const struct fn_anchor_receipt *r)
{
    struct anchor told = {.owner = r->owner, .name = r->name, .counter = r->counter}, here;
    struct fn_buf statement FN_SCOPED_BUF = fn_buf_heap(), value FN_SCOPED_BUF = fn_buf_heap();
    struct fn_record_name name;
    memcpy(told.digest, r->digest, 32);
    FN_TRY(anchor_statement(&told, r->challenge, &statement));
    FN_TRY(fn_device_verify(d, fn_buf_view(&statement), r->signature));
    fn_name_scoped(&name, FN_RECORD_ANCHOR, r->tenant, "", r->name);
    fn_err err = fn_device_store_get(d->store, &name, &value);
    if (err == FN_E_NOT_FOUND) return FN_FAIL(FN_E_DEVICE_STORE_OLD, "this anchor is not here");
    FN_TRY(err);
    FN_TRY(anchor_parse(fn_buf_view(&value), &here));
    if (here.counter < told.counter)
        return FN_FAIL(FN_E_DEVICE_STORE_OLD, "anchor at %llu, the receipt says %llu", (unsigned long long)here.counter,
                       (unsigned long long)told.counter);
    if (here.counter == told.counter && memcmp(here.digest, told.digest, 32) != 0)
        return FN_FAIL(FN_E_DEVICE_STORE_OLD, "another digest at counter %llu", (unsigned long long)here.counter);
    return FN_OK;
}
