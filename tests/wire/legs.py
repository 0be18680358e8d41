#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A C program of this folder that has both ends in its hand: see leg.h.

    legs.py [--kind=KIND[-KIND]] PROGRAM [ARGUMENT…]
"""

import os
import subprocess
import sys

from tests.wire.topology import Topology

FOLDER = os.path.join(
    os.environ.get("SODP_BUILD", "/build/user"), "tests/wire"
)


def environment(ends):
    env = dict(os.environ)
    for letter, end in zip("AB", ends):
        env[f"SODP_DEV_{letter}"] = end["DEV"]
        env[f"SODP_GID_{letter}"] = end["GID_INDEX"]
        env[f"SODP_GID6_{letter}"] = end["GID6_INDEX"]
        env[f"SODP_NETDEV_{letter}"] = end["NETDEV"]
        env[f"SODP_NETNS_{letter}"] = end.prefix[3] if end.prefix else ""
    return env


def main(args):
    kinds = ["sodp"]
    if args[0].startswith("--kind="):
        kinds = args.pop(0)[7:].split("-")
    program = [f"{FOLDER}/wire-{args[0]}"] + args[1:]
    with Topology(*(kinds * 2)[:2]) as both:
        env = environment((both.a, both.b))
        return subprocess.run(program, env=env).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
