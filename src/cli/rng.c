/* `fengni rng test`: the randomness tests of GM/T 0005 on a file. */
#include "base/sys/heap.h"
#include "base/sys/os_err.h"
#include "base/sys/randomness_report.h"
#include "cli/cli.h"

#include <string.h>

static fn_err run_test(const struct fn_call *call)
{
    const char *const *path;
    fn_call_operands(call, &path);
    struct fn_randomness_file_options options = {
        .group = fn_call_text(call, "group"), .lang = fn_lang(), .json = fn_call_json(call)};
    static const char *const groups[] = {"factory", "power-on", "periodic", "single"};
    bool known = !options.group;
    for (size_t i = 0; i < FN_COUNT(groups); i++) known = known || !strcmp(groups[i], options.group);
    if (!known)
        return FN_FAIL(FN_E_USAGE, "--group %s: factory, power-on, periodic or single", options.group);
    /* What it says of an error comes from the chain that the caller prints in the form of every verb. */
    FN_SCOPED_FILE FILE *said = fopen("/dev/null", "we");
    if (!said) return FN_FAIL_OS("/dev/null");
    fn_err_clear();
    int status = fn_randomness_file_report(path[0], &options, stdout, said);
    if (status == 0) return FN_OK;
    const struct fn_err_cause *causes;
    size_t n = fn_err_chain(&causes);
    if (status == 2 && n) return causes[n - 1].code;
    return FN_FAIL(FN_E_RANDOM_SOURCE, FN_SAY("%s 未通过随机性检测", "%s does not pass the randomness tests"),
                   path[0]);
}

static const struct fn_option options_of_test[] = {
    {.name = "group",
     .kind = FN_OPTION_TEXT,
     .value = "NAME",
     .help = {"按检测阶段分组取样:factory 出厂、power-on 上电、periodic 周期、single "
              "单次;不给出时整个文件作为一个样本",
              "samples of a stage: factory, power-on, periodic or single; without it the whole file is one "
              "sample"}},
    {.name = NULL},
};

const struct fn_verb fn_cli_rng_verbs[] = {
    {
        .path = "rng test",
        .operands = "FILE",
        .operands_least = 1,
        .operands_most = 1,
        .summary = {"对文件做 GM/T 0005 随机性检测", "run the randomness tests of GM/T 0005 on a file"},
        .details =
            {"FILE 为 \"-\" 时读标准输入。通过时以状态 0 退出,未通过时以状态 1 退出。",
             "\"-\" reads standard input. Exits with 0 when the file passes, with 1 when it does not."},
        .options = options_of_test,
        .run = run_test,
        .examples = "  head -c 125000 /dev/urandom | fengni rng test -\n  fengni rng test --group power-on "
                    "sample.bin",
    },
    {.path = NULL},
};
