#include "tamper.h"

#include "scenario.h"

#include <fcntl.h>
#include <fengni/data.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ALTERED = 600, MOVED = 601, INSERTED = 602, MISSING = 603, SEGMENT_OLD = 604, TABLE_OLD = 605 };

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

static void look(void *context, const struct fengni_finding *f)
{
    struct tamper_case *t = context;
    bool place = t->row == 0 || f->id == t->row || (f->id == 0 && f->first <= t->row && t->row <= f->last);
    /* A row that carries another row's content may rightly be called moved or altered; what matters is that
     * the row is named. */
    bool kind = f->code == t->expected || (t->expected == MOVED && f->code == ALTERED);
    if (!t->found && place && kind) {
        t->found = 1;
        snprintf(t->told, sizeof t->told, "%d %s", f->code, f->detail ? f->detail : "");
    }
}

static int verify(const struct tamper_setting *s, const char *database, struct tamper_case *t)
{
    char url[4200];
    struct fengni_data *data;
    struct fengni_table *table;
    struct fengni_verdict verdict;
    snprintf(url, sizeof url, "sqlite:%s", database);
    if (fengni_data_open(&data, url, s->socket)) return fprintf(stderr, "%s\n", fengni_data_failure()), -1;
    int err = fengni_table_open(data, s->table, &(struct fengni_table_options){.read_only = 1}, &table);
    if (err) {
        /* A table that cannot even be opened because it is older than its anchor is found, too. */
        t->found = err == t->expected;
        snprintf(t->told, sizeof t->told, "%s", fengni_data_failure());
    } else {
        err = fengni_table_verify(table, look, t, &verdict);
        if (!err)
            snprintf(t->told, sizeof t->told, "%s",
                     scenario_text("校验未发现问题", "verification found nothing"));
        fengni_table_close(table);
    }
    fengni_data_close(data);
    return 0;
}

static int run_sql(const char *database, const char *attach, const char *sql)
{
    sqlite3 *db;
    char *message = NULL, attach_sql[4300];
    int err = sqlite3_open_v2(database, &db, SQLITE_OPEN_READWRITE, NULL);
    if (!err && attach) {
        snprintf(attach_sql, sizeof attach_sql, "ATTACH '%s' AS old", attach);
        err = sqlite3_exec(db, attach_sql, NULL, NULL, &message);
    }
    if (!err) err = sqlite3_exec(db, sql, NULL, NULL, &message);
    if (!err && sqlite3_total_changes(db) == 0)
        err = -1; /* a tampering that changed nothing would prove nothing */
    if (err) fprintf(stderr, "%s: %s\n", sql, message ? message : sqlite3_errmsg(db));
    sqlite3_free(message);
    sqlite3_close(db);
    return err ? -1 : 0;
}

int tamper_all(const struct tamper_setting *s, struct tamper_case *cases)
{
    char sql[TAMPER_MOST][2048];
    int n = 0;
    const char *t = s->table, *c = s->protected_column, *d = s->other_protected_column;
    unsigned long long first = s->first, middle = s->middle, last = s->last, other = s->other;
#define CASE(zh, en, code, at, ...)                                                                          \
    do {                                                                                                     \
        cases[n] = (struct tamper_case){zh, en, code, at, 0, ""};                                            \
        snprintf(sql[n++], sizeof sql[0], __VA_ARGS__);                                                      \
    } while (0)
    CASE("改密文", "ciphertext altered", ALTERED, middle,
         "UPDATE \"%s\" SET \"%s\" = substr(\"%s\", 1, 60) || CASE substr(\"%s\", 61, 1) WHEN 'A' THEN 'B' "
         "ELSE 'A' END || substr(\"%s\", 62) "
         "WHERE fn_row = %llu",
         t, c, c, c, c, middle);
    CASE("清空字段", "field emptied", ALTERED, middle, "UPDATE \"%s\" SET \"%s\" = NULL WHERE fn_row = %llu",
         t, c, middle);
    if (s->covered_column)
        CASE("改明文列", "covered clear column altered", ALTERED, middle,
             "UPDATE \"%s\" SET \"%s\" = 'x' WHERE fn_row = %llu", t, s->covered_column, middle);
    CASE("换字段", "field taken from another row", MOVED, middle,
         "UPDATE \"%s\" SET \"%s\" = (SELECT \"%s\" FROM \"%s\" WHERE fn_row = %llu) WHERE fn_row = %llu", t,
         c, c, t, other, middle);
    if (strcmp(c, d) != 0)
        CASE("列互换", "columns of a row exchanged", MOVED, middle,
             "UPDATE \"%s\" SET \"%s\" = \"%s\", \"%s\" = \"%s\" WHERE fn_row = %llu", t, c, d, d, c, middle);
    CASE("行互换", "rows exchanged", MOVED, middle,
         "UPDATE \"%s\" SET fn_row = -1 WHERE fn_row = %llu; UPDATE \"%s\" SET fn_row = %llu WHERE fn_row = "
         "%llu; "
         "UPDATE \"%s\" SET fn_row = %llu WHERE fn_row = -1",
         t, middle, t, middle, other, t, other);
    CASE("插行", "row inserted", INSERTED, last + 1,
         "CREATE TEMP TABLE extra AS SELECT * FROM \"%s\" WHERE fn_row = %llu; UPDATE extra SET fn_row = "
         "%llu; INSERT INTO \"%s\" SELECT * FROM extra",
         t, middle, last + 1, t);
    CASE("删首行", "first row deleted", MISSING, first, "DELETE FROM \"%s\" WHERE fn_row = %llu", t, first);
    CASE("删中间行", "middle row deleted", MISSING, middle, "DELETE FROM \"%s\" WHERE fn_row = %llu", t,
         middle);
    CASE("删末行", "last row deleted", MISSING, last, "DELETE FROM \"%s\" WHERE fn_row = %llu", t, last);
    CASE("行换回旧版本", "row put back to an old version", SEGMENT_OLD, middle,
         "DELETE FROM \"%s\" WHERE fn_row = %llu; INSERT INTO \"%s\" SELECT * FROM old.\"%s\" WHERE fn_row = "
         "%llu",
         t, middle, t, t, middle);
#undef CASE
    for (int i = 0; i < n; i++) {
        char copy[4200];
        snprintf(copy, sizeof copy, "%s/tampered.db", s->work);
        bool old = cases[i].expected == SEGMENT_OLD;
        if (copy_file(s->database, copy) || run_sql(copy, old ? s->old_database : NULL, sql[i]) ||
            verify(s, copy, &cases[i]))
            return -1;
        unlink(copy);
        for (int k = 0; k < 2; k++) {
            snprintf(copy, sizeof copy, "%s/tampered.db%s", s->work, k ? "-wal" : "-shm");
            unlink(copy);
        }
    }
    cases[n] =
        (struct tamper_case){"整表换回旧副本", "whole table restored from an old copy", TABLE_OLD, 0, 0, ""};
    if (verify(s, s->old_database, &cases[n])) return -1;
    return n + 1;
}
