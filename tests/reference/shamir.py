"""Shamir over GF(2^8) (0x11B) from its definition: the polynomial is evaluated and interpolated with integers as polynomials over
GF(2), without tables. Shares are y bytes followed by x."""


def multiply(a, b):
    product = 0
    for i in range(8):
        if b >> i & 1:
            product ^= a << i
    for i in range(14, 7, -1):  # division by x^8 + x^4 + x^3 + x + 1
        if product >> i & 1:
            product ^= 0x11B << (i - 8)
    return product


def invert(a):
    """By trial: the one b with a*b = 1."""
    return next(b for b in range(256) if multiply(a, b) == 1)


def evaluate(coefficients, x):
    total, power = 0, 1
    for c in coefficients:
        total ^= multiply(c, power)
        power = multiply(power, x)
    return total


def split(secret, t, n, random):
    """`random` holds t - 1 coefficients for each byte of the secret, those of one byte together."""
    polynomials = [[byte, *random[i * (t - 1):(i + 1) * (t - 1)]] for i, byte in enumerate(secret)]
    return [bytes([evaluate(p, x) for p in polynomials] + [x]) for x in range(1, n + 1)]


def solve(xs, ys):
    """Constant term of the polynomial through the points, by Gaussian elimination of the Vandermonde system."""
    n = len(xs)
    rows = []
    for x, y in zip(xs, ys):
        row, power = [], 1
        for _ in range(n):
            row.append(power)
            power = multiply(power, x)
        rows.append(row + [y])
    for column in range(n):
        pivot = next(r for r in range(column, n) if rows[r][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = invert(rows[column][column])
        rows[column] = [multiply(scale, v) for v in rows[column]]
        for r in range(n):
            if r != column and rows[r][column]:
                factor = rows[r][column]
                rows[r] = [v ^ multiply(factor, w) for v, w in zip(rows[r], rows[column])]
    return rows[0][n]


def combine(shares):
    xs = [share[-1] for share in shares]
    return bytes(solve(xs, [share[i] for share in shares]) for i in range(len(shares[0]) - 1))
