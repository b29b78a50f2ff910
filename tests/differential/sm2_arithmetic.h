/* Slow arithmetic modulo p and n on 32-bit words, nothing of it shared with src/crypto/sm2. */
#ifndef FN_TESTS_SM2_ARITHMETIC_H
#define FN_TESTS_SM2_ARITHMETIC_H

#include <stdint.h>
#include <string.h>

struct slow_modulus {
    uint32_t m[8], rest[8]; /* m and 2^256 - m, least significant word first */
};

static const struct slow_modulus slow_p = {
    {0xffffffff, 0xffffffff, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xfffffffe},
    {1, 0, 0xffffffff, 0, 0, 0, 0, 1}};
static const struct slow_modulus slow_n = {
    {0x39d54123, 0x53bbf409, 0x21c6052b, 0x7203df6b, 0xffffffff, 0xffffffff, 0xffffffff, 0xfffffffe},
    {0xc62abedd, 0xac440bf6, 0xde39fad4, 0x8dfc2094, 0, 0, 0, 1}};

static inline void slow_from(uint32_t out[8], const uint8_t in[32])
{
    for (int i = 0; i < 8; i++)
        out[7 - i] = (uint32_t)in[4 * i] << 24 | (uint32_t)in[4 * i + 1] << 16 |
                     (uint32_t)in[4 * i + 2] << 8 | in[4 * i + 3];
}

static inline void slow_to(uint8_t out[32], const uint32_t in[8])
{
    for (int i = 0; i < 32; i++) out[i] = (uint8_t)(in[7 - i / 4] >> (24 - 8 * (i % 4)));
}

/* x of 16 words, destroyed: every word from 2^256 up is replaced by itself times 2^256 - m, from the top,
 * until none is left; then m is subtracted while it can be. */
static inline void slow_reduce(uint32_t out[8], uint32_t x[16], const struct slow_modulus *m)
{
    for (int i = 15; i >= 8; i--) {
        while (x[i]) {
            uint64_t carry = 0, top = x[i];
            x[i] = 0;
            for (int j = 0; j < 8; j++) {
                carry += top * m->rest[j] + x[i - 8 + j];
                x[i - 8 + j] = (uint32_t)carry;
                carry >>= 32;
            }
            for (int j = i; carry; j++) {
                carry += x[j];
                x[j] = (uint32_t)carry;
                carry >>= 32;
            }
        }
    }
    for (;;) {
        int64_t borrow = 0;
        uint32_t less[8];
        for (int i = 0; i < 8; i++) {
            borrow += (int64_t)x[i] - m->m[i];
            less[i] = (uint32_t)borrow;
            borrow >>= 32;
        }
        if (borrow) break;
        memcpy(x, less, sizeof less);
    }
    memcpy(out, x, 8 * sizeof *x);
}

static inline void slow_mul(uint32_t out[8], const uint32_t a[8], const uint32_t b[8],
                            const struct slow_modulus *m)
{
    uint32_t x[16] = {0};
    for (int i = 0; i < 8; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < 8; j++) {
            carry += (uint64_t)a[i] * b[j] + x[i + j];
            x[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        x[i + 8] = (uint32_t)carry;
    }
    slow_reduce(out, x, m);
}

static inline void slow_add(uint32_t out[8], const uint32_t a[8], const uint32_t b[8],
                            const struct slow_modulus *m)
{
    uint32_t x[16] = {0};
    uint64_t carry = 0;
    for (int i = 0; i < 8; i++) {
        carry += (uint64_t)a[i] + b[i];
        x[i] = (uint32_t)carry;
        carry >>= 32;
    }
    x[8] = (uint32_t)carry;
    slow_reduce(out, x, m);
}

/* a - b, b below m */
static inline void slow_sub(uint32_t out[8], const uint32_t a[8], const uint32_t b[8],
                            const struct slow_modulus *m)
{
    uint32_t opposite[8];
    int64_t borrow = 0;
    for (int i = 0; i < 8; i++) {
        borrow += (int64_t)m->m[i] - b[i];
        opposite[i] = (uint32_t)borrow;
        borrow >>= 32;
    }
    slow_add(out, a, opposite, m);
}

#endif
