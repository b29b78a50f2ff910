/* Keys, signatures, and the scalar multiple for protocols above. */
#include "crypto/sm2/sm2_internal.h"

fn_err fn_sm2_draw(struct fn_sm2_scalar *k, const struct fn_rng *rng, bool private_key)
{
    uint8_t bytes[32];
    FN_SCOPED_WIPE(bytes);
    const struct fn_sm2_scalar one = {{1}};
    for (int i = 0; i < 64; i++) {
        FN_TRY(fn_rng_fill(rng, bytes, sizeof bytes));
        uint64_t good = fn_scalar_load(k, bytes) & ~fn_scalar_zero(k);
        struct fn_sm2_scalar next = fn_scalar_add(k, &one);
        if (private_key) good &= ~fn_scalar_zero(&next); /* d = n - 1 has no 1/(1+d) */
        fn_wipe(&next, sizeof next);
        FN_PUBLIC(good);
        if (good) return FN_OK;
    }
    return FN_FAIL(FN_E_RANDOM_SOURCE,
                   "64 numbers out of range in a row"); /* 2^-2048 with a working source */
}

fn_err fn_sm2_given(struct fn_sm2_scalar *k, const uint8_t bytes[32])
{
    uint64_t good = fn_scalar_load(k, bytes) & ~fn_scalar_zero(k);
    FN_PUBLIC(good);
    if (!good) return FN_FAIL(FN_E_ARGUMENT, "nonce not in [1, n-1]");
    return FN_OK;
}

/* keys[i] from d[i], all in [1, n-2]; one inversion modulo n and one modulo p for all. */
static void fill_keys(size_t n, struct fn_sm2_private *keys, const struct fn_sm2_scalar *d)
{
    const struct fn_sm2_scalar one = {{1}};
    struct fn_sm2_affine points[FN_SM2_LANES];
    struct fn_sm2_scalar product[FN_SM2_LANES], factor, inverse, ready;
    FN_SCOPED_WIPE(product);
    FN_SCOPED_WIPE(factor);
    FN_SCOPED_WIPE(inverse);
    FN_SCOPED_WIPE(ready);
    fn_sm2_engine->multiply_base(n, points, d);
    for (size_t i = 0; i < n; i++) {
        factor = fn_scalar_add(&d[i], &one);
        product[i] = i ? fn_scalar_mul(&product[i - 1], &factor) : factor;
    }
    inverse = fn_scalar_inverse(&product[n - 1]);
    for (size_t i = n; i-- > 0;) {
        ready = i ? fn_scalar_mul(&inverse, &product[i - 1]) : inverse;
        factor = fn_scalar_add(&d[i], &one);
        inverse = fn_scalar_mul(&inverse, &factor);
        fn_scalar_store(keys[i].d, &d[i]);
        fn_scalar_store(keys[i].ready, &ready);
        fn_point_store(&keys[i].pub, &points[i]);
    }
}

fn_err fn_sm2_generate(struct fn_sm2_private *key, const struct fn_rng *rng)
{
    return fn_sm2_generate_batch(1, key, rng);
}

fn_err fn_sm2_generate_batch(size_t n, struct fn_sm2_private *keys, const struct fn_rng *rng)
{
    struct fn_sm2_scalar d[FN_SM2_LANES];
    FN_SCOPED_WIPE(d);
    while (n) {
        size_t now = n < FN_SM2_LANES ? n : FN_SM2_LANES;
        for (size_t i = 0; i < now; i++) FN_TRY(fn_sm2_draw(&d[i], rng, true));
        fill_keys(now, keys, d);
        keys += now;
        n -= now;
    }
    return FN_OK;
}

fn_err fn_sm2_private_load(struct fn_sm2_private *key, const uint8_t bytes[32])
{
    const struct fn_sm2_scalar one = {{1}};
    struct fn_sm2_scalar d, next;
    FN_SCOPED_WIPE(d);
    FN_SCOPED_WIPE(next);
    uint64_t good = fn_scalar_load(&d, bytes) & ~fn_scalar_zero(&d);
    next = fn_scalar_add(&d, &one);
    good &= ~fn_scalar_zero(&next);
    FN_PUBLIC(good);
    if (!good) return FN_FAIL(FN_E_SM2_PRIVATE, "d not in [1, n-2]");
    fill_keys(1, key, &d);
    return FN_OK;
}

fn_err fn_sm2_public_check(const struct fn_sm2_public *pub)
{
    struct fn_sm2_affine point;
    FN_TRY(fn_point_load(&point, pub));
    return FN_OK;
}

fn_err fn_sm2_z(uint8_t z[32], const struct fn_sm2_public *pub, struct fn_bytes id)
{
    /* a, b, xG, yG */
    static const uint8_t curve[128] = {
        0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* a */
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc, /* */
        0x28, 0xe9, 0xfa, 0x9e, 0x9d, 0x9f, 0x5e, 0x34,
        0x4d, 0x5a, 0x9e, 0x4b, 0xcf, 0x65, 0x09, 0xa7, /* b */
        0xf3, 0x97, 0x89, 0xf5, 0x15, 0xab, 0x8f, 0x92,
        0xdd, 0xbc, 0xbd, 0x41, 0x4d, 0x94, 0x0e, 0x93, /* */
        0x32, 0xc4, 0xae, 0x2c, 0x1f, 0x19, 0x81, 0x19,
        0x5f, 0x99, 0x04, 0x46, 0x6a, 0x39, 0xc9, 0x94, /* x */
        0x8f, 0xe3, 0x0b, 0xbf, 0xf2, 0x66, 0x0b, 0xe1,
        0x71, 0x5a, 0x45, 0x89, 0x33, 0x4c, 0x74, 0xc7, /* */
        0xbc, 0x37, 0x36, 0xa2, 0xf4, 0xf6, 0x77, 0x9c,
        0x59, 0xbd, 0xce, 0xe3, 0x6b, 0x69, 0x21, 0x53, /* y */
        0xd0, 0xa9, 0x87, 0x7c, 0xc6, 0x2a, 0x47, 0x40,
        0x02, 0xdf, 0x32, 0xe5, 0x21, 0x39, 0xf0, 0xa0, /* */
    };
    if (id.n > 8191) return FN_FAIL(FN_E_TOO_LARGE, "identifier of %zu bytes, at most 8191", id.n);
    struct fn_sm3 h;
    uint8_t bits[2];
    fn_put_be16(bits, (uint16_t)(8 * id.n));
    fn_sm3_init(&h);
    fn_sm3_update(&h, bits, sizeof bits);
    fn_sm3_update(&h, id.p, id.n);
    fn_sm3_update(&h, curve, sizeof curve);
    fn_sm3_update(&h, pub->x, 32);
    fn_sm3_update(&h, pub->y, 32);
    fn_sm3_final(&h, z);
    return FN_OK;
}

fn_err fn_sm2_digest(uint8_t e[32], const struct fn_sm2_public *pub, struct fn_bytes id,
                     struct fn_bytes message)
{
    uint8_t z[32];
    FN_TRY(fn_sm2_z(z, pub, id));
    struct fn_sm3 h;
    fn_sm3_init(&h);
    fn_sm3_update(&h, z, sizeof z);
    fn_sm3_update(&h, message.p, message.n);
    fn_sm3_final(&h, e);
    return FN_OK;
}

/* A5 to A7 of GB/T 32918.2 6.1, with s = (k + r)/(1 + d) - r, which is the same number. False if another
 * nonce is needed: r = 0, r + k = n or s = 0. As s = -r exactly when r + k = 0, all three are seen from the
 * signature alone. */
static bool finish(const struct fn_sm2_private *key, const struct fn_sm2_scalar *k, const struct fn_sm2_fe *x,
                   const uint8_t e[32], uint8_t sig[64])
{
    uint8_t bytes[32];
    struct fn_sm2_scalar r, s, t;
    FN_SCOPED_WIPE(bytes);
    FN_SCOPED_WIPE(s);
    FN_SCOPED_WIPE(t);
    fn_fe_store(bytes, *x);
    fn_scalar_load(&t, bytes);
    fn_scalar_load(&r, e);
    r = fn_scalar_add(&r, &t);
    fn_scalar_load(&s, key->ready);
    t = fn_scalar_add(k, &r);
    s = fn_scalar_mul(&s, &t);
    s = fn_scalar_sub(&s, &r);
    t = fn_scalar_add(&r, &s);
    uint64_t again = fn_scalar_zero(&r) | fn_scalar_zero(&s) | fn_scalar_zero(&t);
    FN_PUBLIC(again);
    if (again) return false;
    fn_scalar_store(sig, &r);
    fn_scalar_store(sig + 32, &s);
    return true;
}

fn_err fn_sm2_sign_with_nonce(const struct fn_sm2_private *key, const uint8_t nonce[32], const uint8_t e[32],
                              uint8_t sig[64])
{
    struct fn_sm2_scalar k;
    struct fn_sm2_affine point;
    FN_SCOPED_WIPE(k);
    FN_TRY(fn_sm2_given(&k, nonce));
    fn_sm2_engine->multiply_base(1, &point, &k);
    if (!finish(key, &k, &point.x, e, sig)) return FN_FAIL(FN_E_ARGUMENT, "this nonce gives no signature");
    return FN_OK;
}

fn_err fn_sm2_sign(const struct fn_sm2_private *key, const struct fn_rng *rng, const uint8_t e[32],
                   uint8_t sig[64])
{
    struct fn_sm2_sign_job job = {key, e, sig};
    return fn_sm2_sign_batch(1, &job, rng);
}

fn_err fn_sm2_sign_batch(size_t n, const struct fn_sm2_sign_job *jobs, const struct fn_rng *rng)
{
    struct fn_sm2_scalar k[FN_SM2_LANES];
    struct fn_sm2_affine points[FN_SM2_LANES];
    FN_SCOPED_WIPE(k);
    while (n) {
        size_t now = n < FN_SM2_LANES ? n : FN_SM2_LANES, done = 0;
        for (size_t i = 0; i < now; i++) FN_TRY(fn_sm2_draw(&k[i], rng, false));
        fn_sm2_engine->multiply_base(now, points, k);
        /* A job that needs another nonce (2^-254) starts the next round. */
        while (done < now && finish(jobs[done].key, &k[done], &points[done].x, jobs[done].e, jobs[done].sig))
            done++;
        jobs += done;
        n -= done;
    }
    return FN_OK;
}

/* B1, B2, B4, B5 of GB/T 32918.2 7.1. */
static fn_err prepare(struct fn_sm2_check *c, const struct fn_sm2_public *pub, const uint8_t e[32],
                      const uint8_t sig[64])
{
    struct fn_sm2_scalar r, number;
    FN_TRY(fn_point_load(&c->p, pub));
    if (!fn_scalar_load(&r, sig) || fn_scalar_zero(&r)) return FN_FAIL(FN_E_SIGNATURE, "r not in [1, n-1]");
    if (!fn_scalar_load(&c->s, sig + 32) || fn_scalar_zero(&c->s))
        return FN_FAIL(FN_E_SIGNATURE, "s not in [1, n-1]");
    c->t = fn_scalar_add(&r, &c->s);
    if (fn_scalar_zero(&c->t)) return FN_FAIL(FN_E_SIGNATURE, "r + s = n");
    fn_scalar_load(&number, e);
    c->c = fn_scalar_sub(&r, &number);
    return FN_OK;
}

fn_err fn_sm2_verify(const struct fn_sm2_public *pub, const uint8_t e[32], const uint8_t sig[64])
{
    struct fn_sm2_check c;
    FN_TRY(prepare(&c, pub, e, sig));
    fn_sm2_engine->check(1, &c);
    if (!c.good) return FN_FAIL(FN_E_SIGNATURE, "R differs from r");
    return FN_OK;
}

void fn_sm2_verify_batch(size_t n, struct fn_sm2_verify_job *jobs)
{
    struct fn_sm2_check checks[FN_SM2_LANES];
    struct fn_sm2_verify_job *waiting[FN_SM2_LANES];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        jobs[i].result = prepare(&checks[count], jobs[i].pub, jobs[i].e, jobs[i].sig);
        if (!jobs[i].result) waiting[count++] = &jobs[i];
        if (count < FN_SM2_LANES && i + 1 < n) continue;
        if (count) fn_sm2_engine->check(count, checks);
        for (size_t j = 0; j < count; j++)
            if (!checks[j].good) waiting[j]->result = FN_FAIL(FN_E_SIGNATURE, "R differs from r");
        count = 0;
    }
}

fn_err fn_sm2_multiply(struct fn_sm2_public *out, const uint8_t k[32], const struct fn_sm2_public *p)
{
    struct fn_sm2_scalar scalar;
    struct fn_sm2_jacobian product;
    struct fn_sm2_affine point;
    struct fn_sm2_fe scratch;
    FN_SCOPED_WIPE(scalar);
    FN_SCOPED_WIPE(product);
    FN_SCOPED_WIPE(point);
    FN_SCOPED_WIPE(scratch);
    FN_TRY(fn_point_load(&point, p));
    fn_scalar_load(&scalar, k);
    fn_point_multiply(&product, &scalar, &point);
    uint64_t infinite = fn_fe_zero(product.z);
    FN_PUBLIC(infinite);
    if (infinite) return FN_FAIL(FN_E_SM2_POINT, "the multiple is infinity");
    fn_points_normalise(1, &point, &product, &scratch);
    fn_point_store(out, &point);
    return FN_OK;
}
