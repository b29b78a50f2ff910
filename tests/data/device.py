"""A device of its own in a temporary folder, initialised, for tests of the data room."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

BIN = os.environ["FENGNI_BIN"]


class Device:
    def __init__(self):
        self.work = tempfile.mkdtemp(prefix="fengni-data-")
        self.instance = os.path.join(self.work, "instance")
        os.makedirs(os.path.join(self.instance, "run"))
        os.mkdir(os.path.join(self.work, "store"), 0o700)
        self.socket = os.path.join(self.instance, "run", "device.sock")
        self.management = os.path.join(self.work, "management.sock")
        self.process = None
        self.start()
        self.fengni("device", "init", "--unattended", "--management", self.management)

    def start(self):
        self.log = open(os.path.join(self.work, "device.log"), "ab")
        self.process = subprocess.Popen(
            [os.path.join(BIN, "fengni-device"), "--dir", os.path.join(self.work, "store"), "--socket", self.socket,
             "--management", self.management, "--unattended-key", os.path.join(self.work, "key")],
            stdout=self.log, stderr=self.log)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError("the device ended: " + open(os.path.join(self.work, "device.log")).read()[-2000:])
            if self.fengni("device", "status", "--management", self.management, check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("the device did not answer")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def environment(self):
        return {**os.environ, "FENGNI_LANG": "en", "FENGNI_INSTANCE": self.instance, "FENGNI_DEVICE_SOCKET": self.socket}

    def command(self, *words):
        return [os.path.join(BIN, "fengni"), *map(str, words)]

    def fengni(self, *words, check=True, **more):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, env=self.environment(), timeout=300, **more)
        if check and done.returncode:
            raise AssertionError(f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, *words, check=True):
        """First JSON line of the answer."""
        done = self.fengni(*words, "--json", check=check)
        return json.loads(done.stdout.splitlines()[0])

    def start_fengni(self, *words):
        return subprocess.Popen(self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())

    def path(self, *names):
        return os.path.join(self.work, *names)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.work, ignore_errors=True)
