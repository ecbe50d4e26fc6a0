#!/usr/bin/env bash
# s3cmd against a server: s3cmd.sh ENDPOINT FOLDER. FOLDER is empty and is filled.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tree.sh"

endpoint=$1
folder=$2
host=${endpoint#http://}

cat >"$folder/s3cfg" <<END
[default]
host_base = $host
host_bucket = $host
use_https = False
bucket_location = us-east-1
access_key = $AWS_ACCESS_KEY_ID
secret_key = $AWS_SECRET_ACCESS_KEY
END
s3cmd() { command s3cmd --config "$folder/s3cfg" --no-progress "$@"; }

make_tree "$folder/up"
s3cmd --quiet mb s3://tree
[[ $(s3cmd ls) == *s3://tree ]]

say "a tree up and down, 20 MiB of it in parts"
s3cmd --quiet --multipart-chunk-size-mb 5 sync "$folder/up/" s3://tree/root/
mkdir "$folder/down"
s3cmd --quiet sync s3://tree/root/ "$folder/down/"
diff -r "$folder/up" "$folder/down"

say "a second sync finds nothing to do; a changed tree is followed"
again=$(s3cmd --dry-run --delete-removed sync "$folder/up/" s3://tree/root/)
[[ "$again" != *upload:* && "$again" != *delete:* ]] || { echo "$again"; exit 1; }
rm "$folder/up/many/file-9.bin"
echo changed >"$folder/up/many/file-7.bin"
s3cmd --quiet --delete-removed --multipart-chunk-size-mb 5 sync "$folder/up/" s3://tree/root/
s3cmd --quiet --delete-removed sync s3://tree/root/ "$folder/down/"
diff -r "$folder/up" "$folder/down"

say "info, copy, move, metadata, a signed URL, a stream"
[[ $(s3cmd info s3://tree) == *"Location:  us-east-1"* ]]
[[ $(s3cmd info s3://tree/root/deep/er/large) == *"File size: 20971520"* ]]
s3cmd --quiet cp s3://tree/root/deep/er/large s3://tree/copy
s3cmd --quiet mv s3://tree/copy s3://tree/moved
s3cmd --quiet modify --add-header 'Cache-Control: max-age=5' s3://tree/moved
refused curl --silent --fail --output "$folder/none" "$endpoint/tree/moved"
curl --silent --fail --dump-header "$folder/head" "$(s3cmd signurl s3://tree/moved +60)" |
    cmp - "$folder/up/deep/er/large"
grep -qi '^cache-control: max-age=5' "$folder/head"
s3cmd --quiet --multipart-chunk-size-mb 5 put - s3://tree/streamed <"$folder/up/deep/er/large"
s3cmd --quiet get s3://tree/streamed - | cmp - "$folder/up/deep/er/large"
[[ $(s3cmd du s3://tree/moved) =~ ^\ *20971520\  ]]
refused s3cmd --quiet get s3://tree/none "$folder/none"

say "all away"
[[ -z $(s3cmd multipart s3://tree | tail -n +3) ]]
s3cmd --quiet del --recursive --force s3://tree
s3cmd --quiet rb s3://tree
