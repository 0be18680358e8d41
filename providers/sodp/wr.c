// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * wr.c - ibv_wr_*: send requests built call by call
 *
 * A batch runs from wr_start, which takes the lock of the send queue, to
 * wr_complete or wr_abort. Builders write straight into the next slot. The
 * first error is remembered, and what follows it goes into a scratch entry
 * that nobody reads, so that no call but wr_complete has to report anything.
 */
#include <errno.h>
#include <stdlib.h>

#include "sodp.h"

#define WR_FLAGS (IBV_SEND_FENCE | IBV_SEND_SIGNALED | IBV_SEND_SOLICITED)

/* What each transport can do: send_ops_flags and the setters */
#define OPS_SEND (IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM)
#define OPS_UD	 OPS_SEND
#define OPS_UC                                                                 \
	(OPS_SEND | IBV_QP_EX_WITH_RDMA_WRITE |                          \
	 IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | IBV_QP_EX_WITH_LOCAL_INV | \
	 IBV_QP_EX_WITH_BIND_MW)
#define OPS_RC_NO_FLUSH                      \
	(OPS_UC | IBV_QP_EX_WITH_SEND_WITH_INV | IBV_QP_EX_WITH_RDMA_READ | \
	 IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP | \
	 IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD | IBV_QP_EX_WITH_ATOMIC_WRITE)
#if defined(SODP_SRC_HAS_NO_WR_FLUSH) || defined(SODP_LIB_HAS_NO_WR_FLUSH)
#define OPS_RC OPS_RC_NO_FLUSH
#else
#define SODP_WR_FLUSH_OP 1
#define OPS_RC		 (OPS_RC_NO_FLUSH | IBV_QP_EX_WITH_FLUSH)
#endif

static void wr_fail(struct sodp_qp *qp, int err)
{
	if (!qp->batch.err)
		qp->batch.err = err;
	qp->batch.sqe = qp->batch.scratch;
}

/* The next slot with what every opcode has, or the scratch entry */
static inline struct sodp_sqe *wr_next(struct ibv_qp_ex *ibqp, uint8_t opcode)
{
	struct sodp_qp *qp = to_sodp_qp_ex(ibqp);
	struct sodp_batch *batch = &qp->batch;
	struct sodp_sqe *sqe;
	int ret;

	if (unlikely(batch->err))
		return batch->sqe;

	if (unlikely(batch->pi - qp->sq.ci >= qp->sq.limit)) {
		ret = sodp_sq_full(qp, batch->pi);
		if (ret) {
			wr_fail(qp, ret);
			return batch->sqe;
		}
	}

	sqe = sodp_sq_slot(&qp->sq, batch->pi++);
	sqe->wr_id = ibqp->wr_id;
	sqe->opcode = opcode;
	sqe->num_sge = 0;
	sqe->flags = (ibqp->wr_flags & WR_FLAGS) | qp->sq.sig_flag;
	batch->sqe = sqe;
	return sqe;
}

static inline struct sodp_sqe *wr_rdma(struct ibv_qp_ex *ibqp, uint8_t opcode,
				       uint32_t rkey, uint64_t remote_addr)
{
	struct sodp_sqe *sqe = wr_next(ibqp, opcode);

	sqe->rdma.remote_addr = remote_addr;
	sqe->rdma.rkey = rkey;
	sqe->rdma.reserved_a0 = 0;
	return sqe;
}

static void wr_rdma_write(struct ibv_qp_ex *ibqp, uint32_t rkey,
			  uint64_t remote_addr)
{
	wr_rdma(ibqp, SODP_WR_RDMA_WRITE, rkey, remote_addr);
}

static void wr_rdma_write_imm(struct ibv_qp_ex *ibqp, uint32_t rkey,
			      uint64_t remote_addr, __be32 imm_data)
{
	struct sodp_sqe *sqe;

	sqe = wr_rdma(ibqp, SODP_WR_RDMA_WRITE_WITH_IMM, rkey, remote_addr);
	sqe->ex = (uint32_t)imm_data;
}

static void wr_rdma_read(struct ibv_qp_ex *ibqp, uint32_t rkey,
			 uint64_t remote_addr)
{
	wr_rdma(ibqp, SODP_WR_RDMA_READ, rkey, remote_addr);
}

static void wr_atomic(struct ibv_qp_ex *ibqp, uint8_t opcode, uint32_t rkey,
		      uint64_t remote_addr, uint64_t compare_add, uint64_t swap)
{
	struct sodp_sqe *sqe = wr_next(ibqp, opcode);

	sqe->atomic.remote_addr = remote_addr;
	sqe->atomic.compare_add = compare_add;
	sqe->atomic.swap = swap;
	sqe->atomic.rkey = rkey;
	sqe->atomic.reserved_a0 = 0;
}

static void wr_atomic_cmp_swp(struct ibv_qp_ex *ibqp, uint32_t rkey,
			      uint64_t remote_addr, uint64_t compare,
			      uint64_t swap)
{
	wr_atomic(ibqp, SODP_WR_ATOMIC_CMP_AND_SWP, rkey, remote_addr, compare,
		  swap);
}

static void wr_atomic_fetch_add(struct ibv_qp_ex *ibqp, uint32_t rkey,
				uint64_t remote_addr, uint64_t add)
{
	wr_atomic(ibqp, SODP_WR_ATOMIC_FETCH_AND_ADD, rkey, remote_addr, add,
		  0);
}

static void wr_atomic_write(struct ibv_qp_ex *ibqp, uint32_t rkey,
			    uint64_t remote_addr, const void *atomic_wr)
{
	struct sodp_sqe *sqe = wr_next(ibqp, SODP_WR_ATOMIC_WRITE);

	sqe->atomic_write.remote_addr = remote_addr;
	sqe->atomic_write.rkey = rkey;
	sqe->atomic_write.reserved_a0 = 0;
	memcpy(&sqe->atomic_write.value, atomic_wr,
	       sizeof(sqe->atomic_write.value));
}

#ifdef SODP_WR_FLUSH_OP
static void wr_flush(struct ibv_qp_ex *ibqp, uint32_t rkey,
		     uint64_t remote_addr, size_t len, uint8_t type,
		     uint8_t level)
{
	struct sodp_sqe *sqe = wr_next(ibqp, SODP_WR_FLUSH);

	sqe->flush.remote_addr = remote_addr;
	sqe->flush.length = len;
	sqe->flush.rkey = rkey;
	sqe->flush.type = type;
	sqe->flush.level = level;
	sqe->flush.reserved_a0 = 0;
}
#endif

static void wr_send(struct ibv_qp_ex *ibqp)
{
	wr_next(ibqp, SODP_WR_SEND);
}

static void wr_send_imm(struct ibv_qp_ex *ibqp, __be32 imm_data)
{
	wr_next(ibqp, SODP_WR_SEND_WITH_IMM)->ex = (uint32_t)imm_data;
}

static void wr_send_inv(struct ibv_qp_ex *ibqp, uint32_t invalidate_rkey)
{
	wr_next(ibqp, SODP_WR_SEND_WITH_INV)->ex = invalidate_rkey;
}

static void wr_local_inv(struct ibv_qp_ex *ibqp, uint32_t invalidate_rkey)
{
	wr_next(ibqp, SODP_WR_LOCAL_INV)->ex = invalidate_rkey;
}

static void wr_bind_mw(struct ibv_qp_ex *ibqp, struct ibv_mw *mw, uint32_t rkey,
		       const struct ibv_mw_bind_info *info)
{
	struct sodp_sqe *sqe;

	if (unlikely(mw->type != IBV_MW_TYPE_2 ||
		     (!info->mr && info->length))) {
		wr_fail(to_sodp_qp_ex(ibqp), EINVAL);
		return;
	}

	sqe = wr_next(ibqp, SODP_WR_BIND_MW);
	sqe->bind.addr = info->addr;
	sqe->bind.length = info->length;
	sqe->bind.mr_lkey = info->mr ? info->mr->lkey : 0;
	sqe->bind.mw_rkey = mw->rkey;
	sqe->bind.new_rkey = rkey;
	sqe->bind.access = info->mw_access_flags & ~IBV_ACCESS_LOCAL_WRITE;
}

static void wr_set_ud_addr(struct ibv_qp_ex *ibqp, struct ibv_ah *ah,
			   uint32_t remote_qpn, uint32_t remote_qkey)
{
	struct sodp_sqe *sqe = to_sodp_qp_ex(ibqp)->batch.sqe;

	sqe->ud.ah = to_sodp_ah(ah)->number;
	sqe->ud.remote_qpn = remote_qpn;
	sqe->ud.remote_qkey = remote_qkey;
	sqe->ud.reserved_a0 = 0;
}

static void wr_set_xrc_srqn(struct ibv_qp_ex *ibqp, uint32_t remote_srqn)
{
	to_sodp_qp_ex(ibqp)->batch.sqe->srqn = remote_srqn;
}

static void wr_set_sge(struct ibv_qp_ex *ibqp, uint32_t lkey, uint64_t addr,
		       uint32_t length)
{
	struct sodp_qp *qp = to_sodp_qp_ex(ibqp);
	struct sodp_sqe *sqe = qp->batch.sqe;
	struct sodp_sge *sge = (struct sodp_sge *)(sqe + 1);

	if (unlikely(!qp->sq.max_sge)) {
		wr_fail(qp, EINVAL);
		return;
	}

	sqe->num_sge = 1;
	sge->addr = addr;
	sge->length = length;
	sge->lkey = lkey;
}

static void wr_set_sge_list(struct ibv_qp_ex *ibqp, size_t num_sge,
			    const struct ibv_sge *sg_list)
{
	struct sodp_qp *qp = to_sodp_qp_ex(ibqp);
	struct sodp_sqe *sqe = qp->batch.sqe;

	if (unlikely(num_sge > qp->sq.max_sge)) {
		wr_fail(qp, EINVAL);
		return;
	}

	sqe->num_sge = num_sge;
	sodp_copy_sges(sqe + 1, sg_list, num_sge);
}

static void wr_set_inline_data_list(struct ibv_qp_ex *ibqp, size_t num_buf,
				    const struct ibv_data_buf *buf_list)
{
	struct sodp_qp *qp = to_sodp_qp_ex(ibqp);
	struct sodp_sqe *sqe = qp->batch.sqe;
	uint8_t *dst = (uint8_t *)(sqe + 1);
	size_t len = 0;
	size_t i;

	for (i = 0; i < num_buf; i++) {
		if (unlikely(buf_list[i].length > qp->sq.max_inline - len)) {
			wr_fail(qp, EINVAL);
			return;
		}
		memcpy(dst + len, buf_list[i].addr, buf_list[i].length);
		len += buf_list[i].length;
	}
	sqe->flags |= SODP_SEND_INLINE;
	sqe->inline_len = len;
}

static void wr_set_inline_data(struct ibv_qp_ex *ibqp, void *addr,
			       size_t length)
{
	const struct ibv_data_buf buf = { .addr = addr, .length = length };

	wr_set_inline_data_list(ibqp, 1, &buf);
}

static void wr_start(struct ibv_qp_ex *ibqp)
{
	struct sodp_qp *qp = to_sodp_qp_ex(ibqp);

	sodp_lock(&qp->sq.sq_lock);
	qp->batch.pi = qp->sq.pi;
	qp->batch.err = 0;
	qp->batch.sqe = qp->batch.scratch;
}

static int wr_complete(struct ibv_qp_ex *ibqp)
{
	struct sodp_qp *qp = to_sodp_qp_ex(ibqp);
	int ret = qp->batch.err;

	if (unlikely(ret || qp->batch.pi == qp->sq.pi)) {
		sodp_unlock(&qp->sq.sq_lock);
		return ret;
	}

	sodp_sq_publish(qp, qp->batch.pi);
	sodp_unlock(&qp->sq.sq_lock);
	return sodp_sq_ring(qp);
}

static void wr_abort(struct ibv_qp_ex *ibqp)
{
	sodp_unlock(&to_sodp_qp_ex(ibqp)->sq.sq_lock);
}

static uint64_t wr_ops_of(enum ibv_qp_type type)
{
	switch (type) {
	case IBV_QPT_RC:
	case IBV_QPT_XRC_SEND:
		return OPS_RC;
	case IBV_QPT_UC:
		return OPS_UC;
	case IBV_QPT_UD:
		return OPS_UD;
	default:
		return 0;
	}
}

static void wr_set_ops(struct ibv_qp_ex *ibqp, uint64_t ops)
{
	if (ops & IBV_QP_EX_WITH_RDMA_WRITE)
		ibqp->wr_rdma_write = wr_rdma_write;
	if (ops & IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM)
		ibqp->wr_rdma_write_imm = wr_rdma_write_imm;
	if (ops & IBV_QP_EX_WITH_RDMA_READ)
		ibqp->wr_rdma_read = wr_rdma_read;
	if (ops & IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP)
		ibqp->wr_atomic_cmp_swp = wr_atomic_cmp_swp;
	if (ops & IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD)
		ibqp->wr_atomic_fetch_add = wr_atomic_fetch_add;
	if (ops & IBV_QP_EX_WITH_ATOMIC_WRITE)
		ibqp->wr_atomic_write = wr_atomic_write;
#ifdef SODP_WR_FLUSH_OP
	if (ops & IBV_QP_EX_WITH_FLUSH)
		ibqp->wr_flush = wr_flush;
#endif
	if (ops & IBV_QP_EX_WITH_SEND)
		ibqp->wr_send = wr_send;
	if (ops & IBV_QP_EX_WITH_SEND_WITH_IMM)
		ibqp->wr_send_imm = wr_send_imm;
	if (ops & IBV_QP_EX_WITH_SEND_WITH_INV)
		ibqp->wr_send_inv = wr_send_inv;
	if (ops & IBV_QP_EX_WITH_LOCAL_INV)
		ibqp->wr_local_inv = wr_local_inv;
	if (ops & IBV_QP_EX_WITH_BIND_MW)
		ibqp->wr_bind_mw = wr_bind_mw;
}

/**
 * sodp_wr_init() - give a new QP its ibv_wr_* callbacks
 * @qp: its rings are set
 * @type: of the QP
 * @ops: the user's send_ops_flags
 *
 * Return: 0, EOPNOTSUPP for an operation that the type has not, ENOMEM.
 */
int sodp_wr_init(struct sodp_qp *qp, enum ibv_qp_type type, uint64_t ops)
{
	struct ibv_qp_ex *ibqp = &qp->vqp.qp_ex;

	if (!check_comp_mask(ops, wr_ops_of(type)))
		return EOPNOTSUPP;

	qp->batch.scratch = sodp_pd_alloc(qp->vqp.qp.pd,
					  sizeof(struct sodp_sqe) +
						  qp->sq.stride,
					  SODP_RESOURCE_SCRATCH,
					  &qp->batch.scratch_is_ours);
	if (!qp->batch.scratch)
		return ENOMEM;

	wr_set_ops(ibqp, ops);
	if (type == IBV_QPT_UD)
		ibqp->wr_set_ud_addr = wr_set_ud_addr;
	if (type == IBV_QPT_XRC_SEND)
		ibqp->wr_set_xrc_srqn = wr_set_xrc_srqn;
	ibqp->wr_set_sge = wr_set_sge;
	ibqp->wr_set_sge_list = wr_set_sge_list;
	ibqp->wr_set_inline_data = wr_set_inline_data;
	ibqp->wr_set_inline_data_list = wr_set_inline_data_list;
	ibqp->wr_start = wr_start;
	ibqp->wr_complete = wr_complete;
	ibqp->wr_abort = wr_abort;
	return 0;
}
