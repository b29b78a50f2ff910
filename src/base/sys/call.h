/* From a command line to a call of a verb. */
#ifndef FN_BASE_SYS_CALL_H
#define FN_BASE_SYS_CALL_H

#include "base/sys/verb.h"

/* Options of every verb, ends with name == NULL. */
extern const struct fn_option fn_call_common[];

/* Parses argv[1…] by the verb's own and the common options; options and operands may be mixed, "--" ends the options.
 * argv may be reordered and must outlive the call. FN_E_USAGE names what is wrong; required options and the number of operands
 * are not asked for when help is. */
fn_err fn_call_parse(struct fn_call **call, const struct fn_verb *verb, int argc, char **argv);
void fn_call_free(struct fn_call *call);
bool fn_call_help(const struct fn_call *call);

#endif
