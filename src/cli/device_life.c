/* The life of the device from the operator's side: unlocking, administrators, reshare, backup and restore.
 * The device generates, splits, combines and checks; here encrypted files and passphrases are carried to and
 * fro. */
#include "base/sys/file.h"
#include "base/sys/json.h"
#include "base/sys/os_err.h"
#include "cli/device_cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PASSPHRASE_TRIES 3
#define SEALED_MOST      1024 /* bytes of a sealed share */
#define BACKUP_MOST      ((size_t)1 << 30)

static fn_err run_init(const struct fn_call *call)
{
    return fn_cli_device_init(call, NULL);
}

/* ---- unlock ---- */

struct unlock {
    struct fn_client *client;
    const struct fn_call *call;
    int64_t needed, given;
    json_t *answer; /* the last */
};

static void unlock_progress(const struct unlock *u, const char *name, bool again)
{
    if (fn_call_json(u->call)) return;
    if (again)
        fprintf(stderr, FN_SAY("%s 的分量此前已交\n", "the share of %s was given before\n"), name);
    else
        fprintf(stderr, FN_SAY("%s 的分量已接受,%lld/%lld\n", "%s: taken, %lld of %lld shares\n"), name,
                (long long)u->given, (long long)u->needed);
}

static fn_err unlock_send(struct unlock *u, const struct fn_cli_token *token)
{
    FN_SCOPED_BUF struct fn_buf request = fn_buf_secret();
    json_t *answer = NULL;
    FN_TRY(fn_buf_u8(&request, '{'));
    FN_TRY(fn_cli_token_json(&request, token));
    FN_TRY(fn_buf_u8(&request, '}'));
    FN_TRY(fn_device_ask(u->client, "unlock", &request, &answer));
    json_decref(u->answer);
    u->answer = answer;
    u->given = u->needed - json_integer_value(json_object_get(answer, "shares_missing"));
    return FN_OK;
}

/* A mistyped passphrase is asked for again; one of a file is what it is. */
static fn_err unlock_token(struct unlock *u, struct fn_cli_token *token, size_t i)
{
    for (int tries = 1;; tries++) {
        FN_TRY(fn_cli_token_passphrase(token, u->call, i));
        fn_err err = unlock_send(u, token);
        bool typed = !fn_call_text_at(u->call, "passphrase-file", i);
        if (err != FN_E_PASSPHRASE || !typed || tries == PASSPHRASE_TRIES) {
            if (err && err != FN_E_EXISTS) return FN_WRAP(err, "%s", token->path);
            unlock_progress(u, token->name, err == FN_E_EXISTS);
            fn_err_clear();
            return FN_OK;
        }
        fn_err_print(err, false);
        fn_wipe(token->passphrase.p, token->passphrase.n);
        token->passphrase.n = 0;
    }
}

static fn_err unlock_all(struct unlock *u, struct fn_cli_tokens *tokens)
{
    json_t *status FN_SCOPED_JSON = NULL;
    FN_TRY(fn_device_ask(u->client, "status", NULL, &status));
    const char *state = fn_json_text_of(status, "state");
    if (!state || strcmp(state, "LOCKED"))
        return FN_FAIL(FN_E_DEVICE_STATE, FN_SAY("设备状态为 %s,无须开启", "the device is %s, not locked"),
                       state ? state : "-");
    u->needed = json_integer_value(json_object_get(status, "shares_needed"));
    for (size_t i = 0; i < tokens->present && u->given < u->needed; i++)
        FN_TRY(unlock_token(u, &tokens->list[i], i));
    if (!u->answer) {
        u->answer = json_pack("{s:s}", "state", "LOCKED");
        return FN_FAIL(FN_E_DEVICE_QUORUM, FN_SAY("没有新的分量", "no share that was not given before"));
    }
    long long missing = json_integer_value(json_object_get(u->answer, "shares_missing"));
    if (!missing) return FN_OK;
    return FN_FAIL(FN_E_DEVICE_QUORUM,
                   FN_SAY("还缺 %lld 份分量;已交的保留在设备中,直至开启或重启",
                          "%lld more needed; those given stay in the device until it opens or restarts"),
                   missing);
}

static fn_err run_unlock(const struct fn_call *call)
{
    FN_SCOPED_TOKENS struct fn_cli_tokens tokens = {0};
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    FN_TRY(fn_cli_tokens_read(&tokens, call, "token"));
    if (!tokens.count)
        return FN_FAIL(FN_E_USAGE, FN_SAY("至少一个 --token FILE", "at least one --token FILE"));
    FN_TRY(fn_device_open(&client, call));
    struct unlock u = {.client = client, .call = call};
    fn_err err = unlock_all(&u, &tokens);
    if (u.answer && (err == FN_OK || err == FN_E_DEVICE_QUORUM)) fn_device_show_json(call, u.answer);
    json_decref(u.answer);
    return err;
}

/* ---- administrators ---- */

static fn_err run_list(const struct fn_call *call)
{
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    json_t *answer FN_SCOPED_JSON = NULL, *person;
    size_t i;
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_device_ask(client, "person.list", NULL, &answer));
    if (fn_call_json(call)) return fn_device_show_json(call, answer);
    struct fn_table *table =
        fn_table_new(4, (const char *[]){FN_SAY("姓名", "name"), FN_SAY("角色", "role"),
                                         FN_SAY("持根分量", "holds a share of the root"),
                                         FN_SAY("签名公钥(前 16 位)", "signing key (first 16 digits)")});
    json_array_foreach(json_object_get(answer, "administrators"), i, person)
    {
        const char *role = fn_json_text_of(person, "role"), *sign = fn_json_text_of(person, "sign");
        bool holds = role && (!strcmp(role, "super") || !strcmp(role, "business"));
        char key[17];
        fn_format(key, sizeof key, "%s", sign ? sign : "");
        fn_table_row(table, (const char *[]){fn_json_text_of(person, "name"), fn_role_text(role),
                                             holds ? FN_SAY("是", "yes") : FN_SAY("否", "no"), key});
    }
    fn_table_print(table);
    return FN_OK;
}

/* One administrator as answers would name it, so that files are reserved and written in one way. */
static fn_err add_request(const struct fn_call *call, struct fn_client *client, struct fn_buf *request)
{
    FN_SCOPED_BUF struct fn_buf passphrase = fn_buf_secret();
    const char *name = fn_call_text(call, "name");
    FN_TRY(fn_secret_new(client, name, fn_call_text(call, "new-passphrase-file"),
                         fn_call_text(call, "phrase-file"), &passphrase));
    FN_TRY(fn_buf_text(request, "{\"administrators\":[{"));
    FN_TRY(fn_json_pair(request, "name", name));
    FN_TRY(fn_json_pair(request, "role", fn_call_text(call, "role")));
    FN_TRY(fn_json_key(request, "passphrase"));
    FN_TRY(fn_json_text(request, (const char *)passphrase.p, passphrase.n));
    return fn_buf_text(request, "}]}");
}

static fn_err add(const struct fn_call *call, struct fn_client *client)
{
    FN_SCOPED_BUF struct fn_buf request = fn_buf_secret();
    json_t *answer FN_SCOPED_JSON = NULL;
    FN_TRY(add_request(call, client, &request));
    FN_TRY(fn_device_ask(client, "person.add", &request, &answer));
    const char *token = fn_json_text_of(json_array_get(json_object_get(answer, "tokens"), 0), "token");
    if (!token) return FN_FAIL(FN_E_FORMAT, "the device's answer has no token");
    return fn_file_put_base64(fn_call_text(call, "out"), token);
}

static fn_err run_add(const struct fn_call *call)
{
    FN_SCOPED_TOKENS struct fn_cli_tokens tokens = {0};
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    const char *out = fn_call_text(call, "out");
    FN_TRY(fn_cli_tokens_read(&tokens, call, "token"));
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_device_login(client, &tokens, call));
    FN_TRY(fn_file_reserve(out));
    fn_err err = add(call, client);
    if (err) unlink(out);
    FN_TRY(fn_device_login_hint(err, &tokens));
    json_t *said FN_SCOPED_JSON = json_pack("{s:s, s:s, s:s}", "name", fn_call_text(call, "name"), "role",
                                            fn_call_text(call, "role"), "token", out);
    if (!fn_call_json(call))
        fputs(FN_SAY("新管理员尚无分量:持分量的角色须经 `fengni device reshare` 得到。\n",
                     "No share yet: a role that holds one gets it by `fengni device reshare`.\n"),
              stderr);
    return fn_device_show_json(call, said);
}

static fn_err run_remove(const struct fn_call *call)
{
    FN_SCOPED_TOKENS struct fn_cli_tokens tokens = {0};
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    FN_SCOPED_BUF struct fn_buf request = fn_buf_heap();
    json_t *answer FN_SCOPED_JSON = NULL;
    FN_TRY(fn_cli_tokens_read(&tokens, call, "token"));
    FN_TRY(fn_buf_u8(&request, '{'));
    FN_TRY(fn_json_pair(&request, "name", fn_call_text(call, "name")));
    FN_TRY(fn_buf_u8(&request, '}'));
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_device_login(client, &tokens, call));
    FN_TRY(fn_device_login_hint(fn_device_ask(client, "person.remove", &request, &answer), &tokens));
    if (!fn_call_json(call))
        fputs(FN_SAY("其分量在 `fengni device reshare` 之前仍然有效。\n",
                     "The share stays in force until `fengni device reshare`.\n"),
              stderr);
    return fn_device_show_json(call, answer);
}

static fn_err run_passphrase(const struct fn_call *call)
{
    FN_SCOPED_TOKENS struct fn_cli_tokens tokens = {0};
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    FN_SCOPED_BUF struct fn_buf request = fn_buf_secret(), fresh = fn_buf_secret();
    json_t *answer FN_SCOPED_JSON = NULL;
    FN_TRY(fn_cli_tokens_read(&tokens, call, "token"));
    struct fn_cli_token *t = &tokens.list[0];
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_cli_token_passphrase(t, call, 0));
    FN_TRY(fn_secret_new(client, t->name, fn_call_text(call, "new-passphrase-file"),
                         fn_call_text(call, "phrase-file"), &fresh));
    FN_TRY(fn_buf_u8(&request, '{'));
    FN_TRY(fn_cli_token_json(&request, t));
    FN_TRY(fn_json_key(&request, "new_passphrase"));
    FN_TRY(fn_json_text(&request, (const char *)fresh.p, fresh.n));
    FN_TRY(fn_buf_u8(&request, '}'));
    fn_err err = fn_device_ask(client, "token.change", &request, &answer);
    const char *text = err ? NULL : fn_json_text_of(answer, "token");
    if (!err)
        err = text ? fn_file_put_base64(t->path, text)
                   : FN_FAIL(FN_E_FORMAT, "the device's answer has no token");
    if (err && fn_call_text(call, "phrase-file")) unlink(fn_call_text(call, "phrase-file"));
    FN_TRY(err);
    if (!fn_call_json(call))
        fputs(FN_SAY("旧文件的副本仍可用旧口令打开,请销毁。\n",
                     "Copies of the old file still open with the old passphrase: destroy them.\n"),
              stderr);
    json_t *said FN_SCOPED_JSON = json_pack("{s:s, s:s}", "name", t->name, "token", t->path);
    return fn_device_show_json(call, said);
}

static fn_err run_show(const struct fn_call *call)
{
    const char *const *paths;
    FN_SCOPED_BUF struct fn_buf file = fn_buf_heap();
    json_t *about FN_SCOPED_JSON = NULL;
    fn_call_operands(call, &paths);
    FN_TRY(fn_files_read_all(fn_files_real(), paths[0], FN_CLI_TOKEN, &file));
    FN_TRY(fn_cli_token_describe(fn_buf_view(&file), paths[0], &about));
    return fn_device_show_json(call, about);
}

static fn_err share_base64(const char *path, char **out)
{
    FN_SCOPED_BUF struct fn_buf share = fn_buf_heap();
    FN_TRY(fn_files_read_all(fn_files_real(), path, SEALED_MOST, &share));
    FN_TRY(fn_heap_array(out, FN_BASE64_SIZE(share.n) + 1, 1));
    fn_base64_encode(*out, share.p, share.n);
    return FN_OK;
}

static fn_err run_share(const struct fn_call *call)
{
    FN_SCOPED_TOKENS struct fn_cli_tokens tokens = {0};
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    FN_SCOPED_HEAP char *share = NULL;
    json_t *about FN_SCOPED_JSON = NULL;
    FN_TRY(fn_cli_tokens_read(&tokens, call, "token"));
    FN_TRY(share_base64(fn_call_text(call, "share"), &share));
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_cli_token_put(client, &tokens.list[0], share));
    FN_TRY(fn_file_put(tokens.list[0].path, fn_buf_view(&tokens.list[0].file)));
    FN_TRY(fn_cli_token_describe(fn_buf_view(&tokens.list[0].file), tokens.list[0].path, &about));
    return fn_device_show_json(call, about);
}

/* ---- shares for registered administrators: reshare and backup ---- */

/* Whoever gets a share must have a place for it before one is made: a file at hand, or the folder of
 * --shares. */
static fn_err places_check(const struct fn_call *call, struct fn_client *client, struct fn_cli_tokens *tokens,
                           bool all)
{
    json_t *answer FN_SCOPED_JSON = NULL, *person;
    size_t i;
    const char *dir = fn_call_text(call, "shares");
    struct stat st;
    if (dir && (stat(dir, &st) || !S_ISDIR(st.st_mode))) return FN_FAIL(FN_E_NOT_FOUND, "--shares %s", dir);
    FN_TRY(fn_device_ask(client, "person.list", NULL, &answer));
    json_array_foreach(json_object_get(answer, "administrators"), i, person)
    {
        const char *name = fn_json_text_of(person, "name"), *role = fn_json_text_of(person, "role");
        bool gets = all || !strcmp(role, "super") || !strcmp(role, "business");
        const char *one;
        for (size_t k = 0; all && (one = fn_call_text_at(call, "for", k)); k++) {
            gets = !strcmp(one, name);
            if (gets) break;
        }
        if (gets && !dir && !fn_cli_token_of(tokens, name))
            return FN_FAIL(
                FN_E_USAGE,
                FN_SAY("%s 的凭证文件不在手边:用 --holder FILE 给出,或用 --shares DIR 存放其密封分量",
                       "the file of %s is not at hand: --holder FILE, or --shares DIR for the sealed share"),
                name);
    }
    return FN_OK;
}

#define NEXT ".next"

static fn_err next_path(char **path, const struct fn_cli_token *t)
{
    return fn_heap_format(path, "%s" NEXT, t->path);
}

/* Files of an earlier reshare whose end nobody saw are not overwritten: one of them may be the right one. */
static fn_err next_absent(const struct fn_cli_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++) {
        FN_SCOPED_HEAP char *path = NULL;
        struct stat st;
        FN_TRY(next_path(&path, &tokens->list[i]));
        if (!lstat(path, &st))
            return FN_FAIL(FN_E_EXISTS,
                           FN_SAY("%s 来自一次未见结果的重新分发,请先按手册处理",
                                  "%s is of a reshare whose end was not seen; see the runbook"),
                           path);
    }
    return FN_OK;
}

static fn_err next_end(const struct fn_cli_tokens *tokens, bool good)
{
    fn_err first = FN_OK;
    for (size_t i = 0; i < tokens->count; i++) {
        FN_SCOPED_HEAP char *path = NULL;
        FN_TRY(next_path(&path, &tokens->list[i]));
        fn_err err = FN_OK;
        if (!good)
            unlink(path);
        else if (rename(path, tokens->list[i].path) && errno != ENOENT)
            err = FN_FAIL_OS("%s", path);
        else
            err = fn_files_fsync_parent(fn_files_real(), tokens->list[i].path);
        if (!first) first = err;
    }
    return first;
}

static fn_err reshare_request(const struct fn_call *call, struct fn_cli_tokens *tokens,
                              struct fn_buf *request)
{
    int64_t needed;
    FN_TRY(fn_buf_u8(request, '{'));
    if (fn_call_text(call, "needed")) {
        FN_TRY(fn_call_number(call, "needed", 2, 255, &needed));
        FN_TRY(fn_json_pair_number(request, "needed", needed));
    }
    FN_TRY(fn_cli_tokens_json(request, tokens, call));
    return fn_buf_u8(request, '}');
}

/* Handed out first, beside the old files; in force only when everything lies on the disk. */
static fn_err reshare(const struct fn_call *call, struct fn_client *client, struct fn_cli_tokens *tokens,
                      json_t *report)
{
    FN_SCOPED_BUF struct fn_buf request = fn_buf_secret();
    json_t *begun FN_SCOPED_JSON = NULL, *done FN_SCOPED_JSON = NULL;
    FN_TRY(reshare_request(call, tokens, &request));
    FN_TRY(fn_device_ask(client, "reshare.begin", &request, &begun));
    fn_err err = fn_shares_keep(client, begun, tokens, NEXT, fn_call_text(call, "shares"), "", report);
    if (err) {
        next_end(tokens, false);
        return FN_WRAP(err, FN_SAY("新分量未能全部写出,旧分量仍然有效",
                                   "not all new shares could be written; the old ones stay in force"));
    }
    err = fn_device_ask(client, "reshare.commit", NULL, &done);
    if (err)
        return FN_WRAP(err,
                       FN_SAY("未见确认:旧文件与 *" NEXT " 都保留,见运维手册「重新分发」",
                              "no confirmation: old files and *" NEXT " are both kept, see the runbook"));
    return next_end(tokens, true);
}

static fn_err run_reshare(const struct fn_call *call)
{
    FN_SCOPED_TOKENS struct fn_cli_tokens tokens = {0};
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    json_t *report FN_SCOPED_JSON = json_array();
    FN_TRY(fn_cli_tokens_read(&tokens, call, "token"));
    FN_TRY(fn_cli_tokens_read(&tokens, call, "holder"));
    if (!tokens.present)
        return FN_FAIL(FN_E_USAGE, FN_SAY("至少一个 --token FILE", "at least one --token FILE"));
    FN_TRY(next_absent(&tokens));
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_device_login(client, &tokens, call));
    FN_TRY(places_check(call, client, &tokens, false));
    FN_TRY(reshare(call, client, &tokens, report));
    json_t *said FN_SCOPED_JSON = json_pack("{s:O}", "written", report);
    return fn_device_show_json(call, said);
}

/* ---- backup ---- */

static fn_err backup_names(const struct fn_call *call, struct fn_buf *request)
{
    const char *name;
    if (!fn_call_text(call, "for")) return FN_OK;
    FN_TRY(fn_json_key(request, "administrators"));
    FN_TRY(fn_buf_u8(request, '['));
    for (size_t i = 0; (name = fn_call_text_at(call, "for", i)); i++) {
        FN_TRY(fn_buf_text(request, i ? ",{" : "{"));
        FN_TRY(fn_json_pair(request, "name", name));
        FN_TRY(fn_buf_u8(request, '}'));
    }
    return fn_buf_u8(request, ']');
}

static fn_err backup_request(const struct fn_call *call, struct fn_client *client,
                             struct fn_cli_tokens *tokens, struct fn_answers *answers, struct fn_buf *request)
{
    int64_t needed;
    FN_TRY(fn_buf_u8(request, '{'));
    FN_TRY(fn_json_pair(request, "file", fn_call_text(call, "name")));
    if (answers) {
        FN_TRY(fn_answers_administrators(answers, client, request));
    } else {
        FN_TRY(fn_call_number(call, "needed", 2, 255, &needed));
        FN_TRY(fn_json_pair_number(request, "needed", needed));
        FN_TRY(backup_names(call, request));
    }
    if (tokens->present) FN_TRY(fn_cli_tokens_json(request, tokens, call));
    return fn_buf_u8(request, '}');
}

/* Where the device keeps backups. It names them itself; only this folder is touched from here. */
static fn_err backup_path(const struct fn_call *call, const char *name, char **path)
{
    return fn_heap_format(path, "%s/device/backup/%s", fn_call_instance(call), name);
}

static fn_err backup_copy(const struct fn_call *call, json_t *said)
{
    FN_SCOPED_HEAP char *from = NULL;
    FN_SCOPED_BUF struct fn_buf content = fn_buf_heap();
    const char *out = fn_call_text(call, "out");
    if (!out) return FN_OK;
    FN_TRY(backup_path(call, fn_call_text(call, "name"), &from));
    FN_TRY(fn_files_read_all(fn_files_real(), from, BACKUP_MOST, &content));
    FN_TRY(fn_file_put(out, fn_buf_view(&content)));
    json_object_set_new(said, "copy", json_string(out));
    return FN_OK;
}

static fn_err run_backup_create(const struct fn_call *call)
{
    FN_SCOPED_TOKENS struct fn_cli_tokens tokens = {0};
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    struct fn_answers *answers FN_SCOPED_ANSWERS = NULL;
    FN_SCOPED_BUF struct fn_buf request = fn_buf_secret();
    FN_SCOPED_HEAP char *tail = NULL;
    json_t *answer FN_SCOPED_JSON = NULL, *report FN_SCOPED_JSON = json_array();
    const char *out = fn_call_text(call, "out");
    FN_TRY(fn_cli_tokens_read(&tokens, call, "token"));
    FN_TRY(fn_cli_tokens_read(&tokens, call, "holder"));
    if (fn_call_text(call, "answers")) FN_TRY(fn_answers_read(&answers, fn_call_text(call, "answers")));
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_device_login(client, &tokens, call));
    if (!answers) FN_TRY(places_check(call, client, &tokens, true));
    FN_TRY(backup_request(call, client, &tokens, answers, &request));
    if (out) FN_TRY(fn_file_reserve(out));
    fn_err err = fn_device_ask(client, "backup.create", &request, &answer);
    if (err && out) unlink(out);
    FN_TRY(fn_device_login_hint(err, &tokens));
    FN_TRY(fn_heap_format(&tail, ".%s", fn_call_text(call, "name")));
    FN_TRY(answers ? fn_answers_tokens(answers, answer, report)
                   : fn_shares_keep(client, answer, &tokens, "", fn_call_text(call, "shares"), tail, report));
    json_object_del(answer, "tokens");
    json_object_set(answer, "written", report);
    FN_TRY(backup_copy(call, answer));
    return fn_device_show_json(call, answer);
}

/* The device reads a backup from its own folder alone, which belongs to its user. That user may have put
 * links there: every step goes through descriptors and refuses them. */
static fn_err backup_folder(const char *instance, int *out, struct stat *owner)
{
    FN_SCOPED_HEAP char *path = NULL;
    FN_TRY(fn_heap_format(&path, "%s/device", instance));
    FN_SCOPED_FD int device = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (device < 0 || fstat(device, owner)) return FN_FAIL_OS("%s", path);
    bool made = !mkdirat(device, "backup", 0700);
    FN_SCOPED_FD int folder = openat(device, "backup", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return FN_FAIL_OS("%s/backup", path);
    if (made && geteuid() == 0 && fchown(folder, owner->st_uid, owner->st_gid))
        return FN_FAIL_OS("%s/backup", path);
    *out = fn_fd_release(&folder);
    return FN_OK;
}

static fn_err write_whole(int fd, struct fn_bytes content, const char *name)
{
    for (size_t at = 0; at < content.n;) {
        ssize_t n = write(fd, content.p + at, content.n - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return FN_FAIL_OS("%s", name);
        at += (size_t)n;
    }
    return fsync(fd) ? FN_FAIL_OS("%s", name) : FN_OK;
}

/* *placed: whether it was put there by this call and is to be taken away when the restore fails. */
static fn_err backup_place(const struct fn_call *call, const char *path, const char *name, bool *placed)
{
    FN_SCOPED_BUF struct fn_buf content = fn_buf_heap();
    FN_SCOPED_FD int folder = -1;
    FN_SCOPED_HEAP char *there = NULL;
    struct stat owner, a, b;
    FN_TRY(backup_path(call, name, &there));
    *placed = false;
    if (!stat(path, &a) && !stat(there, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino) return FN_OK;
    FN_TRY(fn_files_read_all(fn_files_real(), path, BACKUP_MOST, &content));
    FN_TRY(backup_folder(fn_call_instance(call), &folder, &owner));
    FN_SCOPED_FD int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return FN_FAIL_OS("%s", there);
    fn_err err = write_whole(fd, fn_buf_view(&content), there);
    if (!err && geteuid() == 0 && fchown(fd, owner.st_uid, owner.st_gid)) err = FN_FAIL_OS("%s", there);
    if (err) unlinkat(folder, name, 0);
    *placed = err == FN_OK;
    return err;
}

/* Shares that lie beside the files: each goes into the file that it is sealed to. */
static fn_err shares_add(const struct fn_call *call, struct fn_client *client, struct fn_cli_tokens *tokens)
{
    const char *path;
    for (size_t i = 0; (path = fn_call_text_at(call, "share", i)); i++) {
        FN_SCOPED_HEAP char *share = NULL;
        fn_err err = FN_E_DEVICE_SHARE;
        FN_TRY(share_base64(path, &share));
        for (size_t k = 0; k < tokens->count && err == FN_E_DEVICE_SHARE; k++)
            err = fn_cli_token_put(client, &tokens->list[k], share);
        if (err)
            return FN_WRAP(err, FN_SAY("%s 不属于所给的任何凭证文件", "%s: of none of the files given"),
                           path);
    }
    fn_err_clear();
    return FN_OK;
}

static fn_err run_backup_restore(const struct fn_call *call)
{
    FN_SCOPED_TOKENS struct fn_cli_tokens tokens = {0};
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    const char *path = fn_call_text(call, "in"), *slash = strrchr(path, '/');
    struct fn_restore_from restore = {slash ? slash + 1 : path, &tokens};
    bool placed;
    if (fn_call_flag(call, "answers-example")) return fn_cli_device_init(call, NULL);
    FN_TRY(fn_cli_tokens_read(&tokens, call, "token"));
    if (!tokens.present)
        return FN_FAIL(FN_E_USAGE, FN_SAY("至少一个 --token FILE", "at least one --token FILE"));
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(shares_add(call, client, &tokens));
    FN_TRY(backup_place(call, path, restore.name, &placed));
    fn_err err = fn_cli_device_init(call, &restore);
    if (!err || !placed) return err;
    FN_SCOPED_FD int folder = -1;
    struct stat owner;
    if (backup_folder(fn_call_instance(call), &folder, &owner) == FN_OK) unlinkat(folder, restore.name, 0);
    return err;
}

/* ---- the table ---- */

#define OPTIONS_NEW                                                                                          \
    FILE_OPTION("new-passphrase-file", "FILE", false, false, "新口令所在文件",                               \
                "file with the new passphrase"),                                                             \
        FILE_OPTION("phrase-file", "FILE", false, false, "由设备生成八词口令并写入此新文件",                 \
                    "new file for eight words that the device makes")
#define OPTIONS_INIT                                                                                         \
    FLAG_OPTION("unattended", "无人值守启动", "unattended start"),                                           \
        FILE_OPTION("answers", "FILE", false, false, "回答文件(YAML 或 JSON),代替终端问答",                  \
                    "answers (YAML or JSON) instead of the terminal"),                                       \
        FLAG_OPTION("answers-example", "输出回答文件的样例", "print an example of the answers"),             \
        FILE_OPTION("minutes", "PATH", false, false, "初始化记录写入 PATH.txt 与 PATH.json",                 \
                    "minutes go to PATH.txt and PATH.json")
#define OPTIONS_HOLDERS                                                                                      \
    FILE_OPTION("holder", "FILE", false, true, "未到场管理员的凭证文件,用来放入其密封分量",                  \
                "file of an administrator who is absent, to put the sealed share into"),                     \
        FILE_OPTION("shares", "DIR", false, false, "密封分量文件的目录", "folder for sealed shares")

const struct fn_verb fn_device_life_verbs[] = {
    {.path = "device init",
     .summary = {"初始化密码设备", "initialise the cryptographic device"},
     .details =
         {"在设备内生成根密钥与设备密钥对。多人共管:根密钥分成 n 份,密封给各管理员的凭证文件,每次启动须 m "
          "份到场。无人值守:根密钥由存储之外的密钥文件包裹,设备重启后自行开启;状态、日志与证据均注明。\n\n"
          "在终端上逐项询问;--answers 用文件回答。写出凭证文件(0600)与供签字的初始化记录。",
          "Makes the root and the device's key pair inside the device. Shared: the root is split into n shares, sealed to "
          "the administrators' files, and m of them open the device after each start. Unattended: a key file outside the "
          "store wraps the root and the device opens by itself; status, log and evidence say so.\n\n"
          "Asks at the terminal, or takes --answers. Writes the administrators' files (0600) and minutes for signature."},
     .permission = "device.init",
     .options = OPTIONS(OPTIONS_INIT),
     .run = run_init,
     .examples = "  fengni device init\n  fengni device init --answers-example > answers.yaml\n"
                 "  fengni device init --answers answers.yaml\n  fengni device init --unattended"},
    {.path = "device unlock",
     .summary = {"凭管理员分量开启设备", "open the device with administrators' shares"},
     .details =
         {"可一次给出多份,也可由各管理员先后各交一份;分量不足时以状态 1 退出并说明还缺几份。",
          "All at once, or each administrator in turn; exits with 1 while shares are missing and says how many."},
     .permission = "device.unlock",
     .options = OPTIONS(OPTIONS_QUORUM),
     .run = run_unlock,
     .examples = "  fengni device unlock --token zhang.fnat --token li.fnat --token wang.fnat"},
    {.path = "device admin list",
     .summary = {"管理员名单", "administrators"},
     .options = OPTIONS(),
     .run = run_list},
    {.path = "device admin add",
     .summary = {"增加管理员", "add an administrator"},
     .permission = "device.admin",
     .options =
         OPTIONS(TEXT_OPTION("name", "NAME", NULL, true, "姓名", "name"),
                 TEXT_OPTION("role", "super|business|audit|auditor|operator", NULL, true, "角色", "role"),
                 FILE_OPTION("out", "FILE", true, false, "新的凭证文件", "new administrator's file"),
                 OPTIONS_NEW, OPTIONS_LOGIN),
     .run = run_add},
    {.path = "device admin remove",
     .summary = {"移除管理员", "remove an administrator"},
     .details = {"其分量在重新分发之前仍然有效。", "The share stays in force until a reshare."},
     .permission = "device.admin",
     .options = OPTIONS(TEXT_OPTION("name", "NAME", NULL, true, "姓名", "name"), OPTIONS_LOGIN),
     .run = run_remove},
    {.path = "device admin passphrase",
     .summary = {"更换凭证文件的口令", "change the passphrase of an administrator's file"},
     .options = OPTIONS(FILE_OPTION("token", "FILE", true, false, "凭证文件", "administrator's file"),
                        OPTION_PASSPHRASES, OPTIONS_NEW),
     .run = run_passphrase},
    {.path = "device admin show",
     .operands = "FILE",
     .operands_least = 1,
     .operands_most = 1,
     .summary = {"凭证文件中不加密的内容:姓名、角色、分量标签",
                 "what stands in clear in an administrator's file"},
     .options = (const struct fn_option[]){{0}},
     .run = run_show},
    {.path = "device admin share",
     .summary = {"把密封分量放入凭证文件", "put a sealed share into an administrator's file"},
     .options = OPTIONS(FILE_OPTION("token", "FILE", true, false, "凭证文件", "administrator's file"),
                        FILE_OPTION("share", "FILE", true, false, "密封分量", "sealed share")),
     .run = run_share},
    {.path = "device reshare",
     .summary = {"更换根密钥并重新分发分量", "a new root, shared anew"},
     .details =
         {"须 m 位持有人到场,其中一位为超级管理员。新分量先写在 FILE.next,设备启用新根之后才替换旧文件;此后旧分量作废。",
          "m holders are present, one of them a super administrator. New shares are written to FILE.next first and take "
          "the place of the old files once the new root is in force; the old shares are void then."},
     .permission = "device.reshare",
     .options = OPTIONS(OPTIONS_QUORUM, OPTIONS_HOLDERS,
                        NUMBER_OPTION("needed", NULL, false, "开启所需分量数,默认不变",
                                      "shares that open the device, unchanged by default")),
     .run = run_reshare},
    {.path = "device backup create",
     .summary = {"备份可备份的密钥", "back up the keys that may be"},
     .details =
         {"备份用自己的密钥加密,该密钥按 m-of-n 分给备份持有人,与根分量无关。凭证文件只保留最近一次备份的分量;"
          "要能恢复更早的备份,用 --shares 另存。签名密钥按密钥表不备份。",
          "A backup has a key of its own, shared m-of-n among its holders, apart from the root. A file keeps the share "
          "of the latest backup alone; keep others with --shares. Signing keys are not copied: key Table 1."},
     .permission = "device.backup",
     .options = OPTIONS(TEXT_OPTION("name", "NAME", NULL, true, "备份文件名(设备目录 backup 下)",
                                    "name below the device's folder backup"),
                        FILE_OPTION("out", "FILE", false, false, "另存一份到 FILE", "a copy to FILE"),
                        NUMBER_OPTION("needed", "2", false, "恢复所需分量数", "shares that restore it"),
                        {"for",
                         0,
                         FN_OPTION_TEXT,
                         "NAME",
                         NULL,
                         false,
                         true,
                         {"持有人,默认全部管理员", "holder; all administrators by default"}},
                        FILE_OPTION("answers", "FILE", false, false, "设备没有管理员时,备份持有人的回答文件",
                                    "answers that name the holders when the device has no administrators"),
                        OPTIONS_QUORUM, OPTIONS_HOLDERS),
     .run = run_backup_create,
     .examples =
         "  fengni device backup create --name 2025-07 --out /media/backup/2025-07 --needed 2 --shares /media/shares \\\n"
         "      --token zhang.fnat --token li.fnat --token wang.fnat"},
    {.path = "device backup restore",
     .summary = {"把备份恢复到未初始化的设备", "restore a backup into a device that is not initialised"},
     .details =
         {"须备份持有人到场。设备得到原序列号、设备密钥对与备份中的密钥,根密钥与管理员是新的:用 --unattended、--answers 或终端问答给出。",
          "Holders of the backup are present. The device takes over serial number, pair and keys; root and administrators "
          "are new: --unattended, --answers or the terminal."},
     .permission = "device.backup",
     .options = OPTIONS(
         FILE_OPTION("in", "FILE", true, false, "备份文件", "backup"),
         FILE_OPTION("share", "FILE", false, true, "另存的密封分量", "sealed share that was kept apart"),
         OPTIONS_QUORUM, OPTIONS_INIT),
     .run = run_backup_restore},
    {0},
};
