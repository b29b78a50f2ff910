"""The main job from outside: on generated cases, on a user's own file, and that its own checks can fail."""
import hashlib
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import BIN, Instance  # noqa: E402

SCENARIO = os.path.join(BIN, "fengni-scenario")


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class MainJob(unittest.TestCase):
    # An instance for each: the supervisor restarts a device that was killed often ever more slowly.
    def setUp(self):
        self.instance = Instance()

    def tearDown(self):
        self.instance.close()

    def job(self, *arguments, status=0):
        done = subprocess.run([SCENARIO, "main-job", "--instance", self.instance.path, "--json", *arguments], capture_output=True, text=True, timeout=500)
        self.assertEqual(done.returncode, status, done.stdout[-2000:] + done.stderr[-2000:] + self.instance.up_log())
        return json.loads(done.stdout.strip().split("\n")[-1]) if done.stdout.strip() else None, done.stderr

    def test_ten_thousand_cases(self):
        report, _ = self.job("--cases", "10000", "--seed", "3")
        self.assertEqual(report["cases"], 10000)
        self.assertEqual(report["clear_values_found"], 0)
        self.assertTrue(report["control_found"])
        self.assertGreaterEqual(report["tampered"], 29)
        self.assertTrue(report["untouched_good"])
        self.assertEqual(report["tampered"], report["tampered_found"], report["tampering"])
        self.assertEqual(report["kills"], 3)
        self.assertTrue(all(n >= 5000 for n in report["acknowledged"]), report)
        self.assertEqual(report["lost"], 0)
        self.assertTrue(report["passed"])
        self.assertTrue(os.path.isfile(os.path.join(report["evidence"], "report.json")))

    def test_own_file(self):
        path = os.path.join(self.instance.work, "people.csv")
        with open(path, "wb") as f:
            f.write("姓名,证件号码,电话\r\n".encode("gb18030"))
            for n in range(300):
                f.write(f"\"欧阳,测试{n}\",11010519491231002X,1380000{n:04d}\r\n".encode("gb18030"))
            f.write("短行,少一列\r\n".encode("gb18030"))
        before = digest(path)
        report, _ = self.job("--in", path)
        self.assertTrue(report["passed"])
        report, told = self.job("--in", path, "--columns", "姓名,电话")
        self.assertEqual((report["cases"], report["bad_lines"], report["lost"]), (300, 1, 0))
        self.assertEqual((report["clear_values_found"], report["clear_by_choice"]), (0, 0))
        self.assertIn("302", told)
        self.assertEqual(before, digest(path))
        # The last run left a column clear: with that column protected now, its values are found where they were left.
        report, _ = self.job("--in", path, status=1)
        self.assertTrue(report["control_found"])
        self.assertEqual((report["clear_values_found"], report["passed"]), (1, False))

    def test_wrong_input(self):
        path = os.path.join(self.instance.work, "bad.csv")
        with open(path, "wb") as f:
            f.write(b"a,b\n\xff\xff\xff,1\n")
        self.job("--in", path, status=1)
        self.job("--in", os.path.join(self.instance.work, "absent.csv"), status=1)
        with open(path, "wb") as f:
            f.write(b"a,b\n1,2\n")
        self.job("--in", path, "--columns", "c", status=1)


if __name__ == "__main__":
    unittest.main()
