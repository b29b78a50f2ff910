/* Manifests in the customer's database: segments, heads, and the rule that ties heads to the anchor in the
 * device. */
#include "base/sys/now.h"
#include "data/table.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FRESH_MS   500
#define HEADS_KEPT 64u /* heads before the anchored one that stay */

void fn_anchor_name(char out[FN_ANCHOR_NAME], const struct fn_uuid *table, uint32_t writer)
{
    char uuid[FN_UUID_TEXT + 1];
    fn_uuid_format(uuid, table);
    fn_format(out, FN_ANCHOR_NAME, "data/table/%s/%u", uuid, writer);
}

static struct fn_value uuid_value(const struct fn_data_table *t)
{
    return fn_value_blob(t->def.uuid.b, sizeof t->def.uuid.b);
}

static void statement_end(struct fn_statement **s)
{
    fn_statement_free(*s);
}
#define SCOPED_STATEMENT __attribute__((cleanup(statement_end)))

fn_err fn_heads_top(struct fn_data_table *t, uint32_t writer, uint64_t *counter)
{
    if (!t->top)
        FN_TRY(fn_store_prepare(t->store,
                                "SELECT max(counter) FROM fn_data_head WHERE table_uuid = ?1 AND writer = ?2",
                                &t->top));
    struct fn_value values[] = {uuid_value(t), fn_value_integer(writer)};
    bool row;
    FN_TRY(fn_statement_bind(t->top, FN_COUNT(values), values));
    FN_TRY(fn_statement_step(t->top, &row));
    *counter = row ? (uint64_t)fn_statement_value(t->top, 0).integer : 0;
    fn_statement_reset(t->top);
    return FN_OK;
}

fn_err fn_head_mac(struct fn_data_table *t, const struct fn_head *head, uint8_t mac[36])
{
    uint8_t record[FN_HEAD_SIZE];
    fn_head_write(record, head);
    fn_put_be32(mac, t->def.rows.version);
    return fn_cipher_mac(t->cipher, &t->def.rows, fn_bytes(record, sizeof record), mac + 4);
}

fn_err fn_head_put(struct fn_data_table *t, const struct fn_head *head, const uint8_t mac[36])
{
    if (!t->add_head)
        FN_TRY(fn_store_prepare(
            t->store,
            "INSERT INTO fn_data_head (table_uuid, writer, counter, record, mac) VALUES (?1, ?2, ?3, ?4, ?5)",
            &t->add_head));
    if (!t->drop_heads)
        FN_TRY(fn_store_prepare(
            t->store, "DELETE FROM fn_data_head WHERE table_uuid = ?1 AND writer = ?2 AND counter < ?3",
            &t->drop_heads));
    uint8_t record[FN_HEAD_SIZE];
    fn_head_write(record, head);
    struct fn_value values[] = {uuid_value(t), fn_value_integer(head->writer),
                                fn_value_integer((int64_t)head->counter),
                                fn_value_blob(record, sizeof record), fn_value_blob(mac, 36)};
    FN_TRY(fn_statement_run(t->add_head, FN_COUNT(values), values));
    if (head->writer != t->writer || t->anchored <= HEADS_KEPT) return FN_OK;
    /* What lies before the anchored head has done its work; some are left for a verifier that read an earlier
     * anchor. */
    values[2] = fn_value_integer((int64_t)(t->anchored - HEADS_KEPT));
    return fn_statement_run(t->drop_heads, 3, values);
}

fn_err fn_segment_put(struct fn_data_table *t, const struct fn_manifest *m, size_t segment)
{
    if (!t->put_segment)
        FN_TRY(fn_store_prepare(
            t->store,
            "INSERT INTO fn_data_segment (table_uuid, writer, segment, live, bitmap, sum) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (table_uuid, writer, segment) DO UPDATE SET "
            "live = excluded.live, bitmap = excluded.bitmap, sum = excluded.sum",
            &t->put_segment));
    const struct fn_segment *s = &m->segments[segment];
    struct fn_value values[] = {uuid_value(t),
                                fn_value_integer(m->writer),
                                fn_value_integer((int64_t)segment),
                                fn_value_integer(s->live),
                                fn_value_blob(s->bitmap, 32),
                                fn_value_blob(s->sum, 32)};
    return fn_statement_run(t->put_segment, FN_COUNT(values), values);
}

/* One segment record into the manifest; they come in order without gaps. */
static fn_err load_segment(struct fn_manifest *m, struct fn_statement *s)
{
    struct fn_value number = fn_statement_value(s, 0), live = fn_statement_value(s, 1);
    struct fn_value bitmap = fn_statement_value(s, 2), sum = fn_statement_value(s, 3);
    struct fn_segment *segment;
    size_t at = m->count;
    if (number.kind != FN_VALUE_INTEGER || (uint64_t)number.integer != at)
        return FN_FAIL(FN_E_CORRUPT, "segment %zu is missing from the manifest", at);
    if (live.kind != FN_VALUE_INTEGER || live.integer < 0 || live.integer > (int64_t)FN_SEGMENT_ROWS ||
        bitmap.kind != FN_VALUE_BLOB || bitmap.bytes.n != 32 || sum.kind != FN_VALUE_BLOB ||
        sum.bytes.n != 32)
        return FN_FAIL(FN_E_CORRUPT, "segment %zu of the manifest is malformed", at);
    FN_TRY(fn_manifest_segment(m, (uint64_t)at * FN_SEGMENT_ROWS + 1, &segment));
    segment->live = (uint32_t)live.integer;
    memcpy(segment->bitmap, bitmap.bytes.p, 32);
    memcpy(segment->sum, sum.bytes.p, 32);
    m->live += segment->live;
    return FN_OK;
}

static fn_err load_segments(struct fn_data_table *t, struct fn_manifest *m)
{
    SCOPED_STATEMENT struct fn_statement *s = NULL;
    FN_TRY(fn_store_prepare(
        t->store,
        "SELECT segment, live, bitmap, sum FROM fn_data_segment WHERE table_uuid = ?1 AND writer = ?2 "
        "ORDER BY segment",
        &s));
    struct fn_value values[] = {uuid_value(t), fn_value_integer(m->writer)};
    FN_TRY(fn_statement_bind(s, FN_COUNT(values), values));
    bool row;
    for (;;) {
        FN_TRY(fn_statement_step(s, &row));
        if (!row) return FN_OK;
        FN_TRY(load_segment(m, s));
    }
}

/* The last head as it stands in the database, its MAC not checked. */
static fn_err last_head(struct fn_data_table *t, uint32_t writer, struct fn_head *head)
{
    SCOPED_STATEMENT struct fn_statement *s = NULL;
    FN_TRY(fn_store_prepare(
        t->store,
        "SELECT record FROM fn_data_head WHERE table_uuid = ?1 AND writer = ?2 ORDER BY counter DESC LIMIT 1",
        &s));
    struct fn_value values[] = {uuid_value(t), fn_value_integer(writer)};
    bool row;
    FN_TRY(fn_statement_bind(s, FN_COUNT(values), values));
    FN_TRY(fn_statement_step(s, &row));
    if (!row) return FN_FAIL(FN_E_NOT_FOUND, "writer %u has no manifest", writer);
    struct fn_value record = fn_statement_value(s, 0);
    return fn_head_read(head, record.kind == FN_VALUE_BLOB ? record.bytes : fn_bytes(NULL, 0));
}

fn_err fn_manifest_load(struct fn_data_table *t, uint32_t writer, struct fn_manifest *m)
{
    struct fn_head head;
    uint8_t digest[32];
    fn_manifest_free(m);
    fn_manifest_start(m, &t->def.uuid, writer);
    FN_TRY(last_head(t, writer, &head));
    m->next = FN_SEQUENCE_MOST;
    FN_TRY(load_segments(t, m));
    m->next = head.next;
    size_t segments = (size_t)((head.next - 1 + FN_SEGMENT_ROWS - 1) / FN_SEGMENT_ROWS);
    if (m->count != segments)
        return FN_FAIL(FN_E_CORRUPT, "%zu segments, the head says %zu", m->count, segments);
    fn_manifest_digest(m, digest);
    if (m->live != head.live || memcmp(digest, head.digest, 32))
        return FN_FAIL(FN_E_CORRUPT, "segments of writer %u differ from the manifest head", writer);
    fn_manifest_committed(m, &head);
    return FN_OK;
}

/* The heads kept in the database. */
struct heads {
    struct fn_head *head;
    uint8_t (*record)[FN_HEAD_SIZE];
    uint8_t (*mac)[36];
    size_t count, room, record_room, mac_room;
};

static void heads_end(struct heads *h)
{
    free(h->head);
    free(h->record);
    free(h->mac);
}

static fn_err take_head(struct fn_data_table *t, uint32_t writer, struct heads *h, struct fn_statement *s)
{
    struct fn_value counter = fn_statement_value(s, 0), record = fn_statement_value(s, 1),
                    mac = fn_statement_value(s, 2);
    size_t n = h->count;
    FN_TRY(fn_heap_grow(&h->head, &h->room, n + 1, sizeof *h->head));
    FN_TRY(fn_heap_grow(&h->record, &h->record_room, n + 1, sizeof *h->record));
    FN_TRY(fn_heap_grow(&h->mac, &h->mac_room, n + 1, sizeof *h->mac));
    if (record.kind != FN_VALUE_BLOB || record.bytes.n != FN_HEAD_SIZE || mac.kind != FN_VALUE_BLOB ||
        mac.bytes.n != 36)
        return FN_FAIL(FN_E_CORRUPT, "manifest head %lld is malformed", (long long)counter.integer);
    FN_TRY(fn_head_read(&h->head[n], record.bytes));
    memcpy(h->record[n], record.bytes.p, FN_HEAD_SIZE);
    memcpy(h->mac[n], mac.bytes.p, 36);
    if (h->head[n].counter != (uint64_t)counter.integer || h->head[n].writer != writer ||
        memcmp(h->head[n].table.b, t->def.uuid.b, 16))
        return FN_FAIL(FN_E_CORRUPT, "manifest head %lld is of another place", (long long)counter.integer);
    h->count++;
    return FN_OK;
}

static fn_err take_heads(struct fn_data_table *t, uint32_t writer, uint64_t from, struct heads *h)
{
    SCOPED_STATEMENT struct fn_statement *s = NULL;
    FN_TRY(fn_store_prepare(t->store,
                            "SELECT counter, record, mac FROM fn_data_head WHERE table_uuid = ?1 AND writer "
                            "= ?2 AND counter >= ?3 "
                            "ORDER BY counter",
                            &s));
    struct fn_value values[] = {uuid_value(t), fn_value_integer(writer), fn_value_integer((int64_t)from)};
    FN_TRY(fn_statement_bind(s, FN_COUNT(values), values));
    bool row;
    for (;;) {
        FN_TRY(fn_statement_step(s, &row));
        if (!row) return FN_OK;
        FN_TRY(take_head(t, writer, h, s));
    }
}

/* Each head refers to the one before it and carries its MAC. */
static fn_err check_chain(struct fn_data_table *t, const struct heads *h)
{
    FN_SCOPED_HEAP struct fn_cipher_item *items = NULL;
    FN_TRY(fn_heap_array(&items, h->count, sizeof *items));
    for (size_t i = 0; i < h->count; i++) {
        items[i] = (struct fn_cipher_item){.in = fn_bytes(h->record[i], FN_HEAD_SIZE),
                                           .key_version = fn_get_be32(h->mac[i])};
        uint8_t before[32];
        if (!i) continue;
        fn_head_digest(&h->head[i - 1], before);
        if (h->head[i].counter != h->head[i - 1].counter + 1 || memcmp(before, h->head[i].previous, 32))
            return FN_FAIL(FN_E_CORRUPT, "manifest head %" PRIu64 " does not follow the one before it",
                           h->head[i].counter);
    }
    struct fn_cipher_job job = {.work = FN_CIPHER_MAC, .key = t->def.rows, .count = h->count, .items = items};
    fn_err err = fn_cipher_run(t->cipher, &job);
    for (size_t i = 0; err == FN_OK && i < h->count; i++)
        if (items[i].result != FN_OK || items[i].tag.n != 32 ||
            !fn_equal_ct(items[i].tag.p, h->mac[i] + 4, 32))
            err = FN_FAIL(FN_E_CORRUPT, "manifest head %" PRIu64 " was not written by this system",
                          h->head[i].counter);
    fn_cipher_done(t->cipher, &job);
    return err;
}

fn_err fn_anchor_read(struct fn_data_table *t, uint32_t writer, struct fn_anchor *anchor)
{
    char name[FN_ANCHOR_NAME];
    fn_anchor_name(name, &t->def.uuid, writer);
    memset(anchor, 0, sizeof *anchor);
    fn_err err = t->cipher->anchor_get(t->cipher->self, name, &anchor->counter, anchor->digest);
    return err == FN_E_NOT_FOUND ? FN_OK : err;
}

bool fn_anchor_moved(struct fn_data_table *t, uint32_t writer, struct fn_anchor *anchor)
{
    uint64_t before = anchor->counter;
    return fn_anchor_read(t, writer, anchor) == FN_OK && anchor->counter != before;
}

fn_err fn_heads_check(struct fn_data_table *t, uint32_t writer, const struct fn_anchor *anchor,
                      struct fn_head *last)
{
    uint8_t first[32];
    uint64_t top;
    struct heads h __attribute__((cleanup(heads_end))) = {0};
    FN_TRY(fn_heads_top(t, writer, &top));
    if (!anchor->counter && !top) return FN_FAIL(FN_E_NOT_FOUND, "writer %u has no manifest", writer);
    if (top < anchor->counter)
        return FN_FAIL(FN_E_TABLE_OLD,
                       "the database stands at commit %" PRIu64
                       " of writer %u, the device's anchor at %" PRIu64,
                       top, writer, anchor->counter);
    FN_TRY(take_heads(t, writer, anchor->counter, &h));
    if (!h.count) return FN_FAIL(FN_E_CORRUPT, "manifest heads of writer %u are gone", writer);
    FN_TRY(check_chain(t, &h));
    *last = h.head[h.count - 1];
    if (!anchor->counter) {
        /* Between the first commit of a manifest and its first anchor there is nothing in it. */
        if (last->counter == 1 && last->next == 1) return FN_OK;
        return FN_FAIL(FN_E_TABLE_OLD,
                       "the device has no anchor of this table: other device, or the anchor was lost");
    }
    fn_head_digest(&h.head[0], first);
    if (h.head[0].counter != anchor->counter || !fn_equal_ct(first, anchor->digest, 32))
        return FN_FAIL(FN_E_TABLE_OLD, "commit %" PRIu64 " of writer %u is not the one that was anchored",
                       anchor->counter, writer);
    return FN_OK;
}

fn_err fn_manifest_load_checked(struct fn_data_table *t, uint32_t writer, struct fn_manifest *m)
{
    struct fn_anchor anchor;
    struct fn_head last;
    FN_TRY(fn_anchor_read(t, writer, &anchor));
    FN_TRY(fn_heads_check(t, writer, &anchor, &last));
    return fn_manifest_load_head(t, &last, m);
}

fn_err fn_manifest_load_head(struct fn_data_table *t, const struct fn_head *head, struct fn_manifest *m)
{
    uint8_t digest[32];
    FN_TRY(fn_manifest_load(t, head->writer, m));
    fn_head_digest(head, digest);
    /* The same counter is not enough: what is loaded was not checked, and somebody else's head with segments
     * to suit may have been put there since. */
    if (m->counter == head->counter && !memcmp(m->head_digest, digest, 32)) return FN_OK;
    return FN_FAIL(FN_E_BUSY, "commits of writer %u went on between two looks", head->writer);
}

fn_err fn_data_table_fresh(struct fn_data_table *t)
{
    struct fn_anchor anchor;
    struct fn_head last;
    int64_t now = fn_monotonic_ms();
    if (t->fresh_at_ms && now - t->fresh_at_ms < FRESH_MS) return FN_OK;
    for (uint32_t writer = 0;; writer++) {
        FN_TRY(fn_anchor_read(t, writer, &anchor));
        if (writer && !anchor.counter) break;
        fn_err err = fn_heads_check(t, writer, &anchor, &last);
        if (err == FN_E_NOT_FOUND) err = FN_FAIL(FN_E_CORRUPT, "the manifest is gone");
        /* A writer may have gone on between our looks at anchor and database. */
        for (int i = 0; err == FN_E_TABLE_OLD && i < 5 && fn_anchor_moved(t, writer, &anchor); i++)
            err = fn_heads_check(t, writer, &anchor, &last);
        FN_TRY(err);
    }
    t->fresh_at_ms = now;
    return FN_OK;
}

/* The last head by its own MAC alone, whatever the anchor says. */
static fn_err trusted_last_head(struct fn_data_table *t, uint32_t writer, uint64_t top, struct fn_head *last)
{
    struct heads h __attribute__((cleanup(heads_end))) = {0};
    FN_TRY(take_heads(t, writer, top, &h));
    if (!h.count) return FN_FAIL(FN_E_CORRUPT, "manifest heads of writer %u are gone", writer);
    FN_TRY(check_chain(t, &h));
    *last = h.head[h.count - 1];
    return FN_OK;
}

static fn_err adopt_in_transaction(struct fn_data_table *t, uint32_t writer, const struct fn_anchor *anchor,
                                   struct fn_manifest *m, struct fn_head *head)
{
    struct fn_head last;
    uint64_t top;
    uint8_t mac[36];
    FN_TRY(fn_heads_top(t, writer, &top));
    if (!top) return FN_FAIL(FN_E_CORRUPT, "writer %u has no manifest left to take up", writer);
    FN_TRY(trusted_last_head(t, writer, top, &last));
    FN_TRY(fn_manifest_load(t, writer, m));
    if (anchor->counter > m->counter) m->counter = anchor->counter;
    fn_manifest_next_head(m, head);
    FN_TRY(fn_head_mac(t, head, mac));
    return fn_head_put(t, head, mac);
}

static fn_err adopt_writer(struct fn_data_table *t, uint32_t writer, const struct fn_anchor *anchor)
{
    char name[FN_ANCHOR_NAME];
    struct fn_head head;
    struct fn_manifest m = {0};
    uint8_t digest[32];
    uint64_t stands = anchor->counter;
    FN_TRY(fn_store_begin(t->store));
    fn_err err = adopt_in_transaction(t, writer, anchor, &m, &head);
    fn_manifest_free(&m);
    if (err == FN_OK) err = fn_store_commit(t->store);
    if (err != FN_OK) {
        fn_store_rollback(t->store);
        return err;
    }
    fn_head_digest(&head, digest);
    fn_anchor_name(name, &t->def.uuid, writer);
    return fn_cipher_anchor(t->cipher, name, &stands, head.counter, digest);
}

fn_err fn_data_table_adopt(struct fn_data_table *t, unsigned *writers)
{
    struct fn_anchor anchor;
    struct fn_head last;
    *writers = 0;
    for (uint32_t writer = 0;; writer++) {
        FN_TRY(fn_anchor_read(t, writer, &anchor));
        if (!anchor.counter) return FN_OK;
        fn_err err = fn_heads_check(t, writer, &anchor, &last);
        if (err == FN_OK) continue;
        if (err != FN_E_TABLE_OLD) return err;
        FN_TRY(adopt_writer(t, writer, &anchor));
        ++*writers;
    }
}
