#include "base/sys/process.h"

#include "base/sys/heap.h"
#include "base/sys/os_err.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

fn_err fn_signals_open(int *fd)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    /* Whoever started us may have ignored it, which execve passes on: children would vanish without a word.
     */
    signal(SIGCHLD, SIG_DFL);
    int code = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (code) {
        errno = code;
        return FN_FAIL_OS("signal mask");
    }
    *fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *fd < 0 ? FN_FAIL_OS("signalfd") : FN_OK;
}

int fn_signals_next(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

static pid_t read_pid(int fd)
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* Locks of the open file description: asking whether one is held takes none, so that who asks is in nobody's
 * way. */
static bool lock_whole(int fd, int how, short kind, struct flock *lock)
{
    *lock = (struct flock){.l_type = kind, .l_whence = SEEK_SET};
    return fcntl(fd, how, lock) == 0;
}

/* Nobody else can have opened the file to lock it, and to write it is to write nothing else. */
static bool pidfile_is_ours(int fd, const char *path)
{
    struct stat s, named;
    return fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_uid == geteuid() && s.st_nlink == 1 &&
           (s.st_mode & 077) == 0 && lstat(path, &named) == 0 && named.st_ino == s.st_ino &&
           named.st_dev == s.st_dev;
}

fn_err fn_pidfile_take(const char *path, int *fd)
{
    const int how = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    struct flock lock;
    for (int tries = 0; tries < 3; tries++) {
        FN_SCOPED_FD int file = open(path, how, 0600);
        if (file < 0 && errno != ELOOP) return FN_FAIL_OS("%s", path);
        if (file >= 0 && !lock_whole(file, F_OFD_SETLK, F_WRLCK, &lock)) {
            if (errno != EAGAIN && errno != EACCES) return FN_FAIL_OS("%s", path);
            return FN_FAIL(FN_E_LOCKED, "%s: process %d", path, (int)read_pid(file));
        }
        if (file >= 0 && pidfile_is_ours(file, path)) {
            char text[24];
            size_t n = fn_format(text, sizeof text, "%d\n", (int)getpid());
            if (ftruncate(file, 0) || pwrite(file, text, n, 0) != (ssize_t)n) return FN_FAIL_OS("%s", path);
            *fd = fn_fd_release(&file);
            return FN_OK;
        }
        /* Nobody holds it and it is not what we would make: an older one, another user's, or a trap. */
        if (unlink(path) && errno != ENOENT) return FN_FAIL_OS("%s", path);
    }
    return FN_FAIL(FN_E_BUSY, "%s is changed again and again", path);
}

fn_err fn_pidfile_holder(const char *path, pid_t *holder)
{
    struct flock lock;
    *holder = 0;
    FN_SCOPED_FD int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (file < 0 && errno == ENOENT) return FN_OK;
    if (file < 0 || !lock_whole(file, F_OFD_GETLK, F_RDLCK, &lock)) return FN_FAIL_OS("%s", path);
    if (lock.l_type != F_UNLCK) *holder = read_pid(file);
    return FN_OK;
}

void fn_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path) return;
    size_t n = strlen(path);
    memcpy(address.sun_path, path, n);
    if (path[0] == '@') address.sun_path[0] = 0;
    FN_SCOPED_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
}

void fn_ready(void)
{
    const char *text = getenv("FENGNI_READY_FD");
    char *end;
    long fd = text ? strtol(text, &end, 10) : -1;
    if (text && *text && !*end && fd > 2 && fd < 65536) {
        ssize_t written = write((int)fd, "ready\n", 6);
        (void)written; /* nobody listening any more is no concern of ours */
        close((int)fd);
    }
    unsetenv("FENGNI_READY_FD");
    fn_notify("READY=1");
}

fn_err fn_process_become(uid_t uid, gid_t gid)
{
    /* The kernel forgets on a change of uid that we asked to be told of the parent's death. */
    int parent_death = 0;
    if (prctl(PR_GET_PDEATHSIG, &parent_death)) return FN_FAIL_OS("PR_GET_PDEATHSIG");
    if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
        return FN_FAIL_OS("becoming uid %u", uid);
    uid_t r, e, s;
    if (getresuid(&r, &e, &s) || r != uid || e != uid || s != uid || (uid != 0 && setuid(0) == 0))
        return FN_FAIL(FN_E_DENIED, "becoming uid %u did not hold", uid);
    if (prctl(PR_SET_PDEATHSIG, parent_death)) return FN_FAIL_OS("PR_SET_PDEATHSIG");
    return FN_OK;
}

fn_err fn_process_no_new_privileges(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return FN_FAIL_OS("PR_SET_NO_NEW_PRIVS");
    return FN_OK;
}
