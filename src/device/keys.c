/* The cache of keys in clear: bounded, in locked memory, shared by the workers; and the counting of uses. */
#include "base/sys/heap.h"
#include "device/device.h"
#include <string.h>

#define SHARDS  16
#define BUCKETS 1024
#define ALIASES 4096
#define USES    4096

struct shard {
    pthread_mutex_t mutex;
    uint64_t purges; /* grows with every purge: what was read before one is not put into the cache after it */
    struct fn_key *buckets[BUCKETS];
    struct fn_key *oldest, *newest;
    size_t count;
};

/* uuid → current version, and (tenant, half, index) → uuid. Direct-mapped; a collision overwrites. */
struct alias {
    uint8_t name[24];
    bool used;
    struct fn_uuid uuid;
    uint32_t version;
};

struct fn_keys {
    size_t most; /* of one shard */
    struct shard shards[SHARDS];
    pthread_mutex_t alias_mutex;
    uint64_t alias_purges;
    struct alias aliases[ALIASES];
    pthread_mutex_t uses_mutex;
    struct fn_uses *uses[USES];
};

fn_err fn_keys_open(struct fn_device *d, size_t cached_most)
{
    FN_TRY(fn_heap_array(&d->keys, 1, sizeof *d->keys));
    d->keys->most = cached_most / SHARDS + 1;
    for (size_t i = 0; i < SHARDS; i++) pthread_mutex_init(&d->keys->shards[i].mutex, NULL);
    pthread_mutex_init(&d->keys->alias_mutex, NULL);
    pthread_mutex_init(&d->keys->uses_mutex, NULL);
    return FN_OK;
}

static uint32_t mix(const uint8_t *p)
{
    return fn_get_be32(p) ^ fn_get_be32(p + 4) * 2654435761u ^ fn_get_be32(p + 12);
}
static struct shard *shard_of(struct fn_keys *k, const struct fn_uuid *uuid)
{
    return &k->shards[mix(uuid->b) % SHARDS];
}
static struct fn_key **bucket_of(struct shard *s, const struct fn_uuid *uuid)
{
    return &s->buckets[mix(uuid->b) / SHARDS % BUCKETS];
}

static void order_remove(struct shard *s, struct fn_key *k)
{
    *(k->older ? &k->older->newer : &s->oldest) = k->newer;
    *(k->newer ? &k->newer->older : &s->newest) = k->older;
    k->older = k->newer = NULL;
}

static void order_add(struct shard *s, struct fn_key *k)
{
    k->older = s->newest;
    k->newer = NULL;
    *(s->newest ? &s->newest->newer : &s->oldest) = k;
    s->newest = k;
}

static void drop(struct shard *s, struct fn_key *k)
{
    struct fn_key **link = bucket_of(s, &k->uuid);
    while (*link != k) link = &(*link)->hash_next;
    *link = k->hash_next;
    order_remove(s, k);
    s->count--;
    fn_key_release(k);
}

static struct fn_key *lookup(struct shard *s, const struct fn_uuid *uuid, uint32_t version)
{
    for (struct fn_key *k = *bucket_of(s, uuid); k; k = k->hash_next)
        if (k->version == version && memcmp(k->uuid.b, uuid->b, 16) == 0) return k;
    return NULL;
}

void fn_keys_purge(struct fn_device *d, const struct fn_uuid *uuid)
{
    struct shard *s = shard_of(d->keys, uuid);
    pthread_mutex_lock(&s->mutex);
    s->purges++;
    for (struct fn_key *k = *bucket_of(s, uuid), *next; k; k = next) {
        next = k->hash_next;
        if (memcmp(k->uuid.b, uuid->b, 16) == 0) drop(s, k);
    }
    pthread_mutex_unlock(&s->mutex);
    pthread_mutex_lock(&d->keys->alias_mutex);
    d->keys->alias_purges++;
    for (size_t i = 0; i < ALIASES; i++)
        if (d->keys->aliases[i].used && memcmp(d->keys->aliases[i].uuid.b, uuid->b, 16) == 0)
            d->keys->aliases[i].used = false;
    pthread_mutex_unlock(&d->keys->alias_mutex);
}

void fn_keys_count(struct fn_device *d, size_t *cached)
{
    *cached = 0;
    for (size_t i = 0; d->keys && i < SHARDS; i++) {
        pthread_mutex_lock(&d->keys->shards[i].mutex);
        *cached += d->keys->shards[i].count;
        pthread_mutex_unlock(&d->keys->shards[i].mutex);
    }
}

#define USES_BATCH 256

static void uses_give_back(struct fn_device *d, const struct fn_change *changes, size_t n)
{
    if (n && fn_device_store_commit(d->store, changes, n) != FN_OK) fn_err_clear();
}

/* What was reserved and not used goes back, so that a clean stop costs a key nothing; many at a time, so that
 * it does not cost a write to the disk for each key. Nobody uses keys any more. */
void fn_keys_settle(struct fn_device *d)
{
    if (!d->keys || !d->store) return;
    struct fn_change changes[USES_BATCH];
    uint8_t values[USES_BATCH][8];
    size_t n = 0;
    for (size_t i = 0; i < USES; i++)
        for (struct fn_uses *u = d->keys->uses[i]; u; u = u->next) {
            int64_t left = atomic_exchange(&u->left, 0);
            if (left <= 0) continue;
            changes[n] = (struct fn_change){.value = fn_bytes(values[n], 8)};
            fn_put_be64(values[n], atomic_load(&u->taken) - (uint64_t)left);
            fn_name_version(&changes[n++].name, FN_RECORD_USES, &u->uuid, u->version);
            if (n < USES_BATCH) continue;
            uses_give_back(d, changes, n);
            n = 0;
        }
    uses_give_back(d, changes, n);
}

void fn_keys_close(struct fn_device *d)
{
    if (!d->keys) return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &d->keys->shards[i];
        while (s->oldest) drop(s, s->oldest);
        pthread_mutex_destroy(&s->mutex);
    }
    for (size_t i = 0; i < USES; i++)
        while (d->keys->uses[i]) {
            struct fn_uses *u = d->keys->uses[i];
            d->keys->uses[i] = u->next;
            pthread_mutex_destroy(&u->mutex);
            free(u);
        }
    free(d->keys);
    d->keys = NULL;
}

/* ---- uses ---- */

static fn_err uses_read(struct fn_device *d, struct fn_uses *u)
{
    uint8_t storage[16];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    struct fn_record_name name;
    fn_name_version(&name, FN_RECORD_USES, &u->uuid, u->version);
    fn_err err = fn_device_store_get(d->store, &name, &value);
    if (err != FN_OK && err != FN_E_NOT_FOUND) return err;
    if (err == FN_OK && value.n != 8) return FN_FAIL(FN_E_CORRUPT, "use count of %zu bytes", value.n);
    atomic_store(&u->taken, err == FN_OK ? fn_get_be64(storage) : 0);
    return FN_OK;
}

static fn_err uses_of(struct fn_device *d, struct fn_key *key)
{
    struct fn_keys *k = d->keys;
    pthread_mutex_lock(&k->uses_mutex);
    struct fn_uses **bucket = &k->uses[mix(key->uuid.b) % USES], *u = *bucket;
    while (u && (u->version != key->version || memcmp(u->uuid.b, key->uuid.b, 16) != 0)) u = u->next;
    fn_err err = FN_OK;
    if (!u) {
        err = fn_heap_array(&u, 1, sizeof *u);
        if (err == FN_OK) {
            u->uuid = key->uuid;
            u->version = key->version;
            pthread_mutex_init(&u->mutex, NULL);
            err = uses_read(d, u);
            if (err != FN_OK) {
                free(u);
                u = NULL;
            } else {
                u->next = *bucket;
                *bucket = u;
            }
        }
    }
    pthread_mutex_unlock(&k->uses_mutex);
    key->uses = u;
    return err;
}

/* With the mutex of u held. The commit is waited for: it happens once in a million uses. */
static fn_err reserve(struct fn_device *d, struct fn_uses *u)
{
    uint64_t taken = atomic_load(&u->taken);
    uint64_t step = taken < FN_USES_MOST ? FN_USES_MOST - taken : 0;
    if (step > FN_USES_STEP) step = FN_USES_STEP;
    if (!step) return FN_FAIL(FN_E_KEY_EXHAUSTED, "%llu uses", (unsigned long long)taken);
    uint8_t value[8] = {0};
    struct fn_change change = {.value = fn_bytes(value, 8)};
    fn_put_be64(value, taken + step);
    fn_name_version(&change.name, FN_RECORD_USES, &u->uuid, u->version);
    FN_TRY(fn_device_store_commit(d->store, &change, 1));
    atomic_store(&u->taken, taken + step);
    atomic_fetch_add(&u->left, (int64_t)step);
    return FN_OK;
}

fn_err fn_key_use(struct fn_device *d, struct fn_key *key, uint64_t n)
{
    if (key->external || key->volatile_key || key->device) return FN_OK;
    if (!key->uses) FN_TRY(uses_of(d, key));
    struct fn_uses *u = key->uses;
    if (atomic_fetch_sub(&u->left, (int64_t)n) >= (int64_t)n) return FN_OK;
    pthread_mutex_lock(&u->mutex);
    fn_err err = FN_OK;
    while (err == FN_OK && atomic_load(&u->left) < 0) err = reserve(d, u);
    if (err != FN_OK) atomic_fetch_add(&u->left, (int64_t)n);
    pthread_mutex_unlock(&u->mutex);
    return err;
}

uint64_t fn_key_uses_taken(struct fn_device *d, const struct fn_key *key)
{
    struct fn_uses u = {.uuid = key->uuid, .version = key->version};
    if (uses_read(d, &u) != FN_OK) fn_err_clear();
    return atomic_load(&u.taken);
}

/* ---- aliases ---- */

static struct alias *alias_at(struct fn_keys *k, const uint8_t name[24])
{
    return &k->aliases[(mix(name) ^ fn_get_be32(name + 16) * 2246822519u ^ fn_get_be32(name + 20)) % ALIASES];
}

static bool alias_find(struct fn_keys *k, const uint8_t name[24], struct fn_uuid *uuid, uint32_t *version,
                       uint64_t *purges)
{
    pthread_mutex_lock(&k->alias_mutex);
    struct alias *a = alias_at(k, name);
    bool found = a->used && memcmp(a->name, name, 24) == 0;
    if (found) {
        *uuid = a->uuid;
        *version = a->version;
    }
    *purges = k->alias_purges;
    pthread_mutex_unlock(&k->alias_mutex);
    return found;
}

static void alias_put(struct fn_keys *k, const uint8_t name[24], const struct fn_uuid *uuid, uint32_t version,
                      uint64_t purges)
{
    pthread_mutex_lock(&k->alias_mutex);
    if (purges == k->alias_purges) {
        struct alias *a = alias_at(k, name);
        *a = (struct alias){.used = true, .uuid = *uuid, .version = version};
        memcpy(a->name, name, 24);
    }
    pthread_mutex_unlock(&k->alias_mutex);
}

static fn_err current_version(struct fn_device *d, const struct fn_uuid *uuid, uint32_t *version)
{
    uint8_t name[24] = {0};
    struct fn_uuid found;
    uint64_t purges;
    struct fn_key_head head;
    memcpy(name, uuid->b, 16);
    if (alias_find(d->keys, name, &found, version, &purges)) return FN_OK;
    FN_TRY(fn_key_head_read(d, uuid, &head));
    *version = head.current;
    alias_put(d->keys, name, uuid, head.current, purges);
    return FN_OK;
}

/* ---- keys ---- */

static fn_err load(struct fn_device *d, const struct fn_uuid *uuid, uint32_t version, struct fn_key **key)
{
    struct fn_key_head head;
    struct fn_record_name name;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    char text[FN_UUID_TEXT + 1];
    fn_uuid_format(text, uuid);
    fn_name_version(&name, FN_RECORD_DESTROYED, uuid, version);
    if (fn_device_store_has(d->store, &name))
        return FN_FAIL(FN_E_KEY_DESTROYED, "%s version %u", text, version);
    FN_TRY(fn_key_head_read(d, uuid, &head));
    if (head.destroyed) return FN_FAIL(FN_E_KEY_DESTROYED, "%s", text);
    fn_name_version(&name, FN_RECORD_KEY, uuid, version);
    fn_err err = fn_device_store_get(d->store, &name, &value);
    if (err == FN_E_NOT_FOUND) return FN_FAIL(FN_E_KEY_NOT_FOUND, "%s version %u", text, version);
    FN_TRY(err);
    FN_TRY(fn_key_load(d, &head, fn_buf_view(&value), key));
    if ((*key)->version == version) return FN_OK;
    fn_key_release(*key);
    return FN_FAIL(FN_E_CORRUPT, "key record under another version's name");
}

static void keep(struct fn_keys *keys, struct shard *s, struct fn_key *key, uint64_t purges)
{
    pthread_mutex_lock(&s->mutex);
    if (s->purges == purges && !lookup(s, &key->uuid, key->version)) {
        struct fn_key **bucket = bucket_of(s, &key->uuid);
        key->hash_next = *bucket;
        *bucket = fn_key_hold(key);
        order_add(s, key);
        if (++s->count > keys->most) drop(s, s->oldest);
    }
    pthread_mutex_unlock(&s->mutex);
}

fn_err fn_key_get(struct fn_device *d, const struct fn_uuid *uuid, uint32_t version, struct fn_key **key)
{
    struct shard *s = shard_of(d->keys, uuid);
    if (!version) FN_TRY(current_version(d, uuid, &version));
    pthread_mutex_lock(&s->mutex);
    struct fn_key *found = lookup(s, uuid, version);
    uint64_t purges = s->purges;
    if (found) {
        fn_key_hold(found);
        if (s->newest != found) {
            order_remove(s, found);
            order_add(s, found);
        }
    }
    pthread_mutex_unlock(&s->mutex);
    if (found) return *key = found, FN_OK;
    FN_TRY(load(d, uuid, version, key));
    keep(d->keys, s, *key, purges);
    return FN_OK;
}

fn_err fn_key_get_index(struct fn_device *d, const uint8_t tenant_hash[16], uint32_t index, uint8_t half,
                        struct fn_key **key)
{
    uint8_t alias[24] = {0};
    struct fn_uuid uuid;
    uint32_t version;
    uint64_t purges;
    if (index == 0 && half <= FN_HALF_ENCRYPT) {
        *key = fn_key_hold(half == FN_HALF_SIGN ? d->sign : d->encrypt);
        return FN_OK;
    }
    memcpy(alias, tenant_hash, 16);
    alias[16] = (uint8_t)(half + 1);
    fn_put_be32(alias + 17, index);
    alias[21] = 1;
    if (!alias_find(d->keys, alias, &uuid, &version, &purges)) {
        struct fn_record_name name;
        uint8_t storage[32];
        struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
        fn_name_index(&name, tenant_hash, half, index);
        fn_err err = fn_device_store_get(d->store, &name, &value);
        if (err == FN_E_NOT_FOUND) return FN_FAIL(FN_E_KEY_INDEX, "index %u, half %d", index, half);
        FN_TRY(err);
        if (value.n != 16) return FN_FAIL(FN_E_CORRUPT, "index record of %zu bytes", value.n);
        memcpy(uuid.b, storage, 16);
        alias_put(d->keys, alias, &uuid, 0, purges);
    }
    return fn_key_get(d, &uuid, 0, key);
}
