/* 密码设备应用接口 GM/T 0018-2012 / GM/T 0018-2023 — application interface of cryptographic devices.
 *
 * Names, numbers and layouts are those of the standard; clause numbers are of the 2023 edition. What every caller should know:
 *  - 返回 0 (SDR_OK) 表示成功。 All functions return SDR_OK or one of the SDR_ codes below.
 *  - 长度参数 (uiXxxLength 指针) 只作输出。 A pointer to a length is an output: what it held before is never read
 *    (SDF_ReadFile alone reads it). The caller's buffer must be large enough; the sizes stand with the functions.
 *    A NULL data pointer asks for the length only (SDF_Encrypt, SDF_Decrypt, SDF_CalculateMAC, SDF_InternalDecrypt_ECC).
 *  - 分组模式不做填充。 ECB and CBC take whole blocks and never pad. pucIV is in and out: afterwards it holds the value with
 *    which the next call continues.
 *  - SM2 数值在 64 字节域中右对齐,高 32 字节为零。 SM2 numbers stand right-aligned in their 64-byte arrays; a non-zero upper
 *    half is refused. Integers within structures are in the byte order of the machine.
 *  - 一个会话同时只由一个线程使用;设备句柄可多线程共用。 A session belongs to one thread at a time; a device handle to all.
 *  - 设备重启后:会话密钥句柄返回 SDR_KEYNOTEXIST,未完成的多包运算返回 SDR_STEPERR,私钥使用权限须重新获取。 After a
 *    restart of the device session keys are gone, unfinished multi-part calls answer SDR_STEPERR, access rights must be taken
 *    again; everything named by index goes on.
 *  - 明文密钥函数只在测试租户中可用。 Functions that take or return clear secret keys answer SDR_NOTSUPPORT unless the tenant
 *    was initialised as a test tenant. */
#ifndef GMT_SDF_H
#define GMT_SDF_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 6.1 and Appendix A: return codes 返回码 */
#define SDR_OK               0x00000000
#define SDR_BASE             0x01000000
#define SDR_UNKNOWERR        (SDR_BASE + 0x01) /* 未知错误 unknown error */
#define SDR_NOTSUPPORT       (SDR_BASE + 0x02) /* 不支持的接口调用 function not supported */
#define SDR_COMMFAIL         (SDR_BASE + 0x03) /* 与设备通信失败 communication with the device failed */
#define SDR_HARDFAIL         (SDR_BASE + 0x04) /* 运算模块无响应 the module does not respond */
#define SDR_OPENDEVICE       (SDR_BASE + 0x05) /* 打开设备失败 the device cannot be opened */
#define SDR_OPENSESSION      (SDR_BASE + 0x06) /* 创建会话失败 the session cannot be opened */
#define SDR_PARDENY          (SDR_BASE + 0x07) /* 无私钥使用权限 no access right to the private key */
#define SDR_KEYNOTEXIST      (SDR_BASE + 0x08) /* 密钥不存在 no such key */
#define SDR_ALGNOTSUPPORT    (SDR_BASE + 0x09) /* 不支持的算法 algorithm not supported */
#define SDR_ALGMODNOTSUPPORT (SDR_BASE + 0x0A) /* 不支持的算法模式 mode not supported */
#define SDR_PKOPERR          (SDR_BASE + 0x0B) /* 公钥运算失败 public-key operation failed */
#define SDR_SKOPERR          (SDR_BASE + 0x0C) /* 私钥运算失败 private-key operation failed */
#define SDR_SIGNERR          (SDR_BASE + 0x0D) /* 签名运算失败 signing failed */
#define SDR_VERIFYERR        (SDR_BASE + 0x0E) /* 验证签名失败 signature does not verify */
#define SDR_SYMOPERR         (SDR_BASE + 0x0F) /* 对称运算失败 symmetric operation failed */
#define SDR_STEPERR          (SDR_BASE + 0x10) /* 多步运算步骤错误 steps of a calculation out of order */
#define SDR_FILESIZEERR      (SDR_BASE + 0x11) /* 文件长度超出限制 beyond the size of the file */
#define SDR_FILENOEXIST      (SDR_BASE + 0x12) /* 文件不存在 no such file */
#define SDR_FILEOFSERR       (SDR_BASE + 0x13) /* 文件起始位置错误 bad offset in the file */
#define SDR_KEYTYPEERR       (SDR_BASE + 0x14) /* 密钥类型错误 wrong kind of key */
#define SDR_KEYERR           (SDR_BASE + 0x15) /* 密钥错误 bad key */
#define SDR_ENCDATAERR       (SDR_BASE + 0x16) /* 密文数据错误 bad ciphertext */
#define SDR_RANDERR          (SDR_BASE + 0x17) /* 随机数产生失败 random generation failed */
#define SDR_PRKRERR          (SDR_BASE + 0x18) /* 私钥使用权限获取失败 access right refused: wrong password */
#define SDR_MACERR           (SDR_BASE + 0x19) /* MAC 运算失败 MAC does not match */
#define SDR_FILEEXISTS       (SDR_BASE + 0x1A) /* 文件已存在 file exists */
#define SDR_FILEWERR         (SDR_BASE + 0x1B) /* 文件写入失败 writing the file failed */
#define SDR_NOBUFFER         (SDR_BASE + 0x1C) /* 存储空间不足 not enough room */
#define SDR_INARGERR         (SDR_BASE + 0x1D) /* 输入参数错误 bad input argument */
#define SDR_OUTARGERR        (SDR_BASE + 0x1E) /* 输出参数错误 bad output argument */
#define SDR_USERIDERR        (SDR_BASE + 0x1F) /* 用户标识错误 bad user identifier (2023) */

/* Algorithm identifiers 算法标识: GB/T 33560-2017, with the additions of GM/T 0006-2023 */
#define SGD_SM1_ECB     0x00000101
#define SGD_SM1_CBC     0x00000102
#define SGD_SM1_CFB     0x00000104
#define SGD_SM1_OFB     0x00000108
#define SGD_SM1_MAC     0x00000110
#define SGD_SSF33_ECB   0x00000201
#define SGD_SSF33_CBC   0x00000202
#define SGD_SSF33_CFB   0x00000204
#define SGD_SSF33_OFB   0x00000208
#define SGD_SSF33_MAC   0x00000210
#define SGD_SM4_ECB     0x00000401
#define SGD_SM4_CBC     0x00000402
#define SGD_SM4_CFB     0x00000404
#define SGD_SM4_OFB     0x00000408
#define SGD_SM4_MAC     0x00000410
#define SGD_SM4_CTR     0x00000420
#define SGD_SM4_XTS     0x01000400
#define SGD_SM4_GCM     0x02000400
#define SGD_SM4_CCM     0x04000400
#define SGD_ZUC_EEA3    0x00000801
#define SGD_ZUC_EIA3    0x00000802
#define SGD_RSA         0x00010000
#define SGD_SM2         0x00020100
#define SGD_SM2_1       0x00020200 /* 签名 signature */
#define SGD_SM2_2       0x00020400 /* 密钥交换 key exchange */
#define SGD_SM2_3       0x00020800 /* 加密 encryption */
#define SGD_SM9         0x00040100
#define SGD_SM9_1       0x00040200
#define SGD_SM9_2       0x00040400
#define SGD_SM9_3       0x00040800
#define SGD_SM3         0x00000001
#define SGD_SHA1        0x00000002
#define SGD_SHA256      0x00000004
#define SGD_SM3_HMAC    0x00000008
#define SGD_SHA256_HMAC 0x00000010
#define SGD_SM3_RSA     0x00010001
#define SGD_SHA1_RSA    0x00010002
#define SGD_SHA256_RSA  0x00010004
#define SGD_SM3_SM2     0x00020201
#define SGD_SM3_SM9     0x00040201

/* 5.5 设备信息 */
typedef struct DeviceInfo_st {
    unsigned char IssuerName[40];   /* 设备生产厂商名称 manufacturer */
    unsigned char DeviceName[16];   /* 设备型号 model */
    unsigned char DeviceSerial[16]; /* 设备编号:日期 8 位、批次 3 位、流水号 5 位 date, batch, number */
    unsigned int DeviceVersion;     /* 密码设备内部软件版本号 */
    unsigned int StandardVersion;   /* 支持的接口规范版本号: 1 = 2012, 2 = 2023 */
    unsigned int AsymAlgAbility[2]; /* [0] 算法标识之或 ids or-ed, [1] 模长之或 modulus sizes or-ed */
    unsigned int SymAlgAbility;     /* 对称算法标识之或 */
    unsigned int HashAlgAbility;    /* 杂凑算法标识之或 */
    unsigned int BufferSize;        /* 单包运算最大长度 most bytes of one single-packet call; 0: no limit */
} DEVICEINFO;

/* 5.6 RSA 密钥: big-endian, right-aligned */
#define RSAref_MAX_BITS  2048
#define RSAref_MAX_LEN   ((RSAref_MAX_BITS + 7) / 8)
#define RSAref_MAX_PBITS ((RSAref_MAX_BITS + 1) / 2)
#define RSAref_MAX_PLEN  ((RSAref_MAX_PBITS + 7) / 8)

typedef struct RSArefPublicKey_st {
    unsigned int bits;
    unsigned char m[RSAref_MAX_LEN]; /* 模 N modulus */
    unsigned char e[RSAref_MAX_LEN]; /* 公钥指数 public exponent */
} RSArefPublicKey;

typedef struct RSArefPrivateKey_st {
    unsigned int bits;
    unsigned char m[RSAref_MAX_LEN];
    unsigned char e[RSAref_MAX_LEN];
    unsigned char d[RSAref_MAX_LEN];
    unsigned char prime[2][RSAref_MAX_PLEN]; /* p, q */
    unsigned char pexp[2][RSAref_MAX_PLEN];  /* d mod (p-1), d mod (q-1) */
    unsigned char coef[RSAref_MAX_PLEN];     /* q^-1 mod p */
} RSArefPrivateKey;

/* 5.7 ECC 密钥、5.8 密文与签名 */
#define ECCref_MAX_BITS 512
#define ECCref_MAX_LEN  ((ECCref_MAX_BITS + 7) / 8)

typedef struct ECCrefPublicKey_st {
    unsigned int bits; /* 256 */
    unsigned char x[ECCref_MAX_LEN];
    unsigned char y[ECCref_MAX_LEN];
} ECCrefPublicKey;

typedef struct ECCrefPrivateKey_st {
    unsigned int bits;
    unsigned char K[ECCref_MAX_LEN];
} ECCrefPrivateKey;

/* 164 + L bytes: the caller allocates sizeof(ECCCipher) - 1 + plaintext length or more; exactly 164 + L are written. */
typedef struct ECCCipher_st {
    unsigned char x[ECCref_MAX_LEN]; /* C1 */
    unsigned char y[ECCref_MAX_LEN];
    unsigned char M[32]; /* C3: SM3 */
    unsigned int L;      /* bytes of C */
    unsigned char C[1];  /* C2 */
} ECCCipher;

typedef struct ECCSignature_st {
    unsigned char r[ECCref_MAX_LEN];
    unsigned char s[ECCref_MAX_LEN];
} ECCSignature;

/* 5.9 ECC 加密密钥对保护结构: an encryption key pair under the signing key of the same index (2023) */
typedef struct EnvelopedECCKey_st {
    unsigned int Version;    /* 1 */
    unsigned int ulSymmAlgID; /* SGD_SM4_ECB */
    unsigned int ulBits;
    unsigned char cbEncryptedPriKey[64];
    ECCrefPublicKey PubKey;
    ECCCipher ECCCipherBlob;
} EnvelopedECCKey;

/* Appendix B: SM9 */
#define SM9ref_MAX_BITS 256
#define SM9ref_MAX_LEN  ((SM9ref_MAX_BITS + 7) / 8)

typedef struct SM9refMasterPrivateKey_st {
    unsigned int bits;
    unsigned char s[SM9ref_MAX_LEN];
} SM9MasterPrivateKey;

typedef struct SM9refSignMasterPublicKey_st {
    unsigned int bits;
    unsigned char xa[SM9ref_MAX_LEN], xb[SM9ref_MAX_LEN], ya[SM9ref_MAX_LEN], yb[SM9ref_MAX_LEN];
} SM9SignMasterPublicKey;

typedef struct SM9refEncMasterPublicKey_st {
    unsigned int bits;
    unsigned char x[SM9ref_MAX_LEN], y[SM9ref_MAX_LEN];
} SM9EncMasterPublicKey;

typedef struct SM9refSignUserPrivateKey_st {
    unsigned int bits;
    unsigned char x[SM9ref_MAX_LEN], y[SM9ref_MAX_LEN];
} SM9SignUserPrivateKey;

typedef struct SM9refEncUserPrivateKey_st {
    unsigned int bits;
    unsigned char xa[SM9ref_MAX_LEN], xb[SM9ref_MAX_LEN], ya[SM9ref_MAX_LEN], yb[SM9ref_MAX_LEN];
} SM9EncUserPrivateKey;

typedef struct SM9refCipher_st {
    unsigned int EncType;
    unsigned char x[SM9ref_MAX_LEN], y[SM9ref_MAX_LEN], h[SM9ref_MAX_LEN];
    unsigned int L;
    unsigned char C[1];
} SM9Cipher;

typedef struct SM9refSignature_st {
    unsigned char h[SM9ref_MAX_LEN], x[SM9ref_MAX_LEN], y[SM9ref_MAX_LEN];
} SM9Signature;

typedef struct SM9refKeyPackage_st {
    unsigned char x[SM9ref_MAX_LEN], y[SM9ref_MAX_LEN];
} SM9KeyPackage;

typedef struct SM9refEncEnvelopedKey_st {
    unsigned int version, ulSymmAlgID, bits;
    unsigned char encryptedPriKey[SM9ref_MAX_LEN * 4];
    SM9EncMasterPublicKey encMastPubKey, tmpMastPubKey;
    unsigned int userIDLen;
    unsigned char userID[256];
    unsigned int keyLen;
    SM9KeyPackage keyPackage;
} SM9EncEnvelopedKey;

typedef struct SM9refSignEnvelopedKey_st {
    unsigned int version, ulSymmAlgID, bits;
    unsigned char encryptedPriKey[SM9ref_MAX_LEN * 2];
    SM9SignMasterPublicKey signMastPubKey;
    SM9EncMasterPublicKey tmpMastPubKey;
    unsigned int userIDLen;
    unsigned char userID[256];
    unsigned int keyLen;
    SM9KeyPackage keyPackage;
} SM9SignEnvelopedKey;

/* 6.2 设备管理 device management */

/* 打开设备。 May be called again and again; handles of one process share one connection. SDR_OPENDEVICE when the device is not
 * there or does not know this user. */
int SDF_OpenDevice(void **phDeviceHandle);
/* 扩展:指定设备套接字路径。 Extension: the path of the device's socket in pcConf; NULL as above. */
int SDF_OpenDeviceWithConf(void **phDeviceHandle, const char *pcConf);
/* 关闭设备及其会话。 */
int SDF_CloseDevice(void *hDeviceHandle);
/* 创建会话。 */
int SDF_OpenSession(void *hDeviceHandle, void **phSessionHandle);
/* 关闭会话,销毁其会话密钥,释放其私钥使用权限。 */
int SDF_CloseSession(void *hSessionHandle);
/* 获取设备信息,任何设备状态下均可。 */
int SDF_GetDeviceInfo(void *hSessionHandle, DEVICEINFO *pstDeviceInfo);
/* 产生随机数。 Any length above 0. */
int SDF_GenerateRandom(void *hSessionHandle, unsigned int uiLength, unsigned char *pucRandom);
/* 获取私钥使用权限。 Password of at least 8 bytes; the right covers both key pairs of the index and this session only. Wrong
 * password: SDR_PRKRERR. */
int SDF_GetPrivateKeyAccessRight(void *hSessionHandle, unsigned int uiKeyIndex, unsigned char *pucPassword,
                                 unsigned int uiPwdLength);
/* 释放私钥使用权限。 Without a right held it does nothing. */
int SDF_ReleasePrivateKeyAccessRight(void *hSessionHandle, unsigned int uiKeyIndex);

/* 6.3 密钥管理 key management */

/* 导出 RSA 签名公钥、加密公钥。 */
int SDF_ExportSignPublicKey_RSA(void *hSessionHandle, unsigned int uiKeyIndex, RSArefPublicKey *pucPublicKey);
int SDF_ExportEncPublicKey_RSA(void *hSessionHandle, unsigned int uiKeyIndex, RSArefPublicKey *pucPublicKey);
/* 生成会话密钥并用内部/外部 RSA 公钥加密输出。 pucKey: modulus bytes, one PKCS#1 v1.5 block. */
int SDF_GenerateKeyWithIPK_RSA(void *hSessionHandle, unsigned int uiIPKIndex, unsigned int uiKeyBits, unsigned char *pucKey,
                               unsigned int *puiKeyLength, void **phKeyHandle);
int SDF_GenerateKeyWithEPK_RSA(void *hSessionHandle, unsigned int uiKeyBits, RSArefPublicKey *pucPublicKey,
                               unsigned char *pucKey, unsigned int *puiKeyLength, void **phKeyHandle);
/* 导入会话密钥并用内部 RSA 私钥解密。 Needs the access right. */
int SDF_ImportKeyWithISK_RSA(void *hSessionHandle, unsigned int uiISKIndex, unsigned char *pucKey, unsigned int uiKeyLength,
                             void **phKeyHandle);
/* 导出 ECC 签名公钥、加密公钥。 */
int SDF_ExportSignPublicKey_ECC(void *hSessionHandle, unsigned int uiKeyIndex, ECCrefPublicKey *pucPublicKey);
int SDF_ExportEncPublicKey_ECC(void *hSessionHandle, unsigned int uiKeyIndex, ECCrefPublicKey *pucPublicKey);
/* 生成会话密钥并用内部/外部 ECC 公钥加密输出。 pucKey: 164 + uiKeyBits / 8 bytes. uiAlgID: SGD_SM2_3 (SGD_SM2 accepted). */
int SDF_GenerateKeyWithIPK_ECC(void *hSessionHandle, unsigned int uiIPKIndex, unsigned int uiKeyBits, ECCCipher *pucKey,
                               void **phKeyHandle);
int SDF_GenerateKeyWithEPK_ECC(void *hSessionHandle, unsigned int uiKeyBits, unsigned int uiAlgID,
                               ECCrefPublicKey *pucPublicKey, ECCCipher *pucKey, void **phKeyHandle);
/* 导入会话密钥并用内部 ECC 私钥解密。 Needs the access right. */
int SDF_ImportKeyWithISK_ECC(void *hSessionHandle, unsigned int uiISKIndex, ECCCipher *pucKey, void **phKeyHandle);
/* 密钥协商:发起方第一步,输出加密公钥与临时公钥。 Sponsor, step 1. Needs the access right. */
int SDF_GenerateAgreementDataWithECC(void *hSessionHandle, unsigned int uiISKIndex, unsigned int uiKeyBits,
                                     unsigned char *pucSponsorID, unsigned int uiSponsorIDLength,
                                     ECCrefPublicKey *pucSponsorPublicKey, ECCrefPublicKey *pucSponsorTmpPublicKey,
                                     void **phAgreementHandle);
/* 发起方第二步,计算会话密钥;成功后协商句柄失效。 Sponsor, step 2; the agreement handle ends with success. */
int SDF_GenerateKeyWithECC(void *hSessionHandle, unsigned char *pucResponseID, unsigned int uiResponseIDLength,
                           ECCrefPublicKey *pucResponsePublicKey, ECCrefPublicKey *pucResponseTmpPublicKey,
                           void *hAgreementHandle, void **phKeyHandle);
/* 响应方:输出加密公钥与临时公钥并计算会话密钥。 Responder, one step; the two response keys are outputs. Needs the right. */
int SDF_GenerateAgreementDataAndKeyWithECC(void *hSessionHandle, unsigned int uiISKIndex, unsigned int uiKeyBits,
                                           unsigned char *pucResponseID, unsigned int uiResponseIDLength,
                                           unsigned char *pucSponsorID, unsigned int uiSponsorIDLength,
                                           ECCrefPublicKey *pucSponsorPublicKey, ECCrefPublicKey *pucSponsorTmpPublicKey,
                                           ECCrefPublicKey *pucResponsePublicKey, ECCrefPublicKey *pucResponseTmpPublicKey,
                                           void **phKeyHandle);
/* 生成会话密钥并用 KEK 加密输出。 SGD_SM4_ECB: uiKeyBits / 8 bytes. Compatible format on SGD_SM4_CBC: 16 bytes of IV, then CBC
 * with PKCS#7 padding (48 bytes of a 128-bit key), as GmSSL and SoftSDF have it. */
int SDF_GenerateKeyWithKEK(void *hSessionHandle, unsigned int uiKeyBits, unsigned int uiAlgID, unsigned int uiKEKIndex,
                           unsigned char *pucKey, unsigned int *puiKeyLength, void **phKeyHandle);
/* 导入会话密钥并用 KEK 解密。 */
int SDF_ImportKeyWithKEK(void *hSessionHandle, unsigned int uiAlgID, unsigned int uiKEKIndex, unsigned char *pucKey,
                         unsigned int uiKeyLength, void **phKeyHandle);
/* 销毁会话密钥。 Also ends an agreement that was not finished. */
int SDF_DestroyKey(void *hSessionHandle, void *hKeyHandle);
/* 2012: 数字信封转换。 Decrypts with the internal key, encrypts to the given one. Needs the access right. Output of RSA: the
 * modulus bytes of the new key; of ECC: 164 + L. */
int SDF_ExchangeDigitEnvelopeBaseOnRSA(void *hSessionHandle, unsigned int uiKeyIndex, RSArefPublicKey *pucPublicKey,
                                       unsigned char *pucDEInput, unsigned int uiDELength, unsigned char *pucDEOutput,
                                       unsigned int *puiDELength);
int SDF_ExchangeDigitEnvelopeBaseOnECC(void *hSessionHandle, unsigned int uiKeyIndex, unsigned int uiAlgID,
                                       ECCrefPublicKey *pucPublicKey, ECCCipher *pucEncDataIn, ECCCipher *pucEncDataOut);
/* 扩展:导入明文会话密钥(仅测试租户)。 Extension: a clear session key. */
int SDF_ImportKey(void *hSessionHandle, unsigned char *pucKey, unsigned int uiKeyLength, void **phKeyHandle);
/* 扩展:取得所存对称密钥的句柄。 Extension: a handle on a stored symmetric key; it survives a restart of the device. */
int SDF_GetSymmKeyHandle(void *hSessionHandle, unsigned int uiKeyIndex, void **phKeyHandle);

/* 6.4 非对称算法运算 asymmetric operations */

/* RSA 裸运算:输入输出均为模长。 Raw m^e or m^d; input and output are as long as the modulus. */
int SDF_ExternalPublicKeyOperation_RSA(void *hSessionHandle, RSArefPublicKey *pucPublicKey, unsigned char *pucDataInput,
                                       unsigned int uiInputLength, unsigned char *pucDataOutput, unsigned int *puiOutputLength);
int SDF_InternalPublicKeyOperation_RSA(void *hSessionHandle, unsigned int uiKeyIndex, unsigned char *pucDataInput,
                                       unsigned int uiInputLength, unsigned char *pucDataOutput, unsigned int *puiOutputLength);
int SDF_InternalPrivateKeyOperation_RSA(void *hSessionHandle, unsigned int uiKeyIndex, unsigned char *pucDataInput,
                                        unsigned int uiInputLength, unsigned char *pucDataOutput, unsigned int *puiOutputLength);
/* 输入为 32 字节杂凑值 e = SM3(Z ‖ M)。 The input is the 32-byte digest. uiAlgID: SGD_SM2_1 (SGD_SM2 accepted). Mismatch:
 * SDR_VERIFYERR. Signing needs the access right. */
int SDF_ExternalVerify_ECC(void *hSessionHandle, unsigned int uiAlgID, ECCrefPublicKey *pucPublicKey, unsigned char *pucDataInput,
                           unsigned int uiInputLength, ECCSignature *pucSignature);
int SDF_InternalSign_ECC(void *hSessionHandle, unsigned int uiISKIndex, unsigned char *pucData, unsigned int uiDataLength,
                         ECCSignature *pucSignature);
int SDF_InternalVerify_ECC(void *hSessionHandle, unsigned int uiIPKIndex, unsigned char *pucData, unsigned int uiDataLength,
                           ECCSignature *pucSignature);
int SDF_ExternalEncrypt_ECC(void *hSessionHandle, unsigned int uiAlgID, ECCrefPublicKey *pucPublicKey, unsigned char *pucData,
                            unsigned int uiDataLength, ECCCipher *pucEncData);
/* 扩展:内部密钥加解密。 Extensions: encryption to, and decryption by, an internal encryption key pair. (Tongsuo calls these two
 * without uiAlgID: link libsdf_tongsuo for it.) */
int SDF_InternalEncrypt_ECC(void *hSessionHandle, unsigned int uiIPKIndex, unsigned int uiAlgID, unsigned char *pucData,
                            unsigned int uiDataLength, ECCCipher *pucEncData);
int SDF_InternalDecrypt_ECC(void *hSessionHandle, unsigned int uiISKIndex, unsigned int uiAlgID, ECCCipher *pucEncData,
                            unsigned char *pucData, unsigned int *puiDataLength);

/* 6.5 对称算法运算 symmetric operations */

/* 输出长度等于输入长度。 As long as the input; CFB, OFB and CTR take any length. */
int SDF_Encrypt(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucIV, unsigned char *pucData,
                unsigned int uiDataLength, unsigned char *pucEncData, unsigned int *puiEncDataLength);
int SDF_Decrypt(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucIV, unsigned char *pucEncData,
                unsigned int uiEncDataLength, unsigned char *pucData, unsigned int *puiDataLength);
/* SGD_SM4_MAC: 16 字节,输入为分组整数倍;SGD_SM3 或 SGD_SM3_HMAC: HMAC-SM3, 32 字节。 */
int SDF_CalculateMAC(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucIV, unsigned char *pucData,
                     unsigned int uiDataLength, unsigned char *pucMac, unsigned int *puiMacLength);
/* 2023: 可鉴别加密 SGD_SM4_GCM、SGD_SM4_CCM。 Tag of 16 bytes; start value of 12 bytes is usual (CCM: 7 to 13). On a mismatch
 * SDR_MACERR and no data. The length of the tag is a value here; the printed text of 2023 has a pointer: both work. */
int SDF_AuthEnc(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucStartVar,
                unsigned int uiStartVarLength, unsigned char *pucAad, unsigned int uiAadLength, unsigned char *pucData,
                unsigned int uiDataLength, unsigned char *pucEncData, unsigned int *puiEncDataLength, unsigned char *pucAuthData,
                unsigned int *puiAuthDataLength);
int SDF_AuthDec(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucStartVar,
                unsigned int uiStartVarLength, unsigned char *pucAad, unsigned int uiAadLength, unsigned char *pucAuthData,
                unsigned int uiAuthDataLength, unsigned char *pucEncData, unsigned int uiEncDataLength, unsigned char *pucData,
                unsigned int *puiDataLength);
/* 2023: 多包运算。 Multi-part. Update of ECB and CBC writes whole blocks and keeps the rest, at most input + 15 bytes; Final with
 * a partial block: SDR_INARGERR. One calculation of each kind in a session; out of order: SDR_STEPERR. */
int SDF_EncryptInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucIV, unsigned int uiIVLength);
int SDF_EncryptUpdate(void *hSessionHandle, unsigned char *pucData, unsigned int uiDataLength, unsigned char *pucEncData,
                      unsigned int *puiEncDataLength);
int SDF_EncryptFinal(void *hSessionHandle, unsigned char *pucLastEncData, unsigned int *puiLastEncDataLength);
int SDF_DecryptInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucIV, unsigned int uiIVLength);
int SDF_DecryptUpdate(void *hSessionHandle, unsigned char *pucEncData, unsigned int uiEncDataLength, unsigned char *pucData,
                      unsigned int *puiDataLength);
int SDF_DecryptFinal(void *hSessionHandle, unsigned char *pucLastData, unsigned int *puiLastDataLength);
int SDF_CalculateMACInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucIV,
                         unsigned int uiIVLength);
int SDF_CalculateMACUpdate(void *hSessionHandle, unsigned char *pucData, unsigned int uiDataLength);
int SDF_CalculateMACFinal(void *hSessionHandle, unsigned char *pucMac, unsigned int *puiMacLength);
/* uiDataLength: 数据总长度。 The total length of the data, which CCM must know beforehand. */
int SDF_AuthEncInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucStartVar,
                    unsigned int uiStartVarLength, unsigned char *pucAad, unsigned int uiAadLength, unsigned int uiDataLength);
int SDF_AuthEncUpdate(void *hSessionHandle, unsigned char *pucData, unsigned int uiDataLength, unsigned char *pucEncData,
                      unsigned int *puiEncDataLength);
int SDF_AuthEncFinal(void *hSessionHandle, unsigned char *pucLastEncData, unsigned int *puiLastEncDataLength,
                     unsigned char *pucAuthData, unsigned int *puiAuthDataLength);
int SDF_AuthDecInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID, unsigned char *pucStartVar,
                    unsigned int uiStartVarLength, unsigned char *pucAad, unsigned int uiAadLength, unsigned char *pucAuthData,
                    unsigned int uiAuthDataLength, unsigned int uiDataLength);
/* 标签由 Final 校验;Final 成功之前已输出的数据不可使用。 Final verifies the tag; what Update wrote must not be used before Final
 * returned SDR_OK. SDF_AuthDec writes nothing unless the tag is right: use it where the data fits one call. */
int SDF_AuthDecUpdate(void *hSessionHandle, unsigned char *pucEncData, unsigned int uiEncDataLength, unsigned char *pucData,
                      unsigned int *puiDataLength);
int SDF_AuthDecFinal(void *hSessionHandle, unsigned char *pucLastData, unsigned int *puiLastDataLength);

/* 6.6 杂凑运算 hash and HMAC */

/* uiIDLength 非 0 时先杂凑 Z。 With an identifier Z of the public key is absorbed first (SM2 preprocessing 1). SGD_SM3. */
int SDF_HashInit(void *hSessionHandle, unsigned int uiAlgID, ECCrefPublicKey *pucPublicKey, unsigned char *pucID,
                 unsigned int uiIDLength);
int SDF_HashUpdate(void *hSessionHandle, unsigned char *pucData, unsigned int uiDataLength);
int SDF_HashFinal(void *hSessionHandle, unsigned char *pucHash, unsigned int *puiHashLength);
/* 2023: HMAC-SM3; uiAlgID: SGD_SM3_HMAC or SGD_SM3. */
int SDF_HMACInit(void *hSessionHandle, void *hKeyHandle, unsigned int uiAlgID);
int SDF_HMACUpdate(void *hSessionHandle, unsigned char *pucData, unsigned int uiDataLength);
int SDF_HMACFinal(void *hSessionHandle, unsigned char *pucHMac, unsigned int *puiHMacLength);

/* 6.7 用户文件操作 files: names of 1 to 128 bytes, any value; the size is fixed at creation */
int SDF_CreateFile(void *hSessionHandle, unsigned char *pucFileName, unsigned int uiNameLen, unsigned int uiFileSize);
/* *puiFileLength: 输入为欲读长度,输出为实读长度。 In: bytes wanted; out: bytes read. */
int SDF_ReadFile(void *hSessionHandle, unsigned char *pucFileName, unsigned int uiNameLen, unsigned int uiOffset,
                 unsigned int *puiFileLength, unsigned char *pucBuffer);
int SDF_WriteFile(void *hSessionHandle, unsigned char *pucFileName, unsigned int uiNameLen, unsigned int uiOffset,
                  unsigned int uiFileLength, unsigned char *pucBuffer);
int SDF_DeleteFile(void *hSessionHandle, unsigned char *pucFileName, unsigned int uiNameLen);

/* 6.8 验证调试 verification and debugging: clear keys, test tenants only. The session comes first, as in the 2012 edition and in
 * all known implementations; the printed text of 2023 leaves it out of some of them. RSA: SDR_NOTSUPPORT. */
int SDF_GenerateKeyPair_RSA(void *hSessionHandle, unsigned int uiKeyBits, RSArefPublicKey *pucPublicKey,
                            RSArefPrivateKey *pucPrivateKey);
int SDF_GenerateKeyPair_ECC(void *hSessionHandle, unsigned int uiAlgID, unsigned int uiKeyBits, ECCrefPublicKey *pucPublicKey,
                            ECCrefPrivateKey *pucPrivateKey);
int SDF_ExternalPrivateKeyOperation_RSA(void *hSessionHandle, RSArefPrivateKey *pucPrivateKey, unsigned char *pucDataInput,
                                        unsigned int uiInputLength, unsigned char *pucDataOutput, unsigned int *puiOutputLength);
int SDF_ExternalSign_ECC(void *hSessionHandle, unsigned int uiAlgID, ECCrefPrivateKey *pucPrivateKey, unsigned char *pucData,
                         unsigned int uiDataLength, ECCSignature *pucSignature);
int SDF_ExternalDecrypt_ECC(void *hSessionHandle, unsigned int uiAlgID, ECCrefPrivateKey *pucPrivateKey, ECCCipher *pucEncData,
                            unsigned char *pucData, unsigned int *puiDataLength);
int SDF_ExternalKeyEncrypt(void *hSessionHandle, unsigned int uiAlgID, unsigned char *pucKey, unsigned int uiKeyLength,
                           unsigned char *pucIV, unsigned int uiIVLength, unsigned char *pucData, unsigned int uiDataLength,
                           unsigned char *pucEncData, unsigned int *puiEncDataLength);
int SDF_ExternalKeyDecrypt(void *hSessionHandle, unsigned int uiAlgID, unsigned char *pucKey, unsigned int uiKeyLength,
                           unsigned char *pucIV, unsigned int uiIVLength, unsigned char *pucEncData, unsigned int uiEncDataLength,
                           unsigned char *pucData, unsigned int *puiDataLength);
int SDF_ExternalKeyEncryptInit(void *hSessionHandle, unsigned int uiAlgID, unsigned char *pucKey, unsigned int uiKeyLength,
                               unsigned char *pucIV, unsigned int uiIVLength);
int SDF_ExternalKeyDecryptInit(void *hSessionHandle, unsigned int uiAlgID, unsigned char *pucKey, unsigned int uiKeyLength,
                               unsigned char *pucIV, unsigned int uiIVLength);
int SDF_ExternalKeyHMACInit(void *hSessionHandle, unsigned int uiAlgID, unsigned char *pucKey, unsigned int uiKeyLength);
int SDF_ExternalSign_SM9(void *hSessionHandle, SM9SignMasterPublicKey *pucPublicKey, SM9SignUserPrivateKey *pucPrivateKey,
                         unsigned char *pucData, unsigned int uiDataLength, SM9Signature *pucSignature);
int SDF_ExternalDecrypt_SM9(void *hSessionHandle, SM9EncUserPrivateKey *pucPrivateKey, unsigned char *pucUserID,
                            unsigned int uiUserIDLen, unsigned int ulAlgID, unsigned char *pucIV, SM9Cipher *pucEncData,
                            unsigned int *puiDataLength, unsigned char *pucData);

/* Appendix B (2023) SM9: SDR_NOTSUPPORT */
int SDF_ExportUserID_SM9(void *hSessionHandle, unsigned int uiKeyIndex, unsigned char *pucUserID, unsigned int *puiUserIDLen);
int SDF_GenerateEncMasterKeyPair_SM9(void *hSessionHandle, unsigned int uiAlgID, unsigned int *uiMasterKeyIndex,
                                     SM9EncMasterPublicKey *pucPublicKey);
int SDF_GenerateKeyWithEMK_SM9(void *hSessionHandle, unsigned int uiKeyLen, SM9EncMasterPublicKey *pucPublicKey,
                               unsigned char *pucUserID, unsigned int uiUserIDLen, SM9KeyPackage *pucKeyPackage,
                               void **phKeyHandle);
int SDF_GenerateKeyWithIMK_SM9(void *hSessionHandle, unsigned int uiKeyLen, unsigned int uiMasterKeyIndex,
                               unsigned char *pucUserID, unsigned int uiUserIDLen, SM9KeyPackage *pucKeyPackage,
                               void **phKeyHandle);
int SDF_ImportKeyWithISK_SM9(void *hSessionHandle, unsigned int uiISKIndex, unsigned int uiKeyLen, SM9KeyPackage *pucKeyPackage,
                             void **phKeyHandle);
int SDF_GenerateAgreementDataWithSM9(void *hSessionHandle, unsigned int uiMasterKeyIndex, unsigned int uiISKIndex,
                                     unsigned int uiKeyBits, unsigned char *pucResponseID, unsigned int uiResponseIDLength,
                                     unsigned char *pucSponsorID, unsigned int uiSponsorIDLength,
                                     SM9EncMasterPublicKey *pucPublicKey, SM9EncMasterPublicKey *pucSponsorTempPublicKey,
                                     void **phAgreementHandle);
int SDF_GenerateKeyWithSM9(void *hSessionHandle, void *hAgreementHandle, SM9EncMasterPublicKey *pucTempPublicKey,
                           void **phKeyHandle);
int SDF_GenerateAgreementDataAndKeyWithSM9(void *hSessionHandle, unsigned int uiMasterKeyIndex, unsigned int uiISKIndex,
                                           unsigned int uiKeyBits, unsigned char *pucResponseID, unsigned int uiResponseIDLength,
                                           unsigned char *pucSponsorID, unsigned int uiSponsorIDLength,
                                           SM9EncMasterPublicKey *pucPublicKey, SM9EncMasterPublicKey *pucSponsorTempPublicKey,
                                           SM9EncMasterPublicKey *pucResponseTempPublicKey, void **phKeyHandle);
int SDF_VerifyWithMasterEPK_SM9(void *hSessionHandle, SM9SignMasterPublicKey *pucPublicKey, unsigned char *pucUserID,
                                unsigned int uiUserIDLen, unsigned char *pucData, unsigned int uiDataLength,
                                SM9Signature *pucSignature);
int SDF_VerifyWithMasterIPK_SM9(void *hSessionHandle, unsigned int uiSignMasterKeyIndex, unsigned char *pucUserID,
                                unsigned int uiUserIDLen, unsigned char *pucData, unsigned int uiDataLength,
                                SM9Signature *pucSignature);
int SDF_InternalSignWithMasterEPK_SM9(void *hSessionHandle, SM9SignMasterPublicKey *pucPublicKey, unsigned int uiISKIndex,
                                      unsigned char *pucData, unsigned int uiDataLength, SM9Signature *pucSignature);
int SDF_InternalSignWithMasterIPK_SM9(void *hSessionHandle, unsigned int uiMasterKeyIndex, unsigned int uiISKIndex,
                                      unsigned char *pucData, unsigned int uiDataLength, SM9Signature *pucSignature);
int SDF_EncryptWithMasterEPK_SM9(void *hSessionHandle, SM9EncMasterPublicKey *pucPublicKey, unsigned char *pucUserID,
                                 unsigned int uiUserIDLen, unsigned int ulAlgID, unsigned char *pucIV, unsigned char *pucData,
                                 unsigned int uiDataLength, SM9Cipher *pucEncData);
int SDF_EncryptWithMasterIPK_SM9(void *hSessionHandle, unsigned int uiMasterKeyIndex, unsigned char *pucUserID,
                                 unsigned int uiUserIDLen, unsigned int ulAlgID, unsigned char *pucIV, unsigned char *pucData,
                                 unsigned int uiDataLength, SM9Cipher *pucEncData);
int SDF_DecryptWithISK_SM9(void *hSessionHandle, unsigned int uiISKIndex, unsigned char *pucUserID, unsigned int uiUserIDLen,
                           unsigned int ulAlgID, unsigned char *pucIV, SM9Cipher *pucEncData, unsigned int *puiDataLength,
                           unsigned char *pucData);

/* Appendix C (2023) key derivation for VPNs, "with" in small letters as printed: SDR_NOTSUPPORT */
int SDF_GenerateKeywithIKE(void *hSessionHandle, unsigned char *pucNi, unsigned int uiNiLength, unsigned char *pucNr,
                           unsigned int uiNrLength, unsigned char *pucCkyI, unsigned int uiCkyILength, unsigned char *pucCkyR,
                           unsigned int uiCkyRLength, unsigned int uiPrfAlgID, void **phKeyHandleD, unsigned int uiKeyBitsD,
                           void **phKeyHandleA, unsigned int uiKeyBitsA, void **phKeyHandleE, unsigned int uiKeyBitsE);
int SDF_GenerateKeywithEPK_IKE(void *hSessionHandle, unsigned char *pucNi, unsigned int uiNiLength, unsigned char *pucNr,
                               unsigned int uiNrLength, unsigned char *pucCkyI, unsigned int uiCkyILength,
                               unsigned char *pucCkyR, unsigned int uiCkyRLength, unsigned int uiPrfAlgID,
                               unsigned int uiEccAlgID, ECCrefPublicKey *pucPublicKey, ECCCipher *pucKeyD,
                               unsigned int uiKeyBitsD, ECCCipher *pucKeyA, unsigned int uiKeyBitsA, ECCCipher *pucKeyE,
                               unsigned int uiKeyBitsE);
int SDF_GenerateKeywithIPSEC(void *hSessionHandle, unsigned char *pucProtocolID, unsigned int uiProtocolIDLength,
                             unsigned char *pucSpi, unsigned int uiSpiLength, unsigned char *pucNi, unsigned int uiNiLength,
                             unsigned char *pucNr, unsigned int uiNrLength, void *hKeyHandle, unsigned int uiPrfAlgID,
                             void **phKeyHandleEnc, unsigned int uiKeyBitsEnc, void **phKeyHandleMac, unsigned int uiKeyBitsMac,
                             unsigned char *pucSalt, unsigned int uiSaltLength);
int SDF_GenerateKeywithEPK_IPSEC(void *hSessionHandle, unsigned char *pucProtocolID, unsigned int uiProtocolIDLength,
                                 unsigned char *pucSpi, unsigned int uiSpiLength, unsigned char *pucNi, unsigned int uiNiLength,
                                 unsigned char *pucNr, unsigned int uiNrLength, void *hKeyHandle, unsigned int uiPrfAlgID,
                                 unsigned int uiEccAlgID, ECCrefPublicKey *pucPublicKey, ECCCipher *pucKeyEnc,
                                 unsigned int uiKeyBitsEnc, ECCCipher *pucKeyMac, unsigned int uiKeyBitsMac,
                                 unsigned char *pucSalt, unsigned int uiSaltLength);
int SDF_GenerateKeywithSSL(void *hSessionHandle, void *hKeyHandlePreMaster, unsigned char *pucClientRandom,
                           unsigned int uiClientRandomLength, unsigned char *pucServerRandom, unsigned int uiServerRandomLength,
                           unsigned int uiPrfAlgID, void **phKeyHandleClientMac, unsigned int uiKeyBitsClientMac,
                           void **phKeyHandleServerMac, unsigned int uiKeyBitsServerMac, void **phKeyHandleClientEnc,
                           unsigned int uiKeyBitsClientEnc, void **phKeyHandleServerEnc, unsigned int uiKeyBitsServerEnc,
                           unsigned char *pucClientIV, unsigned int uiClientIVLength, unsigned char *pucServerIV,
                           unsigned int uiServerIVLength);
int SDF_GenerateKeywithEPK_SSL(void *hSessionHandle, void *hKeyHandlePreMaster, unsigned char *pucClientRandom,
                               unsigned int uiClientRandomLength, unsigned char *pucServerRandom,
                               unsigned int uiServerRandomLength, unsigned int uiPrfAlgID, unsigned int uiEccAlgID,
                               ECCrefPublicKey *pucPublicKey, ECCCipher *pucKeyClientMac, unsigned int uiKeyBitsClientMac,
                               ECCCipher *pucKeyServerMac, unsigned int uiKeyBitsServerMac, ECCCipher *pucKeyClientEnc,
                               unsigned int uiKeyBitsClientEnc, ECCCipher *pucKeyServerEnc, unsigned int uiKeyBitsServerEnc,
                               unsigned char *pucClientIV, unsigned int uiClientIVLength, unsigned char *pucServerIV,
                               unsigned int uiServerIVLength);

#ifdef __cplusplus
}
#endif

#endif
