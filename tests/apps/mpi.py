# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""MPI programs over on-demand paging: Open MPI and MPICH on UCX.

mpi.py [--quick] TOPOLOGY [CASE…]

The commands are those of docs/mpi.md; the programs (mpi_*.c) compare every
byte.  On one host, TOPOLOGY `local`; `sodp-sodp` and `peer` put a rank at
either end.
"""

import functools
import os
import sys

from tests.apps.apps import (
    BOOKWORM,
    BUILT,
    IMPLICIT,
    MODES,
    ODP,
    PINNED,
    PREFETCH,
    SHIM,
    Counted,
    between_two,
    commands,
    filled,
    main,
    shell,
    with_ucx,
)
from tests.apps.hosts import NAMES, SELF, joined, named
from tests.common.machine import wire_only
from tests.common.tap import Failure

NONBLOCK = "UCX_REG_NONBLOCK_MEM_TYPES=host"
PROGRAM = "./my_program"
SURROUNDINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_plm_ssh_agent": SELF,
}
# Words for two hosts; Open MPI takes its ssh from the environment
LAUNCHER = {
    "openmpi": "--mca osc ucx",
    "mpich": f"-launcher ssh -launcher-exec {SELF}",
}
SECONDS = 300
ROUNDS = {"pingpong": 1, "collectives": 2, "onesided": 1}


def setting(text, kind, name, value):
    """Give all ranks a variable of the environment."""
    if kind == "mpich":
        return f"export {name}={value}\n{text}"
    return text.replace(PROGRAM, f"-x {name}={value} {PROGRAM}")


def in_mode(text, kind, mode):
    """The page's command with memory registered in another way."""
    if mode in (PINNED, IMPLICIT):
        if NONBLOCK not in text and mode == PINNED:
            return text
        text = text.replace(NONBLOCK, NONBLOCK[:-4])
    if mode == PREFETCH:
        text = setting(text, kind, "UCX_IB_ODP_PREFETCH", "y")
    if mode == IMPLICIT and kind == "mpich":
        # Not for mpiexec itself
        text = text.replace(PROGRAM, f"env LD_PRELOAD={SHIM} {PROGRAM}")
    elif mode == IMPLICIT:
        text = setting(text, kind, "LD_PRELOAD", SHIM)
    return text


def with_ranks(text, ranks):
    if ranks > 2:
        text = text.replace("-np 2", f"-np {ranks} --map-by :OVERSUBSCRIBE")
        text = text.replace("-n 2", f"-n {ranks}")
    return text


def run_text(ends, kind, text, program, mode, wrapper=""):
    """Run a page's commands, made ready for the mode, as a test.

    wrapper: what starts the program; not empty: on two hosts.
    """
    binary = f"{wrapper}{BUILT}/{program}.{kind} {ROUNDS.get(program[4:], '')}"
    text = filled(text, ends[0], **{PROGRAM: binary})
    # A rank may finalize while another one still flushes: docs/mpi.md
    allowed = ("completion_errors",) if kind == "mpich" else ()
    with Counted(ends, mode, allowed) as counted:
        words = named(NAMES[0], shell(text)) if wrapper else shell(text)
        said = ends[0].run(words, SECONDS, **SURROUNDINGS)
    if "right: " not in said:
        raise Failure(f"no result:\n{said}")
    return counted.note()


def run(near, kind, label, program, mode, scheme="get_zcopy", ranks=2):
    """One job on one device."""
    text = in_mode(commands("mpi", label), kind, mode)
    text = with_ranks(text, ranks)
    if scheme == "auto":
        text = text.replace("UCX_RNDV_THRESH=4k", "UCX_RNDV_THRESH=auto")
    text = text.replace("get_zcopy", scheme)
    return run_text([near], kind, text, program, mode)


def label_of(kind, program):
    if kind == "openmpi" and program == "mpi-onesided":
        return "openmpi-onesided"
    return kind


def case(near, kind, program, mode, scheme="get_zcopy", ranks=2):
    """Name and function of one job on one device."""
    name = f"{kind} {program[4:]} {mode}"
    name += f" {scheme}" if program != "mpi-onesided" else ""
    name += f" {ranks} ranks" if ranks != 2 else ""
    return name, functools.partial(
        run, near, kind, label_of(kind, program), program, mode, scheme, ranks
    )


def quick_cases(near):
    """Each program, MPI and way to register at least once."""
    yield case(near, "openmpi", "mpi-pingpong", ODP)
    yield case(near, "openmpi", "mpi-collectives", PREFETCH)
    yield case(near, "openmpi", "mpi-onesided", IMPLICIT)
    yield case(near, "mpich", "mpi-pingpong", IMPLICIT, "put_zcopy")
    yield case(near, "mpich", "mpi-collectives", ODP)
    yield case(near, "mpich", "mpi-onesided", PINNED)


def bookworm_cases(near):
    """Not MPICH 4.0.2's one-sided: put and fence leave wrong bytes there on
    TCP and in shared memory as well."""
    for kind in ("openmpi", "mpich"):
        yield case(near, kind, "mpi-pingpong", IMPLICIT)
        yield case(near, kind, "mpi-collectives", IMPLICIT, "put_zcopy")
    yield case(near, "openmpi", "mpi-onesided", IMPLICIT)


def all_cases(near):
    for kind in ("openmpi", "mpich"):
        for mode in MODES:
            for scheme in ("get_zcopy", "put_zcopy"):
                yield case(near, kind, "mpi-pingpong", mode, scheme)
            yield case(near, kind, "mpi-collectives", mode)
            yield case(near, kind, "mpi-onesided", mode)
        yield case(near, kind, "mpi-pingpong", PINNED, "auto")
        for program in ("pingpong", "collectives", "onesided"):
            name = f"mpi-{program}"
            yield case(near, kind, name, ODP, "get_zcopy", 4)
            title, work = case(near, kind, name, ODP)
            yield f"{title} wire_only", functools.partial(by_packets, work)
    for mode in (PINNED, IMPLICIT):
        yield f"openmpi btl-uct {mode}", functools.partial(
            run, near, "openmpi", "openmpi-btl-uct", "mpi-onesided", mode
        )
    for mode in MODES:
        yield f"openshmem {mode}", functools.partial(
            run, near, "openmpi", "openshmem", "shmem-check", mode
        )
    yield "counters", functools.partial(page_counter, near)


def by_packets(work):
    with wire_only():
        return work()


def page_counter(near):
    """What the page tells users to look at."""
    text = near.run(shell(filled(commands("mpi", "counters"), near)))
    if not int(text):
        raise Failure("no page fault is counted")


def on_two_hosts(near, far, kind, program, mode):
    """A rank at either end, started there by a launcher."""
    text = in_mode(commands("mpi", f"{kind}-hosts"), kind, mode)
    # In two namespaces the devices have different names: see hosts.py
    text = text.replace("-x UCX_NET_DEVICES=sodp0:1", "")
    text = text.replace("UCX_NET_DEVICES=sodp0:1 ", "")
    text = text.replace("host1,host2", f"host1,host2 {LAUNCHER[kind]}")
    wrapper = f"{SELF} device {near['DEV']} {far['DEV']} "
    with joined(near, far):
        return run_text([near, far], kind, text, program, mode, wrapper)


def two_ended_cases(near, far, modes):
    for program in ("pingpong", "collectives", "onesided"):
        for mode in modes:
            for kind in ("openmpi", "mpich"):
                yield f"{kind} {program} {mode}", functools.partial(
                    on_two_hosts, near, far, kind, f"mpi-{program}", mode
                )


def cases_of(near, far, quick):
    if between_two(near, far):
        modes = (ODP,) if quick else MODES
        return with_ucx(two_ended_cases(near, far, modes))
    short = bookworm_cases if BOOKWORM else quick_cases
    return with_ucx(short(near) if quick else all_cases(near))


if __name__ == "__main__":
    os.environ.update(SURROUNDINGS)
    sys.exit(main(cases_of, sys.argv[1:]))
