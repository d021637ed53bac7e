#!/usr/bin/env python3
"""Ten thousand TCP connections: what they cost, and that nobody is kept from logging (F23, V15).

    tests/faults/connections.py PROGRAM [MESSAGES]

PROGRAM is our syslogd; a release build is fair. It needs 10100 file descriptors for itself and as many for us, and
loopback addresses from 127.0.0.1 on, as each address may have 512 connections. MESSAGES, 400000 unless named, are
sent for each line of the last table. A line for each step says what was found; the exit is 1 if something is wrong.
"""

import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ALL = 10000
OF_ONE = 512
LIMIT = 60

wrong = []


def check(name, is_so, found):
    print("%-58s %s%s" % (name, found, "" if is_so else "   WRONG"), flush=True)
    if not is_so:
        wrong.append(name)


def wait_for(what, look):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.005)
    sys.exit("connections.py: waited in vain for " + what)


class Daemon:
    def __init__(self, program, home):
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with open(home + "/conf", "w") as conf:
            conf.write("user.*\t-%s/log\nlocal0.*\t-%s/canary\n" % (home, home))
        arguments = ["-F", "-f", home + "/conf", "-p", home + "/socket", "-P", home + "/pid", "--no-kernel-log",
                     "--no-dns", "--listen", "tcp://127.0.0.1:%d" % self.port]
        self.said = open(home + "/said", "w+")
        self.process = subprocess.Popen([program, *arguments], stderr=self.said)
        wait_for("the start", lambda: "start" in open(home + "/said").read())
        self.pid = self.process.pid
        self.unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.unix.connect(home + "/socket")

    def connect(self, number):
        """The connection of this number; 500 of them share an address."""
        one = socket.socket()
        one.bind(("127.0.%d.%d" % (number // 500 // 250, number // 500 % 250 + 1), 0))
        one.connect(("127.0.0.1", self.port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return one

    def cpu(self):
        """Nanoseconds of processor time of all threads."""
        tasks = "/proc/%d/task" % self.pid
        return sum(int(open("%s/%s/schedstat" % (tasks, one)).read().split()[0]) for one in os.listdir(tasks))

    def memory(self):
        """Resident KiB."""
        status = open("/proc/%d/status" % self.pid).read()
        return int(status.split("VmRSS:")[1].split()[0])

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def counters(self):
        path = self.home + "/pid.stats"
        if os.path.exists(path):
            os.unlink(path)
        os.kill(self.pid, signal.SIGUSR1)
        wait_for("the counters", lambda: os.path.exists(path))
        return json.load(open(path))

    def received(self):
        return sum(one["received"] for one in self.counters()["inputs"] if one["name"].startswith("tcp"))

    def canary(self, number):
        """How long a message over the unix socket takes to its file, in ms."""
        began = time.monotonic()
        text = "canary %d." % number
        self.unix.send(b"<133>app: " + text.encode())
        path = self.home + "/canary"
        wait_for(text, lambda: os.path.exists(path) and text in open(path).read())
        return (time.monotonic() - began) * 1000


def settled(daemon, count):
    wait_for("%d descriptors" % count, lambda: daemon.descriptors() >= count)


def gone(daemon, count):
    wait_for("the connections to go", lambda: daemon.descriptors() <= count)


def caps(daemon):
    before = daemon.descriptors()
    some = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(OF_ONE + 88)]
    closed = wait_for("connections to be closed", lambda: closed_of(some, 88))
    check("512 of 600 connections from one address stay", closed == 88, "%d closed" % closed)
    check("  it is told", "too many connections from there" in open(daemon.home + "/said").read(), "")
    for one in some:
        one.close()
    gone(daemon, before)


def closed_of(some, least):
    poll = select.poll()
    for one in some:
        poll.register(one, select.POLLIN | select.POLLRDHUP)
    count = sum(1 for _, event in poll.poll(0) if event & (select.POLLRDHUP | select.POLLHUP | select.POLLIN))
    return count if count >= least else 0


def idle(daemon):
    base, memory, began = daemon.descriptors(), daemon.memory(), time.monotonic()
    some = [daemon.connect(number) for number in range(ALL)]
    settled(daemon, base + ALL)
    took = time.monotonic() - began
    each = (daemon.memory() - memory) / ALL
    check("10000 idle connections", each <= 4, "%.2f KiB resident each, opened in %.1f s" % (each, took))
    cpu, began = daemon.cpu(), time.monotonic()
    time.sleep(2)
    share = (daemon.cpu() - cpu) / (time.monotonic() - began) / 1e7
    check("  while idle", share < 1, "%.2f %% of a processor" % share)
    canary = max(daemon.canary(number) for number in range(20))
    check("  a message meanwhile", canary < 1000, "%.0f ms at most" % canary)
    extra = [daemon.connect(ALL + number) for number in range(20)]
    closed = wait_for("the last to be closed", lambda: closed_of(extra, 20))
    check("20 more are closed, and it is told",
          "too many connections" in open(daemon.home + "/said").read(), "%d closed" % closed)
    for one in extra:
        one.close()
    return base, some


def drip(daemon, some):
    memory, cpu = daemon.memory(), daemon.cpu()
    for one in some:
        one.send(b"<")
    wait_for("the octets to be read", lambda: unread(daemon) == 0)
    used = (daemon.cpu() - cpu) / ALL / 1000
    each = (daemon.memory() - memory) / ALL
    check("one octet of a frame on each", each <= 4, "%.2f KiB each, %.1f us of processor each" % (each, used))
    canary = max(daemon.canary(100 + number) for number in range(20))
    check("  a message meanwhile", canary < 1000, "%.0f ms at most" % canary)
    for one in some:
        one.send(b"13>app: finished\n")


def unread(daemon):
    """Octets that wait in the receive queues of the daemon."""
    port = ":%04X" % daemon.port
    lines = open("/proc/net/tcp").read().splitlines()[1:]
    ours = (line.split() for line in lines)
    return sum(int(words[4].split(":")[1], 16) for words in ours if words[1].endswith(port) and words[3] == "01")


def storm(daemon):
    base, before, began = daemon.descriptors(), daemon.received(), time.monotonic()
    for number in range(ALL):
        with daemon.connect(number % 5000) as one:
            one.send(b"<13>app: storm\n")
    took = time.monotonic() - began
    wait_for("the storm to pass", lambda: daemon.received() - before >= ALL)
    gone(daemon, base)
    check("10000 connections that send a message and close", True, "%.0f a second, none lost" % (ALL / took))
    canary = daemon.canary(200)
    check("  a message afterwards", canary < 1000, "%.0f ms" % canary)


def cost(daemon, connections, lines, messages):
    """Microseconds of processor time for a message, `lines` of them at a time on one connection after the other."""
    base = daemon.descriptors()
    some = [daemon.connect(number) for number in range(connections)]
    settled(daemon, base + connections)
    octets = b"<13>Nov 22 11:00:00 host app[123]: an ordinary message of an ordinary length, sent again\n" * lines
    before, cpu = daemon.received(), daemon.cpu()
    sent = 0
    while sent < messages:
        for one in some:
            one.sendall(octets)
            sent += lines
            if sent >= messages:
                break
    wait_for("all messages", lambda: unread(daemon) == 0 and daemon.received() - before >= sent)
    used = (daemon.cpu() - cpu) / sent / 1000
    for one in some:
        one.close()
    gone(daemon, base)
    os.truncate(daemon.home + "/log", 0)
    return used


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    messages = int(sys.argv[2]) if len(sys.argv) > 2 else 400000
    wanted = ALL + 200
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, hard), max(wanted, hard)))
    home = tempfile.mkdtemp(prefix="connections-")
    daemon = Daemon(os.path.abspath(sys.argv[1]), home)
    try:
        caps(daemon)
        base, some = idle(daemon)
        drip(daemon, some)
        for one in some:
            one.close()
        gone(daemon, base)
        storm(daemon)
        for lines in (1, 20):
            for connections in (1, 100, 1000, ALL):
                used = cost(daemon, connections, lines, messages)
                check("%5d connections, %2d messages at a time" % (connections, lines), True, "%.2f us each" % used)
        counters = daemon.counters()
        lost = sum(sum(one["dropped"].values()) for one in counters["outputs"])
        check("messages dropped", lost == 0, lost)
        daemon.process.terminate()
        check("exit status", daemon.process.wait(LIMIT) == 0, daemon.process.returncode)
    finally:
        daemon.process.kill()
        shutil.rmtree(home)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
