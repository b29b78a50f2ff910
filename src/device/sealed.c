/* Blobs sealed to this device: a key's record under the device's wrap key, and once more under a KEK whose
 * end is their end. 'F' 'S' ‖ u8 1 ‖ u8 0 ‖ KEK uuid ‖ u32 KEK version ‖ nonce[12] ‖ tag[16] ‖ sealed record;
 * what precedes the nonce is authenticated with it. */
#include "base/sys/heap.h"
#include "device/part.h"
#include <string.h>

#define HEAD 24u

fn_err fn_sealed_make(struct fn_device *d, const struct fn_rng *rng, const struct fn_key *key,
                      const struct fn_key *kek, struct fn_buf *out)
{
    struct fn_buf record FN_SCOPED_BUF = fn_buf_heap();
    uint8_t *p;
    if (kek->alg != FN_ALG_SM4 || kek->secret->n != 16) return FN_FAIL(FN_E_KEY_ALGORITHM, "KEK is not SM4");
    FN_TRY(fn_key_record(d->secrets, rng, key, &record));
    FN_TRY(fn_buf_reserve(out, HEAD + 28 + record.n, &p));
    memcpy(p, "FS\1\0", 4);
    memcpy(p + 4, kek->uuid.b, 16);
    fn_put_be32(p + 20, kek->version);
    FN_TRY(fn_rng_fill(rng, p + HEAD, 12));
    struct fn_gcm_job job = {.key = &kek->secret->gcm,
                             .nonce = fn_bytes(p + HEAD, 12),
                             .aad = fn_bytes(p, HEAD),
                             .in = record.p,
                             .out = p + HEAD + 28,
                             .n = record.n,
                             .tag = p + HEAD + 12,
                             .tag_size = 16};
    FN_TRY(fn_gcm_encrypt(&job));
    out->n += HEAD + 28 + record.n;
    return FN_OK;
}

fn_err fn_key_not_destroyed(struct fn_device *d, const struct fn_key *key)
{
    struct fn_record_name name;
    if (key->external || key->volatile_key) return FN_OK;
    for (int all = 0; all < 2; all++) {
        fn_name_version(&name, FN_RECORD_DESTROYED, &key->uuid, all ? 0 : key->version);
        if (fn_device_store_has(d->store, &name))
            return FN_FAIL(FN_E_KEY_DESTROYED, "version %u", key->version);
    }
    return FN_OK;
}

static fn_err open_with(struct fn_device *d, const struct fn_key *kek, struct fn_bytes blob,
                        struct fn_key **key)
{
    struct fn_buf record FN_SCOPED_BUF = fn_buf_heap();
    uint8_t tag[16], *where;
    size_t n = blob.n - HEAD - 28;
    FN_TRY(fn_buf_reserve(&record, n, &where));
    memcpy(tag, blob.p + HEAD + 12, 16);
    struct fn_gcm_job job = {.key = &kek->secret->gcm,
                             .nonce = fn_bytes(blob.p + HEAD, 12),
                             .aad = fn_bytes(blob.p, HEAD),
                             .in = blob.p + HEAD + 28,
                             .out = where,
                             .n = n,
                             .tag = tag,
                             .tag_size = 16};
    if (fn_gcm_decrypt(&job) != FN_OK) return FN_FAIL(FN_E_KEY_BLOB, "does not authenticate");
    record.n = n;
    if (fn_key_record_open(d, fn_buf_view(&record), key) != FN_OK) return FN_WRAP(FN_E_KEY_BLOB, "record");
    return FN_OK;
}

fn_err fn_sealed_open(struct fn_device *d, const struct fn_identity *who, struct fn_bytes blob,
                      struct fn_key **key)
{
    struct fn_uuid uuid;
    struct fn_key *kek;
    if (blob.n < HEAD + 28 + 16 || memcmp(blob.p, "FS\1\0", 4) != 0)
        return FN_FAIL(FN_E_KEY_BLOB, "not a sealed key");
    memcpy(uuid.b, blob.p + 4, 16);
    FN_TRY(fn_key_get(d, &uuid, fn_get_be32(blob.p + 20), &kek));
    fn_err err = kek->key_class == FN_CLASS_KEK && kek->secret->n == 16
                     ? fn_key_admits(kek, who)
                     : FN_FAIL(FN_E_KEY_BLOB, "not under a KEK");
    if (err == FN_OK) err = open_with(d, kek, blob, key);
    fn_key_release(kek);
    FN_TRY(err);
    err = fn_key_not_destroyed(d, *key);
    if (err != FN_OK) {
        fn_key_release(*key);
        *key = NULL;
    }
    return err;
}
