# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A C program of the wire tests between two ends.

wire.py [--swap] TOPOLOGY PROGRAM [ARGUMENT…]

TOPOLOGY: sodp-sodp, sodp-rxe … make two namespaces here; `peer` is the other
machine.  The program runs at the first end and wire-peer at the second one,
or, with --swap, the other way round.  Its TAP goes through as it is.
"""

import contextlib
import os
import sys

from ends import Failure, LocalEnd, RemoteEnd, SetupError, wait_listening
from topology import Topology

PORT = 7710
BUILT = "/build/user/tests/wire"
MARGIN = 3600


@contextlib.contextmanager
def two_ends(name):
    """Yields the ends of a topology by name."""
    if name == "peer":
        far = RemoteEnd(os.environ["SODP_PEER"])
        yield LocalEnd("here", {}), far
        far.close()
        return
    with Topology(*name.split("-")) as both:
        yield both.a, both.b


@contextlib.contextmanager
def wire_peer(end, port=PORT):
    """wire-peer at an end; yields what programs at the other end need."""
    server = end.start([f"{BUILT}/wire-peer", str(port)])
    try:
        wait_listening(end, server, port)
        address = end.env.get("SODP_CTL") or end["ADDR"]
        yield {"WIRE_PEER": f"{address}:{port}"}
        if server.poll() is not None:
            raise Failure(f"wire-peer ended: {server.output()}")
    finally:
        server.kill()


def _pinned(near, far):
    """Which end has no on-demand paging that works: see interop.c."""
    ends = [e["DEV"].startswith("rxe") for e in (near, far)]
    words = {(True, True): "both", (True, False): "here"}
    return words.get(tuple(ends), "there") if any(ends) else ""


def run(near, far, program, arguments, **env):
    """Status and output of a program at `near` with its peer at `far`."""
    if _pinned(near, far):
        env["WIRE_PINNED"] = _pinned(near, far)
    with wire_peer(far) as told:
        args = [f"{BUILT}/wire-{program}"] + arguments
        task = near.start(args, **told, **env)
        status = task.wait(MARGIN)
        return status, task.output()


def main(argv):
    swap = "--swap" in argv
    words = [w for w in argv if w != "--swap"]
    try:
        with two_ends(words[0]) as ends:
            near, far = reversed(ends) if swap else ends
            status, text = run(near, far, words[1], words[2:])
    except (Failure, SetupError, OSError) as err:
        print(f"Bail out! {err}".replace("\n", " | "))
        return 1
    print(text, end="", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
