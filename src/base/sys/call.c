#include "base/sys/call.h"

#include "base/sys/heap.h"
#include <errno.h>
#include <getopt.h>
#include <string.h>

#define OPTIONS_MOST 64

const struct fn_option fn_call_common[] = {
    {.name = "help",
     .letter = 'h',
     .kind = FN_OPTION_FLAG,
     .help = {"显示本命令的帮助", "show help for this command"}},
    {.name = "json", .kind = FN_OPTION_FLAG, .help = {"以 JSON 输出结果", "print the result as JSON"}},
    {.name = "config",
     .kind = FN_OPTION_FILE,
     .value = "FILE",
     .help = {"配置文件(默认:实例目录下的 fengni.yaml)",
              "configuration file (default: fengni.yaml of the instance)"}},
    {.name = "instance",
     .kind = FN_OPTION_FILE,
     .value = "DIR",
     .help = {"实例目录(默认:环境变量 FENGNI_INSTANCE,否则 /var/lib/fengni)",
              "folder of the instance (default: FENGNI_INSTANCE, else /var/lib/fengni)"}},
    {.name = NULL},
};

struct fn_call {
    const struct fn_verb *verb;
    size_t count; /* options of the verb, then the common ones */
    const struct fn_option *options[OPTIONS_MOST];
    struct given {
        const struct fn_option *option;
        const char *value;
    } * given;
    size_t given_count, given_room;
    const char *const *operands;
    size_t operand_count;
};

static fn_err collect(struct fn_call *call, const struct fn_option *options)
{
    for (const struct fn_option *o = options; o && o->name; o++) {
        if (call->count == OPTIONS_MOST)
            return FN_FAIL(FN_E_INTERNAL, "%s has too many options", call->verb->path);
        call->options[call->count++] = o;
    }
    return FN_OK;
}

static const struct fn_option *find(const struct fn_call *call, const char *name)
{
    for (size_t i = 0; i < call->count; i++)
        if (!strcmp(call->options[i]->name, name)) return call->options[i];
    return NULL;
}

static const char *value_of(const struct fn_call *call, const struct fn_option *option, size_t position)
{
    for (size_t i = 0; i < call->given_count; i++)
        if (call->given[i].option == option && position-- == 0)
            return call->given[i].value ? call->given[i].value : "";
    return NULL;
}

static fn_err take(struct fn_call *call, const struct fn_option *option, const char *value)
{
    if (!option->repeated && value_of(call, option, 0))
        return FN_FAIL(FN_E_USAGE, "--%s given twice", option->name);
    FN_TRY(fn_heap_grow(&call->given, &call->given_room, call->given_count + 1, sizeof *call->given));
    call->given[call->given_count++] = (struct given){option, value};
    return FN_OK;
}

/* The value getopt_long returns for option i; letters are found by their own number. */
#define LONG_BASE 0x1000

static const struct fn_option *by_result(const struct fn_call *call, int result)
{
    if (result >= LONG_BASE) return call->options[result - LONG_BASE];
    for (size_t i = 0; i < call->count; i++)
        if (call->options[i]->letter == result) return call->options[i];
    return NULL;
}

static fn_err refuse(const struct fn_call *call, int result, const char *word)
{
    if (result == ':') return FN_FAIL(FN_E_USAGE, "option %s needs a value", word);
    if (optopt >= LONG_BASE)
        return FN_FAIL(FN_E_USAGE, "option --%s takes no value", by_result(call, optopt)->name);
    if (optopt) return FN_FAIL(FN_E_USAGE, "unknown option -%c", optopt);
    return FN_FAIL(FN_E_USAGE, "unknown option %s", word);
}

static fn_err parse_options(struct fn_call *call, int argc, char **argv)
{
    struct option longs[OPTIONS_MOST + 1] = {{0}};
    char shorts[2 * OPTIONS_MOST + 2] = ":";
    size_t n = 1;
    for (size_t i = 0; i < call->count; i++) {
        const struct fn_option *o = call->options[i];
        int has = o->kind == FN_OPTION_FLAG ? no_argument : required_argument;
        longs[i] = (struct option){o->name, has, NULL, LONG_BASE + (int)i};
        if (!o->letter) continue;
        shorts[n++] = o->letter;
        if (has == required_argument) shorts[n++] = ':';
    }
    optind = 0; /* glibc: start afresh */
    opterr = 0;
    for (;;) {
        int result = getopt_long(argc, argv, shorts, longs, NULL);
        if (result == -1) break;
        if (result == '?' || result == ':') return refuse(call, result, argv[optind - 1]);
        const struct fn_option *o = by_result(call, result);
        FN_TRY(take(call, o, o->kind == FN_OPTION_FLAG ? NULL : optarg));
    }
    call->operands = (const char *const *)argv + optind;
    call->operand_count = (size_t)(argc - optind);
    return FN_OK;
}

static fn_err check(const struct fn_call *call)
{
    for (size_t i = 0; i < call->count; i++)
        if (call->options[i]->required && !value_of(call, call->options[i], 0))
            return FN_FAIL(FN_E_USAGE, "--%s is required", call->options[i]->name);
    int least = call->verb->operands_least, most = call->verb->operands_most;
    if (!call->verb->operands) least = most = 0;
    size_t n = call->operand_count;
    if (n < (size_t)least)
        return FN_FAIL(FN_E_USAGE, "%s: %zu given, at least %d wanted", call->verb->operands, n, least);
    if (most >= 0 && n > (size_t)most)
        return FN_FAIL(FN_E_USAGE, "unexpected word \"%s\" after %s", call->operands[most], call->verb->path);
    return FN_OK;
}

fn_err fn_call_parse(struct fn_call **call, const struct fn_verb *verb, int argc, char **argv)
{
    struct fn_call *fresh;
    *call = NULL;
    FN_TRY(fn_heap_array(&fresh, 1, sizeof *fresh));
    fresh->verb = verb;
    fn_err err = collect(fresh, verb->options);
    if (err == FN_OK) err = collect(fresh, fn_call_common);
    if (err == FN_OK) err = parse_options(fresh, argc, argv);
    if (err == FN_OK && !fn_call_help(fresh)) err = check(fresh);
    if (err != FN_OK) {
        fn_call_free(fresh);
        return err;
    }
    *call = fresh;
    return FN_OK;
}

void fn_call_free(struct fn_call *call)
{
    if (!call) return;
    free(call->given);
    free(call);
}

const char *fn_call_text_at(const struct fn_call *call, const char *option, size_t position)
{
    const struct fn_option *o = find(call, option);
    if (!o) return NULL;
    const char *value = value_of(call, o, position);
    return value || position ? value : o->fallback;
}

const char *fn_call_text(const struct fn_call *call, const char *option)
{
    return fn_call_text_at(call, option, 0);
}

bool fn_call_flag(const struct fn_call *call, const char *option)
{
    const struct fn_option *o = find(call, option);
    return o && value_of(call, o, 0);
}

fn_err fn_call_number(const struct fn_call *call, const char *option, int64_t least, int64_t most,
                      int64_t *value)
{
    const char *text = fn_call_text(call, option);
    if (!text) return FN_FAIL(FN_E_USAGE, "--%s is required", option);
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    bool digits = (text[0] >= '0' && text[0] <= '9') || (text[0] == '-' && text[1] >= '0' && text[1] <= '9');
    if (errno || !digits || *end || v < least || v > most)
        return FN_FAIL(FN_E_USAGE, "--%s %s: a number from %lld to %lld is wanted", option, text,
                       (long long)least, (long long)most);
    *value = v;
    return FN_OK;
}

size_t fn_call_operands(const struct fn_call *call, const char *const **operands)
{
    *operands = call->operands;
    return call->operand_count;
}

bool fn_call_json(const struct fn_call *call)
{
    return fn_call_flag(call, "json");
}
bool fn_call_help(const struct fn_call *call)
{
    return fn_call_flag(call, "help");
}

const char *fn_call_instance(const struct fn_call *call)
{
    const char *given = fn_call_text(call, "instance");
    if (given) return given;
    given = getenv("FENGNI_INSTANCE");
    return given && *given ? given : "/var/lib/fengni";
}
