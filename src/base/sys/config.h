/* Configuration: one commented YAML file, conf.d/<name>.yaml beside it in name order, then the environment
 * (FENGNI_SECTION_KEY). Sections and settings are tables; what no table names is refused with its place. */
#ifndef FN_BASE_SYS_CONFIG_H
#define FN_BASE_SYS_CONFIG_H

#include "base/core/bytes.h"
#include "base/sys/verb.h"

enum fn_setting_kind {
    FN_SETTING_TEXT,
    FN_SETTING_NUMBER,
    FN_SETTING_BOOL,     /* true or false */
    FN_SETTING_DURATION, /* 500ms 10s 5m 2h 7d; read as milliseconds */
    FN_SETTING_SIZE,     /* 4096 64KiB 1MiB 2GiB; read as bytes */
    FN_SETTING_CHOICE,
};

struct fn_setting {
    const char *name; /* lower case letters, digits and '_', below its section */
    enum fn_setting_kind kind;
    const char *fallback; /* as it would stand in the file */
    struct fn_text help;
    int64_t least, most;        /* NUMBER, DURATION, SIZE; both 0: no bounds but 0 and up */
    const char *const *choices; /* CHOICE; ends with NULL */
    bool live;                  /* a reload puts it in force; otherwise a restart is needed */
};

struct fn_section {
    const char *name; /* NULL ends a list of sections */
    struct fn_text help;
    const struct fn_setting *settings; /* ends with name == NULL */
};

struct fn_config;
/* Reads FILE, DIR(FILE)/conf.d, the environment. A missing FILE is as good as an empty one unless `required`. FN_E_CONFIG with
 * "file:line:column: what" for everything that is not exactly right. `sections` must outlive the configuration. */
fn_err fn_config_load(struct fn_config **config, const struct fn_section *sections, const char *file, bool required);
void fn_config_free(struct fn_config *config);

/* Values by "section.name"; asking for what no table names is a fault of the program and gives NULL, 0, false. */
const char *fn_config_text(const struct fn_config *config, const char *key);
int64_t fn_config_number(const struct fn_config *config, const char *key);
bool fn_config_bool(const struct fn_config *config, const char *key);
/* Where the value comes from: "fengni.yaml:12:3", "FENGNI_LOG_LEVEL" or "" for the default. */
const char *fn_config_source(const struct fn_config *config, const char *key);

/* Every setting in the order of the tables. */
typedef fn_err fn_config_each_fn(void *context, const struct fn_section *section, const struct fn_setting *setting,
                                 const char *value, const char *source);
fn_err fn_config_each(const struct fn_config *config, fn_config_each_fn *each, void *context);
/* Settings whose values differ; of two configurations with the same sections. */
typedef fn_err fn_config_change_fn(void *context, const struct fn_section *section, const struct fn_setting *setting,
                                   const char *before, const char *after);
fn_err fn_config_compare(const struct fn_config *before, const struct fn_config *after, fn_config_change_fn *each,
                         void *context);
/* Reads again; on success *config is replaced and each change was told (setting->live says whether it is in force now);
 * on failure the old one stays. */
fn_err fn_config_reload(struct fn_config **config, fn_config_change_fn *each, void *context);

/* The commented file with every default. */
fn_err fn_config_default(const struct fn_section *sections, struct fn_buf *out);
/* The number that a text of this kind means; FN_E_CONFIG says what would be right. */
fn_err fn_setting_number(const struct fn_setting *setting, const char *text, int64_t *value);

#endif
