/* The CSV reader: it ends, its lines and offsets add up, its fields are UTF-8; a good record written anew
 * reads the same. The first byte chooses encoding and piece size. */
#include "base/core/text.h"
#include "base/sys/heap.h"
#include "data/csv.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
    struct fn_bytes bytes;
    size_t at, piece;
};

static fn_err read_text(void *self, uint8_t *out, size_t room, size_t *got)
{
    struct text *t = self;
    size_t left = t->bytes.n - t->at;
    *got = left < room ? left : room;
    if (*got > t->piece) *got = t->piece;
    if (*got) memcpy(out, t->bytes.p + t->at, *got);
    t->at += *got;
    return FN_OK;
}

static void read_back(const struct fn_csv_record *r)
{
    FN_SCOPED_BUF struct fn_buf line = fn_buf_heap();
    struct fn_csv *csv;
    struct fn_csv_record again;
    bool more;
    for (size_t i = 0; i < r->count; i++)
        if (fn_csv_field(&line, r->fields[i], i == 0) != FN_OK) abort();
    /* A lone empty field would be an empty line, which is skipped; a leading mark would be taken for one. */
    if (!line.n || line.p[0] == 0xef) return;
    struct text t = {fn_buf_view(&line), 0, SIZE_MAX};
    struct fn_csv_source source = {&t, read_text};
    if (fn_csv_open(&csv, &source, FN_CSV_UTF8, 0, 1) != FN_OK || fn_csv_next(csv, &again, &more) != FN_OK ||
        !more || again.bad || again.count != r->count)
        abort();
    for (size_t i = 0; i < r->count; i++)
        if (!fn_bytes_equal(again.fields[i], r->fields[i])) abort();
    fn_csv_close(csv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fn_csv *csv;
    struct fn_csv_record r;
    bool more = true;
    size_t bad, reads = 0;
    if (!size) return 0;
    struct text t = {fn_bytes(data + 1, size - 1), 0, data[0] >> 1 ? data[0] >> 1 : SIZE_MAX};
    struct fn_csv_source source = {&t, read_text};
    if (fn_csv_open(&csv, &source, data[0] & 1 ? FN_CSV_GB18030 : FN_CSV_UTF8, 0, 1) != FN_OK) abort();
    for (uint64_t line = 1, offset = 0; more; line = r.next_line, offset = r.next_offset) {
        if (fn_csv_next(csv, &r, &more) != FN_OK) abort();
        if (!more) break;
        if (r.line < line || r.next_offset <= offset || r.next_offset > size - 1) abort();
        for (size_t i = 0; i < r.count; i++)
            if (!fn_utf8_valid(r.fields[i], &bad) ||
                (r.fields[i].n && memchr(r.fields[i].p, 0, r.fields[i].n)))
                abort();
        if (!r.bad && reads++ < 2) read_back(&r);
    }
    fn_csv_close(csv);
    return 0;
}
