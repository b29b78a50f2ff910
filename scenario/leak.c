/* The search for clear values in the instance, with its control. */
#include "job.h"
#include "scenario.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* In every form, with characters that differ between UTF-8 and GB18030. */
static const char control_value[] = "封泥对照值 control 7f3a9c";

/* A value that also stands in a column which the user left clear is stored in clear by that choice: said, not
 * searched for. */
static void leave_clear_columns_out(struct job *j)
{
    for (size_t c = 0; c < j->rows.columns; c++) {
        if (j->rows.column[c].role == FENGNI_COLUMN_PROTECTED) continue;
        uint64_t count = 0;
        for (size_t r = 0; r < j->rows.count; r++)
            count += search_leave_out(j->search, rows_cell(&j->rows, r, c)->text);
        size_t n = strlen(j->clear_columns);
        if (count)
            snprintf(j->clear_columns + n, sizeof j->clear_columns - n, "%s%s", n ? "," : "",
                     j->rows.column[c].name);
        j->clear_by_choice += count;
    }
}

/* Words of the configuration, and of the schema of the table while it is empty, may be values, too. What logs
 * and earlier runs hold is no such excuse. */
static int leave_words_out(struct job *j)
{
    static const char *const places[] = {"fengni.yaml", "conf.d"};
    char path[4300];
    if (search_leave_out_path(j->search, j->directory, &j->clear_before)) return -1;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", j->instance, places[i]);
        if (search_leave_out_path(j->search, path, &j->clear_before) && errno != ENOENT) return -1;
    }
    return 0;
}

int leak_prepare(struct job *j)
{
    struct stat st;
    struct search *s = j->search = search_new();
    if (!s) return job_failed("内存不足", "out of memory");
    for (size_t i = 0; i < j->rows.count * j->rows.columns; i++)
        if (j->rows.column[i % j->rows.columns].role == FENGNI_COLUMN_PROTECTED &&
            search_add(s, j->rows.cells[i].text))
            return job_failed("内存不足", "out of memory");
    j->values_searched = search_values(s);
    if (search_add(s, control_value) || search_prepare(s)) return job_failed("内存不足", "out of memory");
    if (j->in && stat(j->in, &st) == 0) search_skip(s, st.st_dev, st.st_ino);
    leave_clear_columns_out(j);
    if (leave_words_out(j))
        return job_failed("不能读取实例中的某个文件", "cannot read a file of the instance");
    if (search_path(s, j->instance, &j->before))
        return job_failed("不能读取实例中的某个文件", "cannot read a file of the instance");
    search_again(s);
    return 0;
}

/* The row with the longest protected value, and the control value. */
static int plant(struct job *j, const char *path)
{
    const char *values[258] = {control_value};
    size_t row = 0, longest = 0, count = 1;
    for (size_t i = 0; i < j->rows.count * j->rows.columns; i++) {
        if (j->rows.column[i % j->rows.columns].role != FENGNI_COLUMN_PROTECTED) continue;
        if (j->rows.cells[i].n > longest) longest = j->rows.cells[i].n, row = i / j->rows.columns;
    }
    for (size_t c = 0; c < j->rows.columns && count < 257; c++)
        if (j->rows.column[c].role == FENGNI_COLUMN_PROTECTED)
            values[count++] = rows_cell(&j->rows, row, c)->text;
    return search_plant(j->search, path, values, count);
}

int leak_search(struct job *j)
{
    char path[4400];
    struct stat st;
    snprintf(path, sizeof path, "%s/control.tmp", j->directory);
    if (plant(j, path)) {
        unlink(path);
        return job_failed("不能写对照文件", "cannot write the control file");
    }
    int err = search_path(j->search, j->instance, &j->searched);
    unlink(path);
    search_control(j->search, &j->control_planted, &j->control_missed);
    snprintf(path, sizeof path, "%s-wal", j->database);
    if (stat(path, &st) == 0) j->log_bytes = (uint64_t)st.st_size;
    search_free(j->search);
    j->search = NULL;

    j->clear_values_found = j->searched.values_found;
    /* Short values turn up by chance, and in other tables; what came since the first row counts when it is a
     * surplus over a quarter of the decoys (four to one) beyond any doubt. */
    struct search_result *after = &j->searched, *before = &j->before;
    after->short_hits -= after->short_hits < before->short_hits ? after->short_hits : before->short_hits;
    after->decoy_hits -= after->decoy_hits < before->decoy_hits ? after->decoy_hits : before->decoy_hits;
    double expected = (double)after->decoy_hits / 4;
    if ((double)after->short_hits > 2 * expected + 10) j->clear_values_found += after->short_hits;
    /* More than a few words are no words. */
    uint64_t few = 20 + j->values_searched / 100;
    if (j->clear_before > few) j->clear_values_found += j->clear_before;
    return err ? job_failed("不能读取实例中的某个文件", "cannot read a file of the instance") : 0;
}

/* Every form of the control value, and of every value of the planted row. */
bool leak_control_found(const struct job *j)
{
    return j->control_planted >= FORM_COUNT && j->control_missed == 0;
}
