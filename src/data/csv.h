/* CSV by RFC 4180, strict and streaming. Lines end in CRLF or LF. A bad record is told with its line and
 * skipped: reading goes on with the line after its first one, so that a quote never closed costs one line.
 * Lines without any byte are skipped. */
#ifndef FN_DATA_CSV_H
#define FN_DATA_CSV_H

#include "base/core/bytes.h"

#define FN_CSV_RECORD_MOST (32u << 20) /* bytes */
#define FN_CSV_FIELDS_MOST 1024u

enum fn_csv_encoding { FN_CSV_UTF8, FN_CSV_GB18030 };
/* "utf-8", "gb18030" (also "gbk", "gb2312", its subsets). FN_E_ARGUMENT. */
fn_err fn_csv_encoding_parse(enum fn_csv_encoding *encoding, const char *name);

/* Where bytes come from: *got 0 at the end. */
struct fn_csv_source {
    void *self;
    fn_err (*read)(void *self, uint8_t *out, size_t room, size_t *got);
};

struct fn_csv_record {
    uint64_t line;                   /* of its first byte, from 1 */
    uint64_t next_line, next_offset; /* where the next record begins */
    size_t count;
    const struct fn_bytes *fields; /* UTF-8 without NUL; valid until the next call */
    fn_err bad;                    /* FN_E_CSV, FN_E_ENCODING, FN_E_TOO_LARGE: no fields */
    const char *reason[2];         /* by enum fn_lang */
};

struct fn_csv;
/* offset and line: where the source stands (0 and 1 at its start; a byte order mark is looked for only
 * there). */
fn_err fn_csv_open(struct fn_csv **csv, const struct fn_csv_source *source, enum fn_csv_encoding encoding,
                   uint64_t offset, uint64_t line);
void fn_csv_close(struct fn_csv *csv);
/* *more false at the end. Failures of the source are returned. */
fn_err fn_csv_next(struct fn_csv *csv, struct fn_csv_record *record, bool *more);

/* Appends one field, quoted when it needs to be, after a comma unless it is the first. */
fn_err fn_csv_field(struct fn_buf *out, struct fn_bytes field, bool first);

#endif
