#include "base/sys/entropy.h"

#include "base/sys/heap.h"
#include "base/sys/randomness.h"
#include "base/sys/secret.h"
#include "crypto/rng/health.h"
#include "crypto/sm3/sm3.h"
#include <pthread.h>

#define SAMPLES_MOST 4608 /* (8 · 64 + 64) bits at an eighth of a bit each */
/* A good source fails the single-use test once in a hundred times. The standard allows one repetition, which
 * would stop a busy device every few thousand collections; six rejections in a row have a probability of
 * 10^-12. */
#define SINGLE_TEST_TRIES 6

struct source_live {
    enum fn_source_state state;
    enum fn_source_failure failure;
    uint32_t failures;
    struct fn_health health;
};

/* In memory that a forked child finds zeroed: an unlocked mutex, sources not started. */
struct live {
    pthread_mutex_t mutex;
    bool started;
    uint64_t collections, rejections;
    struct source_live source[FN_ENTROPY_SOURCES_MOST];
    uint8_t samples[SAMPLES_MOST];
};

struct fn_entropy {
    struct fn_noise noise[FN_ENTROPY_SOURCES_MOST];
    bool present[FN_ENTROPY_SOURCES_MOST];
    size_t count;
    struct live *live;
};

static void unlock(pthread_mutex_t **m)
{
    pthread_mutex_unlock(*m);
}
#define LOCKED(e)                                                                                            \
    pthread_mutex_t *locked __attribute__((cleanup(unlock))) = &(e)->live->mutex;                            \
    pthread_mutex_lock(locked)

/* Reads n samples and tests them; notes the failure. */
static bool read_samples(struct fn_entropy *e, size_t i, uint8_t *samples, size_t n)
{
    struct source_live *s = &e->live->source[i];
    enum fn_source_failure failure = FN_SOURCE_NO_FAILURE;
    if (e->noise[i].read(e->noise[i].self, samples, n) != FN_OK) {
        failure = FN_SOURCE_READ;
    } else {
        enum fn_health_verdict verdict = fn_health_feed(&s->health, samples, n);
        if (verdict == FN_HEALTH_REPETITION) failure = FN_SOURCE_REPETITION;
        if (verdict == FN_HEALTH_PROPORTION) failure = FN_SOURCE_PROPORTION;
    }
    if (failure == FN_SOURCE_NO_FAILURE) return true;
    s->failure = failure;
    s->failures++;
    return false;
}

/* The start-up test, repeated once if it fails. */
static void start_source(struct fn_entropy *e, size_t i)
{
    struct source_live *s = &e->live->source[i];
    s->state = e->present[i] ? FN_SOURCE_FAILED : FN_SOURCE_ABSENT;
    for (int attempt = 0; s->state == FN_SOURCE_FAILED && attempt < 2; attempt++) {
        fn_health_start(&s->health, e->noise[i].entropy_eighths);
        if (read_samples(e, i, e->live->samples, FN_HEALTH_STARTUP) && fn_health_started(&s->health))
            s->state = FN_SOURCE_READY;
    }
}

static void start_all(struct fn_entropy *e)
{
    for (size_t i = 0; i < e->count; i++) start_source(e, i);
    e->live->started = true;
}

static size_t count_ready(const struct fn_entropy *e)
{
    size_t ready = 0;
    for (size_t i = 0; i < e->count; i++) ready += e->live->source[i].state == FN_SOURCE_READY;
    return ready;
}

static fn_err need_one(const struct fn_entropy *e)
{
    if (count_ready(e) > 0) return FN_OK;
    return FN_FAIL(FN_E_RANDOM_SOURCE, "none of %zu noise sources passes its health test", e->count);
}

/* Adds what one source has to give to the hash. A failing source gets one more chance by a whole start-up
 * test; the samples of a failed attempt never count. */
static void absorb_source(struct fn_entropy *e, size_t i, size_t n, struct fn_sm3 *h)
{
    struct source_live *s = &e->live->source[i];
    size_t bits = 8 * n + 64, eighths = e->noise[i].entropy_eighths;
    size_t samples = (8 * bits + eighths - 1) / eighths;
    uint8_t head[8];
    for (int attempt = 0; s->state == FN_SOURCE_READY; attempt++) {
        if (read_samples(e, i, e->live->samples, samples)) break;
        s->state = FN_SOURCE_FAILED;
        if (attempt == 0) start_source(e, i);
    }
    if (s->state != FN_SOURCE_READY) return;
    fn_put_be32(head, (uint32_t)i);
    fn_put_be32(head + 4, (uint32_t)samples);
    fn_sm3_update(h, head, sizeof head);
    fn_sm3_update(h, e->live->samples, samples);
    fn_wipe(e->live->samples, samples);
}

/* Each block of the output is SM3(all samples ‖ number). */
static fn_err collect_once(struct fn_entropy *e, uint8_t *out, size_t n)
{
    struct fn_sm3 all, h;
    uint8_t digest[FN_SM3_SIZE], number = 0;
    fn_sm3_init(&all);
    for (size_t i = 0; i < e->count; i++) absorb_source(e, i, n, &all);
    for (size_t at = 0; at < n; at += sizeof digest) {
        h = all;
        number++;
        fn_sm3_update(&h, &number, 1);
        fn_sm3_final(&h, digest);
        memcpy(out + at, digest, n - at < sizeof digest ? n - at : sizeof digest);
    }
    fn_wipe(&all, sizeof all);
    fn_wipe(digest, sizeof digest);
    e->live->collections++;
    return need_one(e);
}

static fn_err collect(struct fn_entropy *e, uint8_t *out, size_t n)
{
    LOCKED(e);
    if (!e->live->started) start_all(e);
    for (int tries = 0; tries < SINGLE_TEST_TRIES; tries++) {
        FN_TRY(collect_once(e, out, n));
        if (fn_randomness_single(out, n)) return FN_OK;
        e->live->rejections++;
        if (tries == 1) start_all(e);
    }
    return FN_FAIL(FN_E_RANDOM_SOURCE, "%d collections in a row failed the single-use test",
                   SINGLE_TEST_TRIES);
}

fn_err fn_entropy_collect(struct fn_entropy *e, uint8_t *out, size_t n)
{
    if (n < 16 || n > FN_ENTROPY_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "%zu bytes, 16 to %d", n, FN_ENTROPY_MOST);
    fn_err err = collect(e, out, n);
    if (err != FN_OK) fn_wipe(out, n);
    return err;
}

fn_err fn_entropy_recheck(struct fn_entropy *e)
{
    LOCKED(e);
    start_all(e);
    return need_one(e);
}

static fn_err add_source(struct fn_entropy *e, const struct fn_noise *noise, bool present)
{
    if (e->count == FN_ENTROPY_SOURCES_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "at most %d noise sources", FN_ENTROPY_SOURCES_MOST);
    if (noise->entropy_eighths < 1 || noise->entropy_eighths > 64)
        return FN_FAIL(FN_E_ARGUMENT, "%s: %u eighths of a bit, 1 to 64", noise->name,
                       noise->entropy_eighths);
    e->noise[e->count] = *noise;
    e->present[e->count++] = present;
    return FN_OK;
}

static fn_err add_sources(struct fn_entropy *e, const struct fn_noise *extra, size_t extra_count, bool alone)
{
    bool present[FN_NOISE_BUILT_IN];
    fn_noise_present(present);
    for (size_t i = 0; !alone && i < FN_NOISE_BUILT_IN; i++)
        FN_TRY(add_source(e, &fn_noise_built_in[i], present[i]));
    for (size_t i = 0; i < extra_count; i++) FN_TRY(add_source(e, &extra[i], true));
    return fn_secret_alloc_forkless(&e->live, sizeof *e->live);
}

fn_err fn_entropy_open(struct fn_entropy **out, const struct fn_noise *extra, size_t extra_count, bool alone)
{
    struct fn_entropy *e = NULL;
    *out = NULL;
    FN_TRY(fn_heap_array(&e, 1, sizeof *e));
    fn_err err = add_sources(e, extra, extra_count, alone);
    if (err == FN_OK) err = fn_entropy_recheck(e);
    if (err != FN_OK) {
        fn_entropy_close(e);
        return err;
    }
    *out = e;
    return FN_OK;
}

void fn_entropy_close(struct fn_entropy *e)
{
    if (!e) return;
    fn_secret_free(e->live);
    free(e);
}

void fn_entropy_status(struct fn_entropy *e, struct fn_entropy_status *status)
{
    LOCKED(e);
    if (!e->live->started) start_all(e);
    *status = (struct fn_entropy_status){.count = e->count,
                                         .ready = count_ready(e),
                                         .collections = e->live->collections,
                                         .single_test_rejections = e->live->rejections};
    status->degraded = status->ready < 2;
    for (size_t i = 0; i < e->count; i++) {
        const struct source_live *s = &e->live->source[i];
        status->source[i] = (struct fn_entropy_source){.name = e->noise[i].name,
                                                       .title = {e->noise[i].title[0], e->noise[i].title[1]},
                                                       .state = s->state,
                                                       .failure = s->failure,
                                                       .failures = s->failures,
                                                       .samples = s->health.samples,
                                                       .entropy_eighths = e->noise[i].entropy_eighths};
        if (s->state == FN_SOURCE_FAILED) status->degraded = true;
    }
}

fn_err fn_entropy_describe(const struct fn_entropy_status *status, enum fn_lang lang, struct fn_buf *out)
{
    static const char *const states[3][2] = {{"本机没有", "absent"}, {"正常", "ready"}, {"失效", "failed"}};
    static const char *const failures[4][2] = {{"", ""},
                                               {"读取失败", "read failed"},
                                               {"重复计数检测", "repetition count"},
                                               {"自适应比例检测", "adaptive proportion"}};
    for (size_t i = 0; i < status->count; i++) {
        const struct fn_entropy_source *s = &status->source[i];
        FN_TRY(fn_buf_format(out, "%s (%s): %s", s->title[lang], s->name, states[s->state][lang]));
        if (s->failures > 0)
            FN_TRY(fn_buf_format(out,
                                 lang == FN_LANG_EN ? ", %u failures, last: %s" : ",失效 %u 次,最近一次:%s",
                                 s->failures, failures[s->failure][lang]));
        FN_TRY(fn_buf_text(out, "\n"));
    }
    if (!status->degraded) return FN_OK;
    return fn_buf_text(out, lang == FN_LANG_EN ? "degraded: fewer sources than there should be\n"
                                               : "降级:可用的随机源不足\n");
}
