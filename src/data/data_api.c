/* include/fengni/data.h over the room's own functions. */
#include "fengni/data.h"

#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/verb.h"
#include "data/cipher_device.h"
#include "data/data.h"
#include "data/table.h"
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES (4u << 20)
#define FILE_MOST   (256u << 20)

_Static_assert((int)FENGNI_COLUMN_PROTECTED == (int)FN_COLUMN_PROTECTED, "roles of columns");
_Static_assert((int)FENGNI_SUITE_SM4_CBC_HMAC_SM3 == (int)FN_SUITE_SM4_CBC_HMAC, "suites");

struct fengni_data {
    struct fn_store *store;
    struct fn_cipher cipher;
    char *url;
};

struct fengni_table {
    struct fn_data_table *table;
    struct fengni_column *columns;
};

static void close_data(struct fengni_data *d)
{
    fn_store_close(d->store);
    if (d->cipher.self) d->cipher.close(d->cipher.self);
    free(d->url);
    free(d);
}

static fn_err open_data(struct fengni_data *d, const char *database, const char *socket)
{
    FN_TRY(fn_heap_text(&d->url, database, strlen(database)));
    FN_TRY(fn_cipher_device(&d->cipher, socket, 0));
    return fn_store_open(&d->store, database, true);
}

int fengni_data_open(struct fengni_data **data, const char *database, const char *socket)
{
    struct fengni_data *d;
    *data = NULL;
    FN_TRY(fn_heap_array(&d, 1, sizeof *d));
    fn_err err = open_data(d, database, socket);
    if (err == FN_OK)
        *data = d;
    else
        close_data(d);
    return err;
}

void fengni_data_close(struct fengni_data *data)
{
    if (data) close_data(data);
}

const char *fengni_data_failure(void)
{
    static _Thread_local char text[1024];
    const struct fn_err_cause *causes;
    size_t n = fn_err_chain(&causes);
    if (!n) return "";
    enum fn_lang lang = fn_lang();
    const struct fn_err_text *words = fn_err_text(causes[n - 1].code);
    size_t used = fn_format(text, sizeof text, "%d %s", causes[n - 1].code, words->text[lang]);
    for (size_t i = n; i-- && used < sizeof text;)
        if (*causes[i].detail) used += fn_format(text + used, sizeof text - used, ": %s", causes[i].detail);
    if (used < sizeof text && *words->hint[lang])
        fn_format(text + used, sizeof text - used, " (%s)", words->hint[lang]);
    return text;
}

static fn_err copy_columns(struct fengni_table *h)
{
    const struct fn_definition *def = &h->table->def;
    FN_TRY(fn_heap_array(&h->columns, def->count, sizeof *h->columns));
    for (size_t i = 0; i < def->count; i++)
        h->columns[i] =
            (struct fengni_column){def->columns[i].name, (enum fengni_column_role)def->columns[i].role};
    return FN_OK;
}

static fn_err open_table(struct fengni_data *d, const char *name, const struct fengni_table_options *o,
                         struct fengni_table *h)
{
    FN_SCOPED_HEAP struct fn_column *columns = NULL;
    size_t count = o && o->columns ? o->column_count : 0;
    FN_TRY(fn_heap_array(&columns, count + 1, sizeof *columns));
    for (size_t i = 0; i < count; i++)
        columns[i] = (struct fn_column){o->columns[i].name, (enum fn_column_role)o->columns[i].role};
    struct fn_data_table_options options = {.columns = count ? columns : NULL, .count = count};
    if (o) {
        options.suite = (enum fn_suite)o->suite;
        options.read_only = o->read_only;
        options.anchor_every_ms = o->anchor_every_ms;
    }
    FN_TRY(fn_data_table_open(&h->table, d->store, d->url + strlen("sqlite:"), &d->cipher, name, &options));
    return copy_columns(h);
}

int fengni_table_open(struct fengni_data *data, const char *table, const struct fengni_table_options *options,
                      struct fengni_table **handle)
{
    struct fengni_table *h;
    *handle = NULL;
    FN_TRY(fn_heap_array(&h, 1, sizeof *h));
    fn_err err = open_table(data, table, options, h);
    if (err == FN_OK) {
        *handle = h;
        return FN_OK;
    }
    fn_data_table_close(h->table);
    free(h->columns);
    free(h);
    return err;
}

int fengni_table_close(struct fengni_table *h)
{
    if (!h) return FN_OK;
    fn_err err = fn_data_table_close(h->table);
    free(h->columns);
    free(h);
    return err;
}

size_t fengni_table_columns(const struct fengni_table *h, const struct fengni_column **columns)
{
    *columns = h->columns;
    return h->table->def.count;
}

static const uint8_t nothing[1];

static fn_err take_cell(struct fn_bytes *out, const struct fengni_cell *cell)
{
    size_t bad;
    *out = fn_bytes(cell->text ? (const uint8_t *)cell->text : NULL, cell->text ? cell->n : 0);
    if (!cell->text) return FN_OK;
    if (!cell->n) out->p = nothing;
    if (!fn_utf8_valid(*out, &bad) || (cell->n && memchr(cell->text, 0, cell->n)))
        return FN_FAIL(FN_E_ENCODING, "a cell is not UTF-8 without NUL");
    return FN_OK;
}

struct insertion {
    const struct fengni_cell *cells;
    size_t rows, given, done, columns;
    fengni_acknowledge *acknowledge;
    void *context;
};

static fn_err give_rows(void *self, struct fn_batch *b)
{
    struct insertion *x = self;
    size_t bytes = 0;
    while (x->given < x->rows && b->rows < FN_BATCH_ROWS && bytes < BATCH_BYTES) {
        for (size_t c = 0; c < x->columns; c++) {
            struct fn_bytes *cell = &b->cells[b->rows * x->columns + c];
            FN_TRY(take_cell(cell, &x->cells[x->given * x->columns + c]));
            bytes += cell->n;
        }
        x->given++;
        b->rows++;
    }
    return FN_OK;
}

static void rows_committed(void *self, const struct fn_batch *b)
{
    struct insertion *x = self;
    if (x->acknowledge) x->acknowledge(x->context, x->done, b->rows, b->ids);
    x->done += b->rows;
}

int fengni_table_insert(struct fengni_table *h, size_t rows, const struct fengni_cell *cells,
                        fengni_acknowledge *acknowledge, void *context)
{
    struct insertion x = {.cells = cells,
                          .rows = rows,
                          .columns = h->table->def.count,
                          .acknowledge = acknowledge,
                          .context = context};
    struct fn_row_source source = {&x, give_rows, NULL, rows_committed};
    return fn_data_table_write(h->table, &source);
}

int fengni_table_update(struct fengni_table *h, uint64_t id, const struct fengni_cell *cells)
{
    struct fn_bytes own[FN_TABLE_COLUMNS_MOST];
    for (size_t i = 0; i < h->table->def.count; i++) FN_TRY(take_cell(&own[i], &cells[i]));
    return fn_data_table_update(h->table, id, own);
}

int fengni_table_delete(struct fengni_table *h, uint64_t id)
{
    return fn_data_table_delete(h->table, id);
}

int fengni_table_idle(struct fengni_table *h, int *wait_ms)
{
    struct fn_data_table *t = h->table;
    fn_err err = fn_data_table_anchor(t, false);
    int64_t left = (int64_t)t->anchor_every_ms - (fn_monotonic_ms() - t->anchored_at_ms);
    *wait_ms = t->manifest.counter <= t->anchored ? -1 : left < 1 ? 1 : (int)left;
    return err;
}

struct reading {
    fengni_row_reader *reader;
    void *context;
    size_t columns;
    int stopped;
};

static fn_err give_row(void *self, const struct fn_batch *b, size_t r)
{
    struct reading *x = self;
    struct fengni_cell cells[FN_TABLE_COLUMNS_MOST];
    for (size_t c = 0; c < x->columns; c++) {
        struct fn_bytes cell = b->cells[r * x->columns + c];
        cells[c] = (struct fengni_cell){(const char *)cell.p, cell.n};
    }
    bool good = b->results[r] == FN_OK;
    x->stopped = x->reader(x->context, b->ids[r], b->versions[r], b->results[r], good ? cells : NULL);
    return x->stopped ? FN_E_CANCELLED : FN_OK;
}

int fengni_table_read(struct fengni_table *h, uint64_t from, uint64_t to, fengni_row_reader *reader,
                      void *context)
{
    struct reading x = {reader, context, h->table->def.count, 0};
    fn_err err = fn_data_table_read(h->table, from, to, give_row, &x);
    return x.stopped ? x.stopped : err;
}

struct telling {
    fengni_finding_reader *reader;
    void *context;
};

static void tell(void *self, const struct fn_finding *f)
{
    const struct telling *x = self;
    struct fengni_finding finding = {f->code, f->row, f->other, f->first, f->last, f->detail};
    x->reader(x->context, &finding);
}

int fengni_table_verify(struct fengni_table *h, fengni_finding_reader *reader, void *context,
                        struct fengni_verdict *verdict)
{
    struct telling x = {reader, context};
    struct fn_verdict v;
    FN_TRY(fn_data_table_verify(h->table, reader ? tell : NULL, &x, &v));
    if (verdict) *verdict = (struct fengni_verdict){v.rows, v.segments, v.findings, v.counter, v.anchored};
    if (v.gravest == FN_OK) return FN_OK;
    return FN_FAIL(v.gravest, "table %s: %llu findings", h->table->def.name, (unsigned long long)v.findings);
}

int fengni_file_load(struct fengni_data *data, const char *path, const char *name, uint8_t **content,
                     size_t *n)
{
    struct fn_buf own = fn_buf_heap();
    *content = NULL;
    fn_err err = fn_data_load_sealed(&data->cipher, path, name, FILE_MOST, &own);
    if (err == FN_OK) err = fn_heap_array(content, own.n + 1, 1);
    if (err == FN_OK && own.n) memcpy(*content, own.p, own.n);
    *n = err == FN_OK ? own.n : 0;
    fn_buf_free(&own);
    return err;
}

void fengni_data_free(void *p)
{
    free(p);
}
