#!/usr/bin/python3
"""Writes sm2_table.c: fixed multiples of the generator G (GB/T 32918.5) in Montgomery form. Usage: make_table.py > sm2_table.c"""

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
     0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0)


def add(a, b):
    """Sum of two points, neither infinity nor opposite."""
    if a == b:
        slope = 3 * (a[0] * a[0] - 1) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def limbs(value):
    value = (value << 256) % P
    return ", ".join("0x%016x" % (value >> 64 * i & 2**64 - 1) for i in range(4))


def entry(point):
    print("    {{{%s}},\n     {{%s}}}," % (limbs(point[0]), limbs(point[1])))


print("/* Made by make_table.py; not to be edited. */")
print('#include "crypto/sm2/sm2_internal.h"\n')
print("/* clang-format off */")
print("const struct fn_sm2_affine fn_sm2_windows[FN_SM2_WINDOWS][16] = {")
base = G
for window in range(52):
    print("    {")
    point = base
    for j in range(16):
        entry(point)
        last = point
        point = add(point, base)
    print("    },")
    base = add(last, last)
print("};\n")
print("const struct fn_sm2_affine fn_sm2_odd[64] = {")
point, twice = G, add(G, G)
for j in range(64):
    entry(point)
    point = add(point, twice)
print("};")
