/* The device's own store: small records by (kind, name), each commit durable before it is acknowledged,
 * everything encrypted and authenticated at rest, safe against kill -9, torn writes and lost caches at any
 * point.
 *
 * On disk, in one 0700 directory: base.<generation> (sorted index with its MAC, then sealed values) and
 * log.<generation> (sealed commits since, chained), lock. Opening reads and checks the index and replays the
 * log; a value is decrypted and authenticated when it is read, so that a store of 10^6 keys opens in well
 * under a second. */
#ifndef FN_DEVICE_STORE_H
#define FN_DEVICE_STORE_H

#include "base/core/bytes.h"
#include "base/sys/file.h"

enum fn_record {
    FN_RECORD_META = 1,     /* name: text */
    FN_RECORD_KEY = 2,      /* name: uuid ‖ u32 version */
    FN_RECORD_KEY_HEAD = 3, /* name: uuid; current version, state, metadata */
    FN_RECORD_LABEL = 4,    /* name: SM3(tenant ‖ label) → uuid */
    FN_RECORD_INDEX = 5,    /* name: SM3(tenant) first 16 ‖ u8 half ‖ u32 index → uuid */
    FN_RECORD_FILE = 6,
    FN_RECORD_ANCHOR = 7,
    FN_RECORD_DESTROYED = 8, /* name: uuid ‖ u32 version; never deleted */
    FN_RECORD_REQUEST = 9,   /* name: client ‖ request id; pruned after ten minutes */
    FN_RECORD_USES = 10,     /* name: uuid ‖ u32 version; uses reserved so far */
    FN_RECORD_CLIENT = 11,
    FN_RECORD_PERSON = 12,
    FN_RECORD_RETRY = 13,
    FN_RECORD_KINDS = 64,
};
#define FN_RECORD_NAME_MOST  48u
#define FN_RECORD_VALUE_MOST (1u << 20)

struct fn_record_name {
    uint8_t kind, n;
    uint8_t b[FN_RECORD_NAME_MOST];
};
struct fn_change {
    struct fn_record_name name;
    bool remove;
    struct fn_bytes value; /* borrowed until the commit is done */
};

/* Keys of the store, derived by the caller from the root. */
struct fn_device_store_keys {
    uint8_t seal[16]; /* SM4-GCM */
    uint8_t mac[32];  /* HMAC-SM3 */
};

struct fn_device_store;
struct fn_device_store_report {
    uint64_t generation, records, log_commits, torn_bytes_dropped;
    bool clean; /* last close was a clean stop */
};

/* What a running store takes, and how its background work fares. */
struct fn_device_store_figures {
    uint64_t base_bytes, log_bytes; /* on the disk */
    uint64_t memory_bytes;  /* 64 a record of the base (twice during a checkpoint), and the changes since
                               (values sealed) */
    uint64_t checkpoints;   /* since opening, rekeying included */
    fn_err last_checkpoint; /* result; after a failure commits go on in the log */
    fn_err refuses;         /* not 0: why no commit is taken until it is opened again */
};

/* Makes an empty store; FN_E_EXISTS when the directory holds one. */
fn_err fn_device_store_create(const struct fn_files *files, const char *directory,
                              const struct fn_device_store_keys *keys);
/* FN_E_LOCKED when another process has it, FN_E_CORRUPT (with file and offset) for anything altered or
 * written under other keys, FN_E_VERSION for a base of another version, FN_E_NOT_FOUND. `report` may be NULL.
 * Only a torn end of the log, commits that were never acknowledged, is dropped. Damage to the very last frame
 * of a log that was not stopped cleanly looks the same; so does a log cut short, or an older copy of the
 * whole directory: all three show by a generation lower than that in a statement kept elsewhere. */
fn_err fn_device_store_open(struct fn_device_store **store, const struct fn_files *files,
                            const char *directory, const struct fn_device_store_keys *keys,
                            struct fn_device_store_report *report);
/* Writes what is queued and a clean-stop mark (checkpointing when the log is long) and frees. No other call
 * is under way. */
void fn_device_store_close(struct fn_device_store *store);

/* Calls below may come from any thread. */
/* All changes or none, in their order; durable on return. At most 16 MiB in all (FN_E_TOO_LARGE); removing
 * what is not there is allowed, removing a record of destruction is not (FN_E_ARGUMENT). The number of the
 * commit is the store's generation: it grows by one each time and never goes back. Concurrent commits share
 * one fsync. After a failed write or fsync the store refuses all further commits (FN_E_IO) until it is opened
 * again, because what the disk holds is unknown. FN_E_DISK_FULL before anything was written leaves it usable.
 */
fn_err fn_device_store_commit(struct fn_device_store *store, const struct fn_change *changes, size_t count);
/* The same without waiting: the changes are copied, `done` is called on the writer's thread, in commit order
 * (it may submit, but not wait for a commit). It is not called when the submission itself fails. */
fn_err fn_device_store_submit(struct fn_device_store *store, const struct fn_change *changes, size_t count,
                              void (*done)(void *context, fn_err result), void *context);
/* Latest committed value appended to `out`; FN_E_NOT_FOUND; FN_E_CORRUPT when it does not authenticate. */
fn_err fn_device_store_get(struct fn_device_store *store, const struct fn_record_name *name,
                           struct fn_buf *out);
bool fn_device_store_has(struct fn_device_store *store, const struct fn_record_name *name);
/* Names of one kind in ascending order after `after` (NULL: from the start); stops when `each` fails and
 * returns that. No lock is held while `each` runs: it may use the store; names that come or go meanwhile may
 * be seen or not. */
fn_err fn_device_store_each(struct fn_device_store *store, uint8_t kind, const struct fn_record_name *after,
                            fn_err (*each)(void *context, const struct fn_record_name *name), void *context);
uint64_t fn_device_store_generation(struct fn_device_store *store);
uint64_t fn_device_store_count(struct fn_device_store *store, uint8_t kind);
/* Merges base and log into a new base, while commits go on. Runs by itself in the background when the log is
 * longer than half the base (but 1 MiB at least) or 64 MiB. A failure leaves everything as it was. */
fn_err fn_device_store_checkpoint(struct fn_device_store *store);
/* The same under new keys, commits waiting: after return (and after any crash before it) the directory opens
 * with exactly one of the two. Counts as a commit. After FN_OK it opens with the new; after a failure with
 * the old, unless the store refuses commits from then on (FN_E_IO): then opening it tells. */
fn_err fn_device_store_rekey(struct fn_device_store *store, const struct fn_device_store_keys *keys);
/* Reads and authenticates every value; `stop` may be set from another thread (FN_E_CANCELLED), or be NULL. */
fn_err fn_device_store_verify(struct fn_device_store *store, const bool *stop, uint64_t *checked);
void fn_device_store_figures(struct fn_device_store *store, struct fn_device_store_figures *figures);

#endif
