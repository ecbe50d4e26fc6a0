#!/usr/bin/env bash
# Installs the S3 clients that the black-box tests drive (boto3, aws cli) into target/clients, pinned.
# Does nothing when they are there. Prints the folder.
set -euo pipefail

BOTO3=1.43.11
# With its native library, for CRC32C and CRC64NVME.
BOTOCORE=1.43.11
AWSCLI=1.45.11

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$root/target/clients
wanted="boto3==$BOTO3 botocore[crt]==$BOTOCORE awscli==$AWSCLI"

mkdir -p "$root/target"
# Tests run side by side and may all come here first.
exec 9>"$root/target/clients.lock"
flock 9

if [[ "$(cat "$folder/installed" 2>/dev/null)" != "$wanted" ]]; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    # shellcheck disable=SC2086 # three words
    "$folder/bin/pip" install --quiet --disable-pip-version-check $wanted >&2
    echo "$wanted" >"$folder/installed"
fi
echo "$folder"
