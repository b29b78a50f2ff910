/* Bringing the backend up: the library, the key that protects our store, the signer. */
#include "backend/backend.h"

#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include "crypto/sm2/sm2.h"
#include "crypto/sm3/sm3.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define ROOT_FILE    "root.wrapped"
#define WRAPPED_MOST 256u

static unsigned wrap_algorithm(const struct fn_vendor *v)
{
    return fn_vendor_algorithm(v, v->profile->wrap == FN_WRAP_ECB ? SGD_SM4_ECB : SGD_SM4_CBC);
}

/* The store's root: a key made and wrapped by the vendor's device at the first start. */
static fn_err root_handle(struct fn_backend *b, void *session, const char *path, void **key)
{
    const struct fn_vendor *v = &b->vendor;
    struct fn_buf wrapped FN_SCOPED_BUF = fn_buf_heap();
    fn_err err = fn_files_read_all(fn_files_real(), path, WRAPPED_MOST, &wrapped);
    if (err == FN_OK)
        return fn_vendor_error(FN_VENDOR(v, SDF_ImportKeyWithKEK)(session, wrap_algorithm(v), b->options.kek,
                                                                  wrapped.p, (unsigned)wrapped.n, key),
                               "SDF_ImportKeyWithKEK");
    if (err != FN_E_NOT_FOUND) return err;
    uint8_t made[WRAPPED_MOST];
    unsigned n = sizeof made;
    int code =
        FN_VENDOR(v, SDF_GenerateKeyWithKEK)(session, 128, wrap_algorithm(v), b->options.kek, made, &n, key);
    FN_TRY(fn_vendor_error(code, "SDF_GenerateKeyWithKEK"));
    if (n > sizeof made) return FN_FAIL(FN_E_FORMAT, "wrapped key of %u bytes", n);
    return fn_files_replace(fn_files_real(), path, fn_bytes(made, n), 0600);
}

/* Keys of the store: what the vendor's device makes of three fixed blocks under the root, hashed. The root
 * itself never leaves. */
static fn_err store_keys(struct fn_backend *b, void *session, struct fn_device_store_keys *keys)
{
    const struct fn_vendor *v = &b->vendor;
    static const uint8_t block[48] = "fengni backend store 1";
    char *path FN_SCOPED_HEAP = NULL;
    uint8_t iv[16] = {0}, out[64], digest[33];
    FN_SCOPED_WIPE(out);
    FN_SCOPED_WIPE(digest);
    unsigned n = sizeof block;
    void *key = NULL;
    FN_TRY(fn_heap_format(&path, "%s/" ROOT_FILE, b->options.directory));
    FN_TRY(root_handle(b, session, path, &key));
    int code = FN_VENDOR(v, SDF_Encrypt)(session, key, fn_vendor_algorithm(v, SGD_SM4_CBC), iv,
                                         (unsigned char *)(uintptr_t)block, sizeof block, out, &n);
    FN_VENDOR(v, SDF_DestroyKey)(session, key);
    FN_TRY(fn_vendor_error(code, "SDF_Encrypt"));
    if (n != sizeof block) return FN_FAIL(FN_E_FORMAT, "%u bytes of %zu", n, sizeof block);
    fn_sm3_digest(out, sizeof block, digest);
    memcpy(keys->seal, digest, 16);
    digest[32] = 1;
    fn_sm3_digest(digest, 33, keys->mac);
    return FN_OK;
}

static fn_err open_store(struct fn_backend *b)
{
    struct fn_device_store_keys keys;
    FN_SCOPED_WIPE(keys);
    struct fn_device_store_report report;
    void *session = NULL;
    char *path FN_SCOPED_HEAP = NULL;
    const enum fn_vendor_function needed[] = {FN_AT_SDF_GenerateKeyWithKEK, FN_AT_SDF_ImportKeyWithKEK,
                                              FN_AT_SDF_Encrypt, FN_AT_SDF_DestroyKey,
                                              FN_AT_SDF_GenerateRandom};
    for (size_t i = 0; i < FN_COUNT(needed); i++)
        if (!fn_vendor_has(&b->vendor, needed[i]))
            return FN_FAIL(FN_E_DEVICE_CANNOT, "the library has no %s", fn_vendor_names[needed[i]].name);
    if (mkdir(b->options.directory, 0700) != 0 && errno != EEXIST)
        return FN_FAIL_OS("%s", b->options.directory);
    FN_TRY(fn_vendor_error(FN_VENDOR(&b->vendor, SDF_OpenSession)(b->vendor.device, &session),
                           "SDF_OpenSession"));
    fn_err err = store_keys(b, session, &keys);
    FN_VENDOR(&b->vendor, SDF_CloseSession)(session);
    FN_TRY(err);
    FN_TRY(fn_heap_format(&path, "%s/store", b->options.directory));
    err = fn_device_store_open(&b->store, fn_files_real(), path, &keys, &report);
    if (err != FN_E_NOT_FOUND) return err;
    FN_TRY(fn_device_store_create(fn_files_real(), path, &keys));
    return fn_device_store_open(&b->store, fn_files_real(), path, &keys, &report);
}

static fn_err take_right(struct fn_backend *b, void *session)
{
    struct fn_buf password = fn_buf_secret();
    if (!b->options.password) return FN_OK;
    fn_err err = fn_files_read_all(fn_files_real(), b->options.password, 256, &password);
    while (err == FN_OK && password.n &&
           (password.p[password.n - 1] == '\n' || password.p[password.n - 1] == '\r'))
        password.n--;
    unsigned n = (unsigned)password.n;
    if (err == FN_OK) err = fn_buf_u8(&password, 0); /* some libraries read up to a NUL */
    if (err == FN_OK)
        err = fn_vendor_error(
            FN_VENDOR(&b->vendor, SDF_GetPrivateKeyAccessRight)(session, b->options.sign, password.p, n),
            "SDF_GetPrivateKeyAccessRight");
    fn_buf_free(&password);
    return err;
}

static fn_err open_signer(struct fn_backend *b)
{
    uint8_t pub[FN_VENDOR_KEY] = {0};
    const struct fn_vendor *v = &b->vendor;
    if (!b->options.sign) return FN_OK;
    if (!fn_vendor_has(v, FN_AT_SDF_InternalSign_ECC) || !fn_vendor_has(v, FN_AT_SDF_ExportSignPublicKey_ECC))
        return FN_FAIL(FN_E_DEVICE_CANNOT, "the library does not sign");
    FN_TRY(fn_vendor_error(FN_VENDOR(v, SDF_OpenSession)(v->device, &b->signer), "SDF_OpenSession"));
    FN_TRY(take_right(b, b->signer));
    FN_TRY(fn_vendor_error(
        FN_VENDOR(v, SDF_ExportSignPublicKey_ECC)(b->signer, b->options.sign, (ECCrefPublicKey *)pub),
        "SDF_ExportSignPublicKey_ECC"));
    FN_TRY(fn_vendor_get_public(v, pub, b->signer_public));
    struct fn_sm2_public point;
    memcpy(point.x, b->signer_public, 32);
    memcpy(point.y, b->signer_public + 32, 32);
    return fn_sm2_public_check(&point);
}

fn_err fn_backend_sign(struct fn_backend *b, struct fn_bytes statement, uint8_t signature[64])
{
    uint8_t e[32], out[FN_VENDOR_SIG] = {0};
    struct fn_sm2_public pub;
    if (!b->signer) return FN_FAIL(FN_E_DEVICE_CANNOT, "no key pair was named for signing (--sign)");
    memcpy(pub.x, b->signer_public, 32);
    memcpy(pub.y, b->signer_public + 32, 32);
    FN_TRY(fn_sm2_digest(e, &pub, FN_SM2_DEFAULT_ID, statement));
    pthread_mutex_lock(&b->signer_lock);
    int code = FN_VENDOR(&b->vendor, SDF_InternalSign_ECC)(b->signer, b->options.sign, e, sizeof e,
                                                           (ECCSignature *)out);
    pthread_mutex_unlock(&b->signer_lock);
    FN_TRY(fn_vendor_error(code, "SDF_InternalSign_ECC"));
    FN_TRY(fn_vendor_get_signature(&b->vendor, out, signature));
    return fn_sm2_verify(&pub, e, signature);
}

/* Results older than the promise are dropped at each start. */
static fn_err prune_one(void *context, const struct fn_record_name *name)
{
    struct fn_backend *b = context;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(fn_device_store_get(b->store, name, &value));
    int64_t at = value.n >= 8 ? (int64_t)fn_get_be64(value.p) : 0;
    if (fn_now_ms() - at < FN_DEVICE_REMEMBER_MS) return FN_OK;
    struct fn_change change = {.name = *name, .remove = true};
    return fn_device_store_commit(b->store, &change, 1);
}

fn_err fn_backend_open(struct fn_backend *b, const struct fn_backend_options *options)
{
    *b = (struct fn_backend){.options = *options, .started_ms = fn_monotonic_ms()};
    pthread_mutex_init(&b->change, NULL);
    pthread_mutex_init(&b->signer_lock, NULL);
    if (getrandom(b->boot.b, sizeof b->boot.b, 0) != sizeof b->boot.b) return FN_FAIL_OS("getrandom");
    FN_TRY(fn_vendor_load(&b->vendor, options->library, options->profile));
    for (size_t i = 0; i < options->profile->absent_count; i++)
        b->vendor.functions[options->profile->absent[i]] = NULL;
    FN_TRY(fn_vendor_open(&b->vendor));
    FN_TRY(open_store(b));
    FN_TRY(open_signer(b));
    return fn_device_store_each(b->store, FN_RECORD_REQUEST, NULL, prune_one, b);
}

void fn_backend_close(struct fn_backend *b)
{
    if (b->store) fn_device_store_close(b->store);
    if (b->signer) FN_VENDOR(&b->vendor, SDF_CloseSession)(b->signer);
    fn_vendor_close(&b->vendor);
}
