// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Posting by ibv_post_send, or by the ibv_wr_* calls, on the same QPs */

#include "worker.h"

#ifdef HAVE_WR_ATOMIC_WRITE
static void build_atomic_write(struct ibv_qp_ex *qpx,
			       const struct ibv_send_wr *wr)
{
	ibv_wr_atomic_write(qpx, wr->wr.atomic.rkey,
			    wr->wr.atomic.remote_addr, &wr->wr.atomic.swap);
}
#endif

#ifdef HAS_FLUSH
static void build_flush(struct ibv_qp_ex *qpx, const struct ibv_send_wr *wr)
{
	ibv_wr_flush(qpx, wr->wr.atomic.rkey, wr->wr.atomic.remote_addr,
		     wr->wr.atomic.compare_add, IBV_FLUSH_GLOBAL,
		     wr->wr.atomic.swap ? IBV_FLUSH_MR : IBV_FLUSH_RANGE);
}
#endif

static void build_opcode(struct ibv_qp_ex *qpx, const struct ibv_send_wr *wr)
{
	uint64_t addr = wr->wr.rdma.remote_addr;
	uint32_t rkey = wr->wr.rdma.rkey;

	switch ((int)wr->opcode) {
#ifdef HAVE_WR_ATOMIC_WRITE
	case WR_ATOMIC_WRITE:
		return build_atomic_write(qpx, wr);
#endif
#ifdef HAS_FLUSH
	case WR_FLUSH:
		return build_flush(qpx, wr);
#endif
	case IBV_WR_RDMA_WRITE:
		return ibv_wr_rdma_write(qpx, rkey, addr);
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		return ibv_wr_rdma_write_imm(qpx, rkey, addr, wr->imm_data);
	case IBV_WR_RDMA_READ:
		return ibv_wr_rdma_read(qpx, rkey, addr);
	case IBV_WR_SEND:
		return ibv_wr_send(qpx);
	case IBV_WR_SEND_WITH_IMM:
		return ibv_wr_send_imm(qpx, wr->imm_data);
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		return ibv_wr_atomic_fetch_add(qpx, wr->wr.atomic.rkey,
					       wr->wr.atomic.remote_addr,
					       wr->wr.atomic.compare_add);
	case IBV_WR_ATOMIC_CMP_AND_SWP:
		return ibv_wr_atomic_cmp_swp(qpx, wr->wr.atomic.rkey,
					     wr->wr.atomic.remote_addr,
					     wr->wr.atomic.compare_add,
					     wr->wr.atomic.swap);
	case IBV_WR_SEND_WITH_INV:
		return ibv_wr_send_inv(qpx, wr->invalidate_rkey);
	case IBV_WR_BIND_MW:
		return ibv_wr_bind_mw(qpx, wr->bind_mw.mw, wr->bind_mw.rkey,
				      &wr->bind_mw.bind_info);
	case IBV_WR_LOCAL_INV:
		return ibv_wr_local_inv(qpx, wr->invalidate_rkey);
	default:
		t_fail("no ibv_wr_* call for opcode %d", wr->opcode);
	}
}

static void build_data(struct ibv_qp_ex *qpx, const struct ibv_send_wr *wr)
{
	struct ibv_data_buf bufs[4];
	int i;

	if (!(wr->send_flags & IBV_SEND_INLINE)) {
		if (wr->num_sge == 1)
			ibv_wr_set_sge(qpx, wr->sg_list->lkey,
				       wr->sg_list->addr, wr->sg_list->length);
		else
			ibv_wr_set_sge_list(qpx, wr->num_sge, wr->sg_list);
		return;
	}
	for (i = 0; i < wr->num_sge; i++) {
		bufs[i].addr = (void *)(uintptr_t)wr->sg_list[i].addr;
		bufs[i].length = wr->sg_list[i].length;
	}
	if (wr->num_sge == 1)
		ibv_wr_set_inline_data(qpx, bufs[0].addr, bufs[0].length);
	else
		ibv_wr_set_inline_data_list(qpx, wr->num_sge, bufs);
	tally_done(SEEN_INLINE_EX);
}

static void build(struct ibv_qp_ex *qpx, const struct ibv_send_wr *wr)
{
	qpx->wr_id = wr->wr_id;
	qpx->wr_flags = wr->send_flags & ~IBV_SEND_INLINE;
	build_opcode(qpx, wr);
	if (qpx->qp_base.qp_type == IBV_QPT_UD)
		ibv_wr_set_ud_addr(qpx, wr->wr.ud.ah, wr->wr.ud.remote_qpn,
				   wr->wr.ud.remote_qkey);
	if (qpx->qp_base.qp_type == IBV_QPT_XRC_SEND)
		ibv_wr_set_xrc_srqn(qpx, wr->qp_type.xrc.remote_srqn);
	if (wr->num_sge)
		build_data(qpx, wr);
}

/* Of this nobody must ever hear */
static void begin_and_abort(struct ibv_qp_ex *qpx, const struct ibv_send_wr *wr)
{
	struct ibv_send_wr junk = *wr;

	junk.wr_id = UINT64_MAX;
	junk.send_flags |= IBV_SEND_SIGNALED;
	ibv_wr_start(qpx);
	build(qpx, &junk);
	ibv_wr_abort(qpx);
	tally_done(SEEN_ABORT);
}

static bool needs_wr(const struct ibv_send_wr *wr)
{
	return (int)wr->opcode == WR_FLUSH ||
	       (int)wr->opcode == WR_ATOMIC_WRITE;
}

void requests_post(struct queue *q, const struct step *s,
		   struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;

	if (!q->qpx || ((s->arg & BY_POST_SEND) && !needs_wr(wr))) {
		T_OK(ibv_post_send(q->qp, wr, &bad));
		return;
	}
	if (s->arg & ABORT_FIRST)
		begin_and_abort(q->qpx, wr);
	ibv_wr_start(q->qpx);
	for (; wr; wr = wr->next)
		build(q->qpx, wr);
	T_OK(ibv_wr_complete(q->qpx));
	tally_done(SEEN_WR);
}
