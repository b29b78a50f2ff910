/* Multi-part calculations (GM/T 0018-2023 6.5, 6.6): a session has one of each kind. Any failure ends the
 * calculation. */
#include "base/sys/heap.h"
#include "base/sys/secret.h"
#include "device/cipher.h"
#include "device/part.h"
#include <string.h>

/* Authenticated decryption gives its data out before the tag is checked, as the standard's Update and Final
 * demand: callers have room for one block when they call Final. Who wants nothing before the check uses
 * AEAD_DECRYPT. */

struct fn_multi {
    enum fn_multipart kind;
    struct fn_key *key;
    uint32_t alg;
    uint8_t iv[16], rest[16];
    size_t rest_n;
    uint64_t total, seen;
    uint8_t tag[16];
    uint8_t counter[16], sum[16], mask[16]; /* CCM: next counter block, CBC-MAC so far, what covers the tag */
    struct fn_hmac hmac;
    struct fn_gcm gcm;
};

void fn_multi_free(struct fn_multi *p)
{
    if (!p) return;
    fn_key_release(p->key);
    fn_secret_free(p);
}

static bool streams(uint32_t alg)
{
    return alg == FN_SGD_SM4_CFB || alg == FN_SGD_SM4_OFB || alg == FN_SGD_SM4_CTR;
}
static bool blocks(uint32_t alg)
{
    return alg == FN_SGD_SM4_ECB || alg == FN_SGD_SM4_CBC;
}
static bool is_aead(enum fn_multipart kind)
{
    return kind == FN_PART_AEAD_ENCRYPT || kind == FN_PART_AEAD_DECRYPT;
}

static fn_err start_fits(const struct fn_key *key, enum fn_multipart kind, uint32_t alg)
{
    static const uint32_t usage[FN_PART_KINDS] = {FN_USE_ENCRYPT, FN_USE_DECRYPT, FN_USE_MAC,
                                                  FN_USE_MAC,     FN_USE_ENCRYPT, FN_USE_DECRYPT};
    if (!(key->usage & usage[kind]))
        return FN_FAIL(FN_E_KEY_USAGE, "usage %x, the key has %x", usage[kind], key->usage);
    if (!fn_key_alg_symmetric(key->alg)) return FN_FAIL(FN_E_KEY_ALGORITHM, "not a symmetric key");
    if (kind == FN_PART_HMAC)
        return alg == FN_SGD_SM3 || alg == FN_SGD_SM3_HMAC ? FN_OK
                                                           : FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %x", alg);
    if (key->secret->n != 16) return FN_FAIL(FN_E_KEY_ALGORITHM, "not an SM4 key of 128 bits");
    bool good = kind == FN_PART_MAC ? alg == FN_SGD_SM4_MAC
                : is_aead(kind)     ? alg == FN_SGD_SM4_GCM || alg == FN_SGD_SM4_CCM
                                    : streams(alg) || blocks(alg);
    if (!good) return FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %x in parts", alg);
    if ((kind == FN_PART_ENCRYPT || kind == FN_PART_AEAD_ENCRYPT) && fn_cipher_makes_nonce(key))
        return FN_FAIL(FN_E_KEY_NONCE, "encryption in parts takes a start value, which this key does not");
    return FN_OK;
}

/* B0 and the associated data go into the MAC at once (GB/T 36624 clause 9); counter block 0 covers the tag.
 */
static fn_err start_ccm(struct fn_multi *p, struct fn_bytes nonce, struct fn_bytes aad)
{
    const struct fn_sm4_key *k = &p->key->secret->gcm.sm4;
    struct fn_buf head = fn_buf_arena();
    static const uint8_t zero[16];
    uint8_t first[16] = {0};
    if (nonce.n < 7 || nonce.n > 13)
        return FN_FAIL(FN_E_ARGUMENT, "nonce of %zu bytes, 7 to 13 for CCM", nonce.n);
    size_t q = 15 - nonce.n;
    if (q < 8 && p->total >> 8 * q)
        return FN_FAIL(FN_E_TOO_LARGE, "%llu bytes with this nonce", (unsigned long long)p->total);
    first[0] = (uint8_t)((aad.n ? 0x40 : 0) | (16 - 2) / 2 << 3 | (q - 1));
    memcpy(first + 1, nonce.p, nonce.n);
    for (size_t i = 0; i < q && i < 8; i++) first[15 - i] = (uint8_t)(p->total >> 8 * i);
    FN_TRY(fn_buf_add(&head, first, 16));
    if (aad.n >= 0xff00) {
        FN_TRY(fn_buf_u16(&head, 0xfffe));
        FN_TRY(fn_buf_u32(&head, (uint32_t)aad.n));
    } else if (aad.n) {
        FN_TRY(fn_buf_u16(&head, (uint16_t)aad.n));
    }
    FN_TRY(fn_buf_add(&head, aad.p, aad.n));
    FN_TRY(fn_buf_add(&head, zero, -head.n & 15));
    FN_TRY(fn_sm4_cbc_mac(k, p->sum, head.p, head.n));
    p->counter[0] = (uint8_t)(q - 1);
    memcpy(p->counter + 1, nonce.p, nonce.n);
    fn_sm4_ctr_crypt(k, p->counter, zero, p->mask, 16);
    return FN_OK;
}

static fn_err start_aead(struct fn_multi *p, const struct fn_item *item)
{
    struct fn_bytes nonce = item->f[3].b, aad = item->f[4].b, tag = item->f[6].b;
    bool decrypt = p->kind == FN_PART_AEAD_DECRYPT;
    if (nonce.n < 1 || nonce.n > 64) return FN_FAIL(FN_E_ARGUMENT, "nonce of %zu bytes", nonce.n);
    if (decrypt && tag.n != 16) return FN_FAIL(FN_E_TAG, "tag of %zu bytes, 16 wanted", tag.n);
    if (decrypt) memcpy(p->tag, tag.p, 16);
    if (p->alg == FN_SGD_SM4_CCM) return start_ccm(p, nonce, aad);
    return fn_gcm_start(&p->gcm, &p->key->secret->gcm, decrypt, nonce, aad);
}

static fn_err start(struct fn_work *w, struct fn_item *item)
{
    struct fn_session *s = item->request->session;
    uint64_t kind = item->f[0].n;
    struct fn_multi *p;
    if (kind >= FN_PART_KINDS) return FN_FAIL(FN_E_ARGUMENT, "kind %u", (unsigned)kind);
    if (s->parts[kind]) {
        fn_multi_free(s->parts[kind]);
        s->parts[kind] = NULL;
        return FN_FAIL(FN_E_DEVICE_STEP, "one was under way; both are ended");
    }
    FN_TRY(start_fits(item->key, (enum fn_multipart)kind, (uint32_t)item->f[2].n));
    if (kind != FN_PART_DECRYPT && kind != FN_PART_AEAD_DECRYPT) {
        FN_TRY(fn_policy_ask(item->key->key_class, FN_POLICY_USE, item->key->state,
                             item->request->who->test ? FN_DOOR_TEST_TENANT : FN_DOOR_APPLICATION, true));
        FN_TRY(fn_key_use(fn_work_device(w), item->key, 1));
    }
    FN_TRY(fn_secret_alloc(&p, sizeof *p));
    p->kind = (enum fn_multipart)kind;
    p->key = fn_key_hold(item->key);
    p->alg = (uint32_t)item->f[2].n;
    p->total = item->f[5].n;
    fn_err err = FN_OK;
    struct fn_bytes iv = item->f[3].b;
    if (is_aead(p->kind))
        err = start_aead(p, item);
    else if (p->kind == FN_PART_HMAC)
        fn_hmac_init(&p->hmac, &p->key->secret->hmac);
    else if (p->alg == FN_SGD_SM4_ECB || (p->alg == FN_SGD_SM4_MAC && !iv.n))
        err = iv.n ? FN_FAIL(FN_E_ARGUMENT, "ECB has no start value") : FN_OK;
    else if (iv.n != 16)
        err = FN_FAIL(FN_E_ARGUMENT, "start value of %zu bytes, 16 wanted", iv.n);
    else
        memcpy(p->iv, iv.p, 16);
    if (err == FN_OK)
        s->parts[kind] = p;
    else
        fn_multi_free(p);
    return err;
}

void fn_run_PART_START(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], start(w, items[i]));
}

static fn_err ccm_run(struct fn_multi *p, const uint8_t *in, uint8_t *out, size_t n)
{
    const struct fn_sm4_key *k = &p->key->secret->gcm.sm4;
    bool decrypt = p->kind == FN_PART_AEAD_DECRYPT;
    if (!decrypt) FN_TRY(fn_sm4_cbc_mac(k, p->sum, in, n));
    fn_sm4_ctr_crypt(k, p->counter, in, out, n);
    return decrypt ? fn_sm4_cbc_mac(k, p->sum, out, n) : FN_OK;
}

static fn_err blocks_run(struct fn_multi *p, const uint8_t *in, uint8_t *out, size_t n)
{
    if (is_aead(p->kind)) return ccm_run(p, in, out, n);
    if (p->kind == FN_PART_MAC) return fn_sm4_cbc_mac(&p->key->secret->gcm.sm4, p->iv, in, n);
    return fn_key_cipher_run(p->key, p->alg, p->kind == FN_PART_ENCRYPT, p->iv, in, out, n);
}

/* Whole blocks go through; the rest waits for more. */
static fn_err cipher_update(struct fn_multi *p, struct fn_bytes in, struct fn_buf *out)
{
    uint8_t *where;
    FN_TRY(fn_buf_reserve(out, in.n + 16, &where));
    if (p->rest_n) {
        size_t take = 16 - p->rest_n < in.n ? 16 - p->rest_n : in.n;
        if (take) memcpy(p->rest + p->rest_n, in.p, take);
        p->rest_n += take;
        in = fn_bytes(in.p + take, in.n - take);
        if (p->rest_n < 16) return FN_OK;
        FN_TRY(blocks_run(p, p->rest, where, 16));
        p->rest_n = 0;
        where += 16;
        if (p->kind != FN_PART_MAC) out->n += 16;
    }
    size_t whole = in.n & ~(size_t)15;
    if (whole) FN_TRY(blocks_run(p, in.p, where, whole));
    if (p->kind != FN_PART_MAC) out->n += whole;
    p->rest_n = in.n - whole;
    if (p->rest_n) memcpy(p->rest, in.p + whole, p->rest_n);
    return FN_OK;
}

static fn_err update(struct fn_multi *p, struct fn_bytes in, struct fn_buf *out)
{
    uint8_t *where;
    p->seen += in.n;
    if (is_aead(p->kind) && (p->total || p->alg == FN_SGD_SM4_CCM) && p->seen > p->total)
        return FN_FAIL(FN_E_CIPHER_LENGTH, "more than the %llu bytes announced",
                       (unsigned long long)p->total);
    if (p->kind == FN_PART_HMAC) {
        fn_hmac_update(&p->hmac, in.p, in.n);
        return FN_OK;
    }
    if (!is_aead(p->kind) || p->alg == FN_SGD_SM4_CCM) return cipher_update(p, in, out);
    FN_TRY(fn_buf_reserve(out, in.n, &where));
    FN_TRY(fn_gcm_update(&p->gcm, in.p, where, in.n));
    out->n += in.n;
    return FN_OK;
}

static fn_err part_update(struct fn_device *d, struct fn_item *item)
{
    uint64_t kind = item->f[0].n;
    struct fn_session *s = item->request->session;
    struct fn_buf out = fn_buf_arena();
    if (kind >= FN_PART_KINDS || !s->parts[kind]) return FN_FAIL(FN_E_DEVICE_STEP, "nothing was started");
    fn_err err = fn_key_not_destroyed(d, s->parts[kind]->key);
    if (err == FN_OK) err = update(s->parts[kind], item->f[1].b, &out);
    if (err != FN_OK) {
        fn_multi_free(s->parts[kind]);
        s->parts[kind] = NULL;
        return err;
    }
    return fn_buf_var(&item->out, out.p, out.n);
}

void fn_run_PART_UPDATE(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], part_update(fn_work_device(w), items[i]));
}

/* The last partial block of CCM; the tag. */
static fn_err finish_ccm(struct fn_multi *p, struct fn_buf *out, uint8_t tag[16])
{
    const struct fn_sm4_key *k = &p->key->secret->gcm.sm4;
    uint8_t text[16] = {0};
    FN_SCOPED_WIPE(text);
    if (p->rest_n) {
        fn_sm4_ctr_crypt(k, p->counter, p->rest, text, p->rest_n);
        FN_TRY(fn_buf_add(out, text, p->rest_n));
        if (p->kind == FN_PART_AEAD_ENCRYPT) memcpy(text, p->rest, p->rest_n);
        memset(text + p->rest_n, 0, 16 - p->rest_n);
        FN_TRY(fn_sm4_cbc_mac(k, p->sum, text, 16));
    }
    for (size_t i = 0; i < 16; i++) tag[i] = p->sum[i] ^ p->mask[i];
    return FN_OK;
}

static fn_err finish_aead(struct fn_multi *p, struct fn_buf *out, uint8_t tag[16])
{
    bool ccm = p->alg == FN_SGD_SM4_CCM;
    if ((p->total || ccm) && p->seen != p->total)
        return FN_FAIL(FN_E_CIPHER_LENGTH, "%llu bytes of %llu", (unsigned long long)p->seen,
                       (unsigned long long)p->total);
    if (ccm)
        FN_TRY(finish_ccm(p, out, tag));
    else
        fn_gcm_finish(&p->gcm, tag);
    if (p->kind == FN_PART_AEAD_DECRYPT && !fn_equal_ct(tag, p->tag, 16))
        return FN_FAIL(FN_E_TAG, "what was given out must not be used");
    return FN_OK;
}

static fn_err finish(struct fn_multi *p, struct fn_buf *out, struct fn_buf *tag)
{
    uint8_t mac[32] = {0}, *where;
    if (is_aead(p->kind)) {
        FN_TRY(finish_aead(p, out, mac));
        return p->kind == FN_PART_AEAD_ENCRYPT ? fn_buf_add(tag, mac, 16) : FN_OK;
    }
    if (p->kind == FN_PART_HMAC) {
        fn_hmac_final(&p->hmac, mac);
        return fn_buf_add(tag, mac, 32);
    }
    if (p->rest_n && !streams(p->alg)) return FN_FAIL(FN_E_CIPHER_LENGTH, "%zu bytes left over", p->rest_n);
    if (p->kind == FN_PART_MAC) return fn_buf_add(tag, p->iv, 16);
    if (!p->rest_n) return FN_OK;
    FN_TRY(fn_buf_reserve(out, p->rest_n, &where));
    FN_TRY(blocks_run(p, p->rest, where, p->rest_n));
    out->n += p->rest_n;
    return FN_OK;
}

static fn_err part_finish(struct fn_device *d, struct fn_item *item)
{
    uint64_t kind = item->f[0].n;
    struct fn_session *s = item->request->session;
    struct fn_buf out = fn_buf_arena(), tag = fn_buf_arena();
    if (kind >= FN_PART_KINDS || !s->parts[kind]) return FN_FAIL(FN_E_DEVICE_STEP, "nothing was started");
    fn_err err = fn_key_not_destroyed(d, s->parts[kind]->key);
    if (err == FN_OK) err = finish(s->parts[kind], &out, &tag);
    fn_multi_free(s->parts[kind]);
    s->parts[kind] = NULL;
    FN_TRY(err);
    FN_TRY(fn_buf_var(&item->out, out.p, out.n));
    return fn_buf_var(&item->out, tag.p, tag.n);
}

void fn_run_PART_FINISH(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], part_finish(fn_work_device(w), items[i]));
}
