/* libsdf.so before a device that answers what the input says: calls of the standard and of the extension in any order, with
 * buffers exactly as long as the standard lets a caller make them, against well and badly formed answers. Nothing may be
 * written past them, whatever the device says. */
#include "base/core/bytes.h"
#include "device/protocol.h"
#include "fengni/sdf_ext.h"
#include "gmt/sdf.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64], path[96];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct fn_bytes calls, answers; /* the two halves of the input */
static unsigned breaks;                /* connections that may still be broken in this run: each costs time */

static uint8_t next(struct fn_bytes *b)
{
    if (!b->n) return 0;
    b->n--;
    return *b->p++;
}
static uint8_t answer8(void)
{
    pthread_mutex_lock(&mutex);
    uint8_t v = next(&answers);
    pthread_mutex_unlock(&mutex);
    return v;
}

/* ---- the device ---- */

static const char *layout(uint16_t operation)
{
    switch (operation) {
#define FN_OP(number, name, request, response, usage, policy, flags)                                         \
    case (number):                                                                                           \
        return (response);
        FN_DEVICE_OPERATIONS
#undef FN_OP
    default:
        return "";
    }
}

static bool get(int fd, void *p, size_t n)
{
    for (uint8_t *at = p; n;) {
        ssize_t got = recv(fd, at, n, 0);
        if (got <= 0) return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

static bool give(int fd, const void *p, size_t n)
{
    for (const uint8_t *at = p; n;) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

static _Thread_local uint8_t out[FN_DEVICE_RESPONSE_MOST + 64], in[FN_DEVICE_FRAME_MOST + 4];

static size_t plausible(uint8_t how, size_t request)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 24, 31, 32, 33, 48, 64, 65, 97, 100, 112, 127, 128, 129, 160, 255, 256, 257, 384, 516, 1024, 4096, 70000};
    if (how < 2 * FN_COUNT(sizes)) return sizes[how % FN_COUNT(sizes)];
    return request + how % 64; /* as long as what was asked with, more or less */
}

static size_t item(uint16_t operation, size_t request, size_t at)
{
    fn_put_be32(out + at, 0);
    at += 4;
    for (const char *l = layout(operation); *l; l++) {
        uint8_t how = answer8();
        size_t n = *l == 'B' ? 1 : *l == 'H' ? 2 : *l == 'W' ? 4 : *l == 'Q' ? 8 : *l == 'U' ? 16 : *l == 'D' ? 32 : 0;
        if (*l == 'v') {
            n = plausible(how, request);
            if (at + n + 64 > sizeof out) n = 0;
            fn_put_be32(out + at, (uint32_t)n);
            at += 4;
        }
        if (at + n + 64 > sizeof out) return at;
        memset(out + at, *l == 'v' ? 0x41 : 0, n);
        if (*l != 'v' && n) out[at + n - 1] = how % 8;
        at += n;
    }
    return at;
}

/* false: the connection ends. */
static bool respond(int fd, size_t n)
{
    uint16_t operation = fn_get_be16(in + 4), count = fn_get_be16(in + 6);
    static _Atomic uint32_t sessions;
    size_t at = 36;
    memcpy(out + 4, in + 4, 24);
    fn_put_be32(out + 28, 0);
    fn_put_be32(out + 32, 0);
    if (operation == FN_OP_HELLO) {
        fn_put_be32(out + at, 0);
        fn_put_be32(out + at + 4, 1);
        fn_put_be32(out + at + 8, FN_DEVICE_FRAME_MOST);
        fn_put_be32(out + at + 12, FN_DEVICE_VECTOR_MOST);
        fn_put_be32(out + at + 16, FN_DEVICE_OUTSTANDING_MOST);
        memset(out + at + 20, 0, 32);
        at += 48; /* boot, state, two empty names */
    } else if (operation == FN_OP_SESSION_OPEN || operation == FN_OP_SESSION_CLOSE) {
        fn_put_be32(out + at, 0);
        at += 4;
        if (operation == FN_OP_SESSION_OPEN) fn_put_be32(out + at, ++sessions), at += 4;
    } else {
        uint8_t how = answer8();
        size_t request = n - 28;
        if (how >= 0xf0 && breaks) {
            breaks--;
            if (how & 1) return false;
            fn_put_be32(out + 8, 0x12345678); /* of no session */
        }
        if (how < 0x18) { /* refused */
            fn_put_be16(out + 6, 0);
            fn_put_be32(out + 28, 300u + 10u * (how % 12));
            fn_put_be32(out + at, how);
            memset(out + at + 4, 'x', how);
            at += 4 + how;
        } else if (how < 0x30) { /* items that are not laid out so */
            size_t junk = plausible(answer8(), request);
            memset(out + at, answer8(), junk);
            at += junk;
        } else {
            for (uint16_t i = 0; i < count && at < sizeof out / 2; i++) at = item(operation, request, at);
        }
    }
    fn_put_be32(out, (uint32_t)(at - 4));
    return give(fd, out, at);
}

static void *serve(void *connection)
{
    int fd = (int)(intptr_t)connection;
    while (get(fd, in, 4)) {
        uint32_t n = fn_get_be32(in);
        if (n < 24 || n > FN_DEVICE_FRAME_MOST || !get(fd, in + 4, n) || !respond(fd, n + 4)) break;
    }
    close(fd);
    return NULL;
}

static void *device(void *listener)
{
    for (;;) {
        pthread_t thread;
        int fd = accept((int)(intptr_t)listener, NULL, NULL);
        if (fd < 0) continue;
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd)) abort();
        pthread_detach(thread);
    }
    return NULL;
}

static void at_exit(void)
{
    unlink(path);
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    fn_format(folder, sizeof folder, "/tmp/fengni-fuzz-XXXXXX");
    if (!mkdtemp(folder)) abort();
    fn_format(path, sizeof path, "%s/socket", folder);
    fn_format(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 16)) abort();
    if (pthread_create(&thread, NULL, device, (void *)(intptr_t)fd)) abort();
    atexit(at_exit);
    return 0;
}

/* ---- the caller ---- */

static void *handles[16]; /* devices, sessions, keys, agreements, vectors: each call takes one of any kind */
static size_t handles_n;

static uint8_t u8(void)
{
    pthread_mutex_lock(&mutex);
    uint8_t v = next(&calls);
    pthread_mutex_unlock(&mutex);
    return v;
}
static void keep(void *handle)
{
    if (handle) handles[handles_n++ % FN_COUNT(handles)] = handle;
}
static void *any(void)
{
    uint8_t how = u8();
    if (how == 0xff) return NULL;
    if (how == 0xfe) return (void *)(uintptr_t)0x1234567;
    return handles[how % FN_COUNT(handles)];
}

/* Exactly n bytes, or NULL now and then. */
#define PLACES 12
static void *places[PLACES];
static size_t places_n;
static void *room(size_t n)
{
    uint8_t how = u8();
    if (how >= 0xfc) return NULL;
    uint8_t *p = malloc(n ? n : 1);
    if (!p || places_n == PLACES) abort();
    memset(p, how & 1 ? how : 0, n);
    return places[places_n++] = p;
}
static void rooms_end(void)
{
    while (places_n) free(places[--places_n]);
}

static unsigned int size(void)
{
    static const unsigned int sizes[] = {0, 1, 15, 16, 17, 31, 32, 33, 48, 64, 100, 128, 255, 256, 1000, 70000};
    return sizes[u8() % FN_COUNT(sizes)];
}
static unsigned int algorithm(void)
{
    static const unsigned int all[] = {SGD_SM4_ECB, SGD_SM4_CBC, SGD_SM4_CFB, SGD_SM4_OFB, SGD_SM4_CTR, SGD_SM4_MAC, SGD_SM4_GCM, SGD_SM4_CCM,
                                       SGD_SM3, SGD_SM3_HMAC, SGD_SM2_1, SGD_SM2_3, SGD_SM2, 0, 0xffffffff};
    return all[u8() % FN_COUNT(all)];
}
static void *public_key(void)
{
    ECCrefPublicKey *k = room(sizeof *k);
    if (k) {
        memset(k, 0, sizeof *k);
        k->bits = 256;
    }
    return k;
}
static void *cipher(unsigned int n)
{
    ECCCipher *c = room(164 + n);
    if (c) {
        memset(c, 0, 164);
        c->L = n;
    }
    return c;
}
static void *rsa_key(void)
{
    RSArefPublicKey *k = room(sizeof *k);
    if (k) k->bits = 2048;
    return k;
}

static void call(void)
{
    void *s = any(), *h = NULL;
    unsigned int n, m, written = 0, bits;
    unsigned int *w = u8() < 0xf8 ? &written : NULL;
    ECCSignature *signature;
    SDFX_Result *r;
    switch (u8() % 56) {
    case 0: SDFX_OpenDevice(&h, path), keep(h); break;
    case 1: SDF_OpenSession(s, &h), keep(h); break;
    case 2: SDF_CloseSession(s); break;
    case 3: SDF_CloseDevice(s); break;
    case 4: SDF_GetDeviceInfo(s, room(sizeof(DEVICEINFO))); break;
    case 5: n = size(), SDF_GenerateRandom(s, n, room(n)); break;
    case 6: n = size(), SDF_GetPrivateKeyAccessRight(s, 1, room(n), n); break;
    case 7: SDF_ReleasePrivateKeyAccessRight(s, 1); break;
    case 8: SDF_ExportSignPublicKey_ECC(s, 1, room(132)); break;
    case 9: SDF_ExportEncPublicKey_RSA(s, 1, room(516)); break;
    case 10: bits = 8 * size(), SDF_GenerateKeyWithIPK_ECC(s, 1, bits, room(164 + bits / 8), &h), keep(h); break;
    case 11: bits = 8 * size(), SDF_GenerateKeyWithIPK_RSA(s, 1, bits, room(256), w, &h), keep(h); break;
    case 12: bits = 8 * size(), SDF_GenerateKeyWithEPK_ECC(s, bits, algorithm(), public_key(), room(164 + bits / 8), &h), keep(h); break;
    case 13: bits = 8 * size(), SDF_GenerateKeyWithEPK_RSA(s, bits, rsa_key(), room(256), w, &h), keep(h); break;
    case 14: bits = 8 * size(), SDF_GenerateKeyWithKEK(s, bits, algorithm(), 1, room(bits / 8 + 32), w, &h), keep(h); break;
    case 15: n = size(), SDF_ImportKeyWithKEK(s, algorithm(), 1, room(n), n, &h), keep(h); break;
    case 16: n = size(), SDF_ImportKeyWithISK_ECC(s, 1, cipher(n), &h), keep(h); break;
    case 17: n = size(), SDF_ImportKeyWithISK_RSA(s, 1, room(n), n, &h), keep(h); break;
    case 18: n = size(), SDF_ImportKey(s, room(n), n, &h), keep(h); break;
    case 19: SDF_GetSymmKeyHandle(s, 1, &h), keep(h); break;
    case 20: SDF_DestroyKey(s, any()); break;
    case 21: n = size(), SDF_GenerateAgreementDataWithECC(s, 1, 128, room(n), n, room(132), room(132), &h), keep(h); break;
    case 22: n = size(), SDF_GenerateKeyWithECC(s, room(n), n, public_key(), public_key(), any(), &h), keep(h); break;
    case 23:
        n = size(), m = size();
        SDF_GenerateAgreementDataAndKeyWithECC(s, 1, 128, room(n), n, room(m), m, public_key(), public_key(), room(132), room(132), &h), keep(h);
        break;
    case 24: n = size(), SDF_ExchangeDigitEnvelopeBaseOnECC(s, 1, algorithm(), public_key(), cipher(n), room(164 + n)); break;
    case 25: n = size(), SDF_ExchangeDigitEnvelopeBaseOnRSA(s, 1, rsa_key(), room(n), n, room(256), w); break;
    case 26: SDF_InternalSign_ECC(s, 1, room(32), 32, room(128)); break;
    case 27: signature = room(128), SDF_InternalVerify_ECC(s, 1, room(32), 32, signature); break;
    case 28: signature = room(128), SDF_ExternalVerify_ECC(s, algorithm(), public_key(), room(32), 32, signature); break;
    case 29: n = size(), SDF_ExternalEncrypt_ECC(s, algorithm(), public_key(), room(n), n, room(164 + n)); break;
    case 30: n = size(), SDF_InternalDecrypt_ECC(s, 1, algorithm(), cipher(n), room(n), w); break;
    case 31: n = size(), SDF_InternalPrivateKeyOperation_RSA(s, 1, room(n), n, room(n), w); break;
    case 32: n = size(), SDF_Encrypt(s, any(), algorithm(), room(16), room(n), n, room(n), w); break;
    case 33: n = size(), SDF_Decrypt(s, any(), algorithm(), room(16), room(n), n, room(n), w); break;
    case 34: n = size(), SDF_CalculateMAC(s, any(), algorithm(), room(16), room(n), n, room(32), w); break;
    case 35: n = size(), m = size(), SDF_AuthEnc(s, any(), algorithm(), room(12), 12, room(m), m, room(n), n, room(n), w, room(16), &bits); break;
    case 36: n = size(), m = size(), SDF_AuthDec(s, any(), algorithm(), room(12), 12, room(m), m, room(16), 16, room(n), n, room(n), w); break;
    case 37: SDF_EncryptInit(s, any(), algorithm(), room(16), 16); break;
    case 38: n = size(), SDF_EncryptUpdate(s, room(n), n, room(n + 15), w); break;
    case 39: SDF_EncryptFinal(s, room(16), w); break;
    case 40: SDF_CalculateMACInit(s, any(), algorithm(), room(16), 16); break;
    case 41: n = size(), SDF_CalculateMACUpdate(s, room(n), n); break;
    case 42: SDF_CalculateMACFinal(s, room(16), w); break;
    case 43: SDF_HMACInit(s, any(), algorithm()); break;
    case 44: SDF_HMACFinal(s, room(32), w); break;
    case 45: n = size(), m = size(), SDF_AuthEncInit(s, any(), algorithm(), room(12), 12, room(m), m, n); break;
    case 46: n = size(), SDF_AuthEncUpdate(s, room(n), n, room(n + 15), w); break;
    case 47: SDF_AuthEncFinal(s, room(16), w, room(16), &bits); break;
    case 48: n = size(), SDF_HashInit(s, algorithm(), public_key(), room(n), n), SDF_HashUpdate(s, room(n), n), SDF_HashFinal(s, room(32), w); break;
    case 49: n = size(), written = size(), SDF_ReadFile(s, room(n), n, size(), w, room(written)); break;
    case 50: n = size(), m = size(), SDF_WriteFile(s, room(n), n, 0, m, room(m)), SDF_CreateFile(s, room(n), n, m); break;
    case 51: written = size(), SDFX_Status(s, room(written), w); break;
    case 52: written = size(), SDFX_KeyInfo(s, any(), room(written), w); break;
    case 53: SDFX_NewVector(s, u8() % 12, &h), keep(h); break;
    case 54:
        n = size();
        SDFX_AddCipher(s, any(), algorithm(), room(16), 16, room(n), n);
        SDFX_AddHash(s, algorithm(), room(n), n);
        SDFX_AddAead(s, any(), algorithm(), room(12), 12, room(n), n, room(16), 16, room(n), n);
        SDFX_AddSign(s, any(), room(32));
        SDFX_Submit(s, 1);
        break;
    default:
        if (SDFX_Poll(s, 1, &r) != SDR_OK) break;
        for (unsigned int i = 0; i <= SDFX_ResultCount(r); i++)
            for (unsigned int f = 0; f < 5; f++) {
                const unsigned char *p = SDFX_ResultData(r, i, f, &n);
                for (unsigned int k = 0; p && k < n; k++) bits = p[k];
            }
        SDFX_FreeResult(r);
        break;
    }
    rooms_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    void *dev = NULL, *session = NULL, *key = NULL;
    SDFX_Uuid uuid = {{1}};
    pthread_mutex_lock(&mutex);
    calls = fn_bytes(data, n / 2);
    answers = fn_bytes(data + n / 2, n - n / 2);
    breaks = 1;
    pthread_mutex_unlock(&mutex);
    memset(handles, 0, sizeof handles);
    handles_n = 0;
    if (SDFX_OpenDevice(&dev, path) != SDR_OK) return 0;
    if (SDF_OpenSession(dev, &session) == SDR_OK) {
        keep(session);
        keep(dev);
        SDFX_KeyHandle(session, &uuid, 0, &key);
        keep(key);
        keep(session);
    }
    for (unsigned i = 0; calls.n && i < 24; i++) call();
    for (size_t i = 0; i < FN_COUNT(handles); i++)
        if (handles[i]) SDF_CloseDevice(handles[i]);
    SDF_CloseDevice(dev);
    return 0;
}
