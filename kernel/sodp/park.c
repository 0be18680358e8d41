// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A requester that has to wait: for a page, for a receive of the peer, or
 * for an answer that does not come. Only this QP waits. Whatever ends the
 * wait runs the SQ again; a change of state cancels it. And a responder off
 * the wire, which may have to wait for a page.
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

/* Faults tried in a row by whoever met them, with no byte moved in between */
#define PARK_INLINE_FAULTS	4

/**
 * sodp_fault_try() - try for a missing page here, without waiting
 * @stop: what is missing
 * @tries: how often it was tried with no progress in between
 * @flags: more enum sodp_fault_flags
 *
 * Context: process.
 * Return: -EAGAIN: that would wait, or led nowhere several times: the
 * reference on the region is still the caller's, who waits elsewhere. Else
 * the reference is gone: 0 or why there will be no page.
 */
int sodp_fault_try(const struct sodp_stop *stop, u32 *tries, u32 flags)
{
	const struct sodp_miss *miss = &stop->miss;
	int ret = -EAGAIN;

	flags |= miss->flags | SODP_FAULT_NOWAIT;
	if ((*tries)++ < PARK_INLINE_FAULTS)
		ret = sodp_region_fault(miss->region, miss->va, miss->len,
					flags);
	if (ret != -EAGAIN)
		sodp_region_put(miss->region);
	return ret;
}

/* Transient trouble is tried again, it never kills a QP */
static int park_verdict(const struct sodp_qp *qp, const struct sodp_miss *miss,
			int ret)
{
	if (!ret || ret == -EAGAIN || ret == -EBUSY || ret == -EINTR)
		return 0;
	ibdev_dbg(&qp->dev->base_dev, "QP %#x: fault at %#llx+%llu: %d\n",
		  qp->qpn, miss->va, miss->len, ret);
	return ret;
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
		ret = park_verdict(qp, &miss, ret);
		if (ret)
			qp->wqe.fault_ret = ret;
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
	sodp_qp_queue_work(qp, sodp_fault_wq, &qp->fault_work);
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

/* As park_fault_work(), of the side that resp_mutex guards */
static void park_resp_work(struct work_struct *work)
{
	struct sodp_resp_wait *wait = container_of(work, struct sodp_resp_wait,
						   work);
	struct sodp_qp *qp = wait->qp;
	struct sodp_miss miss;
	u32 gen;
	int ret;

	mutex_lock(&qp->resp_mutex);
	if (!wait->on) {
		mutex_unlock(&qp->resp_mutex);
		goto out_put;
	}
	gen = wait->gen;
	miss = wait->miss;
	sodp_region_get(miss.region);
	mutex_unlock(&qp->resp_mutex);

	ret = sodp_region_fault(miss.region, miss.va, miss.len, miss.flags);
	sodp_region_put(miss.region);

	mutex_lock(&qp->resp_mutex);
	if (wait->on && wait->gen == gen) {
		sodp_resp_wait_end(wait);
		wait->ended(qp, park_verdict(qp, &miss, ret));
	}
	mutex_unlock(&qp->resp_mutex);
out_put:
	sodp_qp_put(qp);
}

void sodp_resp_wait_init(struct sodp_resp_wait *wait, struct sodp_qp *qp,
			 void (*ended)(struct sodp_qp *qp, int ret))
{
	wait->qp = qp;
	wait->ended = ended;
	INIT_WORK(&wait->work, park_resp_work);
}

/**
 * sodp_resp_wait_begin() - wait for a page in a worker
 * @wait: not on
 * @miss: what is missing; its reference on the region passes to the wait
 *
 * Context: process, under resp_mutex.
 */
void sodp_resp_wait_begin(struct sodp_resp_wait *wait,
			  const struct sodp_miss *miss)
{
	lockdep_assert_held(&wait->qp->resp_mutex);
	wait->on = true;
	wait->miss = *miss;
	sodp_qp_count(wait->qp, SODP_CNT_fault_parks, 1);
	sodp_qp_queue_work(wait->qp, sodp_fault_wq, &wait->work);
}

/**
 * sodp_resp_wait_end() - end the wait, if it is on
 * @wait: the wait
 *
 * Does not wait for the fault under way; that finds another gen.
 *
 * Context: process, under resp_mutex.
 * Return: true: it was on.
 */
bool sodp_resp_wait_end(struct sodp_resp_wait *wait)
{
	lockdep_assert_held(&wait->qp->resp_mutex);
	if (!wait->on)
		return false;
	wait->on = false;
	wait->gen++;
	sodp_region_put(wait->miss.region);
	return true;
}
