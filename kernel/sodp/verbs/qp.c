// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Queue pairs: creation, query and destruction. What a QP does is in qp/.
 */
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <rdma/uverbs_ioctl.h>

#include "net/net.h"
#include "qp/transport.h"
#include "verbs/verbs.h"

/* A target QP comes without udata: its ring would have no one to map it */
static int qp_check_type(const struct ib_qp_init_attr *init,
			 const struct ib_udata *udata)
{
	switch (init->qp_type) {
	case IB_QPT_GSI:
		if (udata)
			return -EOPNOTSUPP;
		fallthrough;
	case IB_QPT_UD:
	case IB_QPT_RC:
	case IB_QPT_UC:
		return init->send_cq && init->recv_cq ? 0 : -EINVAL;
	case IB_QPT_XRC_INI:
		if (!udata)
			return -EOPNOTSUPP;
		return init->send_cq && !init->srq ? 0 : -EINVAL;
	case IB_QPT_XRC_TGT:
		return init->xrcd && !init->srq ? 0 : -EINVAL;
	default:
		return -EOPNOTSUPP;
	}
}

static int qp_check_init(const struct ib_qp_init_attr *init,
			 const struct ib_udata *udata)
{
	if (init->create_flags)
		return -EOPNOTSUPP;
	if (init->rwq_ind_tbl || init->source_qpn)
		return -EOPNOTSUPP;
	if (init->cap.max_send_wr > SODP_MAX_QP_WR ||
	    init->cap.max_send_sge > SODP_MAX_SGE ||
	    init->cap.max_inline_data > SODP_MAX_INLINE)
		return -EINVAL;
	if (!init->srq && (init->cap.max_recv_wr > SODP_MAX_QP_WR ||
			   init->cap.max_recv_sge > SODP_MAX_SGE))
		return -EINVAL;
	return qp_check_type(init, udata);
}

/* Sizes of both rings; the caps that follow go back to the caller */
static void qp_size_rings(struct sodp_qp *qp, struct ib_qp_cap *cap)
{
	u32 payload;

	if (qp->type == IB_QPT_XRC_TGT) {
		memset(cap, 0, sizeof(*cap));
		return;
	}
	cap->max_send_sge = max_t(u32, cap->max_send_sge, 1);
	payload = max_t(u32, cap->max_send_sge * sizeof(struct sodp_sge),
			cap->max_inline_data);
	qp->req.sq_stride = ALIGN(sizeof(struct sodp_sqe) + payload, 64);
	cap->max_inline_data = min_t(u32, SODP_MAX_INLINE, qp->req.sq_stride -
				     sizeof(struct sodp_sqe));
	qp->req.sq_depth = roundup_pow_of_two(max_t(u32, cap->max_send_wr, 1));
	cap->max_send_wr = qp->req.sq_depth;
	if (qp->srq || qp->type == IB_QPT_XRC_INI) {
		cap->max_recv_wr = 0;
		cap->max_recv_sge = 0;
		return;
	}
	cap->max_recv_sge = max_t(u32, cap->max_recv_sge, 1);
	qp->resp.rq_stride = sizeof(struct sodp_rqe) +
			cap->max_recv_sge * sizeof(struct sodp_sge);
	qp->resp.rq_depth = roundup_pow_of_two(max_t(u32, cap->max_recv_wr, 1));
	cap->max_recv_wr = qp->resp.rq_depth;
}

static int qp_make_ring(struct sodp_qp *qp)
{
	size_t sq_size = (size_t)qp->req.sq_depth * qp->req.sq_stride;
	size_t rq_size = (size_t)qp->resp.rq_depth * qp->resp.rq_stride;

	if (!qp->req.sq_depth)
		return 0;
	/* The rings start behind the index lines, which are 192 bytes */
	qp->ring = sodp_smem_alloc(qp->ucontext, sizeof(struct sodp_qp_page) +
				   sq_size + rq_size);
	if (IS_ERR(qp->ring))
		return PTR_ERR(qp->ring);
	qp->page = qp->ring->mem;
	qp->req.sq = qp->ring->mem + sizeof(struct sodp_qp_page);
	qp->resp.rq = qp->req.sq + sq_size;
	return 0;
}

/* One allocation; as long as SGE lists of this QP can be */
static int qp_make_lists(struct sodp_qp *qp)
{
	u32 send = qp->cap.max_send_sge;
	u32 recv = qp->cap.max_recv_sge;

	if (qp->srq)
		recv = qp->srq->max_sge;
	else if (qp->xrcd)
		recv = SODP_MAX_SGE;	/* it serves any SRQ */
	qp->req.segs = kcalloc(send + recv, sizeof(struct sodp_seg) +
			       sizeof(struct sodp_sge), GFP_KERNEL_ACCOUNT);
	if (!qp->req.segs)
		return -ENOMEM;
	qp->resp.segs = qp->req.segs + send;
	qp->req.wqe.sge = (struct sodp_sge *)(qp->resp.segs + recv);
	qp->resp.recv.sge = qp->req.wqe.sge + send;
	return 0;
}

static int qp_reply(struct sodp_qp *qp, struct ib_udata *udata)
{
	struct sodp_create_qp_resp resp = {
		.qpn = qp->qpn,
		.sq_depth = qp->req.sq_depth,
		.sq_stride = qp->req.sq_stride,
		.rq_depth = qp->resp.rq_depth,
		.rq_stride = qp->resp.rq_stride,
		.max_inline = qp->cap.max_inline_data,
		.max_send_sge = qp->cap.max_send_sge,
		.max_recv_sge = qp->cap.max_recv_sge,
	};

	if (!qp->ring)
		return 0;
	if (udata->inlen >= sizeof(struct sodp_create_qp_cmd))
		resp.comp_mask = SODP_CREATE_QP_COOKIES;
	resp.mmap_offset = sodp_smem_offset(qp->ring);
	resp.mmap_size = qp->ring->size;
	resp.sq_offset = qp->req.sq - (u8 *)qp->ring->mem;
	resp.rq_offset = qp->resp.rq - (u8 *)qp->ring->mem;
	return ib_copy_to_udata(udata, &resp,
				min(sizeof(resp), udata->outlen));
}

/* An older provider sends nothing */
static int qp_read_cmd(struct sodp_qp *qp, struct ib_udata *udata)
{
	struct sodp_create_qp_cmd cmd;
	int ret;

	if (!udata || udata->inlen < sizeof(cmd))
		return 0;
	ret = ib_copy_from_udata(&cmd, udata, sizeof(cmd));
	if (ret)
		return ret;
	qp->sq_cookie = cmd.sq_cookie;
	qp->rq_cookie = cmd.rq_cookie;
	qp->strict = true;
	return 0;
}

static struct sodp_qp *qp_alloc(struct ib_qp *ibqp,
				const struct ib_qp_init_attr *init)
{
	struct sodp_qp *qp = sodp_qp_alloc();

	if (!qp)
		return NULL;
	qp->dev = to_sodp_dev(ibqp->device);
	qp->dev_id = qp->dev->id;
	qp->ibqp = ibqp;
	qp->type = init->qp_type;
	qp->sig_type = init->sq_sig_type;
	qp->send_cq = to_sodp_cq(init->send_cq);
	qp->recv_cq = to_sodp_cq(init->recv_cq);
	qp->srq = to_sodp_srq(init->srq);
	qp->user.dev = qp->dev;
	qp->user.pd = ibqp->pd;
	qp->xrcd = init->xrcd;
	qp->state = IB_QPS_RESET;
	spin_lock_init(&qp->state_lock);
	spin_lock_init(&qp->sq_post_lock);
	spin_lock_init(&qp->rq_post_lock);
	mutex_init(&qp->req.exec_mutex);
	mutex_init(&qp->resp.resp_mutex);
	INIT_WORK(&qp->req.sq_work, sodp_sq_work);
	sodp_park_init(qp);
	return qp;
}

/**
 * sodp_qp_create() - create a QP and its rings
 * @ibqp: allocated by ib_core
 * @init: wanted; the caps given come back in it, never less
 * @udata: struct sodp_create_qp_cmd, takes struct sodp_create_qp_resp; NULL
 *	for an XRC target or a kernel consumer
 *
 * Context: process, may sleep.
 * Return: 0, -EOPNOTSUPP type or flags not supported, -EINVAL caps beyond
 * the device's, driver data; -ENOMEM, also when it has as many QPs as
 * query_device says.
 */
int sodp_qp_create(struct ib_qp *ibqp, struct ib_qp_init_attr *init,
		   struct ib_udata *udata)
{
	struct sodp_qp *qp;
	int ret;

	ret = qp_check_init(init, udata);
	if (ret)
		return ret;
	ret = sodp_udata_check(ibqp->device, udata,
			       sizeof(struct sodp_create_qp_cmd));
	if (!ret)
		ret = sodp_limit_take(to_sodp_dev(ibqp->device),
				      SODP_LIMIT_QP);
	if (ret)
		return ret;
	qp = qp_alloc(ibqp, init);
	if (!qp) {
		ret = -ENOMEM;
		goto err_give;
	}
	if (udata)
		qp->ucontext = sodp_udata_context(udata);
	else
		qp->user.kernel = qp->type != IB_QPT_XRC_TGT;
	ret = qp_read_cmd(qp, udata);
	if (ret)
		goto err_free_qp;
	qp_size_rings(qp, &init->cap);
	qp->cap = init->cap;
	ret = qp_make_lists(qp);
	if (ret)
		goto err_free_qp;
	ret = sodp_qp_init_transport(qp);
	if (ret)
		goto err_free_qp;
	/* Who sends for it later, as ib_cm does, may not be able to sleep */
	sodp_net_retry(qp->dev);
	ret = qp_make_ring(qp);
	if (ret)
		goto err_free_qp;
	ret = sodp_qp_number(qp);
	if (ret)
		goto err_free_ring;
	ibqp->qp_num = qp->type == IB_QPT_GSI ? 1 : qp->qpn;
	ret = udata ? qp_reply(qp, udata) : 0;
	if (ret)
		goto err_erase;
	rcu_assign_pointer(to_ibqp(ibqp)->qp, qp);
	/* Lookups find it from here on */
	sodp_qp_publish(qp);
	if (qp->type == IB_QPT_GSI)
		rcu_assign_pointer(qp->dev->gsi, qp);
	return 0;

err_erase:
	sodp_qp_unpublish(qp);
err_free_ring:
	sodp_smem_free(qp->ring);
err_free_qp:
	sodp_qp_put(qp);
err_give:
	sodp_limit_give(to_sodp_dev(ibqp->device), SODP_LIMIT_QP);
	return ret;
}

/**
 * sodp_qp_destroy() - no request runs on the QP, or is begun, after this
 * @ibqp: the QP
 * @udata: unused
 *
 * Does not wait for a fault that the QP is parked for: memory behind a
 * userfaultfd may be served by the very process that is exiting here. The
 * worker keeps its own references and finds the QP dead. The mutexes are held
 * by others for a slice at most: SODP_POSTER_NS, SODP_WORKER_NS.
 *
 * Context: process, may sleep.
 * Return: 0.
 */
int sodp_qp_destroy(struct ib_qp *ibqp, struct ib_udata *udata)
{
	struct sodp_qp *qp = to_sodp_qp(ibqp);

	/* Who has it by sodp_qp_get_tracked() has a reference */
	RCU_INIT_POINTER(to_ibqp(ibqp)->qp, NULL);
	sodp_transports_do(detach, qp);
	if (qp->type == IB_QPT_GSI) {
		RCU_INIT_POINTER(qp->dev->gsi, NULL);
		/* Softirq looks GIDs up where there is a GSI */
		synchronize_net();
	}
	sodp_qp_unpublish(qp);
	/* Who polls may have found it: see kverbs_free_recv() */
	if (qp->user.kernel && qp->srq)
		synchronize_rcu();
	mutex_lock(&qp->req.exec_mutex);
	mutex_lock(&qp->resp.resp_mutex);
	/* Pairs with the READ_ONCE() in local_is_peer() */
	WRITE_ONCE(qp->dead, true);
	spin_lock(&qp->state_lock);
	WRITE_ONCE(qp->state, IB_QPS_RESET);
	spin_unlock(&qp->state_lock);
	sodp_transports_do(close, qp);
	sodp_rq_forget_locked(qp);
	/* Completions that are still there will be dropped when polled */
	if (qp->user.kernel && qp->srq)
		atomic_add(atomic_read(&qp->srq_unpolled), &qp->srq->polled);
	mutex_unlock(&qp->resp.resp_mutex);
	sodp_park_cancel_locked(qp);
	sodp_transports_do(forget, qp);
	mutex_unlock(&qp->req.exec_mutex);
	sodp_transports_do(leave, qp, qp->attr.dest_qp_num);
	/* Nothing starts the timers or queues the work for a dead QP */
	hrtimer_cancel(&qp->req.park_timer);
	sodp_transports_do(stop, qp);
	if (cancel_work_sync(&qp->req.sq_work))
		sodp_qp_put(qp);
	sodp_smem_free(qp->ring);
	sodp_qp_put(qp);
	sodp_limit_give(to_sodp_dev(ibqp->device), SODP_LIMIT_QP);
	return 0;
}

/**
 * sodp_qp_query() - report attributes and caps
 * @ibqp: the QP
 * @attr: result
 * @mask: ignored, all is reported
 * @init: result
 *
 * Context: process.
 * Return: 0; -EAGAIN: it is being destroyed, which resource tracking alone can
 * see, and passes over.
 */
int sodp_qp_query(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		  struct ib_qp_init_attr *init)
{
	struct sodp_qp *qp = sodp_qp_get_tracked(ibqp);

	if (!qp)
		return -EAGAIN;
	spin_lock(&qp->state_lock);
	*attr = qp->attr;
	attr->qp_state = qp->state;
	attr->cur_qp_state = qp->state;
	attr->sq_draining = qp->state == IB_QPS_SQD &&
			    sodp_qp_busy(qp);
	spin_unlock(&qp->state_lock);
	attr->sq_psn = READ_ONCE(qp->req.psn);
	attr->rq_psn = READ_ONCE(qp->resp.psn);
	attr->cap = qp->cap;
	attr->port_num = 1;
	init->event_handler = ibqp->event_handler;
	init->qp_context = ibqp->qp_context;
	init->send_cq = ibqp->send_cq;
	init->recv_cq = ibqp->recv_cq;
	init->srq = ibqp->srq;
	init->cap = qp->cap;
	init->sq_sig_type = qp->sig_type;
	init->qp_type = qp->type;
	sodp_qp_put(qp);
	return 0;
}
