/* Points of the curve y² = x³ - 3x + b. Exceptional cases of the addition formulas are either excluded by an
 * argument that stands where the formula is used, or computed and selected in constant time. */
#if defined(__GNUC__) && !defined(__clang__)
/* Limbs in vector registers make these formulas slower by a fifth. */
#pragma GCC optimize("no-tree-vectorize")
#endif
#include "crypto/sm2/sm2_internal.h"

static const struct fn_sm2_fe one = {{0x0000000000000001, 0x00000000ffffffff, 0, 0x0000000100000000}};
static const struct fn_sm2_fe curve_b = {
    {0x90d230632bc0dd42, 0x71cf379ae9b537ab, 0x527981505ea51c3c, 0x240fe188ba20e2c8}};

fn_err fn_point_load(struct fn_sm2_affine *out, const struct fn_sm2_public *in)
{
    uint64_t good = fn_fe_load(&out->x, in->x);
    good &= fn_fe_load(&out->y, in->y);
    struct fn_sm2_fe right = fn_fe_mul(fn_fe_sqr(out->x), out->x);
    right = fn_fe_sub(right, fn_fe_add(fn_fe_add(out->x, out->x), out->x));
    good &= fn_fe_equal(fn_fe_sqr(out->y), fn_fe_add(right, curve_b));
    FN_PUBLIC(good);
    if (!good) return FN_FAIL(FN_E_SM2_POINT, "coordinates are not those of a point of the curve");
    return FN_OK;
}

void fn_point_store(struct fn_sm2_public *out, const struct fn_sm2_affine *in)
{
    fn_fe_store(out->x, in->x);
    fn_fe_store(out->y, in->y);
}

void fn_points_normalise(size_t n, struct fn_sm2_affine *out, const struct fn_sm2_jacobian *in,
                         struct fn_sm2_fe *scratch)
{
    scratch[0] = in[0].z;
    for (size_t i = 1; i < n; i++) scratch[i] = fn_fe_mul(scratch[i - 1], in[i].z);
    struct fn_sm2_fe inverse = fn_fe_inverse(scratch[n - 1]);
    for (size_t i = n; i-- > 0;) {
        struct fn_sm2_fe own = i ? fn_fe_mul(inverse, scratch[i - 1]) : inverse;
        inverse = fn_fe_mul(inverse, in[i].z);
        struct fn_sm2_fe own2 = fn_fe_sqr(own);
        out[i].x = fn_fe_mul(in[i].x, own2);
        out[i].y = fn_fe_mul(in[i].y, fn_fe_mul(own2, own));
    }
}

/* *a = *b if the mask is all ones. */
static void take_if(uint64_t mask, struct fn_sm2_jacobian *a, const struct fn_sm2_jacobian *b)
{
    a->x = fn_fe_pick(mask, b->x, a->x);
    a->y = fn_fe_pick(mask, b->y, a->y);
    a->z = fn_fe_pick(mask, b->z, a->z);
}

/* With a = -3; out may be a; infinity gives infinity, and no point has y = 0 as the order is odd. */
void fn_point_double(struct fn_sm2_jacobian *out, const struct fn_sm2_jacobian *a)
{
    struct fn_sm2_fe zz = fn_fe_sqr(a->z);
    struct fn_sm2_fe m = fn_fe_mul(fn_fe_sub(a->x, zz), fn_fe_add(a->x, zz));
    struct fn_sm2_fe y2 = fn_fe_add(a->y, a->y), y4 = fn_fe_sqr(y2), s = fn_fe_mul(y4, a->x);
    out->z = fn_fe_mul(y2, a->z);
    m = fn_fe_add(fn_fe_add(m, m), m);
    out->x = fn_fe_sub(fn_fe_sqr(m), fn_fe_add(s, s));
    out->y = fn_fe_sub(fn_fe_mul(m, fn_fe_sub(s, out->x)), fn_fe_half(fn_fe_sqr(y4)));
}

/* a + b for different points, neither infinity; opposite points give infinity. The result for equal points is
 * wrong; the mask returned is all ones then. */
static uint64_t add_different(struct fn_sm2_jacobian *out, const struct fn_sm2_jacobian *a,
                              const struct fn_sm2_jacobian *b)
{
    struct fn_sm2_fe aa = fn_fe_sqr(a->z), bb = fn_fe_sqr(b->z);
    struct fn_sm2_fe u = fn_fe_mul(a->x, bb), h = fn_fe_sub(fn_fe_mul(b->x, aa), u);
    struct fn_sm2_fe s = fn_fe_mul(a->y, fn_fe_mul(bb, b->z));
    struct fn_sm2_fe r = fn_fe_sub(fn_fe_mul(b->y, fn_fe_mul(aa, a->z)), s);
    struct fn_sm2_fe hh = fn_fe_sqr(h), hhh = fn_fe_mul(hh, h), v = fn_fe_mul(u, hh);
    out->z = fn_fe_mul(fn_fe_mul(a->z, b->z), h);
    out->x = fn_fe_sub(fn_fe_sub(fn_fe_sqr(r), hhh), fn_fe_add(v, v));
    out->y = fn_fe_sub(fn_fe_mul(r, fn_fe_sub(v, out->x)), fn_fe_mul(s, hhh));
    return fn_fe_zero(h) & fn_fe_zero(r);
}

/* The same with b affine. */
static uint64_t add_mixed(struct fn_sm2_jacobian *out, const struct fn_sm2_jacobian *a,
                          const struct fn_sm2_affine *b)
{
    struct fn_sm2_fe aa = fn_fe_sqr(a->z), s = a->y;
    struct fn_sm2_fe h = fn_fe_sub(fn_fe_mul(b->x, aa), a->x);
    struct fn_sm2_fe r = fn_fe_sub(fn_fe_mul(b->y, fn_fe_mul(aa, a->z)), s);
    struct fn_sm2_fe hh = fn_fe_sqr(h), hhh = fn_fe_mul(hh, h), v = fn_fe_mul(a->x, hh);
    out->z = fn_fe_mul(a->z, h);
    out->x = fn_fe_sub(fn_fe_sub(fn_fe_sqr(r), hhh), fn_fe_add(v, v));
    out->y = fn_fe_sub(fn_fe_mul(r, fn_fe_sub(v, out->x)), fn_fe_mul(s, hhh));
    return fn_fe_zero(h) & fn_fe_zero(r);
}

void fn_point_add(struct fn_sm2_jacobian *out, const struct fn_sm2_jacobian *a,
                  const struct fn_sm2_jacobian *b)
{
    struct fn_sm2_jacobian sum, twice;
    uint64_t equal = add_different(&sum, a, b);
    fn_point_double(&twice, a);
    take_if(equal, &sum, &twice);
    take_if(fn_fe_zero(b->z), &sum, a);
    take_if(fn_fe_zero(a->z), &sum, b);
    *out = sum;
}

/* Booth's recoding: window i of k as a digit in [-16, 16], sum of digit·2^(5i) = k. */
static unsigned booth(const struct fn_sm2_scalar *k, int i, uint64_t *negative)
{
    unsigned bits;
    if (i == 0) {
        bits = (unsigned)(k->v[0] << 1) & 63;
    } else {
        int from = FN_SM2_WINDOW * i - 1, limb = from / 64, shift = from % 64;
        uint64_t v = k->v[limb] >> shift;
        if (shift > 58 && limb < 3) v |= k->v[limb + 1] << (64 - shift);
        bits = (unsigned)v & 63;
    }
    uint64_t mask = fn_opaque(0 - (uint64_t)(bits >> 5));
    unsigned digit = (bits ^ (unsigned)mask) & 63;
    *negative = mask;
    return (digit >> 1) + (digit & 1);
}

static struct fn_sm2_fe negate_if(uint64_t mask, struct fn_sm2_fe a)
{
    static const struct fn_sm2_fe zero = {{0}};
    return fn_fe_pick(mask, fn_fe_sub(zero, a), a);
}

/* table[digit - 1], every entry read; zeros for digit 0. `pairs` is the size of an entry in two words. */
typedef uint64_t pair __attribute__((vector_size(16), aligned(8), may_alias));

static inline __attribute__((always_inline)) void select_entry(void *out, const void *table, int pairs,
                                                               unsigned digit)
{
    const pair *entry = table;
    pair sum[6] = {{0}};
    for (unsigned j = 1; j <= 16; j++, entry += pairs) {
        uint64_t same = fn_mask_zero(j ^ digit);
        pair mask = {same, same};
        for (int i = 0; i < pairs; i++) sum[i] |= entry[i] & mask;
    }
    for (int i = 0; i < pairs; i++) ((pair *)out)[i] = sum[i];
}

/* Windows are added from the lowest. Below the top one the sum so far is less than 2^(5i) in absolute value,
 * the term added is 0 or at least 2^(5i), and both together stay below n: they are neither equal nor
 * opposite. At the top (term t = 2^255 or 2^256) equality means k = 2t modulo n, and 2^256 and 2^257 modulo n
 * are below 2^226, so that k has no top digit; opposite means k = 0. Left are sum = infinity and digit = 0,
 * which are selected. */
void fn_point_multiply_base(struct fn_sm2_jacobian *out, const struct fn_sm2_scalar *k)
{
    struct fn_sm2_jacobian sum = {0}, next;
    struct fn_sm2_affine term;
    for (int i = 0; i < FN_SM2_WINDOWS; i++) {
        uint64_t negative;
        unsigned digit = booth(k, i, &negative);
        select_entry(&term, fn_sm2_windows[i], sizeof term / sizeof(pair), digit);
        term.y = negate_if(negative, term.y);
        add_mixed(&next, &sum, &term);
        uint64_t first = fn_fe_zero(sum.z), some = ~fn_mask_zero(digit);
        sum.x = fn_fe_pick(some, fn_fe_pick(first, term.x, next.x), sum.x);
        sum.y = fn_fe_pick(some, fn_fe_pick(first, term.y, next.y), sum.y);
        sum.z = fn_fe_pick(some, fn_fe_pick(first, one, next.z), sum.z);
    }
    *out = sum;
    fn_wipe(&sum, sizeof sum);
    fn_wipe(&next, sizeof next);
    fn_wipe(&term, sizeof term);
}

/* Digits are taken from the top: sum = 32·sum + digit·P. With sum = a·P both stay below n but for the last
 * step, so that 32a = digit modulo n only for a = digit = 0; in the last step 32a = n + digit with digit = -3
 * is possible (k = n - 6), and there the complete addition is used. */
void fn_point_multiply(struct fn_sm2_jacobian *out, const struct fn_sm2_scalar *k,
                       const struct fn_sm2_affine *p)
{
    struct fn_sm2_jacobian table[16], sum = {0}, term, next;
    table[0] = (struct fn_sm2_jacobian){p->x, p->y, one};
    for (int j = 1; j < 16; j += 2) {
        fn_point_double(&table[j], &table[j / 2]);
        if (j < 15) add_mixed(&table[j + 1], &table[j], p);
    }
    for (int i = FN_SM2_WINDOWS - 1; i >= 0; i--) {
        uint64_t negative;
        unsigned digit = booth(k, i, &negative);
        for (int j = 0; j < FN_SM2_WINDOW && i < FN_SM2_WINDOWS - 1; j++) fn_point_double(&sum, &sum);
        select_entry(&term, table, sizeof term / sizeof(pair), digit);
        term.y = negate_if(negative, term.y);
        if (i == 0) {
            fn_point_add(&sum, &sum, &term);
        } else {
            add_different(&next, &sum, &term);
            take_if(fn_fe_zero(sum.z), &next, &term);
            take_if(~fn_mask_zero(digit), &sum, &next);
        }
    }
    *out = sum;
    fn_wipe(&sum, sizeof sum);
    fn_wipe(&term, sizeof term);
    fn_wipe(&next, sizeof next);
}

/* Signed odd digits below 2^(width-1), at most one in any `width` places. Variable time. */
static int recode(int8_t digits[257], const struct fn_sm2_scalar *k, int width)
{
    uint64_t v[5] = {k->v[0], k->v[1], k->v[2], k->v[3], 0};
    int length = 0, carry = 0;
    memset(digits, 0, 257);
    for (int i = 0; i < 257;) {
        int limb = i / 64, shift = i % 64;
        uint64_t bits = v[limb] >> shift;
        if (shift && limb < 4) bits |= v[limb + 1] << (64 - shift);
        if ((int)(bits & 1) == carry) {
            i++;
            continue;
        }
        int digit = (int)(bits & ((1u << width) - 1)) + carry;
        carry = digit >> (width - 1) & 1;
        digits[i] = (int8_t)(digit - (carry << width));
        length = i + 1;
        i += width;
    }
    return length;
}

/* Any two points, affine b taken with its sign; variable time. */
static void accumulate_affine(struct fn_sm2_jacobian *sum, const struct fn_sm2_affine *b, bool negative)
{
    struct fn_sm2_jacobian next;
    struct fn_sm2_affine term = {b->x, negate_if(0 - (uint64_t)negative, b->y)};
    if (fn_fe_zero(sum->z)) {
        *sum = (struct fn_sm2_jacobian){term.x, term.y, one};
        return;
    }
    if (add_mixed(&next, sum, &term)) fn_point_double(&next, sum);
    *sum = next;
}

static void accumulate(struct fn_sm2_jacobian *sum, const struct fn_sm2_jacobian *b, bool negative)
{
    struct fn_sm2_jacobian next, term = {b->x, negate_if(0 - (uint64_t)negative, b->y), b->z};
    if (fn_fe_zero(sum->z)) {
        *sum = term;
        return;
    }
    if (add_different(&next, sum, &term)) fn_point_double(&next, sum);
    *sum = next;
}

/* Both numbers in one chain of doublings, with the odd multiples of G from the table and those of P made
 * here. */
void fn_point_multiply_public(struct fn_sm2_jacobian *out, const struct fn_sm2_scalar *s,
                              const struct fn_sm2_scalar *t, const struct fn_sm2_affine *p)
{
    int8_t s_digits[257], t_digits[257];
    struct fn_sm2_jacobian odd[8] = {{p->x, p->y, one}}, twice, sum = {0};
    fn_point_double(&twice, &odd[0]);
    add_mixed(&odd[1], &twice, p);
    for (int j = 2; j < 8; j++) add_different(&odd[j], &odd[j - 1], &twice);
    int s_length = recode(s_digits, s, 8), t_length = recode(t_digits, t, 5);
    for (int i = (s_length > t_length ? s_length : t_length) - 1; i >= 0; i--) {
        fn_point_double(&sum, &sum);
        int digit = t_digits[i];
        if (digit) accumulate(&sum, &odd[(digit < 0 ? -digit : digit) / 2], digit < 0);
        digit = s_digits[i];
        if (digit) accumulate_affine(&sum, &fn_sm2_odd[(digit < 0 ? -digit : digit) / 2], digit < 0);
    }
    *out = sum;
}
