/* Verbs that need nothing but the program: version, help, errors, man, completion. */
#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "cli/cli.h"

#include <sqlite3.h>
#include <string.h>

static fn_err run_version(const struct fn_call *call)
{
    if (!fn_call_json(call)) {
        printf("fengni %s\n", FN_VERSION);
        return FN_OK;
    }
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    FN_TRY(fn_buf_u8(&b, '{'));
    FN_TRY(fn_json_pair(&b, "name", "fengni"));
    FN_TRY(fn_json_pair(&b, "version", FN_VERSION));
    FN_TRY(fn_json_pair(&b, "compiler", __VERSION__));
    FN_TRY(fn_json_pair(&b, "sqlite", sqlite3_libversion()));
    FN_TRY(fn_buf_text(&b, "}\n"));
    fwrite(b.p, 1, b.n, stdout);
    return FN_OK;
}

static fn_err run_help(const struct fn_call *call)
{
    const char *const *words;
    size_t count = fn_call_operands(call, &words), used;
    if (!count) {
        fn_cli_help_all(stdout, NULL);
        return FN_OK;
    }
    const struct fn_verb *verb = fn_cli_find(count, words, &used);
    if (verb && used == count) {
        fn_cli_help_verb(stdout, verb);
        return FN_OK;
    }
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    for (size_t i = 0; i < count; i++) FN_TRY(fn_buf_format(&b, "%s%s", i ? " " : "", words[i]));
    FN_TRY(fn_buf_u8(&b, 0));
    if (!fn_cli_is_prefix(count, words)) return FN_FAIL(FN_E_USAGE, "no verb \"%s\"", (const char *)b.p);
    fn_cli_help_all(stdout, (const char *)b.p);
    return FN_OK;
}

static fn_err errors_json(struct fn_buf *b)
{
    const struct fn_err_text *t;
    FN_TRY(fn_buf_text(b, "["));
    for (size_t i = 0; (t = fn_err_text_at(i)); i++) {
        FN_TRY(fn_buf_format(b, "%s\n{\"number\":%d", i ? "," : "", t->code));
        FN_TRY(fn_json_pair(b, "name", t->name));
        FN_TRY(fn_json_pair(b, "zh", t->text[FN_LANG_ZH]));
        FN_TRY(fn_json_pair(b, "en", t->text[FN_LANG_EN]));
        FN_TRY(fn_json_pair(b, "hint_zh", t->hint[FN_LANG_ZH]));
        FN_TRY(fn_json_pair(b, "hint_en", t->hint[FN_LANG_EN]));
        FN_TRY(fn_buf_u8(b, '}'));
    }
    return fn_buf_text(b, "\n]\n");
}

static void errors_markdown(void)
{
    const struct fn_err_text *t;
    puts(FN_SAY("| 编号 | 名称 | 含义 | 英文 | 建议 |\n|---|---|---|---|---|",
                "| number | name | meaning | Chinese | what to do |\n|---|---|---|---|---|"));
    enum fn_lang lang = fn_lang(), other = lang == FN_LANG_ZH ? FN_LANG_EN : FN_LANG_ZH;
    for (size_t i = 0; (t = fn_err_text_at(i)); i++)
        printf("| %d | %s | %s | %s | %s |\n", t->code, t->name, t->text[lang], t->text[other],
               t->hint[lang]);
}

static void errors_table(void)
{
    const struct fn_err_text *t;
    enum fn_lang lang = fn_lang();
    const char *titles[] = {FN_SAY("编号", "number"), FN_SAY("名称", "name"), FN_SAY("含义", "meaning"),
                            FN_SAY("建议", "what to do")};
    struct fn_table *table = fn_table_new(FN_COUNT(titles), titles);
    for (size_t i = 0; (t = fn_err_text_at(i)); i++) {
        char number[12];
        fn_format(number, sizeof number, "%d", t->code);
        fn_table_row(table, (const char *[]){number, t->name, t->text[lang], t->hint[lang]});
    }
    fn_table_print(table);
}

static fn_err run_errors(const struct fn_call *call)
{
    if (fn_call_json(call)) {
        FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
        FN_TRY(errors_json(&b));
        fwrite(b.p, 1, b.n, stdout);
    } else if (fn_call_flag(call, "markdown")) {
        errors_markdown();
    } else {
        errors_table();
    }
    return FN_OK;
}

static const struct fn_option errors_options[] = {
    {.name = "markdown", .kind = FN_OPTION_FLAG, .help = {"输出 Markdown 表格", "print a Markdown table"}},
    {.name = NULL},
};

const struct fn_verb fn_cli_basic_verbs[] = {
    {
        .path = "help",
        .operands = "[VERB…]",
        .operands_most = -1,
        .summary = {"显示帮助", "show help"},
        .run = run_help,
        .examples = "  fengni help config\n  fengni help config check",
    },
    {.path = "version", .summary = {"显示版本", "show the version"}, .run = run_version},
    {
        .path = "errors",
        .summary = {"列出全部错误编号及处理建议", "list every error number and what to do"},
        .details = {"错误编号永不改变,可用于监控与工单。",
                    "Numbers never change; monitoring and tickets may rely on them."},
        .options = errors_options,
        .run = run_errors,
    },
    {
        .path = "man",
        .operands = "DIR",
        .operands_least = 1,
        .operands_most = 1,
        .summary = {"生成手册页", "write the manual pages"},
        .details = {"在 DIR/man1 写英文手册页,在 DIR/zh_CN/man1 写中文手册页:fengni(1) 以及每条命令一页。",
                    "Writes English pages to DIR/man1 and Chinese ones to DIR/zh_CN/man1: fengni(1) and one "
                    "for each verb."},
        .run = fn_cli_man,
        .examples = "  fengni man /usr/local/share/man",
    },
    {
        .path = "completion",
        .operands = "bash|zsh|fish",
        .operands_least = 1,
        .operands_most = 1,
        .summary = {"输出 shell 补全脚本", "print a completion script for a shell"},
        .run = fn_cli_completion,
        .examples = "  fengni completion bash > /etc/bash_completion.d/fengni",
    },
    {.path = NULL},
};
