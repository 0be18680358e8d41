// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The data path of kernel consumers: they fill the same rings as an
 * application, from any context, and a worker does what a doorbell does for
 * an application. Objects of applications are refused: uverbs has old write()
 * commands for these verbs, even if we do not ask it to offer them, and rings
 * of applications are replaced and freed. Whose an object is never changes.
 */
#include <linux/if_vlan.h>

#include "net/net.h"
#include "qp/ops.h"
#include "verbs/verbs.h"
#include "xport/ud/ud.h"

/* The caller's side of a receive ring, of a QP or an SRQ */
struct kverbs_rq {
	u8 *slots;
	u32 depth;
	u32 stride;
	u32 max_sge;
	u32 *pi;
	u32 freed;	/* entries below it may be reused */
};

static int kverbs_copy_sges(void *slot, const struct ib_sge *sge, int num,
			    u32 max)
{
	BUILD_BUG_ON(sizeof(struct ib_sge) != sizeof(struct sodp_sge) ||
		     offsetof(struct ib_sge, lkey) !=
		     offsetof(struct sodp_sge, lkey));
	if (num < 0 || num > max)
		return -EINVAL;
	memcpy(slot, sge, num * sizeof(*sge));
	return 0;
}

static int kverbs_copy_inline(struct sodp_qp *qp, struct sodp_sqe *sqe,
			      u8 *slot, const struct ib_send_wr *wr)
{
	const struct ib_sge *sge = wr->sg_list;
	u8 *to = slot;
	int i;

	for (i = 0; i < wr->num_sge; i++, sge++) {
		if (sge->length > qp->cap.max_inline_data - (to - slot))
			return -EINVAL;
		memcpy(to, (void *)(uintptr_t)sge->addr, sge->length);
		to += sge->length;
	}
	sqe->inline_len = to - slot;
	return 0;
}

/* The part of an entry that depends on the opcode */
static int kverbs_fill_op(struct sodp_sqe *sqe, const struct ib_send_wr *wr)
{
	switch (wr->opcode) {
	case IB_WR_SEND_WITH_IMM:
	case IB_WR_SEND_WITH_INV:
		/* One union; both are copied as they are */
		sqe->ex = wr->ex.invalidate_rkey;
		fallthrough;
	case IB_WR_SEND:
		break;
	case IB_WR_RDMA_WRITE_WITH_IMM:
		sqe->ex = wr->ex.invalidate_rkey;
		fallthrough;
	case IB_WR_RDMA_WRITE:
	case IB_WR_RDMA_READ:
		sqe->rdma.remote_addr = rdma_wr(wr)->remote_addr;
		sqe->rdma.rkey = rdma_wr(wr)->rkey;
		break;
	case IB_WR_ATOMIC_CMP_AND_SWP:
	case IB_WR_ATOMIC_FETCH_AND_ADD:
		sqe->atomic.remote_addr = atomic_wr(wr)->remote_addr;
		sqe->atomic.rkey = atomic_wr(wr)->rkey;
		sqe->atomic.compare_add = atomic_wr(wr)->compare_add;
		sqe->atomic.swap = atomic_wr(wr)->swap;
		break;
	case IB_WR_LOCAL_INV:
		sqe->ex = wr->ex.invalidate_rkey;
		break;
	case IB_WR_REG_MR:
		sqe->opcode = SODP_WR_REG_MR;
		sqe->bind.addr = (uintptr_t)to_sodp_mr(reg_wr(wr)->mr);
		sqe->bind.new_rkey = reg_wr(wr)->key;
		sqe->bind.access = reg_wr(wr)->access;
		break;
	default:
		return -EOPNOTSUPP;
	}
	return 0;
}

static int kverbs_fill_ud(struct sodp_sqe *sqe, const struct ib_send_wr *wr)
{
	if (wr->opcode != IB_WR_SEND && wr->opcode != IB_WR_SEND_WITH_IMM)
		return -EOPNOTSUPP;
	sqe->ex = wr->ex.invalidate_rkey;
	sqe->ud.ah = to_sodp_ah(ud_wr(wr)->ah)->av->number;
	sqe->ud.remote_qpn = ud_wr(wr)->remote_qpn;
	sqe->ud.remote_qkey = ud_wr(wr)->remote_qkey;
	return 0;
}

static int kverbs_fill_sqe(struct sodp_qp *qp, u8 *slot,
			   const struct ib_send_wr *wr)
{
	struct sodp_sqe *sqe = (struct sodp_sqe *)slot;
	const struct sodp_op *op;
	int ret;

	memset(sqe, 0, sizeof(*sqe));
	sqe->wr_id = wr->wr_id;
	sqe->opcode = wr->opcode;
	/* The rest of the bits are hints, or for other kinds of QPs */
	sqe->flags = wr->send_flags & (SODP_SEND_FENCE | SODP_SEND_SIGNALED |
				       SODP_SEND_SOLICITED | SODP_SEND_INLINE);
	if (sodp_is_ud(qp))
		ret = kverbs_fill_ud(sqe, wr);
	else
		ret = qp->type == IB_QPT_RC ? kverbs_fill_op(sqe, wr) :
					      -EOPNOTSUPP;
	if (ret)
		return ret;
	op = sodp_op_of(sqe->opcode);
	if (!(op->flags & (SODP_OP_OUT | SODP_OP_IN)))
		return 0;
	if (sqe->flags & SODP_SEND_INLINE)
		return kverbs_copy_inline(qp, sqe, slot + sizeof(*sqe), wr);
	sqe->num_sge = wr->num_sge;
	return kverbs_copy_sges(slot + sizeof(*sqe), wr->sg_list, wr->num_sge,
				qp->cap.max_send_sge);
}

/* Pairs with the full barriers where a worker sets or clears a flag */
static void kverbs_ring_sq(struct sodp_qp *qp)
{
	smp_mb(); /* index, then flags */
	if (!(READ_ONCE(qp->page->flags) & SODP_QPF_SQ_BUSY))
		sodp_qp_kick(qp);
}

/**
 * sodp_post_send() - post to the SQ of a kernel QP
 * @ibqp: the QP
 * @wr: list of requests
 * @bad_wr: the first one not posted
 *
 * Context: any.
 * Return: 0; -EINVAL an application's QP, a state that takes none, a request
 * too large for the caps; -ENOMEM the ring is full; -EOPNOTSUPP opcode.
 */
int sodp_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		   const struct ib_send_wr **bad_wr)
{
	struct sodp_qp *qp = to_sodp_qp(ibqp);
	enum ib_qp_state state = READ_ONCE(qp->state);
	unsigned long flags;
	u32 pi, first;
	int ret = 0;

	if (!qp->user.kernel || state == IB_QPS_RESET || state == IB_QPS_INIT ||
	    state == IB_QPS_RTR) {
		*bad_wr = wr;
		return -EINVAL;
	}
	spin_lock_irqsave(&qp->sq_post_lock, flags);
	first = qp->page->sq_pi;
	for (pi = first; wr; wr = wr->next, pi++) {
		/* Pairs with the release store in kverbs_free_to() */
		if (pi - smp_load_acquire(&qp->sq_freed) >= qp->req.sq_depth)
			ret = -ENOMEM;
		else
			ret = kverbs_fill_sqe(qp, qp->req.sq +
					      (pi & (qp->req.sq_depth - 1)) *
					      (size_t)qp->req.sq_stride, wr);
		if (ret)
			break;
	}
	/* Pairs with the acquire load of sq_pi by the executor */
	smp_store_release(&qp->page->sq_pi, pi);
	spin_unlock_irqrestore(&qp->sq_post_lock, flags);
	if (pi != first)
		kverbs_ring_sq(qp);
	if (ret)
		*bad_wr = wr;
	return ret;
}

/* Under rq_post_lock: the first request not posted is left in *wr */
static int kverbs_post_recv(struct kverbs_rq *rq, const struct ib_recv_wr **wr)
{
	u32 pi = *rq->pi;
	int ret = 0;

	for (; *wr; *wr = (*wr)->next, pi++) {
		u8 *slot = rq->slots + (pi & (rq->depth - 1)) *
			   (size_t)rq->stride;
		struct sodp_rqe *rqe = (struct sodp_rqe *)slot;

		if (pi - rq->freed >= rq->depth) {
			ret = -ENOMEM;
			break;
		}
		ret = kverbs_copy_sges(slot + sizeof(*rqe), (*wr)->sg_list,
				       (*wr)->num_sge, rq->max_sge);
		if (ret)
			break;
		rqe->wr_id = (*wr)->wr_id;
		rqe->num_sge = (*wr)->num_sge;
	}
	/* Pairs with the acquire load of rq_pi by the responder */
	smp_store_release(rq->pi, pi);
	return ret;
}

/**
 * sodp_post_recv() - post to the RQ of a kernel QP
 * @ibqp: the QP
 * @wr: list of requests
 * @bad_wr: the first one not posted
 *
 * Context: any.
 * Return: 0; -EINVAL an application's QP, state RESET, an SRQ's QP, too many
 * SGEs; -ENOMEM the ring is full.
 */
int sodp_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
		   const struct ib_recv_wr **bad_wr)
{
	struct sodp_qp *qp = to_sodp_qp(ibqp);
	struct kverbs_rq rq = {
		.slots = qp->resp.rq,
		.depth = qp->resp.rq_depth,
		.stride = qp->resp.rq_stride,
		.max_sge = qp->cap.max_recv_sge,
		.pi = &qp->page->rq_pi,
	};
	unsigned long flags;
	int ret;

	*bad_wr = wr;
	if (!qp->user.kernel || !qp->resp.rq_depth ||
	    READ_ONCE(qp->state) == IB_QPS_RESET)
		return -EINVAL;
	spin_lock_irqsave(&qp->rq_post_lock, flags);
	/* Pairs with the release store in kverbs_free_to() */
	rq.freed = smp_load_acquire(&qp->rq_freed);
	ret = kverbs_post_recv(&rq, bad_wr);
	spin_unlock_irqrestore(&qp->rq_post_lock, flags);
	/* Index, then flags. Pairs with smp_mb() in sodp_rq_flush_locked(). */
	smp_mb();
	if (unlikely(READ_ONCE(qp->page->flags) & SODP_QPF_RQ_BELL))
		sodp_qp_kick(qp);
	return ret;
}

/**
 * sodp_post_srq_recv() - post to a kernel SRQ
 * @ibsrq: the SRQ
 * @wr: list of requests
 * @bad_wr: the first one not posted
 *
 * Context: any.
 * Return: 0; -EINVAL an application's SRQ, too many SGEs; -ENOMEM the ring
 * is full.
 */
int sodp_post_srq_recv(struct ib_srq *ibsrq, const struct ib_recv_wr *wr,
		       const struct ib_recv_wr **bad_wr)
{
	struct sodp_srq *srq = to_sodp_srq(ibsrq);
	struct kverbs_rq rq;
	unsigned long flags;
	int ret;

	*bad_wr = wr;
	if (ibsrq->uobject)
		return -EINVAL;
	/* Only an application's SRQ changes its ring */
	rq = (struct kverbs_rq){
		.slots = srq->rqes,
		.depth = srq->depth,
		.stride = srq->stride,
		.max_sge = srq->max_sge,
		.pi = &srq->page->rq_pi,
	};
	spin_lock_irqsave(&srq->rq_post_lock, flags);
	/* Pairs with the release in kverbs_free_recv() */
	rq.freed = atomic_read_acquire(&srq->polled);
	/* Pairs with the release store in sodp_srq_lose() */
	rq.freed += smp_load_acquire(&srq->page->rq_lost);
	ret = kverbs_post_recv(&rq, bad_wr);
	spin_unlock_irqrestore(&srq->rq_post_lock, flags);
	return ret;
}

/*
 * Entries of the queue below @index are done, and the caller knows of it. What
 * was completed before a reset frees nothing more; should it race with that,
 * the next completion makes up for it.
 */
static void kverbs_free_to(u32 *freed, u32 index)
{
	if ((s32)(index - READ_ONCE(*freed)) > 0)
		/* Pairs with the acquire loads of those who post */
		smp_store_release(freed, index);
}

/*
 * Those of an SRQ have no order. Under RCU, which destroy waits for: the SRQ
 * is there, and what is not counted here, destroy counts.
 */
static void kverbs_free_recv(struct sodp_qp *qp, u32 index)
{
	if (!qp->srq) {
		kverbs_free_to(&qp->rq_freed, index);
		return;
	}
	atomic_dec(&qp->srq_unpolled);
	/* Pairs with the acquire load in sodp_post_srq_recv() */
	atomic_inc_return_release(&qp->srq->polled);
}

/* Translate an entry; false when its QP is gone and nobody waits for it */
static bool kverbs_fill_wc(const struct sodp_cqe *cqe, struct ib_wc *wc)
{
	struct sodp_qp *qp;

	memset(wc, 0, sizeof(*wc));
	rcu_read_lock();
	qp = sodp_qp_find(cqe->qpn);
	if (qp) {
		wc->qp = qp->ibqp;
		if (cqe->opcode & SODP_WC_RECV)
			kverbs_free_recv(qp, cqe->index);
		else
			kverbs_free_to(&qp->sq_freed, cqe->index);
	}
	rcu_read_unlock();
	if (!qp)
		return false;
	wc->wr_id = cqe->wr_id;
	wc->status = cqe->status;
	wc->opcode = cqe->opcode;
	wc->vendor_err = cqe->vendor_err;
	wc->byte_len = cqe->byte_len;
	wc->ex.invalidate_rkey = cqe->ex;
	wc->src_qp = cqe->src_qp;
	wc->slid = cqe->slid;
	wc->pkey_index = cqe->pkey_index;
	wc->dlid_path_bits = cqe->dlid_path_bits;
	wc->port_num = 1;
	/* To a kernel consumer a service level is one: 0, nobody says more */
	if (cqe->flags & SODP_WC_GRH) {
		wc->wc_flags |= IB_WC_GRH | IB_WC_WITH_NETWORK_HDR_TYPE;
		wc->network_hdr_type = cqe->sl == SODP_WC_SL_IPV6 ?
				       RDMA_NETWORK_IPV6 : RDMA_NETWORK_IPV4;
	}
	if (cqe->flags & SODP_WC_WITH_IMM)
		wc->wc_flags |= IB_WC_WITH_IMM;
	if (cqe->flags & SODP_WC_WITH_INV)
		wc->wc_flags |= IB_WC_WITH_INVALIDATE;
	/* See qp/resp.c */
	if (cqe->vlan) {
		wc->wc_flags |= IB_WC_WITH_VLAN;
		wc->vlan_id = cqe->vlan & VLAN_VID_MASK;
	}
	return true;
}

/**
 * sodp_poll_cq() - take completions from a kernel CQ
 * @ibcq: the CQ
 * @num: how many at most
 * @wc: result
 *
 * Completions of QPs destroyed meanwhile are dropped: struct ib_wc points to
 * its QP.
 *
 * Context: any.
 * Return: how many, -EINVAL an application's CQ.
 */
int sodp_poll_cq(struct ib_cq *ibcq, int num, struct ib_wc *wc)
{
	struct sodp_cq *cq = to_sodp_cq(ibcq);
	struct sodp_cqe cqe;
	unsigned long flags;
	int found = 0;
	u32 ci, pi;

	if (ibcq->uobject)
		return -EINVAL;
	spin_lock_irqsave(&cq->poll_lock, flags);
	ci = cq->page->ci;
	/* Pairs with the release store of pi by sodp_cq_post() */
	pi = smp_load_acquire(&cq->page->pi);
	while (ci != pi && found < num) {
		cqe = cq->cqes[ci++ & (cq->depth - 1)];
		/*
		 * The entry was read: sodp_cq_post() may overwrite it. Before
		 * the slot is free, lest what is posted there finds no room.
		 */
		smp_store_release(&cq->page->ci, ci);
		if (kverbs_fill_wc(&cqe, &wc[found]))
			found++;
	}
	spin_unlock_irqrestore(&cq->poll_lock, flags);
	return found;
}

/**
 * sodp_req_notify_cq() - arm the next event of a kernel CQ
 * @ibcq: the CQ
 * @flags: IB_CQ_SOLICITED or IB_CQ_NEXT_COMP, IB_CQ_REPORT_MISSED_EVENTS
 *
 * Context: any.
 * Return: 0; 1 when asked and there are entries that no event may follow;
 * -EINVAL an application's CQ.
 */
int sodp_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags)
{
	struct sodp_cq *cq = to_sodp_cq(ibcq);
	unsigned long irq_flags;
	u32 arm, kind;
	int ret;

	if (ibcq->uobject)
		return -EINVAL;
	kind = (flags & IB_CQ_SOLICITED_MASK) == IB_CQ_SOLICITED ?
	       SODP_CQ_ARM_SOLICITED : SODP_CQ_ARM_NEXT;
	spin_lock_irqsave(&cq->poll_lock, irq_flags);
	arm = cq->page->arm;
	/* Armed for all and not fired yet: that is not taken back */
	if ((arm & 3) == SODP_CQ_ARM_NEXT && READ_ONCE(cq->arm_seen) != arm)
		kind = SODP_CQ_ARM_NEXT;
	WRITE_ONCE(cq->page->arm, ((arm & ~3U) + 4) | kind);
	/* Arm, then look. Pairs with smp_mb() in sodp_cq_post(). */
	smp_mb();
	ret = (flags & IB_CQ_REPORT_MISSED_EVENTS) &&
	      READ_ONCE(cq->page->pi) != cq->page->ci;
	spin_unlock_irqrestore(&cq->poll_lock, irq_flags);
	return ret;
}
