// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Work that no worker begins. Workers are ordinary threads: where threads of
 * a real-time class have all CPUs, maybe because they poll for the very
 * completion, a worker gets its first turn when the scheduler throttles them,
 * after a second. So a thread of that class looks after QPs that have work
 * queued, or a fault. What was not begun from one look to the next it does
 * itself, as a poster would: in short turns, without waiting for pages.
 *
 * It is no second way to do work, but a slow one that is always open: it takes
 * less than half of one CPU, and nothing where workers have one.
 */
#include <linux/kthread.h>
#include <linux/llist.h>
#include <linux/sched.h>

#include "compat_rdma.h"
#include "qp/transport.h"

/* From one look to the next */
#define RESCUE_PERIOD_NS	(5 * NSEC_PER_MSEC)
/* Turns of one look; the last may take SODP_POSTER_NS and a fault more */
#define RESCUE_WORK_NS		(2 * NSEC_PER_MSEC)

static struct task_struct *rescue_task;
static struct hrtimer rescue_timer;
/* QPs that are looked after, each with a reference */
static LLIST_HEAD(rescue_list);

enum rescue_flag {
	RESCUE_ARMED,	/* the timer runs, or its bell has not been heard */
	RESCUE_DUE,	/* it has expired */
};

static unsigned long rescue_flags;

/**
 * sodp_is_rescuer() - is it the thread that does what workers do not?
 *
 * Context: process.
 * Return: true: turns are to be short.
 */
bool sodp_is_rescuer(void)
{
	return current == rescue_task;
}

static enum hrtimer_restart rescue_expired(struct hrtimer *timer)
{
	set_bit(RESCUE_DUE, &rescue_flags);
	wake_up_process(rescue_task);
	return HRTIMER_NORESTART;
}

static void rescue_arm(void)
{
	if (!test_bit(RESCUE_ARMED, &rescue_flags) &&
	    !test_and_set_bit(RESCUE_ARMED, &rescue_flags))
		hrtimer_start(&rescue_timer, ns_to_ktime(RESCUE_PERIOD_NS),
			      HRTIMER_MODE_REL_HARD);
}

/**
 * sodp_rescue_note() - something was queued for a QP
 * @qp: the QP; the caller has a reference or one of its mutexes
 *
 * Context: any.
 */
void sodp_rescue_note(struct sodp_qp *qp)
{
	if (test_bit(SODP_TOLD_NOTED, &qp->req.told) ||
	    test_and_set_bit(SODP_TOLD_NOTED, &qp->req.told))
		return;
	refcount_inc(&qp->ref);
	llist_add(&qp->rescue_node, &rescue_list);
	/* List, then flag. Pairs with the barrier in rescue_look(). */
	smp_mb__after_atomic();
	rescue_arm();
}

static bool rescue_sq_waits(const struct sodp_qp *qp)
{
	return work_pending(&qp->req.sq_work) ||
	       sodp_wait_is_queued(&qp->req.fault_wait);
}

static bool rescue_resp_waits(const struct sodp_qp *qp)
{
	const struct sodp_transport *const *t;

	for (t = sodp_transports; *t; t++)
		if ((*t)->resp_waits && (*t)->resp_waits(qp))
			return true;
	return false;
}

static bool rescue_resp_queued(const struct sodp_qp *qp)
{
	const struct sodp_transport *const *t;

	for (t = sodp_transports; *t; t++)
		if ((*t)->resp_queued && (*t)->resp_queued(qp))
			return true;
	return false;
}

static void rescue_resp(struct sodp_qp *qp)
{
	const struct sodp_transport *const *t;

	for (t = sodp_transports; *t; t++)
		if ((*t)->resp_waits && (*t)->resp_waits(qp))
			(*t)->rescue(qp);
}

/*
 * Nothing of it has begun since the last look. Work that somebody is in the
 * way of is looked at again; a page that could not be had is not.
 */
static void rescue_run(struct sodp_qp *qp)
{
	if (rescue_sq_waits(qp))
		sodp_sq_rescue(qp);
	rescue_resp(qp);
	if (work_pending(&qp->req.sq_work) || rescue_resp_queued(qp))
		sodp_rescue_note(qp);
}

static void rescue_qp(struct sodp_qp *qp)
{
	u32 turns = READ_ONCE(qp->turns);
	bool waits, again;

	clear_bit(SODP_TOLD_NOTED, &qp->req.told);
	/* Bit, then queues: what is queued later notes the QP again */
	smp_mb__after_atomic();
	waits = rescue_sq_waits(qp) || rescue_resp_waits(qp);
	again = waits && qp->rescue_seen && qp->rescue_turns == turns;
	qp->rescue_seen = waits && !again;
	qp->rescue_turns = turns;
	if (again)
		rescue_run(qp);
	else if (waits)
		sodp_rescue_note(qp);
	sodp_qp_put(qp);
}

/* Those for which there is no time now are looked at next time */
static void rescue_look(void)
{
	u64 end = ktime_get_ns() + RESCUE_WORK_NS;
	struct llist_node *list, *node, *next;

	clear_bit(RESCUE_ARMED, &rescue_flags);
	/* Flag, then list. Pairs with the barrier in sodp_rescue_note(). */
	smp_mb__after_atomic();
	list = llist_reverse_order(llist_del_all(&rescue_list));
	llist_for_each_safe(node, next, list) {
		struct sodp_qp *qp = llist_entry(node, struct sodp_qp,
						 rescue_node);

		if (ktime_get_ns() < end) {
			rescue_qp(qp);
			continue;
		}
		llist_add(&qp->rescue_node, &rescue_list);
		rescue_arm();
	}
}

static int rescue_loop(void *unused)
{
	while (!kthread_should_stop()) {
		set_current_state(TASK_IDLE);
		/* State, then flag: see rescue_expired() */
		if (!test_and_clear_bit(RESCUE_DUE, &rescue_flags)) {
			if (!kthread_should_stop())
				schedule();
			continue;
		}
		__set_current_state(TASK_RUNNING);
		rescue_look();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

int sodp_rescue_init(void)
{
	hrtimer_setup(&rescue_timer, rescue_expired, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_HARD);
	rescue_task = kthread_create(rescue_loop, NULL, "sodp_rescue");
	if (IS_ERR(rescue_task))
		return PTR_ERR(rescue_task);
	sched_set_fifo(rescue_task);
	wake_up_process(rescue_task);
	return 0;
}

/**
 * sodp_rescue_exit() - undo sodp_rescue_init()
 *
 * No QP is left.
 *
 * Context: process, may sleep.
 */
void sodp_rescue_exit(void)
{
	WARN_ON(!llist_empty(&rescue_list));
	hrtimer_cancel(&rescue_timer);
	kthread_stop(rescue_task);
}
