/* From a CSV file into a protected table: resumable, bad lines reported by number, the rest goes on. */
#ifndef FN_DATA_IMPORT_H
#define FN_DATA_IMPORT_H

#include "data/csv.h"
#include "data/table.h"

struct fn_import {
    const char *in; /* path; "-" is standard input, which cannot be resumed */
    enum fn_csv_encoding encoding;
    const char *null;    /* text that stands for NULL; NULL: none */
    const char *rejects; /* file of the lines that were left out: numbers and reasons, no values */
    /* Told now and then; may be NULL. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

struct fn_import_result {
    uint64_t rows, rejected;  /* in all */
    uint64_t rows_now, lines; /* by this run; lines of the input seen in all */
    uint64_t resumed_line;    /* where an interrupted run was taken up; 0: from the start */
    bool finished_before;     /* this input was protected into this table already: nothing was done */
    uint8_t digest[32];       /* SM3 of the input */
};

/* Names of the first record, copied; free each and the list. */
fn_err fn_import_columns(const struct fn_import *import, char ***names, size_t *count);
void fn_import_columns_free(char **names, size_t count);
/* The table's columns must be those of the file, in order. A repeated call with the same input goes on behind
 * the last committed row. */
fn_err fn_import_run(struct fn_data_table *table, const struct fn_import *import,
                     struct fn_import_result *result);

#endif
