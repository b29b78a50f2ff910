/* The client against a peer that keeps to the protocol and one that breaks it in every way a frame can be
 * broken. The real device is used by the tests of tests/sdf. */
#include "device/client/client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum trick {
    TRICK_NONE,
    TRICK_LONG_FRAME,  /* a length beyond the limit */
    TRICK_SHORT_FRAME, /* a length below the header */
    TRICK_WRONG_ID,
    TRICK_WRONG_OPERATION,
    TRICK_WRONG_SESSION,
    TRICK_WRONG_COUNT,
    TRICK_BAD_DETAIL,  /* a refusal whose detail runs beyond the frame */
    TRICK_HALF,        /* half a response, then the end */
    TRICK_CLOSE,       /* the end instead of a response */
    TRICK_ALWAYS = 64, /* added: on each connection, not only on the first */
};

struct peer {
    char path[100];
    int listener;
    pthread_t thread;
    enum trick trick;
    int refuse_hello, busy, silent;
    uint32_t outstanding_most;
    /* seen */
    int connections, tricks_done, sessions, most_at_once;
    uint8_t ids[8][16]; /* of RANDOM requests on successive connections */
    size_t ids_n;
};

static bool read_all(int fd, void *p, size_t n)
{
    for (uint8_t *q = p; n;) {
        ssize_t got = read(fd, q, n);
        if (got <= 0) return false;
        q += got;
        n -= (size_t)got;
    }
    return true;
}

static bool answer(int fd, const uint8_t head[28], uint16_t count, uint32_t status, uint32_t retry,
                   const void *items, size_t n)
{
    uint8_t *f = calloc(1, 36 + n);
    fn_put_be32(f, (uint32_t)(32 + n));
    memcpy(f + 4, head + 4, 24);
    fn_put_be16(f + 6, count);
    fn_put_be32(f + 28, status);
    fn_put_be32(f + 32, retry);
    if (n) memcpy(f + 36, items, n);
    bool good = send(fd, f, 36 + n, MSG_NOSIGNAL) == (ssize_t)(36 + n);
    free(f);
    return good;
}

static bool hello(struct peer *p, int fd, const uint8_t head[28])
{
    uint8_t items[200];
    struct fn_buf b = fn_buf_fixed(items, sizeof items);
    if (p->refuse_hello) {
        fn_buf_var(&b, "uid 1 is unknown", 16);
        return answer(fd, head, 0, FN_E_DEVICE_CLIENT, 0, b.p, b.n);
    }
    fn_buf_u32(&b, 0);
    fn_buf_u32(&b, FN_DEVICE_PROTOCOL_VERSION);
    fn_buf_u32(&b, FN_DEVICE_FRAME_MOST);
    fn_buf_u32(&b, FN_DEVICE_VECTOR_MOST);
    fn_buf_u32(&b, p->outstanding_most ? p->outstanding_most : 64);
    fn_buf_add(&b, "0123456789abcdef", 16);
    fn_buf_u32(&b, FN_DEVICE_READY);
    fn_buf_var(&b, "t", 1);
    fn_buf_var(&b, "app", 3);
    return answer(fd, head, 1, 0, 0, b.p, b.n);
}

static bool play(struct peer *p, int fd, const uint8_t head[28])
{
    uint8_t h[28], item[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    memcpy(h, head, 28);
    if (!(p->trick & TRICK_ALWAYS)) p->tricks_done = 1;
    switch ((int)p->trick & 63) {
    case TRICK_LONG_FRAME:
        return write(fd, "\x7f\xff\xff\xff", 4) == 4;
    case TRICK_SHORT_FRAME:
        return write(fd, "\0\0\0\x03zzz", 7) == 7;
    case TRICK_WRONG_ID:
        h[12] ^= 1;
        break;
    case TRICK_WRONG_OPERATION:
        h[5] ^= 1;
        break;
    case TRICK_WRONG_SESSION:
        h[11] ^= 1;
        break;
    case TRICK_WRONG_COUNT:
        return answer(fd, h, 2, 0, 0, item, 8);
    case TRICK_BAD_DETAIL:
        return answer(fd, h, 0, FN_E_DENIED, 0, "\0\0\xff\xff", 4);
    case TRICK_HALF:
        return write(fd, "\0\0\0\x28", 4) == 4 && write(fd, h + 4, 20) == 20 && false;
    default:
        return false;
    }
    return answer(fd, h, 1, 0, 0, item, 8);
}

/* RANDOM answers with bytes that tell which request it was: the first byte of the id. */
static bool random_bytes(struct peer *p, int fd, const uint8_t head[28], const uint8_t *items, uint16_t count)
{
    if (p->ids_n < 8) memcpy(p->ids[p->ids_n++], head + 12, 16);
    if (p->trick && !p->tricks_done) return play(p, fd, head);
    if (p->silent) return true;
    if (p->busy > 0) {
        p->busy--;
        return answer(fd, head, 0, FN_E_DEVICE_BUSY, 5, "\0\0\0\0", 4);
    }
    uint8_t *out = malloc(count * 8 + 1048576);
    struct fn_buf b = fn_buf_fixed(out, count * 8 + 1048576);
    for (uint16_t i = 0; i < count; i++) {
        uint32_t n = fn_get_be32(items + 4 * i);
        uint8_t *where;
        fn_buf_u32(&b, 0);
        fn_buf_u32(&b, n);
        fn_buf_reserve(&b, n, &where);
        memset(where, (int)(n & 255), n);
        b.n += n;
    }
    bool good = answer(fd, head, count, 0, 0, b.p, b.n);
    free(out);
    return good;
}

static bool respond(struct peer *p, int fd, const uint8_t head[28], const uint8_t *items)
{
    uint8_t item[8] = {0};
    switch (fn_get_be16(head + 4)) {
    case FN_OP_HELLO:
        return hello(p, fd, head);
    case FN_OP_SESSION_OPEN:
        fn_put_be32(item + 4, (uint32_t)(1000 * p->connections + ++p->sessions));
        return answer(fd, head, 1, 0, 0, item, 8);
    case FN_OP_RANDOM:
        return random_bytes(p, fd, head, items, fn_get_be16(head + 6));
    default:
        return p->silent ? true : answer(fd, head, 1, 0, 0, item, 4);
    }
}

static void serve(struct peer *p, int fd)
{
    uint8_t head[28];
    while (read_all(fd, head, 28)) {
        size_t n = fn_get_be32(head) - 24;
        uint8_t *items = malloc(n + 1);
        bool good = read_all(fd, items, n) && respond(p, fd, head, items);
        free(items);
        if (!good) return;
    }
}

static void *run(void *argument)
{
    struct peer *p = argument;
    for (;;) {
        int fd = accept(p->listener, NULL, NULL);
        if (fd < 0) return NULL;
        p->connections++;
        serve(p, fd);
        shutdown(fd, SHUT_RDWR); /* a forked child holds a copy of it */
        close(fd);
    }
}

static void peer_start(struct peer *p)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(p->path, sizeof p->path, "%s/fn-link-%d-%p.sock", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (int)getpid(), (void *)p);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", p->path);
    unlink(p->path);
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(p->listener, 16), 0);
    pthread_create(&p->thread, NULL, run, p);
}

static void peer_stop(struct peer *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
    unlink(p->path);
}

static struct fn_client *open_client(struct peer *p, uint32_t timeout_ms)
{
    struct fn_client *c = NULL;
    struct fn_client_options o = {.socket = p->path, .timeout_ms = timeout_ms};
    assert_int_equal(fn_client_open(&c, &o), FN_OK);
    return c;
}

static fn_err ask(struct fn_client *c, uint32_t session, uint32_t n)
{
    uint8_t item[4];
    struct fn_client_response r;
    fn_put_be32(item, n);
    FN_TRY(fn_client_call(c, session, FN_OP_RANDOM, 1, fn_bytes(item, 4), &r));
    struct fn_cur cur = fn_cur(r.items);
    struct fn_bytes v;
    assert_int_equal(fn_client_item_status(&cur), FN_OK);
    assert_int_equal(fn_cur_var(&cur, 1u << 20, &v), FN_OK);
    assert_int_equal(v.n, n);
    if (n) assert_int_equal(v.p[0], n & 255);
    fn_client_response_free(&r);
    return FN_OK;
}

static void test_broken_frames(void **state)
{
    (void)state;
    for (int trick = TRICK_LONG_FRAME; trick <= TRICK_CLOSE; trick++) {
        struct peer p = {.trick = (enum trick)trick};
        peer_start(&p);
        struct fn_client *c = open_client(&p, 5000);
        assert_int_equal(ask(c, 0, 10), FN_OK); /* repeated on the second connection */
        assert_int_equal(p.connections, 2);
        assert_int_equal(p.ids_n, 2);
        assert_memory_equal(p.ids[0], p.ids[1], 16);
        fn_client_close(c);
        peer_stop(&p);
    }
}

static void test_always_broken(void **state)
{
    (void)state;
    struct peer p = {.trick = (enum trick)(TRICK_CLOSE | TRICK_ALWAYS)};
    struct fn_client_response r;
    peer_start(&p);
    struct fn_client *c = open_client(&p, 5000);
    assert_int_equal(ask(c, 0, 10), FN_E_DEVICE_LOST);
    assert_true(p.ids_n <= 8);
    /* An asynchronous one ends as well. */
    p.ids_n = 0;
    assert_int_equal(fn_client_submit(c, 0, FN_OP_RANDOM, 1, fn_bytes("\0\0\0\1", 4), 77), FN_OK);
    assert_int_equal(fn_client_poll(c, 8000, &r), FN_OK);
    assert_int_equal(r.status, FN_E_DEVICE_LOST);
    assert_int_equal(r.token, 77);
    fn_client_response_free(&r);
    fn_client_close(c);
    peer_stop(&p);
}

static void test_absent_and_refused(void **state)
{
    (void)state;
    struct fn_client *c;
    struct fn_client_options o = {.socket = "/nonexistent/fengni.sock"};
    assert_int_equal(fn_client_open(&c, &o), FN_E_CONNECTION);
    char long_path[200];
    memset(long_path, 'x', sizeof long_path);
    long_path[199] = 0;
    o.socket = long_path;
    assert_int_equal(fn_client_open(&c, &o), FN_E_TOO_LARGE);
    struct peer p = {.refuse_hello = 1};
    peer_start(&p);
    o.socket = p.path;
    assert_int_equal(fn_client_open(&c, &o), FN_E_DEVICE_CLIENT);
    const struct fn_err_cause *causes;
    assert_true(fn_err_chain(&causes) > 0);
    assert_non_null(strstr(causes[0].detail, "uid 1"));
    peer_stop(&p);
}

static void test_busy_and_time_out(void **state)
{
    (void)state;
    struct peer p = {.busy = 3};
    peer_start(&p);
    struct fn_client *c = open_client(&p, 300);
    assert_int_equal(ask(c, 0, 10), FN_OK);
    assert_int_equal(p.busy, 0);
    p.busy = 1 << 30;
    assert_int_equal(ask(c, 0, 10), FN_E_DEVICE_BUSY);
    p.busy = 0;
    p.silent = 1;
    assert_int_equal(ask(c, 0, 10), FN_E_TIMEOUT);
    p.silent = 0;
    assert_int_equal(ask(c, 0, 10), FN_OK);
    fn_client_close(c);
    peer_stop(&p);
}

static void test_session_survives_and_handles_do_not(void **state)
{
    (void)state;
    struct peer p = {0};
    uint32_t session, other;
    uint8_t item[64];
    struct fn_buf b = fn_buf_fixed(item, sizeof item);
    struct fn_client_response r;
    peer_start(&p);
    struct fn_client *c = open_client(&p, 3000);
    assert_int_equal(fn_client_session_open(c, &session), FN_OK);
    assert_int_equal(fn_client_session_open(c, &other), FN_OK);
    fn_client_session_close(c, other);
    uint64_t epoch = fn_client_epoch(c);
    assert_int_equal(ask(c, session, 5), FN_OK);
    p.trick = TRICK_CLOSE;
    assert_int_equal(ask(c, session, 5), FN_OK); /* repeated in the session opened again */
    assert_int_equal(p.sessions, 3);
    assert_true(fn_client_epoch(c) != epoch);
    assert_int_equal(ask(c, other, 5), FN_E_ARGUMENT);
    /* A request under way that names a session key is not repeated: the key is gone. */
    p.silent = 1;
    fn_client_put_handle(&b, 42);
    fn_buf_u32(&b, 0x401);
    fn_buf_var(&b, "", 0);
    fn_buf_var(&b, "0123456789abcdef", 16);
    assert_int_equal(fn_client_submit(c, session, FN_OP_ENCRYPT, 1, fn_buf_view(&b), 1), FN_OK);
    assert_int_equal(fn_client_submit(c, session, FN_OP_PART_UPDATE, 1, fn_bytes("\0\0\0\0\0", 5), 2), FN_OK);
    p.tricks_done = 0;
    assert_int_equal(fn_client_submit(c, session, FN_OP_RANDOM, 1, fn_bytes("\0\0\0\1", 4), 3), FN_OK);
    fn_err expected[] = {FN_E_KEY_HANDLE, FN_E_DEVICE_STEP};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fn_client_poll(c, 3000, &r), FN_OK);
        assert_int_equal(r.token, i + 1);
        assert_int_equal(r.status, expected[i]);
        fn_client_response_free(&r);
    }
    fn_client_close(c);
    peer_stop(&p);
}

static void test_pipeline(void **state)
{
    (void)state;
    struct peer p = {.outstanding_most = 32};
    peer_start(&p);
    struct fn_client *c = open_client(&p, 5000);
    enum { TOTAL = 3000 };
    static uint8_t seen[TOTAL];
    size_t submitted = 0, got = 0;
    struct fn_client_response r;
    memset(seen, 0, sizeof seen);
    for (; submitted < TOTAL; submitted++) {
        uint8_t item[4];
        fn_put_be32(item, (uint32_t)(submitted % 5000));
        assert_int_equal(fn_client_submit(c, 0, FN_OP_RANDOM, 1, fn_bytes(item, 4), submitted), FN_OK);
    }
    while (got < TOTAL) {
        struct pollfd f = {.fd = fn_client_descriptor(c), .events = POLLIN};
        assert_int_equal(poll(&f, 1, 5000), 1);
        while (fn_client_poll(c, 0, &r) == FN_OK) {
            assert_int_equal(r.status, FN_OK);
            assert_int_equal(fn_get_be32(r.items.p + 4), r.token % 5000);
            assert_int_equal(seen[r.token]++, 0);
            fn_client_response_free(&r);
            got++;
        }
    }
    struct pollfd f = {.fd = fn_client_descriptor(c), .events = POLLIN};
    assert_int_equal(poll(&f, 1, 20), 0);
    uint8_t *large = calloc(1, FN_DEVICE_FRAME_MOST);
    assert_int_equal(fn_client_call(c, 0, FN_OP_RANDOM, 1, fn_bytes(large, FN_DEVICE_FRAME_MOST), &r),
                     FN_E_TOO_LARGE);
    assert_int_equal(fn_client_call(c, 0, FN_OP_RANDOM, 4097, fn_bytes(large, 4), &r), FN_E_DEVICE_VECTOR);
    free(large);
    fn_client_close(c);
    peer_stop(&p);
}

static void *ask_often(void *argument)
{
    uint32_t session;
    uintptr_t failed = fn_client_session_open(argument, &session) != FN_OK;
    for (uint32_t i = 0; i < 200 && !failed; i++) failed = ask(argument, session, i * 7) != FN_OK;
    fn_client_session_close(argument, session);
    return (void *)failed;
}

static void test_threads(void **state)
{
    (void)state;
    struct peer p = {0};
    pthread_t threads[16];
    peer_start(&p);
    struct fn_client *c = open_client(&p, 20000);
    for (int i = 0; i < 16; i++) pthread_create(&threads[i], NULL, ask_often, c);
    for (int i = 0; i < 16; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    fn_client_close(c);
    peer_stop(&p);
}

static void test_fork(void **state)
{
    (void)state;
    struct peer p = {.trick = TRICK_CLOSE};
    peer_start(&p);
    struct fn_client *c = open_client(&p, 3000);
    /* The peer serves one connection at a time: the parent's must end before the child's is answered. */
    int go[2];
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        if (read(go[0], &byte, 1) != 1) _exit(3);
        _exit(ask(c, 0, 9) == FN_OK ? 0 : 1);
    }
    assert_int_equal(ask(c, 0, 8), FN_OK);
    fn_client_close(c);
    assert_int_equal(write(go[1], "x", 1), 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(go[0]);
    close(go[1]);
    peer_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_frames),
        cmocka_unit_test(test_always_broken),
        cmocka_unit_test(test_absent_and_refused),
        cmocka_unit_test(test_busy_and_time_out),
        cmocka_unit_test(test_session_survives_and_handles_do_not),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
