/* The device's store on a disk that fails, fills up or loses power at every single call it makes, while it
 * works and while it recovers; and the store altered by hand. */
#include "base/sys/file_fault.h"
#include "base/sys/heap.h"
#include "device/store.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define DISK      "/disk"
#define DIRECTORY DISK "/device"

static const struct fn_device_store_keys keys[2] = {
    {.seal = "sixteen bytes a", .mac = "thirty-two bytes for a mac key"},
    {.seal = "sixteen bytes b", .mac = "thirty-two other bytes for it "},
};

/* ---- what should be there ---- */

/* The workload writes records 0 … RECORDS-1; a version of 0 is "not there". */
enum { RECORDS = 24, DESTROYED_FROM = 20, STEPS_MOST = 64 };
struct image {
    uint32_t version[RECORDS];
};

static struct fn_record_name record_name(uint32_t i)
{
    struct fn_record_name name = {.kind = i < DESTROYED_FROM ? FN_RECORD_KEY : FN_RECORD_DESTROYED, .n = 20};
    fn_put_be32(name.b, i * 2654435761u);
    name.b[19] = (uint8_t)i;
    return name;
}

static uint32_t value_size(uint32_t i, uint32_t version)
{
    return (i * 37 + version * 91) % 700;
}

static void value_of(uint8_t *out, uint32_t i, uint32_t version)
{
    for (uint32_t k = 0; k < value_size(i, version); k++) out[k] = (uint8_t)(i * 7 + version * 13 + k);
}

/* Reads the store as an image; a value that is not that of any version fails the test. */
static void read_image(struct fn_device_store *store, struct image *image)
{
    static uint8_t value[700];
    FN_SCOPED_BUF struct fn_buf out = fn_buf_heap();
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct fn_record_name name = record_name(i);
        out.n = 0;
        image->version[i] = 0;
        fn_err err = fn_device_store_get(store, &name, &out);
        if (err == FN_E_NOT_FOUND) continue;
        assert_int_equal(err, FN_OK);
        uint32_t version = 1;
        for (; version <= STEPS_MOST; version++) {
            value_of(value, i, version);
            if (out.n == value_size(i, version) && (!out.n || memcmp(out.p, value, out.n) == 0)) break;
        }
        assert_true(version <= STEPS_MOST);
        image->version[i] = version;
    }
}

/* ---- the workload ---- */

struct commit {
    uint32_t count, record[4], version[4]; /* version 0 removes */
};

static void apply(struct image *image, const struct commit *c)
{
    for (uint32_t k = 0; k < c->count; k++) image->version[c->record[k]] = c->version[k];
}

static size_t make_changes(const struct commit *c, struct fn_change changes[4], uint8_t values[4][700])
{
    for (uint32_t k = 0; k < c->count; k++) {
        value_of(values[k], c->record[k], c->version[k]);
        changes[k] =
            (struct fn_change){.name = record_name(c->record[k]),
                               .remove = !c->version[k],
                               .value = fn_bytes(values[k], value_size(c->record[k], c->version[k]))};
    }
    return c->count;
}

/* Everything that happened, as the caller knows it. */
struct history {
    struct fn_file_fault *disk;
    const struct fn_files *files;
    struct fn_device_store *store;
    struct image acknowledged;
    uint64_t generation;    /* of the last acknowledged commit */
    struct commit open[16]; /* failed: may be there or not, in this order */
    uint32_t open_count;
    int keys;     /* which open it; -1: one of the two, opening tells */
    bool created; /* acknowledged */
    bool stopped;
};

static bool refuses(const struct history *h)
{
    struct fn_device_store_figures figures;
    fn_device_store_figures(h->store, &figures);
    return figures.refuses != FN_OK;
}

static void settle(struct history *h, const struct commit *c, fn_err err)
{
    if (err == FN_OK) {
        assert_int_equal(h->open_count, 0);
        apply(&h->acknowledged, c);
        h->generation++;
    } else if (refuses(h)) {
        h->open[h->open_count++] = *c;
        h->stopped = true;
    } /* otherwise nothing of it can be there, and the store goes on */
}

static void commit(struct history *h, struct commit c)
{
    struct fn_change changes[4];
    static uint8_t values[4][700];
    if (h->stopped) return;
    size_t n = make_changes(&c, changes, values);
    fn_err err = fn_device_store_commit(h->store, changes, n);
    settle(h, &c, err);
    if (err == FN_OK) return;
    /* A full disk is told and survived; after any other failure nothing more is taken. */
    if (!h->stopped) assert_int_equal(err, FN_E_DISK_FULL);
    fn_err again = fn_device_store_commit(h->store, changes, n);
    if (h->stopped)
        assert_int_equal(again, FN_E_IO);
    else
        settle(h, &c, again);
}

/* Four commits of which the writer finds the last three together: they are queued in the callback of the
 * first. */
struct member {
    struct group *group;
    struct commit commit;
    bool taken;
    fn_err result;
};
struct group {
    struct fn_device_store *store;
    struct member member[4];
    uint32_t taken, done;
    bool all_submitted;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static void member_done(void *context, fn_err result);

static void member_submit(struct member *m)
{
    struct fn_change changes[4];
    uint8_t values[4][700];
    size_t n = make_changes(&m->commit, changes, values);
    m->taken = true;
    m->group->taken++;
    m->result = fn_device_store_submit(m->group->store, changes, n, member_done, m);
    if (m->result == FN_OK) return;
    m->taken = false;
    m->group->taken--;
}

static void member_done(void *context, fn_err result)
{
    struct member *m = context;
    struct group *g = m->group;
    pthread_mutex_lock(&g->lock);
    m->result = result;
    if (m == &g->member[0]) {
        for (int i = 1; i < 4; i++) member_submit(&g->member[i]);
        g->all_submitted = true;
    }
    g->done++;
    pthread_cond_signal(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void commit_group(struct history *h, const struct commit commits[4])
{
    struct group g = {
        .store = h->store, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    if (h->stopped) return;
    for (int i = 0; i < 4; i++) g.member[i] = (struct member){.group = &g, .commit = commits[i]};
    pthread_mutex_lock(&g.lock);
    member_submit(&g.member[0]);
    assert_true(g.member[0].taken);
    while (!g.all_submitted || g.done < g.taken) pthread_cond_wait(&g.changed, &g.lock);
    pthread_mutex_unlock(&g.lock);
    for (int i = 0; i < 4; i++)
        if (g.member[i].taken) settle(h, &commits[i], g.member[i].result);
}

static void checkpoint(struct history *h)
{
    if (h->stopped) return;
    if (fn_device_store_checkpoint(h->store) != FN_OK && refuses(h)) h->stopped = true;
}

static void rekey(struct history *h)
{
    if (h->stopped) return;
    if (fn_device_store_rekey(h->store, &keys[1]) == FN_OK) {
        h->keys = 1;
        h->generation++;
    } else if (refuses(h)) {
        h->keys = -1;
        h->stopped = true;
    }
}

static void reopen(struct history *h)
{
    if (h->stopped) return;
    fn_device_store_close(h->store);
    h->store = NULL;
    if (fn_device_store_open(&h->store, h->files, DIRECTORY, &keys[h->keys], NULL) != FN_OK)
        h->stopped = true;
}

static struct commit commit_of(uint32_t version, uint32_t count, const uint32_t records[], uint32_t removed)
{
    struct commit c = {.count = count};
    for (uint32_t k = 0; k < count; k++) {
        c.record[k] = records[k];
        c.version[k] = k == removed ? 0 : version;
    }
    return c;
}
#define NONE 9u
#define C(v, removed, ...)                                                                                   \
    commit_of((v), sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), (uint32_t[]){__VA_ARGS__}, (removed))

static void work(struct history *h)
{
    h->stopped = fn_device_store_create(h->files, DIRECTORY, &keys[0]) != FN_OK;
    if (h->stopped) return;
    h->created = true;
    h->stopped = fn_device_store_open(&h->store, h->files, DIRECTORY, &keys[0], NULL) != FN_OK;
    struct commit c[] = {
        C(1, NONE, 0, 1, 2, 3),  C(2, NONE, 4, 5),
        C(3, 1, 6, 0, 7),        C(4, NONE, 8, 9, 20),
        C(5, 0, 1, 21),          C(6, NONE, 2),
        C(7, NONE, 10, 11, 22),  C(8, 2, 3, 12, 4),
        C(9, NONE, 13, 14, 15),  C(10, 0, 13),
        C(11, NONE, 16, 17),     C(12, 0, 16, 23),
        C(13, NONE, 0, 1, 3, 4), C(14, 3, 18, 19, 5, 17),
        C(15, NONE, 6),          C(16, NONE, 7, 13),
    };
    for (int i = 0; i < 4; i++) commit(h, c[i]);
    commit_group(h, &c[4]);
    checkpoint(h);
    commit(h, c[8]);
    commit(h, c[9]);
    checkpoint(h);
    rekey(h);
    commit_group(h, &c[10]);
    reopen(h);
    commit(h, c[14]);
    checkpoint(h);
    commit(h, c[15]);
    reopen(h);
}

/* ---- after the crash ---- */

/* How the machine went down: the process alone, or the power. */
enum crash { CRASH_KILL, CRASH_DROPS, CRASH_KEEPS, CRASH_MIXED, CRASHES };

static void crash(struct history *h, enum crash how, uint64_t seed)
{
    static const enum fn_power power[] = {[CRASH_DROPS] = FN_POWER_DROPS_ALL,
                                          [CRASH_KEEPS] = FN_POWER_KEEPS_ALL,
                                          [CRASH_MIXED] = FN_POWER_MIXED};
    fn_file_fault_arm(h->disk, FN_FAULT_NONE, 0, false);
    if (how == CRASH_KILL)
        fn_file_fault_kill(h->disk);
    else
        fn_file_fault_power_cut(h->disk, power[how], seed);
    /* Only frees: its handles are gone. */
    fn_device_store_close(h->store);
    h->store = NULL;
}

/* Opens under the keys that must, and must not, open it. */
static void open_after(struct history *h, struct fn_device_store_report *report)
{
    fn_err first = FN_E_CORRUPT, second = FN_E_CORRUPT;
    if (h->keys != 1) first = fn_device_store_open(&h->store, h->files, DIRECTORY, &keys[0], report);
    if (first != FN_OK) second = fn_device_store_open(&h->store, h->files, DIRECTORY, &keys[1], report);
    assert_true(first == FN_OK || second == FN_OK);
    if (h->keys == 0) assert_int_equal(first, FN_OK);
    if (h->keys == -1 && second == FN_OK) h->generation++;
    h->keys = first == FN_OK ? 0 : 1;
    struct fn_device_store *other;
    fn_device_store_close(h->store);
    assert_int_equal(fn_device_store_open(&other, h->files, DIRECTORY, &keys[!h->keys], NULL), FN_E_CORRUPT);
    assert_int_equal(fn_device_store_open(&h->store, h->files, DIRECTORY, &keys[h->keys], report), FN_OK);
}

/* Everything acknowledged, and of the rest the first few commits or none. */
static void expect_history(struct history *h, const struct fn_device_store_report *report)
{
    struct image found, expected = h->acknowledged;
    uint64_t checked;
    read_image(h->store, &found);
    uint32_t more = 0;
    for (; more < h->open_count && h->generation + more < report->generation; more++)
        apply(&expected, &h->open[more]);
    assert_int_equal(report->generation, h->generation + more);
    assert_memory_equal(&found, &expected, sizeof found);
    assert_int_equal(fn_device_store_verify(h->store, NULL, &checked), FN_OK);
    assert_int_equal(checked, report->records);
    /* What was seen now is there to stay. */
    h->acknowledged = expected;
    h->generation += more;
    h->open_count = 0;
}

static void recover(struct history *h)
{
    struct fn_device_store_report report;
    if (!h->created) {
        fn_err err = fn_device_store_create(h->files, DIRECTORY, &keys[0]);
        assert_true(err == FN_OK || err == FN_E_EXISTS);
    }
    open_after(h, &report);
    expect_history(h, &report);
    crash(h, CRASH_DROPS, 0);
    assert_int_equal(fn_device_store_open(&h->store, h->files, DIRECTORY, &keys[h->keys], &report), FN_OK);
    expect_history(h, &report);
    h->stopped = false;
    commit(h, C(40, 2, 5, 6, 7, 8));
    checkpoint(h);
    commit(h, C(41, 0, 8, 9));
    reopen(h);
    assert_false(h->stopped);
    fn_device_store_close(h->store);
    assert_int_equal(fn_device_store_open(&h->store, h->files, DIRECTORY, &keys[h->keys], &report), FN_OK);
    assert_true(report.clean);
    expect_history(h, &report);
    fn_device_store_close(h->store);
    h->store = NULL;
}

static void begin(struct history *h)
{
    *h = (struct history){0};
    assert_int_equal(fn_file_fault_new(&h->disk, DISK), FN_OK);
    h->files = fn_file_fault_files(h->disk);
}

static uint64_t workload_calls;

/* One run with one fault; false when the call that it was meant for does not meet it. */
static bool run(enum fn_fault fault, uint64_t nth, bool lasting, enum crash how, uint64_t recovery_nth,
                uint64_t round)
{
    struct history h;
    begin(&h);
    fn_file_fault_arm(h.disk, fault, nth, lasting);
    work(&h);
    bool met = fn_file_fault_met(h.disk);
    if (!met) assert_false(h.stopped);
    uint64_t seed = round * 1000000 + nth * 1000 + recovery_nth * 10 + fault;
    crash(&h, how, seed);
    if (recovery_nth && h.created) {
        /* The same again while it recovers. */
        struct fn_device_store_report report;
        fn_file_fault_arm(h.disk, fault, recovery_nth, lasting);
        fn_err err = FN_E_IO;
        if (h.keys != -1) err = fn_device_store_open(&h.store, h.files, DIRECTORY, &keys[h.keys], &report);
        if (err == FN_OK && fault != FN_FAULT_POWER) expect_history(&h, &report);
        if (err != FN_OK) h.store = NULL;
        crash(&h, how, seed + 5);
    }
    recover(&h);
    fn_file_fault_free(h.disk);
    return met;
}

static void nothing_fails_without_a_fault(void **state)
{
    (void)state;
    struct history h;
    begin(&h);
    work(&h);
    assert_false(h.stopped);
    assert_int_equal(h.keys, 1);
    assert_int_equal(h.generation, 17);
    workload_calls = fn_file_fault_calls(h.disk);
    crash(&h, CRASH_DROPS, 0);
    recover(&h);
    print_message("the workload makes %lu changing calls\n", (unsigned long)workload_calls);
    fn_file_fault_free(h.disk);
}

/* Every call of the workload meets the fault; after each the machine goes down in every way. What a power cut
 * keeps is drawn FENGNI_TEST_ROUNDS times (once). */
static void every_call(enum fn_fault fault, bool lasting, uint64_t recovery_nth)
{
    const char *asked = getenv("FENGNI_TEST_ROUNDS");
    uint64_t rounds = asked ? strtoul(asked, NULL, 10) : 1;
    unsigned long runs = 0, points = 0;
    for (uint64_t nth = 1; nth <= workload_calls; nth++) {
        bool met = false;
        for (uint64_t round = 0; round < rounds; round++, runs++)
            met = run(fault, nth, lasting, CRASH_MIXED, recovery_nth, round);
        points += met;
        if (recovery_nth) continue;
        run(fault, nth, lasting, CRASH_DROPS, 0, 0);
        run(fault, nth, lasting, CRASH_KEEPS, 0, 0);
        /* When the power went the disk stays off until it is back: killing the process alone says nothing. */
        if (fault != FN_FAULT_POWER) run(fault, nth, lasting, CRASH_KILL, 0, 0);
        runs += 2 + (fault != FN_FAULT_POWER);
    }
    assert_true(points > 60);
    print_message("%lu fault points, %lu runs\n", points, runs);
}

static void survives_a_power_cut_at_every_call(void **state)
{
    (void)state;
    every_call(FN_FAULT_POWER, false, 0);
}
static void survives_an_error_at_every_call(void **state)
{
    (void)state;
    every_call(FN_FAULT_IO, false, 0);
    every_call(FN_FAULT_IO, true, 0);
}
static void survives_a_full_disk_at_every_call(void **state)
{
    (void)state;
    every_call(FN_FAULT_DISK_FULL, false, 0);
    every_call(FN_FAULT_DISK_FULL, true, 0);
}
static void survives_a_disk_turned_read_only_at_every_call(void **state)
{
    (void)state;
    every_call(FN_FAULT_READ_ONLY, true, 0);
}
static void survives_a_second_crash_while_recovering(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 7; nth++) every_call(FN_FAULT_POWER, false, nth);
    for (uint64_t nth = 1; nth <= 4; nth++) every_call(FN_FAULT_IO, false, nth);
}

/* Loses power in a long commit, so that a torn frame is at the end of the log. */
static void tear(struct history *h, uint64_t seed)
{
    static uint8_t value[20000];
    struct fn_change c = {.name = record_name(19), .value = fn_bytes(value, sizeof value)};
    fn_file_fault_arm(h->disk, FN_FAULT_POWER, 1, false);
    assert_int_equal(fn_device_store_commit(h->store, &c, 1), FN_E_IO);
    fn_file_fault_power_cut(h->disk, FN_POWER_MIXED, seed);
    fn_device_store_close(h->store);
    assert_int_equal(fn_device_store_open(&h->store, h->files, DIRECTORY, &keys[0], NULL), FN_OK);
    if (fn_device_store_generation(h->store) > h->generation) h->generation++; /* it was written whole */
    c.remove = true;
    assert_int_equal(fn_device_store_commit(h->store, &c, 1), FN_OK);
    h->generation++;
}

/* A checkpoint that breaks off leaves the old log behind a new one that takes the commits; what a full disk
 * or a power cut left at the end of the old one before must be gone for good. */
static void survives_after_a_checkpoint_that_failed(void **state)
{
    (void)state;
    unsigned long failed = 0;
    for (uint64_t nth = 1; nth <= 24; nth++)
        for (int draw = 0; draw < CRASHES + 6; draw++) {
            enum crash how = draw < CRASHES ? (enum crash)draw : CRASH_MIXED;
            struct history h;
            begin(&h);
            assert_int_equal(fn_device_store_create(h.files, DIRECTORY, &keys[0]), FN_OK);
            assert_int_equal(fn_device_store_open(&h.store, h.files, DIRECTORY, &keys[0], NULL), FN_OK);
            h.created = true;
            for (uint32_t i = 0; i < 4; i++) commit(&h, C(i + 1, NONE, 2 * i, 2 * i + 1));
            static uint8_t no_room[4096];
            struct fn_change c = {.name = record_name(19),
                                  .value = fn_bytes(no_room, nth * 150 + (uint64_t)draw)};
            fn_file_fault_arm(h.disk, FN_FAULT_DISK_FULL, 1, false);
            assert_int_equal(fn_device_store_commit(h.store, &c, 1), FN_E_DISK_FULL);
            if (nth % 4 >= 2) tear(&h, nth * CRASHES + (uint64_t)draw);
            fn_file_fault_arm(h.disk, nth % 2 ? FN_FAULT_IO : FN_FAULT_DISK_FULL, (nth + 1) / 2, false);
            failed += fn_device_store_checkpoint(h.store) != FN_OK;
            fn_file_fault_arm(h.disk, FN_FAULT_NONE, 0, false);
            commit(&h, C(30, 1, 0, 1));
            commit(&h, C(31, NONE, 2, 20));
            assert_false(h.stopped);
            crash(&h, how, nth * 100 + (uint64_t)draw);
            recover(&h);
            fn_file_fault_free(h.disk);
        }
    assert_true(failed >= 10 * CRASHES);
}

/* ---- alteration ---- */

/* A stopped store: base.8 with records 0 … 15, log.8 with two sessions. */
static void prepare(struct history *h, bool clean)
{
    begin(h);
    assert_int_equal(fn_device_store_create(h->files, DIRECTORY, &keys[0]), FN_OK);
    assert_int_equal(fn_device_store_open(&h->store, h->files, DIRECTORY, &keys[0], NULL), FN_OK);
    for (uint32_t i = 0; i < 8; i++) commit(h, C(i + 1, NONE, 2 * i, 2 * i + 1));
    checkpoint(h);
    commit(h, C(20, 1, 0, 1));
    commit(h, C(21, NONE, 16, 20));
    reopen(h);
    commit(h, C(22, 0, 2, 21));
    commit(h, C(23, NONE, 3));
    assert_false(h->stopped);
    if (!clean) fn_file_fault_kill(h->disk);
    fn_device_store_close(h->store);
    h->store = NULL;
}

static uint64_t size_of(const struct fn_files *f, const char *path)
{
    int handle;
    uint64_t size;
    assert_int_equal(f->open(f, path, FN_FILE_READ, 0, &handle), FN_OK);
    assert_int_equal(f->size(f, handle, &size), FN_OK);
    assert_int_equal(f->close(f, handle), FN_OK);
    return size;
}

enum outcome { REFUSED, VALUE_REFUSED, NOTHING_LOST, LAST_LOST };

/* Opens what was altered. Any value that is given must be the right one. */
static enum outcome judge(const struct history *h, struct fn_file_fault *disk)
{
    struct fn_device_store *store;
    struct fn_device_store_report report;
    const struct fn_files *files = fn_file_fault_files(disk);
    static uint8_t value[700];
    fn_err err = fn_device_store_open(&store, files, DIRECTORY, &keys[0], &report);
    if (err != FN_OK) {
        assert_true(err == FN_E_CORRUPT || err == FN_E_VERSION);
        return REFUSED;
    }
    if (report.generation < h->generation) {
        assert_true(report.torn_bytes_dropped > 0);
        assert_int_equal(report.generation, h->generation - 1);
        fn_device_store_close(store);
        return LAST_LOST;
    }
    enum outcome outcome = NOTHING_LOST;
    FN_SCOPED_BUF struct fn_buf out = fn_buf_heap();
    uint64_t checked;
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct fn_record_name name = record_name(i);
        uint32_t version = h->acknowledged.version[i];
        out.n = 0;
        err = fn_device_store_get(store, &name, &out);
        if (err == FN_E_CORRUPT) {
            assert_int_equal(out.n, 0);
            outcome = VALUE_REFUSED;
            continue;
        }
        assert_int_equal(err, version ? FN_OK : FN_E_NOT_FOUND);
        if (!version) continue;
        value_of(value, i, version);
        assert_int_equal(out.n, value_size(i, version));
        assert_true(!out.n || memcmp(out.p, value, out.n) == 0);
    }
    err = fn_device_store_verify(store, NULL, &checked);
    assert_int_equal(err, outcome == VALUE_REFUSED ? FN_E_CORRUPT : FN_OK);
    if (outcome == VALUE_REFUSED) assert_int_equal(fn_device_store_checkpoint(store), FN_E_CORRUPT);
    fn_device_store_close(store);
    return outcome;
}

static void alter(const struct history *h, const char *path, uint64_t step, uint64_t tally[4],
                  uint64_t refused_to, uint64_t last_frame)
{
    uint64_t size = size_of(h->files, path);
    for (uint64_t at = 0; at < size; at += step) {
        struct fn_file_fault *copy;
        assert_int_equal(fn_file_fault_clone(&copy, h->disk), FN_OK);
        assert_int_equal(fn_file_fault_flip(copy, path, at, (uint8_t)(1 << at % 8)), FN_OK);
        enum outcome outcome = judge(h, copy);
        if (at < refused_to) assert_int_equal(outcome, REFUSED);
        if (at < last_frame) assert_true(outcome == REFUSED || outcome == VALUE_REFUSED);
        tally[outcome]++;
        fn_file_fault_free(copy);
    }
}

static void alterations_are_found(void **state)
{
    (void)state;
    struct history h;
    uint64_t base[4] = {0}, log[4] = {0}, unclean[4] = {0};
    prepare(&h, true);
    /* Header, index and MAC: 128 + 16 × 64 + 32. Values of records that the log replaced are never read. */
    alter(&h, DIRECTORY "/base.8", 3, base, 128 + 16 * 64 + 32, 0);
    assert_true(base[REFUSED] > 0 && base[VALUE_REFUSED] > 0);
    assert_int_equal(base[LAST_LOST], 0);
    /* The mark of the clean stop is the last frame: header 88, no body, MAC 32. */
    uint64_t size = size_of(h.files, DIRECTORY "/log.8");
    alter(&h, DIRECTORY "/log.8", 1, log, size - 120, 0);
    assert_int_equal(log[LAST_LOST], 0);
    fn_file_fault_free(h.disk);

    prepare(&h, false);
    size = size_of(h.files, DIRECTORY "/log.8");
    uint64_t last = 88 + 4 + 50 + 5 + value_size(3, 23) + 16 + 32;
    alter(&h, DIRECTORY "/log.8", 1, unclean, size - last, 0);
    assert_int_equal(unclean[LAST_LOST], last);
    assert_int_equal(unclean[VALUE_REFUSED] + unclean[NOTHING_LOST], 0);
    fn_file_fault_free(h.disk);
    print_message("base: %lu refused at opening, %lu at reading; log: %lu refused, %lu without effect\n",
                  (unsigned long)base[REFUSED], (unsigned long)base[VALUE_REFUSED],
                  (unsigned long)log[REFUSED], (unsigned long)log[NOTHING_LOST]);
}

/* Reads a file whole, changes its length or order by `edit`, puts it back. */
static enum outcome rewritten(const struct history *h, const char *path, void (*edit)(struct fn_buf *content))
{
    struct fn_file_fault *copy;
    FN_SCOPED_BUF struct fn_buf content = fn_buf_heap();
    assert_int_equal(fn_file_fault_clone(&copy, h->disk), FN_OK);
    const struct fn_files *files = fn_file_fault_files(copy);
    assert_int_equal(fn_files_read_all(files, path, 1u << 24, &content), FN_OK);
    edit(&content);
    assert_int_equal(fn_files_replace(files, path, fn_buf_view(&content), 0600), FN_OK);
    enum outcome outcome = judge(h, copy);
    fn_file_fault_free(copy);
    return outcome;
}

static size_t frame_length(const struct fn_buf *log, size_t at)
{
    return 120 + fn_get_be32(log->p + at + 8);
}

static void cut_first_frame(struct fn_buf *log)
{
    size_t n = frame_length(log, 128);
    memmove(log->p + 128, log->p + 128 + n, log->n - 128 - n);
    log->n -= n;
}
static void swap_frames(struct fn_buf *log)
{
    static uint8_t first[4096];
    size_t a = frame_length(log, 128), b = frame_length(log, 128 + a);
    memcpy(first, log->p + 128, a);
    memmove(log->p + 128, log->p + 128 + a, b);
    memcpy(log->p + 128 + b, first, a);
}
static void repeat_first_frame(struct fn_buf *log)
{
    static uint8_t first[4096];
    size_t n = frame_length(log, 128);
    memcpy(first, log->p + 128, n);
    assert_int_equal(fn_buf_add(log, first, n), FN_OK);
}
static void cut_to_header(struct fn_buf *log)
{
    log->n = 127;
}
static void cut_one_byte(struct fn_buf *file)
{
    file->n--;
}
static void add_one_byte(struct fn_buf *file)
{
    assert_int_equal(fn_buf_u8(file, 0), FN_OK);
}
static void zero_middle(struct fn_buf *log)
{
    memset(log->p + 200, 0, 300);
}
static void damage_two_frames(struct fn_buf *log)
{
    size_t n = frame_length(log, 128);
    log->p[128 + 9] ^= 1;         /* the length of the first */
    log->p[128 + n + 60] ^= 0x80; /* the chain of the second */
}

static void rearrangements_are_found(void **state)
{
    (void)state;
    struct history h;
    for (int clean = 0; clean < 2; clean++) {
        prepare(&h, clean);
        const char *log = DIRECTORY "/log.8", *base = DIRECTORY "/base.8";
        assert_int_equal(rewritten(&h, log, cut_first_frame), REFUSED);
        assert_int_equal(rewritten(&h, log, swap_frames), REFUSED);
        assert_int_equal(rewritten(&h, log, repeat_first_frame), REFUSED);
        assert_int_equal(rewritten(&h, log, cut_to_header), REFUSED);
        assert_int_equal(rewritten(&h, log, zero_middle), REFUSED);
        assert_int_equal(rewritten(&h, log, damage_two_frames), REFUSED);
        assert_int_equal(rewritten(&h, base, cut_one_byte), REFUSED);
        assert_int_equal(rewritten(&h, base, add_one_byte), REFUSED);
        /* Behind the mark of a clean stop, or behind the last commit, lies what a torn write may have left.
         */
        assert_int_equal(rewritten(&h, log, add_one_byte), NOTHING_LOST);
        assert_int_equal(rewritten(&h, log, cut_one_byte), clean ? NOTHING_LOST : LAST_LOST);
        assert_int_equal(h.files->unlink(h.files, log), FN_OK);
        assert_int_equal(judge(&h, h.disk), REFUSED);
        fn_file_fault_free(h.disk);
    }
}

/* An older copy of everything opens: the store alone cannot know. Its generation tells. A mixture does not
 * open. */
static void an_older_copy_shows_by_its_generation(void **state)
{
    (void)state;
    struct history h;
    struct fn_file_fault *old;
    struct fn_device_store_report report;
    struct fn_device_store *store;
    prepare(&h, true);
    assert_int_equal(fn_file_fault_clone(&old, h.disk), FN_OK);
    assert_int_equal(fn_device_store_open(&h.store, h.files, DIRECTORY, &keys[0], NULL), FN_OK);
    commit(&h, C(30, NONE, 22));
    fn_device_store_close(h.store);

    const struct fn_files *files = fn_file_fault_files(old);
    assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys[0], &report), FN_OK);
    assert_int_equal(report.generation, h.generation - 1);
    assert_true(report.clean);
    /* It goes on differently from here; then its log is no continuation for the other's base, nor the
     * reverse. */
    struct fn_change c = {.name = record_name(0), .remove = true};
    assert_int_equal(fn_device_store_commit(store, &c, 1), FN_OK);
    assert_int_equal(fn_device_store_checkpoint(store), FN_OK);
    fn_device_store_close(store);
    assert_int_equal(fn_device_store_open(&h.store, h.files, DIRECTORY, &keys[0], NULL), FN_OK);
    assert_int_equal(fn_device_store_checkpoint(h.store), FN_OK);
    fn_device_store_close(h.store);
    FN_SCOPED_BUF struct fn_buf log = fn_buf_heap();
    assert_int_equal(fn_files_read_all(files, DIRECTORY "/log.13", 1u << 24, &log), FN_OK);
    assert_int_equal(fn_files_replace(h.files, DIRECTORY "/log.13", fn_buf_view(&log), 0600), FN_OK);
    assert_int_equal(fn_device_store_open(&h.store, h.files, DIRECTORY, &keys[0], NULL), FN_E_CORRUPT);
    fn_file_fault_free(old);
    fn_file_fault_free(h.disk);
}

/* Two copies that went on differently: their frames have one key and one order of generations, yet one's
 * second frame is no continuation of the other's first. */
static void frames_of_another_copy_do_not_fit(void **state)
{
    (void)state;
    struct history h;
    struct fn_file_fault *disks[2];
    struct fn_buf logs[2] = {fn_buf_heap(), fn_buf_heap()};
    prepare(&h, true);
    disks[0] = h.disk;
    assert_int_equal(fn_file_fault_clone(&disks[1], h.disk), FN_OK);
    for (int i = 0; i < 2; i++) {
        struct fn_device_store *store;
        const struct fn_files *files = fn_file_fault_files(disks[i]);
        struct fn_change c = {.name = record_name(5), .value = fn_bytes(i ? "other" : "first", 5)};
        assert_int_equal(fn_device_store_open(&store, files, DIRECTORY, &keys[0], NULL), FN_OK);
        for (int k = 0; k < 2; k++) assert_int_equal(fn_device_store_commit(store, &c, 1), FN_OK);
        fn_device_store_close(store);
        assert_int_equal(fn_files_read_all(files, DIRECTORY "/log.8", 1u << 24, &logs[i]), FN_OK);
    }
    assert_int_equal(logs[0].n, logs[1].n);
    size_t second = logs[0].n - 120 - (88 + 4 + 50 + 5 + 5 + 16 + 32);
    memcpy(logs[0].p + second, logs[1].p + second, logs[0].n - second);
    assert_int_equal(fn_files_replace(h.files, DIRECTORY "/log.8", fn_buf_view(&logs[0]), 0600), FN_OK);
    assert_int_equal(fn_device_store_open(&h.store, h.files, DIRECTORY, &keys[0], NULL), FN_E_CORRUPT);
    for (int i = 0; i < 2; i++) {
        fn_buf_free(&logs[i]);
        fn_file_fault_free(disks[i]);
    }
}

/* ---- nonces ---- */

/* Every header of a frame or base that is about to be written, whether the write succeeds or not. */
static struct {
    struct fn_files files;
    fn_err (*pwrite)(const struct fn_files *f, int handle, uint64_t offset, const void *p, size_t n);
    uint8_t salt[512][32];
    uint64_t generation[512], digest[512];
    size_t count, repeated;
} seen;

static fn_err seeing_pwrite(const struct fn_files *f, int handle, uint64_t offset, const void *p, size_t n)
{
    const uint8_t *b = p;
    uint64_t digest = 0;
    for (size_t i = 0; i < n; i++) digest = digest * 0x100000001b3u + b[i];
    bool frame = n >= 120 && !memcmp(b, "FNFR\1", 5), base = n == 128 && !memcmp(b, "FNGBASE1", 8);
    for (size_t i = 0; (frame || base) && i < seen.count; i++) {
        bool same =
            !memcmp(seen.salt[i], b + (frame ? 24 : 32), 32) && seen.generation[i] == fn_get_be64(b + 16);
        if (same && seen.digest[i] != digest) seen.repeated++;
    }
    if (frame || base) {
        assert_true(seen.count < 512);
        memcpy(seen.salt[seen.count], b + (frame ? 24 : 32), 32);
        seen.generation[seen.count] = fn_get_be64(b + 16);
        seen.digest[seen.count++] = digest;
    }
    return seen.pwrite(f, handle, offset, p, n);
}

static void see(const struct fn_files **files)
{
    seen.files = **files;
    seen.pwrite = seen.files.pwrite;
    seen.files.pwrite = seeing_pwrite;
    *files = &seen.files;
}

/* The same generation is sealed again with other content after a write that failed, after a torn frame was
 * dropped and in a copy that was put back: each time under another salt, hence under another key. */
static void no_nonce_comes_twice(void **state)
{
    (void)state;
    struct history h;
    struct fn_file_fault *copy;
    prepare(&h, true);
    assert_int_equal(fn_file_fault_clone(&copy, h.disk), FN_OK);
    see(&h.files);
    assert_int_equal(fn_device_store_open(&h.store, h.files, DIRECTORY, &keys[0], NULL), FN_OK);
    commit(&h, C(30, NONE, 4));
    fn_file_fault_arm(h.disk, FN_FAULT_DISK_FULL, 1, false);
    struct fn_change c = {.name = record_name(5), .value = FN_BYTES_LITERAL("one")};
    assert_int_equal(fn_device_store_commit(h.store, &c, 1), FN_E_DISK_FULL);
    c.value = FN_BYTES_LITERAL("two");
    assert_int_equal(fn_device_store_commit(h.store, &c, 1), FN_OK);
    fn_file_fault_arm(h.disk, FN_FAULT_IO, 1, false);
    c.value = FN_BYTES_LITERAL("three");
    assert_int_equal(fn_device_store_commit(h.store, &c, 1), FN_E_IO);
    fn_file_fault_power_cut(h.disk, FN_POWER_DROPS_ALL, 0);
    fn_device_store_close(h.store);
    assert_int_equal(fn_device_store_open(&h.store, h.files, DIRECTORY, &keys[0], NULL), FN_OK);
    c.value = FN_BYTES_LITERAL("four");
    assert_int_equal(fn_device_store_commit(h.store, &c, 1), FN_OK);
    assert_int_equal(fn_device_store_checkpoint(h.store), FN_OK);
    fn_device_store_close(h.store);
    size_t before = seen.count;
    assert_true(before >= 6);

    const struct fn_files *files = fn_file_fault_files(copy);
    see(&files);
    assert_int_equal(fn_device_store_open(&h.store, files, DIRECTORY, &keys[0], NULL), FN_OK);
    for (int i = 0; i < 3; i++) {
        c.value = FN_BYTES_LITERAL("five");
        assert_int_equal(fn_device_store_commit(h.store, &c, 1), FN_OK);
    }
    assert_int_equal(fn_device_store_checkpoint(h.store), FN_OK);
    fn_device_store_close(h.store);
    assert_true(seen.count >= before + 4);
    assert_int_equal(seen.repeated, 0);
    fn_file_fault_free(copy);
    fn_file_fault_free(h.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_fails_without_a_fault),
        cmocka_unit_test(survives_a_power_cut_at_every_call),
        cmocka_unit_test(survives_an_error_at_every_call),
        cmocka_unit_test(survives_a_full_disk_at_every_call),
        cmocka_unit_test(survives_a_disk_turned_read_only_at_every_call),
        cmocka_unit_test(survives_a_second_crash_while_recovering),
        cmocka_unit_test(survives_after_a_checkpoint_that_failed),
        cmocka_unit_test(alterations_are_found),
        cmocka_unit_test(rearrangements_are_found),
        cmocka_unit_test(an_older_copy_shows_by_its_generation),
        cmocka_unit_test(frames_of_another_copy_do_not_fit),
        cmocka_unit_test(no_nonce_comes_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
