/* SM2 against the standard's examples (GB/T 32918.5) and against bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/sm2/sm2.h"
#include "crypto/sm3/sm3.h"

#define P  "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF"
#define N  "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123"
#define N1 "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54122"
#define N2 "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54121"
#define GX "32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7"
#define GY "BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0"
#define D  "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8"
#define K  "59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21"

static void hex(uint8_t *out, const char *text)
{
    for (size_t i = 0; text[2 * i]; i++) {
        unsigned value;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &value), 1);
        out[i] = (uint8_t)value;
    }
}

static void assert_hex(const uint8_t *have, const char *text)
{
    uint8_t want[256];
    hex(want, text);
    assert_memory_equal(have, want, strlen(text) / 2);
}

static void number(uint8_t out[32], unsigned value)
{
    memset(out, 0, 32);
    out[31] = (uint8_t)value;
}

static struct fn_sm2_private key_of(const char *d)
{
    struct fn_sm2_private key;
    uint8_t bytes[32];
    hex(bytes, d);
    assert_int_equal(fn_sm2_private_load(&key, bytes), FN_OK);
    return key;
}

static struct fn_sm2_public point_of(const char *x, const char *y)
{
    struct fn_sm2_public p;
    hex(p.x, x);
    hex(p.y, y);
    return p;
}

/* Gives the bytes that the test prepared, then a fixed sequence (SM3 of a counter). */
struct source {
    uint8_t bytes[512];
    size_t n, at;
    uint32_t counter;
};

static fn_err source_fill(void *self, uint8_t *out, size_t n)
{
    struct source *s = self;
    for (size_t i = 0; i < n; i++) {
        if (s->at == s->n) {
            uint8_t block[4];
            fn_put_be32(block, s->counter++);
            fn_sm3_digest(block, 4, s->bytes);
            s->n = 32;
            s->at = 0;
        }
        out[i] = s->bytes[s->at++];
    }
    return FN_OK;
}

static fn_err broken_fill(void *self, uint8_t *out, size_t n)
{
    (void)self;
    memset(out, 0xff, n);
    return FN_OK;
}

static fn_err failing_fill(void *self, uint8_t *out, size_t n)
{
    (void)self, (void)out, (void)n;
    return FN_FAIL(FN_E_RANDOM_LEFT, "test");
}

static void test_signature_example(void **state)
{
    (void)state;
    struct fn_sm2_private key = key_of(D);
    assert_hex(key.pub.x, "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020");
    assert_hex(key.pub.y, "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13");
    uint8_t z[32], e[32], k[32], sig[64];
    assert_int_equal(fn_sm2_z(z, &key.pub, FN_SM2_DEFAULT_ID), FN_OK);
    assert_hex(z, "B2E14C5C79C6DF5B85F4FE7ED8DB7A262B9DA7E07CCB0EA9F4747B8CCDA8A4F3");
    assert_int_equal(fn_sm2_digest(e, &key.pub, FN_SM2_DEFAULT_ID, FN_BYTES_LITERAL("message digest")),
                     FN_OK);
    assert_hex(e, "F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640");
    hex(k, K);
    assert_int_equal(fn_sm2_sign_with_nonce(&key, k, e, sig), FN_OK);
    assert_hex(sig, "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
                    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA");
    assert_int_equal(fn_sm2_verify(&key.pub, e, sig), FN_OK);

    /* The same through the random source: zero, n and all ones are passed over, k is taken. */
    struct source s = {.n = 128};
    hex(s.bytes + 32, N);
    memset(s.bytes + 64, 0xff, 32);
    memcpy(s.bytes + 96, k, 32);
    struct fn_rng rng = {source_fill, &s};
    uint8_t again[64];
    assert_int_equal(fn_sm2_sign(&key, &rng, e, again), FN_OK);
    assert_memory_equal(again, sig, 64);
    assert_int_equal(s.at, 128);
}

/* The project's fixed keys: public keys from d, Z and e. */
static void test_project_keys(void **state)
{
    (void)state;
    static const char *const keys[][3] = {
        {"90BAC30E7441B2711CE575DA5E79AF1B249B9FD339B7991CE1E0D74D687CF9E6",
         "00AB7F72058F74FB7449CF5CA00108F9003E7014578C741B625A0F6EC01D1BF6",
         "C0D143855D8DC59F271D67EE9A6D5065B71166F49C94F6589DB4F9B5AD1A4357"},
        {"56886123D9E57C13082EE0FA3520DFD38DAEB5FA253619B85C759D4E51333C5B",
         "D57A1DF6231C5EF91ED961DFB5A84ACB0CE76382FD1C3382C51F7E0ECC0453BB",
         "DF4DD804AD442B5F63DDC2E015BEB657CB00075DA273D5F69FE84A326EF7F586"},
        {"128B2FA8BD433C6C068C8D803DFF79792A519A55171B1B650C23661D15897263",
         "D5548C7825CBB56150A3506CD57464AF8A1AE0519DFAF3C58221DC810CAF28DD",
         "921073768FE3D59CE54E79A49445CF73FED23086537027264D168946D479533E"},
    };
    for (size_t i = 0; i < FN_COUNT(keys); i++) {
        struct fn_sm2_private key = key_of(keys[i][0]);
        assert_hex(key.pub.x, keys[i][1]);
        assert_hex(key.pub.y, keys[i][2]);
        assert_int_equal(fn_sm2_public_check(&key.pub), FN_OK);
    }
    struct fn_sm2_private key = key_of(keys[1][0]);
    uint8_t z[32], e[32];
    assert_int_equal(fn_sm2_z(z, &key.pub, FN_SM2_DEFAULT_ID), FN_OK);
    assert_hex(z, "F428A2488ADC68ABDDE01FC1B971C5980238D11E9FE0717F5D6AD6EF0AF0EF26");
    struct fn_bytes content = FN_BYTES_LITERAL("你好, 政务云 GM/T 0010");
    assert_int_equal(fn_sm2_digest(e, &key.pub, FN_SM2_DEFAULT_ID, content), FN_OK);
    assert_hex(e, "80D8A6F64DCB1DC80FF9A44F74D45CE105118E7106A6A7CD2585F6F6734BA933");
}

static void test_encryption_example(void **state)
{
    (void)state;
    static const struct {
        const char *m, *c3, *c2;
    } cases[] = {
        {"656E6372797074696F6E207374616E64617264",
         "59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD8766",
         "21886CA989CA9C7D58087307CA93092D651EFA"},
        {"0123456789ABCDEFFEDCBA9876543210",
         "4423B448D18B4A1A86B0E264E928007803243A5A8D9D0B0E8953BFE4E928ADCF",
         "45C54ABC791125FBC9BAE9ECC8A65559"},
    };
    struct fn_sm2_private key = key_of(D);
    uint8_t k[32];
    hex(k, K);
    for (size_t i = 0; i < FN_COUNT(cases); i++) {
        uint8_t m[64], c3[32], c2[64], back[64];
        size_t n = strlen(cases[i].m) / 2;
        struct fn_sm2_public c1;
        hex(m, cases[i].m);
        assert_int_equal(fn_sm2_encrypt_with_nonce(&key.pub, k, m, n, &c1, c3, c2), FN_OK);
        assert_hex(c1.x, "04EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73");
        assert_hex(c1.y, "E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0");
        assert_hex(c3, cases[i].c3);
        assert_hex(c2, cases[i].c2);
        assert_int_equal(fn_sm2_decrypt(&key, &c1, c3, c2, n, back), FN_OK);
        assert_memory_equal(back, m, n);
    }
}

static void test_key_exchange_example(void **state)
{
    (void)state;
    struct fn_sm2_private a = key_of("81EB26E941BB5AF16DF116495F90695272AE2CD63D6C4AE1678418BE48230029");
    struct fn_sm2_private ra = key_of("D4DE15474DB74D06491C440D305E012400990F3E390C7E87153C12DB2EA60BB3");
    struct fn_sm2_private b = key_of("785129917D45A9EA5437A59356B82338EAADDA6CEB199088F14AE10DEFA229B5");
    struct fn_sm2_private rb = key_of("7E07124814B309489125EAED101113164EBF0F3458C5BD88335C1F9D596243D6");
    assert_hex(ra.pub.x, "64CED1BDBC99D590049B434D0FD73428CF608A5DB8FE5CE07F15026940BAE40E");
    assert_hex(rb.pub.y, "2FEDAC0494B2FFC4D6853876C79B8F301C6573AD0AA50F39FC87181E1A1B46FE");
    uint8_t za[32], zb[32], key[2][16];
    struct fn_sm2_kex_confirm confirm[2];
    assert_int_equal(fn_sm2_z(za, &a.pub, FN_SM2_DEFAULT_ID), FN_OK);
    assert_int_equal(fn_sm2_z(zb, &b.pub, FN_SM2_DEFAULT_ID), FN_OK);
    assert_hex(za, "3B85A57179E11E7E513AA622991F2CA74D1807A0BD4D4B38F90987A17AC245B1");
    assert_hex(zb, "79C988D63229D97EF19FE02CA1056E01E6A7411ED24694AA8F834F4A4AB022F7");
    struct fn_sm2_kex sides[2] = {{true, &a, &ra, &b.pub, &rb.pub, za, zb},
                                  {false, &b, &rb, &a.pub, &ra.pub, za, zb}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fn_sm2_kex(&sides[i], key[i], 16, &confirm[i]), FN_OK);
        assert_hex(key[i], "6C89347354DE2484C60B4AB1FDE4C6E5");
        assert_hex(confirm[i].responder, "D3A0FE15DEE185CEAE907A6B595CC32A266ED7B3367E9983A896DC32FA20F8EB");
        assert_hex(confirm[i].sponsor, "18C7894B3816DF16CF07B05C5EC0BEF5D655D58F779CC1B400A4F3884644DB88");
    }
    /* Another role, another Z or an invalid peer point gives another key or none. */
    sides[1].sponsor = true;
    assert_int_equal(fn_sm2_kex(&sides[1], key[1], 16, &confirm[1]), FN_OK);
    assert_memory_not_equal(confirm[1].sponsor, confirm[0].sponsor, 32);
    sides[1].z_responder = za;
    assert_int_equal(fn_sm2_kex(&sides[1], key[1], 16, NULL), FN_OK);
    assert_memory_not_equal(key[1], key[0], 16);
    struct fn_sm2_public off = ra.pub;
    off.y[31] ^= 1;
    sides[1].peer_ephemeral = &off;
    assert_int_equal(fn_sm2_kex(&sides[1], key[1], 16, NULL), FN_E_SM2_POINT);
    sides[1].peer_ephemeral = &ra.pub;
    sides[1].peer = &off;
    assert_int_equal(fn_sm2_kex(&sides[1], key[1], 16, NULL), FN_E_SM2_POINT);
}

/* Peers whose keys belong together: P = x̄·R makes the sum P + x̄·R a doubling, P = -x̄·R makes it infinity. */
static void test_key_exchange_infinity(void **state)
{
    (void)state;
    struct fn_sm2_private own = key_of(D), ephemeral = key_of(K);
    uint8_t z[32] = {1}, key[16], x[32] = {0}, point[32];
    memcpy(x + 16, ephemeral.pub.x + 16, 16);
    x[16] |= 0x80;
    struct fn_sm2_public p;
    assert_int_equal(fn_sm2_multiply(&p, x, &ephemeral.pub), FN_OK);
    struct fn_sm2_kex kex = {true, &own, &own, &p, &ephemeral.pub, z, z};
    assert_int_equal(fn_sm2_kex(&kex, key, 16, NULL), FN_OK);
    hex(point, P);
    int borrow = 0;
    for (int i = 31; i >= 0; i--) {
        int v = point[i] - p.y[i] - borrow;
        borrow = v < 0;
        p.y[i] = (uint8_t)v;
    }
    assert_int_equal(fn_sm2_public_check(&p), FN_OK);
    assert_int_equal(fn_sm2_kex(&kex, key, 16, NULL), FN_E_SM2_POINT);
}

static void test_points(void **state)
{
    (void)state;
    struct fn_sm2_public g = point_of(GX, GY), p = g;
    assert_int_equal(fn_sm2_public_check(&g), FN_OK);
    p.y[31] ^= 1;
    assert_int_equal(fn_sm2_public_check(&p), FN_E_SM2_POINT);
    p = point_of(GY, GX);
    assert_int_equal(fn_sm2_public_check(&p), FN_E_SM2_POINT);
    memset(&p, 0, sizeof p); /* what some write for infinity */
    assert_int_equal(fn_sm2_public_check(&p), FN_E_SM2_POINT);
    memset(&p, 0xff, sizeof p);
    assert_int_equal(fn_sm2_public_check(&p), FN_E_SM2_POINT);
    /* x = 0 is on the curve (b is a square); x = p is the same number but not a coordinate. */
    const char *root = "FD4511E81736A60F07E88A83D6CF5A167FAE6D1A9C9330E76E232E00F5CDC154";
    p = point_of("0000000000000000000000000000000000000000000000000000000000000000", root);
    assert_int_equal(fn_sm2_public_check(&p), FN_OK);
    p = point_of(P, root);
    assert_int_equal(fn_sm2_public_check(&p), FN_E_SM2_POINT);
    p = point_of(GX, P);
    assert_int_equal(fn_sm2_public_check(&p), FN_E_SM2_POINT);
}

static void test_private_range(void **state)
{
    (void)state;
    static const char *const bad[] = {"0000000000000000000000000000000000000000000000000000000000000000", N1,
                                      N, "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54124",
                                      "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"};
    static const char *const good[] = {"0000000000000000000000000000000000000000000000000000000000000001", N2,
                                       "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D5411D"};
    struct fn_sm2_private key;
    struct fn_sm2_public g = point_of(GX, GY), p;
    uint8_t d[32], e[32], sig[64];
    struct source s = {0};
    struct fn_rng rng = {source_fill, &s};
    for (size_t i = 0; i < FN_COUNT(bad); i++) {
        hex(d, bad[i]);
        assert_int_equal(fn_sm2_private_load(&key, d), FN_E_SM2_PRIVATE);
    }
    for (size_t i = 0; i < FN_COUNT(good); i++) {
        key = key_of(good[i]);
        assert_int_equal(fn_sm2_multiply(&p, key.d, &g), FN_OK);
        assert_memory_equal(&p, &key.pub, sizeof p);
        memset(e, (int)i, 32);
        assert_int_equal(fn_sm2_sign(&key, &rng, e, sig), FN_OK);
        assert_int_equal(fn_sm2_verify(&key.pub, e, sig), FN_OK);
    }
    key = key_of(N2); /* -2·G and 1/(n-1) = n-1 */
    assert_hex(key.ready, N1);
}

static void test_bad_signatures(void **state)
{
    (void)state;
    struct fn_sm2_private key = key_of(D), other = key_of(K);
    struct source s = {0};
    struct fn_rng rng = {source_fill, &s};
    uint8_t e[32] = {7}, sig[64], bad[64];
    assert_int_equal(fn_sm2_sign(&key, &rng, e, sig), FN_OK);
    assert_int_equal(fn_sm2_verify(&key.pub, e, sig), FN_OK);
    for (int bit = 0; bit < 512; bit += 7) {
        memcpy(bad, sig, 64);
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(fn_sm2_verify(&key.pub, e, bad), FN_E_SIGNATURE);
    }
    for (int bit = 0; bit < 256; bit += 11) {
        e[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(fn_sm2_verify(&key.pub, e, sig), FN_E_SIGNATURE);
        e[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(fn_sm2_verify(&other.pub, e, sig), FN_E_SIGNATURE);
    static const char *const numbers[] = {"0000000000000000000000000000000000000000000000000000000000000000",
                                          N,
                                          "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54124",
                                          "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"};
    for (size_t i = 0; i < FN_COUNT(numbers); i++)
        for (int half = 0; half < 64; half += 32) {
            memcpy(bad, sig, 64);
            hex(bad + half, numbers[i]);
            assert_int_equal(fn_sm2_verify(&key.pub, e, bad), FN_E_SIGNATURE);
        }
    /* r + s = n */
    number(bad, 1);
    hex(bad + 32, N1);
    assert_int_equal(fn_sm2_verify(&key.pub, e, bad), FN_E_SIGNATURE);
    struct fn_sm2_public off = key.pub;
    off.x[0] ^= 1;
    assert_int_equal(fn_sm2_verify(&off, e, sig), FN_E_SM2_POINT);
    hex(off.x, P);
    assert_int_equal(fn_sm2_verify(&off, e, sig), FN_E_SM2_POINT);
}

/* r + n for a small r would be the same number modulo n: must be refused although it fits 256 bits. */
static void test_signature_not_reduced(void **state)
{
    (void)state;
    struct fn_sm2_private key = key_of(D);
    uint8_t k[32], e[32], sig[64], x[32];
    struct fn_sm2_public g = point_of(GX, GY), point;
    hex(k, K);
    assert_int_equal(fn_sm2_multiply(&point, k, &g), FN_OK);
    /* e = 5 - x mod n, so that r = 5. */
    hex(x, N);
    int carry = 5;
    for (int i = 31; i >= 0; i--) {
        int v = x[i] - point.x[i] + carry;
        e[i] = (uint8_t)v;
        carry = v >> 8;
    }
    assert_int_equal(fn_sm2_sign_with_nonce(&key, k, e, sig), FN_OK);
    number(x, 5);
    assert_memory_equal(sig, x, 32);
    assert_int_equal(fn_sm2_verify(&key.pub, e, sig), FN_OK);
    hex(sig, "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54128");
    assert_int_equal(fn_sm2_verify(&key.pub, e, sig), FN_E_SIGNATURE);
    /* e = -x gives r = 0: this nonce must be refused; and with e + n instead of e nothing changes for r = 5.
     */
    for (int i = 31, borrow = 5; i >= 0; i--) {
        int v = e[i] - borrow;
        borrow = v < 0;
        e[i] = (uint8_t)v;
    }
    assert_int_equal(fn_sm2_sign_with_nonce(&key, k, e, sig), FN_E_ARGUMENT);
    /* e = -x - k gives r + k = n. */
    for (int i = 31, borrow = 0; i >= 0; i--) {
        int v = e[i] - k[i] - borrow;
        borrow = v < 0;
        e[i] = (uint8_t)v;
    }
    assert_int_equal(fn_sm2_sign_with_nonce(&key, k, e, sig), FN_E_ARGUMENT);
    static const char *const nonces[] = {"0000000000000000000000000000000000000000000000000000000000000000",
                                         N};
    for (size_t i = 0; i < FN_COUNT(nonces); i++) {
        hex(k, nonces[i]);
        assert_int_equal(fn_sm2_sign_with_nonce(&key, k, e, sig), FN_E_ARGUMENT);
    }
}

/* Forged so that s·G + t·P is infinity (s = -t·d), and so that both terms are equal (s = t·d). */
static void test_verify_exceptions(void **state)
{
    (void)state;
    /* d = 1: P = G. t = r + s, s·G + t·G. s = t: r = n (no); d = 2: P = 2G, s = 2t = 2r + 2s: s = -2r, t =
     * -r. */
    uint8_t two[32], e[32] = {0}, sig[64];
    struct fn_sm2_private key;
    number(two, 2);
    assert_int_equal(fn_sm2_private_load(&key, two), FN_OK);
    number(sig, 1);
    hex(sig + 32, N2); /* r = 1, s = -2, t = -1: -2G - 2G = -4G, a doubling at the last step */
    struct fn_sm2_public four, g = point_of(GX, GY);
    number(e, 4);
    assert_int_equal(fn_sm2_multiply(&four, e, &g), FN_OK);
    /* e = r - x(4G) mod n */
    uint8_t n[32];
    hex(n, N);
    int carry = 1;
    for (int i = 31; i >= 0; i--) {
        int v = n[i] - four.x[i] + carry;
        e[i] = (uint8_t)v;
        carry = v >> 8;
    }
    assert_int_equal(fn_sm2_verify(&key.pub, e, sig), FN_OK);
    e[31] ^= 1;
    assert_int_equal(fn_sm2_verify(&key.pub, e, sig), FN_E_SIGNATURE);
    /* s = -2t = -2r - 2s, 3s = -2r: r = 3, s = -2, t = 1: -2G + 2G is infinity, and no e makes that right. */
    number(sig, 3);
    memset(e, 0, 32);
    number(e, 3);
    assert_int_equal(fn_sm2_verify(&key.pub, e, sig), FN_E_SIGNATURE);
}

static void test_multiply_edges(void **state)
{
    (void)state;
    struct fn_sm2_public g = point_of(GX, GY), p, q;
    uint8_t k[32], n[32];
    hex(n, N);
    number(k, 0);
    assert_int_equal(fn_sm2_multiply(&p, k, &g), FN_E_SM2_POINT);
    assert_int_equal(fn_sm2_multiply(&p, n, &g), FN_E_SM2_POINT);
    struct fn_sm2_public off = g;
    off.y[0] ^= 1;
    assert_int_equal(fn_sm2_multiply(&p, k, &off), FN_E_SM2_POINT);
    /* k·G = -((n-k)·G) for small k, which crosses every exceptional step of the window method, k = n-6 too.
     */
    for (unsigned i = 1; i <= 100; i++) {
        number(k, i);
        assert_int_equal(fn_sm2_multiply(&p, k, &g), FN_OK);
        int borrow = 0;
        for (int j = 31; j >= 0; j--) {
            int v = n[j] - (j == 31 ? (int)i : 0) - borrow;
            borrow = v < 0;
            k[j] = (uint8_t)v;
        }
        assert_int_equal(fn_sm2_multiply(&q, k, &g), FN_OK);
        assert_memory_equal(p.x, q.x, 32);
        assert_memory_not_equal(p.y, q.y, 32);
        assert_int_equal(fn_sm2_public_check(&q), FN_OK);
        /* The table of G agrees. */
        struct fn_sm2_private key;
        if (i >= 2) {
            assert_int_equal(fn_sm2_private_load(&key, k), FN_OK);
            assert_memory_equal(&key.pub, &q, sizeof q);
        }
    }
    /* 2^256 - 1 is reduced: 2^256 - 1 - n. */
    memset(k, 0xff, 32);
    assert_int_equal(fn_sm2_multiply(&p, k, &g), FN_OK);
    int borrow = 0;
    for (int j = 31; j >= 0; j--) {
        int v = 0xff - n[j] - borrow;
        borrow = v < 0;
        k[j] = (uint8_t)v;
    }
    assert_int_equal(fn_sm2_multiply(&q, k, &g), FN_OK);
    assert_memory_equal(&p, &q, sizeof p);
}

static void test_batches(void **state)
{
    (void)state;
    enum { MOST = 70 };
    static struct fn_sm2_private keys[MOST];
    static uint8_t e[MOST][32], sigs[MOST][64];
    struct fn_sm2_sign_job sign[MOST];
    struct fn_sm2_verify_job verify[MOST];
    static const size_t counts[] = {0, 1, 2, 31, 32, 33, 64, 65, MOST};
    struct source s = {0};
    struct fn_rng rng = {source_fill, &s};
    for (size_t c = 0; c < FN_COUNT(counts); c++) {
        size_t n = counts[c];
        memset(keys, 0, sizeof keys);
        memset(sigs, 0, sizeof sigs);
        assert_int_equal(fn_sm2_generate_batch(n, keys, &rng), FN_OK);
        for (size_t i = 0; i < n; i++) {
            struct fn_sm2_private same;
            assert_int_equal(fn_sm2_private_load(&same, keys[i].d), FN_OK);
            assert_memory_equal(&same, &keys[i], sizeof same);
            fn_sm3_digest(&i, sizeof i, e[i]);
            sign[i] = (struct fn_sm2_sign_job){&keys[i], e[i], sigs[i]};
        }
        assert_int_equal(fn_sm2_sign_batch(n, sign, &rng), FN_OK);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(fn_sm2_verify(&keys[i].pub, e[i], sigs[i]), FN_OK);
            verify[i] = (struct fn_sm2_verify_job){&keys[i].pub, e[i], sigs[i], FN_E_INTERNAL};
        }
        fn_sm2_verify_batch(n, verify);
        for (size_t i = 0; i < n; i++) assert_int_equal(verify[i].result, FN_OK);
        /* One wrong signature, one number out of range, one wrong key, each alone affected. */
        for (size_t i = 0; i < n; i++) {
            if (i % 5 == 1) sigs[i][40] ^= 4;
            if (i % 5 == 2) memset(sigs[i], 0, 32);
            if (i % 5 == 3) keys[i].pub.y[3] ^= 1;
        }
        fn_sm2_verify_batch(n, verify);
        for (size_t i = 0; i < n; i++) {
            static const fn_err want[5] = {FN_OK, FN_E_SIGNATURE, FN_E_SIGNATURE, FN_E_SM2_POINT, FN_OK};
            assert_int_equal(verify[i].result, want[i % 5]);
        }
    }
}

static void test_random_source_failures(void **state)
{
    (void)state;
    struct fn_sm2_private key = key_of(D);
    struct fn_sm2_public c1;
    uint8_t e[32] = {0}, sig[64], c3[32], c2[4];
    struct fn_rng broken = {broken_fill, NULL}, failing = {failing_fill, NULL};
    assert_int_equal(fn_sm2_sign(&key, &broken, e, sig), FN_E_RANDOM_SOURCE);
    assert_int_equal(fn_sm2_sign(&key, &failing, e, sig), FN_E_RANDOM_LEFT);
    assert_int_equal(fn_sm2_generate(&key, &failing), FN_E_RANDOM_LEFT);
    assert_int_equal(fn_sm2_encrypt(&key.pub, &failing, e, 4, &c1, c3, c2), FN_E_RANDOM_LEFT);
    /* n - 1 is a nonce but no private key. */
    struct source s = {.n = 64};
    struct fn_rng rng = {source_fill, &s};
    hex(s.bytes, N1);
    hex(s.bytes + 32, N2);
    assert_int_equal(fn_sm2_generate(&key, &rng), FN_OK);
    assert_hex(key.d, N2);
}

static void test_ciphertexts(void **state)
{
    (void)state;
    struct fn_sm2_private key = key_of(D), other = key_of(K);
    struct source s = {0};
    struct fn_rng rng = {source_fill, &s};
    static const size_t sizes[] = {1, 2, 31, 32, 33, 63, 64, 65, 100, 1000};
    uint8_t m[1000], c2[1000], back[1000], untouched[1000], c3[32];
    struct fn_sm2_public c1, bad;
    for (size_t i = 0; i < sizeof m; i++) m[i] = (uint8_t)(i * 7);
    memset(untouched, 0x5a, sizeof untouched);
    for (size_t c = 0; c < FN_COUNT(sizes); c++) {
        size_t n = sizes[c];
        assert_int_equal(fn_sm2_encrypt(&key.pub, &rng, m, n, &c1, c3, c2), FN_OK);
        assert_int_equal(fn_sm2_decrypt(&key, &c1, c3, c2, n, back), FN_OK);
        assert_memory_equal(back, m, n);
        memcpy(back, untouched, sizeof back);
        c2[n - 1] ^= 1;
        assert_int_equal(fn_sm2_decrypt(&key, &c1, c3, c2, n, back), FN_E_SM2_CIPHERTEXT);
        c2[n - 1] ^= 1;
        c3[n % 32] ^= 0x80;
        assert_int_equal(fn_sm2_decrypt(&key, &c1, c3, c2, n, back), FN_E_SM2_CIPHERTEXT);
        c3[n % 32] ^= 0x80;
        assert_int_equal(fn_sm2_decrypt(&other, &c1, c3, c2, n, back), FN_E_SM2_CIPHERTEXT);
        bad = c1;
        bad.y[31] ^= 1;
        assert_int_equal(fn_sm2_decrypt(&key, &bad, c3, c2, n, back), FN_E_SM2_CIPHERTEXT);
        hex(bad.x, P);
        assert_int_equal(fn_sm2_decrypt(&key, &bad, c3, c2, n, back), FN_E_SM2_CIPHERTEXT);
        memset(&bad, 0, sizeof bad);
        assert_int_equal(fn_sm2_decrypt(&key, &bad, c3, c2, n, back), FN_E_SM2_CIPHERTEXT);
        assert_int_equal(fn_sm2_decrypt(&key, &other.pub, c3, c2, n, back), FN_E_SM2_CIPHERTEXT);
        if (n > 1) assert_int_equal(fn_sm2_decrypt(&key, &c1, c3, c2, n - 1, back), FN_E_SM2_CIPHERTEXT);
        assert_memory_equal(back, untouched, sizeof back);
    }
    assert_int_equal(fn_sm2_encrypt(&key.pub, &rng, m, 0, &c1, c3, c2), FN_E_ARGUMENT);
    assert_int_equal(fn_sm2_decrypt(&key, &c1, c3, c2, 0, back), FN_E_ARGUMENT);
    assert_int_equal(fn_sm2_encrypt(&bad, &rng, m, 5, &c1, c3, c2), FN_E_SM2_POINT);
    /* In place. */
    memcpy(c2, m, 100);
    assert_int_equal(fn_sm2_encrypt(&key.pub, &rng, c2, 100, &c1, c3, c2), FN_OK);
    assert_int_equal(fn_sm2_decrypt(&key, &c1, c3, c2, 100, c2), FN_OK);
    assert_memory_equal(c2, m, 100);
}

/* A byte of key stream is zero for one nonce of 256: such a nonce must be refused, and passed over by the
 * random form, and a ciphertext made with it must not open. */
static void test_empty_stream(void **state)
{
    (void)state;
    struct fn_sm2_private key = key_of(D);
    uint8_t k[32], c3[32], c2[1], m[1] = {0x42}, back[1] = {0};
    struct fn_sm2_public c1, shared;
    unsigned i = 1;
    for (;; i++) {
        uint8_t z[64], byte;
        assert_true(i < 5000);
        memset(k, 0, 32);
        fn_put_be32(k + 28, i);
        assert_int_equal(fn_sm2_multiply(&shared, k, &key.pub), FN_OK);
        memcpy(z, shared.x, 32);
        memcpy(z + 32, shared.y, 32);
        fn_sm3_kdf(z, 64, &byte, 1);
        if (!byte) break;
    }
    assert_int_equal(fn_sm2_encrypt_with_nonce(&key.pub, k, m, 1, &c1, c3, c2), FN_E_ARGUMENT);
    struct source s = {.n = 64};
    struct fn_rng rng = {source_fill, &s};
    memcpy(s.bytes, k, 32);
    hex(s.bytes + 32, K);
    assert_int_equal(fn_sm2_encrypt(&key.pub, &rng, m, 1, &c1, c3, c2), FN_OK);
    assert_int_equal(s.at, 64);
    assert_int_equal(fn_sm2_decrypt(&key, &c1, c3, c2, 1, back), FN_OK);
    assert_int_equal(back[0], 0x42);
    struct fn_sm2_public g = point_of(GX, GY);
    struct fn_sm3 h;
    assert_int_equal(fn_sm2_multiply(&c1, k, &g), FN_OK);
    fn_sm3_init(&h);
    fn_sm3_update(&h, shared.x, 32);
    fn_sm3_update(&h, m, 1);
    fn_sm3_update(&h, shared.y, 32);
    fn_sm3_final(&h, c3);
    assert_int_equal(fn_sm2_decrypt(&key, &c1, c3, m, 1, back), FN_E_SM2_CIPHERTEXT);
}

static void test_identifier(void **state)
{
    (void)state;
    static uint8_t id[8192];
    struct fn_sm2_private key = key_of(D);
    uint8_t z[32], other[32];
    assert_int_equal(fn_sm2_z(z, &key.pub, fn_bytes(id, 8191)), FN_OK);
    assert_int_equal(fn_sm2_z(z, &key.pub, fn_bytes(id, 8192)), FN_E_TOO_LARGE);
    assert_int_equal(fn_sm2_z(z, &key.pub, fn_bytes(NULL, 0)), FN_OK);
    assert_int_equal(fn_sm2_z(other, &key.pub, fn_bytes(id, 1)), FN_OK);
    assert_memory_not_equal(z, other, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature_example),      cmocka_unit_test(test_project_keys),
        cmocka_unit_test(test_encryption_example),     cmocka_unit_test(test_key_exchange_example),
        cmocka_unit_test(test_key_exchange_infinity),  cmocka_unit_test(test_points),
        cmocka_unit_test(test_private_range),          cmocka_unit_test(test_bad_signatures),
        cmocka_unit_test(test_signature_not_reduced),  cmocka_unit_test(test_verify_exceptions),
        cmocka_unit_test(test_multiply_edges),         cmocka_unit_test(test_batches),
        cmocka_unit_test(test_random_source_failures), cmocka_unit_test(test_ciphertexts),
        cmocka_unit_test(test_empty_stream),           cmocka_unit_test(test_identifier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
