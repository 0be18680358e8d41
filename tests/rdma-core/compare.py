#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Run all of rdma-core's own suite and set it beside rdma_rxe's figures.

In a guest:  ./lab run --suite forky --timeout 1800 -- \\
                 python3 -B /src/tests/rdma-core/compare.py [FILE…]

rdma_rxe's figures are those of Linux 7.2 with rdma-core 65, which is what
the suite "forky" has.  Exit status: 0 when sodp passes as many or more in
every file and no test fails.
"""

import argparse
import os
import subprocess
import sys

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
    """Lines of the file's TAP."""
    cmd = [sys.executable, "-B", RUNNER, "--rdma-core", TESTS, f"test_{name}"]
    try:
        done = subprocess.run(
            cmd,
            cwd="/tmp",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS * int(os.environ.get("SODP_SLOW", "1")),
        )
    except subprocess.TimeoutExpired as err:
        text = err.stdout or b""
        return text.decode(errors="replace").splitlines() + [
            f"not ok - test_{name} # no end"
        ]
    return done.stdout.splitlines()


def count(lines):
    """Passed, skipped and failed; and what to show of the latter two."""
    passed, skipped, failed = 0, [], []
    for line in lines:
        test = line.partition(" - ")[2]
        if line.startswith("not ok"):
            failed.append(test)
        elif line.startswith("ok") and "# SKIP" in line:
            skipped.append(test)
        elif line.startswith("ok"):
            passed += 1
    return passed, skipped, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="FILE")
    args = parser.parse_args()
    total = [0, 0, 0, 0, 0]
    notes = []
    worse = []
    print(f"{'file':18}{'passed':>8}{'skipped':>8}{'failed':>8}", end="")
    print(f"{'rxe passed':>12}{'skipped':>8}")
    for name in args.names or files():
        passed, skipped, failed = count(run(name))
        rxe = RXE.get(name, (0, 0))
        row = [passed, len(skipped), len(failed), *rxe]
        total = [a + b for a, b in zip(total, row)]
        notes += [f"skipped: {test}" for test in skipped]
        notes += [f"FAILED: {test}" for test in failed]
        if passed < rxe[0] or failed:
            worse.append(name)
        mark = "  <--" if name in worse else ""
        print(f"{name:18}{row[0]:8}{row[1]:8}{row[2]:8}", end="")
        print(f"{row[3]:12}{row[4]:8}{mark}", flush=True)
    print(f"{'all':18}{total[0]:8}{total[1]:8}{total[2]:8}", end="")
    print(f"{total[3]:12}{total[4]:8}")
    print("\n".join(notes))
    if worse:
        print(f"fewer than rdma_rxe, or failures: {' '.join(worse)}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
