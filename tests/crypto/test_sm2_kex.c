/* SM2 key exchange: both sides agree on many keys; with the argument `print` the same runs as lines of hex
 * for test_sm2_kex_reference.py, because no packaged library has the exchange. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/core/text.h"
#include "crypto/sm2/sm2.h"
#include "crypto/sm3/sm3.h"

#include <stdio.h>
#include <string.h>

#define RUNS 24

/* SM3 of a counter: the same keys in every run. */
static fn_err counted(void *self, uint8_t *out, size_t n)
{
    uint32_t *counter = self;
    while (n) {
        uint8_t block[4], digest[32];
        fn_put_be32(block, (*counter)++);
        fn_sm3_digest(block, 4, digest);
        size_t take = n < 32 ? n : 32;
        memcpy(out, digest, take);
        out += take;
        n -= take;
    }
    return FN_OK;
}

struct run {
    struct fn_sm2_private key[2], ephemeral[2]; /* sponsor, responder */
    char id[2][24];
    uint8_t z[2][32];
    size_t bytes;
    uint8_t shared[2][80];
    struct fn_sm2_kex_confirm confirm[2];
};

static void make(struct run *r, uint32_t number)
{
    uint32_t counter = number * 1000;
    const struct fn_rng rng = {counted, &counter};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fn_sm2_generate(&r->key[i], &rng), FN_OK);
        assert_int_equal(fn_sm2_generate(&r->ephemeral[i], &rng), FN_OK);
        snprintf(r->id[i], sizeof r->id[i], i ? "responder-%u" : "sponsor-%u", (unsigned)number);
        assert_int_equal(fn_sm2_z(r->z[i], &r->key[i].pub, fn_bytes(r->id[i], strlen(r->id[i]))), FN_OK);
    }
    r->bytes = 16 + number % 5 * 16;
    for (int i = 0; i < 2; i++) {
        const struct fn_sm2_kex kex = {.sponsor = i == 0,
                                       .own = &r->key[i],
                                       .own_ephemeral = &r->ephemeral[i],
                                       .peer = &r->key[1 - i].pub,
                                       .peer_ephemeral = &r->ephemeral[1 - i].pub,
                                       .z_sponsor = r->z[0],
                                       .z_responder = r->z[1]};
        assert_int_equal(fn_sm2_kex(&kex, r->shared[i], r->bytes, &r->confirm[i]), FN_OK);
    }
}

static void both_sides_agree(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < RUNS; i++) {
        struct run r;
        make(&r, i);
        assert_memory_equal(r.shared[0], r.shared[1], r.bytes);
        assert_memory_equal(&r.confirm[0], &r.confirm[1], sizeof r.confirm[0]);
        assert_memory_not_equal(r.confirm[0].sponsor, r.confirm[0].responder, 32);
    }
}

static void print_hex(const void *p, size_t n)
{
    char text[2 * 80 + 1];
    fn_hex_encode(text, p, n);
    printf(" %s", text);
}

static int print(void)
{
    for (uint32_t i = 0; i < RUNS; i++) {
        struct run r;
        make(&r, i);
        printf("kex");
        for (int k = 0; k < 2; k++) {
            print_hex(r.key[k].d, 32);
            print_hex(r.ephemeral[k].d, 32);
            print_hex(r.id[k], strlen(r.id[k]));
        }
        print_hex(r.shared[0], r.bytes);
        print_hex(r.confirm[0].responder, 32);
        print_hex(r.confirm[0].sponsor, 32);
        printf("\n");
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "print") == 0) return print();
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_sides_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
