/* Protecting rows into SQLite against a prepared insert of the same clear rows: WAL, synchronous=FULL, 256
 * rows a transaction. */
#include "bench.h"

#include "scenario/cases.h"

#include <fengni/data.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS   20000u
#define ROUNDS 3

static struct case_row *rows;
static struct fengni_cell *cells;
static struct fengni_column columns[CASE_COLUMNS];

static void die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static void make_rows(void)
{
    rows = calloc(ROWS, sizeof *rows);
    cells = calloc((size_t)ROWS * CASE_COLUMNS, sizeof *cells);
    if (!rows || !cells) die("memory");
    for (size_t n = 0; n < ROWS; n++) {
        case_make(5, n, &rows[n]);
        for (size_t i = 0; i < CASE_COLUMNS; i++)
            cells[n * CASE_COLUMNS + i] = (struct fengni_cell){rows[n].field[i], strlen(rows[n].field[i])};
    }
    for (size_t i = 0; i < CASE_COLUMNS; i++) {
        columns[i] = (struct fengni_column){case_columns[i], FENGNI_COLUMN_COVERED};
        for (size_t k = 0; k < case_protected_count; k++)
            if (strcmp(case_columns[i], case_protected[k]) == 0) columns[i].role = FENGNI_COLUMN_PROTECTED;
    }
}

static void run_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL)) die(sqlite3_errmsg(db));
}

static double clear_rate(const char *path)
{
    sqlite3 *db;
    sqlite3_stmt *insert;
    char sql[4096];
    int n = snprintf(sql, sizeof sql, "CREATE TABLE cases(id INTEGER PRIMARY KEY");
    if (sqlite3_open(path, &db)) die("sqlite");
    run_sql(db, "PRAGMA journal_mode=WAL");
    run_sql(db, "PRAGMA synchronous=FULL");
    for (int i = 0; i < CASE_COLUMNS; i++)
        n += snprintf(sql + n, sizeof sql - (size_t)n, ",\"%s\" TEXT", case_columns[i]);
    snprintf(sql + n, sizeof sql - (size_t)n, ")");
    run_sql(db, sql);
    n = snprintf(sql, sizeof sql, "INSERT INTO cases VALUES(NULL");
    for (int i = 0; i < CASE_COLUMNS; i++) n += snprintf(sql + n, sizeof sql - (size_t)n, ",?%d", i + 1);
    snprintf(sql + n, sizeof sql - (size_t)n, ")");
    if (sqlite3_prepare_v2(db, sql, -1, &insert, NULL)) die(sqlite3_errmsg(db));
    double began = bench_now();
    for (size_t r = 0; r < ROWS; r++) {
        if (r % 256 == 0) run_sql(db, "BEGIN IMMEDIATE");
        for (int i = 0; i < CASE_COLUMNS; i++) {
            const struct fengni_cell *c = &cells[r * CASE_COLUMNS + (size_t)i];
            sqlite3_bind_text(insert, i + 1, c->text, (int)c->n, SQLITE_STATIC);
        }
        if (sqlite3_step(insert) != SQLITE_DONE) die(sqlite3_errmsg(db));
        sqlite3_reset(insert);
        if (r % 256 == 255 || r == ROWS - 1) run_sql(db, "COMMIT");
    }
    double rate = ROWS / (bench_now() - began);
    sqlite3_finalize(insert);
    sqlite3_close(db);
    return rate;
}

static int count_row(void *context, uint64_t id, uint64_t version, int result, const struct fengni_cell *row)
{
    (void)id, (void)version, (void)row;
    if (result) return result;
    ++*(uint64_t *)context;
    return 0;
}

static double protected_rate(const char *url, double *read_rate)
{
    struct fengni_data *data;
    struct fengni_table *table;
    struct fengni_table_options options = {.columns = columns, .column_count = CASE_COLUMNS};
    if (fengni_data_open(&data, url, bench_device_socket()) ||
        fengni_table_open(data, "cases", &options, &table))
        die(fengni_data_failure());
    double began = bench_now();
    if (fengni_table_insert(table, ROWS, cells, NULL, NULL)) die(fengni_data_failure());
    double rate = ROWS / (bench_now() - began);
    uint64_t n = 0;
    began = bench_now();
    if (fengni_table_read(table, 0, UINT64_MAX, count_row, &n) || n != ROWS) die(fengni_data_failure());
    *read_rate = ROWS / (bench_now() - began);
    if (fengni_table_close(table)) die(fengni_data_failure());
    fengni_data_close(data);
    return rate;
}

void bench_data(void)
{
    if (!bench_wanted("data")) return;
    make_rows();
    double clear[ROUNDS], covered[ROUNDS], ratio[ROUNDS], reading[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        char path[256], url[300];
        snprintf(path, sizeof path, "%s/clear%d.db", bench_device_directory(), i);
        clear[i] = clear_rate(path);
        snprintf(url, sizeof url, "sqlite:%s/protected%d.db", bench_device_directory(), i);
        covered[i] = protected_rate(url, &reading[i]);
        ratio[i] = clear[i] / covered[i];
    }
    double plain = bench_median(clear, ROUNDS), protect = bench_median(covered, ROUNDS);
    bench_emit(&(struct bench_row){"data protect into SQLite",
                                   "rows/s",
                                   false,
                                   protect,
                                   {{"clear rows, prepared insert", plain}},
                                   plain / 2.5,
                                   "7 of 22 columns encrypted, device and loader on the same two cores"});
    bench_emit(&(struct bench_row){"data protect, time against clear insert",
                                   "ratio",
                                   true,
                                   bench_median(ratio, ROUNDS),
                                   {{NULL, 0}},
                                   2.5,
                                   NULL});
    bench_emit(&(struct bench_row){"data reveal from SQLite",
                                   "rows/s",
                                   false,
                                   bench_median(reading, ROUNDS),
                                   {{NULL, 0}},
                                   BENCH_NO_GOAL,
                                   "each row checked"});
    free(rows);
    free(cells);
}
