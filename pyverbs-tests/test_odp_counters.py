# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What the device says of itself: capabilities, resources, counters."""

import unittest

import pyverbs.enums as e
from pyverbs.wr import SGE, SendWR

from odp_base import (
    ACCESS,
    HUGE,
    MADV_DONTNEED,
    ODP,
    PAGE,
    OdpTestCase,
    pattern,
)

LEN = 64 * PAGE


class CapabilityTest(OdpTestCase):
    def test_bits_agree(self):
        """General bits without transport bits, or the reverse, are lies."""
        self.assertTrue(self.caps.general_caps & e.IBV_ODP_SUPPORT)
        self.assertTrue(self.caps.rc_odp_caps)
        known = (
            e.IBV_ODP_SUPPORT_SEND
            | e.IBV_ODP_SUPPORT_RECV
            | e.IBV_ODP_SUPPORT_WRITE
            | e.IBV_ODP_SUPPORT_READ
            | e.IBV_ODP_SUPPORT_ATOMIC
            | e.IBV_ODP_SUPPORT_SRQ_RECV
        )
        self.assertEqual(self.caps.rc_odp_caps & known, known)

    def test_rc_operations(self):
        """Each RC operation over ODP memory works as claimed."""
        memory, other = self.memory(LEN), self.memory(LEN)
        mr, other_mr = self.reg(memory), self.reg(other)
        memory.write(pattern(LEN, 1))
        sge = SGE(memory.addr, LEN, mr.lkey)
        caps = self.caps.rc_odp_caps
        if caps & e.IBV_ODP_SUPPORT_WRITE:
            self.write(sge, other.addr, other_mr.rkey)
            self.assertBytes(other.read(), pattern(LEN, 1), "write")
        if caps & e.IBV_ODP_SUPPORT_READ:
            other.write(pattern(LEN, 2))
            self.fetch(sge, other.addr, other_mr.rkey)
            self.assertBytes(memory.read(), pattern(LEN, 2), "read")
        if caps & e.IBV_ODP_SUPPORT_SEND and caps & e.IBV_ODP_SUPPORT_RECV:
            memory.write(pattern(LEN, 3))
            self.send(sge, SGE(other.addr, LEN, other_mr.lkey))
            self.assertBytes(other.read(), pattern(LEN, 3), "send")
        if caps & e.IBV_ODP_SUPPORT_ATOMIC:
            self.fetch_and_add(memory, mr, other, other_mr)

    def fetch_and_add(self, memory, mr, other, other_mr):
        other.write((40).to_bytes(8, "little"), 8)
        wr = SendWR(
            wr_id=7,
            opcode=e.IBV_WR_ATOMIC_FETCH_AND_ADD,
            num_sge=1,
            sg=[SGE(memory.addr, 8, mr.lkey)],
        )
        wr.set_wr_atomic(other_mr.rkey, other.addr + 8, 2)
        self.pair.qps[0].post_send(wr)
        self.assertEqual(self.pair.poll().status, e.IBV_WC_SUCCESS)
        self.assertEqual(int.from_bytes(other.read(8, 8), "little"), 42)
        self.assertEqual(int.from_bytes(memory.read(8), "little"), 40)

    def test_implicit_bit(self):
        claimed = bool(self.caps.general_caps & e.IBV_ODP_SUPPORT_IMPLICIT)
        try:
            from pyverbs.mr import MR

            MR(self.pd, access=ODP, implicit=True).close()
            works = True
        except Exception:
            works = False
        self.assertEqual(works, claimed)

    def test_limits(self):
        """ODP goes as far as max_mr_size says."""
        attr = self.attr.orig_attr
        self.assertGreaterEqual(attr.max_mr_size, 1 << 43)
        self.assertTrue(attr.page_size_cap & PAGE)
        self.assertGreaterEqual(attr.max_sge, 4)


class ResourceTest(OdpTestCase):
    def test_kind(self):
        """rdma resource says explicit, implicit, or nothing of ODP."""
        memory = self.memory(LEN)
        self.assertEqual(
            self.mr_entry(self.reg(memory)).get("odp"), "explicit"
        )
        self.assertEqual(
            self.mr_entry(self.reg_implicit()).get("odp"), "implicit"
        )
        pinned = self.mr_entry(self.reg(memory, ACCESS))
        self.assertNotIn(pinned.get("odp"), ("explicit", "implicit"))

    def test_length(self):
        memory = self.memory(LEN)
        entry = self.mr_entry(self.reg(memory, length=LEN - 77))
        self.assertEqual(entry["mrlen"], LEN - 77)

    def test_gone(self):
        memory = self.memory(LEN)
        mr = self.reg(memory)
        number = self.mr_entry(mr)["mrn"]
        mr.close()
        for entry in self.rdma("resource", "show", "mr"):
            self.assertNotEqual(entry.get("mrn"), number)


class CounterTest(OdpTestCase):
    def test_new_region(self):
        """Registration faults nothing in."""
        for mr in (self.reg(self.memory(1 << 30)), self.reg_implicit()):
            for name, value in self.counters(mr).items():
                if name.startswith("page_"):
                    self.assertEqual(value, 0, name)

    def test_one_page(self):
        """A page that is written for the first time is one fault."""
        for implicit in (False, True):
            with self.subTest(implicit=implicit):
                memory = self.memory(HUGE, thp=False)
                mr = self.reg_implicit() if implicit else self.reg(memory)
                self.put(mr, memory.addr + 5 * PAGE + 9, b"x")
                stats = self.counters(mr)
                self.assertEqual(stats["page_faults"], 1)
                self.assertEqual(stats["page_invalidations"], 0)
                self.assertEqual(stats["page_prefetch"], 0)
                self.put(mr, memory.addr + 5 * PAGE + 100, b"y")
                self.assertEqual(self.counters(mr)["page_faults"], 1)

    def test_invalidation(self):
        """One madvise over what is mapped is one invalidation; then a fault.

        Memory that the device never touched does not count.
        """
        memory = self.memory(HUGE, thp=False)
        mr = self.reg(memory)
        for number in range(1, 6):
            with self.subTest(round=number):
                self.put(mr, memory.addr + PAGE, pattern(PAGE, number))
                memory.madvise(MADV_DONTNEED, PAGE, PAGE)
                stats = self.counters(mr)
                self.assertEqual(stats["page_faults"], number)
                self.assertEqual(stats["page_invalidations"], number)
                memory.write(b"x", 100 * PAGE)
                memory.madvise(MADV_DONTNEED, 100 * PAGE, PAGE)
                self.assertEqual(
                    self.counters(mr)["page_invalidations"], number
                )

    def test_pages(self):
        """Every page of one operation is faulted in once, in few faults."""
        memory = self.memory(16 * HUGE, thp=False)
        mr = self.reg(memory)
        self.put(mr, memory.addr, pattern(16 * HUGE, 1))
        stats = self.counters(mr)
        self.assertEqual(stats["page_fault_pages"], 16 * 512)
        self.assertLessEqual(stats["page_faults"], 16)
        memory.madvise(MADV_DONTNEED)
        self.assertEqual(self.counters(mr)["page_invalidated_pages"], 16 * 512)

    def test_failed(self):
        """A fault that ends in an error is counted, and counts as one."""
        memory = self.memory(4 * PAGE)
        mr = self.reg(memory)
        memory.mprotect(0)
        self.put(mr, memory.addr, b"x", e.IBV_WC_REM_ACCESS_ERR)
        stats = self.counters(mr)
        self.assertEqual(stats.get("page_faults_failed", 1), 1)

    def test_pinned_is_quiet(self):
        """A pinned region has no such counters, or zeros."""
        memory = self.memory(LEN)
        mr = self.reg(memory, ACCESS)
        self.put(mr, memory.addr, b"x")
        number = self.mr_entry(mr)["mrn"]
        for entry in self.rdma("statistic", "show", "mr"):
            if entry.get("mrn") == number:
                self.assertFalse(entry.get("page_faults", 0))

    def test_link_counters(self):
        """The device's sums include the region's."""

        def total(name):
            stats = self.rdma(
                "statistic", "show", "link", f"{self.dev_name}/1"
            )
            return sum(entry.get(name, 0) for entry in stats)

        memory = self.memory(HUGE, thp=False)
        mr = self.reg(memory)
        before = total("page_faults")
        self.put(mr, memory.addr, b"x")
        self.assertGreaterEqual(total("page_faults"), before + 1)


if __name__ == "__main__":
    unittest.main()
