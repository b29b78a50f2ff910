#include "base/sys/noise.h"

#include "base/core/mem.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include <errno.h>
#include <sys/random.h>

static fn_err kernel_read(void *self, uint8_t *samples, size_t n)
{
    (void)self;
    while (n > 0) {
        ssize_t got = getrandom(samples, n < 256 ? n : 256, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return FN_FAIL_OS("getrandom");
        samples += got;
        n -= (size_t)got;
    }
    return FN_OK;
}

/* A counter as fine as the machine has one. */
static uint64_t ticks(void)
{
#if defined(__x86_64__)
    uint32_t low, high;
    __asm__ __volatile__("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
#else
    return (uint64_t)fn_monotonic_ns();
#endif
}

/* The time that a walk through memory takes: caches, translation, prefetch and interrupts make it differ.
 * Fine counters often advance in steps of tens of ticks and show two or three values in turn, so a sample is
 * credited with an eighth of a bit although its distribution alone would allow more. */
#define WALK_SIZE  (1u << 17)
#define WALK_STEPS 32

static fn_err jitter_read(void *self, uint8_t *samples, size_t n)
{
    (void)self;
    static uint8_t walk[WALK_SIZE]; /* whatever threads leave there is welcome */
    uint64_t before = ticks();
    uint32_t x = (uint32_t)before;
    for (size_t i = 0; i < n; i++) {
        for (int step = 0; step < WALK_STEPS; step++) {
            uint8_t *cell = walk + (x >> 8) % WALK_SIZE;
            uint8_t v = (uint8_t)(__atomic_load_n(cell, __ATOMIC_RELAXED) + 1);
            __atomic_store_n(cell, v, __ATOMIC_RELAXED);
            x = x * 1664525u + 1013904223u + v;
        }
        uint64_t now = ticks(), took = now - before;
        before = now;
        x += (uint32_t)took << 5;
        samples[i] = (uint8_t)(took ^ took >> 8);
    }
    return FN_OK;
}

#if defined(__x86_64__)
#include <cpuid.h>

static bool has_rdrand(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c >> 30 & 1);
}

static bool has_rdseed(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 18 & 1);
}

static bool rdrand64(uint64_t *v)
{
    uint8_t ok;
    __asm__ __volatile__("rdrand %0; setc %1" : "=&r"(*v), "=qm"(ok) : : "cc");
    return ok;
}

static bool rdseed64(uint64_t *v)
{
    uint8_t ok;
    __asm__ __volatile__("rdseed %0; setc %1" : "=&r"(*v), "=qm"(ok) : : "cc");
    return ok;
}

/* RDSEED runs dry when all cores ask at once; RDRAND does so only when it is broken. */
static bool processor_word(bool seed, uint64_t *v)
{
    for (int tries = 0; seed && tries < 64; tries++) {
        if (rdseed64(v)) return true;
        __builtin_ia32_pause();
    }
    for (int tries = 0; tries < 16 && has_rdrand(); tries++) {
        if (rdrand64(v)) return true;
    }
    return false;
}

static fn_err processor_read(void *self, uint8_t *samples, size_t n)
{
    (void)self;
    const bool seed = has_rdseed();
    while (n > 0) {
        uint64_t v = 0;
        size_t take = n < sizeof v ? n : sizeof v;
        if (!processor_word(seed, &v))
            return FN_FAIL(FN_E_RANDOM_SOURCE, "the processor gives no random words");
        memcpy(samples, &v, take);
        fn_wipe(&v, sizeof v);
        samples += take;
        n -= take;
    }
    return FN_OK;
}
#else
static bool has_rdrand(void)
{
    return false;
}
static bool has_rdseed(void)
{
    return false;
}
static fn_err processor_read(void *self, uint8_t *samples, size_t n)
{
    (void)self;
    (void)samples;
    return FN_FAIL(FN_E_UNSUPPORTED, "%zu random bytes of the processor", n);
}
#endif

/* Half a bit for each bit is credited to the two generators whose inside nobody here can examine. */
const struct fn_noise fn_noise_built_in[FN_NOISE_BUILT_IN] = {
    {"getrandom", {"操作系统内核随机源", "kernel generator"}, kernel_read, NULL, 32},
    {"jitter", {"处理器抖动", "processor jitter"}, jitter_read, NULL, 1},
    {"processor",
     {"处理器随机指令 (RDSEED/RDRAND)", "processor instruction (RDSEED/RDRAND)"},
     processor_read,
     NULL,
     32},
};

void fn_noise_present(bool present[FN_NOISE_BUILT_IN])
{
    present[0] = present[1] = true;
    present[2] = has_rdseed() || has_rdrand();
}
