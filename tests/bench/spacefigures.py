# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Figures of regions over the same memory, and of memory used sparsely."""

from tests.bench.figures import PAGE, figure
from tests.bench.measure import (
    Device,
    MemoryWatch,
    median,
    primitive,
    size_name,
)


def _reg_use_lines():
    return primitive("reg_use", Device("SODP"))


@figure("<= 1.1")
def reg_use():
    """Register, WRITE, deregister, over the sum of its parts."""
    ratios, said = [], []
    for line in _reg_use_lines():
        used, unused, write = (
            median(line[f"{key}_ns"]) for key in ("used", "unused", "write")
        )
        ratios.append(used / (unused + write))
        said.append(
            f"{size_name(line['len'])} {used / 1000:.1f} us / "
            f"({unused / 1000:.1f} + {write / 1000:.1f}) = {ratios[-1]:.3f}"
        )
    return max(ratios), "; ".join(said)


@figure("<= 0.9")
def reg_use_pinned():
    """The same with a region on demand over that with a pinned one."""
    ratios, said = [], []
    for line in _reg_use_lines():
        odp, pinned = (median(line[f"{key}_ns"]) for key in ("used", "pinned"))
        ratios.append(odp / pinned)
        said.append(
            f"{size_name(line['len'])} {odp / 1000:.1f} / "
            f"{pinned / 1000:.1f} us = {ratios[-1]:.3f}"
        )
    return max(ratios), "; ".join(said)


@figure("<= 1.1")
def second_mr():
    """First WRITE by a second region over one by the first, which is warm."""
    line = primitive("second_mr", Device("SODP"))[0]
    first, warm = (median(line[f"{key}_ns"]) for key in ("first", "warm"))
    faults = sum(line["faults"])
    detail = f"64 KiB: {first:.0f} / {warm:.0f} ns, {faults} faults"
    return (first / warm if not faults else float("inf")), detail


def _many_mrs():
    count = 10000
    with MemoryWatch(Device("SODP"), "many_mrs", count=count) as watch:
        taken = watch.samples()
    return (taken["made"] - taken["before"]) / count, watch.lines["timed"]


@figure("<= 1280")
def many_mrs():
    """Kernel memory of each of 10 000 regions of a page, used."""
    used, _ = _many_mrs()
    return used, f"{used:.0f} B (memory cgroup, without page tables)"


@figure("<= 1.3")
def many_mrs_unmap():
    """munmap and mmap of a page under one of them, over one region in all."""
    _, line = _many_mrs()
    many, one = (median(line[f"{key}_ns"]) for key in ("many", "one"))
    return many / one, f"{many:.0f} / {one:.0f} ns = {many / one:.2f}"


@figure("<= 1024")
def sparse():
    """Kernel memory of a page that is alone in its 2 MiB."""
    length = 64 << 30
    with MemoryWatch(Device("SODP"), "sparse", len=length) as watch:
        taken = watch.samples()
    pages = length >> 21
    used = (taken["touched"] - taken["before"]) / pages
    return used, f"{used:.0f} B for each of {pages} pages of {PAGE} B"


def _percentile(values, share):
    return sorted(values)[int(len(values) * share)]


def _beside(share):
    line = primitive("beside", Device("SODP"))[0]
    quiet, beside = (
        _percentile(line[f"{key}_ns"], share) for key in ("quiet", "beside")
    )
    detail = (
        f"4-KiB WRITE {beside / 1000:.1f} / {quiet / 1000:.1f} us, "
        f"256 MiB exchanged {line['rounds']} times meanwhile"
    )
    return beside / quiet, detail


@figure("<= 1.3", smp=2)
def beside():
    """A cold WRITE beside memory that is being unmapped: median."""
    return _beside(0.5)


@figure("<= 3", smp=2)
def beside_p99():
    return _beside(0.99)


@figure("<= 1000", smp=2)
def dereg():
    """Microseconds to deregister an implicit region of 256 GiB, used."""
    line = primitive("dereg", Device("SODP"))[0]
    times = [ns / 1000 for ns in line["dereg_ns"]]
    return max(times), f"{min(times):.0f} to {max(times):.0f} us"
