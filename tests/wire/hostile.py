#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Hostile packets between two namespaces: sets the scene for wire-hostile.

    hostile.py [--kind=KIND] [--ipv6] [ARGUMENTS of wire-hostile]
"""

import os
import subprocess
import sys

from ends import call
from topology import Topology

PROGRAM = os.path.join(
    os.environ.get("SODP_BUILD", "/build/user"), "tests/wire/wire-hostile"
)
# The attacker has to see packets, not trains
NO_TRAINS = "gso_max_segs", "1"


def main(args):
    kind = "sodp"
    if args and args[0].startswith("--kind="):
        kind = args.pop(0)[7:]
    gid = "GID_INDEX"
    if args and args[0] == "--ipv6":
        gid = "GID6_INDEX"
        args.pop(0)
    with Topology(kind, kind) as topology:
        env = dict(os.environ)
        for letter, end in (("A", topology.a), ("B", topology.b)):
            link = *end.prefix, "ip", "link", "set", end["NETDEV"]
            call(*link, *NO_TRAINS)
            env[f"SODP_DEV_{letter}"] = end["DEV"]
            env[f"SODP_GID_{letter}"] = end[gid]
            env[f"SODP_NETDEV_{letter}"] = end["NETDEV"]
            env[f"SODP_NETNS_{letter}"] = end.prefix[3] if end.prefix else ""
        return subprocess.run([PROGRAM] + args, env=env).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
