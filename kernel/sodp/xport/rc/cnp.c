// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Congestion notification packets: IBA A17.9.3. Who receives data that a
 * switch marked, or more than can be carried out, tells the sender. The
 * sender's window (cc.c) or pace (hold.c) reacts.
 */
#include <linux/ktime.h>
#include <rdma/ib_mad.h>

#include "xport/rc/wire.h"

/**
 * sodp_cnp_send() - tell the peer to send less
 * @qp: a connected QP
 *
 * At most once in sodp_policy.cnp_gap_ns.
 *
 * Context: process, under exec_mutex or resp_mutex, which keep the path.
 */
void sodp_cnp_send(struct sodp_qp *qp)
{
	struct sodp_wire *wire = qp->wire;
	u64 last = atomic64_read(&wire->cnp_ns);
	u64 now = ktime_get_ns();
	struct sodp_burst burst;
	struct sodp_pkt pkt = {
		.opcode = SODP_BTH_CNP,
		.pkey = IB_DEFAULT_PKEY_FULL,
		.qpn = READ_ONCE(qp->attr.dest_qp_num),
	};
	u8 *buf;

	clear_bit(SODP_CONGESTED_PEER, &wire->congested);
	if (last && now - last < sodp_policy.cnp_gap_ns)
		return;
	/* The QP's other side does it at this moment */
	if (atomic64_cmpxchg(&wire->cnp_ns, last, now) != last)
		return;
	sodp_burst_init(&burst, &wire->path, NULL);
	buf = sodp_burst_reserve(&burst, sodp_wire_ops[SODP_BTH_CNP].len, 0);
	if (!buf)
		return;
	sodp_burst_commit(&burst, sodp_pkt_build(buf, &pkt));
	sodp_burst_send(&burst);
	sodp_count(qp->dev, SODP_CNT_np_cnp_sent, 1);
}

/**
 * sodp_cnp_rx() - a CNP came
 * @qp: the QP that sent too much
 *
 * Both its sides may have: the packet does not say which.
 *
 * Context: softirq.
 */
void sodp_cnp_rx(struct sodp_qp *qp)
{
	set_bit(SODP_CONGESTED_REQUESTS, &qp->wire->congested);
	set_bit(SODP_CONGESTED_ANSWERS, &qp->wire->congested);
	sodp_count(qp->dev, SODP_CNT_rp_cnp_handled, 1);
}

/**
 * sodp_ce_rx() - data came that a switch has marked
 * @qp: the QP that it is for
 * @nr: packets
 * @request: data of the peer's requests; else READ data that this QP asked
 *	for, and will ask for less of
 *
 * Context: softirq.
 */
void sodp_ce_rx(struct sodp_qp *qp, u32 nr, bool request)
{
	sodp_count(qp->dev, SODP_CNT_np_ecn_marked_roce_packets, nr);
	if (!request)
		set_bit(SODP_CONGESTED_REQUESTS, &qp->wire->congested);
	/* By whoever takes the packets from their queue */
	set_bit(SODP_CONGESTED_PEER, &qp->wire->congested);
}
