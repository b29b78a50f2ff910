#include "base/core/text.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void fn_hex_encode(char *out, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        *out++ = hex_digits[b[i] >> 4];
        *out++ = hex_digits[b[i] & 15];
    }
    *out = 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

fn_err fn_hex_decode(void *out, size_t room, size_t *n, const char *text, size_t length)
{
    uint8_t *b = out;
    if (length % 2) return FN_FAIL(FN_E_FORMAT, "hex text of odd length %zu", length);
    if (length / 2 > room) return FN_FAIL(FN_E_TOO_LARGE, "%zu bytes of hex, room for %zu", length / 2, room);
    for (size_t i = 0; i < length; i += 2) {
        int high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) return FN_FAIL(FN_E_FORMAT, "not a hex digit near offset %zu", i);
        b[i / 2] = (uint8_t)(high << 4 | low);
    }
    *n = length / 2;
    return FN_OK;
}

static char *base64(char *out, const uint8_t *b, size_t n, const char *alphabet, bool padded)
{
    for (; n >= 3; n -= 3, b += 3) {
        *out++ = alphabet[b[0] >> 2];
        *out++ = alphabet[(b[0] & 3) << 4 | b[1] >> 4];
        *out++ = alphabet[(b[1] & 15) << 2 | b[2] >> 6];
        *out++ = alphabet[b[2] & 63];
    }
    if (n) {
        *out++ = alphabet[b[0] >> 2];
        *out++ = alphabet[(b[0] & 3) << 4 | (n == 2 ? b[1] >> 4 : 0)];
        if (n == 2) *out++ = alphabet[(b[1] & 15) << 2];
        for (size_t i = n; padded && i < 3; i++) *out++ = '=';
    }
    *out = 0;
    return out;
}

void fn_base64_encode(char *out, const void *p, size_t n) { base64(out, p, n, base64_plain, true); }
void fn_base64url_encode(char *out, const void *p, size_t n) { base64(out, p, n, base64_url, false); }

static int base64_value(char c, bool url)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == (url ? '-' : '+')) return 62;
    if (c == (url ? '_' : '/')) return 63;
    return -1;
}

static fn_err unbase64(uint8_t *b, size_t room, size_t *n, const char *text, size_t length, bool url)
{
    size_t whole = length / 4 * 3, rest = length % 4;
    if (rest == 1) return FN_FAIL(FN_E_FORMAT, "base64 text of length %zu", length);
    size_t size = whole + (rest ? rest - 1 : 0), written = 0;
    if (size > room) return FN_FAIL(FN_E_TOO_LARGE, "%zu bytes of base64, room for %zu", size, room);
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < length; i++) {
        int v = base64_value(text[i], url);
        if (v < 0) return FN_FAIL(FN_E_FORMAT, "not a base64 character at offset %zu", i);
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            b[written++] = (uint8_t)(bits >> have);
            bits &= (1u << have) - 1;
        }
    }
    if (bits) return FN_FAIL(FN_E_FORMAT, "base64 text ends in non-zero bits");
    *n = written;
    return FN_OK;
}

fn_err fn_base64url_decode(void *out, size_t room, size_t *n, const char *text, size_t length)
{
    return unbase64(out, room, n, text, length, true);
}

fn_err fn_base64_decode(void *out, size_t room, size_t *n, const char *text, size_t length)
{
    if (length % 4) return FN_FAIL(FN_E_FORMAT, "base64 text of length %zu, not a multiple of 4", length);
    for (int i = 0; i < 2 && length && text[length - 1] == '='; i++) length--;
    return unbase64(out, room, n, text, length, false);
}

void fn_uuid_format(char out[FN_UUID_TEXT + 1], const struct fn_uuid *u)
{
    char *o = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *o++ = '-';
        *o++ = hex_digits[u->b[i] >> 4];
        *o++ = hex_digits[u->b[i] & 15];
    }
    *o = 0;
}

fn_err fn_uuid_parse(struct fn_uuid *u, const char *text, size_t length)
{
    if (length != FN_UUID_TEXT) return FN_FAIL(FN_E_FORMAT, "UUID of %zu characters, not %d", length, FN_UUID_TEXT);
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            if (text[at++] != '-') return FN_FAIL(FN_E_FORMAT, "UUID without '-' at offset %zu", at - 1);
        }
        int high = hex_value(text[at]), low = hex_value(text[at + 1]);
        if (high < 0 || low < 0) return FN_FAIL(FN_E_FORMAT, "not a hex digit in UUID near offset %zu", at);
        u->b[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return FN_OK;
}

void fn_uuid_from_random(struct fn_uuid *u, const uint8_t random[16])
{
    memcpy(u->b, random, 16);
    u->b[6] = (uint8_t)((u->b[6] & 0x0f) | 0x40);
    u->b[8] = (uint8_t)((u->b[8] & 0x3f) | 0x80);
}

bool fn_utf8_valid(struct fn_bytes text, size_t *bad_at)
{
    for (size_t i = 0; i < text.n;) {
        uint8_t c = text.p[i];
        size_t more = c < 0x80 ? 0 : c >= 0xc2 && c <= 0xdf ? 1 : (c & 0xf0) == 0xe0 ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : 9;
        if (more == 9 || more > text.n - i - 1) return *bad_at = i, false;
        for (size_t k = 1; k <= more; k++)
            if ((text.p[i + k] & 0xc0) != 0x80) return *bad_at = i, false;
        uint8_t second = more ? text.p[i + 1] : 0;
        if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) || (c == 0xf0 && second < 0x90) ||
            (c == 0xf4 && second > 0x8f))
            return *bad_at = i, false;
        i += more + 1;
    }
    return true;
}
