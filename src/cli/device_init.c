/* `fengni device init`: a wizard or a file of answers becomes one request to the device, whose answer becomes
 * administrators' files and the minutes for signature on paper (GM/T 0030 5.1). */
#include "base/core/clock.h"
#include "base/sys/file.h"
#include "base/sys/json.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include "cli/device_cli.h"

#include <pwd.h>
#include <string.h>
#include <yaml.h>

#define ANSWERS_MOST 65536
#define DEPTH_MOST   6
#define HOST_MOST    65

/* ---- answers: YAML, of which JSON is a part, as one JSON value ---- */

struct fn_answers {
    json_t *root;
    char *reserved[2 * FN_CLI_TOKENS + 4];
    bool kept[2 * FN_CLI_TOKENS + 4];
    size_t reserved_count;
};

static fn_err bad_place(const char *path, yaml_mark_t at, const char *what)
{
    return FN_FAIL(FN_E_CONFIG, "%s:%zu:%zu: %s", path, at.line + 1, at.column + 1, what);
}

static json_t *scalar(const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && !strcmp(text, "true")) return json_true();
    if (plain && !strcmp(text, "false")) return json_false();
    if (plain && *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 16)
        return json_integer(strtoll(text, NULL, 10));
    return json_stringn(text, e->data.scalar.length);
}

struct yaml {
    const char *path;
    yaml_parser_t parser;
    yaml_event_t event;
};

static fn_err yaml_next(struct yaml *y)
{
    yaml_event_delete(&y->event);
    if (yaml_parser_parse(&y->parser, &y->event)) return FN_OK;
    return bad_place(y->path, y->parser.problem_mark, y->parser.problem ? y->parser.problem : "not YAML");
}

static fn_err yaml_value(struct yaml *y, int depth, json_t **out);

static fn_err yaml_mapping(struct yaml *y, int depth, json_t *map)
{
    for (;;) {
        FN_TRY(yaml_next(y));
        if (y->event.type == YAML_MAPPING_END_EVENT) return FN_OK;
        if (y->event.type != YAML_SCALAR_EVENT)
            return bad_place(y->path, y->event.start_mark, "a name is wanted");
        yaml_mark_t at = y->event.start_mark;
        FN_SCOPED_HEAP char *name = NULL;
        json_t *value;
        FN_TRY(fn_heap_format(&name, "%s", (const char *)y->event.data.scalar.value));
        if (json_object_get(map, name)) return bad_place(y->path, at, "this name stands here a second time");
        FN_TRY(yaml_next(y));
        FN_TRY(yaml_value(y, depth + 1, &value));
        if (json_object_set_new(map, name, value)) return bad_place(y->path, at, "a name that is not UTF-8");
    }
}

static fn_err yaml_list(struct yaml *y, int depth, json_t *list)
{
    for (;;) {
        json_t *value;
        FN_TRY(yaml_next(y));
        if (y->event.type == YAML_SEQUENCE_END_EVENT) return FN_OK;
        FN_TRY(yaml_value(y, depth + 1, &value));
        json_array_append_new(list, value);
    }
}

static fn_err yaml_value(struct yaml *y, int depth, json_t **out)
{
    yaml_mark_t at = y->event.start_mark;
    if (depth > DEPTH_MOST) return bad_place(y->path, at, "too deep");
    *out = NULL;
    fn_err err = FN_OK;
    if (y->event.type == YAML_SCALAR_EVENT && !y->event.data.scalar.anchor && !y->event.data.scalar.tag)
        *out = scalar(&y->event);
    else if (y->event.type == YAML_MAPPING_START_EVENT && !y->event.data.mapping_start.anchor)
        err = yaml_mapping(y, depth, *out = json_object());
    else if (y->event.type == YAML_SEQUENCE_START_EVENT && !y->event.data.sequence_start.anchor)
        err = yaml_list(y, depth, *out = json_array());
    if (err) {
        json_decref(*out);
        *out = NULL;
        return err;
    }
    return *out ? FN_OK : bad_place(y->path, at, "a value without anchors, aliases and tags is wanted");
}

static fn_err yaml_document(struct yaml *y, json_t **root)
{
    FN_TRY(yaml_next(y)); /* stream start */
    FN_TRY(yaml_next(y));
    if (y->event.type != YAML_DOCUMENT_START_EVENT) return bad_place(y->path, y->event.start_mark, "empty");
    FN_TRY(yaml_next(y));
    FN_TRY(yaml_value(y, 0, root));
    FN_TRY(yaml_next(y)); /* document end */
    FN_TRY(yaml_next(y));
    if (y->event.type == YAML_STREAM_END_EVENT) return FN_OK;
    return bad_place(y->path, y->event.start_mark, "a second document in the same file");
}

/* Members of an object and what they must be; a name that is not here is an error, not a surprise later. */
struct member {
    const char *name;
    json_type type;
    bool required;
};

static fn_err members_check(const json_t *object, const struct member *members, const char *where)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object)) return FN_FAIL(FN_E_CONFIG, "%s: names and values are wanted", where);
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        const struct member *m = members;
        while (m->name && strcmp(m->name, name)) m++;
        if (!m->name) return FN_FAIL(FN_E_CONFIG, "%s: \"%s\" is not known here", where, name);
        bool fits = m->type == JSON_TRUE ? json_is_boolean(value) : json_typeof(value) == m->type;
        if (!fits) return FN_FAIL(FN_E_CONFIG, "%s: \"%s\" has a value of another kind", where, name);
    }
    for (; members->name; members++)
        if (members->required && !json_object_get(object, members->name))
            return FN_FAIL(FN_E_CONFIG, "%s: \"%s\" is missing", where, members->name);
    return FN_OK;
}

static fn_err answers_check(json_t *root)
{
    static const struct member top[] = {
        {"mode", JSON_STRING, true},     {"needed", JSON_INTEGER, false},
        {"minutes", JSON_STRING, false}, {"administrators", JSON_ARRAY, false},
        {"clients", JSON_ARRAY, false},  {0}};
    static const struct member person[] = {
        {"name", JSON_STRING, true},         {"role", JSON_STRING, true},
        {"token", JSON_STRING, true},        {"passphrase_file", JSON_STRING, false},
        {"phrase_file", JSON_STRING, false}, {0}};
    static const struct member client[] = {{"uid", JSON_INTEGER, true},
                                           {"tenant", JSON_STRING, false},
                                           {"application", JSON_STRING, true},
                                           {"test", JSON_TRUE, false},
                                           {0}};
    size_t i;
    json_t *entry;
    FN_TRY(members_check(root, top, "answers"));
    const char *mode = fn_json_text_of(root, "mode");
    bool shares = !strcmp(mode, "shares");
    if (!shares && strcmp(mode, "unattended"))
        return FN_FAIL(FN_E_CONFIG, "mode %s: shares or unattended", mode);
    json_t *persons = json_object_get(root, "administrators");
    if (shares && (!json_array_size(persons) || !json_object_get(root, "needed")))
        return FN_FAIL(FN_E_CONFIG, "mode shares: \"administrators\" and \"needed\" are missing");
    if (json_array_size(persons) > FN_CLI_TOKENS)
        return FN_FAIL(FN_E_CONFIG, "more than %u administrators", FN_CLI_TOKENS);
    json_array_foreach(persons, i, entry) FN_TRY(members_check(entry, person, "administrators"));
    json_array_foreach(json_object_get(root, "clients"), i, entry)
        FN_TRY(members_check(entry, client, "clients"));
    return FN_OK;
}

static fn_err answers_of(struct fn_answers **answers, json_t *root)
{
    FN_TRY(fn_heap_array(answers, 1, sizeof **answers));
    (*answers)->root = root;
    return answers_check(root);
}

fn_err fn_answers_read(struct fn_answers **answers, const char *path)
{
    FN_SCOPED_BUF struct fn_buf content = fn_buf_heap();
    struct yaml y = {.path = path};
    json_t *root = NULL;
    FN_TRY(fn_files_read_all(fn_files_real(), path, ANSWERS_MOST, &content));
    if (!yaml_parser_initialize(&y.parser)) return FN_FAIL(FN_E_NO_MEMORY, "YAML parser");
    yaml_parser_set_input_string(&y.parser, content.p ? content.p : (const uint8_t *)"", content.n);
    fn_err err = yaml_document(&y, &root);
    yaml_event_delete(&y.event);
    yaml_parser_delete(&y.parser);
    if (err) json_decref(root);
    FN_TRY(err);
    err = answers_of(answers, root);
    return err ? FN_WRAP(err, "%s", path) : FN_OK;
}

void fn_answers_free(struct fn_answers *answers)
{
    if (!answers) return;
    for (size_t i = 0; i < answers->reserved_count; i++) {
        if (!answers->kept[i]) unlink(answers->reserved[i]);
        free(answers->reserved[i]);
    }
    json_decref(answers->root);
    free(answers);
}

static fn_err note(struct fn_answers *a, const char *path, bool make)
{
    if (a->reserved_count == FN_COUNT(a->reserved)) return FN_FAIL(FN_E_INTERNAL, "reserved files");
    if (make) FN_TRY(fn_file_reserve(path));
    FN_TRY(fn_heap_text(&a->reserved[a->reserved_count], path, strlen(path)));
    a->reserved_count++;
    return FN_OK;
}

static void keep(struct fn_answers *a, const char *path)
{
    for (size_t i = 0; i < a->reserved_count; i++)
        if (!strcmp(a->reserved[i], path)) a->kept[i] = true;
}

static fn_err person_json(struct fn_answers *a, struct fn_client *client, const json_t *person,
                          struct fn_buf *request)
{
    FN_SCOPED_BUF struct fn_buf passphrase = fn_buf_secret();
    const char *name = fn_json_text_of(person, "name"), *phrase = fn_json_text_of(person, "phrase_file");
    FN_TRY(fn_secret_new(client, name, fn_json_text_of(person, "passphrase_file"), phrase, &passphrase));
    if (phrase && !fn_json_text_of(person, "passphrase_file")) FN_TRY(note(a, phrase, false));
    FN_TRY(fn_buf_u8(request, '{'));
    FN_TRY(fn_json_pair(request, "name", name));
    FN_TRY(fn_json_pair(request, "role", fn_json_text_of(person, "role")));
    FN_TRY(fn_json_key(request, "passphrase"));
    FN_TRY(fn_json_text(request, (const char *)passphrase.p, passphrase.n));
    return fn_buf_u8(request, '}');
}

fn_err fn_answers_administrators(struct fn_answers *answers, struct fn_client *client, struct fn_buf *request)
{
    json_t *persons = json_object_get(answers->root, "administrators"), *person;
    size_t i;
    json_array_foreach(persons, i, person) FN_TRY(note(answers, fn_json_text_of(person, "token"), true));
    FN_TRY(fn_json_key(request, "administrators"));
    FN_TRY(fn_buf_u8(request, '['));
    json_array_foreach(persons, i, person)
    {
        if (i) FN_TRY(fn_buf_u8(request, ','));
        FN_TRY(person_json(answers, client, person, request));
    }
    FN_TRY(fn_buf_u8(request, ']'));
    json_t *needed = json_object_get(answers->root, "needed");
    return needed ? fn_json_pair_number(request, "needed", json_integer_value(needed)) : FN_OK;
}

static const char *path_of(const struct fn_answers *answers, const char *name)
{
    size_t i;
    json_t *person;
    json_array_foreach(
        json_object_get(answers->root, "administrators"), i,
        person) if (!strcmp(fn_json_text_of(person, "name"), name)) return fn_json_text_of(person, "token");
    return NULL;
}

/* One administrator: the file, and what the minutes say of it. */
static fn_err token_write(struct fn_answers *answers, const json_t *entry, json_t *report)
{
    FN_SCOPED_BUF struct fn_buf bytes = fn_buf_heap();
    const char *name = fn_json_text_of(entry, "name"), *text = fn_json_text_of(entry, "token");
    const char *path = name ? path_of(answers, name) : NULL;
    json_t *about = NULL;
    uint8_t *where;
    if (!path || !text) return FN_FAIL(FN_E_FORMAT, "the device's answer names %s", name ? name : "nobody");
    FN_TRY(fn_buf_reserve(&bytes, strlen(text), &where));
    FN_TRY(fn_base64_decode(where, strlen(text), &bytes.n, text, strlen(text)));
    FN_TRY(fn_file_put(path, fn_buf_view(&bytes)));
    keep(answers, path);
    FN_TRY(fn_cli_token_describe(fn_buf_view(&bytes), path, &about));
    json_object_set_new(about, "token", json_string(path));
    json_array_append_new(report, about);
    return FN_OK;
}

fn_err fn_answers_tokens(struct fn_answers *answers, const json_t *answer, json_t *report)
{
    size_t i;
    json_t *entry;
    fn_err first = FN_OK;
    /* A file that cannot be written is no reason to lose the others. */
    json_array_foreach(json_object_get(answer, "tokens"), i, entry)
    {
        fn_err err = token_write(answers, entry, report);
        if (!first) first = err;
    }
    for (size_t k = 0; k < answers->reserved_count; k++) {
        const char *path = answers->reserved[k];
        size_t n;
        json_t *person;
        json_array_foreach(json_object_get(answers->root, "administrators"), n, person)
        {
            const char *phrase = fn_json_text_of(person, "phrase_file");
            if (phrase && !strcmp(phrase, path)) answers->kept[k] = true;
        }
    }
    return first;
}

/* ---- the wizard ---- */

static fn_err choose(const char *prompt, long least, long most, long fallback, long *out)
{
    for (;;) {
        char line[32], *end;
        FN_TRY(fn_line_typed(prompt, line, sizeof line));
        *out = line[0] ? strtol(line, &end, 10) : fallback;
        if (*out >= least && *out <= most && (!line[0] || !*end)) return FN_OK;
        fprintf(stderr, FN_SAY("请输入 %ld 到 %ld。\n", "A number from %ld to %ld.\n"), least, most);
    }
}

static fn_err wizard_person(size_t number, json_t *persons, size_t *holders, bool *last)
{
    static const char *const roles[] = {"super", "business", "audit", "auditor", "operator"};
    char name[FN_CLI_NAME + 2], path[512];
    FN_SCOPED_HEAP char *prompt = NULL, *proposed = NULL, *where = NULL;
    long role;
    FN_TRY(fn_heap_format(
        &prompt, FN_SAY("第 %zu 位管理员姓名(空行结束):", "Name of administrator %zu (empty: no more): "),
        number));
    FN_TRY(fn_line_typed(prompt, name, sizeof name));
    *last = !name[0];
    if (*last) return FN_OK;
    fputs(
        FN_SAY(
            "角色:1 超级管理员(持分量),2 业务管理员(持分量),3 审计管理员,4 审计员,5 操作员\n",
            "Roles: 1 super (holds a share), 2 business (holds a share), 3 audit administrator, 4 auditor, 5 operator\n"),
        stderr);
    FN_TRY(choose(FN_SAY("角色 [1] ", "role [1] "), 1, 5, 1, &role));
    FN_TRY(fn_heap_format(&proposed, "%s.fnat", name));
    FN_TRY(fn_heap_format(&where, FN_SAY("凭证文件 [%s] ", "file [%s] "), proposed));
    FN_TRY(fn_line_typed(where, path, sizeof path));
    *holders += role <= 2;
    json_t *person = json_pack("{s:s, s:s, s:s}", "name", name, "role", roles[role - 1], "token",
                               path[0] ? path : proposed);
    if (!person) return FN_FAIL(FN_E_ENCODING, "name or path");
    json_array_append_new(persons, person);
    return FN_OK;
}

static fn_err wizard_shares(json_t *root)
{
    json_t *persons = json_array();
    size_t holders = 0;
    bool last = false;
    long needed;
    json_object_set_new(root, "administrators", persons);
    while (!last || holders < 2) {
        if (last)
            fputs(FN_SAY("至少两位超级或业务管理员持有分量。\n",
                         "At least two super or business administrators hold shares.\n"),
                  stderr);
        FN_TRY(wizard_person(json_array_size(persons) + 1, persons, &holders, &last));
    }
    FN_SCOPED_HEAP char *prompt = NULL;
    long proposed = (long)holders / 2 + 1;
    FN_TRY(fn_heap_format(
        &prompt,
        FN_SAY("%zu 份分量中须几份到场才能开启 [%ld] ", "Of %zu shares, how many open the device [%ld] "),
        holders, proposed));
    FN_TRY(choose(prompt, 2, (long)holders, proposed, &needed));
    json_object_set_new(root, "needed", json_integer(needed));
    return FN_OK;
}

static fn_err wizard(struct fn_answers **answers)
{
    json_t *root = json_object();
    long mode;
    fputs(
        FN_SAY(
            "密码设备初始化\n  1 多人共管:每次启动须有 m 位管理员到场开启\n  2 无人值守:根密钥由存储之外的密钥文件保护,自行开启\n",
            "Initialising the device\n  1 shared: after each start m administrators open it\n  2 unattended: a key file outside the store opens it\n"),
        stderr);
    fn_err err = choose(FN_SAY("开启方式 [1] ", "way of opening [1] "), 1, 2, 1, &mode);
    json_object_set_new(root, "mode", json_string(mode == 2 ? "unattended" : "shares"));
    if (!err && mode == 1) err = wizard_shares(root);
    if (err) json_decref(root);
    return err ? err : answers_of(answers, root);
}

/* ---- the minutes ---- */

static fn_err text_line(struct fn_buf *b, struct fn_text label, const char *value)
{
    return fn_buf_format(b, "%s%s%s\n", fn_say(label), FN_SAY(":", ": "), value ? value : "-");
}

static fn_err minutes_person(struct fn_buf *b, const json_t *person, const char *kind)
{
    char numbers[80] = "-";
    size_t i;
    json_t *share;
    json_array_foreach(json_object_get(person, "shares"), i,
                       share) if (!strcmp(fn_json_text_of(share, "kind"), kind))
        fn_format(numbers, sizeof numbers, FN_SAY("第 %d 份(第 %d 代)", "no. %d (generation %d)"),
                  (int)json_integer_value(json_object_get(share, "x")),
                  (int)json_integer_value(json_object_get(share, "generation")));
    FN_TRY(fn_buf_format(b, FN_SAY("  %s  %s  分量:%s  凭证文件:%s\n", "  %s  %s  share: %s  file: %s\n"),
                         fn_json_text_of(person, "name"), fn_role_text(fn_json_text_of(person, "role")),
                         numbers, fn_json_text_of(person, "token")));
    return fn_buf_text(b, FN_SAY("    签字:________________  日期:________________\n\n",
                                 "    signature: ________________  date: ________________\n\n"));
}

static const char *share_set(const json_t *minutes)
{
    size_t i;
    json_t *person;
    json_array_foreach(json_object_get(minutes, "administrators"), i, person)
    {
        const json_t *first = json_array_get(json_object_get(person, "shares"), 0);
        if (first) return fn_json_text_of(first, "set");
    }
    return NULL;
}

static fn_err minutes_shares(struct fn_buf *b, const json_t *minutes)
{
    size_t i;
    json_t *person;
    FN_TRY(fn_buf_format(
        b,
        FN_SAY("开启方式:多人共管,%d 份分量中任意 %d 份\n", "way of opening: shared; of %d shares any %d\n"),
        (int)json_integer_value(json_object_get(minutes, "shares_of")),
        (int)json_integer_value(json_object_get(minutes, "shares_needed"))));
    FN_TRY(text_line(b, (struct fn_text){"分量组", "set of shares"}, share_set(minutes)));
    FN_TRY(fn_buf_text(b, FN_SAY("\n管理员\n", "\nAdministrators\n")));
    json_array_foreach(json_object_get(minutes, "administrators"), i, person)
        FN_TRY(minutes_person(b, person, "root"));
    return FN_OK;
}

static fn_err minutes_text(struct fn_buf *b, const json_t *m)
{
    bool weak = !strcmp(fn_json_text_of(m, "separation") ? fn_json_text_of(m, "separation") : "", "weak");
    FN_TRY(fn_buf_text(b, FN_SAY("密码设备初始化记录(会议纪要)\n\n",
                                 "Minutes of the initialisation of a cryptographic device\n\n")));
    if (fn_json_text_of(m, "restored_from"))
        FN_TRY(text_line(b, (struct fn_text){"由备份恢复", "restored from the backup"},
                         fn_json_text_of(m, "restored_from")));
    FN_TRY(text_line(b, (struct fn_text){"设备序列号", "serial number of the device"},
                     fn_json_text_of(m, "serial")));
    FN_TRY(text_line(b, (struct fn_text){"时间(UTC)", "time (UTC)"}, fn_json_text_of(m, "time")));
    FN_TRY(text_line(b, (struct fn_text){"北京时间", "Beijing time"}, fn_json_text_of(m, "time_beijing")));
    FN_TRY(text_line(b, (struct fn_text){"主机", "host"}, fn_json_text_of(m, "host")));
    FN_TRY(text_line(b, (struct fn_text){"操作人(系统用户)", "done by (system user)"},
                     fn_json_text_of(m, "operator")));
    FN_TRY(text_line(b, (struct fn_text){"随机源", "random sources"}, fn_json_text_of(m, "random_sources")));
    FN_TRY(text_line(
        b, (struct fn_text){"进程隔离", "separation of processes"},
        weak ? FN_SAY("弱(各部件共用一个系统用户)", "weak (all parts share one system user)")
             : FN_SAY("强(每个部件有自己的系统用户)", "strong (each part has a system user of its own)")));
    FN_TRY(text_line(b, (struct fn_text){"设备签名公钥", "device's signing public key"},
                     fn_json_text_of(m, "device_public")));
    FN_TRY(text_line(b, (struct fn_text){"设备加密公钥", "device's encryption public key"},
                     fn_json_text_of(m, "device_public_encrypt")));
    if (json_is_true(json_object_get(m, "unattended")))
        return fn_buf_text(
            b,
            FN_SAY(
                "开启方式:无人值守(根密钥由存储之外的密钥文件保护)\n\n主持人签字:________________  见证人签字:________________\n",
                "way of opening: unattended (a key file outside the store protects the root)\n\nin charge: ________________  witness: ________________\n"));
    FN_TRY(minutes_shares(b, m));
    return fn_buf_text(b, FN_SAY("主持人签字:________________  见证人签字:________________\n",
                                 "in charge: ________________  witness: ________________\n"));
}

static fn_err minutes_who(json_t *minutes)
{
    char host[HOST_MOST] = "", beijing[FN_TIME_TEXT];
    FN_SCOPED_HEAP char *who = NULL;
    const struct passwd *user = getpwuid(geteuid());
    gethostname(host, sizeof host - 1);
    FN_TRY(fn_heap_format(&who, "%s (uid %u)", user ? user->pw_name : "-", (unsigned)geteuid()));
    fn_time_beijing(beijing, fn_now_ms());
    json_object_set_new(minutes, "time_beijing", json_string(beijing));
    json_object_set_new(minutes, "host", json_string(host));
    json_object_set_new(minutes, "operator", json_string(who));
    return FN_OK;
}

static fn_err minutes_write(json_t *minutes, const char *base, struct fn_answers *a)
{
    FN_SCOPED_BUF struct fn_buf text = fn_buf_heap();
    FN_SCOPED_HEAP char *path = NULL, *json_path = NULL, *json = NULL;
    FN_TRY(minutes_text(&text, minutes));
    FN_TRY(fn_heap_format(&path, "%s.txt", base));
    FN_TRY(fn_heap_format(&json_path, "%s.json", base));
    FN_TRY(fn_file_put(path, fn_buf_view(&text)));
    keep(a, path);
    json = json_dumps(minutes, JSON_INDENT(2));
    if (!json) return FN_FAIL(FN_E_NO_MEMORY, "minutes");
    FN_TRY(fn_file_put(json_path, fn_bytes(json, strlen(json))));
    keep(a, json_path);
    json_object_set_new(minutes, "minutes", json_string(path));
    return FN_OK;
}

/* ---- the verb ---- */

static const char example[] =
    "# 密码设备初始化 / answers of `fengni device init --answers FILE` (YAML or JSON)\n"
    "# 路径相对于当前目录;凭证文件与口令分开保管。Paths start at the current folder. Keep files and passphrases apart.\n"
    "mode: shares            # shares 多人共管 | unattended 无人值守\n"
    "needed: 3               # 开启所需分量数 shares that open the device\n"
    "minutes: init-minutes   # 初始化记录 init-minutes.txt, init-minutes.json\n"
    "administrators:         # 角色 roles: super, business(持分量 hold a share); audit, auditor, operator\n"
    "  - {name: 张三, role: super, token: zhangsan.fnat, passphrase_file: zhangsan.pass}  # 已有口令的文件 a file that has it\n"
    "  - {name: 李四, role: super, token: lisi.fnat, phrase_file: lisi.phrase}            # 生成八词口令并写入 eight words are made and written\n"
    "  - {name: 王五, role: business, token: wangwu.fnat}                                 # 在终端输入 asked at the terminal\n"
    "  - {name: 赵六, role: business, token: zhaoliu.fnat}\n"
    "  - {name: 钱七, role: business, token: qianqi.fnat}\n"
    "  - {name: 孙八, role: audit, token: sunba.fnat}\n"
    "clients:                # 可使用设备的系统用户 system users that may use the device\n"
    "  - {uid: 1000, tenant: default, application: default}\n";

static fn_err answers_choose(const struct fn_call *call, struct fn_answers **answers)
{
    const char *path = fn_call_text(call, "answers");
    bool unattended = fn_call_flag(call, "unattended");
    if (path && unattended)
        return FN_FAIL(FN_E_USAGE,
                       FN_SAY("--unattended 与 --answers 只能用一个", "either --unattended or --answers"));
    if (path) return fn_answers_read(answers, path);
    if (unattended) return answers_of(answers, json_pack("{s:s}", "mode", "unattended"));
    if (isatty(STDIN_FILENO)) return wizard(answers);
    return FN_FAIL(FN_E_USAGE, FN_SAY("没有终端时须用 --answers FILE 或 --unattended",
                                      "without a terminal: --answers FILE or --unattended"));
}

static fn_err clients_json(const json_t *clients, struct fn_buf *request)
{
    FN_SCOPED_HEAP char *text = clients ? json_dumps(clients, JSON_COMPACT) : NULL;
    if (!text) return FN_OK;
    FN_TRY(fn_json_key(request, "clients"));
    return fn_buf_text(request, text);
}

static fn_err request_of(const struct fn_call *call, struct fn_answers *a, struct fn_client *client,
                         const struct fn_restore_from *restore, struct fn_buf *request)
{
    bool unattended = !strcmp(fn_json_text_of(a->root, "mode"), "unattended");
    FN_TRY(fn_buf_u8(request, '{'));
    FN_TRY(fn_json_pair_bool(request, "unattended", unattended));
    FN_TRY(clients_json(json_object_get(a->root, "clients"), request));
    if (!unattended) FN_TRY(fn_answers_administrators(a, client, request));
    if (restore) FN_TRY(fn_json_pair(request, "restore", restore->name));
    if (restore) FN_TRY(fn_cli_tokens_json(request, restore->tokens, call));
    return fn_buf_u8(request, '}');
}

/* Where the minutes go is asked before anything is done that cannot be repeated. */
static fn_err minutes_base(const struct fn_call *call, struct fn_answers *a, const char **base)
{
    FN_SCOPED_HEAP char *text = NULL, *json = NULL;
    *base = fn_call_text(call, "minutes");
    if (!*base) *base = fn_json_text_of(a->root, "minutes");
    if (!*base) return FN_OK;
    FN_TRY(fn_heap_format(&text, "%s.txt", *base));
    FN_TRY(fn_heap_format(&json, "%s.json", *base));
    FN_TRY(note(a, text, true));
    return note(a, json, true);
}

static fn_err finish(const struct fn_call *call, struct fn_answers *a, json_t *answer, const char *base)
{
    FN_SCOPED_HEAP char *proposed = NULL;
    json_t *persons = json_array();
    bool shared = json_object_get(answer, "tokens");
    fn_err err = fn_answers_tokens(a, answer, persons);
    json_object_del(answer, "tokens");
    if (shared) json_object_set(answer, "administrators", persons);
    json_decref(persons);
    if (err)
        return FN_WRAP(
            err,
            FN_SAY(
                "设备已初始化,但有凭证文件未能写出:请删除设备存储并重新初始化",
                "initialised, but an administrator's file could not be written: remove the device's store and begin again"));
    FN_TRY(minutes_who(answer));
    if (!base && shared) {
        FN_TRY(fn_heap_format(&proposed, "fengni-init-%s", fn_json_text_of(answer, "serial")));
        base = proposed;
    }
    if (base) FN_TRY(minutes_write(answer, base, a));
    return fn_device_show_json(call, answer);
}

fn_err fn_cli_device_init(const struct fn_call *call, const struct fn_restore_from *restore)
{
    struct fn_answers *a FN_SCOPED_ANSWERS = NULL;
    struct fn_client *client FN_SCOPED_CLIENT = NULL;
    FN_SCOPED_BUF struct fn_buf request = fn_buf_secret();
    json_t *status FN_SCOPED_JSON = NULL, *answer FN_SCOPED_JSON = NULL;
    const char *base;
    if (fn_call_flag(call, "answers-example")) {
        fputs(example, stdout);
        return FN_OK;
    }
    FN_TRY(fn_device_open(&client, call));
    FN_TRY(fn_device_ask(client, "status", NULL, &status));
    const char *state = fn_json_text_of(status, "state");
    if (!state || strcmp(state, "INITIAL"))
        return FN_FAIL(FN_E_DEVICE_STATE,
                       FN_SAY("设备已初始化,状态为 %s", "initialised already; the device is %s"),
                       state ? state : "-");
    FN_TRY(answers_choose(call, &a));
    FN_TRY(minutes_base(call, a, &base));
    FN_TRY(request_of(call, a, client, restore, &request));
    FN_TRY(fn_device_ask(client, "init", &request, &answer));
    if (restore) json_object_set_new(answer, "restored_from", json_string(restore->name));
    return finish(call, a, answer, base);
}
