/* `fengni up`: supervises the parts of an instance on one machine. */
#include "base/sys/file.h"
#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "base/sys/log.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include "cli/cli.h"
#include "cli/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

struct up {
    char *instance, *config_path, *up_file;
    struct fn_config *config;
    struct fn_instance_parts parts;
    struct fn_supervisor *supervisor;
    int lock_fd, signal_fd;
    int64_t started_ms;
    struct fn_buf written; /* the last content of up.json */
    bool told_ready;
};

static void up_end(struct up *u)
{
    fn_supervisor_free(u->supervisor);
    fn_instance_parts_free(&u->parts);
    fn_config_free(u->config);
    fn_buf_free(&u->written);
    if (u->signal_fd >= 0) close(u->signal_fd);
    if (u->lock_fd >= 0) close(u->lock_fd);
    free(u->instance);
    free(u->config_path);
    free(u->up_file);
}

static fn_err open_log(const struct up *u)
{
    enum fn_log_level level;
    FN_TRY(fn_log_level_parse(&level, fn_config_text(u->config, "log.level")));
    const char *target = fn_config_text(u->config, "log.target"),
               *file = fn_config_text(u->config, "log.file");
    FN_SCOPED_HEAP char *usual = NULL;
    FN_TRY(fn_heap_format(&usual, "%s/log/fengni.log", u->instance));
    if (!strcmp(target, "syslog")) return fn_log_open("up", FN_LOG_SYSLOG, NULL, level);
    if (!strcmp(target, "file")) return fn_log_open("up", FN_LOG_FILE, *file ? file : usual, level);
    return fn_log_open("up", FN_LOG_STDERR, NULL, level);
}

static fn_err prepare(struct up *u, const struct fn_call *call)
{
    const char *const *operands;
    const char *dir = fn_call_operands(call, &operands) ? operands[0] : fn_call_instance(call);
    u->instance = realpath(dir, NULL);
    if (!u->instance) return FN_FAIL_OS("%s", dir);
    const char *given = fn_call_text(call, "config");
    FN_TRY(given ? fn_heap_text(&u->config_path, given, strlen(given))
                 : fn_heap_format(&u->config_path, "%s/fengni.yaml", u->instance));
    FN_TRY(fn_heap_format(&u->up_file, "%s/%s", u->instance, FN_UP_FILE));
    fn_err err = fn_config_load(&u->config, fn_cli_sections(), u->config_path, true);
    if (err == FN_E_NOT_FOUND)
        return FN_WRAP(
            err, FN_SAY("%s 不是实例,请先运行 `fengni init`", "%s is no instance, run `fengni init`"), dir);
    if (err != FN_OK) return err;
    FN_SCOPED_HEAP char *lock = NULL;
    FN_TRY(fn_heap_format(&lock, "%s/%s", u->instance, FN_UP_LOCK));
    FN_TRY(fn_pidfile_take(lock, &u->lock_fd));
    FN_TRY(fn_instance_parts(&u->parts, u->instance, u->config));
    FN_TRY(fn_instance_own(&u->parts, u->instance));
    FN_TRY(open_log(u));
    FN_TRY(fn_signals_open(&u->signal_fd));
    FN_TRY(fn_process_no_new_privileges());
    u->started_ms = fn_now_ms();
    return fn_supervisor_new(&u->supervisor, u->parts.part, u->parts.count);
}

static fn_err describe_part(const struct up *u, struct fn_buf *b, size_t at)
{
    struct fn_part_status s;
    fn_supervisor_status(u->supervisor, at, &s);
    FN_TRY(fn_buf_text(b, at ? ",{" : "{"));
    FN_TRY(fn_json_pair(b, "name", s.name));
    FN_TRY(fn_json_pair(b, "state", fn_part_state_name(s.state)));
    FN_TRY(fn_json_pair_number(b, "pid", s.pid));
    FN_TRY(fn_json_pair_number(b, "uid", u->parts.separate ? u->parts.owner[at] : geteuid()));
    FN_TRY(fn_json_pair_number(b, "since_ms", fn_now_ms() - (fn_monotonic_ms() - s.since_ms)));
    FN_TRY(fn_json_pair_number(b, "restarts", s.restarts));
    return fn_buf_u8(b, '}');
}

static fn_err describe(const struct up *u, struct fn_buf *b)
{
    FN_TRY(fn_buf_u8(b, '{'));
    FN_TRY(fn_json_pair_number(b, "pid", getpid()));
    FN_TRY(fn_json_pair_number(b, "uid", geteuid()));
    FN_TRY(fn_json_pair_number(b, "started_ms", u->started_ms));
    FN_TRY(fn_json_pair(b, "separation", u->parts.separate ? "strong" : "weak"));
    FN_TRY(fn_json_key(b, "parts"));
    FN_TRY(fn_buf_u8(b, '['));
    for (size_t i = 0; i < u->parts.count; i++) FN_TRY(describe_part(u, b, i));
    return fn_buf_text(b, "]}\n");
}

/* Written when something changed; a picture for people, so a rename without fsync is enough. */
static fn_err publish(struct up *u)
{
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    FN_TRY(describe(u, &b));
    FN_SCOPED_HEAP char *fresh = NULL;
    FN_TRY(fn_heap_format(&fresh, "%s.new", u->up_file));
    if (unlink(fresh) && errno != ENOENT) return FN_FAIL_OS("%s", fresh);
    FN_SCOPED_FD int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, b.p, b.n) != (ssize_t)b.n) return FN_FAIL_OS("%s", fresh);
    if (rename(fresh, u->up_file)) return FN_FAIL_OS("%s", u->up_file);
    return FN_OK;
}

/* What publish shows without the clock: changes of it are worth writing. */
static fn_err publish_changes(struct up *u)
{
    FN_SCOPED_BUF struct fn_buf now = fn_buf_heap();
    for (size_t i = 0; i < u->parts.count; i++) {
        struct fn_part_status s;
        fn_supervisor_status(u->supervisor, i, &s);
        FN_TRY(fn_buf_format(&now, "%d %d %u;", (int)s.state, (int)s.pid, s.restarts));
    }
    if (fn_bytes_equal(fn_buf_view(&now), fn_buf_view(&u->written))) return FN_OK;
    u->written.n = 0;
    FN_TRY(fn_buf_add(&u->written, now.p, now.n));
    return publish(u);
}

static void tell_ready(struct up *u)
{
    if (u->told_ready || !fn_supervisor_all_ready(u->supervisor)) return;
    u->told_ready = true;
    fn_ready();
    fn_log(FN_LOG_INFO, "instance.ready", fn_field_text("instance", u->instance),
           fn_field_text("separation", u->parts.separate ? "strong" : "weak"));
    if (!isatty(STDOUT_FILENO)) return;
    printf(FN_SAY("封泥已就绪:%s(Ctrl-C 停止,`fengni status` 查看)\n",
                  "Fengni is ready: %s (Ctrl-C stops it, `fengni status` shows it)\n"),
           u->instance);
    fflush(stdout);
}

static fn_err tell_change(void *context, const struct fn_section *section, const struct fn_setting *setting,
                          const char *before, const char *after)
{
    (void)context;
    char name[120];
    fn_format(name, sizeof name, "%s.%s", section->name, setting->name);
    fn_log(setting->live ? FN_LOG_INFO : FN_LOG_WARNING,
           setting->live ? "config.changed" : "config.restart_needed", fn_field_text("setting", name),
           fn_field_text("before", before), fn_field_text("after", after));
    return FN_OK;
}

static void reload(struct up *u)
{
    fn_notify("RELOADING=1");
    fn_err err = fn_log_reopen();
    if (err == FN_OK) err = fn_config_reload(&u->config, tell_change, NULL);
    if (err != FN_OK) {
        fn_log(FN_LOG_ERROR, "config.refused", fn_field_err(err));
    } else {
        enum fn_log_level level;
        if (fn_log_level_parse(&level, fn_config_text(u->config, "log.level")) == FN_OK)
            fn_log_level_set(level);
        fn_supervisor_signal(u->supervisor, SIGHUP);
    }
    fn_notify("READY=1");
}

static void take_signals(struct up *u)
{
    int signal;
    while ((signal = fn_signals_next(u->signal_fd))) {
        if (signal == SIGHUP) reload(u);
        if (signal != SIGTERM && signal != SIGINT) continue;
        fn_notify("STOPPING=1");
        fn_log(FN_LOG_INFO, "instance.stopping");
        fn_supervisor_stop(u->supervisor);
    }
}

static fn_err serve(struct up *u)
{
    for (;;) {
        int wait_ms = fn_supervisor_turn(u->supervisor);
        if (fn_supervisor_done(u->supervisor)) return FN_OK;
        fn_err err = publish_changes(u);
        if (err != FN_OK) fn_log(FN_LOG_WARNING, "status.unwritten", fn_field_err(err));
        tell_ready(u);
        int fds[FN_PARTS_MOST];
        size_t n = fn_supervisor_fds(u->supervisor, fds, FN_PARTS_MOST);
        struct pollfd polled[FN_PARTS_MOST + 1] = {{.fd = u->signal_fd, .events = POLLIN}};
        for (size_t i = 0; i < n; i++) polled[i + 1] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        if (poll(polled, n + 1, wait_ms) < 0 && errno != EINTR) return FN_FAIL_OS("poll");
        take_signals(u);
    }
}

fn_err fn_cli_up(const struct fn_call *call)
{
    struct up u = {.lock_fd = -1, .signal_fd = -1, .written = fn_buf_heap()};
    umask(022);
    fn_err err = prepare(&u, call);
    if (err == FN_OK) {
        err = serve(&u);
        unlink(u.up_file);
        fn_log(FN_LOG_INFO, "instance.stopped");
    }
    up_end(&u);
    return err;
}
