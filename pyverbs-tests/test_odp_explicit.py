# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Explicit ODP regions: messages of every size, cold and warm, sparse."""

import unittest

import pyverbs.enums as e
from pyverbs.wr import SGE

from odp_base import (
    ACCESS,
    HUGE,
    MADV_DONTNEED,
    MAP_NORESERVE,
    ODP,
    PAGE,
    PROT_READ,
    PROT_WRITE,
    TIB,
    OdpTestCase,
    map_at,
    pattern,
)

SIZES = (1, 2, 3, 63, 4095, 4096, 4097, 65537, (1 << 20) + 5, 8 << 20)
LARGE = (16 << 20, (64 << 20) - 1, 64 << 20)
OFFSETS = (0, 1, 4095, 4097, HUGE - 1)


class ExplicitTest(OdpTestCase):
    def regions(self, length):
        """Two ODP regions, one to send from and one for the target."""
        src, dst = self.memory(length), self.memory(length)
        return src, self.reg(src), dst, self.reg(dst)

    def check_target(self, dst, offset, data):
        self.assertBytes(dst.read(len(data), offset), data, "target")
        before = dst.read(offset)
        self.assertBytes(before, bytes(len(before)), "before the target")
        end = offset + len(data)
        after = dst.read(min(dst.length - end, 65536), end)
        self.assertBytes(after, bytes(len(after)), "behind the target")
        dst.madvise(MADV_DONTNEED)

    def test_sizes_and_offsets(self):
        src, src_mr, dst, dst_mr = self.regions(16 << 20)
        for size in SIZES:
            for number, offset in enumerate(OFFSETS):
                data = pattern(size, size + number)
                start = OFFSETS[-1 - number]
                src.write(data, start)
                sge = SGE(src.addr + start, size, src_mr.lkey)
                with self.subTest(op="write", size=size, offset=offset):
                    self.write(sge, dst.addr + offset, dst_mr.rkey)
                    self.check_target(dst, offset, data)
                with self.subTest(op="read", size=size, offset=offset):
                    target = SGE(dst.addr + offset, size, dst_mr.lkey)
                    self.fetch(target, src.addr + start, src_mr.rkey)
                    self.check_target(dst, offset, data)
                with self.subTest(op="send", size=size, offset=offset):
                    target = SGE(dst.addr + offset, size, dst_mr.lkey)
                    self.send(sge, target)
                    self.check_target(dst, offset, data)

    def test_large(self):
        src, src_mr, dst, dst_mr = self.regions((64 << 20) + 2 * PAGE)
        for number, size in enumerate(LARGE):
            offset = (0, 1, 4095)[number]
            data = pattern(size, size)
            src.write(data, 4095 - offset)
            sge = SGE(src.addr + 4095 - offset, size, src_mr.lkey)
            with self.subTest(op="write", size=size):
                self.write(sge, dst.addr + offset, dst_mr.rkey)
                self.check_target(dst, offset, data)
            with self.subTest(op="send", size=size):
                self.send(sge, SGE(dst.addr + offset, size, dst_mr.lkey))
                self.check_target(dst, offset, data)

    def test_read_then_write(self):
        """A page read while it was the zero page is then really written."""
        bystander = self.memory(4 * PAGE, thp=False)
        target = self.memory(4 * PAGE, thp=False)
        mr = self.reg(target)
        got = self.get(mr, target.addr, 4 * PAGE)
        self.assertBytes(got, bytes(4 * PAGE), "zeros")
        self.assertBytes(bystander.read(), bytes(4 * PAGE), "zeros")
        data = pattern(4 * PAGE - 7, 3)
        self.put(mr, target.addr + 5, data)
        self.assertBytes(target.read(len(data), 5), data, "target")
        self.assertBytes(bystander.read(), bytes(4 * PAGE), "zero page")

    def test_untouched_source(self):
        """Memory nobody has written reads as zeros."""
        source = self.memory(1 << 20)
        mr = self.reg(source)
        got = self.get(mr, source.addr + 77, (1 << 20) - 77)
        self.assertBytes(got, bytes(len(got)), "untouched memory")

    def test_read_only_memory(self):
        """What the process may not write, the device may not either."""
        memory = self.memory(4 * PAGE)
        data = pattern(4 * PAGE, 1)
        memory.write(data)
        mr = self.reg(memory)
        memory.mprotect(PROT_READ)
        self.assertBytes(self.get(mr, memory.addr, 4 * PAGE), data, "read")
        self.put(mr, memory.addr + PAGE, b"x" * 9, e.IBV_WC_REM_ACCESS_ERR)
        self.assertBytes(memory.read(), data, "refused write")
        memory.mprotect(PROT_READ | PROT_WRITE)
        self.put(mr, memory.addr + PAGE, b"x" * 9)
        self.assertBytes(memory.read(9, PAGE), b"x" * 9, "write")

    def test_registration_without_memory(self):
        memory = self.memory(64 * PAGE)
        mr = self.reg(memory)
        memory.hole(0, 64 * PAGE)
        self.put(mr, memory.addr + 5, b"gone", e.IBV_WC_REM_ACCESS_ERR)
        map_at(memory.addr, 64 * PAGE)
        self.put(mr, memory.addr + 5, b"here")
        self.assertBytes(memory.read(10), b"\0\0\0\0\0here\0", "target")

    def test_multi_tib(self):
        """8 TiB, touched at both ends and around every power of two."""
        length = 8 * TIB
        memory = self.memory(length, thp=False, flags=MAP_NORESERVE)
        mr = self.reg(memory)
        for shift in range(12, 43):
            for offset in ((1 << shift) - 3, (1 << shift) + PAGE + 1):
                data = pattern(200, offset)
                self.put(mr, memory.addr + offset, data)
                self.assertBytes(
                    memory.read(200, offset), data, f"at {offset:#x}"
                )
                got = self.get(mr, memory.addr + offset, 200)
                self.assertBytes(got, data, f"from {offset:#x}")
        last = memory.addr + length - 1
        self.put(mr, last, b"z")
        self.assertBytes(memory.read(1, length - 1), b"z", "last byte")
        self.put(mr, last, b"zz", e.IBV_WC_REM_ACCESS_ERR)

    def test_lengths_beyond_int(self):
        """Lengths that 31, 32 or 33 bits get wrong."""
        for length in (2, 3, 4, 6, 11, 16, 1024):
            memory = self.memory(length << 30, thp=False)
            with self.subTest(gib=length):
                mr = self.reg(memory)
                end = memory.addr + memory.length
                for address in (memory.addr, end - 100):
                    self.put(mr, address, pattern(100, length))
                self.put(mr, end - 99, bytes(100), e.IBV_WC_REM_ACCESS_ERR)
                self.assertBytes(
                    memory.read(100, memory.length - 100),
                    pattern(100, length),
                    "end",
                )
                mr.close()
            memory.close()

    def test_many_regions(self):
        """A thousand overlapping regions over one buffer, each with a key."""
        memory = self.memory(1 << 20)
        mrs = [
            self.reg(memory, offset=100 * i, length=(1 << 20) - 200 * i)
            for i in range(1000)
        ]
        self.assertEqual(len({mr.rkey for mr in mrs}), 1000)
        for i in range(0, 1000, 37):
            start = memory.addr + 100 * i
            self.put(mrs[i], start, pattern(300, i))
            self.assertBytes(memory.read(300, 100 * i), pattern(300, i))
            if i:
                self.put(mrs[i], start - 1, b"x", e.IBV_WC_REM_ACCESS_ERR)
        for mr in mrs[1:]:
            mr.close()
        self.put(mrs[1000 - 1000], memory.addr, b"still there")
        self.assertBytes(memory.read(11), b"still there", "survivor")

    def test_mixed_sges(self):
        """One request with pinned and ODP buffers."""
        memories = [self.memory(3 * PAGE) for _ in range(4)]
        kinds = (ODP, ACCESS, ODP, ACCESS)
        mrs = [self.reg(m, kind) for m, kind in zip(memories, kinds)]
        target = self.memory(HUGE)
        target_mr = self.reg(target)
        sges, want = [], b""
        for number, (memory, mr) in enumerate(zip(memories, mrs)):
            length = 2000 + 3000 * number // 2
            memory.write(pattern(3 * PAGE, number))
            want += memory.read(length, 100)
            sges.append(SGE(memory.addr + 100, length, mr.lkey))
        self.post(
            e.IBV_WR_RDMA_WRITE, sges, target.addr + 4001, target_mr.rkey
        )
        self.assertEqual(self.pair.poll().status, e.IBV_WC_SUCCESS)
        self.assertBytes(target.read(len(want), 4001), want, "gathered")


if __name__ == "__main__":
    unittest.main()
