/* SM4 and its modes against a table-based form, libcrypto and libgcrypt. Each case counts blocks. */
#include "soak.h"

#include "../crypto/sm4_reference.h"
#include "crypto/sm4/sm4.h"

#include <gcrypt.h>
#include <openssl/evp.h>

#define MOST 3000

/* Random, extreme, or a single bit. */
static void some_bytes(struct soak *s, uint8_t *p, size_t n)
{
    uint64_t kind = soak_below(s, 16);
    if (kind > 1 || n == 0) {
        soak_extreme_bytes(s, p, n);
        return;
    }
    memset(p, kind ? 0xFF : 0x00, n);
    if (soak_below(s, 4)) p[soak_below(s, n)] ^= (uint8_t)(1 << soak_below(s, 8));
}

/* Lengths around the edges of blocks and kernels as often as any other. */
static size_t some_length(struct soak *s, size_t most)
{
    if (soak_below(s, 2)) return soak_below(s, most + 1);
    size_t near = (soak_below(s, 2) ? 16 : 512) * soak_below(s, most / 16 + 1) + soak_below(s, 3);
    return near > most ? soak_below(s, 100) : near > 0 ? near - 1 : 0;
}

static uint64_t block(struct soak *s)
{
    uint64_t done = 0;
    uint8_t k[16], in[16], ours[16], theirs[16];
    for (; soak_slice(s); done += 200) {
        struct fn_sm4_key key;
        some_bytes(s, k, 16);
        fn_sm4_key_init(&key, k);
        struct ref_key ref = ref_expand(k);
        some_bytes(s, in, 16);
        for (int i = 0; i < 100; i++) { /* the output of one is the input of the next */
            fn_sm4_ecb_encrypt(&key, in, ours, 16);
            ref_block(&ref, false, in, theirs);
            soak_same(s, ours, theirs, 16, "encrypted block");
            fn_sm4_ecb_decrypt(&key, ours, ours, 16);
            soak_same(s, ours, in, 16, "decrypted block");
            memcpy(in, theirs, 16);
        }
    }
    return done;
}

static uint64_t blocks_table(struct soak *s)
{
    static uint8_t in[16 * 96], ours[16 * 96], theirs[16 * 96];
    uint64_t done = 0;
    uint8_t k[16];
    while (soak_slice(s)) {
        struct fn_sm4_key key;
        bool decrypt = soak_below(s, 2);
        size_t n = 16 * (1 + soak_below(s, 96));
        some_bytes(s, k, 16);
        some_bytes(s, in, n);
        fn_sm4_key_init(&key, k);
        struct ref_key ref = ref_expand(k);
        (decrypt ? fn_sm4_ecb_decrypt : fn_sm4_ecb_encrypt)(&key, in, ours, n);
        ref_ecb(&ref, decrypt, in, theirs, n);
        soak_same(s, ours, theirs, n, "blocks");
        done += n / 16;
    }
    return done;
}

static uint64_t key_batch(struct soak *s)
{
    static uint8_t k[70][16];
    static struct fn_sm4_key keys[70];
    struct fn_sm4_key *pointers[70];
    uint64_t done = 0;
    while (soak_slice(s)) {
        size_t n = 1 + soak_below(s, 70);
        for (size_t i = 0; i < n; i++) {
            some_bytes(s, k[i], 16);
            pointers[i] = &keys[i];
        }
        fn_sm4_key_init_batch(n, pointers, (const uint8_t(*)[16])k);
        for (size_t i = 0; i < n; i++) {
            struct ref_key ref = ref_expand(k[i]);
            soak_same(s, keys[i].rk, ref.rk, sizeof ref.rk, "round keys");
        }
        done += n;
    }
    return done;
}

static void libcrypto(struct soak *s, const char *name, bool decrypt, const uint8_t k[16],
                      const uint8_t iv[16], const uint8_t *in, uint8_t *out, size_t n)
{
    static EVP_CIPHER_CTX *context;
    static const char *fetched;
    static EVP_CIPHER *cipher;
    int done = 0, rest = 0;
    if (!context) context = EVP_CIPHER_CTX_new();
    if (fetched != name) {
        EVP_CIPHER_free(cipher);
        cipher = EVP_CIPHER_fetch(NULL, name, NULL);
        fetched = name;
    }
    if (!cipher || EVP_CipherInit_ex2(context, cipher, k, iv, !decrypt, NULL) != 1 ||
        EVP_CIPHER_CTX_set_padding(context, 0) != 1 ||
        EVP_CipherUpdate(context, out, &done, in, (int)n) != 1 ||
        EVP_CipherFinal_ex(context, out + done, &rest) != 1 || (size_t)(done + rest) != n)
        soak_mismatch(s, "libcrypto cannot %s of %zu bytes", name, n);
}

enum mode { ECB, CBC, CFB, OFB, CTR };

static void ours_mode(enum mode m, bool decrypt, const struct fn_sm4_key *key, uint8_t *iv, const uint8_t *in,
                      uint8_t *out, size_t n)
{
    switch (m) {
    case ECB:
        (decrypt ? fn_sm4_ecb_decrypt : fn_sm4_ecb_encrypt)(key, in, out, n);
        break;
    case CBC:
        (decrypt ? fn_sm4_cbc_decrypt : fn_sm4_cbc_encrypt)(key, iv, in, out, n);
        break;
    case CFB:
        (decrypt ? fn_sm4_cfb_decrypt : fn_sm4_cfb_encrypt)(key, iv, in, out, n);
        break;
    case OFB:
        fn_sm4_ofb_crypt(key, iv, in, out, n);
        break;
    case CTR:
        fn_sm4_ctr_crypt(key, iv, in, out, n);
        break;
    }
}

static uint64_t mode(struct soak *s, enum mode m, const char *name, size_t most)
{
    static uint8_t in[16384], ours[16384], theirs[16384];
    uint8_t k[16], iv[16], chain[16];
    uint64_t done = 0;
    while (soak_slice(s)) {
        size_t n = some_length(s, most), cut;
        bool decrypt = soak_below(s, 2);
        struct fn_sm4_key key;
        if (m == ECB || m == CBC) n = n / 16 * 16;
        cut = soak_below(s, n / 16 + 1) * 16;
        some_bytes(s, k, 16);
        some_bytes(s, iv, 16);
        some_bytes(s, in, n);
        memcpy(chain, iv, 16);
        fn_sm4_key_init(&key, k);
        ours_mode(m, decrypt, &key, chain, in, ours, cut); /* the stream in two calls */
        ours_mode(m, decrypt, &key, chain, in + cut, ours + cut, n - cut);
        libcrypto(s, name, decrypt, k, iv, in, theirs, n);
        soak_same(s, ours, theirs, n, name);
        done += n / 16 + 1;
    }
    return done;
}

static uint64_t ecb(struct soak *s)
{
    return mode(s, ECB, "SM4-ECB", 16384);
}
static uint64_t cbc(struct soak *s)
{
    return mode(s, CBC, "SM4-CBC", MOST);
}
static uint64_t cfb(struct soak *s)
{
    return mode(s, CFB, "SM4-CFB", MOST);
}
static uint64_t ofb(struct soak *s)
{
    return mode(s, OFB, "SM4-OFB", MOST);
}
static uint64_t ctr(struct soak *s)
{
    return mode(s, CTR, "SM4-CTR", 16384);
}

static uint64_t cbc_batch(struct soak *s)
{
    static uint8_t k[70][16], iv[70][16], chain[70][16], in[70][400], ours[70][400], theirs[400];
    static struct fn_sm4_key keys[70];
    static struct fn_sm4_cbc_job jobs[70];
    uint64_t done = 0;
    while (soak_slice(s)) {
        size_t count = soak_below(s, 71), of_keys = soak_below(s, 2) ? 1 : 1 + soak_below(s, 70);
        for (size_t i = 0; i < of_keys; i++) {
            some_bytes(s, k[i], 16);
            fn_sm4_key_init(&keys[i], k[i]);
        }
        for (size_t i = 0; i < count; i++) {
            some_bytes(s, iv[i], 16);
            some_bytes(s, in[i], sizeof in[i]);
            memcpy(chain[i], iv[i], 16);
            jobs[i] =
                (struct fn_sm4_cbc_job){&keys[i % of_keys], chain[i], in[i], ours[i], 16 * soak_below(s, 26)};
        }
        fn_sm4_cbc_encrypt_batch(count, jobs);
        for (size_t i = 0; i < count; i++) {
            libcrypto(s, "SM4-CBC", false, k[i % of_keys], iv[i], in[i], theirs, jobs[i].n);
            soak_same(s, ours[i], theirs, jobs[i].n, "CBC of a batch");
            done += jobs[i].n / 16;
        }
    }
    return done;
}

static gcry_cipher_hd_t open_libgcrypt(struct soak *s, int gcrypt_mode)
{
    gcry_cipher_hd_t h;
    if (gcry_cipher_open(&h, GCRY_CIPHER_SM4, gcrypt_mode, 0))
        soak_mismatch(s, "libgcrypt lacks a mode of SM4");
    return h;
}

static void libgcrypt_gcm(struct soak *s, gcry_cipher_hd_t h, const uint8_t k[16],
                          const struct fn_gcm_job *job, const uint8_t *in, uint8_t *out, uint8_t tag[16])
{
    if (gcry_cipher_reset(h) || gcry_cipher_setkey(h, k, 16) ||
        gcry_cipher_setiv(h, job->nonce.p, job->nonce.n) ||
        (job->aad.n && gcry_cipher_authenticate(h, job->aad.p, job->aad.n)) || gcry_cipher_final(h) ||
        gcry_cipher_encrypt(h, out, MOST, in, job->n) || gcry_cipher_gettag(h, tag, 16))
        soak_mismatch(s, "libgcrypt cannot GCM of %zu bytes", job->n);
}

/* One message: encrypted in one call and in pieces, decrypted, and refused after one bit was changed. */
static uint64_t gcm(struct soak *s)
{
    static uint8_t k[16], nonce[40], aad[100], in[MOST], ours[MOST], theirs[MOST], back[MOST], tag[16],
        their_tag[16];
    gcry_cipher_hd_t h = open_libgcrypt(s, GCRY_CIPHER_MODE_GCM);
    uint64_t done = 0;
    while (soak_slice(s)) {
        struct fn_gcm_key key;
        struct fn_gcm g;
        size_t n = some_length(s, MOST), nonce_n = soak_below(s, 2) ? 12 : 1 + soak_below(s, 40),
               cut = soak_below(s, n + 1);
        some_bytes(s, k, 16);
        some_bytes(s, nonce, nonce_n);
        some_bytes(s, aad, sizeof aad);
        some_bytes(s, in, n);
        fn_gcm_key_init(&key, k);
        struct fn_gcm_job job = {
            &key, fn_bytes(nonce, nonce_n), fn_bytes(aad, soak_below(s, 101)), in, ours, n, tag, 16, 0};
        if (fn_gcm_encrypt(&job) != FN_OK) soak_mismatch(s, "GCM refused");
        libgcrypt_gcm(s, h, k, &job, in, theirs, their_tag);
        soak_same(s, ours, theirs, n, "GCM text");
        soak_same(s, tag, their_tag, 16, "GCM tag");
        fn_gcm_start(&g, &key, true, job.nonce, job.aad);
        if (fn_gcm_update(&g, ours, back, cut) != FN_OK ||
            fn_gcm_update(&g, ours + cut, back + cut, n - cut) != FN_OK)
            soak_mismatch(s, "GCM in pieces refused");
        fn_gcm_finish(&g, tag);
        soak_same(s, back, in, n, "GCM text in pieces");
        soak_same(s, tag, their_tag, 16, "GCM tag in pieces");
        job.in = ours;
        tag[soak_below(s, 16)] ^= (uint8_t)(1 << soak_below(s, 8));
        if (fn_gcm_decrypt(&job) != FN_E_TAG) soak_mismatch(s, "GCM took a wrong tag");
        memcpy(tag, their_tag, 16);
        if (fn_gcm_decrypt(&job) != FN_OK) soak_mismatch(s, "GCM refused a right tag");
        soak_same(s, ours, in, n, "GCM decryption");
        done += 3 * (n / 16 + 1);
    }
    gcry_cipher_close(h);
    return done;
}

static uint64_t gcm_batch(struct soak *s)
{
    static uint8_t k[100][16], nonce[100][12], aad[100][20], in[100][700], ours[100][700], theirs[MOST],
        tag[100][16];
    static struct fn_gcm_key keys[100];
    static struct fn_gcm_job jobs[100];
    gcry_cipher_hd_t h = open_libgcrypt(s, GCRY_CIPHER_MODE_GCM);
    uint64_t done = 0;
    while (soak_slice(s)) {
        size_t count = soak_below(s, 101), of_keys = soak_below(s, 2) ? 1 : 1 + soak_below(s, 100);
        size_t longest = soak_below(s, 2) ? 70 : 700;
        for (size_t i = 0; i < of_keys; i++) {
            some_bytes(s, k[i], 16);
            fn_gcm_key_init(&keys[i], k[i]);
        }
        for (size_t i = 0; i < count; i++) {
            some_bytes(s, nonce[i], 12);
            some_bytes(s, aad[i], 20);
            some_bytes(s, in[i], sizeof in[i]);
            jobs[i] = (struct fn_gcm_job){&keys[i % of_keys],
                                          fn_bytes(nonce[i], 12),
                                          fn_bytes(aad[i], soak_below(s, 21)),
                                          in[i],
                                          ours[i],
                                          some_length(s, longest),
                                          tag[i],
                                          16,
                                          0};
        }
        fn_gcm_encrypt_batch(count, jobs);
        for (size_t i = 0; i < count; i++) {
            uint8_t their_tag[16];
            libgcrypt_gcm(s, h, k[i % of_keys], &jobs[i], in[i], theirs, their_tag);
            soak_same(s, ours[i], theirs, jobs[i].n, "GCM text of a batch");
            soak_same(s, tag[i], their_tag, 16, "GCM tag of a batch");
            jobs[i].in = ours[i];
            done += jobs[i].n / 16 + 1;
        }
        size_t bad = count ? soak_below(s, count) : 0;
        tag[bad][0] ^= 1;
        fn_gcm_decrypt_batch(count, jobs);
        for (size_t i = 0; i < count; i++) {
            if (jobs[i].result != (i == bad ? FN_E_TAG : FN_OK))
                soak_mismatch(s, "GCM job %zu gave %d", i, jobs[i].result);
            if (i != bad) soak_same(s, ours[i], in[i], jobs[i].n, "GCM decryption of a batch");
        }
    }
    gcry_cipher_close(h);
    return done;
}

static uint64_t ccm(struct soak *s)
{
    static uint8_t k[16], nonce[13], aad[300], in[MOST], ours[MOST], theirs[MOST], tag[16], their_tag[16];
    gcry_cipher_hd_t h = open_libgcrypt(s, GCRY_CIPHER_MODE_CCM);
    uint64_t done = 0;
    while (soak_slice(s)) {
        struct fn_sm4_key key;
        size_t n = some_length(s, MOST), nonce_n = 7 + soak_below(s, 7), tag_n = 4 + 2 * soak_below(s, 7);
        struct fn_bytes nonce_view = fn_bytes(nonce, nonce_n), aad_view = fn_bytes(aad, soak_below(s, 301));
        uint64_t sizes[3] = {n, aad_view.n, tag_n};
        some_bytes(s, k, 16);
        some_bytes(s, nonce, sizeof nonce);
        some_bytes(s, aad, sizeof aad);
        some_bytes(s, in, n);
        fn_sm4_key_init(&key, k);
        if (fn_ccm_encrypt(&key, nonce_view, aad_view, in, ours, n, tag, tag_n) != FN_OK)
            soak_mismatch(s, "CCM refused");
        if (gcry_cipher_reset(h) || gcry_cipher_setkey(h, k, 16) || gcry_cipher_setiv(h, nonce, nonce_n) ||
            gcry_cipher_ctl(h, GCRYCTL_SET_CCM_LENGTHS, sizes, sizeof sizes) ||
            (aad_view.n && gcry_cipher_authenticate(h, aad, aad_view.n)) ||
            gcry_cipher_encrypt(h, theirs, MOST, in, n) || gcry_cipher_gettag(h, their_tag, tag_n))
            soak_mismatch(s, "libgcrypt cannot CCM of %zu bytes", n);
        soak_same(s, ours, theirs, n, "CCM text");
        soak_same(s, tag, their_tag, tag_n, "CCM tag");
        if (fn_ccm_decrypt(&key, nonce_view, aad_view, ours, ours, n, tag, tag_n) != FN_OK)
            soak_mismatch(s, "CCM refused a right tag");
        soak_same(s, ours, in, n, "CCM decryption");
        done += 2 * (n / 16 + 1);
    }
    gcry_cipher_close(h);
    return done;
}

typedef fn_err xts_function(const struct fn_sm4_key *, const struct fn_sm4_key *, enum fn_sm4_xts,
                            const uint8_t *, const uint8_t *, uint8_t *, size_t);

static uint64_t xts(struct soak *s, enum fn_sm4_xts kind, gcry_cipher_hd_t h)
{
    static uint8_t k[32], tweak[16], in[MOST], ours[MOST], theirs[MOST];
    uint64_t done = 0;
    while (soak_slice(s)) {
        struct fn_sm4_key key1, key2;
        bool decrypt = soak_below(s, 2);
        size_t n = 16 + some_length(s, MOST - 16);
        do some_bytes(s, k, 32);
        while (memcmp(k, k + 16, 16) == 0);
        some_bytes(s, tweak, 16);
        some_bytes(s, in, n);
        fn_sm4_key_init(&key1, k);
        fn_sm4_key_init(&key2, k + 16);
        xts_function *function = decrypt ? fn_sm4_xts_decrypt : fn_sm4_xts_encrypt;
        if (function(&key1, &key2, kind, tweak, in, ours, n) != FN_OK) soak_mismatch(s, "XTS refused");
        if (kind == FN_SM4_XTS_GB) {
            struct ref_key ref1 = ref_expand(k), ref2 = ref_expand(k + 16);
            ref_xts(&ref1, &ref2, true, decrypt, tweak, in, theirs, n);
        } else if (gcry_cipher_reset(h) || gcry_cipher_setkey(h, k, 32) || gcry_cipher_setiv(h, tweak, 16) ||
                   (decrypt ? gcry_cipher_decrypt : gcry_cipher_encrypt)(h, theirs, n, in, n)) {
            soak_mismatch(s, "libgcrypt cannot XTS of %zu bytes", n);
        }
        soak_same(s, ours, theirs, n, "XTS");
        done += n / 16 + 1;
    }
    return done;
}

static uint64_t xts_ieee(struct soak *s)
{
    gcry_cipher_hd_t h = open_libgcrypt(s, GCRY_CIPHER_MODE_XTS);
    uint64_t done = xts(s, FN_SM4_XTS_IEEE, h);
    gcry_cipher_close(h);
    return done;
}

static uint64_t xts_gb(struct soak *s)
{
    return xts(s, FN_SM4_XTS_GB, NULL);
}

static uint64_t cmac(struct soak *s)
{
    static uint8_t k[16], in[MOST], ours[16], theirs[16];
    gcry_mac_hd_t h;
    uint64_t done = 0;
    if (gcry_mac_open(&h, GCRY_MAC_CMAC_SM4, 0, NULL)) soak_mismatch(s, "libgcrypt lacks CMAC of SM4");
    while (soak_slice(s)) {
        struct fn_sm4_key key;
        size_t n = some_length(s, MOST), theirs_n = 16;
        some_bytes(s, k, 16);
        some_bytes(s, in, n);
        fn_sm4_key_init(&key, k);
        fn_sm4_cmac(&key, in, n, ours);
        if (gcry_mac_setkey(h, k, 16) || gcry_mac_reset(h) || gcry_mac_write(h, in, n) ||
            gcry_mac_read(h, theirs, &theirs_n))
            soak_mismatch(s, "libgcrypt cannot CMAC of %zu bytes", n);
        soak_same(s, ours, theirs, 16, "CMAC");
        done += n / 16 + 1;
    }
    gcry_mac_close(h);
    return done;
}

const struct soak_case soak_cases_sm4[] = {
    {"sm4-block", block},         {"sm4-blocks-table", blocks_table},
    {"sm4-key-batch", key_batch}, {"sm4-ecb-libcrypto", ecb},
    {"sm4-cbc-libcrypto", cbc},   {"sm4-cfb-libcrypto", cfb},
    {"sm4-ofb-libcrypto", ofb},   {"sm4-ctr-libcrypto", ctr},
    {"sm4-cbc-batch", cbc_batch}, {"sm4-gcm-libgcrypt", gcm},
    {"sm4-gcm-batch", gcm_batch}, {"sm4-ccm-libgcrypt", ccm},
    {"sm4-xts-ieee", xts_ieee},   {"sm4-xts-gb", xts_gb},
    {"sm4-cmac-libgcrypt", cmac},
};
const size_t soak_count_sm4 = FN_COUNT(soak_cases_sm4);
