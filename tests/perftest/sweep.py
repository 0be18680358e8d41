# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""One perftest program over all sizes, plain and with --odp.

sweep.py PROGRAM [plain|odp]
"""

import functools
import sys

from tests.common.machine import DEV, GID
from tests.common.tap import Failure, Tap
from tests.perftest.pair import run_pair

PORT = 18600
SECONDS = 290
NO_CLOCK = "Correlation coefficient"
SIZES = [1 << n for n in range(1, 24)]
ITERATIONS = {"bw": "10", "lat": "10"}
ATOMICS = ("CMP_AND_SWAP", "FETCH_AND_ADD")


def rows(text):
    """size -> the numbers of perftest's table."""
    table = {}
    for line in text.splitlines():
        words = line.split()
        try:
            numbers = [float(w) for w in words]
        except ValueError:
            continue
        if len(numbers) >= 4:
            table[int(numbers[0])] = numbers[1:]
    return table


def sweep(program, extra, sizes):
    args = [program, "-d", DEV, "-x", GID, "-p", str(PORT), "-F"]
    args += ["-n", ITERATIONS[program.rsplit("_", 1)[1]]] + extra
    _, said = run_pair(args, PORT, SECONDS)
    table = rows(said)
    missing = [s for s in sizes if s not in table]
    if missing:
        raise Failure(f"no figures for sizes {missing}:\n{said}")
    if NO_CLOCK in said:
        # A busy host: all went through, in no time that perftest can tell
        return f"{sizes[-1]} B: no clock"
    figure = 2 if program.endswith("_bw") else 3
    for size in sizes:
        if not table[size][figure - 1] > 0 and size > 4096:
            raise Failure(f"size {size} shows no progress:\n{said}")
    last = table[sizes[-1]]
    return f"{sizes[-1]} B: {last[figure]:g}"


def cases(program, modes):
    for mode in modes:
        odp = ["--odp"] if mode == "odp" else []
        if "atomic" in program:
            for kind in ATOMICS:
                work = functools.partial(
                    sweep, program, ["-A", kind] + odp, [8]
                )
                yield f"{program} {kind} {mode}", work
        else:
            work = functools.partial(sweep, program, ["-a"] + odp, SIZES)
            yield f"{program} {mode}", work


def main(argv):
    modes = argv[1:] or ["plain", "odp"]
    return Tap(list(cases(argv[0], modes))).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
