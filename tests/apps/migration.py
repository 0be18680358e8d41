# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""QEMU's live migration by RDMA: the guest's memory arrives as it was.

migration.py TOPOLOGY [CASE…]

The guests never run: they are stopped machines whose memory was filled.
Dynamic registration takes pieces of memory when they are sent, pin-all the
whole guest before.
"""

import functools
import json
import os
import socket
import sys

from tests.apps.apps import (
    CLOSING,
    IMPLICIT,
    PINNED,
    Counted,
    commands,
    environment_of,
    filled,
    main,
    shell,
)
from tests.common.machine import SLOW, wait_for
from tests.common.tap import Failure

IMAGE, COPY = "/tmp/guest.memory", "/tmp/guest.copy"
SOCKETS = {"source": "/tmp/qmp.source", "target": "/tmp/qmp.target"}
# Where the image lies in the guest, and how long it is
ADDRESS, LENGTH = 16 << 20, 64 << 20
SECONDS = 120


class Monitor:
    """QMP, QEMU's control by JSON."""

    def __init__(self, path):
        wait_for(f"QEMU at {path}", lambda: os.path.exists(path), 60)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS * SLOW)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rw")
        self.stream.readline()
        self.ask("qmp_capabilities")

    def ask(self, name, **arguments):
        order = {"execute": name, "arguments": arguments}
        self.stream.write(json.dumps(order) + "\n")
        self.stream.flush()
        while True:
            reply = json.loads(self.stream.readline() or '{"error": "gone"}')
            if "error" in reply:
                raise Failure(f"{name}: {reply['error']}")
            if "return" in reply:
                return reply["return"]


def machine(end, side, label, mode):
    """A QEMU that is stopped, by the page's command."""
    text = filled(commands("storage", label), end, end)
    text += f" -S -qmp unix:{SOCKETS[side]},server=on,wait=off"
    if side == "source":
        loader = f"loader,file={IMAGE},addr={ADDRESS},force-raw=on"
        text += f" -device {loader}"
    return end.start(shell("exec " + text), **environment_of(mode))


def pin_all(monitor, on):
    state = {"capability": "rdma-pin-all", "state": on}
    monitor.ask("migrate-set-capabilities", capabilities=[state])


def moved(source):
    """Has the migration ended? It must not have failed."""
    found = source.ask("query-migrate")
    if found.get("status") in ("failed", "cancelled"):
        raise Failure(f"migration: {found}")
    return found if found.get("status") == "completed" else None


def migrate(everything, mode, near):
    with open(IMAGE, "wb") as image:
        image.write(os.urandom(LENGTH))
    for path in SOCKETS.values():
        near.run(["rm", "-f", path])
    tasks = [
        machine(near, "target", "migration-target", mode),
        machine(near, "source", "migration-source", mode),
    ]
    try:
        with Counted([near], mode, CLOSING) as count:
            target = Monitor(SOCKETS["target"])
            source = Monitor(SOCKETS["source"])
            for monitor in (target, source):
                pin_all(monitor, everything)
            uri = f"rdma:{near['ADDR']}:4444"
            target.ask("migrate-incoming", uri=uri)
            source.ask("migrate", uri=uri)
            wait_for("the migration", lambda: moved(source), SECONDS)
            target.ask("pmemsave", val=ADDRESS, size=LENGTH, filename=COPY)
    except Failure as err:
        said = "\n".join(task.output() for task in tasks)
        raise Failure(f"{err}\n{said}")
    finally:
        for task in tasks:
            task.kill()
    near.run(["cmp", IMAGE, COPY])
    if count.grown("tx_bytes") < LENGTH:
        raise Failure(f"only {count.grown('tx_bytes')} bytes by RDMA")
    return count.note()


def cases_of(near, far, quick):
    for mode in (PINNED, IMPLICIT):
        for everything in (False, True):
            name = "pin-all" if everything else "dynamic"
            work = functools.partial(migrate, everything, mode, near)
            yield f"migration, {name}, {mode}", work


if __name__ == "__main__":
    sys.exit(main(cases_of, sys.argv[1:]))
