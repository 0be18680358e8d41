# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The native clock of ./lab bench --native: where the figures come from.

With KVM it is Debian's kernel in QEMU.  Without, it is User Mode Linux,
which runs the kernel's code as natively but not its system calls: what
these cost is then measured on the host, outside.
"""

import json
import os
from pathlib import Path

from . import build, host, kvm, rootfs, suites
from .host import LabError
from .vm import VmConfig

KERNEL = "7.2"
PROGRAM = "/build/user/tests/bench/sodp-bench"

# Of tests/bench/host.c, by what nativefigures.py calls them
PEERS = {
    "near": "vm sizes=4K,64K,1M reps=31",
    "far": "vm sizes=64K,1M reps=31 far=1 buffer=64M",
}


def _kernel(args):
    wanted = args.kernel
    if wanted == suites.UML:
        return wanted
    if kvm.works(rootfs.ensure(suites.DEFAULT_SUITE, args.verbose)):
        return wanted or KERNEL
    if wanted:
        raise LabError(
            f"--native: no KVM here, and without it kernel {wanted} has no "
            f"true time (only --kernel {suites.UML} has)"
        )
    return suites.UML


def config(figure, args):
    if args.icount:
        raise LabError("--native and --icount exclude each other")
    place = suites.pick(args.suite, figure.kernel or _kernel(args))
    if place is None:
        raise LabError(f"suite {args.suite} has no native clock")
    return VmConfig(
        *place,
        smp=args.smp or 2,
        mem=args.mem or figure.mem,
        sodp=not args.no_sodp,
        contents=figure.contents,
    )


def _cpu():
    """Model and family of the host's CPU."""
    found = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    words = [found.get("model name", "unknown CPU")]
    words += [f"{k} {found[k]}" for k in ("cpu family", "model") if k in found]
    return ", ".join(words)


def described(config):
    """What a reader of the figures has to know."""
    way = "KVM"
    if config.kernel == suites.UML:
        way = "User Mode Linux, no KVM (its system calls are not native)"
    load = os.getloadavg()[0]
    return (
        f"native clock: {way}; {config}; {_cpu()}; {os.cpu_count()} CPUs, "
        f"load {load:.1f}"
    )


def environment(machine):
    """For the figures' program: what only the host can tell."""
    if machine.config.kernel != suites.UML:
        return {}
    return {"SODP_HOST": json.dumps({k: _peer(machine, k) for k in PEERS})}


def _peer(machine, name):
    with host.temp_dir("native") as temp:
        log = temp / "out"
        status = build.in_root(
            machine.root,
            machine.build.user.path,
            f"{PROGRAM} {PEERS[name]}",
            log,
        )
        text = log.read_text()
    if status:
        raise LabError(f"cannot measure the host: {text.strip()[-200:]}")
    return [json.loads(line) for line in text.splitlines()]
