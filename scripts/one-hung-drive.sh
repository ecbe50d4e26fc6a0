#!/bin/bash
# Measures a server of four drives on ext4 in loop devices, healthy and then with one of the file systems frozen, so that
# every write to that drive hangs in the kernel. Takes root. Usage: scripts/one-hung-drive.sh [BINARY] [BENCH OPTIONS]
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${1:-target/release/impl}
shift || true
options=("$@")
if [ ${#options[@]} = 0 ]; then
    for operation in put-4KiB put-1MiB get-4KiB get-1MiB list-1000; do options+=(--operation "$operation"); done
fi
cargo build --release -p tests --bin bench
folder=$(mktemp -d -p /dev/shm one-hung-drive.XXXXXX)
export MINIO_ROOT_USER=bench-user MINIO_ROOT_PASSWORD=bench-password MINIO_SHUTDOWN_DELAY=0s
server=

clean_up() {
    for n in 1 2 3 4; do fsfreeze --unfreeze "$folder/mount$n" 2>/dev/null || true; done
    if [ -n "$server" ]; then kill "$server" && wait "$server" || true; server=; fi
    for n in 1 2 3 4; do umount "$folder/mount$n" 2>/dev/null || true; done
    rm -rf "${folder:?}"/*
}
trap 'clean_up; rmdir "$folder"' EXIT

measure() {
    for n in 1 2 3 4; do
        truncate --size 512M "$folder/image$n"
        mkfs.ext4 -q -F "$folder/image$n"
        mkdir "$folder/mount$n"
        mount -o loop "$folder/image$n" "$folder/mount$n"
        mkdir "$folder/mount$n/drive"
    done
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$binary" server --quiet --address "127.0.0.1:$port" "$folder"/mount{1,2,3,4}/drive &
    server=$!
    sleep 2
    if [ "$1" = frozen ]; then fsfreeze --freeze "$folder/mount4"; fi
    echo "$1:"
    timeout 300 target/release/bench --endpoint "http://127.0.0.1:$port" --pid "$server" --seconds 4 "${options[@]}" \
        | grep "^| [dghlp][a-z]*-" || echo "the benchmark did not end"
    clean_up
}

measure healthy
measure frozen
