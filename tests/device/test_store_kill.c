/* kill -9 of a process that commits from many threads, on real files: what it was told to be done is there
 * afterwards. */
#include "base/sys/heap.h"
#include "device/store.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

enum { KILLS = 24, THREADS = 8, KEPT = 16 };
static const struct fn_device_store_keys keys = {.seal = "sixteen bytes a",
                                                 .mac = "thirty-two bytes for a mac key"};

/* Thread t writes record (t, i) at its step i and removes (t, i - KEPT) in the same commit. */
static struct fn_record_name name_of(uint32_t thread, uint32_t i)
{
    struct fn_record_name name = {.kind = FN_RECORD_KEY, .n = 8};
    fn_put_be32(name.b, thread);
    fn_put_be32(name.b + 4, i);
    return name;
}

static void value_of(uint8_t out[300], uint32_t thread, uint32_t i)
{
    for (uint32_t k = 0; k < 300; k++) out[k] = (uint8_t)(thread * 31 + i * 7 + k * k);
}

struct acknowledgement {
    uint32_t thread, i;
};
struct worker {
    struct fn_device_store *store;
    uint32_t thread, from;
    int pipe;
};

static void *work(void *context)
{
    struct worker *w = context;
    uint8_t value[300];
    for (uint32_t i = w->from;; i++) {
        value_of(value, w->thread, i);
        struct fn_change c[2] = {{.name = name_of(w->thread, i), .value = fn_bytes(value, sizeof value)},
                                 {.name = name_of(w->thread, i - KEPT), .remove = true}};
        if (fn_device_store_commit(w->store, c, 2) != FN_OK) _exit(3);
        struct acknowledgement a = {w->thread, i};
        if (write(w->pipe, &a, sizeof a) != sizeof a) _exit(4);
    }
    return NULL;
}

static void child(const char *directory, const uint32_t from[THREADS], int pipe)
{
    struct fn_device_store *store;
    static struct worker workers[THREADS];
    pthread_t thread;
    if (fn_device_store_open(&store, fn_files_real(), directory, &keys, NULL) != FN_OK) _exit(1);
    for (uint32_t t = 0; t < THREADS; t++) {
        workers[t] = (struct worker){store, t, from[t], pipe};
        if (pthread_create(&thread, NULL, work, &workers[t])) _exit(2);
    }
    for (;;) {
        /* Checkpoints by hand, since so short a log starts none. */
        struct timespec pause = {0, 7000000};
        nanosleep(&pause, NULL);
        if (fn_device_store_checkpoint(store) != FN_OK) _exit(5);
    }
}

/* Runs a child for a while, kills it, and notes the last step it reported for each thread. */
static unsigned long run_and_kill(const char *directory, uint32_t acknowledged[THREADS], long microseconds)
{
    int ends[2];
    uint32_t from[THREADS];
    assert_int_equal(pipe(ends), 0);
    for (int t = 0; t < THREADS; t++) from[t] = acknowledged[t] + 1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child(directory, from, ends[1]);
    }
    close(ends[1]);
    struct acknowledgement a;
    unsigned long count = 0;
    for (struct timespec start = {0}, now; read(ends[0], &a, sizeof a) == sizeof a; count++) {
        assert_true(a.i == acknowledged[a.thread] + 1);
        acknowledged[a.thread] = a.i;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (!count) start = now;
        if ((now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000 >= microseconds)
            kill(pid, SIGKILL);
    }
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return count;
}

/* Of each thread all steps up to the last acknowledged, or one more, and none that it removed. */
static void check(const char *directory, uint32_t acknowledged[THREADS])
{
    struct fn_device_store *store;
    struct fn_device_store_report report;
    uint64_t steps = 0, records = 0;
    assert_int_equal(fn_device_store_open(&store, fn_files_real(), directory, &keys, &report), FN_OK);
    assert_false(report.clean);
    for (uint32_t t = 0; t < THREADS; t++) {
        struct fn_record_name next = name_of(t, acknowledged[t] + 1);
        if (fn_device_store_has(store, &next)) acknowledged[t]++;
        uint32_t last = acknowledged[t], first = last >= KEPT ? last - KEPT + 1 : 1;
        for (uint32_t i = first > 40 ? first - 40 : 1; i <= last + 2; i++) {
            FN_SCOPED_BUF struct fn_buf out = fn_buf_heap();
            uint8_t value[300];
            struct fn_record_name name = name_of(t, i);
            bool there = i >= first && i <= last;
            assert_int_equal(fn_device_store_get(store, &name, &out), there ? FN_OK : FN_E_NOT_FOUND);
            value_of(value, t, i);
            if (there) assert_true(out.n == sizeof value && memcmp(out.p, value, sizeof value) == 0);
        }
        steps += last;
        records += last - first + 1;
    }
    assert_int_equal(fn_device_store_generation(store), steps);
    assert_int_equal(report.records, records);
    fn_device_store_close(store);
}

static void nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    char *directory = NULL, command[256];
    uint32_t acknowledged[THREADS] = {0};
    unsigned long all = 0;
    assert_int_equal(fn_heap_format(&directory, "%s/fengni-store-XXXXXX", P_tmpdir), FN_OK);
    assert_non_null(mkdtemp(directory));
    assert_int_equal(fn_device_store_create(fn_files_real(), directory, &keys), FN_OK);
    for (int i = 0; i < KILLS; i++) {
        all += run_and_kill(directory, acknowledged, (i * 7919L) % 97 * 500);
        check(directory, acknowledged);
    }
    print_message("%d kills, %lu acknowledged commits, none lost\n", KILLS, all);
    assert_true(all > KILLS);
    fn_format(command, sizeof command, "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
    free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_acknowledged_is_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
