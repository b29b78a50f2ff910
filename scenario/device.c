#include "device.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

void device_find(struct device *d, const char *instance)
{
    char self[4096] = "", program[8192], where[8192];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 8);
    char *slash = n > 0 ? strrchr(self, '/') : NULL;
    if (slash) strcpy(slash + 1, "fengni");
    quote(program, sizeof program, slash ? self : "fengni");
    quote(where, sizeof where, instance);
    snprintf(d->command, sizeof d->command, "%s status --json --instance %s", program, where);
}

static pid_t ready(const struct device *d)
{
    char text[8192], *at;
    FILE *f = popen(d->command, "re");
    if (!f) return 0;
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    int pid = 0;
    if (pclose(f) == 0 && (at = strstr(text, "\"name\":\"device\"")) && strstr(at, "\"ready\"") &&
        (at = strstr(at, "\"pid\":")))
        pid = atoi(at + 6);
    return pid > 1 ? pid : 0;
}

pid_t device_wait(const struct device *d, unsigned seconds)
{
    struct timespec pause = {.tv_nsec = 50000000}, began, now;
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (;;) {
        pid_t pid = ready(d);
        if (pid && pid != d->killed) return pid;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - began.tv_sec >= (time_t)seconds) return 0;
        nanosleep(&pause, NULL);
    }
}

int device_kill(struct device *d, unsigned seconds)
{
    pid_t pid = device_wait(d, seconds);
    if (!pid || kill(pid, SIGKILL)) return -1;
    d->killed = pid;
    return 0;
}
