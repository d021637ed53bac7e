#!/usr/bin/env python3
"""What becomes of messages while a log daemon is reloaded, restarted, killed or replaced.

    tests/faults/restart.py PROGRAM [FAULT...]          ours, which is named syslogd
    tests/faults/restart.py PROGRAM --modules=DIR ...   rsyslogd, with its modules in DIR

One program logs numbered messages over a unix datagram socket, 20000 a second, as glibc does: whoever cannot send
connects once more and tries once more, and then the message is lost ("refused"). "missing" are those that send(2)
took and that are in no file; "per s" is how fast they were sent, "gaps" is how many runs of them there are, and "longest" the longest of these. A line for each fault says what became of them; the exit is 1 if something was lost that
must not be. FAULT is

    reload      40 times SIGHUP
    restart     4 times SIGTERM and a start; of ours under a service manager that keeps its sockets
    kill        4 times SIGKILL and a start; the same
    kills       20 times SIGKILL and a start; ours only
    flood       the same while the sender never pauses; ours only
    synced      as kills, to a file that is synced within a second; ours only
    upgrade     100 times --upgrade, or $UPGRADES times; ours only
    hang        --upgrade to a program that does well at its check and its rehearsal, and then hangs; ours only
    still       SIGSTOP for 5 s
    absent      SIGTERM while a remote is absent and 500000 messages wait for it; ours only
"""

import array
import mmap
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

RATE = 20000
AT_LEAST = 100000
LIMIT = 60


class Sender:
    """A process that logs until it is told to end, and at least AT_LEAST messages."""

    # ending, sent, refused, and the longest that one message took, in microseconds
    SHAPE = struct.Struct("4Q")

    def __init__(self, path, rate):
        self.shared = mmap.mmap(-1, self.SHAPE.size)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.run(path, rate)
                os._exit(0)
            finally:
                os._exit(1)

    def run(self, path, rate):
        def connected():
            new = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                new.connect(path)
            except OSError:
                new.close()
                return None
            return new

        def tried(out, text):
            try:
                return out is not None and out.send(text) > 0
            except OSError:
                return False

        out, sent, refused, worst = connected(), 0, 0, 0.0
        began = time.monotonic()
        while sent < AT_LEAST or not self.shared[0]:
            ahead = began + sent / rate - time.monotonic() if rate else 0
            if ahead > 0.0005:
                time.sleep(ahead)
            text = b"<13>seq: n=%d." % sent
            before = time.monotonic()
            if not tried(out, text):
                if out is not None:
                    out.close()
                out = connected()
                if not tried(out, text):
                    refused += 1
            worst = max(worst, time.monotonic() - before)
            sent += 1
            if sent % 64 == 0:
                self.shared[8:16] = struct.pack("Q", sent)
        self.shared[8:] = struct.pack("3Q", sent, refused, int(worst * 1e6))

    def sent(self):
        return self.SHAPE.unpack(self.shared[:])[1]

    def end(self):
        """Sent, refused, and the longest wait in microseconds."""
        self.shared[0] = 1
        status = os.waitpid(self.pid, 0)[1]
        assert status == 0, "the sender failed"
        return self.SHAPE.unpack(self.shared[:])[1:]


class Daemon:
    """A daemon below a directory of its own, which starts and ends as its service manager would have it."""

    def __init__(self, work):
        self.work, self.log, self.socket = work, work + "/log", work + "/sock"
        self.pid = None

    def start(self):
        self.pid = self.spawn()
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        end = time.monotonic() + LIMIT
        while True:
            try:
                probe.connect(self.socket)
                return
            except OSError:
                assert time.monotonic() < end, "it does not listen"
                assert os.waitpid(self.pid, os.WNOHANG)[0] == 0, "it ended"
                time.sleep(0.001)

    def tell(self, which):
        os.kill(self.pid, which)

    def end(self, which=signal.SIGTERM):
        """Seconds that it took."""
        began = time.monotonic()
        self.tell(which)
        os.waitpid(self.pid, 0)
        return time.monotonic() - began


def become(program, arguments, environment, said, passed=()):
    """A child that is this program, and gets these descriptors from 3 on."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(os.open("/dev/null", os.O_RDWR), 0)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
        high = [os.dup2(one, 200 + at) for at, one in enumerate(passed)]
        for at, one in enumerate(high):
            os.dup2(one, 3 + at, inheritable=True)
        if passed:
            environment = dict(environment, LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(passed)))
        os.closerange(3 + len(passed), 300)
        os.execve(program, [program, *arguments], environment)
    finally:
        os._exit(127)


class Ours(Daemon):
    """With the store of a service manager."""

    def __init__(self, program, work, rules="", dash="-"):
        super().__init__(work)
        self.program = program
        self.store = {}
        with open(work + "/conf", "w") as conf:
            conf.write("user.*\t%s%s\n%s" % (dash, self.log, rules))
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(work + "/notify")
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            text, beside, _, _ = self.manager.recvmsg(4096, socket.CMSG_SPACE(4))
            name = re.search(rb"FDNAME=(.*)", text)
            for level, kind, octets in beside:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self.store[name[1].decode()] = array.array("i", octets)[0]

    def spawn(self):
        names = list(self.store)
        environment = dict(os.environ, NOTIFY_SOCKET=self.work + "/notify", LISTEN_FDNAMES=":".join(names))
        arguments = ["-F", "-K", "-n", "-f", self.work + "/conf", "-p", self.socket, "-P", self.work + "/pid"]
        return become(self.program, arguments, environment, self.work + "/said", [self.store[name] for name in names])

    def upgrade(self):
        subprocess.run([self.program, "--upgrade", "-P", self.work + "/pid"], check=True, timeout=LIMIT)


class Rsyslog(Daemon):
    """Started and ended, and no more."""

    def __init__(self, program, work, modules):
        super().__init__(work)
        self.program, self.modules = program, modules
        with open(work + "/conf", "w") as conf:
            conf.write('global(workDirectory="%s" net.enableDNS="off")\n'
                       'module(load="imuxsock" SysSock.Use="off")\n'
                       'input(type="imuxsock" Socket="%s")\n'
                       'user.*\t-%s\n' % (work, self.socket, self.log))

    def spawn(self):
        arguments = ["-n", "-f", self.work + "/conf", "-i", self.work + "/pid", "-M", self.modules]
        return become(self.program, arguments, dict(os.environ), self.work + "/said")


def until(is_so, what):
    end = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < end, "waited in vain for " + what
        time.sleep(0.002)


def more(sender, count):
    wanted = sender.sent() + count
    until(lambda: sender.sent() >= wanted, "messages")


def reload(daemon, sender):
    for _ in range(40):
        more(sender, RATE // 10)
        daemon.tell(signal.SIGHUP)
    more(sender, RATE // 10)


def restart(daemon, sender, which=signal.SIGTERM, times=4):
    for _ in range(times):
        more(sender, RATE // 2)
        daemon.end(which)
        daemon.start()
    more(sender, RATE // 2)


def kill(daemon, sender):
    restart(daemon, sender, signal.SIGKILL)


def kills(daemon, sender):
    restart(daemon, sender, signal.SIGKILL, 20)


def upgrade(daemon, sender):
    for _ in range(int(os.environ.get("UPGRADES", "100"))):
        daemon.upgrade()
    more(sender, RATE // 10)


def hang(daemon, sender):
    """The old program is back after ten seconds, in which senders wait."""
    true, script, endless = daemon.program, daemon.work + "/script", daemon.work + "/endless"
    os.mkfifo(endless)
    with open(script, "w") as file:
        file.write('#!/bin/sh\nreal=%s\ncase $1 in --check) exec $real "$@";; esac\n'
                   'test -n "$SYSLOGD_REHEARSAL" || set -- --socket-list %s "$@"\nexec $real "$@"\n'
                   % (os.path.realpath(true), endless))
    os.chmod(script, 0o755)
    more(sender, RATE // 10)
    os.rename(script, true)
    asked = subprocess.run([daemon.program, "--upgrade", "-P", daemon.work + "/pid"], capture_output=True)
    told = "the new program did not start in 10 s"
    assert asked.returncode == 69 and told in asked.stderr.decode(), asked
    until(lambda: told in open(daemon.work + "/said").read(), "a word about it")
    more(sender, RATE // 10)


def still(daemon, sender):
    more(sender, RATE // 2)
    daemon.tell(signal.SIGSTOP)
    time.sleep(5)
    daemon.tell(signal.SIGCONT)
    more(sender, RATE // 2)


# What must not be lost: "kill" may lose what was in hand.
FAULTS = {"reload": (reload, True), "restart": (restart, True), "kill": (kill, False), "kills": (kills, False),
          "flood": (kills, False), "synced": (kills, False), "upgrade": (upgrade, True), "hang": (hang, True), "still": (still, True)}


def numbers(log):
    with open(log, "rb") as file:
        return [int(number) for number in re.findall(rb" seq: n=(\d+)\.\n", file.read())]


def gaps(found):
    """The lengths of the runs of numbers that are absent."""
    there = sorted(set(found))
    return [after - before - 1 for before, after in zip([-1] + there, there) if after > before + 1]


def measure(fault, make, name):
    work = tempfile.mkdtemp(prefix="restart-")
    try:
        daemon = make(work, fault)
        daemon.start()
        began = time.monotonic()
        sender = Sender(daemon.socket, None if fault == "flood" else RATE)
        act, must = FAULTS[fault]
        act(daemon, sender)
        sent, refused, worst = sender.end()
        rate = sent / (time.monotonic() - began)
        # What is in the socket's queue at the end is no part of the fault.
        until(lambda: daemon.tell(0) is None and (sent - 1 in numbers(daemon.log)[-100:]), "the last message")
        daemon.end()
        found = numbers(daemon.log)
        doubled = len(found) - len(set(found))
        missing = sent - refused - len(set(found))
        runs = gaps(found)
        print("%-10s %-8s %8d %8d %8d %8d %8d %6d %8d %9.1f" % (
            name, fault, sent, rate, refused, missing, doubled, len(runs), max(runs, default=0), worst / 1000), flush=True)
        return must and refused + missing + doubled > 0
    finally:
        shutil.rmtree(work)


def absent(program):
    """SIGTERM with a long queue for a remote that is not there."""
    work = tempfile.mkdtemp(prefix="restart-")
    try:
        closed = socket.create_server(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        closed.close()
        daemon = Ours(program, work, "user.*\t@tcp://127.0.0.1:%d\n" % port)
        daemon.start()
        out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        out.connect(daemon.socket)
        count = 500000
        for number in range(count):
            out.send(b"<13>seq: n=%d." % number)
        until(lambda: os.path.exists(daemon.log) and count - 1 in numbers(daemon.log)[-100:], "the file")
        took = daemon.end()
        said = open(work + "/said").read()
        lost = [int(one) for one in re.findall(r"(\d+) messages? (?:was|were) not written before the end", said)]
        print("absent: SIGTERM took %.1f s; sent %d, in the file %d; told as lost for the remote %s"
              % (took, count, len(numbers(daemon.log)), lost), flush=True)
        return took > 6 or lost != [count] or len(numbers(daemon.log)) != count
    finally:
        shutil.rmtree(work)


def main(program, *words):
    program = os.path.abspath(program)
    modules = [word.partition("=")[2] for word in words if word.startswith("--modules=")]
    name = os.path.basename(program)
    if modules:
        make = lambda work, fault: Rsyslog(program, work, modules[0])
        faults = ["reload", "restart", "kill"]
    else:
        def make(work, fault):
            # A name of its own, under which another program can lie.
            own = work + "/syslogd"
            os.symlink(program, own)
            return Ours(own, work, dash="" if fault == "synced" else "-")

        faults = ["reload", "restart", "kill", "upgrade"]
    faults = [word for word in words if not word.startswith("--")] or faults
    wrong = False
    print("%-10s %-8s %8s %8s %8s %8s %8s %6s %8s %9s" % (
        "daemon", "fault", "sent", "per s", "refused", "missing", "doubled", "gaps", "longest", "worst, ms"))
    for fault in faults:
        wrong |= absent(program) if fault == "absent" else measure(fault, make, name)
    return wrong


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
