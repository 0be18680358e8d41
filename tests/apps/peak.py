# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Runs a program; says its peak of resident memory in MB, and its seconds.

peak.py CMD…
"""

import resource
import subprocess
import sys
import time


def main(words):
    began = time.monotonic()
    status = subprocess.call(words, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    print(f"{peak:.1f} {seconds:.2f}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
