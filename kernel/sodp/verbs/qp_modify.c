// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The QP state machine (IBA 10.3.1) and the attributes set along its way.
 */
#include "net/net.h"
#include "qp/transport.h"
#include "verbs/verbs.h"

static int modify_check_path(struct sodp_qp *qp, const struct ib_qp_attr *attr,
			     int mask)
{
	if ((mask & IB_QP_PORT) && attr->port_num != 1)
		return -EINVAL;
	if ((mask & IB_QP_PKEY_INDEX) && attr->pkey_index)
		return -EINVAL;
	if (mask & (IB_QP_ALT_PATH | IB_QP_RATE_LIMIT))
		return -EOPNOTSUPP;
	if ((mask & IB_QP_PATH_MIG_STATE) &&
	    attr->path_mig_state != IB_MIG_MIGRATED)
		return -EINVAL;
	/* Not by ib_query_port(), which takes RTNL and asks the netdev */
	if ((mask & IB_QP_PATH_MTU) &&
	    (attr->path_mtu < IB_MTU_256 ||
	     attr->path_mtu > sodp_active_mtu(qp->dev)))
		return -EINVAL;
	if ((mask & IB_QP_AV) &&
	    !(rdma_ah_get_ah_flags(&attr->ah_attr) & IB_AH_GRH))
		return -EINVAL;
	return 0;
}

static int modify_check(struct sodp_qp *qp, const struct ib_qp_attr *attr,
			int mask, enum ib_qp_state cur, enum ib_qp_state next)
{
	if (!ib_modify_qp_is_ok(cur, next, qp->type, mask))
		return -EINVAL;
	if ((mask & IB_QP_MAX_QP_RD_ATOMIC) &&
	    attr->max_rd_atomic > SODP_MAX_RD_ATOMIC)
		return -EINVAL;
	if ((mask & IB_QP_MAX_DEST_RD_ATOMIC) &&
	    attr->max_dest_rd_atomic > SODP_MAX_RD_ATOMIC)
		return -EINVAL;
	if ((mask & IB_QP_TIMEOUT) && attr->timeout > 31)
		return -EINVAL;
	if ((mask & IB_QP_RETRY_CNT) && attr->retry_cnt > 7)
		return -EINVAL;
	if ((mask & IB_QP_RNR_RETRY) && attr->rnr_retry > 7)
		return -EINVAL;
	if ((mask & IB_QP_MIN_RNR_TIMER) && attr->min_rnr_timer > 31)
		return -EINVAL;
	if ((mask & IB_QP_DEST_QPN) && attr->dest_qp_num > SODP_MAX_QPN)
		return -EINVAL;
	return modify_check_path(qp, attr, mask);
}

static void modify_store_av(struct sodp_qp *qp, const struct ib_qp_attr *attr)
{
	lockdep_assert_held(&qp->state_lock);
	qp->attr.ah_attr = attr->ah_attr;
	/* A reference of the caller's that ends with this call */
	qp->attr.ah_attr.grh.sgid_attr = NULL;
}

static void modify_store(struct sodp_qp *qp, const struct ib_qp_attr *attr,
			 int mask)
{
	lockdep_assert_held(&qp->state_lock);
#define STORE(bit, field)					\
	do {							\
		if (mask & (bit))				\
			qp->attr.field = attr->field;		\
	} while (0)
	STORE(IB_QP_ACCESS_FLAGS, qp_access_flags);
	STORE(IB_QP_PKEY_INDEX, pkey_index);
	STORE(IB_QP_PORT, port_num);
	STORE(IB_QP_QKEY, qkey);
	STORE(IB_QP_PATH_MTU, path_mtu);
	STORE(IB_QP_TIMEOUT, timeout);
	STORE(IB_QP_RETRY_CNT, retry_cnt);
	STORE(IB_QP_RNR_RETRY, rnr_retry);
	STORE(IB_QP_RQ_PSN, rq_psn);
	STORE(IB_QP_SQ_PSN, sq_psn);
	STORE(IB_QP_MAX_QP_RD_ATOMIC, max_rd_atomic);
	STORE(IB_QP_MAX_DEST_RD_ATOMIC, max_dest_rd_atomic);
	STORE(IB_QP_MIN_RNR_TIMER, min_rnr_timer);
	STORE(IB_QP_DEST_QPN, dest_qp_num);
	STORE(IB_QP_EN_SQD_ASYNC_NOTIFY, en_sqd_async_notify);
#undef STORE
	if (mask & IB_QP_AV)
		modify_store_av(qp, attr);
	if (mask & IB_QP_SQ_PSN)
		qp->req.psn = attr->sq_psn & 0xffffff;
	if (mask & IB_QP_RQ_PSN)
		/* Pairs with the READ_ONCE() of who has no mutex */
		WRITE_ONCE(qp->resp.psn, attr->rq_psn & 0xffffff);
}

/* Both mutexes are held: drop all that was posted and start afresh */
static void modify_reset(struct sodp_qp *qp)
{
	lockdep_assert_held(&qp->req.exec_mutex);
	lockdep_assert_held(&qp->resp.resp_mutex);
	sodp_park_cancel_locked(qp);
	qp->req.wqe.valid = false;
	sodp_rq_forget_locked(qp);
	qp->resp.last_wqe_sent = false;
	qp->resp.comm_est = false;
	if (qp->page) {
		qp->req.sq_ci = READ_ONCE(qp->page->sq_pi);
		qp->resp.rq_ci = READ_ONCE(qp->page->rq_pi);
		WRITE_ONCE(qp->page->sq_ci, qp->req.sq_ci);
		WRITE_ONCE(qp->page->rq_ci, qp->resp.rq_ci);
		WRITE_ONCE(qp->sq_freed, qp->req.sq_ci);
		WRITE_ONCE(qp->rq_freed, qp->resp.rq_ci);
	}
	sodp_qp_page_flags(qp, 0, ~0U);
	spin_lock(&qp->state_lock);
	memset(&qp->attr, 0, sizeof(qp->attr));
	spin_unlock(&qp->state_lock);
	WRITE_ONCE(qp->peer_dev_id, 0);
	qp->resp.msn = 0;
	sodp_transports_do(reset_sends, qp);
	sodp_transports_do(reset_recvs, qp);
}

/* Where the peer is, and what that takes; on error the state stays */
static int modify_connect(struct sodp_qp *qp, const struct ib_qp_attr *attr,
			  int mask)
{
	const struct sodp_transport *const *t;
	int ret;

	if (!(mask & IB_QP_AV))
		return 0;
	/* In SQD before it is drained */
	if (sodp_qp_busy(qp))
		return -EINVAL;
	for (t = sodp_transports; *t; t++) {
		ret = (*t)->connect ? (*t)->connect(qp, attr, mask) : 1;
		if (ret < 0)
			return ret;
		if (ret)
			continue;
		/* Pairs with the READ_ONCE() in sodp_qp_busy() */
		WRITE_ONCE(qp->req.transport, *t);
		return 0;
	}
	return -EINVAL;
}

static int modify_rd_atomic(struct sodp_qp *qp, const struct ib_qp_attr *attr,
			    int mask)
{
	const struct sodp_transport *const *t;
	int ret;

	for (t = sodp_transports; *t; t++) {
		ret = (*t)->rd_atomic ? (*t)->rd_atomic(qp, attr, mask) : 0;
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * sodp_qp_modify() - change state and attributes
 * @ibqp: the QP
 * @attr: values
 * @mask: which of them
 * @udata: has nothing
 *
 * A move to the error state has flushed both queues when this returns.
 *
 * Context: process, may sleep; waits for the slice of work in progress.
 * Return: 0; -EINVAL illegal transition or value; -EOPNOTSUPP alternate
 * path, rate limit; -EADDRINUSE and others of @connect.
 */
int sodp_qp_modify(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		   struct ib_udata *udata)
{
	struct sodp_qp *qp = to_sodp_qp(ibqp);
	enum ib_qp_state cur, next;
	u32 peer_qpn;
	int ret;

	ret = sodp_udata_check(ibqp->device, udata, 0);
	if (ret)
		return ret;
	if (mask & ~IB_QP_ATTR_STANDARD_BITS)
		return -EOPNOTSUPP;
	mutex_lock(&qp->req.exec_mutex);
	mutex_lock(&qp->resp.resp_mutex);
	peer_qpn = qp->attr.dest_qp_num;
	cur = mask & IB_QP_CUR_STATE ? attr->cur_qp_state : qp->state;
	next = mask & IB_QP_STATE ? attr->qp_state : cur;
	ret = cur == qp->state ? modify_check(qp, attr, mask, cur, next) :
				 -EINVAL;
	if (ret)
		goto out_unlock;
	ret = modify_connect(qp, attr, mask);
	if (!ret)
		ret = modify_rd_atomic(qp, attr, mask);
	if (ret)
		goto out_unlock;
	sodp_transports_do(forget, qp);
	if (next == IB_QPS_RESET)
		modify_reset(qp);
	spin_lock(&qp->state_lock);
	modify_store(qp, attr, mask);
	/* Pairs with the READ_ONCE() of state on the data path */
	WRITE_ONCE(qp->state, next);
	spin_unlock(&qp->state_lock);
	if (mask & IB_QP_SQ_PSN)
		sodp_transports_do(reset_sends, qp);
	if (next == IB_QPS_SQD && cur == IB_QPS_RTS)
		qp->req.sqd_event = qp->attr.en_sqd_async_notify;
	if (next == IB_QPS_ERR)
		sodp_park_cancel_locked(qp);
out_unlock:
	mutex_unlock(&qp->resp.resp_mutex);
	if (!ret && next == IB_QPS_ERR)
		sodp_sq_flush_locked(qp);
	sodp_qp_unlock(qp);
	if (!ret && next == IB_QPS_RESET)
		sodp_transports_do(leave, qp, peer_qpn);
	if (!ret && next != IB_QPS_ERR)
		sodp_sq_doorbell(qp);
	if (ret)
		ibdev_dbg(&qp->dev->base_dev,
			  "QP %#x: modify %d -> %d, mask %#x: %d\n", qp->qpn,
			  cur, next, mask, ret);
	return ret;
}
