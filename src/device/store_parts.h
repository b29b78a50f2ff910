/* Inside of the device's store: what its pages share. Nothing else includes this.
 *
 * base.G  header 128 ‖ index: count entries of 64 ‖ HMAC-SM3 of both ‖ sealed values
 *     header = "FNGBASE1" ‖ u32 version ‖ u32 0 ‖ u64 generation ‖ key id[8] ‖ salt[32] ‖ u64 count ‖ u64
 * bytes of values ‖ tag of the header of log.G [32] ‖ 0[16] entry  = name[50] ‖ u32 size ‖ u64 offset ‖ u16
 * 0, strictly ascending by name; values lie without gaps in that order value  = SM4-GCM ciphertext ‖ tag[16];
 * nonce = u64 position in the index ‖ u32 0, AAD = name ‖ u64 generation log.G   header 128 ‖ frames: what
 * was committed after generation G header = "FNGLOG_1" ‖ u32 version ‖ u32 0 ‖ u64 generation ‖ key id[8] ‖
 * salt[32] ‖ tag before[32] ‖ HMAC-SM3[32] frame  = "FNFR" ‖ u8 kind ‖ 0[3] ‖ u32 bytes of body ‖ u32 commits
 * ‖ u64 generation ‖ salt[32] ‖ tag before[32] ‖ body ‖ HMAC-SM3[32] body   = for each commit: u32 changes,
 * each name[50] ‖ u8 removes ‖ u32 size ‖ ciphertext ‖ tag[16] (no value when it removes); nonce = u64
 * generation of the commit ‖ u32 position in it, AAD = name ‖ u64 generation
 *
 * Names stand in clear under the MAC; values are sealed on the disk and in memory. Keys are derived: of a
 * base from its salt; of sealing in a log from the salt of the log and that of the frame, which is drawn anew
 * whenever the store is opened and whenever a write failed. So no nonce comes twice under one key, neither
 * after a torn frame was dropped nor in a copy of the directory that was put back and goes on differently. */
#ifndef FN_DEVICE_STORE_PARTS_H
#define FN_DEVICE_STORE_PARTS_H

#include "base/sys/heap.h"
#include "base/sys/secret.h"
#include "crypto/sm3/sm3.h"
#include "crypto/sm4/sm4.h"
#include "device/store.h"
#include <pthread.h>

#define FN_DSTORE_VERSION 1u
#define FN_DSTORE_NAME                                                                                       \
    (FN_RECORD_NAME_MOST + 2u) /* kind, name padded with zeros, its length: memcmp is the order */
#define FN_DSTORE_TAG    16u
#define FN_DSTORE_MAC    FN_SM3_SIZE
#define FN_DSTORE_SALT   32u
#define FN_DSTORE_ID     8u
#define FN_DSTORE_ENTRY  64u
#define FN_DSTORE_HEADER 128u
#define FN_DSTORE_FRAME  88u /* header of a frame */
#define FN_DSTORE_LEVELS 12
#define FN_DSTORE_BATCH  64u
/* Bytes of changes in one commit at most, so that a torn frame has a bounded length. */
#define FN_DSTORE_COMMIT_MOST (16u << 20)

/* What all keys of the files are derived from. In secret memory. */
struct fn_dstore_root {
    struct fn_hmac_key seal, mac;
    uint8_t id[FN_DSTORE_ID]; /* tells keys apart, reveals nothing of them */
};
fn_err fn_dstore_root_new(struct fn_dstore_root **root, const struct fn_device_store_keys *keys);
/* out = HMAC-SM3(from, label ‖ salts). */
void fn_dstore_derive(const struct fn_hmac_key *from, const char *label, struct fn_bytes salt,
                      struct fn_bytes more, uint8_t out[FN_DSTORE_MAC]);
/* Salts: unpredictable and never the same twice, but not secret. */
fn_err fn_dstore_random(void *out, size_t n);

/* Where the files are. */
struct fn_dstore_home {
    const struct fn_files *files;
    const char *directory;
};
fn_err fn_dstore_path(char **path, const struct fn_dstore_home *home, const char *stem, uint64_t generation);
/* Renames directory/stem.new to directory/stem.<generation>; the directory is not yet durable. */
fn_err fn_dstore_place(const struct fn_dstore_home *home, const char *stem, uint64_t generation);
fn_err fn_dstore_open_new(const struct fn_dstore_home *home, const char *stem, int *handle);
void fn_dstore_unlink_new(const struct fn_dstore_home *home, const char *stem);

/* A file read forward through one buffer. */
struct fn_dstore_window {
    const struct fn_files *files;
    int handle;
    uint64_t offset;
    struct fn_buf buf;
};
/* n bytes at an offset, valid until the next call; *got < n only at the end of the file. */
fn_err fn_dstore_window_get(struct fn_dstore_window *w, uint64_t offset, size_t n, const uint8_t **p,
                            size_t *got);

/* FN_E_ARGUMENT for a kind or length out of range. */
fn_err fn_dstore_name(const struct fn_record_name *name, uint8_t out[FN_DSTORE_NAME]);
struct fn_record_name fn_dstore_name_back(const uint8_t name[FN_DSTORE_NAME]);
bool fn_dstore_name_valid(const uint8_t name[FN_DSTORE_NAME]);

/* Up to FN_DSTORE_BATCH sealings or openings at once. */
struct fn_dstore_batch {
    size_t count;
    struct fn_gcm_job jobs[FN_DSTORE_BATCH];
    uint8_t nonces[FN_DSTORE_BATCH][12], aads[FN_DSTORE_BATCH][FN_DSTORE_NAME + 8];
};
void fn_dstore_batch_add(struct fn_dstore_batch *b, const struct fn_gcm_key *key,
                         const uint8_t name[FN_DSTORE_NAME], uint64_t generation, uint64_t nonce,
                         uint32_t nonce_low, const uint8_t *in, uint8_t *out, size_t n, uint8_t *tag);

/* ---- store_overlay.c: what changed since the base, ordered by name ---- */

/* One key under which values in a log are sealed. In secret memory; owned by the overlay that holds the
 * values. */
struct fn_dstore_seal {
    struct fn_dstore_seal *next;
    struct fn_gcm_key key;
    uint8_t salt[FN_DSTORE_SALT];
};

struct fn_dstore_node {
    uint8_t name[FN_DSTORE_NAME];
    bool removes;
    uint8_t levels;
    uint32_t size, position; /* of the value in bytes; in its commit */
    uint64_t generation;     /* of the commit that wrote it */
    const struct fn_dstore_seal *seal;
    uint8_t *sealed; /* ciphertext ‖ tag, in the same allocation */
    struct fn_dstore_node *next[];
};

struct fn_dstore_overlay {
    struct fn_dstore_node *head[FN_DSTORE_LEVELS];
    struct fn_dstore_seal *seals;
    uint64_t count, bytes;
};

fn_err fn_dstore_node_new(struct fn_dstore_node **node, const uint8_t name[FN_DSTORE_NAME], bool removes,
                          uint32_t size);
/* Takes the node; replaces one of the same name. */
void fn_dstore_overlay_put(struct fn_dstore_overlay *o, struct fn_dstore_node *node);
void fn_dstore_overlay_drop(struct fn_dstore_overlay *o, const uint8_t name[FN_DSTORE_NAME]);
const struct fn_dstore_node *fn_dstore_overlay_find(const struct fn_dstore_overlay *o,
                                                    const uint8_t name[FN_DSTORE_NAME]);
/* First node above the name (or at it, when `from` is set). */
const struct fn_dstore_node *fn_dstore_overlay_after(const struct fn_dstore_overlay *o,
                                                     const uint8_t name[FN_DSTORE_NAME], bool from);
/* Moves everything of `newer` into `o`, replacing. */
void fn_dstore_overlay_absorb(struct fn_dstore_overlay *o, struct fn_dstore_overlay *newer);
void fn_dstore_overlay_clear(struct fn_dstore_overlay *o);

/* ---- store_base.c ---- */

struct fn_dstore_base {
    const struct fn_files *files;
    int handle;
    unsigned references;
    uint64_t generation, count, values_at, size;
    uint64_t start[FN_RECORD_KINDS + 1]; /* position of the first entry of each kind */
    uint8_t *index;
    struct fn_gcm_key *key; /* in secret memory */
    uint8_t log_tag[FN_DSTORE_MAC];
};

fn_err fn_dstore_base_load(struct fn_dstore_base **base, const struct fn_dstore_home *home,
                           const struct fn_dstore_root *root, uint64_t generation);
/* Writes base.new from `old` (NULL: none) with `changes` (NULL: none) over it and makes its content durable;
 * the caller puts it in its place. Fails with FN_E_CANCELLED when *cancel becomes true. */
fn_err fn_dstore_base_write(struct fn_dstore_base **base, const struct fn_dstore_home *home,
                            const struct fn_dstore_root *root, uint64_t generation,
                            const uint8_t log_tag[FN_DSTORE_MAC], struct fn_dstore_base *old,
                            const struct fn_dstore_overlay *changes, const bool *cancel);
void fn_dstore_base_hold(struct fn_dstore_base *base);
void fn_dstore_base_release(struct fn_dstore_base *base); /* NULL is allowed */
/* Position of the first entry not below the name. */
uint64_t fn_dstore_base_lower(const struct fn_dstore_base *base, const uint8_t name[FN_DSTORE_NAME]);
bool fn_dstore_base_find(const struct fn_dstore_base *base, const uint8_t name[FN_DSTORE_NAME],
                         uint64_t *position);
static inline const uint8_t *fn_dstore_base_name(const struct fn_dstore_base *base, uint64_t position)
{
    return base->index + position * FN_DSTORE_ENTRY;
}
/* The value at a position, appended. */
fn_err fn_dstore_base_value(struct fn_dstore_base *base, uint64_t position, struct fn_buf *out);

/* ---- store_log.c ---- */

enum fn_dstore_frame { FN_DSTORE_COMMITS = 1, FN_DSTORE_CLEAN = 2 };

/* In secret memory. */
struct fn_dstore_log {
    const struct fn_files *files;
    int handle;
    uint64_t start;              /* generation before its first commit */
    uint64_t end;                /* offset behind the last frame */
    uint64_t last;               /* offset of the last frame; 0: none */
    uint8_t head[FN_DSTORE_MAC]; /* tag of the header */
    uint8_t tag[FN_DSTORE_MAC];  /* of the last frame, or of the header */
    uint8_t salt[FN_DSTORE_SALT];
    struct fn_hmac_key mac;
};

/* Makes log.<generation> durable under its name, ending in a frame that says "clean" when asked. */
fn_err fn_dstore_log_create(struct fn_dstore_log **log, const struct fn_dstore_home *home,
                            const struct fn_dstore_root *root, uint64_t generation,
                            const uint8_t before[FN_DSTORE_MAC], bool clean);
void fn_dstore_log_close(struct fn_dstore_log *log); /* NULL is allowed */
/* A key to seal with, under the salt or a fresh one (NULL); added to the overlay's. */
fn_err fn_dstore_log_seal(const struct fn_dstore_log *log, const struct fn_dstore_root *root,
                          const uint8_t *salt, struct fn_dstore_overlay *o, struct fn_dstore_seal **seal);
/* Frame in `frame`: begin, append the body, finish. */
fn_err fn_dstore_frame_begin(struct fn_buf *frame);
fn_err fn_dstore_frame_finish(const struct fn_dstore_log *log, struct fn_buf *frame,
                              enum fn_dstore_frame kind, uint64_t generation, uint32_t commits,
                              const uint8_t salt[FN_DSTORE_SALT]);
/* Writes a finished frame at the end and makes it durable. *usable says whether the log can be gone on with
 * after a failure. */
fn_err fn_dstore_log_append(struct fn_dstore_log *log, const struct fn_buf *frame, bool *usable);

struct fn_dstore_replay {
    /* Takes the node, in the order of commits. */
    void (*apply)(void *context, struct fn_dstore_node *node);
    void *context;
    struct fn_dstore_overlay *overlay; /* receives the sealing keys */
    uint64_t generation;               /* in and out */
    uint64_t commits, torn_bytes;      /* counted up */
    bool clean;                        /* the last frame said so */
};
/* Opens log.<generation>, checks that it follows `before` (NULL: that the tag of its header is `head`) and
 * replays it. In the last log a torn end is cut off, and the last frame is written once more and made
 * durable, because a frame that the page cache still shows may never have reached the disk. */
fn_err fn_dstore_log_open(struct fn_dstore_log **log, const struct fn_dstore_home *home,
                          const struct fn_dstore_root *root, uint64_t generation, const uint8_t *before,
                          const uint8_t *head, bool last, struct fn_dstore_replay *replay);

/* ---- the store ---- */

struct fn_dstore_job;

struct fn_device_store {
    struct fn_dstore_home home;
    char *directory;
    int lock;
    struct fn_dstore_root *root; /* changes while the writer is held */

    /* What readers see. Taken for writing only to make something visible, never across input or output. */
    pthread_rwlock_t view;
    struct fn_dstore_base *base;
    struct fn_dstore_overlay active, frozen; /* commits in the newest log; before it, waiting for a base */
    uint64_t generation, counts[FN_RECORD_KINDS];

    pthread_mutex_t queue;
    pthread_cond_t work, wake, released; /* for the writer, for the keeper, for the held writer */
    struct fn_dstore_job *first, **end;
    bool stopping, hold, wanted; /* wanted: a checkpoint by the keeper */
    pthread_t writer, keeper;
    bool writer_runs, keeper_runs;

    /* Of the writer, or of who holds it. */
    struct fn_dstore_log *log;
    struct fn_dstore_seal *seal; /* owned by `active`; NULL: make one before the next commit */
    struct fn_buf frame;
    bool clean; /* the last frame says so */

    pthread_mutex_t keeping; /* one checkpoint or rekeying at a time */
    bool cancel;
    fn_err last_checkpoint;
    uint64_t checkpoints;
    /* Atomic. */
    uint64_t older_bytes, log_bytes,
        checkpoint_at; /* in logs before the newest; in the newest; bytes that start a checkpoint */
    fn_err refuses;    /* why commits are refused, once they are */
};

/* Makes one change visible; takes the node. The view is held for writing, or nobody else knows the store yet.
 */
void fn_dstore_apply(struct fn_device_store *store, struct fn_dstore_node *node);
fn_err fn_dstore_start(struct fn_device_store *store); /* the threads */
void fn_dstore_stop_keeper(struct fn_device_store *store);
void fn_dstore_stop_writer(struct fn_device_store *store);
void fn_dstore_set_limit(struct fn_device_store *store, uint64_t more);
/* Removes files that belong to generations before this one, and what was never finished. */
void fn_dstore_sweep(const struct fn_dstore_home *home, uint64_t generation);

#endif
