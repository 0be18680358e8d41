// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The requester on the wire: WQEs become packets, in PSN order, as far as
 * the window allows; wire_ack.c completes them.
 *
 * The send position (w->send, w->send_psn) runs ahead of the completion
 * index qp->sq_ci and goes back to w->una when packets were lost. A WQE is
 * begun once: it is given its PSNs and a record. Whenever it is needed again
 * it is fetched from the ring again, which the application may have
 * scribbled on: it must agree with the record, and passes every check anew.
 */
#include <linux/minmax.h>
#include <rdma/ib_mad.h>

#include "wire_req.h"

/* Why the sender stopped */
enum wreq_step {
	WREQ_GO,	/* it did not */
	WREQ_EMPTY,	/* nothing posted, or not to be begun in this state */
	WREQ_WAIT,	/* an answer, or the stack, will run it again */
	WREQ_MORE,	/* slice used up */
	WREQ_PARKED,
	WREQ_FAILED,	/* error state */
};

struct wreq_tx {
	struct sodp_qp *qp;
	struct sodp_wire_req *w;
	struct sodp_slice *slice;
	struct sodp_burst burst;
	u32 faults;	/* tried here with no packet sent in between */
};

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

static u8 wreq_transport(const struct sodp_qp *qp)
{
	switch (qp->type) {
	case IB_QPT_UC:
		return IB_OPCODE_UC;
	case IB_QPT_XRC_INI:
		return SODP_BTH_XRC;
	default:
		return IB_OPCODE_RC;
	}
}

static u8 wreq_opcode(const struct sodp_qp *qp, bool first, bool last)
{
	u8 wr = qp->wqe.sqe.opcode & (SODP_NR_OPS - 1);
	u8 code;

	if (first)
		code = last ? wreq_opcodes[wr].only : wreq_opcodes[wr].first;
	else
		code = last ? wreq_opcodes[wr].last : wreq_opcodes[wr].middle;
	return wreq_transport(qp) | code;
}

/**
 * sodp_wreq_complete() - complete the oldest WQE with success
 * @qp: the requester
 *
 * Context: process, under exec_mutex.
 */
void sodp_wreq_complete(struct sodp_qp *qp)
{
	struct sodp_wire_req *w = qp->wire->req;
	const struct sodp_wire_out *out = sodp_wreq_out(w, qp->sq_ci);
	const struct sodp_sqe *sqe =
		(const struct sodp_sqe *)sodp_sq_slot(qp, qp->sq_ci);
	struct sodp_sq_entry entry = {
		.length = out->length,
		.opcode = out->opcode,
		.flags = out->flags,
	};

	if (qp->wqe.valid && w->loaded == qp->sq_ci) {
		entry.wr_id = qp->wqe.sqe.wr_id;
		qp->wqe.valid = false;
	} else {
		/* In the application's hands, and of use to nobody else */
		entry.wr_id = READ_ONCE(sqe->wr_id);
	}
	sodp_count(qp->dev, SODP_CNT_tx_requests, 1);
	sodp_count(qp->dev, SODP_CNT_tx_bytes, out->length);
	if (unlikely(sodp_sq_complete(qp, &entry, IB_WC_SUCCESS)))
		sodp_sq_fatal(qp);
}

/**
 * sodp_wreq_fail() - complete the oldest WQE with an error
 * @qp: the requester
 * @verdict: the error
 *
 * The QP is in the error state then.
 *
 * Context: process, under exec_mutex.
 */
void sodp_wreq_fail(struct sodp_qp *qp, enum sodp_verdict verdict)
{
	struct sodp_wire_req *w = qp->wire->req;

	ibdev_dbg(&qp->dev->base_dev, "QP %#x: failed at PSN %#x: %d\n",
		  qp->qpn, w->una, verdict);
	if (!qp->wqe.valid || w->loaded != qp->sq_ci)
		sodp_req_fetch(qp, qp->sq_ci);
	sodp_sq_fail(qp, verdict);
}

/**
 * sodp_wreq_load() - have a WQE that was begun in qp->wqe
 * @qp: the requester
 * @index: its index
 *
 * Context: process, under exec_mutex.
 * Return: SODP_OK; SODP_E_LOC_QP_OP: it is not what it was.
 */
enum sodp_verdict sodp_wreq_load(struct sodp_qp *qp, u32 index)
{
	struct sodp_wire_req *w = qp->wire->req;
	const struct sodp_wire_out *out = sodp_wreq_out(w, index);
	const struct sodp_wqe *wqe = &qp->wqe;

	lockdep_assert_held(&qp->exec_mutex);
	if (likely(wqe->valid && w->loaded == index))
		return SODP_OK;
	w->loaded = index;
	if (sodp_req_fetch(qp, index) || wqe->sqe.opcode != out->opcode ||
	    wqe->length != out->length || (u8)wqe->sqe.flags != out->flags)
		return SODP_E_LOC_QP_OP;
	qp->wqe.req.psn = out->psn;
	return SODP_OK;
}

/* An error of a WQE is told when those before it have been completed */
static enum wreq_step wreq_refuse(struct wreq_tx *tx, u32 index,
				  enum sodp_verdict verdict)
{
	if (index != tx->qp->sq_ci)
		return WREQ_WAIT;
	sodp_wreq_fail(tx->qp, verdict);
	return WREQ_FAILED;
}

/* LOCAL_INV, BIND_MW, REG_MR: between what is before and what is behind */
static enum wreq_step wreq_local(struct wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	struct sodp_qp *qp = tx->qp;
	enum sodp_verdict verdict;
	struct sodp_stop stop;
	u64 budget = 0;

	if (w->begun != qp->sq_ci)
		return WREQ_WAIT;
	verdict = sodp_req_execute(qp, &budget, &stop);
	if (unlikely(verdict))
		return wreq_refuse(tx, w->begun, verdict);
	*sodp_wreq_out(w, w->begun) = (struct sodp_wire_out) {
		.opcode = qp->wqe.sqe.opcode,
		.flags = qp->wqe.sqe.flags,
	};
	w->begun++;
	w->send = w->begun;
	sodp_wreq_complete(qp);
	return WREQ_GO;
}

/* The peer said how many receives it has, and the newest WQE exceeds that */
static bool wreq_out_of_credits(const struct sodp_wire_req *w, u8 opcode,
				u32 ssn)
{
	return unlikely(w->limited) &&
	       (sodp_op_of(opcode)->flags & SODP_OP_RECV) &&
	       sodp_psn_diff(ssn, w->lsn) > 0;
}

/* What keeps the WQE in hand from being begun */
static bool wreq_held_back(struct wreq_tx *tx)
{
	const struct sodp_wqe *wqe = &tx->qp->wqe;
	struct sodp_wire_req *w = tx->w;
	s32 flying = sodp_psn_diff(w->send_psn, w->una);

	if ((wqe->sqe.flags & SODP_SEND_FENCE) && w->rd_any)
		return true;
	if (wreq_out_of_credits(w, wqe->sqe.opcode, w->ssn + 1) && flying)
		return true;
	/* The answer to those finds more of them, and they leave together */
	return tx->slice->counter == SODP_CNT_inline_wqes &&
	       flying >= SODP_WREQ_HOLD && wqe->req.nr_packets == 1;
}

static void wreq_record(struct wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	struct sodp_qp *qp = tx->qp;
	struct sodp_wqe *wqe = &qp->wqe;

	wqe->req.psn = qp->sq_psn;
	*sodp_wreq_out(w, w->begun) = (struct sodp_wire_out) {
		.psn = qp->sq_psn,
		.nr_packets = wqe->req.nr_packets,
		.length = wqe->length,
		.opcode = wqe->sqe.opcode,
		.flags = wqe->sqe.flags,
	};
	qp->sq_psn = sodp_psn_add(qp->sq_psn, wqe->req.nr_packets);
	if (sodp_wreq_is_rd(wqe->sqe.opcode)) {
		w->rd_any = true;
		w->rd_end = qp->sq_psn;
	}
	w->ssn = sodp_psn_add(w->ssn, 1);
	w->begun++;
}

/* Take the next WQE, if there is one and nothing is in its way */
static enum wreq_step wreq_begin(struct wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	struct sodp_qp *qp = tx->qp;
	enum sodp_verdict verdict;

	if (!sodp_sq_may_begin(qp, w->begun == qp->sq_ci))
		return WREQ_EMPTY;
	if (w->begun - qp->sq_ci > w->mask)
		return WREQ_WAIT;
	if (!qp->wqe.valid || w->loaded != w->begun) {
		if (!sodp_sq_has_entry(qp, w->begun))
			return qp->state == IB_QPS_ERR ? WREQ_FAILED :
							 WREQ_EMPTY;
		if (!tx->slice->wqes)
			return WREQ_MORE;
		verdict = sodp_req_fetch(qp, w->begun);
		w->loaded = w->begun;
		if (unlikely(verdict)) {
			if (w->begun != qp->sq_ci)
				qp->wqe.valid = false;
			return wreq_refuse(tx, w->begun, verdict);
		}
		tx->slice->wqes--;
		sodp_count(qp->dev, tx->slice->counter, 1);
	}
	if (unlikely(sodp_op_of(qp->wqe.sqe.opcode)->flags & SODP_OP_LOCAL))
		return wreq_local(tx);
	if (wreq_held_back(tx))
		return WREQ_WAIT;
	wreq_record(tx);
	return WREQ_GO;
}

/* Packets that may leave now */
static s32 wreq_room(const struct wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	s32 flying = sodp_psn_diff(w->send_psn, w->una);

	if (wreq_out_of_credits(w, tx->qp->wqe.sqe.opcode, w->ssn) &&
	    w->send + 1 == w->begun)
		return 1 - flying;
	return SODP_WREQ_WINDOW - flying;
}

/* Room for a packet of @len bytes; what does not fit with others leaves */
static u8 *wreq_reserve(struct wreq_tx *tx, u32 len, u32 more)
{
	u8 *buf = sodp_burst_reserve(&tx->burst, len, more);

	if (likely(buf))
		return buf;
	sodp_burst_send(&tx->burst);
	return sodp_burst_reserve(&tx->burst, len, more);
}

/* @nr PSNs have left, in one packet */
static void wreq_sent(struct wreq_tx *tx, u32 len, u32 nr)
{
	struct sodp_wire_req *w = tx->w;

	sodp_burst_commit(&tx->burst, len);
	tx->faults = 0;
	w->send_psn = sodp_psn_add(w->send_psn, nr);
	if (likely(sodp_psn_diff(w->send_psn, w->max_psn) > 0))
		w->max_psn = w->send_psn;
	else
		sodp_count(tx->qp->dev, SODP_CNT_tx_retransmits, 1);
}

/* The part of the headers that all packets have; opcode decides on the rest */
static void wreq_header(struct wreq_tx *tx, struct sodp_pkt *pkt, u8 opcode)
{
	const struct sodp_qp *qp = tx->qp;
	const struct sodp_request *req = &qp->wqe.req;

	memset(pkt, 0, sizeof(*pkt));
	pkt->opcode = opcode;
	pkt->op = &sodp_wire_ops[opcode];
	pkt->migrated = true;
	pkt->pkey = IB_DEFAULT_PKEY_FULL;
	pkt->qpn = qp->attr.dest_qp_num;
	pkt->psn = tx->w->send_psn;
	pkt->srqn = qp->wqe.sqe.srqn & SODP_PSN_MASK;
	pkt->remote_addr = req->remote_addr;
	pkt->rkey = req->rkey;
	pkt->ex = req->ex;
}

/*
 * Every message asks for an acknowledge with its last packet; the peer
 * answers several with one. So does a packet that fills the window.
 */
static bool wreq_ask(struct wreq_tx *tx, bool last, s32 room)
{
	struct sodp_wire_req *w = tx->w;

	if (!last && room > 1 && ++w->unasked < SODP_WREQ_ACK_EVERY)
		return false;
	w->unasked = 0;
	return !sodp_is_uc(tx->qp);
}

/* What will be asked of the burst's page after @left more bytes */
static u32 wreq_more(const struct wreq_tx *tx, u64 left, u32 len)
{
	u32 waiting = READ_ONCE(tx->qp->page->sq_pi) - tx->w->begun;

	if (left)
		return min_t(u64, left, SZ_64K);
	return min_t(u64, (u64)waiting * len, SZ_64K);
}

/* One packet of a SEND or WRITE: headers, then payload copied in place */
static enum sodp_verdict wreq_data(struct wreq_tx *tx,
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
	struct sodp_pkt pkt;
	u64 done = off;
	u64 budget = n;
	u32 pad = -n & 3;
	u32 len;

	wreq_header(tx, &pkt, wreq_opcode(tx->qp, !index, last));
	pkt.ack_req = wreq_ask(tx, last, room);
	pkt.solicited = last && (out->flags & SODP_SEND_SOLICITED);
	pkt.dma_len = out->length;
	pkt.pad = pad;
	pkt.length = n;
	len = pkt.op->len + n + pad;
	data.addr = wreq_reserve(tx, len,
				 wreq_more(tx, out->length - off - n, len));
	if (unlikely(!data.addr))
		return SODP_BUDGET;
	data.addr += sodp_pkt_build(data.addr, &pkt);
	if (likely(n)) {
		verdict = sodp_move(&dst, payload, off + n, out->length, &done,
				    &budget, stop, true);
		if (unlikely(verdict))
			return verdict;
	}
	tx->slice->bytes -= min_t(u64, tx->slice->bytes, n);
	wreq_sent(tx, len, 1);
	return SODP_OK;
}

/* A page of the payload is missing */
static enum wreq_step wreq_miss(struct wreq_tx *tx, struct sodp_stop *stop)
{
	/* What is ready does not wait for it */
	sodp_burst_send(&tx->burst);
	return sodp_sq_fault_inline(tx->qp, stop, &tx->faults) ? WREQ_GO :
								 WREQ_PARKED;
}

/* The packets of a SEND or WRITE, from the send position on */
static enum wreq_step wreq_send_data(struct wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	u32 end = sodp_wreq_end(sodp_wreq_out(w, w->send));
	enum sodp_verdict verdict;
	struct sodp_cursor payload;
	struct sodp_stop stop;
	struct sodp_buf buf;
	s32 room;

	if (unlikely(tx->qp->wqe.fault_ret))
		return wreq_refuse(tx, w->send, SODP_E_LOC_PROT);
	verdict = sodp_req_payload(tx->qp, 0, &payload, &buf);
	if (unlikely(verdict))
		return wreq_refuse(tx, w->send, verdict);
	while (!verdict && w->send_psn != end) {
		room = wreq_room(tx);
		if (room <= 0 || atomic_read(&tx->qp->wire->tx_bytes) >
				 SODP_TX_MAX_BYTES)
			verdict = SODP_LOST;
		else if (!tx->slice->bytes)
			verdict = SODP_BUDGET;
		else
			verdict = wreq_data(tx, &payload, room, &stop);
	}
	sodp_req_put_payload(&payload);
	switch (verdict) {
	case SODP_OK:
		w->send++;
		return WREQ_GO;
	case SODP_LOST:
		return WREQ_WAIT;
	case SODP_BUDGET:
		return WREQ_MORE;
	case SODP_AGAIN:
		return wreq_miss(tx, &stop);
	default:
		return wreq_refuse(tx, w->send, verdict);
	}
}

/* READs, atomics and FLUSHes that the peer will keep answers for */
static bool wreq_rd_room(const struct wreq_tx *tx)
{
	return wreq_room(tx) > 0 &&
	       tx->w->rd_out < tx->qp->attr.max_rd_atomic &&
	       atomic_read(&tx->qp->wire->tx_bytes) <= SODP_TX_MAX_BYTES;
}

/*
 * A READ is asked for in chunks, each no longer than what the peer may send
 * at once; after a loss, for what is left of one.
 */
static enum wreq_step wreq_send_read(struct wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	const struct sodp_wire_out *out = sodp_wreq_out(w, w->send);
	u32 mtu = ib_mtu_enum_to_int(tx->qp->attr.path_mtu);
	u32 index, nr;
	struct sodp_pkt pkt;
	u64 off;
	u8 *buf;

	if (!tx->qp->attr.max_rd_atomic)
		return wreq_refuse(tx, w->send, SODP_E_LOC_QP_OP);
	while (w->send_psn != sodp_wreq_end(out)) {
		if (!wreq_rd_room(tx))
			return WREQ_WAIT;
		index = (w->send_psn - out->psn) & SODP_PSN_MASK;
		nr = min(SODP_WREQ_READ_CHUNK - index % SODP_WREQ_READ_CHUNK,
			 out->nr_packets - index);
		off = (u64)index * mtu;
		wreq_header(tx, &pkt, wreq_opcode(tx->qp, true, true));
		pkt.ack_req = true;
		pkt.remote_addr += off;
		pkt.dma_len = min_t(u64, out->length - off, (u64)nr * mtu);
		buf = wreq_reserve(tx, pkt.op->len, 0);
		if (unlikely(!buf))
			return WREQ_MORE;
		sodp_pkt_build(buf, &pkt);
		wreq_sent(tx, pkt.op->len, nr);
		w->rd_out++;
	}
	w->send++;
	return WREQ_GO;
}

/* Atomics, ATOMIC WRITE, FLUSH: one packet without user memory */
static enum wreq_step wreq_send_one(struct wreq_tx *tx)
{
	const struct sodp_request *req = &tx->qp->wqe.req;
	struct sodp_wire_req *w = tx->w;
	struct sodp_pkt pkt;
	u32 len;
	u8 *buf;

	if (!tx->qp->attr.max_rd_atomic)
		return wreq_refuse(tx, w->send, SODP_E_LOC_QP_OP);
	if (!wreq_rd_room(tx))
		return WREQ_WAIT;
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
		return WREQ_MORE;
	buf += sodp_pkt_build(buf, &pkt);
	if (req->opcode == SODP_WR_ATOMIC_WRITE)
		memcpy(buf, &req->operand, sizeof(u64));
	wreq_sent(tx, len, 1);
	w->rd_out++;
	w->send++;
	return WREQ_GO;
}

/* Nothing is asked for that could not be put where it belongs */
static enum sodp_verdict wreq_check_sink(struct wreq_tx *tx)
{
	enum sodp_verdict verdict;
	struct sodp_cursor payload;
	struct sodp_buf unused;

	if (!(sodp_op_of(tx->qp->wqe.sqe.opcode)->flags & SODP_OP_IN))
		return SODP_OK;
	verdict = sodp_req_payload(tx->qp, IB_ACCESS_LOCAL_WRITE, &payload,
				   &unused);
	if (!verdict)
		sodp_req_put_payload(&payload);
	return verdict;
}

static enum wreq_step wreq_step(struct wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	enum sodp_verdict verdict;
	enum wreq_step step;
	u8 opcode;

	if (w->send == w->begun) {
		step = wreq_begin(tx);
		if (step != WREQ_GO || w->send == w->begun)
			return step;
	} else if (unlikely(sodp_wreq_load(tx->qp, w->send))) {
		/* Whose slot it was does not matter to one who does this */
		sodp_wreq_fail(tx->qp, SODP_E_LOC_QP_OP);
		return WREQ_FAILED;
	}
	opcode = tx->qp->wqe.sqe.opcode;
	if (!sodp_wreq_is_rd(opcode))
		return wreq_send_data(tx);
	verdict = wreq_check_sink(tx);
	if (unlikely(verdict))
		return wreq_refuse(tx, w->send, verdict);
	if (opcode == SODP_WR_RDMA_READ)
		return wreq_send_read(tx);
	return wreq_send_one(tx);
}

/* UC: what was handed to the stack is done */
static void wreq_complete_uc(struct sodp_qp *qp)
{
	struct sodp_wire_req *w = qp->wire->req;

	w->una = w->send_psn;
	while (qp->sq_ci != w->send)
		sodp_wreq_complete(qp);
}

static enum sodp_sq_result wreq_send(struct sodp_qp *qp,
				     struct sodp_slice *slice)
{
	struct wreq_tx tx = {
		.qp = qp,
		.w = qp->wire->req,
		.slice = slice,
	};
	enum wreq_step step;

	sodp_burst_init(&tx.burst, &qp->wire->path, qp);
	do {
		step = wreq_step(&tx);
		if (sodp_is_uc(qp) && step != WREQ_FAILED)
			wreq_complete_uc(qp);
	} while (step == WREQ_GO && qp->state != IB_QPS_ERR);
	sodp_burst_send(&tx.burst);
	switch (step) {
	case WREQ_WAIT:
		/* The end of the wait looks at sq_pi: no bell is needed */
		if (!(qp->page_flags & SODP_QPF_SQ_BUSY))
			sodp_qp_page_flags(qp, SODP_QPF_SQ_BUSY, 0);
		return SODP_SQ_IDLE;
	case WREQ_MORE:
		return SODP_SQ_MORE;
	case WREQ_PARKED:
		return SODP_SQ_PARKED;
	default:
		return SODP_SQ_IDLE;
	}
}

/**
 * sodp_wreq_run() - take answers in, send what may be sent
 * @qp: the requester, on the wire, not in the error state
 * @slice: work that this turn may do
 *
 * Context: process, under exec_mutex.
 * Return: how it ended; the caller looks at qp->state too.
 */
enum sodp_sq_result sodp_wreq_run(struct sodp_qp *qp,
				  struct sodp_slice *slice)
{
	enum sodp_sq_result result;
	enum sodp_verdict verdict;
	bool parked;

	lockdep_assert_held(&qp->exec_mutex);
	do {
		result = sodp_wreq_answers(qp, slice);
		if (result != SODP_SQ_IDLE)
			break;
		if (test_bit(SODP_BELL_RETRY, &qp->bell))
			sodp_wreq_timeout(qp);
		if (qp->state == IB_QPS_ERR)
			break;
		parked = qp->park != SODP_PARK_NONE;
		if (!sodp_sq_unpark(qp, &verdict)) {
			result = SODP_SQ_PARKED;
			break;
		}
		/* The peer has its time from now on */
		if (unlikely(parked))
			WRITE_ONCE(qp->wire->req->deadline, 0);
		result = wreq_send(qp, slice);
	} while (result == SODP_SQ_IDLE && qp->state != IB_QPS_ERR &&
		 !skb_queue_empty_lockless(&qp->wire->ack_queue));
	if (likely(qp->state != IB_QPS_ERR))
		sodp_wreq_arm(qp);
	return result;
}
