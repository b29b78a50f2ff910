/* GM/T 0018 6.7: files in the device. */
#include "sdf/sdf_private.h"

#include <string.h>

#define NAME_MOST 128u

/* What files call by other names. */
static int file_code(int code)
{
    const struct fn_err_cause *causes;
    size_t n = fn_err_chain(&causes);
    fn_err failed = n ? causes[n - 1].code : FN_OK;
    switch (failed) {
    case FN_E_NOT_FOUND:
        return SDR_FILENOEXIST;
    case FN_E_EXISTS:
        return SDR_FILEEXISTS;
    case FN_E_DISK_FULL:
    case FN_E_READ_ONLY:
    case FN_E_IO:
        return SDR_FILEWERR;
    default:
        return code;
    }
}

static int check_name(const unsigned char *name, unsigned int n)
{
    return name && n > 0 && n <= NAME_MOST ? SDR_OK : sdf_bad_argument("file name of 1 to 128 bytes");
}

static int file_call(struct sdf_session *s, uint16_t operation, struct build *b, struct answer *a)
{
    fn_err_clear();
    int code = sdf_call(s, operation, b, a);
    return code == SDR_OK ? SDR_OK : file_code(code);
}

SDF_PUBLIC int SDF_CreateFile(void *hSessionHandle, unsigned char *pucFileName, unsigned int uiNameLen,
                              unsigned int uiFileSize)
{
    SDF_SESSION(s, hSessionHandle);
    int code = check_name(pucFileName, uiNameLen);
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_var(&b, pucFileName, uiNameLen);
    put_u32(&b, uiFileSize);
    code = file_call(s, FN_OP_FILE_CREATE, &b, &a);
    return code == SDR_OK ? answer_code(&a) : code;
}

SDF_PUBLIC int SDF_ReadFile(void *hSessionHandle, unsigned char *pucFileName, unsigned int uiNameLen,
                            unsigned int uiOffset, unsigned int *puiFileLength, unsigned char *pucBuffer)
{
    SDF_SESSION(s, hSessionHandle);
    int code = check_name(pucFileName, uiNameLen);
    if (code != SDR_OK) return code;
    if (!puiFileLength) return sdf_bad_argument("no length");
    unsigned int wanted = *puiFileLength, got = 0;
    if (!pucBuffer && wanted) return sdf_bad_argument("no room for the file");
    do {
        unsigned int n = wanted - got < SDF_PIECE ? wanted - got : SDF_PIECE;
        SDF_BUILD(b);
        SDF_ANSWER(a);
        put_var(&b, pucFileName, uiNameLen);
        put_u32(&b, uiOffset + got);
        put_u32(&b, n);
        code = file_call(s, FN_OP_FILE_READ, &b, &a);
        if (code != SDR_OK) return code;
        struct fn_bytes v = take_var(&a);
        code = answer_code(&a);
        if (code != SDR_OK || v.n > n) return code != SDR_OK ? code : SDR_COMMFAIL;
        if (v.n) memcpy(pucBuffer + got, v.p, v.n);
        got += (unsigned int)v.n;
        if (v.n < n) break;
    } while (got < wanted);
    *puiFileLength = got;
    return SDR_OK;
}

SDF_PUBLIC int SDF_WriteFile(void *hSessionHandle, unsigned char *pucFileName, unsigned int uiNameLen,
                             unsigned int uiOffset, unsigned int uiFileLength, unsigned char *pucBuffer)
{
    SDF_SESSION(s, hSessionHandle);
    int code = check_name(pucFileName, uiNameLen);
    if (code != SDR_OK) return code;
    if (!pucBuffer && uiFileLength) return sdf_bad_argument("no data");
    /* One request, so that the write happens as a whole or not at all. */
    if (uiFileLength > FN_DEVICE_FRAME_MOST - 1024) {
        (void)FN_FAIL(FN_E_FILE_SIZE, "%u bytes in one write", uiFileLength);
        return SDR_FILESIZEERR;
    }
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_var(&b, pucFileName, uiNameLen);
    put_u32(&b, uiOffset);
    put_var(&b, pucBuffer, uiFileLength);
    code = file_call(s, FN_OP_FILE_WRITE, &b, &a);
    return code == SDR_OK ? answer_code(&a) : code;
}

SDF_PUBLIC int SDF_DeleteFile(void *hSessionHandle, unsigned char *pucFileName, unsigned int uiNameLen)
{
    SDF_SESSION(s, hSessionHandle);
    int code = check_name(pucFileName, uiNameLen);
    if (code != SDR_OK) return code;
    SDF_BUILD(b);
    SDF_ANSWER(a);
    put_var(&b, pucFileName, uiNameLen);
    code = file_call(s, FN_OP_FILE_DELETE, &b, &a);
    return code == SDR_OK ? answer_code(&a) : code;
}
