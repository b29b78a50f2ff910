"""fengni-backend over a foreign SDF library, which here is our own libsdf.so on our own device: two processes speak the same
protocol, and the second knows the first only through GM/T 0018."""
import json
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ.get("FENGNI_SRC", "."), "tests", "device"))
from device_client import *  # noqa: E402,F403

BIN = os.environ.get("FENGNI_BIN", "build/debug")
PROGRAM = os.path.join(BIN, "fengni-backend")
LIBRARY = os.path.join(BIN, "libsdf.so")
PASSWORD = "twelve words of it"


class Backend:
    def __init__(self, device, home, *more):
        self.device, self.home, self.more = device, home, list(more)
        self.socket = os.path.join(home, "backend.sock")
        self.start()

    def start(self):
        us, it = os.pipe()
        os.set_inheritable(it, True)
        words = [PROGRAM, "--backend", LIBRARY, "--profile", "gm2023", "--socket", self.socket, "--dir", os.path.join(self.home, "state"),
                 "--kek", "1", "--sign", "1", "--password-file", os.path.join(self.home, "password")] + self.more
        self.process = subprocess.Popen(words, env=dict(os.environ, FENGNI_READY_FD=str(it), FENGNI_LANG="en",
                                                        FENGNI_DEVICE_SOCKET=self.device.socket), pass_fds=[it])
        os.close(it)
        assert os.read(us, 1), "the backend did not start"
        os.close(us)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        self.process.terminate()
        assert self.process.wait(30) == 0

    def client(self): return Client(self.socket)


def native(c):
    s = c.session()
    assert len(c.call("RANDOM", u32(5000), "v")) == 5000
    assert len(c.call("INFO", b"", "v")) == 100
    alg, pub = c.call("KEY_PUBLIC", by_index(2, 0), "Hv")
    assert alg == SM2 and len(pub) == 64
    e = os.urandom(32)
    sig = c.call("SIGN", by_index(2, 0) + e, "v", session=s)
    c.call("VERIFY", external(SM2, pub) + e + var(sig), session=s)
    c.call("VERIFY", by_index(2, 0) + e + var(sig), session=s)
    refused("SIGNATURE", c.call, "VERIFY", external(SM2, pub) + os.urandom(32) + var(sig), session=s)
    refused("KEY_RIGHT", c.call, "SIGN", by_index(1, 0) + e, "v", session=s)
    refused("KEY_PASSWORD", c.call, "ACCESS_TAKE", u32(1) + var("some other words"), session=s)
    c.call("ACCESS_TAKE", u32(1) + var(PASSWORD), session=s)
    c.call("SIGN", by_index(1, 0) + e, "v", session=s)
    refused("KEY_RIGHT", c.call, "SIGN", by_index(0, 0) + e, "v", session=s)
    cipher = c.call("PK_ENCRYPT", by_index(2, 1) + var(b"for index two"), "v", session=s)
    assert len(cipher) == 96 + 13
    assert c.call("PK_DECRYPT", by_index(2, 1) + var(cipher), "v", session=s) == b"for index two"
    refused("SM2_CIPHERTEXT", c.call, "PK_DECRYPT", by_index(2, 1) + var(cipher[:-1] + b"!"), "v", session=s)
    wrapped, a = c.call("SESSION_KEY_IPK", by_index(2, 1) + u32(128), "vQ", session=s)
    b = c.call("SESSION_KEY_ISK", by_index(2, 1) + var(wrapped), "Q", session=s)
    text, iv = os.urandom(64), os.urandom(16)
    chain, sealed = c.call("ENCRYPT", by_handle(a) + u32(CBC) + var(iv) + var(text), "vv", session=s)
    assert chain == sealed[-16:] and c.call("DECRYPT", by_handle(b) + u32(CBC) + var(iv) + var(sealed), "vv", session=s)[1] == text
    refused("KEY_HANDLE", c.call, "DECRYPT", by_handle(b) + u32(CBC) + var(iv) + var(sealed), "vv")
    n, ct, tag, version = c.call("AEAD_ENCRYPT", by_handle(a) + u32(GCM) + var(b"") + var(b"aad") + var(text), "vvvW", session=s)
    assert c.call("AEAD_DECRYPT", by_handle(b) + u32(GCM) + var(n) + var(b"aad") + var(tag) + var(ct), "v", session=s) == text
    refused("TAG", c.call, "AEAD_DECRYPT", by_handle(b) + u32(GCM) + var(n) + var(b"add") + var(tag) + var(ct), "v", session=s)
    c.call("PART_START", u8(0) + by_handle(a) + u32(CBC) + var(iv) + var(b"") + u64(0) + var(b""), session=s)
    out = c.call("PART_UPDATE", u8(0) + var(text[:21]), "v", session=s) + c.call("PART_UPDATE", u8(0) + var(text[21:]), "v", session=s)
    assert out + c.call("PART_FINISH", u8(0), "vv", session=s)[0] == sealed
    refused("DEVICE_STEP", c.call, "PART_FINISH", u8(0), "vv", session=s)
    c.call("SESSION_KEY_DESTROY", u64(b), session=s)
    refused("KEY_HANDLE", c.call, "SESSION_KEY_DESTROY", u64(b), session=s)
    t = c.session()
    own, eph, agreement = c.call("AGREE_START", by_index(2, 1) + u32(128) + var("sponsor"), "vvQ", session=s)
    pub2, eph2, kb = c.call("AGREE_RESPOND", by_index(2, 1) + u32(128) + var("responder") + var("sponsor") + var(own) + var(eph), "vvQ",
                            session=t)
    ka = c.call("AGREE_FINISH", u64(agreement) + var("responder") + var(pub2) + var(eph2), "Q", session=s)
    sealed = c.call("ENCRYPT", by_handle(ka) + u32(ECB) + var(b"") + var(text), "vv", session=s)[1]
    assert c.call("DECRYPT", by_handle(kb) + u32(ECB) + var(b"") + var(sealed), "vv", session=t)[1] == text
    c.call("FILE_CREATE", var("a file") + u32(20))
    c.call("FILE_WRITE", var("a file") + u32(3) + var("content"))
    assert c.call("FILE_READ", var("a file") + u32(0) + u32(12), "v") == b"\0\0\0content\0\0"
    refused("EXISTS", c.call, "FILE_CREATE", var("a file") + u32(20))
    c.call("FILE_DELETE", var("a file"))
    refused("NOT_FOUND", c.call, "FILE_READ", var("a file") + u32(0) + u32(12), "v")
    assert c.call("HASH", u32(SM3) + var("abc"), "v").hex().startswith("66c7f0f462eeedd9")
    c.call("SESSION_CLOSE", session=s)
    refused("NOT_FOUND", c.call, "RANDOM", u32(1), "v", session=s)


def stored(b, c):
    """Keys that the library's device makes and wraps; our records, durable and remembered by request id."""
    rid = os.urandom(16)
    uuid, version, public = c.key_new(DATA_ENC, SM4, ENC_USE | DEC_USE, "cases", request_id=rid)
    assert version == 1 and c.key_new(DATA_ENC, SM4, ENC_USE | DEC_USE, "cases", request_id=rid)[0] == uuid
    refused("EXISTS", c.key_new, DATA_ENC, SM4, ENC_USE | DEC_USE, "cases")
    refused("DEVICE_CANNOT", c.key_new, SRV_SIGN, SM2, SIGN_USE)
    refused("KEY_USAGE", c.key_new, DATA_ENC, SM4, MAC_USE)
    mac = c.key_new(MAC_CLASS, HMAC, MAC_USE, "rows")[0]
    text = os.urandom(48)
    start, sealed = c.call("ENCRYPT", by_uuid(uuid) + u32(CBC) + var(b"") + var(text), "vv")
    refused("KEY_NONCE", c.call, "ENCRYPT", by_uuid(uuid) + u32(CBC) + var(bytes(16)) + var(text), "vv")
    refused("KEY_USAGE", c.call, "MAC", by_uuid(uuid) + u32(SM3) + var(b"") + var(b"x"), "vv")
    tag = c.call("MAC", by_uuid(mac) + u32(SM3) + var(b"") + var(b"row"), "vv")[1]
    assert len(tag) == 32
    n, ct, gtag, version = c.call("AEAD_ENCRYPT", by_uuid(uuid) + u32(GCM) + var(b"") + var(b"") + var(text), "vvvW")
    assert version == 1
    assert c.call("KEY_ROTATE", uuid, "Wv")[0] == 2
    anchor = c.call("ANCHOR_SET", var("log") + u64(0) + u64(7) + bytes(32), "v")
    refused("ANCHOR_OLD", c.call, "ANCHOR_SET", var("log") + u64(0) + u64(8) + bytes(32), "v")
    b.kill()  # nothing acknowledged is lost
    b.start()
    c = b.client()
    assert c.key_new(DATA_ENC, SM4, ENC_USE | DEC_USE, "cases", request_id=rid)[0] == uuid
    assert c.call("KEY_FIND", var("cases"), "UW") == [uuid, 2]
    assert c.call("DECRYPT", by_uuid(uuid, 1) + u32(CBC) + var(start) + var(sealed), "vv")[1] == text
    assert c.call("DECRYPT", by_uuid(uuid, 2) + u32(CBC) + var(start) + var(sealed), "vv")[1] != text
    assert c.call("AEAD_DECRYPT", by_uuid(uuid, 1) + u32(GCM) + var(n) + var(b"") + var(gtag) + var(ct), "v") == text
    assert c.call("MAC", by_uuid(mac) + u32(SM3) + var(b"") + var(b"row"), "vv")[1] == tag
    assert {k["label"] for k in json.loads(c.call("KEY_LIST", ZERO_UUID + u32(10), "v"))} == {"cases", "rows"}
    challenge = os.urandom(32)
    owner, counter, digest, sig = c.call("ANCHOR_GET", var("log") + challenge, "vQDv")
    assert (owner, counter) == (b"default", 7)
    statement = b"fengni anchor 1\0" + challenge + var("log") + var("default") + u64(7) + bytes(32)
    check_signature(c, statement, sig)
    statement, sig = c.call("KEY_DESTROY", uuid + u32(0), "vv")
    check_signature(c, statement, sig)
    refused("KEY_DESTROYED", c.call, "DECRYPT", by_uuid(uuid, 1) + u32(CBC) + var(start) + var(sealed), "vv")
    many = c.many("MAC", [by_uuid(mac) + u32(SM3) + var(b"") + var(b"%d" % i) for i in range(300)], "vv")
    assert all(status == 0 for status, _ in many) and len({v[1] for _, v in many}) == 300
    c.close()


def check_signature(c, statement, sig):
    alg, pub = c.call("KEY_PUBLIC", by_index(0, 0), "Hv")
    curve = bytes.fromhex("fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc28e9fa9e9d9f5e344d5a9e4bcf6509a7"
                          "f39789f515ab8f92ddbcbd414d940e9332c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
                          "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0")
    z = c.call("HASH", u32(SM3) + var(b"\0\x80" + b"1234567812345678" + curve + pub), "v")
    c.call("VERIFY", external(SM2, pub) + c.call("HASH", u32(SM3) + var(z + statement), "v") + var(sig))


def bad_input(b, c):
    refused("DEVICE_OPERATION", c.call, 0x0fff)
    refused("DEVICE_OPERATION", c.call, "MANAGE", var("status") + var("{}"))
    refused("DEVICE_VECTOR", c.many, "RANDOM", [u32(1)] * 4097, "v")
    refused("CLEAR_KEY", c.call, "SESSION_KEY_CLEAR_IN", var(bytes(16)), "Q")
    refused("DEVICE_CANNOT", c.call, "KEY_SEAL_NEW", u16(2) + u16(1) + u32(4) + by_index(1, 2), "vv")
    for broken in (u32(3) + b"abc", u32(0xffffffff), u32(26) + u16(0x10) + u16(1) + u32(0) + bytes(16) + b"xx"):
        x = b.client()
        x.sock.sendall(broken)
        assert x.receive()["status"] == E["DEVICE_FRAME"]
        x.close()
    x = b.client()
    x.sock.sendall(u32(1000) + b"half")
    x.close()
    assert len(c.call("RANDOM", u32(5), "v")) == 5


def libsdf_over_backend(b, device):
    """A customer's libsdf on the backend: the same tool that tests a vendor's library finds nothing wrong with ours."""
    env = dict(os.environ, FENGNI_DEVICE_SOCKET=b.socket, FENGNI_LANG="en")
    words = [PROGRAM, "--probe", "--lib", LIBRARY, "--kek", "1", "--key", "1", "--password-file", os.path.join(b.home, "password")]
    report = json.loads(subprocess.run(words + ["--json"], env=env, check=True, capture_output=True).stdout)
    assert report["bad"] == 0 and report["profile_guess"] == "gm2023", report
    assert {t["test"]: t["result"] for t in report["tests"]}["sm4-gcm"] == "good"
    assert "SM2 sign" in subprocess.run(words, env=env, check=True, capture_output=True).stdout.decode()
    env["FENGNI_DEVICE_SOCKET"] = "/nonexistent"
    assert subprocess.run(words, env=env, capture_output=True).returncode == 1
    assert subprocess.run([PROGRAM, "--probe", "--lib", "/nonexistent.so"], env=env, capture_output=True).returncode == 1
    assert subprocess.run([PROGRAM, "--probe", "--lib", LIBRARY, "--profile", "none"], env=env, capture_output=True).returncode == 2


def main():
    with Device() as device, tempfile.TemporaryDirectory(prefix="fengni-backend-") as home:
        device.manage("key.create_index", index=1, password=PASSWORD)
        device.manage("key.create_index", index=2)
        device.manage("kek.create", index=1)
        with open(os.path.join(home, "password"), "w") as f:
            f.write(PASSWORD + "\n")
        b = Backend(device, home)
        try:
            run(b, device)
            b.end()
        finally:
            if b.process.poll() is None:
                b.kill()
        # Without the KEK that protects it the store does not open.
        other = subprocess.run([PROGRAM, "--backend", LIBRARY, "--profile", "gm2023", "--socket", b.socket, "--dir",
                                os.path.join(home, "state"), "--kek", "2"], capture_output=True,
                               env=dict(os.environ, FENGNI_DEVICE_SOCKET=device.socket, FENGNI_LANG="en"))
        assert other.returncode == 1


def run(b, device):
    c = b.client()
    levels = json.loads(c.call("CAPABILITIES", b"", "v"))
    assert (levels["SIGN"], levels["KEY_NEW"], levels["KEY_SEAL_NEW"]) == ("native", "emulated", "no")
    native(c)
    print("ok native")
    stored(b, c)
    print("ok stored keys and anchors")
    c = b.client()
    bad_input(b, c)
    print("ok bad input")
    libsdf_over_backend(b, device)
    print("ok delivery test")
    device.restart(kill=True)  # the vendor's device goes away and comes back
    assert len(b.client().call("RANDOM", u32(5), "v")) == 5


if __name__ == "__main__":
    main()
