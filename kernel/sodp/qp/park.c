// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A requester that has to wait: for a page, for a receive of the peer, or
 * for an answer that does not come. Only this QP waits. Whatever ends the
 * wait runs the SQ again; a change of state cancels it.
 */
#include "compat_rdma.h"
#include "qp/qp.h"

static enum hrtimer_restart park_expired(struct hrtimer *timer)
{
	struct sodp_qp *qp =
		container_of(timer, struct sodp_qp, req.park_timer);

	set_bit(SODP_TOLD_TIMER, &qp->req.told);
	sodp_qp_kick(qp);
	return HRTIMER_NORESTART;
}

/* On the wire another WQE may be in hand by now: the miss is found again */
static void park_fault_ended(struct sodp_qp *qp, int ret)
{
	sodp_park_cancel_locked(qp);
	if (ret && qp->req.wqe.waits)
		qp->req.wqe.fault_ret = ret;
	qp->req.wqe.waits = false;
}

void sodp_park_init(struct sodp_qp *qp)
{
	hrtimer_setup(&qp->req.park_timer, park_expired, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_SOFT);
	sodp_wait_init(&qp->req.fault_wait, qp, &qp->req.exec_mutex,
		       park_fault_ended);
}

/* The only place that changes it */
static void park_set(struct sodp_qp *qp, enum sodp_park park)
{
	lockdep_assert_held(&qp->req.exec_mutex);
	qp->req.park = park;
	/* No doorbell is needed: the end of the wait looks at sq_pi */
	if (park != SODP_PARK_NONE)
		sodp_qp_page_flags(qp, SODP_QPF_SQ_BUSY, 0);
}

/**
 * sodp_park_fault() - wait for a page in a worker
 * @qp: the requester
 * @stop: what is missing; its reference on the region passes to the QP
 *
 * A wait that is on already gives way: see wack_miss().
 *
 * Context: process, under exec_mutex.
 */
void sodp_park_fault(struct sodp_qp *qp, const struct sodp_stop *stop)
{
	if (unlikely(qp->req.park != SODP_PARK_NONE))
		sodp_park_cancel_locked(qp);
	park_set(qp, SODP_PARK_FAULT);
	qp->req.wqe.waits = true;
	qp->req.wqe.fault_remote = stop->remote;
	sodp_wait_begin(&qp->req.fault_wait, &stop->miss);
}

/**
 * sodp_park_timer() - wait for a time
 * @qp: the requester
 * @park: SODP_PARK_RNR, SODP_PARK_TIMEOUT, SODP_PARK_KEY or SODP_PARK_TX
 * @ns: how long; 0: until the QP is modified
 *
 * Context: process, under exec_mutex.
 */
void sodp_park_timer(struct sodp_qp *qp, enum sodp_park park, u64 ns)
{
	park_set(qp, park);
	if (ns)
		hrtimer_start(&qp->req.park_timer, ns_to_ktime(ns),
			      HRTIMER_MODE_REL_SOFT);
}

/**
 * sodp_park_key() - wait a moment for a key that is to be closed
 * @qp: the requester
 *
 * Somebody's access goes on under it, for one slice. That may take longer than
 * it looks, where the one has no CPU: no worker spins for it.
 *
 * Context: process, under exec_mutex.
 */
void sodp_park_key(struct sodp_qp *qp)
{
	sodp_park_timer(qp, SODP_PARK_KEY, SODP_KEY_NS);
}

/**
 * sodp_park_cancel_locked() - end a wait, whatever it was for
 * @qp: the requester
 *
 * Does not wait for a fault under way.
 *
 * Context: process, under exec_mutex, may sleep.
 */
void sodp_park_cancel_locked(struct sodp_qp *qp)
{
	lockdep_assert_held(&qp->req.exec_mutex);
	if (qp->req.park == SODP_PARK_FAULT)
		sodp_wait_end(&qp->req.fault_wait);
	else if (qp->req.park != SODP_PARK_NONE)
		hrtimer_cancel(&qp->req.park_timer);
	clear_bit(SODP_TOLD_TIMER, &qp->req.told);
	park_set(qp, SODP_PARK_NONE);
}
