/* `fengni init` and the table of the instance's verbs. */
#include "cli/instance.h"

#include "base/sys/file.h"
#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "base/sys/os_err.h"
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *path;
    unsigned mode;
} folders[] = {
    {"conf.d", 0755}, {"device", 0700},         {"data", 0700},
    {"run", 0755},    {"run/management", 0700}, {"log", 0750},
};

/* mkdir obeys the umask; the modes above are meant exactly. */
static fn_err make_folder(const char *path, unsigned mode)
{
    if (mkdir(path, (mode_t)mode) && errno != EEXIST) return FN_FAIL_OS("%s", path);
    /* Not through a link that somebody left in the folder. */
    FN_SCOPED_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, (mode_t)mode)) return FN_FAIL_OS("%s", path);
    return FN_OK;
}

static fn_err make_tree(const char *dir)
{
    const struct fn_files *f = fn_files_real();
    FN_SCOPED_HEAP char *config = NULL;
    FN_TRY(fn_heap_format(&config, "%s/fengni.yaml", dir));
    if (access(config, F_OK) == 0) return FN_FAIL(FN_E_EXISTS, "%s: this is an instance already", dir);
    if (mkdir(dir, 0755) && errno != EEXIST) return FN_FAIL_OS("%s", dir);
    for (size_t i = 0; i < FN_COUNT(folders); i++) {
        FN_SCOPED_HEAP char *path = NULL;
        FN_TRY(fn_heap_format(&path, "%s/%s", dir, folders[i].path));
        FN_TRY(make_folder(path, folders[i].mode));
    }
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    FN_TRY(fn_config_default(fn_cli_sections(), &b));
    /* Last: a tree without the file is not an instance yet, and init may be run again. */
    return fn_files_replace(f, config, fn_buf_view(&b), 0644);
}

/* A word that a shell reads as this text. */
static fn_err shell_word(struct fn_buf *b, const char *text)
{
    bool plain = *text;
    for (const char *c = text; *c; c++)
        plain = plain && (isalnum((unsigned char)*c) || strchr("/._-+,:@%", *c));
    if (plain) return fn_buf_format(b, "%s%c", text, 0);
    FN_TRY(fn_buf_u8(b, '\''));
    for (; *text; text++) FN_TRY(*text == '\'' ? fn_buf_text(b, "'\\''") : fn_buf_u8(b, (uint8_t)*text));
    return fn_buf_add(b, "'", 2);
}

static fn_err run_init(const struct fn_call *call)
{
    /* Others than who runs init go through the folder: the parts do. */
    umask(022);
    const char *const *operands;
    size_t count = fn_call_operands(call, &operands);
    const char *dir = count ? operands[0] : fn_call_instance(call);
    FN_TRY(make_tree(dir));
    if (fn_call_json(call)) {
        FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
        FN_TRY(fn_buf_u8(&b, '{'));
        FN_TRY(fn_json_pair(&b, "instance", dir));
        FN_TRY(fn_buf_text(&b, "}\n"));
        fwrite(b.p, 1, b.n, stdout);
        return FN_OK;
    }
    FN_SCOPED_BUF struct fn_buf word = fn_buf_heap();
    FN_TRY(shell_word(&word, dir));
    printf(FN_SAY("已建立实例 %s\n下一步:fengni up %s\n", "instance %s made\nnext: fengni up %s\n"), dir,
           (const char *)word.p);
    return FN_OK;
}

const struct fn_verb fn_cli_instance_verbs[] = {
    {
        .path = "init",
        .operands = "[DIR]",
        .operands_most = 1,
        .summary = {"建立实例目录", "make the folder of an instance"},
        .details =
            {"建立 fengni.yaml(带注释的默认配置)、conf.d/、device/(0700,密码设备存储)、data/、run/、log/。",
             "Makes fengni.yaml (commented defaults), conf.d/, device/ (0700, the device's store), data/, "
             "run/ and log/."},
        .run = run_init,
        .examples = "  fengni init /var/lib/fengni",
    },
    {
        .path = "up",
        .operands = "[DIR]",
        .operands_most = 1,
        .summary = {"启动并守护实例的全部部件", "start all parts of an instance and keep them up"},
        .details =
            {"前台运行。部件异常退出后自动重新启动,间隔逐次加倍。SIGTERM 或 Ctrl-C "
             "按启动的相反顺序停止各部件;"
             "SIGHUP 重新读取配置。\n\n以 root 启动时各部件使用各自的用户编号;以普通用户启动时共用一个用户,"
             "`fengni status` 显示 separation: weak。",
             "Runs in the foreground. A part that ends is started again, waiting twice as long each time. "
             "SIGTERM or "
             "Ctrl-C ends the parts in the reverse order of their start; SIGHUP reads the configuration "
             "again.\n\n"
             "Started as root, each part has a uid of its own; started by an ordinary user all share one, "
             "and "
             "`fengni status` says separation: weak."},
        .run = fn_cli_up,
        .examples = "  fengni up /var/lib/fengni",
    },
    {
        .path = "status",
        .operands = "[DIR]",
        .operands_most = 1,
        .summary = {"显示实例各部件的状态", "show the parts of an instance"},
        .details = {"实例未运行或有部件未就绪时以状态 1 退出。",
                    "Exits with 1 when the instance is not running or a part is not ready."},
        .run = fn_cli_status,
    },
    {.path = NULL},
};
