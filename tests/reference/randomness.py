"""The fifteen randomness tests of GM/T 0005-2021 from their formulas, for comparison.

Every test takes a list of bits and returns [(P, Q), ...]. Nothing is shared with the C implementation: sums run over the
definitions, the incomplete gamma function is the closed form for whole and half numbers, the transform is a recursive
mixed-radix one.
"""
import cmath
import math
from collections import Counter


def igamc(a, x):
    """Q(a, x) for 2a a whole number: Q(a + 1, x) = Q(a, x) + x^a e^-x / Γ(a + 1)."""
    if x <= 0:
        return 1.0
    whole = a == int(a)
    result = math.exp(-x) if whole else math.erfc(math.sqrt(x))
    k = 1.0 if whole else 0.5
    while k < a:
        result += math.exp(k * math.log(x) - x - math.lgamma(k + 1))
        k += 1
    return result


def normal(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


def two_sided(v):
    return [(math.erfc(abs(v) / math.sqrt(2)), 0.5 * math.erfc(v / math.sqrt(2)))]


def chi(a, v):
    p = igamc(a, v / 2)
    return (p, p)


def monobit(bits, _):
    return two_sided(sum(2 * b - 1 for b in bits) / math.sqrt(len(bits)))


def block_frequency(bits, m):
    shares = [sum(bits[i:i + m]) / m for i in range(0, len(bits) - m + 1, m)]
    return [chi(len(shares) / 2, 4 * m * sum((s - 0.5) ** 2 for s in shares))]


def poker(bits, m):
    counts = Counter(tuple(bits[i:i + m]) for i in range(0, len(bits) - m + 1, m))
    total = len(bits) // m
    v = 2 ** m / total * sum(c * c for c in counts.values()) - total
    return [chi((2 ** m - 1) / 2, v)]


def cyclic_counts(bits, m):
    text = ''.join(map(str, bits))
    text += text[:m - 1] if m else ''
    return Counter(text[i:i + m] for i in range(len(bits)))


def overlapping(bits, m):
    n = len(bits)

    def psi(k):
        return 2 ** k / n * sum(c * c for c in cyclic_counts(bits, k).values()) - n
    a, b, c = psi(m), psi(m - 1), psi(m - 2)
    return [chi(2 ** (m - 2), a - b), chi(2 ** (m - 3), a - 2 * b + c)]


def run_lengths(bits):
    runs = [[bits[0], 0]]
    for b in bits:
        if b != runs[-1][0]:
            runs.append([b, 0])
        runs[-1][1] += 1
    return runs


def runs(bits, _):
    n, p = len(bits), sum(bits) / len(bits)
    return two_sided((len(run_lengths(bits)) - 2 * n * p * (1 - p)) / (2 * math.sqrt(n) * p * (1 - p)))


def run_distribution(bits, _):
    n, all_runs = len(bits), run_lengths(bits)
    k = max(i for i in range(1, 40) if (n - i + 3) / 2 ** (i + 2) >= 5)
    v = 0
    for i in range(1, k + 1):
        e = len(all_runs) / 2 ** (i + 1) if i < k else len(all_runs) / 2 ** k
        for bit in (0, 1):
            have = sum(1 for b, length in all_runs if b == bit and (length == i if i < k else length >= k))
            v += (have - e) ** 2 / e
    return [chi(k - 1, v)]


LONGEST = {8: (1, (.2148, .3672, .2305, .1875)),
           128: (4, (.1174, .2430, .2494, .1752, .1027, .1124)),
           10000: (10, (.086632, .208201, .248419, .193913, .121458, .068011, .073366))}


def longest_run(bits, m):
    least, shares = LONGEST[m]
    result = []
    for bit in (1, 0):
        counts, blocks = [0] * len(shares), 0
        for i in range(0, len(bits) - m + 1, m):
            longest = max((length for b, length in run_lengths(bits[i:i + m]) if b == bit), default=0)
            counts[min(max(longest - least, 0), len(shares) - 1)] += 1
            blocks += 1
        v = sum((c - blocks * s) ** 2 / (blocks * s) for c, s in zip(counts, shares))
        result.append(chi((len(shares) - 1) / 2, v))
    return result


def derivative(bits, k):
    for _ in range(k):
        bits = [a ^ b for a, b in zip(bits, bits[1:])]
    return two_sided(sum(2 * b - 1 for b in bits) / math.sqrt(len(bits)))


def autocorrelation(bits, d):
    length = len(bits) - d
    a = sum(x ^ y for x, y in zip(bits, bits[d:]))
    return two_sided(2 * (a - length / 2) / math.sqrt(length))


def rank(rows):
    """By keeping a basis, each vector under its highest bit."""
    basis = {}
    for row in rows:
        while row:
            top = row.bit_length()
            if top not in basis:
                basis[top] = row
                break
            row ^= basis[top]
    return len(basis)


def matrix_rank(bits, _):
    counts, total = [0, 0, 0], len(bits) // 1024
    for i in range(total):
        block = bits[1024 * i:1024 * (i + 1)]
        r = rank(int(''.join(map(str, block[32 * k:32 * k + 32])), 2) for k in range(32))
        counts[min(32 - r, 2)] += 1
    return [chi(1, sum((c - total * s) ** 2 / (total * s) for c, s in zip(counts, (.2888, .5776, .1336))))]


def cumulative_sums(bits, _):
    n, result = len(bits), []
    for order in (bits, bits[::-1]):
        s = z = 0
        for b in order:
            s += 2 * b - 1
            z = max(z, abs(s))
        root, ratio = math.sqrt(n), n // z
        first = range(int((-ratio + 1) / 4), int((ratio - 1) / 4) + 1)
        second = range(int((-ratio - 3) / 4), int((ratio - 1) / 4) + 1)
        p = 1 - sum(normal((4 * i + 1) * z / root) - normal((4 * i - 1) * z / root) for i in first)
        p += sum(normal((4 * i + 3) * z / root) - normal((4 * i + 1) * z / root) for i in second)
        result.append((p, p))
    return result


def approximate_entropy(bits, m):
    n = len(bits)

    def phi(k):
        return sum(c / n * math.log(c / n) for c in cyclic_counts(bits, k).values())
    return [chi(2 ** (m - 1), 2 * n * (math.log(2) - (phi(m) - phi(m + 1))))]


def shortest_register(bits):
    """Berlekamp-Massey with polynomials as whole numbers; the reversed sequence makes the discrepancy a parity."""
    c = b = 1
    length, shift, past = 0, 1, 0
    for i, bit in enumerate(bits):
        past = past << 1 | bit
        if bin(c & past).count('1') % 2 == 0:
            shift += 1
            continue
        old = c
        c ^= b << shift
        if 2 * length <= i:
            length, b, shift = i + 1 - length, old, 1
        else:
            shift += 1
    return length


def linear_complexity(bits, m):
    shares = (.010417, .03125, .125, .5, .25, .0625, .020833)
    counts, total = [0] * 7, len(bits) // m
    mean = m / 2 + (9 + (-1) ** (m + 1)) / 36 - (m / 3 + 2 / 9) / 2 ** m
    for i in range(total):
        t = (-1) ** m * (shortest_register(bits[m * i:m * (i + 1)]) - mean) + 2 / 9
        counts[sum(t > edge for edge in (-2.5, -1.5, -.5, .5, 1.5, 2.5))] += 1
    return [chi(3, sum((c - total * s) ** 2 / (total * s) for c, s in zip(counts, shares)))]


def universal(bits, _):
    size, fill = 7, 1280
    blocks = [tuple(bits[i:i + size]) for i in range(0, len(bits) - size + 1, size)]
    k, last, total = len(blocks) - fill, {}, 0
    for i, block in enumerate(blocks, 1):
        if i > fill:
            total += math.log2(i - last.get(block, 0))
        last[block] = i
    c = .7 - .8 / size + (4 + 32 / size) * k ** (-3 / size) / 15
    return two_sided((total / k - 6.1962507) / (c * math.sqrt(3.125 / k)))


def transform(x):
    n = len(x)
    radix = next((r for r in range(2, n) if n % r == 0), n)
    if radix == n:
        return [sum(v * cmath.exp(-2j * math.pi * j * k / n) for k, v in enumerate(x)) for j in range(n)]
    parts, size = [transform(x[r::radix]) for r in range(radix)], n // radix
    return [sum(parts[r][j % size] * cmath.exp(-2j * math.pi * j * r / n) for r in range(radix)) for j in range(n)]


def dft(bits, _):
    n = len(bits)
    limit = math.sqrt(2.995732274 * n)
    below = sum(abs(f) < limit for f in transform([2 * b - 1 for b in bits])[:n // 2])
    return two_sided((below - .95 * n / 2) / math.sqrt(.95 * .05 * n / 3.8))


TESTS = {1: monobit, 2: block_frequency, 3: poker, 4: overlapping, 5: runs, 6: run_distribution, 7: longest_run,
         8: derivative, 9: autocorrelation, 10: matrix_rank, 11: cumulative_sums, 12: approximate_entropy,
         13: linear_complexity, 14: universal, 15: dft}


def unpack(data):
    return [byte >> (7 - k) & 1 for byte in data for k in range(8)]
