/* The shape of a configuration file, apart from what its keys mean. */
#ifndef FN_BASE_SYS_CONFIG_YAML_H
#define FN_BASE_SYS_CONFIG_YAML_H

#include "base/core/err.h"

struct fn_yaml_place {
    const char *file;
    size_t line, column; /* from 1 */
};
#define FN_FAIL_AT(place, format, ...)                                                                       \
    FN_FAIL(FN_E_CONFIG, "%s:%zu:%zu: " format, (place)->file, (place)->line, (place)->column, __VA_ARGS__)

/* One value: section, key, text, and where the key stands. */
typedef fn_err fn_yaml_value_fn(void *context, const char *section, const char *key, const char *value,
                                const struct fn_yaml_place *place);
/* Reads "section: {key: scalar, …}, …": one document, no anchors, aliases, tags, lists, nor a section or key twice. */
fn_err fn_yaml_read(const char *path, const char *shown, fn_yaml_value_fn *each, void *context);

#endif
