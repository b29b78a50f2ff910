/* Modes of SM4, SM3 and HMAC: pieces give what the whole gives, batches what single calls give, in place what
 * elsewhere, decryption what was encrypted, and a changed bit is found. The data are key, nonce, how to cut,
 * and the message. */
#include "crypto/sm3/sm3.h"
#include "crypto/sm4/sm4.h"

#include <stdlib.h>

#define MOST 3000 /* more than two kernels of every mode */
#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

static struct input {
    uint8_t key[16], key2[16], iv[16];
    uint8_t cut[4];
    const uint8_t *p;
    size_t n;
} in;

/* Exactly n bytes on the heap, so that the sanitizer sees one byte too many; at an odd address with `shift`.
 */
struct place {
    uint8_t *base, *p;
};
static struct place place(const void *content, size_t n, size_t shift)
{
    struct place x = {malloc(n + shift), NULL};
    MUST(x.base);
    x.p = x.base + shift;
    if (n) memcpy(x.p, content, n);
    return x;
}
static void leave(struct place x)
{
    free(x.base);
}

/* Where a message of n bytes is cut, in whole units. */
static size_t cut_at(size_t n, size_t unit, int which)
{
    size_t units = n / unit;
    return units ? (size_t)in.cut[which] * (units + 1) / 256 * unit : 0;
}

typedef fn_err block_mode(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *p, uint8_t *out,
                          size_t n);

static fn_err ecb_encrypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *p, uint8_t *out,
                          size_t n)
{
    (void)iv;
    return fn_sm4_ecb_encrypt(key, p, out, n);
}
static fn_err ecb_decrypt(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *p, uint8_t *out,
                          size_t n)
{
    (void)iv;
    return fn_sm4_ecb_decrypt(key, p, out, n);
}
#define AS_BLOCK(name)                                                                                       \
    static fn_err name(const struct fn_sm4_key *key, uint8_t iv[16], const uint8_t *p, uint8_t *out,         \
                       size_t n)                                                                             \
    {                                                                                                        \
        fn_sm4_##name(key, iv, p, out, n);                                                                   \
        return FN_OK;                                                                                        \
    }
AS_BLOCK(cfb_encrypt)
AS_BLOCK(cfb_decrypt)
AS_BLOCK(ofb_crypt)
AS_BLOCK(ctr_crypt)

static const struct mode {
    block_mode *encrypt, *decrypt;
    bool whole;
} modes[] = {
    {ecb_encrypt, ecb_decrypt, true},  {fn_sm4_cbc_encrypt, fn_sm4_cbc_decrypt, true},
    {cfb_encrypt, cfb_decrypt, false}, {ofb_crypt, ofb_crypt, false},
    {ctr_crypt, ctr_crypt, false},
};

static void check_mode(const struct mode *m, const struct fn_sm4_key *key)
{
    uint8_t iv[16], iv2[16];
    struct place out = place(in.p, in.n, 0), back = place(in.p, in.n, 3);
    memcpy(iv, in.iv, 16);
    memcpy(iv2, in.iv, 16);
    if (m->whole && in.n % 16) {
        MUST(m->encrypt(key, iv, in.p, out.p, in.n) == FN_E_CIPHER_LENGTH);
        MUST(m->decrypt(key, iv, in.p, out.p, in.n) == FN_E_CIPHER_LENGTH);
        MUST(!memcmp(iv, iv2, 16) && (!in.n || !memcmp(out.p, in.p, in.n)));
    } else {
        size_t cut = cut_at(in.n, 16, 0);
        MUST(!m->encrypt(key, iv, in.p, out.p, in.n));
        MUST(!m->encrypt(key, iv2, back.p, back.p, cut)); /* in place, in two calls, at another address */
        MUST(!m->encrypt(key, iv2, back.p + cut, back.p + cut, in.n - cut));
        MUST(!memcmp(out.p, back.p, in.n));
        if (in.n % 16 == 0) MUST(!memcmp(iv, iv2, 16));
        cut = cut_at(in.n, 16, 1);
        memcpy(iv, in.iv, 16);
        MUST(!m->decrypt(key, iv, out.p, out.p, cut));
        MUST(!m->decrypt(key, iv, out.p + cut, out.p + cut, in.n - cut));
        MUST(!memcmp(out.p, in.p, in.n));
    }
    leave(out);
    leave(back);
}

/* Jobs of uneven lengths out of the message, two keys in turn. */
static void check_cbc_batch(const struct fn_sm4_key keys[2])
{
    enum { JOBS = 40 };
    struct fn_sm4_cbc_job jobs[JOBS];
    uint8_t ivs[JOBS][16], iv[16];
    size_t n = in.n / 16 * 16, at = 0, count = 0;
    struct place out = place(in.p, n, 1), single = place(in.p, n, 0);
    for (; count < JOBS && at <= n; count++) {
        size_t take = (in.cut[count % 4] + count) % 9 * 16;
        if (take > n - at || count + 1 == JOBS) take = n - at;
        memcpy(ivs[count], in.iv, 16);
        ivs[count][0] = (uint8_t)count;
        jobs[count] = (struct fn_sm4_cbc_job){&keys[count % 2], ivs[count], out.p + at, out.p + at, take};
        memcpy(iv, ivs[count], 16);
        MUST(!fn_sm4_cbc_encrypt(&keys[count % 2], iv, single.p + at, single.p + at, take));
        at += take;
        if (at == n) at = n + 1;
    }
    MUST(!fn_sm4_cbc_encrypt_batch(count, jobs));
    MUST(!memcmp(out.p, single.p, n));
    leave(out);
    leave(single);
}

static void check_xts(const struct fn_sm4_key keys[2])
{
    for (int kind = FN_SM4_XTS_GB; kind <= FN_SM4_XTS_IEEE; kind++) {
        struct place out = place(in.p, in.n, 5), other = place(in.p, in.n, 0);
        fn_err err = fn_sm4_xts_encrypt(&keys[0], &keys[1], kind, in.iv, in.p, other.p, in.n);
        MUST(err == (in.n < 16 ? FN_E_CIPHER_LENGTH : FN_OK));
        if (!err) {
            MUST(!fn_sm4_xts_encrypt(&keys[0], &keys[1], kind, in.iv, out.p, out.p, in.n));
            MUST(!memcmp(out.p, other.p, in.n));
            MUST(!fn_sm4_xts_decrypt(&keys[0], &keys[1], kind, in.iv, out.p, out.p, in.n));
            MUST(!memcmp(out.p, in.p, in.n));
        }
        leave(out);
        leave(other);
    }
}

static struct fn_bytes nonce(void)
{
    return fn_bytes(in.iv, 1 + in.cut[2] % 16);
}
static struct fn_bytes aad(void)
{
    return fn_bytes(in.p, in.cut[3] % (in.n + 1));
}

static void check_gcm_pieces(const struct fn_gcm_key *key, bool decrypt, const uint8_t *from,
                             const uint8_t *to, const uint8_t *tag)
{
    struct fn_gcm g;
    uint8_t got[16];
    struct place out = place(from, in.n, 7);
    size_t cut = cut_at(in.n, 1, 0);
    MUST(!fn_gcm_start(&g, key, decrypt, nonce(), aad()));
    for (size_t at = 0, n; at < in.n; at += n) {
        n = at < cut ? 1 + in.cut[1] % 37 : 300;
        if (n > in.n - at) n = in.n - at;
        (void)fn_gcm_update(&g, out.p + at, out.p + at, n);
    }
    fn_gcm_finish(&g, got);
    MUST(!memcmp(got, tag, 16) && !memcmp(out.p, to, in.n));
    leave(out);
}

static void check_gcm(const struct fn_gcm_key keys[2])
{
    static const size_t sizes[] = {4, 8, 12, 13, 14, 15, 16};
    uint8_t tag[16], tag2[16];
    struct place out = place(in.p, in.n, 0), back = place(in.p, in.n, 2);
    struct fn_gcm_job job = {&keys[0], nonce(), aad(), in.p, out.p, in.n, tag, 16, FN_OK};
    MUST(!fn_gcm_encrypt(&job));
    check_gcm_pieces(&keys[0], false, in.p, out.p, tag);
    check_gcm_pieces(&keys[0], true, out.p, in.p, tag);
    /* The same job among others of another key and of other lengths. */
    struct fn_gcm_job batch[3] = {job, job, job};
    struct place first = place(in.p, in.n, 0), last = place(in.p, in.n, 0);
    uint8_t tags[2][16];
    batch[0].key = batch[2].key = &keys[1];
    batch[0].n = cut_at(in.n, 1, 1);
    batch[0].out = first.p;
    batch[2].out = last.p;
    batch[1].out = back.p;
    batch[0].tag = tags[0];
    batch[2].tag = tags[1];
    batch[1].tag = tag2;
    batch[1].tag_size = sizes[in.cut[0] % FN_COUNT(sizes)];
    fn_gcm_encrypt_batch(3, batch);
    MUST(!batch[0].result && !batch[1].result && !batch[2].result);
    MUST(!memcmp(back.p, out.p, in.n) && !memcmp(tag, tag2, batch[1].tag_size));
    /* A changed bit in one message is found, nothing is written for it, and the others open. */
    for (int i = 0; i < 3; i++) batch[i].in = batch[i].out;
    uint8_t *wrong = in.n && in.cut[1] & 1 ? back.p + (size_t)in.cut[1] * in.n / 256
                                           : tag2 + in.cut[1] % batch[1].tag_size;
    *wrong ^= 1 << (in.cut[0] & 7);
    struct place before = place(back.p, in.n, 0);
    fn_gcm_decrypt_batch(3, batch);
    MUST(!batch[0].result && batch[1].result == FN_E_TAG && !batch[2].result);
    MUST(!memcmp(back.p, before.p, in.n) && !memcmp(last.p, in.p, in.n) &&
         !memcmp(first.p, in.p, batch[0].n));
    *wrong ^= 1 << (in.cut[0] & 7);
    MUST(!fn_gcm_decrypt(&batch[1]) && !memcmp(back.p, in.p, in.n));
    leave(before);
    leave(first);
    leave(last);
    leave(out);
    leave(back);
}

static void check_ccm(const struct fn_sm4_key *key)
{
    uint8_t tag[16];
    size_t tag_size = 4 + in.cut[0] % 7 * 2;
    struct fn_bytes n = fn_bytes(in.iv, 7 + in.cut[2] % 7);
    struct place out = place(in.p, in.n, 0), back = place(in.p, in.n, 1);
    MUST(!fn_ccm_encrypt(key, n, aad(), in.p, out.p, in.n, tag, tag_size));
    MUST(!fn_ccm_decrypt(key, n, aad(), out.p, back.p, in.n, tag, tag_size));
    MUST(!memcmp(back.p, in.p, in.n));
    tag[in.cut[1] % tag_size] ^= 0x10;
    MUST(fn_ccm_decrypt(key, n, aad(), out.p, out.p, in.n, tag, tag_size) == FN_E_TAG);
    for (size_t i = 0; i < in.n; i++) MUST(out.p[i] == 0);
    leave(out);
    leave(back);
}

static void check_macs(const struct fn_sm4_key *key)
{
    uint8_t tag[16], tag2[16], iv[16] = {0}, iv2[16] = {0};
    size_t n = in.n / 16 * 16, cut = cut_at(n, 16, 2);
    MUST(!fn_sm4_cbc_mac(key, iv, in.p, n));
    MUST(!fn_sm4_cbc_mac(key, iv2, in.p, cut) && !fn_sm4_cbc_mac(key, iv2, in.p + cut, n - cut));
    MUST(!memcmp(iv, iv2, 16));
    fn_sm4_cmac(key, in.p, in.n, tag);
    if (in.n == 0) return;
    struct place other = place(in.p, in.n, 9);
    fn_sm4_cmac(key, other.p, in.n, tag2);
    MUST(!memcmp(tag, tag2, 16));
    other.p[in.cut[0] % in.n] ^= 4;
    fn_sm4_cmac(key, other.p, in.n, tag2);
    MUST(memcmp(tag, tag2, 16));
    leave(other);
}

/* Digests and MACs of pieces, and of a batch that the message is divided into. */
static void check_hashes(void)
{
    enum { PARTS = 9 };
    struct fn_bytes parts[PARTS];
    struct fn_hmac_key keys[2];
    const struct fn_hmac_key *which[PARTS];
    uint8_t batch[PARTS][FN_SM3_SIZE], macs[PARTS][FN_SM3_SIZE], one[FN_SM3_SIZE], pieces[FN_SM3_SIZE];
    struct fn_sm3 h;
    fn_hmac_key_init(&keys[0], in.key, in.cut[0] % 17);
    fn_hmac_key_init(&keys[1], in.p, in.n);
    size_t at = 0;
    fn_sm3_init(&h);
    for (int i = 0; i < PARTS; i++) {
        size_t n = (size_t)in.cut[i % 4] * in.n / 256 + (size_t)i;
        if (n > in.n - at || i + 1 == PARTS) n = in.n - at;
        parts[i] = fn_bytes(in.p + at, n);
        which[i] = &keys[i % 2];
        fn_sm3_update(&h, in.p + at, n);
        at += n;
    }
    fn_sm3_final(&h, pieces);
    fn_sm3_digest(in.p, in.n, one);
    MUST(!memcmp(pieces, one, sizeof one));
    fn_sm3_batch(PARTS, parts, batch);
    fn_hmac_batch(PARTS, which, parts, macs);
    for (int i = 0; i < PARTS; i++) {
        fn_sm3_digest(parts[i].p, parts[i].n, one);
        MUST(!memcmp(batch[i], one, sizeof one));
        fn_hmac_digest(which[i], parts[i].p, parts[i].n, one);
        MUST(!memcmp(macs[i], one, sizeof one));
    }
    /* A shorter key stream is the beginning of a longer one. */
    uint8_t stream[700], less[700];
    size_t n = 1 + (size_t)in.cut[1] * 2, z = in.n < 200 ? in.n : 200;
    fn_sm3_kdf(in.p, z, stream, sizeof stream);
    fn_sm3_kdf(in.p, z, less, n);
    MUST(!memcmp(stream, less, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t head = sizeof in.key + sizeof in.key2 + sizeof in.iv + sizeof in.cut;
    if (size < head || size - head > MOST) return 0;
    memcpy(&in, data, head);
    /* Exactly sized, so that reading past the message is seen. */
    struct place message = place(data + head, size - head, data[0] % 16);
    in.p = message.p;
    in.n = size - head;
    struct fn_sm4_key keys[2];
    struct fn_gcm_key gcm[2];
    fn_sm4_key_init(&keys[0], in.key);
    fn_sm4_key_init(&keys[1], in.key2);
    fn_gcm_key_init(&gcm[0], in.key);
    fn_gcm_key_init(&gcm[1], in.key2);
    for (size_t i = 0; i < FN_COUNT(modes); i++) check_mode(&modes[i], &keys[0]);
    check_cbc_batch(keys);
    check_xts(keys);
    check_gcm(gcm);
    check_ccm(&keys[0]);
    check_macs(&keys[0]);
    check_hashes();
    leave(message);
    return 0;
}
