#include "data/csv.h"

#include "base/core/text.h"
#include "base/sys/heap.h"
#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

#define READ_SIZE (64u << 10)

struct fn_csv {
    struct fn_csv_source source;
    enum fn_csv_encoding encoding;
    iconv_t convert; /* (iconv_t)-1: none */
    struct fn_buf in;
    size_t start; /* of the next record in `in` */
    bool ended;   /* the source has no more */
    uint64_t offset, line;
    struct fn_bytes *fields;
    size_t count, room;
    struct fn_buf text; /* unescaped and converted fields; fields hold offsets into it marked by `in_text` */
    uint8_t *in_text;
    size_t in_text_room;
};

struct reason {
    fn_err code;
    const char *zh, *en;
};
static const struct reason bad_quote = {FN_E_CSV, "引号后只能是逗号或行尾",
                                        "a closing quote must be followed by a comma or the end of the line"};
static const struct reason stray_quote = {FN_E_CSV, "未加引号的字段中出现引号",
                                          "a quote within an unquoted field"};
static const struct reason open_quote = {FN_E_CSV, "引号没有闭合", "a quote is never closed"};
static const struct reason bare_cr = {FN_E_CSV, "单独的回车符", "a carriage return without line feed"};
static const struct reason nul_byte = {FN_E_CSV, "含有空字符 NUL", "a NUL character"};
static const struct reason too_many = {FN_E_CSV, "字段过多", "too many fields"};
static const struct reason too_long = {FN_E_TOO_LARGE, "记录过长,或引号没有闭合",
                                       "the record is too long, or a quote is never closed"};
static const struct reason not_utf8 = {FN_E_ENCODING, "不是有效的 UTF-8", "not valid UTF-8"};
static const struct reason not_gb18030 = {FN_E_ENCODING, "不是有效的 GB18030", "not valid GB18030"};

fn_err fn_csv_encoding_parse(enum fn_csv_encoding *encoding, const char *name)
{
    static const struct {
        const char *name;
        enum fn_csv_encoding encoding;
    } names[] = {{"utf-8", FN_CSV_UTF8},       {"utf8", FN_CSV_UTF8},   {"gb18030", FN_CSV_GB18030},
                 {"gb-18030", FN_CSV_GB18030}, {"gbk", FN_CSV_GB18030}, {"gb2312", FN_CSV_GB18030}};
    for (size_t i = 0; i < FN_COUNT(names); i++) {
        if (strcasecmp(name, names[i].name)) continue;
        *encoding = names[i].encoding;
        return FN_OK;
    }
    return FN_FAIL(FN_E_ARGUMENT, "encoding \"%s\": utf-8 or gb18030 expected", name);
}

void fn_csv_close(struct fn_csv *csv)
{
    if (!csv) return;
    if (csv->convert != (iconv_t)-1) iconv_close(csv->convert);
    if (csv->in.p) fn_wipe(csv->in.p, csv->in.room);
    if (csv->text.p) fn_wipe(csv->text.p, csv->text.room);
    fn_buf_free(&csv->in);
    fn_buf_free(&csv->text);
    free(csv->fields);
    free(csv->in_text);
    free(csv);
}

/* More bytes behind those that are there; as many again, so that a long record is looked at few times. */
static fn_err refill(struct fn_csv *csv)
{
    uint8_t *where;
    size_t left = csv->in.n - csv->start, want = left > READ_SIZE ? left : READ_SIZE, got = 0;
    if (left <= FN_CSV_RECORD_MOST && want > FN_CSV_RECORD_MOST + 1 - left)
        want = FN_CSV_RECORD_MOST + 1 - left;
    if (csv->start) memmove(csv->in.p, csv->in.p + csv->start, left);
    csv->in.n = left;
    csv->start = 0;
    FN_TRY(fn_buf_reserve(&csv->in, want, &where));
    for (size_t have = 0; have < want; have += got) {
        FN_TRY(csv->source.read(csv->source.self, where + have, want - have, &got));
        csv->in.n += got;
        if (got) continue;
        csv->ended = true;
        return FN_OK;
    }
    return FN_OK;
}

static fn_err skip_mark(struct fn_csv *csv)
{
    static const uint8_t utf8[] = {0xef, 0xbb, 0xbf}, gb18030[] = {0x84, 0x31, 0x95, 0x33};
    struct fn_bytes mark =
        csv->encoding == FN_CSV_UTF8 ? fn_bytes(utf8, sizeof utf8) : fn_bytes(gb18030, sizeof gb18030);
    FN_TRY(refill(csv));
    if (csv->in.n < mark.n || memcmp(csv->in.p, mark.p, mark.n)) return FN_OK;
    csv->start = mark.n;
    csv->offset = mark.n;
    return FN_OK;
}

static fn_err open_csv(struct fn_csv *csv)
{
    if (csv->encoding == FN_CSV_GB18030) {
        csv->convert = iconv_open("UTF-8", "GB18030");
        if (csv->convert == (iconv_t)-1)
            return FN_FAIL(FN_E_UNSUPPORTED, "this system cannot convert from GB18030");
    }
    return csv->offset ? FN_OK : skip_mark(csv);
}

fn_err fn_csv_open(struct fn_csv **csv, const struct fn_csv_source *source, enum fn_csv_encoding encoding,
                   uint64_t offset, uint64_t line)
{
    struct fn_csv *fresh;
    FN_TRY(fn_heap_array(&fresh, 1, sizeof *fresh));
    fresh->source = *source;
    fresh->encoding = encoding;
    fresh->convert = (iconv_t)-1;
    fresh->in = fn_buf_heap();
    fresh->text = fn_buf_heap();
    fresh->offset = offset;
    fresh->line = line;
    fn_err err = open_csv(fresh);
    if (err == FN_OK)
        *csv = fresh;
    else
        fn_csv_close(fresh);
    return err;
}

/* One field into the list; its bytes are in the input or, when `copied`, at the end of the text. */
static fn_err add_field(struct fn_csv *csv, struct fn_bytes field, bool copied)
{
    FN_TRY(fn_heap_grow(&csv->fields, &csv->room, csv->count + 1, sizeof *csv->fields));
    FN_TRY(fn_heap_grow(&csv->in_text, &csv->in_text_room, csv->count + 1, 1));
    csv->fields[csv->count] = field;
    csv->in_text[csv->count++] = copied;
    return FN_OK;
}

enum scan { SCAN_DONE, SCAN_MORE, SCAN_BAD, SCAN_FAILED };

struct scanner {
    const uint8_t *p, *end;
    const struct reason *bad;
    fn_err err;
};

static enum scan bad(struct scanner *s, const struct reason *reason)
{
    s->bad = reason;
    return SCAN_BAD;
}

static enum scan starved(const struct fn_csv *csv, struct scanner *s, const struct reason *reason)
{
    if (!csv->ended) return SCAN_MORE;
    return reason ? bad(s, reason) : SCAN_DONE;
}

/* Up to the comma or line end behind an unquoted field. */
static enum scan scan_plain(struct fn_csv *csv, struct scanner *s)
{
    const uint8_t *from = s->p;
    while (s->p < s->end && *s->p != ',' && *s->p != '\n' && *s->p != '\r') {
        if (*s->p == '"') return bad(s, &stray_quote);
        if (!*s->p) return bad(s, &nul_byte);
        s->p++;
    }
    if (s->p == s->end && !csv->ended) return SCAN_MORE;
    s->err = add_field(csv, fn_bytes(from, (size_t)(s->p - from)), false);
    return s->err == FN_OK ? SCAN_DONE : SCAN_FAILED;
}

/* A quoted field; doubled quotes make a copy of it. */
static enum scan scan_quoted(struct fn_csv *csv, struct scanner *s)
{
    const uint8_t *from = ++s->p;
    size_t doubled = 0;
    for (;; s->p++) {
        if (s->p == s->end) return starved(csv, s, &open_quote);
        if (!*s->p) return bad(s, &nul_byte);
        if (*s->p != '"') continue;
        if (s->p + 1 == s->end) {
            if (!csv->ended) return SCAN_MORE;
            break;
        }
        if (s->p[1] != '"') break;
        s->p++;
        doubled++;
    }
    const uint8_t *to = s->p++;
    if (!doubled) {
        s->err = add_field(csv, fn_bytes(from, (size_t)(to - from)), false);
        return s->err == FN_OK ? SCAN_DONE : SCAN_FAILED;
    }
    size_t at = csv->text.n;
    uint8_t *where;
    s->err = fn_buf_reserve(&csv->text, (size_t)(to - from), &where);
    for (; s->err == FN_OK && from < to; from++) {
        *where++ = *from;
        csv->text.n++;
        if (*from == '"') from++;
    }
    if (s->err == FN_OK)
        s->err = add_field(csv, fn_bytes((const uint8_t *)(uintptr_t)at, csv->text.n - at), true);
    return s->err == FN_OK ? SCAN_DONE : SCAN_FAILED;
}

/* One record: fields, commas, the end of its line. */
static enum scan scan_record(struct fn_csv *csv, struct scanner *s)
{
    for (;;) {
        if (csv->count == FN_CSV_FIELDS_MOST) return bad(s, &too_many);
        if (s->p == s->end && !csv->ended) return SCAN_MORE;
        bool quoted = s->p < s->end && *s->p == '"';
        enum scan scan = quoted ? scan_quoted(csv, s) : scan_plain(csv, s);
        if (scan != SCAN_DONE) return scan;
        if (s->p == s->end) return starved(csv, s, NULL);
        if (*s->p == '\n') {
            s->p++;
            return SCAN_DONE;
        }
        if (*s->p == '\r') {
            if (s->p + 1 == s->end && !csv->ended) return SCAN_MORE;
            if (s->p + 1 == s->end || s->p[1] != '\n') return bad(s, quoted ? &bad_quote : &bare_cr);
            s->p += 2;
            return SCAN_DONE;
        }
        if (*s->p != ',') return bad(s, &bad_quote);
        s->p++;
    }
}

/* GB18030 into UTF-8, behind the text. Commas, quotes and line ends are never part of a longer character of
 * it, so fields are found first and converted then. */
static fn_err convert_field(struct fn_csv *csv, struct fn_bytes *field, bool *good)
{
    uint8_t *where;
    size_t at = csv->text.n, room = field->n * 3 + 4; /* two bytes become at most three, four at most four */
    FN_TRY(fn_buf_reserve(&csv->text, room, &where));
    char *in = (char *)field->p, *out = (char *)where;
    size_t left = field->n, space = room;
    iconv(csv->convert, NULL, NULL, NULL, NULL);
    *good = iconv(csv->convert, &in, &left, &out, &space) != (size_t)-1 && !left;
    csv->text.n = at + (room - space);
    *field = fn_bytes((const uint8_t *)(uintptr_t)at, room - space);
    return FN_OK;
}

static fn_err settle_fields(struct fn_csv *csv, const struct reason **wrong)
{
    size_t bad_at;
    bool good = true;
    for (size_t i = 0; csv->encoding == FN_CSV_GB18030 && i < csv->count && good; i++) {
        struct fn_buf copy = fn_buf_heap();
        struct fn_bytes field = csv->fields[i];
        /* The text may move while it grows: a field that lies in it is converted from a copy. */
        fn_err err = FN_OK;
        if (csv->in_text[i]) {
            err = fn_buf_add(&copy, csv->text.p + (uintptr_t)field.p, field.n);
            field = fn_buf_view(&copy);
        }
        if (err == FN_OK) err = convert_field(csv, &field, &good);
        csv->fields[i] = field;
        csv->in_text[i] = true;
        fn_buf_free(&copy);
        FN_TRY(err);
    }
    if (!good) *wrong = &not_gb18030;
    static const uint8_t empty[1];
    for (size_t i = 0; good && i < csv->count; i++) {
        if (csv->in_text[i]) csv->fields[i].p = csv->text.p + (uintptr_t)csv->fields[i].p;
        if (!csv->fields[i].n) csv->fields[i].p = empty;
        if (fn_utf8_valid(csv->fields[i], &bad_at)) continue;
        *wrong = &not_utf8;
        return FN_OK;
    }
    return FN_OK;
}

/* Scans the record at `start`, reading as much as it takes; s->p is behind it, or anywhere when it is bad. */
static fn_err whole_record(struct fn_csv *csv, struct scanner *s)
{
    for (;;) {
        csv->count = 0;
        csv->text.n = 0;
        *s = (struct scanner){.p = csv->in.p + csv->start, .end = csv->in.p + csv->in.n};
        enum scan scan = scan_record(csv, s);
        if (scan == SCAN_FAILED) return s->err;
        if (scan != SCAN_MORE) return FN_OK;
        if (csv->in.n - csv->start > FN_CSV_RECORD_MOST) {
            s->bad = &too_long;
            return FN_OK;
        }
        FN_TRY(refill(csv));
    }
}

/* The end of the first line of a bad record. */
static fn_err skip_line(struct fn_csv *csv, const uint8_t **end)
{
    for (;;) {
        const uint8_t *from = csv->in.p + csv->start, *line = memchr(from, '\n', csv->in.n - csv->start);
        *end = line ? line + 1 : csv->in.p + csv->in.n;
        if (line || csv->ended) return FN_OK;
        if (csv->in.n - csv->start > FN_CSV_RECORD_MOST)
            return FN_FAIL(FN_E_TOO_LARGE, "a line of more than %u bytes", FN_CSV_RECORD_MOST);
        FN_TRY(refill(csv));
    }
}

static fn_err skip_empty_lines(struct fn_csv *csv)
{
    for (;;) {
        if (csv->in.n - csv->start < 2 && !csv->ended) FN_TRY(refill(csv));
        const uint8_t *p = csv->in.p + csv->start;
        size_t left = csv->in.n - csv->start, skip = 0;
        if (left && p[0] == '\n') skip = 1;
        if (left > 1 && p[0] == '\r' && p[1] == '\n') skip = 2;
        if (!skip) return FN_OK;
        csv->start += skip;
        csv->offset += skip;
        csv->line++;
    }
}

fn_err fn_csv_next(struct fn_csv *csv, struct fn_csv_record *record, bool *more)
{
    struct scanner s;
    FN_TRY(skip_empty_lines(csv));
    memset(record, 0, sizeof *record);
    record->line = csv->line;
    *more = csv->start < csv->in.n;
    if (!*more) return FN_OK;
    FN_TRY(whole_record(csv, &s));
    const struct reason *wrong = s.bad;
    const uint8_t *end = s.p;
    if (s.bad) FN_TRY(skip_line(csv, &end));
    if (!wrong) FN_TRY(settle_fields(csv, &wrong));
    const uint8_t *from = csv->in.p + csv->start;
    size_t size = (size_t)(end - from);
    for (const uint8_t *p = from; (p = memchr(p, '\n', (size_t)(end - p))); p++) csv->line++;
    csv->start += size;
    csv->offset += size;
    record->next_line = csv->line;
    record->next_offset = csv->offset;
    record->fields = csv->fields;
    record->count = csv->count;
    if (!wrong) return FN_OK;
    record->count = 0;
    record->bad = wrong->code;
    record->reason[FN_LANG_ZH] = wrong->zh;
    record->reason[FN_LANG_EN] = wrong->en;
    return FN_OK;
}

fn_err fn_csv_field(struct fn_buf *out, struct fn_bytes field, bool first)
{
    bool quote = false;
    for (size_t i = 0; i < field.n && !quote; i++)
        quote = field.p[i] == '"' || field.p[i] == ',' || field.p[i] == '\n' || field.p[i] == '\r';
    if (!first) FN_TRY(fn_buf_u8(out, ','));
    if (!quote) return fn_buf_add(out, field.p, field.n);
    FN_TRY(fn_buf_u8(out, '"'));
    for (size_t i = 0; i < field.n; i++) {
        if (field.p[i] == '"') FN_TRY(fn_buf_u8(out, '"'));
        FN_TRY(fn_buf_u8(out, field.p[i]));
    }
    return fn_buf_u8(out, '"');
}
