# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A C program of the wire tests between two ends.

wire.py [--swap] [--icrc] TOPOLOGY PROGRAM [ARGUMENT…]

TOPOLOGY: sodp-sodp, sodp-rxe … make two namespaces here; `peer` is the other
machine; `local` is no wire at all, one device for both ends.  The program
runs at the first end and wire-peer at the second one, or, with --swap, the
other way round.  Its TAP goes through as it is.  With --icrc the two
namespaces exchange finished packets: otherwise these cross no wire, and
nobody looks at their ICRC (net/rx.c).
"""

import contextlib
import os
import sys
import time

from tests.common.machine import counter
from tests.common.tap import Failure, bail_out
from tests.wire.ends import LocalEnd, RemoteEnd, settle, wait_listening
from tests.wire.topology import Topology

PORT = 7710
BUILT = "/build/user/tests/wire"
MARGIN = 3600
FEW_PACKETS = 10


@contextlib.contextmanager
def two_ends(name, icrc=False):
    """Yields the ends of a topology by name."""
    if name == "local":
        yield LocalEnd("near", {}), LocalEnd("far", {})
        return
    if name == "peer":
        near, far = LocalEnd("here", {}), RemoteEnd(os.environ["SODP_PEER"])
        settle(near)
        settle(far)
        yield near, far
        far.close()
        return
    with Topology(*name.split("-")) as both:
        with icrc_checked(both) if icrc else contextlib.nullcontext():
            yield both.a, both.b


@contextlib.contextmanager
def wire_peer(end, port=PORT):
    """wire-peer at an end; yields what programs at the other end need."""
    server = end.start([f"{BUILT}/wire-peer", str(port)])
    try:
        wait_listening(end, server, port)
        yield {"WIRE_PEER": f"{end.control}:{port}"}
        if server.poll() is not None:
            raise Failure(f"wire-peer ended: {server.output()}")
    finally:
        server.kill()


def is_rxe(end):
    return end["DEV"].startswith("rxe")


def _pinned(near, far):
    """Which end has no on-demand paging that works: see interop.c."""
    if is_rxe(near):
        return "both" if is_rxe(far) else "here"
    return "there" if is_rxe(far) else ""


def sent_packets(end):
    """What left by the interface of the end's device."""
    name = end.env.get("SODP_NETDEV", "eth0")
    text = end.run(["cat", f"/sys/class/net/{name}/statistics/tx_packets"])
    return int(text)


def follow(task, seconds, show):
    """Wait for a program; show(text) gets what it prints as it comes."""
    shown, deadline = 0, time.monotonic() + seconds
    while True:
        status = task.wait(1)
        text = task.output()
        show(text[shown:])
        shown = len(text)
        if status is not None or time.monotonic() > deadline:
            return status, text


def run(near, far, program, arguments, show=len, **env):
    """Status and output of a program at `near` with its peer at `far`."""
    if _pinned(near, far):
        env["WIRE_PINNED"] = _pinned(near, far)
    wired = near["DEV"] != far["DEV"] or isinstance(far, RemoteEnd)
    before = sent_packets(near) if wired else 0
    with wire_peer(far) as told:
        args = [f"{BUILT}/wire-{program}"] + arguments
        task = near.start(args, **told, **env)
        status, text = follow(task, MARGIN, show)
    sent = sent_packets(near) - before if wired else FEW_PACKETS
    if status == 0 and sent < FEW_PACKETS:
        raise Failure(f"nothing went over the wire:\n{text}")
    return status, text


@contextlib.contextmanager
def icrc_checked(both):
    """Every packet of the block has its ICRC checked, and it is right."""
    both.no_offload()
    ends = [end for end in (both.a, both.b) if not is_rxe(end)]
    names = ("rx_icrc_errors", "rx_packets")
    before = [[counter(end["DEV"], name) for name in names] for end in ends]
    yield
    for end, (old_wrong, old_all) in zip(ends, before):
        wrong, packets = [counter(end["DEV"], name) for name in names]
        if wrong != old_wrong or packets - old_all < FEW_PACKETS:
            wrong, packets = wrong - old_wrong, packets - old_all
            raise Failure(f"{end.name}: ICRC: {wrong} wrong, {packets} right")
        print(f"# {end.name}: {packets - old_all} packets, ICRC is right")


def show(text):
    print(text, end="", flush=True)


def main(argv):
    swap, icrc = "--swap" in argv, "--icrc" in argv
    words = [w for w in argv if w not in ("--swap", "--icrc")]
    try:
        with two_ends(words[0], icrc) as ends:
            near, far = reversed(ends) if swap else ends
            status, _ = run(near, far, words[1], words[2:], show)
    except (Failure, OSError) as err:
        return bail_out(err)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
