/* The device's log: frames of monitoring.md 5.1 with a chain of MACs, its head kept in the store, so that a
 * cut tail shows. */
#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "device/device.h"
#include "device/json.h"
#include <string.h>

#define FRAME_HEAD     21u
#define BODY_MOST      65536u
#define REFUSALS_BURST 32 /* a second; more are counted and written as one record */

struct fn_dlog {
    pthread_mutex_t mutex;
    int handle;
    bool broken; /* a write failed: the file may be longer than `size` */
    uint64_t seq, size, settled;
    uint8_t mac[32];
    int64_t second;
    unsigned refusals, suppressed, lost;
    struct fn_clock_watch watch;
};

static void frame_mac(const struct fn_hmac_key *key, const uint8_t head[FRAME_HEAD],
                      const uint8_t previous[32], struct fn_bytes body, uint8_t out[32])
{
    struct fn_hmac m;
    fn_hmac_init(&m, key);
    fn_hmac_update(&m, head + 4, 17); /* version ‖ seq ‖ time */
    fn_hmac_update(&m, head, 4);      /* length */
    fn_hmac_update(&m, previous, 32);
    fn_hmac_update(&m, body.p, body.n);
    fn_hmac_final(&m, out);
}

static void path_of(const struct fn_device *d, const char *name, char *out, size_t size)
{
    fn_format(out, size, "%s/log%s", d->options.directory, name);
}

/* With the mutex held. */
static fn_err append(struct fn_device *d, struct fn_bytes body)
{
    struct fn_dlog *l = d->log;
    struct fn_buf frame FN_SCOPED_BUF = fn_buf_heap();
    uint8_t mac[32], *p;
    /* A disk that was full may have room again: what was torn is cut off first. */
    if (l->broken) FN_TRY(d->files->truncate(d->files, l->handle, l->size));
    l->broken = false;
    FN_TRY(fn_buf_reserve(&frame, FRAME_HEAD + body.n + 32, &p));
    fn_put_be32(p, (uint32_t)body.n);
    p[4] = 1;
    fn_put_be64(p + 5, l->seq + 1);
    fn_put_be64(p + 13, (uint64_t)fn_now_ms());
    memcpy(p + FRAME_HEAD, body.p, body.n);
    frame_mac(&d->secrets->log, p, l->mac, body, mac);
    memcpy(p + FRAME_HEAD + body.n, mac, 32);
    fn_err err = d->files->write(d->files, l->handle, p, FRAME_HEAD + body.n + 32);
    if (err != FN_OK) {
        /* A full disk leaves part of a frame at most: cut it off, count the record, go on when there is room.
         */
        l->lost++;
        l->broken = d->files->truncate(d->files, l->handle, l->size) != FN_OK;
        return err;
    }
    memcpy(l->mac, mac, 32);
    l->seq++;
    l->size += FRAME_HEAD + body.n + 32;
    return FN_OK;
}

static fn_err body_make(const struct fn_identity *who, const char *event, const char *object, fn_err result,
                        uint64_t generation, const char *more, struct fn_buf *out)
{
    FN_TRY(fn_buf_text(out, "{"));
    FN_TRY(fn_djson_put_member(out, "ev", event));
    if (who) {
        FN_TRY(fn_djson_put_number(out, "uid", who->uid));
        FN_TRY(fn_djson_put_member(out, "tenant", who->tenant));
        FN_TRY(fn_djson_put_member(out, "app", who->application));
        if (who->test) FN_TRY(fn_djson_put_bool(out, "test_tenant", true));
    }
    if (object) FN_TRY(fn_djson_put_member(out, "object", object));
    FN_TRY(fn_djson_put_number(out, "result", result));
    FN_TRY(fn_djson_put_number(out, "generation", (int64_t)generation));
    if (more) FN_TRY(fn_buf_format(out, ",%s", more));
    return fn_buf_text(out, "}");
}

void fn_dlog_event(struct fn_device *d, const struct fn_identity *who, const char *event, const char *object,
                   fn_err result, const char *more)
{
    if (!d->log) return;
    struct fn_buf body = fn_buf_heap();
    if (body_make(who, event, object, result, fn_device_generation(d), more, &body) == FN_OK &&
        body.n <= BODY_MOST) {
        pthread_mutex_lock(&d->log->mutex);
        if (append(d, fn_buf_view(&body)) != FN_OK) fn_err_clear();
        pthread_mutex_unlock(&d->log->mutex);
    }
    fn_buf_free(&body);
}

void fn_dlog_refusal(struct fn_device *d, const struct fn_identity *who, const char *operation, fn_err result)
{
    struct fn_dlog *l = d->log;
    atomic_fetch_add(&d->refusals, 1);
    if (!l) return;
    int64_t second = fn_monotonic_ms() / 1000;
    pthread_mutex_lock(&l->mutex);
    if (l->second != second) {
        l->second = second;
        l->refusals = 0;
    }
    bool write = l->refusals++ < REFUSALS_BURST;
    if (!write) l->suppressed++;
    pthread_mutex_unlock(&l->mutex);
    if (write) fn_dlog_event(d, who, "refused", operation, result, NULL);
}

void fn_dlog_settle(struct fn_device *d)
{
    struct fn_dlog *l = d->log;
    struct fn_change change = {0};
    uint8_t value[48];
    char more[40];
    if (!l) return;
    pthread_mutex_lock(&l->mutex);
    unsigned suppressed = l->suppressed;
    int64_t step = fn_clock_watch_look(&l->watch);
    l->suppressed = 0;
    pthread_mutex_unlock(&l->mutex);
    pthread_mutex_lock(&l->mutex);
    unsigned lost = l->lost;
    if (lost) {
        struct fn_buf body FN_SCOPED_BUF = fn_buf_heap();
        fn_format(more, sizeof more, "\"count\":%u", lost);
        if (body_make(NULL, "log.lost", NULL, FN_E_DISK_FULL, fn_device_generation(d), more, &body) ==
                FN_OK &&
            append(d, fn_buf_view(&body)) == FN_OK)
            l->lost = 0;
        else
            l->lost = lost;
        fn_err_clear();
    }
    pthread_mutex_unlock(&l->mutex);
    if (suppressed) {
        fn_format(more, sizeof more, "\"count\":%u", suppressed);
        fn_dlog_event(d, NULL, "refused.more", NULL, FN_OK, more);
    }
    /* Times before and after this record do not compare. */
    if (step) {
        fn_format(more, sizeof more, "\"step_ms\":%lld", (long long)step);
        fn_dlog_event(d, NULL, "clock.step", NULL, FN_OK, more);
    }
    pthread_mutex_lock(&l->mutex);
    uint64_t seq = l->seq;
    fn_put_be64(value, l->seq);
    fn_put_be64(value + 8, l->size);
    memcpy(value + 16, l->mac, 32);
    bool idle = seq == l->settled;
    pthread_mutex_unlock(&l->mutex);
    if (idle) return;
    fn_name_text(&change.name, FN_RECORD_META, "log.head");
    change.value = fn_bytes(value, sizeof value);
    fn_err err = d->files->fsync(d->files, l->handle);
    if (err == FN_OK) err = fn_device_store_commit(d->store, &change, 1);
    if (err == FN_OK) l->settled = seq;
    fn_err_clear();
}

/* A record tells the generation of the store when it was written: durable then, and so at least that now. */
static void record_generation(struct fn_bytes body, struct fn_djson_doc *doc, uint64_t *highest)
{
    int64_t generation;
    if (fn_djson_read(doc, body) != FN_OK ||
        fn_djson_member_number(doc, 0, "generation", 0, 0, INT64_MAX, &generation) != FN_OK) {
        fn_err_clear(); /* of a version that wrote none */
        return;
    }
    if ((uint64_t)generation > *highest) *highest = (uint64_t)generation;
}

/* Follows the chain from the head that the store knows to the end of the file; a torn last frame is cut off.
 */
static fn_err follow(struct fn_device *d, const char *path, bool *torn)
{
    struct fn_dlog *l = d->log;
    struct fn_buf rest FN_SCOPED_BUF = fn_buf_heap();
    struct fn_djson_doc *doc FN_SCOPED_HEAP = NULL;
    uint64_t size, highest = 0;
    uint8_t *p, mac[32];
    size_t got;
    int handle;
    FN_TRY(fn_heap_array(&doc, 1, sizeof *doc));
    FN_TRY(d->files->open(d->files, path, FN_FILE_READ | FN_FILE_WRITE, 0600, &handle));
    fn_err err = d->files->size(d->files, handle, &size);
    if (err == FN_OK && size < l->size)
        err = FN_FAIL(FN_E_CORRUPT, "log of %llu bytes, the store knows %llu", (unsigned long long)size,
                      (unsigned long long)l->size);
    if (err == FN_OK && size - l->size > ((uint64_t)1 << 30))
        err = FN_FAIL(FN_E_TOO_LARGE, "log after its last head");
    if (err == FN_OK) err = fn_buf_reserve(&rest, (size_t)(size - l->size), &p);
    if (err == FN_OK) err = d->files->read(d->files, handle, l->size, p, (size_t)(size - l->size), &got);
    if (err == FN_OK) {
        rest.n = got;
        size_t at = 0;
        while (rest.n - at >= FRAME_HEAD + 32) {
            uint32_t n = fn_get_be32(rest.p + at);
            if (n > BODY_MOST || rest.n - at < FRAME_HEAD + n + 32 ||
                fn_get_be64(rest.p + at + 5) != l->seq + 1)
                break;
            frame_mac(&d->secrets->log, rest.p + at, l->mac, fn_bytes(rest.p + at + FRAME_HEAD, n), mac);
            if (!fn_equal_ct(mac, rest.p + at + FRAME_HEAD + n, 32)) break;
            record_generation(fn_bytes(rest.p + at + FRAME_HEAD, n), doc, &highest);
            memcpy(l->mac, mac, 32);
            l->seq++;
            at += FRAME_HEAD + n + 32;
        }
        l->size += at;
        if (highest > fn_device_generation(d))
            err = FN_FAIL(FN_E_DEVICE_STORE_OLD, "store of generation %llu, the log says %llu",
                          (unsigned long long)fn_device_generation(d), (unsigned long long)highest);
        *torn = err == FN_OK && at != rest.n;
        if (*torn) err = d->files->truncate(d->files, handle, l->size);
    }
    fn_err closed = d->files->close(d->files, handle);
    return err == FN_OK ? closed : err;
}

fn_err fn_dlog_open(struct fn_device *d)
{
    struct fn_record_name name;
    uint8_t storage[64];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    char path[4096];
    bool torn = false;
    FN_TRY(fn_heap_array(&d->log, 1, sizeof *d->log));
    pthread_mutex_init(&d->log->mutex, NULL);
    fn_clock_watch_start(&d->log->watch);
    d->log->handle = -1;
    fn_name_text(&name, FN_RECORD_META, "log.head");
    fn_err err = fn_device_store_get(d->store, &name, &value);
    if (err == FN_OK && value.n == 48) {
        d->log->seq = d->log->settled = fn_get_be64(storage);
        d->log->size = fn_get_be64(storage + 8);
        memcpy(d->log->mac, storage + 16, 32);
    } else if (err != FN_E_NOT_FOUND) {
        return err == FN_OK ? FN_FAIL(FN_E_CORRUPT, "head of the log") : err;
    }
    path_of(d, "", path, sizeof path);
    err = d->files->mkdir(d->files, path, 0700);
    if (err != FN_OK && err != FN_E_EXISTS) return err;
    path_of(d, "/device.fnlog", path, sizeof path);
    bool known = d->log->size > 0;
    FN_TRY(d->files->open(d->files, path, FN_FILE_WRITE | FN_FILE_CREATE | FN_FILE_APPEND, 0600,
                          &d->log->handle));
    err = follow(d, path, &torn);
    if (err == FN_E_CORRUPT && known) {
        /* The log was cut or lost with the power: say so in the log itself and go on; the store and the keys
         * are whole. */
        uint64_t size;
        fn_err_clear();
        d->log->broken = false;
        FN_TRY(d->files->size(d->files, d->log->handle, &size));
        d->log->size = size;
        fn_dlog_event(d, NULL, "log.cut", NULL, FN_E_CORRUPT, NULL);
        return FN_OK;
    }
    FN_TRY(err);
    if (torn) fn_dlog_event(d, NULL, "log.torn", NULL, FN_OK, NULL);
    return FN_OK;
}

void fn_dlog_abandon(struct fn_device *d)
{
    if (!d->log) return;
    d->log->broken = true;
    d->log->settled = d->log->seq;
}

void fn_dlog_close(struct fn_device *d)
{
    if (!d->log) return;
    fn_dlog_settle(d);
    if (d->log->handle >= 0 && d->files->close(d->files, d->log->handle) != FN_OK) fn_err_clear();
    pthread_mutex_destroy(&d->log->mutex);
    free(d->log);
    d->log = NULL;
}

void fn_dlog_figures(struct fn_device *d, uint64_t *records)
{
    *records = 0;
    if (!d->log) return;
    pthread_mutex_lock(&d->log->mutex);
    *records = d->log->seq;
    pthread_mutex_unlock(&d->log->mutex);
}

/* Every frame from the first: FN_E_CORRUPT names the record. */
fn_err fn_dlog_verify(struct fn_device *d, uint64_t *records)
{
    struct fn_buf all FN_SCOPED_BUF = fn_buf_heap();
    char path[4096];
    uint8_t previous[32] = {0}, mac[32];
    path_of(d, "/device.fnlog", path, sizeof path);
    fn_dlog_settle(d);
    FN_TRY(fn_files_read_all(d->files, path, (size_t)1 << 30, &all));
    *records = 0;
    for (size_t at = 0; at < all.n;) {
        uint32_t n = all.n - at >= FRAME_HEAD + 32 ? fn_get_be32(all.p + at) : BODY_MOST + 1;
        if (n > BODY_MOST || all.n - at < FRAME_HEAD + n + 32)
            return FN_FAIL(FN_E_CORRUPT, "log: torn after record %llu", (unsigned long long)*records);
        frame_mac(&d->secrets->log, all.p + at, previous, fn_bytes(all.p + at + FRAME_HEAD, n), mac);
        if (fn_get_be64(all.p + at + 5) != *records + 1 || !fn_equal_ct(mac, all.p + at + FRAME_HEAD + n, 32))
            return FN_FAIL(FN_E_CORRUPT, "log: record %llu was altered, moved or removed",
                           (unsigned long long)(*records + 1));
        memcpy(previous, mac, 32);
        ++*records;
        at += FRAME_HEAD + n + 32;
    }
    return FN_OK;
}
