"""The data room on a real device, through the command: protecting, crashes, bad input, tampering, disks, revealing, sealing."""
import csv
import io
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from device import Device  # noqa: E402

csv.field_size_limit(1 << 24)
SURNAMES = "张王李赵欧阳刘陈杨黄周吴"


def make_csv(path, rows, seed=1, encoding="utf-8", bom=False):
    rng = random.Random(seed)
    table = [["name", "id_card", "phone", "address", "note"]]
    for n in range(rows):
        address = f'北京市,朝阳区"{n}"号' if n % 10 == 0 else f"广东省深圳市南山区{n}号\n后楼" if n % 10 == 1 else f"杭州市西湖区文三路{n}号"
        table.append([rng.choice(SURNAMES) + "某", f"110105{rng.randrange(10**12):012d}", f"138{rng.randrange(10**8):08d}",
                      address, "" if n % 4 else "备注"])
    with open(path, "w", encoding=encoding, newline="") as f:
        if bom:
            f.write("\ufeff")
        csv.writer(f).writerows(table)
    return table[1:]


def sql(path, *statements):
    db = sqlite3.connect(path)
    try:
        return [db.execute(s).fetchall() for s in statements][-1]
    finally:
        db.commit()
        db.close()


class EndToEnd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.device = Device()
        cls.number = 0

    @classmethod
    def tearDownClass(cls):
        cls.device.close()

    def setUp(self):
        type(self).number += 1
        self.dir = self.device.path(f"t{self.number}")
        os.mkdir(self.dir)
        self.csv, self.db = os.path.join(self.dir, "people.csv"), os.path.join(self.dir, "cases.db")

    def protect_words(self, *more, columns="id_card,phone,address", source=None, db=None):
        columns = ["--columns", columns] if columns else []
        return ["data", "protect", "--in", source or self.csv, "--table", "citizens", *columns, "--out", f"sqlite:{db or self.db}", *more]

    def protect(self, *more, **named):
        return self.device.json(*self.protect_words(*more, **named))

    def verify(self, check=True):
        return self.device.json("data", "verify", "--db", self.db, "--table", "citizens", check=check)

    def credential(self):
        path = self.device.path("clear.cred")
        if not os.path.exists(path):
            self.device.fengni("data", "credential", "new", "--holder", "测试员", "--out", path)
        return path

    def rows_in_clear(self):
        done = subprocess.run(self.device.command("data", "reveal", "--db", self.db, "--table", "citizens", "--limit", 0, "--csv",
                                                  "--credential", self.credential(), "--reason", "比对"),
                              stdout=subprocess.PIPE, env=self.device.environment(), timeout=300, check=True)
        return [row[1:] for row in csv.reader(io.StringIO(done.stdout.decode(), newline=""))][1:]

    def assert_no_clear_text(self, rows):
        for name in os.listdir(self.dir):
            if name.endswith(".csv") and "rejects" not in name:
                continue
            with open(os.path.join(self.dir, name), "rb") as f:
                content = f.read()
            for row in rows[:50]:
                for value in row[1:4]:
                    self.assertNotIn(value.encode(), content, name)

    def findings(self, *statements):
        """Alters the database, verifies, and puts it back."""
        kept = self.db + ".kept"
        shutil.copy(self.db, kept)
        sql(self.db, *statements)
        done = self.device.fengni("data", "verify", "--db", self.db, "--json", check=False)
        self.assertEqual(done.returncode, 1, statements)
        os.replace(kept, self.db)
        return [(f["code"], f.get("row"), f.get("other"), f.get("first")) for f in json.loads(done.stdout.splitlines()[0])["findings"]]

    def test_rows_come_back_in_both_suites(self):
        rows = make_csv(self.csv, 700, bom=True)
        for suite in ("sm4-gcm", "sm4-cbc+hmac-sm3"):
            self.db = os.path.join(self.dir, suite + ".db")
            table = "citizens"
            result = self.device.json("data", "protect", "--in", self.csv, "--table", table, "--columns", "id_card,phone,address",
                                      "--out", self.db, "--suite", suite)
            self.assertEqual((result["rows"], result["rejected"]), (700, 0))
            verdict = self.verify()
            self.assertEqual((verdict["rows"], verdict["count"], verdict["segments"]), (700, 0, 3))
            self.assertEqual(verdict["counter"], verdict["anchored"])
            self.assertEqual(self.rows_in_clear(), rows)
            self.assert_no_clear_text(rows)
            again = self.device.json("data", "protect", "--in", self.csv, "--table", table, "--columns", "id_card,phone,address",
                                     "--out", self.db)
            self.assertTrue(again["finished_before"])
            self.assertEqual(self.verify()["rows"], 700)

    def test_every_kind_of_tampering_is_named(self):
        make_csv(self.csv, 1000)
        self.protect("--mac-columns", "name")
        kinds = {
            "altered clear column": (["UPDATE citizens SET name = '改' WHERE fn_row = 500"], [(600, 500, None, 257)]),
            "altered ciphertext": (["UPDATE citizens SET phone = substr(phone, 1, 60) || 'AAAA' || substr(phone, 65) WHERE fn_row = 1"],
                                   [(600, 1, None, 1)]),
            "ciphertext to NULL": (["UPDATE citizens SET address = NULL WHERE fn_row = 1000"], [(600, 1000, None, 769)]),
            "rows exchanged": (["UPDATE citizens SET fn_row = -1 WHERE fn_row = 3", "UPDATE citizens SET fn_row = 3 WHERE fn_row = 700",
                                "UPDATE citizens SET fn_row = 700 WHERE fn_row = -1"], [(601, 3, 700, 1), (601, 700, 3, 513)]),
            "fields exchanged": (["CREATE TABLE k AS SELECT fn_row r, id_card v FROM citizens WHERE fn_row IN (8, 9)",
                                  "UPDATE citizens SET id_card = (SELECT v FROM k WHERE r = 17 - fn_row) WHERE fn_row IN (8, 9)"],
                                 [(601, 8, 9, 1), (601, 9, 8, 1)]),
            "copied row": (["INSERT INTO citizens SELECT name, id_card, phone, address, note, 1001, fn_version, fn_mac FROM citizens "
                            "WHERE fn_row = 4"], [(602, 1001, None, 769)]),
            "foreign row": (["INSERT INTO citizens VALUES ('a', 'b', 'c', 'd', 'e', 5000, 1, x'00')"], [(602, 5000, None, 4865)]),
            "deleted first": (["DELETE FROM citizens WHERE fn_row = 1"], [(603, 1, None, 1)]),
            "deleted middle": (["DELETE FROM citizens WHERE fn_row = 500"], [(603, 500, None, 257)]),
            "deleted last": (["DELETE FROM citizens WHERE fn_row = 1000"], [(603, 1000, None, 769)]),
            "manifest": (["UPDATE fn_data_segment SET sum = zeroblob(32) WHERE segment = 2"], [(307, None, None, None)]),
        }
        for kind, (statements, expected) in kinds.items():
            with self.subTest(kind):
                self.assertEqual(sorted(self.findings(*statements), key=str), sorted(expected, key=str))
        sql(self.db, "UPDATE citizens SET note = 'free' WHERE fn_row = 5")  # not covered
        self.assertEqual(self.verify()["count"], 0)

    def test_old_copies_are_found(self):
        rows = make_csv(self.csv, 300)
        self.protect()
        shutil.copy(self.db, self.db + ".old")
        second = os.path.join(self.dir, "more.csv")
        make_csv(second, 10, seed=2)
        self.protect(source=second)
        self.assertEqual(self.verify()["rows"], 310)
        shutil.copy(self.db + ".old", self.db)
        verdict = self.verify(check=False)
        self.assertEqual([f["code"] for f in verdict["findings"]], [605])
        done = self.device.fengni(*self.protect_words(source=second), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("605", done.stderr)
        words = ["data", "adopt", "--db", self.db, "--table", "citizens", "--reason", "从备份恢复"]
        self.assertEqual(self.device.fengni(*words, "--credential", self.csv, check=False).returncode, 1)
        self.assertEqual(self.device.json(*words, "--credential", self.credential())["adopted"], 1)
        self.assertEqual(self.protect(source=second)["rows"], 10)
        self.assertEqual(self.verify()["rows"], 310)
        self.assertEqual(self.rows_in_clear()[:300], rows)
        self.assertIn("从备份恢复", self.device.fengni("data", "log").stdout)

    def committed(self):
        """Rows that a running protect has committed."""
        try:
            db = sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=1)
            try:
                return db.execute("SELECT coalesce(sum(row_count), 0) FROM fn_data_import").fetchone()[0]
            finally:
                db.close()
        except sqlite3.Error:
            return 0

    def wait_committed(self, process, more):
        target = self.committed() + more
        while process.poll() is None and self.committed() < target:
            time.sleep(0.002)
        return process.poll() is None

    def test_killed_protect_goes_on(self):
        rows = make_csv(self.csv, 30000)
        kills = 0
        for _ in range(4):
            process = self.device.start_fengni(*self.protect_words())
            if self.wait_committed(process, 1000):
                process.kill()
                kills += 1
            process.communicate()
        before = self.committed()
        done = self.protect()
        self.assertGreaterEqual(kills, 3)
        self.assertGreater(before, 3000)
        self.assertEqual((done["rows"], done["rows_now"]), (30000, 30000 - before))
        verdict = self.verify()
        self.assertEqual((verdict["rows"], verdict["count"]), (30000, 0))
        self.assertEqual(self.rows_in_clear(), rows)

    def test_verifying_and_reading_beside_writers(self):
        make_csv(self.csv, 40000, seed=4)
        second = os.path.join(self.dir, "second.csv")
        make_csv(second, 40000, seed=5)
        writers = [self.device.start_fengni(*self.protect_words())]
        self.wait_committed(writers[0], 200)
        writers.append(self.device.start_fengni(*self.protect_words(source=second)))
        looks = 0
        while any(w.poll() is None for w in writers):
            done = self.device.fengni("data", "verify", "--db", self.db, "--table", "citizens", check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.device.fengni("data", "reveal", "--db", self.db, "--table", "citizens", "--limit", "3")
            looks += 1
        for w in writers:
            out, err = w.communicate()
            self.assertEqual(w.returncode, 0, err.decode())
        self.assertGreater(looks, 1)
        verdict = self.verify()
        self.assertEqual((verdict["rows"], verdict["count"]), (80000, 0))
        self.assertEqual(verdict["counter"], verdict["anchored"])
        self.assertEqual(sql(self.db, "SELECT count(DISTINCT fn_row >> 40) FROM citizens"), [(2,)])

    def test_killed_device_goes_on(self):
        rows = make_csv(self.csv, 30000, seed=3)
        process = self.device.start_fengni(*self.protect_words())
        kills = 0
        while kills < 3 and self.wait_committed(process, 2000):
            self.device.kill()
            kills += 1
            self.device.start()
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, err.decode())
        self.assertEqual(kills, 3)
        verdict = self.verify()
        self.assertEqual((verdict["rows"], verdict["count"]), (30000, 0))
        self.assertEqual(self.rows_in_clear(), rows)

    def test_bad_lines_are_reported_and_the_rest_goes_on(self):
        with open(self.csv, "wb") as f:
            f.write("姓名,id_card,phone\r\n".encode("gb18030"))
            f.write("张三,1,2\r\n".encode("gb18030"))
            f.write(b"short\r\n")                                   # line 3
            f.write("李四,3,4,5\r\n".encode("gb18030"))             # line 4
            f.write(b"\xff\xff,5,6\r\n")                            # line 5
            f.write(b'x"y,7,8\r\n')                                  # line 6
            f.write("\"王\r\n五\",9,10\r\n".encode("gb18030"))      # lines 7 and 8
            f.write("𠮷,11,\r\n".encode("gb18030"))
            f.write(b'"never closed,1,2\r\n')                        # line 10
            f.write("last,13,14".encode("gb18030"))
        done = self.protect("--encoding", "gb18030", columns="id_card,phone")
        self.assertEqual((done["rows"], done["rejected"]), (4, 5))
        with open(done["rejects"], encoding="utf-8") as f:
            rejected = list(csv.reader(f))
        self.assertEqual([(r[0], r[1]) for r in rejected[1:]], [("3", "607"), ("4", "607"), ("5", "201"), ("6", "607"), ("10", "607")])
        self.assertEqual(self.rows_in_clear(), [["张三", "1", "2"], ["王\r\n五", "9", "10"], ["𠮷", "11", ""], ["last", "13", "14"]])
        wrong = self.device.fengni(*self.protect_words("--encoding", "gb18030", columns="id_card,nothing"), check=False)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("608", wrong.stderr)

    def test_null_empty_and_large_fields(self):
        big = "大" * 333333 + "x"                                    # 1,000,000 bytes
        with open(self.csv, "w", encoding="utf-8", newline="") as f:
            csv.writer(f).writerows([["id_card", "phone"], [big, "\\N"], ["", big], [big + "y", "1"], ["\\N", ""], *[[big, big]] * 12])
        done = self.protect("--null", "\\N", columns="id_card,phone")
        self.assertEqual((done["rows"], done["rejected"]), (15, 1))
        self.assertEqual(sql(self.db, "SELECT fn_row FROM citizens WHERE phone IS NULL"), [(1,)])
        self.assertEqual(sql(self.db, "SELECT fn_row FROM citizens WHERE id_card IS NULL"), [(3,)])
        self.assertEqual(sql(self.db, "SELECT count(*) FROM citizens WHERE id_card = '' OR phone = ''"), [(0,)])
        self.assertEqual(self.verify()["count"], 0)
        self.assertEqual(self.rows_in_clear(), [[big, ""], ["", big], ["", ""], *[[big, big]] * 12])

    def test_full_and_read_only_disk(self):
        if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", self.dir], capture_output=True).returncode:
            self.skipTest("needs a small file system")
        try:
            source = self.device.path("large.csv")
            make_csv(source, 6000)
            words = self.protect_words(source=source)
            done = self.device.fengni(*words, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("301", done.stderr)
            committed = self.verify()["rows"]
            self.assertEqual(committed % 256, 0)
            subprocess.run(["mount", "-o", "remount,size=64m", self.dir], check=True)
            subprocess.run(["mount", "-o", "remount,ro", self.dir], check=True)
            done = self.device.fengni(*words, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("302", done.stderr)
            subprocess.run(["mount", "-o", "remount,rw", self.dir], check=True)
            self.assertEqual(self.device.json(*words)["rows"], 6000)
            verdict = self.verify()
            self.assertEqual((verdict["rows"], verdict["count"]), (6000, 0))
        finally:
            subprocess.run(["umount", self.dir], check=True)

    def test_reveal_masks_and_asks_for_credential_and_reason(self):
        rows = make_csv(self.csv, 30)
        self.protect()
        masked = self.device.fengni("data", "reveal", "--db", self.db, "--table", "citizens", "--limit", 0).stdout
        for row in rows:
            for value in row[1:4]:
                self.assertNotIn(value, masked)
        for more in (["--clear"], ["--reason", "x"], ["--credential", self.credential()], ["--where", f"phone={rows[0][2]}"]):
            done = self.device.fengni("data", "reveal", "--db", self.db, "--table", "citizens", *more, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("609", done.stderr)
        self.assertEqual(self.rows_in_clear(), rows)
        one = self.device.path("one.cred")
        issued = self.device.json("data", "credential", "new", "--holder", "李四", "--out", one)
        words = ["data", "reveal", "--db", self.db, "--table", "citizens", "--credential", one, "--reason", "核对", "--where",
                 f"phone={rows[7][2]}"]
        self.assertIn(rows[7][1], self.device.fengni(*words).stdout)
        log = self.device.fengni("data", "log", "--json").stdout
        self.assertIn(issued["id"], log)
        self.assertIn('"reason":"核对"', log)
        self.assertNotIn(rows[7][2], log)
        forged = self.device.path("forged.cred")
        with open(one) as f, open(forged, "w") as g:
            text = f.read()
            g.write(text[:-5] + ("AAAA" if text[-5:-1] != "AAAA" else "BBBB") + "\n")
        os.chmod(forged, 0o600)
        done = self.device.fengni(*[forged if w == one else w for w in words], check=False)
        self.assertIn("609", done.stderr)
        book = os.path.join(self.device.instance, "data", "data.db")
        shutil.copy(book, book + ".before")
        self.device.fengni("data", "credential", "revoke", issued["id"])
        done = self.device.fengni(*words, check=False)
        self.assertIn("609", done.stderr)
        shutil.copy(book, book + ".after")
        shutil.copy(book + ".before", book)                          # the revocation undone by an older file
        done = self.device.fengni(*words, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("605", done.stderr)
        shutil.copy(book + ".after", book)

    def test_tampered_rows_are_withheld(self):
        rows = make_csv(self.csv, 10)
        self.protect()
        sql(self.db, "UPDATE citizens SET name = 'x' WHERE fn_row = 4")
        done = self.device.fengni("data", "reveal", "--db", self.db, "--table", "citizens", "--csv", "--credential", self.credential(),
                                  "--reason", "x", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("row 4", done.stderr)
        self.assertNotIn(rows[3][1], done.stdout)
        self.assertIn(rows[4][1], done.stdout)

    def test_log_cannot_be_cut_or_edited(self):
        self.credential()
        self.device.fengni("data", "credential", "list")
        path = os.path.join(self.device.instance, "data", "data.log")
        with open(path, "rb") as f:
            good = f.read()
        last = len(good)
        at, frames = 0, []
        while at < len(good):
            frames.append(at)
            at += 21 + int.from_bytes(good[at:at + 4], "big") + 32
        for bad in (good[:frames[-1]], b"", good[:40] + bytes([good[40] ^ 1]) + good[41:], good[:last - 3]):
            with open(path, "wb") as f:
                f.write(bad)
            self.assertEqual(self.device.fengni("data", "log", check=False).returncode, 1)
        with open(path, "wb") as f:
            f.write(good)
        self.device.fengni("data", "log")

    def test_integrity_only_table_and_files(self):
        with open(self.csv, "w") as f:
            f.write("role,right\nadmin,all\nclerk,read\n")
        self.protect("--mac-only", columns="")
        self.assertEqual(sql(self.db, "SELECT role, right FROM citizens"), [("admin", "all"), ("clerk", "read")])
        self.assertEqual(self.findings("UPDATE citizens SET right = 'all' WHERE role = 'clerk'"), [(600, 2, None, 1)])
        path = os.path.join(self.dir, "acl.yaml")

        def write(text):
            with open(path, "w") as f:
                f.write(text)

        def check():
            done = self.device.fengni("data", "check-file", path, check=False)
            return done.returncode, done.stderr

        write("allow: clerk\n")
        self.assertEqual(check()[0], 1)
        self.device.fengni("data", "seal-file", path)
        self.assertEqual(check(), (0, ""))
        shutil.copy(path + ".fnseal", path + ".fnseal.old")
        write("allow: everybody\n")
        self.assertIn("307", check()[1])
        self.device.fengni("data", "seal-file", path)
        self.assertEqual(check(), (0, ""))
        write("allow: clerk\n")
        shutil.copy(path + ".fnseal.old", path + ".fnseal")
        self.assertIn("605", check()[1])                             # the older file with its older seal
        other = os.path.join(self.dir, "other.yaml")
        shutil.copy(path, other)
        shutil.copy(path + ".fnseal", other + ".fnseal")
        self.assertIn("307", self.device.fengni("data", "check-file", other, check=False).stderr)

    def test_plan_changes_nothing(self):
        make_csv(self.csv, 20)
        plan = self.device.json("data", "plan", "--in", self.csv, "--table", "citizens", "--columns", "id_card,phone", "--sql",
                                "postgresql")
        column = {c["name"]: c for c in plan["columns"]}
        self.assertEqual(column["id_card"]["new_length"], 91)
        self.assertEqual(column["name"]["stored"], "clear")
        self.assertIn("varchar(91)", column["id_card"]["alter"])
        for what in ("NULL", "''", "UNIQUE", "ORDER BY", "LIKE", "JOIN"):
            self.assertIn(what, plan["effects"])
        sql(self.db, "PRAGMA journal_mode = WAL", "CREATE TABLE citizens (id_card VARCHAR(18), phone VARCHAR(11))")
        with open(self.db, "rb") as f:
            before = f.read()
        plan = self.device.json("data", "plan", "--db", self.db, "--table", "citizens", "--columns", "id_card")
        with open(self.db, "rb") as f:
            self.assertEqual(f.read(), before)
        self.assertIn("fn_row", plan["alter_table"])
        sql(self.db, *[s for s in plan["alter_table"].split("\n") if s])
        with open(self.csv, "w") as f:
            f.write("id_card,phone\n110105194912310021,13800000000\n")
        self.assertEqual(self.protect(columns="id_card")["rows"], 1)
        self.assertEqual(self.verify()["count"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=1)
