# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Figures of the wire by a native clock: two namespaces joined by veth.

System calls are not taken out here: both ends run at once.  WRITEs are
posted in lists and TCP moves a MiB by each call, so that they are few.
"""

import subprocess

from tests.bench.figures import figure
from tests.bench.measure import (
    PROGRAM,
    Wire,
    command_lines,
    median,
    primitive,
    size_name,
)
from tests.bench.nativefigures import spread

MTUS = ("9000", "1500")
SIZES = "64K,1M"
TOTAL = 16 << 20
# What is compared takes turns: rounds of so many samples
ROUNDS = 3
REPS = 6
WRITES = {
    "sizes": SIZES,
    "total": TOTAL,
    "reps": REPS,
    "depth": 32,
    "list": 16,
    "buffer": "4M",
}


def writes(wire, kind, wait):
    """{size: ns of one WRITE, each}."""
    mr = "odp" if kind == "sodp" else "pinned"
    lines = primitive("write", wire, mr=mr, wait=wait, **WRITES)
    return {
        x["size"]: [ns / x["count"] for ns in x["write_ns"]] for x in lines
    }


def better_wait(wire, kind):
    """How to wait: yielding or by events, whatever takes less in all."""

    def cost(wait):
        return sum(min(x) for x in writes(wire, kind, wait).values())

    return min(("event", "yield"), key=cost)


def tcp(wire):
    """{size: ns of as many bytes of a stream, each}."""
    words = [f"addr={wire.topology.b['ADDR']}", f"total={TOTAL}"]

    def within(space, command, *more):
        args = ["ip", "netns", "exec", space, PROGRAM, command]
        return args + words + list(more)

    server = subprocess.Popen(within("b", "tcp_serve"))
    try:
        line = command_lines(within("a", "tcp", f"reps={REPS}"))[0]
    finally:
        server.kill()
        server.wait()
    return {
        size: [ns * size / line["bytes"] for ns in line["tcp_ns"]]
        for size in (64 << 10, 1 << 20)
    }


def add(to, found):
    for size, values in found.items():
        to.setdefault(size, []).extend(values)


def against_tcp(mtu):
    ours, theirs = {}, {}
    with Wire("sodp", mtu) as wire:
        wait = better_wait(wire, "sodp")
        for _ in range(ROUNDS):
            add(ours, writes(wire, "sodp", wait))
            add(theirs, tcp(wire))
    return ours, theirs


def against_rxe(mtu):
    times, waits = {"sodp": {}, "rxe": {}}, {}
    for _ in range(ROUNDS):
        for kind, found in times.items():
            with Wire(kind, mtu) as wire:
                if kind not in waits:
                    waits[kind] = better_wait(wire, kind)
                add(found, writes(wire, kind, waits[kind]))
    return times["sodp"], times["rxe"]


def theirs_over_ours(measure):
    """The worst ratio of medians, and what there is to say."""
    ratios, said = [], []
    for mtu in MTUS:
        ours, theirs = measure(mtu)
        for size, mine in ours.items():
            other = theirs[size]
            ratios.append(median(other) / median(mine))
            worst, word = spread(mine, other)
            said.append(
                f"MTU {mtu} {size_name(size)} {median(other) / 1000:.1f} / "
                f"{median(mine) / 1000:.1f} us = {ratios[-1]:.2f} (minima "
                f"{min(other) / 1000:.1f} / {min(mine) / 1000:.1f} = "
                f"{min(other) / min(mine):.2f}; spread {worst:.2f}{word})"
            )
    note = "; WRITE, ODP, two namespaces over veth"
    return min(ratios), "; ".join(said) + note


@figure(">= 1.0", clock="native")
def wire_tcp():
    return theirs_over_ours(against_tcp)


@figure(">= 2.5", clock="native")
def wire_rxe():
    return theirs_over_ours(against_rxe)
