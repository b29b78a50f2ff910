/* `fengni rng test FILE`: the randomness tests on a file, as a table or as JSON. */
#ifndef FN_BASE_SYS_RANDOMNESS_REPORT_H
#define FN_BASE_SYS_RANDOMNESS_REPORT_H

#include "base/core/err.h"
#include <stdbool.h>
#include <stdio.h>

struct fn_randomness_file_options {
    const char *group; /* "factory", "power-on", "periodic", "single"; NULL: the whole file as one sample */
    enum fn_lang lang;
    bool json; /* one object a line: a line for each row, then one for the whole */
};

/* Tests the bits of the file at path ("-" is standard input), most significant bit of each byte first; bytes
 * beyond what the group takes are not looked at. Exit status: 0 passed, 1 not passed, 2 could not be tested
 * (said on `errors`). */
int fn_randomness_file_report(const char *path, const struct fn_randomness_file_options *options, FILE *out,
                              FILE *errors);

#endif
