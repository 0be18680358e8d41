// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The requester on the wire: WQEs become packets, in PSN order, as far as
 * the window allows; ack.c completes them.
 *
 * The send position (w->send, w->send_psn) runs ahead of the completion
 * index qp->req.sq_ci and goes back to w->una when packets were lost. A WQE is
 * begun once: it is given its PSNs and a record. Whenever it is needed again
 * it is fetched from the ring again, which the application may have
 * scribbled on: it must agree with the record, and passes every check anew.
 */
#include "xport/rc/requester.h"

/**
 * sodp_wreq_complete() - complete the oldest WQE with success
 * @qp: the requester
 *
 * Context: process, under exec_mutex.
 */
void sodp_wreq_complete(struct sodp_qp *qp)
{
	struct sodp_wire_req *w = qp->wire->req;
	const struct sodp_wire_out *out = sodp_wreq_out(w, qp->req.sq_ci);
	const struct sodp_sqe *sqe =
		(const struct sodp_sqe *)sodp_sq_slot(qp, qp->req.sq_ci);
	struct sodp_sq_entry entry = {
		.length = out->length,
		.opcode = out->opcode,
		.flags = out->flags,
	};

	if (qp->req.wqe.valid && w->loaded == qp->req.sq_ci) {
		entry.wr_id = qp->req.wqe.sqe.wr_id;
		qp->req.wqe.valid = false;
	} else {
		/* In the application's hands, and of use to nobody else */
		entry.wr_id = READ_ONCE(sqe->wr_id);
	}
	sodp_qp_count(qp, SODP_CNT_tx_requests, 1);
	sodp_qp_count(qp, SODP_CNT_tx_bytes, out->length);
	if (unlikely(sodp_sq_complete(qp, &entry, IB_WC_SUCCESS)))
		sodp_sq_fatal(qp);
}

/**
 * sodp_wreq_fail() - complete the oldest WQE with an error
 * @qp: the requester
 * @verdict: the error
 *
 * The QP is in an error state then.
 *
 * Context: process, under exec_mutex.
 */
void sodp_wreq_fail(struct sodp_qp *qp, enum sodp_verdict verdict)
{
	struct sodp_wire_req *w = qp->wire->req;

	ibdev_dbg(&qp->dev->base_dev, "QP %#x: failed at PSN %#x: %d\n",
		  qp->qpn, w->una, verdict);
	if (!qp->req.wqe.valid || w->loaded != qp->req.sq_ci)
		sodp_wqe_fetch(qp, qp->req.sq_ci);
	sodp_sq_fail(qp, verdict);
}

/**
 * sodp_wreq_load() - have a WQE that was begun in qp->req.wqe
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
	const struct sodp_wqe *wqe = &qp->req.wqe;

	lockdep_assert_held(&qp->req.exec_mutex);
	if (likely(wqe->valid && w->loaded == index))
		return SODP_OK;
	w->loaded = index;
	if (sodp_wqe_fetch(qp, index) || wqe->sqe.opcode != out->opcode ||
	    wqe->length != out->length || (u8)wqe->sqe.flags != out->flags)
		return SODP_E_LOC_QP_OP;
	qp->req.wqe.req.psn = out->psn;
	return SODP_OK;
}

/**
 * sodp_wreq_refuse() - an error of a WQE
 * @tx: the sender
 * @index: of the WQE
 * @verdict: the error
 *
 * It is told when those before it have been completed.
 *
 * Context: process, under exec_mutex.
 * Return: SODP_WREQ_WAIT, SODP_WREQ_FAILED.
 */
enum sodp_wreq_step sodp_wreq_refuse(struct sodp_wreq_tx *tx, u32 index,
				     enum sodp_verdict verdict)
{
	if (index != tx->qp->req.sq_ci)
		return SODP_WREQ_WAIT;
	sodp_wreq_fail(tx->qp, verdict);
	return SODP_WREQ_FAILED;
}

/* LOCAL_INV, BIND_MW, REG_MR: between what is before and what is behind */
static enum sodp_wreq_step wreq_local(struct sodp_wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	struct sodp_qp *qp = tx->qp;
	enum sodp_verdict verdict;
	struct sodp_stop stop;
	u64 budget = 0;

	if (w->begun != qp->req.sq_ci)
		return SODP_WREQ_WAIT;
	verdict = sodp_wqe_execute(qp, &budget, &stop);
	/* An access to what is to be closed is under way: again soon */
	if (unlikely(verdict == SODP_BUSY)) {
		sodp_park_key(qp);
		return SODP_WREQ_PARKED;
	}
	if (unlikely(verdict))
		return sodp_wreq_refuse(tx, w->begun, verdict);
	*sodp_wreq_out(w, w->begun) = (struct sodp_wire_out) {
		.opcode = qp->req.wqe.sqe.opcode,
		.flags = qp->req.wqe.sqe.flags,
	};
	w->begun++;
	w->send = w->begun;
	sodp_wreq_complete(qp);
	return SODP_WREQ_GO;
}

/* What keeps the WQE in hand from being begun */
static bool wreq_held_back(struct sodp_wreq_tx *tx)
{
	const struct sodp_wqe *wqe = &tx->qp->req.wqe;
	struct sodp_wire_req *w = tx->w;
	s32 flying = sodp_psn_diff(w->send_psn, w->una);

	if ((wqe->sqe.flags & SODP_SEND_FENCE) && w->rd_any)
		return true;
	if (sodp_wreq_out_of_credits(w, wqe->sqe.opcode, w->ssn + 1) && flying)
		return true;
	/*
	 * The answer to those finds more of them, and they leave together. If
	 * it is lost they are late, as they would be had they left.
	 */
	return tx->slice->counter == SODP_CNT_inline_wqes &&
	       flying >= sodp_policy.hold && wqe->req.nr_packets == 1 &&
	       w->cc.base_ns && w->cc.base_ns < sodp_policy.hold_ns;
}

static void wreq_record(struct sodp_wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	struct sodp_qp *qp = tx->qp;
	struct sodp_wqe *wqe = &qp->req.wqe;

	wqe->req.psn = qp->req.psn;
	*sodp_wreq_out(w, w->begun) = (struct sodp_wire_out) {
		.psn = qp->req.psn,
		.nr_packets = wqe->req.nr_packets,
		.length = wqe->length,
		.opcode = wqe->sqe.opcode,
		.flags = wqe->sqe.flags,
	};
	qp->req.psn = sodp_psn_add(qp->req.psn, wqe->req.nr_packets);
	if (sodp_wreq_is_rd(wqe->sqe.opcode)) {
		w->rd_any = true;
		w->rd_index = w->begun;
	}
	if (wqe->sqe.opcode != SODP_WR_RDMA_READ)
		w->ssn = sodp_psn_add(w->ssn, 1);
	w->begun++;
}

/* Take the next WQE, if there is one and nothing is in its way */
static enum sodp_wreq_step wreq_begin(struct sodp_wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	struct sodp_qp *qp = tx->qp;
	enum sodp_verdict verdict;

	if (!sodp_sq_may_begin(qp, w->begun == qp->req.sq_ci))
		return SODP_WREQ_EMPTY;
	if (w->begun - qp->req.sq_ci > w->mask)
		return SODP_WREQ_WAIT;
	if (!qp->req.wqe.valid || w->loaded != w->begun) {
		if (!sodp_sq_has_entry(qp, w->begun))
			return qp->state == IB_QPS_ERR ? SODP_WREQ_FAILED :
							 SODP_WREQ_EMPTY;
		if (!tx->slice->wqes)
			return SODP_WREQ_MORE;
		verdict = sodp_wqe_fetch(qp, w->begun);
		w->loaded = w->begun;
		if (unlikely(verdict)) {
			if (w->begun != qp->req.sq_ci)
				qp->req.wqe.valid = false;
			return sodp_wreq_refuse(tx, w->begun, verdict);
		}
		tx->slice->wqes--;
		sodp_qp_count(qp, tx->slice->counter, 1);
	}
	if (unlikely(sodp_op_of(qp->req.wqe.sqe.opcode)->flags & SODP_OP_LOCAL))
		return wreq_local(tx);
	if (wreq_held_back(tx))
		return SODP_WREQ_WAIT;
	wreq_record(tx);
	return SODP_WREQ_GO;
}

static enum sodp_wreq_step wreq_go_on(struct sodp_wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	enum sodp_wreq_step step;

	if (w->send == w->begun) {
		step = wreq_begin(tx);
		if (step != SODP_WREQ_GO || w->send == w->begun)
			return step;
	} else if (unlikely(sodp_wreq_load(tx->qp, w->send))) {
		/* Whose slot it was does not matter to one who does this */
		sodp_wreq_fail(tx->qp, SODP_E_LOC_QP_OP);
		return SODP_WREQ_FAILED;
	}
	return sodp_wreq_message(tx);
}

/* Nobody will answer: what was handed to the stack is done */
static void wreq_complete_sent(struct sodp_qp *qp)
{
	struct sodp_wire_req *w = qp->wire->req;

	w->una = w->send_psn;
	while (qp->req.sq_ci != w->send)
		sodp_wreq_complete(qp);
}

/*
 * Does the application wait for just this? Nothing else was on its way, and
 * it has taken all completions. One that goes on posting gains more from
 * others working for it meanwhile.
 */
static bool wreq_is_awaited(struct sodp_qp *qp, const struct sodp_slice *slice)
{
	const struct sodp_wire_req *w = qp->wire->req;
	struct sodp_cq *cq = qp->send_cq;
	bool empty;

	if (slice->counter != SODP_CNT_inline_wqes || !cq ||
	    w->una != w->send_psn)
		return false;
	/* A resize would free the page */
	spin_lock_bh(&cq->cq_lock);
	empty = READ_ONCE(cq->page->ci) == cq->pi;
	spin_unlock_bh(&cq->cq_lock);
	return empty;
}

static enum sodp_sq_result wreq_send(struct sodp_qp *qp,
				     struct sodp_slice *slice)
{
	struct sodp_wreq_tx tx = {
		.qp = qp,
		.w = qp->wire->req,
		.slice = slice,
	};
	enum sodp_wreq_step step;

	sodp_burst_init(&tx.burst, &qp->wire->path, &qp->wire->requests);
	/* Nothing is on its way that could be overtaken, as far as is known */
	if (tx.w->una == tx.w->max_psn && sodp_is_acked(qp)) {
		qp->wire->requests.cpu = 0;
		if (time_after(jiffies, qp->wire->requests.last + HZ))
			sodp_cc_rest(tx.w);
	}
	if (wreq_is_awaited(qp, slice))
		tx.burst.handing = sodp_near_handing;
	do {
		step = wreq_go_on(&tx);
		if (sodp_near_enough(&tx))
			sodp_near_run(&tx);
		if (!sodp_is_acked(qp) && step != SODP_WREQ_FAILED)
			wreq_complete_sent(qp);
	} while (step == SODP_WREQ_GO && !tx.burst.refused &&
		 !sodp_qp_flushes_sends(qp));
	sodp_burst_send(&tx.burst);
	sodp_near_run(&tx);
	if (unlikely(tx.burst.refused) && !sodp_qp_flushes_sends(qp)) {
		sodp_wreq_refused(&tx);
		step = SODP_WREQ_PARKED;
	} else {
		tx.w->refused = 0;
	}
	switch (step) {
	case SODP_WREQ_WAIT:
		/* The end of the wait looks at sq_pi: no bell is needed */
		if (!(qp->page_flags & SODP_QPF_SQ_BUSY))
			sodp_qp_page_flags(qp, SODP_QPF_SQ_BUSY, 0);
		return SODP_SQ_IDLE;
	case SODP_WREQ_MORE:
		return SODP_SQ_MORE;
	case SODP_WREQ_PARKED:
		return SODP_SQ_PARKED;
	default:
		return SODP_SQ_IDLE;
	}
}

/* What the answers, and others on the way, say of the network */
static void wreq_look(struct sodp_qp *qp)
{
	struct sodp_wire_req *w = qp->wire->req;

	if (w->cc.timing && sodp_psn_diff(w->una, w->cc.timed_psn) >= 0)
		sodp_cc_sample(w);
	if (unlikely(test_bit(SODP_CONGESTED_REQUESTS, &qp->wire->congested))) {
		clear_bit(SODP_CONGESTED_REQUESTS, &qp->wire->congested);
		sodp_cc_cut(w, sodp_policy.cnp_keep);
	}
	sodp_cnp_pay(qp);
}

/**
 * sodp_wreq_run() - take answers in, send what may be sent
 * @qp: the requester, on the wire, not in an error state
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

	lockdep_assert_held(&qp->req.exec_mutex);
	if (!sodp_is_acked(qp))
		slice->bytes = min(slice->bytes, sodp_policy.turn_unacked);
	do {
		clear_bit(SODP_TOLD_SQ, &qp->req.told);
		/* Bell, then queues. Pairs with those who fill and ring. */
		smp_mb__after_atomic();
		result = sodp_wreq_answers(qp, slice);
		if (result != SODP_SQ_IDLE)
			break;
		wreq_look(qp);
		if (test_bit(SODP_TOLD_RETRY, &qp->req.told))
			sodp_wreq_timeout(qp);
		if (sodp_qp_flushes_sends(qp))
			break;
		parked = qp->req.park != SODP_PARK_NONE;
		if (!sodp_sq_unpark(qp, &verdict)) {
			result = SODP_SQ_PARKED;
			break;
		}
		/* The peer has its time from now on */
		if (unlikely(parked))
			WRITE_ONCE(qp->wire->req->deadline, 0);
		result = wreq_send(qp, slice);
		if (result != SODP_SQ_IDLE || sodp_qp_flushes_sends(qp) ||
		    skb_queue_empty_lockless(&qp->wire->ack_queue.skbs))
			break;
		if (sodp_turn_is_late(&slice->turn))
			result = SODP_SQ_MORE;
	} while (result == SODP_SQ_IDLE);
	if (likely(!sodp_qp_flushes_sends(qp)))
		sodp_wreq_arm(qp);
	return result;
}
