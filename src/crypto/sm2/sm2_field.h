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

/* a + b + *carry and a - b - *carry, with *carry (0 or 1) replaced. The processor has these; C has not, and
 * compilers find them only under names of their own. */
#if defined(__clang__)
typedef unsigned long long fn_carry;
static inline uint64_t fn_adc(uint64_t a, uint64_t b, fn_carry *carry)
{
    return __builtin_addcll(a, b, *carry, carry);
}
static inline uint64_t fn_sbb(uint64_t a, uint64_t b, fn_carry *carry)
{
    return __builtin_subcll(a, b, *carry, carry);
}
#elif defined(__GNUC__) && defined(__x86_64__)
typedef unsigned char fn_carry;
static inline uint64_t fn_adc(uint64_t a, uint64_t b, fn_carry *carry)
{
    unsigned long long out;
    *carry = __builtin_ia32_addcarryx_u64(*carry, a, b, &out);
    return out;
}
static inline uint64_t fn_sbb(uint64_t a, uint64_t b, fn_carry *carry)
{
    unsigned long long out;
    *carry = __builtin_ia32_sbb_u64(*carry, a, b, &out);
    return out;
}
#else
typedef uint64_t fn_carry;
static inline uint64_t fn_adc(uint64_t a, uint64_t b, fn_carry *carry)
{
    fn_u128 t = (fn_u128)a + b + *carry;
    *carry = (uint64_t)(t >> 64);
    return (uint64_t)t;
}
static inline uint64_t fn_sbb(uint64_t a, uint64_t b, fn_carry *carry)
{
    fn_u128 t = (fn_u128)a - b - *carry;
    *carry = (uint64_t)(t >> 64) & 1;
    return (uint64_t)t;
}
#endif

/* out = a + b, the carry is returned. */
static inline uint64_t fn_add4(uint64_t out[4], const uint64_t a[4], const uint64_t b[4])
{
    fn_carry carry = 0;
    out[0] = fn_adc(a[0], b[0], &carry);
    out[1] = fn_adc(a[1], b[1], &carry);
    out[2] = fn_adc(a[2], b[2], &carry);
    out[3] = fn_adc(a[3], b[3], &carry);
    return carry;
}

/* out = a - b, the borrow (0 or 1) is returned. */
static inline uint64_t fn_sub4(uint64_t out[4], const uint64_t a[4], const uint64_t b[4])
{
    fn_carry borrow = 0;
    out[0] = fn_sbb(a[0], b[0], &borrow);
    out[1] = fn_sbb(a[1], b[1], &borrow);
    out[2] = fn_sbb(a[2], b[2], &borrow);
    out[3] = fn_sbb(a[3], b[3], &borrow);
    return borrow;
}

/* out = high·2^256 + a - m, or a if that is negative; the mask returned is all ones in the second case. The
 * number is known to be below 2m. */
static inline uint64_t fn_once4(uint64_t out[4], const uint64_t a[4], uint64_t high, const uint64_t m[4])
{
    uint64_t less[4];
    fn_carry borrow = 0;
    less[0] = fn_sbb(a[0], m[0], &borrow);
    less[1] = fn_sbb(a[1], m[1], &borrow);
    less[2] = fn_sbb(a[2], m[2], &borrow);
    less[3] = fn_sbb(a[3], m[3], &borrow);
    uint64_t keep = fn_opaque(fn_sbb(high, 0, &borrow));
    out[0] = fn_mask_pick(keep, a[0], less[0]);
    out[1] = fn_mask_pick(keep, a[1], less[1]);
    out[2] = fn_mask_pick(keep, a[2], less[2]);
    out[3] = fn_mask_pick(keep, a[3], less[3]);
    return keep;
}

#define FN_SM2_P0 0xffffffffffffffffu
#define FN_SM2_P1 0xffffffff00000000u
#define FN_SM2_P2 0xffffffffffffffffu
#define FN_SM2_P3 0xfffffffeffffffffu

/* a + high·2^256, known to be below 2p, brought below p. */
static inline struct fn_sm2_fe fn_fe_once(const uint64_t a[4], uint64_t high)
{
    static const uint64_t p[4] = {FN_SM2_P0, FN_SM2_P1, FN_SM2_P2, FN_SM2_P3};
    struct fn_sm2_fe out;
    fn_once4(out.v, a, high, p);
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
    a.v[0] = a.v[0] >> 1 | a.v[1] << 63;
    a.v[1] = a.v[1] >> 1 | a.v[2] << 63;
    a.v[2] = a.v[2] >> 1 | a.v[3] << 63;
    a.v[3] = a.v[3] >> 1 | carry << 63;
    return a;
}

/* (t + q·p) / 2^64 with q the lowest limb of t: as p = -1 mod 2^64 that is the quotient digit, and the sum is
 * t / 2^64 without the remainder plus q·(p + 1) / 2^64 = q·(2^192 - 2^160 - 2^32 + 1), shifts and additions
 * alone. It is below p + 2^192 for every t below 2^256. */
static inline void fn_fe_reduce_step(uint64_t t[4])
{
    uint64_t q = t[0], low = q << 32, high = q >> 32, m[4];
    fn_carry carry = 0;
    m[0] = fn_sbb(q, low, &carry);
    m[1] = fn_sbb(0, high, &carry);
    m[2] = fn_sbb(0, low, &carry);
    m[3] = fn_sbb(q, high, &carry);
    carry = 0;
    t[0] = fn_adc(t[1], m[0], &carry);
    t[1] = fn_adc(t[2], m[1], &carry);
    t[2] = fn_adc(t[3], m[2], &carry);
    t[3] = fn_adc(0, m[3], &carry);
}

/* t / R mod p for t < p·R: the lower half is reduced by itself, then the upper half is added. */
static inline struct fn_sm2_fe fn_fe_reduce(const uint64_t t[8])
{
    uint64_t low[4] = {t[0], t[1], t[2], t[3]};
    fn_fe_reduce_step(low);
    fn_fe_reduce_step(low);
    fn_fe_reduce_step(low);
    fn_fe_reduce_step(low);
    uint64_t carry = fn_add4(low, low, t + 4);
    return fn_fe_once(low, carry);
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
