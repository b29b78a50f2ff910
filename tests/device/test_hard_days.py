"""A stored key altered, the disk full or read-only, the clock set back, a disk that does not keep up, two applications."""
import mmap
import subprocess
import sys

from device_client import *

HERE = os.path.dirname(os.path.abspath(__file__))


def encrypts(c, key, session=0):
    return c.call("AEAD_ENCRYPT", by_uuid(key) + u32(GCM) + var(b"") + var(b"") + var(b"m"), "vvvW", session=session)


def state(d): return d.manage("status")["state"]


# ---- a stored record altered ----

def spoil(d, key):
    """Flips a byte of this key's record in the newest base (src/device/store_parts.h); twice restores it."""
    store = os.path.join(d.dir, "store")
    newest = max((n for n in os.listdir(store) if n.startswith("base.") and n[5:].isdigit()), key=lambda n: int(n[5:]))
    with open(os.path.join(store, newest), "r+b") as f:
        header = f.read(128)
        count = struct.unpack(">Q", header[64:72])[0]
        entry = next(e for e in (f.read(64) for _ in range(count)) if e[0] == 2 and e[1:17] == key)
        at = 128 + 64 * count + 32 + struct.unpack(">Q", entry[54:62])[0] + 20
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 1]))


def settled(store):
    """Waits until a new base was written and no other follows."""
    names, since = None, time.time()
    while "base.0" in (names or ["base.0"]) or "base.new" in names or time.time() - since < 1.5:
        now = [n for n in os.listdir(store) if n.startswith("base.")]
        if now != names:
            names, since = now, time.time()
        time.sleep(0.05)


def altered():
    with Device() as d:
        c = d.client()
        keys = [c.key_new()[0] for _ in range(50)]
        for i in range(4):  # more than a mebibyte of changes: a new base is written
            c.call("FILE_CREATE", var("big %d" % i) + u32(700000))
        settled(os.path.join(d.dir, "store"))
        wait_until(lambda: d.manage("status")["self_test"]["service"] == "good")
        assert d.manage("self_test")["state"] == "READY"
        spoil(d, keys[7])
        refused("DEVICE_EXCEPTION", d.manage, "self_test")
        assert state(d) == "EXCEPTION"
        status = d.manage("status")
        assert status["self_test"]["keys"] == "bad" and status["self_test"]["detail"], status
        refused("DEVICE_EXCEPTION", c.call, "RANDOM", u32(16), "v")
        refused("DEVICE_EXCEPTION", encrypts, c, keys[0])
        refused("DEVICE_EXCEPTION", d.manage, "self_test")  # nothing was repaired
        # Found by itself after a start as well.
        d.restart()
        wait_until(lambda: state(d) == "EXCEPTION", 30)
        spoil(d, keys[7])
        status = d.manage("self_test")
        assert status["state"] == "READY" and status["self_test"]["keys"] == "good", status
        for key in keys:
            encrypts(d.client(), key)
        # With --full-self-test service does not even begin.
        d.stop()
        spoil(d, keys[7])
        plain = d.command
        d.command = lambda: plain() + ["--full-self-test"]
        d.start()
        assert state(d) == "EXCEPTION" and d.client().hello()[5] == 4
        d.stop()
        spoil(d, keys[7])
        d.start()
        assert state(d) == "READY"
        assert d.manage("log.verify")["records"] > 50


# ---- two applications, each under its uid ----

def as_uid(d, uid, code):
    program = "import sys\nsys.path.insert(0, %r)\nfrom device_client import *\nc = Client(%r)\n%s" % (HERE, d.socket, code)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, user=uid, group=uid, extra_groups=[])
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def owners():
    if os.geteuid() != 0:
        print("skipped: two uids need root")
        return
    clients = [{"uid": 0, "application": "cases"}, {"uid": 65534, "application": "reports"},
               {"uid": 65533, "tenant": "elsewhere", "application": "cases"}]
    with Device(clients=clients) as d:
        c = d.client()
        mine, shared = c.key_new(label="mine")[0], c.key_new(label="shared", apps="reports")[0]
        c.call("ANCHOR_SET", var("head") + u64(0) + u64(1) + bytes(32), "v")
        code = """
def attempt(call, *a):
    try:
        call(*a); print(0)
    except DeviceError as e:
        print(e.status)
key, other = bytes.fromhex(%r), bytes.fromhex(%r)
item = lambda k: by_uuid(k) + u32(GCM) + var(b"") + var(b"") + var(b"m")
attempt(c.call, "AEAD_ENCRYPT", item(key), "vvvW")
attempt(c.call, "KEY_INFO", by_uuid(key), "v")
attempt(c.call, "AEAD_ENCRYPT", item(other), "vvvW")
attempt(c.call, "KEY_DESTROY", key + u32(0), "vv")
attempt(c.call, "KEY_DESTROY", other + u32(0), "vv")
attempt(c.call, "KEY_ROTATE", other, "Wv")
attempt(c.call, "ANCHOR_SET", var("head") + u64(1) + u64(2) + bytes(32), "v")
""" % (mine.hex(), shared.hex())
        owner, missing, none = str(E["KEY_OWNER"]), str(E["KEY_NOT_FOUND"]), "0"
        assert as_uid(d, 65534, code) == [owner, owner, none, owner, owner, owner, str(E["ANCHOR_OWNER"])]
        assert as_uid(d, 65533, code) == [missing] * 6 + [str(E["ANCHOR_OLD"])]  # another tenant: not even there
        encrypts(c, mine), encrypts(c, shared)


# ---- the disk ----

def mount(*words): subprocess.run(["mount", *words], check=True, capture_output=True)


def full_disk():
    """Inside a mount namespace of its own."""
    with Device(init=False) as d:
        d.stop()
        mount("-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", d.dir)
        os.unlink(d.key_file)
        d.start()
        d.manage("init", unattended=True)
        c = d.client()
        keys = {"before %d" % i: c.key_new(label="before %d" % i)[0] for i in range(20)}
        texts = {name: encrypts(c, key) for name, key in keys.items()}  # and their uses are reserved
        filler = os.path.join(d.dir, "filler")

        def fill():
            with open(filler, "ab", buffering=0) as f:
                for size in (1 << 20, 4096, 1):
                    try:
                        while True:
                            f.write(bytes(size))
                    except OSError:
                        pass

        for round in range(2):
            fill()
            made, first = {}, None
            for i in range(300):  # what is left of the last page may still take a few
                try:
                    name = "full %d %d" % (round, i)
                    made[name] = c.key_new(label=name)[0]
                except DeviceError as e:
                    first = first or e
                    assert e.status == E["DISK_FULL"], e
            assert first, "the disk was not full"
            counter, fits = 0, True
            while fits:  # smaller: what is left may take a few of these
                assert counter < 300, "the disk was not full"
                try:
                    c.call("ANCHOR_SET", var("full %d" % round) + u64(counter) + u64(counter + 1) + bytes(32), "v")
                    counter += 1
                except DeviceError as e:
                    assert e.status == E["DISK_FULL"], e
                    fits = False
            keys.update(made)
            for name, key in keys.items():
                assert c.call("KEY_FIND", var(name), "UW") == [key, 1]
            for name, (n, ct, tag, _) in texts.items():
                assert c.call("AEAD_DECRYPT", by_uuid(keys[name]) + u32(GCM) + var(n) + var(b"") + var(tag) + var(ct), "v") == b"m"
                encrypts(c, keys[name])
            assert state(d) == "READY"
            os.unlink(filler)
            # The same device, without a restart; what was acknowledged is there, what was refused is not.
            if counter:
                assert c.call("ANCHOR_GET", var("full %d" % round) + bytes(32), "vQDv")[1] == counter
            else:
                refused("NOT_FOUND", c.call, "ANCHOR_GET", var("full %d" % round) + bytes(32), "vQDv")
            keys["after %d" % round] = c.key_new(label="after %d" % round)[0]
        time.sleep(1.5)
        assert d.manage("log.verify")["records"] > 40
        fill()
        d.kill()  # and a crash on a full disk
        os.unlink(filler)
        d.start()
        c = d.client()
        for name, key in keys.items():
            assert c.call("KEY_FIND", var(name), "UW") == [key, 1]
            encrypts(c, key)
        refused("KEY_NOT_FOUND", c.call, "KEY_FIND", var("full 1 299"), "UW")
        log = open(os.path.join(d.dir, "log", "device.fnlog"), "rb").read()
        assert b'"log.lost"' in log
        print("ok full disk", flush=True)
        d.stop()
        mount("-o", "remount,ro", d.dir)
        try:
            d.start()
            raise AssertionError("started on a read-only disk")
        except RuntimeError as e:
            assert "E9" in str(e) or "E10" in str(e) or "E11" in str(e) or "E12" in str(e) or "E3" in str(e), e
            print("read-only:", str(e).strip().splitlines()[0][-90:])
        mount("-o", "remount,rw", d.dir)
        d.start()
        assert d.client().call("KEY_FIND", var("before 0"), "UW") == [keys["before 0"], 1]
        print("ok read-only disk", flush=True)
        d.stop()
        subprocess.run(["umount", d.dir])


def disks():
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        print("skipped: a small disk needs root")
        return
    done = subprocess.run(["unshare", "-m", "--propagation", "private", sys.executable, os.path.abspath(__file__), "disk"])
    assert done.returncode == 0


# ---- the clock, and a disk that does not keep up: a library preloaded into the device ----

class Preloaded(Device):
    def __init__(self, **more):
        self.tools = tempfile.mkdtemp(prefix="fengni-test-")
        library, path = os.path.join(self.tools, "preload.so"), os.path.join(self.tools, "control")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, os.path.join(HERE, "preload.c")], check=True)
        open(path, "wb").write(bytes(4096))
        with open(path, "r+b") as f:
            self.control = mmap.mmap(f.fileno(), 4096)
        self.preload = dict(LD_PRELOAD=":".join(sanitizer() + [library]), FENGNI_TEST_CONTROL=path)
        super().__init__(**more)

    def start(self):
        plain, os.environ = os.environ, dict(os.environ, **self.preload)
        try:
            super().start()
        finally:
            os.environ = plain

    def set(self, step_s=0, hold=0):
        self.control[0:16] = struct.pack("=qq", step_s, hold)

    def __exit__(self, *error):
        self.set()
        super().__exit__(*error)
        shutil.rmtree(self.tools)


def sanitizer():
    """A sanitized program wants its runtime in front of everything."""
    program = os.path.join(os.environ.get("FENGNI_BIN", "build/debug"), "fengni-device")
    linked = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return [line.split("=>")[1].split()[0] for line in linked.splitlines() if "libasan" in line]


def records(d):
    data, at, out = open(os.path.join(d.dir, "log", "device.fnlog"), "rb").read(), 0, []
    while at + 21 <= len(data):
        n = struct.unpack(">I", data[at:at + 4])[0]
        out.append(json.loads(data[at + 21:at + 21 + n]))
        at += 53 + n
    return out


def clock():
    with Preloaded() as d:
        c = d.client()
        rid = os.urandom(16)
        first = c.key_new(label="clock", request_id=rid)
        nonces = {encrypts(c, first[0])[0] for _ in range(200)}
        for n, step in enumerate((-7200, -7200 - 86400 * 400, 3600)):
            d.set(step_s=step)
            nonces |= {encrypts(c, first[0])[0] for _ in range(200)}
            wait_until(lambda: sum(r["ev"] == "clock.step" for r in records(d)) == n + 1)
            assert c.key_new(label="clock", request_id=rid) == first, "a repeat was done again"
            refused("EXISTS", c.key_new, label="clock")
        assert len(nonces) == 800
        steps = [r["step_ms"] for r in records(d) if r["ev"] == "clock.step"]
        assert [round(s / 3600000) for s in steps] == [-2, -9600, 9603], steps
        # Also over a start: what seems to come from the future is remembered.
        d.set(step_s=-7200)
        d.restart(kill=True)
        time.sleep(11)  # a round of forgetting
        c = d.client()
        assert c.key_new(label="clock", request_id=rid) == first
        encrypts(c, first[0])
        assert d.manage("log.verify")["records"] > 5


def overload():
    """The disk stands still: changes queue up to a limit, then BUSY; reads and other work go on; libsdf waits, then gives up."""
    with Preloaded() as d:
        c = d.client()
        key = c.key_new(label="overload")[0]
        encrypts(c, key)
        clients = [d.client() for _ in range(12)]
        ids = []
        d.set(hold=1)
        for n, other in enumerate(clients):  # each its sessions, so that none waits behind another
            for i in range(500):
                session = other.session() if i < 5 else 0
                rid = os.urandom(16)
                ids.append((other, rid, n, i))
                other.sessions = getattr(other, "sessions", []) + ([session] if session else [])
        for other in clients:
            while len(other.sessions) < 500:
                other.sessions.append(other.session())
        for other, rid, n, i in ids:
            other.send("ANCHOR_SET", var("o %d %d" % (n, i)) + u64(0) + u64(1) + bytes(32), 1, other.sessions[i], rid)
        busy = {}

        def reap(count):
            for other in clients:
                other.sock.settimeout(0.3)
                try:
                    while True:
                        r = other.receive()
                        assert r["status"] in (0, E["DEVICE_BUSY"]), r
                        if r["status"]:
                            assert 0 < r["retry"] <= 1000
                            busy[r["id"]] = True
                        else:
                            count[0] += 1
                except TimeoutError:
                    pass
        done = [0]
        reap(done)
        assert busy and done[0] == 0, (len(busy), done)
        print("changes refused as BUSY: %d of %d" % (len(busy), len(ids)))
        e = refused("DEVICE_BUSY", c.call, "ANCHOR_SET", var("late") + u64(0) + u64(1) + bytes(32), "v")
        assert e.retry_ms > 0
        encrypts(c, key)  # what changes nothing is served
        assert d.manage("status")["state"] == "READY"
        took, code = sdf(d)
        assert code == 0x01000003 and 8 < took < 20, (took, hex(code))  # SDR_COMMFAIL after timeout_ms
        # The disk moves again while a call waits: it goes through.
        import threading
        threading.Timer(3, d.set).start()
        took, code = sdf(d)
        assert code == 0 and 2 < took < 10, (took, hex(code))
        reap(done)
        assert done[0] == len(ids) - len(busy), (done, len(busy))
        for other, rid, n, i in ids:
            got = c.raw("ANCHOR_GET", var("o %d %d" % (n, i)) + bytes(32))["status"]
            assert got == (E["NOT_FOUND"] if rid in busy else 0)


def sdf(d):
    """SDF_CreateFile through libsdf.so in a process of its own: (seconds, result)."""
    library = os.path.join(os.path.abspath(os.environ.get("FENGNI_BIN", "build/debug")), "libsdf.so")
    code = """
import ctypes, time, os
sdf = ctypes.CDLL(%r)
device, session = ctypes.c_void_p(), ctypes.c_void_p()
assert sdf.SDF_OpenDevice(ctypes.byref(device)) == 0
assert sdf.SDF_OpenSession(device, ctypes.byref(session)) == 0
name = os.urandom(8).hex().encode()
start = time.time()
print(sdf.SDF_CreateFile(session, name, len(name), 100) & 0xffffffff, time.time() - start)
""" % library
    env = dict(os.environ, FENGNI_DEVICE_SOCKET=d.socket, LD_PRELOAD=":".join(sanitizer()), ASAN_OPTIONS="detect_leaks=0")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    code, took = done.stdout.split()
    return float(took), int(code)


if sys.argv[1:] == ["disk"]:
    full_disk()
    sys.exit()
for part in (altered, owners, disks, clock, overload):
    if sys.argv[1:] and part.__name__ not in sys.argv[1:]:
        continue
    start = time.time()
    part()
    print("ok %s %.1f s" % (part.__name__, time.time() - start), flush=True)
