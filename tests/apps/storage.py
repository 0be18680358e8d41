# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Storage over RDMA: blocks and files come out as they went in.

storage.py [--quick] TOPOLOGY [CASE…]

One stack in the quick form, NFS.  NVMe has a test of its own (kernel-ulp).
"""

import functools
import sys

from tests.apps import apps, fio, nfs, rds, scsi


def by_nsenter(end):
    """Mounts must stay when the program that made them has ended: `ip netns
    exec` gives each program a mount namespace of its own."""
    if getattr(end, "prefix", None):
        end.prefix = ["nsenter", f"--net=/run/netns/{end.prefix[-1]}"]


def cases_of(near, far, quick):
    for end in (near, far):
        by_nsenter(end)
    for module in (nfs, scsi, rds, fio):
        for name, work in module.cases(quick):
            yield name, functools.partial(work, far, near)


if __name__ == "__main__":
    sys.exit(apps.main(cases_of, sys.argv[1:]))
