/* GM/T 0018 6.3: public keys out, session keys in and out under other keys, key agreement. */
#include "sdf/sdf_private.h"

#include <string.h>

#define KEY_BITS_MOST 2048u
#define ID_MOST       8191u

/* Public keys */

static int export_public(void *hSessionHandle, unsigned int index, enum fn_key_half half,
                         ECCrefPublicKey *ecc, RSArefPublicKey *rsa)
{
    SDF_SESSION(s, hSessionHandle);
    if (!ecc && !rsa) return sdf_bad_argument("no place for the public key");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_index(&b, index, half);
    int code = sdf_call(s, FN_OP_KEY_PUBLIC, &b, &a);
    if (code != SDR_OK) return code;
    uint16_t algorithm = 0;
    a.failed = fn_cur_u16(&a.cur, &algorithm);
    struct fn_bytes key = take_var(&a);
    code = answer_code(&a);
    if (code != SDR_OK) return code;
    bool is_rsa = algorithm == FN_ALG_RSA2048 || algorithm == FN_ALG_RSA3072;
    if ((rsa != NULL) != is_rsa || (ecc && algorithm != FN_ALG_SM2))
        return sdf_code(
            FN_FAIL(FN_E_KEY_ALGORITHM, "the key at index %u is of algorithm %u", index, algorithm));
    if (rsa) return sdf_rsa_out(key, rsa);
    if (key.n != 64) return SDR_COMMFAIL;
    sdf_public_out(key.p, ecc);
    return SDR_OK;
}

SDF_PUBLIC int SDF_ExportSignPublicKey_RSA(void *hSessionHandle, unsigned int uiKeyIndex,
                                           RSArefPublicKey *pucPublicKey)
{
    return export_public(hSessionHandle, uiKeyIndex, FN_HALF_SIGN, NULL, pucPublicKey);
}

SDF_PUBLIC int SDF_ExportEncPublicKey_RSA(void *hSessionHandle, unsigned int uiKeyIndex,
                                          RSArefPublicKey *pucPublicKey)
{
    return export_public(hSessionHandle, uiKeyIndex, FN_HALF_ENCRYPT, NULL, pucPublicKey);
}

SDF_PUBLIC int SDF_ExportSignPublicKey_ECC(void *hSessionHandle, unsigned int uiKeyIndex,
                                           ECCrefPublicKey *pucPublicKey)
{
    return export_public(hSessionHandle, uiKeyIndex, FN_HALF_SIGN, pucPublicKey, NULL);
}

SDF_PUBLIC int SDF_ExportEncPublicKey_ECC(void *hSessionHandle, unsigned int uiKeyIndex,
                                          ECCrefPublicKey *pucPublicKey)
{
    return export_public(hSessionHandle, uiKeyIndex, FN_HALF_ENCRYPT, pucPublicKey, NULL);
}

/* Session keys under public keys */

static int check_bits(unsigned int bits, void **phKeyHandle)
{
    if (!phKeyHandle) return sdf_bad_argument("no place for the key handle");
    *phKeyHandle = NULL;
    if (bits == 0 || bits % 8 || bits > KEY_BITS_MOST) return sdf_bad_argument("key length in bits");
    return SDR_OK;
}

/* Answer of the makers of session keys: the wrapped key of so many bytes, then the handle. Exactly one of ecc
 * and raw takes the former. */
static int made(struct sdf_session *s, struct answer *a, size_t expected, ECCCipher *ecc, unsigned char *raw,
                unsigned int *raw_n, void **phKeyHandle)
{
    struct fn_bytes wrapped = take_var(a);
    uint64_t handle = take_u64(a);
    int code = answer_code(a);
    if (code == SDR_OK && wrapped.n != expected) code = SDR_COMMFAIL; /* the caller has room for no more */
    if (code == SDR_OK && ecc) code = sdf_cipher_out(wrapped, ecc);
    if (code == SDR_OK) code = sdf_new_session_key(s, a, handle, phKeyHandle);
    if (code != SDR_OK || ecc) return code;
    memcpy(raw, wrapped.p, wrapped.n);
    *raw_n = (unsigned int)wrapped.n;
    return SDR_OK;
}

static int generate_ipk(void *hSessionHandle, unsigned int index, unsigned int bits, ECCCipher *ecc,
                        unsigned char *raw, unsigned int *raw_n, void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    int code = check_bits(bits, phKeyHandle);
    if (code != SDR_OK) return code;
    if (!ecc && (!raw || !raw_n)) return SDR_OUTARGERR;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_index(&b, index, FN_HALF_ENCRYPT);
    put_u32(&b, bits);
    /* The caller's room is that of the kind of key it named: a key of the other kind must not be written into
     * it. */
    ECCrefPublicKey ecc_key;
    RSArefPublicKey rsa_key = {0};
    code =
        export_public(hSessionHandle, index, FN_HALF_ENCRYPT, ecc ? &ecc_key : NULL, ecc ? NULL : &rsa_key);
    if (code == SDR_OK) code = sdf_call(s, FN_OP_SESSION_KEY_IPK, &b, &a);
    size_t expected = ecc ? 96 + bits / 8 : rsa_key.bits / 8;
    return code == SDR_OK ? made(s, &a, expected, ecc, raw, raw_n, phKeyHandle) : code;
}

SDF_PUBLIC int SDF_GenerateKeyWithIPK_RSA(void *hSessionHandle, unsigned int uiIPKIndex,
                                          unsigned int uiKeyBits, unsigned char *pucKey,
                                          unsigned int *puiKeyLength, void **phKeyHandle)
{
    return generate_ipk(hSessionHandle, uiIPKIndex, uiKeyBits, NULL, pucKey, puiKeyLength, phKeyHandle);
}

SDF_PUBLIC int SDF_GenerateKeyWithIPK_ECC(void *hSessionHandle, unsigned int uiIPKIndex,
                                          unsigned int uiKeyBits, ECCCipher *pucKey, void **phKeyHandle)
{
    if (!pucKey) return SDR_OUTARGERR;
    return generate_ipk(hSessionHandle, uiIPKIndex, uiKeyBits, pucKey, NULL, NULL, phKeyHandle);
}

SDF_PUBLIC int SDF_GenerateKeyWithEPK_RSA(void *hSessionHandle, unsigned int uiKeyBits,
                                          RSArefPublicKey *pucPublicKey, unsigned char *pucKey,
                                          unsigned int *puiKeyLength, void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    uint8_t key[4 + 2 * RSAref_MAX_LEN];
    size_t n;
    uint32_t algorithm;
    int code = check_bits(uiKeyBits, phKeyHandle);
    if (code == SDR_OK && (!pucKey || !puiKeyLength)) code = SDR_OUTARGERR;
    if (code == SDR_OK) code = sdf_rsa_in(pucPublicKey, key, &n, &algorithm);
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_external(&b, algorithm, key, n);
    put_u32(&b, uiKeyBits);
    code = sdf_call(s, FN_OP_SESSION_KEY_EPK, &b, &a);
    return code == SDR_OK ? made(s, &a, RSAref_MAX_LEN, NULL, pucKey, puiKeyLength, phKeyHandle) : code;
}

static int encryption_algorithm(unsigned int uiAlgID)
{
    if (uiAlgID == SGD_SM2_3 || uiAlgID == SGD_SM2) return SDR_OK;
    (void)FN_FAIL(FN_E_UNSUPPORTED, "public-key encryption 0x%x", uiAlgID);
    return SDR_ALGNOTSUPPORT;
}

SDF_PUBLIC int SDF_GenerateKeyWithEPK_ECC(void *hSessionHandle, unsigned int uiKeyBits, unsigned int uiAlgID,
                                          ECCrefPublicKey *pucPublicKey, ECCCipher *pucKey,
                                          void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    uint8_t key[64];
    int code = check_bits(uiKeyBits, phKeyHandle);
    if (code == SDR_OK) code = encryption_algorithm(uiAlgID);
    if (code == SDR_OK && !pucKey) code = SDR_OUTARGERR;
    if (code == SDR_OK) code = sdf_public_in(pucPublicKey, key);
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_external(&b, FN_ALG_SM2, key, sizeof key);
    put_u32(&b, uiKeyBits);
    code = sdf_call(s, FN_OP_SESSION_KEY_EPK, &b, &a);
    return code == SDR_OK ? made(s, &a, 96 + uiKeyBits / 8, pucKey, NULL, NULL, phKeyHandle) : code;
}

static int imported(struct sdf_session *s, uint16_t operation, struct build *b, void **phKeyHandle)
{
    SDF_ANSWER(a);
    int code = sdf_call(s, operation, b, &a);
    if (code != SDR_OK) return code;
    uint64_t handle = take_u64(&a);
    code = answer_code(&a);
    return code == SDR_OK ? sdf_new_session_key(s, &a, handle, phKeyHandle) : code;
}

static int no_place(void **phKeyHandle)
{
    if (!phKeyHandle) return sdf_bad_argument("no place for the key handle");
    *phKeyHandle = NULL;
    return SDR_OK;
}

SDF_PUBLIC int SDF_ImportKeyWithISK_RSA(void *hSessionHandle, unsigned int uiISKIndex, unsigned char *pucKey,
                                        unsigned int uiKeyLength, void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    int code = no_place(phKeyHandle);
    if (code != SDR_OK) return code;
    if (!pucKey || uiKeyLength == 0 || uiKeyLength > 1024) return sdf_bad_argument("wrapped key");
    SDF_BUILD(b);
    put_index(&b, uiISKIndex, FN_HALF_ENCRYPT);
    put_var(&b, pucKey, uiKeyLength);
    return imported(s, FN_OP_SESSION_KEY_ISK, &b, phKeyHandle);
}

SDF_PUBLIC int SDF_ImportKeyWithISK_ECC(void *hSessionHandle, unsigned int uiISKIndex, ECCCipher *pucKey,
                                        void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    int code = no_place(phKeyHandle);
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    put_index(&b, uiISKIndex, FN_HALF_ENCRYPT);
    code = sdf_cipher_in(pucKey, KEY_BITS_MOST / 8, &b);
    return code == SDR_OK ? imported(s, FN_OP_SESSION_KEY_ISK, &b, phKeyHandle) : code;
}

/* Session keys under key-encryption keys */

static int kek_algorithm(unsigned int uiAlgID)
{
    if (uiAlgID == SGD_SM4_ECB || uiAlgID == SGD_SM4_CBC) return SDR_OK;
    (void)FN_FAIL(FN_E_UNSUPPORTED, "wrapping with 0x%x", uiAlgID);
    return (uiAlgID & 0xff00) == 0x0400 ? SDR_ALGMODNOTSUPPORT : SDR_ALGNOTSUPPORT;
}

SDF_PUBLIC int SDF_GenerateKeyWithKEK(void *hSessionHandle, unsigned int uiKeyBits, unsigned int uiAlgID,
                                      unsigned int uiKEKIndex, unsigned char *pucKey,
                                      unsigned int *puiKeyLength, void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    int code = check_bits(uiKeyBits, phKeyHandle);
    if (code == SDR_OK) code = kek_algorithm(uiAlgID);
    if (code == SDR_OK && (!pucKey || !puiKeyLength)) code = SDR_OUTARGERR;
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_index(&b, uiKEKIndex, FN_HALF_KEK);
    put_u32(&b, uiKeyBits);
    put_u32(&b, uiAlgID);
    size_t bytes = uiKeyBits / 8, expected = uiAlgID == SGD_SM4_ECB ? bytes : 16 + bytes + 16 - bytes % 16;
    code = sdf_call(s, FN_OP_SESSION_KEY_KEK, &b, &a);
    return code == SDR_OK ? made(s, &a, expected, NULL, pucKey, puiKeyLength, phKeyHandle) : code;
}

SDF_PUBLIC int SDF_ImportKeyWithKEK(void *hSessionHandle, unsigned int uiAlgID, unsigned int uiKEKIndex,
                                    unsigned char *pucKey, unsigned int uiKeyLength, void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    int code = no_place(phKeyHandle);
    if (code == SDR_OK) code = kek_algorithm(uiAlgID);
    if (code != SDR_OK) return code;
    if (!pucKey || uiKeyLength == 0 || uiKeyLength > 1024) return sdf_bad_argument("wrapped key");
    SDF_BUILD(b);
    put_index(&b, uiKEKIndex, FN_HALF_KEK);
    put_u32(&b, uiAlgID);
    put_var(&b, pucKey, uiKeyLength);
    return imported(s, FN_OP_SESSION_KEY_KEK_IN, &b, phKeyHandle);
}

SDF_PUBLIC int SDF_ImportKey(void *hSessionHandle, unsigned char *pucKey, unsigned int uiKeyLength,
                             void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    int code = no_place(phKeyHandle);
    if (code != SDR_OK) return code;
    if (!pucKey || uiKeyLength == 0 || uiKeyLength > KEY_BITS_MOST / 8) return sdf_bad_argument("key");
    SDF_BUILD(b);
    put_var(&b, pucKey, uiKeyLength);
    return imported(s, FN_OP_SESSION_KEY_CLEAR_IN, &b, phKeyHandle);
}

SDF_PUBLIC int SDF_GetSymmKeyHandle(void *hSessionHandle, unsigned int uiKeyIndex, void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    int code = no_place(phKeyHandle);
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_index(&b, uiKeyIndex, FN_HALF_SYMMETRIC);
    code = sdf_call(s, FN_OP_KEY_INFO, &b, &a);
    if (code != SDR_OK) return code;
    uint8_t ref[6] = {FN_KEY_INDEX};
    fn_put_be32(ref + 1, uiKeyIndex);
    ref[5] = FN_HALF_SYMMETRIC;
    return sdf_new_reference(s, ref, sizeof ref, phKeyHandle);
}

void sdf_destroy_handle(struct sdf_session *s, uint64_t epoch, uint64_t handle)
{
    SDF_BUILD(b);
    SDF_ANSWER(a);
    b.epoch = epoch;
    put_u64(&b, handle);
    (void)sdf_call(s, FN_OP_SESSION_KEY_DESTROY, &b, &a); /* what is not there any more is destroyed */
}

static int destroy(struct sdf_session *s, uint64_t epoch, uint64_t handle)
{
    SDF_BUILD(b);
    SDF_ANSWER(a);
    b.epoch = epoch;
    put_u64(&b, handle);
    int code = sdf_call(s, FN_OP_SESSION_KEY_DESTROY, &b, &a);
    return code == SDR_OK ? answer_code(&a) : code;
}

SDF_PUBLIC int SDF_DestroyKey(void *hSessionHandle, void *hKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_SCOPED struct sdf_agreement *agreement = sdf_object_get(hKeyHandle, OBJECT_AGREEMENT);
    if (agreement && agreement->object.owner == &s->object &&
        sdf_object_close(hKeyHandle, OBJECT_AGREEMENT)) {
        /* An agreement and a session key share the device's numbers. */
        int code = destroy(s, agreement->epoch, agreement->handle);
        return code == SDR_KEYNOTEXIST ? SDR_OK : code;
    }
    SDF_KEY(k, s, hKeyHandle);
    if (!sdf_object_close(hKeyHandle, OBJECT_KEY)) return sdf_bad_key(); /* another thread was faster */
    return k->epoch ? destroy(s, k->epoch, k->handle) : SDR_OK;
}

/* Key agreement (GB/T 32918.3) */

static int check_id(const unsigned char *id, unsigned int n)
{
    return id && n > 0 && n <= ID_MOST ? SDR_OK : sdf_bad_argument("identifier of 1 to 8191 bytes");
}

SDF_PUBLIC int SDF_GenerateAgreementDataWithECC(void *hSessionHandle, unsigned int uiISKIndex,
                                                unsigned int uiKeyBits, unsigned char *pucSponsorID,
                                                unsigned int uiSponsorIDLength,
                                                ECCrefPublicKey *pucSponsorPublicKey,
                                                ECCrefPublicKey *pucSponsorTmpPublicKey,
                                                void **phAgreementHandle)
{
    SDF_SESSION(s, hSessionHandle);
    int code = check_bits(uiKeyBits, phAgreementHandle);
    if (code == SDR_OK) code = check_id(pucSponsorID, uiSponsorIDLength);
    if (code == SDR_OK && (!pucSponsorPublicKey || !pucSponsorTmpPublicKey)) code = SDR_OUTARGERR;
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_index(&b, uiISKIndex, FN_HALF_ENCRYPT);
    put_u32(&b, uiKeyBits);
    put_var(&b, pucSponsorID, uiSponsorIDLength);
    code = sdf_call(s, FN_OP_AGREE_START, &b, &a);
    if (code != SDR_OK) return code;
    uint8_t own[64], ephemeral[64];
    take_exact(&a, own, sizeof own);
    take_exact(&a, ephemeral, sizeof ephemeral);
    uint64_t handle = take_u64(&a);
    code = answer_code(&a);
    if (code != SDR_OK) return code;
    struct sdf_agreement *agreement = sdf_object_new(OBJECT_AGREEMENT, sizeof *agreement, &s->object);
    if (!agreement) return SDR_NOBUFFER;
    agreement->epoch = a.response.epoch;
    agreement->handle = handle;
    sdf_public_out(own, pucSponsorPublicKey);
    sdf_public_out(ephemeral, pucSponsorTmpPublicKey);
    *phAgreementHandle = agreement->object.handle;
    sdf_object_release(&agreement->object);
    return SDR_OK;
}

SDF_PUBLIC int SDF_GenerateKeyWithECC(void *hSessionHandle, unsigned char *pucResponseID,
                                      unsigned int uiResponseIDLength, ECCrefPublicKey *pucResponsePublicKey,
                                      ECCrefPublicKey *pucResponseTmpPublicKey, void *hAgreementHandle,
                                      void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    uint8_t pub[64], ephemeral[64];
    int code = no_place(phKeyHandle);
    if (code == SDR_OK) code = check_id(pucResponseID, uiResponseIDLength);
    if (code == SDR_OK) code = sdf_public_in(pucResponsePublicKey, pub);
    if (code == SDR_OK) code = sdf_public_in(pucResponseTmpPublicKey, ephemeral);
    if (code != SDR_OK) return code;
    SDF_SCOPED struct sdf_agreement *agreement = sdf_object_get(hAgreementHandle, OBJECT_AGREEMENT);
    if (!agreement || agreement->object.owner != &s->object) return sdf_bad_key();
    SDF_BUILD(b);
    b.epoch = agreement->epoch;
    put_u64(&b, agreement->handle);
    put_var(&b, pucResponseID, uiResponseIDLength);
    put_var(&b, pub, sizeof pub);
    put_var(&b, ephemeral, sizeof ephemeral);
    code = imported(s, FN_OP_AGREE_FINISH, &b, phKeyHandle);
    if (code == SDR_OK) sdf_object_close(hAgreementHandle, OBJECT_AGREEMENT);
    return code;
}

SDF_PUBLIC int SDF_GenerateAgreementDataAndKeyWithECC(
    void *hSessionHandle, unsigned int uiISKIndex, unsigned int uiKeyBits, unsigned char *pucResponseID,
    unsigned int uiResponseIDLength, unsigned char *pucSponsorID, unsigned int uiSponsorIDLength,
    ECCrefPublicKey *pucSponsorPublicKey, ECCrefPublicKey *pucSponsorTmpPublicKey,
    ECCrefPublicKey *pucResponsePublicKey, ECCrefPublicKey *pucResponseTmpPublicKey, void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    uint8_t pub[64], ephemeral[64];
    int code = check_bits(uiKeyBits, phKeyHandle);
    if (code == SDR_OK) code = check_id(pucResponseID, uiResponseIDLength);
    if (code == SDR_OK) code = check_id(pucSponsorID, uiSponsorIDLength);
    if (code == SDR_OK) code = sdf_public_in(pucSponsorPublicKey, pub);
    if (code == SDR_OK) code = sdf_public_in(pucSponsorTmpPublicKey, ephemeral);
    if (code == SDR_OK && (!pucResponsePublicKey || !pucResponseTmpPublicKey)) code = SDR_OUTARGERR;
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_index(&b, uiISKIndex, FN_HALF_ENCRYPT);
    put_u32(&b, uiKeyBits);
    put_var(&b, pucResponseID, uiResponseIDLength);
    put_var(&b, pucSponsorID, uiSponsorIDLength);
    put_var(&b, pub, sizeof pub);
    put_var(&b, ephemeral, sizeof ephemeral);
    code = sdf_call(s, FN_OP_AGREE_RESPOND, &b, &a);
    if (code != SDR_OK) return code;
    take_exact(&a, pub, sizeof pub);
    take_exact(&a, ephemeral, sizeof ephemeral);
    uint64_t handle = take_u64(&a);
    code = answer_code(&a);
    if (code == SDR_OK) code = sdf_new_session_key(s, &a, handle, phKeyHandle);
    if (code != SDR_OK) return code;
    sdf_public_out(pub, pucResponsePublicKey);
    sdf_public_out(ephemeral, pucResponseTmpPublicKey);
    return SDR_OK;
}

/* Digital envelopes (2012) */

SDF_PUBLIC int SDF_ExchangeDigitEnvelopeBaseOnECC(void *hSessionHandle, unsigned int uiKeyIndex,
                                                  unsigned int uiAlgID, ECCrefPublicKey *pucPublicKey,
                                                  ECCCipher *pucEncDataIn, ECCCipher *pucEncDataOut)
{
    SDF_SESSION(s, hSessionHandle);
    uint8_t key[64];
    int code = encryption_algorithm(uiAlgID);
    if (code == SDR_OK) code = sdf_public_in(pucPublicKey, key);
    if (code == SDR_OK && !pucEncDataOut) code = SDR_OUTARGERR;
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_index(&b, uiKeyIndex, FN_HALF_ENCRYPT);
    put_external(&b, FN_ALG_SM2, key, sizeof key);
    code = sdf_cipher_in(pucEncDataIn, SDF_CIPHER_MOST, &b);
    if (code == SDR_OK) code = sdf_call(s, FN_OP_ENVELOPE_EXCHANGE, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes out = take_var(&a);
    code = answer_code(&a);
    if (code == SDR_OK && out.n != 96u + pucEncDataIn->L) code = SDR_COMMFAIL;
    return code == SDR_OK ? sdf_cipher_out(out, pucEncDataOut) : code;
}

SDF_PUBLIC int SDF_ExchangeDigitEnvelopeBaseOnRSA(void *hSessionHandle, unsigned int uiKeyIndex,
                                                  RSArefPublicKey *pucPublicKey, unsigned char *pucDEInput,
                                                  unsigned int uiDELength, unsigned char *pucDEOutput,
                                                  unsigned int *puiDELength)
{
    SDF_SESSION(s, hSessionHandle);
    uint8_t key[4 + 2 * RSAref_MAX_LEN];
    size_t n;
    uint32_t algorithm;
    int code = sdf_rsa_in(pucPublicKey, key, &n, &algorithm);
    if (code == SDR_OK && (!pucDEOutput || !puiDELength)) code = SDR_OUTARGERR;
    if (code != SDR_OK) return code;
    if (!pucDEInput || uiDELength == 0 || uiDELength > 1024) return sdf_bad_argument("digital envelope");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_index(&b, uiKeyIndex, FN_HALF_ENCRYPT);
    put_external(&b, algorithm, key, n);
    put_var(&b, pucDEInput, uiDELength);
    code = sdf_call(s, FN_OP_ENVELOPE_EXCHANGE, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes out = take_var(&a);
    code = answer_code(&a);
    if (code != SDR_OK || out.n != pucPublicKey->bits / 8) return code != SDR_OK ? code : SDR_COMMFAIL;
    memcpy(pucDEOutput, out.p, out.n);
    *puiDELength = (unsigned int)out.n;
    return SDR_OK;
}
