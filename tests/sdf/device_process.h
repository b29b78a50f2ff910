/* A real fengni-device on a directory of its own, and libsdf.so as a customer would bind it: by dlopen and
 * dlsym. */
#ifndef TESTS_SDF_DEVICE_PROCESS_H
#define TESTS_SDF_DEVICE_PROCESS_H

#include "device/client/client.h"
#include "fengni/sdf_ext.h"
#include "gmt/sdf.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PASSWORD "correct horse battery"

static struct {
    char home[64], socket[96], management[112], directory[96], key_file[96], library[512], program[512];
    pid_t pid;
    void *so;
} device;

static void *sdf_symbol(const char *name)
{
    void *f = dlsym(device.so, name);
    if (!f) fprintf(stderr, "libsdf.so has no %s\n", name);
    assert_non_null(f);
    return f;
}
#define S(name) ((__typeof__(&name))sdf_symbol(#name))

static inline void device_start(void)
{
    int ready[2];
    char byte, fd[16];
    assert_int_equal(pipe(ready), 0);
    device.pid = fork();
    assert_true(device.pid >= 0);
    if (device.pid == 0) {
        close(ready[0]);
        snprintf(fd, sizeof fd, "%d", ready[1]);
        setenv("FENGNI_READY_FD", fd, 1);
        setenv("FENGNI_LANG", "en", 1);
        execl(device.program, device.program, "--dir", device.directory, "--socket", device.socket,
              "--management", device.management, "--threads", "2", "--unattended-key", device.key_file,
              (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    ssize_t n = read(ready[0], &byte, 1);
    close(ready[0]);
    assert_int_equal(n, 1);
}

static inline void device_kill(void)
{
    kill(device.pid, SIGKILL);
    waitpid(device.pid, NULL, 0);
}

/* One verb on the management socket; fails the test when the device refuses. */
static inline void device_manage(const char *verb, const char *json)
{
    struct fn_client *c;
    struct fn_client_options o = {.socket = device.management, .timeout_ms = 60000};
    struct fn_client_response r;
    uint8_t items[4096];
    struct fn_buf b = fn_buf_fixed(items, sizeof items);
    assert_int_equal(fn_client_open(&c, &o), FN_OK);
    assert_int_equal(fn_buf_var(&b, verb, strlen(verb)), FN_OK);
    assert_int_equal(fn_buf_var(&b, json, strlen(json)), FN_OK);
    fn_err err = fn_client_call(c, 0, FN_OP_MANAGE, 1, fn_buf_view(&b), &r);
    const struct fn_err_cause *causes;
    if (err != FN_OK && fn_err_chain(&causes)) fprintf(stderr, "%s: %d %s\n", verb, err, causes[0].detail);
    assert_int_equal(err, FN_OK);
    fn_client_response_free(&r);
    fn_client_close(c);
}

/* Device, tenant (a test tenant or not), pairs at index 1 (with password) and 2 (without), RSA at 3, KEK
 * at 1. */
static inline void device_make(bool test_tenant)
{
    char json[256];
    const char *bin = getenv("FENGNI_BIN");
    snprintf(device.home, sizeof device.home, "%s", "/tmp/fengni-sdf-XXXXXX");
    assert_non_null(mkdtemp(device.home));
    snprintf(device.socket, sizeof device.socket, "%s/device.sock", device.home);
    snprintf(device.management, sizeof device.management, "%s/management/device.sock", device.home);
    snprintf(device.directory, sizeof device.directory, "%s/device", device.home);
    snprintf(device.key_file, sizeof device.key_file, "%s/unattended.key", device.home);
    snprintf(device.library, sizeof device.library, "%s/libsdf.so", bin ? bin : ".");
    snprintf(device.program, sizeof device.program, "%s/fengni-device", bin ? bin : ".");
    device_start();
    snprintf(json, sizeof json,
             "{\"unattended\":true,\"clients\":[{\"uid\":%u,\"application\":\"app\",\"test\":%s}]}",
             (unsigned)getuid(), test_tenant ? "true" : "false");
    device_manage("init", json);
    device_manage("key.create_index", "{\"index\":1,\"password\":\"" PASSWORD "\"}");
    device_manage("key.create_index", "{\"index\":2}");
    device_manage("key.create_index", "{\"index\":3,\"algorithm\":\"rsa2048\"}");
    device_manage("kek.create", "{\"index\":1}");
    setenv("FENGNI_DEVICE_SOCKET", device.socket, 1);
    device.so = dlopen(device.library, RTLD_NOW | RTLD_LOCAL);
    if (!device.so) fprintf(stderr, "%s\n", dlerror());
    assert_non_null(device.so);
}

static void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    char name[512];
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (unlink(name) != 0) remove_tree(name);
    }
    if (d) closedir(d);
    rmdir(path);
}

static inline void device_end(void)
{
    int status;
    kill(device.pid, SIGTERM);
    waitpid(device.pid, &status, 0);
    remove_tree(device.home);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* An open device and session for a test. */
struct sdf {
    void *device, *session;
};
static inline struct sdf sdf_open(void)
{
    struct sdf s;
    assert_int_equal(S(SDF_OpenDevice)(&s.device), SDR_OK);
    assert_int_equal(S(SDF_OpenSession)(s.device, &s.session), SDR_OK);
    return s;
}
static inline void sdf_close(struct sdf s)
{
    assert_int_equal(S(SDF_CloseSession)(s.session), SDR_OK);
    assert_int_equal(S(SDF_CloseDevice)(s.device), SDR_OK);
}
static inline void sdf_right(struct sdf s, unsigned index)
{
    assert_int_equal(
        S(SDF_GetPrivateKeyAccessRight)(s.session, index, (unsigned char *)PASSWORD, sizeof PASSWORD - 1),
        SDR_OK);
}
static inline void sdf_hex(const char *text, unsigned char *out)
{
    for (size_t i = 0; text[2 * i]; i++) {
        unsigned v;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &v), 1);
        out[i] = (unsigned char)v;
    }
}

#endif
