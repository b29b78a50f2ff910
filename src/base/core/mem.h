/* Memory primitives for code that may not assume a C library (core, crypto, formats are built for wasm32 too). */
#ifndef FN_BASE_CORE_MEM_H
#define FN_BASE_CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The only four symbols that core, crypto and formats may import; declared here because <string.h> is not freestanding. */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#define FN_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Overwrites n bytes with zeros; the compiler may not remove it. */
static inline void fn_wipe(void *p, size_t n)
{
    memset(p, 0, n);
    __asm__ __volatile__("" : : "r"(p) : "memory");
}

/* Compares n bytes in time that depends on n alone. */
static inline bool fn_equal_ct(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;
    uint32_t difference = 0;
    for (size_t i = 0; i < n; i++) difference |= (uint32_t)(x[i] ^ y[i]);
    return ((difference - 1) >> 31) & 1;
}

static inline uint16_t fn_get_be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static inline uint32_t fn_get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t fn_get_be64(const uint8_t *p)
{
    return (uint64_t)fn_get_be32(p) << 32 | fn_get_be32(p + 4);
}

static inline void fn_put_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void fn_put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static inline void fn_put_be64(uint8_t *p, uint64_t v)
{
    fn_put_be32(p, (uint32_t)(v >> 32));
    fn_put_be32(p + 4, (uint32_t)v);
}

static inline uint32_t fn_rotl32(uint32_t v, unsigned n) { return v << (n & 31) | v >> (-n & 31); }

/* Scope-bound wiping: `uint8_t key[16] FN_WIPED(16) …` is not expressible, so wrap secrets in a struct of their own
 * and give it a cleanup function, or use FN_SCOPED_WIPE(variable) right after the declaration. */
struct fn_wipe_guard {
    void *p;
    size_t n;
};
static inline void fn_wipe_guard_run(struct fn_wipe_guard *g) { fn_wipe(g->p, g->n); }
#define FN_GLUE2(a, b) a##b
#define FN_GLUE(a, b) FN_GLUE2(a, b)
#define FN_SCOPED_WIPE(variable)                                                                             \
    struct fn_wipe_guard FN_GLUE(wipe_guard_, __LINE__) __attribute__((cleanup(fn_wipe_guard_run), unused)) = {     \
        &(variable), sizeof(variable)}

#endif
