#include "base/core/bytes.h"

#define CUR_NUMBER(name, type, size, get)                                                                    \
    fn_err fn_cur_##name(struct fn_cur *c, type *v)                                                          \
    {                                                                                                        \
        struct fn_bytes b = {0};                                                                             \
        fn_err err = fn_cur_take(c, size, &b);                                                               \
        if (err == FN_OK) *v = get(b.p);                                                                     \
        return err;                                                                                          \
    }

static inline uint8_t get_u8(const uint8_t *p) { return *p; }

CUR_NUMBER(u8, uint8_t, 1, get_u8)
CUR_NUMBER(u16, uint16_t, 2, fn_get_be16)
CUR_NUMBER(u32, uint32_t, 4, fn_get_be32)
CUR_NUMBER(u64, uint64_t, 8, fn_get_be64)

fn_err fn_cur_take(struct fn_cur *c, size_t n, struct fn_bytes *v)
{
    if (n > fn_cur_left(c))
        return FN_FAIL(FN_E_TRUNCATED, "%zu bytes wanted at offset %zu, %zu left", n, fn_cur_offset(c), fn_cur_left(c));
    *v = fn_bytes(c->p, n);
    c->p = fn_past(c->p, n);
    return FN_OK;
}

fn_err fn_cur_copy(struct fn_cur *c, void *out, size_t n)
{
    struct fn_bytes b = {0};
    fn_err err = fn_cur_take(c, n, &b);
    if (err == FN_OK && n) memcpy(out, b.p, n);
    return err;
}

fn_err fn_cur_var(struct fn_cur *c, size_t most, struct fn_bytes *v)
{
    struct fn_cur before = *c;
    uint32_t n;
    fn_err err = fn_cur_u32(c, &n);
    if (err == FN_OK && n > most)
        err = FN_FAIL(FN_E_TOO_LARGE, "length %u at offset %zu, at most %zu", n, fn_cur_offset(&before), most);
    if (err == FN_OK) err = fn_cur_take(c, n, v);
    if (err != FN_OK) *c = before;
    return err;
}

fn_err fn_cur_end(const struct fn_cur *c)
{
    if (c->p == c->end) return FN_OK;
    return FN_FAIL(FN_E_TRAILING, "%zu bytes after offset %zu", fn_cur_left(c), fn_cur_offset(c));
}

fn_err fn_buf_reserve(struct fn_buf *b, size_t n, uint8_t **where)
{
    if (n > SIZE_MAX - b->n) return FN_FAIL(FN_E_TOO_LARGE, "buffer of %zu bytes cannot take %zu more", b->n, n);
    if (b->n + n > b->room) {
        if (!b->grow) return FN_FAIL(FN_E_TOO_LARGE, "fixed buffer of %zu bytes, %zu needed", b->room, b->n + n);
        FN_TRY(b->grow(b, b->n + n));
    }
    *where = b->n ? b->p + b->n : b->p;
    return FN_OK;
}

fn_err fn_buf_add(struct fn_buf *b, const void *p, size_t n)
{
    uint8_t *where;
    if (!n) return FN_OK;
    FN_TRY(fn_buf_reserve(b, n, &where));
    memcpy(where, p, n);
    b->n += n;
    return FN_OK;
}

fn_err fn_buf_text(struct fn_buf *b, const char *text)
{
    size_t n = 0;
    while (text[n]) n++;
    return fn_buf_add(b, text, n);
}

fn_err fn_buf_format(struct fn_buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t n = fn_format_v(NULL, 0, format, args);
    va_end(args);
    uint8_t *where;
    FN_TRY(fn_buf_reserve(b, n + 1, &where));
    va_start(args, format);
    fn_format_v((char *)where, n + 1, format, args);
    va_end(args);
    b->n += n;
    return FN_OK;
}

fn_err fn_buf_u8(struct fn_buf *b, uint8_t v) { return fn_buf_add(b, &v, 1); }

fn_err fn_buf_u16(struct fn_buf *b, uint16_t v)
{
    uint8_t t[2];
    fn_put_be16(t, v);
    return fn_buf_add(b, t, sizeof t);
}

fn_err fn_buf_u32(struct fn_buf *b, uint32_t v)
{
    uint8_t t[4];
    fn_put_be32(t, v);
    return fn_buf_add(b, t, sizeof t);
}

fn_err fn_buf_u64(struct fn_buf *b, uint64_t v)
{
    uint8_t t[8];
    fn_put_be64(t, v);
    return fn_buf_add(b, t, sizeof t);
}

fn_err fn_buf_var(struct fn_buf *b, const void *p, size_t n)
{
    if (n > UINT32_MAX) return FN_FAIL(FN_E_TOO_LARGE, "%zu bytes", n);
    uint8_t *where;
    FN_TRY(fn_buf_reserve(b, 4 + n, &where));
    fn_put_be32(where, (uint32_t)n);
    if (n) memcpy(where + 4, p, n);
    b->n += 4 + n;
    return FN_OK;
}
