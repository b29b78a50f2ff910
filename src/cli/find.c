/* Finding a verb by the words typed, and the nearest one when there is none. */
#include "cli/cli.h"

#include <string.h>

fn_err fn_cli_each(fn_err (*each)(void *context, const struct fn_cli_group *group,
                                  const struct fn_verb *verb),
                   void *context)
{
    const struct fn_cli_group *groups;
    size_t count = fn_cli_groups(&groups);
    for (size_t i = 0; i < count; i++)
        for (const struct fn_verb *v = groups[i].verbs; v->path; v++) FN_TRY(each(context, &groups[i], v));
    return FN_OK;
}

/* Words of `path` that the typed words match from the left; *whole tells whether the path ended with them. */
static size_t match(const char *path, size_t count, const char *const *words, bool *whole)
{
    size_t n = 0;
    while (*path && n < count) {
        size_t length = strcspn(path, " ");
        if (strlen(words[n]) != length || memcmp(path, words[n], length) != 0) break;
        n++;
        path += length + (path[length] == ' ');
    }
    *whole = !*path;
    return n;
}

struct search {
    size_t count;
    const char *const *words;
    const struct fn_verb *best;
    size_t used;
    bool prefix;
};

static fn_err look(void *context, const struct fn_cli_group *group, const struct fn_verb *verb)
{
    (void)group;
    struct search *s = context;
    bool whole;
    size_t n = match(verb->path, s->count, s->words, &whole);
    if (whole && n > s->used) s->best = verb, s->used = n;
    if (!whole && n == s->count) s->prefix = true;
    return FN_OK;
}

const struct fn_verb *fn_cli_find(size_t count, const char *const *words, size_t *used)
{
    struct search s = {.count = count, .words = words};
    fn_cli_each(look, &s);
    *used = s.used;
    return s.best;
}

bool fn_cli_is_prefix(size_t count, const char *const *words)
{
    struct search s = {.count = count, .words = words};
    fn_cli_each(look, &s);
    return count && s.prefix;
}

#define TYPED_MOST 60

/* Edit distance (insert, delete, replace, swap of neighbours) between two short texts. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > TYPED_MOST || m > TYPED_MOST) return SIZE_MAX;
    uint8_t d[TYPED_MOST + 1][TYPED_MOST + 1];
    for (size_t i = 0; i <= n; i++) d[i][0] = (uint8_t)i;
    for (size_t k = 0; k <= m; k++) d[0][k] = (uint8_t)k;
    for (size_t i = 1; i <= n; i++)
        for (size_t k = 1; k <= m; k++) {
            unsigned least = d[i - 1][k - 1] + (a[i - 1] != b[k - 1]);
            if (d[i - 1][k] + 1u < least) least = d[i - 1][k] + 1u;
            if (d[i][k - 1] + 1u < least) least = d[i][k - 1] + 1u;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                d[i - 2][k - 2] + 1u < least)
                least = d[i - 2][k - 2] + 1u;
            d[i][k] = (uint8_t)least;
        }
    return d[n][m];
}

struct nearest {
    size_t count;
    const char *const *words;
    size_t best;
    const char *path;
};

static fn_err compare(void *context, const struct fn_cli_group *group, const struct fn_verb *verb)
{
    (void)group;
    struct nearest *near = context;
    char typed[TYPED_MOST + 2] = "";
    size_t words = 1;
    for (const char *p = verb->path; *p; p++) words += *p == ' ';
    if (words > near->count) words = near->count;
    size_t n = 0;
    for (size_t i = 0; i < words && n < sizeof typed; i++)
        n += fn_format(typed + n, sizeof typed - n, "%s%s", i ? " " : "", near->words[i]);
    if (n >= sizeof typed) return FN_OK;
    size_t d = distance(typed, verb->path);
    if (d < near->best) near->best = d, near->path = verb->path;
    return FN_OK;
}

const char *fn_cli_suggest(size_t count, const char *const *words)
{
    struct nearest near = {.count = count, .words = words, .best = SIZE_MAX};
    fn_cli_each(compare, &near);
    return near.path && near.best <= 1 + strlen(near.path) / 3 ? near.path : NULL;
}
