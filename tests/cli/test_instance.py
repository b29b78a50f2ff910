"""fengni init, up, status, config: an instance from outside.

The supervisor is exercised over a part that keeps its contract (ready pipe, SIGTERM) and nothing else, in a folder of its own:
what a device does is the device's tests' concern."""
import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest

BIN = os.environ["FENGNI_BIN"]
STAND_IN = """#!/bin/sh
echo "$@" > "$2/words"
trap 'echo ended >> "$0.log"; exit 0' TERM
trap 'echo reloaded >> "$0.log"' HUP
eval "echo ready >&$FENGNI_READY_FD"
while :; do sleep 0.05; done
"""


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("nothing in time")


class Instance(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="fn-instance-")
        os.chmod(self.folder, 0o755)
        self.dir = self.folder + "/instance"
        self.programs = self.folder + "/bin"
        os.mkdir(self.programs)
        shutil.copy(BIN + "/fengni", self.programs)
        self.up_process = None

    def tearDown(self):
        if self.up_process and self.up_process.poll() is None:
            self.up_process.terminate()
            self.up_process.wait(30)
        if self.up_process:
            self.up_process.stderr.close()
        shutil.rmtree(self.folder)

    def run_(self, *words, lang="en", **env):
        env = dict(os.environ, FENGNI_LANG=lang, **env)
        return subprocess.run([self.programs + "/fengni", *words], capture_output=True, text=True, env=env, timeout=60)

    def stand_in(self):
        path = self.programs + "/fengni-device"
        with open(path, "w") as f:
            f.write(STAND_IN)
        os.chmod(path, 0o755)
        open(path + ".log", "w").close()
        os.chmod(path + ".log", 0o666)
        return path + ".log"

    def up(self):
        self.up_process = subprocess.Popen(
            [self.programs + "/fengni", "up", self.dir], stderr=subprocess.PIPE, text=True, env=dict(os.environ, FENGNI_LANG="en")
        )
        wait_for(lambda: self.run_("status", self.dir).returncode == 0 or self.up_process.poll() is not None)
        self.assertIsNone(self.up_process.poll())

    def status(self):
        r = self.run_("status", self.dir, "--json")
        # One object a line; when a part is not ready, the error is the last.
        return r.returncode, json.loads(r.stdout.splitlines()[0])

    def test_init(self):
        r = self.run_("init", self.dir)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        for name, mode in (("device", 0o700), ("run", 0o755), ("run/management", 0o700), ("data", 0o700), ("log", 0o750)):
            self.assertEqual(stat.S_IMODE(os.stat(f"{self.dir}/{name}").st_mode), mode, name)
        self.assertEqual(self.run_("config", "check", "--instance", self.dir).returncode, 0)
        r = self.run_("init", self.dir)
        self.assertEqual(r.returncode, 1)
        self.assertIn("instance already", r.stderr)
        self.assertEqual(self.run_("init", self.folder + "/no/parent").returncode, 1)

    def test_not_running(self):
        self.run_("init", self.dir)
        r = self.run_("status", self.dir)
        self.assertEqual(r.returncode, 1)
        self.assertIn("not running", r.stderr)
        r = self.run_("up", self.folder + "/nowhere")
        self.assertEqual(r.returncode, 1)
        os.mkdir(self.folder + "/empty")
        r = self.run_("up", self.folder + "/empty")
        self.assertIn("fengni init", r.stderr)

    def test_program_missing(self):
        self.run_("init", self.dir)
        r = self.run_("up", self.dir)
        self.assertEqual(r.returncode, 1)
        self.assertIn("fengni-device", r.stderr)

    def test_life(self):
        log = self.stand_in()
        self.run_("init", self.dir)
        self.up()
        code, said = self.status()
        self.assertEqual(code, 0)
        part = said["up"]["parts"][0]
        self.assertEqual((part["name"], part["state"], part["restarts"]), ("device", "ready", 0))
        root = os.geteuid() == 0
        self.assertEqual(said["up"]["separation"], "strong" if root else "weak")
        with open(f"/proc/{part['pid']}/status") as f:
            uids = [line.split()[1:] for line in f if line.startswith("Uid:")][0]
        # The device reads a key file of root's and then takes its uid by itself; the stand-in stays who started it.
        self.assertEqual(uids, [str(os.geteuid())] * 4)
        self.assertEqual(part["uid"], 61001 if root else os.geteuid())
        self.assertEqual(os.readlink(f"/proc/{part['pid']}/cwd"), os.path.realpath(self.dir))
        with open(self.dir + "/device/words") as f:
            self.assertEqual(
                f.read().split(),
                ["--dir", "device", "--socket", "run/device.sock", "--management", "run/management/device.sock",
                 "--unattended-key", "unattended.key"] + (["--uid", "61001"] if root else []),
            )
        # A second supervisor is refused and names the first.
        r = self.run_("up", self.dir)
        self.assertEqual(r.returncode, 1)
        self.assertIn(f"process {self.up_process.pid}", r.stderr)
        # A killed part comes back.
        os.kill(part["pid"], signal.SIGKILL)
        again = wait_for(lambda: [p for p in self.status()[1]["up"]["parts"] if p["state"] == "ready" and p["restarts"] == 1])
        self.assertNotEqual(again[0]["pid"], part["pid"])
        # Languages.
        self.assertIn("separation:", self.run_("status", self.dir).stdout)
        self.assertIn("就绪", self.run_("status", self.dir, lang="zh").stdout)
        # Reload reaches the part; a bad file is refused and the old one stays.
        self.up_process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reloaded" in open(log).read())
        # SIGTERM drains.
        self.up_process.terminate()
        self.assertEqual(self.up_process.wait(30), 0)
        self.assertIn("ended", open(log).read())
        self.assertEqual(self.run_("status", self.dir).returncode, 1)
        events = [json.loads(line)["event"] for line in self.up_process.stderr if line.startswith("{")]
        for event in ("part.started", "part.ready", "instance.ready", "part.ended", "instance.stopping", "instance.stopped"):
            self.assertIn(event, events)

    def test_killed_supervisor_leaves_nothing_behind(self):
        self.stand_in()
        self.run_("init", self.dir)
        self.up()
        part = self.status()[1]["up"]["parts"][0]
        self.up_process.kill()
        self.up_process.wait(30)
        wait_for(lambda: not os.path.exists(f"/proc/{part['pid']}"))
        self.assertEqual(self.run_("status", self.dir).returncode, 1)
        self.up_process.stderr.close()
        self.up()

    def test_reload_of_configuration(self):
        self.stand_in()
        self.run_("init", self.dir)
        with open(self.dir + "/conf.d/a.yaml", "w") as f:
            f.write(f"log: {{target: file, file: {self.dir}/log/x.log}}\n")
        self.up()

        def events():
            with open(self.dir + "/log/x.log") as f:
                return [json.loads(line) for line in f]

        with open(self.dir + "/conf.d/b.yaml", "w") as f:
            f.write("log: {level: debug}\ninstance: {stop_timeout: 5s}\n")
        self.up_process.send_signal(signal.SIGHUP)
        wait_for(lambda: any(e["event"] == "config.changed" and e["setting"] == "log.level" for e in events()))
        wait_for(lambda: any(e["event"] == "config.restart_needed" and e["setting"] == "instance.stop_timeout" for e in events()))
        with open(self.dir + "/conf.d/b.yaml", "w") as f:
            f.write("log: {level: loud}\n")
        self.up_process.send_signal(signal.SIGHUP)
        refused = wait_for(lambda: [e for e in events() if e["event"] == "config.refused"])
        self.assertEqual(refused[0]["error"]["number"], 303)
        self.assertIsNone(self.up_process.poll())


class Configuration(Instance):
    """Only what is below; the base class gives the folder."""

    test_init = test_not_running = test_program_missing = test_life = None
    test_killed_supervisor_leaves_nothing_behind = test_reload_of_configuration = None

    def test_check(self):
        self.run_("init", self.dir)
        with open(self.dir + "/conf.d/site.yaml", "w") as f:
            f.write("log:\n  levle: info\n")
        r = self.run_("config", "check", "--instance", self.dir)
        self.assertEqual(r.returncode, 1)
        self.assertIn("303", r.stderr)
        self.assertIn('conf.d/site.yaml:2:3: unknown setting "log.levle"', r.stderr)
        r = self.run_("config", "check", "--instance", self.dir, "--json")
        self.assertEqual(json.loads(r.stdout)["error"]["name"], "CONFIG")
        r = self.run_("config", "check", "--config", self.dir + "/absent.yaml")
        self.assertEqual(r.returncode, 1)

    def test_show(self):
        self.run_("init", self.dir)
        with open(self.dir + "/conf.d/site.yaml", "w") as f:
            f.write("log:\n  level: warning\n")
        r = self.run_("config", "show", "--instance", self.dir, "--json", FENGNI_LOG_TARGET="syslog")
        shown = json.loads(r.stdout)
        self.assertEqual(shown["log.level"], {"value": "warning", "source": "conf.d/site.yaml:2:3", "live": True})
        self.assertEqual(shown["log.target"], {"value": "syslog", "source": "FENGNI_LOG_TARGET", "live": False})
        self.assertEqual(shown["log.file"]["source"], "default")
        self.assertIn("FENGNI_LOG_TARGET", self.run_("config", "show", FENGNI_LOG_TARGET="syslog").stdout)

    def test_default_is_what_init_writes(self):
        self.run_("init", self.dir)
        with open(self.dir + "/fengni.yaml") as f:
            self.assertEqual(f.read(), self.run_("config", "default").stdout)


if __name__ == "__main__":
    unittest.main()
