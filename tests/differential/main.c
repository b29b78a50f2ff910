/* fengni-soak [--seconds N] [--hours H] [--seed S] [--checkpoint FILE] [--json] [--list] [CASE…] */
#include "soak.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define CASES_MOST 256
#define SLICE_NS   50000000
#define SAVE_S     60

/* A family that is not linked in has no array. */
#pragma weak soak_cases_sm2
#pragma weak soak_count_sm2
#pragma weak soak_cases_sm3
#pragma weak soak_count_sm3
#pragma weak soak_cases_sm4
#pragma weak soak_count_sm4

struct soak {
    uint64_t seed, word[4];
    const char *running;
    uint64_t slice_end_ns;
};

struct total {
    char name[64];
    uint64_t operations;
    double seconds;
};

static struct {
    const struct soak_case *cases[CASES_MOST];
    bool chosen[CASES_MOST];
    uint64_t operations[CASES_MOST]; /* of this run */
    double seconds[CASES_MOST];
    size_t count;
    struct total saved[2 * CASES_MOST]; /* of earlier runs, from the checkpoint */
    size_t saved_count;
    const char *checkpoint;
    double seconds_per_case, hours;
    bool json;
} run = {.seconds_per_case = 1};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64 fills the state, xoshiro256** makes the stream: reproducible, fast, and not one of the things
 * under test. */
static void seed_with(struct soak *s, uint64_t seed, const char *name)
{
    uint64_t x = seed;
    for (const char *c = name; *c; c++) x = (x ^ (uint8_t)*c) * 0x100000001b3u;
    for (size_t i = 0; i < 4; i++) {
        x += 0x9e3779b97f4a7c15u;
        uint64_t z = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        s->word[i] = z ^ z >> 31;
    }
    s->seed = seed;
    s->running = name;
}

static uint64_t rotl64(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

static uint64_t next_word(struct soak *s)
{
    uint64_t *w = s->word, result = rotl64(w[1] * 5, 7) * 9, t = w[1] << 17;
    w[2] ^= w[0];
    w[3] ^= w[1];
    w[1] ^= w[2];
    w[0] ^= w[3];
    w[2] ^= t;
    w[3] = rotl64(w[3], 45);
    return result;
}

void soak_random(struct soak *s, void *buf, size_t n)
{
    uint8_t *p = buf;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t v = next_word(s);
        memcpy(p, &v, 8);
    }
    uint64_t v = next_word(s);
    memcpy(p, &v, n);
}

uint64_t soak_below(struct soak *s, uint64_t limit)
{
    return (uint64_t)((unsigned __int128)next_word(s) * limit >> 64);
}

/* Adds a small signed number to a big-endian number modulo 2^256. */
static void add_small(uint8_t x[32], int v)
{
    int carry = v;
    for (int i = 31; i >= 0; i--) {
        carry += x[i];
        x[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static void near_modulus(struct soak *s, uint8_t out[32])
{
    /* The prime p and the order n of the recommended curve (GB/T 32918.5). */
    static const uint64_t p[4] = {0xfffffffeffffffff, 0xffffffffffffffff, 0xffffffff00000000,
                                  0xffffffffffffffff};
    static const uint64_t n[4] = {0xfffffffeffffffff, 0xffffffffffffffff, 0x7203df6b21c6052b,
                                  0x53bbf40939d54123};
    const uint64_t *m = soak_below(s, 2) ? p : n;
    unsigned halved = (unsigned)soak_below(s, 3) == 0; /* m or about m/2 */
    for (int i = 0; i < 4; i++) {
        uint64_t limb = halved ? m[i] >> 1 | (i > 0 ? m[i - 1] << 63 : 0) : m[i];
        for (int k = 0; k < 8; k++) out[8 * i + k] = (uint8_t)(limb >> (56 - 8 * k));
    }
    add_small(out, (int)soak_below(s, 7) - 3);
}

static void run_of_ones(struct soak *s, uint8_t out[32])
{
    unsigned from = (unsigned)soak_below(s, 256), length = 1 + (unsigned)soak_below(s, 256 - from);
    memset(out, 0, 32);
    for (unsigned i = from; i < from + length; i++) out[31 - i / 8] |= (uint8_t)(1u << i % 8);
}

void soak_extreme_scalar(struct soak *s, uint8_t out[32])
{
    soak_random(s, out, 32);
    switch (soak_below(s, 16)) {
    case 0: /* 0, 1, 2, … and 2^256-1, 2^256-2, … */
        memset(out, 0, 32);
        add_small(out, (int)soak_below(s, 9) - 4);
        return;
    case 1:
    case 2:
        near_modulus(s, out);
        return;
    case 3: { /* a power of two and its neighbours */
        unsigned bit = (unsigned)soak_below(s, 256);
        memset(out, 0, 32);
        out[31 - bit / 8] = (uint8_t)(1u << bit % 8);
        add_small(out, (int)soak_below(s, 3) - 1);
        return;
    }
    case 4:
        run_of_ones(s, out);
        return;
    case 5: { /* everything but a run of ones */
        run_of_ones(s, out);
        for (int i = 0; i < 32; i++) out[i] = (uint8_t)~out[i];
        return;
    }
    case 6: { /* limbs of 64 bits, each all ones, all zeros or random */
        for (int i = 0; i < 4; i++) {
            uint64_t kind = soak_below(s, 3);
            if (kind < 2) memset(out + 8 * i, kind ? 0xff : 0, 8);
        }
        return;
    }
    case 7: { /* the same with 32 bits */
        for (int i = 0; i < 8; i++) {
            uint64_t kind = soak_below(s, 3);
            if (kind < 2) memset(out + 4 * i, kind ? 0xff : 0, 4);
        }
        return;
    }
    default:
        return;
    }
}

void soak_extreme_bytes(struct soak *s, uint8_t *out, size_t n)
{
    static const uint8_t edge[] = {0x00, 0xff, 0x80, 0x7f};
    soak_random(s, out, n);
    if (n == 0 || soak_below(s, 3) > 0) return;
    for (uint64_t stretches = 1 + soak_below(s, 3); stretches > 0; stretches--) {
        size_t from = soak_below(s, n), length = 1 + soak_below(s, n - from);
        memset(out + from, edge[soak_below(s, sizeof edge)], length);
    }
}

bool soak_slice(struct soak *s)
{
    return now_ns() < s->slice_end_ns;
}

void soak_mismatch(struct soak *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "MISMATCH case %s seed %" PRIu64 ": ", s->running, s->seed);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void print_hex(const char *label, const uint8_t *p, size_t n)
{
    fprintf(stderr, "%s ", label);
    for (size_t i = 0; i < n && i < 256; i++) fprintf(stderr, "%02x", p[i]);
    fprintf(stderr, n > 256 ? "…\n" : "\n");
}

void soak_same(struct soak *s, const void *ours, const void *theirs, size_t n, const char *what)
{
    if (n == 0 || memcmp(ours, theirs, n) == 0) return;
    print_hex("ours  ", ours, n);
    print_hex("theirs", theirs, n);
    soak_mismatch(s, "%s", what);
}

static void collect(const struct soak_case *cases, const size_t *count)
{
    if (!cases || !count) return;
    for (size_t i = 0; i < *count && run.count < CASES_MOST; i++) run.cases[run.count++] = &cases[i];
}

static struct total *saved_total(const char *name)
{
    for (size_t i = 0; i < run.saved_count; i++) {
        if (strcmp(run.saved[i].name, name) == 0) return &run.saved[i];
    }
    if (run.saved_count == 2 * CASES_MOST) return NULL;
    struct total *t = &run.saved[run.saved_count++];
    snprintf(t->name, sizeof t->name, "%s", name);
    return t;
}

static int load_checkpoint(void)
{
    FILE *f = fopen(run.checkpoint, "r");
    if (!f) return errno == ENOENT ? 0 : -1;
    char line[256];
    int bad = 0;
    while (!bad && fgets(line, sizeof line, f)) {
        char name[64];
        uint64_t operations;
        double seconds;
        bad = sscanf(line, "{\"case\":\"%63[^\"]\",\"operations\":%" SCNu64 ",\"seconds\":%lf", name,
                     &operations, &seconds) != 3;
        struct total *t = bad ? NULL : saved_total(name);
        if (!t) bad = 1;
        if (bad) break;
        t->operations = operations;
        t->seconds = seconds;
    }
    fclose(f);
    if (bad) fprintf(stderr, "%s: not a checkpoint: %s", run.checkpoint, line);
    return bad ? -1 : 0;
}

static size_t case_index(const char *name)
{
    for (size_t i = 0; i < run.count; i++) {
        if (strcmp(run.cases[i]->name, name) == 0) return i;
    }
    return CASES_MOST;
}

static void write_totals(FILE *f)
{
    for (size_t i = 0; i < run.saved_count; i++) {
        const struct total *t = &run.saved[i];
        size_t c = case_index(t->name);
        fprintf(f, "{\"case\":\"%s\",\"operations\":%" PRIu64 ",\"seconds\":%.1f,\"mismatches\":0}\n",
                t->name, t->operations + (c < CASES_MOST ? run.operations[c] : 0),
                t->seconds + (c < CASES_MOST ? run.seconds[c] : 0));
    }
}

/* Writes a new file beside the old one and puts it in its place, so that a kill at any moment leaves one
 * whole file. */
static void save_checkpoint(void)
{
    if (!run.checkpoint) return;
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.new", run.checkpoint);
    FILE *f = fopen(temporary, "w");
    int bad = !f;
    if (f) {
        write_totals(f);
        bad |= fflush(f) != 0 || fsync(fileno(f)) != 0;
        bad |= fclose(f) != 0;
    }
    if (bad || rename(temporary, run.checkpoint) != 0) {
        fprintf(stderr, "%s: %s\n", run.checkpoint, strerror(errno));
        exit(2);
    }
}

static void run_case(size_t i, uint64_t seed, unsigned round, double seconds)
{
    struct soak s;
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), t = start;
    seed_with(&s, seed + round, run.cases[i]->name);
    do {
        s.slice_end_ns = t + SLICE_NS < end ? t + SLICE_NS : end;
        run.operations[i] += run.cases[i]->run(&s);
        t = now_ns();
    } while (t < end);
    run.seconds[i] += (double)(t - start) / 1e9;
}

/* Round after round over all chosen cases until the time is over. */
static void run_all(uint64_t seed)
{
    uint64_t start = now_ns(), saved_at = start;
    for (unsigned round = 0;; round++) {
        for (size_t i = 0; i < run.count; i++) {
            if (!run.chosen[i]) continue;
            run_case(i, seed, round, run.seconds_per_case);
            uint64_t t = now_ns();
            if (t - saved_at < SAVE_S * 1000000000ull) continue;
            save_checkpoint();
            saved_at = t;
        }
        if ((double)(now_ns() - start) / 3.6e12 >= run.hours) break;
    }
    save_checkpoint();
}

static void print_line(const char *name, uint64_t operations, double seconds, uint64_t total)
{
    if (run.json)
        printf("{\"case\":\"%s\",\"operations\":%" PRIu64
               ",\"mismatches\":0,\"seconds\":%.1f,\"total\":%" PRIu64 "}\n",
               name, operations, seconds, total);
    else
        printf("%-28s %14" PRIu64 " operations  0 mismatches  %8.1f s  %16" PRIu64 " in all\n", name,
               operations, seconds, total);
}

static void report(void)
{
    uint64_t operations = 0, total = 0;
    double seconds = 0;
    for (size_t i = 0; i < run.count; i++) {
        if (!run.chosen[i]) continue;
        struct total *t = saved_total(run.cases[i]->name);
        uint64_t all = run.operations[i] + (t ? t->operations : 0);
        print_line(run.cases[i]->name, run.operations[i], run.seconds[i], all);
        operations += run.operations[i];
        seconds += run.seconds[i];
        total += all;
    }
    print_line("total", operations, seconds, total);
}

static int usage(void)
{
    fprintf(stderr,
            "fengni-soak [--seconds N] [--hours H] [--seed S] [--checkpoint FILE] [--json] [--list] [CASE…]\n"
            "  CASE  the name of a case or the beginning of names; without any all run\n");
    return 2;
}

static int choose(int count, char **names)
{
    for (int k = 0; k < count; k++) {
        bool found = false;
        for (size_t i = 0; i < run.count; i++) {
            if (strncmp(run.cases[i]->name, names[k], strlen(names[k])) != 0) continue;
            run.chosen[i] = found = true;
        }
        if (!found) {
            fprintf(stderr, "no case %s\n", names[k]);
            return -1;
        }
    }
    for (size_t i = 0; count == 0 && i < run.count; i++) run.chosen[i] = true;
    for (size_t i = 0; i < run.count; i++) {
        if (run.chosen[i]) saved_total(run.cases[i]->name);
    }
    return 0;
}

static int list(void)
{
    for (size_t i = 0; i < run.count; i++) puts(run.cases[i]->name);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seconds", 1, 0, 's'},
                                            {"hours", 1, 0, 'h'},
                                            {"seed", 1, 0, 'r'},
                                            {"checkpoint", 1, 0, 'c'},
                                            {"json", 0, 0, 'j'},
                                            {"list", 0, 0, 'l'},
                                            {0}};
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) return 2;
    seed >>= 1;
    collect(soak_cases_sm2, &soak_count_sm2);
    collect(soak_cases_sm3, &soak_count_sm3);
    collect(soak_cases_sm4, &soak_count_sm4);
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 's')
            run.seconds_per_case = atof(optarg);
        else if (o == 'h')
            run.hours = atof(optarg);
        else if (o == 'r')
            seed = strtoull(optarg, NULL, 0);
        else if (o == 'c')
            run.checkpoint = optarg;
        else if (o == 'j')
            run.json = true;
        else if (o == 'l')
            return list();
        else
            return usage();
    }
    if (run.checkpoint && load_checkpoint() != 0) return 2;
    if (choose(argc - optind, argv + optind) != 0) return usage();
    fprintf(stderr, "seed %" PRIu64 "\n", seed);
    run_all(seed);
    report();
    return 0;
}
