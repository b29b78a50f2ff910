#include "base/sys/heap.h"
#include "base/sys/log.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include "base/sys/process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Back-off after a failed start: doubles from the first to the last; a part that served this long starts
 * afresh. */
#define BACK_OFF_FIRST_MS 100
#define BACK_OFF_LAST_MS  30000
#define SERVED_WELL_MS    10000
/* A part that had become ready is worth trying soon, however often it is killed. */
#define BACK_OFF_SERVED_MS 2000
#define TURN_MOST_MS       1000

struct child {
    const struct fn_part *part;
    enum fn_part_state state;
    pid_t pid;
    int ready_fd; /* -1 when none */
    int64_t since_ms, due_ms;
    int back_off_ms;
    unsigned restarts;
    int last_status;
    bool killed;
};

struct fn_supervisor {
    size_t count;
    struct child *children;
    bool stopping;
};

static const char *const state_names[] = {"stopped", "starting", "ready", "waiting", "stopping", "failed"};
const char *fn_part_state_name(enum fn_part_state state)
{
    return state_names[state];
}

fn_err fn_supervisor_new(struct fn_supervisor **supervisor, const struct fn_part *parts, size_t count)
{
    struct fn_supervisor *s;
    FN_TRY(fn_heap_array(&s, 1, sizeof *s));
    fn_err err = fn_heap_array(&s->children, count, sizeof *s->children);
    if (err != FN_OK) {
        free(s);
        return err;
    }
    s->count = count;
    for (size_t i = 0; i < count; i++)
        s->children[i] = (struct child){.part = &parts[i], .ready_fd = -1, .since_ms = fn_monotonic_ms()};
    *supervisor = s;
    return FN_OK;
}

void fn_supervisor_free(struct fn_supervisor *supervisor)
{
    if (!supervisor) return;
    for (size_t i = 0; i < supervisor->count; i++)
        if (supervisor->children[i].ready_fd >= 0) close(supervisor->children[i].ready_fd);
    free(supervisor->children);
    free(supervisor);
}

static void enter_state(struct child *c, enum fn_part_state state)
{
    c->state = state;
    c->since_ms = fn_monotonic_ms();
}

/* In the child, between fork and exec: only calls that are safe there. Exit statuses 126 and 127 as a shell
 * gives them. */
static void __attribute__((noreturn)) become_part(const struct fn_part *part, int ready_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(126);
    fcntl(ready_fd, F_SETFD, 0);
    char number[12];
    fn_format(number, sizeof number, "%d", ready_fd);
    setenv("FENGNI_READY_FD", number, 1);
    unsetenv("NOTIFY_SOCKET"); /* the supervisor speaks to systemd */
    if (part->folder && chdir(part->folder)) _exit(126);
    if (part->uid && fn_process_become(part->uid, part->gid) != FN_OK) _exit(126);
    /* Changing the uid cleared the signal of the parent's death, which may have come meanwhile. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(126);
    execv(part->program, (char *const *)part->words);
    _exit(127);
}

static void back_off(struct child *c, int most_ms)
{
    c->back_off_ms = c->back_off_ms ? c->back_off_ms * 2 : BACK_OFF_FIRST_MS;
    if (c->back_off_ms > most_ms) c->back_off_ms = most_ms;
    enter_state(c, FN_PART_WAITING);
    c->due_ms = c->since_ms + c->back_off_ms;
}

static void start(struct child *c)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) {
        back_off(c, BACK_OFF_LAST_MS);
        return;
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) become_part(c->part, ends[1], parent);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        back_off(c, BACK_OFF_LAST_MS);
        return;
    }
    c->pid = pid;
    c->ready_fd = ends[0];
    c->killed = false;
    enter_state(c, FN_PART_STARTING);
    c->due_ms = c->since_ms + c->part->ready_timeout_ms;
    fn_log(FN_LOG_INFO, "part.started", fn_field_text("name", c->part->name), fn_field_number("child", pid));
}

static void close_ready(struct child *c)
{
    if (c->ready_fd >= 0) close(c->ready_fd);
    c->ready_fd = -1;
}

static void look_at_ready(struct child *c)
{
    char text[16];
    if (c->ready_fd < 0) return;
    ssize_t n = read(c->ready_fd, text, sizeof text);
    if (n < 0) return; /* nothing yet */
    close_ready(c);
    /* The end of the pipe without a word: the part closed it or is about to end, which waitpid will tell. */
    if (n == 0 || c->state != FN_PART_STARTING) return;
    enter_state(c, FN_PART_READY);
    fn_log(FN_LOG_INFO, "part.ready", fn_field_text("name", c->part->name), fn_field_number("child", c->pid));
}

static void ended(const struct fn_supervisor *s, struct child *c, int status)
{
    bool ready = c->state == FN_PART_READY;
    int64_t served = ready ? fn_monotonic_ms() - c->since_ms : 0;
    bool asked = c->state == FN_PART_STOPPING;
    c->last_status = status;
    c->pid = 0;
    close_ready(c);
    fn_log(asked ? FN_LOG_INFO : FN_LOG_WARNING, "part.ended", fn_field_text("name", c->part->name),
           fn_field_number("exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
           fn_field_number("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0));
    if (s->stopping) {
        enter_state(c, FN_PART_STOPPED);
        return;
    }
    c->restarts++;
    if (served >= SERVED_WELL_MS) c->back_off_ms = 0;
    back_off(c, ready ? BACK_OFF_SERVED_MS : BACK_OFF_LAST_MS);
}

static void reap(struct fn_supervisor *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct child *c = &s->children[i];
        int status;
        if (c->pid && waitpid(c->pid, &status, WNOHANG) == c->pid) {
            look_at_ready(c);
            ended(s, c, status);
        }
    }
}

static void end_child(struct child *c)
{
    if (!c->pid) {
        enter_state(c, FN_PART_STOPPED);
        return;
    }
    kill(c->pid, SIGTERM);
    enter_state(c, FN_PART_STOPPING);
    c->due_ms = c->since_ms + c->part->stop_timeout_ms;
}

/* Parts stop one after the other, the last first: those in front of the device end before it does. */
static void drain(struct fn_supervisor *s)
{
    for (size_t i = s->count; i-- > 0;) {
        struct child *c = &s->children[i];
        if (c->state == FN_PART_STOPPED) continue;
        if (c->state != FN_PART_STOPPING) end_child(c);
        if (c->state == FN_PART_STOPPING) return;
    }
}

static void due(struct child *c, int64_t now)
{
    if (now < c->due_ms || c->killed) return;
    if (c->state == FN_PART_STARTING || c->state == FN_PART_STOPPING) {
        fn_log(FN_LOG_WARNING, "part.killed", fn_field_text("name", c->part->name),
               fn_field_text("while", fn_part_state_name(c->state)));
        kill(c->pid, SIGKILL);
        c->killed = true;
    }
}

/* The first part that is not ready decides: it may start, those behind it wait. Parts that were ready before
 * go on. */
static void advance(struct fn_supervisor *s, int64_t now)
{
    for (size_t i = 0; i < s->count; i++) {
        struct child *c = &s->children[i];
        if (c->state == FN_PART_STOPPED || (c->state == FN_PART_WAITING && now >= c->due_ms)) start(c);
        if (c->state != FN_PART_READY) return;
    }
}

int fn_supervisor_turn(struct fn_supervisor *supervisor)
{
    int64_t now = fn_monotonic_ms();
    for (size_t i = 0; i < supervisor->count; i++) look_at_ready(&supervisor->children[i]);
    reap(supervisor);
    for (size_t i = 0; i < supervisor->count; i++) due(&supervisor->children[i], now);
    if (supervisor->stopping)
        drain(supervisor);
    else
        advance(supervisor, now);
    int64_t wait = TURN_MOST_MS;
    now = fn_monotonic_ms();
    /* A part that waits is due only when it may start: an earlier one that is not ready, or the end, holds it
     * back. */
    bool may_start = !supervisor->stopping;
    for (size_t i = 0; i < supervisor->count; i++) {
        const struct child *c = &supervisor->children[i];
        bool timed = c->state == FN_PART_WAITING
                         ? may_start
                         : !c->killed && (c->state == FN_PART_STARTING || c->state == FN_PART_STOPPING);
        if (timed && c->due_ms - now < wait) wait = c->due_ms - now;
        may_start = may_start && c->state == FN_PART_READY;
    }
    return wait < 0 ? 0 : (int)wait;
}

size_t fn_supervisor_fds(const struct fn_supervisor *supervisor, int *fds, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < supervisor->count && n < room; i++)
        if (supervisor->children[i].ready_fd >= 0) fds[n++] = supervisor->children[i].ready_fd;
    return n;
}

void fn_supervisor_stop(struct fn_supervisor *supervisor)
{
    supervisor->stopping = true;
}

bool fn_supervisor_done(const struct fn_supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++)
        if (supervisor->children[i].state != FN_PART_STOPPED) return false;
    return supervisor->stopping;
}

bool fn_supervisor_all_ready(const struct fn_supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++)
        if (supervisor->children[i].state != FN_PART_READY) return false;
    return true;
}

void fn_supervisor_signal(struct fn_supervisor *supervisor, int signal)
{
    for (size_t i = 0; i < supervisor->count; i++)
        if (supervisor->children[i].pid) kill(supervisor->children[i].pid, signal);
}

void fn_supervisor_status(const struct fn_supervisor *supervisor, size_t at, struct fn_part_status *status)
{
    const struct child *c = &supervisor->children[at];
    *status = (struct fn_part_status){.name = c->part->name,
                                      .state = c->state,
                                      .pid = c->pid,
                                      .uid = c->part->uid ? c->part->uid : geteuid(),
                                      .since_ms = c->since_ms,
                                      .restarts = c->restarts,
                                      .last_status = c->last_status};
}
