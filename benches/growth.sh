#!/usr/bin/env bash
# Measures how the cost of a message grows with the configuration and with its length.
#
#     benches/growth.sh [--quick] [--rounds N] [--record] [SERIES...]
#
# Prints a table: for each series and step the processor time for each message, and how many times that of the
# first step it is. --record writes it into docs/performance.md. Without a series all are run: see `all` below.
# `flood` is run only if asked for: ten minutes over unix, UDP and TCP at once, and what the daemon takes of
# memory each ten seconds (FLOOD_SECONDS, if not 600).
#
# Needs root and python3. Everything happens in a network namespace of its own, and ends by itself. Settings:
# SYSLOGD_BIN and LOAD_BIN, the programs, built if not given.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ -z "${IN_NAMESPACE:-}" ]; then
    prepare
    inside --net "$@"
    exit
fi
network

# Series: its steps.
declare -A steps=(
    [files-unix]='1 10 100 1000'
    [files-tcp]='1 10 100 1000'
    [files-paced]='1 10 100 1000'
    [copies]='1 10'
    [rules]='1 13 100 1000'
    [length-unix]='100 1024 8192 65536'
    [length-tcp]='100 1024 8192 65536'
    [connections]='1 4 100 500 1000 10000'
    [idle]='1 10 100 1000'
)
all=(files-unix files-tcp files-paced copies rules length-unix length-tcp connections idle)
rounds=3 seconds=0.5 record=
chosen=()
while [ $# -gt 0 ]; do
    case $1 in
        --quick) rounds=1 seconds=0.3 ;;
        --rounds) rounds=$2; shift ;;
        --record) record=1 ;;
        -*) echo "what is $1?" >&2; exit 2 ;;
        *) chosen+=("$1") ;;
    esac
    shift
done
[ ${#chosen[@]} = 0 ] || all=("${chosen[@]}")
# For 10,000 connections and the rest, of the daemon and of the sender.
if ! ulimit -n 20000 2>/dev/null; then
    echo "SKIP connections: it needs 20000 file descriptors, and $(ulimit -Hn) are allowed: raise the limit (ulimit -Hn 20000)" >&2
    kept=()
    for series in "${all[@]}"; do [ "$series" = connections ] || kept+=("$series"); done
    [ ${#kept[@]} != 0 ] || exit 0
    all=("${kept[@]}")
fi

port=5514
daemon_pid=
stop() {
    [ -n "$daemon_pid" ] || return 0
    kill "$daemon_pid" 2>/dev/null || true
    wait "$daemon_pid" 2>/dev/null || true
    daemon_pid=
}
trap stop EXIT

# The configuration of a step.
configuration() { # SERIES STEP
    local number
    echo "listen tcp://127.0.0.1:$port"
    [ "$1" != flood ] || echo "listen udp://127.0.0.1:$port"
    case $1 in
        files-* | idle)
            for ((number = 0; number < $2; number++)); do
                printf '!p%s\n*.*\t-%s/p%s\n' "$number" "$logs" "$number"
            done
            ;;
        copies)
            for ((number = 0; number < $2; number++)); do
                printf '*.*\t-%s/copy%s\n' "$logs" "$number"
            done
            ;;
        rules)
            # The last one takes all; the others ask for programs that send nothing.
            for ((number = 1; number < $2; number++)); do
                printf '!other%s\n*.*\t-%s/other%s\n' "$number" "$logs" "$((number % 10))"
            done
            printf '!*\n*.*\t-%s/all\n' "$logs"
            ;;
        length-*) printf 'max_message_size 64k\n*.*\t-%s/all\n' "$logs" ;;
        connections) printf '*.*\t-%s/all\n' "$logs" ;;
        flood) printf 'compress none\n*.*\t-%s/all;rotate=64M:1\n' "$logs" ;;
    esac
}

start() { # SERIES STEP
    local _
    if [[ $1 = *-sink ]]; then
        "$LOAD_BIN" sink tcp 127.0.0.1:$port "$logs/all" >"$run/said" 2>&1 </dev/null &
        daemon_pid=$!
        for _ in {1..1000}; do
            [ ! -e "$logs/all" ] || ! (: >/dev/tcp/127.0.0.1/$port) 2>/dev/null || return 0
            sleep 0.01
        done
        echo "the sink does not start: $(tail -n 12 "$run/said")" >&2
        return 1
    fi
    configuration "$@" >"$run/conf"
    "$SYSLOGD_BIN" -F -K -n -H -f "$run/conf" -p "$run/socket" -P "$run/pid" >"$run/said" 2>&1 </dev/null &
    daemon_pid=$!
    for _ in {1..1000}; do
        [ ! -S "$run/socket" ] || [ ! -s "$run/pid" ] || return 0
        sleep 0.01
    done
    echo "syslogd does not start: $(tail -n 12 "$run/said")" >&2
    return 1
}

field() { # NAME
    sed -n "s/^$1:\s*\([0-9]*\).*/\1/p" "/proc/$daemon_pid/status"
}

measure() { # SERIES STEP
    local options=() via=unix row
    run=$(mktemp -d -p "$work") logs=$run/logs
    mkdir "$logs"
    if start "$@"; then
        case $1 in
            *-tcp | connections*) via=tcp ;;
        esac
        case $1 in
            files-paced) options=(--rate 20000 --count 40000 --seconds 20 --programs "$2") ;;
            files-*) options=(--seconds "$seconds" --programs "$2") ;;
            length-*) options=(--seconds "$seconds" --length "$2") ;;
            connections*) options=(--seconds "$seconds" --connections "$2" --burst 20) ;;
            *) options=(--seconds "$seconds") ;;
        esac
        if [ "$1" = idle ]; then
            # What the start left behind is gone by then.
            sleep 0.5
            echo "$1,$2,$(field VmRSS),$(field RssAnon),$(field Threads),,," | tee -a "$work/results.csv" >&2
        else
            local to=$run/socket
            if [ $via = tcp ]; then
                to=127.0.0.1:$port
                [[ $1 = connections* ]] || options+=(--connections 4)
            fi
            # The sender keeps to the last processor, the daemon may use all.
            row=$(timeout 60 taskset -c $(($(nproc) - 1)) "$LOAD_BIN" drive $via "$to" \
                --pid "$daemon_pid" --files "$logs" "${options[@]}") || true
            [ -n "$row" ] || { tail -n 12 "$run/said" >&2; exit 1; }
            echo "$1,$2,$row" | tee -a "$work/results.csv" >&2
        fi
    fi
    stop
    rm -r "$run"
}

# Unix, UDP and TCP at once, as fast as they are taken; prints seconds and MiB of RSS.
flood() { # SECONDS
    local via to senders=() _
    run=$(mktemp -d -p "$work") logs=$run/logs
    mkdir "$logs" "$run/none"
    start flood 1
    for via in unix udp tcp; do
        to=$run/socket
        [ $via = unix ] || to=127.0.0.1:$port
        "$LOAD_BIN" drive $via "$to" --pid "$daemon_pid" --files "$run/none" --seconds "$1" \
            --count 4000000000 >/dev/null 2>&1 &
        senders+=($!)
    done
    for ((second = 0; second < $1; second += 10)); do
        sleep 10
        echo "flood,$((second + 10)),$(field VmRSS),$(field RssAnon),$(field Threads),,,$(field VmHWM)" | tee -a "$work/results.csv" >&2
    done
    # They go on for what they have to count; there is nothing.
    kill "${senders[@]}" 2>/dev/null || true
    wait "${senders[@]}" 2>/dev/null || true
    kill -USR1 "$daemon_pid"
    sleep 1
    grep -h 'received' "$run/said" | tail -n 1 >&2 || true
    stop
    rm -r "$run"
}

echo 'series,step,sent,received,lines,seconds,cpu_seconds,peak_kib' >"$work/results.csv"
for ((round = 1; round <= rounds; round++)); do
    for series in "${all[@]}"; do
        if [ "$series" = flood ]; then
            [ "$round" != 1 ] || flood "${FLOOD_SECONDS:-600}"
            continue
        fi
        for step in ${steps[$series]}; do
            measure "$series" "$step"
            # The kernel's share of what grows.
            [ "$series" != connections ] || measure connections-sink "$step"
        done
    done
done
[ -z "${RESULTS:-}" ] || cp "$work/results.csv" "$RESULTS"
export machine
machine="$(nproc) cores, $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r | cut -d- -f1), files on $(stat -f -c %T "$work")"
python3 - "$work/results.csv" "$record" <<'PYTHON'
import csv, datetime, os, statistics, sys
from pathlib import Path

TITLES = {
    "files-unix": "files, one of which takes it; unix datagrams",
    "files-tcp": "files, one of which takes it; TCP, 4 connections",
    "files-paced": "files, one of which takes it; unix, 20,000 a second",
    "copies": "files, all of which take it; unix",
    "rules": "rules, one of which takes it; unix",
    "length-unix": "octets; unix",
    "length-tcp": "octets; TCP, 4 connections",
    "connections": "connections, twenty messages of each at a time",
    "connections-sink": "the same, the sink",
    "idle": "files, idle",
}
runs = {}
for row in csv.DictReader(open(sys.argv[1])):
    runs.setdefault((row["series"], row["step"]), []).append(row)
lines = ["| what grows | to | CPU, µs/msg | × the first | rate, msg/s | lost | peak RSS, MiB |", "|---|---:|---:|---:|---:|---:|---:|"]
idle = ["| files, idle | RSS, MiB | anonymous, MiB | threads |", "|---|---:|---:|---:|"]
first = {}
for (series, step), rows in runs.items():
    median = lambda value: statistics.median(value(row) for row in rows)
    if series == "idle":
        rss, anonymous, threads = (median(lambda row: int(row[key])) for key in ("sent", "received", "lines"))
        idle.append(f"| {step} | {rss / 1024:.1f} | {anonymous / 1024:.1f} | {threads:.0f} |")
    elif series != "flood":
        cost = median(lambda row: float(row["cpu_seconds"]) / int(row["received"]) * 1e6)
        rate = median(lambda row: int(row["received"]) / float(row["seconds"]))
        lost = sum(int(row["sent"]) - int(row["received"]) for row in rows)
        times = cost / first.setdefault(series, cost)
        peak = max(int(row["peak_kib"]) for row in rows) / 1024
        lines.append(f"| {TITLES[series]} | {int(step):,} | {cost:.2f} | {times:.2f} | {rate:,.0f} | {lost} | {peak:.1f} |")
table = "\n".join([f"Date: {datetime.date.today()}. Machine: {os.environ['machine']}.", "", *lines, *(["", *idle] if len(idle) > 2 else [])])
if sys.argv[2]:
    page = Path("docs/performance.md")
    begin, end = "<!-- growth: written by benches/growth.sh -->", "<!-- end of growth -->"
    head, rest = page.read_text().split(begin)
    page.write_text(f"{head}{begin}\n\n{table}\n\n{end}{rest.split(end)[1]}")
print(table)
PYTHON
