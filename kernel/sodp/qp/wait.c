// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Waits for a page, of the requester or the responder of a QP. They are done
 * by workers of the process whose page it is.
 */
#include "qp/qp.h"
#include "qp/trace.h"

/* Between two tries of a QP whose slots are all taken */
#define WAIT_RETRY		msecs_to_jiffies(100)

/* And after a fault that found no memory for its own needs */
#define WAIT_NOMEM		msecs_to_jiffies(20)

/* Faults tried in a row by whoever met them, with no byte moved in between */
#define WAIT_INLINE_FAULTS	4

static bool wait_may_try(const struct odp_miss *miss, struct sodp_turn *turn)
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

	if (!wait_may_try(miss, turn))
		return -EAGAIN;
	if ((*tries)++ < WAIT_INLINE_FAULTS)
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

/* Transient trouble is tried again, it never kills a QP */
static int wait_verdict(const struct sodp_qp *qp, const struct odp_miss *miss,
			int ret)
{
	if (!ret || ret == -EAGAIN || ret == -EBUSY || ret == -EINTR ||
	    ret == -ENOMEM)
		return 0;
	ibdev_dbg(&qp->dev->base_dev, "QP %#x: fault at %#llx+%llu: %d\n",
		  qp->qpn, miss->va, miss->len, ret);
	return ret;
}

static bool wait_is_requester(const struct sodp_wait *wait)
{
	return wait->side == &wait->qp->req.exec_mutex;
}

static void wait_unlock(struct sodp_wait *wait)
{
	if (wait_is_requester(wait))
		sodp_qp_unlock(wait->qp);
	else
		mutex_unlock(wait->side);
}

/* An abandoned wait for just this page, which is still under way */
static struct sodp_wait_slot *wait_find_slot(struct sodp_wait *wait,
					     const struct odp_miss *miss)
{
	struct sodp_wait_slot *slot = wait->slots;

	lockdep_assert_held(wait->side);
	for (; slot < wait->slots + SODP_WAIT_SLOTS; slot++)
		if (slot->busy && slot->miss.region == miss->region &&
		    slot->miss.va == miss->va &&
		    slot->miss.flags == miss->flags)
			return slot;
	return NULL;
}

/* NULL: none is free. A static region has no workers, nor waits it for pages */
static struct sodp_wait_slot *wait_take_slot(struct sodp_wait *wait,
					     const struct odp_miss *miss)
{
	struct sodp_wait_slot *slot = wait->slots;

	lockdep_assert_held(wait->side);
	if (!odp_region_is_odp(miss->region))
		return NULL;
	while (slot->busy)
		if (++slot == wait->slots + SODP_WAIT_SLOTS)
			return NULL;
	slot->busy = true;
	WRITE_ONCE(slot->begun, false);
	slot->miss = *miss;
	return slot;
}

static void wait_free_slot(struct sodp_wait_slot *slot)
{
	lockdep_assert_held(slot->wait->side);
	slot->busy = false;
	odp_region_put(slot->miss.region);
}

/* @side is held, and let go */
static void wait_leave(struct sodp_wait *wait, bool over, int ret)
{
	if (over) {
		sodp_wait_end(wait);
		wait->ended(wait->qp, ret);
	}
	wait_unlock(wait);
	if (over && wait_is_requester(wait))
		sodp_sq_run_worker(wait->qp);
}

/*
 * The fault is waited for without any lock. It may take forever (a
 * userfaultfd that nobody serves): the QP may be modified or destroyed, and
 * memory deregistered, meanwhile.
 */
static void wait_work(struct odp_work *work)
{
	struct sodp_wait_slot *slot = container_of(work, struct sodp_wait_slot,
						   work);
	const struct odp_miss *miss = &slot->miss;
	struct sodp_wait *wait = slot->wait;
	struct sodp_qp *qp = wait->qp;
	bool over;
	int ret = 0;

	/* Pairs with READ_ONCE() in sodp_wait_is_queued() */
	WRITE_ONCE(slot->begun, true);
	mutex_lock(wait->side);
	if (wait->slot == slot) {
		wait_unlock(wait);
		ret = odp_region_fault(miss->region, miss->va, miss->len,
				       miss->flags);
		/* The QP tries again, and would be back at once */
		if (ret == -ENOMEM)
			schedule_timeout_uninterruptible(WAIT_NOMEM);
		mutex_lock(wait->side);
	}
	over = wait->slot == slot;
	ret = over ? wait_verdict(qp, miss, ret) : 0;
	trace_sodp_wait_end(qp, wait_is_requester(wait), miss, over, ret);
	/* That is us: nothing to cancel, and the region may be gone now */
	if (over)
		WRITE_ONCE(wait->slot, NULL);
	wait_free_slot(slot);
	/* And who waits for a slot need wait no longer */
	wait_leave(wait, over || (wait->on && !wait->slot), ret);
	sodp_qp_put(qp);
}

static void wait_retry_work(struct work_struct *work)
{
	struct sodp_wait *wait = container_of(to_delayed_work(work),
					      struct sodp_wait, retry);
	struct sodp_qp *qp = wait->qp;

	mutex_lock(wait->side);
	wait_leave(wait, wait->on && !wait->slot, 0);
	sodp_qp_put(qp);
}

/**
 * sodp_wait_init() - prepare a side's waits
 * @wait: zeroed
 * @qp: the QP that it is part of
 * @side: exec_mutex or resp_mutex of @qp
 * @ended: see struct sodp_wait. After that of a requester its SQ is run.
 *
 * Context: any.
 */
void sodp_wait_init(struct sodp_wait *wait, struct sodp_qp *qp,
		    struct mutex *side,
		    void (*ended)(struct sodp_qp *qp, int ret))
{
	unsigned int i;

	wait->qp = qp;
	wait->side = side;
	wait->ended = ended;
	INIT_DELAYED_WORK(&wait->retry, wait_retry_work);
	for (i = 0; i < SODP_WAIT_SLOTS; i++) {
		wait->slots[i].wait = wait;
		odp_work_init(&wait->slots[i].work, wait_work);
	}
}

/**
 * sodp_wait_begin() - wait for a page in a worker
 * @wait: not on
 * @miss: what is missing; its reference on the region passes to the wait
 *
 * Context: process, under @wait->side.
 */
void sodp_wait_begin(struct sodp_wait *wait, const struct odp_miss *miss)
{
	struct sodp_wait_slot *slot = wait_find_slot(wait, miss);

	lockdep_assert_held(wait->side);
	wait->on = true;
	if (unlikely(slot)) {
		WRITE_ONCE(wait->slot, slot);
		odp_region_put(miss->region);
		return;
	}
	slot = wait_take_slot(wait, miss);
	WRITE_ONCE(wait->slot, slot);
	/* Of the work; neither can be queued already */
	refcount_inc(&wait->qp->ref);
	if (likely(slot)) {
		sodp_qp_count(wait->qp, SODP_CNT_fault_parks, 1);
		trace_sodp_wait_begin(wait->qp, wait_is_requester(wait), miss);
		odp_region_queue_work(miss->region, &slot->work);
		/* Who could do no better a moment ago cannot now */
		if (!sodp_is_rescuer())
			sodp_rescue_note(wait->qp);
		return;
	}
	odp_region_put(miss->region);
	if (!queue_delayed_work(sodp_wq, &wait->retry, WAIT_RETRY))
		sodp_qp_put(wait->qp);
}

/**
 * sodp_wait_end() - end the wait, if it is on
 * @wait: the wait
 *
 * Does not wait for the fault under way.
 *
 * Context: process, under @wait->side; the caller has a reference on the QP.
 * Return: true: it was on.
 */
bool sodp_wait_end(struct sodp_wait *wait)
{
	struct sodp_wait_slot *slot = wait->slot;

	lockdep_assert_held(wait->side);
	if (!wait->on)
		return false;
	wait->on = false;
	WRITE_ONCE(wait->slot, NULL);
	if (!slot) {
		if (cancel_delayed_work(&wait->retry))
			sodp_qp_put(wait->qp);
	} else if (odp_region_cancel_work(slot->miss.region,
					  &slot->work)) {
		wait_free_slot(slot);
		sodp_qp_put(wait->qp);
	}
	return true;
}

/**
 * sodp_wait_is_queued() - has the worker not begun?
 * @wait: the wait; nothing of it is locked
 *
 * Context: any.
 * Return: a guess.
 */
bool sodp_wait_is_queued(const struct sodp_wait *wait)
{
	/* Pairs with WRITE_ONCE() under @wait->side; slots stay */
	const struct sodp_wait_slot *slot = READ_ONCE(wait->slot);

	return slot && !READ_ONCE(slot->begun);
}

/**
 * sodp_wait_recall() - end a wait whose worker has not begun
 * @wait: the wait
 *
 * The page is missed again, by whoever goes on.
 *
 * Context: process, under @wait->side; the caller has a reference on the QP.
 * Return: true: it was one.
 */
bool sodp_wait_recall(struct sodp_wait *wait)
{
	struct sodp_wait_slot *slot = wait->slot;

	lockdep_assert_held(wait->side);
	if (!slot || !odp_region_cancel_work(slot->miss.region, &slot->work))
		return false;
	wait->on = false;
	WRITE_ONCE(wait->slot, NULL);
	wait_free_slot(slot);
	wait->ended(wait->qp, 0);
	sodp_qp_put(wait->qp);
	return true;
}
