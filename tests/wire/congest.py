# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A shared network: queues that are slow, short or several.

congest.py [CASE…]
"""

import contextlib
import functools
import json
import os
import re
import sys
import time

from tests.common.machine import SLOW, counter, put
from tests.common.tap import Failure
from tests.wire import netem, programs, wire
from tests.wire.ends import finish, run_cases, wait_serving
from tests.wire.topology import Topology

# What else a failure is explained by
CAUSES = (
    "rx_drops",
    "rx_duplicates",
    "rx_out_of_sequence",
    "rx_sequence_naks",
    "rx_rnr_naks",
    "tx_refused",
    "tx_drops",
    "timeouts",
    "np_cnp_sent",
)
CARD = ["python3", "-B", "/src/tests/wire/card.py"]
QUEUES = 4
PORT = 18515
RATE = 100e6 / 8
# A flow that did not send for 100 ms may choose anew; less what a clock is off
RESTED = 0.08
TRACING = "/sys/kernel/tracing"
# What a link of 100 Mbit/s gives away to headers of 4-KiB packets, and more
LEAST = 0.80
APART = 1.2
# A service level that no traffic class is
LEVEL = 5
PACKET = 4096 + 12 + 4 + 8 + 20 + 14
# name -> (tc's words for the root, for what is below it)
NARROW = {
    # A queue of 100 packets. An emulated timer is late by milliseconds: with
    # a smaller burst that is time in which the line does nothing
    "tail": (f"tbf rate 100mbit burst 80k limit {100 * PACKET}", None),
    # Nothing is lost, and what waits for longer than this is marked
    "marks": (
        "handle 1: tbf rate 100mbit burst 80k limit 8m",
        "parent 1: fq_codel ce_threshold 4ms",
    ),
    "codel": (
        "handle 1: tbf rate 100mbit burst 80k limit 8m",
        "parent 1: fq_codel noecn",
    ),
}


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


def want(end, before, peer=None, **limits):
    """Counters of an end: what each has grown by has to be in a range.

    Its causes may be seen at the peer: that end and its counters before.
    """
    said = []
    for name, (least, most) in limits.items():
        grown = counter(end["DEV"], name) - before[name]
        said.append(f"{name} {grown}")
        if not least <= grown <= most:
            why = causes(end, before)
            if peer:
                why += "; the peer: " + causes(*peer)
            said = ", ".join(said)
            raise Failure(f"{end.name}: {said}: {least} to {most} ({why})")
    return f"{end.name}: " + ", ".join(said)


def before(end, *names):
    return {x: counter(end["DEV"], x) for x in {*names, *CAUSES}}


def causes(end, before):
    grown = {x: counter(end["DEV"], x) - before[x] for x in CAUSES}
    return ", ".join(f"{x} {n}" for x, n in grown.items() if n) or "calm"


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
        self.client = near.start(self.args[1] + [far.control])

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


def polled(both):
    """Packets of a queue stay in order, whatever CPU hands them over.

    veth without this has a queue for each CPU, and a qdisc changes CPUs.  It
    polls what is not from a TSO device only.
    """
    for end in (both.a, both.b):
        words = ["ethtool", "-K", end["NETDEV"], "gro", "on", "tso", "off"]
        end.run(words)


@contextlib.contextmanager
def several_queues():
    """Each CPU has one of its own."""
    with Topology(queues=QUEUES) as both:
        polled(both)
        for end in (both.a, both.b):
            name = end["NETDEV"]
            for index in range(min(QUEUES, os.cpu_count())):
                path = f"/sys/class/net/{name}/queues/tx-{index}/xps_cpus"
                end.run(["sh", "-c", f"echo {1 << index:x} > {path}"])
        yield both


@contextlib.contextmanager
def packets_traced(name):
    """Yields a function for [(time, CPU, queue)] of what a netdev sent."""
    event = f"{TRACING}/events/net/net_dev_start_xmit"

    def seen():
        with open(f"{TRACING}/trace") as handle:
            lines = re.findall(
                r"\[(\d+)\] .* ([\d.]+): net_dev_start_xmit: "
                r".*queue_mapping=(\d+)",
                handle.read(),
            )
        return [(float(when), cpu, queue) for cpu, when, queue in lines]

    put(f"{event}/filter", f'name == "{name}"')
    put(f"{TRACING}/trace", "")
    # Others switch it off
    put(f"{TRACING}/tracing_on", "1")
    put(f"{event}/enable", "1")
    try:
        yield seen
    finally:
        put(f"{event}/enable", "0")
        put(f"{event}/filter", "0")


def one_queue():
    """A flow keeps its queue, whatever CPU sends, until it rests."""
    with several_queues() as both, packets_traced(both.a["NETDEV"]) as seen:
        # RC knows when nothing is on its way, and may choose anew then
        flow = Flow(both, 0, "ib_write_bw", "-c UC -s 64 -t 1 -D 3")
        flow.begin()
        cpu = 0
        while flow.client.poll() is None:
            cpu = 1 - cpu
            # It may end at any time
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(flow.client.process.pid, {cpu})
            time.sleep(0.01)
        flow.rate(1)
        packets = seen()
    hops = changes = 0
    for old, new in zip(packets, packets[1:]):
        if new[0] - old[0] < RESTED:
            hops += new[1] != old[1]
            changes += new[2] != old[2]
    said = f"{len(packets)} packets, {hops} hops of theirs, {changes} followed"
    # An emulated CPU can stand still between the choice and the packet
    if hops < 8 or changes > hops / 5:
        raise Failure(said)
    return said


def queues():
    """A flow stays in order where there are several queues to choose from."""
    with several_queues() as both:
        # Others are sent again when a receive was late
        names = ("rx_out_of_sequence", "rx_sequence_naks")
        old = [before(end, *names) for end in (both.a, both.b)]
        kinds = ["explicit", "explicit"]
        notes = netem.load_both_ways(both, 8, kinds, WIRE_QPS="4")
        seen = list(zip((both.a, both.b), old))
        for (end, was), peer in zip(seen, reversed(seen)):
            nothing = dict.fromkeys(names, (0, 0))
            notes.append(want(end, was, peer, **nothing))
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


def level(both):
    """A service level is the priority of the packets."""
    levels = ["0"] * 16
    levels[LEVEL] = "2"
    root = f"handle 1: prio bands 3 priomap {' '.join(levels)}"
    narrow(both.a, root, "parent 1:3 handle 30: pfifo limit 1000")
    try:
        sent = []
        for options in ("", f" -S {LEVEL}"):
            size = 65536
            options = f"-s {size} -n 64 -m 4096{options}"
            flows(both, 1, "ib_write_bw", options)
            name = both.a["NETDEV"]
            shown = both.a.run(["tc", "-s", "qdisc", "show", "dev", name])
            found = re.search(r"pfifo 30:.*?Sent (\d+) bytes", shown, re.S)
            sent.append(int(found[1]))
    finally:
        netem.heal(both.a)
    if sent[0] or sent[1] < 64 * size:
        raise Failure(f"by level 0, {LEVEL}: {sent} bytes")
    return f"{sent[1]} bytes"


def marked(both):
    """Marks are told to the sender, who sends less, and nothing is lost."""
    told = ("np_ecn_marked_roce_packets", "np_cnp_sent")
    old_a = before(both.a, "rp_cnp_handled", "tx_retransmits")
    old_b = before(both.b, *told)
    said = shares(both, "marks")
    most = 1 << 30
    notes = [
        want(both.b, old_b, **dict.fromkeys(told, (1, most))),
        want(
            both.a,
            old_a,
            (both.b, old_b),
            rp_cnp_handled=(1, most),
            tx_retransmits=(0, 0),
        ),
    ]
    sent = counter(both.b["DEV"], "np_cnp_sent") - old_b["np_cnp_sent"]
    if (
        counter(both.a["DEV"], "rp_cnp_handled") - old_a["rp_cnp_handled"]
        > sent
    ):
        raise Failure(f"more CNPs came than the {sent} that were sent")
    return f"{said}; " + "; ".join(notes)


def shares(both, kind, program="ib_write_bw", seconds=10):
    """Four QPs share 100 Mbit/s and fill it."""
    ours = [x for x in (both.a, both.b) if x["DEV"].startswith("sodp")]
    old = [before(end, "tx_retransmits") for end in ours]
    if kind == "tail":
        # What the queue gets and loses are packets, not trains of them
        both.no_offload()
        polled(both)
    narrow(both.a, *NARROW[kind])
    try:
        # A timer that an emulated CPU which is late does not set off
        options = f"-s 65536 -D {seconds} -t 16 -u 16 -m 4096"
        rates = flows(both, 4, program, options)
        lost = dropped(both.a)
    finally:
        netem.heal(both.a)
    whole = sum(rates) * (1 << 20) / RATE
    said = f"{whole:.2f} of the line in " + ", ".join(
        f"{rate:.2f}" for rate in rates
    )
    said += f" MB/s, {lost} dropped"
    limits = {"timeouts": (0, 0), "tx_retransmits": (0, 1 << 30)}
    for end, was in zip(ours, old):
        said += f"; {want(end, was, **limits)} ({causes(end, was)})"
    if whole < LEAST or max(rates) > APART * min(rates):
        raise Failure(said)
    return said


def card(mode, send):
    """The peer is no device: see card.py."""
    with Topology() as both:
        both.no_offload()
        both.delete_link(both.b["DEV"])
        task = both.a.start(CARD + ["qp", str(send)])
        try:
            wait_serving(
                task, "a QP", lambda: task.output().endswith("}\n"), 20
            )
            qp = json.loads(task.output().splitlines()[-1])
            args = [mode, both.a["ADDR"], str(qp["qpn"])]
            if mode == "marks":
                args += [str(qp["rkey"]), str(qp["address"])]
            said = both.b.run(CARD + args)
            if send:
                finish(both.a, task, "the QP", 30)
        finally:
            task.kill()
    return said.strip()


def on_wire(work, peer="sodp", **options):
    with Topology("sodp", peer) as both:
        polled(both)
        return work(both, **options)


CASES = {
    "queues": queues,
    "one_queue": one_queue,
    "slow": functools.partial(on_wire, slow),
    "refused": functools.partial(on_wire, refused),
    "tail": functools.partial(on_wire, shares, kind="tail"),
    "rxe": functools.partial(on_wire, shares, kind="tail", peer="rxe"),
    "level": functools.partial(on_wire, level),
    "card": functools.partial(card, "marks", 0),
    "credits": functools.partial(card, "credits", 32 << 10),
    "marks": functools.partial(on_wire, marked),
    "codel": functools.partial(on_wire, shares, kind="codel"),
    "read": functools.partial(
        on_wire, shares, kind="tail", program="ib_read_bw"
    ),
}


def main(argv):
    return run_cases(CASES, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
