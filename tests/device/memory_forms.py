"""The forms a key takes in memory, and the memory of processes: for tests that look for keys where they must not be. Python's
standard library only."""
import base64
import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.environ.get("FENGNI_SRC", "."), "tests", "reference"))
from sm4_modes import SM4  # noqa: E402

# GB/T 32918.5
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
     0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0)
PIECE = 16  # what is looked for at a time: also half a key is a find


def sm2_public(d):
    """d·G, by affine double and add."""
    def add(a, b):
        if a is None or b is None:
            return a or b
        if a[0] == b[0]:
            if (a[1] + b[1]) % P == 0:
                return None
            slope = 3 * (a[0] * a[0] - 1) * pow(2 * a[1], -1, P)  # the curve's a is -3
        else:
            slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
        x = (slope * slope - a[0] - b[0]) % P
        return x, (slope * (a[0] - x) - a[1]) % P
    out, power = None, G
    while d:
        if d & 1:
            out = add(out, power)
        power, d = add(power, power), d >> 1
    return out[0].to_bytes(32, "big") + out[1].to_bytes(32, "big")


def sm3_block(state, block):
    """One compression of SM3 (GB/T 32905 5.3)."""
    mask = 0xFFFFFFFF

    def rotate(v, n):
        n %= 32
        return (v << n | v >> (32 - n)) & mask
    w = list(struct.unpack(">16I", block))
    for j in range(16, 68):
        t = w[j - 16] ^ w[j - 9] ^ rotate(w[j - 3], 15)
        w.append(t ^ rotate(t, 15) ^ rotate(t, 23) ^ rotate(w[j - 13], 7) ^ w[j - 6])
    a, b, c, d, e, f, g, h = state
    for j in range(64):
        s1 = rotate(rotate(a, 12) + e + rotate(0x79CC4519 if j < 16 else 0x7A879D8A, j) & mask, 7)
        s2 = s1 ^ rotate(a, 12)
        ff = a ^ b ^ c if j < 16 else a & b | a & c | b & c
        gg = e ^ f ^ g if j < 16 else e & f | ~e & mask & g
        t1, t2 = ff + d + s2 + (w[j] ^ w[j + 4]) & mask, gg + h + s1 + w[j] & mask
        a, b, c, d, e, f, g, h = t1, a, rotate(b, 9), c, t2 ^ rotate(t2, 9) ^ rotate(t2, 17), e, rotate(f, 19), g
    return tuple(x ^ y for x, y in zip(state, (a, b, c, d, e, f, g, h)))


def hmac_states(key):
    """What is left of an HMAC key once its two blocks are absorbed: as good as the key."""
    start = (0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E)
    block = key.ljust(64, b"\0")
    return [struct.pack(">8I", *sm3_block(start, bytes(b ^ pad for b in block))) for pad in (0x36, 0x5C)]


def swapped(data, word):
    """Bytes of each word in the other order."""
    return b"".join(data[i:i + word][::-1] for i in range(0, len(data), word))


def spellings(name, value):
    """A value in every spelling: bytes as they are, words of another byte order, text."""
    out = {name + " raw": value, name + " reversed": value[::-1]}
    for word in (4, 8):
        out["%s, %d-bit words swapped" % (name, 8 * word)] = swapped(value, word)
        out["%s, order of %d-bit words reversed" % (name, 8 * word)] = swapped(value[::-1], word)
    out[name + " hex"] = value.hex().encode()
    out[name + " HEX"] = value.hex().upper().encode()
    for shift in range(3):
        # The characters that do not depend on what stands before and after.
        text = base64.b64encode(bytes(shift) + value)
        text = text[(8 * shift + 5) // 6:(8 * (shift + len(value))) // 6]
        out["%s base64, shifted by %d" % (name, shift)] = text
        out["%s base64url, shifted by %d" % (name, shift)] = text.translate(bytes.maketrans(b"+/", b"-_"))
    return out


def forms(kind, value):
    """{what: bytes} of everything that a process which knows the key may hold instead of it."""
    out = spellings(kind, value)
    if kind == "SM4 key":
        cipher = SM4(value)
        keys = struct.pack(">32I", *cipher.rk)
        for name, data in (("SM4 round keys", keys), ("SM4 round keys, words reversed", keys[::-1])):
            out[name] = data
            out[name + ", 32-bit words swapped"] = swapped(data, 4)
        out.update(spellings("GHASH key", cipher.encrypt(bytes(16))))
    if kind in ("SM4 key", "HMAC key"):
        for name, state in zip(("inner HMAC state", "outer HMAC state"), hmac_states(value)):
            out[name], out[name + ", 32-bit words swapped"] = state, swapped(state, 4)
    if kind == "SM2 d":
        d = int.from_bytes(value, "big")
        ready = pow(1 + d, -1, N)
        out.update(spellings("(1+d)^-1", ready.to_bytes(32, "big")))
        for name, number in (("d", d), ("(1+d)^-1", ready)):
            for modulus, m in (("n", N), ("p", P)):
                form = (number * (1 << 256) % m).to_bytes(32, "little")
                out["%s in Montgomery form mod %s, limbs" % (name, modulus)] = form
                out["%s in Montgomery form mod %s, big-endian" % (name, modulus)] = form[::-1]
    return out


def pieces(all_forms):
    """{16 bytes: what}; a form is given by each of its aligned pieces, and by its end."""
    out = {}
    for what, data in all_forms.items():
        for at in list(range(0, len(data) - PIECE + 1, PIECE)) + [len(data) - PIECE]:
            out.setdefault(data[at:at + PIECE], what)
    return out


# ---- processes ----

def mappings(pid):
    """Of /proc/PID/smaps: dicts with start, end, permissions, path, and the numbers of the kernel in KiB."""
    out = []
    with open("/proc/%d/smaps" % pid) as f:
        for line in f:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+)\s*(.*)", line)
            if head:
                out.append(dict(start=int(head[1], 16), end=int(head[2], 16), permissions=head[3], inode=int(head[4]),
                                path=head[5].strip()))
            elif line.startswith("VmFlags:"):
                out[-1]["VmFlags"] = line.split()[1:]
            elif ":" in line:
                name, number = line.split(":")
                if number.strip().endswith("kB"):
                    out[-1][name] = int(number.split()[0])
    return out


def written(m):
    """Whether a page of it may differ from its file: anonymous pages and swapped ones, and memory shared for writing."""
    return m.get("Anonymous", 0) + m.get("Swap", 0) > 0 or (m["permissions"].endswith("s") and m["permissions"][1] == "w")


def memory(pid):
    """(mapping, bytes) of all that a process has written to."""
    fd = os.open("/proc/%d/mem" % pid, os.O_RDONLY)
    try:
        for m in mappings(pid):
            if m["path"] in ("[vvar]", "[vdso]", "[vsyscall]") or not written(m):
                continue
            parts, at = [], m["start"]
            while at < m["end"]:
                try:
                    data = os.pread(fd, min(m["end"] - at, 1 << 24), at)
                except OSError:  # guard pages; gone meanwhile
                    data = b""
                if not data:
                    parts.append(bytes(4096))
                    at += 4096
                    continue
                parts.append(data)
                at += len(data)
            yield m, b"".join(parts)
    finally:
        os.close(fd)


def search(pid, wanted):
    """[what at where] of the pieces that stand in the memory of a process, and the bytes looked at."""
    found, total = [], 0
    for m, data in memory(pid):
        total += len(data)
        for piece, what in wanted.items():
            at = data.find(piece)
            if at >= 0:
                found.append("%s at %x in %s" % (what, m["start"] + at, m["path"] or "anonymous memory"))
    return found, total


def status(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.split(":", 1) for line in f)


def descendants(pid):
    """Processes below this one that live."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as f:
                    rest = f.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if rest[0] not in "ZX":
                parents[int(name)] = int(rest[1])
    below, grown = {pid}, True
    while grown:
        more = {p for p, parent in parents.items() if parent in below} - below
        below, grown = below | more, bool(more)
    return sorted(below - {pid})
