/* Memory of one turn of a worker: taken piece by piece, given back all at once and wiped, because requests
 * and answers pass through it. */
#ifndef FN_DEVICE_ARENA_H
#define FN_DEVICE_ARENA_H

#include "base/core/bytes.h"

struct fn_arena_chunk;
struct fn_arena {
    struct fn_arena_chunk *first, *current;
    size_t used; /* of the current chunk */
};

/* n bytes aligned to 16, not zeroed; NULL when memory is out. */
void *fn_arena_take(struct fn_arena *a, size_t n);
/* The same, zeroed. */
void *fn_arena_zero(struct fn_arena *a, size_t n);
/* A buffer that grows in this thread's current arena (fn_arena_use). */
struct fn_buf fn_buf_arena(void);
void fn_arena_use(struct fn_arena *a);
/* Everything taken is given back and wiped; a few chunks are kept. */
void fn_arena_reset(struct fn_arena *a);
void fn_arena_end(struct fn_arena *a);

#endif
