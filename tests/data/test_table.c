/* Protected tables over the software cipher: writing, reading, every kind of tampering, old copies, crashes,
 * full disks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/table.h"
#include "soft_cipher.h"
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

struct world {
    char dir[64], path[96], url[112];
    struct soft_cipher soft;
    struct fn_store *store;
    struct fn_data_table *table;
};

static const struct fn_column columns[] = {{"name", FN_COLUMN_COVERED},
                                           {"id_card", FN_COLUMN_PROTECTED},
                                           {"phone", FN_COLUMN_PROTECTED},
                                           {"note", FN_COLUMN_CLEAR}};
#define COLUMNS FN_COUNT(columns)

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/fengni-table-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/cases.db", w->dir);
    snprintf(w->url, sizeof w->url, "sqlite:%s", w->path);
    soft_cipher_init(&w->soft);
    *state = w;
    return 0;
}

static void shut(struct world *w)
{
    assert_int_equal(fn_data_table_close(w->table), FN_OK);
    fn_store_close(w->store);
    w->table = NULL;
    w->store = NULL;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[128];
    fn_data_table_close(w->table);
    fn_store_close(w->store);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    if (system(command)) return 1;
    free(w);
    return 0;
}

static fn_err try_open(struct world *w, bool read_only, enum fn_suite suite)
{
    struct fn_data_table_options o = {.columns = columns,
                                      .count = COLUMNS,
                                      .suite = suite,
                                      .read_only = read_only,
                                      .anchor_every_ms = 100000};
    fn_err err = fn_store_open(&w->store, w->url, !read_only);
    if (err == FN_OK) err = fn_data_table_open(&w->table, w->store, w->path, &w->soft.cipher, "citizens", &o);
    if (err != FN_OK) {
        fn_store_close(w->store);
        w->store = NULL;
    }
    return err;
}

static void reopen(struct world *w, bool read_only)
{
    assert_int_equal(try_open(w, read_only, FN_SUITE_SM4_GCM), FN_OK);
}

/* Rows number from…: name-N, 18 digits, phone, note; every seventh phone is NULL, every fifth empty. */
struct maker {
    size_t from, left, committed;
    size_t long_every;
};

static fn_err make_rows(void *self, struct fn_batch *b)
{
    struct maker *m = self;
    size_t offsets[FN_BATCH_ROWS * COLUMNS];
    while (m->left && b->rows < FN_BATCH_ROWS) {
        size_t i = m->from++, at = b->rows++ * COLUMNS;
        m->left--;
        offsets[at] = b->text.n;
        FN_TRY(fn_buf_format(&b->text, "张三-%zu", i));
        offsets[at + 1] = b->text.n;
        FN_TRY(fn_buf_format(&b->text, "110105%zu", 100000000000ul + i));
        offsets[at + 2] = b->text.n;
        if (i % 5) FN_TRY(fn_buf_format(&b->text, "138%zu", 10000000ul + i));
        for (size_t k = 0; m->long_every && i % m->long_every == 0 && k < 99000; k++)
            FN_TRY(fn_buf_text(&b->text, "0123456789"));
        offsets[at + 3] = b->text.n;
        FN_TRY(fn_buf_text(&b->text, "n"));
    }
    for (size_t i = 0; i < b->rows * COLUMNS; i++) {
        size_t end = i + 1 < b->rows * COLUMNS ? offsets[i + 1] : b->text.n;
        b->cells[i] = fn_bytes(b->text.p + offsets[i], end - offsets[i]);
        if (i % COLUMNS == 2 && (m->from - b->rows + i / COLUMNS) % 7 == 0) b->cells[i] = fn_bytes(NULL, 0);
    }
    return FN_OK;
}

static void count_committed(void *self, const struct fn_batch *b)
{
    ((struct maker *)self)->committed += b->rows;
}

static fn_err write_rows(struct world *w, size_t from, size_t count, size_t *committed)
{
    struct maker m = {.from = from, .left = count};
    struct fn_row_source source = {&m, make_rows, NULL, count_committed};
    fn_err err = fn_data_table_write(w->table, &source);
    if (committed) *committed = m.committed;
    return err;
}

static void fill(struct world *w, size_t count)
{
    size_t committed;
    reopen(w, false);
    assert_int_equal(write_rows(w, 1, count, &committed), FN_OK);
    assert_int_equal(committed, count);
    shut(w);
}

/* The customer's database as somebody with a database tool sees it. */
static int sql_each(void *context, int n, char **values, char **names)
{
    (void)names;
    if (context && n) snprintf(context, 256, "%s", values[0] ? values[0] : "NULL");
    return 0;
}

static void sql_at(const char *path, const char *text, char answer[256])
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, sql_each, answer, &message) != SQLITE_OK) fail_msg("%s: %s", text, message);
    sqlite3_close(db);
}
static void sql(struct world *w, const char *text)
{
    sql_at(w->path, text, NULL);
}

struct found {
    struct fn_finding list[64];
    size_t count;
};

static void take_finding(void *context, const struct fn_finding *f)
{
    struct found *found = context;
    if (found->count < FN_COUNT(found->list)) found->list[found->count] = *f;
    found->count++;
}

static fn_err verify(struct world *w, struct found *found, struct fn_verdict *verdict)
{
    memset(found, 0, sizeof *found);
    reopen(w, true);
    fn_err err = fn_data_table_verify(w->table, take_finding, found, verdict);
    assert_int_equal(err, FN_OK);
    assert_int_equal(found->count, verdict->findings);
    shut(w);
    return verdict->gravest;
}

static void expect_clean(struct world *w, uint64_t rows)
{
    struct found found;
    struct fn_verdict v;
    assert_int_equal(verify(w, &found, &v), FN_OK);
    assert_int_equal(v.findings, 0);
    assert_int_equal(v.rows, rows);
    assert_int_equal(v.counter, v.anchored);
}

static void expect_row(const struct found *found, fn_err code, uint64_t row, uint64_t other)
{
    for (size_t i = 0; i < found->count; i++)
        if (found->list[i].code == code && found->list[i].row == row &&
            (!other || found->list[i].other == other))
            return;
    for (size_t i = 0; i < found->count; i++)
        print_message("found %d row %llu other %llu %s\n", found->list[i].code,
                      (unsigned long long)found->list[i].row, (unsigned long long)found->list[i].other,
                      found->list[i].detail);
    fail_msg("no finding %d about row %llu", code, (unsigned long long)row);
}

/* Reading back: rows are what was written. */
struct reading {
    size_t rows, wrong;
};
static fn_err check_row(void *context, const struct fn_batch *b, size_t r)
{
    struct reading *x = context;
    char id[40], phone[40];
    size_t i = (size_t)b->ids[r];
    const struct fn_bytes *cells = b->cells + r * COLUMNS;
    int n = snprintf(id, sizeof id, "110105%zu", 100000000000ul + i),
        m = i % 5 ? snprintf(phone, sizeof phone, "138%zu", 10000000ul + i) : 0;
    bool good = b->results[r] == FN_OK && fn_bytes_equal(cells[1], fn_bytes(id, (size_t)n));
    good = good &&
           (i % 7 == 0 ? !cells[2].p : cells[2].p && fn_bytes_equal(cells[2], fn_bytes(phone, (size_t)m)));
    x->rows++;
    x->wrong += !good;
    return FN_OK;
}

static void rows_come_back(void **state)
{
    struct world *w = *state;
    struct reading x = {0};
    char answer[256] = "";
    fill(w, 1000);
    reopen(w, true);
    assert_int_equal(fn_data_table_read(w->table, 0, UINT64_MAX, check_row, &x), FN_OK);
    assert_int_equal(x.rows, 1000);
    assert_int_equal(x.wrong, 0);
    shut(w);
    expect_clean(w, 1000);
    sql_at(w->path, "SELECT count(*) FROM citizens WHERE id_card LIKE '%110105%' OR phone LIKE '138%'",
           answer);
    assert_string_equal(answer, "0");
    sql_at(w->path, "SELECT count(*) FROM citizens WHERE phone IS NULL", answer);
    assert_string_equal(answer, "142");
    sql_at(w->path, "SELECT count(*) FROM citizens WHERE phone = ''", answer);
    assert_string_equal(answer, "0"); /* empty is encrypted like everything else */
    sql_at(w->path, "SELECT length(id_card) FROM citizens LIMIT 1", answer);
    assert_int_equal(strtoul(answer, NULL, 10), fn_field_text_size(FN_SUITE_SM4_GCM, 18));
}

static void second_suite(void **state)
{
    struct world *w = *state;
    struct reading x = {0};
    assert_int_equal(try_open(w, false, FN_SUITE_SM4_CBC_HMAC), FN_OK);
    assert_int_equal(write_rows(w, 1, 300, NULL), FN_OK);
    shut(w);
    reopen(w, true);
    assert_int_equal(w->table->def.suite, FN_SUITE_SM4_CBC_HMAC);
    assert_int_equal(fn_data_table_read(w->table, 0, UINT64_MAX, check_row, &x), FN_OK);
    assert_int_equal(x.rows, 300);
    assert_int_equal(x.wrong, 0);
    shut(w);
    expect_clean(w, 300);
}

static void large_fields(void **state)
{
    struct world *w = *state;
    struct maker m = {.from = 1, .left = 12, .long_every = 4};
    struct fn_row_source source = {&m, make_rows, NULL, count_committed};
    reopen(w, false);
    assert_int_equal(fn_data_table_write(w->table, &source), FN_OK);
    m = (struct maker){.from = 13, .left = 1};
    shut(w);
    expect_clean(w, 12);
    reopen(w, false);
    struct fn_bytes cells[COLUMNS] = {FN_BYTES_LITERAL("x"), {NULL, 0}, {NULL, 0}, {NULL, 0}};
    char *big = calloc(1, FN_FIELD_MOST + 1);
    memset(big, 'a', FN_FIELD_MOST + 1);
    cells[1] = fn_bytes(big, FN_FIELD_MOST);
    assert_int_equal(fn_data_table_update(w->table, 3, cells), FN_OK);
    cells[1].n++;
    assert_int_equal(fn_data_table_update(w->table, 3, cells), FN_E_TOO_LARGE);
    free(big);
    shut(w);
    expect_clean(w, 12);
}

static void altered_rows(void **state)
{
    struct world *w = *state;
    struct found f;
    struct fn_verdict v;
    fill(w, 600);
    sql(w, "UPDATE citizens SET note = 'anything' WHERE fn_row = 9"); /* not covered */
    expect_clean(w, 600);
    sql(w, "UPDATE citizens SET name = 'other' WHERE fn_row IN (1, 300, 600)");
    sql(w, "UPDATE citizens SET id_card = NULL WHERE fn_row = 2");
    sql(w, "UPDATE citizens SET fn_version = 7 WHERE fn_row = 3");
    sql(w, "UPDATE citizens SET id_card = substr(id_card, 1, 70) || 'A' || substr(id_card, 72) WHERE fn_row "
           "= 4");
    sql(w, "UPDATE citizens SET name = CAST(name AS BLOB) WHERE fn_row = 5");
    assert_int_equal(verify(w, &f, &v), FN_E_ROW_ALTERED);
    for (uint64_t i = 1; i <= 5; i++) expect_row(&f, FN_E_ROW_ALTERED, i, 0);
    expect_row(&f, FN_E_ROW_ALTERED, 300, 0);
    expect_row(&f, FN_E_ROW_ALTERED, 600, 0);
    assert_int_equal(f.count, 7);
}

static void swapped_rows(void **state)
{
    struct world *w = *state;
    struct found f;
    struct fn_verdict v;
    fill(w, 600);
    sql(w, "UPDATE citizens SET fn_row = -1 WHERE fn_row = 10; UPDATE citizens SET fn_row = 10 WHERE fn_row "
           "= 500;"
           "UPDATE citizens SET fn_row = 500 WHERE fn_row = -1");
    sql(w, "CREATE TABLE kept AS SELECT fn_row AS at, id_card AS cell FROM citizens WHERE fn_row IN (16, 17);"
           "UPDATE citizens SET id_card = (SELECT cell FROM kept WHERE at = 33 - fn_row) WHERE fn_row IN "
           "(16, 17)");
    sql(w, "CREATE TABLE macs AS SELECT fn_row AS at, fn_mac AS cell FROM citizens WHERE fn_row IN (40, 400);"
           "UPDATE citizens SET fn_mac = (SELECT cell FROM macs WHERE at = 440 - fn_row) WHERE fn_row IN "
           "(40, 400)");
    sql(w, "UPDATE citizens SET fn_row = 9999 WHERE fn_row = 50");
    sql(w, "UPDATE citizens SET id_card = phone, phone = id_card WHERE fn_row = 31");
    assert_int_equal(verify(w, &f, &v), FN_E_ROW_MOVED);
    expect_row(&f, FN_E_ROW_MOVED, 10, 500);
    expect_row(&f, FN_E_ROW_MOVED, 500, 10);
    expect_row(&f, FN_E_ROW_MOVED, 16, 17);
    expect_row(&f, FN_E_ROW_MOVED, 17, 16);
    expect_row(&f, FN_E_ROW_MOVED, 31, 31);
    expect_row(&f, FN_E_ROW_MOVED, 40, 400);
    expect_row(&f, FN_E_ROW_MOVED, 400, 40);
    expect_row(&f, FN_E_ROW_MOVED, 9999, 50);
    assert_int_equal(f.count, 8);
}

static void inserted_rows(void **state)
{
    struct world *w = *state;
    struct found f;
    struct fn_verdict v;
    fill(w, 600);
    sql(w, "INSERT INTO citizens SELECT name, id_card, phone, note, 601, fn_version, fn_mac FROM citizens "
           "WHERE fn_row = 5");
    sql(w, "INSERT INTO citizens VALUES ('x', 'y', 'z', NULL, 100000, 1, x'00')");
    sql(w,
        "INSERT INTO citizens VALUES ('x', 'y', 'z', NULL, 5497558138880, 1, zeroblob(36))"); /* writer 5 */
    assert_int_equal(verify(w, &f, &v), FN_E_ROW_INSERTED);
    expect_row(&f, FN_E_ROW_INSERTED, 601, 0);
    expect_row(&f, FN_E_ROW_INSERTED, 100000, 0);
    expect_row(&f, FN_E_ROW_INSERTED, 5497558138880, 0);
    assert_int_equal(f.count, 3);
}

static void deleted_rows(void **state)
{
    struct world *w = *state;
    struct found f;
    struct fn_verdict v;
    fill(w, 600);
    sql(w, "DELETE FROM citizens WHERE fn_row IN (1, 300, 600)");
    assert_int_equal(verify(w, &f, &v), FN_E_ROW_MISSING);
    expect_row(&f, FN_E_ROW_MISSING, 1, 0);
    expect_row(&f, FN_E_ROW_MISSING, 300, 0);
    expect_row(&f, FN_E_ROW_MISSING, 600, 0);
    assert_int_equal(f.count, 3);
    sql(w, "DELETE FROM citizens");
    assert_int_equal(verify(w, &f, &v), FN_E_ROW_MISSING);
    assert_int_equal(v.findings, 600);
}

static void old_version(void **state)
{
    struct world *w = *state;
    struct found f;
    struct fn_verdict v;
    struct fn_bytes cells[COLUMNS] = {FN_BYTES_LITERAL("new"), FN_BYTES_LITERAL("1"), {NULL, 0}, {NULL, 0}};
    fill(w, 600);
    sql(w, "CREATE TABLE kept AS SELECT * FROM citizens WHERE fn_row IN (300, 301)");
    reopen(w, false);
    assert_int_equal(fn_data_table_update(w->table, 300, cells), FN_OK);
    assert_int_equal(fn_data_table_update(w->table, 300, cells), FN_OK);
    assert_int_equal(fn_data_table_delete(w->table, 301), FN_OK);
    assert_int_equal(fn_data_table_delete(w->table, 301), FN_E_NOT_FOUND);
    shut(w);
    expect_clean(w, 599);
    sql(w, "DELETE FROM citizens WHERE fn_row = 300; INSERT INTO citizens SELECT * FROM kept WHERE fn_row = "
           "300");
    assert_int_equal(verify(w, &f, &v), FN_E_SEGMENT_OLD);
    assert_int_equal(f.count, 1);
    assert_int_equal(f.list[0].first, 257);
    assert_int_equal(f.list[0].last, 512);
    /* A row that was deleted comes back. */
    sql(w, "INSERT INTO citizens SELECT * FROM kept WHERE fn_row = 301");
    assert_int_equal(verify(w, &f, &v), FN_E_ROW_INSERTED);
    expect_row(&f, FN_E_ROW_INSERTED, 301, 0);
    /* Nor does an update cover the old version up. */
    reopen(w, false);
    assert_int_equal(fn_data_table_update(w->table, 300, cells), FN_OK);
    shut(w);
    assert_int_equal(verify(w, &f, &v), FN_E_ROW_INSERTED);
    assert_int_equal(f.count, 2);
    assert_int_equal(f.list[1].code, FN_E_SEGMENT_OLD);
}

static void copy_file(const char *from, const char *to)
{
    char command[640];
    snprintf(command, sizeof command, "cp %s %s && rm -f %s-wal %s-shm", from, to, to, to);
    assert_int_equal(system(command), 0);
}

static void old_copies(void **state)
{
    struct world *w = *state;
    struct found f;
    struct fn_verdict v;
    char old[128];
    snprintf(old, sizeof old, "%s/old.db", w->dir);
    fill(w, 300);
    copy_file(w->path, old);
    fill(w, 1); /* ids go on; contents do not matter here */
    expect_clean(w, 301);
    /* The rows alone from the old copy: the row that came later is missing. */
    char text[400];
    snprintf(text, sizeof text,
             "ATTACH '%s' AS old; DELETE FROM citizens; INSERT INTO citizens SELECT * FROM old.citizens",
             old);
    sql(w, text);
    assert_int_equal(verify(w, &f, &v), FN_E_ROW_MISSING);
    expect_row(&f, FN_E_ROW_MISSING, 301, 0);
    /* The table with its manifest. */
    snprintf(text, sizeof text,
             "ATTACH '%s' AS old; DELETE FROM fn_data_head; INSERT INTO fn_data_head SELECT * FROM "
             "old.fn_data_head;"
             "DELETE FROM fn_data_segment; INSERT INTO fn_data_segment SELECT * FROM old.fn_data_segment",
             old);
    sql(w, text);
    assert_int_equal(verify(w, &f, &v), FN_E_TABLE_OLD);
    assert_int_equal(f.count, 1);
    /* The whole file; and no writer goes on from there. */
    copy_file(old, w->path);
    assert_int_equal(verify(w, &f, &v), FN_E_TABLE_OLD);
    assert_int_equal(f.count, 1);
    assert_int_equal(try_open(w, false, FN_SUITE_SM4_GCM), FN_E_TABLE_OLD);
    /* Somebody with the right to it accepts the restored state: it counts from now on, and what was lost does
     * not come back. */
    unsigned writers;
    char lost[128];
    snprintf(lost, sizeof lost, "%s/lost.db", w->dir);
    reopen(w, true);
    struct reading x = {0};
    assert_int_equal(fn_data_table_read(w->table, 0, UINT64_MAX, check_row, &x), FN_E_TABLE_OLD);
    assert_int_equal(x.rows, 0);
    assert_int_equal(fn_data_table_adopt(w->table, &writers), FN_OK);
    assert_int_equal(fn_data_table_read(w->table, 0, UINT64_MAX, check_row, &x), FN_OK);
    assert_int_equal(x.rows, 300);
    assert_int_equal(writers, 1);
    assert_int_equal(fn_data_table_adopt(w->table, &writers), FN_OK);
    assert_int_equal(writers, 0);
    shut(w);
    expect_clean(w, 300);
    copy_file(w->path, lost);
    fill(w, 5);
    expect_clean(w, 305);
    copy_file(lost, w->path);
    assert_int_equal(verify(w, &f, &v), FN_E_TABLE_OLD);
    /* A manifest that was altered is not accepted. */
    sql(w, "UPDATE fn_data_segment SET sum = zeroblob(32)");
    reopen(w, true);
    assert_int_equal(fn_data_table_adopt(w->table, &writers), FN_E_CORRUPT);
    shut(w);
}

static void altered_manifest(void **state)
{
    static const char *const acts[] = {
        "UPDATE fn_data_segment SET sum = zeroblob(32) WHERE segment = 1",
        "DELETE FROM fn_data_segment WHERE segment = 0",
        "DELETE FROM fn_data_segment",
        "UPDATE fn_data_segment SET live = live - 1, bitmap = x'FE' || substr(bitmap, 2) WHERE segment = 0",
        "UPDATE fn_data_head SET mac = zeroblob(36)",
        "UPDATE fn_data_head SET record = substr(record, 1, 61) || x'00' || substr(record, 63)",
        "UPDATE fn_data_head SET record = x'00'",
        "INSERT INTO fn_data_head SELECT table_uuid, writer, counter + 1, record, mac FROM fn_data_head "
        "ORDER BY counter DESC LIMIT 1",
    };
    struct world *w = *state;
    struct found f;
    struct fn_verdict v;
    char kept[128];
    snprintf(kept, sizeof kept, "%s/kept.db", w->dir);
    fill(w, 600);
    copy_file(w->path, kept);
    for (size_t i = 0; i < FN_COUNT(acts); i++) {
        sql(w, acts[i]);
        if (verify(w, &f, &v) != FN_E_CORRUPT) fail_msg("not found: %s (%d)", acts[i], v.gravest);
        copy_file(kept, w->path);
        expect_clean(w, 600);
    }
    sql(w, "DELETE FROM fn_data_head");
    assert_int_equal(verify(w, &f, &v), FN_E_TABLE_OLD);
    copy_file(kept, w->path);
    sql(w, "UPDATE fn_data_table SET columns = substr(columns, 1, length(columns) - 1) || x'01'");
    assert_int_equal(try_open(w, true, FN_SUITE_SM4_GCM), FN_E_CORRUPT);
    sql(w, "DELETE FROM fn_data_table");
    assert_int_equal(try_open(w, true, FN_SUITE_SM4_GCM), FN_E_NOT_FOUND);
}

/* A crash between commit and anchor: what is ahead of the anchor is in order, and the next writer anchors it.
 */
static void ahead_of_anchor(void **state)
{
    struct world *w = *state;
    struct found f;
    struct fn_verdict v;
    char old[128], crashed[128];
    snprintf(old, sizeof old, "%s/old.db", w->dir);
    snprintf(crashed, sizeof crashed, "%s/crashed.db", w->dir);
    fill(w, 300);
    copy_file(w->path, old);
    reopen(w, false);
    w->soft.anchor_fails = 1;
    assert_int_equal(write_rows(w, 301, 700, NULL), FN_OK);
    assert_int_equal(fn_data_table_close(w->table), FN_E_DEVICE_LOST);
    w->table = NULL;
    fn_store_close(w->store);
    w->store = NULL;
    w->soft.anchor_fails = 0;
    assert_int_equal(verify(w, &f, &v), FN_OK);
    assert_int_equal(v.rows, 1000);
    assert_true(v.counter > v.anchored);
    copy_file(w->path, crashed);
    reopen(w, false);
    shut(w);
    expect_clean(w, 1000);
    /* From now on the copy from before is old. */
    copy_file(old, w->path);
    assert_int_equal(verify(w, &f, &v), FN_E_TABLE_OLD);
}

static void device_lost_in_the_middle(void **state)
{
    struct world *w = *state;
    size_t committed = 0, all = 0;
    reopen(w, false);
    for (int i = 1; i <= 9; i++) {
        w->soft.fail_in = i;
        assert_int_equal(write_rows(w, 1 + all, 1000, &committed), FN_E_DEVICE_LOST);
        assert_int_equal(committed % 256, 0);
        all += committed;
    }
    w->soft.fail_in = 0;
    assert_true(all > 0);
    assert_int_equal(write_rows(w, 1 + all, 100, &committed), FN_OK);
    shut(w);
    expect_clean(w, all + 100);
}

static void two_writers(void **state)
{
    struct world *w = *state;
    struct fn_store *store;
    struct fn_data_table *table, *first;
    struct fn_data_table_options o = {.anchor_every_ms = 100000};
    struct fn_bytes cells[COLUMNS] = {FN_BYTES_LITERAL("new"), FN_BYTES_LITERAL("1"), {NULL, 0}, {NULL, 0}};
    struct found f;
    struct fn_verdict v;
    reopen(w, false);
    assert_int_equal(write_rows(w, 1, 300, NULL), FN_OK);
    assert_int_equal(fn_store_open(&store, w->url, false), FN_OK);
    assert_int_equal(fn_data_table_open(&table, store, w->path, &w->soft.cipher, "citizens", &o), FN_OK);
    assert_int_equal(table->writer, 1);
    first = w->table;
    w->table = table;
    assert_int_equal(write_rows(w, 1, 10, NULL), FN_OK);
    assert_int_equal(fn_data_table_update(table, 7, cells), FN_OK); /* of the first writer */
    assert_int_equal(fn_data_table_update(first, fn_row_id(1, 3), cells), FN_OK);
    assert_int_equal(fn_data_table_delete(first, fn_row_id(1, 4)), FN_OK);
    w->table = first;
    assert_int_equal(write_rows(w, 301, 300, NULL), FN_OK); /* on top of what the second changed */
    w->table = table;
    assert_int_equal(write_rows(w, 1, 10, NULL), FN_OK);
    w->table = first;
    assert_int_equal(fn_data_table_close(table), FN_OK);
    fn_store_close(store);
    shut(w);
    expect_clean(w, 619);
    sql(w, "DELETE FROM citizens WHERE fn_row > 1000000000; DELETE FROM fn_data_head WHERE writer = 1;"
           "DELETE FROM fn_data_segment WHERE writer = 1");
    assert_int_equal(verify(w, &f, &v), FN_E_TABLE_OLD);
}

static void full_and_read_only_disk(void **state)
{
    struct world *w = *state;
    size_t committed = 0;
    fill(w, 300);
    reopen(w, false);
    assert_int_equal(fn_store_run(w->store, "PRAGMA max_page_count = 40"), FN_OK);
    assert_int_equal(write_rows(w, 301, 5000, &committed), FN_E_DISK_FULL);
    assert_int_equal(committed % 256, 0);
    assert_int_equal(fn_store_run(w->store, "PRAGMA max_page_count = 1000000"), FN_OK);
    assert_int_equal(write_rows(w, 301 + committed, 100, NULL), FN_OK);
    shut(w);
    expect_clean(w, 300 + committed + 100);
    reopen(w, false);
    assert_int_equal(fn_store_run(w->store, "PRAGMA query_only = 1"), FN_OK);
    assert_int_equal(write_rows(w, 1, 1, NULL), FN_E_READ_ONLY);
    shut(w);
}

static void bad_requests(void **state)
{
    struct world *w = *state;
    struct fn_column twice[] = {{"a", FN_COLUMN_PROTECTED}, {"A", FN_COLUMN_COVERED}};
    struct fn_column ours[] = {{"fn_row", FN_COLUMN_PROTECTED}};
    struct fn_column none[] = {{"a", FN_COLUMN_CLEAR}};
    struct fn_column odd[] = {{"a \"quoted\"; DROP", FN_COLUMN_PROTECTED}};
    struct fn_data_table_options o = {.columns = twice, .count = 2};
    struct fn_data_table *t;
    assert_int_equal(fn_store_open(&w->store, w->url, true), FN_OK);
    assert_int_equal(fn_data_table_open(&t, w->store, w->path, &w->soft.cipher, "t", &o), FN_E_COLUMN);
    o = (struct fn_data_table_options){.columns = ours, .count = 1};
    assert_int_equal(fn_data_table_open(&t, w->store, w->path, &w->soft.cipher, "t", &o), FN_E_ARGUMENT);
    o = (struct fn_data_table_options){.columns = none, .count = 1};
    assert_int_equal(fn_data_table_open(&t, w->store, w->path, &w->soft.cipher, "t", &o), FN_E_ARGUMENT);
    o = (struct fn_data_table_options){.columns = odd, .count = 1};
    assert_int_equal(fn_data_table_open(&t, w->store, w->path, &w->soft.cipher, "t'\"; --", &o), FN_OK);
    struct fn_bytes cell = FN_BYTES_LITERAL("v");
    assert_int_equal(fn_data_table_update(t, 1, &cell), FN_E_NOT_FOUND);
    assert_int_equal(fn_data_table_close(t), FN_OK);
    o = (struct fn_data_table_options){.columns = none, .count = 1};
    assert_int_equal(fn_data_table_open(&t, w->store, w->path, &w->soft.cipher, "t'\"; --", &o), FN_E_COLUMN);
    /* A table of the customer's: needs our columns, text, and no rows. */
    sql(w, "CREATE TABLE own (a INTEGER, fn_row INTEGER PRIMARY KEY, fn_version INTEGER, fn_mac BLOB)");
    o = (struct fn_data_table_options){.columns = twice, .count = 1};
    assert_int_equal(fn_data_table_open(&t, w->store, w->path, &w->soft.cipher, "own", &o), FN_E_COLUMN);
    sql(w, "DROP TABLE own; CREATE TABLE own (a VARCHAR(20))");
    assert_int_equal(fn_data_table_open(&t, w->store, w->path, &w->soft.cipher, "own", &o), FN_E_COLUMN);
    sql(w, "ALTER TABLE own ADD COLUMN fn_row INTEGER; ALTER TABLE own ADD COLUMN fn_version INTEGER;"
           "ALTER TABLE own ADD COLUMN fn_mac BLOB; INSERT INTO own (a) VALUES ('clear')");
    assert_int_equal(fn_data_table_open(&t, w->store, w->path, &w->soft.cipher, "own", &o), FN_E_EXISTS);
    sql(w, "DELETE FROM own");
    assert_int_equal(fn_data_table_open(&t, w->store, w->path, &w->soft.cipher, "own", &o), FN_OK);
    assert_int_equal(fn_data_table_close(t), FN_OK);
}

int main(void)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(rows_come_back),  WORLD_TEST(second_suite),
        WORLD_TEST(large_fields),    WORLD_TEST(altered_rows),
        WORLD_TEST(swapped_rows),    WORLD_TEST(inserted_rows),
        WORLD_TEST(deleted_rows),    WORLD_TEST(old_version),
        WORLD_TEST(old_copies),      WORLD_TEST(altered_manifest),
        WORLD_TEST(ahead_of_anchor), WORLD_TEST(device_lost_in_the_middle),
        WORLD_TEST(two_writers),     WORLD_TEST(full_and_read_only_disk),
        WORLD_TEST(bad_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
