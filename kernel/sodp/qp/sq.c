// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The send queue's executor. Whoever holds exec_mutex runs WQEs in order,
 * for a bounded slice: the poster in its doorbell, or a worker.
 *
 * No bell is missed: a ringer sets SODP_TOLD_SQ before it tries the mutex,
 * and every holder looks at the bit after it let go (sodp_qp_unlock()).
 */
#include "qp/ops.h"
#include "qp/sq.h"
#include "qp/transport.h"

static const u8 sq_wc_status[SODP_VERDICTS] = {
	[SODP_E_LOC_LEN] = IB_WC_LOC_LEN_ERR,
	[SODP_E_LOC_QP_OP] = IB_WC_LOC_QP_OP_ERR,
	[SODP_E_LOC_PROT] = IB_WC_LOC_PROT_ERR,
	[SODP_E_MW_BIND] = IB_WC_MW_BIND_ERR,
	[SODP_E_BAD_RESP] = IB_WC_BAD_RESP_ERR,
	[SODP_E_REM_INV_REQ] = IB_WC_REM_INV_REQ_ERR,
	[SODP_E_REM_ACCESS] = IB_WC_REM_ACCESS_ERR,
	[SODP_E_REM_OP] = IB_WC_REM_OP_ERR,
	[SODP_E_RNR_RETRY] = IB_WC_RNR_RETRY_EXC_ERR,
	[SODP_E_RETRY] = IB_WC_RETRY_EXC_ERR,
};

/* What there is to say when no check said more */
static const u16 sq_vendor_err[SODP_VERDICTS] = {
	[SODP_E_LOC_LEN] = SODP_ERR_LENGTH,
	[SODP_E_LOC_QP_OP] = SODP_ERR_OPCODE,
	[SODP_E_LOC_PROT] = SODP_ERR_PAGE,
	[SODP_E_MW_BIND] = SODP_ERR_BIND,
	[SODP_E_BAD_RESP] = SODP_ERR_BAD_RESPONSE,
	[SODP_E_REM_INV_REQ] = SODP_ERR_NAK_REQUEST,
	[SODP_E_REM_ACCESS] = SODP_ERR_NAK_ACCESS,
	[SODP_E_REM_OP] = SODP_ERR_NAK_OPERATION,
	[SODP_E_RNR_RETRY] = SODP_ERR_RNR_RETRY,
	[SODP_E_RETRY] = SODP_ERR_RETRY,
};

/* Every field, as the zeros of an initializer cost more than all the rest */
static int sq_post_cqe(struct sodp_qp *qp, const struct sodp_sq_entry *entry,
		       u8 status)
{
	struct sodp_cqe cqe = {
		.wr_id = entry->wr_id,
		.status = status,
		.opcode = sodp_op_of(entry->opcode)->wc_opcode,
		.flags = 0,
		.vendor_err = entry->vendor_err,
		.byte_len = entry->length,
		.ex = 0,
		.qpn = qp->qpn,
		.src_qp = 0,
		.timestamp = 0,
		.pkey_index = 0,
		.slid = 0,
		.sl = 0,
		.dlid_path_bits = 0,
		.vlan = 0,
		.srqn = 0,
		.index = qp->req.sq_ci,
		.queue = qp->sq_cookie,
	};

	return sodp_cq_post(qp->send_cq, &cqe, status != IB_WC_SUCCESS);
}

/**
 * sodp_sq_complete() - release the oldest slot, post its completion if due
 * @qp: the QP
 * @entry: what was in the slot
 * @status: enum ib_wc_status
 *
 * Context: process, under exec_mutex.
 * Return: 0, -ENOSPC when the CQ overflowed.
 */
int sodp_sq_complete(struct sodp_qp *qp, const struct sodp_sq_entry *entry,
		     u8 status)
{
	qp->req.sq_ci++;
	/* The slot may be reused. Pairs with the provider's acquire load. */
	smp_store_release(&qp->page->sq_ci, qp->req.sq_ci);
	if (likely(!status) && qp->sig_type != IB_SIGNAL_ALL_WR &&
	    !(entry->flags & SODP_SEND_SIGNALED))
		return 0;
	if (unlikely(status))
		sodp_qp_count(qp, SODP_CNT_completion_errors, 1);
	return sq_post_cqe(qp, entry, status);
}

/* The same for the WQE in hand, which is the oldest */
static int sq_complete(struct sodp_qp *qp, u8 status, u32 vendor_err)
{
	struct sodp_wqe *wqe = &qp->req.wqe;
	struct sodp_sq_entry entry = {
		.wr_id = wqe->sqe.wr_id,
		.length = wqe->length,
		.opcode = wqe->sqe.opcode,
		.flags = wqe->sqe.flags,
		.vendor_err = vendor_err,
	};

	wqe->valid = false;
	return sodp_sq_complete(qp, &entry, status);
}

static void sq_flush_entries(struct sodp_qp *qp)
{
	u32 pi;

	/*
	 * Bells are needed again from here on: clear, then look. Pairs with
	 * the full barrier before the load of flags in the provider.
	 */
	sodp_qp_page_flags(qp, 0, SODP_QPF_SQ_BUSY);
	smp_mb(); /* see above */
	if (qp->req.wqe.valid && !qp->req.transport->run)
		sq_complete(qp, IB_WC_WR_FLUSH_ERR, SODP_ERR_FLUSHED);
	/* Pairs with the release store of sq_pi by the provider */
	pi = smp_load_acquire(&qp->page->sq_pi);
	if (pi - qp->req.sq_ci > qp->req.sq_depth)
		pi = qp->req.sq_ci;
	while (qp->req.sq_ci != pi) {
		sodp_wqe_fetch(qp, qp->req.sq_ci);
		sq_complete(qp, IB_WC_WR_FLUSH_ERR, SODP_ERR_FLUSHED);
	}
}

/* What was posted to the SQ ends here; receives are another matter */
static void sq_flush_sends(struct sodp_qp *qp)
{
	lockdep_assert_held(&qp->req.exec_mutex);
	sodp_park_cancel_locked(qp);
	if (qp->page)
		sq_flush_entries(qp);
	sodp_transports_do(reset_sends, qp);
}

/**
 * sodp_sq_flush_locked() - complete all that was posted with flush errors
 * @qp: a QP in the error state
 *
 * Context: process, under exec_mutex.
 */
void sodp_sq_flush_locked(struct sodp_qp *qp)
{
	lockdep_assert_held(&qp->req.exec_mutex);
	if (qp->dead)
		return;
	sq_flush_sends(qp);
	mutex_lock(&qp->resp.resp_mutex);
	/* What waits for a page would hold its packets until that comes */
	sodp_transports_do(reset_recvs, qp);
	sodp_rq_flush_locked(qp);
	mutex_unlock(&qp->resp.resp_mutex);
}

/**
 * sodp_sq_fail() - complete the WQE in hand with an error
 * @qp: the QP; qp->req.wqe is its oldest
 * @verdict: the error
 *
 * The QP is in an error state then, and the rest is to be flushed.
 *
 * Context: process, under exec_mutex.
 */
void sodp_sq_fail(struct sodp_qp *qp, enum sodp_verdict verdict)
{
	u32 vendor_err = sq_vendor_err[verdict];

	/* A peer of this host says as much as one on the wire */
	if (verdict < SODP_E_REM_INV_REQ && qp->req.wqe.why)
		vendor_err = qp->req.wqe.why;
	sodp_qp_set_send_error(qp);
	sq_complete(qp, sq_wc_status[verdict], vendor_err);
}

/**
 * sodp_sq_fatal() - a completion found no room, or indices make no sense
 * @qp: the QP
 *
 * Context: process, under exec_mutex.
 */
void sodp_sq_fatal(struct sodp_qp *qp)
{
	if (sodp_qp_set_error(qp)) {
		ibdev_dbg(&qp->dev->base_dev, "QP %#x: fatal error\n",
			  qp->qpn);
		sodp_qp_event(qp, IB_EVENT_QP_FATAL);
	}
}

/* No receive at the peer: IBA 9.7.5.2.8; rnr_retry 7 tries for ever */
static enum sodp_verdict sq_wait_rnr(struct sodp_qp *qp)
{
	if (qp->attr.rnr_retry != 7 && !qp->req.rnr_left--)
		return SODP_E_RNR_RETRY;
	sodp_park_timer(qp, SODP_PARK_RNR, qp->req.rnr_ns);
	return SODP_OK;
}

/* No answer: 4.096 us * 2^timeout each time, IBA 11.6.2; 0 waits for ever */
static void sq_wait_answer(struct sodp_qp *qp)
{
	sodp_qp_count(qp, SODP_CNT_timeouts, 1);
	sodp_park_timer(qp, SODP_PARK_TIMEOUT, qp->attr.timeout ?
			4096ULL << qp->attr.timeout : 0);
}

/**
 * sodp_sq_unpark() - is the wait over?
 * @qp: the QP
 * @verdict: what became of it
 *
 * Context: process, under exec_mutex.
 * Return: false: the QP is parked.
 */
bool sodp_sq_unpark(struct sodp_qp *qp, enum sodp_verdict *verdict)
{
	enum sodp_park park = qp->req.park;

	*verdict = SODP_OK;
	if (likely(park == SODP_PARK_NONE))
		return true;
	if (park == SODP_PARK_FAULT ||
	    !test_bit(SODP_TOLD_TIMER, &qp->req.told))
		return false;
	sodp_park_cancel_locked(qp);
	if (park == SODP_PARK_TIMEOUT && !qp->req.retry_left--)
		*verdict = SODP_E_RETRY;
	return true;
}

/**
 * sodp_sq_fault_inline() - try for a missing page here, without waiting
 * @qp: the QP
 * @stop: what is missing; the reference on its region is used up
 * @tries: how often it was tried with no progress in between
 * @turn: who tries, and how long that may take
 *
 * An error is left in qp->req.wqe.fault_ret.
 *
 * Context: process, under exec_mutex.
 * Return: false: parked: see sodp_fault_try().
 */
bool sodp_sq_fault_inline(struct sodp_qp *qp, struct sodp_stop *stop,
			  u32 *tries, struct sodp_turn *turn)
{
	int ret = sodp_fault_try(stop, tries, turn);

	if (ret == -EAGAIN) {
		sodp_park_fault(qp, stop);
		return false;
	}
	if (ret) {
		qp->req.wqe.fault_ret = ret;
		qp->req.wqe.fault_remote = stop->remote;
	}
	return true;
}

static void sq_advance_psn(struct sodp_qp *qp)
{
	qp->req.psn = sodp_psn_add(qp->req.psn, qp->req.wqe.req.nr_packets);
}

static __always_inline void sq_sent(struct sodp_qp *qp)
{
	sodp_qp_count(qp, SODP_CNT_tx_requests, 1);
	sodp_qp_count(qp, SODP_CNT_tx_bytes, qp->req.wqe.length);
	if (qp->req.wqe.acked)
		sq_advance_psn(qp);
	if (unlikely(sq_complete(qp, IB_WC_SUCCESS, 0)))
		sodp_sq_fatal(qp);
}

/**
 * sodp_sq_sent() - complete the WQE in hand with success
 * @qp: the requester
 *
 * Context: process, under exec_mutex, and maybe a peer's resp_mutex.
 */
void sodp_sq_sent(struct sodp_qp *qp)
{
	lockdep_assert_held(&qp->req.exec_mutex);
	sq_sent(qp);
}

/* Run the current WQE until it is done, parks, or the slice ends */
static enum sodp_sq_result sq_run_wqe(struct sodp_qp *qp,
				      struct sodp_slice *slice)
{
	struct sodp_stop stop;
	enum sodp_verdict verdict;
	u64 before, chunk, left;
	u32 tries = 0;

	for (;;) {
		before = qp->req.wqe.req.done;
		chunk = min_t(u64, slice->bytes, SODP_CLOCK_BYTES);
		left = chunk;
		verdict = sodp_wqe_execute(qp, &left, &stop);
		/* A datagram may be longer than what is left */
		slice->bytes -= chunk - min(left, chunk);
		if (likely(verdict == SODP_OK)) {
			/* One that took a receive is completed already */
			if (qp->req.wqe.valid)
				sq_sent(qp);
			return SODP_SQ_IDLE;
		}
		if (verdict == SODP_AGAIN) {
			if (qp->req.wqe.req.done != before)
				tries = 0;
			if (!sodp_sq_fault_inline(qp, &stop, &tries,
						  &slice->turn))
				return SODP_SQ_PARKED;
			continue;
		}
		if (verdict == SODP_BUSY) {
			sodp_park_key(qp);
			return SODP_SQ_PARKED;
		}
		if (verdict == SODP_BUDGET) {
			if (slice->bytes && !sodp_turn_is_late(&slice->turn))
				continue;
			return SODP_SQ_MORE;
		}
		if (verdict == SODP_LOST) {
			sq_wait_answer(qp);
			return SODP_SQ_PARKED;
		}
		if (verdict == SODP_RNR) {
			verdict = sq_wait_rnr(qp);
			if (!verdict)
				return SODP_SQ_PARKED;
		}
		sodp_sq_fail(qp, verdict);
		return SODP_SQ_IDLE;
	}
}

/**
 * sodp_sq_has_entry() - is there an entry to take?
 * @qp: the QP
 * @next: index of it
 *
 * If not, the provider is told that bells are needed again, and sq_pi looked
 * at once more: that pairs with its full barrier between the store to sq_pi
 * and the load of flags.
 *
 * Context: process, under exec_mutex.
 * Return: true: yes.
 */
bool sodp_sq_has_entry(struct sodp_qp *qp, u32 next)
{
	u32 pi;

	if (unlikely(!qp->page))
		return false;
	/* Pairs with the release store of sq_pi by the provider */
	pi = smp_load_acquire(&qp->page->sq_pi);
	if (pi == next && (qp->page_flags & SODP_QPF_SQ_BUSY)) {
		sodp_qp_page_flags(qp, 0, SODP_QPF_SQ_BUSY);
		/* Flag, then index: see above */
		smp_mb();
		/* Pairs with the release store of sq_pi by the provider */
		pi = smp_load_acquire(&qp->page->sq_pi);
	}
	if (pi == next)
		return false;
	if (unlikely(pi - qp->req.sq_ci > qp->req.sq_depth ||
		     pi - next > qp->req.sq_depth)) {
		ibdev_dbg(&qp->dev->base_dev, "QP %#x: SQ index %u, at %u\n",
			  qp->qpn, pi, qp->req.sq_ci);
		sodp_sq_fatal(qp);
		return false;
	}
	return true;
}

/**
 * sodp_sq_may_begin() - does the QP's state allow the next WQE to begin?
 * @qp: the QP
 * @drained: all that was begun is completed
 *
 * Context: process, under exec_mutex.
 * Return: true: yes.
 */
bool sodp_sq_may_begin(struct sodp_qp *qp, bool drained)
{
	if (likely(qp->state == IB_QPS_RTS))
		return true;
	if (qp->state == IB_QPS_SQD && drained && qp->req.sqd_event) {
		qp->req.sqd_event = false;
		sodp_qp_event(qp, IB_EVENT_SQ_DRAINED);
	}
	return false;
}

static enum sodp_sq_result sq_run_locked(struct sodp_qp *qp,
					 struct sodp_slice *slice)
{
	const struct sodp_transport *transport = qp->req.transport;
	enum sodp_verdict verdict;
	enum sodp_sq_result result;

	lockdep_assert_held(&qp->req.exec_mutex);
	clear_bit(SODP_TOLD_SQ, &qp->req.told);
	/* Pairs with smp_mb__after_atomic() in sodp_sq_doorbell() */
	smp_mb__after_atomic();
	for (;;) {
		if (unlikely(qp->dead))
			return SODP_SQ_IDLE;
		if (unlikely(READ_ONCE(qp->state) == IB_QPS_ERR)) {
			sodp_sq_flush_locked(qp);
			return SODP_SQ_IDLE;
		}
		if (unlikely(READ_ONCE(qp->state) == IB_QPS_SQE)) {
			sq_flush_sends(qp);
			return SODP_SQ_IDLE;
		}
		if (transport->run) {
			result = transport->run(qp, slice);
			if (likely(!sodp_qp_flushes_sends(qp)))
				return result;
			continue;
		}
		if (!sodp_sq_unpark(qp, &verdict))
			return SODP_SQ_PARKED;
		if (verdict) {
			sodp_sq_fail(qp, verdict);
			continue;
		}
		if (!qp->req.wqe.valid) {
			if (!sodp_sq_may_begin(qp, true))
				return SODP_SQ_IDLE;
			if (!sodp_sq_has_entry(qp, qp->req.sq_ci)) {
				if (qp->state == IB_QPS_ERR)
					continue;
				return SODP_SQ_IDLE;
			}
			if (transport->full && unlikely(transport->full(qp)))
				return SODP_SQ_PARKED;
			if (!slice->wqes--)
				return SODP_SQ_MORE;
			sodp_qp_count(qp, slice->counter, 1);
			qp->req.rnr_left = qp->attr.rnr_retry;
			qp->req.retry_left = qp->attr.retry_cnt;
			verdict = sodp_wqe_fetch(qp, qp->req.sq_ci);
			if (unlikely(verdict)) {
				sodp_sq_fail(qp, verdict);
				continue;
			}
		}
		result = sq_run_wqe(qp, slice);
		if (unlikely(result != SODP_SQ_IDLE))
			return result;
	}
}

/* Slice used up: a worker goes on, and needs no bell for what is posted */
static void sq_continue_later(struct sodp_qp *qp)
{
	sodp_qp_page_flags(qp, SODP_QPF_SQ_BUSY, 0);
	sodp_qp_kick(qp);
}

/* exec_mutex is held and let go. @brief: others wait for what comes then */
static void sq_worker_turn(struct sodp_qp *qp, bool brief)
{
	struct sodp_slice slice = {
		.bytes = brief ? SODP_INLINE_BYTES : SODP_WORKER_BYTES,
		.near = SODP_WORKER_BYTES,
		.wqes = SODP_WORKER_WQES,
		.counter = SODP_CNT_worker_wqes,
		.turn.ns = brief ? SODP_POSTER_NS : SODP_WORKER_NS,
	};

	sodp_qp_begin_turn(qp);
	if (qp->req.transport->check)
		qp->req.transport->check(qp);
	if (sq_run_locked(qp, &slice) == SODP_SQ_MORE)
		sq_continue_later(qp);
	sodp_qp_unlock(qp);
}

/**
 * sodp_sq_run_worker() - run one slice in a worker
 * @qp: the QP, referenced
 *
 * Context: process, may sleep.
 */
void sodp_sq_run_worker(struct sodp_qp *qp)
{
	mutex_lock(&qp->req.exec_mutex);
	sq_worker_turn(qp, false);
}

/**
 * sodp_sq_try() - run a short slice in a worker, unless somebody else does
 * @qp: the QP, referenced
 *
 * Context: process, may sleep.
 */
void sodp_sq_try(struct sodp_qp *qp)
{
	if (!mutex_trylock(&qp->req.exec_mutex))
		return;
	sq_worker_turn(qp, true);
}

/**
 * sodp_sq_rescue() - do what a worker should have begun
 * @qp: the QP, referenced
 *
 * Does not wait for another executor, who may not have a CPU either.
 *
 * Context: process, may sleep.
 */
void sodp_sq_rescue(struct sodp_qp *qp)
{
	/* Who has the mutex does not know of the work that is taken away here */
	set_bit(SODP_TOLD_SQ, &qp->req.told);
	/* Bell, then try. Pairs with smp_mb() in sodp_qp_unlock(). */
	smp_mb__after_atomic();
	if (!mutex_trylock(&qp->req.exec_mutex))
		return;
	if (cancel_work(&qp->req.sq_work))
		sodp_qp_put(qp);
	sodp_wait_recall(&qp->req.fault_wait);
	sq_worker_turn(qp, true);
}

void sodp_sq_work(struct work_struct *work)
{
	struct sodp_qp *qp = container_of(work, struct sodp_qp, req.sq_work);

	sodp_sq_run_worker(qp);
	sodp_qp_put(qp);
}

/**
 * sodp_sq_doorbell() - entries were posted: run what a slice allows
 * @qp: the QP, referenced
 *
 * Never waits for another executor.
 *
 * Context: process.
 */
void sodp_sq_doorbell(struct sodp_qp *qp)
{
	struct sodp_slice slice = {
		.bytes = SODP_INLINE_BYTES,
		.near = SODP_INLINE_BYTES,
		.wqes = SODP_INLINE_WQES,
		.counter = SODP_CNT_inline_wqes,
		.turn.ns = SODP_POSTER_NS,
		.turn.poster = true,
	};

	sodp_count(qp->dev, SODP_CNT_doorbells, 1);
	set_bit(SODP_TOLD_SQ, &qp->req.told);
	/* Bell, then try. Pairs with smp_mb() in sodp_qp_unlock(). */
	smp_mb__after_atomic();
	if (!mutex_trylock(&qp->req.exec_mutex))
		return;
	if (sq_run_locked(qp, &slice) == SODP_SQ_MORE)
		sq_continue_later(qp);
	sodp_qp_unlock(qp);
}
