#!/bin/bash
# Measures this workspace's server and MinIO in turn, with the benchmark. MinIO is built from its Go module into
# target/minio, at one version; that takes Go, and some minutes the first time. Both serve four drives, EC:2.
# Usage: scripts/compare-minio.sh [BENCH OPTIONS], such as --rounds 3 --dir /dev/shm --drives 16,
# or --nodes 4 --drives 1
set -euo pipefail
cd "$(dirname "$0")/.."
version=v0.0.0-20260212201848-7aac2a2c5b7c
if [ "$(cat target/minio/version 2>/dev/null)" != "$version" ]; then
    mkdir -p target/minio
    CGO_ENABLED=0 GOBIN=$PWD/target/minio go install "github.com/minio/minio@$version"
    echo "$version" >target/minio/version
fi
host=()
if [[ -e /.dockerenv && " $* " != *' --host'* ]]; then
    # In a container MinIO refuses nodes at loopback addresses.
    host=(--host "$(hostname -I | cut -d ' ' -f 1)")
fi
cargo build --release -p tests --bin bench
exec target/release/bench --compare target/minio/minio "${host[@]}" "$@"
