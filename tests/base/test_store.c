/* The store over SQLite: values, transactions, schema steps, and the bad days of a disk. */
#include "base/sys/heap.h"
#include "base/sys/store.h"
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char folder[] = "/tmp/fn-store-XXXXXX";
static char url[64];

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[80];
    fn_format(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct fn_store *open_fresh(const char *name)
{
    struct fn_store *store;
    fn_format(url, sizeof url, "sqlite:%s/%s", folder, name);
    assert_int_equal(fn_store_open(&store, url, true), FN_OK);
    return store;
}

static int64_t number_from(struct fn_store *store, const char *sql)
{
    struct fn_statement *s;
    bool row;
    assert_int_equal(fn_store_prepare(store, sql, &s), FN_OK);
    assert_int_equal(fn_statement_step(s, &row), FN_OK);
    assert_true(row);
    int64_t value = fn_statement_value(s, 0).integer;
    fn_statement_free(s);
    return value;
}

static void text_from(struct fn_store *store, const char *sql, char *out, size_t room)
{
    struct fn_statement *s;
    bool row;
    assert_int_equal(fn_store_prepare(store, sql, &s), FN_OK);
    assert_int_equal(fn_statement_step(s, &row), FN_OK);
    struct fn_value v = fn_statement_value(s, 0);
    fn_format(out, room, "%.*s", (int)v.bytes.n, (const char *)v.bytes.p);
    fn_statement_free(s);
}

static void values_come_back_as_they_went(void **state)
{
    (void)state;
    struct fn_store *store = open_fresh("values.db");
    assert_int_equal(fn_store_run(store, "CREATE TABLE t (a, b, c, d, e, f)"), FN_OK);
    struct fn_statement *s;
    assert_int_equal(fn_store_prepare(store, "INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5, ?6)", &s), FN_OK);
    struct fn_value in[] = {fn_value_null(),          fn_value_integer(INT64_MIN), fn_value_text("封泥", 6),
                            fn_value_blob("\0\1", 2), fn_value_text(NULL, 0),      fn_value_blob(NULL, 0)};
    assert_int_equal(fn_statement_run(s, 6, in), FN_OK);
    assert_int_equal(fn_store_changes(store), 1);
    assert_int_equal(fn_statement_run(s, 5, in), FN_E_ARGUMENT);
    fn_statement_free(s);
    assert_int_equal(fn_store_prepare(store, "SELECT a, b, c, d, e, f FROM t WHERE b = ?1", &s), FN_OK);
    assert_int_equal(fn_statement_columns(s), 6);
    assert_string_equal(fn_statement_column_name(s, 2), "c");
    assert_int_equal(fn_statement_bind(s, 1, &in[1]), FN_OK);
    bool row;
    assert_int_equal(fn_statement_step(s, &row), FN_OK);
    assert_true(row);
    for (size_t i = 0; i < 6; i++) {
        struct fn_value v = fn_statement_value(s, i);
        assert_int_equal(v.kind, in[i].kind);
        assert_int_equal(v.integer, in[i].integer);
        assert_true(fn_bytes_equal(v.bytes, in[i].bytes));
    }
    assert_int_equal(fn_statement_step(s, &row), FN_OK);
    assert_false(row);
    fn_statement_free(s);
    assert_true(fn_store_table_exists(store, "t"));
    assert_false(fn_store_table_exists(store, "u"));
    fn_store_close(store);
}

static void settings_are_strict(void **state)
{
    (void)state;
    struct fn_store *store = open_fresh("strict.db");
    char text[40];
    text_from(store, "PRAGMA journal_mode", text, sizeof text);
    assert_string_equal(text, "wal");
    assert_int_equal(number_from(store, "PRAGMA synchronous"), 2);
    assert_int_equal(number_from(store, "PRAGMA foreign_keys"), 1);
    assert_int_equal(number_from(store, "PRAGMA trusted_schema"), 0);
    assert_int_equal(fn_store_run(store, "SELECT load_extension('x.so')"), FN_E_DATABASE);
    assert_int_equal(fn_store_run(store, "CREATE TABLE q (a TEXT)"), FN_OK);
    assert_int_equal(fn_store_run(store, "INSERT INTO q VALUES (\"a word\")"), FN_E_DATABASE);
    assert_int_equal(fn_store_run(store, "PRAGMA writable_schema = ON; DELETE FROM sqlite_master"),
                     FN_E_DATABASE);
    struct fn_statement *s;
    assert_int_equal(fn_store_prepare(store, "SELECT 1; SELECT 2", &s), FN_E_ARGUMENT);
    assert_int_equal(fn_store_prepare(store, "SELECT no_column FROM q", &s), FN_E_DATABASE);
    const struct fn_err_cause *causes;
    assert_true(fn_err_chain(&causes) >= 1);
    assert_non_null(strstr(causes[0].detail, "no such column: no_column"));
    fn_store_close(store);
}

static void transactions_roll_back(void **state)
{
    (void)state;
    struct fn_store *store = open_fresh("transactions.db"), *other;
    assert_int_equal(fn_store_run(store, "CREATE TABLE t (a INTEGER PRIMARY KEY)"), FN_OK);
    assert_int_equal(fn_store_begin(store), FN_OK);
    assert_int_equal(fn_store_run(store, "INSERT INTO t VALUES (1)"), FN_OK);
    fn_store_rollback(store);
    fn_store_rollback(store);
    assert_int_equal(number_from(store, "SELECT count(*) FROM t"), 0);
    assert_int_equal(fn_store_begin(store), FN_OK);
    assert_int_equal(fn_store_open(&other, url, false), FN_OK);
    assert_int_equal(fn_store_run(other, "PRAGMA busy_timeout = 50"), FN_OK);
    assert_int_equal(fn_store_begin(other), FN_E_BUSY);
    assert_int_equal(fn_store_commit(store), FN_OK);
    assert_int_equal(fn_store_begin(other), FN_OK);
    fn_store_rollback(other);
    fn_store_close(other);
    fn_store_close(store);
}

static const struct fn_schema_step steps_one[] = {{1, "CREATE TABLE a (x INTEGER)"}, {0}};
static const struct fn_schema_step steps_two[] = {
    {1, "CREATE TABLE a (x INTEGER)"},
    {2, "ALTER TABLE a ADD COLUMN y TEXT; CREATE INDEX a_y ON a (y)"},
    {0}};
static const struct fn_schema_step steps_bad[] = {
    {1, "CREATE TABLE a (x INTEGER)"}, {2, "CREATE TABLE b (x INTEGER); CREATE TABLE nonsense"}, {0}};
static const struct fn_schema_step steps_gap[] = {{2, "CREATE TABLE a (x INTEGER)"}, {0}};

static void schema_steps_apply_once_and_whole(void **state)
{
    (void)state;
    struct fn_store *store = open_fresh("schema.db");
    assert_int_equal(fn_store_upgrade(store, "r", steps_one), FN_OK);
    assert_int_equal(fn_store_upgrade(store, "r", steps_one), FN_OK);
    assert_int_equal(fn_store_upgrade(store, "r", steps_bad), FN_E_DATABASE);
    assert_false(fn_store_table_exists(store, "b"));
    assert_int_equal(number_from(store, "SELECT max(number) FROM fn_schema WHERE room = 'r'"), 1);
    assert_int_equal(fn_store_upgrade(store, "r", steps_two), FN_OK);
    assert_int_equal(fn_store_run(store, "SELECT y FROM a"), FN_OK);
    assert_int_equal(fn_store_upgrade(store, "r", steps_one), FN_E_SCHEMA);
    assert_int_equal(fn_store_upgrade(store, "other", steps_gap), FN_E_SCHEMA);
    fn_store_close(store);
}

static void write_file(const char *path, const char *content)
{
    FN_SCOPED_FILE FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
}

static void bad_files_are_recognised(void **state)
{
    (void)state;
    struct fn_store *store;
    char path[80];
    assert_int_equal(fn_store_open(&store, "postgresql://x", true), FN_E_UNSUPPORTED);
    assert_int_equal(fn_store_open(&store, "sqlite:", true), FN_E_ARGUMENT);
    fn_format(url, sizeof url, "sqlite:%s/absent.db", folder);
    assert_int_equal(fn_store_open(&store, url, false), FN_E_NOT_FOUND);
    assert_null(store);
    fn_format(url, sizeof url, "sqlite:%s/no/such/folder.db", folder);
    assert_int_equal(fn_store_open(&store, url, true), FN_E_NOT_FOUND);
    fn_format(path, sizeof path, "%s/text.db", folder);
    char junk[2000];
    memset(junk, 'x', sizeof junk - 1);
    junk[sizeof junk - 1] = 0;
    write_file(path, junk);
    fn_format(url, sizeof url, "sqlite:%s", path);
    assert_int_equal(fn_store_open(&store, url, false), FN_E_CORRUPT);
}

/* Runs in a mount namespace of its own: a small disk that fills, then the same read-only. */
static int small_disk(void)
{
    char path[80];
    fn_format(path, sizeof path, "%s/small", folder);
    if (mkdir(path, 0700) || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", path, "tmpfs", 0, "size=512k"))
        return 77;
    struct fn_store *store;
    fn_format(url, sizeof url, "sqlite:%s/d.db", path);
    if (fn_store_open(&store, url, true) != FN_OK) return 1;
    if (fn_store_run(store, "CREATE TABLE t (a BLOB)") != FN_OK) return 2;
    if (fn_store_run(store, "INSERT INTO t VALUES (randomblob(10000))") != FN_OK) return 3;
    fn_err err = FN_OK;
    for (int i = 0; i < 100 && err == FN_OK; i++)
        err = fn_store_run(store, "INSERT INTO t VALUES (randomblob(50000))");
    if (err != FN_E_DISK_FULL) return 4;
    int64_t rows = number_from(store, "SELECT count(*) FROM t");
    if (rows < 1) return 5;
    fn_store_close(store);
    if (mount("none", path, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=512k")) return 6;
    err = fn_store_open(&store, url, false);
    if (err == FN_OK) err = fn_store_run(store, "INSERT INTO t VALUES (1)");
    return err == FN_E_READ_ONLY ? 0 : 7;
}

static void full_and_read_only_disks_are_recognised(void **state)
{
    (void)state;
    if (geteuid() != 0) skip();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(small_disk());
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Processes that open the same new file at the same moment wait for one another. Without that about one in a
 * hundred is refused, so that this shows it in most runs. */
static void many_open_a_new_store_at_once(void **state)
{
    (void)state;
    enum { ROUNDS = 60, PROCESSES = 8 };
    for (int round = 0; round < ROUNDS; round++) {
        int start[2], status;
        char c;
        fn_format(url, sizeof url, "sqlite:%s/many%d.db", folder, round);
        assert_int_equal(pipe(start), 0);
        for (int i = 0; i < PROCESSES; i++) {
            pid_t pid = fork();
            assert_true(pid >= 0);
            if (pid > 0) continue;
            struct fn_store *store;
            close(start[1]);
            if (read(start[0], &c, 1) != 0) _exit(2);
            _exit(fn_store_open(&store, url, true) == FN_OK ? 0 : 1);
        }
        close(start[0]);
        close(start[1]);
        for (int i = 0; i < PROCESSES; i++) {
            assert_true(wait(&status) > 0);
            assert_int_equal(status, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_went),
        cmocka_unit_test(settings_are_strict),
        cmocka_unit_test(transactions_roll_back),
        cmocka_unit_test(many_open_a_new_store_at_once),
        cmocka_unit_test(schema_steps_apply_once_and_whole),
        cmocka_unit_test(bad_files_are_recognised),
        cmocka_unit_test(full_and_read_only_disks_are_recognised),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
