/* `fengni rng test`, when the randomness tests are linked in. */
#include "cli/cli.h"

const struct fn_verb fn_cli_rng_verbs[] = {{.path = NULL}};
