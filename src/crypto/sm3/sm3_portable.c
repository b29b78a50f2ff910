#include "crypto/sm3/sm3_engine.h"
#include "crypto/sm3/sm3_rounds.h"

static void blocks(uint32_t state[8], const uint8_t *p, size_t count)
{
    typedef uint32_t word;
    word w[16];
    for (; count > 0; count--, p += FN_SM3_BLOCK) {
        for (size_t i = 0; i < 16; i++) w[i] = fn_get_be32(p + 4 * i);
        word a = state[0], b = state[1], c = state[2], d = state[3];
        word e = state[4], f = state[5], g = state[6], h = state[7];
        SM3_COMPRESS();
        state[0] ^= a;
        state[1] ^= b;
        state[2] ^= c;
        state[3] ^= d;
        state[4] ^= e;
        state[5] ^= f;
        state[6] ^= g;
        state[7] ^= h;
    }
    fn_wipe(w, sizeof w);
}

/* Every x86-64 has registers of four lanes; gcc's code for them is a fifth faster than four messages in turn,
 * clang's is slower, and without vector registers the lanes are no gain at all. */
#if defined(__SSE2__) && !defined(__clang__)
#define FN_SM3_LANES 4
#include "crypto/sm3/sm3_lanes.h"
const struct fn_sm3_engine fn_sm3_portable = {"portable", blocks, fn_sm3_lane_blocks, FN_SM3_LANES};
#else
const struct fn_sm3_engine fn_sm3_portable = {"portable", blocks, NULL, 1};
#endif
const struct fn_sm3_engine *fn_sm3_engine = &fn_sm3_portable;
