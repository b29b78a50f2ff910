#include "base/sys/chain.h"

#include "base/sys/file.h"
#include "base/sys/heap.h"
#include <string.h>
#include <time.h>

#define VERSION    1
#define HEADER     (4 + 1 + 8 + 8)
#define MAC_SIZE   32
#define LOCK_TRIES 100
#define LOCK_MS    50

struct fn_chain {
    struct fn_chain_mac mac;
    int handle;
    uint64_t size;
    struct fn_chain_end end;
};

struct header {
    uint32_t len;
    uint64_t seq, time_ms;
};

static fn_err read_header(struct header *h, const uint8_t *p, uint64_t offset)
{
    h->len = fn_get_be32(p);
    h->seq = fn_get_be64(p + 5);
    h->time_ms = fn_get_be64(p + 13);
    if (p[4] != VERSION || h->len > FN_CHAIN_BODY_MOST)
        return FN_FAIL(FN_E_CORRUPT, "no record at offset %llu", (unsigned long long)offset);
    return FN_OK;
}

static fn_err record_mac(const struct fn_chain_mac *mac, const struct header *h, const uint8_t before[32],
                         struct fn_bytes body, uint8_t out[32])
{
    FN_SCOPED_BUF struct fn_buf message = fn_buf_heap();
    FN_TRY(fn_buf_u8(&message, VERSION));
    FN_TRY(fn_buf_u64(&message, h->seq));
    FN_TRY(fn_buf_u64(&message, h->time_ms));
    FN_TRY(fn_buf_u32(&message, h->len));
    FN_TRY(fn_buf_add(&message, before, MAC_SIZE));
    FN_TRY(fn_buf_add(&message, body.p, body.n));
    return mac->mac(mac->self, fn_buf_view(&message), out);
}

/* Hops from frame to frame to the end of the last whole one. */
static fn_err find_end(struct fn_chain *c, uint64_t *torn)
{
    const struct fn_files *f = fn_files_real();
    uint64_t at = 0, size;
    uint8_t p[HEADER];
    size_t got;
    struct header h;
    FN_TRY(f->size(f, c->handle, &size));
    while (size - at >= HEADER) {
        FN_TRY(f->read(f, c->handle, at, p, sizeof p, &got));
        if (got != sizeof p) return FN_FAIL(FN_E_IO, "log file changed while it was read");
        FN_TRY(read_header(&h, p, at));
        if (size - at < HEADER + h.len + MAC_SIZE) break;
        if (h.seq != c->end.seq + 1)
            return FN_FAIL(FN_E_CORRUPT, "record %llu after %llu", (unsigned long long)h.seq,
                           (unsigned long long)c->end.seq);
        at += HEADER + h.len;
        FN_TRY(f->read(f, c->handle, at, c->end.mac, MAC_SIZE, &got));
        at += MAC_SIZE;
        c->end.seq = h.seq;
        c->end.time_ms = h.time_ms;
    }
    *torn = size - at;
    c->size = at;
    if (!*torn) return FN_OK;
    FN_TRY(f->truncate(f, c->handle, at));
    return f->fsync(f, c->handle);
}

static fn_err wait_lock(struct fn_chain *c)
{
    const struct fn_files *f = fn_files_real();
    struct timespec pause = {.tv_nsec = LOCK_MS * 1000000L};
    for (int i = 0;; i++) {
        fn_err err = f->lock(f, c->handle);
        if (err != FN_E_LOCKED || i == LOCK_TRIES) return err;
        nanosleep(&pause, NULL);
    }
}

fn_err fn_chain_open(struct fn_chain **chain, const char *path, const struct fn_chain_mac *mac,
                     uint64_t *torn)
{
    const struct fn_files *f = fn_files_real();
    struct fn_chain *c;
    FN_TRY(fn_heap_array(&c, 1, sizeof *c));
    c->mac = *mac;
    fn_err err = f->open(f, path, FN_FILE_READ | FN_FILE_WRITE | FN_FILE_CREATE, 0600, &c->handle);
    if (err != FN_OK) {
        free(c);
        return err;
    }
    err = wait_lock(c);
    if (err == FN_OK) err = find_end(c, torn);
    if (err == FN_OK && !c->size) err = fn_files_fsync_parent(f, path);
    if (err != FN_OK) {
        fn_chain_close(c);
        return FN_WRAP(err, "%s", path);
    }
    *chain = c;
    return FN_OK;
}

void fn_chain_close(struct fn_chain *c)
{
    if (!c) return;
    fn_files_real()->close(fn_files_real(), c->handle);
    free(c);
}

const struct fn_chain_end *fn_chain_end(const struct fn_chain *c)
{
    return &c->end;
}

fn_err fn_chain_append(struct fn_chain *c, uint64_t time_ms, struct fn_bytes body)
{
    const struct fn_files *f = fn_files_real();
    FN_SCOPED_BUF struct fn_buf frame = fn_buf_heap();
    uint8_t mac[MAC_SIZE];
    if (body.n > FN_CHAIN_BODY_MOST) return FN_FAIL(FN_E_TOO_LARGE, "log record of %zu bytes", body.n);
    struct header h = {(uint32_t)body.n, c->end.seq + 1, time_ms};
    FN_TRY(record_mac(&c->mac, &h, c->end.mac, body, mac));
    FN_TRY(fn_buf_u32(&frame, h.len));
    FN_TRY(fn_buf_u8(&frame, VERSION));
    FN_TRY(fn_buf_u64(&frame, h.seq));
    FN_TRY(fn_buf_u64(&frame, h.time_ms));
    FN_TRY(fn_buf_add(&frame, body.p, body.n));
    FN_TRY(fn_buf_add(&frame, mac, sizeof mac));
    fn_err err = f->pwrite(f, c->handle, c->size, frame.p, frame.n);
    if (err == FN_OK) err = f->fsync(f, c->handle);
    if (err != FN_OK) {
        f->truncate(f, c->handle, c->size);
        return err;
    }
    c->size += frame.n;
    c->end.seq = h.seq;
    c->end.time_ms = time_ms;
    memcpy(c->end.mac, mac, sizeof mac);
    return FN_OK;
}

static fn_err read_record(int handle, uint64_t at, uint64_t size, struct fn_buf *frame, struct header *h)
{
    const struct fn_files *f = fn_files_real();
    uint8_t *p;
    size_t got;
    frame->n = 0;
    FN_TRY(fn_buf_reserve(frame, HEADER + FN_CHAIN_BODY_MOST + MAC_SIZE, &p));
    FN_TRY(f->read(f, handle, at, p, HEADER, &got));
    if (got < HEADER)
        return FN_FAIL(FN_E_TRUNCATED, "incomplete record at offset %llu", (unsigned long long)at);
    FN_TRY(read_header(h, p, at));
    if (size - at < HEADER + h->len + MAC_SIZE)
        return FN_FAIL(FN_E_TRUNCATED, "incomplete record at offset %llu", (unsigned long long)at);
    FN_TRY(f->read(f, handle, at, p, HEADER + h->len + MAC_SIZE, &got));
    frame->n = got;
    return got == HEADER + h->len + MAC_SIZE ? FN_OK : FN_FAIL(FN_E_IO, "log file changed while it was read");
}

static fn_err read_records(int handle, const struct fn_chain_mac *mac,
                           fn_err (*each)(void *context, const struct fn_chain_record *r), void *context,
                           struct fn_chain_end *end)
{
    const struct fn_files *f = fn_files_real();
    FN_SCOPED_BUF struct fn_buf frame = fn_buf_heap();
    uint64_t size;
    struct header h;
    FN_TRY(f->size(f, handle, &size));
    for (uint64_t at = 0; at < size; at += frame.n) {
        uint8_t right[MAC_SIZE];
        FN_TRY(read_record(handle, at, size, &frame, &h));
        struct fn_chain_record r = {
            .seq = h.seq, .time_ms = h.time_ms, .body = fn_bytes(frame.p + HEADER, h.len)};
        memcpy(r.mac, frame.p + HEADER + h.len, MAC_SIZE);
        if (h.seq != end->seq + 1)
            return FN_FAIL(FN_E_CORRUPT, "record %llu is missing (%llu follows)",
                           (unsigned long long)end->seq + 1, (unsigned long long)h.seq);
        FN_TRY(record_mac(mac, &h, end->mac, r.body, right));
        if (!fn_equal_ct(right, r.mac, MAC_SIZE))
            return FN_FAIL(FN_E_CORRUPT, "record %llu was edited", (unsigned long long)h.seq);
        if (each) FN_TRY(each(context, &r));
        end->seq = h.seq;
        end->time_ms = h.time_ms;
        memcpy(end->mac, r.mac, MAC_SIZE);
    }
    return FN_OK;
}

fn_err fn_chain_read(const char *path, const struct fn_chain_mac *mac,
                     fn_err (*each)(void *context, const struct fn_chain_record *r), void *context,
                     struct fn_chain_end *end)
{
    const struct fn_files *f = fn_files_real();
    int handle;
    memset(end, 0, sizeof *end);
    fn_err err = f->open(f, path, FN_FILE_READ, 0, &handle);
    if (err == FN_E_NOT_FOUND) return FN_OK;
    FN_TRY(err);
    err = read_records(handle, mac, each, context, end);
    f->close(f, handle);
    return err;
}
