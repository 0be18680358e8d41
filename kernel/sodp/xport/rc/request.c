// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A request packet on its way through a table of steps, at whose end is the
 * responder that same-host requests use too (qp/resp.c). IBA 9.7.4, 9.7.5 for
 * RC, 9.8.3 for UC.
 */
#include "xport/rc/responder.h"

static enum wresp_fate wresp_refuse(struct wresp_ctx *c,
				    enum sodp_verdict verdict)
{
	return c->qp->wire->service->rules->refuse(c, verdict);
}

static enum wresp_fate wresp_nak(struct wresp_ctx *c,
				 enum sodp_verdict verdict)
{
	c->verdict = verdict;
	return WRESP_REFUSE;
}

/* The message is given up in silence; its receive serves the next one */
static enum wresp_fate wresp_give_up(struct wresp_ctx *c,
				     enum sodp_verdict verdict)
{
	/* Not the requester's affair: memory of the responder is bad */
	if (verdict == SODP_E_REM_OP)
		return wresp_nak(c, verdict);
	c->resp->in_message = false;
	c->qp->resp.recv.fail_status = 0;
	c->qp->resp.recv.fail_why = 0;
	return WRESP_DROP;
}

/* A gap: one NAK, then silence until the packet that is missing comes */
enum wresp_fate sodp_wresp_gap(struct wresp_ctx *c)
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

static enum wresp_fate wresp_repeated_or_gap(struct wresp_ctx *c, s32 ahead)
{
	if (ahead > 0)
		return sodp_wresp_gap(c);
	sodp_qp_count(c->qp, SODP_CNT_rx_duplicates, 1);
	return sodp_wresp_replay(c->qp, &c->pkt, sodp_rx_cb(c->skb)->seq) ?
	       WRESP_DONE : WRESP_DROP;
}

/*
 * Lost packets: their messages are lost, the next counts. It may have the PSN
 * of the last one, when that came twice.
 */
static enum wresp_fate wresp_next_message(struct wresp_ctx *c, s32 ahead)
{
	c->resp->in_message = false;
	c->resp->cur.done = 0;
	if (!(c->pkt.op->flags & SODP_WIRE_FIRST))
		return WRESP_DROP;
	/* Pairs with the READ_ONCE() of who does not have the mutex */
	WRITE_ONCE(c->qp->resp.psn, c->pkt.psn);
	return WRESP_NEXT;
}

static enum wresp_fate wresp_check_psn(struct wresp_ctx *c)
{
	s32 ahead = sodp_psn_diff(c->pkt.psn, c->qp->resp.psn);

	if (unlikely(ahead))
		return c->qp->wire->service->rules->unexpected(c, ahead);
	c->resp->nak_sent = false;
	return WRESP_NEXT;
}

/* FIRST MIDDLE... LAST of one kind, or ONLY */
static enum wresp_fate wresp_check_sequence(struct wresp_ctx *c)
{
	const struct sodp_wire_op *op = c->pkt.op;
	struct sodp_wire_resp *resp = c->resp;
	bool first = op->flags & SODP_WIRE_FIRST;

	/* The rest of the one before was lost */
	if (!sodp_is_acked(c->qp) && first)
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

	return c->ack_req && c->last && sodp_is_acked(c->qp) &&
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
enum wresp_fate sodp_wresp_miss(struct wresp_ctx *c,
				const struct sodp_stop *stop)
{
	int ret;

	/* The peer's timer starts anew with what is done, and soon again */
	if (sodp_is_acked(c->qp))
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

/* No receive: the peer comes back after min_rnr_timer */
static enum wresp_fate wresp_rnr(struct wresp_ctx *c)
{
	struct sodp_qp *qp = c->qp;

	/* What waits behind it will come again */
	sodp_wresp_rewind_tail(qp);
	sodp_wresp_flush_ack(qp);
	sodp_qp_count(qp, SODP_CNT_rnr_naks, 1);
	sodp_wresp_ack(qp, SODP_AETH_RNR_NAK | (qp->attr.min_rnr_timer & 31),
		       c->pkt.psn);
	c->resp->nak_sent = true;
	return WRESP_DROP;
}

static enum wresp_fate wresp_no_receive(struct wresp_ctx *c)
{
	return wresp_give_up(c, SODP_E_REM_INV_REQ);
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
			fate = sodp_wresp_miss(c, &stop);
	} while (verdict == SODP_AGAIN && fate == WRESP_NEXT);
	if (likely(!verdict))
		return WRESP_NEXT;
	if (verdict == SODP_AGAIN)
		return fate;
	if (verdict == SODP_RNR)
		return c->qp->wire->service->rules->no_receive(c);
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
	if (!sodp_is_acked(qp))
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
		if (resp->ack_due &&
		    resp->unanswered >= sodp_policy.ack_packets)
			sodp_wresp_flush_ack(qp);
		return WRESP_DONE;
	}
	/* These answers acknowledge all that came before them */
	resp->ack_owed = false;
	resp->ack_due = false;
	resp->unanswered = 0;
	return WRESP_DONE;
}

const struct sodp_wresp_rules sodp_wresp_acked = {
	.unexpected = wresp_repeated_or_gap,
	.refuse = wresp_nak,
	.no_receive = wresp_rnr,
};

const struct sodp_wresp_rules sodp_wresp_silent = {
	.unexpected = wresp_next_message,
	.refuse = wresp_give_up,
	.no_receive = wresp_no_receive,
};

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
void sodp_wresp_fail(struct sodp_qp *qp, enum sodp_verdict verdict, u32 psn)
{
	if (sodp_is_acked(qp)) {
		sodp_wresp_flush_ack(qp);
		sodp_wresp_ack(qp, SODP_AETH_NAK | wresp_nak_codes[verdict],
			       psn);
	}
	sodp_resp_fail(qp, verdict);
}

/* Return: false: the packet stays where it is */
bool sodp_wresp_packet(struct wresp_ctx *c)
{
	enum wresp_fate fate = WRESP_NEXT;
	unsigned int i;

	c->faults = 0;
	c->nr = 1;
	for (i = 0; i < ARRAY_SIZE(wresp_steps) && fate == WRESP_NEXT; i++)
		fate = wresp_steps[i](c);
	if (unlikely(fate == WRESP_REFUSE))
		sodp_wresp_fail(c->qp, c->verdict, c->pkt.psn);
	if (fate == WRESP_DROP)
		sodp_qp_count(c->qp, SODP_CNT_rx_drops, c->nr);
	return fate != WRESP_STAY;
}
