#include "base/sys/config_yaml.h"

#include "base/sys/heap.h"
#include "base/sys/os_err.h"
#include <string.h>
#include <yaml.h>

#define FILE_MOST (1 << 20)
#define KEYS_MOST 1000

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool have;
    const char *shown;
    fn_yaml_value_fn *each;
    void *context;
    char *seen[KEYS_MOST]; /* "section" and "section.key" */
    size_t seen_count;
};

static struct fn_yaml_place place_of(const struct reader *r)
{
    return (struct fn_yaml_place){r->shown, r->event.start_mark.line + 1, r->event.start_mark.column + 1};
}

static fn_err next(struct reader *r)
{
    if (r->have) yaml_event_delete(&r->event);
    r->have = yaml_parser_parse(&r->parser, &r->event);
    if (r->have) return FN_OK;
    const yaml_parser_t *p = &r->parser;
    struct fn_yaml_place place = {r->shown, p->problem_mark.line + 1, p->problem_mark.column + 1};
    return FN_FAIL_AT(&place, "%s", p->problem ? p->problem : "not YAML");
}

static fn_err plain_scalar(struct reader *r, const char *what)
{
    struct fn_yaml_place at = place_of(r);
    if (r->event.type == YAML_ALIAS_EVENT) return FN_FAIL_AT(&at, "%s: aliases are not allowed", what);
    if (r->event.type != YAML_SCALAR_EVENT) return FN_FAIL_AT(&at, "%s: a single value is wanted", what);
    if (r->event.data.scalar.anchor || r->event.data.scalar.tag)
        return FN_FAIL_AT(&at, "%s: anchors and tags are not allowed", what);
    if (strlen((const char *)r->event.data.scalar.value) != r->event.data.scalar.length)
        return FN_FAIL_AT(&at, "%s: NUL inside", what);
    return FN_OK;
}

static fn_err once(struct reader *r, const char *name)
{
    struct fn_yaml_place at = place_of(r);
    for (size_t i = 0; i < r->seen_count; i++)
        if (!strcmp(r->seen[i], name)) return FN_FAIL_AT(&at, "%s stands here a second time", name);
    if (r->seen_count == KEYS_MOST) return FN_FAIL_AT(&at, "more than %d keys", KEYS_MOST);
    FN_TRY(fn_heap_text(&r->seen[r->seen_count], name, strlen(name)));
    r->seen_count++;
    return FN_OK;
}

static fn_err read_value(struct reader *r, const char *section)
{
    FN_TRY(plain_scalar(r, section));
    struct fn_yaml_place at = place_of(r);
    FN_SCOPED_HEAP char *key = NULL, *whole = NULL;
    FN_TRY(fn_heap_format(&key, "%s", (const char *)r->event.data.scalar.value));
    FN_TRY(fn_heap_format(&whole, "%s.%s", section, key));
    FN_TRY(once(r, whole));
    FN_TRY(next(r));
    FN_TRY(plain_scalar(r, whole));
    bool empty = r->event.data.scalar.length == 0 && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (empty) return FN_FAIL_AT(&at, "%s without a value (write \"\" for an empty text)", whole);
    return r->each(r->context, section, key, (const char *)r->event.data.scalar.value, &at);
}

static fn_err read_section(struct reader *r)
{
    FN_TRY(plain_scalar(r, "section"));
    FN_SCOPED_HEAP char *section = NULL;
    FN_TRY(fn_heap_format(&section, "%s", (const char *)r->event.data.scalar.value));
    FN_TRY(once(r, section));
    struct fn_yaml_place at = place_of(r);
    FN_TRY(next(r));
    /* A section whose lines are all comments. */
    if (r->event.type == YAML_SCALAR_EVENT && !r->event.data.scalar.length &&
        r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return r->each(r->context, section, NULL, NULL, &at);
    if (r->event.type != YAML_MAPPING_START_EVENT || r->event.data.mapping_start.anchor ||
        r->event.data.mapping_start.tag)
        return FN_FAIL_AT(&at, "%s is a section: its settings follow indented", section);
    FN_TRY(r->each(r->context, section, NULL, NULL, &at));
    for (;;) {
        FN_TRY(next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return FN_OK;
        FN_TRY(read_value(r, section));
    }
}

static fn_err read_document(struct reader *r)
{
    FN_TRY(next(r)); /* stream start */
    FN_TRY(next(r));
    if (r->event.type == YAML_STREAM_END_EVENT) return FN_OK; /* nothing but comments */
    FN_TRY(next(r));
    struct fn_yaml_place at = place_of(r);
    if (r->event.type != YAML_MAPPING_START_EVENT || r->event.data.mapping_start.anchor ||
        r->event.data.mapping_start.tag)
        return FN_FAIL_AT(&at, "%s", "sections are wanted: \"log:\" and its settings indented below");
    for (;;) {
        FN_TRY(next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) break;
        FN_TRY(read_section(r));
    }
    FN_TRY(next(r)); /* document end */
    FN_TRY(next(r));
    at = place_of(r);
    if (r->event.type != YAML_STREAM_END_EVENT)
        return FN_FAIL_AT(&at, "%s", "a second document in the same file");
    return FN_OK;
}

fn_err fn_yaml_read(const char *path, const char *shown, fn_yaml_value_fn *each, void *context)
{
    FN_SCOPED_FILE FILE *f = fopen(path, "re");
    if (!f) return FN_FAIL_OS("%s", path);
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    uint8_t *where;
    FN_TRY(fn_buf_reserve(&b, FILE_MOST + 1, &where));
    b.n = fread(where, 1, FILE_MOST + 1, f);
    if (ferror(f)) return FN_FAIL_OS("%s", path);
    if (b.n > FILE_MOST) return FN_FAIL(FN_E_CONFIG, "%s is larger than %d bytes", shown, FILE_MOST);
    FN_SCOPED_HEAP struct reader *r = NULL;
    FN_TRY(fn_heap_array(&r, 1, sizeof *r));
    r->shown = shown;
    r->each = each;
    r->context = context;
    if (!yaml_parser_initialize(&r->parser)) return FN_FAIL(FN_E_NO_MEMORY, "YAML parser");
    yaml_parser_set_input_string(&r->parser, b.p, b.n);
    fn_err err = read_document(r);
    if (r->have) yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
    for (size_t i = 0; i < r->seen_count; i++) free(r->seen[i]);
    return err;
}
