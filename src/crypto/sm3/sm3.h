/* SM3 (GB/T 32905-2016), HMAC-SM3 (GB/T 15852.2), the SM2 KDF (GB/T 32918.4 5.4.3) and PBKDF2-HMAC-SM3. */
#ifndef FN_CRYPTO_SM3_H
#define FN_CRYPTO_SM3_H

#include "base/core/bytes.h"

#define FN_SM3_SIZE  32
#define FN_SM3_BLOCK 64

struct fn_sm3 {
    uint32_t state[8];
    uint64_t length; /* bytes absorbed */
    uint8_t block[FN_SM3_BLOCK];
};

void fn_sm3_init(struct fn_sm3 *h);
void fn_sm3_update(struct fn_sm3 *h, const void *p, size_t n);
void fn_sm3_final(struct fn_sm3 *h, uint8_t out[FN_SM3_SIZE]); /* wipes h */
void fn_sm3_digest(const void *p, size_t n, uint8_t out[FN_SM3_SIZE]);
/* n independent messages; the lanes of the widest engine are filled across messages. */
void fn_sm3_batch(size_t n, const struct fn_bytes *messages, uint8_t (*out)[FN_SM3_SIZE]);

/* A keyed state, made once per key: both padded blocks already absorbed. Secret. */
struct fn_hmac_key {
    uint32_t inner[8], outer[8];
};
struct fn_hmac {
    struct fn_sm3 inner;
    uint32_t outer[8];
};
void fn_hmac_key_init(struct fn_hmac_key *key, const void *p, size_t n);
void fn_hmac_init(struct fn_hmac *m, const struct fn_hmac_key *key);
void fn_hmac_update(struct fn_hmac *m, const void *p, size_t n);
void fn_hmac_final(struct fn_hmac *m, uint8_t out[FN_SM3_SIZE]); /* wipes m */
void fn_hmac_digest(const struct fn_hmac_key *key, const void *p, size_t n, uint8_t out[FN_SM3_SIZE]);
/* keys[i] belongs to messages[i]; the same key may stand in many places. */
void fn_hmac_batch(size_t n, const struct fn_hmac_key *const *keys, const struct fn_bytes *messages, uint8_t (*out)[FN_SM3_SIZE]);

/* K = KDF(Z, klen); out of any length up to 2^32-1 blocks. */
void fn_sm3_kdf(const void *z, size_t z_size, uint8_t *out, size_t n);
/* PBKDF2 with HMAC-SM3 (RFC 8018). iterations >= 1. */
void fn_pbkdf2_sm3(const void *password, size_t password_size, const void *salt, size_t salt_size, uint32_t iterations,
                   uint8_t *out, size_t n);

#endif
