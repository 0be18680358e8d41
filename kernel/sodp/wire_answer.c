// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the responder sends: acknowledges, results of atomics, READ data, and
 * the same again when a request is repeated. All under resp_mutex.
 */
#include <rdma/ib_mad.h>

#include "ops.h"
#include "wire.h"

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
	n = min(READ_ONCE(qp->page->rq_pi) - qp->rq_ci, qp->rq_depth);
	n = min(n + (qp->recv.valid && !qp->wire->resp.acked), 32768U);
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
	pkt->msn = qp->msn;
	pkt->syndrome = SODP_AETH_ACK | answer_credits(qp);
}

/* A packet of headers only; one that finds no memory is as if lost */
static void answer_send(struct sodp_qp *qp, const struct sodp_pkt *pkt)
{
	struct sodp_burst burst;
	u8 *buf;

	sodp_burst_init(&burst, &qp->wire->path, qp);
	buf = sodp_burst_reserve(&burst, pkt->op->len, 0);
	if (!buf)
		return;
	sodp_burst_commit(&burst, sodp_pkt_build(buf, pkt));
	sodp_burst_send(&burst);
}

/* An XRC target answers with RC opcodes of the XRC kind */
static u8 answer_opcode(const struct sodp_qp *qp, u8 rc_opcode)
{
	if (qp->type != IB_QPT_XRC_TGT)
		return rc_opcode;
	return (rc_opcode & 0x1f) | SODP_BTH_XRC;
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
	struct sodp_pkt pkt;

	lockdep_assert_held(&qp->resp_mutex);
	answer_header(qp, &pkt, answer_opcode(qp, IB_OPCODE_RC_ACKNOWLEDGE),
		      psn);
	pkt.syndrome = syndrome;
	answer_send(qp, &pkt);
	resp->ack_owed = false;
	resp->ack_due = false;
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

	lockdep_assert_held(&qp->resp_mutex);
	if (resp->read.active)
		return;
	if (resp->ack_owed || resp->ack_due)
		sodp_wresp_ack(qp, SODP_AETH_ACK | answer_credits(qp),
			       sodp_psn_add(qp->resp_psn, SODP_PSN_MASK));
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
	if (!data.addr)
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
	read->done = done;
	read->psn = sodp_psn_add(read->psn, 1);
	return SODP_OK;
}

/* The key is held for the slice; an XRC SRQ is needed for its PD only */
static enum sodp_verdict read_key(struct sodp_qp *qp,
				  const struct sodp_read *read,
				  struct sodp_seg *seg)
{
	enum sodp_verdict verdict = SODP_OK;

	if (qp->xrcd)
		verdict = sodp_xrc_enter(qp, read->srqn);
	if (!verdict)
		verdict = sodp_key_remote(qp, read->rkey, read->remote_addr,
					  read->length, IB_ACCESS_REMOTE_READ,
					  seg);
	sodp_xrc_leave(qp);
	return verdict;
}

/**
 * sodp_wresp_read_slice() - send data of the READ being answered
 * @qp: the responder; wire->resp.read is active
 * @budget: bytes that this slice may still move
 * @stop: filled on SODP_AGAIN
 *
 * Context: process, under resp_mutex.
 * Return: SODP_OK: all sent; SODP_BUDGET: more to do, or the stack has too
 * much of this QP already; SODP_AGAIN; SODP_E_REM_ACCESS: the key is gone.
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

	lockdep_assert_held(&qp->resp_mutex);
	if (!read->length) {
		sodp_wresp_answer_empty(qp, read->psn);
		read->active = false;
		return SODP_OK;
	}
	verdict = read_key(qp, read, &seg);
	if (verdict)
		return verdict;
	remote.segs = &seg;
	sodp_burst_init(&burst, &wire->path, qp);
	while (!verdict && read->done < read->length) {
		if (!*budget ||
		    atomic_read(&wire->tx_bytes) > SODP_TX_MAX_BYTES)
			verdict = SODP_BUDGET;
		else
			verdict = read_packet(qp, &burst, &remote, budget,
					      stop);
	}
	sodp_burst_send(&burst);
	sodp_seg_put(&seg);
	if (!verdict)
		read->active = false;
	return verdict;
}

/**
 * sodp_wresp_keep() - remember a READ or atomic for duplicates of it
 * @qp: the responder
 * @req: carried out, or a READ about to be answered
 *
 * The peer has at most max_dest_rd_atomic of them unanswered, and repeats
 * no others: the ring needs no more entries.
 *
 * Context: process, under resp_mutex.
 */
void sodp_wresp_keep(struct sodp_qp *qp, const struct sodp_request *req)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	struct sodp_resource *res;

	lockdep_assert_held(&qp->resp_mutex);
	if (!resp->res_size)
		return;
	res = &resp->res[resp->res_next];
	resp->res_next = (resp->res_next + 1) % resp->res_size;
	res->opcode = req->opcode;
	res->valid = true;
	res->first_psn = req->psn;
	res->last_psn = sodp_psn_add(req->psn, req->nr_packets - 1);
	res->rkey = req->rkey;
	res->remote_addr = req->remote_addr;
	res->length = req->length;
	res->orig = req->result;
}

static struct sodp_resource *answer_find(struct sodp_wire_resp *resp, u32 psn)
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

/* A repeated READ may ask for the rest of the first one, and for no more */
static bool replay_read(struct sodp_qp *qp, const struct sodp_resource *res,
			const struct sodp_pkt *pkt)
{
	u32 mtu = ib_mtu_enum_to_int(qp->attr.path_mtu);
	u64 off = (u64)sodp_psn_diff(pkt->psn, res->first_psn) * mtu;
	struct sodp_read *read = &qp->wire->resp.read;

	if (pkt->rkey != res->rkey ||
	    pkt->remote_addr != res->remote_addr + off ||
	    off > res->length || pkt->dma_len > res->length - off)
		return false;
	read->active = true;
	read->psn = pkt->psn;
	read->rkey = pkt->rkey;
	read->srqn = pkt->srqn;
	read->remote_addr = pkt->remote_addr;
	read->length = pkt->dma_len;
	read->done = 0;
	return true;
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
	const struct sodp_resource *res;

	if (pkt->op->wr != SODP_WR_RDMA_READ)
		return false;
	res = answer_find(&qp->wire->resp, pkt->psn);
	return res && res->opcode == SODP_WR_RDMA_READ;
}

/**
 * sodp_wresp_replay() - answer a request that came before: IBA 9.7.5.1.5
 * @qp: the responder
 * @pkt: a packet whose PSN is older than the one expected
 *
 * SENDs and WRITEs are acknowledged, not carried out again. An atomic's
 * result is repeated. A READ is read again, under its key as it is now.
 *
 * Context: process, under resp_mutex.
 * Return: false: nothing is known of it, it is dropped.
 */
bool sodp_wresp_replay(struct sodp_qp *qp, const struct sodp_pkt *pkt)
{
	struct sodp_wire_resp *resp = &qp->wire->resp;
	struct sodp_resource *res;

	lockdep_assert_held(&qp->resp_mutex);
	switch (pkt->op->wr) {
	case SODP_WR_RDMA_READ:
		res = answer_find(resp, pkt->psn);
		return res && res->opcode == SODP_WR_RDMA_READ &&
		       replay_read(qp, res, pkt);
	case SODP_WR_ATOMIC_CMP_AND_SWP:
	case SODP_WR_ATOMIC_FETCH_AND_ADD:
		res = answer_find(resp, pkt->psn);
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
