/* The one store: SQLite now, PostgreSQL by the same interface later. Plain SQL common to both; parameters are ?1, ?2, …;
 * times are integer milliseconds UTC, bytes are BLOB, identifiers TEXT. One handle belongs to one thread. */
#ifndef FN_BASE_SYS_STORE_H
#define FN_BASE_SYS_STORE_H

#include "base/core/bytes.h"

/* One step of a room's schema. Steps are applied in order, each once, each in its own transaction. */
struct fn_schema_step {
    int number; /* 1, 2, … within the room */
    const char *sql;
};

struct fn_store;
/* URL: "sqlite:PATH". `create` makes the file when absent. Opens in WAL mode, synchronous=FULL, foreign keys on. */
fn_err fn_store_open(struct fn_store **store, const char *url, bool create);
void fn_store_close(struct fn_store *store);
fn_err fn_store_upgrade(struct fn_store *store, const char *room, const struct fn_schema_step *steps);

/* A value on its way in or out. TEXT and BLOB out are borrowed until the next step of the statement. */
enum fn_value_kind { FN_VALUE_NULL, FN_VALUE_INTEGER, FN_VALUE_REAL, FN_VALUE_TEXT, FN_VALUE_BLOB };
struct fn_value {
    enum fn_value_kind kind;
    int64_t integer;
    double real;
    struct fn_bytes bytes;
};
static inline struct fn_value fn_value_null(void) { return (struct fn_value){.kind = FN_VALUE_NULL}; }
static inline struct fn_value fn_value_integer(int64_t v) { return (struct fn_value){.kind = FN_VALUE_INTEGER, .integer = v}; }
static inline struct fn_value fn_value_text(const char *p, size_t n)
{
    return (struct fn_value){.kind = FN_VALUE_TEXT, .bytes = {(const uint8_t *)p, n}};
}
static inline struct fn_value fn_value_blob(const void *p, size_t n)
{
    return (struct fn_value){.kind = FN_VALUE_BLOB, .bytes = {p, n}};
}

struct fn_statement;
/* Prepared once, run many times. Errors: FN_E_DATABASE with the engine's words; FN_E_DISK_FULL, FN_E_READ_ONLY, FN_E_BUSY,
 * FN_E_CORRUPT recognised. */
fn_err fn_store_prepare(struct fn_store *store, const char *sql, struct fn_statement **statement);
void fn_statement_free(struct fn_statement *statement);
fn_err fn_statement_bind(struct fn_statement *statement, size_t count, const struct fn_value *values);
/* One row: *row tells whether there was one. After the last row the statement is reset. */
fn_err fn_statement_step(struct fn_statement *statement, bool *row);
size_t fn_statement_columns(const struct fn_statement *statement);
const char *fn_statement_column_name(const struct fn_statement *statement, size_t column);
struct fn_value fn_statement_value(const struct fn_statement *statement, size_t column);
void fn_statement_reset(struct fn_statement *statement);
/* Bind, run to the end, ignore rows. */
fn_err fn_statement_run(struct fn_statement *statement, size_t count, const struct fn_value *values);
/* SQL without parameters or rows, may hold several statements. */
fn_err fn_store_run(struct fn_store *store, const char *sql);
fn_err fn_store_begin(struct fn_store *store); /* BEGIN IMMEDIATE */
fn_err fn_store_commit(struct fn_store *store);
void fn_store_rollback(struct fn_store *store);
int64_t fn_store_changes(const struct fn_store *store);
bool fn_store_table_exists(struct fn_store *store, const char *table);

#endif
