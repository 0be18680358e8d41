// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packets that wait for one side of a QP, between softirq and a worker. They
 * may wait for as long as a page does not come, so they count by what they
 * hold (truesize): against a limit of the queue, against one that all queues
 * of the device share, and to the memory cgroup of their user (payer.c).
 *
 * RC requests are looked at before they are queued. What waits is one run of
 * PSNs without a gap, from the one expected up to the tail, and repeated
 * requests that ask for data once more. The rest would only fill the queue:
 *
 *	beyond the tail	 packets are missing. It is dropped; the peer is told
 *			 as soon as all before the gap is done.
 *	done, or waiting it is dropped. The peer is told how far things are.
 */
#include <linux/math.h>
#include <linux/mm.h>

#include "qp/ops.h"
#include "xport/rc/wire.h"

/* What an idle queue may stay charged for: it costs less than asking anew */
#define RXQ_KEEP_BYTES		(2 * PAGE_SIZE)
/* A READ cannot have more packets: IBA 9.7.2 */
#define RXQ_MAX_PSNS		0x7fffffU

/**
 * sodp_rxq_device_init() - how much may wait for a device's QPs
 * @dev: the device
 *
 * Context: any.
 */
void sodp_rxq_device_init(struct sodp_dev *dev)
{
	u64 share = ((u64)totalram_pages() << PAGE_SHIFT) / SODP_RXQ_DEV_SHARE;

	atomic_long_set(&dev->rxq_bytes, 0);
	dev->rxq_most = clamp_t(u64, share, SODP_RXQ_DEV_LEAST,
				SODP_RXQ_DEV_MOST);
}

/**
 * sodp_rxq_init() - an empty queue
 * @q: zeroed
 * @qp: the QP that it is part of
 * @most: what may wait in it
 *
 * Context: process, may sleep; under the QP's mutexes, or nobody else knows it.
 * Return: 0 or -ENOMEM.
 */
int sodp_rxq_init(struct sodp_rxq *q, struct sodp_qp *qp, u32 most)
{
	skb_queue_head_init(&q->skbs);
	q->qp = qp;
	q->most = most;
	if (!qp->payer)
		qp->payer = sodp_payer_get(qp->ucontext);
	return qp->payer ? 0 : -ENOMEM;
}

/**
 * sodp_rxq_free() - undo sodp_rxq_init(), also when that failed
 * @q: nobody else knows it
 *
 * Context: any but hardirq.
 */
void sodp_rxq_free(struct sodp_rxq *q)
{
	if (q->qp)
		sodp_rxq_purge(q);
}

/* What a queue of so many bytes takes of what the device's queues share */
static u32 rxq_shared(u32 bytes)
{
	return bytes > SODP_RXQ_OWN_BYTES ? bytes - SODP_RXQ_OWN_BYTES : 0;
}

static bool rxq_charge(struct sodp_rxq *q, u32 held)
{
	struct sodp_dev *dev = q->qp->dev;
	u32 bytes = q->bytes + held;
	u32 shared = rxq_shared(bytes) - rxq_shared(q->bytes);

	lockdep_assert_held(&q->skbs.lock);
	if (unlikely(shared && atomic_long_add_return(shared, &dev->rxq_bytes) >
			       dev->rxq_most))
		goto err_shared;
	if (bytes > q->paid) {
		u32 missing = PAGE_ALIGN(bytes - q->paid);

		if (!sodp_payer_claim(q->qp->payer, missing))
			goto err_shared;
		q->paid += missing;
	}
	q->bytes = bytes;
	return true;

err_shared:
	if (shared)
		atomic_long_sub(shared, &dev->rxq_bytes);
	return false;
}

static void rxq_uncharge(struct sodp_rxq *q, u32 held, u32 keep)
{
	u32 shared = rxq_shared(q->bytes) - rxq_shared(q->bytes - held);
	u32 extra;

	lockdep_assert_held(&q->skbs.lock);
	q->bytes -= held;
	if (shared)
		atomic_long_sub(shared, &q->qp->dev->rxq_bytes);
	if (q->paid < q->bytes + keep + PAGE_SIZE)
		return;
	extra = round_down(q->paid - q->bytes - keep, PAGE_SIZE);
	q->paid -= extra;
	sodp_payer_return(q->qp->payer, extra);
}

/* Return: false: there is no room; the caller still has it */
static bool rxq_add_locked(struct sodp_rxq *q, struct sk_buff *skb)
{
	u32 held = skb->truesize;

	lockdep_assert_held(&q->skbs.lock);
	if (unlikely(q->bytes + held > q->most ||
		     skb_queue_len(&q->skbs) >= SODP_RXQ_MAX_SKBS ||
		     !rxq_charge(q, held)))
		return false;
	/* As it is now: what it is counted down by must be the same */
	sodp_rx_cb(skb)->held = held;
	/* All of it, then that it is there: pairs with sodp_rxq_peek() */
	smp_wmb();
	__skb_queue_tail(&q->skbs, skb);
	return true;
}

static void rxq_drop(struct sodp_rxq *q, struct sk_buff *skb)
{
	sodp_count(q->qp->dev, SODP_CNT_rx_drops, 1);
	kfree_skb(skb);
}

/**
 * sodp_rxq_add() - have packets wait
 * @q: where
 * @skb: taken over; dropped and counted if there is no room
 *
 * Context: softirq.
 * Return: false: there was no room.
 */
bool sodp_rxq_add(struct sodp_rxq *q, struct sk_buff *skb)
{
	bool added;

	spin_lock_bh(&q->skbs.lock);
	added = rxq_add_locked(q, skb);
	spin_unlock_bh(&q->skbs.lock);
	if (unlikely(!added))
		rxq_drop(q, skb);
	return added;
}

/**
 * sodp_rxq_consume() - done with packets
 * @q: they wait in it
 * @skb: the packets
 *
 * Context: under the mutex of that side, or nobody else knows the QP.
 */
void sodp_rxq_consume(struct sodp_rxq *q, struct sk_buff *skb)
{
	spin_lock_bh(&q->skbs.lock);
	__skb_unlink(skb, &q->skbs);
	rxq_uncharge(q, sodp_rx_cb(skb)->held, RXQ_KEEP_BYTES);
	spin_unlock_bh(&q->skbs.lock);
	consume_skb(skb);
}

/**
 * sodp_rxq_purge() - drop all that waits, and be charged for nothing
 * @q: the queue
 *
 * Context: as for sodp_rxq_consume().
 */
void sodp_rxq_purge(struct sodp_rxq *q)
{
	struct sk_buff_head skbs;

	__skb_queue_head_init(&skbs);
	spin_lock_bh(&q->skbs.lock);
	skb_queue_splice_init(&q->skbs, &skbs);
	rxq_uncharge(q, q->bytes, 0);
	spin_unlock_bh(&q->skbs.lock);
	__skb_queue_purge(&skbs);
}

/**
 * sodp_rxq_close() - drop all that waits, and let nothing wait after this
 * @q: the queue, of a dead QP: a worker that is held up may keep that
 *
 * Context: as for sodp_rxq_consume().
 */
void sodp_rxq_close(struct sodp_rxq *q)
{
	spin_lock_bh(&q->skbs.lock);
	q->most = 0;
	spin_unlock_bh(&q->skbs.lock);
	sodp_rxq_purge(q);
}

/* --- RC requests --- */

static void rxq_note(struct sodp_wire_resp *resp, enum sodp_note note)
{
	lockdep_assert_held(&resp->queue.skbs.lock);
	set_bit(note, &resp->notes);
}

/* PSN behind the last packet of a train */
static u32 rxq_end(const struct sodp_qp *qp, const struct sodp_rx_cb *cb)
{
	u32 mtu = ib_mtu_enum_to_int(qp->attr.path_mtu);
	/* Any number; a READ's own check comes later */
	u32 nr = cb->last_read ? (cb->last_read - 1) / mtu + 1 : 1;

	return sodp_psn_add(cb->last_psn, min(nr, RXQ_MAX_PSNS));
}

/*
 * All of it came before. What was done and has data for an answer is to be
 * answered anew. Return: true: it is to be queued for that.
 */
static bool rxq_known(struct sodp_qp *qp, struct sodp_wire_resp *resp,
		      const struct sodp_rx_cb *cb)
{
	/* Written by the worker: what it is doing right now may be either */
	u32 expected = READ_ONCE(qp->resp_psn);

	if (cb->answers && sodp_psn_diff(cb->psn, expected) < 0) {
		rxq_note(resp, SODP_NOTE_AGAIN);
		return true;
	}
	/* What waits will be answered; what is done needs to be told only */
	resp->known += cb->nr - cb->next;
	rxq_note(resp, SODP_NOTE_KNOWN);
	return false;
}

/* Return: true: it is queued; false: it is to be dropped */
static bool rxq_add_request(struct sodp_qp *qp, struct sodp_wire_resp *resp,
			    struct sk_buff *skb)
{
	struct sodp_rx_cb *cb = sodp_rx_cb(skb);
	u32 end = rxq_end(qp, cb);
	s32 ahead;

	/* Nothing waits, and what was done is done: see sodp_rxq_consume() */
	if (skb_queue_empty(&resp->queue.skbs))
		resp->tail = READ_ONCE(qp->resp_psn);
	ahead = sodp_psn_diff(cb->psn, resp->tail);
	if (unlikely(ahead > 0))
		goto out_gap;
	if (unlikely(ahead < 0 && cb->psn != resp->last_end))
		resp->run++;
	resp->last_end = end;
	if (unlikely(sodp_psn_diff(end, resp->tail) <= 0)) {
		if (!rxq_known(qp, resp, cb))
			return false;
		end = resp->tail;
	}
	cb->seq = resp->seq + 1;
	cb->run = resp->run;
	if (unlikely(!rxq_add_locked(&resp->queue, skb)))
		goto out_gap;
	/* Pairs with the READ_ONCE() in rc/again.c */
	WRITE_ONCE(resp->seq, resp->seq + 1);
	resp->tail = end;
	return true;

out_gap:
	resp->gap_psn = resp->tail;
	rxq_note(resp, SODP_NOTE_GAP);
	sodp_count(qp->dev, SODP_CNT_rx_drops, cb->nr - cb->next);
	return false;
}

/**
 * sodp_wire_rx_requests() - take a train of request packets
 * @qp: to whom they are addressed, referenced by the caller
 * @skb: with struct sodp_rx_cb filled in; taken over
 *
 * Context: softirq.
 */
void sodp_wire_rx_requests(struct sodp_qp *qp, struct sk_buff *skb)
{
	/* Pairs with the release store that publishes qp->wire */
	struct sodp_wire *wire = smp_load_acquire(&qp->wire);
	struct sodp_wire_resp *resp = &wire->resp;
	bool added;

	/* Written under the queue's lock: any value that it had will do */
	if (unlikely(READ_ONCE(resp->queue.bytes) > sodp_policy.rxq_cnp_bytes))
		set_bit(SODP_CONGESTED_PEER, &wire->congested);
	if (sodp_is_uc(qp)) {
		if (sodp_rxq_add(&resp->queue, skb) && !sodp_near_take(qp))
			sodp_wresp_kick(qp);
		return;
	}
	spin_lock_bh(&resp->queue.skbs.lock);
	added = rxq_add_request(qp, resp, skb);
	spin_unlock_bh(&resp->queue.skbs.lock);
	if (unlikely(!added))
		kfree_skb(skb);
	/* There is a train, or a note */
	if (!sodp_near_take(qp))
		sodp_wresp_kick(qp);
}

/**
 * sodp_wresp_rewind_tail() - what waits will not be carried out
 * @qp: the responder; it was said so to the peer, by a NAK
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_rewind_tail(struct sodp_qp *qp)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;

	lockdep_assert_held(&qp->resp_mutex);
	spin_lock_bh(&resp->queue.skbs.lock);
	resp->tail = qp->resp_psn;
	spin_unlock_bh(&resp->queue.skbs.lock);
}

/**
 * sodp_wresp_take_gap() - is the next packet one that is missing?
 * @qp: the responder, SODP_NOTE_GAP
 *
 * Context: process, under resp_mutex.
 * Return: true: yes, and something behind it came.
 */
bool sodp_wresp_take_gap(struct sodp_qp *qp)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	bool missing = false;
	s32 ahead;

	lockdep_assert_held(&qp->resp_mutex);
	spin_lock_bh(&resp->queue.skbs.lock);
	ahead = sodp_psn_diff(resp->gap_psn, qp->resp_psn);
	/* One that waits may turn out to be no packet: see sodp_rx_parse() */
	if (ahead <= 0 || skb_queue_empty(&resp->queue.skbs)) {
		clear_bit(SODP_NOTE_GAP, &resp->notes);
		missing = ahead >= 0;
	}
	spin_unlock_bh(&resp->queue.skbs.lock);
	return missing;
}

/**
 * sodp_wresp_take_known() - the peer repeated what needs no other answer
 * @qp: the responder, SODP_NOTE_KNOWN
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_take_known(struct sodp_qp *qp)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	u32 known;

	lockdep_assert_held(&qp->resp_mutex);
	spin_lock_bh(&resp->queue.skbs.lock);
	clear_bit(SODP_NOTE_KNOWN, &resp->notes);
	known = resp->known;
	resp->known = 0;
	spin_unlock_bh(&resp->queue.skbs.lock);
	sodp_qp_count(qp, SODP_CNT_rx_duplicates, known);
	resp->ack_due = true;
}

/* With the queue emptied: nothing that was noted is true any more */
void sodp_wresp_forget_notes(struct sodp_wire_resp *resp)
{
	spin_lock_bh(&resp->queue.skbs.lock);
	resp->notes = 0;
	resp->known = 0;
	spin_unlock_bh(&resp->queue.skbs.lock);
}
