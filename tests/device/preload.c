/* Preloaded into a real device by tests: steps the wall clock and holds the disk up, as a mapped file tells.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct control {
    _Atomic int64_t step_s;
    _Atomic int64_t hold; /* fsync waits while this is not 0 */
} * control;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FENGNI_TEST_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED) control = NULL;
    close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    long done = syscall(SYS_clock_gettime, id, t);
    if (done == 0 && id == CLOCK_REALTIME && control) t->tv_sec += control->step_s;
    return (int)done;
}

static void held(void)
{
    while (control && control->hold) {
        struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
    }
}

int fsync(int fd)
{
    held();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    held();
    return (int)syscall(SYS_fdatasync, fd);
}
