#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Hostile packets between two namespaces: sets the scene for wire-hostile.

    hostile.py [--kind=KIND] [--ipv6] [ARGUMENTS of wire-hostile]
"""

import subprocess
import sys

from tests.common.machine import call
from tests.wire.legs import FOLDER, environment
from tests.wire.topology import Topology

# The attacker has to see packets, not trains
NO_TRAINS = "gso_max_segs", "1"


def main(args):
    kind = "sodp"
    if args and args[0].startswith("--kind="):
        kind = args.pop(0)[7:]
    ipv6 = args[:1] == ["--ipv6"]
    with Topology(kind, kind) as both:
        ends = both.a, both.b
        for end in ends:
            link = *end.prefix, "ip", "link", "set", end["NETDEV"]
            call(*link, *NO_TRAINS)
        env = environment(ends)
        if ipv6:
            for letter in "AB":
                env[f"SODP_GID_{letter}"] = env[f"SODP_GID6_{letter}"]
        program = [f"{FOLDER}/wire-hostile"] + args[ipv6:]
        return subprocess.run(program, env=env).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
