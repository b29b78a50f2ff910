/* Vectors of rows: fields to ciphertext and back, rows to MACs. */
#include "crypto/sm3/sm3.h"
#include "data/table.h"
#include <string.h>

#define ROW_MARK  "fengni row 1"
#define LONG_TEXT 1024u

#define VALUE_NULL 0xffffffffu
#define VALUE_LONG 0xfffffffeu

fn_err fn_batch_make(struct fn_batch *b, const struct fn_definition *def)
{
    memset(b, 0, sizeof *b);
    b->text = fn_buf_heap();
    b->aad = fn_buf_heap();
    b->sealed = fn_buf_heap();
    b->message = fn_buf_heap();
    FN_TRY(fn_heap_array(&b->cells, FN_BATCH_ROWS * def->count, sizeof *b->cells));
    FN_TRY(fn_heap_array(&b->stored, FN_BATCH_ROWS * def->count, sizeof *b->stored));
    FN_TRY(fn_heap_array(&b->fields, FN_BATCH_ROWS * def->protected_count + 1, sizeof *b->fields));
    return fn_heap_array(&b->rows_mac, FN_BATCH_ROWS, sizeof *b->rows_mac);
}

void fn_batch_clear(struct fn_batch *b, const struct fn_cipher *cipher)
{
    if (b->sealing) fn_cipher_done(cipher, &b->seal);
    if (b->macing) fn_cipher_done(cipher, &b->mac);
    b->sealing = b->macing = false;
    if (b->text.n) fn_wipe(b->text.p, b->text.n);
    b->text.n = b->aad.n = b->sealed.n = b->message.n = 0;
    b->rows = 0;
}

void fn_batch_free(struct fn_batch *b, const struct fn_cipher *cipher)
{
    fn_batch_clear(b, cipher);
    fn_buf_free(&b->text);
    fn_buf_free(&b->aad);
    fn_buf_free(&b->sealed);
    fn_buf_free(&b->message);
    free(b->cells);
    free(b->stored);
    free(b->fields);
    free(b->rows_mac);
    memset(b, 0, sizeof *b);
}

/* The associated data of all protected cells, one after the other, then as views (the buffer may move while
 * it grows). */
static fn_err prepare_aad(struct fn_batch *b, const struct fn_definition *def, struct fn_cipher_item *items,
                          size_t *count)
{
    size_t n = 0, before = 0;
    struct fn_bytes table = fn_bytes(def->name, strlen(def->name));
    b->aad.n = 0;
    for (size_t r = 0; r < b->rows; r++) {
        for (size_t c = 0; c < def->count; c++) {
            size_t at = r * def->count + c;
            if (def->columns[c].role != FN_COLUMN_PROTECTED || !b->cells[at].p || b->results[r] != FN_OK)
                continue;
            struct fn_bytes column = fn_bytes(def->columns[c].name, strlen(def->columns[c].name));
            FN_TRY(fn_field_aad(&b->aad, table, column, b->ids[r], b->versions[r]));
            items[n] = (struct fn_cipher_item){.in = b->cells[at], .aad = {NULL, b->aad.n - before}};
            before = b->aad.n;
            n++;
        }
    }
    const uint8_t *p = b->aad.p;
    for (size_t i = 0; i < n; p += items[i++].aad.n) items[i].aad.p = p;
    *count = n;
    return FN_OK;
}

fn_err fn_batch_seal_start(struct fn_batch *b, const struct fn_definition *def,
                           const struct fn_cipher *cipher)
{
    size_t count;
    for (size_t r = 0; r < b->rows; r++) b->results[r] = FN_OK;
    for (size_t i = 0; i < b->rows * def->count; i++)
        if (b->cells[i].n > FN_FIELD_MOST)
            return FN_FAIL(FN_E_TOO_LARGE, "field of %zu bytes, at most %u", b->cells[i].n, FN_FIELD_MOST);
    FN_TRY(prepare_aad(b, def, b->fields, &count));
    if (!count) return FN_OK;
    b->seal = (struct fn_cipher_job){.work = FN_CIPHER_SEAL,
                                     .suite = def->suite,
                                     .key = def->fields,
                                     .mac_key = def->fields_mac,
                                     .count = count,
                                     .items = b->fields};
    FN_TRY(fn_cipher_start(cipher, &b->seal));
    b->sealing = true;
    return FN_OK;
}

fn_err fn_batch_seal_finish(struct fn_batch *b, const struct fn_definition *def,
                            const struct fn_cipher *cipher)
{
    size_t n = 0, room = 0;
    if (b->sealing) FN_TRY(fn_cipher_finish(cipher, &b->seal));
    for (size_t i = 0; b->sealing && i < b->seal.count; i++) {
        FN_TRY(b->fields[i].result);
        /* Text, its NUL, and the binary form that stands behind it for a moment. */
        room += 2 * fn_field_text_size(def->suite, b->fields[i].in.n) + 1;
    }
    uint8_t *where;
    b->sealed.n = 0;
    FN_TRY(fn_buf_reserve(&b->sealed, room, &where));
    for (size_t i = 0; i < b->rows * def->count; i++) {
        b->stored[i] = b->cells[i];
        if (def->columns[i % def->count].role != FN_COLUMN_PROTECTED || !b->cells[i].p) continue;
        const struct fn_cipher_item *item = &b->fields[n++];
        struct fn_field field = {def->suite,  def->fields.uuid, item->key_version,
                                 item->nonce, item->out,        item->tag};
        size_t start = b->sealed.n;
        FN_TRY(fn_field_write_text(&b->sealed, &field));
        b->stored[i] = fn_bytes(b->sealed.p + start, b->sealed.n - start);
    }
    if (b->sealing) fn_cipher_done(cipher, &b->seal);
    b->sealing = false;
    return FN_OK;
}

/* u32 length ‖ bytes; NULL and long texts have lengths that no text has. */
static uint8_t *put_value(uint8_t *p, struct fn_bytes v)
{
    if (!v.p) {
        fn_put_be32(p, VALUE_NULL);
        return p + 4;
    }
    if (v.n > LONG_TEXT) {
        fn_put_be32(p, VALUE_LONG);
        fn_put_be64(p + 4, v.n);
        fn_sm3_digest(v.p, v.n, p + 12);
        return p + 12 + FN_SM3_SIZE;
    }
    fn_put_be32(p, (uint32_t)v.n);
    memcpy(p + 4, v.p, v.n);
    return p + 4 + v.n;
}

/* Table and columns are bound by the uuid: the definition, which has a MAC of its own, names them. */
fn_err fn_row_message(struct fn_buf *out, const struct fn_definition *def, uint64_t row, uint64_t version,
                      const struct fn_bytes *stored)
{
    size_t room = sizeof ROW_MARK + sizeof def->uuid.b + 16;
    uint8_t *p;
    for (size_t c = 0; c < def->count; c++)
        room += 12 + FN_SM3_SIZE + (stored[c].n > LONG_TEXT ? 0 : stored[c].n);
    FN_TRY(fn_buf_reserve(out, room, &p));
    const uint8_t *start = p;
    memcpy(p, ROW_MARK, sizeof ROW_MARK);
    p += sizeof ROW_MARK;
    memcpy(p, def->uuid.b, sizeof def->uuid.b);
    p += sizeof def->uuid.b;
    fn_put_be64(p, row);
    fn_put_be64(p + 8, version);
    p += 16;
    for (size_t c = 0; c < def->count; c++)
        if (def->columns[c].role != FN_COLUMN_CLEAR) p = put_value(p, stored[c]);
    out->n += (size_t)(p - start);
    return FN_OK;
}

fn_err fn_batch_mac_start(struct fn_batch *b, const struct fn_definition *def, const struct fn_cipher *cipher)
{
    size_t before = 0;
    b->message.n = 0;
    for (size_t r = 0; r < b->rows; r++) {
        FN_TRY(fn_row_message(&b->message, def, b->ids[r], b->versions[r], b->stored + r * def->count));
        b->rows_mac[r] = (struct fn_cipher_item){.in = {NULL, b->message.n - before},
                                                 .key_version = fn_get_be32(b->macs[r])};
        before = b->message.n;
    }
    const uint8_t *p = b->message.p;
    for (size_t r = 0; r < b->rows; p += b->rows_mac[r++].in.n) b->rows_mac[r].in.p = p;
    b->mac = (struct fn_cipher_job){
        .work = FN_CIPHER_MAC, .key = def->rows, .count = b->rows, .items = b->rows_mac};
    if (!b->rows) return FN_OK;
    FN_TRY(fn_cipher_start(cipher, &b->mac));
    b->macing = true;
    return FN_OK;
}

fn_err fn_batch_mac_finish(struct fn_batch *b, const struct fn_cipher *cipher, bool make)
{
    if (!b->macing) return FN_OK;
    FN_TRY(fn_cipher_finish(cipher, &b->mac));
    for (size_t r = 0; r < b->rows; r++) {
        const struct fn_cipher_item *item = &b->rows_mac[r];
        if (item->result != FN_OK && make) return item->result;
        if (item->result == FN_OK && item->tag.n != 32)
            return FN_FAIL(FN_E_INTERNAL, "MAC of %zu bytes", item->tag.n);
        if (make)
            memcpy(b->macs[r] + 4, item->tag.p, 32);
        else if (b->results[r] == FN_OK &&
                 (item->result != FN_OK || !fn_equal_ct(b->macs[r] + 4, item->tag.p, 32)))
            b->results[r] = FN_E_ROW_ALTERED;
    }
    fn_cipher_done(cipher, &b->mac);
    b->macing = false;
    return FN_OK;
}

/* Parses the stored text forms into items; rows with a field that is none get FN_E_FIELD. */
static fn_err parse_fields(struct fn_batch *b, const struct fn_definition *def, size_t *count)
{
    size_t n = 0, room = 0;
    for (size_t i = 0; i < b->rows * def->count; i++) {
        b->cells[i] = b->stored[i];
        if (b->stored[i].p && def->columns[i % def->count].role == FN_COLUMN_PROTECTED)
            room += b->stored[i].n / 4 * 3 + 3;
    }
    FN_TRY(prepare_aad(b, def, b->fields, count));
    uint8_t *where;
    b->sealed.n = 0;
    FN_TRY(fn_buf_reserve(&b->sealed, room, &where));
    for (size_t i = 0; i < b->rows * def->count; i++) {
        size_t r = i / def->count;
        if (!b->stored[i].p || def->columns[i % def->count].role != FN_COLUMN_PROTECTED ||
            b->results[r] != FN_OK)
            continue;
        struct fn_field field;
        fn_err err = fn_field_read_text(&field, b->stored[i], &b->sealed);
        if (err == FN_OK && (field.suite != def->suite || memcmp(field.key.b, def->fields.uuid.b, 16)))
            err = FN_FAIL(FN_E_FIELD, "row %llu: field under another key", (unsigned long long)b->ids[r]);
        if (err != FN_OK) return err; /* under a good row MAC only we can have written it */
        b->fields[n].in = field.ciphertext;
        b->fields[n].nonce = field.nonce;
        b->fields[n].tag = field.tag;
        b->fields[n].key_version = field.version;
        n++;
    }
    return FN_OK;
}

fn_err fn_batch_open(struct fn_batch *b, const struct fn_definition *def, const struct fn_cipher *cipher)
{
    size_t count = 0, n = 0;
    FN_TRY(parse_fields(b, def, &count));
    if (!count) return FN_OK;
    b->seal = (struct fn_cipher_job){.work = FN_CIPHER_OPEN,
                                     .suite = def->suite,
                                     .key = def->fields,
                                     .mac_key = def->fields_mac,
                                     .count = count,
                                     .items = b->fields};
    FN_TRY(fn_cipher_start(cipher, &b->seal));
    b->sealing = true; /* the clear text lives in the job until the batch is cleared */
    FN_TRY(fn_cipher_finish(cipher, &b->seal));
    for (size_t i = 0; i < b->rows * def->count; i++) {
        size_t r = i / def->count;
        if (!b->stored[i].p || def->columns[i % def->count].role != FN_COLUMN_PROTECTED) continue;
        if (b->results[r] != FN_OK && b->results[r] != FN_E_FIELD) continue;
        const struct fn_cipher_item *item = &b->fields[n++];
        if (item->result != FN_OK) b->results[r] = FN_E_FIELD;
        b->cells[i] = item->result == FN_OK
                          ? fn_bytes(item->out.p ? item->out.p : (const uint8_t *)"", item->out.n)
                          : fn_bytes(NULL, 0);
    }
    return FN_OK;
}
