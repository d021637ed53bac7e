#!/usr/bin/env bash
# Measures syslogd beside the syslog daemons of Debian and beside the least program that can exist, in one run.
#
#     benches/peers.sh [--quick] [--rounds N] [--scenario NAME] [--record] [TARGET...]
#
# Prints a table: for each scenario and daemon the processor time for each message, the rate, and what was
# lost. --quick takes a minute and is rough; --record keeps the run in benches/peers.csv and renders
# docs/performance.md from it. Without targets all are run: see `targets` below.
#
# Needs root and python3. The daemons and what they are linked with are downloaded and unpacked below a
# temporary directory, never installed. Everything happens in network and
# mount namespaces of its own, and ends by itself. Settings: SYSLOGD_BIN and LOAD_BIN, the programs, built
# if not given; PEERS_DIR, a directory that keeps the packages for the next time.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ -z "${IN_NAMESPACE:-}" ]; then
    prepare
    export peers=${PEERS_DIR:-$work/peers}
    mkdir -p "$peers/libraries"
    for package in rsyslog syslog-ng-core inetutils-syslogd busybox; do
        [ -d "$peers/$package" ] && continue
        if (cd "$work" && apt-get download -qq "$package" >/dev/null 2>&1); then
            dpkg -x "$work/$package"_*.deb "$peers/$package"
        else
            echo "$package cannot be downloaded: left out" >&2
        fi
    done
    # What they are linked with.
    for package in libestr0 libfastjson4 libivykis0 libjson-c5 liblognorm5 libnet1 libpcre3 libwrap0; do
        [ -d "$peers/libraries/$package" ] && continue
        (cd "$work" && apt-get download -qq "$package" >/dev/null 2>&1) || continue
        dpkg -x "$work/$package"_*.deb "$peers/libraries/$package"
    done
    inside '--net --mount' "$@"
    exit
fi
network

targets=(ours sink rsyslog rsyslog-default syslog-ng syslog-ng-default inetutils busybox)
scenarios=(unix udp udp-flood tcp tcp-counted tcp-500 rules-13 rules-100)
rounds=3 seconds=0.4 record=
chosen=()
while [ $# -gt 0 ]; do
    case $1 in
        --quick) rounds=1 seconds=0.3 ;;
        --rounds) rounds=$2; shift ;;
        --record) record=1 ;;
        --scenario) scenarios=("$2"); shift ;;
        -*) echo "what is $1?" >&2; exit 2 ;;
        *) chosen+=("$1") ;;
    esac
    shift
done
[ ${#chosen[@]} = 0 ] || targets=("${chosen[@]}")

port=5514
libraries=$(find "$peers/libraries" -type d -name x86_64-linux-gnu | paste -sd :)
daemon_pid=
stop() {
    [ -n "$daemon_pid" ] || return 0
    kill "$daemon_pid" 2>/dev/null || true
    for _ in {1..100}; do
        kill -0 "$daemon_pid" 2>/dev/null || break
        sleep 0.02
    done
    kill -9 "$daemon_pid" 2>/dev/null || true
    wait "$daemon_pid" 2>/dev/null || true
    daemon_pid=
}
trap stop EXIT

# The rules of a scenario: selector, the same for syslog-ng, file.
rules() {
    case $1 in
        rules-13)
            cat <<'LIST'
auth,authpriv.*|facility(auth,authpriv)|auth.log
*.*;auth,authpriv.none|not facility(auth,authpriv)|syslog
cron.*|facility(cron)|cron.log
daemon.*|facility(daemon)|daemon.log
kern.*|facility(kern)|kern.log
lpr.*|facility(lpr)|lpr.log
mail.*|facility(mail)|mail.log
user.*|facility(user)|user.log
mail.info|facility(mail) and level(info..emerg)|mail.info
mail.warn|facility(mail) and level(warning..emerg)|mail.warn
mail.err|facility(mail) and level(err..emerg)|mail.err
*.=debug;auth,authpriv.none;mail.none|level(debug) and not facility(auth,authpriv,mail)|debug
*.=info;*.=notice;*.=warn;auth,authpriv.none;cron,daemon.none;mail.none|level(info,notice,warning) and not facility(auth,authpriv,cron,daemon,mail)|messages
LIST
            ;;
        rules-100)
            # None of the 99 takes a message of the load.
            for number in {1..99}; do
                facility=$((number % 5 + 2))
                severity=(emerg alert crit err debug)
                severity=${severity[$((number / 5 % 5))]}
                echo "local$facility.=$severity|facility(local$facility) and level($severity)|rule$number"
            done
            echo '*.*||all'
            ;;
        *) echo '*.*||all' ;;
    esac
}

transport() {
    case $1 in
        unix | rules-*) echo unix ;;
        udp*) echo udp ;;
        tcp-counted) echo tcp-counted ;;
        tcp*) echo tcp ;;
    esac
}

syslog_conf() {
    rules "$1" | while IFS='|' read -r selector _ file; do printf '%s\t-%s\n' "$selector" "$logs/$file"; done
}

rsyslog_conf() { # SCENARIO TARGET
    local via direct
    via=$(transport "$1")
    direct=$([ "$2" = rsyslog ] && echo 1 || true)
    echo "global(workDirectory=\"$run\" maxMessageSize=\"8k\"${direct:+ net.enableDNS=\"off\"})"
    [ -z "$direct" ] || echo 'main_queue(queue.type="Direct")'
    case $via in
        unix) echo "module(load=\"imuxsock\" SysSock.Use=\"off\")"
            echo "input(type=\"imuxsock\" Socket=\"$run/socket\")" ;;
        udp) echo "module(load=\"imudp\"${direct:+ threads=\"1\" timeRequery=\"8\" batchSize=\"128\"})"
            echo "input(type=\"imudp\" address=\"127.0.0.1\" port=\"$port\"${direct:+ rcvbufSize=\"33554432\"})" ;;
        tcp*) if [ -n "$direct" ]; then
                echo "module(load=\"imptcp\" threads=\"2\")"
                echo "input(type=\"imptcp\" address=\"127.0.0.1\" port=\"$port\" socketBacklog=\"1000\")"
            else
                echo "module(load=\"imtcp\" MaxSessions=\"1000\")"
                echo "input(type=\"imtcp\" address=\"127.0.0.1\" port=\"$port\")"
            fi ;;
    esac
    if [ -z "$direct" ]; then
        echo 'module(load="builtin:omfile" Template="RSYSLOG_TraditionalFileFormat")'
        syslog_conf "$1"
        return
    fi
    rules "$1" | while IFS='|' read -r selector _ file; do
        echo "$selector action(type=\"omfile\" file=\"$logs/$file\" ioBufferSize=\"64k\" flushOnTXEnd=\"off\" asyncWriting=\"on\")"
    done
}

syslog_ng_conf() { # SCENARIO TARGET
    local fast more number=0
    fast=$([ "$2" = syslog-ng ] && echo 1 || true)
    more=${fast:+ log-fetch-limit(1000) log-iw-size(500000)}
    echo '@version: 3.38'
    if [ -n "$fast" ]; then
        echo 'options { stats-freq(0); use-dns(no); dns-cache(no); keep-hostname(yes); chain-hostnames(no); log-fifo-size(1000000); flush-lines(1000); };'
    else
        echo 'options { chain_hostnames(off); flush_lines(0); use_dns(no); use_fqdn(no); dns_cache(no); stats_freq(0); };'
    fi
    local buffer=${fast:+ so-rcvbuf(33554432)}
    case $(transport "$1") in
        unix) echo "source s { unix-dgram(\"$run/socket\"${fast:+ pass-unix-credentials(no)}$more); };" ;;
        udp) echo "source s { network(ip(127.0.0.1) port($port) transport(udp) flags(syslog-protocol)$buffer$more); };" ;;
        tcp) echo "source s { network(ip(127.0.0.1) port($port) transport(tcp) flags(syslog-protocol) max-connections(1000)$more); };" ;;
        tcp-counted) echo "source s { syslog(ip(127.0.0.1) port($port) transport(tcp) max-connections(1000)$more); };" ;;
    esac
    rules "$1" | while IFS='|' read -r _ filter file; do
        number=$((number + 1))
        echo "destination d$number { file(\"$logs/$file\"); };"
        [ -z "$filter" ] || echo "filter f$number { $filter; };"
        echo "log { source(s); ${filter:+filter(f$number); }destination(d$number);${fast:+ flags(flow-control);} };"
    done
}

# Starts a daemon for a scenario: false if it has no such thing.
start() { # SCENARIO TARGET
    local via listen=() library=/usr/lib/x86_64-linux-gnu
    via=$(transport "$1")
    case $2 in
        ours)
            {
                case $via in
                    udp) echo "listen udp://127.0.0.1:$port" ;;
                    tcp*) echo "listen tcp://127.0.0.1:$port" ;;
                esac
                syslog_conf "$1"
            } >"$run/conf"
            "$SYSLOGD_BIN" -F -K -n -H -f "$run/conf" -p "$run/socket" -P "$run/pid" &
            ;;
        sink)
            [[ $1 != rules-* ]] || return 1
            case $via in
                unix) "$LOAD_BIN" sink unix "$run/socket" "$logs/all" & ;;
                *) "$LOAD_BIN" sink "$via" "127.0.0.1:$port" "$logs/all" & ;;
            esac
            ;;
        rsyslog*)
            [ -d "$peers/rsyslog" ] || return 1
            rsyslog_conf "$1" "$2" >"$run/conf"
            LD_LIBRARY_PATH=$libraries "$peers/rsyslog/usr/sbin/rsyslogd" -n -f "$run/conf" -i "$run/pid" -M "$peers/rsyslog$library/rsyslog" &
            ;;
        syslog-ng*)
            [ -d "$peers/syslog-ng-core" ] || return 1
            local base=$peers/syslog-ng-core
            syslog_ng_conf "$1" "$2" >"$run/conf"
            LD_LIBRARY_PATH=$libraries:$base$library:$base/usr/lib/syslog-ng "$base/usr/sbin/syslog-ng" -F -f "$run/conf" \
                -p "$run/pid" --no-caps -R "$run/persist" -c "$run/control" \
                "--module-path=$(echo "$base"/usr/lib/syslog-ng/[0-9]*)" &
            ;;
        inetutils)
            [ -d "$peers/inetutils-syslogd" ] && [[ $via != tcp* ]] || return 1
            syslog_conf "$1" >"$run/conf"
            mkdir "$run/d"
            [ "$via" != udp ] || listen=(-r -b 127.0.0.1 -B "$port")
            "$peers/inetutils-syslogd/usr/sbin/syslogd" -n --no-klog -f "$run/conf" -p "$run/socket" -P "$run/pid" \
                -D "$run/d" "${listen[@]}" &
            ;;
        busybox)
            # It always listens on /dev/log, so it gets a /dev of its own.
            [ "$1" = unix ] && [ -d "$peers/busybox" ] || return 1
            unshare --mount sh -c 'mount -t tmpfs none /dev && mknod /dev/null c 1 3 && touch /dev/own && exec "$@"' sh \
                "$peers/busybox/bin/busybox" syslogd -n -O "$logs/all" &
            ;;
    esac >"$run/said" 2>&1 </dev/null
    daemon_pid=$!
}

# Waits until the daemon listens.
ready() { # SCENARIO TARGET
    local hex
    hex=$(printf '%04X' "$port")
    for _ in {1..500}; do
        kill -0 "$daemon_pid" 2>/dev/null || break
        case $(transport "$1")/$2 in
            unix/busybox) [ -S "/proc/$daemon_pid/root/dev/log" ] && [ -e "/proc/$daemon_pid/root/dev/own" ] && return ;;
            unix/*) [ -S "$run/socket" ] && return ;;
            udp/*) grep -q ":$hex 0" /proc/net/udp && return ;;
            tcp*/*) grep -q ":$hex 00000000:0000 0A" /proc/net/tcp && return ;;
        esac
        sleep 0.01
    done
    echo "$2 does not start: $(tail -n 12 "$run/said")" >&2
    return 1
}

measure() { # SCENARIO TARGET
    local options=(--seconds "$seconds") to="127.0.0.1:$port" via
    run=$(mktemp -d -p "$work") logs=$run/logs
    mkdir "$logs"
    start "$1" "$2" || { rm -r "$run"; return 0; }
    if ready "$1" "$2"; then
        via=$(transport "$1")
        case $1/$2 in
            unix/busybox) to=/proc/$daemon_pid/root/dev/log ;;
            unix/* | rules-*/*) to=$run/socket ;;
            udp/*) options+=(--rate 100000 --connections 4) ;;
            udp-flood/*) options+=(--connections 4) ;;
            # What the buffers of 500 connections hold takes a slow daemon long.
            tcp-500/*) options+=(--connections 500 --count 1000000) ;;
            tcp*/*) options+=(--connections 4) ;;
        esac
        # The sender keeps to the last processor, the daemon may use all.
        if row=$(timeout 60 taskset -c $(($(nproc) - 1)) "$LOAD_BIN" drive "$via" "$to" \
            --pid "$daemon_pid" --files "$logs" "${options[@]}" 2>"$run/load"); then
            echo "$1,$2,$row" | tee -a "$work/results.csv" >&2
        else
            echo "$1,$2: $(tail -n 2 "$run/load")" >&2
        fi
    fi
    stop
    rm -r "$run"
}

# What the archive calls the version of a package that was unpacked; else what the program says.
version() { # PACKAGE
    local base=$peers/$1 library=/usr/lib/x86_64-linux-gnu version command=()
    [ -d "$base" ] || return 1
    version=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: \([0-9].*\)/\1/p')
    case $1 in
        rsyslog) command=("$base/usr/sbin/rsyslogd" -v) ;;
        syslog-ng-core) command=("$base/usr/sbin/syslog-ng" --version) ;;
        inetutils-syslogd) command=("$base/usr/sbin/syslogd" --version) ;;
        busybox) command=("$base/bin/busybox") ;;
    esac
    [ -n "$version" ] || version=$(LD_LIBRARY_PATH=$libraries:$base$library:$base/usr/lib/syslog-ng \
        "${command[@]}" 2>/dev/null </dev/null | grep -oEm 1 '[0-9]+(\.[0-9]+)+' | head -n 1) || true
    echo "${version:-?}"
}

{
    echo "# date: $(date +%F)"
    echo "# machine: $(nproc) cores, $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r | cut -d- -f1), files on $(stat -f -c %T "$work")"
    echo "# daemons: $("$SYSLOGD_BIN" --version | head -n 1)$(
        for package in rsyslog syslog-ng-core inetutils-syslogd busybox; do
            version=$(version "$package") || continue
            printf ', %s %s' "$package" "$version"
        done)"
    echo 'scenario,target,sent,received,lines,seconds,cpu_seconds,peak_kib'
} >"$work/results.csv"
for ((round = 1; round <= rounds; round++)); do
    for scenario in "${scenarios[@]}"; do
        for target in "${targets[@]}"; do
            measure "$scenario" "$target"
        done
    done
done
if [ -n "$record" ]; then
    cp "$work/results.csv" benches/peers.csv
    benches/peers.py benches/peers.csv --render
fi
benches/peers.py "$work/results.csv"
