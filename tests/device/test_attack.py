"""What a client that means ill, or only one that sends a great deal, must not be able to do."""
from device_client import *
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


with Device() as device:
    for part in (turns, closed_behind_a_change, deferred):
        part(device)
        print(part.__name__)
