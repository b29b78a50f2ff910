#include "base/sys/config.h"

#include "base/sys/config_yaml.h"
#include "base/sys/heap.h"
#include "base/sys/os_err.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>

extern char **environ;

struct entry {
    const struct fn_section *section;
    const struct fn_setting *setting;
    char *value, *source;
    int64_t number;
};

struct fn_config {
    const struct fn_section *sections;
    char *file;
    bool required;
    struct entry *entries;
    size_t count, room;
};

static const struct {
    const char *suffix;
    enum fn_setting_kind kind;
    int64_t factor;
} units[] = {
    {"ms", FN_SETTING_DURATION, 1},       {"s", FN_SETTING_DURATION, 1000},
    {"m", FN_SETTING_DURATION, 60000},    {"h", FN_SETTING_DURATION, 3600000},
    {"d", FN_SETTING_DURATION, 86400000}, {"", FN_SETTING_SIZE, 1},
    {"KiB", FN_SETTING_SIZE, 1024},       {"MiB", FN_SETTING_SIZE, 1 << 20},
    {"GiB", FN_SETTING_SIZE, 1 << 30},    {"", FN_SETTING_NUMBER, 1},
};

static const char *wanted(enum fn_setting_kind kind)
{
    switch (kind) {
    case FN_SETTING_DURATION:
        return "a duration like 500ms, 10s, 5m, 2h or 7d";
    case FN_SETTING_SIZE:
        return "a size like 4096, 64KiB, 1MiB or 2GiB";
    case FN_SETTING_NUMBER:
        return "a whole number";
    case FN_SETTING_BOOL:
        return "true or false";
    default:
        return "a text";
    }
}

static fn_err with_unit(const struct fn_setting *s, const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    bool digits = isdigit((unsigned char)text[0]) || (text[0] == '-' && isdigit((unsigned char)text[1]));
    int64_t factor = 0;
    for (size_t i = 0; i < FN_COUNT(units); i++)
        if (units[i].kind == s->kind && !strcmp(units[i].suffix, end)) factor = units[i].factor;
    int64_t total;
    if (!digits || errno || !factor || __builtin_mul_overflow((int64_t)v, factor, &total))
        return FN_FAIL(FN_E_CONFIG, "\"%s\" is not %s", text, wanted(s->kind));
    bool bounded = s->least || s->most;
    int64_t least = bounded ? s->least : 0, most = bounded ? s->most : INT64_MAX;
    if (total < least || total > most)
        return FN_FAIL(FN_E_CONFIG, "\"%s\" is outside %lld … %lld%s", text, (long long)least,
                       (long long)most,
                       s->kind == FN_SETTING_DURATION ? " ms"
                       : s->kind == FN_SETTING_SIZE   ? " bytes"
                                                      : "");
    *value = total;
    return FN_OK;
}

static fn_err choice(const struct fn_setting *s, const char *text)
{
    char list[120] = "";
    size_t n = 0;
    for (size_t i = 0; s->choices[i]; i++) {
        if (!strcmp(s->choices[i], text)) return FN_OK;
        if (n < sizeof list) n += fn_format(list + n, sizeof list - n, "%s%s", i ? ", " : "", s->choices[i]);
    }
    return FN_FAIL(FN_E_CONFIG, "\"%s\" is none of %s", text, list);
}

fn_err fn_setting_number(const struct fn_setting *setting, const char *text, int64_t *value)
{
    *value = 0;
    switch (setting->kind) {
    case FN_SETTING_TEXT:
        return FN_OK;
    case FN_SETTING_CHOICE:
        return choice(setting, text);
    case FN_SETTING_BOOL:
        *value = !strcmp(text, "true");
        if (*value || !strcmp(text, "false")) return FN_OK;
        return FN_FAIL(FN_E_CONFIG, "\"%s\" is not %s", text, wanted(setting->kind));
    default:
        return with_unit(setting, text, value);
    }
}

static struct entry *find(const struct fn_config *c, const char *section, const char *key)
{
    for (size_t i = 0; i < c->count; i++)
        if (!strcmp(c->entries[i].section->name, section) && !strcmp(c->entries[i].setting->name, key))
            return &c->entries[i];
    return NULL;
}

static struct entry *find_key(const struct fn_config *c, const char *key)
{
    const char *dot = strchr(key, '.');
    char section[64];
    if (!dot || (size_t)(dot - key) >= sizeof section) return NULL;
    fn_format(section, sizeof section, "%.*s", (int)(dot - key), key);
    return find(c, section, dot + 1);
}

static fn_err set(struct entry *e, const char *value, const char *source)
{
    FN_SCOPED_HEAP char *text = NULL, *from = NULL;
    FN_TRY(fn_setting_number(e->setting, value, &e->number));
    FN_TRY(fn_heap_text(&text, value, strlen(value)));
    FN_TRY(fn_heap_text(&from, source, strlen(source)));
    free(e->value);
    free(e->source);
    e->value = FN_RELEASE(text);
    e->source = FN_RELEASE(from);
    return FN_OK;
}

static bool known_section(const struct fn_config *c, const char *name)
{
    for (const struct fn_section *s = c->sections; s->name; s++)
        if (!strcmp(s->name, name)) return true;
    return false;
}

static fn_err take_value(void *context, const char *section, const char *key, const char *value,
                         const struct fn_yaml_place *place)
{
    struct fn_config *c = context;
    if (!known_section(c, section)) return FN_FAIL_AT(place, "unknown section \"%s\"", section);
    if (!key) return FN_OK;
    struct entry *e = find(c, section, key);
    if (!e) return FN_FAIL_AT(place, "unknown setting \"%s.%s\"", section, key);
    char source[300];
    fn_format(source, sizeof source, "%s:%zu:%zu", place->file, place->line, place->column);
    fn_err err = set(e, value, source);
    if (err != FN_OK) return FN_WRAP(FN_E_CONFIG, "%s: %s.%s", source, section, key);
    return FN_OK;
}

/* The name of a file below the folder of the main file, as it is shown. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int is_yaml(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return d->d_name[0] != '.' && n > 5 && !strcmp(d->d_name + n - 5, ".yaml");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static fn_err read_folder(struct fn_config *c, const char *folder)
{
    struct dirent **names;
    int count = scandir(folder, &names, is_yaml, by_bytes);
    if (count < 0 && errno == ENOENT) return FN_OK;
    if (count < 0) return FN_FAIL_OS("%s", folder);
    fn_err err = FN_OK;
    for (int i = 0; i < count; i++) {
        FN_SCOPED_HEAP char *path = NULL, *shown = NULL;
        if (err == FN_OK) err = fn_heap_format(&path, "%s/%s", folder, names[i]->d_name);
        if (err == FN_OK) err = fn_heap_format(&shown, "conf.d/%s", names[i]->d_name);
        if (err == FN_OK) err = fn_yaml_read(path, shown, take_value, c);
        free(names[i]);
    }
    free(names);
    return err;
}

static fn_err read_files(struct fn_config *c)
{
    if (c->required || access(c->file, F_OK) == 0)
        FN_TRY(fn_yaml_read(c->file, base_name(c->file), take_value, c));
    FN_SCOPED_HEAP char *folder = NULL;
    FN_TRY(fn_heap_format(&folder, "%.*sconf.d", (int)(base_name(c->file) - c->file), c->file));
    return read_folder(c, folder);
}

static void upper(char *text)
{
    for (; *text; text++) *text = (char)toupper((unsigned char)*text);
}

/* Whether the n characters are the name in capitals. A name that is not all in capitals is a mistake, and
 * would not be obeyed. */
static bool in_capitals(const char *text, size_t n, const char *name)
{
    size_t i = 0;
    while (i < n && name[i] && text[i] == toupper((unsigned char)name[i])) i++;
    return i == n && !name[i];
}

/* "FENGNI_SECTION_" of an environment name that belongs to a section but to none of its settings. */
static fn_err check_environment(const struct fn_config *c, const char *name, size_t n)
{
    for (const struct fn_section *s = c->sections; s->name; s++) {
        char prefix[80];
        size_t p = fn_format(prefix, sizeof prefix, "FENGNI_%s_", s->name);
        upper(prefix);
        if (n <= p || strncmp(name, prefix, p)) continue;
        bool known = false;
        for (const struct fn_setting *k = s->settings; k && k->name; k++)
            known = known || in_capitals(name + p, n - p, k->name);
        if (!known)
            return FN_FAIL(FN_E_CONFIG, "%.*s in the environment is no setting of %s", (int)n, name, s->name);
    }
    return FN_OK;
}

static fn_err read_environment(struct fn_config *c)
{
    for (char **e = environ; e && *e; e++)
        if (!strncmp(*e, "FENGNI_", 7)) FN_TRY(check_environment(c, *e, strcspn(*e, "=")));
    for (size_t i = 0; i < c->count; i++) {
        struct entry *e = &c->entries[i];
        char name[160];
        fn_format(name, sizeof name, "FENGNI_%s_%s", e->section->name, e->setting->name);
        upper(name);
        const char *value = getenv(name);
        if (!value) continue;
        fn_err err = set(e, value, name);
        if (err != FN_OK) return FN_WRAP(err, "%s in the environment", name);
    }
    return FN_OK;
}

static fn_err fill_defaults(struct fn_config *c)
{
    for (const struct fn_section *s = c->sections; s->name; s++)
        for (const struct fn_setting *k = s->settings; k && k->name; k++) {
            FN_TRY(fn_heap_grow(&c->entries, &c->room, c->count + 1, sizeof *c->entries));
            struct entry *e = &c->entries[c->count++];
            *e = (struct entry){.section = s, .setting = k};
            fn_err err = set(e, k->fallback ? k->fallback : "", "");
            if (err != FN_OK) return FN_WRAP(FN_E_INTERNAL, "default of %s.%s", s->name, k->name);
        }
    return FN_OK;
}

fn_err fn_config_load(struct fn_config **config, const struct fn_section *sections, const char *file,
                      bool required)
{
    struct fn_config *c;
    *config = NULL;
    FN_TRY(fn_heap_array(&c, 1, sizeof *c));
    c->sections = sections;
    c->required = required;
    fn_err err = fn_heap_text(&c->file, file, strlen(file));
    if (err == FN_OK) err = fill_defaults(c);
    if (err == FN_OK) err = read_files(c);
    if (err == FN_OK) err = read_environment(c);
    if (err != FN_OK) {
        fn_config_free(c);
        return err;
    }
    *config = c;
    return FN_OK;
}

void fn_config_free(struct fn_config *config)
{
    if (!config) return;
    for (size_t i = 0; i < config->count; i++) {
        free(config->entries[i].value);
        free(config->entries[i].source);
    }
    free(config->entries);
    free(config->file);
    free(config);
}

const char *fn_config_text(const struct fn_config *config, const char *key)
{
    const struct entry *e = find_key(config, key);
    return e ? e->value : NULL;
}

int64_t fn_config_number(const struct fn_config *config, const char *key)
{
    const struct entry *e = find_key(config, key);
    return e ? e->number : 0;
}

bool fn_config_bool(const struct fn_config *config, const char *key)
{
    return fn_config_number(config, key) != 0;
}

const char *fn_config_source(const struct fn_config *config, const char *key)
{
    const struct entry *e = find_key(config, key);
    return e ? e->source : NULL;
}

fn_err fn_config_each(const struct fn_config *config, fn_config_each_fn *each, void *context)
{
    for (size_t i = 0; i < config->count; i++) {
        const struct entry *e = &config->entries[i];
        FN_TRY(each(context, e->section, e->setting, e->value, e->source));
    }
    return FN_OK;
}

fn_err fn_config_compare(const struct fn_config *before, const struct fn_config *after,
                         fn_config_change_fn *each, void *context)
{
    for (size_t i = 0; i < before->count; i++) {
        const struct entry *a = &before->entries[i], *b = &after->entries[i];
        if (strcmp(a->value, b->value)) FN_TRY(each(context, a->section, a->setting, a->value, b->value));
    }
    return FN_OK;
}

fn_err fn_config_reload(struct fn_config **config, fn_config_change_fn *each, void *context)
{
    struct fn_config *fresh;
    FN_TRY(fn_config_load(&fresh, (*config)->sections, (*config)->file, (*config)->required));
    fn_err err = each ? fn_config_compare(*config, fresh, each, context) : FN_OK;
    fn_config_free(*config);
    *config = fresh;
    return err;
}

static fn_err write_comment(struct fn_buf *out, const char *indent, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        FN_TRY(fn_buf_format(out, "%s# %.*s\n", indent, (int)n, text));
        text += n + (text[n] == '\n');
    }
    return FN_OK;
}

static fn_err write_setting(struct fn_buf *out, const struct fn_setting *k)
{
    FN_TRY(write_comment(out, "  ", fn_say(k->help)));
    if (k->kind == FN_SETTING_CHOICE) {
        FN_TRY(fn_buf_text(out, "  #"));
        for (size_t i = 0; k->choices[i]; i++)
            FN_TRY(fn_buf_format(out, "%s %s", i ? " |" : "", k->choices[i]));
        FN_TRY(fn_buf_text(out, "\n"));
    }
    const char *value = k->fallback ? k->fallback : "";
    const char *quote = k->kind == FN_SETTING_TEXT ? "'" : "";
    return fn_buf_format(out, "  #%s: %s%s%s\n", k->name, quote, value, quote);
}

fn_err fn_config_default(const struct fn_section *sections, struct fn_buf *out)
{
    FN_TRY(write_comment(
        out, "",
        FN_SAY("封泥配置。被注释的行是默认值;修改时去掉行首的 #。\n"
               "conf.d/*.yaml 按名称顺序覆盖本文件;环境变量 FENGNI_节_项 优先于文件。\n"
               "修改后运行 `fengni config check`。",
               "Configuration of Fengni. Lines that are comments show defaults; remove the # to change one.\n"
               "conf.d/*.yaml override this file in name order; the environment (FENGNI_SECTION_KEY) wins.\n"
               "After a change run `fengni config check`.")));
    for (const struct fn_section *s = sections; s->name; s++) {
        FN_TRY(fn_buf_text(out, "\n"));
        FN_TRY(write_comment(out, "", fn_say(s->help)));
        FN_TRY(fn_buf_format(out, "%s:\n", s->name));
        for (const struct fn_setting *k = s->settings; k && k->name; k++) FN_TRY(write_setting(out, k));
    }
    return FN_OK;
}
