/* Sessions: session keys, access rights, and how a key reference becomes a key that the caller may use. */
#include "base/sys/heap.h"
#include "device/device.h"
#include "device/part.h"
#include <string.h>

#define SESSION_KEYS_MOST 65536u

void fn_session_free(struct fn_session *s)
{
    for (size_t i = 0; i < s->keys_room; i++) fn_key_release(s->keys[i]);
    free(s->keys);
    free(s->handles);
    free(s->rights);
    for (int i = 0; i < FN_PART_KINDS; i++) fn_multi_free(s->parts[i]);
    fn_agreements_free(s);
    free(s);
}

fn_err fn_session_key_new(struct fn_work *w, struct fn_session *s, struct fn_bytes raw, uint16_t key_class,
                          uint64_t *handle)
{
    struct fn_key *key;
    uint64_t random;
    if (raw.n < 1 || raw.n > 64) return FN_FAIL(FN_E_ARGUMENT, "session key of %zu bytes, 1 to 64", raw.n);
    if (s->keys_count >= SESSION_KEYS_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "%zu keys in this session", s->keys_count);
    FN_TRY(fn_rng_fill(fn_work_rng(w), &random, sizeof random));
    size_t slot = 0;
    while (slot < s->keys_room && s->keys[slot]) slot++;
    if (slot == s->keys_room) {
        size_t room = s->keys_room;
        FN_TRY(fn_heap_grow(&s->handles, &room, s->keys_count + 1, sizeof *s->handles));
        FN_TRY(fn_heap_grow(&s->keys, &s->keys_room, s->keys_count + 1, sizeof *s->keys));
    }
    FN_TRY(fn_key_from_secret(FN_ALG_HMAC_SM3, raw, &key));
    if (raw.n == 16 || raw.n == 32) key->alg = FN_ALG_SM4;
    key->key_class = key_class;
    key->usage = FN_USE_ENCRYPT | FN_USE_DECRYPT | FN_USE_MAC;
    key->volatile_key = true;
    /* The slot stands in the low bits, so that a handle is found at once; the rest cannot be guessed. */
    s->handles[slot] = (random & ~(uint64_t)0xffff) | slot;
    if (!s->handles[slot]) s->handles[slot] = (uint64_t)1 << 63;
    s->keys[slot] = key;
    s->keys_count++;
    *handle = s->handles[slot];
    return FN_OK;
}

fn_err fn_session_key_find(const struct fn_session *s, uint64_t handle, struct fn_key **key)
{
    size_t slot = handle & 0xffff;
    if (!s || slot >= s->keys_room || !s->keys[slot] || s->handles[slot] != handle)
        return FN_FAIL(FN_E_KEY_HANDLE, "not a key of this session");
    *key = fn_key_hold(s->keys[slot]);
    return FN_OK;
}

void fn_run_SESSION_KEY_DESTROY(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)w;
    for (size_t i = 0; i < n; i++) {
        struct fn_session *s = items[i]->request->session;
        struct fn_key *key;
        fn_err err = fn_session_key_find(s, items[i]->f[0].n, &key);
        if (err == FN_OK) {
            size_t slot = items[i]->f[0].n & 0xffff;
            fn_key_release(s->keys[slot]);
            fn_key_release(key);
            s->keys[slot] = NULL;
            s->keys_count--;
        } else if (fn_agreement_drop(s, items[i]->f[0].n)) {
            fn_err_clear();
            err = FN_OK;
        }
        fn_item_fail(items[i], err);
    }
}

bool fn_session_has_right(const struct fn_session *s, const struct fn_uuid *uuid)
{
    for (size_t i = 0; i < s->rights_count; i++)
        if (memcmp(s->rights[i].b, uuid->b, 16) == 0) return true;
    return false;
}

/* ---- access rights (GM/T 0018 6.2.7) ---- */

static fn_err retry_read(struct fn_device *d, const struct fn_uuid *uuid, uint8_t *tries)
{
    uint8_t storage[4];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    struct fn_record_name name;
    fn_name_uuid(&name, FN_RECORD_RETRY, uuid);
    fn_err err = fn_device_store_get(d->store, &name, &value);
    *tries = err == FN_OK && value.n == 1 ? storage[0] : 0;
    return err == FN_E_NOT_FOUND ? FN_OK : err;
}

static fn_err retry_write(struct fn_device *d, const struct fn_record_name *name, uint8_t tries)
{
    struct fn_change change = {.name = *name, .remove = !tries, .value = fn_bytes(&tries, tries != 0)};
    fn_err err = fn_device_store_commit(d->store, &change, 1);
    atomic_store(&d->retries_unkept, err != FN_OK);
    return err;
}

/* The count of wrong passwords is durable before the answer; a right one sets it back. When the last count
 * could not be kept, the next is kept before anything is looked at: a full disk gives no tries for nothing.
 */
static fn_err password_try(struct fn_device *d, const struct fn_key_head *head, struct fn_bytes password,
                           const struct fn_record_name *name)
{
    uint8_t verifier[32], tries;
    bool before = atomic_load(&d->retries_unkept);
    FN_TRY(retry_read(d, &head->uuid, &tries));
    if (tries >= FN_RETRY_MOST) return FN_FAIL(FN_E_KEY_RETRY_LOCK, "%d wrong passwords", tries);
    if (before) FN_TRY(retry_write(d, name, (uint8_t)(tries + 1)));
    fn_password_verifier(password, head->salt, head->iterations, verifier);
    if (fn_equal_ct(verifier, head->verifier, 32)) return tries || before ? retry_write(d, name, 0) : FN_OK;
    if (!before) FN_TRY(retry_write(d, name, (uint8_t)(tries + 1)));
    return FN_FAIL(FN_E_KEY_PASSWORD, "%d tries left", (int)FN_RETRY_MOST - tries - 1);
}

static fn_err check_password(struct fn_work *w, struct fn_item *item, const struct fn_uuid *uuid,
                             struct fn_bytes password)
{
    struct fn_device *d = fn_work_device(w);
    struct fn_key_head head;
    struct fn_record_name name;
    struct fn_pending *p;
    FN_TRY(fn_key_head_read(d, uuid, &head));
    if (!head.iterations) return FN_OK;
    FN_TRY(fn_pending_new(d, &p));
    fn_name_uuid(&name, FN_RECORD_RETRY, uuid);
    fn_err err = fn_pending_claim(p, &name);
    if (err == FN_OK) err = password_try(d, &head, password, &name);
    if (err == FN_E_KEY_PASSWORD) fn_dlog_event(d, item->request->who, "key.password", NULL, err, NULL);
    fn_pending_free(p);
    return err;
}

static fn_err right_add(struct fn_session *s, const struct fn_uuid *uuid)
{
    if (fn_session_has_right(s, uuid)) return FN_OK;
    FN_TRY(fn_heap_grow(&s->rights, &s->rights_room, s->rights_count + 1, sizeof *s->rights));
    s->rights[s->rights_count++] = *uuid;
    return FN_OK;
}

/* One right covers both halves of an index (sdf.md 3). Both halves of an index have the same password. */
static fn_err access_take(struct fn_work *w, struct fn_item *item)
{
    struct fn_device *d = fn_work_device(w);
    const struct fn_identity *who = item->request->who;
    uint32_t index = (uint32_t)item->f[0].n;
    struct fn_key *halves[2] = {NULL, NULL};
    if (index == 0) return FN_FAIL(FN_E_KEY_RIGHT, "index 0 is the device's own");
    if (item->f[1].b.n < 8 || item->f[1].b.n > FN_PASSWORD_MOST)
        return FN_FAIL(FN_E_KEY_PASSWORD, "8 to 255 bytes");
    fn_err sign = fn_key_get_index(d, who->tenant_hash, index, FN_HALF_SIGN, &halves[0]);
    fn_err encrypt = fn_key_get_index(d, who->tenant_hash, index, FN_HALF_ENCRYPT, &halves[1]);
    fn_err err = sign != FN_OK && encrypt != FN_OK ? sign : FN_OK;
    bool checked = false;
    for (int i = 0; i < 2 && err == FN_OK; i++) {
        if (!halves[i]) continue;
        err = fn_key_admits(halves[i], who);
        if (err == FN_OK && !checked) {
            err = check_password(w, item, &halves[i]->uuid, item->f[1].b);
            checked = halves[i]->password;
        }
        if (err == FN_OK) err = right_add(item->request->session, &halves[i]->uuid);
    }
    fn_key_release(halves[0]);
    fn_key_release(halves[1]);
    return err;
}

void fn_run_ACCESS_TAKE(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], access_take(w, items[i]));
}

void fn_run_ACCESS_RELEASE(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct fn_session *s = items[i]->request->session;
        for (uint8_t half = FN_HALF_SIGN; half <= FN_HALF_ENCRYPT; half++) {
            struct fn_key *key;
            if (fn_key_get_index(fn_work_device(w), items[i]->request->who->tenant_hash,
                                 (uint32_t)items[i]->f[0].n, half, &key) != FN_OK) {
                fn_err_clear();
                continue;
            }
            for (size_t r = 0; r < s->rights_count; r++)
                if (memcmp(s->rights[r].b, key->uuid.b, 16) == 0)
                    s->rights[r--] = s->rights[--s->rights_count];
            fn_key_release(key);
        }
    }
}

/* ---- references ---- */

static fn_err find(struct fn_request *rq, struct fn_cur *c, uint8_t kind, struct fn_key **key)
{
    struct fn_device *d = fn_work_device(rq->work);
    struct fn_uuid uuid;
    struct fn_bytes rest;
    uint32_t number;
    uint64_t handle;
    uint8_t half;
    switch (kind) {
    case FN_KEY_UUID:
        FN_TRY(fn_cur_copy(c, uuid.b, 16));
        FN_TRY(fn_cur_u32(c, &number));
        FN_TRY(fn_cur_end(c));
        return fn_key_get(d, &uuid, number, key);
    case FN_KEY_INDEX:
        FN_TRY(fn_cur_u32(c, &number));
        FN_TRY(fn_cur_u8(c, &half));
        FN_TRY(fn_cur_end(c));
        return fn_key_get_index(d, rq->who->tenant_hash, number, half, key);
    case FN_KEY_HANDLE:
        FN_TRY(fn_cur_u64(c, &handle));
        FN_TRY(fn_cur_end(c));
        return fn_session_key_find(rq->session, handle, key);
    case FN_KEY_EXTERNAL:
        FN_TRY(fn_cur_u32(c, &number));
        FN_TRY(fn_cur_take(c, fn_cur_left(c), &rest));
        return fn_key_from_public(number, rest, key);
    case FN_KEY_SEALED:
        FN_TRY(fn_cur_take(c, fn_cur_left(c), &rest));
        return fn_sealed_open(d, rq->who, rest, key);
    default:
        return FN_FAIL(FN_E_DEVICE_FRAME, "key reference of kind %d", kind);
    }
}

fn_err fn_request_key(struct fn_request *rq, struct fn_bytes reference, struct fn_key **key)
{
    struct fn_cur c = fn_cur(reference);
    uint8_t kind;
    FN_TRY(fn_cur_u8(&c, &kind));
    FN_TRY(find(rq, &c, kind, key));
    fn_err err = fn_key_admits(*key, rq->who);
    if (err == FN_OK) return FN_OK;
    fn_key_release(*key);
    *key = NULL;
    return err;
}

/* Session keys made by these operations are application-transport keys; that is what the tables are asked
 * about. */
static fn_err ask(const struct fn_operation *op, const struct fn_key *key, enum fn_policy_door door)
{
    bool protects = op->flags & FN_OPF_PROTECTS;
    if (op->policy == FN_POLICY_DISTRIBUTE) {
        FN_TRY(fn_policy_ask(FN_CLASS_APP_ENC, FN_POLICY_DISTRIBUTE, FN_KEY_ACTIVE, door, true));
        if (key->external) return FN_OK;
        return fn_policy_ask(key->key_class, FN_POLICY_USE, key->state, door, protects);
    }
    if (op->policy != FN_POLICY_USE || key->external) return FN_OK;
    return fn_policy_ask(key->key_class, FN_POLICY_USE, key->state, door, protects);
}

fn_err fn_request_permits(struct fn_request *rq, const struct fn_operation *op, struct fn_key *key)
{
    enum fn_policy_door door = rq->who->test ? FN_DOOR_TEST_TENANT : FN_DOOR_APPLICATION;
    if ((key->usage & op->usage) != op->usage)
        return FN_FAIL(FN_E_KEY_USAGE, "%s needs usage %x, the key has %x", op->name, op->usage, key->usage);
    FN_TRY(ask(op, key, door));
    if (op->flags & FN_OPF_PRIVATE) {
        if (key->device) return FN_FAIL(FN_E_KEY_RIGHT, "index 0 is the device's own");
        if (key->password && !fn_session_has_right(rq->session, &key->uuid))
            return FN_FAIL(FN_E_KEY_RIGHT, "index %u", key->index);
    }
    return op->flags & FN_OPF_PROTECTS ? fn_key_use(fn_work_device(rq->work), key, 1) : FN_OK;
}
