#include "device/client/client_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_STEP 65536u
#define OUT_MOST  (1u << 20) /* bytes waiting for the socket; further requests stay in the list */
#define STEADY_MS 1000       /* a link that held so long is tried again at once when it breaks */
#define GREET_MS  5000       /* the device must answer HELLO within */

int64_t fn_link_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Descriptors */

static void watch(struct fn_client *c, int fd, int operation, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    (void)epoll_ctl(c->epoll, operation, fd, &e); /* fails only for descriptors that are closed already */
}

fn_err fn_link_descriptors(struct fn_client *c)
{
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    c->socket = -1;
    if (c->epoll < 0 || c->ready < 0 || c->wake < 0 || c->timer < 0)
        return FN_FAIL(FN_E_IO, "no descriptors left: %s", strerror(errno));
    watch(c, c->ready, EPOLL_CTL_ADD, EPOLLIN);
    watch(c, c->timer, EPOLL_CTL_ADD, EPOLLIN);
    return FN_OK;
}

void fn_link_close_descriptors(struct fn_client *c)
{
    int *all[] = {&c->socket, &c->ready, &c->wake, &c->timer, &c->epoll};
    for (size_t i = 0; i < FN_COUNT(all); i++) {
        if (*all[i] >= 0) close(*all[i]);
        *all[i] = -1;
    }
}

void fn_link_ready(struct fn_client *c, bool on)
{
    if (c->ready_set == on) return;
    uint64_t one = 1;
    ssize_t n = on ? write(c->ready, &one, sizeof one) : read(c->ready, &one, sizeof one);
    c->ready_set = on;
    (void)n; /* a counter of 0 or 1 cannot overflow, and EAGAIN means that it is as wished */
}

static void set_timer(struct fn_client *c, int64_t in_ms)
{
    struct itimerspec t = {.it_value = {.tv_sec = in_ms / 1000, .tv_nsec = in_ms % 1000 * 1000000}};
    if (in_ms == 0) t.it_value.tv_nsec = 1;
    if (in_ms < 0) t.it_value = (struct timespec){0};
    if (in_ms < 0 && !c->timer_armed) return;
    timerfd_settime(c->timer, 0, &t, NULL);
    c->timer_armed = in_ms >= 0;
}

/* Makes a leader look at the link anew. */
static void nudge(struct fn_client *c)
{
    uint64_t one = 1;
    if (c->led && write(c->wake, &one, sizeof one) < 0) return; /* full: it is being woken already */
}

static void want_write(struct fn_client *c, bool wants)
{
    if (c->wants_write == wants || c->socket < 0) return;
    c->wants_write = wants;
    watch(c, c->socket, EPOLL_CTL_MOD, wants ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (wants) nudge(c);
}

/* Requests */

static uint32_t slot(const uint8_t id[FN_DEVICE_ID_SIZE])
{
    return fn_get_be32(id) % TABLE_SIZE;
}

static fn_err fresh_id(struct fn_client *c, uint8_t id[FN_DEVICE_ID_SIZE])
{
    if (c->random_left == 0) {
        uint8_t *p = c->random[0];
        for (size_t n = 0; n < sizeof c->random;) {
            ssize_t got = getrandom(p + n, sizeof c->random - n, 0);
            if (got < 0 && errno != EINTR) return FN_FAIL(FN_E_IO, "getrandom: %s", strerror(errno));
            if (got > 0) n += (size_t)got;
        }
        c->random_left = RANDOM_POOL;
    }
    memcpy(id, c->random[--c->random_left], FN_DEVICE_ID_SIZE);
    return FN_OK;
}

static uint8_t *request_id(const struct request *r)
{
    return r->frame + 12;
}

fn_err fn_link_request(struct fn_client *c, enum request_kind kind, uint32_t session, uint16_t operation,
                       uint16_t count, struct fn_bytes items, struct request **made)
{
    struct request *r = calloc(1, sizeof *r);
    size_t size = FN_DEVICE_REQUEST_HEADER + items.n;
    if (r) r->frame = malloc(size);
    if (!r || !r->frame) {
        free(r);
        return FN_FAIL(FN_E_NO_MEMORY, "request of %zu bytes", size);
    }
    r->kind = kind;
    r->epoch = c->epoch;
    r->session = session;
    r->frame_size = size;
    fn_put_be32(r->frame, (uint32_t)(size - 4));
    fn_put_be16(r->frame + 4, operation);
    fn_put_be16(r->frame + 6, count);
    fn_put_be32(r->frame + 8, 0);
    fn_err failed = fresh_id(c, request_id(r));
    if (failed != FN_OK) {
        free(r->frame);
        free(r);
        return failed;
    }
    if (items.n) memcpy(r->frame + FN_DEVICE_REQUEST_HEADER, items.p, items.n);
    r->previous = c->last;
    *(c->last ? &c->last->next : &c->first) = r;
    c->last = r;
    if (!c->next_unsent) c->next_unsent = r;
    struct request **place = &c->table[slot(request_id(r))];
    r->chain = *place;
    *place = r;
    c->requests++;
    *made = r;
    return FN_OK;
}

static void unlist(struct fn_client *c, struct request *r)
{
    *(r->previous ? &r->previous->next : &c->first) = r->next;
    *(r->next ? &r->next->previous : &c->last) = r->previous;
    if (c->next_unsent == r) c->next_unsent = r->next;
    struct request **place = &c->table[slot(request_id(r))];
    while (*place != r) place = &(*place)->chain;
    *place = r->chain;
    c->requests--;
    if (r->sent) c->outstanding--;
    r->next = r->previous = NULL;
    fn_wipe(r->frame, r->frame_size);
    free(r->frame);
    r->frame = NULL;
}

void fn_link_drop(struct fn_client *c, struct request *r)
{
    if (r->frame) unlist(c, r);
    fn_client_response_free(&r->response);
    free(r);
}

/* Answered, by the device or by us: hands the request to whoever cares. */
static void finish(struct fn_client *c, struct request *r)
{
    r->response.token = r->token;
    r->response.epoch = c->epoch;
    unlist(c, r);
    r->done = true;
    nudge(c);
    if (r->kind == REQUEST_SYNC) {
        pthread_cond_signal(r->wake);
    } else if (r->kind == REQUEST_ASYNC) {
        *(c->done_last ? &c->done_last->next : &c->done_first) = r;
        c->done_last = r;
        fn_link_ready(c, true);
        for (struct request *w = c->waiting; w; w = w->next_waiting) /* pollers wait without a frame */
            if (!w->frame_size) pthread_cond_signal(w->wake);
    } else {
        fn_link_drop(c, r);
    }
}

static void finish_failed(struct fn_client *c, struct request *r, fn_err status, const char *detail)
{
    size_t n = strlen(detail);
    r->response = (struct fn_client_response){.operation = fn_get_be16(r->frame + 4), .status = status};
    r->response.storage = malloc(sizeof(size_t) + n + 1);
    if (r->response.storage) {
        memcpy(r->response.storage, &n, sizeof n);
        uint8_t *text = (uint8_t *)r->response.storage + sizeof n;
        memcpy(text, detail, n);
        r->response.items = fn_bytes(text, n);
    }
    finish(c, r);
}

/* Sending */

static bool put_out(struct fn_client *c, const uint8_t *p, size_t n)
{
    while (n && c->out_from == c->out_size) {
        ssize_t sent = send(c->socket, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            fn_link_down(c, FN_E_DEVICE_LOST, "send: %s", strerror(errno));
            return false;
        }
        if (sent < 0) break;
        p += sent;
        n -= (size_t)sent;
    }
    if (n == 0) return true;
    if (c->out_from == c->out_size) c->out_from = c->out_size = 0;
    if (c->out_size + n > c->out_room) {
        size_t room = c->out_size + n + READ_STEP;
        uint8_t *grown = realloc(c->out, room);
        if (!grown) {
            fn_link_down(c, FN_E_NO_MEMORY, "send buffer of %zu bytes", room);
            return false;
        }
        c->out = grown;
        c->out_room = room;
    }
    memcpy(c->out + c->out_size, p, n);
    c->out_size += n;
    want_write(c, true);
    return true;
}

static void drain_out(struct fn_client *c)
{
    while (c->out_from < c->out_size) {
        ssize_t sent =
            send(c->socket, c->out + c->out_from, c->out_size - c->out_from, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (sent < 0) {
            fn_link_down(c, FN_E_DEVICE_LOST, "send: %s", strerror(errno));
            return;
        }
        fn_wipe(c->out + c->out_from, (size_t)sent);
        c->out_from += (size_t)sent;
    }
    c->out_from = c->out_size = 0;
    want_write(c, false);
}

/* false when the link went down. */
static bool send_request(struct fn_client *c, struct request *r)
{
    r->sent = true;
    r->sends++;
    c->outstanding++;
    return put_out(c, r->frame, r->frame_size);
}

/* What must not or cannot be sent is answered here. */
static bool answer_here(struct fn_client *c, struct request *r)
{
    if (r->kind == REQUEST_LINK) return false;
    if (r->sends >= SENDS_MOST) {
        finish_failed(c, r, FN_E_DEVICE_LOST, "the connection broke each time this request was sent");
        return true;
    }
    uint16_t operation = fn_get_be16(r->frame + 4), count = fn_get_be16(r->frame + 6);
    if (r->epoch != c->epoch) {
        struct fn_bytes items = fn_bytes(r->frame + FN_DEVICE_REQUEST_HEADER, r->frame_size - FN_DEVICE_REQUEST_HEADER);
        fn_err outlived = fn_items_outlive(operation, count, items);
        if (outlived != FN_OK) {
            finish_failed(c, r, outlived, "it died with the former connection to the device");
            return true;
        }
        r->epoch = c->epoch;
    }
    if (r->session == 0) return false;
    const struct session *s = &c->sessions[r->session - 1];
    if (s->device == 0) {
        finish_failed(c, r, s->failure ? s->failure : FN_E_DEVICE_STEP,
                      "the session could not be opened again");
        return true;
    }
    fn_put_be32(r->frame + 8, s->device);
    return false;
}

void fn_link_flush(struct fn_client *c)
{
    if (c->state == LINK_UP && c->out_from < c->out_size) drain_out(c);
    while (c->state == LINK_UP && c->next_unsent && c->out_size - c->out_from < OUT_MOST) {
        struct request *r = c->next_unsent;
        if (!r->sent && c->outstanding >= c->hello.outstanding_most) return;
        if (!r->sent && answer_here(c, r)) continue;
        c->next_unsent = r->next;
        if (!r->sent) send_request(c, r);
    }
}

/* The connection's life */

void fn_link_down(struct fn_client *c, fn_err failure, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fn_format_v(c->failure_detail, sizeof c->failure_detail, format, args);
    va_end(args);
    c->failure = failure;
    if (c->socket >= 0) close(c->socket); /* leaves the epoll set by itself */
    c->socket = -1;
    c->wants_write = false;
    if (c->in) fn_wipe(c->in, c->in_size);
    if (c->out) fn_wipe(c->out, c->out_size);
    c->in_size = c->out_from = c->out_size = 0;
    c->link_open = 0;
    int64_t now = fn_link_now_ms();
    if (c->state == LINK_UP) {
        c->down_since_ms = now;
        if (now - c->up_since_ms > STEADY_MS) c->backoff_ms = 0;
    }
    c->state = LINK_DOWN;
    c->attempt_at_ms = now + c->backoff_ms;
    c->backoff_ms = c->backoff_ms == 0                 ? BACKOFF_FIRST
                    : c->backoff_ms * 2 > BACKOFF_MOST ? BACKOFF_MOST
                                                       : c->backoff_ms * 2;
    for (size_t i = 0; i < c->sessions_room; i++) c->sessions[i].device = 0;
    for (struct request *r = c->first, *next; r; r = next) {
        next = r->next;
        if (r->kind == REQUEST_LINK || r->kind == REQUEST_GONE) {
            fn_link_drop(c, r);
        } else if (r->sent) {
            r->sent = false;
            c->outstanding--;
        }
    }
    c->next_unsent = c->first;
    set_timer(c, c->attempt_at_ms - now);
    nudge(c);
}

static void start_hello(struct fn_client *c)
{
    uint8_t version[4];
    struct request *r;
    fn_put_be32(version, FN_DEVICE_PROTOCOL_VERSION);
    if (fn_link_request(c, REQUEST_LINK, 0, FN_OP_HELLO, 1, fn_bytes(version, sizeof version), &r) != FN_OK) {
        fn_link_down(c, FN_E_NO_MEMORY, "hello");
        return;
    }
    c->state = LINK_HELLO;
    send_request(c, r);
}

static void connect_now(struct fn_client *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, c->path,
           strlen(c->path)); /* its length was checked when the client was opened */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int number = errno;
        if (fd >= 0) close(fd);
        fn_link_down(c, FN_E_CONNECTION, "%s: %s", c->path, strerror(number));
        return;
    }
    c->socket = fd;
    watch(c, fd, EPOLL_CTL_ADD, EPOLLIN);
    c->greet_by_ms = fn_link_now_ms() + GREET_MS;
    set_timer(c, GREET_MS);
    start_hello(c);
}

/* What waited too long for a link is given up. Synchronous callers watch their own clocks. */
static void give_up(struct fn_client *c, int64_t now)
{
    if (now - c->down_since_ms < c->timeout_ms) return;
    for (struct request *r = c->first, *next; r; r = next) {
        next = r->next;
        if (r->kind == REQUEST_ASYNC && r->frame) finish_failed(c, r, FN_E_DEVICE_LOST, c->failure_detail);
    }
}

int fn_link_tend(struct fn_client *c)
{
    if (c->state == LINK_UP) return -1;
    int64_t now = fn_link_now_ms();
    if (c->state != LINK_DOWN && now >= c->greet_by_ms)
        fn_link_down(c, FN_E_TIMEOUT, "the device does not answer HELLO");
    if (c->state == LINK_DOWN && now >= c->attempt_at_ms) connect_now(c);
    if (c->state == LINK_UP) return -1;
    if (c->state == LINK_DOWN) give_up(c, now);
    int64_t left = (c->state == LINK_DOWN ? c->attempt_at_ms : c->greet_by_ms) - fn_link_now_ms();
    return left < 0 ? 0 : (int)left;
}

static void link_up(struct fn_client *c)
{
    c->state = LINK_UP;
    c->up_since_ms = fn_link_now_ms();
    c->failure = FN_OK;
    set_timer(c, -1);
    fn_link_flush(c);
}

static void open_sessions(struct fn_client *c)
{
    c->state = LINK_SESSIONS;
    for (size_t i = 0; i < c->sessions_room; i++) {
        if (!c->sessions[i].live || !c->sessions[i].established) continue;
        struct request *r;
        if (fn_link_request(c, REQUEST_LINK, 0, FN_OP_SESSION_OPEN, 1, fn_bytes(NULL, 0), &r) != FN_OK) {
            fn_link_down(c, FN_E_NO_MEMORY, "sessions");
            return;
        }
        r->opens = (uint32_t)i + 1;
        c->link_open++;
        if (!send_request(c, r)) return;
    }
    if (c->link_open == 0) link_up(c);
}

static fn_err read_name(struct fn_cur *cur, char out[65])
{
    struct fn_bytes v;
    FN_TRY(fn_cur_var(cur, 64, &v));
    memcpy(out, v.p, v.n);
    out[v.n] = 0;
    return FN_OK;
}

static fn_err read_hello(struct fn_client_hello *h, struct fn_bytes items)
{
    struct fn_cur cur = fn_cur(items);
    FN_TRY(fn_client_item_status(&cur));
    FN_TRY(fn_cur_u32(&cur, &h->version));
    FN_TRY(fn_cur_u32(&cur, &h->frame_most));
    FN_TRY(fn_cur_u32(&cur, &h->vector_most));
    FN_TRY(fn_cur_u32(&cur, &h->outstanding_most));
    FN_TRY(fn_cur_copy(&cur, h->boot.b, sizeof h->boot.b));
    FN_TRY(fn_cur_u32(&cur, &h->device_state));
    FN_TRY(read_name(&cur, h->tenant));
    FN_TRY(read_name(&cur, h->application));
    FN_TRY(fn_cur_end(&cur));
    if (h->version != FN_DEVICE_PROTOCOL_VERSION)
        return FN_FAIL(FN_E_VERSION, "protocol version %u", h->version);
    if (h->frame_most < 4096 || h->vector_most == 0 || h->outstanding_most == 0)
        return FN_FAIL(FN_E_FORMAT, "limits %u, %u, %u", h->frame_most, h->vector_most, h->outstanding_most);
    if (h->frame_most > FN_DEVICE_FRAME_MOST) h->frame_most = FN_DEVICE_FRAME_MOST;
    return FN_OK;
}

static void greeted(struct fn_client *c, const struct fn_client_response *response)
{
    struct fn_client_hello hello = {0};
    if (response->status != FN_OK) {
        fn_link_down(c, response->status, "%.*s", (int)(response->items.n > 150 ? 150 : response->items.n),
                     response->items.p);
        return;
    }
    fn_err failed = read_hello(&hello, response->items);
    if (failed != FN_OK) {
        fn_link_down(c, failed, "the answer to HELLO is malformed");
        return;
    }
    c->hello = hello;
    c->greeted = true;
    c->epoch++;
    open_sessions(c);
}

static void session_opened(struct fn_client *c, const struct request *r)
{
    struct session *s = &c->sessions[r->opens - 1];
    struct fn_cur cur = fn_cur(r->response.items);
    s->failure = r->response.status;
    if (s->failure == FN_OK) s->failure = fn_client_item_status(&cur);
    if (s->failure == FN_OK) s->failure = fn_cur_u32(&cur, &s->device);
    if (s->failure == FN_OK) s->established = true;
}

/* Receiving */

static void answered(struct fn_client *c, struct request *r)
{
    uint16_t operation = r->response.operation;
    if (r->kind == REQUEST_LINK && operation == FN_OP_HELLO) {
        struct fn_client_response response = r->response;
        r->response.storage = NULL;
        fn_link_drop(c, r);
        greeted(c, &response);
        fn_client_response_free(&response);
        return;
    }
    if (operation == FN_OP_SESSION_OPEN && r->opens) session_opened(c, r);
    bool last = r->kind == REQUEST_LINK && operation == FN_OP_SESSION_OPEN && c->state == LINK_SESSIONS &&
                --c->link_open == 0;
    finish(c, r);
    if (last) link_up(c);
}

static struct request *find(struct fn_client *c, const uint8_t id[FN_DEVICE_ID_SIZE])
{
    struct request *r = c->table[slot(id)];
    while (r && memcmp(request_id(r), id, FN_DEVICE_ID_SIZE) != 0) r = r->chain;
    return r && r->sent ? r : NULL;
}

/* One whole frame of n bytes after the length field. false: it breaks the protocol. */
static bool take_frame(struct fn_client *c, const uint8_t *p, size_t n)
{
    if (n < FN_DEVICE_RESPONSE_HEADER - 4) return false;
    struct request *r = find(c, p + 8);
    if (!r || memcmp(r->frame + 4, p, 2) != 0 || memcmp(r->frame + 8, p + 4, 4) != 0) return false;
    uint32_t status = fn_get_be32(p + 24);
    uint16_t count = fn_get_be16(p + 2);
    if (status > INT32_MAX || count != (status == FN_OK ? fn_get_be16(r->frame + 6) : 0)) return false;
    struct fn_bytes items = fn_bytes(p + 32, n - 32);
    struct fn_cur cur = fn_cur(items);
    if (status != FN_OK && (fn_cur_var(&cur, n, &items) != FN_OK || fn_cur_end(&cur) != FN_OK)) return false;
    uint8_t *storage = malloc(sizeof(size_t) + items.n + 1);
    if (!storage) {
        fn_link_down(c, FN_E_NO_MEMORY, "response of %zu bytes", n);
        return true;
    }
    memcpy(storage, &items.n, sizeof items.n);
    if (items.n) memcpy(storage + sizeof(size_t), items.p, items.n);
    r->response = (struct fn_client_response){.operation = fn_get_be16(p),
                                              .count = count,
                                              .status = (fn_err)status,
                                              .retry_ms = fn_get_be32(p + 28),
                                              .items = {storage + sizeof(size_t), items.n},
                                              .storage = storage};
    answered(c, r);
    return true;
}

static void take_frames(struct fn_client *c)
{
    size_t at = 0;
    int socket = c->socket;
    while (c->in_size - at >= 4) {
        size_t n = fn_get_be32(c->in + at);
        if (n > FN_DEVICE_RESPONSE_MOST) {
            fn_link_down(c, FN_E_FORMAT, "response frame of %zu bytes", n);
            return;
        }
        if (c->in_size - at - 4 < n) break;
        bool good = take_frame(c, c->in + at + 4, n);
        if (c->socket != socket || c->state == LINK_DOWN) return; /* nothing is left of the buffer */
        if (!good) {
            fn_link_down(c, FN_E_FORMAT, "a response fits no request");
            return;
        }
        at += 4 + n;
    }
    memmove(c->in, c->in + at, c->in_size - at);
    fn_wipe(c->in + c->in_size - at, at);
    c->in_size -= at;
}

/* All that is there, a step at a time. */
static void receive(struct fn_client *c)
{
    for (;;) {
        if (c->state == LINK_DOWN) return;
        size_t want = c->in_size >= 4 ? 4 + (size_t)fn_get_be32(c->in) : 0;
        if (want < c->in_size + READ_STEP) want = c->in_size + READ_STEP;
        if (want > c->in_room) {
            uint8_t *grown = realloc(c->in, want);
            if (!grown) {
                fn_link_down(c, FN_E_NO_MEMORY, "receive buffer of %zu bytes", want);
                return;
            }
            c->in = grown;
            c->in_room = want;
        }
        size_t room = c->in_room - c->in_size;
        ssize_t got = recv(c->socket, c->in + c->in_size, room, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (got <= 0) {
            fn_link_down(c, FN_E_DEVICE_LOST, "%s",
                         got == 0 ? "the device closed the connection" : strerror(errno));
            return;
        }
        c->in_size += (size_t)got;
        take_frames(c);
        if ((size_t)got < room) return;
    }
}

void fn_link_lead(struct fn_client *c, int timeout_ms)
{
    int attend = fn_link_tend(c);
    if (attend >= 0 && (timeout_ms < 0 || attend < timeout_ms)) timeout_ms = attend;
    struct pollfd fds[2] = {{.fd = c->wake, .events = POLLIN}, {.fd = c->socket, .events = POLLIN}};
    if (c->wants_write) fds[1].events |= POLLOUT;
    int socket = c->socket;
    c->led = true;
    pthread_mutex_unlock(&c->lock);
    int n = poll(fds, 2, timeout_ms);
    pthread_mutex_lock(&c->lock);
    c->led = false;
    uint64_t count;
    if (n > 0 && fds[0].revents && read(c->wake, &count, sizeof count) < 0)
        n = 1; /* somebody else took it: no matter */
    if (c->socket != socket || socket < 0) {
        fn_link_tend(c);
        return;
    }
    if (n > 0 && fds[1].revents & POLLOUT) drain_out(c);
    if (n > 0 && fds[1].revents & (POLLIN | POLLHUP | POLLERR)) receive(c);
    fn_link_tend(c);
    fn_link_flush(c);
}

void fn_link_pass(struct fn_client *c)
{
    if (!c->led && c->waiting) pthread_cond_signal(c->waiting->wake);
}

void fn_link_forked(struct fn_client *c)
{
    int number = c->epoll, fresh;
    close(c->socket);
    close(c->ready);
    close(c->wake);
    close(c->timer);
    pthread_mutex_init(&c->lock, NULL);
    /* The parent's epoll instance is shared with us: a fresh one takes over its number, which the caller may
     * hold. */
    if (fn_link_descriptors(c) == FN_OK && (fresh = c->epoll) != number &&
        dup3(fresh, number, O_CLOEXEC) == number) {
        close(fresh);
        c->epoll = number;
    }
    while (c->first) {
        struct request *r = c->first;
        unlist(c, r);
        if (r->kind != REQUEST_SYNC)
            fn_link_drop(c, r); /* a synchronous one lies with a thread that is not here: left */
    }
    c->waiting = NULL;
    c->led = c->wants_write = c->timer_armed = c->ready_set = false;
    c->random_left = 0;
    c->state = LINK_DOWN;
    c->backoff_ms = 0;
    c->pid = getpid();
    fn_link_down(c, FN_E_DEVICE_LOST, "the process forked");
    if (c->done_first) fn_link_ready(c, true);
    c->down_since_ms = fn_link_now_ms();
}
