"""A device that administrators share, from the operator's side: the commands alone, on an instance that runs."""
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import BIN, Instance  # noqa: E402

SCENARIO = os.path.join(BIN, "fengni-scenario")
PEOPLE = {"张三": "super", "李四": "super", "wang": "business", "zhao": "business", "qian": "business", "sun": "audit"}
GENERATED = "李四"


class Quorum(unittest.TestCase):
    """One life, told in order: each step stands on the one before."""

    @classmethod
    def setUpClass(cls):
        cls.instance = Instance(initialise=False)
        cls.folder = os.path.join(cls.instance.work, "people")
        os.mkdir(cls.folder, 0o700)

    @classmethod
    def tearDownClass(cls):
        cls.instance.close()

    def at(self, name):
        return os.path.join(self.folder, name)

    def token(self, name):
        return self.at(name + ".fnat")

    def passphrase_file(self, name):
        return self.at(name + (".phrase" if name == GENERATED else ".pass"))

    def by(self, *names):
        words = []
        for name in names:
            words += ["--token", self.token(name), "--passphrase-file", self.passphrase_file(name)]
        return words

    def refused(self, error, *words, instance=None, status=1):
        done = (instance or self.instance).fengni(*words, check=False, env={"FENGNI_LANG": "en"})
        self.assertEqual(done.returncode, status, f"{words}\n{done.stdout}\n{done.stderr}")
        self.assertIn(f"({error})", done.stderr)
        return done

    def state(self, instance=None):
        return (instance or self.instance).json("device", "status")["state"]

    def kill_device(self):
        pid = self.instance.device_pid()
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 60
        while time.monotonic() < end and self.instance.device_pid() in (0, pid):
            time.sleep(0.05)
        self.instance.wait_ready()
        self.assertEqual(self.state(), "LOCKED")

    def main_job(self, *more, status=0):
        done = subprocess.run([SCENARIO, "main-job", "--instance", self.instance.path, "--json", *more], capture_output=True, text=True, timeout=500)
        self.assertEqual(done.returncode, status, done.stdout[-2000:] + done.stderr[-2000:] + self.instance.up_log())
        return json.loads(done.stdout.strip().split("\n")[-1]) if done.stdout.strip() else None

    def answers(self, **changed):
        persons = []
        for name, role in PEOPLE.items():
            person = {"name": name, "role": role, "token": self.token(name)}
            person["phrase_file" if name == GENERATED else "passphrase_file"] = self.passphrase_file(name)
            persons.append(person)
        path = self.at("answers.json")
        with open(path, "w") as f:
            json.dump({"mode": "shares", "needed": 3, "minutes": self.at("minutes"), "administrators": persons, **changed}, f, ensure_ascii=False)
        return path

    def step_1_initialise(self):
        for name in PEOPLE:
            if name != GENERATED:
                with open(self.passphrase_file(name), "w") as f:
                    f.write(f"the words of {name}, long enough\n")
        # Nothing is left of an initialisation that the device refuses, and nothing there is overwritten.
        self.refused("ARGUMENT", "device", "init", "--answers", self.answers(needed=6))
        self.assertEqual([n for n in os.listdir(self.folder) if not n.endswith((".pass", ".json"))], [])
        with open(self.token("wang"), "w") as f:
            f.write("somebody's")
        self.refused("EXISTS", "device", "init", "--answers", self.answers())
        with open(self.token("wang")) as f:
            self.assertEqual(f.read(), "somebody's")
        os.unlink(self.token("wang"))
        self.refused("CONFIG", "device", "init", "--answers", self.answers(quorum=3))
        self.refused("USAGE", "device", "init", status=2)
        self.assertEqual(self.state(), "INITIAL")

        said = json.loads(self.instance.fengni("device", "init", "--answers", self.answers(), "--json").stdout)
        self.assertEqual((said["shares_needed"], said["shares_of"], said["mode"]), (3, 5, "shares"))
        for name in PEOPLE:
            self.assertEqual(stat.S_IMODE(os.stat(self.token(name)).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.passphrase_file(GENERATED)).st_mode), 0o600)
        with open(self.passphrase_file(GENERATED)) as f:
            self.assertEqual(len(f.read().split()), 8)
        with open(self.at("minutes.txt")) as f:
            minutes = f.read()
        for needed in ("初始化记录", said["serial"], said["device_public"], "张三", "审计管理员", "5 份分量中任意 3 份", said["random_sources"], "签字"):
            self.assertIn(needed, minutes)
        with open(self.at("minutes.json")) as f:
            kept = json.load(f)
        self.assertEqual(kept["serial"], said["serial"])
        self.assertEqual([len(p["shares"]) for p in kept["administrators"]], [1, 1, 1, 1, 1, 0])
        self.assertNotIn("tokens", kept)
        self.assertNotIn("long enough", minutes + json.dumps(kept))
        listed = self.instance.json("device", "admin", "list")["administrators"]
        self.assertEqual({p["name"]: p["role"] for p in listed}, PEOPLE)
        self.refused("DEVICE_STATE", "device", "init", "--unattended")

    def step_2_work_and_locking(self):
        report = self.main_job("--cases", "600", "--seed", "5", "--kills", "0")
        self.assertTrue(report["passed"], report)
        subprocess.run([SCENARIO, "generate", "--cases", "40", "--seed", "9", "--out", self.at("cases.csv")], check=True)
        with open(self.at("cases.csv"), encoding="utf-8-sig") as f:
            columns = f.readline().strip()
        protect = ["data", "protect", "--in", self.at("cases.csv"), "--table", "cases", "--columns", columns, "--out", "sqlite:" + self.at("cases.db")]
        self.instance.fengni(*protect)
        type(self).protected = self.rows(self.instance)
        self.assertEqual(len(self.protected.strip().splitlines()), 41)
        self.kill_device()
        self.refused("DEVICE_LOCKED", "data", "verify", "--db", "sqlite:" + self.at("cases.db"))
        refused = self.main_job("--cases", "600", "--seed", "5", "--kills", "0", status=1)
        self.assertFalse(refused and refused.get("passed"))
        self.refused("DEVICE_LOCKED", "device", "keys")

    def step_3_unlock(self):
        shutil.copy(self.passphrase_file("wang"), self.at("kept"))
        with open(self.passphrase_file("wang"), "w") as f:
            f.write("not the words of wang\n")
        self.refused("PASSPHRASE", "device", "unlock", *self.by("wang"))
        shutil.move(self.at("kept"), self.passphrase_file("wang"))
        self.refused("USAGE", "device", "unlock", "--token", self.token("wang"), status=2)
        self.refused("DEVICE_SHARE", "device", "unlock", *self.by("sun"))
        done = self.refused("DEVICE_QUORUM", "device", "unlock", *self.by("wang", GENERATED))
        self.assertIn("2 of 3", done.stderr)
        self.assertEqual(self.state(), "LOCKED")
        self.refused("DEVICE_LOCKED", "device", "keys")
        done = self.instance.fengni("device", "unlock", *self.by("wang", "qian"), env={"FENGNI_LANG": "en"})
        self.assertIn("given before", done.stderr)
        self.assertIn("3 of 3", done.stderr)
        self.assertEqual(self.state(), "READY")
        self.refused("DEVICE_STATE", "device", "unlock", *self.by("wang"))
        self.assertEqual(self.rows(self.instance), self.protected)

    def step_4_roles(self):
        create = ["device", "key", "create", "--index", "7", "--half", "sign"]
        done = self.refused("DEVICE_LOGIN", *create)
        self.assertIn("--token", done.stderr)
        self.refused("DENIED", *create, *self.by("sun"))
        self.refused("DENIED", "device", "log", "verify", *self.by("wang"))
        self.assertGreater(json.loads(self.instance.fengni("device", "log", "verify", *self.by("sun"), "--json").stdout)["records"], 3)
        made = json.loads(self.instance.fengni(*create, *self.by("wang"), "--json").stdout)
        self.instance.fengni("device", "kek", "create", "--index", "7", *self.by("wang"))
        self.refused("STATE", "key", "retire-kek", "--index", "7", *self.by("wang"))
        self.instance.fengni("device", "kek", "rotate", "--index", "7", *self.by("wang"))
        retired = json.loads(self.instance.fengni("key", "retire-kek", "--index", "7", *self.by("wang"), "--json").stdout)
        self.assertEqual(json.loads(retired["statement"])["version"], 1)
        self.instance.fengni("device", "password", "reset", "--uuid", made["sign"], *self.by("wang"))
        with open(self.at("envelope"), "wb") as f:
            f.write(bytes(388))
        self.refused("KEY_BLOB", "device", "key", "import", "--index", "7", "--in", self.at("envelope"), *self.by("wang"))
        capabilities = self.instance.json("device", "capabilities")
        self.assertEqual(capabilities["SIGN"], "native")
        self.assertIn("sessions", self.instance.json("device", "sessions"))

    def step_5_administrators(self):
        with open(self.passphrase_file("zhou"), "w") as f:
            f.write("the words of zhou, long enough\n")
        add = ["device", "admin", "add", "--name", "zhou", "--role", "business", "--out", self.token("zhou"), "--new-passphrase-file", self.passphrase_file("zhou")]
        self.refused("DENIED", *add, *self.by("wang"))
        self.assertFalse(os.path.exists(self.token("zhou")))
        self.instance.fengni(*add, *self.by("张三"))
        self.instance.fengni("device", "admin", "remove", "--name", "zhao", *self.by("张三"))
        os.rename(self.token("wang"), self.at("wang.old"))
        shutil.copy(self.at("wang.old"), self.token("wang"))
        with open(self.at("new"), "w") as f:
            f.write("other words of wang, long enough\n")
        self.instance.fengni("device", "admin", "passphrase", *self.by("wang"), "--new-passphrase-file", self.at("new"))
        self.refused("DEVICE_LOGIN", "device", "kek", "create", "--index", "8", *self.by("wang"))
        os.rename(self.at("new"), self.passphrase_file("wang"))
        self.instance.fengni("device", "kek", "create", "--index", "8", *self.by("wang"))

    def step_6_reshare(self):
        old = self.at("old")
        os.mkdir(old)
        for name in PEOPLE:
            shutil.copy(self.token(name), old)
        shares = self.at("shares")
        os.mkdir(shares)
        present = self.by("张三", "wang", "qian")
        self.refused("USAGE", "device", "reshare", *present, status=2)
        self.refused("DEVICE_QUORUM", "device", "reshare", *self.by("张三", "wang"), "--shares", shares)
        self.assertEqual([n for n in os.listdir(self.folder) if n.endswith(".next")], [])
        # What a reshare left whose end nobody saw may be the only right file.
        with open(self.token("qian") + ".next", "w") as f:
            f.write("perhaps the right one")
        self.refused("EXISTS", "device", "reshare", *present, "--holder", self.token(GENERATED), "--shares", shares)
        os.unlink(self.token("qian") + ".next")
        self.instance.fengni("device", "reshare", *present, "--holder", self.token(GENERATED), "--shares", shares)
        self.assertEqual(os.listdir(shares), ["zhou.share"])
        self.instance.fengni("device", "admin", "share", "--token", self.token("zhou"), "--share", os.path.join(shares, "zhou.share"))
        shown = json.loads(self.instance.fengni("device", "admin", "show", self.token("zhou"), "--json").stdout)
        self.assertEqual((shown["role"], [s["generation"] for s in shown["shares"]]), ("business", [2]))
        self.kill_device()
        words = []
        for name in ("张三", "qian", "zhao"):
            words += ["--token", os.path.join(old, name + ".fnat"), "--passphrase-file", self.passphrase_file(name)]
        self.refused("DEVICE_SHARE", "device", "unlock", *words)
        self.instance.fengni("device", "unlock", *self.by("zhou", GENERATED, "wang"))
        self.assertEqual(self.state(), "READY")

    def step_7_backup(self):
        shares = self.at("shares")
        create = ["device", "backup", "create", "--name", "b1", "--out", self.at("b1"), "--for", "张三", "--for", "sun", "--for", "qian", "--needed", "2"]
        self.refused("DEVICE_QUORUM", *create, "--shares", shares, *self.by("张三", "wang"))
        self.refused("DENIED", *create, "--shares", shares, *self.by("zhou", "wang", "qian"))
        self.assertFalse(os.path.exists(self.at("b1")))
        said = json.loads(self.instance.fengni(*create, "--shares", shares, *self.by("张三", "wang", "qian"), "--json").stdout)
        self.assertGreater(said["keys"], 0)
        self.assertEqual(said["keys_left_out"], 1)  # the signing pair: key Table 1
        self.assertEqual(stat.S_IMODE(os.stat(self.at("b1")).st_mode), 0o600)
        self.assertIn("sun.b1.share", os.listdir(shares))

    def step_8_restore(self):
        """The data of the first instance under the second's device: what was protected before is read there."""
        other = Instance(initialise=False)
        try:
            restore = ["device", "backup", "restore", "--in", self.at("b1"), "--unattended"]
            self.refused("DEVICE_QUORUM", *restore, *self.by("张三"), instance=other)
            self.refused("DEVICE_SHARE", *restore, *self.by("张三", "sun"), instance=other)
            self.assertEqual((self.state(other), os.listdir(os.path.join(other.path, "device", "backup"))), ("INITIAL", []))
            said = json.loads(other.fengni(*restore, *self.by("张三", "sun"), "--share", self.at("shares/sun.b1.share"), "--json").stdout)
            self.assertEqual(said["serial"], self.instance.json("device", "status")["serial"])
            self.assertEqual(said["restored_from"], "b1")
            other.fengni("data", "verify", "--db", "sqlite:" + self.at("cases.db"))
            self.assertEqual(self.rows(other), self.protected)
        finally:
            other.close()

    def rows(self, instance):
        """Every row, verified and decrypted, with the masks that people see."""
        return instance.fengni("data", "reveal", "--db", "sqlite:" + self.at("cases.db"), "--table", "cases", "--limit", "0", "--csv").stdout

    def test_life(self):
        for step in sorted(n for n in dir(self) if n.startswith("step_")):
            getattr(self, step)()
            print(step, "ok", flush=True)


if __name__ == "__main__":
    unittest.main()
