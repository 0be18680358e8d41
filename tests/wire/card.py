# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A card made of a socket: packets that no rdma_rxe or sodp would send.

card.py qp SEND      a QP whose peer is the card; SENDs so many bytes
card.py marks PEER QPN RKEY ADDRESS   marked WRITEs, what comes back
card.py credits PEER QPN              no receives left amid a SEND

congest.py runs a QP at one end and a card at the other.
"""

import json
import os
import select
import socket
import struct
import sys
import time
import zlib

PORT = 4791
QPN = 0x123
WRITE_ONLY, ACK, CNP = 0x0A, 0x11, 0x81
BECN, ACK_REQ = 0x40, 1 << 31
CE = 3
CONGESTED = 20
MTU = 1024
SECONDS = 20


def icrc(ip, udp, rest):
    """Of an IPv4 packet, as it stands on the wire behind `rest`."""
    ip, udp, rest = bytearray(ip), bytearray(udp), bytearray(rest)
    ip[1] = ip[8] = ip[10] = ip[11] = 0xFF
    udp[6:8] = b"\xff\xff"
    rest[4] = 0xFF
    crc = zlib.crc32(b"\xff" * 8 + ip + udp + rest)
    return struct.pack("<I", crc)


class Card:
    """Sends and sees packets of one QP."""

    def __init__(self, here, there, qpn):
        self.here, self.there, self.qpn = here, there, qpn
        kind = socket.SOCK_DGRAM
        self.out = socket.socket(socket.AF_INET, kind)
        self.out.bind((here, PORT))
        # Not fragmented: its identification is 0 then
        self.out.setsockopt(socket.IPPROTO_IP, 10, 2)
        kind = socket.SOCK_RAW
        self.seen = socket.socket(socket.AF_INET, kind, socket.IPPROTO_UDP)

    def send(self, opcode, psn, rest=b"", tos=0):
        bth = struct.pack(
            ">BBHII", opcode, 0x40, 0xFFFF, self.qpn, psn | ACK_REQ
        )
        length = 8 + len(bth + rest) + 4
        addresses = socket.inet_aton(self.here) + socket.inet_aton(self.there)
        ip = struct.pack(
            ">BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 0, 17, 0
        )
        udp = struct.pack(">HHHH", PORT, PORT, length, 0)
        self.out.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
        crc = icrc(ip + addresses, udp, bth + rest)
        self.out.sendto(bth + rest + crc, (self.there, PORT))

    def packets(self, seconds):
        """(TOS, BTH and what follows it) of what comes in that time."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.seen], [], [], left)[0]:
                return
            data = self.seen.recv(65536)
            ip, udp, rest = data[:20], data[20:28], data[28:]
            if struct.unpack(">H", udp[2:4])[0] != PORT:
                continue
            if icrc(ip, udp, rest[:-4]) != rest[-4:]:
                sys.exit(f"wrong ICRC: {data.hex()}")
            yield ip[1], rest[:-4]


def marks(card, rkey, address):
    """WRITEs that a switch has marked: acknowledged, and answered by CNPs."""
    reth = struct.pack(">QII", address, rkey, 8)
    for psn in range(CONGESTED):
        card.send(WRITE_ONLY, psn, reth + b"12345678", CE)
        time.sleep(0.01)
    acks = cnps = 0
    for tos, data in card.packets(1):
        acks += data[0] == ACK
        if data[0] != CNP:
            continue
        cnps += 1
        qpn = int.from_bytes(data[5:8], "big")
        good = len(data) == 28 and not any(data[12:]) and not tos & CE
        if not good or data[4] != BECN or qpn != QPN:
            sys.exit(f"no CNP: TOS {tos:#x}, {data.hex()}")
    if not acks or not 0 < cnps <= CONGESTED:
        sys.exit(f"{acks} acknowledges, {cnps} CNPs")
    return f"{acks} acknowledges, {cnps} CNPs"


def await_packets(card, seen, nr, seconds):
    """PSNs that have come, until there are `nr` of them."""
    end = time.monotonic() + seconds
    while len(seen) < nr and time.monotonic() < end:
        for _, data in card.packets(0.1):
            seen.add(int.from_bytes(data[9:12], "big"))
            if len(seen) >= nr:
                break
    return seen


def credits(card):
    """
    What was acknowledged has its receive: the rest of the message does not
    wait for another, whatever the count of receives is.
    """
    first = await_packets(card, set(), 16, SECONDS)
    if first != set(range(16)):
        sys.exit(f"at first {sorted(first)} came")
    # AETH: acknowledge, no receive, no message done
    card.send(ACK, 15, struct.pack(">I", 0))
    seen = await_packets(card, first, 32, 3)
    if len(seen) < 32:
        sys.exit(f"{len(seen)} of 32 packets came")
    card.send(ACK, 31, struct.pack(">I", 0x1F << 24 | 1))
    return f"{len(seen)} packets"


def qp(send):
    """A QP connected to a card at $SODP_PEER that says what a card needs."""
    import pyverbs.enums as e
    from pyverbs.addr import GID, AHAttr, GlobalRoute
    from pyverbs.cq import CQ
    from pyverbs.device import Context
    from pyverbs.mr import MR
    from pyverbs.pd import PD
    from pyverbs.qp import QP, QPAttr, QPCap, QPInitAttr
    from pyverbs.wr import SGE, SendWR

    ctx = Context(name=os.environ["SODP_DEV"])
    pd = PD(ctx)
    cq = CQ(ctx, 16)
    access = e.IBV_ACCESS_LOCAL_WRITE | e.IBV_ACCESS_REMOTE_WRITE
    mr = MR(pd, 1 << 16, access)
    init = QPInitAttr(e.IBV_QPT_RC, scq=cq, rcq=cq, cap=QPCap(4, 4, 1, 1, 0))
    mine = QP(pd, init)
    attr = QPAttr(port_num=1, path_mtu=e.IBV_MTU_1024)
    attr.qp_access_flags = e.IBV_ACCESS_REMOTE_WRITE
    address = socket.inet_aton(os.environ["SODP_PEER"]).hex()
    words = ["0000"] * 5 + ["ffff", address[:4], address[4:]]
    gid = GID(val=":".join(words))
    index = int(os.environ["SODP_GID_INDEX"])
    route = GlobalRoute(dgid=gid, sgid_index=index)
    attr.ah_attr = AHAttr(gr=route, is_global=1, port_num=1)
    attr.dest_qp_num = QPN
    # Longer than all of this takes
    attr.timeout, attr.retry_cnt, attr.rnr_retry = 21, 7, 7
    mine.to_rts(attr)
    said = {"qpn": mine.qp_num, "rkey": mr.rkey, "address": mr.buf}
    print(json.dumps(said), flush=True)
    # Until the card is there
    time.sleep(6)
    if not send:
        time.sleep(SECONDS)
        return ""
    sge = SGE(mr.buf, send, mr.lkey)
    mine.post_send(SendWR(1, num_sge=1, sg=[sge]))
    end = time.monotonic() + 2 * SECONDS
    while time.monotonic() < end:
        count, wcs = cq.poll(1)
        if count:
            return "" if not wcs[0].status else sys.exit("bad completion")
        time.sleep(0.01)
    sys.exit("no completion")


def main(argv):
    if argv[0] == "qp":
        print(qp(int(argv[1])))
        return 0
    card = Card(os.environ["SODP_ADDR"], argv[1], int(argv[2]))
    if argv[0] == "marks":
        print(marks(card, int(argv[3]), int(argv[4])))
    else:
        print("ready", flush=True)
        print(credits(card))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
