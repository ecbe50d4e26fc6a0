#!/usr/bin/env bash
# Looks for bugs for as long as it is given: new seeds of the simulation, deeper models, random inputs.
#
#   scripts/soak.sh [MINUTES]      30 without an argument; a third for each of the three
#   SIM_FIRST=5000000 scripts/soak.sh 120      seeds from there on; without it they start at the clock
#
# Stops at the first failure, which prints its seed and the command that replays it.
set -euo pipefail
cd "$(dirname "$0")/.."
unset RUSTFLAGS RUSTDOCFLAGS

minutes=${1:-30}
case $minutes in '' | *[!0-9]*) echo "error: $minutes: expected a number of minutes" >&2; exit 2 ;; esac
share_seconds=$((minutes * 20))

# The model's larger configurations are ignored tests: they take as long as they take.
echo "== model"
timeout --kill-after=10 "${share_seconds}s" cargo test --release -p model -- --ignored --nocapture || {
    status=$?
    [ "$status" = 124 ] || exit "$status"
    echo "== model: not finished within its share; nothing was found in what was explored"
}

echo "== simulation"
first=${SIM_FIRST:-$(date +%s)000}
seeds=200
end=$((SECONDS + share_seconds))
while [ "$SECONDS" -lt "$end" ]; do
    echo "== simulation: seeds from $first"
    SIM_FIRST=$first SIM_SEEDS=$seeds cargo test --release -p sim
    first=$((first + seeds))
done

# The time is per target; a quarter of the share each, and no more than the share together.
echo "== random inputs"
export BOLERO_RANDOM_TEST_TIME_MS=$((share_seconds * 250)) BOLERO_RANDOM_ITERATIONS=1000000000
timeout --kill-after=10 "${share_seconds}s" cargo test --release -p fuzz || {
    status=$?
    [ "$status" = 124 ] || exit "$status"
}
echo "== nothing found in $minutes minutes"
