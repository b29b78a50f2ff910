/* The device's process, seen and killed from outside as `fengni status` names it. */
#ifndef SCENARIO_DEVICE_H
#define SCENARIO_DEVICE_H

#include <sys/types.h>

struct device {
    char command[16500]; /* asks for the status, JSON */
    pid_t killed;        /* last one that was killed, 0 */
};

void device_find(struct device *d, const char *instance);
/* Waits until a device other than the one killed last is ready. Its process, or 0 after `seconds`: a device
 * that ends again and again is restarted only every half minute. */
pid_t device_wait(const struct device *d, unsigned seconds);
/* Kills it with SIGKILL; 0, or -1 when none came back within `seconds`. */
int device_kill(struct device *d, unsigned seconds);

#endif
