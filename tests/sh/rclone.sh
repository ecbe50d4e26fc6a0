#!/usr/bin/env bash
# rclone against a server: rclone.sh ENDPOINT FOLDER. FOLDER is empty and is filled.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tree.sh"

endpoint=$1
folder=$2
export RCLONE_CONFIG=$folder/rclone.conf

cat >"$RCLONE_CONFIG" <<END
[store]
type = s3
provider = Minio
endpoint = $endpoint
region = us-east-1
access_key_id = $AWS_ACCESS_KEY_ID
secret_access_key = $AWS_SECRET_ACCESS_KEY
END
# Parts of 5 MiB, so that 20 MiB are several.
rclone() { command rclone --s3-chunk-size 5Mi --s3-upload-cutoff 5Mi --retries 1 --low-level-retries 1 "$@"; }

make_tree "$folder/up"
rclone mkdir store:tree

say "sync, check by checksum and by content"
rclone sync "$folder/up" store:tree/root
rclone check "$folder/up" store:tree/root
rclone check --download "$folder/up" store:tree/root
diff <(cd "$folder/up" && find . -type f -printf '%P\n' | LC_ALL=C sort) \
    <(rclone lsf --recursive --files-only store:tree/root | LC_ALL=C sort)

say "a second sync moves nothing; a changed tree is followed"
again=$(rclone sync --dry-run "$folder/up" store:tree/root 2>&1)
[[ "$again" != *Skipped* ]] || { echo "$again"; exit 1; }
echo changed >"$folder/up/many/file-7.bin"
touch --date 2001-02-03 "$folder/up/many/file-8.bin" "$folder/up/deep/er/large"
rm "$folder/up/many/file-9.bin"
rclone sync "$folder/up" store:tree/root
rclone sync store:tree/root "$folder/down"
diff -r "$folder/up" "$folder/down"
[[ $(date --reference "$folder/down/deep/er/large" +%F) == 2001-02-03 ]]

say "copies and moves on the server's side"
rclone mkdir store:copies
rclone copy store:tree/root store:copies/a
rclone move store:copies/a store:copies/b
rclone check store:tree/root store:copies/b
[[ -z $(rclone lsf store:copies/a) ]]

say "a stream of unknown length, a piece of it, sizes"
rclone cat store:tree/root/deep/er/large | rclone rcat --streaming-upload-cutoff 1Mi store:tree/streamed
rclone cat --offset 6000000 --count 1000 store:tree/streamed |
    cmp - <(tail -c +6000001 "$folder/up/deep/er/large" | head -c 1000)
[[ $(rclone size --json store:tree/streamed) == *'"bytes":20971520'* ]]

say "a client that knows nothing of the server"
rclone check --s3-provider Other "$folder/up" store:tree/root

if [[ -w /dev/fuse ]] && type -P fusermount3 >/dev/null; then
    say "a mount"
    mkdir "$folder/mount"
    rclone mount store:copies "$folder/mount" --vfs-cache-mode writes --vfs-write-back 0s --daemon \
        --cache-dir "$folder/cache" --log-file "$folder/mount.log"
    trap 'fusermount3 -u -z "$folder/mount" || true' EXIT
    diff -r "$folder/up" "$folder/mount/b"
    cp -r "$folder/up/many" "$folder/mount/new"
    mv "$folder/mount/new/file-1.bin" "$folder/mount/new/renamed"
    rm "$folder/mount/new/file-2.bin"
    sync "$folder/mount/new/renamed"
    fusermount3 -u "$folder/mount"
    trap - EXIT
    # The daemon sends what it still holds before it ends.
    for _ in $(seq 100); do
        rclone check "$folder/up/many" store:copies/new 2>"$folder/differences" || true
        grep -q ' 3 differences found' "$folder/differences" && break
        sleep 0.1
    done
    grep -q ' 3 differences found' "$folder/differences" || { cat "$folder/differences" "$folder/mount.log"; exit 1; }
    rclone cat store:copies/new/renamed | cmp - "$folder/up/many/file-1.bin"
else
    echo "skipped: the mount; it needs /dev/fuse and fusermount3"
fi

say "all away"
rclone cleanup store:tree
rclone delete store:tree/root
rclone purge store:tree
rclone purge store:copies
[[ -z $(rclone lsf store:) ]]
