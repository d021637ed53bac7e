# What benches/growth.sh and benches/peers.sh begin with: they source it.
set -euo pipefail
export LC_ALL=C TZ=UTC

# The programs are built if SYSLOGD_BIN and LOAD_BIN do not name them, and $work is there until the end.
prepare() {
    [ "$(id -u)" = 0 ] || { echo 'run as root: namespaces are needed' >&2; exit 1; }
    cd "$(dirname "$0")/.."
    if [ -z "${SYSLOGD_BIN:-}" ] || [ -z "${LOAD_BIN:-}" ]; then
        cargo build --locked -q --release --bin syslogd --example load
        export SYSLOGD_BIN=${SYSLOGD_BIN:-$PWD/target/release/syslogd}
        export LOAD_BIN=${LOAD_BIN:-$PWD/target/release/examples/load}
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    export work
}

# Runs this script again in namespaces of its own.
inside() { # NAMESPACES ARGUMENTS...
    local namespaces
    read -ra namespaces <<<"$1"
    shift
    IN_NAMESPACE=1 unshare "${namespaces[@]}" "benches/${0##*/}" "$@"
}

# What a new network namespace lacks.
network() {
    ip link set lo up
    # As systemd sets it at boot; a new namespace begins with 10.
    echo 512 >/proc/sys/net/unix/max_dgram_qlen
}
