/* The reader of configuration files: whatever bytes stand in one, it says where they are wrong or hands over
 * sections, keys and values that obey its promise: no NUL, no section and no key twice, each value below the
 * section named last. */
#include "base/sys/config_yaml.h"

#include "base/sys/heap.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MOST 4096

struct seen {
    char *names[MOST];
    size_t count;
    char *section;
};

static void take(struct seen *s, char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->names[i], name)) abort();
    if (s->count == MOST) abort(); /* the reader takes 1,000 at most */
    s->names[s->count++] = name;
}

static fn_err value(void *context, const char *section, const char *key, const char *text,
                    const struct fn_yaml_place *place)
{
    struct seen *s = context;
    char *name;
    if (!place->line || !place->column) abort();
    if (!key != !text) abort();
    if (key ? fn_heap_format(&name, "%s.%s", section, key) : fn_heap_format(&name, "%s", section)) abort();
    take(s, name);
    if (!key) s->section = name;
    if (!s->section || strcmp(s->section, section)) abort();
    /* One more path: whoever takes a value may refuse it. */
    return text && !strcmp(text, "refuse") ? FN_FAIL_AT(place, "%s", "refused") : FN_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[40];
    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        fn_format(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
    struct seen s = {.count = 0};
    fn_err err = fn_yaml_read(path, "fuzz.yaml", value, &s);
    const struct fn_err_cause *causes;
    if (err && !fn_err_chain(&causes)) abort();
    for (size_t i = 0; i < s.count; i++) free(s.names[i]);
    return 0;
}
