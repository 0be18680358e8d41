// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * XRC (IBA annex A14): domains, and the SRQs of them that every request
 * names by number. A target QP has no queues and no PD of its own: a request
 * is carried out with those of that SRQ.
 */
#include <linux/slab.h>

#include "queue/queue.h"

/* SRQs of all devices by number; a number comes again after 2^24 others */
static DEFINE_XARRAY_ALLOC1(xrc_srqs);

int sodp_xrcd_alloc(struct ib_xrcd *xrcd, struct ib_udata *udata)
{
	int ret = sodp_udata_check(xrcd->device, udata, 0);

	return ret ? : sodp_limit_take(to_sodp_dev(xrcd->device),
				       SODP_LIMIT_XRCD);
}

int sodp_xrcd_dealloc(struct ib_xrcd *xrcd, struct ib_udata *udata)
{
	sodp_limit_give(to_sodp_dev(xrcd->device), SODP_LIMIT_XRCD);
	return 0;
}

/**
 * sodp_xrc_number() - give an XRC SRQ its number
 * @srq: an SRQ that is being created
 *
 * Requests do not find it before sodp_xrc_publish().
 *
 * Context: process, may sleep.
 * Return: 0, -EINVAL without a domain or a CQ, -ENOMEM.
 */
int sodp_xrc_number(struct sodp_srq *srq)
{
	static u32 next_srqn;
	struct sodp_xsrq *xsrq;
	int ret;

	if (!srq->base_srq.ext.xrc.xrcd || !srq->base_srq.ext.cq)
		return -EINVAL;
	xsrq = kzalloc(sizeof(*xsrq), GFP_KERNEL_ACCOUNT);
	if (!xsrq)
		return -ENOMEM;
	refcount_set(&xsrq->ref, 1);
	init_completion(&xsrq->idle);
	xsrq->srq = srq;
	ret = xa_alloc_cyclic(&xrc_srqs, &xsrq->srqn, NULL,
			      XA_LIMIT(1, SODP_MAX_SRQN), &next_srqn,
			      GFP_KERNEL_ACCOUNT);
	if (ret < 0) {
		kfree(xsrq);
		/* -EBUSY: all numbers are in use, somewhere on this host */
		return -ENOMEM;
	}
	srq->xsrq = xsrq;
	srq->base_srq.ext.xrc.srq_num = xsrq->srqn;
	return 0;
}

void sodp_xrc_publish(struct sodp_srq *srq)
{
	xa_store(&xrc_srqs, srq->xsrq->srqn, srq->xsrq, GFP_KERNEL);
}

/**
 * sodp_xrc_retire() - no request uses the SRQ when this returns
 * @srq: an SRQ; nothing is done for one that has no number
 *
 * References are held for one slice of work, so the wait is short.
 *
 * Context: process, may sleep.
 */
void sodp_xrc_retire(struct sodp_srq *srq)
{
	struct sodp_xsrq *xsrq = srq->xsrq;

	if (!xsrq)
		return;
	xa_erase(&xrc_srqs, xsrq->srqn);
	if (!refcount_dec_and_test(&xsrq->ref))
		wait_for_completion(&xsrq->idle);
	srq->xsrq = NULL;
	kfree_rcu(xsrq, rcu);
}

/**
 * sodp_xrc_get() - the SRQ that a request names
 * @xrcd: domain of the target QP
 * @srqn: number of the SRQ
 *
 * Context: process.
 * Return: until sodp_xrc_put(); NULL: no such SRQ in that domain.
 */
struct sodp_xsrq *sodp_xrc_get(const struct ib_xrcd *xrcd, u32 srqn)
{
	struct sodp_xsrq *xsrq;

	rcu_read_lock();
	xsrq = xa_load(&xrc_srqs, srqn);
	if (xsrq && !refcount_inc_not_zero(&xsrq->ref))
		xsrq = NULL;
	rcu_read_unlock();
	if (unlikely(!xsrq))
		goto deny;
	/* A domain belongs to one device, so this checks the device too */
	if (likely(xsrq->srq->base_srq.ext.xrc.xrcd == xrcd))
		return xsrq;
	sodp_xrc_put(xsrq);
deny:
	ibdev_dbg(xrcd->device, "no SRQ %#x in the domain of a target\n",
		  srqn);
	return NULL;
}

void sodp_xrc_put(struct sodp_xsrq *xsrq)
{
	if (refcount_dec_and_test(&xsrq->ref))
		complete(&xsrq->idle);
}
