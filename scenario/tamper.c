#include "tamper.h"

#include "scenario.h"

#include <fcntl.h>
#include <fengni/data.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ALTERED = 600,
    MOVED = 601,
    INSERTED = 602,
    MISSING = 603,
    SEGMENT_OLD = 604,
    TABLE_OLD = 605,
    MANIFEST_ALTERED = 307
};

int copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char buffer[65536];
    ssize_t n = -1;
    while (in >= 0 && out >= 0 && (n = read(in, buffer, sizeof buffer)) > 0)
        if (write(out, buffer, (size_t)n) != n) {
            n = -1;
            break;
        }
    if (in >= 0) close(in);
    if (out >= 0 && close(out)) n = -1;
    return n == 0 ? 0 : -1;
}

/* What was found, in the reader's language. */
static void tell(struct tamper_case *t, const struct fengni_finding *f)
{
    static const struct {
        int code;
        const char *zh, *en;
    } words[] = {{ALTERED, "行被改动", "row altered"},
                 {MOVED, "内容被移动", "content moved"},
                 {INSERTED, "非本系统写入的行", "row not written by the system"},
                 {MISSING, "行缺失", "row missing"},
                 {SEGMENT_OLD, "段内有旧版本的行", "segment holds an old version of a row"},
                 {TABLE_OLD, "数据比锚点更旧", "data older than its anchor"},
                 {MANIFEST_ALTERED, "清单或定义被改动", "manifest or definition altered"}};
    const char *text = "";
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].code == f->code) text = scenario_text(words[i].zh, words[i].en);
    int n = snprintf(t->told, sizeof t->told, "%d %s", f->code, text);
    if (f->id && f->other && f->other != f->id)
        snprintf(t->told + n, sizeof t->told - (size_t)n,
                 scenario_text(",第 %" PRIu64 " 行,内容属于第 %" PRIu64 " 行",
                               ", row %" PRIu64 ", content of row %" PRIu64),
                 f->id, f->other);
    else if (f->id)
        snprintf(t->told + n, sizeof t->told - (size_t)n,
                 scenario_text(",第 %" PRIu64 " 行", ", row %" PRIu64), f->id);
    else if (f->first)
        snprintf(t->told + n, sizeof t->told - (size_t)n,
                 scenario_text(",第 %" PRIu64 " 至 %" PRIu64 " 行", ", rows %" PRIu64 " to %" PRIu64),
                 f->first, f->last);
}

static void look(void *context, const struct fengni_finding *f)
{
    struct tamper_case *t = context;
    bool place = t->row == 0 || f->id == t->row || (f->id == 0 && f->first <= t->row && t->row <= f->last);
    /* A row that carries another row's content may rightly be called moved or altered; what matters is that
     * the row is named. */
    bool kind = f->code == t->expected || (t->expected == MOVED && f->code == ALTERED);
    if (t->found || !place || !kind) return;
    t->found = 1;
    tell(t, f);
}

/* *result: what the verification returned, 0 when it found nothing. */
static int verify(const struct tamper_setting *s, const char *database, struct tamper_case *t, int *result)
{
    char url[4500];
    struct fengni_data *data;
    struct fengni_table *table;
    struct fengni_verdict verdict;
    snprintf(url, sizeof url, "sqlite:%s", database);
    if (fengni_data_open(&data, url, s->socket)) return fprintf(stderr, "%s\n", fengni_data_failure()), -1;
    int err = fengni_table_open(data, s->table, &(struct fengni_table_options){.read_only = 1}, &table);
    if (err) {
        /* A table that cannot even be opened because its definition was altered is found, too. */
        t->found = err == t->expected;
        if (t->found) tell(t, &(struct fengni_finding){.code = err});
    } else {
        err = fengni_table_verify(table, look, t, &verdict);
        fengni_table_close(table);
    }
    if (!err)
        snprintf(t->told, sizeof t->told, "%s",
                 scenario_text("校验未发现问题", "verification found nothing"));
    else if (!t->found)
        snprintf(t->told, sizeof t->told, scenario_text("校验得到 %d", "verification gave %d"), err);
    fengni_data_close(data);
    *result = err;
    return 0;
}

static int run_sql(const char *database, const char *old, const char *sql)
{
    sqlite3 *db;
    char *message = NULL, *attach = sqlite3_mprintf("ATTACH %Q AS old", old);
    int err = sqlite3_open_v2(database, &db, SQLITE_OPEN_READWRITE, NULL);
    if (!err) err = attach ? sqlite3_exec(db, attach, NULL, NULL, &message) : SQLITE_NOMEM;
    if (!err) err = sqlite3_exec(db, sql, NULL, NULL, &message);
    if (!err && sqlite3_total_changes(db) == 0)
        err = -1; /* a tampering that changed nothing would prove nothing */
    if (err) fprintf(stderr, "%s: %s\n", sql, message ? message : sqlite3_errmsg(db));
    sqlite3_free(message);
    sqlite3_free(attach);
    sqlite3_close(db);
    return err ? -1 : 0;
}

/* The list of cases while it is made. */
struct list {
    struct tamper_case *cases;
    char *sql[TAMPER_MOST]; /* of sqlite3_mprintf; NULL: the old database itself is verified */
    int count;
};

static void __attribute__((format(printf, 6, 7)))
add(struct list *l, const char *zh, const char *en, int expected, uint64_t row, const char *sql, ...)
{
    if (l->count == TAMPER_MOST) return;
    va_list args;
    va_start(args, sql);
    l->cases[l->count] = (struct tamper_case){zh, en, expected, row, 0, ""};
    l->sql[l->count++] = *sql ? sqlite3_vmprintf(sql, args) : NULL;
    va_end(args);
}

typedef long long unsigned row_id;

static void add_fields(struct list *l, const struct tamper_setting *s, const char *t, const char *c)
{
    static const struct {
        const char *zh, *en;
    } name[] = {{"改首行密文", "ciphertext of the first row altered"},
                {"改中间行密文", "ciphertext of a middle row altered"},
                {"改末行密文", "ciphertext of the last row altered"}};
    row_id rows[] = {s->first, s->middle, s->last}, middle = s->middle, other = s->other;
    for (int i = 0; i < 3; i++)
        add(l, name[i].zh, name[i].en, ALTERED, rows[i],
            "UPDATE %s SET %s = substr(%s, 1, 60) || CASE substr(%s, 61, 1) WHEN 'A' THEN 'B' ELSE 'A' END || "
            "substr(%s, 62) WHERE fn_row = %llu",
            t, c, c, c, c, rows[i]);
    add(l, "清空字段", "field emptied", ALTERED, middle, "UPDATE %s SET %s = NULL WHERE fn_row = %llu", t, c,
        middle);
    add(l, "换成二进制值", "field made binary", ALTERED, middle,
        "UPDATE %s SET %s = CAST(%s AS BLOB) WHERE fn_row = %llu", t, c, c, middle);
    if (s->covered_column) {
        char *covered = sqlite3_mprintf("\"%w\"", s->covered_column);
        add(l, "改明文列", "covered clear column altered", ALTERED, middle,
            "UPDATE %s SET %s = %s || 'x' WHERE fn_row = %llu", t, covered, covered, middle);
        sqlite3_free(covered);
    }
    if (s->other_protected_column) {
        char *d = sqlite3_mprintf("\"%w\"", s->other_protected_column);
        add(l, "列互换", "columns of a row exchanged", MOVED, middle,
            "UPDATE %s SET %s = %s, %s = %s WHERE fn_row = %llu", t, c, d, d, c, middle);
        sqlite3_free(d);
    }
    add(l, "改行版本号", "version of a row raised", ALTERED, middle,
        "UPDATE %s SET fn_version = fn_version + 1 WHERE fn_row = %llu", t, middle);
    add(l, "改行校验值", "MAC of a row altered", ALTERED, middle,
        "UPDATE %s SET fn_mac = CAST(substr(fn_mac, 1, 4) || zeroblob(32) AS BLOB) WHERE fn_row = %llu", t,
        middle);
    if (other)
        add(l, "换字段", "field taken from another row", MOVED, middle,
            "UPDATE %s SET %s = (SELECT %s FROM %s WHERE fn_row = %llu) WHERE fn_row = %llu", t, c, c, t,
            other, middle);
}

static void add_exchange(struct list *l, const char *zh, const char *en, const char *t, row_id a, row_id b)
{
    add(l, zh, en, MOVED, a,
        "UPDATE %s SET fn_row = -1 WHERE fn_row = %llu; UPDATE %s SET fn_row = %llu WHERE fn_row = %llu; "
        "UPDATE %s SET fn_row = %llu WHERE fn_row = -1",
        t, a, t, a, b, t, b);
}

static void add_rows(struct list *l, const struct tamper_setting *s, const char *t)
{
    row_id first = s->first, middle = s->middle, last = s->last, other = s->other, gone = s->gone;
    if (other) {
        add_exchange(l, "行互换", "rows exchanged", t, middle, other);
        add_exchange(l, "首末行互换", "first and last row exchanged", t, first, last);
    }
    static const char insert[] = "CREATE TEMP TABLE extra AS SELECT * FROM %s WHERE fn_row = %llu; "
                                 "UPDATE extra SET fn_row = %lld; INSERT INTO %s SELECT * FROM extra";
    add(l, "在首行前插行", "row inserted before the first", INSERTED, 0, insert, t, middle, -5LL, t);
    add(l, "在末行后插行", "row inserted after the last", INSERTED, last + 1, insert, t, middle,
        (long long)last + 1, t);
    if (gone)
        add(l, "插回已删除的行", "deleted row inserted again", INSERTED, gone,
            "INSERT INTO %s SELECT * FROM old.%s WHERE fn_row = %llu", t, t, gone);
    add(l, "删首行", "first row deleted", MISSING, first, "DELETE FROM %s WHERE fn_row = %llu", t, first);
    add(l, "删中间行", "middle row deleted", MISSING, middle, "DELETE FROM %s WHERE fn_row = %llu", t,
        middle);
    add(l, "删末行", "last row deleted", MISSING, last, "DELETE FROM %s WHERE fn_row = %llu", t, last);
    add(l, "清空全表", "all rows deleted", MISSING, last, "DELETE FROM %s", t);
}

#define BACK(table) "DELETE FROM " table "; INSERT INTO " table " SELECT * FROM old." table "; "

static void add_old(struct list *l, const struct tamper_setting *s, const char *t)
{
    row_id middle = s->middle, segment = ((s->middle & ((1ull << 40) - 1)) - 1) / 256;
    static const char row[] = "DELETE FROM %s WHERE fn_row = %llu; INSERT INTO %s SELECT * FROM old.%s WHERE "
                              "fn_row = %llu; ";
    char *back = sqlite3_mprintf(row, t, middle, t, t, middle);
    char *all = sqlite3_mprintf("DELETE FROM %s; INSERT INTO %s SELECT * FROM old.%s; ", t, t, t);
    add(l, "行换回旧版本", "row put back to an old version", SEGMENT_OLD, middle, "%s", back);
    add(l, "行与其清单段一同换回", "row and its segment of the manifest put back", MANIFEST_ALTERED, 0,
        "%s DELETE FROM fn_data_segment WHERE segment = %llu; INSERT INTO fn_data_segment SELECT * FROM "
        "old.fn_data_segment WHERE segment = %llu",
        back, segment, segment);
    add(l, "行与整个清单一同换回", "row and the whole manifest put back", TABLE_OLD, 0, "%s %s", back,
        BACK("fn_data_segment") BACK("fn_data_head"));
    add(l, "整表的行换回旧副本", "all rows restored from an old copy", SEGMENT_OLD, middle, "%s", all);
    add(l, "整表连同清单换回旧副本", "whole table and manifest restored from an old copy", TABLE_OLD, 0,
        "%s %s", all, BACK("fn_data_segment") BACK("fn_data_head"));
    add(l, "整个文件换回旧副本", "whole file restored from an old copy", TABLE_OLD, 0, "%s", "");
    sqlite3_free(back);
    sqlite3_free(all);
}

static void add_manifest(struct list *l, const char *t)
{
    add(l, "删清单末段", "last segment of the manifest deleted", MANIFEST_ALTERED, 0, "%s",
        "DELETE FROM fn_data_segment WHERE segment = (SELECT max(segment) FROM fn_data_segment)");
    add(l, "删清单头", "heads of the manifest deleted", TABLE_OLD, 0, "%s", "DELETE FROM fn_data_head");
    add(l, "行与清单全部删除", "rows and manifest deleted", TABLE_OLD, 0,
        "DELETE FROM %s; DELETE FROM fn_data_segment; DELETE FROM fn_data_head", t);
    add(l, "改表定义", "definition of the table altered", MANIFEST_ALTERED, 0, "%s",
        "UPDATE fn_data_table SET columns = CAST(substr(columns, 1, length(columns) - 1) || x'00' AS BLOB)");
}

static void remove_copy(const char *copy)
{
    char path[4500];
    static const char *const tails[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", copy, tails[i]);
        unlink(path);
    }
}

/* On a copy: the SQL, if there is any, then the verification. */
static int try_case(const struct tamper_setting *s, const char *from, const char *sql, struct tamper_case *t,
                    int *result)
{
    char copy[4400];
    snprintf(copy, sizeof copy, "%s/tampered.db", s->work);
    int err =
        copy_file(from, copy) || (sql && run_sql(copy, s->old_database, sql)) || verify(s, copy, t, result);
    remove_copy(copy);
    return err ? -1 : 0;
}

int tamper_all(const struct tamper_setting *s, struct tamper_case *cases, bool *untouched_good)
{
    struct list l = {.cases = cases};
    struct tamper_case untouched = {.expected = -1};
    int result = -1;
    char *t = sqlite3_mprintf("\"%w\"", s->table), *c = sqlite3_mprintf("\"%w\"", s->protected_column);
    add_fields(&l, s, t, c);
    add_rows(&l, s, t);
    add_old(&l, s, t);
    add_manifest(&l, t);
    sqlite3_free(t);
    sqlite3_free(c);
    int err = try_case(s, s->database, NULL, &untouched, &result);
    *untouched_good = !err && result == 0;
    for (int i = 0; i < l.count; i++) {
        bool file = !l.sql[i] || !*l.sql[i];
        if (!err)
            err =
                try_case(s, file ? s->old_database : s->database, file ? NULL : l.sql[i], &cases[i], &result);
        sqlite3_free(l.sql[i]);
    }
    return err ? -1 : l.count;
}
