#include "base/sys/store.h"

#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#define BUSY_TIMEOUT_MS 5000

struct fn_store {
    sqlite3 *db;
    char *path;
};

struct fn_statement {
    sqlite3_stmt *stmt;
    struct fn_store *store;
};

/* A full or read-only disk below SQLite shows as a general I/O error whose errno tells more. */
static fn_err number_of(sqlite3 *db, int code)
{
    int number = db ? sqlite3_system_errno(db) : 0;
    switch (code & 0xff) {
    case SQLITE_FULL:
        return FN_E_DISK_FULL;
    case SQLITE_READONLY:
        return FN_E_READ_ONLY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return FN_E_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return FN_E_CORRUPT;
    case SQLITE_NOMEM:
        return FN_E_NO_MEMORY;
    case SQLITE_IOERR:
        return number == ENOSPC || number == EDQUOT || number == EROFS ? fn_os_err(number) : FN_E_IO;
    case SQLITE_CANTOPEN:
        return number == EROFS || number == ENOENT || number == EACCES || number == ENOSPC ? fn_os_err(number)
                                                                                           : FN_E_IO;
    default:
        return FN_E_DATABASE;
    }
}

#define FAIL_DB(store, code, ...) fail_db((store), (code), __LINE__, __VA_ARGS__)
static fn_err __attribute__((format(printf, 4, 5), cold))
fail_db(struct fn_store *store, int code, int line, const char *format, ...)
{
    char what[FN_ERR_DETAIL];
    va_list args;
    va_start(args, format);
    fn_format_v(what, sizeof what, format, args);
    va_end(args);
    const char *words = store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
    return fn_err_fail(number_of(store->db, code), __FILE__, line, "%s: %s (%d)", what, words, code);
}

/* Turning to WAL needs the file for itself for a moment, and SQLite does not wait for that: two processes
 * that open a new store at once would be in each other's way. */
static fn_err use_wal(struct fn_store *store)
{
    int64_t until = fn_monotonic_ms() + BUSY_TIMEOUT_MS;
    for (;;) {
        fn_err err = fn_store_run(store, "PRAGMA journal_mode = WAL");
        if (err != FN_E_BUSY || fn_monotonic_ms() >= until) return err;
        usleep(5000);
    }
}

/* Settings that a database file cannot change back: what the file's schema says is data, never a program. */
static fn_err configure(struct fn_store *store)
{
    static const struct {
        int option, value;
    } settings[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},       {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},  {SQLITE_DBCONFIG_ENABLE_FKEY, 1},

        {SQLITE_DBCONFIG_DQS_DDL, 0},         {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0},
    };
    for (size_t i = 0; i < FN_COUNT(settings); i++) {
        int now, code = sqlite3_db_config(store->db, settings[i].option, settings[i].value, &now);
        if (code != SQLITE_OK || now != settings[i].value)
            return FN_FAIL(FN_E_DATABASE, "setting %d of SQLite refused", settings[i].option);
    }
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    /* WAL is refused on read-only media; reading goes on there, and writing fails with its own error. */
    FN_TRY(use_wal(store));
    FN_TRY(fn_store_run(store, "PRAGMA synchronous = FULL"));
    FN_TRY(fn_store_run(store, "PRAGMA cell_size_check = ON"));
    return fn_store_run(store, "SELECT count(*) FROM sqlite_master");
}

static fn_err open_sqlite(struct fn_store *store, const char *path, bool create)
{
    if (!create && access(path, F_OK)) return FN_FAIL_OS("%s", path);
    FN_TRY(fn_heap_text(&store->path, path, strlen(path)));
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    int code = sqlite3_open_v2(path, &store->db, flags, NULL);
    if (code != SQLITE_OK) return FAIL_DB(store, code, "%s", path);
    fn_err err = configure(store);
    if (err != FN_OK) return FN_WRAP(err, "%s", path);
    return FN_OK;
}

fn_err fn_store_open(struct fn_store **store, const char *url, bool create)
{
    static const char sqlite[] = "sqlite:";
    *store = NULL;
    if (strncmp(url, sqlite, sizeof sqlite - 1))
        return FN_FAIL(FN_E_UNSUPPORTED, "store \"%s\": only sqlite:PATH is known", url);
    if (!url[sizeof sqlite - 1]) return FN_FAIL(FN_E_ARGUMENT, "store \"%s\" without a path", url);
    struct fn_store *fresh;
    FN_TRY(fn_heap_array(&fresh, 1, sizeof *fresh));
    fn_err err = open_sqlite(fresh, url + sizeof sqlite - 1, create);
    if (err != FN_OK) {
        fn_store_close(fresh);
        return err;
    }
    *store = fresh;
    return FN_OK;
}

void fn_store_close(struct fn_store *store)
{
    if (!store) return;
    sqlite3_close_v2(store->db);
    free(store->path);
    free(store);
}

fn_err fn_store_prepare(struct fn_store *store, const char *sql, struct fn_statement **statement)
{
    *statement = NULL;
    sqlite3_stmt *stmt = NULL;
    const char *rest = NULL;
    int code = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, &rest);
    if (code != SQLITE_OK) return FAIL_DB(store, code, "%.*s", 80, sql);
    struct fn_statement *fresh = NULL;
    fn_err err = FN_OK;
    if (!stmt || rest[strspn(rest, " \t\r\n;")])
        err = FN_FAIL(FN_E_ARGUMENT, "not one SQL statement: %.*s", 80, sql);
    else
        err = fn_heap_array(&fresh, 1, sizeof *fresh);
    if (err != FN_OK) {
        sqlite3_finalize(stmt);
        return err;
    }
    *fresh = (struct fn_statement){stmt, store};
    *statement = fresh;
    return FN_OK;
}

void fn_statement_free(struct fn_statement *statement)
{
    if (!statement) return;
    sqlite3_finalize(statement->stmt);
    free(statement);
}

static int bind_one(sqlite3_stmt *stmt, int at, const struct fn_value *v, sqlite3_destructor_type lifetime)
{
    /* A NULL pointer would bind NULL instead of an empty value. */
    const void *p = v->bytes.p ? (const void *)v->bytes.p : "";
    switch (v->kind) {
    case FN_VALUE_NULL:
        return sqlite3_bind_null(stmt, at);
    case FN_VALUE_INTEGER:
        return sqlite3_bind_int64(stmt, at, v->integer);
    case FN_VALUE_REAL:
        return sqlite3_bind_double(stmt, at, v->real);
    case FN_VALUE_TEXT:
        return sqlite3_bind_text64(stmt, at, p, v->bytes.n, lifetime, SQLITE_UTF8);
    case FN_VALUE_BLOB:
        return sqlite3_bind_blob64(stmt, at, p, v->bytes.n, lifetime);
    }
    return SQLITE_MISUSE;
}

static fn_err bind_all(struct fn_statement *s, size_t count, const struct fn_value *values,
                       sqlite3_destructor_type lifetime)
{
    int wanted = sqlite3_bind_parameter_count(s->stmt);
    if (count != (size_t)wanted)
        return FN_FAIL(FN_E_ARGUMENT, "%zu values for %d parameters of %.*s", count, wanted, 60,
                       sqlite3_sql(s->stmt));
    sqlite3_reset(s->stmt);
    for (size_t i = 0; i < count; i++) {
        int code = bind_one(s->stmt, (int)i + 1, &values[i], lifetime);
        if (code != SQLITE_OK)
            return FAIL_DB(s->store, code, "value %zu of %.*s", i + 1, 60, sqlite3_sql(s->stmt));
    }
    return FN_OK;
}

fn_err fn_statement_bind(struct fn_statement *statement, size_t count, const struct fn_value *values)
{
    return bind_all(statement, count, values, SQLITE_TRANSIENT);
}

fn_err fn_statement_step(struct fn_statement *statement, bool *row)
{
    int code = sqlite3_step(statement->stmt);
    *row = code == SQLITE_ROW;
    if (*row) return FN_OK;
    if (code == SQLITE_DONE) {
        sqlite3_reset(statement->stmt);
        return FN_OK;
    }
    fn_err err = FAIL_DB(statement->store, code, "%.*s", 80, sqlite3_sql(statement->stmt));
    sqlite3_reset(statement->stmt);
    return err;
}

size_t fn_statement_columns(const struct fn_statement *statement)
{
    return (size_t)sqlite3_column_count(statement->stmt);
}

const char *fn_statement_column_name(const struct fn_statement *statement, size_t column)
{
    return sqlite3_column_name(statement->stmt, (int)column);
}

struct fn_value fn_statement_value(const struct fn_statement *statement, size_t column)
{
    sqlite3_stmt *stmt = statement->stmt;
    int at = (int)column;
    switch (sqlite3_column_type(stmt, at)) {
    case SQLITE_INTEGER:
        return fn_value_integer(sqlite3_column_int64(stmt, at));
    case SQLITE_FLOAT:
        return (struct fn_value){.kind = FN_VALUE_REAL, .real = sqlite3_column_double(stmt, at)};
    case SQLITE_TEXT: {
        const void *p = sqlite3_column_text(stmt, at);
        return fn_value_text(p, (size_t)sqlite3_column_bytes(stmt, at));
    }
    case SQLITE_BLOB: {
        const void *p = sqlite3_column_blob(stmt, at);
        return fn_value_blob(p, (size_t)sqlite3_column_bytes(stmt, at));
    }
    default:
        return fn_value_null();
    }
}

void fn_statement_reset(struct fn_statement *statement)
{
    sqlite3_reset(statement->stmt);
}

fn_err fn_statement_run(struct fn_statement *statement, size_t count, const struct fn_value *values)
{
    /* The values outlive this call but not the statement: borrowed now, unbound at the end. */
    FN_TRY(bind_all(statement, count, values, SQLITE_STATIC));
    bool row = true;
    fn_err err = FN_OK;
    while (err == FN_OK && row) err = fn_statement_step(statement, &row);
    sqlite3_clear_bindings(statement->stmt);
    return err;
}

fn_err fn_store_run(struct fn_store *store, const char *sql)
{
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    if (code != SQLITE_OK) return FAIL_DB(store, code, "%.*s", 80, sql);
    return FN_OK;
}

fn_err fn_store_begin(struct fn_store *store)
{
    return fn_store_run(store, "BEGIN IMMEDIATE");
}
fn_err fn_store_commit(struct fn_store *store)
{
    return fn_store_run(store, "COMMIT");
}

void fn_store_rollback(struct fn_store *store)
{
    /* Some failures have rolled back already. */
    if (!sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

int64_t fn_store_changes(const struct fn_store *store)
{
    return sqlite3_changes64(store->db);
}

bool fn_store_table_exists(struct fn_store *store, const char *table)
{
    struct fn_statement *s;
    struct fn_value name = fn_value_text(table, strlen(table));
    bool row = false;
    if (fn_store_prepare(store, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", &s) !=
        FN_OK)
        return false;
    if (fn_statement_bind(s, 1, &name) == FN_OK && fn_statement_step(s, &row) != FN_OK) row = false;
    fn_statement_free(s);
    return row;
}

/* Number of the last step applied for the room, 0 for none. */
static fn_err schema_number(struct fn_store *store, const char *room, int64_t *number)
{
    struct fn_statement *s;
    struct fn_value name = fn_value_text(room, strlen(room));
    FN_TRY(fn_store_prepare(store, "SELECT max(number) FROM fn_schema WHERE room = ?1", &s));
    bool row;
    fn_err err = fn_statement_bind(s, 1, &name);
    if (err == FN_OK) err = fn_statement_step(s, &row);
    if (err == FN_OK) *number = fn_statement_value(s, 0).integer;
    fn_statement_free(s);
    return err;
}

static fn_err apply_step(struct fn_store *store, const char *room, const struct fn_schema_step *step)
{
    int64_t now;
    FN_TRY(schema_number(store, room, &now));
    if (now >= step->number) return FN_OK; /* another process was faster */
    FN_TRY(fn_store_run(store, step->sql));
    struct fn_statement *s;
    FN_TRY(
        fn_store_prepare(store, "INSERT INTO fn_schema (room, number, applied_ms) VALUES (?1, ?2, ?3)", &s));
    struct fn_value values[] = {fn_value_text(room, strlen(room)), fn_value_integer(step->number),
                                fn_value_integer(fn_now_ms())};
    fn_err err = fn_statement_run(s, FN_COUNT(values), values);
    fn_statement_free(s);
    return err;
}

static fn_err upgrade_one(struct fn_store *store, const char *room, const struct fn_schema_step *step)
{
    FN_TRY(fn_store_begin(store));
    fn_err err = apply_step(store, room, step);
    if (err == FN_OK) err = fn_store_commit(store);
    if (err == FN_OK) return FN_OK;
    fn_store_rollback(store);
    return FN_WRAP(err, "schema step %d of %s", step->number, room);
}

fn_err fn_store_upgrade(struct fn_store *store, const char *room, const struct fn_schema_step *steps)
{
    static const char table[] =
        "CREATE TABLE IF NOT EXISTS fn_schema (room TEXT NOT NULL, number INTEGER NOT NULL, "
        "applied_ms INTEGER NOT NULL, PRIMARY KEY (room, number))";
    if (!fn_store_table_exists(store, "fn_schema")) FN_TRY(fn_store_run(store, table));
    int64_t have = 0, last = 0;
    FN_TRY(schema_number(store, room, &have));
    for (const struct fn_schema_step *step = steps; step && step->sql; step++) {
        if (step->number != last + 1)
            return FN_FAIL(FN_E_SCHEMA, "steps of %s: %d after %lld", room, step->number, (long long)last);
        last = step->number;
        if (step->number > have) FN_TRY(upgrade_one(store, room, step));
    }
    if (have > last)
        return FN_FAIL(FN_E_SCHEMA, "%s: the database has step %lld of %s, this program knows %lld",
                       store->path, (long long)have, room, (long long)last);
    return FN_OK;
}
