/* Bytes: borrowed views, a bounds-checked reading cursor, and one growable buffer. */
#ifndef FN_BASE_CORE_BYTES_H
#define FN_BASE_CORE_BYTES_H

#include "base/core/err.h"
#include "base/core/mem.h"

/* Borrowed, immutable bytes; the owner outlives the view. p may be NULL when n is 0. */
struct fn_bytes {
    const uint8_t *p;
    size_t n;
};

static inline struct fn_bytes fn_bytes(const void *p, size_t n) { return (struct fn_bytes){p, n}; }
#define FN_BYTES_LITERAL(text) ((struct fn_bytes){(const uint8_t *)(text), sizeof(text) - 1})
static inline bool fn_bytes_equal(struct fn_bytes a, struct fn_bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* A reading position in bytes from outside. Every read fails with FN_E_TRUNCATED instead of overrunning,
 * naming the offset; a failed read moves nothing. All numbers are big-endian. */
struct fn_cur {
    const uint8_t *start, *p, *end;
};

/* C does not allow even 0 to be added to NULL, which stands for no bytes. */
static inline const uint8_t *fn_past(const uint8_t *p, size_t n) { return n ? p + n : p; }
static inline struct fn_cur fn_cur(struct fn_bytes b) { return (struct fn_cur){b.p, b.p, fn_past(b.p, b.n)}; }
static inline size_t fn_cur_left(const struct fn_cur *c) { return (size_t)(c->end - c->p); }
static inline size_t fn_cur_offset(const struct fn_cur *c) { return (size_t)(c->p - c->start); }
fn_err fn_cur_u8(struct fn_cur *c, uint8_t *v);
fn_err fn_cur_u16(struct fn_cur *c, uint16_t *v);
fn_err fn_cur_u32(struct fn_cur *c, uint32_t *v);
fn_err fn_cur_u64(struct fn_cur *c, uint64_t *v);
/* View of the next n bytes. */
fn_err fn_cur_take(struct fn_cur *c, size_t n, struct fn_bytes *v);
/* Copy of the next n bytes. */
fn_err fn_cur_copy(struct fn_cur *c, void *out, size_t n);
/* u32 length, at most `most`, then that many bytes. */
fn_err fn_cur_var(struct fn_cur *c, size_t most, struct fn_bytes *v);
/* FN_E_TRAILING unless everything was read. */
fn_err fn_cur_end(const struct fn_cur *c);

/* Growable bytes. `grow` makes room for at least `need` bytes in all (old content kept) or fails; a buffer over
 * caller-owned fixed storage has grow = NULL. Appending never invalidates on failure. */
struct fn_buf {
    uint8_t *p;
    size_t n, room;
    fn_err (*grow)(struct fn_buf *b, size_t need);
};

static inline struct fn_buf fn_buf_fixed(void *storage, size_t size) { return (struct fn_buf){storage, 0, size, 0}; }
static inline struct fn_bytes fn_buf_view(const struct fn_buf *b) { return (struct fn_bytes){b->p, b->n}; }
/* Room for n more bytes; *where is valid until the next call; the caller adds to b->n what it wrote. */
fn_err fn_buf_reserve(struct fn_buf *b, size_t n, uint8_t **where);
fn_err fn_buf_add(struct fn_buf *b, const void *p, size_t n);
fn_err fn_buf_text(struct fn_buf *b, const char *text);
fn_err fn_buf_format(struct fn_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
fn_err fn_buf_u8(struct fn_buf *b, uint8_t v);
fn_err fn_buf_u16(struct fn_buf *b, uint16_t v);
fn_err fn_buf_u32(struct fn_buf *b, uint32_t v);
fn_err fn_buf_u64(struct fn_buf *b, uint64_t v);
/* u32 length and bytes, the counterpart of fn_cur_var. */
fn_err fn_buf_var(struct fn_buf *b, const void *p, size_t n);

#endif
