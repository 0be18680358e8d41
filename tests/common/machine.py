# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The machine that a test runs on: its device, commands, waiting."""

import contextlib
import os
import subprocess
import time
from pathlib import Path

from tests.common.tap import Failure

DEV = os.environ.get("SODP_DEV", "")
ADDR = os.environ.get("SODP_ADDR", "")
SLOW = int(os.environ.get("SODP_SLOW", "1"))
GID = os.environ.get("SODP_GID_INDEX", "")
# What add_address6() gives it
ADDR6 = "fd77::1"

COUNTERS = "/sys/class/infiniband/{}/ports/1/hw_counters"
TCP_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
LISTEN = "0A"
WIRE_ONLY = "/sys/module/sodp/parameters/wire_only"


def call(*args):
    """A command that must succeed; returns what it printed."""
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode:
        text = (done.stderr or done.stdout).strip()
        raise Failure(f"{' '.join(args)}: {text}")
    return done.stdout


def within(space, *args):
    """A command in a network namespace, or in the first one."""
    return call(*(["ip", "netns", "exec", space] if space else []), *args)


@contextlib.contextmanager
def namespace(name):
    """A network namespace, which ends with the block."""
    call("ip", "netns", "add", name)
    try:
        within(name, "ip", "link", "set", "lo", "up")
        yield name
    finally:
        call("ip", "netns", "del", name)


def add_address6():
    """One on the netdev of the device, which has none that is routed."""
    text = call("rdma", "link", "show", f"{DEV}/1")
    netdev = text.split("netdev ")[1].split()[0]
    call("ip", "addr", "replace", f"{ADDR6}/64", "dev", netdev, "nodad")
    return ADDR6


def put(path, value, cut=True):
    """Into a file of the kernel's; cut: it begins anew."""
    flags = os.O_WRONLY | (os.O_TRUNC if cut else 0)
    try:
        with open(os.open(path, flags), "w") as handle:
            handle.write(str(value))
    except OSError as err:
        raise Failure(f"{path} <- {value}: {err}")


def counter(device, name):
    """A counter of a device's port, as the first namespace sees it."""
    with open(f"{COUNTERS.format(device)}/{name}") as handle:
        return int(handle.read())


def counters(device, run=call):
    """All of them; run: another way to run a command."""
    found = {}
    text = run("sh", "-c", f"grep -H . {COUNTERS.format(device)}/*")
    for line in text.splitlines():
        path, _, value = line.rpartition(":")
        found[path.rsplit("/", 1)[1]] = int(value)
    return found


@contextlib.contextmanager
def wire_only(on=True):
    """Peers on this host are reached by packets."""
    put(WIRE_ONLY, int(on))
    try:
        yield
    finally:
        put(WIRE_ONLY, 0)


def wait_for(what, test, seconds=10):
    """Until test() is true; returns what it gave."""
    deadline = time.monotonic() + seconds * SLOW
    while True:
        found = test()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failure(f"in vain: {what}")
        time.sleep(0.05)


def listens(tables, port):
    """Is somebody listening on a TCP port, by the text of TCP_TABLES?"""
    for line in tables.splitlines():
        words = line.split()
        if words[0] == "sl":
            continue
        local = int(words[1].rsplit(":", 1)[1], 16)
        if local == port and words[3] == LISTEN:
            return True
    return False


def wait_listening(server, port, seconds):
    """Until a process that was started listens on a TCP port."""

    def looked():
        text = "".join(Path(table).read_text() for table in TCP_TABLES)
        if listens(text, port):
            return True
        if server.poll() is not None:
            raise Failure(f"server: {server.communicate()[0]}")
        return False

    wait_for("the server listens", looked, seconds)
