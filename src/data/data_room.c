/* The room as the doors see it: verbs, permissions, events. */
#include "data/data_cli.h"

#include <string.h>

#define OPTIONS_END                                                                                          \
    {                                                                                                        \
        NULL, 0, FN_OPTION_FLAG, NULL, NULL, false, false,                                                   \
        {                                                                                                    \
            NULL, NULL                                                                                       \
        }                                                                                                    \
    }
#define OPTION_ENCODING                                                                                      \
    {                                                                                                        \
        "encoding", 0, FN_OPTION_TEXT, "NAME", "utf-8", false, false,                                        \
        {                                                                                                    \
            "输入编码:utf-8 或 gb18030", "encoding of the input: utf-8 or gb18030"                           \
        }                                                                                                    \
    }
#define OPTION_SUITE(fallback)                                                                               \
    {                                                                                                        \
        "suite", 0, FN_OPTION_TEXT, "NAME", fallback, false, false,                                          \
        {                                                                                                    \
            "密码套件:sm4-gcm 或 sm4-cbc+hmac-sm3(用于没有可鉴别加密的设备)",                                \
                "suite: sm4-gcm, or sm4-cbc+hmac-sm3 for devices without authenticated encryption"           \
        }                                                                                                    \
    }

static const struct fn_option plan_options[] = {
    {"in",
     'i',
     FN_OPTION_FILE,
     "FILE",
     NULL,
     false,
     false,
     {"CSV 文件,首行为列名", "CSV file, its first line names the columns"}},
    {"db", 'd', FN_OPTION_FILE, "URL", NULL, false, false, {"已有的数据库", "an existing database"}},
    FN_OPTION_TABLE,
    {"columns",
     'c',
     FN_OPTION_TEXT,
     "LIST",
     NULL,
     true,
     false,
     {"要加密的列,逗号分隔", "columns to encrypt, separated by commas"}},
    OPTION_ENCODING,
    OPTION_SUITE("sm4-gcm"),
    {"sql",
     0,
     FN_OPTION_TEXT,
     "NAME",
     "sqlite",
     false,
     false,
     {"ALTER TABLE 的方言:sqlite、postgresql、mysql、dm",
      "dialect of ALTER TABLE: sqlite, postgresql, mysql, dm"}},
    OPTIONS_END};

static const struct fn_option protect_options[] = {
    {"in",
     'i',
     FN_OPTION_FILE,
     "FILE",
     NULL,
     true,
     false,
     {"CSV 文件,首行为列名", "CSV file, its first line names the columns"}},
    FN_OPTION_TABLE,
    {"columns",
     'c',
     FN_OPTION_TEXT,
     "LIST",
     NULL,
     false,
     false,
     {"要加密的列,逗号分隔", "columns to encrypt, separated by commas"}},
    {"mac-only",
     0,
     FN_OPTION_FLAG,
     NULL,
     NULL,
     false,
     false,
     {"只做完整性保护,不加密(权限表等)", "protect integrity alone, without encryption (permission tables)"}},
    {"mac-columns",
     0,
     FN_OPTION_TEXT,
     "LIST",
     NULL,
     false,
     false,
     {"其余列中纳入行校验的列;缺省 all,可为 none",
      "other columns under the row's MAC; all unless given, none possible"}},
    {"out",
     'o',
     FN_OPTION_FILE,
     "URL",
     NULL,
     true,
     false,
     {"写入的数据库,如 sqlite:cases.db", "database to write to, e.g. sqlite:cases.db"}},
    OPTION_ENCODING,
    {"null",
     0,
     FN_OPTION_TEXT,
     "TEXT",
     NULL,
     false,
     false,
     {"表示 NULL 的文本", "text that stands for NULL"}},
    OPTION_SUITE(NULL),
    {"rejects",
     0,
     FN_OPTION_FILE,
     "FILE",
     NULL,
     false,
     false,
     {"拒收行的行号与原因(不含内容);缺省在数据库旁",
      "numbers and reasons of rejected lines, no content; beside the database unless given"}},
    FN_OPTION_SOCKET,
    OPTIONS_END};

static const struct fn_option reveal_options[] = {
    FN_OPTION_DB,
    FN_OPTION_TABLE,
    {"row", 'r', FN_OPTION_NUMBER, "N", NULL, false, false, {"只看一行", "one row alone"}},
    {"from", 0, FN_OPTION_NUMBER, "N", "1", false, false, {"起始行", "first row"}},
    {"to", 0, FN_OPTION_NUMBER, "N", "9223372036854775807", false, false, {"末行", "last row"}},
    {"limit",
     'n',
     FN_OPTION_NUMBER,
     "N",
     "20",
     false,
     false,
     {"最多行数,0 为不限", "rows at most, 0 for all"}},
    {"columns", 'c', FN_OPTION_TEXT, "LIST", NULL, false, false, {"要显示的列", "columns to show"}},
    {"where",
     0,
     FN_OPTION_TEXT,
     "COLUMN=VALUE",
     NULL,
     false,
     false,
     {"只看某列等于某值的行", "rows where a column has a value"}},
    {"clear",
     0,
     FN_OPTION_FLAG,
     NULL,
     NULL,
     false,
     false,
     {"显示明文(须凭证和理由)", "clear text (needs credential and reason)"}},
    {"credential", 0, FN_OPTION_FILE, "FILE", NULL, false, false, {"凭证文件", "credential file"}},
    {"reason",
     0,
     FN_OPTION_TEXT,
     "TEXT",
     NULL,
     false,
     false,
     {"查看明文的理由,记入日志", "why clear text is needed; goes into the log"}},
    {"csv", 0, FN_OPTION_FLAG, NULL, NULL, false, false, {"以 CSV 输出", "print CSV"}},
    FN_OPTION_SOCKET,
    OPTIONS_END};

static const struct fn_option verify_options[] = {
    FN_OPTION_DB,
    {"table",
     't',
     FN_OPTION_TEXT,
     "NAME",
     NULL,
     false,
     false,
     {"表名;缺省为全部受保护的表", "name of the table; all protected tables unless given"}},
    FN_OPTION_SOCKET,
    OPTIONS_END};

static const struct fn_option adopt_options[] = {
    FN_OPTION_DB,
    FN_OPTION_TABLE,
    {"credential", 0, FN_OPTION_FILE, "FILE", NULL, true, false, {"凭证文件", "credential file"}},
    {"reason", 0, FN_OPTION_TEXT, "TEXT", NULL, true, false, {"理由,记入日志", "why; goes into the log"}},
    FN_OPTION_SOCKET,
    OPTIONS_END};

static const struct fn_option file_options[] = {
    {"name",
     0,
     FN_OPTION_TEXT,
     "NAME",
     NULL,
     false,
     false,
     {"封条中的名称;缺省为绝对路径", "name in the seal; the absolute path unless given"}},
    FN_OPTION_SOCKET,
    OPTIONS_END};

static const struct fn_option credential_options[] = {
    {"holder", 0, FN_OPTION_TEXT, "NAME", NULL, true, false, {"持有人", "who holds it"}},
    {"out",
     'o',
     FN_OPTION_FILE,
     "FILE",
     NULL,
     true,
     false,
     {"凭证文件(新建,0600)", "credential file (made new, 0600)"}},
    {"days",
     0,
     FN_OPTION_NUMBER,
     "N",
     "365",
     false,
     false,
     {"有效天数,0 为不限", "days it is valid, 0 for ever"}},
    FN_OPTION_SOCKET,
    OPTIONS_END};

static const struct fn_option socket_options[] = {FN_OPTION_SOCKET, OPTIONS_END};

static const struct fn_verb verbs[] = {
    {.path = "data plan",
     .summary = {"预览加密对各列的影响", "show what protection will do to each column"},
     .details = {"逐列给出存储形式、新长度和 ALTER TABLE 语句,并说明 NULL、空串、UNIQUE、ORDER "
                 "BY、LIKE、JOIN 的变化。不改动任何数据,不需要密码设备。",
                 "For each column: stored form, new length, ALTER TABLE; and what happens to NULL, empty "
                 "text, UNIQUE, ORDER BY, LIKE, "
                 "JOIN. Changes nothing and needs no device."},
     .permission = NULL,
     .options = plan_options,
     .examples = "fengni data plan --in people.csv --table citizens --columns id_card,phone,address\n",
     .run = fn_data_plan},
    {.path = "data protect",
     .summary = {"将 CSV 加密写入受保护的表", "put a CSV file into a protected table"},
     .details = {"受保护的列以 SM4 加密,每行带 "
                 "HMAC-SM3,"
                 "表的清单锚定在密码设备中。密钥在首次使用时于设备内生成。中断后以同样的参数重新运行即从最后"
                 "提交处继续;"
                 "有误的行按行号报告,其余继续。",
                 "Protected columns are encrypted with SM4, every row carries an HMAC-SM3, the table's "
                 "manifest is anchored in the device. "
                 "Keys are made in the device on first use. Run again with the same options after an "
                 "interruption to go on from the "
                 "last commit; bad lines are reported by number, the rest goes on."},
     .permission = "data.write",
     .options = protect_options,
     .examples = "fengni data protect --in people.csv --table citizens --columns id_card,phone,address --out "
                 "sqlite:cases.db\n"
                 "fengni data protect --in roles.csv --table roles --mac-only --out sqlite:cases.db\n",
     .run = fn_data_protect},
    {.path = "data reveal",
     .summary = {"查看受保护的行(缺省脱敏)", "show protected rows, masked unless told otherwise"},
     .details = {"每一行先验证再显示。明文须同时提供凭证和理由,先记日志后输出。",
                 "Each row is checked before it is shown. Clear text needs a credential and a reason; the "
                 "log is written before the output."},
     .permission = "data.read",
     .options = reveal_options,
     .examples = "fengni data reveal --db sqlite:cases.db --table citizens --limit 5\n"
                 "fengni data reveal --db sqlite:cases.db --table citizens --row 7 --credential zhang.cred "
                 "--reason \"案件 2026-118 核对\"\n",
     .run = fn_data_reveal},
    {.path = "data verify",
     .summary = {"验证受保护的表", "verify protected tables"},
     .details = {"指出被篡改、移位、插入、删除的行;换回旧版本的行指出其数据段;"
                 "整表或整库换回旧副本由锚点发现。发现问题时退出状态为 1。",
                 "Names rows that were altered, moved, inserted, deleted; for a row put back to an older "
                 "version its segment; a whole table "
                 "or file put back is found by the anchor. Exit status 1 when something was found."},
     .permission = "data.verify",
     .options = verify_options,
     .examples = "fengni data verify --db sqlite:cases.db\n",
     .run = fn_data_verify},
    {.path = "data adopt",
     .summary = {"从备份恢复后,承认表的现状", "accept a table as it is after a restore from backup"},
     .details = {"恢复的表比锚点旧,写入被拒绝。核实恢复来源后用本命令承认现状并重新锚定;须凭证和理由,"
                 "先记日志。恢复点之后写入的行已丢失。",
                 "A restored table is older than its anchor and refuses writers. When the source of the "
                 "restore has been checked, this accepts "
                 "its state and anchors it anew; it needs a credential and a reason and is logged first. "
                 "Rows written after the backup are lost."},
     .permission = "data.adopt",
     .options = adopt_options,
     .examples = "fengni data adopt --db sqlite:cases.db --table citizens --credential zhang.cred --reason "
                 "\"磁盘故障,自 11-20 备份恢复\"\n",
     .run = fn_data_adopt},
    {.path = "data seal-file",
     .operands = "FILE…",
     .operands_least = 1,
     .operands_most = -1,
     .summary = {"为文件做完整性保护", "protect the integrity of files"},
     .details = {"在文件旁写入封条 FILE.fnseal(HMAC-SM3 和锚定的版本号)。文件改动后须重新封存。",
                 "Writes a seal FILE.fnseal beside each file: an HMAC-SM3 and an anchored version. Seal "
                 "again after each change."},
     .permission = "data.write",
     .options = file_options,
     .examples = "fengni data seal-file /etc/app/acl.yaml\n",
     .run = fn_data_seal_file_verb},
    {.path = "data check-file",
     .operands = "FILE…",
     .operands_least = 1,
     .operands_most = -1,
     .summary = {"检查已封存的文件", "check sealed files"},
     .permission = "data.verify",
     .options = file_options,
     .examples = "fengni data check-file /etc/app/acl.yaml\n",
     .run = fn_data_check_file},
    {.path = "data credential new",
     .summary = {"签发查看明文的凭证", "issue a credential for clear text"},
     .permission = "data.credential",
     .options = credential_options,
     .examples = "fengni data credential new --holder 张三 --out zhang.cred\n",
     .run = fn_data_credential_new},
    {.path = "data credential list",
     .summary = {"列出凭证", "list credentials"},
     .permission = "data.credential",
     .options = socket_options,
     .run = fn_data_credential_list},
    {.path = "data credential revoke",
     .operands = "ID",
     .operands_least = 1,
     .operands_most = 1,
     .summary = {"吊销凭证", "revoke a credential"},
     .permission = "data.credential",
     .options = socket_options,
     .run = fn_data_credential_revoke},
    {.path = "data log",
     .summary = {"显示并验证数据保护日志", "show and verify the room's log"},
     .permission = "data.audit",
     .options = socket_options,
     .run = fn_data_log_verb},
    {.path = NULL},
};

static const char *const permissions[] = {"data.read",  "data.write", "data.verify", "data.credential",
                                          "data.audit", "data.adopt", NULL};
static const char *const events[] = {"data.protect.start",  "data.adopt",
                                     "data.protect",        "data.reveal",
                                     "data.reveal.done",    "data.seal-file",
                                     "data.credential.new", "data.credential.revoke",
                                     "log.recovered",       NULL};
static const char *const needs[] = {"AEAD_ENCRYPT", "AEAD_DECRYPT", "MAC",        "RANDOM", "KEY_FIND",
                                    "KEY_NEW",      "ANCHOR_SET",   "ANCHOR_GET", NULL};

const struct fn_room data_room = {
    .name = "data",
    .product = {"重要数据存储保护", "Protection of important data at rest"},
    .standard = "GB/T 39786-2021 8.4 e, f",
    .schema = fn_data_schema_steps,
    .verbs = verbs,
    .permissions = permissions,
    .events = events,
    .needs = needs,
};
