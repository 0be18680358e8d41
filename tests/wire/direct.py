# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""QPs that a test drives itself, by pyverbs.

While namespaces share their devices, one process can have QPs on devices of
several of them.
"""

import contextlib
import time

from pyverbs import enums as e
from pyverbs.addr import AH, GID, AHAttr, GlobalRoute
from pyverbs.cq import CQ
from pyverbs.device import Context
from pyverbs.mr import MR
from pyverbs.pd import PD
from pyverbs.qp import QP, QPAttr, QPCap, QPInitAttr
from pyverbs.wr import SGE, RecvWR, SendWR

from tests.common.machine import SLOW
from tests.common.tap import Failure
from tests.lab.guest import devices

BYTES = 256
GRH = 40
QKEY = 0x11223344
PSN = 77


def gid_of(address):
    return GID(devices.gid_of(address))


@contextlib.contextmanager
def many_qps(device, number):
    """QPs of a device, which may be gone at the end."""
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(Context(name=device))
        pd = stack.enter_context(PD(context))
        cq = stack.enter_context(CQ(context, 1))
        init = QPInitAttr(
            qp_type=e.IBV_QPT_RC, scq=cq, rcq=cq, cap=QPCap(1, 1, 1, 1)
        )
        for _ in range(number):
            stack.enter_context(QP(pd, init))
        yield


class Side:
    """A QP on a device, with an address of its port's."""

    def __init__(self, device, address, kind="UD"):
        self.ud = kind == "UD"
        self.ctx = Context(name=device)
        self.index = devices.gid_index(device, address)
        self.gid = self.ctx.query_gid(1, self.index)
        self.pd, self.cq = PD(self.ctx), CQ(self.ctx, 100)
        cap = QPCap(max_send_wr=16, max_recv_wr=16)
        self.init = QPInitAttr(
            qp_type=getattr(e, f"IBV_QPT_{kind}"),
            scq=self.cq,
            rcq=self.cq,
            cap=cap,
            sq_sig_all=1,
        )
        self.qp = QP(self.pd, self.init)
        self.mr = MR(self.pd, 2 * (BYTES + GRH), e.IBV_ACCESS_LOCAL_WRITE)
        self.handle = None
        if self.ud:
            attr = QPAttr(port_num=1)
            attr.qkey = QKEY
            self.qp.to_rts(attr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for thing in (self.qp, self.handle, self.mr, self.cq):
            if thing:
                thing.close()
        self.pd.close()
        self.ctx.close()

    def route(self, gid):
        route = GlobalRoute(dgid=gid, sgid_index=self.index, hop_limit=4)
        return AHAttr(gr=route, is_global=1, port_num=1)

    def reach(self, gid):
        """An address handle; raises PyverbsRDMAError."""
        if self.handle:
            self.handle.close()
        self.handle = None
        self.handle = AH(self.pd, attr=self.route(gid))

    def connect(self, gid, number):
        """To a QP that is likewise connected; raises PyverbsRDMAError."""
        attr = QPAttr(port_num=1)
        attr.dest_qp_num = number
        attr.rq_psn = attr.sq_psn = PSN
        attr.path_mtu = e.IBV_MTU_256
        attr.ah_attr = self.route(gid)
        attr.max_rd_atomic = attr.max_dest_rd_atomic = 1
        attr.timeout, attr.retry_cnt, attr.rnr_retry = 14, 7, 7
        self.qp.to_rts(attr)

    def _sge(self, half, length):
        half_length = BYTES + GRH
        return SGE(self.mr.buf + half * half_length, length, self.mr.lkey)

    def receive(self):
        self.qp.post_recv(RecvWR(num_sge=1, sg=[self._sge(1, BYTES + GRH)]))

    def send(self, number, text, qkey=QKEY):
        self.mr.write(text.ljust(BYTES), BYTES)
        work = SendWR(num_sge=1, sg=[self._sge(0, BYTES)])
        if self.ud:
            work.set_wr_ud(self.handle, number, qkey)
        self.qp.post_send(work)
        self.done()

    def done(self):
        """The next completion, which is a success."""
        deadline = time.monotonic() + 10 * SLOW
        while True:
            for wc in self.cq.poll()[1]:
                if wc.status:
                    raise Failure(f"status {wc.status}")
                return wc
            if time.monotonic() > deadline:
                raise Failure("no completion")
            time.sleep(0.002)

    def received(self):
        """GRH and text of the next that comes."""
        self.done()
        data = self.mr.read(BYTES + GRH, BYTES + GRH)
        skip = GRH if self.ud else 0
        text = data[skip:][:BYTES].decode()
        return data[:skip], text.strip()
