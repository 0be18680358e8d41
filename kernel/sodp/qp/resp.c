// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The responder: a request goes through a table of steps, each of which
 * passes it on or says why not. Where the request came from is not known
 * here. A request that stops at a miss is given again and finds its place.
 */
#include <linux/bug.h>

#include "compat_rdma.h"
#include "qp/ops.h"

/**
 * struct resp_ctx - one pass of a request through the steps
 * @qp: the responder, resp_mutex held
 * @req: the request
 * @op: its opcode's properties
 * @payload: data of the requester, or its place for data; may be NULL
 * @budget: bytes this pass may still move
 * @stop: filled when a step misses a page
 * @remote: memory that the request names, held from check_key on
 * @xsrq: of an XRC target: the SRQ that the request names, held
 * @user: whose keys it may use: the QP, or
 * @lent: of an XRC target: the QP with the PD of that SRQ
 */
struct resp_ctx {
	struct sodp_qp *qp;
	struct sodp_request *req;
	const struct sodp_op *op;
	struct sodp_cursor *payload;
	u64 *budget;
	struct sodp_stop *stop;
	struct sodp_seg remote;
	struct sodp_xsrq *xsrq;
	const struct sodp_user *user;
	struct sodp_user lent;
};

/* A FLUSH needs the right for each of the things that it asks for */
static u32 resp_flush_access(const struct sodp_request *req)
{
	u32 need = 0;

	if (req->flush_type & SODP_FLUSH_GLOBAL)
		need |= SODP_ACCESS_FLUSH_GLOBAL;
	if (req->flush_type & SODP_FLUSH_PERSISTENT)
		need |= SODP_ACCESS_FLUSH_PERSISTENT;
	return need;
}

/* IBA 9.7.4: opcode, alignment, and what the QP was set up to take */
static enum sodp_verdict resp_check_op(struct resp_ctx *c)
{
	u32 need = c->op->access;

	if (unlikely(c->req->opcode == SODP_WR_FLUSH))
		need = resp_flush_access(c->req);
	if (unlikely(need & ~c->qp->attr.qp_access_flags))
		return SODP_E_REM_INV_REQ;
	if ((c->op->flags & SODP_OP_ATOMIC) && (c->req->remote_addr & 7))
		return SODP_E_REM_INV_REQ;
	if (unlikely((c->op->flags & SODP_OP_RD) &&
		     !c->qp->attr.max_dest_rd_atomic))
		return SODP_E_REM_INV_REQ;
	return SODP_OK;
}

/* The SRQ also gives the PD that keys are checked with: IBA A14 */
static enum sodp_verdict resp_get_srq(struct resp_ctx *c)
{
	if (likely(!c->qp->xrcd))
		return SODP_OK;
	c->xsrq = sodp_xrc_get(c->qp->xrcd, c->req->srqn);
	if (unlikely(!c->xsrq))
		return SODP_E_REM_INV_REQ;
	c->lent = sodp_qp_lent_user(c->qp, c->xsrq);
	c->user = &c->lent;
	return SODP_OK;
}

static enum sodp_verdict resp_get_recv(struct resp_ctx *c)
{
	if (!(c->op->flags & SODP_OP_RECV))
		return SODP_OK;
	return sodp_rq_fetch(c->qp, c->xsrq);
}

static enum sodp_verdict resp_check_length(struct resp_ctx *c)
{
	if ((c->op->flags & (SODP_OP_RECV | SODP_OP_RDMA)) != SODP_OP_RECV)
		return SODP_OK;
	if (likely(c->req->length <= c->qp->resp.recv.length))
		return SODP_OK;
	c->qp->resp.recv.fail_status = IB_WC_LOC_LEN_ERR;
	c->qp->resp.recv.fail_why = SODP_ERR_TOO_LONG;
	return SODP_E_REM_INV_REQ;
}

static enum sodp_verdict resp_check_flush(struct resp_ctx *c)
{
	struct sodp_request *req = c->req;
	u64 addr = req->remote_addr;
	u64 length = req->flush_length;
	struct sodp_key *key;

	if (!SODP_ACCESS_FLUSH_GLOBAL || !req->flush_type ||
	    req->flush_level > SODP_FLUSH_MR)
		return SODP_E_REM_INV_REQ;
	/* Persistence is a right that no MR here was given */
	if (req->flush_type & ~SODP_FLUSH_GLOBAL)
		return SODP_E_REM_ACCESS;
	if (req->flush_level == SODP_FLUSH_MR) {
		/* The whole MR: address and length are not looked at */
		key = sodp_key_get(c->qp->dev, req->rkey);
		if (!key)
			return SODP_E_REM_ACCESS;
		addr = key->iova;
		length = 0;
		sodp_key_put(key);
	}
	return sodp_key_remote(c->user, req->rkey, addr, length,
			       SODP_ACCESS_FLUSH_GLOBAL, &c->remote);
}

/* What this pass may touch of what the key grants */
static bool resp_exists(const struct resp_ctx *c)
{
	const struct sodp_request *req = c->req;
	u64 done = req->done;

	if (c->op->flags & SODP_OP_ATOMIC)
		return sodp_kmem_exists(&c->remote, 0, req->length);
	if (req->ready <= done)
		return true;
	return sodp_kmem_exists(&c->remote, done,
				min(req->ready - done, *c->budget));
}

/* As in IBA, a READ or WRITE of no bytes is not checked against its key */
static enum sodp_verdict resp_check_key(struct resp_ctx *c)
{
	enum sodp_verdict verdict;

	if (!(c->op->flags & SODP_OP_RDMA))
		return SODP_OK;
	if (unlikely(c->req->opcode == SODP_WR_FLUSH))
		return resp_check_flush(c);
	if (!c->req->length)
		return SODP_OK;
	verdict = sodp_key_remote(c->user, c->req->rkey, c->req->remote_addr,
				  c->req->length, c->op->access, &c->remote);
	if (unlikely(verdict))
		c->qp->resp.recv.fail_why = c->remote.why;
	else if (unlikely(!resp_exists(c)))
		verdict = SODP_E_REM_ACCESS;
	return verdict;
}

/* A receive belongs to the domain of the queue that it was posted to */
static const struct ib_pd *resp_recv_pd(const struct resp_ctx *c)
{
	return unlikely(c->qp->srq) ? c->qp->srq->base_srq.pd : c->user->pd;
}

/* Place a SEND's payload in the receive's SGEs */
static enum sodp_verdict resp_do_send(struct resp_ctx *c)
{
	const struct ib_pd *pd = resp_recv_pd(c);
	struct sodp_recv *recv = &c->qp->resp.recv;
	struct sodp_seg *segs = c->qp->resp.segs;
	struct sodp_cursor dst = { .segs = segs };
	enum sodp_verdict verdict = SODP_OK;
	u64 left = c->req->length;
	u32 i;

	for (i = 0; i < recv->num_sge && left; i++) {
		u32 n = min_t(u64, recv->sge[i].length, left);

		if (!n)
			continue;
		verdict = sodp_key_local(c->user, pd, recv->sge[i].lkey,
					 recv->sge[i].addr, n,
					 IB_ACCESS_LOCAL_WRITE,
					 &segs[dst.nr_segs]);
		if (unlikely(verdict)) {
			recv->fail_status = IB_WC_LOC_PROT_ERR;
			recv->fail_why = segs[dst.nr_segs].why;
			verdict = SODP_E_REM_OP;
			goto out_put;
		}
		dst.nr_segs++;
		left -= n;
	}
	verdict = sodp_move(&dst, c->payload, c->req->ready, c->req->length,
			    &c->req->done, c->budget, c->stop, true);
out_put:
	for (i = 0; i < dst.nr_segs; i++)
		sodp_seg_put(&segs[i]);
	return verdict;
}

static enum sodp_verdict resp_do_atomic(struct resp_ctx *c)
{
	static const enum odp_atomic_op map[SODP_NR_OPS] = {
		[SODP_WR_ATOMIC_CMP_AND_SWP] = ODP_ATOMIC_CAS,
		[SODP_WR_ATOMIC_FETCH_AND_ADD] = ODP_ATOMIC_FAA,
		[SODP_WR_ATOMIC_WRITE] = ODP_ATOMIC_STORE,
	};
	struct sodp_request *req = c->req;
	int ret;

	if (unlikely(!c->remote.region))
		return sodp_kmem_atomic(&c->remote, map[req->opcode],
					req->operand, req->compare,
					&req->result);
	ret = odp_atomic(c->remote.region, c->remote.va, map[req->opcode],
			 req->operand, req->compare, &req->result,
			 &c->stop->miss);
	if (likely(!ret))
		return SODP_OK;
	if (ret != -EAGAIN)
		return SODP_E_REM_OP;
	c->stop->remote = true;
	sodp_stop_hold(c->stop, &c->remote);
	return SODP_AGAIN;
}

static enum sodp_verdict resp_execute(struct resp_ctx *c)
{
	struct sodp_cursor remote = { .segs = &c->remote, .nr_segs = 1 };
	struct sodp_request *req = c->req;

	if (c->op->flags & SODP_OP_ATOMIC)
		return resp_do_atomic(c);
	if (!(c->op->flags & SODP_OP_RDMA))
		return resp_do_send(c);
	if (req->opcode == SODP_WR_FLUSH) {
		/* Memory of a host is coherent: order is all there is to do */
		smp_mb();
		return SODP_OK;
	}
	if (c->op->flags & SODP_OP_OUT)
		return sodp_move(&remote, c->payload, req->ready, req->length,
				 &req->done, c->budget, c->stop, true);
	if (!c->payload)
		return SODP_OK;
	return sodp_move(c->payload, &remote, req->ready, req->length,
			 &req->done, c->budget, c->stop, false);
}

static enum sodp_verdict resp_invalidate(struct resp_ctx *c)
{
	enum sodp_verdict verdict;
	u32 i;

	if (likely(c->req->opcode != SODP_WR_SEND_WITH_INV))
		return SODP_OK;
	/* All is copied; one of these might be what is to be invalidated */
	for (i = 0; i < c->payload->nr_segs; i++)
		sodp_seg_put(&c->payload->segs[i]);
	verdict = sodp_key_invalidate(c->user, c->req->ex, true);
	if (verdict > SODP_BUSY) {
		c->qp->resp.recv.fail_status = IB_WC_LOC_ACCESS_ERR;
		c->qp->resp.recv.fail_why = SODP_ERR_INVALIDATE;
	}
	return verdict;
}

/* Apart, for those that take no receive: the entry is cleared at the start */
static noinline void resp_complete_recv(struct resp_ctx *c)
{
	struct sodp_request *req = c->req;
	struct sodp_qp *qp = c->qp;
	struct sodp_cqe cqe = {};

	cqe.opcode = c->op->flags & SODP_OP_RDMA ?
		     SODP_WC_RECV_RDMA_WITH_IMM : SODP_WC_RECV;
	cqe.byte_len = req->length;
	cqe.src_qp = req->src_qpn;
	if (req->opcode == SODP_WR_SEND_WITH_IMM ||
	    req->opcode == SODP_WR_RDMA_WRITE_WITH_IMM)
		cqe.flags = SODP_WC_WITH_IMM;
	else if (req->opcode == SODP_WR_SEND_WITH_INV)
		cqe.flags = SODP_WC_WITH_INV;
	if (cqe.flags)
		cqe.ex = req->ex;
	if (req->grh)
		cqe.flags |= SODP_WC_GRH;
	cqe.sl = req->sl;
	if (req->executed)
		req->executed(req);
	/* For kernel consumers only, applications are told nothing of it */
	cqe.vlan = qp->user.kernel ? req->vlan : 0;
	sodp_rq_complete(qp, c->xsrq, &cqe,
			 req->flags & SODP_SEND_SOLICITED);
}

static enum sodp_verdict resp_complete(struct resp_ctx *c)
{
	struct sodp_request *req = c->req;
	struct sodp_qp *qp = c->qp;

	/* Pairs with the READ_ONCE() of who does not have the mutex */
	WRITE_ONCE(qp->resp.psn, sodp_psn_add(qp->resp.psn, req->nr_packets));
	if (!req->last)
		return SODP_OK;
	qp->resp.msn = sodp_psn_add(qp->resp.msn, 1);
	/* The peer knows of the connection, maybe before its CM has said so */
	if (unlikely(!qp->resp.comm_est)) {
		qp->resp.comm_est = true;
		if (READ_ONCE(qp->state) == IB_QPS_RTR && !sodp_is_ud(qp))
			sodp_qp_event(qp, IB_EVENT_COMM_EST);
	}
	sodp_qp_count(qp, SODP_CNT_rx_requests, 1);
	sodp_qp_count(qp, SODP_CNT_rx_bytes, req->length);
	if (c->op->flags & SODP_OP_RECV)
		resp_complete_recv(c);
	return SODP_OK;
}

struct resp_step {
	const char *name;
	enum sodp_verdict (*run)(struct resp_ctx *c);
};

static const struct resp_step resp_steps[] = {
	{ "check_op", resp_check_op },
	{ "get_srq", resp_get_srq },
	{ "get_recv", resp_get_recv },
	{ "check_length", resp_check_length },
	{ "check_key", resp_check_key },
	{ "execute", resp_execute },
	{ "invalidate", resp_invalidate },
	{ "complete", resp_complete },
};

/**
 * sodp_resp_request() - carry a request out, as far as it goes
 * @qp: the responder, in a state that takes requests, PSN checked
 * @req: the request; req->done says how far earlier passes got
 * @payload: data of the requester, or place for data; NULL with a READ whose
 *	data the caller will fetch itself once this has allowed it
 * @budget: bytes that may be moved
 * @stop: filled on SODP_AGAIN
 *
 * Context: process, under resp_mutex.
 * Return: SODP_OK when done and completed; SODP_AGAIN; SODP_BUDGET; SODP_BUSY;
 * SODP_RNR; an error for which the caller calls sodp_resp_fail().
 */
enum sodp_verdict sodp_resp_request(struct sodp_qp *qp,
				    struct sodp_request *req,
				    struct sodp_cursor *payload, u64 *budget,
				    struct sodp_stop *stop)
{
	struct resp_ctx c = {
		.qp = qp,
		.req = req,
		.op = sodp_op_of(req->opcode),
		.payload = payload,
		.budget = budget,
		.stop = stop,
		.user = &qp->user,
	};
	enum sodp_verdict verdict = SODP_OK;
	unsigned int i;

	lockdep_assert_held(&qp->resp.resp_mutex);
	for (i = 0; i < ARRAY_SIZE(resp_steps) && !verdict; i++)
		verdict = resp_steps[i].run(&c);
	sodp_seg_put(&c.remote);
	if (unlikely(c.xsrq))
		sodp_xrc_put(c.xsrq);
	if (unlikely(verdict >= SODP_E_REM_INV_REQ))
		ibdev_dbg(&qp->dev->base_dev, "QP %#x: %s refused at %s\n",
			  qp->qpn, c.op->name, resp_steps[i - 1].name);
	return verdict;
}

/* What a NAK does to the responder: IBA 9.9.3, class C and class E errors */
static const struct resp_nak {
	enum ib_event_type event;	/* 0: the completion tells it all */
	enum sodp_counter counter;
	u8 recv_status;			/* where no step said better */
	u8 why;				/* likewise */
} resp_naks[SODP_VERDICTS] = {
	[SODP_E_REM_INV_REQ] = { IB_EVENT_QP_REQ_ERR,
				 SODP_CNT_invalid_request_naks,
				 IB_WC_REM_INV_REQ_ERR, SODP_ERR_REQUEST },
	[SODP_E_REM_ACCESS] = { IB_EVENT_QP_ACCESS_ERR, SODP_CNT_access_naks,
				IB_WC_LOC_ACCESS_ERR, SODP_ERR_PAGE },
	[SODP_E_REM_OP] = { 0, SODP_CNT_operation_naks, IB_WC_LOC_PROT_ERR,
			    SODP_ERR_PAGE },
};

/**
 * sodp_resp_fail() - the responder's side of a NAK
 * @qp: the responder
 * @verdict: SODP_E_REM_*
 *
 * Completes the receive in hand with an error, moves the QP to the error
 * state and raises the event; both queues are flushed by sq_work.
 *
 * Context: process, under resp_mutex.
 */
void sodp_resp_fail(struct sodp_qp *qp, enum sodp_verdict verdict)
{
	const struct resp_nak *nak = &resp_naks[verdict];
	struct sodp_cqe cqe = { .opcode = SODP_WC_RECV };

	lockdep_assert_held(&qp->resp.resp_mutex);
	sodp_qp_count(qp, nak->counter, 1);
	if (qp->resp.recv.valid) {
		cqe.status = qp->resp.recv.fail_status ? : nak->recv_status;
		cqe.vendor_err = qp->resp.recv.fail_why ? : nak->why;
		sodp_rq_complete(qp, NULL, &cqe, true);
	}
	if (!sodp_qp_set_error(qp))
		return;
	if (nak->event)
		sodp_qp_event(qp, nak->event);
	sodp_qp_kick(qp);
}

/**
 * sodp_rnr_ns() - how long the responder asks to be left alone
 * @qp: the responder
 *
 * Return: nanoseconds.
 */
u64 sodp_rnr_ns(struct sodp_qp *qp)
{
	sodp_qp_count(qp, SODP_CNT_rnr_naks, 1);
	return sodp_rnr_code_ns(qp->attr.min_rnr_timer);
}
