#include "base/core/err.h"

#include "base/core/mem.h"

static const struct fn_err_text texts[] = {
#define FN_E(number, name, en, zh, hint_en, hint_zh) {(number), #name, {zh, en}, {hint_zh, hint_en}},
#include "base/core/err_list.h"
#undef FN_E
};

static _Thread_local struct fn_err_cause chain[FN_ERR_DEPTH];
static _Thread_local size_t chain_length;

const struct fn_err_text *fn_err_text(fn_err code)
{
    for (size_t i = 0; i < FN_COUNT(texts); i++)
        if (texts[i].code == code) return &texts[i];
    return &texts[0];
}

const struct fn_err_text *fn_err_text_at(size_t position) { return position < FN_COUNT(texts) ? &texts[position] : NULL; }

size_t fn_err_chain(const struct fn_err_cause **causes)
{
    *causes = chain;
    return chain_length;
}

void fn_err_clear(void) { chain_length = 0; }

/* When the chain is full the innermost causes stay: they explain, the outermost only repeats who asked. */
static struct fn_err_cause *add(fn_err code, const char *file, int line)
{
    if (chain_length == FN_ERR_DEPTH) return NULL;
    struct fn_err_cause *cause = &chain[chain_length++];
    *cause = (struct fn_err_cause){.code = code, .file = file, .line = line};
    return cause;
}

/* A detail that was cut must not end inside a character. */
static void detail(struct fn_err_cause *cause, const char *format, va_list args)
{
    char *d = cause->detail;
    if (fn_format_v(d, FN_ERR_DETAIL, format, args) < FN_ERR_DETAIL) return;
    size_t start = FN_ERR_DETAIL - 2;
    while (start > FN_ERR_DETAIL - 5 && (d[start] & 0xc0) == 0x80) start--;
    unsigned char lead = (unsigned char)d[start];
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (start + length > FN_ERR_DETAIL - 1) d[start] = 0;
}

fn_err fn_err_fail(fn_err code, const char *file, int line, const char *format, ...)
{
    chain_length = 0;
    va_list args;
    va_start(args, format);
    struct fn_err_cause *cause = add(code, file, line);
    detail(cause, format, args);
    va_end(args);
    return code;
}

fn_err fn_err_wrap(fn_err code, const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct fn_err_cause *cause = add(code, file, line);
    if (cause) detail(cause, format, args);
    va_end(args);
    return code;
}

void fn_err_pass(fn_err code, const char *file, int line) { add(code, file, line); }

struct sink {
    char *out;
    size_t size, n;
};

static void put(struct sink *s, char c)
{
    if (s->n + 1 < s->size) s->out[s->n] = c;
    s->n++;
}

/* pad is ' ' or '0' before the digits, '-' for spaces after them. */
static void put_number(struct sink *s, unsigned long long value, unsigned base, int width, char pad, int negative)
{
    char digits[24];
    int n = 0;
    do digits[n++] = "0123456789abcdef"[value % base];
    while (value /= base);
    int length = n + negative;
    if (pad == ' ')
        for (; width > length; width--) put(s, ' ');
    if (negative) put(s, '-');
    if (pad == '0')
        for (; width > length; width--) put(s, '0');
    while (n) put(s, digits[--n]);
    if (pad == '-')
        for (; width > length; width--) put(s, ' ');
}

static void put_text(struct sink *s, const char *text, int width, int precision, char pad)
{
    if (!text) text = "(null)";
    int length = 0;
    while ((precision < 0 || length < precision) && text[length]) length++;
    if (pad != '-')
        for (; width > length; width--) put(s, ' ');
    for (int i = 0; i < length; i++) put(s, text[i]);
    for (; width > length; width--) put(s, ' ');
}

size_t fn_format_v(char *out, size_t size, const char *format, va_list args)
{
    struct sink s = {out, size, 0};
    for (const char *f = format; *f; f++) {
        if (*f != '%') {
            put(&s, *f);
            continue;
        }
        char pad = ' ';
        int width = 0, precision = -1, longs = 0;
        f++;
        if (*f == '0' || *f == '-') pad = *f++;
        while (*f >= '0' && *f <= '9') width = width * 10 + (*f++ - '0');
        if (f[0] == '.' && f[1] == '*') {
            precision = va_arg(args, int);
            f += 2;
        }
        for (; *f == 'l' || *f == 'z'; f++) longs += *f == 'z' ? 2 : 1;
        switch (*f) {
        case 's': put_text(&s, va_arg(args, const char *), width, precision, pad); break;
        case 'c': put(&s, (char)va_arg(args, int)); break;
        case 'd':
        case 'i': {
            long long v = longs == 0 ? va_arg(args, int) : longs == 1 ? va_arg(args, long) : va_arg(args, long long);
            put_number(&s, v < 0 ? -(unsigned long long)v : (unsigned long long)v, 10, width, pad, v < 0);
            break;
        }
        case 'u':
        case 'x': {
            /* size_t is passed as such: on every target here it is as wide as unsigned long. */
            unsigned long long v = longs == 0                     ? va_arg(args, unsigned)
                                   : longs == 1 || f[-1] == 'z' ? va_arg(args, unsigned long)
                                                                  : va_arg(args, unsigned long long);
            put_number(&s, v, *f == 'x' ? 16 : 10, width, pad, 0);
            break;
        }
        case '%': put(&s, '%'); break;
        default: put(&s, '?'); break;
        }
    }
    if (size) out[s.n < size ? s.n : size - 1] = 0;
    return s.n;
}

size_t fn_format(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t n = fn_format_v(out, size, format, args);
    va_end(args);
    return n;
}
