/* The device's store against a model, its limits, its locks, and threads on it. */
#include "base/sys/file_fault.h"
#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "device/store.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static const struct fn_device_store_keys keys_a = {.seal = "sixteen bytes a",
                                                   .mac = "thirty-two bytes for a mac key"};
static const struct fn_device_store_keys keys_b = {.seal = "sixteen bytes b",
                                                   .mac = "thirty-two bytes for a mac key"};
#define DISK      "/disk"
#define DIRECTORY DISK "/device"

static uint64_t random_state;
static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % below);
}

static struct fn_record_name name_of(uint8_t kind, const char *text)
{
    struct fn_record_name name = {.kind = kind, .n = (uint8_t)strlen(text)};
    memcpy(name.b, text, name.n);
    return name;
}

static fn_err put(struct fn_device_store *store, uint8_t kind, const char *name, const void *value, size_t n)
{
    struct fn_change c = {.name = name_of(kind, name), .value = fn_bytes(value, n)};
    return fn_device_store_commit(store, &c, 1);
}

static void expect(struct fn_device_store *store, uint8_t kind, const char *name, const char *value)
{
    FN_SCOPED_BUF struct fn_buf out = fn_buf_heap();
    struct fn_record_name n = name_of(kind, name);
    if (!value) {
        assert_int_equal(fn_device_store_get(store, &n, &out), FN_E_NOT_FOUND);
        assert_false(fn_device_store_has(store, &n));
        return;
    }
    assert_int_equal(fn_device_store_get(store, &n, &out), FN_OK);
    assert_true(fn_device_store_has(store, &n));
    assert_int_equal(out.n, strlen(value));
    assert_memory_equal(out.p, value, out.n);
}

/* A real directory that is removed at the end. */
static char *scratch_new(void)
{
    char *path = NULL;
    assert_int_equal(fn_heap_format(&path, "%s/fengni-store-XXXXXX", P_tmpdir), FN_OK);
    assert_non_null(mkdtemp(path));
    return path;
}

static void scratch_free(char *path)
{
    char command[256];
    fn_format(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
    free(path);
}

/* ---- model ---- */

enum { NAMES = 300, MOST = 700 };
struct model {
    struct {
        bool there;
        uint32_t size, seed;
    } record[NAMES];
    uint64_t generation, count;
};

/* Names of several lengths, some a prefix of others, in two kinds. */
static struct fn_record_name model_name(uint32_t i)
{
    struct fn_record_name name = {.kind = i & 1 ? FN_RECORD_KEY : FN_RECORD_LABEL};
    memset(name.b, 0xee, sizeof name.b); /* what lies behind the name does not count */
    uint32_t j = i / 2;
    name.n = (uint8_t)(1 + j % 3);
    name.b[0] = (uint8_t)(j / 3);
    if (name.n > 1) name.b[1] = 0;
    if (name.n > 2) name.b[2] = 0;
    return name;
}

static void model_value(uint8_t *out, uint32_t size, uint32_t seed)
{
    for (uint32_t i = 0; i < size; i++) out[i] = (uint8_t)((seed + i) * 2654435761u >> 24);
}

struct walked {
    struct fn_record_name last;
    uint64_t count;
};

static fn_err walk_one(void *context, const struct fn_record_name *name)
{
    struct walked *w = context;
    if (w->count) {
        size_t n = name->n < w->last.n ? name->n : w->last.n;
        int order = memcmp(w->last.b, name->b, n);
        assert_true(order < 0 || (order == 0 && w->last.n < name->n));
    }
    w->last = *name;
    w->count++;
    return FN_OK;
}

static void model_check(const struct model *m, struct fn_device_store *store)
{
    static uint8_t value[MOST];
    FN_SCOPED_BUF struct fn_buf out = fn_buf_heap();
    uint64_t there[2] = {0, 0};
    for (uint32_t i = 0; i < NAMES; i++) {
        struct fn_record_name name = model_name(i);
        out.n = 0;
        fn_err err = fn_device_store_get(store, &name, &out);
        assert_int_equal(err, m->record[i].there ? FN_OK : FN_E_NOT_FOUND);
        if (!m->record[i].there) continue;
        there[i & 1]++;
        model_value(value, m->record[i].size, m->record[i].seed);
        assert_int_equal(out.n, m->record[i].size);
        assert_true(out.n == 0 || memcmp(out.p, value, out.n) == 0);
    }
    for (int odd = 0; odd < 2; odd++) {
        uint8_t kind = odd ? FN_RECORD_KEY : FN_RECORD_LABEL;
        struct walked w = {0};
        assert_int_equal(fn_device_store_each(store, kind, NULL, walk_one, &w), FN_OK);
        assert_int_equal(w.count, there[odd]);
        assert_int_equal(fn_device_store_count(store, kind), there[odd]);
    }
    assert_int_equal(fn_device_store_generation(store), m->generation);
}

static void model_commit(struct model *m, struct fn_device_store *store)
{
    static uint8_t values[8][MOST];
    struct fn_change changes[8];
    uint32_t count = draw(9);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t i = draw(NAMES), size = draw(8) ? draw(60) : draw(MOST), seed = draw(1u << 30);
        bool removes = draw(3) == 0;
        model_value(values[k], size, seed);
        changes[k] =
            (struct fn_change){.name = model_name(i), .remove = removes, .value = fn_bytes(values[k], size)};
        m->record[i].there = !removes;
        m->record[i].size = size;
        m->record[i].seed = seed;
    }
    assert_int_equal(fn_device_store_commit(store, changes, count), FN_OK);
    m->generation++;
}

static void agrees_with_a_model_over_reopening(void **state)
{
    (void)state;
    static struct model m;
    struct fn_file_fault *disk;
    struct fn_device_store *store;
    struct fn_device_store_report report;
    struct fn_device_store_keys keys = keys_a;
    random_state = 1;
    assert_int_equal(fn_file_fault_new(&disk, DISK), FN_OK);
    const struct fn_files *files = fn_file_fault_files(disk);
    assert_int_equal(fn_device_store_create(files, DIRECTORY, &keys), FN_OK);
    assert_int_equal(fn_device_store_create(files, DIRECTORY, &keys), FN_E_EXISTS);
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys, &report), FN_OK);
    assert_true(report.clean);
    for (int step = 0; step < 1500; step++) {
        uint32_t act = draw(100);
        uint64_t checked;
        if (act < 90) {
            model_commit(&m, store);
        } else if (act < 93) {
            assert_int_equal(fn_device_store_checkpoint(store), FN_OK);
        } else if (act < 94) {
            keys.seal[0]++;
            assert_int_equal(fn_device_store_rekey(store, &keys), FN_OK);
            m.generation++;
        } else if (act < 96) {
            model_check(&m, store);
            assert_int_equal(fn_device_store_verify(store, NULL, &checked), FN_OK);
        } else {
            bool killed = act < 98;
            if (killed) fn_file_fault_kill(disk);
            fn_device_store_close(store);
            assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys, &report), FN_OK);
            assert_int_equal(report.generation, m.generation);
            assert_int_equal(report.torn_bytes_dropped, 0);
            if (!killed) assert_true(report.clean);
            model_check(&m, store);
        }
    }
    model_check(&m, store);
    fn_device_store_close(store);
    fn_file_fault_free(disk);
}

/* ---- names and limits ---- */

static void refuses_what_it_must(void **state)
{
    (void)state;
    struct fn_file_fault *disk;
    struct fn_device_store *store, *second;
    assert_int_equal(fn_file_fault_new(&disk, DISK), FN_OK);
    const struct fn_files *files = fn_file_fault_files(disk);
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys_a, NULL), FN_E_NOT_FOUND);
    assert_int_equal(files->mkdir(files, DIRECTORY, 0700), FN_OK);
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys_a, NULL), FN_E_NOT_FOUND);
    assert_int_equal(fn_device_store_create(files, DIRECTORY, &keys_a), FN_OK);
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys_b, NULL), FN_E_CORRUPT);
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys_a, NULL), FN_OK);
    assert_int_equal(fn_device_store_open(&second, files, DIRECTORY, &keys_a, NULL), FN_E_LOCKED);
    assert_int_equal(fn_device_store_create(files, DIRECTORY, &keys_a), FN_E_LOCKED);

    struct fn_change c = {.name = {.kind = 0, .n = 1}};
    assert_int_equal(fn_device_store_commit(store, &c, 1), FN_E_ARGUMENT);
    c.name.kind = FN_RECORD_KINDS;
    assert_int_equal(fn_device_store_commit(store, &c, 1), FN_E_ARGUMENT);
    c.name = (struct fn_record_name){.kind = 1, .n = FN_RECORD_NAME_MOST + 1};
    assert_int_equal(fn_device_store_commit(store, &c, 1), FN_E_ARGUMENT);
    c = (struct fn_change){.name = name_of(FN_RECORD_DESTROYED, "x"), .remove = true};
    assert_int_equal(fn_device_store_commit(store, &c, 1), FN_E_ARGUMENT);

    static uint8_t large[FN_RECORD_VALUE_MOST + 1];
    memset(large, 0x5a, sizeof large);
    assert_int_equal(put(store, 1, "large", large, sizeof large), FN_E_TOO_LARGE);
    assert_int_equal(put(store, 1, "large", large, sizeof large - 1), FN_OK);
    struct fn_change many[17];
    for (int i = 0; i < 17; i++)
        many[i] =
            (struct fn_change){.name = {.kind = 2, .n = 1, .b = {(uint8_t)i}}, .value = {large, 1u << 20}};
    assert_int_equal(fn_device_store_commit(store, many, 17), FN_E_TOO_LARGE);
    assert_int_equal(fn_device_store_commit(store, many, 15), FN_OK);
    assert_int_equal(fn_device_store_generation(store), 2);
    assert_int_equal(put(store, 1, "empty", NULL, 0), FN_OK);
    for (int round = 0; round < 2; round++) {
        FN_SCOPED_BUF struct fn_buf out = fn_buf_heap();
        struct fn_record_name name = name_of(1, "large");
        assert_int_equal(fn_device_store_get(store, &name, &out), FN_OK);
        assert_int_equal(out.n, sizeof large - 1);
        assert_memory_equal(out.p, large, out.n);
        expect(store, 1, "empty", "");
        assert_int_equal(fn_device_store_count(store, 2), 15);
        assert_int_equal(fn_device_store_checkpoint(store), FN_OK);
    }
    fn_device_store_close(store);
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys_a, NULL), FN_OK);
    expect(store, 1, "empty", "");
    fn_device_store_close(store);
    fn_file_fault_free(disk);
}

static void a_later_change_in_one_commit_wins(void **state)
{
    (void)state;
    struct fn_file_fault *disk;
    struct fn_device_store *store;
    assert_int_equal(fn_file_fault_new(&disk, DISK), FN_OK);
    const struct fn_files *files = fn_file_fault_files(disk);
    assert_int_equal(fn_device_store_create(files, DIRECTORY, &keys_a), FN_OK);
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys_a, NULL), FN_OK);
    struct fn_change c[4] = {
        {.name = name_of(1, "a"), .value = FN_BYTES_LITERAL("first")},
        {.name = name_of(1, "a"), .remove = true},
        {.name = name_of(1, "a"), .value = FN_BYTES_LITERAL("second")},
        {.name = name_of(1, "b"), .remove = true},
    };
    assert_int_equal(fn_device_store_commit(store, c, 4), FN_OK);
    expect(store, 1, "a", "second");
    expect(store, 1, "b", NULL);
    assert_int_equal(fn_device_store_count(store, 1), 1);
    assert_int_equal(fn_device_store_commit(store, c, 2), FN_OK);
    expect(store, 1, "a", NULL);
    assert_int_equal(fn_device_store_count(store, 1), 0);
    fn_device_store_close(store);
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys_a, NULL), FN_OK);
    expect(store, 1, "a", NULL);
    assert_int_equal(fn_device_store_count(store, 1), 0);
    fn_device_store_close(store);
    fn_file_fault_free(disk);
}

/* ---- threads ---- */

enum { THREADS = 6, ROUNDS = 120 };
struct worker {
    struct fn_device_store *store;
    unsigned number;
    bool *stop;
    uint64_t done;
};

/* Commits, reads its own writes back, removes. */
static void *work(void *context)
{
    struct worker *w = context;
    FN_SCOPED_BUF struct fn_buf out = fn_buf_heap();
    static _Thread_local uint8_t value[4000];
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct fn_record_name name = {.kind = FN_RECORD_KEY, .n = 8}, old = name;
        fn_put_be32(name.b, w->number);
        fn_put_be32(name.b + 4, i);
        fn_put_be32(old.b, w->number);
        fn_put_be32(old.b + 4, i - 1);
        model_value(value, sizeof value, i + w->number * 1000);
        struct fn_change c[2] = {{.name = name, .value = fn_bytes(value, sizeof value)},
                                 {.name = old, .remove = true}};
        if (fn_device_store_commit(w->store, c, i % 2 ? 2 : 1) != FN_OK) break;
        out.n = 0;
        if (fn_device_store_get(w->store, &name, &out) != FN_OK || out.n != sizeof value ||
            memcmp(out.p, value, out.n))
            break;
        if (i % 2 && fn_device_store_has(w->store, &old)) break;
        w->done++;
    }
    return NULL;
}

static void *read_always(void *context)
{
    struct worker *w = context;
    uint64_t checked, generation = 0;
    while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
        uint64_t now = fn_device_store_generation(w->store);
        if (now < generation || fn_device_store_verify(w->store, w->stop, &checked) == FN_E_CORRUPT)
            return NULL;
        generation = now;
    }
    w->done = 1;
    return NULL;
}

static void threads_commit_through_background_checkpoints(void **state)
{
    (void)state;
    struct fn_file_fault *disk;
    struct fn_device_store *store;
    struct fn_device_store_figures figures;
    bool stop = false;
    struct worker workers[THREADS + 1];
    pthread_t threads[THREADS + 1];
    assert_int_equal(fn_file_fault_new(&disk, DISK), FN_OK);
    const struct fn_files *files = fn_file_fault_files(disk);
    assert_int_equal(fn_device_store_create(files, DIRECTORY, &keys_a), FN_OK);
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys_a, NULL), FN_OK);
    for (unsigned i = 0; i <= THREADS; i++) {
        workers[i] = (struct worker){store, i, &stop, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, i == THREADS ? read_always : work, &workers[i]),
                         0);
    }
    /* A rekeying in the middle of it. */
    struct timespec pause = {0, 30000000};
    nanosleep(&pause, NULL);
    assert_int_equal(fn_device_store_rekey(store, &keys_b), FN_OK);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(threads[THREADS], NULL);
    for (unsigned i = 0; i < THREADS; i++) assert_int_equal(workers[i].done, ROUNDS);
    assert_int_equal(workers[THREADS].done, 1);
    assert_int_equal(fn_device_store_generation(store), THREADS * ROUNDS + 1);
    assert_int_equal(fn_device_store_count(store, FN_RECORD_KEY), THREADS * ROUNDS / 2);
    fn_device_store_figures(store, &figures);
    assert_int_equal(figures.last_checkpoint, FN_OK);
    assert_true(figures.checkpoints >= 2);
    fn_device_store_close(store);
    struct fn_device_store_report report;
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys_b, &report), FN_OK);
    assert_true(report.clean);
    assert_int_equal(report.records, THREADS * ROUNDS / 2);
    fn_device_store_close(store);
    fn_file_fault_free(disk);
}

struct order {
    struct fn_device_store *store;
    uint32_t next, bad;
    pthread_mutex_t lock;
};
struct numbered {
    struct order *order;
    uint32_t number;
};

static void done_in_order(void *context, fn_err result)
{
    struct numbered *n = context;
    pthread_mutex_lock(&n->order->lock);
    if (result != FN_OK || n->number != n->order->next++) n->order->bad++;
    pthread_mutex_unlock(&n->order->lock);
}

static void submissions_finish_in_order(void **state)
{
    (void)state;
    enum { N = 500 };
    struct fn_file_fault *disk;
    struct fn_device_store *store;
    struct order order = {.lock = PTHREAD_MUTEX_INITIALIZER};
    static struct numbered numbered[N];
    assert_int_equal(fn_file_fault_new(&disk, DISK), FN_OK);
    const struct fn_files *files = fn_file_fault_files(disk);
    assert_int_equal(fn_device_store_create(files, DIRECTORY, &keys_a), FN_OK);
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys_a, NULL), FN_OK);
    for (uint32_t i = 0; i < N; i++) {
        uint8_t value[4]; /* not needed any more when submit has returned */
        fn_put_be32(value, i);
        struct fn_change c = {.name = name_of(1, "counter"), .value = fn_bytes(value, 4)};
        numbered[i] = (struct numbered){&order, i};
        assert_int_equal(fn_device_store_submit(store, &c, 1, done_in_order, &numbered[i]), FN_OK);
        memset(value, 0xff, sizeof value);
    }
    fn_device_store_close(store); /* finishes what is queued */
    assert_int_equal(order.next, N);
    assert_int_equal(order.bad, 0);
    FN_SCOPED_BUF struct fn_buf out = fn_buf_heap();
    struct fn_record_name name = name_of(1, "counter");
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys_a, NULL), FN_OK);
    assert_int_equal(fn_device_store_get(store, &name, &out), FN_OK);
    assert_int_equal(fn_get_be32(out.p), N - 1);
    assert_int_equal(fn_device_store_generation(store), N);
    fn_device_store_close(store);
    fn_file_fault_free(disk);
}

/* ---- real files ---- */

static void a_second_process_is_locked_out(void **state)
{
    (void)state;
    char *directory = scratch_new();
    struct fn_device_store *store;
    assert_int_equal(fn_device_store_create(fn_files_real(), directory, &keys_a), FN_OK);
    assert_int_equal(fn_device_store_open(&store, fn_files_real(), directory, &keys_a, NULL), FN_OK);
    pid_t pid = fork();
    if (pid == 0) {
        struct fn_device_store *other;
        _exit(fn_device_store_open(&other, fn_files_real(), directory, &keys_a, NULL) == FN_E_LOCKED ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(put(store, 1, "still", "mine", 4), FN_OK);
    fn_device_store_close(store);
    assert_int_equal(fn_device_store_open(&store, fn_files_real(), directory, &keys_a, NULL), FN_OK);
    expect(store, 1, "still", "mine");
    fn_device_store_close(store);
    scratch_free(directory);
}

/* 10^6 records with FENGNI_TEST_RECORDS=1000000; fewer otherwise, for the sanitizers' sake. Times are
 * printed. */
static void opens_many_records(void **state)
{
    (void)state;
    enum { GROUP = 2000 };
    const char *asked = getenv("FENGNI_TEST_RECORDS");
    uint32_t records = asked ? (uint32_t)strtoul(asked, NULL, 10) : 40000;
    char *directory = scratch_new();
    struct fn_device_store *store;
    struct fn_device_store_report report;
    struct fn_device_store_figures figures;
    static struct fn_change changes[GROUP];
    static uint8_t values[GROUP][200];
    int64_t start = fn_monotonic_ms();
    assert_int_equal(fn_device_store_create(fn_files_real(), directory, &keys_a), FN_OK);
    assert_int_equal(fn_device_store_open(&store, fn_files_real(), directory, &keys_a, NULL), FN_OK);
    for (uint32_t done = 0; done < records; done += GROUP) {
        for (uint32_t i = 0; i < GROUP; i++) {
            changes[i].name = (struct fn_record_name){.kind = FN_RECORD_KEY, .n = 20};
            fn_put_be32(changes[i].name.b, (done + i) * 2654435761u);
            fn_put_be32(changes[i].name.b + 16, done + i);
            model_value(values[i], sizeof values[i], done + i);
            changes[i].value = fn_bytes(values[i], sizeof values[i]);
        }
        assert_int_equal(fn_device_store_commit(store, changes, GROUP), FN_OK);
    }
    int64_t written = fn_monotonic_ms();
    assert_int_equal(fn_device_store_checkpoint(store), FN_OK);
    int64_t merged = fn_monotonic_ms();
    fn_device_store_close(store);
    int64_t closed = fn_monotonic_ms();
    assert_int_equal(fn_device_store_open(&store, fn_files_real(), directory, &keys_a, &report), FN_OK);
    int64_t opened = fn_monotonic_ms();
    uint64_t checked;
    assert_int_equal(report.records, (records + GROUP - 1) / GROUP * GROUP);
    fn_device_store_figures(store, &figures);
    assert_int_equal(fn_device_store_verify(store, NULL, &checked), FN_OK);
    assert_int_equal(checked, report.records);
    print_message("%lu records of 200 bytes: written in %ld ms, last checkpoint %ld ms, opened in %ld ms, "
                  "all values checked in "
                  "%ld ms; base %lu bytes, memory %lu bytes\n",
                  (unsigned long)report.records, (long)(written - start), (long)(merged - written),
                  (long)(opened - closed), (long)(fn_monotonic_ms() - opened),
                  (unsigned long)figures.base_bytes, (unsigned long)figures.memory_bytes);
    fn_device_store_close(store);
    scratch_free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model_over_reopening),
        cmocka_unit_test(refuses_what_it_must),
        cmocka_unit_test(a_later_change_in_one_commit_wins),
        cmocka_unit_test(threads_commit_through_background_checkpoints),
        cmocka_unit_test(submissions_finish_in_order),
        cmocka_unit_test(a_second_process_is_locked_out),
        cmocka_unit_test(opens_many_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
