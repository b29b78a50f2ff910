/* 'FNTOKEN1' ‖ serial[16] ‖ role ‖ purpose ‖ needed ‖ count ‖ u32 generation ‖ var person ‖ public key[64] ‖ u32 iterations ‖
 * salt[16] ‖ nonce[12] ‖ tag[16] ‖ SM4-GCM of (d[32] ‖ share[33]); all before the nonce is authenticated with it. */
#include "base/sys/heap.h"
#include "base/sys/secret.h"
#include "device/carrier.h"
#include <string.h>

#define SECRET_SIZE (32u + FN_TOKEN_SHARE)

static size_t characters(struct fn_bytes text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) n += (text.p[i] & 0xc0) != 0x80;
    return n;
}

static fn_err passphrase_key(struct fn_bytes passphrase, const uint8_t salt[16], uint32_t iterations, struct fn_gcm_key **out)
{
    uint8_t key[16];
    FN_SCOPED_WIPE(key);
    FN_TRY(fn_secret_alloc(out, sizeof **out));
    fn_pbkdf2_sm3(passphrase.p, passphrase.n, salt, 16, iterations, key, sizeof key);
    fn_gcm_key_init(*out, key);
    return FN_OK;
}

static fn_err clear_write(const struct fn_token_info *i, const uint8_t salt[16], struct fn_buf *out)
{
    FN_TRY(fn_buf_add(out, "FNTOKEN1", 8));
    FN_TRY(fn_buf_add(out, i->serial, 16));
    FN_TRY(fn_buf_u8(out, i->role));
    FN_TRY(fn_buf_u8(out, i->purpose));
    FN_TRY(fn_buf_u8(out, i->needed));
    FN_TRY(fn_buf_u8(out, i->count));
    FN_TRY(fn_buf_u32(out, i->generation));
    FN_TRY(fn_buf_var(out, i->person, strlen(i->person)));
    FN_TRY(fn_buf_add(out, &i->pub, 64));
    FN_TRY(fn_buf_u32(out, FN_TOKEN_ITERATIONS));
    return fn_buf_add(out, salt, 16);
}

fn_err fn_token_make(const struct fn_token_info *info, struct fn_token_secret *secret, struct fn_bytes passphrase,
                     const struct fn_rng *rng, struct fn_buf *out)
{
    struct fn_gcm_key *key FN_SCOPED_SECRET = NULL;
    struct fn_token_info filled = *info;
    uint8_t salt[16], nonce[12], tag[16], plain[SECRET_SIZE], cipher[SECRET_SIZE];
    FN_SCOPED_WIPE(plain);
    if (characters(passphrase) < FN_TOKEN_PASSPHRASE)
        return FN_FAIL(FN_E_ARGUMENT, "passphrase of %s: at least %u characters", info->person, FN_TOKEN_PASSPHRASE);
    static const uint8_t none[32];
    if (fn_equal_ct(secret->key.d, none, 32)) FN_TRY(fn_sm2_generate(&secret->key, rng));
    filled.pub = secret->key.pub;
    FN_TRY(fn_rng_fill(rng, salt, sizeof salt));
    FN_TRY(fn_rng_fill(rng, nonce, sizeof nonce));
    FN_TRY(clear_write(&filled, salt, out));
    FN_TRY(passphrase_key(passphrase, salt, FN_TOKEN_ITERATIONS, &key));
    memcpy(plain, secret->key.d, 32);
    memcpy(plain + 32, secret->share, FN_TOKEN_SHARE);
    struct fn_gcm_job job = {.key = key, .nonce = fn_bytes(nonce, 12), .aad = fn_buf_view(out), .in = plain, .out = cipher,
                             .n = SECRET_SIZE, .tag = tag, .tag_size = 16};
    FN_TRY(fn_gcm_encrypt(&job));
    FN_TRY(fn_buf_add(out, nonce, 12));
    FN_TRY(fn_buf_add(out, tag, 16));
    return fn_buf_add(out, cipher, SECRET_SIZE);
}

static fn_err clear_read(struct fn_cur *c, struct fn_token_info *i, uint32_t *iterations, uint8_t salt[16])
{
    uint8_t magic[8];
    struct fn_bytes person;
    FN_TRY(fn_cur_copy(c, magic, 8));
    if (memcmp(magic, "FNTOKEN1", 8) != 0) return FN_FAIL(FN_E_FORMAT, "not a soft token");
    FN_TRY(fn_cur_copy(c, i->serial, 16));
    i->serial[16] = 0;
    FN_TRY(fn_cur_u8(c, &i->role));
    FN_TRY(fn_cur_u8(c, &i->purpose));
    FN_TRY(fn_cur_u8(c, &i->needed));
    FN_TRY(fn_cur_u8(c, &i->count));
    FN_TRY(fn_cur_u32(c, &i->generation));
    FN_TRY(fn_cur_var(c, FN_NAME_MOST, &person));
    memcpy(i->person, person.p, person.n);
    i->person[person.n] = 0;
    FN_TRY(fn_cur_copy(c, &i->pub, 64));
    FN_TRY(fn_cur_u32(c, iterations));
    /* Bounded: a forged file shall not keep the device busy for hours. */
    if (*iterations < FN_TOKEN_ITERATIONS || *iterations > 4 * FN_TOKEN_ITERATIONS)
        return FN_FAIL(FN_E_FORMAT, "%u iterations", *iterations);
    return fn_cur_copy(c, salt, 16);
}

static fn_err soft_sign(struct fn_carrier *c, const struct fn_rng *rng, const uint8_t e[32], uint8_t signature[64])
{
    return fn_sm2_sign(&c->secret->key, rng, e, signature);
}

static fn_err soft_share(struct fn_carrier *c, uint8_t purpose, uint8_t share[FN_TOKEN_SHARE])
{
    if (c->info.purpose != purpose) return FN_FAIL(FN_E_DEVICE_SHARE, "%s has no share of this kind", c->info.person);
    memcpy(share, c->secret->share, FN_TOKEN_SHARE);
    return FN_OK;
}

fn_err fn_token_open(struct fn_carrier *c, struct fn_bytes token, struct fn_bytes passphrase)
{
    struct fn_gcm_key *key FN_SCOPED_SECRET = NULL;
    uint8_t salt[16], nonce[12], tag[16], cipher[SECRET_SIZE], plain[SECRET_SIZE];
    FN_SCOPED_WIPE(plain);
    struct fn_cur cur = fn_cur(token);
    uint32_t iterations;
    *c = (struct fn_carrier){.sign = soft_sign, .share = soft_share};
    FN_TRY(clear_read(&cur, &c->info, &iterations, salt));
    struct fn_bytes clear = fn_bytes(token.p, fn_cur_offset(&cur));
    FN_TRY(fn_cur_copy(&cur, nonce, 12));
    FN_TRY(fn_cur_copy(&cur, tag, 16));
    FN_TRY(fn_cur_copy(&cur, cipher, SECRET_SIZE));
    FN_TRY(fn_cur_end(&cur));
    FN_TRY(passphrase_key(passphrase, salt, iterations, &key));
    struct fn_gcm_job job = {.key = key, .nonce = fn_bytes(nonce, 12), .aad = clear, .in = cipher, .out = plain, .n = SECRET_SIZE,
                             .tag = tag, .tag_size = 16};
    if (fn_gcm_decrypt(&job) != FN_OK) return FN_FAIL(FN_E_DEVICE_LOGIN, "passphrase of %s is wrong, or the token was altered", c->info.person);
    FN_TRY(fn_secret_alloc(&c->secret, sizeof *c->secret));
    fn_err err = fn_sm2_private_load(&c->secret->key, plain);
    memcpy(c->secret->share, plain + 32, FN_TOKEN_SHARE);
    if (err == FN_OK && memcmp(&c->secret->key.pub, &c->info.pub, 64) != 0) err = FN_FAIL(FN_E_KEY_PAIR, "token of %s", c->info.person);
    if (err != FN_OK) fn_carrier_close(c);
    return err;
}

void fn_carrier_close(struct fn_carrier *c)
{
    fn_secret_free(c->secret);
    c->secret = NULL;
}
