/* The life of a process: signals as a descriptor, pid file, readiness, giving up root; and a supervisor of child processes. */
#ifndef FN_BASE_SYS_PROCESS_H
#define FN_BASE_SYS_PROCESS_H

#include "base/core/bytes.h"
#include <sys/types.h>

/* Blocks SIGTERM, SIGINT, SIGHUP, SIGCHLD for this thread (and those it makes later), ignores SIGPIPE; *fd becomes readable when
 * one arrives. Call before making threads. */
fn_err fn_signals_open(int *fd);
/* The next signal that waits, 0 when none does. */
int fn_signals_next(int fd);

/* Writes our pid and keeps an exclusive lock until *fd is closed or the process ends. The file is 0600 and ours; one that is not and
 * that nobody holds is replaced, for who can open it could keep us out. FN_E_LOCKED names the pid that has it. */
fn_err fn_pidfile_take(const char *path, int *fd);
/* The pid of a running holder of the lock, 0 when nobody holds it. FN_E_DENIED when the file is another user's. */
fn_err fn_pidfile_holder(const char *path, pid_t *holder);

/* Tells whoever started us that we serve: writes a line to the descriptor FENGNI_READY_FD and closes it, and sends READY=1 by the
 * sd_notify protocol. `state` for later: "RELOADING=1", "STOPPING=1" go to systemd only. Harmless when nobody asked. */
void fn_ready(void);
void fn_notify(const char *state);

/* As root: supplementary groups dropped, gid and uid set for good, verified. */
fn_err fn_process_become(uid_t uid, gid_t gid);
/* No exec of this process or its children gains rights. */
fn_err fn_process_no_new_privileges(void);

/* --- supervisor --- */

enum fn_part_state { FN_PART_STOPPED, FN_PART_STARTING, FN_PART_READY, FN_PART_WAITING, FN_PART_STOPPING, FN_PART_FAILED };
/* "stopped", "starting", "ready", "waiting", "stopping", "failed" */
const char *fn_part_state_name(enum fn_part_state state);

/* What to run. Text is borrowed. */
struct fn_part {
    const char *name;
    const char *program;       /* absolute path */
    const char *const *words;  /* argv, ends with NULL */
    const char *folder;        /* working directory, entered as who we are; NULL: ours */
    uid_t uid, gid;            /* 0, 0: stay who we are */
    int ready_timeout_ms;      /* not ready by then: killed and tried again */
    int stop_timeout_ms;       /* SIGKILL when SIGTERM has not ended it by then */
};

struct fn_part_status {
    const char *name;
    enum fn_part_state state;
    pid_t pid;
    uid_t uid;
    int64_t since_ms; /* of this state, monotonic clock */
    unsigned restarts;
    int last_status; /* as waitpid gave it */
};

struct fn_supervisor;
/* Parts start in order, each once the one before is ready. */
fn_err fn_supervisor_new(struct fn_supervisor **supervisor, const struct fn_part *parts, size_t count);
void fn_supervisor_free(struct fn_supervisor *supervisor);
/* Does what is due and returns the milliseconds until something is due again (at most 1000); call it after every wake-up, be it
 * SIGCHLD, a readable descriptor or the time. */
int fn_supervisor_turn(struct fn_supervisor *supervisor);
/* Descriptors to wait for readability (of parts that are starting); count written to fds, at most `room`. */
size_t fn_supervisor_fds(const struct fn_supervisor *supervisor, int *fds, size_t room);
/* Ends the parts in reverse order; go on turning until fn_supervisor_done. */
void fn_supervisor_stop(struct fn_supervisor *supervisor);
bool fn_supervisor_done(const struct fn_supervisor *supervisor);
bool fn_supervisor_all_ready(const struct fn_supervisor *supervisor);
/* Passes a signal (SIGHUP) on to every part. */
void fn_supervisor_signal(struct fn_supervisor *supervisor, int signal);
void fn_supervisor_status(const struct fn_supervisor *supervisor, size_t at, struct fn_part_status *status);

#endif
