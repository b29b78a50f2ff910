/* Writing JSON: the one thing that needs care is a string. */
#ifndef FN_BASE_SYS_JSON_H
#define FN_BASE_SYS_JSON_H

#include "base/core/bytes.h"

/* Appends n bytes of text as a quoted JSON string; bytes that are not UTF-8 become U+FFFD, control characters are escaped. */
fn_err fn_json_text(struct fn_buf *b, const char *text, size_t n);
/* The same for a NUL-terminated text; NULL becomes null. */
fn_err fn_json_string(struct fn_buf *b, const char *text);
/* Appends "key":"value" with a comma before it unless the last byte of the buffer opens an object or array or b is empty. */
fn_err fn_json_pair(struct fn_buf *b, const char *key, const char *value);
fn_err fn_json_pair_number(struct fn_buf *b, const char *key, int64_t value);
fn_err fn_json_pair_bool(struct fn_buf *b, const char *key, bool value);
/* Appends "key": with the comma; the caller appends the value. */
fn_err fn_json_key(struct fn_buf *b, const char *key);

#endif
