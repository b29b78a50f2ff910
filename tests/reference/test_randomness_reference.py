"""The randomness tests against an independent reference on sequences of 20,000 bits, and three of them on 10^6."""
import hashlib
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import randomness  # noqa: E402

PROGRAM = os.path.join(os.environ['FENGNI_BIN'], 'tests', 'crypto.randomness_report')


def ours(data, *arguments):
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        done = subprocess.run([PROGRAM, f.name, 'json', *arguments], stdout=subprocess.PIPE, check=False)
    assert done.returncode in (0, 1), done.returncode
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]['good'] == all(r['good'] for r in lines[:-1])
    assert (done.returncode == 0) == lines[-1]['good']
    return lines[:-1]


def compare(data, items):
    bits, compared, seen = randomness.unpack(data), 0, {}
    for row in ours(data):
        if row['item'] not in items:
            continue
        key = (row['item'], row['parameter'])
        if key not in seen:
            seen[key] = list(randomness.TESTS[row['item']](bits, row['parameter']))
        p, q = seen[key].pop(0)
        assert abs(p - row['p']) < 2e-8 and abs(q - row['q']) < 2e-8, (key, p, q, row)
        assert row['good'] == (p >= 0.01), row
        compared += 1
    assert {i for i, _ in seen} == set(items), seen.keys()
    assert not any(seen.values()), seen
    return compared


def stream(name, size):
    return hashlib.shake_256(name.encode()).digest(size)


def check_reference():
    """The standard's own examples hold for the reference too."""
    bits = randomness.unpack(bytes.fromhex('cc156c4ce0024d5113d680d7cce6d8b2'))
    for item, parameter, p in ((1, 0, .215925), (3, 4, .213734), (5, 0, .620729), (6, 0, .970152), (7, 8, .180598),
                               (8, 3, .039669), (9, 1, .790080)):
        got = randomness.TESTS[item](bits, parameter)[0][0]
        assert abs(got - p) < 1e-6, (item, got)


def main():
    check_reference()
    short = [i for i in range(1, 16) if i not in (13, 14)]
    total = 0
    for name in ('one', 'two', 'three'):
        total += compare(stream(name, 2500), short)
    biased = bytes(b & (b >> 1 | 0xf3) for b in stream('biased', 2500))
    total += compare(biased, short)
    total += compare(stream('long', 125000), [10, 13, 14])
    print(total, 'values compared')
    assert total == 4 * 23 + 3, total


main()
