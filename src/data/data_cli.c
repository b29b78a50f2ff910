#include "data/data_cli.h"

#include "base/sys/chain.h"
#include "base/sys/json.h"
#include "base/sys/now.h"
#include "data/cipher_device.h"
#include "data/import.h"
#include <stdio.h>
#include <string.h>

fn_err fn_data_cipher(const struct fn_call *call, struct fn_cipher *cipher)
{
    const char *socket = fn_call_text(call, "socket");
    FN_SCOPED_HEAP char *own = NULL;
    if (!socket) socket = getenv("FENGNI_DEVICE_SOCKET");
    if (!socket || !*socket) {
        FN_TRY(fn_heap_format(&own, "%s/run/device.sock", fn_call_instance(call)));
        socket = access(own, F_OK) ? NULL : own;
    }
    return fn_cipher_device(cipher, socket, 0);
}

void fn_data_cipher_end(struct fn_cipher *cipher)
{
    if (cipher->self) cipher->close(cipher->self);
}

fn_err fn_data_database(const char *text, char **url, const char **path)
{
    static const char sqlite[] = "sqlite:";
    bool bare = strncmp(text, sqlite, sizeof sqlite - 1) != 0;
    const char *slash = strstr(text, "://");
    if (bare && slash) return FN_FAIL(FN_E_UNSUPPORTED, "database \"%s\": sqlite:PATH expected", text);
    FN_TRY(fn_heap_format(url, "%s%s", bare ? sqlite : "", text));
    *path = *url + sizeof sqlite - 1;
    return FN_OK;
}

fn_err fn_names_split(struct fn_names *names, const char *list)
{
    memset(names, 0, sizeof *names);
    FN_TRY(fn_heap_text(&names->text, list ? list : "", list ? strlen(list) : 0));
    for (char *p = names->text, *comma; *p; p = comma + 1) {
        comma = strchr(p, ',');
        if (comma) *comma = 0;
        if (names->count == FN_COUNT(names->name))
            return FN_FAIL(FN_E_TOO_LARGE, "more than %zu names", names->count);
        if (!*p) return FN_FAIL(FN_E_ARGUMENT, "an empty name in \"%s\"", list);
        names->name[names->count++] = p;
        if (!comma) break;
    }
    return FN_OK;
}

void fn_names_end(struct fn_names *names)
{
    free(names->text);
}

bool fn_names_have(const struct fn_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (!strcmp(names->name[i], name)) return true;
    return false;
}

fn_err fn_data_print(const struct fn_buf *text)
{
    if (fwrite(text->p, 1, text->n, stdout) != text->n || putchar('\n') < 0 || fflush(stdout))
        return FN_FAIL(FN_E_IO, "standard output");
    return FN_OK;
}

/* --- protect
 * ----------------------------------------------------------------------------------------------------------------
 */

/* Roles of the file's columns: those named are protected; of the others --mac-columns, or all, are covered.
 */
static fn_err make_columns(const struct fn_call *call, char **names, size_t count, struct fn_column *columns)
{
    FN_SCOPED_NAMES struct fn_names protect = {0}, cover = {0};
    const char *mac_columns = fn_call_text(call, "mac-columns");
    bool mac_only = fn_call_flag(call, "mac-only"), all = !mac_columns || !strcmp(mac_columns, "all");
    FN_TRY(fn_names_split(&protect, fn_call_text(call, "columns")));
    FN_TRY(fn_names_split(&cover, all || !strcmp(mac_columns, "none") ? "" : mac_columns));
    if (!protect.count && !mac_only) return FN_FAIL(FN_E_USAGE, "--columns or --mac-only");
    if (protect.count && mac_only) return FN_FAIL(FN_E_USAGE, "--columns and --mac-only exclude each other");
    size_t found = 0, covered = 0;
    for (size_t i = 0; i < count; i++) {
        bool p = fn_names_have(&protect, names[i]), c = fn_names_have(&cover, names[i]);
        columns[i] = (struct fn_column){names[i], p          ? FN_COLUMN_PROTECTED
                                                  : c || all ? FN_COLUMN_COVERED
                                                             : FN_COLUMN_CLEAR};
        found += p;
        covered += c;
    }
    for (size_t i = 0; i < protect.count + cover.count; i++) {
        const char *name = i < protect.count ? protect.name[i] : cover.name[i - protect.count];
        size_t k = 0;
        while (k < count && strcmp(names[k], name)) k++;
        if (k == count)
            return FN_FAIL(FN_E_COLUMN, "\"%s\" is not in the first line of %s", name,
                           fn_call_text(call, "in"));
    }
    return found == protect.count && covered == cover.count ? FN_OK
                                                            : FN_FAIL(FN_E_COLUMN, "a column stands twice");
}

static void show_progress(void *context, uint64_t done, uint64_t total)
{
    struct fn_progress *p = context;
    p->total = total;
    fn_progress_step(p, done);
}

/* Before anything is written (result NULL), so that no state changes without a record, and after. */
static fn_err log_protect(const struct fn_cipher *cipher, const struct fn_call *call, const char *database,
                          const struct fn_import_result *r)
{
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    char hex[65];
    FN_TRY(fn_buf_text(&b, "{"));
    FN_TRY(fn_json_pair(&b, "ev", r ? "data.protect" : "data.protect.start"));
    FN_TRY(fn_json_pair(&b, "db", database));
    FN_TRY(fn_json_pair(&b, "table", fn_call_text(call, "table")));
    if (r) {
        fn_hex_encode(hex, r->digest, 32);
        FN_TRY(fn_json_pair_number(&b, "rows", (int64_t)r->rows));
        FN_TRY(fn_json_pair_number(&b, "rejected", (int64_t)r->rejected));
        FN_TRY(fn_json_pair(&b, "input_sm3", hex));
    } else {
        FN_TRY(fn_json_pair(&b, "in", fn_call_text(call, "in")));
        FN_TRY(fn_json_pair(&b, "columns", fn_call_text(call, "columns")));
    }
    FN_TRY(fn_json_pair_number(&b, "uid", getuid()));
    FN_TRY(fn_buf_text(&b, "}"));
    return fn_data_log(cipher, fn_call_instance(call), fn_buf_view(&b));
}

static fn_err tell_protect(const struct fn_call *call, const struct fn_import *import,
                           const struct fn_import_result *r, int64_t ms)
{
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    char hex[65];
    double seconds = (double)ms / 1000;
    uint64_t rate = ms ? r->rows_now * 1000 / (uint64_t)ms : r->rows_now;
    fn_hex_encode(hex, r->digest, 32);
    if (fn_call_json(call)) {
        FN_TRY(fn_buf_text(&b, "{"));
        FN_TRY(fn_json_pair(&b, "table", fn_call_text(call, "table")));
        FN_TRY(fn_json_pair_number(&b, "rows", (int64_t)r->rows));
        FN_TRY(fn_json_pair_number(&b, "rows_now", (int64_t)r->rows_now));
        FN_TRY(fn_json_pair_number(&b, "rejected", (int64_t)r->rejected));
        FN_TRY(fn_json_pair(&b, "rejects", r->rejected ? import->rejects : NULL));
        FN_TRY(fn_json_pair_number(&b, "lines", (int64_t)r->lines));
        FN_TRY(fn_json_pair_number(&b, "resumed_line", (int64_t)r->resumed_line));
        FN_TRY(fn_json_pair_bool(&b, "finished_before", r->finished_before));
        FN_TRY(fn_json_pair(&b, "input_sm3", hex));
        FN_TRY(fn_json_pair_number(&b, "milliseconds", ms));
        FN_TRY(fn_json_pair_number(&b, "rows_per_second", (int64_t)rate));
        FN_TRY(fn_buf_text(&b, "}"));
        return fn_data_print(&b);
    }
    if (r->finished_before) {
        FN_TRY(fn_buf_format(
            &b,
            FN_SAY("该文件此前已全部写入表 %s:%llu 行,拒收 %llu 行",
                   "this file was already protected into table %s: %llu rows, %llu rejected"),
            fn_call_text(call, "table"), (unsigned long long)r->rows, (unsigned long long)r->rejected));
        return fn_data_print(&b);
    }
    if (r->resumed_line)
        printf(FN_SAY("从第 %llu 行续传\n", "resumed at line %llu\n"), (unsigned long long)r->resumed_line);
    printf(FN_SAY("已保护 %llu 行(本次 %llu 行,%.2f 秒,%llu 行/秒)\n",
                  "%llu rows protected (%llu now, %.2f s, %llu rows/s)\n"),
           (unsigned long long)r->rows, (unsigned long long)r->rows_now, seconds, (unsigned long long)rate);
    if (r->rejected)
        printf(FN_SAY("拒收 %llu 行,行号与原因见 %s\n", "%llu lines rejected; numbers and reasons in %s\n"),
               (unsigned long long)r->rejected, import->rejects);
    return FN_OK;
}

static fn_err protect_into(const struct fn_call *call, const struct fn_cipher *cipher, struct fn_store *store,
                           const char *path, struct fn_import *import, struct fn_import_result *result)
{
    char **names = NULL;
    size_t count = 0;
    struct fn_data_table *table = NULL;
    struct fn_column columns[FN_TABLE_COLUMNS_MOST];
    struct fn_progress progress;
    enum fn_suite suite = FN_SUITE_NONE;
    if (fn_call_text(call, "suite")) FN_TRY(fn_suite_parse(&suite, fn_call_text(call, "suite")));
    fn_err err = fn_import_columns(import, &names, &count);
    if (err == FN_OK && count > FN_TABLE_COLUMNS_MOST)
        err = FN_FAIL(FN_E_TOO_LARGE, "%zu columns, at most %u", count, FN_TABLE_COLUMNS_MOST);
    if (err == FN_OK) err = make_columns(call, names, count, columns);
    struct fn_data_table_options o = {.columns = columns, .count = count, .suite = suite};
    if (err == FN_OK) err = fn_data_table_open(&table, store, path, cipher, fn_call_text(call, "table"), &o);
    fn_import_columns_free(names, count);
    FN_TRY(err);
    fn_progress_start(&progress, (struct fn_text){"保护", "protecting"}, 0);
    import->progress = show_progress;
    import->context = &progress;
    err = fn_import_run(table, import, result);
    fn_progress_end(&progress);
    fn_err closed = fn_data_table_close(table);
    return err != FN_OK ? err : closed;
}

fn_err fn_data_protect(const struct fn_call *call)
{
    FN_SCOPED_CIPHER struct fn_cipher cipher = {0};
    FN_SCOPED_STORE struct fn_store *store = NULL;
    FN_SCOPED_HEAP char *url = NULL, *rejects = NULL;
    const char *path;
    struct fn_import import = {.in = fn_call_text(call, "in"), .null = fn_call_text(call, "null")};
    struct fn_import_result result = {0};
    FN_TRY(fn_csv_encoding_parse(&import.encoding, fn_call_text(call, "encoding")));
    FN_TRY(fn_data_database(fn_call_text(call, "out"), &url, &path));
    FN_TRY(fn_heap_format(&rejects, "%s-%s.rejects.csv", path, fn_call_text(call, "table")));
    import.rejects = fn_call_text(call, "rejects") ? fn_call_text(call, "rejects") : rejects;
    int64_t started = fn_monotonic_ms();
    FN_TRY(fn_data_cipher(call, &cipher));
    FN_TRY(fn_store_open(&store, url, true));
    FN_TRY(log_protect(&cipher, call, url, NULL));
    FN_TRY(protect_into(call, &cipher, store, path, &import, &result));
    if (!result.finished_before) FN_TRY(log_protect(&cipher, call, url, &result));
    return tell_protect(call, &import, &result, fn_monotonic_ms() - started);
}

/* --- verify
 * -----------------------------------------------------------------------------------------------------------------
 */

struct telling {
    const struct fn_call *call;
    struct fn_buf json; /* of the table */
    uint64_t shown;
};

#define SHOWN_MOST 200u

static const char *code_words(fn_err code)
{
    return fn_err_text(code)->text[fn_lang()];
}

static void tell_finding(void *context, const struct fn_finding *f)
{
    struct telling *t = context;
    if (fn_call_json(t->call)) {
        struct fn_buf *b = &t->json;
        fn_buf_text(b, t->shown++ ? ",{" : "{");
        fn_json_pair_number(b, "code", f->code);
        fn_json_pair(b, "name", fn_err_text(f->code)->name);
        if (f->row) fn_json_pair_number(b, "row", (int64_t)f->row);
        if (f->other) fn_json_pair_number(b, "other", (int64_t)f->other);
        if (f->first) fn_json_pair_number(b, "first", (int64_t)f->first);
        if (f->last) fn_json_pair_number(b, "last", (int64_t)f->last);
        fn_json_pair(b, "detail", f->detail);
        fn_buf_text(b, "}");
        return;
    }
    if (t->shown++ >= SHOWN_MOST) return;
    if (f->row)
        printf(FN_SAY("  第 %llu 行:%s", "  row %llu: %s"), (unsigned long long)f->row, code_words(f->code));
    else if (f->first)
        printf(FN_SAY("  第 %llu 至 %llu 行:%s", "  rows %llu to %llu: %s"), (unsigned long long)f->first,
               (unsigned long long)f->last, code_words(f->code));
    else
        printf("  %s", code_words(f->code));
    if (f->other && f->other != f->row)
        printf(FN_SAY(",内容属于第 %llu 行", ", content of row %llu"), (unsigned long long)f->other);
    printf(f->detail && *f->detail ? " (%s)\n" : "\n", f->detail);
}

static fn_err tell_verdict(struct telling *t, const char *name, const struct fn_verdict *v, int64_t ms)
{
    if (fn_call_json(t->call)) {
        FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
        FN_TRY(fn_buf_text(&b, "{"));
        FN_TRY(fn_json_pair(&b, "table", name));
        FN_TRY(fn_json_pair_number(&b, "rows", (int64_t)v->rows));
        FN_TRY(fn_json_pair_number(&b, "segments", (int64_t)v->segments));
        FN_TRY(fn_json_pair_number(&b, "counter", (int64_t)v->counter));
        FN_TRY(fn_json_pair_number(&b, "anchored", (int64_t)v->anchored));
        FN_TRY(fn_json_pair_number(&b, "milliseconds", ms));
        FN_TRY(fn_json_pair_number(&b, "count", (int64_t)v->findings));
        FN_TRY(fn_json_key(&b, "findings"));
        FN_TRY(fn_buf_text(&b, "["));
        FN_TRY(fn_buf_add(&b, t->json.p, t->json.n));
        FN_TRY(fn_buf_text(&b, "]}"));
        return fn_data_print(&b);
    }
    if (t->shown > SHOWN_MOST)
        printf(FN_SAY("  ……共 %llu 项\n", "  … %llu in all\n"), (unsigned long long)t->shown);
    if (v->gravest == FN_OK)
        printf(FN_SAY("%s:%llu 行、%llu 段完整无误\n", "%s: %llu rows in %llu segments are intact\n"), name,
               (unsigned long long)v->rows, (unsigned long long)v->segments);
    else
        printf(FN_SAY("%s:%llu 行中发现 %llu 处问题\n", "%s: %llu rows, %llu findings\n"), name,
               (unsigned long long)v->rows, (unsigned long long)v->findings);
    if (v->counter > v->anchored)
        printf(FN_SAY("  最近 %llu 次提交尚未锚定(写入进程仍在运行,或曾异常终止)\n",
                      "  the last %llu commits are not anchored yet (a writer is running, or one ended "
                      "abnormally)\n"),
               (unsigned long long)(v->counter - v->anchored));
    return FN_OK;
}

static fn_err verify_table(const struct fn_call *call, const struct fn_cipher *cipher, struct fn_store *store,
                           const char *name, fn_err *gravest)
{
    struct fn_data_table *table;
    struct fn_data_table_options o = {.read_only = true};
    struct fn_verdict v;
    struct telling t = {call, fn_buf_heap(), 0};
    int64_t started = fn_monotonic_ms();
    FN_TRY(fn_data_table_open(&table, store, NULL, cipher, name, &o));
    fn_err err = fn_data_table_verify(table, tell_finding, &t, &v);
    fn_data_table_close(table);
    if (err == FN_OK) err = tell_verdict(&t, name, &v, fn_monotonic_ms() - started);
    fn_buf_free(&t.json);
    if (err == FN_OK && *gravest == FN_OK) *gravest = v.gravest;
    return err;
}

static fn_err list_tables(struct fn_store *store, struct fn_names *names)
{
    struct fn_statement *s;
    bool row = true;
    if (!fn_store_table_exists(store, "fn_data_table"))
        return FN_FAIL(FN_E_NOT_FOUND, "the database has no protected table");
    FN_TRY(fn_store_prepare(store, "SELECT name FROM fn_data_table ORDER BY name", &s));
    fn_err err = FN_OK;
    while (err == FN_OK && row) {
        err = fn_statement_step(s, &row);
        struct fn_value v = row ? fn_statement_value(s, 0) : fn_value_null();
        if (err != FN_OK || !v.bytes.n || names->count == FN_COUNT(names->name)) continue;
        err = fn_heap_text(&names->name[names->count], (const char *)v.bytes.p, v.bytes.n);
        if (err == FN_OK) names->count++;
    }
    fn_statement_free(s);
    if (err == FN_OK && !names->count) err = FN_FAIL(FN_E_NOT_FOUND, "the database has no protected table");
    return err;
}

static void names_free_each(struct fn_names *names)
{
    for (size_t i = 0; i < names->count; i++) free(names->name[i]);
}

fn_err fn_data_verify(const struct fn_call *call)
{
    FN_SCOPED_CIPHER struct fn_cipher cipher = {0};
    FN_SCOPED_STORE struct fn_store *store = NULL;
    FN_SCOPED_HEAP char *url = NULL;
    struct fn_names names __attribute__((cleanup(names_free_each))) = {0};
    const char *path, *one = fn_call_text(call, "table");
    fn_err gravest = FN_OK;
    FN_TRY(fn_data_database(fn_call_text(call, "db"), &url, &path));
    FN_TRY(fn_store_open(&store, url, false));
    FN_TRY(fn_data_cipher(call, &cipher));
    if (one)
        FN_TRY(fn_heap_text(&names.name[names.count++], one, strlen(one)));
    else
        FN_TRY(list_tables(store, &names));
    for (size_t i = 0; i < names.count; i++)
        FN_TRY(verify_table(call, &cipher, store, names.name[i], &gravest));
    return gravest == FN_OK ? FN_OK : FN_FAIL(gravest, "%s", url);
}

/* --- adopt
 * ------------------------------------------------------------------------------------------------------------------
 */

static fn_err log_adopt(const struct fn_cipher *cipher, const struct fn_call *call, const char *database,
                        const struct fn_credential *c)
{
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    FN_TRY(fn_buf_text(&b, "{"));
    FN_TRY(fn_json_pair(&b, "ev", "data.adopt"));
    FN_TRY(fn_json_pair(&b, "db", database));
    FN_TRY(fn_json_pair(&b, "table", fn_call_text(call, "table")));
    FN_TRY(fn_json_pair(&b, "credential", c->id));
    FN_TRY(fn_json_pair(&b, "holder", c->holder));
    FN_TRY(fn_json_pair(&b, "reason", fn_call_text(call, "reason")));
    FN_TRY(fn_json_pair_number(&b, "uid", getuid()));
    FN_TRY(fn_buf_text(&b, "}"));
    return fn_data_log(cipher, fn_call_instance(call), fn_buf_view(&b));
}

fn_err fn_data_adopt(const struct fn_call *call)
{
    FN_SCOPED_CIPHER struct fn_cipher cipher = {0};
    FN_SCOPED_STORE struct fn_store *store = NULL;
    FN_SCOPED_HEAP char *url = NULL;
    const char *path, *reason = fn_call_text(call, "reason");
    struct fn_data_table_options o = {.read_only = true};
    struct fn_data_table *table;
    struct fn_credential c;
    unsigned writers;
    if (!*reason || strlen(reason) > 500) return FN_FAIL(FN_E_USAGE, "--reason: 1 to 500 bytes");
    FN_TRY(fn_data_database(fn_call_text(call, "db"), &url, &path));
    FN_TRY(fn_store_open(&store, url, false));
    FN_TRY(fn_data_cipher(call, &cipher));
    FN_TRY(fn_credential_check(&cipher, fn_call_instance(call), fn_call_text(call, "credential"), &c));
    FN_TRY(fn_data_table_open(&table, store, NULL, &cipher, fn_call_text(call, "table"), &o));
    fn_err err = log_adopt(&cipher, call, url, &c);
    if (err == FN_OK) err = fn_data_table_adopt(table, &writers);
    fn_data_table_close(table);
    FN_TRY(err);
    if (fn_call_json(call)) {
        FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
        FN_TRY(fn_buf_text(&b, "{"));
        FN_TRY(fn_json_pair(&b, "table", fn_call_text(call, "table")));
        FN_TRY(fn_json_pair_number(&b, "adopted", writers));
        FN_TRY(fn_buf_text(&b, "}"));
        return fn_data_print(&b);
    }
    puts(writers
             ? FN_SAY("已承认现状并重新锚定;请运行 `fengni data verify`",
                      "accepted and anchored anew; run `fengni data verify`")
             : FN_SAY("该表不比锚点旧,无需处理", "the table is not older than its anchor; nothing was done"));
    return FN_OK;
}

/* --- sealed files
 * -----------------------------------------------------------------------------------------------------------
 */

fn_err fn_data_seal_file_verb(const struct fn_call *call)
{
    FN_SCOPED_CIPHER struct fn_cipher cipher = {0};
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    const char *const *files;
    size_t count = fn_call_operands(call, &files);
    uint64_t counter;
    if (fn_call_text(call, "name") && count != 1) return FN_FAIL(FN_E_USAGE, "--name goes with one file");
    FN_TRY(fn_data_cipher(call, &cipher));
    for (size_t i = 0; i < count; i++) {
        FN_TRY(fn_data_seal_file(&cipher, files[i], fn_call_text(call, "name"), &counter));
        b.n = 0;
        FN_TRY(fn_buf_text(&b, "{"));
        FN_TRY(fn_json_pair(&b, "ev", "data.seal-file"));
        FN_TRY(fn_json_pair(&b, "file", files[i]));
        FN_TRY(fn_json_pair_number(&b, "counter", (int64_t)counter));
        FN_TRY(fn_json_pair_number(&b, "uid", getuid()));
        FN_TRY(fn_buf_text(&b, "}"));
        FN_TRY(fn_data_log(&cipher, fn_call_instance(call), fn_buf_view(&b)));
        if (fn_call_json(call))
            FN_TRY(fn_data_print(&b));
        else
            printf(FN_SAY("%s 已封存,第 %llu 版,封条在 %s.fnseal\n",
                          "%s is sealed as version %llu, its seal in %s.fnseal\n"),
                   files[i], (unsigned long long)counter, files[i]);
    }
    return FN_OK;
}

fn_err fn_data_check_file(const struct fn_call *call)
{
    FN_SCOPED_CIPHER struct fn_cipher cipher = {0};
    const char *const *files;
    size_t count = fn_call_operands(call, &files);
    fn_err worst = FN_OK;
    if (fn_call_text(call, "name") && count != 1) return FN_FAIL(FN_E_USAGE, "--name goes with one file");
    FN_TRY(fn_data_cipher(call, &cipher));
    for (size_t i = 0; i < count; i++) {
        fn_err err = fn_data_load_sealed(&cipher, files[i], fn_call_text(call, "name"), SIZE_MAX, NULL);
        if (err == FN_OK && !fn_call_json(call)) printf(FN_SAY("%s 完整无误\n", "%s is intact\n"), files[i]);
        if (err == FN_OK && fn_call_json(call)) {
            FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
            FN_TRY(fn_buf_text(&b, "{"));
            FN_TRY(fn_json_pair(&b, "file", files[i]));
            FN_TRY(fn_json_pair_bool(&b, "intact", true));
            FN_TRY(fn_buf_text(&b, "}"));
            FN_TRY(fn_data_print(&b));
        }
        if (err != FN_OK && i + 1 < count) fn_err_print(err, fn_call_json(call));
        if (err != FN_OK && worst == FN_OK) worst = err;
        if (err != FN_OK && i + 1 == count) return err;
    }
    return worst == FN_OK ? FN_OK : FN_FAIL(worst, "one of %zu files", count);
}

/* --- credentials
 * ------------------------------------------------------------------------------------------------------------
 */

static fn_err credential_json(struct fn_buf *b, const char *event, const struct fn_credential *c)
{
    FN_TRY(fn_buf_text(b, "{"));
    if (event) FN_TRY(fn_json_pair(b, "ev", event));
    FN_TRY(fn_json_pair(b, "id", c->id));
    if (*c->holder) FN_TRY(fn_json_pair(b, "holder", c->holder));
    if (*c->state) FN_TRY(fn_json_pair(b, "state", c->state));
    if (c->created_ms) FN_TRY(fn_json_pair_number(b, "created_ms", c->created_ms));
    if (c->expires_ms) FN_TRY(fn_json_pair_number(b, "expires_ms", c->expires_ms));
    if (event) FN_TRY(fn_json_pair_number(b, "uid", getuid()));
    return fn_buf_text(b, "}");
}

fn_err fn_data_credential_new(const struct fn_call *call)
{
    FN_SCOPED_CIPHER struct fn_cipher cipher = {0};
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    struct fn_credential c;
    int64_t days;
    FN_TRY(fn_call_number(call, "days", 0, 3650, &days));
    FN_TRY(fn_data_cipher(call, &cipher));
    FN_TRY(fn_credential_new(&cipher, fn_call_instance(call), fn_call_text(call, "holder"),
                             days ? fn_now_ms() + days * 86400000 : 0, fn_call_text(call, "out"), &c));
    FN_TRY(credential_json(&b, "data.credential.new", &c));
    FN_TRY(fn_data_log(&cipher, fn_call_instance(call), fn_buf_view(&b)));
    if (fn_call_json(call)) return fn_data_print(&b);
    printf(FN_SAY("凭证 %s 已签发给 %s,保存在 %s,请交本人保管\n",
                  "credential %s was issued to %s; it is in %s, for that person alone\n"),
           c.id, c.holder, fn_call_text(call, "out"));
    return FN_OK;
}

static fn_err list_credential(void *context, const struct fn_credential *c)
{
    const struct fn_call *call = context;
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    char expires[FN_TIME_TEXT] = "-";
    if (fn_call_json(call)) {
        FN_TRY(credential_json(&b, NULL, c));
        return fn_data_print(&b);
    }
    if (c->expires_ms) fn_time_beijing(expires, c->expires_ms);
    printf("%s  %s  %s  %s\n", c->id, c->state, expires, c->holder);
    return FN_OK;
}

fn_err fn_data_credential_list(const struct fn_call *call)
{
    FN_SCOPED_CIPHER struct fn_cipher cipher = {0};
    FN_TRY(fn_data_cipher(call, &cipher));
    return fn_credential_list(&cipher, fn_call_instance(call), list_credential, (void *)call);
}

fn_err fn_data_credential_revoke(const struct fn_call *call)
{
    FN_SCOPED_CIPHER struct fn_cipher cipher = {0};
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    const char *const *ids;
    struct fn_credential c = {0};
    fn_call_operands(call, &ids);
    FN_TRY(fn_data_cipher(call, &cipher));
    FN_TRY(fn_credential_revoke(&cipher, fn_call_instance(call), ids[0]));
    fn_format(c.id, sizeof c.id, "%s", ids[0]);
    FN_TRY(credential_json(&b, "data.credential.revoke", &c));
    FN_TRY(fn_data_log(&cipher, fn_call_instance(call), fn_buf_view(&b)));
    if (fn_call_json(call)) return fn_data_print(&b);
    printf(FN_SAY("凭证 %s 已吊销\n", "credential %s is revoked\n"), ids[0]);
    return FN_OK;
}

/* --- log
 * --------------------------------------------------------------------------------------------------------------------
 */

static fn_err print_record(void *context, const struct fn_chain_record *r)
{
    const struct fn_call *call = context;
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    char time[FN_TIME_TEXT];
    if (fn_call_json(call)) {
        fn_time_utc(time, (fn_ms)r->time_ms);
        FN_TRY(fn_buf_format(&b, "{\"seq\":%llu,\"time\":\"%s\",\"record\":%.*s}", (unsigned long long)r->seq,
                             time, (int)r->body.n, (const char *)r->body.p));
        return fn_data_print(&b);
    }
    fn_time_beijing(time, (fn_ms)r->time_ms);
    FN_TRY(fn_buf_format(&b, "%llu  %s  %.*s", (unsigned long long)r->seq, time, (int)r->body.n,
                         (const char *)r->body.p));
    return fn_data_print(&b);
}

fn_err fn_data_log_verb(const struct fn_call *call)
{
    FN_SCOPED_CIPHER struct fn_cipher cipher = {0};
    uint64_t count;
    FN_TRY(fn_data_cipher(call, &cipher));
    FN_TRY(fn_data_log_read(&cipher, fn_call_instance(call), print_record, (void *)call, &count));
    if (!fn_call_json(call))
        printf(FN_SAY("共 %llu 条记录,链与锚点一致\n", "%llu records; chain and anchor agree\n"),
               (unsigned long long)count);
    return FN_OK;
}
