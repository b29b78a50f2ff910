/* Where private keys of libcrypto lie while they are used: this process's whole memory is searched for them.
 */
#include "device/device.h"

#include "base/sys/heap.h"
#include "base/sys/secret.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The needle is kept inverted, so that it does not find itself. */
struct needle {
    uint8_t inverted[64];
    size_t n;
};

static struct needle needle(const uint8_t *p, size_t n, bool reversed)
{
    struct needle k = {.n = n};
    for (size_t i = 0; i < n; i++) k.inverted[i] = (uint8_t)~p[reversed ? n - 1 - i : i];
    return k;
}

static size_t found_in(const uint8_t *p, size_t n, const struct needle *k)
{
    size_t found = 0;
    const uint8_t *end = p + n;
    while ((size_t)(end - p) >= k->n &&
           (p = memchr(p, k->inverted[0] ^ 0xff, (size_t)(end - p) - k->n + 1))) {
        size_t j = 0;
        while (j < k->n && (p[j] ^ k->inverted[j]) == 0xff) j++;
        found += j == k->n;
        p++;
    }
    return found;
}

struct places {
    size_t locked, elsewhere;
};

/* Mappings that are locked have "lo" among their flags. The copy that is searched is wiped after each. */
static struct places look(const struct needle *k, bool say)
{
    struct places places = {0};
    static uint8_t piece[1 << 16];
    char line[512], name[512] = "";
    unsigned long from = 0, to = 0, a, b;
    FILE *maps = fopen("/proc/self/smaps", "r");
    int mem = open("/proc/self/mem", O_RDONLY);
    assert_non_null(maps);
    assert_true(mem >= 0);
    bool readable = false;
    while (fgets(line, sizeof line, maps)) {
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &a, &b, mode) == 3) {
            from = a;
            to = b;
            readable = mode[0] == 'r' && mode[1] == 'w';
            memcpy(name, line, sizeof name);
        }
        if (strncmp(line, "VmFlags:", 8) != 0 || !readable || to - from > (1ul << 30)) continue;
        bool locked = strstr(line, " lo") != NULL;
        size_t keep = 0, here = 0;
        for (unsigned long at = from; at < to;) {
            size_t room = sizeof piece - keep < to - at ? sizeof piece - keep : to - at;
            ssize_t got = pread(mem, piece + keep, room, (off_t)at);
            if (got <= 0) break;
            if (at > (unsigned long)piece + sizeof piece || at + (unsigned long)got <= (unsigned long)piece)
                here += found_in(piece, keep + (size_t)got, k);
            at += (unsigned long)got;
            size_t whole = keep + (size_t)got;
            keep = whole < k->n - 1 ? whole : k->n - 1;
            memmove(piece, piece + whole - keep, keep);
        }
        fn_wipe(piece, sizeof piece);
        if (here && !locked && say) printf("%zu in %s", here, name);
        *(locked ? &places.locked : &places.elsewhere) += here;
    }
    fclose(maps);
    close(mem);
    return places;
}

/* Makes a key, gives its stored form, forgets it; only the stored form is left, in locked memory. */
static void make(uint16_t alg, struct fn_buf *secret)
{
    struct fn_key *key;
    assert_int_equal(fn_key_generate(fn_device_rng(), alg, &key), FN_OK);
    assert_int_equal(fn_key_secret_bytes(key, secret), FN_OK);
    fn_key_release(key);
}

static void use(const struct fn_key *key)
{
    uint8_t digest[32] = {1};
    FN_SCOPED_BUF struct fn_buf out = fn_buf_heap();
    for (int i = 0; i < 3; i++) assert_int_equal(fn_pk_sign(key, digest, &out), FN_OK);
}

static void test_control(void **state)
{
    (void)state;
    uint8_t *planted = malloc(32);
    assert_non_null(planted);
    assert_int_equal(fn_rng_fill(fn_device_rng(), planted, 32), FN_OK);
    struct needle k = needle(planted, 32, false);
    assert_true(look(&k, false).elsewhere >= 1);
    fn_wipe(planted, 32);
    free(planted);
    assert_int_equal(look(&k, true).elsewhere, 0);
}

static void test_p256(void **state)
{
    (void)state;
    FN_SCOPED_BUF struct fn_buf secret = fn_buf_secret();
    struct fn_key *key;
    make(FN_ALG_P256, &secret);
    /* SEQUENCE, version 1, OCTET STRING of 32 bytes: the number begins at 7. */
    struct needle big = needle(secret.p + 7, 32, false), little = needle(secret.p + 7, 32, true);
    assert_int_equal(fn_key_from_secret(FN_ALG_P256, fn_buf_view(&secret), &key), FN_OK);
    use(key);
    assert_true(look(&big, true).elsewhere == 0);
    struct places p = look(&little, true);
    assert_true(p.locked >= 1);
    assert_int_equal(p.elsewhere, 0);
    fn_key_release(key);
    assert_int_equal(look(&little, true).locked, 0);
}

static void test_rsa(void **state)
{
    (void)state;
    FN_SCOPED_BUF struct fn_buf secret = fn_buf_secret();
    struct fn_key *key;
    make(FN_ALG_RSA2048, &secret);
    /* PKCS#1: header 4, version 3, modulus 4 + 257, exponent 5, then d: 4 + its length. */
    const uint8_t *d = secret.p + 4 + 3 + 4 + 257 + 5;
    assert_int_equal(d[0], 2);
    d += (d[1] == 0x82 ? 4 : 3) + 20;
    struct needle big = needle(d, 64, false), little = needle(d, 64, true);
    assert_int_equal(fn_key_from_secret(FN_ALG_RSA2048, fn_buf_view(&secret), &key), FN_OK);
    use(key);
    assert_true(look(&big, true).elsewhere == 0);
    struct places p = look(&little, true);
    assert_true(p.locked >= 1);
    assert_int_equal(p.elsewhere, 0);
    fn_key_release(key);
}

static int set_up(void **state)
{
    (void)state;
    bool locked;
    assert_int_equal(fn_pk_heap((size_t)1 << 20, &locked), FN_OK);
    assert_true(locked);
    return fn_device_random_open() != FN_OK;
}

static int tear_down(void **state)
{
    (void)state;
    fn_device_random_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_p256),
        cmocka_unit_test(test_rsa),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
