// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The receive side's queue: taking entries that the application posted,
 * completing them, flushing them. Everything here is under resp_mutex.
 */
#include "qp/qp.h"

/* Copy the next entry of the QP's own RQ */
static enum sodp_verdict rq_fetch_own(struct sodp_qp *qp)
{
	/* Pairs with the release store of rq_pi by the provider */
	u32 pi = smp_load_acquire(&qp->page->rq_pi);
	const u8 *slot;

	if (pi == qp->resp.rq_ci)
		return SODP_RNR;
	slot = qp->resp.rq + (qp->resp.rq_ci & (qp->resp.rq_depth - 1)) *
	       (size_t)qp->resp.rq_stride;
	if (pi - qp->resp.rq_ci > qp->resp.rq_depth ||
	    sodp_rqe_copy(&qp->resp.recv, slot, qp->cap.max_recv_sge,
			  qp->strict)) {
		ibdev_dbg(&qp->dev->base_dev, "QP %#x: RQ ring is garbage\n",
			  qp->qpn);
		return SODP_E_REM_OP;
	}
	qp->resp.rq_ci++;
	/* The slot may be reused. Pairs with the provider's acquire load. */
	smp_store_release(&qp->page->rq_ci, qp->resp.rq_ci);
	return SODP_OK;
}

/* The SRQ may not change in the middle of a message */
static enum sodp_verdict rq_keep_recv(const struct sodp_qp *qp,
				      const struct sodp_xsrq *xsrq)
{
	if (xsrq && xsrq->srqn != qp->resp.recv.srqn)
		return SODP_E_REM_INV_REQ;
	return SODP_OK;
}

/**
 * sodp_rq_fetch() - have a receive in hand
 * @qp: the responder
 * @xsrq: of an XRC target: the SRQ that the request names
 *
 * Context: under resp_mutex.
 * Return: SODP_OK with qp->resp.recv valid; SODP_RNR none posted; SODP_E_REM_OP
 * nonsense in the ring.
 */
enum sodp_verdict sodp_rq_fetch(struct sodp_qp *qp, struct sodp_xsrq *xsrq)
{
	struct sodp_srq *srq = unlikely(xsrq) ? xsrq->srq : qp->srq;
	enum sodp_verdict verdict;

	lockdep_assert_held(&qp->resp.resp_mutex);
	if (qp->resp.recv.valid)
		return rq_keep_recv(qp, xsrq);
	verdict = srq ? sodp_srq_fetch(srq, &qp->resp.recv) : rq_fetch_own(qp);
	qp->resp.recv.valid = verdict == SODP_OK;
	if (xsrq)
		qp->resp.recv.srqn = xsrq->srqn;
	if (unlikely(!verdict && qp->resp.recv.fail_status))
		return SODP_E_REM_OP;
	return verdict;
}

/* Post to the CQ of the SRQ, unless both are gone by now */
static int rq_post_xrc(struct sodp_qp *qp, struct sodp_xsrq *lent,
		       struct sodp_cqe *cqe, bool solicited)
{
	struct sodp_xsrq *xsrq = lent;
	struct sodp_srq *srq;
	int ret;

	if (!xsrq)
		xsrq = sodp_xrc_get(qp->xrcd, qp->resp.recv.srqn);
	if (!xsrq)
		return 0;
	srq = xsrq->srq;
	cqe->srqn = xsrq->srqn;
	cqe->queue = srq->cookie;
	ret = sodp_cq_post(to_sodp_cq(srq->base_srq.ext.cq), cqe, solicited);
	if (unlikely(ret))
		sodp_srq_lose(srq);
	if (!lent)
		sodp_xrc_put(xsrq);
	return ret;
}

/* The slot that the receive had is free when the completion is polled */
static int rq_post_own(struct sodp_qp *qp, struct sodp_cqe *cqe,
		       bool solicited)
{
	cqe->queue = qp->rq_cookie;
	cqe->index = qp->resp.rq_ci;
	return sodp_cq_post(qp->recv_cq, cqe, solicited);
}

static int rq_post_shared(struct sodp_qp *qp, struct sodp_cqe *cqe,
			  bool solicited)
{
	int ret;

	cqe->queue = qp->srq->cookie;
	/* Before it can be polled */
	if (qp->user.kernel)
		atomic_inc(&qp->srq_unpolled);
	ret = sodp_cq_post(qp->recv_cq, cqe, solicited);
	if (likely(!ret))
		return 0;
	if (qp->user.kernel)
		atomic_dec(&qp->srq_unpolled);
	sodp_srq_lose(qp->srq);
	return ret;
}

/**
 * sodp_rq_forget_locked() - the receive in hand will not be completed
 * @qp: a QP that is reset or destroyed
 *
 * Context: under resp_mutex.
 */
void sodp_rq_forget_locked(struct sodp_qp *qp)
{
	struct sodp_xsrq *xsrq;

	lockdep_assert_held(&qp->resp.resp_mutex);
	if (!qp->resp.recv.valid)
		return;
	qp->resp.recv.valid = false;
	if (!qp->xrcd) {
		if (qp->srq)
			sodp_srq_lose(qp->srq);
		return;
	}
	xsrq = sodp_xrc_get(qp->xrcd, qp->resp.recv.srqn);
	if (!xsrq)
		return;
	sodp_srq_lose(xsrq->srq);
	sodp_xrc_put(xsrq);
}

/**
 * sodp_rq_complete() - complete the receive in hand
 * @qp: the responder
 * @xsrq: of an XRC target: the SRQ, if the caller has it
 * @cqe: all but wr_id, qpn, srqn, index and queue
 * @solicited: the request asked for an event, or the status is an error
 *
 * Context: under resp_mutex.
 */
void sodp_rq_complete(struct sodp_qp *qp, struct sodp_xsrq *xsrq,
		      struct sodp_cqe *cqe, bool solicited)
{
	int ret;

	lockdep_assert_held(&qp->resp.resp_mutex);
	cqe->wr_id = qp->resp.recv.wr_id;
	cqe->qpn = qp->qpn;
	qp->resp.recv.valid = false;
	if (cqe->status)
		sodp_qp_count(qp, SODP_CNT_completion_errors, 1);
	if (unlikely(qp->xrcd))
		ret = rq_post_xrc(qp, xsrq, cqe, solicited);
	else if (qp->srq)
		ret = rq_post_shared(qp, cqe, solicited);
	else
		ret = rq_post_own(qp, cqe, solicited);
	if (ret && sodp_qp_set_error(qp)) {
		sodp_qp_event(qp, IB_EVENT_QP_FATAL);
		sodp_qp_kick(qp);
	}
}

static void rq_flush_one(struct sodp_qp *qp)
{
	struct sodp_cqe cqe = {
		.status = IB_WC_WR_FLUSH_ERR,
		.opcode = SODP_WC_RECV,
		.vendor_err = SODP_ERR_FLUSHED,
	};

	sodp_rq_complete(qp, NULL, &cqe, true);
}

/**
 * sodp_rq_flush_locked() - complete every receive with a flush error
 * @qp: a QP in the error state
 *
 * Receives posted later are flushed when the provider rings the RQ bell,
 * which the flag in the ring asks it to do.
 *
 * Context: under resp_mutex.
 */
void sodp_rq_flush_locked(struct sodp_qp *qp)
{
	u32 left;

	lockdep_assert_held(&qp->resp.resp_mutex);
	if (qp->dead)
		return;
	if (qp->resp.recv.valid)
		rq_flush_one(qp);
	if (qp->srq || qp->xrcd) {
		if (!qp->resp.last_wqe_sent) {
			qp->resp.last_wqe_sent = true;
			sodp_qp_event(qp, IB_EVENT_QP_LAST_WQE_REACHED);
		}
		return;
	}
	if (!qp->resp.rq_depth)
		return;
	sodp_qp_page_flags(qp, SODP_QPF_RQ_BELL, 0);
	/*
	 * Flag first, then look at rq_pi. Pairs with the full barrier between
	 * the store to rq_pi and the load of flags in the provider.
	 */
	smp_mb();
	/* Once around: who goes on posting rings for what comes later */
	left = qp->resp.rq_depth;
	while (left-- && rq_fetch_own(qp) == SODP_OK)
		rq_flush_one(qp);
}

/**
 * sodp_rq_doorbell() - flush receives posted to a QP in the error state
 * @qp: the QP
 *
 * Context: process, may sleep.
 */
void sodp_rq_doorbell(struct sodp_qp *qp)
{
	mutex_lock(&qp->resp.resp_mutex);
	if (READ_ONCE(qp->state) == IB_QPS_ERR)
		sodp_rq_flush_locked(qp);
	mutex_unlock(&qp->resp.resp_mutex);
}
