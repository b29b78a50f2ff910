/* Rows into a protected table: rows and manifest change in one transaction, the anchor follows the commit.
 *
 * While one batch is written, the device computes the MACs of the next and encrypts those behind it. */
#include "base/sys/now.h"
#include "data/table.h"
#include <string.h>

static fn_err prepare_insert(struct fn_data_table *t)
{
    if (t->insert) return FN_OK;
    FN_SCOPED_BUF struct fn_buf sql = fn_buf_heap();
    FN_TRY(fn_buf_text(&sql, "INSERT INTO "));
    FN_TRY(fn_sql_name(&sql, t->def.name));
    FN_TRY(fn_buf_text(&sql, " ("));
    for (size_t i = 0; i < t->def.count; i++) {
        FN_TRY(fn_sql_name(&sql, t->def.columns[i].name));
        FN_TRY(fn_buf_text(&sql, ", "));
    }
    FN_TRY(fn_buf_text(&sql, "fn_row, fn_version, fn_mac) VALUES ("));
    for (size_t i = 1; i <= t->def.count + 3; i++) FN_TRY(fn_buf_format(&sql, i == 1 ? "?%zu" : ", ?%zu", i));
    FN_TRY(fn_buf_text(&sql, ")"));
    FN_TRY(fn_buf_u8(&sql, 0));
    return fn_store_prepare(t->store, (const char *)sql.p, &t->insert);
}

static struct fn_value cell_value(struct fn_bytes cell)
{
    return cell.p ? fn_value_text((const char *)cell.p, cell.n) : fn_value_null();
}

static fn_err insert_rows(struct fn_data_table *t, const struct fn_batch *b)
{
    struct fn_value values[FN_TABLE_COLUMNS_MOST + 3];
    size_t n = t->def.count;
    for (size_t r = 0; r < b->rows; r++) {
        for (size_t c = 0; c < n; c++) values[c] = cell_value(b->stored[r * n + c]);
        values[n] = fn_value_integer((int64_t)b->ids[r]);
        values[n + 1] = fn_value_integer((int64_t)b->versions[r]);
        values[n + 2] = fn_value_blob(b->macs[r], sizeof b->macs[r]);
        FN_TRY(fn_statement_run(t->insert, n + 3, values));
    }
    return FN_OK;
}

/* A reload when the manifest in memory cannot be trusted: after a failed transaction, or another process
 * changed rows of ours. */
static fn_err reload(struct fn_data_table *t)
{
    uint64_t before = t->manifest.counter;
    t->stale = true;
    FN_TRY(fn_manifest_load_checked(t, t->writer, &t->manifest));
    if (t->manifest.counter < before)
        return FN_FAIL(FN_E_TABLE_OLD, "the database was put back while it was in use");
    t->stale = false;
    return FN_OK;
}

static fn_err ready(struct fn_data_table *t)
{
    if (!t->writing) return FN_FAIL(FN_E_READ_ONLY, "table %s was opened for reading", t->def.name);
    if (t->stale) FN_TRY(reload(t));
    t->issue = t->manifest.next;
    return prepare_insert(t);
}

/* The head of the commit under way, its MAC in the device's hands. */
struct pending {
    struct fn_head head;
    uint8_t record[FN_HEAD_SIZE];
    uint8_t mac[36];
    struct fn_cipher_item item;
    struct fn_cipher_job job;
    bool started;
};

static void pending_end(struct fn_data_table *t, struct pending *p)
{
    if (p->started) fn_cipher_done(t->cipher, &p->job);
    p->started = false;
}

static fn_err pending_start(struct fn_data_table *t, struct pending *p)
{
    fn_manifest_next_head(&t->manifest, &p->head);
    fn_head_write(p->record, &p->head);
    fn_put_be32(p->mac, t->def.rows.version);
    p->item = (struct fn_cipher_item){.in = fn_bytes(p->record, sizeof p->record)};
    p->job = (struct fn_cipher_job){.work = FN_CIPHER_MAC, .key = t->def.rows, .count = 1, .items = &p->item};
    FN_TRY(fn_cipher_start(t->cipher, &p->job));
    p->started = true;
    return FN_OK;
}

static fn_err pending_finish(struct fn_data_table *t, struct pending *p)
{
    FN_TRY(fn_cipher_finish(t->cipher, &p->job));
    FN_TRY(p->item.result);
    memcpy(p->mac + 4, p->item.tag.p, 32);
    pending_end(t, p);
    return FN_OK;
}

static fn_err take_rows(struct fn_data_table *t, const struct fn_batch *b)
{
    for (size_t r = 0; r < b->rows; r++)
        FN_TRY(fn_manifest_insert(&t->manifest, fn_row_sequence(b->ids[r]), b->macs[r] + 4));
    return FN_OK;
}

/* Somebody else may have updated rows of this manifest since our last commit: then ours is made again on top
 * of theirs. */
static fn_err settle(struct fn_data_table *t, struct fn_batch *b, struct pending *p)
{
    uint64_t top;
    FN_TRY(fn_heads_top(t, t->writer, &top));
    if (top + 1 == p->head.counter) return FN_OK;
    if (top + 1 < p->head.counter)
        return FN_FAIL(FN_E_TABLE_OLD, "the database was put back while it was in use");
    pending_end(t, p);
    FN_TRY(fn_manifest_load_checked(t, t->writer, &t->manifest));
    FN_TRY(take_rows(t, b));
    return pending_start(t, p);
}

static fn_err write_batch(struct fn_data_table *t, struct fn_batch *b, struct pending *p,
                          const struct fn_row_source *source)
{
    FN_TRY(settle(t, b, p));
    FN_TRY(insert_rows(t, b));
    size_t last = fn_row_segment(b->ids[b->rows - 1]);
    for (size_t s = fn_row_segment(b->ids[0]); s <= last; s++) FN_TRY(fn_segment_put(t, &t->manifest, s));
    if (source->record) FN_TRY(source->record(source->self, b));
    FN_TRY(pending_finish(t, p));
    return fn_head_put(t, &p->head, p->mac);
}

static fn_err commit_batch(struct fn_data_table *t, struct fn_batch *b, struct pending *p,
                           const struct fn_row_source *source)
{
    FN_TRY(fn_store_begin(t->store));
    fn_err err = write_batch(t, b, p, source);
    if (err == FN_OK) err = fn_store_commit(t->store);
    if (err != FN_OK) {
        fn_store_rollback(t->store);
        return err;
    }
    fn_manifest_committed(&t->manifest, &p->head);
    t->stale = false;
    if (t->anchor_every_ms == 1) FN_TRY(fn_data_table_anchor(t, true));
    if (source->committed) source->committed(source->self, b);
    return fn_data_table_anchor(t, false);
}

/* Next rows of the source, on their way through encryption. */
static fn_err fetch(struct fn_data_table *t, struct fn_batch *b, const struct fn_row_source *source)
{
    fn_batch_clear(b, t->cipher);
    FN_TRY(source->fill(source->self, b));
    if (t->issue + b->rows > FN_SEQUENCE_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "table %s is full", t->def.name);
    for (size_t r = 0; r < b->rows; r++) {
        b->ids[r] = fn_row_id(t->writer, t->issue++);
        b->versions[r] = 1;
        fn_put_be32(b->macs[r], t->def.rows.version);
    }
    return fn_batch_seal_start(b, &t->def, t->cipher);
}

static fn_err to_mac(struct fn_data_table *t, struct fn_batch *b)
{
    if (!b->rows) return FN_OK;
    FN_TRY(fn_batch_seal_finish(b, &t->def, t->cipher));
    return fn_batch_mac_start(b, &t->def, t->cipher);
}

/* Batches on their way, in a ring: the first is at the database, the next with its MACs, the others being
 * encrypted. Enough of them that the device always has work while we are at ours. */
#define BATCHES 5u

struct fn_ring {
    struct fn_batch batch[BATCHES];
    size_t first, count; /* in flight */
    bool ended;          /* the source has no more */
};

static struct fn_batch *in_ring(struct fn_ring *r, size_t position)
{
    return &r->batch[(r->first + position) % BATCHES];
}

static fn_err fetch_next(struct fn_data_table *t, struct fn_ring *r, const struct fn_row_source *source)
{
    struct fn_batch *b = in_ring(r, r->count);
    if (r->ended || r->count == BATCHES) return FN_OK;
    FN_TRY(fetch(t, b, source));
    if (b->rows)
        r->count++;
    else
        r->ended = true;
    return FN_OK;
}

static fn_err pump(struct fn_data_table *t, struct fn_ring *r, struct pending *p,
                   const struct fn_row_source *source)
{
    for (size_t i = 0; i + 1 < BATCHES; i++) FN_TRY(fetch_next(t, r, source));
    if (r->count) FN_TRY(to_mac(t, in_ring(r, 0)));
    while (r->count) {
        struct fn_batch *now = in_ring(r, 0);
        FN_TRY(fn_batch_mac_finish(now, t->cipher, true));
        t->stale = true; /* until the commit */
        FN_TRY(take_rows(t, now));
        FN_TRY(pending_start(t, p));
        if (r->count > 1) FN_TRY(to_mac(t, in_ring(r, 1)));
        FN_TRY(fetch_next(t, r, source));
        FN_TRY(commit_batch(t, now, p, source));
        fn_batch_clear(now, t->cipher);
        r->first = (r->first + 1) % BATCHES;
        r->count--;
    }
    return FN_OK;
}

void fn_data_ring_free(struct fn_data_table *t)
{
    for (size_t i = 0; t->ring && i < BATCHES; i++) fn_batch_free(&t->ring->batch[i], t->cipher);
    free(t->ring);
    t->ring = NULL;
}

static fn_err make_ring(struct fn_data_table *t)
{
    fn_err err = FN_OK;
    if (t->ring) return FN_OK;
    FN_TRY(fn_heap_array(&t->ring, 1, sizeof *t->ring));
    for (size_t i = 0; i < BATCHES && err == FN_OK; i++) err = fn_batch_make(&t->ring->batch[i], &t->def);
    if (err != FN_OK) fn_data_ring_free(t);
    return err;
}

fn_err fn_data_table_write(struct fn_data_table *t, const struct fn_row_source *source)
{
    struct pending p = {0};
    FN_TRY(ready(t));
    FN_TRY(make_ring(t));
    t->ring->first = t->ring->count = 0;
    t->ring->ended = false;
    fn_err err = pump(t, t->ring, &p, source);
    pending_end(t, &p);
    for (size_t i = 0; i < BATCHES; i++) fn_batch_clear(&t->ring->batch[i], t->cipher);
    return err;
}

/* One row that is to change: read, checked, and its manifest at hand, all within the transaction. */
struct change {
    struct fn_batch old, fresh;
    struct fn_manifest other; /* of another writer */
    struct fn_manifest *manifest;
};

static void change_end(struct fn_data_table *t, struct change *c)
{
    fn_batch_free(&c->old, t->cipher);
    fn_batch_free(&c->fresh, t->cipher);
    fn_manifest_free(&c->other);
}

static fn_err load_row(struct fn_data_table *t, struct change *c, uint64_t id)
{
    struct fn_statement *s;
    struct fn_value key = fn_value_integer((int64_t)id);
    bool more;
    FN_TRY(fn_data_table_select(t, " WHERE fn_row = ?1", &s));
    fn_err err = fn_statement_bind(s, 1, &key);
    if (err == FN_OK) err = fn_batch_load(&c->old, &t->def, s, &more);
    fn_statement_free(s);
    FN_TRY(err);
    if (!c->old.rows) return FN_FAIL(FN_E_NOT_FOUND, "row %llu", (unsigned long long)id);
    FN_TRY(fn_batch_mac_start(&c->old, &t->def, t->cipher));
    FN_TRY(fn_batch_mac_finish(&c->old, t->cipher, false));
    if (c->old.results[0] != FN_OK) return FN_FAIL(c->old.results[0], "row %llu", (unsigned long long)id);
    c->manifest = &t->manifest;
    if (fn_row_writer(id) == t->writer) return FN_OK;
    c->manifest = &c->other;
    return fn_manifest_load_checked(t, fn_row_writer(id), &c->other);
}

static fn_err finish_change(struct fn_data_table *t, struct change *c, uint64_t id, struct fn_head *head)
{
    uint8_t mac[36];
    fn_manifest_next_head(c->manifest, head);
    FN_TRY(fn_head_mac(t, head, mac));
    FN_TRY(fn_segment_put(t, c->manifest, fn_row_segment(id)));
    return fn_head_put(t, head, mac);
}

static fn_err update_in_transaction(struct fn_data_table *t, struct change *c, uint64_t id,
                                    const struct fn_bytes *cells, struct fn_head *head)
{
    FN_SCOPED_BUF struct fn_buf sql = fn_buf_heap();
    struct fn_value values[FN_TABLE_COLUMNS_MOST + 3];
    size_t n = t->def.count;
    FN_TRY(load_row(t, c, id));
    c->fresh.rows = 1;
    c->fresh.ids[0] = id;
    c->fresh.versions[0] = c->old.versions[0] + 1;
    fn_put_be32(c->fresh.macs[0], t->def.rows.version);
    memcpy(c->fresh.cells, cells, n * sizeof *cells);
    FN_TRY(fn_batch_seal_start(&c->fresh, &t->def, t->cipher));
    FN_TRY(to_mac(t, &c->fresh));
    FN_TRY(fn_batch_mac_finish(&c->fresh, t->cipher, true));
    FN_TRY(fn_manifest_replace(c->manifest, fn_row_sequence(id), c->old.macs[0] + 4, c->fresh.macs[0] + 4));
    FN_TRY(fn_buf_text(&sql, "UPDATE "));
    FN_TRY(fn_sql_name(&sql, t->def.name));
    FN_TRY(fn_buf_text(&sql, " SET "));
    for (size_t i = 0; i < n; i++) {
        FN_TRY(fn_sql_name(&sql, t->def.columns[i].name));
        FN_TRY(fn_buf_format(&sql, " = ?%zu, ", i + 1));
        values[i] = cell_value(c->fresh.stored[i]);
    }
    FN_TRY(fn_buf_format(&sql, "fn_version = ?%zu, fn_mac = ?%zu WHERE fn_row = ?%zu", n + 1, n + 2, n + 3));
    FN_TRY(fn_buf_u8(&sql, 0));
    values[n] = fn_value_integer((int64_t)c->fresh.versions[0]);
    values[n + 1] = fn_value_blob(c->fresh.macs[0], 36);
    values[n + 2] = fn_value_integer((int64_t)id);
    struct fn_statement *s;
    FN_TRY(fn_store_prepare(t->store, (const char *)sql.p, &s));
    fn_err err = fn_statement_run(s, n + 3, values);
    fn_statement_free(s);
    FN_TRY(err);
    return finish_change(t, c, id, head);
}

static fn_err delete_in_transaction(struct fn_data_table *t, struct change *c, uint64_t id,
                                    struct fn_head *head)
{
    FN_SCOPED_BUF struct fn_buf sql = fn_buf_heap();
    struct fn_value key = fn_value_integer((int64_t)id);
    struct fn_statement *s;
    FN_TRY(load_row(t, c, id));
    FN_TRY(fn_manifest_delete(c->manifest, fn_row_sequence(id), c->old.macs[0] + 4));
    FN_TRY(fn_buf_text(&sql, "DELETE FROM "));
    FN_TRY(fn_sql_name(&sql, t->def.name));
    FN_TRY(fn_buf_text(&sql, " WHERE fn_row = ?1"));
    FN_TRY(fn_buf_u8(&sql, 0));
    FN_TRY(fn_store_prepare(t->store, (const char *)sql.p, &s));
    fn_err err = fn_statement_run(s, 1, &key);
    fn_statement_free(s);
    FN_TRY(err);
    return finish_change(t, c, id, head);
}

/* An update (cells) or a deletion (NULL). */
static fn_err change_row(struct fn_data_table *t, struct change *c, uint64_t id, const struct fn_bytes *cells)
{
    struct fn_head head;
    FN_TRY(fn_batch_make(&c->old, &t->def));
    FN_TRY(fn_batch_make(&c->fresh, &t->def));
    FN_TRY(fn_store_begin(t->store));
    uint64_t top = 0;
    fn_err err = fn_heads_top(t, t->writer, &top);
    if (err == FN_OK && top != t->manifest.counter) err = reload(t);
    t->stale = true;
    if (err == FN_OK)
        err = cells ? update_in_transaction(t, c, id, cells, &head) : delete_in_transaction(t, c, id, &head);
    if (err == FN_OK) err = fn_store_commit(t->store);
    if (err != FN_OK) {
        fn_store_rollback(t->store);
        return err;
    }
    fn_manifest_committed(c->manifest, &head);
    t->stale = false;
    if (c->manifest == &t->manifest) return fn_data_table_anchor(t, t->anchor_every_ms == 1);
    /* The other writer's anchor at once: its process may sleep for long. */
    char name[FN_ANCHOR_NAME];
    uint64_t stands = head.counter - 1;
    fn_anchor_name(name, &t->def.uuid, head.writer);
    return fn_cipher_anchor(t->cipher, name, &stands, head.counter, c->other.head_digest);
}

static fn_err change(struct fn_data_table *t, uint64_t id, const struct fn_bytes *cells)
{
    struct change c = {0};
    FN_TRY(ready(t));
    fn_err err = change_row(t, &c, id, cells);
    change_end(t, &c);
    return err;
}

fn_err fn_data_table_update(struct fn_data_table *t, uint64_t id, const struct fn_bytes *cells)
{
    return change(t, id, cells);
}
fn_err fn_data_table_delete(struct fn_data_table *t, uint64_t id)
{
    return change(t, id, NULL);
}
