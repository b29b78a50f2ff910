#!/usr/bin/env bash
# Every primitive against other libraries and independent forms for a fixed time (20 s a primitive by default, spread over its
# cases); the seed is printed. Long runs: ./test --soak.
set -euo pipefail
program=$FENGNI_BIN/tests/fengni-soak
seconds=${FENGNI_SOAK_SECONDS:-20}
for primitive in sm2 sm3 sm4; do
    cases=$("$program" --list | grep -c "^$primitive")
    each=$((seconds / cases + 1))
    echo "$primitive: $cases cases, $each s each"
    "$program" --seconds "$each" "$primitive" &
done
status=0
for job in $(jobs -p); do wait "$job" || status=1; done
exit $status
