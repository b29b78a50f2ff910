#include "data/import.h"

#include "base/sys/os_err.h"
#include "crypto/sm3/sm3.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BATCH_BYTES (4u << 20) /* of clear text: a batch of large rows ends early */

struct run {
    struct fn_data_table *table;
    const struct fn_import *import;
    struct fn_import_result *result;
    struct fn_csv *csv;
    int in, rejects;
    uint64_t size, offset, line, reject_size, reject_synced;
    uint64_t rows, rejected; /* read so far */
    bool resumable;
    struct fn_statement *put;
};

static fn_err read_fd(void *self, uint8_t *out, size_t room, size_t *got)
{
    int fd = *(int *)self;
    ssize_t n;
    do n = read(fd, out, room);
    while (n < 0 && errno == EINTR);
    if (n < 0) return FN_FAIL_OS("reading the input");
    *got = (size_t)n;
    return FN_OK;
}

static fn_err open_in(const char *path, int *fd)
{
    *fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(0);
    return *fd >= 0 ? FN_OK : FN_FAIL_OS("%s", path);
}

void fn_import_columns_free(char **names, size_t count)
{
    for (size_t i = 0; names && i < count; i++) free(names[i]);
    free(names);
}

static fn_err copy_names(const struct fn_csv_record *r, char ***names, size_t *count)
{
    FN_TRY(fn_heap_array(names, r->count, sizeof **names));
    for (*count = 0; *count < r->count; ++*count)
        FN_TRY(fn_heap_text(&(*names)[*count], (const char *)r->fields[*count].p, r->fields[*count].n));
    return FN_OK;
}

static fn_err header(struct fn_csv *csv, struct fn_csv_record *r)
{
    bool more;
    FN_TRY(fn_csv_next(csv, r, &more));
    if (!more) return FN_FAIL(FN_E_CSV, "the input is empty; its first line must name the columns");
    if (r->bad)
        return FN_FAIL(r->bad, "line %llu, the names of the columns: %s", (unsigned long long)r->line,
                       r->reason[FN_LANG_EN]);
    return FN_OK;
}

fn_err fn_import_columns(const struct fn_import *import, char ***names, size_t *count)
{
    FN_SCOPED_FD int fd = -1;
    struct fn_csv_source source = {&fd, read_fd};
    struct fn_csv *csv;
    struct fn_csv_record r;
    *names = NULL;
    *count = 0;
    if (!strcmp(import->in, "-"))
        return FN_FAIL(FN_E_ARGUMENT, "the columns of standard input cannot be read beforehand");
    FN_TRY(open_in(import->in, &fd));
    FN_TRY(fn_csv_open(&csv, &source, import->encoding, 0, 1));
    fn_err err = header(csv, &r);
    if (err == FN_OK) err = copy_names(&r, names, count);
    fn_csv_close(csv);
    return err;
}

/* SM3 of the whole input: by it an interrupted run is recognised. */
static fn_err digest_input(struct run *x)
{
    struct stat st;
    struct fn_sm3 h;
    FN_SCOPED_HEAP uint8_t *block = NULL;
    size_t got;
    if (fstat(x->in, &st)) return FN_FAIL_OS("%s", x->import->in);
    x->resumable = S_ISREG(st.st_mode);
    if (!x->resumable) return FN_OK;
    x->size = (uint64_t)st.st_size;
    FN_TRY(fn_heap_array(&block, 1 << 18, 1));
    fn_sm3_init(&h);
    do {
        FN_TRY(read_fd(&x->in, block, 1 << 18, &got));
        fn_sm3_update(&h, block, got);
    } while (got);
    fn_sm3_final(&h, x->result->digest);
    fn_wipe(block, 1 << 18);
    if (lseek(x->in, 0, SEEK_SET)) return FN_FAIL_OS("%s", x->import->in);
    return FN_OK;
}

/* Where the last run of this input into this table stopped. */
static fn_err look_up(struct run *x)
{
    struct fn_statement *s;
    bool row = false;
    if (!x->resumable) return FN_OK;
    FN_TRY(fn_store_prepare(
        x->table->store,
        "SELECT position, line, row_count, rejected, reject_size, finished FROM fn_data_import "
        "WHERE table_uuid = ?1 AND source = ?2",
        &s));
    struct fn_value key[] = {fn_value_blob(x->table->def.uuid.b, 16), fn_value_blob(x->result->digest, 32)};
    fn_err err = fn_statement_bind(s, FN_COUNT(key), key);
    if (err == FN_OK) err = fn_statement_step(s, &row);
    if (err == FN_OK && row) {
        x->offset = (uint64_t)fn_statement_value(s, 0).integer;
        x->line = (uint64_t)fn_statement_value(s, 1).integer;
        x->rows = (uint64_t)fn_statement_value(s, 2).integer;
        x->rejected = (uint64_t)fn_statement_value(s, 3).integer;
        x->reject_size = (uint64_t)fn_statement_value(s, 4).integer;
        x->result->finished_before = fn_statement_value(s, 5).integer != 0;
        x->result->resumed_line = x->line;
    }
    fn_statement_free(s);
    return err;
}

static fn_err save(struct run *x, const uint64_t mark[4], uint64_t rows, bool finished)
{
    if (!x->resumable) return FN_OK;
    if (!x->put)
        FN_TRY(fn_store_prepare(
            x->table->store,
            "INSERT INTO fn_data_import (table_uuid, source, position, line, row_count, rejected, "
            "reject_size, "
            "finished) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (table_uuid, source) DO UPDATE "
            "SET "
            "position = excluded.position, line = excluded.line, row_count = excluded.row_count, "
            "rejected = excluded.rejected, reject_size = excluded.reject_size, finished = excluded.finished",
            &x->put));
    struct fn_value values[] = {fn_value_blob(x->table->def.uuid.b, 16), fn_value_blob(x->result->digest, 32),
                                fn_value_integer((int64_t)mark[0]),      fn_value_integer((int64_t)mark[1]),
                                fn_value_integer((int64_t)rows),         fn_value_integer((int64_t)mark[2]),
                                fn_value_integer((int64_t)mark[3]),      fn_value_integer(finished)};
    return fn_statement_run(x->put, FN_COUNT(values), values);
}

static fn_err write_rejects(struct run *x, struct fn_bytes text)
{
    for (size_t done = 0; done < text.n;) {
        ssize_t n = pwrite(x->rejects, text.p + done, text.n - done, (off_t)(x->reject_size + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return FN_FAIL_OS("%s", x->import->rejects);
        done += (size_t)n;
    }
    x->reject_size += text.n;
    return FN_OK;
}

/* What was reported behind the last commit is reported again. */
static fn_err open_rejects(struct run *x)
{
    if (!x->import->rejects || x->rejects >= 0) return FN_OK;
    x->rejects = open(x->import->rejects, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (x->rejects < 0) return FN_FAIL_OS("%s", x->import->rejects);
    if (ftruncate(x->rejects, (off_t)x->reject_size)) return FN_FAIL_OS("%s", x->import->rejects);
    if (x->reject_size) return FN_OK;
    static const char title[] = "line,code,error,reason\n";
    return write_rejects(x, fn_bytes(title, sizeof title - 1));
}

static fn_err reject(struct run *x, uint64_t line, fn_err code, const char *zh, const char *en)
{
    FN_SCOPED_BUF struct fn_buf text = fn_buf_heap();
    const struct fn_err_text *words = fn_err_text(code);
    x->rejected++;
    if (!x->import->rejects) return FN_OK;
    FN_TRY(open_rejects(x));
    FN_TRY(fn_buf_format(&text, "%llu,%d,", (unsigned long long)line, code));
    FN_TRY(fn_csv_field(&text, fn_bytes(words->text[FN_LANG_ZH], strlen(words->text[FN_LANG_ZH])), true));
    FN_SCOPED_BUF struct fn_buf both = fn_buf_heap();
    FN_TRY(fn_buf_format(&both, "%s; %s", zh, en));
    FN_TRY(fn_csv_field(&text, fn_buf_view(&both), false));
    FN_TRY(fn_buf_u8(&text, '\n'));
    return write_rejects(x, fn_buf_view(&text));
}

/* Whether the record has its right width and sizes; otherwise it is reported. */
static fn_err check_record(struct run *x, const struct fn_csv_record *r, bool *good)
{
    char zh[80], en[80];
    *good = false;
    if (r->bad) return reject(x, r->line, r->bad, r->reason[FN_LANG_ZH], r->reason[FN_LANG_EN]);
    if (r->count != x->table->def.count) {
        fn_format(zh, sizeof zh, "应有 %zu 个字段,实有 %zu 个", x->table->def.count, r->count);
        fn_format(en, sizeof en, "%zu fields expected, %zu found", x->table->def.count, r->count);
        return reject(x, r->line, FN_E_CSV, zh, en);
    }
    for (size_t i = 0; i < r->count; i++) {
        if (r->fields[i].n <= FN_FIELD_MOST) continue;
        fn_format(zh, sizeof zh, "第 %zu 个字段长 %zu 字节,最多 %u", i + 1, r->fields[i].n, FN_FIELD_MOST);
        fn_format(en, sizeof en, "field %zu has %zu bytes, at most %u", i + 1, r->fields[i].n, FN_FIELD_MOST);
        return reject(x, r->line, FN_E_TOO_LARGE, zh, en);
    }
    *good = true;
    return FN_OK;
}

static fn_err take_record(struct run *x, struct fn_batch *b, const struct fn_csv_record *r)
{
    struct fn_bytes *cells = b->cells + b->rows * r->count, null = {NULL, 0};
    const char *n = x->import->null;
    if (n) null = fn_bytes(n, strlen(n));
    for (size_t i = 0; i < r->count; i++) {
        /* Offsets until the batch is whole: the text moves while it grows. */
        cells[i] = fn_bytes((const uint8_t *)(uintptr_t)(b->text.n + 1), r->fields[i].n);
        if (n && fn_bytes_equal(null, r->fields[i]))
            cells[i] = fn_bytes(NULL, 0);
        else
            FN_TRY(fn_buf_add(&b->text, r->fields[i].p, r->fields[i].n));
    }
    FN_TRY(fn_buf_u8(&b->text, 0)); /* so that an empty last cell has an address within the text */
    b->rows++;
    return FN_OK;
}

static fn_err fill(void *self, struct fn_batch *b)
{
    struct run *x = self;
    struct fn_csv_record r;
    bool more = true, good;
    while (b->rows < FN_BATCH_ROWS && b->text.n < BATCH_BYTES) {
        FN_TRY(fn_csv_next(x->csv, &r, &more));
        if (!more) break;
        x->offset = r.next_offset;
        x->line = r.next_line;
        FN_TRY(check_record(x, &r, &good));
        if (good) FN_TRY(take_record(x, b, &r));
    }
    for (size_t i = 0; i < b->rows * x->table->def.count; i++)
        if (b->cells[i].p) b->cells[i].p = b->text.p + ((uintptr_t)b->cells[i].p - 1);
    const uint64_t mark[4] = {x->offset, x->line, x->rejected, x->reject_size};
    memcpy(b->mark, mark, sizeof mark);
    return FN_OK;
}

static fn_err sync_rejects(struct run *x)
{
    if (x->rejects < 0 || x->reject_size == x->reject_synced) return FN_OK;
    if (fdatasync(x->rejects)) return FN_FAIL_OS("%s", x->import->rejects);
    x->reject_synced = x->reject_size;
    return FN_OK;
}

static fn_err record(void *self, const struct fn_batch *b)
{
    struct run *x = self;
    FN_TRY(sync_rejects(x));
    return save(x, b->mark, x->rows + b->rows, false);
}

static void committed(void *self, const struct fn_batch *b)
{
    struct run *x = self;
    x->rows += b->rows;
    x->result->rows_now += b->rows;
    if (x->import->progress) x->import->progress(x->import->context, b->mark[0], x->size);
}

static fn_err finish(struct run *x)
{
    const uint64_t mark[4] = {x->offset, x->line, x->rejected, x->reject_size};
    FN_TRY(sync_rejects(x));
    FN_TRY(save(x, mark, x->rows, true));
    return fn_data_table_anchor(x->table, true);
}

/* Columns of the file against those of the table. */
static fn_err check_header(struct run *x)
{
    struct fn_csv_record r;
    const struct fn_definition *def = &x->table->def;
    FN_TRY(header(x->csv, &r));
    x->offset = r.next_offset;
    x->line = r.next_line;
    if (r.count != def->count)
        return FN_FAIL(FN_E_COLUMN, "the input has %zu columns, table %s %zu", r.count, def->name,
                       def->count);
    for (size_t i = 0; i < r.count; i++)
        if (!fn_bytes_equal(r.fields[i], fn_bytes(def->columns[i].name, strlen(def->columns[i].name))))
            return FN_FAIL(FN_E_COLUMN, "column %zu of the input is not \"%s\"", i + 1, def->columns[i].name);
    return FN_OK;
}

static fn_err run(struct run *x)
{
    struct fn_csv_source bytes = {&x->in, read_fd};
    struct fn_row_source rows = {x, fill, record, committed};
    FN_TRY(open_in(x->import->in, &x->in));
    FN_TRY(digest_input(x));
    FN_TRY(look_up(x));
    if (x->result->finished_before) return FN_OK;
    if (x->offset && lseek(x->in, (off_t)x->offset, SEEK_SET) < 0) return FN_FAIL_OS("%s", x->import->in);
    if (x->offset && x->reject_size) FN_TRY(open_rejects(x));
    FN_TRY(fn_csv_open(&x->csv, &bytes, x->import->encoding, x->offset, x->offset ? x->line : 1));
    if (!x->offset) FN_TRY(check_header(x));
    FN_TRY(fn_data_table_write(x->table, &rows));
    return finish(x);
}

fn_err fn_import_run(struct fn_data_table *table, const struct fn_import *import,
                     struct fn_import_result *result)
{
    struct run x = {.table = table, .import = import, .result = result, .in = -1, .rejects = -1};
    memset(result, 0, sizeof *result);
    fn_err err = run(&x);
    result->rows = x.rows;
    result->rejected = x.rejected;
    result->lines = x.line ? x.line - 1 : 0;
    fn_csv_close(x.csv);
    fn_statement_free(x.put);
    if (x.in >= 0) close(x.in);
    if (x.rejects >= 0) close(x.rejects);
    return err;
}
