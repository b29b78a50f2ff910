/* SM2: its arithmetic against a slow form, its operations against libcrypto and libgcrypt. */
#include "soak.h"

#include "crypto/sm2/sm2_internal.h"
#include "sm2_arithmetic.h"

#include <gcrypt.h>
#include <openssl/asn1t.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#define MESSAGE_MOST 200

/* ---- arithmetic ---- */

static void same_field(struct soak *s, struct fn_sm2_fe ours, const uint32_t theirs[8], const char *what)
{
    uint8_t a[32], b[32];
    fn_fe_store(a, ours);
    slow_to(b, theirs);
    soak_same(s, a, b, 32, what);
}

static void same_scalar(struct soak *s, struct fn_sm2_scalar ours, const uint32_t theirs[8], const char *what)
{
    uint8_t a[32], b[32];
    fn_scalar_store(a, &ours);
    slow_to(b, theirs);
    soak_same(s, a, b, 32, what);
}

static void some_field(struct soak *s, struct fn_sm2_fe *a, uint32_t slow[8])
{
    uint8_t bytes[32];
    uint32_t x[16] = {0};
    soak_extreme_scalar(s, bytes);
    slow_from(x, bytes);
    slow_reduce(slow, x, &slow_p);
    fn_fe_load(a, bytes); /* reduces what is not below p */
}

static void some_scalar(struct soak *s, struct fn_sm2_scalar *a, uint32_t slow[8])
{
    uint8_t bytes[32];
    uint32_t x[16] = {0};
    soak_extreme_scalar(s, bytes);
    slow_from(x, bytes);
    slow_reduce(slow, x, &slow_n);
    fn_scalar_load(a, bytes);
}

static uint64_t field(struct soak *s)
{
    uint64_t done = 0;
    while (soak_slice(s)) {
        for (int i = 0; i < 64; i++, done += 5) {
            struct fn_sm2_fe a, b;
            uint32_t x[8], y[8], z[8];
            some_field(s, &a, x);
            some_field(s, &b, y);
            slow_mul(z, x, y, &slow_p);
            same_field(s, fn_fe_mul(a, b), z, "product modulo p");
            slow_mul(z, x, x, &slow_p);
            same_field(s, fn_fe_sqr(a), z, "square modulo p");
            slow_add(z, x, y, &slow_p);
            same_field(s, fn_fe_add(a, b), z, "sum modulo p");
            slow_sub(z, x, y, &slow_p);
            same_field(s, fn_fe_sub(a, b), z, "difference modulo p");
            struct fn_sm2_fe half = fn_fe_half(a);
            same_field(s, fn_fe_add(half, half), x, "half modulo p");
        }
    }
    return done;
}

/* The limbs themselves at their edges: what the Montgomery form of an edge looks like is far from one. */
static uint64_t field_limbs(struct soak *s)
{
    uint64_t done = 0;
    while (soak_slice(s)) {
        for (int i = 0; i < 64; i++, done += 2) {
            uint8_t bytes[2][32];
            uint32_t x[2][8], z[8], r[8] = {1, 0, 0xffffffff, 0, 0, 0, 0, 1}; /* R = 2^256 mod p */
            struct fn_sm2_fe a[2];
            for (int k = 0; k < 2; k++) {
                uint32_t t[16] = {0};
                soak_extreme_scalar(s, bytes[k]);
                slow_from(t, bytes[k]);
                slow_reduce(x[k], t, &slow_p);
                for (int j = 0; j < 4; j++) a[k].v[j] = (uint64_t)x[k][2 * j + 1] << 32 | x[k][2 * j];
            }
            /* The form of a number v is v·R: the product of the forms x and y is that of x·y/R². */
            slow_mul(z, x[0], x[1], &slow_p);
            struct fn_sm2_fe product = fn_fe_mul(a[0], a[1]), square = fn_fe_sqr(a[0]);
            uint32_t have[8];
            for (int j = 0; j < 8; j++) have[j] = (uint32_t)(product.v[j / 2] >> (32 * (j % 2)));
            slow_mul(have, have, r, &slow_p);
            soak_same(s, have, z, sizeof z, "product of limbs");
            slow_mul(z, x[0], x[0], &slow_p);
            for (int j = 0; j < 8; j++) have[j] = (uint32_t)(square.v[j / 2] >> (32 * (j % 2)));
            slow_mul(have, have, r, &slow_p);
            soak_same(s, have, z, sizeof z, "square of limbs");
        }
    }
    return done;
}

static uint64_t scalars(struct soak *s)
{
    uint64_t done = 0;
    while (soak_slice(s)) {
        for (int i = 0; i < 64; i++, done += 3) {
            struct fn_sm2_scalar a, b;
            uint32_t x[8], y[8], z[8];
            some_scalar(s, &a, x);
            some_scalar(s, &b, y);
            slow_mul(z, x, y, &slow_n);
            same_scalar(s, fn_scalar_mul(&a, &b), z, "product modulo n");
            slow_add(z, x, y, &slow_n);
            same_scalar(s, fn_scalar_add(&a, &b), z, "sum modulo n");
            slow_sub(z, x, y, &slow_n);
            same_scalar(s, fn_scalar_sub(&a, &b), z, "difference modulo n");
        }
    }
    return done;
}

static uint64_t inverses(struct soak *s)
{
    static const uint32_t zero[8] = {0}, one[8] = {1};
    uint64_t done = 0;
    for (; soak_slice(s); done += 2) {
        struct fn_sm2_fe a;
        struct fn_sm2_scalar b;
        uint8_t bytes[32];
        uint32_t x[8], y[8];
        some_field(s, &a, x);
        fn_fe_store(bytes, fn_fe_inverse(a));
        slow_from(y, bytes);
        slow_mul(y, x, y, &slow_p);
        soak_same(s, y, memcmp(x, zero, 32) ? one : zero, 32, "a/a modulo p");
        some_scalar(s, &b, x);
        b = fn_scalar_inverse(&b);
        fn_scalar_store(bytes, &b);
        slow_from(y, bytes);
        slow_mul(y, x, y, &slow_n);
        soak_same(s, y, memcmp(x, zero, 32) ? one : zero, 32, "a/a modulo n");
    }
    return done;
}

/* ---- keys of both libraries ---- */

static fn_err soak_fill(void *self, uint8_t *out, size_t n)
{
    soak_random(self, out, n);
    return FN_OK;
}

static struct fn_rng rng_of(struct soak *s)
{
    return (struct fn_rng){soak_fill, s};
}

static void must(struct soak *s, bool good, const char *what)
{
    if (!good) soak_mismatch(s, "%s failed", what);
}

/* A key at random or at an edge, whichever of the drawn numbers is one. */
static void some_key(struct soak *s, struct fn_sm2_private *key)
{
    uint8_t d[32];
    do {
        soak_extreme_scalar(s, d);
    } while (fn_sm2_private_load(key, d) != FN_OK);
}

struct crypto_key {
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *sign, *verify, *encrypt, *decrypt;
};

static void crypto_key_free(struct crypto_key *k)
{
    EVP_PKEY_CTX_free(k->sign);
    EVP_PKEY_CTX_free(k->verify);
    EVP_PKEY_CTX_free(k->encrypt);
    EVP_PKEY_CTX_free(k->decrypt);
    EVP_PKEY_free(k->pkey);
}

static void crypto_key_make(struct soak *s, struct crypto_key *k, const struct fn_sm2_private *key)
{
    uint8_t point[65] = {4};
    memcpy(point + 1, &key->pub, 64);
    BIGNUM *d = BN_bin2bn(key->d, 32, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "SM2", 0);
    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point);
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, d);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
    *k = (struct crypto_key){0};
    must(s,
         ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
             EVP_PKEY_fromdata(ctx, &k->pkey, EVP_PKEY_KEYPAIR, params) == 1,
         "libcrypto key");
    k->sign = EVP_PKEY_CTX_new(k->pkey, NULL);
    k->verify = EVP_PKEY_CTX_new(k->pkey, NULL);
    k->encrypt = EVP_PKEY_CTX_new(k->pkey, NULL);
    k->decrypt = EVP_PKEY_CTX_new(k->pkey, NULL);
    must(s,
         EVP_PKEY_sign_init(k->sign) == 1 && EVP_PKEY_verify_init(k->verify) == 1 &&
             EVP_PKEY_encrypt_init(k->encrypt) == 1 && EVP_PKEY_decrypt_init(k->decrypt) == 1,
         "libcrypto contexts");
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    BN_clear_free(d);
}

static gcry_sexp_t gcrypt_key_make(struct soak *s, const struct fn_sm2_private *key)
{
    static bool started;
    uint8_t point[65] = {4};
    gcry_sexp_t out;
    if (!started) must(s, gcry_check_version(NULL) != NULL, "libgcrypt");
    if (!started) gcry_control(GCRYCTL_DISABLE_SECMEM);
    if (!started) gcry_control(GCRYCTL_ENABLE_QUICK_RANDOM); /* its nonces serve a test */
    if (!started) gcry_control(GCRYCTL_INITIALIZATION_FINISHED);
    started = true;
    memcpy(point + 1, &key->pub, 64);
    must(s,
         gcry_sexp_build(&out, NULL, "(private-key(ecc(curve sm2p256v1)(flags sm2)(q %b)(d %b)))", 65, point,
                         32, key->d) == 0,
         "libgcrypt key");
    return out;
}

/* ---- points ---- */

static EC_GROUP *group(struct soak *s)
{
    static EC_GROUP *g;
    if (!g) g = EC_GROUP_new_by_curve_name(NID_sm2);
    must(s, g != NULL, "curve of libcrypto");
    return g;
}

static EC_POINT *point_of(struct soak *s, const struct fn_sm2_public *pub)
{
    uint8_t bytes[65] = {4};
    EC_POINT *p = EC_POINT_new(group(s));
    memcpy(bytes + 1, pub, 64);
    must(s, EC_POINT_oct2point(group(s), p, bytes, 65, NULL) == 1, "point of libcrypto");
    return p;
}

/* k·P, and k·G by the table when keys are made. */
static uint64_t multiply_libcrypto(struct soak *s)
{
    struct fn_sm2_private key;
    BN_CTX *ctx = BN_CTX_new();
    EC_POINT *q = EC_POINT_new(group(s));
    uint64_t done = 0;
    some_key(s, &key);
    EC_POINT *p = point_of(s, &key.pub);
    for (; soak_slice(s); done++) {
        uint8_t k[32], theirs[65];
        struct fn_sm2_public ours;
        soak_extreme_scalar(s, k);
        BIGNUM *bn = BN_bin2bn(k, 32, NULL);
        fn_err err = fn_sm2_multiply(&ours, k, &key.pub);
        must(s, EC_POINT_mul(group(s), q, NULL, p, bn, ctx) == 1, "EC_POINT_mul");
        if (EC_POINT_is_at_infinity(group(s), q)) {
            if (err != FN_E_SM2_POINT) soak_mismatch(s, "infinity not seen");
        } else {
            must(s,
                 err == FN_OK &&
                     EC_POINT_point2oct(group(s), q, POINT_CONVERSION_UNCOMPRESSED, theirs, 65, ctx) == 65,
                 "multiple");
            soak_same(s, &ours, theirs + 1, 64, "k·P");
        }
        BN_free(bn);
    }
    EC_POINT_free(p);
    EC_POINT_free(q);
    BN_CTX_free(ctx);
    return done;
}

static uint64_t keys_libcrypto(struct soak *s)
{
    BN_CTX *ctx = BN_CTX_new();
    EC_POINT *q = EC_POINT_new(group(s));
    uint64_t done = 0;
    for (; soak_slice(s); done++) {
        struct fn_sm2_private key;
        uint8_t theirs[65];
        some_key(s, &key);
        BIGNUM *d = BN_bin2bn(key.d, 32, NULL);
        must(s,
             EC_POINT_mul(group(s), q, d, NULL, NULL, ctx) == 1 &&
                 EC_POINT_point2oct(group(s), q, POINT_CONVERSION_UNCOMPRESSED, theirs, 65, ctx) == 65,
             "d·G");
        soak_same(s, &key.pub, theirs + 1, 64, "public key");
        BN_free(d);
    }
    EC_POINT_free(q);
    BN_CTX_free(ctx);
    return done;
}

/* Points of the curve, points beside it, coordinates that are not reduced: both must judge alike. */
static uint64_t validity_libcrypto(struct soak *s)
{
    EC_POINT *q = EC_POINT_new(group(s));
    BN_CTX *ctx = BN_CTX_new();
    uint64_t done = 0;
    for (; soak_slice(s); done++) {
        uint8_t bytes[65] = {4}, x[33];
        struct fn_sm2_public pub;
        soak_extreme_scalar(s, bytes + 1);
        soak_extreme_scalar(s, bytes + 33);
        x[0] = (uint8_t)(2 + soak_below(s, 2));
        memcpy(x + 1, bytes + 1, 32);
        if (soak_below(s, 4) && EC_POINT_oct2point(group(s), q, x, 33, ctx) == 1)
            EC_POINT_point2oct(group(s), q, POINT_CONVERSION_UNCOMPRESSED, bytes, 65, ctx);
        if (!soak_below(s, 4)) bytes[1 + soak_below(s, 64)] ^= (uint8_t)(1 << soak_below(s, 8));
        memcpy(&pub, bytes + 1, 64);
        bool theirs = EC_POINT_oct2point(group(s), q, bytes, 65, ctx) == 1;
        if ((fn_sm2_public_check(&pub) == FN_OK) != theirs)
            soak_mismatch(s, "validity of a point, theirs %d", theirs);
    }
    BN_CTX_free(ctx);
    EC_POINT_free(q);
    return done;
}

static uint64_t multiply_libgcrypt(struct soak *s)
{
    gcry_ctx_t ctx;
    struct fn_sm2_private key;
    uint64_t done = 0;
    some_key(s, &key);
    gcry_sexp_t unused = gcrypt_key_make(s, &key);
    must(s, gcry_mpi_ec_new(&ctx, NULL, "sm2p256v1") == 0, "curve of libgcrypt");
    gcry_mpi_t x, y, k = NULL;
    gcry_mpi_scan(&x, GCRYMPI_FMT_USG, key.pub.x, 32, NULL);
    gcry_mpi_scan(&y, GCRYMPI_FMT_USG, key.pub.y, 32, NULL);
    gcry_mpi_point_t p = gcry_mpi_point_set(NULL, x, y, gcry_mpi_set_ui(NULL, 1)), q = gcry_mpi_point_new(0);
    for (; soak_slice(s); done++) {
        uint8_t bytes[32], theirs[64] = {0};
        struct fn_sm2_public ours;
        soak_extreme_scalar(s, bytes);
        gcry_mpi_scan(&k, GCRYMPI_FMT_USG, bytes, 32, NULL);
        gcry_mpi_ec_mul(q, k, p, ctx);
        gcry_mpi_release(k);
        fn_err err = fn_sm2_multiply(&ours, bytes, &key.pub);
        if (gcry_mpi_ec_get_affine(x, y, q, ctx)) {
            if (err != FN_E_SM2_POINT) soak_mismatch(s, "infinity not seen");
            continue;
        }
        size_t nx, ny;
        uint8_t part[33];
        gcry_mpi_print(GCRYMPI_FMT_USG, part, sizeof part, &nx, x);
        memcpy(theirs + 32 - nx, part, nx);
        gcry_mpi_print(GCRYMPI_FMT_USG, part, sizeof part, &ny, y);
        memcpy(theirs + 64 - ny, part, ny);
        must(s, err == FN_OK, "multiple");
        soak_same(s, &ours, theirs, 64, "k·P");
    }
    gcry_mpi_release(x);
    gcry_mpi_release(y);
    gcry_mpi_point_release(p);
    gcry_mpi_point_release(q);
    gcry_ctx_release(ctx);
    gcry_sexp_release(unused);
    return done;
}

/* ---- signatures ---- */

static int to_der(const uint8_t sig[64], uint8_t *der)
{
    ECDSA_SIG *both = ECDSA_SIG_new();
    ECDSA_SIG_set0(both, BN_bin2bn(sig, 32, NULL), BN_bin2bn(sig + 32, 32, NULL));
    int n = i2d_ECDSA_SIG(both, &der);
    ECDSA_SIG_free(both);
    return n;
}

/* A signature that is right although nobody signed: r and s as they come, often at an edge, and the e that
 * fits them: e = r - x(s·G + (r+s)·P). */
static bool forge(struct soak *s, const struct fn_sm2_private *key, uint8_t e[32], uint8_t sig[64])
{
    struct fn_sm2_scalar r, t, x, d;
    soak_extreme_scalar(s, sig);
    soak_extreme_scalar(s, sig + 32);
    if (!fn_scalar_load(&r, sig) || !fn_scalar_load(&t, sig + 32) || fn_scalar_zero(&r) || fn_scalar_zero(&t))
        return false;
    struct fn_sm2_scalar sum = fn_scalar_add(&r, &t);
    fn_scalar_load(&d, key->d);
    sum = fn_scalar_mul(&sum, &d);
    sum = fn_scalar_add(&sum, &t);
    if (fn_scalar_zero(&sum)) return false;
    uint8_t k[32];
    struct fn_sm2_public point, g;
    fn_scalar_store(k, &sum);
    fn_point_store(&g, &fn_sm2_windows[0][0]);
    if (fn_sm2_multiply(&point, k, &g) != FN_OK) return false;
    fn_scalar_load(&x, point.x);
    x = fn_scalar_sub(&r, &x);
    fn_scalar_store(e, &x);
    return true;
}

static void sign_some(struct soak *s, const struct fn_sm2_private *key, uint8_t e[32], uint8_t sig[64])
{
    struct fn_rng rng = rng_of(s);
    uint8_t k[32];
    soak_extreme_scalar(s, e);
    soak_extreme_scalar(s, k);
    if (soak_below(s, 2) && fn_sm2_sign_with_nonce(key, k, e, sig) == FN_OK) return;
    must(s, fn_sm2_sign(key, &rng, e, sig) == FN_OK, "sign");
}

static uint64_t sign_libcrypto(struct soak *s)
{
    struct fn_sm2_private key;
    struct crypto_key theirs;
    uint64_t done = 0;
    some_key(s, &key);
    crypto_key_make(s, &theirs, &key);
    for (; soak_slice(s); done++) {
        uint8_t e[32], sig[64], der[80];
        sign_some(s, &key, e, sig);
        if (EVP_PKEY_verify(theirs.verify, der, (size_t)to_der(sig, der), e, 32) != 1)
            soak_mismatch(s, "libcrypto refuses our signature");
    }
    crypto_key_free(&theirs);
    return done;
}

/* Signatures by libcrypto, right ones at the edges, and altered ones: both must judge alike. */
static uint64_t verify_libcrypto(struct soak *s)
{
    struct fn_sm2_private key;
    struct crypto_key theirs;
    uint64_t done = 0;
    some_key(s, &key);
    crypto_key_make(s, &theirs, &key);
    for (; soak_slice(s); done++) {
        uint8_t e[32], sig[64], der[80];
        uint64_t kind = soak_below(s, 4);
        if (kind == 0) {
            size_t n = sizeof der;
            const uint8_t *p = der;
            soak_extreme_scalar(s, e);
            must(s, EVP_PKEY_sign(theirs.sign, der, &n, e, 32) == 1, "signature of libcrypto");
            ECDSA_SIG *both = d2i_ECDSA_SIG(NULL, &p, (long)n);
            must(s, both != NULL, "signature of libcrypto");
            BN_bn2binpad(ECDSA_SIG_get0_r(both), sig, 32);
            BN_bn2binpad(ECDSA_SIG_get0_s(both), sig + 32, 32);
            ECDSA_SIG_free(both);
        } else if (kind == 1 || !forge(s, &key, e, sig)) {
            sign_some(s, &key, e, sig);
        }
        if (soak_below(s, 3) == 0) {
            if (soak_below(s, 2))
                sig[soak_below(s, 64)] ^= (uint8_t)(1 << soak_below(s, 8));
            else
                soak_extreme_scalar(s, sig + 32 * soak_below(s, 2));
        }
        bool their = EVP_PKEY_verify(theirs.verify, der, (size_t)to_der(sig, der), e, 32) == 1;
        if ((fn_sm2_verify(&key.pub, e, sig) == FN_OK) != their)
            soak_mismatch(s, "verification, theirs %d", their);
    }
    crypto_key_free(&theirs);
    return done;
}

static uint64_t judge_libgcrypt(struct soak *s)
{
    struct fn_sm2_private key;
    uint64_t done = 0;
    some_key(s, &key);
    gcry_sexp_t theirs = gcrypt_key_make(s, &key);
    for (; soak_slice(s); done++) {
        uint8_t e[32], sig[64];
        gcry_sexp_t data, value;
        if (soak_below(s, 3) || !forge(s, &key, e, sig)) sign_some(s, &key, e, sig);
        if (soak_below(s, 4) == 0) sig[soak_below(s, 64)] ^= (uint8_t)(1 << soak_below(s, 8));
        must(s,
             gcry_sexp_build(&data, NULL, "(data(flags sm2)(hash sm3 %b))", 32, e) == 0 &&
                 gcry_sexp_build(&value, NULL, "(sig-val(sm2(r %b)(s %b)))", 32, sig, 32, sig + 32) == 0,
             "libgcrypt data");
        bool their = gcry_pk_verify(value, data, theirs) == 0;
        if ((fn_sm2_verify(&key.pub, e, sig) == FN_OK) != their)
            soak_mismatch(s, "verification, theirs %d", their);
        gcry_sexp_release(data);
        gcry_sexp_release(value);
    }
    gcry_sexp_release(theirs);
    return done;
}

/* The token `name` of an expression as a number of 32 bytes. */
static void take(struct soak *s, gcry_sexp_t from, const char *name, uint8_t out[32])
{
    gcry_sexp_t list = gcry_sexp_find_token(from, name, 0);
    size_t n = 0;
    const char *p = list ? gcry_sexp_nth_data(list, 1, &n) : NULL;
    must(s, p != NULL && n <= 33, name);
    if (n == 33) p++, n--;
    memset(out, 0, 32);
    memcpy(out + 32 - n, p, n);
    gcry_sexp_release(list);
}

static uint64_t verify_libgcrypt(struct soak *s)
{
    struct fn_sm2_private key;
    uint64_t done = 0;
    some_key(s, &key);
    gcry_sexp_t theirs = gcrypt_key_make(s, &key);
    for (; soak_slice(s); done++) {
        uint8_t e[32], sig[64];
        gcry_sexp_t data, value;
        soak_extreme_scalar(s, e);
        must(s,
             gcry_sexp_build(&data, NULL, "(data(flags sm2)(hash sm3 %b))", 32, e) == 0 &&
                 gcry_pk_sign(&value, data, theirs) == 0,
             "signature of libgcrypt");
        take(s, value, "r", sig);
        take(s, value, "s", sig + 32);
        if (fn_sm2_verify(&key.pub, e, sig) != FN_OK) soak_mismatch(s, "we refuse a signature of libgcrypt");
        gcry_sexp_release(data);
        gcry_sexp_release(value);
    }
    gcry_sexp_release(theirs);
    return done;
}

/* Batches of odd sizes against the single forms and each other. */
static uint64_t batches(struct soak *s)
{
    enum { MOST = 80 };
    static struct fn_sm2_private keys[MOST];
    static uint8_t e[MOST][32], sigs[MOST][64];
    struct fn_sm2_sign_job sign[MOST];
    struct fn_sm2_verify_job verify[MOST];
    struct fn_rng rng = rng_of(s);
    uint64_t done = 0;
    while (soak_slice(s)) {
        size_t n = 1 + soak_below(s, MOST);
        must(s, fn_sm2_generate_batch(n, keys, &rng) == FN_OK, "keys");
        for (size_t i = 0; i < n; i++) {
            if (soak_below(s, 2)) some_key(s, &keys[i]);
            soak_extreme_scalar(s, e[i]);
            sign[i] = (struct fn_sm2_sign_job){&keys[i], e[i], sigs[i]};
        }
        must(s, fn_sm2_sign_batch(n, sign, &rng) == FN_OK, "signatures");
        for (size_t i = 0; i < n; i++) {
            if (soak_below(s, 4) == 0) sigs[i][soak_below(s, 64)] ^= (uint8_t)(1 << soak_below(s, 8));
            verify[i] = (struct fn_sm2_verify_job){&keys[i].pub, e[i], sigs[i], FN_E_INTERNAL};
        }
        fn_sm2_verify_batch(n, verify);
        for (size_t i = 0; i < n; i++)
            if (fn_sm2_verify(&keys[i].pub, e[i], sigs[i]) != verify[i].result)
                soak_mismatch(s, "batch of %zu, job %zu", n, i);
        done += n;
    }
    return done;
}

/* ---- encryption ---- */

/* SM2Cipher of GM/T 0009: SEQUENCE { INTEGER x, INTEGER y, OCTET STRING C3, OCTET STRING C2 }. */
typedef struct {
    ASN1_INTEGER *x, *y;
    ASN1_OCTET_STRING *c3, *c2;
} CIPHER;
/* clang-format off */
ASN1_SEQUENCE(CIPHER) = {
    ASN1_SIMPLE(CIPHER, x, ASN1_INTEGER),
    ASN1_SIMPLE(CIPHER, y, ASN1_INTEGER),
    ASN1_SIMPLE(CIPHER, c3, ASN1_OCTET_STRING),
    ASN1_SIMPLE(CIPHER, c2, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(CIPHER)
    /* clang-format on */

    static uint64_t encrypt_libcrypto(struct soak * s)
{
    struct fn_sm2_private key;
    struct crypto_key theirs;
    struct fn_rng rng = rng_of(s);
    uint64_t done = 0;
    some_key(s, &key);
    crypto_key_make(s, &theirs, &key);
    for (; soak_slice(s); done++) {
        uint8_t m[MESSAGE_MOST], c2[MESSAGE_MOST], back[MESSAGE_MOST], c3[32], k[32], *der = NULL;
        size_t n = 1 + soak_below(s, sizeof m), length = sizeof back;
        struct fn_sm2_public c1;
        soak_extreme_bytes(s, m, n);
        soak_extreme_scalar(s, k);
        if (soak_below(s, 2) || fn_sm2_encrypt_with_nonce(&key.pub, k, m, n, &c1, c3, c2) != FN_OK)
            must(s, fn_sm2_encrypt(&key.pub, &rng, m, n, &c1, c3, c2) == FN_OK, "encrypt");
        CIPHER *c = (CIPHER *)ASN1_item_new(ASN1_ITEM_rptr(CIPHER));
        BIGNUM *x = BN_bin2bn(c1.x, 32, NULL), *y = BN_bin2bn(c1.y, 32, NULL);
        BN_to_ASN1_INTEGER(x, c->x);
        BN_to_ASN1_INTEGER(y, c->y);
        ASN1_OCTET_STRING_set(c->c3, c3, 32);
        ASN1_OCTET_STRING_set(c->c2, c2, (int)n);
        int size = ASN1_item_i2d((ASN1_VALUE *)c, &der, ASN1_ITEM_rptr(CIPHER));
        if (EVP_PKEY_decrypt(theirs.decrypt, back, &length, der, (size_t)size) != 1 || length != n)
            soak_mismatch(s, "libcrypto does not open our ciphertext");
        soak_same(s, m, back, n, "plaintext");
        BN_free(x);
        BN_free(y);
        OPENSSL_free(der);
        ASN1_item_free((ASN1_VALUE *)c, ASN1_ITEM_rptr(CIPHER));
    }
    crypto_key_free(&theirs);
    return done;
}

static uint64_t decrypt_libcrypto(struct soak *s)
{
    struct fn_sm2_private key;
    struct crypto_key theirs;
    uint64_t done = 0;
    some_key(s, &key);
    crypto_key_make(s, &theirs, &key);
    for (; soak_slice(s); done++) {
        uint8_t m[MESSAGE_MOST], back[MESSAGE_MOST], der[MESSAGE_MOST + 150];
        size_t n = 1 + soak_below(s, sizeof m), size = sizeof der;
        struct fn_sm2_public c1;
        soak_extreme_bytes(s, m, n);
        /* This libcrypto does not draw again when the key stream is empty, and a ciphertext of one byte may
         * be such. */
        must(s, EVP_PKEY_encrypt(theirs.encrypt, der, &size, m, n) == 1, "encryption of libcrypto");
        const uint8_t *p = der;
        CIPHER *c = (CIPHER *)ASN1_item_d2i(NULL, &p, (long)size, ASN1_ITEM_rptr(CIPHER));
        must(s, c != NULL, "ciphertext of libcrypto");
        BIGNUM *x = ASN1_INTEGER_to_BN(c->x, NULL), *y = ASN1_INTEGER_to_BN(c->y, NULL);
        BN_bn2binpad(x, c1.x, 32);
        BN_bn2binpad(y, c1.y, 32);
        const uint8_t *c2 = ASN1_STRING_get0_data(c->c2);
        bool same = memcmp(m, c2, n) == 0;
        fn_err err = fn_sm2_decrypt(&key, &c1, ASN1_STRING_get0_data(c->c3), c2, n, back);
        if (err != (same ? FN_E_SM2_CIPHERTEXT : FN_OK))
            soak_mismatch(s, "decryption of %zu bytes: error %d", n, err);
        if (!same) soak_same(s, back, m, n, "plaintext");
        BN_free(x);
        BN_free(y);
        ASN1_item_free((ASN1_VALUE *)c, ASN1_ITEM_rptr(CIPHER));
    }
    crypto_key_free(&theirs);
    return done;
}

static uint64_t encrypt_libgcrypt(struct soak *s)
{
    struct fn_sm2_private key;
    struct fn_rng rng = rng_of(s);
    uint64_t done = 0;
    some_key(s, &key);
    gcry_sexp_t theirs = gcrypt_key_make(s, &key);
    for (; soak_slice(s); done++) {
        uint8_t m[MESSAGE_MOST], c2[MESSAGE_MOST], c3[32], point[65] = {4};
        size_t n = 1 + soak_below(s, sizeof m), length = 0;
        struct fn_sm2_public c1, shared;
        gcry_sexp_t value, plain;
        soak_extreme_bytes(s, m, n);
        must(s, fn_sm2_encrypt(&key.pub, &rng, m, n, &c1, c3, c2) == FN_OK, "encrypt");
        memcpy(point + 1, &c1, 64);
        must(s,
             gcry_sexp_build(&value, NULL, "(enc-val(flags sm2)(sm2(a %b)(b %b)(c %b)))", 65, point, 32, c3,
                             (int)n, c2) == 0 &&
                 fn_sm2_multiply(&shared, key.d, &c1) == FN_OK,
             "libgcrypt data");
        /* libgcrypt 1.10 drops leading zero bytes of the shared point's coordinates and refuses such
         * ciphertexts. */
        if (gcry_pk_decrypt(&plain, value, theirs) != 0) {
            if (shared.x[0] && shared.y[0]) soak_mismatch(s, "libgcrypt does not open our ciphertext");
            gcry_sexp_release(value);
            continue;
        }
        /* It hands the plaintext out as a number: zeros before it come or go. */
        const char *p = gcry_sexp_nth_data(plain, 1, &length);
        size_t zeros = 0, more = 0;
        while (zeros < n && m[zeros] == 0) zeros++;
        while (p && more < length && p[more] == 0) more++;
        if (length - more != n - zeros) soak_mismatch(s, "plaintext of %zu bytes instead of %zu", length, n);
        if (n > zeros) soak_same(s, m + zeros, p + more, n - zeros, "plaintext");
        gcry_sexp_release(value);
        gcry_sexp_release(plain);
    }
    gcry_sexp_release(theirs);
    return done;
}

const struct soak_case soak_cases_sm2[] = {
    {"sm2-field", field},
    {"sm2-field-limbs", field_limbs},
    {"sm2-scalar", scalars},
    {"sm2-inverse", inverses},
    {"sm2-multiply-libcrypto", multiply_libcrypto},
    {"sm2-multiply-libgcrypt", multiply_libgcrypt},
    {"sm2-keys-libcrypto", keys_libcrypto},
    {"sm2-points-libcrypto", validity_libcrypto},
    {"sm2-sign-libcrypto", sign_libcrypto},
    {"sm2-verify-libcrypto", verify_libcrypto},
    {"sm2-judge-libgcrypt", judge_libgcrypt},
    {"sm2-verify-libgcrypt", verify_libgcrypt},
    {"sm2-batch", batches},
    {"sm2-encrypt-libcrypto", encrypt_libcrypto},
    {"sm2-decrypt-libcrypto", decrypt_libcrypto},
    {"sm2-encrypt-libgcrypt", encrypt_libgcrypt},
};
const size_t soak_count_sm2 = sizeof soak_cases_sm2 / sizeof *soak_cases_sm2;
