/* Uses of a key on a whole device: reserved durably, rotation asked for at 2^31, refused at 2^32. */
#include "device/life.h"

#include "base/sys/heap.h"
#include "base/sys/secret.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fn_device device = {.options = {.uid = -1}};
static char directory[] = "/tmp/fengni-uses-XXXXXX";
static struct fn_uuid uuid;

static void make_key(void)
{
    struct fn_pending *p;
    struct fn_key *key;
    struct fn_key_spec spec = {.key_class = FN_CLASS_DATA_ENC,
                               .alg = FN_ALG_SM4,
                               .usage = FN_USE_ENCRYPT | FN_USE_DECRYPT,
                               .tenant = "default",
                               .owner = "test",
                               .half = 0xff};
    assert_int_equal(fn_key_generate(fn_device_rng(), FN_ALG_SM4, &key), FN_OK);
    assert_int_equal(fn_pending_new(&device, &p), FN_OK);
    assert_int_equal(fn_key_act_new(&device, fn_device_rng(), &spec, key, p), FN_OK);
    assert_int_equal(fn_pending_commit(p), FN_OK);
    uuid = p->uuid;
    fn_pending_free(p);
    fn_key_release(key);
}

static int set_up(void **state)
{
    (void)state;
    struct fn_life_head head = {.mode = FN_LIFE_UNATTENDED};
    uint8_t *root;
    device.files = fn_files_real();
    pthread_mutex_init(&device.clients_mutex, NULL);
    pthread_mutex_init(&device.claims_mutex, NULL);
    pthread_mutex_init(&device.remember_mutex, NULL);
    device.options.directory = mkdtemp(directory);
    assert_int_equal(fn_device_random_open(), FN_OK);
    assert_int_equal(fn_secret_alloc(&root, 32), FN_OK);
    assert_int_equal(fn_life_begin(&device, &head, root), FN_OK);
    fn_secret_free(root);
    make_key();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[200];
    fn_life_abandon(&device);
    fn_clients_close(&device);
    fn_device_random_close();
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

/* The store says that so many uses are spent; what is in memory is forgotten, as at a start. */
static void spend(uint64_t taken)
{
    uint8_t value[8] = {0};
    struct fn_change change = {.value = fn_bytes(value, 8)};
    fn_keys_settle(&device);
    fn_keys_close(&device);
    assert_int_equal(fn_keys_open(&device, 64), FN_OK);
    fn_put_be64(value, taken);
    fn_name_version(&change.name, FN_RECORD_USES, &uuid, 1);
    assert_int_equal(fn_device_store_commit(device.store, &change, 1), FN_OK);
}

static fn_err use(uint64_t n)
{
    struct fn_key *key;
    assert_int_equal(fn_key_get(&device, &uuid, 1, &key), FN_OK);
    fn_err err = fn_key_use(&device, key, n);
    fn_key_release(key);
    return err;
}

static uint64_t taken(void)
{
    struct fn_key key = {.uuid = uuid, .version = 1};
    return fn_key_uses_taken(&device, &key);
}

static bool due(void)
{
    struct fn_key_head head;
    FN_SCOPED_BUF struct fn_buf json = fn_buf_heap();
    assert_int_equal(fn_key_head_read(&device, &uuid, &head), FN_OK);
    assert_int_equal(fn_key_json(&device, &head, &json), FN_OK);
    assert_int_equal(fn_buf_u8(&json, 0), FN_OK);
    bool yes = strstr((char *)json.p, "\"rotation_due\":true") != NULL;
    assert_true(yes || strstr((char *)json.p, "\"rotation_due\":false"));
    return yes;
}

static void test_reservation(void **state)
{
    (void)state;
    assert_int_equal(taken(), 0);
    for (int i = 0; i < 1000; i++) assert_int_equal(use(1), FN_OK);
    assert_int_equal(taken(), FN_USES_STEP); /* durable before the first use */
    assert_int_equal(use(FN_USES_STEP - 1000), FN_OK);
    assert_int_equal(taken(), FN_USES_STEP);
    assert_int_equal(use(1), FN_OK);
    assert_int_equal(taken(), 2 * FN_USES_STEP);
    assert_int_equal(use(3 * FN_USES_STEP), FN_OK); /* a large vector */
    assert_int_equal(taken(), 5 * FN_USES_STEP);
    /* A clean stop gives back what was not used. */
    fn_keys_settle(&device);
    assert_int_equal(taken(), 4 * FN_USES_STEP + 1);
}

static void test_due(void **state)
{
    (void)state;
    spend(FN_USES_DUE - FN_USES_STEP - 1);
    assert_false(due());
    assert_int_equal(use(1), FN_OK);
    assert_false(due());
    assert_int_equal(use(FN_USES_STEP), FN_OK);
    assert_true(due());
}

static void test_exhausted(void **state)
{
    (void)state;
    spend(FN_USES_MOST - FN_USES_STEP);
    assert_int_equal(use(FN_USES_STEP), FN_OK);
    assert_int_equal(taken(), FN_USES_MOST);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(use(1), FN_E_KEY_EXHAUSTED);
        fn_err_clear();
    }
    assert_int_equal(taken(), FN_USES_MOST);
    assert_true(due());
    /* The last ones singly, and never one too many. */
    spend(FN_USES_MOST - FN_USES_STEP);
    assert_int_equal(use(FN_USES_STEP - 2), FN_OK);
    assert_int_equal(use(3), FN_E_KEY_EXHAUSTED);
    fn_err_clear();
    assert_int_equal(use(1), FN_OK);
    assert_int_equal(use(1), FN_OK);
    assert_int_equal(use(1), FN_E_KEY_EXHAUSTED);
    fn_err_clear();
    spend(FN_USES_MOST);
    assert_int_equal(use(1), FN_E_KEY_EXHAUSTED);
    fn_err_clear();
}

/* The last reservation is as large as what is left. */
static void test_remainder(void **state)
{
    (void)state;
    spend(FN_USES_MOST - 3);
    assert_int_equal(use(1), FN_OK);
    assert_int_equal(taken(), FN_USES_MOST);
    assert_int_equal(use(2), FN_OK);
    assert_int_equal(use(1), FN_E_KEY_EXHAUSTED);
    fn_err_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reservation),
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_exhausted),
        cmocka_unit_test(test_remainder),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
