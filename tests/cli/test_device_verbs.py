"""Verbs of the device that need an instance of their own: the wizard at a terminal, answers, backup of an unattended device, tables."""
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["FENGNI_SRC"], "tests/scenario"))
from instance import BIN, Instance  # noqa: E402

FENGNI = os.path.join(BIN, "fengni")


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *words, folder):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(FENGNI, [FENGNI, *words], dict(os.environ, FENGNI_LANG="en"))
        self.seen = ""

    def until(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.seen:
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"no {text!r} in {self.seen!r}")
            try:
                self.seen += os.read(self.fd, 4096).decode()
            except OSError:
                raise AssertionError(f"ended without {text!r}: {self.seen!r}") from None
        before, self.seen = self.seen.split(text, 1)
        return before

    def type(self, text):
        time.sleep(0.05)  # getpass throws away what was typed before it asked
        os.write(self.fd, (text + "\n").encode())

    def end(self, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    self.seen += os.read(self.fd, 4096).decode()
                except OSError:
                    break
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return status


class Wizard(unittest.TestCase):
    def setUp(self):
        self.instance = Instance(initialise=False)
        self.folder = os.path.join(self.instance.work, "people")
        os.mkdir(self.folder)

    def tearDown(self):
        self.instance.close()

    def person(self, t, name, role=""):
        t.until("Name of administrator")
        t.type(name)
        t.until("role [1]")
        t.type(role)
        t.until("file [")
        t.type("")

    def test_shared(self):
        t = Terminal("device", "init", "--instance", self.instance.path, folder=self.folder)
        t.until("way of opening [1]")
        t.type("3")
        t.until("A number from 1 to 2")
        t.type("")
        self.person(t, "one")
        t.until("Name of administrator 2")
        t.type("")
        t.until("At least two")
        self.person(t, "two", "2")
        t.until("Name of administrator 3")
        t.type("")
        t.until("how many open the device [2]")
        t.type("")
        # The first has a passphrase of her own: too short, then not the same, then right. The second takes generated words.
        t.until("Passphrase of one: 1")
        t.type("1")
        for first, second, said in (("short", None, "Fewer than 14"), ("a passphrase of one's own", "another", "The two differ"),
                                    ("a passphrase of one's own", "a passphrase of one's own", "Passphrase of two: 1")):
            t.until("New passphrase of one")
            t.type(first)
            if second:
                t.until("once more")
                t.type(second)
            before = t.until(said)
            self.assertNotIn("own", before, "a passphrase was echoed")
        t.type("")
        t.until("    ")
        phrase = t.until("\r\n")
        self.assertRegex(phrase, r"^([a-z]{4} ){7}[a-z]{4}$")
        t.until("press Enter")
        t.type("")
        t.until("\x1b[2K")
        t.until("type it from your note")
        t.type("not what it was")
        t.until("That is not the phrase")
        t.type(phrase)
        self.assertEqual(t.end(), 0, t.seen)
        self.assertNotIn(phrase, t.seen)
        serial = self.instance.json("device", "status")["serial"]
        self.assertEqual(sorted(os.listdir(self.folder)), [f"fengni-init-{serial}.json", f"fengni-init-{serial}.txt", "one.fnat", "two.fnat"])

        # A mistyped passphrase is asked for again.
        os.kill(self.instance.device_pid(), 9)
        time.sleep(0.5)
        self.instance.wait_ready()
        t = Terminal("device", "unlock", "--token", "one.fnat", "--token", "two.fnat", "--instance", self.instance.path, folder=self.folder)
        t.until("Passphrase of one")
        t.type("wrong passphrase of one")
        t.until("(PASSPHRASE)")
        t.until("Passphrase of one")
        t.type("a passphrase of one's own")
        t.until("1 of 2 shares")
        t.until("Passphrase of two")
        t.type(phrase.upper().replace(" ", "-"))
        t.until("2 of 2 shares")
        self.assertEqual(t.end(), 0, t.seen)
        self.assertEqual(self.instance.json("device", "status")["state"], "READY")

    def test_unattended_and_its_backup(self):
        """A device without administrators names the holders of a backup by answers; they restore it elsewhere, shared."""
        t = Terminal("device", "init", "--instance", self.instance.path, folder=self.folder)
        t.until("way of opening [1]")
        t.type("2")
        self.assertEqual(t.end(), 0, t.seen)
        self.instance.fengni("device", "kek", "create", "--index", "1")
        holders = self.answers("holders", "h1", "h2")
        backup = os.path.join(self.folder, "b")
        said = json.loads(self.instance.fengni("device", "backup", "create", "--name", "b", "--out", backup, "--answers", holders, "--json").stdout)
        self.assertEqual(said["keys"], 3)  # the KEK and the device's pair
        self.refused("EXISTS", "device", "backup", "create", "--name", "b2", "--answers", holders)
        keys = self.instance.json("device", "keys")["keys"]
        statement = self.statement()
        other = Instance(initialise=False)
        try:
            anew = self.answers("anew", "a1", "a2", minutes=os.path.join(self.folder, "restored"))
            words = ["device", "backup", "restore", "--in", backup, "--answers", anew]
            for name in ("h1", "h2"):
                words += ["--token", self.at(name + ".fnat"), "--passphrase-file", self.at(name + ".phrase")]
            said = json.loads(other.fengni(*words, "--json").stdout)
            self.assertEqual((said["mode"], said["restored_from"]), ("shares", "b"))
            with open(self.at("restored.txt")) as f:
                self.assertIn("由备份恢复:b", f.read())
            self.assertEqual({k["uuid"] for k in other.json("device", "keys")["keys"]}, {k["uuid"] for k in keys})
            # This copy does not know what was destroyed after the backup: a statement kept elsewhere tells.
            done = other.fengni("device", "statement", "check", "--in", statement, check=False)
            self.assertEqual((done.returncode, "DEVICE_STORE_OLD" in done.stderr), (1, True), done.stderr)
            self.assertEqual(other.json("device", "status")["state"], "EXCEPTION")
        finally:
            other.close()

    def statement(self):
        made = json.loads(self.instance.fengni("device", "key", "create", "--index", "5", "--half", "encrypt", "--json").stdout)
        path = self.at("destroyed.json")
        with open(path, "w") as f:
            f.write(self.instance.fengni("device", "key", "destroy", "--uuid", made["encrypt"], "--json").stdout)
        self.assertTrue(self.instance.json("device", "statement", "check", "--in", path)["known"])
        self.instance.fengni("device", "key", "create", "--index", "6", "--half", "sign")
        return path

    def at(self, name):
        return os.path.join(self.folder, name)

    def answers(self, title, *names, **more):
        people = [{"name": n, "role": "super", "token": self.at(n + ".fnat"), "phrase_file": self.at(n + ".phrase")} for n in names]
        with open(self.at(title), "w") as f:
            json.dump({"mode": "shares", "needed": 2, "administrators": people, **more}, f)
        return self.at(title)

    def refused(self, error, *words):
        done = self.instance.fengni(*words, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(error, done.stderr)


class Answers(unittest.TestCase):
    """Files of answers are read whole and strictly, before the device is asked for anything that lasts."""

    @classmethod
    def setUpClass(cls):
        cls.instance = Instance(initialise=False)

    @classmethod
    def tearDownClass(cls):
        cls.instance.close()

    def refused(self, text, said, error="CONFIG"):
        path = os.path.join(self.instance.work, "answers")
        with open(path, "w") as f:
            f.write(text)
        done = self.instance.fengni("device", "init", "--answers", path, check=False, env={"FENGNI_LANG": "en"})
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"({error})", done.stderr)
        self.assertIn(said, done.stderr)
        self.assertEqual(self.instance.json("device", "status")["state"], "INITIAL")

    def test_bad(self):
        person = "{name: a, role: super, token: /nowhere/a}"
        self.refused("", "empty")
        self.refused("- a", "names and values")
        self.refused("mode: both", "shares or unattended")
        self.refused("mode: shares", "missing")
        self.refused("mode: shares\nmode: shares", ":2:1: this name stands here a second time")
        self.refused("mode: unattended\nneeded: many", '"needed" has a value of another kind')
        self.refused("mode: unattended\nclients: [{uid: 1}]", '"application" is missing')
        self.refused("mode: unattended\nclients: [{uid: 1, application: x, test: 1}]", '"test" has a value')
        self.refused("mode: &a unattended", "anchors")
        self.refused("mode: unattended\n---\nmode: unattended", "second document")
        self.refused("mode: [[[[[[[[[1]]]]]]]]]", "too deep")
        self.refused("mode: 'unattended", "answers:")
        self.refused(f"mode: shares\nneeded: 2\nadministrators: [{person}]", "/nowhere/a", "NOT_FOUND")
        self.refused("mode: shares\nneeded: 2\nadministrators: [{name: a, role: super, token: a, passphrase: secret}]", '"passphrase" is not known')

    def test_example(self):
        """The example is itself a file of answers: what it lacks here is a terminal and a passphrase."""
        example = self.instance.fengni("device", "init", "--answers-example").stdout
        path = os.path.join(self.instance.work, "example")
        with open(path, "w") as f:
            f.write(re.sub(r"token: ", "token: " + self.instance.work + "/", example).replace("minutes: ", "minutes: " + self.instance.work + "/"))
        done = self.instance.fengni("device", "init", "--answers", path, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("zhangsan.pass", done.stderr)
        self.assertEqual([n for n in os.listdir(self.instance.work) if n.endswith(".fnat") or n.startswith("init-minutes")], [])


class Tokens(unittest.TestCase):
    """Administrators' files are read by their heads, which anybody may have written."""

    def show(self, content):
        with tempfile.NamedTemporaryFile() as f:
            f.write(content)
            f.flush()
            return subprocess.run([FENGNI, "device", "admin", "show", f.name], capture_output=True, text=True, env=dict(os.environ, FENGNI_LANG="en"))

    def file(self, name=b"zhang", share=b"", shares=0):
        return b"FNAT\1\1" + bytes(32) + b"\1" + bytes(128) + len(name).to_bytes(4, "big") + name + bytes(80) + bytes([shares]) + share

    def test_heads(self):
        sealed = b"FNSS\1\2" + b"2025070100000001" + bytes(16) + (7).to_bytes(4, "big") + b"\3"
        good = self.show(self.file(share=len(sealed).to_bytes(4, "big") + sealed, shares=1))
        self.assertEqual(good.returncode, 0, good.stderr)
        for said in ("zhang", "super", "backup", "2025070100000001", ": 7", ": 3"):
            self.assertIn(said, good.stdout)
        whole = self.file(share=len(sealed).to_bytes(4, "big") + sealed, shares=1)
        for bad in (b"", b"FNAT", whole[:-1], whole + b"x", b"FNAX" + whole[4:], self.file(b"\x1b[2J"), self.file("\x9b2J".encode()), self.file(b"\xff"),
                    self.file(b""), self.file(b"x" * 65), self.file(shares=1), bytes(20000)):
            r = self.show(bad)
            self.assertEqual(r.returncode, 1, bad[:200])
            self.assertRegex(r.stderr, r"\((FORMAT|TOO_LARGE)\)")


class Tables(unittest.TestCase):
    def policy(self, *words, lang="zh"):
        return subprocess.run([FENGNI, "key", "policy", *words], capture_output=True, text=True, check=True, env=dict(os.environ, FENGNI_LANG=lang)).stdout

    def test_form(self):
        lines = self.policy("--markdown").splitlines()
        heads = [line for line in lines if line.startswith("| 序号")]
        self.assertEqual(heads, ["| 序号 | 密钥名称 | 产生 | 分发 | 存储 | 使用 | 导入和导出 | 归档 | 备份和恢复 | 销毁 |"] * 2)
        names = [line.split("|")[2].strip() for line in lines if re.match(r"\| \d", line)]
        self.assertEqual(names, ["网络传输加密密钥", "应用传输加密密钥", "数据存储加密密钥", "MAC 密钥", "用户签名私钥", "用户签名公钥", "用户加密私钥", "用户加密公钥",
                                 "服务器签名私钥", "服务器签名公钥", "服务器加密私钥", "服务器加密公钥"])
        self.assertIn("不是导出", "\n".join(lines))

    def test_every_cell_has_words(self):
        for lang in ("zh", "en"):
            rows = json.loads(self.policy("--json", lang=lang))["rows"]
            self.assertEqual(len(rows), 12)
            for row in rows:
                for column in ("generation", "distribution", "storage", "use", "import and export", "archive", "backup and recovery", "destruction"):
                    cell = row[column]
                    self.assertNotEqual(cell["text"], cell["cell"], (row["key"], column))
            signing = [r for r in rows if r["key"] in ("服务器签名私钥", "server's signing private key")][0]
            self.assertEqual((signing["backup and recovery"]["cell"], signing["export"]), ("NO", "NO"))


if __name__ == "__main__":
    unittest.main()
