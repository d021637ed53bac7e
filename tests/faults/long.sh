#!/bin/sh
# Faults that take too long for every run: minutes or hours.
#
#     tests/faults/long.sh kill-walk         kill -9 before every system call of a rotation and compression (F2, F41)
#     tests/faults/long.sh append-walk       the same for writes under load, rotation by size (F2)
#     tests/faults/long.sh spool-walk [file|remote [PHASE...]]   the same for the life of a spool (F2, F22): spool_walk.py
#     tests/faults/long.sh reload-walk       the same for a reload (F2)
#     tests/faults/long.sh upgrade-walk      the same for an upgrade, alone and with a supervisor that keeps the socket (F2)
#     tests/faults/long.sh power-cut [N [FLAG [traced]]]     N times everything not synced is lost, 200 unless named (F3),
#                                            with FLAG 1 or 0 of EXT4_IOC_SHUTDOWN less than that (F4); root
#     tests/faults/long.sh spool-cut [N [FLAG]]     the same while a spool is filled and drained; 100 unless named (F3); root
#     tests/faults/long.sh nospace-walk      ENOSPC from the n-th call on, n = 1, 2, ...: a log, its compression, the spool (F6)
#     tests/faults/long.sh replay [SEED]     every state of the disk that a cut may leave, by a model: replay.py (F5)
#     tests/faults/long.sh soak [SECONDS]    mixed inputs, rotation, SIGHUPs, a remote that comes and goes; 3600 unless named
#     tests/faults/long.sh memory [OUTPUT]   the most that is resident while outputs stand still and all inputs flood (F25);
#                                            with a part of their name (see its table) only those
#     tests/faults/long.sh cgroup            floods in a memory cgroup of 96 MiB: nobody is killed, all is counted (F25); root
#     tests/faults/long.sh fork              50 programs that log beside a flood, and beside a new process for each message (F27)
#     tests/faults/long.sh upgrade [N]       N upgrades under load, 100 unless named (F31)
#     tests/faults/long.sh hang              an upgrade to a program that hangs after its rehearsal; 10 s, and the old one is back
#     tests/faults/long.sh still             SIGSTOP for 5 s under load (F28)
#     tests/faults/long.sh absent            SIGTERM while 500000 messages wait for a remote that is absent (F30)
#     tests/faults/long.sh kills             20 times kill -9 and start: paced, unpaced, to a synced file (F36)
#     tests/faults/long.sh connections [N]   10000 connections: idle, an octet each, a storm, N messages over all (F23)
#     tests/faults/long.sh restarts          SIGHUP, SIGTERM and start, kill -9 and start, upgrades under load
#
# nospace-walk, cgroup and fork are tests/faults/shortage.py; reload-walk and upgrade-walk are tests/faults/handover_walk.py;
# connections is tests/faults/connections.py; the others from upgrade on are tests/faults/restart.py, which measures
# rsyslogd, too. SYSLOGD=target/release/syslogd is fair to us.
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
import atexit, contextlib, fcntl, glob, itertools, json, multiprocessing, os, random, re, shutil, signal, socket, struct, subprocess, sys, time, zlib

PROGRAM = os.environ["SYSLOGD"]
LIMIT = 30


def message(number):
    text = "src=a n=%d" % number
    return "<13>seq: %s crc=%08x." % (text, zlib.crc32(text.encode()))


def unpacked(paths):
    """What files hold, according to their tools, one piece after the other; half a file is an error."""
    for suffix, some in itertools.groupby(paths, lambda path: os.path.splitext(path)[1]):
        tool = {".gz": "gzip", ".zst": "zstd"}.get(suffix)
        while group := list(itertools.islice(some, 50)):
            if tool is None:
                yield b"".join(open(path, "rb").read() for path in group)
            else:
                yield subprocess.run([tool, "-dc", *group], check=True, stdout=subprocess.PIPE,
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
    for line in b"".join(unpacked(files(log))).decode().splitlines():
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
    missing = len(set(range(must) if isinstance(must, int) else must) - set(found))
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


def synced(trace, log, cut_at):
    """The numbers whose line strace(1) saw written, and then an fdatasync(2) of that thread succeed, before the cut."""
    waiting, sure = {}, set()
    for line in open(trace, errors="replace"):
        match = re.match(r"(\d+) +([\d.]+) (?:(write|fdatasync)\(\d+<([^>]*)>|<\.\.\. (fdatasync) resumed>)", line)
        if match is None:
            continue
        thread, at, call, path, resumed = match.groups()
        if call == "write" and path == log:
            waiting.setdefault(thread, set()).update(map(int, re.findall(r"src=a n=(\d+) crc=", line)))
            continue
        ended = re.search(r"\) += 0 <([\d.]+)>$", line)
        if ended and (resumed or (call == "fdatasync" and path == log)):
            if float(at) + (0 if resumed else float(ended[1])) < cut_at:
                sure |= waiting.pop(thread, set())
    return sure


def power_cut(work, cuts, flag, is_traced):
    """What was not synced is lost, at random moments of logging, rotating and compressing.

    Nobody is told when a line is on the disk. strace(1) sees it: a line is sure once the fdatasync(2) that follows its
    write(2) has returned. It also slows the daemon down, so that there is a rule without it: a group of lines is synced
    5 ms after the first of them was written, before the next write. So line k is sure when line k + 1 was seen,
    line j was sent 5 ms after that, and line j + 1 was seen, too. Lines that are merely seen may be lost.
    """
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
    log, trace = disk + "/log", home + "/trace"
    wrapper = ["strace", "-f", "-qq", "-ttt", "-T", "-y", "-s", "70000", "-o", trace, "--trace=write,fdatasync"]
    # The file itself is new, and its name on the disk, before anything is cut.
    open(log, "w").close()
    os.sync()
    sent = must_be = missing = doubled = torn = 0
    merely_seen = merely_lost = wrongly = 0
    what = "power cut, flag %d%s" % (flag, ", traced" if is_traced else "")
    try:
        for cut in range(cuts):
            form = ["gzip", "zstd"][cut % 2]
            rules = "user.*\t%s;rotate=2k:9999,sync=durable,compress=%s\n" % (log, form)
            daemon = Daemon(home, rules, wrapper if is_traced else ())
            sender = daemon.connect()
            first, goal = sent, sent + chance.randrange(50, 400)
            late, sent_at, seen_at = sent, {}, {}
            while sent < goal:
                sent_at[sent] = time.monotonic()
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
                seen_at[sent] = time.monotonic()
                while late + 1 < sent and seen_at[late + 1] + 0.005 < sent_at[sent - 1]:
                    late += 1
                sent += 1
            # Some more, for whose fate nobody waits; the cut falls somewhere among them.
            for number in range(sent, sent + chance.randrange(1, 60)):
                sender.send(message(number).encode())
            time.sleep(chance.random() / 50)
            # EXT4_IOC_SHUTDOWN: 0 syncs everything, 1 flushes the journal, 2 (EXT4_GOING_FLAGS_NOLOGFLUSH) nothing
            handle = os.open(disk, os.O_RDONLY)
            cut_at = time.time()
            fcntl.ioctl(handle, 0x8004587D, struct.pack("I", flag))
            os.close(handle)
            daemon.kill()
            subprocess.run(["umount", disk], check=True)
            subprocess.run(mount, check=True)
            sure = set(range(first))
            if flag == 0:
                sure |= set(range(sent))
            elif is_traced:
                sure |= synced(trace, log, cut_at)
            else:
                sure |= set(range(late))
            must_be += len(sure) - first
            faults = verdict(log, sure)
            left = set(numbers(log)[0])
            merely_seen += len(set(range(sent)) - sure)
            merely_lost += len(set(range(sent)) - sure - left)
            # What was seen before the last line that was seen: all of it was once taken for synced.
            wrongly += len(set(range(sent - 1)) - left)
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
            if cut % 20 == 19 and cut + 1 < cuts:
                table.row(what + ", so far", cut + 1, must_be, missing, doubled, torn)
        table.row(what, cuts, must_be, missing, doubled, torn)
        print("files: %d, of which compressed %d" % (
            len(files(log)), sum(path.endswith(("gz", "zst")) for path in files(log))))
        print("seen in the file, and not sure: %d, of which lost %d (but for the last line of each run: %d)"
              % (merely_seen, merely_lost, wrongly))
    finally:
        subprocess.run(["umount", disk])
    table.end()


RATES = {"unix": 800, "udp": 800, "tcp": 400}


def free_port(kind):
    probe = socket.socket(socket.AF_INET, kind)
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def sender(name, target, seconds, sent):
    """Sends at an even rate; TCP messages are local0, which is forwarded too."""
    kinds = {"unix": (socket.AF_UNIX, socket.SOCK_DGRAM), "udp": (socket.AF_INET, socket.SOCK_DGRAM),
             "tcp": (socket.AF_INET, socket.SOCK_STREAM)}
    out = socket.socket(*kinds[name])
    out.connect(target)
    begin, number = time.monotonic(), 0
    while (past := time.monotonic() - begin) < seconds:
        while number < past * RATES[name]:
            text = "src=%s n=%d" % (name, number)
            line = "<%d>seq: %s crc=%08x." % (134 if name == "tcp" else 13, text, zlib.crc32(text.encode()))
            out.sendall(line.encode() + (b"\n" if name == "tcp" else b""))
            number += 1
        sent.value = number
        time.sleep(0.01)
    sent.value = number


def remote(port, path, pause, ending):
    """A collector that is away every other while. It leaves politely: what it was sent it reads."""
    with open(path, "wb") as file:
        while not ending.is_set():
            listener = socket.create_server(("127.0.0.1", port))
            listener.settimeout(0.05)
            connections, leaves_at = [], time.monotonic() + pause
            while time.monotonic() < leaves_at and not ending.is_set():
                try:
                    connections.append(listener.accept()[0])
                    connections[-1].settimeout(0.05)
                except TimeoutError:
                    pass
                for connection in connections:
                    try:
                        file.write(connection.recv(1 << 20))
                    except TimeoutError:
                        pass
            listener.close()
            for connection in connections:
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(10)
                while octets := connection.recv(1 << 20):
                    file.write(octets)
                connection.close()
            ending.wait(pause / 4)


def account(octets_of_all, sent):
    """Missing by sender, doubled, torn, of texts in which numbered messages are."""
    seen = {name: bytearray(count) for name, count in sent.items()}
    doubled = torn = 0
    pattern = re.compile(rb" seq: (src=(\w+) n=(\d+)) crc=([0-9a-f]{8})\.")
    for octets in octets_of_all:
        found = 0
        for match in pattern.finditer(octets):
            found += 1
            name, number = match[2].decode(), int(match[3])
            if zlib.crc32(match[1]) != int(match[4], 16) or number >= len(seen.get(name, b"")):
                torn += 1
                continue
            doubled += seen[name][number]
            seen[name][number] = 1
        torn += octets.count(b" seq: ") - found
    return {name: which.count(0) for name, which in seen.items()}, doubled, torn


def soak(work, seconds):
    """Everything at once and for long. Passes if each missing message is in a counter, and nothing grows."""
    home = work + "/run"
    fresh(home)
    log = home + "/logs/log"
    ports = {"udp": free_port(socket.SOCK_DGRAM), "tcp": free_port(socket.SOCK_STREAM)}
    away = free_port(socket.SOCK_STREAM)
    daemon = Daemon(home, "listen udp://127.0.0.1:%d\nlisten tcp://127.0.0.1:%d\n"
                    "user.*;local0.*\t%s;rotate=4M:9999\nlocal0.*\t@tcp://127.0.0.1:%d\n"
                    % (ports["udp"], ports["tcp"], log, away))
    daemon.connect()
    pause = min(60, max(5, seconds / 20))
    ending = multiprocessing.Event()
    far = multiprocessing.Process(target=remote, args=(away, home + "/remote", pause, ending), daemon=True)
    far.start()
    sent = {name: multiprocessing.Value("Q", 0) for name in RATES}
    senders = [multiprocessing.Process(target=sender, args=(
        name, ("127.0.0.1", ports[name]) if name in ports else home + "/sock", seconds, sent[name]),
        daemon=True) for name in RATES]
    for process in senders:
        process.start()
    pid, stats = daemon.process.pid, home + "/pid.stats"

    # Whatever goes wrong here, nothing is left running.
    atexit.register(daemon.kill)

    def resident():
        return int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % pid).read())[1])

    def counters():
        if os.path.exists(stats):
            os.remove(stats)
        daemon.process.send_signal(signal.SIGUSR1)
        daemon.until(lambda: os.path.exists(stats))
        return json.load(open(stats))

    def output(found, name):
        return next(one for one in found["outputs"] if name in one["name"])

    def quiet():
        return output(counters(), log)["queued"] == 0 and output(counters(), "@tcp")["queued"] == 0

    samples, reloads, begin = [], 0, time.monotonic()
    print("%8s %10s %12s %8s %8s" % ("seconds", "messages", "resident KiB", "descr.", "threads"))
    while any(process.is_alive() for process in senders):
        time.sleep(min(10, seconds / 30))
        daemon.process.send_signal(signal.SIGHUP)
        reloads += 1
        past = time.monotonic() - begin
        samples.append((past, resident(), len(os.listdir("/proc/%d/fd" % pid)),
                        len(os.listdir("/proc/%d/task" % pid))))
        print("%8d %10d %12d %8d %8d" % (past, sum(one.value for one in sent.values()), *samples[-1][1:]),
              flush=True)
    for process in senders:
        process.join()
    end = time.monotonic() + 120
    while not quiet() and time.monotonic() < end:
        time.sleep(0.2)
    found = counters()
    # It may be connected once or not at all, and compress one file: two descriptors each way.
    half = len(samples) // 2
    early, late = samples[half // 2:half], samples[half + half // 2:]
    median = lambda values: sorted(values)[len(values) // 2]
    grown = median([one[1] for one in late]) - median([one[1] for one in early])
    spread = [max(one[at] for one in samples[half:]) - max(one[at] for one in samples[1:half]) for at in (2, 3)]
    slope = grown / (median([one[0] for one in late]) - median([one[0] for one in early])) * 3600
    daemon.process.terminate()
    daemon.process.wait()
    ending.set()
    far.join(20)
    count = {name: value.value for name, value in sent.items()}
    missing, doubled, torn = account(unpacked(files(log)), count)
    lost = sum(missing.values())
    kernel = sum(one.get("kernel_dropped", 0) for one in found["inputs"])
    dropped = sum(output(found, log)["dropped"].values())
    far_missing, again, far_torn = account([open(home + "/remote", "rb").read()], {"tcp": count["tcp"]})
    far_dropped = sum(output(found, "@tcp")["dropped"].values())
    print("sent %d, reloads %d, files %d" % (sum(count.values()), reloads, len(files(log))))
    print("file:   missing %d, in counters %d (of which the kernel %d); doubled %d, torn %d"
          % (lost, dropped + kernel, kernel, doubled, torn))
    print("remote: missing %d, in counters %d; sent again %d, torn %d"
          % (far_missing["tcp"], far_dropped, again, far_torn))
    print("memory: %+d KiB in the second half, %+.0f KiB/h; descriptors %+d, threads %+d" % (grown, slope, *spread))
    hours = seconds / 3600
    wrong = (lost != dropped + kernel or doubled or torn or far_missing["tcp"] != far_dropped or far_torn
             or grown > 512 + 1024 * hours or max(spread) > 0)
    sys.exit(1 if wrong else 0)


def flood(kind, target, octets, counted, ending):
    """Sends as fast as it is taken, until told to end; twenty messages or so at a time on a stream."""
    out = socket.socket(*kind)
    out.connect(target)
    out.settimeout(0.2)
    chance = random.Random(octets)
    while not ending.is_set():
        some = []
        for _ in range(20):
            head = "<%d>flood: %08x " % (8 + chance.randrange(8), chance.randrange(1 << 32))
            some.append(head.encode() + b"x" * (octets - len(head)))
        try:
            if kind[1] == socket.SOCK_DGRAM:
                for one in some:
                    out.send(one)
            else:
                frame = (lambda one: b"%d %s" % (len(one), one)) if counted else (lambda one: one + b"\n")
                rest = memoryview(b"".join(map(frame, some)))
                while rest and not ending.is_set():
                    try:
                        rest = rest[out.send(rest):]
                    except TimeoutError:
                        pass
        except TimeoutError:
            pass
        except OSError:
            # The daemon has ended.
            return


def memory(work, only):
    """The most that is resident while one output stands still, or all of them, and every input floods."""
    deaf = socket.create_server(("127.0.0.1", 0))
    absent = free_port(socket.SOCK_STREAM)
    home = work + "/run"
    log, fifo = home + "/logs/log", home + "/fifo"
    outputs = {
        "none (a good file)": (["-" + log], ()),
        "FIFO, reader stopped": (["|" + fifo], ()),
        "disk full": (["-" + log], ["prlimit", "--fsize=1048576"]),
        "disk hangs": (["-" + log], ["strace", "-f", "-qq", "-o", "/dev/null", "-P", log, "--trace=write",
                                     "--inject=write:delay_enter=600s"]),
        "remote reads nothing": (["@@127.0.0.1:%d" % deaf.getsockname()[1]], ()),
        "remote absent": (["@@127.0.0.1:%d" % absent], ()),
    }
    outputs["all of them"] = (["-" + log, "|" + fifo, "@@127.0.0.1:%d" % deaf.getsockname()[1],
                               "@@127.0.0.1:%d" % absent], ["prlimit", "--fsize=1048576"])
    most = 0
    print("%-22s %6s %10s %10s %10s %10s" % ("stopped", "octets", "received", "queued", "dropped", "peak KiB"))
    for name, (actions, wrapper) in ((name, output) for name, output in outputs.items() if only in name):
        for octets in [80, 8000, 64000]:
            fresh(home)
            os.mkfifo(fifo)
            ports = {kind: free_port(kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)}
            reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
            limit = "max_message_size 64k\n" if octets > 8192 else ""
            daemon = Daemon(home, limit + "listen udp://127.0.0.1:%d\nlisten tcp://127.0.0.1:%d\nlisten unix://%s\n%s" % (
                ports[socket.SOCK_DGRAM], ports[socket.SOCK_STREAM], home + "/stream",
                "".join("user.*\t%s\n" % action for action in actions)), wrapper)
            # Whatever goes wrong here, nothing is left running.
            atexit.register(daemon.kill)
            daemon.connect()
            daemon.until(lambda: os.path.exists(home + "/pid"))
            pid, stats = int(open(home + "/pid").read()), home + "/pid.stats"

            def counters():
                if os.path.exists(stats):
                    os.remove(stats)
                os.kill(pid, signal.SIGUSR1)
                daemon.until(lambda: os.path.exists(stats))
                return json.load(open(stats))

            def total(found, key):
                each = [one[key] for one in found["outputs"]]
                return sum(sum(one.values()) if isinstance(one, dict) else one for one in each)

            # Those who never finish a frame count, too.
            tcp = ("127.0.0.1", ports[socket.SOCK_STREAM])

            def listens():
                with socket.socket() as one:
                    return one.connect_ex(tcp) == 0

            daemon.until(listens)
            halves = [socket.create_connection(tcp) for _ in range(300)]
            for half in halves:
                # The oldest may have been closed for the others.
                with contextlib.suppress(ConnectionError):
                    half.sendall(b"<15>" + b"y" * (octets * 7 // 8 if limit else 7000))
            ending = multiprocessing.Event()
            inet, unix = socket.AF_INET, socket.AF_UNIX
            floods = [((unix, socket.SOCK_DGRAM), home + "/sock", False),
                      ((unix, socket.SOCK_STREAM), home + "/stream", False),
                      ((inet, socket.SOCK_DGRAM), ("127.0.0.1", ports[socket.SOCK_DGRAM]), False),
                      ((inet, socket.SOCK_STREAM), tcp, False), ((inet, socket.SOCK_STREAM), tcp, True)]
            senders = [multiprocessing.Process(target=flood, args=(kind, to, octets, counted, ending), daemon=True)
                       for kind, to, counted in floods]
            for process in senders:
                process.start()
            # Five seconds, or more, until each output that stands still drops.
            end, least = time.monotonic() + 60, time.monotonic() + 5
            good = name.startswith("none")
            while time.monotonic() < end and (time.monotonic() < least or not good and not all(
                    sum(one["dropped"].values()) for one in counters()["outputs"])):
                time.sleep(0.2)
            time.sleep(2)
            found = counters()
            peak = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/%d/status" % pid).read())[1])
            ending.set()
            for process in senders:
                process.join()
            daemon.kill()
            atexit.unregister(daemon.kill)
            os.close(reader)
            most = max(most, peak)
            print("%-22s %6d %10d %10d %10d %10d" % (
                name, octets, sum(one["received"] for one in found["inputs"]), total(found, "queued"),
                total(found, "dropped"), peak), flush=True)
    print("most: %.1f MiB, of which 64 are the budget" % (most / 1024))
    sys.exit(1 if most > 80 * 1024 else 0)


verb, work, *rest = sys.argv[1:]
{"kill-walk": kill_walk, "append-walk": append_walk, "memory": lambda work: memory(work, "".join(rest)),
 "power-cut": lambda work: power_cut(work, int(rest[0]), int(rest[1]), rest[2] == "traced"),
 "soak": lambda work: soak(work, int(rest[0]))}[verb](work)
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
    ${apart:-} python3 -c "$kit" "$verb" "$work" "$@"
}

section_kill_walk() {
    needs python3 strace gzip zstd
    with_kit kill-walk
}

section_append_walk() {
    needs python3 strace gzip
    with_kit append-walk
}

section_spool_walk() {
    needs python3 strace
    with_program
    "$home/tests/faults/spool_walk.py" "$SYSLOGD" "$@"
}

section_reload_walk() {
    needs python3 strace
    with_program
    "$home/tests/faults/handover_walk.py" "$SYSLOGD" reload
}

section_upgrade_walk() {
    needs python3 strace bash
    with_program
    "$home/tests/faults/handover_walk.py" "$SYSLOGD" upgrade kept
}

section_power_cut() {
    needs python3 gzip zstd mkfs.ext4 unshare
    [ "$(id -u)" = 0 ] || die "power-cut needs root, for the loop device"
    # A mount namespace that somebody copies from ours would keep the dead file system busy.
    apart='unshare --mount --propagation private'
    with_kit power-cut "${1:-200}" "${2:-2}" "${3:-by-time}"
}

section_spool_cut() {
    needs python3 mkfs.ext4 unshare
    [ "$(id -u)" = 0 ] || die "spool-cut needs root, for the loop device"
    with_program
    unshare --mount --propagation private "$home/tests/faults/spool_cut.py" "$SYSLOGD" "${1:-100}" "${2:-2}"
}

section_replay() {
    needs python3 strace gzip zstd
    with_program
    "$home/tests/faults/replay.py" "$SYSLOGD" "$@"
}

section_soak() {
    needs python3 gzip
    with_kit soak "${1:-3600}"
}

section_memory() {
    needs python3 strace prlimit
    with_kit memory "$@"
}

restart() {
    needs python3
    with_program
    "$home/tests/faults/restart.py" "$SYSLOGD" "$@"
}

section_upgrade() {
    UPGRADES=${1:-100} restart upgrade
}

section_hang() {
    restart hang
}

section_still() {
    restart still
}

section_absent() {
    restart absent
}

section_connections() {
    needs python3
    with_program
    "$home/tests/faults/connections.py" "$SYSLOGD" "$@"
}

shortage() {
    needs python3
    with_program
    "$home/tests/faults/shortage.py" "$SYSLOGD" "$@"
}

section_nospace_walk() {
    needs strace zstd
    shortage nospace-walk
}

section_cgroup() {
    needs strace
    shortage cgroup
}

section_fork() {
    shortage fork
}

section_restarts() {
    restart
}

section_kills() {
    restart kills flood synced
}

case $section in
kill-walk | append-walk | spool-walk | reload-walk | upgrade-walk | nospace-walk | power-cut | spool-cut | replay | cgroup | \
    fork | soak | memory | upgrade | hang | still | absent | kills | connections | restarts)
    "section_$(echo "$section" | tr - _)" "$@"
    ;;
*)
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
