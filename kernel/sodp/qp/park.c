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
	struct sodp_qp *qp = container_of(timer, struct sodp_qp, park_timer);

	set_bit(SODP_BELL_TIMER, &qp->bell);
	sodp_sq_kick(qp);
	return HRTIMER_NORESTART;
}

/* Faults tried in a row by whoever met them, with no byte moved in between */
#define PARK_INLINE_FAULTS	4

static bool park_may_try(const struct odp_miss *miss, struct sodp_turn *turn)
{
	if (turn->poster && !odp_region_is_callers(miss->region))
		return false;
	return !sodp_turn_is_late(turn);
}

/**
 * sodp_fault_try() - try for a missing page here, without waiting
 * @stop: what is missing
 * @tries: how often it was tried with no progress in between
 * @turn: who tries, and how long that may take
 *
 * Who posted faults in its own memory only: another process' pages are
 * charged to that, may need reclaim there, and are its workers' to fetch.
 *
 * Context: process.
 * Return: -EAGAIN: that would wait, take too long, or led nowhere several
 * times: the reference on the region is still the caller's, who waits
 * elsewhere. Else the reference is gone: 0 or why there will be no page.
 */
int sodp_fault_try(const struct sodp_stop *stop, u32 *tries,
		   struct sodp_turn *turn)
{
	const struct odp_miss *miss = &stop->miss;
	int ret = -EAGAIN;

	if (!park_may_try(miss, turn))
		return -EAGAIN;
	if ((*tries)++ < PARK_INLINE_FAULTS)
		ret = odp_region_fault(miss->region, miss->va, miss->len,
				       miss->flags | ODP_FAULT_NOWAIT |
				       ODP_FAULT_BRIEF);
	/* A worker can wait for memory */
	if (ret == -ENOMEM)
		ret = -EAGAIN;
	if (ret != -EAGAIN)
		odp_region_put(miss->region);
	return ret;
}

/* On the wire another WQE may be in hand by now: the miss is found again */
static void park_fault_ended(struct sodp_qp *qp, int ret)
{
	sodp_park_cancel_locked(qp);
	if (ret && qp->wqe.waits)
		qp->wqe.fault_ret = ret;
	qp->wqe.waits = false;
}

void sodp_park_init(struct sodp_qp *qp)
{
	hrtimer_setup(&qp->park_timer, park_expired, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_SOFT);
	sodp_wait_init(&qp->fault_wait, qp, &qp->exec_mutex, park_fault_ended);
}

static void park_set(struct sodp_qp *qp, enum sodp_park park)
{
	lockdep_assert_held(&qp->exec_mutex);
	qp->park = park;
	/* No doorbell is needed: the end of the wait looks at sq_pi */
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
	if (unlikely(qp->park != SODP_PARK_NONE))
		sodp_park_cancel_locked(qp);
	park_set(qp, SODP_PARK_FAULT);
	qp->wqe.waits = true;
	qp->wqe.fault_remote = stop->remote;
	sodp_wait_begin(&qp->fault_wait, &stop->miss);
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
		hrtimer_start(&qp->park_timer, ns_to_ktime(ns),
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
	lockdep_assert_held(&qp->exec_mutex);
	if (qp->park == SODP_PARK_FAULT)
		sodp_wait_end(&qp->fault_wait);
	else if (qp->park != SODP_PARK_NONE)
		hrtimer_cancel(&qp->park_timer);
	clear_bit(SODP_BELL_TIMER, &qp->bell);
	qp->park = SODP_PARK_NONE;
}
