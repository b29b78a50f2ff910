/* fengni-device: the cryptographic device as a process of its own. */
#include "base/core/clock.h"
#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/process.h"
#include "base/sys/secret.h"
#include "crypto/cpu.h"
#include "device/device.h"
#include <fcntl.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static enum fn_lang language(void)
{
    const char *text = getenv("FENGNI_LANG");
    return text && strncmp(text, "en", 2) == 0 ? FN_LANG_EN : FN_LANG_ZH;
}

static void report(fn_err err)
{
    const struct fn_err_text *text = fn_err_text(err);
    const struct fn_err_cause *causes;
    size_t n = fn_err_chain(&causes);
    enum fn_lang lang = language();
    fprintf(stderr, "fengni-device: E%d %s", err, text->text[lang]);
    if (n && causes[0].detail[0]) fprintf(stderr, ": %s", causes[0].detail);
    fprintf(stderr, "\n");
    if (text->hint[lang][0]) fprintf(stderr, "  %s\n", text->hint[lang]);
}

static int usage(void)
{
    fputs(language() == FN_LANG_EN ? "usage: fengni-device --dir DIR --socket PATH --management PATH "
                                     "[--threads N] [--unattended-key FILE] [--uid UID]\n"
                                     "                     [--full-self-test]\n"
                                   : "用法:fengni-device --dir 目录 --socket 套接字 --management 管理套接字 "
                                     "[--threads 线程数] [--unattended-key 密钥文件]\n"
                                     "                   [--uid 用户号] [--full-self-test]\n",
          stderr);
    return 2;
}

static bool number(const char *text, long most, long *value)
{
    char *end;
    *value = strtol(text, &end, 10);
    return *text && !*end && *value >= 0 && *value <= most;
}

static bool arguments(int argc, char **argv, struct fn_device_options *o)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"socket", required_argument, NULL, 's'},
        {"management", required_argument, NULL, 'm'},
        {"threads", required_argument, NULL, 't'},
        {"unattended-key", required_argument, NULL, 'k'},
        {"uid", required_argument, NULL, 'u'},
        {"full-self-test", no_argument, NULL, 'f'},
        {0},
    };
    long value;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'd':
            o->directory = optarg;
            break;
        case 's':
            o->socket = optarg;
            break;
        case 'm':
            o->management = optarg;
            break;
        case 'k':
            o->unattended_key = optarg;
            break;
        case 'f':
            o->full_self_test = true;
            break;
        case 't':
            if (!number(optarg, 256, &value)) return false;
            o->threads = (unsigned)value;
            break;
        case 'u':
            if (!number(optarg, INT32_MAX, &value)) return false;
            o->uid = value;
            break;
        default:
            return false;
        }
    }
    return optind == argc && o->directory && o->socket && o->management;
}

/* A directory of ours, 0700; made and given to the device's uid when it is not there. */
static fn_err own_folder(struct fn_device *d, const char *path, mode_t mode)
{
    fn_err err = d->files->mkdir(d->files, path, mode);
    if (err == FN_E_EXISTS) return fn_err_clear(), FN_OK;
    FN_TRY(err);
    if (d->options.uid <= 0) return FN_OK;
    /* The folder above may be the device uid's own: what stands under the name is looked at before it is
     * given away. */
    FN_SCOPED_FD int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 || fchown(folder, (uid_t)d->options.uid, (gid_t)d->options.uid))
        return FN_FAIL(FN_E_DENIED, "giving %s away", path);
    return FN_OK;
}

static fn_err folders(struct fn_device *d)
{
    char folder[4096];
    FN_TRY(own_folder(d, d->options.directory, 0700));
    const char *slash = strrchr(d->options.management, '/');
    if (!slash || slash == d->options.management) return FN_OK;
    fn_format(folder, sizeof folder, "%.*s", (int)(slash - d->options.management), d->options.management);
    return own_folder(d, folder, 0700);
}

/* One device on a directory, in every state. */
static fn_err take_directory(struct fn_device *d, int *handle)
{
    char path[4096];
    fn_format(path, sizeof path, "%s/lock", d->options.directory);
    FN_TRY(d->files->open(d->files, path, FN_FILE_READ | FN_FILE_WRITE | FN_FILE_CREATE, 0600, handle));
    return d->files->lock(d->files, *handle);
}

static fn_err become(struct fn_device *d)
{
    if (geteuid() == 0 && d->options.uid > 0)
        FN_TRY(fn_process_become((uid_t)d->options.uid, (gid_t)d->options.uid));
    /* Without a uid of its own any process of the same user can be the device's client or look at its files.
     */
    d->separation_weak = !(d->options.uid > 0 && geteuid() == (uid_t)d->options.uid);
    return FN_OK;
}

static void limits(struct fn_device *d)
{
    struct rlimit files;
    d->connections_most = 960;
    if (getrlimit(RLIMIT_NOFILE, &files)) return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files)) return;
    d->connections_most = files.rlim_cur > 16384 + 64 ? 16384
                          : files.rlim_cur < 128      ? 64
                                                      : (unsigned)files.rlim_cur - 64;
}

/* Where the limit of locked memory cannot be raised (a container without CAP_SYS_RESOURCE), libcrypto's heap
 * takes a quarter of it: the rest is for the keys of our own algorithms. */
static fn_err secure_heap(struct fn_device *d)
{
    struct rlimit locked = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    if (geteuid() == 0) setrlimit(RLIMIT_MEMLOCK, &locked); /* kept when the uid changes */
    size_t size = FN_PK_HEAP;
    if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_cur != RLIM_INFINITY)
        while (size > FN_PK_HEAP_LEAST && size > locked.rlim_cur / 4) size /= 2;
    return fn_pk_heap(size, &d->secure_heap_locked);
}

static fn_err prepare(struct fn_device *d)
{
    uint8_t random[16];
    umask(077);
    FN_TRY(fn_confine_first());
    FN_TRY(folders(d));
    FN_TRY(fn_device_random_open());
    FN_TRY(fn_life_key_file(d));
    FN_TRY(fn_rng_fill(fn_device_rng(), random, sizeof random));
    fn_uuid_from_random(&d->boot, random);
    if (!d->options.threads) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        d->options.threads = cores > 0 && cores <= 256 ? (unsigned)cores : 1;
    }
    limits(d);
    FN_TRY(secure_heap(d));
    /* Nothing of libcrypto's configuration is read later, when files cannot be opened any more. */
    OPENSSL_init_crypto(
        OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS, NULL);
    return FN_OK;
}

static fn_err open_life(struct fn_device *d)
{
    FN_TRY(fn_self_test_power_on(d));
    FN_TRY(fn_life_open(d));
    if (d->options.full_self_test && d->store) {
        fn_err err = fn_self_test_all(d);
        if (err == FN_OK) return FN_OK;
        report(err);
        fn_life_exception(d, d->test.detail[0] ? d->test.detail : "full self-test");
    }
    return FN_OK;
}

static fn_err run(struct fn_device *d, int signals)
{
    int lock = -1;
    FN_TRY(prepare(d));
    FN_TRY(take_directory(d, &lock));
    /* Sockets may stand in a directory of root's: they are made before the uid changes. */
    FN_TRY(fn_server_open(d));
    FN_TRY(become(d));
    FN_TRY(fn_confine(d));
    fn_err err = open_life(d);
    if (err == FN_E_CRYPTO_SELF_TEST || err == FN_E_RANDOM_SOURCE || err == FN_E_DEVICE_STORE_OLD) {
        /* It answers that it is in exception, and the operator can ask for the tests again. */
        report(err);
        fn_life_exception(d, err == FN_E_DEVICE_STORE_OLD ? "an older copy of the store was put back"
                                                          : "power-on self-test");
        err = FN_OK;
    }
    if (err == FN_OK) err = fn_server_run(d, signals);
    fn_life_close(d);
    fn_server_end(d);
    fn_device_random_close();
    return err;
}

int main(int argc, char **argv)
{
    static struct fn_device device = {.options = {.uid = -1}};
    int signals;
    device.files = fn_files_real();
    device.started_ms = fn_monotonic_ms();
    pthread_mutex_init(&device.clients_mutex, NULL);
    pthread_mutex_init(&device.claims_mutex, NULL);
    pthread_mutex_init(&device.remember_mutex, NULL);
    pthread_rwlock_init(&device.life_lock, NULL);
    atomic_store(&device.state, FN_DEVICE_INITIAL);
    if (!arguments(argc, argv, &device.options)) return usage();
    fn_err err = fn_cpu_select(getenv("FENGNI_CPU"));
    if (err == FN_OK) err = fn_signals_open(&signals);
    if (err == FN_OK) err = run(&device, signals);
    if (err == FN_OK) return 0;
    report(err);
    return 1;
}
