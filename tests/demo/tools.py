# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What the demo runs: unmodified programs, and the rdma tool for counters."""

import json
import os
import subprocess
import textwrap

from tests.common.machine import wait_listening
from tests.common.tap import Failure

BUILD = os.environ.get("SODP_BUILD", "/build/user")
WIDTH = 78


def title(number, of, text):
    head = f"{number}/{of}  {text}"
    print(f"\n{head}\n{'-' * len(head)}", flush=True)


def tell(text):
    """A paragraph for the reader."""
    text = " ".join(text.split())
    print(textwrap.fill(text, WIDTH), flush=True)


def show(lines, mark="    "):
    for line in lines:
        print(f"{mark}{line.rstrip()}"[:WIDTH], flush=True)


def shown_command(args):
    """The command as a reader would type it."""
    print(f"  $ {' '.join(args)}", flush=True)


def output(args, quiet=False):
    if not quiet:
        shown_command(args)
    done = _run(args)
    if done.returncode:
        raise Failure(f"{args[0]}: {_last(done.stderr or done.stdout)}")
    return done.stdout


def _run(args):
    try:
        return subprocess.run(
            args,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except OSError as err:
        raise Failure(f"{args[0]}: {err.strerror}")


def _last(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no output"


def both_sides(args, port, address="127.0.0.1"):
    """Run a server and a client of one program; the client's output."""
    shown_command(args + [address])
    server = subprocess.Popen(
        args,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        # Virtual time leaps ahead while the guest waits for the host
        wait_listening(server, port, 3600)
        text = output(args + [address], quiet=True)
        server.communicate()
    finally:
        server.kill()
        server.wait()
    return text


def bench(command, **options):
    """One primitive of the benchmarks: its JSON."""
    args = [f"{BUILD}/tests/bench/sodp-bench", command]
    args += [f"{key}={value}" for key, value in options.items()]
    return json.loads(output(args, quiet=True).splitlines()[0])


def regions(device, pid=None):
    """rdma's view of the memory regions of a device."""
    text = output(["rdma", "-j", "resource", "show", "mr"], quiet=True)
    return [
        entry
        for entry in json.loads(text or "[]")
        if entry.get("ifname") == device and pid in (None, entry.get("pid"))
    ]


def counters(device, mrn):
    """The counters of one memory region."""
    text = output(["rdma", "-j", "statistic", "show", "mr"], quiet=True)
    for entry in json.loads(text or "[]"):
        if entry.get("ifname") == device and entry.get("mrn") == mrn:
            return entry
    raise Failure(f"rdma statistic shows no region {mrn} of {device}")


class Pages:
    """sodp-demo-pages, one stop at a time."""

    def __init__(self, device, gid):
        self.device = device
        self.process = subprocess.Popen(
            [f"{BUILD}/tests/demo/sodp-demo-pages"]
            + [f"dev={device}", f"gid={gid}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.mrn = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def region(self):
        """The number of the region: the largest of the process."""
        if self.mrn is None:
            mine = regions(self.device, self.process.pid)
            if not mine:
                raise Failure("rdma resource shows no region")
            largest = max(mine, key=lambda entry: int(entry["mrlen"]))
            self.mrn = largest["mrn"]
        return self.mrn

    def stops(self):
        """Yield (what the program says, counters) at every stop."""
        for line in self.process.stdout:
            yield json.loads(line), counters(self.device, self.region())
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        if self.process.wait():
            raise Failure("sodp-demo-pages failed")
