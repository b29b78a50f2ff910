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

/* One record of RFC 4180 from *at; fields are unquoted in place. Returns how many, 0 at the end, -1 for
 * broken quoting (*at then stands behind the line). */
static int record(char **at, char *end, char **field, int most, size_t *lines)
{
    char *p = *at;
    int n = 0;
    if (p >= end) return 0;
    for (;;) {
        char *start = p, *out = p;
        bool broken = false;
        if (*p == '"') {
            for (p++; p < end; p++) {
                if (*p == '"' && p + 1 < end && p[1] == '"')
                    p++;
                else if (*p == '"')
                    break;
                if (*p == '\n') ++*lines;
                *out++ = *p;
            }
            if (p >= end) return *at = end, -1;
            p++;
            broken = p < end && *p != ',' && *p != '\r' && *p != '\n';
        } else {
            while (p < end && *p != ',' && *p != '\r' && *p != '\n') {
                broken |= *p == '"';
                *out++ = *p++;
            }
        }
        if (broken) {
            while (p < end && *p != '\n') p++;
            *at = p < end ? p + 1 : end;
            ++*lines;
            return -1;
        }
        char stop = p < end ? *p : '\n';
        if (n < most) field[n] = start;
        n++;
        if (stop == '\r' && p + 1 < end && p[1] == '\n') p++;
        p++;
        *out = 0;
        if (stop != ',') break;
    }
    ++*lines;
    *at = p < end ? p : end;
    return n;
}

#define COLUMNS_MOST 256

int rows_read(struct rows *rows, const char *path, const char *protect)
{
    *rows = (struct rows){0};
    size_t n, line = 0, room = 0;
    char *text = load(path, &n), *utf8 = text ? convert("UTF-8", text, &n) : NULL;
    if (!text) return fprintf(stderr, "%s: %s\n", path, strerror(errno)), -1;
    if (!utf8) utf8 = convert("GB18030", text, &n);
    free(text);
    if (!utf8)
        return fprintf(stderr, "%s: %s\n", path,
                       scenario_text("既不是 UTF-8 也不是 GB18030 编码", "neither UTF-8 nor GB18030")),
               -1;
    char *at = utf8, *end = utf8 + n, *field[COLUMNS_MOST];
    if (n >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) at += 3;
    int columns = record(&at, end, field, COLUMNS_MOST, &line);
    if (columns < 1 || columns > COLUMNS_MOST) {
        fprintf(stderr, "%s: %s\n", path, scenario_text("第 1 行须为列名", "line 1 must name the columns"));
        return free(utf8), -1;
    }
    rows->columns = (size_t)columns;
    rows->column = calloc(rows->columns, sizeof *rows->column);
    for (size_t i = 0; i < rows->columns; i++)
        rows->column[i] = (struct fengni_column){strdup(field[i]), !protect || named(protect, field[i])
                                                                       ? FENGNI_COLUMN_PROTECTED
                                                                       : FENGNI_COLUMN_COVERED};
    for (;;) {
        size_t began = line + 1;
        int got = record(&at, end, field, COLUMNS_MOST, &line);
        if (got == 0) break;
        if (got != columns) {
            rows->bad_lines++;
            fprintf(stderr, scenario_text("%s: 第 %zu 行:%s,已略过\n", "%s: line %zu: %s, left out\n"), path,
                    began,
                    got < 0 ? scenario_text("引号错误", "broken quotes")
                            : scenario_text("列数不符", "wrong number of columns"));
            continue;
        }
        if (rows->count == room) {
            room = room ? room * 2 : 1024;
            rows->cells = realloc(rows->cells, room * rows->columns * sizeof *rows->cells);
            if (!rows->cells) abort();
        }
        for (size_t i = 0; i < rows->columns; i++)
            rows->cells[rows->count * rows->columns + i] =
                (struct fengni_cell){strdup(field[i]), strlen(field[i])};
        rows->count++;
    }
    free(utf8);
    for (const char *name = protect; name;) {
        size_t length = strcspn(name, ",");
        bool known = false;
        for (size_t i = 0; i < rows->columns; i++)
            known |=
                strlen(rows->column[i].name) == length && strncmp(rows->column[i].name, name, length) == 0;
        if (!known) {
            fprintf(stderr, scenario_text("%s: 没有列 %.*s\n", "%s: no column %.*s\n"), path, (int)length,
                    name);
            return -1;
        }
        name = name[length] ? name + length + 1 : NULL;
    }
    if (!rows->count) return fprintf(stderr, "%s: %s\n", path, scenario_text("没有数据行", "no rows")), -1;
    return 0;
}
