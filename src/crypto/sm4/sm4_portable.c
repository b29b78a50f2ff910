/* SM4 for any machine: 32 or 64 blocks at a time in 128-bit planes, one block at a time in 32-bit planes. */
#include "crypto/sm4/sm4_impl.h"
#include "crypto/sm4/sm4_sbox.h"

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

/* A wide plane has byte p (0 = most significant) of 32 blocks in its 32-bit lane p. A word rotated left by 8,
 * 16, 24 bits takes byte p from byte p + 1, p + 2, p + 3. */
static inline wide rot8(wide x)
{
    return (wide)SHUFFLE((wide32)x, (wide32)x, 1, 2, 3, 0);
}
static inline wide rot16(wide x)
{
    return (wide)SHUFFLE((wide32)x, (wide32)x, 2, 3, 0, 1);
}
static inline wide rot24(wide x)
{
    return (wide)SHUFFLE((wide32)x, (wide32)x, 3, 0, 1, 2);
}

/* x0 ⊕= L(S(x1 ⊕ x2 ⊕ x3 ⊕ rk)), L(b) = b ⊕ b<<<2 ⊕ b<<<10 ⊕ b<<<18 ⊕ b<<<24 (GB/T 32907-2016 6.2). */
static inline __attribute__((always_inline)) void wide_round(wide x0[8], const wide x1[8], const wide x2[8],
                                                             const wide x3[8], const wide rk[8])
{
    wide b[8], u[8], t[8];
#define INPUT(k) (x1[k] ^ x2[k] ^ x3[k] ^ rk[k])
    FN_SM4_SBOX(wide, INPUT, b);
#undef INPUT
    /* u = b ⊕ b<<<8, so that b ⊕ b<<<24 = u<<<24 and the rest is (u ⊕ b<<<16)<<<2. */
    for (int k = 0; k < 8; k++) u[k] = b[k] ^ rot8(b[k]);
    for (int k = 0; k < 8; k++) t[k] = u[k] ^ rot16(b[k]);
    x0[0] ^= rot24(u[0]) ^ rot8(t[6]);
    x0[1] ^= rot24(u[1]) ^ rot8(t[7]);
    for (int k = 2; k < 8; k++) x0[k] ^= rot24(u[k]) ^ t[k - 2];
}

#define LANES 32
_Static_assert(FN_SM4_CHUNK % LANES == 0, "modes gather whole kernels");

struct wide_keys {
    wide rk[32][8];
};
_Static_assert(sizeof(struct wide_keys) == sizeof(struct fn_sm4_lanes), "planes of all round keys");

/* A word of four equal bytes. */
#define BYTES(byte) (0x01010101u * (byte))

/* The circuit computes S without its constants. What this leaves in the state is known beforehand: after
 * round i the new word lacks L(D3D3D3D3) = 4F4F4F4F, and the lack cancels itself four rounds later. All of
 * it, and 0x75 before the S-box, goes into the round keys; after 32 rounds nothing is left. */
static uint32_t key_constant(int round)
{
    uint32_t lack = 0;
    for (int j = round + 1; j < round + 4; j++)
        if (j / 4 % 2) lack ^= 0x4F4F4F4F;
    return lack ^ BYTES(FN_SM4_SBOX_IN);
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

/* 32 blocks into the planes of their four words, and back with the words in reverse order, as SM4 ends. */
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
        for (int w = 0; w < 4; w++) v[w] = x[3 - w][g];
        turn_bytes(v); /* (w, p b) to (p, b w) */
        turn_bytes(v); /* to (b, w p) */
        memcpy(out + 64 * g, v, 64);
    }
}

/* Four rounds of the groups of 32 blocks in x. The rounds of one group wait for each other most of the time,
 * those of two groups fill each other's gaps. */
#define FOUR_ROUNDS(groups, x, rk)                                                                           \
    do {                                                                                                     \
        for (int g = 0; g < (groups); g++) wide_round((x)[g][0], (x)[g][1], (x)[g][2], (x)[g][3], (rk)[0]);  \
        for (int g = 0; g < (groups); g++) wide_round((x)[g][1], (x)[g][2], (x)[g][3], (x)[g][0], (rk)[1]);  \
        for (int g = 0; g < (groups); g++) wide_round((x)[g][2], (x)[g][3], (x)[g][0], (x)[g][1], (rk)[2]);  \
        for (int g = 0; g < (groups); g++) wide_round((x)[g][3], (x)[g][0], (x)[g][1], (x)[g][2], (rk)[3]);  \
    } while (0)

static void wide_crypt(const struct wide_keys *keys, const uint8_t *in, uint8_t *out)
{
    FN_SM4_UNSET wide x[1][4][8];
    wide_read(x[0], in);
    for (int r = 0; r < 32; r += 4) FOUR_ROUNDS(1, x, &keys->rk[r]);
    wide_write(x[0], out);
}

static void wide_crypt_two(const struct wide_keys *keys, const uint8_t *in, uint8_t *out)
{
    FN_SM4_UNSET wide x[2][4][8];
    wide_read(x[0], in);
    wide_read(x[1], in + 16 * LANES);
    for (int r = 0; r < 32; r += 4) FOUR_ROUNDS(2, x, &keys->rk[r]);
    wide_write(x[0], out);
    wide_write(x[1], out + 16 * LANES);
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
    for (; blocks >= 2 * LANES; blocks -= 2 * LANES, in += 32 * LANES, out += 32 * LANES)
        wide_crypt_two(keys, in, out);
    if (blocks >= LANES) {
        wide_crypt(keys, in, out);
        blocks -= LANES;
        in += 16 * LANES;
        out += 16 * LANES;
    }
    if (!blocks) return;
    FN_SM4_UNSET _Alignas(16) uint8_t part[16 * LANES];
    memcpy(part, in, 16 * blocks);
    memset(part + 16 * blocks, 0, sizeof part - 16 * blocks);
    wide_crypt(keys, part, part);
    memcpy(out, part, 16 * blocks);
    fn_wipe(part, sizeof part);
}

/* The S-box without its constants on the four bytes of a word. Its planes are the word shifted right: only
 * bits 0, 8, 16 and 24 of each count. */
static inline __attribute__((always_inline)) uint32_t narrow_sbox(uint32_t w)
{
    uint32_t s[8];
#define INPUT(k) (w >> (k))
    FN_SM4_SBOX(uint32_t, INPUT, s);
#undef INPUT
#define BIT(k) (s[k] & 0x01010101)
    uint32_t low = (BIT(0) + 2 * BIT(1)) + 4 * (BIT(2) + 2 * BIT(3));
    uint32_t high = (BIT(4) + 2 * BIT(5)) + 4 * (BIT(6) + 2 * BIT(7));
#undef BIT
    return low + (high << 4);
}

static inline __attribute__((always_inline)) uint32_t narrow_round(uint32_t x0, uint32_t w)
{
    uint32_t b = narrow_sbox(w);
    return x0 ^ b ^ fn_rotl32(b, 2) ^ fn_rotl32(b, 10) ^ fn_rotl32(b, 18) ^ fn_rotl32(b, 24);
}

static void one(const struct fn_sm4_key *key, bool decrypt, const uint8_t in[16], uint8_t out[16])
{
    uint32_t x[4];
    for (int w = 0; w < 4; w++) x[w] = fn_get_be32(in + 4 * w);
    for (int r = 0; r < 32; r++) {
        uint32_t rk = key->rk[decrypt ? 31 - r : r] ^ key_constant(r);
        uint32_t next = narrow_round(x[0], x[1] ^ x[2] ^ x[3] ^ rk);
        x[0] = x[1];
        x[1] = x[2];
        x[2] = x[3];
        x[3] = next;
    }
    for (int w = 0; w < 4; w++) fn_put_be32(out + 4 * w, x[3 - w]);
}

static void schedule_one(struct fn_sm4_key *key, const uint8_t k[FN_SM4_KEY])
{
    uint32_t x[4];
    for (int i = 0; i < 4; i++) x[i] = fn_get_be32(k + 4 * i) ^ fn_sm4_fk[i];
    for (int r = 0; r < 32; r++) {
        uint32_t w = x[(r + 1) % 4] ^ x[(r + 2) % 4] ^ x[(r + 3) % 4] ^ fn_sm4_ck[r];
        uint32_t s = narrow_sbox(w ^ BYTES(FN_SM4_SBOX_IN)) ^ BYTES(FN_SM4_SBOX_OUT);
        x[r % 4] ^= s ^ fn_rotl32(s, 13) ^ fn_rotl32(s, 23);
        key->rk[r] = x[r % 4];
    }
    fn_wipe(x, sizeof x);
}

/* x0 ⊕= L'(S(x1 ⊕ x2 ⊕ x3 ⊕ ck)), L'(b) = b ⊕ b<<<13 ⊕ b<<<23 (GB/T 32907-2016 7.3). */
static void schedule_round(wide x0[8], const wide x1[8], const wide x2[8], const wide x3[8], uint32_t ck)
{
    wide t[8], b[8];
    planes_of_word(t, ck ^ BYTES(FN_SM4_SBOX_IN));
#define INPUT(k) (x1[k] ^ x2[k] ^ x3[k] ^ t[k])
    FN_SM4_SBOX(wide, INPUT, b);
#undef INPUT
    planes_of_word(t, BYTES(FN_SM4_SBOX_OUT));
    for (int k = 0; k < 8; k++) b[k] ^= t[k];
    for (int k = 0; k < 8; k++) {
        /* Bit k of a word rotated left by 8q + r is bit k − r of byte p + q, or bit k − r + 8 of the byte
         * after it. */
        wide by13 = k >= 5 ? rot8(b[k - 5]) : rot16(b[k + 3]);
        wide by23 = k >= 7 ? rot16(b[k - 7]) : rot24(b[k + 1]);
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
            for (int i = 0; i < 4; i++) keys[lane]->rk[r + i] = fn_get_be32(rows + 16 * lane + 4 * (3 - i));
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
