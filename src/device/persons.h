/* Administrators, their roles and what a connection of theirs may do. */
#ifndef FN_DEVICE_PERSONS_H
#define FN_DEVICE_PERSONS_H

#include "device/carrier.h"
#include "device/life.h"
#include "device/manage.h"

/* GB/T 33560 role numbers. */
enum fn_role {
    FN_ROLE_NONE = 0,
    FN_ROLE_SUPER = 1,
    FN_ROLE_BUSINESS = 2,
    FN_ROLE_AUDIT_ADMINISTRATOR = 3,
    FN_ROLE_AUDITOR = 4,
    FN_ROLE_OPERATOR = 5,
};
#define FN_ROLE_BIT(role) (1u << (role))

/* Shares that were brought so far; locked memory. */
struct fn_share_set {
    uint8_t purpose, needed;
    uint32_t generation;
    unsigned count;
    uint8_t shares[255][FN_TOKEN_SHARE];
};

/* An administrator of a request's list. */
struct fn_person {
    char name[FN_NAME_MOST + 1], passphrase[512];
    uint8_t role;
};

/* The list "administrators" of a request; *persons in locked memory. */
fn_err fn_persons_read(struct fn_manage_call *c, struct fn_person **persons, size_t *count);
/* Splits a secret among the persons who hold shares (or all, for a backup), makes their tokens, appends them to the answer as
 * "tokens", and their records to the act (NULL: none). `next` records come into force with fn_persons_promote. */
fn_err fn_persons_tokens(struct fn_manage_call *c, const struct fn_person *persons, size_t count, uint8_t purpose, uint8_t needed,
                         uint32_t generation, const uint8_t secret[32], struct fn_pending *p, bool next);
uint8_t fn_persons_holders(const struct fn_person *persons, size_t count);
fn_err fn_persons_promote(struct fn_device *d);
/* Opens "tokens" (or "token" and "passphrase") of the request and adds their shares to the set. */
fn_err fn_shares_collect(struct fn_manage_call *c, struct fn_share_set *set);
/* The secret of a full set. FN_E_DEVICE_QUORUM when there are too few. */
fn_err fn_shares_combine(const struct fn_share_set *set, uint8_t secret[32]);
/* A quorum of the root's holders is present in this request, or the device has none (unattended start). */
fn_err fn_quorum(struct fn_manage_call *c);
bool fn_persons_any(struct fn_device *d);
fn_err fn_base64_member(struct fn_manage_call *c, int object, const char *name, size_t most, struct fn_buf *out);
fn_err fn_put_base64(struct fn_buf *out, const char *name, struct fn_bytes data);

fn_manage_verb fn_verb_unlock, fn_verb_login, fn_verb_login_challenge, fn_verb_logout, fn_verb_reshare_begin, fn_verb_reshare_commit,
    fn_verb_person_list, fn_verb_backup_create, fn_verb_kek_rotate, fn_verb_kek_retire, fn_verb_import_enveloped;
fn_err fn_restore(struct fn_manage_call *c, struct fn_life_head *head, uint8_t root[32]);

#endif
