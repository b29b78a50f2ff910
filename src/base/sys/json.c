#include "base/sys/json.h"

#include "base/core/text.h"
#include <string.h>

/* Bytes of the UTF-8 character at p, 0 when it is malformed. */
static size_t character(const char *p, size_t n)
{
    size_t bad;
    for (size_t length = 1; length <= 4 && length <= n; length++)
        if (fn_utf8_valid(fn_bytes(p, length), &bad)) return length;
    return 0;
}

static fn_err escaped(struct fn_buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        return fn_buf_text(b, "\\\"");
    case '\\':
        return fn_buf_text(b, "\\\\");
    case '\n':
        return fn_buf_text(b, "\\n");
    case '\r':
        return fn_buf_text(b, "\\r");
    case '\t':
        return fn_buf_text(b, "\\t");
    default:
        return fn_buf_format(b, "\\u%04x", (unsigned)c);
    }
}

static bool plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x7f && c != '"' && c != '\\';
}

fn_err fn_json_text(struct fn_buf *b, const char *text, size_t n)
{
    FN_TRY(fn_buf_u8(b, '"'));
    for (size_t i = 0; i < n;) {
        size_t run = 0;
        while (i + run < n && plain(text[i + run])) run++;
        FN_TRY(fn_buf_add(b, text + i, run));
        i += run;
        if (i == n) break;
        size_t length = character(text + i, n - i);
        if (length > 1)
            FN_TRY(fn_buf_add(b, text + i, length));
        else if (length == 1)
            FN_TRY(escaped(b, (unsigned char)text[i]));
        else
            FN_TRY(fn_buf_text(b, "\xef\xbf\xbd"));
        i += length ? length : 1;
    }
    return fn_buf_u8(b, '"');
}

fn_err fn_json_string(struct fn_buf *b, const char *text)
{
    return text ? fn_json_text(b, text, strlen(text)) : fn_buf_text(b, "null");
}

fn_err fn_json_key(struct fn_buf *b, const char *key)
{
    uint8_t last = b->n ? b->p[b->n - 1] : '{';
    if (last != '{' && last != '[' && last != ',') FN_TRY(fn_buf_u8(b, ','));
    FN_TRY(fn_json_string(b, key));
    return fn_buf_u8(b, ':');
}

fn_err fn_json_pair(struct fn_buf *b, const char *key, const char *value)
{
    FN_TRY(fn_json_key(b, key));
    return fn_json_string(b, value);
}

fn_err fn_json_pair_number(struct fn_buf *b, const char *key, int64_t value)
{
    FN_TRY(fn_json_key(b, key));
    return fn_buf_format(b, "%lld", (long long)value);
}

fn_err fn_json_pair_bool(struct fn_buf *b, const char *key, bool value)
{
    FN_TRY(fn_json_key(b, key));
    return fn_buf_text(b, value ? "true" : "false");
}
