"""Our sharing against the reference: split with given coefficients and combine, over small and large t and n."""
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import shamir  # noqa: E402

PROGRAM = os.path.join(os.environ['FENGNI_BIN'], 'tests', 'device.shamir')
SEED = int(os.environ.get('FENGNI_SEED', '20260731'))


def ours(lines):
    done = subprocess.run([PROGRAM, 'lines'], input='\n'.join(lines) + '\n', stdout=subprocess.PIPE, text=True, check=True)
    return [[bytes.fromhex(word) for word in line.split()] for line in done.stdout.splitlines()]


def main():
    source = random.Random(SEED)
    cases = [(2, 2, 1), (2, 3, 16), (3, 5, 16), (3, 5, 32), (5, 9, 48), (16, 16, 20), (24, 30, 2), (2, 255, 1), (128, 255, 1)]
    cases += [(t, t + source.randrange(6), source.randrange(1, 17)) for t in range(2, 14) for _ in range(2)]
    lines, splits, combined = [], [], []
    for t, n, size in cases:
        secret, stream = source.randbytes(size), source.randbytes((t - 1) * size)
        shares = shamir.split(secret, t, n, stream)
        lines.append(f'split {t} {n} {secret.hex()} {stream.hex()}')
        splits.append(shares)
        if t > 30:
            continue  # the reference solves a system of t equations
        for count in {t, n} if n < 60 else {t}:
            combined.append((source.sample(shares, count), secret))
        if t > 2:
            few = source.sample(shares, t - 1)
            combined.append((few, shamir.combine(few)))
    lines += ['combine ' + ' '.join(s.hex() for s in shares) for shares, _ in combined]
    answers = ours(lines)
    assert len(answers) == len(lines), (len(answers), len(lines))
    assert answers[:len(splits)] == splits
    for (shares, secret), answer in zip(combined, answers[len(splits):]):
        assert shamir.combine(shares) == secret and answer == [secret], (shares, secret, answer)
    print(f'seed {SEED}: {len(splits)} splits, {len(combined)} combinations agree')


if __name__ == '__main__':
    main()
