/* Arithmetic in the field of p = 2^256 - 2^224 - 2^96 + 2^64 - 1, four limbs of 64 bits, least significant
 * first, in Montgomery form with R = 2^256. Every function takes and returns values below p and runs in
 * constant time. Inline, because the point formulas are nothing else. */
#ifndef FN_CRYPTO_SM2_FIELD_H
#define FN_CRYPTO_SM2_FIELD_H

#include "base/core/mem.h"

typedef unsigned __int128 fn_u128;

struct fn_sm2_fe {
    uint64_t v[4];
};

extern const struct fn_sm2_fe fn_sm2_p; /* the modulus itself, not in Montgomery form */

/* a·b in full. WebAssembly has no such instruction and its compilers would call a library function. */
static inline fn_u128 fn_mul_wide(uint64_t a, uint64_t b)
{
#ifdef __wasm__
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
    uint64_t high = a1 * b1 + (middle >> 32) + (other >> 32);
    return (fn_u128)high << 64 | other << 32 | (uint32_t)low;
#else
    return (fn_u128)a * b;
#endif
}

/* Hides where a mask comes from, so that no compiler turns a selection back into a branch. */
static inline uint64_t fn_opaque(uint64_t v)
{
    __asm__("" : "+r"(v));
    return v;
}

/* All ones if v is zero, otherwise zero. */
static inline uint64_t fn_mask_zero(uint64_t v)
{
    return fn_opaque(((v | -v) >> 63) - 1);
}

/* mask ? a : b */
static inline uint64_t fn_mask_pick(uint64_t mask, uint64_t a, uint64_t b)
{
    return b ^ (mask & (a ^ b));
}

/* out = a + b, the carry is returned. */
static inline uint64_t fn_add4(uint64_t out[4], const uint64_t a[4], const uint64_t b[4])
{
    fn_u128 t = 0;
    for (int i = 0; i < 4; i++) {
        t = (t >> 64) + a[i] + b[i];
        out[i] = (uint64_t)t;
    }
    return (uint64_t)(t >> 64);
}

/* out = a - b, the borrow (0 or 1) is returned. */
static inline uint64_t fn_sub4(uint64_t out[4], const uint64_t a[4], const uint64_t b[4])
{
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        fn_u128 t = (fn_u128)a[i] - b[i] - borrow;
        out[i] = (uint64_t)t;
        borrow = (uint64_t)(t >> 64) & 1;
    }
    return borrow;
}

#define FN_SM2_P0 0xffffffffffffffffu
#define FN_SM2_P1 0xffffffff00000000u
#define FN_SM2_P2 0xffffffffffffffffu
#define FN_SM2_P3 0xfffffffeffffffffu

/* a + carry·2^256, known to be below 2p, brought below p. */
static inline struct fn_sm2_fe fn_fe_once(const uint64_t a[4], uint64_t carry)
{
    static const uint64_t p[4] = {FN_SM2_P0, FN_SM2_P1, FN_SM2_P2, FN_SM2_P3};
    struct fn_sm2_fe out;
    uint64_t borrow = fn_sub4(out.v, a, p);
    uint64_t keep = fn_opaque(0 - (borrow & (carry ^ 1)));
    for (int i = 0; i < 4; i++) out.v[i] = fn_mask_pick(keep, a[i], out.v[i]);
    return out;
}

static inline struct fn_sm2_fe fn_fe_add(struct fn_sm2_fe a, struct fn_sm2_fe b)
{
    uint64_t sum[4];
    uint64_t carry = fn_add4(sum, a.v, b.v);
    return fn_fe_once(sum, carry);
}

static inline struct fn_sm2_fe fn_fe_sub(struct fn_sm2_fe a, struct fn_sm2_fe b)
{
    struct fn_sm2_fe out;
    uint64_t mask = fn_opaque(0 - fn_sub4(out.v, a.v, b.v));
    uint64_t p[4] = {mask, mask & FN_SM2_P1, mask, mask & FN_SM2_P3};
    fn_add4(out.v, out.v, p);
    return out;
}

static inline struct fn_sm2_fe fn_fe_half(struct fn_sm2_fe a)
{
    uint64_t mask = fn_opaque(0 - (a.v[0] & 1));
    uint64_t p[4] = {mask, mask & FN_SM2_P1, mask, mask & FN_SM2_P3};
    uint64_t carry = fn_add4(a.v, a.v, p);
    for (int i = 0; i < 3; i++) a.v[i] = a.v[i] >> 1 | a.v[i + 1] << 63;
    a.v[3] = a.v[3] >> 1 | carry << 63;
    return a;
}

/* t / R mod p for t < p·R. As p = -1 mod 2^64 the quotient digit q is the lowest limb itself, and
 * (t + q·p) / 2^64 = (t - q) / 2^64 + 2^128·(q·2^64 - q·2^32) - (q·2^32 - q): shifts and additions alone. The
 * low half is reduced by itself (it stays below 2^256: the sum is below p + 2^192), then the high half is
 * added. */
static inline struct fn_sm2_fe fn_fe_reduce(const uint64_t t[8])
{
    uint64_t a = t[0], b = t[1], c = t[2], d = t[3];
    for (int i = 0; i < 4; i++) {
        fn_u128 part = ((fn_u128)a << 32) - a;
        fn_u128 low = (fn_u128)c << 64 | b;
        fn_u128 high = (fn_u128)d + (part << 32) - (low < part);
        low -= part;
        a = (uint64_t)low;
        b = (uint64_t)(low >> 64);
        c = (uint64_t)high;
        d = (uint64_t)(high >> 64);
    }
    uint64_t low[4] = {a, b, c, d}, sum[4];
    uint64_t carry = fn_add4(sum, low, t + 4);
    return fn_fe_once(sum, carry);
}

/* a·b / R */
static inline struct fn_sm2_fe fn_fe_mul(struct fn_sm2_fe a, struct fn_sm2_fe b)
{
    uint64_t t[8];
    fn_u128 sum = 0;
    for (int j = 0; j < 4; j++) {
        sum = fn_mul_wide(a.v[0], b.v[j]) + (uint64_t)(sum >> 64);
        t[j] = (uint64_t)sum;
    }
    t[4] = (uint64_t)(sum >> 64);
    for (int i = 1; i < 4; i++) {
        sum = 0;
        for (int j = 0; j < 4; j++) {
            sum = fn_mul_wide(a.v[i], b.v[j]) + t[i + j] + (uint64_t)(sum >> 64);
            t[i + j] = (uint64_t)sum;
        }
        t[i + 4] = (uint64_t)(sum >> 64);
    }
    return fn_fe_reduce(t);
}

/* a² / R */
static inline struct fn_sm2_fe fn_fe_sqr(struct fn_sm2_fe x)
{
    const uint64_t *a = x.v;
    uint64_t t[8];
    /* The products of different limbs … */
    fn_u128 s = fn_mul_wide(a[0], a[1]);
    t[1] = (uint64_t)s;
    s = fn_mul_wide(a[0], a[2]) + (uint64_t)(s >> 64);
    t[2] = (uint64_t)s;
    s = fn_mul_wide(a[0], a[3]) + (uint64_t)(s >> 64);
    t[3] = (uint64_t)s;
    t[4] = (uint64_t)(s >> 64);
    s = fn_mul_wide(a[1], a[2]) + t[3];
    t[3] = (uint64_t)s;
    s = fn_mul_wide(a[1], a[3]) + t[4] + (uint64_t)(s >> 64);
    t[4] = (uint64_t)s;
    t[5] = (uint64_t)(s >> 64);
    s = fn_mul_wide(a[2], a[3]) + t[5];
    t[5] = (uint64_t)s;
    t[6] = (uint64_t)(s >> 64);
    /* … twice, and the squares. */
    t[7] = t[6] >> 63;
    for (int i = 6; i > 1; i--) t[i] = t[i] << 1 | t[i - 1] >> 63;
    t[1] <<= 1;
    s = fn_mul_wide(a[0], a[0]);
    t[0] = (uint64_t)s;
    s = (s >> 64) + t[1];
    t[1] = (uint64_t)s;
    for (int i = 1; i < 4; i++) {
        s = fn_mul_wide(a[i], a[i]) + (fn_u128)(uint64_t)(s >> 64) + t[2 * i];
        t[2 * i] = (uint64_t)s;
        s = (s >> 64) + t[2 * i + 1];
        t[2 * i + 1] = (uint64_t)s;
    }
    return fn_fe_reduce(t);
}

static inline struct fn_sm2_fe fn_fe_pick(uint64_t mask, struct fn_sm2_fe a, struct fn_sm2_fe b)
{
    for (int i = 0; i < 4; i++) a.v[i] = fn_mask_pick(mask, a.v[i], b.v[i]);
    return a;
}

/* All ones if a is zero, otherwise zero. */
static inline uint64_t fn_fe_zero(struct fn_sm2_fe a)
{
    return fn_mask_zero(a.v[0] | a.v[1] | a.v[2] | a.v[3]);
}

static inline uint64_t fn_fe_equal(struct fn_sm2_fe a, struct fn_sm2_fe b)
{
    return fn_mask_zero((a.v[0] ^ b.v[0]) | (a.v[1] ^ b.v[1]) | (a.v[2] ^ b.v[2]) | (a.v[3] ^ b.v[3]));
}

/* 1 / a by Fermat; 0 for 0. */
struct fn_sm2_fe fn_fe_inverse(struct fn_sm2_fe a);
/* From 32 bytes big-endian; the mask returned is zero if the number is not below p (a is then meaningless).
 */
uint64_t fn_fe_load(struct fn_sm2_fe *a, const uint8_t bytes[32]);
void fn_fe_store(uint8_t bytes[32], struct fn_sm2_fe a);

#endif
