/* include/fengni/data.h on a real device: what a program of others does with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fengni/data.h"
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char dir[] = "/tmp/fengni-api-XXXXXX", socket_path[64], database[80], file_path[64];
static pid_t device;

static int shell(const char *format, const char *a, const char *b)
{
    char command[512];
    snprintf(command, sizeof command, format, a, b);
    return system(command);
}

static void start_device(void)
{
    char program[300], store[64], management[64], key[64];
    const char *bin = getenv("FENGNI_BIN");
    snprintf(program, sizeof program, "%s/fengni-device", bin ? bin : ".");
    snprintf(store, sizeof store, "%s/store", dir);
    snprintf(management, sizeof management, "%s/management", dir);
    snprintf(key, sizeof key, "%s/key", dir);
    char *argv[] = {
        program, "--dir", store, "--socket", socket_path, "--management", management, "--unattended-key",
        key,     NULL};
    assert_int_equal(posix_spawn(&device, program, NULL, NULL, argv, environ), 0);
    for (int i = 0; i < 200 && access(management, F_OK); i++) usleep(50000);
}

static int setup(void **state)
{
    (void)state;
    const char *bin = getenv("FENGNI_BIN");
    if (!bin || !mkdtemp(dir)) return 1;
    snprintf(socket_path, sizeof socket_path, "%s/device.sock", dir);
    snprintf(database, sizeof database, "sqlite:%s/cases.db", dir);
    snprintf(file_path, sizeof file_path, "%s/acl.yaml", dir);
    if (shell("mkdir -m 700 %s/store", dir, "")) return 1;
    start_device();
    setenv("FENGNI_LANG", "en", 1);
    setenv("FENGNI_INSTANCE", dir, 1);
    setenv("FENGNI_DEVICE_SOCKET", socket_path, 1);
    for (int i = 0; i < 100; i++) {
        if (!shell("%s/fengni device init --unattended --management %s/management >/dev/null 2>&1", bin, dir))
            return 0;
        usleep(100000);
    }
    return 1;
}

static int teardown(void **state)
{
    (void)state;
    kill(device, SIGTERM);
    waitpid(device, NULL, 0);
    return shell("rm -rf %s", dir, "");
}

static const struct fengni_column columns[] = {{"case_no", FENGNI_COLUMN_COVERED},
                                               {"id_card", FENGNI_COLUMN_PROTECTED},
                                               {"phone", FENGNI_COLUMN_PROTECTED}};
enum { COLUMNS = 3, ROWS = 1000 };
static char text[ROWS][2][32];
static struct fengni_cell cells[ROWS * COLUMNS];

static void make_cells(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        snprintf(text[i][0], 32, "case-%zu", i);
        snprintf(text[i][1], 32, "110105%012zu", i);
        cells[i * COLUMNS] = (struct fengni_cell){text[i][0], strlen(text[i][0])};
        cells[i * COLUMNS + 1] = (struct fengni_cell){text[i][1], 18};
        cells[i * COLUMNS + 2] = i % 3 ? (struct fengni_cell){NULL, 0} : (struct fengni_cell){"", 0};
    }
}

struct acknowledged {
    size_t rows, calls;
    uint64_t last;
};
static void acknowledge(void *context, size_t first, size_t count, const uint64_t *ids)
{
    struct acknowledged *a = context;
    assert_int_equal(first, a->rows);
    assert_true(count <= 256);
    for (size_t i = 0; i < count; i++) assert_int_equal(ids[i], ++a->last);
    a->rows += count;
    a->calls++;
}

static int check_row(void *context, uint64_t id, uint64_t version, int result, const struct fengni_cell *row)
{
    size_t i = (size_t)id - 1;
    assert_int_equal(result, 0);
    assert_int_equal(version, 1);
    assert_int_equal(row[1].n, 18);
    assert_memory_equal(row[1].text, text[i][1], 18);
    assert_int_equal(row[2].text == NULL, i % 3 != 0);
    return ++*(size_t *)context == 900 ? 77 : 0;
}

static void find(void *context, const struct fengni_finding *f)
{
    *(struct fengni_finding *)context = *f;
}

static void tamper(const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(database + strlen("sqlite:"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void whole_life(void **state)
{
    struct fengni_data *data;
    struct fengni_table *table;
    struct fengni_table_options o = {.columns = columns, .column_count = COLUMNS, .anchor_every_ms = 20};
    struct fengni_verdict v;
    struct fengni_finding f = {0};
    struct acknowledged a = {0};
    const struct fengni_column *got;
    size_t rows = 0;
    int wait_ms;
    (void)state;
    make_cells();
    assert_int_equal(fengni_data_open(&data, database, socket_path), 0);
    assert_int_equal(fengni_table_open(data, "none", NULL, &table), 6);
    assert_non_null(strstr(fengni_data_failure(), "not found"));
    assert_int_equal(fengni_table_open(data, "cases", &o, &table), 0);
    assert_int_equal(fengni_table_columns(table, &got), COLUMNS);
    assert_string_equal(got[1].name, "id_card");
    assert_int_equal(fengni_table_insert(table, ROWS, cells, acknowledge, &a), 0);
    assert_int_equal(a.rows, ROWS);
    assert_int_equal(a.calls, 4);
    assert_int_equal(fengni_table_idle(table, &wait_ms), 0);
    if (wait_ms > 0) {
        usleep((unsigned)wait_ms * 1000 + 1000);
        assert_int_equal(fengni_table_idle(table, &wait_ms), 0);
    }
    assert_int_equal(wait_ms, -1);
    assert_int_equal(fengni_table_verify(table, NULL, NULL, &v), 0);
    assert_int_equal(v.counter, v.anchored);
    assert_int_equal(v.rows, ROWS);
    assert_int_equal(fengni_table_read(table, 0, UINT64_MAX, check_row, &rows), 77);
    assert_int_equal(rows, 900);

    /* What is not UTF-8 or too long is refused, nothing of its transaction is written. */
    struct fengni_cell bad[COLUMNS] = {{"x", 1}, {"\xff", 1}, {NULL, 0}};
    assert_int_equal(fengni_table_insert(table, 1, bad, NULL, NULL), 201);
    bad[1] = (struct fengni_cell){"a\0b", 3};
    assert_int_equal(fengni_table_insert(table, 1, bad, NULL, NULL), 201);
    char *large = calloc(1, 1000001);
    memset(large, 'a', 1000001);
    bad[1] = (struct fengni_cell){large, 1000001};
    assert_int_equal(fengni_table_insert(table, 1, bad, NULL, NULL), 4);
    bad[1].n = 1000000;
    assert_int_equal(fengni_table_insert(table, 1, bad, NULL, NULL), 0);
    free(large);
    assert_int_equal(fengni_table_update(table, 5, cells), 0);
    assert_int_equal(fengni_table_delete(table, 6), 0);
    assert_int_equal(fengni_table_update(table, 6, cells), 6);
    assert_int_equal(fengni_table_close(table), 0);

    struct fengni_table_options reading = {.read_only = 1};
    assert_int_equal(fengni_table_open(data, "cases", &reading, &table), 0);
    assert_int_equal(fengni_table_insert(table, 1, cells, NULL, NULL), 302);
    assert_int_equal(fengni_table_verify(table, NULL, NULL, &v), 0);
    assert_int_equal(v.rows, ROWS);
    tamper("UPDATE cases SET case_no = 'other' WHERE fn_row = 17");
    assert_int_equal(fengni_table_verify(table, find, &f, &v), 600);
    assert_int_equal(f.id, 17);
    assert_int_equal(f.last, 256);
    assert_int_equal(fengni_table_close(table), 0);
    fengni_data_close(data);
}

static void device_restarts_between_calls(void **state)
{
    struct fengni_data *data;
    struct fengni_table *table;
    struct fengni_table_options o = {.columns = columns, .column_count = COLUMNS};
    struct fengni_verdict v;
    (void)state;
    make_cells();
    assert_int_equal(fengni_data_open(&data, database, socket_path), 0);
    assert_int_equal(fengni_table_open(data, "more", &o, &table), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fengni_table_insert(table, 300, cells, NULL, NULL), 0);
        kill(device, SIGKILL);
        waitpid(device, NULL, 0);
        start_device();
    }
    assert_int_equal(fengni_table_verify(table, NULL, NULL, &v), 0);
    assert_int_equal(v.rows, 900);
    assert_int_equal(fengni_table_close(table), 0);
    fengni_data_close(data);
}

/* Requests of several hundred kilobytes, many of them under way: more than socket buffers and the device's
 * turns hold. */
static void much_at_once(void **state)
{
    enum { WIDE = 8, MANY = 10000 };
    static struct fengni_column wide[WIDE];
    static char names[WIDE][8];
    struct fengni_cell *many = calloc(MANY * WIDE, sizeof *many);
    struct fengni_data *data;
    struct fengni_table *table;
    struct fengni_verdict v;
    (void)state;
    assert_non_null(many);
    for (size_t i = 0; i < WIDE; i++) {
        snprintf(names[i], sizeof names[i], "c%zu", i);
        wide[i] = (struct fengni_column){names[i], FENGNI_COLUMN_PROTECTED};
    }
    for (size_t i = 0; i < MANY * WIDE; i++)
        many[i] = (struct fengni_cell){"0123456789abcdefghijklmnopqrstuvwxyz0123", 40};
    struct fengni_table_options o = {.columns = wide, .column_count = WIDE};
    assert_int_equal(fengni_data_open(&data, database, socket_path), 0);
    assert_int_equal(fengni_table_open(data, "wide", &o, &table), 0);
    assert_int_equal(fengni_table_insert(table, MANY, many, NULL, NULL), 0);
    assert_int_equal(fengni_table_verify(table, NULL, NULL, &v), 0);
    assert_int_equal(v.rows, MANY);
    assert_int_equal(fengni_table_close(table), 0);
    fengni_data_close(data);
    free(many);
}

static void sealed_file_is_loaded(void **state)
{
    struct fengni_data *data;
    uint8_t *content;
    size_t n;
    const char *bin = getenv("FENGNI_BIN");
    (void)state;
    assert_int_equal(shell("echo 'allow: clerk' > %s", file_path, ""), 0);
    assert_int_equal(shell("%s/fengni data seal-file %s >/dev/null", bin, file_path), 0);
    assert_int_equal(fengni_data_open(&data, database, socket_path), 0);
    assert_int_equal(fengni_file_load(data, file_path, NULL, &content, &n), 0);
    assert_int_equal(n, 13);
    assert_memory_equal(content, "allow: clerk\n", 13);
    fengni_data_free(content);
    assert_int_equal(shell("echo 'allow: all' > %s", file_path, ""), 0);
    assert_int_equal(fengni_file_load(data, file_path, NULL, &content, &n), 307);
    assert_null(content);
    fengni_data_close(data);
}

static void no_device(void **state)
{
    struct fengni_data *data;
    (void)state;
    assert_int_equal(fengni_data_open(&data, database, "/nonexistent/socket"), 309);
    assert_null(data);
    assert_non_null(strstr(fengni_data_failure(), "309"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_life), cmocka_unit_test(device_restarts_between_calls),
        cmocka_unit_test(much_at_once), cmocka_unit_test(sealed_file_is_loaded), cmocka_unit_test(no_device)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
