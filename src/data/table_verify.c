/* Verification: every row against its MAC, every segment against its manifest, every manifest against its
 * anchor; and for what does not fit, the likeliest tale: altered, moved, inserted, missing, old. */
#include "data/table.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SUSPECTS_MOST 64u /* rows whose content is compared pair by pair */

/* What is there of a segment. */
struct presence {
    uint8_t bitmap[32], sum[32];
    bool trouble; /* a row of it was reported */
    bool unknown; /* a row is missing: its part of the sum is not known */
};

struct writer {
    struct fn_anchor anchor;
    fn_err heads; /* what the heads showed */
    char detail[FN_ERR_DETAIL];
    struct fn_manifest manifest;
    bool usable;
    struct presence *presence;
};

/* A row whose MAC does not fit. */
struct suspect {
    uint64_t id, version;
    uint8_t mac[36];
    struct fn_bytes *cells; /* own copies */
    fn_err found;           /* FN_OK until explained */
    uint64_t other;
    bool issued;    /* its number is one of a living row */
    bool travelled; /* its MAC is that of row `other` */
};

struct verification {
    struct fn_data_table *t;
    struct writer *writers;
    size_t count;
    struct suspect suspects[SUSPECTS_MOST];
    size_t suspect_count;
    uint64_t *missing;
    size_t missing_count, missing_room;
    fn_finding_reader *reader;
    void *context;
    struct fn_verdict *verdict;
};

static int gravity(fn_err code)
{
    static const fn_err order[] = {FN_E_SEGMENT_OLD, FN_E_ROW_ALTERED, FN_E_ROW_MOVED, FN_E_ROW_INSERTED,
                                   FN_E_ROW_MISSING, FN_E_CORRUPT,     FN_E_TABLE_OLD};
    for (size_t i = 0; i < FN_COUNT(order); i++)
        if (order[i] == code) return (int)i + 1;
    return 0;
}

static void report(struct verification *v, struct fn_finding f)
{
    if (f.row) {
        f.first = fn_row_id(fn_row_writer(f.row), (uint64_t)fn_row_segment(f.row) * FN_SEGMENT_ROWS + 1);
        f.last = f.first + FN_SEGMENT_ROWS - 1;
    }
    v->verdict->findings++;
    if (gravity(f.code) > gravity(v->verdict->gravest)) v->verdict->gravest = f.code;
    if (v->reader) v->reader(v->context, &f);
}

static const char *last_detail(void)
{
    const struct fn_err_cause *causes;
    size_t n = fn_err_chain(&causes);
    return n ? causes[0].detail : "";
}

static bool is_finding(fn_err err)
{
    return err == FN_E_TABLE_OLD || err == FN_E_CORRUPT;
}

/* Anchors of all writers, read before the database: numbers are taken without gaps. */
static fn_err read_anchors(struct verification *v)
{
    size_t room = 0;
    for (;;) {
        FN_TRY(fn_heap_grow(&v->writers, &room, v->count + 1, sizeof *v->writers));
        struct writer *w = &v->writers[v->count];
        memset(w, 0, sizeof *w);
        FN_TRY(fn_anchor_read(v->t, (uint32_t)v->count, &w->anchor));
        if (v->count && !w->anchor.counter) return FN_OK;
        v->count++;
    }
}

/* Heads against anchors, of all writers. FN_E_BUSY when a writer went on between our looks at anchor and
 * database. */
static fn_err check_heads(struct verification *v)
{
    for (uint32_t i = 0; i < v->count; i++) {
        struct writer *w = &v->writers[i];
        struct fn_head last;
        struct fn_anchor anchor = w->anchor;
        fn_err err = fn_heads_check(v->t, i, &w->anchor, &last);
        if (err == FN_E_NOT_FOUND) err = FN_FAIL(FN_E_CORRUPT, "the manifest is gone");
        if (err != FN_OK && !is_finding(err)) return err;
        w->heads = err;
        fn_format(w->detail, sizeof w->detail, "%s", err == FN_OK ? "" : last_detail());
        if (err != FN_OK && fn_anchor_moved(v->t, i, &anchor))
            return FN_FAIL(FN_E_BUSY, "writer %u goes on faster than we look", i);
    }
    return FN_OK;
}

/* What was found of the heads, then the segments. */
static fn_err check_manifest(struct verification *v, uint32_t writer)
{
    struct writer *w = &v->writers[writer];
    if (w->heads != FN_OK) report(v, (struct fn_finding){.code = w->heads, .detail = w->detail});
    /* An old or broken chain of heads still leaves segments to compare the rows with. */
    fn_err loaded = fn_manifest_load(v->t, writer, &w->manifest);
    if (loaded != FN_OK && loaded != FN_E_CORRUPT && loaded != FN_E_NOT_FOUND) return loaded;
    if (loaded != FN_OK && w->heads == FN_OK)
        report(v, (struct fn_finding){.code = FN_E_CORRUPT, .detail = last_detail()});
    w->usable = loaded == FN_OK;
    v->verdict->counter += w->manifest.counter;
    v->verdict->anchored += w->anchor.counter;
    v->verdict->segments += w->manifest.count;
    return fn_heap_array(&w->presence, w->manifest.count + 1, sizeof *w->presence);
}

/* NULL when no living row has that number. */
static struct writer *writer_of(struct verification *v, uint64_t id)
{
    if (!fn_row_sequence(id) || fn_row_writer(id) >= v->count) return NULL;
    return &v->writers[fn_row_writer(id)];
}

static bool lives(struct verification *v, uint64_t id)
{
    struct writer *w = writer_of(v, id);
    if (!w || fn_row_sequence(id) >= w->manifest.next) return false;
    return fn_segment_has(&w->manifest.segments[fn_row_segment(id)], fn_row_slot(id));
}

static void mark(struct verification *v, uint64_t id)
{
    struct writer *w = writer_of(v, id);
    if (w && fn_row_segment(id) < w->manifest.count) w->presence[fn_row_segment(id)].trouble = true;
}

static void report_row(struct verification *v, fn_err code, uint64_t id, uint64_t other, const char *detail)
{
    mark(v, id);
    if (other) mark(v, other);
    report(v, (struct fn_finding){.code = code, .row = id, .other = other, .detail = detail});
}

static fn_err keep_suspect(struct verification *v, const struct fn_batch *b, size_t r, bool issued)
{
    const struct fn_definition *def = &v->t->def;
    if (v->suspect_count == SUSPECTS_MOST) {
        if (issued)
            report_row(v, FN_E_ROW_ALTERED, b->ids[r], 0, "");
        else
            report_row(v, FN_E_ROW_INSERTED, b->ids[r], 0, "");
        return FN_OK;
    }
    struct suspect *s = &v->suspects[v->suspect_count];
    *s = (struct suspect){.id = b->ids[r], .version = b->versions[r], .issued = issued};
    memcpy(s->mac, b->macs[r], sizeof s->mac);
    FN_TRY(fn_heap_array(&s->cells, def->count, sizeof *s->cells));
    v->suspect_count++;
    for (size_t c = 0; c < def->count; c++) {
        struct fn_bytes cell = b->stored[r * def->count + c];
        char *copy;
        if (!cell.p) continue;
        FN_TRY(fn_heap_text(&copy, (const char *)cell.p, cell.n));
        s->cells[c] = fn_bytes(copy, cell.n);
    }
    return FN_OK;
}

static fn_err see_row(struct verification *v, const struct fn_batch *b, size_t r)
{
    uint64_t id = b->ids[r];
    v->verdict->rows++;
    if (b->results[r] == FN_E_ROW_INSERTED) {
        report_row(v, FN_E_ROW_INSERTED, id, 0, "no row identifier, version or MAC of ours");
        return FN_OK;
    }
    struct writer *w = writer_of(v, id);
    if (w && !w->usable) {
        if (b->results[r] != FN_OK) return keep_suspect(v, b, r, true);
        return FN_OK;
    }
    bool issued = lives(v, id);
    struct presence *p = issued ? &w->presence[fn_row_segment(id)] : NULL;
    unsigned slot = fn_row_slot(id);
    if (issued && p->bitmap[slot / 8] >> slot % 8 & 1) {
        report_row(v, FN_E_ROW_INSERTED, id, 0, "a second row of this number");
        return FN_OK;
    }
    if (issued) {
        p->bitmap[slot / 8] |= (uint8_t)(1u << slot % 8);
        fn_sum_add(p->sum, b->macs[r] + 4);
    }
    if (b->results[r] != FN_OK) return keep_suspect(v, b, r, issued);
    if (!issued) report_row(v, FN_E_ROW_INSERTED, id, 0, "a row that was deleted, or never committed");
    return FN_OK;
}

static fn_err see_rows(struct verification *v, struct fn_batch *b)
{
    struct fn_data_table *t = v->t;
    struct fn_statement *s;
    FN_TRY(fn_data_table_select(t, " ORDER BY fn_row", &s));
    fn_err err = FN_OK;
    for (bool more = true; more && err == FN_OK;) {
        fn_batch_clear(b, t->cipher);
        err = fn_batch_load(b, &t->def, s, &more);
        if (err == FN_OK) err = fn_batch_mac_start(b, &t->def, t->cipher);
        if (err == FN_OK) err = fn_batch_mac_finish(b, t->cipher, false);
        for (size_t r = 0; err == FN_OK && r < b->rows; r++) err = see_row(v, b, r);
    }
    fn_statement_free(s);
    return err;
}

static fn_err find_missing(struct verification *v)
{
    for (size_t i = 0; i < v->count; i++) {
        struct writer *w = &v->writers[i];
        for (size_t s = 0; w->usable && s < w->manifest.count; s++) {
            for (unsigned slot = 0; slot < FN_SEGMENT_ROWS; slot++) {
                if (!fn_segment_has(&w->manifest.segments[s], slot) ||
                    w->presence[s].bitmap[slot / 8] >> slot % 8 & 1)
                    continue;
                FN_TRY(fn_heap_grow(&v->missing, &v->missing_room, v->missing_count + 1, sizeof *v->missing));
                v->missing[v->missing_count++] =
                    fn_row_id((uint32_t)i, (uint64_t)s * FN_SEGMENT_ROWS + slot + 1);
            }
        }
    }
    return FN_OK;
}

/* Trials: would the MAC of suspect `of` fit if … ? Collected into batches of MACs. */
struct trial {
    size_t suspect;
    uint64_t other;
    const uint8_t *mac; /* what the result is compared with */
    bool travels;       /* if it fits, the suspect's stored MAC is that of the other row */
};
struct trials {
    struct trial list[FN_BATCH_ROWS];
    struct fn_cipher_item items[FN_BATCH_ROWS];
    size_t count;
    struct fn_buf text;
};

static fn_err run_trials(struct verification *v, struct trials *x)
{
    if (!x->count) return FN_OK;
    const uint8_t *p = x->text.p;
    for (size_t i = 0; i < x->count; p += x->items[i++].in.n) x->items[i].in.p = p;
    struct fn_cipher_job job = {
        .work = FN_CIPHER_MAC, .key = v->t->def.rows, .count = x->count, .items = x->items};
    fn_err err = fn_cipher_run(v->t->cipher, &job);
    for (size_t i = 0; err == FN_OK && i < x->count; i++) {
        struct suspect *s = &v->suspects[x->list[i].suspect];
        if (x->items[i].result != FN_OK || !fn_equal_ct(x->items[i].tag.p, x->list[i].mac + 4, 32) ||
            s->found != FN_OK)
            continue;
        s->found = FN_E_ROW_MOVED;
        s->other = x->list[i].other;
        s->travelled = x->list[i].travels;
    }
    fn_cipher_done(v->t->cipher, &job);
    x->count = 0;
    x->text.n = 0;
    return err;
}

static fn_err add_trial(struct verification *v, struct trials *x, struct trial trial, uint64_t id,
                        const struct fn_bytes *cells)
{
    size_t before = x->text.n;
    const struct suspect *s = &v->suspects[trial.suspect];
    if (s->found != FN_OK) return FN_OK;
    FN_TRY(fn_row_message(&x->text, &v->t->def, id, s->version, cells));
    x->items[x->count] =
        (struct fn_cipher_item){.in = {NULL, x->text.n - before}, .key_version = fn_get_be32(trial.mac)};
    x->list[x->count++] = trial;
    return x->count == FN_BATCH_ROWS ? run_trials(v, x) : FN_OK;
}

/* Suspect i against suspect j: the whole row of the other's number, only its MAC, or one cell exchanged. */
static fn_err try_pair(struct verification *v, struct trials *x, size_t i, size_t j, struct fn_bytes *cells)
{
    const struct suspect *a = &v->suspects[i], *b = &v->suspects[j];
    size_t n = v->t->def.count;
    if (b->issued) FN_TRY(add_trial(v, x, (struct trial){i, b->id, a->mac, true}, b->id, a->cells));
    if (a->issued) FN_TRY(add_trial(v, x, (struct trial){i, b->id, b->mac, true}, a->id, a->cells));
    for (size_t c = 0; a->issued && c < n; c++) {
        if (v->t->def.columns[c].role == FN_COLUMN_CLEAR || fn_bytes_equal(a->cells[c], b->cells[c]))
            continue;
        memcpy(cells, a->cells, n * sizeof *cells);
        cells[c] = b->cells[c];
        FN_TRY(add_trial(v, x, (struct trial){i, b->id, a->mac, false}, a->id, cells));
    }
    return FN_OK;
}

/* Two cells of one row exchanged. */
static fn_err try_within(struct verification *v, struct trials *x, size_t i, struct fn_bytes *cells)
{
    const struct suspect *a = &v->suspects[i];
    size_t n = v->t->def.count;
    for (size_t c = 0; a->issued && c < n; c++) {
        for (size_t d = c + 1; d < n; d++) {
            if (v->t->def.columns[c].role == FN_COLUMN_CLEAR || v->t->def.columns[d].role == FN_COLUMN_CLEAR)
                continue;
            memcpy(cells, a->cells, n * sizeof *cells);
            cells[c] = a->cells[d];
            cells[d] = a->cells[c];
            FN_TRY(add_trial(v, x, (struct trial){i, a->id, a->mac, false}, a->id, cells));
        }
    }
    return FN_OK;
}

static fn_err explain(struct verification *v, struct trials *x, struct fn_bytes *cells)
{
    for (size_t i = 0; i < v->suspect_count; i++) {
        for (size_t j = 0; j < v->suspect_count; j++)
            if (i != j) FN_TRY(try_pair(v, x, i, j, cells));
        for (size_t m = 0; m < v->missing_count && m < SUSPECTS_MOST; m++)
            FN_TRY(add_trial(v, x, (struct trial){i, v->missing[m], v->suspects[i].mac, true}, v->missing[m],
                             v->suspects[i].cells));
        FN_TRY(run_trials(v, x));
        if (v->suspects[i].found == FN_OK && v->t->def.count <= 24) FN_TRY(try_within(v, x, i, cells));
        FN_TRY(run_trials(v, x));
    }
    return FN_OK;
}

static fn_err explain_suspects(struct verification *v)
{
    struct trials *x;
    FN_SCOPED_HEAP struct fn_bytes *cells = NULL;
    if (!v->suspect_count) return FN_OK;
    FN_TRY(fn_heap_array(&cells, v->t->def.count, sizeof *cells));
    FN_TRY(fn_heap_array(&x, 1, sizeof *x));
    x->text = fn_buf_heap();
    fn_err err = explain(v, x, cells);
    fn_buf_free(&x->text);
    free(x);
    return err;
}

static bool missing_is_moved(struct verification *v, uint64_t id)
{
    for (size_t i = 0; i < v->suspect_count; i++)
        if (v->suspects[i].found == FN_E_ROW_MOVED && v->suspects[i].other == id && v->suspects[i].id != id)
            return true;
    return false;
}

static struct presence *presence_of(struct verification *v, uint64_t id)
{
    struct writer *w = writer_of(v, id);
    return w && w->usable && fn_row_segment(id) < w->manifest.count ? &w->presence[fn_row_segment(id)] : NULL;
}

/* A MAC that went with its row to another place counts where it belongs. */
static void settle_sums(struct verification *v)
{
    for (size_t i = 0; i < v->suspect_count; i++) {
        const struct suspect *s = &v->suspects[i];
        struct presence *here = presence_of(v, s->id), *there = presence_of(v, s->other);
        if (!s->travelled) continue;
        if (here && s->issued) fn_sum_subtract(here->sum, s->mac + 4);
        if (there) fn_sum_add(there->sum, s->mac + 4);
    }
    for (size_t i = 0; i < v->missing_count; i++)
        if (!missing_is_moved(v, v->missing[i])) presence_of(v, v->missing[i])->unknown = true;
}

static void report_suspects(struct verification *v)
{
    for (size_t i = 0; i < v->suspect_count; i++) {
        const struct suspect *s = &v->suspects[i];
        if (s->found == FN_E_ROW_MOVED && s->other == s->id)
            report_row(v, FN_E_ROW_MOVED, s->id, s->other, "fields of this row were exchanged");
        else if (s->found == FN_E_ROW_MOVED)
            report_row(v, FN_E_ROW_MOVED, s->id, s->other, "content of another row");
        else
            report_row(v, s->issued ? FN_E_ROW_ALTERED : FN_E_ROW_INSERTED, s->id, 0,
                       s->issued ? "the row does not fit its MAC" : "this number was never given to a row");
    }
    for (size_t i = 0; i < v->missing_count; i++)
        if (!missing_is_moved(v, v->missing[i])) report_row(v, FN_E_ROW_MISSING, v->missing[i], 0, "");
}

/* Where all rows are there and fit, the sum tells an old version; where a row was altered its MAC may be part
 * of the trouble, and the segment is named as well. */
static void check_sums(struct verification *v)
{
    for (size_t i = 0; i < v->count; i++) {
        struct writer *w = &v->writers[i];
        for (size_t s = 0; w->usable && s < w->manifest.count; s++) {
            if (w->presence[s].unknown || !memcmp(w->presence[s].sum, w->manifest.segments[s].sum, 32))
                continue;
            uint64_t first = fn_row_id((uint32_t)i, (uint64_t)s * FN_SEGMENT_ROWS + 1);
            report(v,
                   (struct fn_finding){.code = FN_E_SEGMENT_OLD,
                                       .first = first,
                                       .last = first + FN_SEGMENT_ROWS - 1,
                                       .detail = w->presence[s].trouble
                                                     ? "besides the rows named, one may be an older version"
                                                     : "a row was put back to an older version"});
        }
    }
}

static fn_err verify(struct verification *v, struct fn_batch *b)
{
    for (size_t i = 0; i < v->count; i++) FN_TRY(check_manifest(v, (uint32_t)i));
    FN_TRY(fn_batch_make(b, &v->t->def));
    FN_TRY(see_rows(v, b));
    FN_TRY(find_missing(v));
    FN_TRY(explain_suspects(v));
    settle_sums(v);
    report_suspects(v);
    check_sums(v);
    return FN_OK;
}

static void verification_end(struct verification *v)
{
    for (size_t i = 0; i < v->count; i++) {
        fn_manifest_free(&v->writers[i].manifest);
        free(v->writers[i].presence);
    }
    for (size_t i = 0; i < v->suspect_count; i++) {
        for (size_t c = 0; c < v->t->def.count; c++) free((void *)v->suspects[i].cells[c].p);
        free(v->suspects[i].cells);
    }
    free(v->missing);
    free(v->writers);
}

/* One view of the database for all that is looked at, while writers go on. */
static fn_err verify_once(struct verification *v, struct fn_batch *b)
{
    FN_TRY(read_anchors(v));
    FN_TRY(fn_store_run(v->t->store, "BEGIN"));
    fn_err err = check_heads(v);
    if (err == FN_OK) err = verify(v, b);
    fn_store_rollback(v->t->store);
    return err;
}

fn_err fn_data_table_verify(struct fn_data_table *t, fn_finding_reader *reader, void *context,
                            struct fn_verdict *verdict)
{
    struct verification *v;
    struct fn_batch *b;
    FN_TRY(fn_heap_array(&v, 1, sizeof *v));
    fn_err err = fn_heap_array(&b, 1, sizeof *b);
    for (int i = 0; err == FN_OK || (err == FN_E_BUSY && i < 5); i++) {
        memset(verdict, 0, sizeof *verdict);
        *v = (struct verification){.t = t, .reader = reader, .context = context, .verdict = verdict};
        err = verify_once(v, b);
        verification_end(v);
        if (err == FN_OK) break;
    }
    if (b) fn_batch_free(b, t->cipher);
    free(b);
    free(v);
    return err;
}
