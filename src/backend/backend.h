/* Inside of fengni-backend: the device protocol over a vendor's SDF library. One thread for each connection,
 * because the library's calls block; one vendor session for each session of the protocol. What the library
 * lacks is made of what it has where that keeps keys in the vendor's device (stored keys wrapped under its
 * KEK, anchors in a sealed store of our own), and refused with FN_E_DEVICE_CANNOT otherwise. */
#ifndef FN_BACKEND_BACKEND_H
#define FN_BACKEND_BACKEND_H

#include "backend/vendor.h"
#include "base/core/text.h"
#include "device/server.h"
#include "device/store.h"

#define FN_BACKEND_CLIENTS 64u

struct fn_backend_client {
    uint32_t uid;
    char tenant[65], application[65];
};

struct fn_backend_options {
    const char *library, *socket, *directory;
    const struct fn_profile *profile;
    uint32_t kek;         /* index of the KEK that wraps stored keys */
    uint32_t sign;        /* index of the key pair that signs anchors and statements; 0: none */
    const char *password; /* file with its access password; NULL: none is needed */
    bool test_tenant;     /* clear keys may enter */
    struct fn_backend_client clients[FN_BACKEND_CLIENTS];
    size_t clients_count;
};

struct fn_backend {
    struct fn_backend_options options;
    struct fn_vendor vendor;
    struct fn_device_store *store;
    struct fn_uuid boot;
    pthread_mutex_t change; /* one change of durable state at a time */
    void *signer;           /* vendor session that signs anchors and statements */
    uint8_t signer_public[64];
    pthread_mutex_t signer_lock;
    int64_t started_ms;
};

struct fn_held_key {
    struct fn_held_key *next;
    uint64_t handle; /* of a session key; 0: a stored key brought in */
    struct fn_uuid uuid;
    uint32_t version;
    void *vendor;
    bool agreement;
};

struct fn_backend_session {
    struct fn_backend_session *next;
    uint32_t id;
    struct fn_backend *backend;
    const struct fn_backend_client *who;
    void *vendor;
    struct fn_held_key *keys;
    size_t stored; /* of keys, those brought in from the store */
    bool parts[FN_PART_KINDS];
};

/* What a key reference names. */
struct fn_named {
    enum fn_key_ref kind;
    uint32_t index, algorithm, version, usage, key_class;
    uint8_t half;
    void *vendor;      /* handle of a symmetric key */
    uint8_t point[64]; /* of an external SM2 key */
    struct fn_bytes external;
};

/* ---- sessions and keys (keys.c) ---- */
fn_err fn_backend_session_open(struct fn_backend *b, const struct fn_backend_client *who, uint32_t id,
                               struct fn_backend_session **session);
void fn_backend_session_close(struct fn_backend_session *s);
fn_err fn_backend_hold(struct fn_backend_session *s, void *vendor, bool agreement, uint64_t *handle);
/* The held one and the place it hangs at; FN_E_KEY_HANDLE. */
fn_err fn_backend_held(struct fn_backend_session *s, uint64_t handle, bool agreement,
                       struct fn_held_key ***place);
void fn_backend_drop(struct fn_backend_session *s, struct fn_held_key **place, bool destroy);
/* usage: the bit that a stored key must have. */
fn_err fn_backend_key(struct fn_backend_session *s, struct fn_bytes reference, uint32_t usage, bool protects,
                      struct fn_named *named);
/* The same for work with a symmetric key: named->vendor is set. */
fn_err fn_backend_symmetric(struct fn_backend_session *s, struct fn_bytes reference, uint32_t usage,
                            bool protects, struct fn_named *named);
fn_err fn_backend_random(struct fn_backend_session *s, void *out, size_t n);

/* ---- stored keys (stored.c) ---- */
#define FN_STORED_VERSIONS 64u
struct fn_stored_version {
    bool destroyed;
    struct fn_bytes wrapped;
};
struct fn_stored {
    struct fn_uuid uuid;
    uint16_t key_class, alg;
    uint32_t usage, current;
    int64_t created;
    struct fn_bytes tenant, owner, label, applications;
    struct fn_stored_version versions[FN_STORED_VERSIONS + 1]; /* from 1 */
};
/* `storage` holds what the views point to. FN_E_KEY_NOT_FOUND, FN_E_KEY_OWNER. */
fn_err fn_backend_stored(struct fn_backend_session *s, const struct fn_uuid *uuid, struct fn_stored *stored,
                         struct fn_buf *storage);

/* ---- operations ---- */
typedef fn_err fn_backend_run(struct fn_backend_session *s, struct fn_item *item);

/* Changes collected by a state-changing operation; committed with the remembered answer. */
struct fn_backend_changes {
    struct fn_change list[8];
    uint8_t *values[8];
    size_t count;
};
extern _Thread_local struct fn_backend_changes fn_backend_changes;
fn_err fn_backend_put(const struct fn_record_name *name, struct fn_bytes value);
fn_err fn_backend_remove(const struct fn_record_name *name);
/* r ‖ s over SM3(Z ‖ statement) by the configured key pair; FN_E_DEVICE_CANNOT when none is. */
fn_err fn_backend_sign(struct fn_backend *b, struct fn_bytes statement, uint8_t signature[64]);

struct fn_backend_operation {
    uint16_t operation;
    fn_backend_run *run;
    bool emulated;
    unsigned char needs[4], needs_count; /* functions of the library, all of them */
};
/* NULL when no backend can do it. */
const struct fn_backend_operation *fn_backend_operation(uint16_t operation);
/* "native", "emulated" or "no" */
const char *fn_backend_level(const struct fn_backend *b, uint16_t operation);

#define FN_RUN(name) fn_err fn_backend_run_##name(struct fn_backend_session *s, struct fn_item *item)
FN_RUN(info);
FN_RUN(status);
FN_RUN(capabilities);
FN_RUN(random);
FN_RUN(access_take);
FN_RUN(access_release);
FN_RUN(key_new);
FN_RUN(key_rotate);
FN_RUN(key_destroy);
FN_RUN(key_info);
FN_RUN(key_list);
FN_RUN(key_public);
FN_RUN(key_find);
FN_RUN(session_key_ipk);
FN_RUN(session_key_epk);
FN_RUN(session_key_isk);
FN_RUN(session_key_kek);
FN_RUN(session_key_kek_in);
FN_RUN(session_key_clear_in);
FN_RUN(session_key_destroy);
FN_RUN(agree_start);
FN_RUN(agree_finish);
FN_RUN(agree_respond);
FN_RUN(envelope_exchange);
FN_RUN(sign);
FN_RUN(verify);
FN_RUN(pk_encrypt);
FN_RUN(pk_decrypt);
FN_RUN(rsa_public);
FN_RUN(rsa_private);
FN_RUN(encrypt);
FN_RUN(decrypt);
FN_RUN(mac);
FN_RUN(hash);
FN_RUN(aead_encrypt);
FN_RUN(aead_decrypt);
FN_RUN(part_start);
FN_RUN(part_update);
FN_RUN(part_finish);
FN_RUN(file_create);
FN_RUN(file_read);
FN_RUN(file_write);
FN_RUN(file_delete);
FN_RUN(anchor_set);
FN_RUN(anchor_get);
FN_RUN(anchor_list);

/* ---- server ---- */
fn_err fn_backend_open(struct fn_backend *b, const struct fn_backend_options *options);
void fn_backend_close(struct fn_backend *b);
/* Until SIGTERM or SIGINT arrives at `signals` (fn_signals_open, called before any thread was made). */
fn_err fn_backend_serve(struct fn_backend *b, int signals);

/* ---- probe (probe.c) ---- */
struct fn_probe_options {
    const char *library, *profile; /* profile NULL: guess */
    uint32_t kek, key;             /* 0: not tried */
    const char *password;          /* file */
    bool json;
};
fn_err fn_backend_probe(const struct fn_probe_options *options);

#endif
