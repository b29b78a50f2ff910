/* Shares: the whole way of a secret, every bit of the encodings, what is refused and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/share.h"
#include "life_rng.h"

#define N 5

static struct fn_sm2_private device, holders[N];
static const char *const names[N] = {"张三", "李四", "Wang Wu", "赵六", "孙七"};

static fn_err sign_with(void *self, const uint8_t e[32], uint8_t signature[64])
{
    return fn_sm2_sign(self, &noise, e, signature);
}

static const struct fn_signer signer = {sign_with, &device};

static int setup(void **state)
{
    (void)state;
    if (fn_sm2_generate(&device, &noise)) return -1;
    for (int i = 0; i < N; i++)
        if (fn_sm2_generate(&holders[i], &noise)) return -1;
    return 0;
}

static struct fn_share_set root_set(uint32_t generation)
{
    struct fn_share_set set = {.kind = FN_SHARE_ROOT,
                               .serial = "2026112400010001",
                               .device = device.pub,
                               .generation = generation,
                               .m = 3,
                               .n = N};
    memset(set.uuid.b, 0x42, 16);
    return set;
}

static void split(struct fn_share shares[N], const struct fn_share_set *set, const uint8_t secret[32])
{
    assert_int_equal(fn_share_split(&noise, set, 77, 1795555555123, secret, 32, names, shares), FN_OK);
}

static void assert_same(const struct fn_share *a, const struct fn_share *b)
{
    assert_int_equal(a->set.kind, b->set.kind);
    assert_string_equal(a->set.serial, b->set.serial);
    assert_memory_equal(&a->set.device, &b->set.device, 64);
    assert_memory_equal(a->set.uuid.b, b->set.uuid.b, 16);
    assert_int_equal(a->set.generation, b->set.generation);
    assert_int_equal(a->set.m, b->set.m);
    assert_int_equal(a->set.n, b->set.n);
    assert_int_equal(a->x, b->x);
    assert_string_equal(a->holder, b->holder);
    assert_int_equal(a->store_generation, b->store_generation);
    assert_int_equal(a->made, b->made);
    assert_memory_equal(a->check, b->check, 32);
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->y, b->y, a->size);
}

static void test_whole_way(void **state)
{
    (void)state;
    uint8_t secret[32], back[FN_SHARE_SECRET_MOST];
    struct fn_share shares[N], opened;
    struct fn_share_set set = root_set(1);
    static uint8_t sealed_room[N][FN_SHARE_SEALED_MOST];
    struct fn_buf sealed[N];
    size_t size;
    noise_fill(&noise_state, secret, 32);
    split(shares, &set, secret);
    for (int i = 0; i < N; i++) {
        uint8_t room[FN_SHARE_MOST];
        struct fn_buf encoded = fn_buf_fixed(room, sizeof room);
        struct fn_share_label label;
        assert_int_equal(fn_share_encode(&shares[i], &signer, &encoded), FN_OK);
        sealed[i] = fn_buf_fixed(sealed_room[i], FN_SHARE_SEALED_MOST);
        assert_int_equal(
            fn_share_seal(&noise, &holders[i].pub, &shares[i], fn_buf_view(&encoded), &sealed[i]), FN_OK);
        /* y shows nowhere in what is kept. */
        assert_null(memmem(sealed[i].p, sealed[i].n, shares[i].y, 8));
        assert_int_equal(fn_share_label_read(&label, fn_buf_view(&sealed[i])), FN_OK);
        assert_int_equal(label.x, i + 1);
        assert_int_equal(label.generation, 1);
        assert_string_equal(label.serial, set.serial);
    }
    static const int order[3] = {4, 0, 2};
    static struct fn_share_pool pool;
    fn_share_pool_start(&pool, &set);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(fn_share_pool_missing(&pool), 3 - i);
        assert_int_equal(fn_share_pool_combine(&pool, back, &size), FN_E_DEVICE_QUORUM);
        assert_int_equal(fn_share_open(&opened, &holders[order[i]], fn_buf_view(&sealed[order[i]])), FN_OK);
        assert_same(&opened, &shares[order[i]]);
        assert_int_equal(fn_share_pool_add(&pool, &opened), FN_OK);
        assert_int_equal(fn_share_pool_add(&pool, &opened), FN_E_EXISTS);
    }
    assert_int_equal(fn_share_pool_missing(&pool), 0);
    assert_int_equal(fn_share_pool_combine(&pool, back, &size), FN_OK);
    assert_int_equal(size, 32);
    assert_memory_equal(back, secret, 32);
    assert_int_equal(fn_share_pool_store_check(&pool, 77), FN_OK);
    assert_int_equal(fn_share_pool_store_check(&pool, 76), FN_E_DEVICE_STORE_OLD);
    fn_share_pool_wipe(&pool);
    for (size_t i = 0; i < sizeof pool; i++) assert_int_equal(((uint8_t *)&pool)[i], 0);
}

/* Secrets of every allowed length; the largest set. */
static void test_sizes(void **state)
{
    (void)state;
    static struct fn_share shares[255];
    static const char *many[255];
    static struct fn_share_pool pool;
    uint8_t secret[65], back[FN_SHARE_SECRET_MOST];
    size_t size;
    for (int i = 0; i < 255; i++) many[i] = names[i % N];
    noise_fill(&noise_state, secret, sizeof secret);
    for (size_t n = 0; n <= 65; n++) {
        struct fn_share_set set = root_set(1);
        set.kind = FN_SHARE_BACKUP;
        set.m = n == 48 ? 128 : 2;
        set.n = n == 48 ? 255 : 2;
        fn_err err = fn_share_split(&noise, &set, 1, 0, secret, n, many, shares);
        assert_int_equal(err, n < 16 || n > 64 ? FN_E_ARGUMENT : FN_OK);
        if (err) continue;
        fn_share_pool_start(&pool, &set);
        for (int i = set.n; i-- > 0 && fn_share_pool_missing(&pool);)
            assert_int_equal(fn_share_pool_add(&pool, &shares[i]), FN_OK);
        assert_int_equal(fn_share_pool_combine(&pool, back, &size), FN_OK);
        assert_int_equal(size, n);
        assert_memory_equal(back, secret, n);
    }
}

/* No bit of a share or of a sealed share can change, no byte be missing or too much. */
static void test_every_bit(void **state)
{
    (void)state;
    uint8_t secret[32] = {1}, room[FN_SHARE_MOST], sealed_room[FN_SHARE_SEALED_MOST],
            copy[FN_SHARE_SEALED_MOST + 1];
    struct fn_share shares[N], read;
    static const struct fn_share zero;
    struct fn_share_set set = root_set(1);
    struct fn_buf encoded = fn_buf_fixed(room, sizeof room),
                  sealed = fn_buf_fixed(sealed_room, sizeof sealed_room);
    split(shares, &set, secret);
    assert_int_equal(fn_share_encode(&shares[1], &signer, &encoded), FN_OK);
    assert_int_equal(fn_share_seal(&noise, &holders[1].pub, &shares[1], fn_buf_view(&encoded), &sealed),
                     FN_OK);

    memcpy(copy, encoded.p, encoded.n);
    for (size_t bit = 0; bit < encoded.n * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(fn_share_decode(&read, fn_bytes(copy, encoded.n)), FN_OK);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_memory_equal(&read, &zero, sizeof read);
    for (size_t n = 0; n < encoded.n; n++)
        assert_int_not_equal(fn_share_decode(&read, fn_bytes(copy, n)), FN_OK);
    copy[encoded.n] = 0;
    assert_int_equal(fn_share_decode(&read, fn_bytes(copy, encoded.n + 1)), FN_E_TRAILING);
    assert_int_equal(fn_share_decode(&read, fn_bytes(copy, encoded.n)), FN_OK);
    assert_same(&read, &shares[1]);

    memcpy(copy, sealed.p, sealed.n);
    for (size_t bit = 0; bit < sealed.n * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(fn_share_open(&read, &holders[1], fn_bytes(copy, sealed.n)), FN_OK);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < sealed.n; n++)
        assert_int_not_equal(fn_share_open(&read, &holders[1], fn_bytes(copy, n)), FN_OK);
    copy[sealed.n] = 0;
    assert_int_equal(fn_share_open(&read, &holders[1], fn_bytes(copy, sealed.n + 1)), FN_E_TRAILING);
    assert_int_equal(fn_share_open(&read, &holders[0], fn_bytes(copy, sealed.n)), FN_E_DEVICE_SHARE);
    assert_int_equal(fn_share_open(&read, &holders[1], fn_bytes(copy, sealed.n)), FN_OK);
    copy[4] = 2;
    assert_int_equal(fn_share_open(&read, &holders[1], fn_bytes(copy, sealed.n)), FN_E_VERSION);
    copy[4] = 1;
    copy[42] ^= 3; /* x in the label: 2 becomes 1 */
    assert_int_equal(fn_share_open(&read, &holders[1], fn_bytes(copy, sealed.n)), FN_E_DEVICE_SHARE);
}

static void refused(const struct fn_share_set *expected, const struct fn_share *share)
{
    static struct fn_share_pool pool, before;
    fn_share_pool_start(&pool, expected);
    before = pool;
    assert_int_equal(fn_share_pool_add(&pool, share), FN_E_DEVICE_SHARE);
    assert_memory_equal(&pool, &before, sizeof pool);
}

static void test_other_sets(void **state)
{
    (void)state;
    uint8_t secret[32] = {2};
    struct fn_share shares[N];
    struct fn_share_set set = root_set(4), other;
    split(shares, &set, secret);
    other = set;
    other.generation = 5; /* reshared since: these are superseded */
    refused(&other, &shares[0]);
    other.generation = 3; /* the store at hand is older than the shares */
    refused(&other, &shares[0]);
    other = set;
    other.kind = FN_SHARE_BACKUP;
    refused(&other, &shares[0]);
    other = set;
    other.serial[15] = '2';
    refused(&other, &shares[0]);
    other = set;
    other.device = holders[0].pub;
    refused(&other, &shares[0]);
    other = set;
    other.uuid.b[0] ^= 1;
    refused(&other, &shares[0]);
    other = set;
    other.m = 2;
    refused(&other, &shares[0]);
}

/* A share that fits by its label but is of another splitting, and one with a wrong y under a good signature.
 */
static void test_odd_shares(void **state)
{
    (void)state;
    uint8_t secret[32] = {3}, second[32] = {4}, back[FN_SHARE_SECRET_MOST] = {0};
    struct fn_share shares[N], others[N];
    struct fn_share_set set = root_set(1);
    static struct fn_share_pool pool;
    size_t size;
    split(shares, &set, secret);
    split(others, &set, second);
    set.m = set.n = 0; /* not known beforehand */
    fn_share_pool_start(&pool, &set);
    assert_int_equal(fn_share_pool_missing(&pool), 2);
    assert_int_equal(fn_share_pool_add(&pool, &shares[0]), FN_OK);
    assert_int_equal(fn_share_pool_missing(&pool), 2);
    assert_int_equal(fn_share_pool_add(&pool, &others[1]), FN_E_DEVICE_SHARE);
    shares[1].y[31] ^= 1;
    assert_int_equal(fn_share_pool_add(&pool, &shares[1]), FN_OK);
    assert_int_equal(fn_share_pool_add(&pool, &shares[2]), FN_OK);
    assert_int_equal(fn_share_pool_combine(&pool, back, &size), FN_E_DEVICE_SHARE);
    for (size_t i = 0; i < sizeof back; i++) assert_int_equal(back[i], 0);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    uint8_t secret[32] = {5}, room[FN_SHARE_MOST];
    struct fn_share shares[N], zero = {0};
    struct fn_share_set set = root_set(1), bad;
    struct fn_buf out = fn_buf_fixed(room, sizeof room);
    const char *no_name[N] = {"a", "", "c", "d", "e"}, *control[N] = {"a", "b\n", "c", "d", "e"},
               *latin[N] = {"a", "b\xe9", "c", "d", "e"};
    char longer[FN_HOLDER_MOST + 2];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    const char *too_long[N] = {"a", "b", longer, "d", "e"};
    const struct fn_rng broken = {broken_fill, NULL};

    assert_int_equal(fn_share_split(&noise, &set, 1, 1, secret, 32, no_name, shares), FN_E_FORMAT);
    assert_int_equal(fn_share_split(&noise, &set, 1, 1, secret, 32, control, shares), FN_E_FORMAT);
    assert_int_equal(fn_share_split(&noise, &set, 1, 1, secret, 32, latin, shares), FN_E_ENCODING);
    assert_int_equal(fn_share_split(&noise, &set, 1, 1, secret, 32, too_long, shares), FN_E_FORMAT);
    bad = set, bad.m = 1;
    assert_int_equal(fn_share_split(&noise, &bad, 1, 1, secret, 32, names, shares), FN_E_FORMAT);
    bad = set, bad.m = 6;
    assert_int_equal(fn_share_split(&noise, &bad, 1, 1, secret, 32, names, shares), FN_E_FORMAT);
    bad = set, bad.generation = 0;
    assert_int_equal(fn_share_split(&noise, &bad, 1, 1, secret, 32, names, shares), FN_E_FORMAT);
    bad = set, bad.serial[15] = 0;
    assert_int_equal(fn_share_split(&noise, &bad, 1, 1, secret, 32, names, shares), FN_E_FORMAT);
    bad = set, bad.device.y[31] ^= 1;
    assert_int_equal(fn_share_split(&noise, &bad, 1, 1, secret, 32, names, shares), FN_E_SM2_POINT);
    assert_int_equal(fn_share_split(&broken, &set, 1, 1, secret, 32, names, shares), FN_E_RANDOM_SOURCE);

    split(shares, &set, secret);
    /* A key that is not the one the share names signs nothing that goes out. */
    assert_int_equal(fn_share_encode(&shares[0], &(struct fn_signer){sign_with, &holders[0]}, &out),
                     FN_E_SIGNATURE);
    shares[0].x = 6;
    assert_int_equal(fn_share_encode(&shares[0], &signer, &out), FN_E_FORMAT);
    assert_int_equal(fn_share_encode(&zero, &signer, &out), FN_E_FORMAT);
    assert_int_equal(out.n, 0);
    bad = set, bad.device.x[0] ^= 1;
    assert_int_equal(fn_share_seal(&noise, &bad.device, &shares[1], fn_bytes(room, 10), &out),
                     FN_E_SM2_POINT);
}

/* A ciphertext with a point that is not on the curve is refused before the private key meets it. */
static void test_bad_point(void **state)
{
    (void)state;
    uint8_t secret[32] = {6}, room[FN_SHARE_MOST], sealed_room[FN_SHARE_SEALED_MOST];
    struct fn_share shares[N], read;
    struct fn_share_set set = root_set(1);
    struct fn_buf encoded = fn_buf_fixed(room, sizeof room),
                  sealed = fn_buf_fixed(sealed_room, sizeof sealed_room);
    split(shares, &set, secret);
    assert_int_equal(fn_share_encode(&shares[0], &signer, &encoded), FN_OK);
    assert_int_equal(fn_share_seal(&noise, &holders[0].pub, &shares[0], fn_buf_view(&encoded), &sealed),
                     FN_OK);
    memset(sealed.p + 75, 0, 64);
    assert_int_equal(fn_share_open(&read, &holders[0], fn_buf_view(&sealed)), FN_E_SM2_CIPHERTEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_way),  cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_every_bit),  cmocka_unit_test(test_other_sets),
        cmocka_unit_test(test_odd_shares), cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_bad_point),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
