# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What the pyverbs tests share: memory, connected queue pairs, counters.

The device comes from $SODP_DEV, the GID index from $SODP_GID_INDEX.
"""

import ctypes
import errno
import json
import os
import random
import subprocess
import time
import unittest

import pyverbs.enums as e
from pyverbs.addr import AHAttr, GlobalRoute
from pyverbs.cq import CQ
from pyverbs.device import Context
from pyverbs.mr import MR
from pyverbs.pd import PD
from pyverbs.pyverbs_error import PyverbsRDMAError
from pyverbs.qp import QP, QPAttr, QPCap, QPInitAttr
from pyverbs.wr import SGE, RecvWR, SendWR

PAGE = 4096
HUGE = 2 << 20
GIB = 1 << 30
TIB = 1 << 40
PORT = 1

ACCESS = (
    e.IBV_ACCESS_LOCAL_WRITE
    | e.IBV_ACCESS_REMOTE_WRITE
    | e.IBV_ACCESS_REMOTE_READ
    | e.IBV_ACCESS_REMOTE_ATOMIC
)
ODP = ACCESS | e.IBV_ACCESS_ON_DEMAND

PROT_NONE, PROT_READ, PROT_WRITE = 0, 1, 2
MAP_SHARED, MAP_PRIVATE, MAP_FIXED = 1, 2, 0x10
MAP_ANONYMOUS, MAP_NORESERVE, MAP_HUGETLB = 0x20, 0x4000, 0x40000
MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE = 4, 14, 15

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
for _name in ("munmap", "madvise", "mprotect", "mincore"):
    getattr(_libc, _name).argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_void_p if _name == "mincore" else ctypes.c_int,
    ]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

# A prime length: a shift by any power of two is seen
_BLOCK = random.Random(1).randbytes(1048583)


def pattern(length, seed=0):
    """Bytes that depend on their position and on the seed."""
    start = random.Random(seed).randrange(len(_BLOCK))
    times = (start + length) // len(_BLOCK) + 1
    return (_BLOCK * times)[start : start + length]


def _check(result, what):
    if result in (-1, None, ctypes.c_void_p(-1).value):
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


class Memory:
    """An anonymous mapping; thp: True, False, or None for the default."""

    def __init__(self, length, thp=None, flags=0, prot=PROT_READ | PROT_WRITE):
        self.length = length
        flags |= MAP_PRIVATE | MAP_ANONYMOUS
        extra = 2 * HUGE if thp else 0
        self.base = _libc.mmap(
            None, length + extra, prot, flags | MAP_NORESERVE, -1, 0
        )
        _check(self.base, "mmap")
        self._whole = length + extra
        self.addr = self.base
        if thp:
            self.addr = (self.base + HUGE - 1) & ~(HUGE - 1)
        if thp is not None:
            advice = MADV_HUGEPAGE if thp else MADV_NOHUGEPAGE
            _libc.madvise(self.base, self._whole, advice)

    def close(self):
        if self.base:
            _libc.munmap(self.base, self._whole)
            self.base = 0

    def write(self, data, offset=0):
        ctypes.memmove(self.addr + offset, data, len(data))

    def read(self, length=None, offset=0):
        length = self.length - offset if length is None else length
        return ctypes.string_at(self.addr + offset, length)

    def madvise(self, advice, offset=0, length=None):
        length = self.length - offset if length is None else length
        _check(_libc.madvise(self.addr + offset, length, advice), "madvise")

    def mprotect(self, prot, offset=0, length=None):
        length = self.length - offset if length is None else length
        _check(_libc.mprotect(self.addr + offset, length, prot), "mprotect")

    def hole(self, offset=0, length=None):
        """Nothing there any more, and nothing of others either."""
        length = self.length - offset if length is None else length
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE
        result = _libc.mmap(
            self.addr + offset, length, PROT_NONE, flags, -1, 0
        )
        _check(result, "mmap")

    def resident(self, offset=0, length=None):
        """How many pages of it the process has."""
        length = self.length - offset if length is None else length
        vec = ctypes.create_string_buffer((length + PAGE - 1) // PAGE)
        _check(_libc.mincore(self.addr + offset, length, vec), "mincore")
        return sum(byte & 1 for byte in vec.raw)


def map_at(address, length, flags=0):
    result = _libc.mmap(
        address,
        length,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags,
        -1,
        0,
    )
    _check(result, "mmap")


class RcPair:
    """Two connected RC queue pairs, a and b, in this process."""

    def __init__(self, ctx, pd, gid_index, max_sge=4):
        self.cqs = [CQ(ctx, 256) for _ in range(2)]
        cap = QPCap(64, 64, max_sge, max_sge, 0)
        self.qps = [
            QP(pd, QPInitAttr(e.IBV_QPT_RC, scq=cq, rcq=cq, cap=cap))
            for cq in self.cqs
        ]
        gid = ctx.query_gid(PORT, gid_index)
        mtu = ctx.query_port(PORT).active_mtu
        for mine, other in (self.qps, self.qps[::-1]):
            attr = QPAttr(port_num=PORT, path_mtu=mtu)
            attr.qp_access_flags = ACCESS & ~e.IBV_ACCESS_LOCAL_WRITE
            route = GlobalRoute(dgid=gid, sgid_index=gid_index)
            attr.ah_attr = AHAttr(gr=route, is_global=1, port_num=PORT)
            attr.dest_qp_num = other.qp_num
            attr.max_dest_rd_atomic = attr.max_rd_atomic = 4
            attr.min_rnr_timer = 1
            attr.timeout, attr.retry_cnt, attr.rnr_retry = 14, 7, 7
            mine.to_rts(attr)

    def close(self):
        for qp in self.qps:
            qp.close()
        for cq in self.cqs:
            cq.close()

    def poll(self, side=0, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            count, wcs = self.cqs[side].poll(1)
            if count:
                return wcs[0]
        raise AssertionError("no completion")


class OdpTestCase(unittest.TestCase):
    """A device that is open, with one RC pair when it is asked for."""

    needs_odp = True

    def setUp(self):
        name = os.environ.get("SODP_DEV")
        if not name:
            self.skipTest("SODP_DEV is not set")
        self.dev_name = name
        self.gid_index = int(os.environ.get("SODP_GID_INDEX", "0"))
        self.ctx = Context(name=name)
        self.addCleanup(self.ctx.close)
        self.attr = self.ctx.query_device_ex()
        self.caps = self.attr.odp_caps
        if self.needs_odp and not self.caps.general_caps & e.IBV_ODP_SUPPORT:
            self.skipTest(f"{name} has no on-demand paging")
        self.pd = PD(self.ctx)
        self._pair = None
        self._pinned = None

    @property
    def pair(self):
        if self._pair is None:
            self._pair = RcPair(self.ctx, self.pd, self.gid_index)
        return self._pair

    def new_pair(self):
        """After an error."""
        if self._pair is not None:
            self._pair.close()
            self._pair = None
        return self.pair

    def need_implicit(self):
        if not self.caps.general_caps & e.IBV_ODP_SUPPORT_IMPLICIT:
            self.skipTest(f"{self.dev_name} has no implicit regions")

    def memory(self, length, **options):
        memory = Memory(length, **options)
        self.addCleanup(memory.close)
        return memory

    def reg(self, memory, access=ODP, offset=0, length=None):
        length = memory.length - offset if length is None else length
        return MR(self.pd, length, access, address=memory.addr + offset)

    def reg_implicit(self, access=ODP):
        self.need_implicit()
        return MR(self.pd, access=access, implicit=True)

    def post(self, opcode, sges, remote=0, rkey=0, side=0):
        wr = SendWR(wr_id=7, opcode=opcode, num_sge=len(sges), sg=sges)
        if opcode != e.IBV_WR_SEND:
            wr.set_wr_rdma(rkey, remote)
        self.pair.qps[side].post_send(wr)

    def transfer(
        self, opcode, sge, remote, rkey, status=e.IBV_WC_SUCCESS, side=0
    ):
        """One transfer; its completion must have this status."""
        self.post(opcode, [sge], remote, rkey, side)
        wc = self.pair.poll(side)
        self.assertEqual(
            (wc.wr_id, wc.status), (7, status), f"opcode {opcode}"
        )
        if status != e.IBV_WC_SUCCESS:
            self.new_pair()

    def write(self, sge, remote, rkey, status=e.IBV_WC_SUCCESS):
        self.transfer(e.IBV_WR_RDMA_WRITE, sge, remote, rkey, status)

    def fetch(self, sge, remote, rkey, status=e.IBV_WC_SUCCESS):
        self.transfer(e.IBV_WR_RDMA_READ, sge, remote, rkey, status)

    def send(self, sge, recv_sge):
        self.pair.qps[1].post_recv(RecvWR(wr_id=9, num_sge=1, sg=[recv_sge]))
        self.post(e.IBV_WR_SEND, [sge])
        wc = self.pair.poll(0)
        self.assertEqual(wc.status, e.IBV_WC_SUCCESS)
        wc = self.pair.poll(1)
        self.assertEqual((wc.wr_id, wc.status), (9, e.IBV_WC_SUCCESS))
        self.assertEqual(wc.byte_len, sge.length)

    def pinned(self, length):
        """Pinned memory of at least this length, and its MR."""
        if self._pinned is None or self._pinned[0].length < length:
            memory = self.memory(length)
            self._pinned = (memory, self.reg(memory, ACCESS))
        return self._pinned

    def put(self, mr, address, data, status=e.IBV_WC_SUCCESS):
        """WRITE data from pinned memory to an address under a key."""
        memory, pinned = self.pinned(len(data))
        memory.write(data)
        sge = SGE(memory.addr, len(data), pinned.lkey)
        self.write(sge, address, mr.rkey, status)

    def get(self, mr, address, length, status=e.IBV_WC_SUCCESS):
        """READ bytes from an address under a key into pinned memory."""
        memory, pinned = self.pinned(length)
        memory.write(b"\xa5" * length)
        sge = SGE(memory.addr, length, pinned.lkey)
        self.fetch(sge, address, mr.rkey, status)
        return memory.read(length)

    def assertBytes(self, got, want, what=""):
        """Like assertEqual, with a message of bearable length."""
        if got == want:
            return
        self.assertEqual(len(got), len(want), what)
        bad = next(
            i for i, pair in enumerate(zip(got, want)) if pair[0] != pair[1]
        )
        self.fail(
            f"{what}: byte {bad} of {len(want)} is {got[bad]:#x}, "
            f"must be {want[bad]:#x}"
        )

    def assertErrno(self, code, call, *args, **kwargs):
        try:
            call(*args, **kwargs)
        except PyverbsRDMAError as ex:
            # Calls that return NULL leave the number in the text alone
            got = ex.error_code
            if got in (-1, None):
                got = ctypes.get_errno()
            self.assertIn(os.strerror(code), str(ex), errno.errorcode[code])
        else:
            self.fail(f"succeeded, want {errno.errorcode[code]}")

    # -- counters ----------------------------------------------------------

    def rdma(self, *words):
        try:
            out = subprocess.run(
                ["rdma", "-j", "-dd", *words],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        except (OSError, subprocess.CalledProcessError) as ex:
            self.fail(f"rdma {' '.join(words)}: {ex}")
        return json.loads(out) if out.strip() else []

    def mr_entry(self, mr, what="resource"):
        """What rdma(8) says of an MR, flattened."""
        entries = _flatten(self.rdma("resource", "show", "mr"))
        # Some versions of the tool write 0x, some do not
        keys = (f"{mr.lkey:x}", f"0x{mr.lkey:x}", mr.lkey)
        found = [entry for entry in entries if entry.get("lkey") in keys]
        self.assertEqual(len(found), 1, f"lkey {mr.lkey:#x} in {entries}")
        if what == "resource":
            # Driver details are prefixed in JSON
            if "drv_odp" in found[0]:
                found[0]["odp"] = found[0]["drv_odp"]
            return found[0]
        number = found[0]["mrn"]
        stats = _flatten(self.rdma("statistic", "show", "mr"))
        for entry in stats:
            if entry.get("mrn") == number and entry["ifname"] == self.dev_name:
                return entry
        self.fail(f"no statistics of mrn {number} in {stats}")

    def counters(self, mr):
        entry = self.mr_entry(mr, "statistic")
        for name in ("page_faults", "page_invalidations", "page_prefetch"):
            self.assertIn(name, entry)
        return entry


def _flatten(answer):
    """The tool nests differently from version to version."""
    entries = []
    for item in answer if isinstance(answer, list) else [answer]:
        if isinstance(item, list):
            entries += _flatten(item)
        elif isinstance(item, dict):
            entries.append(item)
    return entries
