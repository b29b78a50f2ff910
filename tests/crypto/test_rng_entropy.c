/* Entropy and random bytes for threads, with sources that break on purpose beside the real ones. */
#include "base/sys/entropy.h"
#include "base/sys/now.h"
#include "base/sys/random.h"
#include "base/sys/randomness.h"
#include "crypto/rng/health.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A source whose samples count up in steps (no repetition, even proportions), until told to break. */
struct scripted {
    uint8_t next;
    bool stuck, broken;
    size_t reads;
};

static fn_err scripted_read(void *self, uint8_t *samples, size_t n)
{
    struct scripted *s = self;
    s->reads++;
    if (s->broken) return FN_FAIL(FN_E_IO, "broken on purpose");
    for (size_t i = 0; i < n; i++) samples[i] = s->stuck ? 7 : s->next++;
    return FN_OK;
}

static struct fn_noise scripted(struct scripted *s, const char *name)
{
    return (struct fn_noise){name, {name, name}, scripted_read, s, 32};
}

static void real_sources(void **state)
{
    (void)state;
    struct fn_entropy *e;
    struct fn_entropy_status status;
    uint8_t a[64], b[64];
    assert_int_equal(fn_entropy_open(&e, NULL, 0, false), FN_OK);
    for (size_t n = 16; n <= 64; n += 16) {
        assert_int_equal(fn_entropy_collect(e, a, n), FN_OK);
        assert_int_equal(fn_entropy_collect(e, b, n), FN_OK);
        assert_memory_not_equal(a, b, n);
        assert_true(fn_randomness_single(a, n));
    }
    fn_entropy_status(e, &status);
    assert_int_equal(status.count, FN_NOISE_BUILT_IN);
    assert_true(status.ready >= 2);
    assert_false(status.degraded);
    assert_true(status.collections >= 8);
    for (size_t i = 0; i < status.count; i++) assert_true(status.source[i].state != FN_SOURCE_FAILED);
    assert_int_equal(fn_entropy_collect(e, a, 15), FN_E_ARGUMENT);
    assert_int_equal(fn_entropy_collect(e, a, 65), FN_E_ARGUMENT);
    fn_entropy_close(e);
}

/* The claim of the jitter source is modest: among 100,000 samples no value may take more than 2^-1/8 of all.
 */
static void jitter_keeps_its_claim(void **state)
{
    (void)state;
    static uint8_t samples[100000];
    size_t counts[256] = {0}, most = 0;
    assert_string_equal(fn_noise_built_in[1].name, "jitter");
    assert_int_equal(fn_noise_built_in[1].read(NULL, samples, sizeof samples), FN_OK);
    for (size_t i = 0; i < sizeof samples; i++) counts[samples[i]]++;
    for (size_t i = 0; i < 256; i++) most = counts[i] > most ? counts[i] : most;
    assert_true(most < sizeof samples * 917 / 1000);
}

static void one_lost_is_degraded(void **state)
{
    (void)state;
    struct scripted first = {0}, second = {0};
    struct fn_noise noise[2] = {scripted(&first, "first"), scripted(&second, "second")};
    struct fn_entropy *e;
    struct fn_entropy_status status;
    uint8_t out[32];
    assert_int_equal(fn_entropy_open(&e, noise, 2, true), FN_OK);
    assert_int_equal(fn_entropy_collect(e, out, 32), FN_OK);
    fn_entropy_status(e, &status);
    assert_int_equal(status.ready, 2);
    assert_false(status.degraded);
    second.stuck = true;
    assert_int_equal(fn_entropy_collect(e, out, 32), FN_OK);
    fn_entropy_status(e, &status);
    assert_int_equal(status.ready, 1);
    assert_true(status.degraded);
    assert_int_equal(status.source[0].state, FN_SOURCE_READY);
    assert_int_equal(status.source[1].state, FN_SOURCE_FAILED);
    assert_int_equal(status.source[1].failure, FN_SOURCE_REPETITION);
    char room[1000];
    struct fn_buf text = fn_buf_fixed(room, sizeof room);
    assert_int_equal(fn_entropy_describe(&status, FN_LANG_EN, &text), FN_OK);
    assert_int_equal(fn_buf_u8(&text, 0), FN_OK);
    assert_non_null(strstr(room, "second (second): failed, "));
    assert_non_null(strstr(room, "degraded"));
    text = fn_buf_fixed(room, sizeof room);
    assert_int_equal(fn_entropy_describe(&status, FN_LANG_ZH, &text), FN_OK);
    assert_int_equal(fn_buf_u8(&text, 0), FN_OK);
    assert_non_null(strstr(room, "降级"));
    /* A failed source is not asked again until somebody says so. */
    size_t reads = second.reads;
    second.stuck = false;
    assert_int_equal(fn_entropy_collect(e, out, 32), FN_OK);
    assert_int_equal(second.reads, reads);
    assert_int_equal(fn_entropy_recheck(e), FN_OK);
    fn_entropy_status(e, &status);
    assert_false(status.degraded);
    fn_entropy_close(e);
}

static void all_lost_is_an_error(void **state)
{
    (void)state;
    struct scripted first = {0}, second = {0};
    struct fn_noise noise[2] = {scripted(&first, "first"), scripted(&second, "second")};
    struct fn_entropy *e;
    uint8_t out[32];
    static const uint8_t zero[32];
    assert_int_equal(fn_entropy_open(&e, noise, 2, true), FN_OK);
    first.broken = second.stuck = true;
    memset(out, 1, sizeof out);
    assert_int_equal(fn_entropy_collect(e, out, 32), FN_E_RANDOM_SOURCE);
    assert_memory_equal(out, zero, sizeof out);
    assert_int_equal(fn_entropy_recheck(e), FN_E_RANDOM_SOURCE);
    first.broken = false;
    assert_int_equal(fn_entropy_collect(e, out, 32), FN_E_RANDOM_SOURCE);
    assert_int_equal(fn_entropy_recheck(e), FN_OK);
    assert_int_equal(fn_entropy_collect(e, out, 32), FN_OK);
    fn_entropy_close(e);
    first.broken = true;
    assert_int_equal(fn_entropy_open(&e, noise, 2, true), FN_E_RANDOM_SOURCE);
    assert_null(e);
    assert_int_equal(fn_entropy_open(&e, NULL, 0, true), FN_E_RANDOM_SOURCE);
    noise[0].entropy_eighths = 65;
    assert_int_equal(fn_entropy_open(&e, noise, 1, true), FN_E_ARGUMENT);
}

/* A source that repeats for one read and is well afterwards passes the start-up test again and stays. */
static fn_err hiccup_read(void *self, uint8_t *samples, size_t n)
{
    struct scripted *s = self;
    fn_err err = scripted_read(s, samples, n);
    s->stuck = false;
    return err;
}

static void one_failure_is_forgiven(void **state)
{
    (void)state;
    struct scripted s = {0};
    struct fn_noise noise = {"hiccup", {"hiccup", "hiccup"}, hiccup_read, &s, 32};
    struct fn_entropy *e;
    struct fn_entropy_status status;
    uint8_t out[32];
    assert_int_equal(fn_entropy_open(&e, &noise, 1, true), FN_OK);
    s.stuck = true;
    assert_int_equal(fn_entropy_collect(e, out, 32), FN_OK);
    fn_entropy_status(e, &status);
    assert_int_equal(status.source[0].state, FN_SOURCE_READY);
    assert_int_equal(status.source[0].failures, 1);
    assert_true(status.source[0].samples >= FN_HEALTH_STARTUP);
    fn_entropy_close(e);
}

static struct fn_entropy *open_real(void)
{
    struct fn_entropy *e;
    assert_int_equal(fn_entropy_open(&e, NULL, 0, false), FN_OK);
    return e;
}

static void requests_of_every_size(void **state)
{
    (void)state;
    struct fn_entropy *e = open_real();
    for (int kind = FN_DRBG_SM3_HASH; kind <= FN_DRBG_SM4_CTR; kind++) {
        struct fn_random_options options = {.kind = (enum fn_drbg_kind)kind,
                                            .personalisation = FN_BYTES_LITERAL("test")};
        struct fn_random *r;
        static uint8_t out[1200];
        assert_int_equal(fn_random_open(&r, e, &options), FN_OK);
        struct fn_rng rng = fn_random_rng(r);
        for (size_t n = 0; n < 1100; n += n < 40 ? 1 : 97) {
            memset(out, 0xa5, sizeof out);
            assert_int_equal(fn_rng_fill(&rng, out, n), FN_OK);
            for (size_t i = n; i < sizeof out; i++) assert_int_equal(out[i], 0xa5);
            if (n >= 16) assert_memory_not_equal(out, out + n / 2, n / 2);
        }
        fn_random_close(r);
    }
    fn_entropy_close(e);
}

/* No byte is handed out twice: sixteen-byte pieces over several refills and reseedings are all different. */
static int compare_pieces(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static void nothing_repeats(void **state)
{
    (void)state;
    struct fn_entropy *e = open_real();
    struct fn_random_options options = {.limits = {20, 60}};
    struct fn_random *r;
    struct fn_random_figures figures;
    static uint8_t pieces[5000][16];
    assert_int_equal(fn_random_open(&r, e, &options), FN_OK);
    struct fn_rng rng = fn_random_rng(r);
    for (size_t i = 0; i < FN_COUNT(pieces); i++) assert_int_equal(fn_rng_fill(&rng, pieces[i], 16), FN_OK);
    qsort(pieces, FN_COUNT(pieces), 16, compare_pieces);
    for (size_t i = 1; i < FN_COUNT(pieces); i++) assert_memory_not_equal(pieces[i - 1], pieces[i], 16);
    fn_random_figures(r, &figures);
    assert_true(figures.seedings >= sizeof pieces / (20 * 32));
    fn_random_close(r);
    fn_entropy_close(e);
}

/* Child and parent go different ways, and the child knows why. */
static void fork_separates(void **state)
{
    (void)state;
    struct fn_entropy *e = open_real();
    struct fn_random *r;
    struct fn_random_figures figures;
    int pipe_fd[2];
    uint8_t before[8], mine[32], childs[32];
    assert_int_equal(fn_random_open(&r, e, NULL), FN_OK);
    struct fn_rng rng = fn_random_rng(r);
    assert_int_equal(fn_rng_fill(&rng, before, sizeof before), FN_OK); /* leaves bytes in the buffer */
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool good = fn_rng_fill(&rng, childs, sizeof childs) == FN_OK;
        fn_random_figures(r, &figures);
        good = good && figures.after_fork == 1 && write(pipe_fd[1], childs, sizeof childs) == sizeof childs;
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(read(pipe_fd[0], childs, sizeof childs), sizeof childs);
    assert_int_equal(fn_rng_fill(&rng, mine, sizeof mine), FN_OK);
    assert_memory_not_equal(mine, childs, sizeof mine);
    fn_random_figures(r, &figures);
    assert_int_equal(figures.after_fork, 0);
    assert_int_equal(figures.seedings, 1);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    fn_random_close(r);
    fn_entropy_close(e);
}

static void seconds_run_out(void **state)
{
    (void)state;
    struct fn_entropy *e = open_real();
    struct fn_random_options options = {.limits = {1u << 20, 1}};
    struct fn_random *r;
    struct fn_random_figures figures;
    uint8_t out[16];
    assert_int_equal(fn_random_open(&r, e, &options), FN_OK);
    struct fn_rng rng = fn_random_rng(r);
    assert_int_equal(fn_rng_fill(&rng, out, sizeof out), FN_OK);
    fn_random_figures(r, &figures);
    assert_int_equal(figures.seedings, 1);
    usleep(1100000);
    assert_int_equal(fn_rng_fill(&rng, out, sizeof out), FN_OK);
    fn_random_figures(r, &figures);
    assert_int_equal(figures.seedings, 2);
    fn_random_drop(r);
    assert_int_equal(fn_rng_fill(&rng, out, sizeof out), FN_OK);
    fn_random_figures(r, &figures);
    assert_int_equal(figures.seedings, 3);
    assert_int_equal(figures.after_fork, 0);
    fn_random_close(r);
    fn_entropy_close(e);
}

/* When entropy is lost, the generator stops at its limit instead of going on. */
static void stops_without_entropy(void **state)
{
    (void)state;
    struct scripted s = {0};
    struct fn_noise noise = scripted(&s, "only");
    struct fn_entropy *e;
    struct fn_random *r;
    struct fn_random_options options = {.limits = {40, 60}};
    uint8_t out[512];
    assert_int_equal(fn_entropy_open(&e, &noise, 1, true), FN_OK);
    assert_int_equal(fn_random_open(&r, e, &options), FN_OK);
    struct fn_rng rng = fn_random_rng(r);
    s.broken = true;
    assert_int_equal(fn_rng_fill(&rng, out, 512), FN_OK); /* 16 calls */
    assert_int_equal(fn_rng_fill(&rng, out, 512), FN_OK);
    assert_int_equal(fn_rng_fill(&rng, out, 512), FN_E_RANDOM_SOURCE);
    assert_int_equal(fn_rng_fill(&rng, out, 512), FN_E_RANDOM_SOURCE);
    s.broken = false;
    assert_int_equal(fn_entropy_recheck(e), FN_OK);
    assert_int_equal(fn_rng_fill(&rng, out, 512), FN_OK);
    fn_random_close(r);
    fn_entropy_close(e);
}

static void *thread_main(void *argument)
{
    struct fn_random *r;
    struct fn_random_options options = {.limits = {5, 60}};
    uint8_t out[600];
    bool good = fn_random_open(&r, argument, &options) == FN_OK;
    struct fn_rng rng = fn_random_rng(r);
    for (int i = 0; good && i < 20; i++) good = fn_rng_fill(&rng, out, sizeof out) == FN_OK;
    fn_random_close(r);
    return good ? argument : NULL;
}

static void threads_share_entropy(void **state)
{
    (void)state;
    struct fn_entropy *e = open_real();
    pthread_t threads[4];
    for (size_t i = 0; i < FN_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, e), 0);
    for (size_t i = 0; i < FN_COUNT(threads); i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, e);
    }
    fn_entropy_close(e);
}

/* What a device does when it starts. */
static void output_passes_the_periodic_group(void **state)
{
    (void)state;
    struct fn_entropy *e = open_real();
    struct fn_random *r;
    struct fn_randomness_report report;
    assert_int_equal(fn_random_open(&r, e, NULL), FN_OK);
    struct fn_rng rng = fn_random_rng(r);
    assert_int_equal(fn_randomness_check(&fn_randomness_periodic, &rng, 3, &report), FN_OK);
    fn_random_close(r);
    fn_entropy_close(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_sources),
        cmocka_unit_test(jitter_keeps_its_claim),
        cmocka_unit_test(one_lost_is_degraded),
        cmocka_unit_test(all_lost_is_an_error),
        cmocka_unit_test(one_failure_is_forgiven),
        cmocka_unit_test(requests_of_every_size),
        cmocka_unit_test(nothing_repeats),
        cmocka_unit_test(fork_separates),
        cmocka_unit_test(seconds_run_out),
        cmocka_unit_test(stops_without_entropy),
        cmocka_unit_test(threads_share_entropy),
        cmocka_unit_test(output_passes_the_periodic_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
