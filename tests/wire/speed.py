#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The speed of a port whose netdev is a card: what the card says.

For a machine with a virtio card, whose speed can be set from here.
"""

import os
import sys

from tests.common.machine import call
from tests.common.tap import Failure, Tap
from tests.lab.guest import devices
from tests.wire.ends import RemoteEnd

# Mb/s of the card, and what IBTA calls the fastest that is not faster
SPEEDS = {
    10: "2.5 Gb/sec (1X SDR)",
    1000: "2.5 Gb/sec (1X SDR)",
    2500: "2.5 Gb/sec (1X SDR)",
    10000: "10 Gb/sec (1X FDR10)",
    25000: "25 Gb/sec (1X EDR)",
    40000: "40 Gb/sec (4X FDR10)",
    50000: "50 Gb/sec (1X HDR)",
    100000: "100 Gb/sec (4X EDR)",
    200000: "200 Gb/sec (4X HDR)",
    400000: "400 Gb/sec (4X NDR)",
    800000: "800 Gb/sec (8X NDR)",
}
UNKNOWN = "100 Gb/sec (4X EDR)"


def rate():
    device = os.environ["SODP_DEV"]
    with open(f"/sys/class/infiniband/{device}/ports/1/rate") as handle:
        return handle.read().strip()


def want(what):
    got = rate()
    if got != what:
        raise Failure(f"the port has {got}, not {what}")


def unknown():
    """As virtio cards are, unless the hypervisor says more."""
    with open(f"/sys/class/net/{devices.CABLE}/speed") as handle:
        speed = handle.read().strip()
    if speed != "-1":
        raise Failure(f"{devices.CABLE} has a speed: {speed}")
    want(UNKNOWN)


def known():
    for mbps, what in SPEEDS.items():
        words = f"-s {devices.CABLE} speed {mbps} duplex full"
        call("ethtool", *words.split())
        want(what)


def main():
    far = RemoteEnd(os.environ["SODP_PEER"])
    try:
        return Tap([("unknown", unknown), ("known", known)]).run()
    finally:
        far.close()


if __name__ == "__main__":
    sys.exit(main())
