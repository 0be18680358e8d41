// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The responder of a QP whose peer is on another host. IBA 9.7.4, 9.7.5 for
 * RC, 9.8.3 for UC.
 *
 * Packets are carried out in order by wire->resp.work, each by the table of
 * steps in request.c. What keeps the first one waiting keeps the rest of this
 * QP waiting and no one else:
 *
 *	a page	is faulted in by a worker that holds nothing (park.c)
 *	READ	data goes out before the next request is looked at, so that
 *		answers leave in the order of their requests.
 */
#include <linux/slab.h>

#include "compat_rdma.h"
#include "xport/rc/responder.h"

/* Data of a READ goes out. Return: false: not all of it yet */
static bool wresp_continue_read(struct wresp_ctx *c)
{
	struct sodp_stop stop;
	enum sodp_verdict verdict;

	c->faults = 0;
	while (c->resp->read.active) {
		u64 before;

		if (sodp_noted(c->resp, SODP_NOTE_AGAIN))
			sodp_wresp_look_again(c->qp);
		before = c->resp->read.done;
		verdict = c->resp->fault_ret ?
			  sodp_op_fault_verdict(sodp_op_of(SODP_WR_RDMA_READ),
						c->resp->fault_ret) :
			  sodp_wresp_read_slice(c->qp, &c->budget, &stop);
		if (!verdict && !c->resp->read.active)
			sodp_wresp_next_answer(c->qp);
		if (!verdict)
			continue;
		if (c->resp->read.done != before)
			c->faults = 0;
		if (verdict == SODP_BUDGET ||
		    (verdict == SODP_AGAIN &&
		     sodp_wresp_miss(c, &stop) == WRESP_STAY))
			return false;
		if (verdict != SODP_AGAIN) {
			c->resp->fault_ret = 0;
			c->resp->read.active = false;
			/* The key is gone, or the memory has an error */
			sodp_wresp_fail(c->qp, verdict == SODP_E_REM_OP ?
				   verdict : SODP_E_REM_ACCESS,
				   c->resp->read.psn);
		}
	}
	return true;
}

static void wresp_purge(struct sodp_qp *qp)
{
	sodp_rxq_purge(&qp->wire->resp.queue);
	sodp_wresp_forget_notes(&qp->wire->resp);
}

/* The clock is looked at after long copies only */
static bool wresp_is_late(struct wresp_ctx *c)
{
	if (c->looked < c->budget + SODP_CLOCK_BYTES)
		return false;
	c->looked = c->budget;
	return sodp_turn_is_late(c->turn);
}

/* Return: true: the slice is used up, there is more */
static bool wresp_packets(struct wresp_ctx *c)
{
	struct sodp_qp *qp = c->qp;
	u64 packets = 0;

	while (sodp_qp_receives(qp)) {
		sodp_cnp_pay(qp);
		if (c->resp->read.active && !wresp_continue_read(c))
			return !sodp_wresp_waits(c->resp) &&
			       !sodp_wresp_held(qp);
		if (sodp_noted(c->resp, SODP_NOTE_GAP) &&
		    sodp_wresp_take_gap(qp))
			sodp_wresp_gap(c);
		c->skb = sodp_rxq_peek(&c->resp->queue);
		if (!c->skb)
			return false;
		if (!sodp_rx_peek(c->skb, &c->pkt)) {
			sodp_rxq_consume(&c->resp->queue, c->skb);
			continue;
		}
		if (packets >= sodp_policy.turn_packets || !c->budget ||
		    wresp_is_late(c))
			return true;
		if (!sodp_wresp_packet(c))
			return false;
		packets += c->nr;
		sodp_rx_cb(c->skb)->next += c->nr;
	}
	wresp_purge(qp);
	return false;
}

/* Return: true: the slice is used up, there is more */
static bool wresp_run_locked(struct sodp_qp *qp, u64 *bytes,
			     struct sodp_turn *turn)
{
	struct wresp_ctx c;
	bool more;

	lockdep_assert_held(&qp->resp.resp_mutex);
	/* Not all of it: @bufs is large */
	c.qp = qp;
	c.resp = &qp->wire->resp;
	c.budget = *bytes;
	c.looked = *bytes;
	c.turn = turn;
	if (sodp_noted(c.resp, SODP_NOTE_KNOWN))
		sodp_wresp_take_known(qp);
	if (sodp_wresp_waits(c.resp) && sodp_qp_receives(qp)) {
		if (c.resp->state == SODP_WRESP_AWAY)
			sodp_wresp_send_away(qp);
		return false;
	}
	more = wresp_packets(&c);
	*bytes = min(*bytes, c.budget);
	return more;
}

/* One turn; resp_mutex is held and let go */
static void wresp_turn(struct sodp_qp *qp, u64 *bytes, struct sodp_turn *turn)
{
	bool more = false;

	if (qp->dead) {
		wresp_purge(qp);
	} else {
		sodp_cnp_pay(qp);
		more = wresp_run_locked(qp, bytes, turn);
		if (qp->wire->resp.ack_due && sodp_qp_receives(qp) &&
		    sodp_is_acked(qp) &&
		    !(sodp_wresp_waits(&qp->wire->resp) &&
		      sodp_wresp_owes_data(qp)))
			sodp_wresp_flush_ack(qp);
	}
	mutex_unlock(&qp->resp.resp_mutex);
	if (more)
		sodp_wresp_kick(qp);
}

static void wresp_work(struct work_struct *work)
{
	struct sodp_wire_resp *resp = container_of(work, struct sodp_wire_resp,
						   work);
	struct sodp_turn turn = { .ns = SODP_WORKER_NS };
	struct sodp_qp *qp = resp->qp;
	u64 bytes = SODP_WORKER_BYTES;

	sodp_qp_begin_turn(qp);
	/* Answers came before these requests, and complete before them */
	if (!skb_queue_empty_lockless(&qp->wire->ack_queue.skbs))
		sodp_sq_try(qp);
	mutex_lock(&qp->resp.resp_mutex);
	wresp_turn(qp, &bytes, &turn);
	sodp_qp_put(qp);
}

/**
 * sodp_wresp_run() - carry requests out in the caller's context
 * @qp: the responder; its reference is used up
 * @bytes: that may be moved, and what is left of them
 * @turn: the caller's
 *
 * Context: process, may sleep; an exec_mutex may be held.
 */
void sodp_wresp_run(struct sodp_qp *qp, u64 *bytes, struct sodp_turn *turn)
{
	/* Whoever has it may have found the queue empty already */
	if (mutex_trylock(&qp->resp.resp_mutex))
		wresp_turn(qp, bytes, turn);
	else
		sodp_wresp_kick(qp);
	sodp_qp_put(qp);
}

/**
 * sodp_wresp_rescue() - do what a worker should have begun
 * @qp: the responder, referenced
 *
 * Does not wait for another, who may not have a CPU either, and goes on.
 *
 * Context: process, may sleep.
 */
void sodp_wresp_rescue(struct sodp_qp *qp)
{
	struct sodp_turn turn = { .ns = SODP_POSTER_NS };
	u64 bytes = SODP_INLINE_BYTES;

	if (!mutex_trylock(&qp->resp.resp_mutex))
		return;
	sodp_wait_recall(&qp->wire->resp.wait);
	if (cancel_work(&qp->wire->resp.work))
		sodp_qp_put(qp);
	wresp_turn(qp, &bytes, &turn);
}

/**
 * sodp_wresp_kick() - have the responder's worker look
 * @qp: the QP, referenced
 *
 * Context: any.
 */
void sodp_wresp_kick(struct sodp_qp *qp)
{
	sodp_qp_queue_work(qp, sodp_wq, &qp->wire->resp.work);
}

/**
 * sodp_wresp_init() - prepare the responder's part of a new struct sodp_wire
 * @qp: whose it will be
 * @resp: zeroed
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int sodp_wresp_init(struct sodp_qp *qp, struct sodp_wire_resp *resp)
{
	resp->qp = qp;
	INIT_WORK(&resp->work, wresp_work);
	sodp_wresp_park_init(qp, resp);
	return sodp_rxq_init(&resp->queue, qp,
			     sodp_service_of(qp->type)->acked ?
			     sodp_policy.queue_bytes :
			     sodp_policy.queue_unacked);
}

/**
 * sodp_wresp_connect() - make room for what duplicates may ask for
 * @qp: the responder
 * @max_dest_rd_atomic: READs and atomics that the peer may have outstanding
 *
 * Context: process, may sleep, under resp_mutex.
 * Return: 0, -ENOMEM.
 */
int sodp_wresp_connect(struct sodp_qp *qp, u8 max_dest_rd_atomic)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	u32 keep = min_t(u32, resp->res_size, max_dest_rd_atomic);
	struct sodp_resource *res = NULL;
	u32 i;

	lockdep_assert_held(&qp->resp.resp_mutex);
	if (resp->res_size == max_dest_rd_atomic)
		return 0;
	if (max_dest_rd_atomic) {
		res = kcalloc(max_dest_rd_atomic, sizeof(*res),
			      GFP_KERNEL_ACCOUNT);
		if (!res)
			return -ENOMEM;
	}
	/* In SQD the peer may still ask for these again: the newest, in order */
	for (i = 0; i < keep; i++)
		res[i] = resp->res[(resp->res_next + resp->res_size - keep + i) %
				   resp->res_size];
	kfree(resp->res);
	resp->res = res;
	resp->res_size = max_dest_rd_atomic;
	resp->res_next = keep == max_dest_rd_atomic ? 0 : keep;
	return 0;
}

/**
 * sodp_wresp_reset() - forget packets, waits and unfinished messages
 * @qp: a QP on its way to RESET or ERR, or being destroyed
 *
 * Does not wait for a fault under way.
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_reset(struct sodp_qp *qp)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	u32 i;

	lockdep_assert_held(&qp->resp.resp_mutex);
	sodp_wresp_unpark(qp);
	resp->fault_ret = 0;
	resp->read.active = false;
	resp->in_message = false;
	resp->nak_sent = false;
	resp->ack_owed = false;
	resp->ack_due = false;
	resp->unanswered = 0;
	resp->msg_off = 0;
	memset(&resp->cur, 0, sizeof(resp->cur));
	for (i = 0; i < resp->res_size; i++)
		resp->res[i].valid = false;
	wresp_purge(qp);
}

/**
 * sodp_wresp_free() - free what the responder has, with the QP
 * @resp: no work of it is queued or running
 *
 * Context: any.
 */
void sodp_wresp_free(struct sodp_wire_resp *resp)
{
	sodp_rxq_free(&resp->queue);
	kfree(resp->res);
}
