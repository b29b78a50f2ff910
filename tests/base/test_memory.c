/* Heap buffers, secrets in locked pages, process hardening, clocks. */
#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include "base/sys/secret.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

static void heap_buffer_grows_and_keeps_content(void **state)
{
    (void)state;
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    for (uint32_t i = 0; i < 5000; i++) assert_int_equal(fn_buf_u32(&b, i), FN_OK);
    assert_int_equal(b.n, 20000);
    struct fn_cur c = fn_cur(fn_buf_view(&b));
    for (uint32_t i = 0, v; i < 5000; i++) {
        assert_int_equal(fn_cur_u32(&c, &v), FN_OK);
        assert_int_equal(v, i);
    }
    fn_buf_free(&b);
    assert_null(b.p);
    assert_int_equal(fn_buf_text(&b, "again"), FN_OK);
    uint8_t storage[4];
    struct fn_buf fixed = fn_buf_fixed(storage, sizeof storage);
    assert_int_equal(fn_buf_text(&fixed, "12345"), FN_E_TOO_LARGE);
    fn_buf_free(&fixed);
    assert_ptr_equal(fixed.p, storage);
}

static void arrays_check_overflow(void **state)
{
    (void)state;
    void *p = NULL;
    assert_int_equal(fn_heap_array(&p, SIZE_MAX / 2, 4), FN_E_NO_MEMORY);
    assert_null(p);
    int *numbers = NULL;
    size_t room = 0;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(fn_heap_grow(&numbers, &room, (size_t)i + 1, sizeof *numbers), FN_OK);
        assert_int_equal(numbers[i], 0);
        numbers[i] = i + 1;
    }
    assert_int_equal(numbers[50], 51);
    assert_int_equal(fn_heap_grow(&numbers, &room, SIZE_MAX / 2, sizeof *numbers), FN_E_NO_MEMORY);
    free(numbers);
    FN_SCOPED_HEAP char *text = NULL;
    assert_int_equal(fn_heap_format(&text, "%s-%d", "封泥", 7), FN_OK);
    assert_string_equal(text, "封泥-7");
}

static void secrets_are_apart_zeroed_and_wiped(void **state)
{
    (void)state;
    enum { N = 3000 };
    static uint8_t *pieces[N];
    struct fn_secret_figures before, during, after;
    fn_secret_figures(&before);
    for (int i = 0; i < N; i++) {
        size_t size = (size_t)(i * 7 % 5000) + 1;
        assert_int_equal(fn_secret_alloc(&pieces[i], size), FN_OK);
        assert_int_equal((uintptr_t)pieces[i] % 32, 0);
        for (size_t k = 0; k < size; k++) assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], i & 255, size);
    }
    for (int i = 0; i < N; i++) {
        size_t size = (size_t)(i * 7 % 5000) + 1;
        assert_int_equal(pieces[i][0], i & 255);
        assert_int_equal(pieces[i][size - 1], i & 255);
    }
    fn_secret_figures(&during);
    assert_int_equal(during.pieces - before.pieces, N);
    assert_true(during.locked_bytes + during.unlocked_bytes > before.locked_bytes + before.unlocked_bytes);
    for (int i = 0; i < N; i += 2) fn_secret_free(pieces[i]);
    for (int i = 1; i < N; i += 2) assert_int_equal(pieces[i][0], i & 255);
    for (int i = 1; i < N; i += 2) fn_secret_free(pieces[i]);
    fn_secret_figures(&after);
    assert_int_equal(after.pieces, before.pieces);
    uint8_t *first, *second;
    assert_int_equal(fn_secret_alloc(&first, 64), FN_OK);
    memset(first, 0xa5, 64);
    fn_secret_free(first);
    assert_int_equal(fn_secret_alloc(&second, 64), FN_OK);
    for (int i = 0; i < 64; i++) assert_int_equal(second[i], 0);
    fn_secret_free(second);
    fn_secret_free(NULL);
}

/* Exit status or signal of a child that runs `act`. */
static int in_child(void (*act)(void *), void *context)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        act(context);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void touch(void *p)
{
    *(volatile uint8_t *)p = 1;
}
static void free_twice(void *p)
{
    fn_secret_free(p);
    fn_secret_free(p);
}

static void guard_pages_and_double_free_are_caught(void **state)
{
    (void)state;
    uint8_t *p, *large;
    assert_int_equal(fn_secret_alloc(&p, 4096), FN_OK);
    assert_int_equal(fn_secret_alloc(&large, 100000), FN_OK);
    assert_int_equal(in_child(touch, large + 99999), 0);
    assert_int_equal(in_child(touch, large + 102400), 1000 + SIGSEGV);
    assert_int_equal(in_child(touch, large - 1), 1000 + SIGSEGV);
    assert_int_equal(in_child(free_twice, p), 1000 + SIGABRT);
    fn_secret_free(p);
    fn_secret_free(large);
}

static void exit_first_byte(void *p)
{
    _exit(*(uint8_t *)p);
}

static void forkless_memory_is_empty_in_a_child(void **state)
{
    (void)state;
    uint8_t *plain, *forkless;
    assert_int_equal(fn_secret_alloc(&plain, 16), FN_OK);
    assert_int_equal(fn_secret_alloc_forkless(&forkless, 16), FN_OK);
    plain[0] = forkless[0] = 77;
    assert_int_equal(in_child(exit_first_byte, plain), 77);
    assert_int_equal(in_child(exit_first_byte, forkless), 0);
    assert_int_equal(forkless[0], 77);
    fn_secret_free(plain);
    fn_secret_free(forkless);
}

static void beyond_lock_limit(void *unused)
{
    (void)unused;
    struct rlimit none = {0, 0};
    /* The limit does not bind a process with CAP_IPC_LOCK. */
    if (setrlimit(RLIMIT_MEMLOCK, &none) || setuid(65534)) _exit(1);
    void *p;
    struct fn_secret_figures f;
    if (fn_secret_alloc(&p, 100000) != FN_OK) _exit(2);
    fn_secret_figures(&f);
    _exit(f.unlocked_bytes >= 100000 ? 0 : 3);
}

static void lock_limit_is_counted_not_fatal(void **state)
{
    (void)state;
    if (geteuid() != 0) skip();
    assert_int_equal(in_child(beyond_lock_limit, NULL), 0);
}

static void harden(void *unused)
{
    (void)unused;
    struct rlimit core;
    if (fn_process_harden() != FN_OK) _exit(1);
    if (prctl(PR_GET_DUMPABLE) != 0) _exit(2);
    if (getrlimit(RLIMIT_CORE, &core) || core.rlim_max != 0) _exit(3);
    if (umask(0) != 077) _exit(4);
}

static void hardened_process_is_not_dumpable(void **state)
{
    (void)state;
    assert_int_equal(in_child(harden, NULL), 0);
}

static void *churn(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2000; i++) {
        uint8_t *p;
        if (fn_secret_alloc(&p, (size_t)(i % 200) + 1) != FN_OK) return "no memory";
        p[0] = 9;
        fn_secret_free(p);
    }
    return NULL;
}

static void secrets_are_safe_for_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
}

static void secret_buffer_lives_in_secret_memory(void **state)
{
    (void)state;
    struct fn_secret_figures before, during;
    fn_secret_figures(&before);
    struct fn_buf b = fn_buf_secret();
    for (int i = 0; i < 1000; i++) assert_int_equal(fn_buf_text(&b, "0123456789"), FN_OK);
    fn_secret_figures(&during);
    assert_int_equal(during.pieces, before.pieces + 1);
    assert_memory_equal(b.p + 9990, "0123456789", 10);
    fn_buf_free(&b);
    fn_secret_figures(&during);
    assert_int_equal(during.pieces, before.pieces);
}

static void clock_steps_are_told_from_slewing(void **state)
{
    (void)state;
    struct fn_clock_watch w = {.offset_ms = 1000000, .threshold_ms = 500};
    assert_int_equal(fn_clock_watch_rule(&w, 1000100, 100), 0);
    assert_int_equal(fn_clock_watch_rule(&w, 1000200 + 499, 200), 0);
    assert_int_equal(fn_clock_watch_rule(&w, 1000300 + 499 - 3600000, 300), -3600000);
    assert_int_equal(fn_clock_watch_rule(&w, 1000400 + 499 - 3600000, 400), 0);
    assert_int_equal(fn_clock_watch_rule(&w, 1000500 + 499, 500), 3600000);
    fn_clock_watch_start(&w);
    assert_int_equal(fn_clock_watch_look(&w), 0);
    int fd;
    assert_int_equal(fn_clock_watch_fd(&fd), FN_OK);
    uint64_t ticks;
    assert_int_equal(read(fd, &ticks, sizeof ticks), -1);
    assert_int_equal(errno, EAGAIN);
    close(fd);
    int64_t a = fn_monotonic_ns();
    assert_true(fn_monotonic_ns() >= a);
    assert_true(fn_now_ms() / 1000 - (int64_t)time(NULL) <= 1);
}

static void errno_becomes_a_number(void **state)
{
    (void)state;
    assert_int_equal(fn_os_err(ENOSPC), FN_E_DISK_FULL);
    assert_int_equal(fn_os_err(EROFS), FN_E_READ_ONLY);
    assert_int_equal(fn_os_err(EINVAL), FN_E_IO);
    errno = ENOENT;
    assert_int_equal(FN_FAIL_OS("%s", "/x"), FN_E_NOT_FOUND);
    const struct fn_err_cause *causes;
    assert_int_equal(fn_err_chain(&causes), 1);
    assert_string_equal(causes[0].detail, "/x: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_buffer_grows_and_keeps_content),
        cmocka_unit_test(arrays_check_overflow),
        cmocka_unit_test(secrets_are_apart_zeroed_and_wiped),
        cmocka_unit_test(guard_pages_and_double_free_are_caught),
        cmocka_unit_test(forkless_memory_is_empty_in_a_child),
        cmocka_unit_test(lock_limit_is_counted_not_fatal),
        cmocka_unit_test(hardened_process_is_not_dumpable),
        cmocka_unit_test(secrets_are_safe_for_threads),
        cmocka_unit_test(secret_buffer_lives_in_secret_memory),
        cmocka_unit_test(clock_steps_are_told_from_slewing),
        cmocka_unit_test(errno_becomes_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
