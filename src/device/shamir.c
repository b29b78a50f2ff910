#include "device/shamir.h"

/* Without tables and branches on values. */
static uint8_t multiply(uint8_t a, uint8_t b)
{
    uint32_t product = 0, x = a;
    for (int i = 0; i < 8; i++) {
        product ^= x & (0u - (uint32_t)(b >> i & 1));
        x = x << 1 ^ (0x11bu & (0u - (x >> 7 & 1)));
    }
    return (uint8_t)product;
}

/* a^254 = a^-1; 0 stays 0. */
static uint8_t inverse(uint8_t a)
{
    uint8_t square = multiply(a, a), result = square;
    for (int i = 0; i < 6; i++) {
        square = multiply(square, square);
        result = multiply(result, square);
    }
    return result;
}

void fn_shamir_share(const uint8_t *secret, const uint8_t *coefficients, size_t size, unsigned needed, uint8_t x, uint8_t *share)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t y = 0;
        for (unsigned c = needed - 1; c > 0; c--) y = multiply((uint8_t)(y ^ coefficients[(c - 1) * size + i]), x);
        share[i] = y ^ secret[i];
    }
    share[size] = x;
}

fn_err fn_shamir_split(const uint8_t *secret, size_t size, unsigned needed, unsigned count, const struct fn_rng *rng, uint8_t *shares)
{
    uint8_t coefficients[254 * FN_SHAMIR_SECRET_MOST];
    FN_SCOPED_WIPE(coefficients);
    if (needed < 2 || needed > count || count > 255 || size < 1 || size > FN_SHAMIR_SECRET_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "%u of %u shares", needed, count);
    FN_TRY(fn_rng_fill(rng, coefficients, (needed - 1) * size));
    for (unsigned i = 0; i < count; i++) fn_shamir_share(secret, coefficients, size, needed, (uint8_t)(i + 1), shares + i * (size + 1));
    return FN_OK;
}

fn_err fn_shamir_combine(const uint8_t *const *shares, unsigned needed, size_t size, uint8_t *secret)
{
    for (unsigned i = 0; i < needed; i++) {
        if (!shares[i][size]) return FN_FAIL(FN_E_ARGUMENT, "share with x = 0");
        for (unsigned j = 0; j < i; j++)
            if (shares[i][size] == shares[j][size]) return FN_FAIL(FN_E_ARGUMENT, "the same share twice");
    }
    memset(secret, 0, size);
    for (unsigned i = 0; i < needed; i++) {
        /* Lagrange at 0: the product of x_j / (x_j - x_i); subtraction is XOR. */
        uint8_t weight = 1;
        for (unsigned j = 0; j < needed; j++) {
            if (j == i) continue;
            weight = multiply(weight, multiply(shares[j][size], inverse(shares[j][size] ^ shares[i][size])));
        }
        for (size_t b = 0; b < size; b++) secret[b] ^= multiply(weight, shares[i][b]);
    }
    return FN_OK;
}
