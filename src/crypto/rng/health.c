#include "crypto/rng/health.h"

uint32_t fn_health_repetition_cutoff(unsigned entropy_eighths)
{
    return 1 + (20 * 8 + entropy_eighths - 1) / entropy_eighths; /* 1 + ⌈20/H⌉ */
}

/* 2^-H. */
static double most_likely(unsigned entropy_eighths)
{
    static const double roots[8] = {1,
                                    0.91700404320467121,
                                    0.84089641525371450,
                                    0.77110541270397041,
                                    0.70710678118654752,
                                    0.64841977732550483,
                                    0.59460355750136051,
                                    0.54525386633262877};
    double p = roots[entropy_eighths % 8];
    for (unsigned i = 0; i < entropy_eighths / 8; i++) p /= 2;
    return p;
}

static double power(double x, unsigned n)
{
    double result = 1;
    for (unsigned i = 0; i < n; i++) result *= x;
    return result;
}

/* The least c such that a binomial variable of W tries reaches c with a probability of at most 2^-20. The sum
 * starts at the end where the first term does not vanish in double precision. */
uint32_t fn_health_proportion_cutoff(unsigned entropy_eighths)
{
    const double p = most_likely(entropy_eighths), q = 1 - p, limit = 1.0 / (1 << 20);
    const unsigned w = FN_HEALTH_WINDOW;
    if (p <= 0.5) {
        double term = power(q, w), tail = 1 - term; /* of 0; and of reaching 1 */
        unsigned c = 1;
        for (; tail > limit; c++) {
            term *= (double)(w - c + 1) / c * (p / q);
            tail -= term;
        }
        return c;
    }
    double term = power(p, w), tail = term;
    unsigned c = w;
    for (; tail <= limit; c--) {
        term *= (double)c / (w - c + 1) * (q / p);
        tail += term;
    }
    return c + 1;
}

void fn_health_start(struct fn_health *h, unsigned entropy_eighths)
{
    *h = (struct fn_health){.repetition_cutoff = fn_health_repetition_cutoff(entropy_eighths),
                            .proportion_cutoff = fn_health_proportion_cutoff(entropy_eighths)};
}

static enum fn_health_verdict feed_one(struct fn_health *h, uint8_t sample)
{
    h->run = h->samples > 0 && sample == h->last ? h->run + 1 : 1;
    h->last = sample;
    h->samples++;
    if (h->run >= h->repetition_cutoff) return FN_HEALTH_REPETITION;
    if (h->seen == 0) {
        h->first = sample;
        h->same = 0;
    }
    h->same += sample == h->first;
    h->seen++;
    if (h->same >= h->proportion_cutoff) return FN_HEALTH_PROPORTION;
    if (h->seen == FN_HEALTH_WINDOW) h->seen = 0;
    return FN_HEALTH_GOOD;
}

enum fn_health_verdict fn_health_feed(struct fn_health *h, const uint8_t *samples, size_t n)
{
    for (size_t i = 0; i < n && h->verdict == FN_HEALTH_GOOD; i++) h->verdict = feed_one(h, samples[i]);
    return h->verdict;
}

bool fn_health_started(const struct fn_health *h)
{
    return h->verdict == FN_HEALTH_GOOD && h->samples >= FN_HEALTH_STARTUP;
}
