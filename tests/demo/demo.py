#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A guided tour of on-demand paging, run in a guest by ./lab demo."""

import os
import platform
import statistics
import sys

from tests.common.tap import Failure
from tests.demo.tools import (
    Pages,
    bench,
    both_sides,
    output,
    show,
    tell,
    title,
)

STEPS = 5
PINGPONG_PORT = 18515
PERFTEST_PORT = 18515
REGION_BYTES = 64 << 20
NEWER_CAPS = {0x40: "flush", 0x80: "atomic write"}


class Tour:
    def __init__(self):
        self.sodp = os.environ["SODP_DEV"], os.environ["SODP_GID_INDEX"]
        self.rxe = os.environ["RXE_DEV"], os.environ["RXE_GID_INDEX"]
        self.seen = []

    def saw(self, what, value):
        self.seen.append((what, value))

    def run(self):
        self.intro()
        self.device()
        self.registration()
        self.pingpong()
        self.bandwidth()
        self.pages()
        self.closing()

    def intro(self):
        print("sodp: RDMA with on-demand paging, without an RDMA card")
        print("=" * 54)
        tell(
            f"""This is a virtual machine running Debian's own kernel
            {platform.release()}, unmodified. Two modules were loaded into
            it: rdma_odp (on-demand paging) and sodp (a software RDMA
            device). Everything below is measured now, in this machine."""
        )
        if not self.wall_time():
            tell(
                """Its clock counts instructions, 1 ns each, so the figures
                do not depend on how busy the computer around it is."""
            )
        print()
        tell(
            """RDMA lets a device read and write a program's memory without
            its help. Ordinary devices need that memory pinned first: every
            page allocated and locked, for as long as the registration
            lasts. With on-demand paging (ODP) the device follows the page
            tables instead: pages come when they are touched and go when
            the kernel wants them back."""
        )

    @staticmethod
    def wall_time():
        """More than one CPU: the lab has no virtual time then."""
        return os.cpu_count() > 1

    def device(self):
        name = self.sodp[0]
        title(1, STEPS, "The device, and what it can page on demand")
        show(output(["rdma", "link", "show", f"{name}/1"]).splitlines())
        caps = odp_caps(output(["ibv_devinfo", "-v", "-d", name]))
        if "general" not in caps:
            raise Failure("ibv_devinfo shows no ODP capabilities")
        show(f"{kind:8} {', '.join(words)}" for kind, words in caps.items())
        self.saw("operations over ODP memory (RC)", str(len(caps["rc"])))
        self.saw("regions", ", ".join(caps["general"]))

    def registration(self):
        name, gid = self.sodp
        title(2, STEPS, "Registering memory: the whole address space or 1 GiB")
        tell(
            """An implicit ODP region covers every address that the process
            has or will have. Registering it takes no pages. Pinning 1 GiB
            means finding and locking 262144 of them."""
        )
        options = {"dev": name, "gid": gid, "reps": 5}
        implicit = micros(bench("pin", mr="implicit", len="4K", **options))
        pinned = micros(bench("pin", mr="pinned", len="1G", **options))
        print()
        show(
            [
                f"implicit ODP region, 2^64 bytes   {implicit:12.1f} us",
                f"pinned region,       2^30 bytes   {pinned:12.1f} us",
            ]
        )
        self.saw("register the whole address space", f"{implicit:.0f} us")
        self.saw("pin 1 GiB instead", f"{pinned / 1000:.1f} ms")

    def pingpong(self):
        name, gid = self.sodp
        title(3, STEPS, "An unmodified RDMA program over ODP memory")
        tell(
            """Debian's own ibv_rc_pingpong: two processes send 4096 bytes back
            and forth. -o asks for ODP memory, -c compares every byte, -e
            sleeps while it waits. (Its server is the same command without
            the address; so it is below.)"""
        )
        args = ["ibv_rc_pingpong", "-o", "-c", "-e", "-d", name, "-g", gid]
        text = both_sides(args, PINGPONG_PORT)
        lines = [x for x in text.splitlines() if "seconds" in x]
        show(lines)
        if not lines:
            raise Failure("ibv_rc_pingpong printed no result")
        self.saw("ibv_rc_pingpong -o, every byte checked", "passed")
        micro = float(lines[-1].split("= ")[-1].split()[0])
        self.saw("  time of one round trip", f"{micro:.1f} us")

    def bandwidth(self):
        title(4, STEPS, "Bandwidth: ODP on sodp0, pinned on rxe0")
        tell(
            """Soft-RoCE (rdma_rxe) is the software RDMA device that the
            kernel has. Its ODP is not used here; it gets pinned memory.
            sodp gets ODP memory. Same program, same sizes. (The program
            polls while rxe0 works in the background; ./lab bench lets rxe0
            wait in the way that is best for it.)"""
        )
        rows = ["    bytes     sodp0 ODP    rxe0 pinned    ratio"]
        for size in (65536, 1048576):
            ours = self.write_bw(self.sodp, size, ["--odp"])
            theirs = self.write_bw(self.rxe, size, [])
            ratio = ours / theirs
            rows.append(
                f"  {size:7d}  {ours:7.0f} MB/s   {theirs:7.0f} MB/s"
                f"   {ratio:5.1f}x"
            )
            self.saw(
                f"ib_write_bw, {size >> 10} KiB: sodp0 with ODP",
                f"{ours:.0f} MB/s",
            )
            self.saw("  rxe0, pinned", f"{theirs:.0f} MB/s ({ratio:.1f}x)")
        print()
        show(rows)

    @staticmethod
    def write_bw(device, size, options):
        name, gid = device
        args = ["ib_write_bw", "-d", name, "-x", gid, "-F"]
        args += ["-s", str(size), "-n", "500", "--report_gbits"] + options
        text = both_sides(args, PERFTEST_PORT)
        lines = text.splitlines()
        for head, line in zip(lines, lines[1:]):
            if "BW average" in head:
                return float(line.split()[3]) * 1000 / 8
        raise Failure("ib_write_bw printed no figures")

    def pages(self):
        name, gid = self.sodp
        title(5, STEPS, "Pages come and go under a live registration")
        tell(
            """A program registers 64 MiB of untouched memory, has the
            device write all of it, gives the pages back to the kernel with
            madvise(MADV_DONTNEED), and has the device write again, with
            one registration all along. The counters are the region's own,
            from `rdma statistic show mr`."""
        )
        print()
        head = f"{'':18}{'faults':>7}{'invalidations':>15}"
        head += f"{'memory in use':>15}{'speed':>11}{'bad bytes':>11}"
        show([head], "")
        rows = {}
        with Pages(name, gid) as program:
            for said, stat in program.stops():
                rows[said["at"]] = said, stat
                show([page_row(said, stat)], "")
        print()
        tell(
            f"""{rows['written'][1]['page_faults']} faults brought in 16384
            pages: a device that writes on and on is served ahead."""
        )
        before, after = rows["written again"][1], rows["madvise"][1]
        wrong = sum(said["wrong"] for said, _ in rows.values())
        self.saw(
            "64 MiB written: first time, faults",
            str(rows["written"][1]["page_faults"]),
        )
        delta = before["page_faults"] - rows["written"][1]["page_faults"]
        self.saw("  second time, new faults", str(delta))
        freed = rows["written again"][0]["resident_kib"]
        freed -= rows["madvise"][0]["resident_kib"]
        self.saw("madvise: memory given back", f"{freed // 1024} MiB")
        delta = after["page_invalidations"] - before["page_invalidations"]
        self.saw("  invalidations in the region", str(delta))
        self.saw("bytes wrong after all of it", str(wrong))

    def closing(self):
        print("\nWhat was seen")
        print("=" * 13)
        for what, value in self.seen:
            print(f"  {what:44} {value}")
        print()
        tell(
            """Next: ./lab test proves it, ./lab bench measures it in
            virtual time, ./lab shell --rxe lets you try."""
        )


def odp_caps(text):
    """{"general": [...], "rc": [...], ...} from ibv_devinfo -v."""
    caps, current = {}, None
    for line in text.splitlines():
        word = line.strip()
        if word.endswith("_odp_caps:"):
            current = caps.setdefault(word.split("_")[0], [])
        elif current is not None and line.startswith("\t\t"):
            current += cap_names(word)
        else:
            current = None
    return caps


def cap_names(word):
    """SUPPORT_SEND -> send; names bits that ibv_devinfo cannot name."""
    if word.startswith("Unknown flags"):
        bits = int(word.split()[-1], 16)
        return [name for bit, name in NEWER_CAPS.items() if bits & bit]
    for prefix in ("ODP_SUPPORT_", "SUPPORT_"):
        word = word.removeprefix(prefix)
    return [word.lower().replace("odp_support", "explicit")]


def micros(line):
    return statistics.median(line["reg_ns"]) / 1000


def page_row(said, stat):
    speed = ""
    if said["at"].startswith("written"):
        speed = f"{REGION_BYTES * 1000 / said['ns']:.0f} MB/s"
    return (
        f"{said['at']:18}{stat['page_faults']:7}"
        f"{stat['page_invalidations']:15}"
        f"{said['resident_kib'] // 1024:11} MiB{speed:>11}{said['wrong']:11}"
    )


def main():
    try:
        tour = Tour()
    except KeyError as err:
        print(f"demo: {err.args[0]} is not set: run ./lab demo")
        return 2
    try:
        tour.run()
    except Failure as err:
        print(f"\ndemo: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
