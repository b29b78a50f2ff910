/* From the words of the command line to a verb and an exit status. */
#include "base/sys/call.h"
#include "base/sys/heap.h"
#include "cli/cli.h"
#include "crypto/cpu.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int status_of(fn_err err)
{
    return err == FN_OK ? EXIT_DONE : err == FN_E_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

/* Words before the verb that are common options; their values are counted too. */
static size_t leading_options(int argc, char **argv)
{
    size_t n = 0;
    while ((int)n + 1 < argc && argv[n + 1][0] == '-') {
        const char *word = argv[n + 1];
        n++;
        for (const struct fn_option *o = fn_call_common; o->name; o++)
            if (o->kind != FN_OPTION_FLAG && !strncmp(word, "--", 2) && !strcmp(word + 2, o->name)) n++;
    }
    return n < (size_t)argc ? n : (size_t)argc - 1;
}

static bool has(size_t count, char **words, const char *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(words[i], wanted)) return true;
    return false;
}

static int no_verb(size_t leading, char **argv, size_t count, const char *const *words)
{
    bool help = has(leading, argv + 1, "--help") || has(leading, argv + 1, "-h");
    bool json = has(leading, argv + 1, "--json");
    size_t named = 0;
    while (named < count && words[named][0] != '-') named++;
    for (size_t i = named; i < count; i++)
        help = help || !strcmp(words[i], "--help") || !strcmp(words[i], "-h");
    char prefix[80] = "";
    size_t n = 0;
    for (size_t i = 0; i < named && n < sizeof prefix; i++)
        n += fn_format(prefix + n, sizeof prefix - n, "%s%s", i ? " " : "", words[i]);
    if (!named || fn_cli_is_prefix(named, words)) {
        if (!help && named == 0 && leading)
            fn_err_print(FN_FAIL(FN_E_USAGE, "unknown option %s before a verb", argv[1]), json);
        fn_cli_help_all(help ? stdout : stderr, prefix);
        return help ? EXIT_DONE : EXIT_USAGE;
    }
    const char *near = fn_cli_suggest(named, words);
    fn_err err =
        near ? FN_FAIL(FN_E_USAGE,
                       FN_SAY("没有命令 \"%s\";是否要用 \"%s\"?", "no verb \"%s\"; did you mean \"%s\"?"),
                       prefix, near)
             : FN_FAIL(FN_E_USAGE,
                       FN_SAY("没有命令 \"%s\";`fengni help` 列出全部命令",
                              "no verb \"%s\"; `fengni help` lists them"),
                       prefix);
    fn_err_print(err, json);
    return EXIT_USAGE;
}

/* argv of the verb: its path, the options that stood before it, the rest. */
static int run_verb(const struct fn_verb *verb, size_t used, size_t leading, int argc, char **argv)
{
    FN_SCOPED_HEAP char **words = NULL;
    if (fn_heap_array(&words, (size_t)argc + 1, sizeof *words) != FN_OK) return EXIT_FAILED;
    size_t n = 0;
    words[n++] = (char *)verb->path;
    for (size_t i = 0; i < leading; i++) words[n++] = argv[1 + i];
    for (size_t i = 1 + leading + used; i < (size_t)argc; i++) words[n++] = argv[i];
    bool json = has(n - 1, words + 1, "--json");
    struct fn_call *call;
    fn_err err = fn_call_parse(&call, verb, (int)n, words);
    if (err == FN_OK && fn_call_help(call)) {
        fn_cli_help_verb(stdout, verb);
    } else if (err == FN_OK) {
        fn_err_clear();
        err = verb->run(call);
    }
    if (err != FN_OK) {
        fflush(stdout);
        fn_err_print(err, json);
    }
    fn_call_free(call);
    return status_of(err);
}

/* A descriptor 0 to 2 that is closed would be given to the next file opened, and what is meant for people
 * would be written into a store or a lock. It is opened the wrong way round, so that using it still fails. */
static bool standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd) return false;
    return true;
}

int fn_cli_main(int argc, char **argv)
{
    if (argc < 1) return EXIT_USAGE;
    if (!standard_streams()) return EXIT_FAILED;
    if (!setlocale(LC_CTYPE, "C.UTF-8")) setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    size_t leading = leading_options(argc, argv);
    char *version[] = {argv[0], "version", NULL};
    if (has(leading, argv + 1, "--version")) {
        argv = version;
        argc = 2;
        leading = 0;
    }
    size_t count = (size_t)argc - 1 - leading, used;
    const char *const *words = (const char *const *)argv + 1 + leading;
    if (fn_cpu_select(getenv("FENGNI_CPU")) != FN_OK) {
        fn_err_print(FN_WRAP(FN_E_USAGE, "FENGNI_CPU=%s", getenv("FENGNI_CPU")), false);
        return EXIT_USAGE;
    }
    if (count > 1 && !strcmp(words[0], "device") && !strncmp(words[1], "--", 2) &&
        strcmp(words[1], "--help")) {
        fn_err_print(fn_cli_become_device((int)count - 1, argv + 2 + leading), false);
        return EXIT_FAILED;
    }
    const struct fn_verb *verb = fn_cli_find(count, words, &used);
    int status = verb ? run_verb(verb, used, leading, argc, argv) : no_verb(leading, argv, count, words);
    /* A result that could not be written is a failure: disks fill, pipes close. */
    if (fflush(stdout) || ferror(stdout)) {
        if (status == EXIT_DONE) status = EXIT_FAILED;
    }
    return status;
}
