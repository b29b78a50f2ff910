#include "data/cipher.h"

#include <string.h>

fn_err fn_cipher_run(const struct fn_cipher *c, struct fn_cipher_job *job)
{
    FN_TRY(fn_cipher_start(c, job));
    return fn_cipher_finish(c, job);
}

fn_err fn_cipher_mac(const struct fn_cipher *c, const struct fn_data_key *key, struct fn_bytes message,
                     uint8_t mac[32])
{
    struct fn_cipher_item item = {.in = message};
    struct fn_cipher_job job = {.work = FN_CIPHER_MAC, .key = *key, .count = 1, .items = &item};
    fn_err err = fn_cipher_run(c, &job);
    if (err == FN_OK) err = item.result;
    if (err == FN_OK && item.tag.n != 32) err = FN_FAIL(FN_E_INTERNAL, "MAC of %zu bytes", item.tag.n);
    if (err == FN_OK) memcpy(mac, item.tag.p, 32);
    fn_cipher_done(c, &job);
    return err;
}

fn_err fn_cipher_anchor(const struct fn_cipher *c, const char *name, uint64_t *stands, uint64_t counter,
                        const uint8_t digest[32])
{
    /* The first step is taken from where we believe the anchor to be; another process may have moved it, or
     * an attempt of ours whose answer was lost: then look and step again. */
    for (int attempt = 0; attempt < 8; attempt++) {
        fn_err err = c->anchor_set(c->self, name, *stands, counter, digest);
        if (err == FN_OK) *stands = counter;
        if (err != FN_E_ANCHOR_OLD && err != FN_E_EXISTS && err != FN_E_NOT_FOUND) return err;
        uint8_t there[32];
        *stands = 0;
        err = c->anchor_get(c->self, name, stands, there);
        if (err == FN_E_NOT_FOUND) continue;
        if (err != FN_OK) return FN_WRAP(err, "anchor %s", name);
        if (*stands > counter) return FN_OK;
        if (*stands < counter) continue;
        if (fn_equal_ct(there, digest, 32)) return FN_OK;
        return FN_FAIL(FN_E_TABLE_OLD, "anchor %s at %llu has another digest", name,
                       (unsigned long long)counter);
    }
    return FN_FAIL(FN_E_BUSY, "anchor %s moves all the time", name);
}
