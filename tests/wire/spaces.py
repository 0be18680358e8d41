# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Network namespaces: what moves between them, and whose the UDP port is.

spaces.py [CASE…]
"""

import contextlib
import sys
import types

import topology
import wire
from ends import Failure, LocalEnd, call, devices, environment
from ends import run_cases, settle
from events import LONG, RETRY, TRANSFERS, Load, ended
from events import eventually, pair, port_state, refresh, transfers
from topology import Topology

# Of /proc/net/udp: 4791
PORT = "12B7"
# How users learn that their device is gone
GONE = ("is gone", "a refusal: EIO")
# Without datagrams, which need the port
CONNECTED = [x for x in TRANSFERS if not x.startswith("ud/")]


def within(space, *args):
    return call(*(["ip", "netns", "exec", space] if space else []), *args)


@contextlib.contextmanager
def namespace(name):
    call("ip", "netns", "add", name)
    try:
        within(name, "ip", "link", "set", "lo", "up")
        yield name
    finally:
        call("ip", "netns", "del", name)


def ports(space):
    """How many sockets have the RoCEv2 port: IPv4, IPv6."""
    text = within(space, "cat", "/proc/net/udp", "/proc/net/udp6")
    lengths = []
    for line in text.splitlines():
        address, _, port = line.split()[1].partition(":")
        if port == PORT:
            lengths.append(len(address))
    return lengths.count(8), lengths.count(32)


def want_ports(space, want, when):
    """Links go by a worker, so their sockets may be late."""
    try:
        eventually("", lambda: ports(space) == want)
    except Failure:
        raise Failure(f"{when}: {ports(space)} sockets, must be {want}")


def sockets():
    """There from the first link of a namespace to the last one."""
    with pair() as both:
        want_ports("a", (1, 1), "one link")
        # Those of others are not touched
        want_ports("", (1, 1), "sodp0 in the first namespace")
        both.delete_link("sodpa")
        want_ports("a", (0, 0), "no link")
        want_ports("b", (1, 1), "the link of another namespace")
        both.add_link(0, "sodpa", "sodp", "wa")
        want_ports("a", (1, 1), "a first link again")
        both.add_link(0, "sodpc", "sodp", "ca")
        want_ports("a", (1, 1), "two links")
        both.delete_link("sodpa")
        want_ports("a", (1, 1), "one of two links")
        both.delete_link("sodpc")
        want_ports("a", (0, 0), "no link again")


# --- devices and netdevs that move ---


def sees(space, device):
    return f" {device}: " in within(space, "rdma", "dev", "show")


def move_device(device, old, new):
    within(old, "rdma", "dev", "set", device, "netns", new)
    if sees(old, device) or not sees(new, device):
        raise Failure(f"{device} is not in {new}, or still in {old}")


def end_in(both, index, space):
    """An end's device, as processes of another namespace use it."""
    prefix = ("ip", "netns", "exec", space) if space else ()
    end = (both.a, both.b)[index]
    env = environment(end["DEV"], both.addresses(index), prefix)
    env["SODP_CTL"] = "127.0.0.1"
    return LocalEnd(end.name, env, space)


def ends_in(both, space):
    ends = [end_in(both, index, space) for index in (0, 1)]
    return types.SimpleNamespace(a=ends[0], b=ends[1])


def transfers_from(both, space):
    """By devices of a namespace that has none of their netdevs."""
    far = ends_in(both, space)
    sent = wire.sent_packets(both.a)
    with wire.wire_peer(far.b) as told:
        args = [f"{wire.BUILT}/wire-interop"] + TRANSFERS
        far.a.run(args, 600, **told)
    if wire.sent_packets(both.a) - sent < wire.FEW_PACKETS:
        raise Failure("nothing went over the wire")


def device_moved():
    """Its users lose it; those of the other namespace can use it."""
    with Topology("sodp", "sodp", exclusive=True) as both:
        with namespace("c"):
            with Load(both, LONG, may_fail=True, gap=6) as load:
                move_device("sodpa", "a", "c")
            ended(load, *GONE)
            move_device("sodpb", "b", "c")
            transfers_from(both, "c")
            with Load(ends_in(both, "c"), LONG, may_fail=True, gap=6) as back:
                move_device("sodpa", "c", "a")
            ended(back, *GONE)
            move_device("sodpb", "c", "b")
        for index, end in enumerate((both.a, both.b)):
            end.env.update(
                environment(end["DEV"], both.addresses(index), end.prefix)
            )
        transfers(both)
        return load.note


def netdev_moved():
    """The device goes as if the netdev did; there can be one where it is."""
    with pair() as both, namespace("c"):
        with Load(both, LONG, may_fail=True, gap=6) as load:
            call("ip", "-n", "a", "link", "set", "wa", "netns", "c")
        ended(load, *GONE)
        eventually("device gone", lambda: port_state(both.a) is None)
        want_ports("a", (0, 0), "no link")
        words = "rdma link add sodpa type sodp netdev wa"
        within("c", *words.split())
        want_ports("c", (1, 1), "a link in another namespace")
        call("ip", "-n", "c", "link", "set", "wa", "netns", "a")
        eventually("device gone", lambda: port_state(both.a) is None)
        want_ports("c", (0, 0), "no link")
        both.links.remove((0, "sodpa"))
        both.address(0, "wa")
        both.add_link(0, "sodpa", "sodp", "wa")
        refresh(both)
        transfers(both)
        return load.note


def outside():
    """A namespace is deleted under those who never were in it."""
    both = pair()
    with both:
        with Load(ends_in(both, None), LONG, may_fail=True, gap=6) as load:
            call("ip", "netns", "del", "a")
            both.spaces[0] = None
        ended(load, *GONE)
        # The wire has two ends
        for device in ("sodpa", "sodpb"):
            eventually("gone", lambda d=device: not sees("", d))
        both.links = []
        want_ports("b", (0, 0), "no link")
        return load.note


# --- another one has the port ---


@contextlib.contextmanager
def rxe_has_port():
    """rdma_rxe comes while there is no sodp link in the first namespace."""
    call("modprobe", "rdma_rxe")
    try:
        # From 7.0 on it is a link of it that has the port
        call(*"rdma link add rxec type rxe netdev ca".split())
        yield
        call(*"rdma link delete rxec".split())
    finally:
        call("rmmod", "rdma_rxe")


def port_taken():
    """Same host only, until the port is free."""
    if topology.module_loaded("rdma_rxe"):
        raise Failure("rdma_rxe is there already")
    name, netdev, _, kind = devices.SODP
    with Topology("sodp", "sodp", home=True) as both:
        both.delete_link("sodpa")
        call("rdma", "link", "delete", name)
        want_ports("", (0, 0), "no link")
        with rxe_has_port():
            call(*f"rdma link add {name} type {kind} netdev {netdev}".split())
            both.add_link(0, "sodpa", "sodp", "wa")
            refresh(both)
            want_ports("", (1, 1), "rdma_rxe")
            within_host(both.a)
            # Answers go to rdma_rxe
            with Load(both, LONG, may_fail=True, WIRE_TIMEOUT="13") as load:
                pass
            ended(load, RETRY)
        want_ports("", (0, 0), "rdma_rxe is gone")
        transfers(both)
        want_ports("", (1, 1), "after a connection")
        return load.note


def within_host(end):
    settle(end)
    status, text = wire.run(end, end, "interop", CONNECTED)
    if status:
        raise Failure(f"within the host:\n{text}")


CASES = {
    "sockets": sockets,
    "device_moved": device_moved,
    "netdev_moved": netdev_moved,
    "outside": outside,
    "port_taken": port_taken,
}


if __name__ == "__main__":
    sys.exit(run_cases(CASES, sys.argv[1:]))
