#!/usr/bin/env python3
"""Power cuts while a spool is filled, and while it is drained into a file that is synced (F3).

    tests/faults/spool_cut.py PROGRAM CUTS [FLAG]

Nothing that is appended to a spool is synced; what must be durable is the order of removals. So what is on the disk when
a cut comes, spool and file, must hold each message that once was there: a segment goes only when its messages are on the
disk in the file. Each round fills a spool for a file whose directory is missing, in two parts: the first is synced, by
sync(2) of the oracle, and so is everything else. Then the directory is made, the file is written, with `sync=durable` or
`sync=second` in turn, and at a random moment an ext4 file system on a loop device is cut (EXT4_IOC_SHUTDOWN, FLAG 2
unless named). It is mounted again, and the daemon started:

    missing    of the first part, in the end
    doubled    out of order, but for a beginning that comes again
    torn       lines with a hole
    again      what comes twice: the cursor is not synced but with a removal
    wrong      starts that fail, segments that are left for ever

Some of the second part may be gone. `SEED` repeats a run. Root, for the loop device.
"""

import fcntl
import glob
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from walks import Daemon, Table, contents, free_port, kept, message, numbers, waited

import socket

PROGRAM, CUTS = os.path.abspath(sys.argv[1]), int(sys.argv[2])
FLAG = int(sys.argv[3]) if len(sys.argv) > 3 else 2
FILLER, FIRST, SECOND, LAST = "x" * 7900, 300, 200, 999999


def send(port, which):
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(b"".join(message(number, FILLER).encode() + b"\n" for number in which))


def enqueued(daemon, least):
    return daemon.until(lambda: daemon.counters()["outputs"][0]["enqueued"] >= least)


def segments(disk):
    return glob.glob(disk + "/spool/*/*.seg")


def cut(disk):
    handle = os.open(disk, os.O_RDONLY)
    fcntl.ioctl(handle, 0x8004587D, struct.pack("I", FLAG))
    os.close(handle)


def one(home, disk, mount, sync, chance):
    found = {"runs": 1, "sent": FIRST + SECOND, "missing": 0, "doubled": 0, "torn": 0, "again": 0, "wrong": 0}
    for name in os.listdir(disk):
        if name != "lost+found":
            shutil.rmtree(disk + "/" + name)
    port, log = free_port(), disk + "/out/log"
    with open(home + "/conf", "w") as conf:
        conf.write("memory 8M\nspool %s/spool 8M\nlisten tcp://127.0.0.1:%d\nuser.*\t%s;sync=%s\n" % (disk, port, log, sync))
    daemon = Daemon(PROGRAM, home)
    daemon.connect()
    send(port, range(FIRST))
    enqueued(daemon, FIRST)
    # All of it goes to the disk at the end, and the next one has it.
    assert daemon.stop() == 0
    os.sync()
    daemon = Daemon(PROGRAM, home)
    daemon.connect()
    if chance.random() < 0.5:
        # More than half of what it may have in memory goes to the spool, and is not synced.
        send(port, range(FIRST, FIRST + SECOND))
        send(port, range(FIRST + SECOND, FIRST + 2 * SECOND + 100))
        enqueued(daemon, FIRST + SECOND)
    os.makedirs(disk + "/out")
    moment = chance.random()
    reached = int(moment * FIRST) * 8000
    if moment < 0.9:
        # Somewhere in the file, and a little later.
        waited(lambda: os.path.exists(log) and os.stat(log).st_size >= reached)
        time.sleep(chance.random() / 100)
    cut(disk)
    daemon.kill()
    subprocess.run(["umount", disk], check=True)
    subprocess.run(mount, check=True)
    os.makedirs(disk + "/out", exist_ok=True)
    before, _ = numbers(contents(log))
    daemon = Daemon(PROGRAM, home)
    try:
        sender = daemon.connect()
        sender.send(message(LAST).encode())
        daemon.until(lambda: b" n=%d " % LAST in contents(log)[-200:])
        arrived = daemon.until(lambda: not segments(disk))
    except (TimeoutError, AttributeError):
        arrived = False
    if not arrived or daemon.stop() != 0:
        kept(home, "the start did not end well; segments: %s" % segments(disk))
        daemon.kill()
        found["wrong"] += 1
    got, torn = numbers(contents(log))
    found["torn"] = torn if FLAG == 0 else 0
    first = list(dict.fromkeys(got))
    found["missing"] = len(set(range(FIRST)) - set(got))
    found["again"] = len(got) - len(first)
    found["doubled"] = sum(later <= earlier for earlier, later in zip(first, first[1:]))
    # What the first life wrote, and behind it what the second did, each once.
    rest = got[len(before):]
    found["doubled"] += sum(later <= earlier for part in [before, rest] for earlier, later in zip(part, part[1:]))
    if found["missing"] + found["doubled"] + found["torn"]:
        kept(home, str(found))
    return found


def main():
    seed = int(os.environ.get("SEED", time.time()))
    print("SEED=%d" % seed)
    chance = random.Random(seed)
    work = tempfile.mkdtemp()
    image, disk, home = work + "/image", work + "/disk", work + "/run"
    os.makedirs(disk)
    os.makedirs(home)
    with open(image, "wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    mount = ["mount", "-o", "loop", image, disk]
    subprocess.run(mount, check=True)
    table = Table("again")
    try:
        for sync in ["durable", "second"]:
            total = {}
            for _ in range(CUTS // 2):
                for column, value in one(home, disk, mount, sync, chance).items():
                    total[column] = total.get(column, 0) + value
            table.row("spool cut, flag %d, sync=%s" % (FLAG, sync), **total)
    finally:
        subprocess.run(["umount", disk])
        # Only where nothing of it is mounted any more.
        if not os.path.ismount(disk):
            shutil.rmtree(work)
    table.end()


main()
