#include "base/core/clock.h"

#include "base/core/mem.h"

/* Proleptic Gregorian calendar in 400-year eras beginning on 1 March, so that the leap day ends a year. */
void fn_date_from_days(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

int64_t fn_days_from_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

#define DAY_MS 86400000LL

struct civil {
    int year, month, day, hour, minute, second, ms;
};

/* `east_ms` of less than a day is added to the rest of the day, not to t: any number may come out of a database. */
static struct civil civil(fn_ms t, int64_t east_ms)
{
    struct civil c;
    int64_t days = t / DAY_MS, rest = t % DAY_MS + east_ms;
    if (rest < 0) rest += DAY_MS, days--;
    if (rest >= DAY_MS) rest -= DAY_MS, days++;
    fn_date_from_days(days, &c.year, &c.month, &c.day);
    c.hour = (int)(rest / 3600000);
    c.minute = (int)(rest / 60000 % 60);
    c.second = (int)(rest / 1000 % 60);
    c.ms = (int)(rest % 1000);
    return c;
}

void fn_time_utc(char out[FN_TIME_TEXT], fn_ms t)
{
    struct civil c = civil(t, 0);
    fn_format(out, FN_TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", c.year, c.month, c.day, c.hour, c.minute, c.second,
              c.ms);
}

void fn_time_beijing(char out[FN_TIME_TEXT], fn_ms t)
{
    struct civil c = civil(t, 8 * 3600000);
    fn_format(out, FN_TIME_TEXT, "%04d-%02d-%02d %02d:%02d:%02d", c.year, c.month, c.day, c.hour, c.minute, c.second);
}

static bool number(const char *text, size_t length, size_t at, size_t digits, int *v)
{
    *v = 0;
    if (at + digits > length) return false;
    for (size_t i = 0; i < digits; i++) {
        char c = text[at + i];
        if (c < '0' || c > '9') return false;
        *v = *v * 10 + (c - '0');
    }
    return true;
}

static bool leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

fn_err fn_time_parse(fn_ms *t, const char *text, size_t length)
{
    static const int8_t month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct civil c = {0};
    bool ok = number(text, length, 0, 4, &c.year) && length > 19 && text[4] == '-' && number(text, length, 5, 2, &c.month) &&
              text[7] == '-' && number(text, length, 8, 2, &c.day) && (text[10] == 'T' || text[10] == ' ') &&
              number(text, length, 11, 2, &c.hour) && text[13] == ':' && number(text, length, 14, 2, &c.minute) &&
              text[16] == ':' && number(text, length, 17, 2, &c.second);
    if (!ok || c.month < 1 || c.month > 12 || c.day < 1 || c.day > month_days[c.month - 1] || c.hour > 23 || c.minute > 59 ||
        c.second > 59 || (c.month == 2 && c.day == 29 && !leap(c.year)))
        return FN_FAIL(FN_E_FORMAT, "not an RFC 3339 time");
    size_t at = 19;
    if (text[at] == '.') {
        int scale = 100, digit;
        for (at++; scale && number(text, length, at, 1, &digit); at++, scale /= 10) c.ms += digit * scale;
        if (scale == 100) return FN_FAIL(FN_E_FORMAT, "no digits after the decimal point of a time");
    }
    int offset = 0;
    if (at < length && text[at] == 'Z') {
        at++;
    } else {
        int hours, minutes;
        if (at + 6 > length || (text[at] != '+' && text[at] != '-') || !number(text, length, at + 1, 2, &hours) ||
            text[at + 3] != ':' || !number(text, length, at + 4, 2, &minutes) || hours > 23 || minutes > 59)
            return FN_FAIL(FN_E_FORMAT, "time without zone at offset %zu", at);
        offset = (hours * 60 + minutes) * (text[at] == '-' ? -1 : 1);
        at += 6;
    }
    if (at != length) return FN_FAIL(FN_E_TRAILING, "text after a time at offset %zu", at);
    *t = fn_days_from_date(c.year, c.month, c.day) * DAY_MS + ((c.hour * 60 + c.minute - offset) * 60 + c.second) * 1000LL + c.ms;
    return FN_OK;
}
