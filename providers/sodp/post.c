// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * post.c - ibv_post_send, ibv_post_recv, ibv_post_srq_recv, ibv_bind_mw
 *
 * Entries are built in their slots, all of a list first; then the index is
 * stored once and the kernel is called at most once. The doorbell is rung
 * without the lock: the kernel looks at the index, not at who rang.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "sodp.h"

#define SEND_FLAGS                                                 \
	(IBV_SEND_FENCE | IBV_SEND_SIGNALED | IBV_SEND_SOLICITED | \
	 IBV_SEND_INLINE)

/* Opcodes that may carry their payload in the entry */
#define INLINE_OPCODES                                                \
	(1U << IBV_WR_RDMA_WRITE | 1U << IBV_WR_RDMA_WRITE_WITH_IMM | \
	 1U << IBV_WR_SEND | 1U << IBV_WR_SEND_WITH_IMM |             \
	 1U << IBV_WR_SEND_WITH_INV)

/**
 * sodp_sq_full() - the send queue looked full: see why
 * @qp: its sq_lock is held
 * @pi: index of the entry that is to be posted
 *
 * Return: 0 when slots have been freed since the last look, EINVAL when the
 * QP's state takes no sends, ENOMEM when the queue is full.
 */
int sodp_sq_full(struct sodp_qp *qp, uint32_t pi)
{
	struct sodp_sq *sq = &qp->sq;

	if (!sq->limit)
		return EINVAL;

	/* Pairs with the release store in queue_free() */
	sq->ci = __atomic_load_n(sq->ci_word, __ATOMIC_ACQUIRE);
	return pi - sq->ci >= sq->limit ? ENOMEM : 0;
}

/* When the device goes, the kernel's QP does so before the doorbell does */
static int bell_errno(void)
{
	return errno == EINVAL ? EIO : errno;
}

static inline int sq_ring(struct sodp_qp *qp)
{
	/*
	 * Pairs with the barrier between clearing SQ_BUSY and the last look at
	 * sq_pi in the kernel: either it sees the new index, or the flag is
	 * seen cleared here.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&qp->page->flags, __ATOMIC_RELAXED) &
	    SODP_QPF_SQ_BUSY)
		return 0;

	if (unlikely(ioctl(qp->db_fd, SODP_IOC_RING_SQ, qp->vqp.qp.qp_num)))
		return bell_errno();
	return 0;
}

/**
 * sodp_sq_ring() - tell the kernel that the producer index has moved
 * @qp: sodp_sq_publish() was called before
 *
 * Return: 0 or an errno, EIO when the device is gone.
 */
int sodp_sq_ring(struct sodp_qp *qp)
{
	return sq_ring(qp);
}

static int sqe_set_inline(const struct sodp_sq *sq, struct sodp_sqe *sqe,
			  const struct ibv_send_wr *wr)
{
	uint8_t *dst = (uint8_t *)(sqe + 1);
	uint32_t len = 0;
	int i;

	if (!(INLINE_OPCODES & 1U << wr->opcode))
		return EINVAL;

	for (i = 0; i < wr->num_sge; i++) {
		const struct ibv_sge *sge = &wr->sg_list[i];

		if (sge->length > sq->max_inline - len)
			return EINVAL;
		memcpy(dst + len, (void *)(uintptr_t)sge->addr, sge->length);
		len += sge->length;
	}
	sqe->inline_len = len;
	return 0;
}

/* The eight bytes go into the entry, wherever the SGE says they are */
static int sqe_set_atomic_write(struct sodp_sqe *sqe,
				const struct ibv_send_wr *wr)
{
	if (wr->num_sge != 1 ||
	    wr->sg_list->length != sizeof(sqe->atomic_write.value))
		return EINVAL;

	sqe->num_sge = 0;
	sqe->flags &= ~SODP_SEND_INLINE;
	sqe->atomic_write.remote_addr = wr->wr.rdma.remote_addr;
	sqe->atomic_write.rkey = wr->wr.rdma.rkey;
	sqe->atomic_write.reserved_a0 = 0;
	memcpy(&sqe->atomic_write.value, (void *)(uintptr_t)wr->sg_list->addr,
	       sizeof(sqe->atomic_write.value));
	return 0;
}

static int sqe_set_bind(struct sodp_sqe *sqe, const struct ibv_send_wr *wr)
{
	const struct ibv_mw_bind_info *info = &wr->bind_mw.bind_info;

	if (!info->mr && info->length)
		return EINVAL;

	sqe->num_sge = 0;
	sqe->bind.addr = info->addr;
	sqe->bind.length = info->length;
	sqe->bind.mr_lkey = info->mr ? info->mr->lkey : 0;
	sqe->bind.mw_rkey = wr->bind_mw.mw->rkey;
	sqe->bind.new_rkey = wr->bind_mw.rkey;
	/* A window grants nothing locally; programs ask for it all the same */
	sqe->bind.access = info->mw_access_flags & ~IBV_ACCESS_LOCAL_WRITE;
	return 0;
}

/* Where it goes, if the QP has no fixed peer */
static void sqe_set_peer(const struct ibv_qp *ibqp, struct sodp_sqe *sqe,
			 const struct ibv_send_wr *wr)
{
	if (ibqp->qp_type == IBV_QPT_XRC_SEND) {
		sqe->srqn = wr->qp_type.xrc.remote_srqn;
	} else if (ibqp->qp_type == IBV_QPT_UD) {
		sqe->ud.ah = to_sodp_ah(wr->wr.ud.ah)->number;
		sqe->ud.remote_qpn = wr->wr.ud.remote_qpn;
		sqe->ud.remote_qkey = wr->wr.ud.remote_qkey;
		sqe->ud.reserved_a0 = 0;
	}
}

static void sqe_set_head(const struct sodp_sq *sq, struct sodp_sqe *sqe,
			 const struct ibv_send_wr *wr)
{
	sqe->wr_id = wr->wr_id;
	sqe->opcode = wr->opcode;
	sqe->num_sge = wr->num_sge;
	sqe->flags = wr->send_flags | sq->sig_flag;
	sqe->ex = wr->invalidate_rkey;
}

/* Any request; EINVAL for what the QP does not take */
static int sqe_fill(struct sodp_qp *qp, struct sodp_sqe *sqe,
		    const struct ibv_send_wr *wr)
{
	const struct sodp_sq *sq = &qp->sq;
	unsigned int opcode = wr->opcode;

	if (opcode > 31 || !(sq->opcodes >> opcode & 1) ||
	    (wr->send_flags & ~SEND_FLAGS) ||
	    (uint32_t)wr->num_sge > sq->max_sge)
		return EINVAL;

	sqe_set_head(sq, sqe, wr);
	sqe_set_peer(&qp->vqp.qp, sqe, wr);

	switch (opcode) {
	case IBV_WR_RDMA_WRITE:
	case IBV_WR_RDMA_WRITE_WITH_IMM:
	case IBV_WR_RDMA_READ:
		sqe->rdma.remote_addr = wr->wr.rdma.remote_addr;
		sqe->rdma.rkey = wr->wr.rdma.rkey;
		sqe->rdma.reserved_a0 = 0;
		break;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		sqe->atomic.remote_addr = wr->wr.atomic.remote_addr;
		sqe->atomic.compare_add = wr->wr.atomic.compare_add;
		sqe->atomic.swap = wr->wr.atomic.swap;
		sqe->atomic.rkey = wr->wr.atomic.rkey;
		sqe->atomic.reserved_a0 = 0;
		break;
	case SODP_WR_ATOMIC_WRITE:
		return sqe_set_atomic_write(sqe, wr);
	case IBV_WR_LOCAL_INV:
		sqe->num_sge = 0;
		return 0;
	case IBV_WR_BIND_MW:
		return sqe_set_bind(sqe, wr);
	default:
		break;
	}

	if (wr->send_flags & IBV_SEND_INLINE)
		return sqe_set_inline(sq, sqe, wr);

	sodp_copy_sges(sqe + 1, wr->sg_list, wr->num_sge);
	return 0;
}

/* Type 1 windows are bound by ibv_bind_mw() only, type 2 here only */
static bool send_is_bad_bind(const struct ibv_send_wr *wr,
			     enum ibv_mw_type type)
{
	return wr->opcode == IBV_WR_BIND_MW && wr->bind_mw.mw->type != type;
}

/* The entries are written: let the kernel see them */
static inline int sq_finish(struct sodp_qp *qp, uint32_t pi,
			    struct ibv_send_wr *first,
			    struct ibv_send_wr **bad_wr)
{
	int ret;

	sodp_sq_publish(qp, pi);
	sodp_unlock(&qp->sq.sq_lock);
	ret = sq_ring(qp);
	if (unlikely(ret))
		*bad_wr = first;
	return ret;
}

/*
 * Post what is left of a list. @pi is behind the entries written already,
 * @first is the list's first request; sq_lock is held and is dropped here.
 */
static __attribute__((noinline)) int
sq_post_any(struct sodp_qp *qp, uint32_t pi, struct ibv_send_wr *wr,
	    struct ibv_send_wr *first, struct ibv_send_wr **bad_wr,
	    enum ibv_mw_type mw_type)
{
	struct sodp_sq *sq = &qp->sq;
	int ring_ret;
	int ret = 0;

	for (; wr; wr = wr->next, pi++) {
		if (pi - sq->ci >= sq->limit)
			ret = sodp_sq_full(qp, pi);
		if (!ret && send_is_bad_bind(wr, mw_type))
			ret = EINVAL;
		if (!ret)
			ret = sqe_fill(qp, sodp_sq_slot(sq, pi), wr);
		if (ret)
			break;
	}
	if (ret)
		*bad_wr = wr;
	if (pi == sq->pi) {
		sodp_unlock(&sq->sq_lock);
		return ret;
	}
	ring_ret = sq_finish(qp, pi, first, bad_wr);
	return ring_ret ? ring_ret : ret;
}

/* A SEND, WRITE or READ on a connected QP with its data in SGEs, and room */
static inline bool sq_is_plain(const struct sodp_sq *sq, uint32_t pi,
			       const struct ibv_send_wr *wr)
{
	unsigned int opcode = wr->opcode;

	return pi - sq->ci < sq->limit && opcode < 32 &&
	       (sq->plain_opcodes >> opcode & 1) &&
	       !(wr->send_flags & ~(SEND_FLAGS & ~IBV_SEND_INLINE)) &&
	       (uint32_t)wr->num_sge <= sq->max_sge;
}

int sodp_post_send(struct ibv_qp *ibqp, struct ibv_send_wr *wr,
		   struct ibv_send_wr **bad_wr)
{
	struct sodp_qp *qp = to_sodp_qp(ibqp);
	struct ibv_send_wr *first = wr;
	struct sodp_sq *sq = &qp->sq;
	struct sodp_sqe *sqe;
	uint32_t pi;

	sodp_lock(&sq->sq_lock);
	for (pi = sq->pi; wr; wr = wr->next, pi++) {
		if (unlikely(!sq_is_plain(sq, pi, wr)))
			return sq_post_any(qp, pi, wr, first, bad_wr,
					   IBV_MW_TYPE_2);
		sqe = sodp_sq_slot(sq, pi);
		sqe_set_head(sq, sqe, wr);
		/* Means nothing to a SEND, but costs less than to ask */
		sqe->rdma.remote_addr = wr->wr.rdma.remote_addr;
		sqe->rdma.rkey = wr->wr.rdma.rkey;
		sqe->rdma.reserved_a0 = 0;
		sodp_copy_sges(sqe + 1, wr->sg_list, wr->num_sge);
	}
	return sq_finish(qp, pi, first, bad_wr);
}

/**
 * sodp_bind_mw() - bind a type 1 window
 * @ibqp: QP whose send queue takes the request
 * @mw: window; its rkey is the new one on success
 * @mw_bind: what it shall cover, nothing when the length is 0
 *
 * Return: 0 or an errno.
 */
int sodp_bind_mw(struct ibv_qp *ibqp, struct ibv_mw *mw,
		 struct ibv_mw_bind *mw_bind)
{
	struct sodp_qp *qp = to_sodp_qp(ibqp);
	struct ibv_send_wr *bad_wr;
	struct ibv_send_wr wr = {
		.wr_id = mw_bind->wr_id,
		.opcode = IBV_WR_BIND_MW,
		.send_flags = mw_bind->send_flags,
		.bind_mw = {
			.mw = mw,
			.rkey = ibv_inc_rkey(mw->rkey),
			.bind_info = mw_bind->bind_info,
		},
	};
	int ret;

	sodp_lock(&qp->sq.sq_lock);
	ret = sq_post_any(qp, qp->sq.pi, &wr, &wr, &bad_wr, IBV_MW_TYPE_1);
	if (!ret)
		mw->rkey = wr.bind_mw.rkey;
	return ret;
}

/* As sodp_sq_full() */
static int rq_full(struct sodp_rq *rq, uint32_t pi)
{
	if (!rq->limit)
		return EINVAL;

	/* Pairs with the release store in queue_free() */
	rq->ci = __atomic_load_n(rq->ci_word, __ATOMIC_ACQUIRE);
	/* Pairs with the release store of rq_lost in the kernel */
	if (rq->lost_word)
		rq->ci += __atomic_load_n(rq->lost_word, __ATOMIC_ACQUIRE);
	return pi - rq->ci >= rq->limit ? ENOMEM : 0;
}

static int rq_ring(const struct sodp_rq *rq)
{
	/* Nobody has to be told of entries of an SRQ */
	if (!rq->flags_word)
		return 0;

	/*
	 * Pairs with the barrier between setting the bell flag and the look at
	 * rq_pi in the kernel: either it sees the entry, or the flag is seen.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (likely(!(__atomic_load_n(rq->flags_word, __ATOMIC_RELAXED) &
		     SODP_QPF_RQ_BELL)))
		return 0;

	if (ioctl(rq->db_fd, SODP_IOC_RING_RQ, rq->qpn))
		return bell_errno();
	return 0;
}

static int rq_post(struct sodp_rq *rq, struct ibv_recv_wr *wr,
		   struct ibv_recv_wr **bad_wr)
{
	struct ibv_recv_wr *first = wr;
	struct sodp_rqe *rqe;
	uint32_t pi;
	int ring_ret;
	int ret = 0;

	sodp_lock(&rq->rq_lock);
	for (pi = rq->pi; wr; wr = wr->next, pi++) {
		if (unlikely(pi - rq->ci >= rq->limit)) {
			ret = rq_full(rq, pi);
			if (ret)
				break;
		}
		if (unlikely((uint32_t)wr->num_sge > rq->max_sge)) {
			ret = EINVAL;
			break;
		}
		rqe = (struct sodp_rqe *)(rq->ring +
					  (size_t)(pi & rq->mask) * rq->stride);
		rqe->wr_id = wr->wr_id;
		rqe->num_sge = wr->num_sge;
		rqe->reserved_60 = 0;
		sodp_copy_sges(rqe + 1, wr->sg_list, wr->num_sge);
	}
	if (unlikely(ret))
		*bad_wr = wr;
	if (unlikely(pi == rq->pi)) {
		sodp_unlock(&rq->rq_lock);
		return ret;
	}
	rq->pi = pi;
	__atomic_store_n(rq->pi_word, pi, __ATOMIC_RELEASE);
	sodp_unlock(&rq->rq_lock);

	ring_ret = rq_ring(rq);
	if (unlikely(ring_ret)) {
		*bad_wr = first;
		return ring_ret;
	}
	return ret;
}

int sodp_post_recv(struct ibv_qp *ibqp, struct ibv_recv_wr *wr,
		   struct ibv_recv_wr **bad_wr)
{
	return rq_post(&to_sodp_qp(ibqp)->rq, wr, bad_wr);
}

int sodp_post_srq_recv(struct ibv_srq *ibsrq, struct ibv_recv_wr *wr,
		       struct ibv_recv_wr **bad_wr)
{
	return rq_post(&to_sodp_srq(ibsrq)->rq, wr, bad_wr);
}
