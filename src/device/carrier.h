/* What an administrator carries: something that authenticates by a signature and keeps a share of a secret. A soft token is a
 * file whose content is encrypted under a passphrase; smart tokens come behind the same two functions. */
#ifndef FN_DEVICE_CARRIER_H
#define FN_DEVICE_CARRIER_H

#include "crypto/sm2/sm2.h"
#include "device/device.h"

enum fn_share_purpose { FN_SHARE_NONE = 0, FN_SHARE_ROOT = 1, FN_SHARE_BACKUP = 2 };
#define FN_TOKEN_ITERATIONS  (1u << 21) /* PBKDF2-HMAC-SM3 */
#define FN_TOKEN_PASSPHRASE  14u        /* characters at least */
#define FN_TOKEN_SHARE       33u        /* y bytes and x */

/* Clear fields, authenticated. */
struct fn_token_info {
    char serial[17], person[FN_NAME_MOST + 1];
    uint8_t role, purpose, needed, count;
    uint32_t generation;
    struct fn_sm2_public pub;
};
struct fn_token_secret {
    struct fn_sm2_private key;
    uint8_t share[FN_TOKEN_SHARE];
};

struct fn_carrier {
    /* r ‖ s over e by the person's key. */
    fn_err (*sign)(struct fn_carrier *c, const struct fn_rng *rng, const uint8_t e[32], uint8_t signature[64]);
    /* The share it keeps; FN_E_DEVICE_SHARE when it has none of this purpose. */
    fn_err (*share)(struct fn_carrier *c, uint8_t purpose, uint8_t share[FN_TOKEN_SHARE]);
    struct fn_token_info info;
    struct fn_token_secret *secret; /* of a soft token; locked memory */
};

/* A new soft token: the person's key pair is made when `secret` has none. FN_E_ARGUMENT for a short passphrase. */
fn_err fn_token_make(const struct fn_token_info *info, struct fn_token_secret *secret, struct fn_bytes passphrase,
                     const struct fn_rng *rng, struct fn_buf *out);
/* FN_E_DEVICE_LOGIN for a wrong passphrase or an altered file. Close with fn_carrier_close. */
fn_err fn_token_open(struct fn_carrier *c, struct fn_bytes token, struct fn_bytes passphrase);
void fn_carrier_close(struct fn_carrier *c);

#endif
