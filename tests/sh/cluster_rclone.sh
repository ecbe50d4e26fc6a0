#!/usr/bin/env bash
# rclone against four nodes: cluster_rclone.sh ENDPOINT ENDPOINT ENDPOINT ENDPOINT FOLDER. FOLDER is empty and is filled.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tree.sh"

endpoints=("${@:1:4}")
folder=$5
export RCLONE_CONFIG=$folder/rclone.conf
for number in 1 2 3 4; do
    cat >>"$RCLONE_CONFIG" <<END_OF_NODE
[node$number]
type = s3
provider = Minio
endpoint = ${endpoints[$number - 1]}
region = us-east-1
access_key_id = $AWS_ACCESS_KEY_ID
secret_access_key = $AWS_SECRET_ACCESS_KEY
END_OF_NODE
done
# Parts of 5 MiB, so that 20 MiB are several.
rclone() { command rclone --s3-chunk-size 5Mi --s3-upload-cutoff 5Mi --retries 1 --low-level-retries 1 "$@"; }

make_tree "$folder/up"
rclone mkdir node1:cluster-rclone
rclone sync "$folder/up" node2:cluster-rclone/root
rclone check --download "$folder/up" node3:cluster-rclone/root
echo changed >"$folder/up/many/file-7.bin"
rm "$folder/up/many/file-9.bin"
rclone sync "$folder/up" node4:cluster-rclone/root
rclone sync node1:cluster-rclone/root "$folder/down"
diff -r "$folder/up" "$folder/down"
rclone cat --offset 6000000 --count 1000 node2:cluster-rclone/root/deep/er/large |
    cmp - <(tail -c +6000001 "$folder/up/deep/er/large" | head -c 1000)
diff <(cd "$folder/up" && find . -type f -printf '%P\n' | LC_ALL=C sort) \
    <(rclone lsf --recursive --files-only node3:cluster-rclone/root | LC_ALL=C sort)
