/* The 64 rounds of the compression function (GB/T 32905 5.3), written once for a lone word and for a vector
 * of words of independent messages: `word` is uint32_t or a vector of them, and every operator works on both.
 */
#ifndef FN_CRYPTO_SM3_ROUNDS_H
#define FN_CRYPTO_SM3_ROUNDS_H

#include "base/core/mem.h"

#define SM3_ROTL(x, n) ((x) << (n) | (x) >> (32 - (n)))
#define SM3_P0(x)      ((x) ^ SM3_ROTL(x, 9) ^ SM3_ROTL(x, 17))
#define SM3_P1(x)      ((x) ^ SM3_ROTL(x, 15) ^ SM3_ROTL(x, 23))

/* Boolean functions of rounds 0-15 and 16-63. The two terms of the majority never have a bit in common, nor
 * have those of the choice, so that either may be joined by + or |. */
#define SM3_FF0(x, y, z) ((x) ^ (y) ^ (z))
#define SM3_FF1(x, y, z) (((x) & (y)) | (((x) | (y)) & (z)))
#define SM3_GG0(x, y, z) ((x) ^ (y) ^ (z))
#define SM3_GG1(x, y, z) ((((y) ^ (z)) & (x)) ^ (z))

#define SM3_T0(j) (0x79cc4519u << (j) | 0x79cc4519u >> ((32 - (j)) & 31))
#define SM3_T1(j) (0x7a879d8au << ((j)&31) | 0x7a879d8au >> ((32 - (j)) & 31))

/* One round. Instead of moving eight words along, the callers name them in turn. */
#define SM3_ROUND(a, b, c, d, e, f, g, h, FF, GG, t, w0, w4)                                                 \
    do {                                                                                                     \
        word a12 = SM3_ROTL(a, 12);                                                                          \
        word ss1 = a12 + e + (t);                                                                            \
        ss1 = SM3_ROTL(ss1, 7);                                                                              \
        d += FF(a, b, c) + (ss1 ^ a12) + ((w0) ^ (w4));                                                      \
        h += GG(e, f, g) + ss1 + (w0);                                                                       \
        b = SM3_ROTL(b, 9);                                                                                  \
        f = SM3_ROTL(f, 19);                                                                                 \
        h = SM3_P0(h);                                                                                       \
    } while (0)

/* W(j+16) takes the place of W(j) in a ring of sixteen words. */
#define SM3_RING(i) w[(i)&15]
#define SM3_EXPAND(i)                                                                                        \
    do {                                                                                                     \
        word x = SM3_RING(i) ^ SM3_RING((i) + 7) ^ SM3_ROTL(SM3_RING((i) + 13), 15);                         \
        SM3_RING(i) = SM3_P1(x) ^ SM3_ROTL(SM3_RING((i) + 3), 7) ^ SM3_RING((i) + 10);                       \
    } while (0)

#define SM3_FIRST4(j)                                                                                        \
    do {                                                                                                     \
        SM3_ROUND(a, b, c, d, e, f, g, h, SM3_FF0, SM3_GG0, SM3_T0(j), SM3_RING(j), SM3_RING((j) + 4));      \
        SM3_ROUND(d, a, b, c, h, e, f, g, SM3_FF0, SM3_GG0, SM3_T0((j) + 1), SM3_RING((j) + 1),              \
                  SM3_RING((j) + 5));                                                                        \
        SM3_ROUND(c, d, a, b, g, h, e, f, SM3_FF0, SM3_GG0, SM3_T0((j) + 2), SM3_RING((j) + 2),              \
                  SM3_RING((j) + 6));                                                                        \
        SM3_ROUND(b, c, d, a, f, g, h, e, SM3_FF0, SM3_GG0, SM3_T0((j) + 3), SM3_RING((j) + 3),              \
                  SM3_RING((j) + 7));                                                                        \
    } while (0)

#define SM3_EXPAND4(j)                                                                                       \
    do {                                                                                                     \
        SM3_EXPAND(j);                                                                                       \
        SM3_EXPAND((j) + 1);                                                                                 \
        SM3_EXPAND((j) + 2);                                                                                 \
        SM3_EXPAND((j) + 3);                                                                                 \
    } while (0)

#define SM3_LATER4(j)                                                                                        \
    do {                                                                                                     \
        SM3_EXPAND((j) + 4);                                                                                 \
        SM3_ROUND(a, b, c, d, e, f, g, h, SM3_FF1, SM3_GG1, SM3_T1(j), SM3_RING(j), SM3_RING((j) + 4));      \
        SM3_EXPAND((j) + 5);                                                                                 \
        SM3_ROUND(d, a, b, c, h, e, f, g, SM3_FF1, SM3_GG1, SM3_T1((j) + 1), SM3_RING((j) + 1),              \
                  SM3_RING((j) + 5));                                                                        \
        SM3_EXPAND((j) + 6);                                                                                 \
        SM3_ROUND(c, d, a, b, g, h, e, f, SM3_FF1, SM3_GG1, SM3_T1((j) + 2), SM3_RING((j) + 2),              \
                  SM3_RING((j) + 6));                                                                        \
        SM3_EXPAND((j) + 7);                                                                                 \
        SM3_ROUND(b, c, d, a, f, g, h, e, SM3_FF1, SM3_GG1, SM3_T1((j) + 3), SM3_RING((j) + 3),              \
                  SM3_RING((j) + 7));                                                                        \
    } while (0)

/* The whole compression on words a … h and the ring w. */
#define SM3_COMPRESS()                                                                                       \
    do {                                                                                                     \
        SM3_FIRST4(0);                                                                                       \
        SM3_FIRST4(4);                                                                                       \
        SM3_FIRST4(8);                                                                                       \
        SM3_EXPAND4(0);                                                                                      \
        SM3_FIRST4(12);                                                                                      \
        SM3_LATER4(16);                                                                                      \
        SM3_LATER4(20);                                                                                      \
        SM3_LATER4(24);                                                                                      \
        SM3_LATER4(28);                                                                                      \
        SM3_LATER4(32);                                                                                      \
        SM3_LATER4(36);                                                                                      \
        SM3_LATER4(40);                                                                                      \
        SM3_LATER4(44);                                                                                      \
        SM3_LATER4(48);                                                                                      \
        SM3_LATER4(52);                                                                                      \
        SM3_LATER4(56);                                                                                      \
        SM3_LATER4(60);                                                                                      \
    } while (0)

#endif
