#include "data/mask.h"

#include <string.h>
#include <strings.h>

/* Bytes of the UTF-8 character at p. */
static size_t character(const uint8_t *p, size_t left)
{
    size_t n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    return n < left ? n : left;
}

static size_t characters(struct fn_bytes v)
{
    size_t count = 0;
    for (size_t i = 0; i < v.n; i += character(v.p + i, v.n - i)) count++;
    return count;
}

static fn_err stars(struct fn_buf *out, size_t n)
{
    for (; n; n--) FN_TRY(fn_buf_u8(out, '*'));
    return FN_OK;
}

/* First `head` and last `tail` characters, stars for each between. */
static fn_err ends(struct fn_buf *out, struct fn_bytes v, size_t head, size_t tail)
{
    size_t count = characters(v), at = 0;
    if (head + tail >= count) {
        head = count > 1;
        tail = 0;
    }
    for (size_t i = 0; i < v.n; at++) {
        size_t n = character(v.p + i, v.n - i);
        if (at < head || at >= count - tail)
            FN_TRY(fn_buf_add(out, v.p + i, n));
        else
            FN_TRY(fn_buf_u8(out, '*'));
        i += n;
    }
    return FN_OK;
}

static bool all_of(struct fn_bytes v, bool letters)
{
    for (size_t i = 0; i < v.n; i++) {
        bool digit = v.p[i] >= '0' && v.p[i] <= '9', letter = (v.p[i] | 32) >= 'a' && (v.p[i] | 32) <= 'z';
        if (!digit && !(letters && letter)) return false;
    }
    return v.n > 0;
}

static bool all_wide(struct fn_bytes v)
{
    for (size_t i = 0; i < v.n; i += 3)
        if (v.n - i < 3 || v.p[i] < 0xe3 || v.p[i] > 0xe9) return false;
    return v.n > 0;
}

static bool named(const char *column, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(column, *words)) return true;
    return false;
}

fn_err fn_mask(struct fn_buf *out, const char *column, struct fn_bytes v)
{
    static const char *const names[] = {"name", "姓名", "agent", "contact", "handler", "legalrep", NULL};
    const uint8_t *at = v.n ? memchr(v.p, '@', v.n) : NULL;
    size_t count = characters(v);
    if (!v.n) return FN_OK;
    if (at && at > v.p) {
        FN_TRY(fn_buf_add(out, v.p, character(v.p, v.n)));
        FN_TRY(fn_buf_text(out, "***"));
        return fn_buf_add(out, at, (size_t)(v.p + v.n - at));
    }
    if ((v.n == 18 || v.n == 15) && all_of(v, true)) return ends(out, v, 3, 4);
    if (v.n >= 11 && all_of(v, false)) return ends(out, v, 3, 4);
    if (v.n >= 7 && all_of(v, false)) return ends(out, v, 1, 2);
    if (count <= 4 && (all_wide(v) || named(column, names))) return ends(out, v, 1, 0);
    size_t head = count / 4 < 6 ? count / 4 : 6, i = 0;
    for (size_t k = 0; k < head; k++) {
        size_t n = character(v.p + i, v.n - i);
        FN_TRY(fn_buf_add(out, v.p + i, n));
        i += n;
    }
    return stars(out, 3);
}
