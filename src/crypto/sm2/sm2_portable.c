/* The portable engine behind the batch forms. */
#include "crypto/sm2/sm2_internal.h"

static void multiply_base(size_t n, struct fn_sm2_affine *out, const struct fn_sm2_scalar *k)
{
    struct fn_sm2_jacobian points[FN_SM2_LANES];
    struct fn_sm2_fe scratch[FN_SM2_LANES];
    FN_SCOPED_WIPE(points);
    FN_SCOPED_WIPE(scratch);
    for (size_t i = 0; i < n; i++) fn_point_multiply_base(&points[i], &k[i]);
    fn_points_normalise(n, out, points, scratch);
}

/* x = X/Z² is below p; c stands for the two numbers c and c + n, the second only if it is below p. */
static bool x_matches(const struct fn_sm2_jacobian *point, const struct fn_sm2_scalar *c)
{
    if (fn_fe_zero(point->z)) return false;
    struct fn_sm2_fe zz = fn_fe_sqr(point->z), candidate;
    struct fn_sm2_scalar number = *c;
    for (int i = 0; i < 2; i++) {
        uint8_t bytes[32];
        fn_scalar_store(bytes, &number);
        if (!fn_fe_load(&candidate, bytes)) return false;
        if (fn_fe_equal(fn_fe_mul(candidate, zz), point->x)) return true;
        if (fn_add4(number.v, c->v, fn_sm2_n.v)) return false;
    }
    return false;
}

static void check(size_t n, struct fn_sm2_check *checks)
{
    for (size_t i = 0; i < n; i++) {
        struct fn_sm2_jacobian point;
        fn_point_multiply_public(&point, &checks[i].s, &checks[i].t, &checks[i].p);
        checks[i].good = x_matches(&point, &checks[i].c);
    }
}

const struct fn_sm2_engine fn_sm2_portable = {"portable", multiply_base, check};

const struct fn_sm2_engine *fn_sm2_engine = &fn_sm2_portable;
