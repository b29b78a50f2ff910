/* The core: errors and their texts, formatting, cursor and buffer, text codecs, time. */
#include "base/core/bytes.h"
#include "base/core/clock.h"
#include "base/core/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static fn_err fails(void)
{
    return FN_FAIL(FN_E_TRUNCATED, "inner %s", "detail");
}
static fn_err passes_on(void)
{
    FN_TRY(fails());
    return FN_OK;
}

static void chains_grow_outward_and_keep_the_innermost(void **state)
{
    (void)state;
    const struct fn_err_cause *c;
    assert_int_equal(passes_on(), FN_E_TRUNCATED);
    assert_int_equal(FN_WRAP(FN_E_CORRUPT, "file %d", 3), FN_E_CORRUPT);
    assert_int_equal(fn_err_chain(&c), 3);
    assert_string_equal(c[0].detail, "inner detail");
    assert_string_equal(c[1].detail, "");
    assert_string_equal(c[2].detail, "file 3");
    assert_int_equal(c[2].code, FN_E_CORRUPT);
    for (int i = 0; i < 20; i++) (void)FN_WRAP(FN_E_IO, "%d", i);
    assert_int_equal(fn_err_chain(&c), FN_ERR_DEPTH);
    assert_string_equal(c[0].detail, "inner detail");
    fails();
    assert_int_equal(fn_err_chain(&c), 1);
    /* A detail that is too long ends before a character, not inside it. */
    char wide[400];
    for (size_t i = 0; i < 399; i += 3) memcpy(wide + i, "泥", 3);
    wide[399] = 0;
    (void)FN_FAIL(FN_E_IO, "a%s", wide);
    assert_int_equal(fn_err_chain(&c), 1);
    size_t bad = 0;
    assert_true(fn_utf8_valid(fn_bytes(c[0].detail, strlen(c[0].detail)), &bad));
    assert_int_equal(strlen(c[0].detail), 199);
    (void)FN_FAIL(FN_E_IO, "ab%s", wide);
    fn_err_chain(&c);
    assert_int_equal(strlen(c[0].detail), 197);
    fn_err_clear();
    assert_int_equal(fn_err_chain(&c), 0);
}

static void error_numbers_are_unique_and_told_in_both_languages(void **state)
{
    (void)state;
    const struct fn_err_text *t;
    int last = 0;
    for (size_t i = 0; (t = fn_err_text_at(i)); i++) {
        assert_true(t->code > last);
        last = t->code;
        assert_ptr_equal(fn_err_text(t->code), t);
        assert_true(strlen(t->text[0]) > 0 && strlen(t->text[1]) > 0);
        assert_int_equal(strlen(t->hint[0]) > 0, strlen(t->hint[1]) > 0);
    }
    assert_string_equal(fn_err_text(FN_E_DISK_FULL)->text[FN_LANG_ZH], "磁盘空间不足");
    assert_string_equal(fn_err_text(99999)->name, "INTERNAL");
}

/* The same directives as the C library's, compared with it. */
#define SAME(...)                                                                                            \
    do {                                                                                                     \
        char ours[64], theirs[64];                                                                           \
        assert_int_equal(fn_format(ours, sizeof ours, __VA_ARGS__),                                          \
                         snprintf(theirs, sizeof theirs, __VA_ARGS__));                                      \
        assert_string_equal(ours, theirs);                                                                   \
    } while (0)

static void formatting_agrees_with_the_c_library(void **state)
{
    (void)state;
    SAME("%d %i %u", -5, 0, 4000000000u);
    SAME("%d %lld", INT32_MIN, (long long)INT64_MIN);
    SAME("%llu %zu %lu", (unsigned long long)UINT64_MAX, SIZE_MAX, 7ul);
    SAME("%x %lx %zx %02x %04x", 0xabcu, 0xfffffffful, (size_t)1, 7u, 0x12345u);
    SAME("%04d|%5d|%-5d|%-2d|", -7, 42, 3, 1234);
    SAME("%c%%%s|%8s|%-8s|%.*s|%6.*s", 'q', "text", "wide", "left", 3, "abcdef", 2, "xyz");
    SAME("%03d %3u", 1234, 7u);
    char small[4];
    assert_int_equal(fn_format(small, sizeof small, "%s", "abcdef"), 6);
    assert_string_equal(small, "abc");
    assert_int_equal(fn_format(NULL, 0, "%d", 100), 3);
    const char *volatile nothing = NULL;
    assert_int_equal(fn_format(small, sizeof small, "%s", nothing), 6);
}

static void cursor_never_overruns(void **state)
{
    (void)state;
    static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct fn_cur c = fn_cur(fn_bytes(data, sizeof data));
    uint8_t a;
    uint16_t b;
    uint32_t d;
    uint64_t e;
    struct fn_bytes v;
    assert_int_equal(fn_cur_u8(&c, &a), FN_OK);
    assert_int_equal(fn_cur_u16(&c, &b), FN_OK);
    assert_int_equal(fn_cur_u32(&c, &d), FN_OK);
    assert_int_equal(fn_cur_u64(&c, &e), FN_OK);
    assert_true(a == 1 && b == 0x0203 && d == 0x04050607 && e == 0x08090a0b0c0d0e0fULL);
    assert_int_equal(fn_cur_end(&c), FN_OK);
    assert_int_equal(fn_cur_u8(&c, &a), FN_E_TRUNCATED);
    c = fn_cur(fn_bytes(data, 3));
    assert_int_equal(fn_cur_u32(&c, &d), FN_E_TRUNCATED);
    assert_int_equal(fn_cur_left(&c), 3);
    assert_int_equal(fn_cur_take(&c, SIZE_MAX, &v), FN_E_TRUNCATED);
    assert_int_equal(fn_cur_end(&c), FN_E_TRAILING);
    assert_int_equal(fn_cur_copy(&c, &d, 0), FN_OK);
    static const uint8_t long_one[] = {0, 0, 0, 3, 'a', 'b'}, huge[] = {0xff, 0xff, 0xff, 0xff, 1};
    c = fn_cur(fn_bytes(long_one, sizeof long_one));
    assert_int_equal(fn_cur_var(&c, 10, &v), FN_E_TRUNCATED);
    assert_int_equal(fn_cur_offset(&c), 0);
    assert_int_equal(fn_cur_var(&c, 2, &v), FN_E_TOO_LARGE);
    c = fn_cur(fn_bytes(huge, sizeof huge));
    assert_int_equal(fn_cur_var(&c, SIZE_MAX, &v), FN_E_TRUNCATED);
    c = fn_cur(fn_bytes(NULL, 0));
    assert_int_equal(fn_cur_u8(&c, &a), FN_E_TRUNCATED);
    assert_int_equal(fn_cur_end(&c), FN_OK);
}

static void fixed_buffers_refuse_and_keep(void **state)
{
    (void)state;
    uint8_t storage[8];
    struct fn_buf b = fn_buf_fixed(storage, sizeof storage);
    assert_int_equal(fn_buf_u16(&b, 0x0102), FN_OK);
    assert_int_equal(fn_buf_u64(&b, 1), FN_E_TOO_LARGE);
    assert_int_equal(fn_buf_var(&b, "abc", 3), FN_E_TOO_LARGE);
    assert_int_equal(fn_buf_var(&b, "ab", 2), FN_OK);
    assert_int_equal(b.n, 8);
    assert_memory_equal(storage, "\1\2\0\0\0\2ab", 8);
    uint8_t *where;
    assert_int_equal(fn_buf_reserve(&b, SIZE_MAX, &where), FN_E_TOO_LARGE);
}

static void hex_and_base64(void **state)
{
    (void)state;
    /* RFC 4648 10. */
    static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const base64[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    static const char *const hex[] = {"", "66", "666f", "666f6f", "666f6f62", "666f6f6261", "666f6f626172"};
    char text[40];
    uint8_t bytes[20];
    size_t n;
    for (size_t i = 0; i < FN_COUNT(plain); i++) {
        size_t length = strlen(plain[i]);
        fn_base64_encode(text, plain[i], length);
        assert_string_equal(text, base64[i]);
        assert_int_equal(strlen(text), FN_BASE64_SIZE(length));
        assert_int_equal(fn_base64_decode(bytes, sizeof bytes, &n, text, strlen(text)), FN_OK);
        assert_true(n == length && !memcmp(bytes, plain[i], n));
        fn_base64url_encode(text, plain[i], length);
        assert_int_equal(strlen(text), FN_BASE64URL_SIZE(length));
        assert_int_equal(fn_base64url_decode(bytes, sizeof bytes, &n, text, strlen(text)), FN_OK);
        assert_true(n == length && !memcmp(bytes, plain[i], n));
        fn_hex_encode(text, plain[i], length);
        assert_string_equal(text, hex[i]);
        assert_int_equal(fn_hex_decode(bytes, sizeof bytes, &n, text, strlen(text)), FN_OK);
        assert_true(n == length && !memcmp(bytes, plain[i], n));
    }
    fn_base64url_encode(text, "\xfb\xff\xbf", 3);
    assert_string_equal(text, "-_-_");
    static const char *const bad64[] = {
        "Zg=", "Zg", "Z===", "====", "Zh==", "Zm9=", "Zm9v=", "Zg==Zg==", "Z g=", "-_-_", "Zg=a"};
    for (size_t i = 0; i < FN_COUNT(bad64); i++)
        assert_int_equal(fn_base64_decode(bytes, sizeof bytes, &n, bad64[i], strlen(bad64[i])), FN_E_FORMAT);
    static const char *const bad_url[] = {"Z", "Zg==", "Zh", "Zm9", "+/+/", "Zm9vZ"};
    for (size_t i = 0; i < FN_COUNT(bad_url); i++)
        assert_int_equal(fn_base64url_decode(bytes, sizeof bytes, &n, bad_url[i], strlen(bad_url[i])),
                         FN_E_FORMAT);
    assert_int_equal(fn_base64_decode(bytes, 2, &n, "Zm9v", 4), FN_E_TOO_LARGE);
    assert_int_equal(fn_hex_decode(bytes, sizeof bytes, &n, "abc", 3), FN_E_FORMAT);
    assert_int_equal(fn_hex_decode(bytes, sizeof bytes, &n, "0g", 2), FN_E_FORMAT);
    assert_int_equal(fn_hex_decode(bytes, 1, &n, "0011", 4), FN_E_TOO_LARGE);
    assert_int_equal(fn_hex_decode(bytes, sizeof bytes, &n, "aBcD", 4), FN_OK);
}

static void uuids(void **state)
{
    (void)state;
    struct fn_uuid u, v;
    char text[FN_UUID_TEXT + 1];
    uint8_t random[16];
    memset(random, 0xff, sizeof random);
    fn_uuid_from_random(&u, random);
    fn_uuid_format(text, &u);
    assert_string_equal(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert_int_equal(fn_uuid_parse(&v, text, strlen(text)), FN_OK);
    assert_memory_equal(&u, &v, 16);
    assert_int_equal(fn_uuid_parse(&v, text, 35), FN_E_FORMAT);
    text[8] = 'f';
    assert_int_equal(fn_uuid_parse(&v, text, 36), FN_E_FORMAT);
    assert_int_equal(fn_uuid_parse(&v, "ffffffff-ffff-4fff-bfff-fffffffffffg", 36), FN_E_FORMAT);
}

static bool valid(const char *text, size_t n, size_t *at)
{
    return fn_utf8_valid(fn_bytes(text, n), at);
}

static void utf8_is_strict(void **state)
{
    (void)state;
    size_t at = 0;
    static const struct {
        const char *text;
        size_t n, bad;
    } bad[] = {
        {"\x80", 1, 0},
        {"ab\xc3", 3, 2},
        {"\xc0\x80", 2, 0},
        {"\xc1\xbf", 2, 0},
        {"\xe0\x9f\xbf", 3, 0},
        {"\xed\xa0\x80", 3, 0},
        {"\xf0\x8f\xbf\xbf", 4, 0},
        {"\xf4\x90\x80\x80", 4, 0},
        {"\xf5\x80\x80\x80", 4, 0},
        {"a\xff", 2, 1},
        {"\xe5\xb0", 2, 0},
        {"\xe5\x41\x81", 3, 0},
        /* Continuation bytes alone, long enough for any sequence. */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 16, 0},
        {"x\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 16, 1},
    };
    for (size_t i = 0; i < FN_COUNT(bad); i++) {
        if (valid(bad[i].text, bad[i].n, &at)) fail_msg("case %zu accepted", i);
        assert_int_equal(at, bad[i].bad);
    }
    static const char good[] =
        "封泥 \xf0\x9f\x94\x92 \xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf";
    assert_true(valid(good, sizeof good - 1, &at));
    assert_true(valid("", 0, &at));
}

/* Numbers out of a damaged row or file are shown, however far away they are. */
static void times_at_the_ends_of_their_range(void **state)
{
    (void)state;
    char text[FN_TIME_TEXT];
    fn_time_utc(text, INT64_MAX);
    assert_string_equal(text, "292278994-08-17T07:12:55.807Z");
    fn_time_beijing(text, INT64_MAX);
    assert_string_equal(text, "292278994-08-17 15:12:55");
    fn_time_utc(text, INT64_MIN);
    assert_string_equal(text, "-292275055-05-16T16:47:04.192Z");
    fn_time_beijing(text, INT64_MIN);
    assert_string_equal(text, "-292275055-05-17 00:47:04");
    fn_time_beijing(text, -1);
    assert_string_equal(text, "1970-01-01 07:59:59");
}

static void times(void **state)
{
    (void)state;
    char text[FN_TIME_TEXT];
    fn_time_utc(text, 0);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    fn_time_utc(text, -1);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    fn_time_beijing(text, 1795525860123);
    fn_ms t;
    assert_int_equal(fn_time_parse(&t, "2026-11-24T21:11:00.123+08:00", 29), FN_OK);
    assert_true(t == 1795525860123);
    assert_string_equal(text, "2026-11-24 21:11:00");
    fn_time_utc(text, t);
    assert_string_equal(text, "2026-11-24T13:11:00.123Z");
    static const struct {
        const char *text;
        fn_ms t;
    } good[] = {
        {"2000-02-29T00:00:00Z", 951782400000},
        {"1999-12-31T23:59:59-01:00", 946688399000},
        {"1970-01-01 00:00:00.5Z", 500},
        {"1970-01-01T00:00:00.05Z", 50},
        {"2024-02-29T12:00:00.007Z", 1709208000007},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };
    for (size_t i = 0; i < FN_COUNT(good); i++) {
        assert_int_equal(fn_time_parse(&t, good[i].text, strlen(good[i].text)), FN_OK);
        assert_true(t == good[i].t);
    }
    static const char *const bad[] = {
        "",
        "2026",
        "2026-11-24",
        "2026-11-24T13:31:00",
        "2026-13-24T13:31:00Z",
        "2026-00-24T13:31:00Z",
        "2026-11-31T13:31:00Z",
        "2026-02-29T13:31:00Z",
        "1900-02-29T13:31:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T13:60:00Z",
        "2026-11-24T13:31:60Z",
        "2026-11-24T13:31:00.Z",
        "2026-11-24T13:31:00.1234Z",
        "2026-11-24T13:31:00+8:00",
        "2026-11-24T13:31:00+08:60",
        "2026-11-24T13:31:00Zx",
        "2026-11-24t13:31:00Z",
        "+026-11-24T13:31:00Z",
    };
    for (size_t i = 0; i < FN_COUNT(bad); i++)
        if (fn_time_parse(&t, bad[i], strlen(bad[i])) == FN_OK) fail_msg("accepted: %s", bad[i]);
    for (int64_t day = -800000; day < 800000; day += 317) {
        int y, m, d;
        fn_date_from_days(day, &y, &m, &d);
        assert_int_equal(fn_days_from_date(y, m, d), day);
    }
}

static void wiping_and_comparing(void **state)
{
    (void)state;
    uint8_t a[33], b[33];
    memset(a, 0x5a, sizeof a);
    memcpy(b, a, sizeof b);
    assert_true(fn_equal_ct(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] ^= 0x80;
        assert_false(fn_equal_ct(a, b, sizeof a));
        b[i] ^= 0x80;
    }
    assert_true(fn_equal_ct(a, b, 0));
    fn_wipe(a, sizeof a);
    for (size_t i = 0; i < sizeof a; i++) assert_int_equal(a[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_grow_outward_and_keep_the_innermost),
        cmocka_unit_test(error_numbers_are_unique_and_told_in_both_languages),
        cmocka_unit_test(formatting_agrees_with_the_c_library),
        cmocka_unit_test(cursor_never_overruns),
        cmocka_unit_test(fixed_buffers_refuse_and_keep),
        cmocka_unit_test(hex_and_base64),
        cmocka_unit_test(uuids),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(times),
        cmocka_unit_test(times_at_the_ends_of_their_range),
        cmocka_unit_test(wiping_and_comparing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
