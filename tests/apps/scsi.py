# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""SCSI over RDMA: a disk of LIO's at one end, by iSER or SRP, at the other.

The disk is a file at the far end: blocks are compared with that.
"""

import contextlib
import functools

from tests.apps import apps
from tests.apps.apps import PINNED, Counted, commands, filled, shell
from tests.common.machine import wait_for
from tests.common.tap import Failure, Skip

FOLDER = "/srv/disk"
TARGET = "/sys/kernel/config/target"

# What udev and the service manager have done on a real machine
PREPARE = f"""
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
mkdir -p {FOLDER}
mount -t tmpfs -o size=64m none {FOLDER}
truncate -s 32M {FOLDER}/image
"""
PREPARE_CLIENT = """
modprobe sd_mod
mkdir -p /run/lock/iscsi
"""
# In the opposite order of the page's commands
REMOVE = f"""
cd {TARGET}
shopt -s nullglob
for T in iscsi/iqn*/tpgt_1 srpt/*/*:*; do
    echo 0 > $T/enable
    rm -f $T/acls/*/lun_0/lun_0 $T/lun/lun_0/disk
    for n in $T/acls/*/lun_0 $T/acls/* $T/lun/lun_0 $T/np/*:* $T ${{T%/*}}; do
        rmdir $n
    done
done
rmdir core/fileio_0/disk core/fileio_0
umount {FOLDER}
"""
LEAVE_ISER = """
iscsiadm -m node -T iqn.2026-11.example:sodp -u || true
iscsiadm -m node -T iqn.2026-11.example:sodp -o delete || true
"""
LEAVE_SRP = """
shopt -s nullglob
for port in /sys/class/srp_remote_ports/port-*; do
    echo 1 > $port/delete
done
"""
# offset and length in blocks of 4 KiB, written at one side, read at the other
PIECES = ((0, 1), (7, 16), (100, 33), (1024, 1024), (4096, 2048))


@contextlib.contextmanager
def served(end, label):
    """The page's target; what its commands say."""
    try:
        end.run(shell(PREPARE))
        yield end.run(shell(filled(commands("storage", label), end, end)))
    finally:
        end.run(shell(REMOVE))


@contextlib.contextmanager
def by_iser(far, near, _):
    daemon = near.start(["iscsid", "-f"])
    try:
        text = filled(commands("storage", "iser-client"), near, far)
        said = near.run(shell(text), seconds=90)
        if "Iface Transport: iser" not in said:
            raise Failure(f"no session by iSER: {said}")
        yield
    finally:
        near.run(shell(LEAVE_ISER))
        daemon.kill()


@contextlib.contextmanager
def by_srp(far, near, said):
    guid = said.split()[-1].replace("0x", "")
    words = {"0123456789abcdef": guid}
    try:
        text = filled(commands("storage", "srp-client"), near, far, **words)
        near.run(shell(text))
        yield
    finally:
        near.run(shell(LEAVE_SRP))


def disk_of(end):
    """The block device that LIO serves."""

    def found():
        text = "grep -l LIO-ORG /sys/block/sd*/device/vendor || true"
        for path in end.run(shell(text)).split():
            return f"/dev/{path.split('/')[3]}"
        return None

    return wait_for("a disk of LIO", found, 30)


def piece(end, path, at, length, flags=""):
    """Digest of some blocks."""
    read = f"dd if={path} bs=4k skip={at} count={length} {flags}"
    return end.run(shell(f"{read} status=none | sha256sum"))


def exchange(far, near, disk):
    image = f"{FOLDER}/image"
    for number, (at, length) in enumerate(PIECES):
        ends = [(near, disk, "oflag=direct"), (far, image, "")]
        writer, path, flags = ends[number % 2]
        write = f"dd if=/dev/urandom of={path} bs=4k seek={at} conv=notrunc "
        writer.run(shell(write + f"count={length} iflag=fullblock {flags}"))
        there = piece(far, image, at, length)
        if piece(near, disk, at, length, "iflag=direct") != there:
            raise Failure(f"{length} blocks at {at} differ")


def disk_over(label, attached, far, near):
    if getattr(near, "prefix", None):
        raise Skip("control of SCSI is in the first namespace only")
    with Counted((far, near), PINNED, apps.CLOSING) as count:
        near.run(shell(PREPARE_CLIENT))
        with served(far, label) as said, attached(far, near, said):
            disk = disk_of(near)
            exchange(far, near, disk)
    if count.grown("tx_bytes") < 4096 * sum(n for _, n in PIECES):
        raise Failure(f"only {count.grown('tx_bytes')} bytes by RDMA")
    return f"{disk}: {len(PIECES)} pieces"


def cases(quick):
    if not quick:
        yield "iSER, blocks of a disk", functools.partial(
            disk_over, "iser-server", by_iser
        )
        yield "SRP, blocks of a disk", functools.partial(
            disk_over, "srp-server", by_srp
        )
