/* GHASH (GB/T 36624-2018 and NIST SP 800-38D 6.4) in plain C without carry-less instructions, tables or
 * branches.
 *
 * A block is a polynomial whose coefficient of x^0 is the most significant bit of its first byte. Read as a
 * big-endian number its bits are in reverse, which turns a product into the reversed product shifted right by
 * one.
 *
 * 32 × 32 bits are multiplied without carries by integer multiplication "with holes": each factor is taken
 * apart into four numbers that keep every fourth bit, in digits of four bits. A product of two such has at
 * most 8 terms in a digit, so that the lowest bit of each digit is the sum modulo 2. Karatsuba's method on
 * two levels makes nine products of these sixteen, and on two more levels nine 32-bit products of 128 × 128
 * bits: 81 multiplications a block. Two blocks go side by side in a vector and up to eight share one
 * reduction: Y' = (Y ⊕ X1)·H^n ⊕ X2·H^(n−1) ⊕ … ⊕ Xn·H. */
#include "crypto/sm4/sm4_impl.h"

#define POWERS 8
#define TERMS  9

typedef uint64_t two __attribute__((vector_size(16)));

struct number {
    uint64_t high, low;
};

/* Products of the low halves of both lanes. */
static inline __attribute__((always_inline)) two multiply(two a, two b)
{
#if defined(__SSE2__)
    typedef int four32 __attribute__((vector_size(16)));
    return (two)__builtin_ia32_pmuludq128((four32)a, (four32)b);
#else
    const two half = {0xFFFFFFFF, 0xFFFFFFFF};
    return (a & half) * (b & half);
#endif
}

/* The nine 32-bit factors of Karatsuba's method on two levels; the upper halves of the lanes hold what
 * multiply() ignores. */
static inline __attribute__((always_inline)) void factors(two f[TERMS], two high, two low)
{
    two x3 = high >> 32, x2 = high, x1 = low >> 32, x0 = low;
    f[0] = x0;
    f[1] = x1;
    f[2] = x0 ^ x1;
    f[3] = x2;
    f[4] = x3;
    f[5] = x2 ^ x3;
    f[6] = x0 ^ x2;
    f[7] = x1 ^ x3;
    f[8] = f[2] ^ f[5];
}

/* 64 × 64 bits from the products of the low parts, the high parts and the sums. */
static inline struct number join(uint64_t low, uint64_t high, uint64_t sum)
{
    uint64_t middle = sum ^ low ^ high;
    return (struct number){high ^ middle >> 32, low ^ middle << 32};
}

/* The lowest bit of each digit. */
static const two digits = {0x1111111111111111, 0x1111111111111111};

/* A 32-bit factor as a0 + a1·x + a2·x² + a3·x³, where each a has only digits of 0 and 1, and the sums that
 * Karatsuba's method needs of them. */
static inline __attribute__((always_inline)) void spread(two a[TERMS], two f)
{
    a[0] = f & digits;
    a[1] = f >> 1 & digits;
    a[2] = a[0] ^ a[1];
    a[3] = f >> 2 & digits;
    a[4] = f >> 3 & digits;
    a[5] = a[3] ^ a[4];
    a[6] = a[0] ^ a[3];
    a[7] = a[1] ^ a[4];
    a[8] = a[2] ^ a[5];
}

/* Sum over the pairs of x[i] * h[i]; h is taken apart already. Only the last step throws the upper bits of
 * the digits away. */
static inline __attribute__((always_inline)) two products(size_t pairs, const two x[][TERMS],
                                                          const two h[][TERMS][TERMS], int term)
{
    two p[TERMS] = {{0}};
    for (size_t i = 0; i < pairs; i++) {
        const two *b = h[i][term];
        two a[TERMS];
        spread(a, x[i][term]);
        for (int k = 0; k < TERMS; k++) p[k] ^= multiply(a[k], b[k]);
    }
    /* Coefficients of x^0 … x^6; those of x^4 … x^6 are one digit further left. */
    two middle0 = p[6] ^ p[0] ^ p[3], middle2 = p[7] ^ p[1] ^ p[4];
    two low1 = p[2] ^ p[0] ^ p[1], high1 = p[5] ^ p[3] ^ p[4];
    two r3 = p[8] ^ p[6] ^ p[7] ^ low1 ^ high1, r2 = p[1] ^ middle0 ^ p[4] << 4;
    two r1 = low1 ^ high1 << 4, r0 = p[0] ^ (p[3] ^ middle2) << 4;
    return (r0 & digits) | (r1 & digits) << 1 | (r2 & digits) << 2 | (r3 & digits) << 3;
}

/* The 255-bit product c3 … c0 modulo x^128 + x^7 + x^2 + x + 1, all in reverse. */
static struct number reduce(uint64_t c3, uint64_t c2, uint64_t c1, uint64_t c0)
{
    c3 = c3 << 1 | c2 >> 63;
    c2 = c2 << 1 | c1 >> 63;
    c1 = c1 << 1 | c0 >> 63;
    c0 = c0 << 1;
    c2 ^= c0 ^ c0 >> 1 ^ c0 >> 2 ^ c0 >> 7;
    c1 ^= c0 << 63 ^ c0 << 62 ^ c0 << 57;
    c3 ^= c1 ^ c1 >> 1 ^ c1 >> 2 ^ c1 >> 7;
    c2 ^= c1 << 63 ^ c1 << 62 ^ c1 << 57;
    return (struct number){c3, c2};
}

static void take_apart(two h[TERMS][TERMS], two high, two low)
{
    two f[TERMS];
    factors(f, high, low);
    for (int t = 0; t < TERMS; t++) spread(h[t], f[t]);
}

/* Lane by lane products of one pair, not yet added up. */
static void multiply_pair(struct number out[2], two xh, two xl, two hh, two hl)
{
    two x[1][TERMS], h[1][TERMS][TERMS], p[TERMS];
    factors(x[0], xh, xl);
    take_apart(h[0], hh, hl);
    for (int t = 0; t < TERMS; t++) p[t] = products(1, x, h, t);
    for (int i = 0; i < 2; i++) {
        struct number l = join(p[0][i], p[1][i], p[2][i]), u = join(p[3][i], p[4][i], p[5][i]);
        struct number m = join(p[6][i], p[7][i], p[8][i]);
        m.high ^= l.high ^ u.high;
        m.low ^= l.low ^ u.low;
        out[i] = reduce(u.high, u.low ^ m.high, l.high ^ m.low, l.low);
    }
}

void fn_ghash_init_portable(uint64_t h[16], const uint8_t hash_key[16])
{
    struct number p[POWERS + 1], t[2];
    p[1] = (struct number){fn_get_be64(hash_key), fn_get_be64(hash_key + 8)};
    multiply_pair(t, (two){p[1].high, 0}, (two){p[1].low, 0}, (two){p[1].high, 0}, (two){p[1].low, 0});
    p[2] = t[0];
    for (int i = 2; i < POWERS; i += 2) {
        /* H^(i+1) and H^(i+2) from H^i. */
        multiply_pair(t, (two){p[i].high, p[i].high}, (two){p[i].low, p[i].low}, (two){p[1].high, p[2].high},
                      (two){p[1].low, p[2].low});
        p[i + 1] = t[0];
        p[i + 2] = t[1];
    }
    for (int i = 1; i <= POWERS; i++) {
        h[2 * (i - 1)] = p[i].high;
        h[2 * (i - 1) + 1] = p[i].low;
    }
    fn_wipe(p, sizeof p);
    fn_wipe(t, sizeof t);
}

/* Powers taken apart: h[i] has H^(2i+2) and H^(2i+1). */
struct parts {
    two h[POWERS / 2][TERMS][TERMS];
};

/* 2 · pairs blocks; the first power used is H^(2 pairs). */
static inline __attribute__((always_inline)) struct number
blocks_by_pairs(size_t pairs, const struct parts *parts, struct number y, const uint8_t *in)
{
    two x[POWERS / 2][TERMS], p[TERMS];
    for (size_t i = 0; i < pairs; i++, in += 32) {
        two high = {fn_get_be64(in) ^ y.high, fn_get_be64(in + 16)};
        two low = {fn_get_be64(in + 8) ^ y.low, fn_get_be64(in + 24)};
        y = (struct number){0, 0};
        factors(x[pairs - 1 - i], high, low);
    }
    for (int t = 0; t < TERMS; t++) p[t] = products(pairs, x, parts->h, t);
    uint64_t s[TERMS];
    for (int t = 0; t < TERMS; t++) s[t] = p[t][0] ^ p[t][1];
    struct number l = join(s[0], s[1], s[2]), u = join(s[3], s[4], s[5]), m = join(s[6], s[7], s[8]);
    m.high ^= l.high ^ u.high;
    m.low ^= l.low ^ u.low;
    return reduce(u.high, u.low ^ m.high, l.high ^ m.low, l.low);
}

void fn_ghash_portable(const uint64_t h[16], uint8_t y[16], const uint8_t *in, size_t blocks)
{
    if (!blocks) return;
    FN_SM4_UNSET struct parts parts; /* what is used is filled below */
    size_t pairs = (blocks + 1) / 2 < POWERS / 2 ? (blocks + 1) / 2 : POWERS / 2;
    for (size_t i = 0; i < pairs; i++) {
        const uint64_t *p = h + 4 * i;
        take_apart(parts.h[i], (two){p[2], p[0]}, (two){p[3], p[1]});
    }
    struct number sum = {fn_get_be64(y), fn_get_be64(y + 8)};
    if (blocks % 2) { /* a zero block before the first leaves the sum as it is: (0·H ⊕ Y ⊕ X1) … */
        uint8_t first[32] = {0};
        fn_put_be64(first + 16, fn_get_be64(in) ^ sum.high);
        fn_put_be64(first + 24, fn_get_be64(in + 8) ^ sum.low);
        sum = blocks_by_pairs(1, &parts, (struct number){0, 0}, first);
        fn_wipe(first, sizeof first);
        in += 16;
        blocks--;
    }
    for (; blocks >= POWERS; blocks -= POWERS, in += 16 * POWERS)
        sum = blocks_by_pairs(POWERS / 2, &parts, sum, in);
    if (blocks) sum = blocks_by_pairs(blocks / 2, &parts, sum, in);
    fn_put_be64(y, sum.high);
    fn_put_be64(y + 8, sum.low);
    fn_wipe(&parts, pairs * sizeof parts.h[0]);
}
