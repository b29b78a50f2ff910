#include "base/sys/randomness_report.h"

#include "base/sys/heap.h"
#include "base/sys/os_err.h"
#include "base/sys/randomness.h"
#include <string.h>

#define SAMPLE_MOST (12500000) /* bytes of one sample: 10^8 bits */

/* Reads up to `most` bytes; a file that ends earlier is no error. */
static fn_err read_file(const char *path, size_t most, struct fn_buf *content)
{
    FN_SCOPED_FILE FILE *opened = NULL;
    FILE *f = stdin;
    if (strcmp(path, "-") != 0) f = opened = fopen(path, "rb");
    if (!f) return FN_FAIL_OS("%s", path);
    while (content->n < most) {
        uint8_t *where;
        size_t want = most - content->n < 65536 ? most - content->n : 65536;
        FN_TRY(fn_buf_reserve(content, want, &where));
        size_t got = fread(where, 1, want, f);
        content->n += got;
        if (got < want && ferror(f)) return FN_FAIL_OS("%s", path);
        if (got < want) break;
    }
    return FN_OK;
}

static void print_error(fn_err err, enum fn_lang lang, FILE *errors)
{
    const struct fn_err_cause *causes;
    size_t depth = fn_err_chain(&causes);
    fprintf(errors, "%d %s", err, fn_err_text(err)->text[lang]);
    if (depth > 0 && causes[0].detail[0]) fprintf(errors, ": %s", causes[0].detail);
    fputc('\n', errors);
}

/* "first difference" and so on, for tests that give two values. */
static const char *value_name(const struct fn_randomness_row *row, enum fn_lang lang)
{
    static const char *const names[3][2][2] = {{{"一阶", "first"}, {"二阶", "second"}},
                                               {{"1", "ones"}, {"0", "zeros"}},
                                               {{"前向", "forward"}, {"后向", "backward"}}};
    switch (row->test.item) {
    case FN_RT_OVERLAPPING:
        return names[0][row->value][lang];
    case FN_RT_LONGEST_RUN:
        return names[1][row->value][lang];
    case FN_RT_CUMULATIVE_SUMS:
        return names[2][row->value][lang];
    default:
        return "";
    }
}

/* Columns a text takes on a terminal: a Chinese character takes two. */
static int width(const char *text)
{
    int columns = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < 0x80) columns++;
        if (*c >= 0xe0) columns += 2;
    }
    return columns;
}

static void print_padded(FILE *out, const char *text, int columns)
{
    fputs(text, out);
    for (int i = width(text); i < columns; i++) fputc(' ', out);
}

static void print_row_json(FILE *out, const struct fn_randomness_report *r,
                           const struct fn_randomness_row *row)
{
    fprintf(out, "{\"item\":%d,\"name\":\"%s\",\"name_zh\":\"%s\",\"parameter\":%u,\"value\":\"%s\"",
            (int)row->test.item, fn_randomness_name(row->test.item, FN_LANG_EN),
            fn_randomness_name(row->test.item, FN_LANG_ZH), row->test.parameter, value_name(row, FN_LANG_EN));
    fprintf(out, ",\"p\":%.9f,\"q\":%.9f,\"passed\":%zu,\"samples\":%zu", row->p, row->q, row->passed,
            r->samples);
    if (r->samples > 1) fprintf(out, ",\"needed\":%zu,\"uniformity\":%.9f", r->needed, row->uniformity);
    fprintf(out, ",\"good\":%s}\n", row->good ? "true" : "false");
}

static void print_row(FILE *out, const struct fn_randomness_report *r, const struct fn_randomness_row *row,
                      enum fn_lang lang)
{
    static const char *const verdict[2][2] = {{"不通过", "FAIL"}, {"通过", "pass"}};
    char parameter[32] = "";
    if (row->test.parameter > 0) snprintf(parameter, sizeof parameter, "%u", row->test.parameter);
    fprintf(out, "%2d  ", (int)row->test.item);
    print_padded(out, fn_randomness_name(row->test.item, lang), lang == FN_LANG_EN ? 28 : 16);
    fprintf(out, "%6s  ", parameter);
    print_padded(out, value_name(row, lang), 9);
    if (r->samples > 1)
        fprintf(out, "%5zu/%zu  %.6f  ", row->passed, r->samples, row->uniformity);
    else
        fprintf(out, "%.6f  %.6f  ", row->p, row->q);
    fprintf(out, "%s\n", verdict[row->good][lang]);
}

static void print_head(FILE *out, const struct fn_randomness_report *r, enum fn_lang lang)
{
    bool many = r->samples > 1, en = lang == FN_LANG_EN;
    if (en)
        fprintf(out, "GM/T 0005-2021%s%s: %zu x %zu bits", r->group ? ", " : "",
                r->group ? r->group->title[lang] : "", r->samples, r->sample_bits);
    else
        fprintf(out, "GM/T 0005-2021%s%s:%zu × %zu 比特", r->group ? " " : "",
                r->group ? r->group->title[lang] : "", r->samples, r->sample_bits);
    if (many) fprintf(out, en ? ", at least %zu of %zu" : ",至少通过 %zu/%zu", r->needed, r->samples);
    fputs("\n    ", out);
    print_padded(out, en ? "test" : "检测项目", en ? 28 : 16);
    print_padded(out, en ? "     m" : "  参数", 8);
    print_padded(out, en ? "value" : "统计量", 9);
    print_padded(out, many ? (en ? "passed" : "通过数") : "P", 10);
    print_padded(out, many ? (en ? "P_T" : "均匀性") : "Q", 10);
    fprintf(out, "%s\n", en ? "result" : "结论");
}

static bool has_item(const struct fn_randomness_report *r, enum fn_randomness_item item)
{
    for (size_t i = 0; i < r->rows; i++) {
        if (r->row[i].test.item == item) return true;
    }
    return false;
}

/* Items of the fifteen that this length or this group leaves out are said, not passed over. */
static void print_left_out(FILE *out, const struct fn_randomness_report *r, enum fn_lang lang)
{
    const char *before = lang == FN_LANG_EN ? "not run: " : "未检测:";
    bool any = false;
    for (int i = FN_RT_MONOBIT; i <= FN_RT_ITEMS; i++) {
        if (has_item(r, (enum fn_randomness_item)i)) continue;
        fprintf(out, "%s%s", before, fn_randomness_name((enum fn_randomness_item)i, lang));
        before = lang == FN_LANG_EN ? ", " : "、";
        any = true;
    }
    if (any) fputc('\n', out);
}

static void print_report(FILE *out, const struct fn_randomness_report *r,
                         const struct fn_randomness_file_options *o)
{
    if (!o->json) print_head(out, r, o->lang);
    for (size_t i = 0; i < r->rows; i++) {
        if (o->json)
            print_row_json(out, r, &r->row[i]);
        else
            print_row(out, r, &r->row[i], o->lang);
    }
    if (!o->json) print_left_out(out, r, o->lang);
    if (o->json)
        fprintf(out, "{\"group\":\"%s\",\"samples\":%zu,\"sample_bits\":%zu,\"rows\":%zu,\"good\":%s}\n",
                r->group ? r->group->name : "sample", r->samples, r->sample_bits, r->rows,
                r->good ? "true" : "false");
    else if (o->lang == FN_LANG_EN)
        fprintf(out, "%s\n", r->good ? "passed" : "NOT passed");
    else
        fprintf(out, "总体结论:%s\n", r->good ? "通过" : "不通过");
}

static fn_err test_single(struct fn_bytes content, const struct fn_randomness_file_options *o, FILE *out,
                          bool *good)
{
    if (content.n < 16) return FN_FAIL(FN_E_TRUNCATED, "%zu bytes, at least 16", content.n);
    *good = fn_randomness_single(content.p, content.n);
    if (o->json)
        fprintf(out, "{\"group\":\"single\",\"samples\":1,\"sample_bits\":%zu,\"rows\":1,\"good\":%s}\n",
                content.n * 8, *good ? "true" : "false");
    else if (o->lang == FN_LANG_EN)
        fprintf(out, "GM/T 0005-2021, single use (poker), %zu bits: %s\n", content.n * 8,
                *good ? "passed" : "NOT passed");
    else
        fprintf(out, "GM/T 0005-2021 单次检测(扑克),%zu 比特:%s\n", content.n * 8, *good ? "通过" : "不通过");
    return FN_OK;
}

static fn_err test_file(const char *path, const struct fn_randomness_file_options *o, FILE *out, bool *good)
{
    FN_SCOPED_BUF struct fn_buf content = fn_buf_heap();
    struct fn_randomness_report report;
    bool single = o->group && strcmp(o->group, "single") == 0;
    const struct fn_randomness_group *group =
        o->group && !single ? fn_randomness_group_named(o->group) : NULL;
    if (o->group && !single && !group)
        return FN_FAIL(FN_E_USAGE, "no group %s: factory, power-on, periodic, single", o->group);
    size_t whole = group ? group->samples * (group->sample_bits / 8) : SAMPLE_MOST;
    FN_TRY(read_file(path, whole, &content));
    if (single) return test_single(fn_buf_view(&content), o, out, good);
    if (content.n < (group ? whole : 16))
        return FN_FAIL(FN_E_TRUNCATED, "%s: %zu bytes, %zu needed", path, content.n, group ? whole : 16);
    if (group) {
        FN_TRY(fn_randomness_samples(group->tests, group->test_count, content.p, group->samples,
                                     group->sample_bits, &report));
    } else {
        size_t count;
        const struct fn_randomness_test *tests = fn_randomness_tests_for(content.n * 8, &count);
        FN_TRY(fn_randomness_samples(tests, count, content.p, 1, content.n * 8, &report));
    }
    report.group = group;
    *good = report.good;
    print_report(out, &report, o);
    return FN_OK;
}

int fn_randomness_file_report(const char *path, const struct fn_randomness_file_options *options, FILE *out,
                              FILE *errors)
{
    bool good = false;
    fn_err err = test_file(path, options, out, &good);
    if (err != FN_OK) {
        print_error(err, options->lang, errors);
        return 2;
    }
    return good ? 0 : 1;
}
