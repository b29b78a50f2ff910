/* How long the device takes from exec to service with 1,000,000 keys in its store: with what must be tested
 * before service, and with `self_test.power_on: full`. The store is made here by the device's own code, in
 * process. */
#include "bench.h"

#include "base/sys/file.h"
#include "base/sys/heap.h"
#include "device/life.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEYS    1000000u
#define BATCH   5000u /* keys in a commit */
#define ROUNDS  3
#define NAME    "device start with 1,000,000 keys"
#define FULL    NAME ", self_test.power_on full"
#define GOAL_MS 2000.0

struct home {
    char folder[32], program[4096], paths[4][96]; /* device, its socket, management socket, key file */
};

static void die(const char *what, fn_err err)
{
    const struct fn_err_cause *chain;
    size_t n = err ? fn_err_chain(&chain) : 0;
    fprintf(stderr, "bench: %s: %d %s\n", what, err, n ? chain[0].detail : "");
    exit(1);
}

static struct home home;

static void remove_home(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", home.folder);
    if (system(command)) fprintf(stderr, "bench: %s was not removed\n", home.folder);
}

static void make_home(void)
{
    static const char *const names[] = {"device", "device.sock", "management/device.sock", "unattended.key"};
    strcpy(home.folder, "/tmp/fengni-bench-XXXXXX");
    ssize_t n = readlink("/proc/self/exe", home.program, sizeof home.program - 16);
    if (n < 0 || !mkdtemp(home.folder)) die("a folder", 0);
    home.program[n] = 0;
    strcpy(strrchr(home.program, '/') + 1, "fengni-device");
    for (size_t i = 0; i < FN_COUNT(names); i++)
        snprintf(home.paths[i], sizeof home.paths[i], "%s/%s", home.folder, names[i]);
    if (mkdir(home.paths[0], 0700)) die("a folder", 0);
    atexit(remove_home);
}

/* SM4 keys that protect stored data: the kind that there are many of. */
static fn_err add_keys(struct fn_device *d, unsigned count)
{
    struct fn_key_spec spec = {.key_class = FN_CLASS_DATA_ENC,
                               .alg = FN_ALG_SM4,
                               .usage = FN_USE_ENCRYPT | FN_USE_DECRYPT,
                               .tenant = "default",
                               .owner = "bench",
                               .half = 0xff};
    struct fn_pending *p;
    FN_TRY(fn_pending_new(d, &p));
    fn_err err = FN_OK;
    for (unsigned i = 0; err == FN_OK && i < count; i++) {
        struct fn_key *key;
        err = fn_key_generate(fn_device_rng(), FN_ALG_SM4, &key);
        if (err != FN_OK) break;
        err = fn_key_act_new(d, fn_device_rng(), &spec, key, p);
        fn_key_release(key);
    }
    if (err == FN_OK) err = fn_pending_commit(p);
    fn_pending_free(p);
    return err;
}

static fn_err make_store(struct fn_device *d)
{
    struct fn_life_head head = {.mode = FN_LIFE_UNATTENDED, .generation = 1};
    uint8_t root[32];
    FN_TRY(fn_device_random_open());
    FN_TRY(fn_life_key_file(d));
    FN_TRY(fn_life_begin(d, &head, root));
    FN_TRY(fn_life_head_store(d, &head, root));
    for (unsigned made = 0; made < KEYS; made += BATCH) FN_TRY(add_keys(d, BATCH));
    return FN_OK;
}

static void fill(void)
{
    static struct fn_device d = {.options = {.uid = -1}};
    d.files = fn_files_real();
    d.options.directory = home.paths[0];
    d.options.unattended_key = home.paths[3];
    pthread_mutex_init(&d.clients_mutex, NULL);
    pthread_mutex_init(&d.claims_mutex, NULL);
    pthread_mutex_init(&d.remember_mutex, NULL);
    pthread_rwlock_init(&d.life_lock, NULL);
    umask(077);
    fn_err err = make_store(&d);
    if (err != FN_OK) die("a store of 1,000,000 keys", err);
    if (fn_device_store_count(d.store, FN_RECORD_KEY) < KEYS) die("the store has too few keys", 0);
    fn_life_close(&d);
    fn_device_random_close();
}

static fn_err forget_file(void *context, const char *name)
{
    char path[512];
    const char *folder = context;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return FN_OK;
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return FN_OK;
}

/* The store's files leave the page cache, so that they are read from the disk. */
static void forget_files(void)
{
    char folder[128];
    snprintf(folder, sizeof folder, "%s/store", home.paths[0]);
    fn_err err = fn_files_real()->list(fn_files_real(), folder, forget_file, folder);
    if (err != FN_OK) die("listing the store", err);
}

static long resident_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1) break;
    if (f) fclose(f);
    return kib;
}

static void run_device(int ready, bool full)
{
    char fd[16];
    snprintf(fd, sizeof fd, "%d", ready);
    setenv("FENGNI_READY_FD", fd, 1);
    execl(home.program, home.program, "--dir", home.paths[0], "--socket", home.paths[1], "--management",
          home.paths[2], "--unattended-key", home.paths[3], full ? "--full-self-test" : (char *)NULL,
          (char *)NULL);
    _exit(127);
}

/* Milliseconds from exec until it serves. */
static double start_ms(bool full, long *kib)
{
    int ready[2], status;
    char byte;
    if (pipe(ready)) die("pipe", 0);
    double began = bench_now();
    pid_t pid = fork();
    if (pid < 0) die("fork", 0);
    if (pid == 0) {
        close(ready[0]);
        run_device(ready[1], full);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) die("the device did not start", 0);
    double ms = (bench_now() - began) * 1e3;
    close(ready[0]);
    *kib = resident_kib(pid);
    kill(pid, SIGTERM);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
        die("the device's end", 0);
    return ms;
}

static void start_row(const char *name, bool full, int rounds, double goal)
{
    double times[ROUNDS], cold;
    long kib;
    char note[160];
    if (!bench_wanted(name)) return;
    forget_files();
    cold = start_ms(full, &kib);
    for (int i = 0; i < rounds; i++) times[i] = start_ms(full, &kib);
    double ours = bench_median(times, (size_t)rounds);
    snprintf(note, sizeof note,
             "exec to service; %.0f ms with its files not in the page cache; %ld MiB resident then", cold,
             kib / 1024);
    bench_emit(&(struct bench_row){name, "ms", true, ours, {{NULL, 0}}, goal, note});
}

void bench_start(void)
{
    if (!bench_wanted(NAME) && !bench_wanted(FULL)) return;
    make_home();
    fill();
    start_row(NAME, false, ROUNDS, GOAL_MS);
    start_row(FULL, true, 1, BENCH_NO_GOAL);
}
