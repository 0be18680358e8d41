#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Run all of rdma-core's own suite and set it beside rdma_rxe's figures.

    compare.py [FILE…]

rdma_rxe's figures are those of Linux 7.2 with rdma-core 65, which is what
the suite "forky" has.  A file is good when no test of it fails, none is
skipped but those of allowed-skips.txt, and as many more pass than with
rdma_rxe as are skipped there and not here.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.common.tap import plan, result
from tests.lab import results

ROOT = Path(__file__).resolve().parents[1]

TESTS = "/usr/share/doc/rdma-core/tests"
RUNNER = "/src/tests/lab/guest/unittest_tap.py"
SECONDS = 600

# Devices that these are about
OTHERS = ("mlx5", "efa", "cuda", "irdma", "mana")

# file -> passed, skipped
RXE = {
    "addr": (3, 0),
    "atomic": (7, 2),
    "buf": (7, 14),
    "cq": (4, 0),
    "cq_events": (2, 0),
    "cqex": (4, 1),
    "device": (14, 10),
    "dmah": (3, 6),
    "flow": (0, 5),
    "fork": (1, 0),
    "mr": (11, 27),
    "odp": (15, 8),
    "parent_domain": (0, 6),
    "pd": (4, 0),
    "phc_timestamp": (0, 2),
    "qp": (23, 6),
    "qpex": (20, 2),
    "rdmacm": (11, 0),
    "relaxed_ordering": (3, 1),
    "rss_traffic": (0, 1),
    "shared_pd": (0, 1),
    "srq": (3, 0),
    "tag_matching": (0, 4),
}


def files():
    for entry in sorted(os.listdir(TESTS)):
        name = entry.partition(".")[0]
        if not name.startswith("test_"):
            continue
        if not any(word in name for word in OTHERS):
            yield name[len("test_") :]


def run(name):
    """Cases of a file."""
    cmd = [sys.executable, "-B", RUNNER, "--rdma-core", TESTS, f"test_{name}"]
    try:
        done = subprocess.run(
            cmd,
            cwd="/tmp",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS * int(os.environ.get("SODP_SLOW", "1")),
        )
        status, text = done.returncode, done.stdout
    except subprocess.TimeoutExpired as err:
        status, text = "timeout", err.stdout or b""
    return results.judge("tap", status, text.decode(errors="replace"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="FILE")
    names = parser.parse_args().names or list(files())
    allowed = results.AllowedSkips(ROOT / "lab/allowed-skips.txt")
    kernel = os.environ["SODP_KERNEL"]
    total = [0] * 5
    bad = 0
    plan(len(names))
    print(f"# {'file':18}{'passed':>8}{'failed':>8}{'skipped':>8}", end="")
    print(f"{'rxe passed':>12}{'skipped':>8}")
    for number, name in enumerate(names, 1):
        cases = run(name)
        allowed.apply(f"rdma-core.{name}", kernel, cases)
        passed, failed, skipped = results.count(cases)
        rxe = RXE.get(name, (0, 0))
        row = [passed, failed, skipped, *rxe]
        total = [a + b for a, b in zip(total, row)]
        for case in cases:
            if case.result == results.FAIL:
                print(f"# {case.name}: {case.why}")
        print(f"# {name:18}{row[0]:8}{row[1]:8}{row[2]:8}", end="")
        print(f"{row[3]:12}{row[4]:8}")
        # What is skipped there, and is not here, must pass
        want = rxe[0] + max(0, rxe[1] - skipped)
        good = not failed and passed >= want
        bad += not good
        note = "" if good else f"{failed} failed, want {want} to pass"
        result(good, number, name, note)
    print(f"# {'all':18}{total[0]:8}{total[1]:8}{total[2]:8}", end="")
    print(f"{total[3]:12}{total[4]:8}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
