# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Network and RDMA devices of the guest, and their environment."""

import glob
import ipaddress
import os
import shutil
import subprocess

from tests.common.machine import WIRE_ONLY, call, put, wait_for
from tests.common.tap import Failure

SODP = ("sodp0", "sodpnet0", "10.77.0.1", "sodp")
RXE = ("rxe0", "rxenet0", "10.78.0.1", "rxe")

# The cable between two machines; {} is the number of the machine
CABLE, CABLE4, CABLE6 = "eth0", "10.79.0.{}", "fd79::{}"

# Those that ip(8) has given a name
SPACES = "/run/netns"
PROVIDERS = "/build/user/providers/sodp/libsodp-rdmav*.so"
DRIVER_FOLDER = "/etc/libibverbs.d"

# Files of /build that others lie over
_bound = []


def set_up(spec):
    """Everything before the first step; returns environment variables."""
    for path in glob.glob("/build/modules/*"):
        os.symlink(path, f"/lib/modules/{os.path.basename(path)}")
    call("ip", "link", "set", "lo", "up")
    modules = ["dummy", "ib_uverbs", "rdma_ucm", "ib_umad"]
    call("modprobe", "-a", *modules)
    env = {"SODP_BUILD": "/build/user", "SODP_KERNEL": spec["kernel"]}
    env["SODP_SUITE"] = spec["suite"]
    # How much longer than on a stock kernel a test may wait.
    env["SODP_SLOW"] = str(spec["slowness"])
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    number = spec.get("net")
    if number:
        env.update(_plug_cable(number))
    if spec["rxe"]:
        # First: it insists on the UDP port of a namespace, sodp does not.
        call("modprobe", "rdma_rxe")
        env.update(_make_link("RXE", *RXE, number))
    if spec["sodp"] and not spec["loads"]:
        env.update(_load_sodp(spec))
    if spec["rxe"] and not spec["sodp"]:
        # Try what is written for sodp on rxe.
        for key in [k for k in env if k.startswith("RXE_")]:
            env[f"SODP_{key[4:]}"] = env[key]
    tools = "/build/user/tools/sodpctl"
    env["PATH"] = f"{tools}:{os.environ['PATH']}"
    return env


def module_path(name):
    """A freshly built module; they may lie in folders of their own."""
    found = glob.glob(f"/build/kernel/{name}.ko")
    if not found:
        raise Failure(f"the build made no {name}.ko")
    return found[0]


def load(name, *options):
    path = module_path(name)
    depends = call("modinfo", "-F", "depends", path).strip().split(",")
    own = {"rdma_odp", "sodp"}
    foreign = [d for d in depends if d and d not in own]
    if foreign:
        call("modprobe", "-a", *foreign)
    call("insmod", path, *options)


def load_modules():
    for name in ("rdma_odp", "sodp"):
        load(name)


def _load_sodp(spec):
    load_modules()
    install_provider()
    return _make_link("SODP", *SODP, spec.get("net"))


def install_provider():
    found = glob.glob(PROVIDERS)
    if not found:
        raise Failure("the build made no provider (libsodp-rdmav*.so)")
    for folder in glob.glob("/usr/lib/*/libibverbs"):
        for path in found:
            shutil.copy(path, folder)
    with open(f"{DRIVER_FOLDER}/sodp.driver", "w") as handle:
        handle.write("driver sodp\n")


def _ip_batch(lines, what):
    done = subprocess.run(
        ["ip", "-batch", "-"], input=lines, capture_output=True, text=True
    )
    if done.returncode:
        raise Failure(f"making {what}: {done.stderr.strip()}")


def _plug_cable(number):
    """The network card that leads to the other machine."""
    call("modprobe", "virtio_net")
    card = f"/sys/class/net/{CABLE}"
    wait_for("a network card", lambda: os.path.exists(card), 10)
    lines = f"""link set {CABLE} mtu 9000 up
        addr add {CABLE4.format(number)}/24 dev {CABLE}
        addr add {CABLE6.format(number)}/64 dev {CABLE} nodad
    """
    _ip_batch(lines, CABLE)
    other = 3 - number
    return {
        "SODP_PEER": CABLE4.format(other),
        "SODP_PEER6": CABLE6.format(other),
    }


def _make_link(prefix, device, netdev, address, kind, number=None):
    """A link on a dummy of its own, or on the cable of machine `number`."""
    if number:
        netdev, address = CABLE, CABLE4.format(number)
    else:
        lines = f"""link add {netdev} mtu 9000 type dummy
            link set {netdev} up
            addr add {address}/24 dev {netdev}
        """
        _ip_batch(lines, netdev)
    call("rdma", "link", "add", device, "type", kind, "netdev", netdev)
    env = {
        f"{prefix}_DEV": device,
        f"{prefix}_ADDR": address,
        f"{prefix}_GID_INDEX": str(gid_index(device, address)),
    }
    if number:
        address = CABLE6.format(number)
        env[f"{prefix}_ADDR6"] = address
        env[f"{prefix}_GID6_INDEX"] = str(gid_index(device, address))
    return env


def gid_of(address):
    """The GID of an address, as sysfs prints it."""
    ip = ipaddress.ip_address(address)
    raw = ip.packed
    if ip.version == 4:
        raw = b"\0" * 10 + b"\xff\xff" + raw
    return ":".join(raw[i : i + 2].hex() for i in range(0, 16, 2))


def gid_index(device, address):
    """Index of the RoCEv2 GID of an address."""
    want = gid_of(address)
    port = f"/sys/class/infiniband/{device}/ports/1"

    def found():
        for path in sorted(glob.glob(f"{port}/gids/*")):
            index = os.path.basename(path)
            try:
                gid = open(path).read().strip()
                kind = open(f"{port}/gid_attrs/types/{index}").read()
            except OSError:
                continue
            if gid == want and "v2" in kind:
                return index
        return None

    return int(wait_for(f"{device}: a RoCEv2 GID for {address}", found, 5))


def _unload_sodp(spec):
    call("rdma", "link", "delete", SODP[0])
    call("rmmod", "sodp")
    call("rmmod", "rdma_odp")
    if not spec.get("net"):
        call("ip", "link", "delete", SODP[1])


def tear_down(spec, _step):
    """Links gone, modules out: what a clean unload needs."""
    if spec["rxe"]:
        call("rdma", "link", "delete", RXE[0])
        call("rmmod", "rdma_rxe")
    if spec["sodp"]:
        _unload_sodp(spec)


def load_trial(spec, step):
    """What was built otherwise, in the place of what it stands for."""
    folder = step["folder"]
    for top, _, names in os.walk(folder) if folder else ():
        for name in names:
            path = os.path.join(top, name)
            target = "/build" + path[len(folder) :]
            call("mount", "--bind", path, target)
            _bound.append(target)
    return _load_sodp(spec) if _loads(spec, step) else {}


def _loads(spec, step):
    """The machine at the other end may be to have rdma_rxe alone."""
    return step["modules"] and spec["sodp"]


def unload_trial(spec, step):
    if _loads(spec, step):
        _unload_sodp(spec)
    while _bound:
        call("umount", _bound.pop())


def reset():
    """What a step that was killed may have left."""
    if os.path.exists(WIRE_ONLY):
        put(WIRE_ONLY, 0)
    for space in os.listdir(SPACES) if os.path.isdir(SPACES) else ():
        subprocess.run(["ip", "netns", "del", space], capture_output=True)


BUILTINS = {
    "tear_down": tear_down,
    "load": load_trial,
    "unload": unload_trial,
}
