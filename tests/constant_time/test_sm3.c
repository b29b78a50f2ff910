/* Secrets are undefined memory to valgrind, which reports every branch and every address that depends on
 * them. */
#include "crypto/sm3/sm3.h"

#include <string.h>
#include <valgrind/memcheck.h>

static uint8_t secret[700], out[40][32];

static void make_secret(void *p, size_t n)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(p, n);
}

static void digests(void)
{
    struct fn_sm3 h;
    for (size_t n = 0; n <= 300; n += 7) fn_sm3_digest(secret, n, out[0]);
    fn_sm3_init(&h);
    for (size_t n = 0; n < 130; n += 13) fn_sm3_update(&h, secret + n, n);
    fn_sm3_final(&h, out[0]);
}

static void batches(void)
{
    struct fn_bytes messages[40];
    struct fn_hmac_key key;
    const struct fn_hmac_key *keys[40];
    fn_hmac_key_init(&key, secret, 32);
    for (size_t i = 0; i < 40; i++) {
        messages[i] = fn_bytes(secret + i, 1 + i * 11 % 300);
        keys[i] = &key;
    }
    fn_sm3_batch(40, messages, out);
    fn_hmac_batch(40, keys, messages, out);
}

static void keyed(void)
{
    struct fn_hmac_key key;
    static uint8_t derived[700];
    for (size_t n = 0; n <= 200; n += 25) {
        fn_hmac_key_init(&key, secret, n);
        fn_hmac_digest(&key, secret, 300 - n, out[0]);
    }
    fn_sm3_kdf(secret, 64, derived, sizeof derived);
    fn_sm3_kdf(secret, 97, derived, 33);
    fn_pbkdf2_sm3(secret, 20, secret + 20, 16, 20, derived, 70);
}

/* Whether valgrind still knows that results depend on the secrets; otherwise the test would see nothing. */
static int all_undefined(const void *p, size_t n)
{
    static uint8_t bits[sizeof out];
    if (VALGRIND_GET_VBITS(p, bits, n) != 1) return 0;
    for (size_t i = 0; i < n; i++) {
        if (bits[i] != 0xff) return 0;
    }
    return 1;
}

int main(void)
{
    if (!RUNNING_ON_VALGRIND) return 77;
    make_secret(secret, sizeof secret);
    digests();
    batches();
    if (!all_undefined(out[1], sizeof out - sizeof out[0])) return 1;
    keyed();
    return VALGRIND_COUNT_ERRORS ? 9 : 0;
}
