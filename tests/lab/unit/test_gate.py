# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What the kernel log gate catches, and what it lets through."""

import unittest

from tests.lab import gate

BAD = """
WARNING: CPU: 0 PID: 1 at drivers/infiniband/core/device.c:700 x+0x1
WARNING: drivers/infiniband/core/device.c:700 at x+0x1, CPU#0: rdma/1
WARNING: possible circular locking dependency detected
WARNING: suspicious RCU usage
BUG: kernel NULL pointer dereference, address: 0000000000000000
BUG: KASAN: slab-out-of-bounds in x+0x1/0x2
BUG: sleeping function called from invalid context at mm/x.c:1
BUG: scheduling while atomic: x/1/0x00000002
BUG: unable to handle page fault for address: ffff
BUG: workqueue lockup - pool cpus=0
BUG: Bad page state in process x  pfn:00001
kernel BUG at mm/x.c:1!
Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI
Oops: general protection fault, probably for non-canonical address
UBSAN: array-index-out-of-bounds in x.c:1:1
rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
rcu: INFO: rcu_preempt self-detected stall on CPU
watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [x:1]
INFO: task x:1 blocked for more than 120 seconds.
unreferenced object 0xffff888000000000 (size 64):
refcount_t: underflow; use-after-free.
list_del corruption, ffff->next is LIST_POISON1
Kernel panic - not syncing: Fatal exception
unregister_netdevice: waiting for va to become free. Usage count = 2
INFO: trying to register non-static key.
kmemleak: Kernel memory leak detector disabled
(kernel log overran: lines lost)
DMAR: DRHD: handling fault status reg 2
DMAR: [DMA Write NO_PASID] Request device [00:01.0] fault addr 0xfffff000
ODEBUG: free active (active state 0) object: ffff object type: work_struct
""".strip().splitlines()

GOOD = """
Linux version 6.12.1 (debian-kernel@lists.debian.org)
kasan: KernelAddressSanitizer initialized (generic)
kfence: initialized - using 2097152 bytes for 255 objects
debug: DEBUG_OBJECTS enabled
sodp-lab: begin verbs.status
rdma_odp: loading out-of-tree module taints kernel.
sodp0: fault 0x1000 warning level 3
DMAR: DRHD base: 0x000000fed90000 flags: 0x0
DMAR: IOMMU enabled
rxenet0 speed is unknown, defaulting to 1000
""".strip().splitlines()


class Gate(unittest.TestCase):
    def test_bad_lines(self):
        for line in BAD:
            text = f"[    1.000000] {line}"
            self.assertTrue(gate.complaints(text), line)

    def test_good_lines(self):
        for line in GOOD:
            text = f"[    1.000000] {line}"
            self.assertEqual(gate.complaints(text), [], line)

    def test_quotes_what_follows_but_not_all(self):
        text = "\n".join(["fine"] * 5 + ["BUG: x"] + ["trace"] * 100)
        quoted = gate.complaints(text)
        self.assertEqual(quoted[0], "BUG: x")
        self.assertEqual(len(quoted), 1 + gate.CONTEXT)

    def test_headlines(self):
        text = """[   60.1] Oops: double fault: 0000 [#1] PREEMPT SMP NOPTI
[   60.1] CPU: 0 UID: 0 PID: 7 Comm: kworker/0:1 Not tainted 6.12.1
[   60.1] RIP: 0010:one+0x12/0x30
[   60.1] Call Trace:
[   60.1]  <TASK>
[   60.1]  two+0x1/0x2 [sodp]
[   60.1]  ? three.isra.0+0x1/0x2"""
        self.assertEqual(
            gate.headlines(gate.complaints(text)),
            [
                "Oops: double fault: 0000 [#1] PREEMPT SMP NOPTI",
                "RIP: 0010:one+0x12/0x30",
                "called by two",
            ],
        )
