/* What the room needs of a cryptographic device: vectors of fields under a named key, HMAC vectors, random
 * bytes, keys by label, anchors. The device stands behind it (cipher_device.h); tests put software there.
 * Work is asynchronous: start, do something else, finish. Jobs of one cipher are finished in the order in
 * which they were started. One thread at a time. */
#ifndef FN_DATA_CIPHER_H
#define FN_DATA_CIPHER_H

#include "base/core/bytes.h"
#include "base/core/text.h"
#include "data/field.h"

enum fn_cipher_work { FN_CIPHER_SEAL, FN_CIPHER_OPEN, FN_CIPHER_MAC };

/* A key and the version to use. Sealing with suite 1 uses the current version and tells it; everything else
 * uses this one. */
struct fn_data_key {
    struct fn_uuid uuid;
    uint32_t version;
};

struct fn_cipher_item {
    struct fn_bytes aad;   /* SEAL, OPEN */
    struct fn_bytes in;    /* SEAL: clear; OPEN: ciphertext; MAC: message */
    uint32_t key_version;  /* OPEN: of the field; SEAL out: the version that was used */
    struct fn_bytes nonce; /* OPEN in, SEAL out */
    struct fn_bytes tag;   /* OPEN in, SEAL out; MAC out: 32 bytes */
    struct fn_bytes out;   /* SEAL: ciphertext; OPEN: clear */
    fn_err result;         /* OPEN: FN_OK or FN_E_TAG; any failure of one item */
};

/* Set up by the caller, who keeps it and what its items point to until fn_cipher_done. Views in the items are
 * valid until then. */
struct fn_cipher_job {
    enum fn_cipher_work work;
    enum fn_suite suite;        /* SEAL, OPEN */
    struct fn_data_key key;     /* SEAL, OPEN: data-storage key; MAC: the MAC key */
    struct fn_data_key mac_key; /* suite 2: the MAC key of fields */
    size_t count;
    struct fn_cipher_item *items;
    void *state; /* the cipher's */
};

struct fn_cipher {
    void *self;
    /* Begins the work. After a failure there is nothing to finish. */
    fn_err (*start)(void *self, struct fn_cipher_job *job);
    /* Waits for it. Failures of the whole job (device lost, busy beyond patience, key refused) are returned,
     * failures of single items stand in them. */
    fn_err (*finish)(void *self, struct fn_cipher_job *job);
    /* Frees what the outputs lie in, wiped; a job that was started and not finished is given up. Idempotent.
     */
    void (*done)(void *self, struct fn_cipher_job *job);
    fn_err (*random)(void *self, void *out, size_t n);
    /* Key by label, current version; made when absent and `create`. FN_E_KEY_NOT_FOUND. */
    fn_err (*key)(void *self, const char *label, enum fn_data_key_kind kind, bool create,
                  struct fn_data_key *key);
    /* FN_E_NOT_FOUND when there is none. */
    fn_err (*anchor_get)(void *self, const char *name, uint64_t *counter, uint8_t digest[32]);
    /* expected 0: the anchor must be absent. FN_E_ANCHOR_OLD when it is not at `expected`. Durable on return.
     */
    fn_err (*anchor_set)(void *self, const char *name, uint64_t expected, uint64_t counter,
                         const uint8_t digest[32]);
    void (*close)(void *self);
};

static inline fn_err fn_cipher_start(const struct fn_cipher *c, struct fn_cipher_job *job)
{
    return c->start(c->self, job);
}
static inline fn_err fn_cipher_finish(const struct fn_cipher *c, struct fn_cipher_job *job)
{
    return c->finish(c->self, job);
}
static inline void fn_cipher_done(const struct fn_cipher *c, struct fn_cipher_job *job)
{
    c->done(c->self, job);
}
/* Start and finish. */
fn_err fn_cipher_run(const struct fn_cipher *c, struct fn_cipher_job *job);
/* One HMAC. */
fn_err fn_cipher_mac(const struct fn_cipher *c, const struct fn_data_key *key, struct fn_bytes message,
                     uint8_t mac[32]);
/* Advances an anchor to (counter, digest). *stands: where it is believed to stand (0: absent), then where it
 * stands. Success when it stands there already, and when another process has moved it beyond: the caller
 * compares *stands with what it knows. FN_E_TABLE_OLD when it stands at `counter` with another digest. */
fn_err fn_cipher_anchor(const struct fn_cipher *c, const char *name, uint64_t *stands, uint64_t counter,
                        const uint8_t digest[32]);

#endif
