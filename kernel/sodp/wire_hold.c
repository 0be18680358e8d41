// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A responder that must not send now: a queue of this host was full. A timer
 * runs it again.
 */
#include "compat_rdma.h"
#include "wire.h"

static enum hrtimer_restart whold_expired(struct hrtimer *timer)
{
	struct sodp_wire *wire =
		container_of(timer, struct sodp_wire, hold_timer);

	/* Pairs with the READ_ONCE() in sodp_wresp_held() */
	WRITE_ONCE(wire->hold, false);
	sodp_wresp_kick(wire->resp.qp);
	return HRTIMER_NORESTART;
}

/**
 * sodp_wresp_hold_init() - prepare the timer of a new struct sodp_wire
 * @wire: it
 *
 * Context: any. sodp_wire_stop() stops the timer.
 */
void sodp_wresp_hold_init(struct sodp_wire *wire)
{
	hrtimer_setup(&wire->hold_timer, whold_expired, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_SOFT);
}

/**
 * sodp_wresp_hold() - send no READ data for a while
 * @qp: the responder
 * @ns: how long; sodp_wresp_kick() follows
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_hold(struct sodp_qp *qp, u64 ns)
{
	struct sodp_wire *wire = qp->wire;

	lockdep_assert_held(&qp->resp_mutex);
	if (wire->hold || qp->dead)
		return;
	/* Pairs with the READ_ONCE() in sodp_wresp_held() */
	WRITE_ONCE(wire->hold, true);
	hrtimer_start(&wire->hold_timer, ns_to_ktime(ns),
		      HRTIMER_MODE_REL_SOFT);
}

/**
 * sodp_wresp_held() - may the responder not send READ data now?
 * @qp: the responder
 *
 * Context: any.
 * Return: true: it is run again when it may.
 */
bool sodp_wresp_held(const struct sodp_qp *qp)
{
	const struct sodp_wire *wire = qp->wire;

	/* Pairs with the WRITE_ONCE() here and in the timer */
	return sodp_flow_full(&wire->answers) || READ_ONCE(wire->hold);
}
