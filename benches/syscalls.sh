#!/usr/bin/env bash
# Counts system calls of the real program under load, and fails if there are more for each message than
#
#     write and writev 0.01, recvmmsg and read 0.1, futex 0.05, stat 0.01, all together 0.2
#
# A file is looked at once for each write, to see whether it was removed.
#
#     benches/syscalls.sh
#
# Such counts tell of a lost batch or of a clock, a lock or a look at a file for each message, and no busy
# machine changes them: under strace(1) the daemon is the slow side, as in a flood. Settings: SYSLOGD_BIN
# and LOAD_BIN, the programs, built if not given.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

if [ -z "${SYSLOGD_BIN:-}" ] || [ -z "${LOAD_BIN:-}" ]; then
    cargo build --locked -q --bin syslogd --example load
fi
syslogd=${SYSLOGD_BIN:-${CARGO_TARGET_DIR:-target}/debug/syslogd}
load=${LOAD_BIN:-${CARGO_TARGET_DIR:-target}/debug/examples/load}
# As systemd sets it at boot; a network namespace of our own has its own.
if [ -z "${IN_NAMESPACE:-}" ] && unshare --net true 2>/dev/null; then
    export IN_NAMESPACE=1 SYSLOGD_BIN=$syslogd LOAD_BIN=$load
    exec unshare --net "benches/${0##*/}"
fi
if [ -n "${IN_NAMESPACE:-}" ]; then
    ip link set lo up
    echo 512 >/proc/sys/net/unix/max_dgram_qlen
fi
if ! strace -qq -o /dev/null true 2>/dev/null; then
    echo 'SKIP: strace may not trace here'
    exit 0
fi

scratch=$(mktemp -d)
tracer=
trap '[ -z "$tracer" ] || kill "$tracer" 2>/dev/null || true; rm -rf "$scratch"' EXIT
status=0

count() { # TRANSPORT MESSAGES
    local run=$scratch/$1 to port='' daemon sent _
    mkdir -p "$run/logs"
    to=$run/socket
    case $1 in
        udp | tcp*)
            port=$((20000 + RANDOM % 10000))
            to=127.0.0.1:$port
            echo "listen ${1%%-*}://$to" >"$run/conf"
            ;;
    esac
    printf '*.*\t-%s\n' "$run/logs/all" >>"$run/conf"
    strace -f -c -U name,calls -o "$run/calls" "$syslogd" -F -K -n -H -f "$run/conf" -p "$run/socket" \
        -P "$run/pid" >"$run/said" 2>&1 &
    tracer=$!
    for _ in {1..1000}; do
        [ ! -s "$run/pid" ] || break
        sleep 0.01
    done
    daemon=$(cat "$run/pid")
    sent=$("$load" drive "$1" "$to" --pid "$daemon" --files "$run/logs" --count "$2" --seconds 20 | cut -d, -f2)
    kill "$daemon"
    wait "$tracer" || true
    tracer=
    awk -v transport="$1" -v messages="$sent" '
        $1 == "syscall" || $1 ~ /^-/ || $1 == "total" { next }
        { calls[$1] = $2; all += $2 }
        function check(what, count, most) {
            printf "%-12s %-10s %10.4f  (at most %s)\n", transport, what, count / messages, most
            if (count > most * messages) bad = 1
        }
        END {
            # What a start costs is no matter of messages: those few calls are left out.
            check("write", calls["write"] + calls["writev"] - 20, 0.01)
            check("receive", calls["recvmmsg"] + calls["recvfrom"] + calls["read"] - 60, 0.1)
            check("futex", calls["futex"] - 20, 0.05)
            check("stat", calls["stat"] + calls["newfstatat"] + calls["statx"] - 100, 0.01)
            check("all", all - 1000, 0.2)
            exit bad
        }' "$run/calls" || { status=1; sort -k2nr "$run/calls" | head -n 12; }
}

count unix 60000
count tcp 60000
count tcp-counted 60000
exit "$status"
