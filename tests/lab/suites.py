# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What goes into the root folder of each Debian suite.

To add a package to every guest, add its name to COMMON; the recipe hash
changes with it and the cached folders are made anew at the next run.
"""

import hashlib
import json
import os

MIRROR = os.environ.get("SODP_MIRROR", "http://deb.debian.org/debian")
SECURITY = os.environ.get(
    "SODP_SECURITY_MIRROR", "http://deb.debian.org/debian-security"
)

COMMON = """
    linux-image-amd64 linux-headers-amd64 kmod iproute2
    rdma-core ibverbs-utils ibverbs-providers rdmacm-utils perftest
    libibverbs-dev librdmacm-dev python3-pyverbs python3
    gcc libc6-dev make cmake pkg-config
    libnl-3-dev libnl-route-3-dev libnl-genl-3-dev
    sparse bc bison flex libelf-dev libssl-dev
    procps psmisc strace gdb numactl libnuma-dev util-linux mount
    busybox-static ca-certificates xz-utils dpkg-dev
""".split()

# Whatever a suite's backports have at the moment
BACKPORTS = "backports"

# Where rdma-core's source comes from and what version it has.  The
# tarball of bookworm's own 44.0 is not on the mirror; 56.1 has the same
# provider ABI.
#
# Kernels: 6.12 is the newest 6.12.x and so on.  Backports move on from one
# line to the next: the newest one is taken, and of "lines" each as long as
# the archive has it.
SUITES = {
    "trixie": {
        "packages": COMMON + ["tshark", "ethtool"],
        "backports": ["linux-image-amd64", "linux-headers-amd64"],
        "lines": ["7.2"],
        "security": True,
        "rdma_core_from": "trixie",
        "kernels": ["6.12", "7.2", BACKPORTS, "debug", "kcsan", "uml"],
    },
    "bookworm": {
        "packages": COMMON,
        "backports": [],
        "lines": [],
        "security": True,
        "rdma_core_from": "trixie",
        "kernels": ["6.1"],
    },
    "forky": {
        "packages": COMMON,
        "backports": [],
        "lines": [],
        "security": False,
        "rdma_core_from": "forky",
        "kernels": ["7.2"],
    },
}

# Their Release file may be past its date; signatures are still checked.
MAY_BE_STALE = {"forky"}

DEFAULT_SUITE = "trixie"
KERNELS = ["6.1", "6.12", "7.2", BACKPORTS, "debug", "kcsan", "uml"]

# The kernel as a process of the host (umlkernel.py)
UML = "uml"

# Kernels of our own, and how many times as slow as Debian's things are in
# them (debugkernel.py, umlkernel.py)
OWN = {"debug": 4, "kcsan": 3, UML: 2}

# Lines that a suite may leave behind: its newest kernel is then taken.
MOVING = ("7.2",)

# Bump when rootfs.py makes something else from the same table.
RECIPE_VERSION = 2


def sources(suite):
    """apt lines for a suite, the first being the suite itself."""
    lines = [f"deb {MIRROR} {suite} main"]
    if SUITES[suite]["security"]:
        lines.append(f"deb {MIRROR} {suite}-updates main")
        lines.append(f"deb {SECURITY} {suite}-security main")
    return lines


def recipe_hash(suite):
    # A kernel that we build is none of the root folder's
    made = {k: v for k, v in SUITES[suite].items() if k != "kernels"}
    text = json.dumps([RECIPE_VERSION, made, sources(suite)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def pick(suite, kernel):
    """Fill in the half that the user left out; None when impossible."""
    if suite is None and kernel is None:
        return DEFAULT_SUITE, SUITES[DEFAULT_SUITE]["kernels"][0]
    if suite is None:
        for name, entry in SUITES.items():
            if kernel in entry["kernels"]:
                return name, kernel
        return None
    if kernel is None:
        return suite, SUITES[suite]["kernels"][0]
    return (suite, kernel) if kernel in SUITES[suite]["kernels"] else None
