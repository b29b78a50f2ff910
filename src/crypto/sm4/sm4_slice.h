/* SM4 in slices: plane k of a word holds bit k (0 = least significant) of each of its four bytes, for as many
 * blocks as the type has room for. No table, no branch and no address depends on data. Included once for
 * every type, which the including file describes with
 *
 * - SLICE: the type of a plane;
 * - SLICE_FN(name): the name of a function for it;
 * - SLICE_ROT1(x), SLICE_ROT2(x), SLICE_ROT3(x): the plane of the words rotated left by 8, 16, 24 bits, that
 * is, byte p comes from byte p + 1, p + 2, p + 3 mod 4 of x; byte 0 is the most significant. */

/* The S-box without its constants: s = S(x ⊕ 0x75) ⊕ 0xD3.
 *
 * S(x) = A·I(A·x ⊕ 0xD3) ⊕ 0xD3, where I inverts in GF(2)[x]/(x⁸+x⁷+x⁶+x⁵+x⁴+x²+1) and row i of A is 0xA7
 * rotated left by i; A⁻¹·0xD3 = 0x75. Mapping that field on GF((2⁴)²) as Boyar and Peralta build it for AES
 * ("A new combinational logic minimization technique", 2010) leaves their 62-gate inversion (t, z), a linear
 * map before it (y) and another after it (b, s). Both maps contain A and the change of basis; they were found
 * by a distance-guided search over the eight possible isomorphisms, the last one through its transpose. 113
 * gates: 22 + 62 + 29. */
static inline __attribute__((always_inline)) void SLICE_FN(sbox)(SLICE s[8], const SLICE x[8])
{
    const SLICE x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3], x4 = x[4], x5 = x[5], x6 = x[6], x7 = x[7];
    const SLICE y20 = x2 ^ x7, y10 = x4 ^ y20, y7 = x0 ^ y10, y5 = x2 ^ x6, y2 = x1 ^ y5, y18 = y7 ^ y2,
                g0 = x3 ^ x7, y0 = x1 ^ g0, y1 = x5 ^ g0, y6 = y10 ^ y1, y11 = y7 ^ y0, y15 = y0 ^ y6,
                y12 = x6 ^ y15, y9 = y20 ^ y11, y14 = x1 ^ y12, y8 = y9 ^ y14, y16 = x0 ^ y6, y19 = y10 ^ y8,
                y17 = x4 ^ y9, y21 = x5 ^ y11, y4 = y2 ^ y9, y3 = y5 ^ y8;
    const SLICE t2 = y12 & y15, t3 = y3 & y6, t4 = t3 ^ t2, t5 = y4 & y0, t6 = t5 ^ t2, t7 = x1 & y16,
                t8 = y5 & y1, t9 = t8 ^ t7, t10 = y2 & y7, t11 = t10 ^ t7, t12 = y9 & y11, t13 = y14 & y17,
                t14 = t13 ^ t12, t15 = y8 & y10, t16 = t15 ^ t12, t17 = t4 ^ t14, t18 = t6 ^ t16,
                t19 = t9 ^ t14, t20 = t11 ^ t16, t21 = t17 ^ y20, t22 = t18 ^ y19, t23 = t19 ^ y21,
                t24 = t20 ^ y18, t25 = t21 ^ t22, t26 = t21 & t23, t27 = t24 ^ t26, t28 = t25 & t27,
                t29 = t28 ^ t22, t30 = t23 ^ t24, t31 = t22 ^ t26, t32 = t31 & t30, t33 = t32 ^ t24,
                t34 = t23 ^ t33, t35 = t27 ^ t33, t36 = t24 & t35, t37 = t36 ^ t34, t38 = t27 ^ t36,
                t39 = t29 & t38, t40 = t25 ^ t39, t41 = t40 ^ t37, t42 = t29 ^ t33, t43 = t29 ^ t40,
                t44 = t33 ^ t37, t45 = t42 ^ t41, z0 = t44 & y15, z1 = t37 & y6, z2 = t33 & y0,
                z3 = t43 & y16, z4 = t40 & y1, z5 = t29 & y7, z6 = t42 & y11, z7 = t45 & y17, z8 = t41 & y10,
                z9 = t44 & y12, z10 = t37 & y3, z11 = t33 & y4, z12 = t43 & x1, z13 = t40 & y5,
                z14 = t29 & y2, z15 = t42 & y9, z16 = t45 & y14, z17 = t41 & y8;
    const SLICE b0 = z17 ^ z15, b1 = z16 ^ z15, b2 = z4 ^ z7, b3 = z5 ^ b2, b4 = z13 ^ b1, b5 = z1 ^ z7,
                b6 = z8 ^ b5, b7 = z10 ^ b1, b8 = z9 ^ b7, b9 = z0 ^ b6, b10 = z6 ^ b8, b11 = b9 ^ b10,
                b12 = z14 ^ b0, b13 = b4 ^ b12, b14 = b3 ^ b11, b15 = b13 ^ b14, b16 = z11 ^ b0,
                s3 = z9 ^ b16, s1 = b15 ^ s3, b19 = z3 ^ z5, b20 = b9 ^ b19, s7 = z12 ^ b4, b21 = z2 ^ b6,
                s6 = s1 ^ b21, b22 = z8 ^ b13, s5 = b11 ^ b22, s4 = b3 ^ b11, s2 = b15 ^ b20, s0 = b8 ^ b20;
    s[0] = s0;
    s[1] = s1;
    s[2] = s2;
    s[3] = s3;
    s[4] = s4;
    s[5] = s5;
    s[6] = s6;
    s[7] = s7;
}

/* x0 ⊕= L(S(x1 ⊕ x2 ⊕ x3 ⊕ rk)), L(b) = b ⊕ b<<<2 ⊕ b<<<10 ⊕ b<<<18 ⊕ b<<<24 (GB/T 32907-2016 6.2). */
static inline __attribute__((always_inline)) void
SLICE_FN(round)(SLICE x0[8], const SLICE x1[8], const SLICE x2[8], const SLICE x3[8], const SLICE rk[8])
{
    SLICE b[8], u[8], t[8];
    for (int k = 0; k < 8; k++) t[k] = x1[k] ^ x2[k] ^ x3[k] ^ rk[k];
    SLICE_FN(sbox)(b, t);
    /* u = b ⊕ b<<<8, so that b ⊕ b<<<24 = u<<<24 and the rest is (u ⊕ b<<<16)<<<2. */
    for (int k = 0; k < 8; k++) u[k] = b[k] ^ SLICE_ROT1(b[k]);
    for (int k = 0; k < 8; k++) t[k] = u[k] ^ SLICE_ROT2(b[k]);
    x0[0] ^= SLICE_ROT3(u[0]) ^ SLICE_ROT1(t[6]);
    x0[1] ^= SLICE_ROT3(u[1]) ^ SLICE_ROT1(t[7]);
    for (int k = 2; k < 8; k++) x0[k] ^= SLICE_ROT3(u[k]) ^ t[k - 2];
}
