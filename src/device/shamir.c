#include "device/shamir.h"

/* Bit by bit: each step doubles a and adds it where b has a bit, both by masks. */
uint8_t fn_gf256_multiply(uint8_t a, uint8_t b)
{
    uint32_t product = 0, power = a;
    for (int i = 0; i < 8; i++) {
        product ^= power & (0u - (b >> i & 1u));
        power = power << 1 ^ (0x11bu & (0u - (power >> 7 & 1u)));
    }
    return (uint8_t)product;
}

/* a^254 = a^-1, for the group has 255 elements: 254 = 2 + 4 + … + 128. */
uint8_t fn_gf256_invert(uint8_t a)
{
    uint8_t square = a, inverse = 1;
    for (int i = 1; i < 8; i++) {
        square = fn_gf256_multiply(square, square);
        inverse = fn_gf256_multiply(inverse, square);
    }
    return inverse;
}

/* One byte of the secret for all holders: c[0] + c[1] x + … + c[t-1] x^(t-1) by Horner's rule. */
static void share_byte(const uint8_t *c, unsigned t, unsigned n, uint8_t *shares, size_t stride)
{
    for (unsigned x = 1; x <= n; x++) {
        uint8_t y = c[t - 1];
        for (unsigned i = t - 1; i-- > 0;) y = fn_gf256_multiply(y, (uint8_t)x) ^ c[i];
        shares[(x - 1) * stride] = y;
    }
}

fn_err fn_shamir_split(const struct fn_rng *rng, const uint8_t *secret, size_t size, unsigned t, unsigned n,
                       uint8_t *shares)
{
    size_t stride = FN_SHAMIR_SHARE(size);
    uint8_t c[FN_SHAMIR_SHARES_MOST];
    FN_SCOPED_WIPE(c);
    if (size < 1 || t < 2 || t > n || n > FN_SHAMIR_SHARES_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "%u of %u shares of %zu bytes", t, n, size);
    for (size_t i = 0; i < size; i++) {
        c[0] = secret[i];
        fn_err err = fn_rng_fill(rng, c + 1, t - 1);
        if (err != FN_OK) {
            fn_wipe(shares, n * stride);
            return FN_WRAP(err, "coefficients of byte %zu", i);
        }
        share_byte(c, t, n, shares + i, stride);
    }
    for (unsigned x = 1; x <= n; x++) shares[x * stride - 1] = (uint8_t)x;
    return FN_OK;
}

static fn_err check(const struct fn_bytes *shares, size_t count, size_t size)
{
    bool seen[256] = {false};
    if (size < 1 || count < 2 || count > FN_SHAMIR_SHARES_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "%zu shares of %zu bytes", count, size);
    for (size_t i = 0; i < count; i++) {
        if (shares[i].n != FN_SHAMIR_SHARE(size))
            return FN_FAIL(FN_E_ARGUMENT, "share %zu has %zu bytes, %zu expected", i, shares[i].n,
                           FN_SHAMIR_SHARE(size));
        uint8_t x = shares[i].p[size];
        if (x == 0) return FN_FAIL(FN_E_ARGUMENT, "share %zu has x = 0", i);
        if (seen[x]) return FN_FAIL(FN_E_ARGUMENT, "share %zu repeats x = %d", i, x);
        seen[x] = true;
    }
    return FN_OK;
}

/* What y of share i counts at x = 0: the product of x_j / (x_j - x_i) over the others. */
static uint8_t weight(const struct fn_bytes *shares, size_t count, size_t size, size_t i)
{
    uint8_t above = 1, below = 1, x = shares[i].p[size];
    for (size_t j = 0; j < count; j++) {
        if (j == i) continue;
        above = fn_gf256_multiply(above, shares[j].p[size]);
        below = fn_gf256_multiply(below, shares[j].p[size] ^ x);
    }
    return fn_gf256_multiply(above, fn_gf256_invert(below));
}

fn_err fn_shamir_combine(const struct fn_bytes *shares, size_t count, uint8_t *secret, size_t size)
{
    FN_TRY(check(shares, count, size));
    memset(secret, 0, size);
    for (size_t i = 0; i < count; i++) {
        uint8_t w = weight(shares, count, size, i);
        for (size_t k = 0; k < size; k++) secret[k] ^= fn_gf256_multiply(w, shares[i].p[k]);
    }
    return FN_OK;
}
