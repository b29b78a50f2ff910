/* Every function of GM/T 0018 on the real device: as it should be called, in the wrong state, and with
 * arguments that would hurt a library that believes them. Length pointers hold rubbish before every call:
 * they are outputs. */
#include "crypto/sm2/sm2.h"
#include "crypto/sm3/sm3.h"
#include "crypto/sm4/sm4.h"
#include "device_process.h"

#define RUBBISH 0xdeadbeefu

/* A ciphertext with a fence behind it: nothing beyond 164 + L may be written. */
struct fenced {
    ECCCipher cipher;
    unsigned char room[200];
};
static void fence(struct fenced *f)
{
    memset(f, 0x5a, sizeof *f);
}
static void check_fence(const struct fenced *f, unsigned int n)
{
    const unsigned char *p = (const unsigned char *)f;
    assert_int_equal(f->cipher.L, n);
    for (size_t i = 164 + n; i < sizeof *f; i++) assert_int_equal(p[i], 0x5a);
    for (size_t i = 0; i < 32; i++) assert_int_equal(f->cipher.x[i] | f->cipher.y[i], 0);
}

static void *new_key(struct sdf s)
{
    unsigned char wrapped[64];
    unsigned int n = RUBBISH;
    void *key = NULL;
    assert_int_equal(S(SDF_GenerateKeyWithKEK)(s.session, 128, SGD_SM4_ECB, 1, wrapped, &n, &key), SDR_OK);
    assert_int_equal(n, 16);
    assert_non_null(key);
    return key;
}

/* The raw bytes of a session key, learnt by having it wrapped for a key pair of ours. */
static void *known_key(struct sdf s, uint8_t raw[16])
{
    struct fn_sm2_private own;
    uint8_t d[32];
    struct fenced f;
    ECCrefPublicKey pub = {.bits = 256};
    struct fn_sm2_public c1;
    void *key = NULL;
    sdf_hex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8", d);
    assert_int_equal(fn_sm2_private_load(&own, d), FN_OK);
    memcpy(pub.x + 32, own.pub.x, 32);
    memcpy(pub.y + 32, own.pub.y, 32);
    fence(&f);
    assert_int_equal(S(SDF_GenerateKeyWithEPK_ECC)(s.session, 128, SGD_SM2_3, &pub, &f.cipher, &key), SDR_OK);
    check_fence(&f, 16);
    memcpy(c1.x, f.cipher.x + 32, 32);
    memcpy(c1.y, f.cipher.y + 32, 32);
    assert_int_equal(fn_sm2_decrypt(&own, &c1, f.cipher.M, f.cipher.C, 16, raw), FN_OK);
    return key;
}

static void test_device(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    DEVICEINFO info;
    memset(&info, 0xff, sizeof info);
    assert_int_equal(S(SDF_GetDeviceInfo)(s.session, &info), SDR_OK);
    assert_int_equal(info.StandardVersion, 2);
    assert_true(info.SymAlgAbility & 0x400);
    assert_true(info.HashAlgAbility & SGD_SM3);
    assert_true(info.AsymAlgAbility[0] & SGD_SM2_1);
    unsigned char a[5000] = {0}, b[5000] = {0};
    assert_int_equal(S(SDF_GenerateRandom)(s.session, sizeof a, a), SDR_OK);
    assert_int_equal(S(SDF_GenerateRandom)(s.session, sizeof b, b), SDR_OK);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(S(SDF_GenerateRandom)(s.session, 0, a), SDR_INARGERR);
    assert_int_equal(S(SDF_GenerateRandom)(s.session, 16, NULL), SDR_INARGERR);
    unsigned char *large = malloc(3000000);
    assert_int_equal(S(SDF_GenerateRandom)(s.session, 3000000, large), SDR_OK);
    free(large);
    sdf_close(s);
}

/* Handles that never were, are of another kind, or are closed. */
static void test_handles(void **state)
{
    (void)state;
    struct sdf s = sdf_open(), other = sdf_open();
    unsigned char buffer[32] = {0}, iv[16] = {0};
    unsigned int n;
    void *key = new_key(s), *bad[] = {NULL, (void *)8, (void *)0x7fffffff, &s, s.device, (void *)-1, buffer};
    for (size_t i = 0; i < FN_COUNT(bad); i++) {
        assert_int_equal(S(SDF_GenerateRandom)(bad[i], 16, buffer), SDR_INARGERR);
        assert_int_equal(S(SDF_Encrypt)(bad[i], key, SGD_SM4_CBC, iv, buffer, 16, buffer, &n), SDR_INARGERR);
        assert_int_equal(S(SDF_Encrypt)(s.session, bad[i], SGD_SM4_CBC, iv, buffer, 16, buffer, &n),
                         SDR_KEYNOTEXIST);
        assert_int_equal(S(SDF_DestroyKey)(s.session, bad[i]), SDR_KEYNOTEXIST);
        assert_int_equal(S(SDF_CloseSession)(bad[i]), SDR_INARGERR);
        if (bad[i] != s.device) {
            assert_int_equal(S(SDF_CloseDevice)(bad[i]), SDR_INARGERR);
            assert_int_equal(S(SDF_OpenSession)(bad[i], &key), SDR_INARGERR);
            key = new_key(s);
        }
    }
    /* A key of another session, and after destruction. */
    assert_int_equal(S(SDF_Encrypt)(other.session, key, SGD_SM4_CBC, iv, buffer, 16, buffer, &n),
                     SDR_KEYNOTEXIST);
    assert_int_equal(S(SDF_DestroyKey)(s.session, key), SDR_OK);
    assert_int_equal(S(SDF_DestroyKey)(s.session, key), SDR_KEYNOTEXIST);
    /* Closing the session ends its keys; closing the device ends its sessions. */
    key = new_key(other);
    assert_int_equal(S(SDF_CloseDevice)(other.device), SDR_OK);
    assert_int_equal(S(SDF_GenerateRandom)(other.session, 16, buffer), SDR_INARGERR);
    assert_int_equal(S(SDF_CloseSession)(other.session), SDR_INARGERR);
    assert_int_equal(S(SDF_CloseDevice)(other.device), SDR_INARGERR);
    assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, iv, buffer, 16, buffer, &n),
                     SDR_KEYNOTEXIST);
    sdf_close(s);
    assert_int_equal(S(SDF_OpenDevice)(NULL), SDR_INARGERR);
    void *absent = buffer;
    assert_int_equal(S(SDF_OpenDeviceWithConf)(&absent, "/nonexistent/socket"), SDR_OPENDEVICE);
    assert_null(absent);
}

static void test_signatures(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    ECCrefPublicKey pub;
    ECCSignature sig;
    unsigned char e[32];
    struct fn_sm2_public key;
    uint8_t raw[64];
    assert_int_equal(S(SDF_ExportSignPublicKey_ECC)(s.session, 1, &pub), SDR_OK);
    assert_int_equal(pub.bits, 256);
    memcpy(key.x, pub.x + 32, 32);
    memcpy(key.y, pub.y + 32, 32);
    assert_int_equal(fn_sm2_public_check(&key), FN_OK);
    assert_int_equal(fn_sm2_digest(e, &key, FN_SM2_DEFAULT_ID, FN_BYTES_LITERAL("message")), FN_OK);

    assert_int_equal(S(SDF_InternalSign_ECC)(s.session, 1, e, 32, &sig), SDR_PARDENY);
    assert_int_equal(S(SDF_GetPrivateKeyAccessRight)(s.session, 1, (unsigned char *)"wrong password", 14),
                     SDR_PRKRERR);
    assert_int_equal(S(SDF_GetPrivateKeyAccessRight)(s.session, 99, (unsigned char *)PASSWORD, 21),
                     SDR_KEYNOTEXIST);
    assert_int_equal(S(SDF_GetPrivateKeyAccessRight)(s.session, 0, (unsigned char *)PASSWORD, 21),
                     SDR_PARDENY);
    sdf_right(s, 1);
    assert_int_equal(S(SDF_InternalSign_ECC)(s.session, 1, e, 32, &sig), SDR_OK);
    memcpy(raw, sig.r + 32, 32);
    memcpy(raw + 32, sig.s + 32, 32);
    assert_int_equal(fn_sm2_verify(&key, e, raw), FN_OK);
    assert_int_equal(S(SDF_InternalVerify_ECC)(s.session, 1, e, 32, &sig), SDR_OK);
    assert_int_equal(S(SDF_ExternalVerify_ECC)(s.session, SGD_SM2_1, &pub, e, 32, &sig), SDR_OK);
    assert_int_equal(S(SDF_ExternalVerify_ECC)(s.session, SGD_SM2, &pub, e, 32, &sig), SDR_OK);
    assert_int_equal(S(SDF_ExternalVerify_ECC)(s.session, SGD_SM2_3, &pub, e, 32, &sig), SDR_ALGNOTSUPPORT);
    assert_int_equal(S(SDF_InternalSign_ECC)(s.session, 1, e, 31, &sig), SDR_INARGERR);
    assert_int_equal(S(SDF_InternalSign_ECC)(s.session, 77, e, 32, &sig), SDR_KEYNOTEXIST);
    e[5] ^= 1;
    assert_int_equal(S(SDF_ExternalVerify_ECC)(s.session, SGD_SM2_1, &pub, e, 32, &sig), SDR_VERIFYERR);
    assert_int_equal(S(SDF_InternalVerify_ECC)(s.session, 1, e, 32, &sig), SDR_VERIFYERR);
    e[5] ^= 1;
    sig.r[31] = 1; /* a number of more than 256 bits */
    assert_int_equal(S(SDF_ExternalVerify_ECC)(s.session, SGD_SM2_1, &pub, e, 32, &sig), SDR_INARGERR);
    sig.r[31] = 0;
    pub.y[63] ^= 1; /* a point off the curve */
    assert_int_equal(S(SDF_ExternalVerify_ECC)(s.session, SGD_SM2_1, &pub, e, 32, &sig), SDR_INARGERR);
    pub.bits = 512;
    assert_int_equal(S(SDF_ExternalVerify_ECC)(s.session, SGD_SM2_1, &pub, e, 32, &sig), SDR_INARGERR);
    assert_int_equal(S(SDF_ReleasePrivateKeyAccessRight)(s.session, 1), SDR_OK);
    assert_int_equal(S(SDF_ReleasePrivateKeyAccessRight)(s.session, 1), SDR_OK);
    assert_int_equal(S(SDF_InternalSign_ECC)(s.session, 1, e, 32, &sig), SDR_PARDENY);
    /* The right is the session's own; index 2 needs none. */
    sdf_right(s, 1);
    struct sdf other = sdf_open();
    assert_int_equal(S(SDF_InternalSign_ECC)(other.session, 1, e, 32, &sig), SDR_PARDENY);
    assert_int_equal(S(SDF_InternalSign_ECC)(other.session, 2, e, 32, &sig), SDR_OK);
    sdf_close(other);
    sdf_close(s);
}

static void test_encryption(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    ECCrefPublicKey pub;
    struct fenced f;
    unsigned char data[19] = "encryption standard", out[64];
    unsigned int n = RUBBISH;
    assert_int_equal(S(SDF_ExportEncPublicKey_ECC)(s.session, 1, &pub), SDR_OK);
    fence(&f);
    assert_int_equal(S(SDF_ExternalEncrypt_ECC)(s.session, SGD_SM2_3, &pub, data, 19, &f.cipher), SDR_OK);
    check_fence(&f, 19);
    assert_int_equal(S(SDF_InternalDecrypt_ECC)(s.session, 1, SGD_SM2_3, &f.cipher, out, &n), SDR_PARDENY);
    sdf_right(s, 1);
    n = RUBBISH;
    assert_int_equal(S(SDF_InternalDecrypt_ECC)(s.session, 1, SGD_SM2_3, &f.cipher, NULL, &n), SDR_OK);
    assert_int_equal(n, 19);
    n = RUBBISH;
    assert_int_equal(S(SDF_InternalDecrypt_ECC)(s.session, 1, SGD_SM2_3, &f.cipher, out, &n), SDR_OK);
    assert_int_equal(n, 19);
    assert_memory_equal(out, data, 19);
    fence(&f);
    assert_int_equal(S(SDF_InternalEncrypt_ECC)(s.session, 1, SGD_SM2_3, data, 19, &f.cipher), SDR_OK);
    check_fence(&f, 19);
    f.cipher.M[3] ^= 1;
    assert_int_equal(S(SDF_InternalDecrypt_ECC)(s.session, 1, SGD_SM2_3, &f.cipher, out, &n), SDR_ENCDATAERR);
    f.cipher.M[3] ^= 1;
    f.cipher.L = 0xffffffff;
    assert_int_equal(S(SDF_InternalDecrypt_ECC)(s.session, 1, SGD_SM2_3, &f.cipher, out, &n), SDR_ENCDATAERR);
    f.cipher.L = 0;
    assert_int_equal(S(SDF_InternalDecrypt_ECC)(s.session, 1, SGD_SM2_3, &f.cipher, out, &n), SDR_ENCDATAERR);
    f.cipher.L = 19;
    f.cipher.x[0] = 1;
    assert_int_equal(S(SDF_InternalDecrypt_ECC)(s.session, 1, SGD_SM2_3, &f.cipher, out, &n), SDR_ENCDATAERR);
    assert_int_equal(S(SDF_ExternalEncrypt_ECC)(s.session, SGD_SM2_1, &pub, data, 19, &f.cipher),
                     SDR_ALGNOTSUPPORT);
    assert_int_equal(S(SDF_ExternalEncrypt_ECC)(s.session, SGD_SM2_3, &pub, data, 0, &f.cipher),
                     SDR_INARGERR);
    sdf_close(s);
}

/* Two handles hold the same key when what one encrypts the other decrypts. */
static void same_key(struct sdf s, void *a, void *b)
{
    unsigned char data[48] = "two handles, one key", c[48], d[48], iv[16] = {1}, iv2[16] = {1};
    unsigned int n = RUBBISH;
    assert_int_equal(S(SDF_Encrypt)(s.session, a, SGD_SM4_CBC, iv, data, 48, c, &n), SDR_OK);
    assert_int_equal(n, 48);
    n = RUBBISH;
    assert_int_equal(S(SDF_Decrypt)(s.session, b, SGD_SM4_CBC, iv2, c, 48, d, &n), SDR_OK);
    assert_int_equal(n, 48);
    assert_memory_equal(data, d, 48);
    assert_memory_equal(iv, iv2, 16);
}

static void test_session_keys(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    struct fenced f;
    unsigned char wrapped[300];
    unsigned int n = RUBBISH;
    void *a = NULL, *b = NULL;
    sdf_right(s, 1);
    fence(&f);
    assert_int_equal(S(SDF_GenerateKeyWithIPK_ECC)(s.session, 1, 128, &f.cipher, &a), SDR_OK);
    check_fence(&f, 16);
    assert_int_equal(S(SDF_ImportKeyWithISK_ECC)(s.session, 1, &f.cipher, &b), SDR_OK);
    same_key(s, a, b);
    assert_int_equal(S(SDF_ImportKeyWithISK_ECC)(s.session, 2, &f.cipher, &b), SDR_ENCDATAERR);
    assert_null(b);
    assert_int_equal(S(SDF_GenerateKeyWithIPK_ECC)(s.session, 1, 0, &f.cipher, &a), SDR_INARGERR);
    assert_int_equal(S(SDF_GenerateKeyWithIPK_ECC)(s.session, 1, 127, &f.cipher, &a), SDR_INARGERR);
    assert_int_equal(S(SDF_GenerateKeyWithIPK_ECC)(s.session, 3, 128, &f.cipher, &a),
                     SDR_KEYTYPEERR); /* an RSA pair */
    assert_int_equal(S(SDF_GenerateKeyWithIPK_ECC)(s.session, 50, 128, &f.cipher, &a), SDR_KEYNOTEXIST);

    assert_int_equal(S(SDF_GenerateKeyWithKEK)(s.session, 128, SGD_SM4_ECB, 1, wrapped, &n, &a), SDR_OK);
    assert_int_equal(n, 16);
    assert_int_equal(S(SDF_ImportKeyWithKEK)(s.session, SGD_SM4_ECB, 1, wrapped, n, &b), SDR_OK);
    same_key(s, a, b);
    n = RUBBISH;
    assert_int_equal(S(SDF_GenerateKeyWithKEK)(s.session, 128, SGD_SM4_CBC, 1, wrapped, &n, &a), SDR_OK);
    assert_int_equal(n, 48);
    assert_int_equal(S(SDF_ImportKeyWithKEK)(s.session, SGD_SM4_CBC, 1, wrapped, n, &b), SDR_OK);
    same_key(s, a, b);
    wrapped[47] ^= 0x80;
    assert_int_equal(S(SDF_ImportKeyWithKEK)(s.session, SGD_SM4_CBC, 1, wrapped, n, &b), SDR_KEYERR);
    assert_int_equal(S(SDF_GenerateKeyWithKEK)(s.session, 128, SGD_SM4_ECB, 9, wrapped, &n, &a),
                     SDR_KEYNOTEXIST);
    assert_int_equal(S(SDF_GenerateKeyWithKEK)(s.session, 128, SGD_SM4_OFB, 1, wrapped, &n, &a),
                     SDR_ALGMODNOTSUPPORT);
    assert_int_equal(S(SDF_GenerateKeyWithKEK)(s.session, 128, SGD_SM1_ECB, 1, wrapped, &n, &a),
                     SDR_ALGNOTSUPPORT);
    assert_int_equal(S(SDF_ImportKeyWithKEK)(s.session, SGD_SM4_ECB, 1, wrapped, 15, &b), SDR_KEYERR);

    /* An envelope made for index 1 is made over for index 2. */
    ECCrefPublicKey pub;
    struct fenced g;
    fence(&f);
    fence(&g);
    assert_int_equal(S(SDF_GenerateKeyWithIPK_ECC)(s.session, 1, 128, &f.cipher, &a), SDR_OK);
    assert_int_equal(S(SDF_ExportEncPublicKey_ECC)(s.session, 2, &pub), SDR_OK);
    assert_int_equal(
        S(SDF_ExchangeDigitEnvelopeBaseOnECC)(s.session, 1, SGD_SM2_3, &pub, &f.cipher, &g.cipher), SDR_OK);
    check_fence(&g, 16);
    assert_int_equal(S(SDF_ImportKeyWithISK_ECC)(s.session, 2, &g.cipher, &b), SDR_OK);
    same_key(s, a, b);
    assert_int_equal(S(SDF_GetSymmKeyHandle)(s.session, 1, &a), SDR_KEYNOTEXIST);
    sdf_close(s);
}

static void test_rsa(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    RSArefPublicKey pub, encrypt;
    unsigned char in[256] = {0}, out[256], back[256], wrapped[256], wrapped2[256];
    unsigned int n = RUBBISH;
    void *a = NULL, *b = NULL;
    assert_int_equal(S(SDF_ExportSignPublicKey_RSA)(s.session, 3, &pub), SDR_OK);
    assert_int_equal(pub.bits, 2048);
    assert_int_equal(S(SDF_ExportEncPublicKey_RSA)(s.session, 3, &encrypt), SDR_OK);
    assert_int_equal(S(SDF_ExportSignPublicKey_RSA)(s.session, 1, &pub), SDR_KEYTYPEERR);
    assert_int_equal(S(SDF_ExportSignPublicKey_RSA)(s.session, 3, &pub), SDR_OK);
    memset(in + 1, 0x42, 255);
    assert_int_equal(S(SDF_InternalPrivateKeyOperation_RSA)(s.session, 3, in, 256, out, &n), SDR_OK);
    assert_int_equal(n, 256);
    n = RUBBISH;
    assert_int_equal(S(SDF_InternalPublicKeyOperation_RSA)(s.session, 3, out, 256, back, &n), SDR_OK);
    assert_memory_equal(in, back, 256);
    assert_int_equal(S(SDF_ExternalPublicKeyOperation_RSA)(s.session, &pub, out, 256, back, &n), SDR_OK);
    assert_int_equal(n, 256);
    assert_memory_equal(in, back, 256);
    assert_int_equal(S(SDF_ExternalPublicKeyOperation_RSA)(s.session, &pub, out, 255, back, &n),
                     SDR_INARGERR);
    n = RUBBISH;
    assert_int_equal(S(SDF_GenerateKeyWithIPK_RSA)(s.session, 3, 128, wrapped, &n, &a), SDR_OK);
    assert_int_equal(n, 256);
    assert_int_equal(S(SDF_ImportKeyWithISK_RSA)(s.session, 3, wrapped, n, &b), SDR_OK);
    same_key(s, a, b);
    n = RUBBISH;
    assert_int_equal(S(SDF_GenerateKeyWithEPK_RSA)(s.session, 128, &encrypt, wrapped, &n, &a), SDR_OK);
    assert_int_equal(n, 256);
    n = RUBBISH;
    assert_int_equal(
        S(SDF_ExchangeDigitEnvelopeBaseOnRSA)(s.session, 3, &encrypt, wrapped, 256, wrapped2, &n), SDR_OK);
    assert_int_equal(n, 256);
    assert_int_equal(S(SDF_ImportKeyWithISK_RSA)(s.session, 3, wrapped2, n, &b), SDR_OK);
    same_key(s, a, b);
    assert_int_equal(S(SDF_GenerateKeyWithIPK_RSA)(s.session, 1, 128, wrapped, &n, &a), SDR_KEYTYPEERR);
    RSArefPrivateKey private;
    assert_int_equal(S(SDF_GenerateKeyPair_RSA)(s.session, 2048, &pub, &private), SDR_NOTSUPPORT);
    sdf_close(s);
}

static void test_agreement(void **state)
{
    (void)state;
    struct sdf a = sdf_open(), b = sdf_open();
    ECCrefPublicKey pa, ta, pb, tb;
    void *agreement = NULL, *ka = NULL, *kb = NULL;
    unsigned char ida[] = "ALICE123@YAHOO.COM", idb[] = "BILL456@YAHOO.COM";
    assert_int_equal(S(SDF_GenerateAgreementDataWithECC)(a.session, 1, 128, ida, 18, &pa, &ta, &agreement),
                     SDR_PARDENY);
    sdf_right(a, 1);
    assert_int_equal(S(SDF_GenerateAgreementDataWithECC)(a.session, 1, 128, ida, 18, &pa, &ta, &agreement),
                     SDR_OK);
    assert_int_equal(S(SDF_GenerateAgreementDataAndKeyWithECC)(b.session, 2, 128, idb, 17, ida, 18, &pa, &ta,
                                                               &pb, &tb, &kb),
                     SDR_OK);
    assert_int_equal(S(SDF_GenerateKeyWithECC)(b.session, idb, 17, &pb, &tb, agreement, &ka),
                     SDR_KEYNOTEXIST);
    assert_int_equal(S(SDF_GenerateKeyWithECC)(a.session, idb, 17, &pb, &tb, agreement, &ka), SDR_OK);
    unsigned char data[16] = "agreed", c[16], d[16];
    unsigned int n;
    assert_int_equal(S(SDF_Encrypt)(a.session, ka, SGD_SM4_ECB, NULL, data, 16, c, &n), SDR_OK);
    assert_int_equal(S(SDF_Decrypt)(b.session, kb, SGD_SM4_ECB, NULL, c, 16, d, &n), SDR_OK);
    assert_memory_equal(data, d, 16);
    assert_int_equal(S(SDF_GenerateKeyWithECC)(a.session, idb, 17, &pb, &tb, agreement, &ka),
                     SDR_KEYNOTEXIST); /* done with */
    assert_int_equal(S(SDF_GenerateAgreementDataWithECC)(a.session, 1, 128, ida, 18, &pa, &ta, &agreement),
                     SDR_OK);
    assert_int_equal(S(SDF_DestroyKey)(a.session, agreement), SDR_OK);
    assert_int_equal(S(SDF_GenerateKeyWithECC)(a.session, idb, 17, &pb, &tb, agreement, &ka),
                     SDR_KEYNOTEXIST);
    pb.x[63] ^= 1;
    assert_int_equal(S(SDF_GenerateAgreementDataWithECC)(a.session, 1, 128, ida, 18, &pa, &ta, &agreement),
                     SDR_OK);
    assert_int_equal(S(SDF_GenerateKeyWithECC)(a.session, idb, 17, &pb, &tb, agreement, &ka), SDR_INARGERR);
    sdf_close(a);
    sdf_close(b);
}

/* Against our own algorithms, whose vectors are tested elsewhere: the key is known to both sides. */
static void test_ciphers(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    uint8_t raw[16], iv[16], iv2[16], expected[64], out[64], back[64];
    unsigned char data[64] = "the quick brown fox jumps over the lazy dog; sixty-four bytes..";
    unsigned int n;
    struct fn_sm4_key k;
    void *key = known_key(s, raw);
    fn_sm4_key_init(&k, raw);
    static const unsigned int modes[] = {SGD_SM4_ECB, SGD_SM4_CBC, SGD_SM4_CFB, SGD_SM4_OFB, SGD_SM4_CTR};
    for (size_t i = 0; i < FN_COUNT(modes); i++) {
        unsigned int size = i < 2 ? 64 : 61;
        memset(iv, 7, 16);
        memset(iv2, 7, 16);
        switch (modes[i]) {
        case SGD_SM4_ECB:
            fn_sm4_ecb_encrypt(&k, data, expected, size);
            break;
        case SGD_SM4_CBC:
            fn_sm4_cbc_encrypt(&k, iv2, data, expected, size);
            break;
        case SGD_SM4_CFB:
            fn_sm4_cfb_encrypt(&k, iv2, data, expected, size);
            break;
        case SGD_SM4_OFB:
            fn_sm4_ofb_crypt(&k, iv2, data, expected, size);
            break;
        default:
            fn_sm4_ctr_crypt(&k, iv2, data, expected, size);
            break;
        }
        n = RUBBISH;
        assert_int_equal(S(SDF_Encrypt)(s.session, key, modes[i], iv, data, size, out, &n), SDR_OK);
        assert_int_equal(n, size);
        assert_memory_equal(out, expected, size);
        if (modes[i] == SGD_SM4_CBC) assert_memory_equal(iv, iv2, 16);
        memset(iv, 7, 16);
        n = RUBBISH;
        assert_int_equal(S(SDF_Decrypt)(s.session, key, modes[i], iv, out, size, back, &n), SDR_OK);
        assert_int_equal(n, size);
        assert_memory_equal(back, data, size);
    }
    /* Two calls continue one stream; in place; the length alone. */
    memset(iv, 7, 16);
    memset(iv2, 7, 16);
    fn_sm4_cbc_encrypt(&k, iv2, data, expected, 64);
    memcpy(out, data, 64);
    assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, iv, out, 32, out, &n), SDR_OK);
    assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, iv, out + 32, 32, out + 32, &n), SDR_OK);
    assert_memory_equal(out, expected, 64);
    n = RUBBISH;
    assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, iv, data, 32, NULL, &n), SDR_OK);
    assert_int_equal(n, 32);
    assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, iv, data, 33, out, &n), SDR_INARGERR);
    assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, NULL, data, 32, out, &n), SDR_INARGERR);
    assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, iv, data, 32, out, NULL), SDR_OUTARGERR);
    assert_int_equal(S(SDF_Encrypt)(s.session, key, 0x2001, iv, data, 32, out, &n), SDR_ALGNOTSUPPORT);
    assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_GCM, iv, data, 32, out, &n),
                     SDR_ALGMODNOTSUPPORT);
    /* Longer than a frame. */
    size_t large = 3 * 1024 * 1024 + 32;
    unsigned char *a = malloc(large), *b = malloc(large);
    memset(a, 0x33, large);
    memset(iv, 9, 16);
    memset(iv2, 9, 16);
    assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, iv, a, (unsigned int)large, b, &n), SDR_OK);
    assert_int_equal(n, large);
    fn_sm4_cbc_encrypt(&k, iv2, a, a, large);
    assert_memory_equal(a, b, large);
    free(a);
    free(b);
    sdf_close(s);
}

static void test_macs(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    uint8_t raw[16], mac[32], expected[32], iv[16] = {0}, iv2[16] = {0};
    unsigned char data[64] = "message";
    unsigned int n = RUBBISH;
    struct fn_sm4_key k;
    struct fn_hmac_key h;
    void *key = known_key(s, raw);
    fn_sm4_key_init(&k, raw);
    fn_hmac_key_init(&h, raw, 16);
    assert_int_equal(S(SDF_CalculateMAC)(s.session, key, SGD_SM4_MAC, iv, data, 64, mac, &n), SDR_OK);
    assert_int_equal(n, 16);
    fn_sm4_cbc_mac(&k, iv2, data, 64);
    assert_memory_equal(mac, iv2, 16);
    assert_memory_equal(iv, iv2, 16);
    n = RUBBISH;
    assert_int_equal(S(SDF_CalculateMAC)(s.session, key, SGD_SM3, NULL, data, 50, mac, &n), SDR_OK);
    assert_int_equal(n, 32);
    fn_hmac_digest(&h, data, 50, expected);
    assert_memory_equal(mac, expected, 32);
    memset(mac, 0, 32);
    assert_int_equal(S(SDF_CalculateMAC)(s.session, key, SGD_SM3_HMAC, NULL, data, 50, mac, &n), SDR_OK);
    assert_memory_equal(mac, expected, 32);
    n = RUBBISH;
    assert_int_equal(S(SDF_CalculateMAC)(s.session, key, SGD_SM3, NULL, data, 50, NULL, &n), SDR_OK);
    assert_int_equal(n, 32);
    assert_int_equal(S(SDF_CalculateMAC)(s.session, key, SGD_SM4_MAC, iv, data, 63, mac, &n), SDR_INARGERR);
    assert_int_equal(S(SDF_CalculateMAC)(s.session, key, SGD_SM4_CBC, iv, data, 64, mac, &n),
                     SDR_ALGMODNOTSUPPORT);

    assert_int_equal(S(SDF_HMACUpdate)(s.session, data, 5), SDR_STEPERR);
    assert_int_equal(S(SDF_HMACInit)(s.session, key, SGD_SM3), SDR_OK);
    assert_int_equal(S(SDF_HMACInit)(s.session, key, SGD_SM3), SDR_STEPERR);
    n = RUBBISH;
    assert_int_equal(S(SDF_HMACUpdate)(s.session, data, 20), SDR_OK);
    assert_int_equal(S(SDF_HMACUpdate)(s.session, data + 20, 30), SDR_OK);
    assert_int_equal(S(SDF_HMACFinal)(s.session, mac, &n), SDR_OK);
    assert_int_equal(n, 32);
    assert_memory_equal(mac, expected, 32);
    assert_int_equal(S(SDF_HMACFinal)(s.session, mac, &n), SDR_STEPERR);
    /* Longer than a frame. */
    size_t large = 2 * 1024 * 1024 + 5;
    unsigned char *a = calloc(1, large);
    assert_int_equal(S(SDF_CalculateMAC)(s.session, key, SGD_SM3, NULL, a, (unsigned int)large, mac, &n),
                     SDR_OK);
    fn_hmac_digest(&h, a, large, expected);
    assert_memory_equal(mac, expected, 32);
    free(a);

    memset(iv, 0, 16);
    memset(iv2, 0, 16);
    assert_int_equal(S(SDF_CalculateMACInit)(s.session, key, SGD_SM4_MAC, iv, 16), SDR_OK);
    assert_int_equal(S(SDF_CalculateMACUpdate)(s.session, data, 5), SDR_OK);
    assert_int_equal(S(SDF_CalculateMACUpdate)(s.session, data + 5, 59), SDR_OK);
    n = RUBBISH;
    assert_int_equal(S(SDF_CalculateMACFinal)(s.session, mac, &n), SDR_OK);
    assert_int_equal(n, 16);
    fn_sm4_cbc_mac(&k, iv2, data, 64);
    assert_memory_equal(mac, iv2, 16);
    sdf_close(s);
}

static void test_parts(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    uint8_t raw[16], iv[16] = {3}, iv2[16] = {3}, expected[80], out[128], back[128];
    unsigned char data[80];
    unsigned int n, total = 0;
    struct fn_sm4_key k;
    void *key = known_key(s, raw);
    fn_sm4_key_init(&k, raw);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)i;
    fn_sm4_cbc_encrypt(&k, iv2, data, expected, 80);
    assert_int_equal(S(SDF_EncryptUpdate)(s.session, data, 5, out, &n), SDR_STEPERR);
    assert_int_equal(S(SDF_EncryptFinal)(s.session, out, &n), SDR_STEPERR);
    assert_int_equal(S(SDF_EncryptInit)(s.session, key, SGD_SM4_CBC, iv, 15), SDR_INARGERR);
    assert_int_equal(S(SDF_EncryptInit)(s.session, key, SGD_SM4_CBC, iv, 16), SDR_OK);
    assert_int_equal(S(SDF_EncryptInit)(s.session, key, SGD_SM4_CBC, iv, 16), SDR_STEPERR);
    /* One of each kind may be under way. */
    assert_int_equal(S(SDF_DecryptInit)(s.session, key, SGD_SM4_CBC, iv, 16), SDR_OK);
    static const unsigned int pieces[] = {1, 15, 17, 30, 17};
    unsigned int at = 0;
    for (size_t i = 0; i < FN_COUNT(pieces); i++) {
        n = RUBBISH;
        assert_int_equal(S(SDF_EncryptUpdate)(s.session, data + at, pieces[i], out + total, &n), SDR_OK);
        assert_true(n % 16 == 0);
        at += pieces[i];
        total += n;
    }
    n = RUBBISH;
    assert_int_equal(S(SDF_EncryptFinal)(s.session, out + total, &n), SDR_OK);
    assert_int_equal(total + n, 80);
    assert_memory_equal(out, expected, 80);
    assert_int_equal(S(SDF_DecryptUpdate)(s.session, out, 33, back, &n), SDR_OK);
    assert_int_equal(n, 32);
    total = n;
    assert_int_equal(S(SDF_DecryptUpdate)(s.session, out + 33, 47, back + total, &n), SDR_OK);
    total += n;
    assert_int_equal(S(SDF_DecryptFinal)(s.session, back + total, &n), SDR_OK);
    assert_int_equal(total + n, 80);
    assert_memory_equal(back, data, 80);
    /* A partial block at the end. */
    assert_int_equal(S(SDF_EncryptInit)(s.session, key, SGD_SM4_ECB, NULL, 0), SDR_OK);
    assert_int_equal(S(SDF_EncryptUpdate)(s.session, data, 17, out, &n), SDR_OK);
    assert_int_equal(S(SDF_EncryptFinal)(s.session, out, &n), SDR_INARGERR);
    assert_int_equal(S(SDF_EncryptFinal)(s.session, out, &n), SDR_STEPERR);
    /* A stream takes any length. */
    memset(iv, 3, 16);
    memset(iv2, 3, 16);
    fn_sm4_ctr_crypt(&k, iv2, data, expected, 37);
    assert_int_equal(S(SDF_EncryptInit)(s.session, key, SGD_SM4_CTR, iv, 16), SDR_OK);
    assert_int_equal(S(SDF_EncryptUpdate)(s.session, data, 37, out, &n), SDR_OK);
    total = n;
    assert_int_equal(S(SDF_EncryptFinal)(s.session, out + total, &n), SDR_OK);
    assert_int_equal(total + n, 37);
    assert_memory_equal(out, expected, 37);
    sdf_close(s);
}

static void test_authenticated(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    uint8_t raw[16], expected[64], expected_tag[16], tag[16], out[64], back[80], nonce[12] = {5};
    unsigned char data[61] = "data", aad[20] = "aad";
    unsigned int n = RUBBISH, tag_n = RUBBISH;
    struct fn_gcm_key k;
    void *key = known_key(s, raw);
    fn_gcm_key_init(&k, raw);
    struct fn_gcm_job job = {.key = &k,
                             .nonce = {nonce, 12},
                             .aad = {aad, 20},
                             .in = data,
                             .out = expected,
                             .n = 61,
                             .tag = expected_tag,
                             .tag_size = 16};
    assert_int_equal(fn_gcm_encrypt(&job), FN_OK);
    assert_int_equal(
        S(SDF_AuthEnc)(s.session, key, SGD_SM4_GCM, nonce, 12, aad, 20, data, 61, out, &n, tag, &tag_n),
        SDR_OK);
    assert_int_equal(n, 61);
    assert_int_equal(tag_n, 16);
    assert_memory_equal(out, expected, 61);
    assert_memory_equal(tag, expected_tag, 16);
    n = RUBBISH;
    assert_int_equal(
        S(SDF_AuthDec)(s.session, key, SGD_SM4_GCM, nonce, 12, aad, 20, tag, 16, out, 61, back, &n), SDR_OK);
    assert_int_equal(n, 61);
    assert_memory_equal(back, data, 61);
    /* The same with the length of the tag by pointer, as the text of 2023 prints it. */
    typedef int by_pointer(void *, void *, unsigned, void *, unsigned, void *, unsigned, void *, unsigned *,
                           void *, unsigned, void *, unsigned *);
    tag_n = 16;
    n = RUBBISH;
    memset(back, 0, sizeof back);
    assert_int_equal(((by_pointer *)sdf_symbol("SDF_AuthDec"))(s.session, key, SGD_SM4_GCM, nonce, 12, aad,
                                                               20, tag, &tag_n, out, 61, back, &n),
                     SDR_OK);
    assert_memory_equal(back, data, 61);
    tag[0] ^= 1;
    memset(back, 1, sizeof back);
    assert_int_equal(
        S(SDF_AuthDec)(s.session, key, SGD_SM4_GCM, nonce, 12, aad, 20, tag, 16, out, 61, back, &n),
        SDR_MACERR);
    for (size_t i = 0; i < 61; i++) assert_int_equal(back[i], 0);
    tag[0] ^= 1;
    assert_int_equal(
        S(SDF_AuthEnc)(s.session, key, SGD_SM4_CBC, nonce, 12, aad, 20, data, 61, out, &n, tag, &tag_n),
        SDR_ALGMODNOTSUPPORT);
    assert_int_equal(
        S(SDF_AuthEnc)(s.session, key, SGD_SM4_GCM, NULL, 0, aad, 20, data, 61, out, &n, tag, &tag_n),
        SDR_INARGERR);

    static const unsigned int modes[] = {SGD_SM4_GCM, SGD_SM4_CCM};
    for (size_t m = 0; m < 2; m++) {
        unsigned int total = 0, back_n = 0;
        unsigned char last[16];
        assert_int_equal(S(SDF_AuthEnc)(s.session, key, modes[m], nonce, 12, aad, 20, data, 61, expected, &n,
                                        expected_tag, &tag_n),
                         SDR_OK);
        assert_int_equal(S(SDF_AuthEncUpdate)(s.session, data, 10, out, &n), SDR_STEPERR);
        assert_int_equal(S(SDF_AuthEncInit)(s.session, key, modes[m], nonce, 12, aad, 20, 61), SDR_OK);
        assert_int_equal(S(SDF_AuthEncUpdate)(s.session, data, 40, out, &n), SDR_OK);
        assert_true(n <= 40 + 15);
        total = n;
        assert_int_equal(S(SDF_AuthEncUpdate)(s.session, data + 40, 21, out + total, &n), SDR_OK);
        total += n;
        n = tag_n = RUBBISH;
        assert_int_equal(S(SDF_AuthEncFinal)(s.session, last, &n, tag, &tag_n), SDR_OK);
        assert_true(n <= 16);
        memcpy(out + total, last, n);
        assert_int_equal(total + n, 61);
        assert_int_equal(tag_n, 16);
        assert_memory_equal(out, expected, 61);
        assert_memory_equal(tag, expected_tag, 16);
        for (int wrong = 0; wrong < 2; wrong++) {
            tag[3] ^= (unsigned char)wrong;
            assert_int_equal(S(SDF_AuthDecInit)(s.session, key, modes[m], nonce, 12, aad, 20, tag, 16, 61),
                             SDR_OK);
            assert_int_equal(S(SDF_AuthDecUpdate)(s.session, out, 50, back, &n), SDR_OK);
            back_n = n;
            assert_int_equal(S(SDF_AuthDecUpdate)(s.session, out + 50, 11, back + back_n, &n), SDR_OK);
            back_n += n;
            n = RUBBISH;
            assert_int_equal(S(SDF_AuthDecFinal)(s.session, last, &n), wrong ? SDR_MACERR : SDR_OK);
            if (wrong) continue;
            assert_true(n <= 16); /* callers have room for one block here */
            memcpy(back + back_n, last, n);
            assert_int_equal(back_n + n, 61);
            assert_memory_equal(back, data, 61);
        }
    }
    sdf_close(s);
}

static void test_hash(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    unsigned char digest[32], expected[32];
    unsigned int n = RUBBISH;
    ECCrefPublicKey pub = {.bits = 256};
    assert_int_equal(S(SDF_HashUpdate)(s.session, (unsigned char *)"abc", 3), SDR_STEPERR);
    assert_int_equal(S(SDF_HashFinal)(s.session, digest, &n), SDR_STEPERR);
    assert_int_equal(S(SDF_HashInit)(s.session, SGD_SM3, NULL, NULL, 0), SDR_OK);
    assert_int_equal(S(SDF_HashInit)(s.session, SGD_SM3, NULL, NULL, 0), SDR_STEPERR);
    assert_int_equal(S(SDF_HashUpdate)(s.session, (unsigned char *)"a", 1), SDR_OK);
    assert_int_equal(S(SDF_HashUpdate)(s.session, (unsigned char *)"bc", 2), SDR_OK);
    assert_int_equal(S(SDF_HashFinal)(s.session, digest, &n), SDR_OK);
    assert_int_equal(n, 32);
    sdf_hex("66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0", expected);
    assert_memory_equal(digest, expected, 32);
    sdf_hex("b6af0cdabadc18b465f53fc3de1e328789dc68de92f120a40a2ebbdbf1bda839", pub.x + 32);
    sdf_hex("07ff305b95f9941a927436426fd2dff2faf60879577a959654b3f150ba79db86", pub.y + 32);
    assert_int_equal(S(SDF_HashInit)(s.session, SGD_SM3, &pub, (unsigned char *)"1234567812345678", 16),
                     SDR_OK);
    assert_int_equal(S(SDF_HashUpdate)(s.session, (unsigned char *)"abc", 3), SDR_OK);
    n = RUBBISH;
    assert_int_equal(S(SDF_HashFinal)(s.session, digest, &n), SDR_OK);
    sdf_hex("87b7d624ce4bb00ac56db2b6c506d5fc9e38fd80c24d1b991e8c38b32bd6ee5a", expected);
    assert_memory_equal(digest, expected, 32);
    assert_int_equal(S(SDF_HashInit)(s.session, SGD_SHA256, NULL, NULL, 0), SDR_ALGNOTSUPPORT);
    assert_int_equal(S(SDF_HashInit)(s.session, SGD_SM3, NULL, (unsigned char *)"1234567812345678", 16),
                     SDR_INARGERR);
    pub.x[63] ^= 1;
    assert_int_equal(S(SDF_HashInit)(s.session, SGD_SM3, &pub, (unsigned char *)"1234567812345678", 16),
                     SDR_INARGERR);
    sdf_close(s);
}

static void test_files(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    unsigned char name[128], data[100], out[200];
    unsigned int n = 50;
    memset(name, '/', sizeof name); /* names are opaque */
    memset(data, 0x77, sizeof data);
    assert_int_equal(S(SDF_ReadFile)(s.session, name, 128, 0, &n, out), SDR_FILENOEXIST);
    assert_int_equal(S(SDF_CreateFile)(s.session, name, 128, 150), SDR_OK);
    assert_int_equal(S(SDF_CreateFile)(s.session, name, 128, 150), SDR_FILEEXISTS);
    assert_int_equal(S(SDF_WriteFile)(s.session, name, 128, 20, 100, data), SDR_OK);
    n = 200;
    assert_int_equal(S(SDF_ReadFile)(s.session, name, 128, 10, &n, out), SDR_OK);
    assert_int_equal(n, 140);
    assert_int_equal(out[9], 0);
    assert_memory_equal(out + 10, data, 100);
    assert_int_equal(S(SDF_WriteFile)(s.session, name, 128, 100, 51, data), SDR_FILESIZEERR);
    assert_int_equal(S(SDF_WriteFile)(s.session, name, 128, 151, 1, data), SDR_FILEOFSERR);
    n = 1;
    assert_int_equal(S(SDF_ReadFile)(s.session, name, 128, 151, &n, out), SDR_FILEOFSERR);
    assert_int_equal(S(SDF_CreateFile)(s.session, name, 129, 1), SDR_INARGERR);
    assert_int_equal(S(SDF_CreateFile)(s.session, name, 0, 1), SDR_INARGERR);
    assert_int_equal(S(SDF_DeleteFile)(s.session, name, 128), SDR_OK);
    assert_int_equal(S(SDF_DeleteFile)(s.session, name, 128), SDR_FILENOEXIST);
    sdf_close(s);
}

/* Clear keys stay out of a tenant that is not for tests. */
static void test_clear_keys(void **state)
{
    bool allowed = *(const bool *)*state;
    struct sdf s = sdf_open();
    unsigned char raw[16], data[16] = "clear", out[32], back[32];
    unsigned int n = RUBBISH;
    void *key = NULL;
    ECCrefPublicKey pub;
    ECCrefPrivateKey private;
    ECCSignature sig;
    struct fenced f;
    int wanted = allowed ? SDR_OK : SDR_NOTSUPPORT;
    sdf_hex("0123456789abcdeffedcba9876543210", raw);
    assert_int_equal(S(SDF_ImportKey)(s.session, raw, 16, &key), wanted);
    assert_int_equal(S(SDF_GenerateKeyPair_ECC)(s.session, SGD_SM2_1, 256, &pub, &private), wanted);
    memset(&private, 0, sizeof private);
    private.bits = 256;
    sdf_hex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8", private.K + 32);
    assert_int_equal(S(SDF_ExternalSign_ECC)(s.session, SGD_SM2_1, &private, back, 32, &sig), wanted);
    assert_int_equal(S(SDF_ExternalKeyEncrypt)(s.session, SGD_SM4_ECB, raw, 16, NULL, 0, data, 16, out, &n),
                     wanted);
    assert_int_equal(S(SDF_ExternalKeyHMACInit)(s.session, SGD_SM3, raw, 16), wanted);
    if (allowed) {
        struct fn_sm2_private own;
        assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_ECB, NULL, raw, 16, out, &n), SDR_OK);
        sdf_hex("681edf34d206965e86b3e94f536e4246", back);
        assert_memory_equal(out, back, 16);
        assert_int_equal(S(SDF_HMACUpdate)(s.session, data, 16), SDR_OK);
        assert_int_equal(S(SDF_HMACFinal)(s.session, out, &n), SDR_OK);
        assert_int_equal(n, 32);
        assert_int_equal(
            S(SDF_ExternalKeyEncrypt)(s.session, SGD_SM4_ECB, raw, 16, NULL, 0, data, 16, out, &n), SDR_OK);
        assert_int_equal(
            S(SDF_ExternalKeyDecrypt)(s.session, SGD_SM4_ECB, raw, 16, NULL, 0, out, 16, back, &n), SDR_OK);
        assert_memory_equal(back, data, 16);
        assert_int_equal(S(SDF_ExternalKeyEncryptInit)(s.session, SGD_SM4_ECB, raw, 16, NULL, 0), SDR_OK);
        assert_int_equal(S(SDF_EncryptUpdate)(s.session, data, 16, back, &n), SDR_OK);
        assert_memory_equal(back, out, 16);
        assert_int_equal(S(SDF_EncryptFinal)(s.session, back, &n), SDR_OK);
        assert_int_equal(fn_sm2_private_load(&own, private.K + 32), FN_OK);
        memset(&pub, 0, sizeof pub);
        pub.bits = 256;
        memcpy(pub.x + 32, own.pub.x, 32);
        memcpy(pub.y + 32, own.pub.y, 32);
        memset(back, 9, 32);
        assert_int_equal(S(SDF_ExternalSign_ECC)(s.session, SGD_SM2_1, &private, back, 32, &sig), SDR_OK);
        assert_int_equal(S(SDF_ExternalVerify_ECC)(s.session, SGD_SM2_1, &pub, back, 32, &sig), SDR_OK);
        fence(&f);
        assert_int_equal(S(SDF_ExternalEncrypt_ECC)(s.session, SGD_SM2_3, &pub, data, 16, &f.cipher), SDR_OK);
        assert_int_equal(S(SDF_ExternalDecrypt_ECC)(s.session, SGD_SM2_3, &private, &f.cipher, back, &n),
                         SDR_OK);
        assert_int_equal(n, 16);
        assert_memory_equal(back, data, 16);
    }
    sdf_close(s);
}

/* Every name of the header is exported, nothing else is, and what is not supported says so. */
static void test_names(void **state)
{
    (void)state;
    static const char *const absent[] = {"SDF_ExternalSign_SM9",       "SDF_GenerateKeyWithEMK_SM9",
                                         "SDF_DecryptWithISK_SM9",     "SDF_GenerateKeywithIKE",
                                         "SDF_GenerateKeywithEPK_SSL", "SDF_ExportUserID_SM9"};
    for (size_t i = 0; i < FN_COUNT(absent); i++)
        assert_int_equal(((int (*)(void *))sdf_symbol(absent[i]))(NULL), SDR_NOTSUPPORT);
    assert_null(dlsym(device.so, "fn_client_open"));
    assert_null(dlsym(device.so, "fn_sm3_init"));
    char text[400];
    assert_int_equal(S(SDF_CloseDevice)((void *)12345), SDR_INARGERR);
    assert_true(S(SDFX_LastError)(text, sizeof text, 1) > 0);
    assert_non_null(strstr(text, "FN-3"));
    assert_non_null(strstr(text, "device handle"));
}

/* Tongsuo calls two functions without the algorithm: the library for it has them so, and everything else as
 * it is. */
static void test_tongsuo(void **state)
{
    (void)state;
    typedef int encrypt(void *, unsigned, unsigned char *, unsigned, ECCCipher *);
    typedef int decrypt(void *, unsigned, ECCCipher *, unsigned char *, unsigned *);
    void *standard = device.so;
    char path[540];
    snprintf(path, sizeof path, "%.*s_tongsuo.so", (int)(strlen(device.library) - 3), device.library);
    device.so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(device.so);
    struct sdf s = sdf_open();
    struct fenced f;
    unsigned char out[16];
    unsigned int n = RUBBISH;
    fence(&f);
    assert_int_equal(((encrypt *)sdf_symbol("SDF_InternalEncrypt_ECC"))(
                         s.session, 2, (unsigned char *)"short", 5, &f.cipher),
                     SDR_OK);
    check_fence(&f, 5);
    assert_int_equal(((decrypt *)sdf_symbol("SDF_InternalDecrypt_ECC"))(s.session, 2, &f.cipher, out, &n),
                     SDR_OK);
    assert_int_equal(n, 5);
    assert_memory_equal(out, "short", 5);
    sdf_close(s);
    device.so = standard;
}

int main(void)
{
    static bool no = false, yes = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device),        cmocka_unit_test(test_handles),
        cmocka_unit_test(test_signatures),    cmocka_unit_test(test_encryption),
        cmocka_unit_test(test_session_keys),  cmocka_unit_test(test_rsa),
        cmocka_unit_test(test_agreement),     cmocka_unit_test(test_ciphers),
        cmocka_unit_test(test_macs),          cmocka_unit_test(test_parts),
        cmocka_unit_test(test_authenticated), cmocka_unit_test(test_hash),
        cmocka_unit_test(test_files),         cmocka_unit_test_prestate(test_clear_keys, &no),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_tongsuo),
    };
    const struct CMUnitTest clear[] = {cmocka_unit_test_prestate(test_clear_keys, &yes)};
    device_make(false);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_end();
    device_make(true);
    failed += cmocka_run_group_tests(clear, NULL, NULL);
    device_end();
    return failed;
}
