/* Opening, making and closing a protected table; its anchor. */
#include "data/table.h"

#include "base/sys/file.h"
#include "base/sys/now.h"
#include <string.h>
#include <strings.h>

#define ANCHOR_EVERY_MS 500
#define WRITERS_MOST    64u

static void statement_end(struct fn_statement **s)
{
    fn_statement_free(*s);
}
#define SCOPED_STATEMENT __attribute__((cleanup(statement_end)))

/* The affinity rules of SQLite: text put into a numeric column comes back as a number, over which the MAC was
 * not made. */
static bool keeps_text(const char *type)
{
    static const char *const text[] = {"char", "clob", "text", "blob"};
    char lower[64];
    size_t n = 0;
    for (; type[n] && n + 1 < sizeof lower; n++)
        lower[n] = (char)(type[n] >= 'A' && type[n] <= 'Z' ? type[n] + 32 : type[n]);
    lower[n] = 0;
    if (!n) return true;
    if (strstr(lower, "int")) return false;
    for (size_t i = 0; i < FN_COUNT(text); i++)
        if (strstr(lower, text[i])) return true;
    return false;
}

static fn_err check_types(struct fn_data_table *t)
{
    SCOPED_STATEMENT struct fn_statement *s = NULL;
    FN_TRY(fn_store_prepare(t->store, "SELECT name, type FROM pragma_table_info(?1)", &s));
    struct fn_value name = fn_value_text(t->def.name, strlen(t->def.name));
    FN_TRY(fn_statement_bind(s, 1, &name));
    for (bool row;;) {
        FN_TRY(fn_statement_step(s, &row));
        if (!row) return FN_OK;
        const char *column = (const char *)fn_statement_value(s, 0).bytes.p;
        for (size_t i = 0; i < t->def.count; i++) {
            if (strcasecmp(column, t->def.columns[i].name) || t->def.columns[i].role == FN_COLUMN_CLEAR)
                continue;
            const char *type = (const char *)fn_statement_value(s, 1).bytes.p;
            if (!keeps_text(type))
                return FN_FAIL(FN_E_COLUMN,
                               "\"%s\" of table %s has type %s: make it TEXT or leave it uncovered", column,
                               t->def.name, type);
        }
    }
}

fn_err fn_data_table_select(struct fn_data_table *t, const char *where, struct fn_statement **rows)
{
    FN_SCOPED_BUF struct fn_buf sql = fn_buf_heap();
    FN_TRY(fn_buf_text(&sql, "SELECT "));
    for (size_t i = 0; i < t->def.count; i++) {
        /* A clear column may be of any type: its numbers are read as text. */
        bool clear = t->def.columns[i].role == FN_COLUMN_CLEAR;
        if (clear) FN_TRY(fn_buf_text(&sql, "CASE typeof("));
        FN_TRY(fn_sql_name(&sql, t->def.columns[i].name));
        if (clear) {
            FN_TRY(fn_buf_text(&sql, ") WHEN 'blob' THEN NULL ELSE CAST("));
            FN_TRY(fn_sql_name(&sql, t->def.columns[i].name));
            FN_TRY(fn_buf_text(&sql, " AS TEXT) END"));
        }
        FN_TRY(fn_buf_text(&sql, ", "));
    }
    FN_TRY(fn_buf_text(&sql, "fn_row, fn_version, fn_mac FROM "));
    FN_TRY(fn_sql_name(&sql, t->def.name));
    FN_TRY(fn_buf_text(&sql, where));
    FN_TRY(fn_buf_u8(&sql, 0));
    return fn_store_prepare(t->store, (const char *)sql.p, rows);
}

/* The customer's table: made by us, or there already with our columns and without rows. */
static fn_err make_rows_table(struct fn_data_table *t)
{
    if (fn_store_table_exists(t->store, t->def.name)) {
        SCOPED_STATEMENT struct fn_statement *s = NULL;
        bool row;
        FN_TRY(check_types(t));
        fn_err err = fn_data_table_select(t, " LIMIT 1", &s);
        if (err != FN_OK)
            return FN_WRAP(FN_E_COLUMN, "table %s: prepare it as `fengni data plan` prints", t->def.name);
        FN_TRY(fn_statement_step(s, &row));
        if (row)
            return FN_FAIL(FN_E_EXISTS, "table %s has rows that are not protected; protect into a new table",
                           t->def.name);
        return FN_OK;
    }
    FN_SCOPED_BUF struct fn_buf sql = fn_buf_heap();
    FN_TRY(fn_buf_text(&sql, "CREATE TABLE "));
    FN_TRY(fn_sql_name(&sql, t->def.name));
    FN_TRY(fn_buf_text(&sql, " ("));
    for (size_t i = 0; i < t->def.count; i++) {
        FN_TRY(fn_sql_name(&sql, t->def.columns[i].name));
        FN_TRY(fn_buf_text(&sql, " TEXT, "));
    }
    FN_TRY(
        fn_buf_text(&sql, "fn_row INTEGER PRIMARY KEY, fn_version INTEGER NOT NULL, fn_mac BLOB NOT NULL)"));
    FN_TRY(fn_buf_u8(&sql, 0));
    return fn_store_run(t->store, (const char *)sql.p);
}

static fn_err find_key(struct fn_data_table *t, const char *what, enum fn_data_key_kind kind,
                       struct fn_data_key *key)
{
    char label[FN_TABLE_NAME_MOST + 32];
    fn_format(label, sizeof label, "data/%s/%s", t->def.name, what);
    fn_err err = t->cipher->key(t->cipher->self, label, kind, true, key);
    return err == FN_OK ? FN_OK : FN_WRAP(err, "key %s", label);
}

/* Current versions of the keys that the definition names. */
static fn_err find_keys(struct fn_data_table *t, bool fresh)
{
    struct fn_data_key fields = {0}, mac = {0}, rows = {0};
    if (t->def.suite != FN_SUITE_NONE) FN_TRY(find_key(t, "fields", FN_DATA_KEY_STORAGE, &fields));
    if (t->def.suite == FN_SUITE_SM4_CBC_HMAC) FN_TRY(find_key(t, "fields-mac", FN_DATA_KEY_MAC, &mac));
    FN_TRY(find_key(t, "rows", FN_DATA_KEY_MAC, &rows));
    if (!fresh &&
        (memcmp(fields.uuid.b, t->def.fields.uuid.b, 16) ||
         memcmp(mac.uuid.b, t->def.fields_mac.uuid.b, 16) || memcmp(rows.uuid.b, t->def.rows.uuid.b, 16)))
        return FN_FAIL(FN_E_KEY_NOT_FOUND, "table %s was made with other keys of the same names",
                       t->def.name);
    t->def.fields = fields;
    t->def.fields_mac = mac;
    t->def.rows = rows;
    return FN_OK;
}

static fn_err first_head(struct fn_data_table *t)
{
    struct fn_head head;
    uint8_t mac[36];
    fn_manifest_free(&t->manifest);
    fn_manifest_start(&t->manifest, &t->def.uuid, t->writer);
    fn_manifest_next_head(&t->manifest, &head);
    FN_TRY(fn_head_mac(t, &head, mac));
    return fn_head_put(t, &head, mac);
}

static fn_err make_in_transaction(struct fn_data_table *t, bool table)
{
    if (table) {
        FN_TRY(make_rows_table(t));
        FN_TRY(fn_definition_store(&t->def, t->store, t->cipher));
    }
    return first_head(t);
}

static fn_err make(struct fn_data_table *t, bool table)
{
    FN_TRY(fn_store_begin(t->store));
    fn_err err = make_in_transaction(t, table);
    if (err == FN_OK) err = fn_store_commit(t->store);
    if (err != FN_OK) fn_store_rollback(t->store);
    return err;
}

static fn_err make_table(struct fn_data_table *t, const char *name, const struct fn_data_table_options *o)
{
    uint8_t random[16];
    fn_definition_free(&t->def);
    FN_TRY(fn_definition_make(&t->def, name, o->columns, o->count));
    if (t->def.protected_count) t->def.suite = o->suite == FN_SUITE_NONE ? FN_SUITE_SM4_GCM : o->suite;
    FN_TRY(find_keys(t, true));
    FN_TRY(t->cipher->random(t->cipher->self, random, sizeof random));
    fn_uuid_from_random(&t->def.uuid, random);
    return make(t, true);
}

static fn_err compare_columns(const struct fn_definition *def, const struct fn_data_table_options *o)
{
    if (!o->columns) return FN_OK;
    if (o->count != def->count)
        return FN_FAIL(FN_E_COLUMN, "table %s has %zu columns, %zu given", def->name, def->count, o->count);
    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->columns[i].name, def->columns[i].name) || o->columns[i].role != def->columns[i].role)
            return FN_FAIL(FN_E_COLUMN,
                           "column %zu of table %s is \"%s\" in another role or name (\"%s\" given)", i + 1,
                           def->name, def->columns[i].name, o->columns[i].name);
    return FN_OK;
}

/* The first writer number that no living process has. Numbers are taken without gaps, so that a verifier
 * finds them all. */
static fn_err take_writer(struct fn_data_table *t, const char *path)
{
    const struct fn_files *files = fn_files_real();
    if (!path) return FN_FAIL(FN_E_ARGUMENT, "writing needs the path of the database");
    for (t->writer = 0; t->writer < WRITERS_MOST; t->writer++) {
        FN_SCOPED_HEAP char *name = NULL;
        FN_TRY(fn_heap_format(&name, "%s-%s.w%u", path, t->def.name, t->writer));
        for (char *c = name + strlen(path); *c; c++)
            if (*c == '/') *c = '_';
        FN_TRY(files->open(files, name, FN_FILE_WRITE | FN_FILE_CREATE, 0600, &t->lock));
        fn_err err = files->lock(files, t->lock);
        if (err == FN_OK) return FN_OK;
        files->close(files, t->lock);
        t->lock = -1;
        if (err != FN_E_LOCKED) return err;
    }
    return FN_FAIL(FN_E_BUSY, "table %s already has %u writers", t->def.name, WRITERS_MOST);
}

static fn_err begin_writing(struct fn_data_table *t)
{
    struct fn_anchor anchor;
    struct fn_head last;
    FN_TRY(fn_anchor_read(t, t->writer, &anchor));
    fn_err err = fn_heads_check(t, t->writer, &anchor, &last);
    if (err == FN_E_NOT_FOUND && t->writer) {
        FN_TRY(make(t, false));
        err = fn_heads_check(t, t->writer, &anchor, &last);
    }
    FN_TRY(err);
    FN_TRY(fn_manifest_load_head(t, &last, &t->manifest));
    t->anchored = anchor.counter;
    t->issue = t->manifest.next;
    t->anchored_at_ms = fn_monotonic_ms();
    /* What a crash left without anchor gets it now, and a manifest just made its first. */
    return fn_data_table_anchor(t, true);
}

static fn_err open_table(struct fn_data_table *t, const char *path, const char *name,
                         const struct fn_data_table_options *o)
{
    if (!o->read_only) FN_TRY(fn_data_schema(t->store));
    fn_err err = fn_definition_load(&t->def, t->store, t->cipher, name);
    if (err == FN_E_NOT_FOUND && o->columns && !o->read_only) {
        err = make_table(t, name, o);
        if (err == FN_E_DATABASE || err == FN_E_EXISTS) {
            /* Two may make it at once: the second finds it made. */
            fn_definition_free(&t->def);
            if (fn_definition_load(&t->def, t->store, t->cipher, name) == FN_OK)
                err = FN_OK;
            else
                err = FN_WRAP(err, "table %s could not be made", name);
        }
    }
    FN_TRY(err);
    FN_TRY(compare_columns(&t->def, o));
    if (o->read_only) return FN_OK;
    FN_TRY(find_keys(t, false));
    FN_TRY(take_writer(t, path));
    t->writing = true;
    return begin_writing(t);
}

static void free_table(struct fn_data_table *t)
{
    const struct fn_files *files = fn_files_real();
    fn_data_ring_free(t);
    fn_statement_free(t->insert);
    fn_statement_free(t->top);
    fn_statement_free(t->add_head);
    fn_statement_free(t->drop_heads);
    fn_statement_free(t->put_segment);
    fn_manifest_free(&t->manifest);
    fn_definition_free(&t->def);
    if (t->lock >= 0) files->close(files, t->lock);
    free(t);
}

fn_err fn_data_table_open(struct fn_data_table **table, struct fn_store *store, const char *path,
                          const struct fn_cipher *cipher, const char *name,
                          const struct fn_data_table_options *options)
{
    struct fn_data_table *t;
    *table = NULL;
    FN_TRY(fn_heap_array(&t, 1, sizeof *t));
    t->store = store;
    t->cipher = cipher;
    t->lock = -1;
    t->anchor_every_ms = options->anchor_every_ms ? options->anchor_every_ms : ANCHOR_EVERY_MS;
    fn_err err = open_table(t, path, name, options);
    if (err != FN_OK)
        free_table(t);
    else
        *table = t;
    return err;
}

/* Counter and digest in memory are those of the last commit, even when the segments there are not. */
fn_err fn_data_table_anchor(struct fn_data_table *t, bool now)
{
    char name[FN_ANCHOR_NAME];
    uint64_t stands = t->anchored, top;
    if (!t->writing || t->manifest.counter <= t->anchored) return FN_OK;
    if (!now && t->anchor_every_ms > 1 && fn_monotonic_ms() - t->anchored_at_ms < (int64_t)t->anchor_every_ms)
        return FN_OK;
    fn_anchor_name(name, &t->def.uuid, t->writer);
    FN_TRY(fn_cipher_anchor(t->cipher, name, &stands, t->manifest.counter, t->manifest.head_digest));
    if (stands > t->manifest.counter) {
        FN_TRY(fn_heads_top(t, t->writer, &top));
        if (top < stands) return FN_FAIL(FN_E_TABLE_OLD, "the database was put back while it was in use");
    }
    t->anchored = stands;
    t->anchored_at_ms = fn_monotonic_ms();
    return FN_OK;
}

fn_err fn_data_table_close(struct fn_data_table *t)
{
    if (!t) return FN_OK;
    fn_err err = fn_data_table_anchor(t, true);
    free_table(t);
    return err;
}
