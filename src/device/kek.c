/* Generations of KEKs, sealed blobs that move to the current one, and encryption pairs that come from a CA.
 */
#include "base/sys/heap.h"
#include "device/part.h"
#include "device/persons.h"
#include "device/sgd.h"
#include <string.h>

static fn_err need_ready(const struct fn_device *d)
{
    int state = atomic_load(&d->state);
    return state == FN_DEVICE_READY ? FN_OK
                                    : FN_FAIL(FN_E_DEVICE_STATE, "the device is %s", fn_state_name(state));
}

/* "tenant" and "index" of a request as a key. */
static fn_err at_index(struct fn_manage_call *c, uint8_t half, char tenant[FN_NAME_MOST + 1], int64_t *index,
                       struct fn_key **key)
{
    uint8_t hash[32];
    FN_TRY(need_ready(c->device));
    FN_TRY(fn_djson_member_text(c->doc, 0, "tenant", "default", tenant, FN_NAME_MOST + 1));
    FN_TRY(fn_djson_member_number(c->doc, 0, "index", 0, 1, 1000000, index));
    if (!*index) return FN_FAIL(FN_E_ARGUMENT, "member \"index\" is missing");
    fn_sm3_digest(tenant, strlen(tenant), hash);
    return fn_key_get_index(c->device, hash, (uint32_t)*index, half, key);
}

static void log_key(struct fn_manage_call *c, const char *event, const struct fn_uuid *uuid)
{
    struct fn_identity manager = {.uid = c->uid, .application = "management"};
    char text[FN_UUID_TEXT + 1];
    fn_uuid_format(text, uuid);
    fn_dlog_event(c->device, &manager, event, text, FN_OK, NULL);
}

fn_err fn_verb_kek_rotate(struct fn_manage_call *c)
{
    char tenant[FN_NAME_MOST + 1];
    int64_t index;
    struct fn_key *kek, *made = NULL;
    struct fn_pending *p;
    FN_TRY(at_index(c, FN_HALF_KEK, tenant, &index, &kek));
    struct fn_uuid uuid = kek->uuid;
    fn_key_release(kek);
    FN_TRY(fn_pending_new(c->device, &p));
    fn_err err = fn_key_act_rotate(c->device, fn_device_rng(), &uuid, NULL, NULL, p, &made);
    if (err == FN_OK) log_key(c, "kek.rotate", &uuid);
    if (err == FN_OK) err = fn_pending_commit(p);
    uint32_t version = p->version;
    fn_pending_free(p);
    fn_key_release(made);
    FN_TRY(err);
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_number(c->out, "version", version));
    return fn_buf_text(c->out, "}");
}

/* Destroys an old generation: every blob that was not re-wrapped is refused from then on. */
fn_err fn_verb_kek_retire(struct fn_manage_call *c)
{
    char tenant[FN_NAME_MOST + 1];
    int64_t index, version;
    struct fn_key *kek;
    struct fn_pending *p;
    struct fn_buf statement FN_SCOPED_BUF = fn_buf_heap();
    uint8_t signature[64];
    FN_TRY(at_index(c, FN_HALF_KEK, tenant, &index, &kek));
    struct fn_uuid uuid = kek->uuid;
    uint32_t current = kek->version;
    fn_key_release(kek);
    FN_TRY(fn_djson_member_number(c->doc, 0, "version", current - 1, 1, UINT32_MAX, &version));
    if (version < 1 || version >= current)
        return FN_FAIL(FN_E_STATE, "version %u is the current one: rotate first", current);
    FN_TRY(fn_pending_new(c->device, &p));
    fn_err err = fn_key_act_destroy(c->device, fn_device_rng(), &uuid, (uint32_t)version, NULL, NULL, p);
    if (err == FN_OK) log_key(c, "kek.retire", &uuid);
    if (err == FN_OK) err = fn_pending_commit(p);
    fn_pending_free(p);
    FN_TRY(err);
    FN_TRY(fn_key_statement(c->device, fn_device_rng(), &uuid, (uint32_t)version, &statement, signature));
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_name(c->out, "statement"));
    FN_TRY(fn_djson_put_text(c->out, fn_buf_view(&statement)));
    FN_TRY(fn_djson_put_hex(c->out, "signature", signature, 64));
    return fn_buf_text(c->out, "}");
}

static fn_err rewrap(struct fn_work *w, struct fn_item *item)
{
    struct fn_device *d = fn_work_device(w);
    struct fn_key *key, *kek = NULL;
    struct fn_uuid uuid;
    struct fn_buf blob = fn_buf_arena();
    FN_TRY(fn_sealed_open(d, item->request->who, item->f[0].b, &key));
    memcpy(uuid.b, item->f[0].b.p + 4, 16);
    fn_err err = fn_key_admits(key, item->request->who);
    if (err == FN_OK) err = fn_key_get(d, &uuid, 0, &kek);
    if (err == FN_OK) err = fn_key_use(d, kek, 1);
    if (err == FN_OK) err = fn_sealed_make(d, fn_work_rng(w), key, kek, &blob);
    fn_key_release(key);
    fn_key_release(kek);
    FN_TRY(err);
    return fn_buf_var(&item->out, blob.p, blob.n);
}

void fn_run_KEY_REWRAP(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], rewrap(w, items[i]));
}

/* ---- EnvelopedECCKey (GM/T 0018-2023 5.9, sdf.md 2); numbers as C structures have them on this machine ----
 */

static uint32_t host32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static bool zeros(const uint8_t *p, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) any |= p[i];
    return !any;
}

/* The encrypted private key stands in one half of its 64 bytes, or all 64 were encrypted (sdf.md 2). */
static fn_err private_of(const struct fn_sm4_key *sm4, const uint8_t field[64], uint8_t d[32])
{
    uint8_t plain[64];
    FN_SCOPED_WIPE(plain);
    if (zeros(field, 32)) return fn_sm4_ecb_decrypt(sm4, field + 32, d, 32);
    if (zeros(field + 32, 32)) return fn_sm4_ecb_decrypt(sm4, field, d, 32);
    FN_TRY(fn_sm4_ecb_decrypt(sm4, field, plain, 64));
    if (!zeros(plain, 32)) return FN_FAIL(FN_E_KEY_BLOB, "envelope: private key");
    memcpy(d, plain + 32, 32);
    return FN_OK;
}

static fn_err envelope_open(const struct fn_key *sign, struct fn_bytes e, struct fn_key **out)
{
    uint8_t cipher[96 + 16], raw[16], d[32];
    FN_SCOPED_WIPE(raw);
    FN_SCOPED_WIPE(d);
    struct fn_buf plain = fn_buf_fixed(raw, sizeof raw);
    struct fn_sm4_key sm4;
    FN_SCOPED_WIPE(sm4);
    const uint8_t *p = e.p;
    if (e.n != 388) return FN_FAIL(FN_E_KEY_BLOB, "envelope of %zu bytes, 388 wanted", e.n);
    if (host32(p) != 1 || host32(p + 4) != FN_SGD_SM4_ECB || host32(p + 8) != 256 || host32(p + 76) != 256 ||
        host32(p + 208 + 160) != 16)
        return FN_FAIL(FN_E_KEY_BLOB, "envelope: version, algorithm or size");
    if (!zeros(p + 80, 32) || !zeros(p + 144, 32) || !zeros(p + 208, 32) || !zeros(p + 272, 32))
        return FN_FAIL(FN_E_KEY_BLOB, "envelope: upper halves are not zero");
    memcpy(cipher, p + 208 + 32, 32);
    memcpy(cipher + 32, p + 272 + 32, 32);
    memcpy(cipher + 64, p + 336, 32);
    memcpy(cipher + 96, p + 372, 16);
    FN_TRY(fn_key_decrypt(sign, fn_bytes(cipher, sizeof cipher), &plain));
    fn_sm4_key_init(&sm4, raw);
    FN_TRY(private_of(&sm4, p + 12, d));
    FN_TRY(fn_key_from_secret(FN_ALG_SM2, fn_bytes(d, 32), out));
    if (memcmp((*out)->pub.x, p + 112, 32) == 0 && memcmp((*out)->pub.y, p + 176, 32) == 0) return FN_OK;
    fn_key_release(*out);
    *out = NULL;
    return FN_FAIL(FN_E_KEY_PAIR, "envelope");
}

/* An encryption pair issued by a CA's key management, under the signing key of the same index. */
fn_err fn_verb_import_enveloped(struct fn_manage_call *c)
{
    char tenant[FN_NAME_MOST + 1], text[FN_UUID_TEXT + 1];
    int64_t index;
    struct fn_key *sign, *key = NULL;
    struct fn_key_head head;
    struct fn_pending *p;
    struct fn_buf envelope FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(at_index(c, FN_HALF_SIGN, tenant, &index, &sign));
    fn_err err = sign->alg == FN_ALG_SM2 ? FN_OK : FN_FAIL(FN_E_KEY_ALGORITHM, "the signing key is not SM2");
    if (err == FN_OK)
        err = fn_policy_ask(FN_CLASS_SRV_ENC, FN_POLICY_IMPORT, FN_KEY_PRE_ACTIVE, FN_DOOR_MANAGEMENT, true);
    if (err == FN_OK) err = fn_base64_member(c, 0, "envelope", 512, &envelope);
    if (err == FN_OK) err = envelope_open(sign, fn_buf_view(&envelope), &key);
    if (err == FN_OK) err = fn_key_head_read(c->device, &sign->uuid, &head);
    fn_key_release(sign);
    FN_TRY(err);
    struct fn_key_spec spec = {.key_class = FN_CLASS_SRV_ENC,
                               .alg = FN_ALG_SM2,
                               .tenant = head.tenant,
                               .owner = head.owner,
                               .usage = FN_USE_ENCRYPT | FN_USE_DECRYPT | FN_USE_WRAP | FN_USE_UNWRAP |
                                        FN_USE_AGREE,
                               .applications = fn_bytes(head.applications, strlen(head.applications)),
                               .half = FN_HALF_ENCRYPT,
                               .index = (uint32_t)index,
                               .like = &head,
                               .origin = 1};
    uint8_t hash[32];
    fn_sm3_digest(tenant, strlen(tenant), hash);
    memcpy(spec.tenant_hash, hash, 16);
    err = fn_pending_new(c->device, &p);
    if (err == FN_OK) {
        err = fn_key_act_new(c->device, fn_device_rng(), &spec, key, p);
        if (err == FN_OK) log_key(c, "key.import", &p->uuid);
        if (err == FN_OK) err = fn_pending_commit(p);
        fn_uuid_format(text, &p->uuid);
        fn_pending_free(p);
    }
    fn_key_release(key);
    FN_TRY(err);
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_member(c->out, "encrypt", text));
    return fn_buf_text(c->out, "}");
}
