/* A verb of the `fengni` command. One table entry gives the parser, --help, the man page and shell completion. */
#ifndef FN_BASE_SYS_VERB_H
#define FN_BASE_SYS_VERB_H

#include "base/core/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct fn_text {
    const char *zh, *en;
};

enum fn_option_kind {
    FN_OPTION_FLAG,
    FN_OPTION_TEXT,
    FN_OPTION_FILE, /* completed with file names */
    FN_OPTION_NUMBER,
};

struct fn_option {
    const char *name; /* long form without dashes */
    char letter;      /* short form or 0 */
    enum fn_option_kind kind;
    const char *value;    /* name of the value in help, e.g. "FILE" */
    const char *fallback; /* default as text, NULL when there is none */
    bool required, repeated;
    struct fn_text help;
};

/* The parsed call. Options that every verb has: --help, --json, --config FILE, --instance DIR. */
struct fn_call;
/* Value of an option (its default if not given), NULL when neither; repeated ones by position. */
const char *fn_call_text(const struct fn_call *call, const char *option);
const char *fn_call_text_at(const struct fn_call *call, const char *option, size_t position);
bool fn_call_flag(const struct fn_call *call, const char *option);
/* FN_E_USAGE names the option when the text is not a number in [least, most]. */
fn_err fn_call_number(const struct fn_call *call, const char *option, int64_t least, int64_t most, int64_t *value);
size_t fn_call_operands(const struct fn_call *call, const char *const **operands);
bool fn_call_json(const struct fn_call *call);
/* Folder of the instance: --instance, else FENGNI_INSTANCE, else /var/lib/fengni. */
const char *fn_call_instance(const struct fn_call *call);

struct fn_verb {
    const char *path;     /* "data protect" */
    const char *operands; /* "FILE…" or NULL when it takes none */
    int operands_least, operands_most; /* most < 0: any number */
    struct fn_text summary, details; /* details: paragraphs of the man page, may be NULL */
    const char *permission;          /* what `who` will ask for; NULL for public */
    const struct fn_option *options; /* ends with name == NULL */
    const char *examples;            /* lines of the man page, may be NULL */
    /* Returns 0, or an error whose chain the caller prints. Exit status: 0 done, 1 failed, 2 wrong usage; a verb that
     * verifies returns the error of what it found. */
    fn_err (*run)(const struct fn_call *call);
};

/* Language of this process: FENGNI_LANG=en, otherwise Chinese. */
enum fn_lang fn_lang(void);
static inline const char *fn_say(struct fn_text text) { return fn_lang() == FN_LANG_EN ? text.en : text.zh; }
#define FN_SAY(zh, en) (fn_lang() == FN_LANG_EN ? (en) : (zh))

/* Prints the chain of this thread's last failure to standard error, or as one JSON object to standard output: JSON is printed
 * one object a line, and an error is the last. */
void fn_err_print(fn_err code, bool json);

/* Text that somebody else may have chosen, for a terminal: control characters, which could move its cursor or worse, as "?". */
void fn_print_text(FILE *out, const char *text);

/* Progress of long work on standard error when it is a terminal (redrawn at most ten times a second); otherwise silent. */
struct fn_progress {
    struct fn_text what;
    uint64_t total, done; /* total 0: unknown */
    int64_t started_ms, drawn_ms;
    bool terminal;
};
void fn_progress_start(struct fn_progress *p, struct fn_text what, uint64_t total);
void fn_progress_step(struct fn_progress *p, uint64_t done);
void fn_progress_end(struct fn_progress *p);

/* Table for people on standard output: columns padded by display width (Chinese characters count two). */
struct fn_table;
struct fn_table *fn_table_new(size_t columns, const char *const *titles);
void fn_table_row(struct fn_table *table, const char *const *cells);
void fn_table_print(struct fn_table *table); /* and frees it */

#endif
