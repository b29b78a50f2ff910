/* The device process against the same work in process: load generator and device share the same two cores, so
 * the denominator is the one-call rate of both cores. */
#include "bench.h"

#include "base/sys/heap.h"
#include "crypto/sm2/sm2.h"
#include "crypto/sm4/sm4.h"
#include "device/client/client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SGD_SM4_GCM 0x02000400u
#define CLASS_DATA  3
#define CLASS_SIGN  7
#define TEXT_SIZE   4096
#define THREADS     2
#define SECONDS     1.0
#define ROUNDS      3

struct bench_instance {
    char directory[64], socket[96], program[4096];
    pid_t up;
};

static void die(const char *what, fn_err err)
{
    const struct fn_err_cause *chain;
    size_t n = err ? fn_err_chain(&chain) : 0;
    fprintf(stderr, "bench: %s: %d %s\n", what, err, n ? chain[0].detail : "");
    exit(1);
}

static int shell(const char *format, const struct bench_instance *b)
{
    char command[9000];
    snprintf(command, sizeof command, format, b->program, b->directory);
    return system(command);
}

static bool start(struct bench_instance *b)
{
    strcpy(b->directory, "/tmp/fengni-bench-XXXXXX");
    ssize_t n = readlink("/proc/self/exe", b->program, sizeof b->program - 16);
    if (n < 0 || !mkdtemp(b->directory)) return false;
    b->program[n] = 0;
    strcpy(strrchr(b->program, '/') + 1, "fengni");
    snprintf(b->socket, sizeof b->socket, "%s/i/run/device.sock", b->directory);
    if (shell("'%s' init '%s/i' >/dev/null", b)) return false;
    char instance[80];
    snprintf(instance, sizeof instance, "%s/i", b->directory);
    b->up = fork();
    if (b->up == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(1);
        execl(b->program, "fengni", "up", instance, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 200; i++) {
        if (shell("'%s' device status --json --instance '%s/i' >/dev/null 2>&1", b) == 0) break;
        usleep(50000);
    }
    return shell("'%s' device init --unattended --instance '%s/i' >/dev/null", b) == 0;
}

static void stop(struct bench_instance *b)
{
    if (!b->up) return;
    kill(b->up, SIGTERM);
    waitpid(b->up, NULL, 0);
    b->up = 0;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", b->directory);
    if (system(command)) fprintf(stderr, "bench: %s was not removed\n", b->directory);
}

static struct bench_instance the_instance;

static void stop_at_exit(void)
{
    stop(&the_instance);
}

/* One instance for all groups, made when first asked for. */
static struct bench_instance *instance(void)
{
    if (!the_instance.up) {
        if (!start(&the_instance)) die("starting an instance", 0);
        atexit(stop_at_exit);
    }
    return &the_instance;
}

/* For the rows of other groups. */
const char *bench_device_socket(void)
{
    return instance()->socket;
}
const char *bench_device_directory(void)
{
    return instance()->directory;
}

/* What is asked of the device over and over: one frame's items. */
struct load {
    uint16_t operation, count;
    struct fn_buf items;
    unsigned connections, outstanding; /* of each connection */
    const char *socket;
};

struct load_thread {
    const struct load *load;
    unsigned connections;
    double rate;
    double *latencies;
    size_t latencies_n, latencies_room;
};

struct line {
    struct fn_client *client;
    double sent[64];
};

static void send_one(struct line *line, const struct load *load, unsigned slot)
{
    line->sent[slot] = bench_now();
    fn_err err =
        fn_client_submit(line->client, 0, load->operation, load->count, fn_buf_view(&load->items), slot);
    if (err) die("submit", err);
}

static void take(struct load_thread *t, struct line *line, double now)
{
    struct fn_client_response r;
    while (fn_client_poll(line->client, 0, &r) == FN_OK) {
        if (r.status) die("response", r.status);
        struct fn_cur items = fn_cur(r.items);
        fn_err err = fn_client_item_status(&items);
        if (err) die("item", err);
        unsigned slot = (unsigned)r.token;
        if (t->latencies_n < t->latencies_room) t->latencies[t->latencies_n++] = now - line->sent[slot];
        fn_client_response_free(&r);
        t->rate += t->load->count;
        send_one(line, t->load, slot);
    }
}

static void *load_main(void *p)
{
    struct load_thread *t = p;
    struct line *lines = calloc(t->connections, sizeof *lines);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < t->connections; i++) {
        fn_err err = fn_client_open(&lines[i].client, &(struct fn_client_options){.socket = t->load->socket});
        if (err) die("open", err);
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(ep, EPOLL_CTL_ADD, fn_client_descriptor(lines[i].client), &e);
        for (unsigned k = 0; k < t->load->outstanding; k++) send_one(&lines[i], t->load, k);
    }
    double began = bench_now(), now = began;
    t->rate = 0;
    t->latencies_n = 0;
    while (now - began < SECONDS) {
        struct epoll_event events[128];
        int n = epoll_wait(ep, events, 128, 100);
        now = bench_now();
        for (int i = 0; i < n; i++) take(t, &lines[events[i].data.u32], now);
    }
    t->rate /= now - began;
    for (unsigned i = 0; i < t->connections; i++) fn_client_close(lines[i].client);
    close(ep);
    free(lines);
    return NULL;
}

/* Operations per second, median of ROUNDS; *p99_ms of the last round. */
static double load_rate(const struct load *load, double *p99_ms)
{
    double rates[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        struct load_thread threads[THREADS];
        pthread_t ids[THREADS];
        rates[round] = 0;
        for (unsigned i = 0; i < THREADS; i++) {
            threads[i] = (struct load_thread){
                load, load->connections / THREADS, 0, calloc(1u << 18, sizeof(double)), 0, 1u << 18};
            pthread_create(&ids[i], NULL, load_main, &threads[i]);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            pthread_join(ids[i], NULL);
            rates[round] += threads[i].rate;
        }
        double *all = threads[0].latencies;
        size_t n = threads[0].latencies_n;
        (void)bench_median(all, n ? n : 1); /* sorts */
        *p99_ms = n ? all[n * 99 / 100] * 1e3 : 0;
        for (unsigned i = 0; i < THREADS; i++) free(threads[i].latencies);
    }
    return bench_median(rates, ROUNDS);
}

static fn_err system_random(void *self, uint8_t *out, size_t n)
{
    (void)self;
    return getrandom(out, n, 0) == (ssize_t)n ? FN_OK : FN_E_RANDOM_SOURCE;
}
static const struct fn_rng rng = {system_random, NULL};

struct in_process {
    struct fn_sm2_private key;
    uint8_t e[32], sig[64];
    struct fn_gcm_key gcm;
    uint8_t text[TEXT_SIZE], out[TEXT_SIZE], tag[16], nonce[12];
};
static void in_process_sign(void *p)
{
    struct in_process *b = p;
    if (fn_sm2_sign(&b->key, &rng, b->e, b->sig)) die("sign", 1);
}
static void in_process_gcm(void *p)
{
    struct in_process *b = p;
    if (getrandom(b->nonce, 12, 0) != 12) die("nonce", 1);
    struct fn_gcm_job job = {&b->gcm, {b->nonce, 12}, {b->nonce, 12}, b->text, b->out, TEXT_SIZE, b->tag, 16,
                             0};
    if (fn_gcm_encrypt(&job)) die("gcm", 1);
}

static double in_process_rate(void (*run)(void *))
{
    void *contexts[THREADS];
    for (int i = 0; i < THREADS; i++) {
        struct in_process *b = calloc(1, sizeof *b);
        fn_err err = fn_sm2_generate(&b->key, &rng);
        if (err) die("generate", err);
        fn_gcm_key_init(&b->gcm, b->e);
        contexts[i] = b;
    }
    double rate = bench_rate_threads(run, contexts, THREADS, 1);
    for (int i = 0; i < THREADS; i++) free(contexts[i]);
    return rate;
}

static struct fn_uuid new_key(const char *socket, uint16_t key_class, uint16_t alg, uint32_t usage)
{
    struct fn_client *client;
    FN_SCOPED_BUF struct fn_buf items = fn_buf_heap();
    struct fn_client_response r;
    struct fn_uuid uuid;
    fn_err err = fn_client_open(&client, &(struct fn_client_options){.socket = socket});
    if (!err) err = fn_buf_u16(&items, key_class);
    if (!err) err = fn_buf_u16(&items, alg);
    if (!err) err = fn_buf_u32(&items, usage);
    if (!err) err = fn_buf_var(&items, "", 0);
    if (!err) err = fn_buf_var(&items, "", 0);
    if (!err) err = fn_client_call(client, 0, FN_OP_KEY_NEW, 1, fn_buf_view(&items), &r);
    if (err) die("new key", err);
    struct fn_cur c = fn_cur(r.items);
    err = fn_client_item_status(&c);
    if (!err) err = fn_cur_copy(&c, uuid.b, 16);
    if (err) die("new key", err);
    fn_client_response_free(&r);
    fn_client_close(client);
    return uuid;
}

static fn_err sign_item(struct fn_buf *b, const struct fn_uuid *key)
{
    uint8_t e[32];
    memset(e, 0x5a, sizeof e);
    FN_TRY(fn_client_put_uuid(b, key, 0));
    return fn_buf_add(b, e, sizeof e);
}

static fn_err gcm_item(struct fn_buf *b, const struct fn_uuid *key)
{
    static const uint8_t text[TEXT_SIZE];
    FN_TRY(fn_client_put_uuid(b, key, 0));
    FN_TRY(fn_buf_u32(b, SGD_SM4_GCM));
    FN_TRY(fn_buf_var(b, "", 0));
    FN_TRY(fn_buf_var(b, "table,column", 12));
    return fn_buf_var(b, text, sizeof text);
}

static void device_rows(const char *what, uint16_t operation,
                        fn_err (*item)(struct fn_buf *, const struct fn_uuid *), const struct fn_uuid *key,
                        const char *socket, double in_process, double bytes)
{
    static const struct {
        const char *name;
        unsigned connections, outstanding, count;
        double share;
    } shapes[] = {{"64 connections, one each", 64, 1, 1, 0.60},
                  {"8 connections, 32 deep", 8, 32, 1, 0.85},
                  {"vectors of 64", 4, 2, 64, 0.85}};
    for (size_t i = 0; i < FN_COUNT(shapes); i++) {
        char name[96], note[160];
        snprintf(name, sizeof name, "device %s, %s", what, shapes[i].name);
        if (!bench_wanted(name)) continue;
        struct load load = {
            operation, (uint16_t)shapes[i].count, fn_buf_heap(), shapes[i].connections, shapes[i].outstanding,
            socket};
        fn_err err = FN_OK;
        for (unsigned k = 0; !err && k < shapes[i].count; k++) err = item(&load.items, key);
        if (err) die("items", err);
        double p99, rate = load_rate(&load, &p99);
        if (bytes > 0)
            snprintf(note, sizeof note,
                     "two cores; %.0f %% of in process; p99 %.2f ms; GM/T 0030 9.4: %.0f Mbit/s",
                     100 * rate / in_process, p99, bench_mbit(rate * bytes));
        else
            snprintf(note, sizeof note, "two cores; %.0f %% of in process; p99 %.2f ms",
                     100 * rate / in_process, p99);
        bench_emit(&(struct bench_row){name,
                                       "op/s",
                                       false,
                                       rate,
                                       {{"in process, one call, two cores", in_process}},
                                       shapes[i].share * in_process,
                                       note});
        fn_buf_free(&load.items);
    }
}

static long resident_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1) break;
    if (f) fclose(f);
    return kib;
}

static pid_t device_pid(const struct bench_instance *b)
{
    char command[9000], text[4096], *at;
    snprintf(command, sizeof command, "'%s' status --json --instance '%s/i'", b->program, b->directory);
    FILE *f = popen(command, "re");
    if (!f) return 0;
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    pclose(f);
    at = strstr(text, "\"name\":\"device\"");
    at = at ? strstr(at, "\"pid\":") : NULL;
    return at ? atoi(at + 6) : 0;
}

#define IDLE 10000

static void idle_row(const struct bench_instance *b)
{
    const char *name = "device memory of an idle connection";
    if (!bench_wanted(name)) return;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int *fds = calloc(IDLE, sizeof *fds), held = 0;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", b->socket);
    pid_t pid = device_pid(b);
    long before = resident_kib(pid);
    for (; held < IDLE; held++) {
        fds[held] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[held] < 0) break;
        int tries = 0;
        while (connect(fds[held], (struct sockaddr *)&address, sizeof address) &&
               (errno == EAGAIN || errno == EINTR) && ++tries < 1000)
            usleep(1000);
        if (tries == 1000) break;
    }
    usleep(500000);
    /* Held, not only queued: the device answers a new client meanwhile. */
    struct fn_client *client;
    fn_err err = fn_client_open(&client, &(struct fn_client_options){.socket = b->socket});
    if (err) die("client beside idle connections", err);
    fn_client_close(client);
    long after = resident_kib(pid);
    char note[96];
    snprintf(note, sizeof note, "%d idle connections held, device %ld KiB before, %ld KiB after", held,
             before, after);
    bench_emit(&(struct bench_row){name,
                                   "bytes",
                                   true,
                                   held ? (double)(after - before) * 1024 / held : 0,
                                   {{NULL, 0}},
                                   BENCH_NO_GOAL,
                                   note});
    for (int i = 0; i < held; i++) close(fds[i]);
    free(fds);
}

void bench_device(void)
{
    bool sign = bench_wanted("device sm2 sign"), gcm = bench_wanted("device sm4-gcm 4 KiB"),
         idle = bench_wanted("device memory");
    if (!bench_wanted("device") && !sign && !gcm && !idle) return;
    setenv("FENGNI_CPU", "portable", 0);
    struct bench_instance *b = instance();
    if (sign || bench_wanted("device")) {
        struct fn_uuid key = new_key(b->socket, CLASS_SIGN, FN_ALG_SM2, FN_USE_SIGN | FN_USE_VERIFY);
        device_rows("sm2 sign", FN_OP_SIGN, sign_item, &key, b->socket, in_process_rate(in_process_sign), 0);
    }
    if (gcm || bench_wanted("device")) {
        struct fn_uuid key = new_key(b->socket, CLASS_DATA, FN_ALG_SM4, FN_USE_ENCRYPT | FN_USE_DECRYPT);
        device_rows("sm4-gcm 4 KiB", FN_OP_AEAD_ENCRYPT, gcm_item, &key, b->socket,
                    in_process_rate(in_process_gcm), TEXT_SIZE);
    }
    idle_row(b);
}
