/* The `fengni` command: which verbs there are, and what is made from their table. */
#ifndef FN_CLI_CLI_H
#define FN_CLI_CLI_H

#include "base/core/bytes.h"
#include "base/sys/room.h"
#include <stdio.h>

/* Verbs that belong together in the help. */
struct fn_cli_group {
    struct fn_text title;
    const struct fn_verb *verbs; /* ends with path == NULL */
};

/* Every group: the command's own, the device's, each room's. */
size_t fn_cli_groups(const struct fn_cli_group **groups);
/* Every room that is linked in, ends with NULL. */
const struct fn_room *const *fn_cli_rooms(void);

/* Calls `each` for every verb of every group; stops at the first failure. */
fn_err fn_cli_each(fn_err (*each)(void *context, const struct fn_cli_group *group,
                                  const struct fn_verb *verb),
                   void *context);
/* The verb whose path is the longest beginning of the words; *used is how many words that took. NULL when
 * there is none. */
const struct fn_verb *fn_cli_find(size_t count, const char *const *words, size_t *used);
/* Whether some verb's path begins with these words and goes on. */
bool fn_cli_is_prefix(size_t count, const char *const *words);
/* The path nearest to what was typed, NULL when nothing is near. */
const char *fn_cli_suggest(size_t count, const char *const *words);

/* Help to a stream; `prefix` NULL or "" for everything, "data" for the verbs below it. */
void fn_cli_help_all(FILE *out, const char *prefix);
void fn_cli_help_verb(FILE *out, const struct fn_verb *verb);

/* The command's own verbs, one table for each file. */
extern const struct fn_verb fn_cli_basic_verbs[];
extern const struct fn_verb fn_cli_config_verbs[];
extern const struct fn_verb fn_cli_instance_verbs[];
extern const struct fn_verb fn_cli_rng_verbs[];
extern const struct fn_verb fn_cli_backend_verbs[];
/* `fengni device --…`: becomes fengni-device, or fengni-backend when --backend is among the words. Returns on
 * failure. */
fn_err fn_cli_become_device(int count, char **words);

/* Runs `fengni` with these words; the exit status. */
int fn_cli_main(int argc, char **argv);

/* Bodies of verbs that have a file of their own. */
fn_err fn_cli_man(const struct fn_call *call);
fn_err fn_cli_completion(const struct fn_call *call);

#endif
