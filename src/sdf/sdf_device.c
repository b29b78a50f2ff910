/* GM/T 0018 6.2: devices, sessions, information, randomness, access rights. */
#include "fengni/sdf_ext.h"
#include "sdf/sdf_private.h"

#include <string.h>

static int open_device(void **phDeviceHandle, const char *path, bool shared)
{
    fn_err failed = FN_OK;
    if (!phDeviceHandle) return sdf_bad_argument("no place for the device handle");
    *phDeviceHandle = NULL;
    struct shared_client *client = sdf_client_get(path, shared, &failed);
    if (!client) return failed == FN_E_NO_MEMORY ? SDR_NOBUFFER : SDR_OPENDEVICE;
    struct sdf_device *d = sdf_object_new(OBJECT_DEVICE, sizeof *d, NULL);
    if (!d) {
        sdf_client_release(client);
        return SDR_NOBUFFER;
    }
    d->client = client;
    *phDeviceHandle = d->object.handle;
    sdf_object_release(&d->object);
    return SDR_OK;
}

SDF_PUBLIC int SDF_OpenDevice(void **phDeviceHandle)
{
    return open_device(phDeviceHandle, NULL, true);
}

SDF_PUBLIC int SDF_OpenDeviceWithConf(void **phDeviceHandle, const char *pcConf)
{
    return open_device(phDeviceHandle, pcConf, true);
}

SDF_PUBLIC int SDFX_OpenDevice(void **phDeviceHandle, const char *pcSocket)
{
    return open_device(phDeviceHandle, pcSocket, false);
}

SDF_PUBLIC int SDF_CloseDevice(void *hDeviceHandle)
{
    return sdf_object_close(hDeviceHandle, OBJECT_DEVICE) ? SDR_OK : sdf_bad_handle("device");
}

SDF_PUBLIC int SDF_OpenSession(void *hDeviceHandle, void **phSessionHandle)
{
    if (!phSessionHandle) return sdf_bad_argument("no place for the session handle");
    *phSessionHandle = NULL;
    SDF_SCOPED struct sdf_device *d = sdf_object_get(hDeviceHandle, OBJECT_DEVICE);
    if (!d) return sdf_bad_handle("device");
    uint32_t number;
    fn_err failed = fn_client_session_open(d->client->client, &number);
    if (failed != FN_OK) {
        int code = sdf_code(failed);
        return code == SDR_COMMFAIL || code == SDR_HARDFAIL ? code : SDR_OPENSESSION;
    }
    struct sdf_session *s = sdf_object_new(OBJECT_SESSION, sizeof *s, &d->object);
    if (!s) {
        fn_client_session_close(d->client->client, number);
        return SDR_NOBUFFER;
    }
    s->client = d->client->client;
    s->number = number;
    pthread_mutex_init(&s->lock, NULL);
    *phSessionHandle = s->object.handle;
    sdf_object_release(&s->object);
    return SDR_OK;
}

SDF_PUBLIC int SDF_CloseSession(void *hSessionHandle)
{
    return sdf_object_close(hSessionHandle, OBJECT_SESSION) ? SDR_OK : sdf_bad_handle("session");
}

SDF_PUBLIC int SDF_GetDeviceInfo(void *hSessionHandle, DEVICEINFO *pstDeviceInfo)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pstDeviceInfo) return sdf_bad_argument("no place for the device information");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    int code = sdf_call(s, FN_OP_INFO, &b, &a);
    if (code != SDR_OK) return code;
    uint8_t info[sizeof(DEVICEINFO)];
    take_exact(&a, info, sizeof info);
    code = answer_code(&a);
    if (code != SDR_OK) return code;
    memcpy(pstDeviceInfo, info, 72);
    pstDeviceInfo->DeviceVersion = fn_get_be32(info + 72);
    pstDeviceInfo->StandardVersion = fn_get_be32(info + 76);
    pstDeviceInfo->AsymAlgAbility[0] = fn_get_be32(info + 80);
    pstDeviceInfo->AsymAlgAbility[1] = fn_get_be32(info + 84);
    pstDeviceInfo->SymAlgAbility = fn_get_be32(info + 88);
    pstDeviceInfo->HashAlgAbility = fn_get_be32(info + 92);
    pstDeviceInfo->BufferSize = fn_get_be32(info + 96);
    return SDR_OK;
}

SDF_PUBLIC int SDF_GenerateRandom(void *hSessionHandle, unsigned int uiLength, unsigned char *pucRandom)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pucRandom || uiLength == 0) return sdf_bad_argument("no room for random bytes");
    for (unsigned int done = 0; done < uiLength;) {
        unsigned int n = uiLength - done < SDF_PIECE ? uiLength - done : SDF_PIECE;
        SDF_BUILD(b);
        SDF_ANSWER(a);
        put_u32(&b, n);
        int code = sdf_call(s, FN_OP_RANDOM, &b, &a);
        if (code != SDR_OK) return code;
        struct fn_bytes v = take_var(&a);
        code = answer_code(&a);
        if (code != SDR_OK || v.n != n) return code != SDR_OK ? code : SDR_COMMFAIL;
        memcpy(pucRandom + done, v.p, n);
        done += n;
    }
    return SDR_OK;
}

SDF_PUBLIC int SDF_GetPrivateKeyAccessRight(void *hSessionHandle, unsigned int uiKeyIndex,
                                            unsigned char *pucPassword, unsigned int uiPwdLength)
{
    SDF_SESSION(s, hSessionHandle);
    if (!pucPassword || uiPwdLength == 0 || uiPwdLength > 255)
        return sdf_bad_argument("password of 1 to 255 bytes");
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_u32(&b, uiKeyIndex);
    put_var(&b, pucPassword, uiPwdLength);
    int code = sdf_call(s, FN_OP_ACCESS_TAKE, &b, &a);
    return code == SDR_OK ? answer_code(&a) : code;
}

SDF_PUBLIC int SDF_ReleasePrivateKeyAccessRight(void *hSessionHandle, unsigned int uiKeyIndex)
{
    SDF_SESSION(s, hSessionHandle);
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_u32(&b, uiKeyIndex);
    int code = sdf_call(s, FN_OP_ACCESS_RELEASE, &b, &a);
    return code == SDR_OK ? answer_code(&a) : code;
}
