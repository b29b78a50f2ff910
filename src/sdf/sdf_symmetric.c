/* GM/T 0018 6.5: symmetric ciphers, MAC, authenticated encryption; single calls and multi-part. */
#include "sdf/sdf_private.h"

#include <string.h>

/* SDR_OK for the ciphers of ours; which mode fits a call is the device's to say. */
int sdf_cipher_algorithm(unsigned int uiAlgID)
{
    if ((uiAlgID & 0xff00) != 0x0400) {
        (void)FN_FAIL(FN_E_UNSUPPORTED, "cipher 0x%x", uiAlgID);
        return SDR_ALGNOTSUPPORT;
    }
    switch (uiAlgID) {
    case SGD_SM4_ECB:
    case SGD_SM4_CBC:
    case SGD_SM4_CFB:
    case SGD_SM4_OFB:
    case SGD_SM4_CTR:
        return SDR_OK;
    default:
        (void)FN_FAIL(FN_E_UNSUPPORTED, "mode 0x%x in this call", uiAlgID);
        return SDR_ALGMODNOTSUPPORT;
    }
}

/* One piece; the chaining value in `iv` goes on. */
static int crypt_piece(struct sdf_session *s, uint16_t operation, const struct sdf_key *key,
                       unsigned int algorithm, uint8_t iv[16], const unsigned char *in, unsigned int n,
                       unsigned char *out)
{
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_key(&b, key);
    put_u32(&b, algorithm);
    put_var(&b, iv, algorithm == SGD_SM4_ECB ? 0 : 16);
    put_var(&b, in, n);
    int code = sdf_call(s, operation, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes chain = take_var(&a), data = take_var(&a);
    code = answer_code(&a);
    if (code != SDR_OK) return code;
    if (data.n != n || (algorithm != SGD_SM4_ECB && chain.n != 16)) return SDR_COMMFAIL;
    if (n) memcpy(out, data.p, n);
    if (algorithm != SGD_SM4_ECB) memcpy(iv, chain.p, 16);
    return SDR_OK;
}

int sdf_crypt(struct sdf_session *s, uint16_t operation, const struct sdf_key *key, unsigned int uiAlgID,
              unsigned char *pucIV, const unsigned char *in, unsigned int n, unsigned char *out,
              unsigned int *out_n)
{
    int code = sdf_cipher_algorithm(uiAlgID);
    if (code != SDR_OK) return code;
    if (!out_n) return SDR_OUTARGERR;
    if (!in || n == 0) return sdf_bad_argument("no data");
    if (uiAlgID != SGD_SM4_ECB && !pucIV) return sdf_bad_argument("no start value");
    bool blocks = uiAlgID == SGD_SM4_ECB || uiAlgID == SGD_SM4_CBC;
    if (blocks && n % 16 != 0) return sdf_code(FN_FAIL(FN_E_CIPHER_LENGTH, "%u bytes", n));
    if (!out) {
        *out_n = n;
        return SDR_OK;
    }
    uint8_t iv[16] = {0};
    if (uiAlgID != SGD_SM4_ECB) memcpy(iv, pucIV, sizeof iv);
    for (unsigned int done = 0; done < n;) {
        unsigned int piece = n - done < SDF_PIECE ? n - done : SDF_PIECE;
        code = crypt_piece(s, operation, key, uiAlgID, iv, in + done, piece, out + done);
        if (code != SDR_OK) return code;
        done += piece;
    }
    if (uiAlgID != SGD_SM4_ECB) memcpy(pucIV, iv, sizeof iv);
    *out_n = n;
    return SDR_OK;
}

SDF_PUBLIC int SDF_Encrypt(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucIV,
                           unsigned char *pucData, unsigned int uiDataLength, unsigned char *pucEncData,
                           unsigned int *puiEncDataLength)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_KEY(k, s, hKeyHandle);
    return sdf_crypt(s, FN_OP_ENCRYPT, k, uiAlgID, pucIV, pucData, uiDataLength, pucEncData,
                     puiEncDataLength);
}

SDF_PUBLIC int SDF_Decrypt(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucIV,
                           unsigned char *pucEncData, unsigned int uiEncDataLength, unsigned char *pucData,
                           unsigned int *puiDataLength)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_KEY(k, s, hKeyHandle);
    return sdf_crypt(s, FN_OP_DECRYPT, k, uiAlgID, pucIV, pucEncData, uiEncDataLength, pucData,
                     puiDataLength);
}

/* MAC */

static int mac_piece(struct sdf_session *s, const struct sdf_key *key, unsigned int algorithm, uint8_t iv[16],
                     const unsigned char *in, unsigned int n, uint8_t mac[32], size_t size)
{
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_key(&b, key);
    put_u32(&b, algorithm);
    put_var(&b, iv, algorithm == SGD_SM4_MAC ? 16 : 0);
    put_var(&b, in, n);
    int code = sdf_call(s, FN_OP_MAC, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes chain = take_var(&a);
    take_exact(&a, mac, size);
    code = answer_code(&a);
    if (code == SDR_OK && algorithm == SGD_SM4_MAC) {
        if (chain.n != 16) return SDR_COMMFAIL;
        memcpy(iv, chain.p, 16);
    }
    return code;
}

/* HMAC of data that does not fit one request. */
static int mac_long(struct sdf_session *s, const struct sdf_key *key, const unsigned char *in, unsigned int n,
                    unsigned char *mac, unsigned int *mac_n)
{
    int code =
        sdf_part_start(s, &(struct part_start){.kind = FN_PART_HMAC, .key = key, .algorithm = SGD_SM3_HMAC});
    if (code != SDR_OK) return code;
    code = sdf_part_update(s, FN_PART_HMAC, in, n, NULL, NULL);
    int end = sdf_part_finish(s, FN_PART_HMAC, NULL, NULL, mac, mac_n);
    return code != SDR_OK ? code : end;
}

SDF_PUBLIC int SDF_CalculateMAC(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID,
                                unsigned char *pucIV, unsigned char *pucData, unsigned int uiDataLength,
                                unsigned char *pucMac, unsigned int *puiMacLength)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_KEY(k, s, hKeyHandle);
    bool hmac = uiAlgID == SGD_SM3 || uiAlgID == SGD_SM3_HMAC;
    if (!hmac && uiAlgID != SGD_SM4_MAC) {
        (void)FN_FAIL(FN_E_UNSUPPORTED, "MAC algorithm 0x%x", uiAlgID);
        return (uiAlgID & 0xff00) == 0x0400 ? SDR_ALGMODNOTSUPPORT : SDR_ALGNOTSUPPORT;
    }
    if (!puiMacLength) return SDR_OUTARGERR;
    if (!pucData && (uiDataLength || !hmac)) return sdf_bad_argument("no data");
    if (!hmac && (uiDataLength == 0 || uiDataLength % 16))
        return sdf_code(FN_FAIL(FN_E_CIPHER_LENGTH, "%u bytes", uiDataLength));
    if (!pucMac) {
        *puiMacLength = hmac ? 32 : 16;
        return SDR_OK;
    }
    if (hmac && uiDataLength > SDF_PIECE) return mac_long(s, k, pucData, uiDataLength, pucMac, puiMacLength);
    uint8_t iv[16] = {0}, mac[32];
    if (!hmac && pucIV) memcpy(iv, pucIV, sizeof iv);
    unsigned int done = 0;
    do {
        unsigned int piece = uiDataLength - done < SDF_PIECE ? uiDataLength - done : SDF_PIECE;
        int code = mac_piece(s, k, hmac ? SGD_SM3_HMAC : SGD_SM4_MAC, iv, pucData + done, piece, mac,
                             hmac ? 32 : 16);
        if (code != SDR_OK) return code;
        done += piece;
    } while (done < uiDataLength);
    if (!hmac && pucIV) memcpy(pucIV, iv, sizeof iv);
    memcpy(pucMac, mac, hmac ? 32 : 16);
    *puiMacLength = hmac ? 32 : 16;
    return SDR_OK;
}

/* Authenticated encryption */

static int aead_algorithm(unsigned int uiAlgID)
{
    if (uiAlgID == SGD_SM4_GCM || uiAlgID == SGD_SM4_CCM) return SDR_OK;
    (void)FN_FAIL(FN_E_UNSUPPORTED, "authenticated encryption 0x%x", uiAlgID);
    return (uiAlgID & 0xff00) == 0x0400 ? SDR_ALGMODNOTSUPPORT : SDR_ALGNOTSUPPORT;
}

static int aead_inputs(unsigned int algorithm, const void *start, unsigned int start_n, const void *aad,
                       unsigned int aad_n, const void *data, unsigned int n)
{
    int code = aead_algorithm(algorithm);
    if (code != SDR_OK) return code;
    if (!start || start_n == 0 || start_n > 1024) return sdf_bad_argument("start value of 1 to 1024 bytes");
    if ((!aad && aad_n) || (!data && n)) return sdf_bad_argument("no data");
    if ((uint64_t)aad_n + n > FN_DEVICE_FRAME_MOST - 16384)
        return sdf_code(FN_FAIL(FN_E_TOO_LARGE, "%u bytes in one call: use the multi-part calls", n));
    return SDR_OK;
}

SDF_PUBLIC int SDF_AuthEnc(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID,
                           unsigned char *pucStartVar, unsigned int uiStartVarLength, unsigned char *pucAad,
                           unsigned int uiAadLength, unsigned char *pucData, unsigned int uiDataLength,
                           unsigned char *pucEncData, unsigned int *puiEncDataLength,
                           unsigned char *pucAuthData, unsigned int *puiAuthDataLength)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_KEY(k, s, hKeyHandle);
    int code =
        aead_inputs(uiAlgID, pucStartVar, uiStartVarLength, pucAad, uiAadLength, pucData, uiDataLength);
    if (code != SDR_OK) return code;
    if ((!pucEncData && uiDataLength) || !puiEncDataLength || !pucAuthData || !puiAuthDataLength)
        return SDR_OUTARGERR;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_key(&b, k);
    put_u32(&b, uiAlgID);
    put_var(&b, pucStartVar, uiStartVarLength);
    put_var(&b, pucAad, uiAadLength);
    put_var(&b, pucData, uiDataLength);
    code = sdf_call(s, FN_OP_AEAD_ENCRYPT, &b, &a);
    if (code != SDR_OK) return code;
    (void)take_var(&a); /* the start value, as given */
    struct fn_bytes data = take_var(&a), tag = take_var(&a);
    (void)take_u32(&a);
    code = answer_code(&a);
    if (code != SDR_OK || data.n != uiDataLength || tag.n != 16) return code != SDR_OK ? code : SDR_COMMFAIL;
    if (data.n) memcpy(pucEncData, data.p, data.n);
    memcpy(pucAuthData, tag.p, tag.n);
    *puiEncDataLength = (unsigned int)data.n;
    *puiAuthDataLength = (unsigned int)tag.n;
    return SDR_OK;
}

static int auth_dec(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, const unsigned char *start,
                    unsigned int start_n, const unsigned char *aad, unsigned int aad_n,
                    const unsigned char *tag, unsigned int tag_n, const unsigned char *in, unsigned int n,
                    unsigned char *out, unsigned int *out_n)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_KEY(k, s, hKeyHandle);
    int code = aead_inputs(uiAlgID, start, start_n, aad, aad_n, in, n);
    if (code != SDR_OK) return code;
    if (!tag || tag_n == 0 || tag_n > 16) return sdf_bad_argument("tag of at most 16 bytes");
    if ((!out && n) || !out_n) return SDR_OUTARGERR;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_key(&b, k);
    put_u32(&b, uiAlgID);
    put_var(&b, start, start_n);
    put_var(&b, aad, aad_n);
    put_var(&b, tag, tag_n);
    put_var(&b, in, n);
    code = sdf_call(s, FN_OP_AEAD_DECRYPT, &b, &a);
    if (code != SDR_OK) {
        if (out && n) memset(out, 0, n);
        return code;
    }
    struct fn_bytes data = take_var(&a);
    code = answer_code(&a);
    if (code != SDR_OK || data.n != n) return code != SDR_OK ? code : SDR_COMMFAIL;
    if (n) memcpy(out, data.p, n);
    *out_n = n;
    return SDR_OK;
}

/* The printed text of 2023 passes the tag's length by pointer, headers in use by value. A tag's length is
 * below 65 and no address is: the function takes the argument as wide as a pointer and tells the two apart.
 * The upper half of a register or stack slot that carries an unsigned int is undefined, hence the look at the
 * lower half first. */
SDF_PUBLIC int auth_dec_either(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID,
                               unsigned char *pucStartVar, unsigned int uiStartVarLength,
                               unsigned char *pucAad, unsigned int uiAadLength, unsigned char *pucAuthData,
                               uintptr_t authDataLength, unsigned char *pucEncData,
                               unsigned int uiEncDataLength, unsigned char *pucData,
                               unsigned int *puiDataLength) __asm__("SDF_AuthDec");

SDF_PUBLIC int auth_dec_either(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID,
                               unsigned char *pucStartVar, unsigned int uiStartVarLength,
                               unsigned char *pucAad, unsigned int uiAadLength, unsigned char *pucAuthData,
                               uintptr_t authDataLength, unsigned char *pucEncData,
                               unsigned int uiEncDataLength, unsigned char *pucData,
                               unsigned int *puiDataLength)
{
    uint32_t length = (uint32_t)authDataLength;
    if (length > 64 && authDataLength > UINT32_MAX && authDataLength % sizeof(unsigned int) == 0)
        length = *(const unsigned int *)authDataLength;
    return auth_dec(hSessionHandle, hKeyHandle, uiAlgID, pucStartVar, uiStartVarLength, pucAad, uiAadLength,
                    pucAuthData, length, pucEncData, uiEncDataLength, pucData, puiDataLength);
}
