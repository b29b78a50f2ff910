/* Backup and restore (hsm.md 7): keys that key Table 1 allows, under a backup key of its own that is split
 * among its own holders, independent of the root.
 *
 * 'FNBKUP01' ‖ serial[16] ‖ u64 time ‖ u64 store generation ‖ device's signing key[64] ‖ set of shares
 * uuid[16] ‖ m ‖ n ‖ entries ‖ u32 ffffffff ‖ u32 entries ‖ HMAC-SM3[32] ‖ signature[64] entry = u32 length ‖
 * nonce[12] ‖ tag[16] ‖ SM4-GCM of (kind ‖ var name ‖ value); additional data: u32 position ‖ header. The
 * HMAC covers all before it, the device's signature all before itself. Keys' secrets inside are wrapped once
 * more by the same key. */
#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/secret.h"
#include "device/persons.h"
#include <string.h>

#define HEADER 122u
#define END    0xffffffffu

struct backup_key {
    uint8_t secret[FN_SHARE_SECRET_MOST]; /* 48 used: SM4 16 ‖ HMAC-SM3 32 (docs/formats/share.md) */
    struct fn_gcm_key gcm;
    struct fn_hmac_key hmac;
};

static void key_prepare(struct backup_key *k)
{
    fn_gcm_key_init(&k->gcm, k->secret);
    fn_hmac_key_init(&k->hmac, k->secret + 16, 32);
}

static fn_err file_path(struct fn_manage_call *c, int object, const char *member, char *path, size_t size)
{
    char name[65], folder[4096];
    FN_TRY(fn_djson_member_text(c->doc, object, member, NULL, name, sizeof name));
    for (size_t i = 0; name[i]; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", name[i]) ||
            name[0] == '.')
            return FN_FAIL(FN_E_ARGUMENT, "file name %s: letters, digits, - _ .", name);
    if (!name[0]) return FN_FAIL(FN_E_ARGUMENT, "file name is empty");
    fn_path(c->device, "backup", folder, sizeof folder);
    fn_err err = c->device->files->mkdir(c->device->files, folder, 0700);
    if (err != FN_OK && err != FN_E_EXISTS) return err;
    fn_err_clear();
    fn_format(path, size, "%s/%s", folder, name);
    return FN_OK;
}

/* ---- writing ---- */

struct writer {
    struct fn_device *device;
    struct backup_key *key;
    struct fn_secrets *wrap; /* wraps by the backup key */
    int handle;
    uint8_t header[HEADER];
    struct fn_hmac hmac;
    struct fn_sm3 signed_part;
    uint32_t count;
    uint64_t keys, left_out;
};

static fn_err emit(struct writer *w, const void *p, size_t n, bool in_hmac)
{
    if (in_hmac) fn_hmac_update(&w->hmac, p, n);
    fn_sm3_update(&w->signed_part, p, n);
    return w->device->files->write(w->device->files, w->handle, p, n);
}

static fn_err entry(struct writer *w, const struct fn_record_name *name, struct fn_bytes value)
{
    struct fn_buf plain FN_SCOPED_BUF = fn_buf_secret(), out FN_SCOPED_BUF = fn_buf_heap();
    uint8_t *where, aad[4 + HEADER];
    FN_TRY(fn_buf_u8(&plain, name->kind));
    FN_TRY(fn_buf_var(&plain, name->b, name->n));
    FN_TRY(fn_buf_add(&plain, value.p, value.n));
    FN_TRY(fn_buf_u32(&out, (uint32_t)(28 + plain.n)));
    FN_TRY(fn_buf_reserve(&out, 28 + plain.n, &where));
    FN_TRY(fn_rng_fill(fn_device_rng(), where, 12));
    fn_put_be32(aad, w->count);
    memcpy(aad + 4, w->header, HEADER);
    struct fn_gcm_job job = {.key = &w->key->gcm,
                             .nonce = fn_bytes(where, 12),
                             .aad = fn_bytes(aad, sizeof aad),
                             .in = plain.p,
                             .out = where + 28,
                             .n = plain.n,
                             .tag = where + 12,
                             .tag_size = 16};
    FN_TRY(fn_gcm_encrypt(&job));
    out.n += 28 + plain.n;
    w->count++;
    return emit(w, out.p, out.n, true);
}

static fn_err plain_record(void *context, const struct fn_record_name *name)
{
    struct writer *w = context;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    /* Of the device's own notes only what names its pair and its tenants; secrets and heads belong to this
     * store. */
    if (name->kind == FN_RECORD_META && memcmp(name->b, "tenant:", 7) != 0 &&
        memcmp(name->b, "device.sign", 11) != 0 && memcmp(name->b, "device.encr", 11) != 0)
        return FN_OK;
    FN_TRY(fn_device_store_get(w->device->store, name, &value));
    return entry(w, name, fn_buf_view(&value));
}

static fn_err alias_entries(struct writer *w, const struct fn_key_head *head)
{
    struct fn_record_name name;
    uint8_t hash[32];
    if (head->label[0]) {
        fn_name_label(&name, head->tenant, fn_bytes(head->label, strlen(head->label)));
        FN_TRY(entry(w, &name, fn_bytes(head->uuid.b, 16)));
    }
    if (head->half == 0xff) return FN_OK;
    fn_sm3_digest(head->tenant, strlen(head->tenant), hash);
    fn_name_index(&name, hash, head->half, head->index);
    return entry(w, &name, fn_bytes(head->uuid.b, 16));
}

static fn_err key_versions(struct writer *w, const struct fn_key_head *head)
{
    for (uint32_t v = 1; v <= head->current; v++) {
        struct fn_key *key;
        struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
        struct fn_record_name name;
        fn_err err = fn_key_get(w->device, &head->uuid, v, &key);
        if (err == FN_E_KEY_DESTROYED || err == FN_E_KEY_NOT_FOUND) continue;
        FN_TRY(err);
        err = fn_key_record(w->wrap, fn_device_rng(), key, &value);
        fn_key_release(key);
        FN_TRY(err);
        fn_name_version(&name, FN_RECORD_KEY, &head->uuid, v);
        FN_TRY(entry(w, &name, fn_buf_view(&value)));
    }
    return FN_OK;
}

static fn_err key_record(void *context, const struct fn_record_name *name)
{
    struct writer *w = context;
    struct fn_key_head head;
    struct fn_uuid uuid;
    memcpy(uuid.b, name->b, 16);
    FN_TRY(fn_key_head_read(w->device, &uuid, &head));
    /* Signing keys are not copied, and encryption pairs of the CA come from the CA again: key Table 1. */
    if (!head.destroyed &&
        fn_policy_ask(head.key_class, FN_POLICY_BACKUP, FN_KEY_ACTIVE, FN_DOOR_BACKUP, false) != FN_OK) {
        fn_err_clear();
        w->left_out++;
        return FN_OK;
    }
    FN_TRY(plain_record(w, name));
    if (head.destroyed) return FN_OK;
    w->keys++;
    FN_TRY(alias_entries(w, &head));
    return key_versions(w, &head);
}

static fn_err write_all(struct writer *w)
{
    static const uint8_t kinds[] = {FN_RECORD_META, FN_RECORD_CLIENT, FN_RECORD_DESTROYED,
                                    FN_RECORD_USES, FN_RECORD_FILE,   FN_RECORD_ANCHOR};
    uint8_t tail[8], mac[32], e[32], signature[64];
    FN_TRY(emit(w, w->header, HEADER, true));
    for (size_t i = 0; i < FN_COUNT(kinds); i++)
        FN_TRY(fn_device_store_each(w->device->store, kinds[i], NULL, plain_record, w));
    FN_TRY(fn_device_store_each(w->device->store, FN_RECORD_KEY_HEAD, NULL, key_record, w));
    fn_put_be32(tail, END);
    fn_put_be32(tail + 4, w->count);
    FN_TRY(emit(w, tail, 8, true));
    fn_hmac_final(&w->hmac, mac);
    FN_TRY(emit(w, mac, 32, false));
    fn_sm3_final(&w->signed_part, e);
    FN_TRY(fn_device_sign(w->device, fn_device_rng(), fn_bytes(e, 32), signature));
    FN_TRY(w->device->files->write(w->device->files, w->handle, signature, 64));
    return w->device->files->fsync(w->device->files, w->handle);
}

static fn_err create(struct fn_manage_call *c, struct backup_key *key, const struct fn_share_set *set,
                     const char *path, struct writer *w)
{
    struct fn_secrets *wrap FN_SCOPED_SECRET = NULL;
    struct fn_device *d = c->device;
    FN_TRY(fn_secret_alloc(&wrap, sizeof *wrap));
    wrap->wrap = key->gcm;
    *w = (struct writer){.device = d, .key = key, .wrap = wrap};
    memcpy(w->header, "FNBKUP01", 8);
    memcpy(w->header + 8, d->serial, 16);
    fn_put_be64(w->header + 24, (uint64_t)fn_now_ms());
    fn_put_be64(w->header + 32, fn_device_generation(d));
    memcpy(w->header + 40, &set->device, 64);
    memcpy(w->header + 104, set->uuid.b, 16);
    w->header[120] = set->m;
    w->header[121] = set->n;
    fn_hmac_init(&w->hmac, &key->hmac);
    fn_sm3_init(&w->signed_part);
    FN_TRY(d->files->open(d->files, path, FN_FILE_WRITE | FN_FILE_CREATE | FN_FILE_EXCLUSIVE | FN_FILE_APPEND,
                          0600, &w->handle));
    fn_err err = write_all(w);
    fn_err closed = d->files->close(d->files, w->handle);
    if (err == FN_OK) err = closed;
    w->wrap = NULL;
    return err == FN_OK ? fn_files_fsync_parent(d->files, path) : err;
}

/* Holders: the request's "administrators", or all registered ones. */
static fn_err holders_of(struct fn_manage_call *c, struct fn_persons **persons)
{
    if (fn_djson_member(c->doc, 0, "administrators") >= 0) return fn_persons_read(c, persons);
    return fn_persons_registered(c->device, persons);
}

fn_err fn_verb_backup_create(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    struct backup_key *key FN_SCOPED_SECRET = NULL;
    struct fn_persons *persons FN_SCOPED_PERSONS = NULL;
    struct fn_share_set set = {.kind = FN_SHARE_BACKUP, .generation = 1};
    struct writer w;
    char path[4200];
    uint8_t random[16];
    int64_t needed;
    if (atomic_load(&d->state) != FN_DEVICE_READY)
        return FN_FAIL(FN_E_DEVICE_STATE, "the device is %s", fn_state_name(atomic_load(&d->state)));
    FN_TRY(file_path(c, 0, "file", path, sizeof path));
    FN_TRY(fn_djson_member_number(c->doc, 0, "needed", 2, 2, 255, &needed));
    FN_TRY(fn_quorum(c));
    FN_TRY(holders_of(c, &persons));
    FN_TRY(fn_secret_alloc(&key, sizeof *key));
    FN_TRY(fn_rng_fill(fn_device_rng(), key->secret, 48));
    key_prepare(key);
    FN_TRY(fn_rng_fill(fn_device_rng(), random, sizeof random));
    fn_uuid_from_random(&set.uuid, random);
    memcpy(set.serial, d->serial, sizeof set.serial);
    set.device = d->sign->pub;
    set.m = (uint8_t)needed;
    set.n = fn_persons_holders(persons, true);
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_persons_hand_out(c, persons, &set, true, key->secret, 48));
    FN_TRY(create(c, key, &set, path, &w));
    FN_TRY(fn_djson_put_member(c->out, "file", path));
    FN_TRY(fn_djson_put_number(c->out, "keys", (int64_t)w.keys));
    FN_TRY(fn_djson_put_number(c->out, "keys_left_out", (int64_t)w.left_out));
    struct fn_identity manager = {.uid = c->uid, .application = "management"};
    fn_dlog_event(d, &manager, "device.backup", path, FN_OK, NULL);
    return fn_buf_text(c->out, "}");
}

/* ---- restoring ---- */

struct reader {
    struct fn_device *device;
    struct backup_key *key;
    struct fn_device wrapped; /* opens records that the backup key wraps */
    struct fn_bytes all;
};

static fn_err put_key(struct reader *r, struct fn_pending *p, const struct fn_record_name *name,
                      struct fn_bytes value)
{
    struct fn_key *key;
    struct fn_buf record FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(fn_key_record_open(&r->wrapped, value, &key));
    fn_err err = fn_key_record(r->device->secrets, fn_device_rng(), key, &record);
    fn_key_release(key);
    FN_TRY(err);
    return fn_pending_put(p, name, fn_buf_view(&record));
}

static fn_err put_entry(struct reader *r, struct fn_pending *p, struct fn_bytes plain)
{
    struct fn_cur c = fn_cur(plain);
    struct fn_record_name name = {0};
    struct fn_bytes text;
    FN_TRY(fn_cur_u8(&c, &name.kind));
    FN_TRY(fn_cur_var(&c, FN_RECORD_NAME_MOST, &text));
    name.n = (uint8_t)text.n;
    memcpy(name.b, text.p, text.n);
    struct fn_bytes value = fn_bytes(c.p, fn_cur_left(&c));
    if (name.kind == FN_RECORD_KEY) return put_key(r, p, &name, value);
    return fn_pending_put(p, &name, value);
}

static fn_err open_entry(struct reader *r, struct fn_bytes sealed, uint32_t position, struct fn_buf *plain)
{
    uint8_t aad[4 + HEADER], tag[16], *where;
    if (sealed.n < 28) return FN_FAIL(FN_E_FORMAT, "backup entry %u", position);
    fn_put_be32(aad, position);
    memcpy(aad + 4, r->all.p, HEADER);
    memcpy(tag, sealed.p + 12, 16);
    plain->n = 0;
    FN_TRY(fn_buf_reserve(plain, sealed.n - 28, &where));
    struct fn_gcm_job job = {.key = &r->key->gcm,
                             .nonce = fn_bytes(sealed.p, 12),
                             .aad = fn_bytes(aad, sizeof aad),
                             .in = sealed.p + 28,
                             .out = where,
                             .n = sealed.n - 28,
                             .tag = tag,
                             .tag_size = 16};
    if (fn_gcm_decrypt(&job) != FN_OK)
        return FN_FAIL(FN_E_CORRUPT, "backup entry %u does not authenticate", position);
    plain->n = sealed.n - 28;
    return FN_OK;
}

static fn_err go_on_from(struct fn_device *d, uint64_t generation)
{
    struct fn_pending *p;
    FN_TRY(fn_pending_new(d, &p));
    fn_err err = fn_generation_follow(d, p, generation);
    if (err == FN_OK) err = fn_pending_commit(p);
    fn_pending_free(p);
    return err;
}

static fn_err fill(struct fn_device *d, void *context)
{
    struct reader *r = context;
    struct fn_cur c = fn_cur(r->all);
    struct fn_bytes skip, sealed;
    struct fn_buf plain FN_SCOPED_BUF = fn_buf_secret();
    uint32_t n, told;
    FN_TRY(fn_cur_take(&c, HEADER, &skip));
    FN_TRY(go_on_from(d, fn_get_be64(skip.p + 32)));
    for (uint32_t position = 0;; position++) {
        struct fn_pending *p;
        FN_TRY(fn_cur_u32(&c, &n));
        if (n == END) {
            FN_TRY(fn_cur_u32(&c, &told));
            return told == position ? FN_OK : FN_FAIL(FN_E_CORRUPT, "%u entries of %u", position, told);
        }
        FN_TRY(fn_cur_take(&c, n, &sealed));
        FN_TRY(open_entry(r, sealed, position, &plain));
        FN_TRY(fn_pending_new(d, &p));
        fn_err err = put_entry(r, p, fn_buf_view(&plain));
        if (err == FN_OK) err = fn_pending_commit(p);
        fn_pending_free(p);
        FN_TRY(err);
    }
}

/* The header says whose shares open it and whose signature stands at its end. */
static fn_err header_read(struct fn_bytes all, struct fn_share_set *set)
{
    uint8_t e[32];
    if (all.n < HEADER + 8 + 96 || memcmp(all.p, "FNBKUP01", 8) != 0)
        return FN_FAIL(FN_E_FORMAT, "not a backup of this kind of device");
    *set = (struct fn_share_set){.kind = FN_SHARE_BACKUP, .generation = 1, .m = all.p[120], .n = all.p[121]};
    memcpy(set->serial, all.p + 8, 16);
    memcpy(&set->device, all.p + 40, 64);
    memcpy(set->uuid.b, all.p + 104, 16);
    FN_TRY(fn_serial_check(set->serial));
    FN_TRY(fn_sm2_public_check(&set->device));
    fn_sm3_digest(all.p, all.n - 64, e);
    FN_TRY(fn_sm2_digest(e, &set->device, FN_SM2_DEFAULT_ID, fn_bytes(e, 32)));
    if (fn_sm2_verify(&set->device, e, all.p + all.n - 64) != FN_OK)
        return FN_FAIL(FN_E_CORRUPT, "backup: the device's signature");
    return FN_OK;
}

static fn_err key_collect(struct fn_manage_call *c, const struct fn_share_set *set, struct backup_key *key,
                          struct fn_bytes all)
{
    struct fn_share_pool *pool FN_SCOPED_SECRET = NULL;
    size_t size;
    uint8_t mac[32];
    FN_TRY(fn_secret_alloc(&pool, sizeof *pool));
    fn_share_pool_start(pool, set);
    FN_TRY(fn_shares_collect(c, pool));
    FN_TRY(fn_share_pool_combine(pool, key->secret, &size));
    if (size != 48) return FN_FAIL(FN_E_DEVICE_SHARE, "backup key of %zu bytes", size);
    key_prepare(key);
    fn_hmac_digest(&key->hmac, all.p, all.n - 96, mac);
    return fn_equal_ct(mac, all.p + all.n - 96, 32) ? FN_OK : FN_FAIL(FN_E_CORRUPT, "backup: check value");
}

fn_err fn_restore(struct fn_manage_call *c, struct fn_life_head *head, uint8_t root[32])
{
    struct backup_key *key FN_SCOPED_SECRET = NULL;
    struct fn_secrets *wrap FN_SCOPED_SECRET = NULL;
    struct fn_buf content FN_SCOPED_BUF = fn_buf_heap();
    struct reader *r FN_SCOPED_HEAP = NULL;
    struct fn_share_set set;
    char path[4200];
    FN_TRY(fn_heap_array(&r, 1, sizeof *r));
    FN_TRY(fn_secret_alloc(&key, sizeof *key));
    FN_TRY(fn_secret_alloc(&wrap, sizeof *wrap));
    FN_TRY(file_path(c, 0, "restore", path, sizeof path));
    FN_TRY(fn_files_read_all(c->device->files, path, (size_t)1 << 30, &content));
    FN_TRY(header_read(fn_buf_view(&content), &set));
    FN_TRY(key_collect(c, &set, key, fn_buf_view(&content)));
    r->device = c->device;
    r->key = key;
    wrap->wrap = key->gcm;
    r->wrapped.secrets = wrap;
    r->all = fn_bytes(content.p, content.n - 96);
    memcpy(head->serial, set.serial, sizeof head->serial);
    FN_TRY(fn_life_begin_with(c->device, head, root, fill, r));
    if (memcmp(&c->device->sign->pub, &set.device, 64) != 0)
        return FN_FAIL(FN_E_CORRUPT, "backup: the device's pair");
    return FN_OK;
}
