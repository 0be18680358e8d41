# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Two network namespaces joined by a veth pair, an RDMA link in each.

           namespace a                        namespace b
    wa 10.75.0.1 fd75::1  --- the wire ---  wb 10.75.0.2 fd75::2
    ca 10.76.0.1          --- control  ---  cb 10.76.0.2

Tests harm the wire and talk over the control pair.  rdma_rxe holds its UDP
port in the first namespace only, up to 6.12: there an rxe end is not in a
namespace of its own.
"""

import contextlib
import os
import subprocess

from tests.common.machine import call
from tests.common.tap import Failure
from tests.lab.guest import devices
from tests.wire.ends import LocalEnd, environment, settle

MTU = "9000"
OFF = "gso off gro off tx off tx-udp-segmentation off".split()
ACCEPT_DAD = "/proc/sys/net/ipv6/conf/default/accept_dad"


def module_loaded(name):
    return os.path.exists(f"/sys/module/{name}")


def rxe_has_netns():
    """Does this kernel's rdma_rxe open sockets in each namespace?"""
    release = tuple(int(x) for x in os.uname().release.split(".")[:2])
    return release >= (7, 0)


def load_rxe():
    """It wants its port when it is loaded, which sodp0 may hold."""
    name, netdev, _, kind = devices.SODP
    there = os.path.exists(f"/sys/class/infiniband/{name}")
    if there:
        call("rdma", "link", "delete", name)
    call("modprobe", "rdma_rxe")
    if there:
        words = f"rdma link add {name} type {kind} netdev {netdev}"
        call(*words.split())


def _ip(*args):
    return call("ip", *args)


class Topology:
    """Context manager; a and b are the ends."""

    def __init__(
        self,
        kind_a="sodp",
        kind_b="sodp",
        mtu=MTU,
        exclusive=False,
        home=False,
        queues=1,
    ):
        self.kinds = (kind_a, kind_b)
        self.mtu = mtu
        self.exclusive = exclusive
        # a is in the first namespace
        self.home = home
        # Of each interface of the wire, each way
        self.queues = queues
        self.spaces = [None, None]
        self.links = []
        self.a = self.b = None
        self.loaded_rxe = False

    def __enter__(self):
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _make(self):
        kinds = self.kinds
        if "rxe" in kinds and not module_loaded("rdma_rxe"):
            load_rxe()
            self.loaded_rxe = True
        if kinds == ("rxe", "rxe") and not rxe_has_netns():
            raise Failure("two rxe ends need a kernel of 7.0 or later")
        if self.exclusive:
            call("rdma", "system", "set", "netns", "exclusive")
        for index, kind in enumerate(kinds):
            if kind == "rxe" and not rxe_has_netns():
                continue
            if self.home and not index:
                continue
            self.spaces[index] = "ab"[index]
            _ip("netns", "add", "ab"[index])
            self._in(index, "ip", "link", "set", "lo", "up")
            # Nobody else is on this wire: see settle()
            self._in(index, "sh", "-c", f"echo 0 > {ACCEPT_DAD}")
        self._cable("w", self.mtu, str(self.queues))
        self._cable("c", "1500", "1")
        ends = [self._end(index) for index in (0, 1)]
        self.a, self.b = ends
        for end, other in (ends, reversed(ends)):
            end.env["SODP_PEER"] = other["ADDR"]
            end.env["SODP_PEER6"] = other["ADDR6"]
            end.env["SODP_PEER_CTL"] = other.control
        for end in ends:
            settle(end)

    def _in(self, index, *args):
        space = self.spaces[index]
        prefix = ("ip", "netns", "exec", space) if space else ()
        return call(*prefix, *args)

    def _cable(self, letter, mtu, queues):
        names = [f"{letter}a", f"{letter}b"]
        args = []
        for index, name in enumerate(names):
            args += ["name", name, "mtu", mtu]
            args += ["numtxqueues", queues, "numrxqueues", queues]
            if self.spaces[index]:
                args += ["netns", self.spaces[index]]
            if not index:
                args += ["type", "veth", "peer"]
        _ip("link", "add", *args)
        for index, name in enumerate(names):
            self.address(index, name)

    def address(self, index, name):
        """Give an interface its addresses and set it up."""
        net = {"w": 75, "c": 76, "v": 74}[name[0]]
        dev = ("dev", name)
        self._in(index, "ip", "link", "set", *dev, "up")
        four, six = self.addresses(index, net)
        self._in(index, "ip", "addr", "add", f"{four}/24", *dev)
        self._in(index, "ip", "addr", "add", f"{six}/64", *dev, "nodad")

    @staticmethod
    def addresses(index, net=75):
        return f"10.{net}.0.{index + 1}", f"fd{net}::{index + 1}"

    def _end(self, index):
        kind, space = self.kinds[index], self.spaces[index]
        device = f"{kind}{'ab'[index]}"
        netdev = f"w{'ab'[index]}"
        self.add_link(index, device, kind, netdev)
        prefix = ("ip", "netns", "exec", space) if space else ()
        env = environment(device, self.addresses(index), prefix)
        env["SODP_NETDEV"] = netdev
        env["SODP_CTL"] = self.addresses(index, 76)[0]
        return LocalEnd("ab"[index], env, space)

    def add_link(self, index, device, kind, netdev):
        self._in(
            index,
            *("rdma", "link", "add", device, "type", kind, "netdev", netdev),
        )
        self.links.append((index, device))
        if self.exclusive and device not in self._in(index, "rdma", "dev"):
            # A kernel that makes all devices in the first namespace
            space = self.spaces[index]
            call("rdma", "dev", "set", device, "netns", space)

    def no_offload(self):
        """Finished packets on the wire, whose ICRC is looked at."""
        for end in (self.a, self.b):
            end.run(["ethtool", "-K", end["NETDEV"]] + OFF)

    def delete_link(self, device):
        for index, name in self.links:
            if name == device:
                self._in(index, "rdma", "link", "delete", device)
                self.links.remove((index, name))
                return

    def close(self):
        for index, device in reversed(self.links):
            with contextlib.suppress(Failure):
                self._in(index, "rdma", "link", "delete", device)
        self.links = []
        for name in ("wa", "ca", "wb", "cb"):
            subprocess.run(
                ["ip", "link", "del", name], stderr=subprocess.DEVNULL
            )
        for space in filter(None, self.spaces):
            with contextlib.suppress(Failure):
                _ip("netns", "del", space)
        self.spaces = [None, None]
        if self.loaded_rxe:
            call("rmmod", "rdma_rxe")
            self.loaded_rxe = False
        if self.exclusive:
            call("rdma", "system", "set", "netns", "shared")
