/* The management thread: frames of the device protocol, operation MANAGE. Work here may take seconds
 * (passphrases, re-wrapping); nobody but administrators waits for it. */
#include "device/manage.h"

#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include "device/server.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 16
#define IDLE_MS     600000

struct link {
    int fd;
    struct fn_manage_session session;
    struct fn_buf in;
    int64_t seen_ms;
};

struct manager {
    struct fn_device *device;
    int listener;
    struct link links[CONNECTIONS];
};

static void link_close(struct link *l)
{
    if (l->fd >= 0) close(l->fd);
    l->fd = -1;
    fn_buf_free(&l->in);
}

static void accept_one(struct manager *m)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    int fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return;
    /* Others are refused before a byte of theirs is read. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) || (peer.uid != 0 && peer.uid != geteuid())) {
        close(fd);
        return;
    }
    struct timeval patience = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    struct link *l = NULL;
    for (size_t i = 0; i < CONNECTIONS && !l; i++)
        if (m->links[i].fd < 0) l = &m->links[i];
    if (!l) {
        close(fd);
        return;
    }
    *l = (struct link){
        .fd = fd, .session = {.uid = peer.uid}, .in = fn_buf_heap(), .seen_ms = fn_monotonic_ms()};
}

static fn_err item(struct manager *m, struct link *l, const struct fn_operation *op, struct fn_item *in,
                   struct fn_buf *out)
{
    struct fn_device *d = m->device;
    struct fn_buf json = fn_buf_heap();
    fn_err err;
    switch (op->number) {
    case FN_OP_HELLO:
        return fn_hello(d, "", "management", (uint32_t)in->f[0].n, out);
    case FN_OP_INFO:
        return fn_info(d, out);
    case FN_OP_STATUS:
        err = fn_status_json(d, true, &json);
        break;
    case FN_OP_CAPABILITIES:
        err = fn_capabilities(&json);
        break;
    case FN_OP_MANAGE:
        err = fn_manage(d, &l->session, in->f[0].b, in->f[1].b, &json);
        break;
    default:
        return FN_FAIL(FN_E_DEVICE_OPERATION, "%s is not for the management socket", op->name);
    }
    if (err == FN_OK) err = fn_buf_var(out, json.p, json.n);
    fn_buf_free(&json);
    return err;
}

static fn_err request(struct manager *m, struct link *l, const struct fn_frame *f, struct fn_buf *out)
{
    const struct fn_operation *op = fn_operation(f->operation);
    struct fn_item in = {0};
    if (!op) return FN_FAIL(FN_E_DEVICE_OPERATION, "operation %04x", f->operation);
    if (f->count != 1) return FN_FAIL(FN_E_DEVICE_VECTOR, "%d items", f->count);
    FN_TRY(fn_items_read(op, f->items, 1, &in));
    FN_TRY(fn_buf_u32(out, 0));
    return item(m, l, op, &in, out);
}

static fn_err send_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return FN_FAIL_OS("management socket");
        p += sent;
        n -= (size_t)sent;
    }
    return FN_OK;
}

static fn_err respond(struct link *l, const struct fn_frame *f, fn_err status, const struct fn_buf *items)
{
    struct fn_buf out FN_SCOPED_BUF = fn_buf_heap();
    static const uint8_t no_id[16];
    const struct fn_err_cause *causes;
    FN_TRY(fn_buf_u32(&out, 0));
    FN_TRY(fn_buf_u16(&out, f->operation));
    FN_TRY(fn_buf_u16(&out, status == FN_OK));
    FN_TRY(fn_buf_u32(&out, f->session));
    FN_TRY(fn_buf_add(&out, f->id ? f->id : no_id, 16));
    FN_TRY(fn_buf_u32(&out, (uint32_t)status));
    FN_TRY(fn_buf_u32(&out, 0));
    if (status == FN_OK) {
        FN_TRY(fn_buf_add(&out, items->p, items->n));
    } else {
        const char *detail = fn_err_chain(&causes) ? causes[0].detail : "";
        FN_TRY(fn_buf_var(&out, detail, strlen(detail)));
    }
    fn_put_be32(out.p, (uint32_t)(out.n - 4));
    return send_all(l->fd, out.p, out.n);
}

/* False when the connection is over. */
static bool serve(struct manager *m, struct link *l)
{
    uint8_t *where;
    struct fn_frame f;
    size_t size, want;
    if (fn_buf_reserve(&l->in, 65536, &where) != FN_OK) return false;
    ssize_t got = recv(l->fd, where, 65536, MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    l->in.n += (size_t)got;
    l->seen_ms = fn_monotonic_ms();
    for (;;) {
        f = (struct fn_frame){0};
        fn_err err = fn_frame_read(fn_buf_view(&l->in), &f, &size, &want);
        if (err == FN_OK && !size) return true;
        struct fn_buf out = fn_buf_heap();
        bool good_frame = err == FN_OK;
        if (good_frame) err = request(m, l, &f, &out);
        bool sent = respond(l, &f, err, &out) == FN_OK;
        fn_err_clear();
        if (out.n) fn_wipe(out.p, out.n);
        fn_buf_free(&out);
        if (!sent || !good_frame || err == FN_E_DEVICE_FRAME) return false;
        /* Passphrases pass through here. */
        memmove(l->in.p, l->in.p + size, l->in.n - size);
        fn_wipe(l->in.p + l->in.n - size, size);
        l->in.n -= size;
    }
}

static void *manage_thread(void *context)
{
    struct manager *m = context;
    struct pollfd polls[CONNECTIONS + 1];
    while (!atomic_load(&m->device->stopping)) {
        polls[CONNECTIONS] = (struct pollfd){.fd = m->listener, .events = POLLIN};
        for (size_t i = 0; i < CONNECTIONS; i++)
            polls[i] = (struct pollfd){.fd = m->links[i].fd, .events = POLLIN};
        if (poll(polls, CONNECTIONS + 1, 200) < 0 && errno != EINTR) break;
        for (size_t i = 0; i < CONNECTIONS; i++) {
            struct link *l = &m->links[i];
            if (l->fd < 0) continue;
            if (polls[i].revents ? !serve(m, l) : fn_monotonic_ms() - l->seen_ms > IDLE_MS) link_close(l);
        }
        if (polls[CONNECTIONS].revents & POLLIN) accept_one(m);
    }
    for (size_t i = 0; i < CONNECTIONS; i++) link_close(&m->links[i]);
    free(m);
    return NULL;
}

fn_err fn_manage_start(struct fn_device *d, int listener, pthread_t *thread)
{
    struct manager *m;
    FN_TRY(fn_heap_array(&m, 1, sizeof *m));
    m->device = d;
    m->listener = listener;
    for (size_t i = 0; i < CONNECTIONS; i++) m->links[i].fd = -1;
    if (!pthread_create(thread, NULL, manage_thread, m)) return FN_OK;
    free(m);
    return FN_FAIL(FN_E_NO_MEMORY, "thread");
}
