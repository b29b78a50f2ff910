/* SM2 on the recommended curve (GB/T 32918.1-5-2016/2017). All private-key operations run in constant time.
 * Numbers are 32 bytes big-endian; a point is x ‖ y; a signature is r ‖ s. */
#ifndef FN_CRYPTO_SM2_H
#define FN_CRYPTO_SM2_H

#include "base/core/bytes.h"
#include "crypto/rng/rng.h"

#define FN_SM2_SCALAR    32
#define FN_SM2_SIGNATURE 64
/* The identifier that everybody uses unless told otherwise (GM/T 0009 10): "1234567812345678". */
#define FN_SM2_DEFAULT_ID FN_BYTES_LITERAL("1234567812345678")

struct fn_sm2_public {
    uint8_t x[32], y[32];
};
/* Secret. `ready` is (1+d)^-1 mod n, so that signing needs no inversion of the key. */
struct fn_sm2_private {
    uint8_t d[32], ready[32];
    struct fn_sm2_public pub;
};

/* d in [1, n-2]. */
fn_err fn_sm2_generate(struct fn_sm2_private *key, const struct fn_rng *rng);
fn_err fn_sm2_generate_batch(size_t n, struct fn_sm2_private *keys, const struct fn_rng *rng);
/* From d; FN_E_SM2_PRIVATE unless 1 <= d <= n-2. */
fn_err fn_sm2_private_load(struct fn_sm2_private *key, const uint8_t d[32]);
/* Full public-key validation (GB/T 32918.1 6.2.1): coordinates below p, on the curve, not infinity.
 * FN_E_SM2_POINT. */
fn_err fn_sm2_public_check(const struct fn_sm2_public *pub);

/* Z (GB/T 32918.2 5.5). id of at most 8191 bytes. */
fn_err fn_sm2_z(uint8_t z[32], const struct fn_sm2_public *pub, struct fn_bytes id);
/* e = SM3(Z ‖ message), what sign and verify take. */
fn_err fn_sm2_digest(uint8_t e[32], const struct fn_sm2_public *pub, struct fn_bytes id,
                     struct fn_bytes message);

fn_err fn_sm2_sign(const struct fn_sm2_private *key, const struct fn_rng *rng, const uint8_t e[32],
                   uint8_t sig[64]);
/* The public key must have passed fn_sm2_public_check. FN_E_SIGNATURE on mismatch. */
fn_err fn_sm2_verify(const struct fn_sm2_public *pub, const uint8_t e[32], const uint8_t sig[64]);
struct fn_sm2_sign_job {
    const struct fn_sm2_private *key;
    const uint8_t *e; /* 32 */
    uint8_t *sig;     /* 64 */
};
struct fn_sm2_verify_job {
    const struct fn_sm2_public *pub;
    const uint8_t *e, *sig;
    fn_err result;
};
fn_err fn_sm2_sign_batch(size_t n, const struct fn_sm2_sign_job *jobs, const struct fn_rng *rng);
void fn_sm2_verify_batch(size_t n, struct fn_sm2_verify_job *jobs);
/* With a given nonce, for known-answer tests alone. */
fn_err fn_sm2_sign_with_nonce(const struct fn_sm2_private *key, const uint8_t k[32], const uint8_t e[32],
                              uint8_t sig[64]);

/* Encryption (GB/T 32918.4): C1 (point), C3 (SM3), C2 (n bytes). n >= 1. An all-zero KDF output repeats with
 * a new nonce. */
fn_err fn_sm2_encrypt(const struct fn_sm2_public *pub, const struct fn_rng *rng, const uint8_t *m, size_t n,
                      struct fn_sm2_public *c1, uint8_t c3[32], uint8_t *c2);
/* FN_E_SM2_CIPHERTEXT on any mismatch; nothing is written to m before C3 was found right. */
fn_err fn_sm2_decrypt(const struct fn_sm2_private *key, const struct fn_sm2_public *c1, const uint8_t c3[32],
                      const uint8_t *c2, size_t n, uint8_t *m);
fn_err fn_sm2_encrypt_with_nonce(const struct fn_sm2_public *pub, const uint8_t k[32], const uint8_t *m,
                                 size_t n, struct fn_sm2_public *c1, uint8_t c3[32], uint8_t *c2);

/* Key exchange (GB/T 32918.3): one call a side, once both ephemeral points are known. z_* as of fn_sm2_z, A =
 * sponsor (initiator). `confirm` (optional, may be NULL) receives S1/SB (prefix 02) and S2/SA (prefix 03). */
struct fn_sm2_kex {
    bool sponsor;
    const struct fn_sm2_private *own, *own_ephemeral;
    const struct fn_sm2_public *peer, *peer_ephemeral; /* both must have passed fn_sm2_public_check */
    const uint8_t *z_sponsor, *z_responder;            /* 32 each */
};
struct fn_sm2_kex_confirm {
    uint8_t responder[32], sponsor[32];
};
fn_err fn_sm2_kex(const struct fn_sm2_kex *kex, uint8_t *key, size_t n, struct fn_sm2_kex_confirm *confirm);

/* Scalar multiple k·P of a validated point, constant time; FN_E_SM2_POINT if the result is infinity. For
 * protocols above. */
fn_err fn_sm2_multiply(struct fn_sm2_public *out, const uint8_t k[32], const struct fn_sm2_public *p);

#endif
