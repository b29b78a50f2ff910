/* GM/T 0018 6.4: signatures, public-key encryption, raw RSA. */
#include "sdf/sdf_private.h"

#include <string.h>

#define DIGEST 32u

/* What did not verify or decrypt for a reason of the key's own keeps its code; a refusal to compute gets the
 * name of the act. */
static int named(int code, int act)
{
    return code == SDR_UNKNOWERR ? act : code;
}

static int signature_algorithm(unsigned int uiAlgID)
{
    if (uiAlgID == SGD_SM2_1 || uiAlgID == SGD_SM2) return SDR_OK;
    (void)FN_FAIL(FN_E_UNSUPPORTED, "signature 0x%x", uiAlgID);
    return SDR_ALGNOTSUPPORT;
}

static int encryption_algorithm(unsigned int uiAlgID)
{
    if (uiAlgID == SGD_SM2_3 || uiAlgID == SGD_SM2) return SDR_OK;
    (void)FN_FAIL(FN_E_UNSUPPORTED, "public-key encryption 0x%x", uiAlgID);
    return SDR_ALGNOTSUPPORT;
}

static int check_digest(const unsigned char *data, unsigned int n)
{
    return data && n == DIGEST ? SDR_OK : sdf_bad_argument("digest of 32 bytes: e = SM3(Z || M)");
}

static int verify(struct sdf_session *s, struct build *b, const unsigned char *digest,
                  const ECCSignature *signature)
{
    uint8_t sig[64];
    int code = sdf_signature_in(signature, sig);
    if (code != SDR_OK) return code;
    SDF_ANSWER(a);
    put_raw(b, digest, DIGEST);
    put_var(b, sig, sizeof sig);
    code = sdf_call(s, FN_OP_VERIFY, b, &a);
    return code == SDR_OK ? answer_code(&a) : named(code, SDR_PKOPERR);
}

SDF_PUBLIC int SDF_ExternalVerify_ECC(void *hSessionHandle, unsigned int uiAlgID,
                                      ECCrefPublicKey *pucPublicKey, unsigned char *pucDataInput,
                                      unsigned int uiInputLength, ECCSignature *pucSignature)
{
    SDF_SESSION(s, hSessionHandle);
    uint8_t key[64];
    int code = signature_algorithm(uiAlgID);
    if (code == SDR_OK) code = sdf_public_in(pucPublicKey, key);
    if (code == SDR_OK) code = check_digest(pucDataInput, uiInputLength);
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    put_external(&b, FN_ALG_SM2, key, sizeof key);
    return verify(s, &b, pucDataInput, pucSignature);
}

SDF_PUBLIC int SDF_InternalVerify_ECC(void *hSessionHandle, unsigned int uiIPKIndex, unsigned char *pucData,
                                      unsigned int uiDataLength, ECCSignature *pucSignature)
{
    SDF_SESSION(s, hSessionHandle);
    int code = check_digest(pucData, uiDataLength);
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    put_index(&b, uiIPKIndex, FN_HALF_SIGN);
    return verify(s, &b, pucData, pucSignature);
}

SDF_PUBLIC int SDF_InternalSign_ECC(void *hSessionHandle, unsigned int uiISKIndex, unsigned char *pucData,
                                    unsigned int uiDataLength, ECCSignature *pucSignature)
{
    SDF_SESSION(s, hSessionHandle);
    int code = check_digest(pucData, uiDataLength);
    if (code == SDR_OK && !pucSignature) code = SDR_OUTARGERR;
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_index(&b, uiISKIndex, FN_HALF_SIGN);
    put_raw(&b, pucData, DIGEST);
    code = sdf_call(s, FN_OP_SIGN, &b, &a);
    if (code != SDR_OK) return named(code, SDR_SIGNERR);
    struct fn_bytes signature = take_var(&a);
    code = answer_code(&a);
    if (code != SDR_OK) return code;
    if (signature.n != 64)
        return sdf_code(FN_FAIL(FN_E_KEY_ALGORITHM, "the key at index %u is not of SM2", uiISKIndex));
    sdf_signature_out(signature.p, pucSignature);
    return SDR_OK;
}

static int encrypt(struct sdf_session *s, struct build *b, const unsigned char *data, unsigned int n,
                   ECCCipher *out)
{
    if (!data || n == 0 || n > SDF_CIPHER_MOST) return sdf_bad_argument("data of 1 to 65536 bytes");
    if (!out) return SDR_OUTARGERR;
    SDF_ANSWER(a);
    put_var(b, data, n);
    int code = sdf_call(s, FN_OP_PK_ENCRYPT, b, &a);
    if (code != SDR_OK) return named(code, SDR_PKOPERR);
    struct fn_bytes cipher = take_var(&a);
    code = answer_code(&a);
    if (code == SDR_OK && cipher.n != 96u + n) code = SDR_COMMFAIL;
    return code == SDR_OK ? sdf_cipher_out(cipher, out) : code;
}

SDF_PUBLIC int SDF_ExternalEncrypt_ECC(void *hSessionHandle, unsigned int uiAlgID,
                                       ECCrefPublicKey *pucPublicKey, unsigned char *pucData,
                                       unsigned int uiDataLength, ECCCipher *pucEncData)
{
    SDF_SESSION(s, hSessionHandle);
    uint8_t key[64];
    int code = encryption_algorithm(uiAlgID);
    if (code == SDR_OK) code = sdf_public_in(pucPublicKey, key);
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    put_external(&b, FN_ALG_SM2, key, sizeof key);
    return encrypt(s, &b, pucData, uiDataLength, pucEncData);
}

static int internal_encrypt(void *hSessionHandle, unsigned int uiIPKIndex, const unsigned char *pucData,
                            unsigned int uiDataLength, ECCCipher *pucEncData)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_BUILD(b);
    put_index(&b, uiIPKIndex, FN_HALF_ENCRYPT);
    return encrypt(s, &b, pucData, uiDataLength, pucEncData);
}

static int internal_decrypt(void *hSessionHandle, unsigned int uiISKIndex, const ECCCipher *pucEncData,
                            unsigned char *pucData, unsigned int *puiDataLength)
{
    SDF_SESSION(s, hSessionHandle);
    if (!puiDataLength) return SDR_OUTARGERR;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_index(&b, uiISKIndex, FN_HALF_ENCRYPT);
    int code = sdf_cipher_in(pucEncData, SDF_CIPHER_MOST, &b);
    if (code != SDR_OK) return code;
    if (!pucData) {
        *puiDataLength = pucEncData->L;
        return SDR_OK;
    }
    code = sdf_call(s, FN_OP_PK_DECRYPT, &b, &a);
    if (code != SDR_OK) return named(code, SDR_SKOPERR);
    struct fn_bytes data = take_var(&a);
    code = answer_code(&a);
    if (code != SDR_OK || data.n != pucEncData->L) return code != SDR_OK ? code : SDR_COMMFAIL;
    memcpy(pucData, data.p, data.n);
    *puiDataLength = (unsigned int)data.n;
    return SDR_OK;
}

#ifdef SDF_TONGSUO
/* libsdf_tongsuo.so: the same names without the algorithm, as Tongsuo calls them. */
SDF_PUBLIC int short_encrypt(void *hSessionHandle, unsigned int uiIPKIndex, unsigned char *pucData,
                             unsigned int uiDataLength,
                             ECCCipher *pucEncData) __asm__("SDF_InternalEncrypt_ECC");
SDF_PUBLIC int short_decrypt(void *hSessionHandle, unsigned int uiISKIndex, ECCCipher *pucEncData,
                             unsigned char *pucData,
                             unsigned int *puiDataLength) __asm__("SDF_InternalDecrypt_ECC");

SDF_PUBLIC int short_encrypt(void *hSessionHandle, unsigned int uiIPKIndex, unsigned char *pucData,
                             unsigned int uiDataLength, ECCCipher *pucEncData)
{
    return internal_encrypt(hSessionHandle, uiIPKIndex, pucData, uiDataLength, pucEncData);
}

SDF_PUBLIC int short_decrypt(void *hSessionHandle, unsigned int uiISKIndex, ECCCipher *pucEncData,
                             unsigned char *pucData, unsigned int *puiDataLength)
{
    return internal_decrypt(hSessionHandle, uiISKIndex, pucEncData, pucData, puiDataLength);
}
#else
SDF_PUBLIC int SDF_InternalEncrypt_ECC(void *hSessionHandle, unsigned int uiIPKIndex, unsigned int uiAlgID,
                                       unsigned char *pucData, unsigned int uiDataLength,
                                       ECCCipher *pucEncData)
{
    int code = encryption_algorithm(uiAlgID);
    return code == SDR_OK ? internal_encrypt(hSessionHandle, uiIPKIndex, pucData, uiDataLength, pucEncData)
                          : code;
}

SDF_PUBLIC int SDF_InternalDecrypt_ECC(void *hSessionHandle, unsigned int uiISKIndex, unsigned int uiAlgID,
                                       ECCCipher *pucEncData, unsigned char *pucData,
                                       unsigned int *puiDataLength)
{
    int code = encryption_algorithm(uiAlgID);
    return code == SDR_OK ? internal_decrypt(hSessionHandle, uiISKIndex, pucEncData, pucData, puiDataLength)
                          : code;
}
#endif

/* Raw RSA */

static int rsa(struct sdf_session *s, uint16_t operation, struct build *b, const unsigned char *in,
               unsigned int n, unsigned char *out, unsigned int *out_n)
{
    if (!in || n == 0 || n > 1024) return sdf_bad_argument("input as long as the modulus");
    if (!out || !out_n) return SDR_OUTARGERR;
    SDF_ANSWER(a);
    put_var(b, in, n);
    int code = sdf_call(s, operation, b, &a);
    if (code != SDR_OK) return named(code, operation == FN_OP_RSA_PRIVATE ? SDR_SKOPERR : SDR_PKOPERR);
    struct fn_bytes data = take_var(&a);
    code = answer_code(&a);
    if (code != SDR_OK || data.n != n) return code != SDR_OK ? code : SDR_COMMFAIL;
    memcpy(out, data.p, n);
    *out_n = n;
    return SDR_OK;
}

SDF_PUBLIC int SDF_ExternalPublicKeyOperation_RSA(void *hSessionHandle, RSArefPublicKey *pucPublicKey,
                                                  unsigned char *pucDataInput, unsigned int uiInputLength,
                                                  unsigned char *pucDataOutput, unsigned int *puiOutputLength)
{
    SDF_SESSION(s, hSessionHandle);
    uint8_t key[4 + 2 * RSAref_MAX_LEN];
    size_t n;
    uint32_t algorithm;
    int code = sdf_rsa_in(pucPublicKey, key, &n, &algorithm);
    if (code != SDR_OK) return code;
    if (uiInputLength != pucPublicKey->bits / 8) return sdf_bad_argument("input as long as the modulus");
    SDF_BUILD(b);
    put_external(&b, algorithm, key, n);
    return rsa(s, FN_OP_RSA_PUBLIC, &b, pucDataInput, uiInputLength, pucDataOutput, puiOutputLength);
}

SDF_PUBLIC int SDF_InternalPublicKeyOperation_RSA(void *hSessionHandle, unsigned int uiKeyIndex,
                                                  unsigned char *pucDataInput, unsigned int uiInputLength,
                                                  unsigned char *pucDataOutput, unsigned int *puiOutputLength)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_BUILD(b);
    put_index(&b, uiKeyIndex, FN_HALF_SIGN);
    return rsa(s, FN_OP_RSA_PUBLIC, &b, pucDataInput, uiInputLength, pucDataOutput, puiOutputLength);
}

SDF_PUBLIC int SDF_InternalPrivateKeyOperation_RSA(void *hSessionHandle, unsigned int uiKeyIndex,
                                                   unsigned char *pucDataInput, unsigned int uiInputLength,
                                                   unsigned char *pucDataOutput,
                                                   unsigned int *puiOutputLength)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_BUILD(b);
    put_index(&b, uiKeyIndex, FN_HALF_SIGN);
    return rsa(s, FN_OP_RSA_PRIVATE, &b, pucDataInput, uiInputLength, pucDataOutput, puiOutputLength);
}
