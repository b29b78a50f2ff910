/* libsdf under a device that lies and a caller that errs: the input is a script of SDF calls with lengths of
 * its choosing, answered by a peer whose frames keep to the protocol but carry what the input says. Every
 * buffer has exactly the size that the standard promises to be enough, so that AddressSanitizer sees one byte
 * too many. */
#include "device/client/client.h"
#include "fengni/sdf_ext.h"
#include "gmt/sdf.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    uint8_t bytes[65536];
    const uint8_t *p;
    size_t n;
} script = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint8_t next(void)
{
    pthread_mutex_lock(&script.lock);
    uint8_t v = script.n ? (script.n--, *script.p++) : 0;
    pthread_mutex_unlock(&script.lock);
    return v;
}

/* The peer */

static const char *response_layout(uint16_t operation)
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

/* Lengths that fit something, and some that fit nothing. */
static size_t some_length(size_t given)
{
    static const uint16_t lengths[] = {0,  1,   12,  16,  17,  32,  33,  48,   64,  65,
                                       97, 100, 112, 128, 256, 257, 516, 1000, 5000};
    uint8_t pick = next();
    if (pick & 0x80) return given;
    return lengths[pick % FN_COUNT(lengths)];
}

static void put_fields(struct fn_buf *b, const char *layout, size_t given)
{
    static const uint8_t zero[8192];
    for (; *layout; layout++) {
        size_t n = *layout == 'v'                     ? some_length(given)
                   : *layout == 'H'                   ? 2
                   : *layout == 'W'                   ? 4
                   : *layout == 'Q'                   ? 8
                   : *layout == 'U' || *layout == 'D' ? (*layout == 'U' ? 16 : 32)
                                                      : 1;
        if (n > sizeof zero) n = sizeof zero;
        if (*layout == 'v') fn_buf_u32(b, (uint32_t)n);
        uint8_t head = n ? next() : 0;
        if (n) fn_buf_u8(b, *layout == 'H' ? 0 : head);
        if (n > 1) fn_buf_add(b, zero, n - 2), fn_buf_u8(b, *layout == 'H' ? head & 7 : 1);
    }
}

static void put_hello(struct fn_buf *b)
{
    fn_buf_u32(b, FN_DEVICE_PROTOCOL_VERSION);
    fn_buf_u32(b, FN_DEVICE_FRAME_MOST);
    fn_buf_u32(b, FN_DEVICE_VECTOR_MOST);
    fn_buf_u32(b, 64);
    fn_buf_add(b, "0123456789abcdef", 16);
    fn_buf_u32(b, FN_DEVICE_READY);
    fn_buf_var(b, "t", 1);
    fn_buf_var(b, "a", 1);
}

static bool respond(int fd, const uint8_t *frame, size_t size)
{
    static uint8_t out[65536];
    struct fn_buf b = fn_buf_fixed(out, sizeof out);
    uint16_t operation = fn_get_be16(frame + 4);
    bool honest =
        operation == FN_OP_HELLO || operation == FN_OP_SESSION_OPEN || operation == FN_OP_SESSION_CLOSE;
    uint8_t how = honest ? 0xff : next();
    fn_buf_u32(&b, 0);
    fn_buf_add(&b, frame + 4, 24);
    fn_buf_u32(&b, how < 0x18 ? 500u + how : 0);
    fn_buf_u32(&b, 0);
    if (how < 0x18) {
        fn_put_be16(out + 6, 0);
        fn_buf_var(&b, "no", 2);
    } else {
        fn_buf_u32(&b, how < 0x28 ? how * 37u : 0);
        if (operation == FN_OP_HELLO)
            put_hello(&b);
        else if (operation == FN_OP_SESSION_OPEN)
            fn_buf_u32(&b, 7);
        else if (how >= 0x28)
            put_fields(&b, response_layout(operation), size > 60 ? size - 60 : 0);
        if (how >= 0x28 && how < 0x30) fn_buf_u8(&b, how); /* something behind the end */
    }
    fn_put_be32(out, (uint32_t)(b.n - 4));
    return send(fd, out, b.n, MSG_NOSIGNAL) == (ssize_t)b.n;
}

static bool read_all(int fd, uint8_t *p, size_t n)
{
    for (ssize_t got; n; n -= (size_t)got, p += got)
        if ((got = read(fd, p, n)) <= 0) return false;
    return true;
}

static void *serve(void *argument)
{
    int listener = *(int *)argument;
    static uint8_t frame[FN_DEVICE_FRAME_MOST + 4];
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        while (fd >= 0 && read_all(fd, frame, 4) && read_all(fd, frame + 4, fn_get_be32(frame)) &&
               respond(fd, frame, 4 + fn_get_be32(frame)))
            continue;
        close(fd);
    }
    return NULL;
}

static void start(void)
{
    static int listener;
    static char path[64];
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    pthread_t thread;
    snprintf(path, sizeof path, "/tmp/fuzz-sdf-%d.sock", (int)getpid());
    memcpy(a.sun_path, path, strlen(path));
    unlink(path);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 4)) abort();
    setenv("FENGNI_DEVICE_SOCKET", path, 1);
    pthread_create(&thread, NULL, serve, &listener);
}

/* The caller */

static void *room(size_t n)
{
    uint8_t *p = malloc(n ? n : 1);
    memset(p, 0, n);
    return p;
}

struct state {
    void *session, *keys[4];
};

static void *some_key(struct state *s)
{
    uint8_t pick = next();
    return pick & 0x80 ? (void *)(uintptr_t)(pick * 16u + 3) : s->keys[pick & 3];
}

static void keep(struct state *s, void *key)
{
    s->keys[next() & 3] = key;
}

static void key_calls(struct state *s, uint8_t which)
{
    void *key = NULL;
    unsigned n = 0xdeadbeef, bits = (next() & 31) * 8u;
    ECCrefPublicKey *pub = room(sizeof *pub), *tmp = room(sizeof *tmp), *peer = room(sizeof *peer);
    RSArefPublicKey *rsa = room(sizeof *rsa);
    ECCCipher *cipher = room(164 + 32 + (next() & 1 ? 0 : 4));
    unsigned char *wrapped = room(512);
    peer->bits = 256;
    peer->x[40] = next();
    rsa->bits = 2048;
    cipher->L = next() & 63;
    if (cipher->L > 32) cipher->L = 0xffffff00u | cipher->L;
    switch (which % 12) {
    case 0:
        SDF_ExportSignPublicKey_ECC(s->session, 1, pub);
        break;
    case 1:
        SDF_ExportEncPublicKey_RSA(s->session, 1, rsa);
        break;
    case 2:
        /* what a key of so many bits needs */
        free(cipher);
        cipher = room(164 + bits / 8 > sizeof(ECCCipher) ? 164 + bits / 8 : sizeof(ECCCipher));
        SDF_GenerateKeyWithEPK_ECC(s->session, bits, SGD_SM2_3, peer, cipher, &key);
        break;
    case 3:
        SDF_GenerateKeyWithKEK(s->session, 128, SGD_SM4_ECB, 1, wrapped, &n, &key);
        break;
    case 4:
        SDF_ImportKeyWithKEK(s->session, SGD_SM4_CBC, 1, wrapped, 48, &key);
        break;
    case 5:
        SDF_ImportKeyWithISK_ECC(s->session, 1, cipher, &key);
        break;
    case 6:
        SDF_GenerateAgreementDataWithECC(s->session, 1, 128, wrapped, 5, pub, tmp, &key);
        break;
    case 7:
        SDF_GenerateKeyWithECC(s->session, wrapped, 5, peer, peer, some_key(s), &key);
        break;
    case 8:
        SDF_DestroyKey(s->session, some_key(s));
        break;
    case 9:
        SDF_GetSymmKeyHandle(s->session, 3, &key);
        break;
    case 10:
        SDF_ImportKey(s->session, wrapped, 16, &key);
        break;
    default:
        SDF_GenerateKeyWithEPK_RSA(s->session, 128, rsa, wrapped, &n, &key);
        break;
    }
    if (key) keep(s, key);
    free(pub);
    free(tmp);
    free(peer);
    free(rsa);
    free(cipher);
    free(wrapped);
}

static void data_calls(struct state *s, uint8_t which)
{
    static const unsigned modes[] = {SGD_SM4_ECB, SGD_SM4_CBC, SGD_SM4_CTR, SGD_SM4_MAC,
                                     SGD_SM3,     SGD_SM4_GCM, SGD_SM4_CCM, SGD_SM1_ECB};
    unsigned size = next(), n = 0xdeadbeef, m = 0xdeadbeef, mode = modes[next() & 7];
    unsigned char *in = room(size), *out = room(size), *iv = room(16), *tag = room(16), *mac = room(32),
                  *more = room(size + 15), *last = room(16);
    switch (which % 16) {
    case 0:
        SDF_Encrypt(s->session, some_key(s), mode, iv, in, size, out, &n);
        break;
    case 1:
        SDF_Decrypt(s->session, some_key(s), mode, iv, in, size, out, &n);
        break;
    case 2:
        SDF_CalculateMAC(s->session, some_key(s), mode, iv, in, size, mac, &n);
        break;
    case 3:
        SDF_AuthEnc(s->session, some_key(s), mode, iv, 12, in, size & 7, in, size, out, &n, tag, &m);
        break;
    case 4:
        SDF_AuthDec(s->session, some_key(s), mode, iv, 12, in, size & 7, tag, 16, in, size, out, &n);
        break;
    case 5:
        SDF_EncryptInit(s->session, some_key(s), mode, iv, 16);
        break;
    case 6:
        SDF_EncryptUpdate(s->session, in, size, more, &n);
        break;
    case 7:
        SDF_EncryptFinal(s->session, last, &n);
        break;
    case 8:
        SDF_AuthEncInit(s->session, some_key(s), mode, iv, 12, in, size & 7, size);
        break;
    case 9:
        SDF_AuthEncFinal(s->session, last, &n, tag, &m);
        break;
    case 10:
        SDF_HMACInit(s->session, some_key(s), SGD_SM3);
        break;
    case 11:
        SDF_HMACFinal(s->session, mac, &n);
        break;
    case 12:
        SDF_GenerateRandom(s->session, size, out);
        break;
    case 13:
        SDF_HashInit(s->session, SGD_SM3, NULL, NULL, 0);
        break;
    case 14:
        SDF_HashFinal(s->session, mac, &n);
        break;
    default:
        n = size;
        SDF_ReadFile(s->session, in, (size & 15) + 1 <= size ? (size & 15) + 1 : 0, 0, &n, out);
        break;
    }
    free(in);
    free(out);
    free(iv);
    free(tag);
    free(mac);
    free(more);
    free(last);
}

static void other_calls(struct state *s, uint8_t which)
{
    unsigned n = next(), m = 64;
    unsigned char *in = room(256), *out = room(256);
    ECCCipher *cipher = room(164 + n > sizeof *cipher ? 164 + n : sizeof *cipher);
    ECCrefPublicKey *pub = room(sizeof *pub);
    ECCSignature *sig = room(sizeof *sig);
    DEVICEINFO *info = room(sizeof *info);
    char *text = room(n);
    SDFX_Uuid uuid = {{0}};
    uint64_t counter;
    pub->bits = 256;
    switch (which % 10) {
    case 0:
        SDF_InternalSign_ECC(s->session, 1, in, 32, sig);
        break;
    case 1:
        SDF_ExternalVerify_ECC(s->session, SGD_SM2_1, pub, in, 32, sig);
        break;
    case 2:
        SDF_ExternalEncrypt_ECC(s->session, SGD_SM2_3, pub, in, n, cipher);
        break;
    case 3:
        cipher->L = n;
        SDF_InternalDecrypt_ECC(s->session, 1, SGD_SM2_3, cipher, out, &m);
        break;
    case 4:
        SDF_GetDeviceInfo(s->session, info);
        break;
    case 5:
        SDF_InternalPrivateKeyOperation_RSA(s->session, 1, in, 256, out, &m);
        break;
    case 6:
        m = n, SDFX_Status(s->session, text, &m);
        break;
    case 7:
        m = n, SDFX_NewKey(s->session, 3, 1, 12, "label", NULL, &uuid, (unsigned char *)text, &m);
        break;
    case 8:
        m = n, SDFX_GetAnchor(s->session, in, 5, in, text, &m, &counter, out, sig);
        break;
    default:
        m = n, SDFX_DestroyKey(s->session, &uuid, 0, text, &m, sig);
        break;
    }
    free(in);
    free(out);
    free(cipher);
    free(pub);
    free(sig);
    free(info);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    void *device;
    struct state s = {0};
    if (!started) start();
    started = true;
    if (size > sizeof script.bytes) return 0;
    pthread_mutex_lock(&script.lock);
    memcpy(script.bytes, data, size);
    script.p = script.bytes;
    script.n = size;
    pthread_mutex_unlock(&script.lock);
    if (SDF_OpenDevice(&device) != SDR_OK) return 0;
    if (SDF_OpenSession(device, &s.session) == SDR_OK) {
        for (int calls = 0; script.n && calls < 60; calls++) {
            uint8_t which = next();
            if (which < 0x60)
                key_calls(&s, which);
            else if (which < 0xc0)
                data_calls(&s, which);
            else
                other_calls(&s, which);
        }
    }
    SDF_CloseDevice(device);
    return 0;
}
