/* What the files of this folder share; tests look at it too. Nothing here is for other folders. */
#ifndef FN_CRYPTO_SM2_INTERNAL_H
#define FN_CRYPTO_SM2_INTERNAL_H

#include "crypto/sm2/sm2.h"
#include "crypto/sm2/sm2_field.h"
#include "crypto/sm3/sm3.h"

/* The constant-time tests mark secrets as undefined; where a result is public by its nature (the answer to
 * "is this ciphertext right", "must this nonce be drawn again") the code says so here, and only there may it
 * branch. */
#ifdef FN_CHECK_CONSTANT_TIME
#include <valgrind/memcheck.h>
#define FN_PUBLIC(variable) ((void)VALGRIND_MAKE_MEM_DEFINED(&(variable), sizeof(variable)))
#else
#define FN_PUBLIC(variable) ((void)0)
#endif

/* Integers modulo the order n, in plain form, below n. Constant time. */
struct fn_sm2_scalar {
    uint64_t v[4];
};

extern const struct fn_sm2_scalar fn_sm2_n; /* the order itself */

/* From 32 bytes big-endian, reduced; the mask returned is all ones if the number was below n. */
uint64_t fn_scalar_load(struct fn_sm2_scalar *a, const uint8_t bytes[32]);
void fn_scalar_store(uint8_t bytes[32], const struct fn_sm2_scalar *a);
struct fn_sm2_scalar fn_scalar_add(const struct fn_sm2_scalar *a, const struct fn_sm2_scalar *b);
struct fn_sm2_scalar fn_scalar_sub(const struct fn_sm2_scalar *a, const struct fn_sm2_scalar *b);
struct fn_sm2_scalar fn_scalar_mul(const struct fn_sm2_scalar *a, const struct fn_sm2_scalar *b);
/* 1 / a; 0 for 0. */
struct fn_sm2_scalar fn_scalar_inverse(const struct fn_sm2_scalar *a);
/* All ones if zero. */
uint64_t fn_scalar_zero(const struct fn_sm2_scalar *a);

/* x = X/Z², y = Y/Z³; infinity is Z = 0. */
struct fn_sm2_jacobian {
    struct fn_sm2_fe x, y, z;
};
/* Never infinity. */
struct fn_sm2_affine {
    struct fn_sm2_fe x, y;
};

/* Fixed multiples of G, in Montgomery form: fn_sm2_windows[i][j] = (j+1)·2^(5i)·G for constant-time use,
 * fn_sm2_odd[j] = (2j+1)·G for variable-time use. Made by make_table.py. */
#define FN_SM2_WINDOW  5
#define FN_SM2_WINDOWS 52
extern const struct fn_sm2_affine fn_sm2_windows[FN_SM2_WINDOWS][16];
extern const struct fn_sm2_affine fn_sm2_odd[64];

/* Full validation (GB/T 32918.1 6.2.1; the cofactor is 1, so a point of the curve has order n).
 * FN_E_SM2_POINT. */
fn_err fn_point_load(struct fn_sm2_affine *out, const struct fn_sm2_public *in);
void fn_point_store(struct fn_sm2_public *out, const struct fn_sm2_affine *in);
/* n points to affine with one inversion; each Z other than 0. scratch has room for n elements. */
void fn_points_normalise(size_t n, struct fn_sm2_affine *out, const struct fn_sm2_jacobian *in,
                         struct fn_sm2_fe *scratch);
/* out may be a or b in all of these. */
void fn_point_double(struct fn_sm2_jacobian *out, const struct fn_sm2_jacobian *a);
/* Complete: infinity, equal and opposite points included. Constant time. */
void fn_point_add(struct fn_sm2_jacobian *out, const struct fn_sm2_jacobian *a,
                  const struct fn_sm2_jacobian *b);

/* k·G, constant time. */
void fn_point_multiply_base(struct fn_sm2_jacobian *out, const struct fn_sm2_scalar *k);
/* k·P, constant time. */
void fn_point_multiply(struct fn_sm2_jacobian *out, const struct fn_sm2_scalar *k,
                       const struct fn_sm2_affine *p);
/* s·G + t·P, variable time: public numbers alone. */
void fn_point_multiply_public(struct fn_sm2_jacobian *out, const struct fn_sm2_scalar *s,
                              const struct fn_sm2_scalar *t, const struct fn_sm2_affine *p);

/* A signature whose numbers were checked: is x(s·G + t·P) = c modulo n? */
struct fn_sm2_check {
    struct fn_sm2_affine p;
    struct fn_sm2_scalar s, t, c;
    bool good;
};

/* What an engine for a certain processor replaces: the costly half of the batch forms. n is at most
 * FN_SM2_LANES. */
#define FN_SM2_LANES 32
struct fn_sm2_engine {
    const char *name;
    /* out[i] = k[i]·G, each k other than 0, constant time. */
    void (*multiply_base)(size_t n, struct fn_sm2_affine *out, const struct fn_sm2_scalar *k);
    /* Sets good of each; variable time. */
    void (*check)(size_t n, struct fn_sm2_check *checks);
};
extern const struct fn_sm2_engine fn_sm2_portable;
/* Chosen once, when the process starts and before any thread; portable until then. */
extern const struct fn_sm2_engine *fn_sm2_engine;

/* A nonce, uniform in [1, n-1], or with `most` = n-2 a private key: numbers out of range are drawn again,
 * which tells nothing of the one that is kept. */
fn_err fn_sm2_draw(struct fn_sm2_scalar *k, const struct fn_rng *rng, bool private_key);
/* k, a nonce given by the caller; FN_E_ARGUMENT unless in [1, n-1]. */
fn_err fn_sm2_given(struct fn_sm2_scalar *k, const uint8_t bytes[32]);

#endif
