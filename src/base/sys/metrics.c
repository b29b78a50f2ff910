#include "base/sys/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct fn_metric *first;

/* Kept in the order of names, so that a family stands together. */
void fn_metric_register(struct fn_metric *metric)
{
    pthread_mutex_lock(&mutex);
    if (!metric->registered) {
        struct fn_metric **at = &first;
        while (*at && strcmp((*at)->name, metric->name) <= 0) at = &(*at)->next;
        metric->next = *at;
        *at = metric;
        metric->registered = true;
    }
    pthread_mutex_unlock(&mutex);
}

void fn_metric_observe(struct fn_metric *histogram, int64_t value)
{
    size_t bucket = 0;
    while (bucket < histogram->bound_count && value > histogram->bounds[bucket]) bucket++;
    atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
}

/* fn_format knows no floating point. */
static fn_err put_real(struct fn_buf *out, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.9g", value);
    return fn_buf_text(out, text);
}

static fn_err put_histogram(struct fn_buf *out, const struct fn_metric *m)
{
    double unit = m->unit != 0 ? m->unit : 1;
    const char *labels = m->labels ? m->labels : "", *comma = m->labels ? "," : "";
    uint64_t total = 0;
    for (size_t i = 0; i <= m->bound_count; i++) {
        total += m->buckets[i];
        FN_TRY(fn_buf_format(out, "%s_bucket{%s%sle=\"", m->name, labels, comma));
        if (i < m->bound_count)
            FN_TRY(put_real(out, (double)m->bounds[i] * unit));
        else
            FN_TRY(fn_buf_text(out, "+Inf"));
        FN_TRY(fn_buf_format(out, "\"} %llu\n", (unsigned long long)total));
    }
    const char *open = m->labels ? "{" : "", *close = m->labels ? "}" : "";
    FN_TRY(fn_buf_format(out, "%s_sum%s%s%s ", m->name, open, labels, close));
    FN_TRY(put_real(out, (double)m->sum * unit));
    return fn_buf_format(out, "\n%s_count%s%s%s %llu\n", m->name, open, labels, close,
                         (unsigned long long)total);
}

static fn_err put_metric(struct fn_buf *out, const struct fn_metric *m, const struct fn_metric *before)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    if (!before || strcmp(before->name, m->name))
        FN_TRY(fn_buf_format(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, kinds[m->kind]));
    if (m->kind == FN_METRIC_HISTOGRAM) return put_histogram(out, m);
    const char *open = m->labels ? "{" : "", *close = m->labels ? "}" : "";
    return fn_buf_format(out, "%s%s%s%s %lld\n", m->name, open, m->labels ? m->labels : "", close,
                         (long long)m->value);
}

fn_err fn_metrics_text(struct fn_buf *out)
{
    fn_err err = FN_OK;
    pthread_mutex_lock(&mutex);
    const struct fn_metric *before = NULL;
    for (const struct fn_metric *m = first; m && err == FN_OK; m = m->next) {
        err = put_metric(out, m, before);
        before = m;
    }
    pthread_mutex_unlock(&mutex);
    return err;
}
