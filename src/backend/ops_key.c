/* Session keys and key agreement: the library's own functions. */
#include "backend/backend.h"

#include "base/sys/heap.h"
#include <string.h>

#define V(s)    (&(s)->backend->vendor)
#define CIPHER  4096u
#define WRAPPED 1024u

static fn_err index_key(struct fn_backend_session *s, struct fn_bytes ref, uint8_t half,
                        struct fn_named *named)
{
    FN_TRY(fn_backend_key(s, ref, 0, true, named));
    if (named->kind != FN_KEY_INDEX || named->half != half)
        return FN_FAIL(FN_E_DEVICE_CANNOT, "this device names such keys by index only");
    return FN_OK;
}

static fn_err need(struct fn_backend_session *s, enum fn_vendor_function f)
{
    return fn_vendor_has(V(s), f)
               ? FN_OK
               : FN_FAIL(FN_E_DEVICE_CANNOT, "the library has no %s", fn_vendor_names[f].name);
}

static fn_err hand_out(struct fn_backend_session *s, struct fn_item *item, void *key)
{
    uint64_t handle;
    FN_TRY(fn_backend_hold(s, key, false, &handle));
    return fn_buf_u64(&item->out, handle);
}

/* var wrapped ‖ handle, of a ciphertext in the library's layout */
static fn_err put_cipher(struct fn_backend_session *s, struct fn_item *item, const uint8_t *cipher)
{
    uint8_t storage[CIPHER];
    struct fn_buf plain = fn_buf_fixed(storage, sizeof storage);
    FN_TRY(fn_vendor_get_cipher(V(s), cipher, CIPHER, &plain));
    return fn_buf_var(&item->out, plain.p, plain.n);
}

FN_RUN(session_key_ipk)
{
    struct fn_named named;
    uint8_t cipher[CIPHER] = {0};
    void *key = NULL;
    FN_TRY(index_key(s, item->f[0].b, FN_HALF_ENCRYPT, &named));
    FN_TRY(need(s, FN_AT_SDF_GenerateKeyWithIPK_ECC));
    int code = FN_VENDOR(V(s), SDF_GenerateKeyWithIPK_ECC)(s->vendor, named.index, (unsigned)item->f[1].n,
                                                           (ECCCipher *)cipher, &key);
    FN_TRY(fn_vendor_error(code, "SDF_GenerateKeyWithIPK_ECC"));
    FN_TRY(put_cipher(s, item, cipher));
    return hand_out(s, item, key);
}

FN_RUN(session_key_epk)
{
    struct fn_named named;
    uint8_t cipher[CIPHER] = {0}, pub[FN_VENDOR_KEY];
    void *key = NULL;
    FN_TRY(fn_backend_key(s, item->f[0].b, 0, true, &named));
    if (named.kind != FN_KEY_EXTERNAL || named.algorithm != FN_ALG_SM2)
        return FN_FAIL(FN_E_DEVICE_CANNOT, "an external SM2 key is wanted");
    FN_TRY(need(s, FN_AT_SDF_GenerateKeyWithEPK_ECC));
    fn_vendor_put_public(V(s), named.point, pub);
    int code = FN_VENDOR(V(s), SDF_GenerateKeyWithEPK_ECC)(s->vendor, (unsigned)item->f[1].n,
                                                           fn_vendor_algorithm(V(s), SGD_SM2_3),
                                                           (ECCrefPublicKey *)pub, (ECCCipher *)cipher, &key);
    FN_TRY(fn_vendor_error(code, "SDF_GenerateKeyWithEPK_ECC"));
    FN_TRY(put_cipher(s, item, cipher));
    return hand_out(s, item, key);
}

FN_RUN(session_key_isk)
{
    struct fn_named named;
    uint8_t cipher[CIPHER];
    void *key = NULL;
    FN_TRY(index_key(s, item->f[0].b, FN_HALF_ENCRYPT, &named));
    FN_TRY(need(s, FN_AT_SDF_ImportKeyWithISK_ECC));
    FN_TRY(fn_vendor_put_cipher(V(s), item->f[1].b, cipher, sizeof cipher));
    int code = FN_VENDOR(V(s), SDF_ImportKeyWithISK_ECC)(s->vendor, named.index, (ECCCipher *)cipher, &key);
    FN_TRY(fn_vendor_error(code, "SDF_ImportKeyWithISK_ECC"));
    return hand_out(s, item, key);
}

/* The library wraps in one way; the other one is refused, not translated, because that would need the key in
 * clear. */
static fn_err wrap_mode(struct fn_backend_session *s, uint64_t algorithm)
{
    unsigned has = V(s)->profile->wrap == FN_WRAP_ECB ? SGD_SM4_ECB : SGD_SM4_CBC;
    return algorithm == has
               ? FN_OK
               : FN_FAIL(FN_E_DEVICE_CANNOT, "this device wraps under its KEK with 0x%x only", has);
}

FN_RUN(session_key_kek)
{
    struct fn_named named;
    uint8_t wrapped[WRAPPED];
    unsigned n = sizeof wrapped;
    void *key = NULL;
    FN_TRY(index_key(s, item->f[0].b, FN_HALF_KEK, &named));
    FN_TRY(need(s, FN_AT_SDF_GenerateKeyWithKEK));
    FN_TRY(wrap_mode(s, item->f[2].n));
    if (item->f[1].n > 4096) return FN_FAIL(FN_E_ARGUMENT, "key of %u bits", (unsigned)item->f[1].n);
    int code = FN_VENDOR(V(s), SDF_GenerateKeyWithKEK)(s->vendor, (unsigned)item->f[1].n,
                                                       fn_vendor_algorithm(V(s), (unsigned)item->f[2].n),
                                                       named.index, wrapped, &n, &key);
    FN_TRY(fn_vendor_error(code, "SDF_GenerateKeyWithKEK"));
    if (n > sizeof wrapped) return FN_FAIL(FN_E_FORMAT, "wrapped key of %u bytes", n);
    FN_TRY(fn_buf_var(&item->out, wrapped, n));
    return hand_out(s, item, key);
}

FN_RUN(session_key_kek_in)
{
    struct fn_named named;
    void *key = NULL;
    FN_TRY(index_key(s, item->f[0].b, FN_HALF_KEK, &named));
    FN_TRY(need(s, FN_AT_SDF_ImportKeyWithKEK));
    FN_TRY(wrap_mode(s, item->f[1].n));
    int code = FN_VENDOR(V(s), SDF_ImportKeyWithKEK)(
        s->vendor, fn_vendor_algorithm(V(s), (unsigned)item->f[1].n), named.index,
        (unsigned char *)(uintptr_t)item->f[2].b.p, (unsigned)item->f[2].b.n, &key);
    FN_TRY(fn_vendor_error(code, "SDF_ImportKeyWithKEK"));
    return hand_out(s, item, key);
}

FN_RUN(session_key_clear_in)
{
    void *key = NULL;
    if (!s->backend->options.test_tenant) return FN_FAIL(FN_E_CLEAR_KEY, "tenant %s", s->who->tenant);
    FN_TRY(need(s, FN_AT_SDF_ImportKey));
    int code = FN_VENDOR(V(s), SDF_ImportKey)(s->vendor, (unsigned char *)(uintptr_t)item->f[0].b.p,
                                              (unsigned)item->f[0].b.n, &key);
    FN_TRY(fn_vendor_error(code, "SDF_ImportKey"));
    return hand_out(s, item, key);
}

FN_RUN(session_key_destroy)
{
    struct fn_held_key **place;
    if (fn_backend_held(s, item->f[0].n, false, &place) != FN_OK)
        FN_TRY(fn_backend_held(s, item->f[0].n, true, &place));
    fn_backend_drop(s, place, true);
    return FN_OK;
}

FN_RUN(agree_start)
{
    struct fn_named named;
    uint8_t pub[FN_VENDOR_KEY] = {0}, ephemeral[FN_VENDOR_KEY] = {0}, point[64];
    void *agreement = NULL;
    uint64_t handle;
    FN_TRY(index_key(s, item->f[0].b, FN_HALF_ENCRYPT, &named));
    FN_TRY(need(s, FN_AT_SDF_GenerateAgreementDataWithECC));
    int code = FN_VENDOR(V(s), SDF_GenerateAgreementDataWithECC)(
        s->vendor, named.index, (unsigned)item->f[1].n, (unsigned char *)(uintptr_t)item->f[2].b.p,
        (unsigned)item->f[2].b.n, (ECCrefPublicKey *)pub, (ECCrefPublicKey *)ephemeral, &agreement);
    FN_TRY(fn_vendor_error(code, "SDF_GenerateAgreementDataWithECC"));
    FN_TRY(fn_backend_hold(s, agreement, true, &handle));
    FN_TRY(fn_vendor_get_public(V(s), pub, point));
    FN_TRY(fn_buf_var(&item->out, point, 64));
    FN_TRY(fn_vendor_get_public(V(s), ephemeral, point));
    FN_TRY(fn_buf_var(&item->out, point, 64));
    return fn_buf_u64(&item->out, handle);
}

static fn_err point_of(struct fn_backend_session *s, struct fn_bytes b, uint8_t out[FN_VENDOR_KEY])
{
    if (b.n != 64) return FN_FAIL(FN_E_SM2_POINT, "public key of %zu bytes", b.n);
    fn_vendor_put_public(V(s), b.p, out);
    return FN_OK;
}

FN_RUN(agree_finish)
{
    struct fn_held_key **place;
    uint8_t pub[FN_VENDOR_KEY], ephemeral[FN_VENDOR_KEY];
    void *key = NULL;
    FN_TRY(need(s, FN_AT_SDF_GenerateKeyWithECC));
    FN_TRY(fn_backend_held(s, item->f[0].n, true, &place));
    FN_TRY(point_of(s, item->f[2].b, pub));
    FN_TRY(point_of(s, item->f[3].b, ephemeral));
    int code = FN_VENDOR(V(s), SDF_GenerateKeyWithECC)(s->vendor, (unsigned char *)(uintptr_t)item->f[1].b.p,
                                                       (unsigned)item->f[1].b.n, (ECCrefPublicKey *)pub,
                                                       (ECCrefPublicKey *)ephemeral, (*place)->vendor, &key);
    FN_TRY(fn_vendor_error(code, "SDF_GenerateKeyWithECC"));
    fn_backend_drop(s, place, false);
    return hand_out(s, item, key);
}

FN_RUN(agree_respond)
{
    struct fn_named named;
    uint8_t pub[FN_VENDOR_KEY], ephemeral[FN_VENDOR_KEY], own[FN_VENDOR_KEY] = {0},
                                                          own_ephemeral[FN_VENDOR_KEY] = {0}, point[64];
    void *key = NULL;
    FN_TRY(index_key(s, item->f[0].b, FN_HALF_ENCRYPT, &named));
    FN_TRY(need(s, FN_AT_SDF_GenerateAgreementDataAndKeyWithECC));
    FN_TRY(point_of(s, item->f[4].b, pub));
    FN_TRY(point_of(s, item->f[5].b, ephemeral));
    int code = FN_VENDOR(V(s), SDF_GenerateAgreementDataAndKeyWithECC)(
        s->vendor, named.index, (unsigned)item->f[1].n, (unsigned char *)(uintptr_t)item->f[2].b.p,
        (unsigned)item->f[2].b.n, (unsigned char *)(uintptr_t)item->f[3].b.p, (unsigned)item->f[3].b.n,
        (ECCrefPublicKey *)pub, (ECCrefPublicKey *)ephemeral, (ECCrefPublicKey *)own,
        (ECCrefPublicKey *)own_ephemeral, &key);
    FN_TRY(fn_vendor_error(code, "SDF_GenerateAgreementDataAndKeyWithECC"));
    FN_TRY(fn_vendor_get_public(V(s), own, point));
    FN_TRY(fn_buf_var(&item->out, point, 64));
    FN_TRY(fn_vendor_get_public(V(s), own_ephemeral, point));
    FN_TRY(fn_buf_var(&item->out, point, 64));
    return hand_out(s, item, key);
}

FN_RUN(envelope_exchange)
{
    struct fn_named own, to;
    uint8_t in[CIPHER], out[CIPHER] = {0}, pub[FN_VENDOR_KEY];
    FN_TRY(index_key(s, item->f[0].b, FN_HALF_ENCRYPT, &own));
    FN_TRY(fn_backend_key(s, item->f[1].b, 0, true, &to));
    if (to.kind != FN_KEY_EXTERNAL || to.algorithm != FN_ALG_SM2)
        return FN_FAIL(FN_E_DEVICE_CANNOT, "an external SM2 key is wanted");
    FN_TRY(need(s, FN_AT_SDF_ExchangeDigitEnvelopeBaseOnECC));
    fn_vendor_put_public(V(s), to.point, pub);
    FN_TRY(fn_vendor_put_cipher(V(s), item->f[2].b, in, sizeof in));
    int code = FN_VENDOR(V(s), SDF_ExchangeDigitEnvelopeBaseOnECC)(
        s->vendor, own.index, fn_vendor_algorithm(V(s), SGD_SM2_3), (ECCrefPublicKey *)pub, (ECCCipher *)in,
        (ECCCipher *)out);
    FN_TRY(fn_vendor_error(code, "SDF_ExchangeDigitEnvelopeBaseOnECC"));
    return put_cipher(s, item, out);
}

FN_RUN(key_public)
{
    struct fn_named named;
    uint8_t pub[FN_VENDOR_KEY] = {0}, point[64];
    FN_TRY(fn_backend_key(s, item->f[0].b, 0, false, &named));
    if (named.kind != FN_KEY_INDEX) return FN_FAIL(FN_E_KEY_ALGORITHM, "a symmetric key has no public half");
    bool own = named.index == 0 && named.half == FN_HALF_SIGN && s->backend->signer;
    if (own) memcpy(point, s->backend->signer_public, 64);
    if (!own) {
        bool encrypt = named.half == FN_HALF_ENCRYPT;
        FN_TRY(need(s, encrypt ? FN_AT_SDF_ExportEncPublicKey_ECC : FN_AT_SDF_ExportSignPublicKey_ECC));
        int code = encrypt ? FN_VENDOR(V(s), SDF_ExportEncPublicKey_ECC)(s->vendor, named.index,
                                                                         (ECCrefPublicKey *)pub)
                           : FN_VENDOR(V(s), SDF_ExportSignPublicKey_ECC)(s->vendor, named.index,
                                                                          (ECCrefPublicKey *)pub);
        if (code == SDR_KEYNOTEXIST) return FN_FAIL(FN_E_KEY_INDEX, "index %u", named.index);
        FN_TRY(fn_vendor_error(code, "SDF_ExportPublicKey_ECC"));
        FN_TRY(fn_vendor_get_public(V(s), pub, point));
    }
    FN_TRY(fn_buf_u16(&item->out, FN_ALG_SM2));
    return fn_buf_var(&item->out, point, 64);
}

FN_RUN(access_take)
{
    FN_TRY(need(s, FN_AT_SDF_GetPrivateKeyAccessRight));
    char password[256];
    FN_SCOPED_WIPE(password);
    if (item->f[1].b.n >= sizeof password) return FN_FAIL(FN_E_KEY_PASSWORD, "at most 255 bytes");
    memset(password, 0, sizeof password); /* some libraries read up to a NUL */
    memcpy(password, item->f[1].b.p, item->f[1].b.n);
    int code = FN_VENDOR(V(s), SDF_GetPrivateKeyAccessRight)(
        s->vendor, (unsigned)item->f[0].n, (unsigned char *)password, (unsigned)item->f[1].b.n);
    return fn_vendor_error(code, "SDF_GetPrivateKeyAccessRight");
}

FN_RUN(access_release)
{
    FN_TRY(need(s, FN_AT_SDF_ReleasePrivateKeyAccessRight));
    (void)FN_VENDOR(V(s), SDF_ReleasePrivateKeyAccessRight)(
        s->vendor, (unsigned)item->f[0].n); /* without a right: nothing */
    return FN_OK;
}
