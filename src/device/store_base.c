#include "device/store_parts.h"

#include <string.h>

static const char magic[8] = "FNGBASE1";

#define OUT_MOST (1u << 20)
/* An index of 2^26 records is 4 GiB; more would be an error of the caller. */
#define RECORDS_MOST (1ull << 26)

static void derive_keys(const struct fn_dstore_root *root, const uint8_t salt[FN_DSTORE_SALT],
                        struct fn_gcm_key *seal, struct fn_hmac_key *mac)
{
    uint8_t k[FN_DSTORE_MAC];
    FN_SCOPED_WIPE(k);
    fn_dstore_derive(&root->seal, "base values", fn_bytes(salt, FN_DSTORE_SALT), fn_bytes(NULL, 0), k);
    fn_gcm_key_init(seal, k);
    fn_dstore_derive(&root->mac, "base index", fn_bytes(salt, FN_DSTORE_SALT), fn_bytes(NULL, 0), k);
    fn_hmac_key_init(mac, k, sizeof k);
}

static fn_err base_new(struct fn_dstore_base **base, const struct fn_files *files)
{
    struct fn_dstore_base *b;
    FN_TRY(fn_heap_array(&b, 1, sizeof *b));
    *b = (struct fn_dstore_base){.files = files, .handle = -1, .references = 1};
    fn_err err = fn_secret_alloc(&b->key, sizeof *b->key);
    if (err != FN_OK) {
        fn_dstore_base_release(b);
        return err;
    }
    *base = b;
    return FN_OK;
}

void fn_dstore_base_hold(struct fn_dstore_base *base)
{
    __atomic_add_fetch(&base->references, 1, __ATOMIC_RELAXED);
}

void fn_dstore_base_release(struct fn_dstore_base *base)
{
    if (!base || __atomic_sub_fetch(&base->references, 1, __ATOMIC_ACQ_REL)) return;
    if (base->handle >= 0) base->files->close(base->files, base->handle);
    fn_secret_free(base->key);
    free(base->index);
    free(base);
}

static uint32_t entry_size(const uint8_t *entry)
{
    return fn_get_be32(entry + FN_DSTORE_NAME);
}
static uint64_t entry_offset(const uint8_t *entry)
{
    return fn_get_be64(entry + FN_DSTORE_NAME + 4);
}

static void entry_put(uint8_t *entry, const uint8_t *name, uint32_t size, uint64_t offset)
{
    memcpy(entry, name, FN_DSTORE_NAME);
    fn_put_be32(entry + FN_DSTORE_NAME, size);
    fn_put_be64(entry + FN_DSTORE_NAME + 4, offset);
    fn_put_be16(entry + FN_DSTORE_NAME + 12, 0);
}

static void count_kinds(struct fn_dstore_base *b)
{
    uint64_t i = 0;
    for (unsigned kind = 0; kind <= FN_RECORD_KINDS; kind++) {
        while (i < b->count && fn_dstore_base_name(b, i)[0] < kind) i++;
        b->start[kind] = i;
    }
}

/* ---- reading ---- */

/* Order, names and places of the values; also guards against a bug of the writer, which the MAC would not
 * show. */
static fn_err check_index(const struct fn_dstore_base *b, uint64_t values, const char *path)
{
    uint64_t at = b->values_at;
    for (uint64_t i = 0; i < b->count; i++) {
        const uint8_t *entry = fn_dstore_base_name(b, i);
        bool sorted = i == 0 || memcmp(entry - FN_DSTORE_ENTRY, entry, FN_DSTORE_NAME) < 0;
        if (!sorted || !fn_dstore_name_valid(entry) || entry_size(entry) > FN_RECORD_VALUE_MOST ||
            entry_offset(entry) != at || fn_get_be16(entry + FN_DSTORE_NAME + 12))
            return FN_FAIL(FN_E_CORRUPT, "%s: entry %llu of the index", path, (unsigned long long)i);
        at += entry_size(entry) + FN_DSTORE_TAG;
    }
    if (at != b->values_at + values) return FN_FAIL(FN_E_CORRUPT, "%s: length of the values", path);
    return FN_OK;
}

static fn_err read_exactly(const struct fn_dstore_base *b, uint64_t offset, void *out, size_t n,
                           const char *path)
{
    size_t got;
    FN_TRY(b->files->read(b->files, b->handle, offset, out, n, &got));
    if (got != n) return FN_FAIL(FN_E_CORRUPT, "%s: ends at %llu", path, (unsigned long long)(offset + got));
    return FN_OK;
}

static fn_err load_header(struct fn_dstore_base *b, const struct fn_dstore_root *root,
                          const uint8_t h[FN_DSTORE_HEADER], uint64_t *values, const char *path)
{
    if (memcmp(h, magic, sizeof magic) || fn_get_be32(h + 12) || fn_get_be64(h + 16) != b->generation)
        return FN_FAIL(FN_E_CORRUPT, "%s: header", path);
    if (fn_get_be32(h + 8) != FN_DSTORE_VERSION)
        return FN_FAIL(FN_E_VERSION, "%s: version %u, this program knows %u", path, fn_get_be32(h + 8),
                       FN_DSTORE_VERSION);
    if (!fn_equal_ct(h + 24, root->id, FN_DSTORE_ID))
        return FN_FAIL(FN_E_CORRUPT, "%s: written under other keys", path);
    b->count = fn_get_be64(h + 64);
    *values = fn_get_be64(h + 72);
    if (b->count > RECORDS_MOST || *values > INT64_MAX / 2)
        return FN_FAIL(FN_E_CORRUPT, "%s: %llu records", path, (unsigned long long)b->count);
    b->values_at = FN_DSTORE_HEADER + b->count * FN_DSTORE_ENTRY + FN_DSTORE_MAC;
    if (b->values_at + *values != b->size)
        return FN_FAIL(FN_E_CORRUPT, "%s: %llu bytes, the header says %llu", path,
                       (unsigned long long)b->size, (unsigned long long)(b->values_at + *values));
    memcpy(b->log_tag, h + 80, sizeof b->log_tag);
    return FN_OK;
}

static fn_err load(struct fn_dstore_base *b, const struct fn_dstore_root *root, const char *path)
{
    uint8_t h[FN_DSTORE_HEADER], stored[FN_DSTORE_MAC], tag[FN_DSTORE_MAC];
    uint64_t values;
    FN_TRY(b->files->size(b->files, b->handle, &b->size));
    FN_TRY(read_exactly(b, 0, h, sizeof h, path));
    FN_TRY(load_header(b, root, h, &values, path));
    size_t n = (size_t)(b->count * FN_DSTORE_ENTRY);
    b->index = malloc(n ? n : 1);
    if (!b->index) return FN_FAIL(FN_E_NO_MEMORY, "index of %zu bytes", n);
    FN_TRY(read_exactly(b, sizeof h, b->index, n, path));
    FN_TRY(read_exactly(b, sizeof h + n, stored, sizeof stored, path));
    struct fn_hmac_key mac;
    FN_SCOPED_WIPE(mac);
    derive_keys(root, h + 32, b->key, &mac);
    struct fn_hmac m;
    fn_hmac_init(&m, &mac);
    fn_hmac_update(&m, h, sizeof h);
    fn_hmac_update(&m, b->index, n);
    fn_hmac_final(&m, tag);
    if (!fn_equal_ct(tag, stored, sizeof tag))
        return FN_FAIL(FN_E_CORRUPT, "%s: the MAC of the index differs", path);
    FN_TRY(check_index(b, values, path));
    count_kinds(b);
    return FN_OK;
}

fn_err fn_dstore_base_load(struct fn_dstore_base **base, const struct fn_dstore_home *home,
                           const struct fn_dstore_root *root, uint64_t generation)
{
    FN_SCOPED_HEAP char *path = NULL;
    FN_TRY(fn_dstore_path(&path, home, "base", generation));
    struct fn_dstore_base *b;
    FN_TRY(base_new(&b, home->files));
    b->generation = generation;
    fn_err err = home->files->open(home->files, path, FN_FILE_READ, 0, &b->handle);
    if (err != FN_OK) b->handle = -1;
    if (err == FN_OK) err = load(b, root, path);
    if (err != FN_OK) {
        fn_dstore_base_release(b);
        fn_err_pass(err, __FILE__, __LINE__);
        return err;
    }
    *base = b;
    return FN_OK;
}

uint64_t fn_dstore_base_lower(const struct fn_dstore_base *base, const uint8_t name[FN_DSTORE_NAME])
{
    uint64_t low = base->start[name[0]], high = base->start[name[0] + 1];
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (memcmp(fn_dstore_base_name(base, middle), name, FN_DSTORE_NAME) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool fn_dstore_base_find(const struct fn_dstore_base *base, const uint8_t name[FN_DSTORE_NAME],
                         uint64_t *position)
{
    *position = fn_dstore_base_lower(base, name);
    return *position < base->count && memcmp(fn_dstore_base_name(base, *position), name, FN_DSTORE_NAME) == 0;
}

fn_err fn_dstore_base_value(struct fn_dstore_base *base, uint64_t position, struct fn_buf *out)
{
    const uint8_t *entry = fn_dstore_base_name(base, position);
    uint32_t n = entry_size(entry);
    uint8_t *where, small[1024], tag[FN_DSTORE_TAG], *sealed = small;
    size_t got, want = n + FN_DSTORE_TAG;
    FN_TRY(fn_buf_reserve(out, n, &where));
    if (want <= sizeof small) {
        FN_TRY(base->files->read(base->files, base->handle, entry_offset(entry), small, want, &got));
        memcpy(tag, small + n, sizeof tag);
    } else {
        size_t more;
        sealed = where;
        FN_TRY(base->files->read(base->files, base->handle, entry_offset(entry), where, n, &got));
        FN_TRY(base->files->read(base->files, base->handle, entry_offset(entry) + n, tag, sizeof tag, &more));
        got += more;
    }
    if (got != want)
        return FN_FAIL(FN_E_CORRUPT, "base.%llu was cut short", (unsigned long long)base->generation);
    struct fn_dstore_batch b = {0};
    fn_dstore_batch_add(&b, base->key, entry, base->generation, position, 0, sealed, where, n, tag);
    if (fn_gcm_decrypt(&b.jobs[0]) != FN_OK)
        return FN_FAIL(FN_E_CORRUPT, "base.%llu at %llu: value does not authenticate",
                       (unsigned long long)base->generation, (unsigned long long)entry_offset(entry));
    out->n += n;
    return FN_OK;
}

/* ---- writing ---- */

/* Walks an old base and the changes over it as one ascending sequence. */
struct merge {
    const struct fn_dstore_base *old;
    uint64_t position;
    const struct fn_dstore_node *node;
};

static struct merge merge_begin(const struct fn_dstore_base *old, const struct fn_dstore_overlay *changes)
{
    return (struct merge){old, 0, changes ? changes->head[0] : NULL};
}

/* Next record that lives: a node, or an entry of the old base (*node is NULL). */
static bool merge_next(struct merge *m, const struct fn_dstore_node **node, uint64_t *position)
{
    for (;;) {
        bool entry = m->old && m->position < m->old->count;
        if (!entry && !m->node) return false;
        int order = !entry ? 1
                    : !m->node
                        ? -1
                        : memcmp(fn_dstore_base_name(m->old, m->position), m->node->name, FN_DSTORE_NAME);
        if (order < 0) {
            *node = NULL;
            *position = m->position++;
            return true;
        }
        if (order == 0) m->position++;
        *node = m->node;
        m->node = m->node->next[0];
        if (!(*node)->removes) return true;
    }
}

static fn_err make_index(struct fn_dstore_base *b, const struct fn_dstore_base *old,
                         const struct fn_dstore_overlay *changes)
{
    uint64_t most = (old ? old->count : 0) + (changes ? changes->count : 0), position;
    const struct fn_dstore_node *node;
    struct merge m = merge_begin(old, changes);
    while (merge_next(&m, &node, &position)) b->count++;
    if (b->count > most || b->count > RECORDS_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "%llu records", (unsigned long long)b->count);
    b->index = malloc(b->count ? (size_t)b->count * FN_DSTORE_ENTRY : 1);
    if (!b->index) return FN_FAIL(FN_E_NO_MEMORY, "index of %llu records", (unsigned long long)b->count);
    b->values_at = FN_DSTORE_HEADER + b->count * FN_DSTORE_ENTRY + FN_DSTORE_MAC;
    uint64_t at = b->values_at, i = 0;
    m = merge_begin(old, changes);
    while (merge_next(&m, &node, &position)) {
        const uint8_t *name = node ? node->name : fn_dstore_base_name(old, position);
        uint32_t size = node ? node->size : entry_size(name);
        entry_put(b->index + i++ * FN_DSTORE_ENTRY, name, size, at);
        at += size + FN_DSTORE_TAG;
    }
    b->size = at;
    count_kinds(b);
    return FN_OK;
}

static fn_err write_index(struct fn_dstore_base *b, const struct fn_dstore_root *root)
{
    uint8_t h[FN_DSTORE_HEADER] = {0}, tag[FN_DSTORE_MAC];
    memcpy(h, magic, sizeof magic);
    fn_put_be32(h + 8, FN_DSTORE_VERSION);
    fn_put_be64(h + 16, b->generation);
    memcpy(h + 24, root->id, FN_DSTORE_ID);
    FN_TRY(fn_dstore_random(h + 32, FN_DSTORE_SALT));
    fn_put_be64(h + 64, b->count);
    fn_put_be64(h + 72, b->size - b->values_at);
    memcpy(h + 80, b->log_tag, sizeof b->log_tag);
    struct fn_hmac_key mac;
    FN_SCOPED_WIPE(mac);
    derive_keys(root, h + 32, b->key, &mac);
    struct fn_hmac m;
    size_t n = (size_t)b->count * FN_DSTORE_ENTRY;
    fn_hmac_init(&m, &mac);
    fn_hmac_update(&m, h, sizeof h);
    fn_hmac_update(&m, b->index, n);
    fn_hmac_final(&m, tag);
    FN_TRY(b->files->pwrite(b->files, b->handle, 0, h, sizeof h));
    if (n) FN_TRY(b->files->pwrite(b->files, b->handle, sizeof h, b->index, n));
    return b->files->pwrite(b->files, b->handle, sizeof h + n, tag, sizeof tag);
}

/* Values on their way from one sealing to the next. */
struct resealing {
    struct fn_dstore_base *to, *old;
    struct fn_dstore_window from; /* of the old base */
    struct fn_dstore_batch open, seal;
    struct fn_buf plain, sealed; /* plain: secret memory */
    uint64_t written;            /* position of the next value to write */
};

static fn_err reseal(struct resealing *r)
{
    size_t count = r->open.count;
    if (!count) return FN_OK;
    fn_gcm_decrypt_batch(count, r->open.jobs);
    for (size_t i = 0; i < count; i++)
        if (r->open.jobs[i].result != FN_OK) {
            struct fn_record_name name = fn_dstore_name_back(r->open.aads[i]);
            return FN_FAIL(FN_E_CORRUPT, "a record of kind %u does not authenticate; nothing was replaced",
                           name.kind);
        }
    uint8_t *out;
    r->sealed.n = 0;
    FN_TRY(fn_buf_reserve(&r->sealed, r->plain.n, &out));
    for (size_t i = 0; i < count; i++) {
        struct fn_gcm_job *j = &r->open.jobs[i];
        uint64_t position = r->written + i;
        uint8_t *at = out + (j->out - r->plain.p);
        fn_dstore_batch_add(&r->seal, r->to->key, fn_dstore_base_name(r->to, position), r->to->generation,
                            position, 0, j->out, at, j->n, at + j->n);
    }
    fn_gcm_encrypt_batch(count, r->seal.jobs);
    uint64_t offset = entry_offset(fn_dstore_base_name(r->to, r->written));
    FN_TRY(r->to->files->pwrite(r->to->files, r->to->handle, offset, out, r->plain.n));
    r->written += count;
    r->plain.n = r->open.count = r->seal.count = 0;
    return FN_OK;
}

static fn_err reseal_add(struct resealing *r, const struct fn_dstore_node *node, uint64_t position)
{
    const uint8_t *entry = node ? NULL : fn_dstore_base_name(r->old, position),
                  *sealed = node ? node->sealed : NULL;
    uint32_t n = node ? node->size : entry_size(entry);
    size_t got, want = n + FN_DSTORE_TAG;
    if (r->open.count == FN_DSTORE_BATCH || r->plain.n + want > r->plain.room) FN_TRY(reseal(r));
    if (entry) {
        FN_TRY(fn_dstore_window_get(&r->from, entry_offset(entry), want, &sealed, &got));
        if (got != want)
            return FN_FAIL(FN_E_CORRUPT, "base.%llu was cut short", (unsigned long long)r->old->generation);
    }
    uint8_t *at;
    FN_TRY(fn_buf_reserve(&r->plain, want, &at));
    memcpy(at, sealed, want);
    r->plain.n += want;
    if (node)
        fn_dstore_batch_add(&r->open, &node->seal->key, node->name, node->generation, node->generation,
                            node->position, at, at, n, at + n);
    else
        fn_dstore_batch_add(&r->open, r->old->key, entry, r->old->generation, position, 0, at, at, n, at + n);
    return FN_OK;
}

static fn_err write_values(struct resealing *r, const struct fn_dstore_overlay *changes, const bool *cancel)
{
    const struct fn_dstore_node *node;
    uint64_t position;
    uint8_t *unused;
    /* The room is fixed from here on: pointers into it stand in the batch. It takes the largest value, or all
     * of them. */
    uint64_t all = r->to->size - r->to->values_at, most = FN_RECORD_VALUE_MOST + FN_DSTORE_TAG;
    FN_TRY(fn_buf_reserve(&r->plain, (size_t)(all < most ? all : most), &unused));
    struct merge m = merge_begin(r->old, changes);
    while (merge_next(&m, &node, &position)) {
        if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
            return FN_FAIL(FN_E_CANCELLED, "checkpoint given up");
        FN_TRY(reseal_add(r, node, position));
    }
    return reseal(r);
}

static fn_err write_all(struct fn_dstore_base *b, const struct fn_dstore_root *root,
                        struct fn_dstore_base *old, const struct fn_dstore_overlay *changes,
                        const bool *cancel)
{
    FN_TRY(make_index(b, old, changes));
    FN_TRY(write_index(b, root));
    struct resealing *r;
    FN_TRY(fn_heap_array(&r, 1, sizeof *r));
    *r = (struct resealing){.to = b, .old = old, .plain = fn_buf_secret(), .sealed = fn_buf_heap()};
    r->from =
        (struct fn_dstore_window){.files = b->files, .handle = old ? old->handle : -1, .buf = fn_buf_heap()};
    fn_err err = write_values(r, changes, cancel);
    fn_buf_free(&r->plain);
    fn_buf_free(&r->sealed);
    fn_buf_free(&r->from.buf);
    free(r);
    FN_TRY(err);
    return b->files->fsync(b->files, b->handle);
}

fn_err fn_dstore_base_write(struct fn_dstore_base **base, const struct fn_dstore_home *home,
                            const struct fn_dstore_root *root, uint64_t generation,
                            const uint8_t log_tag[FN_DSTORE_MAC], struct fn_dstore_base *old,
                            const struct fn_dstore_overlay *changes, const bool *cancel)
{
    struct fn_dstore_base *b;
    FN_TRY(base_new(&b, home->files));
    b->generation = generation;
    memcpy(b->log_tag, log_tag, sizeof b->log_tag);
    fn_err err = fn_dstore_open_new(home, "base", &b->handle);
    if (err != FN_OK) b->handle = -1;
    if (err == FN_OK) err = write_all(b, root, old, changes, cancel);
    if (err != FN_OK) {
        fn_err_pass(err, __FILE__, __LINE__);
        fn_dstore_base_release(b);
        fn_dstore_unlink_new(home, "base");
        return err;
    }
    *base = b;
    return FN_OK;
}
