/* `fengni status`: what the supervisor wrote, and what the rooms say of themselves. */
#include "base/core/clock.h"
#include "base/sys/file.h"
#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include "cli/cli.h"
#include "cli/instance.h"

#include <jansson.h>
#include <string.h>

#define UP_FILE_MOST (1 << 20)

static const char *state_text(const char *state)
{
    static const struct {
        const char *state;
        struct fn_text text;
    } texts[] = {
        {"stopped", {"已停止", "stopped"}},   {"starting", {"启动中", "starting"}},
        {"ready", {"就绪", "ready"}},         {"waiting", {"等待重新启动", "waiting to start again"}},
        {"stopping", {"停止中", "stopping"}}, {"failed", {"失败", "failed"}},
    };
    for (size_t i = 0; i < FN_COUNT(texts); i++)
        if (!strcmp(texts[i].state, state)) return fn_say(texts[i].text);
    return state;
}

static fn_err read_up(const char *instance, json_t **up)
{
    FN_SCOPED_HEAP char *file = NULL, *lock = NULL;
    FN_TRY(fn_heap_format(&lock, "%s/%s", instance, FN_UP_LOCK));
    FN_TRY(fn_heap_format(&file, "%s/%s", instance, FN_UP_FILE));
    pid_t holder;
    fn_err err = fn_pidfile_holder(lock, &holder);
    if (err != FN_OK)
        return FN_WRAP(err, FN_SAY("只有启动实例的用户和 root 可以查看它",
                                   "only the user who started an instance, and root, see it"));
    if (!holder && access(instance, F_OK)) return FN_FAIL_OS("%s", instance);
    if (!holder) return FN_FAIL(FN_E_STATE, FN_SAY("实例 %s 未运行", "instance %s is not running"), instance);
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    FN_TRY(fn_files_read_all(fn_files_real(), file, UP_FILE_MOST, &b));
    json_error_t error;
    *up = json_loadb((const char *)b.p, b.n, JSON_REJECT_DUPLICATES, &error);
    if (!*up) return FN_FAIL(FN_E_FORMAT, "%s: %s", file, error.text);
    return FN_OK;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static int64_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void duration_text(char *out, size_t room, int64_t ms)
{
    int64_t s = ms > 0 ? ms / 1000 : 0;
    if (s >= 86400)
        fn_format(out, room, FN_SAY("%lld 天 %02lld:%02lld", "%lld d %02lld:%02lld"), (long long)s / 86400,
                  (long long)s / 3600 % 24, (long long)s / 60 % 60);
    else
        fn_format(out, room, "%02lld:%02lld:%02lld", (long long)s / 3600, (long long)s / 60 % 60,
                  (long long)s % 60);
}

static void add_row(struct fn_table *table, const json_t *part)
{
    char pid[16], uid[16], restarts[16], uptime[40];
    fn_format(pid, sizeof pid, "%lld", (long long)number_of(part, "pid"));
    fn_format(uid, sizeof uid, "%lld", (long long)number_of(part, "uid"));
    fn_format(restarts, sizeof restarts, "%lld", (long long)number_of(part, "restarts"));
    duration_text(uptime, sizeof uptime, fn_now_ms() - number_of(part, "since_ms"));
    fn_table_row(table, (const char *[]){text_of(part, "name"), state_text(text_of(part, "state")), pid, uid,
                                         uptime, restarts});
}

static void print_separation(const char *separation)
{
    bool strong = !strcmp(separation, "strong");
    printf(
        "\nseparation: %s\n%s\n", separation,
        strong
            ? FN_SAY(
                  "各部件使用各自的用户编号:一个部件不能读取另一个部件的内存和文件。root 不在防护范围之内。",
                  "Each part has a uid of its own: none can read another's memory or files. Root itself is "
                  "outside the model.")
            : FN_SAY("各部件共用一个用户:该用户的任何进程都可能停止它们或改动其文件;密钥在内存中受保护,"
                     "但不受其他部件隔离。"
                     "正式使用时请以 root 启动(`fengni up`)或使用 systemd 单元。",
                     "All parts share one user: any process of that user may stop them or change their "
                     "files. For real use "
                     "start `fengni up` as root or use the systemd units."));
}

static void print_up(const json_t *up)
{
    const char *titles[] = {FN_SAY("部件", "part"), FN_SAY("状态", "state"),       "pid", "uid",
                            FN_SAY("持续", "for"),  FN_SAY("重启次数", "restarts")};
    struct fn_table *table = fn_table_new(FN_COUNT(titles), titles);
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(up, "parts"), i, part) add_row(table, part);
    fn_table_print(table);
    char since[FN_TIME_TEXT];
    fn_time_beijing(since, number_of(up, "started_ms"));
    printf(FN_SAY("\n守护进程 %lld,自 %s 起运行\n", "\nsupervisor %lld, running since %s\n"),
           (long long)number_of(up, "pid"), since);
    print_separation(text_of(up, "separation"));
}

static fn_err first_not_ready(const json_t *up)
{
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(up, "parts"), i, part)
    {
        if (strcmp(text_of(part, "state"), "ready"))
            return FN_FAIL(FN_E_STATE, "%s: %s", text_of(part, "name"), state_text(text_of(part, "state")));
    }
    return FN_OK;
}

/* What each room says; a room that fails says its error instead. */
static fn_err rooms_json(struct fn_buf *b, const char *instance)
{
    FN_TRY(fn_buf_u8(b, '{'));
    for (const struct fn_room *const *room = fn_cli_rooms(); *room; room++) {
        if (!(*room)->status) continue;
        FN_SCOPED_BUF struct fn_buf said = fn_buf_heap();
        fn_err err = (*room)->status(instance, &said);
        FN_TRY(fn_json_key(b, (*room)->name));
        FN_TRY(err == FN_OK ? fn_buf_add(b, said.p, said.n) : fn_buf_format(b, "{\"error\":%d}", err));
    }
    return fn_buf_u8(b, '}');
}

static fn_err print_json(const json_t *up, const char *instance)
{
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    FN_SCOPED_HEAP char *text = json_dumps(up, JSON_COMPACT);
    if (!text) return FN_FAIL(FN_E_NO_MEMORY, "status");
    FN_TRY(fn_buf_text(&b, "{"));
    FN_TRY(fn_json_pair(&b, "instance", instance));
    FN_TRY(fn_json_key(&b, "up"));
    FN_TRY(fn_buf_text(&b, text));
    FN_TRY(fn_json_key(&b, "rooms"));
    FN_TRY(rooms_json(&b, instance));
    FN_TRY(fn_buf_text(&b, "}\n"));
    fwrite(b.p, 1, b.n, stdout);
    return FN_OK;
}

fn_err fn_cli_status(const struct fn_call *call)
{
    const char *const *operands;
    const char *instance = fn_call_operands(call, &operands) ? operands[0] : fn_call_instance(call);
    json_t *up;
    FN_TRY(read_up(instance, &up));
    bool json = fn_call_json(call);
    fn_err err = FN_OK;
    if (json)
        err = print_json(up, instance);
    else
        print_up(up);
    if (err == FN_OK) err = first_not_ready(up);
    json_decref(up);
    return err;
}
