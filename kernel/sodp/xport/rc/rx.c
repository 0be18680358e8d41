// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Requests that come, from softirq to the responder.
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

#include "qp/ops.h"
#include "xport/rc/wire.h"

/* A READ cannot have more packets: IBA 9.7.2 */
#define WRX_MAX_PSNS		0x7fffffU

static void wrx_note(struct sodp_wire_resp *resp, enum sodp_note note)
{
	lockdep_assert_held(&resp->queue.skbs.lock);
	set_bit(note, &resp->notes);
}

/* PSN behind the last packet of a train */
static u32 wrx_end(const struct sodp_qp *qp, const struct sodp_rx_cb *cb)
{
	u32 mtu = ib_mtu_enum_to_int(qp->attr.path_mtu);
	/* Any number; a READ's own check comes later */
	u32 nr = cb->last_read ? (cb->last_read - 1) / mtu + 1 : 1;

	return sodp_psn_add(cb->last_psn, min(nr, WRX_MAX_PSNS));
}

/*
 * All of it came before. What was done and has data for an answer is to be
 * answered anew. Return: true: it is to be queued for that.
 */
static bool wrx_known(struct sodp_qp *qp, struct sodp_wire_resp *resp,
		      const struct sodp_rx_cb *cb)
{
	/* Written by the worker: what it is doing right now may be either */
	u32 expected = READ_ONCE(qp->resp.psn);

	if (cb->answers && sodp_psn_diff(cb->psn, expected) < 0) {
		wrx_note(resp, SODP_NOTE_AGAIN);
		return true;
	}
	/* What waits will be answered; what is done needs to be told only */
	resp->known += cb->nr - cb->next;
	wrx_note(resp, SODP_NOTE_KNOWN);
	return false;
}

/* Return: true: it is queued; false: it is to be dropped */
static bool wrx_add_request(struct sodp_qp *qp, struct sodp_wire_resp *resp,
			    struct sk_buff *skb)
{
	struct sodp_rx_cb *cb = sodp_rx_cb(skb);
	u32 end = wrx_end(qp, cb);
	s32 ahead;

	/* Nothing waits, and what was done is done: see sodp_rxq_consume() */
	if (skb_queue_empty(&resp->queue.skbs))
		resp->tail = READ_ONCE(qp->resp.psn);
	ahead = sodp_psn_diff(cb->psn, resp->tail);
	if (unlikely(ahead > 0))
		goto out_gap;
	if (unlikely(ahead < 0 && cb->psn != resp->last_end))
		resp->run++;
	resp->last_end = end;
	if (unlikely(sodp_psn_diff(end, resp->tail) <= 0)) {
		if (!wrx_known(qp, resp, cb))
			return false;
		end = resp->tail;
	}
	cb->seq = resp->seq + 1;
	cb->run = resp->run;
	if (unlikely(!sodp_rxq_add_locked(&resp->queue, skb)))
		goto out_gap;
	/* Pairs with the READ_ONCE() in rc/again.c */
	WRITE_ONCE(resp->seq, resp->seq + 1);
	resp->tail = end;
	return true;

out_gap:
	resp->gap_psn = resp->tail;
	wrx_note(resp, SODP_NOTE_GAP);
	sodp_count(qp->dev, SODP_CNT_rx_drops, cb->nr - cb->next);
	return false;
}

/**
 * sodp_wresp_enqueue_acked() - a train of requests that are answered
 * @qp: the responder
 * @resp: its queue
 * @skb: the train; taken over
 *
 * Context: softirq.
 * Return: true: there is a train, or a note.
 */
bool sodp_wresp_enqueue_acked(struct sodp_qp *qp, struct sodp_wire_resp *resp,
			      struct sk_buff *skb)
{
	bool added;

	spin_lock_bh(&resp->queue.skbs.lock);
	added = wrx_add_request(qp, resp, skb);
	spin_unlock_bh(&resp->queue.skbs.lock);
	if (unlikely(!added))
		kfree_skb(skb);
	return true;
}

/**
 * sodp_wresp_enqueue_any() - a train of requests, whatever came before
 * @qp: the responder
 * @resp: its queue
 * @skb: the train; taken over
 *
 * Context: softirq.
 * Return: false: there was no room.
 */
bool sodp_wresp_enqueue_any(struct sodp_qp *qp, struct sodp_wire_resp *resp,
			    struct sk_buff *skb)
{
	return sodp_rxq_add(&resp->queue, skb);
}

/* Take a train of request packets, with struct sodp_rx_cb filled in */
static void wrx_requests(struct sodp_qp *qp, struct sk_buff *skb)
{
	/* Pairs with the release store that publishes qp->wire */
	struct sodp_wire *wire = smp_load_acquire(&qp->wire);
	struct sodp_wire_resp *resp = &wire->resp;

	/* Written under the queue's lock: any value that it had will do */
	if (unlikely(READ_ONCE(resp->queue.bytes) > sodp_policy.rxq_cnp_bytes))
		set_bit(SODP_CONGESTED_PEER, &wire->congested);
	if (wire->service->enqueue(qp, resp, skb) && !sodp_near_take(qp))
		sodp_wresp_kick(qp);
}

static bool wrx_type_ok(const struct sodp_qp *qp, const struct sodp_wire_op *op)
{
	if (unlikely(op->flags & SODP_WIRE_CNP))
		return true;
	if (op->type == IB_QPT_XRC_INI)
		return qp->type == (op->flags & SODP_WIRE_REQUEST ?
				    IB_QPT_XRC_TGT : IB_QPT_XRC_INI);
	return qp->type == op->type;
}

/**
 * sodp_wire_wants() - does a connected QP take a packet?
 * @qp: the QP, referenced
 * @came: how it came
 * @pkt: its headers
 *
 * From its peer only, by its own netdevs, or by lo from a device of this host.
 * IBA 9.6.1, A17
 *
 * Context: softirq.
 * Return: true: yes, now.
 */
bool sodp_wire_wants(const struct sodp_qp *qp, const struct sodp_came *came,
		     const struct sodp_pkt *pkt)
{
	/* Pairs with the release store where the wire is made */
	const struct sodp_wire *wire = smp_load_acquire(&qp->wire);

	/* It may have been of use before the peer was one on this host */
	return wire && !READ_ONCE(qp->peer_dev_id) &&
	       wrx_type_ok(qp, pkt->op) &&
	       (sodp_came_by(came, qp->dev) ||
		came->in->flags & IFF_LOOPBACK) &&
	       ipv6_addr_equal(&wire->path.daddr, &came->saddr) &&
	       ipv6_addr_equal(&wire->path.saddr, &came->daddr);
}

/**
 * sodp_wire_receive() - take a train of packets
 * @qp: to whom they are addressed, referenced
 * @came: how they came
 * @pkt: headers of them all
 * @skb: with struct sodp_rx_cb filled in; taken over
 *
 * Context: softirq.
 */
void sodp_wire_receive(struct sodp_qp *qp, const struct sodp_came *came,
		       const struct sodp_pkt *pkt, struct sk_buff *skb)
{
	const struct sodp_wire_op *op = pkt->op;

	if (unlikely(came->ce) && op->flags & SODP_WIRE_PAYLOAD)
		sodp_ce_rx(qp, sodp_rx_cb(skb)->nr - sodp_rx_cb(skb)->next,
			   op->flags & SODP_WIRE_REQUEST);
	if (unlikely(op->flags & SODP_WIRE_CNP)) {
		sodp_cnp_rx(qp);
		consume_skb(skb);
	} else if (op->flags & SODP_WIRE_REQUEST) {
		wrx_requests(qp, skb);
	} else {
		sodp_wire_rx_responses(qp, skb);
	}
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

	lockdep_assert_held(&qp->resp.resp_mutex);
	spin_lock_bh(&resp->queue.skbs.lock);
	resp->tail = qp->resp.psn;
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

	lockdep_assert_held(&qp->resp.resp_mutex);
	spin_lock_bh(&resp->queue.skbs.lock);
	ahead = sodp_psn_diff(resp->gap_psn, qp->resp.psn);
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

	lockdep_assert_held(&qp->resp.resp_mutex);
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
