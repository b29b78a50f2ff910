/* The extension: stored keys by uuid, sealed keys, anchors, status. */
#include "fengni/sdf_ext.h"
#include "sdf/sdf_private.h"

#include <string.h>

SDF_PUBLIC unsigned int SDFX_LastError(char *pcText, unsigned int uiSize, int english)
{
    const struct fn_err_cause *causes;
    size_t n = fn_err_chain(&causes);
    enum fn_lang lang = english ? FN_LANG_EN : FN_LANG_ZH;
    if (n == 0) return (unsigned int)fn_format(pcText, uiSize, "%s", "");
    const struct fn_err_text *text = fn_err_text(causes[n - 1].code);
    const char *detail = causes[0].detail;
    return (unsigned int)fn_format(pcText, uiSize, "FN-%d %s%s%s%s%s", causes[n - 1].code, text->text[lang],
                                   *detail ? ": " : "", detail, *text->hint[lang] ? "; " : "",
                                   text->hint[lang]);
}

/* Bytes into the caller's room; the length is in and out. */
static int give(struct fn_bytes v, void *out, unsigned int *length)
{
    if (!length) return out ? SDR_OUTARGERR : SDR_OK;
    unsigned int room = out ? *length : 0;
    *length = (unsigned int)v.n;
    if (!out) return SDR_OK;
    if (v.n > room) return SDR_NOBUFFER;
    if (v.n) memcpy(out, v.p, v.n);
    return SDR_OK;
}

/* Text gets a NUL after it, not counted, when there is room. */
static int give_text(struct fn_bytes v, char *out, unsigned int *length)
{
    unsigned int room = length ? *length : 0;
    int code = give(v, out, length);
    if (code == SDR_OK && out && v.n < room) out[v.n] = 0;
    return code;
}

static int json(void *hSessionHandle, uint16_t operation, char *out, unsigned int *length)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_BUILD(b);
    SDF_ANSWER(a);
    int code = sdf_call(s, operation, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes v = take_var(&a);
    code = answer_code(&a);
    return code == SDR_OK ? give_text(v, out, length) : code;
}

SDF_PUBLIC int SDFX_Status(void *hSessionHandle, char *pcJson, unsigned int *puiLength)
{
    return json(hSessionHandle, FN_OP_STATUS, pcJson, puiLength);
}

SDF_PUBLIC int SDFX_Capabilities(void *hSessionHandle, char *pcJson, unsigned int *puiLength)
{
    return json(hSessionHandle, FN_OP_CAPABILITIES, pcJson, puiLength);
}

SDF_PUBLIC int SDFX_NewKey(void *hSessionHandle, unsigned int uiClass, unsigned int uiAlgorithm,
                           unsigned int uiUsage, const char *pcLabel, const char *pcApplications,
                           SDFX_Uuid *pstUuid, unsigned char *pucPublicKey, unsigned int *puiPublicLength)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pstUuid) return SDR_OUTARGERR;
    if (uiClass > 0xffff || uiAlgorithm > 0xffff) return sdf_bad_argument("class or algorithm");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_u16(&b, (uint16_t)uiClass);
    put_u16(&b, (uint16_t)uiAlgorithm);
    put_u32(&b, uiUsage);
    put_var(&b, pcLabel, pcLabel ? strlen(pcLabel) : 0);
    put_var(&b, pcApplications, pcApplications ? strlen(pcApplications) : 0);
    int code = sdf_call(s, FN_OP_KEY_NEW, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes uuid = {0};
    a.failed = fn_cur_take(&a.cur, 16, &uuid);
    (void)take_u32(&a);
    struct fn_bytes pub = take_var(&a);
    code = answer_code(&a);
    if (code != SDR_OK) return code;
    memcpy(pstUuid->b, uuid.p, 16);
    return give(pub, pucPublicKey, puiPublicLength);
}

SDF_PUBLIC int SDFX_RotateKey(void *hSessionHandle, const SDFX_Uuid *pstUuid, unsigned int *puiVersion)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pstUuid) return sdf_bad_argument("no uuid");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_raw(&b, pstUuid->b, 16);
    int code = sdf_call(s, FN_OP_KEY_ROTATE, &b, &a);
    if (code != SDR_OK) return code;
    uint32_t version = take_u32(&a);
    (void)take_var(&a);
    code = answer_code(&a);
    if (code == SDR_OK && puiVersion) *puiVersion = version;
    return code;
}

static int take_signature(struct answer *a, ECCSignature *out)
{
    uint8_t signature[64];
    take_exact(a, signature, sizeof signature);
    int code = answer_code(a);
    if (code == SDR_OK && out) sdf_signature_out(signature, out);
    return code;
}

SDF_PUBLIC int SDFX_DestroyKey(void *hSessionHandle, const SDFX_Uuid *pstUuid, unsigned int uiVersion,
                               char *pcStatement, unsigned int *puiStatementLength,
                               ECCSignature *pstSignature)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pstUuid) return sdf_bad_argument("no uuid");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_raw(&b, pstUuid->b, 16);
    put_u32(&b, uiVersion);
    int code = sdf_call(s, FN_OP_KEY_DESTROY, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes statement = take_var(&a);
    code = take_signature(&a, pstSignature);
    return code == SDR_OK ? give_text(statement, pcStatement, puiStatementLength) : code;
}

SDF_PUBLIC int SDFX_FindKey(void *hSessionHandle, const char *pcLabel, SDFX_Uuid *pstUuid,
                            unsigned int *puiVersion)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pcLabel || !pstUuid) return sdf_bad_argument("no label or no place for the uuid");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_var(&b, pcLabel, strlen(pcLabel));
    int code = sdf_call(s, FN_OP_KEY_FIND, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes uuid = {0};
    a.failed = fn_cur_take(&a.cur, 16, &uuid);
    uint32_t version = take_u32(&a);
    code = answer_code(&a);
    if (code != SDR_OK) return code;
    memcpy(pstUuid->b, uuid.p, 16);
    if (puiVersion) *puiVersion = version;
    return SDR_OK;
}

SDF_PUBLIC int SDFX_KeyInfo(void *hSessionHandle, void *hKeyHandle, char *pcJson, unsigned int *puiLength)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_KEY(k, s, hKeyHandle);
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_key(&b, k);
    int code = sdf_call(s, FN_OP_KEY_INFO, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes v = take_var(&a);
    code = answer_code(&a);
    return code == SDR_OK ? give_text(v, pcJson, puiLength) : code;
}

SDF_PUBLIC int SDFX_KeyPublic(void *hSessionHandle, void *hKeyHandle, unsigned int *puiAlgorithm,
                              unsigned char *pucPublicKey, unsigned int *puiLength)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_KEY(k, s, hKeyHandle);
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_key(&b, k);
    int code = sdf_call(s, FN_OP_KEY_PUBLIC, &b, &a);
    if (code != SDR_OK) return code;
    uint16_t algorithm = 0;
    a.failed = fn_cur_u16(&a.cur, &algorithm);
    struct fn_bytes v = take_var(&a);
    code = answer_code(&a);
    if (code != SDR_OK) return code;
    if (puiAlgorithm) *puiAlgorithm = algorithm;
    return give(v, pucPublicKey, puiLength);
}

/* Handles */

static int reference(void *hSessionHandle, const void *ref, size_t n, void **phKeyHandle)
{
    SDF_SESSION(s, hSessionHandle);
    if (!phKeyHandle) return sdf_bad_argument("no place for the key handle");
    *phKeyHandle = NULL;
    return sdf_new_reference(s, ref, n, phKeyHandle);
}

SDF_PUBLIC int SDFX_KeyHandle(void *hSessionHandle, const SDFX_Uuid *pstUuid, unsigned int uiVersion,
                              void **phKeyHandle)
{
    uint8_t ref[21] = {FN_KEY_UUID};
    if (!pstUuid) return sdf_bad_argument("no uuid");
    memcpy(ref + 1, pstUuid->b, 16);
    fn_put_be32(ref + 17, uiVersion);
    return reference(hSessionHandle, ref, sizeof ref, phKeyHandle);
}

SDF_PUBLIC int SDFX_IndexHandle(void *hSessionHandle, unsigned int uiKeyIndex, int encryption,
                                void **phKeyHandle)
{
    uint8_t ref[6] = {FN_KEY_INDEX};
    fn_put_be32(ref + 1, uiKeyIndex);
    ref[5] = encryption ? FN_HALF_ENCRYPT : FN_HALF_SIGN;
    return reference(hSessionHandle, ref, sizeof ref, phKeyHandle);
}

static int long_reference(void *hSessionHandle, const uint8_t *head, size_t head_n, const unsigned char *p,
                          unsigned int n, void **phKeyHandle)
{
    uint8_t ref[SDF_REF_MOST];
    if (!p || n == 0 || head_n + n > sizeof ref) return sdf_bad_argument("key of 1 to 8 KiB");
    memcpy(ref, head, head_n);
    memcpy(ref + head_n, p, n);
    return reference(hSessionHandle, ref, head_n + n, phKeyHandle);
}

SDF_PUBLIC int SDFX_PublicHandle(void *hSessionHandle, unsigned int uiAlgorithm,
                                 const unsigned char *pucPublicKey, unsigned int uiLength, void **phKeyHandle)
{
    uint8_t head[5] = {FN_KEY_EXTERNAL};
    fn_put_be32(head + 1, uiAlgorithm);
    return long_reference(hSessionHandle, head, sizeof head, pucPublicKey, uiLength, phKeyHandle);
}

SDF_PUBLIC int SDFX_SealedHandle(void *hSessionHandle, const unsigned char *pucBlob,
                                 unsigned int uiBlobLength, void **phKeyHandle)
{
    uint8_t head[1] = {FN_KEY_SEALED};
    return long_reference(hSessionHandle, head, sizeof head, pucBlob, uiBlobLength, phKeyHandle);
}

SDF_PUBLIC int SDFX_SealKey(void *hSessionHandle, unsigned int uiClass, unsigned int uiAlgorithm,
                            unsigned int uiUsage, void *hKekHandle, unsigned char *pucBlob,
                            unsigned int *puiBlobLength, unsigned char *pucPublicKey,
                            unsigned int *puiPublicLength)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_KEY(kek, s, hKekHandle);
    if (!pucBlob || !puiBlobLength) return SDR_OUTARGERR;
    if (uiClass > 0xffff || uiAlgorithm > 0xffff) return sdf_bad_argument("class or algorithm");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_u16(&b, (uint16_t)uiClass);
    put_u16(&b, (uint16_t)uiAlgorithm);
    put_u32(&b, uiUsage);
    put_key(&b, kek);
    int code = sdf_call(s, FN_OP_KEY_SEAL_NEW, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes blob = take_var(&a), pub = take_var(&a);
    code = answer_code(&a);
    if (code == SDR_OK) code = give(blob, pucBlob, puiBlobLength);
    return code == SDR_OK ? give(pub, pucPublicKey, puiPublicLength) : code;
}

/* Anchors */

SDF_PUBLIC int SDFX_SetAnchor(void *hSessionHandle, const unsigned char *pucName, unsigned int uiNameLength,
                              uint64_t expected, uint64_t counter, const unsigned char pucDigest[32],
                              ECCSignature *pstReceipt)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pucName || uiNameLength == 0 || !pucDigest) return sdf_bad_argument("no name or no digest");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_var(&b, pucName, uiNameLength);
    put_u64(&b, expected);
    put_u64(&b, counter);
    put_raw(&b, pucDigest, 32);
    int code = sdf_call(s, FN_OP_ANCHOR_SET, &b, &a);
    return code == SDR_OK ? take_signature(&a, pstReceipt) : code;
}

SDF_PUBLIC int SDFX_GetAnchor(void *hSessionHandle, const unsigned char *pucName, unsigned int uiNameLength,
                              const unsigned char pucChallenge[32], char *pcOwner,
                              unsigned int *puiOwnerLength, uint64_t *counter, unsigned char pucDigest[32],
                              ECCSignature *pstSignature)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pucName || uiNameLength == 0 || !pucChallenge) return sdf_bad_argument("no name or no challenge");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_var(&b, pucName, uiNameLength);
    put_raw(&b, pucChallenge, 32);
    int code = sdf_call(s, FN_OP_ANCHOR_GET, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes owner = take_var(&a), digest = {0};
    uint64_t number = take_u64(&a);
    if (a.failed == FN_OK) a.failed = fn_cur_take(&a.cur, 32, &digest);
    code = take_signature(&a, pstSignature);
    if (code != SDR_OK) return code;
    if (counter) *counter = number;
    if (pucDigest) memcpy(pucDigest, digest.p, 32);
    return give_text(owner, pcOwner, puiOwnerLength);
}
