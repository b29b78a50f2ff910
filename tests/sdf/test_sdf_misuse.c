/* libsdf as it should not be used: full vectors, buffers that end at a page nobody may touch, wrong handles,
 * nothing where something is wanted. */
#include "device_process.h"

#include <sys/mman.h>

/* n bytes right before a page that cannot be touched. */
static void *before_wall(size_t n)
{
    size_t page = 4096, whole = (n + page - 1) / page * page + page;
    unsigned char *p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + whole - page, page, PROT_NONE), 0);
    memset(p, 0x5a, whole - page);
    return p + whole - page - n;
}

/* The largest vector that can be put together is answered, though the answer is longer than a request may be. */
static void test_full_vector(void **state)
{
    (void)state;
    void *handle, *session, *vector, *key;
    unsigned char data[240] = {1};
    unsigned int count = 0;
    SDFX_Uuid uuid;
    SDFX_Result *r = NULL;
    assert_int_equal(S(SDFX_OpenDevice)(&handle, NULL), SDR_OK);
    assert_int_equal(S(SDF_OpenSession)(handle, &session), SDR_OK);
    assert_int_equal(S(SDFX_NewKey)(session, SDFX_CLASS_DATA_ENC, SDFX_SM4, SDFX_USE_ENCRYPT | SDFX_USE_DECRYPT,
                                    "", NULL, &uuid, NULL, NULL),
                     SDR_OK);
    assert_int_equal(S(SDFX_KeyHandle)(session, &uuid, 0, &key), SDR_OK);
    assert_int_equal(S(SDFX_NewVector)(session, SDFX_AEAD_ENCRYPT, &vector), SDR_OK);
    while (S(SDFX_AddAead)(vector, key, SGD_SM4_GCM, NULL, 0, NULL, 0, NULL, 0, data, sizeof data) == SDR_OK)
        count++;
    assert_true(count > 3000);
    assert_int_equal(S(SDFX_Submit)(vector, 1), SDR_OK);
    for (int i = 0; i < 600 && !r; i++) (void)S(SDFX_Poll)(handle, 100, &r);
    assert_non_null(r);
    assert_int_equal(S(SDFX_ResultStatus)(r), SDR_OK);
    assert_int_equal(S(SDFX_ResultCount)(r), count);
    for (unsigned int i = 0; i < count; i++) assert_int_equal(S(SDFX_ResultItem)(r, i), SDR_OK);
    S(SDFX_FreeResult)(r);
    assert_int_equal(S(SDF_CloseDevice)(handle), SDR_OK);
}

#define WALL(type, name, n) type *name = before_wall(n)

/* Every output and input ends exactly where its buffer does. */
static void test_walls(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    sdf_right(s, 1);
    WALL(unsigned int, n, sizeof *n);
    WALL(void *, key, sizeof *key);
    WALL(unsigned char, wrapped, 16);
    WALL(unsigned char, iv, 16);
    WALL(unsigned char, data, 48);
    WALL(unsigned char, out, 48);
    WALL(unsigned char, mac, 32);
    WALL(unsigned char, short_mac, 16);
    WALL(unsigned char, e, 32);
    WALL(ECCSignature, sig, sizeof *sig);
    WALL(ECCrefPublicKey, pub, sizeof *pub);
    WALL(RSArefPublicKey, rsa, sizeof *rsa);
    WALL(DEVICEINFO, info, sizeof *info);
    ECCCipher *cipher = before_wall(164 + 16), *longer = before_wall(164 + 48);
    assert_int_equal(S(SDF_GetDeviceInfo)(s.session, info), SDR_OK);
    for (unsigned int i = 1; i < 40; i++)
        assert_int_equal(S(SDF_GenerateRandom)(s.session, i, before_wall(i)), SDR_OK);
    assert_int_equal(S(SDF_ExportSignPublicKey_ECC)(s.session, 1, pub), SDR_OK);
    assert_int_equal(S(SDF_InternalSign_ECC)(s.session, 1, e, 32, sig), SDR_OK);
    assert_int_equal(S(SDF_ExternalVerify_ECC)(s.session, SGD_SM2_1, pub, e, 32, sig), SDR_OK);
    assert_int_equal(S(SDF_ExportEncPublicKey_RSA)(s.session, 3, rsa), SDR_OK);
    assert_int_equal(S(SDF_GenerateKeyWithIPK_RSA)(s.session, 3, 128, before_wall(256), n, key), SDR_OK);
    assert_int_equal(S(SDF_GenerateKeyWithIPK_ECC)(s.session, 1, 128, cipher, key), SDR_OK);
    assert_int_equal(S(SDF_ImportKeyWithISK_ECC)(s.session, 1, cipher, key), SDR_OK);
    assert_int_equal(S(SDF_ExternalEncrypt_ECC)(s.session, SGD_SM2_3, pub, data, 48, longer), SDR_OK);
    assert_int_equal(S(SDF_GenerateKeyWithKEK)(s.session, 128, SGD_SM4_ECB, 1, wrapped, n, key), SDR_OK);
    assert_int_equal(*n, 16);
    /* A key of another kind than the call's is not written into its room. */
    assert_int_not_equal(S(SDF_GenerateKeyWithIPK_ECC)(s.session, 3, 128, cipher, key), SDR_OK);
    assert_int_equal(S(SDF_ImportKeyWithKEK)(s.session, SGD_SM4_ECB, 1, wrapped, 16, key), SDR_OK);
    assert_int_equal(S(SDF_Encrypt)(s.session, *key, SGD_SM4_CBC, iv, data, 48, out, n), SDR_OK);
    assert_int_equal(S(SDF_Decrypt)(s.session, *key, SGD_SM4_ECB, NULL, out, 48, out, n), SDR_OK);
    assert_int_equal(S(SDF_CalculateMAC)(s.session, *key, SGD_SM4_MAC, iv, data, 48, short_mac, n), SDR_OK);
    assert_int_equal(S(SDF_CalculateMAC)(s.session, *key, SGD_SM3, NULL, data, 48, mac, n), SDR_OK);
    assert_int_equal(S(SDF_AuthEnc)(s.session, *key, SGD_SM4_GCM, iv, 12, data, 48, data, 48, out, n, short_mac, n), SDR_OK);
    assert_int_equal(S(SDF_EncryptInit)(s.session, *key, SGD_SM4_CBC, iv, 16), SDR_OK);
    assert_int_equal(S(SDF_EncryptUpdate)(s.session, data, 48, out, n), SDR_OK);
    assert_int_equal(S(SDF_EncryptFinal)(s.session, before_wall(0), n), SDR_OK);
    assert_int_equal(*n, 0);
    assert_int_equal(S(SDF_CalculateMACInit)(s.session, *key, SGD_SM4_MAC, iv, 16), SDR_OK);
    assert_int_equal(S(SDF_CalculateMACUpdate)(s.session, data, 48), SDR_OK);
    assert_int_equal(S(SDF_CalculateMACFinal)(s.session, short_mac, n), SDR_OK);
    assert_int_equal(S(SDF_HashInit)(s.session, SGD_SM3, pub, data, 16), SDR_OK);
    assert_int_equal(S(SDF_HashUpdate)(s.session, data, 48), SDR_OK);
    assert_int_equal(S(SDF_HashFinal)(s.session, mac, n), SDR_OK);
    assert_int_equal(S(SDF_CreateFile)(s.session, data, 48, 100), SDR_OK);
    *n = 48;
    assert_int_equal(S(SDF_ReadFile)(s.session, data, 48, 0, n, out), SDR_OK);
    *n = 0xffffffff; /* a length that nobody set: no more than the file has comes back */
    assert_int_equal(S(SDF_ReadFile)(s.session, data, 48, 0, n, before_wall(100)), SDR_OK);
    assert_int_equal(*n, 100);
    sdf_close(s);
}

typedef int any_call(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
                     uintptr_t, uintptr_t, uintptr_t, uintptr_t);

/* Nothing, closed handles, handles of another kind, in every place of every function. */
static void test_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {
        "SDF_OpenDevice", "SDF_CloseDevice", "SDF_OpenSession", "SDF_GetDeviceInfo", "SDF_GenerateRandom",
        "SDF_GetPrivateKeyAccessRight", "SDF_ReleasePrivateKeyAccessRight", "SDF_ExportSignPublicKey_RSA",
        "SDF_ExportEncPublicKey_RSA", "SDF_ExportSignPublicKey_ECC", "SDF_ExportEncPublicKey_ECC",
        "SDF_GenerateKeyWithIPK_RSA", "SDF_GenerateKeyWithEPK_RSA", "SDF_ImportKeyWithISK_RSA",
        "SDF_ExchangeDigitEnvelopeBaseOnRSA", "SDF_GenerateKeyWithIPK_ECC", "SDF_GenerateKeyWithEPK_ECC",
        "SDF_ImportKeyWithISK_ECC", "SDF_GenerateAgreementDataWithECC", "SDF_GenerateKeyWithECC",
        "SDF_GenerateAgreementDataAndKeyWithECC", "SDF_ExchangeDigitEnvelopeBaseOnECC", "SDF_GenerateKeyWithKEK",
        "SDF_ImportKeyWithKEK", "SDF_ImportKey", "SDF_DestroyKey", "SDF_ExternalPublicKeyOperation_RSA",
        "SDF_InternalPublicKeyOperation_RSA", "SDF_InternalPrivateKeyOperation_RSA", "SDF_ExternalVerify_ECC",
        "SDF_InternalSign_ECC", "SDF_InternalVerify_ECC", "SDF_ExternalEncrypt_ECC", "SDF_InternalEncrypt_ECC",
        "SDF_InternalDecrypt_ECC", "SDF_Encrypt", "SDF_Decrypt", "SDF_CalculateMAC", "SDF_AuthEnc", "SDF_AuthDec",
        "SDF_EncryptInit", "SDF_EncryptUpdate", "SDF_EncryptFinal", "SDF_DecryptInit", "SDF_DecryptUpdate",
        "SDF_DecryptFinal", "SDF_CalculateMACInit", "SDF_CalculateMACUpdate", "SDF_CalculateMACFinal",
        "SDF_AuthEncInit", "SDF_AuthEncUpdate", "SDF_AuthEncFinal", "SDF_AuthDecInit", "SDF_AuthDecUpdate",
        "SDF_AuthDecFinal", "SDF_HMACInit", "SDF_HMACUpdate", "SDF_HMACFinal", "SDF_HashInit", "SDF_HashUpdate",
        "SDF_HashFinal", "SDF_CreateFile", "SDF_ReadFile", "SDF_WriteFile", "SDF_DeleteFile", "SDF_GetSymmKeyHandle",
        "SDFX_NewKey", "SDFX_RotateKey", "SDFX_DestroyKey", "SDFX_FindKey", "SDFX_KeyInfo", "SDFX_KeyPublic",
        "SDFX_KeyHandle", "SDFX_IndexHandle", "SDFX_PublicHandle", "SDFX_SealedHandle", "SDFX_SealKey", "SDFX_SetAnchor",
        "SDFX_GetAnchor", "SDFX_Status", "SDFX_Capabilities", "SDFX_NewVector", "SDFX_FreeVector", "SDFX_ClearVector",
        "SDFX_AddSign", "SDFX_AddVerify", "SDFX_AddData", "SDFX_AddCipher", "SDFX_AddHash", "SDFX_AddAead", "SDFX_Submit",
        "SDFX_Poll", "SDFX_ResultToken", "SDFX_ResultStatus", "SDFX_ResultCount", "SDFX_ResultRetry", "SDFX_ResultItem",
        "SDFX_ResultData", "SDFX_FreeResult"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct sdf s = sdf_open(), gone = sdf_open();
        sdf_close(gone);
        any_call *f;
        void *found = sdf_symbol(names[i]);
        memcpy(&f, &found, sizeof f);
        uintptr_t firsts[] = {0, 0x1234, UINTPTR_MAX, (uintptr_t)gone.session, (uintptr_t)s.session, (uintptr_t)s.device};
        bool result = strncmp(names[i], "SDFX_Result", 11) == 0 || strcmp(names[i], "SDFX_FreeResult") == 0;
        bool opens = strcmp(names[i], "SDF_OpenDevice") == 0; /* its first is a place to write to */
        for (size_t k = 0; k < (result || opens ? 1 : 6); k++) {
            f(firsts[k], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        }
        (void)S(SDF_CloseSession)(s.session);
        (void)S(SDF_CloseDevice)(s.device);
    }
}

/* Two processes of one open device: neither takes the other's answers, and the child's end is not the parent's. */
static void test_fork_in_the_middle(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    unsigned char data[32] = {1}, out[48], iv[16] = {0}, wrapped[16];
    unsigned int n;
    void *key = NULL;
    assert_int_equal(S(SDF_GenerateKeyWithKEK)(s.session, 128, SGD_SM4_ECB, 1, wrapped, &n, &key), SDR_OK);
    assert_int_equal(S(SDF_EncryptInit)(s.session, key, SGD_SM4_CBC, iv, 16), SDR_OK);
    pid_t child = fork();
    if (child == 0) {
        int code = S(SDF_EncryptUpdate)(s.session, data, 32, out, &n);
        if (code != SDR_STEPERR) _exit(1); /* the calculation is the parent's */
        if (S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, iv, data, 32, out, &n) != SDR_KEYNOTEXIST) _exit(2);
        if (S(SDF_ImportKeyWithKEK)(s.session, SGD_SM4_ECB, 1, wrapped, 16, &key) != SDR_OK) _exit(3);
        if (S(SDF_CloseDevice)(s.device) != SDR_OK) _exit(4);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(S(SDF_EncryptUpdate)(s.session, data, 32, out, &n), SDR_OK);
    assert_int_equal(n, 32);
    assert_int_equal(S(SDF_EncryptFinal)(s.session, out, &n), SDR_OK);
    sdf_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_vector),
        cmocka_unit_test(test_walls),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_fork_in_the_middle),
    };
    device_make(false);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_end();
    return failed;
}
