/* `fengni config`: the settings of every section, checked, shown, and as a commented file. */
#include "base/sys/config.h"

#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "cli/cli.h"
#include "cli/instance.h"

#include <string.h>

static const char *const log_levels[] = {"debug", "info", "warning", "error", NULL};
static const char *const log_targets[] = {"stderr", "file", "syslog", NULL};

static const struct fn_setting log_settings[] = {
    {.name = "level",
     .kind = FN_SETTING_CHOICE,
     .fallback = "info",
     .choices = log_levels,
     .live = true,
     .help = {"记录的最低级别", "least level that is written"}},
    {.name = "target",
     .kind = FN_SETTING_CHOICE,
     .fallback = "stderr",
     .choices = log_targets,
     .help = {"日志去向;systemd 下 stderr 即为 journal",
              "where lines go; under systemd stderr is the journal"}},
    {.name = "file",
     .kind = FN_SETTING_TEXT,
     .fallback = "",
     .help = {"target 为 file 时的文件;空为实例目录下的 log/fengni.log",
              "file when target is file; empty means log/fengni.log of the instance"}},
    {.name = NULL},
};

static const struct fn_setting instance_settings[] = {
    {.name = "uid_base",
     .kind = FN_SETTING_NUMBER,
     .fallback = "61000",
     .least = 1000,
     .most = 2000000000,
     .help = {"以 root 启动时各部件使用的用户编号从此加 1 开始",
              "started as root, the parts run under this number + 1 and on"}},
    {.name = "ready_timeout",
     .kind = FN_SETTING_DURATION,
     .fallback = "60s",
     .least = 1000,
     .most = 3600000,
     .help = {"部件启动后须在此时间内就绪,否则重新启动",
              "a part that is not ready by then is started again"}},
    {.name = "stop_timeout",
     .kind = FN_SETTING_DURATION,
     .fallback = "30s",
     .least = 100,
     .most = 3600000,
     .help = {"停止时等待部件完成在途请求的时间", "how long a stopping part may finish requests under way"}},
    {.name = NULL},
};

static const struct fn_setting device_settings[] = {
    {.name = "backend",
     .kind = FN_SETTING_TEXT,
     .fallback = "",
     .help = {"别家密码设备的 SDF 库(绝对路径);空为封泥自己的密码设备",
              "SDF library of another maker's device (absolute path); empty: Fengni's own device"}},
    {.name = "profile",
     .kind = FN_SETTING_TEXT,
     .fallback = "gm2012",
     .help = {"该库的特征,`fengni sdf profiles` 列出",
              "what kind of library it is, `fengni sdf profiles` lists them"}},
    {.name = "kek",
     .kind = FN_SETTING_NUMBER,
     .fallback = "1",
     .most = 65535,
     .help = {"该设备中用来包裹存储密钥的 KEK 索引",
              "index of the KEK in that device under which stored keys are wrapped"}},
    {.name = "sign",
     .kind = FN_SETTING_NUMBER,
     .fallback = "1",
     .most = 65535,
     .help = {"该设备中用来签署声明的密钥对索引",
              "index of the key pair in that device which signs statements"}},
    {.name = "password_file",
     .kind = FN_SETTING_TEXT,
     .fallback = "",
     .help = {"私钥访问控制码所在文件", "file with the private-key access password"}},
    {.name = "client",
     .kind = FN_SETTING_TEXT,
     .fallback = "0:default:default",
     .help = {"经该设备服务的客户:用户号:租户:应用", "client served by that device: uid:tenant:application"}},
    {.name = NULL},
};

static const char *const power_on_tests[] = {"quick", "full", NULL};

static const struct fn_setting self_test_settings[] = {
    {.name = "power_on",
     .kind = FN_SETTING_CHOICE,
     .fallback = "quick",
     .choices = power_on_tests,
     .help =
         {"上电自检:quick 先开服务,其余在后台;full 全部完成后才开服务",
          "at start: quick opens service first and does the rest in the background; full does everything before"}},
    {.name = NULL},
};

#define SECTIONS_MOST 40

const struct fn_section *fn_cli_sections(void)
{
    static struct fn_section all[SECTIONS_MOST + 1];
    size_t n = 0;
    all[n++] = (struct fn_section){"instance", {"实例", "the instance"}, instance_settings};
    all[n++] = (struct fn_section){"log", {"日志", "the log"}, log_settings};
    all[n++] = (struct fn_section){"device", {"密码设备", "the cryptographic device"}, device_settings};
    all[n++] =
        (struct fn_section){"self_test", {"密码设备自检", "self-tests of the device"}, self_test_settings};
    for (const struct fn_room *const *room = fn_cli_rooms(); *room && n < SECTIONS_MOST; room++)
        if ((*room)->config) all[n++] = (struct fn_section){(*room)->name, (*room)->product, (*room)->config};
    all[n] = (struct fn_section){.name = NULL};
    return all;
}

fn_err fn_cli_config_path(const struct fn_call *call, char **path)
{
    const char *given = fn_call_text(call, "config");
    return given ? fn_heap_text(path, given, strlen(given))
                 : fn_heap_format(path, "%s/fengni.yaml", fn_call_instance(call));
}

static fn_err load(const struct fn_call *call, struct fn_config **config, char **path)
{
    FN_TRY(fn_cli_config_path(call, path));
    /* What was named must be there; an instance without a file runs on defaults. */
    return fn_config_load(config, fn_cli_sections(), *path, fn_call_text(call, "config") != NULL);
}

static fn_err run_check(const struct fn_call *call)
{
    FN_SCOPED_HEAP char *path = NULL;
    struct fn_config *config;
    FN_TRY(load(call, &config, &path));
    fn_config_free(config);
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    if (!fn_call_json(call)) {
        printf(FN_SAY("配置正确:%s\n", "configuration is right: %s\n"), path);
        return FN_OK;
    }
    FN_TRY(fn_buf_text(&b, "{\"good\":true"));
    FN_TRY(fn_json_pair(&b, "file", path));
    FN_TRY(fn_buf_text(&b, "}\n"));
    fwrite(b.p, 1, b.n, stdout);
    return FN_OK;
}

static fn_err show_row(void *context, const struct fn_section *section, const struct fn_setting *setting,
                       const char *value, const char *source)
{
    FN_SCOPED_HEAP char *name = NULL;
    FN_TRY(fn_heap_format(&name, "%s.%s", section->name, setting->name));
    fn_table_row(context, (const char *[]){name, value, *source ? source : FN_SAY("默认", "default")});
    return FN_OK;
}

static fn_err show_json(void *context, const struct fn_section *section, const struct fn_setting *setting,
                        const char *value, const char *source)
{
    struct fn_buf *b = context;
    FN_SCOPED_HEAP char *name = NULL;
    FN_TRY(fn_heap_format(&name, "%s.%s", section->name, setting->name));
    FN_TRY(fn_json_key(b, name));
    FN_TRY(fn_buf_u8(b, '{'));
    FN_TRY(fn_json_pair(b, "value", value));
    FN_TRY(fn_json_pair(b, "source", *source ? source : "default"));
    FN_TRY(fn_json_pair_bool(b, "live", setting->live));
    return fn_buf_u8(b, '}');
}

static fn_err show(const struct fn_config *config, bool json)
{
    if (json) {
        FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
        FN_TRY(fn_buf_u8(&b, '{'));
        FN_TRY(fn_config_each(config, show_json, &b));
        FN_TRY(fn_buf_text(&b, "}\n"));
        fwrite(b.p, 1, b.n, stdout);
        return FN_OK;
    }
    const char *titles[] = {FN_SAY("设置", "setting"), FN_SAY("值", "value"), FN_SAY("来源", "source")};
    struct fn_table *table = fn_table_new(FN_COUNT(titles), titles);
    fn_err err = fn_config_each(config, show_row, table);
    fn_table_print(table);
    return err;
}

static fn_err run_show(const struct fn_call *call)
{
    FN_SCOPED_HEAP char *path = NULL;
    struct fn_config *config;
    FN_TRY(load(call, &config, &path));
    fn_err err = show(config, fn_call_json(call));
    fn_config_free(config);
    return err;
}

static fn_err run_default(const struct fn_call *call)
{
    (void)call;
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    FN_TRY(fn_config_default(fn_cli_sections(), &b));
    fwrite(b.p, 1, b.n, stdout);
    return FN_OK;
}

const struct fn_verb fn_cli_config_verbs[] = {
    {
        .path = "config check",
        .summary = {"检查配置,指出文件、行、列", "check the configuration; names file, line and column"},
        .run = run_check,
    },
    {
        .path = "config show",
        .summary = {"显示生效的配置及其来源", "show effective values and where they come from"},
        .run = run_show,
    },
    {
        .path = "config default",
        .summary = {"输出带注释的默认配置", "print the commented file of defaults"},
        .run = run_default,
        .examples = "  fengni config default > fengni.yaml",
    },
    {.path = NULL},
};
