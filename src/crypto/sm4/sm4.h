/* SM4 (GB/T 32907-2016) and its modes (GB/T 17964-2021, GB/T 36624, GB/T 15852.1). Constant time: no table is
 * indexed by a secret. In place is allowed everywhere (out == in); other overlap is not. */
#ifndef FN_CRYPTO_SM4_H
#define FN_CRYPTO_SM4_H

#include "base/core/bytes.h"

#define FN_SM4_BLOCK 16
#define FN_SM4_KEY   16

struct fn_sm4_key {
    uint32_t rk[32]; /* encryption order; decryption walks it backwards */
};
void fn_sm4_key_init(struct fn_sm4_key *key, const uint8_t k[FN_SM4_KEY]);
/* n keys at once. */
void fn_sm4_key_init_batch(size_t n, struct fn_sm4_key *const *keys, const uint8_t (*k)[FN_SM4_KEY]);

/* Lengths that must be whole blocks are refused with FN_E_CIPHER_LENGTH otherwise. `iv` is 16 bytes, in and
 * out: after the call it holds the value with which a following call continues the stream. */
fn_err fn_sm4_ecb_encrypt(const struct fn_sm4_key *key, const uint8_t *in, uint8_t *out, size_t n);
fn_err fn_sm4_ecb_decrypt(const struct fn_sm4_key *key, const uint8_t *in, uint8_t *out, size_t n);
fn_err fn_sm4_cbc_encrypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                          size_t n);
fn_err fn_sm4_cbc_decrypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                          size_t n);
/* Many independent streams side by side (CBC encryption is serial within one). */
struct fn_sm4_cbc_job {
    const struct fn_sm4_key *key;
    uint8_t *iv; /* 16 bytes, in and out */
    const uint8_t *in;
    uint8_t *out;
    size_t n; /* whole blocks */
};
fn_err fn_sm4_cbc_encrypt_batch(size_t count, const struct fn_sm4_cbc_job *jobs);
/* Stream modes take any length, but only the last call of a stream may have a partial block. CFB is the
 * 128-bit form; CTR counts on all 128 bits. */
void fn_sm4_cfb_encrypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                        size_t n);
void fn_sm4_cfb_decrypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                        size_t n);
void fn_sm4_ofb_crypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                      size_t n);
void fn_sm4_ctr_crypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                      size_t n);

/* CBC-MAC without padding (whole blocks; `iv` in/out is the chaining value) and CMAC (any length). */
fn_err fn_sm4_cbc_mac(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *in, size_t n);
void fn_sm4_cmac(const struct fn_sm4_key *key, const uint8_t *in, size_t n, uint8_t out[16]);

/* XTS. key2 makes the tweak. A data unit has 16 bytes to 16 MiB, ciphertext stealing
 * at its end, FN_E_CIPHER_LENGTH otherwise. That the two keys differ is for the owner of the keys to check.
 * The two standards multiply the tweak differently and agree only on the first block: GB/T 17964-2021 reads
 * it most significant bit first. */
enum fn_sm4_xts { FN_SM4_XTS_GB, FN_SM4_XTS_IEEE };
fn_err fn_sm4_xts_encrypt(const struct fn_sm4_key *key1, const struct fn_sm4_key *key2, enum fn_sm4_xts kind,
                          const uint8_t tweak[16], const uint8_t *in, uint8_t *out, size_t n);
fn_err fn_sm4_xts_decrypt(const struct fn_sm4_key *key1, const struct fn_sm4_key *key2, enum fn_sm4_xts kind,
                          const uint8_t tweak[16], const uint8_t *in, uint8_t *out, size_t n);

/* GCM. */
struct fn_gcm_key {
    struct fn_sm4_key sm4;
    uint64_t h[16]; /* what the GHASH engine prepared of the hash key: its powers 1 to 8 */
};
void fn_gcm_key_init(struct fn_gcm_key *key, const uint8_t k[FN_SM4_KEY]);
/* One message. nonce of 1 or more bytes (12 normal); tag of 4, 8 or 12 to 16 bytes. Decryption verifies the
 * tag before it writes anything to `out` and fails with FN_E_TAG. */
struct fn_gcm_job {
    const struct fn_gcm_key *key;
    struct fn_bytes nonce, aad;
    const uint8_t *in;
    uint8_t *out;
    size_t n;
    uint8_t *tag; /* written by encrypt, read by decrypt */
    size_t tag_size;
    fn_err result; /* decrypt_batch: FN_OK or FN_E_TAG; FN_E_ARGUMENT for a bad nonce or tag size */
};
fn_err fn_gcm_encrypt(struct fn_gcm_job *job);
fn_err fn_gcm_decrypt(struct fn_gcm_job *job);
/* Independent messages of any keys and lengths; results stand in the jobs. */
void fn_gcm_encrypt_batch(size_t count, struct fn_gcm_job *jobs);
void fn_gcm_decrypt_batch(size_t count, struct fn_gcm_job *jobs);
/* One message in pieces. update takes any piece sizes. The decrypting caller must not release output before
 * final. */
struct fn_gcm {
    const struct fn_gcm_key *key;
    uint8_t counter[16];       /* next counter block */
    uint8_t first[16];         /* key stream of counter block 0, the mask of the tag */
    uint8_t hash[16];          /* GHASH so far */
    uint8_t pad[16], part[16]; /* key stream and ciphertext of the unfinished block */
    uint64_t aad_size, text_size;
    bool decrypt;
};
fn_err fn_gcm_start(struct fn_gcm *g, const struct fn_gcm_key *key, bool decrypt, struct fn_bytes nonce,
                    struct fn_bytes aad);
/* FN_E_TOO_LARGE, with nothing written, when the message would exceed the 2^36 - 32 bytes of GCM. */
fn_err fn_gcm_update(struct fn_gcm *g, const uint8_t *in, uint8_t *out, size_t n);
void fn_gcm_finish(struct fn_gcm *g, uint8_t tag[16]);

/* CCM (nonce 7 to 13 bytes, tag 4, 6 … 16). Decryption wipes `out` and fails with FN_E_TAG on a mismatch. */
fn_err fn_ccm_encrypt(const struct fn_sm4_key *key, struct fn_bytes nonce, struct fn_bytes aad,
                      const uint8_t *in, uint8_t *out, size_t n, uint8_t *tag, size_t tag_size);
fn_err fn_ccm_decrypt(const struct fn_sm4_key *key, struct fn_bytes nonce, struct fn_bytes aad,
                      const uint8_t *in, uint8_t *out, size_t n, const uint8_t *tag, size_t tag_size);

#endif
