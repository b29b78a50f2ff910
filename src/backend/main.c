/* fengni-backend: a vendor's SDF library behind the device protocol, and its delivery test. */
#include "backend/backend.h"

#include "base/sys/process.h"
#include "base/sys/secret.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage_en[] =
    "usage: fengni-backend --backend LIB.so --profile NAME --socket PATH --dir DIR [--kek N] [--sign N]\n"
    "                      [--password-file FILE] [--client UID:TENANT:APPLICATION]... [--test-tenant]\n"
    "       fengni-backend --probe --lib LIB.so [--profile NAME] [--kek N] [--key N] [--password-file FILE] "
    "[--json]\n"
    "       fengni-backend --profiles\n";
static const char usage_zh[] =
    "用法:fengni-backend --backend 库.so --profile 名称 --socket 路径 --dir 目录 [--kek 索引] [--sign 索引]\n"
    "                    [--password-file 文件] [--client 用户号:租户:应用]... [--test-tenant]\n"
    "     fengni-backend --probe --lib 库.so [--profile 名称] [--kek 索引] [--key 索引] [--password-file "
    "文件] [--json]\n"
    "     fengni-backend --profiles\n";

static int usage(void)
{
    fputs(FN_SAY(usage_zh, usage_en), stderr);
    return 2;
}

static bool number(const char *text, uint32_t *value)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    *value = (uint32_t)v;
    return *text >= '0' && *text <= '9' && !*end && !errno && v <= UINT32_MAX;
}

/* UID:TENANT:APPLICATION */
static bool client(struct fn_backend_options *o, const char *text)
{
    if (o->clients_count == FN_BACKEND_CLIENTS) return false;
    struct fn_backend_client *c = &o->clients[o->clients_count];
    const char *tenant = strchr(text, ':'), *application = tenant ? strchr(tenant + 1, ':') : NULL;
    char uid[16];
    if (!application || tenant - text >= (ptrdiff_t)sizeof uid) return false;
    memcpy(uid, text, (size_t)(tenant - text));
    uid[tenant - text] = 0;
    size_t n = (size_t)(application - tenant - 1), m = strlen(application + 1);
    if (!number(uid, &c->uid) || n == 0 || n > 64 || m == 0 || m > 64) return false;
    memcpy(c->tenant, tenant + 1, n);
    memcpy(c->application, application + 1, m);
    o->clients_count++;
    return true;
}

enum act { ACT_SERVE, ACT_PROBE, ACT_PROFILES };

struct arguments {
    enum act act;
    struct fn_backend_options serve;
    struct fn_probe_options probe;
};

static bool read_option(struct arguments *a, int c, const char *text)
{
    switch (c) {
    case 'b':
        a->serve.library = a->probe.library = text;
        return true;
    case 'f':
        a->probe.profile = text;
        return true;
    case 's':
        a->serve.socket = text;
        return true;
    case 'd':
        a->serve.directory = text;
        return true;
    case 'k':
        return number(text, &a->serve.kek) && number(text, &a->probe.kek);
    case 'g':
        return number(text, &a->serve.sign) && number(text, &a->probe.key);
    case 'w':
        a->serve.password = a->probe.password = text;
        return true;
    case 'c':
        return client(&a->serve, text);
    case 't':
        a->serve.test_tenant = true;
        return true;
    case 'p':
        a->act = ACT_PROBE;
        return true;
    case 'l':
        a->act = ACT_PROFILES;
        return true;
    case 'j':
        a->probe.json = true;
        return true;
    default:
        return false;
    }
}

static bool read_arguments(struct arguments *a, int argc, char **argv)
{
    static const struct option options[] = {
        {"backend", required_argument, NULL, 'b'},
        {"lib", required_argument, NULL, 'b'},
        {"profile", required_argument, NULL, 'f'},
        {"socket", required_argument, NULL, 's'},
        {"dir", required_argument, NULL, 'd'},
        {"kek", required_argument, NULL, 'k'},
        {"sign", required_argument, NULL, 'g'},
        {"key", required_argument, NULL, 'g'},
        {"password-file", required_argument, NULL, 'w'},
        {"client", required_argument, NULL, 'c'},
        {"test-tenant", no_argument, NULL, 't'},
        {"probe", no_argument, NULL, 'p'},
        {"profiles", no_argument, NULL, 'l'},
        {"json", no_argument, NULL, 'j'},
        {0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!read_option(a, c, optarg)) return false;
    return optind == argc;
}

static void print_profiles(void)
{
    for (size_t i = 0; fn_profile_at(i); i++)
        printf("%-12s %s\n", fn_profile_at(i)->name, fn_say(fn_profile_at(i)->text));
}

static fn_err serve(struct fn_backend_options *o)
{
    static struct fn_backend backend;
    int signals;
    FN_TRY(fn_process_harden());
    FN_TRY(fn_signals_open(&signals)); /* the store and the library make threads */
    if (o->clients_count == 0)
        o->clients[o->clients_count++] =
            (struct fn_backend_client){.uid = getuid(), .tenant = "default", .application = "default"};
    fn_err err = fn_backend_open(&backend, o);
    if (err == FN_OK) err = fn_backend_serve(&backend, signals);
    /* Threads of connections may be inside the library: the process ends, the store's log is durable as it
     * is. */
    return err;
}

int main(int argc, char **argv)
{
    struct arguments a = {.serve = {.kek = 1}};
    if (!read_arguments(&a, argc, argv)) return usage();
    if (a.act == ACT_PROFILES) {
        print_profiles();
        return 0;
    }
    if (a.probe.profile && !fn_profile(a.probe.profile)) {
        fn_err_print(FN_FAIL(FN_E_USAGE, "--profile %s: see --profiles", a.probe.profile), a.probe.json);
        return 2;
    }
    fn_err err;
    if (a.act == ACT_PROBE) {
        if (!a.probe.library) return usage();
        err = fn_backend_probe(&a.probe);
    } else {
        if (!a.serve.library || !a.serve.socket || !a.serve.directory || !a.probe.profile) return usage();
        a.serve.profile = fn_profile(a.probe.profile);
        err = serve(&a.serve);
    }
    if (err != FN_OK) fn_err_print(err, a.probe.json);
    return err == FN_OK ? 0 : 1;
}
