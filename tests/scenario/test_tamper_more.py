"""Tampering behind the system's back in kinds that the main job does not try: types, schema, manifests, other tables."""
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import BIN, Instance  # noqa: E402

ALTERED, MOVED, INSERTED, MISSING, SEGMENT_OLD, TABLE_OLD, CORRUPT = 600, 601, 602, 603, 604, 605, 307
# A table without the key that refuses doubles and values of other types.
LOOSE = "CREATE TABLE x (姓名, 电话, 城市, fn_row, fn_version, fn_mac); INSERT INTO x SELECT * FROM t; DROP TABLE t; ALTER TABLE x RENAME TO t; "
BACK = "DELETE FROM {0}; INSERT INTO {0} SELECT * FROM old.{0}; "


class Tampering(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.instance = Instance()
        cls.work = cls.instance.work
        cls.db = os.path.join(cls.work, "t.db")
        cls.old = os.path.join(cls.work, "old.db")
        cls.protect("t", range(600))
        shutil.copy(cls.db, cls.old)
        cls.protect("t", range(600, 700))
        cls.protect("u", range(300))
        found = cls.verify(cls.db)
        assert found == ([], 0), found

    @classmethod
    def tearDownClass(cls):
        cls.instance.close()

    @classmethod
    def protect(cls, table, numbers, db=None, check=True):
        path = os.path.join(cls.work, "in.csv")
        with open(path, "w", encoding="utf-8") as f:
            f.write("姓名,电话,城市\n")
            f.writelines(f"{table}姓名{n},1390000{n:04d},城市{n % 7}\n" for n in numbers)
        return cls.instance.fengni("data", "protect", "--in", path, "--table", table, "--columns", "姓名,电话", "--out", "sqlite:" + (db or cls.db), check=check)

    @classmethod
    def verify(cls, db, table="t"):
        """Findings as (code, row), and the exit status."""
        done = cls.instance.fengni("data", "verify", "--db", "sqlite:" + db, "--table", table, "--json", check=False)
        try:
            report, _ = json.JSONDecoder().raw_decode(done.stdout)
        except json.JSONDecodeError:
            raise AssertionError(done.stdout + done.stderr)
        findings = report["findings"] if "findings" in report else [{"code": report["error"]["number"]}]
        return [(f["code"], f.get("row", 0)) for f in findings], done.returncode

    def tampered(self, sql):
        copy = os.path.join(self.work, "copy.db")
        for tail in ("", "-wal", "-shm"):
            if os.path.exists(copy + tail):
                os.unlink(copy + tail)
        shutil.copy(self.db, copy)
        with open(copy, "rb") as f:
            before = f.read()
        database = sqlite3.connect(copy)
        database.execute("ATTACH ? AS old", (self.old,))
        database.executescript(sql)
        database.commit()
        database.close()
        with open(copy, "rb") as f:
            self.assertNotEqual(before, f.read(), "changed nothing")
        return self.verify(copy)

    def expect(self, sql, *wanted):
        with self.subTest(sql):
            found, status = self.tampered(sql)
            self.assertEqual(status, 1, found)
            for one in wanted:
                self.assertIn(one, found)

    def test_an_untouched_copy_verifies(self):
        self.assertEqual(self.tampered("CREATE TABLE mine (a)"), ([], 0))

    def test_types(self):
        self.expect("UPDATE t SET 城市 = CAST(城市 AS BLOB) WHERE fn_row = 300", (ALTERED, 300))
        self.expect("UPDATE t SET 城市 = 5 WHERE fn_row = 300", (ALTERED, 300))
        self.expect("UPDATE t SET 城市 = NULL WHERE fn_row = 300", (ALTERED, 300))
        self.expect("UPDATE t SET 城市 = 城市 || char(0) WHERE fn_row = 300", (ALTERED, 300))
        self.expect("UPDATE t SET 电话 = CAST(zeroblob(3000000) AS TEXT) WHERE fn_row = 300", (ALTERED, 300))
        self.expect("UPDATE t SET fn_mac = CAST(fn_mac AS TEXT) WHERE fn_row = 300", (MISSING, 300))
        self.expect("UPDATE t SET fn_mac = x'' WHERE fn_row = 300", (MISSING, 300))
        self.expect("UPDATE t SET fn_mac = CAST(x'00000007' || substr(fn_mac, 5) AS BLOB) WHERE fn_row = 300", (ALTERED, 300))
        self.expect("UPDATE t SET fn_version = -1 WHERE fn_row = 300", (MISSING, 300))
        self.expect("UPDATE t SET fn_version = 9223372036854775807 WHERE fn_row = 300", (ALTERED, 300))
        for value in ("NULL", "-300", "300.0", "9.3e18", "CAST(300 AS BLOB)", "'300a'"):
            self.expect(LOOSE + f"UPDATE t SET fn_row = {value} WHERE fn_row = 300", (MISSING, 300))
        self.expect(LOOSE + "UPDATE t SET fn_version = 1.0 WHERE fn_row = 300", (MISSING, 300))
        self.expect("UPDATE t SET fn_row = 9223372036854775807 WHERE fn_row = 300", (MOVED, 9223372036854775807))
        self.expect("UPDATE t SET fn_row = fn_row | (1 << 40) WHERE fn_row = 300", (MOVED, 1 << 40 | 300))

    def test_doubles(self):
        self.expect(LOOSE + "INSERT INTO t SELECT * FROM t WHERE fn_row = 300", (INSERTED, 300))
        self.expect(LOOSE + "INSERT INTO t SELECT 电话, 姓名, 城市, fn_row, fn_version, fn_mac FROM t WHERE fn_row = 300", (INSERTED, 300))

    def test_schema(self):
        self.expect("ALTER TABLE t RENAME 姓名 TO x; ALTER TABLE t RENAME 电话 TO 姓名; ALTER TABLE t RENAME x TO 电话", (ALTERED, 300))
        self.expect("ALTER TABLE t RENAME TO y; CREATE VIEW t AS SELECT * FROM y WHERE fn_row <> 300", (MISSING, 300))
        self.expect("DROP TABLE t")
        self.expect("ALTER TABLE t DROP COLUMN 城市")
        self.expect("DROP TABLE fn_data_segment")
        self.expect("DROP TABLE fn_data_head")

    def test_a_trigger_that_alters_what_is_written(self):
        path = os.path.join(self.work, "trigger.db")
        self.protect("t", range(10), path)
        database = sqlite3.connect(path)
        database.executescript("CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET 城市 = 'x' WHERE fn_row = new.fn_row; END")
        database.close()
        self.protect("t", range(10, 20), path, check=False)
        found, status = self.verify(path)
        self.assertEqual(status, 1)
        self.assertIn((ALTERED, 15), found)

    def test_old_content_in_part_and_whole(self):
        rows, segments, heads = (BACK.format(t) for t in ("t", "fn_data_segment", "fn_data_head"))
        self.expect(rows, (MISSING, 650))
        self.expect(rows + segments, (CORRUPT, 0))
        self.expect(segments, (CORRUPT, 0))
        self.expect(heads, (TABLE_OLD, 0))
        self.expect(segments + heads, (TABLE_OLD, 0))
        self.expect(rows + segments + heads, (TABLE_OLD, 0))
        found, status = self.verify(self.old)
        self.assertEqual((found[0], status), ((TABLE_OLD, 0), 1))

    def test_manifest(self):
        last = "(SELECT max(counter) FROM fn_data_head WHERE table_uuid = (SELECT uuid FROM fn_data_table WHERE name = 't'))"
        mine = "table_uuid = (SELECT uuid FROM fn_data_table WHERE name = 't')"
        self.expect("DELETE FROM fn_data_head", (TABLE_OLD, 0))
        self.expect("DELETE FROM fn_data_segment", (CORRUPT, 0))
        self.expect(f"DELETE FROM fn_data_segment WHERE segment = 2 AND {mine}; DELETE FROM t WHERE fn_row > 512", (CORRUPT, 0))
        self.expect(f"UPDATE fn_data_segment SET live = live - 1 WHERE segment = 1 AND {mine}", (CORRUPT, 0))
        self.expect(f"UPDATE fn_data_segment SET sum = zeroblob(32) WHERE segment = 1 AND {mine}", (CORRUPT, 0))
        self.expect(f"UPDATE fn_data_segment SET segment = -1 WHERE segment = 1 AND {mine}", (CORRUPT, 0))
        self.expect(f"UPDATE fn_data_segment SET live = 'x' WHERE {mine}", (CORRUPT, 0))
        self.expect(f"UPDATE fn_data_head SET counter = counter + 1000 WHERE {mine}", (CORRUPT, 0))
        self.expect(f"UPDATE fn_data_head SET counter = 'x' WHERE counter = {last} AND {mine}")
        self.expect(f"INSERT INTO fn_data_head SELECT table_uuid, writer, counter + 1, record, mac FROM fn_data_head WHERE counter = {last} AND {mine}", (CORRUPT, 0))
        self.expect(f"UPDATE fn_data_head SET record = (SELECT record FROM old.fn_data_head LIMIT 1), mac = (SELECT mac FROM old.fn_data_head LIMIT 1) WHERE counter = {last} AND {mine}", (CORRUPT, 0))
        self.expect(f"UPDATE fn_data_head SET mac = zeroblob(36) WHERE {mine}", (CORRUPT, 0))
        self.expect("DELETE FROM t; DELETE FROM fn_data_segment; DELETE FROM fn_data_head", (TABLE_OLD, 0))

    def test_definition(self):
        self.expect("DELETE FROM fn_data_table WHERE name = 't'")
        self.expect("UPDATE fn_data_table SET columns = CAST(substr(columns, 1, length(columns) - 1) || x'00' AS BLOB)", (CORRUPT, 0))
        self.expect("UPDATE fn_data_table SET suite = 2", (CORRUPT, 0))
        self.expect("UPDATE fn_data_table SET uuid = zeroblob(16) WHERE name = 't'", (CORRUPT, 0))

    def test_two_tables(self):
        self.expect("ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; ALTER TABLE x RENAME TO u", (ALTERED, 200))
        self.expect("UPDATE fn_data_table SET name = 'x' WHERE name = 't'; UPDATE fn_data_table SET name = 't' WHERE name = 'u'", (CORRUPT, 0))
        self.expect("UPDATE t SET 姓名 = (SELECT 姓名 FROM u WHERE fn_row = 30) WHERE fn_row = 30", (ALTERED, 30))
        self.expect("DELETE FROM t WHERE fn_row = 30; INSERT INTO t SELECT * FROM u WHERE fn_row = 30", (ALTERED, 30))

    def test_another_database_with_a_table_of_that_name(self):
        path = os.path.join(self.work, "other.db")
        self.protect("t", range(300), path)
        with sqlite3.connect(path) as other:
            row = other.execute("SELECT * FROM t WHERE fn_row = 30").fetchone()
        other.close()
        values = ", ".join("x'" + v.hex() + "'" if isinstance(v, bytes) else f"'{v}'" if isinstance(v, str) else str(v) for v in row)
        self.expect(f"DELETE FROM t WHERE fn_row = 30; INSERT INTO t VALUES ({values})", (ALTERED, 30))

    def test_only_the_log_of_the_database_thrown_away(self):
        path = os.path.join(self.work, "log.db")
        self.protect("t", range(600), path)
        keep = sqlite3.connect(path)  # a reader keeps the log from being folded in at close
        keep.execute("BEGIN")
        keep.execute("SELECT count(*) FROM t").fetchone()
        self.protect("t", range(600, 700), path)
        self.assertEqual(self.verify(path), ([], 0))
        copy = os.path.join(self.work, "log-copy.db")
        shutil.copy(path, copy)
        keep.close()
        found, status = self.verify(copy)
        self.assertEqual((found[0], status), ((TABLE_OLD, 0), 1))


if __name__ == "__main__":
    unittest.main()
