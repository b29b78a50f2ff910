/* The file layer: the real one, and the disk that fails. */
#include "base/sys/file_fault.h"
#include "base/sys/heap.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/fn-file-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[80];
    fn_format(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static fn_err count_name(void *context, const char *name)
{
    assert_true(strlen(name) > 0 && !strchr(name, '/'));
    ++*(int *)context;
    return FN_OK;
}

static fn_err stop_at_once(void *context, const char *name)
{
    (void)context;
    (void)name;
    return FN_E_CANCELLED;
}

/* The same behaviour is asked of both layers. */
static void exercise(const struct fn_files *f, const char *root)
{
    char a[80], b[80], sub[80], inner[80];
    fn_format(a, sizeof a, "%s/a", root);
    fn_format(b, sizeof b, "%s/b", root);
    fn_format(sub, sizeof sub, "%s/sub", root);
    fn_format(inner, sizeof inner, "%s/sub/inner", root);
    int h, h2;
    assert_int_equal(f->open(f, a, FN_FILE_READ, 0, &h), FN_E_NOT_FOUND);
    assert_int_equal(f->open(f, inner, FN_FILE_WRITE | FN_FILE_CREATE, 0600, &h), FN_E_NOT_FOUND);
    assert_int_equal(
        f->open(f, a, FN_FILE_READ | FN_FILE_WRITE | FN_FILE_CREATE | FN_FILE_EXCLUSIVE, 0600, &h), FN_OK);
    assert_int_equal(f->open(f, a, FN_FILE_WRITE | FN_FILE_CREATE | FN_FILE_EXCLUSIVE, 0600, &h2),
                     FN_E_EXISTS);
    assert_int_equal(f->pwrite(f, h, 3, "defg", 4), FN_OK);
    assert_int_equal(f->write(f, h, "x", 1) == FN_OK, f == fn_files_real());
    assert_int_equal(f->truncate(f, h, 7), FN_OK);
    assert_int_equal(f->pwrite(f, h, 0, "abc", 3), FN_OK);
    assert_int_equal(f->fsync(f, h), FN_OK);
    uint8_t got[20];
    size_t n;
    assert_int_equal(f->read(f, h, 2, got, sizeof got, &n), FN_OK);
    assert_int_equal(n, 5);
    assert_memory_equal(got, "cdefg", 5);
    assert_int_equal(f->read(f, h, 100, got, sizeof got, &n), FN_OK);
    assert_int_equal(n, 0);
    uint64_t size;
    assert_int_equal(f->size(f, h, &size), FN_OK);
    assert_int_equal(size, 7);
    assert_int_equal(f->open(f, a, FN_FILE_READ, 0, &h2), FN_OK);
    assert_int_equal(f->pwrite(f, h2, 0, "z", 1), FN_E_IO);
    assert_int_equal(f->lock(f, h), FN_OK);
    assert_int_equal(f->lock(f, h), FN_OK);
    assert_int_equal(f->lock(f, h2), FN_E_LOCKED);
    assert_int_equal(f->close(f, h), FN_OK);
    assert_int_equal(f->lock(f, h2), FN_OK);
    assert_int_equal(f->close(f, h2), FN_OK);
    assert_int_equal(f->open(f, a, FN_FILE_WRITE | FN_FILE_APPEND, 0, &h), FN_OK);
    assert_int_equal(f->write(f, h, "hij", 3), FN_OK);
    assert_int_equal(f->pwrite(f, h, 0, "z", 1), FN_E_ARGUMENT);
    assert_int_equal(f->close(f, h), FN_OK);
    assert_int_equal(f->rename(f, a, b), FN_OK);
    assert_int_equal(f->rename(f, a, b), FN_E_NOT_FOUND);
    FN_SCOPED_BUF struct fn_buf content = fn_buf_heap();
    assert_int_equal(fn_files_read_all(f, b, 100, &content), FN_OK);
    assert_int_equal(content.n, 10);
    assert_memory_equal(content.p, "abcdefghij", 10);
    assert_int_equal(fn_files_read_all(f, b, 9, &content), FN_E_TOO_LARGE);
    assert_int_equal(f->mkdir(f, sub, 0700), FN_OK);
    assert_int_equal(f->mkdir(f, sub, 0700), FN_E_EXISTS);
    assert_int_equal(fn_files_replace(f, inner, fn_bytes("one", 3), 0600), FN_OK);
    assert_int_equal(fn_files_replace(f, inner, fn_bytes("", 0), 0600), FN_OK);
    content.n = 0;
    assert_int_equal(fn_files_read_all(f, inner, 100, &content), FN_OK);
    assert_int_equal(content.n, 0);
    int names = 0;
    assert_int_equal(f->list(f, root, count_name, &names), FN_OK);
    assert_int_equal(names, 2);
    assert_int_equal(f->list(f, root, stop_at_once, NULL), FN_E_CANCELLED);
    assert_int_equal(f->list(f, a, count_name, &names), FN_E_NOT_FOUND);
    assert_int_equal(f->unlink(f, inner), FN_OK);
    assert_int_equal(f->unlink(f, inner), FN_E_NOT_FOUND);
    assert_int_equal(f->fsync_dir(f, root), FN_OK);
}

static void real_files_behave(void **state)
{
    (void)state;
    exercise(fn_files_real(), folder);
    char link_path[80];
    fn_format(link_path, sizeof link_path, "%s/link", folder);
    assert_int_equal(symlink("b", link_path), 0);
    int h;
    assert_int_not_equal(fn_files_real()->open(fn_files_real(), link_path, FN_FILE_READ, 0, &h), FN_OK);
    struct stat s;
    fn_format(link_path, sizeof link_path, "%s/sub/kept", folder);
    assert_int_equal(fn_files_replace(fn_files_real(), link_path, fn_bytes("x", 1), 0640), FN_OK);
    assert_int_equal(stat(link_path, &s), 0);
    assert_int_equal(s.st_mode & 07777 & ~0640, 0);
}

static struct fn_file_fault *fresh(void)
{
    struct fn_file_fault *d;
    assert_int_equal(fn_file_fault_new(&d, "/d"), FN_OK);
    return d;
}

/* A pipe in the place of a file neither holds the reader up nor passes for an empty file. */
static void pipes_and_devices_are_no_files(void **state)
{
    (void)state;
    const struct fn_files *f = fn_files_real();
    char place[] = "/tmp/fn-pipe-XXXXXX", path[60];
    int handle;
    assert_non_null(mkdtemp(place));
    fn_format(path, sizeof path, "%s/pipe", place);
    assert_int_equal(mkfifo(path, 0600), 0);
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    alarm(20);
    assert_int_equal(fn_files_read_all(f, path, 100, &b), FN_E_IO);
    assert_int_equal(f->open(f, path, FN_FILE_READ | FN_FILE_WRITE, 0, &handle), FN_E_IO);
    assert_int_equal(fn_files_read_all(f, "/dev/zero", 100, &b), FN_E_IO);
    alarm(0);
    unlink(path);
    rmdir(place);
}

static void failing_files_behave_when_they_do_not_fail(void **state)
{
    (void)state;
    struct fn_file_fault *d = fresh();
    exercise(fn_file_fault_files(d), "/d");
    fn_file_fault_free(d);
}

static void expect(const struct fn_files *f, const char *path, const char *content)
{
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    fn_err err = fn_files_read_all(f, path, 1000, &b);
    assert_int_equal(err, content ? FN_OK : FN_E_NOT_FOUND);
    if (content) assert_true(fn_bytes_equal(fn_buf_view(&b), fn_bytes(content, strlen(content))));
}

static void power_cut_forgets_what_was_not_synced(void **state)
{
    (void)state;
    struct fn_file_fault *d = fresh();
    const struct fn_files *f = fn_file_fault_files(d);
    int h;
    assert_int_equal(f->open(f, "/d/x", FN_FILE_WRITE | FN_FILE_CREATE, 0600, &h), FN_OK);
    assert_int_equal(f->pwrite(f, h, 0, "one", 3), FN_OK);
    assert_int_equal(f->fsync(f, h), FN_OK);
    /* The content is durable, the name is not. */
    fn_file_fault_power_cut(d, FN_POWER_DROPS_ALL, 0);
    expect(f, "/d/x", NULL);
    assert_int_equal(f->close(f, h), FN_E_IO);
    assert_int_equal(fn_files_replace(f, "/d/x", fn_bytes("one", 3), 0600), FN_OK);
    fn_file_fault_power_cut(d, FN_POWER_DROPS_ALL, 0);
    expect(f, "/d/x", "one");
    assert_int_equal(f->open(f, "/d/x", FN_FILE_WRITE, 0600, &h), FN_OK);
    assert_int_equal(f->pwrite(f, h, 1, "XYZ", 3), FN_OK);
    expect(f, "/d/x", "oXYZ");
    fn_file_fault_power_cut(d, FN_POWER_DROPS_ALL, 0);
    expect(f, "/d/x", "one");
    assert_int_equal(f->unlink(f, "/d/x"), FN_OK);
    expect(f, "/d/x", NULL);
    fn_file_fault_power_cut(d, FN_POWER_DROPS_ALL, 0);
    expect(f, "/d/x", "one");
    assert_int_equal(f->unlink(f, "/d/x"), FN_OK);
    fn_file_fault_power_cut(d, FN_POWER_KEEPS_ALL, 0);
    expect(f, "/d/x", NULL);
    fn_file_fault_free(d);
}

static void mixed_power_cut_tears(void **state)
{
    (void)state;
    int kept = 0, dropped = 0, torn = 0, zeros = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct fn_file_fault *d = fresh();
        const struct fn_files *f = fn_file_fault_files(d);
        assert_int_equal(fn_files_replace(f, "/d/x", fn_bytes("", 0), 0600), FN_OK);
        int h;
        assert_int_equal(f->open(f, "/d/x", FN_FILE_WRITE, 0600, &h), FN_OK);
        assert_int_equal(f->pwrite(f, h, 0, "content!", 8), FN_OK);
        fn_file_fault_power_cut(d, FN_POWER_MIXED, seed);
        FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
        assert_int_equal(fn_files_read_all(f, "/d/x", 100, &b), FN_OK);
        if (b.n == 0)
            dropped++;
        else if (b.n < 8)
            torn++, assert_memory_equal(b.p, "content!", b.n);
        else if (!memcmp(b.p, "content!", 8))
            kept++;
        else
            zeros++, assert_memory_equal(b.p, "\0\0\0\0\0\0\0", 8);
        fn_file_fault_free(d);
    }
    assert_true(kept > 20 && dropped > 20 && torn > 20 && zeros > 20);
}

static void failed_fsync_loses_for_good(void **state)
{
    (void)state;
    struct fn_file_fault *d = fresh();
    const struct fn_files *f = fn_file_fault_files(d);
    int h;
    assert_int_equal(fn_files_replace(f, "/d/x", fn_bytes("old", 3), 0600), FN_OK);
    assert_int_equal(f->open(f, "/d/x", FN_FILE_WRITE, 0600, &h), FN_OK);
    assert_int_equal(f->pwrite(f, h, 0, "new", 3), FN_OK);
    fn_file_fault_arm(d, FN_FAULT_IO, 1, false);
    assert_int_equal(f->fsync(f, h), FN_E_IO);
    assert_true(fn_file_fault_met(d));
    assert_int_equal(f->fsync(f, h), FN_OK);
    expect(f, "/d/x", "new");
    fn_file_fault_power_cut(d, FN_POWER_KEEPS_ALL, 0);
    expect(f, "/d/x", "old");
    fn_file_fault_free(d);
}

static void full_and_read_only_disks(void **state)
{
    (void)state;
    struct fn_file_fault *d = fresh();
    const struct fn_files *f = fn_file_fault_files(d);
    assert_int_equal(fn_files_replace(f, "/d/x", fn_bytes("old", 3), 0600), FN_OK);
    fn_file_fault_arm(d, FN_FAULT_DISK_FULL, 1, true);
    assert_int_equal(fn_files_replace(f, "/d/x", fn_bytes("new", 3), 0600), FN_E_DISK_FULL);
    assert_int_equal(fn_files_replace(f, "/d/x", fn_bytes("new", 3), 0600), FN_E_DISK_FULL);
    expect(f, "/d/x", "old");
    assert_int_equal(f->unlink(f, "/d/x"), FN_OK);
    fn_file_fault_arm(d, FN_FAULT_READ_ONLY, 1, true);
    int h;
    assert_int_equal(f->open(f, "/d/y", FN_FILE_WRITE | FN_FILE_CREATE, 0600, &h), FN_E_READ_ONLY);
    fn_file_fault_arm(d, FN_FAULT_NONE, 0, false);
    assert_int_equal(f->open(f, "/d/y", FN_FILE_WRITE | FN_FILE_CREATE, 0600, &h), FN_OK);
    fn_file_fault_free(d);
}

/* The promise of fn_files_replace at every point and for many cuts: old or new, never anything else; new once
 * it has returned. */
static void replace_survives_a_cut_anywhere(void **state)
{
    (void)state;
    struct fn_file_fault *d = fresh();
    const struct fn_files *f = fn_file_fault_files(d);
    assert_int_equal(fn_files_replace(f, "/d/x", fn_bytes("first", 5), 0600), FN_OK);
    uint64_t before = fn_file_fault_calls(d);
    assert_int_equal(fn_files_replace(f, "/d/x", fn_bytes("second", 6), 0600), FN_OK);
    uint64_t points = fn_file_fault_calls(d) - before;
    assert_int_equal(points, 5); /* create, write, fsync, rename, fsync of the directory */
    fn_file_fault_free(d);
    int old_seen = 0, new_seen = 0;
    for (uint64_t point = 1; point <= points + 1; point++)
        for (uint64_t seed = 0; seed < 60; seed++) {
            d = fresh();
            f = fn_file_fault_files(d);
            assert_int_equal(fn_files_replace(f, "/d/x", fn_bytes("first", 5), 0600), FN_OK);
            fn_file_fault_arm(d, FN_FAULT_POWER, point, false);
            bool done = fn_files_replace(f, "/d/x", fn_bytes("second", 6), 0600) == FN_OK;
            assert_int_equal(done, point > points);
            fn_file_fault_power_cut(d,
                                    seed == 0   ? FN_POWER_DROPS_ALL
                                    : seed == 1 ? FN_POWER_KEEPS_ALL
                                                : FN_POWER_MIXED,
                                    seed);
            FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
            assert_int_equal(fn_files_read_all(f, "/d/x", 100, &b), FN_OK);
            bool is_new = fn_bytes_equal(fn_buf_view(&b), fn_bytes("second", 6));
            assert_true(is_new || fn_bytes_equal(fn_buf_view(&b), fn_bytes("first", 5)));
            assert_true(is_new || !done);
            *(is_new ? &new_seen : &old_seen) += 1;
            fn_file_fault_free(d);
        }
    assert_true(old_seen > 100 && new_seen > 60);
}

/* The disk must be able to show a mistake: rename without fsync of the content loses it. */
static void a_missing_fsync_is_found(void **state)
{
    (void)state;
    int lost = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct fn_file_fault *d = fresh();
        const struct fn_files *f = fn_file_fault_files(d);
        int h;
        assert_int_equal(fn_files_replace(f, "/d/x", fn_bytes("first", 5), 0600), FN_OK);
        assert_int_equal(f->open(f, "/d/x.new", FN_FILE_WRITE | FN_FILE_CREATE, 0600, &h), FN_OK);
        assert_int_equal(f->pwrite(f, h, 0, "second", 6), FN_OK);
        assert_int_equal(f->close(f, h), FN_OK);
        assert_int_equal(f->rename(f, "/d/x.new", "/d/x"), FN_OK);
        assert_int_equal(f->fsync_dir(f, "/d"), FN_OK);
        fn_file_fault_power_cut(d, FN_POWER_MIXED, seed);
        FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
        assert_int_equal(fn_files_read_all(f, "/d/x", 100, &b), FN_OK);
        lost += !fn_bytes_equal(fn_buf_view(&b), fn_bytes("second", 6));
        fn_file_fault_free(d);
    }
    assert_true(lost > 20);
}

static void damage_and_old_copies(void **state)
{
    (void)state;
    struct fn_file_fault *d = fresh(), *copy;
    const struct fn_files *f = fn_file_fault_files(d);
    assert_int_equal(fn_files_replace(f, "/d/x", fn_bytes("abc", 3), 0600), FN_OK);
    assert_int_equal(fn_file_fault_clone(&copy, d), FN_OK);
    assert_int_equal(fn_file_fault_flip(d, "/d/x", 1, 0x20), FN_OK);
    expect(f, "/d/x", "aBc");
    expect(fn_file_fault_files(copy), "/d/x", "abc");
    assert_int_equal(fn_file_fault_flip(d, "/d/x", 3, 1), FN_E_TRUNCATED);
    assert_int_equal(fn_file_fault_flip(d, "/d/y", 0, 1), FN_E_NOT_FOUND);
    fn_file_fault_free(d);
    fn_file_fault_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_files_behave),
        cmocka_unit_test(pipes_and_devices_are_no_files),
        cmocka_unit_test(failing_files_behave_when_they_do_not_fail),
        cmocka_unit_test(power_cut_forgets_what_was_not_synced),
        cmocka_unit_test(mixed_power_cut_tears),
        cmocka_unit_test(failed_fsync_loses_for_good),
        cmocka_unit_test(full_and_read_only_disks),
        cmocka_unit_test(replace_survives_a_cut_anywhere),
        cmocka_unit_test(a_missing_fsync_is_found),
        cmocka_unit_test(damage_and_old_copies),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
