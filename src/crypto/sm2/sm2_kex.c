/* Key exchange (GB/T 32918.3 6.1), both sides alike. */
#include "crypto/sm2/sm2_internal.h"

/* 2^w + (x & (2^w - 1)) with w = 127 (A4). */
static void reduced_x(struct fn_sm2_scalar *out, const uint8_t x[32])
{
    uint8_t bytes[32] = {0};
    memcpy(bytes + 16, x + 16, 16);
    bytes[16] |= 0x80;
    fn_scalar_load(out, bytes);
}

/* P + x̄·R of the other side, public (A7, inside the brackets). */
static fn_err peer_point(struct fn_sm2_public *out, const struct fn_sm2_kex *kex)
{
    const struct fn_sm2_scalar zero = {{0}}, one = {{1}};
    struct fn_sm2_affine p, r;
    struct fn_sm2_scalar x;
    struct fn_sm2_fe scratch;
    FN_TRY(fn_point_load(&p, kex->peer));
    FN_TRY(fn_point_load(&r, kex->peer_ephemeral));
    reduced_x(&x, kex->peer_ephemeral->x);
    struct fn_sm2_jacobian a, b;
    fn_point_multiply_public(&a, &zero, &x, &r);
    fn_point_multiply_public(&b, &zero, &one, &p);
    fn_point_add(&a, &a, &b);
    if (fn_fe_zero(a.z)) return FN_FAIL(FN_E_SM2_POINT, "the peer's keys cancel each other");
    fn_points_normalise(1, &p, &a, &scratch);
    fn_point_store(out, &p);
    return FN_OK;
}

static void confirmation(const struct fn_sm2_kex *kex, const struct fn_sm2_public *shared,
                         struct fn_sm2_kex_confirm *out)
{
    const struct fn_sm2_public *own = &kex->own_ephemeral->pub, *peer = kex->peer_ephemeral;
    const struct fn_sm2_public *sponsor = kex->sponsor ? own : peer, *responder = kex->sponsor ? peer : own;
    struct fn_sm3 h;
    uint8_t inner[32], prefix = 2;
    FN_SCOPED_WIPE(inner);
    fn_sm3_init(&h);
    fn_sm3_update(&h, shared->x, 32);
    fn_sm3_update(&h, kex->z_sponsor, 32);
    fn_sm3_update(&h, kex->z_responder, 32);
    fn_sm3_update(&h, sponsor->x, 32);
    fn_sm3_update(&h, sponsor->y, 32);
    fn_sm3_update(&h, responder->x, 32);
    fn_sm3_update(&h, responder->y, 32);
    fn_sm3_final(&h, inner);
    for (; prefix <= 3; prefix++) {
        fn_sm3_init(&h);
        fn_sm3_update(&h, &prefix, 1);
        fn_sm3_update(&h, shared->y, 32);
        fn_sm3_update(&h, inner, 32);
        fn_sm3_final(&h, prefix == 2 ? out->responder : out->sponsor);
    }
}

fn_err fn_sm2_kex(const struct fn_sm2_kex *kex, uint8_t *key, size_t n, struct fn_sm2_kex_confirm *confirm)
{
    struct {
        struct fn_sm2_scalar t, r;
        struct fn_sm2_public shared;
        uint8_t bytes[128];
    } s;
    FN_SCOPED_WIPE(s);
    struct fn_sm2_public peer;
    struct fn_sm2_scalar x;
    FN_TRY(peer_point(&peer, kex));
    /* t = d + x̄·r (A5) */
    reduced_x(&x, kex->own_ephemeral->pub.x);
    fn_scalar_load(&s.t, kex->own->d);
    fn_scalar_load(&s.r, kex->own_ephemeral->d);
    s.r = fn_scalar_mul(&s.r, &x);
    s.t = fn_scalar_add(&s.t, &s.r);
    fn_scalar_store(s.bytes, &s.t);
    FN_TRY(fn_sm2_multiply(&s.shared, s.bytes, &peer));
    memcpy(s.bytes, s.shared.x, 32);
    memcpy(s.bytes + 32, s.shared.y, 32);
    memcpy(s.bytes + 64, kex->z_sponsor, 32);
    memcpy(s.bytes + 96, kex->z_responder, 32);
    fn_sm3_kdf(s.bytes, sizeof s.bytes, key, n);
    if (confirm) confirmation(kex, &s.shared, confirm);
    return FN_OK;
}
