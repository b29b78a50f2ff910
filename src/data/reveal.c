/* `fengni data reveal`: rows for people. Masked, unless a credential and a reason are given; then the log
 * comes first. */
#include "base/sys/json.h"
#include "data/csv.h"
#include "data/data_cli.h"
#include "data/mask.h"
#include <stdio.h>
#include <string.h>

enum form { FORM_TABLE, FORM_CSV, FORM_JSON };

struct view {
    const struct fn_call *call;
    const struct fn_definition *def;
    enum form form;
    bool clear;
    size_t show[FN_TABLE_COLUMNS_MOST], shown_columns;
    size_t where; /* column of --where, or SIZE_MAX */
    struct fn_bytes value;
    int64_t limit, shown, bad;
    fn_err failure;
    struct fn_data_table *table;
    struct fn_buf line;
};

static fn_err put_cell(struct view *v, struct fn_buf *out, size_t column, struct fn_bytes cell)
{
    if (v->clear || v->def->columns[column].role != FN_COLUMN_PROTECTED)
        return fn_buf_add(out, cell.p, cell.n);
    return fn_mask(out, v->def->columns[column].name, cell);
}

static fn_err csv_row(struct view *v, uint64_t id, const struct fn_bytes *cells)
{
    FN_SCOPED_BUF struct fn_buf cell = fn_buf_heap();
    v->line.n = 0;
    FN_TRY(fn_buf_format(&v->line, "%llu", (unsigned long long)id));
    for (size_t i = 0; i < v->shown_columns; i++) {
        cell.n = 0;
        FN_TRY(put_cell(v, &cell, v->show[i], cells[v->show[i]]));
        FN_TRY(fn_csv_field(&v->line, fn_buf_view(&cell), false));
    }
    return fn_data_print(&v->line);
}

static fn_err json_row(struct view *v, uint64_t id, const struct fn_bytes *cells)
{
    FN_SCOPED_BUF struct fn_buf cell = fn_buf_heap();
    v->line.n = 0;
    FN_TRY(fn_buf_format(&v->line, "{\"fn_row\":%llu", (unsigned long long)id));
    for (size_t i = 0; i < v->shown_columns; i++) {
        size_t c = v->show[i];
        cell.n = 0;
        FN_TRY(put_cell(v, &cell, c, cells[c]));
        FN_TRY(fn_json_key(&v->line, v->def->columns[c].name));
        if (cells[c].p)
            FN_TRY(fn_json_text(&v->line, (const char *)cell.p, cell.n));
        else
            FN_TRY(fn_buf_text(&v->line, "null"));
    }
    FN_TRY(fn_buf_text(&v->line, "}"));
    return fn_data_print(&v->line);
}

/* Control characters of a value must not reach somebody's terminal. */
static void tame(struct fn_buf *line, size_t from)
{
    for (size_t i = from; i < line->n; i++)
        if (line->p[i] < 0x20 || line->p[i] == 0x7f) line->p[i] = ' ';
}

static fn_err text_row(struct view *v, uint64_t id, const struct fn_bytes *cells)
{
    v->line.n = 0;
    FN_TRY(fn_buf_format(&v->line, FN_SAY("第 %llu 行", "row %llu"), (unsigned long long)id));
    for (size_t i = 0; i < v->shown_columns; i++) {
        size_t c = v->show[i];
        FN_TRY(fn_buf_format(&v->line, "  %s=", v->def->columns[c].name));
        if (cells[c].p)
            FN_TRY(put_cell(v, &v->line, c, cells[c]));
        else
            FN_TRY(fn_buf_text(&v->line, "NULL"));
    }
    tame(&v->line, 0);
    return fn_data_print(&v->line);
}

/* A bad row is told and withheld; the others go on. */
static fn_err bad_row(struct view *v, uint64_t id, fn_err code)
{
    const char *words = fn_err_text(code)->text[fn_lang()];
    if (v->failure == FN_OK) v->failure = code;
    v->bad++;
    if (v->form != FORM_JSON) {
        fflush(stdout);
        fprintf(stderr, FN_SAY("第 %llu 行:%s\n", "row %llu: %s\n"), (unsigned long long)id, words);
        return FN_OK;
    }
    v->line.n = 0;
    FN_TRY(
        fn_buf_format(&v->line, "{\"fn_row\":%llu,\"error\":{\"number\":%d}}", (unsigned long long)id, code));
    return fn_data_print(&v->line);
}

static fn_err show_row(void *context, const struct fn_batch *b, size_t r)
{
    struct view *v = context;
    const struct fn_bytes *cells = b->cells + r * v->def->count;
    if (v->limit && v->shown + v->bad >= v->limit) return FN_E_CANCELLED;
    if (b->results[r] != FN_OK) return bad_row(v, b->ids[r], b->results[r]);
    if (v->where != SIZE_MAX && !(cells[v->where].p && fn_bytes_equal(cells[v->where], v->value)))
        return FN_OK;
    v->shown++;
    switch (v->form) {
    case FORM_CSV:
        return csv_row(v, b->ids[r], cells);
    case FORM_JSON:
        return json_row(v, b->ids[r], cells);
    default:
        return text_row(v, b->ids[r], cells);
    }
}

static fn_err choose_columns(struct view *v)
{
    FN_SCOPED_NAMES struct fn_names names = {0};
    FN_TRY(fn_names_split(&names, fn_call_text(v->call, "columns")));
    for (size_t i = 0; i < names.count; i++) FN_TRY(fn_definition_column(v->def, names.name[i], &v->show[i]));
    v->shown_columns = names.count;
    for (size_t i = 0; !names.count && i < v->def->count; i++) v->show[v->shown_columns++] = i;
    return FN_OK;
}

static fn_err choose_rows(struct view *v)
{
    const char *where = fn_call_text(v->call, "where");
    v->where = SIZE_MAX;
    if (!where) return FN_OK;
    const char *equals = strchr(where, '=');
    if (!equals) return FN_FAIL(FN_E_USAGE, "--where COLUMN=VALUE");
    FN_SCOPED_HEAP char *name = NULL;
    FN_TRY(fn_heap_text(&name, where, (size_t)(equals - where)));
    FN_TRY(fn_definition_column(v->def, name, &v->where));
    v->value = fn_bytes(equals + 1, strlen(equals + 1));
    /* Otherwise masked values could be guessed one after the other. */
    if (!v->clear && v->def->columns[v->where].role == FN_COLUMN_PROTECTED)
        return FN_FAIL(FN_E_CREDENTIAL, "--where on the protected column \"%s\"", name);
    return FN_OK;
}

static fn_err log_reveal(struct view *v, const struct fn_cipher *cipher, const char *database,
                         const struct fn_credential *c, const char *event, int64_t from, int64_t to)
{
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    FN_TRY(fn_buf_text(&b, "{"));
    FN_TRY(fn_json_pair(&b, "ev", event));
    FN_TRY(fn_json_pair(&b, "db", database));
    FN_TRY(fn_json_pair(&b, "table", v->def->name));
    FN_TRY(fn_json_pair(&b, "credential", c->id));
    FN_TRY(fn_json_pair(&b, "holder", c->holder));
    FN_TRY(fn_json_pair(&b, "reason", fn_call_text(v->call, "reason")));
    FN_TRY(fn_json_pair(&b, "columns", fn_call_text(v->call, "columns")));
    if (v->where != SIZE_MAX)
        FN_TRY(fn_json_pair(&b, "where", v->def->columns[v->where].name)); /* never the value */
    FN_TRY(fn_json_pair_number(&b, "from", from));
    FN_TRY(fn_json_pair_number(&b, "to", to));
    if (v->shown || v->bad) FN_TRY(fn_json_pair_number(&b, "rows", v->shown));
    FN_TRY(fn_json_pair_number(&b, "uid", getuid()));
    FN_TRY(fn_buf_text(&b, "}"));
    return fn_data_log(cipher, fn_call_instance(v->call), fn_buf_view(&b));
}

static fn_err check_right(struct view *v, const struct fn_cipher *cipher, struct fn_credential *c)
{
    const char *file = fn_call_text(v->call, "credential"), *reason = fn_call_text(v->call, "reason");
    v->clear = file || reason || fn_call_flag(v->call, "clear");
    if (!v->clear) return FN_OK;
    if (!file || !reason || !*reason)
        return FN_FAIL(FN_E_CREDENTIAL, !file ? "--credential FILE is missing" : "--reason TEXT is missing");
    if (strlen(reason) > 500) return FN_FAIL(FN_E_TOO_LARGE, "--reason: at most 500 bytes");
    return fn_credential_check(cipher, fn_call_instance(v->call), file, c);
}

static fn_err title(struct view *v)
{
    if (v->form != FORM_CSV) return FN_OK;
    FN_TRY(fn_buf_text(&v->line, "fn_row"));
    for (size_t i = 0; i < v->shown_columns; i++) {
        const char *name = v->def->columns[v->show[i]].name;
        FN_TRY(fn_csv_field(&v->line, fn_bytes(name, strlen(name)), false));
    }
    return fn_data_print(&v->line);
}

static fn_err reveal(struct view *v, const struct fn_cipher *cipher, const char *database)
{
    struct fn_credential c = {0};
    int64_t row = 0, from, to;
    FN_TRY(fn_call_number(v->call, "from", 1, INT64_MAX, &from));
    FN_TRY(fn_call_number(v->call, "to", 1, INT64_MAX, &to));
    FN_TRY(fn_call_number(v->call, "limit", 0, INT64_MAX, &v->limit));
    if (fn_call_text(v->call, "row")) {
        FN_TRY(fn_call_number(v->call, "row", 1, INT64_MAX, &row));
        from = to = row;
    }
    FN_TRY(check_right(v, cipher, &c));
    FN_TRY(choose_columns(v));
    FN_TRY(choose_rows(v));
    if (v->clear) FN_TRY(log_reveal(v, cipher, database, &c, "data.reveal", from, to));
    FN_TRY(title(v));
    fn_err err = fn_data_table_read(v->table, (uint64_t)from, (uint64_t)to, show_row, v);
    if (err == FN_E_CANCELLED) err = FN_OK;
    if (v->clear && (v->shown || v->bad))
        FN_TRY(log_reveal(v, cipher, database, &c, "data.reveal.done", from, to));
    FN_TRY(err);
    if (row && !v->shown && !v->bad) return FN_FAIL(FN_E_NOT_FOUND, "row %lld", (long long)row);
    return v->failure == FN_OK ? FN_OK : FN_FAIL(v->failure, "%lld rows were withheld", (long long)v->bad);
}

fn_err fn_data_reveal(const struct fn_call *call)
{
    FN_SCOPED_CIPHER struct fn_cipher cipher = {0};
    FN_SCOPED_STORE struct fn_store *store = NULL;
    FN_SCOPED_HEAP char *url = NULL;
    const char *path;
    struct fn_data_table_options o = {.read_only = true};
    struct view v = {.call = call, .line = fn_buf_heap()};
    v.form = fn_call_json(call) ? FORM_JSON : fn_call_flag(call, "csv") ? FORM_CSV : FORM_TABLE;
    FN_TRY(fn_data_database(fn_call_text(call, "db"), &url, &path));
    FN_TRY(fn_store_open(&store, url, false));
    FN_TRY(fn_data_cipher(call, &cipher));
    FN_TRY(fn_data_table_open(&v.table, store, NULL, &cipher, fn_call_text(call, "table"), &o));
    v.def = &v.table->def;
    fn_err err = reveal(&v, &cipher, url);
    fn_data_table_close(v.table);
    if (v.line.p) fn_wipe(v.line.p, v.line.room);
    fn_buf_free(&v.line);
    return err;
}
