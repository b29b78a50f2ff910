/* What a protected table is: its columns, keys and suite, under a MAC. */
#include "data/table.h"
#include <string.h>

#define DEFINITION_MARK "fengni table 1"

const struct fn_schema_step fn_data_schema_steps[] = {
    {1,
     "CREATE TABLE fn_data_table (name TEXT PRIMARY KEY, uuid BLOB NOT NULL, suite INTEGER NOT NULL, "
     "field_key BLOB NOT NULL,"
     " field_mac_key BLOB NOT NULL, row_key BLOB NOT NULL, columns BLOB NOT NULL, mac BLOB NOT NULL);"
     "CREATE TABLE fn_data_segment (table_uuid BLOB NOT NULL, writer INTEGER NOT NULL, segment INTEGER NOT "
     "NULL,"
     " live INTEGER NOT NULL, bitmap BLOB NOT NULL, sum BLOB NOT NULL, PRIMARY KEY (table_uuid, writer, "
     "segment));"
     "CREATE TABLE fn_data_head (table_uuid BLOB NOT NULL, writer INTEGER NOT NULL, counter INTEGER NOT NULL,"
     " record BLOB NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (table_uuid, writer, counter));"
     "CREATE TABLE fn_data_import (table_uuid BLOB NOT NULL, source BLOB NOT NULL, position INTEGER NOT NULL,"
     " line INTEGER NOT NULL, row_count INTEGER NOT NULL, rejected INTEGER NOT NULL, reject_size INTEGER NOT "
     "NULL,"
     " finished INTEGER NOT NULL, PRIMARY KEY (table_uuid, source));"},
    {0, NULL}};

/* A database that is still empty gets pages that fit rows of ciphertext: fewer of them to write. */
static fn_err choose_pages(struct fn_store *store)
{
    struct fn_statement *s;
    bool row = false;
    FN_TRY(fn_store_prepare(store, "SELECT 1 FROM sqlite_master LIMIT 1", &s));
    fn_err err = fn_statement_step(s, &row);
    fn_statement_free(s);
    if (err != FN_OK || row) return err;
    /* The size can only change outside of WAL; another process may be ahead, then its choice stands. */
    if (fn_store_run(store, "PRAGMA journal_mode = DELETE; PRAGMA page_size = 16384; VACUUM") != FN_OK)
        fn_err_clear();
    return fn_store_run(store, "PRAGMA journal_mode = WAL");
}

fn_err fn_data_schema(struct fn_store *store)
{
    FN_TRY(choose_pages(store));
    return fn_store_upgrade(store, "data", fn_data_schema_steps);
}

void fn_definition_free(struct fn_definition *def)
{
    for (size_t i = 0; def->columns && i < def->count; i++) free((char *)def->columns[i].name);
    free(def->columns);
    free(def->name);
    memset(def, 0, sizeof *def);
}

fn_err fn_definition_column(const struct fn_definition *def, const char *name, size_t *at)
{
    for (*at = 0; *at < def->count; ++*at)
        if (!strcmp(def->columns[*at].name, name)) return FN_OK;
    return FN_FAIL(FN_E_COLUMN, "\"%s\" in table %s", name, def->name);
}

fn_err fn_sql_name(struct fn_buf *sql, const char *name)
{
    FN_TRY(fn_buf_u8(sql, '"'));
    for (; *name; name++) {
        if (*name == '"') FN_TRY(fn_buf_u8(sql, '"'));
        FN_TRY(fn_buf_u8(sql, (uint8_t)*name));
    }
    return fn_buf_u8(sql, '"');
}

/* u32 count ‖ { var name ‖ u8 role } */
static fn_err write_columns(struct fn_buf *out, const struct fn_definition *def)
{
    FN_TRY(fn_buf_u32(out, (uint32_t)def->count));
    for (size_t i = 0; i < def->count; i++) {
        FN_TRY(fn_buf_var(out, def->columns[i].name, strlen(def->columns[i].name)));
        FN_TRY(fn_buf_u8(out, (uint8_t)def->columns[i].role));
    }
    return FN_OK;
}

static fn_err check_name(const char *what, struct fn_bytes name)
{
    size_t bad;
    if (!name.n || name.n > FN_TABLE_NAME_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "name of a %s: 1 to %u bytes expected, %zu found", what,
                       FN_TABLE_NAME_MOST, name.n);
    if (!fn_utf8_valid(name, &bad) || memchr(name.p, 0, name.n))
        return FN_FAIL(FN_E_ENCODING, "name of a %s", what);
    if (name.n >= 3 && !strncasecmp((const char *)name.p, "fn_", 3))
        return FN_FAIL(FN_E_ARGUMENT, "name of a %s \"%.*s\": names beginning with fn_ are reserved", what,
                       (int)name.n, name.p);
    return FN_OK;
}

static fn_err add_column(struct fn_definition *def, struct fn_bytes name, unsigned role)
{
    char *copy;
    FN_TRY(check_name("column", name));
    if (role > FN_COLUMN_PROTECTED) return FN_FAIL(FN_E_CORRUPT, "column role %u", role);
    FN_TRY(fn_heap_text(&copy, (const char *)name.p, name.n));
    for (size_t i = 0; i < def->count; i++) {
        if (strcasecmp(def->columns[i].name, copy)) continue;
        free(copy);
        return FN_FAIL(FN_E_COLUMN, "column \"%.*s\" stands twice", (int)name.n, name.p);
    }
    def->columns[def->count++] = (struct fn_column){copy, role};
    def->protected_count += role == FN_COLUMN_PROTECTED;
    def->covered_count += role != FN_COLUMN_CLEAR;
    return FN_OK;
}

static fn_err read_columns(struct fn_definition *def, struct fn_bytes blob)
{
    struct fn_cur c = fn_cur(blob);
    uint32_t count;
    FN_TRY(fn_cur_u32(&c, &count));
    if (!count || count > FN_TABLE_COLUMNS_MOST) return FN_FAIL(FN_E_CORRUPT, "%u columns", count);
    FN_TRY(fn_heap_array(&def->columns, count, sizeof *def->columns));
    for (uint32_t i = 0; i < count; i++) {
        struct fn_bytes name;
        uint8_t role;
        FN_TRY(fn_cur_var(&c, FN_TABLE_NAME_MOST, &name));
        FN_TRY(fn_cur_u8(&c, &role));
        FN_TRY(add_column(def, name, role));
    }
    return fn_cur_end(&c);
}

fn_err fn_definition_make(struct fn_definition *def, const char *name, const struct fn_column *columns,
                          size_t count)
{
    memset(def, 0, sizeof *def);
    FN_TRY(check_name("table", fn_bytes(name, strlen(name))));
    FN_TRY(fn_heap_text(&def->name, name, strlen(name)));
    if (!count || count > FN_TABLE_COLUMNS_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "table %s: %zu columns, 1 to %u expected", name, count,
                       FN_TABLE_COLUMNS_MOST);
    FN_TRY(fn_heap_array(&def->columns, count, sizeof *def->columns));
    for (size_t i = 0; i < count; i++)
        FN_TRY(add_column(def, fn_bytes(columns[i].name, strlen(columns[i].name)), columns[i].role));
    if (!def->covered_count)
        return FN_FAIL(FN_E_ARGUMENT, "table %s: no column is protected or covered", name);
    return FN_OK;
}

static fn_err message(struct fn_buf *out, const struct fn_definition *def)
{
    FN_TRY(fn_buf_add(out, DEFINITION_MARK, sizeof DEFINITION_MARK));
    FN_TRY(fn_buf_var(out, def->name, strlen(def->name)));
    FN_TRY(fn_buf_add(out, def->uuid.b, 16));
    FN_TRY(fn_buf_u32(out, (uint32_t)def->suite));
    FN_TRY(fn_buf_add(out, def->fields.uuid.b, 16));
    FN_TRY(fn_buf_add(out, def->fields_mac.uuid.b, 16));
    FN_TRY(fn_buf_add(out, def->rows.uuid.b, 16));
    return write_columns(out, def);
}

static fn_err definition_mac(const struct fn_definition *def, const struct fn_cipher *cipher, uint8_t mac[32])
{
    FN_SCOPED_BUF struct fn_buf text = fn_buf_heap();
    FN_TRY(message(&text, def));
    return fn_cipher_mac(cipher, &def->rows, fn_buf_view(&text), mac);
}

fn_err fn_definition_store(const struct fn_definition *def, struct fn_store *store,
                           const struct fn_cipher *cipher)
{
    FN_SCOPED_BUF struct fn_buf columns = fn_buf_heap();
    uint8_t mac[36];
    struct fn_statement *s;
    FN_TRY(write_columns(&columns, def));
    fn_put_be32(mac, def->rows.version);
    FN_TRY(definition_mac(def, cipher, mac + 4));
    FN_TRY(fn_store_prepare(
        store,
        "INSERT INTO fn_data_table (name, uuid, suite, field_key, field_mac_key, row_key, columns, mac) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        &s));
    struct fn_value values[] = {fn_value_text(def->name, strlen(def->name)),
                                fn_value_blob(def->uuid.b, 16),
                                fn_value_integer(def->suite),
                                fn_value_blob(def->fields.uuid.b, 16),
                                fn_value_blob(def->fields_mac.uuid.b, 16),
                                fn_value_blob(def->rows.uuid.b, 16),
                                fn_value_blob(columns.p, columns.n),
                                fn_value_blob(mac, sizeof mac)};
    fn_err err = fn_statement_run(s, FN_COUNT(values), values);
    fn_statement_free(s);
    return err;
}

static fn_err take_uuid(struct fn_uuid *u, struct fn_value v)
{
    if (v.kind != FN_VALUE_BLOB || v.bytes.n != 16) return FN_FAIL(FN_E_CORRUPT, "definition of the table");
    memcpy(u->b, v.bytes.p, 16);
    return FN_OK;
}

static fn_err take_definition(struct fn_definition *def, struct fn_statement *s, uint8_t mac[36])
{
    struct fn_value suite = fn_statement_value(s, 1), columns = fn_statement_value(s, 5),
                    code = fn_statement_value(s, 6);
    FN_TRY(take_uuid(&def->uuid, fn_statement_value(s, 0)));
    FN_TRY(take_uuid(&def->fields.uuid, fn_statement_value(s, 2)));
    FN_TRY(take_uuid(&def->fields_mac.uuid, fn_statement_value(s, 3)));
    FN_TRY(take_uuid(&def->rows.uuid, fn_statement_value(s, 4)));
    if (suite.kind != FN_VALUE_INTEGER || suite.integer < 0 || suite.integer > FN_SUITE_SM4_CBC_HMAC ||
        columns.kind != FN_VALUE_BLOB || code.kind != FN_VALUE_BLOB || code.bytes.n != 36)
        return FN_FAIL(FN_E_CORRUPT, "definition of the table");
    def->suite = (enum fn_suite)suite.integer;
    memcpy(mac, code.bytes.p, 36);
    fn_err err = read_columns(def, columns.bytes);
    return err == FN_OK || err == FN_E_NO_MEMORY ? err : FN_WRAP(FN_E_CORRUPT, "definition of the table");
}

static fn_err read_definition(struct fn_definition *def, struct fn_store *store, const char *name,
                              uint8_t mac[36])
{
    struct fn_statement *s;
    struct fn_value key = fn_value_text(name, strlen(name));
    bool row = false;
    FN_TRY(fn_store_prepare(store,
                            "SELECT uuid, suite, field_key, field_mac_key, row_key, columns, mac FROM "
                            "fn_data_table WHERE name = ?1",
                            &s));
    fn_err err = fn_statement_bind(s, 1, &key);
    if (err == FN_OK) err = fn_statement_step(s, &row);
    if (err == FN_OK && !row) err = FN_FAIL(FN_E_NOT_FOUND, "protected table %s", name);
    if (err == FN_OK) err = take_definition(def, s, mac);
    fn_statement_free(s);
    return err;
}

fn_err fn_definition_load(struct fn_definition *def, struct fn_store *store, const struct fn_cipher *cipher,
                          const char *name)
{
    uint8_t mac[36], right[32];
    memset(def, 0, sizeof *def);
    if (!fn_store_table_exists(store, "fn_data_table"))
        return FN_FAIL(FN_E_NOT_FOUND, "protected table %s", name);
    FN_TRY(fn_heap_text(&def->name, name, strlen(name)));
    FN_TRY(read_definition(def, store, name, mac));
    def->rows.version = fn_get_be32(mac);
    FN_TRY(definition_mac(def, cipher, right));
    if (!fn_equal_ct(mac + 4, right, 32))
        return FN_FAIL(FN_E_CORRUPT, "definition of table %s was altered", name);
    return FN_OK;
}
