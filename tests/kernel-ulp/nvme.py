# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""NVMe over RDMA, host and target in one kernel: blocks come out as they
went in.

nvme.py

The target serves a RAM disk by nvmet-rdma, the host is nvme-rdma; both are
kernel consumers of the device under test.
"""

import contextlib
import glob
import mmap
import os
import random
import subprocess
import sys

from tests.common.machine import ADDR, SLOW, add_address6, call, put, wait_for
from tests.common.tap import Failure, Tap

NQN = "nqn.2026-11.example:sodp"
CONFIG = "/sys/kernel/config/nvmet"
SUBSYSTEM = f"{CONFIG}/subsystems/{NQN}"
RAM = "/dev/ram0"
DISK_KB = 65536
MODULES = ("brd", "configfs", "nvmet", "nvmet-rdma", "nvme-rdma")


class Target:
    """A subsystem with one namespace, reachable at one port."""

    def __init__(self, number, address):
        family = "ipv6" if ":" in address else "ipv4"
        self.port = f"{CONFIG}/ports/{number}"
        self.address = address
        os.makedirs(self.port, exist_ok=True)
        put(f"{self.port}/addr_trtype", "rdma")
        put(f"{self.port}/addr_adrfam", family)
        put(f"{self.port}/addr_traddr", address)
        put(f"{self.port}/addr_trsvcid", 4420)
        self.link = f"{self.port}/subsystems/{NQN}"
        os.symlink(SUBSYSTEM, self.link)

    def close(self):
        os.unlink(self.link)
        os.rmdir(self.port)


def make_subsystem():
    put_path = f"{SUBSYSTEM}/namespaces/1"
    os.makedirs(SUBSYSTEM)
    put(f"{SUBSYSTEM}/attr_allow_any_host", 1)
    os.mkdir(put_path)
    put(f"{put_path}/device_path", RAM)
    put(f"{put_path}/enable", 1)


def drop_subsystem():
    put(f"{SUBSYSTEM}/namespaces/1/enable", 0)
    os.rmdir(f"{SUBSYSTEM}/namespaces/1")
    os.rmdir(SUBSYSTEM)


class Controller:
    """A connection of the host's."""

    def __init__(self, address):
        options = {
            "transport": "rdma",
            "traddr": address,
            "trsvcid": "4420",
            "nqn": NQN,
            "nr_io_queues": "2",
            "queue_size": "64",
        }
        text = ",".join(f"{k}={v}" for k, v in options.items())
        fd = os.open("/dev/nvme-fabrics", os.O_RDWR)
        try:
            os.write(fd, text.encode())
            reply = os.read(fd, 4096).decode()
        except OSError as err:
            raise Failure(f"connecting to {address}: {err}")
        finally:
            os.close(fd)
        number = reply.split("instance=")[1].split(",")[0]
        self.name = f"nvme{number}"
        self.sys = f"/sys/class/nvme/{self.name}"
        self.disk = wait_for("a block device", self._disk, 20)

    def _disk(self):
        for path in glob.glob(f"/dev/{self.name}n1"):
            with contextlib.suppress(OSError):
                os.close(os.open(path, os.O_RDONLY))
                return path
        return None

    def state(self):
        with contextlib.suppress(OSError):
            with open(f"{self.sys}/state") as handle:
                return handle.read().strip()
        return "gone"

    def close(self):
        with contextlib.suppress(Failure):
            put(f"{self.sys}/delete_controller", 1)
        wait_for("the controller to go", lambda: self.state() == "gone", 20)


class Blocks:
    """Aligned buffers and direct I/O on a block device."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_DIRECT)

    def close(self):
        os.close(self.fd)

    def write(self, offset, data):
        with mmap.mmap(-1, len(data)) as area:
            area[:] = data
            done = os.pwritev(self.fd, [area], offset)
        if done != len(data):
            raise Failure(f"{done} of {len(data)} bytes written")

    def read(self, offset, length):
        with mmap.mmap(-1, length) as area:
            done = os.preadv(self.fd, [area], offset)
            if done != length:
                raise Failure(f"{done} of {length} bytes read")
            return area[:]


def same(disk, offset, data, what):
    got = disk.read(offset, len(data))
    if got == data:
        return
    at = next(i for i, (a, b) in enumerate(zip(got, data)) if a != b)
    raise Failure(f"{what}: byte {offset + at} differs")


def exchange(controller, seed):
    """Sizes of in-capsule data, of one page, of many, at odd places."""
    dice = random.Random(seed)
    count = 0
    with contextlib.ExitStack() as stack:
        over = Blocks(controller.disk)
        stack.callback(over.close)
        ram = Blocks(RAM)
        stack.callback(ram.close)
        for size in (512, 4096, 8192, 65536, 131072, 1 << 20, 4 << 20):
            for _ in range(6):
                room = DISK_KB * 1024 - size
                offset = dice.randrange(room // 512) * 512
                data = dice.randbytes(size)
                over.write(offset, data)
                same(ram, offset, data, "target after write")
                same(over, offset, data, "read back")
                data = dice.randbytes(size)
                ram.write(offset, data)
                same(over, offset, data, "read of the target's")
                count += 3 * size
    return f"{count >> 20} MiB moved"


def _load(controller, seconds):
    """Two writers and two readers at once, by dd."""
    tasks = []
    size = DISK_KB // 4
    for part in range(4):
        ends = [f"if={controller.disk}", "of=/dev/null", "iflag=direct"]
        if part < 2:
            ends = ["if=/dev/zero", f"of={controller.disk}", "oflag=direct"]
        where = f"{'skip' if part >= 2 else 'seek'}={part * size // 256}"
        args = ["dd", "bs=256k", f"count={size // 256}", where] + ends
        tasks.append(subprocess.Popen(args, stderr=subprocess.PIPE))
    for task in tasks:
        try:
            _, said = task.communicate(timeout=seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise Failure("dd does not end")
        finally:
            task.kill()
        if task.returncode:
            raise Failure(said.decode())


def connected(address, body):
    """A case: connect, do that, disconnect."""

    def case():
        target = Target(1, address)
        try:
            controller = Controller(address)
            try:
                return body(controller)
            finally:
                controller.close()
        finally:
            target.close()

    return case


def data(controller):
    return exchange(controller, 1)


def load(controller):
    _load(controller, 60)


def reconnect(controller):
    """The host makes its connections anew: I/O goes on afterwards."""
    put(f"{controller.sys}/reset_controller", 1)
    wait_for("the reset", lambda: controller.state() == "live", 20)
    return exchange(controller, 2)


def main():
    address6 = os.environ.get("SODP_ADDR6") or add_address6()
    call("modprobe", "-a", *MODULES[1:])
    call("modprobe", "brd", "rd_nr=1", f"rd_size={DISK_KB}")
    if not os.path.isdir(CONFIG):
        call("mount", "-t", "configfs", "none", "/sys/kernel/config")
    make_subsystem()
    cases = [
        ("blocks over IPv4", connected(ADDR, data)),
        ("four at once", connected(ADDR, load)),
        ("controller reset", connected(ADDR, reconnect)),
        ("blocks over IPv6", connected(address6, data)),
    ]
    try:
        return Tap(cases).run()
    finally:
        drop_subsystem()
        for module in ("nvme-rdma", "nvmet-rdma", "nvmet", "brd"):
            call("modprobe", "-r", module)


if __name__ == "__main__":
    sys.exit(main())
