// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Completion queues: the kernel writes entries, the application polls them
 * from its mapping and arms events by a word there.
 */
#include <linux/ktime.h>
#include <rdma/uverbs_ioctl.h>

#include "compat_rdma.h"
#include "queue/queue.h"

static size_t cq_ring_size(u32 depth)
{
	return sizeof(struct sodp_cq_page) +
	       (size_t)depth * sizeof(struct sodp_cqe);
}

static void cq_use_ring(struct sodp_cq *cq, struct sodp_smem *ring, u32 depth)
{
	cq->ring = ring;
	cq->page = ring->mem;
	cq->cqes = ring->mem + sizeof(struct sodp_cq_page);
	/* Pairs with READ_ONCE() of those that only report it */
	WRITE_ONCE(cq->depth, depth);
}

static enum hrtimer_restart cq_mod_expired(struct hrtimer *timer)
{
	struct sodp_cq *cq = container_of(timer, struct sodp_cq, mod_timer);
	bool fire;

	spin_lock(&cq->cq_lock);
	fire = cq->mod_pending != 0;
	cq->mod_pending = 0;
	spin_unlock(&cq->cq_lock);
	if (fire)
		cq->base_cq.comp_handler(&cq->base_cq, cq->base_cq.cq_context);
	return HRTIMER_NORESTART;
}

/**
 * sodp_cq_create() - create a CQ and its ring
 * @ibcq: allocated by ib_core
 * @attr: entries wanted, flags
 * @udata: takes struct sodp_create_cq_resp; NULL: a kernel consumer
 *
 * Context: process, may sleep.
 * Return: 0, -EOPNOTSUPP flags, -EINVAL, -ENOMEM.
 */
int sodp_cq_create(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		   struct ib_udata *udata)
{
	struct sodp_dev *dev = to_sodp_dev(ibcq->device);
	struct sodp_cq *cq = to_sodp_cq(ibcq);
	struct sodp_create_cq_resp resp = {};
	struct sodp_smem *ring;
	u32 depth;
	int ret;

	if (attr->flags & ~(IB_UVERBS_CQ_FLAGS_TIMESTAMP_COMPLETION |
			    IB_UVERBS_CQ_FLAGS_IGNORE_OVERRUN))
		return -EOPNOTSUPP;
	if (attr->flags & IB_UVERBS_CQ_FLAGS_IGNORE_OVERRUN)
		return -EOPNOTSUPP;
	if (!attr->cqe || attr->cqe > SODP_MAX_CQE)
		return -EINVAL;
	ret = sodp_udata_check(ibcq->device, udata, 0);
	if (!ret)
		ret = sodp_limit_take(dev, SODP_LIMIT_CQ);
	if (ret)
		return ret;
	mutex_init(&cq->resize_mutex);
	spin_lock_init(&cq->cq_lock);
	spin_lock_init(&cq->poll_lock);
	depth = roundup_pow_of_two(attr->cqe);
	ring = sodp_smem_alloc(udata ? sodp_udata_context(udata) : NULL,
			       cq_ring_size(depth));
	if (IS_ERR(ring)) {
		ret = PTR_ERR(ring);
		goto err_give;
	}
	cq_use_ring(cq, ring, depth);
	cq->timestamps = attr->flags &
			 IB_UVERBS_CQ_FLAGS_TIMESTAMP_COMPLETION;
	hrtimer_setup(&cq->mod_timer, cq_mod_expired, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_SOFT);
	ibcq->cqe = depth;
	if (!udata)
		return 0;

	resp.mmap_offset = sodp_smem_offset(ring);
	resp.mmap_size = ring->size;
	resp.depth = depth;
	resp.ring_offset = sizeof(struct sodp_cq_page);
	ret = ib_copy_to_udata(udata, &resp, min(sizeof(resp), udata->outlen));
	if (ret)
		goto err_free_ring;
	return 0;

err_free_ring:
	sodp_smem_free(ring);
err_give:
	sodp_limit_give(dev, SODP_LIMIT_CQ);
	return ret;
}

int sodp_cq_destroy(struct ib_cq *ibcq, struct ib_udata *udata)
{
	struct sodp_cq *cq = to_sodp_cq(ibcq);

	/* No QP uses it any more: ib_core counts them */
	hrtimer_cancel(&cq->mod_timer);
	sodp_smem_free(cq->ring);
	sodp_limit_give(to_sodp_dev(ibcq->device), SODP_LIMIT_CQ);
	return 0;
}

/* Entries that a resize moves in one go, and with the lock held */
#define CQ_MOVE_ENTRIES		1024
#define CQ_MOVE_LOCKED		64

static void cq_copy(const struct sodp_cq *cq, struct sodp_smem *ring,
		    u32 depth, u32 from, u32 to)
{
	struct sodp_cqe *cqes = ring->mem + sizeof(struct sodp_cq_page);
	u32 i;

	for (i = from; i != to; i++)
		cqes[i & (depth - 1)] = cq->cqes[i & (cq->depth - 1)];
}

static void cq_swap_ring(struct sodp_cq *cq, struct sodp_smem *ring, u32 depth,
			 u32 ci)
{
	struct sodp_cq_page *page = ring->mem;

	lockdep_assert_held(&cq->cq_lock);
	page->ci = ci;
	page->pi = cq->pi;
	page->arm = READ_ONCE(cq->page->arm);
	cq_use_ring(cq, ring, depth);
}

/*
 * Move the entries not polled yet, from @ci on and under their indices, to
 * @ring. What is there stays as it is, for nobody polls, so that all but the
 * newest are copied without the lock. At most the entries of a ring are.
 */
static int cq_move(struct sodp_cq *cq, struct sodp_smem *ring, u32 depth,
		   u32 ci)
{
	u32 done = ci;
	u32 left, n;

	lockdep_assert_held(&cq->resize_mutex);
	for (;;) {
		spin_lock_bh(&cq->cq_lock);
		if (cq->pi - ci > min(depth, cq->depth)) {
			spin_unlock_bh(&cq->cq_lock);
			return -EINVAL;
		}
		left = cq->pi - done;
		if (left <= CQ_MOVE_LOCKED) {
			cq_copy(cq, ring, depth, done, cq->pi);
			cq_swap_ring(cq, ring, depth, ci);
			spin_unlock_bh(&cq->cq_lock);
			return 0;
		}
		spin_unlock_bh(&cq->cq_lock);
		n = min_t(u32, left, CQ_MOVE_ENTRIES);
		cq_copy(cq, ring, depth, done, done + n);
		done += n;
		cond_resched();
	}
}

/**
 * sodp_cq_resize() - give a CQ another depth
 * @ibcq: the CQ
 * @cqe: entries wanted
 * @udata: takes struct sodp_resize_cq_resp
 *
 * The application does not poll meanwhile (the provider holds its lock).
 *
 * Context: process, may sleep.
 * Return: 0, -EINVAL when the entries in it do not fit, -ENOMEM.
 */
int sodp_cq_resize(struct ib_cq *ibcq, unsigned int cqe,
		   struct ib_udata *udata)
{
	struct sodp_cq *cq = to_sodp_cq(ibcq);
	struct sodp_resize_cq_resp resp = {};
	struct sodp_smem *ring;
	struct sodp_smem *old;
	u32 depth;
	int ret;

	if (!udata || !cqe || cqe > SODP_MAX_CQE)
		return -EINVAL;
	ret = sodp_udata_check(ibcq->device, udata, 0);
	if (ret)
		return ret;
	depth = roundup_pow_of_two(cqe);
	ring = sodp_smem_alloc(sodp_udata_context(udata), cq_ring_size(depth));
	if (IS_ERR(ring))
		return PTR_ERR(ring);
	resp.mmap_offset = sodp_smem_offset(ring);
	resp.mmap_size = ring->size;
	resp.depth = depth;
	resp.ring_offset = sizeof(struct sodp_cq_page);
	mutex_lock(&cq->resize_mutex);
	old = cq->ring;
	resp.ci = READ_ONCE(cq->page->ci);
	ret = ib_copy_to_udata(udata, &resp, min(sizeof(resp), udata->outlen));
	if (!ret)
		ret = cq_move(cq, ring, depth, resp.ci);
	if (!ret)
		ibcq->cqe = depth;
	mutex_unlock(&cq->resize_mutex);
	sodp_smem_free(ret ? ring : old);
	return ret;
}

int sodp_cq_modify(struct ib_cq *ibcq, u16 count, u16 period)
{
	struct sodp_cq *cq = to_sodp_cq(ibcq);

	spin_lock_bh(&cq->cq_lock);
	cq->mod_count = count;
	cq->mod_period_us = period;
	spin_unlock_bh(&cq->cq_lock);
	return 0;
}

/* Is an event due for the entry just published? Under cq_lock. */
static bool cq_event_due(struct sodp_cq *cq, bool solicited)
{
	u32 arm = READ_ONCE(cq->page->arm);

	if (arm != cq->arm_seen) {
		if ((arm & 3) != SODP_CQ_ARM_NEXT &&
		    !((arm & 3) == SODP_CQ_ARM_SOLICITED && solicited))
			return false;
		cq->arm_seen = arm;
		if (cq->mod_count <= 1 || !cq->mod_period_us) {
			cq->mod_pending = 0;
			return true;
		}
		/*
		 * The first of a moderated group starts the clock. Armed again
		 * meanwhile, the group goes on: who arms often gets his event.
		 */
		if (!cq->mod_pending)
			hrtimer_start(&cq->mod_timer,
				      ns_to_ktime(cq->mod_period_us *
						  NSEC_PER_USEC),
				      HRTIMER_MODE_REL_SOFT);
		cq->mod_pending++;
	} else if (cq->mod_pending) {
		cq->mod_pending++;
	}
	if (!cq->mod_pending || cq->mod_pending < cq->mod_count)
		return false;
	cq->mod_pending = 0;
	return true;
}

/*
 * A kernel consumer's handler expects what an interrupt gives it: no
 * preemption, and softirqs that it raises run soon. A poller that raised
 * one (irq_poll) has it run right here.
 */
static void cq_fire(struct sodp_cq *cq)
{
	if (likely(cq->base_cq.uobject)) {
		cq->base_cq.comp_handler(&cq->base_cq, cq->base_cq.cq_context);
		return;
	}
	if (!cq->base_cq.comp_handler)
		return;
	local_bh_disable();
	cq->base_cq.comp_handler(&cq->base_cq, cq->base_cq.cq_context);
	local_bh_enable();
}

static void cq_raise_overflow(struct sodp_cq *cq)
{
	struct ib_event event = {
		.device = cq->base_cq.device,
		.event = IB_EVENT_CQ_ERR,
		.element.cq = &cq->base_cq,
	};

	sodp_count(to_sodp_dev(cq->base_cq.device), SODP_CNT_cq_overflows, 1);
	ibdev_dbg(cq->base_cq.device, "CQ of %u entries overflowed\n",
		  cq->depth);
	if (cq->base_cq.event_handler)
		cq->base_cq.event_handler(&event, cq->base_cq.cq_context);
}

/**
 * sodp_cq_post() - write one entry and raise the event it is due
 * @cq: the CQ, kept alive by the QP that the caller holds a mutex of
 * @cqe: the entry; its timestamp is filled in here
 * @solicited: it satisfies a solicited-only arm
 *
 * Context: process, under an exec_mutex or a resp_mutex.
 * Return: 0, or -ENOSPC: the CQ overflowed, now or before, and the entry is
 * lost.
 */
int sodp_cq_post(struct sodp_cq *cq, struct sodp_cqe *cqe, bool solicited)
{
	bool overflow = false;
	bool fire;

	if (cq->timestamps)
		cqe->timestamp = ktime_get_raw_ns();
	spin_lock_bh(&cq->cq_lock);
	if (unlikely(cq->overflowed ||
		     cq->pi - READ_ONCE(cq->page->ci) >= cq->depth)) {
		overflow = !cq->overflowed;
		cq->overflowed = true;
		spin_unlock_bh(&cq->cq_lock);
		if (overflow)
			cq_raise_overflow(cq);
		return -ENOSPC;
	}
	cq->cqes[cq->pi & (cq->depth - 1)] = *cqe;
	cq->pi++;
	/* Pairs with the acquire load of pi by the provider */
	smp_store_release(&cq->page->pi, cq->pi);
	/*
	 * Publish pi before reading arm. Pairs with the full barrier between
	 * the store to arm and the poll that follows it in the provider.
	 */
	smp_mb();
	fire = cq_event_due(cq, solicited);
	spin_unlock_bh(&cq->cq_lock);
	if (fire)
		cq_fire(cq);
	return 0;
}
