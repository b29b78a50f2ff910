/* SM3 and what stands on it against libcrypto and libgcrypt. */
#include "soak.h"

#include "crypto/sm3/sm3.h"

#include <gcrypt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>

#define MESSAGE_MOST 1300

static void libcrypto_sm3(struct soak *s, const void *p, size_t n, uint8_t out[32])
{
    static const EVP_MD *md;
    if (!md) md = EVP_MD_fetch(NULL, "SM3", NULL);
    if (!md || EVP_Digest(p, n, out, NULL, md, NULL) != 1) soak_mismatch(s, "libcrypto cannot SM3");
}

/* Lengths around the block and padding edges as often as any other. */
static size_t some_length(struct soak *s, size_t most)
{
    if (soak_below(s, 2)) return soak_below(s, most + 1);
    size_t near = 64 * soak_below(s, most / 64 + 1) + 50 + soak_below(s, 20);
    return near <= most ? near : most;
}

static uint64_t digest_libcrypto(struct soak *s)
{
    uint8_t m[MESSAGE_MOST], ours[32], theirs[32];
    uint64_t done = 0;
    for (; soak_slice(s); done++) {
        size_t n = some_length(s, sizeof m);
        soak_extreme_bytes(s, m, n);
        fn_sm3_digest(m, n, ours);
        libcrypto_sm3(s, m, n, theirs);
        soak_same(s, ours, theirs, 32, "digest");
    }
    return done;
}

static uint64_t digest_libgcrypt(struct soak *s)
{
    uint8_t m[MESSAGE_MOST], ours[32], theirs[32];
    uint64_t done = 0;
    for (; soak_slice(s); done++) {
        size_t n = some_length(s, sizeof m);
        soak_extreme_bytes(s, m, n);
        fn_sm3_digest(m, n, ours);
        gcry_md_hash_buffer(GCRY_MD_SM3, theirs, m, n);
        soak_same(s, ours, theirs, 32, "digest");
    }
    return done;
}

/* Long runs of blocks in one call; counts blocks. */
static uint64_t compress_libcrypto(struct soak *s)
{
    static uint8_t m[1 << 16];
    uint8_t ours[32], theirs[32];
    uint64_t done = 0;
    for (; soak_slice(s); done += sizeof m / 64 + 1) {
        soak_extreme_bytes(s, m, sizeof m);
        fn_sm3_digest(m, sizeof m, ours);
        libcrypto_sm3(s, m, sizeof m, theirs);
        soak_same(s, ours, theirs, 32, "digest of 64 KiB");
    }
    return done;
}

static uint64_t streaming(struct soak *s)
{
    uint8_t m[MESSAGE_MOST], ours[32], theirs[32];
    uint64_t done = 0;
    for (; soak_slice(s); done++) {
        size_t n = some_length(s, sizeof m), at = 0;
        struct fn_sm3 h;
        soak_extreme_bytes(s, m, n);
        fn_sm3_init(&h);
        while (at < n) {
            size_t piece = soak_below(s, 8) ? soak_below(s, 80) : soak_below(s, 700);
            if (piece > n - at) piece = n - at;
            fn_sm3_update(&h, m + at, piece);
            at += piece;
        }
        fn_sm3_final(&h, ours);
        libcrypto_sm3(s, m, n, theirs);
        soak_same(s, ours, theirs, 32, "digest in pieces");
    }
    return done;
}

static uint64_t batch(struct soak *s)
{
    static uint8_t m[70][MESSAGE_MOST];
    struct fn_bytes messages[70];
    uint8_t ours[70][32], theirs[32];
    uint64_t done = 0;
    while (soak_slice(s)) {
        size_t count = soak_below(s, 71);
        for (size_t i = 0; i < count; i++) {
            size_t n = some_length(s, soak_below(s, 2) ? 130 : MESSAGE_MOST);
            soak_extreme_bytes(s, m[i], n);
            messages[i] = fn_bytes(m[i], n);
        }
        fn_sm3_batch(count, messages, ours);
        for (size_t i = 0; i < count; i++) {
            libcrypto_sm3(s, messages[i].p, messages[i].n, theirs);
            soak_same(s, ours[i], theirs, 32, "digest of a batch");
        }
        done += count;
    }
    return done;
}

static uint64_t hmac(struct soak *s)
{
    uint8_t key[200], m[MESSAGE_MOST], ours[32], theirs[32];
    uint64_t done = 0;
    for (; soak_slice(s); done++) {
        struct fn_hmac_key k;
        size_t key_size = 1 + soak_below(s, sizeof key), n = some_length(s, sizeof m);
        soak_extreme_bytes(s, key, key_size);
        soak_extreme_bytes(s, m, n);
        fn_hmac_key_init(&k, key, key_size);
        fn_hmac_digest(&k, m, n, ours);
        if (!HMAC(EVP_sm3(), key, (int)key_size, m, n, theirs, NULL))
            soak_mismatch(s, "libcrypto cannot HMAC");
        soak_same(s, ours, theirs, 32, "HMAC");
    }
    return done;
}

static uint64_t hmac_libgcrypt(struct soak *s)
{
    uint8_t key[200], m[MESSAGE_MOST], ours[32], theirs[32];
    gcry_mac_hd_t mac;
    uint64_t done = 0;
    if (gcry_mac_open(&mac, GCRY_MAC_HMAC_SM3, 0, NULL) != 0) soak_mismatch(s, "libgcrypt cannot HMAC-SM3");
    for (; soak_slice(s); done++) {
        struct fn_hmac_key k;
        size_t key_size = 1 + soak_below(s, sizeof key), n = some_length(s, sizeof m), theirs_size = 32;
        soak_extreme_bytes(s, key, key_size);
        soak_extreme_bytes(s, m, n);
        fn_hmac_key_init(&k, key, key_size);
        fn_hmac_digest(&k, m, n, ours);
        if (gcry_mac_setkey(mac, key, key_size) || gcry_mac_write(mac, m, n) ||
            gcry_mac_read(mac, theirs, &theirs_size))
            soak_mismatch(s, "libgcrypt failed");
        gcry_mac_reset(mac);
        soak_same(s, ours, theirs, 32, "HMAC");
    }
    gcry_mac_close(mac);
    return done;
}

static uint64_t hmac_batch(struct soak *s)
{
    static uint8_t m[40][500];
    struct fn_bytes messages[40];
    struct fn_hmac_key keys[3];
    const struct fn_hmac_key *of[40];
    uint8_t raw[3][90], ours[40][32], theirs[32];
    size_t raw_size[3], used[40];
    uint64_t done = 0;
    while (soak_slice(s)) {
        size_t count = soak_below(s, 41);
        for (size_t k = 0; k < 3; k++) {
            raw_size[k] = 1 + soak_below(s, sizeof raw[k]);
            soak_extreme_bytes(s, raw[k], raw_size[k]);
            fn_hmac_key_init(&keys[k], raw[k], raw_size[k]);
        }
        for (size_t i = 0; i < count; i++) {
            messages[i] = fn_bytes(m[i], some_length(s, sizeof m[i]));
            soak_extreme_bytes(s, m[i], messages[i].n);
            used[i] = soak_below(s, 3);
            of[i] = &keys[used[i]];
        }
        fn_hmac_batch(count, of, messages, ours);
        for (size_t i = 0; i < count; i++) {
            HMAC(EVP_sm3(), raw[used[i]], (int)raw_size[used[i]], m[i], messages[i].n, theirs, NULL);
            soak_same(s, ours[i], theirs, 32, "HMAC of a batch");
        }
        done += count;
    }
    return done;
}

/* The counter hash of GB/T 32918.4 is the X9.63 KDF of libcrypto. */
static uint64_t kdf(struct soak *s)
{
    uint8_t z[300], ours[1700], theirs[1700];
    EVP_KDF *f = EVP_KDF_fetch(NULL, "X963KDF", NULL);
    EVP_KDF_CTX *c = EVP_KDF_CTX_new(f);
    char name[] = "SM3";
    uint64_t done = 0;
    if (!c) soak_mismatch(s, "libcrypto has no X963KDF");
    for (; soak_slice(s); done++) {
        size_t z_size = 1 + soak_below(s, sizeof z),
               n = 1 + some_length(s, soak_below(s, 4) ? 100 : sizeof ours - 1);
        soak_extreme_bytes(s, z, z_size);
        fn_sm3_kdf(z, z_size, ours, n);
        OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", name, 0),
                               OSSL_PARAM_construct_octet_string("key", z, z_size),
                               OSSL_PARAM_construct_end()};
        if (EVP_KDF_derive(c, theirs, n, params) != 1) soak_mismatch(s, "libcrypto cannot derive");
        soak_same(s, ours, theirs, n, "KDF");
    }
    EVP_KDF_CTX_free(c);
    EVP_KDF_free(f);
    return done;
}

static uint64_t pbkdf2(struct soak *s)
{
    uint8_t password[150], salt[100], ours[150], theirs[150];
    uint64_t done = 0;
    while (soak_slice(s)) {
        size_t password_size = soak_below(s, sizeof password + 1), salt_size = soak_below(s, sizeof salt + 1);
        size_t n = 1 + soak_below(s, sizeof ours);
        uint32_t iterations = 1 + (uint32_t)soak_below(s, 40);
        soak_extreme_bytes(s, password, password_size);
        soak_extreme_bytes(s, salt, salt_size);
        fn_pbkdf2_sm3(password, password_size, salt, salt_size, iterations, ours, n);
        if (PKCS5_PBKDF2_HMAC((const char *)password, (int)password_size, salt, (int)salt_size,
                              (int)iterations, EVP_sm3(), (int)n, theirs) != 1)
            soak_mismatch(s, "libcrypto cannot PBKDF2");
        soak_same(s, ours, theirs, n, "PBKDF2");
        done++;
    }
    return done;
}

const struct soak_case soak_cases_sm3[] = {
    {"sm3-digest", digest_libcrypto},
    {"sm3-digest-libgcrypt", digest_libgcrypt},
    {"sm3-compress", compress_libcrypto},
    {"sm3-streaming", streaming},
    {"sm3-batch", batch},
    {"sm3-hmac", hmac},
    {"sm3-hmac-libgcrypt", hmac_libgcrypt},
    {"sm3-hmac-batch", hmac_batch},
    {"sm3-kdf", kdf},
    {"sm3-pbkdf2", pbkdf2},
};
const size_t soak_count_sm3 = sizeof soak_cases_sm3 / sizeof soak_cases_sm3[0];
