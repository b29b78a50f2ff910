/* What is told and what is kept: information, files, anchors. */
#include "backend/backend.h"

#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "base/sys/now.h"
#include "crypto/sm3/sm3.h"
#include <string.h>

#define V(s)             (&(s)->backend->vendor)
#define P(b)             ((unsigned char *)(uintptr_t)(b).p)
#define ANCHOR_NAME_MOST 256u

static fn_err need(struct fn_backend_session *s, enum fn_vendor_function f)
{
    return fn_vendor_has(V(s), f)
               ? FN_OK
               : FN_FAIL(FN_E_DEVICE_CANNOT, "the library has no %s", fn_vendor_names[f].name);
}

FN_RUN(info)
{
    DEVICEINFO info = {0};
    uint8_t out[100];
    FN_TRY(need(s, FN_AT_SDF_GetDeviceInfo));
    FN_TRY(fn_vendor_error(FN_VENDOR(V(s), SDF_GetDeviceInfo)(s->vendor, &info), "SDF_GetDeviceInfo"));
    memcpy(out, &info, 72);
    const unsigned numbers[] = {info.DeviceVersion,     info.StandardVersion, info.AsymAlgAbility[0],
                                info.AsymAlgAbility[1], info.SymAlgAbility,   info.HashAlgAbility,
                                info.BufferSize};
    for (size_t i = 0; i < FN_COUNT(numbers); i++) fn_put_be32(out + 72 + 4 * i, numbers[i]);
    return fn_buf_var(&item->out, out, sizeof out);
}

FN_RUN(status)
{
    struct fn_buf json FN_SCOPED_BUF = fn_buf_heap();
    const struct fn_backend *b = s->backend;
    FN_TRY(fn_buf_u8(&json, '{'));
    FN_TRY(fn_json_pair(&json, "state", "READY"));
    FN_TRY(fn_json_pair(&json, "device", "backend"));
    FN_TRY(fn_json_pair(&json, "library", b->options.library));
    FN_TRY(fn_json_pair(&json, "profile", b->options.profile->name));
    FN_TRY(fn_json_pair_bool(&json, "test_tenant", b->options.test_tenant));
    FN_TRY(fn_json_pair_number(&json, "keys", (int64_t)fn_device_store_count(b->store, FN_RECORD_KEY_HEAD)));
    FN_TRY(fn_json_pair_number(&json, "generation", (int64_t)fn_device_store_generation(b->store)));
    FN_TRY(fn_json_pair_number(&json, "uptime_ms", fn_monotonic_ms() - b->started_ms));
    FN_TRY(fn_buf_u8(&json, '}'));
    return fn_buf_var(&item->out, json.p, json.n);
}

FN_RUN(capabilities)
{
    struct fn_buf json FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(fn_buf_u8(&json, '{'));
    for (size_t i = 0; fn_operation_at(i); i++) {
        const struct fn_operation *op = fn_operation_at(i);
        if (op->flags & FN_OPF_MANAGEMENT) continue;
        FN_TRY(fn_json_pair(&json, op->name, fn_backend_level(s->backend, op->number)));
    }
    FN_TRY(fn_buf_u8(&json, '}'));
    return fn_buf_var(&item->out, json.p, json.n);
}

FN_RUN(random)
{
    uint8_t *where;
    size_t n = item->f[0].n;
    if (n < 1 || n > FN_DEVICE_FRAME_MOST / 2) return FN_FAIL(FN_E_ARGUMENT, "%zu bytes", n);
    FN_TRY(fn_buf_u32(&item->out, (uint32_t)n));
    FN_TRY(fn_buf_reserve(&item->out, n, &where));
    FN_TRY(fn_backend_random(s, where, n));
    item->out.n += n;
    return FN_OK;
}

/* Files: the library's own. */

FN_RUN(file_create)
{
    FN_TRY(need(s, FN_AT_SDF_CreateFile));
    int code = FN_VENDOR(V(s), SDF_CreateFile)(s->vendor, P(item->f[0].b), (unsigned)item->f[0].b.n,
                                               (unsigned)item->f[1].n);
    return fn_vendor_error(code, "SDF_CreateFile");
}

FN_RUN(file_read)
{
    uint8_t *out FN_SCOPED_HEAP = NULL;
    unsigned n = (unsigned)item->f[2].n;
    FN_TRY(need(s, FN_AT_SDF_ReadFile));
    if (n > FN_DEVICE_FRAME_MOST - 4096) n = FN_DEVICE_FRAME_MOST - 4096;
    unsigned room = n;
    FN_TRY(fn_heap_array(&out, (size_t)n + 16, 1));
    int code = FN_VENDOR(V(s), SDF_ReadFile)(s->vendor, P(item->f[0].b), (unsigned)item->f[0].b.n,
                                             (unsigned)item->f[1].n, &n, out);
    FN_TRY(fn_vendor_error(code, "SDF_ReadFile"));
    return n <= room ? fn_buf_var(&item->out, out, n) : FN_FAIL(FN_E_FORMAT, "%u bytes of %u", n, room);
}

FN_RUN(file_write)
{
    FN_TRY(need(s, FN_AT_SDF_WriteFile));
    int code =
        FN_VENDOR(V(s), SDF_WriteFile)(s->vendor, P(item->f[0].b), (unsigned)item->f[0].b.n,
                                       (unsigned)item->f[1].n, (unsigned)item->f[2].b.n, P(item->f[2].b));
    return fn_vendor_error(code, "SDF_WriteFile");
}

FN_RUN(file_delete)
{
    FN_TRY(need(s, FN_AT_SDF_DeleteFile));
    int code = FN_VENDOR(V(s), SDF_DeleteFile)(s->vendor, P(item->f[0].b), (unsigned)item->f[0].b.n);
    return fn_vendor_error(code, "SDF_DeleteFile");
}

/* Anchors: records of our store, signed by the vendor's device. u8 1 ‖ var tenant ‖ var owner ‖ var name ‖
 * u64 counter ‖ digest */

struct anchor {
    struct fn_bytes tenant, owner, name;
    uint64_t counter;
    uint8_t digest[32];
};

static fn_err read_anchor(struct fn_bytes value, struct anchor *a)
{
    struct fn_cur c = fn_cur(value);
    uint8_t format;
    FN_TRY(fn_cur_u8(&c, &format));
    if (format != 1) return FN_FAIL(FN_E_VERSION, "anchor format %u", format);
    FN_TRY(fn_cur_var(&c, 64, &a->tenant));
    FN_TRY(fn_cur_var(&c, 64, &a->owner));
    FN_TRY(fn_cur_var(&c, ANCHOR_NAME_MOST, &a->name));
    FN_TRY(fn_cur_u64(&c, &a->counter));
    FN_TRY(fn_cur_copy(&c, a->digest, 32));
    return fn_cur_end(&c);
}

static fn_err write_anchor(const struct anchor *a, struct fn_buf *out)
{
    FN_TRY(fn_buf_u8(out, 1));
    FN_TRY(fn_buf_var(out, a->tenant.p, a->tenant.n));
    FN_TRY(fn_buf_var(out, a->owner.p, a->owner.n));
    FN_TRY(fn_buf_var(out, a->name.p, a->name.n));
    FN_TRY(fn_buf_u64(out, a->counter));
    return fn_buf_add(out, a->digest, 32);
}

static fn_err anchor_name(struct fn_backend_session *s, struct fn_bytes text, struct fn_record_name *name)
{
    size_t bad;
    struct fn_sm3 h;
    if (text.n < 1 || text.n > ANCHOR_NAME_MOST || !fn_utf8_valid(text, &bad))
        return FN_FAIL(FN_E_ARGUMENT, "anchor name");
    *name = (struct fn_record_name){.kind = FN_RECORD_ANCHOR, .n = 32};
    fn_sm3_init(&h);
    fn_sm3_update(&h, s->who->tenant, strlen(s->who->tenant) + 1);
    fn_sm3_update(&h, text.p, text.n);
    fn_sm3_final(&h, name->b);
    return FN_OK;
}

static fn_err sign_anchor(struct fn_backend_session *s, const struct anchor *a, const uint8_t challenge[32],
                          uint8_t signature[64])
{
    struct fn_buf statement FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(fn_buf_add(&statement, "fengni anchor 1", 16));
    FN_TRY(fn_buf_add(&statement, challenge, 32));
    FN_TRY(fn_buf_var(&statement, a->name.p, a->name.n));
    FN_TRY(fn_buf_var(&statement, a->owner.p, a->owner.n));
    FN_TRY(fn_buf_u64(&statement, a->counter));
    FN_TRY(fn_buf_add(&statement, a->digest, 32));
    return fn_backend_sign(s->backend, fn_buf_view(&statement), signature);
}

static fn_err load_anchor(struct fn_backend_session *s, const struct fn_record_name *name, struct anchor *a,
                          struct fn_buf *storage)
{
    fn_err err = fn_device_store_get(s->backend->store, name, storage);
    if (err == FN_E_NOT_FOUND) return FN_FAIL(FN_E_NOT_FOUND, "no such anchor");
    FN_TRY(err);
    return read_anchor(fn_buf_view(storage), a);
}

FN_RUN(anchor_set)
{
    static const uint8_t no_challenge[32];
    struct fn_buf old FN_SCOPED_BUF = fn_buf_heap(), value FN_SCOPED_BUF = fn_buf_heap();
    struct fn_record_name name;
    struct anchor a = {.counter = 0};
    uint8_t signature[64];
    FN_TRY(anchor_name(s, item->f[0].b, &name));
    fn_err err = load_anchor(s, &name, &a, &old);
    if (err != FN_OK && err != FN_E_NOT_FOUND) return err;
    if (err == FN_OK && !fn_bytes_equal(a.owner, fn_bytes(s->who->application, strlen(s->who->application))))
        return FN_FAIL(FN_E_ANCHOR_OWNER, "owner %.*s", (int)a.owner.n, a.owner.p);
    if (item->f[1].n != a.counter || item->f[2].n <= a.counter)
        return FN_FAIL(FN_E_ANCHOR_OLD, "counter is %llu, expected %llu, new %llu",
                       (unsigned long long)a.counter, (unsigned long long)item->f[1].n,
                       (unsigned long long)item->f[2].n);
    a.tenant = fn_bytes(s->who->tenant, strlen(s->who->tenant));
    a.owner = fn_bytes(s->who->application, strlen(s->who->application));
    a.name = item->f[0].b;
    a.counter = item->f[2].n;
    memcpy(a.digest, item->f[3].b.p, 32);
    FN_TRY(write_anchor(&a, &value));
    FN_TRY(fn_backend_put(&name, fn_buf_view(&value)));
    FN_TRY(sign_anchor(s, &a, no_challenge, signature));
    return fn_buf_var(&item->out, signature, sizeof signature);
}

FN_RUN(anchor_get)
{
    struct fn_buf storage FN_SCOPED_BUF = fn_buf_heap();
    struct fn_record_name name;
    struct anchor a;
    uint8_t signature[64];
    FN_TRY(anchor_name(s, item->f[0].b, &name));
    FN_TRY(load_anchor(s, &name, &a, &storage));
    FN_TRY(sign_anchor(s, &a, item->f[1].b.p, signature));
    FN_TRY(fn_buf_var(&item->out, a.owner.p, a.owner.n));
    FN_TRY(fn_buf_u64(&item->out, a.counter));
    FN_TRY(fn_buf_add(&item->out, a.digest, 32));
    return fn_buf_var(&item->out, signature, sizeof signature);
}

struct listing {
    struct fn_backend_session *s;
    struct fn_buf *out;
};

static fn_err list_one(void *context, const struct fn_record_name *name)
{
    struct listing *l = context;
    struct fn_buf storage FN_SCOPED_BUF = fn_buf_heap();
    struct anchor a;
    char digest[65];
    FN_TRY(load_anchor(l->s, name, &a, &storage));
    if (!fn_bytes_equal(a.tenant, fn_bytes(l->s->who->tenant, strlen(l->s->who->tenant)))) return FN_OK;
    if (l->out->n > FN_DEVICE_FRAME_MOST / 2) return FN_E_CANCELLED;
    if (l->out->p[l->out->n - 1] != '[') FN_TRY(fn_buf_u8(l->out, ','));
    FN_TRY(fn_buf_u8(l->out, '{'));
    FN_TRY(fn_json_key(l->out, "name"));
    FN_TRY(fn_json_text(l->out, (const char *)a.name.p, a.name.n));
    FN_TRY(fn_json_key(l->out, "owner"));
    FN_TRY(fn_json_text(l->out, (const char *)a.owner.p, a.owner.n));
    FN_TRY(fn_json_pair_number(l->out, "counter", (int64_t)a.counter));
    fn_hex_encode(digest, a.digest, 32);
    FN_TRY(fn_json_pair(l->out, "digest", digest));
    return fn_buf_u8(l->out, '}');
}

FN_RUN(anchor_list)
{
    struct fn_buf json FN_SCOPED_BUF = fn_buf_heap();
    struct listing l = {s, &json};
    FN_TRY(fn_buf_u8(&json, '['));
    fn_err err = fn_device_store_each(s->backend->store, FN_RECORD_ANCHOR, NULL, list_one, &l);
    if (err != FN_OK && err != FN_E_CANCELLED) return err;
    FN_TRY(fn_buf_u8(&json, ']'));
    return fn_buf_var(&item->out, json.p, json.n);
}
