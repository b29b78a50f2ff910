/* The log of a process: one JSON object a line, UTC, to standard error, a file or the system's log.
 *
 *     fn_log(FN_LOG_INFO, "key.created", fn_field_text("uuid", uuid), fn_field_number("version", 1));
 *
 * Fields are typed and there is none for secrets: what is not text, a number, a truth value or public bytes cannot be logged.
 * Safe for threads; a line is written with one call. */
#ifndef FN_BASE_SYS_LOG_H
#define FN_BASE_SYS_LOG_H

#include "base/core/bytes.h"

enum fn_log_level { FN_LOG_DEBUG, FN_LOG_INFO, FN_LOG_WARNING, FN_LOG_ERROR };
enum fn_log_target { FN_LOG_STDERR, FN_LOG_FILE, FN_LOG_SYSLOG };

struct fn_field {
    const char *key; /* NULL: no field */
    enum { FN_FIELD_TEXT, FN_FIELD_NUMBER, FN_FIELD_BOOL, FN_FIELD_HEX, FN_FIELD_ERR } kind;
    const char *text;
    int64_t number;
    struct fn_bytes bytes;
};
static inline struct fn_field fn_field_text(const char *key, const char *text)
{
    return (struct fn_field){.key = key, .kind = FN_FIELD_TEXT, .text = text};
}
static inline struct fn_field fn_field_number(const char *key, int64_t number)
{
    return (struct fn_field){.key = key, .kind = FN_FIELD_NUMBER, .number = number};
}
static inline struct fn_field fn_field_bool(const char *key, bool value)
{
    return (struct fn_field){.key = key, .kind = FN_FIELD_BOOL, .number = value};
}
/* Public bytes only: digests, identifiers. */
static inline struct fn_field fn_field_hex(const char *key, struct fn_bytes bytes)
{
    return (struct fn_field){.key = key, .kind = FN_FIELD_HEX, .bytes = bytes};
}
/* Number, name and the chain of this thread's last failure. */
static inline struct fn_field fn_field_err(fn_err code)
{
    return (struct fn_field){.key = "error", .kind = FN_FIELD_ERR, .number = code};
}

/* Before the first line: name of this part ("device") and where lines go; `file` only for FN_LOG_FILE, made 0640. May be called
 * again. Until then lines of FN_LOG_INFO and above go to standard error as part "fengni". */
fn_err fn_log_open(const char *part, enum fn_log_target target, const char *file, enum fn_log_level level);
void fn_log_level_set(enum fn_log_level level);
/* FN_E_ARGUMENT for anything but debug, info, warning, error. */
fn_err fn_log_level_parse(enum fn_log_level *level, const char *text);
/* On SIGHUP: opens the file anew after it was moved away; the old one stays in use when that fails. */
fn_err fn_log_reopen(void);
/* Identifier of the request that this thread works on, put into its lines; NULL for none. At most 63 bytes are kept. */
void fn_log_request(const char *id);
/* Lines that could not be written since the start. */
uint64_t fn_log_lost(void);

#define fn_log(level, event, ...)                                                                            \
    fn_log_write((level), (event), (const struct fn_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
/* Fields end with key == NULL. */
void fn_log_write(enum fn_log_level level, const char *event, const struct fn_field *fields);

#endif
