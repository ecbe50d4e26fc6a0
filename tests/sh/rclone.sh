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

say "all away"
rclone cleanup store:tree
rclone delete store:tree/root
rclone purge store:tree
rclone purge store:copies
[[ -z $(rclone lsf store:) ]]
