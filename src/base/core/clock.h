/* Time as values: milliseconds since 1970-01-01T00:00:00Z. Interfaces and stores are UTC; people see Beijing time. */
#ifndef FN_BASE_CORE_CLOCK_H
#define FN_BASE_CORE_CLOCK_H

#include "base/core/err.h"
#include <stdint.h>

typedef int64_t fn_ms;

#define FN_TIME_TEXT 40
/* "2026-11-24T13:31:00.123Z" */
void fn_time_utc(char out[FN_TIME_TEXT], fn_ms t);
/* "2026-11-24 21:31:00" in UTC+8 */
void fn_time_beijing(char out[FN_TIME_TEXT], fn_ms t);
/* RFC 3339 with Z or a numeric offset, seconds with up to three decimals. */
fn_err fn_time_parse(fn_ms *t, const char *text, size_t length);

/* Civil date of a day number (days since 1970-01-01) and back. */
void fn_date_from_days(int64_t days, int *year, int *month, int *day);
int64_t fn_days_from_date(int year, int month, int day);

#endif
