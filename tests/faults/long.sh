#!/bin/sh
# Faults that take too long for every run: minutes or hours.
#
#     tests/faults/long.sh kill-walk         kill -9 before every system call of a rotation and compression (F2, F41)
#     tests/faults/long.sh append-walk       the same for writes under load, rotation by size (F2)
#     tests/faults/long.sh power-cut [N]     N times everything not synced is lost, 200 unless named (F3); root
#     tests/faults/long.sh upgrade [N]       N upgrades under load, 100 unless named (F31)
#     tests/faults/long.sh still             SIGSTOP for 5 s under load (F28)
#     tests/faults/long.sh absent            SIGTERM while 500000 messages wait for a remote that is absent (F30)
#     tests/faults/long.sh restarts          SIGHUP, SIGTERM and start, kill -9 and start, upgrades under load
#
# The last four are tests/faults/restart.py, which measures rsyslogd, too. SYSLOGD=target/release/syslogd is fair to us.
#
# Each section prints a table with a line for each fault, ends with 1 if anything is wrong, and works below a
# directory of its own in $TMPDIR that it removes. SYSLOGD=/path names the program; else it is built.
#
# A new section is a function `section_NAME`, dashes as underscores, and a line above. What it sends are the
# numbered messages of tests/faults/sequence.rs, and `checker` says what became of them.
set -eu

home=$(cd "$(dirname "$0")/../.." && pwd)
section=${1:-}
if [ $# -gt 0 ]; then shift; fi

die() {
    echo "long.sh: $*" >&2
    exit 2
}

needs() {
    for tool; do
        command -v "$tool" >/dev/null || die "needs $tool"
    done
}

# The program that does the work of all sections: python3 -c "$kit" VERB ARGUMENT...
kit=$(cat <<'PYTHON'
import fcntl, glob, gzip, os, random, re, shutil, signal, socket, struct, subprocess, sys, time, zlib

PROGRAM = os.environ["SYSLOGD"]
LIMIT = 30


def message(number):
    text = "src=a n=%d" % number
    return "<13>seq: %s crc=%08x." % (text, zlib.crc32(text.encode()))


def unpacked(path):
    """What a file holds, according to its tool; half a file is an error."""
    tool = {".gz": "gzip", ".zst": "zstd"}.get(os.path.splitext(path)[1])
    if tool is None:
        return open(path, "rb").read()
    return subprocess.run([tool, "-dc", path], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


def files(log):
    """The files of a log, the oldest first; of one that is there twice, the plain form."""
    found = {}
    for path in glob.glob(glob.escape(log) + "*"):
        match = re.fullmatch(r"(?:\.(\d+)(?:\.(gz|zst))?)?", path[len(log):])
        if match:
            number = -1 if match[1] is None else int(match[1])
            if number not in found or match[2] is None:
                found[number] = path
    return [found[number] for number in sorted(found, reverse=True)]


def numbers(log):
    """The numbers of all whole messages in all files, and how many lines are torn."""
    found, torn = [], 0
    for line in b"".join(map(unpacked, files(log))).decode().splitlines():
        at = line.find(" seq: ")
        if at < 0:
            torn += not re.search(r" (syslogd|mark)\b", line)
            continue
        match = re.fullmatch(r"src=a n=(\d+) crc=[0-9a-f]{8}\.", line[at + 6:])
        if match and message(int(match[1])).endswith(line[at + 6:]):
            found.append(int(match[1]))
        else:
            torn += 1
    return found, torn


class Daemon:
    def __init__(self, home, rules, wrapper=()):
        self.home = home
        with open(home + "/conf", "w") as conf:
            conf.write(rules)
        for name in ["sock", "pid"]:
            if os.path.lexists(home + "/" + name):
                os.remove(home + "/" + name)
        self.process = subprocess.Popen(
            [*wrapper, PROGRAM, "-F", "-K", "-n", "-f", home + "/conf", "-p", home + "/sock",
             "-P", home + "/pid"], stderr=subprocess.DEVNULL, env=dict(os.environ, TZ="UTC0"))

    def ended(self):
        return self.process.poll() is not None

    def until(self, is_so):
        """Whether it came to be so before the daemon ended."""
        end = time.monotonic() + LIMIT
        while not is_so():
            if self.ended():
                return False
            if time.monotonic() > end:
                sys.exit("waited in vain")
            time.sleep(0.001)
        return True

    def connect(self):
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        def tried():
            try:
                sender.connect(self.home + "/sock")
                return True
            except OSError:
                return False
        return sender if self.until(tried) else None

    def kill(self):
        """Of a traced one the daemon; strace ends then."""
        try:
            os.kill(int(open(self.home + "/pid").read()), signal.SIGKILL)
        except (OSError, ValueError):
            pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Table:
    def __init__(self):
        print("%-28s %6s %8s %8s %8s %6s" % ("fault", "runs", "sent", "missing", "doubled", "torn"))
        self.wrong = False

    def row(self, fault, runs, sent, missing, doubled, torn):
        print("%-28s %6d %8d %8d %8d %6d" % (fault, runs, sent, missing, doubled, torn), flush=True)
        self.wrong |= missing + doubled + torn > 0

    def end(self):
        sys.exit(1 if self.wrong else 0)


def verdict(log, must):
    """Of the messages that must be there: missing; of all: doubled or out of order, torn."""
    found, torn = numbers(log)
    missing = len(set(range(must)) - set(found))
    doubled = sum(later <= before for before, later in zip(found, found[1:]))
    return missing, doubled, torn


def traced(logs, call, when):
    paths = [logs] + ["%s/%s" % (logs, name) for name in
                      ["log", "log.0", "log.1", "log.2", ".log.new", ".log.gz.tmp", ".log.zst.tmp"]]
    return ["strace", "-f", "-qq", "-o", "/dev/null", *sum((["-P", path] for path in paths), []),
            "--trace=" + call, "--inject=%s:signal=KILL:when=%d" % (call, when)]


def fresh(home):
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home + "/logs")


def template(home, count, each):
    """A log of `count` messages in files of `each`, logged by the daemon itself."""
    fresh(home)
    log = home + "/logs/log"
    daemon = Daemon(home, "user.*\t%s;rotate=1G:99,compress=none\n" % log)
    sender = daemon.connect()
    for number in range(count):
        sender.send(message(number).encode())
        if number % each == each - 1 and number != count - 1:
            daemon.until(lambda: len(numbers(log)[0]) == number + 1)
            before = os.stat(log).st_ino
            daemon.process.send_signal(signal.SIGUSR2)
            daemon.until(lambda: os.path.exists(log) and os.stat(log).st_ino != before)
    daemon.until(lambda: len(numbers(log)[0]) == count)
    daemon.kill()


CALLS = ["openat", "renameat2", "unlinkat", "linkat", "fsync", "fdatasync", "fchmod", "fchown", "write",
         "pread64", "ftruncate", "lseek", "getdents64", "utimensat", "close"]


def kill_walk(work):
    """Rotation and compression at the start of a daemon, which is killed before call number n = 1, 2, ..."""
    table = Table()
    count, each = 5000, 1000
    template(work + "/template", count, each)
    for compress in ["gzip", "zstd"]:
        for rotates in [True, False]:
            for call in CALLS:
                runs = missing = doubled = torn = 0
                killed = True
                while killed:
                    runs += 1
                    home = work + "/run"
                    shutil.rmtree(home, ignore_errors=True)
                    shutil.copytree(work + "/template/logs", home + "/logs")
                    log = home + "/logs/log"
                    if rotates:
                        then = time.time() - 26 * 3600
                        os.utime(log, (then, then))
                    rules = "user.*\t%s;rotate=daily:99,compress=%s\n" % (log, compress)
                    last = len(files(log)) - 2 + rotates
                    def done():
                        names = sorted(os.listdir(home + "/logs"))
                        suffix = {"gzip": "gz", "zstd": "zst"}[compress]
                        return names == sorted(["log", "log.0"] + [
                            "log.%d.%s" % (number, suffix) for number in range(1, last + 1)])
                    daemon = Daemon(home, rules, traced(home + "/logs", call, runs))
                    killed = not daemon.until(done)
                    daemon.kill()
                    faults = verdict(log, count)
                    daemon = Daemon(home, rules)
                    tidy = daemon.until(done)
                    daemon.kill()
                    after = verdict(log, count)
                    missing += max(faults[0], after[0])
                    doubled += max(faults[1], after[1]) + (not tidy)
                    torn += max(faults[2], after[2])
                what = "%s %s" % ("rotate" if rotates else compress, call)
                if runs > 1 or rotates is False:
                    table.row(("%s (%s)" % (what, compress)) if rotates else what,
                              runs, runs * count, missing, doubled, torn)
    table.end()


def append_walk(work):
    """Messages one by one into a log that rotates by size; the daemon is killed before call number n."""
    table = Table()
    count = 200
    for call in ["write", "openat", "renameat2", "unlinkat", "fsync", "fdatasync", "fchmod", "fchown"]:
        runs = missing = doubled = torn = 0
        killed = True
        while killed:
            runs += 1
            home = work + "/run"
            fresh(home)
            log = home + "/logs/log"
            rules = "user.*\t%s;rotate=2k:99\n" % log
            daemon = Daemon(home, rules, traced(home + "/logs", call, runs))
            sender = daemon.connect()
            seen = 0
            while sender and seen < count:
                try:
                    sender.send(message(seen).encode())
                except OSError:
                    break
                text = message(seen)[4:].encode()
                def is_written():
                    for name in (log, log + ".0"):
                        try:
                            if text in open(name, "rb").read():
                                return True
                        except OSError:
                            pass
                    return False
                if not daemon.until(is_written) and not is_written():
                    break
                seen += 1
            # strace itself may take a moment to end.
            killed = seen < count or daemon.ended()
            daemon.kill()
            # What was seen in the file is there; the one in flight may be. The rest is sent now.
            faults = verdict(log, seen)
            begun = numbers(log)[0]
            seen = begun[-1] + 1 if begun else 0
            daemon = Daemon(home, rules)
            sender = daemon.connect()
            for number in range(seen, count):
                sender.send(message(number).encode())
            daemon.until(lambda: (numbers_or_none(log) or [-1])[-1] == count - 1)
            daemon.process.terminate()
            daemon.process.wait()
            after = verdict(log, count)
            missing += max(faults[0], after[0])
            doubled += max(faults[1], after[1])
            torn += max(faults[2], after[2])
        table.row("append " + call, runs, runs * count, missing, doubled, torn)
    table.end()


def numbers_or_none(log):
    """While files move."""
    try:
        return numbers(log)[0]
    except (OSError, subprocess.CalledProcessError):
        return None


def power_cut(work, cuts):
    """Everything that was not synced is lost, at random moments of logging, rotating and compressing."""
    table = Table()
    seed = int(os.environ.get("SEED", time.time()))
    print("SEED=%d" % seed)
    chance = random.Random(seed)
    image, disk, home = work + "/image", work + "/disk", work + "/run"
    os.makedirs(disk)
    os.makedirs(home)
    with open(image, "wb") as file:
        file.truncate(256 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    mount = ["mount", "-o", "loop", image, disk]
    subprocess.run(mount, check=True)
    log = disk + "/log"
    sent = sure = 0
    missing = doubled = torn = 0
    try:
        for cut in range(cuts):
            form = ["gzip", "zstd"][cut % 2]
            rules = "user.*\t%s;rotate=2k:9999,sync=durable,compress=%s\n" % (log, form)
            daemon = Daemon(home, rules)
            sender = daemon.connect()
            goal = sent + chance.randrange(50, 400)
            while sent < goal:
                sender.send(message(sent).encode())
                text = message(sent)[4:].encode()
                def is_written():
                    for name in (log, log + ".0"):
                        try:
                            if text in open(name, "rb").read():
                                return True
                        except OSError:
                            pass
                    return False
                daemon.until(is_written)
                # It is not taken before the one before it is on the disk.
                sure, sent = sent, sent + 1
            # Some more, for whose fate nobody waits; the cut falls somewhere among them.
            for number in range(sent, sent + chance.randrange(1, 60)):
                sender.send(message(number).encode())
            time.sleep(chance.random() / 50)
            # EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
            handle = os.open(disk, os.O_RDONLY)
            fcntl.ioctl(handle, 0x8004587D, struct.pack("I", 2))
            os.close(handle)
            daemon.kill()
            subprocess.run(["umount", disk], check=True)
            subprocess.run(mount, check=True)
            faults = verdict(log, sure)
            daemon = Daemon(home, rules)
            daemon.until(lambda: os.path.exists(home + "/pid"))
            daemon.until(lambda: not glob.glob(disk + "/.log*")
                         and not any(re.search(r"\.[1-9]\d*$", path) for path in files(log)))
            daemon.kill()
            after = verdict(log, sure)
            missing += max(faults[0], after[0])
            doubled += max(faults[1], after[1])
            torn += max(0, after[2] - cut - 1)
            found = numbers(log)[0]
            sent = found[-1] + 1 if found else 0
        table.row("power cut, durable", cuts, sent, missing, doubled, torn)
        print("files: %d, of which compressed %d" % (
            len(files(log)), sum(path.endswith(("gz", "zst")) for path in files(log))))
    finally:
        subprocess.run(["umount", disk])
    table.end()


verb, work, *rest = sys.argv[1:]
{"kill-walk": kill_walk, "append-walk": append_walk,
 "power-cut": lambda work: power_cut(work, int(rest[0]))}[verb](work)
PYTHON
)

with_program() {
    if [ -z "${SYSLOGD:-}" ]; then
        cargo build --quiet --manifest-path "$home/Cargo.toml"
        SYSLOGD=$home/target/debug/syslogd
    fi
    export SYSLOGD
}

with_kit() {
    with_program
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    verb=$1
    shift
    python3 -c "$kit" "$verb" "$work" "$@"
}

section_kill_walk() {
    needs python3 strace gzip zstd
    with_kit kill-walk
}

section_append_walk() {
    needs python3 strace gzip
    with_kit append-walk
}

section_power_cut() {
    needs python3 gzip zstd mkfs.ext4
    [ "$(id -u)" = 0 ] || die "power-cut needs root, for the loop device"
    with_kit power-cut "${1:-200}"
}

restart() {
    needs python3
    with_program
    "$home/tests/faults/restart.py" "$SYSLOGD" "$@"
}

section_upgrade() {
    UPGRADES=${1:-100} restart upgrade
}

section_still() {
    restart still
}

section_absent() {
    restart absent
}

section_restarts() {
    restart
}

case $section in
kill-walk | append-walk | power-cut | upgrade | still | absent | restarts) "section_$(echo "$section" | tr - _)" "$@" ;;
*)
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
