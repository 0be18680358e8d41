# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The figures: each a ratio to a peer or a limit of the same run.

A figure function returns (value, detail). Where a figure has several
cases, the worst one is the value and `detail` lists all of them.
"""

from tests.bench.measure import (
    Device,
    MemoryWatch,
    Wire,
    bandwidth,
    median,
    primitive,
    size_name,
    write_lat,
)

FIGURES = {}
PAGE = 4096
FIXED_BYTES = 64 * 1024


class Figure:
    def __init__(self, run, must, machine):
        self.run = run
        self.name = run.__name__
        self.must = must
        self.machine = machine

    def judge(self, value):
        sign, limit = self.must.split()
        limit = float(limit)
        return value >= limit if sign == ">=" else value <= limit


def figure(must, **machine):
    """machine: what tests/lab/bench.py reads: smp 1 (default): virtual time
    (--icount), 2: wall time; kernel; mem; groups of applications."""

    def register(function):
        entry = Figure(function, must, machine)
        FIGURES[function.__name__] = entry
        return function

    return register


def thp_name(thp):
    return "THP" if thp else "4-KiB pages"


def rxe_write(**options):
    """The `write` lines of rxe0: the better of its two ways to wait."""
    device = Device("RXE")
    ways = [
        primitive("write", device, mr="pinned", wait=wait, **options)
        for wait in ("event", "yield")
    ]
    return [
        min(lines, key=lambda line: median(line["write_ns"]))
        for lines in zip(*ways)
    ]


@figure(">= 0.94")
def warm_write():
    # Copying is left to the kernel's own ways, and the lab's CPU has no fast
    # strings: there the kernel has one that counts less for user memory
    ratios, said = {}, []
    for thp in (0, 1):
        lines = primitive(
            "write",
            Device("SODP"),
            mr="odp",
            sizes="64K,1M",
            thp=thp,
            versus="vm",
        )
        for line in lines:
            ours, theirs = (
                bandwidth(line, key) for key in ("write_ns", "peer_ns")
            )
            ratios.setdefault(thp, []).append(ours / theirs)
            said.append(
                f"{size_name(line['size'])} {thp_name(thp)} {ours:.0f} / "
                f"{theirs:.0f} MB/s = {ours / theirs:.2f}"
            )
    detail = "; ".join(said) + " (value: worst of 4-KiB pages; depth 16)"
    return min(ratios[0]), detail


@figure(">= 15")
def warm_write_rxe():
    ratios, said = [], []
    options = {"sizes": "64K,1M", "reps": 3}
    for thp in (0, 1):
        ours = primitive("write", Device("SODP"), mr="odp", thp=thp, **options)
        theirs = rxe_write(thp=thp, total="4M", **options)
        for mine, other in zip(ours, theirs):
            pair = [bandwidth(x, "write_ns") for x in (mine, other)]
            ratios.append(pair[0] / pair[1])
            said.append(
                f"{size_name(mine['size'])} {thp_name(thp)} {pair[0]:.0f} / "
                f"{pair[1]:.0f} MB/s = {ratios[-1]:.1f}"
            )
    return min(ratios), "; ".join(said) + " (depth 16)"


@figure(">= 0.95")
def odp_vs_pinned():
    sizes = "4K,16K,64K,256K,1M"
    ratios, said = [], []
    for thp in (0, 1):
        words = []
        for line in primitive(
            "write", Device("SODP"), sizes=sizes, thp=thp, versus="pinned"
        ):
            ratios.append(bandwidth(line, "write_ns"))
            ratios[-1] /= bandwidth(line, "peer_ns")
            words.append(f"{size_name(line['size'])} {ratios[-1]:.3f}")
        said.append(f"{thp_name(thp)}: " + ", ".join(words))
    detail = "; ".join(said) + " (both ends, the same memory; depth 16)"
    return min(ratios), detail


@figure("<= 0.15")
def small_write():
    options = {"sizes": "8", "depth": 1, "count": 100}
    ours = primitive("write", Device("SODP"), mr="odp", **options)[0]
    theirs = rxe_write(**options)[0]
    pair = [median(x["write_ns"]) / x["count"] for x in (ours, theirs)]
    detail = f"{pair[0]:.0f} / {pair[1]:.0f} ns, post to completion, depth 1"
    return pair[0] / pair[1], detail


@figure("<= 1.2")
def reg_flat():
    line = primitive("reg_flat", Device("SODP"))[0]
    small, large, implicit = (
        median(line[f"{key}_ns"]) for key in ("small", "large", "implicit")
    )
    detail = (
        f"4 MiB {small:.0f} ns, 64 GiB {large:.0f} ns ({large / small:.2f}), "
        f"implicit {implicit:.0f} ns ({implicit / small:.2f})"
    )
    return max(large, implicit) / small, detail


@figure("<= 0.002")
def reg_vs_pin():
    ratios, said = [], []
    for thp in (0, 1):
        line = primitive("reg_pin", Device("SODP"), thp=thp)[0]
        odp, pinned = (median(line[f"{key}_ns"]) for key in ("odp", "pinned"))
        ratios.append(odp / pinned)
        said.append(
            f"{thp_name(thp)} {odp / 1000:.1f} us / "
            f"{pinned / 1e6:.2f} ms = 1/{pinned / odp:.0f}"
        )
    return max(ratios), "1 GiB touched: " + "; ".join(said)


@figure("<= 10")
def reg_mem():
    touched = 1 << 30
    with MemoryWatch(Device("SODP"), len=1 << 40, touch=touched) as watch:
        taken = watch.samples()
    pages = touched // PAGE
    used = taken["touched"] - taken["before"]
    value = max(0, used - FIXED_BYTES) / pages
    control = taken["cpu_after"] - taken["cpu_before"]
    detail = (
        f"1 TiB registered: {taken['registered'] - taken['before']} B; "
        f"1 GiB written: {used} B for {pages} pages (memory cgroup, without "
        f"page tables; the same touched by the CPU: {control} B); "
        f"after deregistration {taken['gone'] - taken['before']} B"
    )
    return value, detail


@figure("<= 1.90")
def cold_write():
    # As of warm_write; of a huge page little else is left
    ratios, said = [], []
    for thp in (0, 1):
        for peer in ("process", "self"):
            rdma, cpu = min(
                tuple(
                    median(line[key]) / line["pages"]
                    for key in ("rdma_ns", "cpu_ns")
                )
                # Who polls takes time from the other's worker: one CPU
                for wait in ("event", "yield")
                for line in primitive(
                    "cold", Device("SODP"), thp=thp, peer=peer, wait=wait
                )
            )
            ratios.append(rdma / cpu)
            who = "two processes" if peer == "process" else "one process"
            said.append(
                f"{thp_name(thp)}, {who} {rdma:.0f} / {cpu:.0f} ns "
                f"= {rdma / cpu:.2f}"
            )
    return max(ratios), "per page: " + "; ".join(said) + " (depth 16)"


@figure("<= 1.0")
def prefetch():
    ratios, said, faults = [], [], 0
    for thp in (0, 1):
        line = primitive("prefetch", Device("SODP"), thp=thp)[0]
        advise, cpu = (median(line[key]) for key in ("advise_ns", "cpu_ns"))
        faults += sum(line["faults"])
        ratios.append(advise / cpu)
        said.append(
            f"{thp_name(thp)} {advise / 1e6:.2f} / {cpu / 1e6:.2f} ms "
            f"= {advise / cpu:.3f}"
        )
    detail = "; ".join(said) + f"; {faults} faults in the traffic after it"
    return (max(ratios) if not faults else float("inf")), detail


@figure("<= 1.15")
def invalidate():
    ratios, said = [], []
    for thp in (0, 1):
        line = primitive("invalidate", Device("SODP"), thp=thp)[0]
        registered, plain = (
            median(line[key]) for key in ("registered_ns", "plain_ns")
        )
        ratios.append(registered / plain)
        said.append(
            f"{thp_name(thp)} {registered / 1000:.0f} / "
            f"{plain / 1000:.0f} us = {registered / plain:.3f}"
        )
    return max(ratios), "; ".join(said)


@figure("<= 1.10")
def bystander():
    ratios, said = [], []
    for touch in (0, 1):
        line = primitive("bystander", Device("SODP"), touch=touch)[0]
        beside, alone = (
            median(line[key]) / line["loops"] for key in ("with_ns", "none_ns")
        )
        ratios.append(beside / alone)
        said.append(
            f"{'touched' if touch else 'untouched'} {beside:.0f} / "
            f"{alone:.0f} ns = {beside / alone:.3f}"
        )
    return max(ratios), "mmap + munmap of 64 KiB: " + "; ".join(said)


SCALE_TRIES = 6
SCALE_WANTED = 9
SCALE_HOST = 1.9, 2.1


def scale_samples():
    """(one QP, two QPs, gain of a bare loop), as long as it takes."""
    samples, good = [], []
    for _ in range(SCALE_TRIES):
        line = primitive("scale", Device("SODP"))[0]
        spins = [b / a for a, b in zip(line["one_spins"], line["two_spins"])]
        samples += zip(line["one_mb_s"], line["two_mb_s"], spins)
        low, high = SCALE_HOST
        good = [x for x in samples if low <= x[2] <= high]
        if len(good) >= SCALE_WANTED:
            return samples, good
    return samples, []


@figure(">= 1.9", smp=2)
def scale():
    samples, good = scale_samples()
    used = good or samples
    one, two, gain = (median(x) for x in zip(*used))
    value = median([b / a for a, b, _ in used])
    detail = (
        f"64-KiB WRITEs: one QP {one:.0f} MB/s, two QPs {two:.0f} MB/s; a "
        f"bare loop gains {gain:.2f} from the second CPU "
    )
    if good:
        detail += (
            f"({len(good)} of {len(samples)} samples, those in which the host "
            f"gave two CPUs throughout)"
        )
    else:
        detail += "(the host was busy: it never gave two CPUs for long)"
    return value, detail


@figure("<= 0.25", smp=2)
def lat():
    ours, theirs = [], []
    for _ in range(3):
        ours += write_lat(Device("SODP"), runs=2)
        theirs += write_lat(Device("RXE"), runs=2, iterations=1000)
    pair = median(ours), median(theirs)
    detail = (
        f"ib_write_lat 8 B: {pair[0]:.2f} / {pair[1]:.2f} us, medians of 6 "
        f"(best of each {min(ours):.2f} / {min(theirs):.2f})"
    )
    return pair[0] / pair[1], detail


def qps_lines():
    """{who: line} of 10 000 idle QPs, peers here and elsewhere."""
    lines = {"same host": primitive("qps", Device("SODP"))[0]}
    # In a namespace where rdma_rxe has not the port
    with Wire("sodp") as wire:
        far = wire.topology.b["ADDR"]
        lines["wire"] = primitive("qps", wire, far=far)[0]
    return lines


@figure("<= 8192")
def qps():
    """Bytes of kernel memory beside its rings that an idle RC QP takes."""
    used, said = [], []
    for who, line in qps_lines().items():
        rings = line["ring_bytes"] / line["nr"]
        used.append(line["kernel_bytes"] / line["nr"] - rings)
        said.append(f"{who} {used[-1]:.0f} B + {rings:.0f} B of rings")
    return max(used), "; ".join(said) + " (10 000 connected, 64 deep)"


@figure("<= 1.25")
def qps_linear():
    """Time for the last thousand QPs over that for the first."""
    ratios, said = [], []
    for who, line in qps_lines().items():
        steps = [ns / 1e6 for ns in line["step_ns"]]
        ratios.append(steps[-1] / steps[0])
        shown = ", ".join(f"{steps[i]:.1f}" for i in (0, 4, -1))
        said.append(
            f"{who} {shown} us = {ratios[-1]:.2f}, in all "
            f"{sum(steps) / 1000:.2f} s, destroyed in "
            f"{line['destroy_ns'] / 1e9:.2f} s"
        )
    detail = "create and connect one of the 1st, 5th, 10th thousand: "
    return max(ratios), detail + "; ".join(said)
