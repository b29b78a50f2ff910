/* CSV: what RFC 4180 allows, what it does not, encodings, and reading in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sys/heap.h"
#include "data/csv.h"
#include <stdio.h>
#include <string.h>

struct text {
    const char *p;
    size_t n, at, piece;
};

static fn_err read_text(void *self, uint8_t *out, size_t room, size_t *got)
{
    struct text *t = self;
    *got = t->n - t->at < room ? t->n - t->at : room;
    if (t->piece && *got > t->piece) *got = t->piece;
    if (*got) memcpy(out, t->p + t->at, *got);
    t->at += *got;
    return FN_OK;
}

/* The whole text as "line:[a|b] …" with "line!code" for bad records. */
static void read_all(const char *p, size_t n, enum fn_csv_encoding encoding, size_t piece, struct fn_buf *out)
{
    struct text t = {p, n, 0, piece};
    struct fn_csv_source source = {&t, read_text};
    struct fn_csv *csv;
    struct fn_csv_record r;
    bool more;
    assert_int_equal(fn_csv_open(&csv, &source, encoding, 0, 1), FN_OK);
    for (;;) {
        assert_int_equal(fn_csv_next(csv, &r, &more), FN_OK);
        if (!more) break;
        fn_buf_format(out, "%llu", (unsigned long long)r.line);
        if (r.bad) {
            fn_buf_format(out, "!%d ", r.bad);
            assert_non_null(r.reason[0]);
            continue;
        }
        fn_buf_text(out, ":[");
        for (size_t i = 0; i < r.count; i++)
            fn_buf_format(out, i ? "|%.*s" : "%.*s", (int)r.fields[i].n, (const char *)r.fields[i].p);
        fn_buf_text(out, "] ");
    }
    assert_int_equal(r.next_offset, 0);
    fn_csv_close(csv);
}

static void expect_n(const char *p, size_t n, enum fn_csv_encoding encoding, const char *want)
{
    for (size_t piece = 0; piece < 5; piece++) {
        struct fn_buf out = fn_buf_heap();
        read_all(p, n, encoding, piece, &out);
        fn_buf_u8(&out, 0);
        assert_string_equal((char *)out.p, want);
        fn_buf_free(&out);
    }
}
#define EXPECT(text, want) expect_n(text, sizeof(text) - 1, FN_CSV_UTF8, want)

static void good_records(void **state)
{
    (void)state;
    EXPECT("a,b,c\r\n1,2,3\r\n", "1:[a|b|c] 2:[1|2|3] ");
    EXPECT("a,b\n1,2", "1:[a|b] 2:[1|2] ");
    EXPECT("\xef\xbb\xbf"
           "a,b\n",
           "1:[a|b] ");
    EXPECT("\"x,y\",\"q\"\"q\",\"\"\n", "1:[x,y|q\"q|] ");
    EXPECT("\"two\r\nlines\",b\nnext,c\n", "1:[two\r\nlines|b] 3:[next|c] ");
    EXPECT("a,,\n,,\n", "1:[a||] 2:[||] ");
    EXPECT("\n\r\na\n\n", "3:[a] ");
    EXPECT("张三,北京市\n", "1:[张三|北京市] ");
    EXPECT("", "");
    EXPECT("a,\"b\"", "1:[a|b] ");
    EXPECT("\"\"\"\"", "1:[\"] ");
}

static void bad_records(void **state)
{
    (void)state;
    EXPECT("a\"b,c\nd,e\n", "1!607 2:[d|e] ");
    EXPECT("\"a\"b,c\nd,e\n", "1!607 2:[d|e] ");
    EXPECT("1,\"abc\n2,\"x\"\n3,y\n", "1!607 2:[2|x] 3:[3|y] ");
    EXPECT("1,\"never\n2,b\n3,c\n", "1!607 2:[2|b] 3:[3|c] ");
    EXPECT("a\rb\nc\n", "1!607 2:[c] ");
    EXPECT("a,\"b\"\rc\nd\n", "1!607 2:[d] ");
    EXPECT("a\0b\nc\n", "1!607 2:[c] ");
    EXPECT("\"a\0b\"\nc\n", "1!607 2:[c] ");
    EXPECT("a,\xff\xfe\nc,d\n", "1!201 2:[c|d] ");
    EXPECT("\"x\ny\",\xc0\xaf\nc,d\n", "1!201 3:[c|d] ");
    EXPECT("\"", "1!607 ");
}

static void gb18030(void **state)
{
    (void)state;
    /* 张三 D5C5 C8FD; 〇 is 3007 = A996; U+20000 = 95328236; a four-byte character holds ASCII digits. */
    static const char text[] =
        "\xd5\xc5\xc8\xfd,\"\x95\x32\x82\x36\"\"\",x\n\xa9\x96,\"\xd5\xc5\n\xc8\xfd\"\n\xd5,\n\xff,1\nok\n";
    expect_n(text, sizeof text - 1, FN_CSV_GB18030,
             "1:[张三|\xf0\xa0\x80\x80\"|x] 2:[〇|张\n三] 4!201 5!201 6:[ok] ");
    static const char mark[] = "\x84\x31\x95\x33"
                               "a\n";
    expect_n(mark, sizeof mark - 1, FN_CSV_GB18030, "1:[a] ");
}

static void large_records(void **state)
{
    (void)state;
    struct fn_buf text = fn_buf_heap(), out = fn_buf_heap();
    for (int i = 0; i < 3; i++) {
        fn_buf_text(&text, "k,\"");
        for (int k = 0; k < 100000; k++) fn_buf_text(&text, "line\n\"\"");
        fn_buf_text(&text, "\"\n");
    }
    struct text t = {(char *)text.p, text.n, 0, 0};
    struct fn_csv_source source = {&t, read_text};
    struct fn_csv *csv;
    struct fn_csv_record r;
    bool more;
    assert_int_equal(fn_csv_open(&csv, &source, FN_CSV_UTF8, 0, 1), FN_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fn_csv_next(csv, &r, &more), FN_OK);
        assert_true(more);
        assert_int_equal(r.bad, FN_OK);
        assert_int_equal(r.fields[1].n, 600000);
        assert_int_equal(r.line, 1 + i * 100001);
    }
    assert_int_equal(r.next_offset, text.n);
    fn_csv_close(csv);
    fn_buf_free(&text);
    fn_buf_free(&out);
}

static void never_closed_quote_is_bounded(void **state)
{
    (void)state;
    size_t n = FN_CSV_RECORD_MOST + (8u << 20);
    char *p = malloc(n);
    memset(p, 'x', n);
    for (size_t i = 999; i < n; i += 1000) p[i] = '\n';
    p[0] = '"';
    struct text t = {p, n, 0, 0};
    struct fn_csv_source source = {&t, read_text};
    struct fn_csv *csv;
    struct fn_csv_record r;
    bool more;
    assert_int_equal(fn_csv_open(&csv, &source, FN_CSV_UTF8, 0, 1), FN_OK);
    assert_int_equal(fn_csv_next(csv, &r, &more), FN_OK);
    assert_int_equal(r.bad, FN_E_TOO_LARGE);
    assert_int_equal(fn_csv_next(csv, &r, &more), FN_OK);
    assert_int_equal(r.bad, FN_OK);
    assert_int_equal(r.line, 2);
    fn_csv_close(csv);
    free(p);
}

static void starting_in_the_middle(void **state)
{
    (void)state;
    struct text t = {"a,b\n1,2\n3,4\n", 12, 4, 0};
    struct fn_csv_source source = {&t, read_text};
    struct fn_csv *csv;
    struct fn_csv_record r;
    bool more;
    assert_int_equal(fn_csv_open(&csv, &source, FN_CSV_UTF8, 4, 2), FN_OK);
    assert_int_equal(fn_csv_next(csv, &r, &more), FN_OK);
    assert_int_equal(r.line, 2);
    assert_int_equal(r.next_offset, 8);
    assert_int_equal(r.next_line, 3);
    assert_memory_equal(r.fields[1].p, "2", 1);
    fn_csv_close(csv);
}

static void writing(void **state)
{
    (void)state;
    struct fn_buf out = fn_buf_heap();
    fn_csv_field(&out, FN_BYTES_LITERAL("plain"), true);
    fn_csv_field(&out, FN_BYTES_LITERAL("a,b"), false);
    fn_csv_field(&out, FN_BYTES_LITERAL("q\"q"), false);
    fn_csv_field(&out, FN_BYTES_LITERAL("l\nl"), false);
    fn_csv_field(&out, FN_BYTES_LITERAL(""), false);
    fn_buf_u8(&out, 0);
    assert_string_equal((char *)out.p, "plain,\"a,b\",\"q\"\"q\",\"l\nl\",");
    fn_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_records),
                                       cmocka_unit_test(bad_records),
                                       cmocka_unit_test(gb18030),
                                       cmocka_unit_test(large_records),
                                       cmocka_unit_test(never_closed_quote_is_bounded),
                                       cmocka_unit_test(starting_in_the_middle),
                                       cmocka_unit_test(writing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
