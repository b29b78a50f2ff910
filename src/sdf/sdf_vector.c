/* The extension: vectors of work, submitted and polled. */
#include "fengni/sdf_ext.h"
#include "sdf/sdf_private.h"

#include <stdlib.h>
#include <string.h>

#define ITEMS_MOST 4096u
#define BYTES_MOST (FN_DEVICE_FRAME_MOST - 64)

struct vector {
    struct object object;
    uint16_t operation;
    int kind;
    unsigned int count;
    struct build items;
};

static const struct kind {
    uint16_t operation;
    const char *response; /* fields after an item's status: v var, W u32 */
} kinds[] = {
    [SDFX_SIGN] = {FN_OP_SIGN, "v"},
    [SDFX_VERIFY] = {FN_OP_VERIFY, ""},
    [SDFX_PK_ENCRYPT] = {FN_OP_PK_ENCRYPT, "v"},
    [SDFX_PK_DECRYPT] = {FN_OP_PK_DECRYPT, "v"},
    [SDFX_ENCRYPT] = {FN_OP_ENCRYPT, "vv"},
    [SDFX_DECRYPT] = {FN_OP_DECRYPT, "vv"},
    [SDFX_MAC] = {FN_OP_MAC, "vv"},
    [SDFX_HASH] = {FN_OP_HASH, "v"},
    [SDFX_AEAD_ENCRYPT] = {FN_OP_AEAD_ENCRYPT, "vvvW"},
    [SDFX_AEAD_DECRYPT] = {FN_OP_AEAD_DECRYPT, "v"},
};

void sdf_vector_end(struct object *o)
{
    build_end(&((struct vector *)o)->items);
}

static bool own_connection(const struct sdf_session *s)
{
    return !((const struct sdf_device *)s->object.owner)->client->shared;
}

SDF_PUBLIC int SDFX_NewVector(void *hSessionHandle, int kind, void **phVector)
{
    SDF_SESSION(s, hSessionHandle);
    if (!phVector || kind < SDFX_SIGN || kind > SDFX_AEAD_DECRYPT) return sdf_bad_argument("kind of vector");
    *phVector = NULL;
    if (!own_connection(s))
        return sdf_code(FN_FAIL(FN_E_STATE, "vectors need a device opened with SDFX_OpenDevice"));
    struct vector *v = sdf_object_new(OBJECT_VECTOR, sizeof *v, &s->object);
    if (!v) return SDR_NOBUFFER;
    build_start(&v->items);
    v->kind = kind;
    v->operation = kinds[kind].operation;
    *phVector = v->object.handle;
    return SDR_OK;
}

SDF_PUBLIC int SDFX_FreeVector(void *hVector)
{
    return sdf_object_close(hVector, OBJECT_VECTOR) ? SDR_OK : sdf_bad_handle("vector");
}

static void clear(struct vector *v)
{
    fn_wipe(v->items.items.p, v->items.items.n);
    v->items.items.n = 0;
    v->items.failed = FN_OK;
    v->items.epoch = 0;
    v->count = 0;
}

#define VECTOR(name, handle)                                                                                 \
    SDF_SCOPED struct vector *name = sdf_object_get((handle), OBJECT_VECTOR);                                \
    if (!name) return sdf_bad_handle("vector")

SDF_PUBLIC int SDFX_ClearVector(void *hVector)
{
    VECTOR(v, hVector);
    clear(v);
    return SDR_OK;
}

static int wrong_kind(void)
{
    return sdf_bad_argument("this kind of vector takes other items");
}

/* Room for one more item of about n bytes. */
static int room(const struct vector *v, uint64_t n)
{
    if (v->count >= ITEMS_MOST || v->items.items.n + n + 128 > BYTES_MOST)
        return sdf_code(FN_FAIL(FN_E_DEVICE_VECTOR, "%u items, %zu bytes", v->count, v->items.items.n));
    return SDR_OK;
}

static int added(struct vector *v, size_t before)
{
    if (v->items.failed == FN_OK) {
        v->count++;
        return SDR_OK;
    }
    int code = sdf_code(v->items.failed);
    v->items.items.n = before;
    v->items.failed = FN_OK;
    return code;
}

#define KEY_OF(name, vector, handle)                                                                         \
    SDF_SCOPED struct sdf_key *name = sdf_object_get((handle), OBJECT_KEY);                                  \
    if (!name || name->object.owner != (vector)->object.owner) return sdf_bad_key()

SDF_PUBLIC int SDFX_AddSign(void *hVector, void *hKeyHandle, const unsigned char pucDigest[32])
{
    VECTOR(v, hVector);
    KEY_OF(k, v, hKeyHandle);
    if (v->kind != SDFX_SIGN) return wrong_kind();
    if (!pucDigest) return sdf_bad_argument("no digest");
    int code = room(v, k->ref_size + 32);
    if (code != SDR_OK) return code;
    size_t before = v->items.items.n;
    put_key(&v->items, k);
    put_raw(&v->items, pucDigest, 32);
    return added(v, before);
}

SDF_PUBLIC int SDFX_AddVerify(void *hVector, void *hKeyHandle, const unsigned char pucDigest[32],
                              const unsigned char *pucSignature, unsigned int uiSignatureLength)
{
    VECTOR(v, hVector);
    KEY_OF(k, v, hKeyHandle);
    if (v->kind != SDFX_VERIFY) return wrong_kind();
    if (!pucDigest || !pucSignature || uiSignatureLength > 1024)
        return sdf_bad_argument("no digest or no signature");
    int code = room(v, k->ref_size + 32 + uiSignatureLength);
    if (code != SDR_OK) return code;
    size_t before = v->items.items.n;
    put_key(&v->items, k);
    put_raw(&v->items, pucDigest, 32);
    put_var(&v->items, pucSignature, uiSignatureLength);
    return added(v, before);
}

SDF_PUBLIC int SDFX_AddData(void *hVector, void *hKeyHandle, const unsigned char *pucData,
                            unsigned int uiLength)
{
    VECTOR(v, hVector);
    KEY_OF(k, v, hKeyHandle);
    if (v->kind != SDFX_PK_ENCRYPT && v->kind != SDFX_PK_DECRYPT) return wrong_kind();
    if (!pucData && uiLength) return sdf_bad_argument("no data");
    int code = room(v, k->ref_size + (uint64_t)uiLength);
    if (code != SDR_OK) return code;
    size_t before = v->items.items.n;
    put_key(&v->items, k);
    put_var(&v->items, pucData, uiLength);
    return added(v, before);
}

SDF_PUBLIC int SDFX_AddCipher(void *hVector, void *hKeyHandle, unsigned int uiAlgID,
                              const unsigned char *pucStart, unsigned int uiStartLength,
                              const unsigned char *pucData, unsigned int uiLength)
{
    VECTOR(v, hVector);
    KEY_OF(k, v, hKeyHandle);
    if (v->kind != SDFX_ENCRYPT && v->kind != SDFX_DECRYPT && v->kind != SDFX_MAC) return wrong_kind();
    if ((!pucStart && uiStartLength) || uiStartLength > 16 || (!pucData && uiLength))
        return sdf_bad_argument("start value or data");
    int code = room(v, k->ref_size + (uint64_t)uiLength + uiStartLength);
    if (code != SDR_OK) return code;
    size_t before = v->items.items.n;
    put_key(&v->items, k);
    put_u32(&v->items, v->kind == SDFX_MAC && uiAlgID == SGD_SM3 ? SGD_SM3_HMAC : uiAlgID);
    put_var(&v->items, pucStart, uiStartLength);
    put_var(&v->items, pucData, uiLength);
    return added(v, before);
}

SDF_PUBLIC int SDFX_AddHash(void *hVector, unsigned int uiAlgID, const unsigned char *pucData,
                            unsigned int uiLength)
{
    VECTOR(v, hVector);
    if (v->kind != SDFX_HASH) return wrong_kind();
    if (!pucData && uiLength) return sdf_bad_argument("no data");
    int code = room(v, uiLength);
    if (code != SDR_OK) return code;
    size_t before = v->items.items.n;
    put_u32(&v->items, uiAlgID);
    put_var(&v->items, pucData, uiLength);
    return added(v, before);
}

SDF_PUBLIC int SDFX_AddAead(void *hVector, void *hKeyHandle, unsigned int uiAlgID,
                            const unsigned char *pucNonce, unsigned int uiNonceLength,
                            const unsigned char *pucAad, unsigned int uiAadLength,
                            const unsigned char *pucTag, unsigned int uiTagLength,
                            const unsigned char *pucData, unsigned int uiLength)
{
    VECTOR(v, hVector);
    KEY_OF(k, v, hKeyHandle);
    bool decrypt = v->kind == SDFX_AEAD_DECRYPT;
    if (!decrypt && v->kind != SDFX_AEAD_ENCRYPT) return wrong_kind();
    if ((!pucNonce && uiNonceLength) || (!pucAad && uiAadLength) || (!pucData && uiLength) ||
        (decrypt && !pucTag) || uiTagLength > 16 || uiNonceLength > 1024)
        return sdf_bad_argument("nonce, tag or data");
    int code = room(v, k->ref_size + (uint64_t)uiNonceLength + uiAadLength + uiTagLength + uiLength);
    if (code != SDR_OK) return code;
    size_t before = v->items.items.n;
    put_key(&v->items, k);
    put_u32(&v->items, uiAlgID);
    put_var(&v->items, pucNonce, uiNonceLength);
    put_var(&v->items, pucAad, uiAadLength);
    if (decrypt) put_var(&v->items, pucTag, uiTagLength);
    put_var(&v->items, pucData, uiLength);
    return added(v, before);
}

SDF_PUBLIC int SDFX_Submit(void *hVector, uint64_t token)
{
    VECTOR(v, hVector);
    const struct sdf_session *s = (const struct sdf_session *)v->object.owner;
    if (v->count == 0) return sdf_bad_argument("the vector is empty");
    fn_err failed = fn_client_submit_in(s->client, v->items.epoch, s->number, v->operation,
                                        (uint16_t)v->count, fn_buf_view(&v->items.items), token);
    return sdf_code(failed);
}

SDF_PUBLIC int SDFX_Descriptor(void *hDeviceHandle)
{
    SDF_SCOPED struct sdf_device *d = sdf_object_get(hDeviceHandle, OBJECT_DEVICE);
    return d && !d->client->shared ? fn_client_descriptor(d->client->client) : -1;
}

/* Results */

struct item {
    int code;
    struct fn_bytes fields[4];
};

struct SDFX_Result_st {
    struct fn_client_response response;
    int status;
    unsigned int count;
    struct item items[];
};

static fn_err read_item(struct fn_cur *cur, const char *layout, struct item *item)
{
    uint32_t status;
    FN_TRY(fn_cur_u32(cur, &status));
    item->code = sdf_code(status > INT32_MAX ? FN_E_INTERNAL : (fn_err)status);
    if (status != FN_OK) return FN_OK;
    for (size_t i = 0; layout[i]; i++) {
        if (layout[i] == 'v')
            FN_TRY(fn_cur_var(cur, 2 * FN_DEVICE_FRAME_MOST, &item->fields[i]));
        else
            FN_TRY(fn_cur_take(cur, 4, &item->fields[i]));
    }
    return FN_OK;
}

static const char *layout_of(uint16_t operation)
{
    for (size_t i = SDFX_SIGN; i < FN_COUNT(kinds); i++)
        if (kinds[i].operation == operation) return kinds[i].response;
    return "";
}

static void read_items(SDFX_Result *r)
{
    struct fn_cur cur = fn_cur(r->response.items);
    fn_err failed = FN_OK;
    for (unsigned int i = 0; i < r->count && failed == FN_OK; i++)
        failed = read_item(&cur, layout_of(r->response.operation), &r->items[i]);
    if (failed == FN_OK) failed = fn_cur_end(&cur);
    if (failed != FN_OK) {
        r->status = SDR_COMMFAIL;
        r->count = 0;
    }
}

SDF_PUBLIC int SDFX_Poll(void *hDeviceHandle, unsigned int timeout_ms, SDFX_Result **ppResult)
{
    if (!ppResult) return SDR_OUTARGERR;
    *ppResult = NULL;
    SDF_SCOPED struct sdf_device *d = sdf_object_get(hDeviceHandle, OBJECT_DEVICE);
    if (!d || d->client->shared) return sdf_bad_handle("device");
    struct fn_client_response response;
    if (fn_client_poll(d->client->client, timeout_ms, &response) != FN_OK) return SDR_COMMFAIL;
    SDFX_Result *r = calloc(1, sizeof *r + response.count * sizeof r->items[0]);
    if (!r) {
        fn_client_response_free(&response);
        return SDR_NOBUFFER;
    }
    r->response = response;
    r->status = sdf_code(response.status);
    r->count = response.status == FN_OK ? response.count : 0;
    if (response.status == FN_OK) read_items(r);
    *ppResult = r;
    return SDR_OK;
}

SDF_PUBLIC uint64_t SDFX_ResultToken(const SDFX_Result *result)
{
    return result ? result->response.token : 0;
}
SDF_PUBLIC int SDFX_ResultStatus(const SDFX_Result *result)
{
    return result ? result->status : SDR_INARGERR;
}
SDF_PUBLIC unsigned int SDFX_ResultCount(const SDFX_Result *result)
{
    return result ? result->count : 0;
}

SDF_PUBLIC unsigned int SDFX_ResultRetry(const SDFX_Result *result)
{
    return result && result->response.status == FN_E_DEVICE_BUSY
               ? (result->response.retry_ms ? result->response.retry_ms : 1)
               : 0;
}

SDF_PUBLIC int SDFX_ResultItem(const SDFX_Result *result, unsigned int item)
{
    return result && item < result->count ? result->items[item].code : SDR_INARGERR;
}

SDF_PUBLIC const unsigned char *SDFX_ResultData(const SDFX_Result *result, unsigned int item,
                                                unsigned int field, unsigned int *puiLength)
{
    static const unsigned char nothing[1];
    if (puiLength) *puiLength = 0;
    if (!result || item >= result->count || result->items[item].code != SDR_OK) return NULL;
    if (field >= strlen(layout_of(result->response.operation))) return NULL;
    struct fn_bytes v = result->items[item].fields[field];
    if (puiLength) *puiLength = (unsigned int)v.n;
    return v.p ? v.p : nothing;
}

SDF_PUBLIC void SDFX_FreeResult(SDFX_Result *result)
{
    if (!result) return;
    fn_client_response_free(&result->response);
    free(result);
}
