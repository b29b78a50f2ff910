/* 封泥密码设备扩展接口 — what the cryptographic device does beyond GM/T 0018: stored keys by uuid, sealed keys, anchors, and vectors
 * of work submitted without waiting. Exported by libsdf.so beside the functions of gmt/sdf.h; handles are the same handles, and
 * return codes are the SDR_ codes. SDFX_LastError tells more.
 *
 * Lengths given by pointer are in and out here: room before, bytes written after; too little room: SDR_NOBUFFER with the
 * bytes needed in it, and for a call that changes the device nothing is lost: ask again with SDFX_KeyPublic. */
#ifndef FENGNI_SDF_EXT_H
#define FENGNI_SDF_EXT_H

#include "gmt/sdf.h"
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct SDFX_Uuid_st {
    unsigned char b[16];
} SDFX_Uuid;

/* 密钥类别(密钥表 1、表 2) classes of keys */
enum {
    SDFX_CLASS_NET_ENC = 1,
    SDFX_CLASS_APP_ENC = 2,
    SDFX_CLASS_DATA_ENC = 3, /* 数据存储加密密钥: the device makes the nonces */
    SDFX_CLASS_MAC = 4,
    SDFX_CLASS_USER_SIGN = 5,
    SDFX_CLASS_USER_ENC = 6,
    SDFX_CLASS_SRV_SIGN = 7,
    SDFX_CLASS_SRV_ENC = 8,
    SDFX_CLASS_KEK = 17,
};
enum { SDFX_SM4 = 1, SDFX_HMAC_SM3 = 2, SDFX_SM2 = 3, SDFX_P256 = 4, SDFX_RSA2048 = 5, SDFX_RSA3072 = 6 };
/* 用途,可相或 uses, or-ed */
enum {
    SDFX_USE_SIGN = 1,
    SDFX_USE_VERIFY = 2,
    SDFX_USE_ENCRYPT = 4,
    SDFX_USE_DECRYPT = 8,
    SDFX_USE_WRAP = 16,
    SDFX_USE_UNWRAP = 32,
    SDFX_USE_MAC = 64,
    SDFX_USE_AGREE = 128,
    SDFX_USE_DERIVE = 256,
};

/* 最近一次失败的说明 words for this thread's last failure: number, text, detail, what to do; Chinese, or English when `english` is
 * not 0. Always ends with NUL; returns the length it wanted. */
unsigned int SDFX_LastError(char *pcText, unsigned int uiSize, int english);

/* 设备状态与能力(JSON) */
int SDFX_Status(void *hSessionHandle, char *pcJson, unsigned int *puiLength);
int SDFX_Capabilities(void *hSessionHandle, char *pcJson, unsigned int *puiLength);

/* 所存密钥 stored keys */

/* 生成密钥。 pcLabel: UTF-8, unique within the tenant, may be NULL. pcApplications: further applications that may use the key,
 * separated by commas, may be NULL. pucPublicKey: as SDFX_KeyPublic writes it; NULL when it is not wanted. */
int SDFX_NewKey(void *hSessionHandle, unsigned int uiClass, unsigned int uiAlgorithm, unsigned int uiUsage, const char *pcLabel,
                const char *pcApplications, SDFX_Uuid *pstUuid, unsigned char *pucPublicKey, unsigned int *puiPublicLength);
/* 更新密钥:新版本用于加密,旧版本仍可解密。 A new version protects from now on, old ones still open. */
int SDFX_RotateKey(void *hSessionHandle, const SDFX_Uuid *pstUuid, unsigned int *puiVersion);
/* 销毁密钥(uiVersion 0: 全部版本),返回设备签名的销毁声明。 Destroyed before it returns. The statement is JSON in UTF-8, signed over
 * SM3(Z ‖ statement). */
int SDFX_DestroyKey(void *hSessionHandle, const SDFX_Uuid *pstUuid, unsigned int uiVersion, char *pcStatement,
                    unsigned int *puiStatementLength, ECCSignature *pstSignature);
int SDFX_FindKey(void *hSessionHandle, const char *pcLabel, SDFX_Uuid *pstUuid, unsigned int *puiVersion);
int SDFX_KeyInfo(void *hSessionHandle, void *hKeyHandle, char *pcJson, unsigned int *puiLength);
/* SM2、P-256: x ‖ y; RSA: 4 字节位数(大端)‖ 模 ‖ 指数(等长)。 */
int SDFX_KeyPublic(void *hSessionHandle, void *hKeyHandle, unsigned int *puiAlgorithm, unsigned char *pucPublicKey,
                   unsigned int *puiLength);
/* 句柄 handles, for SDF_Encrypt, SDF_HMACInit … and vectors; ended by SDF_DestroyKey, which leaves the stored key alone. They
 * survive a restart of the device. uiVersion 0: the current one at each use. */
int SDFX_KeyHandle(void *hSessionHandle, const SDFX_Uuid *pstUuid, unsigned int uiVersion, void **phKeyHandle);
int SDFX_IndexHandle(void *hSessionHandle, unsigned int uiKeyIndex, int encryption, void **phKeyHandle);
/* 公钥(外部)的句柄 a handle on a public key of somebody else, uiAlgorithm as SDFX_KeyPublic */
int SDFX_PublicHandle(void *hSessionHandle, unsigned int uiAlgorithm, const unsigned char *pucPublicKey, unsigned int uiLength,
                      void **phKeyHandle);
/* 密封密钥:设备自身存储的外置 keys sealed to the device under a KEK and kept by the caller */
int SDFX_SealKey(void *hSessionHandle, unsigned int uiClass, unsigned int uiAlgorithm, unsigned int uiUsage, void *hKekHandle,
                 unsigned char *pucBlob, unsigned int *puiBlobLength, unsigned char *pucPublicKey, unsigned int *puiPublicLength);
int SDFX_SealedHandle(void *hSessionHandle, const unsigned char *pucBlob, unsigned int uiBlobLength, void **phKeyHandle);

/* 锚点:只进不退的持久记录 anchors: durable records that advance only. uiExpected 0: must be absent. The receipt and the answer are
 * signed by the device over SM3(Z ‖ "fengni anchor 1" ‖ 00 ‖ challenge ‖ u32 n ‖ name ‖ u32 n ‖ owner ‖ u64 counter ‖ digest), numbers
 * big-endian; the challenge of a receipt is zero. Counter not above the stored or not the expected one: SDR_KEYERR. */
int SDFX_SetAnchor(void *hSessionHandle, const unsigned char *pucName, unsigned int uiNameLength, uint64_t expected,
                   uint64_t counter, const unsigned char pucDigest[32], ECCSignature *pstReceipt);
int SDFX_GetAnchor(void *hSessionHandle, const unsigned char *pucName, unsigned int uiNameLength,
                   const unsigned char pucChallenge[32], char *pcOwner, unsigned int *puiOwnerLength, uint64_t *counter,
                   unsigned char pucDigest[32], ECCSignature *pstSignature);

/* 向量 vectors: many operations of one kind in one request. Built, submitted with a token, answered in any order among sessions and
 * in order within one. Only on devices opened with SDFX_OpenDevice, which have a connection of their own; pcSocket NULL: as
 * SDF_OpenDevice. A vector may be submitted again and again. */
int SDFX_OpenDevice(void **phDeviceHandle, const char *pcSocket);

enum {
    SDFX_SIGN = 1,    /* SDFX_AddSign → data 0: signature */
    SDFX_VERIFY,      /* SDFX_AddVerify → status alone */
    SDFX_PK_ENCRYPT,  /* SDFX_AddData → data 0: C1x ‖ C1y ‖ C3 ‖ C2 */
    SDFX_PK_DECRYPT,  /* SDFX_AddData → data 0 */
    SDFX_ENCRYPT,     /* SDFX_AddCipher → data 0: start or chaining value, 1: ciphertext */
    SDFX_DECRYPT,     /* SDFX_AddCipher → data 0: chaining value, 1: data */
    SDFX_MAC,         /* SDFX_AddCipher → data 0: chaining value, 1: MAC */
    SDFX_HASH,        /* SDFX_AddHash → data 0 */
    SDFX_AEAD_ENCRYPT, /* SDFX_AddAead → data 0: nonce, 1: ciphertext, 2: tag, 3: version of the key, 4 bytes big-endian */
    SDFX_AEAD_DECRYPT, /* SDFX_AddAead → data 0 */
};
int SDFX_NewVector(void *hSessionHandle, int kind, void **phVector);
int SDFX_FreeVector(void *hVector);
int SDFX_ClearVector(void *hVector);
/* Data is copied. SDR_INARGERR when the vector is full: 4096 items or 1 MiB. */
int SDFX_AddSign(void *hVector, void *hKeyHandle, const unsigned char pucDigest[32]);
int SDFX_AddVerify(void *hVector, void *hKeyHandle, const unsigned char pucDigest[32], const unsigned char *pucSignature,
                   unsigned int uiSignatureLength);
int SDFX_AddData(void *hVector, void *hKeyHandle, const unsigned char *pucData, unsigned int uiLength);
/* pucStart: 16 bytes, or none (length 0) for ECB, HMAC and data-storage keys. */
int SDFX_AddCipher(void *hVector, void *hKeyHandle, unsigned int uiAlgID, const unsigned char *pucStart,
                   unsigned int uiStartLength, const unsigned char *pucData, unsigned int uiLength);
int SDFX_AddHash(void *hVector, unsigned int uiAlgID, const unsigned char *pucData, unsigned int uiLength);
/* Encryption: nonce none (length 0): made by the device; no tag. Decryption: nonce and tag as encryption gave them. */
int SDFX_AddAead(void *hVector, void *hKeyHandle, unsigned int uiAlgID, const unsigned char *pucNonce, unsigned int uiNonceLength,
                 const unsigned char *pucAad, unsigned int uiAadLength, const unsigned char *pucTag, unsigned int uiTagLength,
                 const unsigned char *pucData, unsigned int uiLength);
int SDFX_Submit(void *hVector, uint64_t token);
/* 可轮询描述符 becomes readable when an answer may wait: then SDFX_Poll with timeout 0 until SDR_COMMFAIL. */
int SDFX_Descriptor(void *hDeviceHandle);

typedef struct SDFX_Result_st SDFX_Result;
/* Waits at most timeout_ms; SDR_COMMFAIL when nothing came. */
int SDFX_Poll(void *hDeviceHandle, unsigned int timeout_ms, SDFX_Result **ppResult);
uint64_t SDFX_ResultToken(const SDFX_Result *result);
/* Of the whole vector; SDR_COMMFAIL with SDFX_ResultRetry > 0: overloaded, submit again after so many milliseconds. */
int SDFX_ResultStatus(const SDFX_Result *result);
unsigned int SDFX_ResultRetry(const SDFX_Result *result);
unsigned int SDFX_ResultCount(const SDFX_Result *result);
int SDFX_ResultItem(const SDFX_Result *result, unsigned int item);
/* Bytes of a field of an item, valid until the result is freed; NULL when the item failed or has no such field. */
const unsigned char *SDFX_ResultData(const SDFX_Result *result, unsigned int item, unsigned int field, unsigned int *puiLength);
void SDFX_FreeResult(SDFX_Result *result);

#ifdef __cplusplus
}
#endif

#endif
