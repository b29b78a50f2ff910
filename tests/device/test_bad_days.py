"""Malformed frames, wrong states, limits, stalled clients, kill -9, second device, confinement: nothing is lost and only the
guilty suffer."""
import random
import re
import subprocess
import sys
import threading

from device_client import *

SEED = int(os.environ.get("FENGNI_TEST_SEED", time.time_ns() % 1000000))
print("seed", SEED)
rng = random.Random(SEED)


def closed(client):
    try:
        while client.sock.recv(65536):
            pass
        return True
    except ConnectionError:
        return True


def malformed(d):
    key, _, _ = d.client().key_new(label="malformed")
    for data, name in ((u32(3) + b"abc", "DEVICE_FRAME"), (u32(1 << 21) + bytes(100), "DEVICE_FRAME"),
                       (u32(0xffffffff) + bytes(100), "DEVICE_FRAME")):
        c = d.client()
        c.sock.sendall(data)
        r = c.receive()
        assert r["status"] == E[name], r
        assert closed(c)
    good = by_uuid(key) + u32(GCM) + var(b"") + var(b"aad") + var(b"data")
    # Every cut and every lengthened form of a good item is a malformed frame; a wrong length inside as well.
    bad = [good[:n] for n in range(len(good))] + [good + b"x", u32(0xffffffff) + good[4:], good[:-8] + u32(5) + b"data"]
    for items in bad:
        c = d.client()
        r = c.raw("AEAD_ENCRYPT", items)
        assert r["status"] == E["DEVICE_FRAME"], (items, r)
        assert closed(c)
    c = d.client()
    for op, count, name in ((0x7777, 1, "DEVICE_OPERATION"), (0x100, 1, "DEVICE_OPERATION"), ("AEAD_ENCRYPT", 0, "DEVICE_VECTOR"),
                            ("AEAD_ENCRYPT", 4097, "DEVICE_VECTOR"), ("KEY_NEW", 2, "DEVICE_VECTOR"), ("HELLO", 0, "DEVICE_VECTOR")):
        r = c.raw(op, good, count)
        assert r["status"] == E[name], (op, count, r)
    r = c.raw("RANDOM", u32(32), session=0x10001)
    assert r["status"] == E["NOT_FOUND"]
    refused("VERSION", c.call, "HELLO", u32(99), "WWWWUWvv")
    # Key references that are none.
    for ref in (b"", b"\0", b"\1", b"\1" + bytes(19), b"\1" + bytes(21), b"\2\0\0\0\1", b"\3" + bytes(8), b"\4junk", b"\5" + u32(3) + bytes(63),
                b"\5" + u32(1) + bytes(16), b"\5" + u32(77), b"\6"):
        r = c.raw("SIGN", var(ref) + bytes(32))
        assert r["status"] == 0 and Cursor(r["items"]).u32() != 0, ref
    refused("TOO_LARGE", c.call, "RANDOM", u32(0xffffffff), "v")
    c.call("RANDOM", u32(32), "v")
    # Random bytes, whole and in the middle of good frames: the device lives.
    for _ in range(150):
        c = d.client()
        frame = bytearray(c.frame(rng.choice(list(OPS)), rng.randbytes(rng.randrange(200)), rng.randrange(4)))
        for _ in range(rng.randrange(4)):
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        c.sock.sendall(frame)
        c.close()
    d.client().hello()


def pieces(d):
    """Frames that arrive byte by byte, and many in one piece, are the same frames."""
    c = d.client()
    for byte in c.frame("HASH", u32(SM3) + var(b"abc")):
        c.sock.sendall(bytes([byte]))
    assert c.receive()["status"] == 0
    c.sock.sendall(b"".join(c.frame("HASH", u32(SM3) + var(b"%d" % i)) for i in range(3000)))
    assert all(c.receive()["status"] == 0 for _ in range(3000))
    big = os.urandom((1 << 20) - 100)
    key, _, _ = c.key_new(label="big")
    n, ct, tag, _ = c.call("AEAD_ENCRYPT", by_uuid(key) + u32(GCM) + var(b"") + var(b"") + var(big), "vvvW")
    assert c.call("AEAD_DECRYPT", by_uuid(key) + u32(GCM) + var(n) + var(b"") + var(tag) + var(ct), "v") == big
    out = c.many("HASH", [u32(SM3) + var(b"x")] * 4096, "v")
    assert len(out) == 4096


def ordering(d):
    """Requests of one session in order, also behind one that waits for the disk."""
    c = d.client()
    s = c.session()
    ids = [os.urandom(16) for _ in range(60)]
    for i in range(20):
        c.send("ANCHOR_SET", var("order") + u64(i) + u64(i + 1) + bytes(32), 1, s, ids[3 * i])
        c.send("ANCHOR_GET", var("order") + bytes(32), 1, s, ids[3 * i + 1])
        c.send("FILE_READ", var("none") + u32(0) + u32(1), 1, s, ids[3 * i + 2])
    for i in range(60):
        r = c.receive()
        assert r["id"] == ids[i], "order"
        if i % 3 == 0:
            assert r["status"] == 0, r
        if i % 3 == 1:
            cursor = Cursor(r["items"])
            cursor.u32(), cursor.var()
            assert cursor.u64() == i // 3 + 1


def stalled(d):
    """A client that sends and never reads harms only itself."""
    key, _, _ = d.client().key_new(label="stalled")
    bad = d.client()
    bad.sock.setblocking(False)
    frame = bad.frame("RANDOM", u32(65536))
    sent = 0
    try:
        while sent < 64 << 20:
            sent += bad.sock.send(frame * 1000)
    except BlockingIOError:
        pass
    c = d.client()
    start = time.time()
    for _ in range(50):
        c.call("AEAD_ENCRYPT", by_uuid(key) + u32(GCM) + var(b"") + var(b"") + var(b"m"), "vvvW")
    assert time.time() - start < 5
    with open("/proc/%d/status" % d.process.pid) as f:
        rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    assert rss < 400 * 1024 or os.environ.get("FENGNI_SANITIZED") == "1", rss
    # It gets all of its answers when it reads at last.
    bad.sock.setblocking(True)
    bad.sock.settimeout(20)
    whole = sent // len(frame)
    for _ in range(min(whole, 200)):
        assert bad.receive()["status"] == 0
    bad.close()


def idle(d):
    """Idle connections cost little memory."""
    def rss():
        with open("/proc/%d/status" % d.process.pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    import resource
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200, 10000)
    before = rss()
    connections = []
    for _ in range(most):
        s = socket.socket(socket.AF_UNIX)
        s.connect(d.socket)
        connections.append(s)
    wait_until(lambda: d.manage("status")["connections"] >= most)
    each = (rss() - before) * 1024 / most
    print("idle connections %d, %.0f bytes each" % (most, each))
    assert each < 4096
    d.client().hello()
    for s in connections:
        s.close()
    wait_until(lambda: d.manage("status")["connections"] < 50)


def passwords(d):
    d.manage("key.create_index", index=7, half="sign", password="right password")
    c = d.client()
    for _ in range(3):
        refused("KEY_PASSWORD", c.call, "ACCESS_TAKE", u32(7) + var("wrong password"))
    c.call("ACCESS_TAKE", u32(7) + var("right password"))
    for i in range(8):
        refused("KEY_PASSWORD", c.call, "ACCESS_TAKE", u32(7) + var("wrong password"))
        if i == 4:  # the count survives
            d.restart(kill=True)
            c = d.client()
    refused("KEY_RETRY_LOCK", c.call, "ACCESS_TAKE", u32(7) + var("right password"))
    uuid = json.loads(c.call("KEY_INFO", by_index(7), "v"))["uuid"]
    d.manage("key.password_reset", uuid=uuid)
    c.call("ACCESS_TAKE", u32(7) + var("right password"))
    refused("KEY_PASSWORD", c.call, "ACCESS_TAKE", u32(7) + var("short"))
    refused("KEY_RIGHT", c.call, "ACCESS_TAKE", u32(0) + var("any password"))


def repeats(d):
    """A repeat of a request id gets the first result, also after kill -9."""
    c = d.client()
    rid = os.urandom(16)
    first = c.key_new(label="repeat", request_id=rid)
    assert c.key_new(label="repeat", request_id=rid) == first
    refused("EXISTS", c.key_new, label="repeat")
    anchor = os.urandom(16)
    receipt = c.call("ANCHOR_SET", var("repeat") + u64(0) + u64(1) + bytes(32), "v", request_id=anchor)
    doomed = c.key_new(label="doomed")[0]
    death = os.urandom(16)
    statement = c.call("KEY_DESTROY", doomed + u32(0), "vv", request_id=death)
    d.restart(kill=True)
    c = d.client()
    assert c.key_new(label="repeat", request_id=rid) == first
    assert c.call("ANCHOR_SET", var("repeat") + u64(0) + u64(1) + bytes(32), "v", request_id=anchor) == receipt
    assert c.call("KEY_DESTROY", doomed + u32(0), "vv", request_id=death) == statement
    refused("DEVICE_FRAME", c.call, "ANCHOR_SET", var("repeat") + u64(1) + u64(2) + bytes(32), "v", request_id=rid)


def kills(d, rounds):
    """kill -9 in the middle of changes: what was acknowledged is there, what was destroyed stays destroyed."""
    keys, anchors, destroyed, lock = {}, {}, set(), threading.Lock()

    def worker(number, stop):
        try:
            c = d.client()
            while not stop.is_set():
                name = "k%d-%d" % (number, rng.randrange(1 << 40))
                uuid, _, _ = c.key_new(label=name)
                with lock:
                    keys[name] = uuid
                anchor = "a%d" % number
                old = anchors.get(anchor, 0)
                try:
                    c.call("ANCHOR_SET", var(anchor) + u64(old) + u64(old + 1) + bytes(32), "v")
                    anchors[anchor] = old + 1
                except DeviceError as e:
                    if e.status != E["ANCHOR_OLD"]:
                        raise
                    anchors[anchor] = c.call("ANCHOR_GET", var(anchor) + bytes(32), "vQDv")[1]
                    assert anchors[anchor] == old + 1
                if rng.randrange(3) == 0:
                    with lock:
                        victim = rng.choice(list(set(keys) - destroyed) or [name])
                    try:
                        c.call("KEY_DESTROY", keys[victim] + u32(0), "vv")
                    except DeviceError as e:
                        if e.status != E["DEVICE_BUSY"]:
                            raise
                        continue
                    with lock:
                        destroyed.add(victim)
        except (ConnectionError, OSError):
            pass
    for _ in range(rounds):
        stop = threading.Event()
        threads = [threading.Thread(target=worker, args=(i, stop)) for i in range(6)]
        for t in threads:
            t.start()
        time.sleep(0.3 + rng.random() * 0.4)
        d.kill()
        stop.set()
        for t in threads:
            t.join()
        d.start()
        c = d.client()
        for name, uuid in keys.items():
            item = by_uuid(uuid) + u32(GCM) + var(b"") + var(b"") + var(b"m")
            try:
                c.call("AEAD_ENCRYPT", item, "vvvW")
                assert name not in destroyed, "a destroyed key came back"
            except DeviceError as e:
                # One may be destroyed without the worker having heard of it; lost it may not be.
                assert e.status == E["KEY_DESTROYED"], e
                destroyed.add(name)
        for name, counter in anchors.items():
            now = c.call("ANCHOR_GET", var(name) + bytes(32), "vQDv")[1]
            assert now in (counter, counter + 1), "anchor went back"
            anchors[name] = now
    print("keys %d, destroyed %d, anchors %d, lost 0" % (len(keys), len(destroyed), sum(anchors.values())))
    assert len(keys) > 20 and destroyed


def second_device(d):
    other = subprocess.run(d.command(), env=dict(os.environ, FENGNI_LANG="en"), stderr=subprocess.PIPE, timeout=60)
    assert other.returncode == 1 and b"E306" in other.stderr, other.stderr
    d.client().hello()


def separation(d):
    """Another uid: not a client unless registered, and never a manager."""
    if os.geteuid() != 0:
        print("skipped: separation needs root")
        return
    code = """
import sys; sys.path.insert(0, %r)
import os; os.setgid(65534); os.setuid(65534)
from device_client import *
c = Client(%r)
try:
    c.call("RANDOM", u32(16), "v")
except DeviceError as e:
    print("refused", e.status)
else:
    print("served")
for path in (%r, %r):
    try:
        open(path).read(); print("read")
    except PermissionError:
        print("no")
try:
    m = Client(%r); m.manage("status"); print("managed")
except (PermissionError, ConnectionError):
    print("no")
try:
    os.listdir(%r); print("listed")
except PermissionError:
    print("no")
""" % (os.path.dirname(os.path.abspath(__file__)), d.socket, "/proc/%d/maps" % d.process.pid, d.key_file, d.management, d.dir)

    def run():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        return done.stdout.split()
    assert run() == ["refused", str(E["DEVICE_CLIENT"]), "no", "no", "no", "no"]
    d.manage("client.add", uid=65534, application="stranger")
    assert run()[0] == "served"
    # A key of one application is not another's.
    key = d.client().key_new(label="mine")[0]
    d.manage("client.remove", uid=65534)
    assert run()[:2] == ["refused", str(E["DEVICE_CLIENT"])]
    assert key


def states():
    with Device(init=False) as d:
        c = d.client()
        assert c.hello()[5] == 1
        assert json.loads(c.call("STATUS", b"", "v"))["state"] == "INITIAL"
        refused("DEVICE_STATE", c.call, "RANDOM", u32(16), "v")
        refused("DEVICE_STATE", d.manage, "client.list")
        d.manage("init", unattended=True)
        refused("DEVICE_STATE", d.manage, "init", unattended=True)
        c.call("RANDOM", u32(16), "v")
        refused("NOT_FOUND", d.manage, "no such verb")
        for body in (b"{", b"[]", b'{"a":1,"a":2}', b'{"a":"\xff"}', b'{"a":1}x', b"{" + b'"a":[' * 20, b'{"uid":1.5}', b"null", b'{"uid":01}'):
            with d.manager() as m:
                r = m.raw("MANAGE", var("client.add") + var(body))
                assert r["status"] in (E["FORMAT"], E["ARGUMENT"], E["TOO_LARGE"], E["ENCODING"]), (body, r)
        # The key file gone: it does not start; back again: it does.
        d.stop()
        os.rename(d.key_file, d.key_file + ".away")
        try:
            d.start()
            raise AssertionError("started without its key file")
        except RuntimeError as e:
            assert "E6" in str(e) or "E303" in str(e), e
        os.rename(d.key_file + ".away", d.key_file)
        os.chmod(d.key_file, 0o644)
        try:
            d.start()
            raise AssertionError("started with a key file that everybody can read")
        except RuntimeError as e:
            assert "E303" in str(e), e
        os.chmod(d.key_file, 0o400)
        d.start()
        assert d.manage("status")["state"] == "READY"


def own_uid():
    """Started as root: a uid of its own, nothing of it readable for others, and status says so."""
    if os.geteuid() != 0:
        print("skipped: a uid of its own needs root")
        return
    with Device(uid=54321, clients=[{"uid": 0, "application": "cases"}]) as d:
        assert d.manage("status")["separation"] == "strong"
        assert re.search(r"Uid:\s+54321\s+54321\s+54321\s+54321", open("/proc/%d/status" % d.process.pid).read())
        assert os.stat(d.dir).st_uid == 54321 and os.stat(d.dir).st_mode & 0o777 == 0o700
        assert os.stat(d.key_file).st_uid == 0 and os.stat(d.key_file).st_mode & 0o777 == 0o400
        key = d.client().key_new(label="kept")[0]
        d.restart(kill=True)
        assert d.client().call("KEY_FIND", var("kept"), "UW") == [key, 1]
        if os.environ.get("FENGNI_SANITIZED") != "1":
            status = d.manage("status")
            assert status["seccomp"], status
        limits = open("/proc/%d/limits" % d.process.pid).read()
        assert re.search(r"Max core file size\s+0", limits)


def shutdown(d):
    d.manage("shutdown")
    assert d.process.wait(timeout=30) == 0, d.errors()
    d.start()
    assert d.manage("status")["last_stop_clean"] is True


states()
own_uid()
with Device() as d:
    for part in (idle, malformed, pieces, ordering, stalled, passwords, repeats, second_device, separation, shutdown):
        start = time.time()
        part(d)
        print("ok %s %.1f s" % (part.__name__, time.time() - start), flush=True)
with Device() as d:
    kills(d, int(os.environ.get("FENGNI_TEST_KILLS", "3")))
    print("ok kills")
    assert d.manage("log.verify")["records"] > 20
