#include "bench.h"

#include "crypto/cpu.h"

#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS        5
#define RUN_SECONDS 0.15

static bool as_json;
static char **wanted;
static int wanted_count;

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* CPU time of this thread: other programs on a shared machine do not count. */
static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

struct thread_run {
    void (*run)(void *context);
    void *context;
    double operations, rate;
    double (*clock)(void);
    pthread_barrier_t *start;
};

static void *thread_main(void *p)
{
    struct thread_run *t = p;
    pthread_barrier_wait(t->start);
    double began = t->clock(), now;
    uint64_t rounds = 0;
    do {
        t->run(t->context);
        rounds++;
    } while ((now = t->clock()) - began < RUN_SECONDS);
    t->rate = (double)rounds * t->operations / (now - began);
    return NULL;
}

double bench_rate_threads(void (*run)(void *context), void *const *contexts, size_t threads,
                          double operations)
{
    double sums[RUNS];
    run(contexts[0]); /* caches and lazy set-up */
    for (int i = 0; i < RUNS; i++) {
        struct thread_run runs[16];
        pthread_t ids[16];
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, (unsigned)threads);
        for (size_t k = 0; k < threads; k++) {
            runs[k] = (struct thread_run){
                run, contexts[k], operations, 0, threads == 1 ? cpu_now : bench_now, &start};
            pthread_create(&ids[k], NULL, thread_main, &runs[k]);
        }
        sums[i] = 0;
        for (size_t k = 0; k < threads; k++) {
            pthread_join(ids[k], NULL);
            sums[i] += runs[k].rate;
        }
        pthread_barrier_destroy(&start);
    }
    return bench_median(sums, RUNS);
}

double bench_rate(void (*run)(void *context), void *context, double operations)
{
    return bench_rate_threads(run, &context, 1, operations);
}

bool bench_wanted(const char *name)
{
    for (int i = 0; i < wanted_count; i++)
        if (strncmp(name, wanted[i], strlen(wanted[i])) == 0) return true;
    return wanted_count == 0;
}

static void number(double v)
{
    printf(v >= 1000 || v == (double)(long long)v ? "%.0f" : v >= 10 ? "%.1f" : "%.3f", v);
}

void bench_emit(const struct bench_row *r)
{
    if (as_json) {
        printf("{\"row\":\"%s\",\"unit\":\"%s\",\"better\":\"%s\",\"ours\":", r->name, r->unit,
               r->lower_is_better ? "lower" : "higher");
        number(r->ours);
        printf(",\"peers\":{");
        for (int i = 0; i < BENCH_PEERS && r->peers[i].name; i++) {
            printf("%s\"%s\":", i ? "," : "", r->peers[i].name);
            number(r->peers[i].figure);
        }
        printf("},\"goal\":");
        if (r->goal < 0)
            printf("null");
        else
            number(r->goal);
        printf("}\n");
    } else {
        printf("%-44s ", r->name);
        number(r->ours);
        printf(" %s", r->unit);
        for (int i = 0; i < BENCH_PEERS && r->peers[i].name; i++) {
            printf("  | %s ", r->peers[i].name);
            number(r->peers[i].figure);
            if (r->peers[i].figure > 0) printf(" (x%.2f)", r->ours / r->peers[i].figure);
        }
        if (r->goal >= 0) {
            printf("  | goal %s ", r->lower_is_better ? "<=" : ">=");
            number(r->goal);
        }
        printf("%s%s\n", r->note ? "  # " : "", r->note ? r->note : "");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'j')
            as_json = true;
        else {
            fprintf(c == 'h' ? stdout : stderr, "usage: bench [--json] [NAME…]   NAME: beginning of a row's "
                                                "name (sm2, sm3, sm4, device, data)\n");
            return c == 'h' ? 0 : 2;
        }
    }
    wanted = argv + optind;
    wanted_count = argc - optind;
    const char *cpu = getenv("FENGNI_CPU");
    if (fn_cpu_select(cpu ? cpu : "auto")) return fprintf(stderr, "FENGNI_CPU=%s: unknown\n", cpu), 2;
    if (!as_json)
        printf("# engine: %s; medians of %d runs of %.2f s\n", fn_cpu_selected(), RUNS, RUN_SECONDS);
    bench_sm2();
    bench_sm3();
    bench_sm4();
    bench_device();
    bench_start();
    bench_data();
    return 0;
}
