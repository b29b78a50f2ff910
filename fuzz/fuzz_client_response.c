/* The client of the device protocol against raw bytes: after an honest greeting the peer sends the input as
 * it is. */
#include "device/client/client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    int listener;
    char path[64];
    pthread_mutex_t lock;
    uint8_t data[65536];
    size_t size;
} peer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool read_frame(int fd, uint8_t *frame, size_t room)
{
    size_t want = 4, have = 0;
    while (have < want) {
        ssize_t n = read(fd, frame + have, want - have);
        if (n <= 0) return false;
        have += (size_t)n;
        if (have == 4 && want == 4) want = 4 + (size_t)fn_get_be32(frame);
        if (want > room) return false;
    }
    return true;
}

static void answer(int fd, const uint8_t *frame, const uint8_t *items, size_t n)
{
    uint8_t out[512];
    struct fn_buf b = fn_buf_fixed(out, sizeof out);
    fn_buf_u32(&b, (uint32_t)(32 + n));
    fn_buf_add(&b, frame + 4, 24);
    fn_buf_u64(&b, 0);
    fn_buf_add(&b, items, n);
    if (send(fd, out, b.n, MSG_NOSIGNAL) < 0) return;
}

static void greet(int fd, const uint8_t *frame)
{
    uint8_t items[128];
    struct fn_buf b = fn_buf_fixed(items, sizeof items);
    fn_buf_u32(&b, 0);
    fn_buf_u32(&b, FN_DEVICE_PROTOCOL_VERSION);
    fn_buf_u32(&b, FN_DEVICE_FRAME_MOST);
    fn_buf_u32(&b, FN_DEVICE_VECTOR_MOST);
    fn_buf_u32(&b, 8);
    fn_buf_add(&b, "0123456789abcdef", 16);
    fn_buf_u32(&b, FN_DEVICE_READY);
    fn_buf_var(&b, "t", 1);
    fn_buf_var(&b, "a", 1);
    answer(fd, frame, b.p, b.n);
}

/* The first byte says how much of the greeting is honest; ids of requests are put where the input has 0xee
 * sixteen times. */
static void talk(int fd)
{
    static uint8_t frame[65536], copy[65536];
    pthread_mutex_lock(&peer.lock);
    size_t n = peer.size;
    memcpy(copy, peer.data, n);
    pthread_mutex_unlock(&peer.lock);
    if (!n || !read_frame(fd, frame, sizeof frame)) return;
    if (copy[0] & 1) {
        greet(fd, frame);
        if (!read_frame(fd, frame, sizeof frame)) return;
    }
    for (size_t i = 1; i + 16 <= n; i++) {
        size_t k = 0;
        while (k < 16 && copy[i + k] == 0xee) k++;
        if (k == 16) memcpy(copy + i, frame + 12, 16);
    }
    if (send(fd, copy + 1, n - 1, MSG_NOSIGNAL) < 0) return;
}

static void *serve(void *argument)
{
    (void)argument;
    for (;;) {
        int fd = accept(peer.listener, NULL, NULL);
        if (fd < 0) continue;
        talk(fd);
        close(fd);
    }
    return NULL;
}

static void start(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    pthread_t thread;
    snprintf(peer.path, sizeof peer.path, "/tmp/fuzz-client-%d.sock", (int)getpid());
    memcpy(a.sun_path, peer.path, strlen(peer.path));
    unlink(peer.path);
    peer.listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(peer.listener, (struct sockaddr *)&a, sizeof a) || listen(peer.listener, 4)) abort();
    pthread_create(&thread, NULL, serve, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    struct fn_client *c;
    struct fn_client_response r;
    if (!started) start();
    started = true;
    if (size > sizeof peer.data) return 0;
    pthread_mutex_lock(&peer.lock);
    memcpy(peer.data, data, size);
    peer.size = size;
    pthread_mutex_unlock(&peer.lock);
    struct fn_client_options o = {.socket = peer.path, .timeout_ms = 20};
    if (fn_client_open(&c, &o) != FN_OK) return 0;
    if (fn_client_submit(c, 0, FN_OP_RANDOM, 2, fn_bytes("\0\0\0\4\0\0\0\4", 8), 1) == FN_OK &&
        fn_client_poll(c, 20, &r) == FN_OK) {
        struct fn_cur cur = fn_cur(r.items);
        struct fn_bytes v;
        for (int i = 0; i < r.count; i++)
            if (fn_client_item_status(&cur) == FN_OK && fn_cur_var(&cur, 100, &v) != FN_OK) break;
        fn_client_response_free(&r);
    }
    fn_client_close(c);
    return 0;
}
