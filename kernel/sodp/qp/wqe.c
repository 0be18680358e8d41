// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The requester's half of one work request: take it from the ring, check it,
 * turn it into a request, hand that to a transport.
 */
#include <linux/nospec.h>

#include "qp/ops.h"
#include "qp/sq.h"
#include "qp/transport.h"

/* Copy SGEs behind the header and add up their lengths */
static enum sodp_verdict wqe_fetch_sges(struct sodp_qp *qp,
					struct sodp_wqe *wqe, const u8 *slot,
					const struct sodp_op *op)
{
	u32 i;

	if (wqe->sqe.flags & SODP_SEND_INLINE) {
		if (!(op->flags & SODP_OP_OUT) ||
		    wqe->sqe.inline_len > qp->cap.max_inline_data) {
			wqe->why = SODP_ERR_SGES;
			return SODP_E_LOC_QP_OP;
		}
		wqe->length = wqe->sqe.inline_len;
		wqe->inline_data = (u8 *)slot + sizeof(struct sodp_sqe);
		wqe->sqe.num_sge = 0;
		return SODP_OK;
	}
	if (wqe->sqe.num_sge > qp->cap.max_send_sge) {
		wqe->why = SODP_ERR_SGES;
		return SODP_E_LOC_QP_OP;
	}
	memcpy(wqe->sge, slot + sizeof(struct sodp_sqe),
	       wqe->sqe.num_sge * sizeof(struct sodp_sge));
	barrier_data(wqe->sge);
	for (i = 0; i < wqe->sqe.num_sge; i++)
		wqe->length += wqe->sge[i].length;
	if (wqe->length > SODP_MAX_MSG)
		return SODP_E_LOC_LEN;
	return SODP_OK;
}

/* The part of a request that depends on the opcode */
static enum sodp_verdict wqe_fill(struct sodp_wqe *wqe,
				  struct sodp_request *req)
{
	const struct sodp_sqe *sqe = &wqe->sqe;

	switch (sqe->opcode) {
	case SODP_WR_ATOMIC_CMP_AND_SWP:
	case SODP_WR_ATOMIC_FETCH_AND_ADD:
		if (wqe->length != sizeof(u64))
			return SODP_E_LOC_LEN;
		req->remote_addr = sqe->atomic.remote_addr;
		req->rkey = sqe->atomic.rkey;
		req->compare = sqe->atomic.compare_add;
		req->operand = sqe->opcode == SODP_WR_ATOMIC_CMP_AND_SWP ?
			       sqe->atomic.swap : sqe->atomic.compare_add;
		break;
	case SODP_WR_ATOMIC_WRITE:
		wqe->length = sizeof(u64);
		req->remote_addr = sqe->atomic_write.remote_addr;
		req->rkey = sqe->atomic_write.rkey;
		req->operand = sqe->atomic_write.value;
		break;
	case SODP_WR_FLUSH:
		/* A RETH says no more; of a whole MR it is not looked at */
		if (sqe->flush.length > U32_MAX &&
		    sqe->flush.level != SODP_FLUSH_MR)
			return SODP_E_LOC_LEN;
		req->remote_addr = sqe->flush.remote_addr;
		req->rkey = sqe->flush.rkey;
		req->flush_length = sqe->flush.length;
		req->flush_type = sqe->flush.type;
		req->flush_level = sqe->flush.level;
		break;
	default:
		req->remote_addr = sqe->rdma.remote_addr;
		req->rkey = sqe->rdma.rkey;
		break;
	}
	req->length = wqe->length;
	req->ready = wqe->length;
	req->last = true;
	return SODP_OK;
}

static u8 wqe_kind(const struct sodp_qp *qp)
{
	if (likely(qp->type == IB_QPT_RC && !qp->user.kernel))
		return SODP_ON_RC;
	if (sodp_is_ud(qp))
		return SODP_ON_UD;
	if (qp->type == IB_QPT_UC)
		return SODP_ON_UC;
	/* What carries a pointer of the kernel is for the kernel alone */
	return qp->user.kernel ? SODP_ON_RC | SODP_ON_KERNEL : SODP_ON_RC;
}

/*
 * Bits and fields without a meaning are not for the application to set: they
 * may have one some day. A provider that does not say that it clears the
 * fields is not asked to.
 */
static bool wqe_is_clean(const struct sodp_qp *qp, const struct sodp_sqe *sqe,
			 const struct sodp_op *op)
{
	if (sqe->flags & ~(SODP_SEND_FENCE | SODP_SEND_SIGNALED |
			   SODP_SEND_SOLICITED | SODP_SEND_INLINE))
		return false;
	if (!qp->strict)
		return true;
	switch (sqe->opcode) {
	case SODP_WR_ATOMIC_CMP_AND_SWP:
	case SODP_WR_ATOMIC_FETCH_AND_ADD:
		return !sqe->atomic.reserved_a0;
	case SODP_WR_ATOMIC_WRITE:
		return !sqe->atomic_write.reserved_a0;
	case SODP_WR_FLUSH:
		return !sqe->flush.reserved_a0;
	default:
		if (op->flags & SODP_OP_RDMA)
			return !sqe->rdma.reserved_a0;
		return !sodp_is_ud(qp) || !sqe->ud.reserved_a0;
	}
}

/**
 * sodp_wqe_fetch() - take a WQE from the ring
 * @qp: the requester
 * @index: of the entry to take
 *
 * The entry is copied once and only the copy is used, but for inline
 * payload, of which nothing is decided on. The WQE is valid afterwards even
 * on error, so that it can be completed with its wr_id.
 *
 * Context: under exec_mutex.
 * Return: SODP_OK, or the error to complete it with.
 */
enum sodp_verdict sodp_wqe_fetch(struct sodp_qp *qp, u32 index)
{
	const u8 *slot = sodp_sq_slot(qp, index);
	struct sodp_wqe *wqe = &qp->req.wqe;
	struct sodp_request *req = &wqe->req;
	enum sodp_verdict verdict = SODP_OK;
	const struct sodp_op *op;
	u32 mtu_shift;

	memcpy(&wqe->sqe, slot, sizeof(wqe->sqe));
	/* The copy must not be re-read from the slot after the checks */
	barrier_data(&wqe->sqe);
	wqe->valid = true;
	wqe->why = 0;
	wqe->length = 0;
	wqe->inline_data = NULL;
	wqe->acked = false;
	wqe->waits = false;
	wqe->fault_ret = 0;
	wqe->result_done = 0;
	if (wqe->sqe.opcode >= SODP_NR_OPS)
		return SODP_E_LOC_QP_OP;
	op = sodp_op_of(array_index_nospec(wqe->sqe.opcode, SODP_NR_OPS));
	if (unlikely(!(op->qps & wqe_kind(qp))))
		return SODP_E_LOC_QP_OP;
	if (unlikely(!wqe_is_clean(qp, &wqe->sqe, op))) {
		wqe->why = SODP_ERR_RESERVED;
		return SODP_E_LOC_QP_OP;
	}
	if (op->flags & SODP_OP_LOCAL)
		return SODP_OK;
	/* IBA 11.2.4.2: it may have none of these outstanding */
	if (unlikely((op->flags & SODP_OP_RD) && !qp->attr.max_rd_atomic)) {
		wqe->why = SODP_ERR_RD_ATOMIC;
		return SODP_E_LOC_QP_OP;
	}
	if (op->flags & (SODP_OP_OUT | SODP_OP_IN))
		verdict = wqe_fetch_sges(qp, wqe, slot, op);
	else
		wqe->sqe.num_sge = 0;	/* whatever the entry says */
	if (verdict)
		return verdict;
	req->opcode = wqe->sqe.opcode;
	req->flags = wqe->sqe.flags & SODP_SEND_SOLICITED;
	req->ex = wqe->sqe.ex;
	req->src_qpn = qp->qpn;
	req->srqn = wqe->sqe.srqn;
	req->done = 0;
	verdict = wqe_fill(wqe, req);
	if (verdict)
		return verdict;
	req->psn = qp->req.psn;
	mtu_shift = qp->attr.path_mtu + 7;
	req->nr_packets = 1;
	if (req->length > 1ULL << mtu_shift)
		req->nr_packets = (req->length + (1ULL << mtu_shift) - 1) >>
				  mtu_shift;
	return SODP_OK;
}

/**
 * sodp_wqe_put_payload() - let go of what sodp_wqe_payload() resolved
 * @payload: the cursor
 *
 * Context: any.
 */
void sodp_wqe_put_payload(struct sodp_cursor *payload)
{
	u32 i;

	for (i = 0; i < payload->nr_segs; i++)
		sodp_seg_put(&payload->segs[i]);
}

/**
 * sodp_wqe_payload() - resolve the SGEs of the WQE in hand
 * @qp: the requester
 * @access: IB_ACCESS_LOCAL_WRITE when they will be written, else 0
 * @payload: result, empty SGEs left out; uses qp->req.segs
 * @buf: describes inline data, if that is what @payload refers to
 *
 * Context: process, under exec_mutex.
 * Return: SODP_OK; an error, with nothing to let go of.
 */
enum sodp_verdict sodp_wqe_payload(struct sodp_qp *qp, u32 access,
				   struct sodp_cursor *payload,
				   struct sodp_buf *buf)
{
	struct sodp_wqe *wqe = &qp->req.wqe;
	enum sodp_verdict verdict;
	u32 i;

	lockdep_assert_held(&qp->req.exec_mutex);
	memset(payload, 0, sizeof(*payload));
	if (wqe->inline_data) {
		buf->addr = wqe->inline_data;
		buf->length = wqe->length;
		payload->bufs = buf;
		payload->nr_bufs = 1;
		return SODP_OK;
	}
	payload->segs = qp->req.segs;
	for (i = 0; i < wqe->sqe.num_sge; i++) {
		const struct sodp_sge *sge = &wqe->sge[i];

		if (!sge->length)
			continue;
		verdict = sodp_key_local(&qp->user, qp->user.pd, sge->lkey,
					 sge->addr, sge->length, access,
					 &payload->segs[payload->nr_segs]);
		if (unlikely(verdict)) {
			wqe->why = payload->segs[payload->nr_segs].why;
			sodp_wqe_put_payload(payload);
			return verdict;
		}
		payload->nr_segs++;
	}
	return SODP_OK;
}

/* What was wrong with memory that a fault could not provide */
static enum sodp_verdict wqe_fault_verdict(const struct sodp_wqe *wqe)
{
	if (!wqe->fault_remote)
		return SODP_E_LOC_PROT;
	return sodp_op_fault_verdict(sodp_op_of(wqe->sqe.opcode),
				     wqe->fault_ret);
}

/* What needs no peer */
static noinline enum sodp_verdict wqe_local(struct sodp_qp *qp)
{
	struct sodp_wqe *wqe = &qp->req.wqe;

	switch (wqe->sqe.opcode) {
	case SODP_WR_LOCAL_INV:
		wqe->why = SODP_ERR_INVALIDATE;
		return sodp_key_invalidate(&qp->user, wqe->sqe.ex, false);
	case SODP_WR_REG_MR:
		wqe->why = SODP_ERR_BIND;
		return sodp_kmem_reg(&qp->user, &wqe->sqe);
	default:
		return sodp_mw_bind(&qp->user, &wqe->sqe);
	}
}

/**
 * sodp_wqe_execute() - carry the current WQE on, as far as it goes
 * @qp: the requester; qp->req.wqe is valid and was fetched without error
 * @budget: bytes that may be moved
 * @stop: filled on SODP_AGAIN
 *
 * Context: process, under exec_mutex.
 * Return: SODP_OK when done; SODP_AGAIN, SODP_RNR, SODP_LOST, SODP_BUDGET,
 * SODP_BUSY; an error to complete it with.
 */
enum sodp_verdict sodp_wqe_execute(struct sodp_qp *qp, u64 *budget,
				   struct sodp_stop *stop)
{
	struct sodp_wqe *wqe = &qp->req.wqe;
	enum sodp_verdict failed = SODP_OK;

	if (unlikely(sodp_op_of(wqe->sqe.opcode)->flags & SODP_OP_LOCAL))
		return wqe_local(qp);
	if (unlikely(wqe->fault_ret)) {
		failed = wqe_fault_verdict(wqe);
		if (failed == SODP_E_LOC_PROT)
			return failed;
	}
	return qp->req.transport->execute(qp, failed, budget, stop);
}
