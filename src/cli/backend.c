/* Devices of other makers: `fengni sdf …` and `fengni device --…` hand over to the program that does it. */
#include "base/sys/heap.h"
#include "base/sys/os_err.h"
#include "cli/cli.h"

#include <string.h>

#define WORDS_MOST 32

/* Replaces this process; returns only on failure. */
static fn_err become(const char *program, char **words)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) return FN_FAIL_OS("/proc/self/exe");
    self[n] = 0;
    FN_SCOPED_HEAP char *path = NULL;
    FN_TRY(fn_heap_format(&path, "%.*s/%s", (int)(strrchr(self, '/') - self), self, program));
    fflush(stdout);
    words[0] = path;
    execv(path, words);
    return FN_FAIL_OS("%s", path);
}

static fn_err run_probe(const struct fn_call *call)
{
    static const char *const options[] = {"lib", "profile", "kek", "key", "password-file"};
    static char names[FN_COUNT(options)][24];
    char *words[WORDS_MOST] = {NULL, (char *)"--probe"};
    size_t n = 2;
    for (size_t i = 0; i < FN_COUNT(options); i++) {
        const char *value = fn_call_text(call, options[i]);
        if (!value) continue;
        fn_format(names[i], sizeof names[i], "--%s", options[i]);
        words[n++] = names[i];
        words[n++] = (char *)(uintptr_t)value;
    }
    if (fn_call_json(call)) words[n++] = (char *)"--json";
    return become("fengni-backend", words);
}

static fn_err run_profiles(const struct fn_call *call)
{
    char *words[WORDS_MOST] = {NULL, (char *)"--profiles", fn_call_json(call) ? (char *)"--json" : NULL};
    return become("fengni-backend", words);
}

fn_err fn_cli_become_device(int count, char **words)
{
    char *given[WORDS_MOST * 2] = {NULL};
    bool backend = false;
    if ((size_t)count + 2 > FN_COUNT(given)) return FN_FAIL(FN_E_USAGE, "too many words");
    for (int i = 0; i < count; i++) {
        given[i + 1] = words[i];
        backend |= strcmp(words[i], "--backend") == 0 || strncmp(words[i], "--backend=", 10) == 0;
    }
    return become(backend ? "fengni-backend" : "fengni-device", given);
}

static const struct fn_option probe_options[] = {
    {"lib", 0, FN_OPTION_FILE, "LIB.so", NULL, true, false, {"厂商的 SDF 库", "the vendor's SDF library"}},
    {"profile",
     0,
     FN_OPTION_TEXT,
     "NAME",
     NULL,
     false,
     false,
     {"特征;不给出时由探测判断", "profile; probed when not given"}},
    {"kek",
     0,
     FN_OPTION_NUMBER,
     "N",
     NULL,
     false,
     false,
     {"用于探测的 KEK 索引", "index of a KEK to probe with"}},
    {"key",
     0,
     FN_OPTION_NUMBER,
     "N",
     NULL,
     false,
     false,
     {"用于探测的密钥对索引", "index of a key pair to probe with"}},
    {"password-file",
     0,
     FN_OPTION_FILE,
     "FILE",
     NULL,
     false,
     false,
     {"私钥访问控制码所在文件", "file with the access password"}},
    {0},
};

const struct fn_verb fn_cli_backend_verbs[] = {
    {.path = "sdf probe",
     .summary = {"探测厂商的 SDF 库并出具到货验收报告",
                 "probe a vendor's SDF library: a delivery test report"},
     .details =
         {"列出库所提供的函数,判断其特征,做已知答案试验,测量速度。不改动设备中的密钥。",
          "Lists the functions of the library, tells its profile, runs known answers, measures speed. Changes no key in the device."},
     .permission = "device.probe",
     .options = probe_options,
     .run = run_probe,
     .examples = "  fengni sdf probe --lib /opt/vendor/libsdf.so"},
    {.path = "sdf profiles",
     .summary = {"列出已知的 SDF 库特征", "list the known profiles of SDF libraries"},
     .options = probe_options + FN_COUNT(probe_options) - 1,
     .run = run_profiles},
    {0},
};
