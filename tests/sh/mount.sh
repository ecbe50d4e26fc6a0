#!/usr/bin/env bash
# A bucket mounted as a folder, by rclone: mount.sh ENDPOINT FOLDER. FOLDER is empty and is filled. Needs FUSE.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tree.sh"

endpoint=$1
folder=$2
# What rclone.conf says, as variables.
export RCLONE_CONFIG=/dev/null RCLONE_CONFIG_STORE_TYPE=s3 RCLONE_CONFIG_STORE_PROVIDER=Minio
export RCLONE_CONFIG_STORE_ENDPOINT=$endpoint RCLONE_CONFIG_STORE_ENV_AUTH=true

make_tree "$folder/up"
mkdir "$folder/mount"
rclone mkdir store:bucket
rclone mount store:bucket "$folder/mount" --daemon --vfs-cache-mode writes --vfs-write-back 0s \
    --cache-dir "$folder/cache" --log-file "$folder/log"
trap 'fusermount3 -u -z "$folder/mount"; cat "$folder/log"' EXIT

say "a tree copied in, and out again"
cp -r "$folder/up" "$folder/mount/tree"
mv "$folder/mount/tree/many/file-1.bin" "$folder/mount/tree/many/renamed"
rm "$folder/mount/tree/many/file-2.bin"
echo more >>"$folder/mount/tree/many/file"
mv "$folder/up/many/file-1.bin" "$folder/up/many/renamed"
rm "$folder/up/many/file-2.bin"
echo more >>"$folder/up/many/file"
diff -r "$folder/up" "$folder/mount/tree"

say "what was written has arrived"
for _ in $(seq 100); do
    rclone check "$folder/up" store:bucket/tree 2>"$folder/differences" && break
    sleep 0.1
done
rclone check "$folder/up" store:bucket/tree

say "another mount sees it"
fusermount3 -u "$folder/mount"
rclone mount store:bucket "$folder/mount" --daemon --read-only --log-file "$folder/log"
diff -r "$folder/up" "$folder/mount/tree"
