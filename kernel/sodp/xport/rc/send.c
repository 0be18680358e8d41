// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The packets of a WQE that was begun, from the send position on. Payload is
 * copied from user memory straight into the skb that leaves.
 */
#include <linux/cpumask.h>
#include <linux/minmax.h>
#include <rdma/ib_mad.h>

#include "xport/rc/requester.h"

/* BTH opcodes without their transport bits: IBA table 35 */
static const struct {
	u8 first;
	u8 middle;
	u8 last;
	u8 only;
} wreq_opcodes[SODP_NR_OPS] = {
	[SODP_WR_SEND] = { 0x00, 0x01, 0x02, 0x04 },
	[SODP_WR_SEND_WITH_IMM] = { 0x00, 0x01, 0x03, 0x05 },
	[SODP_WR_SEND_WITH_INV] = { 0x00, 0x01, 0x16, 0x17 },
	[SODP_WR_RDMA_WRITE] = { 0x06, 0x07, 0x08, 0x0a },
	[SODP_WR_RDMA_WRITE_WITH_IMM] = { 0x06, 0x07, 0x09, 0x0b },
	[SODP_WR_RDMA_READ] = { .only = 0x0c },
	[SODP_WR_ATOMIC_CMP_AND_SWP] = { .only = 0x13 },
	[SODP_WR_ATOMIC_FETCH_AND_ADD] = { .only = 0x14 },
	[SODP_WR_FLUSH] = { .only = 0x1c },
	[SODP_WR_ATOMIC_WRITE] = { .only = 0x1d },
};

static u8 wreq_opcode(const struct sodp_qp *qp, bool first, bool last)
{
	u8 wr = qp->req.wqe.sqe.opcode & (SODP_NR_OPS - 1);
	u8 code;

	if (first)
		code = last ? wreq_opcodes[wr].only : wreq_opcodes[wr].first;
	else
		code = last ? wreq_opcodes[wr].last : wreq_opcodes[wr].middle;
	return qp->wire->service->opcodes | code;
}

/*
 * Does the next packet of the newest WQE find out whether there is a receive
 * for it? A SEND has it when its first packet was acknowledged, a WRITE needs
 * one for the last packet only. IBA 9.7.7.2.5 limits no others.
 */
static bool wreq_wants_receive(const struct sodp_wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	const struct sodp_wire_out *out = sodp_wreq_out(w, w->send);

	if (out->opcode == SODP_WR_RDMA_WRITE_WITH_IMM)
		return sodp_psn_add(w->send_psn, 1) == sodp_wreq_end(out);
	return sodp_psn_diff(w->una, out->psn) <= 0;
}

/* Packets that may leave now */
static s32 wreq_room(const struct sodp_wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	s32 flying = sodp_psn_diff(w->send_psn, w->una);
	s32 room;

	/* Nobody would answer, and so make room again */
	if (!sodp_is_acked(tx->qp))
		return sodp_policy.window;
	if (sodp_wreq_out_of_credits(w, tx->qp->req.wqe.sqe.opcode, w->ssn) &&
	    w->send + 1 == w->begun && wreq_wants_receive(tx))
		return 1 - flying;
	room = (s32)w->cc.window - flying;
	/* Has it shrunk, and nothing on its way asks for an answer? */
	if (room <= 0 && unlikely(sodp_psn_diff(w->asked, w->una) <= 0))
		return 1;
	return room;
}

/* Room for a packet of @len bytes; what does not fit with others leaves */
static u8 *wreq_reserve(struct sodp_wreq_tx *tx, u32 len, u32 more)
{
	u8 *buf = sodp_burst_reserve(&tx->burst, len, more);

	if (unlikely(!buf && !tx->burst.refused)) {
		sodp_burst_send(&tx->burst);
		buf = sodp_burst_reserve(&tx->burst, len, more);
	}
	/* What was refused has to leave before anything that follows it */
	return likely(!tx->burst.refused) ? buf : NULL;
}

/* @nr PSNs have left, in one packet; @asked: the peer has to answer it */
static void wreq_sent(struct sodp_wreq_tx *tx, u32 len, u32 nr, bool asked)
{
	struct sodp_wire_req *w = tx->w;

	sodp_burst_commit(&tx->burst, len);
	if (tx->burst.nr == 1) {
		tx->skb_psn = w->send_psn;
		tx->skb_max = w->max_psn;
		tx->skb_reads = 0;
	}
	tx->faults = 0;
	w->send_psn = sodp_psn_add(w->send_psn, nr);
	if (asked)
		w->asked = w->send_psn;
	if (likely(sodp_psn_diff(w->send_psn, w->max_psn) > 0)) {
		w->max_psn = w->send_psn;
		if (asked && !w->cc.timing) {
			w->cc.timing = true;
			w->cc.timed_psn = w->send_psn;
			w->cc.timed_ns = ktime_get_ns();
		}
	} else {
		sodp_qp_count(tx->qp, SODP_CNT_tx_retransmits, 1);
	}
}

/* The part of the headers that all packets have; opcode decides on the rest */
static void wreq_header(struct sodp_wreq_tx *tx, struct sodp_pkt *pkt,
			u8 opcode)
{
	const struct sodp_qp *qp = tx->qp;
	const struct sodp_request *req = &qp->req.wqe.req;

	memset(pkt, 0, sizeof(*pkt));
	pkt->opcode = opcode;
	pkt->op = &sodp_wire_ops[opcode];
	pkt->migrated = true;
	pkt->pkey = IB_DEFAULT_PKEY_FULL;
	pkt->qpn = qp->attr.dest_qp_num;
	pkt->psn = tx->w->send_psn;
	pkt->srqn = qp->req.wqe.sqe.srqn & SODP_PSN_MASK;
	pkt->remote_addr = req->remote_addr;
	pkt->rkey = req->rkey;
	pkt->ex = req->ex;
}

/*
 * Every message asks for an acknowledge with its last packet; the peer
 * answers several with one. So does a packet that fills the window, and in a
 * small window several do: were there one and it got lost, nothing would tell
 * but the timer.
 */
static bool wreq_ask(struct sodp_wreq_tx *tx, bool last, s32 room)
{
	struct sodp_wire_req *w = tx->w;
	u32 every = clamp(w->cc.window / 4, 1, sodp_policy.ack_every);

	if (!last && room > 1 && ++w->unasked < every)
		return false;
	w->unasked = 0;
	return sodp_is_acked(tx->qp);
}

/* What will be asked of the burst's page after @left more bytes */
static u32 wreq_more(const struct sodp_wreq_tx *tx, u64 left, u32 len)
{
	u32 waiting = READ_ONCE(tx->qp->page->sq_pi) - tx->w->begun;

	if (left)
		return min_t(u64, left, SZ_64K);
	return min_t(u64, (u64)waiting * len, SZ_64K);
}

/*
 * One packet of a SEND or WRITE: headers, then payload copied in place. What
 * all packets of the message have alike is in @pkt.
 */
static enum sodp_verdict wreq_data(struct sodp_wreq_tx *tx,
				   struct sodp_pkt *pkt,
				   struct sodp_cursor *payload, s32 room,
				   struct sodp_stop *stop)
{
	struct sodp_wire_req *w = tx->w;
	const struct sodp_wire_out *out = sodp_wreq_out(w, w->send);
	u32 index = (w->send_psn - out->psn) & SODP_PSN_MASK;
	u32 mtu = ib_mtu_enum_to_int(tx->qp->attr.path_mtu);
	u64 off = (u64)index * mtu;
	u32 n = min_t(u64, out->length - off, mtu);
	bool last = index + 1 == out->nr_packets;
	struct sodp_buf data = { .length = n };
	struct sodp_cursor dst = { .nr_bufs = 1, .base = off, .bufs = &data };
	enum sodp_verdict verdict;
	u64 done = off;
	u64 budget = n;
	u32 len;

	pkt->opcode = wreq_opcode(tx->qp, !index, last);
	pkt->op = &sodp_wire_ops[pkt->opcode];
	pkt->psn = w->send_psn;
	pkt->ack_req = wreq_ask(tx, last, room);
	pkt->solicited = last && (out->flags & SODP_SEND_SOLICITED);
	pkt->length = n;
	len = pkt->op->len + n;
	data.addr = wreq_reserve(tx, len,
				 wreq_more(tx, out->length - off - n, len));
	if (unlikely(!data.addr))
		return SODP_BUDGET;
	data.addr += sodp_pkt_build(data.addr, pkt);
	if (likely(n)) {
		verdict = sodp_move(&dst, payload, off + n, out->length, &done,
				    &budget, stop, true);
		if (unlikely(verdict))
			return verdict;
	}
	tx->slice->bytes -= min_t(u64, tx->slice->bytes, n);
	wreq_sent(tx, len, 1, pkt->ack_req);
	return SODP_OK;
}

/* A page of the payload is missing */
static enum sodp_wreq_step wreq_miss(struct sodp_wreq_tx *tx,
				     struct sodp_stop *stop)
{
	/* What is ready does not wait for it */
	sodp_burst_send(&tx->burst);
	return sodp_sq_fault_inline(tx->qp, stop, &tx->faults,
				    &tx->slice->turn) ? SODP_WREQ_GO :
							SODP_WREQ_PARKED;
}

/* The packets of a SEND or WRITE, from the send position on */
static enum sodp_wreq_step wreq_send_data(struct sodp_wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	u32 end = sodp_wreq_end(sodp_wreq_out(w, w->send));
	enum sodp_verdict verdict;
	struct sodp_cursor payload;
	struct sodp_stop stop;
	struct sodp_pkt pkt;
	struct sodp_buf buf;
	s32 room;

	if (unlikely(tx->qp->req.wqe.fault_ret))
		return sodp_wreq_refuse(tx, w->send, SODP_E_LOC_PROT);
	verdict = sodp_wqe_payload(tx->qp, 0, &payload, &buf);
	if (unlikely(verdict))
		return sodp_wreq_refuse(tx, w->send, verdict);
	wreq_header(tx, &pkt, wreq_opcode(tx->qp, true, true));
	pkt.dma_len = sodp_wreq_out(w, w->send)->length;
	while (!verdict && w->send_psn != end && !sodp_near_enough(tx)) {
		room = wreq_room(tx);
		if (room <= 0)
			sodp_cc_full(w);
		if (room <= 0 || sodp_flow_full(&tx->qp->wire->requests))
			verdict = SODP_FULL;
		else if (!tx->slice->bytes)
			verdict = SODP_BUDGET;
		else
			verdict = wreq_data(tx, &pkt, &payload, room, &stop);
	}
	sodp_wqe_put_payload(&payload);
	switch (verdict) {
	case SODP_OK:
		if (w->send_psn == end)
			w->send++;
		return SODP_WREQ_GO;
	case SODP_FULL:
		return SODP_WREQ_WAIT;
	case SODP_BUDGET:
		return SODP_WREQ_MORE;
	case SODP_AGAIN:
		return wreq_miss(tx, &stop);
	default:
		return sodp_wreq_refuse(tx, w->send, verdict);
	}
}

/* READs, atomics and FLUSHes that the peer will keep answers for */
static bool wreq_rd_room(const struct sodp_wreq_tx *tx)
{
	if (wreq_room(tx) <= 0) {
		sodp_cc_full(tx->w);
		return false;
	}
	return tx->w->rd_out < tx->qp->attr.max_rd_atomic &&
	       !sodp_flow_full(&tx->qp->wire->requests);
}

/*
 * Packets of a READ to ask for with one request, of @left: what the window
 * has room for, but not by crumbs; what was asked for before, as far as it
 * was. 0: none now.
 */
static u32 wreq_read_chunk(struct sodp_wreq_tx *tx, u32 left)
{
	struct sodp_wire_req *w = tx->w;
	u32 most = min(left, sodp_policy.read_chunk);
	s32 room = wreq_room(tx);

	if (unlikely(w->rd_out < w->rd_known))
		return sodp_psn_diff(*sodp_wreq_rd_end(w, w->rd_out),
				     w->send_psn);
	if (room < (s32)min(most, (w->cc.window + 1) / 2)) {
		sodp_cc_full(w);
		return 0;
	}
	return min_t(u32, most, room);
}

/*
 * A READ is asked for in chunks, each no longer than what the network lets
 * the peer send at once.
 */
static enum sodp_wreq_step wreq_send_read(struct sodp_wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	const struct sodp_wire_out *out = sodp_wreq_out(w, w->send);
	u32 mtu = ib_mtu_enum_to_int(tx->qp->attr.path_mtu);
	u32 index, nr;
	struct sodp_pkt pkt;
	bool again;
	u64 off;
	u8 *buf;

	while (w->send_psn != sodp_wreq_end(out)) {
		if (!wreq_rd_room(tx))
			return SODP_WREQ_WAIT;
		index = (w->send_psn - out->psn) & SODP_PSN_MASK;
		nr = wreq_read_chunk(tx, out->nr_packets - index);
		if (!nr)
			return SODP_WREQ_WAIT;
		off = (u64)index * mtu;
		wreq_header(tx, &pkt, wreq_opcode(tx->qp, true, true));
		pkt.ack_req = true;
		pkt.remote_addr += off;
		pkt.dma_len = min_t(u64, out->length - off, (u64)nr * mtu);
		buf = wreq_reserve(tx, pkt.op->len, 0);
		if (unlikely(!buf))
			return SODP_WREQ_MORE;
		sodp_pkt_build(buf, &pkt);
		again = w->rd_out < w->rd_known;
		wreq_sent(tx, pkt.op->len, nr, true);
		/* The peer counts each, but not what it has seen before */
		if (likely(!again)) {
			w->ssn = sodp_psn_add(w->ssn, 1);
			tx->skb_reads++;
		}
		sodp_wreq_rd_push(w, w->send_psn);
	}
	w->send++;
	return SODP_WREQ_GO;
}

/* Atomics, ATOMIC WRITE, FLUSH: one packet without user memory */
static enum sodp_wreq_step wreq_send_one(struct sodp_wreq_tx *tx)
{
	const struct sodp_request *req = &tx->qp->req.wqe.req;
	struct sodp_wire_req *w = tx->w;
	struct sodp_pkt pkt;
	u32 len;
	u8 *buf;

	if (!wreq_rd_room(tx))
		return SODP_WREQ_WAIT;
	wreq_header(tx, &pkt, wreq_opcode(tx->qp, true, true));
	pkt.ack_req = true;
	pkt.swap_add = req->operand;
	pkt.compare = req->compare;
	pkt.dma_len = req->flush_length;
	pkt.flush_type = req->flush_type;
	pkt.flush_level = req->flush_level;
	len = pkt.op->len;
	if (req->opcode == SODP_WR_ATOMIC_WRITE) {
		pkt.dma_len = sizeof(u64);
		pkt.length = sizeof(u64);
		len += sizeof(u64);
	}
	buf = wreq_reserve(tx, len, 0);
	if (unlikely(!buf))
		return SODP_WREQ_MORE;
	buf += sodp_pkt_build(buf, &pkt);
	if (req->opcode == SODP_WR_ATOMIC_WRITE)
		memcpy(buf, &req->operand, sizeof(u64));
	tx->burst.twice = w->twice && pkt.opcode == SODP_BTH_RC_FLUSH;
	wreq_sent(tx, len, 1, true);
	sodp_wreq_rd_push(w, w->send_psn);
	w->send++;
	return SODP_WREQ_GO;
}

/* Nothing is asked for that could not be put where it belongs */
static enum sodp_verdict wreq_check_sink(struct sodp_wreq_tx *tx)
{
	enum sodp_verdict verdict;
	struct sodp_cursor payload;
	struct sodp_buf unused;

	if (!(sodp_op_of(tx->qp->req.wqe.sqe.opcode)->flags & SODP_OP_IN))
		return SODP_OK;
	verdict = sodp_wqe_payload(tx->qp, IB_ACCESS_LOCAL_WRITE, &payload,
				   &unused);
	if (!verdict)
		sodp_wqe_put_payload(&payload);
	return verdict;
}

/**
 * sodp_wreq_message() - send what may be sent of the WQE in hand
 * @tx: the sender; qp->req.wqe is that at the send position
 *
 * Context: process, under exec_mutex.
 * Return: SODP_WREQ_GO: all of it has left.
 */
enum sodp_wreq_step sodp_wreq_message(struct sodp_wreq_tx *tx)
{
	u8 opcode = tx->qp->req.wqe.sqe.opcode;
	enum sodp_verdict verdict;

	if (!sodp_wreq_is_rd(opcode)) {
		/* With one CPU nobody else could work on it meanwhile */
		if (num_online_cpus() == 1 && tx->qp->req.wqe.req.nr_packets > 1)
			tx->burst.handing = sodp_near_handing;
		return wreq_send_data(tx);
	}
	verdict = wreq_check_sink(tx);
	if (unlikely(verdict))
		return sodp_wreq_refuse(tx, tx->w->send, verdict);
	if (opcode == SODP_WR_RDMA_READ)
		return wreq_send_read(tx);
	return wreq_send_one(tx);
}
