/* Which parts an instance has, as data. */
#include "base/sys/heap.h"
#include "base/sys/os_err.h"
#include "cli/instance.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A part runs in the folder of the instance, and its words name paths from there: its uid need not be able to
 * walk the folders above, which may be root's alone. Folders of a part are given to its uid; the first is its
 * store. */
struct part_row {
    const char *name, *program;
    const char *words[FN_WORDS_MOST];
    const char *folders[6];
    unsigned uid_offset;
    bool drops; /* starts as we are, reads what only root may read, and becomes --uid by itself */
    /* Words made of settings, appended; NULL when there are none. */
    fn_err (*more)(const struct fn_config *config, struct fn_instance_parts *parts, const char **words,
                   size_t *n);
};

static fn_err device_words(const struct fn_config *config, struct fn_instance_parts *parts,
                           const char **words, size_t *n);
static fn_err backend_words(const struct fn_config *config, struct fn_instance_parts *parts,
                            const char **words, size_t *n);

static const struct part_row own_device = {
    .name = "device",
    .program = "fengni-device",
    .words = {"--dir", "device", "--socket", "run/device.sock", "--management", "run/management/device.sock",
              "--unattended-key", "unattended.key"},
    .folders = {"device", "run", "run/management"},
    .uid_offset = 1,
    .drops = true,
    .more = device_words,
};
/* Another maker's device in its place: one line of configuration, the same protocol, the same sockets for
 * clients. */
static const struct part_row other_device = {
    .name = "device",
    .program = "fengni-backend",
    .words = {"--dir", "device", "--socket", "run/device.sock"},
    .folders = {"device", "run", "run/management"},
    .uid_offset = 1,
    .more = backend_words,
};

static fn_err own_text(struct fn_instance_parts *parts, char *text)
{
    if (parts->owned_count == FN_COUNT(parts->owned)) {
        free(text);
        return FN_FAIL(FN_E_INTERNAL, "too many words for parts");
    }
    parts->owned[parts->owned_count++] = text;
    return FN_OK;
}

/* Path of a program in the folder of this one. */
static fn_err beside(struct fn_instance_parts *parts, const char *name, const char **out)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) return FN_FAIL_OS("/proc/self/exe");
    self[n] = 0;
    char *path;
    FN_TRY(fn_heap_format(&path, "%.*s/%s", (int)(strrchr(self, '/') - self), self, name));
    FN_TRY(own_text(parts, path));
    if (access(path, X_OK)) return FN_FAIL_OS("%s", path);
    *out = path;
    return FN_OK;
}

static fn_err own_number(struct fn_instance_parts *parts, int64_t value, const char **out)
{
    char *text;
    FN_TRY(fn_heap_format(&text, "%lld", (long long)value));
    *out = text;
    return own_text(parts, text);
}

/* A copy, because a reload frees the configuration while the words live on. */
static fn_err own_setting(struct fn_instance_parts *parts, const struct fn_config *config, const char *name,
                          const char **out)
{
    const char *value = fn_config_text(config, name);
    char *text;
    FN_TRY(fn_heap_text(&text, value, strlen(value)));
    *out = text;
    return own_text(parts, text);
}

static fn_err device_words(const struct fn_config *config, struct fn_instance_parts *parts,
                           const char **words, size_t *n)
{
    (void)parts;
    if (!strcmp(fn_config_text(config, "self_test.power_on"), "full")) words[(*n)++] = "--full-self-test";
    return FN_OK;
}

static fn_err backend_words(const struct fn_config *config, struct fn_instance_parts *parts,
                            const char **words, size_t *n)
{
    words[(*n)++] = "--backend";
    FN_TRY(own_setting(parts, config, "device.backend", &words[(*n)++]));
    words[(*n)++] = "--profile";
    FN_TRY(own_setting(parts, config, "device.profile", &words[(*n)++]));
    words[(*n)++] = "--client";
    FN_TRY(own_setting(parts, config, "device.client", &words[(*n)++]));
    words[(*n)++] = "--kek";
    FN_TRY(own_number(parts, fn_config_number(config, "device.kek"), &words[(*n)++]));
    words[(*n)++] = "--sign";
    FN_TRY(own_number(parts, fn_config_number(config, "device.sign"), &words[(*n)++]));
    if (!*fn_config_text(config, "device.password_file")) return FN_OK;
    words[(*n)++] = "--password-file";
    return own_setting(parts, config, "device.password_file", &words[(*n)++]);
}

static fn_err add_part(struct fn_instance_parts *parts, const struct part_row *row, const char *instance,
                       const struct fn_config *config)
{
    struct fn_part *part = &parts->part[parts->count];
    const char **words = parts->words[parts->count];
    size_t n = 0;
    FN_TRY(beside(parts, row->program, &part->program));
    words[n++] = part->program;
    for (size_t i = 0; row->words[i]; i++) words[n++] = row->words[i];
    if (row->more) FN_TRY(row->more(config, parts, words, &n));
    uid_t uid = (uid_t)fn_config_number(config, "instance.uid_base") + row->uid_offset;
    if (parts->separate && row->drops) {
        words[n++] = "--uid";
        FN_TRY(own_number(parts, uid, &words[n++]));
    }
    parts->row[parts->count] = row;
    part->name = row->name;
    part->words = words;
    part->folder = instance;
    part->ready_timeout_ms = (int)fn_config_number(config, "instance.ready_timeout");
    part->stop_timeout_ms = (int)fn_config_number(config, "instance.stop_timeout");
    parts->owner[parts->count] = uid;
    if (parts->separate && !row->drops) part->uid = part->gid = uid;
    parts->count++;
    return FN_OK;
}

fn_err fn_instance_parts(struct fn_instance_parts *parts, const char *instance,
                         const struct fn_config *config)
{
    *parts = (struct fn_instance_parts){.separate = geteuid() == 0};
    bool own = !*fn_config_text(config, "device.backend");
    return add_part(parts, own ? &own_device : &other_device, instance, config);
}

void fn_instance_parts_free(struct fn_instance_parts *parts)
{
    for (size_t i = 0; i < parts->owned_count; i++) free(parts->owned[i]);
    parts->owned_count = 0;
}

/* A store may hold files that were made while root worked on it. Links and files with a second name are left
 * alone: the part could have put them there to be given something of somebody else. */
static fn_err give_content(int folder, uid_t uid, gid_t gid, int depth)
{
    DIR *dir = fdopendir(folder); /* takes the descriptor */
    if (!dir) {
        close(folder);
        return FN_FAIL_OS("folder");
    }
    fn_err err = FN_OK;
    struct dirent *entry;
    while (err == FN_OK && (entry = readdir(dir))) {
        struct stat s;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (fstatat(dirfd(dir), entry->d_name, &s, AT_SYMLINK_NOFOLLOW)) continue;
        bool folder_inside = S_ISDIR(s.st_mode);
        if (!folder_inside && !(S_ISREG(s.st_mode) && s.st_nlink == 1)) continue;
        if (s.st_uid != uid && fchownat(dirfd(dir), entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW))
            err = FN_FAIL_OS("giving %s to uid %u", entry->d_name, uid);
        if (err != FN_OK || !folder_inside || depth == 0) continue;
        int inner = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0) err = give_content(inner, uid, gid, depth - 1);
    }
    closedir(dir);
    return err;
}

static fn_err give(const char *path, uid_t uid, gid_t gid, bool content)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, uid, gid)) {
        fn_err err = FN_FAIL_OS("giving %s to uid %u", path, uid);
        if (fd >= 0) close(fd);
        return err;
    }
    if (content) return give_content(fd, uid, gid, 3);
    close(fd);
    return FN_OK;
}

fn_err fn_instance_own(const struct fn_instance_parts *parts, const char *instance)
{
    if (!parts->separate) return FN_OK;
    for (size_t i = 0; i < parts->count; i++)
        for (size_t k = 0; k < FN_COUNT(parts->row[i]->folders) && parts->row[i]->folders[k]; k++) {
            FN_SCOPED_HEAP char *path = NULL;
            FN_TRY(fn_heap_format(&path, "%s/%s", instance, parts->row[i]->folders[k]));
            FN_TRY(give(path, parts->owner[i], parts->owner[i], k == 0));
        }
    return FN_OK;
}
