/* Symmetric work: cipher modes, MAC, hash, authenticated encryption, random bytes. */
#include "device/cipher.h"
#include <openssl/evp.h>
#include <string.h>

static fn_err need_sm4(const struct fn_key *key)
{
    if (key->alg == FN_ALG_SM4 && key->secret && key->secret->n == 16) return FN_OK;
    return FN_FAIL(FN_E_KEY_ALGORITHM, "not an SM4 key of 128 bits");
}

bool fn_cipher_makes_nonce(const struct fn_key *key)
{
    return key->key_class == FN_CLASS_DATA_ENC;
}

/* A data-storage key's start values are made here; another's are given. */
fn_err fn_cipher_start(const struct fn_key *key, const struct fn_rng *rng, uint32_t alg,
                       struct fn_bytes given, uint8_t iv[16])
{
    if (alg == FN_SGD_SM4_ECB) {
        if (given.n) return FN_FAIL(FN_E_ARGUMENT, "ECB has no start value");
        return memset(iv, 0, 16), FN_OK;
    }
    if (fn_cipher_makes_nonce(key)) {
        if (given.n) return FN_FAIL(FN_E_KEY_NONCE, "%zu bytes given", given.n);
        return fn_rng_fill(rng, iv, 16);
    }
    if (given.n != 16) return FN_FAIL(FN_E_ARGUMENT, "start value of %zu bytes, 16 wanted", given.n);
    memcpy(iv, given.p, 16);
    return FN_OK;
}

static fn_err xts(const struct fn_key *key, bool encrypt, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                  size_t n)
{
    struct fn_sm4_key keys[2];
    FN_SCOPED_WIPE(keys);
    if (key->alg != FN_ALG_SM4 || key->secret->n != 32)
        return FN_FAIL(FN_E_KEY_ALGORITHM, "XTS needs a key of 256 bits");
    fn_sm4_key_init(&keys[0], key->secret->raw);
    fn_sm4_key_init(&keys[1], key->secret->raw + 16);
    return (encrypt ? fn_sm4_xts_encrypt : fn_sm4_xts_decrypt)(&keys[0], &keys[1], FN_SM4_XTS_GB, iv, in, out,
                                                               n);
}

fn_err fn_key_cipher_run(const struct fn_key *key, uint32_t alg, bool encrypt, uint8_t iv[16],
                         const uint8_t *in, uint8_t *out, size_t n)
{
    if (alg == FN_SGD_SM4_XTS) return xts(key, encrypt, iv, in, out, n);
    FN_TRY(need_sm4(key));
    const struct fn_sm4_key *k = &key->secret->gcm.sm4;
    switch (alg) {
    case FN_SGD_SM4_ECB:
        return (encrypt ? fn_sm4_ecb_encrypt : fn_sm4_ecb_decrypt)(k, in, out, n);
    case FN_SGD_SM4_CBC:
        return (encrypt ? fn_sm4_cbc_encrypt : fn_sm4_cbc_decrypt)(k, iv, in, out, n);
    case FN_SGD_SM4_CFB:
        return (encrypt ? fn_sm4_cfb_encrypt : fn_sm4_cfb_decrypt)(k, iv, in, out, n), FN_OK;
    case FN_SGD_SM4_OFB:
        return fn_sm4_ofb_crypt(k, iv, in, out, n), FN_OK;
    case FN_SGD_SM4_CTR:
        return fn_sm4_ctr_crypt(k, iv, in, out, n), FN_OK;
    default:
        return FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %x", alg);
    }
}

/* Response: var start value (made here) or chaining value ‖ var data. */
static fn_err layout(struct fn_item *item, size_t n, uint8_t **iv, uint8_t **data)
{
    uint8_t *where;
    FN_TRY(fn_buf_reserve(&item->out, 4 + 16 + 4 + n, &where));
    fn_put_be32(where, 16);
    fn_put_be32(where + 20, (uint32_t)n);
    *iv = where + 4;
    *data = where + 24;
    return FN_OK;
}

static fn_err cipher_item(struct fn_work *w, struct fn_item *item, bool encrypt)
{
    uint32_t alg = (uint32_t)item->f[1].n;
    struct fn_bytes in = item->f[3].b;
    uint8_t *iv, *out, chain[16];
    if (!in.n) return FN_FAIL(FN_E_CIPHER_LENGTH, "no data");
    FN_TRY(layout(item, in.n, &iv, &out));
    if (encrypt) {
        FN_TRY(fn_cipher_start(item->key, fn_work_rng(w), alg, item->f[2].b, iv));
    } else if (alg == FN_SGD_SM4_ECB) {
        if (item->f[2].b.n) return FN_FAIL(FN_E_ARGUMENT, "ECB has no start value");
        memset(iv, 0, 16);
    } else {
        if (item->f[2].b.n != 16)
            return FN_FAIL(FN_E_ARGUMENT, "start value of %zu bytes, 16 wanted", item->f[2].b.n);
        memcpy(iv, item->f[2].b.p, 16);
    }
    memcpy(chain, iv, 16);
    FN_TRY(fn_key_cipher_run(item->key, alg, encrypt, chain, in.p, out, in.n));
    if (!(encrypt && fn_cipher_makes_nonce(item->key))) memcpy(iv, chain, 16);
    item->out.n = 24 + in.n;
    return FN_OK;
}

/* CBC encryption is serial within one message: messages run side by side. */
void fn_run_ENCRYPT(struct fn_work *w, struct fn_item **items, size_t n)
{
    struct fn_sm4_cbc_job *jobs = fn_arena_take(fn_work_arena(w), n * sizeof *jobs);
    struct fn_item **batch = fn_arena_take(fn_work_arena(w), n * sizeof *batch);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct fn_item *item = items[i];
        uint8_t *iv, *out, *chain;
        size_t size = item->f[3].b.n;
        if (!jobs || !batch || item->f[1].n != FN_SGD_SM4_CBC || !size || size % 16) {
            fn_item_fail(item, cipher_item(w, item, true));
            continue;
        }
        fn_err err = need_sm4(item->key);
        if (err == FN_OK) err = layout(item, size, &iv, &out);
        if (err == FN_OK) err = fn_cipher_start(item->key, fn_work_rng(w), FN_SGD_SM4_CBC, item->f[2].b, iv);
        if (err == FN_OK && !(chain = fn_arena_take(fn_work_arena(w), 16)))
            err = FN_FAIL(FN_E_NO_MEMORY, "16 bytes");
        fn_item_fail(item, err);
        if (err != FN_OK) continue;
        memcpy(chain, iv, 16);
        jobs[count] = (struct fn_sm4_cbc_job){&item->key->secret->gcm.sm4, chain, item->f[3].b.p, out, size};
        batch[count++] = item;
    }
    fn_err err = count ? fn_sm4_cbc_encrypt_batch(count, jobs) : FN_OK;
    for (size_t i = 0; i < count; i++) {
        fn_item_fail(batch[i], err);
        if (err != FN_OK) continue;
        if (!fn_cipher_makes_nonce(batch[i]->key)) memcpy(batch[i]->out.p + 4, jobs[i].iv, 16);
        batch[i]->out.n = 24 + jobs[i].n;
    }
}

void fn_run_DECRYPT(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], cipher_item(w, items[i], false));
}

/* ---- MAC and hash ---- */

static fn_err cbc_mac(struct fn_item *item)
{
    uint8_t iv[16] = {0};
    FN_TRY(need_sm4(item->key));
    if (item->f[2].b.n && item->f[2].b.n != 16)
        return FN_FAIL(FN_E_ARGUMENT, "start value of %zu bytes, 16 or none", item->f[2].b.n);
    if (item->f[2].b.n) memcpy(iv, item->f[2].b.p, 16);
    if (!item->f[3].b.n) return FN_FAIL(FN_E_CIPHER_LENGTH, "no data");
    FN_TRY(fn_sm4_cbc_mac(&item->key->secret->gcm.sm4, iv, item->f[3].b.p, item->f[3].b.n));
    FN_TRY(fn_buf_var(&item->out, iv, 16));
    return fn_buf_var(&item->out, iv, 16);
}

void fn_run_MAC(struct fn_work *w, struct fn_item **items, size_t n)
{
    struct fn_arena *a = fn_work_arena(w);
    const struct fn_hmac_key **keys = fn_arena_take(a, n * sizeof *keys);
    struct fn_bytes *messages = fn_arena_take(a, n * sizeof *messages);
    uint8_t(*macs)[FN_SM3_SIZE] = fn_arena_take(a, n * sizeof *macs);
    struct fn_item **batch = fn_arena_take(a, n * sizeof *batch);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct fn_item *item = items[i];
        uint32_t alg = (uint32_t)item->f[1].n;
        fn_err err = keys && messages && macs && batch ? FN_OK : FN_FAIL(FN_E_NO_MEMORY, "MACs");
        if (err == FN_OK && !fn_key_alg_symmetric(item->key->alg))
            err = FN_FAIL(FN_E_KEY_ALGORITHM, "not a symmetric key");
        if (err == FN_OK && alg == FN_SGD_SM4_MAC) {
            err = cbc_mac(item);
        } else if (err == FN_OK && (alg == FN_SGD_SM3 || alg == FN_SGD_SM3_HMAC)) {
            if (item->f[2].b.n) err = FN_FAIL(FN_E_ARGUMENT, "HMAC has no start value");
            keys[count] = &item->key->secret->hmac;
            messages[count] = item->f[3].b;
            if (err == FN_OK) batch[count++] = item;
        } else if (err == FN_OK) {
            err = FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %x", alg);
        }
        fn_item_fail(item, err);
    }
    if (count) fn_hmac_batch(count, keys, messages, macs);
    for (size_t i = 0; i < count; i++) {
        fn_err err = fn_buf_var(&batch[i]->out, NULL, 0);
        if (err == FN_OK) err = fn_buf_var(&batch[i]->out, macs[i], FN_SM3_SIZE);
        fn_item_fail(batch[i], err);
    }
}

static fn_err sha256(struct fn_item *item)
{
    uint8_t digest[32];
    if (EVP_Digest(item->f[1].b.p, item->f[1].b.n, digest, NULL, EVP_sha256(), NULL) != 1)
        return FN_FAIL(FN_E_INTERNAL, "SHA-256");
    return fn_buf_var(&item->out, digest, sizeof digest);
}

void fn_run_HASH(struct fn_work *w, struct fn_item **items, size_t n)
{
    struct fn_arena *a = fn_work_arena(w);
    struct fn_bytes *messages = fn_arena_take(a, n * sizeof *messages);
    uint8_t(*digests)[FN_SM3_SIZE] = fn_arena_take(a, n * sizeof *digests);
    struct fn_item **batch = fn_arena_take(a, n * sizeof *batch);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        fn_err err = messages && digests && batch ? FN_OK : FN_FAIL(FN_E_NO_MEMORY, "digests");
        if (err == FN_OK && items[i]->f[0].n == FN_SGD_SHA256) {
            err = sha256(items[i]);
        } else if (err == FN_OK && items[i]->f[0].n == FN_SGD_SM3) {
            messages[count] = items[i]->f[1].b;
            batch[count++] = items[i];
        } else if (err == FN_OK) {
            err = FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %x", (unsigned)items[i]->f[0].n);
        }
        fn_item_fail(items[i], err);
    }
    if (count) fn_sm3_batch(count, messages, digests);
    for (size_t i = 0; i < count; i++)
        fn_item_fail(batch[i], fn_buf_var(&batch[i]->out, digests[i], FN_SM3_SIZE));
}

/* ---- authenticated encryption ---- */

static fn_err aead_nonce(struct fn_item *item, const struct fn_rng *rng, struct fn_bytes *nonce,
                         uint8_t made[12])
{
    *nonce = item->f[2].b;
    if (fn_cipher_makes_nonce(item->key) && nonce->n)
        return FN_FAIL(FN_E_KEY_NONCE, "%zu bytes given", nonce->n);
    if (nonce->n) return FN_OK;
    *nonce = fn_bytes(made, 12);
    return fn_rng_fill(rng, made, 12);
}

/* Response: var nonce ‖ var data ‖ var tag ‖ version. The job writes data and tag in place. */
static fn_err seal_item(struct fn_item *item, const struct fn_rng *rng, struct fn_gcm_job *job)
{
    uint8_t made[12], *where;
    struct fn_bytes nonce, in = item->f[4].b;
    FN_TRY(need_sm4(item->key));
    FN_TRY(aead_nonce(item, rng, &nonce, made));
    if (nonce.n > 64) return FN_FAIL(FN_E_ARGUMENT, "nonce of %zu bytes", nonce.n);
    size_t size = 4 + nonce.n + 4 + in.n + 4 + 16 + 4;
    FN_TRY(fn_buf_reserve(&item->out, size, &where));
    fn_put_be32(where, (uint32_t)nonce.n);
    memcpy(where + 4, nonce.p, nonce.n);
    uint8_t *data = where + 4 + nonce.n + 4, *tag = data + in.n + 4;
    fn_put_be32(data - 4, (uint32_t)in.n);
    fn_put_be32(tag - 4, 16);
    fn_put_be32(tag + 16, item->key->version);
    item->out.n = size;
    *job = (struct fn_gcm_job){.key = &item->key->secret->gcm,
                               .nonce = fn_bytes(where + 4, nonce.n),
                               .aad = item->f[3].b,
                               .in = in.p,
                               .out = data,
                               .n = in.n,
                               .tag = tag,
                               .tag_size = 16};
    return FN_OK;
}

static fn_err open_item(struct fn_item *item, struct fn_arena *a, struct fn_gcm_job *job)
{
    uint8_t *where, *tag;
    struct fn_bytes in = item->f[5].b;
    FN_TRY(need_sm4(item->key));
    if (item->f[2].b.n < 1 || item->f[2].b.n > 64)
        return FN_FAIL(FN_E_ARGUMENT, "nonce of %zu bytes", item->f[2].b.n);
    if (item->f[4].b.n != 16) return FN_FAIL(FN_E_TAG, "tag of %zu bytes, 16 wanted", item->f[4].b.n);
    FN_TRY(fn_buf_reserve(&item->out, 4 + in.n, &where));
    tag = fn_arena_take(a, 16);
    if (!tag) return FN_FAIL(FN_E_NO_MEMORY, "16 bytes");
    memcpy(tag, item->f[4].b.p, 16);
    fn_put_be32(where, (uint32_t)in.n);
    *job = (struct fn_gcm_job){.key = &item->key->secret->gcm,
                               .nonce = item->f[2].b,
                               .aad = item->f[3].b,
                               .in = in.p,
                               .out = where + 4,
                               .n = in.n,
                               .tag = tag,
                               .tag_size = 16};
    return FN_OK;
}

static fn_err ccm(struct fn_gcm_job *job, bool encrypt)
{
    const struct fn_sm4_key *k = &job->key->sm4;
    if (encrypt)
        return fn_ccm_encrypt(k, job->nonce, job->aad, job->in, job->out, job->n, job->tag, job->tag_size);
    return fn_ccm_decrypt(k, job->nonce, job->aad, job->in, job->out, job->n, job->tag, job->tag_size);
}

static void aead(struct fn_work *w, struct fn_item **items, size_t n, bool encrypt)
{
    struct fn_gcm_job *jobs = fn_arena_take(fn_work_arena(w), n * sizeof *jobs);
    struct fn_item **batch = fn_arena_take(fn_work_arena(w), n * sizeof *batch);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct fn_item *item = items[i];
        uint32_t alg = (uint32_t)item->f[1].n;
        fn_err err = jobs && batch ? FN_OK : FN_FAIL(FN_E_NO_MEMORY, "messages");
        if (err == FN_OK && alg != FN_SGD_SM4_GCM && alg != FN_SGD_SM4_CCM)
            err = FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %x", alg);
        if (err == FN_OK)
            err = encrypt ? seal_item(item, fn_work_rng(w), &jobs[count])
                          : open_item(item, fn_work_arena(w), &jobs[count]);
        if (err == FN_OK && alg == FN_SGD_SM4_CCM) {
            err = ccm(&jobs[count], encrypt);
            if (err == FN_OK && !encrypt) item->out.n = 4 + jobs[count].n;
        } else if (err == FN_OK) {
            batch[count++] = item;
        }
        fn_item_fail(item, err);
    }
    if (count) (encrypt ? fn_gcm_encrypt_batch : fn_gcm_decrypt_batch)(count, jobs);
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].result == FN_OK && !encrypt) batch[i]->out.n = 4 + jobs[i].n;
        fn_item_fail(batch[i], jobs[i].result);
    }
}

void fn_run_AEAD_ENCRYPT(struct fn_work *w, struct fn_item **items, size_t n)
{
    aead(w, items, n, true);
}
void fn_run_AEAD_DECRYPT(struct fn_work *w, struct fn_item **items, size_t n)
{
    aead(w, items, n, false);
}

static fn_err random_item(struct fn_work *w, struct fn_item *item)
{
    uint8_t *where;
    size_t n = item->f[0].n;
    if (n < 1 || n > FN_DEVICE_FRAME_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "%zu bytes, 1 to %u", n, FN_DEVICE_FRAME_MOST);
    FN_TRY(fn_buf_reserve(&item->out, 4 + n, &where));
    fn_put_be32(where, (uint32_t)n);
    FN_TRY(fn_rng_fill(fn_work_rng(w), where + 4, n));
    item->out.n += 4 + n;
    return FN_OK;
}

void fn_run_RANDOM(struct fn_work *w, struct fn_item **items, size_t n)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        /* Bounded before the work is done: one small request could ask for gigabytes. */
        total += items[i]->f[0].n;
        fn_err err =
            total > FN_DEVICE_FRAME_MOST
                ? FN_FAIL(FN_E_TOO_LARGE, "more than %u random bytes in one request", FN_DEVICE_FRAME_MOST)
                : random_item(w, items[i]);
        fn_item_fail(items[i], err);
    }
}
