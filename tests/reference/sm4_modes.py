"""SM4 and its modes, written from the standards for checking the C code: clarity before speed, never for use.

GB/T 32907-2016 (SM4), GB/T 17964-2021 (modes), GB/T 15852.1-2020 (CBC-MAC, CMAC), GB/T 36624-2018 (GCM, CCM),
IEEE 1619-2018 (the other XTS). Everything takes and returns bytes.
"""

MASK32 = 0xFFFFFFFF


# The S-box by its algebra: S(x) = A·I(A·x + C) + C, I the inverse modulo x^8+x^7+x^6+x^5+x^4+x^2+1.

def _field_multiply(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x1F5
        b >>= 1
    return product


def _affine(x):
    out = 0
    for i in range(8):
        row = (0xA7 << i | 0xA7 >> (8 - i)) & 0xFF
        out |= (bin(row & x).count("1") & 1) << i
    return out ^ 0xD3


def _inverse(x):
    result = 1
    for _ in range(254):
        result = _field_multiply(result, x)
    return result if x else 0


SBOX = [_affine(_inverse(_affine(x))) for x in range(256)]


def _rotate(v, n):
    return (v << n | v >> (32 - n)) & MASK32


def _tau(v):
    return int.from_bytes(bytes(SBOX[b] for b in v.to_bytes(4, "big")), "big")


def _words(block):
    return [int.from_bytes(block[i:i + 4], "big") for i in range(0, 16, 4)]


def round_keys(key):
    fk = (0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC)
    k = [w ^ f for w, f in zip(_words(key), fk)]
    for i in range(32):
        ck = int.from_bytes(bytes((4 * i + j) * 7 & 0xFF for j in range(4)), "big")
        b = _tau(k[i + 1] ^ k[i + 2] ^ k[i + 3] ^ ck)
        k.append(k[i] ^ b ^ _rotate(b, 13) ^ _rotate(b, 23))
    return k[4:]


def _crypt(rk, block):
    x = _words(block)
    for i in range(32):
        b = _tau(x[i + 1] ^ x[i + 2] ^ x[i + 3] ^ rk[i])
        x.append(x[i] ^ b ^ _rotate(b, 2) ^ _rotate(b, 10) ^ _rotate(b, 18) ^ _rotate(b, 24))
    return b"".join(w.to_bytes(4, "big") for w in reversed(x[32:]))


class SM4:
    def __init__(self, key):
        self.rk = round_keys(key)

    def encrypt(self, block):
        return _crypt(self.rk, block)

    def decrypt(self, block):
        return _crypt(self.rk[::-1], block)


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def blocks(data):
    return [data[i:i + 16] for i in range(0, len(data), 16)]


def ecb_encrypt(key, data):
    sm4 = SM4(key)
    return b"".join(sm4.encrypt(b) for b in blocks(data))


def ecb_decrypt(key, data):
    sm4 = SM4(key)
    return b"".join(sm4.decrypt(b) for b in blocks(data))


def cbc_encrypt(key, iv, data):
    sm4, out = SM4(key), []
    for b in blocks(data):
        iv = sm4.encrypt(xor(b, iv))
        out.append(iv)
    return b"".join(out)


def cbc_decrypt(key, iv, data):
    sm4, out = SM4(key), []
    for b in blocks(data):
        out.append(xor(sm4.decrypt(b), iv))
        iv = b
    return b"".join(out)


def cfb_encrypt(key, iv, data):
    sm4, out = SM4(key), []
    for b in blocks(data):
        iv = xor(sm4.encrypt(iv), b)
        out.append(iv)
    return b"".join(out)


def cfb_decrypt(key, iv, data):
    sm4, out = SM4(key), []
    for b in blocks(data):
        out.append(xor(sm4.encrypt(iv), b))
        iv = b
    return b"".join(out)


def ofb(key, iv, data):
    sm4, out = SM4(key), []
    for b in blocks(data):
        iv = sm4.encrypt(iv)
        out.append(xor(iv, b))
    return b"".join(out)


def ctr(key, iv, data, bits=128):
    """Counts on the last `bits` bits; the others stay."""
    sm4, out = SM4(key), []
    start = int.from_bytes(iv, "big")
    low = (1 << bits) - 1
    for i, b in enumerate(blocks(data)):
        counter = start & ~low | (start + i) & low
        out.append(xor(sm4.encrypt(counter.to_bytes(16, "big")), b))
    return b"".join(out)


def cbc_mac(key, iv, data):
    return (iv + cbc_encrypt(key, iv, data))[-16:]


def cmac(key, data):
    sm4 = SM4(key)

    def double(v):
        v <<= 1
        return v ^ (1 << 128 | 0x87) if v >> 128 else v

    sub = double(int.from_bytes(sm4.encrypt(bytes(16)), "big"))
    count = max(1, (len(data) + 15) // 16)
    head, last = data[:16 * (count - 1)], data[16 * (count - 1):]
    if len(last) < 16:
        sub = double(sub)
        last = last + b"\x80" + bytes(15 - len(last))
    last = xor(last, sub.to_bytes(16, "big"))
    return cbc_encrypt(key, bytes(16), head + last)[-16:]


def _tweaks(key2, iv, count, gb):
    tweak, out = SM4(key2).encrypt(iv), []
    for _ in range(count):
        out.append(tweak)
        if gb:
            v = int.from_bytes(tweak, "big")
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
            tweak = v.to_bytes(16, "big")
        else:
            v = int.from_bytes(tweak, "little") << 1
            v = v ^ (1 << 128 | 0x87) if v >> 128 else v
            tweak = v.to_bytes(16, "little")
    return out


def xts(key, iv, data, gb, decrypt=False):
    """key is both keys; one data unit of at least a block."""
    sm4 = SM4(key[:16])
    cipher = sm4.decrypt if decrypt else sm4.encrypt
    parts = blocks(data)
    tweaks = _tweaks(key[16:], iv, len(parts), gb)

    def one(b, t):
        return xor(cipher(xor(b, t)), t)

    if len(parts[-1]) == 16:
        return b"".join(one(b, t) for b, t in zip(parts, tweaks))
    short = len(parts[-1])
    t_first, t_second = (tweaks[-1], tweaks[-2]) if decrypt else (tweaks[-2], tweaks[-1])
    first = one(parts[-2], t_first)
    second = one(parts[-1] + first[short:], t_second)
    return b"".join(one(b, t) for b, t in zip(parts[:-2], tweaks)) + second + first[:short]


def _gf_multiply(x, y):
    """SP 800-38D 6.3: the most significant bit is the coefficient of x^0."""
    z, v = 0, y
    for i in range(127, -1, -1):
        if x >> i & 1:
            z ^= v
        v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
    return z


def ghash(h, data):
    y = 0
    for b in blocks(data):
        y = _gf_multiply(y ^ int.from_bytes(b, "big"), h)
    return y


def _pad16(data):
    return data + bytes(-len(data) % 16)


def gcm_encrypt(key, nonce, aad, data):
    """Ciphertext and 16-byte tag."""
    sm4 = SM4(key)
    h = int.from_bytes(sm4.encrypt(bytes(16)), "big")
    if len(nonce) == 12:
        j0 = nonce + b"\0\0\0\1"
    else:
        j0 = ghash(h, _pad16(nonce) + bytes(8) + (8 * len(nonce)).to_bytes(8, "big")).to_bytes(16, "big")
    first = j0[:12] + ((int.from_bytes(j0[12:], "big") + 1) & MASK32).to_bytes(4, "big")
    out = ctr(key, first, data, bits=32)
    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(out)).to_bytes(8, "big")
    s = ghash(h, _pad16(aad) + _pad16(out) + lengths).to_bytes(16, "big")
    return out, xor(s, sm4.encrypt(j0))


def ccm_encrypt(key, nonce, aad, data, tag_size=16):
    sm4, q = SM4(key), 15 - len(nonce)
    flags = (0x40 if aad else 0) | (tag_size - 2) // 2 << 3 | (q - 1)
    text = bytes([flags]) + nonce + len(data).to_bytes(q, "big")
    if aad:
        if len(aad) < 0xFF00:
            size = len(aad).to_bytes(2, "big")
        elif len(aad) < 1 << 32:
            size = b"\xff\xfe" + len(aad).to_bytes(4, "big")
        else:
            size = b"\xff\xff" + len(aad).to_bytes(8, "big")
        text += _pad16(size + aad)
    mac = cbc_mac(key, bytes(16), text + _pad16(data))
    a0 = bytes([q - 1]) + nonce + bytes(q)
    out = ctr(key, a0[:15] + b"\1", data)
    return out, xor(mac, sm4.encrypt(a0))[:tag_size]
