/* The life of the device: INITIAL until it is initialised, LOCKED until its root is at hand, READY, EXCEPTION
 * after a failed self-test. The root is 32 random bytes from which every other secret of the store is derived
 * by a label. */
#include "device/life.h"

#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include "base/sys/secret.h"
#include "device/json.h"
#include "device/share.h"
#include <string.h>
#include <sys/stat.h>

#define KEY_CACHE 4096u

void fn_path(const struct fn_device *d, const char *name, char *out, size_t size)
{
    fn_format(out, size, "%s/%s", d->options.directory, name);
}

/* ---- derivation ---- */

static void derive(const uint8_t root[32], const char *label, uint8_t *out, size_t n)
{
    struct fn_hmac_key key;
    uint8_t mac[32];
    FN_SCOPED_WIPE(key);
    FN_SCOPED_WIPE(mac);
    fn_hmac_key_init(&key, root, 32);
    fn_hmac_digest(&key, label, strlen(label), mac);
    memcpy(out, mac, n);
}

static void store_keys(struct fn_device_store_keys *keys, const uint8_t root[32])
{
    derive(root, "fengni store seal 1", keys->seal, 16);
    derive(root, "fengni store mac 1", keys->mac, 32);
}

/* The keys that wrap records and chain the log are random and lie in the store, which the root opens: a new
 * root re-wraps them with the store, and the log stays one chain. */
static fn_err secrets_read(struct fn_device *d, bool make)
{
    struct fn_record_name name;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_secret();
    fn_name_text(&name, FN_RECORD_META, "device.secrets");
    if (make) {
        uint8_t *where;
        FN_TRY(fn_buf_reserve(&value, 80, &where));
        FN_TRY(fn_rng_fill(fn_device_rng(), where, 80));
        value.n = 80;
        struct fn_change change = {.name = name, .value = fn_buf_view(&value)};
        FN_TRY(fn_device_store_commit(d->store, &change, 1));
    } else {
        FN_TRY(fn_device_store_get(d->store, &name, &value));
    }
    if (value.n != 80) return FN_FAIL(FN_E_CORRUPT, "secrets of the device");
    fn_gcm_key_init(&d->secrets->wrap, value.p);
    fn_hmac_key_init(&d->secrets->log, value.p + 16, 32);
    fn_hmac_key_init(&d->secrets->check, value.p + 48, 32);
    return FN_OK;
}

void fn_root_check(const uint8_t root[32], const char *serial, uint8_t out[32])
{
    struct fn_hmac_key key;
    uint8_t b[32];
    FN_SCOPED_WIPE(key);
    FN_SCOPED_WIPE(b);
    derive(root, "fengni share check 1", b, 32);
    fn_hmac_key_init(&key, b, 32);
    fn_hmac_digest(&key, serial, strlen(serial), out);
}

/* ---- the head file: what must be known before the root is ---- */

static fn_err head_write_file(struct fn_device *d, const struct fn_life_head *h)
{
    uint8_t storage[512];
    struct fn_buf out = fn_buf_fixed(storage, sizeof storage);
    char path[4096];
    FN_TRY(fn_buf_add(&out, "FNROOT1", 8));
    FN_TRY(fn_buf_u8(&out, h->mode));
    FN_TRY(fn_buf_add(&out, h->serial, 16));
    FN_TRY(fn_buf_u8(&out, h->m));
    FN_TRY(fn_buf_u8(&out, h->n));
    FN_TRY(fn_buf_u32(&out, h->generation));
    FN_TRY(fn_buf_add(&out, h->check, 32));
    FN_TRY(fn_buf_add(&out, h->salt, 16));
    FN_TRY(fn_buf_add(&out, h->nonce, 12));
    FN_TRY(fn_buf_add(&out, h->tag, 16));
    FN_TRY(fn_buf_add(&out, h->wrapped, 32));
    FN_TRY(fn_buf_u8(&out, h->next_m));
    FN_TRY(fn_buf_u8(&out, h->next_n));
    FN_TRY(fn_buf_add(&out, &h->device, 64));
    FN_TRY(fn_buf_add(&out, h->line.b, 16));
    fn_path(d, "root.wrapped", path, sizeof path);
    return fn_files_replace(d->files, path, fn_buf_view(&out), 0600);
}

fn_err fn_life_head_read(struct fn_device *d, struct fn_life_head *h)
{
    uint8_t storage[512], magic[8];
    struct fn_buf in = fn_buf_fixed(storage, sizeof storage);
    char path[4096];
    fn_path(d, "root.wrapped", path, sizeof path);
    fn_err err = fn_files_read_all(d->files, path, sizeof storage, &in);
    if (err == FN_E_NOT_FOUND) return err;
    FN_TRY(err);
    struct fn_cur c = fn_cur(fn_buf_view(&in));
    FN_TRY(fn_cur_copy(&c, magic, 8));
    if (memcmp(magic, "FNROOT1", 8) != 0) return FN_FAIL(FN_E_CORRUPT, "%s is not a root file", path);
    FN_TRY(fn_cur_u8(&c, &h->mode));
    FN_TRY(fn_cur_copy(&c, h->serial, 16));
    FN_TRY(fn_cur_u8(&c, &h->m));
    FN_TRY(fn_cur_u8(&c, &h->n));
    FN_TRY(fn_cur_u32(&c, &h->generation));
    FN_TRY(fn_cur_copy(&c, h->check, 32));
    FN_TRY(fn_cur_copy(&c, h->salt, 16));
    FN_TRY(fn_cur_copy(&c, h->nonce, 12));
    FN_TRY(fn_cur_copy(&c, h->tag, 16));
    FN_TRY(fn_cur_copy(&c, h->wrapped, 32));
    FN_TRY(fn_cur_u8(&c, &h->next_m));
    FN_TRY(fn_cur_u8(&c, &h->next_n));
    FN_TRY(fn_cur_copy(&c, &h->device, 64));
    FN_TRY(fn_cur_copy(&c, h->line.b, 16));
    h->serial[16] = 0;
    return fn_cur_end(&c);
}

/* ---- unattended start: the root wrapped under a key file outside the store ---- */

static fn_err key_file_make(struct fn_device *d)
{
    uint8_t random[32];
    char text[66];
    int handle;
    FN_SCOPED_WIPE(random);
    FN_SCOPED_WIPE(text);
    FN_TRY(fn_rng_fill(fn_device_rng(), random, sizeof random));
    fn_hex_encode(text, random, sizeof random);
    text[64] = '\n';
    FN_TRY(d->files->open(d->files, d->options.unattended_key,
                          FN_FILE_WRITE | FN_FILE_CREATE | FN_FILE_EXCLUSIVE, 0400, &handle));
    fn_err err = d->files->pwrite(d->files, handle, 0, text, 65);
    if (err == FN_OK) err = d->files->fsync(d->files, handle);
    fn_err closed = d->files->close(d->files, handle);
    if (err == FN_OK) err = closed;
    return err == FN_OK ? fn_files_fsync_parent(d->files, d->options.unattended_key) : err;
}

fn_err fn_life_key_file(struct fn_device *d)
{
    struct stat st;
    struct fn_life_head head;
    if (!d->options.unattended_key) return FN_OK;
    d->key_file = fn_buf_secret();
    if (lstat(d->options.unattended_key, &st)) {
        fn_err err = fn_life_head_read(d, &head);
        if (err != FN_E_NOT_FOUND)
            return err == FN_OK ? FN_FAIL(FN_E_NOT_FOUND, "key file %s", d->options.unattended_key) : err;
        fn_err_clear();
        FN_TRY(key_file_make(d));
    } else if (!S_ISREG(st.st_mode) || st.st_mode & 077) {
        return FN_FAIL(FN_E_CONFIG, "key file %s: mode %03o, others may read it; chmod 0400",
                       d->options.unattended_key, (unsigned)st.st_mode & 0777);
    }
    FN_TRY(fn_files_read_all(d->files, d->options.unattended_key, 4096, &d->key_file));
    if (d->key_file.n < 32) return FN_FAIL(FN_E_CONFIG, "key file of %zu bytes, at least 32", d->key_file.n);
    return FN_OK;
}

static void file_key(const struct fn_device *d, const struct fn_life_head *h, struct fn_gcm_key *out)
{
    struct fn_hmac_key key;
    struct fn_hmac m;
    uint8_t mac[32];
    FN_SCOPED_WIPE(key);
    FN_SCOPED_WIPE(mac);
    fn_hmac_key_init(&key, d->key_file.p, d->key_file.n);
    fn_hmac_init(&m, &key);
    fn_hmac_update(&m, "fengni unattended 1", 20);
    fn_hmac_update(&m, h->salt, 16);
    fn_hmac_update(&m, h->serial, 16);
    fn_hmac_final(&m, mac);
    fn_gcm_key_init(out, mac);
}

static fn_err root_wrap(struct fn_device *d, struct fn_life_head *h, const uint8_t root[32])
{
    struct fn_gcm_key *key FN_SCOPED_SECRET = NULL;
    FN_TRY(fn_secret_alloc(&key, sizeof *key));
    FN_TRY(fn_rng_fill(fn_device_rng(), h->salt, sizeof h->salt));
    FN_TRY(fn_rng_fill(fn_device_rng(), h->nonce, sizeof h->nonce));
    file_key(d, h, key);
    struct fn_gcm_job job = {.key = key,
                             .nonce = fn_bytes(h->nonce, 12),
                             .aad = fn_bytes(h->check, 32),
                             .in = root,
                             .out = h->wrapped,
                             .n = 32,
                             .tag = h->tag,
                             .tag_size = 16};
    return fn_gcm_encrypt(&job);
}

static fn_err root_unwrap(struct fn_device *d, const struct fn_life_head *h, uint8_t root[32])
{
    struct fn_gcm_key *key FN_SCOPED_SECRET = NULL;
    uint8_t tag[16];
    FN_TRY(fn_secret_alloc(&key, sizeof *key));
    file_key(d, h, key);
    memcpy(tag, h->tag, 16);
    struct fn_gcm_job job = {.key = key,
                             .nonce = fn_bytes(h->nonce, 12),
                             .aad = fn_bytes(h->check, 32),
                             .in = h->wrapped,
                             .out = root,
                             .n = 32,
                             .tag = tag,
                             .tag_size = 16};
    if (fn_gcm_decrypt(&job) == FN_OK) return FN_OK;
    return FN_FAIL(FN_E_DEVICE_SHARE, "key file %s does not open this device's root",
                   d->options.unattended_key);
}

fn_err fn_life_head_store(struct fn_device *d, struct fn_life_head *h, const uint8_t root[32])
{
    fn_root_check(root, h->serial, h->check);
    if (h->mode == FN_LIFE_UNATTENDED) FN_TRY(root_wrap(d, h, root));
    return head_write_file(d, h);
}

/* ---- the device's own pair ---- */

static void pair_name(struct fn_record_name *name, uint8_t half)
{
    fn_name_text(name, FN_RECORD_META, half ? "device.encrypt" : "device.sign");
}

fn_err fn_life_pair_make(struct fn_device *d, struct fn_pending *p, uint8_t half)
{
    struct fn_key *key;
    struct fn_record_name name;
    struct fn_key_spec spec = {.key_class = FN_CLASS_DEVICE,
                               .alg = FN_ALG_SM2,
                               .tenant = FN_TENANT_DEVICE,
                               .owner = "",
                               .half = 0xff};
    spec.usage =
        half ? FN_USE_ENCRYPT | FN_USE_DECRYPT | FN_USE_WRAP | FN_USE_UNWRAP : FN_USE_SIGN | FN_USE_VERIFY;
    FN_TRY(fn_key_generate(fn_device_rng(), FN_ALG_SM2, &key));
    fn_err err = fn_key_act_new(d, fn_device_rng(), &spec, key, p);
    fn_key_release(key);
    FN_TRY(err);
    pair_name(&name, half);
    return fn_pending_put(p, &name, fn_bytes(p->uuid.b, 16));
}

static fn_err pair_load(struct fn_device *d, uint8_t half, struct fn_key **key)
{
    struct fn_record_name name;
    struct fn_uuid uuid;
    uint8_t storage[32];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    pair_name(&name, half);
    FN_TRY(fn_device_store_get(d->store, &name, &value));
    memcpy(uuid.b, storage, 16);
    return fn_key_get(d, &uuid, 0, key);
}

/* ---- opening and closing what stands on the root ---- */

static void shut(struct fn_device *d)
{
    /* The log's head and the uses that were not spent go into the store before it closes. */
    fn_dlog_close(d);
    fn_keys_settle(d);
    fn_generation_note(d, true);
    fn_key_release(d->sign);
    fn_key_release(d->encrypt);
    d->sign = d->encrypt = NULL;
    fn_keys_close(d);
    fn_change_close(d);
    if (d->store) fn_device_store_close(d->store);
    d->store = NULL;
    fn_secret_free(d->secrets);
    d->secrets = NULL;
}

fn_err fn_life_stand(struct fn_device *d)
{
    FN_TRY(fn_generation_open(d));
    FN_TRY(fn_keys_open(d, KEY_CACHE));
    FN_TRY(fn_dlog_open(d));
    FN_TRY(fn_change_open(d));
    FN_TRY(fn_clients_open(d));
    FN_TRY(pair_load(d, 0, &d->sign));
    FN_TRY(pair_load(d, 1, &d->encrypt));
    FN_TRY(fn_sm2_z(d->sign_z, &d->sign->pub, FN_SM2_DEFAULT_ID));
    return fn_self_test_pair(d, fn_device_rng());
}

fn_err fn_life_open_store(struct fn_device *d, const uint8_t root[32], bool create)
{
    struct fn_device_store_keys keys;
    FN_SCOPED_WIPE(keys);
    char path[4096];
    fn_path(d, "store", path, sizeof path);
    FN_TRY(fn_secret_alloc(&d->secrets, sizeof *d->secrets));
    memcpy(d->secrets->root, root, 32);
    store_keys(&keys, root);
    if (create) FN_TRY(fn_device_store_create(d->files, path, &keys));
    FN_TRY(fn_device_store_open(&d->store, d->files, path, &keys, &d->store_report));
    return secrets_read(d, create);
}

fn_err fn_life_unlock(struct fn_device *d, const uint8_t root[32])
{
    int64_t start = fn_monotonic_ms();
    fn_err err = fn_life_open_store(d, root, false);
    if (err == FN_OK) err = fn_life_stand(d);
    if (err == FN_OK && d->shares) err = fn_share_pool_store_check(d->shares, fn_device_generation(d));
    if (err == FN_OK) err = fn_generation_check(d);
    if (err != FN_OK) {
        fn_err_pass(err, __FILE__, __LINE__);
        if (err == FN_E_DEVICE_STORE_OLD) fn_dlog_abandon(d);
        shut(d);
        return err;
    }
    d->open_ms = fn_monotonic_ms() - start;
    char more[120];
    fn_format(more, sizeof more, "\"unattended\":%s,\"separation\":\"%s\"", d->unattended ? "true" : "false",
              d->separation_weak ? "weak" : "strong");
    fn_dlog_event(d, NULL, "device.start", d->serial, FN_OK, more);
    return FN_OK;
}

void fn_life_lock(struct fn_device *d)
{
    atomic_store(&d->state, FN_DEVICE_LOCKED);
    shut(d);
}

fn_err fn_life_open(struct fn_device *d)
{
    struct fn_life_head head;
    uint8_t *root FN_SCOPED_SECRET = NULL;
    fn_err err = fn_life_head_read(d, &head);
    if (err == FN_E_NOT_FOUND) {
        fn_err_clear();
        atomic_store(&d->state, FN_DEVICE_INITIAL);
        return FN_OK;
    }
    FN_TRY(err);
    memcpy(d->serial, head.serial, sizeof d->serial);
    d->unattended = head.mode == FN_LIFE_UNATTENDED;
    atomic_store(&d->state, FN_DEVICE_LOCKED);
    if (!d->unattended) return FN_OK;
    if (!d->key_file.n)
        return FN_FAIL(FN_E_CONFIG, "the root is wrapped under a key file: --unattended-key FILE");
    FN_TRY(fn_secret_alloc(&root, 32));
    FN_TRY(root_unwrap(d, &head, root));
    FN_TRY(fn_life_unlock(d, root));
    atomic_store(&d->state, FN_DEVICE_READY);
    return FN_OK;
}

void fn_life_close(struct fn_device *d)
{
    if (d->log) fn_dlog_event(d, NULL, "device.stop", d->serial, FN_OK, NULL);
    shut(d);
    fn_clients_close(d);
    fn_secret_free(d->shares);
    fn_secret_free(d->next_root);
    fn_buf_free(&d->key_file);
}

void fn_life_exception(struct fn_device *d, const char *why)
{
    atomic_store(&d->state, FN_DEVICE_EXCEPTION);
    if (why != d->test.detail) fn_format(d->test.detail, sizeof d->test.detail, "%s", why);
    fn_dlog_event(d, NULL, "device.exception", d->serial, FN_E_DEVICE_EXCEPTION, NULL);
    fn_dlog_settle(d);
}

fn_err fn_life_locked_json(struct fn_device *d, struct fn_buf *out)
{
    struct fn_life_head head;
    FN_TRY(fn_life_head_read(d, &head));
    FN_TRY(fn_djson_put_number(out, "shares_needed", head.m));
    FN_TRY(fn_djson_put_number(out, "shares_of", head.n));
    return fn_djson_put_number(out, "share_generation", head.generation);
}

/* ---- initialisation ---- */

static fn_err remove_file(void *context, const char *name)
{
    struct fn_device *d = context;
    char path[4096];
    fn_format(path, sizeof path, "%s/store/%s", d->options.directory, name);
    return d->files->unlink(d->files, path);
}

/* What an initialisation left that did not come to its end: without a root file nothing of it was ever in
 * use. */
static fn_err sweep(struct fn_device *d)
{
    static const char *const notes[] = {"generation", "refused"};
    char path[4096];
    for (size_t i = 0; i < FN_COUNT(notes); i++) {
        fn_path(d, notes[i], path, sizeof path);
        if (d->files->unlink(d->files, path) != FN_OK) fn_err_clear();
    }
    fn_path(d, "store", path, sizeof path);
    fn_err err = d->files->list(d->files, path, remove_file, d);
    if (err == FN_E_NOT_FOUND) return fn_err_clear(), FN_OK;
    return err;
}

/* Date, batch, number (GB/T 33560: 8, 3 and 5 digits). */
static fn_err serial_make(char serial[17])
{
    uint8_t random[8];
    char time[FN_TIME_TEXT];
    FN_TRY(fn_rng_fill(fn_device_rng(), random, sizeof random));
    fn_time_beijing(time, fn_now_ms());
    fn_format(serial, 17, "%.*s%.*s%.*s", 4, time, 2, time + 5, 2, time + 8);
    for (int i = 0; i < 8; i++) serial[8 + i] = (char)('0' + random[i] % 10);
    serial[16] = 0;
    return FN_OK;
}

static fn_err make_pairs(struct fn_device *d, void *context)
{
    struct fn_pending *p;
    (void)context;
    FN_TRY(fn_pending_new(d, &p));
    fn_err err = fn_life_pair_make(d, p, 0);
    if (err == FN_OK) err = fn_life_pair_make(d, p, 1);
    if (err == FN_OK) err = fn_pending_commit(p);
    fn_pending_free(p);
    return err;
}

fn_err fn_life_begin_with(struct fn_device *d, struct fn_life_head *head, uint8_t root[32],
                          fn_err (*fill)(struct fn_device *d, void *context), void *context)
{
    FN_TRY(sweep(d));
    if (!head->serial[0]) FN_TRY(serial_make(head->serial));
    memcpy(d->serial, head->serial, sizeof d->serial);
    FN_TRY(fn_rng_fill(fn_device_rng(), root, 32));
    FN_TRY(fn_life_open_store(d, root, true));
    FN_TRY(fill(d, context));
    FN_TRY(fn_life_stand(d));
    uint8_t random[16];
    FN_TRY(fn_rng_fill(fn_device_rng(), random, sizeof random));
    fn_uuid_from_random(&head->line, random);
    head->device = d->sign->pub;
    return FN_OK;
}

fn_err fn_life_begin(struct fn_device *d, struct fn_life_head *head, uint8_t root[32])
{
    return fn_life_begin_with(d, head, root, make_pairs, NULL);
}

fn_err fn_life_rekey(struct fn_device *d, const uint8_t root[32])
{
    struct fn_device_store_keys keys;
    FN_SCOPED_WIPE(keys);
    store_keys(&keys, root);
    FN_TRY(fn_device_store_rekey(d->store, &keys));
    memcpy(d->secrets->root, root, 32);
    return FN_OK;
}

void fn_life_abandon(struct fn_device *d)
{
    shut(d);
}
