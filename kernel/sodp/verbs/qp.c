// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Queue pairs: creation, lookup, query and destruction. What a QP does is in
 * sq.c (requester) and resp.c (responder).
 */
#include <linux/delay.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <rdma/uverbs_ioctl.h>

#include "verbs/verbs.h"
#include "xport/local.h"
#include "xport/rc/wire_req.h"
#include "xport/ud/ud.h"

/* QPs that are not freed yet: the module has to stay for them */
static atomic_t qp_alive = ATOMIC_INIT(0);
/* Of its size: kmalloc() would take more */
static struct kmem_cache *qp_cache;

struct sodp_qp *sodp_qp_get(u32 qpn)
{
	struct sodp_qp *qp;

	rcu_read_lock();
	qp = xa_load(&sodp_qps, qpn);
	if (qp && !refcount_inc_not_zero(&qp->ref))
		qp = NULL;
	rcu_read_unlock();
	return qp;
}

/**
 * sodp_qp_get_tracked() - the QP of a resource tracking entry
 * @ibqp: the entry's, which ib_core keeps while it is looked at; the QP may be
 *	destroyed meanwhile
 *
 * Context: any.
 * Return: referenced, maybe dead; NULL when it is gone.
 */
struct sodp_qp *sodp_qp_get_tracked(struct ib_qp *ibqp)
{
	struct sodp_qp *qp;

	rcu_read_lock();
	/* Pairs with rcu_assign_pointer() in sodp_qp_create() */
	qp = rcu_dereference(to_ibqp(ibqp)->qp);
	if (qp && !refcount_inc_not_zero(&qp->ref))
		qp = NULL;
	rcu_read_unlock();
	return qp;
}

static void qp_free_rcu(struct rcu_head *rcu)
{
	kmem_cache_free(qp_cache, container_of(rcu, struct sodp_qp, rcu));
}

static void qp_free(struct sodp_qp *qp)
{
	sodp_wire_free(qp);
	sodp_ud_free(qp);
	sodp_payer_put(qp->payer);
	kfree(qp->segs);
	call_rcu(&qp->rcu, qp_free_rcu);
	atomic_dec(&qp_alive);
}

void sodp_qp_put(struct sodp_qp *qp)
{
	if (!refcount_dec_and_test(&qp->ref))
		return;
	qp_free(qp);
}

/**
 * sodp_qp_queue_work() - queue work that holds a reference on its QP
 * @qp: the QP; the caller has a reference or one of its mutexes
 * @wq: where to
 * @work: ends with sodp_qp_put()
 *
 * Context: any.
 */
void sodp_qp_queue_work(struct sodp_qp *qp, struct workqueue_struct *wq,
			struct work_struct *work)
{
	refcount_inc(&qp->ref);
	if (queue_work(wq, work))
		sodp_rescue_note(qp);
	else
		sodp_qp_put(qp);
}

/**
 * sodp_qps_wait() - wait until every QP is freed
 *
 * Packets that the stack has not sent yet keep theirs.
 *
 * Context: process, may sleep.
 */
void sodp_qps_wait(void)
{
	while (atomic_read(&qp_alive))
		msleep(20);
	/* The last one may be freed by a destructor on its way out */
	synchronize_rcu();
}

int sodp_qps_init(void)
{
	xa_init_flags(&sodp_qps, XA_FLAGS_ALLOC);
	qp_cache = KMEM_CACHE(sodp_qp, SLAB_ACCOUNT);
	return qp_cache ? 0 : -ENOMEM;
}

/**
 * sodp_qps_exit() - undo sodp_qps_init()
 *
 * After sodp_qps_wait(), and an rcu_barrier().
 */
void sodp_qps_exit(void)
{
	WARN_ON(!xa_empty(&sodp_qps));
	xa_destroy(&sodp_qps);
	kmem_cache_destroy(qp_cache);
}

/**
 * sodp_qp_event() - raise an affiliated asynchronous event
 * @qp: a QP that is not dead, under one of its mutexes
 * @type: which
 */
void sodp_qp_event(struct sodp_qp *qp, enum ib_event_type type)
{
	struct ib_event event = {
		.device = &qp->dev->base_dev,
		.event = type,
		.element.qp = qp->ibqp,
	};

	if (qp->ibqp->event_handler)
		qp->ibqp->event_handler(&event, qp->ibqp->qp_context);
}

/**
 * sodp_qp_set_error() - move a QP to the error state
 * @qp: the QP
 *
 * Flushing is left to whoever executes the SQ next: the caller flushes, or
 * calls sodp_sq_kick().
 *
 * Context: process.
 * Return: true if the state changed.
 */
bool sodp_qp_set_error(struct sodp_qp *qp)
{
	bool changed = false;

	spin_lock(&qp->state_lock);
	if (qp->state != IB_QPS_ERR && qp->state != IB_QPS_RESET) {
		/* Pairs with the READ_ONCE() of state on the data path */
		WRITE_ONCE(qp->state, IB_QPS_ERR);
		changed = true;
	}
	spin_unlock(&qp->state_lock);
	return changed;
}

/**
 * sodp_qp_set_send_error() - an error of a send: which state does it lead to?
 * @qp: the QP
 *
 * Unreliable ones go on receiving, and may be brought back to RTS: IBA
 * 10.3.1.5. ib_mad counts on that for QP 1. As to flushing, see
 * sodp_qp_set_error().
 *
 * Context: process, under exec_mutex.
 */
void sodp_qp_set_send_error(struct sodp_qp *qp)
{
	lockdep_assert_held(&qp->exec_mutex);
	if (!sodp_is_ud(qp) && qp->type != IB_QPT_UC) {
		sodp_qp_set_error(qp);
		return;
	}
	spin_lock(&qp->state_lock);
	if (qp->state == IB_QPS_RTS || qp->state == IB_QPS_SQD)
		/* Pairs with the READ_ONCE() of state on the data path */
		WRITE_ONCE(qp->state, IB_QPS_SQE);
	spin_unlock(&qp->state_lock);
}

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
	qp->sq_stride = ALIGN(sizeof(struct sodp_sqe) + payload, 64);
	cap->max_inline_data = min_t(u32, SODP_MAX_INLINE, qp->sq_stride -
				     sizeof(struct sodp_sqe));
	qp->sq_depth = roundup_pow_of_two(max_t(u32, cap->max_send_wr, 1));
	cap->max_send_wr = qp->sq_depth;
	if (qp->srq || qp->type == IB_QPT_XRC_INI) {
		cap->max_recv_wr = 0;
		cap->max_recv_sge = 0;
		return;
	}
	cap->max_recv_sge = max_t(u32, cap->max_recv_sge, 1);
	qp->rq_stride = sizeof(struct sodp_rqe) +
			cap->max_recv_sge * sizeof(struct sodp_sge);
	qp->rq_depth = roundup_pow_of_two(max_t(u32, cap->max_recv_wr, 1));
	cap->max_recv_wr = qp->rq_depth;
}

static int qp_make_ring(struct sodp_qp *qp)
{
	size_t sq_size = (size_t)qp->sq_depth * qp->sq_stride;
	size_t rq_size = (size_t)qp->rq_depth * qp->rq_stride;

	if (!qp->sq_depth)
		return 0;
	/* The rings start behind the index lines, which are 192 bytes */
	qp->ring = sodp_ring_alloc(qp->ucontext, sizeof(struct sodp_qp_page) +
				   sq_size + rq_size);
	if (IS_ERR(qp->ring))
		return PTR_ERR(qp->ring);
	qp->page = qp->ring->mem;
	qp->sq = qp->ring->mem + sizeof(struct sodp_qp_page);
	qp->rq = qp->sq + sq_size;
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
	qp->segs = kcalloc(send + recv, sizeof(struct sodp_seg) +
			   sizeof(struct sodp_sge), GFP_KERNEL_ACCOUNT);
	if (!qp->segs)
		return -ENOMEM;
	qp->recv_segs = qp->segs + send;
	qp->wqe.sge = (struct sodp_sge *)(qp->recv_segs + recv);
	qp->recv.sge = qp->wqe.sge + send;
	return 0;
}

static int qp_reply(struct sodp_qp *qp, struct ib_udata *udata)
{
	struct sodp_create_qp_resp resp = {
		.qpn = qp->qpn,
		.sq_depth = qp->sq_depth,
		.sq_stride = qp->sq_stride,
		.rq_depth = qp->rq_depth,
		.rq_stride = qp->rq_stride,
		.max_inline = qp->cap.max_inline_data,
		.max_send_sge = qp->cap.max_send_sge,
		.max_recv_sge = qp->cap.max_recv_sge,
	};

	if (!qp->ring)
		return 0;
	if (udata->inlen >= sizeof(struct sodp_create_qp_cmd))
		resp.comp_mask = SODP_CREATE_QP_COOKIES;
	resp.mmap_offset = sodp_ring_offset(qp->ring);
	resp.mmap_size = qp->ring->size;
	resp.sq_offset = qp->sq - (u8 *)qp->ring->mem;
	resp.rq_offset = qp->rq - (u8 *)qp->ring->mem;
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
	struct sodp_qp *qp = kmem_cache_zalloc(qp_cache, GFP_KERNEL_ACCOUNT);

	if (!qp)
		return NULL;
	refcount_set(&qp->ref, 1);
	atomic_inc(&qp_alive);
	qp->dev = to_sodp_dev(ibqp->device);
	qp->dev_id = qp->dev->id;
	qp->ibqp = ibqp;
	qp->type = init->qp_type;
	qp->sig_type = init->sq_sig_type;
	qp->send_cq = to_sodp_cq(init->send_cq);
	qp->recv_cq = to_sodp_cq(init->recv_cq);
	qp->srq = to_sodp_srq(init->srq);
	qp->pd = ibqp->pd;
	qp->xrcd = init->xrcd;
	qp->state = IB_QPS_RESET;
	spin_lock_init(&qp->state_lock);
	spin_lock_init(&qp->sq_post_lock);
	spin_lock_init(&qp->rq_post_lock);
	mutex_init(&qp->exec_mutex);
	mutex_init(&qp->resp_mutex);
	INIT_WORK(&qp->sq_work, sodp_sq_work);
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
	static u32 next_qpn = SODP_MIN_QPN;
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
		qp->kernel = qp->type != IB_QPT_XRC_TGT;
	ret = qp_read_cmd(qp, udata);
	if (ret)
		goto err_free_qp;
	qp_size_rings(qp, &init->cap);
	qp->cap = init->cap;
	ret = qp_make_lists(qp);
	if (ret)
		goto err_free_qp;
	ret = sodp_ud_init(qp);
	if (ret)
		goto err_free_qp;
	/* Who sends for it later, as ib_cm does, may not be able to sleep */
	sodp_net_retry(qp->dev);
	ret = qp_make_ring(qp);
	if (ret)
		goto err_free_qp;
	ret = xa_alloc_cyclic(&sodp_qps, &qp->qpn, NULL,
			      XA_LIMIT(SODP_MIN_QPN, SODP_MAX_QPN), &next_qpn,
			      GFP_KERNEL_ACCOUNT);
	if (ret < 0) {
		/* -EBUSY: all numbers are in use, somewhere on this host */
		ret = -ENOMEM;
		goto err_free_ring;
	}
	ibqp->qp_num = qp->type == IB_QPT_GSI ? 1 : qp->qpn;
	ret = udata ? qp_reply(qp, udata) : 0;
	if (ret)
		goto err_erase;
	rcu_assign_pointer(to_ibqp(ibqp)->qp, qp);
	/* Lookups find it from here on */
	xa_store(&sodp_qps, qp->qpn, qp, GFP_KERNEL);
	if (qp->type == IB_QPT_GSI)
		rcu_assign_pointer(qp->dev->gsi, qp);
	return 0;

err_erase:
	xa_erase(&sodp_qps, qp->qpn);
err_free_ring:
	sodp_ring_free(qp->ring);
err_free_qp:
	qp_free(qp);
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
	sodp_mcast_forget(qp);
	if (qp->type == IB_QPT_GSI) {
		RCU_INIT_POINTER(qp->dev->gsi, NULL);
		/* Softirq looks GIDs up where there is a GSI */
		synchronize_net();
	}
	xa_erase(&sodp_qps, qp->qpn);
	/* Who polls may have found it: see kverbs_free_recv() */
	if (qp->kernel && qp->srq)
		synchronize_rcu();
	mutex_lock(&qp->exec_mutex);
	mutex_lock(&qp->resp_mutex);
	/* Pairs with the READ_ONCE() in local_is_peer() */
	WRITE_ONCE(qp->dead, true);
	spin_lock(&qp->state_lock);
	WRITE_ONCE(qp->state, IB_QPS_RESET);
	spin_unlock(&qp->state_lock);
	if (qp->wire) {
		sodp_wresp_reset(qp);
		sodp_rxq_close(&qp->wire->ack_queue);
	}
	sodp_ud_reset(qp);
	sodp_rq_forget_locked(qp);
	/* Completions that are still there will be dropped when polled */
	if (qp->kernel && qp->srq)
		atomic_add(atomic_read(&qp->srq_unpolled), &qp->srq->polled);
	mutex_unlock(&qp->resp_mutex);
	sodp_park_cancel_locked(qp);
	sodp_local_forget(qp);
	mutex_unlock(&qp->exec_mutex);
	sodp_local_leave(qp, qp->attr.dest_qp_num);
	/* Nothing starts the timers or queues the work for a dead QP */
	hrtimer_cancel(&qp->park_timer);
	sodp_wire_stop(qp);
	if (cancel_work_sync(&qp->sq_work))
		sodp_qp_put(qp);
	sodp_ring_free(qp->ring);
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
			    (sodp_on_wire(qp) ? sodp_wreq_busy(qp) :
						READ_ONCE(qp->wqe.valid));
	spin_unlock(&qp->state_lock);
	attr->sq_psn = READ_ONCE(qp->sq_psn);
	attr->rq_psn = READ_ONCE(qp->resp_psn);
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
