// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A requester that has to wait: for a page, for a receive of the peer, or
 * for an answer that does not come. Only this QP waits. Whatever ends the
 * wait runs the SQ again; a change of state cancels it.
 */
#include "compat_rdma.h"
#include "sodp.h"

static enum hrtimer_restart park_expired(struct hrtimer *timer)
{
	struct sodp_qp *qp = container_of(timer, struct sodp_qp, park_timer);

	set_bit(SODP_BELL_TIMER, &qp->bell);
	sodp_sq_kick(qp);
	return HRTIMER_NORESTART;
}

/*
 * The fault is waited for without any lock. It may take forever (a
 * userfaultfd that nobody serves): the QP may be modified or destroyed, and
 * memory deregistered, meanwhile; park_gen tells whether this is still the
 * wait it was queued for.
 */
static void park_fault_work(struct work_struct *work)
{
	struct sodp_qp *qp = container_of(work, struct sodp_qp, fault_work);
	struct sodp_miss miss;
	u32 gen;
	int ret;

	mutex_lock(&qp->exec_mutex);
	if (qp->park != SODP_PARK_FAULT) {
		sodp_sq_unlock(qp);
		goto out_put;
	}
	gen = qp->park_gen;
	miss = qp->fault_miss;
	sodp_region_get(miss.region);
	sodp_sq_unlock(qp);

	ret = sodp_region_fault(miss.region, miss.va, miss.len, miss.flags);
	sodp_region_put(miss.region);

	mutex_lock(&qp->exec_mutex);
	if (qp->park == SODP_PARK_FAULT && qp->park_gen == gen) {
		sodp_park_cancel_locked(qp);
		/* Transient trouble is tried again, it never kills a QP */
		if (ret && ret != -EAGAIN && ret != -EBUSY && ret != -EINTR) {
			ibdev_dbg(&qp->dev->base_dev,
				  "QP %#x: fault at %#llx+%llu: %d\n",
				  qp->qpn, miss.va, miss.len, ret);
			qp->wqe.fault_ret = ret;
		}
	}
	sodp_sq_unlock(qp);
	sodp_sq_run_worker(qp);
out_put:
	sodp_qp_put(qp);
}

void sodp_park_init(struct sodp_qp *qp)
{
	hrtimer_setup(&qp->park_timer, park_expired, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_SOFT);
	INIT_WORK(&qp->fault_work, park_fault_work);
}

static void park_set(struct sodp_qp *qp, enum sodp_park park)
{
	lockdep_assert_held(&qp->exec_mutex);
	qp->park = park;
	qp->park_gen++;
	/* No doorbell is needed: the end of the wait looks at sq_pi */
	sodp_qp_page_flags(qp, SODP_QPF_SQ_BUSY, 0);
}

/**
 * sodp_park_fault() - wait for a page in a worker
 * @qp: the requester
 * @stop: what is missing; its reference on the region passes to the QP
 *
 * Context: process, under exec_mutex.
 */
void sodp_park_fault(struct sodp_qp *qp, const struct sodp_stop *stop)
{
	park_set(qp, SODP_PARK_FAULT);
	qp->fault_miss = stop->miss;
	qp->wqe.fault_remote = stop->remote;
	sodp_qp_count(qp, SODP_CNT_fault_parks, 1);
	refcount_inc(&qp->ref);
	if (!queue_work(sodp_fault_wq, &qp->fault_work))
		sodp_qp_put(qp);
}

/**
 * sodp_park_timer() - wait for a time
 * @qp: the requester
 * @park: SODP_PARK_RNR or SODP_PARK_TIMEOUT
 * @ns: how long; 0: until the QP is modified
 *
 * Context: process, under exec_mutex.
 */
void sodp_park_timer(struct sodp_qp *qp, enum sodp_park park, u64 ns)
{
	park_set(qp, park);
	if (ns)
		hrtimer_start(&qp->park_timer, ns_to_ktime(ns),
			      HRTIMER_MODE_REL_SOFT);
}

/**
 * sodp_park_cancel_locked() - end a wait, whatever it was for
 * @qp: the requester
 *
 * Does not wait for a fault under way; that finds another park_gen.
 *
 * Context: process, under exec_mutex, may sleep.
 */
void sodp_park_cancel_locked(struct sodp_qp *qp)
{
	lockdep_assert_held(&qp->exec_mutex);
	if (qp->park == SODP_PARK_FAULT)
		sodp_region_put(qp->fault_miss.region);
	else if (qp->park != SODP_PARK_NONE)
		hrtimer_cancel(&qp->park_timer);
	clear_bit(SODP_BELL_TIMER, &qp->bell);
	qp->park = SODP_PARK_NONE;
	qp->park_gen++;
}
