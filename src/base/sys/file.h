/* The file layer under everything that must survive a crash. It is a table of functions so that a test can put a failing disk
 * or a power cut (file_fault.h) under the same code. Handles are small numbers of the layer that gave them. */
#ifndef FN_BASE_SYS_FILE_H
#define FN_BASE_SYS_FILE_H

#include "base/core/bytes.h"

enum {
    FN_FILE_READ = 1,
    FN_FILE_WRITE = 2,
    FN_FILE_CREATE = 4,
    FN_FILE_EXCLUSIVE = 8, /* with CREATE: FN_E_EXISTS when it is there */
    FN_FILE_TRUNCATE = 16,
    FN_FILE_APPEND = 32, /* `write` appends; `pwrite` is refused */
};

/* All fail with FN_E_DISK_FULL, FN_E_READ_ONLY, FN_E_NOT_FOUND, FN_E_EXISTS, FN_E_DENIED or FN_E_IO; the detail names the path.
 * After a failed write any part of it may be in the file; after a failed sync nothing written since the last good sync of
 * that file can be relied on, and a later good sync does not change that: the caller stops and recovers. */
struct fn_files {
    void *self;
    /* Symbolic links as the last component are refused, so are pipes and devices; descriptors close on exec. */
    fn_err (*open)(const struct fn_files *f, const char *path, unsigned flags, unsigned mode, int *handle);
    fn_err (*close)(const struct fn_files *f, int handle);
    /* At an offset; *got < n only at the end of the file. */
    fn_err (*read)(const struct fn_files *f, int handle, uint64_t offset, void *out, size_t n, size_t *got);
    /* Appends all n bytes; the handle was opened with FN_FILE_APPEND. */
    fn_err (*write)(const struct fn_files *f, int handle, const void *p, size_t n);
    /* All n bytes at an offset. */
    fn_err (*pwrite)(const struct fn_files *f, int handle, uint64_t offset, const void *p, size_t n);
    fn_err (*size)(const struct fn_files *f, int handle, uint64_t *size);
    fn_err (*truncate)(const struct fn_files *f, int handle, uint64_t size);
    /* Content (and size) durable. */
    fn_err (*fsync)(const struct fn_files *f, int handle);
    /* Exclusive lock held until close, against other processes and other handles; FN_E_LOCKED. */
    fn_err (*lock)(const struct fn_files *f, int handle);
    fn_err (*rename)(const struct fn_files *f, const char *from, const char *to);
    fn_err (*unlink)(const struct fn_files *f, const char *path);
    fn_err (*mkdir)(const struct fn_files *f, const char *path, unsigned mode);
    /* Names in the directory durable: creations, renames, removals. */
    fn_err (*fsync_dir)(const struct fn_files *f, const char *path);
    /* Calls `each` for every name except "." and ".."; stops at its first failure and returns it. */
    fn_err (*list)(const struct fn_files *f, const char *path, fn_err (*each)(void *context, const char *name), void *context);
};

/* The real one, over the operating system. */
const struct fn_files *fn_files_real(void);

/* Built on the table. */
/* Whole content appended to `out`; FN_E_TOO_LARGE beyond `most` bytes. */
fn_err fn_files_read_all(const struct fn_files *f, const char *path, size_t most, struct fn_buf *out);
/* Replaces a file so that after a crash either the old or the new content is there: PATH.new, fsync, rename, fsync of the
 * directory. Returns when the new content is durable. */
fn_err fn_files_replace(const struct fn_files *f, const char *path, struct fn_bytes content, unsigned mode);
/* fsync of the directory that holds path. */
fn_err fn_files_fsync_parent(const struct fn_files *f, const char *path);

#endif
