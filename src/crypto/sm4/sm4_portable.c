/* SM4 for any machine: 32 blocks at a time in 128-bit planes, one block at a time in 64-bit planes. */
#include "crypto/sm4/sm4_impl.h"

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif

typedef uint64_t wide __attribute__((vector_size(16)));
typedef uint32_t wide32 __attribute__((vector_size(16)));
typedef int32_t wide_s32 __attribute__((vector_size(16)));
typedef uint16_t wide16 __attribute__((vector_size(16)));
typedef uint8_t wide8 __attribute__((vector_size(16)));

#ifndef SHUFFLE /* gcc before 12 */
#define SHUFFLE(a, b, ...) SHUFFLE_LIKE(a, b, __VA_ARGS__)
#define SHUFFLE_LIKE(a, b, ...)                                                                              \
    __builtin_shuffle(a, b,                                                                                  \
                      _Generic((a), wide8                                                                    \
                               : (wide8){__VA_ARGS__}, wide16                                                \
                               : (wide16){__VA_ARGS__}, wide32                                               \
                               : (wide32){__VA_ARGS__}))
#endif

/* A wide plane has byte p of 32 blocks in its 32-bit lane p. */
#define SLICE         wide
#define SLICE_FN(x)   wide_##x
#define WIDE_ROT1(x)  ((wide)SHUFFLE((wide32)(x), (wide32)(x), 1, 2, 3, 0))
#define WIDE_ROT2(x)  ((wide)SHUFFLE((wide32)(x), (wide32)(x), 2, 3, 0, 1))
#define WIDE_ROT3(x)  ((wide)SHUFFLE((wide32)(x), (wide32)(x), 3, 0, 1, 2))
#define SLICE_ROT1(x) WIDE_ROT1(x)
#define SLICE_ROT2(x) WIDE_ROT2(x)
#define SLICE_ROT3(x) WIDE_ROT3(x)
#include "crypto/sm4/sm4_slice.h"
#undef SLICE
#undef SLICE_FN
#undef SLICE_ROT1
#undef SLICE_ROT2
#undef SLICE_ROT3

/* A narrow plane has byte p of its block in bit 16p; what the other bits hold belongs to no block. */
#define SLICE         uint64_t
#define SLICE_FN(x)   narrow_##x
#define SLICE_ROT1(x) ((x) >> 16 | (x) << 48)
#define SLICE_ROT2(x) ((x) >> 32 | (x) << 32)
#define SLICE_ROT3(x) ((x) >> 48 | (x) << 16)
#include "crypto/sm4/sm4_slice.h"

#define LANES 32
_Static_assert(FN_SM4_CHUNK % LANES == 0, "modes gather whole kernels");

struct wide_keys {
    wide rk[32][8];
};
_Static_assert(sizeof(struct wide_keys) == sizeof(struct fn_sm4_lanes), "planes of all round keys");

/* The slices compute S without its constants. What this leaves in the state is known beforehand: after round
 * i the new word lacks L(D3D3D3D3) = 4F4F4F4F, and the lack cancels itself four rounds later. All of it, and
 * 0x75 before the S-box, goes into the round keys; after 32 rounds nothing is left. */
static uint32_t key_constant(int round)
{
    uint32_t lack = 0;
    for (int j = round + 1; j < round + 4; j++)
        if (j / 4 % 2) lack ^= 0x4F4F4F4F;
    return lack ^ 0x75757575;
}

/* Rows of the 8 × 8 bit matrix in each byte column become its columns. */
static inline __attribute__((always_inline)) void transpose_bits(wide v[8])
{
#define SWAP_BITS(a, b, n, mask)                                                                             \
    do {                                                                                                     \
        wide swap_t = (v[a] >> (n) ^ v[b]) & (wide){mask, mask};                                             \
        v[b] ^= swap_t;                                                                                      \
        v[a] ^= swap_t << (n);                                                                               \
    } while (0)
    for (int i = 0; i < 8; i += 2) SWAP_BITS(i, i + 1, 1, 0x5555555555555555);
    for (int i = 0; i < 8; i += 4) {
        SWAP_BITS(i, i + 2, 2, 0x3333333333333333);
        SWAP_BITS(i + 1, i + 3, 2, 0x3333333333333333);
    }
    for (int i = 0; i < 4; i++) SWAP_BITS(i, i + 4, 4, 0x0F0F0F0F0F0F0F0F);
#undef SWAP_BITS
}

/* Address bits of a byte among four vectors, from (vector, lane) = (b, w p) to (w, p b), two bits each: with
 * b the block, w the word and p the byte in it this brings byte p of four blocks into lane p of the vector of
 * word w. */
static inline __attribute__((always_inline)) void turn_bytes(wide v[4])
{
    wide8 a = (wide8)v[0], b = (wide8)v[1], c = (wide8)v[2], d = (wide8)v[3];
    wide16 ab0 = (wide16)SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    wide16 ab1 = (wide16)SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    wide16 cd0 = (wide16)SHUFFLE(c, d, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    wide16 cd1 = (wide16)SHUFFLE(c, d, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    v[0] = (wide)SHUFFLE(ab0, cd0, 0, 8, 1, 9, 2, 10, 3, 11);
    v[1] = (wide)SHUFFLE(ab0, cd0, 4, 12, 5, 13, 6, 14, 7, 15);
    v[2] = (wide)SHUFFLE(ab1, cd1, 0, 8, 1, 9, 2, 10, 3, 11);
    v[3] = (wide)SHUFFLE(ab1, cd1, 4, 12, 5, 13, 6, 14, 7, 15);
}

/* 32 blocks into the planes of their four words, and back. */
static void wide_read(wide x[4][8], const uint8_t *in)
{
    for (int g = 0; g < 8; g++) {
        wide v[4];
        memcpy(v, in + 64 * g, 64);
        turn_bytes(v);
        for (int w = 0; w < 4; w++) x[w][g] = v[w];
    }
    for (int w = 0; w < 4; w++) transpose_bits(x[w]);
}

static void wide_write(wide x[4][8], uint8_t *out)
{
    for (int w = 0; w < 4; w++) transpose_bits(x[w]);
    for (int g = 0; g < 8; g++) {
        wide v[4];
        for (int w = 0; w < 4; w++) v[w] = x[w][g];
        turn_bytes(v); /* (w, p b) to (p, b w) */
        turn_bytes(v); /* to (b, w p) */
        memcpy(out + 64 * g, v, 64);
    }
}

static void wide_crypt(const struct wide_keys *keys, const uint8_t *in, uint8_t *out)
{
    wide x[4][8], y[4][8];
    wide_read(x, in);
    for (int r = 0; r < 32; r += 4) {
        wide_round(x[0], x[1], x[2], x[3], keys->rk[r]);
        wide_round(x[1], x[2], x[3], x[0], keys->rk[r + 1]);
        wide_round(x[2], x[3], x[0], x[1], keys->rk[r + 2]);
        wide_round(x[3], x[0], x[1], x[2], keys->rk[r + 3]);
    }
    for (int w = 0; w < 4; w++) memcpy(y[w], x[3 - w], sizeof y[w]);
    wide_write(y, out);
}

/* The planes of a word that is the same in all lanes. */
static inline __attribute__((always_inline)) void planes_of_word(wide planes[8], uint32_t word)
{
    wide32 v = {word >> 24, word >> 16 & 0xFF, word >> 8 & 0xFF, word & 0xFF};
    for (int k = 0; k < 8; k++) planes[k] = (wide)((wide_s32)(v << (31 - k)) >> 31);
}

static void load(struct fn_sm4_lanes *l, const struct fn_sm4_key *key, bool decrypt)
{
    struct wide_keys *keys = (struct wide_keys *)(void *)l->planes;
    for (int r = 0; r < 32; r++) planes_of_word(keys->rk[r], key->rk[decrypt ? 31 - r : r] ^ key_constant(r));
}

static void load_each(struct fn_sm4_lanes *l, size_t n, const struct fn_sm4_key *const *each)
{
    struct wide_keys *keys = (struct wide_keys *)(void *)l->planes;
    _Alignas(16) uint8_t rows[16 * LANES];
    memset(rows, 0, sizeof rows);
    for (int r = 0; r < 32; r += 4) {
        for (size_t lane = 0; lane < n; lane++)
            for (int i = 0; i < 4; i++)
                fn_put_be32(rows + 16 * lane + 4 * i, each[lane]->rk[r + i] ^ key_constant(r + i));
        wide_read(&keys->rk[r], rows);
    }
    fn_wipe(rows, sizeof rows);
}

static void run(const struct fn_sm4_lanes *l, const uint8_t *in, uint8_t *out, size_t blocks)
{
    const struct wide_keys *keys = (const struct wide_keys *)(const void *)l->planes;
    for (; blocks >= LANES; blocks -= LANES, in += 16 * LANES, out += 16 * LANES) wide_crypt(keys, in, out);
    if (!blocks) return;
    _Alignas(16) uint8_t part[16 * LANES];
    memcpy(part, in, 16 * blocks);
    memset(part + 16 * blocks, 0, sizeof part - 16 * blocks);
    wide_crypt(keys, part, part);
    memcpy(out, part, 16 * blocks);
    fn_wipe(part, sizeof part);
}

/* Byte p of the word (0 = most significant) to bits 16p. */
static inline uint64_t spread(uint32_t word)
{
    uint64_t v = __builtin_bswap32(word);
    v = (v | v << 16) & 0x0000FFFF0000FFFF;
    return (v | v << 8) & 0x00FF00FF00FF00FF;
}

static inline uint32_t gather(const uint64_t planes[8])
{
    uint64_t v = 0;
    for (int k = 0; k < 8; k++) v |= (planes[k] & 0x0001000100010001) << k;
    v = (v | v >> 8) & 0x0000FFFF0000FFFF;
    return __builtin_bswap32((uint32_t)(v | v >> 16));
}

static inline __attribute__((always_inline)) void narrow_planes(uint64_t planes[8], uint32_t word)
{
    uint64_t v = spread(word);
    for (int k = 0; k < 8; k++) planes[k] = v >> k;
}

static inline __attribute__((always_inline)) void
narrow_step(uint64_t x0[8], const uint64_t x1[8], const uint64_t x2[8], const uint64_t x3[8], uint32_t rk)
{
    uint64_t planes[8];
    narrow_planes(planes, rk);
    narrow_round(x0, x1, x2, x3, planes);
}

static void one(const struct fn_sm4_key *key, bool decrypt, const uint8_t in[16], uint8_t out[16])
{
    uint64_t x[4][8];
    for (int w = 0; w < 4; w++) narrow_planes(x[w], fn_get_be32(in + 4 * w));
    int step = decrypt ? -1 : 1;
    const uint32_t *rk = decrypt ? key->rk + 31 : key->rk;
    for (int r = 0; r < 32; r += 4, rk += 4 * step) {
        narrow_step(x[0], x[1], x[2], x[3], rk[0] ^ key_constant(r));
        narrow_step(x[1], x[2], x[3], x[0], rk[step] ^ key_constant(r + 1));
        narrow_step(x[2], x[3], x[0], x[1], rk[2 * step] ^ key_constant(r + 2));
        narrow_step(x[3], x[0], x[1], x[2], rk[3 * step] ^ key_constant(r + 3));
    }
    for (int w = 0; w < 4; w++) fn_put_be32(out + 4 * w, gather(x[3 - w]));
}

static void schedule_one(struct fn_sm4_key *key, const uint8_t k[FN_SM4_KEY])
{
    uint32_t x[4];
    for (int i = 0; i < 4; i++) x[i] = fn_get_be32(k + 4 * i) ^ fn_sm4_fk[i];
    for (int r = 0; r < 32; r++) {
        uint64_t planes[8];
        narrow_planes(planes, x[(r + 1) % 4] ^ x[(r + 2) % 4] ^ x[(r + 3) % 4] ^ fn_sm4_ck[r] ^ 0x75757575);
        narrow_sbox(planes, planes);
        uint32_t s = gather(planes) ^ 0xD3D3D3D3;
        x[r % 4] ^= s ^ fn_rotl32(s, 13) ^ fn_rotl32(s, 23);
        key->rk[r] = x[r % 4];
    }
    fn_wipe(x, sizeof x);
}

/* x0 ⊕= L'(S(x1 ⊕ x2 ⊕ x3 ⊕ ck)), L'(b) = b ⊕ b<<<13 ⊕ b<<<23 (GB/T 32907-2016 7.3). */
static void schedule_round(wide x0[8], const wide x1[8], const wide x2[8], const wide x3[8], uint32_t ck)
{
    wide t[8], b[8];
    planes_of_word(t, ck ^ 0x75757575);
    for (int k = 0; k < 8; k++) t[k] ^= x1[k] ^ x2[k] ^ x3[k];
    wide_sbox(b, t);
    planes_of_word(t, 0xD3D3D3D3);
    for (int k = 0; k < 8; k++) b[k] ^= t[k];
    for (int k = 0; k < 8; k++) {
        /* Bit k of a word rotated left by 8q + r is bit k − r of byte p + q, or bit k − r + 8 of the byte
         * after it. */
        wide by13 = k >= 5 ? WIDE_ROT1(b[k - 5]) : WIDE_ROT2(b[k + 3]);
        wide by23 = k >= 7 ? WIDE_ROT2(b[k - 7]) : WIDE_ROT3(b[k + 1]);
        x0[k] ^= b[k] ^ by13 ^ by23;
    }
}

static void schedule_lanes(size_t n, struct fn_sm4_key *const *keys, const uint8_t (*k)[FN_SM4_KEY])
{
    wide x[4][8], y[4][8];
    _Alignas(16) uint8_t rows[16 * LANES];
    memset(rows, 0, sizeof rows);
    for (size_t lane = 0; lane < n; lane++)
        for (int i = 0; i < 4; i++)
            fn_put_be32(rows + 16 * lane + 4 * i, fn_get_be32(k[lane] + 4 * i) ^ fn_sm4_fk[i]);
    wide_read(x, rows);
    for (int r = 0; r < 32; r += 4) {
        for (int i = 0; i < 4; i++)
            schedule_round(x[i], x[(i + 1) % 4], x[(i + 2) % 4], x[(i + 3) % 4], fn_sm4_ck[r + i]);
        memcpy(y, x, sizeof y);
        wide_write(y, rows);
        for (size_t lane = 0; lane < n; lane++)
            for (int i = 0; i < 4; i++) keys[lane]->rk[r + i] = fn_get_be32(rows + 16 * lane + 4 * i);
    }
    fn_wipe(rows, sizeof rows);
    fn_wipe(x, sizeof x);
    fn_wipe(y, sizeof y);
}

static void schedule(size_t n, struct fn_sm4_key *const *keys, const uint8_t (*k)[FN_SM4_KEY])
{
    while (n > 1) {
        size_t now = n < LANES ? n : LANES;
        schedule_lanes(now, keys, k);
        n -= now;
        keys += now;
        k += now;
    }
    if (n) schedule_one(keys[0], k[0]);
}

const struct fn_sm4_ops fn_sm4_portable = {
    .lanes = LANES,
    .load = load,
    .load_each = load_each,
    .run = run,
    .one = one,
    .schedule = schedule,
    .ghash_init = fn_ghash_init_portable,
    .ghash = fn_ghash_portable,
};
