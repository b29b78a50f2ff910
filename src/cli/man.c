/* Manual pages from the table of verbs, English and Chinese. */
#include "base/sys/call.h"
#include "base/sys/heap.h"
#include "base/sys/os_err.h"
#include "cli/cli.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct page {
    FILE *out;
    enum fn_lang lang;
    const char *folder;
};

static const char *say(const struct page *p, struct fn_text t)
{
    return p->lang == FN_LANG_EN ? t.en : t.zh;
}
#define SAY(p, zh_text, en_text) say((p), (struct fn_text){zh_text, en_text})

/* Text as roff: backslashes and hyphens escaped, no line that begins with a control character, an empty line
 * is a paragraph. */
static void roff(const struct page *p, const char *text)
{
    bool fresh = true;
    for (; *text; text++) {
        if (fresh && (*text == '.' || *text == '\'')) fputs("\\&", p->out);
        if (text[0] == '\n' && text[1] == '\n') {
            fputs("\n.PP\n", p->out);
            text++;
            fresh = true;
            continue;
        }
        if (*text == '\\')
            fputs("\\e", p->out);
        else if (*text == '-')
            fputs("\\-", p->out);
        else
            fputc(*text, p->out);
        fresh = *text == '\n';
    }
}

static void options(const struct page *p, const struct fn_option *list)
{
    for (const struct fn_option *o = list; o && o->name; o++) {
        fputs(".TP\n", p->out);
        if (o->letter) fprintf(p->out, "\\fB\\-%c\\fR, ", o->letter);
        fputs("\\fB\\-\\-", p->out);
        roff(p, o->name);
        fputs("\\fR", p->out);
        if (o->kind != FN_OPTION_FLAG) fprintf(p->out, " \\fI%s\\fR", o->value ? o->value : "VALUE");
        fputc('\n', p->out);
        roff(p, say(p, o->help));
        if (o->required) fputs(SAY(p, "(必需)", " (required)"), p->out);
        if (o->repeated) fputs(SAY(p, "(可重复)", " (may be repeated)"), p->out);
        if (o->fallback) {
            fputs(SAY(p, "(默认 ", " (default "), p->out);
            roff(p, o->fallback);
            fputs(SAY(p, ")", ")"), p->out);
        }
        fputc('\n', p->out);
    }
}

static fn_err open_page(struct page *p, const char *name)
{
    FN_SCOPED_HEAP char *path = NULL;
    FN_TRY(fn_heap_format(&path, "%s/%s.1", p->folder, name));
    p->out = fopen(path, "we");
    if (!p->out) return FN_FAIL_OS("%s", path);
    fprintf(p->out, ".TH \"%s\" 1 \"\" \"Fengni %s\" \"%s\"\n", name, FN_VERSION,
            SAY(p, "封泥手册", "Fengni manual"));
    return FN_OK;
}

static fn_err close_page(struct page *p, const char *name)
{
    bool failed = ferror(p->out);
    if (fclose(p->out) || failed) return FN_FAIL_OS("%s/%s.1", p->folder, name);
    return FN_OK;
}

static void exit_status(const struct page *p)
{
    fprintf(p->out, ".SH %s\n", SAY(p, "退出状态", "EXIT STATUS"));
    roff(p, SAY(p, "0 完成;1 失败(标准错误给出编号、原因和建议);2 用法错误。",
                "0 done; 1 failed (standard error gives number, causes and what to do); 2 wrong usage."));
    fputc('\n', p->out);
}

static void dashed(char *out, size_t room, const char *path)
{
    fn_format(out, room, "fengni-%s", path);
    for (char *c = out; *c; c++)
        if (*c == ' ') *c = '-';
}

static fn_err verb_page(void *context, const struct fn_cli_group *group, const struct fn_verb *verb)
{
    (void)group;
    struct page *p = context;
    char name[100];
    dashed(name, sizeof name, verb->path);
    FN_TRY(open_page(p, name));
    fprintf(p->out, ".SH %s\n", SAY(p, "名称", "NAME"));
    roff(p, name);
    fputs(" \\- ", p->out);
    roff(p, say(p, verb->summary));
    fprintf(p->out, "\n.SH %s\n\\fBfengni ", SAY(p, "概要", "SYNOPSIS"));
    roff(p, verb->path);
    fprintf(p->out, "\\fR [%s] ", SAY(p, "选项", "options"));
    if (verb->operands) roff(p, verb->operands);
    fputc('\n', p->out);
    if (verb->details.zh) {
        fprintf(p->out, ".SH %s\n", SAY(p, "说明", "DESCRIPTION"));
        roff(p, say(p, verb->details));
        fputc('\n', p->out);
    }
    fprintf(p->out, ".SH %s\n", SAY(p, "选项", "OPTIONS"));
    options(p, verb->options);
    options(p, fn_call_common);
    exit_status(p);
    if (verb->examples) {
        fprintf(p->out, ".SH %s\n.nf\n", SAY(p, "示例", "EXAMPLES"));
        roff(p, verb->examples);
        fputs("\n.fi\n", p->out);
    }
    fprintf(p->out, ".SH %s\n\\fBfengni\\fR(1)\n", SAY(p, "另见", "SEE ALSO"));
    return close_page(p, name);
}

static fn_err list_verb(void *context, const struct fn_cli_group *group, const struct fn_verb *verb)
{
    (void)group;
    struct page *p = context;
    char name[100];
    dashed(name, sizeof name, verb->path);
    fputs(".TP\n\\fB", p->out);
    roff(p, name);
    fputs("\\fR(1)\n", p->out);
    roff(p, say(p, verb->summary));
    fputc('\n', p->out);
    return FN_OK;
}

static fn_err main_page(struct page *p)
{
    FN_TRY(open_page(p, "fengni"));
    fprintf(p->out, ".SH %s\nfengni \\- %s\n", SAY(p, "名称", "NAME"),
            SAY(p, "政务服务平台的商用密码服务", "commercial cryptography for government services"));
    fprintf(p->out, ".SH %s\n\\fBfengni\\fR %s\n", SAY(p, "概要", "SYNOPSIS"),
            SAY(p, "命令 [选项] [参数]", "VERB [options] [operands]"));
    fprintf(p->out, ".SH %s\n", SAY(p, "命令", "VERBS"));
    fn_err err = fn_cli_each(list_verb, p);
    fprintf(p->out, ".SH %s\n", SAY(p, "通用选项", "OPTIONS OF EVERY VERB"));
    options(p, fn_call_common);
    fprintf(p->out, ".SH %s\n.TP\n\\fBFENGNI_LANG\\fR\n%s\n.TP\n\\fBFENGNI_INSTANCE\\fR\n%s\n",
            SAY(p, "环境变量", "ENVIRONMENT"),
            SAY(p, "en 为英文,否则为中文。", "en for English, otherwise Chinese."),
            SAY(p, "实例目录。", "folder of the instance."));
    exit_status(p);
    fn_err closed = close_page(p, "fengni");
    return err != FN_OK ? err : closed;
}

static fn_err make_folders(char *path)
{
    for (char *c = path + 1;; c++) {
        if (*c && *c != '/') continue;
        char kept = *c;
        *c = 0;
        bool failed = mkdir(path, 0755) && errno != EEXIST;
        fn_err err = failed ? FN_FAIL_OS("%s", path) : FN_OK;
        *c = kept;
        if (err != FN_OK || !kept) return err;
    }
}

static fn_err write_pages(const char *dir, const char *below, enum fn_lang lang)
{
    FN_SCOPED_HEAP char *folder = NULL;
    FN_TRY(fn_heap_format(&folder, "%s/%s", dir, below));
    FN_TRY(make_folders(folder));
    struct page p = {.lang = lang, .folder = folder};
    FN_TRY(main_page(&p));
    return fn_cli_each(verb_page, &p);
}

fn_err fn_cli_man(const struct fn_call *call)
{
    const char *const *dir;
    fn_call_operands(call, &dir);
    FN_TRY(write_pages(dir[0], "man1", FN_LANG_EN));
    return write_pages(dir[0], "zh_CN/man1", FN_LANG_ZH);
}
