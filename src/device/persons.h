/* Administrators: who they are, what a connection of theirs may do, and the shares they bring. */
#ifndef FN_DEVICE_PERSONS_H
#define FN_DEVICE_PERSONS_H

#include "device/carrier.h"
#include "device/life.h"
#include "device/manage.h"

#define FN_ROLE_BIT(role) (1u << (role))
#define FN_PERSONS_MOST   64u

/* An administrator of a request's list, or of the store; locked memory, because of the passphrase. */
struct fn_person {
    struct fn_holder holder;
    char passphrase[FN_PASSPHRASE_MOST + 1];
    struct fn_buf file; /* the new soft token; heap */
};
struct fn_persons {
    size_t count;
    struct fn_person list[FN_PERSONS_MOST];
};

/* "administrators" of a request. With a passphrase: a new soft token is made for {name, role, passphrase}.
 * Without: the registered person of this name. */
fn_err fn_persons_read(struct fn_manage_call *c, struct fn_persons **persons);
/* All registered ones. */
fn_err fn_persons_registered(struct fn_device *d, struct fn_persons **persons);
void fn_persons_free(struct fn_persons *persons); /* NULL allowed */
static inline void fn_scoped_persons_end(struct fn_persons **p)
{
    fn_persons_free(*p);
}
#define FN_SCOPED_PERSONS __attribute__((cleanup(fn_scoped_persons_end)))
/* Those who run the device hold shares of its root; those who audit it do not. */
static inline bool fn_holds_share(const struct fn_holder *h)
{
    return h->role == FN_ROLE_SUPER || h->role == FN_ROLE_BUSINESS;
}
uint8_t fn_persons_holders(const struct fn_persons *persons, bool all);
/* Their records, for later logins. */
fn_err fn_persons_put(const struct fn_persons *persons, struct fn_pending *p);
/* Splits the secret by set (n filled in by the caller) among the holders (`all`: among everybody), and
 * appends "tokens": for a new person the file with the share in it, for a registered one the sealed share, to
 * be put into the file. */
fn_err fn_persons_hand_out(struct fn_manage_call *c, struct fn_persons *persons,
                           const struct fn_share_set *set, bool all, const uint8_t *secret, size_t size);
/* Whether an administrator of this name and role is registered now. */
bool fn_person_stands(struct fn_device *d, const char *person, int role);
bool fn_persons_any(struct fn_device *d);

/* Opens the request's "tokens" ([{token, passphrase}], or these two members themselves) and adds their shares
 * to the pool. */
fn_err fn_shares_collect(struct fn_manage_call *c, struct fn_share_pool *pool);
/* The set of root shares in force. */
fn_err fn_root_set(struct fn_device *d, const struct fn_life_head *head, struct fn_share_set *set);
/* A quorum of the root's holders is present in this request, or the root is not shared (unattended start). */
fn_err fn_quorum(struct fn_manage_call *c);

fn_err fn_base64_member(struct fn_manage_call *c, int object, const char *name, size_t most,
                        struct fn_buf *out);
fn_err fn_put_base64(struct fn_buf *out, const char *name, struct fn_bytes data);

fn_manage_verb fn_verb_unlock, fn_verb_login, fn_verb_login_challenge, fn_verb_logout, fn_verb_reshare_begin,
    fn_verb_reshare_commit, fn_verb_person_list, fn_verb_person_add, fn_verb_person_remove, fn_verb_token_put,
    fn_verb_token_change, fn_verb_phrase, fn_verb_backup_create, fn_verb_kek_rotate, fn_verb_kek_retire,
    fn_verb_import_enveloped, fn_verb_statement_check;
fn_err fn_restore(struct fn_manage_call *c, struct fn_life_head *head, uint8_t root[32]);

#endif
