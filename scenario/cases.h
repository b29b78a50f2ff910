/* Cases (办件) of a government-service platform that look real: every check digit and code table of GB/T
 * 39046, GB 11643, GB 32100 and GB/T 39554 holds; the same seed gives the same cases. Persons and companies
 * are invented. */
#ifndef SCENARIO_CASES_H
#define SCENARIO_CASES_H

#include <stddef.h>
#include <stdint.h>

#define CASE_COLUMNS    22
#define CASE_FIELD_MOST 256

struct case_row {
    char field[CASE_COLUMNS][CASE_FIELD_MOST]; /* UTF-8, in the order of case_columns */
};

/* Names of the columns: those of the national exchange tables up_pro_accept and GB/T 39046 table 5. */
extern const char *const case_columns[CASE_COLUMNS];
/* Those that hold personal or business secrets and must be protected. */
extern const char *const case_protected[];
extern const size_t case_protected_count;

/* The n-th case of a seed, n from 0. */
void case_make(uint64_t seed, uint64_t n, struct case_row *row);

/* Check digits, shared with the tests. `text` holds the digits before the check digit. */
char citizen_check_digit(const char *text17);
char credit_code_check_digit(const char *text17);

#endif
