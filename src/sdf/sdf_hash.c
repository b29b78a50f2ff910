/* GM/T 0018 6.6: hashes run here, on public data; HMAC runs in the device, where the key is. */
#include "sdf/sdf_private.h"

#include <string.h>

#define ID_MOST 8191u /* its length in bits has 16 bits (GB/T 32918.2 5.5) */

static int absorb_z(struct fn_sm3 *hash, const ECCrefPublicKey *key, const unsigned char *id,
                    unsigned int id_size)
{
    struct fn_sm2_public pub;
    uint8_t point[64], z[32];
    if (!id || id_size > ID_MOST) return sdf_bad_argument("identifier of 1 to 8191 bytes");
    int code = sdf_public_in(key, point);
    if (code != SDR_OK) return code;
    memcpy(pub.x, point, 32);
    memcpy(pub.y, point + 32, 32);
    fn_err failed = fn_sm2_public_check(&pub);
    if (failed == FN_OK) failed = fn_sm2_z(z, &pub, fn_bytes(id, id_size));
    if (failed != FN_OK) return sdf_code(failed);
    fn_sm3_update(hash, z, sizeof z);
    return SDR_OK;
}

SDF_PUBLIC int SDF_HashInit(void *hSessionHandle, unsigned int uiAlgID, ECCrefPublicKey *pucPublicKey,
                            unsigned char *pucID, unsigned int uiIDLength)
{
    SDF_SESSION(s, hSessionHandle);
    if (uiAlgID != SGD_SM3) {
        (void)FN_FAIL(FN_E_UNSUPPORTED, "hash algorithm 0x%x", uiAlgID);
        return SDR_ALGNOTSUPPORT;
    }
    pthread_mutex_lock(&s->lock);
    int code = s->hashing ? sdf_code(FN_FAIL(FN_E_DEVICE_STEP, "a hash is under way")) : SDR_OK;
    if (code == SDR_OK) {
        struct fn_sm3 hash;
        fn_sm3_init(&hash);
        if (uiIDLength) code = absorb_z(&hash, pucPublicKey, pucID, uiIDLength);
        if (code == SDR_OK) {
            s->hash = hash;
            s->hashing = true;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return code;
}

static int not_started(void)
{
    return sdf_code(FN_FAIL(FN_E_DEVICE_STEP, "not begun with Init"));
}

SDF_PUBLIC int SDF_HashUpdate(void *hSessionHandle, unsigned char *pucData, unsigned int uiDataLength)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pucData && uiDataLength) return sdf_bad_argument("no data");
    pthread_mutex_lock(&s->lock);
    bool hashing = s->hashing;
    if (hashing && uiDataLength) fn_sm3_update(&s->hash, pucData, uiDataLength);
    pthread_mutex_unlock(&s->lock);
    return hashing ? SDR_OK : not_started();
}

SDF_PUBLIC int SDF_HashFinal(void *hSessionHandle, unsigned char *pucHash, unsigned int *puiHashLength)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pucHash || !puiHashLength) return SDR_OUTARGERR;
    pthread_mutex_lock(&s->lock);
    bool hashing = s->hashing;
    if (hashing) {
        fn_sm3_final(&s->hash, pucHash);
        *puiHashLength = FN_SM3_SIZE;
        s->hashing = false;
    }
    pthread_mutex_unlock(&s->lock);
    return hashing ? SDR_OK : not_started();
}

SDF_PUBLIC int SDF_HMACInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_KEY(k, s, hKeyHandle);
    if (uiAlgID != SGD_SM3 && uiAlgID != SGD_SM3_HMAC) {
        (void)FN_FAIL(FN_E_UNSUPPORTED, "HMAC algorithm 0x%x", uiAlgID);
        return SDR_ALGNOTSUPPORT;
    }
    return sdf_part_start(s, &(struct part_start){.kind = FN_PART_HMAC, .key = k, .algorithm = SGD_SM3_HMAC});
}

SDF_PUBLIC int SDF_HMACUpdate(void *hSessionHandle, unsigned char *pucData, unsigned int uiDataLength)
{
    SDF_SESSION(s, hSessionHandle);
    return sdf_part_update(s, FN_PART_HMAC, pucData, uiDataLength, NULL, NULL);
}

SDF_PUBLIC int SDF_HMACFinal(void *hSessionHandle, unsigned char *pucHMac, unsigned int *puiHMacLength)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pucHMac || !puiHMacLength) return SDR_OUTARGERR;
    return sdf_part_finish(s, FN_PART_HMAC, NULL, NULL, pucHMac, puiHMacLength);
}
