"""Long differential runs: continues from the checkpoint and adds the totals to docs/testing.md.

usage: soak.py HOURS   (run by ./test --soak)"""
import json
import os
import re
import subprocess
import sys

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(TREE, "docs", "testing.md")
TOTALS = os.path.join(TREE, "docs", "soak.jsonl")
BEGIN, END = "<!-- soak totals begin -->", "<!-- soak totals end -->"


def main():
    hours = float(sys.argv[1])
    program = os.path.join(TREE, "build", "release", "tests", "fengni-soak")
    subprocess.run([program, "--hours", str(hours), "--checkpoint", TOTALS], check=True)
    with open(TOTALS, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f if line.strip()]
    table = ["| 项目 case | 次数 operations | 不一致 mismatches |", "|---|---:|---:|"]
    table += [f"| {r['case']} | {r['operations']:,} | {r.get('mismatches', 0)} |" for r in sorted(rows, key=lambda r: r["case"])]
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    page = re.sub(pattern, lambda _: BEGIN + "\n" + "\n".join(table) + "\n" + END, page, flags=re.S)
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(page)


if __name__ == "__main__":
    main()
