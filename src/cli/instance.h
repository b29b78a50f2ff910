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
#define FN_WORDS_MOST 24

struct part_row;

/* The parts of an instance with their command lines; owns the text. */
struct fn_instance_parts {
    struct fn_part part[FN_PARTS_MOST];
    const char *words[FN_PARTS_MOST][FN_WORDS_MOST + 1];
    const struct part_row *row[FN_PARTS_MOST]; /* of the table of parts */
    uid_t owner[FN_PARTS_MOST];                /* uid of its folders and, with `separate`, of its process */
    size_t count;
    bool separate; /* each part has a uid of its own */
    char *owned[FN_PARTS_MOST * FN_WORDS_MOST];
    size_t owned_count;
};
/* Lists the parts from the table of parts, the configuration and who we are; programs are looked for beside
 * this one. `instance` is an absolute path. */
fn_err fn_instance_parts(struct fn_instance_parts *parts, const char *instance,
                         const struct fn_config *config);
void fn_instance_parts_free(struct fn_instance_parts *parts);
/* As root: gives the folders of a part to its uid. */
fn_err fn_instance_own(const struct fn_instance_parts *parts, const char *instance);

/* Bodies of the verbs. */
fn_err fn_cli_up(const struct fn_call *call);
fn_err fn_cli_status(const struct fn_call *call);

/* What the supervisor last wrote for `status`, and its lock. They stand in the folder of the instance itself,
 * which belongs to whoever runs `up`: in a folder that belongs to a part, the part could lead the
 * supervisor's pen elsewhere. */
#define FN_UP_FILE "up.json"
#define FN_UP_LOCK "up.pid"

#endif
