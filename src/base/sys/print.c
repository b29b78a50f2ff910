/* What people see: language, errors, progress, tables. */
#include "base/core/text.h"
#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "base/sys/now.h"
#include "base/sys/verb.h"
#include <string.h>
#include <wchar.h>

enum fn_lang fn_lang(void)
{
    const char *lang = getenv("FENGNI_LANG");
    return lang && !strcmp(lang, "en") ? FN_LANG_EN : FN_LANG_ZH;
}

static fn_err error_json(struct fn_buf *b, fn_err code)
{
    const struct fn_err_text *t = fn_err_text(code);
    FN_TRY(fn_buf_format(b, "{\"error\":{\"number\":%d,\"name\":\"%s\",\"text\":{", code, t->name));
    FN_TRY(fn_json_pair(b, "zh", t->text[FN_LANG_ZH]));
    FN_TRY(fn_json_pair(b, "en", t->text[FN_LANG_EN]));
    FN_TRY(fn_buf_text(b, "},\"hint\":{"));
    FN_TRY(fn_json_pair(b, "zh", t->hint[FN_LANG_ZH]));
    FN_TRY(fn_json_pair(b, "en", t->hint[FN_LANG_EN]));
    FN_TRY(fn_buf_text(b, "},\"causes\":["));
    const struct fn_err_cause *causes;
    size_t n = fn_err_chain(&causes);
    for (size_t i = n; i-- > 0;) {
        if (i + 1 != n) FN_TRY(fn_buf_u8(b, ','));
        FN_TRY(fn_buf_format(b, "{\"number\":%d", causes[i].code));
        FN_TRY(fn_json_pair(b, "detail", causes[i].detail));
        FN_TRY(fn_buf_format(b, ",\"at\":\"%s:%d\"}", causes[i].file, causes[i].line));
    }
    return fn_buf_text(b, "]}}\n");
}

void fn_print_text(FILE *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0; /* U+0080 … U+009F, in two bytes */
        fputc(c1 || *p < 0x20 || *p == 0x7f ? '?' : *p, out);
        p += c1;
    }
}

static void error_text(fn_err code)
{
    enum fn_lang lang = fn_lang();
    const struct fn_err_text *t = fn_err_text(code);
    fprintf(stderr, FN_SAY("错误 %d(%s):%s\n", "error %d (%s): %s\n"), code, t->name, t->text[lang]);
    const struct fn_err_cause *causes;
    size_t n = fn_err_chain(&causes);
    fn_err said = code;
    for (size_t i = n; i-- > 0;) {
        const struct fn_err_cause *c = &causes[i];
        if (c->code == said && !c->detail[0]) continue;
        fputs("  ", stderr);
        if (c->code != said)
            fprintf(stderr, "%d %s%s", c->code, fn_err_text(c->code)->text[lang], c->detail[0] ? ": " : "");
        fn_print_text(stderr, c->detail);
        fputc('\n', stderr);
        said = c->code;
    }
    if (getenv("FENGNI_TRACE"))
        for (size_t i = n; i-- > 0;) fprintf(stderr, "  @ %s:%d\n", causes[i].file, causes[i].line);
    if (t->hint[lang][0]) fprintf(stderr, FN_SAY("  建议:%s\n", "  what to do: %s\n"), t->hint[lang]);
}

void fn_err_print(fn_err code, bool json)
{
    if (!json) {
        error_text(code);
        return;
    }
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    if (error_json(&b, code) == FN_OK)
        fwrite(b.p, 1, b.n, stdout);
    else
        printf("{\"error\":{\"number\":%d}}\n", code);
    fflush(stdout);
}

#define REDRAW_MS 100
#define BAR       30

static void draw(struct fn_progress *p)
{
    int64_t now = fn_monotonic_ms(), elapsed = now - p->started_ms;
    p->drawn_ms = now;
    double rate = elapsed > 0 ? (double)p->done * 1000 / (double)elapsed : 0;
    fprintf(stderr, "\r%s ", fn_say(p->what));
    if (!p->total) {
        fprintf(stderr, "%llu  %.0f/s\033[K", (unsigned long long)p->done, rate);
        return;
    }
    uint64_t done = p->done < p->total ? p->done : p->total;
    int filled = (int)((double)done / (double)p->total * BAR);
    char bar[BAR + 1];
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)filled);
    bar[BAR] = 0;
    int64_t left = rate > 0 ? (int64_t)((double)(p->total - done) / rate) : 0;
    fprintf(stderr, "[%s] %3d%% %llu/%llu  %.0f/s  %s %lld:%02lld\033[K", bar,
            (int)((double)done * 100 / (double)p->total), (unsigned long long)done,
            (unsigned long long)p->total, rate, FN_SAY("剩余", "left"), (long long)left / 60,
            (long long)left % 60);
}

void fn_progress_start(struct fn_progress *p, struct fn_text what, uint64_t total)
{
    *p = (struct fn_progress){
        .what = what, .total = total, .started_ms = fn_monotonic_ms(), .terminal = isatty(2)};
    if (p->terminal) draw(p);
}

void fn_progress_step(struct fn_progress *p, uint64_t done)
{
    p->done = done;
    if (p->terminal && fn_monotonic_ms() - p->drawn_ms >= REDRAW_MS) draw(p);
}

void fn_progress_end(struct fn_progress *p)
{
    if (!p->terminal) return;
    draw(p);
    fputc('\n', stderr);
}

struct fn_table {
    size_t columns, rows, room;
    char **cells; /* titles are row 0 */
};

/* Columns a text takes on a terminal; Chinese characters take two. Without a UTF-8 locale wcwidth knows ASCII
 * only, and what stands from U+1100 on counts as wide. */
static size_t display_width(const char *text)
{
    size_t width = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        uint32_t c = *p++;
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
        if (more) c &= 0x3fu >> more;
        for (; more && (*p & 0xc0) == 0x80; more--) c = c << 6 | (*p++ & 0x3f);
        int w = wcwidth((wchar_t)c);
        width += w >= 0 ? (size_t)w : c >= 0x1100 ? 2 : 1;
    }
    return width;
}

struct fn_table *fn_table_new(size_t columns, const char *const *titles)
{
    struct fn_table *t;
    if (fn_heap_array(&t, 1, sizeof *t) != FN_OK) return NULL;
    t->columns = columns;
    fn_table_row(t, titles);
    return t;
}

void fn_table_row(struct fn_table *table, const char *const *cells)
{
    if (!table) return;
    if (fn_heap_grow(&table->cells, &table->room, (table->rows + 1) * table->columns, sizeof *table->cells) !=
        FN_OK)
        return;
    for (size_t i = 0; i < table->columns; i++) {
        const char *cell = cells[i] ? cells[i] : "";
        fn_heap_text(&table->cells[table->rows * table->columns + i], cell, strlen(cell));
    }
    table->rows++;
}

static void print_row(const struct fn_table *t, size_t row, const size_t *widths)
{
    size_t owed = 0; /* spaces are printed only before something, so that lines end without them */
    for (size_t i = 0; i < t->columns; i++) {
        const char *cell = t->cells[row * t->columns + i];
        if (!cell) cell = "";
        if (*cell) {
            printf("%*s", (int)owed, "");
            fn_print_text(stdout, cell);
            owed = 0;
        }
        owed += widths[i] - display_width(cell) + 2;
    }
    putchar('\n');
}

void fn_table_print(struct fn_table *table)
{
    if (!table) return;
    FN_SCOPED_HEAP size_t *widths = NULL;
    if (fn_heap_array(&widths, table->columns, sizeof *widths) == FN_OK) {
        for (size_t i = 0; i < table->rows * table->columns; i++) {
            size_t w = display_width(table->cells[i] ? table->cells[i] : "");
            if (w > widths[i % table->columns]) widths[i % table->columns] = w;
        }
        for (size_t row = 0; row < table->rows; row++) print_row(table, row, widths);
    }
    for (size_t i = 0; i < table->rows * table->columns; i++) free(table->cells[i]);
    free(table->cells);
    free(table);
}
