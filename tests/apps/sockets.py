# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""TCP programs over RDMA: rsockets by preloading, SMC-R by the kernel.

sockets.py [--quick] TOPOLOGY [CASE…]

A program that was left to TCP passes too, so the device must have moved
the bytes.  rcopy, rstream and riostream are in wire/programs.py.
"""

import functools
import sys

from tests.apps import apps
from tests.apps.apps import (
    BUILT,
    IMPLICIT,
    PINNED,
    Counted,
    commands,
    filled,
    shell,
)
from tests.common.machine import wait_for
from tests.common.tap import Failure
from tests.wire.ends import cm_listens, served, wait_serving

STREAMS = ["python3", "-B", "/src/tests/apps/streams.py"]
PORT = "7800"
RSPRELOAD = "/usr/lib/x86_64-linux-gnu/rsocket/librspreload.so"
PRELOAD = f"{BUILT}/libplainsock.so:{RSPRELOAD}"

# A connection that ends flushes the receives that wait on both sides.
# rclose() deregisters its buffers before its queue pair ends (rs_free() in
# librdmacm's rsocket.c): what the other side still sends there is refused.
ENDING = apps.CLOSING + ("access_naks",)


def listening(end, task):
    """The program says so when it is."""
    wait_serving(
        task, "a server that listens", lambda: "listening" in task.output(), 40
    )


def streams(far, near, family, count, size, **env):
    """What the client said; bytes that moved in both directions."""
    words = [family, far["ADDR"], PORT, str(count)]
    said = served(
        far,
        near,
        (STREAMS + ["serve"] + words, env),
        (STREAMS + ["send"] + words + [str(size)], env),
        listening,
        seconds=120,
    )
    return said[1].strip().replace("\n", ", ")


def moved(count, size):
    if count.grown("tx_bytes") < size:
        raise Failure(f"only {count.grown('tx_bytes')} bytes by RDMA")


def rsockets(mode, links, size, far, near):
    env = {"LD_PRELOAD": PRELOAD}
    if mode == IMPLICIT:
        env["LD_PRELOAD"] = f"{apps.SHIM}:{PRELOAD}"
    with Counted((far, near), mode, ENDING) as count:
        said = streams(far, near, "inet", links, size, **env)
    moved(count, 2 * links * size)
    return f"{said}; {count.note()}"


def both(far, near):
    """The machines, each once."""
    return {end["ADDR"]: end for end in (far, near)}.values()


def page(far, near):
    """The page's web server and its client."""
    names = {"tests/apps/": "/src/tests/apps/"}
    built = {"$PWD/libplainsock.so": "/tmp/libplainsock.so"}
    for end in both(far, near):
        end.run(shell(commands("rsockets", "config")))
        text = commands("rsockets", "shim").replace("-o ", "-o /tmp/")
        end.run(shell(filled(text, end, **names)))
    far.run(shell("head -c 3000000 /dev/urandom > /tmp/file"))
    near.run(["rm", "-f", "/tmp/file.copy"])
    serve = filled(commands("rsockets", "server"), far, **built)
    serve = serve.replace(" 8000", f" -b {far['ADDR']} 8000")
    fetch = filled(commands("rsockets", "client"), near, far, **built)
    with Counted((far, near), PINNED, ENDING) as count:
        server = far.start(shell(serve))
        listens = functools.partial(cm_listens, far, " comm python3 ")
        try:
            wait_for("a web server", listens, 60)
            near.run(shell(fetch))
        finally:
            server.kill()
    moved(count, 3000000)
    sums = [
        end.run(["sha256sum", path]).split()[0]
        for end, path in ((far, "/tmp/file"), (near, "/tmp/file.copy"))
    ]
    if sums[0] != sums[1]:
        raise Failure("the file differs")


def left_to_tcp(far, near):
    """What the page says of programs without the small library: should
    librspreload learn it, the page has to."""
    with Counted((far, near), PINNED) as count:
        streams(far, near, "inet", 1, 100000, LD_PRELOAD=RSPRELOAD)
    if count.grown("tx_bytes"):
        raise Failure("librspreload knows SOCK_CLOEXEC: mend the page")


def smc(links, size, far, near):
    """Really by RDMA; a connection of SMC that is left to TCP works too."""
    for end in (far, near):
        text = commands("rsockets", "smc")
        end.run(shell(text.replace("tests/", "/src/tests/")))
    with Counted((far, near), PINNED, ENDING) as count:
        said = streams(far, near, "smc", links, size)
    moved(count, 2 * links * size)
    return said


def cases_of(near, far, quick):
    work = [
        ("1 rsocket, implicit", rsockets, IMPLICIT, 1, 1000000),
        ("20 rsockets", rsockets, PINNED, 20, 100000),
    ]
    if not quick:
        work += [
            ("20 rsockets, implicit", rsockets, IMPLICIT, 20, 300000),
            ("a web server by rsockets", page),
            ("rsockets, left to TCP", left_to_tcp),
        ]
    if near["ADDR"] != far["ADDR"]:
        work += [
            ("SMC-R, 1 connection", smc, 1, 3000000),
            ("SMC-R, 20 connections", smc, 20, 300000),
        ]
    for name, function, *words in work:
        yield name, functools.partial(function, *words, far, near)


if __name__ == "__main__":
    sys.exit(apps.main(cases_of, sys.argv[1:]))
