/* The room's log: chained frames, MACs by the device, the head anchored after each record. */
#include "data/data.h"

#include "base/sys/chain.h"
#include "base/sys/file.h"
#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "crypto/sm3/sm3.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

fn_err fn_data_path(const char *instance, const char *file, char **path)
{
    const struct fn_files *f = fn_files_real();
    FN_SCOPED_HEAP char *dir = NULL;
    FN_TRY(fn_heap_format(&dir, "%s/data", instance));
    fn_err err = f->mkdir(f, dir, 0700);
    if (err != FN_OK && err != FN_E_EXISTS) return FN_WRAP(err, "the instance's folder %s", dir);
    return fn_heap_format(path, "%s/%s", dir, file);
}

struct log {
    const struct fn_cipher *cipher;
    struct fn_data_key key;
    struct fn_chain_mac mac;
    char anchor[64];
};

static fn_err log_mac(void *self, struct fn_bytes message, uint8_t mac[32])
{
    const struct log *l = self;
    return fn_cipher_mac(l->cipher, &l->key, message, mac);
}

/* The anchor is named after the instance's place: a log that is gone altogether is missed. */
static fn_err open_log(struct log *l, const struct fn_cipher *cipher, const char *instance)
{
    char whole[PATH_MAX], hex[33];
    uint8_t digest[32];
    const char *name = realpath(instance, whole);
    if (!name) name = instance;
    fn_sm3_digest(name, strlen(name), digest);
    fn_hex_encode(hex, digest, 16);
    fn_format(l->anchor, sizeof l->anchor, "data/log/%s", hex);
    l->cipher = cipher;
    l->mac = (struct fn_chain_mac){l, log_mac};
    return cipher->key(cipher->self, "data/log", FN_DATA_KEY_MAC, true, &l->key);
}

static fn_err read_anchor(const struct log *l, uint64_t *counter, uint8_t digest[32])
{
    *counter = 0;
    fn_err err = l->cipher->anchor_get(l->cipher->self, l->anchor, counter, digest);
    return err == FN_E_NOT_FOUND ? FN_OK : err;
}

static fn_err append(struct log *l, struct fn_chain *chain, struct fn_bytes body, uint64_t torn)
{
    uint64_t stands;
    uint8_t digest[32];
    FN_TRY(read_anchor(l, &stands, digest));
    const struct fn_chain_end *end = fn_chain_end(chain);
    if (end->seq < stands || (end->seq == stands && stands && !fn_equal_ct(end->mac, digest, 32)))
        return FN_FAIL(FN_E_TABLE_OLD, "the log ends at record %llu, the device knows %llu",
                       (unsigned long long)end->seq, (unsigned long long)stands);
    uint64_t now = (uint64_t)fn_now_ms();
    if (torn) {
        char note[96];
        fn_format(note, sizeof note, "{\"ev\":\"log.recovered\",\"torn_bytes\":%llu}",
                  (unsigned long long)torn);
        FN_TRY(fn_chain_append(chain, now, fn_bytes(note, strlen(note))));
    }
    FN_TRY(fn_chain_append(chain, now, body));
    return fn_cipher_anchor(l->cipher, l->anchor, &stands, end->seq, end->mac);
}

fn_err fn_data_log(const struct fn_cipher *cipher, const char *instance, struct fn_bytes body)
{
    struct log l = {0};
    struct fn_chain *chain;
    uint64_t torn;
    FN_SCOPED_HEAP char *path = NULL;
    FN_TRY(fn_data_path(instance, "data.log", &path));
    FN_TRY(open_log(&l, cipher, instance));
    FN_TRY(fn_chain_open(&chain, path, &l.mac, &torn));
    fn_err err = append(&l, chain, body, torn);
    fn_chain_close(chain);
    return err;
}

/* Watches the records go by for the one that the anchor names. */
struct watch {
    uint64_t counter;
    uint8_t digest[32];
    bool seen;
    fn_err (*each)(void *context, const struct fn_chain_record *record);
    void *context;
};

static fn_err watch_record(void *self, const struct fn_chain_record *r)
{
    struct watch *w = self;
    if (r->seq == w->counter) w->seen = fn_equal_ct(r->mac, w->digest, 32);
    return w->each ? w->each(w->context, r) : FN_OK;
}

fn_err fn_data_log_read(const struct fn_cipher *cipher, const char *instance,
                        fn_err (*each)(void *context, const struct fn_chain_record *record), void *context,
                        uint64_t *count)
{
    struct log l = {0};
    struct watch w = {.each = each, .context = context};
    struct fn_chain_end end;
    FN_SCOPED_HEAP char *path = NULL;
    FN_TRY(fn_data_path(instance, "data.log", &path));
    FN_TRY(open_log(&l, cipher, instance));
    FN_TRY(read_anchor(&l, &w.counter, w.digest));
    fn_err err = fn_chain_read(path, &l.mac, watch_record, &w, &end);
    *count = end.seq;
    FN_TRY(err);
    if (w.counter && !w.seen)
        return FN_FAIL(FN_E_TABLE_OLD, "the log has %llu records, the device knows record %llu",
                       (unsigned long long)end.seq, (unsigned long long)w.counter);
    return FN_OK;
}
