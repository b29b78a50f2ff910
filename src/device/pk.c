/* RSA and P-256 through libcrypto. Public keys are P-256 x ‖ y, RSA u32 bits ‖ modulus ‖ exponent, equally
 * long. */
#include "base/sys/heap.h"
#include "device/device.h"
#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

static void *take(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return n ? malloc(n) : NULL;
}

static void give(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    if (p) fn_wipe(p, malloc_usable_size(p));
    free(p);
}

/* Never in place: what the old piece held would stay where realloc moved it from. */
static void *grow(void *old, size_t n, const char *file, int line)
{
    size_t had = old ? malloc_usable_size(old) : 0;
    void *p = take(n, file, line);
    if (p && had) memcpy(p, old, had < n ? had : n);
    if (p || !n) give(old, file, line);
    return p;
}

fn_err fn_pk_heap(size_t size, bool *locked)
{
    if (!CRYPTO_set_mem_functions(take, grow, give))
        return FN_FAIL(FN_E_INTERNAL, "libcrypto is in use already");
    int made = CRYPTO_secure_malloc_init(size, 64);
    *locked = made == 1;
    return made ? FN_OK : FN_FAIL(FN_E_NO_MEMORY, "%zu bytes for private keys", size);
}

static fn_err pk_fail(const struct fn_key *key, const char *what)
{
    ERR_clear_error();
    return FN_FAIL(key->alg == FN_ALG_P256 ? FN_E_KEY_ALGORITHM : FN_E_RSA, "%s", what);
}

static unsigned rsa_bits(uint32_t alg)
{
    return alg == FN_ALG_RSA2048 ? 2048 : 3072;
}

void fn_pk_free(struct fn_key *key)
{
    EVP_PKEY_free(key->pkey);
    key->pkey = NULL;
}

static fn_err bn_out(const struct fn_key *key, const char *name, uint8_t *out, size_t n)
{
    BIGNUM *v = NULL;
    if (EVP_PKEY_get_bn_param(key->pkey, name, &v) != 1) return pk_fail(key, name);
    int written = BN_bn2binpad(v, out, (int)n);
    BN_clear_free(v);
    return written < 0 ? pk_fail(key, name) : FN_OK;
}

static fn_err public_out(struct fn_key *key)
{
    size_t n = key->alg == FN_ALG_P256 ? 64 : 4 + 2 * (rsa_bits(key->alg) / 8);
    free(key->public_key);
    FN_TRY(fn_heap_array(&key->public_key, n, 1));
    key->public_n = n;
    if (key->alg == FN_ALG_P256) {
        FN_TRY(bn_out(key, OSSL_PKEY_PARAM_EC_PUB_X, key->public_key, 32));
        return bn_out(key, OSSL_PKEY_PARAM_EC_PUB_Y, key->public_key + 32, 32);
    }
    size_t half = (n - 4) / 2;
    fn_put_be32(key->public_key, rsa_bits(key->alg));
    FN_TRY(bn_out(key, OSSL_PKEY_PARAM_RSA_N, key->public_key + 4, half));
    return bn_out(key, OSSL_PKEY_PARAM_RSA_E, key->public_key + 4 + half, half);
}

static fn_err make(struct fn_key *key)
{
    EVP_PKEY_free(key->pkey);
    key->pkey = key->alg == FN_ALG_P256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(rsa_bits(key->alg));
    if (!key->pkey) return pk_fail(key, "key generation");
    return public_out(key);
}

/* The secret as PKCS#8-free DER of the algorithm (PKCS#1, RFC 5915). */
static fn_err secret_der(const struct fn_key *key, struct fn_buf *out)
{
    unsigned char *der = NULL;
    int n = i2d_PrivateKey(key->pkey, &der);
    if (n <= 0) return pk_fail(key, "private key encoding");
    fn_err err = fn_buf_add(out, der, (size_t)n);
    OPENSSL_clear_free(der, (size_t)n);
    return err;
}

fn_err fn_pk_generate(struct fn_key *key, struct fn_buf *secret)
{
    if (!key->pkey) FN_TRY(make(key));
    return secret ? secret_der(key, secret) : FN_OK;
}

fn_err fn_pk_load_secret(struct fn_key *key, struct fn_bytes secret)
{
    const unsigned char *p = secret.p;
    key->pkey =
        d2i_PrivateKey(key->alg == FN_ALG_P256 ? EVP_PKEY_EC : EVP_PKEY_RSA, NULL, &p, (long)secret.n);
    if (!key->pkey || p != secret.p + secret.n) return pk_fail(key, "private key encoding");
    int bits = EVP_PKEY_get_bits(key->pkey);
    if (bits != (key->alg == FN_ALG_P256 ? 256 : (int)rsa_bits(key->alg)))
        return pk_fail(key, "size of the key");
    return public_out(key);
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        if (EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

static EVP_PKEY *p256_public(struct fn_bytes point)
{
    uint8_t encoded[65] = {4};
    memcpy(encoded + 1, point.p, 64);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, encoded, sizeof encoded) == 1)
        pkey = from_params("EC", build);
    OSSL_PARAM_BLD_free(build);
    return pkey;
}

static EVP_PKEY *rsa_public(struct fn_bytes modulus, struct fn_bytes exponent)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn(modulus.p, (int)modulus.n, NULL), *e = BN_bin2bn(exponent.p, (int)exponent.n, NULL);
    EVP_PKEY *pkey = NULL;
    /* Large exponents only make work for us: no key in use has one. */
    if (build && n && e && BN_num_bits(e) <= 64 && BN_is_odd(e) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        pkey = from_params("RSA", build);
    BN_free(n);
    BN_free(e);
    OSSL_PARAM_BLD_free(build);
    return pkey;
}

fn_err fn_pk_load_public(struct fn_key *key, struct fn_bytes public_key)
{
    if (key->alg == FN_ALG_P256) {
        if (public_key.n != 64)
            return FN_FAIL(FN_E_ARGUMENT, "public key of %zu bytes, 64 wanted", public_key.n);
        key->pkey = p256_public(public_key);
    } else {
        size_t half = rsa_bits(key->alg) / 8;
        if (public_key.n != 4 + 2 * half || fn_get_be32(public_key.p) != rsa_bits(key->alg))
            return FN_FAIL(FN_E_ARGUMENT, "RSA public key of %zu bytes, %zu wanted", public_key.n,
                           4 + 2 * half);
        key->pkey = rsa_public(fn_bytes(public_key.p + 4, half), fn_bytes(public_key.p + 4 + half, half));
        if (key->pkey && EVP_PKEY_get_bits(key->pkey) != (int)rsa_bits(key->alg)) fn_pk_free(key);
    }
    return key->pkey ? FN_OK : pk_fail(key, "not a valid public key");
}

/* Contexts are made anew for each call: they belong to no thread. */
static EVP_PKEY_CTX *context(const struct fn_key *key, int (*init)(EVP_PKEY_CTX *))
{
    EVP_PKEY_CTX *ctx = key->pkey ? EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL) : NULL;
    if (ctx && init(ctx) == 1) return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

static fn_err ecdsa_raw(const struct fn_key *key, const uint8_t *der, size_t n, struct fn_buf *out)
{
    uint8_t *where;
    const unsigned char *p = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)n);
    fn_err err = sig ? fn_buf_reserve(out, 64, &where) : pk_fail(key, "signature");
    if (err == FN_OK) {
        BN_bn2binpad(ECDSA_SIG_get0_r(sig), where, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), where + 32, 32);
        out->n += 64;
    }
    ECDSA_SIG_free(sig);
    return err;
}

fn_err fn_pk_sign(const struct fn_key *key, const uint8_t digest[32], struct fn_buf *out)
{
    uint8_t signature[512];
    size_t n = sizeof signature;
    EVP_PKEY_CTX *ctx = context(key, EVP_PKEY_sign_init);
    bool good = ctx && EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
                (key->alg == FN_ALG_P256 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1) &&
                EVP_PKEY_sign(ctx, signature, &n, digest, 32) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!good) return pk_fail(key, "signature");
    return key->alg == FN_ALG_P256 ? ecdsa_raw(key, signature, n, out) : fn_buf_add(out, signature, n);
}

static size_t ecdsa_der(const uint8_t raw[64], uint8_t der[80])
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
    unsigned char *p = der;
    int n = 0;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        n = i2d_ECDSA_SIG(sig, &p);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t)n : 0;
}

fn_err fn_pk_verify(const struct fn_key *key, const uint8_t digest[32], struct fn_bytes signature)
{
    uint8_t der[80];
    if (key->alg == FN_ALG_P256) {
        if (signature.n != 64)
            return FN_FAIL(FN_E_SIGNATURE, "signature of %zu bytes, 64 wanted", signature.n);
        signature = fn_bytes(der, ecdsa_der(signature.p, der));
    }
    EVP_PKEY_CTX *ctx = context(key, EVP_PKEY_verify_init);
    bool good = ctx && EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
                (key->alg == FN_ALG_P256 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1) &&
                EVP_PKEY_verify(ctx, signature.p, signature.n, digest, 32) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return good ? FN_OK : FN_FAIL(FN_E_SIGNATURE, "algorithm %d", key->alg);
}

typedef int (*crypt_call)(EVP_PKEY_CTX *ctx, unsigned char *out, size_t *outlen, const unsigned char *in,
                          size_t inlen);

static fn_err rsa_crypt(const struct fn_key *key, int (*init)(EVP_PKEY_CTX *), crypt_call call, int padding,
                        struct fn_bytes data, struct fn_buf *out)
{
    uint8_t *where;
    if (key->alg != FN_ALG_RSA2048 && key->alg != FN_ALG_RSA3072)
        return FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %d", key->alg);
    size_t n = rsa_bits(key->alg) / 8;
    FN_TRY(fn_buf_reserve(out, n, &where));
    EVP_PKEY_CTX *ctx = context(key, init);
    bool good =
        ctx && EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1 && call(ctx, where, &n, data.p, data.n) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!good) return pk_fail(key, "RSA operation");
    out->n += n;
    return FN_OK;
}

fn_err fn_pk_encrypt(const struct fn_key *key, struct fn_bytes data, struct fn_buf *out)
{
    return rsa_crypt(key, EVP_PKEY_encrypt_init, EVP_PKEY_encrypt, RSA_PKCS1_PADDING, data, out);
}

fn_err fn_pk_decrypt(const struct fn_key *key, struct fn_bytes data, struct fn_buf *out)
{
    return rsa_crypt(key, EVP_PKEY_decrypt_init, EVP_PKEY_decrypt, RSA_PKCS1_PADDING, data, out);
}

fn_err fn_pk_raw(const struct fn_key *key, bool private_key, struct fn_bytes data, struct fn_buf *out)
{
    if (data.n != rsa_bits(key->alg) / 8)
        return FN_FAIL(FN_E_CIPHER_LENGTH, "%zu bytes, the modulus has %u", data.n, rsa_bits(key->alg) / 8);
    if (private_key)
        return rsa_crypt(key, EVP_PKEY_decrypt_init, EVP_PKEY_decrypt, RSA_NO_PADDING, data, out);
    return rsa_crypt(key, EVP_PKEY_encrypt_init, EVP_PKEY_encrypt, RSA_NO_PADDING, data, out);
}

fn_err fn_key_encrypt(const struct fn_key *key, const struct fn_rng *rng, struct fn_bytes data,
                      struct fn_buf *out)
{
    uint8_t *where;
    if (key->alg != FN_ALG_SM2) return fn_pk_encrypt(key, data, out);
    if (data.n < 1 || data.n > (1u << 20)) return FN_FAIL(FN_E_CIPHER_LENGTH, "%zu bytes", data.n);
    FN_TRY(fn_buf_reserve(out, 96 + data.n, &where));
    struct fn_sm2_public c1;
    FN_TRY(fn_sm2_encrypt(&key->pub, rng, data.p, data.n, &c1, where + 64, where + 96));
    memcpy(where, &c1, 64);
    out->n += 96 + data.n;
    return FN_OK;
}

fn_err fn_key_decrypt(const struct fn_key *key, struct fn_bytes data, struct fn_buf *out)
{
    uint8_t *where;
    if (!key->secret) return FN_FAIL(FN_E_KEY_USAGE, "a public key does not decrypt");
    if (key->alg != FN_ALG_SM2) return fn_pk_decrypt(key, data, out);
    if (data.n < 97) return FN_FAIL(FN_E_SM2_CIPHERTEXT, "%zu bytes, at least 97", data.n);
    struct fn_sm2_public c1;
    memcpy(&c1, data.p, 64);
    FN_TRY(fn_buf_reserve(out, data.n - 96, &where));
    FN_TRY(fn_sm2_decrypt(&key->secret->sm2, &c1, data.p + 64, data.p + 96, data.n - 96, where));
    out->n += data.n - 96;
    return FN_OK;
}
