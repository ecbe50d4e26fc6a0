#!/usr/bin/env bash
# The aws cli against four nodes: cluster_aws.sh ENDPOINT ENDPOINT ENDPOINT ENDPOINT FOLDER. FOLDER is empty and is filled.
set -euo pipefail

endpoints=("${@:1:4}")
folder=$5
at() { aws --endpoint-url "${endpoints[$1 - 1]}" --region us-east-1 "${@:2}"; } # NODE COMMAND…

mkdir -p "$folder/up/deep"
for number in $(seq 20); do
    head -c $((number * 4997)) /dev/urandom >"$folder/up/deep/file-$number"
done
head -c $((20 << 20)) /dev/urandom >"$folder/up/large"

at 1 s3 mb s3://cluster-aws
at 2 s3 sync --quiet "$folder/up" s3://cluster-aws/root
at 3 s3 sync --quiet s3://cluster-aws/root "$folder/down"
diff -r "$folder/up" "$folder/down"
echo changed >"$folder/up/deep/file-7"
at 4 s3 cp --quiet "$folder/up/deep/file-7" s3://cluster-aws/root/deep/file-7
at 1 s3 cp --quiet s3://cluster-aws/root/deep/file-7 - | cmp - "$folder/up/deep/file-7"
at 2 s3 rm --quiet s3://cluster-aws/root/deep/file-9
[[ $(at 3 s3 ls --recursive s3://cluster-aws/ | wc -l) == 20 ]]
at 4 s3 cp --quiet s3://cluster-aws/root/large - | cmp - "$folder/up/large"
