"""Another user of the machine, and a client of the device, cannot look into it: its memory, its files, its management socket. Each
attempt is made from a process of that user and must end with the error that the system or docs/protocol/device.md names."""
import errno
import json
import os
import signal
import subprocess
import sys

if os.geteuid() != 0:
    print("skipped: becoming other users needs root")
    sys.exit(77)
os.environ["FENGNI_BIN"] = os.environ.get("FENGNI_RELEASE") or os.environ["FENGNI_BIN"]
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.environ["FENGNI_SRC"], "tests", "scenario"))
from device_client import *  # noqa: E402,F403
from instance import BIN, Instance  # noqa: E402

STRANGER, CLIENT = 47111, 47110
SANITIZED = b"libasan" in subprocess.run(["readelf", "-d", os.path.join(BIN, "fengni-device")], capture_output=True).stdout

# Runs as the other user, with nothing but the standard library: {attempt: error number, or what was reached}.
PROBE = r"""
import ctypes, json, os, signal, socket, struct, sys
order = json.loads(sys.stdin.readline())
os.setgroups([]); os.setresgid(order["uid"], order["uid"], order["uid"]); os.setresuid(order["uid"], order["uid"], order["uid"])
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
pid, out = order["pid"], {}

def system(name, call):
    ctypes.set_errno(0)
    out[name] = ctypes.get_errno() if call() == -1 else "done"

def python(name, call):
    try:
        call()
        out[name] = "done"
    except OSError as e:
        out[name] = e.errno

class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]

buffer = ctypes.create_string_buffer(16)
here, there = iovec(ctypes.addressof(buffer), 16), iovec(order["address"], 16)
system("ptrace attach", lambda: libc.ptrace(16, pid, None, None))
system("ptrace seize", lambda: libc.ptrace(0x4206, pid, None, None))
system("process_vm_readv", lambda: libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
system("process_vm_writev", lambda: libc.process_vm_writev(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
for name in ("mem", "maps", "smaps", "environ", "auxv", "syscall", "pagemap", "map_files", "fd/0"):
    path = "/proc/%d/%s" % (pid, name)
    python("/proc " + name, lambda: os.listdir(path) if name == "map_files" else open(path, "rb").read(16))
for name in ("exe", "cwd", "root"):
    python("/proc " + name, lambda: os.readlink("/proc/%d/%s" % (pid, name)))
def steal():
    fd = os.pidfd_open(pid)
    return libc.syscall(438, fd, 0, 0)  # pidfd_getfd
system("pidfd_getfd", steal)
python("signal", lambda: os.kill(pid, order["signal"]))
python("limits", lambda: __import__("resource").prlimit(pid, __import__("resource").RLIMIT_CORE, (1, 1)))
for path in order["folders"]:
    python("list " + path, lambda: os.listdir(os.path.join(order["instance"], path)))
    python("write into " + path, lambda: open(os.path.join(order["instance"], path, "intruder"), "w"))
for path in order["files"]:
    for mode in ("rb", "r+b"):
        python("open %s %s" % (path, mode), lambda: open(os.path.join(order["instance"], path), mode).read(1))
    python("remove " + path, lambda: os.unlink(os.path.join(order["instance"], path)))
def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.path.join(order["instance"], path))
    return s
python("management socket", lambda: connect("run/management/device.sock"))
s = connect("run/device.sock")
body = struct.pack(">HHI", 0x10, 1, 0) + os.urandom(16) + struct.pack(">I", 16)
s.sendall(struct.pack(">I", len(body)) + body)
got = b""
while len(got) < 36:
    more = s.recv(4096)
    if not more:
        break
    got += more
out["service"] = struct.unpack(">I", got[28:32])[0]
print(json.dumps(out))
"""


def probe(instance, uid, pid, files, signal_number=signal.SIGKILL):
    with open("/proc/%d/maps" % pid) as f:
        address = int(next(line for line in f if " rw-p " in line).split("-")[0], 16)
    order = dict(uid=uid, pid=pid, address=address, signal=int(signal_number), instance=instance.path, files=files,
                 folders=["device", "device/store", "run", "run/management", "data", "conf.d", "."])
    done = subprocess.run([sys.executable, "-c", PROBE], input=json.dumps(order) + "\n", capture_output=True, text=True, cwd="/", timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def expect(told, wanted):
    wrong = {name: (value, wanted[name] if name in wanted else "?") for name, value in told.items() if value not in wanted.get(name, ())}
    assert not wrong, wrong
    assert told.keys() == wanted.keys()


def wanted_of_others(files, service):
    """EPERM where a capability is wanted, EACCES where a mode or the tracing check refuses."""
    wanted = {name: [errno.EPERM] for name in ("ptrace attach", "ptrace seize", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
                                               "signal", "limits")}
    for name in ("mem", "maps", "smaps", "environ", "auxv", "syscall", "pagemap", "map_files", "fd/0", "exe", "cwd", "root"):
        wanted["/proc " + name] = [errno.EACCES, errno.EPERM]
    for path in ("device", "device/store", "run/management", "data"):
        wanted["list " + path] = wanted["write into " + path] = [errno.EACCES]
    for path in ("run", "conf.d", "."):
        wanted["list " + path], wanted["write into " + path] = ["done"], [errno.EACCES]
    for path in files:
        for mode in ("rb", "r+b"):
            wanted["open %s %s" % (path, mode)] = [errno.EACCES]
        wanted["remove " + path] = [errno.EACCES]
    wanted["management socket"] = [errno.EACCES]
    wanted["service"] = [service]
    return wanted


def files_of(instance):
    """The store's files, the key file, and what else lies with the device, by the names that only its owner sees."""
    files = ["unattended.key"]
    for folder, _, names in os.walk(os.path.join(instance.path, "device")):
        files += [os.path.relpath(os.path.join(folder, n), instance.path) for n in names]
    assert any(f.startswith("device/store/base.") for f in files) and any(f.startswith("device/store/log.") for f in files), files
    return files


def device_of(instance):
    parts = instance.json("status")["up"]["parts"]
    return next((p["pid"], p["uid"]) for p in parts if p["name"] == "device")


def own_uid(instance, uid, pid, files):
    """A process that has the device's uid reaches its files, which are sealed, but neither its memory nor the key of the root."""
    told = probe(instance, uid, pid, files[:1], 0)
    for name in ("ptrace attach", "ptrace seize", "process_vm_readv", "process_vm_writev", "pidfd_getfd"):
        assert told[name] == errno.EPERM, (name, told[name])
    for name in ("mem", "maps", "smaps", "environ", "pagemap", "map_files", "fd/0", "exe", "cwd", "root"):
        assert told["/proc " + name] in (errno.EACCES, errno.EPERM), (name, told["/proc " + name])
    assert told["open unattended.key rb"] == told["open unattended.key r+b"] == errno.EACCES, told


def key_file(instance):
    s = os.stat(os.path.join(instance.path, "unattended.key"))
    assert (s.st_uid, s.st_mode & 0o7777) == (0, 0o400), oct(s.st_mode)
    assert os.stat(os.path.join(instance.path, "device")).st_mode & 0o777 == 0o700
    assert os.stat(os.path.join(instance.path, "run", "management")).st_mode & 0o777 == 0o700


def can_fail(instance):
    """The same attempts on a process of the same user go through: the probe does what it says."""
    victim = subprocess.Popen(["sleep", "60"], user=STRANGER, group=STRANGER, extra_groups=[])
    try:
        wait_until(lambda: b"sleep" in open("/proc/%d/cmdline" % victim.pid, "rb").read())
        told = probe(instance, STRANGER, victim.pid, [])
        # The first attempt attaches, where a policy of the machine allows it; the last signals, which always is.
        assert told["/proc maps"] == told["/proc environ"] == told["/proc exe"] == told["signal"] == "done", told
    finally:
        victim.kill()
        victim.wait()


def main():
    instance = Instance()
    try:
        pid, uid = device_of(instance)
        assert uid not in (0, STRANGER, CLIENT)
        manager = Client(os.path.join(instance.path, "run", "management", "device.sock"))
        manager.manage("client.add", uid=CLIENT, application="portal")
        files = files_of(instance)
        expect(probe(instance, STRANGER, pid, files), wanted_of_others(files, E["DEVICE_CLIENT"]))
        print("ok a stranger")
        expect(probe(instance, CLIENT, pid, files), wanted_of_others(files, 0))
        print("ok a client")
        if SANITIZED:
            print("not asked of this build: another process with the device's own uid")
        else:
            own_uid(instance, uid, pid, files)
            print("ok the device's own uid")
        can_fail(instance)
        key_file(instance)
        manager.close()
        manager = Client(os.path.join(instance.path, "run", "management", "device.sock"))
        refused("ARGUMENT", manager.manage, "client.add", uid=-5, application="portal")
        manager.manage("client.remove", uid=CLIENT)
        assert probe(instance, CLIENT, device_of(instance)[0], [])["service"] == E["DEVICE_CLIENT"]
        assert instance.json("device", "status")["separation"] == "strong"
    finally:
        instance.close()


main()
