// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Answers to the requester: acknowledges, NAKs, READ data and results of
 * atomics. What an AETH means is in one table. IBA 9.7.5.1, 9.7.7.
 *
 * An answer to a PSN is also one to all before it, but for those whose
 * answer carries data: if such a one is missing, it was lost, and the
 * requester goes back to it (implied NAK, IBA 9.7.6.1.2).
 */
#include <linux/minmax.h>

#include "qp/ops.h"
#include "xport/rc/requester.h"

/**
 * struct wack - one turn of taking answers
 * @qp: the requester
 * @w: its state
 * @slice: work that may still be done
 * @skb: train that @pkt is in
 * @pkt: the answer
 * @faults: tried here with no answer placed in between
 * @payload: SGEs of WQE @held
 * @held: index of the WQE, if @holding
 * @holding: keys are held from one answer to the next
 */
struct wack {
	struct sodp_qp *qp;
	struct sodp_wire_req *w;
	struct sodp_slice *slice;
	struct sk_buff *skb;
	struct sodp_pkt pkt;
	u32 faults;
	struct sodp_cursor payload;
	u32 held;
	bool holding;
};

/**
 * struct wack_rule - what an AETH asks for
 * @act: called when all before the PSN has been completed
 * @verdict: what the WQE that it is about ends with, if it does
 */
struct wack_rule {
	void (*act)(struct wack *c, const struct wack_rule *rule);
	enum sodp_verdict verdict;
};

static void wack_release(struct wack *c)
{
	if (c->holding)
		sodp_wqe_put_payload(&c->payload);
	c->holding = false;
}

/*
 * Complete what is before @until.
 * Return: false: data is missing before it.
 */
static bool wack_advance(struct wack *c, u32 until)
{
	struct sodp_wire_req *w = c->w;
	const struct sodp_wire_out *out;
	bool moved = false;
	u32 end;

	while (sodp_psn_diff(w->una, until) < 0) {
		out = sodp_wreq_out(w, c->qp->req.sq_ci);
		if (sodp_wreq_is_rd(out->opcode))
			break;
		end = sodp_wreq_end(out);
		w->una = sodp_psn_diff(end, until) < 0 ? end : until;
		moved = true;
		if (w->una == end)
			sodp_wreq_complete(c->qp);
	}
	if (moved)
		sodp_wreq_progress(c->qp);
	return sodp_psn_diff(w->una, until) >= 0;
}

/* The answer to PSN @w->una is complete */
static void wack_step(struct wack *c)
{
	struct sodp_wire_req *w = c->w;
	const struct sodp_wire_out *out = sodp_wreq_out(w, c->qp->req.sq_ci);
	u32 index = (w->una - out->psn) & SODP_PSN_MASK;

	w->una = sodp_psn_add(w->una, 1);
	index++;
	sodp_wreq_rd_pop(w);
	if (index == out->nr_packets) {
		wack_release(c);
		sodp_wreq_complete(c->qp);
	}
	sodp_wreq_progress(c->qp);
}

/* Receives that the peer has, as far as it tells: IBA 9.7.7.2 */
static void wack_credits(struct wack *c)
{
	u32 code = c->pkt.syndrome & SODP_AETH_VALUE_MASK;
	u32 credits = code;

	if ((c->pkt.syndrome & SODP_AETH_KIND_MASK) != SODP_AETH_ACK)
		return;
	c->w->limited = code != SODP_AETH_NO_CREDITS;
	if (likely(!c->w->limited))
		return;
	/* 0, 1, 2, 3, 4, 6, 8, 12, 16, 24 ... */
	if (code > 3)
		credits = (2 + code % 2) << (code / 2 - 1);
	c->w->lsn = sodp_psn_add(c->pkt.msn, credits);
}

static void wack_act_ack(struct wack *c, const struct wack_rule *rule)
{
	struct sodp_wire_req *w = c->w;

	if (!wack_advance(c, sodp_psn_add(c->pkt.psn, 1)))
		sodp_wreq_back(c->qp);
	else if (unlikely(w->limited) && w->una == c->qp->req.psn)
		/* All is done: READs may have been counted differently */
		w->ssn = c->pkt.msn;
}

/* No receive: IBA 9.7.5.2.8; rnr_retry 7 tries for ever */
static void wack_act_rnr(struct wack *c, const struct wack_rule *rule)
{
	struct sodp_qp *qp = c->qp;

	/* The network may have doubled it */
	if (qp->req.park == SODP_PARK_RNR)
		return;
	sodp_qp_count(qp, SODP_CNT_rx_rnr_naks, 1);
	if (qp->attr.rnr_retry != 7 && !qp->req.rnr_left--) {
		sodp_wreq_fail(qp, rule->verdict);
		return;
	}
	sodp_wreq_rewind(qp);
	if (qp->req.park == SODP_PARK_TX)
		sodp_park_cancel_locked(qp);
	/* A wait for a page will do as well */
	if (qp->req.park == SODP_PARK_NONE)
		sodp_park_timer(qp, SODP_PARK_RNR,
				sodp_rnr_code_ns(c->pkt.syndrome));
}

static void wack_act_back(struct wack *c, const struct wack_rule *rule)
{
	sodp_qp_count(c->qp, SODP_CNT_rx_sequence_naks, 1);
	sodp_wreq_back(c->qp);
}

static void wack_act_fail(struct wack *c, const struct wack_rule *rule)
{
	sodp_wreq_fail(c->qp, rule->verdict);
}

static const struct wack_rule wack_ack = { wack_act_ack };
static const struct wack_rule wack_rnr = { wack_act_rnr, SODP_E_RNR_RETRY };
static const struct wack_rule wack_naks[] = {
	[SODP_NAK_PSN_SEQUENCE] = { wack_act_back },
	[SODP_NAK_INV_REQ] = { wack_act_fail, SODP_E_REM_INV_REQ },
	[SODP_NAK_REM_ACCESS] = { wack_act_fail, SODP_E_REM_ACCESS },
	[SODP_NAK_REM_OP] = { wack_act_fail, SODP_E_REM_OP },
};

/* NULL: a code that means nothing here */
static const struct wack_rule *wack_rule(u8 syndrome)
{
	u8 value = syndrome & SODP_AETH_VALUE_MASK;

	switch (syndrome & ~SODP_AETH_VALUE_MASK) {
	case SODP_AETH_ACK:
		return &wack_ack;
	case SODP_AETH_RNR_NAK:
		return &wack_rnr;
	case SODP_AETH_NAK:
		return value < ARRAY_SIZE(wack_naks) ? &wack_naks[value] :
						       NULL;
	default:
		return NULL;
	}
}

static void wack_acknowledge(struct wack *c)
{
	const struct wack_rule *rule = wack_rule(c->pkt.syndrome);

	if (!rule)
		return;
	if (!wack_advance(c, c->pkt.psn))
		sodp_wreq_back(c->qp);
	else if (c->qp->state != IB_QPS_ERR)
		rule->act(c, rule);
}

/*
 * Have the oldest WQE and its SGEs at hand. The sender may wait for a page of
 * another: it fetches that anew.
 */
static enum sodp_verdict wack_hold(struct wack *c)
{
	enum sodp_verdict verdict;
	struct sodp_qp *qp = c->qp;
	struct sodp_buf unused;

	if (likely(c->holding && c->held == qp->req.sq_ci))
		return SODP_OK;
	wack_release(c);
	verdict = sodp_wreq_load(qp, qp->req.sq_ci);
	if (!verdict && unlikely(qp->req.wqe.fault_ret))
		verdict = SODP_E_LOC_PROT;
	if (!verdict)
		verdict = sodp_wqe_payload(qp, IB_ACCESS_LOCAL_WRITE,
					   &c->payload, &unused);
	c->holding = !verdict;
	c->held = qp->req.sq_ci;
	return verdict;
}

/*
 * A page for the answer is missing. Return: false: parked. If the sender was,
 * for a page of a later WQE, its wait is left to itself: that page may come
 * only when this request has completed.
 */
static bool wack_miss(struct wack *c, struct sodp_stop *stop)
{
	wack_release(c);
	if (sodp_sq_fault_inline(c->qp, stop, &c->faults, &c->slice->turn))
		return true;
	c->w->answer_parked = true;
	return false;
}

/*
 * Put @src, bytes @off to @off + @len of the answer to the oldest WQE, where
 * it belongs. Return: false: not now.
 */
static bool wack_place(struct wack *c, struct sodp_cursor *src, u64 off,
		       u32 len)
{
	enum sodp_verdict verdict;
	struct sodp_stop stop;
	u64 done = off;
	u64 budget;

	do {
		verdict = wack_hold(c);
		if (unlikely(verdict))
			break;
		budget = len;
		verdict = sodp_move(&c->payload, src, off + len,
				    c->qp->req.wqe.length, &done, &budget,
				    &stop, false);
		if (verdict == SODP_AGAIN && !wack_miss(c, &stop))
			return false;
	} while (verdict == SODP_AGAIN);
	if (unlikely(verdict)) {
		wack_release(c);
		sodp_wreq_fail(c->qp, verdict);
		return true;
	}
	c->faults = 0;
	c->slice->bytes -= min_t(u64, c->slice->bytes, len);
	wack_step(c);
	return true;
}

static bool wack_read_data(struct wack *c, const struct sodp_wire_out *out)
{
	u32 index = (c->w->una - out->psn) & SODP_PSN_MASK;
	u32 mtu = ib_mtu_enum_to_int(c->qp->attr.path_mtu);
	u64 off = (u64)index * mtu;
	struct sodp_buf bufs[SODP_RX_MAX_BUFS];
	struct sodp_cursor src = { .bufs = bufs, .base = off };

	if (c->pkt.length != min_t(u64, out->length - off, mtu)) {
		sodp_wreq_fail(c->qp, SODP_E_BAD_RESP);
		return true;
	}
	if (!c->pkt.length) {
		wack_step(c);
		return true;
	}
	src.nr_bufs = sodp_rx_bufs(c->skb, &c->pkt, bufs, ARRAY_SIZE(bufs));
	return wack_place(c, &src, off, c->pkt.length);
}

static bool wack_atomic(struct wack *c)
{
	struct sodp_buf buf = {
		.addr = (u8 *)&c->pkt.orig,
		.length = sizeof(c->pkt.orig),
	};
	struct sodp_cursor src = { .bufs = &buf, .nr_bufs = 1 };

	return wack_place(c, &src, 0, sizeof(u64));
}

/* An answer with data, or one to FLUSH and ATOMIC WRITE, which has none */
static bool wack_answer(struct wack *c)
{
	bool read = c->pkt.op->flags & SODP_WIRE_READ_RESP;
	const struct sodp_wire_out *out;

	if (!wack_advance(c, c->pkt.psn)) {
		sodp_wreq_back(c->qp);
		return true;
	}
	if (unlikely(c->qp->state == IB_QPS_ERR))
		return true;
	out = sodp_wreq_out(c->w, c->qp->req.sq_ci);
	switch (out->opcode) {
	case SODP_WR_RDMA_READ:
		if (read)
			return wack_read_data(c, out);
		break;
	case SODP_WR_ATOMIC_CMP_AND_SWP:
	case SODP_WR_ATOMIC_FETCH_AND_ADD:
		if (!read)
			return wack_atomic(c);
		break;
	case SODP_WR_FLUSH:
	case SODP_WR_ATOMIC_WRITE:
		if (read && !c->pkt.length) {
			wack_step(c);
			return true;
		}
		break;
	}
	sodp_wreq_fail(c->qp, SODP_E_BAD_RESP);
	return true;
}

/* Return: false: it stays where it is */
static bool wack_packet(struct wack *c)
{
	struct sodp_wire_req *w = c->w;
	bool data = c->pkt.op->ext & SODP_EXT_ATOMIC_ACK ||
		    c->pkt.op->flags & SODP_WIRE_READ_RESP;

	/* Answered before, or to what was never sent */
	if (sodp_psn_diff(c->pkt.psn, w->una) < 0 ||
	    sodp_psn_diff(c->pkt.psn, w->max_psn) >= 0) {
		sodp_qp_count(c->qp, SODP_CNT_rx_ghost_acks, 1);
		if (c->pkt.op->ext & SODP_EXT_AETH &&
		    c->pkt.psn == ((w->una - 1) & SODP_PSN_MASK)) {
			wack_credits(c);
			/* It is there, and at work: its time begins anew */
			WRITE_ONCE(w->deadline, 0);
		}
		return true;
	}
	if (c->pkt.op->ext & SODP_EXT_AETH)
		wack_credits(c);
	if (data)
		return wack_answer(c);
	wack_acknowledge(c);
	return true;
}

/**
 * sodp_wreq_purge() - drop all answers
 * @qp: the requester
 *
 * Context: under exec_mutex, or nobody else knows the QP.
 */
void sodp_wreq_purge(struct sodp_qp *qp)
{
	sodp_rxq_purge(&qp->wire->ack_queue);
}

static enum sodp_sq_result wack_take(struct sodp_qp *qp,
				     struct sodp_slice *slice)
{
	enum sodp_sq_result result = SODP_SQ_IDLE;
	struct wack c = {
		.qp = qp,
		.w = qp->wire->req,
		.slice = slice,
	};

	while ((c.skb = sodp_rxq_peek(&qp->wire->ack_queue))) {
		if (!sodp_rx_peek(c.skb, &c.pkt)) {
			sodp_rxq_consume(&qp->wire->ack_queue, c.skb);
			continue;
		}
		if (!slice->bytes ||
		    slice->answers++ >= sodp_policy.turn_packets) {
			result = SODP_SQ_MORE;
			break;
		}
		if (!wack_packet(&c)) {
			result = SODP_SQ_PARKED;
			break;
		}
		sodp_rx_cb(c.skb)->next++;
		if (unlikely(qp->state == IB_QPS_ERR))
			break;
	}
	wack_release(&c);
	return result;
}

/**
 * sodp_wreq_answers() - act on the answers that have come
 * @qp: the requester
 * @slice: work that this turn may do
 *
 * Context: process, under exec_mutex.
 * Return: SODP_SQ_IDLE: all taken, or the QP is in the error state now;
 * SODP_SQ_PARKED: one waits for a page; SODP_SQ_MORE.
 */
enum sodp_sq_result sodp_wreq_answers(struct sodp_qp *qp,
				      struct sodp_slice *slice)
{
	struct sodp_wire_req *w = qp->wire->req;

	lockdep_assert_held(&qp->req.exec_mutex);
	if (qp->req.park == SODP_PARK_FAULT && w->answer_parked)
		return SODP_SQ_PARKED;
	w->answer_parked = false;
	if (skb_queue_empty_lockless(&qp->wire->ack_queue.skbs))
		return SODP_SQ_IDLE;
	return wack_take(qp, slice);
}

/**
 * sodp_wire_rx_responses() - take a train of answers
 * @qp: to whom they are addressed, referenced by the caller
 * @skb: with struct sodp_rx_cb filled in; taken over
 *
 * Context: softirq.
 */
void sodp_wire_rx_responses(struct sodp_qp *qp, struct sk_buff *skb)
{
	/* Pairs with the release store that publishes qp->wire */
	struct sodp_wire *wire = smp_load_acquire(&qp->wire);

	if (!sodp_rxq_add(&wire->ack_queue, skb))
		return;
	/*
	 * Whoever set the bell before sees to it that the queue is looked at
	 * after this, and so does who has the mutex: bell, then mutex, and
	 * there mutex, then bell. Pairs with smp_mb() in sodp_qp_unlock().
	 */
	if (!test_and_set_bit(SODP_TOLD_SQ, &qp->req.told) &&
	    !mutex_is_locked(&qp->req.exec_mutex))
		sodp_qp_kick(qp);
}
