/* Log lines, JSON texts, metrics. */
#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "base/sys/log.h"
#include "base/sys/metrics.h"
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

static char folder[] = "/tmp/fn-log-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[80];
    fn_format(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static size_t lines_of(const char *path, char lines[][2000], size_t most)
{
    FN_SCOPED_FILE FILE *f = fopen(path, "r");
    size_t n = 0;
    while (f && n < most && fgets(lines[n], 2000, f)) n++;
    return n;
}

static const char *member(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void lines_are_json(void **state)
{
    (void)state;
    char path[80], lines[4][2000];
    fn_format(path, sizeof path, "%s/a.log", folder);
    assert_int_equal(fn_log_open("test", FN_LOG_FILE, path, FN_LOG_INFO), FN_OK);
    fn_log(FN_LOG_DEBUG, "not.written");
    fn_log_request("req-1");
    fn_log(FN_LOG_WARNING, "key.made", fn_field_text("name", "封泥 \"quoted\"\n\x01\xff\xc3"),
           fn_field_number("n", INT64_MIN), fn_field_bool("good", true),
           fn_field_hex("digest", fn_bytes("\x00\xab", 2)), fn_field_text("absent", NULL));
    fn_log_request(NULL);
    fn_err err = FN_FAIL(FN_E_DISK_FULL, "inner %d", 7);
    fn_log(FN_LOG_ERROR, "failed", fn_field_err(FN_WRAP(err, "outer")));
    assert_int_equal(lines_of(path, lines, 4), 2);
    json_t *o = json_loads(lines[0], JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_string_equal(member(o, "event"), "key.made");
    assert_string_equal(member(o, "level"), "warning");
    assert_string_equal(member(o, "part"), "test");
    assert_string_equal(member(o, "request"), "req-1");
    assert_string_equal(member(o, "digest"), "00ab");
    assert_string_equal(member(o, "name"), "封泥 \"quoted\"\n\x01\xef\xbf\xbd\xef\xbf\xbd");
    assert_true(json_integer_value(json_object_get(o, "n")) == INT64_MIN);
    assert_true(json_is_true(json_object_get(o, "good")));
    assert_true(json_is_null(json_object_get(o, "absent")));
    assert_int_equal(member(o, "time")[strlen(member(o, "time")) - 1], 'Z');
    json_decref(o);
    o = json_loads(lines[1], 0, NULL);
    assert_null(json_object_get(o, "request"));
    const json_t *error = json_object_get(o, "error");
    assert_string_equal(member(error, "name"), "DISK_FULL");
    assert_string_equal(json_string_value(json_array_get(json_object_get(error, "causes"), 0)), "outer");
    assert_string_equal(json_string_value(json_array_get(json_object_get(error, "causes"), 1)), "inner 7");
    json_decref(o);
    fn_log_level_set(FN_LOG_ERROR);
    fn_log(FN_LOG_WARNING, "not.written");
    assert_int_equal(lines_of(path, lines, 4), 2);
}

static void file_is_opened_anew_after_rotation(void **state)
{
    (void)state;
    char path[80], moved[80], lines[4][2000];
    fn_format(path, sizeof path, "%s/b.log", folder);
    fn_format(moved, sizeof moved, "%s/b.log.1", folder);
    assert_int_equal(fn_log_open("test", FN_LOG_FILE, path, FN_LOG_INFO), FN_OK);
    fn_log(FN_LOG_INFO, "one");
    assert_int_equal(rename(path, moved), 0);
    fn_log(FN_LOG_INFO, "two");
    assert_int_equal(fn_log_reopen(), FN_OK);
    fn_log(FN_LOG_INFO, "three");
    assert_int_equal(lines_of(moved, lines, 4), 2);
    assert_int_equal(lines_of(path, lines, 4), 1);
    assert_int_equal(fn_log_open("test", FN_LOG_FILE, "/dev/full", FN_LOG_INFO), FN_OK);
    uint64_t before = fn_log_lost();
    fn_log(FN_LOG_INFO, "four");
    assert_int_equal(fn_log_lost(), before + 1);
    assert_int_equal(fn_log_open("test", FN_LOG_FILE, "/no/such/folder/x", FN_LOG_INFO), FN_E_NOT_FOUND);
}

/* A disk that is full takes part of a line; the next line that fits stands by itself. */
static void a_cut_line_spoils_no_other(void **state)
{
    (void)state;
    char path[80], lines[4][2000];
    struct rlimit before, small;
    fn_format(path, sizeof path, "%s/full.log", folder);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(fn_log_open("test", FN_LOG_FILE, path, FN_LOG_INFO), FN_OK);
    uint64_t lost = fn_log_lost();
    small = (struct rlimit){40, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    fn_log(FN_LOG_INFO, "first");
    fn_log(FN_LOG_INFO, "second");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(fn_log_lost() - lost, 2);
    fn_log(FN_LOG_INFO, "third");
    assert_int_equal(lines_of(path, lines, 4), 2);
    assert_int_equal(strlen(lines[0]), 41);
    json_t *o = json_loads(lines[1], JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_string_equal(member(o, "event"), "third");
    json_decref(o);
    assert_int_equal(fn_log_open("test", FN_LOG_STDERR, NULL, FN_LOG_INFO), FN_OK);
}

static void syslog_messages_follow_rfc_5424(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fn_format(address.sun_path, sizeof address.sun_path, "%s/devlog", folder);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    setenv("FENGNI_SYSLOG_SOCKET", address.sun_path, 1);
    assert_int_equal(fn_log_open("test", FN_LOG_SYSLOG, NULL, FN_LOG_INFO), FN_OK);
    fn_log(FN_LOG_ERROR, "broken", fn_field_number("n", 1));
    char message[2000] = "";
    ssize_t n = recv(fd, message, sizeof message - 1, MSG_DONTWAIT);
    assert_true(n > 0);
    int priority, pid, after = 0;
    char time[40], host[80], app[40], id[40];
    assert_int_equal(
        sscanf(message, "<%d>1 %39s %79s %39s %d %39s - %n", &priority, time, host, app, &pid, id, &after),
        6);
    assert_int_equal(priority, 10 * 8 + 3);
    assert_string_equal(app, "fengni-test");
    assert_string_equal(id, "broken");
    assert_int_equal(pid, getpid());
    json_t *o = json_loads(message + after, 0, NULL);
    assert_non_null(o);
    json_decref(o);
    unsetenv("FENGNI_SYSLOG_SOCKET");
    close(fd);
    assert_int_equal(fn_log_open("test", FN_LOG_STDERR, NULL, FN_LOG_INFO), FN_OK);
}

static void pairs_are_separated(void **state)
{
    (void)state;
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    fn_buf_text(&b, "{");
    fn_json_pair(&b, "a", "b");
    fn_json_key(&b, "c");
    fn_buf_text(&b, "[");
    fn_buf_text(&b, "]");
    fn_json_pair_number(&b, "d", -3);
    fn_json_pair_bool(&b, "e", false);
    fn_buf_text(&b, "}");
    fn_buf_u8(&b, 0);
    assert_string_equal((char *)b.p, "{\"a\":\"b\",\"c\":[],\"d\":-3,\"e\":false}");
}

static const int64_t bounds[] = {1000, 1000000};
static struct fn_metric signs = {.name = "t_ops_total", .labels = "op=\"sign\"", .help = "Operations."};
static struct fn_metric hashes = {.name = "t_ops_total", .labels = "op=\"hash\"", .help = "Operations."};
static struct fn_metric open_now = {.name = "t_open", .help = "Open.", .kind = FN_METRIC_GAUGE};
static struct fn_metric times = {.name = "t_seconds",
                                 .help = "Time.",
                                 .kind = FN_METRIC_HISTOGRAM,
                                 .bounds = bounds,
                                 .bound_count = 2,
                                 .unit = 1e-6};

static void metrics_have_prometheus_form(void **state)
{
    (void)state;
    fn_metric_register(&times);
    fn_metric_register(&signs);
    fn_metric_register(&open_now);
    fn_metric_register(&hashes);
    fn_metric_register(&hashes);
    fn_metric_add(&signs, 3);
    fn_metric_add(&hashes, 1);
    fn_metric_set(&open_now, -2);
    fn_metric_observe(&times, 1000);
    fn_metric_observe(&times, 1001);
    fn_metric_observe(&times, 5000000);
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    assert_int_equal(fn_metrics_text(&b), FN_OK);
    fn_buf_u8(&b, 0);
    assert_string_equal((char *)b.p,
                        "# HELP t_open Open.\n# TYPE t_open gauge\nt_open -2\n"
                        "# HELP t_ops_total Operations.\n# TYPE t_ops_total counter\n"
                        "t_ops_total{op=\"sign\"} 3\nt_ops_total{op=\"hash\"} 1\n"
                        "# HELP t_seconds Time.\n# TYPE t_seconds histogram\n"
                        "t_seconds_bucket{le=\"0.001\"} 1\nt_seconds_bucket{le=\"1\"} 2\n"
                        "t_seconds_bucket{le=\"+Inf\"} 3\nt_seconds_sum 5.002001\nt_seconds_count 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_json),
        cmocka_unit_test(file_is_opened_anew_after_rotation),
        cmocka_unit_test(a_cut_line_spoils_no_other),
        cmocka_unit_test(syslog_messages_follow_rfc_5424),
        cmocka_unit_test(pairs_are_separated),
        cmocka_unit_test(metrics_have_prometheus_form),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
