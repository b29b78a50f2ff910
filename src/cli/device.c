/* Verbs of the cryptographic device. They speak MANAGE over its management socket and hold no rules: the
 * device decides. */
#include "base/core/clock.h"
#include "base/sys/file.h"
#include "base/sys/json.h"
#include "cli/device_cli.h"

#include <string.h>

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
    {"ok", {"完成", "done"}},
    {"name", {"姓名", "name"}},
    {"role", {"角色", "role"}},
    {"token", {"凭证文件", "administrator's file"}},
    {"share", {"密封分量", "sealed share"}},
    {"shares_needed", {"开启所需分量", "shares needed"}},
    {"shares_of", {"分量总数", "shares in all"}},
    {"shares_missing", {"尚缺分量", "shares missing"}},
    {"share_generation", {"分量代数", "generation of the shares"}},
    {"mode", {"开启方式", "way of opening"}},
    {"time", {"时间", "time"}},
    {"device_public", {"设备签名公钥", "device's signing key"}},
    {"device_public_encrypt", {"设备加密公钥", "device's encryption key"}},
    {"random_sources", {"随机源", "random sources"}},
    {"clients", {"客户", "clients"}},
    {"administrators", {"管理员", "administrators"}},
    {"minutes", {"初始化记录", "minutes"}},
    {"written", {"写出的文件", "files written"}},
    {"files", {"应用文件数", "files of applications"}},
    {"file", {"文件", "file"}},
    {"copy", {"副本", "copy"}},
    {"keys_left_out", {"按密钥表不备份的密钥", "keys left out by the key tables"}},
    {"records", {"日志记录", "log records"}},
    {"known", {"与存储相符", "agrees with the store"}},
    {"test_tenants", {"测试租户", "test tenants"}},
    {"random_degraded", {"随机源降级", "random sources degraded"}},
    {"sign", {"签名密钥", "signing key"}},
    {"encrypt", {"加密密钥", "encryption key"}},
    {"kek", {"密钥加密密钥", "key-encryption key"}},
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

fn_err fn_device_show_json(const struct fn_call *call, const json_t *answer)
{
    size_t i;
    json_t *item;
    if (fn_call_json(call)) {
        json_dumpf(answer, stdout, JSON_COMPACT);
        printf("\n");
    } else if (json_is_array(answer)) {
        json_array_foreach((json_t *)(uintptr_t)answer, i, item) print_object(item, 0), printf("\n");
    } else {
        print_object(answer, 0);
    }
    return FN_OK;
}

fn_err fn_device_show(const struct fn_call *call, struct fn_bytes answer)
{
    if (fn_call_json(call)) {
        printf("%.*s\n", (int)answer.n, (const char *)answer.p);
        return FN_OK;
    }
    json_error_t error;
    json_t *root FN_SCOPED_JSON =
        json_loadb((const char *)answer.p, answer.n, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return FN_FAIL(FN_E_FORMAT, "the device's answer at offset %d: %s", error.position, error.text);
    return fn_device_show_json(call, root);
}

/* A secret from the file named by an option, or asked for at the terminal: never from the command line
 * itself. */
static fn_err secret_of(const struct fn_call *call, const char *option, const char *prompt,
                        struct fn_buf *out)
{
    const char *path = fn_call_text(call, option);
    if (path) return fn_secret_from_file(path, out);
    if (!isatty(STDIN_FILENO))
        return FN_FAIL(FN_E_USAGE, "--%s FILE is needed when there is no terminal", option);
    return fn_secret_typed(prompt, out);
}

#define CONTENT_MOST 512 /* an EnvelopedECCKey has 388 bytes */

/* How an option goes into the request. */
enum field_kind { FIELD_TEXT, FIELD_NUMBER, FIELD_FLAG, FIELD_SECRET, FIELD_CONTENT };
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
    case FIELD_CONTENT: {
        FN_SCOPED_BUF struct fn_buf content = fn_buf_heap();
        FN_TRY(fn_files_read_all(fn_files_real(), text, CONTENT_MOST, &content));
        return fn_json_pair_base64(b, f->key, fn_buf_view(&content));
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

/* Who does it logs in first, on the same connection. */
static fn_err ask(const struct fn_call *call, const char *verb, const struct field *fields)
{
    FN_SCOPED_BUF struct fn_buf request = fn_buf_secret(), answer = fn_buf_secret();
    FN_SCOPED_TOKENS struct fn_cli_tokens tokens = {0};
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    FN_TRY(fn_buf_u8(&request, '{'));
    for (; fields && fields->key; fields++) FN_TRY(add_field(call, fields, &request));
    FN_TRY(fn_buf_u8(&request, '}'));
    FN_TRY(fn_cli_tokens_read(&tokens, call, "token"));
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_device_login(client, &tokens, call));
    FN_TRY(fn_device_login_hint(fn_device_manage(client, verb, fn_buf_view(&request), &answer), &tokens));
    return fn_device_show(call, fn_buf_view(&answer));
}

/* A verb: its options, the fields made of them, and the request that they go into. */
#define VERB(id, verb, ...)                                                                                  \
    static fn_err run_##id(const struct fn_call *call)                                                       \
    {                                                                                                        \
        static const struct field fields[] = {__VA_ARGS__ __VA_OPT__(, ){NULL, NULL, FIELD_TEXT, NULL}};     \
        return ask(call, verb, fields);                                                                      \
    }

VERB(status, "status")
VERB(self_test, "self_test", {"full", "full", FIELD_FLAG, NULL})
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
VERB(key_import, "key.import_enveloped", {"tenant", "tenant", FIELD_TEXT, NULL},
     {"index", "index", FIELD_NUMBER, NULL}, {"in", "envelope", FIELD_CONTENT, NULL})
VERB(password_reset, "key.password_reset", {"uuid", "uuid", FIELD_TEXT, NULL})
VERB(kek_rotate, "kek.rotate", {"tenant", "tenant", FIELD_TEXT, NULL}, {"index", "index", FIELD_NUMBER, NULL})
VERB(kek_create, "kek.create", {"tenant", "tenant", FIELD_TEXT, NULL}, {"index", "index", FIELD_NUMBER, NULL})

#define STATEMENT_MOST 8192

/* The file as it was printed: the device checks its own signature, so nothing is taken apart here. */
static fn_err run_statement(const struct fn_call *call)
{
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    FN_SCOPED_BUF struct fn_buf file = fn_buf_heap(), answer = fn_buf_heap();
    FN_TRY(fn_files_read_all(fn_files_real(), fn_call_text(call, "in"), STATEMENT_MOST, &file));
    while (file.n && file.p[file.n - 1] == '\n') file.n--;
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_device_manage(client, "statement.check", fn_buf_view(&file), &answer));
    return fn_device_show(call, fn_buf_view(&answer));
}

/* Part of the state. */
static fn_err run_sessions(const struct fn_call *call)
{
    static const char *const wanted[] = {"connections", "sessions", "operations", "refusals"};
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    json_t *status FN_SCOPED_JSON = NULL, *part FN_SCOPED_JSON = json_object();
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_device_ask(client, "status", NULL, &status));
    for (size_t i = 0; i < FN_COUNT(wanted); i++)
        json_object_set(part, wanted[i], json_object_get(status, wanted[i]));
    return fn_device_show_json(call, part);
}

static fn_err run_capabilities(const struct fn_call *call)
{
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    FN_SCOPED_BUF struct fn_buf answer = fn_buf_heap();
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_device_operate(client, FN_OP_CAPABILITIES, fn_bytes(NULL, 0), &answer));
    if (fn_call_json(call)) return fn_device_show(call, fn_buf_view(&answer));
    json_error_t error;
    json_t *root FN_SCOPED_JSON = json_loadb((const char *)answer.p, answer.n, 0, &error);
    if (!root) return FN_FAIL(FN_E_FORMAT, "the device's answer at offset %d", error.position);
    struct fn_table *table =
        fn_table_new(2, (const char *[]){FN_SAY("运算", "operation"), FN_SAY("支持方式", "support")});
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
        fn_table_row(table, (const char *[]){name, json_is_string(value) ? json_string_value(value) : "-"});
    fn_table_print(table);
    return FN_OK;
}

const struct fn_verb fn_device_verbs[] = {
    {.path = "device status",
     .summary = {"密码设备状态", "state of the cryptographic device"},
     .options = OPTIONS(),
     .run = run_status},
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
                                    "test tenant: clear keys may enter and leave; never evidence"),
                        OPTIONS_LOGIN),
     .run = run_client_add},
    {.path = "device client list",
     .summary = {"登记的客户", "registered clients"},
     .options = OPTIONS(),
     .run = run_client_list},
    {.path = "device client remove",
     .summary = {"注销客户", "remove a client"},
     .permission = "device.client",
     .options = OPTIONS(NUMBER_OPTION("uid", NULL, true, "系统用户号", "user number"), OPTIONS_LOGIN),
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
                 FILE_OPTION("password-file", "FILE", false, false, "私钥访问控制码所在文件",
                             "file with the access password"),
                 OPTIONS_LOGIN),
     .run = run_key_create},
    {.path = "device key destroy",
     .summary = {"销毁密钥,输出设备签名的声明", "destroy a key; prints the statement that the device signs"},
     .permission = "device.key",
     .options = OPTIONS(TEXT_OPTION("uuid", "UUID", NULL, true, "密钥标识", "key"),
                        NUMBER_OPTION("key-version", "0", false, "版本,0 为全部", "version, 0 for all"),
                        OPTIONS_LOGIN),
     .run = run_key_destroy},
    {.path = "device log verify",
     .summary = {"校验设备日志", "verify the device's log"},
     .details = {"由审计管理员或审计员执行。", "For the audit administrator or an auditor."},
     .options = OPTIONS(OPTIONS_LOGIN),
     .run = run_log_verify},
    {.path = "device kek create",
     .summary = {"在索引处生成密钥加密密钥", "make a key-encryption key at an index"},
     .permission = "device.key",
     .options = OPTIONS(TENANT_OPTION, NUMBER_OPTION("index", NULL, true, "索引(1 起)", "index (from 1)"),
                        OPTIONS_LOGIN),
     .run = run_kek_create},
    {.path = "device kek rotate",
     .summary = {"更新密钥加密密钥:生成新的一代", "a new generation of a key-encryption key"},
     .details =
         {"旧的一代仍可解开已有密钥块;用 `fengni key retire-kek` 结束它之前,先把密钥块重新密封。",
          "The old generation still opens existing blobs; re-seal them before `fengni key retire-kek` ends it."},
     .permission = "device.key",
     .options = OPTIONS(TENANT_OPTION, NUMBER_OPTION("index", NULL, true, "索引(1 起)", "index (from 1)"),
                        OPTIONS_LOGIN),
     .run = run_kek_rotate},
    {.path = "device key import",
     .summary = {"导入 CA 签发的加密密钥对", "import an encryption key pair issued by a CA"},
     .details =
         {"文件为 GM/T 0018 的 EnvelopedECCKey(388 字节),由同一索引的签名公钥加密;公私钥不匹配即拒绝。",
          "The file is an EnvelopedECCKey of GM/T 0018 (388 bytes) under the signing key of the same index; "
          "halves that do not match are refused."},
     .permission = "device.key",
     .options =
         OPTIONS(TENANT_OPTION, NUMBER_OPTION("index", NULL, true, "索引(1 起)", "index (from 1)"),
                 FILE_OPTION("in", "FILE", true, false, "EnvelopedECCKey 文件", "EnvelopedECCKey file"),
                 OPTIONS_LOGIN),
     .run = run_key_import},
    {.path = "device password reset",
     .summary = {"把私钥访问控制码的错误计数清零", "forgive wrong access passwords of a key"},
     .permission = "device.key",
     .options = OPTIONS(TEXT_OPTION("uuid", "UUID", NULL, true, "密钥标识", "key"), OPTIONS_LOGIN),
     .run = run_password_reset},
    {.path = "device capabilities",
     .summary = {"设备支持的运算", "operations of the device"},
     .details = {"native 由设备直接完成,emulated 由软件补足,no 不支持。",
                 "native: by the device itself; emulated: completed in software; no: not at all."},
     .options = OPTIONS(),
     .run = run_capabilities},
    {.path = "device statement check",
     .summary = {"用另行保管的设备签名声明检查存储是否为旧副本",
                 "check by a statement kept elsewhere whether the store is an old copy"},
     .details =
         {"文件为 `fengni device key destroy --json` 等输出的声明或锚点回执。存储比声明更旧时设备停止服务(EXCEPTION),"
          "重启后依然如此。",
          "The file is a statement as `fengni device key destroy --json` prints it, or an anchor's receipt. A device whose "
          "store is older stops service (EXCEPTION) and stays so after a restart."},
     .options = OPTIONS(FILE_OPTION("in", "FILE", true, false, "声明文件(JSON)", "statement (JSON)")),
     .run = run_statement},
    {.path = "device stop",
     .summary = {"停止密码设备", "stop the device"},
     .permission = "device.stop",
     .options = OPTIONS(OPTIONS_LOGIN),
     .run = run_shutdown},
    {0},
};
