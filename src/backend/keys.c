#include "backend/backend.h"

#include "base/sys/heap.h"
#include "policy/policy.h"
#include <string.h>

#define STORED_MOST 256u /* stored keys brought into one vendor session */

fn_err fn_backend_session_open(struct fn_backend *b, const struct fn_backend_client *who, uint32_t id,
                               struct fn_backend_session **session)
{
    struct fn_backend_session *s;
    FN_TRY(fn_heap_array(&s, 1, sizeof *s));
    s->backend = b;
    s->who = who;
    s->id = id;
    fn_err err = fn_vendor_error(FN_VENDOR(&b->vendor, SDF_OpenSession)(b->vendor.device, &s->vendor),
                                 "SDF_OpenSession");
    if (err != FN_OK) {
        free(s);
        return err;
    }
    *session = s;
    return FN_OK;
}

void fn_backend_session_close(struct fn_backend_session *s)
{
    while (s->keys) fn_backend_drop(s, &s->keys, true);
    FN_VENDOR(&s->backend->vendor, SDF_CloseSession)(s->vendor);
    free(s);
}

static fn_err hold(struct fn_backend_session *s, struct fn_held_key key)
{
    struct fn_held_key *k;
    fn_err err = fn_heap_array(&k, 1, sizeof *k);
    if (err != FN_OK) {
        FN_VENDOR(&s->backend->vendor, SDF_DestroyKey)(s->vendor, key.vendor);
        return err;
    }
    *k = key;
    k->next = s->keys;
    s->keys = k;
    return FN_OK;
}

fn_err fn_backend_hold(struct fn_backend_session *s, void *vendor, bool agreement, uint64_t *handle)
{
    fn_err err = fn_backend_random(s, handle, sizeof *handle);
    if (err != FN_OK) {
        FN_VENDOR(&s->backend->vendor, SDF_DestroyKey)(s->vendor, vendor);
        return err;
    }
    if (*handle == 0) *handle = 1;
    return hold(s, (struct fn_held_key){.handle = *handle, .vendor = vendor, .agreement = agreement});
}

fn_err fn_backend_held(struct fn_backend_session *s, uint64_t handle, bool agreement,
                       struct fn_held_key ***place)
{
    for (struct fn_held_key **k = &s->keys; *k; k = &(*k)->next)
        if (handle && (*k)->handle == handle && (*k)->agreement == agreement) {
            *place = k;
            return FN_OK;
        }
    return FN_FAIL(FN_E_KEY_HANDLE, "not of this session");
}

void fn_backend_drop(struct fn_backend_session *s, struct fn_held_key **place, bool destroy)
{
    struct fn_held_key *k = *place;
    *place = k->next;
    if (k->handle == 0) s->stored--;
    if (destroy && !k->agreement) FN_VENDOR(&s->backend->vendor, SDF_DestroyKey)(s->vendor, k->vendor);
    free(k);
}

/* Stored keys: unwrapped into the vendor's session once, found again by uuid and version. */

static fn_err bring_in(struct fn_backend_session *s, const struct fn_stored *k, uint32_t version,
                       void **vendor)
{
    const struct fn_vendor *v = &s->backend->vendor;
    struct fn_bytes wrapped = k->versions[version].wrapped;
    unsigned algorithm = fn_vendor_algorithm(v, v->profile->wrap == FN_WRAP_ECB ? SGD_SM4_ECB : SGD_SM4_CBC);
    if (s->stored >= STORED_MOST) {
        struct fn_held_key **last = NULL;
        for (struct fn_held_key **p = &s->keys; *p; p = &(*p)->next)
            if ((*p)->handle == 0) last = p;
        fn_backend_drop(s, last, true);
    }
    if (!fn_vendor_has(v, FN_AT_SDF_ImportKeyWithKEK))
        return FN_FAIL(FN_E_DEVICE_CANNOT, "no SDF_ImportKeyWithKEK");
    int code = FN_VENDOR(v, SDF_ImportKeyWithKEK)(s->vendor, algorithm, s->backend->options.kek,
                                                  (unsigned char *)(uintptr_t)wrapped.p, (unsigned)wrapped.n,
                                                  vendor);
    FN_TRY(fn_vendor_error(code, "SDF_ImportKeyWithKEK"));
    FN_TRY(hold(s, (struct fn_held_key){.uuid = k->uuid, .version = version, .vendor = *vendor}));
    s->stored++;
    return FN_OK;
}

/* The record is read at each use: a key that another connection destroyed must not go on here. */
static fn_err stored(struct fn_backend_session *s, struct fn_cur *c, uint32_t usage, bool protects,
                     struct fn_named *named)
{
    struct fn_buf storage FN_SCOPED_BUF = fn_buf_heap();
    struct fn_stored k;
    struct fn_uuid uuid;
    uint32_t version;
    FN_TRY(fn_cur_copy(c, uuid.b, 16));
    FN_TRY(fn_cur_u32(c, &version));
    FN_TRY(fn_cur_end(c));
    FN_TRY(fn_backend_stored(s, &uuid, &k, &storage));
    if (version == 0) version = k.current;
    if (version > k.current) return FN_FAIL(FN_E_KEY_NOT_FOUND, "version %u of %u", version, k.current);
    if (k.versions[version].destroyed) return FN_FAIL(FN_E_KEY_DESTROYED, "version %u", version);
    if (usage && !(k.usage & usage))
        return FN_FAIL(FN_E_KEY_USAGE, "usage %x, the key has %x", usage, k.usage);
    enum fn_key_state state = version == k.current ? FN_KEY_ACTIVE : FN_KEY_DEACTIVATED;
    FN_TRY(fn_policy_ask(k.key_class, FN_POLICY_USE, state, FN_DOOR_APPLICATION, protects));
    *named = (struct fn_named){.kind = FN_KEY_UUID,
                               .version = version,
                               .usage = k.usage,
                               .key_class = k.key_class,
                               .algorithm = k.alg};
    for (struct fn_held_key *h = s->keys; h; h = h->next)
        if (h->handle == 0 && h->version == version && memcmp(h->uuid.b, uuid.b, 16) == 0) {
            named->vendor = h->vendor;
            return FN_OK;
        }
    return bring_in(s, &k, version, &named->vendor);
}

static fn_err external(struct fn_cur *c, struct fn_named *named)
{
    named->kind = FN_KEY_EXTERNAL;
    FN_TRY(fn_cur_u32(c, &named->algorithm));
    FN_TRY(fn_cur_take(c, fn_cur_left(c), &named->external));
    if (named->algorithm != FN_ALG_SM2) return FN_OK;
    if (named->external.n != 64) return FN_FAIL(FN_E_SM2_POINT, "%zu bytes", named->external.n);
    memcpy(named->point, named->external.p, 64);
    return FN_OK;
}

fn_err fn_backend_key(struct fn_backend_session *s, struct fn_bytes reference, uint32_t usage, bool protects,
                      struct fn_named *named)
{
    struct fn_cur c = fn_cur(reference);
    struct fn_held_key **place;
    uint8_t kind;
    uint64_t handle;
    *named = (struct fn_named){0};
    FN_TRY(fn_cur_u8(&c, &kind));
    switch (kind) {
    case FN_KEY_UUID:
        return stored(s, &c, usage, protects, named);
    case FN_KEY_INDEX:
        named->kind = FN_KEY_INDEX;
        FN_TRY(fn_cur_u32(&c, &named->index));
        FN_TRY(fn_cur_u8(&c, &named->half));
        return fn_cur_end(&c);
    case FN_KEY_HANDLE:
        FN_TRY(fn_cur_u64(&c, &handle));
        FN_TRY(fn_cur_end(&c));
        FN_TRY(fn_backend_held(s, handle, false, &place));
        named->kind = FN_KEY_HANDLE;
        named->vendor = (*place)->vendor;
        return FN_OK;
    case FN_KEY_EXTERNAL:
        return external(&c, named);
    case FN_KEY_SEALED:
        return FN_FAIL(FN_E_DEVICE_CANNOT, "sealed keys");
    default:
        return FN_FAIL(FN_E_DEVICE_FRAME, "key reference of kind %u", kind);
    }
}

fn_err fn_backend_symmetric(struct fn_backend_session *s, struct fn_bytes reference, uint32_t usage,
                            bool protects, struct fn_named *named)
{
    const struct fn_vendor *v = &s->backend->vendor;
    FN_TRY(fn_backend_key(s, reference, usage, protects, named));
    if (named->vendor) return FN_OK;
    if (named->kind != FN_KEY_INDEX || named->half != FN_HALF_SYMMETRIC)
        return FN_FAIL(FN_E_KEY_ALGORITHM, "a symmetric key is wanted");
    if (!fn_vendor_has(v, FN_AT_SDF_GetSymmKeyHandle))
        return FN_FAIL(FN_E_DEVICE_CANNOT, "no SDF_GetSymmKeyHandle");
    FN_TRY(fn_vendor_error(FN_VENDOR(v, SDF_GetSymmKeyHandle)(s->vendor, named->index, &named->vendor),
                           "SDF_GetSymmKeyHandle"));
    uint64_t handle; /* held, so that it ends with the session; the number is not given out */
    return fn_backend_hold(s, named->vendor, false, &handle);
}

fn_err fn_backend_random(struct fn_backend_session *s, void *out, size_t n)
{
    const struct fn_vendor *v = &s->backend->vendor;
    if (!fn_vendor_has(v, FN_AT_SDF_GenerateRandom))
        return FN_FAIL(FN_E_DEVICE_CANNOT, "no SDF_GenerateRandom");
    size_t most = v->profile->random_most ? v->profile->random_most : 2048;
    for (size_t done = 0; done < n;) {
        size_t piece = n - done < most ? n - done : most;
        int code = FN_VENDOR(v, SDF_GenerateRandom)(s->vendor, (unsigned)piece, (unsigned char *)out + done);
        FN_TRY(fn_vendor_error(code, "SDF_GenerateRandom"));
        done += piece;
    }
    return FN_OK;
}
