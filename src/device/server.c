/* The server: each worker thread turns an epoll loop of its own over the connections it owns. One turn reads
 * what waits on all ready connections, gathers items of one kind into the batch kernels, and answers each
 * connection with one write. */
#include "device/server.h"

#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include "base/sys/process.h"
#include "device/manage.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#define READ_MOST       ((size_t)256 << 10) /* of one connection in one turn */
#define REGION          ((size_t)4 << 20)   /* read by one turn */
#define TURN_MOST       ((size_t)256 << 10) /* bytes of work for one connection, then it is the others' turn */
#define EVENTS          256
#define OUT_MOST        ((size_t)4 << 20) /* unread answers of one connection before we stop reading it */
#define DEFERRED_MOST   ((size_t)4 << 20) /* requests of one connection that wait behind a change */
#define SESSIONS_MOST   16384u            /* of one connection */
#define STRANGERS_SHARE 8                 /* of the connections one in so many may be nobody's client */
#define STRANGER_FRAME  4096              /* longest of theirs */
#define OPERATIONS_ROOM 96
#define BUSY_RETRY_MS   2

struct fn_conn {
    struct fn_conn *next, **link; /* of its worker */
    struct fn_conn *turn_next;    /* touched in this turn */
    struct fn_conn *again_next;   /* holds whole frames for the next one */
    int fd;
    uint32_t uid;
    const struct fn_identity *who;
    unsigned clients_version;
    uint8_t *held; /* unprocessed input: a partial frame, or frames while paused */
    size_t held_n;
    uint8_t *out; /* what the socket did not take yet */
    size_t out_n, out_at;
    size_t turn_cost; /* bytes taken in and made in this turn */
    size_t turn_n;    /* bytes of answers of this turn */
    uint8_t *turn_out;
    struct fn_session **sessions; /* by slot: low 16 bits of the id; slot 0 is the connection's own, id 0 */
    size_t sessions_room;
    uint32_t session_serial;
    unsigned outstanding, waits; /* deferred or pending requests; completions that will come */
    size_t deferred_n;           /* bytes of deferred requests */
    struct fn_session *resumes;  /* that have deferred requests and wait for the next turn */
    struct fn_deferred *orphans; /* requests deferred behind the end of their session */
    uint32_t watched;            /* events that the epoll instance knows */
    bool closing, dead, in_turn, in_again, paused, writing;
    bool stranger; /* its uid was no client's when it connected */
};

struct fn_deferred {
    struct fn_deferred *next;
    size_t n;
    uint8_t b[];
};

struct gather {
    struct fn_item **items;
    size_t n, room;
};

struct incoming {
    struct incoming *next;
    int fd;
    uint32_t uid;
    bool stranger;
};

struct fn_work {
    struct fn_work_base base;
    unsigned number;
    pthread_t thread;
    int epoll, wake, listener;
    struct fn_conn *conns;
    atomic_uint conns_count;
    uint8_t *region;
    size_t region_used;
    /* of this turn */
    struct fn_request *first, **last;
    struct fn_conn *turn, *again;
    struct fn_deferred *garbage;
    struct gather gather[OPERATIONS_ROOM];
    bool gathered;
    unsigned waits; /* completions that will come */
    /* from other threads */
    pthread_mutex_t mutex;
    struct fn_pending *done_first, *done_last;
    struct incoming *incoming;
};

struct fn_device *fn_work_device(struct fn_work *w)
{
    return w->base.device;
}
const struct fn_rng *fn_work_rng(struct fn_work *w)
{
    return w->base.rng;
}
struct fn_arena *fn_work_arena(struct fn_work *w)
{
    return &w->base.arena;
}

/* ---- failures ---- */

static void detail_keep(struct fn_request *rq)
{
    const struct fn_err_cause *causes;
    if (!rq->detail[0] && fn_err_chain(&causes)) memcpy(rq->detail, causes[0].detail, sizeof rq->detail);
    fn_err_clear();
}

/* Refusals that somebody should see: who asks for what is not his. */
static bool is_refusal(fn_err err)
{
    return err >= FN_E_DEVICE_STATE && err < FN_E_ROW_ALTERED && err != FN_E_DEVICE_BUSY &&
           err != FN_E_KEY_NOT_FOUND && err != FN_E_DEVICE_STEP && err != FN_E_FILE_SIZE &&
           err != FN_E_FILE_OFFSET && err != FN_E_KEY_HANDLE;
}

void fn_item_fail(struct fn_item *item, fn_err err)
{
    if (err == FN_OK) return;
    struct fn_request *rq = item->request;
    item->status = err;
    if (err == FN_E_DEVICE_BUSY) rq->retry_ms = BUSY_RETRY_MS;
    if (is_refusal(err)) fn_dlog_refusal(rq->work->base.device, rq->who, rq->op->name, err);
    detail_keep(rq);
}

static void request_fail(struct fn_request *rq, fn_err err)
{
    rq->status = err;
    if (is_refusal(err)) fn_dlog_refusal(rq->work->base.device, rq->who, rq->op ? rq->op->name : "?", err);
    detail_keep(rq);
}

/* ---- sessions ---- */

static fn_err session_at(struct fn_conn *c, size_t slot, uint32_t id)
{
    if (slot >= c->sessions_room)
        FN_TRY(fn_heap_grow(&c->sessions, &c->sessions_room, slot + 1, sizeof *c->sessions));
    FN_TRY(fn_heap_array(&c->sessions[slot], 1, sizeof **c->sessions));
    c->sessions[slot]->id = id;
    return FN_OK;
}

static fn_err session_find(struct fn_conn *c, uint32_t id, struct fn_session **session)
{
    size_t slot = id & 0xffff;
    if (id == 0 && (!c->sessions_room || !c->sessions[0])) FN_TRY(session_at(c, 0, 0));
    if (slot >= c->sessions_room || !c->sessions[slot] || c->sessions[slot]->id != id)
        return FN_FAIL(FN_E_NOT_FOUND, "no session %u on this connection", id);
    *session = c->sessions[slot];
    return FN_OK;
}

static fn_err session_open(struct fn_conn *c, uint32_t *id)
{
    size_t slot = 1;
    while (slot < c->sessions_room && c->sessions[slot]) slot++;
    if (slot >= SESSIONS_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "%u sessions on this connection", SESSIONS_MOST);
    c->session_serial = (c->session_serial + 1) & 0xffff;
    *id = c->session_serial << 16 | (uint32_t)slot;
    return session_at(c, slot, *id);
}

void fn_run_SESSION_OPEN(struct fn_work *w, struct fn_item **items, size_t n)
{
    uint32_t id;
    for (size_t i = 0; i < n; i++) {
        fn_err err = session_open(items[i]->request->conn, &id);
        if (err == FN_OK) err = fn_buf_u32(&items[i]->out, id);
        if (err == FN_OK) atomic_fetch_add(&w->base.device->sessions, 1);
        fn_item_fail(items[i], err);
    }
}

void fn_run_SESSION_CLOSE(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)n;
    struct fn_request *rq = items[0]->request;
    struct fn_session *s = rq->session;
    if (s->id == 0) {
        fn_item_fail(items[0], FN_FAIL(FN_E_ARGUMENT, "session 0 is the connection's own"));
        return;
    }
    rq->conn->sessions[s->id & 0xffff] = NULL;
    rq->session = NULL;
    rq->conn->orphans = s->first;
    s->first = s->last = NULL;
    fn_session_free(s);
    atomic_fetch_sub(&w->base.device->sessions, 1);
}

/* ---- requests ---- */

static void touch(struct fn_work *w, struct fn_conn *c)
{
    if (c->in_turn) return;
    c->in_turn = true;
    c->turn_cost = 0;
    c->turn_next = w->turn;
    w->turn = c;
}

static struct fn_request *request_new(struct fn_work *w, struct fn_conn *c)
{
    struct fn_request *rq = fn_arena_zero(&w->base.arena, sizeof *rq);
    if (!rq) return NULL;
    rq->work = w;
    rq->conn = c;
    rq->who = c->who;
    *w->last = rq;
    w->last = &rq->next;
    touch(w, c);
    return rq;
}

static fn_err state_allows(struct fn_device *d, const struct fn_operation *op)
{
    int state = atomic_load(&d->state);
    if (state == FN_DEVICE_READY || op->flags & FN_OPF_ANY_STATE) return FN_OK;
    if (state == FN_DEVICE_LOCKED) return FN_FAIL(FN_E_DEVICE_LOCKED, "%s", op->name);
    if (state == FN_DEVICE_EXCEPTION) return FN_FAIL(FN_E_DEVICE_EXCEPTION, "%s", op->name);
    return FN_FAIL(FN_E_DEVICE_STATE, "%s: not initialised", op->name);
}

/* The identity is fixed by uid; a change of the client table is noticed at the next request. Session keys and
 * access rights were taken as who the connection was: as another one it ends. */
static fn_err identify(struct fn_device *d, struct fn_conn *c)
{
    unsigned version = atomic_load(&d->clients_version);
    if (!c->who || version != c->clients_version) {
        const struct fn_identity *was = c->who;
        c->who = fn_client_find(d, c->uid);
        c->clients_version = version;
        if (was && c->who && memcmp(was->client, c->who->client, sizeof was->client) != 0)
            return FN_FAIL(FN_E_DEVICE_CLIENT, "uid %u is another application now", c->uid);
    }
    if (c->who || atomic_load(&d->state) != FN_DEVICE_READY) return FN_OK;
    return FN_FAIL(FN_E_DEVICE_CLIENT, "uid %u", c->uid);
}

static fn_err gather(struct fn_work *w, struct fn_item *item)
{
    struct gather *g = &w->gather[item->request->op - fn_operation_at(0)];
    if (g->n == g->room) {
        size_t room = g->room ? 2 * g->room : 64;
        struct fn_item **items = fn_arena_take(&w->base.arena, room * sizeof *items);
        if (!items) return FN_FAIL(FN_E_NO_MEMORY, "items");
        if (g->n) memcpy(items, g->items, g->n * sizeof *items);
        g->items = items;
        g->room = room;
    }
    g->items[g->n++] = item;
    w->gathered = true;
    return FN_OK;
}

/* Position of the first key reference, or -1. */
static int key_field(const struct fn_operation *op)
{
    for (int i = 0; op->request[i]; i++)
        if (op->request[i] == 'k') return i;
    return -1;
}

static void request_run(struct fn_work *w, struct fn_request *rq)
{
    struct fn_item **now = fn_arena_take(&w->base.arena, (rq->count + 1u) * sizeof *now);
    size_t n = 0;
    int key_at = key_field(rq->op);
    if (!now) {
        request_fail(rq, FN_FAIL(FN_E_NO_MEMORY, "items"));
        return;
    }
    for (size_t i = 0; i < rq->count; i++) {
        struct fn_item *item = &rq->items[i];
        fn_err err = FN_OK;
        if (key_at >= 0) {
            err = fn_request_key(rq, item->f[key_at].b, &item->key);
            if (err == FN_OK) err = fn_request_permits(rq, rq->op, item->key);
        }
        if (err == FN_OK && rq->op->flags & FN_OPF_GATHER) err = gather(w, item);
        fn_item_fail(item, err);
        if (err == FN_OK) now[n++] = item;
    }
    if (n && !(rq->op->flags & FN_OPF_GATHER)) {
        fn_kernel(rq->number)(w, now, n);
        for (size_t i = 0; i < n; i++) rq->conn->turn_cost += now[i]->out.n;
    }
}

static fn_err request_check(struct fn_work *w, struct fn_request *rq, const struct fn_frame *f)
{
    struct fn_device *d = w->base.device;
    FN_TRY(identify(d, rq->conn));
    rq->who = rq->conn->who;
    rq->op = fn_operation(f->operation);
    if (!rq->op || rq->op->flags & FN_OPF_MANAGEMENT)
        return FN_FAIL(FN_E_DEVICE_OPERATION, "operation %04x", f->operation);
    FN_TRY(state_allows(d, rq->op));
    /* The device may have become ready since. */
    if (!rq->who && !(rq->op->flags & FN_OPF_ANY_STATE))
        return FN_FAIL(FN_E_DEVICE_CLIENT, "uid %u", rq->conn->uid);
    if (f->count > FN_DEVICE_VECTOR_MOST)
        return FN_FAIL(FN_E_DEVICE_VECTOR, "%d items, at most %u", f->count, FN_DEVICE_VECTOR_MOST);
    if (f->count < 1 || (rq->op->flags & FN_OPF_SINGLE && f->count != 1))
        return FN_FAIL(FN_E_DEVICE_VECTOR, "%d items for %s", f->count, rq->op->name);
    return session_find(rq->conn, f->session, &rq->session);
}

static fn_err request_items(struct fn_work *w, struct fn_request *rq, const struct fn_frame *f)
{
    rq->items = fn_arena_zero(&w->base.arena, f->count * sizeof *rq->items);
    if (!rq->items) return FN_FAIL(FN_E_NO_MEMORY, "%d items", f->count);
    FN_TRY(fn_items_read(rq->op, f->items, f->count, rq->items));
    rq->count = f->count;
    for (size_t i = 0; i < rq->count; i++) {
        rq->items[i].request = rq;
        rq->items[i].out = fn_buf_arena();
    }
    return FN_OK;
}

static fn_err defer(struct fn_conn *c, struct fn_session *s, struct fn_bytes frame)
{
    struct fn_deferred *d = malloc(sizeof *d + frame.n);
    if (!d) return FN_FAIL(FN_E_NO_MEMORY, "%zu bytes", frame.n);
    d->next = NULL;
    d->n = frame.n;
    memcpy(d->b, frame.p, frame.n);
    if (s->last)
        s->last->next = d;
    else
        s->first = d;
    s->last = d;
    c->outstanding++;
    c->deferred_n += d->n;
    return FN_OK;
}

static void request_begin(struct fn_work *w, struct fn_conn *c, const struct fn_frame *f)
{
    struct fn_request *rq = request_new(w, c);
    if (!rq) {
        c->closing = true;
        return;
    }
    memcpy(rq->id, f->id, sizeof rq->id);
    rq->number = f->operation;
    rq->session_id = f->session;
    fn_err err = request_check(w, rq, f);
    if (err == FN_OK) {
        err = request_items(w, rq, f);
        /* Whoever cannot lay out an item has lost the thread: what follows cannot be trusted either. */
        if (err != FN_OK) c->closing = true;
    }
    if (err == FN_E_DEVICE_CLIENT) c->closing = true;
    if (err != FN_OK)
        request_fail(rq, err);
    else
        request_run(w, rq);
}

/* Requests of one session run in order: behind a change that is under way, and behind those that wait for
 * it. */
static void request_take(struct fn_work *w, struct fn_conn *c, const struct fn_frame *f, struct fn_bytes raw)
{
    struct fn_session *s = NULL;
    if (session_find(c, f->session, &s) != FN_OK) fn_err_clear();
    if (!s || (!s->busy && !s->first))
        request_begin(w, c, f);
    else if (defer(c, s, raw) != FN_OK)
        c->closing = true;
}

static bool unread(const struct fn_conn *c)
{
    return c->out_n - c->out_at > OUT_MOST;
}

static bool over_limit(const struct fn_conn *c)
{
    return c->outstanding >= FN_DEVICE_OUTSTANDING_MOST || c->deferred_n > DEFERRED_MOST || unread(c);
}

static void bad_frame(struct fn_work *w, struct fn_conn *c, fn_err err)
{
    struct fn_request *rq = request_new(w, c);
    if (rq) request_fail(rq, err);
    c->closing = true;
}

/* Long frames are not held for who is not known. */
static fn_err known(struct fn_device *d, struct fn_conn *c)
{
    FN_TRY(identify(d, c));
    return c->who ? FN_OK : FN_FAIL(FN_E_DEVICE_CLIENT, "uid %u", c->uid);
}

/* Takes whole frames off the front; keeps what is left over. */
static void take_frames(struct fn_work *w, struct fn_conn *c, struct fn_bytes data)
{
    size_t size, want;
    while (!c->closing && !over_limit(c) && c->turn_cost < TURN_MOST) {
        struct fn_frame f;
        fn_err err = fn_frame_read(data, &f, &size, &want);
        if (err == FN_OK && !size && !c->who && want > STRANGER_FRAME) err = known(w->base.device, c);
        if (err != FN_OK) bad_frame(w, c, err);
        if (err != FN_OK || !size) break;
        request_take(w, c, &f, fn_bytes(data.p, size));
        data = fn_bytes(data.p + size, data.n - size);
        c->turn_cost += size;
    }
    c->paused = !c->closing && over_limit(c);
    if (c->closing || !data.n) return;
    c->held = malloc(data.n);
    if (!c->held) {
        c->closing = true;
        return;
    }
    memcpy(c->held, data.p, data.n);
    c->held_n = data.n;
}

/* ---- completions ---- */

void fn_work_wait(struct fn_request *rq, struct fn_pending *p)
{
    (void)p;
    rq->waiting = true;
    rq->session->busy = true;
    rq->conn->outstanding++;
    rq->conn->waits++;
    rq->work->waits++;
}

void fn_work_unwait(struct fn_request *rq, struct fn_pending *p)
{
    (void)p;
    rq->waiting = false;
    rq->session->busy = false;
    rq->conn->outstanding--;
    rq->conn->waits--;
    rq->work->waits--;
}

static void wake(struct fn_work *w)
{
    uint64_t one = 1;
    if (write(w->wake, &one, sizeof one) != sizeof one) return; /* the counter is full: it is awake */
}

void fn_work_complete(struct fn_work *w, struct fn_pending *p)
{
    p->next = NULL;
    pthread_mutex_lock(&w->mutex);
    bool was_empty = !w->done_first;
    if (w->done_last)
        w->done_last->next = p;
    else
        w->done_first = p;
    w->done_last = p;
    pthread_mutex_unlock(&w->mutex);
    if (was_empty) wake(w);
}

/* What has begun is brought to its end, nothing else begins. */
static bool stopping(const struct fn_work *w)
{
    return atomic_load(&w->base.device->stopping);
}

static void deferred_run(struct fn_work *w, struct fn_conn *c, struct fn_deferred *d)
{
    struct fn_frame f;
    size_t size, want;
    d->next = w->garbage; /* items point into it until the turn ends */
    w->garbage = d;
    c->outstanding--;
    c->deferred_n -= d->n;
    c->turn_cost += d->n;
    if (fn_frame_read(fn_bytes(d->b, d->n), &f, &size, &want) == FN_OK) request_begin(w, c, &f);
}

/* The session goes on with what waited behind the change; what does not fit this turn waits for the next. */
static void session_resume(struct fn_work *w, struct fn_conn *c, struct fn_session *s)
{
    uint32_t id = s->id;
    if (stopping(w)) return;
    while (s->first && !s->busy && !c->closing) {
        if (c->turn_cost >= TURN_MOST || unread(c)) {
            s->resume_next = c->resumes;
            c->resumes = s;
            return;
        }
        struct fn_deferred *d = s->first;
        s->first = d->next;
        if (!s->first) s->last = NULL;
        deferred_run(w, c, d);
        if (session_find(c, id, &s) != FN_OK) { /* the frame closed it: the others are told so */
            fn_err_clear();
            while (c->orphans) {
                d = c->orphans;
                c->orphans = d->next;
                deferred_run(w, c, d);
            }
            return;
        }
    }
}

static void sessions_resume(struct fn_work *w, struct fn_conn *c)
{
    struct fn_session *s = c->resumes;
    c->resumes = NULL;
    while (s) {
        struct fn_session *next = s->resume_next;
        session_resume(w, c, s);
        s = next;
    }
}

static void completion(struct fn_work *w, struct fn_pending *p)
{
    struct fn_conn *c = p->conn;
    if (!fn_change_done(w, p)) return;
    c->waits--;
    c->outstanding--;
    w->waits--;
    struct fn_request *rq = c->dead ? NULL : request_new(w, c);
    if (!rq) {
        c->closing = true;
        touch(w, c);
    }
    struct fn_session *s;
    if (rq) {
        memcpy(rq->id, p->id, sizeof rq->id);
        rq->who = p->who;
        rq->number = p->operation;
        rq->op = fn_operation(p->operation);
        rq->session_id = p->session_id;
        rq->items = fn_arena_zero(&w->base.arena, sizeof *rq->items);
        if (p->status == FN_OK && p->final != FN_OK) p->status = p->final;
        if (p->status != FN_OK || !rq->items) {
            rq->status = p->status ? p->status : FN_E_NO_MEMORY;
            memcpy(rq->detail, p->detail, sizeof rq->detail);
        } else {
            rq->count = 1;
            rq->items[0].request = rq;
            rq->items[0].out = fn_buf_arena();
            fn_item_fail(&rq->items[0], fn_buf_add(&rq->items[0].out, p->answer.p, p->answer.n));
        }
    }
    /* What it had claimed is free before the session's next request looks. */
    fn_pending_free(p);
    if (!rq) return;
    if (session_find(c, rq->session_id, &s) == FN_OK) {
        s->busy = false;
        session_resume(w, c, s);
    } else {
        fn_err_clear();
    }
}

static void completions(struct fn_work *w)
{
    pthread_mutex_lock(&w->mutex);
    struct fn_pending *p = w->done_first;
    w->done_first = w->done_last = NULL;
    pthread_mutex_unlock(&w->mutex);
    while (p) {
        struct fn_pending *next = p->next;
        completion(w, p);
        p = next;
    }
}

/* ---- connections ---- */

static void watch(struct fn_work *w, struct fn_conn *c, int how)
{
    struct epoll_event e = {.events = (c->paused || c->closing ? 0 : EPOLLIN) | (c->writing ? EPOLLOUT : 0),
                            .data.ptr = c};
    if (how == EPOLL_CTL_MOD && c->watched == e.events) return;
    if (epoll_ctl(w->epoll, how, c->fd, &e)) c->closing = true;
    c->watched = e.events;
}

static void conn_uncount(struct fn_work *w, bool stranger)
{
    atomic_fetch_sub(&w->conns_count, 1);
    atomic_fetch_sub(&w->base.device->connections, 1);
    if (stranger) atomic_fetch_sub(&w->base.device->strangers, 1);
}

static void conn_add(struct fn_work *w, const struct incoming *in)
{
    struct fn_conn *c = calloc(1, sizeof *c);
    if (!c) {
        close(in->fd);
        conn_uncount(w, in->stranger);
        return;
    }
    c->fd = in->fd;
    c->uid = in->uid;
    c->stranger = in->stranger;
    c->next = w->conns;
    c->link = &w->conns;
    if (c->next) c->next->link = &c->next;
    w->conns = c;
    watch(w, c, EPOLL_CTL_ADD);
}

static void conn_free(struct fn_conn *c)
{
    for (size_t i = 0; i < c->sessions_room; i++) {
        if (!c->sessions[i]) continue;
        while (c->sessions[i]->first) {
            struct fn_deferred *d = c->sessions[i]->first;
            c->sessions[i]->first = d->next;
            free(d);
        }
        fn_session_free(c->sessions[i]);
    }
    free(c->sessions);
    if (c->held) fn_wipe(c->held, c->held_n);
    free(c->held);
    if (c->out) fn_wipe(c->out, c->out_n);
    free(c->out);
    free(c);
}

static void conn_close(struct fn_work *w, struct fn_conn *c)
{
    if (!c->dead) {
        size_t open = 0;
        for (size_t i = 1; i < c->sessions_room; i++) open += c->sessions[i] != NULL;
        atomic_fetch_sub(&w->base.device->sessions, open);
        close(c->fd);
        c->dead = true;
        *c->link = c->next;
        if (c->next) c->next->link = c->link;
        conn_uncount(w, c->stranger);
    }
    if (!c->waits) conn_free(c);
}

static void conn_read(struct fn_work *w, struct fn_conn *c)
{
    size_t left = REGION - w->region_used, room = READ_MOST, size, want;
    uint8_t *at = w->region + w->region_used;
    struct fn_frame f;
    touch(w, c);
    if (c->held_n) {
        /* Room for the frame that has begun; it cannot be a bad one, that would have been seen. */
        if (fn_frame_read(fn_bytes(c->held, c->held_n), &f, &size, &want) != FN_OK) fn_err_clear();
        if (want > c->held_n && want - c->held_n > room) room = want - c->held_n;
        if (c->held_n + room > left) return; /* in the next turn */
        memcpy(at, c->held, c->held_n);
        fn_wipe(c->held, c->held_n);
        free(c->held);
        c->held = NULL;
    } else if (left < READ_MOST) {
        return;
    }
    size_t n = c->held_n;
    c->held_n = 0;
    ssize_t got = recv(c->fd, at + n, room, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        c->closing = true;
        c->out_n = c->out_at = 0; /* nobody reads it any more */
        w->region_used += n;
        return;
    }
    if (got > 0) n += (size_t)got;
    w->region_used += (n + 15) & ~(size_t)15;
    take_frames(w, c, fn_bytes(at, n));
}

/* Frames that waited while the connection was over its limits. */
static void conn_resume(struct fn_work *w, struct fn_conn *c)
{
    sessions_resume(w, c);
    c->paused = false;
    if (!c->held_n || c->closing) return;
    if (c->held_n > REGION - w->region_used) return; /* once more when the region is free */
    uint8_t *at = w->region + w->region_used;
    size_t n = c->held_n;
    memcpy(at, c->held, n);
    fn_wipe(c->held, n);
    free(c->held);
    c->held = NULL;
    c->held_n = 0;
    w->region_used += (n + 15) & ~(size_t)15;
    take_frames(w, c, fn_bytes(at, n));
}

static void conn_send(struct fn_conn *c, const uint8_t *p, size_t n)
{
    size_t old = c->out_n - c->out_at, sent = 0;
    struct iovec parts[2] = {{c->out ? c->out + c->out_at : NULL, old}, {(void *)(uintptr_t)p, n}};
    struct msghdr message = {.msg_iov = old ? parts : parts + 1, .msg_iovlen = old ? 2 : 1};
    if (old + n) {
        ssize_t got = sendmsg(c->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            c->closing = true;
            c->out_n = c->out_at = 0;
            return;
        }
        sent = got > 0 ? (size_t)got : 0;
    }
    if (sent >= old) {
        free(c->out);
        c->out = NULL;
        c->out_n = c->out_at = 0;
        if (sent > old) p += sent - old;
        n -= sent - old;
    } else {
        c->out_at += sent;
    }
    if (!n) return;
    uint8_t *grown = malloc(c->out_n - c->out_at + n);
    if (!grown) {
        c->closing = true;
        return;
    }
    size_t rest = c->out_n - c->out_at;
    if (rest) memcpy(grown, c->out + c->out_at, rest);
    memcpy(grown + rest, p, n);
    free(c->out);
    c->out = grown;
    c->out_n = rest + n;
    c->out_at = 0;
}

/* ---- answers ---- */

static void response_size(struct fn_request *rq, size_t *size)
{
    size_t n = FN_DEVICE_RESPONSE_HEADER;
    if (rq->status == FN_OK && rq->op->flags & FN_OPF_SINGLE && rq->items[0].status != FN_OK)
        rq->status = rq->items[0].status;
    for (size_t i = 0; rq->status == FN_OK && i < rq->count; i++) {
        n += 4 + (rq->items[i].status == FN_OK ? rq->items[i].out.n : 0);
        if (n > FN_DEVICE_RESPONSE_MOST) {
            rq->status = FN_E_TOO_LARGE;
            fn_format(rq->detail, sizeof rq->detail, "the answer has more than %u bytes; split the request",
                      FN_DEVICE_RESPONSE_MOST);
        }
    }
    if (rq->status != FN_OK) n = FN_DEVICE_RESPONSE_HEADER + 4 + strlen(rq->detail);
    *size = n;
}

static uint8_t *response_write(const struct fn_request *rq, uint8_t *p)
{
    uint8_t *start = p;
    fn_put_be16(p + 4, rq->number);
    fn_put_be16(p + 6, rq->status == FN_OK ? rq->count : 0);
    fn_put_be32(p + 8, rq->session_id);
    memcpy(p + 12, rq->id, sizeof rq->id);
    fn_put_be32(p + 28, (uint32_t)rq->status);
    fn_put_be32(p + 32, rq->retry_ms);
    p += FN_DEVICE_RESPONSE_HEADER;
    for (size_t i = 0; rq->status == FN_OK && i < rq->count; i++) {
        const struct fn_item *item = &rq->items[i];
        fn_put_be32(p, (uint32_t)item->status);
        p += 4;
        if (item->status != FN_OK || !item->out.n) continue;
        memcpy(p, item->out.p, item->out.n);
        p += item->out.n;
    }
    if (rq->status != FN_OK) {
        size_t n = strlen(rq->detail);
        fn_put_be32(p, (uint32_t)n);
        memcpy(p + 4, rq->detail, n);
        p += 4 + n;
    }
    fn_put_be32(start, (uint32_t)(p - start - 4));
    return p;
}

static void run_gathered(struct fn_work *w)
{
    if (!w->gathered) return;
    for (size_t i = 0; i < OPERATIONS_ROOM; i++) {
        struct gather *g = &w->gather[i];
        if (!g->n) continue;
        fn_kernel(g->items[0]->request->number)(w, g->items, g->n);
        atomic_fetch_add_explicit(&w->base.device->operations, g->n, memory_order_relaxed);
        *g = (struct gather){0};
    }
    w->gathered = false;
}

static void answer(struct fn_work *w)
{
    size_t size;
    for (struct fn_request *rq = w->first; rq; rq = rq->next) {
        if (rq->waiting) continue;
        response_size(rq, &size);
        rq->conn->turn_n += size;
    }
    for (struct fn_conn *c = w->turn; c; c = c->turn_next) {
        c->turn_out = c->turn_n ? fn_arena_take(&w->base.arena, c->turn_n) : NULL;
        if (c->turn_n && !c->turn_out) c->closing = true;
        c->turn_n = 0;
    }
    for (struct fn_request *rq = w->first; rq; rq = rq->next) {
        for (size_t i = 0; i < rq->count; i++) fn_key_release(rq->items[i].key);
        if (rq->waiting || !rq->conn->turn_out) continue;
        uint8_t *end = response_write(rq, rq->conn->turn_out + rq->conn->turn_n);
        rq->conn->turn_n = (size_t)(end - rq->conn->turn_out);
    }
}

static bool holds_frame(const struct fn_conn *c)
{
    struct fn_frame f;
    size_t size = 0, want;
    if (!c->held_n) return false;
    bool bad = fn_frame_read(fn_bytes(c->held, c->held_n), &f, &size, &want) != FN_OK;
    if (bad) fn_err_clear();
    return bad || size;
}

static void turn_end(struct fn_work *w)
{
    for (struct fn_conn *c = w->turn, *next; c; c = next) {
        next = c->turn_next;
        c->in_turn = false;
        bool more = false;
        if (!c->dead) {
            conn_send(c, c->turn_out, c->turn_n);
            c->turn_out = NULL;
            c->turn_n = 0;
            c->writing = c->out_n > c->out_at;
            more = (c->resumes && !unread(c)) || (!over_limit(c) && holds_frame(c));
            /* Nothing is read from whoever still has work in hand: what waits stays in its socket. */
            c->paused = over_limit(c) || more;
            watch(w, c, EPOLL_CTL_MOD);
        }
        /* A connection that is closed for a fault has been told why, if its socket had room. */
        if (c->dead || c->closing) {
            conn_close(w, c);
        } else if (more && !c->in_again) {
            c->in_again = true;
            c->again_next = w->again;
            w->again = c;
        }
    }
    w->turn = NULL;
    w->first = NULL;
    w->last = &w->first;
    while (w->garbage) {
        struct fn_deferred *next = w->garbage->next;
        free(w->garbage);
        w->garbage = next;
    }
    fn_wipe(w->region, w->region_used);
    w->region_used = 0;
    fn_arena_reset(&w->base.arena);
}

/* ---- the loop ---- */

static void take_incoming(struct fn_work *w)
{
    pthread_mutex_lock(&w->mutex);
    struct incoming *in = w->incoming;
    w->incoming = NULL;
    pthread_mutex_unlock(&w->mutex);
    while (in) {
        struct incoming *next = in->next;
        conn_add(w, in);
        free(in);
        in = next;
    }
}

static void hand_over(struct fn_device *d, int fd, uint32_t uid, bool stranger)
{
    struct fn_work *to = &d->workers[0];
    for (unsigned i = 1; i < d->workers_count; i++)
        if (atomic_load(&d->workers[i].conns_count) < atomic_load(&to->conns_count)) to = &d->workers[i];
    struct incoming *in = malloc(sizeof *in);
    if (!in) {
        close(fd);
        return;
    }
    *in = (struct incoming){.fd = fd, .uid = uid, .stranger = stranger};
    atomic_fetch_add(&to->conns_count, 1);
    atomic_fetch_add(&d->connections, 1);
    if (stranger) atomic_fetch_add(&d->strangers, 1);
    pthread_mutex_lock(&to->mutex);
    in->next = to->incoming;
    to->incoming = in;
    pthread_mutex_unlock(&to->mutex);
    wake(to);
}

/* Anybody may connect and is told who he is not; he may not take the connections of those who are somebody.
 */
static void accept_all(struct fn_work *w)
{
    struct fn_device *d = w->base.device;
    for (int i = 0; i < 256; i++) {
        int fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        struct ucred peer;
        socklen_t n = sizeof peer;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) ||
            atomic_load(&d->connections) >= d->connections_most) {
            close(fd);
            continue;
        }
        bool stranger = !fn_client_find(d, peer.uid);
        if (stranger && atomic_load(&d->strangers) >= d->connections_most / STRANGERS_SHARE)
            close(fd);
        else
            hand_over(d, fd, peer.uid, stranger);
    }
}

static void event(struct fn_work *w, const struct epoll_event *e)
{
    if (e->data.ptr == &w->wake) {
        uint64_t count;
        if (read(w->wake, &count, sizeof count) < 0) return;
        take_incoming(w);
        completions(w);
        return;
    }
    if (stopping(w)) return;
    if (e->data.ptr == &w->listener) {
        accept_all(w);
        return;
    }
    struct fn_conn *c = e->data.ptr;
    if (c->dead) return;
    touch(w, c);
    if (e->events & (EPOLLHUP | EPOLLERR) && !(e->events & EPOLLIN)) {
        c->closing = true;
        c->out_n = c->out_at = 0;
        return;
    }
    /* What waits to be written goes out at the end of the turn. */
    if (e->events & EPOLLIN && !c->closing && !c->paused) conn_read(w, c);
}

static void turn(struct fn_work *w, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    struct fn_conn *again = w->again;
    int n = epoll_wait(w->epoll, events, EVENTS, again ? 0 : timeout_ms);
    /* Whoever still has whole frames in hand goes on, after those who have just asked. */
    for (int i = 0; i < n; i++) event(w, &events[i]);
    w->again = NULL;
    for (struct fn_conn *c = again; c; c = c->again_next) {
        c->in_again = false;
        touch(w, c);
        if (!c->dead && !c->closing && !stopping(w)) conn_resume(w, c);
    }
    run_gathered(w);
    answer(w);
    turn_end(w);
}

static void *work(void *context)
{
    struct fn_work *w = context;
    fn_arena_use(&w->base.arena);
    while (!stopping(w)) turn(w, 1000);
    while (w->waits) turn(w, 1000);
    return NULL;
}

static fn_err listen_at(const struct fn_device *d, const char *path, mode_t mode, int *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return FN_FAIL(FN_E_CONFIG, "socket path longer than %zu: %s", sizeof address.sun_path - 1, path);
    memcpy(address.sun_path, path, strlen(path));
    int fd FN_SCOPED_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return FN_FAIL_OS("socket");
    /* A name left over from a process that was killed; the store's lock has already shown that none is
     * running. */
    unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) return FN_FAIL_OS("bind %s", path);
    if (chmod(path, mode)) return FN_FAIL_OS("chmod %s", path);
    uid_t uid = (uid_t)d->options.uid;
    if (geteuid() == 0 && d->options.uid > 0 && chown(path, uid, uid)) return FN_FAIL_OS("chown %s", path);
    if (listen(fd, 4096)) return FN_FAIL_OS("listen %s", path);
    *out = fn_fd_release(&fd);
    return FN_OK;
}

static fn_err worker_open(struct fn_device *d, struct fn_work *w, unsigned number, int listener)
{
    w->base.device = d;
    w->base.rng = fn_device_rng();
    w->number = number;
    w->last = &w->first;
    w->listener = listener;
    pthread_mutex_init(&w->mutex, NULL);
    FN_TRY(fn_heap_array(&w->region, REGION, 1));
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->epoll < 0 || w->wake < 0) return FN_FAIL_OS("epoll");
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &w->wake};
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->wake, &e)) return FN_FAIL_OS("epoll");
    e.data.ptr = &w->listener;
    if (number == 0 && epoll_ctl(w->epoll, EPOLL_CTL_ADD, listener, &e)) return FN_FAIL_OS("epoll");
    return FN_OK;
}

static void worker_close(struct fn_work *w)
{
    fn_arena_use(&w->base.arena);
    take_incoming(w);
    while (w->conns) {
        w->conns->closing = true;
        conn_close(w, w->conns);
    }
    fn_arena_use(NULL);
    fn_arena_end(&w->base.arena);
    free(w->region);
    close(w->epoll);
    close(w->wake);
    pthread_mutex_destroy(&w->mutex);
}

void fn_device_stop(struct fn_device *d)
{
    atomic_store(&d->stopping, true);
    d->stop_verify = true;
    for (unsigned i = 0; i < d->workers_count; i++) wake(&d->workers[i]);
}

/* Once a second: the log's head, remembered results past their time. */
static void *housekeeping(void *context)
{
    struct fn_device *d = context;
    for (unsigned beat = 0; !atomic_load(&d->stopping); beat++) {
        struct timespec pause = {.tv_nsec = 200000000};
        nanosleep(&pause, NULL);
        if (beat % 5 || atomic_load(&d->state) != FN_DEVICE_READY) continue;
        pthread_rwlock_rdlock(&d->life_lock);
        fn_dlog_settle(d);
        fn_generation_note(d, false);
        if (beat % 50 == 0) fn_change_prune(d);
        pthread_rwlock_unlock(&d->life_lock);
    }
    return NULL;
}

static fn_err threads_start(struct fn_device *d, pthread_t *keeper, pthread_t *tester, pthread_t *manager)
{
    for (unsigned i = 0; i < d->workers_count; i++)
        if (pthread_create(&d->workers[i].thread, NULL, work, &d->workers[i]))
            return FN_FAIL(FN_E_NO_MEMORY, "thread");
    if (pthread_create(keeper, NULL, housekeeping, d)) return FN_FAIL(FN_E_NO_MEMORY, "thread");
    if (pthread_create(tester, NULL, fn_self_test_thread, d)) return FN_FAIL(FN_E_NO_MEMORY, "thread");
    return fn_manage_start(d, d->management_fd, manager);
}

fn_err fn_server_open(struct fn_device *d)
{
    FN_TRY(listen_at(d, d->options.socket, 0666, &d->service_fd));
    FN_TRY(listen_at(d, d->options.management, 0600, &d->management_fd));
    FN_TRY(fn_heap_array(&d->workers, d->options.threads, sizeof *d->workers));
    for (unsigned i = 0; i < d->options.threads; i++)
        FN_TRY(worker_open(d, &d->workers[i], i, d->service_fd));
    d->workers_count = d->options.threads;
    return FN_OK;
}

fn_err fn_server_run(struct fn_device *d, int signals)
{
    pthread_t keeper, tester, manager;
    FN_TRY(threads_start(d, &keeper, &tester, &manager));
    fn_ready();
    while (!atomic_load(&d->stopping)) {
        struct pollfd wait = {.fd = signals, .events = POLLIN};
        if (poll(&wait, 1, 200) <= 0) continue;
        int signal = fn_signals_next(signals);
        if (signal == SIGTERM || signal == SIGINT) fn_device_stop(d);
    }
    for (unsigned i = 0; i < d->workers_count; i++) pthread_join(d->workers[i].thread, NULL);
    pthread_join(keeper, NULL);
    pthread_join(tester, NULL);
    pthread_join(manager, NULL);
    unlink(d->options.socket);
    unlink(d->options.management);
    close(d->service_fd);
    close(d->management_fd);
    return FN_OK;
}

void fn_server_end(struct fn_device *d)
{
    for (unsigned i = 0; i < d->workers_count; i++) worker_close(&d->workers[i]);
    free(d->workers);
    d->workers = NULL;
    d->workers_count = 0;
}
