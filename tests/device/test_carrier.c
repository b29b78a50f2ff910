/* Carriers: passphrases and generated words, the administrator's file, login, shares in the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/carrier.h"
#include "device/words.h"
#include "life_rng.h"

#define SERIAL "2026112400010001"
#define FEW    3u /* iterations in tests */
#define GOOD   FN_BYTES_LITERAL("correct horse battery")

static struct fn_sm2_private device;

static fn_err sign_with(void *self, const uint8_t e[32], uint8_t signature[64])
{
    return fn_sm2_sign(self, &noise, e, signature);
}

static int setup(void **state)
{
    (void)state;
    return fn_sm2_generate(&device, &noise);
}

static int compare_words(const void *a, const void *b)
{
    return memcmp(a, b, 4);
}

static void test_words(void **state)
{
    (void)state;
    static char all[FN_WORDS][FN_WORD_TEXT + 1];
    for (unsigned i = 0; i < FN_WORDS; i++) {
        fn_word(i, all[i]);
        assert_int_equal(strlen(all[i]), FN_WORD_TEXT);
        assert_int_equal(strspn(all[i], "abcdefghijklmnopqrstuvwxyz"), FN_WORD_TEXT);
    }
    qsort(all, FN_WORDS, sizeof all[0], compare_words);
    for (unsigned i = 1; i < FN_WORDS; i++) assert_int_not_equal(memcmp(all[i - 1], all[i], 4), 0);
}

static fn_err given_fill(void *self, uint8_t *out, size_t n)
{
    memcpy(out, self, n);
    return FN_OK;
}

/* The words are the eleven-bit digits of the random bytes, first bit first. */
static void test_phrase(void **state)
{
    (void)state;
    uint8_t random[11];
    char phrase[FN_PHRASE_TEXT + 1], read[FN_PHRASE_TEXT + 1];
    for (int round = 0; round < 200; round++) {
        noise_fill(&noise_state, random, sizeof random);
        assert_int_equal(fn_phrase_make(&(struct fn_rng){given_fill, random}, phrase), FN_OK);
        assert_int_equal(strlen(phrase), FN_PHRASE_TEXT);
        for (unsigned w = 0; w < 8; w++) {
            unsigned index = 0;
            char word[FN_WORD_TEXT + 1];
            for (unsigned b = w * 11; b < (w + 1) * 11; b++)
                index = index << 1 | (random[b / 8] >> (7 - b % 8) & 1);
            fn_word(index, word);
            assert_memory_equal(phrase + w * 5, word, 4);
            assert_int_equal(phrase[w * 5 + 4], w == 7 ? 0 : ' ');
        }
        assert_true(fn_phrase_read(fn_bytes(phrase, FN_PHRASE_TEXT), read));
        assert_string_equal(read, phrase);
    }
    assert_int_equal(fn_phrase_make(&(struct fn_rng){broken_fill, NULL}, phrase), FN_E_RANDOM_SOURCE);
}

static bool reads(const char *text, char out[FN_PHRASE_TEXT + 1])
{
    return fn_phrase_read(fn_bytes(text, strlen(text)), out);
}

static void test_phrase_forms(void **state)
{
    (void)state;
    static const char want[] = "babu daga hamu lidu xuwo wuwo qiyi sefu";
    static const char *const good[] = {
        "babu daga hamu lidu xuwo wuwo qiyi sefu",
        "BABU DAGA HAMU LIDU XUWO WUWO QIYI SEFU",
        "babudagahamuliduxuwowuwoqiyisefu",
        "  Babu-Daga hamu\tlidu  xuwo wuwo qiyi sefu ",
        "babu　daga　hamu　lidu　xuwo　wuwo　qiyi　sefu",
    };
    static const char *const bad[] = {
        "",
        "babu daga hamu lidu xuwo wuwo qiyi",
        "babu daga hamu lidu xuwo wuwo qiyi sefu babu",
        "babu daga hamu lidu xuwo wuwo qiyi sefx",
        "babu daga hamu lidu xuwo wuwo qiyi sef",
        "babu,daga hamu lidu xuwo wuwo qiyi sefu",
        "bab\x15 daga hamu lidu xuwo wuwo qiyi sefu",
        "babu daga hamu lidu xuwo wuwo qiyi sefu\xe3\x80",
    };
    char out[FN_PHRASE_TEXT + 1];
    for (size_t i = 0; i < FN_COUNT(good); i++) {
        assert_true(reads(good[i], out));
        assert_string_equal(out, want);
    }
    for (size_t i = 0; i < FN_COUNT(bad); i++) assert_false(reads(bad[i], out));
}

static fn_err passphrase(const char *text, size_t *n)
{
    uint8_t out[FN_PASSPHRASE_MOST];
    return fn_passphrase_read(fn_bytes(text, strlen(text)), out, n);
}

static void test_passphrase_rule(void **state)
{
    (void)state;
    char longest[FN_PASSPHRASE_MOST + 2];
    uint8_t out[FN_PASSPHRASE_MOST];
    size_t n;
    assert_int_equal(passphrase("1234567890abc", &n), FN_E_PASSPHRASE_WEAK);
    assert_int_equal(passphrase("1234567890abcd", &n), FN_OK);
    assert_int_equal(n, 14);
    /* Characters, not bytes: 13 and 14 ideographs. */
    assert_int_equal(passphrase("春眠不觉晓处处闻啼鸟夜来风", &n), FN_E_PASSPHRASE_WEAK);
    assert_int_equal(passphrase("春眠不觉晓处处闻啼鸟夜来风雨", &n), FN_OK);
    assert_int_equal(n, 42);
    assert_int_equal(passphrase("1234567890abcd\n", &n), FN_E_ARGUMENT);
    assert_int_equal(passphrase("1234567890abcd\x7f", &n), FN_E_ARGUMENT);
    assert_int_equal(passphrase("1234567890abcd\xff", &n), FN_E_ENCODING);
    memset(longest, 'k', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(passphrase(longest, &n), FN_E_TOO_LARGE);
    longest[FN_PASSPHRASE_MOST] = 0;
    assert_int_equal(passphrase(longest, &n), FN_OK);
    assert_int_equal(fn_passphrase_read(FN_BYTES_LITERAL("BABU daga-hamu lidu xuwo wuwo qiyi SEFU"), out, &n),
                     FN_OK);
    assert_int_equal(n, FN_PHRASE_TEXT);
    assert_memory_equal(out, "babu daga hamu lidu xuwo wuwo qiyi sefu", n);
}

struct token_file {
    uint8_t room[FN_SOFT_TOKEN_MOST];
    struct fn_buf buf;
    struct fn_holder holder;
};

static struct fn_bytes make(struct token_file *f, const char *name, enum fn_device_role role)
{
    f->buf = fn_buf_fixed(f->room, sizeof f->room);
    assert_int_equal(fn_soft_token_make(&noise, name, role, GOOD, FEW, &f->buf, &f->holder), FN_OK);
    return fn_buf_view(&f->buf);
}

static struct token_file one, two;
static struct fn_soft_token token;

static void test_file(void **state)
{
    (void)state;
    static const struct fn_soft_token zero;
    struct fn_holder holder;
    size_t shares;
    struct fn_bytes file = make(&one, "张三", FN_ROLE_SUPER);
    assert_int_equal(fn_soft_token_read(file, &holder, &shares), FN_OK);
    assert_string_equal(holder.name, "张三");
    assert_int_equal(holder.role, FN_ROLE_SUPER);
    assert_memory_equal(&holder, &one.holder, sizeof holder);
    assert_int_equal(shares, 0);
    assert_int_equal(fn_soft_token_open(&token, &noise, file, GOOD, FEW), FN_OK);
    assert_null(memmem(file.p, file.n, token.sign.d, 8));
    assert_null(memmem(file.p, file.n, token.encrypt.d, 8));
    assert_memory_not_equal(token.sign.d, token.encrypt.d, 32);
    assert_int_equal(fn_soft_token_open(&token, &noise, file, FN_BYTES_LITERAL("correct horse batterz"), FEW),
                     FN_E_PASSPHRASE);
    assert_memory_equal(&token, &zero, sizeof token);
    assert_int_equal(fn_soft_token_open(&token, &noise, file, FN_BYTES_LITERAL("short"), FEW),
                     FN_E_PASSPHRASE_WEAK);
    /* A real device does not open what was made with so little work. */
    assert_int_equal(fn_soft_token_open(&token, &noise, file, GOOD, FN_SOFT_TOKEN_ITERATIONS), FN_E_FORMAT);
}

static void test_file_every_bit(void **state)
{
    (void)state;
    struct fn_bytes file = make(&one, "张三", FN_ROLE_SUPER);
    uint8_t *copy = one.room;
    for (size_t bit = 0; bit < file.n * 8; bit++) {
        if (bit / 8 >= 6 && bit / 8 < 9) continue; /* the high bytes of the iterations: refused below */
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(fn_soft_token_open(&token, &noise, file, GOOD, 1), FN_OK);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < file.n; n++)
        assert_int_not_equal(fn_soft_token_open(&token, &noise, fn_bytes(copy, n), GOOD, 1), FN_OK);
    assert_int_equal(fn_soft_token_open(&token, &noise, fn_bytes(copy, file.n + 1), GOOD, 1), FN_E_TRAILING);
    copy[6] = 1; /* 2^24 + 3 iterations: a file must not keep the device busy for minutes */
    assert_int_equal(fn_soft_token_open(&token, &noise, file, GOOD, 1), FN_E_FORMAT);
}

static void test_change(void **state)
{
    (void)state;
    struct fn_bytes file = make(&one, "李四", FN_ROLE_BUSINESS);
    struct fn_bytes words = FN_BYTES_LITERAL("babu daga hamu lidu xuwo wuwo qiyi sefu");
    two.buf = fn_buf_fixed(two.room, sizeof two.room);
    assert_int_equal(fn_soft_token_change(&noise, file, words, GOOD, FEW, FEW, &two.buf), FN_E_PASSPHRASE);
    assert_int_equal(
        fn_soft_token_change(&noise, file, GOOD, FN_BYTES_LITERAL("too short"), FEW, FEW, &two.buf),
        FN_E_PASSPHRASE_WEAK);
    assert_int_equal(two.buf.n, 0);
    assert_int_equal(fn_soft_token_change(&noise, file, GOOD, words, FEW + 1, FEW, &two.buf), FN_OK);
    struct fn_bytes changed = fn_buf_view(&two.buf);
    assert_int_equal(fn_soft_token_open(&token, &noise, changed, GOOD, FEW), FN_E_PASSPHRASE);
    assert_int_equal(fn_soft_token_open(&token, &noise, changed,
                                        FN_BYTES_LITERAL("BABU-DAGA-HAMU-LIDU-XUWO-WUWO-QIYI-SEFU"), FEW),
                     FN_OK);
    assert_memory_equal(&token.holder, &one.holder, sizeof token.holder);
    /* Salt and nonce are new. */
    assert_memory_not_equal(one.room + 10, two.room + 10, 16);
    assert_memory_not_equal(one.room + 26, two.room + 26, 12);
}

static void test_arguments(void **state)
{
    (void)state;
    struct fn_holder holder;
    two.buf = fn_buf_fixed(two.room, sizeof two.room);
    assert_int_equal(fn_soft_token_make(&noise, "", FN_ROLE_SUPER, GOOD, FEW, &two.buf, &holder),
                     FN_E_ARGUMENT);
    assert_int_equal(fn_soft_token_make(&noise, "a\tb", FN_ROLE_SUPER, GOOD, FEW, &two.buf, &holder),
                     FN_E_ARGUMENT);
    assert_int_equal(fn_soft_token_make(&noise, "a", (enum fn_device_role)6, GOOD, FEW, &two.buf, &holder),
                     FN_E_ARGUMENT);
    assert_int_equal(fn_soft_token_make(&noise, "a", FN_ROLE_SUPER, GOOD, 0, &two.buf, &holder),
                     FN_E_ARGUMENT);
    assert_int_equal(fn_soft_token_make(&noise, "a", FN_ROLE_SUPER, GOOD, 1u << 25, &two.buf, &holder),
                     FN_E_ARGUMENT);
    assert_int_equal(
        fn_soft_token_make(&noise, "a", FN_ROLE_SUPER, FN_BYTES_LITERAL("short"), FEW, &two.buf, &holder),
        FN_E_PASSPHRASE_WEAK);
    assert_int_equal(fn_soft_token_make(&(struct fn_rng){broken_fill, NULL}, "a", FN_ROLE_SUPER, GOOD, FEW,
                                        &two.buf, &holder),
                     FN_E_RANDOM_SOURCE);
    assert_int_equal(two.buf.n, 0);
}

static void test_login(void **state)
{
    (void)state;
    struct fn_login login, read, other;
    uint8_t bytes[FN_LOGIN_BYTES], again[FN_LOGIN_BYTES], signature[64], subject[32];
    struct fn_bytes challenge = {bytes, sizeof bytes};
    assert_int_equal(fn_soft_token_open(&token, &noise, make(&one, "张三", FN_ROLE_SUPER), GOOD, FEW), FN_OK);
    struct fn_carrier carrier = fn_soft_token_carrier(&token);
    fn_login_subject(FN_BYTES_LITERAL("device.reshare"), FN_BYTES_LITERAL("{}"), subject);
    assert_int_equal(fn_login_make(&login, &noise, SERIAL, 1795555555123, FN_ROLE_SUPER, subject), FN_OK);
    fn_login_bytes(&login, bytes);
    assert_memory_equal(bytes, "fengni login 1", 15);
    assert_int_equal(fn_login_read(&read, challenge), FN_OK);
    fn_login_bytes(&read, again);
    assert_memory_equal(again, bytes, sizeof bytes);
    assert_int_equal(carrier.authenticate(carrier.self, challenge, signature), FN_OK);
    assert_int_equal(fn_login_verify(&login, login.made, &carrier.holder, signature), FN_OK);
    assert_int_equal(fn_login_verify(&login, login.made + FN_LOGIN_VALID_MS, &carrier.holder, signature),
                     FN_OK);
    assert_int_equal(fn_login_verify(&login, login.made + FN_LOGIN_VALID_MS + 1, &carrier.holder, signature),
                     FN_E_TIMEOUT);
    assert_int_equal(fn_login_verify(&login, login.made - 1, &carrier.holder, signature), FN_E_TIMEOUT);

    /* An answer fits its own challenge alone. */
    other = login, other.random[0] ^= 1;
    assert_int_equal(fn_login_verify(&other, login.made, &carrier.holder, signature), FN_E_SIGNATURE);
    other = login, other.serial[0] = '3';
    assert_int_equal(fn_login_verify(&other, login.made, &carrier.holder, signature), FN_E_SIGNATURE);
    other = login, other.made--;
    assert_int_equal(fn_login_verify(&other, login.made, &carrier.holder, signature), FN_E_SIGNATURE);
    other = login, memset(other.subject, 0, 32);
    assert_int_equal(fn_login_verify(&other, login.made, &carrier.holder, signature), FN_E_SIGNATURE);
    struct fn_holder auditor = carrier.holder;
    auditor.role = FN_ROLE_AUDITOR;
    assert_int_equal(fn_login_verify(&login, login.made, &auditor, signature), FN_E_DEVICE_ROLE);
    auditor = carrier.holder, auditor.sign = auditor.encrypt;
    assert_int_equal(fn_login_verify(&login, login.made, &auditor, signature), FN_E_SIGNATURE);

    /* The carrier signs challenges for its own role, and nothing else. */
    bytes[63 + 8] = FN_ROLE_OPERATOR;
    assert_int_equal(carrier.authenticate(carrier.self, challenge, signature), FN_E_DEVICE_ROLE);
    bytes[63 + 8] = 0;
    assert_int_equal(carrier.authenticate(carrier.self, challenge, signature), FN_E_FORMAT);
    bytes[63 + 8] = FN_ROLE_SUPER;
    bytes[0] = 'F';
    assert_int_equal(carrier.authenticate(carrier.self, challenge, signature), FN_E_FORMAT);
    assert_int_equal(fn_login_read(&read, fn_bytes(bytes, 103)), FN_E_FORMAT);
    bytes[0] = 'f';
    assert_int_equal(fn_login_read(&read, fn_bytes(bytes, 103)), FN_E_TRUNCATED);
    assert_int_equal(fn_login_make(&login, &noise, "short", 0, FN_ROLE_SUPER, NULL), FN_E_ARGUMENT);
    assert_int_equal(fn_login_make(&login, &noise, SERIAL, 0, (enum fn_device_role)0, NULL), FN_E_ARGUMENT);
}

/* A sealed share for a holder. */
static struct fn_bytes sealed_share(const struct fn_holder *holder, enum fn_share_kind kind,
                                    const char *serial, uint32_t generation, uint8_t line)
{
    static uint8_t room[FN_SHARE_SEALED_MOST];
    uint8_t clear[FN_SHARE_MOST], secret[32] = {9};
    static const char *const names[2] = {"one", "two"};
    struct fn_share shares[2];
    struct fn_share_set set = {.kind = kind, .device = device.pub, .generation = generation, .m = 2, .n = 2};
    struct fn_buf encoded = fn_buf_fixed(clear, sizeof clear), sealed = fn_buf_fixed(room, sizeof room);
    memcpy(set.serial, serial, 16);
    memset(set.uuid.b, line, 16);
    assert_int_equal(fn_share_split(&noise, &set, 1, 1, secret, 32, names, shares), FN_OK);
    assert_int_equal(fn_share_encode(&shares[0], &(struct fn_signer){sign_with, &device}, &encoded), FN_OK);
    assert_int_equal(fn_share_seal(&noise, &holder->encrypt, &shares[0], fn_buf_view(&encoded), &sealed),
                     FN_OK);
    return fn_buf_view(&sealed);
}

static void test_shares_in_file(void **state)
{
    (void)state;
    struct fn_share share;
    struct fn_buf out;
    uint8_t room[FN_SHARE_SEALED_MOST], second[FN_SHARE_SEALED_MOST];
    size_t shares;
    char serial[17] = SERIAL;
    struct fn_holder holder;
    struct fn_bytes sealed;
    make(&two, "孙七", FN_ROLE_SUPER);
    assert_int_equal(fn_soft_token_open(&token, &noise, make(&one, "张三", FN_ROLE_SUPER), GOOD, FEW), FN_OK);
    struct fn_carrier carrier = fn_soft_token_carrier(&token);
    out = fn_buf_fixed(room, sizeof room);
    assert_int_equal(carrier.fetch(carrier.self, FN_SHARE_ROOT, SERIAL, &out), FN_E_NOT_FOUND);
    assert_false(token.changed);

    assert_int_equal(carrier.keep(carrier.self, sealed_share(&two.holder, FN_SHARE_ROOT, SERIAL, 1, 1)),
                     FN_E_DEVICE_SHARE);
    sealed = sealed_share(&one.holder, FN_SHARE_ROOT, SERIAL, 2, 1);
    memcpy(second, sealed.p, sealed.n);
    sealed.p = second;
    assert_int_equal(carrier.keep(carrier.self, sealed), FN_OK);
    assert_true(token.changed);
    assert_int_equal(carrier.keep(carrier.self, sealed_share(&one.holder, FN_SHARE_ROOT, SERIAL, 1, 1)),
                     FN_E_DEVICE_SHARE);
    assert_int_equal(carrier.keep(carrier.self, sealed_share(&one.holder, FN_SHARE_BACKUP, SERIAL, 1, 2)),
                     FN_OK);
    assert_int_equal(carrier.fetch(carrier.self, FN_SHARE_ROOT, SERIAL, &out), FN_OK);
    assert_true(fn_bytes_equal(fn_buf_view(&out), sealed));
    assert_int_equal(carrier.open(carrier.self, fn_buf_view(&out), &share), FN_OK);
    assert_int_equal(share.set.generation, 2);
    /* A reshare replaces, and so does a new initialisation of the device. */
    assert_int_equal(carrier.keep(carrier.self, sealed_share(&one.holder, FN_SHARE_ROOT, SERIAL, 3, 1)),
                     FN_OK);
    assert_int_equal(carrier.keep(carrier.self, sealed_share(&one.holder, FN_SHARE_ROOT, SERIAL, 1, 7)),
                     FN_OK);
    assert_int_equal(fn_soft_token_read(fn_bytes(token.file, token.size), &holder, &shares), FN_OK);
    assert_int_equal(shares, 2);

    /* Sixteen at most; what was written opens again. */
    for (int i = 0; i < 15; i++) {
        serial[15] = (char)('A' + i);
        fn_err err = carrier.keep(carrier.self, sealed_share(&one.holder, FN_SHARE_ROOT, serial, 1, 1));
        assert_int_equal(err, i < 14 ? FN_OK : FN_E_TOO_LARGE);
    }
    static uint8_t file[FN_SOFT_TOKEN_MOST];
    size_t size = token.size;
    memcpy(file, token.file, size);
    assert_int_equal(fn_soft_token_open(&token, &noise, fn_bytes(file, size), GOOD, FEW), FN_OK);
    assert_int_equal(fn_soft_token_share(fn_bytes(file, size), 15, &sealed), FN_OK);
    assert_int_equal(carrier.open(carrier.self, sealed, &share), FN_OK);
    assert_string_equal(share.set.serial, "202611240001000N");
    assert_int_equal(fn_soft_token_share(fn_bytes(file, size), 16, &sealed), FN_E_NOT_FOUND);
    file[one.buf.n - 1] = 17;
    assert_int_equal(fn_soft_token_read(fn_bytes(file, size), &holder, NULL), FN_E_TOO_LARGE);
}

/* With the work that a real file takes. */
static void test_real_work(void **state)
{
    (void)state;
    struct fn_holder holder;
    two.buf = fn_buf_fixed(two.room, sizeof two.room);
    assert_int_equal(fn_soft_token_make(&noise, "审计员", FN_ROLE_AUDITOR, GOOD, FN_SOFT_TOKEN_ITERATIONS,
                                        &two.buf, &holder),
                     FN_OK);
    assert_int_equal(
        fn_soft_token_open(&token, &noise, fn_buf_view(&two.buf), GOOD, FN_SOFT_TOKEN_ITERATIONS), FN_OK);
    fn_soft_token_wipe(&token);
    for (size_t i = 0; i < sizeof token; i++) assert_int_equal(((uint8_t *)&token)[i], 0);
}

/* Files of format version 1, made once by this program with the argument "golden" and a folder: they are read
 * for ever. The passphrase is GOOD, the work 3 iterations. */
static size_t golden_read(const char *folder, const char *name, uint8_t *out, size_t room)
{
    char path[4096];
    fn_format(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, room, f);
    fclose(f);
    return n;
}

static void test_golden(void **state)
{
    (void)state;
    char folder[4000];
    static uint8_t file[FN_SOFT_TOKEN_MOST];
    uint8_t clear[FN_SHARE_MOST];
    struct fn_share share, same;
    struct fn_buf sealed = fn_buf_fixed(two.room, sizeof two.room);
    if (!getenv("FENGNI_SRC")) skip();
    fn_format(folder, sizeof folder, "%s/tests/device/golden", getenv("FENGNI_SRC"));
    size_t n = golden_read(folder, "token", file, sizeof file);
    assert_int_equal(fn_soft_token_open(&token, &noise, fn_bytes(file, n), GOOD, FEW), FN_OK);
    assert_string_equal(token.holder.name, "张三");
    struct fn_carrier carrier = fn_soft_token_carrier(&token);
    assert_int_equal(carrier.fetch(carrier.self, FN_SHARE_BACKUP, SERIAL, &sealed), FN_OK);
    assert_int_equal(golden_read(folder, "sealed", file, sizeof file), sealed.n);
    assert_memory_equal(file, sealed.p, sealed.n);
    assert_int_equal(carrier.open(carrier.self, fn_buf_view(&sealed), &share), FN_OK);
    n = golden_read(folder, "share", clear, sizeof clear);
    assert_int_equal(fn_share_decode(&same, fn_bytes(clear, n)), FN_OK);
    assert_int_equal(share.size, 32);
    assert_memory_equal(share.y, same.y, 32);
    assert_int_equal(share.set.generation, 7);
    assert_int_equal(share.made, 1795555555123);
    assert_int_equal(share.store_generation, 77);
    assert_string_equal(share.holder, "张三");
}

static int golden_write(const char *folder)
{
    uint8_t clear[FN_SHARE_MOST], secret[32] = {9}, room[FN_SHARE_SEALED_MOST];
    static const char *const names[2] = {"张三", "李四"};
    struct fn_share shares[2];
    struct fn_share_set set = {.kind = FN_SHARE_BACKUP,
                               .serial = SERIAL,
                               .device = device.pub,
                               .generation = 7,
                               .m = 2,
                               .n = 2,
                               .uuid = {{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16}}};
    struct fn_buf encoded = fn_buf_fixed(clear, sizeof clear), sealed = fn_buf_fixed(room, sizeof room);
    make(&one, "张三", FN_ROLE_SUPER);
    two.buf = fn_buf_fixed(two.room, sizeof two.room);
    if (fn_share_split(&noise, &set, 77, 1795555555123, secret, 32, names, shares) ||
        fn_share_encode(&shares[0], &(struct fn_signer){sign_with, &device}, &encoded) ||
        fn_share_seal(&noise, &one.holder.encrypt, &shares[0], fn_buf_view(&encoded), &sealed) ||
        fn_soft_token_put(fn_buf_view(&one.buf), fn_buf_view(&sealed), &two.buf))
        return 1;
    const struct fn_buf *out[3] = {&encoded, &sealed, &two.buf};
    static const char *const file[3] = {"share", "sealed", "token"};
    for (int i = 0; i < 3; i++) {
        char path[4096];
        fn_format(path, sizeof path, "%s/%s", folder, file[i]);
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(out[i]->p, 1, out[i]->n, f) != out[i]->n || fclose(f)) return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "golden") == 0) return setup(NULL) || golden_write(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),        cmocka_unit_test(test_phrase),
        cmocka_unit_test(test_phrase_forms), cmocka_unit_test(test_passphrase_rule),
        cmocka_unit_test(test_file),         cmocka_unit_test(test_file_every_bit),
        cmocka_unit_test(test_change),       cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_login),        cmocka_unit_test(test_shares_in_file),
        cmocka_unit_test(test_real_work),    cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
