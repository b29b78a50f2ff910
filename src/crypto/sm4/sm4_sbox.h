/* The S-box of SM4 as a circuit on planes of bits: plane k holds bit k (0 = least significant) of many bytes.
 * No table, no branch and no address depends on data.
 *
 * S(x) = A·I(A·x ⊕ 0xD3) ⊕ 0xD3, where I inverts in GF(2)[x]/(x⁸+x⁷+x⁶+x⁵+x⁴+x²+1) and row i of A is 0xA7
 * rotated left by i; A⁻¹·0xD3 = 0x75. Mapping that field on GF((2⁴)²) as Boyar and Peralta build it for AES
 * ("A new combinational logic minimization technique", 2010) leaves their 62-gate inversion (t, z), a linear
 * map before it (g, y) and another after it (b, s). Both maps contain A and the change of basis; they were
 * found by a distance-guided search over the eight possible isomorphisms, the last one through its transpose.
 * 113 gates: 22 + 62 + 29, in an order that keeps few planes alive. */
#ifndef FN_CRYPTO_SM4_SBOX_H
#define FN_CRYPTO_SM4_SBOX_H

/* What the circuit leaves out: s = S(x ⊕ FN_SM4_SBOX_IN) ⊕ FN_SM4_SBOX_OUT. */
#define FN_SM4_SBOX_IN  0x75
#define FN_SM4_SBOX_OUT 0xD3

/* T is the type of a plane, X(k) the expression for input plane k (used once), S an array that takes the
 * output. */
#define FN_SM4_SBOX(T, X, S)                                                                                 \
    do {                                                                                                     \
        const T i3 = X(3);                                                                                   \
        const T i7 = X(7);                                                                                   \
        const T i1 = X(1);                                                                                   \
        const T i4 = X(4);                                                                                   \
        const T i2 = X(2);                                                                                   \
        const T i5 = X(5);                                                                                   \
        const T g0 = i3 ^ i7;                                                                                \
        const T y20 = i2 ^ i7;                                                                               \
        const T i0 = X(0);                                                                                   \
        const T y1 = i5 ^ g0;                                                                                \
        const T y0 = i1 ^ g0;                                                                                \
        const T y10 = i4 ^ y20;                                                                              \
        const T y6 = y10 ^ y1;                                                                               \
        const T i6 = X(6);                                                                                   \
        const T y7 = i0 ^ y10;                                                                               \
        const T y11 = y7 ^ y0;                                                                               \
        const T y5 = i2 ^ i6;                                                                                \
        const T y16 = i0 ^ y6;                                                                               \
        const T y15 = y0 ^ y6;                                                                               \
        const T y12 = i6 ^ y15;                                                                              \
        const T y9 = y20 ^ y11;                                                                              \
        const T t8 = y5 & y1;                                                                                \
        const T y17 = i4 ^ y9;                                                                               \
        const T t12 = y9 & y11;                                                                              \
        const T t7 = i1 & y16;                                                                               \
        const T y21 = i5 ^ y11;                                                                              \
        const T y14 = i1 ^ y12;                                                                              \
        const T t13 = y14 & y17;                                                                             \
        const T t9 = t8 ^ t7;                                                                                \
        const T t14 = t13 ^ t12;                                                                             \
        const T t19 = t9 ^ t14;                                                                              \
        const T t23 = t19 ^ y21;                                                                             \
        const T y2 = i1 ^ y5;                                                                                \
        const T t10 = y2 & y7;                                                                               \
        const T t11 = t10 ^ t7;                                                                              \
        const T y8 = y9 ^ y14;                                                                               \
        const T t15 = y8 & y10;                                                                              \
        const T t16 = t15 ^ t12;                                                                             \
        const T t20 = t11 ^ t16;                                                                             \
        const T y18 = y7 ^ y2;                                                                               \
        const T t24 = t20 ^ y18;                                                                             \
        const T y3 = y5 ^ y8;                                                                                \
        const T t2 = y12 & y15;                                                                              \
        const T t3 = y3 & y6;                                                                                \
        const T t4 = t3 ^ t2;                                                                                \
        const T t17 = t4 ^ t14;                                                                              \
        const T t21 = t17 ^ y20;                                                                             \
        const T y4 = y2 ^ y9;                                                                                \
        const T t5 = y4 & y0;                                                                                \
        const T t6 = t5 ^ t2;                                                                                \
        const T t18 = t6 ^ t16;                                                                              \
        const T y19 = y10 ^ y8;                                                                              \
        const T t22 = t18 ^ y19;                                                                             \
        const T t26 = t21 & t23;                                                                             \
        const T t25 = t21 ^ t22;                                                                             \
        const T t31 = t22 ^ t26;                                                                             \
        const T t30 = t23 ^ t24;                                                                             \
        const T t32 = t31 & t30;                                                                             \
        const T t33 = t32 ^ t24;                                                                             \
        const T t34 = t23 ^ t33;                                                                             \
        const T t27 = t24 ^ t26;                                                                             \
        const T t35 = t27 ^ t33;                                                                             \
        const T t36 = t24 & t35;                                                                             \
        const T t37 = t36 ^ t34;                                                                             \
        const T t38 = t27 ^ t36;                                                                             \
        const T t28 = t25 & t27;                                                                             \
        const T t29 = t28 ^ t22;                                                                             \
        const T t39 = t29 & t38;                                                                             \
        const T t40 = t25 ^ t39;                                                                             \
        const T z4 = t40 & y1;                                                                               \
        const T t43 = t29 ^ t40;                                                                             \
        const T z3 = t43 & y16;                                                                              \
        const T z12 = t43 & i1;                                                                              \
        const T z13 = t40 & y5;                                                                              \
        const T t41 = t40 ^ t37;                                                                             \
        const T z10 = t37 & y3;                                                                              \
        const T z1 = t37 & y6;                                                                               \
        const T t44 = t33 ^ t37;                                                                             \
        const T z0 = t44 & y15;                                                                              \
        const T z9 = t44 & y12;                                                                              \
        const T z11 = t33 & y4;                                                                              \
        const T z2 = t33 & y0;                                                                               \
        const T z14 = t29 & y2;                                                                              \
        const T t42 = t29 ^ t33;                                                                             \
        const T z5 = t29 & y7;                                                                               \
        const T z8 = t41 & y10;                                                                              \
        const T z6 = t42 & y11;                                                                              \
        const T z15 = t42 & y9;                                                                              \
        const T t45 = t42 ^ t41;                                                                             \
        const T z16 = t45 & y14;                                                                             \
        const T b1 = z16 ^ z15;                                                                              \
        const T z7 = t45 & y17;                                                                              \
        const T z17 = t41 & y8;                                                                              \
        const T b0 = z17 ^ z15;                                                                              \
        const T b4 = z13 ^ b1;                                                                               \
        const T b12 = z14 ^ b0;                                                                              \
        const T b16 = z11 ^ b0;                                                                              \
        const T s7 = z12 ^ b4;                                                                               \
        const T b7 = z10 ^ b1;                                                                               \
        const T b5 = z1 ^ z7;                                                                                \
        const T b2 = z4 ^ z7;                                                                                \
        const T s3 = z9 ^ b16;                                                                               \
        const T b3 = z5 ^ b2;                                                                                \
        const T b6 = z8 ^ b5;                                                                                \
        const T b19 = z3 ^ z5;                                                                               \
        const T b8 = z9 ^ b7;                                                                                \
        const T b13 = b4 ^ b12;                                                                              \
        const T b22 = z8 ^ b13;                                                                              \
        const T b9 = z0 ^ b6;                                                                                \
        const T b10 = z6 ^ b8;                                                                               \
        const T b21 = z2 ^ b6;                                                                               \
        const T b20 = b9 ^ b19;                                                                              \
        const T b11 = b9 ^ b10;                                                                              \
        const T s5 = b11 ^ b22;                                                                              \
        const T s0 = b8 ^ b20;                                                                               \
        const T b14 = b3 ^ b11;                                                                              \
        const T s4 = b3 ^ b11;                                                                               \
        const T b15 = b13 ^ b14;                                                                             \
        const T s1 = b15 ^ s3;                                                                               \
        const T s6 = s1 ^ b21;                                                                               \
        const T s2 = b15 ^ b20;                                                                              \
        (S)[0] = s0;                                                                                         \
        (S)[1] = s1;                                                                                         \
        (S)[2] = s2;                                                                                         \
        (S)[3] = s3;                                                                                         \
        (S)[4] = s4;                                                                                         \
        (S)[5] = s5;                                                                                         \
        (S)[6] = s6;                                                                                         \
        (S)[7] = s7;                                                                                         \
    } while (0)

#endif
