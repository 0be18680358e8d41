// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the responder sends: acknowledges, results of atomics, READ data. All
 * under resp_mutex.
 */
#include <rdma/ib_mad.h>

#include "qp/ops.h"
#include "xport/rc/wire.h"

/*
 * Receives left, for the peer to count down: IBA 9.7.7.2 and table 45, which
 * has 0, 1, 2, 3, 4, 6, 8, 12, 16 ... up to 32768. A receive in hand belongs
 * to a message that MSN does not count yet, unless this is its answer. Those
 * of an SRQ are promised to nobody.
 */
static u8 answer_credits(const struct sodp_qp *qp)
{
	u32 n, code;

	if (qp->srq || qp->xrcd)
		return SODP_AETH_NO_CREDITS;
	/* What the application wrote there is checked when it is taken */
	n = min(READ_ONCE(qp->page->rq_pi) - qp->resp.rq_ci, qp->resp.rq_depth);
	n = min(n + (qp->resp.recv.valid && !qp->wire->resp.acked), 32768U);
	if (n < 4)
		return n;
	code = 2 * ilog2(n);
	/* The half step between two powers of two */
	return n >= 3U << (ilog2(n) - 1) ? code + 1 : code;
}

/* Packets go to the QP's peer under its number and P_Key */
static void answer_header(struct sodp_qp *qp, struct sodp_pkt *pkt, u8 opcode,
			  u32 psn)
{
	memset(pkt, 0, sizeof(*pkt));
	pkt->opcode = opcode;
	pkt->op = &sodp_wire_ops[opcode];
	pkt->migrated = true;
	pkt->pkey = IB_DEFAULT_PKEY_FULL;
	pkt->qpn = qp->attr.dest_qp_num;
	pkt->psn = psn & SODP_PSN_MASK;
	pkt->msn = qp->resp.msn;
	pkt->syndrome = SODP_AETH_ACK | answer_credits(qp);
}

/* A packet of headers only. Return: false: it was refused, as if lost */
static bool answer_send(struct sodp_qp *qp, const struct sodp_pkt *pkt)
{
	struct sodp_burst burst;
	u8 *buf;

	sodp_burst_init(&burst, &qp->wire->path, &qp->wire->answers);
	buf = sodp_burst_reserve(&burst, pkt->op->len, 0);
	if (!buf)
		return false;
	sodp_burst_commit(&burst, sodp_pkt_build(buf, pkt));
	sodp_burst_send(&burst);
	return !burst.refused;
}

/* An XRC target answers with RC opcodes of the XRC kind */
static u8 answer_opcode(const struct sodp_qp *qp, u8 rc_opcode)
{
	return qp->wire->service->opcodes | rc_opcode;
}

static bool answer_ack(struct sodp_qp *qp, u8 syndrome, u32 psn)
{
	struct sodp_pkt pkt;

	answer_header(qp, &pkt, answer_opcode(qp, IB_OPCODE_RC_ACKNOWLEDGE),
		      psn);
	pkt.syndrome = syndrome;
	return answer_send(qp, &pkt);
}

/**
 * sodp_wresp_ack() - send an acknowledge or a NAK
 * @qp: the responder
 * @syndrome: of the AETH
 * @psn: what is acknowledged up to, or what is refused
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_ack(struct sodp_qp *qp, u8 syndrome, u32 psn)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;

	lockdep_assert_held(&qp->resp.resp_mutex);
	resp->ack_owed = false;
	resp->unanswered = 0;
	/* For want of an acknowledge the peer would send all of it again */
	resp->ack_due = !answer_ack(qp, syndrome, psn) &&
			(syndrome & ~SODP_AETH_VALUE_MASK) == SODP_AETH_ACK;
	if (unlikely(resp->ack_due))
		sodp_wresp_hold(qp, sodp_policy.refused_ns);
}

/**
 * sodp_wresp_ack_alive() - acknowledge what the peer was answered before
 * @qp: the responder
 * @psn: the newest one that was answered
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_ack_alive(struct sodp_qp *qp, u32 psn)
{
	lockdep_assert_held(&qp->resp.resp_mutex);
	answer_ack(qp, SODP_AETH_ACK | answer_credits(qp), psn);
}

/**
 * sodp_wresp_flush_ack() - acknowledge all that was done and not answered
 * @qp: the responder
 *
 * Not before the data of a READ: the peer would take it for lost.
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_flush_ack(struct sodp_qp *qp)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;

	lockdep_assert_held(&qp->resp.resp_mutex);
	if (resp->read.active)
		return;
	if (resp->ack_owed || resp->ack_due)
		sodp_wresp_ack(qp, SODP_AETH_ACK | answer_credits(qp),
			       sodp_psn_add(qp->resp.psn, SODP_PSN_MASK));
}

/**
 * sodp_wresp_answer_empty() - answer a FLUSH, ATOMIC WRITE or READ of 0 bytes
 * @qp: the responder
 * @psn: of the request
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_answer_empty(struct sodp_qp *qp, u32 psn)
{
	struct sodp_pkt pkt;

	answer_header(qp, &pkt, answer_opcode(qp,
					      IB_OPCODE_RC_RDMA_READ_RESPONSE_ONLY),
		      psn);
	answer_send(qp, &pkt);
}

void sodp_wresp_answer_atomic(struct sodp_qp *qp, u32 psn, u64 orig)
{
	struct sodp_pkt pkt;

	answer_header(qp, &pkt,
		      answer_opcode(qp, IB_OPCODE_RC_ATOMIC_ACKNOWLEDGE), psn);
	pkt.orig = orig;
	answer_send(qp, &pkt);
}

static u8 read_opcode(const struct sodp_read *read, u32 n)
{
	bool first = !read->done;
	bool last = read->done + n == read->length;

	if (first)
		return last ? IB_OPCODE_RC_RDMA_READ_RESPONSE_ONLY :
			      IB_OPCODE_RC_RDMA_READ_RESPONSE_FIRST;
	return last ? IB_OPCODE_RC_RDMA_READ_RESPONSE_LAST :
		      IB_OPCODE_RC_RDMA_READ_RESPONSE_MIDDLE;
}

/* One response packet; *read moves on only when it is complete */
static enum sodp_verdict read_packet(struct sodp_qp *qp,
				     struct sodp_burst *burst,
				     struct sodp_cursor *remote, u64 *budget,
				     struct sodp_stop *stop)
{
	struct sodp_read *read = &qp->wire->resp.read;
	u32 mtu = ib_mtu_enum_to_int(qp->attr.path_mtu);
	u64 left = read->length - read->done;
	u32 n = min_t(u64, left, mtu);
	struct sodp_cursor payload = { .nr_bufs = 1, .base = read->done };
	enum sodp_verdict verdict;
	struct sodp_buf data;
	struct sodp_pkt pkt;
	u64 done = read->done;
	u32 len;

	if (unlikely(!sodp_kmem_exists(remote->segs, done, n)))
		return SODP_E_REM_ACCESS;
	answer_header(qp, &pkt, answer_opcode(qp, read_opcode(read, n)),
		      read->psn);
	pkt.length = n;
	len = pkt.op->len + n;
	data.addr = sodp_burst_reserve(burst, len, left - n);
	if (!data.addr || unlikely(burst->refused))
		return SODP_BUDGET;
	data.addr += sodp_pkt_build(data.addr, &pkt);
	data.length = n;
	payload.bufs = &data;
	/* A packet is never cut by the slice's budget */
	*budget = max_t(u64, *budget, n);
	verdict = sodp_move(&payload, remote, done + n, read->length, &done,
			    budget, stop, false);
	if (verdict)
		return verdict;
	sodp_burst_commit(burst, len);
	if (burst->nr == 1) {
		read->skb_psn = read->psn;
		read->skb_done = read->done;
	}
	read->done = done;
	read->psn = sodp_psn_add(read->psn, 1);
	sodp_wresp_pace(qp, n);
	return SODP_OK;
}

/* The key is held for the slice; an XRC SRQ is needed for its PD only */
static enum sodp_verdict read_key(struct sodp_qp *qp,
				  const struct sodp_read *read,
				  struct sodp_seg *seg)
{
	struct sodp_user user = qp->user;
	struct sodp_xsrq *xsrq = NULL;
	enum sodp_verdict verdict;

	if (qp->xrcd) {
		xsrq = sodp_xrc_get(qp->xrcd, read->srqn);
		if (!xsrq)
			return SODP_E_REM_INV_REQ;
		user = sodp_qp_lent_user(qp, xsrq);
	}
	verdict = sodp_key_remote(&user, read->rkey, read->remote_addr,
				  read->length, IB_ACCESS_REMOTE_READ, seg);
	if (xsrq)
		sodp_xrc_put(xsrq);
	return verdict;
}

/**
 * sodp_wresp_read_slice() - send data of the READ being answered
 * @qp: the responder; wire->resp.read is active
 * @budget: bytes that this slice may still move
 * @stop: filled on SODP_AGAIN
 *
 * Context: process, under resp_mutex.
 * Return: SODP_OK: all sent, and it is not active any more, or it has been
 * asked for again; SODP_BUDGET: more to do, or the stack has too
 * much of this QP already; SODP_AGAIN; SODP_E_REM_ACCESS: the key is gone;
 * SODP_E_REM_OP: the memory has an error.
 */
enum sodp_verdict sodp_wresp_read_slice(struct sodp_qp *qp, u64 *budget,
					struct sodp_stop *stop)
{
	struct sodp_wire *wire = qp->wire;
	struct sodp_read *read = &wire->resp.read;
	struct sodp_cursor remote = { .nr_segs = 1 };
	struct sodp_seg seg = {};
	enum sodp_verdict verdict;
	struct sodp_burst burst;

	lockdep_assert_held(&qp->resp.resp_mutex);
	if (!read->length) {
		sodp_wresp_answer_empty(qp, read->psn);
		read->active = false;
		return SODP_OK;
	}
	verdict = read_key(qp, read, &seg);
	if (verdict)
		return verdict;
	remote.segs = &seg;
	sodp_burst_init(&burst, &wire->path, &wire->answers);
	while (!verdict && read->done < read->length &&
	       !sodp_noted(&wire->resp, SODP_NOTE_AGAIN)) {
		if (!*budget || sodp_wresp_held(qp))
			verdict = SODP_BUDGET;
		else
			verdict = read_packet(qp, &burst, &remote, budget,
					      stop);
	}
	sodp_burst_send(&burst);
	sodp_seg_put(&seg);
	if (unlikely(burst.refused)) {
		read->psn = read->skb_psn;
		read->done = read->skb_done;
		sodp_wresp_hold(qp, sodp_policy.refused_ns);
		if (!verdict)
			verdict = SODP_BUDGET;
	}
	if (!verdict && read->done == read->length)
		read->active = false;
	return verdict;
}
