# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Bad networks: checked traffic in both directions while netem does harm.

netem.py [--quick] TOPOLOGY [CASE…]
"""

import functools
import re
import sys

from tests.common import machine
from tests.common.machine import call
from tests.common.tap import Failure, Tap
from tests.wire import programs, wire
from tests.wire.ends import finish
from tests.wire.topology import Topology

LOST = "tx_retransmits rx_out_of_sequence"
# name -> netem's words; in the short form or not; what must grow at each end
HARM = {
    "loss1": ("loss 1%", False, LOST),
    "loss5": ("loss 5%", True, LOST),
    "duplicate": ("duplicate 5%", True, "rx_duplicates"),
    "reorder": ("delay 4ms reorder 75% 50%", True, "rx_out_of_sequence"),
    "delay50": ("delay 50ms", True, ""),
    "jitter": ("delay 5ms 4ms", False, "rx_out_of_sequence"),
    "corrupt": ("corrupt 1%", True, "rx_icrc_errors tx_retransmits"),
    "all": (
        "delay 1ms 1ms loss 1% duplicate 1% corrupt 1%",
        False,
        LOST + " rx_duplicates rx_icrc_errors",
    ),
}
# Two CPUs that receive reorder a little by themselves; no ICRC breaks so
NOISE = 20
# Nothing completes sooner than there and back
LEAST_US = {"delay50": 100000}
COUNTERS = (
    "timeouts",
    "tx_retransmits",
    "rx_duplicates",
    "rx_out_of_sequence",
    "rx_icrc_errors",
    "rx_drops",
)
# Damage that the stack sees: netem finishes the checksum before, if there is
# one, and hits headers only of what lies in pages.  An ICRC that is wrong is
# what remains: that of small packets, which have no UDP checksum.
SNMP = {"Ip": ("InHdrErrors",), "Udp": ("InCsumErrors", "NoPorts")}
SEED = "4711"
# Of wire-paging
LATE = ["late_receive"]
# Of wire-fail, in the short form
DEAD = ["timeout14_retry7", "timeout12_retry7", "short_cut"]


def harm(end, words):
    """netem on the wire's interface at one end; a fixed seed if it can."""
    name = end["NETDEV"]
    args = ["tc", "qdisc", "replace", "dev", name, "root", "netem"]
    args += ["limit", "20000"] + words.split()
    try:
        end.run(args + ["seed", SEED])
    except Failure:
        end.run(args)


def heal(end):
    end.run(["tc", "qdisc", "del", "dev", end["NETDEV"], "root"])


def snmp(end):
    """What the stack drops before the device gets to see it."""
    lines = end.run(["cat", "/proc/net/snmp"]).splitlines()
    for names, values in zip(lines[::2], lines[1::2]):
        group, *names = names.split()
        for name, value in zip(names, values.split()[1:]):
            if name in SNMP.get(group[:-1], ()):
                yield group[:-1] + name, int(value)


def counters(end):
    """Those of COUNTERS that the device has, and the stack's."""
    there = machine.counters(end["DEV"])
    found = {name: there[name] for name in COUNTERS if name in there}
    return dict(snmp(end), **found)


def load_both_ways(both, seconds, kinds, **env):
    """wire-load from either end to the other; returns what it noted."""
    ways = [(both.a, both.b, 7710), (both.b, both.a, 7711)]
    env = dict(env, WIRE_SECONDS=str(seconds))
    notes = []
    with wire.wire_peer(both.b, 7710) as to_b, wire.wire_peer(
        both.a, 7711
    ) as to_a:
        tasks = []
        for (near, _, _), told, kind in zip(ways, (to_b, to_a), kinds):
            args = [f"{wire.BUILT}/wire-load", kind]
            tasks.append((near, near.start(args, **told, **env)))
        for near, task in tasks:
            text = finish(near, task, "the load", seconds + 240)
            notes += [x for x in text.splitlines() if x.startswith("ok ")]
    return notes


def grown(end, old, proofs):
    """What an end counted; all of `proofs` must be among it."""
    now = counters(end)
    more = {k: now[k] - old[k] for k in now if now[k] > old[k]}
    text = f"{end.name}: " + ", ".join(f"{k} {n}" for k, n in more.items())
    for name in proofs.split():
        least = 0 if name == "rx_icrc_errors" else NOISE
        if name in now and more.get(name, 0) <= least:
            raise Failure(f"no harm was done, see {name}: {text}")
    return text


def want_slow(notes, least):
    for note in notes:
        if int(re.search(r"quickest (\d+) us", note)[1]) < least:
            raise Failure(f"no harm was done, below {least} us: {note}")


def bad_network(both, name, seconds):
    words, _, proofs = HARM[name]
    before = [counters(end) for end in (both.a, both.b)]
    for end in (both.a, both.b):
        harm(end, words)
    # Packets are lost, not connections: delays count in the timeout
    env = {"WIRE_MOST": "65536", "WIRE_TIMEOUT": "16", "WIRE_GAP": "60"}
    try:
        notes = load_both_ways(both, seconds, kinds_of(both), **env)
    finally:
        for end in (both.a, both.b):
            heal(end)
    want_slow(notes, LEAST_US.get(name, 0))
    for end, old in zip((both.a, both.b), before):
        notes.append(grown(end, old, proofs))
    return "\n# ".join(notes)


def late_twice(both):
    """All comes twice, also to a QP that waits for a page: no difference."""
    before = counters(both.b)
    for end in (both.a, both.b):
        harm(end, "duplicate 100%")
    try:
        # What it costs others is not the question here
        env = {"WIRE_KEEP": "0"}
        status, text = wire.run(both.a, both.b, "paging", LATE, **env)
    finally:
        for end in (both.a, both.b):
            heal(end)
    if status:
        raise Failure(text)
    notes = [x for x in text.splitlines() if x.startswith("ok ")]
    notes.append(grown(both.b, before, "rx_duplicates"))
    return "\n# ".join(notes)


def kinds_of(both):
    ends = (both.a, both.b)
    return ["pinned" if wire.is_rxe(e) else "explicit" for e in ends]


def dead_peer(both, arguments):
    """wire-fail cuts the wire with a netem that loses everything."""
    name = both.a["NETDEV"]
    tc = f"tc qdisc replace dev {name} root netem loss 100%"
    env = {
        "WIRE_BREAK": tc,
        "WIRE_MEND": f"tc qdisc del dev {name} root",
    }
    status, text = wire.run(both.a, both.b, "fail", arguments, **env)
    lines = text.splitlines()
    if status:
        raise Failure(text)
    return "\n# ".join(x for x in lines if "ok" in x)


def slow_link(both):
    """Datagrams wait for the queue below, and none is lost."""
    name = both.a["NETDEV"]
    args = "root tbf rate 80mbit burst 32k limit 1300000".split()
    both.a.run(["tc", "qdisc", "replace", "dev", name] + args)
    try:
        ends = both.b, both.a
        said = programs.perftest(
            "ib_send_bw", "-c UD -r 512", 4096, False, ends, count=1000
        )
        shown = both.a.run(["tc", "-s", "qdisc", "show", "dev", name])
    finally:
        heal(both.a)
    if "(dropped 0," not in shown:
        raise Failure(shown)
    return said


def cases(both, quick, names):
    seconds = 4 if quick else 15
    for name, (words, short, _) in HARM.items():
        if (quick and not short) or (names and name not in names):
            continue
        work = functools.partial(bad_network, both, name, seconds)
        yield f"{name}: {words}", work
    if not wire.is_rxe(both.a) and (not names or "slow" in names):
        work = functools.partial(slow_link, both)
        yield "slow: more datagrams than the link takes", work
    if not wire.is_rxe(both.b) and (not names or "late" in names):
        work = functools.partial(late_twice, both)
        yield "late: pages are late and all comes twice", work
    if not names or "dead" in names:
        yield "a peer that does not answer", functools.partial(
            dead_peer, both, DEAD if quick else []
        )


def main(argv):
    quick = "--quick" in argv
    words = [w for w in argv if w != "--quick"]
    call("modprobe", "sch_netem")
    with Topology(*words[0].split("-")) as both:
        # Packets are harmed then, and not trains of them
        both.no_offload()
        return Tap(list(cases(both, quick, words[1:]))).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
