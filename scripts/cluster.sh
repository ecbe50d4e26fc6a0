#!/usr/bin/env bash
# A cluster of four nodes with one drive each on this machine, to see what it survives:
#   up        starts the nodes, and waits until all are ready; again: starts those that do not run
#   status    what each node does
#   kill N    ends node N at once (SIGKILL), as a lost host
#   pause N   stops it (SIGSTOP): it hangs, and its connections stay open
#   resume N  lets it go on
#   start N   starts it again after a kill
#   down      ends all nodes, and removes what was made
# Variables: BASE_PORT: the first of four ports [9101]. CLUSTER_DIR: a folder for drives and logs, missing or empty
# [one in the folder of temporary files]. MINIO_ROOT_USER, MINIO_ROOT_PASSWORD: the root user [minioadmin]; the same each
# time. IMPL_BIN: the server's binary [the release build of this workspace, which is made if it is missing].
set -euo pipefail

program=scripts/cluster.sh
nodes=4
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() { # MESSAGE [EXIT CODE]
    echo "error: $1" >&2
    exit "${2:-1}"
}

usage() { # ERROR
    echo "error: $1" >&2
    echo "usage: $program up|down|status|kill N|pause N|resume N|start N, with N from 1 to $nodes; --help says more" >&2
    exit 2
}

command=${1:-}
case $command in
    up | down | status)
        [[ $# == 1 ]] || usage "$command takes nothing else"
        ;;
    kill | pause | resume | start)
        [[ $# == 2 ]] || usage "$command takes the number of a node"
        [[ $2 == [1-9] && $2 -le $nodes ]] || usage "$2 is no node: they are numbered from 1 to $nodes"
        ;;
    help | -h | --help)
        sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit
        ;;
    '') usage "a command is missing" ;;
    *) usage "there is no command $command" ;;
esac

base_port=${BASE_PORT:-9101}
[[ $base_port =~ ^[1-9][0-9]{0,4}$ && $base_port -ge 1024 && $base_port -le $((65536 - nodes)) ]] ||
    fail "BASE_PORT: $base_port is no port from 1024 to $((65536 - nodes))" 2
folder=$(realpath --canonicalize-missing -- "${CLUSTER_DIR:-${TMPDIR:-/tmp}/impl-cluster-$UID-$base_port}")
# The paths of the drives are parts of URLs.
[[ $folder =~ ^/[A-Za-z0-9._/-]+$ ]] || fail "CLUSTER_DIR: $folder: letters, digits and . _ - / only, please" 2

port_of() { echo $((base_port + $1 - 1)); }

url_of() { echo "http://127.0.0.1:$(port_of "$1")"; }

# The process of a node, if it runs; an id that another process got since is not taken for it.
pid_of() {
    local pid arguments
    pid=$(cat "$folder/node$1.pid" 2>/dev/null) || return 1
    arguments=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
    [[ $arguments == *" --address 127.0.0.1:$(port_of "$1") "*"$folder/drive$1"* ]] || return 1
    echo "$pid"
}

running() { pid_of "$1" || fail "node $1 does not run: $program start $1"; }

# Whether something listens on the port of a node.
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$(port_of "$1")") 2>/dev/null; }

# Whether a node says that it is ready.
is_ready() {
    local answer=''
    {
        printf 'GET /minio/health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
        read -r -t 3 answer <&3
    } 3<>"/dev/tcp/127.0.0.1/$(port_of "$1")" 2>/dev/null || return 1
    [[ $answer == *' 200 '* ]]
}

is_ours() { [[ -f $folder/cluster && -O $folder/cluster && "$(cat "$folder/cluster")" == "$base_port" ]]; }

find_cluster() {
    is_ours || fail "there is no cluster in $folder: $program up, with the same BASE_PORT and CLUSTER_DIR"
}

find_binary() {
    local target=${CARGO_TARGET_DIR:-$root/target}
    binary=${IMPL_BIN:-$target/release/impl}
    [[ -n ${IMPL_BIN:-} || -x $binary ]] || (cd "$root" && cargo build --release --package impl)
    [[ -x $binary ]] || fail "$binary: no such program"
}

launch() { # N
    local number urls=()
    for number in $(seq $nodes); do urls+=("$(url_of "$number")$folder/drive$number"); done
    # What the variables would change is left out: certificates of the home folder, other drives, a file of settings.
    env -u MINIO_VOLUMES -u MINIO_CONFIG_ENV_FILE -u MINIO_ERASURE_SET_DRIVE_COUNT -u MINIO_LOG_FILE \
        HOME="$folder" MINIO_SHUTDOWN_DELAY=0s \
        setsid "$binary" server --quiet --address "127.0.0.1:$(port_of "$1")" "${urls[@]}" \
        >>"$folder/node$1.log" 2>&1 </dev/null &
    echo $! >"$folder/node$1.pid"
}

# Waits for up to so many seconds until a node is ready; fails with its log when it has ended.
wait_until_ready() { # N SECONDS
    local end=$((SECONDS + $2))
    # The process is itself only once it has been executed.
    sleep 0.2
    until is_ready "$1"; do
        if ! pid_of "$1" >/dev/null; then
            tail -n 5 "$folder/node$1.log" >&2
            fail "node $1 has ended; its log is $folder/node$1.log"
        fi
        [[ $SECONDS -lt $end ]] || return 1
        sleep 0.2
    done
}

up() {
    local number started=()
    find_binary
    if ! is_ours; then
        [[ -z "$(ls -A "$folder" 2>/dev/null)" ]] || fail "$folder is not empty, and holds no cluster of port $base_port"
        for number in $(seq $nodes); do
            ! listens "$number" || fail "port $(port_of "$number") is taken: choose another BASE_PORT"
        done
        # Which folder goes with `down`: one that was there stays.
        mkdir -p -m 700 "$folder"
        [[ -O $folder ]] || fail "$folder belongs to somebody else"
        echo "$base_port" >"$folder/cluster"
    fi
    for number in $(seq $nodes); do
        if ! pid_of "$number" >/dev/null; then
            launch "$number"
            started+=("$number")
        fi
    done
    for number in $(seq $nodes); do
        wait_until_ready "$number" 60 ||
            fail "node $number is not ready after a minute: see $folder/node$number.log, or $program status"
    done
    [[ ${#started[@]} -gt 0 ]] || echo "All nodes ran already."
    status
    cat <<END_OF_TEXT

Each node serves all of it. The root user is MINIO_ROOT_USER, by default minioadmin. Try:

    export AWS_ACCESS_KEY_ID=minioadmin AWS_SECRET_ACCESS_KEY=minioadmin AWS_REGION=us-east-1
    aws --endpoint-url $(url_of 1) s3 mb s3://photos
    aws --endpoint-url $(url_of 2) s3 cp README.md s3://photos/
    $program kill 3     # reads and writes go on
    $program kill 4     # reads go on, writes are answered 503
    aws --endpoint-url $(url_of 1) s3 cp s3://photos/README.md -
    $program start 3    # and writes go on again
    $program down
END_OF_TEXT
}

status() {
    local number pid state
    for number in $(seq $nodes); do
        if ! pid=$(pid_of "$number"); then
            state=dead
        elif [[ $(cut -d ' ' -f 3 <(sed 's/(.*)/()/' "/proc/$pid/stat")) == T ]]; then
            state="paused, process $pid"
        elif is_ready "$number"; then
            state="ready, process $pid"
        else
            state="not ready, process $pid"
        fi
        echo "node $number  $(url_of "$number")  $state; log $folder/node$number.log"
    done
}

start() { # N
    ! pid_of "$1" >/dev/null || fail "node $1 runs already"
    ! listens "$1" || fail "port $(port_of "$1") is taken by another process"
    find_binary
    launch "$1"
    if wait_until_ready "$1" 10; then
        echo "node $1 is ready"
    else
        echo "node $1 runs, and is not ready yet: it waits for other nodes ($folder/node$1.log)"
    fi
}

down() {
    local number pid end=$((SECONDS + 10)) pids=()
    for number in $(seq $nodes); do
        pid=$(pid_of "$number") || continue
        pids+=("$pid")
        kill -TERM "$pid" && kill -CONT "$pid" || true
    done
    for pid in "${pids[@]}"; do
        while kill -0 "$pid" 2>/dev/null && [[ $SECONDS -lt $end ]]; do sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null || true
    done
    for number in $(seq $nodes); do
        rm -rf "${folder:?}/drive$number" "$folder/node$number.pid" "$folder/node$number.log"
    done
    rm -f "$folder/cluster"
    rmdir "$folder" 2>/dev/null || echo "$folder holds other files, and stays"
    echo "ended ${#pids[@]} nodes, and removed their drives"
}

case $command in
    up) up ;;
    down) find_cluster && down ;;
    status) find_cluster && status ;;
    start) find_cluster && start "$2" ;;
    kill) find_cluster && pid=$(running "$2") && kill -KILL "$pid" && echo "node $2 was killed" ;;
    pause) find_cluster && pid=$(running "$2") && kill -STOP "$pid" && echo "node $2 hangs: $program resume $2" ;;
    resume) find_cluster && pid=$(running "$2") && kill -CONT "$pid" && echo "node $2 goes on" ;;
esac
