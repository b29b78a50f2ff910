#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-vectorize") /* as in sm2_point.c */
#endif
#include "crypto/sm2/sm2_internal.h"

const struct fn_sm2_fe fn_sm2_p = {{FN_SM2_P0, FN_SM2_P1, FN_SM2_P2, FN_SM2_P3}};

/* R² mod p */
static const struct fn_sm2_fe square = {
    {0x0000000200000003, 0x00000002ffffffff, 0x0000000100000001, 0x0000000400000002}};

static struct fn_sm2_fe squares(struct fn_sm2_fe a, int times)
{
    for (int i = 0; i < times; i++) a = fn_fe_sqr(a);
    return a;
}

/* p - 2 is, from the top, 31 ones, a zero, 128 ones, 32 zeros, 62 ones, a zero, a one; onesN is a^(2^N - 1).
 */
struct fn_sm2_fe fn_fe_inverse(struct fn_sm2_fe a)
{
    struct fn_sm2_fe ones2 = fn_fe_mul(fn_fe_sqr(a), a);
    struct fn_sm2_fe ones4 = fn_fe_mul(squares(ones2, 2), ones2);
    struct fn_sm2_fe ones8 = fn_fe_mul(squares(ones4, 4), ones4);
    struct fn_sm2_fe ones16 = fn_fe_mul(squares(ones8, 8), ones8);
    struct fn_sm2_fe ones24 = fn_fe_mul(squares(ones16, 8), ones8);
    struct fn_sm2_fe ones28 = fn_fe_mul(squares(ones24, 4), ones4);
    struct fn_sm2_fe ones30 = fn_fe_mul(squares(ones28, 2), ones2);
    struct fn_sm2_fe ones31 = fn_fe_mul(fn_fe_sqr(ones30), a);
    struct fn_sm2_fe ones32 = fn_fe_mul(fn_fe_sqr(ones31), a);
    struct fn_sm2_fe t = fn_fe_sqr(ones31);
    for (int i = 0; i < 4; i++) t = fn_fe_mul(squares(t, 32), ones32);
    t = fn_fe_mul(squares(t, 64), ones32);
    t = fn_fe_mul(squares(t, 30), ones30);
    return fn_fe_mul(squares(t, 2), a);
}

uint64_t fn_fe_load(struct fn_sm2_fe *a, const uint8_t bytes[32])
{
    uint64_t unused[4];
    for (int i = 0; i < 4; i++) a->v[3 - i] = fn_get_be64(bytes + 8 * i);
    uint64_t below = fn_opaque(0 - fn_sub4(unused, a->v, fn_sm2_p.v));
    *a = fn_fe_mul(*a, square);
    return below;
}

void fn_fe_store(uint8_t bytes[32], struct fn_sm2_fe a)
{
    uint64_t t[8] = {a.v[0], a.v[1], a.v[2], a.v[3]};
    a = fn_fe_reduce(t);
    for (int i = 0; i < 4; i++) fn_put_be64(bytes + 8 * i, a.v[3 - i]);
}
