/* The chained log: its vector, appending, tampering, torn tails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sys/chain.h"
#include "base/sys/heap.h"
#include <gcrypt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static fn_err hmac(void *self, struct fn_bytes message, uint8_t mac[32])
{
    uint8_t key[32];
    size_t n = 32;
    gcry_mac_hd_t h;
    (void)self;
    for (int i = 0; i < 32; i++) key[i] = (uint8_t)i;
    if (gcry_mac_open(&h, GCRY_MAC_HMAC_SM3, 0, NULL) || gcry_mac_setkey(h, key, 32) ||
        gcry_mac_write(h, message.p, message.n) || gcry_mac_read(h, mac, &n))
        return FN_E_INTERNAL;
    gcry_mac_close(h);
    return FN_OK;
}
static const struct fn_chain_mac mac = {NULL, hmac};

static char dir[] = "/tmp/fengni-chain-XXXXXX", path[64];

static int setup(void **state)
{
    (void)state;
    gcry_check_version(NULL);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    if (!mkdtemp(dir)) return 1;
    snprintf(path, sizeof path, "%s/log", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static const char *const bodies[] = {"{\"seq\":1,\"ev\":\"login\",\"u\":\"admin\"}",
                                     "{\"seq\":2,\"ev\":\"key.create\",\"k\":\"k1\"}",
                                     "{\"seq\":3,\"ev\":\"key.destroy\",\"k\":\"k1\"}"};
static const char *const macs[] = {"cef5830bf4a1ae0388df634426c075db072d2503cfa16c3109109fa8a66b1b3e",
                                   "91c98769e6e18c25d18123afc877742ecaacaef5e81ac97aa64cbb660c0f61c1",
                                   "52411fac46cb4563fef1e30bf116ac8fdf9a1a9e4383785340fa4dd2ba322ac0"};

static void expect_mac(const uint8_t got[32], const char *want)
{
    char hex[65];
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", got[i]);
    assert_string_equal(hex, want);
}

static void write_three(void)
{
    struct fn_chain *c;
    uint64_t torn;
    for (int i = 0; i < 3; i++) { /* opened anew each time */
        assert_int_equal(fn_chain_open(&c, path, &mac, &torn), FN_OK);
        assert_int_equal(torn, 0);
        assert_int_equal(
            fn_chain_append(c, 1700000000001u + (unsigned)i, fn_bytes(bodies[i], strlen(bodies[i]))), FN_OK);
        expect_mac(fn_chain_end(c)->mac, macs[i]);
        fn_chain_close(c);
    }
}

static fn_err each(void *context, const struct fn_chain_record *r)
{
    int *n = context;
    assert_int_equal(r->seq, *n + 1);
    assert_int_equal(r->body.n, strlen(bodies[*n]));
    assert_memory_equal(r->body.p, bodies[*n], r->body.n);
    ++*n;
    return FN_OK;
}

static void vector_and_reading(void **state)
{
    (void)state;
    struct fn_chain_end end;
    int n = 0;
    assert_int_equal(fn_chain_read(path, &mac, NULL, NULL, &end), FN_OK);
    assert_int_equal(end.seq, 0);
    write_three();
    assert_int_equal(fn_chain_read(path, &mac, each, &n, &end), FN_OK);
    assert_int_equal(n, 3);
    assert_int_equal(end.seq, 3);
    expect_mac(end.mac, macs[2]);
}

static size_t load(uint8_t *p, size_t room)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(p, 1, room, f);
    fclose(f);
    return n;
}

static void store(const uint8_t *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

static void every_changed_byte_is_found(void **state)
{
    (void)state;
    uint8_t p[1024];
    struct fn_chain_end end;
    write_three();
    size_t n = load(p, sizeof p);
    for (size_t i = 0; i < n; i++) {
        p[i] ^= 1;
        store(p, n);
        assert_int_not_equal(fn_chain_read(path, &mac, NULL, NULL, &end), FN_OK);
        p[i] ^= 1;
    }
}

static void removed_record_is_found(void **state)
{
    (void)state;
    uint8_t p[1024];
    struct fn_chain_end end;
    write_three();
    size_t n = load(p, sizeof p), first = 21 + strlen(bodies[0]) + 32;
    store(p + first, n - first);
    assert_int_equal(fn_chain_read(path, &mac, NULL, NULL, &end), FN_E_CORRUPT);
}

static void torn_tail_is_cut(void **state)
{
    (void)state;
    uint8_t p[1024];
    struct fn_chain_end end;
    struct fn_chain *c;
    uint64_t torn;
    write_three();
    size_t n = load(p, sizeof p), two = n - 21 - strlen(bodies[2]) - 32;
    for (size_t cut = two + 1; cut < n; cut++) {
        store(p, cut);
        assert_int_equal(fn_chain_read(path, &mac, NULL, NULL, &end), FN_E_TRUNCATED);
        assert_int_equal(fn_chain_open(&c, path, &mac, &torn), FN_OK);
        assert_int_equal(torn, cut - two);
        assert_int_equal(fn_chain_end(c)->seq, 2);
        assert_int_equal(fn_chain_append(c, 1700000000003u, fn_bytes(bodies[2], strlen(bodies[2]))), FN_OK);
        expect_mac(fn_chain_end(c)->mac, macs[2]);
        fn_chain_close(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(vector_and_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(every_changed_byte_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(removed_record_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(torn_tail_is_cut, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
