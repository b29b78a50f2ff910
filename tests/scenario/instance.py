"""An instance in a temporary folder, up and initialised, for tests that use it from outside."""
import json
import os
import shutil
import subprocess
import tempfile
import time

BIN = os.environ["FENGNI_BIN"]


class Instance:
    def __init__(self, initialise=True):
        self.work = tempfile.mkdtemp(prefix="fengni-test-")
        # The supervisor gives folders to other users when it runs as root; they must be able to walk to them.
        os.chmod(self.work, 0o755)
        self.path = os.path.join(self.work, "instance")
        self.socket = os.path.join(self.path, "run", "device.sock")
        self.fengni("init", self.path, instance=False)
        self.log = open(os.path.join(self.work, "up.log"), "wb")
        self.up = subprocess.Popen([os.path.join(BIN, "fengni"), "up", self.path], stdout=self.log, stderr=self.log)
        self.wait_ready()
        if initialise:
            self.fengni("device", "init", "--unattended")

    def fengni(self, *words, check=True, instance=True, env=None, input=None):
        command = [os.path.join(BIN, "fengni"), *words, *(["--instance", self.path] if instance else [])]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})}, input=input, timeout=300)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.up_log()}")
        return done

    def json(self, *words):
        return json.loads(self.fengni(*words, "--json").stdout)

    def up_log(self):
        with open(os.path.join(self.work, "up.log"), errors="replace") as f:
            return f.read()[-4000:]

    def wait_ready(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.up.poll() is not None:
                raise AssertionError("fengni up ended\n" + self.up_log())
            if self.fengni("device", "status", "--json", check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("the device did not answer\n" + self.up_log())

    def device_pid(self):
        # One object a line; when a part is not ready, the error is the last.
        said = self.fengni("status", "--json", check=False).stdout.splitlines()
        for part in json.loads(said[0])["up"]["parts"]:
            if part["name"] == "device" and part["state"] == "ready":
                return part["pid"]
        return 0

    def close(self):
        self.up.terminate()
        try:
            self.up.wait(30)
        except subprocess.TimeoutExpired:
            self.up.kill()
            self.up.wait()
        self.log.close()
        shutil.rmtree(self.work, ignore_errors=True)
