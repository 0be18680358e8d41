# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Bad networks: checked traffic in both directions while netem does harm.

netem.py [--quick] TOPOLOGY [CASE…]
"""

import functools
import os
import sys

import programs
import wire
from ends import Failure, Tap, call, finish
from topology import Topology

# name -> netem's words; in the short form or not
HARM = {
    "loss1": ("loss 1%", False),
    "loss5": ("loss 5%", True),
    "duplicate": ("duplicate 5%", True),
    "reorder": ("delay 4ms reorder 75% 50%", True),
    "delay50": ("delay 50ms", True),
    "jitter": ("delay 5ms 4ms", False),
    "corrupt": ("corrupt 1%", True),
    "all": ("delay 1ms 1ms loss 1% duplicate 1% corrupt 1%", False),
}
COUNTERS = (
    "timeouts",
    "tx_retransmits",
    "rx_duplicates",
    "rx_out_of_sequence",
    "rx_icrc_errors",
    "rx_drops",
)
SEED = "4711"
# What netem harms is a packet then, and not a train of them
OFF = "gso off gro off tx off tx-udp-segmentation off".split()
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


def counters(end):
    """Those of COUNTERS that the device has."""
    found = {}
    base = f"/sys/class/infiniband/{end['DEV']}/ports/1/hw_counters"
    for name in COUNTERS:
        path = f"{base}/{name}"
        if os.path.exists(path):
            with open(path) as handle:
                found[name] = int(handle.read())
    return found


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


def bad_network(both, words, seconds):
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
    for end, old in zip((both.a, both.b), before):
        now = counters(end)
        grown = [f"{k} {now[k] - old[k]}" for k in now if now[k] > old[k]]
        notes.append(f"{end.name}: " + ", ".join(grown))
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
    for name, (words, short) in HARM.items():
        if (quick and not short) or (names and name not in names):
            continue
        work = functools.partial(bad_network, both, words, seconds)
        yield f"{name}: {words}", work
    if not wire.is_rxe(both.a) and (not names or "slow" in names):
        work = functools.partial(slow_link, both)
        yield "slow: more datagrams than the link takes", work
    if not names or "dead" in names:
        yield "a peer that does not answer", functools.partial(
            dead_peer, both, DEAD if quick else []
        )


def main(argv):
    quick = "--quick" in argv
    words = [w for w in argv if w != "--quick"]
    call("modprobe", "sch_netem")
    with Topology(*words[0].split("-")) as both:
        for end in (both.a, both.b):
            end.run(["ethtool", "-K", end["NETDEV"]] + OFF)
        return Tap(list(cases(both, quick, words[1:]))).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
