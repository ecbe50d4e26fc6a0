#!/usr/bin/env bash
# The aws cli against a server: aws.sh ENDPOINT FOLDER. FOLDER is empty and is filled.
set -euo pipefail

endpoint=$1
folder=$2
aws() { command aws --endpoint-url "$endpoint" --region us-east-1 "$@"; }

aws s3 mb s3://tree

echo "a tree up and down"
mkdir -p "$folder/up/deep/er/still" "$folder/up/name with spaces" "$folder/up/ümläut"
for number in $(seq 40); do
    head -c $((number * 997)) /dev/urandom >"$folder/up/deep/file-$number.bin"
done
head -c 3000000 /dev/urandom >"$folder/up/deep/er/large"
: >"$folder/up/deep/er/still/empty"
echo text >"$folder/up/name with spaces/a+b%20c&d.txt"
echo text >"$folder/up/ümläut/ß"
aws s3 sync --quiet "$folder/up" s3://tree/root --checksum-algorithm CRC64NVME
aws s3 sync --quiet s3://tree/root "$folder/down" --checksum-mode ENABLED
diff -r "$folder/up" "$folder/down"

echo "a second sync finds nothing to do"
again=$(aws s3 sync "$folder/up" s3://tree/root)
[[ -z "$again" ]] || { echo "$again"; exit 1; }

echo "200 MiB in parts"
head -c $((200 << 20)) /dev/urandom >"$folder/large"
aws s3 cp --quiet "$folder/large" s3://tree/large
aws s3 cp --quiet s3://tree/large "$folder/large-down"
cmp "$folder/large" "$folder/large-down"
aws s3api head-object --bucket tree --key large --output text --query ETag | grep -q -- '-25"$'

echo "copy, move, presign, list"
aws s3 cp --quiet s3://tree/large s3://tree/copy
aws s3 cp --quiet s3://tree/copy - | cmp - "$folder/large"
aws s3 mv --quiet s3://tree/root/deep/er/large s3://tree/moved
[[ $(aws s3 ls s3://tree/ | wc -l) == 4 ]]
curl --silent --fail "$(aws s3 presign s3://tree/moved --expires-in 60)" | cmp - "$folder/up/deep/er/large"

echo "all away"
aws s3 rm --quiet --recursive s3://tree
aws s3 rb s3://tree
