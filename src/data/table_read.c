/* Rows out of a protected table, each checked before it is handed out. */
#include "data/table.h"
#include <string.h>

#define BATCH_BYTES (8u << 20) /* a batch ends early when its cells are this large */
#define CELL_MOST   (2 * FN_FIELD_MOST)

/* One row as stored; offsets stand in `stored` until the batch is whole, because the buffer moves while it
 * grows. */
static fn_err load_cells(struct fn_batch *b, const struct fn_definition *def, struct fn_statement *s)
{
    struct fn_bytes *row = b->stored + b->rows * def->count;
    for (size_t c = 0; c < def->count; c++) {
        struct fn_value v = fn_statement_value(s, c);
        row[c] = fn_bytes(NULL, 0);
        if (v.kind == FN_VALUE_NULL) continue;
        if (v.kind == FN_VALUE_TEXT && v.bytes.n <= CELL_MOST) {
            /* A NUL after each keeps even an empty cell from being NULL. */
            row[c] = fn_bytes((const uint8_t *)(uintptr_t)(b->text.n + 1), v.bytes.n);
            FN_TRY(fn_buf_add(&b->text, v.bytes.p, v.bytes.n));
            FN_TRY(fn_buf_u8(&b->text, 0));
        } else if (def->columns[c].role != FN_COLUMN_CLEAR && b->results[b->rows] == FN_OK)
            b->results[b->rows] = FN_E_ROW_ALTERED;
    }
    return FN_OK;
}

static fn_err load_row(struct fn_batch *b, const struct fn_definition *def, struct fn_statement *s)
{
    size_t r = b->rows;
    struct fn_value id = fn_statement_value(s, def->count), version = fn_statement_value(s, def->count + 1);
    struct fn_value mac = fn_statement_value(s, def->count + 2);
    bool ours = id.kind == FN_VALUE_INTEGER && id.integer > 0 && version.kind == FN_VALUE_INTEGER &&
                version.integer > 0 && mac.kind == FN_VALUE_BLOB && mac.bytes.n == sizeof b->macs[r];
    b->results[r] = ours ? FN_OK : FN_E_ROW_INSERTED;
    b->ids[r] = id.kind == FN_VALUE_INTEGER && id.integer > 0 ? (uint64_t)id.integer : 0;
    b->versions[r] = ours ? (uint64_t)version.integer : 0;
    memset(b->macs[r], 0, sizeof b->macs[r]);
    if (ours) memcpy(b->macs[r], mac.bytes.p, sizeof b->macs[r]);
    FN_TRY(load_cells(b, def, s));
    b->rows++;
    return FN_OK;
}

fn_err fn_batch_load(struct fn_batch *b, const struct fn_definition *def, struct fn_statement *s, bool *more)
{
    *more = true;
    while (*more && b->rows < FN_BATCH_ROWS && b->text.n < BATCH_BYTES) {
        FN_TRY(fn_statement_step(s, more));
        if (*more) FN_TRY(load_row(b, def, s));
    }
    for (size_t i = 0; i < b->rows * def->count; i++)
        if (b->stored[i].p) b->stored[i].p = b->text.p + ((uintptr_t)b->stored[i].p - 1);
    return FN_OK;
}

static fn_err read_batch(struct fn_data_table *t, struct fn_batch *b, fn_row_reader *reader, void *context)
{
    FN_TRY(fn_batch_mac_start(b, &t->def, t->cipher));
    FN_TRY(fn_batch_mac_finish(b, t->cipher, false));
    FN_TRY(fn_batch_open(b, &t->def, t->cipher));
    for (size_t r = 0; r < b->rows; r++) FN_TRY(reader(context, b, r));
    return FN_OK;
}

static fn_err read_all(struct fn_data_table *t, struct fn_batch *b, struct fn_statement *s,
                       fn_row_reader *reader, void *context)
{
    for (bool more = true; more;) {
        fn_batch_clear(b, t->cipher);
        FN_TRY(fn_batch_load(b, &t->def, s, &more));
        if (b->rows) FN_TRY(read_batch(t, b, reader, context));
    }
    return FN_OK;
}

fn_err fn_data_table_read(struct fn_data_table *t, uint64_t from, uint64_t to, fn_row_reader *reader,
                          void *context)
{
    struct fn_batch *b;
    struct fn_statement *s = NULL;
    struct fn_value range[] = {fn_value_integer(from > INT64_MAX ? INT64_MAX : (int64_t)from),
                               fn_value_integer(to > INT64_MAX ? INT64_MAX : (int64_t)to)};
    FN_TRY(fn_data_table_fresh(t));
    FN_TRY(fn_heap_array(&b, 1, sizeof *b));
    fn_err err = fn_batch_make(b, &t->def);
    if (err == FN_OK) err = fn_data_table_select(t, " WHERE fn_row BETWEEN ?1 AND ?2 ORDER BY fn_row", &s);
    if (err == FN_OK) err = fn_statement_bind(s, FN_COUNT(range), range);
    if (err == FN_OK) err = read_all(t, b, s, reader, context);
    fn_statement_free(s);
    fn_batch_free(b, t->cipher);
    free(b);
    return err;
}
