"""The main job on hostile files, and whether its own checks can fail."""
import csv
import glob
import io
import json
import os
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import BIN, Instance  # noqa: E402

SCENARIO = os.path.join(BIN, "fengni-scenario")


class MainJobMore(unittest.TestCase):
    # An instance for each: the supervisor restarts a device that was killed often ever more slowly.
    def setUp(self):
        self.instance = Instance()

    def tearDown(self):
        self.instance.close()

    def start(self, *arguments, **more):
        command = [SCENARIO, "main-job", "--instance", self.instance.path, "--json", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "FENGNI_LANG": "en"}, **more)

    def job(self, *arguments, status=0):
        process = self.start(*arguments)
        out, told = process.communicate(timeout=500)
        self.assertEqual(process.returncode, status, out[-2000:] + told[-2000:] + self.instance.up_log())
        return json.loads(out) if out.strip() else None, told

    def file(self, content):
        path = os.path.join(self.instance.work, "in.csv")
        with open(path, "wb") as f:
            f.write(content)
        return path

    def refused(self, content, word):
        report, told = self.job("--in", self.file(content), status=1)
        self.assertIsNone(report)
        self.assertIn(word, told)

    def test_lines_that_break_the_rules_are_left_out_by_number(self):
        good = "".join(f"\"值\"\"{n}\"\"\",abcdefgh{n},{n:04d}\r\n" for n in range(40))
        lines = ["\ufeff\"a\"\"b\",select,\"from; DROP TABLE cases;--\"", "", "NUL\0byte,b,c", "short,line", "\"open,b,c", "b\"are,b,c", "\"a\"x,b,c",
                 "\"" + "x" * 1000000 + "\",longest,1", "x" * 1000001 + ",too long,2", "too,many,fields,here"]
        report, told = self.job("--in", self.file(("\n".join(lines) + "\n" + good).encode()))
        self.assertEqual((report["cases"], report["bad_lines"], report["lost"], report["clear_values_found"]), (41, 7, 0, 0), told)
        self.assertTrue(report["passed"], report)
        for line in (3, 4, 5, 6, 7, 9, 10):
            self.assertIn(f"line {line}:", told)

    def test_one_row(self):
        report, _ = self.job("--in", self.file(b"a\r\xe5\xb0\x81\xe6\xb3\xa5\r"))
        self.assertEqual((report["cases"], report["kills"], report["acknowledged"]), (1, 1, [1]))
        self.assertEqual(report["tampered"], report["tampered_found"])

    def test_words_of_the_configuration_are_no_leak(self):
        with open(os.path.join(self.instance.path, "fengni.yaml"), encoding="utf-8") as f:
            word = max(f.read().replace(",", " ").replace('"', " ").split(), key=len)
        report, _ = self.job("--in", self.file(f"a,b\n{word},2026\nCREATE TABLE,2026\n".encode()))
        self.assertGreaterEqual(report["clear_before"], 2)
        self.assertEqual(report["clear_values_found"], 0)

    def test_files_that_are_refused(self):
        self.refused(b"", "line 1")
        self.refused(b"\xef\xbb\xbf", "line 1")
        self.refused(b"a,b\n", "no rows")
        self.refused(b"a,a\n1,2\n", "twice")
        self.refused(b"a,A\n1,2\n", "twice")
        self.refused(b"a,,c\n1,2,3\n", "0 found")
        self.refused(b"fn_row,b\n1,2\n", "reserved")
        self.refused(b"a,b\n".ljust(70, b"x") + b"\n1,2,3\n", "")
        self.refused(",".join(f"c{n}" for n in range(300)).encode() + b"\n", "300 columns")
        self.refused("a,b\n1,2\n".encode("utf-16"), "neither UTF-8 nor GB18030")
        self.refused(b"\"a,b\n1,2\n", "quotes")

    def test_arguments_that_are_refused(self):
        for arguments in (["--cases", "0"], ["--cases", "-5"], ["--cases", "1e3"], ["--seed", "x"], ["--columns", "a"], ["stray"], ["--nonsense"]):
            self.job(*arguments, status=2)

    def test_a_clear_value_that_turns_up_meanwhile_is_found_and_two_jobs_do_not_mix(self):
        text = subprocess.run([SCENARIO, "generate", "--seed", "9", "--cases", "3000"], check=True, capture_output=True).stdout.decode()
        name = next(r for r in csv.DictReader(io.StringIO(text, newline="")) if len(r["contact_page_code"]) == 18)["contact_page_code"]
        process = self.start("--seed", "9", "--cases", "3000")
        end = time.monotonic() + 120
        while not [p for p in glob.glob(self.instance.path + "/data/main-job-*/cases.db-wal") if os.path.getsize(p) > 1000000]:
            self.assertLess(time.monotonic(), end)
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        leak = os.path.join(self.instance.path, "log", "leak.txt")
        with open(leak, "wb") as f:
            f.write(b"\1\2\3" + name.encode("utf-16-le") + b"\4")
        _, told = self.job("--cases", "10", status=1)
        self.assertIn("another main job", told)
        out, told = process.communicate(timeout=300)
        os.unlink(leak)
        self.assertEqual(process.returncode, 1, out[:400] + told)
        report = json.loads(out)
        self.assertEqual((report["clear_values_found"], report["control_found"], report["passed"]), (1, True, False))
        self.assertGreater(report["log_bytes_searched"], 0)

    def test_an_instance_behind_a_link_and_a_strange_name(self):
        link = os.path.join(self.instance.work, "它 'is' \"a\" $link")
        os.symlink(self.instance.path, link)
        done = subprocess.run([SCENARIO, "main-job", "--instance", link, "--cases", "5", "--json"], capture_output=True, text=True, timeout=300)
        report = json.loads(done.stdout)
        self.assertTrue(report["passed"] and report["files_searched"] > 5, report)
        shutil.rmtree(report["evidence"])


if __name__ == "__main__":
    unittest.main()
