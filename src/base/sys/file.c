#include "base/sys/file.h"

#include "base/sys/heap.h"
#include "base/sys/os_err.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static fn_err real_open(const struct fn_files *f, const char *path, unsigned flags, unsigned mode,
                        int *handle)
{
    (void)f;
    /* Without O_NONBLOCK a pipe that somebody put there would hold us until somebody opens its other end. */
    int how = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    how |= flags & FN_FILE_WRITE ? (flags & FN_FILE_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
    if (flags & FN_FILE_CREATE) how |= O_CREAT;
    if (flags & FN_FILE_EXCLUSIVE) how |= O_EXCL;
    if (flags & FN_FILE_TRUNCATE) how |= O_TRUNC;
    if (flags & FN_FILE_APPEND) how |= O_APPEND;
    int fd = open(path, how, (mode_t)mode);
    if (fd < 0) return FN_FAIL_OS("%s", path);
    struct stat s;
    if (fstat(fd, &s) || S_ISFIFO(s.st_mode) || S_ISSOCK(s.st_mode) || S_ISCHR(s.st_mode)) {
        close(fd);
        return FN_FAIL(FN_E_IO, "%s is no file", path);
    }
    *handle = fd;
    return FN_OK;
}

static fn_err real_close(const struct fn_files *f, int handle)
{
    (void)f;
    /* On Linux the descriptor is gone even when close is interrupted. */
    if (close(handle) && errno != EINTR) return FN_FAIL_OS("close");
    return FN_OK;
}

static fn_err real_read(const struct fn_files *f, int handle, uint64_t offset, void *out, size_t n,
                        size_t *got)
{
    (void)f;
    *got = 0;
    while (*got < n) {
        ssize_t r = pread(handle, (uint8_t *)out + *got, n - *got, (off_t)(offset + *got));
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return FN_FAIL_OS("read of %zu bytes at %llu", n, (unsigned long long)offset);
        if (r == 0) break;
        *got += (size_t)r;
    }
    return FN_OK;
}

static fn_err real_write(const struct fn_files *f, int handle, const void *p, size_t n)
{
    (void)f;
    for (size_t done = 0; done < n;) {
        ssize_t r = write(handle, (const uint8_t *)p + done, n - done);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return FN_FAIL_OS("write of %zu bytes", n);
        done += (size_t)r;
    }
    return FN_OK;
}

static fn_err real_pwrite(const struct fn_files *f, int handle, uint64_t offset, const void *p, size_t n)
{
    (void)f;
    /* Linux appends whatever the offset when the descriptor was opened for appending. */
    if (fcntl(handle, F_GETFL) & O_APPEND)
        return FN_FAIL(FN_E_ARGUMENT, "write at an offset to an appending handle");
    for (size_t done = 0; done < n;) {
        ssize_t r = pwrite(handle, (const uint8_t *)p + done, n - done, (off_t)(offset + done));
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return FN_FAIL_OS("write of %zu bytes at %llu", n, (unsigned long long)offset);
        done += (size_t)r;
    }
    return FN_OK;
}

static fn_err real_size(const struct fn_files *f, int handle, uint64_t *size)
{
    (void)f;
    struct stat s;
    if (fstat(handle, &s)) return FN_FAIL_OS("size");
    *size = (uint64_t)s.st_size;
    return FN_OK;
}

static fn_err real_truncate(const struct fn_files *f, int handle, uint64_t size)
{
    (void)f;
    if (ftruncate(handle, (off_t)size)) return FN_FAIL_OS("truncate to %llu bytes", (unsigned long long)size);
    return FN_OK;
}

static fn_err real_fsync(const struct fn_files *f, int handle)
{
    (void)f;
    /* fdatasync also writes what is needed to read the data back, the size among it. */
    if (fdatasync(handle)) return FN_FAIL_OS("fsync");
    return FN_OK;
}

static fn_err real_lock(const struct fn_files *f, int handle)
{
    (void)f;
    if (flock(handle, LOCK_EX | LOCK_NB) == 0) return FN_OK;
    if (errno == EWOULDBLOCK) return FN_FAIL(FN_E_LOCKED, "the file is locked");
    return FN_FAIL_OS("lock");
}

static fn_err real_rename(const struct fn_files *f, const char *from, const char *to)
{
    (void)f;
    if (rename(from, to)) return FN_FAIL_OS("rename %s to %s", from, to);
    return FN_OK;
}

static fn_err real_unlink(const struct fn_files *f, const char *path)
{
    (void)f;
    if (unlink(path)) return FN_FAIL_OS("%s", path);
    return FN_OK;
}

static fn_err real_mkdir(const struct fn_files *f, const char *path, unsigned mode)
{
    (void)f;
    if (mkdir(path, (mode_t)mode)) return FN_FAIL_OS("%s", path);
    return FN_OK;
}

static fn_err real_fsync_dir(const struct fn_files *f, const char *path)
{
    (void)f;
    FN_SCOPED_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) return FN_FAIL_OS("fsync of %s", path);
    return FN_OK;
}

static fn_err real_list(const struct fn_files *f, const char *path,
                        fn_err (*each)(void *context, const char *name), void *context)
{
    (void)f;
    DIR *dir = opendir(path);
    if (!dir) return FN_FAIL_OS("%s", path);
    fn_err err = FN_OK;
    struct dirent *entry;
    while (err == FN_OK && (errno = 0, entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) err = each(context, entry->d_name);
    if (err == FN_OK && errno) err = FN_FAIL_OS("%s", path);
    closedir(dir);
    return err;
}

const struct fn_files *fn_files_real(void)
{
    static const struct fn_files real = {
        .open = real_open,
        .close = real_close,
        .read = real_read,
        .write = real_write,
        .pwrite = real_pwrite,
        .size = real_size,
        .truncate = real_truncate,
        .fsync = real_fsync,
        .lock = real_lock,
        .rename = real_rename,
        .unlink = real_unlink,
        .mkdir = real_mkdir,
        .fsync_dir = real_fsync_dir,
        .list = real_list,
    };
    return &real;
}

static fn_err read_into(const struct fn_files *f, int handle, const char *path, size_t most,
                        struct fn_buf *out)
{
    uint64_t size;
    FN_TRY(f->size(f, handle, &size));
    if (size > most)
        return FN_FAIL(FN_E_TOO_LARGE, "%s: %llu bytes, at most %zu", path, (unsigned long long)size, most);
    uint8_t *where;
    size_t got;
    FN_TRY(fn_buf_reserve(out, (size_t)size, &where));
    if (!size) return FN_OK;
    FN_TRY(f->read(f, handle, 0, where, (size_t)size, &got));
    out->n += got;
    return FN_OK;
}

fn_err fn_files_read_all(const struct fn_files *f, const char *path, size_t most, struct fn_buf *out)
{
    int handle;
    FN_TRY(f->open(f, path, FN_FILE_READ, 0, &handle));
    fn_err err = read_into(f, handle, path, most, out);
    f->close(f, handle);
    return err;
}

static fn_err write_new(const struct fn_files *f, int handle, struct fn_bytes content)
{
    if (content.n) FN_TRY(f->pwrite(f, handle, 0, content.p, content.n));
    return f->fsync(f, handle);
}

fn_err fn_files_replace(const struct fn_files *f, const char *path, struct fn_bytes content, unsigned mode)
{
    FN_SCOPED_HEAP char *fresh = NULL;
    FN_TRY(fn_heap_format(&fresh, "%s.new", path));
    int handle;
    FN_TRY(f->open(f, fresh, FN_FILE_WRITE | FN_FILE_CREATE | FN_FILE_TRUNCATE, mode, &handle));
    fn_err err = write_new(f, handle, content);
    if (err == FN_OK)
        err = f->close(f, handle);
    else
        f->close(f, handle);
    if (err != FN_OK) return FN_WRAP(err, "%s", fresh);
    FN_TRY(f->rename(f, fresh, path));
    return fn_files_fsync_parent(f, path);
}

fn_err fn_files_fsync_parent(const struct fn_files *f, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return f->fsync_dir(f, ".");
    FN_SCOPED_HEAP char *parent = NULL;
    FN_TRY(fn_heap_text(&parent, path, slash == path ? 1 : (size_t)(slash - path)));
    return f->fsync_dir(f, parent);
}
