/* The main job: workflow (4) of the guideline, storing and using important data, carried out and tried to
 * break. The instance is up; the device is killed from here while rows are being written and restarted by its
 * supervisor. */
#include "job.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 90u /* the supervisor restarts a part that ended often only after half a minute */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int job_failed(const char *zh, const char *en)
{
    fprintf(stderr, "%s\n", scenario_text(zh, en));
    return -1;
}

static int data_failed(void)
{
    fprintf(stderr, "%s\n", fengni_data_failure());
    return -1;
}

void job_say(const struct job *j, const char *zh, const char *en)
{
    if (!j->json) printf("  · %s\n", scenario_text(zh, en)), fflush(stdout);
}

/* Kills the device from within the acknowledgement: the next transactions are being encrypted at this moment.
 */
static void acknowledged(void *context, size_t first, size_t count, const uint64_t *ids)
{
    struct job *j = context;
    for (size_t i = 0; i < count; i++) j->id[j->base + first + i] = ids[i];
    j->acknowledged += count;
    if (j->kills == j->kills_wanted || j->acknowledged < j->threshold[j->kills]) return;
    if (device_kill(&j->device, PATIENCE_S)) return;
    j->acknowledged_at[j->kills++] = j->acknowledged;
}

static int device_there(const struct job *j)
{
    if (device_wait(&j->device, PATIENCE_S)) return 0;
    return job_failed("密码设备没有就绪,见 fengni status", "the device is not ready, see `fengni status`");
}

static int open_table(const struct job *j, int read_only, struct fengni_data **data,
                      struct fengni_table **table)
{
    char url[4400];
    snprintf(url, sizeof url, "sqlite:%s", j->database);
    struct fengni_table_options options = {.columns = read_only ? NULL : j->rows.column,
                                           .column_count = read_only ? 0 : j->rows.columns,
                                           .suite = j->suite,
                                           .read_only = read_only};
    if (device_there(j)) return -1;
    if (fengni_data_open(data, url, j->socket)) return *data = NULL, data_failed();
    if (fengni_table_open(*data, TABLE, &options, table)) {
        data_failed();
        fengni_data_close(*data);
        *data = NULL;
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

/* In pieces when there are few rows, so that something is left to kill in after an acknowledgement. */
static int insert_all(struct job *j)
{
    size_t piece = j->rows.count / 8 + 1, left = j->rows.count - j->base;
    int err = 0;
    while (!err && left) {
        err = fengni_table_insert(j->table, left < piece ? left : piece, rows_cell(&j->rows, j->base, 0),
                                  acknowledged, j);
        while (j->base < j->rows.count && j->id[j->base]) j->base++;
        left = j->rows.count - j->base;
    }
    return err;
}

/* The table stays open for the search. */
static int ingest(struct job *j)
{
    if (open_table(j, 0, &j->data, &j->table) || leak_prepare(j)) return -1;
    double began = now();
    int err = -1;
    for (int tries = 0; err && tries < 2 * KILLS + 1; tries++) {
        if (device_there(j)) return -1;
        err = insert_all(j);
        if (err) job_say(j, "写入中断,重新继续", "writing was interrupted, continuing");
    }
    if (err) return data_failed();
    j->seconds_ingest = now() - began;
    return 0;
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
    if (!r.seen || open_table(j, 1, &data, &table)) return free(r.seen), -1;
    double began = now();
    int err = fengni_table_read(table, 0, UINT64_MAX, read_row, &r);
    j->seconds_read = now() - began;
    for (size_t i = 0; i < j->rows.count; i++) j->lost += j->id[i] && !r.seen[i];
    struct fengni_verdict verdict;
    if (!err) err = fengni_table_verify(table, NULL, NULL, &verdict);
    if (err) data_failed();
    free(r.seen);
    return close_table(data, table) || err ? -1 : 0;
}

/* A column that is filled in the rows concerned, and another. */
static void choose_columns(const struct job *j, struct tamper_setting *t)
{
    for (size_t i = 0; i < j->rows.columns; i++) {
        const struct fengni_column *c = &j->rows.column[i];
        if (c->role == FENGNI_COLUMN_COVERED) t->covered_column = c->name;
        if (c->role != FENGNI_COLUMN_PROTECTED) continue;
        if (t->protected_column) t->other_protected_column = c->name;
        if (!t->protected_column) t->protected_column = c->name;
    }
}

/* Changes through the system, so that there is something old to put back: one row gets another content, and
 * one is deleted. */
static int change_rows(struct job *j, uint64_t middle, uint64_t gone)
{
    struct fengni_data *data;
    struct fengni_table *table;
    size_t n = j->rows.count;
    if (open_table(j, 0, &data, &table)) return -1;
    int err = fengni_table_update(table, middle, rows_cell(&j->rows, (n / 2 + 1) % n, 0));
    if (!err && gone) err = fengni_table_delete(table, gone);
    if (err) data_failed();
    return close_table(data, table) || err ? -1 : 0;
}

static int tamper(struct job *j)
{
    size_t n = j->rows.count;
    struct tamper_setting t = {.database = j->database,
                               .work = j->directory,
                               .table = TABLE,
                               .socket = j->socket,
                               .first = j->id[0],
                               .middle = j->id[n / 2],
                               .last = j->id[n - 1],
                               .other = n >= 4 ? j->id[n / 4] : 0,
                               .gone = n >= 5 ? j->id[n * 3 / 4] : 0,
                               .old_database = j->old_database};
    choose_columns(j, &t);
    if (copy_file(j->database, j->old_database))
        return job_failed("不能复制数据库", "cannot copy the database");
    if (change_rows(j, t.middle, t.gone)) return -1;
    j->tampered = tamper_all(&t, j->tamper, &j->untouched_good);
    for (int i = 0; i < j->tampered; i++) j->tampered_found += j->tamper[i].found;
    unlink(j->old_database);
    return j->tampered < 0 ? -1 : 0;
}

static void set_thresholds(struct job *j)
{
    /* From 5,000 acknowledged rows on when there are enough; spread over what remains. */
    size_t n = j->rows.count, from = n > 8000 ? 5000 : n * 3 / 10, step = (n - from) / (KILLS + 1);
    for (int i = 0; i < KILLS; i++) j->threshold[i] = from + step * (size_t)i;
    if (n < (size_t)j->kills_wanted) j->kills_wanted = (int)n;
}

static int run(struct job *j)
{
    if (j->in ? rows_read(&j->rows, j->in, j->columns) : rows_generate(&j->rows, j->seed, j->cases))
        return -1;
    set_thresholds(j);
    j->id = calloc(j->rows.count + 1, sizeof *j->id);
    if (!j->id) return job_failed("内存不足", "out of memory");
    job_say(j, "写入,其间三次强杀密码设备", "writing, killing the device three times meanwhile");
    if (ingest(j)) return -1;
    job_say(j, "在实例的每个文件中检索明文", "searching every file of the instance for clear values");
    if (leak_search(j)) return -1;
    struct fengni_table *table = j->table;
    j->table = NULL;
    int err = device_there(j) || close_table(j->data, table);
    j->data = NULL;
    if (err) return -1;
    job_say(j, "逐行读回", "reading every row back");
    if (read_all(j)) return -1;
    job_say(j, "篡改与校验", "tampering and verifying");
    return tamper(j);
}

/* One main job at a time in an instance: the control row of one would be a leak to the other. */
static int take_turn(const struct job *j)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/data/main-job.lock", j->instance);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return fprintf(stderr, "%s: %s\n", path, strerror(errno)), -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
    close(fd);
    return job_failed("该实例中正在执行另一个主要任务", "another main job is running in this instance");
}

static int make_places(struct job *j, const char *instance)
{
    char stamp[32];
    time_t t = time(NULL);
    struct tm tm;
    char *whole = realpath(instance, NULL);
    if (!whole || strlen(whole) > 4000) {
        fprintf(stderr, "%s: %s\n", instance, strerror(whole ? ENAMETOOLONG : errno));
        free(whole);
        return -1;
    }
    snprintf(j->instance, sizeof j->instance, "%s", whole);
    free(whole);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&t, &tm));
    snprintf(j->directory, sizeof j->directory, "%s/data/main-job-%s-%d", j->instance, stamp, (int)getpid());
    snprintf(j->database, sizeof j->database, "%s/cases.db", j->directory);
    snprintf(j->old_database, sizeof j->old_database, "%s/cases.old.db", j->directory);
    snprintf(j->report, sizeof j->report, "%s/report.json", j->directory);
    snprintf(j->socket, sizeof j->socket, "%s/run/device.sock", j->instance);
    device_find(&j->device, j->instance);
    return 0;
}

static int report(const struct job *j)
{
    FILE *out = fopen(j->report, "we");
    if (out) report_json(j, out);
    if (!out || fclose(out)) return fprintf(stderr, "%s: %s\n", j->report, strerror(errno)), -1;
    if (j->json)
        report_json(j, stdout);
    else
        report_text(j);
    return fflush(stdout) ? -1 : 0;
}

static int do_job(struct job *j, const char *instance)
{
    if (make_places(j, instance)) return 1;
    int turn = take_turn(j);
    if (turn < 0) return 1;
    int err = mkdir(j->directory, 0700);
    if (err) fprintf(stderr, "%s: %s\n", j->directory, strerror(errno));
    if (!err) err = run(j) || report(j);
    if (j->data) {
        fengni_table_close(j->table);
        fengni_data_close(j->data);
    }
    search_free(j->search);
    rows_free(&j->rows);
    free(j->id);
    close(turn);
    return !err && job_passed(j) ? 0 : 1;
}

int scenario_main_job(int argc, char **argv)
{
    static const struct option options[] = {{"instance", required_argument, NULL, 'd'},
                                            {"in", required_argument, NULL, 'i'},
                                            {"columns", required_argument, NULL, 'c'},
                                            {"cases", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"suite", required_argument, NULL, 'u'},
                                            {"kills", required_argument, NULL, 'k'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    static struct job j;
    const char *instance = NULL;
    unsigned long long kills = KILLS;
    bool bad = false;
    j.cases = 10000;
    j.seed = 1;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (c) {
        case 'd':
            instance = optarg;
            break;
        case 'i':
            j.in = optarg;
            break;
        case 'c':
            j.columns = optarg;
            break;
        case 'n':
            bad |= scenario_number(optarg, 1, &j.cases) || j.cases > 100000000;
            break;
        case 's':
            bad |= scenario_number(optarg, 0, &j.seed) != 0;
            break;
        case 'u': /* devices without authenticated encryption: 2 */
            j.suite = strcmp(optarg, "2") == 0 ? FENGNI_SUITE_SM4_CBC_HMAC_SM3 : FENGNI_SUITE_SM4_GCM;
            break;
        case 'k': /* 0 for a device that people unlock: killed, it does not come back by itself */
            bad |= scenario_number(optarg, 0, &kills) || kills > KILLS;
            break;
        case 'j':
            j.json = true;
            break;
        default:
            return 2;
        }
    j.kills_wanted = (int)kills;
    if (bad || optind != argc) return job_failed("参数错误,见 --help", "bad argument, see --help"), 2;
    if (!instance) return job_failed("缺少 --instance,见 --help", "--instance is missing, see --help"), 2;
    if (j.columns && !j.in) return job_failed("--columns 须与 --in 同用", "--columns goes with --in"), 2;
    return do_job(&j, instance);
}
