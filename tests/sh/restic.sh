#!/usr/bin/env bash
# restic against a server: restic.sh ENDPOINT FOLDER. FOLDER is empty and is filled.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tree.sh"

endpoint=$1
folder=$2

# The keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. restic makes the bucket.
export RESTIC_REPOSITORY=s3:$endpoint/backups/laptop
export RESTIC_PASSWORD=correct-horse-battery-staple
export RESTIC_CACHE_DIR=$folder/cache
restic() { command restic --quiet "$@"; }

make_tree "$folder/home"
restic init

say "backup, and one of what changed since"
restic backup "$folder/home"
cp -r "$folder/home" "$folder/first"
head -c $((5 << 20)) /dev/urandom >"$folder/home/deep/new"
echo changed >"$folder/home/many/file-7.bin"
rm "$folder/home/many/file-9.bin"
restic backup "$folder/home"
[[ $(restic snapshots --json | grep -o '"short_id"' | wc -l) == 2 ]]

say "check that reads every byte"
restic check --read-data

say "restore both"
first=$(restic snapshots --json | grep -o '"short_id":"[0-9a-f]*"' | head -n 1 | cut -d '"' -f 4)
restic restore "$first" --target "$folder/restored-first"
restic restore latest --target "$folder/restored"
diff -r "$folder/first" "$folder/restored-first$folder/home"
diff -r "$folder/home" "$folder/restored$folder/home"

say "forget and prune; what is left is whole"
restic forget --keep-last 1 --prune
restic check --read-data
restic restore latest --target "$folder/restored-again"
diff -r "$folder/home" "$folder/restored-again$folder/home"

say "without a cache of its own"
rm -rf "$RESTIC_CACHE_DIR"
restic --no-cache check
[[ -z $(command restic list locks) ]]
