/* JSON of the management socket: a small strict reader (RFC 8259, UTF-8, no duplicate names, bounded) and
 * the hexadecimal member that base/sys/json.h does not have. */
#ifndef FN_DEVICE_JSON_H
#define FN_DEVICE_JSON_H

#include "base/sys/json.h"

#define FN_DJSON_NODES 512u
#define FN_DJSON_DEPTH 8u

enum fn_djson_kind {
    FN_DJSON_NULL,
    FN_DJSON_FALSE,
    FN_DJSON_TRUE,
    FN_DJSON_NUMBER,
    FN_DJSON_TEXT,
    FN_DJSON_ARRAY,
    FN_DJSON_OBJECT
};

/* Nodes stand in document order; `next` is the position after the last descendant. A member's name is a text
 * node before its value. */
struct fn_djson_node {
    uint8_t kind;
    uint16_t next, count;
    uint32_t at, n; /* of the text between the quotes, or of the number */
};
struct fn_djson_doc {
    struct fn_bytes text; /* borrowed */
    uint16_t count;
    struct fn_djson_node nodes[FN_DJSON_NODES];
};

/* FN_E_FORMAT with the offset; FN_E_TOO_LARGE for too many nodes or too deep. Node 0 is the value. */
fn_err fn_djson_read(struct fn_djson_doc *doc, struct fn_bytes text);
/* Position of a member's value, or -1. */
int fn_djson_member(const struct fn_djson_doc *doc, int object, const char *name);
/* Position of an element of an array, or -1. */
int fn_djson_element(const struct fn_djson_doc *doc, int array, size_t index);
size_t fn_djson_count(const struct fn_djson_doc *doc, int node);
/* Unescaped text with a terminating NUL; FN_E_FORMAT for another kind, FN_E_TOO_LARGE. A NUL inside is
 * refused. */
fn_err fn_djson_text(const struct fn_djson_doc *doc, int node, char *out, size_t size);
/* A whole number in [least, most]. */
fn_err fn_djson_number(const struct fn_djson_doc *doc, int node, int64_t least, int64_t most, int64_t *value);
/* Members of an object: absent ones take the fallback (NULL: FN_E_ARGUMENT naming the member). */
fn_err fn_djson_member_text(const struct fn_djson_doc *doc, int object, const char *name,
                            const char *fallback, char *out, size_t size);
fn_err fn_djson_member_number(const struct fn_djson_doc *doc, int object, const char *name, int64_t fallback,
                              int64_t least, int64_t most, int64_t *value);
fn_err fn_djson_member_bool(const struct fn_djson_doc *doc, int object, const char *name, bool fallback,
                            bool *value);

/* Writing is base/sys/json.h's. */
static inline fn_err fn_djson_put_text(struct fn_buf *out, struct fn_bytes text)
{
    return fn_json_text(out, (const char *)text.p, text.n);
}
static inline fn_err fn_djson_put_name(struct fn_buf *out, const char *name)
{
    return fn_json_key(out, name);
}
static inline fn_err fn_djson_put_member(struct fn_buf *out, const char *name, const char *text)
{
    return fn_json_pair(out, name, text);
}
static inline fn_err fn_djson_put_number(struct fn_buf *out, const char *name, int64_t value)
{
    return fn_json_pair_number(out, name, value);
}
static inline fn_err fn_djson_put_bool(struct fn_buf *out, const char *name, bool value)
{
    return fn_json_pair_bool(out, name, value);
}
fn_err fn_djson_put_hex(struct fn_buf *out, const char *name, const void *p, size_t n);

#endif
