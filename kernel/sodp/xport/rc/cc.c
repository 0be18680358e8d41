// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * How much a requester may have on its way. The window doubles with every
 * round trip until something is in its way, then grows by one. It shrinks,
 * once in a round trip, for a loss, for a CNP, for CE on READ data, for what
 * a queue of this host had no room for, and when packets wait in queues for
 * longer than is of use to anybody. A timeout starts afresh.
 *
 * Figures are in struct sodp_policy. All of it under exec_mutex.
 */
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "xport/rc/requester.h"

/**
 * sodp_cc_reset() - a new connection
 * @w: its requester; nothing is on its way
 *
 * Context: process, under exec_mutex.
 */
void sodp_cc_reset(struct sodp_wire_req *w)
{
	memset(&w->cc, 0, sizeof(w->cc));
	w->cc.window = sodp_policy.window_first;
	w->cc.limit = sodp_policy.window;
	w->cc.una = w->una;
}

/**
 * sodp_cc_grow() - w->una has moved on, and the window is not at its most
 * @w: the requester
 *
 * Context: process, under exec_mutex.
 */
void sodp_cc_grow(struct sodp_wire_req *w)
{
	struct sodp_cc *cc = &w->cc;
	u32 nr = max(sodp_psn_diff(w->una, cc->una), 0);

	cc->una = w->una;
	if (cc->cut) {
		if (sodp_psn_diff(w->una, cc->recover) < 0)
			return;
		cc->cut = false;
	}
	/* One that is not made use of says nothing of the network */
	if (!cc->full)
		return;
	cc->full = sodp_psn_diff(w->una, cc->full_psn) < 0;
	if (cc->window < cc->limit) {
		cc->window = min(cc->window + nr, cc->limit);
		return;
	}
	cc->grown += nr;
	if (cc->grown < cc->window)
		return;
	cc->grown = 0;
	cc->window = min(cc->window + 1, sodp_policy.window);
}

/* May it shrink? Once for all that was sent before it did */
static bool cc_begin_cut(struct sodp_wire_req *w)
{
	struct sodp_cc *cc = &w->cc;

	if (cc->cut && sodp_psn_diff(w->una, cc->recover) < 0)
		return false;
	cc->cut = true;
	cc->recover = w->max_psn;
	cc->una = w->una;
	cc->grown = 0;
	return true;
}

static void cc_set(struct sodp_cc *cc, u32 window)
{
	cc->window = max(window, sodp_policy.window_least);
	cc->limit = cc->window;
}

/* What was made use of, which may be less than what was allowed */
static u32 cc_used(const struct sodp_wire_req *w)
{
	u32 flying = sodp_psn_diff(w->max_psn, w->una);

	return min(w->cc.window, max(flying, sodp_policy.window_first));
}

/**
 * sodp_cc_cut() - the network has too much to carry
 * @w: the requester
 * @keep: sixteenths of the window that are left
 *
 * Context: process, under exec_mutex.
 */
void sodp_cc_cut(struct sodp_wire_req *w, u32 keep)
{
	if (cc_begin_cut(w))
		cc_set(&w->cc, cc_used(w) * keep / 16);
	w->cc.timing = false;
}

/**
 * sodp_cc_timeout() - nothing is known of what was sent
 * @w: the requester
 *
 * Context: process, under exec_mutex.
 */
void sodp_cc_timeout(struct sodp_wire_req *w)
{
	struct sodp_cc *cc = &w->cc;

	cc_set(cc, cc_used(w) / 2);
	cc->window = sodp_policy.window_least;
	cc->una = w->una;
	cc->cut = false;
	cc->grown = 0;
	cc->timing = false;
}

/**
 * sodp_cc_rest() - after a rest nothing is known of the network
 * @w: the requester; nothing is on its way
 *
 * Context: process, under exec_mutex.
 */
void sodp_cc_rest(struct sodp_wire_req *w)
{
	struct sodp_cc *cc = &w->cc;

	cc->limit = max(cc->limit, cc->window);
	cc->window = min(cc->window, sodp_policy.window_first);
	cc->una = w->una;
	cc->cut = false;
}

/**
 * sodp_cc_sample() - the answer to the packet that is timed has come
 * @w: the requester
 *
 * Context: process, under exec_mutex.
 */
void sodp_cc_sample(struct sodp_wire_req *w)
{
	struct sodp_cc *cc = &w->cc;
	u64 now = ktime_get_ns();
	u64 rtt = max_t(u64, now - cc->timed_ns, 1);
	u64 off, over;
	bool drain;

	cc->timing = false;
	off = rtt > cc->rtt_ns ? rtt - cc->rtt_ns : cc->rtt_ns - rtt;
	if (!cc->rtt_ns) {
		cc->rtt_ns = rtt;
		cc->var_ns = rtt / 2;
	} else {
		cc->rtt_ns += (s64)(rtt - cc->rtt_ns) / 8;
		cc->var_ns += (s64)(off - cc->var_ns) / 4;
	}
	cc->base_ns = sodp_way_sample(w->qp->wire->way, rtt, now, &drain);
	over = rtt - cc->base_ns;
	if (unlikely(drain)) {
		cc->limit = max(cc->limit, cc->window);
		cc->window = sodp_policy.window_least;
		return;
	}
	if (likely(over <= sodp_policy.delay_ns / 2))
		return;
	cc->limit = min(cc->limit, cc->window);
	if (over <= sodp_policy.delay_ns || !cc_begin_cut(w))
		return;
	over = min(over - sodp_policy.delay_ns, rtt / 2);
	cc_set(cc, cc->window - div64_u64(cc->window * over, rtt));
}
