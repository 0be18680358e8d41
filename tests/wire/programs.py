# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The usual RDMA programs between two ends, each in both directions.

programs.py [--quick] [--only GROUP] TOPOLOGY

Groups: pingpong (rdma-core's examples), perftest, cm (rdma_cm's programs).
TOPOLOGY is as in wire.py.
"""

import functools
import sys

from tests.common.tap import Failure, Skip, Tap
from tests.perftest.sweep import rows
from tests.wire.ends import cm_listens, served, wait_listening, wait_serving
from tests.wire.wire import is_rxe, two_ends

PORT = 18515
SECONDS = 90


def pair(server_end, client_end, server, client, ready):
    """Run both; returns what they printed, server first."""
    both = (server, {}), (client, {})
    return served(server_end, client_end, *both, ready, SECONDS)


def tcp_ready(end, task):
    wait_listening(end, task, PORT)


def cm_ready(end, task):
    """An rdma_cm program listens when the kernel says so."""
    listens = functools.partial(cm_listens, end)
    wait_serving(task, "the server listens", listens, 20)


def joined_ready(end, task):
    """mckey's receiver must have joined before anybody sends."""
    wait_serving(task, "it joins", lambda: "joined" in task.output(), 20)


def gid(end, six):
    return end["GID6_INDEX" if six else "GID_INDEX"]


def pingpong(program, options, count, six, ends):
    far, near = ends
    both = ["-p", str(PORT), "-n", str(count)] + options.split()
    args = [
        [program, "-d", end["DEV"], "-g", gid(end, six)] + both
        for end in (far, near)
    ]
    heard, said = pair(far, near, args[0], args[1] + [far.control], tcp_ready)
    # ibv_xsrq_pingpong takes no time
    result = "success" if "xsrq" in program else "iters in"
    for text in (heard, said):
        if result not in text:
            raise Failure(f"no result:\n{text}")


def perftest(program, options, size, six, ends, count=20):
    far, near = ends
    both = ["-p", str(PORT), "-F", "-n", str(count)] + options.split()
    if "atomic" not in program:
        both += ["-s", str(size)]
    args = [
        [program, "-d", end["DEV"], "-x", gid(end, six)] + both
        for end in (far, near)
    ]
    _, said = pair(far, near, args[0], args[1] + [far.control], tcp_ready)
    table = rows(said)
    if not table:
        raise Failure(f"no figures:\n{said}")
    return figures(program, table, said)


def figures(program, table, said):
    """MB/s, or us; what has few of MB/s has more digits of messages."""
    if "Correlation coefficient" in said:
        # A busy host: all went through, in no time that perftest can tell
        return "no clock"
    what, shown = ("us", 3) if program.endswith("_lat") else ("MB/s", 2)
    for size, row in table.items():
        # Microseconds, or millions of messages
        if not row[3] > 0:
            raise Failure(f"size {size} shows no progress:\n{said}")
    return f"{what} " + ", ".join(str(row[shown]) for row in table.values())


def no_mckey(sender, six):
    """Known reasons that it cannot work."""
    if six:
        raise Skip("rdma_cm joins no IPv6 group with RoCEv2")
    if is_rxe(sender):
        # Between two of rdma_rxe as well
        raise Skip("mckey does not wait for its sends, which rxe drops then")


def cm(program, server, client, six, ends):
    """Options with {far} and {near}: addresses of the ends."""
    far, near = ends
    if program == "mckey":
        no_mckey(near, six)
    key = "ADDR6" if six else "ADDR"
    words = {"far": far[key], "near": near[key]}
    args = [
        [program] + [w.format(**words) for w in options.split()]
        for options in (server, client)
    ]
    ready = cm_ready
    if program == "mckey":
        ready = joined_ready
        args = [["stdbuf", "-oL"] + words for words in args]
    heard, said = pair(far, near, args[0], args[1], ready)
    for text in (heard, said):
        for word in ("error", "fail", "rejected"):
            if word in text.lower():
                raise Failure(f"{word}:\n{text}")


def rcopy(six, ends):
    far, near = ends
    key = "ADDR6" if six else "ADDR"
    near.run(["sh", "-c", "seq 200000 > /tmp/rcopy.in"])
    far.run(["rm", "-f", "/tmp/rcopy.out"])
    server = far.start(["rcopy"])
    try:
        cm_ready(far, server)
        near.run(["rcopy", "/tmp/rcopy.in", f"{far[key]}:/tmp/rcopy.out"])
        sums = [
            end.run(["md5sum", path]).split()[0]
            for end, path in ((near, "/tmp/rcopy.in"), (far, "/tmp/rcopy.out"))
        ]
    finally:
        server.kill()
    if sums[0] != sums[1]:
        raise Failure("the copy differs")


PINGPONGS = [
    # program, options, count, works with rxe, in the short form
    ("ibv_rc_pingpong", "-c -s 4096", 100, True, True),
    ("ibv_rc_pingpong", "-e -c -s 1000001", 10, True, False),
    ("ibv_rc_pingpong", "-o -c -s 65537", 20, False, True),
    ("ibv_rc_pingpong", "-O -c -s 65537", 20, False, False),
    ("ibv_uc_pingpong", "-c -s 4096", 100, True, True),
    ("ibv_uc_pingpong", "-e -s 65537", 20, True, False),
    ("ibv_ud_pingpong", "-s 1024", 100, True, True),
    ("ibv_ud_pingpong", "-e -s 2048", 50, True, False),
    ("ibv_srq_pingpong", "-q 4 -s 4096", 100, True, True),
    ("ibv_srq_pingpong", "-e -q 2 -r 40", 100, True, False),
    ("ibv_xsrq_pingpong", "-s 4096", 100, False, True),
]

PERFTESTS = [
    ("ib_write_bw", "", 65536, True),
    ("ib_write_bw", "-q 4", 1048576, False),
    ("ib_write_bw", "-c UC", 65536, False),
    ("ib_write_lat", "", 8, False),
    ("ib_read_bw", "", 65536, True),
    ("ib_read_bw", "-q 2", 1048576, False),
    ("ib_read_lat", "", 8, False),
    ("ib_send_bw", "", 65536, True),
    ("ib_send_bw", "-b", 65536, False),
    ("ib_send_bw", "-c UC", 4096, False),
    ("ib_send_bw", "-c UD", 1024, True),
    ("ib_send_lat", "", 8, False),
    ("ib_atomic_bw", "-A FETCH_AND_ADD", 8, True),
    ("ib_atomic_bw", "-A CMP_AND_SWAP", 8, False),
]

STREAM = "-I 20 -C 2 -S 65536 -T v"

CMS = [
    # program, server's options, client's, in the short form
    ("rping", "-s -C 10 -S 1000 -a {far}", "-c -C 10 -S 1000 -V -a {far}", 1),
    ("ucmatose", "-b {far} -c 4", "-s {far} -b {near} -c 4", 1),
    ("ucmatose", "-b {far} -S 100000 -C 4", "-s {far} -S 100000 -C 4", 0),
    ("udaddy", "-b {far}", "-s {far} -b {near}", 1),
    ("mckey", "-m {group} -b {far}", "-m {group} -b {near} -s", 1),
    ("riostream", "-b {far} " + STREAM, "-s {far} " + STREAM, 1),
    ("rstream", "-b {far} " + STREAM, "-s {far} " + STREAM, 0),
]


def _name(*words):
    return " ".join(str(w) for w in words if w)


def pingpong_cases(quick, rxe):
    for index, (program, options, count, on_rxe, short) in enumerate(
        PINGPONGS
    ):
        if (rxe and not on_rxe) or (quick and not short):
            continue
        six = bool(index % 2)
        yield _name(program, options, "v6" if six else "v4"), (
            functools.partial(pingpong, program, options, count, six)
        )


def perftest_cases(quick, rxe):
    for index, (program, options, size, short) in enumerate(PERFTESTS):
        if quick and not short:
            continue
        six = bool(index % 2)
        yield _name(program, options, size, "v6" if six else "v4"), (
            functools.partial(perftest, program, options, size, six)
        )
        if not (rxe or quick or "-c U" in options):
            yield _name(program, options, size, "odp"), functools.partial(
                perftest, program, options + " --odp", size, six
            )


def cm_cases(quick, rxe):
    for program, server, client, short in CMS:
        for six in (False, True):
            if quick and (not short or six):
                continue
            group = "ff0e::1:7" if six else "239.1.1.7"
            words = [w.replace("{group}", group) for w in (server, client)]
            yield _name(program, words[1], "v6" if six else "v4"), (
                functools.partial(cm, program, *words, six)
            )
    yield "rcopy", functools.partial(rcopy, False)


GROUPS = {
    "pingpong": pingpong_cases,
    "perftest": perftest_cases,
    "cm": cm_cases,
}


def cases_of(names, quick, ends):
    """Each case in both directions; in one if there is no difference."""
    near, far = ends
    rxe = is_rxe(near) or is_rxe(far)
    cases = []
    for name in names:
        for title, work in GROUPS[name](quick, rxe):
            ways = [(far, near), (near, far)]
            if quick and is_rxe(near) == is_rxe(far):
                ways = [ways[len(cases) % 2]]
            for server, client in ways:
                arrow = f"{client['DEV']}->{server['DEV']}"
                bound = functools.partial(work, (server, client))
                cases.append((f"{title} {arrow}", bound))
    return cases


def main(argv):
    quick = "--quick" in argv
    words = [w for w in argv if w != "--quick"]
    names = list(GROUPS)
    if words[0] == "--only":
        names = words[1].split(",")
        words = words[2:]
    with two_ends(words[0]) as ends:
        return Tap(cases_of(names, quick, ends)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
