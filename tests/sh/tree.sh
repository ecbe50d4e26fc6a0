# Sourced by the workloads of clients that carry trees of files.

say() { echo "--- $*"; }

# Fills a new folder: 120 small files, an empty one, one of 20 MiB, and names that a careless client or server breaks.
make_tree() { # FOLDER
    mkdir -p "$1/deep/er/still" "$1/name with spaces" "$1/ümläut" "$1/many"
    local number
    for number in $(seq 120); do
        head -c $((number * 997)) /dev/urandom >"$1/many/file-$number.bin"
    done
    head -c $((20 << 20)) /dev/urandom >"$1/deep/er/large"
    : >"$1/deep/er/still/empty"
    echo one >"$1/name with spaces/a+b%20c&d;e=f,g.txt"
    echo two >"$1/ümläut/ß 日本 🙂"
    echo three >"$1/many/file"
    echo four >"$1/#?'!(*)"
}

# Fails unless a command fails: refused COMMAND…
refused() {
    if "$@"; then
        echo "it should have failed: $*"
        return 1
    fi
}
