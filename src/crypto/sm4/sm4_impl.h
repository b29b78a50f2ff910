/* What a variant of SM4 has to offer to the modes. Internal to this folder and to crypto/cpu.c. */
#ifndef FN_CRYPTO_SM4_IMPL_H
#define FN_CRYPTO_SM4_IMPL_H

#include "crypto/sm4/sm4.h"

/* Whether a tag is right is public: the constant-time test, to which secrets are undefined memory, learns it
 * here. */
#ifdef FN_CHECK_CONSTANT_TIME
#include <valgrind/memcheck.h>
#define FN_SM4_PUBLIC(variable) ((void)VALGRIND_MAKE_MEM_DEFINED(&(variable), sizeof(variable)))
#else
#define FN_SM4_PUBLIC(variable) ((void)0)
#endif

/* Large scratch that is filled before it is read; clearing it first would cost more than a short message. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define FN_SM4_UNSET __attribute__((uninitialized))
#endif
#endif
#ifndef FN_SM4_UNSET
#define FN_SM4_UNSET
#endif

/* Blocks that a mode gathers before it calls the parallel kernel; a multiple of every variant's lanes. */
#define FN_SM4_CHUNK 64

/* Round keys as a variant's parallel kernel wants them. Secret: wipe after use. */
struct fn_sm4_lanes {
    _Alignas(64) uint8_t planes[4096];
};

struct fn_sm4_ops {
    /* Blocks that the parallel kernel does in the time of one call; at most FN_SM4_CHUNK. */
    size_t lanes;
    /* The same key in all lanes. */
    void (*load)(struct fn_sm4_lanes *l, const struct fn_sm4_key *key, bool decrypt);
    /* A key for each of n ≤ lanes lanes, encryption only. */
    void (*load_each)(struct fn_sm4_lanes *l, size_t n, const struct fn_sm4_key *const *keys);
    /* Any number of blocks, block i in lane i mod lanes; in == out is allowed. */
    void (*run)(const struct fn_sm4_lanes *l, const uint8_t *in, uint8_t *out, size_t blocks);
    /* One block, for the modes that are serial. */
    void (*one)(const struct fn_sm4_key *key, bool decrypt, const uint8_t in[16], uint8_t out[16]);
    /* n keys at once. */
    void (*schedule)(size_t n, struct fn_sm4_key *const *keys, const uint8_t (*k)[FN_SM4_KEY]);
    /* Powers H^1 … H^8 of the hash key. */
    void (*ghash_init)(uint64_t h[16], const uint8_t hash_key[16]);
    /* y = (… ((y ⊕ X1)·H ⊕ X2)·H …)·H over whole blocks. */
    void (*ghash)(const uint64_t h[16], uint8_t y[16], const uint8_t *in, size_t blocks);
};

extern const struct fn_sm4_ops fn_sm4_portable;
/* The one in use: set by fn_cpu_select. */
extern const struct fn_sm4_ops *fn_sm4_ops;

/* Constants of the key schedule (GB/T 32907-2016 7.3). */
extern const uint32_t fn_sm4_fk[4], fn_sm4_ck[32];

void fn_ghash_init_portable(uint64_t h[16], const uint8_t hash_key[16]);
void fn_ghash_portable(const uint64_t h[16], uint8_t y[16], const uint8_t *in, size_t blocks);

/* One block forward with the variant in use. */
static inline void fn_sm4_one(const struct fn_sm4_key *key, const uint8_t in[16], uint8_t out[16])
{
    fn_sm4_ops->one(key, false, in, out);
}

static inline void fn_sm4_xor(uint8_t *out, const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        uint64_t x[2], y[2];
        memcpy(x, a + i, 16);
        memcpy(y, b + i, 16);
        x[0] ^= y[0];
        x[1] ^= y[1];
        memcpy(out + i, x, 16);
    }
    for (; i < n; i++) out[i] = a[i] ^ b[i];
}

/* Sixteen bytes from two big-endian numbers in one store: the kernels load them as one soon after. */
static inline void fn_sm4_put128(uint8_t *out, uint64_t high, uint64_t low)
{
    typedef uint64_t two __attribute__((vector_size(16)));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    two v = {__builtin_bswap64(high), __builtin_bswap64(low)};
#else
    two v = {high, low};
#endif
    memcpy(out, &v, 16);
}

/* n counter blocks from `counter` on, which moves on; all 128 bits count. */
static inline void fn_sm4_counters(uint8_t *out, size_t n, uint8_t counter[16])
{
    uint64_t high = fn_get_be64(counter), low = fn_get_be64(counter + 8);
    for (; n; n--, out += 16) {
        fn_sm4_put128(out, high, low);
        low++;
        high += ~(low | -low) >> 63; /* low became 0; without a branch, for counters that are secret */
        __asm__("" : "+r"(low));     /* nor may the compiler end the loop by comparing the counter */
    }
    fn_put_be64(counter, high);
    fn_put_be64(counter + 8, low);
}

/* The same where only the last 32 bits count (GCM). */
static inline void fn_sm4_counters32(uint8_t *out, size_t n, uint8_t counter[16])
{
    uint64_t high = fn_get_be64(counter), low = fn_get_be64(counter + 8);
    for (; n; n--, out += 16) {
        fn_sm4_put128(out, high, low);
        low = (low & 0xFFFFFFFF00000000) | (uint32_t)(low + 1);
        __asm__("" : "+r"(low));
    }
    fn_put_be64(counter + 8, low);
}

#endif
