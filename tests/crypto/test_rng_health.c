#include "crypto/rng/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Computed apart in decimal arithmetic of 60 digits, from the exact binomials. */
static void cutoffs(void **state)
{
    (void)state;
    static const struct {
        unsigned eighths;
        uint32_t repetition, proportion;
    } want[] = {{4, 41, 410}, {8, 21, 311}, {16, 11, 177}, {32, 6, 62}, {64, 4, 13}};
    for (size_t i = 0; i < FN_COUNT(want); i++) {
        assert_int_equal(fn_health_repetition_cutoff(want[i].eighths), want[i].repetition);
        assert_int_equal(fn_health_proportion_cutoff(want[i].eighths), want[i].proportion);
    }
    for (unsigned e = 2; e <= 64; e++) {
        assert_true(fn_health_proportion_cutoff(e) <= fn_health_proportion_cutoff(e - 1));
        assert_true(fn_health_proportion_cutoff(e) <= FN_HEALTH_WINDOW);
    }
}

static void repetition(void **state)
{
    (void)state;
    struct fn_health h;
    uint8_t s[8] = {1, 2, 5, 5, 5, 5, 9, 9};
    fn_health_start(&h, 64); /* cutoff 4 */
    assert_int_equal(fn_health_feed(&h, s, 5), FN_HEALTH_GOOD);
    assert_int_equal(fn_health_feed(&h, s + 5, 1), FN_HEALTH_REPETITION);
    assert_int_equal(fn_health_feed(&h, s + 6, 2), FN_HEALTH_REPETITION); /* stays */
    assert_false(fn_health_started(&h));
}

static void zero_is_a_sample_like_others(void **state)
{
    (void)state;
    struct fn_health h;
    uint8_t s[4] = {0, 0, 0, 1};
    fn_health_start(&h, 64);
    assert_int_equal(fn_health_feed(&h, s, 4), FN_HEALTH_GOOD);
}

/* A value that comes too often without ever standing four times in a row. */
static void proportion(void **state)
{
    (void)state;
    struct fn_health h;
    uint8_t s[FN_HEALTH_WINDOW];
    for (size_t i = 0; i < sizeof s; i++) s[i] = (uint8_t)(i % 2 ? i | 0x80 : 7);
    fn_health_start(&h, 64);
    assert_int_equal(fn_health_feed(&h, s, 24), FN_HEALTH_GOOD); /* 12 sevens */
    assert_int_equal(fn_health_feed(&h, s + 24, 1), FN_HEALTH_PROPORTION);
    /* Twelve in each of two windows is no failure. */
    memset(s, 0, sizeof s);
    for (size_t i = 0; i < sizeof s; i++) s[i] = (uint8_t)(i < 24 && i % 2 == 0 ? 7 : i % 200 + 20);
    fn_health_start(&h, 64);
    assert_int_equal(fn_health_feed(&h, s, sizeof s), FN_HEALTH_GOOD);
    assert_int_equal(fn_health_feed(&h, s, sizeof s), FN_HEALTH_GOOD);
    assert_true(fn_health_started(&h));
}

static void start_up_takes_1024_samples(void **state)
{
    (void)state;
    struct fn_health h;
    uint8_t s[FN_HEALTH_STARTUP];
    for (size_t i = 0; i < sizeof s; i++) s[i] = (uint8_t)(i * 167);
    fn_health_start(&h, 32);
    assert_int_equal(fn_health_feed(&h, s, sizeof s - 1), FN_HEALTH_GOOD);
    assert_false(fn_health_started(&h));
    assert_int_equal(fn_health_feed(&h, s, 1), FN_HEALTH_GOOD);
    assert_true(fn_health_started(&h));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cutoffs),
        cmocka_unit_test(repetition),
        cmocka_unit_test(proportion),
        cmocka_unit_test(zero_is_a_sample_like_others),
        cmocka_unit_test(start_up_takes_1024_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
