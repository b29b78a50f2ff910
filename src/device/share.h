/* Key shares of the device's root and of its backup key: what a share carries, how it is signed by the device
 * and sealed to its holder, and how m of them give the secret back. The bytes are specified in
 * docs/formats/share.md.
 *
 * The way of a secret: fn_share_split makes n shares; each is signed and encoded (fn_share_encode), sealed to
 * the encryption key of its holder (fn_share_seal) and given to the holder's carrier. Back: the carrier opens
 * it (fn_share_open), fn_share_decode checks signature and structure, fn_share_pool_add refuses what is not
 * of this device or superseded, fn_share_pool_combine gives the secret once m are there. No I/O, no
 * allocation. */
#ifndef FN_DEVICE_SHARE_H
#define FN_DEVICE_SHARE_H

#include "base/core/clock.h"
#include "base/core/text.h"
#include "crypto/sm2/sm2.h"

#define FN_SERIAL_TEXT        16u /* of a device: printable ASCII (GB/T 33560: date, batch, number) */
#define FN_HOLDER_MOST        64u /* bytes of UTF-8 */
#define FN_SHARE_SECRET_LEAST 16u
#define FN_SHARE_SECRET_MOST  64u
#define FN_SHARE_MOST         512u  /* of an encoded share */
#define FN_SHARE_SEALED_MOST  1024u /* of a sealed share */

/* 16 characters of printable ASCII without space: FN_E_FORMAT otherwise. */
fn_err fn_serial_check(const char *serial);
/* 1 to 64 bytes of UTF-8 without control characters: FN_E_FORMAT, FN_E_ENCODING otherwise. */
fn_err fn_holder_name_check(struct fn_bytes name);
/* Length of a text, but at most most + 1. */
static inline size_t fn_short_length(const char *text, size_t most)
{
    size_t n = 0;
    while (n <= most && text[n]) n++;
    return n;
}

enum fn_share_kind { FN_SHARE_ROOT = 1, FN_SHARE_BACKUP = 2 };

/* What all shares of one splitting have in common. */
struct fn_share_set {
    enum fn_share_kind kind;
    char serial[FN_SERIAL_TEXT + 1]; /* of the device that made the set */
    struct fn_sm2_public device;     /* its signing key */
    struct fn_uuid uuid;             /* the line of sets that replace one another */
    uint32_t generation;             /* 1 for the first set of the line; every reshare is one more */
    uint8_t m, n;                    /* 2 <= m <= n */
};

/* Secret through y. */
struct fn_share {
    struct fn_share_set set;
    uint8_t x; /* 1 … n */
    char holder[FN_HOLDER_MOST + 1];
    uint64_t
        store_generation; /* of the device's store when the share was made: an older store is an old copy */
    fn_ms made;
    uint8_t check[32]; /* HMAC-SM3 of the set under the secret */
    uint8_t y[FN_SHARE_SECRET_MOST];
    uint8_t size; /* of y and of the secret */
};

/* Signs a digest with the device's signing key; signature is r ‖ s. */
struct fn_signer {
    fn_err (*sign)(void *self, const uint8_t e[32], uint8_t signature[64]);
    void *self;
};

/* Splits the secret (16 to 64 bytes) into set->n shares, filled but for the signature: holders[i] (UTF-8
 * without control characters, at most 64 bytes) gets x = i + 1. The caller wipes the shares, also after a
 * failure. FN_E_ARGUMENT; what rng returns. */
fn_err fn_share_split(const struct fn_rng *rng, const struct fn_share_set *set, uint64_t store_generation,
                      fn_ms made, const uint8_t *secret, size_t size, const char *const *holders,
                      struct fn_share *shares);

/* Encodes and signs; `signer` holds the private key of share->set.device, which is checked: FN_E_SIGNATURE
 * when not. Appends at most FN_SHARE_MOST bytes, in clear. */
fn_err fn_share_encode(const struct fn_share *share, const struct fn_signer *signer, struct fn_buf *out);
/* Strict, with the signature under the public key that the share names: the caller, or fn_share_pool_add,
 * compares that key with the device's. FN_E_FORMAT, FN_E_VERSION, FN_E_TRUNCATED, FN_E_TRAILING,
 * FN_E_TOO_LARGE, FN_E_SM2_POINT, FN_E_SIGNATURE. On failure *share is wiped. */
fn_err fn_share_decode(struct fn_share *share, struct fn_bytes encoded);

/* What stands in clear on a sealed share, so that the right one is found without opening any; it is compared
 * with the contents when the share is opened. */
struct fn_share_label {
    enum fn_share_kind kind;
    char serial[FN_SERIAL_TEXT + 1];
    struct fn_uuid set;
    uint32_t generation;
    uint8_t x;
    uint8_t recipient[32]; /* SM3 of the holder's encryption key, x ‖ y */
};

/* Appends the encoded share encrypted (SM2) to the holder's encryption key, at most FN_SHARE_SEALED_MOST
 * bytes. */
fn_err fn_share_seal(const struct fn_rng *rng, const struct fn_sm2_public *holder,
                     const struct fn_share *share, struct fn_bytes encoded, struct fn_buf *out);
/* Strict; the label is not to be trusted before the share is opened. Same errors as decode. */
fn_err fn_share_label_read(struct fn_share_label *label, struct fn_bytes sealed);
/* Decrypts and decodes. FN_E_DEVICE_SHARE when it is sealed to another key or its label is not its own;
 * FN_E_SM2_CIPHERTEXT when altered; decode's errors. On failure *share is wiped. */
fn_err fn_share_open(struct fn_share *share, const struct fn_sm2_private *holder, struct fn_bytes sealed);

/* Collects shares of one set until m are there. Secret: keep it in locked memory, wipe it with
 * fn_share_pool_wipe. */
struct fn_share_pool {
    struct fn_share_set
        set; /* what is expected; m and n 0 until the first share came, when not known before */
    uint64_t store_generation; /* highest on any share that came */
    uint8_t check[32];
    uint8_t size, count;
    uint8_t shares[255][FN_SHARE_SECRET_MOST + 1];
};

/* `expected` says which set is asked for: kind, serial, device key, uuid and generation all count. */
void fn_share_pool_start(struct fn_share_pool *pool, const struct fn_share_set *expected);
/* Takes a decoded share; every refusal leaves the pool as it was. FN_E_DEVICE_SHARE with a detail: of another
 * kind, device or line, of an older generation (superseded by a reshare) or of a newer one (then the store at
 * hand is the old one), or at odds with the shares before. FN_E_EXISTS for a share that is there already.
 * FN_E_DEVICE_QUORUM is not an error of this function: see fn_share_pool_missing. */
fn_err fn_share_pool_add(struct fn_share_pool *pool, const struct fn_share *share);
/* How many are still needed; 0 means that combine may be called. Before the first share m is taken from the
 * expected set, 2 when that is unknown. */
unsigned fn_share_pool_missing(const struct fn_share_pool *pool);
/* The secret; *size its length. FN_E_DEVICE_QUORUM with fewer than m; FN_E_DEVICE_SHARE when the check value
 * does not match, with `secret` wiped. The pool is not changed. */
fn_err fn_share_pool_combine(const struct fn_share_pool *pool, uint8_t secret[FN_SHARE_SECRET_MOST],
                             size_t *size);
/* FN_E_DEVICE_STORE_OLD when a share that came was made at a later generation of the store than the one at
 * hand: an old copy of the store was put back. */
fn_err fn_share_pool_store_check(const struct fn_share_pool *pool, uint64_t store_generation);
void fn_share_pool_wipe(struct fn_share_pool *pool);

#endif
