# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Load the in-kernel self-test and pass its KTAP lines on.

selftest.py [MODULE [OPTION=VALUE…]]

SODP_STOP=1: one failure is enough, for the module that can end there.
"""

import os
import re
import subprocess
import sys

from tests.common.tap import Failure, bail_out
from tests.lab.guest import devices

KTAP = re.compile(
    r"^(?:\w+: )?(\s*(?:not )?ok \d+.*|\s*1\.\.\d+.*|# .*|KTAP.*|Bail out!.*)"
)


def main(argv):
    name = argv[1] if len(argv) > 1 else "odp_selftest"
    options = argv[2:]
    if os.environ.get("SODP_STOP") and name == "odp_selftest":
        options.append("stop=1")
    fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(fd, 0, os.SEEK_END)
    error = None
    try:
        devices.load(name, *options)
        subprocess.run(["rmmod", name], check=False)
    except Failure as err:
        error = str(err)
    cases = 0
    while True:
        try:
            record = os.read(fd, 16384).decode(errors="replace")
        except BlockingIOError:
            break
        except BrokenPipeError:
            return bail_out("the kernel log overran")
        line = record.partition(";")[2].split("\n")[0]
        match = KTAP.match(line)
        if match:
            print(match.group(1))
            cases += "ok " in match.group(1)
        elif error:
            print(f"# {line}")
    if error:
        print(f"# {error}")
    if not cases:
        return bail_out("the self-test printed no results")
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
