#include "device/client/client_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS    10000u
#define REQUESTS_MOST 8192u /* waiting in one client, sent or not */
#define DEFAULT_PATH  "/run/fengni/device.sock"

static void enter(struct fn_client *c)
{
    if (c->pid != getpid()) fn_link_forked(c);
    pthread_mutex_lock(&c->lock);
}

static void leave(struct fn_client *c)
{
    fn_link_pass(c);
    pthread_mutex_unlock(&c->lock);
}

/* The link's failure as this thread's. */
static fn_err link_failure(const struct fn_client *c)
{
    return FN_FAIL(c->failure ? c->failure : FN_E_TIMEOUT, "%s",
                   c->failure ? c->failure_detail : "the device does not answer");
}

/* Waits for something to happen: leads when nobody does, sleeps otherwise. */
static void wait_once(struct fn_client *c, struct request *self, int64_t until_ms)
{
    int64_t left = until_ms - fn_link_now_ms();
    if (left < 0) left = 0;
    if (!c->led) {
        fn_link_lead(c, (int)left);
        return;
    }
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    self->next_waiting = c->waiting;
    c->waiting = self;
    pthread_cond_timedwait(self->wake, &c->lock, &until);
    struct request **place = &c->waiting;
    while (*place != self) place = &(*place)->next_waiting;
    *place = self->next_waiting;
}

static void make_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void forget(struct fn_client *c)
{
    while (c->first) fn_link_drop(c, c->first);
    for (struct request *r = c->done_first, *next; r; r = next) {
        next = r->next;
        fn_link_drop(c, r);
    }
    fn_link_close_descriptors(c);
    pthread_mutex_destroy(&c->lock);
    if (c->in) fn_wipe(c->in, c->in_room);
    if (c->out) fn_wipe(c->out, c->out_room);
    free(c->in);
    free(c->out);
    free(c->sessions);
    free(c->path);
    free(c);
}

/* The first connection: an absent device is told at once, a slow one has the time-out. */
static fn_err first_link(struct fn_client *c)
{
    int64_t until = fn_link_now_ms() + c->timeout_ms;
    c->down_since_ms = fn_link_now_ms();
    c->attempt_at_ms = c->down_since_ms;
    fn_link_tend(c);
    while (c->state != LINK_UP && c->state != LINK_DOWN && fn_link_now_ms() < until)
        fn_link_lead(c, (int)(until - fn_link_now_ms()));
    return c->state == LINK_UP ? FN_OK : link_failure(c);
}

fn_err fn_client_open(struct fn_client **client, const struct fn_client_options *options)
{
    const char *path = options ? options->socket : NULL;
    if (!path || !*path) path = getenv("FENGNI_DEVICE_SOCKET");
    if (!path || !*path) path = DEFAULT_PATH;
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return FN_FAIL(FN_E_TOO_LARGE, "path of the device socket: %s", path);
    struct fn_client *c = calloc(1, sizeof *c);
    if (!c) return FN_FAIL(FN_E_NO_MEMORY, "client");
    c->path = strdup(path);
    c->pid = getpid();
    c->timeout_ms = options && options->timeout_ms ? options->timeout_ms : TIMEOUT_MS;
    pthread_mutex_init(&c->lock, NULL);
    fn_err failed = c->path ? fn_link_descriptors(c) : FN_FAIL(FN_E_NO_MEMORY, "client");
    if (failed == FN_OK) {
        enter(c);
        failed = first_link(c);
        leave(c);
    }
    if (failed != FN_OK) {
        forget(c);
        return failed;
    }
    *client = c;
    return FN_OK;
}

void fn_client_close(struct fn_client *client)
{
    if (!client) return;
    enter(client);
    leave(client);
    forget(client);
}

fn_err fn_client_hello(struct fn_client *client, struct fn_client_hello *hello)
{
    enter(client);
    *hello = client->hello;
    leave(client);
    return FN_OK;
}

uint64_t fn_client_epoch(struct fn_client *client)
{
    enter(client);
    uint64_t epoch = client->epoch;
    leave(client);
    return epoch;
}

static fn_err new_session(struct fn_client *c, uint32_t *number)
{
    size_t i = 0;
    while (i < c->sessions_room && c->sessions[i].live) i++;
    if (i == c->sessions_room) {
        size_t room = c->sessions_room ? c->sessions_room * 2 : 16;
        struct session *grown = realloc(c->sessions, room * sizeof *grown);
        if (!grown) return FN_FAIL(FN_E_NO_MEMORY, "%zu sessions", room);
        memset(grown + c->sessions_room, 0, (room - c->sessions_room) * sizeof *grown);
        c->sessions = grown;
        c->sessions_room = room;
    }
    c->sessions[i] = (struct session){.live = true};
    *number = (uint32_t)i + 1;
    return FN_OK;
}

/* Sends a request and waits for its response until a moment. */
static fn_err exchange(struct fn_client *c, uint64_t epoch, uint32_t session, uint32_t opens, uint16_t operation,
                       uint16_t count, struct fn_bytes items, int64_t until,
                       struct fn_client_response *response)
{
    pthread_cond_t wake;
    struct request *r;
    FN_TRY(fn_link_request(c, REQUEST_SYNC, session, operation, count, items, &r));
    make_cond(&wake);
    r->wake = &wake;
    r->opens = opens;
    if (epoch) r->epoch = epoch;
    fn_link_tend(c);
    fn_link_flush(c);
    while (!r->done && fn_link_now_ms() < until) wait_once(c, r, until);
    fn_err failed = FN_OK;
    if (r->done) {
        *response = r->response;
        r->response.storage = NULL;
        fn_link_drop(c, r);
    } else {
        failed = c->state == LINK_UP ? FN_FAIL(FN_E_TIMEOUT, "no answer within %u ms", c->timeout_ms)
                                     : link_failure(c);
        if (r->sent)
            r->kind = REQUEST_GONE;
        else
            fn_link_drop(c, r);
    }
    pthread_cond_destroy(&wake);
    return failed;
}

static fn_err check(const struct fn_client *c, uint32_t session, uint16_t count, struct fn_bytes items)
{
    if (count > c->hello.vector_most)
        return FN_FAIL(FN_E_DEVICE_VECTOR, "%u items, at most %u", count, c->hello.vector_most);
    if (items.n > c->hello.frame_most - FN_DEVICE_REQUEST_HEADER + 4)
        return FN_FAIL(FN_E_TOO_LARGE, "request of %zu bytes, at most %u", items.n, c->hello.frame_most);
    if (session > c->sessions_room || (session && !c->sessions[session - 1].live))
        return FN_FAIL(FN_E_ARGUMENT, "session %u is not open", session);
    if (c->requests >= REQUESTS_MOST) return FN_FAIL(FN_E_DEVICE_BUSY, "%zu requests wait", c->requests);
    return FN_OK;
}

/* The response's status as the error of this thread. */
static fn_err as_error(struct fn_client_response *response)
{
    if (response->status == FN_OK) return FN_OK;
    fn_err status = response->status;
    int n = response->items.n > 180 ? 180 : (int)response->items.n;
    fn_err_fail(status, __FILE__, __LINE__, "%.*s", n, n ? (const char *)response->items.p : "");
    fn_client_response_free(response);
    return status;
}

static void pause_ms(struct fn_client *c, int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    leave(c);
    while (nanosleep(&t, &t) != 0 && errno == EINTR) continue;
    enter(c);
}

static fn_err call(struct fn_client *c, uint64_t epoch, uint32_t session, uint32_t opens, uint16_t operation, uint16_t count,
                   struct fn_bytes items, struct fn_client_response *response)
{
    int64_t until = fn_link_now_ms() + c->timeout_ms;
    bool busy = false;
    for (;;) {
        FN_TRY(check(c, session, count, items));
        fn_err failed = exchange(c, epoch, session, opens, operation, count, items, until, response);
        if (failed == FN_E_TIMEOUT && busy) return FN_WRAP(FN_E_DEVICE_BUSY, "for %u ms", c->timeout_ms);
        FN_TRY(failed);
        if (response->status != FN_E_DEVICE_BUSY) return as_error(response);
        busy = true;
        int64_t pause = response->retry_ms ? response->retry_ms : 1, left = until - fn_link_now_ms();
        if (pause > left) return as_error(response);
        fn_client_response_free(response);
        pause_ms(c, pause);
    }
}

fn_err fn_client_call_in(struct fn_client *client, uint64_t epoch, uint32_t session, uint16_t operation, uint16_t count,
                         struct fn_bytes items, struct fn_client_response *response)
{
    memset(response, 0, sizeof *response);
    enter(client);
    fn_err failed = call(client, epoch, session, 0, operation, count, items, response);
    leave(client);
    return failed;
}

fn_err fn_client_call(struct fn_client *client, uint32_t session, uint16_t operation, uint16_t count, struct fn_bytes items,
                      struct fn_client_response *response)
{
    return fn_client_call_in(client, 0, session, operation, count, items, response);
}

fn_err fn_client_submit_in(struct fn_client *client, uint64_t epoch, uint32_t session, uint16_t operation, uint16_t count,
                           struct fn_bytes items, uint64_t token)
{
    struct request *r;
    enter(client);
    fn_err failed = check(client, session, count, items);
    if (failed == FN_OK) failed = fn_link_request(client, REQUEST_ASYNC, session, operation, count, items, &r);
    if (failed == FN_OK) {
        r->token = token;
        if (epoch) r->epoch = epoch;
        fn_link_tend(client);
        fn_link_flush(client);
    }
    leave(client);
    return failed;
}

fn_err fn_client_submit(struct fn_client *client, uint32_t session, uint16_t operation, uint16_t count, struct fn_bytes items,
                        uint64_t token)
{
    return fn_client_submit_in(client, 0, session, operation, count, items, token);
}

int fn_client_descriptor(struct fn_client *client)
{
    return client->epoll;
}

fn_err fn_client_poll(struct fn_client *client, uint32_t timeout_ms, struct fn_client_response *response)
{
    pthread_cond_t wake;
    struct request self = {.wake = &wake};
    enter(client);
    make_cond(&wake);
    int64_t until = fn_link_now_ms() + timeout_ms;
    if (!client->done_first && !client->led) fn_link_lead(client, 0);
    while (!client->done_first && fn_link_now_ms() < until) wait_once(client, &self, until);
    struct request *r = client->done_first;
    fn_err failed = FN_OK;
    if (r) {
        client->done_first = r->next;
        if (!r->next) client->done_last = NULL;
        *response = r->response;
        r->response.storage = NULL;
        fn_link_drop(client, r);
    } else {
        failed = FN_E_TIMEOUT; /* the usual end of a look, not worth a chain */
    }
    if (!client->done_first) fn_link_ready(client, false);
    pthread_cond_destroy(&wake);
    leave(client);
    return failed;
}

void fn_client_response_free(struct fn_client_response *response)
{
    if (response->storage) {
        size_t n;
        memcpy(&n, response->storage, sizeof n);
        fn_wipe(response->storage, sizeof n + n);
        free(response->storage);
    }
    response->storage = NULL;
    response->items = fn_bytes(NULL, 0);
}

fn_err fn_client_session_open(struct fn_client *client, uint32_t *session)
{
    struct fn_client_response response = {0};
    uint32_t number = 0;
    enter(client);
    fn_err failed = new_session(client, &number);
    if (failed == FN_OK) {
        failed = call(client, 0, 0, number, FN_OP_SESSION_OPEN, 1, fn_bytes(NULL, 0), &response);
        struct session *s = &client->sessions[number - 1];
        if (failed == FN_OK && !s->established)
            failed = FN_WRAP(s->failure ? s->failure : FN_E_DEVICE_LOST, "the device opened no session");
        if (failed != FN_OK) s->live = false;
    }
    leave(client);
    fn_client_response_free(&response);
    if (failed == FN_OK) *session = number;
    return failed;
}

void fn_client_session_close(struct fn_client *client, uint32_t session)
{
    enter(client);
    if (session && session <= client->sessions_room && client->sessions[session - 1].live) {
        struct session *s = &client->sessions[session - 1];
        struct request *r;
        if (client->state == LINK_UP && s->device &&
            fn_link_request(client, REQUEST_LINK, 0, FN_OP_SESSION_CLOSE, 1, fn_bytes(NULL, 0), &r) ==
                FN_OK) {
            fn_put_be32(r->frame + 8,
                        s->device); /* now: the number may belong to another session when it is sent */
            fn_link_flush(client);
        }
        s->live = false; /* without a connection the device has forgotten it already */
    }
    leave(client);
}
