/* Algorithms against Debian's libcrypto and libgcrypt, one core, one call unless the row says batch. */
#include "bench.h"

#include "crypto/sm2/sm2.h"
#include "crypto/sm3/sm3.h"
#include "crypto/sm4/sm4.h"

#include <gcrypt.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BATCH 64

static fn_err random_fill(void *self, uint8_t *out, size_t n)
{
    static _Thread_local uint8_t pool[4096];
    static _Thread_local size_t left;
    (void)self;
    while (n) {
        if (!left) {
            if (getrandom(pool, 256, 0) != 256) abort();
            left = 256;
        }
        size_t take = n < left ? n : left;
        memcpy(out, pool + 256 - left, take);
        out += take;
        n -= take;
        left -= take;
    }
    return FN_OK;
}
static const struct fn_rng rng = {random_fill, NULL};

struct sm2_bench {
    struct fn_sm2_private key, made[BATCH];
    uint8_t e[32], sig[64], sigs[BATCH][64], message[32], cipher[32], c3[32];
    struct fn_sm2_public c1;
    struct fn_sm2_sign_job sign[BATCH];
    struct fn_sm2_verify_job verify[BATCH];
    EVP_PKEY *peer;
    EVP_PKEY_CTX *peer_sign, *peer_verify, *peer_make, *peer_encrypt, *peer_decrypt;
    uint8_t peer_sig[80], peer_cipher[256];
    size_t peer_sig_size, peer_cipher_size;
};

static void must(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "bench: %s failed\n", what);
    exit(1);
}

static void sm2_sign(void *p)
{
    struct sm2_bench *b = p;
    must(!fn_sm2_sign(&b->key, &rng, b->e, b->sig), "sign");
}
static void sm2_sign_batch(void *p)
{
    struct sm2_bench *b = p;
    must(!fn_sm2_sign_batch(BATCH, b->sign, &rng), "sign batch");
}
static void sm2_verify(void *p)
{
    struct sm2_bench *b = p;
    must(!fn_sm2_verify(&b->key.pub, b->e, b->sig), "verify");
}
static void sm2_verify_batch(void *p)
{
    struct sm2_bench *b = p;
    fn_sm2_verify_batch(BATCH, b->verify);
    for (int i = 0; i < BATCH; i++) must(!b->verify[i].result, "verify batch");
}
static void sm2_generate(void *p)
{
    struct sm2_bench *b = p;
    must(!fn_sm2_generate(&b->made[0], &rng), "generate");
}
static void sm2_encrypt(void *p)
{
    struct sm2_bench *b = p;
    must(!fn_sm2_encrypt(&b->key.pub, &rng, b->message, 32, &b->c1, b->c3, b->cipher), "encrypt");
}
static void sm2_decrypt(void *p)
{
    struct sm2_bench *b = p;
    uint8_t m[32];
    must(!fn_sm2_decrypt(&b->key, &b->c1, b->c3, b->cipher, 32, m), "decrypt");
}
static void peer_sign(void *p)
{
    struct sm2_bench *b = p;
    b->peer_sig_size = sizeof b->peer_sig;
    must(EVP_PKEY_sign(b->peer_sign, b->peer_sig, &b->peer_sig_size, b->e, 32) == 1, "libcrypto sign");
}
static void peer_verify(void *p)
{
    struct sm2_bench *b = p;
    must(EVP_PKEY_verify(b->peer_verify, b->peer_sig, b->peer_sig_size, b->e, 32) == 1, "libcrypto verify");
}
static void peer_generate(void *p)
{
    struct sm2_bench *b = p;
    EVP_PKEY *made = NULL;
    must(EVP_PKEY_generate(b->peer_make, &made) == 1, "libcrypto generate");
    EVP_PKEY_free(made);
}
static void peer_encrypt(void *p)
{
    struct sm2_bench *b = p;
    b->peer_cipher_size = sizeof b->peer_cipher;
    must(EVP_PKEY_encrypt(b->peer_encrypt, b->peer_cipher, &b->peer_cipher_size, b->message, 32) == 1,
         "libcrypto encrypt");
}
static void peer_decrypt(void *p)
{
    struct sm2_bench *b = p;
    uint8_t m[64];
    size_t n = sizeof m;
    must(EVP_PKEY_decrypt(b->peer_decrypt, m, &n, b->peer_cipher, b->peer_cipher_size) == 1,
         "libcrypto decrypt");
}

static void sm2_row(const char *name, void (*ours)(void *), double operations, void (*peer)(void *),
                    struct sm2_bench *b, const char *note)
{
    if (!bench_wanted(name)) return;
    double figure = bench_rate(peer, b, 1);
    bench_emit(&(struct bench_row){
        name, "op/s", false, bench_rate(ours, b, operations), {{"libcrypto", figure}}, figure, note});
}

void bench_sm2(void)
{
    if (!bench_wanted("sm2") && !bench_wanted("sm2 sign") && !bench_wanted("sm2 verify")) return;
    struct sm2_bench *b = calloc(1, sizeof *b);
    must(b && !fn_sm2_generate(&b->key, &rng), "sm2 set-up");
    memset(b->e, 0x5a, 32);
    sm2_sign(b);
    for (int i = 0; i < BATCH; i++) {
        b->sign[i] = (struct fn_sm2_sign_job){&b->key, b->e, b->sigs[i]};
        b->verify[i] = (struct fn_sm2_verify_job){&b->key.pub, b->e, b->sigs[i], 0};
    }
    sm2_sign_batch(b);
    sm2_encrypt(b);
    b->peer_make = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
    must(EVP_PKEY_keygen_init(b->peer_make) == 1 && EVP_PKEY_generate(b->peer_make, &b->peer) == 1,
         "libcrypto key");
    b->peer_sign = EVP_PKEY_CTX_new(b->peer, NULL);
    b->peer_verify = EVP_PKEY_CTX_new(b->peer, NULL);
    b->peer_encrypt = EVP_PKEY_CTX_new(b->peer, NULL);
    b->peer_decrypt = EVP_PKEY_CTX_new(b->peer, NULL);
    must(EVP_PKEY_sign_init(b->peer_sign) == 1 && EVP_PKEY_verify_init(b->peer_verify) == 1 &&
             EVP_PKEY_encrypt_init(b->peer_encrypt) == 1 && EVP_PKEY_decrypt_init(b->peer_decrypt) == 1,
         "libcrypto contexts");
    peer_sign(b);
    peer_encrypt(b);
    sm2_row("sm2 sign", sm2_sign, 1, peer_sign, b, "one call, one core");
    sm2_row("sm2 sign batch 64", sm2_sign_batch, BATCH, peer_sign, b, "batch, one core; libcrypto one call");
    sm2_row("sm2 verify", sm2_verify, 1, peer_verify, b, "one call, one core");
    sm2_row("sm2 verify batch 64", sm2_verify_batch, BATCH, peer_verify, b,
            "batch, one core; libcrypto one call");
    sm2_row("sm2 generate", sm2_generate, 1, peer_generate, b, "one call, one core");
    sm2_row("sm2 encrypt 32 B", sm2_encrypt, 1, peer_encrypt, b, "one call, one core");
    sm2_row("sm2 decrypt 32 B", sm2_decrypt, 1, peer_decrypt, b, "one call, one core");
    EVP_PKEY_CTX_free(b->peer_make);
    EVP_PKEY_CTX_free(b->peer_sign);
    EVP_PKEY_CTX_free(b->peer_verify);
    EVP_PKEY_CTX_free(b->peer_encrypt);
    EVP_PKEY_CTX_free(b->peer_decrypt);
    EVP_PKEY_free(b->peer);
    free(b);
}

struct bulk {
    size_t n;
    uint8_t *in, *out;
    struct fn_sm4_key sm4, tweak;
    struct fn_gcm_key gcm;
    struct fn_hmac_key hmac;
    struct fn_gcm_job jobs[BATCH];
    struct fn_bytes messages[BATCH];
    const struct fn_hmac_key *keys[BATCH];
    uint8_t iv[16], tags[BATCH][16], digests[BATCH][32];
    EVP_MD_CTX *md;
    EVP_CIPHER_CTX *evp;
    gcry_md_hd_t gmd;
    gcry_cipher_hd_t gc;
};

static void bulk_set(struct bulk *b, size_t n)
{
    memset(b, 0, sizeof *b);
    b->n = n;
    b->in = calloc(BATCH, n);
    b->out = calloc(BATCH, n);
    must(b->in && b->out && getrandom(b->in, n < 256 ? n : 256, 0) > 0, "memory");
    fn_sm4_key_init(&b->sm4, b->in);
    fn_sm4_key_init(&b->tweak, b->in + 8);
    fn_gcm_key_init(&b->gcm, b->in);
    fn_hmac_key_init(&b->hmac, b->in, 32);
    for (int i = 0; i < BATCH; i++) {
        b->jobs[i] = (struct fn_gcm_job){&b->gcm,
                                         {b->in, 12},
                                         {b->in, 13},
                                         b->in + (size_t)i * n,
                                         b->out + (size_t)i * n,
                                         n,
                                         b->tags[i],
                                         16,
                                         0};
        b->messages[i] = fn_bytes(b->in + (size_t)i * n, n);
        b->keys[i] = &b->hmac;
    }
}
static void bulk_free(struct bulk *b)
{
    free(b->in);
    free(b->out);
}

static void sm3_one(void *p)
{
    struct bulk *b = p;
    fn_sm3_digest(b->in, b->n, b->digests[0]);
}
static void sm3_batch(void *p)
{
    struct bulk *b = p;
    fn_sm3_batch(BATCH, b->messages, b->digests);
}
static void hmac_one(void *p)
{
    struct bulk *b = p;
    fn_hmac_digest(&b->hmac, b->in, b->n, b->digests[0]);
}
static void hmac_batch(void *p)
{
    struct bulk *b = p;
    fn_hmac_batch(BATCH, b->keys, b->messages, b->digests);
}
static void evp_digest(void *p)
{
    struct bulk *b = p;
    must(EVP_DigestInit_ex(b->md, NULL, NULL) && EVP_DigestUpdate(b->md, b->in, b->n) &&
             EVP_DigestFinal_ex(b->md, b->digests[0], NULL),
         "EVP digest");
}
static void gcry_digest(void *p)
{
    struct bulk *b = p;
    gcry_md_reset(b->gmd);
    gcry_md_write(b->gmd, b->in, b->n);
    memcpy(b->digests[0], gcry_md_read(b->gmd, 0), 32);
}

static void hash_row(const char *name, size_t n, void (*ours)(void *), double messages, bool keyed,
                     const char *note)
{
    if (!bench_wanted(name)) return;
    struct bulk b;
    bulk_set(&b, n);
    b.md = EVP_MD_CTX_new();
    must(EVP_DigestInit_ex(b.md, EVP_sm3(), NULL), "EVP_sm3");
    must(!gcry_md_open(&b.gmd, GCRY_MD_SM3, keyed ? GCRY_MD_FLAG_HMAC : 0) &&
             (!keyed || !gcry_md_setkey(b.gmd, b.in, 32)),
         "gcry sm3");
    double mb = (double)n / 1e6, evp = keyed ? 0 : bench_rate(evp_digest, &b, mb),
           gcry = bench_rate(gcry_digest, &b, mb);
    struct bench_row row = {
        name, "MB/s", false, bench_rate(ours, &b, messages * mb), {{"libgcrypt", gcry}}, BENCH_NO_GOAL, note};
    if (!keyed) {
        row.peers[1].name = "libgcrypt";
        row.peers[1].figure = gcry;
        row.peers[0].name = "libcrypto";
        row.peers[0].figure = evp;
        row.goal = evp * 0.95;
    }
    bench_emit(&row);
    EVP_MD_CTX_free(b.md);
    gcry_md_close(b.gmd);
    bulk_free(&b);
}

void bench_sm3(void)
{
    gcry_check_version(NULL);
    hash_row("sm3 64 B", 64, sm3_one, 1, false, "one call, one core");
    hash_row("sm3 1 KiB", 1024, sm3_one, 1, false, "one call, one core");
    hash_row("sm3 16 KiB", 16384, sm3_one, 1, false, "one call, one core");
    hash_row("sm3 batch 64 x 1 KiB", 1024, sm3_batch, BATCH, false, "batch, one core; peers one call");
    hash_row("sm3 hmac 256 B", 256, hmac_one, 1, true, "one call, one core");
    hash_row("sm3 hmac batch 64 x 256 B", 256, hmac_batch, BATCH, true, "batch, one core; peers one call");
}

#define SM4_ONE(name, call)                                                                                  \
    static void sm4_##name(void *p)                                                                          \
    {                                                                                                        \
        struct bulk *b = p;                                                                                  \
        call;                                                                                                \
    }
SM4_ONE(ecb, (void)fn_sm4_ecb_encrypt(&b->sm4, b->in, b->out, b->n))
SM4_ONE(cbc_encrypt, (void)fn_sm4_cbc_encrypt(&b->sm4, b->iv, b->in, b->out, b->n))
SM4_ONE(cbc_decrypt, (void)fn_sm4_cbc_decrypt(&b->sm4, b->iv, b->in, b->out, b->n))
SM4_ONE(ctr, fn_sm4_ctr_crypt(&b->sm4, b->iv, b->in, b->out, b->n))
SM4_ONE(xts, (void)fn_sm4_xts_encrypt(&b->sm4, &b->tweak, FN_SM4_XTS_IEEE, b->iv, b->in, b->out, b->n))
SM4_ONE(gcm, (void)fn_gcm_encrypt(&b->jobs[0]))
SM4_ONE(gcm_batch, fn_gcm_encrypt_batch(BATCH, b->jobs))

static void evp_cipher(void *p)
{
    struct bulk *b = p;
    int n;
    must(EVP_CipherInit_ex(b->evp, NULL, NULL, NULL, b->iv, -1) &&
             EVP_CipherUpdate(b->evp, b->out, &n, b->in, (int)b->n),
         "EVP cipher");
}
static void gcry_crypt(void *p)
{
    struct bulk *b = p;
    gcry_cipher_reset(b->gc);
    must(!gcry_cipher_setiv(b->gc, b->iv, 12) && !gcry_cipher_encrypt(b->gc, b->out, b->n, b->in, b->n) &&
             !gcry_cipher_gettag(b->gc, b->tags[0], 16),
         "gcry gcm");
}
static void gcry_xts(void *p)
{
    struct bulk *b = p;
    must(!gcry_cipher_setiv(b->gc, b->iv, 16) && !gcry_cipher_encrypt(b->gc, b->out, b->n, b->in, b->n),
         "gcry xts");
}

static void evp_row(const char *name, size_t n, void (*ours)(void *), const EVP_CIPHER *cipher, int encrypt,
                    double goal_factor, const char *note)
{
    if (!bench_wanted(name)) return;
    struct bulk b;
    bulk_set(&b, n);
    b.evp = EVP_CIPHER_CTX_new();
    must(EVP_CipherInit_ex(b.evp, cipher, NULL, b.in, b.iv, encrypt), name);
    EVP_CIPHER_CTX_set_padding(b.evp, 0);
    double mb = (double)n / 1e6, evp = bench_rate(evp_cipher, &b, mb);
    bench_emit(&(struct bench_row){name,
                                   "MB/s",
                                   false,
                                   bench_rate(ours, &b, mb),
                                   {{"libcrypto", evp}},
                                   goal_factor > 0 ? evp * goal_factor : BENCH_NO_GOAL,
                                   note});
    EVP_CIPHER_CTX_free(b.evp);
    bulk_free(&b);
}

static void gcry_row(const char *name, size_t n, void (*ours)(void *), double messages, int mode,
                     void (*peer)(void *), const char *note)
{
    if (!bench_wanted(name)) return;
    struct bulk b;
    bulk_set(&b, n);
    must(!gcry_cipher_open(&b.gc, GCRY_CIPHER_SM4, mode, 0) &&
             !gcry_cipher_setkey(b.gc, b.in, mode == GCRY_CIPHER_MODE_XTS ? 32 : 16),
         name);
    double mb = (double)n / 1e6, gcry = bench_rate(peer, &b, mb);
    bench_emit(&(struct bench_row){name,
                                   "MB/s",
                                   false,
                                   bench_rate(ours, &b, messages * mb),
                                   {{"libgcrypt", gcry}},
                                   BENCH_NO_GOAL,
                                   note});
    gcry_cipher_close(b.gc);
    bulk_free(&b);
}

void bench_sm4(void)
{
    evp_row("sm4 ecb 16 KiB", 16384, sm4_ecb, EVP_sm4_ecb(), 1, 0.95, "one call, one core");
    evp_row("sm4 ctr 16 KiB", 16384, sm4_ctr, EVP_sm4_ctr(), 1, 0.95, "one call, one core");
    evp_row("sm4 ctr 1 KiB", 1024, sm4_ctr, EVP_sm4_ctr(), 1, 0.95, "one call, one core");
    evp_row("sm4 cbc decrypt 16 KiB", 16384, sm4_cbc_decrypt, EVP_sm4_cbc(), 0, 0.95, "one call, one core");
    evp_row("sm4 cbc encrypt 16 KiB", 16384, sm4_cbc_encrypt, EVP_sm4_cbc(), 1, 0,
            "serial; ours constant time, libcrypto reads tables");
    gcry_row("sm4 gcm 4 KiB", 4096, sm4_gcm, 1, GCRY_CIPHER_MODE_GCM, gcry_crypt,
             "one call, one core; libgcrypt picks its fastest engine");
    gcry_row("sm4 gcm 16 KiB", 16384, sm4_gcm, 1, GCRY_CIPHER_MODE_GCM, gcry_crypt,
             "one call, one core; libgcrypt picks its fastest engine");
    gcry_row("sm4 gcm batch 64 x 64 B", 64, sm4_gcm_batch, BATCH, GCRY_CIPHER_MODE_GCM, gcry_crypt,
             "batch; libgcrypt one call");
    gcry_row("sm4 xts 4 KiB", 4096, sm4_xts, 1, GCRY_CIPHER_MODE_XTS, gcry_xts,
             "one call, one core; libgcrypt picks its fastest engine");
}
