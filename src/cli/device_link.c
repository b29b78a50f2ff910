/* The management socket, secrets, and files of administrators, for the verbs of the device. */
#include "base/sys/file.h"
#include "base/sys/json.h"
#include "base/sys/os_err.h"
#include "cli/device_cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define TIMEOUT_MS 600000 /* a passphrase costs a second of the device's time, and there may be many */

/* ---- the socket ---- */

fn_err fn_device_open(struct fn_client **client, const struct fn_call *call)
{
    FN_SCOPED_HEAP char *path = NULL;
    const char *given = fn_call_text(call, "management");
    if (given)
        FN_TRY(fn_heap_text(&path, given, strlen(given)));
    else
        FN_TRY(fn_heap_format(&path, "%s/run/management/device.sock", fn_call_instance(call)));
    return fn_client_open(client, &(struct fn_client_options){.socket = path, .timeout_ms = TIMEOUT_MS});
}

fn_err fn_device_operate(struct fn_client *client, uint16_t operation, struct fn_bytes item,
                         struct fn_buf *out)
{
    struct fn_client_response response = {0};
    FN_TRY(fn_client_call(client, 0, operation, 1, item, &response));
    struct fn_cur c = fn_cur(response.items);
    struct fn_bytes answer;
    fn_err err = fn_client_item_status(&c);
    if (!err) err = fn_cur_var(&c, FN_DEVICE_FRAME_MOST, &answer);
    if (!err) err = fn_cur_end(&c);
    if (!err) err = fn_buf_add(out, answer.p, answer.n);
    fn_client_response_free(&response);
    return err;
}

fn_err fn_device_manage(struct fn_client *client, const char *verb, struct fn_bytes request,
                        struct fn_buf *out)
{
    FN_SCOPED_BUF struct fn_buf item = fn_buf_secret();
    FN_TRY(fn_buf_var(&item, verb, strlen(verb)));
    FN_TRY(fn_buf_var(&item, request.p, request.n));
    return fn_device_operate(client, FN_OP_MANAGE, fn_buf_view(&item), out);
}

fn_err fn_device_ask(struct fn_client *client, const char *verb, const struct fn_buf *request,
                     json_t **answer)
{
    FN_SCOPED_BUF struct fn_buf out = fn_buf_secret();
    json_error_t error;
    FN_TRY(fn_device_manage(client, verb, request ? fn_buf_view(request) : FN_BYTES_LITERAL("{}"), &out));
    *answer = json_loadb((const char *)out.p, out.n, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(*answer)) return FN_OK;
    json_decref(*answer);
    *answer = NULL;
    return FN_FAIL(FN_E_FORMAT, "the device's answer at offset %d: %s", error.position, error.text);
}

const char *fn_json_text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- secrets ---- */

/* Not by stdio, whose buffer nobody wipes. */
fn_err fn_secret_from_file(const char *path, struct fn_buf *out)
{
    char line[FN_CLI_SECRETS];
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
    if (n > FN_CLI_SECRETS - 2)
        return FN_FAIL(FN_E_TOO_LARGE, "the line in %s has more than %u bytes", path, FN_CLI_SECRETS - 2);
    if (memchr(line, 0, n)) return FN_FAIL(FN_E_FORMAT, "%s has a NUL in its line", path);
    return fn_buf_add(out, line, n);
}

fn_err fn_secret_typed(const char *prompt, struct fn_buf *out)
{
    char *typed = getpass(prompt);
    if (!typed) return FN_FAIL(FN_E_IO, "no answer");
    fn_err err = fn_buf_add(out, typed, strlen(typed));
    fn_wipe(typed, strlen(typed));
    return err;
}

fn_err fn_line_typed(const char *prompt, char *out, size_t size)
{
    fputs(prompt, stderr);
    fflush(stderr);
    if (!fgets(out, (int)size, stdin)) return FN_FAIL(FN_E_IO, "no answer");
    size_t n = strlen(out);
    if (!n || out[n - 1] != '\n') return FN_FAIL(FN_E_TOO_LARGE, "a line of more than %zu bytes", size - 2);
    out[n - 1] = 0;
    if (n > 1 && out[n - 2] == '\r') out[n - 2] = 0;
    return FN_OK;
}

static fn_err phrase_made(struct fn_client *client, struct fn_buf *out)
{
    json_t *answer FN_SCOPED_JSON = NULL;
    FN_TRY(fn_device_ask(client, "phrase", NULL, &answer));
    const char *phrase = fn_json_text_of(answer, "phrase");
    if (!phrase) return FN_FAIL(FN_E_FORMAT, "the device's answer has no phrase");
    return fn_buf_add(out, phrase, strlen(phrase));
}

static fn_err phrase_to_file(struct fn_client *client, const char *path, struct fn_buf *out)
{
    FN_SCOPED_BUF struct fn_buf line = fn_buf_secret();
    FN_TRY(fn_file_reserve(path));
    fn_err err = phrase_made(client, out);
    if (!err) err = fn_buf_add(&line, out->p, out->n);
    if (!err) err = fn_buf_u8(&line, '\n');
    if (!err) err = fn_file_put(path, fn_buf_view(&line));
    if (err) unlink(path);
    return err;
}

static bool same(const struct fn_buf *a, const struct fn_buf *b)
{
    return a->n == b->n && fn_equal_ct(a->p, b->p, a->n);
}

/* Shown once: the line is taken off the screen before it is typed back. */
static fn_err phrase_shown(struct fn_client *client, const char *who, struct fn_buf *out)
{
    char line[8];
    FN_TRY(phrase_made(client, out));
    fprintf(stderr, "\n    %.*s\n\n", (int)out->n, (const char *)out->p);
    FN_TRY(fn_line_typed(FN_SAY("请抄写后按回车,口令随即从屏幕消失。",
                                "Write it down, then press Enter; it leaves the screen. "),
                         line, sizeof line));
    fputs("\033[A\033[2K\033[A\033[2K\033[A\033[2K", stderr);
    for (int tries = 0; tries < 3; tries++) {
        FN_SCOPED_BUF struct fn_buf again = fn_buf_secret();
        FN_SCOPED_HEAP char *prompt = NULL;
        FN_TRY(fn_heap_format(&prompt, FN_SAY("%s 请照抄件输入一遍:", "%s, type it from your note: "), who));
        FN_TRY(fn_secret_typed(prompt, &again));
        if (same(out, &again)) return FN_OK;
        fputs(FN_SAY("与生成的口令不一致。\n", "That is not the phrase.\n"), stderr);
    }
    return FN_FAIL(FN_E_PASSPHRASE, FN_SAY("%s 未能重复口令", "%s could not repeat the phrase"), who);
}

/* Characters, as the device counts them. */
static size_t characters(const struct fn_buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) n += (b->p[i] & 0xc0) != 0x80;
    return n;
}

static fn_err typed_twice(const char *who, struct fn_buf *out)
{
    FN_SCOPED_HEAP char *first = NULL, *second = NULL;
    FN_TRY(fn_heap_format(
        &first, FN_SAY("%s 的新口令(至少 14 个字符):", "New passphrase of %s (14 characters or more): "),
        who));
    FN_TRY(fn_heap_format(&second, FN_SAY("%s 再输入一遍:", "%s, once more: "), who));
    for (int tries = 0; tries < 5; tries++) {
        FN_SCOPED_BUF struct fn_buf again = fn_buf_secret();
        out->n = 0;
        FN_TRY(fn_secret_typed(first, out));
        if (characters(out) < 14) {
            fputs(FN_SAY("不足 14 个字符。\n", "Fewer than 14 characters.\n"), stderr);
            continue;
        }
        FN_TRY(fn_secret_typed(second, &again));
        if (same(out, &again)) return FN_OK;
        fputs(FN_SAY("两次输入不一致。\n", "The two differ.\n"), stderr);
    }
    return FN_FAIL(FN_E_PASSPHRASE_WEAK, "%s", who);
}

fn_err fn_secret_new(struct fn_client *client, const char *who, const char *file, const char *phrase_file,
                     struct fn_buf *out)
{
    char choice[16];
    if (file) return fn_secret_from_file(file, out);
    if (phrase_file) return phrase_to_file(client, phrase_file, out);
    if (!isatty(STDIN_FILENO))
        return FN_FAIL(FN_E_USAGE,
                       FN_SAY("没有终端时须用文件给出 %s 的新口令",
                              "without a terminal the new passphrase of %s comes from a file"),
                       who);
    FN_SCOPED_HEAP char *prompt = NULL;
    FN_TRY(fn_heap_format(&prompt,
                          FN_SAY("%s 的口令:1 自拟,2 由设备生成八词口令 [2] ",
                                 "Passphrase of %s: 1 your own, 2 eight words made by the device [2] "),
                          who));
    FN_TRY(fn_line_typed(prompt, choice, sizeof choice));
    return strcmp(choice, "1") ? phrase_shown(client, who, out) : typed_twice(who, out);
}

/* ---- files ---- */

fn_err fn_file_reserve(const char *path)
{
    const struct fn_files *files = fn_files_real();
    int handle;
    FN_TRY(files->open(files, path, FN_FILE_WRITE | FN_FILE_CREATE | FN_FILE_EXCLUSIVE, 0600, &handle));
    return files->close(files, handle);
}

fn_err fn_file_put(const char *path, struct fn_bytes content)
{
    return fn_files_replace(fn_files_real(), path, content, 0600);
}

fn_err fn_file_put_base64(const char *path, const char *base64)
{
    FN_SCOPED_BUF struct fn_buf bytes = fn_buf_heap();
    size_t n = strlen(base64);
    uint8_t *where;
    FN_TRY(fn_buf_reserve(&bytes, n, &where));
    FN_TRY(fn_base64_decode(where, n, &bytes.n, base64, n));
    return fn_file_put(path, fn_buf_view(&bytes));
}

fn_err fn_json_pair_base64(struct fn_buf *b, const char *key, struct fn_bytes bytes)
{
    FN_SCOPED_HEAP char *text = NULL;
    FN_TRY(fn_heap_array(&text, FN_BASE64_SIZE(bytes.n) + 1, 1));
    fn_base64_encode(text, bytes.p, bytes.n);
    return fn_json_pair(b, key, text);
}

/* ---- administrators' files ---- */

/* Nothing proves a name before its file is opened, and it goes to the terminal. */
static fn_err name_check(struct fn_bytes name)
{
    size_t bad;
    if (!name.n || !fn_utf8_valid(name, &bad)) return FN_FAIL(FN_E_FORMAT, "name");
    for (size_t i = 0; i < name.n; i++) {
        bool c1 = name.p[i] == 0xc2 && i + 1 < name.n && name.p[i + 1] < 0xa0;
        if (name.p[i] < 0x20 || name.p[i] == 0x7f || c1)
            return FN_FAIL(FN_E_FORMAT, "control character in the name");
    }
    return FN_OK;
}

/* The head, in clear: 'FNAT', version, method, iterations, salt, nonce, role, two public keys, name. */
static fn_err read_head(struct fn_cur *c, uint8_t *role, char name[FN_CLI_NAME + 1])
{
    struct fn_bytes magic, skip, text;
    FN_TRY(fn_cur_take(c, 6, &magic));
    if (memcmp(magic.p, "FNAT\1\1", 6)) return FN_FAIL(FN_E_FORMAT, "not FNAT, version 1");
    FN_TRY(fn_cur_take(c, 32, &skip));
    FN_TRY(fn_cur_u8(c, role));
    FN_TRY(fn_cur_take(c, 128, &skip));
    FN_TRY(fn_cur_var(c, FN_CLI_NAME, &text));
    FN_TRY(name_check(text));
    memcpy(name, text.p, text.n);
    name[text.n] = 0;
    return FN_OK;
}

static fn_err not_a_token(fn_err err, const char *path)
{
    return err == FN_OK ? FN_OK
                        : FN_WRAP(FN_E_FORMAT,
                                  FN_SAY("%s 不是管理员凭证文件", "%s is not an administrator's file"), path);
}

/* The label of a sealed share: 'FNSS', version, kind, serial, set, generation, x. */
static fn_err read_label(struct fn_cur *c, json_t *shares)
{
    struct fn_bytes sealed, head, serial;
    struct fn_uuid set;
    char uuid[FN_UUID_TEXT + 1];
    uint8_t kind, x;
    uint32_t generation;
    FN_TRY(fn_cur_var(c, FN_CLI_TOKEN, &sealed));
    struct fn_cur s = fn_cur(sealed);
    FN_TRY(fn_cur_take(&s, 5, &head));
    FN_TRY(fn_cur_u8(&s, &kind));
    FN_TRY(fn_cur_take(&s, 16, &serial));
    FN_TRY(fn_cur_copy(&s, set.b, 16));
    FN_TRY(fn_cur_u32(&s, &generation));
    FN_TRY(fn_cur_u8(&s, &x));
    if (memcmp(head.p, "FNSS\1", 5)) return FN_FAIL(FN_E_FORMAT, "not FNSS, version 1");
    fn_uuid_format(uuid, &set);
    json_t *label = json_pack("{s:s, s:s%, s:s, s:I, s:i}", "kind", kind == 1 ? "root" : "backup", "serial",
                              (const char *)serial.p, (size_t)16, "set", uuid, "generation",
                              (json_int_t)generation, "x", x);
    if (!label) return FN_FAIL(FN_E_FORMAT, "label of a share");
    json_array_append_new(shares, label);
    return FN_OK;
}

static fn_err describe(struct fn_bytes file, json_t **out)
{
    static const char *const roles[] = {"", "super", "business", "audit", "auditor", "operator"};
    struct fn_cur c = fn_cur(file);
    char name[FN_CLI_NAME + 1];
    uint8_t role, count;
    struct fn_bytes body;
    FN_TRY(read_head(&c, &role, name));
    FN_TRY(fn_cur_take(&c, 64 + 16, &body));
    FN_TRY(fn_cur_u8(&c, &count));
    json_t *shares FN_SCOPED_JSON = json_array();
    for (unsigned i = 0; i < count; i++) FN_TRY(read_label(&c, shares));
    FN_TRY(fn_cur_end(&c));
    *out = json_pack("{s:s, s:s, s:O}", "name", name, "role", role < FN_COUNT(roles) ? roles[role] : "",
                     "shares", shares);
    return *out ? FN_OK : FN_FAIL(FN_E_FORMAT, "name of the holder");
}

fn_err fn_cli_token_describe(struct fn_bytes file, const char *path, json_t **out)
{
    return not_a_token(describe(file, out), path);
}

static fn_err token_head(struct fn_cli_token *t)
{
    struct fn_cur c = fn_cur(fn_buf_view(&t->file));
    return not_a_token(read_head(&c, &t->role, t->name), t->path);
}

fn_err fn_cli_tokens_read(struct fn_cli_tokens *tokens, const struct fn_call *call, const char *option)
{
    const char *path;
    for (size_t i = 0; (path = fn_call_text_at(call, option, i)); i++) {
        if (tokens->count == FN_CLI_TOKENS) return FN_FAIL(FN_E_USAGE, "more than %u files", FN_CLI_TOKENS);
        struct fn_cli_token *t = &tokens->list[tokens->count++];
        *t = (struct fn_cli_token){.path = path, .file = fn_buf_heap(), .passphrase = fn_buf_secret()};
        FN_TRY(fn_files_read_all(fn_files_real(), path, FN_CLI_TOKEN, &t->file));
        FN_TRY(token_head(t));
        for (size_t k = 0; k + 1 < tokens->count; k++)
            if (!strcmp(tokens->list[k].name, t->name))
                return FN_FAIL(
                    FN_E_USAGE,
                    FN_SAY("%s 与 %s 属于同一管理员 %s", "%s and %s belong to the same administrator %s"),
                    tokens->list[k].path, path, t->name);
    }
    if (!strcmp(option, "token")) tokens->present = tokens->count;
    return FN_OK;
}

void fn_cli_tokens_free(struct fn_cli_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++) {
        fn_buf_free(&tokens->list[i].file);
        fn_buf_free(&tokens->list[i].passphrase);
    }
    tokens->count = 0;
}

fn_err fn_cli_token_passphrase(struct fn_cli_token *token, const struct fn_call *call, size_t i)
{
    if (token->passphrase.n) return FN_OK;
    const char *file = fn_call_text_at(call, "passphrase-file", i);
    if (file) return fn_secret_from_file(file, &token->passphrase);
    if (!isatty(STDIN_FILENO))
        return FN_FAIL(FN_E_USAGE,
                       FN_SAY("没有终端时须用 --passphrase-file 给出 %s 的口令",
                              "without a terminal the passphrase of %s comes from --passphrase-file"),
                       token->name);
    FN_SCOPED_HEAP char *prompt = NULL;
    FN_TRY(fn_heap_format(&prompt, FN_SAY("%s 的口令:", "Passphrase of %s: "), token->name));
    return fn_secret_typed(prompt, &token->passphrase);
}

fn_err fn_cli_token_json(struct fn_buf *b, const struct fn_cli_token *token)
{
    FN_TRY(fn_json_pair_base64(b, "token", fn_buf_view(&token->file)));
    FN_TRY(fn_json_key(b, "passphrase"));
    return fn_json_text(b, (const char *)token->passphrase.p, token->passphrase.n);
}

fn_err fn_cli_tokens_json(struct fn_buf *b, struct fn_cli_tokens *tokens, const struct fn_call *call)
{
    FN_TRY(fn_json_key(b, "tokens"));
    FN_TRY(fn_buf_u8(b, '['));
    for (size_t i = 0; i < tokens->present; i++) {
        FN_TRY(fn_cli_token_passphrase(&tokens->list[i], call, i));
        FN_TRY(fn_buf_text(b, i ? ",{" : "{"));
        FN_TRY(fn_cli_token_json(b, &tokens->list[i]));
        FN_TRY(fn_buf_u8(b, '}'));
    }
    return fn_buf_u8(b, ']');
}

fn_err fn_device_login(struct fn_client *client, struct fn_cli_tokens *tokens, const struct fn_call *call)
{
    FN_SCOPED_BUF struct fn_buf request = fn_buf_secret();
    json_t *answer FN_SCOPED_JSON = NULL;
    size_t who = 0;
    if (!tokens->present) return FN_OK;
    for (size_t i = 0; i < tokens->present && tokens->list[who].role != FN_CLI_SUPER; i++)
        if (tokens->list[i].role == FN_CLI_SUPER) who = i;
    FN_TRY(fn_cli_token_passphrase(&tokens->list[who], call, who));
    FN_TRY(fn_buf_u8(&request, '{'));
    FN_TRY(fn_json_pair(&request, "name", tokens->list[who].name));
    FN_TRY(fn_cli_token_json(&request, &tokens->list[who]));
    FN_TRY(fn_buf_u8(&request, '}'));
    fn_err err = fn_device_ask(client, "login", &request, &answer);
    return err ? FN_WRAP(err, FN_SAY("%s 未能登录", "login of %s"), tokens->list[who].name) : FN_OK;
}

fn_err fn_device_login_hint(fn_err err, const struct fn_cli_tokens *tokens)
{
    if (err != FN_E_DEVICE_LOGIN || tokens->present) return err;
    return FN_WRAP(
        err, FN_SAY("请用 --token FILE 给出管理员凭证文件", "name an administrator's file: --token FILE"));
}

struct fn_cli_token *fn_cli_token_of(struct fn_cli_tokens *tokens, const char *name)
{
    for (size_t i = 0; i < tokens->count; i++)
        if (!strcmp(tokens->list[i].name, name)) return &tokens->list[i];
    return NULL;
}

/* ---- shares handed out to registered administrators ---- */

fn_err fn_cli_token_put(struct fn_client *client, struct fn_cli_token *token, const char *share_base64)
{
    FN_SCOPED_BUF struct fn_buf request = fn_buf_heap();
    json_t *answer FN_SCOPED_JSON = NULL;
    FN_TRY(fn_buf_u8(&request, '{'));
    FN_TRY(fn_json_pair_base64(&request, "token", fn_buf_view(&token->file)));
    FN_TRY(fn_json_pair(&request, "share", share_base64));
    FN_TRY(fn_buf_u8(&request, '}'));
    FN_TRY(fn_device_ask(client, "token.put", &request, &answer));
    const char *text = fn_json_text_of(answer, "token");
    uint8_t *where;
    if (!text) return FN_FAIL(FN_E_FORMAT, "the device's answer has no token");
    token->file.n = 0;
    FN_TRY(fn_buf_reserve(&token->file, strlen(text), &where));
    return fn_base64_decode(where, strlen(text), &token->file.n, text, strlen(text));
}

static fn_err keep_one(struct fn_client *client, const json_t *entry, struct fn_cli_tokens *tokens,
                       const char *suffix, const char *dir, const char *tail, json_t *report)
{
    const char *name = fn_json_text_of(entry, "name"), *share = fn_json_text_of(entry, "share");
    FN_SCOPED_HEAP char *path = NULL;
    if (!name || !share) return FN_OK; /* holds none */
    struct fn_cli_token *token = fn_cli_token_of(tokens, name);
    if (token) {
        FN_TRY(fn_heap_format(&path, "%s%s", token->path, suffix));
        FN_TRY(fn_cli_token_put(client, token, share));
        FN_TRY(fn_file_put(path, fn_buf_view(&token->file)));
        json_array_append_new(report, json_pack("{s:s, s:s}", "name", name, "token", token->path));
    }
    if (!dir)
        return token ? FN_OK
                     : FN_FAIL(FN_E_USAGE,
                               FN_SAY("%s 的分量无处可放:--shares DIR",
                                      "nowhere to put the share of %s: --shares DIR"),
                               name);
    if (token && !*tail) return FN_OK;
    free(FN_RELEASE(path));
    FN_TRY(fn_heap_format(&path, "%s/%s%s.share", dir, name, tail));
    if (strchr(name, '/')) return FN_FAIL(FN_E_ARGUMENT, "%s is no name of a file", name);
    FN_TRY(fn_file_put_base64(path, share));
    json_array_append_new(report, json_pack("{s:s, s:s}", "name", name, "share", path));
    return FN_OK;
}

fn_err fn_shares_keep(struct fn_client *client, const json_t *answer, struct fn_cli_tokens *tokens,
                      const char *suffix, const char *dir, const char *tail, json_t *report)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(answer, "tokens"), i, entry)
        FN_TRY(keep_one(client, entry, tokens, suffix, dir, tail, report));
    return FN_OK;
}

const char *fn_role_text(const char *role)
{
    static const struct {
        const char *name;
        struct fn_text text;
    } roles[] = {{"super", {"超级管理员", "super administrator"}},
                 {"business", {"业务管理员", "business administrator"}},
                 {"audit", {"审计管理员", "audit administrator"}},
                 {"auditor", {"审计员", "auditor"}},
                 {"operator", {"操作员", "operator"}}};
    for (size_t i = 0; role && i < FN_COUNT(roles); i++)
        if (!strcmp(roles[i].name, role)) return fn_say(roles[i].text);
    return role ? role : "-";
}
