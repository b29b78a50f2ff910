/* Alterations of a protected table behind the system's back, through plain SQL on copies of the database
 * file, each followed by a verification that must name it. */
#ifndef SCENARIO_TAMPER_H
#define SCENARIO_TAMPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tamper_case {
    const char *name_zh, *name_en;
    int expected; /* error number that the verification must give … */
    uint64_t row; /* … for this row (or for the segment that holds it); 0: for the table */
    int found;    /* filled in */
    char told[240];
};

struct tamper_setting {
    const char *database, *work; /* file of the database; directory for copies */
    const char *table, *socket;
    const char *protected_column, *other_protected_column; /* the other: NULL when there is only one */
    const char *covered_column;                            /* NULL when every column is protected */
    uint64_t first, middle, last; /* rows that exist; the same when there is only one */
    uint64_t other;               /* another row, 0: too few */
    uint64_t gone;                /* a row that was deleted through the system, 0: too few */
    /* Database as it was before row `middle` was updated and row `gone` deleted through the system. */
    const char *old_database;
};

/* Runs every kind that the table admits; returns how many cases stand in `cases` (room for TAMPER_MOST), or
 * -1 after telling why. *untouched_good: a copy to which nothing was done verifies without a finding; without
 * that, finding something proves nothing. */
#define TAMPER_MOST 40
int tamper_all(const struct tamper_setting *setting, struct tamper_case *cases, bool *untouched_good);

/* Copies a closed database file; 0 or -1. */
int copy_file(const char *from, const char *to);

#endif
