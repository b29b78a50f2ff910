"""A client of the device protocol written from docs/protocol/device.md and nothing else, on a real device: the proof that the
document suffices. It shares no code with the other tests; numbers below carry the section they were read in."""
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

# 5: operations
HELLO, OPEN, CLOSE, INFO, STATUS, CAPABILITIES, RANDOM = 0x0001, 0x0002, 0x0003, 0x0004, 0x0005, 0x0006, 0x0010
ACCESS_TAKE, KEY_NEW, KEY_ROTATE, KEY_DESTROY, KEY_INFO, KEY_PUBLIC, KEY_FIND = 0x0011, 0x0020, 0x0021, 0x0022, 0x0023, 0x0025, 0x0027
SESSION_KEY_IPK, SESSION_KEY_ISK, SIGN, VERIFY, ENCRYPT, DECRYPT, MAC, HASH = 0x0030, 0x0032, 0x0040, 0x0041, 0x0046, 0x0047, 0x0048, 0x0049
AEAD_ENCRYPT, AEAD_DECRYPT, PART_START, PART_UPDATE, PART_FINISH = 0x004a, 0x004b, 0x0050, 0x0051, 0x0052
ANCHOR_SET, ANCHOR_GET, MANAGE = 0x0070, 0x0071, 0x0100
# 4: algorithms
SM3, SM3_HMAC, CBC, GCM = 1, 8, 0x402, 0x02000400
# GB/T 32918.5: a, b, G of the recommended curve, for Z
CURVE = bytes.fromhex("fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc"
                      "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"
                      "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
                      "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0")


class Refused(Exception):
    def __init__(self, status, detail=""):
        super().__init__("%d %s" % (status, detail))
        self.status = status


def var(b):
    b = b.encode() if isinstance(b, str) else b
    return struct.pack(">I", len(b)) + b


def w(v): return struct.pack(">I", v)
def h(v): return struct.pack(">H", v)
def q(v): return struct.pack(">Q", v)


# 4: key references
def stored(uuid, version=0): return var(b"\x01" + uuid + w(version))
def index(number, half): return var(b"\x02" + w(number) + bytes([half]))
def handle(number): return var(b"\x03" + q(number))
def external(algorithm, public): return var(b"\x05" + w(algorithm) + public)


class Connection:
    """2: frames."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(30)
        self.socket.connect(path)

    def close(self): self.socket.close()

    def send(self, operation, items, count=1, session=0, request=None):
        request = request or os.urandom(16)
        body = struct.pack(">HHI", operation, count, session) + request + items
        self.socket.sendall(w(len(body)) + body)
        return request

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        body = self.exactly(struct.unpack(">I", self.exactly(4))[0])
        operation, count, session = struct.unpack(">HHI", body[:8])
        status, retry = struct.unpack(">II", body[24:32])
        return {"operation": operation, "count": count, "session": session, "id": body[8:24], "status": status, "retry": retry,
                "items": body[32:]}

    def vector(self, operation, items, layout, session=0, request=None):
        """[(status, fields)] of one request with many items."""
        request = self.send(operation, b"".join(items), len(items), session, request)
        r = self.receive()
        assert (r["operation"], r["session"], r["id"]) == (operation, session, request)
        if r["status"]:
            assert r["count"] == 0
            n, = struct.unpack(">I", r["items"][:4])
            assert len(r["items"]) == 4 + n
            raise Refused(r["status"], r["items"][4:].decode())
        assert r["count"] == len(items)
        data, out = r["items"], []
        for _ in items:
            status, = struct.unpack(">I", data[:4])
            data = data[4:]
            fields = []
            for letter in layout if status == 0 else "":
                if letter == "v":
                    n, = struct.unpack(">I", data[:4])
                    fields.append(data[4:4 + n])
                    data = data[4 + n:]
                else:
                    size, form = {"H": (2, ">H"), "W": (4, ">I"), "Q": (8, ">Q"), "U": (16, None), "D": (32, None)}[letter]
                    fields.append(struct.unpack(form, data[:size])[0] if form else data[:size])
                    data = data[size:]
            out.append((status, fields))
        assert data == b""
        return out

    def call(self, operation, item=b"", layout="", session=0, request=None):
        (status, fields), = self.vector(operation, [item], layout, session, request)
        if status:
            raise Refused(status)
        return fields


def refused(status, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except Refused as r:
        assert r.status == status, "%d instead of %d" % (r.status, status)
        return
    raise AssertionError("was not refused with %d" % status)


class Device:
    """8: a device of our own, initialised over its management socket."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="fengni-protocol-")
        self.path = self.folder + "/device.sock"
        self.management = self.folder + "/management/device.sock"
        self.start()
        m = Connection(self.management)
        minutes = self.manage(m, "init", {"unattended": True, "clients": [{"uid": os.getuid(), "application": "proof"}]})
        assert minutes["unattended"] is True
        self.manage(m, "key.create_index", {"index": 1, "password": "twelve words"})
        m.close()

    @staticmethod
    def manage(m, verb, members):
        return json.loads(m.call(MANAGE, var(verb) + var(json.dumps(members)), "v")[0])

    def start(self):
        us, it = os.pipe()
        os.set_inheritable(it, True)
        program = os.path.join(os.environ.get("FENGNI_BIN", "."), "fengni-device")
        self.process = subprocess.Popen([program, "--dir", self.folder + "/store", "--socket", self.path, "--management", self.management,
                                         "--unattended-key", self.folder + "/key"], env=dict(os.environ, FENGNI_READY_FD=str(it)),
                                        pass_fds=[it])
        os.close(it)
        assert os.read(us, 1), "the device did not become ready"
        os.close(us)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        self.process.terminate()
        assert self.process.wait(60) == 0
        shutil.rmtree(self.folder)


def digest(c, data): return c.call(HASH, w(SM3) + var(data), "v")[0]


def signed(c, statement):
    """5, notes: e = SM3(Z || statement) for the device's own key, index 0, half 0."""
    algorithm, public = c.call(KEY_PUBLIC, index(0, 0), "Hv")
    assert algorithm == 3 and len(public) == 64
    identity = b"1234567812345678"
    z = digest(c, struct.pack(">H", len(identity) * 8) + identity + CURVE + public)
    return external(3, public) + digest(c, z + statement)


def hello(d, c):
    version, frame, vector, outstanding, boot, state, tenant, application = c.call(HELLO, w(1), "WWWWUWvv")
    assert (version, frame, vector, outstanding, state) == (1, 1048576, 4096, 1024, 2)
    assert (tenant, application) == (b"default", b"proof") and len(boot) == 16
    assert len(c.call(INFO, b"", "v")[0]) == 100
    assert json.loads(c.call(STATUS, b"", "v")[0])["state"] == "READY"
    assert json.loads(c.call(CAPABILITIES, b"", "v")[0])["SIGN"] == "native"


def example(d, c):
    """7, byte by byte."""
    c.socket.sendall(bytes.fromhex("0000001c 0010 0001 00000000 00112233445566778899aabbccddeeff 00000008"))
    answer = c.exactly(52)
    assert answer[:44] == bytes.fromhex("00000030 0010 0001 00000000 00112233445566778899aabbccddeeff 00000000 00000000 00000000 00000008")
    assert answer[44:] != bytes(8)


def sessions_and_rights(d, c):
    s, = c.call(OPEN, b"", "W")
    t, = c.call(OPEN, b"", "W")
    assert 0 != s != t != 0
    e = digest(c, b"e")
    refused(507, c.call, SIGN, index(1, 0) + e, "v", s)
    refused(506, c.call, ACCESS_TAKE, w(1) + var("wrong password"), "", s)
    c.call(ACCESS_TAKE, w(1) + var("twelve words"), "", s)
    signature, = c.call(SIGN, index(1, 0) + e, "v", s)
    assert len(signature) == 64
    refused(507, c.call, SIGN, index(1, 0) + e, "v", t)
    _, public = c.call(KEY_PUBLIC, index(1, 0), "Hv")
    c.call(VERIFY, external(3, public) + e + var(signature))
    c.call(VERIFY, index(1, 0) + e + var(signature))
    refused(103, c.call, VERIFY, external(3, public) + digest(c, b"f") + var(signature))
    refused(510, c.call, KEY_PUBLIC, index(40, 0), "Hv")
    c.call(CLOSE, b"", "", t)
    refused(6, c.call, RANDOM, w(4), "v", t)
    wrapped, number = c.call(SESSION_KEY_IPK, index(1, 1) + w(128), "vQ", s)
    assert len(wrapped) == 96 + 16
    back, = c.call(SESSION_KEY_ISK, index(1, 1) + var(wrapped), "Q", s)
    chain, sealed = c.call(ENCRYPT, handle(number) + w(CBC) + var(bytes(16)) + var(b"0123456789abcdef" * 2), "vv", s)
    assert chain == sealed[-16:]
    assert c.call(DECRYPT, handle(back) + w(CBC) + var(bytes(16)) + var(sealed), "vv", s)[1] == b"0123456789abcdef" * 2
    refused(512, c.call, ENCRYPT, handle(number) + w(CBC) + var(bytes(16)) + var(bytes(16)), "vv")
    refused(106, c.call, ENCRYPT, handle(number) + w(CBC) + var(bytes(16)) + var(bytes(17)), "vv", s)
    c.call(PART_START, b"\x03" + handle(number) + w(SM3_HMAC) + var(b"") + var(b"") + q(0) + var(b""), "", s)
    c.call(PART_UPDATE, b"\x03" + var(b"one "), "v", s)
    c.call(PART_UPDATE, b"\x03" + var(b"two"), "v", s)
    mac = c.call(PART_FINISH, b"\x03", "vv", s)[1]
    assert mac == c.call(MAC, handle(back) + w(SM3) + var(b"") + var(b"one two"), "vv", s)[1] and len(mac) == 32
    refused(408, c.call, PART_FINISH, b"\x03", "vv", s)


def stored_keys(d, c):
    request = os.urandom(16)
    item = h(3) + h(1) + w(4 | 8) + var("cases") + var("")
    uuid, version, public = c.call(KEY_NEW, item, "UWv", 0, request)
    assert version == 1 and public == b""
    # 3: the same id again makes nothing new, on another connection as well
    other = Connection(d.path)
    assert other.call(KEY_NEW, item, "UWv", 0, request)[0] == uuid
    other.close()
    refused(7, c.call, KEY_NEW, item, "UWv")
    assert c.call(KEY_FIND, var("cases"), "UW") == [uuid, 1]
    assert "cases" in json.loads(c.call(KEY_INFO, stored(uuid), "v")[0]).values()
    nonce, sealed, tag, version = c.call(AEAD_ENCRYPT, stored(uuid) + w(GCM) + var(b"") + var(b"row 1") + var(b"secret"), "vvvW")
    assert (len(nonce), len(sealed), len(tag), version) == (12, 6, 16, 1)
    refused(515, c.call, AEAD_ENCRYPT, stored(uuid) + w(GCM) + var(bytes(12)) + var(b"") + var(b"x"), "vvvW")
    refused(503, c.call, MAC, stored(uuid) + w(SM3) + var(b"") + var(b"x"), "vv")
    assert c.call(KEY_ROTATE, uuid, "Wv")[0] == 2
    opening = w(GCM) + var(nonce) + var(b"row 1") + var(tag) + var(sealed)
    assert c.call(AEAD_DECRYPT, stored(uuid, 1) + opening, "v") == [b"secret"]
    refused(104, c.call, AEAD_DECRYPT, stored(uuid, 2) + opening, "v")
    refused(104, c.call, AEAD_DECRYPT, stored(uuid, 1) + w(GCM) + var(nonce) + var(b"row 2") + var(tag) + var(sealed), "v")
    statement, signature = c.call(KEY_DESTROY, uuid + w(1), "vv")
    assert uuid.hex() in json.dumps(json.loads(statement)).replace("-", "")
    c.call(VERIFY, signed(c, statement) + var(signature))
    refused(501, c.call, AEAD_DECRYPT, stored(uuid, 1) + opening, "v")
    mac_key = c.call(KEY_NEW, h(4) + h(2) + w(64) + var("rows") + var(""), "UWv")[0]
    macs = c.vector(MAC, [stored(mac_key) + w(SM3) + var(b"") + var(b"%d" % (i % 7)) for i in range(500)], "vv")
    assert all(status == 0 for status, _ in macs) and len({fields[1] for _, fields in macs}) == 7
    c.call(KEY_DESTROY, mac_key + w(0), "vv")


def vectors(d, c):
    s, = c.call(OPEN, b"", "W")
    _, number = c.call(SESSION_KEY_IPK, index(1, 1) + w(128), "vQ", s)
    items = [handle(number if i % 10 else 5) + w(GCM) + var(b"") + var(b"") + var(bytes(i)) for i in range(200)]
    results = c.vector(AEAD_ENCRYPT, items, "vvvW", s)
    assert [status for status, _ in results] == [0 if i % 10 else 512 for i in range(200)]
    refused(405, c.vector, RANDOM, [w(1)] * 4097, "v")
    # Pipelined: several requests before the first answer, matched by id
    ids = {c.send(RANDOM, w(n), 1, session): n for n, session in ((11, 0), (22, s), (33, 0))}
    for _ in range(3):
        r = c.receive()
        assert len(r["items"]) == 8 + ids.pop(r["id"])
    assert not ids


def anchors(d, c):
    one, two, challenge = digest(c, b"1"), digest(c, b"2"), os.urandom(32)

    def statement(name, counter, value, question):
        return b"fengni anchor 1\x00" + question + var(name) + var("proof") + q(counter) + value

    refused(6, c.call, ANCHOR_GET, var("log") + challenge, "vQDv")
    receipt, = c.call(ANCHOR_SET, var("log") + q(0) + q(3) + one, "v")
    c.call(VERIFY, signed(c, statement("log", 3, one, bytes(32))) + var(receipt))
    refused(516, c.call, ANCHOR_SET, var("log") + q(0) + q(4) + two, "v")
    refused(516, c.call, ANCHOR_SET, var("log") + q(3) + q(3) + two, "v")
    c.call(ANCHOR_SET, var("log") + q(3) + q(9) + two, "v")
    owner, counter, value, signature = c.call(ANCHOR_GET, var("log") + challenge, "vQDv")
    assert (owner, counter, value) == (b"proof", 9, two)
    c.call(VERIFY, signed(c, statement("log", 9, two, challenge)) + var(signature))
    refused(103, c.call, VERIFY, signed(c, statement("log", 9, two, bytes(32))) + var(signature))


def errors(d, c):
    refused(404, c.call, 0x0fff)
    refused(404, c.call, MANAGE, var("status") + var("{}"), "v")
    refused(3, c.call, RANDOM, w(0), "v")
    for broken in (w(3) + b"abc", w(1048577), w(24 + 2) + struct.pack(">HHI", RANDOM, 1, 0) + bytes(16) + b"xx"):
        b = Connection(d.path)
        b.socket.sendall(broken)
        r = b.receive()
        assert r["status"] == 403
        try:
            assert b.socket.recv(1) == b""
        except ConnectionResetError:
            pass
        b.close()
    assert len(c.call(RANDOM, w(5), "v")[0]) == 5


def restart(d, c):
    request, item = os.urandom(16), h(4) + h(2) + w(64) + var("after") + var("")
    boot = c.call(HELLO, w(1), "WWWWUWvv")[4]
    s, = c.call(OPEN, b"", "W")
    _, number = c.call(SESSION_KEY_IPK, index(1, 1) + w(128), "vQ", s)
    uuid = c.call(KEY_NEW, item, "UWv", 0, request)[0]
    d.kill()
    d.start()
    c = Connection(d.path)
    assert c.call(HELLO, w(1), "WWWWUWvv")[4] != boot
    assert c.call(KEY_NEW, item, "UWv", 0, request)[0] == uuid
    refused(6, c.call, RANDOM, w(5), "v", s)
    s, = c.call(OPEN, b"", "W")
    refused(512, c.call, ENCRYPT, handle(number) + w(CBC) + var(bytes(16)) + var(bytes(16)), "vv", s)
    assert len(c.call(MAC, stored(uuid) + w(SM3) + var(b"") + var(b"x"), "vv", s)[1]) == 32
    assert c.call(ANCHOR_GET, var("log") + bytes(32), "vQDv")[1] == 9
    c.close()


def main():
    device = Device()
    for proof in (hello, example, sessions_and_rights, stored_keys, vectors, anchors, errors, restart):
        c = Connection(device.path)
        proof(device, c)
        c.close()
        print("ok", proof.__name__)
    device.end()


if __name__ == "__main__":
    main()
