/* The rows that the main job stores: generated cases, or the user's own CSV file read into memory. */
#ifndef SCENARIO_ROWS_H
#define SCENARIO_ROWS_H

#include <fengni/data.h>
#include <stdint.h>

struct rows {
    size_t columns, count;
    struct fengni_column *column; /* names and roles */
    struct fengni_cell *cells;    /* count × columns, texts owned */
    size_t bad_lines;             /* of the user's file, left out and reported */
};

int rows_generate(struct rows *rows, uint64_t seed, size_t count);
/* CSV of RFC 4180, UTF-8 or GB18030, first line the column names. `protect`: names separated by commas, NULL
 * for every column. Lines that break the rules are reported by number on standard error and left out. Returns
 * 0, or -1 after telling why. */
int rows_read(struct rows *rows, const char *path, const char *protect);
void rows_free(struct rows *rows);

static inline const struct fengni_cell *rows_cell(const struct rows *rows, size_t row, size_t column)
{
    return &rows->cells[row * rows->columns + column];
}

#endif
