#include "cli/cli.h"

const struct fn_verb fn_cli_instance_verbs[] = {{.path = NULL}};
