/* Memory from the heap: growth for fn_buf, checked arrays, and clean-up bound to a scope. */
#ifndef FN_BASE_SYS_HEAP_H
#define FN_BASE_SYS_HEAP_H

#include "base/core/bytes.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* An empty buffer that grows on the heap; give it back with fn_buf_free. */
struct fn_buf fn_buf_heap(void);
/* The same for secrets: its storage is locked and wiped memory (secret.h), old storage is wiped when it grows. */
struct fn_buf fn_buf_secret(void);
/* Frees what either of the two owns and leaves an empty buffer of the same kind; fixed buffers are left alone. */
void fn_buf_free(struct fn_buf *b);

/* Zeroed array of count × size bytes into *out (a pointer to a pointer); FN_E_NO_MEMORY also when the product overflows. */
fn_err fn_heap_array(void *out, size_t count, size_t size);
/* Makes an array of *room elements hold at least `need`: doubles it; new elements are zero. */
fn_err fn_heap_grow(void *array, size_t *room, size_t need, size_t size);
/* NUL-terminated copy of n bytes of text. */
fn_err fn_heap_text(char **out, const char *text, size_t n);
/* Formats onto the heap, with fn_format's directives. */
fn_err fn_heap_format(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* FN_SCOPED_FD int fd = open(…);  -- closed, freed … when the scope ends. Values that own nothing: -1, NULL. */
static inline void fn_scoped_fd_end(int *fd)
{
    if (*fd >= 0) close(*fd);
}
static inline void fn_scoped_file_end(FILE **f)
{
    if (*f) fclose(*f);
}
static inline void fn_scoped_heap_end(void *p) { free(*(void **)p); }
#define FN_SCOPED_FD   __attribute__((cleanup(fn_scoped_fd_end)))
#define FN_SCOPED_FILE __attribute__((cleanup(fn_scoped_file_end)))
#define FN_SCOPED_HEAP __attribute__((cleanup(fn_scoped_heap_end)))
#define FN_SCOPED_BUF  __attribute__((cleanup(fn_buf_free)))

/* Hands a scoped value on: takes it out of the variable, so that the end of the scope finds nothing. */
static inline int fn_fd_release(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}
#define FN_RELEASE(pointer)                                                                                  \
    __extension__({                                                                                          \
        __typeof__(pointer) fn_taken = (pointer);                                                            \
        (pointer) = NULL;                                                                                    \
        fn_taken;                                                                                            \
    })

#endif
