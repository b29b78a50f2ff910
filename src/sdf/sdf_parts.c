/* GM/T 0018-2023 6.5: multi-part calculations. The state is in the device; here stands which ones are under
 * way, and on which connection. */
#include "sdf/sdf_private.h"

#include <string.h>

static int step_error(const char *what)
{
    return sdf_code(FN_FAIL(FN_E_DEVICE_STEP, "%s", what));
}

static void end_part(struct sdf_session *s, enum fn_multipart kind)
{
    struct part *p = &s->parts[kind];
    if (p->clear_key) sdf_destroy_handle(s, p->epoch, p->clear_key);
    *p = (struct part){0};
}

static int start_locked(struct sdf_session *s, const struct part_start *p)
{
    if (s->parts[p->kind].active) return step_error("a calculation of this kind is under way");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_u8(&b, (uint8_t)p->kind);
    put_key(&b, p->key);
    put_u32(&b, p->algorithm);
    put_var(&b, p->start.p, p->start.n);
    put_var(&b, p->aad.p, p->aad.n);
    put_u64(&b, p->total);
    put_var(&b, p->tag.p, p->tag.n);
    int code = sdf_call(s, FN_OP_PART_START, &b, &a);
    if (code == SDR_OK) code = answer_code(&a);
    if (code == SDR_OK)
        s->parts[p->kind] =
            (struct part){.active = true, .epoch = a.response.epoch, .clear_key = p->clear_key};
    return code;
}

int sdf_part_start(struct sdf_session *s, const struct part_start *p)
{
    pthread_mutex_lock(&s->lock);
    int code = start_locked(s, p);
    pthread_mutex_unlock(&s->lock);
    return code;
}

static int update_piece(struct sdf_session *s, enum fn_multipart kind, const unsigned char *in,
                        unsigned int n, unsigned char *out, unsigned int *out_n)
{
    SDF_BUILD(b);
    SDF_ANSWER(a);
    b.epoch = s->parts[kind].epoch;
    put_u8(&b, (uint8_t)kind);
    put_var(&b, in, n);
    int code = sdf_call(s, FN_OP_PART_UPDATE, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes data = take_var(&a);
    code = answer_code(&a);
    if (code != SDR_OK) return code;
    if (data.n > n + 15 || (!out && data.n)) return SDR_COMMFAIL;
    if (data.n) memcpy(out, data.p, data.n);
    *out_n = (unsigned int)data.n;
    return SDR_OK;
}

static int update_locked(struct sdf_session *s, enum fn_multipart kind, const unsigned char *in,
                         unsigned int n, unsigned char *out, unsigned int *out_n)
{
    if (!s->parts[kind].active) return step_error("not begun with Init");
    unsigned int written = 0;
    for (unsigned int done = 0; done < n;) {
        unsigned int piece = n - done < SDF_PIECE ? n - done : SDF_PIECE, got = 0;
        int code = update_piece(s, kind, in + done, piece, out ? out + written : NULL, &got);
        if (code != SDR_OK) return code;
        done += piece;
        written += got;
    }
    if (out_n) *out_n = written;
    return SDR_OK;
}

int sdf_part_update(struct sdf_session *s, enum fn_multipart kind, const unsigned char *in, unsigned int n,
                    unsigned char *out, unsigned int *out_n)
{
    if (!in && n) return sdf_bad_argument("no data");
    pthread_mutex_lock(&s->lock);
    int code = update_locked(s, kind, in, n, out, out_n);
    pthread_mutex_unlock(&s->lock);
    return code;
}

static int finish_locked(struct sdf_session *s, enum fn_multipart kind, unsigned char *last,
                         unsigned int *last_n, unsigned char *tag, unsigned int *tag_n)
{
    if (!s->parts[kind].active) return step_error("not begun with Init");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    b.epoch = s->parts[kind].epoch;
    put_u8(&b, (uint8_t)kind);
    int code = sdf_call(s, FN_OP_PART_FINISH, &b, &a);
    if (code != SDR_OK) return code;
    struct fn_bytes data = take_var(&a), mac = take_var(&a);
    code = answer_code(&a);
    if (code != SDR_OK) return code;
    if (data.n > 16 || mac.n > (kind == FN_PART_HMAC ? 32 : 16) || (data.n && !last) || (mac.n && !tag))
        return SDR_COMMFAIL;
    if (data.n) memcpy(last, data.p, data.n);
    if (last_n) *last_n = (unsigned int)data.n;
    if (mac.n) memcpy(tag, mac.p, mac.n);
    if (tag_n) *tag_n = (unsigned int)mac.n;
    return SDR_OK;
}

int sdf_part_finish(struct sdf_session *s, enum fn_multipart kind, unsigned char *last, unsigned int *last_n,
                    unsigned char *tag, unsigned int *tag_n)
{
    pthread_mutex_lock(&s->lock);
    int code = finish_locked(s, kind, last, last_n, tag, tag_n);
    end_part(s, kind);
    pthread_mutex_unlock(&s->lock);
    return code;
}

static int start_cipher(void *hSessionHandle, void *hKeyHandle, enum fn_multipart kind, unsigned int uiAlgID,
                        const unsigned char *pucIV, unsigned int uiIVLength)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_KEY(k, s, hKeyHandle);
    bool mac = kind == FN_PART_MAC;
    int code = mac ? (uiAlgID == SGD_SM4_MAC ? SDR_OK : SDR_ALGMODNOTSUPPORT) : sdf_cipher_algorithm(uiAlgID);
    if (code != SDR_OK) return code;
    struct fn_bytes start = fn_bytes(pucIV, uiIVLength);
    static const uint8_t zero[16];
    if (uiAlgID == SGD_SM4_ECB)
        start = fn_bytes(NULL, 0);
    else if (mac && !pucIV)
        start = fn_bytes(zero, sizeof zero);
    else if (!pucIV || uiIVLength != 16)
        return sdf_bad_argument("start value of 16 bytes");
    return sdf_part_start(s,
                          &(struct part_start){.kind = kind, .key = k, .algorithm = uiAlgID, .start = start});
}

SDF_PUBLIC int SDF_EncryptInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID,
                               unsigned char *pucIV, unsigned int uiIVLength)
{
    return start_cipher(hSessionHandle, hKeyHandle, FN_PART_ENCRYPT, uiAlgID, pucIV, uiIVLength);
}

SDF_PUBLIC int SDF_DecryptInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID,
                               unsigned char *pucIV, unsigned int uiIVLength)
{
    return start_cipher(hSessionHandle, hKeyHandle, FN_PART_DECRYPT, uiAlgID, pucIV, uiIVLength);
}

SDF_PUBLIC int SDF_CalculateMACInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID,
                                    unsigned char *pucIV, unsigned int uiIVLength)
{
    if (uiAlgID == SGD_SM3 || uiAlgID == SGD_SM3_HMAC) {
        SDF_SESSION(s, hSessionHandle);
        SDF_KEY(k, s, hKeyHandle);
        return sdf_part_start(s,
                              &(struct part_start){.kind = FN_PART_MAC, .key = k, .algorithm = SGD_SM3_HMAC});
    }
    return start_cipher(hSessionHandle, hKeyHandle, FN_PART_MAC, uiAlgID, pucIV, uiIVLength);
}

static int update(void *hSessionHandle, enum fn_multipart kind, unsigned char *in, unsigned int n,
                  unsigned char *out, unsigned int *out_n)
{
    SDF_SESSION(s, hSessionHandle);
    if (!out || !out_n) return SDR_OUTARGERR;
    return sdf_part_update(s, kind, in, n, out, out_n);
}

static int finish(void *hSessionHandle, enum fn_multipart kind, unsigned char *last, unsigned int *last_n,
                  unsigned char *tag, unsigned int *tag_n)
{
    SDF_SESSION(s, hSessionHandle);
    return sdf_part_finish(s, kind, last, last_n, tag, tag_n);
}

SDF_PUBLIC int SDF_EncryptUpdate(void *hSessionHandle, unsigned char *pucData, unsigned int uiDataLength,
                                 unsigned char *pucEncData, unsigned int *puiEncDataLength)
{
    return update(hSessionHandle, FN_PART_ENCRYPT, pucData, uiDataLength, pucEncData, puiEncDataLength);
}

SDF_PUBLIC int SDF_EncryptFinal(void *hSessionHandle, unsigned char *pucLastEncData,
                                unsigned int *puiLastEncDataLength)
{
    return finish(hSessionHandle, FN_PART_ENCRYPT, pucLastEncData, puiLastEncDataLength, NULL, NULL);
}

SDF_PUBLIC int SDF_DecryptUpdate(void *hSessionHandle, unsigned char *pucEncData,
                                 unsigned int uiEncDataLength, unsigned char *pucData,
                                 unsigned int *puiDataLength)
{
    return update(hSessionHandle, FN_PART_DECRYPT, pucEncData, uiEncDataLength, pucData, puiDataLength);
}

SDF_PUBLIC int SDF_DecryptFinal(void *hSessionHandle, unsigned char *pucLastData,
                                unsigned int *puiLastDataLength)
{
    return finish(hSessionHandle, FN_PART_DECRYPT, pucLastData, puiLastDataLength, NULL, NULL);
}

SDF_PUBLIC int SDF_CalculateMACUpdate(void *hSessionHandle, unsigned char *pucData, unsigned int uiDataLength)
{
    SDF_SESSION(s, hSessionHandle);
    return sdf_part_update(s, FN_PART_MAC, pucData, uiDataLength, NULL, NULL);
}

SDF_PUBLIC int SDF_CalculateMACFinal(void *hSessionHandle, unsigned char *pucMac, unsigned int *puiMacLength)
{
    if (!pucMac || !puiMacLength) return SDR_OUTARGERR;
    return finish(hSessionHandle, FN_PART_MAC, NULL, NULL, pucMac, puiMacLength);
}

static int start_aead(void *hSessionHandle, void *hKeyHandle, const struct part_start *p)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_KEY(k, s, hKeyHandle);
    if (p->algorithm != SGD_SM4_GCM && p->algorithm != SGD_SM4_CCM)
        return (p->algorithm & 0xff00) == 0x0400 ? SDR_ALGMODNOTSUPPORT : SDR_ALGNOTSUPPORT;
    if (!p->start.p || p->start.n == 0 || p->start.n > 1024)
        return sdf_bad_argument("start value of 1 to 1024 bytes");
    if (!p->aad.p && p->aad.n) return sdf_bad_argument("no associated data");
    struct part_start with_key = *p;
    with_key.key = k;
    return sdf_part_start(s, &with_key);
}

SDF_PUBLIC int SDF_AuthEncInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID,
                               unsigned char *pucStartVar, unsigned int uiStartVarLength,
                               unsigned char *pucAad, unsigned int uiAadLength, unsigned int uiDataLength)
{
    return start_aead(hSessionHandle, hKeyHandle,
                      &(struct part_start){.kind = FN_PART_AEAD_ENCRYPT,
                                           .algorithm = uiAlgID,
                                           .start = {pucStartVar, uiStartVarLength},
                                           .aad = {pucAad, uiAadLength},
                                           .total = uiDataLength});
}

SDF_PUBLIC int SDF_AuthEncUpdate(void *hSessionHandle, unsigned char *pucData, unsigned int uiDataLength,
                                 unsigned char *pucEncData, unsigned int *puiEncDataLength)
{
    return update(hSessionHandle, FN_PART_AEAD_ENCRYPT, pucData, uiDataLength, pucEncData, puiEncDataLength);
}

SDF_PUBLIC int SDF_AuthEncFinal(void *hSessionHandle, unsigned char *pucLastEncData,
                                unsigned int *puiLastEncDataLength, unsigned char *pucAuthData,
                                unsigned int *puiAuthDataLength)
{
    if (!pucAuthData || !puiAuthDataLength) return SDR_OUTARGERR;
    return finish(hSessionHandle, FN_PART_AEAD_ENCRYPT, pucLastEncData, puiLastEncDataLength, pucAuthData,
                  puiAuthDataLength);
}

SDF_PUBLIC int SDF_AuthDecInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID,
                               unsigned char *pucStartVar, unsigned int uiStartVarLength,
                               unsigned char *pucAad, unsigned int uiAadLength, unsigned char *pucAuthData,
                               unsigned int uiAuthDataLength, unsigned int uiDataLength)
{
    if (!pucAuthData || uiAuthDataLength == 0 || uiAuthDataLength > 16)
        return sdf_bad_argument("tag of at most 16 bytes");
    return start_aead(hSessionHandle, hKeyHandle,
                      &(struct part_start){.kind = FN_PART_AEAD_DECRYPT,
                                           .algorithm = uiAlgID,
                                           .start = {pucStartVar, uiStartVarLength},
                                           .aad = {pucAad, uiAadLength},
                                           .tag = {pucAuthData, uiAuthDataLength},
                                           .total = uiDataLength});
}

SDF_PUBLIC int SDF_AuthDecUpdate(void *hSessionHandle, unsigned char *pucEncData,
                                 unsigned int uiEncDataLength, unsigned char *pucData,
                                 unsigned int *puiDataLength)
{
    return update(hSessionHandle, FN_PART_AEAD_DECRYPT, pucEncData, uiEncDataLength, pucData, puiDataLength);
}

SDF_PUBLIC int SDF_AuthDecFinal(void *hSessionHandle, unsigned char *pucLastData,
                                unsigned int *puiLastDataLength)
{
    return finish(hSessionHandle, FN_PART_AEAD_DECRYPT, pucLastData, puiLastDataLength, NULL, NULL);
}
