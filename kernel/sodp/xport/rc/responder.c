// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The responder of a QP whose peer is on another host: request packets go
 * through a table of steps, at whose end is the responder that same-host
 * requests use too (qp/resp.c). IBA 9.7.4, 9.7.5 for RC, 9.8.3 for UC.
 *
 * Packets are carried out in order by wire->resp.work. What keeps the first
 * one waiting keeps the rest of this QP waiting and no one else:
 *
 *	a page	is faulted in by a worker that holds nothing (park.c)
 *	READ	data goes out before the next request is looked at, so that
 *		answers leave in the order of their requests.
 */
#include <linux/slab.h>

#include "compat_rdma.h"
#include "qp/ops.h"
#include "xport/rc/wire.h"

/* Packets of one turn of the worker, before others get theirs */
#define WRESP_SLICE_PACKETS	1024
/* And after so many an acknowledge that was asked for is sent */
#define WRESP_ACK_PACKETS	64
/* Packets carried out as one, and a little more: on the stack */
#define WRESP_RUN_BUFS		24

/* What becomes of a packet */
enum wresp_fate {
	WRESP_NEXT,	/* go on with the next step */
	WRESP_DONE,	/* consumed */
	WRESP_DROP,	/* consumed, nothing came of it */
	WRESP_STAY,	/* not now: the worker will be run again */
	WRESP_REFUSE,	/* NAK, then the error state */
};

/**
 * struct wresp_ctx - a packet, or a run of them, on its way through the steps
 * @qp: the responder
 * @resp: its state
 * @skb: train that they are in
 * @pkt: the first
 * @nr: packets: what follows the first in one message of one train
 * @length: bytes of payload of them all
 * @last: the message ends with them
 * @ack_req: one of them wants an answer
 * @solicited: the last one says so
 * @bufs: where the payload is
 * @nr_bufs: entries of it
 * @budget: bytes that may be moved
 * @looked: what @budget was when the clock was looked at
 * @turn: whose turn it is
 * @faults: tried here with no progress in between
 * @verdict: of WRESP_REFUSE
 */
struct wresp_ctx {
	struct sodp_qp *qp;
	struct sodp_wire_resp *resp;
	struct sk_buff *skb;
	struct sodp_pkt pkt;
	u32 nr;
	u32 length;
	bool last;
	bool ack_req;
	bool solicited;
	struct sodp_buf bufs[WRESP_RUN_BUFS];
	u32 nr_bufs;
	u64 budget;
	u64 looked;
	struct sodp_turn *turn;
	u32 faults;
	enum sodp_verdict verdict;
};

/* UC gives up a message in silence; its receive serves the next one */
static enum wresp_fate wresp_refuse(struct wresp_ctx *c,
				    enum sodp_verdict verdict)
{
	if (sodp_is_uc(c->qp) && verdict != SODP_E_REM_OP) {
		c->resp->in_message = false;
		c->qp->resp.recv.fail_status = 0;
		c->qp->resp.recv.fail_why = 0;
		return WRESP_DROP;
	}
	c->verdict = verdict;
	return WRESP_REFUSE;
}

/* A gap: one NAK, then silence until the packet that is missing comes */
static enum wresp_fate wresp_gap(struct wresp_ctx *c)
{
	struct sodp_qp *qp = c->qp;

	if (c->resp->nak_sent)
		return WRESP_DROP;
	sodp_wresp_rewind_tail(qp);
	sodp_wresp_flush_ack(qp);
	sodp_wresp_ack(qp, SODP_AETH_NAK | SODP_NAK_PSN_SEQUENCE,
		       qp->resp.psn);
	c->resp->nak_sent = true;
	sodp_qp_count(qp, SODP_CNT_rx_out_of_sequence, 1);
	return WRESP_DROP;
}

static enum wresp_fate wresp_check_psn(struct wresp_ctx *c)
{
	s32 ahead = sodp_psn_diff(c->pkt.psn, c->qp->resp.psn);

	if (likely(!ahead)) {
		c->resp->nak_sent = false;
		return WRESP_NEXT;
	}
	if (sodp_is_uc(c->qp)) {
		/*
		 * Lost packets: their messages are lost, the next counts. It
		 * may have the PSN of the last one, when that came twice.
		 */
		c->resp->in_message = false;
		c->resp->cur.done = 0;
		if (!(c->pkt.op->flags & SODP_WIRE_FIRST))
			return WRESP_DROP;
		/* Pairs with the READ_ONCE() of who does not have the mutex */
		WRITE_ONCE(c->qp->resp.psn, c->pkt.psn);
		return WRESP_NEXT;
	}
	if (ahead > 0)
		return wresp_gap(c);
	sodp_qp_count(c->qp, SODP_CNT_rx_duplicates, 1);
	return sodp_wresp_replay(c->qp, &c->pkt, sodp_rx_cb(c->skb)->seq) ?
	       WRESP_DONE : WRESP_DROP;
}

/* FIRST MIDDLE... LAST of one kind, or ONLY */
static enum wresp_fate wresp_check_sequence(struct wresp_ctx *c)
{
	const struct sodp_wire_op *op = c->pkt.op;
	struct sodp_wire_resp *resp = c->resp;
	bool first = op->flags & SODP_WIRE_FIRST;

	if (sodp_is_uc(c->qp) && first)
		resp->in_message = false;
	if (first == resp->in_message)
		return wresp_refuse(c, SODP_E_REM_INV_REQ);
	if (!first && (sodp_op_of(op->wr)->flags & SODP_OP_RDMA) !=
		      (sodp_op_of(resp->cur.opcode)->flags & SODP_OP_RDMA))
		return wresp_refuse(c, SODP_E_REM_INV_REQ);
	return WRESP_NEXT;
}

/* Bytes that the message has, as far as that is known */
static u64 wresp_announced(const struct wresp_ctx *c)
{
	return c->pkt.op->flags & SODP_WIRE_FIRST ? c->pkt.dma_len :
						    c->resp->cur.length;
}

/*
 * Payload of each packet, and of the message when its length is announced.
 * @before: bytes of the message in the packets before this one
 */
static bool wresp_length_ok(const struct wresp_ctx *c,
			    const struct sodp_pkt *pkt, u64 before)
{
	u32 mtu = ib_mtu_enum_to_int(c->qp->attr.path_mtu);
	bool last = pkt->op->flags & SODP_WIRE_LAST;
	u64 announced = wresp_announced(c);
	u64 ready = before + pkt->length;

	if (pkt->op->wr == SODP_WR_FLUSH)
		return true;
	if (pkt->op->wr == SODP_WR_RDMA_READ)
		return announced <= SODP_MAX_MSG;
	if (!(sodp_op_of(pkt->op->wr)->flags & SODP_OP_OUT))
		return true;
	if (last ? pkt->length > mtu : pkt->length != mtu)
		return false;
	if (!(pkt->op->flags & SODP_WIRE_FIRST) && !pkt->length)
		return false;
	if (!(sodp_op_of(pkt->op->wr)->flags & SODP_OP_RDMA))
		announced = last ? ready : SODP_MAX_MSG;
	return announced <= SODP_MAX_MSG &&
	       (last ? ready == announced : ready < announced);
}

static enum wresp_fate wresp_check_length(struct wresp_ctx *c)
{
	bool first = c->pkt.op->flags & SODP_WIRE_FIRST;

	if (likely(wresp_length_ok(c, &c->pkt, first ? 0 : c->resp->msg_off)))
		return WRESP_NEXT;
	return wresp_refuse(c, SODP_E_REM_INV_REQ);
}

/*
 * Does a packet go on with the message? One that has more to say than that,
 * or anything wrong with it, is looked at on its own.
 */
static bool wresp_follows(const struct wresp_ctx *c,
			  const struct sodp_pkt *pkt)
{
	bool first = c->pkt.op->flags & SODP_WIRE_FIRST;

	return pkt->psn == sodp_psn_add(c->pkt.psn, c->nr) &&
	       pkt->op->wr == c->pkt.op->wr && !pkt->op->ext &&
	       !(pkt->op->flags & SODP_WIRE_FIRST) &&
	       wresp_length_ok(c, pkt, c->length +
			       (first ? 0 : c->resp->msg_off));
}

static void wresp_add(struct wresp_ctx *c, const struct sodp_pkt *pkt)
{
	c->nr++;
	c->length += pkt->length;
	c->last = pkt->op->flags & SODP_WIRE_LAST;
	c->ack_req |= pkt->ack_req;
	c->solicited = pkt->solicited;
}

/* The message's packets in this train are carried out at once */
static enum wresp_fate wresp_join(struct wresp_ctx *c)
{
	const struct sodp_rx_cb *cb = sodp_rx_cb(c->skb);
	struct sodp_pkt pkt;
	u32 nr;

	c->nr = 0;
	c->length = 0;
	c->ack_req = false;
	c->nr_bufs = sodp_rx_bufs(c->skb, &c->pkt, c->bufs,
				  ARRAY_SIZE(c->bufs));
	wresp_add(c, &c->pkt);
	while (!c->last && cb->next + c->nr < cb->nr) {
		if (!sodp_rx_parse(c->skb, cb->next + c->nr, &pkt) ||
		    !wresp_follows(c, &pkt))
			break;
		nr = sodp_rx_bufs(c->skb, &pkt, c->bufs + c->nr_bufs,
				  ARRAY_SIZE(c->bufs) - c->nr_bufs);
		if (!nr)
			break;
		c->nr_bufs += nr;
		wresp_add(c, &pkt);
	}
	return WRESP_NEXT;
}

/* The part of a request that its first packet says */
static void wresp_begin(struct wresp_ctx *c)
{
	struct sodp_request *req = &c->resp->cur;
	const struct sodp_pkt *pkt = &c->pkt;
	u32 mtu = ib_mtu_enum_to_int(c->qp->attr.path_mtu);

	memset(req, 0, sizeof(*req));
	c->resp->msg_off = 0;
	req->remote_addr = pkt->remote_addr;
	req->rkey = pkt->rkey;
	req->length = pkt->dma_len;
	req->src_qpn = c->qp->attr.dest_qp_num;
	req->psn = pkt->psn;
	switch (pkt->op->wr) {
	case SODP_WR_RDMA_READ:
		req->nr_packets = max(DIV_ROUND_UP(pkt->dma_len, mtu), 1U);
		break;
	case SODP_WR_ATOMIC_CMP_AND_SWP:
	case SODP_WR_ATOMIC_FETCH_AND_ADD:
		req->length = sizeof(u64);
		req->operand = pkt->swap_add;
		req->compare = pkt->compare;
		break;
	case SODP_WR_ATOMIC_WRITE:
		req->length = sizeof(u64);
		skb_copy_bits(c->skb, pkt->payload, &req->operand,
			      sizeof(req->operand));
		break;
	case SODP_WR_FLUSH:
		req->length = 0;
		req->flush_length = pkt->dma_len;
		req->flush_type = pkt->flush_type;
		req->flush_level = pkt->flush_level;
		break;
	}
}

/*
 * The receive is completed next, and maybe answered by a SEND of the same QP:
 * the peer hears first that its own has come.
 */
static void wresp_executed(struct sodp_request *req)
{
	struct sodp_wire_resp *resp = container_of(req, struct sodp_wire_resp,
						   cur);

	resp->ack_owed = true;
	/* Before: its MSN counts the message, and so its receive is none left */
	resp->acked = true;
	sodp_wresp_flush_ack(resp->qp);
}

/*
 * Only where the turn ends with this packet, and its acknowledge is due: more
 * of them than one a turn would be too many.
 */
static bool wresp_ack_first(const struct wresp_ctx *c)
{
	const struct sodp_rx_cb *cb = sodp_rx_cb(c->skb);

	return c->ack_req && c->last && !sodp_is_uc(c->qp) &&
	       cb->next + c->nr >= cb->nr &&
	       skb_queue_len_lockless(&c->resp->queue.skbs) == 1;
}

static enum wresp_fate wresp_take(struct wresp_ctx *c)
{
	struct sodp_wire_resp *resp = c->resp;
	struct sodp_request *req = &resp->cur;
	const struct sodp_pkt *pkt = &c->pkt;

	/* A packet that waited for a page goes on where it was */
	if ((pkt->op->flags & SODP_WIRE_FIRST) &&
	    !(req->psn == pkt->psn && req->done))
		wresp_begin(c);
	req->opcode = pkt->op->wr;
	req->psn = pkt->psn;
	if (req->opcode != SODP_WR_RDMA_READ)
		req->nr_packets = c->nr;
	req->last = c->last;
	req->ready = resp->msg_off + c->length;
	if (!(sodp_op_of(req->opcode)->flags & SODP_OP_RDMA))
		req->length = req->ready;
	req->flags = c->solicited ? SODP_SEND_SOLICITED : 0;
	req->ex = pkt->ex;
	/* Every packet of XRC says it, and is checked on its own */
	req->srqn = pkt->srqn;
	resp->acked = false;
	req->executed = wresp_ack_first(c) ? wresp_executed : NULL;
	/* It may not be what it was before it waited: see sodp_rx_peek() */
	if (unlikely((sodp_op_of(req->opcode)->flags & SODP_OP_RDMA) &&
		     req->ready > req->length))
		return wresp_refuse(c, SODP_E_REM_INV_REQ);
	return WRESP_NEXT;
}

/* Try here, without waiting; park when it would wait, or leads nowhere */
static enum wresp_fate wresp_miss(struct wresp_ctx *c,
				  const struct sodp_stop *stop)
{
	int ret;

	/* The peer's timer starts anew with what is done, and soon again */
	if (!sodp_is_uc(c->qp))
		sodp_wresp_flush_ack(c->qp);
	ret = sodp_fault_try(stop, &c->faults, c->turn);
	if (ret == -EAGAIN) {
		sodp_wresp_park(c->qp, &stop->miss);
		return WRESP_STAY;
	}
	c->resp->fault_ret = ret;
	return WRESP_NEXT;
}

static enum sodp_verdict wresp_fault_verdict(struct wresp_ctx *c)
{
	int ret = c->resp->fault_ret;

	c->resp->fault_ret = 0;
	return sodp_op_fault_verdict(sodp_op_of(c->pkt.op->wr), ret);
}

/* No receive: the peer comes back after min_rnr_timer; UC just drops */
static enum wresp_fate wresp_rnr(struct wresp_ctx *c)
{
	struct sodp_qp *qp = c->qp;

	if (sodp_is_uc(qp))
		return wresp_refuse(c, SODP_E_REM_INV_REQ);
	/* What waits behind it will come again */
	sodp_wresp_rewind_tail(qp);
	sodp_wresp_flush_ack(qp);
	sodp_qp_count(qp, SODP_CNT_rnr_naks, 1);
	sodp_wresp_ack(qp, SODP_AETH_RNR_NAK | (qp->attr.min_rnr_timer & 31),
		       c->pkt.psn);
	c->resp->nak_sent = true;
	return WRESP_DROP;
}

/* Carry it out, by the responder that every transport shares */
static enum wresp_fate wresp_execute(struct wresp_ctx *c)
{
	struct sodp_cursor payload = {
		.bufs = c->bufs,
		.nr_bufs = c->nr_bufs,
		.base = c->resp->msg_off,
	};
	struct sodp_request *req = &c->resp->cur;
	bool is_read = req->opcode == SODP_WR_RDMA_READ;
	enum wresp_fate fate = WRESP_NEXT;
	enum sodp_verdict verdict;
	struct sodp_stop stop;

	do {
		if (unlikely(c->resp->fault_ret))
			return wresp_refuse(c, wresp_fault_verdict(c));
		/* A packet is never cut by the slice's budget */
		c->budget = max_t(u64, c->budget, c->length);
		verdict = sodp_resp_request(c->qp, req,
					    is_read ? NULL : &payload,
					    &c->budget, &stop);
		if (verdict == SODP_AGAIN)
			fate = wresp_miss(c, &stop);
	} while (verdict == SODP_AGAIN && fate == WRESP_NEXT);
	if (likely(!verdict))
		return WRESP_NEXT;
	if (verdict == SODP_AGAIN)
		return fate;
	if (verdict == SODP_RNR)
		return wresp_rnr(c);
	/* An access to what is to be invalidated is under way: see park.c */
	if (verdict == SODP_BUSY) {
		sodp_wresp_hold(c->qp, SODP_KEY_NS);
		return WRESP_STAY;
	}
	return wresp_refuse(c, verdict);
}

/* Its progress is the message's, and the answer is sent or noted */
static enum wresp_fate wresp_finish(struct wresp_ctx *c)
{
	struct sodp_wire_resp *resp = c->resp;
	struct sodp_request *req = &resp->cur;
	struct sodp_qp *qp = c->qp;

	resp->in_message = !req->last;
	resp->msg_off = req->last ? 0 : req->ready;
	if (req->last)
		req->done = 0;
	if (sodp_is_uc(qp))
		return WRESP_DONE;
	switch (req->opcode) {
	case SODP_WR_RDMA_READ:
		sodp_wresp_keep(qp, req, sodp_rx_cb(c->skb)->seq);
		resp->read.active = true;
		resp->read.partial = false;
		resp->read.psn = req->psn;
		resp->read.end = qp->resp.psn;
		resp->read.until = qp->resp.psn;
		resp->read.rkey = req->rkey;
		resp->read.srqn = req->srqn;
		resp->read.remote_addr = req->remote_addr;
		resp->read.length = req->length;
		resp->read.done = 0;
		break;
	case SODP_WR_ATOMIC_CMP_AND_SWP:
	case SODP_WR_ATOMIC_FETCH_AND_ADD:
		sodp_wresp_keep(qp, req, sodp_rx_cb(c->skb)->seq);
		sodp_wresp_answer_atomic(qp, req->psn, req->result);
		break;
	case SODP_WR_FLUSH:
	case SODP_WR_ATOMIC_WRITE:
		sodp_wresp_answer_empty(qp, req->psn);
		break;
	default:
		if (resp->acked)
			return WRESP_DONE;
		resp->ack_owed = true;
		resp->ack_due |= c->ack_req;
		resp->unanswered += c->nr;
		/* A peer with a window does not wait for the end of the queue */
		if (resp->ack_due && resp->unanswered >= WRESP_ACK_PACKETS)
			sodp_wresp_flush_ack(qp);
		return WRESP_DONE;
	}
	/* These answers acknowledge all that came before them */
	resp->ack_owed = false;
	resp->ack_due = false;
	resp->unanswered = 0;
	return WRESP_DONE;
}

static enum wresp_fate (*const wresp_steps[])(struct wresp_ctx *c) = {
	wresp_check_psn,
	wresp_check_sequence,
	wresp_check_length,
	wresp_join,
	wresp_take,
	wresp_execute,
	wresp_finish,
};

static const u8 wresp_nak_codes[SODP_VERDICTS] = {
	[SODP_E_REM_INV_REQ] = SODP_NAK_INV_REQ,
	[SODP_E_REM_ACCESS] = SODP_NAK_REM_ACCESS,
	[SODP_E_REM_OP] = SODP_NAK_REM_OP,
};

/* The last thing that the peer hears of this QP */
static void wresp_fail(struct sodp_qp *qp, enum sodp_verdict verdict, u32 psn)
{
	if (!sodp_is_uc(qp)) {
		sodp_wresp_flush_ack(qp);
		sodp_wresp_ack(qp, SODP_AETH_NAK | wresp_nak_codes[verdict],
			       psn);
	}
	sodp_resp_fail(qp, verdict);
}

/* Return: false: the packet stays where it is */
static bool wresp_packet(struct wresp_ctx *c)
{
	enum wresp_fate fate = WRESP_NEXT;
	unsigned int i;

	c->faults = 0;
	c->nr = 1;
	for (i = 0; i < ARRAY_SIZE(wresp_steps) && fate == WRESP_NEXT; i++)
		fate = wresp_steps[i](c);
	if (unlikely(fate == WRESP_REFUSE))
		wresp_fail(c->qp, c->verdict, c->pkt.psn);
	if (fate == WRESP_DROP)
		sodp_qp_count(c->qp, SODP_CNT_rx_drops, c->nr);
	return fate != WRESP_STAY;
}

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
		     wresp_miss(c, &stop) == WRESP_STAY))
			return false;
		if (verdict != SODP_AGAIN) {
			c->resp->fault_ret = 0;
			c->resp->read.active = false;
			/* The key is gone, or the memory has an error */
			wresp_fail(c->qp, verdict == SODP_E_REM_OP ?
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
			return !c->resp->wait.on &&
			       !sodp_wresp_held(qp);
		if (sodp_noted(c->resp, SODP_NOTE_GAP) &&
		    sodp_wresp_take_gap(qp))
			wresp_gap(c);
		c->skb = sodp_rxq_peek(&c->resp->queue);
		if (!c->skb)
			return false;
		if (!sodp_rx_peek(c->skb, &c->pkt)) {
			sodp_rxq_consume(&c->resp->queue, c->skb);
			continue;
		}
		if (packets >= WRESP_SLICE_PACKETS || !c->budget ||
		    wresp_is_late(c))
			return true;
		if (!wresp_packet(c))
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
	if (c.resp->wait.on && sodp_qp_receives(qp)) {
		if (c.resp->told_rnr)
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
		    !sodp_is_uc(qp) && !(qp->wire->resp.wait.on &&
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
	return sodp_rxq_init(&resp->queue, qp, sodp_is_uc(qp) ?
			     SODP_RXQ_MAX_UC_BYTES : SODP_RXQ_MAX_BYTES);
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
