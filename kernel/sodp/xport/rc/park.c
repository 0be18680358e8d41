// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A responder that waits for a page. The wait is in a worker that holds
 * nothing, and may take for ever. Packets queue up meanwhile; when that goes
 * on for longer than patience_ms the peer is told to come back later (RNR NAK),
 * before its timeout can expire, and the queue is emptied: neither lost
 * answers nor a flood of repeated requests follow from a slow page.
 *
 * A peer that counts RNR NAKs (rnr_retry below 7) soon gives up, one with
 * rnr_retry 0 at the first. It is not told in the protocol, but the two ends
 * are mostly set up alike: where our own requester counts them, none is sent.
 * Nor is one sent in the middle of the data of a READ: rdma_rxe takes that
 * for the end, and completes the READ with success.
 *
 * Such a peer is told again and again how far things are, which it knows: an
 * acknowledge of the PSN before the one it waits for. That says nothing, but
 * our own requester and rdma_rxe start their timers anew with whatever
 * comes. What a peer repeats all the same is absorbed (rx.c).
 */
#include <linux/minmax.h>

#include "xport/rc/requester.h"

/*
 * Does the peer bear RNR NAKs? See above; before RTS nothing is known, and of
 * a peer of XRC's target never.
 */
static bool wpark_may_tell(const struct sodp_qp *qp)
{
	const struct sodp_read *read = &qp->wire->resp.read;

	if (read->active && (read->done || read->partial))
		return false;
	return qp->type != IB_QPT_RC || qp->attr.rnr_retry == 7 ||
	       READ_ONCE(qp->state) == IB_QPS_RTR;
}

static unsigned long wpark_interval(const struct sodp_qp *qp)
{
	u64 ns = sodp_wreq_wait_ns(qp) / sodp_policy.alive_per_timeout;

	/* 0, as before RTS, may be that the peer has another */
	if (!qp->attr.timeout)
		ns = 0;
	return clamp(nsecs_to_jiffies(ns),
		     msecs_to_jiffies(sodp_policy.patience_ms),
		     msecs_to_jiffies(sodp_policy.alive_most_ms));
}

/* The patience work looks again, not later than in @delay */
static void wpark_schedule(struct sodp_qp *qp, unsigned long delay)
{
	refcount_inc(&qp->ref);
	if (!queue_delayed_work(sodp_wq, &qp->wire->resp.patience, delay))
		sodp_qp_put(qp);
}

/**
 * sodp_wresp_set() - what the responder is kept by, from now on
 * @qp: the responder
 * @state: what
 *
 * In the two states of a wait @wait is on, and no packet is carried out.
 * Patience lasts as long as the peer has not been told.
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_set(struct sodp_qp *qp, enum sodp_wresp_state state)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	bool waited = resp->state == SODP_WRESP_WAITS;

	lockdep_assert_held(&qp->resp.resp_mutex);
	resp->state = state;
	if (state == SODP_WRESP_WAITS)
		wpark_schedule(qp, msecs_to_jiffies(sodp_policy.patience_ms));
	else if (waited && cancel_delayed_work(&resp->patience))
		sodp_qp_put(qp);
}

/**
 * sodp_wresp_park() - wait for a page
 * @qp: the responder
 * @miss: what is missing; its reference on the region passes to the QP
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_park(struct sodp_qp *qp, const struct odp_miss *miss)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;

	lockdep_assert_held(&qp->resp.resp_mutex);
	resp->rnr_code = sodp_policy.rnr_first;
	/* The peer's timer starts anew with what is done */
	if (sodp_is_acked(qp))
		sodp_wresp_flush_ack(qp);
	sodp_wresp_set(qp, SODP_WRESP_WAITS);
	sodp_wait_begin(&resp->wait, miss);
}

/**
 * sodp_wresp_unpark() - end the wait, if there is one
 * @qp: the responder; the caller holds a reference
 *
 * Does not wait for the fault under way.
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_unpark(struct sodp_qp *qp)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;

	sodp_wait_end(&resp->wait);
	sodp_wresp_set(qp, SODP_WRESP_RUNS);
}

/* What the packets of the queue want; the queue is empty afterwards */
static bool wpark_empty_queue(struct sodp_qp *qp, u32 *oldest)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	struct sk_buff *skb;
	struct sodp_pkt pkt;
	bool wanted = false;

	*oldest = qp->resp.psn;
	while ((skb = sodp_rxq_peek(&resp->queue))) {
		while (sodp_rx_peek(skb, &pkt)) {
			s32 ahead = sodp_psn_diff(pkt.psn, qp->resp.psn);

			if (!ahead) {
				wanted = true;
			} else if (ahead < 0 &&
				   sodp_wresp_knows_read(qp, &pkt)) {
				wanted = true;
				if (sodp_psn_diff(pkt.psn, *oldest) < 0)
					*oldest = pkt.psn;
			} else if (ahead < 0 && *oldest == qp->resp.psn) {
				/* Behind a READ the peer would not believe it */
				sodp_wresp_replay(qp, &pkt,
						  sodp_rx_cb(skb)->seq);
			}
			sodp_rx_cb(skb)->next++;
		}
		sodp_rxq_consume(&resp->queue, skb);
	}
	return wanted;
}

/**
 * sodp_wresp_send_away() - the page is not there yet: come back later
 * @qp: the responder, parked
 *
 * Duplicates of what was done are answered: they prove that the peer
 * lost an answer. A READ half answered is asked for again from there on.
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_send_away(struct sodp_qp *qp)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	bool wanted;
	u32 oldest;

	lockdep_assert_held(&qp->resp.resp_mutex);
	wanted = wpark_empty_queue(qp, &oldest);
	if (resp->read.active) {
		resp->read.active = false;
		if (sodp_psn_diff(resp->read.psn, oldest) < 0)
			oldest = resp->read.psn;
		wanted = true;
	}
	/* An acknowledge would tell the peer that a READ's data was lost */
	if (oldest != qp->resp.psn)
		resp->ack_due = false;
	else if (resp->ack_due)
		sodp_wresp_flush_ack(qp);
	if (!wanted)
		return;
	sodp_qp_count(qp, SODP_CNT_rnr_naks, 1);
	sodp_wresp_ack(qp, SODP_AETH_RNR_NAK | resp->rnr_code, oldest);
	resp->rnr_code = min_t(u8, resp->rnr_code + sodp_policy.rnr_step,
			       sodp_policy.rnr_last);
	resp->nak_sent = true;
	/* The packet will come again, from its first byte */
	resp->cur.done = resp->msg_off;
}

/* A packet that was sent away finds out anew when it comes */
static void wpark_ended(struct sodp_qp *qp, int ret)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;

	if (resp->state == SODP_WRESP_WAITS)
		resp->fault_ret = ret;
	sodp_wresp_set(qp, SODP_WRESP_RUNS);
	sodp_wresp_kick(qp);
}

/* Nothing new, but that we are there: see above */
static void wpark_keep_alive(struct sodp_qp *qp)
{
	const struct sodp_read *read = &qp->wire->resp.read;
	u32 next = read->active ? read->psn : qp->resp.psn;

	if (read->active || !sodp_wresp_owes_data(qp))
		sodp_wresp_ack_alive(qp, sodp_psn_add(next, SODP_PSN_MASK));
}

static void wpark_patience_work(struct work_struct *work)
{
	struct sodp_wire_resp *resp =
		container_of(to_delayed_work(work), struct sodp_wire_resp,
			     patience);
	struct sodp_qp *qp = resp->qp;

	mutex_lock(&qp->resp.resp_mutex);
	if (!qp->dead && resp->state == SODP_WRESP_WAITS &&
	    sodp_is_acked(qp) && sodp_qp_receives(qp)) {
		if (wpark_may_tell(qp)) {
			sodp_wresp_set(qp, SODP_WRESP_AWAY);
			sodp_wresp_send_away(qp);
		} else {
			wpark_keep_alive(qp);
			wpark_schedule(qp, wpark_interval(qp));
		}
	}
	mutex_unlock(&qp->resp.resp_mutex);
	sodp_qp_put(qp);
}

void sodp_wresp_park_init(struct sodp_qp *qp, struct sodp_wire_resp *resp)
{
	sodp_wait_init(&resp->wait, qp, &qp->resp.resp_mutex, wpark_ended);
	INIT_DELAYED_WORK(&resp->patience, wpark_patience_work);
}
