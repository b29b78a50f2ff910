/* A vendor's SDF library: loaded, its functions found, its dialect translated. The dialect is data (struct
 * fn_profile); the rest of the backend speaks the layouts and identifiers of the standard. */
#ifndef FN_BACKEND_VENDOR_H
#define FN_BACKEND_VENDOR_H

#include "base/core/bytes.h"
#include "base/sys/verb.h"
#include "gmt/sdf.h"

#include <pthread.h>

enum fn_numbering {
    FN_NUMBERS_GM,    /* GB/T 33560: SM4 0x4xx, SM2 0x202xx … */
    FN_NUMBERS_DRAFT, /* the draft of 2008: SM4 0x20xx, SM2_1 0x20100, SM2_3 0x20400 */
};
enum fn_cipher_layout {
    FN_CIPHER_GM,    /* x, y, M, L, C */
    FN_CIPHER_DRAFT, /* length, x, y, C[136], M */
};
enum fn_kek_wrap { FN_WRAP_ECB, FN_WRAP_CBC_PKCS7 };

struct fn_profile {
    const char *name;
    struct fn_text text;
    size_t ecc_width; /* bytes of a coordinate: 64 or 32 */
    enum fn_cipher_layout cipher;
    enum fn_numbering numbers;
    enum fn_kek_wrap wrap;
    bool rsa_usage;       /* internal RSA functions take a key usage after the index */
    bool internal_short;  /* SDF_InternalEncrypt/Decrypt_ECC lack the algorithm */
    bool serial;          /* not safe for threads: one call at a time */
    bool mac_sm3_is_hmac; /* SDF_CalculateMAC with SGD_SM3 is HMAC-SM3 */
    unsigned random_most; /* bytes of one SDF_GenerateRandom; 0: 2048 */
    const unsigned char
        *absent; /* functions (enum fn_vendor_function) that are there and always answer SDR_NOTSUPPORT */
    size_t absent_count;
    unsigned standard; /* edition: 2012 or 2023 */
};
/* By position, NULL past the end; by name, NULL when unknown. */
const struct fn_profile *fn_profile_at(size_t position);
const struct fn_profile *fn_profile(const char *name);

/* Every function that is looked for: group, name. */
#define FN_VENDOR_FUNCTIONS(X)                                                                               \
    X(DEVICE, SDF_OpenDevice)                                                                                \
    X(DEVICE, SDF_CloseDevice)                                                                               \
    X(DEVICE, SDF_OpenSession) X(DEVICE, SDF_CloseSession) X(DEVICE, SDF_GetDeviceInfo) X(                   \
        DEVICE, SDF_GenerateRandom) X(DEVICE,                                                                \
                                      SDF_GetPrivateKeyAccessRight) X(DEVICE,                                \
                                                                      SDF_ReleasePrivateKeyAccessRight)      \
        X(KEY, SDF_ExportSignPublicKey_RSA) X(KEY, SDF_ExportEncPublicKey_RSA) X(                            \
            KEY, SDF_GenerateKeyWithIPK_RSA) X(KEY, SDF_GenerateKeyWithEPK_RSA) X(KEY,                       \
                                                                                  SDF_ImportKeyWithISK_RSA)  \
            X(KEY, SDF_ExportSignPublicKey_ECC) X(KEY, SDF_ExportEncPublicKey_ECC) X(                        \
                KEY, SDF_GenerateKeyWithIPK_ECC) X(KEY, SDF_GenerateKeyWithEPK_ECC)                          \
                X(KEY, SDF_ImportKeyWithISK_ECC) X(KEY, SDF_GenerateAgreementDataWithECC) X(                 \
                    KEY, SDF_GenerateKeyWithECC) X(KEY, SDF_GenerateAgreementDataAndKeyWithECC)              \
                    X(KEY, SDF_GenerateKeyWithKEK) X(KEY, SDF_ImportKeyWithKEK) X(KEY, SDF_DestroyKey) X(    \
                        ASYMMETRIC,                                                                          \
                        SDF_ExternalPublicKeyOperation_RSA) X(ASYMMETRIC,                                    \
                                                              SDF_InternalPublicKeyOperation_RSA)            \
                        X(ASYMMETRIC, SDF_InternalPrivateKeyOperation_RSA) X(                                \
                            ASYMMETRIC, SDF_ExternalVerify_ECC) X(ASYMMETRIC, SDF_InternalSign_ECC)          \
                            X(ASYMMETRIC, SDF_InternalVerify_ECC) X(ASYMMETRIC, SDF_ExternalEncrypt_ECC) X(  \
                                SYMMETRIC, SDF_Encrypt) X(SYMMETRIC, SDF_Decrypt) X(SYMMETRIC,               \
                                                                                    SDF_CalculateMAC)        \
                                X(HASH, SDF_HashInit) X(HASH, SDF_HashUpdate) X(HASH, SDF_HashFinal) X(      \
                                    FILE, SDF_CreateFile) X(FILE, SDF_ReadFile) X(FILE, SDF_WriteFile)       \
                                    X(FILE, SDF_DeleteFile) X(OLD, SDF_GenerateKeyPair_RSA) X(               \
                                        OLD, SDF_GenerateKeyPair_ECC) X(OLD,                                 \
                                                                        SDF_ExchangeDigitEnvelopeBaseOnRSA)  \
                                        X(OLD, SDF_ExchangeDigitEnvelopeBaseOnECC) X(NEW, SDF_AuthEnc) X(    \
                                            NEW, SDF_AuthDec) X(NEW, SDF_EncryptInit) X(NEW,                 \
                                                                                        SDF_EncryptUpdate)   \
                                            X(NEW, SDF_EncryptFinal) X(NEW, SDF_DecryptInit) X(              \
                                                NEW, SDF_DecryptUpdate) X(NEW, SDF_DecryptFinal)             \
                                                X(NEW, SDF_CalculateMACInit) X(NEW, SDF_CalculateMACUpdate)  \
                                                    X(NEW, SDF_CalculateMACFinal) X(NEW, SDF_AuthEncInit) X( \
                                                        NEW, SDF_AuthEncUpdate) X(NEW, SDF_AuthEncFinal)     \
                                                        X(NEW, SDF_AuthDecInit) X(NEW, SDF_AuthDecUpdate)    \
                                                            X(NEW, SDF_AuthDecFinal) X(NEW, SDF_HMACInit)    \
                                                                X(NEW, SDF_HMACUpdate) X(NEW, SDF_HMACFinal) \
                                                                    X(EXTENSION, SDF_ImportKey)              \
                                                                        X(EXTENSION, SDF_GetSymmKeyHandle)   \
                                                                            X(EXTENSION,                     \
                                                                              SDF_InternalEncrypt_ECC)       \
                                                                                X(EXTENSION,                 \
                                                                                  SDF_InternalDecrypt_ECC)

enum fn_vendor_group {
    FN_GROUP_DEVICE,
    FN_GROUP_KEY,
    FN_GROUP_ASYMMETRIC,
    FN_GROUP_SYMMETRIC,
    FN_GROUP_HASH,
    FN_GROUP_FILE,
    FN_GROUP_OLD,
    FN_GROUP_NEW,
    FN_GROUP_EXTENSION,
    FN_GROUPS
};
enum fn_vendor_function {
#define X(group, name) FN_AT_##name,
    FN_VENDOR_FUNCTIONS(X)
#undef X
        FN_VENDOR_COUNT
};
struct fn_vendor_name {
    enum fn_vendor_group group;
    const char *name;
};
extern const struct fn_vendor_name fn_vendor_names[FN_VENDOR_COUNT];

struct fn_vendor {
    void *library;
    const struct fn_profile *profile;
    void *functions[FN_VENDOR_COUNT];
    void *device;
    pthread_mutex_t lock; /* of a library that is not safe for threads */
};

/* The function with its standard type; NULL when the library has none. */
#define FN_VENDOR(vendor, name) ((__typeof__(&name))(vendor)->functions[FN_AT_##name])
static inline bool fn_vendor_has(const struct fn_vendor *v, enum fn_vendor_function f)
{
    return v->functions[f] != NULL;
}

/* Loads and finds; opens no device. FN_E_NOT_FOUND with the loader's words; FN_E_FORMAT when even
 * SDF_OpenDevice is missing. */
fn_err fn_vendor_load(struct fn_vendor *v, const char *path, const struct fn_profile *profile);
fn_err fn_vendor_open(struct fn_vendor *v);
void fn_vendor_close(struct fn_vendor *v);
/* The number of an SDR code as ours, with the name of the call in the chain. FN_OK for SDR_OK. */
fn_err fn_vendor_error(int code, const char *call);

/* Identifiers of the standard as the vendor's. */
unsigned fn_vendor_algorithm(const struct fn_vendor *v, unsigned algorithm);

/* Structures in the vendor's layout. Room for any of them: */
#define FN_VENDOR_KEY       136u
#define FN_VENDOR_SIG       128u
#define FN_VENDOR_CIPHER(n) (512u + (n)) /* libraries may write a whole structure with C[136] */
void fn_vendor_put_public(const struct fn_vendor *v, const uint8_t point[64], uint8_t out[FN_VENDOR_KEY]);
fn_err fn_vendor_get_public(const struct fn_vendor *v, const uint8_t in[FN_VENDOR_KEY], uint8_t point[64]);
void fn_vendor_put_signature(const struct fn_vendor *v, const uint8_t sig[64], uint8_t out[FN_VENDOR_SIG]);
fn_err fn_vendor_get_signature(const struct fn_vendor *v, const uint8_t in[FN_VENDOR_SIG], uint8_t sig[64]);
/* C1x ‖ C1y ‖ C3 ‖ C2 of 96 + n bytes. The draft layout holds at most 136 bytes of C2. */
fn_err fn_vendor_put_cipher(const struct fn_vendor *v, struct fn_bytes cipher, uint8_t *out, size_t room);
fn_err fn_vendor_get_cipher(const struct fn_vendor *v, const uint8_t *in, size_t room, struct fn_buf *out);

#endif
