#!/usr/bin/env python3
"""Too little room on disks, too little memory, too many senders (F6, F25, F27).

    tests/faults/shortage.py PROGRAM nospace-walk   ENOSPC from the n-th call on, n = 1, 2, ... until a run meets none
    tests/faults/shortage.py PROGRAM cgroup         floods in a memory cgroup of 96 MiB
    tests/faults/shortage.py PROGRAM fork           50 canaries beside a flood, and beside a new process for each message

PROGRAM is our syslogd; a release build is fair. A line for each fault says what was found; the exit is 1 if anything
is wrong.
"""

import glob
import gzip
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib

LIMIT = 60
MIB = 1 << 20

wrong = []


def message(source, number):
    text = "src=%s n=%d" % (source, number)
    return b"<13>seq: %s crc=%08x." % (text.encode(), zlib.crc32(text.encode()))


def wait_for(what, look, limit=LIMIT):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.002)
    sys.exit("shortage.py: waited in vain for " + what)


class Found:
    """What became of the numbered messages of one source in some lines."""

    def __init__(self, octets, source, sent):
        self.told = sum(map(int, re.findall(rb"\]: dropped (\d+) messages? here between ", octets)))
        numbers = []
        self.torn = 0
        for text, number, crc in re.findall(rb" seq: (src=%s n=(\d+)) crc=([0-9a-f]{8})\.\n" % source.encode(), octets):
            if zlib.crc32(text) == int(crc, 16):
                numbers.append(int(number))
            else:
                self.torn += 1
        self.torn += octets.count(b" seq: src=%s n=" % source.encode()) - len(numbers) - self.torn
        self.missing = sent - len(set(numbers))
        # Doubled, or behind a later one.
        self.doubled = sum(later <= before for before, later in zip(numbers, numbers[1:]))


class Daemon:
    def __init__(self, program, home, rules, wrapper=(), listens=()):
        self.home = home
        with open(home + "/conf", "w") as conf:
            conf.write(rules)
        arguments = ["-F", "-f", home + "/conf", "-p", home + "/socket", "-P", home + "/pid", "--no-kernel-log",
                     "--no-dns", *listens]
        self.said_file = open(home + "/said", "w")
        self.process = subprocess.Popen([*wrapper, program, *arguments], stderr=self.said_file,
                                        env=dict(os.environ, TZ="UTC0"))
        wait_for("the start", lambda: ": start\n" in self.said())
        self.pid = self.process.pid
        self.unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.unix.connect(home + "/socket")

    def said(self):
        return open(self.home + "/said", errors="replace").read()

    def address(self, scheme):
        host, port = re.findall(r"listening on %s://(.*):(\d+)" % scheme, self.said())[-1]
        return host, int(port)

    def counters(self):
        path = self.home + "/pid.stats"
        if os.path.exists(path):
            os.unlink(path)
        os.kill(self.pid, signal.SIGUSR1)
        wait_for("the counters", lambda: os.path.exists(path))
        return json.load(open(path))

    def output(self, name):
        return output(self.counters(), name)

    def end(self):
        """SIGTERM; returns whether it ended well, and the last counters balance."""
        self.process.terminate()
        status = self.process.wait(LIMIT)
        return status == 0 and balances(json.load(open(self.home + "/pid.stats")))

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def output(counters, name):
    return next(one for one in counters["outputs"] if name in one["name"])


def dropped(one):
    return sum(one["dropped"].values())


def balances(counters):
    return all(one["received"] == one["routed"] + one["unmatched"] + sum(one["rejected"].values())
               for one in counters["inputs"]) and all(
        one["enqueued"] == one["written"] + dropped(one) + one["queued"] for one in counters["outputs"])


class Strace:
    """Lets calls of a running daemon fail, until it is ended."""

    def __init__(self, daemon, paths, fault):
        self.trace = daemon.home + "/trace"
        call = fault.split(":")[0]
        if os.path.exists(self.trace):
            os.unlink(self.trace)
        self.process = subprocess.Popen(
            ["strace", "-f", "-o", self.trace, "-p", str(daemon.pid), *sum((["-P", one] for one in paths), []),
             "-e", "trace=" + call, "-e", "inject=" + fault], stderr=subprocess.PIPE)
        if b"attached" not in self.process.stderr.readline():
            sys.exit("shortage.py: strace may not")

    def struck(self):
        return b"(INJECTED)" in open(self.trace, "rb").read()

    def end(self):
        self.process.terminate()
        self.process.wait()


def unpacked(log):
    """A log and its rotated files, the oldest first; of one that is there twice, the plain form."""
    files = {}
    for path in glob.glob(log + "*"):
        match = re.fullmatch(r"(?:\.(\d+)(?:\.(gz|zst))?)?", path[len(log):])
        if match and (match[2] is None or int(match[1]) not in files):
            files[-1 if match[1] is None else int(match[1])] = path
    octets = b""
    for _, path in sorted(files.items(), reverse=True):
        if path.endswith(".gz"):
            octets += gzip.open(path).read()
        elif path.endswith(".zst"):
            octets += subprocess.run(["zstd", "-dc", path], check=True, stdout=subprocess.PIPE).stdout
        else:
            octets += open(path, "rb").read()
    return octets


class Walk:
    """One line of the table: a call that fails from its n-th time on, for each n."""

    def __init__(self, name):
        self.name = name
        self.runs = self.sent = self.dropped = self.missing = self.told = self.doubled = self.torn = 0
        self.slowest = 0.0
        self.unwell = 0

    def add(self, found, sent, dropped, seconds, is_well):
        self.runs += 1
        self.sent += sent
        self.dropped += dropped
        self.missing += found.missing
        self.told += found.told
        self.doubled += found.doubled
        self.torn += found.torn
        self.slowest = max(self.slowest, seconds)
        # To the message in each run, and not in the sum of them.
        self.unwell += not (is_well and found.missing == found.told == dropped)

    def end(self):
        print("%-34s %5d %8d %8d %8d %8d %8d %5d %7.2f %6d" % (
            self.name, self.runs, self.sent, self.dropped, self.missing, self.told, self.doubled, self.torn,
            self.slowest, self.unwell), flush=True)
        if self.doubled or self.torn or self.unwell or self.slowest > 1:
            wrong.append(self.name)


def fresh(home):
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)


def file_walk(program, home, form, call):
    """A log that is rotated and compressed thrice."""
    walk = Walk("%s, rotated, %s" % (call, form))
    suffix = {"gzip": "gz", "zstd": "zst"}[form]
    struck = True
    while struck:
        fresh(home)
        os.mkdir(home + "/logs")
        log = home + "/logs/log"
        rules = "user.*\t%s;rotate=1G:99,compress=%s\n" % (log, form)
        daemon = Daemon(program, home, rules)
        names = ["", "/log", "/log.0", "/log.1", "/log.2", "/.log.new", "/.log.%s.tmp" % suffix]
        strace = Strace(daemon, [home + "/logs" + name for name in names],
                        "%s:error=ENOSPC:when=%d+" % (call, walk.runs + 1))
        sent = 0

        def is_written():
            text = message("a", sent - 1)[4:]
            for one in (log, log + ".0"):
                try:
                    if text in open(one, "rb").read():
                        return True
                except FileNotFoundError:
                    # It is just being renamed.
                    pass
            return False

        def send(count):
            nonlocal sent
            for _ in range(count):
                daemon.unix.send(message("a", sent))
                sent += 1

        def tidy(count):
            names = ["log", "log.0"] + ["log.%d.%s" % (number, suffix) for number in range(1, count)]
            return sorted(os.listdir(home + "/logs")) == sorted(names)

        for rotations in range(1, 4):
            for _ in range(5):
                send(1)
                wait_for("a line or a fault", lambda: is_written() or strace.struck())
            os.kill(daemon.pid, signal.SIGUSR2)
            wait_for("a rotation or a fault", lambda: tidy(rotations) or strace.struck())
            if strace.struck():
                break
        send(20)
        struck = strace.struck()
        strace.end()
        cured = time.monotonic()
        wait_for("the last line", is_written)
        seconds = time.monotonic() - cured
        lost = dropped(daemon.output("/log"))
        is_well = daemon.end()
        # The next start tidies up what was left.
        daemon = Daemon(program, home, rules)
        wait_for("the compression", lambda: not any(
            re.search(r"/log\.[1-9]\d*$|/\.log", path) for path in glob.glob(home + "/logs/*") + glob.glob(home + "/logs/.*")))
        is_well &= daemon.end()
        walk.add(Found(unpacked(log), "a", sent), sent, lost, seconds, is_well)
    walk.end()


LONG = "x" * 950


def overfull_walk(program, home):
    """More than fits into the memory comes while the disk is full."""
    walk = Walk("write, more than memory holds")
    for nth in range(1, 6):
        fresh(home)
        log = home + "/log"
        daemon = Daemon(program, home, "memory 8M\nuser.*\t%s\n" % log, listens=["--listen", "tcp://127.0.0.1:0"])
        strace = Strace(daemon, [log], "write:error=ENOSPC:when=%d+" % nth)
        sent = 12000
        stream = socket.create_connection(daemon.address("tcp"))
        stream.sendall(b"".join(message(LONG, number) + b"\n" for number in range(sent)))
        stream.close()
        wait_for("all to be enqueued", lambda: daemon.output("/log")["enqueued"] >= sent)
        strace.end()
        cured, size = time.monotonic(), os.path.getsize(log)
        wait_for("the file to grow", lambda: os.path.getsize(log) > size)
        seconds = time.monotonic() - cured
        wait_for("the queue", lambda: daemon.output("/log")["queued"] == 0)
        lost = dropped(daemon.output("/log"))
        wait_for("the gap", lambda: Found(open(log, "rb").read(), LONG, sent).told >= lost)
        walk.add(Found(open(log, "rb").read(), LONG, sent), sent, lost, seconds, daemon.end())
    walk.end()


class Remote:
    """A port that refuses connections until it listens; what it is sent then."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.octets = bytearray()

    def listen(self):
        self.socket.listen()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            try:
                connection, _ = self.socket.accept()
                while octets := connection.recv(1 << 20):
                    self.octets += octets
            except OSError:
                return

    def has(self, text):
        return self.octets.find(text, max(0, len(self.octets) - 20000)) >= 0

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def spool_walk(program, home, call):
    """A spool that is filled and read back: segments, and the cursor."""
    walk = Walk("%s, spool" % call)
    struck = True
    while struck:
        fresh(home)
        remote = Remote()
        rules = "memory 8M\nspool %s/spool 256M\nuser.*\t@@127.0.0.1:%d\n" % (home, remote.port)
        daemon = Daemon(program, home, rules, listens=["--listen", "tcp://127.0.0.1:0"])
        # Of what the daemon writes at a place of its choice all is in the spool.
        paths = [home + "/spool", *glob.glob(home + "/spool/*")] if call == "openat" else []
        strace = Strace(daemon, paths, "%s:error=ENOSPC:when=%d+" % (call, walk.runs + 1))
        sent = 9000
        stream = socket.create_connection(daemon.address("tcp"))
        stream.sendall(b"".join(message(LONG, number) + b"\n" for number in range(sent)))
        stream.close()
        wait_for("all to be enqueued", lambda: daemon.output("@@")["enqueued"] >= sent)
        remote.listen()
        # The next try is a second or two away; SIGHUP is one.
        os.kill(daemon.pid, signal.SIGHUP)
        idle, before = time.monotonic(), 0
        while not remote.has(b" n=%d crc" % (sent - 1)) and time.monotonic() < idle + (1 if strace.struck() else LIMIT):
            if len(remote.octets) != before:
                idle, before = time.monotonic(), len(remote.octets)
            time.sleep(0.005)
        struck = strace.struck()
        strace.end()
        cured = time.monotonic()
        daemon.unix.send(message(LONG, sent))
        sent += 1
        wait_for("the last line", lambda: remote.has(b" n=%d crc" % (sent - 1)))
        seconds = time.monotonic() - cured
        lost = dropped(daemon.output("@@"))
        wait_for("the gap", lambda: Found(bytes(remote.octets), LONG, sent).told >= lost)
        is_well = daemon.end()
        # Nothing is left for the next one.
        daemon = Daemon(program, home, rules)
        daemon.unix.send(message(LONG, sent))
        sent += 1
        wait_for("the last line", lambda: remote.has(b" n=%d crc" % (sent - 1)))
        is_well &= daemon.end()
        remote.close()
        walk.add(Found(bytes(remote.octets), LONG, sent), sent, lost, seconds, is_well)
    walk.end()


def nospace_walk(program, home):
    print("%-34s %5s %8s %8s %8s %8s %8s %5s %7s %6s" % (
        "ENOSPC from the n-th call on", "runs", "sent", "dropped", "missing", "told", "doubled", "torn", "s", "unwell"))
    for form in ["gzip", "zstd"]:
        for call in ["write", "openat", "renameat2"]:
            file_walk(program, home + "/run", form, call)
    overfull_walk(program, home + "/run")
    for call in ["pwrite64", "openat", "ftruncate"]:
        spool_walk(program, home + "/run", call)


ROOM = 96 * MIB


class Group:
    """A memory cgroup of 96 MiB, of version 1 or 2; or none, and then the high-water mark must do."""

    def __init__(self):
        self.path = None
        for root, limit in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]:
            path = "%s/syslogd-shortage-%d" % (root, os.getpid())
            try:
                os.mkdir(path)
            except OSError:
                continue
            try:
                with open(path + "/" + limit, "w") as file:
                    file.write(str(ROOM))
                self.path = path
                return
            except OSError:
                os.rmdir(path)
        print("SKIP: no memory cgroup is to be had here; VmHWM is held against 96 MiB instead")

    def wrapper(self):
        if self.path is None:
            return []
        return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', self.path + "/cgroup.procs"]

    def number(self, *names):
        for name in names:
            try:
                return int(open(self.path + "/" + name).read())
            except (OSError, TypeError):
                pass
        return 0

    def peak(self):
        return self.number("memory.max_usage_in_bytes", "memory.peak")

    def kills(self):
        for name in ["memory.oom_control", "memory.events"]:
            try:
                return int(re.search(r"^oom_kill (\d+)", open(self.path + "/" + name).read(), re.M)[1])
            except (OSError, TypeError):
                pass
        return 0

    def end(self):
        if self.path is not None:
            wait_for("the group to be empty", lambda: not open(self.path + "/cgroup.procs").read())
            os.rmdir(self.path)


def datagrams(address, texts):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect(address)
    sent = 0
    for text in texts:
        out.send(text)
        sent += 1
    return sent


def until(seconds, size):
    """Numbered datagrams of this size for so long, or two million of them."""
    end, number = time.monotonic() + seconds, 0
    while number < 2_000_000 and (number % 100 or time.monotonic() < end):
        head = b"<13>flood: %08d " % number
        yield head + b"x" * (size - len(head))
        number += 1


def connect_from(port, number):
    """The connection of this number; 500 of them share an address."""
    one = socket.socket()
    one.bind(("127.0.%d.%d" % (number // 500 // 250, number // 500 % 250 + 1), 0))
    one.connect(("127.0.0.1", port))
    return one


def cgroup_case(program, home, name, fault, work):
    """A line of the table. `work` sends, and says how many datagrams over UDP, and what connections it left open."""
    fresh(home)
    log = home + "/log"
    group = Group()
    listens = ["--listen", "udp://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0"]
    daemon = Daemon(program, home, "user.*\t-%s\nlocal0.*\t-%s/canary\n" % (log, home), group.wrapper(), listens)
    strace = Strace(daemon, [log], fault) if fault else None
    try:
        sent, streams = work(daemon)
        # Some that came behind all the others, to another file.
        canaries = 100
        for number in range(canaries):
            daemon.unix.send(message("canary", number).replace(b"<13>", b"<134>", 1))
        wait_for("all canaries", lambda: output(daemon.counters(), "/canary")["written"] >= canaries)

        def taken():
            udp = next(one for one in daemon.counters()["inputs"] if one["name"].startswith("udp"))
            return udp["received"] + udp["kernel_dropped"] >= sent
        wait_for("all datagrams to be counted", taken)
        counters = daemon.counters()
        udp = next(one for one in counters["inputs"] if one["name"].startswith("udp"))
        peak = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/%d/status" % daemon.pid).read())[1])
        is_alive = daemon.process.poll() is None
        exact = udp["received"] + udp["kernel_dropped"] == sent and balances(counters)
        found = Found(open(home + "/canary", "rb").read(), "canary", canaries)
        of_log = output(counters, "/log")
        print("%-32s %9d %9d %9d %9d %9d %7.1f %7.1f %5d" % (
            name, sent, udp["received"], udp["kernel_dropped"], of_log["enqueued"], dropped(of_log), peak / 1024,
            group.peak() / MIB, group.kills()), flush=True)
        is_right = (is_alive and exact and not found.missing and not found.doubled and not found.torn
                    and group.kills() == 0 and peak * 1024 < ROOM)
        if strace:
            strace.end()
        for stream in streams:
            stream.close()

        # What came of a frame that is never finished is logged, too.
        def frames():
            tcp = next(one for one in daemon.counters()["inputs"] if one["name"].startswith("tcp"))
            return not streams or tcp["received"] == len(streams)
        wait_for("each unfinished frame to be counted", frames)
        if not is_right or not daemon.end():
            wrong.append(name)
    finally:
        if strace:
            strace.end()
        daemon.kill()
        group.end()


def cgroup(program, home):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count = min(10000, most - 300)
    print("%-32s %9s %9s %9s %9s %9s %7s %7s %5s" % (
        "in 96 MiB", "UDP sent", "received", "kernel", "enqueued", "dropped", "VmHWM", "group", "kills"))

    def flood(size):
        return lambda daemon: (datagrams(daemon.address("udp"), until(5, size)), [])

    def partial(daemon):
        port, streams = daemon.address("tcp")[1], []
        for number in range(count):
            one = connect_from(port, number)
            streams.append(one)
            try:
                one.sendall(b"<13>half: " + b"y" * 7990)
            except OSError:
                # It was crowded out by another already.
                pass
        return 0, streams

    def hosts(daemon):
        texts = (b"<13>Nov 22 11:00:00 host-%06d.example app: %06d hello" % (number, number) for number in range(100000))
        return datagrams(daemon.address("udp"), texts), []

    def all_inputs(size):
        def work(daemon):
            port, unix = daemon.address("tcp")[1], socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            unix.connect(daemon.home + "/socket")
            end = time.monotonic() + 8

            def over_tcp():
                stream = socket.create_connection(("127.0.0.1", port))
                stream.settimeout(0.2)
                rest = b""
                for text in until(8, size):
                    rest += text + b"\n"
                    while len(rest) > 65536 and time.monotonic() < end:
                        try:
                            rest = rest[stream.send(rest):]
                        except TimeoutError:
                            pass
                stream.close()

            def over_unix():
                for text in until(8, size):
                    unix.send(text)

            threads = [threading.Thread(target=one) for one in (over_tcp, over_unix)]
            for thread in threads:
                thread.start()
            sent = datagrams(daemon.address("udp"), until(8, size))
            for thread in threads:
                thread.join()
            return sent, []
        return work

    stopped = "write:delay_enter=600s"
    for name, fault, work in [
            ("UDP flood, 80 octets", None, flood(80)),
            ("UDP flood, 8000 octets", None, flood(8000)),
            ("%d unfinished frames of 8 kB" % count, None, partial),
            ("100000 host names", None, hosts),
            ("disk stopped, 80 octets", stopped, all_inputs(80)),
            ("disk stopped, 8000 octets", stopped, all_inputs(8000))]:
        cgroup_case(program, home + "/run", name, fault, work)


CANARIES = 50


def canary(path, name, seconds, report):
    """Ten lines a second; how long each was in send(2)."""
    out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    out.connect(path)
    waits, begin = [], time.monotonic()
    for number in range(seconds * 10):
        time.sleep(max(0, begin + number / 10 - time.monotonic()))
        before = time.monotonic()
        out.send(message(name, number).replace(b"<13>", b"<14>", 1))
        waits.append(time.monotonic() - before)
    report.put((name, waits))


def one_floods(path, ending, sent):
    out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    out.connect(path)
    text = b"<13>flood: " + b"x" * 100
    while not ending.is_set():
        for _ in range(100):
            out.send(text)
        sent.value += 100


def forks(path, ending, sent):
    """A new process for each message, one at a time, and 20000 at most."""
    for number in range(20000):
        if ending.is_set():
            return
        child = os.fork()
        if child == 0:
            out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            out.connect(path)
            out.send(b"<13>fork: %d " % number + b"x" * 100)
            os._exit(0)
        os.waitpid(child, 0)
        sent.value += 1


def fork(program, home):
    seconds = 10
    print("%-52s %9s %9s %8s %8s %8s %8s %8s" % (
        "%d canaries, ten lines a second each, for %d s" % (CANARIES, seconds), "others", "canaries", "missing",
        "p50 ms", "p99 ms", "most ms", "dropped"))
    deaf = socket.create_server(("127.0.0.1", 0))
    remote = "user.*\t@@127.0.0.1:%d\n" % deaf.getsockname()[1]
    for name, work, count, more in [
            ("nobody else", None, 0, ""),
            ("one process floods", one_floods, 1, ""),
            ("a new process for each message, 4 at a time", forks, 4, ""),
            ("one process floods, a remote reads nothing", one_floods, 1, "memory 8M\n" + remote),
            ("a new process for each, a remote reads nothing", forks, 4, "memory 8M\n" + remote)]:
        fresh(home + "/run")
        daemon = Daemon(program, home + "/run", more + "user.=notice\t-%s/run/flood\nuser.=info\t-%s/run/good\n" % (home, home))
        path, ending, report = home + "/run/socket", multiprocessing.Event(), multiprocessing.Queue()
        sent = [multiprocessing.Value("Q", 0) for _ in range(count)]
        others = [multiprocessing.Process(target=work, args=(path, ending, one)) for one in sent]
        canaries = [multiprocessing.Process(target=canary, args=(path, "c%d" % number, seconds, report))
                    for number in range(CANARIES)]
        try:
            for process in others + canaries:
                process.start()
            waits = [report.get(timeout=LIMIT) for _ in canaries]
        finally:
            ending.set()
            for process in others + canaries:
                process.join(LIMIT)
        all_sent = CANARIES * seconds * 10
        wait_for("the canaries", lambda: daemon.output("/good")["written"] + dropped(daemon.output("/good")) >= all_sent)
        octets = open(home + "/run/good", "rb").read()
        found = [Found(octets, name, seconds * 10) for name, _ in waits]
        missing = sum(one.missing for one in found)
        each = sorted(1000 * wait for _, some in waits for wait in some)
        lost = sum(dropped(one) for one in daemon.counters()["outputs"])
        p99 = each[len(each) * 99 // 100]
        print("%-52s %9d %9d %8d %8.2f %8.2f %8.2f %8d" % (
            name, sum(one.value for one in sent), all_sent, missing, each[len(each) // 2], p99, each[-1], lost), flush=True)
        exact = balances(daemon.counters())
        daemon.kill()
        if missing or not exact or any(one.doubled or one.torn for one in found) or p99 > 10:
            wrong.append(name)


def main():
    program, verb = sys.argv[1:]
    home = tempfile.mkdtemp(prefix="syslogd-shortage-")
    try:
        {"nospace-walk": nospace_walk, "cgroup": cgroup, "fork": fork}[verb](program, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if wrong:
        sys.exit("wrong: " + "; ".join(wrong))


main()
