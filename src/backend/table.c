/* Which operation is which function, and what it needs of the library. */
#include "backend/backend.h"

#define N(name) FN_AT_SDF_##name
/* Operations the library has a function for, and those made of other things. */
#define NATIVE(op, run, ...)                                                                                 \
    {                                                                                                        \
        FN_OP_##op, fn_backend_run_##run, false, {__VA_ARGS__}, sizeof((unsigned char[]){__VA_ARGS__})       \
    }
#define EMULATED(op, run, ...)                                                                               \
    {                                                                                                        \
        FN_OP_##op, fn_backend_run_##run, true, {__VA_ARGS__}, sizeof((unsigned char[]){__VA_ARGS__})        \
    }

static const struct fn_backend_operation operations[] = {
    NATIVE(INFO, info, N(GetDeviceInfo)),
    EMULATED(STATUS, status, N(OpenDevice)),
    EMULATED(CAPABILITIES, capabilities, N(OpenDevice)),
    NATIVE(RANDOM, random, N(GenerateRandom)),
    NATIVE(ACCESS_TAKE, access_take, N(GetPrivateKeyAccessRight)),
    NATIVE(ACCESS_RELEASE, access_release, N(ReleasePrivateKeyAccessRight)),
    EMULATED(KEY_NEW, key_new, N(GenerateKeyWithKEK), N(ImportKeyWithKEK), N(DestroyKey)),
    EMULATED(KEY_ROTATE, key_rotate, N(GenerateKeyWithKEK), N(ImportKeyWithKEK), N(DestroyKey)),
    EMULATED(KEY_DESTROY, key_destroy, N(InternalSign_ECC)),
    EMULATED(KEY_INFO, key_info, N(OpenDevice)),
    EMULATED(KEY_LIST, key_list, N(OpenDevice)),
    NATIVE(KEY_PUBLIC, key_public, N(ExportSignPublicKey_ECC), N(ExportEncPublicKey_ECC)),
    EMULATED(KEY_FIND, key_find, N(OpenDevice)),
    NATIVE(SESSION_KEY_IPK, session_key_ipk, N(GenerateKeyWithIPK_ECC), N(DestroyKey)),
    NATIVE(SESSION_KEY_EPK, session_key_epk, N(GenerateKeyWithEPK_ECC), N(DestroyKey)),
    NATIVE(SESSION_KEY_ISK, session_key_isk, N(ImportKeyWithISK_ECC), N(DestroyKey)),
    NATIVE(SESSION_KEY_KEK, session_key_kek, N(GenerateKeyWithKEK), N(DestroyKey)),
    NATIVE(SESSION_KEY_KEK_IN, session_key_kek_in, N(ImportKeyWithKEK), N(DestroyKey)),
    NATIVE(SESSION_KEY_CLEAR_IN, session_key_clear_in, N(ImportKey), N(DestroyKey)),
    NATIVE(SESSION_KEY_DESTROY, session_key_destroy, N(DestroyKey)),
    NATIVE(AGREE_START, agree_start, N(GenerateAgreementDataWithECC)),
    NATIVE(AGREE_FINISH, agree_finish, N(GenerateKeyWithECC)),
    NATIVE(AGREE_RESPOND, agree_respond, N(GenerateAgreementDataAndKeyWithECC)),
    NATIVE(ENVELOPE_EXCHANGE, envelope_exchange, N(ExchangeDigitEnvelopeBaseOnECC)),
    NATIVE(SIGN, sign, N(InternalSign_ECC)),
    NATIVE(VERIFY, verify, N(ExternalVerify_ECC)),
    NATIVE(PK_ENCRYPT, pk_encrypt, N(ExternalEncrypt_ECC)),
    NATIVE(PK_DECRYPT, pk_decrypt, N(InternalDecrypt_ECC)),
    NATIVE(RSA_PUBLIC, rsa_public, N(ExternalPublicKeyOperation_RSA)),
    NATIVE(RSA_PRIVATE, rsa_private, N(InternalPrivateKeyOperation_RSA)),
    NATIVE(ENCRYPT, encrypt, N(Encrypt)),
    NATIVE(DECRYPT, decrypt, N(Decrypt)),
    NATIVE(MAC, mac, N(CalculateMAC)),
    EMULATED(HASH, hash, N(OpenDevice)),
    NATIVE(AEAD_ENCRYPT, aead_encrypt, N(AuthEnc)),
    NATIVE(AEAD_DECRYPT, aead_decrypt, N(AuthDec)),
    NATIVE(PART_START, part_start, N(EncryptInit)),
    NATIVE(PART_UPDATE, part_update, N(EncryptUpdate)),
    NATIVE(PART_FINISH, part_finish, N(EncryptFinal)),
    NATIVE(FILE_CREATE, file_create, N(CreateFile)),
    NATIVE(FILE_READ, file_read, N(ReadFile)),
    NATIVE(FILE_WRITE, file_write, N(WriteFile)),
    NATIVE(FILE_DELETE, file_delete, N(DeleteFile)),
    EMULATED(ANCHOR_SET, anchor_set, N(InternalSign_ECC)),
    EMULATED(ANCHOR_GET, anchor_get, N(InternalSign_ECC)),
    EMULATED(ANCHOR_LIST, anchor_list, N(OpenDevice)),
};

const struct fn_backend_operation *fn_backend_operation(uint16_t operation)
{
    for (size_t i = 0; i < FN_COUNT(operations); i++)
        if (operations[i].operation == operation) return &operations[i];
    return NULL;
}

static bool signs(uint16_t operation)
{
    return operation == FN_OP_ANCHOR_SET || operation == FN_OP_ANCHOR_GET || operation == FN_OP_KEY_DESTROY;
}

const char *fn_backend_level(const struct fn_backend *b, uint16_t operation)
{
    if (operation == FN_OP_HELLO || operation == FN_OP_SESSION_OPEN || operation == FN_OP_SESSION_CLOSE)
        return "native";
    const struct fn_backend_operation *o = fn_backend_operation(operation);
    if (!o) return "no";
    for (unsigned i = 0; i < o->needs_count; i++)
        if (!fn_vendor_has(&b->vendor, (enum fn_vendor_function)o->needs[i])) return "no";
    if (operation == FN_OP_SESSION_KEY_CLEAR_IN && !b->options.test_tenant) return "no";
    if (signs(operation) && !b->options.sign) return "no";
    return o->emulated ? "emulated" : "native";
}
