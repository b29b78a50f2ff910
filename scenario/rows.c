#include "rows.h"

#include "cases.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool named(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',')) {
        if (*at == ',') at++;
        if (strncmp(at, name, n) == 0 && (at[n] == 0 || at[n] == ',')) return true;
    }
    return false;
}

int rows_generate(struct rows *rows, uint64_t seed, size_t count)
{
    *rows = (struct rows){.columns = CASE_COLUMNS, .count = count};
    rows->column = calloc(CASE_COLUMNS, sizeof *rows->column);
    rows->cells = calloc(count * CASE_COLUMNS, sizeof *rows->cells);
    if (!rows->column || !rows->cells) return -1;
    for (size_t i = 0; i < CASE_COLUMNS; i++) {
        rows->column[i] = (struct fengni_column){strdup(case_columns[i]), FENGNI_COLUMN_COVERED};
        for (size_t k = 0; k < case_protected_count; k++)
            if (strcmp(case_columns[i], case_protected[k]) == 0)
                rows->column[i].role = FENGNI_COLUMN_PROTECTED;
    }
    for (size_t n = 0; n < count; n++) {
        struct case_row row;
        case_make(seed, n, &row);
        for (size_t i = 0; i < CASE_COLUMNS; i++) {
            size_t length = strlen(row.field[i]);
            char *text = malloc(length + 1);
            if (!text) return -1;
            memcpy(text, row.field[i], length + 1);
            rows->cells[n * CASE_COLUMNS + i] = (struct fengni_cell){text, length};
        }
    }
    return 0;
}

void rows_free(struct rows *rows)
{
    for (size_t i = 0; i < rows->columns && rows->column; i++) free((void *)(uintptr_t)rows->column[i].name);
    for (size_t i = 0; i < rows->count * rows->columns && rows->cells; i++)
        free((void *)(uintptr_t)rows->cells[i].text);
    free(rows->column);
    free(rows->cells);
    *rows = (struct rows){0};
}

static char *load(const char *path, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0) return NULL;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) return close(fd), errno = EINVAL, NULL;
    char *text = malloc((size_t)st.st_size + 1);
    *n = 0;
    for (ssize_t got;
         text && *n < (size_t)st.st_size && (got = read(fd, text + *n, (size_t)st.st_size - *n)) > 0;)
        *n += (size_t)got;
    if (text) text[*n] = 0;
    close(fd);
    return text;
}

static char *convert(const char *from, char *text, size_t *n)
{
    iconv_t to = iconv_open("UTF-8", from);
    size_t room = *n * 2 + 16, left = *n, space = room;
    char *out = malloc(room + 1), *o = out, *in = text;
    bool ok = to != (iconv_t)-1 && out && iconv(to, &in, &left, &o, &space) != (size_t)-1;
    if (to != (iconv_t)-1) iconv_close(to);
    if (!ok) return free(out), NULL;
    *n = room - space;
    out[*n] = 0;
    return out;
}

#define COLUMNS_MOST 256
#define FIELD_MOST   1000000u /* include/fengni/data.h */

enum fault { FAULT_NONE, FAULT_QUOTES, FAULT_COLUMNS, FAULT_NUL, FAULT_LONG };

static const char *fault_text(enum fault fault)
{
    switch (fault) {
    case FAULT_QUOTES:
        return scenario_text("引号错误", "broken quotes");
    case FAULT_COLUMNS:
        return scenario_text("列数不符", "wrong number of columns");
    case FAULT_NUL:
        return scenario_text("含 NUL 字节", "NUL byte");
    case FAULT_LONG:
        return scenario_text("字段超过 1,000,000 字节", "a field of more than 1,000,000 bytes");
    default:
        return "";
    }
}

struct input {
    char *at, *end;
    size_t line; /* lines before `at` */
};

/* Behind the field that begins at `p`; NULL when its quotes are broken. No quoted field may be longer than
 * two quotes for each byte of the longest: a quote that is never closed does not swallow the file. */
static char *field_end(const struct input *in, char *p)
{
    if (*p != '"') {
        for (; p < in->end && *p != ',' && *p != '\r' && *p != '\n'; p++)
            if (*p == '"') return NULL;
        return p;
    }
    char *most = (size_t)(in->end - p) > 2 * FIELD_MOST + 2 ? p + 2 * FIELD_MOST + 2 : in->end;
    for (p++; p < most; p++) {
        if (*p != '"') continue;
        p++;
        if (p == in->end || *p == ',' || *p == '\r' || *p == '\n') return p;
        if (*p != '"') return NULL;
    }
    return NULL;
}

/* Takes the quotes off in place and ends the field with NUL. */
static char *unquote(char *start, char *end)
{
    if (*start != '"' || end == start) {
        *end = 0;
        return start;
    }
    char *out = start;
    for (char *p = start + 1; p < end - 1; p++) {
        if (*p == '"') p++;
        *out++ = *p;
    }
    *out = 0;
    return start;
}

static char *line_end(const struct input *in)
{
    char *p = in->at;
    while (p < in->end && *p != '\n' && *p != '\r') p++;
    if (p + 1 < in->end && *p == '\r' && p[1] == '\n') p++;
    return p < in->end ? p + 1 : in->end;
}

/* Where the fields of the record at `at` begin and end, nothing altered yet; *next behind it. A line that
 * breaks the rules ends where it ends, quotes or not, and the next record begins there. */
static enum fault scan(const struct input *in, char **start, char **end, size_t *count, char **next)
{
    char *p = in->at;
    enum fault fault = FAULT_NONE;
    for (*count = 0;;) {
        char *stop = field_end(in, p);
        if (!stop) {
            *next = line_end(in);
            return FAULT_QUOTES;
        }
        if (*count < COLUMNS_MOST) start[*count] = p, end[*count] = stop;
        ++*count;
        if (memchr(p, 0, (size_t)(stop - p))) fault = FAULT_NUL;
        p = stop;
        if (p == in->end) break;
        if (*p++ == ',') continue;
        if (p[-1] == '\r' && p < in->end && *p == '\n') p++;
        break;
    }
    *next = p;
    return fault;
}

/* One record of RFC 4180 (lines may end with CR alone, too); empty lines are passed over. Fields are unquoted
 * in place. *began: its line. Returns how many, 0 at the end. */
static size_t record(struct input *in, char **field, size_t *began, enum fault *fault)
{
    char *end[COLUMNS_MOST], *next;
    size_t count;
    for (;;) {
        if (in->at == in->end) return 0;
        if (*in->at != '\n' && *in->at != '\r') break;
        in->at = line_end(in);
        in->line++;
    }
    *began = in->line + 1;
    *fault = scan(in, field, end, &count, &next);
    for (char *p = in->at; p < next; p++)
        in->line += *p == '\n' || (*p == '\r' && !(p + 1 < in->end && p[1] == '\n'));
    in->at = next;
    for (size_t i = 0; *fault == FAULT_NONE && i < count && i < COLUMNS_MOST; i++)
        if (strlen(unquote(field[i], end[i])) > FIELD_MOST) *fault = FAULT_LONG;
    return count ? count : 1;
}

static int header(struct rows *rows, const char *path, struct input *in, const char *protect)
{
    char *field[COLUMNS_MOST];
    size_t line;
    enum fault fault = FAULT_NONE;
    size_t columns = record(in, field, &line, &fault);
    if (!columns || fault) {
        fprintf(stderr, "%s: %s%s%s\n", path,
                scenario_text("第 1 行须为列名", "line 1 must name the columns"), fault ? ": " : "",
                fault_text(fault));
        return -1;
    }
    if (columns > COLUMNS_MOST) {
        fprintf(stderr,
                scenario_text("%s: 第 1 行有 %zu 列,至多 %d 列\n", "%s: %zu columns in line 1, at most %d\n"),
                path, columns, COLUMNS_MOST);
        return -1;
    }
    rows->column = calloc(columns, sizeof *rows->column);
    if (!rows->column) return -1;
    rows->columns = columns;
    for (size_t i = 0; i < columns; i++)
        rows->column[i] = (struct fengni_column){strdup(field[i]), !protect || named(protect, field[i])
                                                                       ? FENGNI_COLUMN_PROTECTED
                                                                       : FENGNI_COLUMN_COVERED};
    return 0;
}

/* Every name of the list is a column's. */
static int check_names(const struct rows *rows, const char *path, const char *protect)
{
    for (const char *name = protect; name;) {
        size_t length = strcspn(name, ",");
        bool known = false;
        for (size_t i = 0; i < rows->columns; i++)
            known |= length && strlen(rows->column[i].name) == length &&
                     strncmp(rows->column[i].name, name, length) == 0;
        if (!known) {
            fprintf(stderr, scenario_text("%s: 没有列 \"%.*s\"\n", "%s: no column \"%.*s\"\n"), path,
                    (int)length, name);
            return -1;
        }
        name = name[length] ? name + length + 1 : NULL;
    }
    return 0;
}

static int add_row(struct rows *rows, size_t *room, char *const *field)
{
    if (rows->count == *room) {
        size_t more = *room ? *room * 2 : 1024;
        struct fengni_cell *cells = realloc(rows->cells, more * rows->columns * sizeof *cells);
        if (!cells) return -1;
        rows->cells = cells;
        *room = more;
    }
    struct fengni_cell *row = rows->cells + rows->count * rows->columns;
    memset(row, 0, rows->columns * sizeof *row);
    rows->count++;
    for (size_t i = 0; i < rows->columns; i++) {
        row[i] = (struct fengni_cell){strdup(field[i]), strlen(field[i])};
        if (!row[i].text) return -1;
    }
    return 0;
}

static int read_records(struct rows *rows, const char *path, struct input *in, const char *protect)
{
    char *field[COLUMNS_MOST];
    size_t line = 0, room = 0, got;
    enum fault fault = FAULT_NONE;
    if (header(rows, path, in, protect) || check_names(rows, path, protect)) return -1;
    while ((got = record(in, field, &line, &fault))) {
        if (!fault && got != rows->columns) fault = FAULT_COLUMNS;
        if (fault) {
            rows->bad_lines++;
            fprintf(stderr, scenario_text("%s: 第 %zu 行:%s,已略过\n", "%s: line %zu: %s, left out\n"), path,
                    line, fault_text(fault));
            continue;
        }
        if (add_row(rows, &room, field)) return fprintf(stderr, "%s: %s\n", path, strerror(ENOMEM)), -1;
    }
    if (!rows->count) return fprintf(stderr, "%s: %s\n", path, scenario_text("没有数据行", "no rows")), -1;
    return 0;
}

int rows_read(struct rows *rows, const char *path, const char *protect)
{
    *rows = (struct rows){0};
    size_t n;
    char *text = load(path, &n), *utf8 = text ? convert("UTF-8", text, &n) : NULL;
    if (!text) return fprintf(stderr, "%s: %s\n", path, strerror(errno)), -1;
    if (!utf8) utf8 = convert("GB18030", text, &n);
    free(text);
    if (!utf8) {
        fprintf(stderr, "%s: %s\n", path,
                scenario_text("既不是 UTF-8 也不是 GB18030 编码", "neither UTF-8 nor GB18030"));
        return -1;
    }
    struct input in = {utf8, utf8 + n, 0};
    if (n >= 3 && memcmp(utf8, "\xef\xbb\xbf", 3) == 0) in.at += 3;
    int err = read_records(rows, path, &in, protect);
    free(utf8);
    return err;
}
