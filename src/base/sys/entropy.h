/* Entropy from several noise sources: each is health-tested by itself (GM/T 0105-2021 Annex D), all are
 * conditioned together by SM3. Losing one source is a degradation that the status shows; losing all stops the
 * service. Safe for threads; a forked child starts anew. */
#ifndef FN_BASE_SYS_ENTROPY_H
#define FN_BASE_SYS_ENTROPY_H

#include "base/core/bytes.h"
#include "base/sys/noise.h"

struct fn_entropy;

#define FN_ENTROPY_SOURCES_MOST 8
#define FN_ENTROPY_MOST         64 /* bytes of one collection */

/* The machine's own sources (unless `alone`) and the caller's: a certified card's generator, a device behind
 * SDF. Runs the start-up test of each. `extra` is copied; what it points to outlives the object.
 * FN_E_RANDOM_SOURCE when none passes. */
fn_err fn_entropy_open(struct fn_entropy **e, const struct fn_noise *extra, size_t extra_count, bool alone);
void fn_entropy_close(struct fn_entropy *e);

/* n bytes of full entropy, 16 <= n <= 64. Every source that works contributes at least 8n + 64 bits of
 * credited entropy, so that any one of them is enough. The result has passed the single-use test of GM/T 0005
 * (poker); results that did not were thrown away. */
fn_err fn_entropy_collect(struct fn_entropy *e, uint8_t *out, size_t n);
/* Starts all sources again, also those that failed: what an operator does after repair. FN_E_RANDOM_SOURCE.
 */
fn_err fn_entropy_recheck(struct fn_entropy *e);

enum fn_source_state { FN_SOURCE_ABSENT, FN_SOURCE_READY, FN_SOURCE_FAILED };
enum fn_source_failure { FN_SOURCE_NO_FAILURE, FN_SOURCE_READ, FN_SOURCE_REPETITION, FN_SOURCE_PROPORTION };

struct fn_entropy_source {
    const char *name, *title[2];
    enum fn_source_state state;
    enum fn_source_failure failure; /* the last one, also of a source that recovered */
    uint32_t failures;
    uint64_t samples; /* since its last start */
    unsigned entropy_eighths;
};
struct fn_entropy_status {
    struct fn_entropy_source source[FN_ENTROPY_SOURCES_MOST];
    size_t count, ready;
    bool degraded; /* a source failed, or fewer than two work (GM/T 0030 6.2 asks for two independent ones) */
    uint64_t collections, single_test_rejections;
};
void fn_entropy_status(struct fn_entropy *e, struct fn_entropy_status *status);
/* One line a source, in the language. */
fn_err fn_entropy_describe(const struct fn_entropy_status *status, enum fn_lang lang, struct fn_buf *out);

#endif
