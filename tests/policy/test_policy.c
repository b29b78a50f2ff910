/* Key Tables 1 and 2: every class and operation by every door, against the tables written a second time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/core/mem.h"
#include "policy/policy.h"
#include <string.h>

/* One letter an operation, generate to destroy: y allowed, n refused, m by management, b by backup, t in test
 * tenants. */
static const struct {
    enum fn_key_class key_class;
    const char *allowed;
} expected[] = {
    /*                     gdsuieabD */
    {FN_CLASS_NET_ENC, "nnnynnnny"},  {FN_CLASS_APP_ENC, "yynynnnny"},   {FN_CLASS_DATA_ENC, "ynyynnnby"},
    {FN_CLASS_MAC, "ynyynnnby"},      {FN_CLASS_USER_SIGN, "nnnnnnnnn"}, {FN_CLASS_USER_ENC, "nnnnmnnnn"},
    {FN_CLASS_SRV_SIGN, "ynyynnnny"}, {FN_CLASS_SRV_ENC, "nnyymnnny"},   {FN_CLASS_DEVICE, "yyyymnnby"},
    {FN_CLASS_KEK, "ynyynnnby"},      {FN_CLASS_INTERNAL, "ynyynnnby"},  {FN_CLASS_EXTERNAL, "ttttttttt"},
};

static bool wanted(char letter, enum fn_policy_door door)
{
    return letter == 'y' || (letter == 'm' && door == FN_DOOR_MANAGEMENT) ||
           (letter == 'b' && door == FN_DOOR_BACKUP) || (letter == 't' && door == FN_DOOR_TEST_TENANT);
}

static void every_cell(void **state)
{
    (void)state;
    for (size_t i = 0; i < FN_COUNT(expected); i++)
        for (int operation = FN_POLICY_GENERATE; operation <= FN_POLICY_DESTROY; operation++)
            for (int door = FN_DOOR_APPLICATION; door <= FN_DOOR_TEST_TENANT; door++) {
                fn_err err = fn_policy_ask(expected[i].key_class, (enum fn_policy_operation)operation,
                                           FN_KEY_ACTIVE, (enum fn_policy_door)door, true);
                fn_err want = wanted(expected[i].allowed[operation - 1], (enum fn_policy_door)door)
                                  ? FN_OK
                                  : FN_E_KEY_POLICY;
                if (err != want)
                    print_error("class %d operation %d door %d\n", (int)expected[i].key_class, operation,
                                door);
                assert_int_equal(err, want);
            }
}

static void states(void **state)
{
    (void)state;
    static const struct {
        enum fn_key_state state;
        bool protect, process, destroy;
    } rules[] = {
        {FN_KEY_PRE_ACTIVE, false, false, true},
        {FN_KEY_ACTIVE, true, true, true},
        {FN_KEY_DEACTIVATED, false, true, true},
        {FN_KEY_COMPROMISED, false, true, true},
        {FN_KEY_STATE_DESTROYED, false, false, false},
        {FN_KEY_STATE_DESTROYED_COMPROMISED, false, false, false},
    };
    for (size_t i = 0; i < FN_COUNT(rules); i++) {
        enum fn_policy_door door = FN_DOOR_APPLICATION;
        assert_int_equal(fn_policy_ask(FN_CLASS_DATA_ENC, FN_POLICY_USE, rules[i].state, door, true),
                         rules[i].protect ? FN_OK : FN_E_KEY_STATE);
        assert_int_equal(fn_policy_ask(FN_CLASS_DATA_ENC, FN_POLICY_USE, rules[i].state, door, false),
                         rules[i].process ? FN_OK : FN_E_KEY_STATE);
        assert_int_equal(fn_policy_ask(FN_CLASS_DATA_ENC, FN_POLICY_DESTROY, rules[i].state, door, false),
                         rules[i].destroy ? FN_OK : FN_E_KEY_STATE);
    }
}

/* The lint of kms.md 3: secrets are never exported; signing keys neither imported nor copied. */
static void lint(void **state)
{
    (void)state;
    for (size_t i = 0; i < FN_COUNT(expected); i++) {
        if (expected[i].key_class == FN_CLASS_EXTERNAL) continue;
        assert_string_equal(fn_policy_cell(expected[i].key_class, FN_POLICY_EXPORT), "NO");
    }
    static const enum fn_policy_operation copies[] = {FN_POLICY_IMPORT, FN_POLICY_EXPORT, FN_POLICY_BACKUP,
                                                      FN_POLICY_ARCHIVE};
    for (size_t i = 0; i < FN_COUNT(copies); i++) {
        assert_string_equal(fn_policy_cell(FN_CLASS_SRV_SIGN, copies[i]), "NO");
        assert_string_equal(fn_policy_cell(FN_CLASS_USER_SIGN, copies[i]), "NO");
    }
    assert_string_equal(fn_policy_cell(FN_CLASS_APP_ENC, FN_POLICY_STORE), "NO");
    assert_string_equal(fn_policy_cell(FN_CLASS_DATA_ENC, FN_POLICY_BACKUP), "DEV_NATIVE");
    assert_string_equal(fn_policy_cell((enum fn_key_class)99, FN_POLICY_USE), "NO");
    assert_int_equal(
        fn_policy_ask((enum fn_key_class)99, FN_POLICY_USE, FN_KEY_ACTIVE, FN_DOOR_APPLICATION, true),
        FN_E_KEY_POLICY);
    assert_int_equal(
        fn_policy_ask(FN_CLASS_MAC, (enum fn_policy_operation)99, FN_KEY_ACTIVE, FN_DOOR_APPLICATION, true),
        FN_E_KEY_POLICY);
    assert_int_equal(
        fn_policy_ask(FN_CLASS_USER_SIGN, FN_POLICY_NONE, FN_KEY_ACTIVE, FN_DOOR_APPLICATION, true), FN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_cell), cmocka_unit_test(states),
                                       cmocka_unit_test(lint)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
