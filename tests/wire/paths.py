# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Ways that packets take inside a host, and what a port says of itself.

paths.py [CASE…]
"""

import contextlib
import functools
import json
import os
import re
import struct
import subprocess
import sys
import time

from tests.common.machine import (
    SLOW,
    call,
    namespace,
    put,
    wait_for,
    wire_only,
    within,
)
from tests.common.tap import Failure, Skip
from tests.lab.guest import devices
from tests.rdmacm import cm
from tests.wire import programs
from tests.wire.congest import Flow
from tests.wire.ends import LocalEnd, environment, run_cases, settle
from tests.wire.events import (
    add_vlans,
    pair,
    port_state,
    refresh,
    refresh_six,
    set_up,
    want_state,
)
from tests.wire.topology import OFF, rxe_has_netns


TRACING = "/sys/kernel/tracing"
UDP_PORT = 4791
# Of ibv_event_type
PORT_EVENTS = {"(9)": "active", "(10)": "error"}
HOLD_PORT6 = f"""
import socket, time
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
s.bind(("::", {UDP_PORT}))
time.sleep(600)
"""


def counter(end, name):
    """By netlink: sysfs has it in the device's own namespace only."""
    args = ["rdma", "-j", "statistic", "show", "link", f"{end['DEV']}/1"]
    return int(json.loads(call(*args))[0][name])


def write(both):
    """Trains from a to b; nobody waits for an answer."""
    ends = (both.b, both.a)
    programs.perftest("ib_write_bw", "-c UC", 65536, False, ends)


def own_vlan(both):
    """rdma_cm to an address of one's own VLAN."""
    _, end, netdev, addresses = next(add_vlans(both))
    set_up(0, netdev, addresses)
    env = environment(end["DEV"], addresses)
    near = LocalEnd("a", dict(end.env, **env), "a")
    try:
        for family in "46":
            cm.rping(cm.Pair(near, near), family, "100")
    finally:
        call("ip", "-n", "a", "link", "del", netdev)


def bridge(both):
    """The addresses are those of a bridge, the link is on its port."""
    words = "name bra mtu 9000 type bridge forward_delay 0 mcast_snooping 0"
    call(*f"ip -n a link add {words}".split())
    call(*"ip -n a addr flush dev wa scope global".split())
    call(*"ip -n a link set wa master bra".split())
    set_up(0, "bra", both.addresses(0))
    refresh(both)
    both.a.env["SODP_NETDEV"] = "bra"
    try:
        settle(both.a)
        for ends in ((both.a, both.b), (both.b, both.a)):
            cm.rping(cm.Pair(*ends), "4", "100")
            cm.mckey(cm.Pair(*ends))
    finally:
        call(*"ip -n a link del bra".split())
        both.a.env["SODP_NETDEV"] = "wa"
        set_up(0, "wa", both.addresses(0))
        settle(both.a)
        refresh(both)


@contextlib.contextmanager
def policy(both):
    here, there = both.addresses(1)[0], both.addresses(0)[0]
    which = f"src {there} dst {here} proto udp dport {UDP_PORT} dir in"
    tmpl = f"tmpl src {there} dst {here} proto esp mode transport"
    call(*f"ip -n b xfrm policy add {which} {tmpl}".split())
    try:
        yield
    finally:
        call(*f"ip -n b xfrm policy delete {which}".split())


def ipsec(both):
    """What has to be encrypted, and is not, never gets in."""
    before = counter(both.b, "rx_packets")
    write(both)
    middle = counter(both.b, "rx_packets")
    if middle == before:
        raise Failure("no packets without a policy")
    with policy(both):
        write(both)
        came = counter(both.b, "rx_packets") - middle
    if came:
        raise Failure(f"{came} packets came in the clear")


@contextlib.contextmanager
def tallied(name, trigger):
    """Yields a function for the text "keys count" of each kind of event.

    The kernel counts them: a trace has no room for all that goes on.
    """
    event = f"{TRACING}/events/{name}"
    if not os.path.exists(f"{event}/hist"):
        raise Skip("the kernel has no hist triggers")

    def tally():
        with open(f"{event}/hist") as handle:
            return re.sub(r" *} hitcount: *", " ", handle.read())

    put(f"{event}/trigger", trigger, cut=False)
    try:
        yield tally
    finally:
        put(f"{event}/trigger", "!" + trigger, cut=False)


@contextlib.contextmanager
def lists_made(netdev, mtu):
    """Yields a function that says whether GRO has put packets together."""
    trigger = f'hist:keys=name if len > {mtu} && name == "{netdev}"'
    with tallied("net/netif_receive_skb", trigger) as tally:
        yield lambda: re.search(rf"name: *{netdev} *\d", tally())


def write_mixed(both):
    """Packets of two QPs in one flow and of one length, as a list may have
    them; of a train their IP identifications are in sequence."""
    options = "-c UC -q 2 --flow_label=7"
    ends = (both.b, both.a)
    programs.perftest("ib_write_bw", options, 4096, False, ends, 2000)


def gro_list(both):
    """GRO that makes lists of packets, not trains."""
    names = ("rx_icrc_errors", "rx_malformed")
    before = [counter(both.b, name) for name in names]
    packets = counter(both.b, "rx_packets")
    # Packets of their own, with checksums
    both.a.run(["ethtool", "-K", "wa"] + OFF)
    lists = ["ethtool", "-K", "wb", "rx-gro-list"]
    both.b.run(lists + ["on", "gro", "on"])
    try:
        with lists_made("wb", both.mtu) as made:
            # On a busy host packets may come one by one
            for _ in range(10):
                write(both)
                write_mixed(both)
                if made():
                    break
            else:
                raise Failure("no lists were made")
    finally:
        both.b.run(lists + ["off", "gro", "off"])
        on = ["on" if word == "off" else word for word in OFF]
        both.a.run(["ethtool", "-K", "wa"] + on)
    if counter(both.b, "rx_packets") == packets:
        raise Failure("no packets")
    after = [counter(both.b, name) for name in names]
    if after != before:
        raise Failure(f"{names}: {before}, then {after}")


def tracked(space):
    """Flows to the port that a namespace's connection tracking knows."""
    text = call("ip", "netns", "exec", space, "cat", "/proc/net/nf_conntrack")
    return [x for x in text.splitlines() if f"dport={UDP_PORT}" in x]


def conntrack(both):
    """Trains are known to it, also where its hooks were there first."""
    if subprocess.run(["modprobe", "-qn", "nf_conntrack"]).returncode:
        raise Skip("this kernel has no connection tracking")
    call("modprobe", "nf_conntrack", "enable_hooks=1")
    try:
        device = both.b["DEV"]
        both.delete_link(device)
        both.add_link(1, device, "sodp", both.b["NETDEV"])
        settle(both.b)
        refresh(both)
        if tracked("b"):
            raise Failure("known before it began")
        write(both)
        if not tracked("b"):
            raise Failure("trains went past it")
    finally:
        call("modprobe", "-r", "nf_conntrack")


def physical(end):
    words = end.run(["rdma", "link", "show", f"{end['DEV']}/1"]).split()
    return words[words.index("physical_state") + 1]


def port_events_of(watch):
    lines = watch.output().splitlines()
    return [t for x in lines for k, t in PORT_EVENTS.items() if k in x]


def change_port(both, watch, space, netdev):
    """Down and up; returns what the port was when it was down.

    The kernel tells of the carrier once a second, and of what it is then:
    each event is waited for.
    """
    before = len(port_events_of(watch))
    call("ip", "-n", space, "link", "set", netdev, "down")
    try:
        want_state(both.a, "DOWN")
        seen = physical(both.a)
        wait_for("down event", lambda: len(port_events_of(watch)) > before)
    finally:
        call("ip", "-n", space, "link", "set", netdev, "up")
    want_state(both.a, "ACTIVE")
    wait_for("up event", lambda: len(port_events_of(watch)) > before + 1)
    # A change, but not of the state
    for flag in ("on", "off"):
        call(*f"ip -n a link set wa dynamic {flag}".split())
    return seen


def port_events(both):
    """One event for each change, and none for what is no change."""
    args = ["stdbuf", "-oL", "ibv_asyncwatch", "-d", both.a["DEV"]]
    watch = both.a.start(args)
    wait_for("watch", lambda: "event FD" in watch.output())
    try:
        ends = ("a", "wa"), ("b", "wb")
        states = [change_port(both, watch, *end) for end in ends]
        time.sleep(SLOW)
    finally:
        watch.kill()
    refresh_six(both)
    found = port_events_of(watch)
    if found != ["error", "active"] * 2:
        raise Failure(f"events {found}:\n{watch.output()}")
    if states != ["DISABLED", "POLLING"]:
        raise Failure(f"set down, then without carrier: {states}")


@contextlib.contextmanager
def one_space(*netdevs):
    """A namespace x with dummy interfaces."""
    with namespace("x"):
        for name in netdevs:
            words = f"-n x link add name {name} up type dummy"
            call("ip", *words.split())
        yield


def add_link(name, netdev):
    words = f"rdma link add {name} type sodp netdev {netdev}"
    within("x", *words.split())


def exclusive():
    """A link belongs to the namespace that it is added in."""
    if not rxe_has_netns():
        raise Skip("this kernel makes all devices in the first namespace")
    call(*"rdma system set netns exclusive".split())
    try:
        with one_space("dx"):
            add_link("sodpx", "dx")
            there = call(*"ip netns exec x rdma dev".split())
            here = call("rdma", "dev")
            if "sodpx" in here or "sodpx" not in there:
                raise Failure(f"here:\n{here}\nthere:\n{there}")
            call(*"ip netns exec x rdma link delete sodpx".split())
    finally:
        call(*"rdma system set netns shared".split())


def ports_of_x():
    text = call(*f"ip netns exec x ss -Huln sport = :{UDP_PORT}".split())
    return sorted(x.split()[3].rsplit(":", 1)[0] for x in text.splitlines())


def half_port():
    """Another has the port of IPv6: sodp has none of either."""
    with one_space("dx", "dy"):
        holder = LocalEnd("x", {}, "x").start(["python3", "-c", HOLD_PORT6])
        try:
            wait_for("port held", ports_of_x)
            held = ports_of_x()
            add_link("sodpx", "dx")
            if ports_of_x() != held:
                raise Failure(f"{held} before, {ports_of_x()} now")
        finally:
            holder.kill()
        # The next one finds it free
        add_link("sodpy", "dy")
        if len(ports_of_x()) != 2:
            raise Failure(f"{ports_of_x()} when the port is free")
        for name in ("sodpx", "sodpy"):
            call("rdma", "link", "delete", name)


def send_datagram(device, address, length):
    """Status of the send of a datagram to oneself."""
    from pyverbs import enums as e
    from pyverbs.addr import AH, AHAttr, GlobalRoute
    from pyverbs.cq import CQ
    from pyverbs.device import Context
    from pyverbs.mr import MR
    from pyverbs.pd import PD
    from pyverbs.qp import QP, QPAttr, QPCap, QPInitAttr
    from pyverbs.wr import SGE, SendWR

    index = devices.gid_index(device, address)
    ctx = Context(name=device)
    pd, cq = PD(ctx), CQ(ctx, 10)
    init = QPInitAttr(
        qp_type=e.IBV_QPT_UD, scq=cq, rcq=cq, cap=QPCap(), sq_sig_all=1
    )
    qp = QP(pd, init, QPAttr())
    route = GlobalRoute(dgid=ctx.query_gid(1, index), sgid_index=index)
    ah = AH(pd, attr=AHAttr(gr=route, is_global=1, port_num=1))
    mr = MR(pd, length, e.IBV_ACCESS_LOCAL_WRITE)
    work = SendWR(num_sge=1, sg=[SGE(mr.buf, length, mr.lkey)])
    work.set_wr_ud(ah, qp.qp_num, 0)
    qp.post_send(work)
    done = []

    def poll():
        done.extend(cq.poll()[1])
        return done

    wait_for("completion", poll)
    status = done[0].status
    for thing in (qp, ah, mr, cq, pd, ctx):
        thing.close()
    return status


def tiny_mtu():
    """A send that is too long is an error on every netdev."""
    address, device = "10.73.0.1", "sodpx"
    call(*"ip link add name dx mtu 300 up type dummy".split())
    try:
        call("ip", "addr", "add", f"{address}/24", "dev", "dx")
        call(*f"rdma link add {device} type sodp netdev dx".split())
        # IBV_WC_SUCCESS and IBV_WC_LOC_LEN_ERR
        for length, want in ((256, 0), (257, 1), (1000, 1)):
            status = send_datagram(device, address, length)
            if status != want:
                raise Failure(f"{length} bytes: status {status}, not {want}")
    finally:
        call(*"ip link del dx".split())
        here = LocalEnd("here", {})
        wait_for("no device", lambda: not port_state(here, device))


@contextlib.contextmanager
def second_way(both):
    """From a device on the control pair to the address of b's wire."""
    here, there = both.a["ADDR"], both.b["ADDR"]
    ways = [f"-n a route add {there}/32 via 10.76.0.2 dev ca"]
    ways += ["-n b route add 10.76.0.1/32 dev wb"]
    both.add_link(0, "sodpc", "sodp", "ca")
    try:
        for words in ways:
            call("ip", *words.split())
        yield here, there
    finally:
        for words in ways:
            words = words.replace(" add ", " del ")
            call("ip", *words.split())
        both.delete_link("sodpc")


def ingress(both):
    """An address is that of its netdev: by another, nobody gets anything."""
    from tests.wire.direct import Side

    with second_way(both) as (here, there), contextlib.ExitStack() as stack:
        sides = {
            (kind, name): stack.enter_context(Side(device, address, kind))
            for kind in ("UD", "UC")
            for name, device, address in (
                ("to", both.b["DEV"], there),
                ("wrong", "sodpc", "10.76.0.1"),
                ("right", both.a["DEV"], here),
            )
        }
        ingress_ud(both, *(sides["UD", x] for x in ("to", "wrong", "right")))
        to, wrong = sides["UC", "to"], sides["UC", "wrong"]
        wrong.connect(to.gid, to.qp.qp_num)
        to.connect(wrong.gid, wrong.qp.qp_num)
        want_dropped(both, lambda: wrong.send(to.qp.qp_num, "UC"), "UC")


def want_dropped(both, send, what):
    """It arrives, and nobody gets it."""
    packets, drops = [
        counter(both.b, name) for name in ("rx_packets", "rx_drops")
    ]
    send()
    wait_for(f"{what} drop", lambda: counter(both.b, "rx_drops") > drops, 5)
    if counter(both.b, "rx_packets") != packets:
        raise Failure(f"{what}: a QP was given it")


@contextlib.contextmanager
def more_addresses(both):
    """Another one for either end of the wire."""
    places = [("a", "wa", "10.75.0.91"), ("b", "wb", "10.75.0.92")]
    try:
        for space, netdev, address in places:
            words = f"-n {space} addr add {address}/24 dev {netdev}"
            call("ip", *words.split())
        yield [address for _, _, address in places]
    finally:
        for space, netdev, address in places:
            words = f"-n {space} addr del {address}/24 dev {netdev}"
            call("ip", *words.split())


def addresses(both):
    """A connected QP has one address, and its peer one."""
    from tests.wire.direct import Side, gid_of

    with more_addresses(both) as (near, far), contextlib.ExitStack() as stack:
        devs = both.a["DEV"], both.b["DEV"]
        to, right, wrong = [
            stack.enter_context(Side(device, address, "UC"))
            for device, address in (
                (devs[1], both.b["ADDR"]),
                (devs[0], both.a["ADDR"]),
                (devs[0], near),
            )
        ]
        number = to.qp.qp_num
        to.connect(right.gid, right.qp.qp_num)
        to.receive()
        right.connect(gid_of(far), number)
        want_dropped(both, lambda: right.send(number, "to"), "UC to another")
        wrong.connect(to.gid, number)
        want_dropped(both, lambda: wrong.send(number, "by"), "UC by another")


def ingress_ud(both, to, wrong, right):
    number = to.qp.qp_num
    for side in (wrong, right):
        side.reach(to.gid)
    for text in ("one", "two"):
        to.receive()
        want_dropped(both, lambda: wrong.send(number, f"not {text}"), "UD")
        right.send(number, text)
        got = to.received()[1]
        if got != text:
            raise Failure(f"got '{got}', not '{text}'")


def constant_part(grh):
    """All but what differs from one IPv4 packet to the next."""
    if grh[0] >> 4 == 6:
        return grh
    if sum(struct.unpack(">10H", grh[20:])) % 0xFFFF or any(grh[:20]):
        raise Failure(f"no IPv4 header in {grh.hex()}")
    return grh[:24] + grh[26:30] + grh[32:]


def near_datagrams(both):
    """Inside a host they go by no wire, and nobody can tell."""
    from tests.wire.direct import QKEY, Side

    device, seen = both.a["DEV"], {}
    for key in ("ADDR", "ADDR6"):
        ends = [Side(device, both.a[key]) for _ in range(2)]
        with ends[0] as to, ends[1] as origin:
            origin.reach(to.gid)
            number = to.qp.qp_num
            for on in (False, True, False):
                with wire_only(on):
                    grh = near_round(both.a, to, origin, on)
                    if seen.setdefault(key, grh) != grh:
                        raise Failure(f"{seen[key].hex()} and {grh.hex()}")
                    near_refused(both.a, to, origin)
                    near_drop(both.a, origin, number, QKEY)


def near_round(end, to, origin, on):
    packets = counter(end, "tx_packets")
    to.receive()
    origin.send(to.qp.qp_num, "hello")
    grh, text = to.received()
    if text != "hello":
        raise Failure(f"got '{text}'")
    sent = counter(end, "tx_packets") - packets
    if sent != on:
        raise Failure(f"{sent} packets were sent")
    return constant_part(grh)


def near_refused(end, to, origin):
    """There is a receive, and not for who names another key or number."""
    from tests.wire.direct import QKEY

    number = to.qp.qp_num
    to.receive()
    for args in ((number, QKEY + 1), (0xFFFFFE, QKEY)):
        near_drop(end, origin, *args)
    origin.send(number, "found")
    text = to.received()[1]
    if text != "found":
        raise Failure(f"got '{text}'")


def near_drop(end, origin, number, qkey):
    """A success for the sender, and a datagram that is lost."""
    drops = counter(end, "rx_drops")
    origin.send(number, "lost", qkey)
    wait_for("drop", lambda: counter(end, "rx_drops") == drops + 1)


@contextlib.contextmanager
def responders_run():
    """By senders: yields a function for the {(thread, QP): times} so far."""
    # Cut short, the file would end all probes
    events = f"{TRACING}/kprobe_events"
    put(events, "p:sodp/run sodp:sodp_wresp_run qp=$arg1\n", cut=False)
    try:
        with tallied("sodp/run", "hist:keys=common_pid,qp") as tally:

            def seen():
                found = re.findall(r"pid: *(\d+), qp: *(\w+) (\d+)", tally())
                return {(int(who), qp): int(nr) for who, qp, nr in found}

            yield seen
    finally:
        put(events, "-:sodp/run\n", cut=False)


@contextlib.contextmanager
def received_by(end, cpu):
    """One CPU takes in all that comes to an end."""
    path = f"/sys/class/net/{end['NETDEV']}/queues/rx-0/rps_cpus"
    end.run(["sh", "-c", f"echo {1 << cpu:x} > {path}"])
    try:
        yield
    finally:
        end.run(["sh", "-c", f"echo 0 > {path}"])


def pinned(both, stack, cpu, options):
    """A flow whose sender has a CPU of its own."""
    flow = Flow(both, cpu, "ib_write_bw", options)
    stack.callback(flow.server.kill)
    flow.args[1] = ["taskset", "-c", str(cpu)] + flow.args[1]
    return flow


def near_requests(both):
    """Who waits for a peer of this host runs its responder, and no other's.

    What another sends meanwhile comes to the same CPU.
    """
    if not os.path.exists(f"{TRACING}/kprobe_events"):
        raise Skip("the kernel has no kprobe events")
    with contextlib.ExitStack() as stack:
        stack.enter_context(received_by(both.b, 0))
        seen = stack.enter_context(responders_run())
        stranger = pinned(both, stack, 1, "-s 65536 -n 1000000")
        old = counter(both.b, "rx_packets")
        stranger.begin()
        stack.callback(stranger.client.kill)
        wait_for("traffic", lambda: counter(both.b, "rx_packets") > old + 1000)
        mine = []
        # While ksoftirqd has the CPU's packets, nothing is near
        for _ in range(10):
            waiter = pinned(both, stack, 0, "-s 64 -t 1 -n 300")
            waiter.begin()
            waiter.rate(60)
            thread = waiter.client.process.pid
            mine = [n for (who, _), n in seen().items() if who == thread]
            if mine:
                break
        if stranger.client.poll() is not None:
            raise Failure(f"no stranger: {stranger.client.output()}")
    if len(mine) != 1:
        raise Failure(f"ran responders of {len(mine)} QPs")
    return f"{mine[0]} times"


ALONE = {
    "exclusive": exclusive,
    "half_port": half_port,
    "tiny_mtu": tiny_mtu,
}
# With the same two ends, one after the other
TOGETHER = {
    "own_vlan": own_vlan,
    "ipsec": ipsec,
    "gro_list": gro_list,
    "conntrack": conntrack,
    "port_events": port_events,
    "near_datagrams": near_datagrams,
    "near_requests": near_requests,
    "ingress": ingress,
    "addresses": addresses,
    "bridge": bridge,
}


def main(argv):
    with contextlib.ExitStack() as stack:
        ends = functools.cache(lambda: stack.enter_context(pair()))
        cases = dict(ALONE)
        for name, case in TOGETHER.items():
            cases[name] = lambda case=case: case(ends())
        # Those that want no pair of ends beside them come first
        names = sorted(argv, key=TOGETHER.__contains__)
        return run_cases(cases, names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
