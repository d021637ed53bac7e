#!/usr/bin/env bash
# Compares syslogd with the syslog daemons of Debian, live.
#
#     cargo build && tests/peers.sh
#
# Part 1 loads each stock configuration into each daemon, sends one message of each of the 192 PRIs, and
# compares which file, or FIFO, got which. Part 2 loads selectors on which implementations disagree,
# each with a file of its own. Part 3 sends the datagrams of tests/odd_input.txt and shows the lines
# side by side, over a unix socket and over UDP. Exits 0 if every difference of parts 1 and 2 is expected
# (see `expected` and `expected_selectors`), 1 if one is not, and 77 if no peer is to be had.
#
# The peers are downloaded and unpacked below a temporary directory, never installed. Every path of a
# configuration is rewritten to lie below it, `*` (all users) too. Settings: SYSLOGD_BIN, the program;
# PEERS_DIR, a directory that keeps the packages for the next time; KEEP=1 keeps what was written.

set -u
export LC_ALL=C TZ=UTC

here=$(cd "$(dirname "$0")/.." && pwd)
ours=${SYSLOGD_BIN:-$here/target/debug/syslogd}
work=$(mktemp -d)
peers=${PEERS_DIR:-$work/peers}
running=

# CONFIGURATION DAEMON OURS PRIs: reason. `any` stands for all.
expected() {
    cat <<'LIST'
any rsyslogd ours 0-7: only the kernel may say kern, so it becomes user; rsyslogd believes anybody, and so do we with -k
any busybox ours 0-7: only the kernel may say kern, so it becomes user; busybox believes anybody, and so do we with -k
LIST
}

# SELECTOR DAEMON: reason.
expected_selectors() {
    cat <<'LIST'
16.info rsyslogd: a number is facility × 8, as with sysklogd and inetutils; rsyslogd takes no number
mail.=* rsyslogd: every priority, as with inetutils; rsyslogd takes nothing (warning W009)
security.* inetutils: facility 13, as with sysklogd 2 and FreeBSD; inetutils takes it for auth
security.* rsyslogd: facility 13, as with sysklogd 2 and FreeBSD; rsyslogd takes it for auth
LIST
}

selectors() {
    cat <<'LIST'
*.info;mail.none
mail.none;*.info
*.=info;*.=notice
*.*;mail.!err
kern.info;kern.!err
mail.!=info
*.!err
*.debug;local6.err
mail,news.crit;*.err
mail.crit,*.err
*.*;mail.none;mail.=info
*.*;*,mail.none
mail.!none
mail.!*
mail.=*
mail.6
16.info
MAIL.Info
mail.info;
mail.info;;news.err
mail.panic;news.error;uucp.warn
*.info;*.!warn
security.*
authpriv.*;ftp.*
LIST
}

cleanup() {
    for pid in $running; do kill "$pid" 2>/dev/null; done
    if [ "${KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

skip() { echo "SKIP $1"; }

# fetch NAME PACKAGE...: unpacks packages below $peers/NAME.
fetch() {
    local name=$1 package
    shift
    [ -d "$peers/$name" ] && return
    mkdir -p "$peers/$name.new" || return
    for package in "$@"; do
        (cd "$peers/$name.new" && apt-get -q download "$package" >/dev/null 2>"$work/apt.log" &&
            dpkg -x "$package"_*.deb . && dpkg-deb -f "$package"_*.deb Package Version >>versions &&
            rm "$package"_*.deb) || { rm -rf "$peers/$name.new"; return 1; }
    done
    mv "$peers/$name.new" "$peers/$name"
}

# version NAME: of the first package below it.
version() {
    sed -n 's/^Version: //p' "$peers/$1/versions" 2>/dev/null | head -1
}

# start NAME DIR RULES [OPTION...]: starts a daemon that writes below DIR; sets $pid and $socket. It
# receives over UDP too if $udp is a port.
start() {
    local name=$1 dir=$2 rules=$3 libs
    shift 3
    socket=$dir.sock
    case $name in
    ours)
        cp "$rules" "$dir.conf"
        "$ours" -F -K -m0 -n -f "$dir.conf" -p "$socket" -P "$dir.pid" ${udp:+-b "127.0.0.1:$udp"} "$@" >"$dir.err" 2>&1 &
        ;;
    inetutils)
        # It knows neither `secure_mode` nor `include`.
        grep -Ev '^(secure_mode|include)' "$rules" >"$dir.conf"
        mkdir -p "$dir.d"
        "$peers/inetutils/usr/sbin/syslogd" -n -m 0 --no-klog -f "$dir.conf" -D "$dir.d" -p "$socket" \
            -P "$dir.pid" ${udp:+-r -b 127.0.0.1 -B "$udp"} >"$dir.err" 2>&1 &
        ;;
    rsyslogd)
        libs=$(echo "$peers"/rsyslog/usr/lib/*/rsyslog)
        {
            echo "global(workDirectory=\"$dir\")"
            echo 'module(load="imuxsock" SysSock.Use="off")'
            echo "input(type=\"imuxsock\" Socket=\"$socket\" CreatePath=\"on\")"
            [ ! "$udp" ] || echo "module(load=\"imudp\") input(type=\"imudp\" address=\"127.0.0.1\" port=\"$udp\")"
            echo '$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat'
            grep -Ev '^(secure_mode|include)' "$rules"
        } >"$dir.conf"
        LD_LIBRARY_PATH=$(dirname "$libs") "$peers/rsyslog/usr/sbin/rsyslogd" -n -f "$dir.conf" \
            -i "$dir.pid" -M "$libs" >"$dir.err" 2>&1 &
        ;;
    busybox)
        # It ignores every configuration, and always listens on /dev/log: it gets a /dev of its own.
        unshare -Urm sh -c 'mount -t tmpfs none /dev && : >/dev/null && exec "$0" syslogd -n -O "$1"' \
            "$(echo "$peers"/busybox/bin/busybox)" "$dir/all" >"$dir.err" 2>&1 &
        ;;
    esac
    pid=$!
    running="$running $pid"
    [ "$name" != busybox ] || socket=/proc/$pid/root/dev/log
    await "test -S $socket ${udp:+&& grep -q ':$(printf %04X "$udp") ' /proc/net/udp}" "$name does not start" ||
        { cat "$dir.err" >&2; return 1; }
}

# await CONDITION COMPLAINT: for ten seconds at most.
await() {
    local tries=0
    until eval "$1"; do
        tries=$((tries + 1))
        [ "$tries" -lt 500 ] || { echo "$2" >&2; return 1; }
        sleep 0.02
    done
}

# stop FILE: once the last message is in FILE.
stop() {
    await "grep -q end-of-run '$1' 2>/dev/null" "the last message never came to $1"
    local result=$?
    kill "$pid" && wait "$pid" 2>/dev/null
    running=${running% "$pid"}
    return $result
}

# rules NAME DIR: a stock configuration, all of whose files lie below DIR, and a rule for all messages.
rules() {
    local file=$here/src/config/tests/$1.conf
    case $1 in
    none) file=/dev/null ;;
    selectors)
        file=$2.selectors
        selectors | awk -v dir="$2" '{ printf "%s\t%s/s%02d\n", $1, dir, NR }' >"$file"
        ;;
    esac
    sed -E -e "s#/var/log/#$2/#; s#/dev/xconsole#$2.fifo#; s#/dev/tty10#$2/tty10#" \
        -e "s#([[:space:]])\*\$#\1$2/everyone#; s#/etc/syslog\.d#$2/syslog.d#" "$file"
    printf '*.*\t%s/all\n' "$2"
}

# send PLACE: a datagram to the port or path PLACE for each line of stdin, whose escapes are those of
# tests/odd_input.txt.
send() {
    perl -MSocket -e '
        my $port = $ARGV[0] !~ m{/};
        my $to = $port ? sockaddr_in($ARGV[0], INADDR_LOOPBACK) : sockaddr_un($ARGV[0]);
        socket(my $socket, $port ? AF_INET : AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
        connect($socket, $to) or die "$ARGV[0]: $!";
        my %short = (n => "\n", t => "\t", r => "\r", "\\" => "\\");
        while (my $line = <STDIN>) {
            chomp $line;
            $line =~ s/\\(x(..)|(.))/defined $2 ? chr hex $2 : $short{$3}/ge;
            defined send($socket, $line, 0) or die "send: $!";
        }' "$1"
}

all_pris() {
    local pri
    for pri in $(seq 0 191); do echo "<$pri>test[$pri]: pri=$pri."; done
    echo "<13>test: end-of-run"
}

# routed DIR: `PRI FILE…` for each PRI, a file as often as the message stands in it.
routed() {
    (cd "$1" && grep -roE 'pri=[0-9]+\.' . | sed -E 's#^\./(.*):pri=([0-9]+)\.#\2 \1#' | sort -k1n -k2 | awk '
            { files[$1] = files[$1] " " $2 }
            END { for (pri = 0; pri < 192; pri++) print pri (pri in files ? files[pri] : " nowhere") }')
}

# compare CONFIG DAEMON OURS: a row of the table, and the differences.
compare() {
    local at=$work/$1 name=$2 us=$3 count=0 unexpected=0 line theirs pri reason
    : >"$work/reasons"
    while IFS='|' read -r line theirs; do
        count=$((count + 1))
        pri=${line%% *}
        reason=$(expected | awk -v c="$1" -v d="$name" -v o="$us" -v p="$pri" '
            { split($4, range, /[-:]/) }
            ($1 == "any" || $1 == c) && $2 == d && $3 == o && p >= range[1] + 0 && p <= range[2] + 0 {
                sub(/^[^:]*: /, ""); print; exit }')
        if [ "$reason" ]; then
            echo "$reason" >>"$work/reasons"
        else
            unexpected=$((unexpected + 1))
            echo "unexpected: PRI $pri: ours:${line#"$pri"}; $name:${theirs#"$pri"}" >>"$work/reasons"
        fi
    done < <(paste -d'|' "$at/$us.routed" "$at/$name.routed" | awk -F'|' '$1 != $2')
    printf '| %-10s | %-10s | %-7s | %3d of 192 | %2d, unexpected %d |\n' \
        "$1" "$name" "${us/ours-k/ours -k}" $((192 - count)) "$count" "$unexpected"
    sort "$work/reasons" | uniq -c | sed -E "s/^ *([0-9]+) (.*)/\1 × \2/; s/^/$1, $name: /" >>"$work/explained"
    failures=$((failures + unexpected))
}

# run CONFIG INSTANCE DAEMON [OPTION...]: what it routes where, in $work/CONFIG/INSTANCE.routed.
run() {
    local config=$1 instance=$2 name=$3 dir=$work/$1/$2 reader
    shift 3
    mkdir -p "$dir/news" "$dir/syslog.d"
    rules "$config" "$dir" >"$dir.rules"
    # The shell holds the FIFO open both ways, so that nobody waits for anybody.
    mkfifo "$dir.fifo"
    exec 7<>"$dir.fifo"
    cat "$dir.fifo" 7>&- >"$dir/fifo" &
    reader=$!
    running="$running $reader"
    start "$name" "$dir" "$dir.rules" "$@" || return
    all_pris | send "$socket"
    stop "$dir/all" || return
    exec 7>&-
    wait $reader
    running=${running% "$reader"}
    routed "$dir" >"$dir.routed"
}

part1() {
    local config name
    printf '| %-10s | %-10s | %-7s | %-10s | %s |\n' rules daemon "" alike different
    echo '| --- | --- | --- | --- | --- |'
    for config in sysklogd inetutils buildroot slackware nixos none; do
        run "$config" ours ours && run "$config" ours-k ours -k || failures=$((failures + 1))
        for name in $present; do
            # busybox has no rules.
            [ "$name" != busybox ] || [ "$config" = none ] || continue
            if run "$config" "$name" "$name"; then
                compare "$config" "$name" ours
                [ "$name" = inetutils ] || compare "$config" "$name" ours-k
            else
                failures=$((failures + 1))
            fi
        done
    done
    echo
    cat "$work/explained"
}

# count DIR1 DIR2: `SELECTOR ALIKE` for each selector, `-` for ALIKE without a second.
count() {
    [ -e "$2.routed" ] || { selectors | sed 's/$/ -/'; return; }
    awk -v list="$(selectors | tr '\n' ' ')" '
        { for (field = 2; field <= NF; field++) in_file[FILENAME == ARGV[1], $1, $field] = 1 }
        END {
            for (number = 1; number <= split(list, selector, " "); number++) {
                file = sprintf("s%02d", number)
                alike = 0
                for (pri = 0; pri < 192; pri++) alike += ((1, pri, file) in in_file) == ((0, pri, file) in in_file)
                print selector[number], alike
            }
        }' "$1.routed" "$2.routed"
}

part2() {
    local at=$work/selectors name selector one other reason
    for name in ours ours-k $present; do
        case $name in
        ours-k) run selectors ours-k ours -k ;;
        busybox) continue ;;
        *) run selectors "$name" "$name" ;;
        esac || failures=$((failures + 1))
    done
    echo '| selector | inetutils, ours | rsyslogd, ours -k |'
    echo '| --- | --- | --- |'
    while read -r selector one other; do
        printf '| %-33s | %3s of 192 | %3s of 192 |\n' "\`$selector\`" "$one" "$other"
        for name in inetutils=$one rsyslogd=$other; do
            case $name in *=192 | *=-) continue ;; esac
            reason=$(expected_selectors | grep -F "$selector ${name%=*}: ") || {
                reason="unexpected: $selector ${name%=*}"
                failures=$((failures + 1))
            }
            echo "$reason" >>"$work/explained2"
        done
    done < <(join <(count "$at/ours" "$at/inetutils" | sort) <(count "$at/ours-k" "$at/rsyslogd" | sort))
    echo
    cat "$work/explained2"
}

# The datagrams of part 3, escaped.
odd() {
    sed -n 's/^> //p' "$here/tests/odd_input.txt"
    printf '<13>tag: '
    printf '%9000s\n' '' | tr ' ' x
    echo "<13>tag: thrice"
}

# shown DIR: the lines between two marks, normalised, one file for each datagram.
shown() {
    HOST=$(uname -n | cut -d. -f1) perl -e '
        my ($file, $out) = @ARGV;
        open(my $lines, "<", $file) or die "$file: $!";
        my ($number, @of) = (undef);
        while (my $line = <$lines>) {
            chomp $line;
            $line =~ s/^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?=\S+ (user\.info )?mark: \d+\.)//;
            if ($line =~ /mark: (\d+)\.$/) { $number = $1; next }
            next unless defined $number;
            my ($now, $day) = (time, $line);
            if ($line =~ /^([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)/) {
                for my $ago (0 .. 20) {
                    my @t = split " ", scalar gmtime($now - $ago);
                    my $stamp = sprintf "%s %2d %s", @t[1, 2, 3];
                    last if $line =~ s/^\Q$stamp\E/now/;
                }
            }
            $line =~ s/(^| )(\Q$ENV{HOST}\E|localhost|127\.0\.0\.1)( |$)/$1HOST$3/;
            $line =~ s/x{60,}/"x" x 20 . "(" . length($&) . " in all)"/ge;
            my $escaped = sub { join "", map { sprintf "\\x%02x", ord } split "", shift };
            # Controls, a BOM, a bidi override, and what is not UTF-8.
            $line =~ s/([\0-\x1f\x7f]|\xef\xbb\xbf|\xe2\x80\xae|\xc2[\x80-\x9f])|([\xc2-\xdf][\x80-\xbf]|
                [\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})|([\x80-\xff])
                /defined $2 ? $2 : $escaped->($1 \/\/ $3)/gex;
            push @{$of[$number]}, $line . "\$";
        }
        open(my $table, ">", $out) or die "$out: $!";
        print $table join("\x1e", @{$of[$_] // ["(nothing)"]}), "\n" for 0 .. 999;' "$1/all" "$1.shown"
}

# a_free_port: of UDP.
a_free_port() {
    perl -MSocket -e '
        socket(my $socket, AF_INET, SOCK_DGRAM, 0) or die "socket: $!";
        bind($socket, sockaddr_in(0, INADDR_LOOPBACK)) or die "bind: $!";
        my ($port) = sockaddr_in(getsockname($socket));
        print $port;'
}

# part3 TRANSPORT DAEMON...
part3() {
    local transport=$1 name dir number datagram
    shift
    for name in "$@"; do
        dir=$work/$transport/$name
        mkdir -p "$dir"
        rules none "$dir" >"$dir.rules"
        [ "$transport" = unix ] || udp=$(a_free_port) || exit 1
        start "$name" "$dir" "$dir.rules" || { failures=$((failures + 1)); continue; }
        {
            number=0
            while IFS= read -r datagram; do
                echo "<14>mark: $number."
                printf '%s\n' "$datagram"
                [[ $datagram != *thrice ]] || printf '%s\n' "$datagram" "$datagram"
                number=$((number + 1))
            done < <(odd)
            echo "<14>mark: 998."
            echo "<13>test: end-of-run"
        } | send "${udp:-$socket}"
        stop "$dir/all" && shown "$dir" || failures=$((failures + 1))
        udp=
    done
    number=0
    while IFS= read -r datagram; do
        number=$((number + 1))
        if [ ${#datagram} -gt 120 ]; then
            printf '> %.20s… (%d octets)\n' "$datagram" ${#datagram}
        else
            printf '> %s\n' "$datagram"
        fi
        for name in "$@"; do
            sed -n "${number}p" "$work/$transport/$name.shown" | tr '\036' '\n' |
                sed "s/^/    $(printf %-10s "$name")/"
        done
    done < <(odd)
}

[ -x "$ours" ] || { echo "build it first: no $ours" >&2; exit 1; }
present=
if ! command -v apt-get dpkg perl >/dev/null; then
    skip "apt-get, dpkg or perl is missing"
    exit 77
fi
fetch inetutils inetutils-syslogd && present="$present inetutils" || skip "inetutils: cannot be fetched"
fetch rsyslog rsyslog libestr0 libfastjson4 && present="$present rsyslogd" || skip "rsyslogd: cannot be fetched"
if ! unshare -Urm true 2>/dev/null; then
    skip "busybox: no namespace for its /dev"
elif fetch busybox busybox; then
    present="$present busybox"
else
    skip "busybox: cannot be fetched"
fi
[ "$present" ] || exit 77

failures=0
udp=
echo "$(date +%F): $("$ours" -v), inetutils $(version inetutils), rsyslog $(version rsyslog), busybox $(version busybox)"
echo
part1
echo
part2
echo
echo "The odd datagrams over a unix socket"
echo
part3 unix ours $present
echo
echo "The odd datagrams over UDP"
echo
part3 udp ours ${present/busybox/}
[ "$failures" = 0 ] || echo "$failures unexpected differences or failures" >&2
[ "$failures" = 0 ]
