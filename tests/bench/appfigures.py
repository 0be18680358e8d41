# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Figures of applications: what on-demand paging does for programs that
register much, beside the same program on something else."""

import os
import re
import subprocess

from tests.bench.figures import figure
from tests.bench.measure import median, size_name
from tests.common.machine import counter
from tests.common.tap import Failure

BUILT = "/build/apps"
SIZES = (8, 65536, 1048576)
LIMIT = 300
APPS = "mpi,ucx,libfabric,storage,sockets"
PAGE_DEVICE = "sodp0"
PEAK = "/src/tests/apps/peak.py"


def run(text, **env):
    """Output of shell commands."""
    env = dict(
        os.environ,
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        **env,
    )
    try:
        done = subprocess.run(
            ["bash", "-ec", text],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"no end: {text}")
    if done.returncode:
        last = done.stdout.strip().splitlines()[-1:] or ["no output"]
        raise Failure(f"status {done.returncode}: {last[0]}")
    return done.stdout


def mpi_command():
    """docs/mpi.md's, for mpi-speed."""
    from tests.apps.apps import commands

    words = " ".join(str(size) for size in SIZES)
    text = commands("mpi", "openmpi")
    return text.replace("./my_program", f"{BUILT}/mpi-speed.openmpi {words}")


def pinned(text):
    name = "UCX_REG_NONBLOCK_MEM_TYPES="
    return text.replace(f"{name}host", name)


def speeds(text, **env):
    """size -> (us, MB/s)"""
    found = {}
    for line in run(text, **env).splitlines():
        if re.fullmatch(r"\d+ [\d.]+ [\d.]+", line):
            size, *numbers = line.split()
            found[int(size)] = tuple(float(x) for x in numbers)
    if sorted(found) != sorted(SIZES):
        raise Failure("no figures")
    return found


def on_demand():
    before = counter(PAGE_DEVICE, "page_faults")
    found = speeds(mpi_command())
    if counter(PAGE_DEVICE, "page_faults") == before:
        raise Failure("no page of an on-demand region was touched")
    return found


def beside(theirs, sizes, tries):
    """The worst median ratio of bandwidths, ours to `theirs()`, and words.

    The two take turns, as the host may be busier at one time than another.
    """
    pairs = [(on_demand(), theirs()) for _ in range(tries)]

    def middle(size, what):
        return [
            median([pair[who][size][what] for pair in pairs]) for who in (0, 1)
        ]

    said = []
    for size in SIZES:
        mine, other = middle(size, 0)
        said.append(f"{size_name(size)} {mine:.0f} / {other:.0f} us")
    ratios = []
    for size in sizes:
        mine, other = middle(size, 1)
        ratios.append(mine / other)
        said.append(
            f"{size_name(size)} {mine:.0f} / {other:.0f} MB/s = "
            f"{ratios[-1]:.2f}"
        )
    return min(ratios), "Open MPI on UCX: " + ", ".join(said)


@figure(">= 5", smp=2, groups=APPS)
def apps_mpi_rxe():
    text = pinned(mpi_command()).replace(PAGE_DEVICE, "rxe0")

    def theirs():
        # UCX drops all of its datagrams otherwise: docs/ucx.md
        return speeds(text, UCX_UD_VERBS_ETH_DGID_CHECK="n")

    return beside(theirs, (65536, 1048576), 1)


@figure(">= 0.8", smp=2, groups=APPS)
def apps_mpi_shm():
    text = pinned(mpi_command()).replace("UCX_TLS=rc,self", "UCX_TLS=sm,self")
    text = text.replace(f"-x UCX_NET_DEVICES={PAGE_DEVICE}:1", "")
    return beside(lambda: speeds(text), (1048576,), 3)


def atomic_memory(**env):
    """Peak of one process' resident memory in MB, and seconds."""
    server = "/opt/fabtests/bin/fi_rdm_atomic -p 'verbs;ofi_rxm' -o all -I 2"
    text = f"{server} -s $SODP_ADDR > /dev/null & sleep 2; "
    text += f"python3 -B {PEAK} {server} $SODP_ADDR; wait"
    words = run(text, **env).split()
    return float(words[-2]), float(words[-1])


@figure("<= 0.6", smp=2, groups=APPS, mem="10G")
def apps_atomic_memory():
    """fi_rdm_atomic registers much more than it uses."""
    odp = atomic_memory(FI_VERBS_USE_ODP="1")
    pin = atomic_memory()
    detail = (
        f"fi_rdm_atomic: {odp[0]:.0f} / {pin[0]:.0f} MB resident, "
        f"{odp[1]:.1f} / {pin[1]:.1f} s"
    )
    return odp[0] / pin[0], detail


@figure("<= 0.01", smp=2, groups=APPS, mem="10G")
def apps_start():
    """A job that registers 8 GiB before it begins."""
    words = f"{BUILT}/register {PAGE_DEVICE} 8"
    odp = float(run(f"{words} odp"))
    pin = float(run(f"{words} pinned"))
    return odp / pin, f"ibv_reg_mr of 8 GiB: {odp:.2f} / {pin:.0f} ms"
