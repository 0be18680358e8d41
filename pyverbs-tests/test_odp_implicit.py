# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Implicit regions: one key for the whole address space."""

import ctypes
import os
import tempfile
import mmap
import unittest

import pyverbs.enums as e
from pyverbs.mr import MR
from pyverbs.pd import PD
from pyverbs.wr import SGE

from odp_base import (
    GIB,
    HUGE,
    MADV_DONTNEED,
    ODP,
    PAGE,
    PROT_NONE,
    OdpTestCase,
    map_at,
    pattern,
)


class ImplicitTest(OdpTestCase):
    def setUp(self):
        super().setUp()
        self.need_implicit()

    def round_trip(self, mr, address, length, seed=1):
        data = pattern(length, seed)
        self.put(mr, address, data)
        self.assertBytes(ctypes.string_at(address, length), data, "written")
        self.assertBytes(self.get(mr, address, length), data, "read back")

    def test_key_of_everything(self):
        """Heap, mappings made before and after, a file."""
        before = self.memory(64 * PAGE)
        mr = self.reg_implicit()
        after = self.memory(64 * PAGE)
        heap = ctypes.create_string_buffer(100000)
        self.round_trip(mr, before.addr + 3, 9000)
        self.round_trip(mr, after.addr + 4095, 9000)
        self.round_trip(mr, ctypes.addressof(heap) + 1, 99999)
        with tempfile.TemporaryFile() as file:
            file.truncate(16 * PAGE)
            mapped = mmap.mmap(file.fileno(), 16 * PAGE)
            view = (ctypes.c_char * (16 * PAGE)).from_buffer(mapped)
            self.round_trip(mr, ctypes.addressof(view) + 7, 50000, 5)
            del view
            mapped.close()
            file.seek(7)
            self.assertBytes(file.read(50000), pattern(50000, 5), "file")

    def test_across_children(self):
        """Transfers over each of several 1 GiB boundaries."""
        memory = self.memory(4 * GIB, thp=False)
        mr = self.reg_implicit()
        first = (memory.addr + GIB) & ~(GIB - 1)
        for number in range(3):
            boundary = first + number * GIB
            for length in (2, 4097, HUGE + 3):
                self.round_trip(mr, boundary - length // 2, length, number)

    def test_unmapped(self):
        mr = self.reg_implicit()
        memory = self.memory(3 * PAGE)
        memory.hole(PAGE, PAGE)
        for address in (
            0,
            PAGE,
            memory.addr + PAGE,
            memory.addr + 2 * PAGE - 1,
            1 << 47,
            1 << 56,
            0xFFFF888000000000,
            0xFFFFFFFFFFFFF000,
        ):
            with self.subTest(address=hex(address)):
                self.put(mr, address, b"x", e.IBV_WC_REM_ACCESS_ERR)
                self.get(mr, address, 1, e.IBV_WC_REM_ACCESS_ERR)
        self.round_trip(mr, memory.addr, PAGE)
        # What crosses the hole fails, what ends before it does not
        self.put(mr, memory.addr + PAGE - 4, b"12345", e.IBV_WC_REM_ACCESS_ERR)
        self.put(mr, memory.addr + PAGE - 4, b"1234")
        map_at(memory.addr + PAGE, PAGE)
        self.put(mr, memory.addr + PAGE - 4, b"12345")

    def test_local_key(self):
        """As a source and as a destination on the own side."""
        mr = self.reg_implicit()
        src, dst = self.memory(HUGE), self.memory(HUGE)
        data = pattern(HUGE - 11, 8)
        src.write(data, 5)
        self.write(SGE(src.addr + 5, len(data), mr.lkey), dst.addr, mr.rkey)
        self.assertBytes(dst.read(len(data)), data, "write")
        dst.madvise(MADV_DONTNEED)
        self.fetch(SGE(dst.addr, len(data), mr.lkey), src.addr + 5, mr.rkey)
        self.assertBytes(dst.read(len(data)), data, "read")
        dst.madvise(MADV_DONTNEED)
        self.send(
            SGE(src.addr + 5, len(data), mr.lkey),
            SGE(dst.addr + 9, len(data), mr.lkey),
        )
        self.assertBytes(dst.read(len(data), 9), data, "send")
        src.hole(0, PAGE)
        self.write(
            SGE(src.addr + 5, 10, mr.lkey),
            dst.addr,
            mr.rkey,
            e.IBV_WC_LOC_PROT_ERR,
        )

    def test_rights(self):
        """The region's rights count, as with any other."""
        read_only = self.reg_implicit(
            e.IBV_ACCESS_ON_DEMAND | e.IBV_ACCESS_REMOTE_READ
        )
        memory = self.memory(PAGE)
        self.get(read_only, memory.addr, 10)
        self.put(read_only, memory.addr, b"x", e.IBV_WC_REM_ACCESS_ERR)
        other = PD(self.ctx)
        foreign = MR(other, access=ODP, implicit=True)
        self.get(foreign, memory.addr, 10, e.IBV_WC_REM_ACCESS_ERR)

    def test_two_keys(self):
        """Two implicit regions live side by side."""
        memory = self.memory(16 * PAGE)
        one, two = self.reg_implicit(), self.reg_implicit()
        self.assertNotEqual(one.rkey, two.rkey)
        self.round_trip(one, memory.addr, PAGE, 1)
        self.round_trip(two, memory.addr, PAGE, 2)
        one.close()
        self.round_trip(two, memory.addr, 5 * PAGE, 3)

    def test_come_and_go(self):
        """Mappings at one address, again and again, never stale."""
        mr = self.reg_implicit()
        memory = self.memory(8 * PAGE)
        for number in range(200):
            length = PAGE * (1 + number % 8)
            map_at(memory.addr, 8 * PAGE)
            got = self.get(mr, memory.addr, length)
            self.assertBytes(got, bytes(length), f"round {number}")
            self.put(mr, memory.addr, pattern(length, number))
            self.assertBytes(
                memory.read(length), pattern(length, number), str(number)
            )

    def test_protected(self):
        mr = self.reg_implicit()
        memory = self.memory(4 * PAGE)
        self.round_trip(mr, memory.addr, 4 * PAGE)
        memory.mprotect(PROT_NONE)
        self.get(mr, memory.addr, 1, e.IBV_WC_REM_ACCESS_ERR)

    def test_not_implicit(self):
        """SIZE_MAX is implicit only on demand, and only from address 0."""
        memory = self.memory(PAGE)
        size_max = (1 << 64) - 1
        for address, access in (
            (memory.addr, ODP),
            (memory.addr, ODP & ~e.IBV_ACCESS_ON_DEMAND),
        ):
            with self.subTest(address=address, access=access):
                with self.assertRaises(Exception) as caught:
                    MR(self.pd, size_max, access, address=address)
                self.assertIn("Invalid argument", str(caught.exception))

    def test_fork(self):
        """The key is about the parent's memory, also after a fork."""
        mr = self.reg_implicit()
        memory = self.memory(16 * PAGE, thp=False)
        memory.write(pattern(16 * PAGE, 1))
        go_read, go_write = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(go_write)
            os.read(go_read, 1)
            good = memory.read() == pattern(16 * PAGE, 1)
            os._exit(0 if good else 1)
        os.close(go_read)
        self.put(mr, memory.addr, pattern(16 * PAGE, 2))
        self.assertBytes(memory.read(), pattern(16 * PAGE, 2), "parent")
        os.close(go_write)
        self.assertEqual(os.waitpid(pid, 0)[1], 0, "the child's copy changed")


if __name__ == "__main__":
    unittest.main()
