#include "device/json.h"

#include "base/core/text.h"
#include <string.h>

struct reader {
    struct fn_djson_doc *doc;
    const uint8_t *p;
    size_t at, n;
};

static fn_err bad(const struct reader *r, const char *what)
{
    return FN_FAIL(FN_E_FORMAT, "JSON: %s at offset %zu", what, r->at);
}

static void blank(struct reader *r)
{
    while (r->at < r->n &&
           (r->p[r->at] == ' ' || r->p[r->at] == '\t' || r->p[r->at] == '\n' || r->p[r->at] == '\r'))
        r->at++;
}

static fn_err node(struct reader *r, enum fn_djson_kind kind, uint16_t *position)
{
    if (r->doc->count >= FN_DJSON_NODES)
        return FN_FAIL(FN_E_TOO_LARGE, "JSON: more than %u values", FN_DJSON_NODES);
    *position = r->doc->count++;
    r->doc->nodes[*position] =
        (struct fn_djson_node){.kind = (uint8_t)kind, .at = (uint32_t)r->at, .next = r->doc->count};
    return FN_OK;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static fn_err text(struct reader *r, uint16_t *position)
{
    r->at++;
    FN_TRY(node(r, FN_DJSON_TEXT, position));
    size_t start = r->at;
    for (; r->at < r->n && r->p[r->at] != '"'; r->at++) {
        if (r->p[r->at] < 0x20) return bad(r, "control character in text");
        if (r->p[r->at] != '\\') continue;
        if (++r->at >= r->n) return bad(r, "text without end");
        if (r->p[r->at] == 'u') {
            for (int i = 1; i <= 4; i++)
                if (r->at + (size_t)i >= r->n || hex_digit(r->p[r->at + (size_t)i]) < 0)
                    return bad(r, "\\u needs four digits");
            r->at += 4;
        } else if (!memchr("\"\\/bfnrt", r->p[r->at], 8)) {
            return bad(r, "unknown escape");
        }
    }
    if (r->at >= r->n) return bad(r, "text without end");
    r->doc->nodes[*position].at = (uint32_t)start;
    r->doc->nodes[*position].n = (uint32_t)(r->at - start);
    r->at++;
    return FN_OK;
}

/* Whole numbers only: nothing in the management interface is a fraction. */
static fn_err number(struct reader *r)
{
    uint16_t position = 0;
    FN_TRY(node(r, FN_DJSON_NUMBER, &position));
    size_t start = r->at;
    if (r->p[r->at] == '-') r->at++;
    size_t digits = r->at;
    while (r->at < r->n && r->p[r->at] >= '0' && r->p[r->at] <= '9') r->at++;
    if (r->at == digits || r->at - digits > 18 || (r->p[digits] == '0' && r->at - digits > 1))
        return bad(r, "not a whole number");
    if (r->at < r->n && (r->p[r->at] == '.' || (r->p[r->at] | 0x20) == 'e'))
        return bad(r, "not a whole number");
    r->doc->nodes[position].n = (uint32_t)(r->at - start);
    return FN_OK;
}

static fn_err word(struct reader *r, const char *literal, enum fn_djson_kind kind)
{
    size_t n = __builtin_strlen(literal);
    uint16_t position = 0;
    if (r->n - r->at < n || memcmp(r->p + r->at, literal, n) != 0) return bad(r, "unknown word");
    FN_TRY(node(r, kind, &position));
    r->at += n;
    return FN_OK;
}

static fn_err value(struct reader *r, unsigned depth);

static bool name_taken(const struct fn_djson_doc *doc, uint16_t object, uint16_t name)
{
    const struct fn_djson_node *wanted = &doc->nodes[name];
    for (uint16_t i = (uint16_t)(object + 1); i < name; i = doc->nodes[i + 1].next) {
        const struct fn_djson_node *other = &doc->nodes[i];
        if (other->n == wanted->n &&
            memcmp(doc->text.p + other->at, doc->text.p + wanted->at, wanted->n) == 0)
            return true;
    }
    return false;
}

static fn_err members(struct reader *r, unsigned depth, enum fn_djson_kind kind)
{
    uint8_t close = kind == FN_DJSON_OBJECT ? '}' : ']';
    uint16_t position = 0, name = 0;
    if (depth >= FN_DJSON_DEPTH) return FN_FAIL(FN_E_TOO_LARGE, "JSON: deeper than %u", FN_DJSON_DEPTH);
    FN_TRY(node(r, kind, &position));
    r->at++;
    blank(r);
    while (r->at >= r->n || r->p[r->at] != close) {
        if (r->doc->nodes[position].count) {
            if (r->at >= r->n || r->p[r->at] != ',') return bad(r, "comma or end expected");
            r->at++;
            blank(r);
        }
        if (kind == FN_DJSON_OBJECT) {
            if (r->at >= r->n || r->p[r->at] != '"') return bad(r, "name expected");
            FN_TRY(text(r, &name));
            if (name_taken(r->doc, position, name)) return bad(r, "name given twice");
            blank(r);
            if (r->at >= r->n || r->p[r->at] != ':') return bad(r, "colon expected");
            r->at++;
        }
        FN_TRY(value(r, depth + 1));
        r->doc->nodes[position].count++;
        blank(r);
    }
    r->at++;
    r->doc->nodes[position].next = r->doc->count;
    return FN_OK;
}

static fn_err value(struct reader *r, unsigned depth)
{
    uint16_t position = 0;
    blank(r);
    if (r->at >= r->n) return bad(r, "value expected");
    switch (r->p[r->at]) {
    case '{':
        return members(r, depth, FN_DJSON_OBJECT);
    case '[':
        return members(r, depth, FN_DJSON_ARRAY);
    case '"':
        return text(r, &position);
    case 't':
        return word(r, "true", FN_DJSON_TRUE);
    case 'f':
        return word(r, "false", FN_DJSON_FALSE);
    case 'n':
        return word(r, "null", FN_DJSON_NULL);
    default:
        if (r->p[r->at] == '-' || (r->p[r->at] >= '0' && r->p[r->at] <= '9')) return number(r);
        return bad(r, "value expected");
    }
}

fn_err fn_djson_read(struct fn_djson_doc *doc, struct fn_bytes text_)
{
    size_t bad_at;
    doc->text = text_;
    doc->count = 0;
    if (text_.n > UINT32_MAX / 2) return FN_FAIL(FN_E_TOO_LARGE, "JSON: %zu bytes", text_.n);
    if (!fn_utf8_valid(text_, &bad_at))
        return FN_FAIL(FN_E_ENCODING, "JSON: not UTF-8 at offset %zu", bad_at);
    struct reader r = {doc, text_.p, 0, text_.n};
    FN_TRY(value(&r, 0));
    blank(&r);
    if (r.at != r.n) return bad(&r, "text after the value");
    return FN_OK;
}

int fn_djson_member(const struct fn_djson_doc *doc, int object, const char *name)
{
    if (object < 0 || doc->nodes[object].kind != FN_DJSON_OBJECT) return -1;
    size_t n = __builtin_strlen(name);
    int at = object + 1;
    for (size_t i = 0; i < doc->nodes[object].count; i++) {
        const struct fn_djson_node *m = &doc->nodes[at];
        if (m->n == n && memcmp(doc->text.p + m->at, name, n) == 0) return at + 1;
        at = doc->nodes[at + 1].next;
    }
    return -1;
}

int fn_djson_element(const struct fn_djson_doc *doc, int array, size_t index)
{
    if (array < 0 || doc->nodes[array].kind != FN_DJSON_ARRAY || index >= doc->nodes[array].count) return -1;
    int at = array + 1;
    while (index--) at = doc->nodes[at].next;
    return at;
}

size_t fn_djson_count(const struct fn_djson_doc *doc, int node_)
{
    return node_ < 0 ? 0 : doc->nodes[node_].count;
}

static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) return out[0] = (uint8_t)c, 1;
    if (c < 0x800) return out[0] = (uint8_t)(0xc0 | c >> 6), out[1] = (uint8_t)(0x80 | (c & 63)), 2;
    size_t n = c < 0x10000 ? 3 : 4;
    out[0] = (uint8_t)(n == 3 ? 0xe0 | c >> 12 : 0xf0 | c >> 18);
    for (size_t i = 1; i < n; i++) out[i] = (uint8_t)(0x80 | (c >> (6 * (n - 1 - i)) & 63));
    return n;
}

static uint32_t four(const uint8_t *p)
{
    return (uint32_t)(hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 | hex_digit(p[3]));
}

/* One escape at p (after the backslash), at most n bytes; *used counts them. */
static fn_err escape(const uint8_t *p, size_t n, uint8_t out[4], size_t *size, size_t *used)
{
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    *used = 1;
    if (p[0] != 'u') {
        const char *found = letters;
        while (*found != (char)p[0]) found++;
        out[0] = (uint8_t)values[found - letters];
        *size = 1;
        return FN_OK;
    }
    uint32_t c = four(p + 1);
    *used = 5;
    if (c >= 0xd800 && c < 0xdc00 && n >= 11 && p[5] == '\\' && p[6] == 'u') {
        uint32_t low = four(p + 7);
        if (low < 0xdc00 || low > 0xdfff) return FN_FAIL(FN_E_FORMAT, "JSON: half a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        *used = 11;
    }
    if ((c >= 0xd800 && c < 0xe000) || c == 0) return FN_FAIL(FN_E_FORMAT, "JSON: \\u%04x", c);
    *size = put_utf8(out, c);
    return FN_OK;
}

fn_err fn_djson_text(const struct fn_djson_doc *doc, int node_, char *out, size_t size)
{
    if (node_ < 0 || doc->nodes[node_].kind != FN_DJSON_TEXT)
        return FN_FAIL(FN_E_FORMAT, "JSON: text expected");
    const uint8_t *p = doc->text.p + doc->nodes[node_].at;
    size_t n = doc->nodes[node_].n, written = 0;
    for (size_t i = 0; i < n;) {
        uint8_t piece[4] = {p[i]};
        size_t piece_size = 1, used = 1;
        if (p[i] == '\\') {
            FN_TRY(escape(p + i + 1, n - i - 1, piece, &piece_size, &used));
            used++;
        }
        if (written + piece_size >= size)
            return FN_FAIL(FN_E_TOO_LARGE, "JSON: text of more than %zu bytes", size - 1);
        memcpy(out + written, piece, piece_size);
        written += piece_size;
        i += used;
    }
    if (written >= size) return FN_FAIL(FN_E_TOO_LARGE, "JSON: text of more than %zu bytes", size);
    out[written] = 0;
    return FN_OK;
}

fn_err fn_djson_number(const struct fn_djson_doc *doc, int node_, int64_t least, int64_t most,
                       int64_t *value_)
{
    if (node_ < 0 || doc->nodes[node_].kind != FN_DJSON_NUMBER)
        return FN_FAIL(FN_E_FORMAT, "JSON: number expected");
    const uint8_t *p = doc->text.p + doc->nodes[node_].at;
    size_t n = doc->nodes[node_].n;
    bool minus = p[0] == '-';
    int64_t v = 0;
    for (size_t i = minus; i < n; i++) v = v * 10 + (p[i] - '0');
    if (minus) v = -v;
    if (v < least || v > most)
        return FN_FAIL(FN_E_ARGUMENT, "JSON: %lld is not in %lld to %lld", (long long)v, (long long)least,
                       (long long)most);
    *value_ = v;
    return FN_OK;
}

fn_err fn_djson_member_text(const struct fn_djson_doc *doc, int object, const char *name,
                            const char *fallback, char *out, size_t size)
{
    int at = fn_djson_member(doc, object, name);
    if (at >= 0) {
        fn_err err = fn_djson_text(doc, at, out, size);
        return err == FN_OK ? FN_OK : FN_WRAP(FN_E_ARGUMENT, "member \"%s\"", name);
    }
    if (!fallback) return FN_FAIL(FN_E_ARGUMENT, "member \"%s\" is missing", name);
    size_t n = __builtin_strlen(fallback) + 1;
    if (n > size) return FN_FAIL(FN_E_TOO_LARGE, "member \"%s\"", name);
    memcpy(out, fallback, n);
    return FN_OK;
}

fn_err fn_djson_member_number(const struct fn_djson_doc *doc, int object, const char *name, int64_t fallback,
                              int64_t least, int64_t most, int64_t *value_)
{
    int at = fn_djson_member(doc, object, name);
    if (at < 0) return *value_ = fallback, FN_OK;
    fn_err err = fn_djson_number(doc, at, least, most, value_);
    return err == FN_OK ? FN_OK : FN_WRAP(FN_E_ARGUMENT, "member \"%s\"", name);
}

fn_err fn_djson_member_bool(const struct fn_djson_doc *doc, int object, const char *name, bool fallback,
                            bool *value_)
{
    int at = fn_djson_member(doc, object, name);
    if (at < 0) return *value_ = fallback, FN_OK;
    if (doc->nodes[at].kind != FN_DJSON_TRUE && doc->nodes[at].kind != FN_DJSON_FALSE)
        return FN_FAIL(FN_E_ARGUMENT, "member \"%s\" is not true or false", name);
    *value_ = doc->nodes[at].kind == FN_DJSON_TRUE;
    return FN_OK;
}

fn_err fn_djson_put_hex(struct fn_buf *out, const char *name, const void *p, size_t n)
{
    uint8_t *where;
    FN_TRY(fn_djson_put_name(out, name));
    FN_TRY(fn_buf_reserve(out, 3 + 2 * n, &where));
    where[0] = '"';
    fn_hex_encode((char *)where + 1, p, n);
    where[1 + 2 * n] = '"';
    out->n += 2 + 2 * n;
    return FN_OK;
}
