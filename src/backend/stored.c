/* Stored symmetric keys: wrapped under the vendor's KEK, kept in the backend's sealed store. The vendor's
 * device alone ever holds them in clear. */
#include "backend/backend.h"

#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "base/sys/now.h"
#include "crypto/sm3/sm3.h"
#include "policy/policy.h"
#include <string.h>

#define TEXT_MOST 1024u

static void name_uuid(struct fn_record_name *name, uint8_t kind, const struct fn_uuid *uuid)
{
    *name = (struct fn_record_name){.kind = kind, .n = 16};
    memcpy(name->b, uuid->b, 16);
}

static void name_label(struct fn_record_name *name, const char *tenant, struct fn_bytes label)
{
    struct fn_sm3 h;
    *name = (struct fn_record_name){.kind = FN_RECORD_LABEL, .n = 32};
    fn_sm3_init(&h);
    fn_sm3_update(&h, tenant, strlen(tenant) + 1);
    fn_sm3_update(&h, label.p, label.n);
    fn_sm3_final(&h, name->b);
}

static fn_err write_stored(const struct fn_stored *k, struct fn_buf *out)
{
    FN_TRY(fn_buf_u8(out, 1));
    FN_TRY(fn_buf_u16(out, k->key_class));
    FN_TRY(fn_buf_u16(out, k->alg));
    FN_TRY(fn_buf_u32(out, k->usage));
    FN_TRY(fn_buf_u64(out, (uint64_t)k->created));
    FN_TRY(fn_buf_var(out, k->tenant.p, k->tenant.n));
    FN_TRY(fn_buf_var(out, k->owner.p, k->owner.n));
    FN_TRY(fn_buf_var(out, k->label.p, k->label.n));
    FN_TRY(fn_buf_var(out, k->applications.p, k->applications.n));
    FN_TRY(fn_buf_u32(out, k->current));
    for (uint32_t i = 1; i <= k->current; i++) {
        FN_TRY(fn_buf_u8(out, k->versions[i].destroyed));
        FN_TRY(fn_buf_var(out, k->versions[i].wrapped.p, k->versions[i].wrapped.n));
    }
    return FN_OK;
}

static fn_err read_stored(struct fn_bytes value, struct fn_stored *k)
{
    struct fn_cur c = fn_cur(value);
    uint8_t format, destroyed;
    uint64_t created;
    FN_TRY(fn_cur_u8(&c, &format));
    if (format != 1) return FN_FAIL(FN_E_VERSION, "key record %u", format);
    FN_TRY(fn_cur_u16(&c, &k->key_class));
    FN_TRY(fn_cur_u16(&c, &k->alg));
    FN_TRY(fn_cur_u32(&c, &k->usage));
    FN_TRY(fn_cur_u64(&c, &created));
    k->created = (int64_t)created;
    FN_TRY(fn_cur_var(&c, TEXT_MOST, &k->tenant));
    FN_TRY(fn_cur_var(&c, TEXT_MOST, &k->owner));
    FN_TRY(fn_cur_var(&c, TEXT_MOST, &k->label));
    FN_TRY(fn_cur_var(&c, TEXT_MOST, &k->applications));
    FN_TRY(fn_cur_u32(&c, &k->current));
    if (k->current < 1 || k->current > FN_STORED_VERSIONS)
        return FN_FAIL(FN_E_CORRUPT, "key record of %u versions", k->current);
    for (uint32_t i = 1; i <= k->current; i++) {
        FN_TRY(fn_cur_u8(&c, &destroyed));
        FN_TRY(fn_cur_var(&c, TEXT_MOST, &k->versions[i].wrapped));
        k->versions[i].destroyed = destroyed;
    }
    return fn_cur_end(&c);
}

static bool is(struct fn_bytes text, const char *other)
{
    return fn_bytes_equal(text, fn_bytes(other, strlen(other)));
}

static bool listed(struct fn_bytes list, const char *application)
{
    size_t n = strlen(application), at = 0;
    while (at < list.n) {
        size_t end = at;
        while (end < list.n && list.p[end] != ',') end++;
        if (end - at == n && memcmp(list.p + at, application, n) == 0) return true;
        at = end + 1;
    }
    return false;
}

fn_err fn_backend_stored(struct fn_backend_session *s, const struct fn_uuid *uuid, struct fn_stored *k,
                         struct fn_buf *storage)
{
    struct fn_record_name name;
    name_uuid(&name, FN_RECORD_KEY_HEAD, uuid);
    fn_err err = fn_device_store_get(s->backend->store, &name, storage);
    if (err == FN_E_NOT_FOUND) return FN_FAIL(FN_E_KEY_NOT_FOUND, "no such key");
    FN_TRY(err);
    FN_TRY(read_stored(fn_buf_view(storage), k));
    k->uuid = *uuid;
    if (!is(k->tenant, s->who->tenant)) return FN_FAIL(FN_E_KEY_NOT_FOUND, "not in this tenant");
    if (!is(k->owner, s->who->application) && !listed(k->applications, s->who->application))
        return FN_FAIL(FN_E_KEY_OWNER, "owner %.*s", (int)k->owner.n, k->owner.p);
    return FN_OK;
}

/* The vendor makes the key and wraps it. */
static fn_err make_wrapped(struct fn_backend_session *s, uint16_t alg, uint8_t out[256], unsigned *n)
{
    const struct fn_vendor *v = &s->backend->vendor;
    unsigned algorithm = fn_vendor_algorithm(v, v->profile->wrap == FN_WRAP_ECB ? SGD_SM4_ECB : SGD_SM4_CBC);
    void *key = NULL;
    *n = 256;
    int code = FN_VENDOR(v, SDF_GenerateKeyWithKEK)(s->vendor, alg == FN_ALG_SM4 ? 128 : 256, algorithm,
                                                    s->backend->options.kek, out, n, &key);
    FN_TRY(fn_vendor_error(code, "SDF_GenerateKeyWithKEK"));
    FN_VENDOR(v, SDF_DestroyKey)(s->vendor, key);
    return *n <= 256 ? FN_OK : FN_FAIL(FN_E_FORMAT, "wrapped key of %u bytes", *n);
}

static fn_err put_stored(const struct fn_stored *k)
{
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    struct fn_record_name name;
    FN_TRY(write_stored(k, &value));
    name_uuid(&name, FN_RECORD_KEY_HEAD, &k->uuid);
    return fn_backend_put(&name, fn_buf_view(&value));
}

static fn_err check_new(const struct fn_item *item)
{
    uint64_t alg = item->f[1].n;
    size_t bad;
    if (alg != FN_ALG_SM4 && alg != FN_ALG_HMAC_SM3)
        return FN_FAIL(FN_E_DEVICE_CANNOT, "key pairs are made with the maker's own management tool");
    if (item->f[3].b.n > 64 || item->f[4].b.n > TEXT_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "label or list of applications");
    if (!fn_utf8_valid(item->f[3].b, &bad) || !fn_utf8_valid(item->f[4].b, &bad))
        return FN_FAIL(FN_E_ENCODING, "label");
    uint64_t most = alg == FN_ALG_SM4 ? FN_USE_ENCRYPT | FN_USE_DECRYPT | FN_USE_MAC : FN_USE_MAC;
    if (item->f[0].n == FN_CLASS_DATA_ENC) most &= FN_USE_ENCRYPT | FN_USE_DECRYPT;
    if (item->f[0].n == FN_CLASS_MAC) most &= FN_USE_MAC;
    if (item->f[0].n == FN_CLASS_KEK)
        return FN_FAIL(FN_E_DEVICE_CANNOT, "KEKs are made with the maker's own management tool");
    if (!item->f[2].n || item->f[2].n & ~most)
        return FN_FAIL(FN_E_KEY_USAGE, "usage %x within %x", (unsigned)item->f[2].n, (unsigned)most);
    return fn_policy_ask((enum fn_key_class)item->f[0].n, FN_POLICY_GENERATE, FN_KEY_PRE_ACTIVE,
                         FN_DOOR_APPLICATION, true);
}

FN_RUN(key_new)
{
    struct fn_stored *k FN_SCOPED_HEAP = NULL;
    struct fn_record_name label;
    uint8_t wrapped[256], random[16];
    unsigned n;
    FN_TRY(check_new(item));
    FN_TRY(fn_heap_array(&k, 1, sizeof *k));
    FN_TRY(fn_backend_random(s, random, sizeof random));
    fn_uuid_from_random(&k->uuid, random);
    if (item->f[3].b.n) {
        name_label(&label, s->who->tenant, item->f[3].b);
        if (fn_device_store_has(s->backend->store, &label)) return FN_FAIL(FN_E_EXISTS, "label");
        FN_TRY(fn_backend_put(&label, fn_bytes(k->uuid.b, 16)));
    }
    FN_TRY(make_wrapped(s, (uint16_t)item->f[1].n, wrapped, &n));
    k->key_class = (uint16_t)item->f[0].n;
    k->alg = (uint16_t)item->f[1].n;
    k->usage = (uint32_t)item->f[2].n;
    k->current = 1;
    k->created = fn_now_ms();
    k->tenant = fn_bytes(s->who->tenant, strlen(s->who->tenant));
    k->owner = fn_bytes(s->who->application, strlen(s->who->application));
    k->label = item->f[3].b;
    k->applications = item->f[4].b;
    k->versions[1].wrapped = fn_bytes(wrapped, n);
    FN_TRY(put_stored(k));
    FN_TRY(fn_buf_add(&item->out, k->uuid.b, 16));
    FN_TRY(fn_buf_u32(&item->out, 1));
    return fn_buf_u32(&item->out, 0);
}

static fn_err owned(struct fn_backend_session *s, const struct fn_item *item, struct fn_stored *k,
                    struct fn_buf *storage)
{
    struct fn_uuid uuid;
    memcpy(uuid.b, item->f[0].b.p, 16);
    FN_TRY(fn_backend_stored(s, &uuid, k, storage));
    if (!is(k->owner, s->who->application))
        return FN_FAIL(FN_E_KEY_OWNER, "owner %.*s", (int)k->owner.n, k->owner.p);
    return FN_OK;
}

FN_RUN(key_rotate)
{
    struct fn_stored *k FN_SCOPED_HEAP = NULL;
    struct fn_buf storage FN_SCOPED_BUF = fn_buf_heap();
    uint8_t wrapped[256];
    unsigned n;
    FN_TRY(fn_heap_array(&k, 1, sizeof *k));
    FN_TRY(owned(s, item, k, &storage));
    if (k->versions[k->current].destroyed) return FN_FAIL(FN_E_KEY_DESTROYED, "rotation of a destroyed key");
    if (k->current >= FN_STORED_VERSIONS) return FN_FAIL(FN_E_KEY_EXHAUSTED, "%u versions", k->current);
    FN_TRY(make_wrapped(s, k->alg, wrapped, &n));
    k->current++;
    k->versions[k->current] = (struct fn_stored_version){.wrapped = {wrapped, n}};
    FN_TRY(put_stored(k));
    FN_TRY(fn_buf_u32(&item->out, k->current));
    return fn_buf_u32(&item->out, 0);
}

static fn_err statement_of(const struct fn_stored *k, uint32_t version, struct fn_buf *out)
{
    char uuid[FN_UUID_TEXT + 1], when[FN_TIME_TEXT];
    fn_uuid_format(uuid, &k->uuid);
    fn_time_utc(when, fn_now_ms());
    FN_TRY(fn_buf_u8(out, '{'));
    FN_TRY(fn_json_pair(out, "statement", "fengni destroy 1"));
    FN_TRY(fn_json_pair(out, "uuid", uuid));
    FN_TRY(fn_json_pair_number(out, "version", version));
    FN_TRY(fn_json_pair(out, "time", when));
    FN_TRY(fn_json_pair(out, "device", "backend"));
    return fn_buf_u8(out, '}');
}

FN_RUN(key_destroy)
{
    struct fn_stored *k FN_SCOPED_HEAP = NULL;
    struct fn_buf storage FN_SCOPED_BUF = fn_buf_heap(), statement FN_SCOPED_BUF = fn_buf_heap();
    uint32_t version = (uint32_t)item->f[1].n;
    uint8_t signature[64];
    FN_TRY(fn_heap_array(&k, 1, sizeof *k));
    FN_TRY(owned(s, item, k, &storage));
    if (version > k->current) return FN_FAIL(FN_E_KEY_NOT_FOUND, "version %u of %u", version, k->current);
    for (uint32_t i = 1; i <= k->current; i++)
        if (version == 0 || version == i) k->versions[i] = (struct fn_stored_version){.destroyed = true};
    FN_TRY(put_stored(k));
    FN_TRY(statement_of(k, version, &statement));
    FN_TRY(fn_backend_sign(s->backend, fn_buf_view(&statement), signature));
    FN_TRY(fn_buf_var(&item->out, statement.p, statement.n));
    return fn_buf_var(&item->out, signature, sizeof signature);
}

static fn_err describe(const struct fn_stored *k, struct fn_buf *out)
{
    char uuid[FN_UUID_TEXT + 1];
    fn_uuid_format(uuid, &k->uuid);
    FN_TRY(fn_buf_u8(out, '{'));
    FN_TRY(fn_json_pair(out, "uuid", uuid));
    FN_TRY(fn_json_pair_number(out, "version", k->current));
    FN_TRY(fn_json_pair_number(out, "class", k->key_class));
    FN_TRY(fn_json_pair_number(out, "alg", k->alg));
    FN_TRY(fn_json_pair_number(out, "usage", k->usage));
    FN_TRY(fn_json_pair_number(out, "created", k->created));
    FN_TRY(fn_json_key(out, "label"));
    FN_TRY(fn_json_text(out, (const char *)k->label.p, k->label.n));
    FN_TRY(fn_json_key(out, "owner"));
    FN_TRY(fn_json_text(out, (const char *)k->owner.p, k->owner.n));
    return fn_buf_u8(out, '}');
}

FN_RUN(key_info)
{
    struct fn_stored *k FN_SCOPED_HEAP = NULL;
    struct fn_buf storage FN_SCOPED_BUF = fn_buf_heap(), json FN_SCOPED_BUF = fn_buf_heap();
    struct fn_bytes ref = item->f[0].b;
    FN_TRY(fn_heap_array(&k, 1, sizeof *k));
    if (ref.n == 21 && ref.p[0] == FN_KEY_UUID) {
        struct fn_uuid uuid;
        memcpy(uuid.b, ref.p + 1, 16);
        FN_TRY(fn_backend_stored(s, &uuid, k, &storage));
        FN_TRY(describe(k, &json));
    } else {
        struct fn_named named;
        bool symmetric = ref.n == 6 && ref.p[0] == FN_KEY_INDEX && ref.p[5] == FN_HALF_SYMMETRIC;
        FN_TRY((symmetric ? fn_backend_symmetric : fn_backend_key)(s, ref, 0, false, &named));
        FN_TRY(fn_buf_u8(&json, '{'));
        FN_TRY(fn_json_pair_bool(&json, "session", named.kind == FN_KEY_HANDLE));
        FN_TRY(fn_json_pair_bool(&json, "external", named.kind == FN_KEY_EXTERNAL));
        FN_TRY(fn_json_pair_number(&json, "index", named.index));
        FN_TRY(fn_buf_u8(&json, '}'));
    }
    return fn_buf_var(&item->out, json.p, json.n);
}

struct listing {
    struct fn_backend_session *s;
    struct fn_buf *out;
    uint32_t left;
};

static fn_err list_one(void *context, const struct fn_record_name *name)
{
    struct listing *l = context;
    struct fn_stored *k FN_SCOPED_HEAP = NULL;
    struct fn_buf storage FN_SCOPED_BUF = fn_buf_heap();
    struct fn_uuid uuid;
    if (!l->left) return FN_E_CANCELLED;
    FN_TRY(fn_heap_array(&k, 1, sizeof *k));
    memcpy(uuid.b, name->b, 16);
    fn_err err = fn_backend_stored(l->s, &uuid, k, &storage);
    if (err == FN_E_KEY_NOT_FOUND || err == FN_E_KEY_OWNER) return FN_OK;
    FN_TRY(err);
    if (l->out->p[l->out->n - 1] != '[') FN_TRY(fn_buf_u8(l->out, ','));
    l->left--;
    return describe(k, l->out);
}

FN_RUN(key_list)
{
    static const uint8_t zero[16];
    struct fn_buf json FN_SCOPED_BUF = fn_buf_heap();
    struct listing l = {s, &json, item->f[1].n < 1000 ? (uint32_t)item->f[1].n : 1000};
    struct fn_uuid after;
    struct fn_record_name name;
    memcpy(after.b, item->f[0].b.p, 16);
    name_uuid(&name, FN_RECORD_KEY_HEAD, &after);
    FN_TRY(fn_buf_u8(&json, '['));
    fn_err err = fn_device_store_each(s->backend->store, FN_RECORD_KEY_HEAD,
                                      memcmp(after.b, zero, 16) ? &name : NULL, list_one, &l);
    if (err != FN_OK && err != FN_E_CANCELLED) return err;
    FN_TRY(fn_buf_u8(&json, ']'));
    return fn_buf_var(&item->out, json.p, json.n);
}

FN_RUN(key_find)
{
    struct fn_stored *k FN_SCOPED_HEAP = NULL;
    struct fn_buf storage FN_SCOPED_BUF = fn_buf_heap(), value FN_SCOPED_BUF = fn_buf_heap();
    struct fn_record_name name;
    struct fn_uuid uuid;
    FN_TRY(fn_heap_array(&k, 1, sizeof *k));
    name_label(&name, s->who->tenant, item->f[0].b);
    fn_err err = fn_device_store_get(s->backend->store, &name, &value);
    if (err == FN_E_NOT_FOUND) return FN_FAIL(FN_E_KEY_NOT_FOUND, "no key with this label");
    FN_TRY(err);
    if (value.n != 16) return FN_FAIL(FN_E_CORRUPT, "label record");
    memcpy(uuid.b, value.p, 16);
    FN_TRY(fn_backend_stored(s, &uuid, k, &storage));
    FN_TRY(fn_buf_add(&item->out, uuid.b, 16));
    return fn_buf_u32(&item->out, k->current);
}
