#!/usr/bin/env python3
"""kill -9 before every system call in the life of a spool (F2, F22).

    tests/faults/spool_walk.py PROGRAM [file|remote [PHASE...]]

The phases: `fill` while the output is stuck, `drain` when it is back, `stop` the shutdown that leaves everything there,
`start` the start that reads it, and `damaged` the same where a segment is foreign, one has a hole, and the cursor is
lost. Each with a file whose directory is missing until it is to be healthy, and with a TCP remote that reads nothing.

The oracle reads the segments itself (src/spool/segment.rs): what a whole record has is acknowledged. After each kill the
daemon is started with a healthy output, and what was acknowledged must reach it, in order, before the next message. In
the columns beside that, `doubled` are those that come twice beyond what docs/guarantees.md says, `again` the others;
`wrong` are a start that fails, segments that are left, and what was damaged and is not set aside as it was.
"""

import glob
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import zlib

from walks import Daemon, Table, below, contents, fresh, free_port, kept, message, numbers, walk

PROGRAM = os.path.abspath(sys.argv[1])
# Few and long messages: a block has eight of them. Five MiB are more than half of what the output may have in memory.
FILLER, COUNT, MORE = "x" * 7900, 560, 60
BLOCK = 65536 // 7900 + 1
LAST = 999999

# Of the life of a spool: those that change something, and those in between.
CALLS = ["pwrite64", "mkdirat", "renameat2", "unlinkat", "fsync", "fdatasync", "ftruncate", "write", "openat", "flock",
         "getdents64", "pread64"]


class File:
    """A file in a directory that is missing."""

    name = "file"
    # What was written and not yet known to be there.
    again = BLOCK

    def __init__(self, home, _):
        self.directory = home + "/out"
        self.path = self.directory + "/log"
        self.action = self.path + ";sync=none"

    def heal(self):
        os.makedirs(self.directory, exist_ok=True)

    def octets(self):
        return contents(self.path)

    def has_last(self):
        try:
            with open(self.path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 200))
                return b" n=%d " % LAST in file.read()
        except OSError:
            return False

    def end(self):
        pass


class Remote:
    """One that takes connections and reads nothing."""

    name = "remote"
    # What its kernel had not acknowledged, besides: as much as our kernel takes in advance.
    again = BLOCK + int(open("/proc/sys/net/ipv4/tcp_wmem").read().split()[2]) // 7900

    def __init__(self, _, port):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(8)
        self.action = "@@127.0.0.1:%d" % port
        self.parts, self.thread, self.is_over = [], None, False

    def heal(self):
        if self.thread is None:
            self.thread = threading.Thread(target=self.read, daemon=True)
            self.thread.start()

    def read(self):
        while True:
            connection = self.listener.accept()[0]
            if self.is_over:
                return
            part = bytearray()
            self.parts.append(part)
            while True:
                try:
                    some = connection.recv(1 << 20)
                except ConnectionError:
                    break
                if not some:
                    break
                part += some
            connection.close()

    def octets(self):
        # What a kill cut off is no message, and no line of ours either.
        return b"".join(bytes(part[:part.rfind(b"\n") + 1]) for part in self.parts)

    def has_last(self):
        return any(b" n=%d " % LAST in part[-200:] for part in self.parts)

    def end(self):
        self.is_over = True
        if self.thread:
            socket.create_connection(self.listener.getsockname()).close()
            self.thread.join(10)
        self.listener.close()


def configure(home, output, port):
    with open(home + "/conf", "w") as conf:
        conf.write("memory 8M\nspool %s/spool 6M\nlisten tcp://127.0.0.1:%d\nuser.*\t%s\n" % (home, port, output.action))


def segments(home):
    return sorted(glob.glob(home + "/spool/*/*.seg"))


def records(octets):
    """Where each whole record of a segment begins and ends, and its messages."""
    if len(octets) < 40 or octets[:8] != b"syslogsp":
        return
    header = octets[:8] + octets[8:12] + octets[16:40]
    if zlib.crc32(header) != struct.unpack_from("<I", octets, 12)[0]:
        return
    identity, at = octets[32:40], 40
    while octets[at:at + 4] == b"\xf5SR\x1a":
        length, seq, crc = struct.unpack_from("<IQI", octets, at + 4)
        payload = octets[at + 20:at + 20 + length]
        if len(payload) < length or zlib.crc32(identity + struct.pack("<IQ", length, seq) + payload) != crc:
            return
        yield at, at + 20 + length, numbers(payload)[0]
        at += 20 + length


def acknowledged(home):
    """The numbers in whole records, in their order."""
    return [number for path in segments(home) for _, _, found in records(contents(path)) for number in found]


def send(port, which):
    """Whether it was all taken."""
    try:
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.sendall(b"".join(message(number, FILLER).encode() + b"\n" for number in which))
        return True
    except OSError:
        return False


def filled(daemon, port, which, enqueued, spools=True):
    """Sends, and waits until what goes to the spool is there, if anything; false if the daemon has ended."""
    if daemon.connect() is None or not send(port, which):
        return False
    seen = []

    def is_so():
        found = daemon.counters()
        if found is None:
            return False
        output = found["outputs"][0]
        seen.append((output["enqueued"], output["spooled"]))
        # Again and again the same: the spooler has done what it wanted.
        time.sleep(0.01)
        is_over = output["spooled"] > 0 or not spools
        return output["enqueued"] >= enqueued and is_over and seen[-4:] == [seen[-1]] * 4
    return daemon.until(is_so)


def pieces(got):
    """Numbers as ranges."""
    text = ""
    for before, number, after in zip([None, *got], got, [*got[1:], None]):
        if before is None or number != before + 1:
            text += " %d" % number
        elif after is None or after != number + 1:
            text += "-%d" % number
    return text


def recovered(home, output, port, must, damaged=()):
    """Starts with a healthy output; what became of `must`."""
    found = {"missing": 0, "doubled": 0, "torn": 0, "again": 0, "wrong": 0}
    output.heal()
    configure(home, output, port)
    daemon = Daemon(PROGRAM, home)
    try:
        sender = daemon.connect()
        if sender:
            sender.send(message(LAST).encode())
        # What was cut off by a crash is there in the end, too: then nothing is left of the segments.
        arrived = sender and daemon.until(lambda: output.has_last())
        arrived = arrived and daemon.until(lambda: not segments(home))
    except TimeoutError:
        arrived = False
    if not arrived or daemon.stop() != 0:
        kept(home, "the start did not end well; segments: %s" % segments(home))
        daemon.kill()
        found["wrong"] += 1
    aside = [contents(path) for path in glob.glob(home + "/spool/*/*.unreadable")]
    for octets in damaged:
        if octets not in aside:
            kept(home, "what was damaged is not set aside")
            found["wrong"] += 1
    if len(aside) > len(damaged):
        kept(home, "set aside and not damaged")
        found["wrong"] += 1
    got, found["torn"] = numbers(output.octets())
    first = list(dict.fromkeys(got))
    found["missing"] = len(set(must) - set(got))
    twice = len(got) - len(first)
    found["again"] = min(twice, output.again)
    found["doubled"] = twice - found["again"] + sum(later <= earlier for earlier, later in zip(first, first[1:]))
    if found["missing"] + found["doubled"] + found["torn"]:
        kept(home, "%s: %s" % (found, pieces(got)))
    return found


class Phase:
    """One with a name, and what it is killed in."""

    def __init__(self, work, kind):
        self.home, self.kept = work + "/run", work + "/template"
        self.kind, self.forward, self.port = kind, free_port(), free_port()
        self.prepare(False)
        self.output.end()

    def prepare(self, from_template=True):
        """An output that is stuck, and the spool that a shutdown has left."""
        fresh(self.home)
        if from_template:
            shutil.copytree(self.kept, self.home + "/spool")
        self.output = self.kind(self.home, self.forward)
        configure(self.home, self.output, self.port)

    def template(self):
        self.prepare(False)
        daemon = Daemon(PROGRAM, self.home)
        assert filled(daemon, self.port, range(COUNT), COUNT)
        assert daemon.stop() == 0
        self.output.end()
        self.must = acknowledged(self.home)
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.home + "/spool", self.kept)

    def is_drained(self):
        return self.output.has_last() and not segments(self.home)

    def run(self, call, when):
        was_killed, must, damaged = self.until_killed(call, when)
        found = recovered(self.home, self.output, self.port, must, damaged)
        self.output.end()
        found["sent"] = len(must) + 1
        return was_killed, found

    def idle(self):
        """A daemon with a stuck output that has looked what there is."""
        daemon = Daemon(PROGRAM, self.home)
        daemon.connect()
        least = len(self.must) // 2
        daemon.until(lambda: (daemon.counters() or {"outputs": [{"enqueued": least}]})["outputs"][0]["enqueued"] >= least)
        return daemon


class Fill(Phase):
    def until_killed(self, call, when):
        self.prepare(False)
        daemon = Daemon(PROGRAM, self.home)
        daemon.connect()
        daemon.attach(call, when)
        filled(daemon, self.port, range(COUNT), COUNT)
        was_killed = daemon.has_ended()
        daemon.kill()
        must = acknowledged(self.home)
        if must and must != list(range(must[0], must[0] + len(must))):
            kept(self.home, "what is on the disk is not in one piece")
            must.append(-1)
        return was_killed, must, ()


class Drain(Phase):
    def until_killed(self, call, when):
        self.prepare()
        daemon = self.idle()
        sender = daemon.connect()
        daemon.attach(call, when)
        self.output.heal()
        try:
            sender.send(message(LAST - 1).encode())
        except OSError:
            pass
        was_killed = not daemon.until(lambda: not segments(self.home))
        daemon.kill()
        return was_killed, self.must, ()


class Stop(Phase):
    def until_killed(self, call, when):
        self.prepare()
        daemon = self.idle()
        more = range(COUNT, COUNT + MORE)
        assert filled(daemon, self.port, more, len(self.must) + MORE, spools=False)
        daemon.attach(call, when)
        was_killed = daemon.stop() != 0
        on_disk = acknowledged(self.home)
        return was_killed, self.must + [number for number in more if not was_killed or number in on_disk], ()


class Start(Phase):
    def until_killed(self, call, when):
        self.prepare()
        damaged = self.damage()
        self.output.heal()
        daemon = Daemon(PROGRAM, self.home, below(call, when))
        was_killed = not daemon.until(lambda: daemon.is_up() and not segments(self.home))
        daemon.kill()
        return was_killed, self.must, damaged

    def damage(self):
        return ()


class Damaged(Start):
    def template(self):
        super().template()
        paths = sorted(glob.glob(self.kept + "/*/*.seg"))
        cursor, = glob.glob(self.kept + "/*/cursor")
        octets = contents(paths[3])
        begin, end, _ = list(records(octets))[2]
        holed = octets[:begin + 1000] + bytes(4096) + octets[begin + 5096:]
        self.gone = {number for _, _, found in records(contents(paths[1])) for number in found}
        self.gone |= {number for at, _, found in records(octets) if at == begin for number in found}
        self.must = [number for number in self.must if number not in self.gone]
        self.files = [(path[len(self.kept):], octets) for path, octets in [
            (paths[1], b"not one of ours"), (paths[3], holed), (cursor, b"neither this")]]

    def damage(self):
        for name, octets in self.files:
            with open(self.home + "/spool" + name, "wb") as file:
                file.write(octets)
        return [octets for _, octets in self.files]


PHASES = {"fill": Fill, "drain": Drain, "stop": Stop, "start": Start, "damaged": Damaged}


def main():
    kinds = [kind for kind in [File, Remote] if sys.argv[2:3] in [[], [kind.name]]]
    names = sys.argv[3:] or list(PHASES)
    work = tempfile.mkdtemp()
    table = Table("again")
    try:
        for kind in kinds:
            for name in names:
                phase = PHASES[name](work, kind)
                phase.template()
                for call in CALLS:
                    found = walk(call, phase.run)
                    if found["runs"] > 1:
                        table.row("%s, %s: %s" % (kind.name, name, call), **found)
    finally:
        shutil.rmtree(work)
    table.end()


main()
