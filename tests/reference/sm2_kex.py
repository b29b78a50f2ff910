"""SM2 key exchange written from GB/T 32918.1, .3 and .5 with plain integers; slow and simple on purpose."""

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
     0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0)


def sm3(message):
    """GB/T 32905."""
    rotate = lambda x, n: ((x << n % 32) | (x >> (32 - n % 32))) & 0xFFFFFFFF if n % 32 else x
    v = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]
    padded = message + b"\x80" + b"\0" * (-(len(message) + 9) % 64) + (8 * len(message)).to_bytes(8, "big")
    for at in range(0, len(padded), 64):
        w = [int.from_bytes(padded[at + i:at + i + 4], "big") for i in range(0, 64, 4)]
        for j in range(16, 68):
            x = w[j - 16] ^ w[j - 9] ^ rotate(w[j - 3], 15)
            w.append(x ^ rotate(x, 15) ^ rotate(x, 23) ^ rotate(w[j - 13], 7) ^ w[j - 6])
        a, b, c, d, e, f, g, h = v
        for j in range(64):
            t = 0x79CC4519 if j < 16 else 0x7A879D8A
            ss1 = rotate((rotate(a, 12) + e + rotate(t, j)) & 0xFFFFFFFF, 7)
            ff = a ^ b ^ c if j < 16 else (a & b) | (a & c) | (b & c)
            gg = e ^ f ^ g if j < 16 else (e & f) | (~e & g)
            tt1 = (ff + d + (ss1 ^ rotate(a, 12)) + (w[j] ^ w[j + 4])) & 0xFFFFFFFF
            tt2 = (gg + h + ss1 + w[j]) & 0xFFFFFFFF
            d, c, b, a = c, rotate(b, 9), a, tt1
            h, g, f, e = g, rotate(f, 19), e, (tt2 ^ rotate(tt2, 9) ^ rotate(tt2, 17))
        v = [x ^ y for x, y in zip(v, (a, b, c, d, e, f, g, h))]
    return b"".join(x.to_bytes(4, "big") for x in v)


def add(p, q):
    if p is None or q is None:
        return q if p is None else p
    if p[0] == q[0]:
        if (p[1] + q[1]) % P == 0:
            return None
        slope = (3 * p[0] * p[0] + A) * pow(2 * p[1], -1, P) % P
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P) % P
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def multiply(k, p):
    r = None
    for bit in bin(k)[2:]:
        r = add(r, r)
        if bit == "1":
            r = add(r, p)
    return r


def octets(v):
    return v.to_bytes(32, "big")


def z_of(public, identity):
    entl = (8 * len(identity)).to_bytes(2, "big")
    return sm3(entl + identity + b"".join(map(octets, (A, B, *G, *public))))


def kdf(z, n):
    out, counter = b"", 1
    while len(out) < n:
        out += sm3(z + counter.to_bytes(4, "big"))
        counter += 1
    return out[:n]


def folded(x):
    """x with bar of GB/T 32918.3 6.1: w = 127."""
    return (1 << 127) + (x & ((1 << 127) - 1))


def exchange(own, own_ephemeral, peer, peer_ephemeral, z_sponsor, z_responder, r_sponsor, r_responder, n):
    """own, own_ephemeral: private; peer, peer_ephemeral: points. Returns key, S1/SB (02), S2/SA (03)."""
    mine = multiply(own_ephemeral, G)
    t = (own + folded(mine[0]) * own_ephemeral) % N
    u = multiply(t, add(peer, multiply(folded(peer_ephemeral[0]), peer_ephemeral)))
    key = kdf(octets(u[0]) + octets(u[1]) + z_sponsor + z_responder, n)
    inner = sm3(octets(u[0]) + z_sponsor + z_responder + b"".join(map(octets, (*r_sponsor, *r_responder))))
    return key, sm3(b"\x02" + octets(u[1]) + inner), sm3(b"\x03" + octets(u[1]) + inner)
