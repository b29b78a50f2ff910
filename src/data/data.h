/* The room `data`: protection of important data at rest. What other rooms and the doors may call; programs of
 * others use include/fengni/data.h. */
#ifndef FN_DATA_DATA_H
#define FN_DATA_DATA_H

#include "base/sys/room.h"
#include "data/cipher.h"

extern const struct fn_room data_room;

/* Files under integrity protection alone (permission tables, configuration): a seal beside the file,
 * PATH.fnseal, with a MAC over name, counter and content; the counter is anchored in the device, so that an
 * older file with its older seal is refused. name: what the file is called in the seal; NULL: its absolute
 * path. */
fn_err fn_data_seal_file(const struct fn_cipher *cipher, const char *path, const char *name,
                         uint64_t *counter);
/* Reads the file, at most `most` bytes, appended to `content` (may be NULL to check alone). FN_E_CORRUPT:
 * altered; FN_E_TABLE_OLD: an older sealed version; FN_E_NOT_FOUND: no file or no seal. */
fn_err fn_data_load_sealed(const struct fn_cipher *cipher, const char *path, const char *name, size_t most,
                           struct fn_buf *content);

/* The log of the room: INSTANCE/data/data.log, chained and anchored. body: JSON object on one line. Durable
 * on return. */
fn_err fn_data_log(const struct fn_cipher *cipher, const char *instance, struct fn_bytes body);
/* Every record in order, checked against MACs and anchor. */
struct fn_chain_record;
fn_err fn_data_log_read(const struct fn_cipher *cipher, const char *instance,
                        fn_err (*each)(void *context, const struct fn_chain_record *record), void *context,
                        uint64_t *count);

/* Credentials for clear text, until `who` owns them: an access secret in a file; the instance keeps its HMAC
 * under the device in an integrity-protected table. */
struct fn_credential {
    char id[37], holder[65], state[16];
    int64_t created_ms, expires_ms; /* expires 0: never */
};
fn_err fn_credential_new(const struct fn_cipher *cipher, const char *instance, const char *holder,
                         int64_t expires_ms, const char *file, struct fn_credential *made);
/* FN_E_CREDENTIAL tells why not. */
fn_err fn_credential_check(const struct fn_cipher *cipher, const char *instance, const char *file,
                           struct fn_credential *found);
fn_err fn_credential_revoke(const struct fn_cipher *cipher, const char *instance, const char *id);
fn_err fn_credential_list(const struct fn_cipher *cipher, const char *instance,
                          fn_err (*each)(void *context, const struct fn_credential *credential),
                          void *context);

/* INSTANCE/data, made when absent (0700), and a file in it; *path is on the heap. */
fn_err fn_data_path(const char *instance, const char *file, char **path);

#endif
