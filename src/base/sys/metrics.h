/* Figures of a process for Prometheus: counters, gauges, histograms. Each is a static variable of the module that keeps it;
 * changing one is an atomic addition. */
#ifndef FN_BASE_SYS_METRICS_H
#define FN_BASE_SYS_METRICS_H

#include "base/core/bytes.h"
#include <stdatomic.h>

enum fn_metric_kind { FN_METRIC_COUNTER, FN_METRIC_GAUGE, FN_METRIC_HISTOGRAM };
#define FN_METRIC_BUCKETS 16

struct fn_metric {
    const char *name;   /* "fengni_device_operations_total" */
    const char *labels; /* "operation=\"sign\"" or NULL; members of one family share name, help and kind */
    const char *help;
    enum fn_metric_kind kind;
    const int64_t *bounds; /* HISTOGRAM: upper bounds, rising; at most FN_METRIC_BUCKETS - 1 of them */
    size_t bound_count;
    double unit; /* HISTOGRAM: what one step of the observed number is in the unit shown, e.g. 1e-9 for ns shown as seconds; 0 is 1 */
    _Atomic int64_t value;
    _Atomic int64_t sum;
    _Atomic uint64_t buckets[FN_METRIC_BUCKETS];
    struct fn_metric *next;
    _Atomic bool registered;
};

/* Makes it known; again is harmless. */
void fn_metric_register(struct fn_metric *metric);
static inline void fn_metric_add(struct fn_metric *metric, int64_t n)
{
    atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
}
static inline void fn_metric_set(struct fn_metric *metric, int64_t value)
{
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}
void fn_metric_observe(struct fn_metric *histogram, int64_t value);
/* Everything registered, in the Prometheus text format 0.0.4. */
fn_err fn_metrics_text(struct fn_buf *out);

#endif
