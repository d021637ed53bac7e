#!/usr/bin/env python3
"""kill -9 before every system call of a reload, and of an upgrade (F2, F31).

    tests/faults/handover_walk.py PROGRAM [reload|upgrade|kept]

`kept` is an upgrade below a service manager that keeps the socket. A daemon logs numbered messages, and is killed before
the n-th call of one kind while it goes over; of an upgrade the child that rehearses may be killed instead, and then the
old one must go on. Messages are sent before, meanwhile and afterwards. If it was killed it is started again, and nobody
tidies up before: its socket, its pid file and the rest are as it left them. Then

    missing    what was seen in a file before, or sent behind the start, and is not there
    doubled    what is there twice, or out of order
    flight     what was sent meanwhile and is not there: what kill -9 takes
    wrong      a start, a reload, an upgrade or a stop afterwards that fails, or files that are left in the end
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from walks import Daemon, Table, contents, fresh, free_port, kept, message, numbers, walk

PROGRAM = os.path.abspath(sys.argv[1])
BEFORE, MEANWHILE, AFTER = range(30), range(30, 36), range(100, 130)

# They change nothing that outlives the process, or wait.
INWARD = {"futex", "brk", "mmap", "munmap", "mprotect", "madvise", "mremap", "rt_sigaction", "rt_sigprocmask",
          "rt_sigreturn", "sigaltstack", "set_robust_list", "set_tid_address", "rseq", "prlimit64", "arch_prctl", "epoll_wait",
          "poll", "ppoll", "clock_nanosleep", "sched_getaffinity", "sched_yield", "getrandom", "gettid", "getpid",
          "getppid", "geteuid", "getuid", "getcwd", "uname", "restart_syscall", "exit_group", "wait4", "waitid", "prctl", "sysinfo",
          "pread64", "access", "exit", "nanosleep", "clock_gettime", "tgkill", "getgid", "getegid"}


def sends(sender, which):
    """How many it took; what it takes while nobody reads waits in the kernel."""
    sent = 0
    for number in which:
        try:
            sender.send(message(number).encode())
        except OSError:
            break
        sent += 1
    return sent


class Story:
    """What all of them have in common."""

    def __init__(self, work):
        self.home = work + "/run"

    def log(self, name):
        return self.home + "/" + name

    def has(self, name, last):
        return b" n=%d " % last in contents(self.log(name))[-4000:]

    def start(self):
        return Daemon(PROGRAM, self.home)

    def calls(self):
        """Those that are made on the way."""
        daemon, _ = self.begin()
        daemon.attach("all", 0)
        self.go_over(daemon)
        daemon.stop()
        trace = contents(self.home + "/trace").decode(errors="replace")
        found = set(re.findall(r"^\d+ +(\w+)\(", trace, re.MULTILINE))
        return sorted(found - INWARD - {"execveat"})

    def begin(self):
        fresh(self.home)
        self.configure()
        daemon = self.start()
        sender = daemon.connect()
        sends(sender, BEFORE)
        daemon.until(lambda: self.has("a", BEFORE[-1]) and self.has("b", BEFORE[-1]))
        return daemon, sender

    def run(self, call, when):
        found = {"sent": len(BEFORE) + len(AFTER), "missing": 0, "doubled": 0, "torn": 0, "flight": 0, "wrong": 0}
        daemon, sender = self.begin()
        daemon.attach(call, when)
        in_flight = range(MEANWHILE[0], MEANWHILE[0] + sends(sender, MEANWHILE[:3]))
        has_gone_over = self.go_over(daemon)
        if not daemon.has_ended():
            in_flight = range(in_flight[0], in_flight[-1] + 1 + sends(sender, MEANWHILE[3:])) if in_flight else in_flight
        was_killed = daemon.was_killed()
        found["wrong"] += not was_killed and not has_gone_over
        # A process that is killed may take a moment, and a child is another one.
        if was_killed and not daemon.is_up():
            daemon.until(lambda: False)
        try:
            if daemon.has_ended():
                daemon.wait()
                daemon = self.start()
            daemon.until(daemon.is_up)
            found["wrong"] += self.again(daemon) is False
            # As syslog(3) does where it is refused: a rehearsal that was left alone may have had the old socket a
            # moment longer, and who connected meanwhile has connected to that.
            sender = daemon.connect()
            sends(sender, AFTER)
            daemon.until(lambda: self.has("a", AFTER[-1]))
            found["sent"] += len(in_flight)
            found["wrong"] += daemon.stop() != 0
            left = sorted(set(os.listdir(self.home)) - self.LEFT)
            if left:
                kept(self.home, "left: %s" % left)
                found["wrong"] += 1
        except (TimeoutError, AttributeError) as error:
            kept(self.home, "the start did not end well: %r" % error)
            daemon.kill()
            found["wrong"] += 1
        for name, must in [("a", [*BEFORE, *AFTER]), *self.musts()]:
            got, torn = numbers(contents(self.log(name)))
            found["torn"] += torn
            found["missing"] += len(set(must) - set(got))
            found["doubled"] += sum(later <= earlier for earlier, later in zip(got, got[1:]))
            if name == "a":
                found["flight"] = len(set(in_flight) - set(got))
        if any(found[column] for column in ["missing", "doubled", "torn", "wrong"]):
            kept(self.home, "%s, %d: %s" % (call, when, found))
        return was_killed, found

    LEFT = {"a", "b", "c", "conf", "said", "trace", "spool", "pid.stats", "pid.upgrade", "pid.upgrade.lock"}


class Reload(Story):
    """Another listener, another file, a spool; one file with another sync."""

    def configure(self):
        self.ports = [free_port(), free_port()]
        self.write("listen tcp://127.0.0.1:%d\nuser.*\t%s\nuser.*\t%s\n"
                   % (self.ports[0], self.log("a"), self.log("b")))

    def write(self, text):
        with open(self.home + "/conf", "w") as conf:
            conf.write(text)

    def loaded(self):
        return contents(self.home + "/said").count(b"configuration loaded again")

    def go_over(self, daemon):
        self.write("listen tcp://127.0.0.1:%d\nspool %s/spool 6M\nuser.*\t%s;sync=durable\nuser.*\t%s\n"
                   % (self.ports[1], self.home, self.log("a"), self.log("c")))
        before = self.loaded()
        daemon.signal(signal.SIGHUP)
        return daemon.until(lambda: self.loaded() > before)

    def again(self, daemon):
        before = self.loaded()
        daemon.signal(signal.SIGHUP)
        return daemon.until(lambda: self.loaded() > before)

    def musts(self):
        return [("b", BEFORE), ("c", AFTER)]


class Upgrade(Story):
    """The same program once more."""

    def configure(self):
        with open(self.home + "/conf", "w") as conf:
            conf.write("spool %s/spool 6M\nuser.*\t%s\nuser.*\t%s\n" % (self.home, self.log("a"), self.log("b")))

    def go_over(self, daemon):
        asked = subprocess.run([PROGRAM, "--upgrade", "-P", self.home + "/pid"], stderr=subprocess.PIPE, timeout=60)
        return asked.returncode == 0

    def again(self, daemon):
        return self.go_over(daemon)

    def musts(self):
        return [("b", [*BEFORE, *AFTER])]


class Kept(Upgrade):
    """A service manager keeps the socket, and passes it to each that it starts."""

    def begin(self):
        fresh(self.home)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.home + "/sock")
        self.configure()
        daemon = self.start()
        sender = daemon.connect()
        # A daemon that is dead leaves the socket; who would wait for the next one does so here.
        sender.settimeout(5)
        sends(sender, BEFORE)
        daemon.until(lambda: self.has("a", BEFORE[-1]) and self.has("b", BEFORE[-1]))
        return daemon, sender

    def start(self):
        return Daemon(PROGRAM, self.home, ["bash", "-c", 'exec 3<&"$1"; export LISTEN_PID=$$ LISTEN_FDS=1; exec "${@:2}"',
                                           "bash", str(self.socket.fileno())], pass_fds=[self.socket.fileno()])

    LEFT = Story.LEFT | {"sock"}


STORIES = {"reload": Reload, "upgrade": Upgrade, "kept": Kept}


def main():
    work = tempfile.mkdtemp()
    table = Table("flight")
    try:
        for name in sys.argv[2:] or list(STORIES):
            story = STORIES[name](work)
            for call in story.calls():
                table.row("%s: %s" % (name, call), **walk(call, story.run))
    finally:
        shutil.rmtree(work)
    table.end()


main()
