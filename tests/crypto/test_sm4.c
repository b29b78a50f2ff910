/* SM4 and the modes without authentication tags: vectors of the standards, then every length against the
 * reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "crypto/cpu.h"
#include "crypto/sm4/sm4.h"
#include "crypto/sm4/sm4_impl.h"
#include "sm4_reference.h"

#define MOST 300
#define SIZE 2500

static uint64_t random_state = 0x9E3779B97F4A7C15;

static void fill(void *p, size_t n)
{
    uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        b[i] = (uint8_t)(random_state >> 32);
    }
}

static size_t unhex(uint8_t *out, const char *text)
{
    size_t n = 0;
    for (; text[0]; text += 2) {
        char pair[3] = {text[0], text[1], 0};
        out[n++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static void key_of(struct fn_sm4_key *key, const char *hex)
{
    uint8_t k[16];
    assert_int_equal(unhex(k, hex), 16);
    fn_sm4_key_init(key, k);
}

static void assert_hex(const uint8_t *p, size_t n, const char *hex)
{
    uint8_t want[SIZE];
    assert_int_equal(unhex(want, hex), n);
    assert_memory_equal(p, want, n);
}

/* GB/T 32907-2016 A.1 and A.2. */
static void standard_block(void **state)
{
    (void)state;
    struct fn_sm4_key key;
    uint8_t b[16];
    key_of(&key, "0123456789abcdeffedcba9876543210");
    assert_int_equal(key.rk[0], 0xF12186F9);
    assert_int_equal(key.rk[31], 0x9124A012);
    unhex(b, "0123456789abcdeffedcba9876543210");
    assert_int_equal(fn_sm4_ecb_encrypt(&key, b, b, 16), FN_OK);
    assert_hex(b, 16, "681edf34d206965e86b3e94f536e4246");
    assert_int_equal(fn_sm4_ecb_decrypt(&key, b, b, 16), FN_OK);
    assert_hex(b, 16, "0123456789abcdeffedcba9876543210");
    for (int i = 0; i < 1000000; i++) fn_sm4_one(&key, b, b);
    assert_hex(b, 16, "595298c7c6fd271f0402f804c33d3f66");
}

/* The million-fold vector once more, in all lanes of the parallel kernel. */
static void standard_block_parallel(void **state)
{
    (void)state;
    struct fn_sm4_key key;
    struct fn_sm4_lanes lanes;
    uint8_t b[16 * FN_SM4_CHUNK];
    size_t n = fn_sm4_ops->lanes;
    key_of(&key, "0123456789abcdeffedcba9876543210");
    for (size_t i = 0; i < n; i++) unhex(b + 16 * i, "0123456789abcdeffedcba9876543210");
    fn_sm4_ops->load(&lanes, &key, false);
    for (int i = 0; i < 1000000; i++) fn_sm4_ops->run(&lanes, b, b, n);
    for (size_t i = 0; i < n; i++) assert_hex(b + 16 * i, 16, "595298c7c6fd271f0402f804c33d3f66");
}

/* Every input of the S-box in every byte of a word, in the serial and in the parallel kernel: in the first
 * round one byte takes all values. */
static void every_sbox_input(void **state)
{
    (void)state;
    struct fn_sm4_key key;
    struct fn_sm4_lanes lanes;
    uint8_t in[16 * 256], one[16], all[16 * 256];
    for (int byte = 0; byte < 4; byte++) {
        struct ref_key ref;
        fill(&ref, sizeof ref);
        memcpy(key.rk, ref.rk, sizeof key.rk);
        memset(in, 0, sizeof in);
        for (int v = 0; v < 256; v++) in[16 * v + 4 + byte] = (uint8_t)v;
        fn_sm4_ops->load(&lanes, &key, false);
        fn_sm4_ops->run(&lanes, in, all, 256);
        for (int v = 0; v < 256; v++) {
            uint8_t want[16];
            ref_block(&ref, false, in + 16 * v, want);
            fn_sm4_one(&key, in + 16 * v, one);
            assert_memory_equal(one, want, 16);
            assert_memory_equal(all + 16 * v, want, 16);
        }
    }
}

static void key_schedule_batch(void **state)
{
    (void)state;
    enum { N = 100 };
    static uint8_t k[N][16];
    static struct fn_sm4_key keys[N];
    struct fn_sm4_key *pointers[N], single;
    fill(k, sizeof k);
    memset(k[3], 0, 16);
    memset(k[4], 0xFF, 16);
    for (size_t i = 0; i < N; i++) pointers[i] = &keys[i];
    for (size_t n = 0; n <= N; n = n < 40 ? n + 1 : n + 20) {
        memset(keys, 0xA5, sizeof keys);
        fn_sm4_key_init_batch(n, pointers, (const uint8_t(*)[16])k);
        for (size_t i = 0; i < n; i++) {
            struct ref_key want = ref_expand(k[i]);
            assert_memory_equal(keys[i].rk, want.rk, sizeof want.rk);
            fn_sm4_key_init(&single, k[i]);
            assert_memory_equal(single.rk, want.rk, sizeof want.rk);
        }
        for (size_t i = n; i < N; i++) assert_int_equal(keys[i].rk[0], 0xA5A5A5A5);
    }
}

enum mode { ECB_E, ECB_D, CBC_E, CBC_D, CFB_E, CFB_D, OFB, CTR, MODES };

static bool whole_only(enum mode m)
{
    return m <= CBC_D;
}

static fn_err ours(enum mode m, const struct fn_sm4_key *key, uint8_t *iv, const uint8_t *in, uint8_t *out,
                   size_t n)
{
    switch (m) {
    case ECB_E:
        return fn_sm4_ecb_encrypt(key, in, out, n);
    case ECB_D:
        return fn_sm4_ecb_decrypt(key, in, out, n);
    case CBC_E:
        return fn_sm4_cbc_encrypt(key, iv, in, out, n);
    case CBC_D:
        return fn_sm4_cbc_decrypt(key, iv, in, out, n);
    case CFB_E:
        fn_sm4_cfb_encrypt(key, iv, in, out, n);
        break;
    case CFB_D:
        fn_sm4_cfb_decrypt(key, iv, in, out, n);
        break;
    case OFB:
        fn_sm4_ofb_crypt(key, iv, in, out, n);
        break;
    default:
        fn_sm4_ctr_crypt(key, iv, in, out, n);
        break;
    }
    return FN_OK;
}

static void theirs(enum mode m, const struct ref_key *key, uint8_t *iv, const uint8_t *in, uint8_t *out,
                   size_t n)
{
    switch (m) {
    case ECB_E:
        ref_ecb(key, false, in, out, n);
        break;
    case ECB_D:
        ref_ecb(key, true, in, out, n);
        break;
    case CBC_E:
        ref_cbc(key, false, iv, in, out, n);
        break;
    case CBC_D:
        ref_cbc(key, true, iv, in, out, n);
        break;
    case CFB_E:
        ref_cfb(key, false, iv, in, out, n);
        break;
    case CFB_D:
        ref_cfb(key, true, iv, in, out, n);
        break;
    case OFB:
        ref_ofb(key, iv, in, out, n);
        break;
    default:
        ref_ctr(key, 16, iv, in, out, n);
        break;
    }
}

/* One length of one mode: apart and in place, and nothing written past the end. */
static void compare(enum mode m, size_t n)
{
    uint8_t k[16], iv[16], in[SIZE], want[SIZE], got[SIZE], iv1[16], iv2[16];
    struct fn_sm4_key key;
    fill(k, 16);
    fill(iv, 16);
    fill(in, n);
    if (n % 3 == 0) memset(iv, 0xFF, 16); /* counters wrap on all 128 bits */
    if (n % 3 == 1) memset(iv + 8, 0xFF, 8);
    struct ref_key ref = ref_expand(k);
    fn_sm4_key_init(&key, k);
    memcpy(iv1, iv, 16);
    theirs(m, &ref, iv1, in, want, n);
    memset(got, 0xA5, sizeof got);
    memcpy(iv2, iv, 16);
    assert_int_equal(ours(m, &key, iv2, in, got, n), FN_OK);
    assert_memory_equal(got, want, n);
    assert_int_equal(got[n], 0xA5);
    if (n % 16 == 0) assert_memory_equal(iv1, iv2, 16);
    memcpy(got, in, n);
    memcpy(iv2, iv, 16);
    assert_int_equal(ours(m, &key, iv2, got, got, n), FN_OK);
    assert_memory_equal(got, want, n);
    assert_int_equal(got[n], 0xA5);
    if (n % 16 == 0) assert_memory_equal(iv1, iv2, 16);
}

static void every_length(void **state)
{
    (void)state;
    for (enum mode m = 0; m < MODES; m++) {
        size_t step = whole_only(m) ? 16 : 1;
        for (size_t n = 0; n <= MOST; n += step) compare(m, n);
        /* Around one, two and more kernels. */
        for (size_t n = 480; n <= 2112; n += 16) compare(m, n);
        if (!whole_only(m))
            for (size_t n = 1000; n <= 1048; n++) compare(m, n);
    }
}

static void lengths_refused(void **state)
{
    (void)state;
    struct fn_sm4_key key;
    uint8_t iv[16] = {0}, b[64] = {0};
    key_of(&key, "0123456789abcdeffedcba9876543210");
    struct fn_sm4_cbc_job job = {&key, iv, b, b, 17};
    for (size_t n = 1; n < 64; n++) {
        if (n % 16 == 0) continue;
        assert_int_equal(fn_sm4_ecb_encrypt(&key, b, b, n), FN_E_CIPHER_LENGTH);
        assert_int_equal(fn_sm4_ecb_decrypt(&key, b, b, n), FN_E_CIPHER_LENGTH);
        assert_int_equal(fn_sm4_cbc_encrypt(&key, iv, b, b, n), FN_E_CIPHER_LENGTH);
        assert_int_equal(fn_sm4_cbc_decrypt(&key, iv, b, b, n), FN_E_CIPHER_LENGTH);
        assert_int_equal(fn_sm4_cbc_mac(&key, iv, b, n), FN_E_CIPHER_LENGTH);
    }
    assert_int_equal(fn_sm4_cbc_encrypt_batch(1, &job), FN_E_CIPHER_LENGTH);
    for (size_t i = 0; i < sizeof b; i++) assert_int_equal(b[i], 0);
}

/* A stream in two or three calls is the stream in one call. */
static void continued(void **state)
{
    (void)state;
    enum { N = 1600 };
    uint8_t k[16], iv[16], in[N], want[N], got[N], t[16];
    struct fn_sm4_key key;
    fill(k, 16);
    fill(in, N);
    fn_sm4_key_init(&key, k);
    for (enum mode m = CBC_E; m < MODES; m++) {
        fill(iv, 16);
        memset(iv + 12, 0xFF, 4);
        memcpy(t, iv, 16);
        ours(m, &key, t, in, want, N);
        for (size_t cut = 0; cut <= N; cut += 16) {
            memcpy(t, iv, 16);
            ours(m, &key, t, in, got, cut);
            size_t second = cut + (N - cut) / 32 * 16;
            ours(m, &key, t, in + cut, got + cut, second - cut);
            ours(m, &key, t, in + second, got + second, N - second);
            assert_memory_equal(got, want, N);
        }
    }
}

static void macs(void **state)
{
    (void)state;
    uint8_t k[16], in[MOST], want[16], got[16];
    struct fn_sm4_key key;
    for (size_t n = 0; n <= MOST; n++) {
        fill(k, 16);
        fill(in, n);
        struct ref_key ref = ref_expand(k);
        fn_sm4_key_init(&key, k);
        ref_cmac(&ref, in, n, want);
        fn_sm4_cmac(&key, in, n, got);
        assert_memory_equal(got, want, 16);
        if (n % 16) continue;
        uint8_t last[MOST], iv1[16], iv2[16];
        fill(iv1, 16);
        memcpy(iv2, iv1, 16);
        ref_cbc(&ref, false, iv1, in, last, n);
        size_t cut = n / 32 * 16;
        assert_int_equal(fn_sm4_cbc_mac(&key, iv2, in, cut), FN_OK);
        assert_int_equal(fn_sm4_cbc_mac(&key, iv2, in + cut, n - cut), FN_OK);
        assert_memory_equal(iv1, iv2, 16);
    }
}

struct xts_vector {
    const char *key, *iv, *plain, *gb, *ieee;
};

static void xts_vectors(void **state)
{
    (void)state;
    static const struct xts_vector vectors[] = {
        {"2B7E151628AED2A6ABF7158809CF4F3C000102030405060708090A0B0C0D0E0F",
         "F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF",
         "6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E5130C81C46A35CE411E5FBC1191A0A52EFF69"
         "F2445DF4F9B17",
         "E9538251C71D7B80BBE4483FEF497BD12C5C581BD6242FC51E08964FB4F60FDB0BA42F63499279213D318D2C11F6886E903"
         "BE7F93A1B3479",
         "E9538251C71D7B80BBE4483FEF497BD1B3DB1A3E60408C575D63FF7DB39F83260869F9E2585FEC9F0B863BF8FD784B8627D"
         "16C0DB6D2CFC7"},
        {"FFFEFDFCFBFAF9F8F7F6F5F4F3F2F1F0BFBEBDBCBBBAB9B8B7B6B5B4B3B2B1B0",
         "9A785634120000000000000000000000", "000102030405060708090A0B0C0D0E0F10",
         "9E52443A35410CA0BA5637B94C0766F469", NULL},
        {"68d90424687cc2043595091a78a44ec2c639c3ecc6b14d7ac42ce74e582fa3dc",
         "601cd97ddeb1c75bbe5865072f3dc7a8", "686579667269656e64736c657473676574656e6372797074656421",
         "34143fbf6cb3a97feb84f866d85e01f8d15ed03905552cb12cd567", NULL},
    };
    for (size_t i = 0; i < FN_COUNT(vectors); i++) {
        const struct xts_vector *v = &vectors[i];
        uint8_t k[32], iv[16], plain[64], out[64];
        struct fn_sm4_key key1, key2;
        unhex(k, v->key);
        unhex(iv, v->iv);
        size_t n = unhex(plain, v->plain);
        fn_sm4_key_init(&key1, k);
        fn_sm4_key_init(&key2, k + 16);
        for (int kind = 0; kind < 2; kind++) {
            const char *want = kind == FN_SM4_XTS_GB ? v->gb : v->ieee;
            if (!want) continue;
            assert_int_equal(fn_sm4_xts_encrypt(&key1, &key2, (enum fn_sm4_xts)kind, iv, plain, out, n),
                             FN_OK);
            assert_hex(out, n, want);
            assert_int_equal(fn_sm4_xts_decrypt(&key1, &key2, (enum fn_sm4_xts)kind, iv, out, out, n), FN_OK);
            assert_memory_equal(out, plain, n);
        }
    }
}

/* Disk units: data[i] = 7i + 3, the tweak is the number of the unit as a little-endian number of 64 bits. */
static void xts_units(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        uint64_t number;
        enum fn_sm4_xts kind;
        const char *start, *end;
    } units[] = {
        {512, 0, FN_SM4_XTS_GB, "1316cf72d3a22734d31a629394521a104925065d455f6f37ad83bf3da637d4e5",
         "8af05b1b6cbfbe17cb6465a695bb6c48"},
        {512, 0, FN_SM4_XTS_IEEE, "1316cf72d3a22734d31a629394521a10a97bee5f9ae18fa0cb7a527696158dc1",
         "b99ced9efd6e431431b4b13ab45fafc3"},
        {512, 1, FN_SM4_XTS_GB, "c23e64c37e5c6b4e7a7f29b1342b5386475fe6c72d10b4e0806ef9a15c5fa003",
         "e597b0642dc799d8980438eceb4da9c3"},
        {512, 1, FN_SM4_XTS_IEEE, "c23e64c37e5c6b4e7a7f29b1342b5386fa1e6eff18745ea2ac8e65601066efc7",
         "54029d1791e480e7e3658508d8a7732c"},
        {512, 0x123456789A, FN_SM4_XTS_GB, "aa712e830ab5e53c313876da72b104295f798e96489b7c2290e87704c780e6a0",
         "34545b78782040691113ca41d3c34087"},
        {4096, 1, FN_SM4_XTS_GB, "c23e64c37e5c6b4e7a7f29b1342b5386", "793e7a913c751f8ea9316875f8ba7b51"},
        {4096, 1, FN_SM4_XTS_IEEE, "c23e64c37e5c6b4e7a7f29b1342b5386", "87313d6ed793e8b996f1517483d43313"},
    };
    uint8_t k[32], unit[4096];
    struct fn_sm4_key key1, key2;
    for (int i = 0; i < 32; i++) k[i] = (uint8_t)i;
    fn_sm4_key_init(&key1, k);
    fn_sm4_key_init(&key2, k + 16);
    for (size_t i = 0; i < FN_COUNT(units); i++) {
        uint8_t tweak[16] = {0};
        for (int b = 0; b < 8; b++) tweak[b] = (uint8_t)(units[i].number >> 8 * b);
        for (size_t b = 0; b < units[i].size; b++) unit[b] = (uint8_t)(7 * b + 3);
        assert_int_equal(fn_sm4_xts_encrypt(&key1, &key2, units[i].kind, tweak, unit, unit, units[i].size),
                         FN_OK);
        assert_hex(unit, strlen(units[i].start) / 2, units[i].start);
        assert_hex(unit + units[i].size - 16, 16, units[i].end);
    }
}

static void xts_every_length(void **state)
{
    (void)state;
    uint8_t k[32], tweak[16], in[SIZE], want[SIZE], got[SIZE];
    struct fn_sm4_key key1, key2;
    for (size_t n = 16; n <= 2080; n = n < MOST ? n + 1 : n + 59)
        for (int way = 0; way < 4; way++) {
            enum fn_sm4_xts kind = way & 1 ? FN_SM4_XTS_IEEE : FN_SM4_XTS_GB;
            bool decrypt = way & 2;
            fill(k, 32);
            fill(tweak, 16);
            fill(in, n);
            struct ref_key ref1 = ref_expand(k), ref2 = ref_expand(k + 16);
            fn_sm4_key_init(&key1, k);
            fn_sm4_key_init(&key2, k + 16);
            ref_xts(&ref1, &ref2, kind == FN_SM4_XTS_GB, decrypt, tweak, in, want, n);
            memset(got, 0xA5, sizeof got);
            fn_err (*xts)(const struct fn_sm4_key *, const struct fn_sm4_key *, enum fn_sm4_xts,
                          const uint8_t *, const uint8_t *, uint8_t *, size_t) =
                decrypt ? fn_sm4_xts_decrypt : fn_sm4_xts_encrypt;
            assert_int_equal(xts(&key1, &key2, kind, tweak, in, got, n), FN_OK);
            assert_memory_equal(got, want, n);
            assert_int_equal(got[n], 0xA5);
            assert_int_equal(xts(&key1, &key2, kind, tweak, in, in, n), FN_OK);
            assert_memory_equal(in, want, n);
        }
    assert_int_equal(fn_sm4_xts_encrypt(&key1, &key2, FN_SM4_XTS_GB, tweak, in, got, 15), FN_E_CIPHER_LENGTH);
    assert_int_equal(fn_sm4_xts_decrypt(&key1, &key2, FN_SM4_XTS_GB, tweak, in, got, 0), FN_E_CIPHER_LENGTH);
    assert_int_equal(fn_sm4_xts_encrypt(&key1, &key2, FN_SM4_XTS_GB, tweak, in, got, (16 << 20) + 1),
                     FN_E_CIPHER_LENGTH);
}

/* Streams of mixed lengths, with one key and with many, against one call for each. */
static void cbc_batch(void **state)
{
    (void)state;
    enum { JOBS = 150, LONGEST = 400 };
    static uint8_t in[JOBS][LONGEST], out[JOBS][LONGEST], iv[JOBS][16], k[JOBS][16], want[LONGEST], t[16];
    static struct fn_sm4_key keys[JOBS];
    static struct fn_sm4_cbc_job jobs[JOBS];
    for (size_t i = 0; i < JOBS; i++) {
        fill(k[i], 16);
        fn_sm4_key_init(&keys[i], k[i]);
    }
    for (int round = 0; round < 60; round++) {
        size_t count = round < 40 ? (size_t)round : JOBS;
        size_t of_keys[] = {1, 2, 7, JOBS};
        fill(in, sizeof in);
        uint8_t first_iv[JOBS][16];
        fill(first_iv, sizeof first_iv);
        memcpy(iv, first_iv, sizeof iv);
        for (size_t i = 0; i < count; i++) {
            uint8_t blocks;
            fill(&blocks, 1);
            bool in_place = blocks & 0x80;
            if (in_place) memcpy(out[i], in[i], LONGEST);
            jobs[i] = (struct fn_sm4_cbc_job){&keys[i % of_keys[round % 4]], iv[i], in_place ? out[i] : in[i],
                                              out[i], (blocks & 0x7F) % (LONGEST / 16 + 1) * 16u};
        }
        assert_int_equal(fn_sm4_cbc_encrypt_batch(count, jobs), FN_OK);
        for (size_t i = 0; i < count; i++) {
            struct ref_key ref = ref_expand(k[i % of_keys[round % 4]]);
            memcpy(t, first_iv[i], 16);
            ref_cbc(&ref, false, t, in[i], want, jobs[i].n);
            assert_memory_equal(out[i], want, jobs[i].n);
            assert_memory_equal(iv[i], t, 16);
        }
    }
}

static void variants(void **state)
{
    (void)state;
    assert_string_equal(fn_cpu_selected(), "portable");
    assert_int_equal(fn_cpu_select("abacus"), FN_E_ARGUMENT);
    assert_int_equal(fn_cpu_select("portabl"), FN_E_ARGUMENT);
    assert_int_equal(fn_cpu_select(""), FN_E_ARGUMENT);
    assert_string_equal(fn_cpu_selected(), "portable");
    assert_int_equal(fn_cpu_select("auto"), FN_OK);
    assert_string_not_equal(fn_cpu_selected(), "auto");
    assert_int_equal(fn_cpu_select("portable"), FN_OK);
    assert_string_equal(fn_cpu_selected(), "portable");
    assert_int_equal(fn_cpu_select(getenv("FENGNI_CPU")), FN_OK); /* the rest of the tests run with it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variants),
        cmocka_unit_test(standard_block),
        cmocka_unit_test(standard_block_parallel),
        cmocka_unit_test(every_sbox_input),
        cmocka_unit_test(key_schedule_batch),
        cmocka_unit_test(every_length),
        cmocka_unit_test(lengths_refused),
        cmocka_unit_test(continued),
        cmocka_unit_test(macs),
        cmocka_unit_test(xts_vectors),
        cmocka_unit_test(xts_units),
        cmocka_unit_test(xts_every_length),
        cmocka_unit_test(cbc_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
