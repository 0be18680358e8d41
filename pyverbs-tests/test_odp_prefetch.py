# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""ibv_advise_mr: what it does, what it counts, and each of its errnos.

Where ibv_advise_mr(3) leaves a choice, ours is: ENOENT for a key that is
none, EPERM for one of another PD and for WRITE advice without the right,
EINVAL for a key that is not an ODP region's, EFAULT for a bad range.
"""

import errno
import time
import unittest

import pyverbs.enums as e
from pyverbs.mr import MR, MW
from pyverbs.pd import PD
from pyverbs.wr import SGE

from odp_base import (
    ACCESS,
    HUGE,
    MADV_DONTNEED,
    ODP,
    PAGE,
    PROT_NONE,
    PROT_READ,
    OdpTestCase,
    pattern,
)
from tests.common.machine import wait_for

READ = e._IBV_ADVISE_MR_ADVICE_PREFETCH
WRITE = e._IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE
NO_FAULT = e._IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT
FLUSH = e._IBV_ADVISE_MR_FLAG_FLUSH
ADVICES = (READ, WRITE, NO_FAULT)

LEN = 64 * PAGE


class PrefetchCase(OdpTestCase):
    def advise(self, mr, memory, advice, flags=FLUSH, offset=0, length=None):
        length = memory.length - offset if length is None else length
        sge = SGE(memory.addr + offset, length, mr.lkey)
        return self.pd.advise_mr(advice, flags, [sge])


class PrefetchTest(PrefetchCase):
    def both_kinds(self):
        memory = self.memory(LEN, thp=False)
        yield "explicit", memory, self.reg(memory)
        memory = self.memory(LEN, thp=False)
        yield "implicit", memory, self.reg_implicit()

    def test_populates(self):
        """READ and WRITE bring pages in, NO_FAULT does not."""
        for kind, memory, mr in self.both_kinds():
            for advice in ADVICES:
                with self.subTest(kind=kind, advice=advice):
                    memory.madvise(MADV_DONTNEED)
                    self.advise(mr, memory, advice)
                    want = 0 if advice == NO_FAULT else LEN // PAGE
                    self.assertEqual(memory.resident(), want)

    def test_no_fault_after_write_prefetch(self):
        """Traffic after PREFETCH_WRITE takes no fault at all."""
        for kind, memory, mr in self.both_kinds():
            with self.subTest(kind=kind):
                self.advise(mr, memory, WRITE)
                before = self.counters(mr)
                self.put(mr, memory.addr, pattern(LEN, 3))
                got = self.get(mr, memory.addr, LEN)
                after = self.counters(mr)
                self.assertBytes(got, pattern(LEN, 3), kind)
                self.assertEqual(after["page_faults"], before["page_faults"])

    def test_read_prefetch_then_write(self):
        """What was prefetched for reading still faults for writing."""
        for kind, memory, mr in self.both_kinds():
            with self.subTest(kind=kind):
                self.advise(mr, memory, READ)
                before = self.counters(mr)
                got = self.get(mr, memory.addr, LEN)
                self.assertBytes(got, bytes(LEN), kind)
                between = self.counters(mr)
                self.assertEqual(between["page_faults"], before["page_faults"])
                self.put(mr, memory.addr, pattern(LEN, 4))
                self.assertBytes(memory.read(), pattern(LEN, 4), kind)
                after = self.counters(mr)
                self.assertGreater(
                    after["page_faults"], between["page_faults"]
                )

    def test_no_fault_maps_what_is_there(self):
        for kind, memory, mr in self.both_kinds():
            with self.subTest(kind=kind):
                memory.write(pattern(LEN, 5))
                self.advise(mr, memory, NO_FAULT)
                before = self.counters(mr)
                got = self.get(mr, memory.addr, LEN)
                after = self.counters(mr)
                self.assertBytes(got, pattern(LEN, 5), kind)
                self.assertEqual(after["page_faults"], before["page_faults"])

    def test_async(self):
        """Without FLUSH it is done a little later."""
        for kind, memory, mr in self.both_kinds():
            for advice in (READ, WRITE):
                with self.subTest(kind=kind, advice=advice):
                    memory.madvise(MADV_DONTNEED)
                    self.advise(mr, memory, advice, flags=0)
                    wait_for(
                        "the pages",
                        lambda: memory.resident() == LEN // PAGE,
                        10,
                    )

    def test_counts(self):
        """page_prefetch goes up by one for each range advised."""
        for kind, memory, mr in self.both_kinds():
            with self.subTest(kind=kind):
                for advice in ADVICES:
                    before = self.counters(mr)
                    self.advise(mr, memory, advice)
                    after = self.counters(mr)
                    self.assertEqual(
                        after["page_prefetch"], before["page_prefetch"] + 1
                    )
                    self.assertEqual(
                        after["page_faults"], before["page_faults"]
                    )

    def test_many_sges(self):
        """Parts of several regions in one call, and odd ranges."""
        memories = [self.memory(LEN, thp=False) for _ in range(3)]
        mrs = [self.reg(memory) for memory in memories]
        sges = [
            SGE(memory.addr + PAGE + 100, 3 * PAGE, mr.lkey)
            for memory, mr in zip(memories, mrs)
        ]
        self.pd.advise_mr(WRITE, FLUSH, sges)
        for memory in memories:
            self.assertEqual(memory.resident(PAGE, 4 * PAGE), 4)
            self.assertEqual(memory.resident(), 4)

    def test_one_byte(self):
        memory = self.memory(LEN, thp=False)
        mr = self.reg(memory)
        self.advise(mr, memory, WRITE, offset=5 * PAGE + 17, length=1)
        self.assertEqual(memory.resident(), 1)
        self.assertEqual(memory.resident(5 * PAGE, PAGE), 1)

    def test_huge_range(self):
        memory = self.memory(32 * HUGE, thp=True)
        mr = self.reg(memory)
        self.advise(mr, memory, WRITE)
        before = self.counters(mr)
        data = pattern(32 * HUGE, 6)
        self.put(mr, memory.addr, data)
        self.assertBytes(memory.read(), data, "target")
        self.assertEqual(
            self.counters(mr)["page_faults"], before["page_faults"]
        )

    def test_dereg_cancels(self):
        """Deregistration does not wait for, nor crash on, queued advice."""
        for _ in range(20):
            memory = self.memory(64 * HUGE, thp=False)
            mr = self.reg(memory)
            for part in range(16):
                self.advise(
                    mr,
                    memory,
                    WRITE,
                    flags=0,
                    offset=part * 4 * HUGE,
                    length=4 * HUGE,
                )
            begin = time.monotonic()
            mr.close()
            self.assertLess(time.monotonic() - begin, 5)
            memory.close()

    def test_async_flood(self):
        """More than any queue holds: each call returns, nothing breaks."""
        memory = self.memory(LEN, thp=False)
        mr = self.reg(memory)
        for number in range(5000):
            try:
                self.advise(mr, memory, WRITE, flags=0)
            except Exception as ex:
                # Refusing is allowed once the queue is full
                self.assertEqual(ex.error_code, errno.ENOMEM, number)
        self.advise(mr, memory, WRITE)
        self.put(mr, memory.addr, pattern(LEN, 1))
        self.assertBytes(memory.read(), pattern(LEN, 1), "target")

    def test_unmapped_async(self):
        """Asynchronous advice about a hole is best effort: no error."""
        memory = self.memory(LEN, thp=False)
        mr = self.reg(memory)
        memory.hole(8 * PAGE, PAGE)
        self.advise(mr, memory, READ, flags=0)
        self.put(mr, memory.addr, b"fine")
        self.assertBytes(memory.read(4), b"fine", "target")


class PrefetchErrnoTest(PrefetchCase):
    def setUp(self):
        super().setUp()
        self.mem = self.memory(LEN, thp=False)

    def each(self, code, mr_or_lkey, start=None, length=LEN, flags=FLUSH):
        """The same errno for every advice."""
        lkey = getattr(mr_or_lkey, "lkey", mr_or_lkey)
        start = self.mem.addr if start is None else start
        for advice in ADVICES:
            with self.subTest(advice=advice):
                sge = SGE(start, length, lkey)
                self.assertErrno(code, self.pd.advise_mr, advice, flags, [sge])

    def test_unknown_key(self):
        mr = self.reg(self.mem)
        self.each(errno.ENOENT, 0xDEADBEEF)
        self.each(errno.ENOENT, mr.lkey ^ 1)
        self.each(errno.ENOENT, 0)
        stale = mr.lkey
        mr.close()
        self.each(errno.ENOENT, stale)
        self.each(errno.ENOENT, stale, flags=0)

    def test_foreign_pd(self):
        other = PD(self.ctx)
        mr = MR(other, LEN, ODP, address=self.mem.addr)
        self.each(errno.EPERM, mr)
        self.each(errno.EPERM, mr, flags=0)

    def test_not_odp(self):
        self.each(errno.EINVAL, self.reg(self.mem, ACCESS))

    def test_window(self):
        try:
            window = MW(self.pd, e.IBV_MW_TYPE_2)
        except Exception as ex:
            self.skipTest(str(ex))
        self.each(errno.EINVAL, window.rkey)

    def test_write_advice_needs_the_right(self):
        mr = self.reg(
            self.mem, e.IBV_ACCESS_ON_DEMAND | e.IBV_ACCESS_REMOTE_READ
        )
        sge = SGE(self.mem.addr, LEN, mr.lkey)
        for flags in (0, FLUSH):
            self.assertErrno(
                errno.EPERM, self.pd.advise_mr, WRITE, flags, [sge]
            )
            self.pd.advise_mr(READ, flags, [sge])
            self.pd.advise_mr(NO_FAULT, flags, [sge])
        # All are checked before any is fetched
        memory = self.memory(LEN, thp=False)
        good = self.reg(memory)
        both = [SGE(memory.addr, LEN, good.lkey), sge]
        self.assertErrno(errno.EPERM, self.pd.advise_mr, WRITE, FLUSH, both)
        self.assertEqual(memory.resident(), 0)

    def test_out_of_range(self):
        mr = self.reg(self.mem)
        start = self.mem.addr
        self.each(errno.EFAULT, mr, start + 1)
        self.each(errno.EFAULT, mr, start - 1)
        self.each(errno.EFAULT, mr, start + LEN, 1)
        self.each(errno.EFAULT, mr, start - PAGE, PAGE)
        self.each(errno.EFAULT, mr, start, 0xFFFFFFFF)
        self.each(errno.EFAULT, mr, 0, 1)

    def test_overflow(self):
        mr = self.reg(self.mem)
        self.each(errno.EFAULT, mr, (1 << 64) - 1, 2)
        self.each(errno.EFAULT, mr, (1 << 64) - PAGE, 2 * PAGE)
        if self.caps.general_caps & e.IBV_ODP_SUPPORT_IMPLICIT:
            self.each(
                errno.EFAULT, self.reg_implicit(), (1 << 64) - 1, 0xFFFFFFFF
            )

    def test_not_mapped(self):
        mr = self.reg(self.mem)
        self.mem.hole(8 * PAGE, PAGE)
        for advice in (READ, WRITE):
            sge = SGE(self.mem.addr, LEN, mr.lkey)
            self.assertErrno(
                errno.EFAULT, self.pd.advise_mr, advice, FLUSH, [sge]
            )
        # Mapping what is present is no error where nothing is
        self.pd.advise_mr(NO_FAULT, FLUSH, [sge])

    def test_no_access(self):
        mr = self.reg(self.mem)
        self.mem.mprotect(PROT_NONE, 8 * PAGE, PAGE)
        for advice in (READ, WRITE):
            sge = SGE(self.mem.addr, LEN, mr.lkey)
            self.assertErrno(
                errno.EFAULT, self.pd.advise_mr, advice, FLUSH, [sge]
            )
        self.mem.mprotect(PROT_READ)
        self.pd.advise_mr(READ, FLUSH, [sge])
        self.assertErrno(errno.EFAULT, self.pd.advise_mr, WRITE, FLUSH, [sge])

    def test_flags(self):
        mr = self.reg(self.mem)
        self.each(errno.EINVAL, mr, flags=2)
        self.each(errno.EINVAL, mr, flags=FLUSH | 0x80000000)

    def test_advice(self):
        mr = self.reg(self.mem)
        sge = SGE(self.mem.addr, LEN, mr.lkey)
        for advice in (3, 77, 1 << 20):
            self.assertErrno(
                errno.EOPNOTSUPP, self.pd.advise_mr, advice, FLUSH, [sge]
            )

    def test_no_sges(self):
        for advice in ADVICES:
            self.assertErrno(
                errno.EINVAL, self.pd.advise_mr, advice, FLUSH, []
            )

    def test_one_bad_of_many(self):
        """A bad range among good ones is told."""
        mr = self.reg(self.mem)
        sges = [
            SGE(self.mem.addr, PAGE, mr.lkey),
            SGE(self.mem.addr, PAGE, 0xDEADBEEF),
        ]
        self.assertErrno(errno.ENOENT, self.pd.advise_mr, WRITE, FLUSH, sges)


if __name__ == "__main__":
    unittest.main()
