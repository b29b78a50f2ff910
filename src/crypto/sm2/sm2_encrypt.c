/* Public-key encryption (GB/T 32918.4). */
#include "crypto/sm2/sm2_internal.h"

/* KDF(x2 ‖ y2, ·) a block at a time: the 64 bytes of the point are one block of the hash, absorbed once. */
struct stream {
    struct fn_sm3 point;
    uint32_t counter;
};

static void stream_start(struct stream *s, const struct fn_sm2_public *shared)
{
    fn_sm3_init(&s->point);
    fn_sm3_update(&s->point, shared->x, 32);
    fn_sm3_update(&s->point, shared->y, 32);
    s->counter = 0;
}

static void stream_block(struct stream *s, uint8_t block[32])
{
    uint8_t counter[4];
    struct fn_sm3 h = s->point;
    fn_put_be32(counter, ++s->counter);
    fn_sm3_update(&h, counter, sizeof counter);
    fn_sm3_final(&h, block);
}

/* All ones if the first n bytes of the stream are zero (A5, B4). Looks at the first block, and further only
 * while there was nothing but zeros: where it stops tells nothing else. */
static uint64_t stream_empty(const struct fn_sm2_public *shared, size_t n)
{
    struct stream s;
    uint8_t block[32];
    FN_SCOPED_WIPE(s);
    FN_SCOPED_WIPE(block);
    stream_start(&s, shared);
    while (n) {
        size_t now = n < sizeof block ? n : sizeof block;
        stream_block(&s, block);
        uint64_t any = 0;
        for (size_t i = 0; i < now; i++) any |= block[i];
        uint64_t empty = fn_mask_zero(any);
        FN_PUBLIC(empty);
        if (!empty) return 0;
        n -= now;
    }
    return fn_opaque(~(uint64_t)0);
}

static void hash_start(struct fn_sm3 *h, const struct fn_sm2_public *shared)
{
    fn_sm3_init(h);
    fn_sm3_update(h, shared->x, 32);
}

static void hash_end(struct fn_sm3 *h, const struct fn_sm2_public *shared, uint8_t c3[32])
{
    fn_sm3_update(h, shared->y, 32);
    fn_sm3_final(h, c3);
}

/* A1 to A8 for one nonce; false if the stream is empty and another nonce is needed. c2 may be m. */
static bool encrypt(const struct fn_sm2_affine *pub, const struct fn_sm2_scalar *k, const uint8_t *m,
                    size_t n, struct fn_sm2_public *c1, uint8_t c3[32], uint8_t *c2)
{
    struct {
        struct fn_sm2_jacobian products[2];
        struct fn_sm2_affine points[2];
        struct fn_sm2_fe scratch[2];
        struct fn_sm2_public shared;
        struct stream stream;
        struct fn_sm3 hash;
        uint8_t block[32];
    } t;
    FN_SCOPED_WIPE(t);
    fn_point_multiply_base(&t.products[0], k);
    fn_point_multiply(&t.products[1], k, pub);
    fn_points_normalise(2, t.points, t.products, t.scratch);
    fn_point_store(&t.shared, &t.points[1]);
    if (stream_empty(&t.shared, n)) return false;
    fn_point_store(c1, &t.points[0]);
    stream_start(&t.stream, &t.shared);
    hash_start(&t.hash, &t.shared);
    for (size_t at = 0; at < n; at += sizeof t.block) {
        size_t now = n - at < sizeof t.block ? n - at : sizeof t.block;
        fn_sm3_update(&t.hash, m + at, now);
        stream_block(&t.stream, t.block);
        for (size_t i = 0; i < now; i++) c2[at + i] = m[at + i] ^ t.block[i];
    }
    hash_end(&t.hash, &t.shared, c3);
    return true;
}

static fn_err check_length(size_t n)
{
    if (n < 1) return FN_FAIL(FN_E_ARGUMENT, "nothing to encrypt");
    if ((uint64_t)n > 32 * (uint64_t)0xffffffff)
        return FN_FAIL(FN_E_TOO_LARGE, "beyond the counter of the KDF");
    return FN_OK;
}

fn_err fn_sm2_encrypt(const struct fn_sm2_public *pub, const struct fn_rng *rng, const uint8_t *m, size_t n,
                      struct fn_sm2_public *c1, uint8_t c3[32], uint8_t *c2)
{
    struct fn_sm2_affine point;
    struct fn_sm2_scalar k;
    FN_SCOPED_WIPE(k);
    FN_TRY(check_length(n));
    FN_TRY(fn_point_load(&point, pub));
    for (int i = 0; i < 64; i++) { /* one byte needs another nonce once in 256 times */
        FN_TRY(fn_sm2_draw(&k, rng, false));
        if (encrypt(&point, &k, m, n, c1, c3, c2)) return FN_OK;
    }
    return FN_FAIL(FN_E_RANDOM_SOURCE, "64 empty key streams in a row");
}

fn_err fn_sm2_encrypt_with_nonce(const struct fn_sm2_public *pub, const uint8_t nonce[32], const uint8_t *m,
                                 size_t n, struct fn_sm2_public *c1, uint8_t c3[32], uint8_t *c2)
{
    struct fn_sm2_affine point;
    struct fn_sm2_scalar k;
    FN_SCOPED_WIPE(k);
    FN_TRY(check_length(n));
    FN_TRY(fn_point_load(&point, pub));
    FN_TRY(fn_sm2_given(&k, nonce));
    if (!encrypt(&point, &k, m, n, c1, c3, c2))
        return FN_FAIL(FN_E_ARGUMENT, "this nonce gives an empty key stream");
    return FN_OK;
}

/* The stream is made twice, first for C3 and then for m: a message of any length needs no other memory that
 * way. The caller's c2 must not change meanwhile. */
fn_err fn_sm2_decrypt(const struct fn_sm2_private *key, const struct fn_sm2_public *c1, const uint8_t c3[32],
                      const uint8_t *c2, size_t n, uint8_t *m)
{
    struct {
        struct fn_sm2_scalar d;
        struct fn_sm2_public shared;
        struct stream stream;
        struct fn_sm3 hash;
        uint8_t block[32], digest[32];
    } t;
    FN_SCOPED_WIPE(t);
    FN_TRY(check_length(n));
    struct fn_sm2_affine point;
    if (fn_point_load(&point, c1)) return FN_WRAP(FN_E_SM2_CIPHERTEXT, "C1");
    FN_TRY(fn_sm2_multiply(&t.shared, key->d, c1)); /* d < n and C1 has order n: never infinity */
    stream_start(&t.stream, &t.shared);
    hash_start(&t.hash, &t.shared);
    for (size_t at = 0; at < n; at += sizeof t.block) {
        size_t now = n - at < sizeof t.block ? n - at : sizeof t.block;
        stream_block(&t.stream, t.block);
        for (size_t i = 0; i < now; i++) t.block[i] ^= c2[at + i];
        fn_sm3_update(&t.hash, t.block, now);
    }
    hash_end(&t.hash, &t.shared, t.digest);
    uint64_t wrong = fn_mask_zero(fn_equal_ct(t.digest, c3, 32)) | stream_empty(&t.shared, n);
    FN_PUBLIC(wrong);
    if (wrong) return FN_FAIL(FN_E_SM2_CIPHERTEXT, "C3 differs");
    stream_start(&t.stream, &t.shared);
    for (size_t at = 0; at < n; at += sizeof t.block) {
        size_t now = n - at < sizeof t.block ? n - at : sizeof t.block;
        stream_block(&t.stream, t.block);
        for (size_t i = 0; i < now; i++) m[at + i] = c2[at + i] ^ t.block[i];
    }
    return FN_OK;
}
