// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * pair.c - two kernel QPs of one device, connected, and requests on them
 */
#include <linux/delay.h>
#include <linux/slab.h>
#include <rdma/ib_cache.h>

#include "kt.h"

#define KT_WRS		64
#define KT_WAIT_MS	20000

static void kt_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct kt_wr *wr = container_of(wc->wr_cqe, struct kt_wr, cqe);

	wr->status = wc->status;
	wr->opcode = wc->opcode;
	wr->byte_len = wc->byte_len;
	wr->flags = wc->wc_flags;
	wr->ex = wc->ex.invalidate_rkey;
	complete(&wr->done);
}

void kt_wr_init(struct kt_wr *wr, struct kt_side *side)
{
	wr->cqe.done = kt_done;
	wr->cq = side->cq;
	init_completion(&wr->done);
}

/* Wait for a completion; its status, or -ETIMEDOUT */
int kt_wait(struct kt_wr *wr)
{
	unsigned int ms;

	if (wr->cq->poll_ctx != IB_POLL_DIRECT) {
		if (!wait_for_completion_timeout(&wr->done,
						 msecs_to_jiffies(KT_WAIT_MS)))
			return -ETIMEDOUT;
		return wr->status;
	}
	for (ms = 0; ms < KT_WAIT_MS; ms++) {
		ib_process_cq_direct(wr->cq, -1);
		if (try_wait_for_completion(&wr->done))
			return wr->status;
		usleep_range(500, 1000);
	}
	return -ETIMEDOUT;
}

int kt_recv(struct kt_side *side, struct kt_wr *wr, struct ib_sge *sge,
	    int num)
{
	struct ib_recv_wr recv = {
		.wr_cqe = &wr->cqe,
		.sg_list = sge,
		.num_sge = num,
	};

	kt_wr_init(wr, side);
	if (side->qp->srq)
		return ib_post_srq_recv(side->qp->srq, &recv, NULL);
	return ib_post_recv(side->qp, &recv, NULL);
}

/* Post one request, signaled */
int kt_post(struct kt_side *side, struct kt_wr *wr, struct ib_send_wr *send)
{
	kt_wr_init(wr, side);
	send->wr_cqe = &wr->cqe;
	send->send_flags |= IB_SEND_SIGNALED;
	return ib_post_send(side->qp, send, NULL);
}

/* Post one request and wait for it; its status, or an errno */
int kt_run(struct kt_side *side, struct ib_send_wr *send)
{
	struct kt_wr wr;

	return kt_post(side, &wr, send) ? : kt_wait(&wr);
}

int kt_rdma(struct kt_side *side, enum ib_wr_opcode opcode, void *local,
	    u32 length, u64 remote, u32 rkey)
{
	struct ib_sge sge = {
		.addr = (uintptr_t)local,
		.length = length,
		.lkey = side->qp->pd->local_dma_lkey,
	};
	struct ib_rdma_wr wr = {
		.wr.opcode = opcode,
		.wr.sg_list = &sge,
		.wr.num_sge = 1,
		.remote_addr = remote,
		.rkey = rkey,
	};

	return kt_run(side, &wr.wr);
}

void kt_fill(u8 *buf, size_t len, u32 seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = (i * 31 + (i >> 8) * 7 + seed) & 0xff;
}

bool kt_filled(const u8 *buf, size_t len, u32 seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (buf[i] != ((i * 31 + (i >> 8) * 7 + seed) & 0xff))
			return false;
	return true;
}

static int kt_sgid_index(struct ib_device *dev, union ib_gid *gid)
{
	const struct ib_gid_attr *attr;
	int i;

	for (i = 0; i < 8; i++) {
		attr = rdma_get_gid_attr(dev, 1, i);
		if (IS_ERR(attr))
			continue;
		*gid = attr->gid;
		rdma_put_gid_attr(attr);
		if (ipv6_addr_v4mapped((struct in6_addr *)gid->raw))
			return i;
	}
	return -ENOENT;
}

int kt_connect(struct ib_qp *qp, u32 peer)
{
	struct ib_qp_attr attr = {
		.qp_state = IB_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = IB_ACCESS_REMOTE_WRITE |
				   IB_ACCESS_REMOTE_READ |
				   IB_ACCESS_REMOTE_ATOMIC,
	};
	union ib_gid gid;
	int index;
	int ret;

	ret = ib_modify_qp(qp, &attr, IB_QP_STATE | IB_QP_PKEY_INDEX |
			   IB_QP_PORT | IB_QP_ACCESS_FLAGS);
	if (ret)
		return ret;
	index = kt_sgid_index(qp->device, &gid);
	if (index < 0)
		return index;
	attr.qp_state = IB_QPS_RTR;
	attr.path_mtu = IB_MTU_1024;
	attr.dest_qp_num = peer;
	attr.max_dest_rd_atomic = 8;
	attr.min_rnr_timer = 1;
	attr.ah_attr.type = RDMA_AH_ATTR_TYPE_ROCE;
	rdma_ah_set_port_num(&attr.ah_attr, 1);
	rdma_ah_set_grh(&attr.ah_attr, &gid, 0, index, 64, 0);
	ret = ib_modify_qp(qp, &attr, IB_QP_STATE | IB_QP_AV |
			   IB_QP_PATH_MTU | IB_QP_DEST_QPN | IB_QP_RQ_PSN |
			   IB_QP_MAX_DEST_RD_ATOMIC | IB_QP_MIN_RNR_TIMER);
	if (ret)
		return ret;
	attr.qp_state = IB_QPS_RTS;
	attr.timeout = 14;
	attr.retry_cnt = 7;
	attr.rnr_retry = 7;
	attr.max_rd_atomic = 8;
	return ib_modify_qp(qp, &attr, IB_QP_STATE | IB_QP_TIMEOUT |
			    IB_QP_RETRY_CNT | IB_QP_RNR_RETRY |
			    IB_QP_SQ_PSN | IB_QP_MAX_QP_RD_ATOMIC);
}

/* Both QPs from wherever they are to a new connection */
int kt_pair_reconnect(struct kt_pair *p)
{
	struct ib_qp_attr attr = { .qp_state = IB_QPS_RESET };
	int ret;

	ret = ib_modify_qp(p->a.qp, &attr, IB_QP_STATE);
	if (!ret)
		ret = ib_modify_qp(p->b.qp, &attr, IB_QP_STATE);
	if (!ret)
		ret = kt_connect(p->a.qp, p->b.qp->qp_num);
	if (!ret)
		ret = kt_connect(p->b.qp, p->a.qp->qp_num);
	return ret;
}

int kt_side_open(struct kt_pair *p, struct kt_side *side,
		 enum ib_poll_context context)
{
	struct ib_qp_init_attr init = {
		.cap = { .max_send_wr = KT_WRS, .max_recv_wr = KT_WRS,
			 .max_send_sge = 8, .max_recv_sge = 8,
			 .max_inline_data = 128 },
		.qp_type = IB_QPT_RC,
		.sq_sig_type = IB_SIGNAL_REQ_WR,
		.srq = p->srq,
	};
	struct ib_cq *cq;
	struct ib_qp *qp;

	side->buf = kmalloc(KT_BUF_SIZE, GFP_KERNEL);
	if (!side->buf)
		return -ENOMEM;
	cq = ib_alloc_cq(p->dev, side, 4 * KT_WRS, 0, context);
	if (IS_ERR(cq))
		return PTR_ERR(cq);
	side->cq = cq;
	init.send_cq = cq;
	init.recv_cq = cq;
	qp = ib_create_qp(p->pd, &init);
	if (IS_ERR(qp))
		return PTR_ERR(qp);
	side->qp = qp;
	return 0;
}

void kt_side_close(struct kt_side *side)
{
	if (side->qp) {
		if (!side->qp->srq)
			ib_drain_qp(side->qp);
		ib_destroy_qp(side->qp);
	}
	if (side->cq)
		ib_free_cq(side->cq);
	kfree(side->buf);
}

/**
 * kt_pair_open() - two connected QPs
 * @p: filled; to be closed whatever this returns
 * @dev: device
 * @context: how their CQs are polled
 * @srq: receive from one SRQ
 *
 * Return: 0 or an errno.
 */
int kt_pair_open(struct kt_pair *p, struct ib_device *dev,
		 enum ib_poll_context context, bool srq)
{
	struct ib_srq_init_attr init = {
		.attr = { .max_wr = KT_WRS, .max_sge = 4 },
		.srq_type = IB_SRQT_BASIC,
	};
	struct ib_pd *pd;
	int ret;

	*p = (struct kt_pair){ .dev = dev };
	pd = ib_alloc_pd(dev, IB_PD_UNSAFE_GLOBAL_RKEY);
	if (IS_ERR(pd))
		return PTR_ERR(pd);
	p->pd = pd;
	if (srq) {
		struct ib_srq *made = ib_create_srq(pd, &init);

		if (IS_ERR(made))
			return PTR_ERR(made);
		p->srq = made;
	}
	ret = kt_side_open(p, &p->a, context);
	if (!ret)
		ret = kt_side_open(p, &p->b, context);
	if (!ret)
		ret = kt_pair_reconnect(p);
	if (ret)
		pr_info("# a pair cannot be made: %d\n", ret);
	return ret;
}

void kt_pair_close(struct kt_pair *p)
{
	kt_side_close(&p->a);
	kt_side_close(&p->b);
	if (p->srq)
		ib_destroy_srq(p->srq);
	if (p->pd)
		ib_dealloc_pd(p->pd);
}
