# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Load the driver of the edu device, run its test, unload it.

run.py PROGRAM [OPTION…] [TEST…]

An unload with something left mapped is what DMA_API_DEBUG reports.
"""

import os
import subprocess
import sys

from tests.common.tap import Failure, bail_out
from tests.lab.guest import devices


def main(argv):
    try:
        devices.load("odp_edu")
    except Failure as err:
        return bail_out(err)
    if not os.path.exists("/dev/odp_edu"):
        return bail_out("no edu device that the driver can use")
    # It has memory for its peers, if the kernel has PCI_P2PDMA
    subprocess.run(["modprobe", "nvme"], check=False)
    status = subprocess.run(argv[1:], check=False).returncode
    done = subprocess.run(["rmmod", "odp_edu"], check=False)
    return status or done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv))
