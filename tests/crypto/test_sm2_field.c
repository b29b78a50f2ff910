/* The field and scalar arithmetic below SM2 against a slow form on 32-bit words, at the edges above all, and
 * the table of multiples of G against the formulas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/sm2/sm2_internal.h"

/* Numbers as eight words of 32 bits, least significant first. */
typedef uint32_t big[8];

static const big p = {0xffffffff, 0xffffffff, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xfffffffe};
static const big n = {0x39d54123, 0x53bbf409, 0x21c6052b, 0x7203df6b,
                      0xffffffff, 0xffffffff, 0xffffffff, 0xfffffffe};

/* a·2 + bit modulo m. */
static void shift_in(big a, unsigned bit, const big m)
{
    uint64_t carry = bit;
    for (int i = 0; i < 8; i++) {
        carry += (uint64_t)a[i] << 1;
        a[i] = (uint32_t)carry;
        carry >>= 32;
    }
    big less;
    int64_t borrow = 0;
    for (int i = 0; i < 8; i++) {
        borrow += (int64_t)a[i] - m[i];
        less[i] = (uint32_t)borrow;
        borrow >>= 32;
    }
    if (carry || !borrow) memcpy(a, less, sizeof less);
}

/* x mod m for x of `words` words, a bit at a time. */
static void slow_mod(big out, const uint32_t *x, int words, const big m)
{
    memset(out, 0, sizeof(big));
    for (int i = 32 * words - 1; i >= 0; i--) shift_in(out, x[i / 32] >> i % 32 & 1, m);
}

static void slow_mul(big out, const big a, const big b, const big m)
{
    uint32_t t[16] = {0};
    for (int i = 0; i < 8; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < 8; j++) {
            carry += (uint64_t)a[i] * b[j] + t[i + j];
            t[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        t[i + 8] = (uint32_t)carry;
    }
    slow_mod(out, t, 16, m);
}

static void slow_add(big out, const big a, const big b, const big m)
{
    uint32_t t[9];
    uint64_t carry = 0;
    for (int i = 0; i < 8; i++) {
        carry += (uint64_t)a[i] + b[i];
        t[i] = (uint32_t)carry;
        carry >>= 32;
    }
    t[8] = (uint32_t)carry;
    slow_mod(out, t, 9, m);
}

/* a - b for a, b below m */
static void slow_sub(big out, const big a, const big b, const big m)
{
    big negative;
    int64_t borrow = 0;
    for (int i = 0; i < 8; i++) {
        borrow += (int64_t)m[i] - b[i];
        negative[i] = (uint32_t)borrow;
        borrow >>= 32;
    }
    slow_add(out, a, negative, m);
}

static void to_bytes(uint8_t out[32], const big a)
{
    for (int i = 0; i < 8; i++) fn_put_be32(out + 28 - 4 * i, a[i]);
}

static uint32_t random_word(void)
{
    static uint64_t state = 0x853c49e6748fea9b;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

/* Numbers near 0, p, n, 2^256, with words of zeros and ones, and a few random ones. */
#define EDGES 72
static void edge(big out, int i)
{
    memset(out, 0, sizeof(big));
    if (i < 4) {
        out[0] = (uint32_t)i;
    } else if (i < 16) {
        memcpy(out, i < 10 ? p : n, sizeof(big));
        int64_t carry = (i - 4) % 6 - 3;
        for (int j = 0; j < 8; j++) {
            carry += out[j];
            out[j] = (uint32_t)carry;
            carry >>= 32;
        }
    } else if (i < 32) {
        for (int j = 0; j < 8; j++) out[j] = (i >> j / 2 & 1) ? 0xffffffff : 0;
    } else if (i < 48) {
        for (int j = 0; j < 8; j++) out[j] = (i >> j / 2 & 1) ? random_word() : j % 2 ? 0xffffffff : 0;
    } else if (i < 56) {
        out[i - 48] = 0x80000000;
    } else {
        for (int j = 0; j < 8; j++) out[j] = random_word();
    }
}

static void assert_field(struct fn_sm2_fe have, const big want, const char *what, int i, int j)
{
    uint8_t a[32], b[32];
    fn_fe_store(a, have);
    to_bytes(b, want);
    if (memcmp(a, b, 32) != 0) fail_msg("%s of edges %d and %d", what, i, j);
    uint64_t unused[4];
    assert_int_equal(fn_sub4(unused, have.v, fn_sm2_p.v), 1); /* the Montgomery form is reduced too */
}

static void assert_scalar(struct fn_sm2_scalar have, const big want, const char *what, int i, int j)
{
    uint8_t a[32], b[32];
    fn_scalar_store(a, &have);
    to_bytes(b, want);
    if (memcmp(a, b, 32) != 0) fail_msg("%s of edges %d and %d", what, i, j);
}

static void test_field(void **state)
{
    (void)state;
    for (int i = 0; i < EDGES; i++) {
        for (int j = 0; j < EDGES; j++) {
            big x, y, a, b, want;
            uint8_t bytes[32];
            struct fn_sm2_fe fa, fb;
            edge(x, i);
            edge(y, j);
            slow_mod(a, x, 8, p);
            slow_mod(b, y, 8, p);
            to_bytes(bytes, x);
            assert_int_equal(fn_fe_load(&fa, bytes) != 0, memcmp(a, x, sizeof a) == 0);
            assert_field(fa, a, "loading", i, j); /* reduced although refused */
            to_bytes(bytes, y);
            fn_fe_load(&fb, bytes);
            slow_mul(want, a, b, p);
            assert_field(fn_fe_mul(fa, fb), want, "product", i, j);
            slow_add(want, a, b, p);
            assert_field(fn_fe_add(fa, fb), want, "sum", i, j);
            slow_sub(want, a, b, p);
            assert_field(fn_fe_sub(fa, fb), want, "difference", i, j);
            assert_int_equal(fn_fe_equal(fa, fb) != 0, memcmp(a, b, sizeof a) == 0);
            if (j) continue;
            slow_mul(want, a, a, p);
            assert_field(fn_fe_sqr(fa), want, "square", i, i);
            struct fn_sm2_fe half = fn_fe_half(fa);
            assert_field(fn_fe_add(half, half), a, "half", i, i);
            static const big one = {1}, zero = {0};
            bool null = memcmp(a, zero, sizeof a) == 0;
            assert_field(fn_fe_mul(fn_fe_inverse(fa), fa), null ? zero : one, "inverse", i, i);
            assert_int_equal(fn_fe_zero(fa) != 0, null);
        }
    }
}

/* The formulas on limbs themselves, which loading cannot give all of: every value below p, as it stands. */
static void test_limbs(void **state)
{
    (void)state;
    big r;
    uint32_t power[9] = {[8] = 1};
    slow_mod(r, power, 9, p);
    for (int i = 0; i < EDGES; i++) {
        for (int j = 0; j < EDGES; j++) {
            big x, y, a, b, want, have;
            edge(x, i);
            edge(y, j);
            slow_mod(a, x, 8, p);
            slow_mod(b, y, 8, p);
            struct fn_sm2_fe fa, fb;
            for (int k = 0; k < 4; k++) {
                fa.v[k] = a[2 * k] | (uint64_t)a[2 * k + 1] << 32;
                fb.v[k] = b[2 * k] | (uint64_t)b[2 * k + 1] << 32;
            }
            for (int squared = 0; squared < 2; squared++) {
                struct fn_sm2_fe c = squared ? fn_fe_sqr(fa) : fn_fe_mul(fa, fb);
                for (int k = 0; k < 4; k++) {
                    have[2 * k] = (uint32_t)c.v[k];
                    have[2 * k + 1] = (uint32_t)(c.v[k] >> 32);
                }
                slow_mul(have, have, r, p); /* a·b/R·R */
                slow_mul(want, a, squared ? a : b, p);
                assert_memory_equal(have, want, sizeof want);
            }
        }
    }
}

static void test_scalars(void **state)
{
    (void)state;
    for (int i = 0; i < EDGES; i++) {
        for (int j = 0; j < EDGES; j++) {
            big x, y, a, b, want;
            uint8_t bytes[32];
            struct fn_sm2_scalar sa, sb;
            edge(x, i);
            edge(y, j);
            slow_mod(a, x, 8, n);
            slow_mod(b, y, 8, n);
            to_bytes(bytes, x);
            assert_int_equal(fn_scalar_load(&sa, bytes) != 0, memcmp(a, x, sizeof a) == 0);
            assert_scalar(sa, a, "loading", i, j);
            to_bytes(bytes, y);
            fn_scalar_load(&sb, bytes);
            slow_mul(want, a, b, n);
            assert_scalar(fn_scalar_mul(&sa, &sb), want, "product", i, j);
            slow_add(want, a, b, n);
            assert_scalar(fn_scalar_add(&sa, &sb), want, "sum", i, j);
            slow_sub(want, a, b, n);
            assert_scalar(fn_scalar_sub(&sa, &sb), want, "difference", i, j);
            if (j) continue;
            static const big one = {1}, zero = {0};
            bool null = memcmp(a, zero, sizeof a) == 0;
            struct fn_sm2_scalar inverse = fn_scalar_inverse(&sa);
            assert_scalar(fn_scalar_mul(&inverse, &sa), null ? zero : one, "inverse", i, i);
            assert_int_equal(fn_scalar_zero(&sa) != 0, null);
        }
    }
}

static struct fn_sm2_jacobian lift(const struct fn_sm2_affine *a)
{
    static const struct fn_sm2_fe one = {{1, 0x00000000ffffffff, 0, 0x0000000100000000}};
    return (struct fn_sm2_jacobian){a->x, a->y, one};
}

static void assert_same_point(const struct fn_sm2_jacobian *a, const struct fn_sm2_jacobian *b)
{
    if (fn_fe_zero(a->z) || fn_fe_zero(b->z)) {
        assert_true(fn_fe_zero(a->z) && fn_fe_zero(b->z));
        return;
    }
    struct fn_sm2_fe aa = fn_fe_sqr(a->z), bb = fn_fe_sqr(b->z);
    assert_true(fn_fe_equal(fn_fe_mul(a->x, bb), fn_fe_mul(b->x, aa)));
    assert_true(fn_fe_equal(fn_fe_mul(a->y, fn_fe_mul(bb, b->z)), fn_fe_mul(b->y, fn_fe_mul(aa, a->z))));
}

static void test_table(void **state)
{
    (void)state;
    struct fn_sm2_jacobian base = lift(&fn_sm2_windows[0][0]);
    for (int i = 0; i < FN_SM2_WINDOWS; i++) {
        struct fn_sm2_jacobian sum = base;
        for (int j = 0; j < 16; j++) {
            struct fn_sm2_jacobian entry = lift(&fn_sm2_windows[i][j]);
            assert_same_point(&entry, &sum);
            if (j < 15) fn_point_add(&sum, &sum, &base);
        }
        fn_point_double(&base, &sum);
    }
    base = lift(&fn_sm2_windows[0][0]);
    struct fn_sm2_jacobian twice;
    struct fn_sm2_jacobian sum = base;
    fn_point_double(&twice, &base);
    for (int j = 0; j < 64; j++) {
        struct fn_sm2_jacobian entry = lift(&fn_sm2_odd[j]);
        assert_same_point(&entry, &sum);
        fn_point_add(&sum, &sum, &twice);
    }
}

static void test_addition(void **state)
{
    (void)state;
    struct fn_sm2_jacobian g = lift(&fn_sm2_windows[0][0]), g2 = lift(&fn_sm2_windows[0][1]);
    struct fn_sm2_jacobian g3 = lift(&fn_sm2_windows[0][2]), none = {0}, minus = g, t;
    struct fn_sm2_fe zero = {{0}};
    minus.y = fn_fe_sub(zero, g.y);
    fn_point_add(&t, &g, &none);
    assert_same_point(&t, &g);
    fn_point_add(&t, &none, &g);
    assert_same_point(&t, &g);
    fn_point_add(&t, &none, &none);
    assert_true(fn_fe_zero(t.z));
    fn_point_double(&t, &none);
    assert_true(fn_fe_zero(t.z));
    fn_point_add(&t, &g, &minus);
    assert_true(fn_fe_zero(t.z));
    fn_point_add(&t, &g, &g);
    assert_same_point(&t, &g2);
    fn_point_add(&t, &t, &g); /* another Z on one side */
    assert_same_point(&t, &g3);
    fn_point_add(&t, &t, &minus);
    assert_same_point(&t, &g2);
    fn_point_add(&t, &t, &g2); /* equal points of different Z */
    g = lift(&fn_sm2_windows[0][3]);
    assert_same_point(&t, &g);
}

/* All three ways of multiplying agree on s·G + t·(d·G) = (s + t·d)·G, for numbers at the edges. */
static void test_multiples(void **state)
{
    (void)state;
    struct fn_sm2_affine point;
    struct fn_sm2_fe scratch;
    for (int i = 0; i < EDGES; i++) {
        big x;
        uint8_t bytes[32];
        struct fn_sm2_scalar d;
        edge(x, i);
        to_bytes(bytes, x);
        fn_scalar_load(&d, bytes);
        struct fn_sm2_jacobian dg, other;
        fn_point_multiply_base(&dg, &d);
        fn_point_multiply(&other, &d, &fn_sm2_windows[0][0]);
        assert_same_point(&dg, &other);
        static const struct fn_sm2_scalar zero = {{0}};
        fn_point_multiply_public(&other, &d, &zero, &fn_sm2_windows[0][4]);
        assert_same_point(&dg, &other);
        fn_point_multiply_public(&other, &zero, &d, &fn_sm2_windows[0][0]);
        assert_same_point(&dg, &other);
        if (fn_scalar_zero(&d)) {
            assert_true(fn_fe_zero(dg.z));
            continue;
        }
        fn_points_normalise(1, &point, &dg, &scratch);
        for (int j = i % 5; j < EDGES; j += 5) {
            struct fn_sm2_scalar s, t;
            edge(x, j);
            to_bytes(bytes, x);
            fn_scalar_load(&s, bytes);
            edge(x, (j * 7 + i) % EDGES);
            to_bytes(bytes, x);
            fn_scalar_load(&t, bytes);
            struct fn_sm2_jacobian have;
            fn_point_multiply_public(&have, &s, &t, &point);
            struct fn_sm2_jacobian tp;
            fn_point_multiply(&tp, &t, &point);
            t = fn_scalar_mul(&t, &d);
            struct fn_sm2_jacobian want;
            fn_point_multiply_base(&want, &t);
            assert_same_point(&tp, &want);
            t = fn_scalar_add(&t, &s);
            fn_point_multiply_base(&want, &t);
            assert_same_point(&have, &want);
        }
    }
}

static void scalar_of(struct fn_sm2_scalar *out, uint32_t value)
{
    uint8_t bytes[32] = {0};
    fn_put_be32(bytes + 28, value);
    fn_scalar_load(out, bytes);
}

/* e = r - x: with it r ‖ s is a signature if x is that of s·G + t·P. */
static void fitting(uint8_t e[32], const struct fn_sm2_scalar *r, const uint8_t x[32])
{
    struct fn_sm2_scalar number;
    fn_scalar_load(&number, x);
    number = fn_scalar_sub(r, &number);
    fn_scalar_store(e, &number);
}

/* Signatures whose R has x in [n, p): right ones, though e + x and x differ by a multiple of n. No known key
 * makes them; the public key is chosen to fit: P = (R - s·G)/t. */
static void test_x_above_order(void **state)
{
    (void)state;
    static const struct fn_sm2_public points[] = {
        {{0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0x72, 0x03, 0xdf, 0x6b, 0x21, 0xc6, 0x05, 0x2b, 0x53, 0xbb, 0xf4, 0x09, 0x39, 0xd5, 0x41, 0x27},
         {0x13, 0x38, 0x2f, 0x1e, 0xc4, 0x59, 0xa2, 0xff, 0x2b, 0x0b, 0x5b, 0xdf, 0x5a, 0xd8, 0xf2, 0x52,
          0x09, 0x35, 0x7b, 0x4c, 0x43, 0x33, 0x21, 0x9a, 0x04, 0xc5, 0xc0, 0x02, 0x1b, 0x13, 0xda, 0xa5}},
        {{0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfd},
         {0x9f, 0x7a, 0x09, 0x14, 0x33, 0xa8, 0x1e, 0x3f, 0x21, 0x8f, 0x40, 0x5f, 0x79, 0x23, 0x55, 0xbf,
          0x2a, 0xa9, 0x8b, 0x5f, 0xfa, 0x95, 0x98, 0x2f, 0x03, 0x87, 0x08, 0x00, 0x06, 0x52, 0x79, 0xa3}},
    };
    for (size_t i = 0; i < FN_COUNT(points); i++) {
        struct fn_sm2_affine point, key;
        struct fn_sm2_scalar r, s, t;
        struct fn_sm2_jacobian sum;
        struct fn_sm2_fe scratch;
        struct fn_sm2_public pub;
        uint8_t e[32], sig[64];
        scalar_of(&r, 1000001);
        scalar_of(&s, 77777);
        fn_scalar_store(sig, &r);
        fn_scalar_store(sig + 32, &s);
        assert_int_equal(fn_point_load(&point, &points[i]), FN_OK);
        t = fn_scalar_add(&r, &s);
        t = fn_scalar_inverse(&t);
        struct fn_sm2_scalar zero = {{0}}, minus = fn_scalar_sub(&zero, &s);
        minus = fn_scalar_mul(&minus, &t);
        fn_point_multiply_public(&sum, &minus, &t, &point);
        fn_points_normalise(1, &key, &sum, &scratch);
        fn_point_store(&pub, &key);
        fitting(e, &r, points[i].x);
        assert_int_equal(fn_sm2_verify(&pub, e, sig), FN_OK);
        e[31] ^= 1;
        assert_int_equal(fn_sm2_verify(&pub, e, sig), FN_E_SIGNATURE);
    }
}

/* r + s = n makes t = 0, and s·G alone would give the r of a fitting e under every key. */
static void test_key_does_not_count(void **state)
{
    (void)state;
    struct fn_sm2_scalar r, s, zero = {{0}};
    struct fn_sm2_jacobian sum;
    struct fn_sm2_affine point;
    struct fn_sm2_fe scratch;
    struct fn_sm2_public pub;
    uint8_t e[32], sig[64];
    scalar_of(&r, 4711);
    s = fn_scalar_sub(&zero, &r);
    fn_scalar_store(sig, &r);
    fn_scalar_store(sig + 32, &s);
    fn_point_multiply_base(&sum, &s);
    fn_points_normalise(1, &point, &sum, &scratch);
    fn_point_store(&pub, &point);
    fitting(e, &r, pub.x);
    fn_point_store(&pub, &fn_sm2_windows[3][3]);
    assert_int_equal(fn_sm2_verify(&pub, e, sig), FN_E_SIGNATURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_field),         cmocka_unit_test(test_limbs),
        cmocka_unit_test(test_scalars),       cmocka_unit_test(test_table),
        cmocka_unit_test(test_addition),      cmocka_unit_test(test_multiples),
        cmocka_unit_test(test_x_above_order), cmocka_unit_test(test_key_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
