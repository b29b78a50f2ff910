/* Under valgrind: the secret, the random bytes and the y of shares are undefined memory, so that every branch
 * and every address that depends on them is reported. With the argument "leak" the program does depend on a
 * share, to show that the method notices. */
#include <stdio.h>
#include <string.h>

#include <valgrind/memcheck.h>

/* The core of this test holds no device code: the two files are compiled in, and learn what is public. */
#define FN_CHECK_CONSTANT_TIME
#include "device/shamir.c"
#include "device/words.c"

static int failures;

static void expect(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "%s\n", what);
    failures++;
}

static fn_err secret_fill(void *self, uint8_t *out, size_t n)
{
    uint8_t *next = self;
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)(*next += 89);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(out, n);
    return FN_OK;
}

/* What depends on the secret must have stayed undefined, or the run proved nothing. */
static void expect_tainted(const void *p, size_t n, const char *what)
{
    uint8_t bits[64] = {0};
    if (!RUNNING_ON_VALGRIND) return;
    (void)VALGRIND_GET_VBITS(p, bits, n);
    for (size_t i = 0; i < n; i++)
        if (bits[i]) return;
    expect(false, what);
}

int main(int argc, char **argv)
{
    uint8_t next = 7, secret[32], shares[5 * 33], back[32];
    struct fn_rng rng = {secret_fill, &next};
    char phrase[FN_PHRASE_TEXT + 1], again[FN_PHRASE_TEXT + 1];

    (void)fn_rng_fill(&rng, secret, sizeof secret);
    expect(fn_shamir_split(&rng, secret, 32, 3, 5, shares) == FN_OK, "split fails");
    expect_tainted(shares, 32, "share does not depend on the secret");
    expect(shares[32] == 1, "x is not public");
    struct fn_bytes three[3] = {{shares, 33}, {shares + 66, 33}, {shares + 132, 33}};
    expect(fn_shamir_combine(three, 3, back, 32) == FN_OK, "combine fails");
    expect_tainted(back, 32, "result does not depend on the shares");
    if (argc == 2 && strcmp(argv[1], "leak") == 0 && shares[0] > 100) printf("share above 100\n");
    (void)VALGRIND_MAKE_MEM_DEFINED(back, 32);
    (void)VALGRIND_MAKE_MEM_DEFINED(secret, 32);
    expect(memcmp(back, secret, 32) == 0, "combine gives another secret");

    expect(fn_phrase_make(&rng, phrase) == FN_OK, "no phrase");
    expect_tainted(phrase, FN_PHRASE_TEXT, "phrase does not depend on the random bytes");
    expect(fn_phrase_read(fn_bytes(phrase, FN_PHRASE_TEXT), again), "phrase is not read");
    expect_tainted(again, FN_PHRASE_TEXT, "what was read does not depend on the phrase");
    if (failures == 0 && argc == 1) printf("constant time\n");
    return failures ? 1 : 0;
}
