#include "base/sys/heap.h"

#include "base/sys/secret.h"
#include <string.h>

static size_t larger_room(size_t room, size_t need)
{
    size_t next = room < 64 ? 64 : room > SIZE_MAX / 2 ? need : room * 2;
    return next < need ? need : next;
}

static fn_err grow_heap(struct fn_buf *b, size_t need)
{
    size_t room = larger_room(b->room, need);
    uint8_t *p = realloc(b->p, room);
    if (!p) return FN_FAIL(FN_E_NO_MEMORY, "buffer of %zu bytes", room);
    b->p = p;
    b->room = room;
    return FN_OK;
}

static fn_err grow_secret(struct fn_buf *b, size_t need)
{
    size_t room = larger_room(b->room, need);
    void *p;
    FN_TRY(fn_secret_alloc(&p, room));
    if (b->n) memcpy(p, b->p, b->n);
    fn_secret_free(b->p);
    b->p = p;
    b->room = room;
    return FN_OK;
}

struct fn_buf fn_buf_heap(void)
{
    return (struct fn_buf){.grow = grow_heap};
}
struct fn_buf fn_buf_secret(void)
{
    return (struct fn_buf){.grow = grow_secret};
}

void fn_buf_free(struct fn_buf *b)
{
    if (b->grow == grow_heap)
        free(b->p);
    else if (b->grow == grow_secret)
        fn_secret_free(b->p);
    else
        return;
    *b = (struct fn_buf){.grow = b->grow};
}

fn_err fn_heap_array(void *out, size_t count, size_t size)
{
    size_t total;
    bool fits = !__builtin_mul_overflow(count, size, &total) && total <= PTRDIFF_MAX;
    void *p = fits ? calloc(total ? total : 1, 1) : NULL;
    if (!p) return FN_FAIL(FN_E_NO_MEMORY, "%zu elements of %zu bytes", count, size);
    *(void **)out = p;
    return FN_OK;
}

fn_err fn_heap_grow(void *array, size_t *room, size_t need, size_t size)
{
    if (need <= *room) return FN_OK;
    size_t next = *room < 8 ? 8 : *room * 2;
    if (next < need) next = need;
    if (next > SIZE_MAX / 2 / size) return FN_FAIL(FN_E_NO_MEMORY, "%zu elements of %zu bytes", need, size);
    uint8_t *p = realloc(*(void **)array, next * size);
    if (!p) return FN_FAIL(FN_E_NO_MEMORY, "%zu elements of %zu bytes", need, size);
    memset(p + *room * size, 0, (next - *room) * size);
    *(void **)array = p;
    *room = next;
    return FN_OK;
}

fn_err fn_heap_text(char **out, const char *text, size_t n)
{
    char *p;
    if (n == SIZE_MAX) return FN_FAIL(FN_E_NO_MEMORY, "text of %zu bytes", n);
    FN_TRY(fn_heap_array(&p, n + 1, 1));
    if (n) memcpy(p, text, n);
    *out = p;
    return FN_OK;
}

fn_err fn_heap_format(char **out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t n = fn_format_v(NULL, 0, format, args);
    va_end(args);
    char *p;
    FN_TRY(fn_heap_array(&p, n + 1, 1));
    va_start(args, format);
    fn_format_v(p, n + 1, format, args);
    va_end(args);
    *out = p;
    return FN_OK;
}
