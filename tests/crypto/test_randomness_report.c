/* The report of a file. With arguments FILE json|zh|en [GROUP] it prints one, for other tests to read. */
#include "base/sys/randomness_report.h"
#include "crypto/sm3/sm3.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "randomness-XXXXXX";

static void write_file(size_t n, bool zeros)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    uint8_t block[32] = {0};
    for (size_t at = 0; at < n; at += 32) {
        uint8_t number[4];
        fn_put_be32(number, (uint32_t)(at / 32));
        if (!zeros) fn_sm3_digest(number, 4, block);
        assert_int_equal(fwrite(block, 1, n - at < 32 ? n - at : 32, f), n - at < 32 ? n - at : 32);
    }
    assert_int_equal(fclose(f), 0);
}

static int report(struct fn_randomness_file_options o, char **text)
{
    size_t size, error_size;
    char *errors;
    FILE *out = open_memstream(text, &size), *err = open_memstream(&errors, &error_size);
    int status = fn_randomness_file_report(path, &o, out, err);
    fclose(out);
    fclose(err);
    assert_int_equal(status == 2, error_size > 0);
    free(errors);
    return status;
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 || close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void whole_file_is_one_sample(void **state)
{
    (void)state;
    char *text;
    write_file(2500, false);
    assert_int_equal(report((struct fn_randomness_file_options){.lang = FN_LANG_ZH}, &text), 0);
    assert_non_null(strstr(text, "单比特频数"));
    assert_non_null(strstr(text, "0.234857  0.117429  通过"));
    assert_non_null(strstr(text, "总体结论:通过"));
    free(text);
    assert_int_equal(report((struct fn_randomness_file_options){.lang = FN_LANG_EN}, &text), 0);
    assert_non_null(strstr(text, "monobit frequency"));
    assert_non_null(strstr(text, "not run: linear complexity, Maurer universal\npassed\n"));
    free(text);
    assert_int_equal(report((struct fn_randomness_file_options){.json = true}, &text), 0);
    assert_non_null(strstr(text, "\"item\":15"));
    assert_non_null(strstr(text, "\"samples\":1,\"sample_bits\":20000,\"rows\":23,\"good\":true}"));
    free(text);
}

static void groups(void **state)
{
    (void)state;
    char *text;
    write_file(50000, false);
    assert_int_equal(
        report((struct fn_randomness_file_options){.group = "periodic", .lang = FN_LANG_EN}, &text), 0);
    assert_non_null(strstr(text, "20 x 20000 bits, at least 19 of 20"));
    free(text);
    write_file(50000, true);
    assert_int_equal(
        report((struct fn_randomness_file_options){.group = "periodic", .lang = FN_LANG_ZH}, &text), 1);
    assert_non_null(strstr(text, "总体结论:不通过"));
    free(text);
    write_file(49999, false);
    assert_int_equal(report((struct fn_randomness_file_options){.group = "periodic"}, &text), 2);
    free(text);
    assert_int_equal(report((struct fn_randomness_file_options){.group = "weekly"}, &text), 2);
    free(text);
    write_file(16, false);
    assert_int_equal(
        report((struct fn_randomness_file_options){.group = "single", .lang = FN_LANG_EN}, &text), 0);
    free(text);
    write_file(40, true);
    assert_int_equal(report((struct fn_randomness_file_options){.group = "single"}, &text), 1);
    free(text);
    write_file(15, false);
    assert_int_equal(report((struct fn_randomness_file_options){.group = "single"}, &text), 2);
    free(text);
    assert_int_equal(report((struct fn_randomness_file_options){0}, &text), 2);
    free(text);
}

static int as_program(int argc, char **argv)
{
    struct fn_randomness_file_options o = {.json = strcmp(argv[2], "json") == 0,
                                           .lang = strcmp(argv[2], "en") == 0 ? FN_LANG_EN : FN_LANG_ZH,
                                           .group = argc > 3 ? argv[3] : NULL};
    return fn_randomness_file_report(argv[1], &o, stdout, stderr);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_file_is_one_sample), cmocka_unit_test(groups)};
    if (argc > 2) return as_program(argc, argv);
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
