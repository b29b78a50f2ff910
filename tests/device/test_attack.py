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


with Device() as device:
    for part in (turns,):
        part(device)
        print(part.__name__)
