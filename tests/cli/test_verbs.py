"""The command from outside: help, languages, exit statuses, suggestions, errors, manual pages, completion."""
import json
import os
import subprocess
import tempfile
import unittest

FENGNI = os.path.join(os.environ["FENGNI_BIN"], "fengni")


def run(*words, lang="en", **more):
    env = dict(os.environ, FENGNI_LANG=lang)
    return subprocess.run([FENGNI, *words], capture_output=True, text=True, env=env, timeout=60, **more)


def verbs():
    """Paths of all verbs, from the names of the manual pages."""
    with tempfile.TemporaryDirectory() as folder:
        assert run("man", folder).returncode == 0
        return sorted(name[:-2] for name in os.listdir(folder + "/man1"))


class Terminal(unittest.TestCase):
    """What others chose does not steer the terminal it is shown on."""

    def test_tables(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/c.yaml", "w") as f:
                f.write('log: {file: "\\e[31mred\\r\\x9b2Jx\\x7f封泥"}\n')
            r = run("config", "show", "--config", folder + "/c.yaml")
            self.assertEqual(r.returncode, 0)
            self.assertIn("?[31mred??2Jx?封泥", r.stdout)

    def test_errors(self):
        r = run("config", "check", "--config", "/no\x1b[2J\u009b2Jx")
        self.assertEqual(r.returncode, 1)
        self.assertIn("/no?[2J?2Jx", r.stderr)


class Secrets(unittest.TestCase):
    def refused(self, content):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/password", "wb") as f:
                f.write(content)
            r = run("device", "key", "create", "--index", "1", "--password-file", folder + "/password",
                    "--management", folder + "/socket")
            self.assertEqual(r.returncode, 1)
            return r.stderr

    def test_a_password_is_taken_whole_or_not(self):
        for good in (b"x" * 510, b"x" * 510 + b"\r\nmore", b"secret", "口令\n".encode()):
            self.assertIn("socket", self.refused(good))
        self.assertIn("TOO_LARGE", self.refused(b"x" * 511))
        self.assertIn("TOO_LARGE", self.refused(b"x" * 100000))
        self.assertIn("NUL", self.refused(b"sec\0ret\n"))
        self.assertIn("empty", self.refused(b"\n"))
        self.assertIn("empty", self.refused(b""))


class Help(unittest.TestCase):
    def test_all(self):
        r = run("--help")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.assertIn("Usage: fengni VERB", r.stdout)
        self.assertIn("completion", r.stdout)
        self.assertEqual(run("help").stdout, r.stdout)
        self.assertEqual(run("-h").stdout, r.stdout)

    def test_chinese_is_the_default(self):
        r = run("--help", lang="")
        self.assertIn("用法", r.stdout)
        self.assertNotIn("Usage", r.stdout)

    def test_verb(self):
        r = run("errors", "--help")
        self.assertEqual(r.returncode, 0)
        self.assertIn("--markdown", r.stdout)
        self.assertIn("--instance DIR", r.stdout)
        self.assertEqual(run("help", "errors").stdout, r.stdout)
        self.assertEqual(run("--help", "errors").stdout, r.stdout)

    def test_group(self):
        r = run("config", "--help")
        self.assertEqual(r.returncode, 0)
        self.assertIn("config check", r.stdout)
        self.assertNotIn("completion", r.stdout)
        r = run("config")
        self.assertEqual((r.returncode, r.stdout), (2, ""))
        self.assertIn("config check", r.stderr)

    def test_every_verb_has_help_in_both_languages(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(run("man", folder).returncode, 0)
            english = sorted(os.listdir(folder + "/man1"))
            self.assertEqual(english, sorted(os.listdir(folder + "/zh_CN/man1")))
            self.assertIn("fengni.1", english)
            self.assertGreater(len(english), 8)
            for name in english:
                for path, mark in ((folder + "/man1/", ".SH NAME"), (folder + "/zh_CN/man1/", ".SH 名称")):
                    with open(path + name, encoding="utf-8") as f:
                        self.assertIn(mark, f.read(), name)


class Usage(unittest.TestCase):
    def test_no_verb(self):
        r = run()
        self.assertEqual((r.returncode, r.stdout), (2, ""))
        self.assertIn("Usage", r.stderr)

    def test_unknown_verb_is_near_another(self):
        r = run("verson")
        self.assertEqual(r.returncode, 2)
        self.assertIn('did you mean "version"', r.stderr)
        self.assertIn("error 700 (USAGE)", r.stderr)
        r = run("config", "chekc")
        self.assertEqual(r.returncode, 2)
        self.assertIn('did you mean "config check"', r.stderr)

    def test_unknown_verb_is_near_nothing(self):
        r = run("qqqqqqqqqq")
        self.assertEqual(r.returncode, 2)
        self.assertNotIn("did you mean", r.stderr)

    def test_wrong_words(self):
        for words, said in (
            (("version", "--no-such"), "unknown option --no-such"),
            (("version", "-x"), "unknown option -x"),
            (("version", "--json=1"), "option --json takes no value"),
            (("version", "--instance"), "option --instance needs a value"),
            (("version", "--instance", "a", "--instance", "b"), "--instance given twice"),
            (("version", "more"), 'unexpected word "more"'),
            (("man",), "at least 1 wanted"),
            (("man", "a", "b"), 'unexpected word "b"'),
            (("completion", "tcsh"), "bash, zsh or fish"),
        ):
            r = run(*words)
            self.assertEqual(r.returncode, 2, words)
            self.assertIn(said, r.stderr, words)

    def test_error_as_json(self):
        r = run("version", "--json", "more")
        self.assertEqual(r.returncode, 2)
        error = json.loads(r.stdout)["error"]
        self.assertEqual((error["number"], error["name"]), (700, "USAGE"))
        self.assertEqual(error["text"]["zh"], "用法错误")
        self.assertIn("unexpected word", error["causes"][-1]["detail"])

    def test_error_text_cannot_steer_the_terminal(self):
        r = run("version", "a\x1b[31m\x07b")
        self.assertEqual(r.returncode, 2)
        self.assertNotIn("\x1b", r.stderr)
        self.assertNotIn("\x07", r.stderr)

    def test_a_full_disk_is_a_failure(self):
        with open("/dev/full", "w") as full:
            r = subprocess.run([FENGNI, "errors"], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(r.returncode, 1)


class Basics(unittest.TestCase):
    def test_version(self):
        r = run("version")
        self.assertRegex(r.stdout, r"^fengni \d+\.\d+\.\d+\n$")
        self.assertEqual(run("--version").stdout, r.stdout)
        self.assertEqual("fengni " + json.loads(run("version", "--json").stdout)["version"] + "\n", r.stdout)
        self.assertEqual(json.loads(run("--json", "version").stdout), json.loads(run("version", "--json").stdout))

    def test_errors(self):
        numbers = json.loads(run("errors", "--json").stdout)
        self.assertEqual([e["number"] for e in numbers], sorted({e["number"] for e in numbers}))
        for e in numbers:
            self.assertTrue(e["zh"] and e["en"] and e["name"])
            self.assertEqual(bool(e["hint_zh"]), bool(e["hint_en"]), e["name"])
        table = run("errors").stdout.splitlines()
        self.assertEqual(len(table), len(numbers) + 1)
        markdown = run("errors", "--markdown").stdout.splitlines()
        self.assertEqual(len(markdown), len(numbers) + 2)

    def test_columns_stand_below_each_other(self):
        """Chinese characters take two columns."""
        import unicodedata

        def width(text):
            return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)

        lines = run("errors", lang="zh").stdout.splitlines()
        starts = set()
        for line in lines:
            for mark in ("请附日志报告此问题", "请释放内存或降低限额", "请稍后重试", "建议"):
                if line.endswith(mark):
                    starts.add(width(line[: -len(mark)]))
        self.assertEqual(len(starts), 1)


class Completion(unittest.TestCase):
    def complete(self, *words):
        """What bash would offer for the last word."""
        line = " ".join(words)
        script = (
            'eval "$("$FENGNI" completion bash)"\n'
            f"COMP_WORDS=({' '.join(repr(w) for w in words)})\nCOMP_CWORD={len(words) - 1}\n"
            f"COMP_LINE={line!r}\n_fengni\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        )
        r = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, env=dict(os.environ, FENGNI=FENGNI), timeout=60
        )
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout.split()

    def test_bash(self):
        self.assertIn("version", self.complete("fengni", ""))
        self.assertEqual(self.complete("fengni", "vers"), ["version"])
        self.assertEqual(sorted(self.complete("fengni", "config", "")), ["check", "default", "show"])
        self.assertEqual(self.complete("fengni", "errors", "--mark"), ["--markdown"])
        self.assertIn("--instance", self.complete("fengni", "config", "check", "--"))
        with tempfile.TemporaryDirectory() as folder:
            open(folder + "/page", "w").close()
            self.assertEqual(self.complete("fengni", "version", "--config", folder + "/p"), [folder + "/page"])

    def test_scripts_name_every_verb(self):
        for shell in ("bash", "zsh", "fish"):
            r = run("completion", shell)
            self.assertEqual(r.returncode, 0)
            for name in verbs():
                if name != "fengni":
                    self.assertIn(name.split("-")[-1], r.stdout)


if __name__ == "__main__":
    unittest.main()
