// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packets that wait for one side of a QP, between softirq and a worker. They
 * may wait for as long as a page does not come, so they count by what they
 * hold (truesize): against a limit of the queue, against one that all queues
 * of the device share, and to the memory cgroup of their user (payer.c).
 */
#include <linux/math.h>
#include <linux/mm.h>

#include "xport/policy.h"
#include "xport/rxq.h"

/* What an idle queue may stay charged for: it costs less than asking anew */
#define RXQ_KEEP_BYTES		(2 * PAGE_SIZE)

/**
 * sodp_rxq_device_init() - how much may wait for a device's QPs
 * @dev: the device
 *
 * Context: any.
 */
void sodp_rxq_device_init(struct sodp_dev *dev)
{
	u64 share = ((u64)totalram_pages() << PAGE_SHIFT) /
		    sodp_policy.queues_share;

	atomic_long_set(&dev->rxq_bytes, 0);
	dev->rxq_most = clamp(share, sodp_policy.queues_least,
			      sodp_policy.queues_most);
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
	return bytes - min(bytes, sodp_policy.queue_own);
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

/**
 * sodp_rxq_add_locked() - have packets wait
 * @q: where
 * @skb: taken over if there is room; if not, the caller still has it
 *
 * Context: softirq, under the queue's lock.
 * Return: false: there was no room.
 */
bool sodp_rxq_add_locked(struct sodp_rxq *q, struct sk_buff *skb)
{
	u32 held = skb->truesize;

	lockdep_assert_held(&q->skbs.lock);
	if (unlikely(q->bytes + held > q->most ||
		     skb_queue_len(&q->skbs) >= sodp_policy.queue_skbs ||
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
	added = sodp_rxq_add_locked(q, skb);
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
