#include "cli/cli.h"

const struct fn_verb fn_cli_config_verbs[] = {{.path = NULL}};
