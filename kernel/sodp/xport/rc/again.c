// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Requests that come again: IBA 9.7.5.1.5. What was done and cannot be done
 * twice is remembered; SENDs and WRITEs need no more than an acknowledge
 * (rx.c).
 *
 * A peer asks for a READ again because data was lost, or did not come in
 * time. It goes back: what follows comes again too, and it throws away what
 * is sent of the old answers meanwhile. So the newest time that it went back
 * counts. If the answer under way is beyond that point it starts again from
 * there, and goes on with what it had come to; if it has not come to it yet,
 * the peer has only to wait. What it asked for before is dropped when its
 * turn in the queue comes: the answer has been begun for something newer, or
 * after it came.
 */
#include "qp/ops.h"
#include "xport/rc/wire.h"

static u32 again_end(const struct sodp_qp *qp, const struct sodp_pkt *pkt)
{
	u32 mtu = ib_mtu_enum_to_int(qp->attr.path_mtu);

	/* Any number; it may be more than there was */
	return sodp_psn_add(pkt->psn, pkt->dma_len ?
			    (pkt->dma_len - 1) / mtu + 1 : 1);
}

/**
 * sodp_wresp_keep() - remember a READ or atomic for duplicates of it
 * @qp: the responder
 * @req: carried out, or a READ about to be answered
 * @seq: sodp_rx_cb.seq of the train that it came in
 *
 * The peer has at most max_dest_rd_atomic of them unanswered, and repeats
 * no others: the ring needs no more entries.
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_keep(struct sodp_qp *qp, const struct sodp_request *req,
		     u32 seq)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	struct sodp_resource *res;

	lockdep_assert_held(&qp->resp.resp_mutex);
	if (!resp->res_size)
		return;
	res = &resp->res[resp->res_next];
	resp->res_next = (resp->res_next + 1) % resp->res_size;
	res->opcode = req->opcode;
	res->valid = true;
	res->first_psn = req->psn;
	res->last_psn = sodp_psn_add(req->psn, req->nr_packets - 1);
	res->rkey = req->rkey;
	res->srqn = req->srqn;
	res->remote_addr = req->remote_addr;
	res->length = req->length;
	res->orig = req->result;
	res->from = res->first_psn;
	res->to = sodp_psn_add(res->last_psn, 1);
	res->by = seq;
	res->at = READ_ONCE(resp->seq);
}

static struct sodp_resource *again_find(struct sodp_wire_resp *resp, u32 psn)
{
	struct sodp_resource *res;
	u32 i;

	/* The newest first: PSNs of old entries may have come round again */
	for (i = 1; i <= resp->res_size; i++) {
		res = &resp->res[(resp->res_next + resp->res_size - i) %
				 resp->res_size];
		if (!res->valid)
			break;
		if (sodp_psn_diff(psn, res->first_psn) >= 0 &&
		    sodp_psn_diff(psn, res->last_psn) <= 0)
			return res;
	}
	return NULL;
}

static struct sodp_resource *again_find_read(struct sodp_wire_resp *resp,
					     const struct sodp_pkt *pkt)
{
	struct sodp_resource *res = again_find(resp, pkt->psn);

	return res && res->opcode == SODP_WR_RDMA_READ ? res : NULL;
}

/* A repeated READ may ask for the rest of the first one, and for no more */
static bool again_allowed(const struct sodp_qp *qp,
			  const struct sodp_resource *res,
			  const struct sodp_pkt *pkt)
{
	u32 mtu = ib_mtu_enum_to_int(qp->attr.path_mtu);
	u64 off = (u64)sodp_psn_diff(pkt->psn, res->first_psn) * mtu;

	return pkt->rkey == res->rkey &&
	       pkt->remote_addr == res->remote_addr + off &&
	       off <= res->length && pkt->dma_len <= res->length - off;
}

/*
 * Has the peer been answered since it asked? By what was begun for something
 * that came later, or has this in it and was begun after this had come.
 */
static bool again_absorbed(const struct sodp_resource *res, u32 psn, u32 end,
			   u32 seq)
{
	if (sodp_psn_diff(end, res->to) > 0)
		return false;
	if ((s32)(seq - res->by) < 0)
		return true;
	return (s32)(seq - res->at) <= 0 && seq != res->by &&
	       sodp_psn_diff(psn, res->from) >= 0;
}

/* Answer a READ from some packet on; trains before @by are absorbed */
static void again_begin(struct sodp_qp *qp, struct sodp_resource *res,
			const struct sodp_pkt *pkt, u32 by)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	struct sodp_read *read = &resp->read;

	read->psn = pkt->psn;
	read->end = again_end(qp, pkt);
	if (!read->active || sodp_psn_diff(read->until, read->end) < 0)
		read->until = read->end;
	read->active = true;
	read->partial = pkt->psn != res->first_psn;
	read->rkey = pkt->rkey;
	read->srqn = pkt->srqn;
	read->remote_addr = pkt->remote_addr;
	read->length = pkt->dma_len;
	read->done = 0;
	res->from = read->psn;
	res->to = read->end;
	res->by = by;
	res->at = READ_ONCE(resp->seq);
}

/**
 * sodp_wresp_knows_read() - is it a READ that can be answered again?
 * @qp: the responder
 * @pkt: a packet whose PSN is older than the one expected
 *
 * Context: process, under resp_mutex.
 */
bool sodp_wresp_knows_read(struct sodp_qp *qp, const struct sodp_pkt *pkt)
{
	return pkt->op->wr == SODP_WR_RDMA_READ &&
	       again_find_read(&qp->wire->resp, pkt);
}

/**
 * sodp_wresp_replay() - answer a request that came before: IBA 9.7.5.1.5
 * @qp: the responder; no READ is being answered
 * @pkt: a packet whose PSN is older than the one expected
 * @seq: sodp_rx_cb.seq of its train
 *
 * SENDs and WRITEs are acknowledged, not carried out again. An atomic's
 * result is repeated. A READ is read again, under its key as it is now.
 *
 * Context: process, under resp_mutex.
 * Return: false: nothing is known of it, or it was answered since: dropped.
 */
bool sodp_wresp_replay(struct sodp_qp *qp, const struct sodp_pkt *pkt, u32 seq)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	struct sodp_resource *res;

	lockdep_assert_held(&qp->resp.resp_mutex);
	switch (pkt->op->wr) {
	case SODP_WR_RDMA_READ:
		res = again_find_read(resp, pkt);
		if (!res || !again_allowed(qp, res, pkt) ||
		    again_absorbed(res, pkt->psn, again_end(qp, pkt), seq))
			return false;
		again_begin(qp, res, pkt, seq);
		return true;
	case SODP_WR_ATOMIC_CMP_AND_SWP:
	case SODP_WR_ATOMIC_FETCH_AND_ADD:
		res = again_find(resp, pkt->psn);
		if (!res || res->opcode != pkt->op->wr)
			return false;
		sodp_wresp_answer_atomic(qp, pkt->psn, res->orig);
		return true;
	case SODP_WR_FLUSH:
	case SODP_WR_ATOMIC_WRITE:
		sodp_wresp_answer_empty(qp, pkt->psn);
		return true;
	default:
		resp->ack_due = true;
		return true;
	}
}

/* The first READ of a train that was done before */
static bool again_first_read(struct sodp_qp *qp, struct sk_buff *skb,
			     struct sodp_pkt *pkt)
{
	const struct sodp_rx_cb *cb = sodp_rx_cb(skb);
	u32 i;

	for (i = cb->next; cb->answers && i < cb->nr; i++)
		if (sodp_rx_parse(skb, i, pkt) &&
		    pkt->op->wr == SODP_WR_RDMA_READ &&
		    sodp_psn_diff(pkt->psn, qp->resp.psn) < 0)
			return true;
	return false;
}

/**
 * sodp_wresp_owes_data() - does a repeated READ wait for its turn?
 * @qp: the responder
 *
 * An acknowledge of what is done would tell the peer that its data was lost.
 *
 * Context: process, under resp_mutex.
 */
bool sodp_wresp_owes_data(struct sodp_qp *qp)
{
	struct sodp_rxq *q = &qp->wire->resp.queue;
	u32 left = sodp_policy.look_back;
	struct sodp_pkt pkt;
	struct sk_buff *skb;
	bool owes = false;

	lockdep_assert_held(&qp->resp.resp_mutex);
	spin_lock_bh(&q->skbs.lock);
	skb_queue_reverse_walk(&q->skbs, skb) {
		owes = again_first_read(qp, skb, &pkt);
		if (owes || !left--)
			break;
	}
	spin_unlock_bh(&q->skbs.lock);
	return owes;
}

/* Where the peer went back to, the last time. Return: false: nothing waits */
static bool again_newest(struct sodp_qp *qp, struct sodp_pkt *newest, u32 *seq)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	struct sodp_rxq *q = &resp->queue;
	u32 left = sodp_policy.look_back;
	struct sodp_pkt pkt;
	struct sk_buff *skb;
	bool found = false;

	spin_lock_bh(&q->skbs.lock);
	clear_bit(SODP_NOTE_AGAIN, &resp->notes);
	skb_queue_reverse_walk(&q->skbs, skb) {
		if (sodp_rx_cb(skb)->run != resp->run || !left--)
			break;
		if (!again_first_read(qp, skb, &pkt))
			continue;
		*newest = pkt;
		*seq = sodp_rx_cb(skb)->seq;
		found = true;
	}
	spin_unlock_bh(&q->skbs.lock);
	return found;
}

/**
 * sodp_wresp_look_again() - a READ was asked for while one is answered
 * @qp: the responder, SODP_NOTE_AGAIN, and a READ being answered
 *
 * A request for a part, with an end of its own, waits for its turn.
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_look_again(struct sodp_qp *qp)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	struct sodp_read *read = &resp->read;
	struct sodp_resource *res;
	struct sodp_pkt pkt;
	u32 seq, end;

	lockdep_assert_held(&qp->resp.resp_mutex);
	if (!again_newest(qp, &pkt, &seq))
		return;
	res = again_find_read(resp, &pkt);
	if (!res || !again_allowed(qp, res, &pkt))
		return;
	end = again_end(qp, &pkt);
	if (end != sodp_psn_add(res->last_psn, 1) ||
	    sodp_psn_diff(end, read->end) > 0)
		return;
	if (sodp_psn_diff(pkt.psn, read->psn) < 0) {
		again_begin(qp, res, &pkt, seq + 1);
		sodp_qp_count(qp, SODP_CNT_rx_duplicates, 1);
		return;
	}
	/* It is still to be sent */
	res->by = seq + 1;
	res->at = READ_ONCE(resp->seq);
}

/* The READ or atomic that follows a PSN */
static struct sodp_resource *again_next(struct sodp_wire_resp *resp, u32 psn,
					u32 until)
{
	struct sodp_resource *next = NULL;
	struct sodp_resource *res;
	u32 i;

	for (i = 0; i < resp->res_size; i++) {
		res = &resp->res[i];
		if (res->valid && sodp_psn_diff(res->first_psn, psn) >= 0 &&
		    sodp_psn_diff(res->last_psn, until) < 0 &&
		    (!next || sodp_psn_diff(res->first_psn,
					    next->first_psn) < 0))
			next = res;
	}
	return next;
}

/**
 * sodp_wresp_next_answer() - a READ is answered: is there more to repeat?
 * @qp: the responder
 *
 * When an older one had to be answered anew, so have those between it and
 * the one that was being answered: their data was of no use to the peer.
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_next_answer(struct sodp_qp *qp)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	struct sodp_read *read = &resp->read;
	struct sodp_resource *res;
	struct sodp_pkt pkt = {};

	lockdep_assert_held(&qp->resp.resp_mutex);
	while (sodp_psn_diff(read->until, read->end) > 0) {
		res = again_next(resp, read->end, read->until);
		if (!res)
			return;
		if (res->opcode == SODP_WR_RDMA_READ) {
			pkt.psn = res->first_psn;
			pkt.rkey = res->rkey;
			pkt.srqn = res->srqn;
			pkt.remote_addr = res->remote_addr;
			pkt.dma_len = res->length;
			/* Before: it keeps read->until */
			read->active = true;
			again_begin(qp, res, &pkt, READ_ONCE(resp->seq) + 1);
			return;
		}
		sodp_wresp_answer_atomic(qp, res->first_psn, res->orig);
		read->end = sodp_psn_add(res->last_psn, 1);
	}
}
