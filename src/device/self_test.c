/* Self-tests: known answers, device pair, random source, stored keys (GM/T 0030 5.8, hsm.md 4). Failure stops
 * service. */
#include "base/sys/now.h"
#include "base/sys/randomness.h"
#include "crypto/rng/drbg.h"
#include "device/device.h"
#include <string.h>

static size_t unhex(uint8_t *out, size_t room, const char *text)
{
    size_t n = 0;
    if (fn_hex_decode(out, room, &n, text, strlen(text)) != FN_OK) fn_err_clear();
    return n;
}

static fn_err same(const char *what, const void *got, const char *expected)
{
    uint8_t want[128];
    size_t n = unhex(want, sizeof want, expected);
    if (n && memcmp(got, want, n) == 0) return FN_OK;
    return FN_FAIL(FN_E_CRYPTO_SELF_TEST, "%s", what);
}

static fn_err test_sm3(void)
{
    uint8_t digest[32], key[32];
    struct fn_hmac_key hmac;
    fn_sm3_digest("abc", 3, digest);
    FN_TRY(same("SM3", digest, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"));
    for (uint8_t i = 0; i < 32; i++) key[i] = i;
    fn_hmac_key_init(&hmac, key, 32);
    fn_hmac_digest(&hmac, "abc", 3, digest);
    return same("HMAC-SM3", digest, "a8f95cf26f204957e7ca73c9602a25dda35f168b28103b51dfc968c810416b63");
}

/* GB/T 32907 Annex A, and RFC 8998 A.1 for GCM. */
static fn_err test_sm4(void)
{
    static const char ciphertext[] = "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
                                     "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d";
    static const uint8_t pattern[8] = {0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0xee, 0xaa};
    uint8_t key[16], out[64], back[64], in[64], nonce[12], aad[20], tag[16], iv[16] = {0};
    struct fn_sm4_key sm4;
    struct fn_gcm_key gcm;
    unhex(key, sizeof key, "0123456789abcdeffedcba9876543210");
    unhex(nonce, sizeof nonce, "00001234567800000000abcd");
    unhex(aad, sizeof aad, "feedfacedeadbeeffeedfacedeadbeefabaddad2");
    fn_sm4_key_init(&sm4, key);
    FN_TRY(fn_sm4_ecb_encrypt(&sm4, key, out, 16));
    FN_TRY(same("SM4-ECB", out, "681edf34d206965e86b3e94f536e4246"));
    FN_TRY(fn_sm4_ecb_decrypt(&sm4, out, back, 16));
    FN_TRY(same("SM4-ECB decryption", back, "0123456789abcdeffedcba9876543210"));
    FN_TRY(fn_sm4_cbc_encrypt(&sm4, iv, key, out, 16));
    FN_TRY(same("SM4-CBC", out, "681edf34d206965e86b3e94f536e4246"));
    for (size_t i = 0; i < 64; i++) in[i] = pattern[i / 8];
    fn_gcm_key_init(&gcm, key);
    struct fn_gcm_job job = {.key = &gcm,
                             .nonce = fn_bytes(nonce, 12),
                             .aad = fn_bytes(aad, 20),
                             .in = in,
                             .out = out,
                             .n = 64,
                             .tag = tag,
                             .tag_size = 16};
    FN_TRY(fn_gcm_encrypt(&job));
    FN_TRY(same("SM4-GCM", out, ciphertext));
    FN_TRY(same("SM4-GCM tag", tag, "83de3541e4c2b58177e065a9bf7b62ec"));
    job.in = out;
    job.out = back;
    if (fn_gcm_decrypt(&job) != FN_OK || memcmp(back, in, 64) != 0)
        return FN_FAIL(FN_E_CRYPTO_SELF_TEST, "SM4-GCM decryption");
    tag[0] ^= 1;
    if (fn_gcm_decrypt(&job) == FN_OK) return FN_FAIL(FN_E_CRYPTO_SELF_TEST, "SM4-GCM accepted a wrong tag");
    fn_err_clear();
    return FN_OK;
}

/* The key and nonce of the examples of GB/T 32918.5. */
static fn_err test_sm2(void)
{
    static const char message[] = "encryption standard";
    struct fn_sm2_private key;
    struct fn_sm2_public c1;
    uint8_t d[32], k[32], e[32], sig[64], c3[32], c2[19], back[19];
    unhex(d, 32, "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8");
    unhex(k, 32, "59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21");
    unhex(e, 32, "d0b49a9fbfce29608fa55e75244ba18a4eeae072789803a83cedca6894cde82e");
    FN_TRY(fn_sm2_private_load(&key, d));
    FN_TRY(same("SM2 public key", key.pub.x,
                "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"));
    FN_TRY(fn_sm2_sign_with_nonce(&key, k, e, sig));
    FN_TRY(same("SM2 signature r", sig, "d5a097114e5b40f8f1a9909bb2c3a04090490f50869f3fb78c51d935c2e282a1"));
    FN_TRY(same("SM2 signature s", sig + 32,
                "bcff244af406975bb05a86a3e78aa8839f995cb047581f5dec36a4e8b8d0356b"));
    if (fn_sm2_verify(&key.pub, e, sig) != FN_OK) return FN_FAIL(FN_E_CRYPTO_SELF_TEST, "SM2 verification");
    e[0] ^= 1;
    if (fn_sm2_verify(&key.pub, e, sig) == FN_OK)
        return FN_FAIL(FN_E_CRYPTO_SELF_TEST, "SM2 accepted a wrong signature");
    FN_TRY(fn_sm2_encrypt_with_nonce(&key.pub, k, (const uint8_t *)message, 19, &c1, c3, c2));
    FN_TRY(same("SM2 encryption", c3, "59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766"));
    FN_TRY(same("SM2 encryption", c2, "21886ca989ca9c7d58087307ca93092d651efa"));
    if (fn_sm2_decrypt(&key, &c1, c3, c2, 19, back) != FN_OK || memcmp(back, message, 19) != 0)
        return FN_FAIL(FN_E_CRYPTO_SELF_TEST, "SM2 decryption");
    fn_err_clear();
    return FN_OK;
}

/* Values of hsm.md 5.4, recomputed there from two implementations of GM/T 0105. */
static fn_err test_drbg(void)
{
    struct fn_drbg g = {0};
    uint8_t entropy[32], nonce[16], reseed[32], out[32];
    unhex(entropy, 32, "63363377e41e86468deb0ab4a8ed683f6a134e47e014c700454e81e95358a569");
    unhex(nonce, 16, "808aa38f2a72a62359915a9f8a04ca68");
    unhex(reseed, 32, "e62b8a8ee8f141b6980566e3bfe3c04903dad4ac2cdf9f2280010a6739bc83d3");
    FN_TRY(fn_drbg_instantiate(&g, FN_DRBG_SM3_HASH, &fn_drbg_level2, fn_bytes(entropy, 32),
                               fn_bytes(nonce, 16), fn_bytes(NULL, 0)));
    FN_TRY(fn_drbg_reseed(&g, fn_bytes(reseed, 32), fn_bytes(NULL, 0)));
    FN_TRY(fn_drbg_generate(&g, fn_bytes(NULL, 0), out, 32));
    FN_TRY(same("DRBG", out, "8f3b97bc83c7a3a83fc9861c82d84bb862a6753b125482be718f55a039895b74"));
    FN_TRY(fn_drbg_generate(&g, fn_bytes(NULL, 0), out, 32));
    fn_drbg_wipe(&g);
    return same("DRBG", out, "00d98d35a2fab8df23e9e1fb9aad143d62c0759eb79e15c37e8f2bc5064e68da");
}

fn_err fn_self_test_algorithms(void)
{
    FN_TRY(test_sm3());
    FN_TRY(test_sm4());
    FN_TRY(test_sm2());
    return test_drbg();
}

/* GM/T 0030 6.2: 20 × 20,000 bits, one repetition allowed. */
fn_err fn_self_test_random(const struct fn_rng *rng)
{
    struct fn_randomness_report report;
    return fn_randomness_check(&fn_randomness_periodic, rng, 1, &report);
}

fn_err fn_self_test_pair(struct fn_device *d, const struct fn_rng *rng)
{
    uint8_t e[32], sig[64], storage[128];
    struct fn_buf cipher = fn_buf_fixed(storage, sizeof storage), back;
    uint8_t plain[32];
    FN_TRY(fn_rng_fill(rng, e, sizeof e));
    FN_TRY(fn_sm2_sign(&d->sign->secret->sm2, rng, e, sig));
    FN_TRY(fn_sm2_verify(&d->sign->pub, e, sig));
    FN_TRY(fn_key_encrypt(d->encrypt, rng, fn_bytes(e, 32), &cipher));
    back = fn_buf_fixed(plain, sizeof plain);
    FN_TRY(fn_key_decrypt(d->encrypt, fn_buf_view(&cipher), &back));
    return memcmp(plain, e, 32) == 0 ? FN_OK : FN_FAIL(FN_E_CRYPTO_SELF_TEST, "device pair");
}

static fn_err note(struct fn_device *d, atomic_int *which, fn_err err)
{
    atomic_store(which, err == FN_OK ? 1 : 2);
    atomic_store(&d->test.at_ms, fn_now_ms());
    if (err != FN_OK) {
        const struct fn_err_cause *causes;
        if (fn_err_chain(&causes)) fn_format(d->test.detail, sizeof d->test.detail, "%s", causes[0].detail);
    }
    return err;
}

/* With the one repetition of the standard a perfect generator fails once in 170 runs (randomness.h), and a
 * device that starts and tests itself twice a day would stop service several times a year for nothing. So a
 * run that failed starts all sources again, with their health tests, and the whole test with them; a device
 * whose output is bad fails each time, a good one fails three of them once in 5·10^6 runs. */
#define RANDOM_RUNS 3

static fn_err test_random(struct fn_device *d)
{
    fn_err err = FN_OK;
    for (int run = 1; run <= RANDOM_RUNS; run++) {
        err = fn_self_test_random(fn_device_rng());
        if (err != FN_E_RANDOM_SOURCE || run == RANDOM_RUNS) break;
        if (d->log) fn_dlog_event(d, NULL, "self_test.random", d->serial, err, NULL);
        fn_err_clear();
        FN_TRY(fn_device_random_recheck());
    }
    return err;
}

fn_err fn_self_test_power_on(struct fn_device *d)
{
    FN_TRY(note(d, &d->test.algorithms, fn_self_test_algorithms()));
    return note(d, &d->test.random, test_random(d));
}

/* Reads and authenticates every record. */
fn_err fn_self_test_keys(struct fn_device *d)
{
    uint64_t checked;
    return note(d, &d->test.keys, fn_device_store_verify(d->store, &d->stop_verify, &checked));
}

fn_err fn_self_test_all(struct fn_device *d)
{
    d->test.detail[0] = 0;
    FN_TRY(fn_self_test_power_on(d));
    if (d->store) FN_TRY(fn_self_test_keys(d));
    if (d->sign) FN_TRY(note(d, &d->test.service, fn_self_test_pair(d, fn_device_rng())));
    return FN_OK;
}

/* Once after the start all stored records; then every twelve hours algorithms and random source. */
void *fn_self_test_thread(void *context)
{
    struct fn_device *d = context;
    int64_t next = fn_monotonic_ms() + 12 * 3600 * 1000;
    bool verified = false;
    while (!atomic_load(&d->stopping)) {
        struct timespec pause = {.tv_nsec = 200000000};
        fn_err err = FN_OK;
        nanosleep(&pause, NULL);
        if (atomic_load(&d->state) != FN_DEVICE_READY) continue;
        pthread_rwlock_rdlock(&d->life_lock);
        if (!verified && d->store) err = fn_self_test_keys(d);
        if (err == FN_OK && !verified && d->sign)
            err = note(d, &d->test.service, fn_self_test_pair(d, fn_device_rng()));
        verified = true;
        if (err == FN_OK && fn_monotonic_ms() >= next) {
            err = fn_self_test_power_on(d);
            next = fn_monotonic_ms() + 12 * 3600 * 1000;
        }
        if (err != FN_OK && !atomic_load(&d->stopping)) fn_life_exception(d, "periodic self-test");
        pthread_rwlock_unlock(&d->life_lock);
        fn_err_clear();
    }
    return NULL;
}
