// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * XRC (IBA annex A14): domains, and the SRQs of them that every request
 * names by number. A target QP has no queues and no PD of its own: while a
 * request is carried out on it, it has those of that SRQ.
 */
#include <linux/slab.h>

#include "qp/qp.h"

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
 * sodp_xrc_enter() - lend a target QP the SRQ that a request names
 * @qp: a target QP
 * @srqn: number of the SRQ
 *
 * On success qp->srq and qp->pd are the SRQ's until sodp_xrc_leave().
 *
 * Context: process, under resp_mutex.
 * Return: SODP_OK; SODP_E_REM_INV_REQ no such SRQ in the QP's domain.
 */
enum sodp_verdict sodp_xrc_enter(struct sodp_qp *qp, u32 srqn)
{
	struct sodp_xsrq *xsrq;

	lockdep_assert_held(&qp->resp_mutex);
	rcu_read_lock();
	xsrq = xa_load(&xrc_srqs, srqn);
	if (xsrq && !refcount_inc_not_zero(&xsrq->ref))
		xsrq = NULL;
	rcu_read_unlock();
	if (unlikely(!xsrq))
		goto deny;
	qp->xsrq = xsrq;
	qp->srq = xsrq->srq;
	qp->pd = xsrq->srq->base_srq.pd;
	/* A domain belongs to one device, so this checks the device too */
	if (likely(xsrq->srq->base_srq.ext.xrc.xrcd == qp->xrcd))
		return SODP_OK;
	sodp_xrc_leave(qp);
deny:
	ibdev_dbg(&qp->dev->base_dev, "QP %#x: no SRQ %#x in its domain\n",
		  qp->qpn, srqn);
	return SODP_E_REM_INV_REQ;
}

/**
 * sodp_xrc_leave() - take back what sodp_xrc_enter() lent
 * @qp: any QP; nothing is done when it was lent nothing
 *
 * Context: process, under resp_mutex.
 */
void sodp_xrc_leave(struct sodp_qp *qp)
{
	struct sodp_xsrq *xsrq = qp->xsrq;

	lockdep_assert_held(&qp->resp_mutex);
	if (likely(!xsrq))
		return;
	qp->xsrq = NULL;
	qp->srq = NULL;
	qp->pd = NULL;
	if (refcount_dec_and_test(&xsrq->ref))
		complete(&xsrq->idle);
}
