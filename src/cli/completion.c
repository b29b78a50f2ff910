/* Completion scripts from the table of verbs. Each script holds the words that may follow every beginning of
 * a path, and the options of every whole path. */
#include "base/sys/call.h"
#include "base/sys/heap.h"
#include "cli/cli.h"

#include <string.h>

/* The word of `path` after `prefix` (which is "" or whole words), empty when path does not go on from there.
 */
static size_t next_word(const char *path, const char *prefix, const char **word)
{
    size_t n = strlen(prefix);
    if (n && (strncmp(path, prefix, n) || path[n] != ' ')) return 0;
    *word = path + n + (n != 0);
    return strcspn(*word, " ");
}

struct words {
    struct fn_buf *out; /* words separated by spaces */
    const char *prefix;
};

static fn_err add_next(void *context, const struct fn_cli_group *group, const struct fn_verb *verb)
{
    (void)group;
    struct words *w = context;
    const char *word = NULL;
    size_t n = next_word(verb->path, w->prefix, &word);
    if (!n) return FN_OK;
    FN_SCOPED_HEAP char *spaced = NULL, *have = NULL;
    FN_TRY(fn_heap_format(&spaced, " %.*s ", (int)n, word));
    FN_TRY(fn_heap_format(&have, " %.*s ", (int)w->out->n, w->out->p ? (const char *)w->out->p : ""));
    if (strstr(have, spaced)) return FN_OK;
    return fn_buf_format(w->out, "%s%.*s", w->out->n ? " " : "", (int)n, word);
}

static fn_err bash_options(const struct fn_verb *verb)
{
    printf("    \"%s\")\n        words=\"", verb->path);
    for (const struct fn_option *o = verb->options; o && o->name; o++) printf("--%s ", o->name);
    for (const struct fn_option *o = fn_call_common; o->name; o++) printf("--%s ", o->name);
    printf("\"\n        files=\"");
    for (const struct fn_option *o = verb->options; o && o->name; o++)
        if (o->kind == FN_OPTION_FILE) printf("--%s ", o->name);
    puts("--config --instance \" ;;");
    return FN_OK;
}

/* One case for a path and each of its beginnings; the same beginning may come up again and is harmless. */
static fn_err bash_case(void *context, const struct fn_cli_group *group, const struct fn_verb *verb)
{
    (void)context;
    (void)group;
    for (const char *space = strchr(verb->path, ' '); space; space = strchr(space + 1, ' ')) {
        FN_SCOPED_HEAP char *prefix = NULL;
        FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
        FN_TRY(fn_heap_text(&prefix, verb->path, (size_t)(space - verb->path)));
        FN_TRY(fn_cli_each(add_next, &(struct words){&b, prefix}));
        printf("    \"%s\")\n        words=\"%.*s\" ;;\n", prefix, (int)b.n, (const char *)b.p);
    }
    return bash_options(verb);
}

static fn_err bash(void)
{
    FN_SCOPED_BUF struct fn_buf first = fn_buf_heap();
    FN_TRY(fn_cli_each(add_next, &(struct words){&first, ""}));
    puts("# completion of fengni for bash\n_fengni()\n{\n    local cur=${COMP_WORDS[COMP_CWORD]} "
         "prev=${COMP_WORDS[COMP_CWORD-1]} "
         "path= words= files= i w\n"
         "    for ((i = 1; i < COMP_CWORD; i++)); do\n        w=${COMP_WORDS[i]}\n        [[ $w == -* ]] && "
         "break\n"
         "        path=\"${path:+$path }$w\"\n    done\n    while :; do\n    case \"$path\" in");
    printf("    \"\")\n        words=\"%.*s\" ;;\n", (int)first.n, (const char *)first.p);
    FN_TRY(fn_cli_each(bash_case, NULL));
    puts("    *)\n        [[ $path == *\" \"* ]] && { path=${path% *}; continue; } ;;\n    esac\n    break\n "
         "   done\n"
         "    if [[ \" $files \" == *\" $prev \"* || ( -z $words && $cur != -* ) ]]; then\n"
         "        COMPREPLY=($(compgen -f -- \"$cur\"))\n    else\n"
         "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "        [[ ${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- \"$cur\"))\n    fi\n}\n"
         "complete -o filenames -F _fengni fengni");
    return FN_OK;
}

static fn_err zsh(void)
{
    puts("#compdef fengni\nautoload -U +X bashcompinit && bashcompinit");
    return bash();
}

static void fish_quoted(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\') putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void fish_option(const char *path, const struct fn_option *o)
{
    printf("complete -c fengni -n '__fengni_at \"%s\"' -l %s", path, o->name);
    if (o->letter) printf(" -s %c", o->letter);
    if (o->kind != FN_OPTION_FLAG) printf(o->kind == FN_OPTION_FILE ? " -r -F" : " -x");
    printf(" -d ");
    fish_quoted(fn_say(o->help));
    putchar('\n');
}

static fn_err fish_verb(void *context, const struct fn_cli_group *group, const struct fn_verb *verb)
{
    (void)context;
    (void)group;
    const char *last = strrchr(verb->path, ' ');
    FN_SCOPED_HEAP char *prefix = NULL;
    FN_TRY(fn_heap_text(&prefix, verb->path, last ? (size_t)(last - verb->path) : 0));
    /* A word in the middle of a path completes as itself. */
    if (last) {
        const char *before = strrchr(prefix, ' ');
        FN_SCOPED_HEAP char *upper = NULL;
        FN_TRY(fn_heap_text(&upper, prefix, before ? (size_t)(before - prefix) : 0));
        printf("complete -c fengni -f -n '__fengni_is \"%s\"' -a '%s'\n", upper,
               before ? before + 1 : prefix);
    }
    printf("complete -c fengni -f -n '__fengni_is \"%s\"' -a '%s' -d ", prefix, last ? last + 1 : verb->path);
    fish_quoted(fn_say(verb->summary));
    putchar('\n');
    for (const struct fn_option *o = verb->options; o && o->name; o++) fish_option(verb->path, o);
    for (const struct fn_option *o = fn_call_common; o->name; o++) fish_option(verb->path, o);
    return FN_OK;
}

static fn_err fish(void)
{
    puts("# completion of fengni for fish\nfunction __fengni_path\n    set -l words (commandline -opc)\n    "
         "set -l path\n"
         "    for w in $words[2..-1]\n        string match -q -- '-*' $w; and break\n        set -a path "
         "$w\n    end\n"
         "    echo \"$path\"\nend\nfunction __fengni_is\n    test (__fengni_path) = \"$argv[1]\"\nend\n"
         "function __fengni_at\n    string match -q -- \"$argv[1]\" (__fengni_path); or string match -q -- "
         "\"$argv[1] *\" (__fengni_path)\nend");
    return fn_cli_each(fish_verb, NULL);
}

fn_err fn_cli_completion(const struct fn_call *call)
{
    static const struct {
        const char *name;
        fn_err (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    const char *const *operand;
    fn_call_operands(call, &operand);
    for (size_t i = 0; i < FN_COUNT(shells); i++)
        if (!strcmp(shells[i].name, operand[0])) return shells[i].print();
    return FN_FAIL(FN_E_USAGE, "shell \"%s\": bash, zsh or fish", operand[0]);
}
