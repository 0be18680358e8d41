// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A responder that must not send now: a queue of this host was full, or the
 * peer, or a switch on the way, had too much of its READ data (CNP). A peer
 * may ask for 2 GiB at once, and nothing but this slows the answer down. A
 * timer runs the responder again, also for one that waits for a key.
 */
#include <linux/minmax.h>

#include "compat_rdma.h"
#include "xport/rc/wire.h"

static enum hrtimer_restart whold_expired(struct hrtimer *timer)
{
	struct sodp_wire *wire =
		container_of(timer, struct sodp_wire, hold_timer);

	sodp_wresp_kick(wire->resp.qp);
	return HRTIMER_NORESTART;
}

/**
 * sodp_wresp_hold_init() - prepare the timer of a new struct sodp_wire
 * @wire: it
 *
 * Context: any. wire_stop() stops the timer.
 */
void sodp_wresp_hold_init(struct sodp_wire *wire)
{
	hrtimer_setup(&wire->hold_timer, whold_expired, CLOCK_MONOTONIC,
		      HRTIMER_MODE_ABS_SOFT);
}

/* The timer, whose kick runs the responder, is not early */
static bool whold_on(struct sodp_qp *qp)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;

	lockdep_assert_held(&qp->resp.resp_mutex);
	if (likely(resp->state != SODP_WRESP_HELD))
		return false;
	if (ktime_get_ns() < resp->held_until)
		return true;
	sodp_wresp_set(qp, SODP_WRESP_RUNS);
	return false;
}

/**
 * sodp_wresp_hold() - send no READ data for a while
 * @qp: the responder
 * @ns: how long; sodp_wresp_kick() follows
 *
 * One that waits for a page sends none, but may owe an acknowledge.
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_hold(struct sodp_qp *qp, u64 ns)
{
	struct sodp_wire *wire = qp->wire;
	u64 until = ktime_get_ns() + ns;

	if (whold_on(qp) || qp->dead)
		return;
	if (!sodp_wresp_waits(&wire->resp)) {
		sodp_wresp_set(qp, SODP_WRESP_HELD);
		wire->resp.held_until = until;
	} else if (hrtimer_is_queued(&wire->hold_timer)) {
		return;
	}
	hrtimer_start(&wire->hold_timer, ns_to_ktime(until),
		      HRTIMER_MODE_ABS_SOFT);
}

/**
 * sodp_wresp_held() - may the responder not send READ data now?
 * @qp: the responder
 *
 * Context: process, under resp_mutex.
 * Return: true: it is run again when it may.
 */
bool sodp_wresp_held(struct sodp_qp *qp)
{
	return whold_on(qp) || sodp_flow_full(&qp->wire->answers);
}

/* A millisecond is over: CNPs in it halve what the next one may carry */
static void whold_next(struct sodp_wire *wire, u64 now)
{
	struct sodp_pace *pace = &wire->pace;

	if (test_and_clear_bit(SODP_CONGESTED_ANSWERS, &wire->congested))
		pace->rate = max(pace->rate / 2, sodp_policy.pace_least);
	else if (now - pace->until > NSEC_PER_SEC)
		pace->rate = sodp_policy.pace_most;
	else
		pace->rate += pace->rate / 8;
	if (pace->rate >= sodp_policy.pace_most)
		pace->rate = 0;
	pace->left = pace->rate;
	pace->until = now + NSEC_PER_MSEC;
}

/**
 * sodp_wresp_pace() - READ data has been sent
 * @qp: the responder
 * @bytes: so much of it
 *
 * Where CNPs come it is held when that was enough for a millisecond.
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_pace(struct sodp_qp *qp, u32 bytes)
{
	struct sodp_wire *wire = qp->wire;
	struct sodp_pace *pace = &wire->pace;
	u64 now;

	lockdep_assert_held(&qp->resp.resp_mutex);
	if (likely(!pace->rate &&
		   !test_bit(SODP_CONGESTED_ANSWERS, &wire->congested)))
		return;
	now = ktime_get_ns();
	if (!pace->rate) {
		pace->rate = 2 * sodp_policy.pace_first;
		whold_next(wire, now);
	} else if (now >= pace->until) {
		whold_next(wire, now);
	}
	if (!pace->rate)
		return;
	pace->left -= min(pace->left, bytes);
	if (!pace->left)
		sodp_wresp_hold(qp, pace->until - now);
}
