#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Every packet kind on the wire, judged by tshark and by our own codec.

    kinds.py [KIND[-KIND] [NAME...]]

Two namespaces, a device of KIND (sodp or rxe; default sodp) in each, or of
two kinds.
Segmentation offload is off, so that what leaves a socket as one train is
captured as the packets that a wire would carry.
"""

import contextlib
import functools
import os
import subprocess
import sys

from tests.common.machine import call
from tests.common.tap import Failure, Skip, Tap
from tests.wire.topology import OFF, Topology
from tests.wire.wire import is_rxe

FOLDER = os.path.join(
    os.environ.get("SODP_BUILD", "/build/user"), "tests/wire"
)
CAPTURE, ALL = "/tmp/kinds.pcap", "/tmp/kinds-all.pcap"
PCAP_HEADER = 24

SEND, WRITE = [0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]
READ, ATOMIC = [12, 13, 14, 15, 16], [17, 18, 19, 20]
# FLUSH, ATOMIC WRITE
INV, ODD = [0x16, 0x17], [0x1C, 0x1D]
UC, UD, XRC = 1, 3, 5
# name in wire-kinds -> transport, kinds that must be seen
EXPECTED = {
    "rc": (0, SEND + WRITE + READ + ATOMIC + INV + ODD),
    "uc": (UC, SEND + WRITE),
    "ud": (UD, [4, 5]),
    "xrc": (XRC, SEND + WRITE + READ + ATOMIC + ODD),
    "rnr": (0, [4, 17]),
    "credits": (0, [4, 17]),
    "nak_access": (0, [10, 17]),
    "nak_request": (0, [4, 17]),
    "nak_sequence": (0, [10, 17]),
    "nak_operation": (0, [4, 17]),
    "sqe_uc": (UC, [4]),
    "sqe_ud": (UD, [4]),
}
# Cases that others lack
OURS_ONLY = "xrc credits nak_sequence nak_operation sqe_uc sqe_ud".split()
# An AETH that must be seen: bits of the syndrome that count, their value
SYNDROMES = {
    "rc": (0xE0, 0x00),
    "xrc": (0xE0, 0x00),
    "rnr": (0xE0, 0x20),
    "credits": (0xFF, 0x05),
    "nak_access": (0xFF, 0x62),
    "nak_request": (0xFF, 0x61),
    "nak_sequence": (0xFF, 0x60),
    "nak_operation": (0xFF, 0x63),
}
# Traffic class of all packets: expedited forwarding. The ECN bits of it are
# not the application's to choose.
TCLASS = 46 << 2 | 1
ECT_0, ECN = 2, 3
# rdma_rxe's ICRC of a FLUSH runs over its headers twice
RXE_FLUSH = "opcode 0x1c"
# path MTU, bytes of a long message, IPv6
SHAPES = [(1024, 20000, False), (256, 3000, True), (4096, 300000, False)]
# Guesses of tshark at what a payload may be; wrong ones look malformed
GUESSES = """
    smcr_infiniband smb_direct_infiniband rpcrdma_infiniband nvme_rdma
    lnet_ib iser_infiniband eth_over_ib mellanox_eoib sdp_infiniband
    fc_infiniband drbd_rdma
""".split()


class Capture:
    """What passes by an end's device, into a file."""

    def __init__(self, end):
        args = [f"{FOLDER}/wirecap", end["NETDEV"], CAPTURE]
        self.process = subprocess.Popen(
            end.prefix + args, stdout=subprocess.PIPE, text=True
        )
        if self.process.stdout.readline() != "ready\n":
            raise Failure("wirecap does not start")

    def stop(self):
        self.process.terminate()
        text = self.process.communicate(timeout=60)[0]
        if self.process.returncode:
            raise Failure(f"capture: {text}")


class Frame:
    """What tshark says of a packet."""

    FIELDS = "frame.number infiniband.bth.opcode udp.length _ws.col.protocol"
    FIELDS += " frame.protocols _ws.malformed _ws.col.info"

    def __init__(self, line):
        words = line.split("\t")
        self.number, opcode, length, self.protocol = words[:4]
        self.protocols, self.malformed, self.info = words[4:7]
        self.opcode = int(opcode.split(",")[0], 0) if opcode else None
        self.length = int(length.split(",")[0]) if length else 0

    def __str__(self):
        return f"frame {self.number} {self.protocols}: {self.info}"

    def complaint(self):
        if self.opcode is None:
            return "not RoCE"
        if self.malformed or "alformed" in self.info:
            return "malformed"
        if self.opcode >> 5 == XRC:
            return None  # tshark has no names for XRC
        if "Unknown" in self.info or "Reserved" in self.info:
            return "no name"
        return None


def dissect():
    """All packets as tshark sees them."""
    args = ["tshark", "-n", "-r", ALL, "-Y", "udp.port == 4791"]
    for guess in GUESSES:
        args += ["--disable-heuristic", guess]
    args += ["-T", "fields"]
    for field in Frame.FIELDS.split():
        args += ["-e", field]
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"tshark: {done.stderr.strip()}")
    return [Frame(line) for line in done.stdout.splitlines()]


def own_judgement(rxe):
    """Of rocecheck: {opcode: count}, syndromes, TOS, complaints."""
    done = subprocess.run(
        [f"{FOLDER}/rocecheck", CAPTURE], capture_output=True, text=True
    )
    kinds, syndromes, tos, bad = {}, [], [], []
    for line in done.stdout.splitlines():
        words = line.split()
        if words[0] == "kind":
            kinds[int(words[1], 0)] = int(words[2])
        elif words[0] == "aeth":
            syndromes.append(int(words[1], 0))
        elif words[0] == "tos":
            tos.append(int(words[1], 0))
        elif words[0] == "bad" and not (rxe and RXE_FLUSH in line):
            bad.append(line)
    if done.returncode > 1:
        raise Failure(f"rocecheck: {done.stderr.strip()}")
    return kinds, syndromes, tos, bad


def some(what, items):
    """A failure that shows the first few of them."""
    lines = "\n".join(str(item) for item in items[:5])
    return Failure(f"{len(items)} {what}:\n{lines}")


def check(name, sodp):
    kinds, syndromes, tos, bad = own_judgement(rxe=not sodp)
    if bad:
        raise some("wrong packets", bad)
    transport, wanted = EXPECTED[name]
    # Those are ECN-capable whose window a mark makes smaller
    ecn = 0 if transport in (UC, UD) else ECT_0
    if sodp and tos != [TCLASS & ~ECN | ecn]:
        raise Failure(f"traffic classes {tos}, want {TCLASS & ~ECN | ecn}")
    lacking = {transport << 5 | kind for kind in wanted} - set(kinds)
    if lacking:
        raise Failure(f"not seen: {' '.join(hex(k) for k in sorted(lacking))}")
    bits, value = SYNDROMES.get(name, (0, 0))
    if bits and not any(s & bits == value for s in syndromes):
        raise Failure(f"no AETH syndrome {value:#x}, only {syndromes}")
    return kinds


def keep():
    """For tshark, which takes long to start: all captures in one file."""
    with open(CAPTURE, "rb") as new, open(ALL, "ab") as kept:
        new.seek(PCAP_HEADER if kept.tell() else 0)
        kept.write(new.read())


def look(counts):
    """tshark finds the same packets, all of them well formed."""
    frames = dissect()
    if sum(counts) != len(frames) or not frames:
        raise Failure(f"tshark: {len(frames)} packets, we {sum(counts)}")
    bad = [f"{f.complaint()}: {f}" for f in frames if f.complaint()]
    if bad:
        raise some("complaints of tshark", bad)
    opcodes = {f.opcode for f in frames}
    return f"{len(frames)} packets, {len(opcodes)} opcodes"


def one(name, shape, topology, sodp, counts):
    mtu, big, six = shape
    if name == "nak_request" and is_rxe(topology.b):
        # Between two of rdma_rxe as well
        raise Skip("rdma_rxe refuses a long message by another NAK")
    env = {"SODP_MTU": str(mtu), "SODP_BIG": str(big)}
    env["SODP_TCLASS"] = str(TCLASS)
    for letter, end in (("A", topology.a), ("B", topology.b)):
        env[f"SODP_DEV_{letter}"] = end["DEV"]
        env[f"SODP_GID_{letter}"] = end["GID6_INDEX" if six else "GID_INDEX"]
    capture = Capture(topology.a)
    try:
        done = subprocess.run(
            [f"{FOLDER}/wire-kinds", name],
            env=dict(os.environ, **env),
            capture_output=True,
            text=True,
        )
    finally:
        capture.stop()
    # A transport that is lacking is a failure here, not a skip
    if done.returncode or "# SKIP" in done.stdout:
        raise Failure(done.stdout + done.stderr)
    kinds = check(name, sodp)
    keep()
    counts.append(sum(kinds.values()))
    return f"{counts[-1]} packets, {len(kinds)} kinds"


def main(kind="sodp", *names):
    kinds = (kind.split("-") * 2)[:2]
    sodp = "rxe" not in kinds
    names = names or [n for n in EXPECTED if sodp or n not in OURS_ONLY]
    with contextlib.suppress(FileNotFoundError):
        os.unlink(ALL)
    with Topology(*kinds) as topology:
        for end in (topology.a, topology.b):
            call(*end.prefix, "ethtool", "-K", end["NETDEV"], *OFF)
        cases, counts = [], []
        for name in names:
            long = name in ("rc", "uc", "ud", "xrc")
            for shape in SHAPES if long else SHAPES[:1]:
                title = f"{name}, MTU {shape[0]}, IPv{6 if shape[2] else 4}"
                run = functools.partial(
                    one, name, shape, topology, sodp, counts
                )
                cases.append((title, run))
        cases.append(("tshark", functools.partial(look, counts)))
        return Tap(cases).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
