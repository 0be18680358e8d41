// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * When answers do not come: going back, and the timer that says so.
 *
 * Every answer that completes something renews the deadline, but the timer
 * is not touched: when it expires too early it starts again for the rest.
 * Retries are counted from the last progress on.
 */
#include <linux/minmax.h>

#include "compat_rdma.h"
#include "xport/rc/requester.h"

/*
 * No answer can be missed before this: packets that wait in a queue of this
 * host are not the peer's fault. What has been freed has left, and that as
 * late as its last skb did.
 */
static u64 wretry_leaves(const struct sodp_wire_req *w, u64 now, u64 wait)
{
	const struct sodp_flow *flow = &w->qp->wire->requests;
	bool waiting = atomic_read(&flow->bytes);
	unsigned long then, since;

	/* Pairs with atomic_sub_return() in tx_uncharge() */
	smp_rmb();
	then = READ_ONCE(flow->left);
	since = jiffies - then;
	if (waiting) {
		/* Pairs with the WRITE_ONCE() in tx_choose_queue() */
		then = READ_ONCE(flow->last);
		since = min(since, jiffies - then);
		return since < msecs_to_jiffies(sodp_policy.stuck_ms) ?
		       now + wait / 4 + TICK_NSEC : 0;
	}
	/* That is a jiffy too soon at worst, if they waited at all */
	if (since >= nsecs_to_jiffies(wait))
		return 0;
	return now + wait + TICK_NSEC - since * TICK_NSEC;
}

static enum hrtimer_restart wretry_expired(struct hrtimer *timer)
{
	struct sodp_wire_req *w =
		container_of(timer, struct sodp_wire_req, timer);
	/* Pairs with the WRITE_ONCE() under exec_mutex */
	u64 deadline = READ_ONCE(w->deadline);
	u64 now = ktime_get_ns();

	if (deadline && deadline <= now) {
		deadline = wretry_leaves(w, now, READ_ONCE(w->wait_ns));
		/* Pairs with the READ_ONCE() in sodp_wreq_arm() */
		WRITE_ONCE(w->postponed, deadline);
	}
	if (deadline > now) {
		hrtimer_set_expires(timer, ns_to_ktime(deadline));
		return HRTIMER_RESTART;
	}
	set_bit(SODP_TOLD_RETRY, &w->qp->req.told);
	sodp_qp_kick(w->qp);
	return HRTIMER_NORESTART;
}

void sodp_wreq_timer_init(struct sodp_wire_req *w)
{
	hrtimer_setup(&w->timer, wretry_expired, CLOCK_MONOTONIC,
		      HRTIMER_MODE_ABS_SOFT);
}

/**
 * sodp_wreq_wait_ns() - how long an answer is waited for: IBA 11.6.2
 * @qp: the requester; its timeout is not 0
 *
 * Return: 4.096 us * 2^timeout, in ns.
 */
u64 sodp_wreq_wait_ns(const struct sodp_qp *qp)
{
	return max_t(u64, 4096ULL << qp->attr.timeout,
		     sodp_policy.retry_least_ns);
}

/*
 * What the network takes at times, if that is longer than what the
 * application thinks: up to four times as long is allowed. Whoever does not
 * answer then has no more than the application wants.
 */
static u64 wretry_wait_ns(const struct sodp_qp *qp)
{
	const struct sodp_cc *cc = &qp->wire->req->cc;
	u64 wait = sodp_wreq_wait_ns(qp);

	if (qp->req.retry_left != qp->attr.retry_cnt)
		return wait;
	return clamp(cc->rtt_ns + 4 * cc->var_ns, wait, 4 * wait);
}

/**
 * sodp_wreq_arm() - see to it that lost packets are noticed
 * @qp: the requester
 *
 * Context: process, under exec_mutex.
 */
void sodp_wreq_arm(struct sodp_qp *qp)
{
	struct sodp_wire_req *w = qp->wire->req;

	lockdep_assert_held(&qp->req.exec_mutex);
	/* timeout 0: for ever */
	if (w->max_psn == w->una || !qp->attr.timeout || !sodp_is_acked(qp)) {
		WRITE_ONCE(w->deadline, 0);
		return;
	}
	/* Pairs with the READ_ONCE() in wretry_expired() */
	if (!w->deadline) {
		/* Pairs with the READ_ONCE() in wretry_expired() */
		WRITE_ONCE(w->wait_ns, wretry_wait_ns(qp));
		WRITE_ONCE(w->deadline, ktime_get_ns() + w->wait_ns);
	}
	/* What it was started for may have been longer, before a modify */
	if (w->timer_on &&
	    ktime_to_ns(hrtimer_get_expires(&w->timer)) <=
	    /* Pairs with the WRITE_ONCE() in wretry_expired() */
	    max(w->deadline, READ_ONCE(w->postponed)))
		return;
	/* While it is queued its callback must not set when it expires */
	if (w->timer_on) {
		hrtimer_cancel(&w->timer);
		clear_bit(SODP_TOLD_RETRY, &qp->req.told);
	}
	w->timer_on = true;
	hrtimer_start(&w->timer, ns_to_ktime(w->deadline),
		      HRTIMER_MODE_ABS_SOFT);
}

/* The send position moves: what a sender waits for may not be next any more */
static void wretry_send_from(struct sodp_qp *qp, u32 psn)
{
	struct sodp_wire_req *w = qp->wire->req;

	w->send = qp->req.sq_ci;
	w->send_psn = psn;
	if (qp->req.park == SODP_PARK_FAULT && !w->answer_parked)
		sodp_park_cancel_locked(qp);
}

/**
 * sodp_wreq_rewind() - send again from the oldest PSN not acknowledged
 * @qp: the requester
 *
 * Context: process, under exec_mutex.
 */
void sodp_wreq_rewind(struct sodp_qp *qp)
{
	struct sodp_wire_req *w = qp->wire->req;

	lockdep_assert_held(&qp->req.exec_mutex);
	wretry_send_from(qp, w->una);
	w->cc.timing = false;
	w->asked = w->una;
	w->rd_out = 0;
	WRITE_ONCE(w->deadline, 0);
}

/* One more try. Return: false: there was none left */
static bool wretry_count(struct sodp_qp *qp)
{
	if (qp->req.retry_left--)
		return true;
	sodp_wreq_fail(qp, SODP_E_RETRY);
	return false;
}

/**
 * sodp_wreq_back() - an answer says that packets were lost
 * @qp: the requester
 *
 * Once for a PSN: what was sent before that was noticed brings more such
 * answers. If the repetition is lost too, the timer will tell.
 *
 * Context: process, under exec_mutex.
 */
void sodp_wreq_back(struct sodp_qp *qp)
{
	struct sodp_wire_req *w = qp->wire->req;

	/* Nor when all will be sent again anyway, after an RNR NAK say */
	if (w->backed || w->send_psn == w->una || !wretry_count(qp))
		return;
	sodp_cc_cut(w, sodp_policy.loss_keep);
	sodp_wreq_rewind(qp);
	w->backed = true;
}

/**
 * sodp_wreq_progress() - w->una has moved on
 * @qp: the requester
 *
 * Context: process, under exec_mutex.
 */
void sodp_wreq_progress(struct sodp_qp *qp)
{
	struct sodp_wire_req *w = qp->wire->req;

	qp->req.retry_left = qp->attr.retry_cnt;
	qp->req.rnr_left = qp->attr.rnr_retry;
	w->backed = false;
	WRITE_ONCE(w->deadline, 0);
	if (unlikely(w->cc.window < sodp_policy.window))
		sodp_cc_grow(w);
	if (w->rd_any && (s32)(qp->req.sq_ci - w->rd_index) > 0)
		w->rd_any = false;
	/* Answered after all, while it was about to be sent again */
	if (sodp_psn_diff(w->send_psn, w->una) < 0)
		wretry_send_from(qp, w->una);
}

/*
 * Time spent waiting here is not the peer's; but if a sender waits for a page
 * and the peer owes an answer for what went out before, that may be lost.
 */
static bool wretry_waits_here(const struct sodp_qp *qp)
{
	const struct sodp_wire_req *w = qp->wire->req;

	if (qp->req.park == SODP_PARK_TX ||
	    (qp->req.park == SODP_PARK_FAULT && !w->answer_parked))
		return sodp_psn_diff(w->asked, w->una) <= 0;
	return qp->req.park != SODP_PARK_NONE;
}

/**
 * sodp_wreq_timeout() - the timer rang
 * @qp: the requester
 *
 * Context: process, under exec_mutex.
 */
void sodp_wreq_timeout(struct sodp_qp *qp)
{
	struct sodp_wire_req *w = qp->wire->req;

	lockdep_assert_held(&qp->req.exec_mutex);
	clear_bit(SODP_TOLD_RETRY, &qp->req.told);
	w->timer_on = false;
	if (!w->deadline || w->deadline > ktime_get_ns())
		return;
	WRITE_ONCE(w->deadline, 0);
	if (wretry_waits_here(qp))
		return;
	sodp_qp_count(qp, SODP_CNT_timeouts, 1);
	if (!wretry_count(qp))
		return;
	/*
	 * The spec's ICRC for a FLUSH or rdma_rxe's: a peer that knows one
	 * only does not answer the other.
	 */
	if (sodp_wreq_out(w, qp->req.sq_ci)->opcode == SODP_WR_FLUSH)
		w->twice = !w->twice;
	sodp_cc_timeout(w);
	sodp_wreq_rewind(qp);
	w->backed = false;
}

/* The packets of the last skb were never sent */
static void wretry_unsend(struct sodp_wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	struct sodp_qp *qp = tx->qp;
	u32 psn = tx->skb_psn;

	while (w->send != qp->req.sq_ci &&
	       sodp_psn_diff(psn, sodp_wreq_end(sodp_wreq_out(w,
							      w->send - 1))) < 0)
		w->send--;
	w->send_psn = psn;
	w->max_psn = tx->skb_max;
	w->ssn = sodp_psn_add(w->ssn, -tx->skb_reads);
	/* Those before it may not have asked for an answer */
	if (sodp_psn_diff(w->asked, psn) > 0)
		w->asked = w->una;
	/* Those that began before it have ended before it */
	while (w->rd_out &&
	       sodp_psn_diff(*sodp_wreq_rd_end(w, w->rd_out - 1), psn) > 0)
		w->rd_out--;
	while (w->rd_known > w->rd_out &&
	       sodp_psn_diff(*sodp_wreq_rd_end(w, w->rd_known - 1),
			     w->max_psn) > 0)
		w->rd_known--;
	/* A page for what was to be next is not what is next now */
	if (qp->req.park == SODP_PARK_FAULT && !w->answer_parked)
		sodp_park_cancel_locked(qp);
}

/**
 * sodp_wreq_refused() - the stack had no room for the last skb
 * @tx: the sender; its burst is empty
 *
 * The packets in it are sent again soon, and no retry of the QP's is used
 * up. Those that nobody would answer are lost: they are completed already.
 *
 * Context: process, under exec_mutex.
 */
void sodp_wreq_refused(struct sodp_wreq_tx *tx)
{
	struct sodp_wire_req *w = tx->w;
	struct sodp_qp *qp = tx->qp;

	lockdep_assert_held(&qp->req.exec_mutex);
	tx->burst.refused = false;
	if (sodp_is_acked(qp) && sodp_psn_diff(tx->skb_psn, w->una) >= 0)
		wretry_unsend(tx);
	sodp_cc_cut(w, sodp_policy.loss_keep);
	if (qp->req.park == SODP_PARK_NONE)
		sodp_park_timer(qp, SODP_PARK_TX,
				sodp_policy.refused_ns <<
				min(w->refused, sodp_policy.refused_steps));
	if (w->refused < sodp_policy.refused_steps)
		w->refused++;
}

/**
 * sodp_wreq_reset() - nothing is on its way, and nothing was begun
 * @qp: the requester; qp->req.sq_ci and qp->req.psn are set
 *
 * Context: process, under exec_mutex.
 */
void sodp_wreq_reset(struct sodp_qp *qp)
{
	struct sodp_wire_req *w = qp->wire->req;

	lockdep_assert_held(&qp->req.exec_mutex);
	sodp_wreq_purge(qp);
	qp->req.wqe.valid = false;
	w->begun = qp->req.sq_ci;
	w->send = qp->req.sq_ci;
	w->una = qp->req.psn;
	w->send_psn = qp->req.psn;
	w->max_psn = qp->req.psn;
	w->asked = qp->req.psn;
	w->unasked = 0;
	w->rd_out = 0;
	w->rd_known = 0;
	w->rd_any = false;
	w->ssn = 0;
	w->limited = false;
	w->backed = false;
	w->twice = false;
	w->answer_parked = false;
	w->refused = 0;
	sodp_cc_reset(w);
	WRITE_ONCE(w->deadline, 0);
	qp->req.retry_left = qp->attr.retry_cnt;
	qp->req.rnr_left = qp->attr.rnr_retry;
}
