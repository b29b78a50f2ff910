/* Committing, checkpoints and rekeying. One thread, the writer, owns the newest log; a second, the keeper,
 * makes new bases in the background. Callers leave jobs in a queue. What waited while the writer was in fsync
 * becomes its next frame, so that concurrent commits share one. */
#include "device/store_parts.h"

#include <semaphore.h>
#include <string.h>

#define GROUP_MOST      (4u << 20) /* bytes of body after which a group takes no further commit */
#define LOG_LIMIT_MOST  (64ull << 20)
#define LOG_LIMIT_LEAST (1ull << 20)
#define FRAME_KEPT      (8u << 20) /* larger buffers are given back after use */
#define CHANGE_HEADER   (FN_DSTORE_NAME + 5u)

enum job_kind { JOB_COMMIT, JOB_ROTATE, JOB_HOLD };

struct change {
    struct fn_dstore_node *node; /* made by the caller, so that nothing can fail once the commit is durable */
    const uint8_t *value;
};

struct fn_dstore_job {
    struct fn_dstore_job *next;
    enum job_kind kind;
    void (*done)(void *context, fn_err result);
    void *context;
    uint8_t *copy; /* of the values, in secret memory; NULL when they are borrowed */
    size_t body, count;
    struct change changes[];
};

static void job_free(struct fn_dstore_job *job)
{
    for (size_t i = 0; i < job->count; i++) free(job->changes[i].node);
    fn_secret_free(job->copy);
    free(job);
}

static fn_err refuse(struct fn_device_store *store)
{
    return FN_FAIL(FN_E_IO, "the store of %s takes no commit after a failed write until it is opened again",
                   store->directory);
}

static fn_err refused(struct fn_device_store *store)
{
    return __atomic_load_n(&store->refuses, __ATOMIC_ACQUIRE) ? refuse(store) : FN_OK;
}

static void poison(struct fn_device_store *store, fn_err err)
{
    __atomic_store_n(&store->refuses, err, __ATOMIC_RELEASE);
}

/* ---- jobs ---- */

static fn_err add_change(struct fn_dstore_job *job, const struct fn_change *c)
{
    uint8_t name[FN_DSTORE_NAME];
    FN_TRY(fn_dstore_name(&c->name, name));
    if (c->remove && c->name.kind == FN_RECORD_DESTROYED)
        return FN_FAIL(FN_E_ARGUMENT, "a record of destruction is never removed");
    size_t n = c->remove ? 0 : c->value.n;
    if (n > FN_RECORD_VALUE_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "value of %zu bytes, at most %u", n, FN_RECORD_VALUE_MOST);
    job->body += CHANGE_HEADER + (c->remove ? 0 : n + FN_DSTORE_TAG);
    if (job->body > FN_DSTORE_COMMIT_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "commit of more than %u bytes", FN_DSTORE_COMMIT_MOST);
    struct change *change = &job->changes[job->count];
    FN_TRY(fn_dstore_node_new(&change->node, name, c->remove, (uint32_t)n));
    change->value = n ? c->value.p : NULL;
    job->count++;
    return FN_OK;
}

static fn_err copy_values(struct fn_dstore_job *job)
{
    size_t n = 0;
    for (size_t i = 0; i < job->count; i++) n += job->changes[i].node->size;
    if (!n) return FN_OK;
    FN_TRY(fn_secret_alloc(&job->copy, n));
    uint8_t *at = job->copy;
    for (size_t i = 0; i < job->count; i++) {
        struct change *c = &job->changes[i];
        if (!c->node->size) continue;
        memcpy(at, c->value, c->node->size);
        c->value = at;
        at += c->node->size;
    }
    return FN_OK;
}

static fn_err job_new(struct fn_dstore_job **job, enum job_kind kind, const struct fn_change *changes,
                      size_t count, bool copy)
{
    struct fn_dstore_job *j;
    if (count > FN_DSTORE_COMMIT_MOST / CHANGE_HEADER)
        return FN_FAIL(FN_E_TOO_LARGE, "commit of %zu changes", count);
    FN_TRY(fn_heap_array(&j, sizeof *j + count * sizeof j->changes[0], 1));
    j->kind = kind;
    j->body = 4;
    fn_err err = FN_OK;
    for (size_t i = 0; i < count && err == FN_OK; i++) err = add_change(j, &changes[i]);
    if (err == FN_OK && copy) err = copy_values(j);
    if (err != FN_OK) {
        job_free(j);
        return err;
    }
    *job = j;
    return FN_OK;
}

static void enqueue(struct fn_device_store *store, struct fn_dstore_job *job)
{
    pthread_mutex_lock(&store->queue);
    *store->end = job;
    store->end = &job->next;
    pthread_cond_signal(&store->work);
    pthread_mutex_unlock(&store->queue);
}

/* A caller that waits. The chain of causes is the writer's, so the first detail is carried over. */
struct waiter {
    sem_t done;
    fn_err result;
    char detail[FN_ERR_DETAIL];
};

static void finish_waiter(void *context, fn_err result)
{
    struct waiter *w = context;
    const struct fn_err_cause *causes;
    w->result = result;
    if (result != FN_OK && fn_err_chain(&causes)) memcpy(w->detail, causes[0].detail, sizeof w->detail);
    sem_post(&w->done);
}

static fn_err run_and_wait(struct fn_device_store *store, struct fn_dstore_job *job)
{
    struct waiter w = {.result = FN_OK};
    sem_init(&w.done, 0, 0);
    job->done = finish_waiter;
    job->context = &w;
    enqueue(store, job);
    while (sem_wait(&w.done)) {
    } /* interrupted by a signal */
    sem_destroy(&w.done);
    return w.result == FN_OK ? FN_OK : FN_FAIL(w.result, "%s", w.detail);
}

fn_err fn_device_store_commit(struct fn_device_store *store, const struct fn_change *changes, size_t count)
{
    struct fn_dstore_job *job;
    FN_TRY(refused(store));
    FN_TRY(job_new(&job, JOB_COMMIT, changes, count, false));
    return run_and_wait(store, job);
}

fn_err fn_device_store_submit(struct fn_device_store *store, const struct fn_change *changes, size_t count,
                              void (*done)(void *context, fn_err result), void *context)
{
    struct fn_dstore_job *job;
    FN_TRY(refused(store));
    FN_TRY(job_new(&job, JOB_COMMIT, changes, count, true));
    job->done = done;
    job->context = context;
    enqueue(store, job);
    return FN_OK;
}

/* ---- the writer: a group of commits ---- */

static void flush_batch(struct fn_dstore_batch *b)
{
    fn_gcm_encrypt_batch(b->count, b->jobs);
    b->count = 0;
}

static void seal_group(struct fn_device_store *store, struct fn_dstore_job *group, struct fn_dstore_batch *b)
{
    uint64_t generation = store->generation;
    b->count = 0;
    for (struct fn_dstore_job *job = group; job; job = job->next) {
        generation++;
        for (size_t i = 0; i < job->count; i++) {
            struct fn_dstore_node *node = job->changes[i].node;
            if (node->removes) continue;
            node->seal = store->seal;
            node->generation = generation;
            node->position = (uint32_t)i;
            fn_dstore_batch_add(b, &store->seal->key, node->name, generation, generation, node->position,
                                job->changes[i].value, node->sealed, node->size, node->sealed + node->size);
            if (b->count == FN_DSTORE_BATCH) flush_batch(b);
        }
    }
    flush_batch(b);
}

static fn_err fill_frame(struct fn_device_store *store, const struct fn_dstore_job *group, uint32_t *commits)
{
    struct fn_buf *f = &store->frame;
    FN_TRY(fn_dstore_frame_begin(f));
    *commits = 0;
    for (const struct fn_dstore_job *job = group; job; job = job->next) {
        FN_TRY(fn_buf_u32(f, (uint32_t)job->count));
        for (size_t i = 0; i < job->count; i++) {
            const struct fn_dstore_node *node = job->changes[i].node;
            FN_TRY(fn_buf_add(f, node->name, sizeof node->name));
            FN_TRY(fn_buf_u8(f, node->removes));
            FN_TRY(fn_buf_u32(f, node->size));
            if (!node->removes) FN_TRY(fn_buf_add(f, node->sealed, node->size + FN_DSTORE_TAG));
        }
        ++*commits;
    }
    return fn_dstore_frame_finish(store->log, f, FN_DSTORE_COMMITS, store->generation + 1, *commits,
                                  store->seal->salt);
}

static fn_err write_group(struct fn_device_store *store, struct fn_dstore_job *group,
                          struct fn_dstore_batch *b)
{
    uint32_t commits;
    bool usable;
    FN_TRY(refused(store));
    if (!store->seal) FN_TRY(fn_dstore_log_seal(store->log, store->root, NULL, &store->active, &store->seal));
    seal_group(store, group, b);
    FN_TRY(fill_frame(store, group, &commits));
    fn_err err = fn_dstore_log_append(store->log, &store->frame, &usable);
    if (err != FN_OK) {
        /* Parts of the frame may have been seen; its nonces are not used again. */
        store->seal = NULL;
        if (!usable) poison(store, err);
        return err;
    }
    store->clean = false;
    __atomic_store_n(&store->log_bytes, store->log->end, __ATOMIC_RELAXED);
    pthread_rwlock_wrlock(&store->view);
    for (struct fn_dstore_job *job = group; job; job = job->next) {
        for (size_t i = 0; i < job->count; i++) fn_dstore_apply(store, job->changes[i].node);
        job->count = 0;
    }
    store->generation += commits;
    pthread_rwlock_unlock(&store->view);
    return FN_OK;
}

static void finish_group(struct fn_dstore_job *group, fn_err err)
{
    char detail[FN_ERR_DETAIL] = "";
    const struct fn_err_cause *causes;
    if (err != FN_OK && fn_err_chain(&causes)) memcpy(detail, causes[0].detail, sizeof detail);
    for (struct fn_dstore_job *job = group, *next; job; job = next) {
        next = job->next;
        if (err != FN_OK) (void)FN_FAIL(err, "%s", detail); /* callbacks may have left another chain */
        job->done(job->context, err);
        job_free(job);
    }
}

static void wake_keeper(struct fn_device_store *store)
{
    uint64_t bytes = __atomic_load_n(&store->older_bytes, __ATOMIC_RELAXED) + store->log->end;
    if (bytes < __atomic_load_n(&store->checkpoint_at, __ATOMIC_RELAXED)) return;
    pthread_mutex_lock(&store->queue);
    store->wanted = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->queue);
}

/* Starts a new log, so that a base can be made of everything before it while commits go on. When no commit
 * came since the last time (that checkpoint failed) its log serves on. */
static fn_err rotate(struct fn_device_store *store)
{
    struct fn_dstore_log *old = store->log, *fresh = NULL;
    FN_TRY(refused(store));
    if (old->start != store->generation)
        FN_TRY(fn_dstore_log_create(&fresh, &store->home, store->root, store->generation, old->tag, false));
    pthread_rwlock_wrlock(&store->view);
    fn_dstore_overlay_absorb(&store->frozen, &store->active);
    pthread_rwlock_unlock(&store->view);
    store->seal = NULL;
    if (!fresh) return FN_OK;
    __atomic_add_fetch(&store->older_bytes, old->end, __ATOMIC_RELAXED);
    __atomic_store_n(&store->log_bytes, fresh->end, __ATOMIC_RELAXED);
    store->log = fresh;
    store->clean = false;
    fn_dstore_log_close(old);
    return FN_OK;
}

/* Lets the one who asked for it use what is the writer's until the release. */
static void be_held(struct fn_device_store *store, struct fn_dstore_job *job)
{
    finish_group(job, FN_OK);
    pthread_mutex_lock(&store->queue);
    while (store->hold) pthread_cond_wait(&store->released, &store->queue);
    pthread_mutex_unlock(&store->queue);
}

/* The first job of the queue, with the commits that can go along with it; NULL at the stop. */
static struct fn_dstore_job *take_group(struct fn_device_store *store)
{
    pthread_mutex_lock(&store->queue);
    while (!store->first && !store->stopping) pthread_cond_wait(&store->work, &store->queue);
    struct fn_dstore_job *group = store->first, *last = group;
    if (group) {
        size_t body = group->body;
        while (group->kind == JOB_COMMIT && last->next && last->next->kind == JOB_COMMIT &&
               body + last->next->body <= GROUP_MOST) {
            last = last->next;
            body += last->body;
        }
        store->first = last->next;
        if (!store->first) store->end = &store->first;
        last->next = NULL;
    }
    pthread_mutex_unlock(&store->queue);
    return group;
}

static void *writer_main(void *context)
{
    struct fn_device_store *store = context;
    struct fn_dstore_batch batch;
    for (struct fn_dstore_job *group; (group = take_group(store));) {
        if (group->kind == JOB_HOLD) {
            be_held(store, group);
            continue;
        }
        finish_group(group, group->kind == JOB_ROTATE ? rotate(store) : write_group(store, group, &batch));
        if (store->frame.room > FRAME_KEPT) fn_buf_free(&store->frame);
        wake_keeper(store);
    }
    return NULL;
}

/* ---- checkpoints ---- */

/* The next background checkpoint comes when the log is `more` bytes and a limit long: half of the base, at
 * least 1 MiB, at most 64 MiB. */
void fn_dstore_set_limit(struct fn_device_store *store, uint64_t more)
{
    uint64_t limit = store->base->size / 2;
    if (limit < LOG_LIMIT_LEAST) limit = LOG_LIMIT_LEAST;
    if (limit > LOG_LIMIT_MOST) limit = LOG_LIMIT_MOST;
    __atomic_store_n(&store->checkpoint_at, more + limit, __ATOMIC_RELAXED);
}

static fn_err ask_writer(struct fn_device_store *store, enum job_kind kind)
{
    struct fn_dstore_job *job;
    FN_TRY(job_new(&job, kind, NULL, 0, false));
    return run_and_wait(store, job);
}

static bool anything_new(struct fn_device_store *store)
{
    pthread_rwlock_rdlock(&store->view);
    bool news = store->generation != store->base->generation;
    pthread_rwlock_unlock(&store->view);
    return news;
}

/* Puts a base that is durable under its name in place of the old one and the frozen changes. */
static void show_base(struct fn_device_store *store, struct fn_dstore_base *fresh)
{
    pthread_rwlock_wrlock(&store->view);
    struct fn_dstore_base *old = store->base;
    struct fn_dstore_overlay merged = store->frozen;
    store->base = fresh;
    store->frozen = (struct fn_dstore_overlay){0};
    store->checkpoints++;
    pthread_rwlock_unlock(&store->view);
    fn_dstore_base_release(old);
    fn_dstore_overlay_clear(&merged);
    fn_dstore_set_limit(store, 0);
    fn_dstore_sweep(&store->home, fresh->generation);
}

/* At every moment of this the directory opens to the same records: until the rename by the old base, its log
 * and the new log, afterwards by the new base and the new log. */
static fn_err checkpoint(struct fn_device_store *store)
{
    FN_TRY(refused(store));
    if (!anything_new(store)) return FN_OK;
    FN_TRY(ask_writer(store, JOB_ROTATE));
    /* `log` is exchanged only by who holds `keeping`; of its fields only these two never change. */
    uint64_t generation = store->log->start;
    struct fn_dstore_base *fresh;
    FN_TRY(fn_dstore_base_write(&fresh, &store->home, store->root, generation, store->log->head, store->base,
                                &store->frozen, &store->cancel));
    fn_err err = fn_dstore_place(&store->home, "base", generation);
    if (err == FN_OK) err = store->home.files->fsync_dir(store->home.files, store->home.directory);
    if (err != FN_OK) {
        fn_err_pass(err, __FILE__, __LINE__);
        fn_dstore_base_release(fresh);
        return err;
    }
    __atomic_store_n(&store->older_bytes, 0, __ATOMIC_RELAXED);
    show_base(store, fresh);
    return FN_OK;
}

static void remember(struct fn_device_store *store, fn_err err)
{
    if (err != FN_OK)
        fn_dstore_set_limit(store, __atomic_load_n(&store->older_bytes, __ATOMIC_RELAXED) +
                                       __atomic_load_n(&store->log_bytes, __ATOMIC_RELAXED));
    pthread_rwlock_wrlock(&store->view);
    store->last_checkpoint = err;
    pthread_rwlock_unlock(&store->view);
}

fn_err fn_device_store_checkpoint(struct fn_device_store *store)
{
    pthread_mutex_lock(&store->keeping);
    fn_err err = checkpoint(store);
    remember(store, err);
    pthread_mutex_unlock(&store->keeping);
    return err;
}

/* ---- rekeying, with the writer held ---- */

static void unlink_log(struct fn_device_store *store, uint64_t generation)
{
    FN_SCOPED_HEAP char *path = NULL;
    if (fn_dstore_path(&path, &store->home, "log", generation) == FN_OK)
        store->home.files->unlink(store->home.files, path);
}

/* The rename of the base decides. Before it the new log is an empty one that the old keys' files pass over.
 * It counts as a commit, so that no file of one key stands under the name of one of the other. */
static fn_err place_rekeyed(struct fn_device_store *store, uint64_t generation)
{
    fn_err err = fn_dstore_place(&store->home, "base", generation);
    if (err == FN_OK) err = store->home.files->fsync_dir(store->home.files, store->home.directory);
    /* Which of the two the disk holds is unknown from here: only opening can tell. */
    if (err != FN_OK) poison(store, err);
    return err;
}

static fn_err rekey_files(struct fn_device_store *store, const struct fn_dstore_root *root,
                          struct fn_dstore_log **log, struct fn_dstore_base **base)
{
    static const uint8_t nothing[FN_DSTORE_MAC];
    uint64_t generation = store->generation + 1;
    FN_TRY(fn_dstore_log_create(log, &store->home, root, generation, nothing, false));
    fn_err err = fn_dstore_base_write(base, &store->home, root, generation, (*log)->head, store->base,
                                      &store->frozen, &store->cancel);
    if (err != FN_OK) {
        unlink_log(store, generation);
        return err;
    }
    return place_rekeyed(store, generation);
}

static fn_err rekey(struct fn_device_store *store, struct fn_dstore_root *root)
{
    FN_TRY(refused(store));
    struct fn_dstore_log *log = NULL;
    struct fn_dstore_base *base = NULL;
    pthread_rwlock_wrlock(&store->view);
    fn_dstore_overlay_absorb(&store->frozen, &store->active);
    pthread_rwlock_unlock(&store->view);
    store->seal = NULL;
    fn_err err = rekey_files(store, root, &log, &base);
    if (err != FN_OK) {
        fn_err_pass(err, __FILE__, __LINE__);
        fn_dstore_log_close(log);
        fn_dstore_base_release(base);
        return err;
    }
    fn_dstore_log_close(store->log);
    store->log = log;
    store->clean = false;
    __atomic_store_n(&store->older_bytes, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&store->log_bytes, log->end, __ATOMIC_RELAXED);
    pthread_rwlock_wrlock(&store->view);
    store->generation = base->generation;
    pthread_rwlock_unlock(&store->view);
    show_base(store, base);
    return FN_OK;
}

static fn_err hold_and_rekey(struct fn_device_store *store, struct fn_dstore_root **root)
{
    pthread_mutex_lock(&store->queue);
    store->hold = true;
    pthread_mutex_unlock(&store->queue);
    fn_err err = ask_writer(store, JOB_HOLD);
    if (err == FN_OK) {
        err = rekey(store, *root);
        if (err == FN_OK) {
            struct fn_dstore_root *old = store->root;
            store->root = *root;
            *root = old;
        }
    }
    pthread_mutex_lock(&store->queue);
    store->hold = false;
    pthread_cond_signal(&store->released);
    pthread_mutex_unlock(&store->queue);
    return err;
}

fn_err fn_device_store_rekey(struct fn_device_store *store, const struct fn_device_store_keys *keys)
{
    struct fn_dstore_root *root;
    FN_TRY(fn_dstore_root_new(&root, keys));
    pthread_mutex_lock(&store->keeping);
    fn_err err = hold_and_rekey(store, &root);
    remember(store, err);
    pthread_mutex_unlock(&store->keeping);
    fn_secret_free(root);
    return err;
}

/* ---- threads ---- */

static void *keeper_main(void *context)
{
    struct fn_device_store *store = context;
    pthread_mutex_lock(&store->queue);
    while (!store->cancel) {
        if (!store->wanted) {
            pthread_cond_wait(&store->wake, &store->queue);
            continue;
        }
        store->wanted = false;
        pthread_mutex_unlock(&store->queue);
        /* Its result is told by the figures; commits go on in the log whatever it is. */
        (void)fn_device_store_checkpoint(store);
        pthread_mutex_lock(&store->queue);
    }
    pthread_mutex_unlock(&store->queue);
    return NULL;
}

fn_err fn_dstore_start(struct fn_device_store *store)
{
    if (pthread_create(&store->writer, NULL, writer_main, store))
        return FN_FAIL(FN_E_NO_MEMORY, "writer thread");
    store->writer_runs = true;
    if (pthread_create(&store->keeper, NULL, keeper_main, store)) {
        fn_dstore_stop_writer(store);
        return FN_FAIL(FN_E_NO_MEMORY, "keeper thread");
    }
    store->keeper_runs = true;
    return FN_OK;
}

void fn_dstore_stop_keeper(struct fn_device_store *store)
{
    pthread_mutex_lock(&store->queue);
    __atomic_store_n(&store->cancel, true, __ATOMIC_RELAXED);
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->queue);
    if (store->keeper_runs) pthread_join(store->keeper, NULL);
    store->keeper_runs = false;
}

void fn_dstore_stop_writer(struct fn_device_store *store)
{
    pthread_mutex_lock(&store->queue);
    store->stopping = true;
    pthread_cond_signal(&store->work);
    pthread_mutex_unlock(&store->queue);
    if (store->writer_runs) pthread_join(store->writer, NULL);
    store->writer_runs = false;
}
