/* The delivery test of a vendor's library: which functions it has, which dialect it speaks, whether it
 * computes right, how fast.
 *
 * Known answers need no key import: a session key is made for a public key whose private half stands here,
 * opened, and then the device must encrypt and authenticate with it as we do. That shows at once whether
 * 0x401 is SM4, how ciphertexts are laid out, and how wide coordinates are. */
#include "backend/backend.h"

#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "base/sys/now.h"
#include "crypto/sm2/sm2.h"
#include "crypto/sm3/sm3.h"
#include "crypto/sm4/sm4.h"
#include <string.h>

#define SPEED_MS 200

enum verdict { VERDICT_GOOD, VERDICT_BAD, VERDICT_ABSENT };

struct probe {
    const struct fn_probe_options *options;
    struct fn_vendor vendor;
    void *session;
    bool right;      /* private key access was granted */
    uint8_t raw[16]; /* the session key that both sides know */
    void *key;
    unsigned bad;
    struct fn_buf json;
    bool first;
};

static const struct fn_text group_names[FN_GROUPS] = {
    {"设备管理", "device management"},
    {"密钥管理", "key management"},
    {"非对称运算", "asymmetric operations"},
    {"对称运算", "symmetric operations"},
    {"杂凑", "hash"},
    {"文件", "files"},
    {"2012 版独有", "of 2012 only"},
    {"2023 版新增", "new in 2023"},
    {"常见扩展", "common extensions"},
};

/* Output: lines for people, or one JSON object. */

static void title(struct probe *p, struct fn_text text)
{
    if (!p->options->json) printf("\n%s\n", fn_say(text));
}

static fn_err result(struct probe *p, const char *id, struct fn_text text, enum verdict verdict,
                     const char *detail)
{
    static const char *const words[] = {"good", "bad", "absent"};
    if (verdict == VERDICT_BAD) p->bad++;
    if (!p->options->json) {
        const char *sign = verdict == VERDICT_GOOD  ? FN_SAY("通过", "good")
                           : verdict == VERDICT_BAD ? FN_SAY("不符", "BAD ")
                                                    : FN_SAY("无  ", "none");
        printf("  %s  %s%s%s\n", sign, fn_say(text), *detail ? ": " : "", detail);
        return FN_OK;
    }
    FN_TRY(fn_buf_text(&p->json, p->first ? "{" : ",{"));
    p->first = false;
    FN_TRY(fn_json_pair(&p->json, "test", id));
    FN_TRY(fn_json_pair(&p->json, "result", words[verdict]));
    if (*detail) FN_TRY(fn_json_pair(&p->json, "detail", detail));
    return fn_buf_u8(&p->json, '}');
}

static fn_err code_result(struct probe *p, const char *id, struct fn_text text, int code, bool same)
{
    char detail[40] = "";
    if (code != SDR_OK) fn_format(detail, sizeof detail, "0x%08x", (unsigned)code);
    enum verdict v = code == SDR_NOTSUPPORT || code == SDR_ALGNOTSUPPORT ? VERDICT_ABSENT
                     : code == SDR_OK && same                            ? VERDICT_GOOD
                                                                         : VERDICT_BAD;
    return result(p, id, text, v, detail);
}

/* Functions */

static fn_err functions(struct probe *p)
{
    title(p, (struct fn_text){"函数", "Functions"});
    if (p->options->json) FN_TRY(fn_buf_text(&p->json, ",\"functions\":{"));
    for (int g = 0; g < FN_GROUPS; g++) {
        unsigned found = 0, all = 0;
        struct fn_buf missing FN_SCOPED_BUF = fn_buf_heap();
        for (int i = 0; i < FN_VENDOR_COUNT; i++) {
            if ((int)fn_vendor_names[i].group != g) continue;
            all++;
            found += p->vendor.functions[i] != NULL;
            if (!p->vendor.functions[i]) FN_TRY(fn_buf_format(&missing, " %s", fn_vendor_names[i].name));
        }
        if (p->options->json)
            FN_TRY(fn_buf_format(&p->json, "%s\"%s\":{\"found\":%u,\"of\":%u}", g ? "," : "",
                                 group_names[g].en, found, all));
        else
            printf("  %s: %u/%u%s%.*s\n", fn_say(group_names[g]), found, all,
                   missing.n ? FN_SAY("  缺", "  missing") : "", (int)missing.n,
                   missing.n ? (const char *)missing.p : "");
    }
    return p->options->json ? fn_buf_u8(&p->json, '}') : FN_OK;
}

/* Device information */

static fn_err information(struct probe *p)
{
    DEVICEINFO info = {0};
    char text[41];
    if (!fn_vendor_has(&p->vendor, FN_AT_SDF_GetDeviceInfo)) return FN_OK;
    int code = FN_VENDOR(&p->vendor, SDF_GetDeviceInfo)(p->session, &info);
    if (code != SDR_OK)
        return code_result(p, "info", (struct fn_text){"设备信息", "device information"}, code, true);
    memcpy(text, info.IssuerName, 40);
    text[40] = 0;
    if (p->options->json) {
        FN_TRY(fn_buf_text(&p->json, ",\"info\":{"));
        FN_TRY(fn_json_pair(&p->json, "issuer", text));
        FN_TRY(fn_json_pair_number(&p->json, "standard", info.StandardVersion));
        FN_TRY(fn_json_pair_number(&p->json, "buffer", info.BufferSize));
        return fn_buf_u8(&p->json, '}');
    }
    title(p, (struct fn_text){"设备信息", "Device information"});
    printf("  %s: %s\n  %s: %.16s\n  %s: %.16s\n", FN_SAY("厂商", "issuer"), text, FN_SAY("型号", "model"),
           info.DeviceName, FN_SAY("编号", "serial"), info.DeviceSerial);
    printf("  %s: %u, %s: %u\n", FN_SAY("软件版本", "version"), info.DeviceVersion,
           FN_SAY("规范版本", "standard"), info.StandardVersion);
    printf("  %s: 0x%08x 0x%08x, %s: 0x%08x, %s: 0x%08x, %s: %u\n", FN_SAY("非对称", "asymmetric"),
           info.AsymAlgAbility[0], info.AsymAlgAbility[1], FN_SAY("对称", "symmetric"), info.SymAlgAbility,
           FN_SAY("杂凑", "hash"), info.HashAlgAbility, FN_SAY("单包上限", "largest packet"),
           info.BufferSize);
    return FN_OK;
}

/* The key pair of GB/T 32918.5's examples: public knowledge. */
static const char test_private[] = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8";

static fn_err test_pair(struct fn_sm2_private *key, uint8_t point[64])
{
    uint8_t d[32];
    size_t n;
    FN_TRY(fn_hex_decode(d, sizeof d, &n, test_private, 64));
    FN_TRY(fn_sm2_private_load(key, d));
    memcpy(point, key->pub.x, 32);
    memcpy(point + 32, key->pub.y, 32);
    return FN_OK;
}

/* A session key that we know as well. FN_OK: p->key and p->raw are set. */
static fn_err shared_key(struct probe *p, const struct fn_profile *profile)
{
    struct fn_vendor v = p->vendor;
    struct fn_sm2_private own;
    uint8_t point[64], pub[FN_VENDOR_KEY], cipher[1024] = {0}, storage[512];
    struct fn_buf plain = fn_buf_fixed(storage, sizeof storage);
    struct fn_sm2_public c1;
    void *key = NULL;
    v.profile = profile;
    if (!fn_vendor_has(&v, FN_AT_SDF_GenerateKeyWithEPK_ECC))
        return FN_FAIL(FN_E_DEVICE_CANNOT, "no SDF_GenerateKeyWithEPK_ECC");
    FN_TRY(test_pair(&own, point));
    fn_vendor_put_public(&v, point, pub);
    int code = FN_VENDOR(&v, SDF_GenerateKeyWithEPK_ECC)(p->session, 128, fn_vendor_algorithm(&v, SGD_SM2_3),
                                                         (ECCrefPublicKey *)pub, (ECCCipher *)cipher, &key);
    FN_TRY(fn_vendor_error(code, "SDF_GenerateKeyWithEPK_ECC"));
    fn_err err = fn_vendor_get_cipher(&v, cipher, sizeof cipher, &plain);
    if (err == FN_OK && plain.n != 112) err = FN_FAIL(FN_E_FORMAT, "wrapped key of %zu bytes", plain.n);
    if (err == FN_OK) {
        memcpy(c1.x, plain.p, 32);
        memcpy(c1.y, plain.p + 32, 32);
        err = fn_sm2_decrypt(&own, &c1, plain.p + 64, plain.p + 96, 16, p->raw);
    }
    if (err != FN_OK) {
        if (fn_vendor_has(&v, FN_AT_SDF_DestroyKey)) FN_VENDOR(&v, SDF_DestroyKey)(p->session, key);
        return err;
    }
    p->key = key;
    return FN_OK;
}

/* How many bytes of a public key the library writes: 132 or 68. */
static size_t width_of(struct probe *p)
{
    uint8_t pub[512];
    memset(pub, 0xa5, sizeof pub);
    if (!p->options->key || !fn_vendor_has(&p->vendor, FN_AT_SDF_ExportSignPublicKey_ECC)) return 0;
    if (FN_VENDOR(&p->vendor, SDF_ExportSignPublicKey_ECC)(p->session, p->options->key,
                                                           (ECCrefPublicKey *)pub) != SDR_OK)
        return 0;
    size_t n = sizeof pub;
    while (n && pub[n - 1] == 0xa5) n--;
    return n > 100 ? 64 : 32;
}

/* KEK wrap: what 128 bits become. */
static enum fn_kek_wrap wrap_of(struct probe *p, enum fn_kek_wrap fallback)
{
    unsigned char out[256];
    static const unsigned ids[] = {SGD_SM4_ECB, SGD_SM4_CBC};
    if (!p->options->kek || !fn_vendor_has(&p->vendor, FN_AT_SDF_GenerateKeyWithKEK)) return fallback;
    for (size_t i = 0; i < 2; i++) {
        unsigned n = sizeof out;
        void *key = NULL;
        int code = FN_VENDOR(&p->vendor, SDF_GenerateKeyWithKEK)(
            p->session, 128, fn_vendor_algorithm(&p->vendor, ids[i]), p->options->kek, out, &n, &key);
        if (code != SDR_OK) continue;
        FN_VENDOR(&p->vendor, SDF_DestroyKey)(p->session, key);
        return n == 16 ? FN_WRAP_ECB : FN_WRAP_CBC_PKCS7;
    }
    return fallback;
}

static bool fits(const struct fn_profile *f, size_t width, enum fn_kek_wrap wrap, bool wrap_known,
                 bool is_2023)
{
    return (width == 0 || f->ecc_width == width) && (!wrap_known || f->wrap == wrap) &&
           (f->standard == 2023) == is_2023;
}

/* Tries the dialects: the first with which a shared session key comes out right and whose other marks fit. */
static const struct fn_profile *guess(struct probe *p)
{
    size_t width = width_of(p);
    bool wrap_known = p->options->kek != 0;
    bool is_2023 =
        fn_vendor_has(&p->vendor, FN_AT_SDF_AuthEnc) && fn_vendor_has(&p->vendor, FN_AT_SDF_HMACInit);
    enum fn_kek_wrap wrap = wrap_of(p, FN_WRAP_ECB);
    const struct fn_profile *works = NULL;
    for (size_t i = 0; fn_profile_at(i); i++) {
        const struct fn_profile *f = fn_profile_at(i);
        void *old = p->key;
        if (width && f->ecc_width != width)
            continue; /* a call with too small a structure would be written beyond */
        if (shared_key(p, f) != FN_OK) continue;
        if (old) FN_VENDOR(&p->vendor, SDF_DestroyKey)(p->session, old);
        if (!works) works = f;
        if (fits(f, width, wrap, wrap_known, is_2023)) return f;
    }
    return works;
}

/* Known answers */

static fn_err hashes(struct probe *p)
{
    const struct fn_vendor *v = &p->vendor;
    unsigned char digest[64], expected[32];
    unsigned n = sizeof digest;
    if (!fn_vendor_has(v, FN_AT_SDF_HashInit)) return FN_OK;
    int code = FN_VENDOR(v, SDF_HashInit)(p->session, SGD_SM3, NULL, NULL, 0);
    if (code == SDR_OK) code = FN_VENDOR(v, SDF_HashUpdate)(p->session, (unsigned char *)"abc", 3);
    if (code == SDR_OK) code = FN_VENDOR(v, SDF_HashFinal)(p->session, digest, &n);
    fn_sm3_digest("abc", 3, expected);
    FN_TRY(code_result(p, "sm3", (struct fn_text){"SM3(\"abc\")", "SM3(\"abc\")"}, code,
                       n == 32 && memcmp(digest, expected, 32) == 0));
    struct fn_sm2_private own;
    uint8_t point[64], pub[FN_VENDOR_KEY];
    FN_TRY(test_pair(&own, point));
    fn_vendor_put_public(v, point, pub);
    n = sizeof digest;
    code = FN_VENDOR(v, SDF_HashInit)(p->session, SGD_SM3, (ECCrefPublicKey *)pub,
                                      (unsigned char *)"1234567812345678", 16);
    if (code == SDR_OK) code = FN_VENDOR(v, SDF_HashUpdate)(p->session, (unsigned char *)"abc", 3);
    if (code == SDR_OK) code = FN_VENDOR(v, SDF_HashFinal)(p->session, digest, &n);
    FN_TRY(fn_sm2_digest(expected, &own.pub, FN_SM2_DEFAULT_ID, FN_BYTES_LITERAL("abc")));
    return code_result(p, "sm3-z", (struct fn_text){"带 Z 值的 SM3", "SM3 with Z"}, code,
                       n == 32 && memcmp(digest, expected, 32) == 0);
}

static fn_err verifying(struct probe *p)
{
    const struct fn_vendor *v = &p->vendor;
    struct fn_sm2_private own;
    uint8_t point[64], pub[FN_VENDOR_KEY], sig[64], out[FN_VENDOR_SIG], e[32], k[32];
    if (!fn_vendor_has(v, FN_AT_SDF_ExternalVerify_ECC)) return FN_OK;
    FN_TRY(test_pair(&own, point));
    fn_sm3_digest("nonce of a public test", 22, k);
    FN_TRY(fn_sm2_digest(e, &own.pub, FN_SM2_DEFAULT_ID, FN_BYTES_LITERAL("message digest")));
    FN_TRY(fn_sm2_sign_with_nonce(&own, k, e, sig));
    fn_vendor_put_public(v, point, pub);
    fn_vendor_put_signature(v, sig, out);
    unsigned id = fn_vendor_algorithm(v, SGD_SM2_1);
    int code = FN_VENDOR(v, SDF_ExternalVerify_ECC)(p->session, id, (ECCrefPublicKey *)pub, e, 32,
                                                    (ECCSignature *)out);
    FN_TRY(code_result(p, "verify", (struct fn_text){"SM2 验签", "SM2 verification"}, code, true));
    e[0] ^= 1;
    code = FN_VENDOR(v, SDF_ExternalVerify_ECC)(p->session, id, (ECCrefPublicKey *)pub, e, 32,
                                                (ECCSignature *)out);
    return result(p, "verify-bad",
                  (struct fn_text){"SM2 验签拒绝错误签名", "SM2 verification refuses a wrong digest"},
                  code != SDR_OK ? VERDICT_GOOD : VERDICT_BAD, "");
}

static fn_err ciphers(struct probe *p)
{
    const struct fn_vendor *v = &p->vendor;
    unsigned char block[32] = "fengni probe: known answer text", out[64], expected[32], iv[16] = {0},
                  iv2[16] = {0};
    struct fn_sm4_key key;
    unsigned n = sizeof out;
    fn_err failed = p->key ? FN_OK : shared_key(p, v->profile);
    FN_TRY(result(p, "session-key",
                  (struct fn_text){"以外部公钥加密的会话密钥", "session key under an external public key"},
                  failed == FN_OK                ? VERDICT_GOOD
                  : failed == FN_E_DEVICE_CANNOT ? VERDICT_ABSENT
                                                 : VERDICT_BAD,
                  ""));
    if (failed != FN_OK) return FN_OK;
    fn_sm4_key_init(&key, p->raw);
    FN_TRY(fn_sm4_ecb_encrypt(&key, block, expected, sizeof block));
    int code = FN_VENDOR(v, SDF_Encrypt)(p->session, p->key, fn_vendor_algorithm(v, SGD_SM4_ECB), NULL, block,
                                         sizeof block, out, &n);
    FN_TRY(code_result(p, "sm4-ecb", (struct fn_text){"SM4-ECB", "SM4-ECB"},
                       code == SDR_INARGERR ? SDR_ALGNOTSUPPORT : code,
                       memcmp(out, expected, sizeof block) == 0));
    FN_TRY(fn_sm4_cbc_encrypt(&key, iv2, block, expected, sizeof block));
    n = sizeof out;
    code = FN_VENDOR(v, SDF_Encrypt)(p->session, p->key, fn_vendor_algorithm(v, SGD_SM4_CBC), iv, block,
                                     sizeof block, out, &n);
    FN_TRY(code_result(p, "sm4-cbc", (struct fn_text){"SM4-CBC", "SM4-CBC"}, code,
                       memcmp(out, expected, sizeof block) == 0));
    FN_TRY(result(p, "iv", (struct fn_text){"初始向量回写链值", "the start value is updated"},
                  code == SDR_OK && memcmp(iv, iv2, 16) == 0 ? VERDICT_GOOD : VERDICT_ABSENT, ""));
    if (fn_vendor_has(v, FN_AT_SDF_CalculateMAC)) {
        struct fn_hmac_key hmac;
        n = sizeof out;
        fn_hmac_key_init(&hmac, p->raw, 16);
        fn_hmac_digest(&hmac, block, sizeof block, expected);
        code =
            FN_VENDOR(v, SDF_CalculateMAC)(p->session, p->key, SGD_SM3, NULL, block, sizeof block, out, &n);
        FN_TRY(code_result(
            p, "hmac",
            (struct fn_text){"HMAC-SM3(SDF_CalculateMAC, SGD_SM3)", "HMAC-SM3 (SDF_CalculateMAC, SGD_SM3)"},
            code == SDR_INARGERR ? SDR_ALGNOTSUPPORT : code, n == 32 && memcmp(out, expected, 32) == 0));
    }
    return FN_OK;
}

static fn_err authenticated(struct probe *p)
{
    const struct fn_vendor *v = &p->vendor;
    unsigned char data[32] = "fengni probe: known answer text", out[64], tag[64], expected[32],
                  expected_tag[16], nonce[12] = {7};
    unsigned n = sizeof out, tag_n = 16;
    struct fn_gcm_key key;
    if (!p->key || !fn_vendor_has(v, FN_AT_SDF_AuthEnc)) return FN_OK;
    fn_gcm_key_init(&key, p->raw);
    struct fn_gcm_job job = {.key = &key,
                             .nonce = {nonce, 12},
                             .aad = {data, 5},
                             .in = data,
                             .out = expected,
                             .n = 32,
                             .tag = expected_tag,
                             .tag_size = 16};
    FN_TRY(fn_gcm_encrypt(&job));
    int code = FN_VENDOR(v, SDF_AuthEnc)(p->session, p->key, SGD_SM4_GCM, nonce, 12, data, 5, data, 32, out,
                                         &n, tag, &tag_n);
    return code_result(p, "sm4-gcm", (struct fn_text){"SM4-GCM", "SM4-GCM"}, code,
                       n == 32 && tag_n == 16 && memcmp(out, expected, 32) == 0 &&
                           memcmp(tag, expected_tag, 16) == 0);
}

static fn_err private_key(struct probe *p)
{
    const struct fn_vendor *v = &p->vendor;
    uint8_t pub[FN_VENDOR_KEY] = {0}, point[64], out[FN_VENDOR_SIG] = {0}, sig[64], e[32];
    struct fn_sm2_public key;
    if (!p->options->key || !fn_vendor_has(v, FN_AT_SDF_InternalSign_ECC)) return FN_OK;
    if (p->options->password) {
        struct fn_buf password = fn_buf_secret();
        fn_err err = fn_files_read_all(fn_files_real(), p->options->password, 256, &password);
        while (err == FN_OK && password.n &&
               (password.p[password.n - 1] == '\n' || password.p[password.n - 1] == '\r'))
            password.n--;
        unsigned n = (unsigned)password.n;
        if (err == FN_OK) err = fn_buf_u8(&password, 0);
        int code = err == FN_OK ? FN_VENDOR(v, SDF_GetPrivateKeyAccessRight)(p->session, p->options->key,
                                                                             password.p, n)
                                : SDR_UNKNOWERR;
        fn_buf_free(&password);
        FN_TRY(err);
        FN_TRY(code_result(p, "right", (struct fn_text){"私钥使用权限", "private-key access right"}, code,
                           true));
    }
    fn_sm3_digest("message", 7, e);
    int code = FN_VENDOR(v, SDF_ExportSignPublicKey_ECC)(p->session, p->options->key, (ECCrefPublicKey *)pub);
    if (code == SDR_OK)
        code = FN_VENDOR(v, SDF_InternalSign_ECC)(p->session, p->options->key, e, 32, (ECCSignature *)out);
    bool good = code == SDR_OK && fn_vendor_get_public(v, pub, point) == FN_OK &&
                fn_vendor_get_signature(v, out, sig) == FN_OK;
    if (good) {
        memcpy(key.x, point, 32);
        memcpy(key.y, point + 32, 32);
        good = fn_sm2_public_check(&key) == FN_OK && fn_sm2_verify(&key, e, sig) == FN_OK;
    }
    p->right = good;
    return code_result(p, "sign", (struct fn_text){"SM2 签名由本机验证", "SM2 signature, verified here"},
                       code, good);
}

/* Speed: calls a second, one thread. */

typedef int speed_call(struct probe *p);

static int speed_random(struct probe *p)
{
    unsigned char out[256];
    return FN_VENDOR(&p->vendor, SDF_GenerateRandom)(p->session, sizeof out, out);
}

static int speed_cbc(struct probe *p)
{
    static unsigned char in[4096], out[4096];
    unsigned char iv[16] = {0};
    unsigned n = sizeof out;
    return FN_VENDOR(&p->vendor, SDF_Encrypt)(
        p->session, p->key, fn_vendor_algorithm(&p->vendor, SGD_SM4_CBC), iv, in, sizeof in, out, &n);
}

static int speed_sign(struct probe *p)
{
    unsigned char e[32] = {1}, out[FN_VENDOR_SIG];
    return FN_VENDOR(&p->vendor, SDF_InternalSign_ECC)(p->session, p->options->key, e, 32,
                                                       (ECCSignature *)out);
}

static fn_err speed(struct probe *p, const char *id, struct fn_text text, speed_call *call)
{
    uint64_t calls = 0;
    int64_t start = fn_monotonic_ms(), spent;
    int code = SDR_OK;
    do {
        code = call(p);
        calls++;
        spent = fn_monotonic_ms() - start;
    } while (code == SDR_OK && spent < SPEED_MS);
    if (code != SDR_OK) return FN_OK;
    uint64_t rate = calls * 1000 / (uint64_t)(spent ? spent : 1);
    if (!p->options->json) {
        printf("  %-40s %llu /s\n", fn_say(text), (unsigned long long)rate);
        return FN_OK;
    }
    return fn_json_pair_number(&p->json, id, (int64_t)rate);
}

static fn_err speeds(struct probe *p)
{
    title(p, (struct fn_text){"速度(单线程,逐次调用)", "Speed (one thread, one call at a time)"});
    if (p->options->json) FN_TRY(fn_buf_text(&p->json, "],\"speed\":{"));
    if (fn_vendor_has(&p->vendor, FN_AT_SDF_GenerateRandom))
        FN_TRY(speed(p, "random_256", (struct fn_text){"随机数 256 字节", "random 256 bytes"}, speed_random));
    if (p->key) FN_TRY(speed(p, "sm4_cbc_4k", (struct fn_text){"SM4-CBC 4 KiB", "SM4-CBC 4 KiB"}, speed_cbc));
    if (p->right) FN_TRY(speed(p, "sm2_sign", (struct fn_text){"SM2 签名", "SM2 sign"}, speed_sign));
    return p->options->json ? fn_buf_u8(&p->json, '}') : FN_OK;
}

static fn_err body(struct probe *p)
{
    FN_TRY(functions(p));
    FN_TRY(information(p));
    const struct fn_profile *guessed = guess(p);
    if (!p->options->profile && guessed) p->vendor.profile = guessed;
    if (p->options->json) {
        FN_TRY(fn_json_pair(&p->json, "profile", p->vendor.profile->name));
        FN_TRY(fn_json_pair(&p->json, "profile_guess", guessed ? guessed->name : NULL));
        FN_TRY(fn_buf_text(&p->json, ",\"tests\":["));
    } else {
        title(p, (struct fn_text){"配置", "Profile"});
        printf("  %s: %s (%s)\n", FN_SAY("判断为", "looks like"),
               guessed ? guessed->name : FN_SAY("未能判断", "unknown"),
               guessed ? fn_say(guessed->text) : "-");
        if (p->options->profile)
            printf("  %s: %s\n", FN_SAY("按所给配置检测", "tested as"), p->options->profile);
    }
    title(p, (struct fn_text){"已知答案", "Known answers"});
    FN_TRY(hashes(p));
    FN_TRY(verifying(p));
    FN_TRY(ciphers(p));
    FN_TRY(authenticated(p));
    FN_TRY(private_key(p));
    return speeds(p);
}

fn_err fn_backend_probe(const struct fn_probe_options *options)
{
    static struct probe p;
    p = (struct probe){.options = options, .json = fn_buf_heap(), .first = true};
    FN_TRY(fn_vendor_load(&p.vendor, options->library,
                          fn_profile(options->profile ? options->profile : "gm2012")));
    if (!options->json)
        printf("%s: %s\n", FN_SAY("交付检测", "Delivery test"), options->library);
    else
        FN_TRY(fn_buf_u8(&p.json, '{'));
    if (options->json) FN_TRY(fn_json_pair(&p.json, "library", options->library));
    FN_TRY(fn_vendor_open(&p.vendor));
    fn_err err = fn_vendor_error(FN_VENDOR(&p.vendor, SDF_OpenSession)(p.vendor.device, &p.session),
                                 "SDF_OpenSession");
    if (err == FN_OK) err = body(&p);
    if (p.key) FN_VENDOR(&p.vendor, SDF_DestroyKey)(p.session, p.key);
    if (p.session) FN_VENDOR(&p.vendor, SDF_CloseSession)(p.session);
    fn_vendor_close(&p.vendor);
    if (err == FN_OK && options->json) {
        err = fn_json_pair_number(&p.json, "bad", p.bad);
        if (err == FN_OK) err = fn_buf_u8(&p.json, '}');
        if (err == FN_OK) printf("%.*s\n", (int)p.json.n, p.json.p);
    }
    fn_buf_free(&p.json);
    FN_TRY(err);
    if (p.bad) return FN_FAIL(FN_E_CRYPTO_SELF_TEST, FN_SAY("%u 项不符", "%u tests failed"), p.bad);
    return FN_OK;
}
