/* Configuration: defaults, files, conf.d, environment, and every way to be wrong with its place. */
#include "base/sys/config.h"
#include "base/sys/heap.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char *const colours[] = {"red", "green", NULL};
static const struct fn_setting one[] = {
    {.name = "text", .kind = FN_SETTING_TEXT, .fallback = "hello", .help = {"文本", "a text"}},
    {.name = "number",
     .kind = FN_SETTING_NUMBER,
     .fallback = "5",
     .least = -1,
     .most = 10,
     .live = true,
     .help = {"数", "n"}},
    {.name = "wait", .kind = FN_SETTING_DURATION, .fallback = "10s", .help = {"时长", "time"}},
    {.name = "room", .kind = FN_SETTING_SIZE, .fallback = "64KiB", .help = {"大小", "size"}},
    {.name = NULL},
};
static const struct fn_setting two[] = {
    {.name = "on", .kind = FN_SETTING_BOOL, .fallback = "true", .help = {"开关", "switch"}},
    {.name = "colour",
     .kind = FN_SETTING_CHOICE,
     .fallback = "red",
     .choices = colours,
     .help = {"颜色", "colour"}},
    {.name = NULL},
};
static const struct fn_section sections[] = {
    {"one", {"第一节", "first"}, one}, {"two", {"第二节", "second"}, two}, {.name = NULL}};

static char folder[] = "/tmp/fn-config-XXXXXX";
static char file[80];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    fn_format(file, sizeof file, "%s/fengni.yaml", folder);
    char below[80];
    fn_format(below, sizeof below, "%s/conf.d", folder);
    return mkdir(below, 0700);
}

static int remove_folder(void **state)
{
    (void)state;
    char command[80];
    fn_format(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void write_file(const char *name, const char *content)
{
    char path[120];
    fn_format(path, sizeof path, "%s/%s", folder, name);
    FN_SCOPED_FILE FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
}

static fn_err load(struct fn_config **c)
{
    return fn_config_load(c, sections, file, false);
}

static void defaults_stand(void **state)
{
    (void)state;
    struct fn_config *c;
    assert_int_equal(fn_config_load(&c, sections, "/nowhere/fengni.yaml", false), FN_OK);
    assert_string_equal(fn_config_text(c, "one.text"), "hello");
    assert_int_equal(fn_config_number(c, "one.number"), 5);
    assert_int_equal(fn_config_number(c, "one.wait"), 10000);
    assert_int_equal(fn_config_number(c, "one.room"), 65536);
    assert_true(fn_config_bool(c, "two.on"));
    assert_string_equal(fn_config_text(c, "two.colour"), "red");
    assert_string_equal(fn_config_source(c, "two.colour"), "");
    assert_null(fn_config_text(c, "two.nothing"));
    assert_null(fn_config_text(c, "two"));
    fn_config_free(c);
    assert_int_equal(fn_config_load(&c, sections, "/nowhere/fengni.yaml", true), FN_E_NOT_FOUND);
}

static void later_sources_win(void **state)
{
    (void)state;
    struct fn_config *c;
    write_file("fengni.yaml",
               "# comment\none:\n  text: from file\n  number: 1\n  wait: 2h\ntwo:\n  # nothing here\n");
    write_file("conf.d/20-b.yaml", "one: {number: 3}\n");
    write_file("conf.d/10-a.yaml", "one:\n  number: 2\n  room: 2MiB\n");
    write_file("conf.d/30-c.txt", "nonsense");
    setenv("FENGNI_TWO_ON", "false", 1);
    assert_int_equal(load(&c), FN_OK);
    assert_string_equal(fn_config_text(c, "one.text"), "from file");
    assert_string_equal(fn_config_source(c, "one.text"), "fengni.yaml:3:3");
    assert_int_equal(fn_config_number(c, "one.number"), 3);
    assert_string_equal(fn_config_source(c, "one.number"), "conf.d/20-b.yaml:1:7");
    assert_int_equal(fn_config_number(c, "one.room"), 2 << 20);
    assert_int_equal(fn_config_number(c, "one.wait"), 7200000);
    assert_false(fn_config_bool(c, "two.on"));
    assert_string_equal(fn_config_source(c, "two.on"), "FENGNI_TWO_ON");
    fn_config_free(c);
    setenv("FENGNI_TWO_ON", "maybe", 1);
    assert_int_equal(load(&c), FN_E_CONFIG);
    unsetenv("FENGNI_TWO_ON");
    setenv("FENGNI_TWO_NO", "x", 1);
    assert_int_equal(load(&c), FN_E_CONFIG);
    unsetenv("FENGNI_TWO_NO");
    setenv("FENGNI_TWO_on", "true", 1); /* not in capitals: nobody would obey it */
    assert_int_equal(load(&c), FN_E_CONFIG);
    unsetenv("FENGNI_TWO_on");
    write_file("conf.d/20-b.yaml", "one: {number: 11}\n");
    assert_int_equal(load(&c), FN_E_CONFIG);
    write_file("conf.d/20-b.yaml", "");
    write_file("conf.d/10-a.yaml", "");
}

static void mistakes_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *content, *said;
    } cases[] = {
        {"one:\n  txet: x\n", "fengni.yaml:2:3: unknown setting \"one.txet\""},
        {"three:\n  text: x\n", "fengni.yaml:1:1: unknown section \"three\""},
        {"three:\n", "fengni.yaml:1:1: unknown section \"three\""},
        {"one:\n  text: x\n  text: y\n", "fengni.yaml:3:3: one.text stands here a second time"},
        {"one:\n  text: x\ntwo:\none:\n  number: 1\n", "fengni.yaml:4:1: one stands here a second time"},
        {"one:\n  text:\n", "fengni.yaml:2:3: one.text without a value"},
        {"one:\n  text: [a]\n", "fengni.yaml:2:9: one.text: a single value is wanted"},
        {"one:\n  text: &a x\n", "fengni.yaml:2:9: one.text: anchors and tags are not allowed"},
        {"one:\n  text: !!str x\n", "anchors and tags are not allowed"},
        {"one:\n  text: *a\n", "aliases are not allowed"},
        {"one: &a\n  text: x\n", "one is a section"},
        {"one: 5\n", "one is a section"},
        {"- one\n", "sections are wanted"},
        {"one:\n  text: x\n---\ntwo:\n", "a second document"},
        {"one:\n  text: \"x\n", "fengni.yaml:"},
        {"one:\n\ttext: x\n", "fengni.yaml:2:1"},
        {"one:\n  number: five\n", "\"five\" is not a whole number"},
        {"one:\n  number: 11\n", "outside -1"},
        {"one:\n  number: 0x5\n", "not a whole number"},
        {"one:\n  wait: 10\n", "is not a duration"},
        {"one:\n  wait: 10 s\n", "is not a duration"},
        {"one:\n  wait: 99999999999999999d\n", "is not a duration"},
        {"one:\n  room: 1MB\n", "is not a size"},
        {"one:\n  room: -1\n", "outside 0"},
        {"two:\n  on: yes\n", "is not true or false"},
        {"two:\n  colour: blue\n", "\"blue\" is none of red, green"},
    };
    for (size_t i = 0; i < FN_COUNT(cases); i++) {
        struct fn_config *c;
        write_file("fengni.yaml", cases[i].content);
        if (load(&c) != FN_E_CONFIG) fail_msg("accepted: %s", cases[i].content);
        const struct fn_err_cause *causes;
        size_t n = fn_err_chain(&causes);
        bool said = false;
        for (size_t k = 0; k < n; k++) said = said || strstr(causes[k].detail, cases[i].said);
        if (!said) fail_msg("%s\nsaid: %s", cases[i].content, causes[0].detail);
    }
    write_file("fengni.yaml", "one:\n  text: \"\"\n");
    struct fn_config *c;
    assert_int_equal(load(&c), FN_OK);
    assert_string_equal(fn_config_text(c, "one.text"), "");
    fn_config_free(c);
}

struct seen {
    int live, restart;
};

static fn_err note(void *context, const struct fn_section *section, const struct fn_setting *setting,
                   const char *before, const char *after)
{
    struct seen *seen = context;
    assert_string_equal(section->name, "one");
    assert_string_not_equal(before, after);
    *(setting->live ? &seen->live : &seen->restart) += 1;
    return FN_OK;
}

static void reload_tells_what_changed(void **state)
{
    (void)state;
    struct fn_config *c;
    struct seen seen = {0};
    write_file("fengni.yaml", "one:\n  text: a\n  number: 1\n");
    assert_int_equal(load(&c), FN_OK);
    write_file("fengni.yaml", "one:\n  text: b\n  number: 2\n  wait: 10s\n");
    assert_int_equal(fn_config_reload(&c, note, &seen), FN_OK);
    assert_int_equal(seen.live, 1);
    assert_int_equal(seen.restart, 1);
    assert_string_equal(fn_config_text(c, "one.text"), "b");
    write_file("fengni.yaml", "one:\n  bad: 1\n");
    assert_int_equal(fn_config_reload(&c, note, &seen), FN_E_CONFIG);
    assert_string_equal(fn_config_text(c, "one.text"), "b");
    fn_config_free(c);
}

/* The file of defaults is accepted, as it is and with every default uncommented, and changes nothing. */
static void default_file_means_the_defaults(void **state)
{
    (void)state;
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    assert_int_equal(fn_config_default(sections, &b), FN_OK);
    assert_int_equal(fn_buf_u8(&b, 0), FN_OK);
    struct fn_config *c;
    write_file("fengni.yaml", (const char *)b.p);
    assert_int_equal(load(&c), FN_OK);
    fn_config_free(c);
    int opened = 0;
    for (char *line = strtok((char *)b.p, "\n"); line; line = strtok(NULL, "\n"))
        if (!strncmp(line, "  #", 3) && line[3] != ' ') line[2] = ' ', opened++;
    assert_int_equal(opened, 6);
    b.n = 0;
    assert_int_equal(fn_config_default(sections, &b), FN_OK);
    char *text = (char *)b.p;
    for (size_t i = 0; i + 3 < b.n; i++)
        if (!memcmp(text + i, "\n  #", 4) && text[i + 4] != ' ') text[i + 3] = ' ';
    assert_int_equal(fn_buf_u8(&b, 0), FN_OK);
    write_file("fengni.yaml", (const char *)b.p);
    assert_int_equal(load(&c), FN_OK);
    assert_string_equal(fn_config_text(c, "one.text"), "hello");
    assert_string_not_equal(fn_config_source(c, "two.colour"), "");
    fn_config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_stand),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(mistakes_are_refused_with_their_place),
        cmocka_unit_test(reload_tells_what_changed),
        cmocka_unit_test(default_file_means_the_defaults),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
