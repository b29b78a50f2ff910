#include "backend/vendor.h"

#include <string.h>

static const unsigned char gmssl_absent[] = {
    FN_AT_SDF_ExportSignPublicKey_RSA,
    FN_AT_SDF_ExportEncPublicKey_RSA,
    FN_AT_SDF_GenerateKeyWithIPK_RSA,
    FN_AT_SDF_GenerateKeyWithEPK_RSA,
    FN_AT_SDF_ImportKeyWithISK_RSA,
    FN_AT_SDF_ExternalPublicKeyOperation_RSA,
    FN_AT_SDF_InternalPublicKeyOperation_RSA,
    FN_AT_SDF_InternalPrivateKeyOperation_RSA,
    FN_AT_SDF_ExchangeDigitEnvelopeBaseOnRSA,
    FN_AT_SDF_ExchangeDigitEnvelopeBaseOnECC,
    FN_AT_SDF_GenerateAgreementDataWithECC,
    FN_AT_SDF_GenerateKeyWithECC,
    FN_AT_SDF_GenerateAgreementDataAndKeyWithECC,
};

static const struct fn_profile profiles[] = {
    {.name = "gm2012",
     .text = {"GM/T 0018-2012 标准", "GM/T 0018-2012 as written"},
     .ecc_width = 64,
     .mac_sm3_is_hmac = true,
     .standard = 2012},
    {.name = "gm2023",
     .text = {"GM/T 0018-2023 标准", "GM/T 0018-2023 as written"},
     .ecc_width = 64,
     .mac_sm3_is_hmac = true,
     .standard = 2023},
    {.name = "gmssl",
     .text = {"GmSSL 与 SoftSDF:KEK 以 CBC 加填充包裹,不可多线程",
              "GmSSL and SoftSDF: KEK wraps with padded CBC, one thread at a time"},
     .ecc_width = 64,
     .wrap = FN_WRAP_CBC_PKCS7,
     .serial = true,
     .random_most = 256,
     .absent = gmssl_absent,
     .absent_count = sizeof gmssl_absent,
     .mac_sm3_is_hmac = true,
     .standard = 2012},
    {.name = "tongsuo",
     .text = {"Tongsuo:内部加解密没有算法参数",
              "Tongsuo: internal encryption and decryption without an algorithm argument"},
     .ecc_width = 64,
     .internal_short = true,
     .mac_sm3_is_hmac = true,
     .standard = 2012},
    {.name = "sansec-old",
     .text = {"2008 年草案编号与结构(旧 swsds.h)", "numbering and layouts of the 2008 draft (older swsds.h)"},
     .ecc_width = 32,
     .cipher = FN_CIPHER_DRAFT,
     .numbers = FN_NUMBERS_DRAFT,
     .rsa_usage = true,
     .standard = 2012},
    {.name = "sansec-new",
     .text = {"较新的 swsds.h:结构同标准,密文数组定长",
              "newer swsds.h: layouts of the standard, fixed array in the ciphertext"},
     .ecc_width = 64,
     .standard = 2012},
};

const struct fn_profile *fn_profile_at(size_t position)
{
    return position < FN_COUNT(profiles) ? &profiles[position] : NULL;
}

const struct fn_profile *fn_profile(const char *name)
{
    for (size_t i = 0; i < FN_COUNT(profiles); i++)
        if (strcmp(profiles[i].name, name) == 0) return &profiles[i];
    return NULL;
}
