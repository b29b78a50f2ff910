/* Algorithm identifiers of GB/T 33560-2017 and GM/T 0006-2023 that the device knows. */
#ifndef FN_DEVICE_SGD_H
#define FN_DEVICE_SGD_H

enum fn_sgd {
    FN_SGD_SM4_ECB = 0x401,
    FN_SGD_SM4_CBC = 0x402,
    FN_SGD_SM4_CFB = 0x404,
    FN_SGD_SM4_OFB = 0x408,
    FN_SGD_SM4_MAC = 0x410,
    FN_SGD_SM4_CTR = 0x420,
    FN_SGD_SM4_XTS = 0x01000400,
    FN_SGD_SM4_GCM = 0x02000400,
    FN_SGD_SM4_CCM = 0x04000400,
    FN_SGD_SM3 = 0x1,
    FN_SGD_SHA256 = 0x4,
    FN_SGD_SM3_HMAC = 0x8,
    FN_SGD_RSA = 0x00010000,
    FN_SGD_SM2 = 0x00020100,
};

#endif
