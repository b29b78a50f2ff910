#include "backend/vendor.h"

#include <dlfcn.h>
#include <string.h>

const struct fn_vendor_name fn_vendor_names[FN_VENDOR_COUNT] = {
#define X(group, name) {FN_GROUP_##group, #name},
    FN_VENDOR_FUNCTIONS(X)
#undef X
};

fn_err fn_vendor_load(struct fn_vendor *v, const char *path, const struct fn_profile *profile)
{
    *v = (struct fn_vendor){.profile = profile};
    pthread_mutex_init(&v->lock, NULL);
    v->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!v->library) {
        const char *why = dlerror();
        return FN_FAIL(FN_E_NOT_FOUND, "%s", why ? why : path);
    }
    for (size_t i = 0; i < FN_VENDOR_COUNT; i++) v->functions[i] = dlsym(v->library, fn_vendor_names[i].name);
    static const enum fn_vendor_function needed[] = {FN_AT_SDF_OpenDevice, FN_AT_SDF_CloseDevice,
                                                     FN_AT_SDF_OpenSession, FN_AT_SDF_CloseSession};
    for (size_t i = 0; i < FN_COUNT(needed); i++)
        if (!v->functions[needed[i]])
            return FN_FAIL(FN_E_FORMAT, "%s has no %s", path, fn_vendor_names[needed[i]].name);
    return FN_OK;
}

fn_err fn_vendor_open(struct fn_vendor *v)
{
    return fn_vendor_error(FN_VENDOR(v, SDF_OpenDevice)(&v->device), "SDF_OpenDevice");
}

void fn_vendor_close(struct fn_vendor *v)
{
    if (v->device) FN_VENDOR(v, SDF_CloseDevice)(v->device);
    v->device = NULL;
    /* The library stays loaded: few of them are made to be unloaded, and the process ends soon. */
}

static const struct {
    int from;
    fn_err to;
} errors[] = {
    {SDR_NOTSUPPORT, FN_E_DEVICE_CANNOT},
    {SDR_COMMFAIL, FN_E_DEVICE_LOST},
    {SDR_HARDFAIL, FN_E_DEVICE_EXCEPTION},
    {SDR_OPENDEVICE, FN_E_DEVICE_STATE},
    {SDR_OPENSESSION, FN_E_DEVICE_BUSY},
    {SDR_PARDENY, FN_E_KEY_RIGHT},
    {SDR_KEYNOTEXIST, FN_E_KEY_NOT_FOUND},
    {SDR_ALGNOTSUPPORT, FN_E_DEVICE_CANNOT},
    {SDR_ALGMODNOTSUPPORT, FN_E_DEVICE_CANNOT},
    {SDR_VERIFYERR, FN_E_SIGNATURE},
    {SDR_STEPERR, FN_E_DEVICE_STEP},
    {SDR_FILESIZEERR, FN_E_FILE_SIZE},
    {SDR_FILENOEXIST, FN_E_NOT_FOUND},
    {SDR_FILEOFSERR, FN_E_FILE_OFFSET},
    {SDR_KEYTYPEERR, FN_E_KEY_ALGORITHM},
    {SDR_KEYERR, FN_E_KEY_BLOB},
    {SDR_ENCDATAERR, FN_E_SM2_CIPHERTEXT},
    {SDR_RANDERR, FN_E_RANDOM_SOURCE},
    {SDR_PRKRERR, FN_E_KEY_PASSWORD},
    {SDR_MACERR, FN_E_TAG},
    {SDR_FILEEXISTS, FN_E_EXISTS},
    {SDR_FILEWERR, FN_E_IO},
    {SDR_NOBUFFER, FN_E_NO_MEMORY},
    {SDR_INARGERR, FN_E_ARGUMENT},
    {SDR_OUTARGERR, FN_E_ARGUMENT},
};

fn_err fn_vendor_error(int code, const char *call)
{
    if (code == SDR_OK) return FN_OK;
    for (size_t i = 0; i < FN_COUNT(errors); i++)
        if (errors[i].from == code) return FN_FAIL(errors[i].to, "%s: 0x%08x", call, (unsigned)code);
    return FN_FAIL(FN_E_DEVICE_CANNOT, "%s: 0x%08x", call, (unsigned)code);
}

unsigned fn_vendor_algorithm(const struct fn_vendor *v, unsigned algorithm)
{
    if (v->profile->numbers == FN_NUMBERS_GM) return algorithm;
    switch (algorithm) {
    case SGD_SM2_1:
        return 0x00020100;
    case SGD_SM2_2:
        return 0x00020200;
    case SGD_SM2_3:
        return 0x00020400;
    default:
        return (algorithm & 0xffffff00) == 0x0400 ? 0x2000 | (algorithm & 0xff) : algorithm;
    }
}

static void number_in(const struct fn_vendor *v, uint8_t *field, const uint8_t value[32])
{
    size_t width = v->profile->ecc_width;
    memset(field, 0, width - 32);
    memcpy(field + width - 32, value, 32);
}

static fn_err number_out(const struct fn_vendor *v, const uint8_t *field, uint8_t value[32])
{
    size_t width = v->profile->ecc_width;
    for (size_t i = 0; i < width - 32; i++)
        if (field[i])
            return FN_FAIL(FN_E_FORMAT, "a number of the library has more than 256 bits: wrong profile?");
    memcpy(value, field + width - 32, 32);
    return FN_OK;
}

void fn_vendor_put_public(const struct fn_vendor *v, const uint8_t point[64], uint8_t out[FN_VENDOR_KEY])
{
    uint32_t bits = 256;
    memcpy(out, &bits, 4);
    number_in(v, out + 4, point);
    number_in(v, out + 4 + v->profile->ecc_width, point + 32);
}

fn_err fn_vendor_get_public(const struct fn_vendor *v, const uint8_t in[FN_VENDOR_KEY], uint8_t point[64])
{
    uint32_t bits;
    memcpy(&bits, in, 4);
    if (bits != 256) return FN_FAIL(FN_E_FORMAT, "public key of %u bits", bits);
    FN_TRY(number_out(v, in + 4, point));
    return number_out(v, in + 4 + v->profile->ecc_width, point + 32);
}

void fn_vendor_put_signature(const struct fn_vendor *v, const uint8_t sig[64], uint8_t out[FN_VENDOR_SIG])
{
    number_in(v, out, sig);
    number_in(v, out + v->profile->ecc_width, sig + 32);
}

fn_err fn_vendor_get_signature(const struct fn_vendor *v, const uint8_t in[FN_VENDOR_SIG], uint8_t sig[64])
{
    FN_TRY(number_out(v, in, sig));
    return number_out(v, in + v->profile->ecc_width, sig + 32);
}

/* Offsets of a ciphertext's parts. */
struct cipher_parts {
    size_t length, x, y, c, m, c_most, size;
};

static struct cipher_parts parts_of(const struct fn_vendor *v)
{
    size_t w = v->profile->ecc_width;
    if (v->profile->cipher == FN_CIPHER_GM)
        return (struct cipher_parts){2 * w + 32, 0, w, 2 * w + 36, 2 * w, 65536, 2 * w + 36};
    return (struct cipher_parts){0, 4, 4 + w, 4 + 2 * w, 4 + 2 * w + 136, 136, 4 + 2 * w + 136 + 32};
}

fn_err fn_vendor_put_cipher(const struct fn_vendor *v, struct fn_bytes cipher, uint8_t *out, size_t room)
{
    struct cipher_parts p = parts_of(v);
    if (cipher.n <= 96) return FN_FAIL(FN_E_SM2_CIPHERTEXT, "%zu bytes", cipher.n);
    uint32_t n = (uint32_t)(cipher.n - 96);
    if (n > p.c_most || p.size + n > room)
        return FN_FAIL(FN_E_TOO_LARGE, "ciphertext of %u bytes, at most %zu", n, p.c_most);
    memset(out, 0, p.size);
    memcpy(out + p.length, &n, 4);
    number_in(v, out + p.x, cipher.p);
    number_in(v, out + p.y, cipher.p + 32);
    memcpy(out + p.m, cipher.p + 64, 32);
    memcpy(out + p.c, cipher.p + 96, n);
    return FN_OK;
}

fn_err fn_vendor_get_cipher(const struct fn_vendor *v, const uint8_t *in, size_t room, struct fn_buf *out)
{
    struct cipher_parts p = parts_of(v);
    uint8_t head[96];
    uint32_t n;
    memcpy(&n, in + p.length, 4);
    if (n == 0 || n > p.c_most || p.c + n > room)
        return FN_FAIL(FN_E_FORMAT, "the library gave a ciphertext of %u bytes", n);
    FN_TRY(number_out(v, in + p.x, head));
    FN_TRY(number_out(v, in + p.y, head + 32));
    memcpy(head + 64, in + p.m, 32);
    FN_TRY(fn_buf_add(out, head, sizeof head));
    return fn_buf_add(out, in + p.c, n);
}
