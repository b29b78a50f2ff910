/* Inside the cryptographic device: what its files share. One struct fn_device for the process; one struct
 * fn_work for each worker thread, which owns its connections and their sessions, so that neither needs a
 * lock. */
#ifndef FN_DEVICE_DEVICE_H
#define FN_DEVICE_DEVICE_H

#include "base/core/clock.h"
#include "base/core/text.h"
#include "crypto/rng/rng.h"
#include "crypto/sm2/sm2.h"
#include "crypto/sm3/sm3.h"
#include "crypto/sm4/sm4.h"
#include "device/arena.h"
#include "device/protocol.h"
#include "device/store.h"
#include "policy/policy.h"
#include <openssl/types.h>
#include <pthread.h>
#include <stdatomic.h>

#define FN_NAME_MOST     64u /* tenant, application, label */
#define FN_FIELDS_MOST   8u
#define FN_PASSWORD_MOST 255u
#define FN_RETRY_MOST    8u /* wrong access passwords until the key locks (GM/T 0030 5.3.4) */
#define FN_USES_STEP     (1ull << 20)
#define FN_USES_DUE      (1ull << 31)
#define FN_USES_MOST     (1ull << 32)
#define FN_TENANT_DEVICE "" /* owner of the device's own keys; no client can have it */

struct fn_device_options {
    const char *directory, *socket, *management;
    const char *unattended_key; /* NULL: shares */
    unsigned threads;           /* 0: one for each core */
    long uid;                   /* -1: stay */
    bool full_self_test;        /* everything before service opens */
};

/* Who a connection is: fixed at accept by uid. Entries live as long as the device. */
struct fn_identity {
    struct fn_identity *next;
    uint32_t uid;
    char tenant[FN_NAME_MOST + 1], application[FN_NAME_MOST + 1];
    uint8_t client[16];      /* SM3(tenant ‖ 00 ‖ application): names remembered requests */
    uint8_t tenant_hash[16]; /* SM3(tenant) */
    bool test;               /* tenant initialised for tests: clear keys may enter */
    atomic_bool gone;
};

/* Secrets of the running device, in locked memory. */
struct fn_secrets {
    uint8_t root[32];
    struct fn_gcm_key wrap;   /* key records */
    struct fn_hmac_key log;   /* chain of the device's log */
    struct fn_hmac_key check; /* checks of shares and sealed blobs */
};

/* Uses of a key that are reserved in the store and not yet spent. */
struct fn_uses {
    struct fn_uses *next;
    struct fn_uuid uuid;
    uint32_t version;
    pthread_mutex_t mutex;  /* held while reserving more */
    _Atomic int64_t left;   /* of the reservation */
    _Atomic uint64_t taken; /* reserved so far, as in the store */
};

struct fn_key_secret {
    uint8_t raw[64];
    uint32_t n;
    struct fn_sm2_private sm2;
    struct fn_gcm_key gcm;
    struct fn_hmac_key hmac;
};

/* A key in clear, shared by threads, counted. */
struct fn_key {
    _Atomic uint32_t refs;
    struct fn_uuid uuid;
    uint32_t version;
    uint16_t key_class, alg;
    uint32_t usage;
    uint8_t state, source, origin;
    bool external, volatile_key;
    bool password; /* private use needs the access right */
    bool device;   /* the device's own */
    uint8_t half;  /* 0xff: no index */
    uint32_t index;
    int64_t created;
    char tenant[FN_NAME_MOST + 1], owner[FN_NAME_MOST + 1];
    char *applications; /* heap, comma-separated; NULL for none */
    char label[FN_NAME_MOST + 1];
    struct fn_sm2_public pub; /* SM2 */
    uint8_t *public_key;      /* heap, as KEY_PUBLIC gives it */
    size_t public_n;
    EVP_PKEY *pkey;               /* RSA, P-256 */
    struct fn_key_secret *secret; /* locked memory; NULL in public keys */
    _Atomic(struct fn_uses *) uses; /* set once, by whoever uses it first */
    struct fn_key *hash_next, *older, *newer;
};

/* Head of a key: what all its versions share. */
struct fn_key_head {
    struct fn_uuid uuid;
    uint32_t current; /* version */
    uint16_t key_class, alg;
    uint32_t usage;
    bool destroyed;
    int64_t created;
    char tenant[FN_NAME_MOST + 1], owner[FN_NAME_MOST + 1], label[FN_NAME_MOST + 1];
    char applications[1024];
    uint8_t half; /* 0xff: none */
    uint32_t index;
    uint32_t iterations; /* 0: no access password */
    uint8_t salt[16], verifier[32];
};

struct fn_keys; /* the cache */
struct fn_dlog;

struct fn_self_test {
    atomic_int algorithms, random, keys, service; /* 0 not run, 1 good, 2 bad */
    atomic_llong at_ms;
    char detail[200];
};

struct fn_device {
    struct fn_device_options options;
    const struct fn_files *files;
    atomic_int state; /* enum fn_device_state */
    struct fn_uuid boot;
    char serial[17]; /* 16 digits: date, batch, number (GB/T 33560) */
    bool unattended, separation_weak, confined_seccomp, confined_landlock, stop_verify, secure_heap_locked;
    int64_t started_ms, open_ms;
    struct fn_share_pool *shares; /* brought for unlocking so far */
    uint8_t *next_root;           /* handed out by reshare.begin; locked memory */
    struct fn_buf key_file;       /* of unattended start; locked memory */
    pthread_rwlock_t life_lock;   /* written while the device is initialised or its root changes */
    struct fn_secrets *secrets;   /* NULL until unlocked */
    struct fn_device_store *store;
    struct fn_device_store_report store_report;
    uint64_t generation_before; /* of a restored device: the generation of its backup */
    uint64_t generation_noted;  /* last written to DIR/generation */
    int64_t generation_noted_ms;
    bool store_old; /* a statement showed it: no service with this store */
    struct fn_keys *keys;
    struct fn_dlog *log;
    struct fn_key *sign, *encrypt; /* index 0 */
    uint8_t sign_z[32];
    struct fn_self_test test;

    pthread_mutex_t clients_mutex;
    struct fn_identity *clients;
    atomic_uint clients_version;

    pthread_mutex_t claims_mutex;
    struct fn_claim *claims[1024];
    pthread_mutex_t remember_mutex;
    struct fn_remembered *remembered_first, *remembered_last;

    atomic_bool stopping;
    atomic_uint acts;           /* changes under way */
    atomic_bool retries_unkept; /* the last count of wrong passwords did not get into the store */
    atomic_ullong operations, refusals, connections, strangers, sessions;
    unsigned connections_most;
    int service_fd, management_fd;
    struct fn_work *workers;
    unsigned workers_count;
};

/* ---- requests ---- */
struct fn_work;
struct fn_conn;
struct fn_session;
struct fn_pending;

struct fn_wire {
    uint64_t n;        /* B H W Q */
    struct fn_bytes b; /* U D v k: into the frame */
};
struct fn_item {
    struct fn_request *request;
    struct fn_wire f[FN_FIELDS_MOST];
    struct fn_key *key; /* of the first k; held until the turn ends */
    fn_err status;
    struct fn_buf out; /* what follows the status */
};
struct fn_request {
    struct fn_request *next;
    struct fn_work *work;
    struct fn_conn *conn;
    struct fn_session *session;
    const struct fn_identity *who;
    const struct fn_operation *op;
    uint8_t id[FN_DEVICE_ID_SIZE];
    uint32_t session_id, retry_ms;
    uint16_t number, count;
    fn_err status;
    char detail[FN_ERR_DETAIL];
    struct fn_item *items;
    bool waiting; /* answered later, by a completion */
};

/* Runs n items of one operation. Failures stand in the items. */
typedef void fn_run(struct fn_work *w, struct fn_item **items, size_t n);
/* The kernel of an operation; defined by the row's name in operation files. */
#define FN_OP(number, name, request, response, usage, policy, flags) fn_run fn_run_##name;
FN_DEVICE_OPERATIONS
#undef FN_OP
fn_run *fn_kernel(uint16_t operation);

/* What kernels may use of their thread. */
struct fn_work_base {
    struct fn_device *device;
    const struct fn_rng *rng;
    struct fn_arena arena;
};
struct fn_device *fn_work_device(struct fn_work *w);
const struct fn_rng *fn_work_rng(struct fn_work *w);
struct fn_arena *fn_work_arena(struct fn_work *w);

/* Turns the failure just returned into the item's status. */
void fn_item_fail(struct fn_item *item, fn_err err);

/* ---- keys (keys.c, key_record.c) ---- */
fn_err fn_keys_open(struct fn_device *d, size_t cached_most);
void fn_keys_settle(struct fn_device *d); /* before the last commit of a stop */
void fn_keys_close(struct fn_device *d);
struct fn_key *fn_key_hold(struct fn_key *key);
void fn_key_release(struct fn_key *key); /* NULL allowed */
/* version 0: current. FN_E_KEY_NOT_FOUND, FN_E_KEY_DESTROYED. */
fn_err fn_key_get(struct fn_device *d, const struct fn_uuid *uuid, uint32_t version, struct fn_key **key);
/* By index within a tenant; index 0 is the device's pair. FN_E_KEY_INDEX. */
fn_err fn_key_get_index(struct fn_device *d, const uint8_t tenant_hash[16], uint32_t index, uint8_t half,
                        struct fn_key **key);
/* Forgets every version of a key, so that the next use reads the store. */
void fn_keys_purge(struct fn_device *d, const struct fn_uuid *uuid);
void fn_keys_count(struct fn_device *d, size_t *cached);
/* Takes `n` uses; reserves durably when the reservation is spent. FN_E_KEY_EXHAUSTED. */
fn_err fn_key_use(struct fn_device *d, struct fn_key *key, uint64_t n);
uint64_t fn_key_uses_taken(struct fn_device *d, const struct fn_key *key);
fn_err fn_key_head_read(struct fn_device *d, const struct fn_uuid *uuid, struct fn_key_head *head);
fn_err fn_key_head_write(const struct fn_key_head *head, struct fn_buf *out);
/* Takes the secret out of the record's value and prepares the key. */
fn_err fn_key_load(struct fn_device *d, const struct fn_key_head *head, struct fn_bytes value,
                   struct fn_key **key);
/* The same of a value alone; label, index, password and applications stand in the head. */
fn_err fn_key_record_open(struct fn_device *d, struct fn_bytes value, struct fn_key **key);
/* Record value: clear fields ‖ wrapped secret, under the wrap key of these secrets. */
fn_err fn_key_record(const struct fn_secrets *secrets, const struct fn_rng *rng, const struct fn_key *key,
                     struct fn_buf *out);
/* A new key of this algorithm with its secret; caller fills in the rest. The pair was tested for consistency.
 */
fn_err fn_key_generate(const struct fn_rng *rng, uint16_t alg, struct fn_key **key);
/* From a raw secret: SM4 16, HMAC 1 to 64, SM2 32 bytes, P-256 and RSA DER (RFC 5915, PKCS#1). */
fn_err fn_key_from_secret(uint16_t alg, struct fn_bytes secret, struct fn_key **key);
fn_err fn_key_secret_bytes(const struct fn_key *key, struct fn_buf *out);
/* From a public key as KEY_PUBLIC gives it. */
fn_err fn_key_from_public(uint32_t alg, struct fn_bytes public_key, struct fn_key **key);
bool fn_key_alg_known(uint32_t alg);
static inline bool fn_key_alg_symmetric(uint32_t alg)
{
    return alg == FN_ALG_SM4 || alg == FN_ALG_HMAC_SM3;
}
/* Whether the key's tenant and list of applications admit this client. */
fn_err fn_key_admits(const struct fn_key *key, const struct fn_identity *who);
bool fn_key_head_admits(const struct fn_key_head *head, const struct fn_identity *who);

void fn_name_uuid(struct fn_record_name *name, uint8_t kind, const struct fn_uuid *uuid);
void fn_name_version(struct fn_record_name *name, uint8_t kind, const struct fn_uuid *uuid, uint32_t version);
void fn_name_label(struct fn_record_name *name, const char *tenant, struct fn_bytes label);
void fn_name_index(struct fn_record_name *name, const uint8_t tenant_hash[16], uint8_t half, uint32_t index);
void fn_name_text(struct fn_record_name *name, uint8_t kind, const char *text);
/* SM3 over tenant ‖ 00 ‖ scope ‖ 00 ‖ text as the name. */
void fn_name_scoped(struct fn_record_name *name, uint8_t kind, const char *tenant, const char *scope,
                    struct fn_bytes text);

/* The public-key algorithms of libcrypto (pk.c). */
/* Before anything else asks libcrypto for memory: private numbers lie in its own heap of this size (a power
 * of two), locked where the limits allow, between guard pages and left out of dumps; what it frees elsewhere
 * is wiped. 4,096 cached RSA-3072 keys take half of FN_PK_HEAP. What libcrypto 3.0 keeps outside is said in
 * docs/architecture.md 8. */
#define FN_PK_HEAP       ((size_t)16 << 20) /* a power of two */
#define FN_PK_HEAP_LEAST ((size_t)1 << 20)
fn_err fn_pk_heap(size_t size, bool *locked);
fn_err fn_pk_generate(struct fn_key *key, struct fn_buf *secret);
fn_err fn_pk_load_secret(struct fn_key *key, struct fn_bytes secret);
fn_err fn_pk_load_public(struct fn_key *key, struct fn_bytes public_key);
fn_err fn_pk_sign(const struct fn_key *key, const uint8_t digest[32], struct fn_buf *out);
fn_err fn_pk_verify(const struct fn_key *key, const uint8_t digest[32], struct fn_bytes signature);
fn_err fn_pk_encrypt(const struct fn_key *key, struct fn_bytes data, struct fn_buf *out);
fn_err fn_pk_decrypt(const struct fn_key *key, struct fn_bytes data, struct fn_buf *out);
fn_err fn_pk_raw(const struct fn_key *key, bool private_key, struct fn_bytes data, struct fn_buf *out);
void fn_pk_free(struct fn_key *key);

/* SM2 as C1 ‖ C3 ‖ C2, RSA as one block: the public-key encryption of every operation that needs one. */
fn_err fn_key_encrypt(const struct fn_key *key, const struct fn_rng *rng, struct fn_bytes data,
                      struct fn_buf *out);
fn_err fn_key_decrypt(const struct fn_key *key, struct fn_bytes data, struct fn_buf *out);

/* ---- sessions (session.c) ---- */
struct fn_multi;
struct fn_agreement;
struct fn_deferred;
struct fn_session {
    struct fn_session *next;
    uint32_t id;
    bool busy; /* a state-changing request is under way: later ones wait */
    struct fn_deferred *first, *last;
    struct fn_session *resume_next; /* of those whose deferred requests go on in the next turn */
    struct fn_key **keys;
    uint64_t *handles;
    size_t keys_room, keys_count;
    struct fn_uuid *rights;
    size_t rights_room, rights_count;
    struct fn_multi *parts[FN_PART_KINDS];
    struct fn_agreement *agreements;
    size_t agreements_count;
};
void fn_session_free(struct fn_session *s);
/* Makes a session key of raw bytes; takes over nothing. */
fn_err fn_session_key_new(struct fn_work *w, struct fn_session *s, struct fn_bytes raw, uint16_t key_class,
                          uint64_t *handle);
fn_err fn_session_key_find(const struct fn_session *s, uint64_t handle, struct fn_key **key);
bool fn_session_has_right(const struct fn_session *s, const struct fn_uuid *uuid);
/* The session's own handle number space is per boot and cannot be guessed. */

/* Resolves a key reference for a request: finds it, checks tenant and applications. */
fn_err fn_request_key(struct fn_request *rq, struct fn_bytes reference, struct fn_key **key);
/* The checks of an operation on a key: usage bit, policy, state, access right, use count. */
fn_err fn_request_permits(struct fn_request *rq, const struct fn_operation *op, struct fn_key *key);

/* ---- changes of durable state (change.c) ---- */
struct fn_claim {
    struct fn_claim *next;
    struct fn_record_name name;
};
#define FN_PENDING_CLAIMS 6u

/* One state-changing act: claims the names it changes, collects its changes, commits them and answers. */
struct fn_pending {
    struct fn_pending *next; /* in the worker's queue of completions */
    struct fn_work *work;    /* NULL: committed synchronously */
    struct fn_conn *conn;
    uint32_t session_id;
    uint16_t operation;
    uint8_t id[FN_DEVICE_ID_SIZE];
    struct fn_device *device;
    const struct fn_identity *who;
    struct fn_claim claims[FN_PENDING_CLAIMS];
    unsigned claims_count;
    struct fn_change *changes; /* heap */
    size_t changes_room, changes_count;
    bool remember, counted;
    struct fn_buf answer; /* heap: the item after its status */
    fn_err status, final; /* of the commit; what to answer when it succeeded */
    char detail[FN_ERR_DETAIL];
    fn_err (*after)(struct fn_work *w,
                    struct fn_pending *p); /* after the commit, before the answer; may be NULL */
    struct fn_uuid purge[2];               /* keys to forget after the commit */
    unsigned purge_count;
    struct fn_uuid uuid;
    uint32_t version;
};
fn_err fn_pending_new(struct fn_device *d, struct fn_pending **p);
void fn_pending_free(struct fn_pending *p);
/* FN_E_DEVICE_BUSY while another act changes this name. */
fn_err fn_pending_claim(struct fn_pending *p, const struct fn_record_name *name);
fn_err fn_pending_put(struct fn_pending *p, const struct fn_record_name *name, struct fn_bytes value);
fn_err fn_pending_remove(struct fn_pending *p, const struct fn_record_name *name);
/* Commits now and waits. Frees nothing. */
fn_err fn_pending_commit(struct fn_pending *p);
/* Begins a state-changing request: answers a repeat from the store (*p NULL and the item's out filled). */
fn_err fn_change_begin(struct fn_item *item, struct fn_pending **p);
/* Hands the act over: the request is answered when it is durable. item->out is the answer. */
fn_err fn_change_submit(struct fn_item *item, struct fn_pending *p);
/* Both, around an act that fills in the changes and the answer. */
void fn_change_run(struct fn_work *w, struct fn_item *item,
                   fn_err (*what)(struct fn_work *w, struct fn_item *item, struct fn_pending *p));
/* On the worker's thread after a completion: true when it must still wait (a second commit). */
bool fn_change_done(struct fn_work *w, struct fn_pending *p);
/* Drops remembered results older than ten minutes. */
void fn_change_prune(struct fn_device *d);
fn_err fn_change_open(struct fn_device *d);
void fn_change_close(struct fn_device *d);

/* ---- key acts shared by protocol and management (key_act.c) ---- */
struct fn_key_spec {
    uint16_t key_class, alg;
    uint32_t usage;
    struct fn_bytes label, applications;
    const char *tenant, *owner;
    uint8_t tenant_hash[16];
    uint8_t half; /* 0xff: none */
    uint32_t index;
    struct fn_bytes password;       /* empty: none */
    const struct fn_key_head *like; /* has the same access password as this key; NULL */
    uint8_t origin;                 /* 0 generated here, 1 imported */
};
/* Fills a pending act with the records of a new key. `key` carries the secret. */
fn_err fn_key_act_new(struct fn_device *d, const struct fn_rng *rng, const struct fn_key_spec *spec,
                      struct fn_key *key, struct fn_pending *p);
fn_err fn_key_act_rotate(struct fn_device *d, const struct fn_rng *rng, const struct fn_uuid *uuid,
                         const char *tenant, const char *owner, struct fn_pending *p, struct fn_key **made);
/* version 0: all. tenant NULL: any (management). */
fn_err fn_key_act_destroy(struct fn_device *d, const struct fn_rng *rng, const struct fn_uuid *uuid,
                          uint32_t version, const char *tenant, const char *owner, struct fn_pending *p);
fn_err fn_key_statement(struct fn_device *d, const struct fn_rng *rng, const struct fn_uuid *uuid,
                        uint32_t version, struct fn_buf *statement, uint8_t signature[64]);
/* JSON array of the keys that `who` may use (NULL: all), of one tenant (NULL: every). */
fn_err fn_keys_list(struct fn_device *d, const struct fn_identity *who, const char *tenant,
                    const uint8_t after[16], uint32_t limit, struct fn_buf *out);
fn_err fn_key_json(struct fn_device *d, const struct fn_key_head *head, struct fn_buf *out);
void fn_password_verifier(struct fn_bytes password, const uint8_t salt[16], uint32_t iterations,
                          uint8_t out[32]);

/* Signature by the device's signing key over SM3(Z ‖ statement). */
fn_err fn_device_sign(struct fn_device *d, const struct fn_rng *rng, struct fn_bytes statement,
                      uint8_t signature[64]);

/* ---- clients (clients.c) ---- */
fn_err fn_clients_open(struct fn_device *d);
void fn_clients_close(struct fn_device *d);
const struct fn_identity *fn_client_find(struct fn_device *d, uint32_t uid);
fn_err fn_client_put(struct fn_device *d, uint32_t uid, const char *tenant, const char *application,
                     bool test);
fn_err fn_client_remove(struct fn_device *d, uint32_t uid);
/* Whether any client belongs to a test tenant. */
bool fn_clients_test(struct fn_device *d);
fn_err fn_clients_json(struct fn_device *d, struct fn_buf *out);

/* ---- life (life.c) ---- */
fn_err
fn_life_open(struct fn_device *d); /* at start: finds the state, opens the store when the root is at hand */
void fn_life_close(struct fn_device *d);
/* Reads (or, before initialisation, makes) the key file of unattended start; as root, before the uid changes.
 */
fn_err fn_life_key_file(struct fn_device *d);
fn_err fn_life_locked_json(struct fn_device *d, struct fn_buf *out);
/* Opens the store and all that stands on it with this root. */
fn_err fn_life_unlock(struct fn_device *d, const uint8_t root[32]);
void fn_life_exception(struct fn_device *d, const char *why);
const char *fn_state_name(int state);

/* ---- freshness of the store (freshness.c) ---- */
/* Of the store, over restores: grows with every commit, is in every statement. */
uint64_t fn_device_generation(const struct fn_device *d);
fn_err fn_generation_open(struct fn_device *d);
/* Puts the record by which a restored device goes on from its backup's generation. */
fn_err fn_generation_follow(struct fn_device *d, struct fn_pending *p, uint64_t generation);
/* Writes DIR/generation when it is time, or now. */
void fn_generation_note(struct fn_device *d, bool now);
/* At start: FN_E_DEVICE_STORE_OLD when DIR/generation or a refused statement knows of a later store. */
fn_err fn_generation_check(struct fn_device *d);
fn_err fn_device_verify(const struct fn_device *d, struct fn_bytes statement, const uint8_t signature[64]);
struct fn_anchor_receipt {
    const char *tenant;
    struct fn_bytes owner, name;
    uint64_t counter;
    uint8_t digest[32], challenge[32], signature[64];
};
/* FN_E_SIGNATURE; FN_E_DEVICE_STORE_OLD when the anchor here is absent, behind, or another at the same
 * counter. */
fn_err fn_anchor_receipt_check(struct fn_device *d, const struct fn_anchor_receipt *r);

/* ---- self-tests (self_test.c) ---- */
fn_err fn_self_test_algorithms(void);
fn_err fn_self_test_random(const struct fn_rng *rng);
fn_err fn_self_test_pair(struct fn_device *d, const struct fn_rng *rng);
/* All that opening service demands. */
fn_err fn_self_test_power_on(struct fn_device *d);
fn_err fn_self_test_keys(struct fn_device *d);
void *fn_self_test_thread(void *device);
/* Everything, on demand. */
fn_err fn_self_test_all(struct fn_device *d);

/* ---- log (log.c) ---- */
fn_err fn_dlog_open(struct fn_device *d);
void fn_dlog_close(struct fn_device *d);
/* Nothing more is written, neither to the log nor of it to the store: the store is not the right one. */
void fn_dlog_abandon(struct fn_device *d);
/* Appends one record: {"ev":event,…}. `who` may be NULL; `more` is further members without braces, or NULL.
 */
void fn_dlog_event(struct fn_device *d, const struct fn_identity *who, const char *event, const char *object,
                   fn_err result, const char *more);
void fn_dlog_refusal(struct fn_device *d, const struct fn_identity *who, const char *operation,
                     fn_err result);
/* Makes what was written durable and puts the head into the store. */
void fn_dlog_settle(struct fn_device *d);
/* Every frame from the first. FN_E_CORRUPT names the record. */
fn_err fn_dlog_verify(struct fn_device *d, uint64_t *records);
void fn_dlog_figures(struct fn_device *d, uint64_t *records);

/* ---- randomness (random.c) ---- */
fn_err fn_device_random_open(void);
void fn_device_random_close(void);
/* Safe for threads: each has a generator of its own behind it. */
const struct fn_rng *fn_device_rng(void);
/* Starts all sources again, also those that failed. */
fn_err fn_device_random_recheck(void);
/* Bits of the noise sources that work now; their names. */
uint8_t fn_device_random_source(void);
fn_err fn_device_random_names(uint8_t bits, struct fn_buf *out);
bool fn_device_random_degraded(void);

/* ---- server, management, confinement ---- */
/* Sockets and workers, before the process is confined; then service until stopped or a signal. */
fn_err fn_server_open(struct fn_device *d);
fn_err fn_server_run(struct fn_device *d, int signals);
/* Ends connections and workers; no change is under way any more. */
void fn_server_end(struct fn_device *d);
fn_err fn_status_json(struct fn_device *d, bool management, struct fn_buf *out);
struct fn_manage_session;
fn_err fn_manage(struct fn_device *d, struct fn_manage_session *session, struct fn_bytes verb,
                 struct fn_bytes body, struct fn_buf *out);
/* Before the first secret is read: no core files, not dumpable, locked memory as far as it goes. */
fn_err fn_confine_first(void);
fn_err fn_confine(struct fn_device *d);
void fn_device_stop(struct fn_device *d);

#endif
