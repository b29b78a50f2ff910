/* Help from the table of verbs. */
#include "base/sys/call.h"
#include "cli/cli.h"

#include <string.h>

static bool below(const char *path, const char *prefix)
{
    if (!prefix || !*prefix) return true;
    size_t n = strlen(prefix);
    return !strncmp(path, prefix, n) && (path[n] == ' ' || !path[n]);
}

static void help_group(FILE *out, const struct fn_cli_group *group, const char *prefix)
{
    bool titled = false;
    for (const struct fn_verb *v = group->verbs; v->path; v++) {
        if (!below(v->path, prefix)) continue;
        if (!titled) fprintf(out, "\n%s\n", fn_say(group->title));
        titled = true;
        fprintf(out, "  %-26s %s\n", v->path, fn_say(v->summary));
    }
}

void fn_cli_help_all(FILE *out, const char *prefix)
{
    const char *space = prefix && *prefix ? " " : "";
    if (!prefix) prefix = "";
    fprintf(out,
            FN_SAY("封泥 Fengni %s:政务服务平台的商用密码服务\n",
                   "Fengni %s: commercial cryptography for government services\n"),
            FN_VERSION);
    fprintf(
        out,
        FN_SAY("\n用法:fengni%s%s 命令 [选项] [参数]\n", "\nUsage: fengni%s%s VERB [options] [operands]\n"),
        space, prefix);
    const struct fn_cli_group *groups;
    size_t count = fn_cli_groups(&groups);
    for (size_t i = 0; i < count; i++) help_group(out, &groups[i], prefix);
    fputs(FN_SAY("\n`fengni 命令 --help` 显示一条命令的说明。FENGNI_LANG=en 切换为英文。\n",
                 "\n`fengni VERB --help` explains one verb. Chinese is shown unless FENGNI_LANG=en.\n"),
          out);
}

static void help_options(FILE *out, const struct fn_option *options)
{
    for (const struct fn_option *o = options; o && o->name; o++) {
        char left[80];
        char letter[6] = "    ";
        if (o->letter) fn_format(letter, sizeof letter, "-%c, ", o->letter);
        const char *value = o->kind == FN_OPTION_FLAG     ? ""
                            : o->value                    ? o->value
                            : o->kind == FN_OPTION_NUMBER ? "N"
                                                          : "TEXT";
        fn_format(left, sizeof left, "%s--%s%s%s", letter, o->name, *value ? " " : "", value);
        fprintf(out, "  %-30s %s", left, fn_say(o->help));
        if (o->required) fputs(FN_SAY("(必需)", " (required)"), out);
        if (o->repeated) fputs(FN_SAY("(可重复)", " (may be repeated)"), out);
        if (o->fallback) fprintf(out, FN_SAY("(默认 %s)", " (default %s)"), o->fallback);
        fputc('\n', out);
    }
}

void fn_cli_help_verb(FILE *out, const struct fn_verb *verb)
{
    fprintf(out, "fengni %s: %s\n", verb->path, fn_say(verb->summary));
    const char *operands = verb->operands ? verb->operands : "";
    fprintf(out, FN_SAY("\n用法:fengni %s [选项]%s%s\n", "\nUsage: fengni %s [options]%s%s\n"), verb->path,
            *operands ? " " : "", operands);
    if (verb->details.zh) fprintf(out, "\n%s\n", fn_say(verb->details));
    if (verb->options && verb->options[0].name) {
        fputs(FN_SAY("\n选项\n", "\nOptions\n"), out);
        help_options(out, verb->options);
    }
    fputs(FN_SAY("\n通用选项\n", "\nOptions of every verb\n"), out);
    help_options(out, fn_call_common);
    if (verb->examples) fprintf(out, FN_SAY("\n示例\n%s\n", "\nExamples\n%s\n"), verb->examples);
}
