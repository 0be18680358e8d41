# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Network namespaces: what moves between them, and whose the UDP port is.

spaces.py [CASE…]
"""

import contextlib
import errno
import os
import sys
import time
import types

from tests.common.machine import SLOW, call, namespace, wait_for, within
from tests.common.tap import Failure, Skip
from tests.lab.guest import devices
from tests.rdmacm import cm
from tests.wire import programs, topology, wire
from tests.wire.ends import LocalEnd, environment, run_cases, settle
from tests.wire.events import (
    LONG,
    TRANSFERS,
    Load,
    ended,
    pair,
    port_state,
    refresh,
    transfers,
)
from tests.wire.topology import Topology


# Of /proc/net/udp: 4791
PORT = "12B7"
# How users learn that their device is gone
GONE = ("is gone", "a refusal: EIO")
# Datagrams too
INSIDE = TRANSFERS + ["ud/send/explicit"]


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
        wait_for("", lambda: ports(space) == want)
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
        wait_for("device gone", lambda: port_state(both.a) is None)
        want_ports("a", (0, 0), "no link")
        words = "rdma link add sodpa type sodp netdev wa"
        within("c", *words.split())
        want_ports("c", (1, 1), "a link in another namespace")
        call("ip", "-n", "c", "link", "set", "wa", "netns", "a")
        wait_for("device gone", lambda: port_state(both.a) is None)
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
            wait_for("gone", lambda d=device: not sees("", d))
        both.links = []
        want_ports("b", (0, 0), "no link")
        return load.note


@contextlib.contextmanager
def tunnel(name):
    """One of the netdevs that outlive their namespace, as a card does."""
    # To nobody: no packet leaves
    words = "local 127.0.0.1 remote 127.0.0.1 encap udp"
    words += " udp_sport 5099 udp_dport 5098"
    ids = "tunnel_id 1 peer_tunnel_id 1"
    try:
        call("modprobe", "l2tp_eth")
    except Failure as err:
        raise Skip(str(err))
    call(*f"ip l2tp add tunnel {ids} {words}".split())
    try:
        ids = "tunnel_id 1 session_id 1 peer_session_id 1"
        call(*f"ip l2tp add session name {name} {ids}".split())
        yield
    finally:
        call(*"ip l2tp del tunnel tunnel_id 1".split())
        call("modprobe", "-r", "l2tp_eth", "l2tp_netlink")


def netdev_back():
    """Its namespace goes, with what its device has there, and it is back."""
    from tests.wire.direct import many_qps

    words = "rdma link add sodpc type sodp netdev t0".split()
    with tunnel("t0"):
        call(*"ip netns add c".split())
        with contextlib.ExitStack() as stack:
            stack.callback(call, *"ip netns del c".split())
            call(*"ip link set t0 netns c".split())
            within("c", "ip", "link", "set", "t0", "up")
            within("c", *words)
            want_ports("c", (1, 1), "a link")
            # The namespace ends before all that the device has to destroy
            with many_qps("sodpc", 500):
                stack.close()
                wait_for("device gone", lambda: not sees("", "sodpc"))
        wait_for("t0 back", lambda: os.path.exists("/sys/class/net/t0"))
        call(*words)
        call(*"rdma link delete sodpc".split())


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
    """All works within the host; the rest is refused until it is free."""
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
            refused(both)
        want_ports("", (0, 0), "rdma_rxe is gone")
        transfers(both)
        want_ports("", (1, 1), "after a connection")


def within_host(end):
    """Two processes of the host, by programs that everybody uses."""
    settle(end)
    status, text = wire.run(end, end, "interop", INSIDE)
    if status:
        raise Failure(f"within the host:\n{text}")
    # Those that meet by TCP must not do so by rdma_rxe's address
    end = LocalEnd("a", dict(end.env, SODP_CTL=end["ADDR"]))
    ends = (end, end)
    for six in (False, True):
        programs.pingpong("ibv_ud_pingpong", "-s 1024", 100, six, ends)
        family = "6" if six else "4"
        cm.rping(cm.Pair(*ends), family, "1000")
        cm.udaddy(cm.Pair(*ends), family, "4")
    for kind in ("RC", "UD"):
        send_by_cm(end, kind)
    cm.mckey(cm.Pair(*ends))


def send_by_cm(end, kind):
    args = ["ib_send_bw", "-R", "-F", "-d", end["DEV"], "-c", kind]
    args += ["-x", end["GID_INDEX"], "-n", "50", "-s", "1024"]
    client = args + [end["ADDR"]]
    _, said = programs.pair(end, end, args, client, programs.cm_ready)
    if not programs.rows(said):
        raise Failure(f"no figures:\n{said}")


def refused(both):
    """A peer whose answers rdma_rxe would get: told at once, and logged."""
    from tests.wire.direct import Side, gid_of
    from pyverbs.pyverbs_error import PyverbsRDMAError

    gid = gid_of(both.b["ADDR"])
    for kind in ("UD", "RC", "UC"):
        with Side(both.a["DEV"], both.a["ADDR"], kind) as side:
            try:
                if kind == "UD":
                    side.reach(gid)
                else:
                    side.connect(gid, 99)
            except PyverbsRDMAError as err:
                if err.error_code != errno.EADDRINUSE:
                    raise Failure(f"{kind}: {err}")
            else:
                raise Failure(f"{kind}: not refused")
    for program in ("ucmatose", "udaddy"):
        refused_by_cm(both, program)
    log = [x for x in call("dmesg").splitlines() if "UDP port 4791" in x]
    if not any(both.b["ADDR"] in line for line in log):
        raise Failure(f"not in the log: {log}")


def refused_by_cm(both, program):
    begun = time.monotonic()
    ends = ["-s", both.b["ADDR"], "-b", both.a["ADDR"]]
    client = both.a.start([program] + ends)
    client.wait(60 * SLOW)
    client.kill()
    if "Address already in use" not in client.output():
        raise Failure(f"{program}: {client.output()}")
    # cma's own time-out is longer
    if time.monotonic() - begun > 5 * SLOW:
        raise Failure(f"{program} was kept waiting: {client.output()}")


CASES = {
    "sockets": sockets,
    "device_moved": device_moved,
    "netdev_moved": netdev_moved,
    "outside": outside,
    "port_taken": port_taken,
    "netdev_back": netdev_back,
}


if __name__ == "__main__":
    sys.exit(run_cases(CASES, sys.argv[1:]))
