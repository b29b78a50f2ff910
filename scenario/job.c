/* The main job: workflow (4) of the guideline, storing and using important data, carried out and tried to
 * break. The instance is up; the device is killed from here while rows are being written and restarted by its
 * supervisor. */
#include "cases.h"
#include "rows.h"
#include "scenario.h"
#include "search.h"
#include "tamper.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KILLS 3
#define TABLE "cases"

struct job {
    const char *instance, *in, *columns;
    unsigned long long cases, seed;
    bool json;
    char directory[4096], database[4200], old_database[4200], socket[4200], report[4200],
        status_command[16500];
    struct rows rows;
    uint64_t *id; /* fn_row of each acknowledged row, 0 before */
    size_t base;  /* first row of the running insert */
    size_t acknowledged, threshold[KILLS], acknowledged_at[KILLS];
    int kills, kills_wanted;
    pid_t killed;
    double seconds_ingest, seconds_read;
    uint64_t clear_values_found, clear_by_choice;
    char clear_columns[1024];
    struct search_result searched;
    bool control_found;
    size_t lost, read_back;
    struct tamper_case tamper[TAMPER_MOST];
    int tampered, tampered_found;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int failed(const char *zh, const char *en)
{
    fprintf(stderr, "%s\n", scenario_text(zh, en));
    return -1;
}

static int data_failed(void)
{
    fprintf(stderr, "%s\n", fengni_data_failure());
    return -1;
}

static void say(const struct job *j, const char *zh, const char *en)
{
    if (!j->json) printf("  · %s\n", scenario_text(zh, en)), fflush(stdout);
}

/* The device's process as `fengni status` names it; 0 while it is not ready. */
static pid_t device_pid(const struct job *j)
{
    char text[8192], *at;
    FILE *f = popen(j->status_command, "re");
    if (!f) return 0;
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    int pid = 0;
    if (pclose(f) == 0 && (at = strstr(text, "\"name\":\"device\"")) && strstr(at, "\"ready\"") &&
        (at = strstr(at, "\"pid\":")))
        pid = atoi(at + 6);
    return pid > 1 ? pid : 0;
}

/* Quoted for the shell. */
static void quote(char *out, size_t room, const char *text)
{
    size_t n = 0;
    out[n++] = '\'';
    for (; *text && n + 6 < room; text++) {
        if (*text == '\'')
            n += (size_t)snprintf(out + n, room - n, "'\\''");
        else
            out[n++] = *text;
    }
    out[n++] = '\'';
    out[n] = 0;
}

static void make_status_command(struct job *j)
{
    char self[4096] = "", program[8192], instance[8192];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 8);
    char *slash = n > 0 ? strrchr(self, '/') : NULL;
    if (slash) strcpy(slash + 1, "fengni");
    quote(program, sizeof program, slash ? self : "fengni");
    quote(instance, sizeof instance, j->instance);
    snprintf(j->status_command, sizeof j->status_command, "%s status --json --instance %s", program,
             instance);
}

/* Kills the device from within the acknowledgement: the next transactions are being encrypted at this moment.
 */
static void acknowledged(void *context, size_t first, size_t count, const uint64_t *ids)
{
    struct job *j = context;
    for (size_t i = 0; i < count; i++) j->id[j->base + first + i] = ids[i];
    j->acknowledged += count;
    if (j->kills == j->kills_wanted || j->acknowledged < j->threshold[j->kills]) return;
    pid_t pid = device_pid(j);
    if (!pid || pid == j->killed || kill(pid, SIGKILL))
        return; /* not back yet: the next acknowledgement tries again */
    j->killed = pid;
    j->acknowledged_at[j->kills++] = j->acknowledged;
}

static int open_table(const struct job *j, int read_only, struct fengni_data **data,
                      struct fengni_table **table)
{
    char url[4300];
    snprintf(url, sizeof url, "sqlite:%s", j->database);
    struct fengni_table_options options = {.columns = read_only ? NULL : j->rows.column,
                                           .column_count = read_only ? 0 : j->rows.columns,
                                           .read_only = read_only};
    if (fengni_data_open(data, url, j->socket)) return data_failed();
    if (fengni_table_open(*data, TABLE, &options, table)) {
        data_failed();
        fengni_data_close(*data);
        return -1;
    }
    return 0;
}

static int close_table(struct fengni_data *data, struct fengni_table *table)
{
    int err = fengni_table_close(table);
    if (err) data_failed();
    fengni_data_close(data);
    return err ? -1 : 0;
}

static int ingest(struct job *j)
{
    struct fengni_data *data;
    struct fengni_table *table;
    double began = now();
    if (open_table(j, 0, &data, &table)) return -1;
    int err = 0;
    for (int tries = 0; j->base < j->rows.count && tries < 2 * KILLS + 1; tries++) {
        /* In pieces when there are few rows, so that something is left to kill in after the first
         * acknowledgement. */
        size_t piece = j->rows.count / 8 + 1, left = j->rows.count - j->base;
        do {
            err = fengni_table_insert(table, left < piece ? left : piece, rows_cell(&j->rows, j->base, 0),
                                      acknowledged, j);
            while (j->base < j->rows.count && j->id[j->base]) j->base++;
            left = j->rows.count - j->base;
        } while (!err && left);
        if (err && j->base < j->rows.count)
            say(j, "写入中断,重新继续", "writing was interrupted, continuing");
    }
    if (err) return data_failed();
    j->seconds_ingest = now() - began;
    return close_table(data, table);
}

/* A value that also stands in a column which the user left clear is stored in clear by that choice: said, not
 * searched for. */
static void leave_clear_columns_out(struct job *j, struct search *s)
{
    for (size_t c = 0; c < j->rows.columns; c++) {
        if (j->rows.column[c].role == FENGNI_COLUMN_PROTECTED) continue;
        uint64_t count = 0;
        for (size_t r = 0; r < j->rows.count; r++)
            count += search_leave_out(s, rows_cell(&j->rows, r, c)->text);
        size_t n = strlen(j->clear_columns);
        if (count)
            snprintf(j->clear_columns + n, sizeof j->clear_columns - n, "%s%s", n ? "," : "",
                     j->rows.column[c].name);
        j->clear_by_choice += count;
    }
}

/* A row that the search must find, in every form, before "found nothing" means anything. */
static int search_all(struct job *j)
{
    struct search *s = search_new();
    char path[4300];
    if (!s) return -1;
    const char *planted = NULL;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < j->rows.count * j->rows.columns; i++) {
            const char *text = j->rows.cells[i].text;
            if (j->rows.column[i % j->rows.columns].role != FENGNI_COLUMN_PROTECTED) continue;
            if (pass == 0 && search_add(s, text)) return -1;
            if (pass == 1 && (!planted || strlen(text) > strlen(planted)) && search_looks_for(s, text))
                planted = text;
        }
        if (pass == 1) break;
        if (search_prepare(s)) return -1;
        leave_clear_columns_out(j, s);
    }
    if (!planted) {
        search_free(s);
        return failed("受保护的列中没有可检索的值(均过短,或也存放在明文列中)",
                      "the protected columns hold no value that could be searched for (all too short, or "
                      "also in clear columns)");
    }

    snprintf(path, sizeof path, "%s/control.tmp", j->directory);
    FILE *control = fopen(path, "we");
    if (!control) return failed("不能写对照文件", "cannot write the control file");
    fprintf(control, "%s\n", planted);
    fclose(control);
    struct search_result found = {.watch = path};
    int err = search_path(s, j->instance, &found);
    j->control_found = !err && found.watch_hit;
    unlink(path);

    search_prepare(s);
    if (!err) err = search_path(s, j->instance, &j->searched);
    j->clear_values_found = j->searched.values_found;
    /* Short values turn up by chance; a surplus over a quarter of the decoys (four to one) beyond any doubt
     * counts. */
    double expected = (double)j->searched.decoy_hits / 4;
    if ((double)j->searched.short_hits > 2 * expected + 10) j->clear_values_found += j->searched.short_hits;
    search_free(s);
    return err ? failed("不能读取实例中的某个文件", "cannot read a file of the instance") : 0;
}

struct reading {
    struct job *job;
    bool *seen;
    uint64_t first;
    size_t wrong;
};

static int read_row(void *context, uint64_t id, uint64_t version, int result, const struct fengni_cell *cells)
{
    struct reading *r = context;
    struct job *j = r->job;
    (void)version;
    if (result) return r->wrong++, 0;
    /* Ids rise with insertion; find the row by bisection. */
    size_t low = 0, high = j->rows.count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (j->id[mid] < id)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == j->rows.count || j->id[low] != id) return 0; /* written, but never acknowledged */
    bool same = true;
    for (size_t c = 0; same && c < j->rows.columns; c++) {
        const struct fengni_cell *want = rows_cell(&j->rows, low, c);
        same = cells[c].text && cells[c].n == want->n && memcmp(cells[c].text, want->text, want->n) == 0;
    }
    if (same)
        r->seen[low] = true, j->read_back++;
    else
        r->wrong++;
    return 0;
}

static int read_all(struct job *j)
{
    struct fengni_data *data;
    struct fengni_table *table;
    struct reading r = {.job = j, .seen = calloc(j->rows.count, sizeof(bool))};
    double began = now();
    if (!r.seen || open_table(j, 1, &data, &table)) return free(r.seen), -1;
    int err = fengni_table_read(table, 0, UINT64_MAX, read_row, &r);
    j->seconds_read = now() - began;
    for (size_t i = 0; i < j->rows.count; i++) j->lost += j->id[i] && !r.seen[i];
    struct fengni_verdict verdict;
    if (!err) err = fengni_table_verify(table, NULL, NULL, &verdict);
    if (err) data_failed();
    free(r.seen);
    return close_table(data, table) || err ? -1 : 0;
}

static int tamper(struct job *j)
{
    struct fengni_data *data;
    struct fengni_table *table;
    size_t n = j->rows.count;
    uint64_t middle = j->id[n / 2];
    const char *protect = NULL, *other = NULL, *covered = NULL;
    if (n < 4) return 0;
    for (size_t i = 0; i < j->rows.columns; i++) {
        const struct fengni_column *c = &j->rows.column[i];
        if (c->role == FENGNI_COLUMN_COVERED) covered = c->name;
        /* A column that is never empty: an exchange of two empty fields would change nothing. */
        bool full = c->role == FENGNI_COLUMN_PROTECTED;
        for (size_t r = 0; full && r < n; r++) full = rows_cell(&j->rows, r, i)->n > 0;
        if (full && protect) other = c->name;
        if (full && !protect) protect = c->name;
    }
    if (!protect)
        return say(j, "没有一列处处非空,略过篡改", "no column is filled everywhere: no tampering"), 0;
    if (copy_file(j->database, j->old_database)) return failed("不能复制数据库", "cannot copy the database");
    if (open_table(j, 0, &data, &table)) return -1;
    int err = fengni_table_update(table, middle, rows_cell(&j->rows, n / 2 + 1, 0));
    if (err) data_failed();
    if (close_table(data, table) || err) return -1;

    struct tamper_setting setting = {.database = j->database,
                                     .work = j->directory,
                                     .table = TABLE,
                                     .socket = j->socket,
                                     .protected_column = protect,
                                     .other_protected_column = other ? other : protect,
                                     .covered_column = covered,
                                     .first = j->id[0],
                                     .middle = middle,
                                     .last = j->id[n - 1],
                                     .other = j->id[n / 4],
                                     .old_database = j->old_database};
    j->tampered = tamper_all(&setting, j->tamper);
    for (int i = 0; i < j->tampered; i++) j->tampered_found += j->tamper[i].found;
    unlink(j->old_database);
    return j->tampered < 0 ? -1 : 0;
}

static void json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 0x20)
            fprintf(out, "\\u%04x", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static bool passed(const struct job *j)
{
    return j->clear_values_found == 0 && j->control_found && j->lost == 0 && j->kills == j->kills_wanted &&
           j->tampered == j->tampered_found && j->acknowledged >= j->rows.count;
}

static void report_json(const struct job *j, FILE *out)
{
    fprintf(out, "{\"cases\":%zu,\"bad_lines\":%zu,", j->rows.count, j->rows.bad_lines);
    fprintf(out, "\"clear_values_found\":%llu,\"clear_by_choice\":%llu,\"control_found\":%s,",
            (unsigned long long)j->clear_values_found, (unsigned long long)j->clear_by_choice,
            j->control_found ? "true" : "false");
    fprintf(out, "\"files_searched\":%llu,\"bytes_searched\":%llu,", (unsigned long long)j->searched.files,
            (unsigned long long)j->searched.bytes);
    fprintf(out, "\"tampered\":%d,\"tampered_found\":%d,\"kills\":%d,\"acknowledged\":[", j->tampered,
            j->tampered_found, j->kills);
    for (int i = 0; i < j->kills; i++) fprintf(out, "%s%zu", i ? "," : "", j->acknowledged_at[i]);
    fprintf(out,
            "],\"acknowledged_total\":%zu,\"lost\":%zu,\"seconds\":%.3f,\"rows_per_second_written\":%.0f,"
            "\"rows_per_second_read\":%.0f,\"tampering\":[",
            j->acknowledged, j->lost, j->seconds_ingest + j->seconds_read,
            (double)j->rows.count / j->seconds_ingest, (double)j->read_back / j->seconds_read);
    for (int i = 0; i < j->tampered; i++) {
        fprintf(out, "%s{\"kind\":", i ? "," : "");
        json_text(out, j->tamper[i].name_en);
        fprintf(out, ",\"found\":%s,\"told\":", j->tamper[i].found ? "true" : "false");
        json_text(out, j->tamper[i].told);
        fputc('}', out);
    }
    fprintf(out, "],\"evidence\":");
    json_text(out, j->directory);
    fprintf(out, ",\"passed\":%s}\n", passed(j) ? "true" : "false");
}

static void report_text(const struct job *j)
{
    bool zh = scenario_text("z", "e")[0] == 'z';
    printf(zh ? "\n重要数据存储及应用过程(指南工作流程 4)报告\n"
              : "\nReport: storing and using important data (workflow 4 of the guideline)\n");
    printf(zh ? "  办件                %zu 件(略过 %zu 行)\n"
              : "  cases               %zu (%zu lines left out)\n",
           j->rows.count, j->rows.bad_lines);
    printf(zh ? "  明文残留            %llu 个值;检索 %llu 个文件,%.1f MB;对照%s\n"
              : "  clear values found  %llu; searched %llu files, %.1f MB; control %s\n",
           (unsigned long long)j->clear_values_found, (unsigned long long)j->searched.files,
           (double)j->searched.bytes / 1e6,
           j->control_found ? scenario_text("已找到", "found") : scenario_text("未找到!", "NOT FOUND"));
    if (j->searched.first[0]) printf("      %s\n", j->searched.first);
    if (j->clear_by_choice)
        printf(zh ? "      另有 %llu 个值也出现在您未选择保护的列中:%s\n"
                  : "      %llu more values stand in columns that were left clear: %s\n",
               (unsigned long long)j->clear_by_choice, j->clear_columns);
    if (j->searched.short_hits || j->searched.decoy_hits)
        printf(zh ? "      短值命中 %llu,诱饵命中 %llu(四比一)\n"
                  : "      short values hit %llu times, decoys %llu times (four to one)\n",
               (unsigned long long)j->searched.short_hits, (unsigned long long)j->searched.decoy_hits);
    printf(zh ? "  密码设备被强杀      %d 次,当时已确认"
              : "  device killed       %d times, acknowledged by then",
           j->kills);
    for (int i = 0; i < j->kills; i++) printf(" %zu", j->acknowledged_at[i]);
    printf(zh ? "\n  确认 / 丢失         %zu / %zu\n" : "\n  acknowledged / lost %zu / %zu\n",
           j->acknowledged, j->lost);
    printf(zh ? "  篡改 / 发现         %d / %d\n" : "  tampered / found    %d / %d\n", j->tampered,
           j->tampered_found);
    for (int i = 0; i < j->tampered; i++)
        printf("      %s %s: %s\n", j->tamper[i].found ? "✓" : "✗",
               scenario_text(j->tamper[i].name_zh, j->tamper[i].name_en), j->tamper[i].told);
    printf(zh ? "  写入 / 读回         %.0f 行/秒 / %.0f 行/秒(共 %.1f 秒)\n"
              : "  written / read      %.0f rows/s / %.0f rows/s (%.1f s in all)\n",
           (double)j->rows.count / j->seconds_ingest, (double)j->read_back / j->seconds_read,
           j->seconds_ingest + j->seconds_read);
    printf(zh ? "  证据                %s\n" : "  evidence            %s\n", j->directory);
    printf(zh ? "  结论                %s\n" : "  result              %s\n",
           passed(j) ? scenario_text("全部符合", "everything holds")
                     : scenario_text("不符合", "DOES NOT HOLD"));
}

static int run(struct job *j)
{
    if (j->in ? rows_read(&j->rows, j->in, j->columns) : rows_generate(&j->rows, j->seed, j->cases))
        return -1;
    /* From 5,000 acknowledged rows on when there are enough; spread over what remains. */
    size_t from = j->rows.count > 8000 ? 5000 : j->rows.count * 3 / 10,
           step = (j->rows.count - from) / (KILLS + 1);
    for (int i = 0; i < KILLS; i++) j->threshold[i] = from + step * (size_t)i;
    j->id = calloc(j->rows.count + 1, sizeof *j->id);
    if (!j->id) return -1;
    say(j, "写入,其间三次强杀密码设备", "writing, killing the device three times meanwhile");
    if (ingest(j)) return -1;
    say(j, "在实例的每个文件中检索明文", "searching every file of the instance for clear values");
    if (search_all(j)) return -1;
    say(j, "逐行读回", "reading every row back");
    if (read_all(j)) return -1;
    say(j, "篡改与校验", "tampering and verifying");
    return tamper(j);
}

int scenario_main_job(int argc, char **argv)
{
    static const struct option options[] = {
        {"instance", required_argument, NULL, 'd'}, {"in", required_argument, NULL, 'i'},
        {"columns", required_argument, NULL, 'c'},  {"cases", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},     {"kills", required_argument, NULL, 'k'},
        {"json", no_argument, NULL, 'j'},           {0}};
    struct job j = {.cases = 10000, .seed = 1, .kills_wanted = KILLS};
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (c) {
        case 'd':
            j.instance = optarg;
            break;
        case 'i':
            j.in = optarg;
            break;
        case 'c':
            j.columns = optarg;
            break;
        case 'n':
            j.cases = strtoull(optarg, NULL, 10);
            break;
        case 's':
            j.seed = strtoull(optarg, NULL, 10);
            break;
        case 'k': /* 0 for a device that people unlock: it does not come back by itself */
            j.kills_wanted = atoi(optarg);
            break;
        case 'j':
            j.json = true;
            break;
        default:
            return 2;
        }
    if (!j.instance || !j.cases || j.kills_wanted < 0 || j.kills_wanted > KILLS)
        return failed("缺少 --instance,见 --help", "--instance is missing, see --help"), 2;
    char stamp[32];
    time_t t = time(NULL);
    struct tm tm;
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&t, &tm));
    snprintf(j.directory, sizeof j.directory, "%s/data/main-job-%s-%d", j.instance, stamp, (int)getpid());
    snprintf(j.database, sizeof j.database, "%s/cases.db", j.directory);
    snprintf(j.old_database, sizeof j.old_database, "%s/cases.old.db", j.directory);
    snprintf(j.report, sizeof j.report, "%s/report.json", j.directory);
    snprintf(j.socket, sizeof j.socket, "%s/run/device.sock", j.instance);
    make_status_command(&j);
    if (mkdir(j.directory, 0700)) return fprintf(stderr, "%s: %s\n", j.directory, strerror(errno)), 1;
    int err = run(&j);
    if (!err) {
        FILE *out = fopen(j.report, "we");
        if (out) report_json(&j, out), fclose(out);
        if (j.json)
            report_json(&j, stdout);
        else
            report_text(&j);
    }
    bool good = !err && passed(&j);
    rows_free(&j.rows);
    free(j.id);
    return good ? 0 : 1;
}
