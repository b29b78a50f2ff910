#include "base/sys/file_fault.h"

#include "base/sys/heap.h"
#include <pthread.h>
#include <string.h>

struct change {
    bool truncation;
    uint64_t offset; /* or the new size */
    uint8_t *p;
    size_t n;
};

struct inode {
    bool directory, locked;
    struct fn_buf now, durable;
    struct change *changes; /* since the last good fsync */
    size_t count, room;
};

/* One name: what it means now and after a power cut that keeps nothing. */
struct name {
    char *path;
    struct inode *now, *durable;
};

enum name_change { NAME_LINKED, NAME_REMOVED, NAME_MOVED };

struct journal_entry {
    enum name_change kind;
    struct inode *inode;
    char *path, *to;
};

struct handle {
    struct inode *inode; /* NULL when free */
    unsigned flags;
    bool locks;
};

struct fn_file_fault {
    struct fn_files files;
    pthread_mutex_t mutex;
    struct inode **inodes;
    size_t inode_count, inode_room;
    struct name *names;
    size_t name_count, name_room;
    struct journal_entry *journal;
    size_t journal_count, journal_room;
    struct handle *handles;
    size_t handle_count, handle_room;
    enum fn_fault armed;
    uint64_t calls, armed_at;
    bool lasting, met, off;
    uint64_t random;
};

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

static struct fn_file_fault *disk_of(const struct fn_files *f)
{
    return f->self;
}

/* --- content
 * ---------------------------------------------------------------------------------------------------------
 */

static fn_err set_size(struct fn_buf *b, uint64_t size)
{
    if (size > b->n) {
        uint8_t *where;
        FN_TRY(fn_buf_reserve(b, (size_t)size - b->n, &where));
        memset(where, 0, (size_t)size - b->n);
    }
    b->n = (size_t)size;
    return FN_OK;
}

static fn_err put_bytes(struct fn_buf *b, uint64_t offset, const void *p, size_t n)
{
    if (offset + n > b->n) FN_TRY(set_size(b, offset + n));
    if (n) memcpy(b->p + offset, p, n);
    return FN_OK;
}

static fn_err apply(struct fn_buf *b, const struct change *c, size_t n)
{
    return c->truncation ? set_size(b, c->offset) : put_bytes(b, c->offset, c->p, n);
}

static void forget_changes(struct inode *inode)
{
    for (size_t i = 0; i < inode->count; i++) free(inode->changes[i].p);
    inode->count = 0;
}

/* Changes what is seen now and notes it as not yet durable. */
static fn_err change(struct inode *inode, bool truncation, uint64_t offset, const void *p, size_t n)
{
    struct change c = {.truncation = truncation, .offset = offset, .n = n};
    if (offset > SIZE_MAX / 4 || n > SIZE_MAX / 4)
        return FN_FAIL(FN_E_DISK_FULL, "the disk in memory is smaller");
    FN_TRY(fn_heap_grow(&inode->changes, &inode->room, inode->count + 1, sizeof *inode->changes));
    FN_TRY(fn_heap_array(&c.p, n, 1));
    if (n) memcpy(c.p, p, n);
    inode->changes[inode->count++] = c;
    return apply(&inode->now, &c, n);
}

static fn_err make_durable(struct inode *inode)
{
    for (size_t i = 0; i < inode->count; i++)
        FN_TRY(apply(&inode->durable, &inode->changes[i], inode->changes[i].n));
    forget_changes(inode);
    return FN_OK;
}

static fn_err keep_some(struct inode *inode, uint64_t *random)
{
    for (size_t i = 0; i < inode->count; i++) {
        const struct change *c = &inode->changes[i];
        switch (next_random(random) % 4) {
        case 0:
            break;
        case 1:
            FN_TRY(apply(&inode->durable, c, c->n));
            break;
        case 2:
            FN_TRY(apply(&inode->durable, c, c->n ? (size_t)(next_random(random) % c->n) : 0));
            break;
        case 3: /* the size reached the disk, the bytes did not */
            if (c->truncation || c->offset + c->n > inode->durable.n)
                FN_TRY(set_size(&inode->durable, c->offset + c->n));
            break;
        }
    }
    return FN_OK;
}

/* --- names
 * ------------------------------------------------------------------------------------------------------------
 */

static struct name *find_name(struct fn_file_fault *d, const char *path)
{
    for (size_t i = 0; i < d->name_count; i++)
        if (!strcmp(d->names[i].path, path)) return &d->names[i];
    return NULL;
}

static fn_err name_slot(struct fn_file_fault *d, const char *path, struct name **out)
{
    *out = find_name(d, path);
    if (*out) return FN_OK;
    FN_TRY(fn_heap_grow(&d->names, &d->name_room, d->name_count + 1, sizeof *d->names));
    FN_TRY(fn_heap_text(&d->names[d->name_count].path, path, strlen(path)));
    *out = &d->names[d->name_count++];
    return FN_OK;
}

static fn_err new_inode(struct fn_file_fault *d, bool directory, struct inode **out)
{
    FN_TRY(fn_heap_grow(&d->inodes, &d->inode_room, d->inode_count + 1, sizeof(struct inode *)));
    FN_TRY(fn_heap_array(out, 1, sizeof **out));
    (*out)->directory = directory;
    (*out)->now = (*out)->durable = fn_buf_heap();
    d->inodes[d->inode_count++] = *out;
    return FN_OK;
}

static size_t parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static bool is_in(const char *path, const char *directory)
{
    size_t n = parent_length(path);
    return strlen(directory) == n && !memcmp(path, directory, n);
}

/* Every directory that files lie in was made by mkdir or is the first one. */
static fn_err check_parent(struct fn_file_fault *d, const char *path)
{
    for (size_t i = 0; i < d->name_count; i++)
        if (d->names[i].now && d->names[i].now->directory && is_in(path, d->names[i].path)) return FN_OK;
    return FN_FAIL(FN_E_NOT_FOUND, "directory of %s", path);
}

static fn_err note_name(struct fn_file_fault *d, enum name_change kind, struct inode *inode, const char *path,
                        const char *to)
{
    FN_TRY(fn_heap_grow(&d->journal, &d->journal_room, d->journal_count + 1, sizeof *d->journal));
    struct journal_entry e = {.kind = kind, .inode = inode};
    FN_TRY(fn_heap_text(&e.path, path, strlen(path)));
    if (to) FN_TRY(fn_heap_text(&e.to, to, strlen(to)));
    d->journal[d->journal_count++] = e;
    return FN_OK;
}

static fn_err apply_name(struct fn_file_fault *d, const struct journal_entry *e)
{
    struct name *n;
    FN_TRY(name_slot(d, e->path, &n));
    n->durable = e->kind == NAME_LINKED ? e->inode : NULL;
    if (e->kind != NAME_MOVED) return FN_OK;
    FN_TRY(name_slot(d, e->to, &n));
    n->durable = e->inode;
    return FN_OK;
}

static void free_entry(struct journal_entry *e)
{
    free(e->path);
    free(e->to);
}

/* --- faults
 * -----------------------------------------------------------------------------------------------------------
 */

enum need { NEEDS_SPACE, NEEDS_NO_SPACE };

/* Counts a changing call; *fault is what it meets. */
static fn_err enter(struct fn_file_fault *d, enum need need, enum fn_fault *fault)
{
    *fault = FN_FAULT_NONE;
    if (d->off) return FN_FAIL(FN_E_IO, "the power is off");
    d->calls++;
    if (d->armed == FN_FAULT_NONE || d->calls < d->armed_at || (d->calls > d->armed_at && !d->lasting))
        return FN_OK;
    if (d->armed == FN_FAULT_DISK_FULL && need == NEEDS_NO_SPACE) return FN_OK;
    d->met = true;
    *fault = d->armed;
    if (*fault == FN_FAULT_READ_ONLY) return FN_FAIL(FN_E_READ_ONLY, "injected: read-only");
    return FN_OK;
}

/* Ends a call that met a fault. */
static fn_err leave(struct fn_file_fault *d, enum fn_fault fault)
{
    switch (fault) {
    case FN_FAULT_IO:
        return FN_FAIL(FN_E_IO, "injected: input/output error");
    case FN_FAULT_DISK_FULL:
        return FN_FAIL(FN_E_DISK_FULL, "injected: disk full");
    case FN_FAULT_POWER:
        d->off = true;
        return FN_FAIL(FN_E_IO, "injected: power cut");
    default:
        return FN_OK;
    }
}

static bool stops(enum fn_fault fault)
{
    return fault == FN_FAULT_IO || fault == FN_FAULT_DISK_FULL;
}

/* --- the table
 * -------------------------------------------------------------------------------------------------------- */

/* Calls to the table lock the disk; each body is a function of its own so that it may return anywhere. */
#define LOCKED(f, call)                                                                                      \
    do {                                                                                                     \
        struct fn_file_fault *d = disk_of(f);                                                                \
        pthread_mutex_lock(&d->mutex);                                                                       \
        fn_err locked_err = (call);                                                                          \
        pthread_mutex_unlock(&d->mutex);                                                                     \
        return locked_err;                                                                                   \
    } while (0)

static fn_err get_handle(struct fn_file_fault *d, int handle, unsigned needed, struct handle **out)
{
    if (d->off) return FN_FAIL(FN_E_IO, "the power is off");
    if (handle < 0 || (size_t)handle >= d->handle_count || !d->handles[handle].inode)
        return FN_FAIL(FN_E_IO, "handle %d is not open", handle);
    *out = &d->handles[handle];
    if ((*out)->flags & needed) return FN_OK;
    return FN_FAIL(FN_E_IO, "handle %d is not open for that", handle);
}

static fn_err do_create(struct fn_file_fault *d, const char *path, struct inode **inode)
{
    enum fn_fault fault;
    FN_TRY(check_parent(d, path));
    FN_TRY(enter(d, NEEDS_SPACE, &fault));
    if (stops(fault)) return leave(d, fault);
    struct name *n;
    FN_TRY(new_inode(d, false, inode));
    FN_TRY(name_slot(d, path, &n));
    n->now = *inode;
    FN_TRY(note_name(d, NAME_LINKED, *inode, path, NULL));
    return leave(d, fault);
}

static fn_err do_cut(struct fn_file_fault *d, struct inode *inode, uint64_t size)
{
    enum fn_fault fault;
    FN_TRY(enter(d, size > inode->now.n ? NEEDS_SPACE : NEEDS_NO_SPACE, &fault));
    if (stops(fault)) return leave(d, fault);
    FN_TRY(change(inode, true, size, NULL, 0));
    return leave(d, fault);
}

static fn_err do_open(struct fn_file_fault *d, const char *path, unsigned flags, int *handle)
{
    if (d->off) return FN_FAIL(FN_E_IO, "the power is off");
    struct name *n = find_name(d, path);
    struct inode *inode = n ? n->now : NULL;
    if (inode && inode->directory) return FN_FAIL(FN_E_IO, "%s: is a directory", path);
    if (inode && flags & FN_FILE_CREATE && flags & FN_FILE_EXCLUSIVE) return FN_FAIL(FN_E_EXISTS, "%s", path);
    if (!inode && !(flags & FN_FILE_CREATE)) return FN_FAIL(FN_E_NOT_FOUND, "%s", path);
    if (!inode)
        FN_TRY(do_create(d, path, &inode));
    else if (flags & FN_FILE_TRUNCATE && inode->now.n)
        FN_TRY(do_cut(d, inode, 0));
    size_t at = 0;
    while (at < d->handle_count && d->handles[at].inode) at++;
    if (at == d->handle_count) {
        FN_TRY(fn_heap_grow(&d->handles, &d->handle_room, at + 1, sizeof *d->handles));
        d->handle_count++;
    }
    d->handles[at] = (struct handle){.inode = inode, .flags = flags};
    *handle = (int)at;
    return FN_OK;
}

static fn_err fault_open(const struct fn_files *f, const char *path, unsigned flags, unsigned mode,
                         int *handle)
{
    (void)mode;
    LOCKED(f, do_open(d, path, flags, handle));
}

static fn_err do_close(struct fn_file_fault *d, int handle)
{
    struct handle *h;
    FN_TRY(get_handle(d, handle, ~0u, &h));
    if (h->locks) h->inode->locked = false;
    *h = (struct handle){0};
    return FN_OK;
}

static fn_err fault_close(const struct fn_files *f, int handle)
{
    LOCKED(f, do_close(d, handle));
}

static fn_err do_read(struct fn_file_fault *d, int handle, uint64_t offset, void *out, size_t n, size_t *got)
{
    struct handle *h;
    FN_TRY(get_handle(d, handle, FN_FILE_READ, &h));
    size_t size = h->inode->now.n;
    *got = offset >= size ? 0 : size - (size_t)offset < n ? size - (size_t)offset : n;
    if (*got) memcpy(out, h->inode->now.p + offset, *got);
    return FN_OK;
}

static fn_err fault_read(const struct fn_files *f, int handle, uint64_t offset, void *out, size_t n,
                         size_t *got)
{
    LOCKED(f, do_read(d, handle, offset, out, n, got));
}

static fn_err do_write(struct fn_file_fault *d, int handle, bool append, uint64_t offset, const void *p,
                       size_t n)
{
    struct handle *h;
    enum fn_fault fault;
    FN_TRY(get_handle(d, handle, FN_FILE_WRITE, &h));
    if (append != !!(h->flags & FN_FILE_APPEND))
        return FN_FAIL(FN_E_ARGUMENT, "handle %d is not of that kind", handle);
    if (append) offset = h->inode->now.n;
    FN_TRY(enter(d, NEEDS_SPACE, &fault));
    size_t part = stops(fault) && n ? (size_t)(next_random(&d->random) % n) : n;
    FN_TRY(change(h->inode, false, offset, p, part));
    return leave(d, fault);
}

static fn_err fault_write(const struct fn_files *f, int handle, const void *p, size_t n)
{
    LOCKED(f, do_write(d, handle, true, 0, p, n));
}

static fn_err fault_pwrite(const struct fn_files *f, int handle, uint64_t offset, const void *p, size_t n)
{
    LOCKED(f, do_write(d, handle, false, offset, p, n));
}

static fn_err do_size(struct fn_file_fault *d, int handle, uint64_t *size)
{
    struct handle *h;
    FN_TRY(get_handle(d, handle, ~0u, &h));
    *size = h->inode->now.n;
    return FN_OK;
}

static fn_err fault_size(const struct fn_files *f, int handle, uint64_t *size)
{
    LOCKED(f, do_size(d, handle, size));
}

static fn_err do_truncate(struct fn_file_fault *d, int handle, uint64_t size)
{
    struct handle *h;
    FN_TRY(get_handle(d, handle, FN_FILE_WRITE, &h));
    return do_cut(d, h->inode, size);
}

static fn_err fault_truncate(const struct fn_files *f, int handle, uint64_t size)
{
    LOCKED(f, do_truncate(d, handle, size));
}

static fn_err do_fsync(struct fn_file_fault *d, int handle)
{
    struct handle *h;
    enum fn_fault fault;
    FN_TRY(get_handle(d, handle, ~0u, &h));
    FN_TRY(enter(d, NEEDS_SPACE, &fault));
    if (stops(fault))
        forget_changes(h->inode); /* the kernel marks the pages clean: they never reach the disk */
    else if (fault == FN_FAULT_NONE)
        FN_TRY(make_durable(h->inode));
    return leave(d, fault);
}

static fn_err fault_fsync(const struct fn_files *f, int handle)
{
    LOCKED(f, do_fsync(d, handle));
}

static fn_err do_lock(struct fn_file_fault *d, int handle)
{
    struct handle *h;
    FN_TRY(get_handle(d, handle, ~0u, &h));
    if (h->inode->locked && !h->locks) return FN_FAIL(FN_E_LOCKED, "the file is locked");
    h->inode->locked = h->locks = true;
    return FN_OK;
}

static fn_err fault_lock(const struct fn_files *f, int handle)
{
    LOCKED(f, do_lock(d, handle));
}

static fn_err do_rename(struct fn_file_fault *d, const char *from, const char *to)
{
    enum fn_fault fault;
    struct name *source = find_name(d, from), *target;
    FN_TRY(enter(d, NEEDS_SPACE, &fault));
    if (!source || !source->now) return FN_FAIL(FN_E_NOT_FOUND, "%s", from);
    if (source->now->directory) return FN_FAIL(FN_E_UNSUPPORTED, "%s: renaming a directory", from);
    FN_TRY(check_parent(d, to));
    if (stops(fault)) return leave(d, fault);
    struct inode *inode = source->now;
    source->now = NULL;
    FN_TRY(name_slot(d, to, &target));
    target->now = inode;
    FN_TRY(note_name(d, NAME_MOVED, inode, from, to));
    return leave(d, fault);
}

static fn_err fault_rename(const struct fn_files *f, const char *from, const char *to)
{
    LOCKED(f, do_rename(d, from, to));
}

static fn_err do_unlink(struct fn_file_fault *d, const char *path)
{
    enum fn_fault fault;
    struct name *n = find_name(d, path);
    FN_TRY(enter(d, NEEDS_NO_SPACE, &fault));
    if (!n || !n->now) return FN_FAIL(FN_E_NOT_FOUND, "%s", path);
    if (n->now->directory) return FN_FAIL(FN_E_UNSUPPORTED, "%s: removing a directory", path);
    if (stops(fault)) return leave(d, fault);
    n->now = NULL;
    FN_TRY(note_name(d, NAME_REMOVED, NULL, path, NULL));
    return leave(d, fault);
}

static fn_err fault_unlink(const struct fn_files *f, const char *path)
{
    LOCKED(f, do_unlink(d, path));
}

static fn_err do_mkdir(struct fn_file_fault *d, const char *path)
{
    enum fn_fault fault;
    struct name *n;
    struct inode *inode;
    FN_TRY(enter(d, NEEDS_SPACE, &fault));
    FN_TRY(check_parent(d, path));
    FN_TRY(name_slot(d, path, &n));
    if (n->now) return FN_FAIL(FN_E_EXISTS, "%s", path);
    if (stops(fault)) return leave(d, fault);
    FN_TRY(new_inode(d, true, &inode));
    n->now = inode;
    FN_TRY(note_name(d, NAME_LINKED, inode, path, NULL));
    return leave(d, fault);
}

static fn_err fault_mkdir(const struct fn_files *f, const char *path, unsigned mode)
{
    (void)mode;
    LOCKED(f, do_mkdir(d, path));
}

static fn_err do_fsync_dir(struct fn_file_fault *d, const char *path)
{
    enum fn_fault fault;
    FN_TRY(enter(d, NEEDS_SPACE, &fault));
    struct name *n = find_name(d, path);
    if (!n || !n->now || !n->now->directory) return FN_FAIL(FN_E_NOT_FOUND, "directory %s", path);
    if (fault != FN_FAULT_NONE) return leave(d, fault);
    size_t kept = 0;
    for (size_t i = 0; i < d->journal_count; i++) {
        struct journal_entry *e = &d->journal[i];
        if (is_in(e->path, path) || (e->to && is_in(e->to, path))) {
            FN_TRY(apply_name(d, e));
            free_entry(e);
        } else {
            d->journal[kept++] = *e;
        }
    }
    d->journal_count = kept;
    return FN_OK;
}

static fn_err fault_fsync_dir(const struct fn_files *f, const char *path)
{
    LOCKED(f, do_fsync_dir(d, path));
}

static fn_err fault_list(const struct fn_files *f, const char *path,
                         fn_err (*each)(void *context, const char *name), void *context)
{
    struct fn_file_fault *d = disk_of(f);
    if (d->off) return FN_FAIL(FN_E_IO, "the power is off");
    struct name *directory = find_name(d, path);
    if (!directory || !directory->now || !directory->now->directory)
        return FN_FAIL(FN_E_NOT_FOUND, "directory %s", path);
    /* `each` may change the disk: not locked, and the list may grow or move meanwhile. */
    size_t count = d->name_count;
    for (size_t i = 0; i < count; i++) {
        const char *name = d->names[i].path;
        if (d->names[i].now && strcmp(name, path) && is_in(name, path))
            FN_TRY(each(context, name + parent_length(name) + 1));
    }
    return FN_OK;
}

/* --- the disk
 * ---------------------------------------------------------------------------------------------------------
 */

fn_err fn_file_fault_new(struct fn_file_fault **disk, const char *directory)
{
    struct fn_file_fault *d;
    FN_TRY(fn_heap_array(&d, 1, sizeof *d));
    pthread_mutex_init(&d->mutex, NULL);
    d->files =
        (struct fn_files){d,           fault_open,      fault_close, fault_read, fault_write,  fault_pwrite,
                          fault_size,  fault_truncate,  fault_fsync, fault_lock, fault_rename, fault_unlink,
                          fault_mkdir, fault_fsync_dir, fault_list};
    struct inode *root;
    struct name *n;
    fn_err err = new_inode(d, true, &root);
    if (err == FN_OK) err = name_slot(d, directory, &n);
    if (err != FN_OK) {
        fn_file_fault_free(d);
        return err;
    }
    n->now = n->durable = root;
    *disk = d;
    return FN_OK;
}

void fn_file_fault_free(struct fn_file_fault *disk)
{
    if (!disk) return;
    for (size_t i = 0; i < disk->inode_count; i++) {
        forget_changes(disk->inodes[i]);
        free(disk->inodes[i]->changes);
        fn_buf_free(&disk->inodes[i]->now);
        fn_buf_free(&disk->inodes[i]->durable);
        free(disk->inodes[i]);
    }
    for (size_t i = 0; i < disk->name_count; i++) free(disk->names[i].path);
    for (size_t i = 0; i < disk->journal_count; i++) free_entry(&disk->journal[i]);
    free(disk->inodes);
    free(disk->names);
    free(disk->journal);
    free(disk->handles);
    pthread_mutex_destroy(&disk->mutex);
    free(disk);
}

const struct fn_files *fn_file_fault_files(const struct fn_file_fault *disk)
{
    return &disk->files;
}

void fn_file_fault_arm(struct fn_file_fault *disk, enum fn_fault kind, uint64_t nth, bool lasting)
{
    disk->armed = kind;
    disk->armed_at = disk->calls + nth;
    disk->lasting = lasting;
    disk->met = false;
    disk->random = nth;
}

uint64_t fn_file_fault_calls(const struct fn_file_fault *disk)
{
    return disk->calls;
}
bool fn_file_fault_met(const struct fn_file_fault *disk)
{
    return disk->met;
}

void fn_file_fault_kill(struct fn_file_fault *disk)
{
    for (size_t i = 0; i < disk->handle_count; i++) disk->handles[i] = (struct handle){0};
    for (size_t i = 0; i < disk->inode_count; i++) disk->inodes[i]->locked = false;
}

/* What is durable becomes what is seen. Memory that runs out in a test ends the test. */
static void must(fn_err err)
{
    if (err != FN_OK) abort();
}

void fn_file_fault_power_cut(struct fn_file_fault *disk, enum fn_power how, uint64_t seed)
{
    uint64_t random = seed;
    for (size_t i = 0; i < disk->inode_count; i++) {
        struct inode *inode = disk->inodes[i];
        if (how == FN_POWER_KEEPS_ALL) must(make_durable(inode));
        if (how == FN_POWER_MIXED) must(keep_some(inode, &random));
        forget_changes(inode);
        inode->now.n = 0;
        must(put_bytes(&inode->now, 0, inode->durable.p, inode->durable.n));
    }
    size_t keep = how == FN_POWER_KEEPS_ALL ? disk->journal_count
                  : how == FN_POWER_MIXED   ? (size_t)(next_random(&random) % (disk->journal_count + 1))
                                            : 0;
    for (size_t i = 0; i < disk->journal_count; i++) {
        if (i < keep) must(apply_name(disk, &disk->journal[i]));
        free_entry(&disk->journal[i]);
    }
    disk->journal_count = 0;
    for (size_t i = 0; i < disk->name_count; i++) disk->names[i].now = disk->names[i].durable;
    fn_file_fault_kill(disk);
    disk->armed = FN_FAULT_NONE;
    disk->off = false;
}

fn_err fn_file_fault_flip(struct fn_file_fault *disk, const char *path, uint64_t offset, uint8_t mask)
{
    struct name *n = find_name(disk, path);
    if (!n || !n->now || n->now->directory) return FN_FAIL(FN_E_NOT_FOUND, "%s", path);
    if (offset >= n->now->now.n) return FN_FAIL(FN_E_TRUNCATED, "%s has %zu bytes", path, n->now->now.n);
    uint8_t byte = (uint8_t)(n->now->now.p[offset] ^ mask);
    return change(n->now, false, offset, &byte, 1);
}

static fn_err copy_name(struct fn_file_fault *to, const struct name *from)
{
    struct name *n;
    struct inode *inode;
    if (!from->now) return FN_OK;
    FN_TRY(new_inode(to, from->now->directory, &inode));
    FN_TRY(put_bytes(&inode->now, 0, from->now->now.p, from->now->now.n));
    FN_TRY(put_bytes(&inode->durable, 0, from->now->now.p, from->now->now.n));
    FN_TRY(name_slot(to, from->path, &n));
    n->now = n->durable = inode;
    return FN_OK;
}

fn_err fn_file_fault_clone(struct fn_file_fault **copy, const struct fn_file_fault *disk)
{
    struct fn_file_fault *d;
    FN_TRY(fn_file_fault_new(&d, disk->names[0].path));
    fn_err err = FN_OK;
    for (size_t i = 0; i < disk->name_count && err == FN_OK; i++) err = copy_name(d, &disk->names[i]);
    if (err != FN_OK) {
        fn_file_fault_free(d);
        return err;
    }
    *copy = d;
    return FN_OK;
}
