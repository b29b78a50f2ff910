/* The state of one main job, shared by its steps and its report. */
#ifndef SCENARIO_JOB_H
#define SCENARIO_JOB_H

#include "device.h"
#include "rows.h"
#include "search.h"
#include "tamper.h"

#include <stdbool.h>
#include <stdio.h>

#define KILLS 3
#define TABLE "cases"

struct job {
    const char *in, *columns;
    unsigned long long cases, seed;
    bool json;
    enum fengni_suite suite;
    char instance[4096], directory[4200], database[4300], old_database[4300], socket[4200], report[4300];
    struct device device;
    struct rows rows;
    struct fengni_data *data; /* while the rows are being written, and searched for */
    struct fengni_table *table;
    uint64_t *id; /* fn_row of each acknowledged row, 0 before */
    size_t base;  /* first row of the running insert */
    size_t acknowledged, threshold[KILLS], acknowledged_at[KILLS];
    int kills, kills_wanted;
    double seconds_ingest, seconds_read;

    struct search *search;
    struct search_result before, searched; /* before the first row, and after the last */
    uint64_t values_searched, log_bytes; /* log_bytes: of the database's write-ahead log that was searched */
    uint64_t clear_values_found, clear_by_choice, clear_before;
    uint64_t control_planted, control_missed;
    char clear_columns[1024];

    size_t lost, read_back;
    struct tamper_case tamper[TAMPER_MOST];
    int tampered, tampered_found;
    bool untouched_good; /* a copy that was not tampered with verifies */
};

void job_say(const struct job *j, const char *zh, const char *en);
int job_failed(const char *zh, const char *en);

/* Before the first row: what to look for, and what stands in clear already. After the last: the search, with
 * the database still open, so that its log is there. */
int leak_prepare(struct job *j);
int leak_search(struct job *j);
bool leak_control_found(const struct job *j);

bool job_passed(const struct job *j);
void report_json(const struct job *j, FILE *out);
void report_text(const struct job *j);

#endif
