/* Public-key work: sign, verify, encrypt, decrypt. */
#include "device/device.h"
#include <string.h>

void fn_run_SIGN(struct fn_work *w, struct fn_item **items, size_t n)
{
    struct fn_sm2_sign_job *jobs = fn_arena_take(fn_work_arena(w), n * sizeof *jobs);
    struct fn_item **batch = fn_arena_take(fn_work_arena(w), n * sizeof *batch);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct fn_item *item = items[i];
        uint8_t *where;
        fn_err err = jobs && batch ? FN_OK : FN_FAIL(FN_E_NO_MEMORY, "signatures");
        if (err == FN_OK && fn_key_alg_symmetric(item->key->alg))
            err = FN_FAIL(FN_E_KEY_ALGORITHM, "a symmetric key does not sign");
        if (err == FN_OK && item->key->alg != FN_ALG_SM2) {
            uint8_t storage[512];
            struct fn_buf out = fn_buf_fixed(storage, sizeof storage);
            err = fn_pk_sign(item->key, item->f[1].b.p, &out);
            if (err == FN_OK) err = fn_buf_var(&item->out, out.p, out.n);
        } else if (err == FN_OK && (err = fn_buf_reserve(&item->out, 68, &where)) == FN_OK) {
            fn_put_be32(where, 64);
            jobs[count] = (struct fn_sm2_sign_job){&item->key->secret->sm2, item->f[1].b.p, where + 4};
            batch[count++] = item;
        }
        fn_item_fail(item, err);
    }
    fn_err err = count ? fn_sm2_sign_batch(count, jobs, fn_work_rng(w)) : FN_OK;
    for (size_t i = 0; i < count; i++) {
        if (err == FN_OK)
            batch[i]->out.n = 68;
        else
            fn_item_fail(batch[i], err);
    }
}

void fn_run_VERIFY(struct fn_work *w, struct fn_item **items, size_t n)
{
    struct fn_sm2_verify_job *jobs = fn_arena_take(fn_work_arena(w), n * sizeof *jobs);
    struct fn_item **batch = fn_arena_take(fn_work_arena(w), n * sizeof *batch);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct fn_item *item = items[i];
        fn_err err = jobs && batch ? FN_OK : FN_FAIL(FN_E_NO_MEMORY, "signatures");
        if (err == FN_OK && fn_key_alg_symmetric(item->key->alg))
            err = FN_FAIL(FN_E_KEY_ALGORITHM, "a symmetric key does not verify");
        if (err == FN_OK && item->key->alg != FN_ALG_SM2) {
            err = fn_pk_verify(item->key, item->f[1].b.p, item->f[2].b);
        } else if (err == FN_OK && item->f[2].b.n != 64) {
            err = FN_FAIL(FN_E_SIGNATURE, "signature of %zu bytes, 64 wanted", item->f[2].b.n);
        } else if (err == FN_OK) {
            jobs[count] = (struct fn_sm2_verify_job){
                .pub = &item->key->pub, .e = item->f[1].b.p, .sig = item->f[2].b.p};
            batch[count++] = item;
        }
        fn_item_fail(item, err);
    }
    if (count) fn_sm2_verify_batch(count, jobs);
    for (size_t i = 0; i < count; i++) fn_item_fail(batch[i], jobs[i].result);
}

/* Appends a var whose bytes a call writes. */
typedef fn_err (*maker)(const struct fn_key *key, const struct fn_rng *rng, struct fn_bytes data,
                        struct fn_buf *out);

static fn_err put_var(struct fn_item *item, const struct fn_rng *rng, maker make)
{
    FN_TRY(fn_buf_u32(&item->out, 0));
    FN_TRY(make(item->key, rng, item->f[1].b, &item->out));
    fn_put_be32(item->out.p, (uint32_t)(item->out.n - 4));
    return FN_OK;
}

static void each(struct fn_work *w, struct fn_item **items, size_t n, maker make)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], put_var(items[i], fn_work_rng(w), make));
}

static fn_err encrypt(const struct fn_key *key, const struct fn_rng *rng, struct fn_bytes data,
                      struct fn_buf *out)
{
    if (fn_key_alg_symmetric(key->alg)) return FN_FAIL(FN_E_KEY_ALGORITHM, "not a key pair");
    return fn_key_encrypt(key, rng, data, out);
}

static fn_err decrypt(const struct fn_key *key, const struct fn_rng *rng, struct fn_bytes data,
                      struct fn_buf *out)
{
    (void)rng;
    if (fn_key_alg_symmetric(key->alg)) return FN_FAIL(FN_E_KEY_ALGORITHM, "not a key pair");
    return fn_key_decrypt(key, data, out);
}

static fn_err raw_public(const struct fn_key *key, const struct fn_rng *rng, struct fn_bytes data,
                         struct fn_buf *out)
{
    (void)rng;
    if (key->alg < FN_ALG_RSA2048) return FN_FAIL(FN_E_KEY_ALGORITHM, "not an RSA key");
    return fn_pk_raw(key, false, data, out);
}

static fn_err raw_private(const struct fn_key *key, const struct fn_rng *rng, struct fn_bytes data,
                          struct fn_buf *out)
{
    (void)rng;
    if (key->alg < FN_ALG_RSA2048 || !key->secret)
        return FN_FAIL(FN_E_KEY_ALGORITHM, "not an RSA private key");
    return fn_pk_raw(key, true, data, out);
}

void fn_run_PK_ENCRYPT(struct fn_work *w, struct fn_item **items, size_t n)
{
    each(w, items, n, encrypt);
}
void fn_run_PK_DECRYPT(struct fn_work *w, struct fn_item **items, size_t n)
{
    each(w, items, n, decrypt);
}
void fn_run_RSA_PUBLIC(struct fn_work *w, struct fn_item **items, size_t n)
{
    each(w, items, n, raw_public);
}
void fn_run_RSA_PRIVATE(struct fn_work *w, struct fn_item **items, size_t n)
{
    each(w, items, n, raw_private);
}
