/* The socket: one thread for each connection, frames in, frames out. */
#include "backend/backend.h"

#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include "base/sys/process.h"
#include "crypto/sm3/sm3.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define SESSIONS_MOST 4096u

struct connection {
    struct fn_backend *backend;
    const struct fn_backend_client *who;
    int fd;
    struct fn_backend_session *sessions;
    uint32_t serial, count;
    struct fn_buf out;
};

_Thread_local struct fn_backend_changes fn_backend_changes;

static fn_err change(const struct fn_record_name *name, bool remove, struct fn_bytes value)
{
    struct fn_backend_changes *c = &fn_backend_changes;
    if (c->count == FN_COUNT(c->list)) return FN_FAIL(FN_E_INTERNAL, "too many changes");
    uint8_t *copy = NULL;
    if (value.n) {
        FN_TRY(fn_heap_array(&copy, value.n, 1));
        memcpy(copy, value.p, value.n);
    }
    c->values[c->count] = copy;
    c->list[c->count++] = (struct fn_change){.name = *name, .remove = remove, .value = {copy, value.n}};
    return FN_OK;
}

fn_err fn_backend_put(const struct fn_record_name *name, struct fn_bytes value)
{
    return change(name, false, value);
}
fn_err fn_backend_remove(const struct fn_record_name *name)
{
    return change(name, true, fn_bytes(NULL, 0));
}

static void forget_changes(void)
{
    struct fn_backend_changes *c = &fn_backend_changes;
    for (size_t i = 0; i < c->count; i++) free(c->values[i]);
    c->count = 0;
}

/* Remembered results of state-changing requests: time ‖ operation ‖ item */

static void request_name(struct fn_record_name *name, const struct fn_backend_client *who,
                         const uint8_t id[16])
{
    struct fn_sm3 h;
    uint8_t digest[32];
    *name = (struct fn_record_name){.kind = FN_RECORD_REQUEST, .n = 32};
    fn_sm3_init(&h);
    fn_sm3_update(&h, who->tenant, strlen(who->tenant) + 1);
    fn_sm3_update(&h, who->application, strlen(who->application));
    fn_sm3_final(&h, digest);
    memcpy(name->b, digest, 16);
    memcpy(name->b + 16, id, 16);
}

static fn_err recall(struct fn_backend *b, const struct fn_record_name *name, uint16_t operation,
                     struct fn_buf *out, bool *known)
{
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    fn_err err = fn_device_store_get(b->store, name, &value);
    *known = err == FN_OK;
    if (err == FN_E_NOT_FOUND) return FN_OK;
    FN_TRY(err);
    if (value.n < 10 || fn_get_be16(value.p + 8) != operation)
        return FN_FAIL(FN_E_ARGUMENT, "this request id was used for another operation");
    return fn_buf_add(out, value.p + 10, value.n - 10);
}

static fn_err remember(const struct fn_record_name *name, uint16_t operation, const struct fn_buf *out)
{
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(fn_buf_u64(&value, (uint64_t)fn_now_ms()));
    FN_TRY(fn_buf_u16(&value, operation));
    FN_TRY(fn_buf_add(&value, out->p, out->n));
    return fn_backend_put(name, fn_buf_view(&value));
}

static fn_err run_change(struct fn_backend_session *s, const struct fn_backend_operation *o,
                         const uint8_t id[16], struct fn_item *item)
{
    struct fn_backend *b = s->backend;
    struct fn_record_name name;
    bool known;
    request_name(&name, s->who, id);
    pthread_mutex_lock(&b->change);
    fn_err err = recall(b, &name, o->operation, &item->out, &known);
    if (err == FN_OK && !known) {
        err = o->run(s, item);
        if (err == FN_OK) err = remember(&name, o->operation, &item->out);
        if (err == FN_OK)
            err = fn_device_store_commit(b->store, fn_backend_changes.list, fn_backend_changes.count);
    }
    pthread_mutex_unlock(&b->change);
    forget_changes();
    return err;
}

static fn_err run_item(struct fn_backend_session *s, const struct fn_operation *op, const uint8_t id[16],
                       struct fn_item *item)
{
    const struct fn_backend_operation *o = fn_backend_operation(op->number);
    struct fn_vendor *v = &s->backend->vendor;
    if (!o || strcmp(fn_backend_level(s->backend, op->number), "no") == 0) {
        if (op->number == FN_OP_SESSION_KEY_CLEAR_IN)
            return FN_FAIL(FN_E_CLEAR_KEY, "tenant %s", s->who->tenant);
        return FN_FAIL(FN_E_DEVICE_CANNOT, "%s", op->name);
    }
    if (v->profile->serial) pthread_mutex_lock(&v->lock);
    fn_err err = op->flags & FN_OPF_CHANGES ? run_change(s, o, id, item) : o->run(s, item);
    if (v->profile->serial) pthread_mutex_unlock(&v->lock);
    return err;
}

/* Sessions */

static fn_err open_session(struct connection *c, uint32_t id, struct fn_backend_session **session)
{
    if (c->count >= SESSIONS_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "%u sessions on this connection", SESSIONS_MOST);
    FN_TRY(fn_backend_session_open(c->backend, c->who, id, session));
    (*session)->next = c->sessions;
    c->sessions = *session;
    c->count++;
    return FN_OK;
}

static fn_err find_session(struct connection *c, uint32_t id, struct fn_backend_session **session)
{
    for (*session = c->sessions; *session; *session = (*session)->next)
        if ((*session)->id == id) return FN_OK;
    if (id == 0) return open_session(c, 0, session);
    return FN_FAIL(FN_E_NOT_FOUND, "no session %u on this connection", id);
}

static void close_session(struct connection *c, struct fn_backend_session *s)
{
    struct fn_backend_session **place = &c->sessions;
    while (*place != s) place = &(*place)->next;
    *place = s->next;
    c->count--;
    fn_backend_session_close(s);
}

static fn_err hello(struct connection *c, struct fn_buf *out)
{
    FN_TRY(fn_buf_u32(out, FN_DEVICE_PROTOCOL_VERSION));
    FN_TRY(fn_buf_u32(out, FN_DEVICE_FRAME_MOST));
    FN_TRY(fn_buf_u32(out, FN_DEVICE_VECTOR_MOST));
    FN_TRY(fn_buf_u32(out, FN_DEVICE_OUTSTANDING_MOST));
    FN_TRY(fn_buf_add(out, c->backend->boot.b, 16));
    FN_TRY(fn_buf_u32(out, FN_DEVICE_READY));
    FN_TRY(fn_buf_var(out, c->who->tenant, strlen(c->who->tenant)));
    return fn_buf_var(out, c->who->application, strlen(c->who->application));
}

static fn_err run_one(struct connection *c, struct fn_backend_session *s, const struct fn_operation *op,
                      const struct fn_frame *f, struct fn_item *item)
{
    struct fn_backend_session *made;
    switch (op->number) {
    case FN_OP_HELLO:
        return hello(c, &item->out);
    case FN_OP_SESSION_OPEN:
        FN_TRY(open_session(c, ++c->serial, &made));
        return fn_buf_u32(&item->out, made->id);
    case FN_OP_SESSION_CLOSE:
        if (s->id == 0) return FN_FAIL(FN_E_ARGUMENT, "session 0 is the connection's own");
        close_session(c, s);
        return FN_OK;
    default:
        return run_item(s, op, f->id, item);
    }
}

/* Responses */

static fn_err head(struct connection *c, const struct fn_frame *f, uint16_t count, fn_err status)
{
    c->out.n = 0;
    FN_TRY(fn_buf_u32(&c->out, 0));
    FN_TRY(fn_buf_u16(&c->out, f->operation));
    FN_TRY(fn_buf_u16(&c->out, count));
    FN_TRY(fn_buf_u32(&c->out, f->session));
    FN_TRY(fn_buf_add(&c->out, f->id, FN_DEVICE_ID_SIZE));
    FN_TRY(fn_buf_u32(&c->out, (uint32_t)status));
    return fn_buf_u32(&c->out, 0);
}

static fn_err refuse(struct connection *c, const struct fn_frame *f, fn_err status)
{
    const struct fn_err_cause *causes;
    char detail[FN_ERR_DETAIL] = "";
    if (fn_err_chain(&causes)) memcpy(detail, causes[0].detail, sizeof detail);
    FN_TRY(head(c, f, 0, status));
    return fn_buf_var(&c->out, detail, strlen(detail));
}

static fn_err flush(struct connection *c)
{
    fn_put_be32(c->out.p, (uint32_t)(c->out.n - 4));
    for (size_t at = 0; at < c->out.n;) {
        ssize_t n = send(c->fd, c->out.p + at, c->out.n - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return FN_FAIL_OS("send");
        at += (size_t)n;
    }
    return FN_OK;
}

static fn_err run_items(struct connection *c, struct fn_backend_session *s, const struct fn_operation *op,
                        const struct fn_frame *f, struct fn_item *items)
{
    FN_TRY(head(c, f, f->count, FN_OK));
    for (size_t i = 0; i < f->count; i++) {
        items[i].out = fn_buf_heap();
        fn_err err = run_one(c, s, op, f, &items[i]);
        if (err != FN_OK && op->flags & FN_OPF_SINGLE) {
            fn_buf_free(&items[i].out);
            return refuse(c, f, err);
        }
        fn_err put = fn_buf_u32(&c->out, (uint32_t)err);
        if (put == FN_OK && err == FN_OK) put = fn_buf_add(&c->out, items[i].out.p, items[i].out.n);
        if (items[i].out.n) fn_wipe(items[i].out.p, items[i].out.n);
        fn_buf_free(&items[i].out);
        FN_TRY(put);
        if (c->out.n > FN_DEVICE_RESPONSE_MOST)
            return refuse(c, f, FN_FAIL(FN_E_TOO_LARGE, "the answer is too large; split the request"));
    }
    return FN_OK;
}

/* FN_OK: answered, go on. Anything else ends the connection. */
static fn_err request(struct connection *c, const struct fn_frame *f)
{
    const struct fn_operation *op = fn_operation(f->operation);
    struct fn_backend_session *s = NULL;
    struct fn_item *items FN_SCOPED_HEAP = NULL;
    fn_err err = FN_OK;
    if (!op || op->flags & FN_OPF_MANAGEMENT)
        err = FN_FAIL(FN_E_DEVICE_OPERATION, "operation %04x", f->operation);
    else if (f->count < 1 || f->count > FN_DEVICE_VECTOR_MOST || (op->flags & FN_OPF_SINGLE && f->count != 1))
        err = FN_FAIL(FN_E_DEVICE_VECTOR, "%u items", f->count);
    if (err == FN_OK) err = find_session(c, f->session, &s);
    if (err != FN_OK) return refuse(c, f, err);
    FN_TRY(fn_heap_array(&items, f->count, sizeof *items));
    err = fn_items_read(op, f->items, f->count, items);
    if (err != FN_OK) {
        FN_TRY(refuse(c, f, err));
        FN_TRY(flush(c));
        return err;
    }
    return run_items(c, s, op, f, items);
}

/* Reads until a whole frame is there; *n is what the buffer holds. */
static fn_err fill(struct connection *c, struct fn_buf *in, size_t want)
{
    uint8_t *where;
    while (in->n < want) {
        FN_TRY(fn_buf_reserve(in, want - in->n, &where));
        ssize_t n = recv(c->fd, where, want - in->n, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return FN_FAIL(FN_E_DEVICE_LOST, "the client is gone");
        in->n += (size_t)n;
    }
    return FN_OK;
}

static fn_err serve(struct connection *c)
{
    struct fn_buf in FN_SCOPED_BUF = fn_buf_heap();
    for (;;) {
        struct fn_frame f = {.id = (const uint8_t *)"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"};
        size_t size = 0, want = 0;
        in.n = 0;
        while (size == 0) {
            FN_TRY(fill(c, &in, want ? want : 4));
            fn_err err = fn_frame_read(fn_buf_view(&in), &f, &size, &want);
            if (err != FN_OK) {
                FN_TRY(refuse(c, &f, err));
                (void)flush(c);
                return err;
            }
        }
        FN_TRY(request(c, &f));
        FN_TRY(flush(c));
        fn_wipe(c->out.p, c->out.n);
        fn_wipe(in.p, in.n);
    }
}

static void *connection(void *argument)
{
    struct connection *c = argument;
    (void)serve(c); /* why a client left is of no interest */
    while (c->sessions) {
        struct fn_vendor *v = &c->backend->vendor;
        if (v->profile->serial) pthread_mutex_lock(&v->lock);
        close_session(c, c->sessions);
        if (v->profile->serial) pthread_mutex_unlock(&v->lock);
    }
    close(c->fd);
    fn_buf_free(&c->out);
    free(c);
    return NULL;
}

static const struct fn_backend_client *client_of(const struct fn_backend *b, uint32_t uid)
{
    for (size_t i = 0; i < b->options.clients_count; i++)
        if (b->options.clients[i].uid == uid) return &b->options.clients[i];
    return NULL;
}

static void accept_one(struct fn_backend *b, int listener)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    pthread_t thread;
    pthread_attr_t attributes;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return;
    struct connection *c = calloc(1, sizeof *c);
    const struct fn_backend_client *who =
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 ? client_of(b, peer.uid) : NULL;
    if (!c || !who) {
        free(c);
        close(fd);
        return;
    }
    *c = (struct connection){.backend = b, .who = who, .fd = fd, .out = fn_buf_heap()};
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, connection, c) != 0) {
        close(fd);
        free(c);
    }
    pthread_attr_destroy(&attributes);
}

static fn_err listen_at(const char *path, int *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return FN_FAIL(FN_E_TOO_LARGE, "socket path: %s", path);
    memcpy(address.sun_path, path, strlen(path));
    int fd FN_SCOPED_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return FN_FAIL_OS("socket");
    unlink(path); /* of a process that was killed: the store's lock has shown that none is running */
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) return FN_FAIL_OS("bind %s", path);
    if (chmod(path, 0666) != 0) return FN_FAIL_OS("chmod %s", path);
    if (listen(fd, 1024) != 0) return FN_FAIL_OS("listen %s", path);
    *out = fn_fd_release(&fd);
    return FN_OK;
}

fn_err fn_backend_serve(struct fn_backend *b, int signals)
{
    int listener FN_SCOPED_FD = -1;
    FN_TRY(listen_at(b->options.socket, &listener));
    fn_ready();
    for (;;) {
        struct pollfd fds[2] = {{.fd = listener, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR) return FN_FAIL_OS("poll");
        if (fds[1].revents & POLLIN) {
            int signal = fn_signals_next(signals);
            if (signal == SIGTERM || signal == SIGINT) break;
        }
        if (fds[0].revents & POLLIN) accept_one(b, listener);
    }
    unlink(b->options.socket);
    return FN_OK;
}
