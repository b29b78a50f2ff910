/* The compression of FN_SM3_LANES independent messages side by side, one 32-bit lane each, in the vector
 * types of gcc and clang. Included by the source file of each engine that has vector registers of that width,
 * compiled for its CPU. */
#ifndef FN_CRYPTO_SM3_LANES_H
#define FN_CRYPTO_SM3_LANES_H

#include "crypto/sm3/sm3_rounds.h"

typedef uint32_t fn_sm3_vector __attribute__((vector_size(4 * FN_SM3_LANES)));

static void fn_sm3_lane_blocks(uint32_t *state, const uint8_t *const *p, size_t count)
{
    typedef fn_sm3_vector word;
    word s[8], w[16];
    memcpy(s, state, sizeof s);
    for (size_t at = 0; count > 0; count--, at += FN_SM3_BLOCK) {
        for (size_t i = 0; i < 16; i++) {
            for (size_t l = 0; l < FN_SM3_LANES; l++) w[i][l] = fn_get_be32(p[l] + at + 4 * i);
        }
        word a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
        SM3_COMPRESS();
        s[0] ^= a;
        s[1] ^= b;
        s[2] ^= c;
        s[3] ^= d;
        s[4] ^= e;
        s[5] ^= f;
        s[6] ^= g;
        s[7] ^= h;
    }
    memcpy(state, s, sizeof s);
    fn_wipe(s, sizeof s);
    fn_wipe(w, sizeof w);
}

#endif
