/* What happens to keys: made, rotated, destroyed; the same for applications and for management. */
#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "device/device.h"
#include "device/json.h"
#include <string.h>

#define PASSWORD_ITERATIONS 4096u

void fn_password_verifier(struct fn_bytes password, const uint8_t salt[16], uint32_t iterations,
                          uint8_t out[32])
{
    fn_pbkdf2_sm3(password.p, password.n, salt, 16, iterations, out, 32);
}

static fn_err copy_name(char *out, size_t size, struct fn_bytes text, const char *what)
{
    size_t bad_at;
    if (text.n >= size)
        return FN_FAIL(FN_E_TOO_LARGE, "%s of %zu bytes, at most %zu", what, text.n, size - 1);
    if (!fn_utf8_valid(text, &bad_at)) return FN_FAIL(FN_E_ENCODING, "%s: offset %zu", what, bad_at);
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20) return FN_FAIL(FN_E_ARGUMENT, "control character in %s", what);
    if (text.n) memcpy(out, text.p, text.n);
    out[text.n] = 0;
    return FN_OK;
}

static fn_err head_make(const struct fn_rng *rng, const struct fn_key_spec *spec, struct fn_key_head *head)
{
    uint8_t random[16];
    *head = (struct fn_key_head){.current = 1,
                                 .key_class = spec->key_class,
                                 .alg = spec->alg,
                                 .usage = spec->usage,
                                 .created = fn_now_ms(),
                                 .half = spec->half,
                                 .index = spec->index};
    FN_TRY(fn_rng_fill(rng, random, sizeof random));
    fn_uuid_from_random(&head->uuid, random);
    FN_TRY(
        copy_name(head->tenant, sizeof head->tenant, fn_bytes(spec->tenant, strlen(spec->tenant)), "tenant"));
    FN_TRY(copy_name(head->owner, sizeof head->owner, fn_bytes(spec->owner, strlen(spec->owner)), "owner"));
    FN_TRY(copy_name(head->label, sizeof head->label, spec->label, "label"));
    FN_TRY(
        copy_name(head->applications, sizeof head->applications, spec->applications, "list of applications"));
    if (spec->like) {
        head->iterations = spec->like->iterations;
        memcpy(head->salt, spec->like->salt, sizeof head->salt);
        memcpy(head->verifier, spec->like->verifier, sizeof head->verifier);
        return FN_OK;
    }
    if (!spec->password.n) return FN_OK;
    if (spec->password.n < 8 || spec->password.n > FN_PASSWORD_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "access password of 8 to 255 bytes");
    head->iterations = PASSWORD_ITERATIONS;
    FN_TRY(fn_rng_fill(rng, head->salt, sizeof head->salt));
    fn_password_verifier(spec->password, head->salt, head->iterations, head->verifier);
    return FN_OK;
}

/* The fields of a version that its head gives. */
static void key_fill(struct fn_key *key, const struct fn_key_head *head, uint32_t version)
{
    key->uuid = head->uuid;
    key->version = version;
    key->key_class = head->key_class;
    key->usage = head->usage;
    key->state = FN_KEY_ACTIVE;
    key->created = fn_now_ms();
    memcpy(key->tenant, head->tenant, sizeof key->tenant);
    memcpy(key->owner, head->owner, sizeof key->owner);
}

static fn_err put_head(struct fn_pending *p, const struct fn_key_head *head)
{
    uint8_t storage[2048];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    struct fn_record_name name;
    FN_TRY(fn_key_head_write(head, &value));
    fn_name_uuid(&name, FN_RECORD_KEY_HEAD, &head->uuid);
    return fn_pending_put(p, &name, fn_buf_view(&value));
}

static fn_err put_key(struct fn_device *d, const struct fn_rng *rng, struct fn_pending *p,
                      const struct fn_key *key)
{
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    struct fn_record_name name;
    FN_TRY(fn_key_record(d->secrets, rng, key, &value));
    fn_name_version(&name, FN_RECORD_KEY, &key->uuid, key->version);
    return fn_pending_put(p, &name, fn_buf_view(&value));
}

fn_err fn_key_act_new(struct fn_device *d, const struct fn_rng *rng, const struct fn_key_spec *spec,
                      struct fn_key *key, struct fn_pending *p)
{
    struct fn_key_head head;
    struct fn_record_name name;
    FN_TRY(head_make(rng, spec, &head));
    if (spec->label.n) {
        fn_name_label(&name, head.tenant, spec->label);
        FN_TRY(fn_pending_claim(p, &name));
        if (fn_device_store_has(d->store, &name)) return FN_FAIL(FN_E_EXISTS, "label %s", head.label);
        FN_TRY(fn_pending_put(p, &name, fn_bytes(head.uuid.b, 16)));
    }
    if (spec->half != 0xff) {
        fn_name_index(&name, spec->tenant_hash, spec->half, spec->index);
        FN_TRY(fn_pending_claim(p, &name));
        if (fn_device_store_has(d->store, &name))
            return FN_FAIL(FN_E_EXISTS, "index %u has a key", spec->index);
        FN_TRY(fn_pending_put(p, &name, fn_bytes(head.uuid.b, 16)));
    }
    key_fill(key, &head, 1);
    key->origin = spec->origin;
    FN_TRY(put_head(p, &head));
    FN_TRY(put_key(d, rng, p, key));
    p->uuid = head.uuid;
    p->version = 1;
    return FN_OK;
}

static bool owns(const struct fn_key_head *head, const char *tenant, const char *owner)
{
    return !tenant || (strcmp(head->tenant, tenant) == 0 && strcmp(head->owner, owner) == 0);
}

static fn_err owned_head(struct fn_device *d, const struct fn_uuid *uuid, const char *tenant,
                         const char *owner, struct fn_pending *p, struct fn_key_head *head)
{
    struct fn_record_name name;
    fn_name_uuid(&name, FN_RECORD_KEY_HEAD, uuid);
    FN_TRY(fn_pending_claim(p, &name));
    FN_TRY(fn_key_head_read(d, uuid, head));
    if (tenant && strcmp(head->tenant, tenant) != 0) return FN_FAIL(FN_E_KEY_NOT_FOUND, "not in this tenant");
    if (!owns(head, tenant, owner)) return FN_FAIL(FN_E_KEY_OWNER, "owner %s, caller %s", head->owner, owner);
    return FN_OK;
}

/* The old version goes on decrypting and verifying; only the new one protects (kms.md 2.3). */
static fn_err deactivate(struct fn_device *d, const struct fn_rng *rng, const struct fn_uuid *uuid,
                         uint32_t version, struct fn_pending *p)
{
    struct fn_key *old;
    FN_TRY(fn_key_get(d, uuid, version, &old));
    struct fn_key *copy = NULL;
    struct fn_buf secret = fn_buf_secret();
    fn_err err = fn_key_secret_bytes(old, &secret);
    if (err == FN_OK) err = fn_key_from_secret(old->alg, fn_buf_view(&secret), &copy);
    if (err == FN_OK) {
        copy->uuid = old->uuid;
        copy->version = old->version;
        copy->key_class = old->key_class;
        copy->usage = old->usage;
        copy->state = FN_KEY_DEACTIVATED;
        copy->source = old->source;
        copy->origin = old->origin;
        copy->created = old->created;
        memcpy(copy->tenant, old->tenant, sizeof copy->tenant);
        memcpy(copy->owner, old->owner, sizeof copy->owner);
        err = put_key(d, rng, p, copy);
    }
    fn_key_release(copy);
    fn_key_release(old);
    fn_buf_free(&secret);
    return err;
}

fn_err fn_key_act_rotate(struct fn_device *d, const struct fn_rng *rng, const struct fn_uuid *uuid,
                         const char *tenant, const char *owner, struct fn_pending *p, struct fn_key **made)
{
    struct fn_key_head head;
    struct fn_key *key;
    FN_TRY(owned_head(d, uuid, tenant, owner, p, &head));
    if (head.destroyed) return FN_FAIL(FN_E_KEY_DESTROYED, "rotation of a destroyed key");
    FN_TRY(fn_policy_ask(head.key_class, FN_POLICY_GENERATE, FN_KEY_ACTIVE, FN_DOOR_APPLICATION, true));
    FN_TRY(deactivate(d, rng, uuid, head.current, p));
    FN_TRY(fn_key_generate(rng, head.alg, &key));
    head.current++;
    key_fill(key, &head, head.current);
    fn_err err = put_head(p, &head);
    if (err == FN_OK) err = put_key(d, rng, p, key);
    if (err != FN_OK) {
        fn_key_release(key);
        return err;
    }
    p->purge[p->purge_count++] = *uuid;
    p->uuid = *uuid;
    p->version = head.current;
    *made = key;
    return FN_OK;
}

static fn_err destroy_version(struct fn_pending *p, const struct fn_uuid *uuid, uint32_t version)
{
    struct fn_record_name name;
    uint8_t at[8];
    fn_put_be64(at, (uint64_t)fn_now_ms());
    fn_name_version(&name, FN_RECORD_DESTROYED, uuid, version);
    FN_TRY(fn_pending_put(p, &name, fn_bytes(at, 8)));
    fn_name_version(&name, FN_RECORD_KEY, uuid, version);
    return fn_pending_remove(p, &name);
}

static fn_err destroy_aliases(struct fn_pending *p, const struct fn_key_head *head)
{
    struct fn_record_name name;
    uint8_t hash[32];
    if (head->label[0]) {
        fn_name_label(&name, head->tenant, fn_bytes(head->label, strlen(head->label)));
        FN_TRY(fn_pending_remove(p, &name));
    }
    if (head->half == 0xff) return FN_OK;
    fn_sm3_digest(head->tenant, strlen(head->tenant), hash);
    fn_name_index(&name, hash, head->half, head->index);
    return fn_pending_remove(p, &name);
}

/* Destroying is idempotent: a repeat gets a statement of what is. Version 0 in the destroyed set stands for
 * every version. */
fn_err fn_key_act_destroy(struct fn_device *d, const struct fn_rng *rng, const struct fn_uuid *uuid,
                          uint32_t version, const char *tenant, const char *owner, struct fn_pending *p)
{
    (void)rng;
    struct fn_key_head head;
    struct fn_record_name name;
    FN_TRY(owned_head(d, uuid, tenant, owner, p, &head));
    p->uuid = *uuid;
    p->version = version;
    p->purge[p->purge_count++] = *uuid;
    if (head.tenant[0] == 0) return FN_FAIL(FN_E_KEY_POLICY, "the device's own key");
    FN_TRY(fn_policy_ask(head.key_class, FN_POLICY_DESTROY, FN_KEY_DEACTIVATED, FN_DOOR_APPLICATION, false));
    if (version > head.current) return FN_FAIL(FN_E_KEY_NOT_FOUND, "version %u of %u", version, head.current);
    if (version) {
        FN_TRY(destroy_version(p, uuid, version));
        if (version != head.current) return FN_OK;
        return put_head(p, &head);
    }
    for (uint32_t v = head.current; v > 0; v--) FN_TRY(destroy_version(p, uuid, v));
    fn_name_version(&name, FN_RECORD_DESTROYED, uuid, 0);
    uint8_t at[8];
    fn_put_be64(at, (uint64_t)fn_now_ms());
    FN_TRY(fn_pending_put(p, &name, fn_bytes(at, 8)));
    if (!head.destroyed) FN_TRY(destroy_aliases(p, &head));
    head.destroyed = true;
    return put_head(p, &head);
}

/* {"statement":"fengni destroyed 1","device":serial,"key":uuid,"version":n,"time":ms,"generation":n} */
fn_err fn_key_statement(struct fn_device *d, const struct fn_rng *rng, const struct fn_uuid *uuid,
                        uint32_t version, struct fn_buf *out, uint8_t signature[64])
{
    char text[FN_UUID_TEXT + 1], time[FN_TIME_TEXT];
    fn_uuid_format(text, uuid);
    fn_time_utc(time, fn_now_ms());
    FN_TRY(fn_buf_text(out, "{"));
    FN_TRY(fn_djson_put_member(out, "statement", "fengni destroyed 1"));
    FN_TRY(fn_djson_put_member(out, "device", d->serial));
    FN_TRY(fn_djson_put_member(out, "key", text));
    if (version)
        FN_TRY(fn_djson_put_number(out, "version", version));
    else
        FN_TRY(fn_djson_put_member(out, "version", "all"));
    FN_TRY(fn_djson_put_member(out, "time", time));
    FN_TRY(fn_djson_put_number(out, "generation", (int64_t)fn_device_generation(d)));
    FN_TRY(fn_buf_text(out, "}"));
    return fn_device_sign(d, rng, fn_buf_view(out), signature);
}

static const char *alg_name(uint16_t alg)
{
    static const char *const names[] = {"", "SM4", "HMAC-SM3", "SM2", "P-256", "RSA-2048", "RSA-3072"};
    return alg < FN_COUNT(names) ? names[alg] : "";
}

fn_err fn_key_json(struct fn_device *d, const struct fn_key_head *head, struct fn_buf *out)
{
    char text[FN_UUID_TEXT + 1];
    struct fn_key *key = NULL;
    fn_uuid_format(text, &head->uuid);
    FN_TRY(fn_buf_text(out, "{"));
    FN_TRY(fn_djson_put_member(out, "uuid", text));
    FN_TRY(fn_djson_put_number(out, "version", head->current));
    FN_TRY(fn_djson_put_number(out, "class", head->key_class));
    FN_TRY(fn_djson_put_member(out, "algorithm", alg_name(head->alg)));
    FN_TRY(fn_djson_put_number(out, "usage", head->usage));
    FN_TRY(fn_djson_put_member(out, "tenant", head->tenant));
    FN_TRY(fn_djson_put_member(out, "owner", head->owner));
    FN_TRY(fn_djson_put_member(out, "applications", head->applications));
    FN_TRY(fn_djson_put_member(out, "label", head->label));
    FN_TRY(fn_djson_put_number(out, "created_ms", head->created));
    if (head->half != 0xff) {
        FN_TRY(fn_djson_put_number(out, "index", head->index));
        FN_TRY(fn_djson_put_number(out, "half", head->half));
    }
    FN_TRY(fn_djson_put_bool(out, "password", head->iterations != 0));
    FN_TRY(fn_djson_put_bool(out, "destroyed", head->destroyed));
    if (!head->destroyed && fn_key_get(d, &head->uuid, head->current, &key) == FN_OK) {
        uint64_t uses = fn_key_uses_taken(d, key);
        struct fn_buf source FN_SCOPED_BUF = fn_buf_heap();
        fn_err err = fn_device_random_names(key->source, &source);
        if (err == FN_OK) err = fn_djson_put_name(out, "random_source");
        if (err == FN_OK) err = fn_djson_put_text(out, fn_buf_view(&source));
        if (err == FN_OK) err = fn_djson_put_number(out, "state", key->state);
        if (err == FN_OK) err = fn_djson_put_member(out, "origin", key->origin ? "imported" : "device");
        if (err == FN_OK) err = fn_djson_put_number(out, "uses_reserved", (int64_t)uses);
        if (err == FN_OK) err = fn_djson_put_bool(out, "rotation_due", uses >= FN_USES_DUE);
        fn_key_release(key);
        FN_TRY(err);
    } else {
        fn_err_clear();
    }
    return fn_buf_text(out, "}");
}

fn_err fn_device_sign(struct fn_device *d, const struct fn_rng *rng, struct fn_bytes statement,
                      uint8_t signature[64])
{
    struct fn_sm3 h;
    uint8_t e[32];
    fn_sm3_init(&h);
    fn_sm3_update(&h, d->sign_z, 32);
    fn_sm3_update(&h, statement.p, statement.n);
    fn_sm3_final(&h, e);
    return fn_sm2_sign(&d->sign->secret->sm2, rng, e, signature);
}
