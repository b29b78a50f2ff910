"""Managed keys stay in the device (design wall 1): keys of known value enter by the doors that exist, are used by processes that
stay alive, and then the memory of every process of the instance and of this test is searched for them in every form; likewise for
what else stands in the device's locked memory. The device itself must hold them, in locked pages that no core dump takes."""
import base64
import ctypes
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time

RELEASE = os.environ.get("FENGNI_RELEASE") or os.environ["FENGNI_BIN"]
if os.geteuid() != 0:
    print("skipped: reading the memory of other users' processes needs root")
    sys.exit(77)
if b"libasan" in subprocess.run(["readelf", "-d", os.path.join(RELEASE, "fengni-device")], capture_output=True).stdout:
    print("skipped: the sanitizers' memory is not that of the product; FENGNI_RELEASE names a release build")
    sys.exit(77)
os.environ["FENGNI_BIN"] = RELEASE
sys.path.insert(0, os.path.join(os.environ["FENGNI_SRC"], "tests", "scenario"))
from instance import BIN, Instance  # noqa: E402
from device_client import *  # noqa: E402,F403
import memory_forms  # noqa: E402
from memory_forms import N, SM4, descendants, forms, mappings, pieces, search, sm2_public, status  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENT_UID = 47110
PASSWORD = "the portal's access password"
SEED = int(os.environ.get("FENGNI_TEST_SEED", time.time_ns() % 1000000))
print("seed", SEED)
rng = random.Random(SEED)


def device_pid(instance):
    parts = json.loads(instance.fengni("status", "--json", check=False).stdout.splitlines()[0])["up"]["parts"]
    return next((p["pid"] for p in parts if p["name"] == "device" and p["state"] == "ready"), 0)


def cipher_struct(c):
    """C1x ‖ C1y ‖ C3 ‖ C2 as ECCCipher of GM/T 0018."""
    z = bytes(32)
    return z + c[:32] + z + c[32:64] + c[64:96] + struct.pack("=I", len(c) - 96) + c[96:]


def enveloped(d, wrapping, sign_cipher):
    """EnvelopedECCKey: the pair of d under an SM4 key, which stands under the signing key."""
    h, z, public, sm4 = struct.Struct("=I").pack, bytes(32), sm2_public(int.from_bytes(d, "big")), SM4(wrapping)
    return (h(1) + h(0x401) + h(256) + z + sm4.encrypt(d[:16]) + sm4.encrypt(d[16:]) + h(256) + z + public[:32] + z + public[32:] +
            cipher_struct(sign_cipher))


def bring_keys(instance, keys):
    """Keys of known value by the doors that exist; what a client needs to use them, ciphertexts alone."""
    manager = Client(os.path.join(instance.path, "run", "management", "device.sock"), timeout=60)
    manager.manage("client.add", uid=CLIENT_UID, application="portal")
    manager.manage("key.create_index", index=1, half="sign", password=PASSWORD)
    here = Client(instance.socket)
    sign_public = here.call("KEY_PUBLIC", by_index(1, 0), "Hv")[1]
    blob = enveloped(keys["SM2 d"], keys["wrapping key"], here.call("PK_ENCRYPT", external(SM2, sign_public) + var(keys["wrapping key"]), "v"))
    manager.manage("key.import_enveloped", index=1, envelope=base64.b64encode(blob).decode())
    own = sm2_public(int.from_bytes(keys["SM2 d"], "big"))
    assert here.call("KEY_PUBLIC", by_index(1, 1), "Hv")[1] == own

    def to_own(data): return cipher_struct(here.call("PK_ENCRYPT", external(SM2, own) + var(data), "v")).hex()
    order = {"envelopes": {"sm4": to_own(keys["SM4 key"]), "hmac": to_own(keys["HMAC key"])}, "secret": to_own(b"for the pair")}
    manager.close()
    here.close()
    return order


class Application:
    """memory_client.py under a uid of its own, over a copy of libsdf.so that it can reach."""

    def __init__(self, instance, order):
        library, script = (os.path.join(instance.work, n) for n in ("libsdf.so", "memory_client.py"))
        if not os.path.exists(library):
            shutil.copy(os.path.join(BIN, "libsdf.so"), library)
            shutil.copy(os.path.join(HERE, "memory_client.py"), script)
            os.chmod(library, 0o755), os.chmod(script, 0o644)
        environment = {"PATH": os.environ["PATH"], "FENGNI_DEVICE_SOCKET": instance.socket}
        self.process = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
                                        user=CLIENT_UID, group=CLIENT_UID, extra_groups=[], cwd="/")
        self.answer = self.ask(json.dumps({**order, "library": library, "index": 1, "password": PASSWORD}))

    def ask(self, line=""):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        told = self.process.stdout.readline()
        assert told, "the application ended with %s" % self.process.wait()
        return json.loads(told)


def used(answer, keys):
    """The values that went in are the ones that worked."""
    import hashlib
    import hmac
    assert bytes.fromhex(answer["block"]) == SM4(keys["SM4 key"]).encrypt(bytes(range(16)))
    assert bytes.fromhex(answer["clear"]) == b"for the pair"
    assert bytes.fromhex(answer["mac"]) == hmac.new(keys["HMAC key"], b"m" * 4096, lambda: hashlib.new("sm3")).digest()


def planted(wanted, absent):
    """A control process that holds a key in every form: each must be found, and nothing that it does not hold."""
    # In the pipe a form travels as its complement, so that no buffer holds it by accident.
    code = """
import sys
kept = [bytearray(255 - b for b in bytes.fromhex(line)) for line in iter(sys.stdin.readline, "\\n")]
print(len(kept), flush=True)
sys.stdin.readline()
"""
    p = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    p.stdin.write("".join(bytes(255 - b for b in piece).hex() + "\n" for piece in wanted) + "\n")
    p.stdin.flush()
    assert int(p.stdout.readline()) == len(wanted)
    missed = [what for piece, what in wanted.items() if not search(p.pid, {piece: what})[0]]
    assert not missed, missed
    assert not search(p.pid, absent)[0]
    assert holds_locked_words(p.pid, set(list(wanted)[:1])), "a word of locked memory is not found"
    p.stdin.close()
    p.wait()
    print("controls found: %d" % len(wanted))


def pages_are_locked(pid, wanted):
    """What the device holds of the keys it holds in locked pages left out of core dumps, and nowhere else."""
    held, loose = set(), []
    for m, data in memory_forms.memory(pid):
        for piece, what in wanted.items():
            if data.find(piece) < 0:
                continue
            held.add(what)
            if not ({"lo", "dd"} <= set(m["VmFlags"]) and m["Locked"] == m["Rss"] and m["Swap"] == 0):
                loose.append((what, m["path"], m["VmFlags"]))
    print("the device holds:", "; ".join(sorted(held)))
    return held, loose


def hardened(pid):
    s = status(pid)
    with open("/proc/%d/limits" % pid) as f:
        core = next(line for line in f if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"], core
    assert s["NoNewPrivs"].strip() == "1" and s["Seccomp"].strip() == "2", (s["NoNewPrivs"], s["Seccomp"])
    # Not dumpable: its entries in /proc belong to root, whatever its uid is.
    assert s["Uid"].split()[0] != "0" and os.stat("/proc/%d/environ" % pid).st_uid == 0
    assert not [m["path"] for m in mappings(pid) if "w" in m["permissions"] and "x" in m["permissions"]]
    assert s["VmSwap"].split()[0] == "0" and int(s["VmLck"].split()[0]) > 0
    assert "--unattended-key" in open("/proc/%d/cmdline" % pid).read()  # a path: no secret stands in the arguments


def locked_words(pid, public):
    """All that stands in the device's locked memory, as words of 16 bytes: keys that it made itself, whose values nobody knows."""
    words = set()
    for m, data in memory_forms.memory(pid):
        if not {"lo", "dd"} <= set(m["VmFlags"]):
            continue
        for at in range(0, len(data) - 15, 8):
            word = data[at:at + 16]
            if len(set(word)) > 8:
                words.add(word)
    return {w for w in words if not any(w in p for p in public)}


def holds_locked_words(pid, words):
    found = []
    for m, data in memory_forms.memory(pid):
        for at in range(0, len(data) - 15, 8):
            if data[at:at + 16] in words:
                found.append((hex(m["start"] + at), m["path"], data[at:at + 16].hex()))
    return found


def name_of(pid):
    try:
        with open("/proc/%d/cmdline" % pid) as f:
            return f.read().replace("\0", " ")[:100]
    except OSError:
        return "?"


def public_keys(instance):
    manager = Client(os.path.join(instance.path, "run", "management", "device.sock"), timeout=60)
    here = Client(instance.socket)
    out = [here.call("KEY_PUBLIC", by_index(0, half), "Hv")[1] for half in (0, 1)]
    for entry in manager.manage("key.list")["keys"]:
        if entry["algorithm"] == "SM2":
            try:
                out.append(here.call("KEY_PUBLIC", by_uuid(bytes.fromhex(entry["uuid"].replace("-", ""))), "Hv")[1])
            except DeviceError:
                pass
    return out


def write_people(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.write("name,id_card,phone\n")
        for i in range(rows):
            f.write("张某,110105%012d,138%08d\n" % (rng.randrange(10**12), rng.randrange(10**8)))


def has_socket(pid):
    try:
        return any(os.readlink("/proc/%d/fd/%s" % (pid, fd)).startswith("socket:") for fd in os.listdir("/proc/%d/fd" % pid))
    except OSError:
        return False


def in_the_middle(instance, told, program, *words):
    """A program that was stopped while it uses keys of the device."""
    p = subprocess.Popen([program, *words, "--instance", instance.path], stdout=told, stderr=told)
    wait_until(lambda: p.poll() is not None or has_socket(p.pid), 120)
    time.sleep(0.2)
    p.send_signal(signal.SIGSTOP)
    assert p.poll() is None, (words, p.returncode, open(told.name).read()[-2000:])
    return p


def busy_commands(instance):
    """The command and the reference platform."""
    people = os.path.join(instance.work, "people.csv")
    write_people(people, 50000)
    told = open(os.path.join(instance.work, "commands.log"), "wb")
    return [in_the_middle(instance, told, os.path.join(BIN, "fengni"), "data", "protect", "--in", people, "--table", "citizens",
                          "--columns", "id_card,phone", "--out", "sqlite:" + os.path.join(instance.work, "cases.db")),
            in_the_middle(instance, told, os.path.join(BIN, "fengni-scenario"), "main-job", "--json", "--cases", "20000", "--seed", "5",
                          "--kills", "0")]


def search_all(instance, device, wanted, words):
    """Every process below this one but the device, stopped while it is read."""
    looked, total, found = [], 0, []
    for pid in descendants(os.getpid()):
        if pid == device:
            continue
        name, stat = name_of(pid), status(pid)["State"].split()[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            here, size = search(pid, wanted)
            loose = holds_locked_words(pid, words)
        finally:
            if stat != "T":
                os.kill(pid, signal.SIGCONT)
        looked.append(name)
        total += size
        found += [(name, f) for f in here + loose]
    assert not found, found
    print("processes searched: %d, %.1f MiB: %s" % (len(looked), total / 2**20, "; ".join(looked)))
    return looked


def files_are_clean(instance, wanted, control):
    """No file of the instance, sockets and logs included, holds a key in any form; a planted one is found."""
    def look():
        hits, n = [], 0
        for folder, _, names in os.walk(instance.work):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.isfile(path):
                    continue
                n += 1
                with open(path, "rb") as f:
                    data = f.read()
                hits += [(path, what) for piece, what in wanted.items() if piece in data]
        return hits, n
    path = os.path.join(instance.path, "data", "planted")
    with open(path, "wb") as f:
        f.write(b"before" + control + b"after")
    hits, _ = look()
    assert hits and all(p == path for p, _ in hits), hits
    os.unlink(path)
    hits, n = look()
    assert not hits, hits
    print("files searched: %d" % n)


def no_core(instance, pid):
    """A signal that would write a core file writes none."""
    before = set(os.listdir(instance.path)) | set(os.listdir(os.path.join(instance.path, "device")))
    os.kill(pid, signal.SIGABRT)
    wait_until(lambda: not os.path.exists("/proc/%d" % pid) or status(pid)["State"].strip()[0] == "Z")
    wait_until(lambda: device_pid(instance) not in (0, pid), 30)
    after = set(os.listdir(instance.path)) | set(os.listdir(os.path.join(instance.path, "device")))
    assert not [n for n in after - before if "core" in n], after - before


def main():
    keys = {"SM2 d": rng.randrange(1, N - 1).to_bytes(32, "big"), "SM4 key": rng.randbytes(16), "HMAC key": rng.randbytes(32),
            "wrapping key": rng.randbytes(16)}
    # The wrapping key was known outside from the start; it is not managed. The others are searched for.
    all_forms = {}
    for kind in ("SM2 d", "SM4 key", "HMAC key"):
        all_forms.update({("%s: %s" % (kind, what)): data for what, data in forms(kind, keys[kind]).items()})
    wanted = pieces(all_forms)
    instance = Instance()
    processes = []
    try:
        applications = [Application(instance, bring_keys(instance, keys))]
        used(applications[0].answer, keys)
        device = device_pid(instance)
        for a in applications:
            used(a.ask(), keys)
        processes = busy_commands(instance)
        assert device_pid(instance) == device
        held, loose = pages_are_locked(device, wanted)
        for what in ("SM2 d: SM2 d raw", "SM2 d: (1+d)^-1 raw", "SM4 key: SM4 key raw", "HMAC key: HMAC key raw",
                     "SM4 key: SM4 round keys, 32-bit words swapped", "HMAC key: inner HMAC state, 32-bit words swapped"):
            assert what in held, (what, held)
        assert not loose, loose
        hardened(device)
        words = locked_words(device, public_keys(instance))
        assert len(words) > 100 and holds_locked_words(device, words)
        print("words of the device's locked memory: %d" % len(words))
        looked = search_all(instance, device, wanted, words)
        for part in ("fengni up", "memory_client.py", "data protect", "main-job"):
            assert any(part in name for name in looked), (part, looked)
        files_are_clean(instance, wanted, keys["SM4 key"])
        planted(wanted, {os.urandom(memory_forms.PIECE): "nothing"})
        for p in processes:
            p.kill()
            p.wait()
        used(applications[0].ask(), keys)
        no_core(instance, device)
    finally:
        for p in processes:
            if p.poll() is None:
                p.kill()
                p.wait()
        instance.close()


main()
