# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The device shows up, and rdma-core's ping-pong examples run over it.

pingpong.py [--quick]
"""

import functools
import subprocess
import sys

from tests.common.machine import DEV, GID
from tests.common.tap import Failure, Tap
from tests.perftest.pair import run_pair

PORT = 18515
SECONDS = 90

RC = [
    "",
    "-e",
    "-c",
    "-N -c",
    "-o -c",
    "-o -e -c",
    "-O -c",
    "-o -P -c",
    "-O -P -c",
]
SRQ = ["", "-e", "-q 2 -r 40", "-o"]
UC = ["", "-e"]
UD = ["", "-e"]
XSRQ = ["", "-o -e"]
UD_SIZES = ["1", "1024"]
SIZES = ["1", "4096", "1048576"]


def links():
    text = subprocess.check_output(["rdma", "link", "show"], text=True)
    if f"link {DEV}/1 state ACTIVE" not in text:
        raise Failure(f"{DEV} is not active:\n{text}")


def devinfo():
    done = subprocess.run(
        ["ibv_devinfo", "-v", "-d", DEV],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode or f"hca_id:\t{DEV}" not in done.stdout:
        raise Failure(done.stdout)
    if "PORT_ACTIVE" not in done.stdout:
        raise Failure("the port is not active")


def pingpong(program, options, size, count):
    args = [program, "-d", DEV, "-g", GID, "-p", str(PORT)]
    args += ["-s", size, "-n", count] + options.split()
    heard, said = run_pair(args, PORT, SECONDS)
    good = f"{count} iters in"
    if program == "ibv_xsrq_pingpong":
        good = "success"
    for text in (heard, said):
        if good not in text:
            raise Failure(f"no result:\n{text}")


def case(program, options, size, count):
    name = f"{program} {options} -s {size}".replace("  ", " ")
    return name, functools.partial(pingpong, program, options, size, count)


def main(argv):
    cases = [("rdma link", links), ("ibv_devinfo", devinfo)]
    if "--quick" in argv:
        for options in ("-c", "-o -c", "-O -c"):
            cases.append(case("ibv_rc_pingpong", options, "4096", "200"))
    else:
        for size in SIZES:
            count = "20" if size == SIZES[-1] else "200"
            for options in RC:
                cases.append(case("ibv_rc_pingpong", options, size, count))
            for options in SRQ:
                # Counts all its QPs' messages: a multiple of each.
                cases.append(case("ibv_srq_pingpong", options, size, count))
            for options in UC:
                cases.append(case("ibv_uc_pingpong", options, size, count))
            for options in XSRQ:
                cases.append(case("ibv_xsrq_pingpong", options, size, count))
        for size in UD_SIZES:
            for options in UD:
                cases.append(case("ibv_ud_pingpong", options, size, "200"))
    return Tap(cases).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
