/* What the process may still do once it serves: a list of system calls, and its own directories. */
#include "base/sys/heap.h"
#include "base/sys/os_err.h"
#include "base/sys/process.h"
#include "base/sys/secret.h"
#include "device/device.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Newer than some distributions' headers. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static const int allowed[] = {
    SCMP_SYS(accept4),
    SCMP_SYS(brk),
    SCMP_SYS(chmod),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(eventfd2),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fallocate),
    SCMP_SYS(fchmod),
    SCMP_SYS(fcntl),
    SCMP_SYS(fdatasync),
    SCMP_SYS(flock),
    SCMP_SYS(fstat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(fsync),
    SCMP_SYS(ftruncate),
    SCMP_SYS(futex),
    SCMP_SYS(getdents64),
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getsockopt),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(lseek),
    SCMP_SYS(lstat),
    SCMP_SYS(madvise),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(mlock),
    SCMP_SYS(mlock2),
    SCMP_SYS(mremap),
    SCMP_SYS(munlock),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(newfstatat),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(pread64),
    SCMP_SYS(prlimit64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(stat),
    SCMP_SYS(statx),
    SCMP_SYS(sysinfo),
    SCMP_SYS(tgkill),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(getrlimit),
};

/* Threads may be made, processes may not; what is not on the list fails, it does not kill: an error that
 * reaches a client is better than a device that disappears. execve, ptrace, socket and connect are not on it.
 */
static fn_err filter(struct fn_device *d)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!ctx) return FN_FAIL(FN_E_NO_MEMORY, "system call filter");
    int failed = 0;
    for (size_t i = 0; i < FN_COUNT(allowed); i++)
        if (allowed[i] >= 0) failed |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
    failed |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    /* No page becomes a program any more. */
    failed |=
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    failed |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                               SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* Its flags lie in memory, where a filter cannot look; the C library then falls back to clone. */
    failed |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    failed |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    failed |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_VMA));
    failed |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1,
                               SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    failed |= seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!failed) failed = seccomp_load(ctx);
    seccomp_release(ctx);
    d->confined_seccomp = !failed;
    return FN_OK; /* status shows when there is none */
}

static long ruleset_new(const struct landlock_ruleset_attr *attr, size_t n, unsigned flags)
{
    return syscall(SYS_landlock_create_ruleset, attr, n, flags);
}

static int allow_below(int ruleset, const char *path, uint64_t access)
{
    int fd FN_SCOPED_FD = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
    if (fd < 0) return 0;
    return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

static void folder_of(const char *path, char out[4096])
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        fn_format(out, 4096, ".");
    else
        fn_format(out, 4096, "%.*s", (int)(slash == path ? 1 : slash - path), path);
}

static void paths(struct fn_device *d)
{
    uint64_t files = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                     LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR;
    struct landlock_ruleset_attr attr = {.handled_access_fs = (1ULL << 13) - 1};
    char folder[4096];
    long version = ruleset_new(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) return;
    if (version >= 2) {
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
        files |= LANDLOCK_ACCESS_FS_REFER;
    }
    if (version >= 3) {
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
        files |= LANDLOCK_ACCESS_FS_TRUNCATE;
    }
    int ruleset FN_SCOPED_FD = (int)ruleset_new(&attr, sizeof attr, 0);
    if (ruleset < 0) return;
    int failed = allow_below(ruleset, d->options.directory, files);
    folder_of(d->options.socket, folder);
    failed |= allow_below(ruleset, folder, LANDLOCK_ACCESS_FS_REMOVE_FILE);
    folder_of(d->options.management, folder);
    failed |= allow_below(ruleset, folder, LANDLOCK_ACCESS_FS_REMOVE_FILE);
    failed |= allow_below(ruleset, "/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE);
    if (!failed) d->confined_landlock = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
}

/* The sanitizers' own reports need a look at the process. */
fn_err fn_confine_first(void)
{
    return SANITIZED ? FN_OK : fn_process_harden();
}

fn_err fn_confine(struct fn_device *d)
{
    FN_TRY(fn_process_harden()); /* again: a change of uid gave back what the system's settings say */
    FN_TRY(fn_process_no_new_privileges());
    if (SANITIZED) {
        /* The sanitizers' own reports need system calls and a look at the process. */
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        return FN_OK;
    }
    paths(d);
    return filter(d);
}
