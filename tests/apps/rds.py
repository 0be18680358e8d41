# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""RDS: datagram sockets that RDMA into each other's memory.

rds.py TOPOLOGY [CASE…]

The cases of this program need a machine with /dev/pmem0: only pages of a
file that is mapped by DAX are not pinned by RDS, but registered on demand,
and prefetched at once.
Those for any machine are run by storage.py.
"""

import contextlib
import functools
import sys

from tests.apps import apps
from tests.apps.apps import PINNED, PREFETCH, Counted, commands, filled, shell
from tests.common.tap import Failure, Skip
from tests.wire.ends import served, wait_serving

# What stands in the page for the asking machine
CLIENT = "192.0.2.2"

MOUNT = "/mnt/pmem"
FILES = {"server": f"{MOUNT}/server", "client": f"{MOUNT}/client"}


def listening(end, task):
    wait_serving(
        task, "a server of RDS", lambda: "listening" in task.output(), 60
    )


def words_of(label, near, far, path=None):
    text = commands("storage", label).replace("tests/", "/src/tests/")
    text += f" {path}" if path else ""
    return shell(filled(text.replace(CLIENT, near["ADDR"]), near, far))


def pieces(said):
    """Digests of the pieces that a side has moved, by what was asked for."""
    lines = [line.split() for line in said.splitlines()]
    return {" ".join(w[:3]): w[3] for w in lines if len(w) == 4}


def rds(mode, files, far, near):
    """files: whose memory is a file, and of what name."""
    if getattr(near, "prefix", None):
        raise Skip("RDS has RDMA in the first namespace only")
    server = words_of("rds-server", far, far, files.get("server"))
    client = words_of("rds-client", near, far, files.get("client"))
    with Counted((far, near), mode) as count:
        said = served(far, near, (server, {}), (client, {}), listening, 120)
    theirs, ours = [pieces(text) for text in said]
    if len(ours) < 8 or theirs != ours:
        raise Failure(f"pieces differ:\n{said[0]}\n{said[1]}")
    size = sum(int(piece.split()[2]) for piece in ours)
    if count.grown("tx_bytes") < size:
        raise Failure(f"only {count.grown('tx_bytes')} bytes by RDMA")
    return f"{len(ours)} pieces; {count.note()}"


def cases(quick):
    if not quick:
        yield "RDS, RDMA by sockets", functools.partial(rds, PINNED, {})


@contextlib.contextmanager
def dax(end):
    end.run(shell(commands("storage", "dax")))
    try:
        yield
    finally:
        end.run(shell(f"umount {MOUNT}"))


def on_demand(sides, far, near):
    with dax(far):
        files = {side: FILES[side] for side in sides}
        return rds(PREFETCH, files, far, near)


def dax_cases(near, far, quick):
    for sides in (["client"], ["server"], ["client", "server"]):
        work = functools.partial(on_demand, sides, far, near)
        yield f"RDS, DAX files at {' and '.join(sides)}", work


if __name__ == "__main__":
    sys.exit(apps.main(dax_cases, sys.argv[1:]))
