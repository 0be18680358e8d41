# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Run a server and a client of the usual RDMA programs, report as TAP."""

import os
import subprocess
import time

DEV = os.environ.get("SODP_DEV", "")
ADDR = os.environ.get("SODP_ADDR", "")
SLOW = int(os.environ.get("SODP_SLOW", "1"))
GID = os.environ.get("SODP_GID_INDEX", "")

LISTEN = "0A"


class Failure(Exception):
    """A pair that did not do what it should."""


def wait_for(what, test, seconds=20):
    """Until test() is true; returns what it gave."""
    deadline = time.monotonic() + seconds * SLOW
    while True:
        found = test()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failure(f"in vain: {what}")
        time.sleep(0.05)


def listening(port):
    """Is somebody listening on this TCP port?"""
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(path) as table:
            for line in list(table)[1:]:
                words = line.split()
                local = int(words[1].rsplit(":", 1)[1], 16)
                if local == port and words[3] == LISTEN:
                    return True
    return False


def _start(args):
    return subprocess.Popen(
        args,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_pair(args, port, seconds):
    """Output of server and client; raises Failure unless both end well."""
    seconds *= SLOW
    deadline = time.monotonic() + seconds
    server = _start(args)
    try:
        while not listening(port):
            if server.poll() is not None:
                raise Failure(f"server: {server.communicate()[0]}")
            if time.monotonic() > deadline:
                raise Failure("the server does not listen")
            time.sleep(0.02)
        client = _start(args + [ADDR])
        try:
            said = client.communicate(timeout=deadline - time.monotonic())[0]
            heard = server.communicate(timeout=10 * SLOW)[0]
        except subprocess.TimeoutExpired:
            raise Failure(f"no end after {seconds} s")
        finally:
            client.kill()
            client.wait()
    finally:
        server.kill()
        server.wait()
    if client.returncode:
        raise Failure(f"client: status {client.returncode}: {said}")
    if server.returncode:
        raise Failure(f"server: status {server.returncode}: {heard}")
    return heard, said


class Skip(Exception):
    """A case that cannot be; says why."""


class Tap:
    """A plan of (name, function) and its TAP lines."""

    def __init__(self, cases):
        self.cases = cases

    def run(self):
        print(f"1..{len(self.cases)}", flush=True)
        bad = 0
        for number, (name, function) in enumerate(self.cases, 1):
            began = time.monotonic()
            try:
                note = function()
                print(f"ok {number} - {name}", flush=True)
                if note:
                    print(f"# {note}")
            except Skip as why:
                print(f"ok {number} - {name} # SKIP {why}", flush=True)
            except (Failure, OSError) as err:
                bad += 1
                for line in str(err).splitlines():
                    print(f"# {line}")
                print(f"not ok {number} - {name}", flush=True)
            print(f"# {time.monotonic() - began:.1f} s", flush=True)
        return 1 if bad else 0
