/* Strict text forms of bytes: hex, base64 (RFC 4648 §4, padded), base64url (§5, unpadded), UUID; and UTF-8 checking. */
#ifndef FN_BASE_CORE_TEXT_H
#define FN_BASE_CORE_TEXT_H

#include "base/core/bytes.h"

struct fn_uuid {
    uint8_t b[16];
};
#define FN_UUID_TEXT 36 /* without the terminating NUL */

/* Encoders write a terminating NUL; `out` has room for the size macro plus 1. */
#define FN_HEX_SIZE(n)       ((n) * 2)
#define FN_BASE64_SIZE(n)    (((n) + 2) / 3 * 4)
#define FN_BASE64URL_SIZE(n) (((n) * 4 + 2) / 3)
void fn_hex_encode(char *out, const void *p, size_t n);
void fn_base64_encode(char *out, const void *p, size_t n);
void fn_base64url_encode(char *out, const void *p, size_t n);
/* Decoders accept exactly what the encoders write (hex: both cases); `out` of `room` bytes, *n the number written. */
fn_err fn_hex_decode(void *out, size_t room, size_t *n, const char *text, size_t length);
fn_err fn_base64_decode(void *out, size_t room, size_t *n, const char *text, size_t length);
fn_err fn_base64url_decode(void *out, size_t room, size_t *n, const char *text, size_t length);

/* Lower-case 8-4-4-4-12. */
void fn_uuid_format(char out[FN_UUID_TEXT + 1], const struct fn_uuid *u);
fn_err fn_uuid_parse(struct fn_uuid *u, const char *text, size_t length);
/* Turns 16 random bytes into a version 4 UUID. */
void fn_uuid_from_random(struct fn_uuid *u, const uint8_t random[16]);

/* Whether the bytes are valid UTF-8 (no overlong forms, no surrogates, at most U+10FFFF); *bad_at is the first bad offset. */
bool fn_utf8_valid(struct fn_bytes text, size_t *bad_at);

#endif
