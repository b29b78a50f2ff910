/* Signals, pid file, readiness, giving up root, and the supervisor over real child processes. */
#include "base/sys/heap.h"
#include "base/sys/log.h"
#include "base/sys/now.h"
#include "base/sys/process.h"
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

static char folder[] = "/tmp/fn-process-XXXXXX";
static int signals;

static int make_folder(void **state)
{
    (void)state;
    fn_log_level_set(FN_LOG_ERROR);
    if (fn_signals_open(&signals) != FN_OK) return -1;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[80];
    fn_format(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void signals_come_by_descriptor(void **state)
{
    (void)state;
    assert_int_equal(fn_signals_next(signals), 0);
    raise(SIGHUP);
    raise(SIGTERM);
    int a = fn_signals_next(signals), b = fn_signals_next(signals);
    assert_true((a == SIGHUP && b == SIGTERM) || (a == SIGTERM && b == SIGHUP));
    assert_int_equal(fn_signals_next(signals), 0);
}

static void pidfile_has_one_holder(void **state)
{
    (void)state;
    char path[80];
    int fd, other;
    pid_t holder = -1;
    fn_format(path, sizeof path, "%s/pid", folder);
    assert_int_equal(fn_pidfile_holder(path, &holder), FN_OK);
    assert_int_equal(holder, 0);
    assert_int_equal(fn_pidfile_take(path, &fd), FN_OK);
    assert_int_equal(fn_pidfile_holder(path, &holder), FN_OK);
    assert_int_equal(holder, getpid());
    assert_int_equal(fn_pidfile_take(path, &other), FN_E_LOCKED);
    close(fd);
    assert_int_equal(fn_pidfile_holder(path, &holder), FN_OK);
    assert_int_equal(holder, 0);
    assert_int_equal(fn_pidfile_take(path, &fd), FN_OK);
    close(fd);
    assert_int_equal(fn_pidfile_take("/no/such/folder/pid", &fd), FN_E_NOT_FOUND);
}

/* What somebody left in the place of the pid file is neither written to nor able to keep us out. */
static void pidfile_is_not_led_astray(void **state)
{
    (void)state;
    char path[80], precious[80];
    int fd, file;
    struct stat s;
    fn_format(path, sizeof path, "%s/pid2", folder);
    fn_format(precious, sizeof precious, "%s/precious", folder);
    file = open(precious, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(file, "precious", 8), 8);
    for (int kind = 0; kind < 4; kind++) {
        if (kind == 0) assert_int_equal(symlink(precious, path), 0);
        if (kind == 1) assert_int_equal(link(precious, path), 0);
        if (kind == 2) assert_int_equal(mkfifo(path, 0600), 0);
        /* Whoever can read it could lock it: one of an older version is replaced, its reader keeps a lock of
         * nothing. */
        if (kind == 3) {
            fd = open(path, O_RDONLY | O_CREAT, 0644);
            assert_int_equal(flock(fd, LOCK_SH), 0);
            fchmod(fd, 0644);
        }
        assert_int_equal(fn_pidfile_take(path, &fd), FN_OK);
        assert_int_equal(stat(path, &s), 0);
        assert_true(S_ISREG(s.st_mode) && (s.st_mode & 07777) == 0600);
        close(fd);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(fstat(file, &s), 0);
    assert_int_equal(s.st_size, 8);
    close(file);
}

static void readiness_is_told_both_ways(void **state)
{
    (void)state;
    int ends[2];
    char number[12], text[40] = "";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fn_format(address.sun_path, sizeof address.sun_path, "%s/notify", folder);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(pipe(ends), 0);
    fn_format(number, sizeof number, "%d", ends[1]);
    setenv("FENGNI_READY_FD", number, 1);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    fn_ready();
    assert_null(getenv("FENGNI_READY_FD"));
    assert_int_equal(read(ends[0], text, sizeof text), 6);
    assert_memory_equal(text, "ready\n", 6);
    assert_int_equal(read(ends[0], text, sizeof text), 0); /* closed */
    assert_int_equal(recv(fd, text, sizeof text, MSG_DONTWAIT), 7);
    assert_memory_equal(text, "READY=1", 7);
    setenv("FENGNI_READY_FD", "nonsense", 1);
    unsetenv("NOTIFY_SOCKET");
    fn_ready();
    close(ends[0]);
    close(fd);
}

static void root_is_given_up_for_good(void **state)
{
    (void)state;
    if (geteuid() != 0) skip();
    pid_t pid = fork();
    if (pid == 0) {
        int told = 0;
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (fn_process_become(61234, 61234) != FN_OK || fn_process_no_new_privileges() != FN_OK) _exit(1);
        if (getuid() != 61234 || getgid() != 61234 || seteuid(0) == 0) _exit(2);
        if (prctl(PR_GET_PDEATHSIG, &told) || told != SIGTERM) _exit(4); /* a killed supervisor still ends us */
        _exit(fn_process_become(0, 0) == FN_E_DENIED ? 0 : 3);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* A part that is ready at once, says in `name`.order when it starts and when it is told to end, and waits. */
static const char good[] =
    "echo start $0 >> order; trap 'echo end $0 >> order; exit 0' TERM; trap 'echo hup $0 >> order' HUP; "
    "eval \"echo ready >&$FENGNI_READY_FD\"; eval \"exec $FENGNI_READY_FD>&-\"; while :; do sleep 0.02; done";
static const char never_ready[] = "echo start $0 >> order; while :; do sleep 0.02; done";
static const char ends_at_once[] = "echo start $0 >> order; exit 3";
static const char stubborn[] =
    "trap '' TERM; eval \"echo ready >&$FENGNI_READY_FD\"; while :; do sleep 0.02; done";

static struct fn_part part(const char *name, const char *const *words)
{
    return (struct fn_part){.name = name,
                            .program = "/bin/sh",
                            .words = words,
                            .ready_timeout_ms = 5000,
                            .stop_timeout_ms = 5000};
}
#define WORDS(name, script) ((const char *const[]){"sh", "-c", script, name, NULL})

/* Waits as `fengni up` does: for signals, for the parts that are starting, for what is due. */
static void wait_turn(struct fn_supervisor *s, int wait_ms)
{
    struct pollfd fds[9] = {{.fd = signals, .events = POLLIN}};
    int ready[8];
    size_t n = fn_supervisor_fds(s, ready, 8);
    for (size_t i = 0; i < n; i++) fds[i + 1] = (struct pollfd){.fd = ready[i], .events = POLLIN};
    poll(fds, n + 1, wait_ms);
    while (fn_signals_next(signals)) continue;
}

#define TURN_UNTIL(s, condition)                                                                             \
    for (int64_t until = fn_monotonic_ms() + 20000;;) {                                                      \
        int wait_ms = fn_supervisor_turn(s);                                                                 \
        if (condition) break;                                                                                \
        assert_true(fn_monotonic_ms() < until);                                                              \
        wait_turn(s, wait_ms);                                                                               \
    }

static struct fn_part_status status_of(const struct fn_supervisor *s, size_t at)
{
    struct fn_part_status status;
    fn_supervisor_status(s, at, &status);
    return status;
}

static void stop(struct fn_supervisor *s)
{
    fn_supervisor_stop(s);
    TURN_UNTIL(s, fn_supervisor_done(s));
    fn_supervisor_free(s);
}

static void read_order(char *out, size_t room)
{
    FN_SCOPED_FILE FILE *f = fopen("order", "r");
    size_t n = f ? fread(out, 1, room - 1, f) : 0;
    out[n] = 0;
    unlink("order");
}

static void parts_start_in_order_and_end_in_reverse(void **state)
{
    (void)state;
    assert_int_equal(chdir(folder), 0);
    struct fn_part parts[] = {part("a", WORDS("a", good)), part("b", WORDS("b", good)),
                              part("c", WORDS("c", good))};
    struct fn_supervisor *s;
    char order[400];
    assert_int_equal(fn_supervisor_new(&s, parts, 3), FN_OK);
    assert_false(fn_supervisor_all_ready(s));
    TURN_UNTIL(s, fn_supervisor_all_ready(s));
    assert_true(status_of(s, 2).pid > 0);
    assert_int_equal(status_of(s, 2).restarts, 0);
    stop(s);
    read_order(order, sizeof order);
    assert_string_equal(order, "start a\nstart b\nstart c\nend c\nend b\nend a\n");
}

static void a_killed_part_comes_back(void **state)
{
    (void)state;
    struct fn_part parts[] = {part("a", WORDS("a", good)), part("b", WORDS("b", good))};
    struct fn_supervisor *s;
    char order[400];
    assert_int_equal(fn_supervisor_new(&s, parts, 2), FN_OK);
    TURN_UNTIL(s, fn_supervisor_all_ready(s));
    pid_t first = status_of(s, 0).pid, second = status_of(s, 1).pid;
    kill(first, SIGKILL);
    TURN_UNTIL(s, fn_supervisor_all_ready(s) && status_of(s, 0).restarts == 1);
    assert_true(status_of(s, 0).pid > 0 && status_of(s, 0).pid != first);
    assert_int_equal(status_of(s, 1).pid, second);
    assert_true(WIFSIGNALED(status_of(s, 0).last_status));
    fn_supervisor_signal(s, SIGHUP);
    struct timespec moment = {.tv_nsec = 200000000};
    nanosleep(&moment, NULL);
    stop(s);
    read_order(order, sizeof order);
    assert_non_null(strstr(order, "hup a\n"));
    assert_non_null(strstr(order, "hup b\n"));
}

static void failing_parts_back_off(void **state)
{
    (void)state;
    struct fn_part parts[] = {part("a", WORDS("a", ends_at_once)), part("b", WORDS("b", good))};
    struct fn_supervisor *s;
    char order[400];
    assert_int_equal(fn_supervisor_new(&s, parts, 2), FN_OK);
    int64_t begin = fn_monotonic_ms();
    TURN_UNTIL(s, status_of(s, 0).restarts == 3);
    assert_true(fn_monotonic_ms() - begin >= 100 + 200); /* 100, 200, then 400 ms */
    assert_int_equal(WEXITSTATUS(status_of(s, 0).last_status), 3);
    assert_int_equal(status_of(s, 1).pid, 0); /* waits for the one before it */
    stop(s);
    read_order(order, sizeof order);
    assert_string_equal(order, "start a\nstart a\nstart a\n");
    parts[0].program = "/no/such/program";
    assert_int_equal(fn_supervisor_new(&s, parts, 1), FN_OK);
    TURN_UNTIL(s, status_of(s, 0).restarts == 1);
    assert_int_equal(WEXITSTATUS(status_of(s, 0).last_status), 127);
    stop(s);
}

/* The second time it starts it never gets ready. */
static const char ready_once[] = "test -e once && while :; do sleep 0.02; done; touch once; "
                                 "eval \"echo ready >&$FENGNI_READY_FD\"; while :; do sleep 0.02; done";

static void nobody_spins_while_a_part_holds_others_back(void **state)
{
    (void)state;
    struct fn_part parts[] = {part("a", WORDS("a", ready_once)), part("b", WORDS("b", good))};
    struct fn_supervisor *s;
    int turns = 0;
    char order[400];
    assert_int_equal(fn_supervisor_new(&s, parts, 2), FN_OK);
    TURN_UNTIL(s, fn_supervisor_all_ready(s));
    kill(status_of(s, 0).pid, SIGKILL);
    kill(status_of(s, 1).pid, SIGKILL);
    /* b is due after 100 ms and cannot start; a is due when its time to get ready is over. */
    int64_t begin = fn_monotonic_ms();
    TURN_UNTIL(s, (turns++, fn_monotonic_ms() - begin > 1500));
    assert_int_equal(status_of(s, 0).state, FN_PART_STARTING);
    assert_int_equal(status_of(s, 1).state, FN_PART_WAITING);
    assert_true(turns < 30);
    stop(s);
    read_order(order, sizeof order);
    unlink("once");
}

/* execve hands an ignored SIGCHLD on, and with it the end of every child is lost. */
static void children_are_seen_whoever_started_us(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        int fd, status = -1;
        signal(SIGCHLD, SIG_IGN);
        if (fn_signals_open(&fd) != FN_OK) _exit(1);
        pid_t child = fork();
        if (child == 0) _exit(7);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 5000) != 1 || fn_signals_next(fd) != SIGCHLD) _exit(2);
        _exit(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7 ? 0 : 3);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void slow_and_stubborn_parts_are_killed(void **state)
{
    (void)state;
    struct fn_part parts[] = {part("a", WORDS("a", never_ready))};
    parts[0].ready_timeout_ms = 150;
    struct fn_supervisor *s;
    char order[400];
    assert_int_equal(fn_supervisor_new(&s, parts, 1), FN_OK);
    TURN_UNTIL(s, status_of(s, 0).restarts == 1);
    assert_int_equal(WTERMSIG(status_of(s, 0).last_status), SIGKILL);
    stop(s);
    read_order(order, sizeof order);
    parts[0] = part("s", WORDS("s", stubborn));
    parts[0].stop_timeout_ms = 200;
    assert_int_equal(fn_supervisor_new(&s, parts, 1), FN_OK);
    TURN_UNTIL(s, fn_supervisor_all_ready(s));
    int64_t begin = fn_monotonic_ms();
    fn_supervisor_stop(s);
    TURN_UNTIL(s, fn_supervisor_done(s));
    assert_true(fn_monotonic_ms() - begin >= 200);
    assert_int_equal(WTERMSIG(status_of(s, 0).last_status), SIGKILL);
    fn_supervisor_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_come_by_descriptor),
        cmocka_unit_test(pidfile_has_one_holder),
        cmocka_unit_test(pidfile_is_not_led_astray),
        cmocka_unit_test(readiness_is_told_both_ways),
        cmocka_unit_test(root_is_given_up_for_good),
        cmocka_unit_test(parts_start_in_order_and_end_in_reverse),
        cmocka_unit_test(a_killed_part_comes_back),
        cmocka_unit_test(failing_parts_back_off),
        cmocka_unit_test(nobody_spins_while_a_part_holds_others_back),
        cmocka_unit_test(children_are_seen_whoever_started_us),
        cmocka_unit_test(slow_and_stubborn_parts_are_killed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
