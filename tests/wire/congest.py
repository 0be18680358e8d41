# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A shared network: queues that are slow, short or several.

congest.py [CASE…]
"""

import functools
import os
import re
import sys

import netem
import programs
import wire
from ends import SLOW, Failure, run_cases
from topology import Topology

QUEUES = 4
PORT = 18515


def narrow(end, root, below=None):
    words = f"tc qdisc replace dev {end['NETDEV']} root {root}"
    end.run(words.split())
    if below:
        words = f"tc qdisc add dev {end['NETDEV']} {below}"
        end.run(words.split())


def dropped(end):
    """Packets and trains that the queues of an end's interface lost."""
    shown = end.run(["tc", "-s", "qdisc", "show", "dev", end["NETDEV"]])
    return sum(int(n) for n in re.findall(r"\(dropped (\d+),", shown))


def counts(end, *names):
    return [wire.counter(end, name) for name in names]


def want(end, before, **limits):
    """Counters of an end: what each has grown by has to be in a range."""
    said = []
    for name, (least, most) in limits.items():
        grown = wire.counter(end, name) - before[name]
        said.append(f"{name} {grown}")
        if not least <= grown <= most:
            raise Failure(f"{end.name}: {', '.join(said)}: {least} to {most}")
    return f"{end.name}: " + ", ".join(said)


def before(end, *names):
    return dict(zip(names, counts(end, *names)))


class Flow:
    """ib_write_bw from one end to the other, or ib_read_bw back."""

    def __init__(self, both, number, program, options):
        port = PORT + number
        words = ["-p", str(port), "-F"] + options.split()
        far, near = both.b, both.a
        if "read" in program:
            far, near = near, far
        self.args = [
            [program, "-d", end["DEV"], "-x", programs.gid(end, False)] + words
            for end in (far, near)
        ]
        self.ends = far, near
        self.server = far.start(self.args[0])
        wire.wait_listening(far, self.server, port)

    def begin(self):
        far, near = self.ends
        self.client = near.start(self.args[1] + [programs.control(far)])

    def rate(self, seconds):
        """MB/s (of 2^20 bytes) on average."""
        try:
            if self.client.wait(seconds * SLOW) != 0:
                raise Failure(f"{self.args[1]}:\n{self.client.output()}")
        finally:
            self.client.kill()
            self.server.kill()
        table = programs.rows(self.client.output())
        return list(table.values())[0][2]


def flows(both, nr, program, options, seconds=120):
    all_of_them = [Flow(both, i, program, options) for i in range(nr)]
    for flow in all_of_them:
        flow.begin()
    return [flow.rate(seconds) for flow in all_of_them]


def queues():
    """A flow stays in order where there are several queues to choose from."""
    with Topology(queues=QUEUES) as both:
        for end in (both.a, both.b):
            name = end["NETDEV"]
            # Queues that are polled, each by itself
            end.run(["ethtool", "-K", name, "gro", "on"])
            for index in range(min(QUEUES, os.cpu_count())):
                path = f"/sys/class/net/{name}/queues/tx-{index}/xps_cpus"
                end.run(["sh", "-c", f"echo {1 << index:x} > {path}"])
        names = ("rx_out_of_sequence", "rx_sequence_naks", "tx_retransmits")
        old = [before(end, *names) for end in (both.a, both.b)]
        kinds = ["explicit", "explicit"]
        notes = netem.load_both_ways(both, 8, kinds, WIRE_QPS="4")
        for end, was in zip((both.a, both.b), old):
            nothing = dict.fromkeys(names, (0, 0))
            notes.append(want(end, was, **nothing))
        return "\n# ".join(notes)


def slow(both):
    """Much waits in a queue of this host; no timer runs meanwhile."""
    names = ("timeouts", "tx_retransmits", "tx_refused")
    old = before(both.a, *names)
    narrow(both.a, "tbf rate 100mbit burst 256k limit 40m")
    try:
        options = "-q 16 -s 1048576 -n 5 -t 4 -u 12 -m 4096"
        rates = flows(both, 1, "ib_write_bw", options)
        lost = dropped(both.a)
    finally:
        netem.heal(both.a)
    if lost:
        raise Failure(f"{lost} were dropped: the queue is too short")
    nothing = dict.fromkeys(names, (0, 0))
    return f"{rates[0]:.1f} MB/s; " + want(both.a, old, **nothing)


def refused(both):
    """What the queue has no room for is sent again, without a timeout."""
    names = ("timeouts", "tx_retransmits", "tx_refused")
    old = before(both.a, *names)
    narrow(both.a, "tbf rate 100mbit burst 128k limit 300k")
    try:
        options = "-q 8 -s 262144 -n 40 -t 4 -u 14 -m 4096"
        rates = flows(both, 1, "ib_write_bw", options)
    finally:
        netem.heal(both.a)
    said = want(
        both.a,
        old,
        timeouts=(0, 0),
        tx_retransmits=(0, 0),
        tx_refused=(1, 1 << 30),
    )
    return f"{rates[0]:.1f} MB/s; {said}"


def on_wire(work, **options):
    with Topology() as both:
        return work(both, **options)


CASES = {
    "queues": queues,
    "slow": functools.partial(on_wire, slow),
    "refused": functools.partial(on_wire, refused),
    "tail": functools.partial(on_wire, shares, kind="tail"),
}


def main(argv):
    return run_cases(CASES, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
