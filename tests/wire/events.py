# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What happens to netdevs and links while there is traffic on them.

events.py [CASE…]
"""

import functools
import glob
import re
import sys
import time

from tests.common.machine import SLOW, call, counter, wait_for
from tests.common.tap import Failure
from tests.lab.guest import devices
from tests.wire import wire
from tests.wire.ends import environment, run_cases, settle
from tests.wire.topology import Topology

MANY = 16
# Seconds of a load that something else ends
LONG = 90
# Of wire-interop: each transport, both families
TRANSFERS = ["--quick", "rc/write/explicit-explicit", "uc/send/pinned"]
TRANSFERS += ["rc/read/implicit-explicit", "ud/send_imm/pinned"]
# of the netdev and of RDMA
MTUS = ((1500, 1024), (700, 512), (400, 256), (2200, 2048), (9000, 4096))
# Below what 256 bytes and their headers take; active_mtu cannot say so
SMALL_MTU = 300
RETRY = "transport retry counter exceeded"
PAUSE_MS = 300


def port_state(end, device=None):
    text = end.run(["rdma", "link", "show"])
    for line in text.splitlines():
        words = line.split()
        if words[1] == f"{device or end['DEV']}/1":
            return words[3]
    return None


def want_state(end, state):
    wait_for(f"{end['DEV']} {state}", lambda: port_state(end) == state)


def transfers(both, near=None, far=None, **env):
    """A short round, which must work."""
    near, far = near or both.a, far or both.b
    settle(near)
    settle(far)
    status, text = wire.run(near, far, "interop", TRANSFERS, **env)
    if status:
        raise Failure(f"transfers afterwards:\n{text}")


class Load:
    """Traffic from a to b around a block; `note` says how it ended."""

    def __init__(self, both, seconds=4, may_fail=False, gap=30, **env):
        self.both = both
        self.env = dict(env, WIRE_SECONDS=str(seconds), WIRE_GAP=str(gap))
        self.seconds = seconds
        self.env["WIRE_MAY_FAIL"] = "1" if may_fail else "0"
        self.note = ""

    def __enter__(self):
        a, b = self.both.a, self.both.b
        args = [f"{wire.BUILT}/wire-peer", str(wire.PORT)]
        self.peer = b.start(args)
        self.env["WIRE_PEER"] = f"{b.control}:{wire.PORT}"
        args = [f"{wire.BUILT}/wire-load", "explicit"]
        self.task = a.start(args, **self.env)
        try:
            wait_for("load", lambda: "load is on" in self.task.output(), 30)
        except Failure:
            self._kill()
            raise Failure(f"no load:\n{self.task.output()}")
        time.sleep(0.5)
        return self

    def _kill(self):
        self.task.kill()
        self.peer.kill()

    def __exit__(self, kind, *_):
        if kind is None:
            status = self.task.wait((self.seconds + 120) * SLOW)
        self._kill()
        text = self.task.output()
        if kind is None and status != 0:
            raise Failure(f"load ended with {status}:\n{text}")
        lines = [x for x in text.splitlines() if x.startswith("ok ")]
        self.note = lines[0] if lines else text


def pair():
    return Topology("sodp", "sodp")


def received(both):
    return [counter(end["DEV"], "rx_packets") for end in (both.a, both.b)]


def want_traffic(both, old):
    wait_for(
        "traffic at both ends",
        lambda: all(now > then for now, then in zip(received(both), old)),
    )


def interrupt(both, space, netdev):
    """Out and back under load, shorter than the retries last."""
    with Load(both) as load:
        call("ip", "-n", space, "link", "set", netdev, "down")
        want_state(both.a, "DOWN")
        old = received(both)
        time.sleep(PAUSE_MS / 1000)
        if received(both) != old:
            raise Failure(f"traffic of a port that is down: {old}")
        call("ip", "-n", space, "link", "set", netdev, "up")
        want_state(both.a, "ACTIVE")
        want_traffic(both, old)
    gap = int(re.search(r"longest gap (\d+) ms", load.note)[1])
    if gap < PAUSE_MS:
        raise Failure(f"the load did not pause: {load.note}")
    return load.note


def down_up():
    """Shorter than the retries last: nobody notices."""
    with pair() as both:
        note = interrupt(both, "a", "wa")
        # An interface that goes down loses its IPv6 addresses
        refresh_six(both)
        transfers(both)
        return note


def refresh(both):
    """Addresses have changed: find the GIDs again."""
    for index, end in enumerate((both.a, both.b)):
        end.env.update(environment(end["DEV"], both.addresses(index)))


def carrier():
    """The other side goes down: the cable is out."""
    with pair() as both:
        return interrupt(both, "b", "wb")


def route(verb, both):
    """At a, b's addresses by a gateway that does not exist."""
    for address in both.addresses(1):
        family, length = ("-6", 128) if ":" in address else ("-4", 32)
        gateway = "fd75::99" if ":" in address else "10.75.0.99"
        args = ["route", verb, f"{address}/{length}", "via", gateway]
        call("ip", "-n", "a", family, *args, "dev", "wa")


def want_silence(both):
    """What is on its way arrives, and then nothing does."""
    old = []

    def quiet():
        before, old[:] = list(old), received(both)
        return old == before

    wait_for("silence", quiet, 2)
    time.sleep(PAUSE_MS / 1000)
    if received(both) != old:
        raise Failure(f"traffic by the old route: {old}")
    return old


def rerouted():
    """A route that is replaced under load is used no more."""
    with pair() as both:
        with Load(both, WIRE_TIMEOUT="18") as load:
            route("add", both)
            old = want_silence(both)
            route("del", both)
            want_traffic(both, old)
        return load.note


def active_mtu(end):
    text = end.run(["ibv_devinfo", "-d", end["DEV"]])
    line = [x for x in text.splitlines() if "active_mtu" in x][0]
    return int(line.split()[1])


def set_mtu(both, mtu):
    for space, name in (("a", "wa"), ("b", "wb")):
        call("ip", "-n", space, "link", "set", name, "mtu", str(mtu))


def mtu():
    """What the MTU forbids is lost; what is made later fits it."""
    with pair() as both:
        old = counter(both.a["DEV"], "tx_drops")
        # As long as the packets are too long its retries last
        with Load(both, WIRE_TIMEOUT="18") as load:
            set_mtu(both, 1500)
            time.sleep(1)
            set_mtu(both, 9000)
            want_traffic(both, received(both))
        if counter(both.a["DEV"], "tx_drops") == old:
            raise Failure(f"no packet was too long: {load.note}")
        for size, want in MTUS:
            set_mtu(both, size)
            wait_for(
                f"active_mtu {want}", lambda w=want: active_mtu(both.a) == w
            )
            if want == 256:
                small_mtu(both)
        refresh_six(both)
        transfers(both)
        return load.note


def small_mtu(both):
    """The least path MTU works; where that does not fit, users are told."""
    with Load(both, seconds=1):
        pass
    set_mtu(both, SMALL_MTU)
    time.sleep(0.2)
    if active_mtu(both.a) != 256:
        raise Failure(f"active_mtu is {active_mtu(both.a)}")
    with Load(both, LONG, may_fail=True, WIRE_TIMEOUT="13") as load:
        pass
    ended(load, RETRY)


def refresh_six(both):
    """A small MTU takes IPv6 away altogether."""
    for space, name, address in (("a", "wa", "1"), ("b", "wb", "2")):
        args = ["ip", "-n", space, "addr", "replace"]
        call(*args, f"fd75::{address}/64", "dev", name, "nodad")
    refresh(both)


def gids(device):
    """All that are in the port's table."""
    folder = f"/sys/class/infiniband/{device}/ports/1/gids"
    found = set()
    for path in glob.glob(f"{folder}/*"):
        with open(path) as handle:
            found.add(handle.read().strip())
    return found


def replace_address(device):
    """10.75.0.1 goes, 10.75.0.9 comes."""
    old, new = [devices.gid_of(f"10.75.0.{n}") for n in (1, 9)]
    if old not in gids(device):
        raise Failure(f"{device} has no GID {old}")
    call("ip", "-n", "a", "addr", "del", "10.75.0.1/24", "dev", "wa")
    call("ip", "-n", "a", "addr", "add", "10.75.0.9/24", "dev", "wa")
    wait_for("the new GID", lambda: new in gids(device))
    wait_for("the old GID gone", lambda: old not in gids(device))


def address():
    """The GID goes with its address, a new address is a new GID."""
    with pair() as both:
        device = both.a["DEV"]
        args = ["stdbuf", "-oL", "ibv_asyncwatch", "-d", device]
        watch = both.a.start(args)
        try:
            wait_for("a watch", lambda: "event FD" in watch.output())
            # Its connections have an address that is no more
            load = Load(both, LONG, may_fail=True, WIRE_TIMEOUT="15")
            with load:
                replace_address(device)
            ended(load, RETRY)
            wait_for("an event", lambda: "GID_CHANGE" in watch.output())
        finally:
            watch.kill()
        new = environment(device, ("10.75.0.9", "fd75::1"))
        both.a.env.update(new)
        transfers(both)
        return load.note


def ended(load, *how):
    """It must have met what was done, and not have been over by then."""
    if not any(x in load.note for x in how or ("is gone", "ended by")):
        raise Failure(f"the load did not notice: {load.note}")
    return load.note


def netdev_deleted():
    both = pair()
    with both:
        with Load(both, LONG, may_fail=True, gap=6) as load:
            call("ip", "-n", "a", "link", "del", "wa")
        ended(load)
        for end in (both.a, both.b):
            wait_for("device gone", lambda e=end: port_state(e) is None)
        both.links = []
    return load.note


def link_deleted(end_name):
    with pair() as both:
        with Load(both, LONG, may_fail=True, gap=6) as load:
            both.delete_link(f"sodp{end_name}")
        return ended(load)


def netns_deleted():
    with pair() as both:
        with Load(both, LONG, may_fail=True, gap=6) as load:
            # Its processes keep a namespace alive
            load.task.kill()
            load.peer.kill()
            call("ip", "netns", "del", "a")
            load.task.wait = lambda seconds: 0
        both.spaces[0] = None
        wait_for(
            "devices gone",
            lambda: "sodpa" not in call("rdma", "link", "show"),
        )
        both.links = [x for x in both.links if x[0]]


def flap():
    """Links come and go many times, some with traffic."""
    for _ in range(6):
        with pair() as both:
            with Load(both, seconds=1, may_fail=True, gap=6):
                both.delete_link("sodpb")
                both.delete_link("sodpa")


def set_up(index, netdev, addresses):
    space = "ab"[index]
    call("ip", "-n", space, "link", "set", netdev, "up")
    for text in addresses:
        length = "64" if ":" in text else "24"
        extra = ["nodad"] if ":" in text else []
        args = ["addr", "add", f"{text}/{length}", "dev", netdev]
        call("ip", "-n", space, *args, *extra)


def add_netdevs(both, index, names, addresses):
    """Another link at one end; returns its environment."""
    netdev, device = names
    set_up(index, netdev, addresses)
    both.add_link(index, device, "sodp", netdev)
    return dict(environment(device, addresses), SODP_NETDEV=netdev)


def add_vlans(both):
    """VLAN 5 on the wire, with addresses of its own."""
    for index, end in enumerate((both.a, both.b)):
        space, parent = "ab"[index], end["NETDEV"]
        args = f"link add link {parent} name {parent}.5 type vlan id 5"
        call("ip", "-n", space, *args.split())
        yield index, end, f"{parent}.5", both.addresses(index, 74)


def vlan():
    """The addresses of a VLAN are GIDs of its parent's device."""
    with pair() as both:
        for index, end, netdev, addresses in add_vlans(both):
            set_up(index, netdev, addresses)
            end.plain = dict(end.env)
            end.env.update(environment(end["DEV"], addresses))
            end.env["SODP_NETDEV"] = netdev
        # Which counts the packets of the VLAN only
        transfers(both)
        for end in (both.a, both.b):
            end.env = end.plain
        transfers(both)


def vlan_link():
    """Its GIDs are its parent's device's: a link of its own is refused."""
    with pair() as both:
        for index, _, netdev, addresses in add_vlans(both):
            names = (netdev, f"sodpv{'ab'[index]}")
            try:
                add_netdevs(both, index, names, addresses)
            except Failure as err:
                if "Operation not permitted" not in str(err):
                    raise
                continue
            raise Failure(f"{netdev} has a link of its own")
        transfers(both)


def many():
    """A host may have many devices."""
    with pair() as both:
        for n in range(MANY):
            args = f"link add name xa{n} mtu 9000 netns a type veth peer"
            args += f" name xb{n} mtu 9000 netns b"
            call("ip", *args.split())
        for n in range(MANY):
            ends = (both.a, both.b)
            for index, end in enumerate(ends):
                space = "ab"[index]
                names = (f"x{space}{n}", f"sodpx{space}{n}")
                addresses = (
                    f"10.{100 + n}.0.{index + 1}",
                    f"fd{n:02x}::{index + 1}",
                )
                end.env.update(add_netdevs(both, index, names, addresses))
            for end in ends:
                settle(end)
            case = ["--quick", "rc/send_imm/explicit-explicit"]
            status, text = wire.run(both.a, both.b, "interop", case)
            if status:
                raise Failure(f"device {n}:\n{text}")
        return f"{MANY} devices at each end"


def exclusive():
    """Each namespace sees its own devices only."""
    with Topology("sodp", "sodp", exclusive=True) as both:
        for end, other in ((both.a, both.b), (both.b, both.a)):
            seen = end.run(["rdma", "dev"])
            if end["DEV"] not in seen or other["DEV"] in seen:
                raise Failure(f"{end.name} sees:\n{seen}")
        transfers(both)


def refused():
    """Netdevs that cannot have a link."""
    with pair():
        for device, netdev, why in (
            ("sodpx", "lo", "not Ethernet, or loopback"),
            ("sodpx", "wa", "has a device already"),
            ("sodpx", "nothere", "does not exist"),
            ("sodpa", "ca", "a name that is taken"),
        ):
            words = f"rdma link add {device} type sodp netdev {netdev}"
            try:
                call("ip", "netns", "exec", "a", *words.split())
            except Failure:
                continue
            if device == "sodpx" and netdev == "lo":
                call("rdma", "link", "delete", device)
            raise Failure(f"{words}: {why}, and was not refused")


def unload():
    """Nothing is left that holds the module."""
    left = call("rdma", "link", "show").split()
    names = [w for w in left if w.startswith("sodp") and "/" in w]
    if [n for n in names if not n.startswith("sodp0/")]:
        raise Failure(f"left behind: {names}")
    with open("/sys/module/sodp/refcnt") as handle:
        count = int(handle.read())
    wait_for(f"refcnt {count}", lambda: _refcnt() <= 1)


def _refcnt():
    with open("/sys/module/sodp/refcnt") as handle:
        return int(handle.read())


CASES = {
    "down_up": down_up,
    "carrier": carrier,
    "rerouted": rerouted,
    "mtu": mtu,
    "address": address,
    "netdev_deleted": netdev_deleted,
    "link_deleted": functools.partial(link_deleted, "a"),
    "peer_link_deleted": functools.partial(link_deleted, "b"),
    "netns_deleted": netns_deleted,
    "flap": flap,
    "vlan": vlan,
    "vlan_link": vlan_link,
    "many": many,
    "exclusive": exclusive,
    "refused": refused,
    "unload": unload,
}


if __name__ == "__main__":
    sys.exit(run_cases(CASES, sys.argv[1:]))
