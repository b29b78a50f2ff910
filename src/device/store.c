/* Opening, closing and reading. Writing stands in store_write.c. */
#include "device/store_parts.h"

#include <string.h>

#define EACH_BATCH 256

/* ---- what lies in the directory ---- */

struct listing {
    uint64_t *bases, *logs;
    size_t base_count, base_room, log_count, log_room;
};

static bool parse_name(const char *name, const char *stem, uint64_t *generation)
{
    size_t n = strlen(stem);
    if (strncmp(name, stem, n) || name[n] != '.' || !name[n + 1]) return false;
    const char *digits = name + n + 1;
    if (digits[0] == '0' && digits[1]) return false;
    *generation = 0;
    for (; *digits; digits++) {
        if (*digits < '0' || *digits > '9' || *generation > UINT64_MAX / 10 - 1) return false;
        *generation = *generation * 10 + (uint64_t)(*digits - '0');
    }
    return true;
}

static fn_err list_one(void *context, const char *name)
{
    struct listing *l = context;
    uint64_t generation;
    if (parse_name(name, "base", &generation)) {
        FN_TRY(fn_heap_grow(&l->bases, &l->base_room, l->base_count + 1, sizeof *l->bases));
        l->bases[l->base_count++] = generation;
    } else if (parse_name(name, "log", &generation)) {
        FN_TRY(fn_heap_grow(&l->logs, &l->log_room, l->log_count + 1, sizeof *l->logs));
        l->logs[l->log_count++] = generation;
    }
    return FN_OK;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void listing_free(struct listing *l)
{
    free(l->bases);
    free(l->logs);
}
#define SCOPED_LISTING __attribute__((cleanup(listing_free)))

static fn_err list(const struct fn_dstore_home *home, struct listing *l)
{
    FN_TRY(home->files->list(home->files, home->directory, list_one, l));
    if (l->base_count) qsort(l->bases, l->base_count, sizeof *l->bases, ascending);
    if (l->log_count) qsort(l->logs, l->log_count, sizeof *l->logs, ascending);
    return FN_OK;
}

static void unlink_numbered(const struct fn_dstore_home *home, const char *stem, uint64_t generation)
{
    FN_SCOPED_HEAP char *path = NULL;
    if (fn_dstore_path(&path, home, stem, generation) == FN_OK) home->files->unlink(home->files, path);
}

/* A file that stays because its removal failed does no harm: the next opening passes over it and tries again.
 */
void fn_dstore_sweep(const struct fn_dstore_home *home, uint64_t generation)
{
    SCOPED_LISTING struct listing l = {0};
    if (list(home, &l) != FN_OK) return;
    for (size_t i = 0; i < l.base_count; i++)
        if (l.bases[i] < generation) unlink_numbered(home, "base", l.bases[i]);
    for (size_t i = 0; i < l.log_count; i++)
        if (l.logs[i] < generation) unlink_numbered(home, "log", l.logs[i]);
    fn_dstore_unlink_new(home, "base");
    fn_dstore_unlink_new(home, "log");
    home->files->fsync_dir(home->files, home->directory);
}

static fn_err take_lock(const struct fn_dstore_home *home, int *lock)
{
    FN_SCOPED_HEAP char *path = NULL;
    int handle;
    FN_TRY(fn_heap_format(&path, "%s/lock", home->directory));
    FN_TRY(
        home->files->open(home->files, path, FN_FILE_READ | FN_FILE_WRITE | FN_FILE_CREATE, 0600, &handle));
    fn_err err = home->files->lock(home->files, handle);
    if (err != FN_OK) {
        home->files->close(home->files, handle);
        return FN_WRAP(err, "%s", path);
    }
    *lock = handle;
    return FN_OK;
}

/* ---- creating ---- */

static fn_err create_files(const struct fn_dstore_home *home, const struct fn_dstore_root *root)
{
    SCOPED_LISTING struct listing l = {0};
    FN_TRY(list(home, &l));
    /* A lone log.0 is what a creation left that did not come to its end. */
    if (l.base_count || l.log_count > 1 || (l.log_count && l.logs[0]))
        return FN_FAIL(FN_E_EXISTS, "%s holds a store", home->directory);
    static const uint8_t nothing[FN_DSTORE_MAC];
    struct fn_dstore_log *log;
    struct fn_dstore_base *base;
    FN_TRY(fn_dstore_log_create(&log, home, root, 0, nothing, true));
    fn_err err = fn_dstore_base_write(&base, home, root, 0, log->head, NULL, NULL, NULL);
    fn_dstore_log_close(log);
    FN_TRY(err);
    fn_dstore_base_release(base);
    FN_TRY(fn_dstore_place(home, "base", 0));
    return home->files->fsync_dir(home->files, home->directory);
}

fn_err fn_device_store_create(const struct fn_files *files, const char *directory,
                              const struct fn_device_store_keys *keys)
{
    struct fn_dstore_home home = {files, directory};
    fn_err err = files->mkdir(files, directory, 0700);
    if (err != FN_OK && err != FN_E_EXISTS) return err;
    /* Also for a directory that a creation made which was cut short; one made by others may lie where we
     * cannot read. */
    bool made = err == FN_OK;
    err = fn_files_fsync_parent(files, directory);
    if (err != FN_OK && (made || err != FN_E_DENIED)) return err;
    int lock;
    FN_TRY(take_lock(&home, &lock));
    struct fn_dstore_root *root = NULL;
    err = fn_dstore_root_new(&root, keys);
    if (err == FN_OK) err = create_files(&home, root);
    if (err == FN_OK) fn_err_clear();
    fn_secret_free(root);
    files->close(files, lock);
    return err;
}

/* ---- opening ---- */

void fn_dstore_apply(struct fn_device_store *store, struct fn_dstore_node *node)
{
    const struct fn_dstore_node *now = fn_dstore_overlay_find(&store->active, node->name);
    const struct fn_dstore_node *before = fn_dstore_overlay_find(&store->frozen, node->name);
    uint64_t position;
    bool below = before ? !before->removes : fn_dstore_base_find(store->base, node->name, &position);
    bool had = now ? !now->removes : below;
    store->counts[node->name[0]] += (uint64_t)!node->removes - (uint64_t)had;
    if (!node->removes || below) {
        fn_dstore_overlay_put(&store->active, node);
        return;
    }
    /* Nothing lies below that a mark of removal would have to hide. */
    fn_dstore_overlay_drop(&store->active, node->name);
    free(node);
}

static void apply_replayed(void *context, struct fn_dstore_node *node)
{
    fn_dstore_apply(context, node);
}

static fn_err log_size(const struct fn_dstore_home *home, uint64_t generation, uint64_t *size)
{
    FN_SCOPED_HEAP char *path = NULL;
    int handle;
    FN_TRY(fn_dstore_path(&path, home, "log", generation));
    FN_TRY(home->files->open(home->files, path, FN_FILE_READ, 0, &handle));
    fn_err err = home->files->size(home->files, handle, size);
    home->files->close(home->files, handle);
    return err;
}

/* Keeps the base's own log and the later ones that hold a frame. A later log without one was made for a
 * checkpoint or a rekeying that did not come to its end (or for one that did, when nothing was committed
 * since): the log before it is gone on with. Being empty it cannot hide anything. */
static fn_err choose_logs(const struct fn_dstore_home *home, uint64_t base, struct listing *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->log_count; i++) {
        uint64_t size;
        if (l->logs[i] < base) continue;
        if (l->logs[i] > base) {
            FN_TRY(log_size(home, l->logs[i], &size));
            if (size <= FN_DSTORE_HEADER) continue;
        }
        l->logs[kept++] = l->logs[i];
    }
    l->log_count = kept;
    if (!kept || l->logs[0] != base)
        return FN_FAIL(FN_E_CORRUPT, "%s: log.%llu is missing", home->directory, (unsigned long long)base);
    return FN_OK;
}

static fn_err replay_logs(struct fn_device_store *store, const struct listing *l, struct fn_dstore_replay *r)
{
    for (size_t i = 0; i < l->log_count; i++) {
        struct fn_dstore_log *log, *previous = store->log;
        FN_TRY(fn_dstore_log_open(&log, &store->home, store->root, l->logs[i],
                                  previous ? previous->tag : NULL, previous ? NULL : store->base->log_tag,
                                  i + 1 == l->log_count, r));
        if (previous) store->older_bytes += previous->end;
        fn_dstore_log_close(previous);
        store->log = log;
    }
    store->log_bytes = store->log->end;
    return FN_OK;
}

static fn_err open_files(struct fn_device_store *store, struct fn_device_store_report *report)
{
    SCOPED_LISTING struct listing l = {0};
    const struct fn_dstore_home *home = &store->home;
    FN_TRY(list(home, &l));
    if (!l.base_count) {
        if (l.log_count > 1 || (l.log_count && l.logs[0]))
            return FN_FAIL(FN_E_CORRUPT, "%s: logs without a base", home->directory);
        return FN_FAIL(FN_E_NOT_FOUND, "%s holds no store", home->directory);
    }
    /* Only the newest base counts: a name without ".new" is given to a complete file alone. There is no
     * falling back to an older one, which would bring back what was destroyed since and open the store under
     * keys that were replaced. */
    uint64_t newest = l.bases[l.base_count - 1];
    FN_TRY(fn_dstore_base_load(&store->base, home, store->root, newest));
    for (unsigned kind = 0; kind < FN_RECORD_KINDS; kind++)
        store->counts[kind] = store->base->start[kind + 1] - store->base->start[kind];
    FN_TRY(choose_logs(home, newest, &l));
    struct fn_dstore_replay r = {
        .apply = apply_replayed, .context = store, .overlay = &store->active, .generation = newest};
    FN_TRY(replay_logs(store, &l, &r));
    store->generation = r.generation;
    store->clean = r.clean;
    /* The names as found become durable before anything older goes. */
    FN_TRY(home->files->fsync_dir(home->files, home->directory));
    fn_dstore_sweep(home, newest);
    *report = (struct fn_device_store_report){.generation = r.generation,
                                              .log_commits = r.commits,
                                              .torn_bytes_dropped = r.torn_bytes,
                                              .clean = r.clean};
    for (unsigned kind = 0; kind < FN_RECORD_KINDS; kind++) report->records += store->counts[kind];
    return FN_OK;
}

static void store_free(struct fn_device_store *store)
{
    const struct fn_files *files = store->home.files;
    fn_dstore_log_close(store->log);
    fn_dstore_overlay_clear(&store->active);
    fn_dstore_overlay_clear(&store->frozen);
    fn_dstore_base_release(store->base);
    fn_secret_free(store->root);
    fn_buf_free(&store->frame);
    if (store->lock >= 0) files->close(files, store->lock);
    pthread_rwlock_destroy(&store->view);
    pthread_mutex_destroy(&store->queue);
    pthread_mutex_destroy(&store->keeping);
    pthread_cond_destroy(&store->work);
    pthread_cond_destroy(&store->wake);
    pthread_cond_destroy(&store->released);
    free(store->directory);
    free(store);
}

static fn_err store_new(struct fn_device_store **store, const struct fn_files *files, const char *directory)
{
    struct fn_device_store *s;
    FN_TRY(fn_heap_array(&s, 1, sizeof *s));
    s->home.files = files;
    s->lock = -1;
    s->end = &s->first;
    s->frame = fn_buf_heap();
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->view, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    pthread_mutex_init(&s->queue, NULL);
    pthread_mutex_init(&s->keeping, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->wake, NULL);
    pthread_cond_init(&s->released, NULL);
    fn_err err = fn_heap_text(&s->directory, directory, strlen(directory));
    if (err != FN_OK) {
        store_free(s);
        return err;
    }
    s->home.directory = s->directory;
    *store = s;
    return FN_OK;
}

fn_err fn_device_store_open(struct fn_device_store **store, const struct fn_files *files,
                            const char *directory, const struct fn_device_store_keys *keys,
                            struct fn_device_store_report *report)
{
    struct fn_device_store *s;
    struct fn_device_store_report unused;
    FN_TRY(store_new(&s, files, directory));
    fn_err err = take_lock(&s->home, &s->lock);
    if (err == FN_OK) err = fn_dstore_root_new(&s->root, keys);
    if (err == FN_OK) err = open_files(s, report ? report : &unused);
    if (err == FN_OK) {
        fn_dstore_set_limit(s, 0);
        err = fn_dstore_start(s);
    }
    if (err != FN_OK) {
        fn_err_pass(err, __FILE__, __LINE__);
        store_free(s);
        return err;
    }
    *store = s;
    return FN_OK;
}

static void write_clean_mark(struct fn_device_store *store)
{
    static const uint8_t no_salt[FN_DSTORE_SALT];
    bool usable;
    if (store->clean || fn_dstore_frame_begin(&store->frame) != FN_OK) return;
    if (fn_dstore_frame_finish(store->log, &store->frame, FN_DSTORE_CLEAN, store->generation, 0, no_salt) !=
        FN_OK)
        return;
    /* Without the mark the next opening says that the stop was not clean; nothing else is lost. */
    (void)fn_dstore_log_append(store->log, &store->frame, &usable);
}

void fn_device_store_close(struct fn_device_store *store)
{
    if (!store) return;
    fn_dstore_stop_keeper(store);
    if (!store->refuses && store->older_bytes + store->log_bytes > store->checkpoint_at / 2) {
        store->cancel = false;
        (void)fn_device_store_checkpoint(store);
    }
    fn_dstore_stop_writer(store);
    if (!store->refuses) write_clean_mark(store);
    store_free(store);
}

/* ---- reading ---- */

static const struct fn_dstore_node *find_change(const struct fn_device_store *store, const uint8_t *name)
{
    const struct fn_dstore_node *node = fn_dstore_overlay_find(&store->active, name);
    return node ? node : fn_dstore_overlay_find(&store->frozen, name);
}

static fn_err read_change(const struct fn_dstore_node *node, struct fn_buf *out)
{
    uint8_t *where, tag[FN_DSTORE_TAG];
    struct fn_dstore_batch b;
    if (node->removes) return FN_E_NOT_FOUND;
    FN_TRY(fn_buf_reserve(out, node->size, &where));
    memcpy(tag, node->sealed + node->size, sizeof tag);
    b.count = 0;
    fn_dstore_batch_add(&b, &node->seal->key, node->name, node->generation, node->generation, node->position,
                        node->sealed, where, node->size, tag);
    if (fn_gcm_decrypt(&b.jobs[0]) != FN_OK)
        return FN_FAIL(FN_E_CORRUPT, "value of commit %llu does not authenticate",
                       (unsigned long long)node->generation);
    out->n += node->size;
    return FN_OK;
}

fn_err fn_device_store_get(struct fn_device_store *store, const struct fn_record_name *name,
                           struct fn_buf *out)
{
    uint8_t key[FN_DSTORE_NAME];
    FN_TRY(fn_dstore_name(name, key));
    pthread_rwlock_rdlock(&store->view);
    const struct fn_dstore_node *node = find_change(store, key);
    if (node) {
        fn_err err = read_change(node, out);
        pthread_rwlock_unlock(&store->view);
        return err == FN_E_NOT_FOUND ? FN_FAIL(FN_E_NOT_FOUND, "record of kind %u", name->kind) : err;
    }
    struct fn_dstore_base *base = store->base;
    fn_dstore_base_hold(base);
    pthread_rwlock_unlock(&store->view);
    uint64_t position;
    fn_err err = fn_dstore_base_find(base, key, &position)
                     ? fn_dstore_base_value(base, position, out)
                     : FN_FAIL(FN_E_NOT_FOUND, "record of kind %u", name->kind);
    fn_dstore_base_release(base);
    return err;
}

bool fn_device_store_has(struct fn_device_store *store, const struct fn_record_name *name)
{
    uint8_t key[FN_DSTORE_NAME];
    uint64_t position;
    if (fn_dstore_name(name, key) != FN_OK) return false;
    pthread_rwlock_rdlock(&store->view);
    const struct fn_dstore_node *node = find_change(store, key);
    bool has = node ? !node->removes : fn_dstore_base_find(store->base, key, &position);
    pthread_rwlock_unlock(&store->view);
    return has;
}

/* The three layers, each at its next name. */
struct walk {
    const struct fn_device_store *store;
    const struct fn_dstore_node *active, *frozen;
    uint64_t position;
};

static const uint8_t *lower_name(const uint8_t *a, const uint8_t *b)
{
    if (!a || !b) return a ? a : b;
    return memcmp(a, b, FN_DSTORE_NAME) <= 0 ? a : b;
}

/* Next name that exists, NULL at the end. */
static const uint8_t *walk_next(struct walk *w)
{
    const struct fn_dstore_base *base = w->store->base;
    for (;;) {
        const uint8_t *entry = w->position < base->count ? fn_dstore_base_name(base, w->position) : NULL;
        const uint8_t *active = w->active ? w->active->name : NULL,
                      *frozen = w->frozen ? w->frozen->name : NULL;
        const uint8_t *name = lower_name(active, lower_name(frozen, entry));
        if (!name) return NULL;
        bool removes = name == active ? w->active->removes : name == frozen && w->frozen->removes;
        /* Every layer that stands at this name moves on; the upper one spoke for all. */
        if (active && memcmp(active, name, FN_DSTORE_NAME) == 0) w->active = w->active->next[0];
        if (frozen && memcmp(frozen, name, FN_DSTORE_NAME) == 0) w->frozen = w->frozen->next[0];
        if (entry && memcmp(entry, name, FN_DSTORE_NAME) == 0) w->position++;
        if (!removes) return name;
    }
}

/* Names of a kind from a name on (above it, unless `from`). */
static size_t collect(struct fn_device_store *store, uint8_t kind, const uint8_t *after, bool from,
                      struct fn_record_name names[EACH_BATCH])
{
    size_t n = 0;
    uint64_t position;
    pthread_rwlock_rdlock(&store->view);
    bool at = fn_dstore_base_find(store->base, after, &position);
    struct walk w = {store, fn_dstore_overlay_after(&store->active, after, from),
                     fn_dstore_overlay_after(&store->frozen, after, from), position + (at && !from)};
    for (const uint8_t *name; n < EACH_BATCH && (name = walk_next(&w)) && name[0] == kind;)
        names[n++] = fn_dstore_name_back(name);
    pthread_rwlock_unlock(&store->view);
    return n;
}

fn_err fn_device_store_each(struct fn_device_store *store, uint8_t kind, const struct fn_record_name *after,
                            fn_err (*each)(void *context, const struct fn_record_name *name), void *context)
{
    struct fn_record_name names[EACH_BATCH], first = {.kind = kind};
    uint8_t key[FN_DSTORE_NAME];
    bool from = !after;
    if (after && after->kind != kind)
        return FN_FAIL(FN_E_ARGUMENT, "kind %u after a name of kind %u", kind, after->kind);
    FN_TRY(fn_dstore_name(after ? after : &first, key));
    for (size_t n = EACH_BATCH; n == EACH_BATCH; from = false) {
        n = collect(store, kind, key, from, names);
        for (size_t i = 0; i < n; i++) FN_TRY(each(context, &names[i]));
        if (n) FN_TRY(fn_dstore_name(&names[n - 1], key));
    }
    return FN_OK;
}

uint64_t fn_device_store_generation(struct fn_device_store *store)
{
    pthread_rwlock_rdlock(&store->view);
    uint64_t generation = store->generation;
    pthread_rwlock_unlock(&store->view);
    return generation;
}

uint64_t fn_device_store_count(struct fn_device_store *store, uint8_t kind)
{
    if (kind >= FN_RECORD_KINDS) return 0;
    pthread_rwlock_rdlock(&store->view);
    uint64_t count = store->counts[kind];
    pthread_rwlock_unlock(&store->view);
    return count;
}

struct checking {
    struct fn_device_store *store;
    const bool *stop;
    uint64_t *checked;
    struct fn_buf value;
};

static fn_err check_one(void *context, const struct fn_record_name *name)
{
    struct checking *c = context;
    if (c->stop && __atomic_load_n(c->stop, __ATOMIC_RELAXED))
        return FN_FAIL(FN_E_CANCELLED, "check given up");
    c->value.n = 0;
    fn_err err = fn_device_store_get(c->store, name, &c->value);
    if (err == FN_E_NOT_FOUND) return FN_OK; /* removed since its name was read */
    FN_TRY(err);
    ++*c->checked;
    return FN_OK;
}

fn_err fn_device_store_verify(struct fn_device_store *store, const bool *stop, uint64_t *checked)
{
    struct checking c = {store, stop, checked, fn_buf_secret()};
    fn_err err = FN_OK;
    *checked = 0;
    for (uint8_t kind = 1; kind < FN_RECORD_KINDS && err == FN_OK; kind++)
        err = fn_device_store_each(store, kind, NULL, check_one, &c);
    fn_buf_free(&c.value);
    return err;
}

void fn_device_store_figures(struct fn_device_store *store, struct fn_device_store_figures *figures)
{
    pthread_rwlock_rdlock(&store->view);
    *figures = (struct fn_device_store_figures){
        .base_bytes = store->base->size,
        .memory_bytes = store->base->count * FN_DSTORE_ENTRY + store->active.bytes + store->frozen.bytes,
        .checkpoints = store->checkpoints,
        .last_checkpoint = store->last_checkpoint,
    };
    pthread_rwlock_unlock(&store->view);
    figures->log_bytes = __atomic_load_n(&store->older_bytes, __ATOMIC_RELAXED) +
                         __atomic_load_n(&store->log_bytes, __ATOMIC_RELAXED);
    figures->refuses = __atomic_load_n(&store->refuses, __ATOMIC_ACQUIRE);
}
