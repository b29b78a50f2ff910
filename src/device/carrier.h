/* What an administrator carries: a signing key to log in with, an encryption key that shares are sealed to,
 * and the sealed shares. struct fn_carrier is the seam; the soft token, a file under a passphrase, is one
 * side of it, a smart token over SKF can be another. The bytes are specified in docs/formats/share.md. No
 * I/O: files come and go as bytes. */
#ifndef FN_DEVICE_CARRIER_H
#define FN_DEVICE_CARRIER_H

#include "device/share.h"

/* Roles of GB/T 33560 (numbers) and GM/T 0030. */
enum fn_device_role {
    FN_ROLE_SUPER = 1,       /* 超级管理员: administrators, policy, initialisation, backup, shares */
    FN_ROLE_BUSINESS = 2,    /* 业务管理员: keys, KEKs, configuration */
    FN_ROLE_AUDIT_ADMIN = 3, /* 审计管理员: auditors */
    FN_ROLE_AUDITOR = 4,     /* 审计员 */
    FN_ROLE_OPERATOR = 5,    /* 操作员: start, stop, access passwords */
};

/* Who holds a carrier; public. */
struct fn_holder {
    char name[FN_HOLDER_MOST + 1];
    enum fn_device_role role;
    struct fn_sm2_public sign, encrypt;
};

/* ---- login ---- */

#define FN_LOGIN_BYTES    104u
#define FN_LOGIN_VALID_MS 120000

/* A challenge of the device: made once, answered once, forgotten. `subject` is what the signature approves:
 * zero for a login, otherwise the SM3 of the request (fn_login_subject), so that an approval fits that
 * request alone. */
struct fn_login {
    uint8_t random[32];
    char serial[FN_SERIAL_TEXT + 1];
    fn_ms made;
    enum fn_device_role role;
    uint8_t subject[32];
};
/* SM3(verb ‖ 00 ‖ body). The verb contains no zero byte. */
void fn_login_subject(struct fn_bytes verb, struct fn_bytes body, uint8_t subject[32]);
/* subject may be NULL: a login. FN_E_ARGUMENT; what rng returns. */
fn_err fn_login_make(struct fn_login *login, const struct fn_rng *rng, const char *serial, fn_ms now,
                     enum fn_device_role role, const uint8_t *subject);
/* "fengni login 1" ‖ 00 ‖ random ‖ serial ‖ made ‖ role ‖ subject. */
void fn_login_bytes(const struct fn_login *login, uint8_t out[FN_LOGIN_BYTES]);
/* Strict: FN_E_FORMAT, FN_E_TRUNCATED, FN_E_TRAILING. */
fn_err fn_login_read(struct fn_login *login, struct fn_bytes bytes);
/* Whether `signature` answers this challenge, made by the device itself, at time `now`. FN_E_DEVICE_ROLE when
 * the holder has another role, FN_E_TIMEOUT outside of two minutes after `made`, FN_E_SIGNATURE. */
fn_err fn_login_verify(const struct fn_login *login, fn_ms now, const struct fn_holder *holder,
                       const uint8_t signature[64]);

/* ---- the seam ---- */

struct fn_carrier {
    void *self;
    struct fn_holder holder;
    /* Signs a challenge (bytes of fn_login_bytes): SM2 over SM3(Z ‖ bytes), default identifier. Refuses other
     * bytes and other roles (FN_E_DEVICE_ROLE): the key signs nothing else. */
    fn_err (*authenticate)(void *self, struct fn_bytes challenge, uint8_t signature[64]);
    /* Keeps a sealed share, in the place of an older one of the same kind and device. */
    fn_err (*keep)(void *self, struct fn_bytes sealed);
    /* Appends the sealed share of this kind and device; FN_E_NOT_FOUND. */
    fn_err (*fetch)(void *self, enum fn_share_kind kind, const char *serial, struct fn_buf *sealed);
    /* Opens a share sealed to this holder (fn_share_open). */
    fn_err (*open)(void *self, struct fn_bytes sealed, struct fn_share *share);
};

/* ---- passphrases ---- */

#define FN_PASSPHRASE_LEAST 14u  /* characters (Unicode code points) */
#define FN_PASSPHRASE_MOST  256u /* bytes */

/* The form of a passphrase that keys are made from: a phrase of eight generated words in lower case with one
 * space between words; anything else byte for byte. *n its length, at most FN_PASSPHRASE_MOST.
 * FN_E_PASSPHRASE_WEAK for fewer than 14 characters, FN_E_TOO_LARGE, FN_E_ENCODING unless UTF-8,
 * FN_E_ARGUMENT for control characters. Secret: wipe `out`. */
fn_err fn_passphrase_read(struct fn_bytes typed, uint8_t out[FN_PASSPHRASE_MOST], size_t *n);

/* ---- the soft token ---- */

#define FN_SOFT_TOKEN_ITERATIONS      (1u << 21) /* of PBKDF2-HMAC-SM3; about a second */
#define FN_SOFT_TOKEN_ITERATIONS_MOST (1u << 24) /* what opening agrees to compute */
#define FN_SOFT_TOKEN_SHARES_MOST     16u
#define FN_SOFT_TOKEN_MOST            18432u /* bytes of a file */

/* Makes a file for a new holder: two new key pairs under the passphrase. iterations at least
 * FN_SOFT_TOKEN_ITERATIONS; tests pass fewer. Appends to `file`; *holder receives what the device registers.
 * FN_E_PASSPHRASE_WEAK, FN_E_ARGUMENT, what rng returns. */
fn_err fn_soft_token_make(const struct fn_rng *rng, const char *name, enum fn_device_role role,
                          struct fn_bytes passphrase, uint32_t iterations, struct fn_buf *file,
                          struct fn_holder *holder);
/* Who it belongs to and how many shares are in it, without the passphrase and therefore unproven. Strict; the
 * errors of share.h. `shares` may be NULL. */
fn_err fn_soft_token_read(struct fn_bytes file, struct fn_holder *holder, size_t *shares);
/* The i-th sealed share of a file, a view into it. FN_E_NOT_FOUND past the last. */
fn_err fn_soft_token_share(struct fn_bytes file, size_t i, struct fn_bytes *sealed);
/* Writes the file with the share put in, no passphrase needed: it replaces an older one of the same kind and
 * device. FN_E_DEVICE_SHARE when sealed to another holder or older than the one there; FN_E_TOO_LARGE with 16
 * others. `out` is not the file's own buffer. */
fn_err fn_soft_token_put(struct fn_bytes file, struct fn_bytes sealed, struct fn_buf *out);
/* The same token under a new passphrase, with a new salt; the old file still opens with the old one.
 * `least` as in open. */
fn_err fn_soft_token_change(const struct fn_rng *rng, struct fn_bytes file, struct fn_bytes old_passphrase,
                            struct fn_bytes passphrase, uint32_t iterations, uint32_t least,
                            struct fn_buf *out);

/* An opened token. Secret. `file` holds the current file: write it out when `changed`. */
struct fn_soft_token {
    struct fn_holder holder;
    struct fn_sm2_private sign, encrypt;
    const struct fn_rng *rng;
    bool changed;
    size_t size;
    uint8_t file[FN_SOFT_TOKEN_MOST];
};
/* FN_E_PASSPHRASE for a wrong passphrase or an altered file, which cannot be told apart; FN_E_FORMAT for less
 * than `least` iterations (FN_SOFT_TOKEN_ITERATIONS but in tests) or more than is agreed. Takes seconds: not
 * on a thread that serves. rng must outlive the token. On failure the token is wiped. */
fn_err fn_soft_token_open(struct fn_soft_token *token, const struct fn_rng *rng, struct fn_bytes file,
                          struct fn_bytes passphrase, uint32_t least);
/* The token as a carrier; it must outlive it. */
struct fn_carrier fn_soft_token_carrier(struct fn_soft_token *token);
void fn_soft_token_wipe(struct fn_soft_token *token);

#endif
