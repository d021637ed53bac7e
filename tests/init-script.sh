#!/bin/sh
# The init script of Debian's inetutils-syslogd, its start, status, reload and stop, with our program in
# the place of theirs: a transcript on stdout.
#
#   tests/init-script.sh [PROGRAM]        target/debug/syslogd unless named

set -eu

program=$(realpath "${1:-target/debug/syslogd}")
if ! command -v start-stop-daemon >/dev/null; then
    echo "SKIP: start-stop-daemon is not there"
    exit 0
fi
home=$(mktemp -d)
daemon=$home/syslogd.inetutils
pidfile=$home/syslog.pid
trap 'start-stop-daemon --stop --quiet --oknodo --pidfile "$pidfile"; rm -rf "$home"' EXIT

# A hard link or copy: --exec compares the file that runs.
ln "$program" "$daemon" 2>/dev/null || cp "$program" "$daemon"
printf '*.*\t%s/messages\n' "$home" >"$home/syslog.conf"
options="--no-forward --no-klog --rcfile=$home/syslog.conf --rcdir=$home/syslog.d
    --socket=$home/log --pidfile=$pidfile"

# Shows a command and what it says; ends as it ends.
run() {
    echo "\$ $*" | sed "s,$home,DIR,g"
    status=0
    "$@" >"$home/said" 2>&1 || status=$?
    sed "s,$home,DIR,g" "$home/said"
    return "$status"
}

fail() {
    echo "FAILED: $*"
    exit 1
}

# Waits for words in the log, five seconds at most.
wait_for() {
    for _ in $(seq 50); do
        ! grep -q "$1" "$home/messages" || return 0
        sleep 0.1
    done
    fail "not in the log: $1"
}

# shellcheck disable=SC2086 # the options are words
run start-stop-daemon --start --verbose --pidfile "$pidfile" --exec "$daemon" -- $options
[ -s "$pidfile" ] || fail "no pid file when the start returned"
pid=$(cat "$pidfile")
run start-stop-daemon --status --pidfile "$pidfile" --exec "$daemon" || fail "status"
# shellcheck disable=SC2086
run start-stop-daemon --start --oknodo --verbose --pidfile "$pidfile" --exec "$daemon" -- $options
[ "$(cat "$pidfile")" = "$pid" ] || fail "a second start changed the pid file"
run logger -u "$home/log" -t init-script hello
run start-stop-daemon --stop --signal HUP --verbose --pidfile "$pidfile" --exec "$daemon"
wait_for 'configuration loaded again'
run start-stop-daemon --stop --retry 5 --verbose --pidfile "$pidfile" --exec "$daemon"
[ ! -e "$pidfile" ] || fail "the pid file is left"
run cat "$home/messages"
grep -q 'init-script: hello' "$home/messages" || fail "the message is lost"
grep -q 'exiting on SIGTERM' "$home/messages" || fail "no end"
echo "ok"
