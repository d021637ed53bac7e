"""What the walks of long.sh share: a daemon that is killed before call number n = 1, 2, ... until it lives (F2).

The calls are those of one kind, of whichever thread makes its n-th first. What a walk does before and behind the kill,
and what must be there then, is its own: spool_walk.py, handover_walk.py.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib

LIMIT = 30


def message(number, filler=""):
    text = "src=a%s n=%d" % (filler, number)
    return "<13>seq: %s crc=%08x." % (text, zlib.crc32(text.encode()))


WHOLE = re.compile(rb"seq: (src=ax* n=(\d+)) crc=([0-9a-f]{8})\.")


def numbers(octets):
    """The numbers of whole messages, and how many are torn."""
    found, torn = [], octets.count(b"seq: ")
    for match in WHOLE.finditer(octets):
        if zlib.crc32(match[1]) == int(match[3], 16):
            torn -= 1
            found.append(int(match[2]))
    return found, torn


def contents(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def waited(is_so, ends=lambda: False):
    """Whether it came to be so before that ends."""
    end = time.monotonic() + LIMIT
    while not is_so():
        if ends():
            return False
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.002)
    return True


def is_alive(pid):
    """Whether there is such a process, and it is no zombie."""
    try:
        return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    """Started where another may have been killed: whatever that left behind is in the way."""

    def __init__(self, program, home, wrapper=(), arguments=(), **how):
        self.home, self.program = home, program
        self.said = open(home + "/said", "ab")
        self.arguments = [program, "-F", "-K", "-n", "-f", home + "/conf", "-p", home + "/sock", "-P", home + "/pid",
                          *arguments]
        self.process = subprocess.Popen([*wrapper, *self.arguments], stderr=self.said,
                                        env=dict(os.environ, TZ="UTC0"), **how)
        self.tracer = None

    def has_ended(self):
        return self.process.poll() is not None

    def until(self, is_so):
        return waited(is_so, self.has_ended)

    def pid(self):
        """Of the daemon; 0 while it has not said so."""
        held = contents(self.home + "/pid")
        return int(held) if held.strip().isdigit() else 0

    def is_up(self):
        """It has a pid file that is its own."""
        pid = self.pid()
        ours = self.process.pid
        if pid == 0 or not is_alive(pid) or self.has_ended():
            return False
        parent = re.search(rb"PPid:\s+(\d+)", contents("/proc/%d/status" % pid))
        return pid == ours or parent is not None and int(parent[1]) == ours

    def connect(self):
        """A sender; None if the daemon has ended."""
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

        def tried():
            try:
                sender.connect(self.home + "/sock")
                return True
            except OSError:
                return False
        return sender if self.until(tried) else None

    def signal(self, which):
        """Never to another process that has got the number of a dead one."""
        if self.is_up():
            os.kill(self.pid(), which)

    def counters(self):
        """None if it has ended."""
        stats = self.home + "/pid.stats"
        if os.path.exists(stats):
            os.remove(stats)
        self.signal(signal.SIGUSR1)
        if not self.until(lambda: os.path.exists(stats)):
            return None
        return json.loads(contents(stats))

    def attach(self, call, when):
        """Has it killed before its n-th call of this kind from now on, whichever thread that is; traced only if 0."""
        self.tracer = subprocess.Popen(
            ["strace", "-f", "-q", "-o", self.home + "/trace", "--signal=KILL", "--trace=" + call,
             *(["--inject=%s:signal=KILL:when=%d" % (call, when)] if when else []), "-p", str(self.pid())],
            stderr=subprocess.DEVNULL)

        def is_traced():
            tasks = "/proc/%d/task" % self.pid()
            return all(b"TracerPid:\t0\n" not in contents("%s/%s/status" % (tasks, task))
                       for task in os.listdir(tasks))
        try:
            waited(is_traced, lambda: self.has_ended() or self.tracer.poll() is not None)
        except FileNotFoundError:
            pass

    def was_killed(self):
        """By who traces it, who goes now: it, or a child."""
        self.tracer.terminate()
        self.tracer.wait(LIMIT)
        return b"killed by SIGKILL" in contents(self.home + "/trace")

    def kill(self):
        """And who traces it."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self):
        """The exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = None
        if self.tracer:
            try:
                self.tracer.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.tracer.kill()
                self.tracer.wait()
        self.said.close()
        return status


def below(call, when):
    """What a daemon is started below to be killed before its n-th call of this kind."""
    return ["strace", "-f", "-qq", "-o", "/dev/null", "--trace=" + call,
            "--inject=%s:signal=KILL:when=%d" % (call, when)]


class Table:
    """A line for each fault; `allowed` is what may be, and `wrong` all that must not but the three before."""

    def __init__(self, allowed):
        self.columns = ["runs", "sent", "missing", "doubled", "torn", allowed, "wrong"]
        print("%-34s" % "fault" + " ".join("%8s" % column for column in self.columns), flush=True)
        self.is_bad = False
        self.total = dict.fromkeys(self.columns, 0)

    def row(self, fault, **found):
        for column, value in found.items():
            self.total[column] += value
        self.write(fault, found)
        self.is_bad |= any(found.get(column, 0) for column in ["missing", "doubled", "torn", "wrong"])

    def write(self, fault, found):
        print("%-34s" % fault + " ".join("%8d" % found.get(column, 0) for column in self.columns), flush=True)

    def end(self):
        self.write("all", self.total)
        sys.exit(1 if self.is_bad else 0)


def fresh(home):
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)


def kept(home, what):
    """Where something went wrong: KEEP=DIRECTORY keeps what is there."""
    print("    %s" % what, flush=True)
    if to := os.environ.get("KEEP"):
        shutil.copytree(home, "%s/%d" % (to, time.time_ns()), ignore=shutil.ignore_patterns("sock", "*.fifo"))


def walk(call, run):
    """Runs with n = 1, 2, ... until one is not killed; adds up what they found."""
    found = {"runs": 0}
    was_killed, when = True, 0
    while was_killed:
        when += 1
        was_killed, one = run(call, when)
        found["runs"] += 1
        for column, value in one.items():
            found[column] = found.get(column, 0) + value
    return found
