#!/bin/bash
# Measures a server of four drives, healthy and then with one drive that hangs. Takes root.
#   frozen   the drives are on ext4 in loop devices; one file system is frozen before the first request, so that every
#            write to that drive hangs in the kernel
#   stopped  one drive is behind FUSE (the program bindfs); that process is stopped when the objects have been written,
#            so that every call on that drive hangs, and what is read has a shard there
# Usage: scripts/one-hung-drive.sh frozen|stopped [BINARY] [BENCH OPTIONS]
set -euo pipefail
cd "$(dirname "$0")/.."
how=${1:?frozen or stopped}
binary=${2:-target/release/impl}
options=("${@:3}")
if [ ${#options[@]} = 0 ]; then
    for operation in put-4KiB put-1MiB get-4KiB get-1MiB list-1000; do options+=(--operation "$operation"); done
fi
cargo build --release -p tests --bin bench
folder=$(mktemp -d -p /dev/shm one-hung-drive.XXXXXX)
export MINIO_ROOT_USER=bench-user MINIO_ROOT_PASSWORD=bench-password MINIO_SHUTDOWN_DELAY=0s
server='' fuse=''

clean_up() {
    if [ -n "$fuse" ]; then kill -CONT "$fuse"; fi
    for n in 1 2 3 4; do fsfreeze --unfreeze "$folder/mount$n" 2>/dev/null || true; done
    if [ -n "$server" ]; then kill "$server" && wait "$server" || true; server=''; fi
    for n in 1 2 3 4; do umount "$folder/mount$n" 2>/dev/null || true; done
    if [ -n "$fuse" ]; then wait "$fuse" || true; fuse=''; fi
    rm -rf "${folder:?}"/*
}
trap 'clean_up; rmdir "$folder"' EXIT

mount_frozen() {
    truncate --size 512M "$folder/image$1"
    mkfs.ext4 -q -F "$folder/image$1"
    mount -o loop "$folder/image$1" "$folder/mount$1"
}

mount_stopped() {
    if [ "$1" = 4 ]; then
        mkdir "$folder/behind"
        bindfs -f --multithreaded "$folder/behind" "$folder/mount4" &
        fuse=$!
        until mountpoint -q "$folder/mount4"; do sleep 0.1; done
    fi
}

measure() {
    for n in 1 2 3 4; do
        mkdir "$folder/mount$n"
        "mount_$how" "$n"
        mkdir "$folder/mount$n/drive"
    done
    local port prepared=()
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$binary" server --quiet --address "127.0.0.1:$port" "$folder"/mount{1,2,3,4}/drive &
    server=$!
    sleep 2
    case $1-$how in
        hung-frozen) fsfreeze --freeze "$folder/mount4" ;;
        # Without its pages in the kernel's cache, reads of its index hang as well.
        hung-stopped) prepared=(--when-prepared "kill -STOP $fuse && echo 3 > /proc/sys/vm/drop_caches") ;;
    esac
    echo "$1:"
    timeout 300 target/release/bench --endpoint "http://127.0.0.1:$port" --pid "$server" --seconds 4 "${options[@]}" \
        "${prepared[@]}" | grep "^| [dghlp][a-z]*-" || echo "the benchmark did not end"
    clean_up
}

measure healthy
measure hung
