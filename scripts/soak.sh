#!/usr/bin/env bash
# Looks for bugs for as long as it is given: new seeds of the simulation for half of the time, random
# inputs for the other half. The model, which is exhaustive within its bounds, is checked once before.
#
#   scripts/soak.sh [MINUTES]                  30 without an argument
#   SIM_FIRST=5000000 scripts/soak.sh 120      seeds from there on; without it they start at the clock
#
# Stops at the first failure, which prints its seed and the command that replays it.
set -euo pipefail
cd "$(dirname "$0")/.."
# An environment RUSTFLAGS would replace the flags in .cargo/config.toml, which the simulation needs.
unset RUSTFLAGS RUSTDOCFLAGS

minutes=${1:-30}
case $minutes in '' | *[!0-9]*) echo "error: $minutes: expected a number of minutes" >&2; exit 2 ;; esac
share_seconds=$((minutes * 30))
cargo test --release -p model -p sim -p fuzz --no-run

echo "== model"
cargo test --release -p model

echo "== simulation"
first=${SIM_FIRST:-$(date +%s)000}
seeds=200
end=$((SECONDS + share_seconds))
while [ "$SECONDS" -lt "$end" ]; do
    echo "== simulation: $seeds seeds from $first"
    SIM_FIRST=$first SIM_SEEDS=$seeds cargo test --release -p sim
    first=$((first + seeds))
done

# The time is per target, and targets of one file run side by side: each gets its part as if they did not, so that
# none is left out; what is left over goes into another round.
echo "== random inputs"
targets=$(cargo test --release -p fuzz -- --list 2>/dev/null | grep -c ': test$')
export BOLERO_RANDOM_ITERATIONS=1000000000
end=$((SECONDS + share_seconds))
while left=$((end - SECONDS)); [ "$left" -gt 0 ]; do
    export BOLERO_RANDOM_TEST_TIME_MS=$((left * 1000 / targets + 1000))
    timeout --kill-after=10 "$((left + 60))s" cargo test --release -p fuzz || {
        status=$?
        [ "$status" = 124 ] || exit "$status"
    }
done
echo "== nothing found"
