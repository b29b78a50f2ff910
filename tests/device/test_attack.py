"""What a client that means ill, or only one that sends a great deal, must not be able to do."""
from device_client import *
import resource
import subprocess
import threading


def pipelined(c, frames, answers):
    """Sends from a thread, so that both directions flow."""
    sender = threading.Thread(target=c.sock.sendall, args=(b"".join(frames),), daemon=True)
    sender.start()
    out = [c.receive() for _ in range(answers)]
    sender.join()
    return out


def turns(d):
    """A connection that had to let others go first is read again afterwards."""
    c = d.client()
    key, _, _ = c.key_new()
    c.call("PART_START", u8(1) + by_uuid(key) + u32(CTR) + var(bytes(16)) + var(b"") + u64(0) + var(b""))
    for r in pipelined(c, [c.frame("PART_UPDATE", u8(1) + var(bytes(60000))) for _ in range(40)], 40):
        assert r["status"] == 0
    c.call("HASH", u32(SM3) + var(b"x"), "v")


def closed_behind_a_change(d):
    """Requests that wait behind a change when their session is closed are answered too."""
    c = d.client()
    for _ in range(5):
        s = c.session()
        c.send("ANCHOR_SET", var(os.urandom(8).hex()) + u64(0) + u64(1) + bytes(32), 1, s)
        c.send("SESSION_CLOSE", b"", 1, s)
        for _ in range(300):
            c.send("HELLO", u32(1), 1, s)
        assert c.receive()["status"] == 0
        assert c.receive()["status"] == 0
        for _ in range(300):
            assert c.receive()["status"] == E["NOT_FOUND"]


def memory(d):
    with open("/proc/%d/status" % d.process.pid) as f:
        return int(next(line for line in f if line.startswith("VmHWM")).split()[1]) >> 10


def deferred(d):
    """What waits behind a change is worked off a turn at a time: small requests cannot ask for gigabytes at once."""
    c = d.client()
    name, size = os.urandom(8).hex(), 1000000
    c.call("FILE_CREATE", var(name) + u32(size))
    before = memory(d)
    s = c.session()
    frames = [c.frame("ANCHOR_SET", var(name) + u64(0) + u64(1) + bytes(32), 1, s)]
    frames += [c.frame("FILE_READ", var(name) + u32(0) + u32(size), 1, s) for _ in range(1000)]
    c.sock.sendall(b"".join(frames))
    wait_until(lambda: d.client().hello())
    time.sleep(1)
    assert memory(d) - before < 700, "%d MiB" % (memory(d) - before)
    for _ in range(1001):
        assert c.receive()["status"] == 0
    c.call("FILE_DELETE", var(name))


def as_stranger(what):
    """Runs in a process of a user who is no client; what it returns comes back as a status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        os.setgid(4000)
        os.setuid(4000)
        os._exit(0 if what() else 1)
    except BaseException as e:
        print(e)
        os._exit(2)


def strangers(d):
    """Who is no client takes neither the memory nor the connections of those who are."""
    if os.getuid() != 0:
        return print("not root: skipped")

    def attack():
        one = d.client()
        one.sock.sendall(u32(1 << 20) + bytes(100000))
        if one.receive()["status"] != E["DEVICE_CLIENT"]:
            return False
        resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
        held = []
        for _ in range(3000):
            try:
                held.append(d.client())
                held[-1].sock.sendall(b"\0")
            except OSError:
                pass
        return True

    assert as_stranger(attack) == 0
    counted = d.manage("status")["connections"]
    assert counted < 1200, counted


def renamed(d):
    """A connection whose user became another application keeps nothing of what it was."""
    if os.getuid() != 0:
        return print("not root: skipped")
    d.manage("client.add", uid=4001, tenant="first", application="a")
    read_fd, write_fd = os.pipe()
    back_read, back_write = os.pipe()
    child = os.fork()
    if not child:
        os.setgid(4001)
        os.setuid(4001)
        c = d.client()
        c.call("HELLO", u32(1), "WWWWUWvv")
        os.write(write_fd, b"1")
        os.read(back_read, 1)
        r = c.raw("HELLO", u32(1))
        os._exit(0 if r["status"] == E["DEVICE_CLIENT"] else 1)
    os.read(read_fd, 1)
    d.manage("client.add", uid=4001, tenant="second", application="b")
    os.write(back_write, b"1")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def stops(d):
    """A stop in the middle of changes is clean, and what was answered stands."""
    for round in range(6):
        c = d.client()
        keys = [c.key_new()[0] for _ in range(40)]
        sessions = [c.session() for _ in range(20)]
        ids = {os.urandom(16): key for key in keys}
        frames = [c.frame("KEY_DESTROY", key + u32(0), 1, sessions[i % 20], id) for i, (id, key) in enumerate(ids.items())]
        frames += [c.frame("KEY_NEW", u16(DATA_ENC) + u16(SM4) + u32(ENC_USE) + var("") + var(""), 1, s) for s in sessions]
        c.sock.sendall(b"".join(frames))
        time.sleep(0.002 * round)
        d.process.terminate()
        gone = []
        try:
            while True:
                r = c.receive()
                if r["op"] == OPS["KEY_DESTROY"] and r["status"] == 0:
                    gone.append(ids[r["id"]])
        except OSError:
            pass
        assert d.process.wait(60) == 0, d.errors()
        d.start()
        again = d.client()
        for key in gone:
            assert again.raw("KEY_INFO", by_uuid(key))["items"][:4] == u32(E["KEY_DESTROYED"])


def destroyed_while_held(d):
    """What holds a key over several requests ends with the key."""
    c, other = d.client(), d.client()
    key, _, _ = c.key_new()
    c.call("PART_START", u8(1) + by_uuid(key) + u32(CTR) + var(bytes(16)) + var(b"") + u64(0) + var(b""))
    c.call("PART_UPDATE", u8(1) + var(bytes(32)), "v")
    mac, _, _ = c.key_new(MAC_CLASS, HMAC, MAC_USE)
    c.call("PART_START", u8(3) + by_uuid(mac) + u32(SM3_HMAC) + var(b"") + var(b"") + u64(0) + var(b""))
    d.manage("key.create_index", index=70)
    pair = [k for k in d.manage("key.list", limit=1000)["keys"] if k.get("index") == 70 and k["half"] == 1][0]["uuid"]
    own, ephemeral, agreement = c.call("AGREE_START", by_index(70, 1) + u32(128) + var("a"), "vvQ")
    other.call("KEY_DESTROY", key + u32(0), "vv")
    other.call("KEY_DESTROY", mac + u32(1), "vv")
    d.manage("key.destroy", uuid=pair)
    refused("KEY_DESTROYED", c.call, "PART_UPDATE", u8(1) + var(bytes(32)), "v")
    refused("KEY_DESTROYED", c.call, "PART_FINISH", u8(3), "vv")
    refused("DEVICE_STEP", c.call, "PART_UPDATE", u8(1) + var(bytes(32)), "v")
    refused("KEY_DESTROYED", c.call, "AGREE_FINISH", u64(agreement) + var("b") + var(own) + var(ephemeral), "Q")


def halves(d):
    """Both halves of an index have one password: a right taken with one must not open the other."""
    d.manage("key.create_index", index=60, half="sign", password="first password")
    refused("KEY_PASSWORD", d.manage, "key.create_index", index=60, half="encrypt", password="other password")
    refused("KEY_PASSWORD", d.manage, "key.create_index", index=60, half="encrypt")
    d.manage("key.create_index", index=60, half="encrypt", password="first password")
    d.manage("key.create_index", index=61, half="encrypt")
    refused("KEY_PASSWORD", d.manage, "key.create_index", index=61, half="sign", password="first password")


def stop_is_quick(d):
    """A clean stop gives back what keys did not use in few writes."""
    c = d.client()
    sessions = [c.session() for _ in range(50)]
    keys = []
    for _ in range(12):
        for s in sessions:
            c.send("KEY_NEW", u16(MAC_CLASS) + u16(HMAC) + u32(MAC_USE) + var("") + var(""), 1, s)
        keys += [c.receive()["items"][4:20] for _ in sessions]
    assert all(status == 0 for status, _ in c.many("MAC", [by_uuid(k) + u32(SM3_HMAC) + var(b"") + var(b"m") for k in keys], "vv"))
    before = d.manage("status")["generation"]
    d.restart()
    after = d.manage("status")["generation"]
    assert after - before < 60, after - before


def removed_administrators(d):
    """Who was removed can do nothing more on a connection that still stands, and leaves no lock to a successor."""
    people = [{"name": n, "role": "super", "passphrase": "a long phrase of " + n} for n in ("eve", "fay")]
    tokens = {t["name"]: t["token"] for t in d.manage("person.add", administrators=people)["tokens"]}
    with d.manager() as eve, d.manager() as fay:
        for m, name in ((eve, "eve"), (fay, "fay")):
            m.manage("login", name=name, token=tokens[name], passphrase="a long phrase of " + name)
        eve.manage("client.add", uid=4100, application="x")
        for _ in range(9):
            refused("DEVICE_LOGIN", d.manage, "login", name="eve", token=tokens["fay"], passphrase="a long phrase of fay")
        fay.manage("person.remove", name="eve")
        refused("DEVICE_LOGIN", eve.manage, "client.add", uid=4101, application="x")
        tokens = {t["name"]: t["token"] for t in fay.manage("person.add", administrators=people[:1])["tokens"]}
        refused("DEVICE_LOGIN", d.manage, "login", name="eve", token=tokens["eve"], passphrase="wrong")
        with d.manager() as again:
            again.manage("login", name="eve", token=tokens["eve"], passphrase="a long phrase of eve")


def wrapped_keys_stay_wrapped(d):
    """No number of questions gives a wrapped session key out in clear."""
    d.manage("kek.create", index=1)
    c = d.client()
    wrapped, _ = c.call("SESSION_KEY_KEK", by_index(1, 2) + u32(128) + u32(CBC), "vQ")
    c.call("SESSION_KEY_KEK_IN", by_index(1, 2) + u32(CBC) + var(wrapped), "Q")
    # The padding oracle's first step, with one block and with two: a few open where any padding is taken.
    for before in (b"", os.urandom(16)):
        items = [by_index(1, 2) + u32(CBC) + var(before + bytes(15) + bytes([g]) + wrapped[16:32]) for g in range(256)]
        assert all(status for status, _ in c.many("SESSION_KEY_KEK_IN", items, "Q"))
    # A key that wraps and decrypts, of any class.
    for usage in (DEC_USE | WRAP_USE, ENC_USE | UNWRAP_USE, WRAP_USE):
        refused("KEY_USAGE", c.call, "KEY_SEAL_NEW", u16(APP_ENC) + u16(SM4) + u32(usage) + by_index(1, 2), "vv")
    c.call("KEY_SEAL_NEW", u16(APP_ENC) + u16(SM4) + u32(ENC_USE | DEC_USE) + by_index(1, 2), "vv")


class SmallDisk(Device):
    mounted = False

    def start(self):
        if not self.mounted:
            os.mkdir(self.dir, 0o700)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "none", self.dir], check=True)
            self.mounted = True
        super().start()

    def __exit__(self, *what):
        try:
            super().__exit__(*what)
        finally:
            subprocess.run(["umount", "-l", self.dir], check=False)
            shutil.rmtree(self.home, ignore_errors=True)


def full_disk(_):
    """A full disk gives no tries of a password for nothing, and the log goes on when there is room again."""
    if os.getuid() != 0 or subprocess.run(["mount", "--version"], capture_output=True).returncode:
        return print("not root: skipped")
    with SmallDisk() as d:
        for index in range(1, 41):
            d.manage("key.create_index", index=index, half="sign", password="the password")
        c = d.client()
        with open(os.path.join(d.dir, "filler"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(65536 if f.tell() < 4 << 20 else 1))
            except OSError:
                pass
        # Until the last page of the store's log is full, each try counts; then at a key that had none before.
        def status(password):
            return c.raw("ACCESS_TAKE", u32(index) + var(password))["status"]

        index = next(i for i in range(1, 41) if (s := c.raw("ACCESS_TAKE", u32(i) + var("wrong one"))["status"]) != E["KEY_PASSWORD"])
        assert s == E["DISK_FULL"]
        for password in ("wrong two", "the password", "wrong three"):
            assert status(password) == E["DISK_FULL"], password
        os.unlink(os.path.join(d.dir, "filler"))
        assert status("still wrong") == E["KEY_PASSWORD"]
        assert status("the password") == 0
        records = d.manage("status")["log_records"]
        c.key_new()
        assert d.manage("status")["log_records"] > records
        d.manage("log.verify")
        d.restart()
        d.manage("log.verify")


with Device() as device:
    for part in (turns, closed_behind_a_change, deferred, strangers, renamed, stops,
                 destroyed_while_held, halves, wrapped_keys_stay_wrapped, stop_is_quick, full_disk, removed_administrators):
        part(device)
        print(part.__name__)
