"""The formats of docs/formats/field.md and manifest.md, written from those pages and the standards (GB/T 32905, GB/T 32907,
GB/T 17964, GB/T 15852.2) alone, against the golden files."""
import base64
import os
import sqlite3
import struct
import unittest

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")


# --- SM3 ---------------------------------------------------------------------------------------------------------------------
def rotl(x, n):
    n %= 32
    return (x << n | x >> (32 - n)) & 0xFFFFFFFF


def sm3(message):
    state = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]
    data = message + b"\x80" + bytes((55 - len(message)) % 64) + struct.pack(">Q", 8 * len(message))
    p0, p1 = lambda x: x ^ rotl(x, 9) ^ rotl(x, 17), lambda x: x ^ rotl(x, 15) ^ rotl(x, 23)
    for at in range(0, len(data), 64):
        w = list(struct.unpack(">16I", data[at:at + 64]))
        for j in range(16, 68):
            w.append(p1(w[j - 16] ^ w[j - 9] ^ rotl(w[j - 3], 15)) ^ rotl(w[j - 13], 7) ^ w[j - 6])
        a, b, c, d, e, f, g, h = state
        for j in range(64):
            t = 0x79CC4519 if j < 16 else 0x7A879D8A
            ss1 = rotl((rotl(a, 12) + e + rotl(t, j)) & 0xFFFFFFFF, 7)
            ss2 = ss1 ^ rotl(a, 12)
            ff = a ^ b ^ c if j < 16 else (a & b) | (a & c) | (b & c)
            gg = e ^ f ^ g if j < 16 else (e & f) | (~e & g)
            tt1 = (ff + d + ss2 + (w[j] ^ w[j + 4])) & 0xFFFFFFFF
            tt2 = (gg + h + ss1 + w[j]) & 0xFFFFFFFF
            a, b, c, d, e, f, g, h = tt1, a, rotl(b, 9), c, p0(tt2), e, rotl(f, 19), g
        state = [x ^ y for x, y in zip(state, (a, b, c, d, e, f, g, h))]
    return struct.pack(">8I", *state)


def hmac_sm3(key, message):
    key = (sm3(key) if len(key) > 64 else key).ljust(64, b"\0")
    return sm3(bytes(k ^ 0x5C for k in key) + sm3(bytes(k ^ 0x36 for k in key) + message))


# --- SM4: the S-box by its definition, an affine map of the inverse in GF(2^8) modulo x^8+x^7+x^6+x^5+x^4+x^2+1 ----------------
def gf_multiply(a, b):
    r = 0
    while b:
        if b & 1:
            r ^= a
        a = a << 1 ^ (0x1F5 if a & 0x80 else 0)
        b >>= 1
    return r


def affine(x):
    r = 0
    for i in range(8):
        bit = 0
        for k in (0, 1, 2, 5, 7):
            bit ^= x >> ((i + k) % 8) & 1
        r |= bit << i
    return r ^ 0xD3


def make_sbox():
    inverse = [0] * 256
    for a in range(1, 256):
        for b in range(1, 256):
            if gf_multiply(a, b) == 1:
                inverse[a] = b
                break
    return [affine(inverse[affine(x)]) for x in range(256)]


SBOX = make_sbox()


def tau(x):
    return int.from_bytes(bytes(SBOX[b] for b in x.to_bytes(4, "big")), "big")


def sm4_keys(key):
    k = [int.from_bytes(key[4 * i:4 * i + 4], "big") ^ fk for i, fk in enumerate((0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC))]
    for i in range(32):
        ck = int.from_bytes(bytes(7 * (4 * i + j) & 255 for j in range(4)), "big")
        t = tau(k[i + 1] ^ k[i + 2] ^ k[i + 3] ^ ck)
        k.append(k[i] ^ t ^ rotl(t, 13) ^ rotl(t, 23))
    return k[4:]


def sm4_block(keys, block):
    x = list(struct.unpack(">4I", block))
    for rk in keys:
        t = tau(x[1] ^ x[2] ^ x[3] ^ rk)
        x = x[1:] + [x[0] ^ t ^ rotl(t, 2) ^ rotl(t, 10) ^ rotl(t, 18) ^ rotl(t, 24)]
    return struct.pack(">4I", *x[::-1])


def cbc_decrypt(key, iv, data):
    keys, out = sm4_keys(key)[::-1], b""
    for at in range(0, len(data), 16):
        block = data[at:at + 16]
        out += bytes(a ^ b for a, b in zip(sm4_block(keys, block), iv))
        iv = block
    return out


def gcm_decrypt(key, nonce, aad, data, tag):
    keys = sm4_keys(key)
    h = int.from_bytes(sm4_block(keys, bytes(16)), "big")

    def times_h(y):
        z, v = 0, h
        for i in range(127, -1, -1):
            if y >> i & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        return z

    y = 0
    padded = aad + bytes(-len(aad) % 16) + data + bytes(-len(data) % 16) + struct.pack(">QQ", 8 * len(aad), 8 * len(data))
    for at in range(0, len(padded), 16):
        y = times_h(y ^ int.from_bytes(padded[at:at + 16], "big"))
    pad = sm4_block(keys, nonce + b"\0\0\0\1")
    if bytes(a ^ b for a, b in zip(y.to_bytes(16, "big"), pad)) != tag:
        raise ValueError("tag")
    stream = b"".join(sm4_block(keys, nonce + struct.pack(">I", 2 + i)) for i in range(-(-len(data) // 16)))
    return bytes(a ^ b for a, b in zip(data, stream))


# --- the formats -------------------------------------------------------------------------------------------------------------
def var(b):
    return struct.pack(">I", len(b)) + b


def secret(label):
    """Keys of the golden files: the secret is SM3 of the label, the uuid the first half of SM3 of the secret."""
    s = sm3(label.encode())
    return s, sm3(s)[:16]


def decode(text):
    binary = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert base64.urlsafe_b64encode(binary).rstrip(b"=").decode() == text
    return binary


def open_field(text, key, mac_key, table, column, row, version):
    b = decode(text)
    aad = var(table.encode()) + var(column.encode()) + var(struct.pack(">Q", row)) + var(struct.pack(">Q", version))
    assert b[0] == 0xF1 and b[2:18] == key[1] and b[18:22] == struct.pack(">I", 1)
    if b[1] == 1:
        return gcm_decrypt(key[0][:16], b[22:34], aad, b[34:-16], b[-16:])
    assert b[1] == 2 and b[22:26] == struct.pack(">I", 1)
    nonce, ciphertext, tag = b[22:42], b[42:-32], b[-32:]
    if hmac_sm3(mac_key[0], b[:22] + var(aad) + nonce + ciphertext) != tag:
        raise ValueError("tag")
    clear = cbc_decrypt(key[0][:16], nonce[4:], ciphertext)
    assert 1 <= clear[-1] <= 16 and clear[-clear[-1]:] == bytes([clear[-1]]) * clear[-1]
    return clear[:-clear[-1]]


def value(v):
    if v is None:
        return b"\xff\xff\xff\xff"
    v = v.encode()
    return var(v) if len(v) <= 1024 else b"\xff\xff\xff\xfe" + struct.pack(">Q", len(v)) + sm3(v)


class Reference(unittest.TestCase):
    def test_primitives(self):
        self.assertEqual(sm3(b"abc").hex(), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0")
        self.assertEqual(hmac_sm3(bytes(range(32)), b"abc").hex(), "a8f95cf26f204957e7ca73c9602a25dda35f168b28103b51dfc968c810416b63")
        key = bytes.fromhex("0123456789abcdeffedcba9876543210")
        self.assertEqual(sm4_block(sm4_keys(key), key).hex(), "681edf34d206965e86b3e94f536e4246")

    def test_fields(self):
        key, mac_key = secret("golden/fields"), secret("golden/fields-mac")
        seen = set()
        with open(os.path.join(GOLDEN, "fields.tsv"), encoding="utf-8") as f:
            for line in f:
                table, column, row, version, clear, text = line.rstrip("\n").split("\t")
                self.assertEqual(open_field(text, key, mac_key, table, column, int(row), int(version)).hex(), clear)
                with self.assertRaises(ValueError):
                    open_field(text, key, mac_key, table, column, int(row) + 1, int(version))
                seen.add(decode(text)[1])
        self.assertEqual(seen, {1, 2})

    def test_table(self):
        db = sqlite3.connect(":memory:")
        with open(os.path.join(GOLDEN, "table.sql"), encoding="utf-8") as f:
            db.executescript(f.read())
        with open(os.path.join(GOLDEN, "table.anchor"), encoding="utf-8") as f:
            name, anchored, digest = f.read().split()
        fields, rows = secret("data/citizens/fields"), secret("data/citizens/rows")
        uuid, suite, field_key, mac_key, row_key, columns, mac = db.execute(
            "SELECT uuid, suite, field_key, field_mac_key, row_key, columns, mac FROM fn_data_table WHERE name = 'citizens'").fetchone()
        self.assertEqual((suite, field_key, mac_key, row_key), (1, fields[1], bytes(16), rows[1]))
        names = [(b"name", 1), (b"id_card", 2), (b"address", 2), (b"note", 0)]
        self.assertEqual(columns, struct.pack(">I", 4) + b"".join(var(n) + bytes([role]) for n, role in names))
        message = b"fengni table 1\0" + var(b"citizens") + uuid + struct.pack(">I", suite) + field_key + mac_key + row_key + columns
        self.assertEqual(mac, struct.pack(">I", 1) + hmac_sm3(rows[0], message))

        segments = {}
        for row, version, row_mac, *cells in db.execute(
                "SELECT fn_row, fn_version, fn_mac, name, id_card, address FROM citizens ORDER BY fn_row"):
            message = b"fengni row 1\0" + uuid + struct.pack(">QQ", row, version) + b"".join(map(value, cells))
            expected = hmac_sm3(rows[0], message)
            self.assertEqual(row_mac, struct.pack(">I", 1) + expected)
            if row % 20 == 0:
                clear = open_field(cells[1], fields, None, "citizens", "id_card", row, version)
                self.assertEqual(clear.decode(), f"11010519491231{row:04d}")
            segment = segments.setdefault((row - 1) // 256, [0, 0])
            segment[0] |= 1 << (row - 1) % 256
            segment[1] = (segment[1] + int.from_bytes(expected, "big")) % 2 ** 256

        stored = db.execute("SELECT live, bitmap, sum FROM fn_data_segment WHERE writer = 0 ORDER BY segment").fetchall()
        group = b""
        for (live, bitmap, total), (bits, expected) in zip(stored, (segments[s] for s in sorted(segments)), strict=True):
            self.assertEqual((live, int.from_bytes(bitmap, "little"), int.from_bytes(total, "big")), (bits.bit_count(), bits, expected))
            group += struct.pack(">I", live) + bitmap + total
        head_digest = sm3(sm3(group))

        heads = db.execute("SELECT counter, record, mac FROM fn_data_head WHERE writer = 0 ORDER BY counter").fetchall()
        before = None
        for counter, record, mac in heads:
            self.assertEqual(mac, struct.pack(">I", 1) + hmac_sm3(rows[0], record))
            self.assertEqual(record[:18] + record[18:34] + record[34:46], b"fengni manifest 1\0" + uuid + struct.pack(">IQ", 0, counter))
            if before is not None:
                self.assertEqual(record[94:126], before)
            before = sm3(record)
            if counter == int(anchored):
                self.assertEqual(before.hex(), digest)
        self.assertEqual([h[0] for h in heads], [int(anchored), 4, 5])
        self.assertEqual(struct.unpack(">QQ", heads[-1][1][46:62]), (301, 299))
        self.assertEqual(heads[-1][1][62:94], head_digest)
        self.assertEqual(name, f"data/table/{uuid.hex()[:8]}-{uuid.hex()[8:12]}-{uuid.hex()[12:16]}-{uuid.hex()[16:20]}-{uuid.hex()[20:]}/0")


if __name__ == "__main__":
    unittest.main()
