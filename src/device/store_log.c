#include "device/store_parts.h"

#include <string.h>

static const char magic[8] = "FNGLOG_1";
static const uint8_t frame_magic[4] = {'F', 'N', 'F', 'R'};

/* A group of commits is closed at this size, but one commit alone may be as large as FN_DSTORE_COMMIT_MOST.
 */
#define BODY_MOST       (2 * FN_DSTORE_COMMIT_MOST)
#define FRAME_MOST      (FN_DSTORE_FRAME + (size_t)BODY_MOST + FN_DSTORE_MAC)
#define CANDIDATES_MOST 16

static fn_err log_new(struct fn_dstore_log **log, const struct fn_files *files, uint64_t generation)
{
    FN_TRY(fn_secret_alloc(log, sizeof **log));
    (*log)->files = files;
    (*log)->handle = -1;
    (*log)->start = generation;
    return FN_OK;
}

void fn_dstore_log_close(struct fn_dstore_log *log)
{
    if (!log) return;
    if (log->handle >= 0) log->files->close(log->files, log->handle);
    fn_secret_free(log);
}

static void derive_mac(struct fn_dstore_log *log, const struct fn_dstore_root *root)
{
    uint8_t k[FN_DSTORE_MAC];
    FN_SCOPED_WIPE(k);
    fn_dstore_derive(&root->mac, "log frames", fn_bytes(log->salt, sizeof log->salt), fn_bytes(NULL, 0), k);
    fn_hmac_key_init(&log->mac, k, sizeof k);
}

fn_err fn_dstore_log_seal(const struct fn_dstore_log *log, const struct fn_dstore_root *root,
                          const uint8_t *salt, struct fn_dstore_overlay *o, struct fn_dstore_seal **seal)
{
    struct fn_dstore_seal *s;
    FN_TRY(fn_secret_alloc(&s, sizeof *s));
    fn_err err = FN_OK;
    if (salt)
        memcpy(s->salt, salt, sizeof s->salt);
    else
        err = fn_dstore_random(s->salt, sizeof s->salt);
    if (err != FN_OK) {
        fn_secret_free(s);
        return err;
    }
    uint8_t k[FN_DSTORE_MAC];
    FN_SCOPED_WIPE(k);
    fn_dstore_derive(&root->seal, "log values", fn_bytes(log->salt, sizeof log->salt),
                     fn_bytes(s->salt, sizeof s->salt), k);
    fn_gcm_key_init(&s->key, k);
    s->next = o->seals;
    o->seals = s;
    *seal = s;
    return FN_OK;
}

/* ---- frames ---- */

fn_err fn_dstore_frame_begin(struct fn_buf *frame)
{
    uint8_t *where;
    frame->n = 0;
    FN_TRY(fn_buf_reserve(frame, FN_DSTORE_FRAME, &where));
    memset(where, 0, FN_DSTORE_FRAME);
    frame->n = FN_DSTORE_FRAME;
    return FN_OK;
}

fn_err fn_dstore_frame_finish(const struct fn_dstore_log *log, struct fn_buf *frame,
                              enum fn_dstore_frame kind, uint64_t generation, uint32_t commits,
                              const uint8_t salt[FN_DSTORE_SALT])
{
    size_t body = frame->n - FN_DSTORE_FRAME;
    if (body > BODY_MOST) return FN_FAIL(FN_E_TOO_LARGE, "%zu bytes of commits at once", body);
    uint8_t *h = frame->p, tag[FN_DSTORE_MAC];
    memcpy(h, frame_magic, sizeof frame_magic);
    h[4] = (uint8_t)kind;
    fn_put_be32(h + 8, (uint32_t)body);
    fn_put_be32(h + 12, commits);
    fn_put_be64(h + 16, generation);
    memcpy(h + 24, salt, FN_DSTORE_SALT);
    memcpy(h + 56, log->tag, FN_DSTORE_MAC);
    fn_hmac_digest(&log->mac, frame->p, frame->n, tag);
    return fn_buf_add(frame, tag, sizeof tag);
}

struct frame {
    enum fn_dstore_frame kind;
    uint32_t commits;
    uint64_t generation;
    const uint8_t *salt, *before, *tag;
    struct fn_bytes body;
};

/* Length of the whole frame as its header says; 0 when no writer made such a header. */
static size_t frame_size(const uint8_t *h)
{
    uint32_t body = fn_get_be32(h + 8), commits = fn_get_be32(h + 12);
    if (memcmp(h, frame_magic, sizeof frame_magic) || h[5] || h[6] || h[7] || body > BODY_MOST) return 0;
    if (h[4] == FN_DSTORE_COMMITS ? commits == 0 : h[4] != FN_DSTORE_CLEAN || commits || body) return 0;
    return FN_DSTORE_FRAME + (size_t)body + FN_DSTORE_MAC;
}

/* Whether a frame that verifies by itself stands at p. Its header carries the tag of the frame before, so
 * that damage there does not hide this one. */
static bool frame_read(const struct fn_dstore_log *log, const uint8_t *p, size_t left, struct frame *f)
{
    size_t n = left < FN_DSTORE_FRAME ? 0 : frame_size(p);
    if (!n || n > left) return false;
    uint8_t tag[FN_DSTORE_MAC];
    fn_hmac_digest(&log->mac, p, n - FN_DSTORE_MAC, tag);
    *f = (struct frame){
        .kind = p[4],
        .commits = fn_get_be32(p + 12),
        .generation = fn_get_be64(p + 16),
        .salt = p + 24,
        .before = p + 56,
        .tag = p + n - FN_DSTORE_MAC,
        .body = fn_bytes(p + FN_DSTORE_FRAME, n - FN_DSTORE_FRAME - FN_DSTORE_MAC),
    };
    return fn_equal_ct(tag, f->tag, sizeof tag);
}

fn_err fn_dstore_log_append(struct fn_dstore_log *log, const struct fn_buf *frame, bool *usable)
{
    const struct fn_files *files = log->files;
    *usable = false;
    fn_err err = files->pwrite(files, log->handle, log->end, frame->p, frame->n);
    if (err != FN_OK) {
        /* A full disk took a part of the frame or nothing. When that part is gone for good the log is as
         * before. */
        struct fn_err_cause first = {0};
        const struct fn_err_cause *causes;
        if (fn_err_chain(&causes)) first = causes[0];
        *usable = err == FN_E_DISK_FULL && files->truncate(files, log->handle, log->end) == FN_OK &&
                  files->fsync(files, log->handle) == FN_OK;
        return FN_FAIL(err, "log.%llu: %s", (unsigned long long)log->start, first.detail);
    }
    FN_TRY(files->fsync(files, log->handle));
    log->last = log->end;
    log->end += frame->n;
    memcpy(log->tag, frame->p + frame->n - FN_DSTORE_MAC, sizeof log->tag);
    *usable = true;
    return FN_OK;
}

/* ---- a new log ---- */

static fn_err write_header(struct fn_dstore_log *log, const struct fn_dstore_root *root,
                           const uint8_t before[FN_DSTORE_MAC])
{
    uint8_t h[FN_DSTORE_HEADER] = {0};
    FN_TRY(fn_dstore_random(log->salt, sizeof log->salt));
    derive_mac(log, root);
    memcpy(h, magic, sizeof magic);
    fn_put_be32(h + 8, FN_DSTORE_VERSION);
    fn_put_be64(h + 16, log->start);
    memcpy(h + 24, root->id, FN_DSTORE_ID);
    memcpy(h + 32, log->salt, sizeof log->salt);
    memcpy(h + 64, before, FN_DSTORE_MAC);
    fn_hmac_digest(&log->mac, h, 96, h + 96);
    memcpy(log->head, h + 96, sizeof log->head);
    memcpy(log->tag, h + 96, sizeof log->tag);
    log->end = sizeof h;
    return log->files->pwrite(log->files, log->handle, 0, h, sizeof h);
}

static fn_err write_clean(struct fn_dstore_log *log)
{
    FN_SCOPED_BUF struct fn_buf frame = fn_buf_heap();
    uint8_t salt[FN_DSTORE_SALT] = {0}; /* nothing is sealed in it */
    bool usable;
    FN_TRY(fn_dstore_frame_begin(&frame));
    FN_TRY(fn_dstore_frame_finish(log, &frame, FN_DSTORE_CLEAN, log->start, 0, salt));
    return fn_dstore_log_append(log, &frame, &usable);
}

fn_err fn_dstore_log_create(struct fn_dstore_log **log, const struct fn_dstore_home *home,
                            const struct fn_dstore_root *root, uint64_t generation,
                            const uint8_t before[FN_DSTORE_MAC], bool clean)
{
    struct fn_dstore_log *l;
    FN_TRY(log_new(&l, home->files, generation));
    fn_err err = fn_dstore_open_new(home, "log", &l->handle);
    if (err != FN_OK) {
        l->handle = -1;
        fn_dstore_log_close(l);
        return err;
    }
    err = write_header(l, root, before);
    if (err == FN_OK && clean) err = write_clean(l);
    if (err == FN_OK) err = home->files->fsync(home->files, l->handle);
    if (err == FN_OK) err = fn_dstore_place(home, "log", generation);
    if (err == FN_OK) err = home->files->fsync_dir(home->files, home->directory);
    if (err != FN_OK) {
        fn_err_pass(err, __FILE__, __LINE__);
        fn_dstore_log_close(l);
        fn_dstore_unlink_new(home, "log");
        return err;
    }
    *log = l;
    return FN_OK;
}

/* ---- replay ---- */

static fn_err read_header(struct fn_dstore_log *log, struct fn_dstore_window *w,
                          const struct fn_dstore_root *root, const uint8_t *before, const uint8_t *head)
{
    const uint8_t *h;
    uint8_t tag[FN_DSTORE_MAC];
    size_t got;
    unsigned long long name = log->start;
    FN_TRY(fn_dstore_window_get(w, 0, FN_DSTORE_HEADER, &h, &got));
    if (got != FN_DSTORE_HEADER || memcmp(h, magic, sizeof magic) || fn_get_be32(h + 12) ||
        fn_get_be64(h + 16) != log->start)
        return FN_FAIL(FN_E_CORRUPT, "log.%llu: header", name);
    if (fn_get_be32(h + 8) != FN_DSTORE_VERSION)
        return FN_FAIL(FN_E_CORRUPT, "log.%llu: version %u, this program knows %u", name, fn_get_be32(h + 8),
                       FN_DSTORE_VERSION);
    if (!fn_equal_ct(h + 24, root->id, FN_DSTORE_ID))
        return FN_FAIL(FN_E_CORRUPT, "log.%llu: written under other keys", name);
    memcpy(log->salt, h + 32, sizeof log->salt);
    derive_mac(log, root);
    fn_hmac_digest(&log->mac, h, 96, tag);
    if (!fn_equal_ct(tag, h + 96, sizeof tag))
        return FN_FAIL(FN_E_CORRUPT, "log.%llu: the MAC of the header differs", name);
    if (before ? !fn_equal_ct(before, h + 64, FN_DSTORE_MAC) : !fn_equal_ct(head, tag, sizeof tag))
        return FN_FAIL(FN_E_CORRUPT, "log.%llu: does not belong to what stands before it", name);
    memcpy(log->head, tag, sizeof log->head);
    memcpy(log->tag, tag, sizeof log->tag);
    log->end = FN_DSTORE_HEADER;
    return FN_OK;
}

static fn_err read_change(struct fn_cur *c, const struct fn_dstore_seal *seal, uint64_t generation,
                          uint32_t position, struct fn_dstore_node **node)
{
    uint8_t name[FN_DSTORE_NAME], removes;
    uint32_t size;
    FN_TRY(fn_cur_copy(c, name, sizeof name));
    FN_TRY(fn_cur_u8(c, &removes));
    FN_TRY(fn_cur_u32(c, &size));
    size_t sealed = removes ? 0 : (size_t)size + FN_DSTORE_TAG;
    if (!fn_dstore_name_valid(name) || removes > 1 || size > FN_RECORD_VALUE_MOST || (removes && size) ||
        sealed > fn_cur_left(c))
        return FN_FAIL(FN_E_FORMAT, "change %u of commit %llu", position, (unsigned long long)generation);
    FN_TRY(fn_dstore_node_new(node, name, removes, size));
    (*node)->seal = seal;
    (*node)->generation = generation;
    (*node)->position = position;
    return sealed ? fn_cur_copy(c, (*node)->sealed, sealed) : FN_OK;
}

static fn_err apply_frame(struct fn_dstore_log *log, const struct fn_dstore_root *root, const struct frame *f,
                          struct fn_dstore_replay *r)
{
    struct fn_dstore_seal *seal = r->overlay->seals;
    if (!seal || memcmp(seal->salt, f->salt, sizeof seal->salt))
        FN_TRY(fn_dstore_log_seal(log, root, f->salt, r->overlay, &seal));
    struct fn_cur c = fn_cur(f->body);
    for (uint32_t commit = 0; commit < f->commits; commit++) {
        uint32_t changes;
        FN_TRY(fn_cur_u32(&c, &changes));
        for (uint32_t i = 0; i < changes; i++) {
            struct fn_dstore_node *node;
            FN_TRY(read_change(&c, seal, f->generation + commit, i, &node));
            r->apply(r->context, node);
        }
    }
    FN_TRY(fn_cur_end(&c));
    r->generation += f->commits;
    r->commits += f->commits;
    return FN_OK;
}

static fn_err take_frame(struct fn_dstore_log *log, const struct fn_dstore_root *root, const struct frame *f,
                         struct fn_dstore_replay *r)
{
    uint64_t expected = f->kind == FN_DSTORE_COMMITS ? r->generation + 1 : r->generation;
    if (f->generation != expected || !fn_equal_ct(f->before, log->tag, sizeof log->tag))
        return FN_FAIL(
            FN_E_CORRUPT, "log.%llu at %llu: frame of generation %llu does not follow the one before",
            (unsigned long long)log->start, (unsigned long long)log->end, (unsigned long long)f->generation);
    if (f->kind == FN_DSTORE_COMMITS) {
        fn_err err = apply_frame(log, root, f, r);
        if (err == FN_E_NO_MEMORY) return err;
        if (err != FN_OK)
            return FN_WRAP(FN_E_CORRUPT, "log.%llu at %llu: body of a frame", (unsigned long long)log->start,
                           (unsigned long long)log->end);
    }
    r->clean = f->kind == FN_DSTORE_CLEAN;
    log->last = log->end;
    log->end += FN_DSTORE_FRAME + f->body.n + FN_DSTORE_MAC;
    memcpy(log->tag, f->tag, sizeof log->tag);
    return FN_OK;
}

/* What stands behind the last sound frame is either the torn rest of the one frame that was being written
 * when the machine stopped (never acknowledged: a frame is acknowledged after its fsync, and the next is
 * written only then) or damage to frames that were acknowledged. It is torn when it could be one frame by its
 * length and no sound frame begins anywhere in it. So damage to the very last frame cannot be told from
 * tearing, as little as its removal: that the store is older than it should be shows by its generation
 * against a statement kept elsewhere. After a clean stop the last frame is the mark of the stop, and no
 * acknowledged commit is exposed to this. */
static fn_err check_torn(const struct fn_dstore_log *log, struct fn_dstore_window *w, uint64_t size,
                         bool last)
{
    unsigned long long name = log->start, at = log->end;
    uint64_t rest = size - log->end;
    if (!last)
        return FN_FAIL(FN_E_CORRUPT, "log.%llu at %llu: damaged frame, and another log follows", name, at);
    if (rest > FRAME_MOST)
        return FN_FAIL(FN_E_CORRUPT, "log.%llu at %llu: damage longer than any frame", name, at);
    const uint8_t *p, *end, *hit;
    size_t got;
    FN_TRY(fn_dstore_window_get(w, log->end, (size_t)rest, &p, &got));
    end = p + got;
    struct frame f;
    int candidates = 0;
    for (hit = p + 1; hit < end && (hit = memmem(hit, (size_t)(end - hit), frame_magic, sizeof frame_magic));
         hit++) {
        if (end - hit < (ptrdiff_t)FN_DSTORE_FRAME || !frame_size(hit) ||
            frame_size(hit) > (size_t)(end - hit))
            continue;
        /* In the sealed rest of one frame a header appears by chance once in 2^64 bytes. */
        if (++candidates > CANDIDATES_MOST || frame_read(log, hit, (size_t)(end - hit), &f))
            return FN_FAIL(FN_E_CORRUPT, "log.%llu at %llu: damaged frame before a sound one", name, at);
    }
    return FN_OK;
}

static fn_err replay(struct fn_dstore_log *log, struct fn_dstore_window *w, const struct fn_dstore_root *root,
                     uint64_t size, bool last, struct fn_dstore_replay *r)
{
    while (log->end < size) {
        const uint8_t *p;
        size_t got, n;
        struct frame f;
        FN_TRY(fn_dstore_window_get(w, log->end, FN_DSTORE_FRAME, &p, &got));
        n = got == FN_DSTORE_FRAME ? frame_size(p) : 0;
        if (n) FN_TRY(fn_dstore_window_get(w, log->end, n, &p, &got));
        if (!n || !frame_read(log, p, got, &f)) {
            FN_TRY(check_torn(log, w, size, last));
            r->torn_bytes += size - log->end;
            r->clean = false;
            return FN_OK;
        }
        FN_TRY(take_frame(log, root, &f, r));
    }
    return FN_OK;
}

/* Leaves the last log as the next frame may be written behind it. */
static fn_err settle(struct fn_dstore_log *log, struct fn_dstore_window *w, uint64_t size)
{
    const struct fn_files *files = log->files;
    if (log->end < size) FN_TRY(files->truncate(files, log->handle, log->end));
    if (log->last) {
        const uint8_t *p;
        size_t got, n = (size_t)(log->end - log->last);
        FN_TRY(fn_dstore_window_get(w, log->last, n, &p, &got));
        if (got < n)
            return FN_FAIL(FN_E_CORRUPT, "log.%llu: shrinks while it is read",
                           (unsigned long long)log->start);
        FN_TRY(files->pwrite(files, log->handle, log->last, p, n));
    }
    if (log->last || log->end < size) FN_TRY(files->fsync(files, log->handle));
    return FN_OK;
}

static fn_err open_and_replay(struct fn_dstore_log *log, struct fn_dstore_window *w,
                              const struct fn_dstore_root *root, const uint8_t *before, const uint8_t *head,
                              bool last, struct fn_dstore_replay *r)
{
    uint64_t size;
    FN_TRY(log->files->size(log->files, log->handle, &size));
    FN_TRY(read_header(log, w, root, before, head));
    if (log->start != r->generation)
        return FN_FAIL(FN_E_CORRUPT, "log.%llu: the log before it ends at generation %llu",
                       (unsigned long long)log->start, (unsigned long long)r->generation);
    FN_TRY(replay(log, w, root, size, last, r));
    return last ? settle(log, w, size) : FN_OK;
}

fn_err fn_dstore_log_open(struct fn_dstore_log **log, const struct fn_dstore_home *home,
                          const struct fn_dstore_root *root, uint64_t generation, const uint8_t *before,
                          const uint8_t *head, bool last, struct fn_dstore_replay *r)
{
    FN_SCOPED_HEAP char *path = NULL;
    FN_TRY(fn_dstore_path(&path, home, "log", generation));
    struct fn_dstore_log *l;
    FN_TRY(log_new(&l, home->files, generation));
    fn_err err = home->files->open(home->files, path, FN_FILE_READ | FN_FILE_WRITE, 0, &l->handle);
    if (err != FN_OK) {
        l->handle = -1;
        fn_dstore_log_close(l);
        return err;
    }
    struct fn_dstore_window w = {.files = home->files, .handle = l->handle, .buf = fn_buf_heap()};
    err = open_and_replay(l, &w, root, before, head, last, r);
    fn_buf_free(&w.buf);
    if (err != FN_OK) {
        fn_err_pass(err, __FILE__, __LINE__);
        fn_dstore_log_close(l);
        return err;
    }
    *log = l;
    return FN_OK;
}
