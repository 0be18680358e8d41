# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""librdmacm's programs between two ends.

cm.py [--swap] TOPOLOGY

TOPOLOGY: `one` is one device that talks to itself; sodp-sodp, sodp-rxe …
are two namespaces, `peer` is this machine and the other one.  The servers
run at the first end, or, with --swap, at the second one.
"""

import contextlib
import functools
import os
import sys
import time

from tests.common.machine import ADDR, DEV, SLOW, add_address6
from tests.common.tap import Failure, Tap, bail_out
from tests.wire.ends import (
    LocalEnd,
    RemoteEnd,
    cm_listens,
    environment,
    served,
    wait_serving,
)
from tests.wire.topology import Topology

PORT = 7471
UDADDY_PORT = 7174
SECONDS = 60
# rdma_cm joins no IPv6 group with RoCEv2
GROUP = "239.75.1.2"


def _one():
    """The lab's device, with an IPv6 address too."""
    env = environment(DEV, (ADDR, add_address6()))
    env["SODP_PEER"] = ADDR
    env["SODP_PEER6"] = env["SODP_ADDR6"]
    return LocalEnd("one", env)


@contextlib.contextmanager
def two_ends(name):
    """Yields server and client."""
    if name == "one":
        end = _one()
        yield end, end
    elif name == "peer":
        far = RemoteEnd(os.environ["SODP_PEER"])
        yield LocalEnd("here", {}), far
        far.close()
    else:
        with Topology(*name.split("-")) as both:
            yield both.a, both.b


class Pair:
    """A server at one end and a client at the other, of one program."""

    def __init__(self, server, client):
        self.server = server
        self.client = client

    def addresses(self, family):
        """Of the server, of the client."""
        key = "ADDR6" if family == "6" else "ADDR"
        return self.server[key], self.client[key]

    def run(self, server_args, client_args, port=PORT):
        """What both said; each must end well."""
        both = (server_args, {}), (client_args, {})

        def ready(end, server):
            listens = functools.partial(cm_listens, end, f":{port} ")
            wait_serving(server, "the server listens", listens, 15)

        return served(self.server, self.client, *both, ready, SECONDS)

    @staticmethod
    def _end(who, program, seconds):
        status = program.wait(seconds * SLOW)
        if status is None:
            raise Failure(f"the {who} does not end: {program.output()}")
        if status:
            raise Failure(f"{who}: status {status}: {program.output()}")


def rping(pair, family, size):
    there, here = pair.addresses(family)
    common = ["-C", "20", "-V", "-S", size, "-p", str(PORT)]
    pair.run(
        ["rping", "-s", "-a", there] + common,
        ["rping", "-c", "-a", there, "-I", here] + common,
    )


def ucmatose(pair, family, count):
    there, here = pair.addresses(family)
    common = ["-c", count, "-C", "50", "-S", "3000", "-p", str(PORT)]
    heard, said = pair.run(
        ["ucmatose", "-b", there] + common,
        ["ucmatose", "-s", there, "-b", here] + common,
    )
    for text in (heard, said):
        if "return status 0" not in text:
            raise Failure(text)


def udaddy(pair, family, count):
    there, here = pair.addresses(family)
    common = ["-c", count, "-C", "20", "-S", "1000"]
    heard, said = pair.run(
        ["udaddy", "-b", there] + common,
        ["udaddy", "-s", there, "-b", here] + common,
        UDADDY_PORT,
    )
    for text in (heard, said):
        if "return status 0" not in text:
            raise Failure(text)


def riostream(pair, family, options):
    there, here = pair.addresses(family)
    common = ["-S", "65536", "-I", "200", "-C", "5", "-p", str(PORT)]
    common += options.split()
    pair.run(
        ["riostream", "-b", there] + common,
        ["riostream", "-s", there, "-b", here] + common,
    )


def rcopy(pair, family):
    there, _ = pair.addresses(family)
    source, target = "/tmp/rcopy.in", "/tmp/rcopy.out"
    size = (5 << 20) + 123
    pair.client.run(["sh", "-c", f"head -c {size} /dev/urandom >{source}"])
    server = pair.server.start(["rcopy", "-p", str(PORT)])
    try:
        time.sleep(1)
        pair.client.run(
            ["rcopy", source, f"{there}:{target}", "-p", str(PORT)], SECONDS
        )
    finally:
        server.kill()
    sums = [
        end.run(["md5sum", path]).split()[0]
        for end, path in ((pair.client, source), (pair.server, target))
    ]
    pair.server.run(["rm", target])
    if sums[0] != sums[1]:
        raise Failure("the copy differs")


def mckey(pair):
    """The receiver ends when all has come."""
    # It does not wait for its sends: rdma_rxe drops what has not left yet,
    # between two of its own as well.  So one is enough, some time.
    lossy = pair.client["DEV"].startswith("rxe")
    there, here = pair.addresses("4")
    common = ["mckey", "-m", GROUP, "-S", "500"]
    count = ["-C", "1" if lossy else "10"]
    server = pair.server.start(
        ["stdbuf", "-oL"] + common + ["-b", there] + count
    )
    client = None
    try:
        wait_serving(
            server, "it joins", lambda: "joined" in server.output(), 20
        )
        for _ in range(10 if lossy else 1):
            client = pair.client.start(common + ["-b", here, "-s", "-C", "10"])
            Pair._end("sender", client, SECONDS)
            if server.wait(1) is not None:
                break
        Pair._end("receiver", server, 20)
    finally:
        for program in filter(None, (server, client)):
            program.kill()
    if "data transfers complete" not in server.output():
        raise Failure(server.output())


def refused(pair):
    """Nobody listens: the client is told, and soon."""
    there, here = pair.addresses("4")
    client = pair.client.start(
        ["ucmatose", "-s", there, "-b", here, "-p", "7999"]
    )
    status = client.wait(20 * SLOW)
    client.kill()
    if "RDMA_CM_EVENT_REJECTED" not in client.output():
        raise Failure(f"status {status}: {client.output()}")


def cases():
    for family in "46":
        for size in ("100", "60000"):
            yield f"rping v{family} {size}", rping, family, size
        for count in ("1", "8"):
            yield f"ucmatose v{family} {count}", ucmatose, family, count
        yield f"udaddy v{family}", udaddy, family, "4"
        yield f"riostream v{family}", riostream, family, ""
    yield "riostream, async", riostream, "4", "-T a"
    yield "rcopy", rcopy, "4"
    yield "mckey", mckey
    yield "refused", refused


def main(argv):
    swap = "--swap" in argv
    names = [w for w in argv if w != "--swap"]
    try:
        with two_ends(names[0]) as ends:
            pair = Pair(*(reversed(ends) if swap else ends))
            plan = [
                (words[0], lambda w=words: w[1](pair, *w[2:]))
                for words in cases()
            ]
            return Tap(plan).run()
    except (Failure, OSError) as err:
        return bail_out(err)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
