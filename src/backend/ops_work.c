/* Work with keys: signatures, public-key encryption, ciphers, MAC, authenticated encryption, calculations in
 * parts. */
#include "backend/backend.h"

#include "base/sys/heap.h"
#include "crypto/sm3/sm3.h"
#include "policy/policy.h"
#include <string.h>

#define V(s)     (&(s)->backend->vendor)
#define P(b)     ((unsigned char *)(uintptr_t)(b).p)
#define RSA_MOST 256u

static fn_err need(struct fn_backend_session *s, enum fn_vendor_function f)
{
    return fn_vendor_has(V(s), f)
               ? FN_OK
               : FN_FAIL(FN_E_DEVICE_CANNOT, "the library has no %s", fn_vendor_names[f].name);
}

static fn_err by_index(const struct fn_named *named, uint8_t half)
{
    if (named->kind != FN_KEY_INDEX || named->half != half)
        return FN_FAIL(FN_E_DEVICE_CANNOT, "this device names such keys by index only");
    if (named->index == 0) return FN_FAIL(FN_E_KEY_RIGHT, "index 0 is the device's own");
    return FN_OK;
}

FN_RUN(sign)
{
    struct fn_named named;
    uint8_t out[FN_VENDOR_SIG] = {0}, sig[64];
    FN_TRY(fn_backend_key(s, item->f[0].b, FN_USE_SIGN, true, &named));
    FN_TRY(by_index(&named, FN_HALF_SIGN));
    FN_TRY(need(s, FN_AT_SDF_InternalSign_ECC));
    int code = FN_VENDOR(V(s), SDF_InternalSign_ECC)(s->vendor, named.index, P(item->f[1].b), 32,
                                                     (ECCSignature *)out);
    FN_TRY(fn_vendor_error(code, "SDF_InternalSign_ECC"));
    FN_TRY(fn_vendor_get_signature(V(s), out, sig));
    return fn_buf_var(&item->out, sig, sizeof sig);
}

static fn_err export(struct fn_backend_session *s, uint32_t index, bool encrypt, uint8_t pub[FN_VENDOR_KEY])
{
    FN_TRY(need(s, encrypt ? FN_AT_SDF_ExportEncPublicKey_ECC : FN_AT_SDF_ExportSignPublicKey_ECC));
    memset(pub, 0, FN_VENDOR_KEY);
    int code = encrypt
                   ? FN_VENDOR(V(s), SDF_ExportEncPublicKey_ECC)(s->vendor, index, (ECCrefPublicKey *)pub)
                   : FN_VENDOR(V(s), SDF_ExportSignPublicKey_ECC)(s->vendor, index, (ECCrefPublicKey *)pub);
    if (code == SDR_KEYNOTEXIST) return FN_FAIL(FN_E_KEY_INDEX, "index %u", index);
    return fn_vendor_error(code, "SDF_ExportPublicKey_ECC");
}

/* The public key of a reference, in the library's layout: of an index it is exported first, which every
 * library can. */
static fn_err public_of(struct fn_backend_session *s, struct fn_bytes ref, bool encrypt,
                        uint8_t pub[FN_VENDOR_KEY])
{
    struct fn_named named;
    FN_TRY(fn_backend_key(s, ref, 0, true, &named));
    if (named.kind == FN_KEY_EXTERNAL && named.algorithm == FN_ALG_SM2) {
        fn_vendor_put_public(V(s), named.point, pub);
        return FN_OK;
    }
    if (named.kind != FN_KEY_INDEX) return FN_FAIL(FN_E_DEVICE_CANNOT, "SM2 keys by index or external ones");
    if (named.index == 0 && s->backend->signer && !encrypt) {
        fn_vendor_put_public(V(s), s->backend->signer_public, pub);
        return FN_OK;
    }
    return export(s, named.index, encrypt, pub);
}

FN_RUN(verify)
{
    uint8_t pub[FN_VENDOR_KEY], sig[FN_VENDOR_SIG];
    FN_TRY(public_of(s, item->f[0].b, false, pub));
    FN_TRY(need(s, FN_AT_SDF_ExternalVerify_ECC));
    if (item->f[2].b.n != 64)
        return FN_FAIL(FN_E_SIGNATURE, "signature of %zu bytes, 64 wanted", item->f[2].b.n);
    fn_vendor_put_signature(V(s), item->f[2].b.p, sig);
    int code = FN_VENDOR(V(s), SDF_ExternalVerify_ECC)(s->vendor, fn_vendor_algorithm(V(s), SGD_SM2_1),
                                                       (ECCrefPublicKey *)pub, P(item->f[1].b), 32,
                                                       (ECCSignature *)sig);
    /* Libraries differ in what they call a signature that does not verify. */
    if (code == SDR_INARGERR || code == SDR_PKOPERR || code == SDR_UNKNOWERR) code = SDR_VERIFYERR;
    if ((unsigned)code > SDR_BASE + 0x1f) code = SDR_VERIFYERR;
    return fn_vendor_error(code, "SDF_ExternalVerify_ECC");
}

FN_RUN(pk_encrypt)
{
    uint8_t pub[FN_VENDOR_KEY];
    struct fn_bytes data = item->f[1].b;
    uint8_t *cipher FN_SCOPED_HEAP = NULL;
    struct fn_buf plain FN_SCOPED_BUF = fn_buf_heap();
    if (data.n == 0 || data.n > 65536) return FN_FAIL(FN_E_ARGUMENT, "%zu bytes", data.n);
    FN_TRY(public_of(s, item->f[0].b, true, pub));
    FN_TRY(need(s, FN_AT_SDF_ExternalEncrypt_ECC));
    size_t room = FN_VENDOR_CIPHER(data.n);
    FN_TRY(fn_heap_array(&cipher, room, 1));
    int code = FN_VENDOR(V(s), SDF_ExternalEncrypt_ECC)(s->vendor, fn_vendor_algorithm(V(s), SGD_SM2_3),
                                                        (ECCrefPublicKey *)pub, P(data), (unsigned)data.n,
                                                        (ECCCipher *)cipher);
    FN_TRY(fn_vendor_error(code, "SDF_ExternalEncrypt_ECC"));
    FN_TRY(fn_vendor_get_cipher(V(s), cipher, room, &plain));
    return fn_buf_var(&item->out, plain.p, plain.n);
}

typedef int internal_decrypt_short(void *, unsigned, ECCCipher *, unsigned char *, unsigned *);

FN_RUN(pk_decrypt)
{
    struct fn_named named;
    struct fn_bytes in = item->f[1].b;
    uint8_t *cipher FN_SCOPED_HEAP = NULL, *out FN_SCOPED_HEAP = NULL;
    FN_TRY(fn_backend_key(s, item->f[0].b, FN_USE_DECRYPT, false, &named));
    FN_TRY(by_index(&named, FN_HALF_ENCRYPT));
    FN_TRY(need(s, FN_AT_SDF_InternalDecrypt_ECC));
    size_t room = FN_VENDOR_CIPHER(in.n);
    unsigned n = (unsigned)in.n;
    FN_TRY(fn_heap_array(&cipher, room, 1));
    FN_TRY(fn_heap_array(&out, in.n + 256, 1));
    FN_TRY(fn_vendor_put_cipher(V(s), in, cipher, room));
    int code;
    if (V(s)->profile->internal_short)
        code = ((internal_decrypt_short *)V(s)->functions[FN_AT_SDF_InternalDecrypt_ECC])(
            s->vendor, named.index, (ECCCipher *)cipher, out, &n);
    else
        code = FN_VENDOR(V(s), SDF_InternalDecrypt_ECC)(
            s->vendor, named.index, fn_vendor_algorithm(V(s), SGD_SM2_3), (ECCCipher *)cipher, out, &n);
    fn_err err = fn_vendor_error(code, "SDF_InternalDecrypt_ECC");
    if (err == FN_OK && n > in.n) err = FN_FAIL(FN_E_FORMAT, "%u bytes of a ciphertext of %zu", n, in.n);
    if (err == FN_OK) err = fn_buf_var(&item->out, out, n);
    fn_wipe(out, in.n + 256);
    return err;
}

typedef int rsa_internal_usage(void *, unsigned, unsigned, unsigned char *, unsigned, unsigned char *,
                               unsigned *);

FN_RUN(rsa_public)
{
    struct fn_named named;
    uint8_t out[RSA_MOST * 2];
    unsigned n = sizeof out;
    struct fn_bytes in = item->f[1].b;
    int code;
    FN_TRY(fn_backend_key(s, item->f[0].b, 0, true, &named));
    if (in.n > RSA_MOST) return FN_FAIL(FN_E_DEVICE_CANNOT, "moduli of at most 2048 bits");
    if (named.kind == FN_KEY_EXTERNAL) {
        RSArefPublicKey key = {0};
        struct fn_bytes k = named.external;
        if (named.algorithm != FN_ALG_RSA2048 || k.n != 4 + 2 * RSA_MOST)
            return FN_FAIL(FN_E_DEVICE_CANNOT, "RSA of 2048 bits");
        FN_TRY(need(s, FN_AT_SDF_ExternalPublicKeyOperation_RSA));
        key.bits = fn_get_be32(k.p);
        memcpy(key.m, k.p + 4, RSA_MOST);
        memcpy(key.e, k.p + 4 + RSA_MOST, RSA_MOST);
        code = FN_VENDOR(V(s), SDF_ExternalPublicKeyOperation_RSA)(s->vendor, &key, P(in), (unsigned)in.n,
                                                                   out, &n);
    } else {
        FN_TRY(by_index(&named, FN_HALF_SIGN));
        FN_TRY(need(s, FN_AT_SDF_InternalPublicKeyOperation_RSA));
        void *f = V(s)->functions[FN_AT_SDF_InternalPublicKeyOperation_RSA];
        code = V(s)->profile->rsa_usage ? ((rsa_internal_usage *)f)(s->vendor, named.index, 0x00010100, P(in),
                                                                    (unsigned)in.n, out, &n)
                                        : FN_VENDOR(V(s), SDF_InternalPublicKeyOperation_RSA)(
                                              s->vendor, named.index, P(in), (unsigned)in.n, out, &n);
    }
    FN_TRY(fn_vendor_error(code, "RSA public operation"));
    return n <= sizeof out ? fn_buf_var(&item->out, out, n) : FN_FAIL(FN_E_FORMAT, "%u bytes", n);
}

FN_RUN(rsa_private)
{
    struct fn_named named;
    uint8_t out[RSA_MOST * 2];
    unsigned n = sizeof out;
    struct fn_bytes in = item->f[1].b;
    FN_TRY(fn_backend_key(s, item->f[0].b, FN_USE_SIGN, true, &named));
    FN_TRY(by_index(&named, FN_HALF_SIGN));
    if (in.n > RSA_MOST) return FN_FAIL(FN_E_DEVICE_CANNOT, "moduli of at most 2048 bits");
    FN_TRY(need(s, FN_AT_SDF_InternalPrivateKeyOperation_RSA));
    void *f = V(s)->functions[FN_AT_SDF_InternalPrivateKeyOperation_RSA];
    int code =
        V(s)->profile->rsa_usage
            ? ((rsa_internal_usage *)f)(s->vendor, named.index, 0x00010100, P(in), (unsigned)in.n, out, &n)
            : FN_VENDOR(V(s), SDF_InternalPrivateKeyOperation_RSA)(s->vendor, named.index, P(in),
                                                                   (unsigned)in.n, out, &n);
    FN_TRY(fn_vendor_error(code, "SDF_InternalPrivateKeyOperation_RSA"));
    return n <= sizeof out ? fn_buf_var(&item->out, out, n) : FN_FAIL(FN_E_FORMAT, "%u bytes", n);
}

/* Ciphers */

/* A data-storage key's start values are made here, from the device's random source; another's are given. */
static fn_err start_value(struct fn_backend_session *s, const struct fn_named *k, uint32_t alg,
                          struct fn_bytes given, bool encrypt, uint8_t iv[16])
{
    memset(iv, 0, 16);
    if (alg == SGD_SM4_ECB) return given.n ? FN_FAIL(FN_E_ARGUMENT, "ECB has no start value") : FN_OK;
    if (encrypt && k->key_class == FN_CLASS_DATA_ENC)
        return given.n ? FN_FAIL(FN_E_KEY_NONCE, "%zu bytes given", given.n) : fn_backend_random(s, iv, 16);
    if (given.n != 16) return FN_FAIL(FN_E_ARGUMENT, "start value of %zu bytes, 16 wanted", given.n);
    memcpy(iv, given.p, 16);
    return FN_OK;
}

static fn_err crypt_item(struct fn_backend_session *s, struct fn_item *item, bool encrypt)
{
    struct fn_named named;
    uint32_t alg = (uint32_t)item->f[1].n;
    struct fn_bytes in = item->f[3].b;
    uint8_t iv[16], made[16], *out FN_SCOPED_HEAP = NULL;
    unsigned n = (unsigned)in.n;
    if (!in.n || ((alg == SGD_SM4_ECB || alg == SGD_SM4_CBC) && in.n % 16))
        return FN_FAIL(FN_E_CIPHER_LENGTH, "%zu bytes", in.n);
    FN_TRY(fn_backend_symmetric(s, item->f[0].b, encrypt ? FN_USE_ENCRYPT : FN_USE_DECRYPT, encrypt, &named));
    FN_TRY(start_value(s, &named, alg, item->f[2].b, encrypt, iv));
    memcpy(made, iv, 16);
    FN_TRY(need(s, encrypt ? FN_AT_SDF_Encrypt : FN_AT_SDF_Decrypt));
    FN_TRY(fn_heap_array(&out, in.n + 16, 1));
    unsigned id = fn_vendor_algorithm(V(s), alg);
    int code =
        encrypt
            ? FN_VENDOR(V(s), SDF_Encrypt)(s->vendor, named.vendor, id, iv, P(in), (unsigned)in.n, out, &n)
            : FN_VENDOR(V(s), SDF_Decrypt)(s->vendor, named.vendor, id, iv, P(in), (unsigned)in.n, out, &n);
    fn_err err = fn_vendor_error(code, encrypt ? "SDF_Encrypt" : "SDF_Decrypt");
    if (err == FN_OK && n != in.n) err = FN_FAIL(FN_E_FORMAT, "%u bytes of %zu", n, in.n);
    bool tell = encrypt && named.key_class == FN_CLASS_DATA_ENC;
    if (err == FN_OK) err = fn_buf_var(&item->out, tell ? made : iv, 16);
    if (err == FN_OK) err = fn_buf_var(&item->out, out, n);
    fn_wipe(out, in.n + 16);
    return err;
}

FN_RUN(encrypt)
{
    return crypt_item(s, item, true);
}
FN_RUN(decrypt)
{
    return crypt_item(s, item, false);
}

FN_RUN(mac)
{
    struct fn_named named;
    uint32_t alg = (uint32_t)item->f[1].n;
    struct fn_bytes given = item->f[2].b, in = item->f[3].b;
    bool hmac = alg == SGD_SM3 || alg == SGD_SM3_HMAC;
    uint8_t iv[16] = {0}, mac[64];
    unsigned n = sizeof mac;
    if (!hmac && alg != SGD_SM4_MAC) return FN_FAIL(FN_E_KEY_ALGORITHM, "algorithm %x", alg);
    if (!hmac && (!in.n || in.n % 16)) return FN_FAIL(FN_E_CIPHER_LENGTH, "%zu bytes", in.n);
    if (given.n && (hmac || given.n != 16))
        return FN_FAIL(FN_E_ARGUMENT, "start value of %zu bytes", given.n);
    FN_TRY(fn_backend_symmetric(s, item->f[0].b, FN_USE_MAC, true, &named));
    if (given.n) memcpy(iv, given.p, 16);
    int code;
    if (hmac && !V(s)->profile->mac_sm3_is_hmac) {
        FN_TRY(need(s, FN_AT_SDF_HMACInit));
        code = FN_VENDOR(V(s), SDF_HMACInit)(s->vendor, named.vendor, SGD_SM3);
        if (code == SDR_OK && in.n) code = FN_VENDOR(V(s), SDF_HMACUpdate)(s->vendor, P(in), (unsigned)in.n);
        if (code == SDR_OK) code = FN_VENDOR(V(s), SDF_HMACFinal)(s->vendor, mac, &n);
    } else {
        FN_TRY(need(s, FN_AT_SDF_CalculateMAC));
        code = FN_VENDOR(V(s), SDF_CalculateMAC)(s->vendor, named.vendor,
                                                 hmac ? SGD_SM3 : fn_vendor_algorithm(V(s), alg),
                                                 hmac ? NULL : iv, P(in), (unsigned)in.n, mac, &n);
    }
    FN_TRY(fn_vendor_error(code, "MAC"));
    if (n != (hmac ? 32 : 16)) return FN_FAIL(FN_E_FORMAT, "MAC of %u bytes", n);
    /* The MAC is the chaining value; not every library hands the latter back. */
    FN_TRY(fn_buf_var(&item->out, mac, hmac ? 0 : 16));
    return fn_buf_var(&item->out, mac, n);
}

FN_RUN(hash)
{
    uint8_t digest[FN_SM3_SIZE];
    (void)s;
    if (item->f[0].n != SGD_SM3) return FN_FAIL(FN_E_DEVICE_CANNOT, "hash %x", (unsigned)item->f[0].n);
    fn_sm3_digest(item->f[1].b.p, item->f[1].b.n, digest);
    return fn_buf_var(&item->out, digest, sizeof digest);
}

/* Authenticated encryption */

FN_RUN(aead_encrypt)
{
    struct fn_named named;
    struct fn_bytes nonce = item->f[2].b, aad = item->f[3].b, in = item->f[4].b;
    uint8_t made[12], tag[64], *out FN_SCOPED_HEAP = NULL;
    unsigned n = (unsigned)in.n, tag_n = 16;
    FN_TRY(need(s, FN_AT_SDF_AuthEnc));
    FN_TRY(fn_backend_symmetric(s, item->f[0].b, FN_USE_ENCRYPT, true, &named));
    if (named.key_class == FN_CLASS_DATA_ENC && nonce.n)
        return FN_FAIL(FN_E_KEY_NONCE, "%zu bytes given", nonce.n);
    if (!nonce.n) {
        FN_TRY(fn_backend_random(s, made, sizeof made));
        nonce = fn_bytes(made, sizeof made);
    }
    FN_TRY(fn_heap_array(&out, in.n + 16, 1));
    int code = FN_VENDOR(V(s), SDF_AuthEnc)(s->vendor, named.vendor, (unsigned)item->f[1].n, P(nonce),
                                            (unsigned)nonce.n, P(aad), (unsigned)aad.n, P(in), (unsigned)in.n,
                                            out, &n, tag, &tag_n);
    FN_TRY(fn_vendor_error(code, "SDF_AuthEnc"));
    if (n != in.n || tag_n != 16) return FN_FAIL(FN_E_FORMAT, "%u bytes and a tag of %u", n, tag_n);
    FN_TRY(fn_buf_var(&item->out, nonce.p, nonce.n));
    FN_TRY(fn_buf_var(&item->out, out, n));
    FN_TRY(fn_buf_var(&item->out, tag, 16));
    return fn_buf_u32(&item->out, named.version);
}

FN_RUN(aead_decrypt)
{
    struct fn_named named;
    struct fn_bytes nonce = item->f[2].b, aad = item->f[3].b, tag = item->f[4].b, in = item->f[5].b;
    uint8_t *out FN_SCOPED_HEAP = NULL;
    unsigned n = (unsigned)in.n;
    FN_TRY(need(s, FN_AT_SDF_AuthDec));
    FN_TRY(fn_backend_symmetric(s, item->f[0].b, FN_USE_DECRYPT, false, &named));
    if (tag.n != 16) return FN_FAIL(FN_E_TAG, "tag of %zu bytes, 16 wanted", tag.n);
    FN_TRY(fn_heap_array(&out, in.n + 16, 1));
    int code = FN_VENDOR(V(s), SDF_AuthDec)(s->vendor, named.vendor, (unsigned)item->f[1].n, P(nonce),
                                            (unsigned)nonce.n, P(aad), (unsigned)aad.n, P(tag),
                                            (unsigned)tag.n, P(in), (unsigned)in.n, out, &n);
    fn_err err = fn_vendor_error(code, "SDF_AuthDec");
    if (err == FN_OK && n != in.n) err = FN_FAIL(FN_E_FORMAT, "%u bytes of %zu", n, in.n);
    if (err == FN_OK) err = fn_buf_var(&item->out, out, n);
    fn_wipe(out, in.n + 16);
    return err;
}

/* Calculations in parts: the library's own. */

static const struct {
    enum fn_vendor_function init, update, final;
} parts[FN_PART_KINDS] = {
    [FN_PART_ENCRYPT] = {FN_AT_SDF_EncryptInit, FN_AT_SDF_EncryptUpdate, FN_AT_SDF_EncryptFinal},
    [FN_PART_DECRYPT] = {FN_AT_SDF_DecryptInit, FN_AT_SDF_DecryptUpdate, FN_AT_SDF_DecryptFinal},
    [FN_PART_MAC] = {FN_AT_SDF_CalculateMACInit, FN_AT_SDF_CalculateMACUpdate, FN_AT_SDF_CalculateMACFinal},
    [FN_PART_HMAC] = {FN_AT_SDF_HMACInit, FN_AT_SDF_HMACUpdate, FN_AT_SDF_HMACFinal},
    [FN_PART_AEAD_ENCRYPT] = {FN_AT_SDF_AuthEncInit, FN_AT_SDF_AuthEncUpdate, FN_AT_SDF_AuthEncFinal},
    [FN_PART_AEAD_DECRYPT] = {FN_AT_SDF_AuthDecInit, FN_AT_SDF_AuthDecUpdate, FN_AT_SDF_AuthDecFinal},
};

FN_RUN(part_start)
{
    struct fn_named named;
    uint64_t kind = item->f[0].n;
    static const uint32_t usage[FN_PART_KINDS] = {FN_USE_ENCRYPT, FN_USE_DECRYPT, FN_USE_MAC,
                                                  FN_USE_MAC,     FN_USE_ENCRYPT, FN_USE_DECRYPT};
    if (kind >= FN_PART_KINDS) return FN_FAIL(FN_E_ARGUMENT, "kind %u", (unsigned)kind);
    if (s->parts[kind]) return FN_FAIL(FN_E_DEVICE_STEP, "one is under way");
    FN_TRY(need(s, parts[kind].init));
    bool protects = kind != FN_PART_DECRYPT && kind != FN_PART_AEAD_DECRYPT;
    FN_TRY(fn_backend_symmetric(s, item->f[1].b, usage[kind], protects, &named));
    if (protects && named.key_class == FN_CLASS_DATA_ENC)
        return FN_FAIL(FN_E_KEY_NONCE, "encryption in parts takes a start value");
    unsigned id = fn_vendor_algorithm(V(s), (unsigned)item->f[2].n);
    struct fn_bytes start = item->f[3].b, aad = item->f[4].b, tag = item->f[6].b;
    int code = SDR_NOTSUPPORT;
    switch ((enum fn_multipart)kind) {
    case FN_PART_ENCRYPT:
        code = FN_VENDOR(V(s), SDF_EncryptInit)(s->vendor, named.vendor, id, P(start), (unsigned)start.n);
        break;
    case FN_PART_DECRYPT:
        code = FN_VENDOR(V(s), SDF_DecryptInit)(s->vendor, named.vendor, id, P(start), (unsigned)start.n);
        break;
    case FN_PART_MAC:
        code =
            FN_VENDOR(V(s), SDF_CalculateMACInit)(s->vendor, named.vendor, id, P(start), (unsigned)start.n);
        break;
    case FN_PART_HMAC:
        code = FN_VENDOR(V(s), SDF_HMACInit)(s->vendor, named.vendor, SGD_SM3);
        break;
    case FN_PART_AEAD_ENCRYPT:
        code = FN_VENDOR(V(s), SDF_AuthEncInit)(s->vendor, named.vendor, id, P(start), (unsigned)start.n,
                                                P(aad), (unsigned)aad.n, (unsigned)item->f[5].n);
        break;
    case FN_PART_AEAD_DECRYPT:
        code = FN_VENDOR(V(s), SDF_AuthDecInit)(s->vendor, named.vendor, id, P(start), (unsigned)start.n,
                                                P(aad), (unsigned)aad.n, P(tag), (unsigned)tag.n,
                                                (unsigned)item->f[5].n);
        break;
    case FN_PART_KINDS:
        break;
    }
    FN_TRY(fn_vendor_error(code, "Init"));
    s->parts[kind] = true;
    return FN_OK;
}

typedef int update_out(void *, unsigned char *, unsigned, unsigned char *, unsigned *);
typedef int update_in(void *, unsigned char *, unsigned);
typedef int final_one(void *, unsigned char *, unsigned *);

FN_RUN(part_update)
{
    uint64_t kind = item->f[0].n;
    struct fn_bytes in = item->f[1].b;
    uint8_t *out FN_SCOPED_HEAP = NULL;
    unsigned n = 0;
    if (kind >= FN_PART_KINDS || !s->parts[kind]) return FN_FAIL(FN_E_DEVICE_STEP, "nothing was started");
    FN_TRY(need(s, parts[kind].update));
    void *f = V(s)->functions[parts[kind].update];
    int code;
    if (kind == FN_PART_MAC || kind == FN_PART_HMAC) {
        code = ((update_in *)f)(s->vendor, P(in), (unsigned)in.n);
    } else {
        n = (unsigned)in.n + 32;
        FN_TRY(fn_heap_array(&out, in.n + 64, 1));
        code = ((update_out *)f)(s->vendor, P(in), (unsigned)in.n, out, &n);
    }
    fn_err err = fn_vendor_error(code, "Update");
    if (err != FN_OK) s->parts[kind] = false;
    if (err == FN_OK && n > in.n + 32) err = FN_FAIL(FN_E_FORMAT, "%u bytes of %zu", n, in.n);
    return err == FN_OK ? fn_buf_var(&item->out, out, n) : err;
}

FN_RUN(part_finish)
{
    uint64_t kind = item->f[0].n;
    uint8_t last[4096], tag[64];
    unsigned last_n = 0, tag_n = 0;
    if (kind >= FN_PART_KINDS || !s->parts[kind]) return FN_FAIL(FN_E_DEVICE_STEP, "nothing was started");
    FN_TRY(need(s, parts[kind].final));
    s->parts[kind] = false;
    void *f = V(s)->functions[parts[kind].final];
    int code;
    if (kind == FN_PART_MAC || kind == FN_PART_HMAC) {
        tag_n = sizeof tag;
        code = ((final_one *)f)(s->vendor, tag, &tag_n);
    } else if (kind == FN_PART_AEAD_ENCRYPT) {
        last_n = sizeof last;
        tag_n = sizeof tag;
        code = FN_VENDOR(V(s), SDF_AuthEncFinal)(s->vendor, last, &last_n, tag, &tag_n);
    } else {
        last_n = sizeof last;
        code = ((final_one *)f)(s->vendor, last, &last_n);
    }
    FN_TRY(fn_vendor_error(code, "Final"));
    if (last_n > sizeof last || tag_n > sizeof tag)
        return FN_FAIL(FN_E_FORMAT, "%u and %u bytes", last_n, tag_n);
    FN_TRY(fn_buf_var(&item->out, last, last_n));
    return fn_buf_var(&item->out, tag, tag_n);
}
