#include "crypto/sm2/sm2_internal.h"

#define N0        0x53bbf40939d54123u
#define N1        0x7203df6b21c6052bu
#define N2        0xffffffffffffffffu
#define N3        0xfffffffeffffffffu
#define N_INVERSE 0x327f9e8872350975u /* -1/n mod 2^64 */

const struct fn_sm2_scalar fn_sm2_n = {{N0, N1, N2, N3}};

/* R² mod n, R = 2^256 */
static const struct fn_sm2_scalar square = {
    {0x901192af7c114f20, 0x3464504ade6fa2fa, 0x620fc84c3affe0d4, 0x1eb5e412a22b3d3b}};

/* a + carry·2^256, known to be below 2n, brought below n; below tells whether it was. */
static struct fn_sm2_scalar once(const uint64_t a[4], uint64_t carry, uint64_t *below)
{
    struct fn_sm2_scalar out;
    uint64_t keep = fn_once4(out.v, a, carry, fn_sm2_n.v);
    if (below) *below = keep;
    return out;
}

/* a·b/R: Montgomery's multiplication, a row at a time. */
static struct fn_sm2_scalar montgomery(const struct fn_sm2_scalar *a, const struct fn_sm2_scalar *b)
{
    uint64_t t[5] = {0};
    for (int i = 0; i < 4; i++) {
        fn_u128 sum = 0;
        for (int j = 0; j < 4; j++) {
            sum = fn_mul_wide(a->v[i], b->v[j]) + t[j] + (uint64_t)(sum >> 64);
            t[j] = (uint64_t)sum;
        }
        fn_u128 top = (sum >> 64) + t[4];
        uint64_t q = t[0] * N_INVERSE;
        sum = fn_mul_wide(q, N0) + t[0];
        for (int j = 1; j < 4; j++) {
            sum = fn_mul_wide(q, fn_sm2_n.v[j]) + t[j] + (uint64_t)(sum >> 64);
            t[j - 1] = (uint64_t)sum;
        }
        top += (uint64_t)(sum >> 64);
        t[3] = (uint64_t)top;
        t[4] = (uint64_t)(top >> 64);
    }
    return once(t, t[4], NULL);
}

uint64_t fn_scalar_load(struct fn_sm2_scalar *a, const uint8_t bytes[32])
{
    uint64_t t[4], below;
    for (int i = 0; i < 4; i++) t[3 - i] = fn_get_be64(bytes + 8 * i);
    *a = once(t, 0, &below); /* 2^256 is below 2n */
    fn_wipe(t, sizeof t);
    return below;
}

void fn_scalar_store(uint8_t bytes[32], const struct fn_sm2_scalar *a)
{
    for (int i = 0; i < 4; i++) fn_put_be64(bytes + 8 * i, a->v[3 - i]);
}

struct fn_sm2_scalar fn_scalar_add(const struct fn_sm2_scalar *a, const struct fn_sm2_scalar *b)
{
    uint64_t sum[4];
    uint64_t carry = fn_add4(sum, a->v, b->v);
    return once(sum, carry, NULL);
}

struct fn_sm2_scalar fn_scalar_sub(const struct fn_sm2_scalar *a, const struct fn_sm2_scalar *b)
{
    struct fn_sm2_scalar out;
    uint64_t mask = fn_opaque(0 - fn_sub4(out.v, a->v, b->v));
    uint64_t n[4] = {mask & N0, mask & N1, mask & N2, mask & N3};
    fn_add4(out.v, out.v, n);
    return out;
}

struct fn_sm2_scalar fn_scalar_mul(const struct fn_sm2_scalar *a, const struct fn_sm2_scalar *b)
{
    struct fn_sm2_scalar t = montgomery(a, b);
    return montgomery(&t, &square);
}

uint64_t fn_scalar_zero(const struct fn_sm2_scalar *a)
{
    return fn_mask_zero(a->v[0] | a->v[1] | a->v[2] | a->v[3]);
}

/* t^(2^times)·a, in Montgomery form. */
static struct fn_sm2_scalar step(struct fn_sm2_scalar t, int times, const struct fn_sm2_scalar *a)
{
    for (int i = 0; i < times; i++) t = montgomery(&t, &t);
    return montgomery(&t, a);
}

/* a^(n-2): 31 ones, a zero, 96 ones, then the lower 128 bits of n-2 in digits of four. The exponent is
 * public. */
struct fn_sm2_scalar fn_scalar_inverse(const struct fn_sm2_scalar *a)
{
    static const uint64_t lower[2] = {N1, N0 - 2};
    struct fn_sm2_scalar power[16]; /* power[i] = a^i, 1 and above */
    FN_SCOPED_WIPE(power);
    power[1] = montgomery(a, &square);
    for (int i = 2; i < 16; i++) power[i] = montgomery(&power[i - 1], &power[1]);
    struct fn_sm2_scalar ones8 = step(power[15], 4, &power[15]);
    struct fn_sm2_scalar ones16 = step(ones8, 8, &ones8);
    struct fn_sm2_scalar ones24 = step(ones16, 8, &ones8);
    struct fn_sm2_scalar ones28 = step(ones24, 4, &power[15]);
    struct fn_sm2_scalar ones31 = step(ones28, 3, &power[7]);
    struct fn_sm2_scalar ones32 = step(ones31, 1, &power[1]);
    struct fn_sm2_scalar t = step(ones31, 33, &ones32);
    t = step(t, 32, &ones32);
    t = step(t, 32, &ones32);
    for (int i = 0; i < 32; i++) {
        unsigned digit = lower[i / 16] >> (60 - 4 * (i % 16)) & 15;
        if (digit)
            t = step(t, 4, &power[digit]);
        else
            for (int j = 0; j < 4; j++) t = montgomery(&t, &t);
    }
    static const struct fn_sm2_scalar one = {{1}};
    return montgomery(&t, &one);
}
