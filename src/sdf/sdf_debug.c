/* GM/T 0018-2023 6.8: clear keys, for verification and debugging. The device decides: a tenant that was not
 * initialised as a test tenant gets SDR_NOTSUPPORT from it. Keys of the symmetric functions go into the
 * device for the time of the call; SM2 with a private key of the caller's runs here, after the device agreed.
 */
#include "sdf/sdf_private.h"

#include <string.h>

static int import(struct sdf_session *s, const unsigned char *key, unsigned int n, struct sdf_key *k,
                  uint8_t ref[9])
{
    if (!key || n == 0 || n > 256) return sdf_bad_argument("key");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_var(&b, key, n);
    int code = sdf_call(s, FN_OP_SESSION_KEY_CLEAR_IN, &b, &a);
    if (code != SDR_OK) return code;
    uint64_t handle = take_u64(&a);
    code = answer_code(&a);
    if (code != SDR_OK) return code;
    ref[0] = FN_KEY_HANDLE;
    fn_put_be64(ref + 1, handle);
    *k = (struct sdf_key){.epoch = a.response.epoch, .handle = handle, .ref = ref, .ref_size = 9};
    return SDR_OK;
}

/* Whether the device admits clear keys of this tenant. */
static int allowed(struct sdf_session *s)
{
    struct sdf_key k;
    uint8_t ref[9];
    static const unsigned char question[16];
    int code = import(s, question, sizeof question, &k, ref);
    if (code == SDR_OK) sdf_destroy_handle(s, k.epoch, k.handle);
    return code;
}

static int crypt(void *hSessionHandle, uint16_t operation, unsigned int uiAlgID, unsigned char *key,
                 unsigned int key_n, unsigned char *iv, unsigned int iv_n, unsigned char *in, unsigned int n,
                 unsigned char *out, unsigned int *out_n)
{
    SDF_SESSION(s, hSessionHandle);
    struct sdf_key k;
    uint8_t ref[9];
    if (uiAlgID != SGD_SM4_ECB && (!iv || iv_n != 16)) return sdf_bad_argument("start value of 16 bytes");
    int code = import(s, key, key_n, &k, ref);
    if (code != SDR_OK) return code;
    code = sdf_crypt(s, operation, &k, uiAlgID, iv, in, n, out, out_n);
    sdf_destroy_handle(s, k.epoch, k.handle);
    return code;
}

SDF_PUBLIC int SDF_ExternalKeyEncrypt(void *hSessionHandle, unsigned int uiAlgID, unsigned char *pucKey,
                                      unsigned int uiKeyLength, unsigned char *pucIV, unsigned int uiIVLength,
                                      unsigned char *pucData, unsigned int uiDataLength,
                                      unsigned char *pucEncData, unsigned int *puiEncDataLength)
{
    return crypt(hSessionHandle, FN_OP_ENCRYPT, uiAlgID, pucKey, uiKeyLength, pucIV, uiIVLength, pucData,
                 uiDataLength, pucEncData, puiEncDataLength);
}

SDF_PUBLIC int SDF_ExternalKeyDecrypt(void *hSessionHandle, unsigned int uiAlgID, unsigned char *pucKey,
                                      unsigned int uiKeyLength, unsigned char *pucIV, unsigned int uiIVLength,
                                      unsigned char *pucEncData, unsigned int uiEncDataLength,
                                      unsigned char *pucData, unsigned int *puiDataLength)
{
    return crypt(hSessionHandle, FN_OP_DECRYPT, uiAlgID, pucKey, uiKeyLength, pucIV, uiIVLength, pucEncData,
                 uiEncDataLength, pucData, puiDataLength);
}

static int start(void *hSessionHandle, enum fn_multipart kind, unsigned int algorithm,
                 const unsigned char *key, unsigned int key_n, const unsigned char *iv, unsigned int iv_n)
{
    SDF_SESSION(s, hSessionHandle);
    struct sdf_key k;
    uint8_t ref[9];
    int code = kind == FN_PART_HMAC ? SDR_OK : sdf_cipher_algorithm(algorithm);
    if (code != SDR_OK) return code;
    bool none = kind == FN_PART_HMAC || algorithm == SGD_SM4_ECB;
    if (!none && (!iv || iv_n != 16)) return sdf_bad_argument("start value of 16 bytes");
    code = import(s, key, key_n, &k, ref);
    if (code != SDR_OK) return code;
    code = sdf_part_start(s, &(struct part_start){.kind = kind,
                                                  .key = &k,
                                                  .algorithm = algorithm,
                                                  .start = {iv, none ? 0 : iv_n},
                                                  .clear_key = k.handle});
    if (code != SDR_OK) sdf_destroy_handle(s, k.epoch, k.handle);
    return code;
}

SDF_PUBLIC int SDF_ExternalKeyEncryptInit(void *hSessionHandle, unsigned int uiAlgID, unsigned char *pucKey,
                                          unsigned int uiKeyLength, unsigned char *pucIV,
                                          unsigned int uiIVLength)
{
    return start(hSessionHandle, FN_PART_ENCRYPT, uiAlgID, pucKey, uiKeyLength, pucIV, uiIVLength);
}

SDF_PUBLIC int SDF_ExternalKeyDecryptInit(void *hSessionHandle, unsigned int uiAlgID, unsigned char *pucKey,
                                          unsigned int uiKeyLength, unsigned char *pucIV,
                                          unsigned int uiIVLength)
{
    return start(hSessionHandle, FN_PART_DECRYPT, uiAlgID, pucKey, uiKeyLength, pucIV, uiIVLength);
}

SDF_PUBLIC int SDF_ExternalKeyHMACInit(void *hSessionHandle, unsigned int uiAlgID, unsigned char *pucKey,
                                       unsigned int uiKeyLength)
{
    if (uiAlgID != SGD_SM3 && uiAlgID != SGD_SM3_HMAC) return SDR_ALGNOTSUPPORT;
    return start(hSessionHandle, FN_PART_HMAC, SGD_SM3_HMAC, pucKey, uiKeyLength, NULL, 0);
}

/* SM2 with a key of the caller's */

static fn_err fill(void *self, uint8_t *out, size_t n)
{
    int code = SDF_GenerateRandom(self, (unsigned int)n, out);
    return code == SDR_OK ? FN_OK : FN_E_RANDOM_SOURCE;
}

static int load(const ECCrefPrivateKey *in, struct fn_sm2_private *key)
{
    if (!in || in->bits != 256) return sdf_bad_argument("private key of 256 bits");
    unsigned char upper = 0;
    for (size_t i = 0; i < ECCref_MAX_LEN - 32; i++) upper |= in->K[i];
    if (upper) return sdf_bad_argument("upper half of the private key is not zero");
    return sdf_code(fn_sm2_private_load(key, in->K + ECCref_MAX_LEN - 32));
}

SDF_PUBLIC int SDF_GenerateKeyPair_ECC(void *hSessionHandle, unsigned int uiAlgID, unsigned int uiKeyBits,
                                       ECCrefPublicKey *pucPublicKey, ECCrefPrivateKey *pucPrivateKey)
{
    SDF_SESSION(s, hSessionHandle);
    if (uiAlgID != SGD_SM2 && uiAlgID != SGD_SM2_1 && uiAlgID != SGD_SM2_2 && uiAlgID != SGD_SM2_3)
        return SDR_ALGNOTSUPPORT;
    if (uiKeyBits != 256) return sdf_bad_argument("SM2 keys have 256 bits");
    if (!pucPublicKey || !pucPrivateKey) return SDR_OUTARGERR;
    int code = allowed(s);
    if (code != SDR_OK) return code;
    struct fn_sm2_private key;
    FN_SCOPED_WIPE(key);
    struct fn_rng rng = {fill, hSessionHandle};
    code = sdf_code(fn_sm2_generate(&key, &rng));
    if (code != SDR_OK) return code;
    uint8_t point[64];
    memcpy(point, key.pub.x, 32);
    memcpy(point + 32, key.pub.y, 32);
    sdf_public_out(point, pucPublicKey);
    memset(pucPrivateKey, 0, sizeof *pucPrivateKey);
    pucPrivateKey->bits = 256;
    memcpy(pucPrivateKey->K + ECCref_MAX_LEN - 32, key.d, 32);
    return SDR_OK;
}

SDF_PUBLIC int SDF_ExternalSign_ECC(void *hSessionHandle, unsigned int uiAlgID,
                                    ECCrefPrivateKey *pucPrivateKey, unsigned char *pucData,
                                    unsigned int uiDataLength, ECCSignature *pucSignature)
{
    SDF_SESSION(s, hSessionHandle);
    if (uiAlgID != SGD_SM2_1 && uiAlgID != SGD_SM2) return SDR_ALGNOTSUPPORT;
    if (!pucData || uiDataLength != 32) return sdf_bad_argument("digest of 32 bytes");
    if (!pucSignature) return SDR_OUTARGERR;
    int code = allowed(s);
    if (code != SDR_OK) return code;
    struct fn_sm2_private key;
    FN_SCOPED_WIPE(key);
    code = load(pucPrivateKey, &key);
    if (code != SDR_OK) return code;
    uint8_t signature[64];
    struct fn_rng rng = {fill, hSessionHandle};
    code = sdf_code(fn_sm2_sign(&key, &rng, pucData, signature));
    if (code == SDR_OK) sdf_signature_out(signature, pucSignature);
    return code;
}

SDF_PUBLIC int SDF_ExternalDecrypt_ECC(void *hSessionHandle, unsigned int uiAlgID,
                                       ECCrefPrivateKey *pucPrivateKey, ECCCipher *pucEncData,
                                       unsigned char *pucData, unsigned int *puiDataLength)
{
    SDF_SESSION(s, hSessionHandle);
    if (uiAlgID != SGD_SM2_3 && uiAlgID != SGD_SM2) return SDR_ALGNOTSUPPORT;
    if (!pucData || !puiDataLength) return SDR_OUTARGERR;
    int code = allowed(s);
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    code = sdf_cipher_in(pucEncData, SDF_CIPHER_MOST, &b);
    if (code == SDR_OK) code = sdf_code(b.failed);
    if (code != SDR_OK) return code;
    struct fn_sm2_private key;
    FN_SCOPED_WIPE(key);
    code = load(pucPrivateKey, &key);
    if (code != SDR_OK) return code;
    const uint8_t *c = b.items.p + 4;
    struct fn_sm2_public c1;
    memcpy(c1.x, c, 32);
    memcpy(c1.y, c + 32, 32);
    code = sdf_code(fn_sm2_decrypt(&key, &c1, c + 64, c + 96, pucEncData->L, pucData));
    if (code == SDR_OK) *puiDataLength = pucEncData->L;
    return code == SDR_INARGERR ? SDR_ENCDATAERR : code;
}
