/* The reader of management requests: what it takes, what it refuses, and that what is written is read back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sys/heap.h"
#include "device/json.h"
#include <string.h>

static struct fn_djson_doc doc;

static fn_err read_text(const char *text)
{
    return fn_djson_read(&doc, fn_bytes(text, strlen(text)));
}

static void takes(void **state)
{
    (void)state;
    char text[64];
    int64_t number;
    bool flag;
    assert_int_equal(
        read_text(
            " { \"a\" : [ 1 , -20 , {\"b\":\"x\"} ] , \"t\":true,\"n\":null, \"s\":\"\\u6848\\ud83d\\ude00\\\"\\n\" } "),
        FN_OK);
    assert_int_equal(fn_djson_count(&doc, fn_djson_member(&doc, 0, "a")), 3);
    assert_int_equal(
        fn_djson_number(&doc, fn_djson_element(&doc, fn_djson_member(&doc, 0, "a"), 1), -100, 0, &number),
        FN_OK);
    assert_int_equal(number, -20);
    int object = fn_djson_element(&doc, fn_djson_member(&doc, 0, "a"), 2);
    assert_int_equal(fn_djson_member_text(&doc, object, "b", NULL, text, sizeof text), FN_OK);
    assert_string_equal(text, "x");
    assert_int_equal(fn_djson_member_bool(&doc, 0, "t", false, &flag), FN_OK);
    assert_true(flag);
    assert_int_equal(fn_djson_member_text(&doc, 0, "s", NULL, text, sizeof text), FN_OK);
    assert_string_equal(text, "\xe6\xa1\x88\xf0\x9f\x98\x80\"\n");
    assert_int_equal(fn_djson_member_text(&doc, 0, "s", NULL, text, 9),
                     FN_E_ARGUMENT); /* 9 bytes and a NUL */
    assert_int_equal(fn_djson_member_text(&doc, 0, "none", NULL, text, sizeof text), FN_E_ARGUMENT);
    assert_int_equal(fn_djson_member_text(&doc, 0, "none", "else", text, sizeof text), FN_OK);
    assert_string_equal(text, "else");
    assert_int_equal(fn_djson_member_text(&doc, 0, "t", NULL, text, sizeof text), FN_E_ARGUMENT);
    assert_int_equal(fn_djson_member(&doc, 0, "b"), -1); /* of the inner object */
    assert_int_equal(fn_djson_element(&doc, fn_djson_member(&doc, 0, "a"), 3), -1);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "01",
        "1.5",
        "1e3",
        "-",
        "+1",
        "1234567890123456789",
        "tru",
        "True",
        "nul",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "{} {}",
        "[]x",
        "\xff",
        "\"\xc0\xaf\"",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"x\":1,\"x\":1}}",
    };
    for (size_t i = 0; i < FN_COUNT(bad); i++) {
        fn_err err = read_text(bad[i]);
        if (err != FN_E_FORMAT && err != FN_E_ENCODING) print_error("%s\n", bad[i]);
        assert_true(err == FN_E_FORMAT || err == FN_E_ENCODING);
    }
    static const char *const text_bad[] = {"\"\\ud800\"", "\"\\udc00x\"", "\"\\ud800\\u0041\"",
                                           "\"\\u0000\""};
    for (size_t i = 0; i < FN_COUNT(text_bad); i++) {
        char text[16];
        assert_int_equal(read_text(text_bad[i]), FN_OK);
        assert_int_equal(fn_djson_text(&doc, 0, text, sizeof text), FN_E_FORMAT);
    }
    assert_int_equal(read_text("[[[[[[[[1]]]]]]]]"), FN_OK);
    assert_int_equal(read_text("[[[[[[[[[1]]]]]]]]]"), FN_E_TOO_LARGE);
    struct fn_buf many FN_SCOPED_BUF = fn_buf_heap();
    assert_int_equal(fn_buf_text(&many, "[0"), FN_OK);
    for (unsigned i = 2; i < FN_DJSON_NODES; i++) assert_int_equal(fn_buf_text(&many, ",0"), FN_OK);
    size_t full = many.n;
    assert_int_equal(fn_buf_text(&many, "]"), FN_OK);
    assert_int_equal(fn_djson_read(&doc, fn_buf_view(&many)), FN_OK);
    many.n = full;
    assert_int_equal(fn_buf_text(&many, ",0]"), FN_OK);
    assert_int_equal(fn_djson_read(&doc, fn_buf_view(&many)), FN_E_TOO_LARGE);
}

static void round_trip(void **state)
{
    (void)state;
    uint8_t every[255];
    char text[600];
    struct fn_buf out FN_SCOPED_BUF = fn_buf_heap();
    for (size_t i = 0; i < 127; i++) every[i] = (uint8_t)(i + 1);
    assert_int_equal(fn_buf_text(&out, "{"), FN_OK);
    assert_int_equal(fn_djson_put_number(&out, "n", -5), FN_OK);
    assert_int_equal(fn_djson_put_name(&out, "t"), FN_OK);
    assert_int_equal(fn_djson_put_text(&out, fn_bytes(every, 127)), FN_OK);
    assert_int_equal(fn_djson_put_bool(&out, "b", true), FN_OK);
    assert_int_equal(fn_djson_put_hex(&out, "h", "\x01\xff", 2), FN_OK);
    assert_int_equal(fn_buf_text(&out, "}"), FN_OK);
    assert_int_equal(fn_djson_read(&doc, fn_buf_view(&out)), FN_OK);
    assert_int_equal(fn_djson_member_text(&doc, 0, "t", NULL, text, sizeof text), FN_OK);
    assert_int_equal(strlen(text), 127);
    assert_memory_equal(text, every, 127);
    assert_int_equal(fn_djson_member_text(&doc, 0, "h", NULL, text, sizeof text), FN_OK);
    assert_string_equal(text, "01ff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(takes), cmocka_unit_test(refuses),
                                       cmocka_unit_test(round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
