# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What the demo runs: unmodified programs, and the rdma tool for counters."""

import json
import os
import subprocess
import textwrap
import time

BUILD = os.environ.get("SODP_BUILD", "/build/user")
WIDTH = 78


class DemoError(Exception):
    """A program did not do what the demo was going to show."""


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
        raise DemoError(f"{args[0]}: {_last(done.stderr or done.stdout)}")
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
        raise DemoError(f"{args[0]}: {err.strerror}")


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
        _wait_listening(server, args[0], port)
        text = output(args + [address], quiet=True)
        server.communicate()
    finally:
        server.kill()
        server.wait()
    return text


def _wait_listening(server, name, port):
    wanted = f":{port:04X} "
    # Virtual time leaps ahead while the guest waits for the host
    deadline = time.monotonic() + 3600
    while time.monotonic() < deadline and server.poll() is None:
        for table in ("tcp", "tcp6"):
            with open(f"/proc/net/{table}") as handle:
                for line in handle:
                    if wanted in line and " 0A " in line:
                        return
        time.sleep(0.05)
    server.kill()
    text = _last(server.communicate()[0])
    raise DemoError(f"the server side of {name} does not listen: {text}")


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
    raise DemoError(f"rdma statistic shows no region {mrn} of {device}")


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
                raise DemoError("rdma resource shows no region")
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
            raise DemoError("sodp-demo-pages failed")
