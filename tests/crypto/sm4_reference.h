/* SM4 and its modes for tests: byte by byte from the standards, with the table of the S-box, sharing nothing
 * with the code under test. Slow, and not constant time. */
#ifndef FN_TESTS_SM4_REFERENCE_H
#define FN_TESTS_SM4_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ref_key {
    uint32_t rk[32];
};

/* GB/T 32907-2016 6.2. */
static const uint8_t ref_sbox[256] = {
    0xd6, 0x90, 0xe9, 0xfe, 0xcc, 0xe1, 0x3d, 0xb7, 0x16, 0xb6, 0x14, 0xc2, 0x28, 0xfb, 0x2c, 0x05,
    0x2b, 0x67, 0x9a, 0x76, 0x2a, 0xbe, 0x04, 0xc3, 0xaa, 0x44, 0x13, 0x26, 0x49, 0x86, 0x06, 0x99,
    0x9c, 0x42, 0x50, 0xf4, 0x91, 0xef, 0x98, 0x7a, 0x33, 0x54, 0x0b, 0x43, 0xed, 0xcf, 0xac, 0x62,
    0xe4, 0xb3, 0x1c, 0xa9, 0xc9, 0x08, 0xe8, 0x95, 0x80, 0xdf, 0x94, 0xfa, 0x75, 0x8f, 0x3f, 0xa6,
    0x47, 0x07, 0xa7, 0xfc, 0xf3, 0x73, 0x17, 0xba, 0x83, 0x59, 0x3c, 0x19, 0xe6, 0x85, 0x4f, 0xa8,
    0x68, 0x6b, 0x81, 0xb2, 0x71, 0x64, 0xda, 0x8b, 0xf8, 0xeb, 0x0f, 0x4b, 0x70, 0x56, 0x9d, 0x35,
    0x1e, 0x24, 0x0e, 0x5e, 0x63, 0x58, 0xd1, 0xa2, 0x25, 0x22, 0x7c, 0x3b, 0x01, 0x21, 0x78, 0x87,
    0xd4, 0x00, 0x46, 0x57, 0x9f, 0xd3, 0x27, 0x52, 0x4c, 0x36, 0x02, 0xe7, 0xa0, 0xc4, 0xc8, 0x9e,
    0xea, 0xbf, 0x8a, 0xd2, 0x40, 0xc7, 0x38, 0xb5, 0xa3, 0xf7, 0xf2, 0xce, 0xf9, 0x61, 0x15, 0xa1,
    0xe0, 0xae, 0x5d, 0xa4, 0x9b, 0x34, 0x1a, 0x55, 0xad, 0x93, 0x32, 0x30, 0xf5, 0x8c, 0xb1, 0xe3,
    0x1d, 0xf6, 0xe2, 0x2e, 0x82, 0x66, 0xca, 0x60, 0xc0, 0x29, 0x23, 0xab, 0x0d, 0x53, 0x4e, 0x6f,
    0xd5, 0xdb, 0x37, 0x45, 0xde, 0xfd, 0x8e, 0x2f, 0x03, 0xff, 0x6a, 0x72, 0x6d, 0x6c, 0x5b, 0x51,
    0x8d, 0x1b, 0xaf, 0x92, 0xbb, 0xdd, 0xbc, 0x7f, 0x11, 0xd9, 0x5c, 0x41, 0x1f, 0x10, 0x5a, 0xd8,
    0x0a, 0xc1, 0x31, 0x88, 0xa5, 0xcd, 0x7b, 0xbd, 0x2d, 0x74, 0xd0, 0x12, 0xb8, 0xe5, 0xb4, 0xb0,
    0x89, 0x69, 0x97, 0x4a, 0x0c, 0x96, 0x77, 0x7e, 0x65, 0xb9, 0xf1, 0x09, 0xc5, 0x6e, 0xc6, 0x84,
    0x18, 0xf0, 0x7d, 0xec, 0x3a, 0xdc, 0x4d, 0x20, 0x79, 0xee, 0x5f, 0x3e, 0xd7, 0xcb, 0x39, 0x48};

static inline uint32_t ref_rotate(uint32_t v, int n)
{
    return v << n | v >> (32 - n);
}

static inline uint32_t ref_tau(uint32_t a)
{
    return (uint32_t)ref_sbox[a >> 24] << 24 | (uint32_t)ref_sbox[a >> 16 & 255] << 16 |
           (uint32_t)ref_sbox[a >> 8 & 255] << 8 | ref_sbox[a & 255];
}

static inline uint32_t ref_load(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline struct ref_key ref_expand(const uint8_t k[16])
{
    static const uint32_t fk[4] = {0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc};
    struct ref_key key;
    uint32_t x[36];
    for (int i = 0; i < 4; i++) x[i] = ref_load(k + 4 * i) ^ fk[i];
    for (int i = 0; i < 32; i++) {
        uint32_t ck = 0;
        for (int j = 0; j < 4; j++) ck = ck << 8 | ((4 * i + j) * 7 & 255);
        uint32_t b = ref_tau(x[i + 1] ^ x[i + 2] ^ x[i + 3] ^ ck);
        x[i + 4] = x[i] ^ b ^ ref_rotate(b, 13) ^ ref_rotate(b, 23);
        key.rk[i] = x[i + 4];
    }
    return key;
}

static inline void ref_block(const struct ref_key *key, bool decrypt, const uint8_t *in, uint8_t *out)
{
    uint32_t x[36];
    for (int i = 0; i < 4; i++) x[i] = ref_load(in + 4 * i);
    for (int i = 0; i < 32; i++) {
        uint32_t b = ref_tau(x[i + 1] ^ x[i + 2] ^ x[i + 3] ^ key->rk[decrypt ? 31 - i : i]);
        x[i + 4] = x[i] ^ b ^ ref_rotate(b, 2) ^ ref_rotate(b, 10) ^ ref_rotate(b, 18) ^ ref_rotate(b, 24);
    }
    for (int i = 0; i < 16; i++) out[i] = (uint8_t)(x[35 - i / 4] >> (24 - 8 * (i % 4)));
}

static inline void ref_xor(uint8_t *out, const uint8_t *a, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = a[i] ^ b[i];
}

/* The modes take and return iv as the interface does. in and out are different. */
static inline void ref_ecb(const struct ref_key *key, bool decrypt, const uint8_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += 16) ref_block(key, decrypt, in + i, out + i);
}

static inline void ref_cbc(const struct ref_key *key, bool decrypt, uint8_t iv[16], const uint8_t *in,
                           uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        uint8_t t[16];
        if (decrypt) {
            ref_block(key, true, in + i, t);
            ref_xor(out + i, t, iv, 16);
            memcpy(iv, in + i, 16);
        } else {
            ref_xor(t, in + i, iv, 16);
            ref_block(key, false, t, out + i);
            memcpy(iv, out + i, 16);
        }
    }
}

static inline void ref_cfb(const struct ref_key *key, bool decrypt, uint8_t iv[16], const uint8_t *in,
                           uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        static uint8_t pad[16];
        if (i % 16 == 0) ref_block(key, false, iv, pad);
        out[i] = in[i] ^ pad[i % 16];
        iv[i % 16] = decrypt ? in[i] : out[i];
    }
}

static inline void ref_ofb(const struct ref_key *key, uint8_t iv[16], const uint8_t *in, uint8_t *out,
                           size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i % 16 == 0) ref_block(key, false, iv, iv);
        out[i] = in[i] ^ iv[i % 16];
    }
}

/* Adds one to the last `bytes` bytes. */
static inline void ref_count(uint8_t counter[16], int bytes)
{
    for (int i = 15; i >= 16 - bytes; i--)
        if (++counter[i]) return;
}

static inline void ref_ctr(const struct ref_key *key, int bytes, uint8_t iv[16], const uint8_t *in,
                           uint8_t *out, size_t n)
{
    uint8_t pad[16];
    for (size_t i = 0; i < n; i++) {
        if (i % 16 == 0) {
            ref_block(key, false, iv, pad);
            ref_count(iv, bytes);
        }
        out[i] = in[i] ^ pad[i % 16];
    }
}

static inline void ref_cmac(const struct ref_key *key, const uint8_t *in, size_t n, uint8_t out[16])
{
    uint8_t sub[16] = {0}, last[16] = {0};
    size_t blocks = n ? (n + 15) / 16 : 1, rest = n - 16 * (blocks - 1);
    ref_block(key, false, sub, sub);
    for (int times = rest == 16 ? 1 : 2; times; times--) {
        int carry = sub[0] >> 7;
        for (int i = 0; i < 16; i++) sub[i] = (uint8_t)(sub[i] << 1 | (i < 15 ? sub[i + 1] >> 7 : 0));
        if (carry) sub[15] ^= 0x87;
    }
    memset(out, 0, 16);
    for (size_t b = 0; b + 1 < blocks; b++) {
        ref_xor(out, out, in + 16 * b, 16);
        ref_block(key, false, out, out);
    }
    if (rest) memcpy(last, in + 16 * (blocks - 1), rest);
    if (rest < 16) last[rest] = 0x80;
    ref_xor(out, out, last, 16);
    ref_xor(out, out, sub, 16);
    ref_block(key, false, out, out);
}

/* One data unit; in and out are different. */
static inline void ref_xts(const struct ref_key *key1, const struct ref_key *key2, bool gb, bool decrypt,
                           const uint8_t tweak[16], const uint8_t *in, uint8_t *out, size_t n)
{
    static uint8_t t[1026][16];
    size_t blocks = (n + 15) / 16, rest = n % 16;
    ref_block(key2, false, tweak, t[0]);
    for (size_t b = 1; b < blocks; b++) {
        int carry = 0;
        for (int i = 0; i < 16; i++) {
            uint8_t v = t[b - 1][i];
            t[b][i] = (uint8_t)(gb ? v >> 1 | carry << 7 : v << 1 | carry);
            carry = gb ? v & 1 : v >> 7;
        }
        if (carry) t[b][0] ^= gb ? 0xe1 : 0x87;
    }
#define REF_XTS_BLOCK(tweak_number, from, to)                                                                \
    do {                                                                                                     \
        uint8_t ref_work[16];                                                                                \
        ref_xor(ref_work, from, t[tweak_number], 16);                                                        \
        ref_block(key1, decrypt, ref_work, ref_work);                                                        \
        ref_xor(to, ref_work, t[tweak_number], 16);                                                          \
    } while (0)
    size_t whole = rest ? blocks - 2 : blocks;
    for (size_t b = 0; b < whole; b++) REF_XTS_BLOCK(b, in + 16 * b, out + 16 * b);
    if (!rest) return;
    uint8_t first[16], second[16];
    REF_XTS_BLOCK(decrypt ? whole + 1 : whole, in + 16 * whole, first);
    memcpy(second, first, 16);
    memcpy(second, in + 16 * (whole + 1), rest);
    memcpy(out + 16 * (whole + 1), first, rest);
    REF_XTS_BLOCK(decrypt ? whole : whole + 1, second, out + 16 * whole);
#undef REF_XTS_BLOCK
}

/* x = x·h, bit by bit (SP 800-38D 6.3). */
static inline void ref_gf_multiply(uint8_t x[16], const uint8_t h[16])
{
    uint8_t z[16] = {0}, v[16];
    memcpy(v, h, 16);
    for (int i = 0; i < 128; i++) {
        if (x[i / 8] >> (7 - i % 8) & 1) ref_xor(z, z, v, 16);
        int low = v[15] & 1;
        for (int j = 15; j >= 0; j--) v[j] = (uint8_t)(v[j] >> 1 | (j ? v[j - 1] << 7 : 0));
        if (low) v[0] ^= 0xe1;
    }
    memcpy(x, z, 16);
}

static inline void ref_ghash(const uint8_t h[16], uint8_t y[16], const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        ref_xor(y, y, p + i, n - i < 16 ? n - i : 16);
        ref_gf_multiply(y, h);
    }
}

static inline void ref_ghash_lengths(const uint8_t h[16], uint8_t y[16], uint64_t a, uint64_t b)
{
    uint8_t block[16];
    for (int i = 0; i < 8; i++) {
        block[7 - i] = (uint8_t)(8 * a >> 8 * i);
        block[15 - i] = (uint8_t)(8 * b >> 8 * i);
    }
    ref_ghash(h, y, block, 16);
}

/* Encrypts and makes the whole tag. */
static inline void ref_gcm(const struct ref_key *key, const uint8_t *nonce, size_t nonce_n,
                           const uint8_t *aad, size_t aad_n, const uint8_t *in, uint8_t *out, size_t n,
                           uint8_t tag[16])
{
    uint8_t h[16] = {0}, j0[16] = {0}, pad[16];
    ref_block(key, false, h, h);
    if (nonce_n == 12) {
        memcpy(j0, nonce, 12);
        j0[15] = 1;
    } else {
        ref_ghash(h, j0, nonce, nonce_n);
        ref_ghash_lengths(h, j0, 0, nonce_n);
    }
    ref_block(key, false, j0, pad);
    ref_count(j0, 4);
    ref_ctr(key, 4, j0, in, out, n);
    memset(tag, 0, 16);
    ref_ghash(h, tag, aad, aad_n);
    ref_ghash(h, tag, out, n);
    ref_ghash_lengths(h, tag, aad_n, n);
    ref_xor(tag, tag, pad, 16);
}

/* aad_n below 2^32. */
static inline void ref_ccm(const struct ref_key *key, const uint8_t *nonce, size_t nonce_n,
                           const uint8_t *aad, size_t aad_n, const uint8_t *in, uint8_t *out, size_t n,
                           uint8_t *tag, size_t tag_n)
{
    uint8_t y[16] = {0}, a[16] = {0}, pad[16], head[6];
    y[0] = (uint8_t)((aad_n > 0) << 6 | (tag_n - 2) / 2 << 3 | (14 - nonce_n));
    memcpy(y + 1, nonce, nonce_n);
    for (size_t i = 0; i < 15 - nonce_n && i < 8; i++) y[15 - i] = (uint8_t)((uint64_t)n >> 8 * i);
    ref_block(key, false, y, y);
    size_t head_n = aad_n < 0xff00 ? 2 : 6;
    memcpy(head, "\xff\xfe", 2);
    for (size_t i = 0; i < (head_n == 2 ? 2 : 4); i++) head[head_n - 1 - i] = (uint8_t)(aad_n >> 8 * i);
    if (aad_n) {
        for (size_t i = 0; i < head_n + aad_n; i++) {
            y[i % 16] ^= i < head_n ? head[i] : aad[i - head_n];
            if (i % 16 == 15 || i + 1 == head_n + aad_n) ref_block(key, false, y, y);
        }
    }
    for (size_t i = 0; i < n; i++) {
        y[i % 16] ^= in[i];
        if (i % 16 == 15 || i + 1 == n) ref_block(key, false, y, y);
    }
    a[0] = (uint8_t)(14 - nonce_n);
    memcpy(a + 1, nonce, nonce_n);
    ref_block(key, false, a, pad);
    ref_xor(tag, y, pad, tag_n);
    a[15] = 1;
    ref_ctr(key, 16, a, in, out, n);
}

#endif
