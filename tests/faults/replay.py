#!/usr/bin/env python3
"""Every state of the disk that a power cut may leave behind, and what a start makes of it (F5).

    tests/faults/replay.py PROGRAM [SEED]

A daemon logs numbered messages, rotates and compresses below strace(1). Its writes, renames, unlinks and syncs are done
again on a model of the disk, call by call. After each of them the power could have been cut:

    contents     what an fsync(2) of that file returned for is there; of the writes since, any of them may be missing
                 (a hole of NULs, if a later one is there) or end early
    names        what an fsync(2) of the directory returned for is there; of the changes since, the first few are, in
                 their order, as journals keep it

For each call the extremes are taken (all or nothing of the contents, of the names, of both), half of the last write,
and six drawn by lot; equal ones once. Each is put on a real disk, and the daemon started on it. Then

    lost         messages that were synced, name and contents, before the cut, and are in no file
    spoilt       messages that were in the files before the start and are not behind it, are there twice or out of order
    deaf         the next message is not logged as a line of its own, or what the crash left is not tidied up

A line for each mode says so; the exit is 1 if there are any.
"""

import glob
import gzip
import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib

PROGRAM = os.path.abspath(sys.argv[1])
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
LIMIT = 30
BEFORE, COUNT, NEXT = 60, 90, 999999

# What it logs with, and what strace(1) makes fail besides. `sync=none` promises nothing of the file that is written, and
# of an archive all.
MODES = [
    ("durable, gzip", "rotate=1k:99,sync=durable,compress=gzip", None),
    ("durable, zstd", "rotate=1k:99,sync=durable,compress=zstd", None),
    ("durable, a sync fails", "rotate=1k:99,sync=durable,compress=none", "fdatasync:error=EIO:when=4+7"),
    ("second", "rotate=1k:99,sync=second,compress=gzip", None),
    ("none, gzip", "rotate=1k:99,sync=none,compress=gzip", None),
    ("none, zstd", "rotate=1k:99,sync=none,compress=zstd", None),
]

CALLS = ["openat", "write", "pwrite64", "renameat2", "linkat", "unlinkat", "ftruncate", "fsync", "fdatasync", "fcntl",
         "fallocate", "copy_file_range", "sendfile", "rename", "link", "unlink"]


def message(number):
    text = "src=a n=%d" % number
    return "<13>seq: %s crc=%08x." % (text, zlib.crc32(text.encode()))


def numbers_in(octets):
    """The numbers of whole messages that are lines of their own."""
    found = []
    for line in octets.decode(errors="replace").splitlines():
        match = re.search(r"^\w{3} [ \d]\d [\d:]{8} \S+ seq: (src=a n=(\d+)) crc=([0-9a-f]{8})\.$", line)
        if match and zlib.crc32(match[1].encode()) == int(match[3], 16):
            found.append(int(match[2]))
    return found


def plain(path):
    octets = open(path, "rb").read()
    if path.endswith(".gz"):
        return gzip.decompress(octets)
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dc"], input=octets, check=True, capture_output=True).stdout
    return octets


def numbers(logs):
    """All numbers, the oldest file first; of a file that is there twice, the form with more of them."""
    found, aside = {}, []
    for path in glob.glob(glob.escape(logs) + "/log*"):
        match = re.fullmatch(r"log(?:\.(\d+)(?:\.(gz|zst))?)?", os.path.basename(path))
        if match is None:
            aside += numbers_in(plain(path))
            continue
        number = -1 if match[1] is None else int(match[1])
        found[number] = max(found.get(number, []), numbers_in(plain(path)), key=len)
    return aside, [one for number in sorted(found, reverse=True) for one in found[number]]


class Daemon:
    def __init__(self, home, options, wrapper=()):
        self.home = home
        with open(home + "/conf", "w") as conf:
            conf.write("user.*\t%s/logs/log;%s\n" % (home, options))
        for name in ["sock", "pid"]:
            if os.path.lexists(home + "/" + name):
                os.remove(home + "/" + name)
        self.process = subprocess.Popen(
            [*wrapper, PROGRAM, "-F", "-K", "-n", "-f", home + "/conf", "-p", home + "/sock", "-P", home + "/pid"],
            stderr=subprocess.DEVNULL, env=dict(os.environ, TZ="UTC0"))
        self.sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.until(self.connected)

    def connected(self):
        try:
            self.sender.connect(self.home + "/sock")
            return True
        except OSError:
            return False

    def until(self, is_so):
        end = time.monotonic() + LIMIT
        while not is_so():
            if self.process.poll() is not None or time.monotonic() > end:
                return False
            time.sleep(0.001)
        return True

    def log(self, number):
        self.sender.send(message(number).encode())

    def end(self, which):
        self.sender.close()
        os.kill(int(open(self.home + "/pid").read()), which)
        self.process.wait(LIMIT)


def is_tidy(logs, compresses):
    names = os.listdir(logs)
    return not any(name.startswith(".log") or compresses and re.fullmatch(r"log\.[1-9]\d*", name) for name in names)


class Inode:
    def __init__(self, octets=b""):
        self.durable, self.live, self.writes = octets, octets, []

    def write(self, offset, octets):
        offset = len(self.live) if offset is None else offset
        self.writes.append((offset, octets))
        self.live = overlaid(self.live, [(offset, octets)])

    def truncate(self, size):
        self.writes.append((size, None))
        self.live = overlaid(self.live, [(size, None)])

    def sync(self, count):
        self.durable = overlaid(self.durable, self.writes[:count])
        del self.writes[:count]


def overlaid(octets, writes):
    octets = bytearray(octets)
    for offset, new in writes:
        if len(octets) < offset:
            octets.extend(bytes(offset - len(octets)))
        if new is None:
            del octets[offset:]
        else:
            octets[offset:offset + len(new)] = new
    return bytes(octets)


class Disk:
    """The model: one directory."""

    def __init__(self, logs):
        self.entries = {name: Inode(open(logs + "/" + name, "rb").read()) for name in os.listdir(logs)}
        self.inodes = list(self.entries.values())
        self.states, self.synced = [dict(self.entries)], 0
        self.descriptors = {}
        self.expected = set(itertools.chain(*numbers(logs)))

    def renamed(self):
        self.states.append(dict(self.entries))

    def expect(self):
        """What is on the disk now, with a name that is: no cut may take it any more."""
        for name, inode in self.states[self.synced].items():
            if not name.endswith((".gz", ".zst", ".tmp")):
                self.expected.update(numbers_in(inode.durable))

    def image(self, state, contents):
        """Name to octets; `contents` makes them of an inode."""
        return {name: contents(inode) for name, inode in self.states[state].items()}

    def images(self, chance, last):
        old, new = self.synced, len(self.states) - 1
        everything = lambda inode: inode.live
        nothing = lambda inode: inode.durable
        for state in {old, new}:
            yield self.image(state, everything)
            yield self.image(state, nothing)
        if last is not None and last.writes:
            offset, octets = last.writes[-1]
            half = [*last.writes[:-1], (offset, octets and octets[:len(octets) // 2])]
            yield self.image(new, lambda inode: overlaid(inode.durable, half) if inode is last else inode.live)
        if old == new and not any(inode.writes for inode in self.inodes):
            return

        def drawn(inode):
            kept = [one for one in inode.writes if chance.random() < 0.6]
            if kept and chance.random() < 0.3:
                offset, octets = kept[-1]
                kept[-1] = (offset, octets and octets[:chance.randrange(len(octets))])
            return overlaid(inode.durable, kept)

        for _ in range(6):
            made = {}
            yield self.image(chance.randint(old, new), lambda inode: made.setdefault(id(inode), drawn(inode)))


def octets_of(text):
    return bytes.fromhex(text.replace("\\x", ""))


def calls(trace):
    """Finished calls in their order: thread, name, arguments, result; and beginnings, without a result."""
    begun = {}
    for line in open(trace):
        thread, rest = line.rstrip("\n").split(None, 1)
        if rest.endswith(" <unfinished ...>"):
            begun[thread] = rest[:-len(" <unfinished ...>")]
            name, arguments = begun[thread].split("(", 1)
            yield thread, name, arguments, None
            continue
        if match := re.match(r"<\.\.\. \w+ resumed>", rest):
            rest = begun.pop(thread) + rest[match.end():]
        if match := re.match(r"(\w+)\((.*)\) += (-?\d+)", rest):
            yield thread, match[1], match[2], int(match[3])


def changes(disk, logs, trace):
    """Does the calls of a trace on the model; yields the inode written to, or None, after each that changes it."""
    begun = {}
    hexed = "".join("\\x%02x" % octet for octet in logs.encode())

    def is_ours(argument):
        return "<%s" % hexed in argument or "<%s" % logs in argument

    def strings(arguments):
        return [octets_of(one) for one in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)]

    for thread, name, arguments, result in calls(trace):
        descriptor = int(re.match(r"\d+", arguments)[0]) if re.match(r"\d+<", arguments) else None
        if not is_ours(arguments) or "..." in arguments:
            assert not (is_ours(arguments) and "..." in arguments), "a string was cut: " + arguments[:100]
            continue
        inode = disk.descriptors.get(descriptor)
        if name in ("fsync", "fdatasync") and thread not in begun:
            begun[thread] = len(disk.states) - 1 if inode is None else len(inode.writes)
        if result is None:
            continue
        if name in ("fsync", "fdatasync"):
            reached = begun.pop(thread)
            if result == 0 and inode is None:
                disk.synced = max(disk.synced, reached)
            elif result == 0:
                inode.sync(reached)
            elif inode is not None:
                # The pages are dropped; a later sync knows nothing of them.
                inode.writes = []
        elif result < 0:
            continue
        elif name == "openat":
            path = strings(arguments)[0].decode()
            disk.descriptors.pop(result, None)
            if "O_DIRECTORY" in arguments or "O_PATH" in arguments:
                continue
            path = os.path.basename(path)
            if "O_CREAT" in arguments and path not in disk.entries:
                disk.entries[path] = Inode()
                disk.inodes.append(disk.entries[path])
                disk.renamed()
            disk.descriptors[result] = disk.entries[path]
            if "O_TRUNC" in arguments and disk.entries[path].live:
                disk.entries[path].truncate(0)
        elif name == "fcntl":
            if "F_DUPFD" in arguments and inode is not None:
                disk.descriptors[result] = inode
            continue
        elif name == "write":
            inode.write(None, strings(arguments)[0][:result])
            yield inode
            continue
        elif name == "pwrite64":
            inode.write(int(arguments.rsplit(",", 1)[1]), strings(arguments)[0][:result])
            yield inode
            continue
        elif name == "ftruncate":
            inode.truncate(int(arguments.rsplit(",", 1)[1]))
        elif name in ("renameat2", "linkat"):
            old, new = (os.path.basename(one.decode()) for one in strings(arguments)[:2])
            disk.entries[new] = disk.entries[old]
            if name == "renameat2":
                del disk.entries[old]
            disk.renamed()
        elif name == "unlinkat":
            del disk.entries[os.path.basename(strings(arguments)[0].decode())]
            disk.renamed()
        else:
            sys.exit("the model lacks " + name)
        yield None


def recovered(home, options, image, expected):
    """What is lost, spoilt, and whether the next message is not heard, or the start not tidy in half a minute."""
    logs = home + "/logs"
    shutil.rmtree(logs, ignore_errors=True)
    os.makedirs(logs)
    for name, octets in image.items():
        with open(logs + "/" + name, "wb") as file:
            file.write(octets)
    aside, before = numbers(logs)
    daemon = Daemon(home, options)
    daemon.log(NEXT)
    # While names move the files cannot be read one by one.
    def is_heard():
        try:
            return NEXT in numbers(logs)[1]
        except OSError:
            return False
    is_deaf = not daemon.until(is_heard)
    is_deaf |= not daemon.until(lambda: is_tidy(logs, "none" not in options.split("compress=")[1]))
    daemon.end(signal.SIGKILL)
    aside_after, after = numbers(logs)
    if NEXT in after:
        after.remove(NEXT)
    lost = len(expected - set(aside_after) - set(after))
    spoilt = (after != before) + (aside_after != aside)
    # A message that is there twice, or behind a later one, was so in the trace, or should not be.
    if not aside:
        spoilt += sum(later <= earlier for earlier, later in zip(after, after[1:]))
    return lost, spoilt, is_deaf


def run(work, name, options, fault, chance):
    home = work + "/record"
    logs = home + "/logs"
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(logs)
    # Files of an earlier life, the oldest of them compressed.
    compresses = not options.endswith("none")
    daemon = Daemon(home, options)
    for number in range(BEFORE):
        daemon.log(number)
        daemon.until(lambda: number in itertools.chain(*attempt(logs)))
    daemon.until(lambda: is_tidy(logs, compresses))
    daemon.end(signal.SIGTERM)
    disk = Disk(logs)
    trace = home + "/trace"
    inject = ["--inject=" + fault] if fault else []
    daemon = Daemon(home, options, ["strace", "-f", "-qq", "-y", "-xx", "-s", "1000000", "-o", trace,
                                    "--trace=" + ",".join(CALLS), *inject])
    for number in range(BEFORE, BEFORE + COUNT):
        daemon.log(number)
        # Some alone and some together.
        if chance.random() < 0.4:
            daemon.until(lambda: number in itertools.chain(*attempt(logs)))
            time.sleep(chance.choice([0, 0, 0.006]))
    daemon.until(lambda: BEFORE + COUNT - 1 in itertools.chain(*attempt(logs)))
    daemon.until(lambda: is_tidy(logs, compresses))
    daemon.end(signal.SIGTERM)
    real = {one: open(logs + "/" + one, "rb").read() for one in os.listdir(logs)}

    seen, points = set(), 0
    lost = spoilt = deaf = 0
    again = work + "/run"
    os.makedirs(again, exist_ok=True)
    for inode in changes(disk, logs, trace):
        points += 1
        disk.expect()
        for image in disk.images(chance, inode):
            key = hash((len(disk.expected), *sorted(image.items())))
            if key in seen:
                continue
            seen.add(key)
            found = recovered(again, options, image, disk.expected)
            lost, spoilt, deaf = lost + found[0], spoilt + found[1], deaf + found[2]
            if any(found):
                print("at call %d: %d lost, %d spoilt, deaf: %s; %s" % (points, *found, {
                    one: len(octets) for one, octets in sorted(image.items())}), flush=True)
    # The model is right if it ends where the disk did.
    assert {one: inode.live for one, inode in disk.entries.items()} == real, "the model went wrong"
    print("%-24s %8d %8d %8d %8d %8d %8d" % (
        name, points, len(seen), len(disk.expected), lost, spoilt, deaf), flush=True)
    return lost + spoilt + deaf


def attempt(logs):
    """The numbers, while files move."""
    try:
        return numbers(logs)
    except (OSError, EOFError, subprocess.CalledProcessError):
        return [], []


def main():
    print("SEED=%d" % SEED)
    print("%-24s %8s %8s %8s %8s %8s %8s" % ("mode", "calls", "states", "synced", "lost", "spoilt", "deaf"))
    work = tempfile.mkdtemp()
    try:
        chance = random.Random(SEED)
        wrong = sum(run(work, *mode, chance) for mode in MODES)
    finally:
        shutil.rmtree(work)
    sys.exit(1 if wrong else 0)


main()
