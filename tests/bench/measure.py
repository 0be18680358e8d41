# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Runs the primitives of sodp-bench and perftest; medians of what they say."""

import json
import os
import statistics
import subprocess
import time

from tests.common.machine import put, wait_listening
from tests.common.tap import Failure
from tests.wire.topology import MTU, Topology

PROGRAM = os.path.join(
    os.environ.get("SODP_BUILD", "/build/user"), "tests/bench/sodp-bench"
)
CGROUP = "/sys/fs/cgroup"
LAT_SECONDS = 120
PERFTEST_PORT = 18515


class Device:
    """An RDMA device of the guest, from the lab's environment."""

    def __init__(self, prefix):
        try:
            self.name = os.environ[f"{prefix}_DEV"]
            self.gid = os.environ[f"{prefix}_GID_INDEX"]
        except KeyError as err:
            raise Failure(f"no such device: {err.args[0]} is not set")

    def args(self):
        return {"dev": self.name, "gid": self.gid}


class Wire:
    """Two devices of a kind, in two namespaces that a veth pair joins."""

    def __init__(self, kind, mtu=MTU):
        self.topology = Topology(kind, kind, mtu=mtu)

    def __enter__(self):
        try:
            self.topology.__enter__()
        except Failure as err:
            raise Failure(f"no wire: {err}")
        ends = (self.topology.a, self.topology.b)
        self.names = [end["DEV"] for end in ends]
        self.gids = [end["GID_INDEX"] for end in ends]
        return self

    def __exit__(self, *_):
        self.topology.close()

    def args(self):
        return {
            "dev": self.names[0],
            "gid": self.gids[0],
            "target_dev": self.names[1],
            "target_gid": self.gids[1],
        }


def primitive(command, device, **options):
    """Run one command of sodp-bench; returns its JSON lines.

    No time limit here: virtual time leaps ahead when the guest waits for
    the host, so the lab outside keeps the time.
    """
    return command_lines([PROGRAM, command] + _words(device, options))


def command_lines(args):
    """The JSON lines that a program prints."""
    try:
        done = subprocess.run(
            args,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except OSError as err:
        raise Failure(f"{args[0]}: {err.strerror}")
    if done.returncode:
        raise Failure(f"{' '.join(args[1:])}: {_last(done)}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _words(device, options):
    options = dict(device.args(), **options)
    return [f"{key}={value}" for key, value in options.items()]


def _last(done):
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"status {done.returncode}"


def median(values):
    return statistics.median(values)


def bandwidth(line, key):
    """MB/s of a line of the `write` command."""
    return line["size"] * line["count"] * 1000 / median(line[key])


def size_name(size):
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


class MemoryWatch:
    """Kernel memory of one process by its memory cgroup."""

    def __init__(self, device, command="mem", **options):
        self.group = f"{CGROUP}/sodp-bench-{os.getpid()}"
        self.name = command
        self.lines = {}
        put(f"{CGROUP}/cgroup.subtree_control", "+memory")
        os.mkdir(self.group)
        shell = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
        command = [PROGRAM, command] + _words(device, options)
        self.process = subprocess.Popen(
            ["sh", "-c", shell, self.group] + command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.rmdir(self.group)

    def samples(self):
        """{moment: bytes of kernel memory other than page tables}; what else
        it said is in `lines`."""
        taken = {}
        for text in self.process.stdout:
            line = json.loads(text)
            self.lines[line["at"]] = line
            taken[line["at"]] = self._read()
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        said = self.process.stderr.read().strip()
        if self.process.wait():
            raise Failure(f"{self.name}: {said}")
        return taken

    def _read(self):
        time.sleep(5)  # cgroup statistics are flushed every 2 s
        with open(f"{self.group}/memory.stat") as handle:
            stat = dict(line.split() for line in handle)
        return int(stat["kernel"]) - int(stat["pagetables"])


def write_lat(device, runs=5, iterations=2000):
    """Medians of ib_write_lat of 8 bytes, microseconds, one per run."""
    end = (device.name, device.gid)
    return [
        _one_lat("ib_write_lat", end, end, iterations) for _ in range(runs)
    ]


def wire_lat_runs(program, wire, runs, iterations):
    """The same between the two ends of a wire, by any perftest program."""
    ends = list(zip(wire.names, wire.gids))
    return [_one_lat(program, *ends, iterations) for _ in range(runs)]


def _one_lat(program, near, far, iterations):
    # Both spin: on the same CPU each would wait for the other's time slice
    server, client = (
        ["taskset", "-c", str(cpu), program, "-d", name, "-x", gid]
        + ["-F", "-s", "8", "-n", str(iterations)]
        for cpu, (name, gid) in enumerate((far, near))
    )
    server = subprocess.Popen(
        server, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_listening(server, PERFTEST_PORT, 60)
        done = subprocess.run(
            client + ["127.0.0.1"],
            capture_output=True,
            text=True,
            timeout=LAT_SECONDS,
        )
        server.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        raise Failure(f"{program} on {near[0]} hangs")
    finally:
        server.kill()
        server.wait()
    if done.returncode:
        raise Failure(f"{program} on {near[0]}: {_last(done)}")
    return _typical(done.stdout)


def _typical(text):
    """The column t_typical: the median of one run."""
    lines = text.splitlines()
    for head, line in zip(lines, lines[1:]):
        if "t_typical" in head:
            return float(line.split()[4])
    raise Failure("perftest printed no figures")
