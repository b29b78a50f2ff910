/* `fengni key`: the key tables of the guideline as the device enforces them, and the end of a KEK's
 * generation. */
#include "base/sys/json.h"
#include "cli/device_cli.h"
#include "policy/policy.h"

#include <string.h>

/* ---- key Tables 1 and 2 ---- */

/* Columns as the guideline has them; import and export stand in one. */
static const struct column {
    struct fn_text title;
    enum fn_policy_operation operation;
} columns[] = {
    {{"产生", "generation"}, FN_POLICY_GENERATE},
    {{"分发", "distribution"}, FN_POLICY_DISTRIBUTE},
    {{"存储", "storage"}, FN_POLICY_STORE},
    {{"使用", "use"}, FN_POLICY_USE},
    {{"导入和导出", "import and export"}, FN_POLICY_IMPORT},
    {{"归档", "archive"}, FN_POLICY_ARCHIVE},
    {{"备份和恢复", "backup and recovery"}, FN_POLICY_BACKUP},
    {{"销毁", "destruction"}, FN_POLICY_DESTROY},
};
#define COLUMNS FN_COUNT(columns)

/* Rows; key_class 0: a public key, which is a certificate everywhere and of which the device is not asked. */
static const struct line {
    int table;
    struct fn_text name;
    enum fn_key_class key_class;
    const char *made; /* of a public key: where its pair is made */
} lines[] = {
    {1, {"网络传输加密密钥", "network transport key"}, FN_CLASS_NET_ENC, NULL},
    {1, {"应用传输加密密钥", "application transport key"}, FN_CLASS_APP_ENC, NULL},
    {1, {"数据存储加密密钥", "data storage key"}, FN_CLASS_DATA_ENC, NULL},
    {1, {"MAC 密钥", "MAC key"}, FN_CLASS_MAC, NULL},
    {2, {"用户签名私钥", "user's signing private key"}, FN_CLASS_USER_SIGN, NULL},
    {2, {"用户签名公钥", "user's signing public key"}, 0, "IN_TOKEN"},
    {2, {"用户加密私钥", "user's encryption private key"}, FN_CLASS_USER_ENC, NULL},
    {2, {"用户加密公钥", "user's encryption public key"}, 0, "BY_CA"},
    {2, {"服务器签名私钥", "server's signing private key"}, FN_CLASS_SRV_SIGN, NULL},
    {2, {"服务器签名公钥", "server's signing public key"}, 0, "IN_DEV"},
    {2, {"服务器加密私钥", "server's encryption private key"}, FN_CLASS_SRV_ENC, NULL},
    {2, {"服务器加密公钥", "server's encryption public key"}, 0, "BY_CA"},
};

/* What a cell says, in few words. */
static const struct words {
    const char *cell;
    struct fn_text text;
} words[] = {
    {"NO", {"不允许", "never"}},
    {"IN_DEV", {"密码设备内", "inside the device"}},
    {"DEV", {"密码设备内", "inside the device"}},
    {"DEV_VOLATILE", {"密码设备内存", "memory of the device"}},
    {"DEV_NATIVE", {"仅设备自身备份", "the device's own backup"}},
    {"IN_DEV|AFTER_USE", {"设备内,用后即毁", "inside the device, after use"}},
    {"IN_TOKEN", {"智能密码钥匙内", "inside the smart token"}},
    {"TOKEN", {"智能密码钥匙内", "inside the smart token"}},
    {"HANDSHAKE", {"握手协商", "handshake"}},
    {"ON_DISCONNECT|ON_POWEROFF", {"断开或断电时", "at disconnection or power loss"}},
    {"BY_CA", {"CA", "CA"}},
    {"CA_OFFLINE", {"CA,离线", "CA, offline"}},
    {"ASYM_WRAP", {"公钥加密", "under a public key"}},
    {"SIGNKEY_WRAP", {"仅导入,签名密钥封装", "import only, under the signing key"}},
    {"CERT", {"证书", "certificate"}},
    {"REVOKE", {"CA 撤销", "revocation by the CA"}},
};

static const struct fn_text reading[] = {
    {"读法:由本设备密钥加密密钥密封、存放在应用一侧的密钥块,只有本设备能打开,视为本设备自身的存储放在别处,不是导出。",
     "Reading: a key blob that this device sealed under its key-encryption key and an application keeps can be opened by "
     "this device alone; it is the device's own storage kept elsewhere, not an export."},
    {"读法:密码产品内部的密钥(设备密钥对、密钥加密密钥、根密钥、备份密钥)不在两表之内,按产品自身的密钥管理执行(指南 3.5)。",
     "Reading: keys inside the product (device pair, key-encryption keys, root, backup key) stand outside both tables "
     "and follow the product's own management (guideline 3.5)."},
    {"本设备在每次对密钥操作之前查此表;表外的操作一律拒绝(KEY_POLICY)。",
     "The device asks this table before every act on a key and refuses whatever is not in it (KEY_POLICY)."},
};

static const char *cell_of(const struct line *l, enum fn_policy_operation operation)
{
    if (l->key_class) return fn_policy_cell(l->key_class, operation);
    return operation == FN_POLICY_GENERATE ? l->made : operation == FN_POLICY_DESTROY ? "REVOKE" : "CERT";
}

static const char *text_of(const struct line *l, enum fn_policy_operation operation)
{
    const char *cell = cell_of(l, operation);
    for (size_t i = 0; i < FN_COUNT(words); i++)
        if (!strcmp(words[i].cell, cell)) return fn_say(words[i].text);
    return cell;
}

static struct fn_text title_of(int table)
{
    return table == 1 ? (struct fn_text){"表 1 对称密钥列表", "Table 1: symmetric keys"}
                      : (struct fn_text){"表 2 非对称密钥列表", "Table 2: asymmetric keys"};
}

static void policy_table(int table, bool markdown)
{
    const char *titles[COLUMNS + 2] = {FN_SAY("序号", "no."), FN_SAY("密钥名称", "key")};
    for (size_t i = 0; i < COLUMNS; i++) titles[i + 2] = fn_say(columns[i].title);
    printf(markdown ? "### %s\n\n" : "%s\n", fn_say(title_of(table)));
    struct fn_table *t = markdown ? NULL : fn_table_new(COLUMNS + 2, titles);
    if (markdown) {
        for (size_t i = 0; i < COLUMNS + 2; i++) printf("| %s ", titles[i]);
        printf("|\n");
        for (size_t i = 0; i < COLUMNS + 2; i++) printf("|---");
        printf("|\n");
    }
    size_t number = 0;
    for (size_t k = 0; k < FN_COUNT(lines); k++) {
        if (lines[k].table != table) continue;
        char digits[8];
        const char *cells[COLUMNS + 2] = {digits, fn_say(lines[k].name)};
        fn_format(digits, sizeof digits, "%zu", ++number);
        for (size_t i = 0; i < COLUMNS; i++) cells[i + 2] = text_of(&lines[k], columns[i].operation);
        for (size_t i = 0; markdown && i < COLUMNS + 2; i++) printf("| %s ", cells[i]);
        if (markdown) printf("|\n");
        if (t) fn_table_row(t, cells);
    }
    if (t) fn_table_print(t);
    printf("\n");
}

static json_t *policy_json(void)
{
    json_t *root = json_object(), *rows = json_array(), *notes = json_array();
    for (size_t k = 0; k < FN_COUNT(lines); k++) {
        json_t *row = json_object();
        json_object_set_new(row, "table", json_integer(lines[k].table));
        json_object_set_new(row, "key", json_string(fn_say(lines[k].name)));
        for (size_t i = 0; i < COLUMNS; i++)
            json_object_set_new(row, columns[i].title.en,
                                json_pack("{s:s, s:s}", "cell", cell_of(&lines[k], columns[i].operation),
                                          "text", text_of(&lines[k], columns[i].operation)));
        if (lines[k].key_class)
            json_object_set_new(row, "export",
                                json_string(fn_policy_cell(lines[k].key_class, FN_POLICY_EXPORT)));
        json_array_append_new(rows, row);
    }
    for (size_t i = 0; i < FN_COUNT(reading); i++)
        json_array_append_new(notes, json_string(fn_say(reading[i])));
    json_object_set_new(root, "rows", rows);
    json_object_set_new(root, "reading", notes);
    return root;
}

static fn_err run_policy(const struct fn_call *call)
{
    bool markdown = fn_call_flag(call, "markdown");
    if (fn_call_json(call)) {
        json_t *root FN_SCOPED_JSON = policy_json();
        return fn_device_show_json(call, root);
    }
    policy_table(1, markdown);
    policy_table(2, markdown);
    for (size_t i = 0; i < FN_COUNT(reading); i++) printf("%s%s\n", markdown ? "- " : "", fn_say(reading[i]));
    return FN_OK;
}

/* ---- the end of a generation ---- */

static fn_err run_retire(const struct fn_call *call)
{
    FN_SCOPED_BUF struct fn_buf request = fn_buf_heap();
    FN_SCOPED_TOKENS struct fn_cli_tokens tokens = {0};
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    json_t *answer FN_SCOPED_JSON = NULL;
    int64_t index, version;
    FN_TRY(fn_call_number(call, "index", 1, 1000000, &index));
    FN_TRY(fn_buf_u8(&request, '{'));
    FN_TRY(fn_json_pair(&request, "tenant", fn_call_text(call, "tenant")));
    FN_TRY(fn_json_pair_number(&request, "index", index));
    if (fn_call_text(call, "kek-version")) {
        FN_TRY(fn_call_number(call, "kek-version", 1, UINT32_MAX, &version));
        FN_TRY(fn_json_pair_number(&request, "version", version));
    }
    FN_TRY(fn_buf_u8(&request, '}'));
    FN_TRY(fn_cli_tokens_read(&tokens, call, "token"));
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_device_login(client, &tokens, call));
    FN_TRY(fn_device_login_hint(fn_device_ask(client, "kek.retire", &request, &answer), &tokens));
    return fn_device_show_json(call, answer);
}

const struct fn_verb fn_cli_key_verbs[] = {
    {.path = "key policy",
     .summary = {"密钥表 1、表 2:每类密钥允许什么", "key Tables 1 and 2: what each class of keys allows"},
     .details =
         {"按指南的形式输出,并写明对密封密钥块的读法。内容即设备执行的策略。",
          "Printed in the guideline's form, with the reading relied on for sealed blobs. It is the policy that the "
          "device enforces."},
     .options =
         (const struct fn_option[]){FLAG_OPTION("markdown", "输出 Markdown 表格", "print Markdown tables"),
                                    {0}},
     .run = run_policy},
    {.path = "key retire-kek",
     .summary = {"结束密钥加密密钥的旧一代,输出设备签名的声明",
                 "end an old generation of a key-encryption key; prints the statement that the device signs"},
     .details = {"未重新密封到当前一代的密钥块从此永远不能打开。",
                 "Blobs that were not re-sealed to the current generation can never be opened again."},
     .permission = "device.key",
     .options = OPTIONS(TENANT_OPTION, NUMBER_OPTION("index", NULL, true, "索引(1 起)", "index (from 1)"),
                        NUMBER_OPTION("kek-version", NULL, false, "哪一代,默认为上一代",
                                      "which generation, the last before the current one by default"),
                        OPTIONS_LOGIN),
     .run = run_retire,
     .examples =
         "  fengni device kek rotate --index 1 --token li.fnat\n  fengni key retire-kek --index 1 --token li.fnat"},
    {0},
};
