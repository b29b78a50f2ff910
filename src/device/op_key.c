/* Keys as records: made, rotated, destroyed, listed, exported in their public half, sealed, imported. */
#include "base/sys/heap.h"
#include "device/json.h"
#include "device/part.h"
#include "device/sgd.h"
#include <string.h>

static enum fn_policy_door door_of(const struct fn_request *rq)
{
    return rq->who->test ? FN_DOOR_TEST_TENANT : FN_DOOR_APPLICATION;
}

static uint32_t usage_most(uint16_t alg)
{
    switch (alg) {
    case FN_ALG_SM4:
        return FN_USE_ENCRYPT | FN_USE_DECRYPT | FN_USE_MAC | FN_USE_WRAP | FN_USE_UNWRAP | FN_USE_DERIVE;
    case FN_ALG_HMAC_SM3:
        return FN_USE_MAC | FN_USE_DERIVE;
    case FN_ALG_P256:
        return FN_USE_SIGN | FN_USE_VERIFY;
    default:
        return FN_USE_SIGN | FN_USE_VERIFY | FN_USE_ENCRYPT | FN_USE_DECRYPT | FN_USE_WRAP | FN_USE_UNWRAP |
               FN_USE_AGREE;
    }
}

/* One key, one purpose (guideline 3.5): a MAC key does not encrypt, a signing key does not decrypt. */
static fn_err usage_fits(uint16_t key_class, uint16_t alg, uint32_t usage)
{
    uint32_t most = usage_most(alg);
    if (!fn_key_alg_known(alg)) return FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %d", alg);
    switch (key_class) {
    case FN_CLASS_DATA_ENC:
        most &= FN_USE_ENCRYPT | FN_USE_DECRYPT;
        break;
    case FN_CLASS_MAC:
        most &= FN_USE_MAC;
        break;
    case FN_CLASS_SRV_SIGN:
        most &= FN_USE_SIGN | FN_USE_VERIFY;
        break;
    case FN_CLASS_SRV_ENC:
        most &= FN_USE_ENCRYPT | FN_USE_DECRYPT | FN_USE_WRAP | FN_USE_UNWRAP | FN_USE_AGREE;
        break;
    case FN_CLASS_KEK:
        most &= FN_USE_WRAP | FN_USE_UNWRAP;
        break;
    case FN_CLASS_APP_ENC:
        most &= FN_USE_ENCRYPT | FN_USE_DECRYPT | FN_USE_MAC;
        break;
    default:
        break;
    }
    /* What wraps keys and opens data as well gives the keys out in clear. */
    if (alg == FN_ALG_SM4 && usage & (FN_USE_WRAP | FN_USE_UNWRAP)) most &= FN_USE_WRAP | FN_USE_UNWRAP;
    if (!usage || usage & ~most)
        return FN_FAIL(FN_E_KEY_USAGE, "class %d, algorithm %d: usage %x within %x", key_class, alg, usage,
                       most);
    return FN_OK;
}

static fn_err put_key_answer(struct fn_item *item, const struct fn_uuid *uuid, uint32_t version,
                             const struct fn_key *key)
{
    if (uuid) FN_TRY(fn_buf_add(&item->out, uuid->b, 16));
    FN_TRY(fn_buf_u32(&item->out, version));
    return fn_buf_var(&item->out, key->public_key, key->public_n);
}

static void log_key(struct fn_item *item, const char *event, const struct fn_uuid *uuid, uint32_t version)
{
    char text[FN_UUID_TEXT + 16];
    fn_uuid_format(text, uuid);
    fn_format(text + FN_UUID_TEXT, sizeof text - FN_UUID_TEXT, ":%u", version);
    fn_dlog_event(fn_work_device(item->request->work), item->request->who, event, text, FN_OK, NULL);
}

static fn_err key_new(struct fn_work *w, struct fn_item *item, struct fn_pending *p)
{
    const struct fn_identity *who = item->request->who;
    struct fn_key_spec spec = {.key_class = (uint16_t)item->f[0].n,
                               .alg = (uint16_t)item->f[1].n,
                               .usage = (uint32_t)item->f[2].n,
                               .label = item->f[3].b,
                               .applications = item->f[4].b,
                               .tenant = who->tenant,
                               .owner = who->application,
                               .half = 0xff};
    struct fn_key *key;
    FN_TRY(
        fn_policy_ask(spec.key_class, FN_POLICY_GENERATE, FN_KEY_PRE_ACTIVE, door_of(item->request), true));
    FN_TRY(fn_policy_ask(spec.key_class, FN_POLICY_STORE, FN_KEY_PRE_ACTIVE, door_of(item->request), true));
    /* Keys of the device itself and KEKs are made by its management. */
    if (spec.key_class >= FN_CLASS_DEVICE && spec.key_class <= FN_CLASS_INTERNAL)
        return FN_FAIL(FN_E_KEY_POLICY, "class %d is made by management", spec.key_class);
    FN_TRY(usage_fits(spec.key_class, spec.alg, spec.usage));
    FN_TRY(fn_key_generate(fn_work_rng(w), spec.alg, &key));
    item->key = key; /* released with the item */
    FN_TRY(fn_key_act_new(fn_work_device(w), fn_work_rng(w), &spec, key, p));
    FN_TRY(put_key_answer(item, &p->uuid, 1, key));
    log_key(item, "key.new", &p->uuid, 1);
    return FN_OK;
}

static fn_err key_rotate(struct fn_work *w, struct fn_item *item, struct fn_pending *p)
{
    const struct fn_identity *who = item->request->who;
    struct fn_uuid uuid;
    memcpy(uuid.b, item->f[0].b.p, 16);
    FN_TRY(fn_key_act_rotate(fn_work_device(w), fn_work_rng(w), &uuid, who->tenant, who->application, p,
                             &item->key));
    FN_TRY(put_key_answer(item, NULL, p->version, item->key));
    log_key(item, "key.rotate", &uuid, p->version);
    return FN_OK;
}

/* The destroyed set is durable before the statement is made, and the statement's generation is that of the
 * commit or later. */
static fn_err destroyed(struct fn_work *w, struct fn_pending *p)
{
    struct fn_buf statement FN_SCOPED_BUF = fn_buf_heap();
    uint8_t signature[64];
    FN_TRY(fn_key_statement(p->device, fn_work_rng(w), &p->uuid, p->version, &statement, signature));
    FN_TRY(fn_buf_var(&p->answer, statement.p, statement.n));
    return fn_buf_var(&p->answer, signature, sizeof signature);
}

static fn_err key_destroy(struct fn_work *w, struct fn_item *item, struct fn_pending *p)
{
    const struct fn_identity *who = item->request->who;
    struct fn_uuid uuid;
    memcpy(uuid.b, item->f[0].b.p, 16);
    FN_TRY(fn_key_act_destroy(fn_work_device(w), fn_work_rng(w), &uuid, (uint32_t)item->f[1].n, who->tenant,
                              who->application, p));
    p->after = destroyed;
    log_key(item, "key.destroy", &uuid, p->version);
    return FN_OK;
}

void fn_run_KEY_NEW(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)n;
    fn_change_run(w, items[0], key_new);
}

void fn_run_KEY_ROTATE(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)n;
    fn_change_run(w, items[0], key_rotate);
}

void fn_run_KEY_DESTROY(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)n;
    fn_change_run(w, items[0], key_destroy);
}

/* ---- reading ---- */

static fn_err volatile_json(const struct fn_key *key, struct fn_buf *out)
{
    FN_TRY(fn_buf_text(out, "{"));
    FN_TRY(fn_djson_put_number(out, "class", key->key_class));
    FN_TRY(fn_djson_put_number(out, "alg", key->alg));
    FN_TRY(fn_djson_put_number(out, "usage", key->usage));
    FN_TRY(fn_djson_put_bool(out, "external", key->external));
    FN_TRY(fn_djson_put_bool(out, "session", key->volatile_key));
    return fn_buf_text(out, "}");
}

static fn_err key_info(struct fn_work *w, struct fn_item *item)
{
    struct fn_key_head head;
    struct fn_buf json = fn_buf_arena();
    if (item->key->external || item->key->volatile_key) {
        FN_TRY(volatile_json(item->key, &json));
    } else {
        FN_TRY(fn_key_head_read(fn_work_device(w), &item->key->uuid, &head));
        FN_TRY(fn_key_json(fn_work_device(w), &head, &json));
    }
    return fn_buf_var(&item->out, json.p, json.n);
}

void fn_run_KEY_INFO(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], key_info(w, items[i]));
}

void fn_run_KEY_PUBLIC(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)w;
    for (size_t i = 0; i < n; i++) {
        const struct fn_key *key = items[i]->key;
        fn_err err = key->public_n ? fn_buf_u16(&items[i]->out, key->alg)
                                   : FN_FAIL(FN_E_KEY_ALGORITHM, "a symmetric key has no public half");
        if (err == FN_OK) err = fn_buf_var(&items[i]->out, key->public_key, key->public_n);
        fn_item_fail(items[i], err);
    }
}

struct listing {
    struct fn_device *device;
    const struct fn_identity *who; /* NULL: all (management) */
    const char *tenant;            /* NULL: of every tenant that `who` sees */
    struct fn_buf *out;
    uint32_t left;
};

static fn_err list_one(void *context, const struct fn_record_name *name)
{
    struct listing *l = context;
    struct fn_key_head head;
    struct fn_uuid uuid;
    if (!l->left) return FN_E_CANCELLED;
    memcpy(uuid.b, name->b, 16);
    FN_TRY(fn_key_head_read(l->device, &uuid, &head));
    if (l->who && !fn_key_head_admits(&head, l->who)) return FN_OK;
    if (l->tenant && strcmp(head.tenant, l->tenant) != 0) return FN_OK;
    if (l->out->p[l->out->n - 1] != '[') FN_TRY(fn_buf_u8(l->out, ','));
    FN_TRY(fn_key_json(l->device, &head, l->out));
    l->left--;
    return FN_OK;
}

fn_err fn_keys_list(struct fn_device *d, const struct fn_identity *who, const char *tenant,
                    const uint8_t after[16], uint32_t limit, struct fn_buf *out)
{
    static const uint8_t zero[16];
    struct listing l = {d, who, tenant, out, limit < 1000 ? limit : 1000};
    struct fn_record_name name = {.kind = FN_RECORD_KEY_HEAD, .n = 16};
    memcpy(name.b, after, 16);
    FN_TRY(fn_buf_text(out, "["));
    fn_err err = fn_device_store_each(d->store, FN_RECORD_KEY_HEAD,
                                      memcmp(after, zero, 16) == 0 ? NULL : &name, list_one, &l);
    if (err != FN_OK && err != FN_E_CANCELLED) return err;
    return fn_buf_text(out, "]");
}

void fn_run_KEY_LIST(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct fn_buf json = fn_buf_arena();
        fn_err err = fn_keys_list(fn_work_device(w), items[i]->request->who, NULL, items[i]->f[0].b.p,
                                  (uint32_t)items[i]->f[1].n, &json);
        if (err == FN_OK) err = fn_buf_var(&items[i]->out, json.p, json.n);
        fn_item_fail(items[i], err);
    }
}

static fn_err key_find(struct fn_work *w, struct fn_item *item)
{
    struct fn_device *d = fn_work_device(w);
    struct fn_record_name name;
    struct fn_key_head head;
    struct fn_uuid uuid;
    uint8_t storage[32];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    fn_name_label(&name, item->request->who->tenant, item->f[0].b);
    fn_err err = item->f[0].b.n ? fn_device_store_get(d->store, &name, &value) : FN_E_NOT_FOUND;
    if (err == FN_E_NOT_FOUND) return FN_FAIL(FN_E_KEY_NOT_FOUND, "no key with this label");
    FN_TRY(err);
    memcpy(uuid.b, storage, 16);
    FN_TRY(fn_key_head_read(d, &uuid, &head));
    if (!fn_key_head_admits(&head, item->request->who))
        return FN_FAIL(FN_E_KEY_OWNER, "owner %s", head.owner);
    FN_TRY(fn_buf_add(&item->out, uuid.b, 16));
    return fn_buf_u32(&item->out, head.current);
}

void fn_run_KEY_FIND(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], key_find(w, items[i]));
}

/* ---- sealed blobs and wrapped import ---- */

static fn_err seal_new(struct fn_work *w, struct fn_item *item)
{
    const struct fn_identity *who = item->request->who;
    struct fn_device *d = fn_work_device(w);
    uint16_t key_class = (uint16_t)item->f[0].n, alg = (uint16_t)item->f[1].n;
    struct fn_key *key;
    uint8_t random[16];
    struct fn_buf blob = fn_buf_arena();
    if (!(item->key->usage & FN_USE_WRAP) || item->key->key_class != FN_CLASS_KEK)
        return FN_FAIL(FN_E_KEY_USAGE, "not a KEK");
    FN_TRY(fn_policy_ask(key_class, FN_POLICY_GENERATE, FN_KEY_PRE_ACTIVE, door_of(item->request), true));
    FN_TRY(
        fn_policy_ask(item->key->key_class, FN_POLICY_USE, item->key->state, door_of(item->request), true));
    if (key_class >= FN_CLASS_DEVICE && key_class <= FN_CLASS_INTERNAL)
        return FN_FAIL(FN_E_KEY_POLICY, "class %d", key_class);
    FN_TRY(usage_fits(key_class, alg, (uint32_t)item->f[2].n));
    FN_TRY(fn_key_use(d, item->key, 1));
    FN_TRY(fn_rng_fill(fn_work_rng(w), random, sizeof random));
    FN_TRY(fn_key_generate(fn_work_rng(w), alg, &key));
    fn_uuid_from_random(&key->uuid, random);
    key->version = 1;
    key->key_class = key_class;
    key->usage = (uint32_t)item->f[2].n;
    memcpy(key->tenant, who->tenant, sizeof key->tenant);
    memcpy(key->owner, who->application, sizeof key->owner);
    fn_err err = fn_sealed_make(d, fn_work_rng(w), key, item->key, &blob);
    if (err == FN_OK) err = fn_buf_var(&item->out, blob.p, blob.n);
    if (err == FN_OK) err = fn_buf_var(&item->out, key->public_key, key->public_n);
    fn_key_release(key);
    return err;
}

void fn_run_KEY_SEAL_NEW(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], seal_new(w, items[i]));
}

/* Unwraps what a KEK of this device wrapped elsewhere: SM4-ECB or GCM of the raw secret. */
static fn_err unwrap_import(const struct fn_key *kek, uint32_t alg, struct fn_bytes wrapped,
                            struct fn_buf *secret)
{
    uint8_t *where;
    if (kek->alg != FN_ALG_SM4 || kek->secret->n != 16) return FN_FAIL(FN_E_KEY_ALGORITHM, "KEK is not SM4");
    if (alg == FN_SGD_SM4_ECB) {
        if (!wrapped.n || wrapped.n > 4096) return FN_FAIL(FN_E_KEY_BLOB, "%zu bytes", wrapped.n);
        FN_TRY(fn_buf_reserve(secret, wrapped.n, &where));
        FN_TRY(fn_sm4_ecb_decrypt(&kek->secret->gcm.sm4, wrapped.p, where, wrapped.n));
        secret->n += wrapped.n;
        return FN_OK;
    }
    if (alg != FN_SGD_SM4_GCM) return FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %x", alg);
    if (wrapped.n < 29 || wrapped.n > 4096) return FN_FAIL(FN_E_KEY_BLOB, "%zu bytes", wrapped.n);
    uint8_t tag[16];
    size_t n = wrapped.n - 28;
    memcpy(tag, wrapped.p + 12, 16);
    FN_TRY(fn_buf_reserve(secret, n, &where));
    struct fn_gcm_job job = {.key = &kek->secret->gcm,
                             .nonce = fn_bytes(wrapped.p, 12),
                             .in = wrapped.p + 28,
                             .out = where,
                             .n = n,
                             .tag = tag,
                             .tag_size = 16};
    if (fn_gcm_decrypt(&job) != FN_OK) return FN_FAIL(FN_E_KEY_BLOB, "does not authenticate");
    secret->n += n;
    return FN_OK;
}

static fn_err import_wrapped(struct fn_work *w, struct fn_item *item, struct fn_pending *p)
{
    const struct fn_identity *who = item->request->who;
    struct fn_key_spec spec = {.key_class = (uint16_t)item->f[0].n,
                               .alg = (uint16_t)item->f[1].n,
                               .usage = (uint32_t)item->f[2].n,
                               .label = item->f[3].b,
                               .tenant = who->tenant,
                               .owner = who->application,
                               .half = 0xff,
                               .origin = 1};
    struct fn_buf secret FN_SCOPED_BUF = fn_buf_secret();
    struct fn_key *key;
    FN_TRY(fn_policy_ask(spec.key_class, FN_POLICY_IMPORT, FN_KEY_PRE_ACTIVE, door_of(item->request), true));
    FN_TRY(usage_fits(spec.key_class, spec.alg, spec.usage));
    FN_TRY(unwrap_import(item->key, (uint32_t)item->f[5].n, item->f[6].b, &secret));
    FN_TRY(fn_key_from_secret(spec.alg, fn_buf_view(&secret), &key));
    fn_key_release(item->key);
    item->key = key;
    FN_TRY(fn_key_act_new(fn_work_device(w), fn_work_rng(w), &spec, key, p));
    FN_TRY(fn_buf_add(&item->out, p->uuid.b, 16));
    FN_TRY(fn_buf_u32(&item->out, 1));
    log_key(item, "key.import", &p->uuid, 1);
    return FN_OK;
}

void fn_run_KEY_IMPORT_WRAPPED(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)n;
    fn_change_run(w, items[0], import_wrapped);
}
