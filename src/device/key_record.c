/* Records of keys: names, heads, versions with their wrapped secrets; keys in clear. */
#include "base/sys/heap.h"
#include "base/sys/secret.h"
#include "device/device.h"
#include <string.h>

void fn_name_uuid(struct fn_record_name *name, uint8_t kind, const struct fn_uuid *uuid)
{
    *name = (struct fn_record_name){.kind = kind, .n = 16};
    memcpy(name->b, uuid->b, 16);
}

void fn_name_version(struct fn_record_name *name, uint8_t kind, const struct fn_uuid *uuid, uint32_t version)
{
    fn_name_uuid(name, kind, uuid);
    fn_put_be32(name->b + 16, version);
    name->n = 20;
}

void fn_name_scoped(struct fn_record_name *name, uint8_t kind, const char *tenant, const char *scope,
                    struct fn_bytes text)
{
    struct fn_sm3 h;
    fn_sm3_init(&h);
    fn_sm3_update(&h, tenant, strlen(tenant) + 1);
    fn_sm3_update(&h, scope, strlen(scope) + 1);
    fn_sm3_update(&h, text.p, text.n);
    *name = (struct fn_record_name){.kind = kind, .n = 32};
    fn_sm3_final(&h, name->b);
}

void fn_name_label(struct fn_record_name *name, const char *tenant, struct fn_bytes label)
{
    fn_name_scoped(name, FN_RECORD_LABEL, tenant, "", label);
}

void fn_name_index(struct fn_record_name *name, const uint8_t tenant_hash[16], uint8_t half, uint32_t index)
{
    *name = (struct fn_record_name){.kind = FN_RECORD_INDEX, .n = 21};
    memcpy(name->b, tenant_hash, 16);
    name->b[16] = half;
    fn_put_be32(name->b + 17, index);
}

void fn_name_text(struct fn_record_name *name, uint8_t kind, const char *text)
{
    size_t n = strlen(text);
    *name = (struct fn_record_name){.kind = kind,
                                    .n = (uint8_t)(n < FN_RECORD_NAME_MOST ? n : FN_RECORD_NAME_MOST)};
    memcpy(name->b, text, name->n);
}

static fn_err put_text(struct fn_buf *out, const char *text)
{
    return fn_buf_var(out, text, strlen(text));
}

static fn_err get_text(struct fn_cur *c, char *out, size_t size)
{
    struct fn_bytes b;
    FN_TRY(fn_cur_var(c, size - 1, &b));
    if (b.n) memcpy(out, b.p, b.n);
    out[b.n] = 0;
    return FN_OK;
}

fn_err fn_key_head_write(const struct fn_key_head *h, struct fn_buf *out)
{
    FN_TRY(fn_buf_u8(out, 1));
    FN_TRY(fn_buf_add(out, h->uuid.b, 16));
    FN_TRY(fn_buf_u32(out, h->current));
    FN_TRY(fn_buf_u16(out, h->key_class));
    FN_TRY(fn_buf_u16(out, h->alg));
    FN_TRY(fn_buf_u32(out, h->usage));
    FN_TRY(fn_buf_u8(out, h->destroyed));
    FN_TRY(fn_buf_u64(out, (uint64_t)h->created));
    FN_TRY(put_text(out, h->tenant));
    FN_TRY(put_text(out, h->owner));
    FN_TRY(put_text(out, h->applications));
    FN_TRY(put_text(out, h->label));
    FN_TRY(fn_buf_u8(out, h->half));
    FN_TRY(fn_buf_u32(out, h->index));
    FN_TRY(fn_buf_u32(out, h->iterations));
    FN_TRY(fn_buf_add(out, h->salt, sizeof h->salt));
    return fn_buf_add(out, h->verifier, sizeof h->verifier);
}

static fn_err head_parse(struct fn_key_head *h, struct fn_bytes value)
{
    struct fn_cur c = fn_cur(value);
    uint8_t format, destroyed;
    uint64_t created;
    FN_TRY(fn_cur_u8(&c, &format));
    if (format != 1) return FN_FAIL(FN_E_VERSION, "key head format %d", format);
    FN_TRY(fn_cur_copy(&c, h->uuid.b, 16));
    FN_TRY(fn_cur_u32(&c, &h->current));
    FN_TRY(fn_cur_u16(&c, &h->key_class));
    FN_TRY(fn_cur_u16(&c, &h->alg));
    FN_TRY(fn_cur_u32(&c, &h->usage));
    FN_TRY(fn_cur_u8(&c, &destroyed));
    FN_TRY(fn_cur_u64(&c, &created));
    FN_TRY(get_text(&c, h->tenant, sizeof h->tenant));
    FN_TRY(get_text(&c, h->owner, sizeof h->owner));
    FN_TRY(get_text(&c, h->applications, sizeof h->applications));
    FN_TRY(get_text(&c, h->label, sizeof h->label));
    FN_TRY(fn_cur_u8(&c, &h->half));
    FN_TRY(fn_cur_u32(&c, &h->index));
    FN_TRY(fn_cur_u32(&c, &h->iterations));
    FN_TRY(fn_cur_copy(&c, h->salt, sizeof h->salt));
    FN_TRY(fn_cur_copy(&c, h->verifier, sizeof h->verifier));
    h->destroyed = destroyed != 0;
    h->created = (int64_t)created;
    return fn_cur_end(&c);
}

fn_err fn_key_head_read(struct fn_device *d, const struct fn_uuid *uuid, struct fn_key_head *head)
{
    uint8_t storage[2048];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    struct fn_record_name name;
    fn_name_uuid(&name, FN_RECORD_KEY_HEAD, uuid);
    fn_err err = fn_device_store_get(d->store, &name, &value);
    if (err == FN_E_NOT_FOUND) {
        char text[FN_UUID_TEXT + 1];
        fn_uuid_format(text, uuid);
        return FN_FAIL(FN_E_KEY_NOT_FOUND, "%s", text);
    }
    FN_TRY(err);
    FN_TRY(head_parse(head, fn_buf_view(&value)));
    if (memcmp(head->uuid.b, uuid->b, 16) != 0)
        return FN_FAIL(FN_E_CORRUPT, "key head under another key's name");
    return FN_OK;
}

static fn_err clear_fields(const struct fn_key *k, struct fn_buf *out)
{
    FN_TRY(fn_buf_u8(out, 1));
    FN_TRY(fn_buf_add(out, k->uuid.b, 16));
    FN_TRY(fn_buf_u32(out, k->version));
    FN_TRY(fn_buf_u16(out, k->key_class));
    FN_TRY(fn_buf_u16(out, k->alg));
    FN_TRY(fn_buf_u32(out, k->usage));
    FN_TRY(fn_buf_u8(out, k->state));
    FN_TRY(fn_buf_u8(out, k->source));
    FN_TRY(fn_buf_u8(out, k->origin));
    FN_TRY(fn_buf_u64(out, (uint64_t)k->created));
    FN_TRY(put_text(out, k->tenant));
    FN_TRY(put_text(out, k->owner));
    return fn_buf_var(out, k->public_key, k->public_n);
}

fn_err fn_key_record(const struct fn_secrets *secrets, const struct fn_rng *rng, const struct fn_key *key,
                     struct fn_buf *out)
{
    struct fn_buf clear FN_SCOPED_BUF = fn_buf_heap(), secret FN_SCOPED_BUF = fn_buf_secret();
    uint8_t nonce[12], tag[16], *where;
    FN_TRY(clear_fields(key, &clear));
    FN_TRY(fn_key_secret_bytes(key, &secret));
    FN_TRY(fn_rng_fill(rng, nonce, sizeof nonce));
    FN_TRY(fn_buf_var(out, clear.p, clear.n));
    FN_TRY(fn_buf_add(out, nonce, sizeof nonce));
    FN_TRY(fn_buf_reserve(out, sizeof tag + secret.n, &where));
    struct fn_gcm_job job = {.key = &secrets->wrap,
                             .nonce = fn_bytes(nonce, 12),
                             .aad = fn_buf_view(&clear),
                             .in = secret.p,
                             .out = where + sizeof tag,
                             .n = secret.n,
                             .tag = tag,
                             .tag_size = sizeof tag};
    FN_TRY(fn_gcm_encrypt(&job));
    memcpy(where, tag, sizeof tag);
    out->n += sizeof tag + secret.n;
    return FN_OK;
}

static fn_err clear_parse(struct fn_key *k, struct fn_bytes clear, struct fn_bytes *public_key)
{
    struct fn_cur c = fn_cur(clear);
    uint8_t format;
    uint64_t created;
    FN_TRY(fn_cur_u8(&c, &format));
    if (format != 1) return FN_FAIL(FN_E_VERSION, "key record format %d", format);
    FN_TRY(fn_cur_copy(&c, k->uuid.b, 16));
    FN_TRY(fn_cur_u32(&c, &k->version));
    FN_TRY(fn_cur_u16(&c, &k->key_class));
    FN_TRY(fn_cur_u16(&c, &k->alg));
    FN_TRY(fn_cur_u32(&c, &k->usage));
    FN_TRY(fn_cur_u8(&c, &k->state));
    FN_TRY(fn_cur_u8(&c, &k->source));
    FN_TRY(fn_cur_u8(&c, &k->origin));
    FN_TRY(fn_cur_u64(&c, &created));
    k->created = (int64_t)created;
    FN_TRY(get_text(&c, k->tenant, sizeof k->tenant));
    FN_TRY(get_text(&c, k->owner, sizeof k->owner));
    FN_TRY(fn_cur_var(&c, 2048, public_key));
    return fn_cur_end(&c);
}

static fn_err unwrap(const struct fn_secrets *secrets, struct fn_bytes clear, struct fn_cur *c,
                     struct fn_buf *secret)
{
    struct fn_bytes nonce, tag;
    uint8_t *where, tag_copy[16];
    FN_TRY(fn_cur_take(c, 12, &nonce));
    FN_TRY(fn_cur_take(c, 16, &tag));
    size_t n = fn_cur_left(c);
    struct fn_bytes body;
    FN_TRY(fn_cur_take(c, n, &body));
    FN_TRY(fn_buf_reserve(secret, n, &where));
    memcpy(tag_copy, tag.p, 16);
    struct fn_gcm_job job = {.key = &secrets->wrap,
                             .nonce = nonce,
                             .aad = clear,
                             .in = body.p,
                             .out = where,
                             .n = n,
                             .tag = tag_copy,
                             .tag_size = 16};
    if (fn_gcm_decrypt(&job) != FN_OK) return FN_FAIL(FN_E_CORRUPT, "wrapped key does not authenticate");
    secret->n += n;
    return FN_OK;
}

fn_err fn_key_record_open(struct fn_device *d, struct fn_bytes value, struct fn_key **out)
{
    struct fn_buf secret FN_SCOPED_BUF = fn_buf_secret();
    struct fn_cur c = fn_cur(value);
    struct fn_bytes clear, public_key;
    struct fn_key fields = {0}, *key;
    FN_TRY(fn_cur_var(&c, 4096, &clear));
    FN_TRY(clear_parse(&fields, clear, &public_key));
    FN_TRY(unwrap(d->secrets, clear, &c, &secret));
    FN_TRY(fn_key_from_secret(fields.alg, fn_buf_view(&secret), &key));
    key->uuid = fields.uuid;
    key->version = fields.version;
    key->key_class = fields.key_class;
    key->usage = fields.usage;
    key->state = fields.state;
    key->source = fields.source;
    key->origin = fields.origin;
    key->created = fields.created;
    memcpy(key->tenant, fields.tenant, sizeof key->tenant);
    memcpy(key->owner, fields.owner, sizeof key->owner);
    if (key->public_n == public_key.n &&
        (!public_key.n || memcmp(key->public_key, public_key.p, public_key.n) == 0))
        return *out = key, FN_OK;
    fn_key_release(key);
    return FN_FAIL(FN_E_CORRUPT, "public key of the record is not that of the secret");
}

fn_err fn_key_load(struct fn_device *d, const struct fn_key_head *head, struct fn_bytes value,
                   struct fn_key **out)
{
    struct fn_key *key;
    FN_TRY(fn_key_record_open(d, value, &key));
    fn_err err = FN_OK;
    if (memcmp(key->uuid.b, head->uuid.b, 16) != 0 || strcmp(key->tenant, head->tenant) != 0)
        err = FN_FAIL(FN_E_CORRUPT, "key record and head disagree");
    memcpy(key->label, head->label, sizeof key->label);
    key->half = head->half;
    key->index = head->index;
    key->password = head->iterations != 0;
    key->device = head->tenant[0] == 0;
    if (err == FN_OK && head->applications[0])
        err = fn_heap_text(&key->applications, head->applications, strlen(head->applications));
    if (err == FN_OK) return *out = key, FN_OK;
    fn_key_release(key);
    return err;
}

/* ---- keys in clear ---- */

bool fn_key_alg_known(uint32_t alg)
{
    return alg >= FN_ALG_SM4 && alg <= FN_ALG_RSA3072;
}

static fn_err key_alloc(uint16_t alg, bool secret, struct fn_key **out)
{
    struct fn_key *k = calloc(1, sizeof *k);
    if (!k) return FN_FAIL(FN_E_NO_MEMORY, "key");
    atomic_init(&k->refs, 1);
    k->alg = alg;
    k->half = 0xff;
    k->state = FN_KEY_ACTIVE;
    if (secret) {
        fn_err err = fn_secret_alloc(&k->secret, sizeof *k->secret);
        if (err != FN_OK) {
            free(k);
            return err;
        }
    }
    *out = k;
    return FN_OK;
}

struct fn_key *fn_key_hold(struct fn_key *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

void fn_key_release(struct fn_key *key)
{
    if (!key || atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) != 1) return;
    fn_pk_free(key);
    fn_secret_free(key->secret);
    free(key->public_key);
    free(key->applications);
    free(key);
}

static fn_err set_public(struct fn_key *k, const void *p, size_t n)
{
    FN_TRY(fn_heap_array(&k->public_key, n, 1));
    memcpy(k->public_key, p, n);
    k->public_n = n;
    return FN_OK;
}

static fn_err prepare_sm2(struct fn_key *k)
{
    k->pub = k->secret->sm2.pub;
    memcpy(k->secret->raw, k->secret->sm2.d, 32);
    k->secret->n = 32;
    return set_public(k, &k->pub, sizeof k->pub);
}

static fn_err prepare(struct fn_key *k, struct fn_bytes raw)
{
    switch (k->alg) {
    case FN_ALG_SM4:
    case FN_ALG_HMAC_SM3:
        if (raw.n < 1 || raw.n > sizeof k->secret->raw ||
            (k->alg == FN_ALG_SM4 && raw.n != 16 && raw.n != 32))
            return FN_FAIL(FN_E_ARGUMENT, "secret of %zu bytes", raw.n);
        memcpy(k->secret->raw, raw.p, raw.n);
        k->secret->n = (uint32_t)raw.n;
        if (raw.n == 16) fn_gcm_key_init(&k->secret->gcm, raw.p);
        fn_hmac_key_init(&k->secret->hmac, raw.p, raw.n);
        return FN_OK;
    case FN_ALG_SM2:
        if (raw.n != 32) return FN_FAIL(FN_E_ARGUMENT, "secret of %zu bytes", raw.n);
        FN_TRY(fn_sm2_private_load(&k->secret->sm2, raw.p));
        return prepare_sm2(k);
    default:
        return fn_pk_load_secret(k, raw);
    }
}

fn_err fn_key_from_secret(uint16_t alg, struct fn_bytes secret, struct fn_key **out)
{
    struct fn_key *k;
    if (!fn_key_alg_known(alg)) return FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %d", alg);
    FN_TRY(key_alloc(alg, true, &k));
    fn_err err = prepare(k, secret);
    if (err != FN_OK) {
        fn_key_release(k);
        return err;
    }
    *out = k;
    return FN_OK;
}

fn_err fn_key_secret_bytes(const struct fn_key *key, struct fn_buf *out)
{
    if (key->alg > FN_ALG_SM2) return fn_pk_generate((struct fn_key *)(uintptr_t)key, out);
    return fn_buf_add(out, key->secret->raw, key->secret->n);
}

/* GM/T 0030 8.6: a new pair must sign and verify, or encrypt and decrypt, before it is used. */
static fn_err pair_test(const struct fn_key *k, const struct fn_rng *rng)
{
    uint8_t digest[32], signature[64];
    FN_TRY(fn_rng_fill(rng, digest, sizeof digest));
    if (k->alg == FN_ALG_SM2) {
        FN_TRY(fn_sm2_sign(&k->secret->sm2, rng, digest, signature));
        return fn_sm2_verify(&k->pub, digest, signature);
    }
    uint8_t storage[512];
    struct fn_buf out = fn_buf_fixed(storage, sizeof storage);
    FN_TRY(fn_pk_sign(k, digest, &out));
    return fn_pk_verify(k, digest, fn_buf_view(&out));
}

static fn_err generate(struct fn_key *k, const struct fn_rng *rng)
{
    uint8_t raw[32];
    FN_SCOPED_WIPE(raw);
    switch (k->alg) {
    case FN_ALG_SM4:
        FN_TRY(fn_rng_fill(rng, raw, 16));
        return prepare(k, fn_bytes(raw, 16));
    case FN_ALG_HMAC_SM3:
        FN_TRY(fn_rng_fill(rng, raw, 32));
        return prepare(k, fn_bytes(raw, 32));
    case FN_ALG_SM2:
        FN_TRY(fn_sm2_generate(&k->secret->sm2, rng));
        FN_TRY(prepare_sm2(k));
        return pair_test(k, rng);
    default:
        FN_TRY(fn_pk_generate(k, NULL));
        return pair_test(k, rng);
    }
}

fn_err fn_key_generate(const struct fn_rng *rng, uint16_t alg, struct fn_key **out)
{
    struct fn_key *k;
    if (!fn_key_alg_known(alg)) return FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %d", alg);
    FN_TRY(key_alloc(alg, true, &k));
    fn_err err = generate(k, rng);
    if (err != FN_OK) {
        fn_key_release(k);
        return err;
    }
    k->source = fn_device_random_source();
    *out = k;
    return FN_OK;
}

fn_err fn_key_from_public(uint32_t alg, struct fn_bytes public_key, struct fn_key **out)
{
    struct fn_key *k;
    if (!fn_key_alg_known(alg) || fn_key_alg_symmetric(alg))
        return FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %u has no public key", alg);
    FN_TRY(key_alloc((uint16_t)alg, false, &k));
    k->external = true;
    k->usage = FN_USE_VERIFY | FN_USE_ENCRYPT | FN_USE_WRAP;
    fn_err err;
    if (alg == FN_ALG_SM2) {
        err = public_key.n == 64
                  ? FN_OK
                  : FN_FAIL(FN_E_SM2_POINT, "public key of %zu bytes, 64 wanted", public_key.n);
        if (err == FN_OK) {
            memcpy(&k->pub, public_key.p, 64);
            err = fn_sm2_public_check(&k->pub);
        }
    } else {
        err = fn_pk_load_public(k, public_key);
    }
    if (err == FN_OK) err = set_public(k, public_key.p, public_key.n);
    if (err != FN_OK) {
        fn_key_release(k);
        return err;
    }
    *out = k;
    return FN_OK;
}

/* ---- who may ---- */

/* "*" stands for every application of the tenant. */
static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    if (list && strcmp(list, "*") == 0) return true;
    for (const char *p = list; p && *p;) {
        const char *comma = strchrnul(p, ',');
        if ((size_t)(comma - p) == n && memcmp(p, name, n) == 0) return true;
        p = *comma ? comma + 1 : comma;
    }
    return false;
}

static bool admits(const char *tenant, const char *owner, const char *applications,
                   const struct fn_identity *who)
{
    return strcmp(tenant, who->tenant) == 0 &&
           (strcmp(owner, who->application) == 0 || listed(applications, who->application));
}

bool fn_key_head_admits(const struct fn_key_head *head, const struct fn_identity *who)
{
    return admits(head->tenant, head->owner, head->applications, who);
}

fn_err fn_key_admits(const struct fn_key *key, const struct fn_identity *who)
{
    if (key->external || key->volatile_key || key->device) return FN_OK;
    /* Keys of another tenant are not even there. */
    if (strcmp(key->tenant, who->tenant) != 0) {
        char text[FN_UUID_TEXT + 1];
        fn_uuid_format(text, &key->uuid);
        return FN_FAIL(FN_E_KEY_NOT_FOUND, "%s", text);
    }
    if (admits(key->tenant, key->owner, key->applications, who)) return FN_OK;
    return FN_FAIL(FN_E_KEY_OWNER, "owner %s, caller %s", key->owner, who->application);
}
