#include "cases.h"
#include "scenario.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *scenario_text(const char *zh, const char *en)
{
    const char *lang = getenv("FENGNI_LANG");
    return lang && strncmp(lang, "en", 2) == 0 ? en : zh;
}

int scenario_number(const char *text, unsigned long long least, unsigned long long *v)
{
    char *end;
    errno = 0;
    *v = strtoull(text, &end, 10);
    return errno || end == text || *end || text[0] == '-' || *v < least ? -1 : 0;
}

int scenario_generate(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"cases", required_argument, NULL, 'n'},
                                            {"out", required_argument, NULL, 'o'},
                                            {0}};
    unsigned long long seed = 1, cases = 10000;
    const char *path = NULL;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int bad = c == 's'   ? scenario_number(optarg, 0, &seed)
                  : c == 'n' ? scenario_number(optarg, 1, &cases)
                  : c == 'o' ? 0
                             : -1;
        if (c == 'o') path = optarg;
        if (bad)
            return fprintf(stderr, "%s\n", scenario_text("参数错误,见 --help", "bad argument, see --help")),
                   2;
    }
    if (optind != argc)
        return fprintf(stderr, "%s: %s\n", argv[optind], scenario_text("多余的参数", "an argument too many")),
               2;
    FILE *out = path ? fopen(path, "we") : stdout;
    if (!out) return fprintf(stderr, "%s: %s\n", path, strerror(errno)), 1;
    for (int i = 0; i < CASE_COLUMNS; i++) fprintf(out, "%s%s", i ? "," : "", case_columns[i]);
    fputs("\r\n", out);
    for (unsigned long long n = 0; n < cases; n++) {
        struct case_row row;
        case_make(seed, n, &row);
        /* No field holds a comma, a quote or a line end, so none needs quoting (RFC 4180 2.6). */
        for (int i = 0; i < CASE_COLUMNS; i++) fprintf(out, "%s%s", i ? "," : "", row.field[i]);
        fputs("\r\n", out);
    }
    int failed = ferror(out);
    if (out != stdout)
        failed |= fclose(out);
    else
        failed |= fflush(out);
    if (failed) fprintf(stderr, "%s: %s\n", path ? path : "stdout", strerror(errno));
    return failed ? 1 : 0;
}
