// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Shared receive queues: the application fills the ring, the responders of
 * all QPs of the SRQ take entries from it in order.
 */
#include <linux/uaccess.h>
#include <rdma/uverbs_ioctl.h>

#include "queue/queue.h"

static void srq_event(struct sodp_srq *srq, enum ib_event_type type)
{
	struct ib_event event = {
		.device = srq->base_srq.device,
		.event = type,
		.element.srq = &srq->base_srq,
	};

	if (srq->base_srq.event_handler)
		srq->base_srq.event_handler(&event, srq->base_srq.srq_context);
}

static size_t srq_ring_size(const struct sodp_srq *srq, u32 depth)
{
	return sizeof(struct sodp_srq_page) + (size_t)depth * srq->stride;
}

static void srq_use_ring(struct sodp_srq *srq, struct sodp_smem *ring,
			 u32 depth)
{
	srq->ring = ring;
	srq->page = ring->mem;
	srq->rqes = ring->mem + sizeof(struct sodp_srq_page);
	/* Pairs with READ_ONCE() in modify and query */
	WRITE_ONCE(srq->depth, depth);
}

static u8 *srq_slot(struct sodp_srq *srq, u32 index)
{
	return srq->rqes + (index & (srq->depth - 1)) * (size_t)srq->stride;
}

/**
 * sodp_srq_create() - create an SRQ and its ring
 * @ibsrq: allocated by ib_core
 * @init: wanted; what was given comes back in it
 * @udata: struct sodp_create_srq_cmd, of an older provider nothing; takes
 *	struct sodp_create_srq_resp; NULL: a kernel consumer
 *
 * Context: process, may sleep.
 * Return: 0, -EOPNOTSUPP for a type not supported, -EINVAL, -ENOMEM.
 */
int sodp_srq_create(struct ib_srq *ibsrq, struct ib_srq_init_attr *init,
		    struct ib_udata *udata)
{
	struct sodp_dev *dev = to_sodp_dev(ibsrq->device);
	struct sodp_srq *srq = to_sodp_srq(ibsrq);
	struct sodp_create_srq_resp resp = {};
	struct sodp_create_srq_cmd cmd = {};
	struct sodp_smem *ring;
	u32 depth;
	int ret;

	if (init->srq_type != IB_SRQT_BASIC &&
	    (!udata || init->srq_type != IB_SRQT_XRC))
		return -EOPNOTSUPP;
	if (!init->attr.max_wr || init->attr.max_wr > SODP_MAX_SRQ_WR ||
	    init->attr.max_sge > SODP_MAX_SGE ||
	    init->attr.srq_limit > init->attr.max_wr)
		return -EINVAL;
	ret = sodp_udata_check(ibsrq->device, udata, sizeof(cmd));
	if (ret)
		return ret;
	if (udata && udata->inlen >= sizeof(cmd)) {
		ret = ib_copy_from_udata(&cmd, udata, sizeof(cmd));
		if (ret)
			return ret;
		srq->cookie = cmd.rq_cookie;
		srq->strict = true;
		resp.comp_mask = SODP_CREATE_SRQ_COOKIE;
	}
	ret = sodp_limit_take(dev, SODP_LIMIT_SRQ);
	if (ret)
		return ret;
	mutex_init(&srq->resize_mutex);
	spin_lock_init(&srq->srq_lock);
	spin_lock_init(&srq->rq_post_lock);
	srq->max_sge = max_t(u32, init->attr.max_sge, 1);
	depth = roundup_pow_of_two(init->attr.max_wr);
	srq->limit = init->attr.srq_limit;
	srq->stride = sizeof(struct sodp_rqe) +
		      srq->max_sge * sizeof(struct sodp_sge);
	ring = sodp_smem_alloc(udata ? sodp_udata_context(udata) : NULL,
			       srq_ring_size(srq, depth));
	if (IS_ERR(ring)) {
		ret = PTR_ERR(ring);
		goto err_give;
	}
	srq_use_ring(srq, ring, depth);
	init->attr.max_wr = srq->depth;
	init->attr.max_sge = srq->max_sge;
	if (!udata)
		return 0;
	if (init->srq_type == IB_SRQT_XRC) {
		ret = sodp_xrc_number(srq);
		if (ret)
			goto err_free_ring;
		resp.srqn = srq->xsrq->srqn;
	}

	resp.mmap_offset = sodp_smem_offset(ring);
	resp.mmap_size = ring->size;
	resp.depth = srq->depth;
	resp.stride = srq->stride;
	resp.ring_offset = sizeof(struct sodp_srq_page);
	resp.max_sge = srq->max_sge;
	ret = ib_copy_to_udata(udata, &resp, min(sizeof(resp), udata->outlen));
	if (ret)
		goto err_retire;
	if (srq->xsrq)
		sodp_xrc_publish(srq);
	return 0;

err_retire:
	sodp_xrc_retire(srq);
err_free_ring:
	sodp_smem_free(ring);
err_give:
	sodp_limit_give(dev, SODP_LIMIT_SRQ);
	return ret;
}

int sodp_srq_destroy(struct ib_srq *ibsrq, struct ib_udata *udata)
{
	struct sodp_srq *srq = to_sodp_srq(ibsrq);

	sodp_xrc_retire(srq);
	sodp_smem_free(srq->ring);
	sodp_limit_give(to_sodp_dev(ibsrq->device), SODP_LIMIT_SRQ);
	return 0;
}

/* Entries posted and not taken; garbage indices count as none */
static u32 srq_posted(struct sodp_srq *srq, u32 pi)
{
	u32 n = pi - srq->ci;

	return n > srq->depth ? 0 : n;
}

/* Entries that a resize moves in one go, and with the lock held */
#define SRQ_MOVE_ENTRIES	1024
#define SRQ_MOVE_LOCKED		64

static void srq_copy(struct sodp_srq *srq, struct sodp_smem *ring, u32 depth,
		     u32 from, u32 to)
{
	u8 *rqes = ring->mem + sizeof(struct sodp_srq_page);
	u32 i;

	for (i = from; i != to; i++)
		memcpy(rqes + (i & (depth - 1)) * (size_t)srq->stride,
		       srq_slot(srq, i), srq->stride);
}

static void srq_swap_ring(struct sodp_srq *srq, struct sodp_smem *ring,
			  u32 depth, u32 pi)
{
	struct sodp_srq_page *page = ring->mem;

	lockdep_assert_held(&srq->srq_lock);
	page->rq_pi = pi;
	page->rq_ci = srq->ci;
	page->rq_lost = srq->lost;
	srq_use_ring(srq, ring, depth);
}

/*
 * Move what is posted, under its indices, to @ring. Nobody posts meanwhile, so
 * all but the last is copied without the lock; what is taken from the SRQ
 * before that is copied in vain.
 */
static int srq_move(struct sodp_srq *srq, struct sodp_smem *ring, u32 depth)
{
	u32 ci, pi, done, n;

	lockdep_assert_held(&srq->resize_mutex);
	spin_lock_bh(&srq->srq_lock);
	ci = srq->ci;
	spin_unlock_bh(&srq->srq_lock);
	done = ci;
	for (;;) {
		spin_lock_bh(&srq->srq_lock);
		/* Pairs with the release store of rq_pi by the provider */
		pi = smp_load_acquire(&srq->page->rq_pi);
		if (pi - ci > min(depth, srq->depth)) {
			spin_unlock_bh(&srq->srq_lock);
			return -EINVAL;
		}
		/* An index that went back is garbage, which the taker sees */
		n = pi - ci < done - ci ? 0 : pi - done;
		if (n <= SRQ_MOVE_LOCKED) {
			srq_copy(srq, ring, depth, done, done + n);
			srq_swap_ring(srq, ring, depth, pi);
			spin_unlock_bh(&srq->srq_lock);
			return 0;
		}
		spin_unlock_bh(&srq->srq_lock);
		n = min_t(u32, n, SRQ_MOVE_ENTRIES);
		srq_copy(srq, ring, depth, done, done + n);
		done += n;
		cond_resched();
	}
}

static int srq_resize(struct sodp_srq *srq, u32 max_wr, struct ib_udata *udata)
{
	struct sodp_modify_srq_resp resp = {};
	struct sodp_modify_srq_cmd cmd;
	struct sodp_smem *ring, *old;
	u32 depth;
	int ret;

	if (!max_wr || max_wr > SODP_MAX_SRQ_WR)
		return -EINVAL;
	if (!udata || udata->inlen < sizeof(cmd))
		return -EINVAL;
	ret = ib_copy_from_udata(&cmd, udata, sizeof(cmd));
	if (ret)
		return ret;
	depth = roundup_pow_of_two(max_wr);
	ring = sodp_smem_alloc(sodp_udata_context(udata),
			       srq_ring_size(srq, depth));
	if (IS_ERR(ring))
		return PTR_ERR(ring);
	resp.mmap_offset = sodp_smem_offset(ring);
	resp.mmap_size = ring->size;
	resp.depth = depth;
	resp.ring_offset = sizeof(struct sodp_srq_page);
	if (copy_to_user(u64_to_user_ptr(cmd.resp_addr), &resp,
			 sizeof(resp))) {
		ret = -EFAULT;
		goto err_free_ring;
	}
	mutex_lock(&srq->resize_mutex);
	old = srq->ring;
	ret = srq_move(srq, ring, depth);
	mutex_unlock(&srq->resize_mutex);
	if (ret)
		goto err_free_ring;
	sodp_smem_free(old);
	return 0;

err_free_ring:
	sodp_smem_free(ring);
	return ret;
}

/**
 * sodp_srq_modify() - resize, arm the limit event
 * @ibsrq: the SRQ
 * @attr: new size and limit
 * @mask: IB_SRQ_MAX_WR, IB_SRQ_LIMIT
 * @udata: struct sodp_modify_srq_cmd for a resize
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL a limit above max_wr, a size that does not hold what is
 * posted, unknown bits or driver data; -EFAULT, -ENOMEM.
 */
int sodp_srq_modify(struct ib_srq *ibsrq, struct ib_srq_attr *attr,
		    enum ib_srq_attr_mask mask, struct ib_udata *udata)
{
	struct sodp_srq *srq = to_sodp_srq(ibsrq);
	u32 limit = mask & IB_SRQ_LIMIT ? attr->srq_limit :
					  READ_ONCE(srq->limit);
	u32 depth = mask & IB_SRQ_MAX_WR ? attr->max_wr :
					   READ_ONCE(srq->depth);
	bool fire = false;
	int ret;

	ret = sodp_udata_check(ibsrq->device, udata,
			       sizeof(struct sodp_modify_srq_cmd));
	if (ret)
		return ret;
	if (mask & ~(IB_SRQ_MAX_WR | IB_SRQ_LIMIT))
		return -EINVAL;
	/* A new size stays, so all of the request is checked before it */
	if (limit > depth)
		return -EINVAL;
	if (mask & IB_SRQ_MAX_WR) {
		ret = srq_resize(srq, attr->max_wr, udata);
		if (ret)
			return ret;
	}
	if (!(mask & IB_SRQ_LIMIT))
		return 0;
	spin_lock_bh(&srq->srq_lock);
	srq->limit = attr->srq_limit;
	if (srq->limit &&
	    srq_posted(srq, READ_ONCE(srq->page->rq_pi)) < srq->limit) {
		srq->limit = 0;
		fire = true;
	}
	spin_unlock_bh(&srq->srq_lock);
	if (fire)
		srq_event(srq, IB_EVENT_SRQ_LIMIT_REACHED);
	return 0;
}

int sodp_srq_query(struct ib_srq *ibsrq, struct ib_srq_attr *attr)
{
	struct sodp_srq *srq = to_sodp_srq(ibsrq);

	attr->max_wr = READ_ONCE(srq->depth);
	attr->max_sge = srq->max_sge;
	attr->srq_limit = READ_ONCE(srq->limit);
	return 0;
}

/**
 * sodp_srq_lose() - an entry was taken, and will not be completed
 * @srq: the SRQ
 *
 * Its QP was reset or destroyed in the middle of a message, or the CQ had no
 * room. Who counts entries by their completions is told of it.
 *
 * Context: under a resp_mutex.
 */
void sodp_srq_lose(struct sodp_srq *srq)
{
	spin_lock_bh(&srq->srq_lock);
	srq->lost++;
	/* Pairs with the acquire loads of the provider and of kverbs.c */
	smp_store_release(&srq->page->rq_lost, srq->lost);
	spin_unlock_bh(&srq->srq_lock);
}

/**
 * sodp_srq_fetch() - take the next entry of an SRQ
 * @srq: the SRQ
 * @recv: receives a checked copy
 *
 * Context: under a resp_mutex.
 * Return: SODP_OK; SODP_RNR when empty; SODP_E_REM_OP when the ring holds
 * nonsense, which raises IB_EVENT_SRQ_ERR once and fails every taker.
 */
enum sodp_verdict sodp_srq_fetch(struct sodp_srq *srq, struct sodp_recv *recv)
{
	enum sodp_verdict verdict = SODP_E_REM_OP;
	bool limit = false;
	u32 pi;

	spin_lock_bh(&srq->srq_lock);
	if (srq->error)
		goto out_unlock;
	/* Pairs with the release store of rq_pi by the provider */
	pi = smp_load_acquire(&srq->page->rq_pi);
	if (pi == srq->ci) {
		verdict = SODP_RNR;
		goto out_unlock;
	}
	if (pi - srq->ci > srq->depth ||
	    sodp_rqe_copy(recv, srq_slot(srq, srq->ci), srq->max_sge,
			  srq->strict)) {
		srq->error = true;
		spin_unlock_bh(&srq->srq_lock);
		ibdev_dbg(srq->base_srq.device, "SRQ ring is garbage\n");
		srq_event(srq, IB_EVENT_SRQ_ERR);
		return SODP_E_REM_OP;
	}
	srq->ci++;
	/* The slot may be reused. Pairs with the provider's acquire load. */
	smp_store_release(&srq->page->rq_ci, srq->ci);
	if (srq->limit && pi - srq->ci < srq->limit) {
		srq->limit = 0;
		limit = true;
	}
	verdict = SODP_OK;
out_unlock:
	spin_unlock_bh(&srq->srq_lock);
	if (limit)
		srq_event(srq, IB_EVENT_SRQ_LIMIT_REACHED);
	return verdict;
}
