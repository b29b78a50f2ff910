/* libsdf over time: the device killed under it, thousands of opens, many threads, forks; and the asynchronous
 * extension. */
#include "crypto/sm2/sm2.h"
#include "crypto/sm3/sm3.h"
#include "crypto/sm4/sm4.h"
#include "device_process.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>

static void *new_key(struct sdf s)
{
    unsigned char wrapped[64];
    unsigned int n;
    void *key = NULL;
    assert_int_equal(S(SDF_GenerateKeyWithKEK)(s.session, 128, SGD_SM4_ECB, 1, wrapped, &n, &key), SDR_OK);
    return key;
}

static void test_restart(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    unsigned char data[32] = "before", out[64], iv[16] = {0}, e[32] = {1}, wrapped[64], name[] = "kept";
    unsigned int n, wrapped_n;
    ECCSignature sig;
    ECCrefPublicKey pub, again;
    void *key = NULL, *stored = NULL, *fresh = NULL;
    SDFX_Uuid uuid;
    assert_int_equal(S(SDFX_NewKey)(s.session, SDFX_CLASS_MAC, SDFX_HMAC_SM3, SDFX_USE_MAC, "restart", NULL,
                                    &uuid, NULL, NULL),
                     SDR_OK);
    assert_int_equal(S(SDFX_KeyHandle)(s.session, &uuid, 0, &stored), SDR_OK);
    assert_int_equal(S(SDF_GenerateKeyWithKEK)(s.session, 128, SGD_SM4_ECB, 1, wrapped, &wrapped_n, &key),
                     SDR_OK);
    sdf_right(s, 1);
    assert_int_equal(S(SDF_InternalSign_ECC)(s.session, 1, e, 32, &sig), SDR_OK);
    assert_int_equal(S(SDF_ExportSignPublicKey_ECC)(s.session, 1, &pub), SDR_OK);
    assert_int_equal(S(SDF_EncryptInit)(s.session, key, SGD_SM4_CBC, iv, 16), SDR_OK);
    assert_int_equal(S(SDF_EncryptUpdate)(s.session, data, 16, out, &n), SDR_OK);
    assert_int_equal(S(SDF_HashInit)(s.session, SGD_SM3, NULL, NULL, 0), SDR_OK);
    assert_int_equal(S(SDF_CreateFile)(s.session, name, 4, 10), SDR_OK);
    unsigned char mac[32], mac2[32];
    assert_int_equal(S(SDF_CalculateMAC)(s.session, stored, SGD_SM3, NULL, data, 32, mac, &n), SDR_OK);

    for (int round = 0; round < 2; round++) {
        device_kill();
        if (round) { /* Calls made while it is away wait for it. */
            pid_t starter = fork();
            if (starter == 0) {
                struct timespec t = {.tv_nsec = 300000000};
                nanosleep(&t, NULL);
                execl(device.program, device.program, "--dir", device.directory, "--socket", device.socket,
                      "--management", device.management, "--threads", "2", "--unattended-key",
                      device.key_file, (char *)NULL);
                _exit(127);
            }
            device.pid = starter;
        } else {
            device_start();
        }
        /* What was in the device's memory is gone, and said so. */
        assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, iv, data, 32, out, &n), SDR_KEYNOTEXIST);
        assert_int_equal(S(SDF_EncryptUpdate)(s.session, data, 16, out, &n), SDR_STEPERR);
        assert_int_equal(S(SDF_InternalSign_ECC)(s.session, 1, e, 32, &sig), SDR_PARDENY);
        /* What is named by index, uuid or wrapped key goes on, in the same session. */
        assert_int_equal(S(SDF_ExportSignPublicKey_ECC)(s.session, 1, &again), SDR_OK);
        assert_memory_equal(&pub, &again, sizeof pub);
        assert_int_equal(S(SDF_InternalSign_ECC)(s.session, 2, e, 32, &sig), SDR_OK);
        assert_int_equal(S(SDF_ImportKeyWithKEK)(s.session, SGD_SM4_ECB, 1, wrapped, wrapped_n, &fresh),
                         SDR_OK);
        assert_int_equal(S(SDF_Encrypt)(s.session, fresh, SGD_SM4_CBC, iv, data, 32, out, &n), SDR_OK);
        assert_int_equal(S(SDF_CalculateMAC)(s.session, stored, SGD_SM3, NULL, data, 32, mac2, &n), SDR_OK);
        assert_memory_equal(mac, mac2, 32);
        n = 10;
        assert_int_equal(S(SDF_ReadFile)(s.session, name, 4, 0, &n, out), SDR_OK);
        sdf_right(s, 1);
        assert_int_equal(S(SDF_InternalSign_ECC)(s.session, 1, e, 32, &sig), SDR_OK);
        if (round) break;
        assert_int_equal(S(SDF_EncryptFinal)(s.session, out, &n), SDR_STEPERR);
        assert_int_equal(S(SDF_EncryptInit)(s.session, fresh, SGD_SM4_CBC, iv, 16), SDR_OK);
        key = fresh;
    }
    /* The hash runs here and knows nothing of it. */
    assert_int_equal(S(SDF_HashUpdate)(s.session, data, 3), SDR_OK);
    assert_int_equal(S(SDF_HashFinal)(s.session, out, &n), SDR_OK);
    assert_int_equal(S(SDF_DestroyKey)(s.session, stored), SDR_OK); /* the handle, not the key */
    assert_int_equal(S(SDFX_KeyHandle)(s.session, &uuid, 0, &stored), SDR_OK);
    assert_int_equal(S(SDF_CalculateMAC)(s.session, stored, SGD_SM3, NULL, data, 32, mac2, &n), SDR_OK);
    sdf_close(s);
}

static void test_many_opens(void **state)
{
    (void)state;
    enum { OPENS = 3000 };
    static void *devices[OPENS], *sessions[OPENS];
    unsigned char out[16];
    for (int i = 0; i < OPENS; i++) {
        assert_int_equal(S(SDF_OpenDevice)(&devices[i]), SDR_OK);
        if (i % 4 == 0) assert_int_equal(S(SDF_OpenSession)(devices[i], &sessions[i]), SDR_OK);
    }
    assert_int_equal(S(SDF_GenerateRandom)(sessions[0], 16, out), SDR_OK);
    assert_int_equal(S(SDF_GenerateRandom)(sessions[OPENS - 4], 16, out), SDR_OK);
    for (int i = 0; i < OPENS; i++) assert_int_equal(S(SDF_CloseDevice)(devices[i]), SDR_OK);
    assert_int_equal(S(SDF_GenerateRandom)(sessions[0], 16, out), SDR_INARGERR);
    for (int i = 0; i < 500; i++) {
        struct sdf s = sdf_open();
        assert_int_equal(S(SDF_GenerateRandom)(s.session, 16, out), SDR_OK);
        sdf_close(s);
    }
}

static const char *volatile thread_failure;

static void *work(void *argument)
{
    void *handle = argument, *session = NULL, *key = NULL;
    unsigned char data[256], out[256], back[256], wrapped[32], iv[16] = {0}, iv2[16] = {0}, e[32] = {2};
    unsigned int n;
    ECCSignature sig;
    memset(data, (int)(uintptr_t)&session & 0xff, sizeof data);
    if (S(SDF_OpenSession)(handle, &session) != SDR_OK) return (void *)(thread_failure = "session");
    for (int i = 0; i < 25; i++) {
        if (S(SDF_GenerateKeyWithKEK)(session, 128, SGD_SM4_ECB, 1, wrapped, &n, &key) != SDR_OK)
            return (void *)(thread_failure = "key");
        if (S(SDF_Encrypt)(session, key, SGD_SM4_CBC, iv, data, 256, out, &n) != SDR_OK)
            return (void *)(thread_failure = "encrypt");
        if (S(SDF_Decrypt)(session, key, SGD_SM4_CBC, iv2, out, 256, back, &n) != SDR_OK)
            return (void *)(thread_failure = "decrypt");
        if (memcmp(back, data, 256) != 0) return (void *)(thread_failure = "another's data");
        if (S(SDF_InternalSign_ECC)(session, 2, e, 32, &sig) != SDR_OK)
            return (void *)(thread_failure = "sign");
        if (S(SDF_InternalVerify_ECC)(session, 2, e, 32, &sig) != SDR_OK)
            return (void *)(thread_failure = "verify");
        if (S(SDF_DestroyKey)(session, key) != SDR_OK) return (void *)(thread_failure = "destroy");
    }
    return S(SDF_CloseSession)(session) == SDR_OK ? NULL : (void *)(thread_failure = "close");
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[64];
    void *handle, *failure;
    assert_int_equal(S(SDF_OpenDevice)(&handle), SDR_OK);
    for (int i = 0; i < 64; i++) assert_int_equal(pthread_create(&threads[i], NULL, work, handle), 0);
    for (int i = 0; i < 64; i++) {
        pthread_join(threads[i], &failure);
        if (failure) fprintf(stderr, "thread %d: %s\n", i, (const char *)failure);
        assert_null(failure);
    }
    assert_int_equal(S(SDF_CloseDevice)(handle), SDR_OK);
}

/* A pre-forking server opens the device before it forks. */
static void test_fork(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    void *key = new_key(s);
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        if (child == 0) {
            unsigned char data[16] = "child", out[16], iv[16] = {0}, e[32] = {3};
            unsigned int n;
            ECCSignature sig;
            /* The parent's session key is the parent's connection's. */
            int gone = S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, iv, data, 16, out, &n);
            int sign = S(SDF_InternalSign_ECC)(s.session, 2, e, 32, &sig);
            _exit(gone == SDR_KEYNOTEXIST && sign == SDR_OK ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    unsigned char data[16] = "parent", out[16], iv[16] = {0};
    unsigned int n;
    assert_int_equal(S(SDF_Encrypt)(s.session, key, SGD_SM4_CBC, iv, data, 16, out, &n), SDR_OK);
    sdf_close(s);
}

/* The extension */

static SDFX_Result *take(void *handle, uint64_t token)
{
    SDFX_Result *r = NULL;
    struct pollfd f = {.fd = S(SDFX_Descriptor)(handle), .events = POLLIN};
    for (int i = 0; i < 100 && !r; i++) {
        assert_int_equal(poll(&f, 1, 5000), 1);
        (void)S(SDFX_Poll)(handle, 0, &r);
    }
    assert_non_null(r);
    assert_int_equal(S(SDFX_ResultToken)(r), token);
    assert_int_equal(S(SDFX_ResultStatus)(r), SDR_OK);
    return r;
}

static void test_vectors(void **state)
{
    (void)state;
    void *handle, *session, *vector, *key, *pair, *check;
    SDFX_Uuid uuid;
    unsigned int n, count = 100;
    unsigned char pub[64], digests[100][32], data[100];
    char text[4000];
    assert_int_equal(S(SDF_OpenDevice)(&handle), SDR_OK);
    assert_int_equal(S(SDF_OpenSession)(handle, &session), SDR_OK);
    assert_int_equal(S(SDFX_NewVector)(session, SDFX_SIGN, &vector), SDR_STEPERR); /* a shared connection */
    assert_int_equal(S(SDFX_Descriptor)(handle), -1);
    assert_int_equal(S(SDF_CloseDevice)(handle), SDR_OK);

    assert_int_equal(S(SDFX_OpenDevice)(&handle, NULL), SDR_OK);
    assert_int_equal(S(SDF_OpenSession)(handle, &session), SDR_OK);
    assert_int_equal(S(SDFX_IndexHandle)(session, 2, 0, &pair), SDR_OK);
    n = sizeof pub;
    assert_int_equal(S(SDFX_KeyPublic)(session, pair, NULL, pub, &n), SDR_OK);
    assert_int_equal(n, 64);
    assert_int_equal(S(SDFX_PublicHandle)(session, SDFX_SM2, pub, 64, &check), SDR_OK);
    assert_int_equal(S(SDFX_NewVector)(session, SDFX_SIGN, &vector), SDR_OK);
    for (unsigned int i = 0; i < count; i++) {
        memset(digests[i], (int)i, 32);
        assert_int_equal(S(SDFX_AddSign)(vector, pair, digests[i]), SDR_OK);
    }
    assert_int_equal(S(SDFX_AddHash)(vector, SGD_SM3, data, 5), SDR_INARGERR);
    assert_int_equal(S(SDFX_Submit)(vector, 7), SDR_OK);
    SDFX_Result *signatures = take(handle, 7);
    assert_int_equal(S(SDFX_ResultCount)(signatures), count);
    void *verify;
    assert_int_equal(S(SDFX_NewVector)(session, SDFX_VERIFY, &verify), SDR_OK);
    for (unsigned int i = 0; i < count; i++) {
        const unsigned char *sig = S(SDFX_ResultData)(signatures, i, 0, &n);
        assert_int_equal(n, 64);
        digests[i][0] ^= i == 33; /* one is for another digest */
        assert_int_equal(S(SDFX_AddVerify)(verify, check, digests[i], sig, n), SDR_OK);
    }
    S(SDFX_FreeResult)(signatures);
    assert_int_equal(S(SDFX_Submit)(verify, 8), SDR_OK);
    SDFX_Result *verified = take(handle, 8);
    for (unsigned int i = 0; i < count; i++)
        assert_int_equal(S(SDFX_ResultItem)(verified, i), i == 33 ? SDR_VERIFYERR : SDR_OK);
    assert_null(S(SDFX_ResultData)(verified, 33, 0, &n));
    S(SDFX_FreeResult)(verified);
    assert_int_equal(S(SDFX_FreeVector)(vector), SDR_OK);
    assert_int_equal(S(SDFX_FreeVector)(vector), SDR_INARGERR);

    /* A data-storage key: nonces of the device, versions, destruction. */
    assert_int_equal(S(SDFX_NewKey)(session, SDFX_CLASS_DATA_ENC, SDFX_SM4,
                                    SDFX_USE_ENCRYPT | SDFX_USE_DECRYPT, "cases", "other", &uuid, NULL, NULL),
                     SDR_OK);
    assert_int_equal(S(SDFX_NewKey)(session, SDFX_CLASS_DATA_ENC, SDFX_SM4, SDFX_USE_ENCRYPT, "cases", NULL,
                                    &uuid, NULL, NULL),
                     SDR_KEYERR);
    SDFX_Uuid found;
    assert_int_equal(S(SDFX_FindKey)(session, "cases", &found, &n), SDR_OK);
    assert_memory_equal(&uuid, &found, sizeof uuid);
    assert_int_equal(S(SDFX_FindKey)(session, "nothing", &found, &n), SDR_KEYNOTEXIST);
    assert_int_equal(S(SDFX_KeyHandle)(session, &uuid, 0, &key), SDR_OK);
    n = sizeof text;
    assert_int_equal(S(SDFX_KeyInfo)(session, key, text, &n), SDR_OK);
    assert_non_null(strstr(text, "cases"));
    assert_int_equal(S(SDFX_NewVector)(session, SDFX_AEAD_ENCRYPT, &vector), SDR_OK);
    memset(data, 'd', sizeof data);
    for (unsigned int i = 0; i < 20; i++)
        assert_int_equal(
            S(SDFX_AddAead)(vector, key, SGD_SM4_GCM, NULL, 0, (unsigned char *)&i, 4, NULL, 0, data, i),
            SDR_OK);
    assert_int_equal(S(SDFX_AddAead)(vector, key, SGD_SM4_GCM, data, 12, NULL, 0, NULL, 0, data, 5),
                     SDR_OK); /* a nonce of ours */
    assert_int_equal(S(SDFX_Submit)(vector, 9), SDR_OK);
    SDFX_Result *sealed = take(handle, 9);
    assert_int_equal(S(SDFX_ResultItem)(sealed, 20), SDR_INARGERR);
    unsigned int version = 0;
    assert_int_equal(S(SDFX_RotateKey)(session, &uuid, &version), SDR_OK);
    assert_int_equal(version, 2);
    void *opening, *first;
    assert_int_equal(S(SDFX_KeyHandle)(session, &uuid, 1, &first), SDR_OK);
    assert_int_equal(S(SDFX_NewVector)(session, SDFX_AEAD_DECRYPT, &opening), SDR_OK);
    for (unsigned int i = 0; i < 20; i++) {
        unsigned int nonce_n, c_n, tag_n;
        const unsigned char *nonce = S(SDFX_ResultData)(sealed, i, 0, &nonce_n),
                            *c = S(SDFX_ResultData)(sealed, i, 1, &c_n),
                            *tag = S(SDFX_ResultData)(sealed, i, 2, &tag_n),
                            *v = S(SDFX_ResultData)(sealed, i, 3, &n);
        assert_int_equal(nonce_n, 12);
        assert_int_equal(c_n, i);
        assert_int_equal(v[3], 1);
        unsigned int aad = i == 11 ? 12 : i; /* one is moved */
        assert_int_equal(S(SDFX_AddAead)(opening, first, SGD_SM4_GCM, nonce, nonce_n, (unsigned char *)&aad,
                                         4, tag, tag_n, c, c_n),
                         SDR_OK);
    }
    S(SDFX_FreeResult)(sealed);
    assert_int_equal(S(SDFX_Submit)(opening, 10), SDR_OK);
    SDFX_Result *opened = take(handle, 10);
    for (unsigned int i = 0; i < 20; i++) {
        assert_int_equal(S(SDFX_ResultItem)(opened, i), i == 11 ? SDR_MACERR : SDR_OK);
        const unsigned char *d = S(SDFX_ResultData)(opened, i, 0, &n);
        if (i == 11) continue;
        assert_int_equal(n, i);
        assert_memory_equal(d, data, n);
    }
    S(SDFX_FreeResult)(opened);
    char statement[1000];
    unsigned int statement_n = sizeof statement;
    ECCSignature signature;
    assert_int_equal(S(SDFX_DestroyKey)(session, &uuid, 0, statement, &statement_n, &signature), SDR_OK);
    ECCrefPublicKey own;
    unsigned char e[32];
    struct fn_sm2_public device_key;
    assert_int_equal(S(SDF_ExportSignPublicKey_ECC)(session, 0, &own), SDR_OK);
    memcpy(device_key.x, own.x + 32, 32);
    memcpy(device_key.y, own.y + 32, 32);
    assert_int_equal(fn_sm2_digest(e, &device_key, FN_SM2_DEFAULT_ID, fn_bytes(statement, statement_n)),
                     FN_OK);
    assert_int_equal(S(SDF_ExternalVerify_ECC)(session, SGD_SM2_1, &own, e, 32, &signature), SDR_OK);
    assert_int_equal(S(SDFX_Submit)(opening, 11), SDR_OK);
    opened = take(handle, 11);
    for (unsigned int i = 0; i < 20; i++) assert_int_equal(S(SDFX_ResultItem)(opened, i), SDR_KEYNOTEXIST);
    S(SDFX_FreeResult)(opened);
    assert_int_equal(S(SDF_CloseDevice)(handle), SDR_OK);
    assert_int_equal(S(SDFX_AddSign)(opening, pair, e), SDR_INARGERR);
}

static void test_anchors_and_sealed_keys(void **state)
{
    (void)state;
    struct sdf s = sdf_open();
    unsigned char digest[32] = {1}, challenge[32] = {2}, got[32], name[] = "log/head";
    ECCSignature receipt;
    uint64_t counter = 0;
    char owner[80], text[8000];
    unsigned int n = sizeof owner;
    assert_int_equal(S(SDFX_GetAnchor)(s.session, name, 8, challenge, owner, &n, &counter, got, &receipt),
                     SDR_KEYNOTEXIST);
    assert_int_equal(S(SDFX_SetAnchor)(s.session, name, 8, 0, 5, digest, &receipt), SDR_OK);
    assert_int_equal(S(SDFX_SetAnchor)(s.session, name, 8, 0, 6, digest, &receipt), SDR_KEYERR);
    assert_int_equal(S(SDFX_SetAnchor)(s.session, name, 8, 5, 5, digest, &receipt), SDR_KEYERR);
    digest[0] = 9;
    assert_int_equal(S(SDFX_SetAnchor)(s.session, name, 8, 5, 7, digest, &receipt), SDR_OK);
    n = sizeof owner;
    assert_int_equal(S(SDFX_GetAnchor)(s.session, name, 8, challenge, owner, &n, &counter, got, &receipt),
                     SDR_OK);
    assert_string_equal(owner, "app");
    assert_int_equal(counter, 7);
    assert_memory_equal(got, digest, 32);
    /* The signature covers what the header says. */
    unsigned char statement[200], e[32];
    struct fn_buf b = fn_buf_fixed(statement, sizeof statement);
    struct fn_sm2_public device_key;
    ECCrefPublicKey own;
    fn_buf_add(&b, "fengni anchor 1", 16);
    fn_buf_add(&b, challenge, 32);
    fn_buf_var(&b, name, 8);
    fn_buf_var(&b, owner, n);
    fn_buf_u64(&b, counter);
    fn_buf_add(&b, digest, 32);
    assert_int_equal(S(SDF_ExportSignPublicKey_ECC)(s.session, 0, &own), SDR_OK);
    memcpy(device_key.x, own.x + 32, 32);
    memcpy(device_key.y, own.y + 32, 32);
    assert_int_equal(fn_sm2_digest(e, &device_key, FN_SM2_DEFAULT_ID, fn_buf_view(&b)), FN_OK);
    assert_int_equal(S(SDF_ExternalVerify_ECC)(s.session, SGD_SM2_1, &own, e, 32, &receipt), SDR_OK);

    n = sizeof text;
    assert_int_equal(S(SDFX_Status)(s.session, text, &n), SDR_OK);
    assert_non_null(strstr(text, "READY"));
    n = sizeof text;
    assert_int_equal(S(SDFX_Capabilities)(s.session, text, &n), SDR_OK);
    assert_non_null(strstr(text, "\"AEAD_ENCRYPT\":\"native\""));
    n = 3;
    assert_int_equal(S(SDFX_Status)(s.session, text, &n), SDR_NOBUFFER);
    assert_true(n > 3);
    sdf_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart), cmocka_unit_test(test_many_opens),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_fork),
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_anchors_and_sealed_keys),
    };
    device_make(false);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_end();
    return failed;
}
