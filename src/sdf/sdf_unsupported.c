/* What this device does not do: SM9 (Appendix B), key derivation for VPNs (Appendix C), RSA with clear
 * private keys. Callers bind every name, so every name is there and answers SDR_NOTSUPPORT; the arguments are
 * not looked at. */
#include "sdf/sdf_private.h"

#define NOT_SUPPORTED(name, ...)                                                                             \
    SDF_PUBLIC int name(__VA_ARGS__)                                                                         \
    {                                                                                                        \
        return sdf_code(FN_FAIL(FN_E_UNSUPPORTED, #name));                                                   \
    }
#pragma GCC diagnostic ignored "-Wunused-parameter"

NOT_SUPPORTED(SDF_GenerateKeyPair_RSA, void *hSessionHandle, unsigned int uiKeyBits,
              RSArefPublicKey *pucPublicKey, RSArefPrivateKey *pucPrivateKey)
NOT_SUPPORTED(SDF_ExternalPrivateKeyOperation_RSA, void *hSessionHandle, RSArefPrivateKey *pucPrivateKey,
              unsigned char *pucDataInput, unsigned int uiInputLength, unsigned char *pucDataOutput,
              unsigned int *puiOutputLength)
NOT_SUPPORTED(SDF_ExternalSign_SM9, void *hSessionHandle, SM9SignMasterPublicKey *pucPublicKey,
              SM9SignUserPrivateKey *pucPrivateKey, unsigned char *pucData, unsigned int uiDataLength,
              SM9Signature *pucSignature)
NOT_SUPPORTED(SDF_ExternalDecrypt_SM9, void *hSessionHandle, SM9EncUserPrivateKey *pucPrivateKey,
              unsigned char *pucUserID, unsigned int uiUserIDLen, unsigned int ulAlgID, unsigned char *pucIV,
              SM9Cipher *pucEncData, unsigned int *puiDataLength, unsigned char *pucData)
NOT_SUPPORTED(SDF_ExportUserID_SM9, void *hSessionHandle, unsigned int uiKeyIndex, unsigned char *pucUserID,
              unsigned int *puiUserIDLen)
NOT_SUPPORTED(SDF_GenerateEncMasterKeyPair_SM9, void *hSessionHandle, unsigned int uiAlgID,
              unsigned int *uiMasterKeyIndex, SM9EncMasterPublicKey *pucPublicKey)
NOT_SUPPORTED(SDF_GenerateKeyWithEMK_SM9, void *hSessionHandle, unsigned int uiKeyLen,
              SM9EncMasterPublicKey *pucPublicKey, unsigned char *pucUserID, unsigned int uiUserIDLen,
              SM9KeyPackage *pucKeyPackage, void **phKeyHandle)
NOT_SUPPORTED(SDF_GenerateKeyWithIMK_SM9, void *hSessionHandle, unsigned int uiKeyLen,
              unsigned int uiMasterKeyIndex, unsigned char *pucUserID, unsigned int uiUserIDLen,
              SM9KeyPackage *pucKeyPackage, void **phKeyHandle)
NOT_SUPPORTED(SDF_ImportKeyWithISK_SM9, void *hSessionHandle, unsigned int uiISKIndex, unsigned int uiKeyLen,
              SM9KeyPackage *pucKeyPackage, void **phKeyHandle)
NOT_SUPPORTED(SDF_GenerateAgreementDataWithSM9, void *hSessionHandle, unsigned int uiMasterKeyIndex,
              unsigned int uiISKIndex, unsigned int uiKeyBits, unsigned char *pucResponseID,
              unsigned int uiResponseIDLength, unsigned char *pucSponsorID, unsigned int uiSponsorIDLength,
              SM9EncMasterPublicKey *pucPublicKey, SM9EncMasterPublicKey *pucSponsorTempPublicKey,
              void **phAgreementHandle)
NOT_SUPPORTED(SDF_GenerateKeyWithSM9, void *hSessionHandle, void *hAgreementHandle,
              SM9EncMasterPublicKey *pucTempPublicKey, void **phKeyHandle)
NOT_SUPPORTED(SDF_GenerateAgreementDataAndKeyWithSM9, void *hSessionHandle, unsigned int uiMasterKeyIndex,
              unsigned int uiISKIndex, unsigned int uiKeyBits, unsigned char *pucResponseID,
              unsigned int uiResponseIDLength, unsigned char *pucSponsorID, unsigned int uiSponsorIDLength,
              SM9EncMasterPublicKey *pucPublicKey, SM9EncMasterPublicKey *pucSponsorTempPublicKey,
              SM9EncMasterPublicKey *pucResponseTempPublicKey, void **phKeyHandle)
NOT_SUPPORTED(SDF_VerifyWithMasterEPK_SM9, void *hSessionHandle, SM9SignMasterPublicKey *pucPublicKey,
              unsigned char *pucUserID, unsigned int uiUserIDLen, unsigned char *pucData,
              unsigned int uiDataLength, SM9Signature *pucSignature)
NOT_SUPPORTED(SDF_VerifyWithMasterIPK_SM9, void *hSessionHandle, unsigned int uiSignMasterKeyIndex,
              unsigned char *pucUserID, unsigned int uiUserIDLen, unsigned char *pucData,
              unsigned int uiDataLength, SM9Signature *pucSignature)
NOT_SUPPORTED(SDF_InternalSignWithMasterEPK_SM9, void *hSessionHandle, SM9SignMasterPublicKey *pucPublicKey,
              unsigned int uiISKIndex, unsigned char *pucData, unsigned int uiDataLength,
              SM9Signature *pucSignature)
NOT_SUPPORTED(SDF_InternalSignWithMasterIPK_SM9, void *hSessionHandle, unsigned int uiMasterKeyIndex,
              unsigned int uiISKIndex, unsigned char *pucData, unsigned int uiDataLength,
              SM9Signature *pucSignature)
NOT_SUPPORTED(SDF_EncryptWithMasterEPK_SM9, void *hSessionHandle, SM9EncMasterPublicKey *pucPublicKey,
              unsigned char *pucUserID, unsigned int uiUserIDLen, unsigned int ulAlgID, unsigned char *pucIV,
              unsigned char *pucData, unsigned int uiDataLength, SM9Cipher *pucEncData)
NOT_SUPPORTED(SDF_EncryptWithMasterIPK_SM9, void *hSessionHandle, unsigned int uiMasterKeyIndex,
              unsigned char *pucUserID, unsigned int uiUserIDLen, unsigned int ulAlgID, unsigned char *pucIV,
              unsigned char *pucData, unsigned int uiDataLength, SM9Cipher *pucEncData)
NOT_SUPPORTED(SDF_DecryptWithISK_SM9, void *hSessionHandle, unsigned int uiISKIndex, unsigned char *pucUserID,
              unsigned int uiUserIDLen, unsigned int ulAlgID, unsigned char *pucIV, SM9Cipher *pucEncData,
              unsigned int *puiDataLength, unsigned char *pucData)
NOT_SUPPORTED(SDF_GenerateKeywithIKE, void *hSessionHandle, unsigned char *pucNi, unsigned int uiNiLength,
              unsigned char *pucNr, unsigned int uiNrLength, unsigned char *pucCkyI,
              unsigned int uiCkyILength, unsigned char *pucCkyR, unsigned int uiCkyRLength,
              unsigned int uiPrfAlgID, void **phKeyHandleD, unsigned int uiKeyBitsD, void **phKeyHandleA,
              unsigned int uiKeyBitsA, void **phKeyHandleE, unsigned int uiKeyBitsE)
NOT_SUPPORTED(SDF_GenerateKeywithEPK_IKE, void *hSessionHandle, unsigned char *pucNi, unsigned int uiNiLength,
              unsigned char *pucNr, unsigned int uiNrLength, unsigned char *pucCkyI,
              unsigned int uiCkyILength, unsigned char *pucCkyR, unsigned int uiCkyRLength,
              unsigned int uiPrfAlgID, unsigned int uiEccAlgID, ECCrefPublicKey *pucPublicKey,
              ECCCipher *pucKeyD, unsigned int uiKeyBitsD, ECCCipher *pucKeyA, unsigned int uiKeyBitsA,
              ECCCipher *pucKeyE, unsigned int uiKeyBitsE)
NOT_SUPPORTED(SDF_GenerateKeywithIPSEC, void *hSessionHandle, unsigned char *pucProtocolID,
              unsigned int uiProtocolIDLength, unsigned char *pucSpi, unsigned int uiSpiLength,
              unsigned char *pucNi, unsigned int uiNiLength, unsigned char *pucNr, unsigned int uiNrLength,
              void *hKeyHandle, unsigned int uiPrfAlgID, void **phKeyHandleEnc, unsigned int uiKeyBitsEnc,
              void **phKeyHandleMac, unsigned int uiKeyBitsMac, unsigned char *pucSalt,
              unsigned int uiSaltLength)
NOT_SUPPORTED(SDF_GenerateKeywithEPK_IPSEC, void *hSessionHandle, unsigned char *pucProtocolID,
              unsigned int uiProtocolIDLength, unsigned char *pucSpi, unsigned int uiSpiLength,
              unsigned char *pucNi, unsigned int uiNiLength, unsigned char *pucNr, unsigned int uiNrLength,
              void *hKeyHandle, unsigned int uiPrfAlgID, unsigned int uiEccAlgID,
              ECCrefPublicKey *pucPublicKey, ECCCipher *pucKeyEnc, unsigned int uiKeyBitsEnc,
              ECCCipher *pucKeyMac, unsigned int uiKeyBitsMac, unsigned char *pucSalt,
              unsigned int uiSaltLength)
NOT_SUPPORTED(SDF_GenerateKeywithSSL, void *hSessionHandle, void *hKeyHandlePreMaster,
              unsigned char *pucClientRandom, unsigned int uiClientRandomLength,
              unsigned char *pucServerRandom, unsigned int uiServerRandomLength, unsigned int uiPrfAlgID,
              void **phKeyHandleClientMac, unsigned int uiKeyBitsClientMac, void **phKeyHandleServerMac,
              unsigned int uiKeyBitsServerMac, void **phKeyHandleClientEnc, unsigned int uiKeyBitsClientEnc,
              void **phKeyHandleServerEnc, unsigned int uiKeyBitsServerEnc, unsigned char *pucClientIV,
              unsigned int uiClientIVLength, unsigned char *pucServerIV, unsigned int uiServerIVLength)
NOT_SUPPORTED(SDF_GenerateKeywithEPK_SSL, void *hSessionHandle, void *hKeyHandlePreMaster,
              unsigned char *pucClientRandom, unsigned int uiClientRandomLength,
              unsigned char *pucServerRandom, unsigned int uiServerRandomLength, unsigned int uiPrfAlgID,
              unsigned int uiEccAlgID, ECCrefPublicKey *pucPublicKey, ECCCipher *pucKeyClientMac,
              unsigned int uiKeyBitsClientMac, ECCCipher *pucKeyServerMac, unsigned int uiKeyBitsServerMac,
              ECCCipher *pucKeyClientEnc, unsigned int uiKeyBitsClientEnc, ECCCipher *pucKeyServerEnc,
              unsigned int uiKeyBitsServerEnc, unsigned char *pucClientIV, unsigned int uiClientIVLength,
              unsigned char *pucServerIV, unsigned int uiServerIVLength)
