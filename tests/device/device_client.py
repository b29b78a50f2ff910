"""A client of the device protocol for tests, and a running device. Python's standard library only."""
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

OPS = dict(HELLO=1, SESSION_OPEN=2, SESSION_CLOSE=3, INFO=4, STATUS=5, CAPABILITIES=6, RANDOM=0x10, ACCESS_TAKE=0x11,
           ACCESS_RELEASE=0x12, KEY_NEW=0x20, KEY_ROTATE=0x21, KEY_DESTROY=0x22, KEY_INFO=0x23, KEY_LIST=0x24, KEY_PUBLIC=0x25,
           KEY_SEAL_NEW=0x26, KEY_FIND=0x27, KEY_IMPORT_WRAPPED=0x28, SESSION_KEY_IPK=0x30, SESSION_KEY_EPK=0x31,
           SESSION_KEY_ISK=0x32, SESSION_KEY_KEK=0x33, SESSION_KEY_KEK_IN=0x34, SESSION_KEY_CLEAR_IN=0x35,
           SESSION_KEY_DESTROY=0x36, AGREE_START=0x37, AGREE_FINISH=0x38, AGREE_RESPOND=0x39, ENVELOPE_EXCHANGE=0x3a, SIGN=0x40,
           VERIFY=0x41, PK_ENCRYPT=0x42, PK_DECRYPT=0x43, RSA_PUBLIC=0x44, RSA_PRIVATE=0x45, ENCRYPT=0x46, DECRYPT=0x47, MAC=0x48,
           HASH=0x49, AEAD_ENCRYPT=0x4a, AEAD_DECRYPT=0x4b, PART_START=0x50, PART_UPDATE=0x51, PART_FINISH=0x52, FILE_CREATE=0x60,
           FILE_READ=0x61, FILE_WRITE=0x62, FILE_DELETE=0x63, ANCHOR_SET=0x70, ANCHOR_GET=0x71, ANCHOR_LIST=0x72, KEY_REWRAP=0x80, MANAGE=0x100)
SM4, HMAC, SM2, P256, RSA2048, RSA3072 = 1, 2, 3, 4, 5, 6
APP_ENC, DATA_ENC, MAC_CLASS, SRV_SIGN, SRV_ENC, KEK, EXTERNAL = 2, 3, 4, 7, 8, 17, 32
SIGN_USE, VERIFY_USE, ENC_USE, DEC_USE, WRAP_USE, UNWRAP_USE, MAC_USE = 1, 2, 4, 8, 16, 32, 64
ECB, CBC, CFB, OFB, CTR, XTS, GCM, CCM, SM4_MAC = 0x401, 0x402, 0x404, 0x408, 0x420, 0x01000400, 0x02000400, 0x04000400, 0x410
SM3, SHA256, SM3_HMAC = 1, 4, 8
ZERO_UUID = bytes(16)


def errors():
    """Numbers by name from the one list."""
    import re
    text = open(os.path.join(os.environ.get("FENGNI_SRC", "."), "src/base/core/err_list.h")).read()
    return {name: int(number) for number, name in re.findall(r"^FN_E\((\d+), (\w+),", text, re.M)}


E = errors()


class DeviceError(Exception):
    def __init__(self, status, detail, retry_ms=0):
        super().__init__("E%d %s" % (status, detail))
        self.status, self.detail, self.retry_ms = status, detail, retry_ms


def u8(v): return struct.pack(">B", v)
def u16(v): return struct.pack(">H", v)
def u32(v): return struct.pack(">I", v)
def u64(v): return struct.pack(">Q", v)


def var(b):
    if isinstance(b, str):
        b = b.encode()
    return u32(len(b)) + b


def by_uuid(uuid, version=0): return var(b"\1" + uuid + u32(version))
def by_index(index, half=0): return var(b"\2" + u32(index) + u8(half))
def by_handle(handle): return var(b"\3" + u64(handle))
def sealed(blob): return var(b"\4" + blob)
def external(alg, key): return var(b"\5" + u32(alg) + key)


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        assert self.at + n <= len(self.data), "truncated answer"
        self.at += n
        return self.data[self.at - n:self.at]

    def u16(self): return struct.unpack(">H", self.take(2))[0]
    def u32(self): return struct.unpack(">I", self.take(4))[0]
    def u64(self): return struct.unpack(">Q", self.take(8))[0]
    def var(self): return self.take(self.u32())

    def end(self):
        assert self.at == len(self.data), "%d bytes after the answer" % (len(self.data) - self.at)


def read_layout(cursor, letters):
    values = []
    for letter in letters:
        values.append({"H": cursor.u16, "W": cursor.u32, "Q": cursor.u64, "v": cursor.var, "U": lambda: cursor.take(16),
                       "D": lambda: cursor.take(32), "B": lambda: cursor.take(1)[0]}[letter]())
    return values


class Client:
    """Synchronous by call(); pipelined by send() and receive()."""

    def __init__(self, path, timeout=20):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.buffer = b""

    def close(self): self.sock.close()

    def frame(self, op, items, count=1, session=0, request_id=None):
        request_id = request_id or os.urandom(16)
        number = OPS[op] if isinstance(op, str) else op
        body = u16(number) + u16(count) + u32(session) + request_id + items
        return u32(len(body)) + body

    def send(self, op, items=b"", count=1, session=0, request_id=None):
        self.sock.sendall(self.frame(op, items, count, session, request_id))

    def _fill(self, n):
        while len(self.buffer) < n:
            got = self.sock.recv(1 << 20)
            if not got:
                raise ConnectionError("closed by the device")
            self.buffer += got

    def receive(self):
        self._fill(4)
        n = 4 + struct.unpack(">I", self.buffer[:4])[0]
        self._fill(n)
        raw, self.buffer = self.buffer[:n], self.buffer[n:]
        op, count, session = struct.unpack(">HHI", raw[4:12])
        status, retry = struct.unpack(">II", raw[28:36])
        return dict(op=op, count=count, session=session, id=raw[12:28], status=status, retry=retry, items=raw[36:])

    def raw(self, op, items=b"", count=1, session=0, request_id=None):
        self.send(op, items, count, session, request_id)
        return self.receive()

    def many(self, op, items, letters, session=0):
        """A vector: list of (status, values)."""
        r = self.raw(op, b"".join(items), len(items), session)
        if r["status"]:
            raise DeviceError(r["status"], Cursor(r["items"]).var().decode(), r["retry"])
        c, out = Cursor(r["items"]), []
        for _ in range(r["count"]):
            status = c.u32()
            out.append((status, read_layout(c, letters) if status == 0 else None))
        c.end()
        return out

    def call(self, op, items=b"", letters="", session=0, request_id=None):
        r = self.raw(op, items, 1, session, request_id)
        if r["status"]:
            raise DeviceError(r["status"], Cursor(r["items"]).var().decode(), r["retry"])
        c = Cursor(r["items"])
        status = c.u32()
        if status:
            raise DeviceError(status, "")
        values = read_layout(c, letters)
        c.end()
        return values[0] if len(values) == 1 else values

    def session(self): return self.call("SESSION_OPEN", b"", "W")
    def hello(self): return self.call("HELLO", u32(1), "WWWWUWvv")

    def key_new(self, key_class=DATA_ENC, alg=SM4, usage=ENC_USE | DEC_USE, label="", apps="", request_id=None):
        return self.call("KEY_NEW", u16(key_class) + u16(alg) + u32(usage) + var(label) + var(apps), "UWv", request_id=request_id)

    def manage(self, verb, **members):
        return json.loads(self.call("MANAGE", var(verb) + var(json.dumps(members)), "v"))


class Device:
    """A real fengni-device process on a directory of its own."""

    def __init__(self, init=True, threads=2, clients=None, unattended=True, uid=None):
        self.home = tempfile.mkdtemp(prefix="fengni-test-")
        os.chmod(self.home, 0o755)
        self.dir = os.path.join(self.home, "device")
        self.key_file = os.path.join(self.home, "unattended.key")
        self.socket = os.path.join(self.home, "device.sock")
        self.management = os.path.join(self.home, "management", "device.sock")
        self.threads, self.unattended, self.uid, self.process = threads, unattended, uid, None
        self.start()
        if init:
            with self.manager() as m:
                self.minutes = m.manage("init", unattended=True, **({"clients": clients} if clients else {}))

    def command(self):
        program = os.path.join(os.environ.get("FENGNI_BIN", "build/debug"), "fengni-device")
        words = [program, "--dir", self.dir, "--socket", self.socket, "--management", self.management, "--threads", str(self.threads)]
        words += ["--uid", str(self.uid)] if self.uid else []
        return words + (["--unattended-key", self.key_file] if self.unattended else [])

    def start(self):
        read_fd, write_fd = os.pipe()
        os.set_inheritable(write_fd, True)
        env = dict(os.environ, FENGNI_READY_FD=str(write_fd), FENGNI_LANG="en")
        self.stderr = open(os.path.join(self.home, "stderr"), "ab+")
        self.process = subprocess.Popen(self.command(), env=env, pass_fds=[write_fd], stderr=self.stderr)
        os.close(write_fd)
        told = os.read(read_fd, 1)
        os.close(read_fd)
        if not told:
            self.process.wait()
            raise RuntimeError("the device did not start: " + self.errors())

    def errors(self):
        return open(os.path.join(self.home, "stderr"), errors="replace").read()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=60)
        assert code == 0, "device ended with %d: %s" % (code, self.errors())

    def restart(self, kill=False):
        self.kill() if kill else self.stop()
        self.start()

    def client(self): return Client(self.socket)

    def manager(self):
        client = Client(self.management, timeout=120)

        class Scope:
            def __enter__(self): return client
            def __exit__(self, *_): client.close()
        return Scope()

    def manage(self, verb, **members):
        with self.manager() as m:
            return m.manage(verb, **members)

    def __enter__(self): return self

    def __exit__(self, kind, value, trace):
        try:
            if self.process and self.process.poll() is None:
                self.stop() if kind is None else self.kill()
            elif kind is None and self.process and self.process.returncode not in (0, -9):
                raise AssertionError("device ended with %d" % self.process.returncode)
            if kind is not None:
                print(self.errors())
        finally:
            self.stderr.close()
            shutil.rmtree(self.home, ignore_errors=True)


def refused(name, call, /, *args, **kwargs):
    """The call must fail with this error."""
    try:
        value = call(*args, **kwargs)
    except DeviceError as e:
        assert e.status == E[name], "%s wanted, got %s" % (name, e)
        return e
    raise AssertionError("%s wanted, the call went through: %r" % (name, value))


def wait_until(condition, seconds=10):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "timed out"
        time.sleep(0.02)
