"""fengni init, up, status on a machine that is not friendly: other users, links left in folders, closed streams, odd names and
umasks, a caller that ignores its children."""
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_instance import Instance as Base, wait_for  # noqa: E402

ROOT = os.geteuid() == 0
STRANGER = 65534


class Hostile(Base):
    """The folder and the stand-in for a device come from the base class, its tests do not."""

    test_init = test_not_running = test_program_missing = test_life = None
    test_killed_supervisor_leaves_nothing_behind = test_reload_of_configuration = None

    def as_stranger(self, *words):
        def become():
            os.setgroups([])
            os.setresgid(STRANGER, STRANGER, STRANGER)
            os.setresuid(STRANGER, STRANGER, STRANGER)

        return subprocess.run(list(words), capture_output=True, text=True, preexec_fn=become, timeout=60,
                              env=dict(os.environ, FENGNI_LANG="en"), cwd="/")

    def start(self, **more):
        self.up_process = subprocess.Popen([self.programs + "/fengni", "up", self.dir], text=True,
                                           env=dict(os.environ, FENGNI_LANG="en"), **{"stderr": subprocess.PIPE, **more})
        wait_for(lambda: self.run_("status", self.dir).returncode == 0 or self.up_process.poll() is not None)
        self.assertIsNone(self.up_process.poll())

    def part(self):
        return self.status()[1]["up"]["parts"][0]

    def test_links_do_not_lead_the_supervisor_elsewhere(self):
        self.stand_in()
        self.run_("init", self.dir)
        precious = self.folder + "/precious"
        with open(precious, "w") as f:
            f.write("precious")
        os.chmod(precious, 0o600)
        for name in ("run/up.json.new", "run/up.json", "run/up.pid", "up.json.new", "up.json", "up.pid"):
            os.symlink(precious, f"{self.dir}/{name}")
        self.start()
        self.up_process.terminate()
        self.up_process.wait(30)
        with open(precious) as f:
            self.assertEqual(f.read(), "precious")
        self.assertEqual(stat.S_IMODE(os.stat(precious).st_mode), 0o600)

    @unittest.skipUnless(ROOT, "needs a second user")
    def test_a_part_cannot_write_what_the_supervisor_writes(self):
        self.stand_in()
        self.run_("init", self.dir)
        self.start()
        for name in ("up.json", "up.pid"):
            folder = os.path.dirname(os.path.join(self.dir, name))
            self.assertEqual(os.stat(folder).st_uid, 0)
            self.assertEqual(os.stat(os.path.join(self.dir, name)).st_uid, 0)

    @unittest.skipUnless(ROOT, "needs a second user")
    def test_strangers_neither_hold_the_lock_nor_are_lied_to(self):
        self.stand_in()
        self.run_("init", self.dir)
        self.start()
        r = self.as_stranger("flock", "-n", "-s", self.dir + "/up.pid", "true")
        self.assertNotEqual(r.returncode, 0)
        r = self.as_stranger(self.programs + "/fengni", "status", self.dir)
        self.assertEqual(r.returncode, 1)
        self.assertIn("DENIED", r.stderr)
        self.assertNotIn("not running", r.stderr)
        # A pid file that everybody can read, as older versions made it, is replaced: a lock on it keeps nobody out.
        self.up_process.terminate()
        self.up_process.wait(30)
        self.up_process.stderr.close()
        os.chmod(self.dir + "/up.pid", 0o644)
        with open(self.dir + "/up.pid") as f:
            import fcntl
            fcntl.flock(f, fcntl.LOCK_SH)
            self.start()

    def test_asking_does_not_keep_the_supervisor_out(self):
        self.stand_in()
        self.run_("init", self.dir)
        for _ in range(5):
            asking = [subprocess.Popen([self.programs + "/fengni", "status", self.dir], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL) for _ in range(8)]
            self.start()
            self.up_process.terminate()
            self.assertEqual(self.up_process.wait(30), 0)
            self.up_process.stderr.close()
            for p in asking:
                p.wait(30)

    def test_two_at_once(self):
        self.stand_in()
        self.run_("init", self.dir)
        both = [subprocess.Popen([self.programs + "/fengni", "up", self.dir], stderr=subprocess.PIPE, text=True,
                                 env=dict(os.environ, FENGNI_LANG="en")) for _ in range(2)]
        ended = wait_for(lambda: [p for p in both if p.poll() is not None])
        self.up_process = [p for p in both if p not in ended][0]
        with ended[0].stderr:
            self.assertIn("LOCKED", ended[0].stderr.read())
        wait_for(lambda: self.run_("status", self.dir).returncode == 0)

    def test_ended_parts_are_seen_though_the_caller_ignores_children(self):
        self.stand_in()
        self.run_("init", self.dir)
        self.start(preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        os.kill(self.part()["pid"], signal.SIGKILL)
        wait_for(lambda: self.part()["restarts"] == 1)
        wait_for(lambda: self.run_("status", self.dir).returncode == 0)
        self.up_process.terminate()
        self.assertEqual(self.up_process.wait(30), 0)

    def test_closed_streams(self):
        self.stand_in()
        self.run_("init", self.dir)
        words = ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", self.programs + "/fengni", "up", self.dir]
        self.up_process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: self.run_("status", self.dir).returncode == 0)
        for pid in (self.up_process.pid, self.part()["pid"]):
            for fd in range(3):
                self.assertEqual(os.readlink(f"/proc/{pid}/fd/{fd}"), "/dev/null")
        with open(self.dir + "/up.pid") as f:
            self.assertEqual(f.read(), f"{self.up_process.pid}\n")
        # What cannot be written is still a failure.
        r = subprocess.run(["sh", "-c", 'exec "$1" version 1>&-', "sh", self.programs + "/fengni"], stderr=subprocess.PIPE)
        self.assertEqual(r.returncode, 1)

    def test_umask(self):
        os.umask(0o077)
        try:
            self.assertEqual(self.run_("init", self.dir).returncode, 0)
        finally:
            os.umask(0o022)
        for name, mode in ((".", 0o755), ("fengni.yaml", 0o644), ("conf.d", 0o755), ("device", 0o700)):
            self.assertEqual(stat.S_IMODE(os.stat(f"{self.dir}/{name}").st_mode), mode, name)

    def test_init_follows_no_link(self):
        os.mkdir(self.dir)
        os.mkdir(self.folder + "/other", 0o711)
        for name in ("conf.d", "device"):  # in the order in which init makes them
            os.symlink(self.folder + "/other", f"{self.dir}/{name}")
            self.assertEqual(self.run_("init", self.dir).returncode, 1)
            os.unlink(f"{self.dir}/{name}")
            os.mkdir(f"{self.dir}/{name}")
        self.assertEqual(stat.S_IMODE(os.stat(self.folder + "/other").st_mode), 0o711)
        self.assertEqual(self.run_("init", self.dir).returncode, 0)

    def test_names(self):
        self.stand_in()
        for name in ("a b", "it's", 'say "hi"', "封泥 实例", "%I %s%n", "-x", "$(touch x)`;&", "new\nline"):
            self.dir = f"{self.folder}/{name}"
            r = self.run_("init", self.dir)
            self.assertEqual((r.returncode, r.stderr), (0, ""), name)
            self.assertEqual(shlex.split(r.stdout.split("next: ", 1)[1]), ["fengni", "up", self.dir])
            self.start()
            self.assertEqual(json.loads(self.run_("status", self.dir, "--json").stdout)["instance"], self.dir)
            self.up_process.terminate()
            self.assertEqual(self.up_process.wait(30), 0)
            self.up_process.stderr.close()

    def test_status_of_nothing(self):
        r = self.run_("status", self.folder + "/absent")
        self.assertEqual(r.returncode, 1)
        self.assertIn("NOT_FOUND", r.stderr)

    def test_a_pipe_for_a_status_file(self):
        self.stand_in()
        self.run_("init", self.dir)
        self.start()
        os.unlink(self.dir + "/up.json")
        os.mkfifo(self.dir + "/up.json")
        self.assertEqual(self.run_("status", self.dir).returncode, 1)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "Hostile"])
