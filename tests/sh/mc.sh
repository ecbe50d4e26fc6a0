#!/usr/bin/env bash
# MinIO's mc against a server: mc.sh ENDPOINT FOLDER. FOLDER is empty and is filled.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tree.sh"

endpoint=$1
folder=$2
export MC_CONFIG_DIR=$folder/config
# What mc says is for programs here.
export MC_NO_COLOR=1 MC_QUIET=1

# An answer that holds a text: has TEXT COMMAND…
has() {
    local text=$1 answer
    shift
    answer=$("$@" 2>&1) || { echo "$*: $answer"; exit 1; }
    [[ "$answer" == *"$text"* ]] || { echo "$* lacks $text: $answer"; exit 1; }
}

# A command that fails with a text, and in no worse way: fails TEXT COMMAND…
fails() {
    local text=$1 answer status=0
    shift
    answer=$(timeout 60 "$@" 2>&1) || status=$?
    [[ $status == 1 && "$answer" == *"$text"* && "$answer" != *panic* ]] || { echo "$* ends with $status: $answer"; exit 1; }
}

mc alias set store "$endpoint" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" --api S3v4

say "a tree up and down"
make_tree "$folder/up"
mc mb store/tree
mc mirror "$folder/up" store/tree/root >/dev/null
mc mirror store/tree/root "$folder/down" >/dev/null
diff -r "$folder/up" "$folder/down"
[[ -z "$(mc diff "$folder/up" store/tree/root)" ]]

say "one object in every way"
echo text >"$folder/text"
mc cp --attr "Cache-Control=no-store;colour=red" "$folder/text" store/tree/text
has text mc ls store/tree
has text mc ls --versions store/tree
has root/many mc ls -r store/tree
has red mc stat store/tree/text
[[ "$(mc cat store/tree/text)" == text ]]
has tree mc du store/tree
has text mc find store/tree --name text
has root mc tree store/tree
mc mv store/tree/text store/tree/moved
has X-Amz-Signature mc share download store/tree/moved
curl --fail --silent "$(mc share download --json store/tree/moved | sed 's/.*"share":"\([^"]*\)".*/\1/; s/\\u0026/\&/g')" | grep -qx text
mc pipe store/tree/piped <"$folder/text"
[[ "$(mc cat store/tree/piped)" == text ]]
has success mc od "if=$folder/up/deep/er/large" of=store/tree/od size=5MiB --json
mc rm store/tree/od

say "settings that were never made"
has un-versioned mc version info store/tree
has private mc anonymous get store/tree
[[ -z "$(mc event list store/tree)" ]]
has "No bucket CORS" mc cors get store/tree
fails "No tags found" mc tag list store/tree
fails "not set" mc replicate ls store/tree
fails "no lifecycle" mc ilm rule ls store/tree
mc tag remove store/tree
mc cors remove store/tree
mc anonymous set private store/tree
mc event remove store/tree --force

say "the server"
mc ping store --count 1
mc ready store
has minio_ mc admin prometheus metrics store
has "4 drives online, 0 drives offline, EC:2" mc admin info store
python3 - "$(mc admin info store --json)" <<'END'
import json, sys
info = json.loads(sys.argv[1])["info"]
server, backend = info["servers"][0], info["backend"]
assert info["mode"] == "online" and server["state"] == "online", info
assert backend["totalDrivesPerSet"] == [4] and backend["totalSets"] == [1] and backend["standardSCParity"] == 2, backend
assert list(server["network"].values()) == ["online"] and server["poolNumbers"] == [1], server
assert [drive["state"] for drive in server["drives"]] == ["ok"] * 4, server
assert [drive["disk_index"] for drive in server["drives"]] == [0, 1, 2, 3], server
END

say "what is not built says so"
for what in \
    "heal store" "heal -r store/tree" "user ls store" "user add store somebody some-secret" "policy ls store" \
    "group ls store" "config get store api" "kms key status store" "kms key create store key" \
    "decommission status store"; do
    # shellcheck disable=SC2086 # several words
    fails "is not implemented" mc admin $what
done
fails "is not implemented" mc quota info store/tree
fails "is not implemented" mc version enable store/tree
fails "is not implemented" mc encrypt set sse-s3 store/tree
# mc throws the answer to these two away before it reads it.
fails "http trace" mc admin trace store
fails "export IAM" mc admin cluster iam export store

say "the end"
mc rm -r --force store/tree/root >/dev/null
mc rb --force store/tree
[[ -z "$(mc ls store)" ]]
