"""Cases of the generator, checked against rules written again from GB 11643, GB 32100, GB 11714 and GB/T 39046."""
import csv
import datetime
import io
import os
import subprocess
import unittest

PROGRAM = os.path.join(os.environ["FENGNI_BIN"], "fengni-scenario")
CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def citizen_ok(text):
    total = sum(int(c) * pow(2, 17 - i, 11) for i, c in enumerate(text[:17]))
    digit = (12 - total % 11) % 11  # ISO 7064 MOD 11-2
    datetime.date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    return len(text) == 18 and text[17] == ("X" if digit == 10 else str(digit))


def organisation_ok(text):
    total = sum(int(c, 36) * w for c, w in zip(text[:8], (3, 7, 9, 10, 5, 8, 4, 2)))
    return text[8] == {10: "X", 11: "0"}.get(11 - total % 11, str(11 - total % 11))


def credit_ok(text):
    total = sum(CREDIT.index(c) * pow(3, i, 31) for i, c in enumerate(text[:17]))
    return len(text) == 18 and CREDIT.index(text[17]) == -total % 31 and organisation_ok(text[8:17])


def generate(*arguments):
    return subprocess.run([PROGRAM, "generate", *arguments], check=True, capture_output=True).stdout


class Generator(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = generate("--seed", "7", "--cases", "3000")
        cls.rows = list(csv.DictReader(io.StringIO(cls.text.decode("utf-8"), newline="")))

    def test_the_rules_written_here_know_right_from_wrong(self):
        self.assertTrue(citizen_ok("11010519491231002X") and citizen_ok("440524188001010014"))
        self.assertFalse(citizen_ok("110105194912310021"))
        for code in ("91350100M000100Y43", "12441500196720244T", "11430000006122244L"):
            self.assertTrue(credit_ok(code), code)
        self.assertFalse(credit_ok("91350100M000100Y44"))

    def test_same_seed_same_cases_and_another_seed_others(self):
        self.assertEqual(self.text, generate("--seed", "7", "--cases", "3000"))
        self.assertNotEqual(self.text, generate("--seed", "8", "--cases", "3000"))

    def test_every_case(self):
        self.assertEqual(len(self.rows), 3000)
        self.assertEqual(len({r["project_no"] for r in self.rows}), 3000)
        for r in self.rows:
            self.assertTrue(citizen_ok(r["contact_page_code"]), r)
            self.assertTrue(credit_ok(r["org_code"]), r)
            if r["applyer_type"] == "2":
                self.assertEqual(r["applyer_page_type"], "001")
                self.assertTrue(credit_ok(r["applyer_page_code"]) and r["legal_man"], r)
            else:
                self.assertEqual((r["applyer_type"], r["applyer_page_type"]), ("1", "111"))
                self.assertTrue(citizen_ok(r["applyer_page_code"]) and not r["legal_man"], r)
            self.assertEqual(len(r["task_code"]), 31)
            self.assertTrue(r["task_code"].startswith(r["org_code"]) and r["project_no"].startswith(r["task_code"] + r["apply_date"]))
            self.assertRegex(r["contact_mobile"], r"^1[3578][0-9]{9}$")
            dates = [datetime.datetime.strptime(r[k], "%Y%m%d") for k in ("apply_date", "accept_date", "promise_date")]
            self.assertEqual(dates, sorted(dates))
            self.assertIn(r["case_type"], "12")

    def test_wrong_arguments_are_refused(self):
        for arguments in (["--cases", "0"], ["--cases", "x"], ["--seed", "-1"], ["--nonsense"]):
            done = subprocess.run([PROGRAM, "generate", *arguments], capture_output=True)
            self.assertEqual(done.returncode, 2, arguments)


if __name__ == "__main__":
    unittest.main()
