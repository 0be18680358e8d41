# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Huge pages: hugetlb, with and without the access flag, and THP."""

import unittest

import pyverbs.enums as e

from odp_base import (
    HUGE,
    MADV_DONTNEED,
    MAP_HUGETLB,
    ODP,
    OdpTestCase,
    pattern,
)
from tests.common.machine import put
from tests.common.tap import Failure

NR = "/proc/sys/vm/nr_hugepages"


class HugetlbTest(OdpTestCase):
    def setUp(self):
        super().setUp()
        try:
            with open(NR) as file:
                self.before = file.read()
            put(NR, 40)
        except (Failure, OSError) as ex:
            self.skipTest(f"no huge pages: {ex}")
        self.addCleanup(self.restore)

    def restore(self):
        put(NR, self.before)

    def huge(self, count):
        try:
            return self.memory(count * HUGE, flags=MAP_HUGETLB)
        except OSError as ex:
            self.skipTest(f"no {count} huge pages: {ex}")

    def keys(self, memory):
        yield "flag", self.reg(memory, ODP | e.IBV_ACCESS_HUGETLB)
        yield "plain", self.reg(memory)
        yield "implicit", self.reg_implicit()

    def test_transfers(self):
        memory = self.huge(4)
        for kind, mr in self.keys(memory):
            for offset, length in (
                (0, 1),
                (HUGE - 1, 2),
                (12345, 3 * HUGE),
                (0, 4 * HUGE),
                (4 * HUGE - 1, 1),
            ):
                with self.subTest(kind=kind, offset=offset, length=length):
                    data = pattern(length, offset)
                    self.put(mr, memory.addr + offset, data)
                    self.assertBytes(memory.read(length, offset), data)
                    got = self.get(mr, memory.addr + offset, length)
                    self.assertBytes(got, data, "read")
                    rest = memory.read(offset)
                    self.assertBytes(rest, bytes(offset), "before")
                    memory.madvise(MADV_DONTNEED)

    def test_discarded(self):
        """A page in the middle goes; its neighbours stay."""
        memory = self.huge(3)
        for kind, mr in self.keys(memory):
            with self.subTest(kind=kind):
                data = pattern(3 * HUGE, 1)
                self.put(mr, memory.addr, data)
                memory.madvise(MADV_DONTNEED, HUGE, HUGE)
                got = self.get(mr, memory.addr, 3 * HUGE)
                want = data[:HUGE] + bytes(HUGE) + data[2 * HUGE :]
                self.assertBytes(got, want, "after the discard")

    def test_unmapped(self):
        memory = self.huge(3)
        mr = self.reg(memory, ODP | e.IBV_ACCESS_HUGETLB)
        self.put(mr, memory.addr, pattern(3 * HUGE, 1))
        memory.hole(HUGE, HUGE)
        self.put(mr, memory.addr + HUGE, b"x", e.IBV_WC_REM_ACCESS_ERR)
        self.put(mr, memory.addr + HUGE - 1, b"xx", e.IBV_WC_REM_ACCESS_ERR)
        self.put(mr, memory.addr + HUGE - 1, b"x")
        self.put(mr, memory.addr + 2 * HUGE, b"x")

    def test_pool_is_empty(self):
        """No huge page left: an error, not a hang."""
        memory = self.memory(38 * HUGE, flags=MAP_HUGETLB)
        mr = self.reg(memory)
        put(NR, 2)
        self.put(mr, memory.addr, b"x")
        self.put(mr, memory.addr + HUGE, b"x")
        self.put(mr, memory.addr + 2 * HUGE, b"x", e.IBV_WC_REM_ACCESS_ERR)

    def test_atomic(self):
        memory = self.huge(2)
        mr = self.reg(memory, ODP | e.IBV_ACCESS_HUGETLB)
        for offset in (0, HUGE - 8, HUGE, 2 * HUGE - 8):
            data = pattern(8, offset)
            self.put(mr, memory.addr + offset, data)
            self.assertBytes(memory.read(8, offset), data, hex(offset))


class ThpTest(OdpTestCase):
    def test_transfers(self):
        memory = self.memory(4 * HUGE, thp=True)
        mr = self.reg(memory)
        for offset, length in (
            (HUGE - 3, 6),
            (4095, HUGE),
            (0, 4 * HUGE),
            (HUGE + 1, 2 * HUGE),
        ):
            with self.subTest(offset=offset, length=length):
                memory.madvise(MADV_DONTNEED)
                data = pattern(length, offset)
                self.put(mr, memory.addr + offset, data)
                self.assertBytes(memory.read(length, offset), data, "write")
                got = self.get(mr, memory.addr + offset, length)
                self.assertBytes(got, data, "read")

    def test_split(self):
        """Holes of one page in a huge one."""
        memory = self.memory(4 * HUGE, thp=True)
        mr = self.reg(memory)
        data = pattern(4 * HUGE, 1)
        memory.write(data)
        self.assertBytes(self.get(mr, memory.addr, 4 * HUGE), data, "huge")
        want = bytearray(data)
        for page in (0, 1, 511, 512, 1000, 2047):
            memory.madvise(MADV_DONTNEED, page * 4096, 4096)
            want[page * 4096 : (page + 1) * 4096] = bytes(4096)
            got = self.get(mr, memory.addr, 4 * HUGE)
            self.assertBytes(got, bytes(want), f"hole at page {page}")

    def test_huge_entries_are_counted(self):
        """One fault for a huge page that the process has mapped as one."""
        memory = self.memory(8 * HUGE, thp=True)
        memory.write(pattern(8 * HUGE, 1))
        mr = self.reg(memory)
        self.get(mr, memory.addr, 8 * HUGE)
        stats = self.counters(mr)
        self.assertLessEqual(stats["page_faults"], 8)
        self.assertEqual(stats["page_fault_pages"], 8 * 512)


if __name__ == "__main__":
    unittest.main()
