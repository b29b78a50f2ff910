/* What a room exports: one constant that the doors (command line, server, console) walk over. */
#ifndef FN_BASE_SYS_ROOM_H
#define FN_BASE_SYS_ROOM_H

#include "base/sys/store.h"
#include "base/sys/verb.h"

struct fn_buf;

struct fn_room {
    const char *name;               /* "data" */
    struct fn_text product;         /* 产品 in the words of the guideline's Table 3 */
    const char *standard;           /* "GB/T 39786 8.4 e, f" */
    const struct fn_setting *config; /* its settings below its name, ends with name == NULL; NULL for none */
    const struct fn_schema_step *schema; /* its tables, ends with sql == NULL; NULL for none */
    const struct fn_verb *verbs;    /* ends with path == NULL */
    const char *const *permissions; /* ends with NULL */
    const char *const *events;      /* names of the log records it writes, ends with NULL */
    const char *const *needs;       /* device capabilities, by operation name, ends with NULL */
    /* JSON objects appended to `out`; NULL when the room has nothing to tell. */
    fn_err (*status)(const char *instance, struct fn_buf *out);
    fn_err (*evidence)(const char *instance, struct fn_buf *out);
};

#endif
