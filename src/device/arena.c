#include "device/arena.h"

#include <stdlib.h>

#define CHUNK ((size_t)1 << 18)
#define KEPT  16

struct fn_arena_chunk {
    struct fn_arena_chunk *next;
    size_t size, used;
    uint8_t b[] __attribute__((aligned(16)));
};

static _Thread_local struct fn_arena *arena_in_use;

static struct fn_arena_chunk *chunk_new(size_t n)
{
    size_t size = n > CHUNK ? n : CHUNK;
    struct fn_arena_chunk *c = malloc(sizeof *c + size);
    if (c) *c = (struct fn_arena_chunk){.size = size};
    return c;
}

void *fn_arena_take(struct fn_arena *a, size_t n)
{
    if (n > SIZE_MAX / 4) return NULL;
    n = (n + 15) & ~(size_t)15;
    while (!a->current || a->current->size - a->used < n) {
        struct fn_arena_chunk *next = a->current ? a->current->next : a->first;
        if (a->current) a->current->used = a->used;
        if (!next || next->size < n) {
            struct fn_arena_chunk *made = chunk_new(n);
            if (!made) return NULL;
            made->next = next;
            if (a->current)
                a->current->next = made;
            else
                a->first = made;
            next = made;
        }
        a->current = next;
        a->used = 0;
    }
    void *p = a->current->b + a->used;
    a->used += n;
    return p;
}

void *fn_arena_zero(struct fn_arena *a, size_t n)
{
    void *p = fn_arena_take(a, n);
    if (p) memset(p, 0, n);
    return p;
}

static fn_err arena_grow(struct fn_buf *b, size_t need)
{
    size_t room = b->room < 64 ? 64 : b->room;
    while (room < need) room *= 2;
    uint8_t *p = fn_arena_take(arena_in_use, room);
    if (!p) return FN_FAIL(FN_E_NO_MEMORY, "%zu bytes", room);
    if (b->n) memcpy(p, b->p, b->n);
    b->p = p;
    b->room = room;
    return FN_OK;
}

struct fn_buf fn_buf_arena(void)
{
    return (struct fn_buf){.grow = arena_grow};
}
void fn_arena_use(struct fn_arena *a)
{
    arena_in_use = a;
}

void fn_arena_reset(struct fn_arena *a)
{
    size_t kept = 0;
    if (a->current) a->current->used = a->used;
    for (struct fn_arena_chunk **link = &a->first; *link;) {
        struct fn_arena_chunk *c = *link;
        fn_wipe(c->b, c->used);
        c->used = 0;
        if (c->size > CHUNK || ++kept > KEPT) {
            *link = c->next;
            free(c);
        } else {
            link = &c->next;
        }
    }
    a->current = NULL;
    a->used = 0;
}

void fn_arena_end(struct fn_arena *a)
{
    fn_arena_reset(a);
    while (a->first) {
        struct fn_arena_chunk *next = a->first->next;
        free(a->first);
        a->first = next;
    }
}
