/* An instance: a folder with configuration, device, data, sockets and logs, and the parts that run on it. */
#ifndef FN_CLI_INSTANCE_H
#define FN_CLI_INSTANCE_H

#include "base/sys/config.h"
#include "base/sys/process.h"

/* Sections of the configuration: the instance's own, the log's, each room's. */
const struct fn_section *fn_cli_sections(void);
/* --config, else fengni.yaml of the instance. */
fn_err fn_cli_config_path(const struct fn_call *call, char **path);

#define FN_PARTS_MOST 32
#define FN_WORDS_MOST 16

/* The parts of an instance with their command lines; owns the text. */
struct fn_instance_parts {
    struct fn_part part[FN_PARTS_MOST];
    const char *words[FN_PARTS_MOST][FN_WORDS_MOST + 1];
    size_t count;
    bool separate; /* each part has a uid of its own */
    char *owned[FN_PARTS_MOST * FN_WORDS_MOST];
    size_t owned_count;
};
/* Lists the parts from the table of parts, the configuration and who we are; programs are looked for beside this one.
 * `instance` is an absolute path. */
fn_err fn_instance_parts(struct fn_instance_parts *parts, const char *instance, const struct fn_config *config);
void fn_instance_parts_free(struct fn_instance_parts *parts);
/* As root: gives the folders of a part to its uid. */
fn_err fn_instance_own(const struct fn_instance_parts *parts, const char *instance);

/* Bodies of the verbs. */
fn_err fn_cli_up(const struct fn_call *call);
fn_err fn_cli_status(const struct fn_call *call);

/* run/up.json of an instance: what the supervisor last wrote for `status`. */
#define FN_UP_FILE "run/up.json"
#define FN_UP_LOCK "run/up.pid"

#endif
