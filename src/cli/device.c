/* Verbs of the cryptographic device. They speak MANAGE over its management socket and hold no rules: the
 * device decides. */
#include "base/core/clock.h"
#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "base/sys/os_err.h"
#include "cli/cli.h"
#include "device/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

/* Fields of answers, as people read them; others are printed under their own name. */
static const struct {
    const char *key;
    struct fn_text label;
} labels[] = {
    {"state", {"状态", "state"}},
    {"serial", {"设备序列号", "serial number"}},
    {"unattended", {"无人值守启动", "unattended start"}},
    {"separation", {"进程隔离", "separation"}},
    {"separation_note", {"隔离说明", "what that means"}},
    {"confined", {"已自我约束", "confined"}},
    {"keys", {"密钥数", "keys"}},
    {"cached", {"明文缓存", "clear keys cached"}},
    {"connections", {"连接数", "connections"}},
    {"sessions", {"会话数", "sessions"}},
    {"operations", {"运算次数", "operations"}},
    {"refusals", {"拒绝次数", "refusals"}},
    {"generation", {"存储代数", "store generation"}},
    {"self_test", {"自检", "self-test"}},
    {"algorithms", {"算法", "algorithms"}},
    {"random", {"随机数", "random numbers"}},
    {"service", {"服务", "service"}},
    {"uptime_ms", {"运行时间(毫秒)", "uptime (ms)"}},
    {"version", {"版本", "version"}},
    {"uuid", {"密钥标识", "uuid"}},
    {"class", {"类别", "class"}},
    {"algorithm", {"算法", "algorithm"}},
    {"label", {"名称", "label"}},
    {"owner", {"属主", "owner"}},
    {"tenant", {"租户", "tenant"}},
    {"index", {"索引", "index"}},
    {"uid", {"用户号", "uid"}},
    {"application", {"应用", "application"}},
    {"public", {"公钥", "public key"}},
    {"created", {"创建时间", "created"}},
    {"statement", {"声明", "statement"}},
    {"signature", {"设备签名", "signature by the device"}},
};

static const char *label_of(const char *key)
{
    for (size_t i = 0; i < FN_COUNT(labels); i++)
        if (strcmp(labels[i].key, key) == 0) return fn_say(labels[i].label);
    return key;
}

static void print_value(const char *key, const json_t *v)
{
    char when[FN_TIME_TEXT];
    size_t n = strlen(key);
    bool time = strcmp(key, "created") == 0 || (n > 3 && strcmp(key + n - 3, "_at") == 0);
    if (json_is_string(v))
        fn_print_text(stdout, json_string_value(v));
    else if (json_is_boolean(v))
        printf("%s", json_is_true(v) ? FN_SAY("是", "yes") : FN_SAY("否", "no"));
    else if (json_is_integer(v) && time && fn_lang() == FN_LANG_ZH)
        fn_time_beijing(when, json_integer_value(v)), printf("%s", when);
    else if (json_is_integer(v) && time)
        fn_time_utc(when, json_integer_value(v)), printf("%s", when);
    else if (json_is_integer(v))
        printf("%lld", (long long)json_integer_value(v));
    else if (json_is_null(v))
        printf("-");
}

static void print_object(const json_t *object, int indent)
{
    const char *key;
    json_t *v;
    size_t i;
    json_t *item;
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        printf("%*s", indent, "");
        fn_print_text(stdout, label_of(key));
        if (json_is_object(v)) {
            printf("\n");
            print_object(v, indent + 2);
        } else if (json_is_array(v)) {
            printf(": %zu\n", json_array_size(v));
            json_array_foreach(v, i, item)
            {
                if (json_is_object(item))
                    print_object(item, indent + 2), printf("\n");
                else
                    printf("%*s", indent + 2, ""), print_value(key, item), printf("\n");
            }
        } else {
            printf(": ");
            print_value(key, v);
            printf("\n");
        }
    }
}

static fn_err show(const struct fn_call *call, struct fn_bytes answer)
{
    if (fn_call_json(call)) {
        printf("%.*s\n", (int)answer.n, (const char *)answer.p);
        return FN_OK;
    }
    json_error_t error;
    json_t *root = json_loadb((const char *)answer.p, answer.n, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return FN_FAIL(FN_E_FORMAT, "the device's answer at offset %d: %s", error.position, error.text);
    size_t i;
    json_t *item;
    if (json_is_array(root))
        json_array_foreach(root, i, item) print_object(item, 0), printf("\n");
    else
        print_object(root, 0);
    json_decref(root);
    return FN_OK;
}

/* One MANAGE request; the answer is appended to `out`. */
static fn_err manage(const struct fn_call *call, const char *verb, struct fn_bytes request,
                     struct fn_buf *out)
{
    FN_SCOPED_HEAP char *path = NULL;
    const char *given = fn_call_text(call, "management");
    if (given)
        FN_TRY(fn_heap_text(&path, given, strlen(given)));
    else
        FN_TRY(fn_heap_format(&path, "%s/run/management/device.sock", fn_call_instance(call)));
    struct fn_client *client;
    FN_TRY(fn_client_open(&client, &(struct fn_client_options){.socket = path, .timeout_ms = 120000}));
    FN_SCOPED_BUF struct fn_buf items = fn_buf_secret();
    struct fn_client_response response = {0};
    fn_err err = fn_buf_var(&items, verb, strlen(verb));
    if (!err) err = fn_buf_var(&items, request.p, request.n);
    if (!err) err = fn_client_call(client, 0, FN_OP_MANAGE, 1, fn_buf_view(&items), &response);
    if (!err) {
        struct fn_cur c = fn_cur(response.items);
        struct fn_bytes answer;
        err = fn_client_item_status(&c);
        if (!err) err = fn_cur_var(&c, FN_DEVICE_FRAME_MOST, &answer);
        if (!err) err = fn_cur_end(&c);
        if (!err) err = fn_buf_add(out, answer.p, answer.n);
        fn_client_response_free(&response);
    }
    fn_client_close(client);
    return err;
}

#define SECRET_MOST 510

/* The first line of a file, whole or not at all. Not by stdio, whose buffer nobody wipes. */
static fn_err secret_from_file(const char *path, struct fn_buf *out)
{
    char line[SECRET_MOST + 2];
    FN_SCOPED_WIPE(line);
    size_t n = 0;
    FN_SCOPED_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return FN_FAIL_OS("%s", path);
    while (n < sizeof line && !memchr(line, '\n', n)) {
        ssize_t got = read(fd, line + n, sizeof line - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return FN_FAIL_OS("%s", path);
        if (got == 0) break;
        n += (size_t)got;
    }
    const char *end = memchr(line, '\n', n);
    if (end) n = (size_t)(end - line);
    if (n && line[n - 1] == '\r') n--;
    if (n == 0) return FN_FAIL(FN_E_FORMAT, "%s is empty", path);
    if (n > SECRET_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "the line in %s has more than %d bytes", path, SECRET_MOST);
    if (memchr(line, 0, n)) return FN_FAIL(FN_E_FORMAT, "%s has a NUL in its line", path);
    return fn_buf_add(out, line, n);
}

/* A secret from the file named by an option, or asked for at the terminal: never from the command line
 * itself. */
static fn_err secret_of(const struct fn_call *call, const char *option, const char *prompt,
                        struct fn_buf *out)
{
    const char *path = fn_call_text(call, option);
    if (path) return secret_from_file(path, out);
    if (!isatty(STDIN_FILENO))
        return FN_FAIL(FN_E_USAGE, "--%s FILE is needed when there is no terminal", option);
    char *typed = getpass(prompt);
    if (!typed) return FN_FAIL(FN_E_IO, "no answer");
    fn_err err = fn_buf_add(out, typed, strlen(typed));
    fn_wipe(typed, strlen(typed));
    return err;
}

/* How an option goes into the request. */
enum field_kind { FIELD_TEXT, FIELD_NUMBER, FIELD_FLAG, FIELD_SECRET, FIELD_LIST };
struct field {
    const char *option, *key;
    enum field_kind kind;
    const char *prompt; /* of a secret */
};

static fn_err add_field(const struct fn_call *call, const struct field *f, struct fn_buf *b)
{
    const char *text = f->kind == FIELD_FLAG ? NULL : fn_call_text(call, f->option);
    switch (f->kind) {
    case FIELD_TEXT:
        return text ? fn_json_pair(b, f->key, text) : FN_OK;
    case FIELD_FLAG:
        return fn_call_flag(call, f->option) ? fn_json_pair_bool(b, f->key, true) : FN_OK;
    case FIELD_NUMBER: {
        int64_t v;
        if (!text) return FN_OK;
        FN_TRY(fn_call_number(call, f->option, 0, INT64_MAX, &v));
        return fn_json_pair_number(b, f->key, v);
    }
    case FIELD_LIST: {
        const char *one;
        FN_TRY(fn_json_key(b, f->key));
        FN_TRY(fn_buf_u8(b, '['));
        for (size_t i = 0; (one = fn_call_text_at(call, f->option, i)); i++) {
            if (i) FN_TRY(fn_buf_u8(b, ','));
            FN_TRY(fn_json_string(b, one));
        }
        return fn_buf_u8(b, ']');
    }
    case FIELD_SECRET: {
        if (!text && !f->prompt) return FN_OK;
        FN_SCOPED_BUF struct fn_buf secret = fn_buf_secret();
        FN_TRY(secret_of(call, f->option, f->prompt, &secret));
        FN_TRY(fn_json_key(b, f->key));
        return fn_json_text(b, (const char *)secret.p, secret.n);
    }
    }
    return FN_OK;
}

static fn_err ask(const struct fn_call *call, const char *verb, const struct field *fields)
{
    FN_SCOPED_BUF struct fn_buf request = fn_buf_secret(), answer = fn_buf_secret();
    FN_TRY(fn_buf_u8(&request, '{'));
    for (; fields && fields->key; fields++) FN_TRY(add_field(call, fields, &request));
    FN_TRY(fn_buf_u8(&request, '}'));
    FN_TRY(manage(call, verb, fn_buf_view(&request), &answer));
    return show(call, fn_buf_view(&answer));
}

#define OPTION_MANAGEMENT                                                                                    \
    {                                                                                                        \
        "management", 0, FN_OPTION_FILE, "PATH", NULL, false, false,                                         \
        {                                                                                                    \
            "管理套接字(默认在实例的 run/management 下)",                                                    \
                "management socket (default: below the instance's run/management)"                           \
        }                                                                                                    \
    }

/* A verb: its options, the fields made of them, and the request that they go into. */
#define VERB(id, verb, ...)                                                                                  \
    static fn_err run_##id(const struct fn_call *call)                                                       \
    {                                                                                                        \
        static const struct field fields[] = {__VA_ARGS__ __VA_OPT__(, ){NULL, NULL, FIELD_TEXT, NULL}};     \
        return ask(call, verb, fields);                                                                      \
    }

VERB(status, "status")
VERB(init, "init", {"unattended", "unattended", FIELD_FLAG, NULL})
VERB(self_test, "self_test", {"full", "full", FIELD_FLAG, NULL})
VERB(sessions, "sessions")
VERB(keys, "key.list", {"tenant", "tenant", FIELD_TEXT, NULL})
VERB(log_verify, "log.verify")
VERB(key_destroy, "key.destroy", {"uuid", "uuid", FIELD_TEXT, NULL},
     {"key-version", "version", FIELD_NUMBER, NULL})
VERB(shutdown, "shutdown")
VERB(client_add, "client.add", {"uid", "uid", FIELD_NUMBER, NULL}, {"tenant", "tenant", FIELD_TEXT, NULL},
     {"application", "application", FIELD_TEXT, NULL}, {"test", "test", FIELD_FLAG, NULL})
VERB(client_list, "client.list")
VERB(client_remove, "client.remove", {"uid", "uid", FIELD_NUMBER, NULL})
VERB(key_create, "key.create_index", {"tenant", "tenant", FIELD_TEXT, NULL},
     {"index", "index", FIELD_NUMBER, NULL}, {"half", "half", FIELD_TEXT, NULL},
     {"algorithm", "algorithm", FIELD_TEXT, NULL}, {"password-file", "password", FIELD_SECRET, NULL})
VERB(kek_create, "kek.create", {"tenant", "tenant", FIELD_TEXT, NULL}, {"index", "index", FIELD_NUMBER, NULL})

#define TEXT_OPTION(name, value, fallback, needed, zh, en)                                                   \
    {                                                                                                        \
        name, 0, FN_OPTION_TEXT, value, fallback, needed, false,                                             \
        {                                                                                                    \
            zh, en                                                                                           \
        }                                                                                                    \
    }
#define NUMBER_OPTION(name, fallback, needed, zh, en)                                                        \
    {                                                                                                        \
        name, 0, FN_OPTION_NUMBER, "N", fallback, needed, false,                                             \
        {                                                                                                    \
            zh, en                                                                                           \
        }                                                                                                    \
    }
#define FLAG_OPTION(name, zh, en)                                                                            \
    {                                                                                                        \
        name, 0, FN_OPTION_FLAG, NULL, NULL, false, false,                                                   \
        {                                                                                                    \
            zh, en                                                                                           \
        }                                                                                                    \
    }
#define OPTIONS(...)                                                                                         \
    (const struct fn_option[])                                                                               \
    {                                                                                                        \
        __VA_ARGS__ __VA_OPT__(, ) OPTION_MANAGEMENT,                                                        \
        {                                                                                                    \
            0                                                                                                \
        }                                                                                                    \
    }
#define TENANT_OPTION TEXT_OPTION("tenant", "NAME", "default", false, "租户", "tenant")

const struct fn_verb fn_device_verbs[] = {
    {.path = "device status",
     .summary = {"密码设备状态", "state of the cryptographic device"},
     .options = OPTIONS(),
     .run = run_status},
    {.path = "device init",
     .summary = {"初始化密码设备", "initialise the cryptographic device"},
     .details =
         {"在设备内生成根密钥与设备密钥对。--unattended "
          "时根密钥由存储之外的密钥文件包裹,设备重启后自行开启;状态、日志与证据均注明。",
          "Makes the root and the device's key pair inside the device. With --unattended the root is wrapped "
          "by a key file outside "
          "the store and the device opens by itself after a restart; status, log and evidence say so."},
     .permission = "device.init",
     .options = OPTIONS(FLAG_OPTION("unattended", "无人值守启动", "unattended start")),
     .run = run_init},
    {.path = "device self-test",
     .summary = {"自检并给出报告", "test the device and report"},
     .permission = "device.self-test",
     .options = OPTIONS(FLAG_OPTION("full", "连同每条密钥记录", "every key record too"),
                        FLAG_OPTION("report", "给出报告(默认)", "print the report (the default)")),
     .run = run_self_test},
    {.path = "device sessions",
     .summary = {"连接与会话", "connections and sessions"},
     .options = OPTIONS(),
     .run = run_sessions},
    {.path = "device keys",
     .summary = {"密钥清单", "list of keys"},
     .permission = "device.keys",
     .options = OPTIONS(TENANT_OPTION),
     .run = run_keys},
    {.path = "device client add",
     .summary = {"登记可使用设备的系统用户", "register a system user as client of the device"},
     .permission = "device.client",
     .options = OPTIONS(NUMBER_OPTION("uid", NULL, true, "系统用户号", "user number"), TENANT_OPTION,
                        TEXT_OPTION("application", "NAME", NULL, true, "应用", "application"),
                        FLAG_OPTION("test", "测试租户:明文密钥可进出,永不作为证据",
                                    "test tenant: clear keys may enter and leave; never evidence")),
     .run = run_client_add},
    {.path = "device client list",
     .summary = {"登记的客户", "registered clients"},
     .options = OPTIONS(),
     .run = run_client_list},
    {.path = "device client remove",
     .summary = {"注销客户", "remove a client"},
     .permission = "device.client",
     .options = OPTIONS(NUMBER_OPTION("uid", NULL, true, "系统用户号", "user number")),
     .run = run_client_remove},
    {.path = "device key create",
     .summary = {"在索引处生成密钥对", "make a key pair at an index"},
     .details = {"GM/T 0018 的密钥对只由管理工具生成。设置口令文件后,使用私钥须先取得权限。",
                 "Key pairs of GM/T 0018 are made by the management tool alone. With a password file, "
                 "private use needs the access right."},
     .permission = "device.key",
     .options =
         OPTIONS(TENANT_OPTION, NUMBER_OPTION("index", NULL, true, "索引(1 起)", "index (from 1)"),
                 TEXT_OPTION("half", "sign|encrypt|both", "both", false, "签名、加密或两者", "which half"),
                 TEXT_OPTION("algorithm", "sm2|p256|rsa2048|rsa3072", "sm2", false, "算法", "algorithm"),
                 {"password-file",
                  0,
                  FN_OPTION_FILE,
                  "FILE",
                  NULL,
                  false,
                  false,
                  {"私钥访问控制码所在文件", "file with the access password"}}),
     .run = run_key_create},
    {.path = "device key destroy",
     .summary = {"销毁密钥,输出设备签名的声明", "destroy a key; prints the statement that the device signs"},
     .permission = "device.key",
     .options = OPTIONS(TEXT_OPTION("uuid", "UUID", NULL, true, "密钥标识", "key"),
                        NUMBER_OPTION("key-version", "0", false, "版本,0 为全部", "version, 0 for all")),
     .run = run_key_destroy},
    {.path = "device log verify",
     .summary = {"校验设备日志", "verify the device's log"},
     .options = OPTIONS(),
     .run = run_log_verify},
    {.path = "device kek create",
     .summary = {"在索引处生成密钥加密密钥", "make a key-encryption key at an index"},
     .permission = "device.key",
     .options = OPTIONS(TENANT_OPTION, NUMBER_OPTION("index", NULL, true, "索引(1 起)", "index (from 1)")),
     .run = run_kek_create},
    {.path = "device stop",
     .summary = {"停止密码设备", "stop the device"},
     .permission = "device.stop",
     .options = OPTIONS(),
     .run = run_shutdown},
    {0},
};
