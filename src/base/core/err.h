/* Errors: one flat list of stable numbers with Chinese and English text, and the chain of causes of the last failure.
 *
 * A function that can fail returns fn_err; 0 is success. The failure path leaves at once:
 *     if (n > limit) return FN_FAIL(FN_E_TOO_LARGE, "%zu bytes, at most %zu", n, limit);
 *     FN_TRY(fn_cur_u32(&c, &value));                    -- passes a failure on and adds this place to the chain
 * FN_FAIL starts a new chain, FN_TRY and FN_WRAP lengthen it. The chain belongs to the thread. */
#ifndef FN_BASE_CORE_ERR_H
#define FN_BASE_CORE_ERR_H

#include <stdarg.h>
#include <stddef.h>

typedef int fn_err;

enum {
    FN_OK = 0,
#define FN_E(number, name, en, zh, hint_en, hint_zh) FN_E_##name = (number),
#include "base/core/err_list.h"
#undef FN_E
};

enum fn_lang { FN_LANG_ZH, FN_LANG_EN };

struct fn_err_text {
    fn_err code;
    const char *name;                /* "TOO_LARGE" */
    const char *text[2], *hint[2];   /* by enum fn_lang; hint may be "" */
};

/* Text of a code; an unknown code gets the entry of FN_E_INTERNAL. Never NULL. */
const struct fn_err_text *fn_err_text(fn_err code);
/* Entry by position for documentation generators; NULL past the end. */
const struct fn_err_text *fn_err_text_at(size_t position);

#define FN_ERR_DEPTH  8
#define FN_ERR_DETAIL 200

struct fn_err_cause {
    fn_err code;
    const char *file;
    int line;
    char detail[FN_ERR_DETAIL]; /* UTF-8, may be empty; never a secret */
};

/* Causes of this thread's last failure, innermost first. */
size_t fn_err_chain(const struct fn_err_cause **causes);
void fn_err_clear(void);

fn_err fn_err_fail(fn_err code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5), cold));
fn_err fn_err_wrap(fn_err code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5), cold));
void fn_err_pass(fn_err code, const char *file, int line) __attribute__((cold));

/* Starts a chain with this code and detail; the value of the expression is the code (written so that the compiler sees that
 * a failure is not 0). `code` has no side effects. */
#define FN_FAIL(code, ...) ((void)fn_err_fail((code), __FILE__, __LINE__, __VA_ARGS__), (code))
/* Adds an outer cause to the chain of a failure that was just returned; value is the new code. */
#define FN_WRAP(code, ...) ((void)fn_err_wrap((code), __FILE__, __LINE__, __VA_ARGS__), (code))
/* Returns from the calling function when the expression fails. */
#define FN_TRY(expression)                                                                                   \
    do {                                                                                                     \
        fn_err fn_try_err = (expression);                                                                    \
        if (__builtin_expect(fn_try_err != FN_OK, 0)) {                                                      \
            fn_err_pass(fn_try_err, __FILE__, __LINE__);                                                     \
            return fn_try_err;                                                                               \
        }                                                                                                    \
    } while (0)

/* Formats like snprintf for %s %.*s %d %i %u %ld %lu %lld %llu %zu %x %lx %zx %c %%, with a width and the flag 0 or -; returns
 * the length it wanted. */
size_t fn_format(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
size_t fn_format_v(char *out, size_t size, const char *format, va_list args);

#endif
