// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Queue pairs of every transport between two devices of this process */

#include <fcntl.h>
#include <stdlib.h>

#include "leg.h"

#define OPS_UC                                                            \
	(IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | \
	 IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM)
#define OPS_UD (IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM)

static void open_one(struct t_dev *dev, const char *name, const char *gid)
{
	const char *dev_name = getenv(name);
	const char *index = getenv(gid);

	if (!dev_name || !index)
		t_skip("%s and %s are not set", name, gid);
	t_open_name(dev, dev_name, atoi(index));
}

void leg_devices(struct t_dev *a, struct t_dev *b)
{
	open_one(a, "SODP_DEV_A", "SODP_GID_A");
	open_one(b, "SODP_DEV_B", "SODP_GID_B");
}

static struct ibv_cq *leg_cq(struct leg *leg)
{
	struct ibv_cq *cq = ibv_create_cq(leg->dev->ctx, 4 * leg->opt.depth,
					  NULL, NULL, 0);

	T_ASSERT(cq, "ibv_create_cq: %s", t_errname(errno));
	return cq;
}

static void leg_xrcd(struct leg *leg)
{
	struct ibv_xrcd_init_attr xrcd = {
		.comp_mask = IBV_XRCD_INIT_ATTR_FD |
			     IBV_XRCD_INIT_ATTR_OFLAGS,
		.fd = -1,
		.oflags = O_CREAT,
	};
	struct ibv_srq_init_attr_ex srq = {
		.comp_mask = IBV_SRQ_INIT_ATTR_TYPE | IBV_SRQ_INIT_ATTR_XRCD |
			     IBV_SRQ_INIT_ATTR_CQ | IBV_SRQ_INIT_ATTR_PD,
		.srq_type = IBV_SRQT_XRC,
		.attr = { .max_wr = leg->opt.depth, .max_sge = 1 },
		.pd = leg->dev->pd,
	};

	leg->xrcd = ibv_open_xrcd(leg->dev->ctx, &xrcd);
	T_ASSERT(leg->xrcd, "ibv_open_xrcd: %s", t_errname(errno));
	srq.xrcd = leg->xrcd;
	srq.cq = leg->rcq;
	leg->srq = ibv_create_srq_ex(leg->dev->ctx, &srq);
	T_ASSERT(leg->srq, "ibv_create_srq_ex: %s", t_errname(errno));
	T_OK(ibv_get_srq_num(leg->srq, &leg->srqn));
}

static void leg_qp(struct leg *leg)
{
	enum ibv_qp_type type = leg->opt.type;
	struct ibv_qp_init_attr_ex init = {
		.qp_type = type,
		.send_cq = leg->scq,
		.recv_cq = leg->rcq,
		.cap = {
			.max_send_wr = leg->opt.depth,
			.max_recv_wr = leg->opt.depth,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
		.pd = leg->dev->pd,
		.comp_mask = IBV_QP_INIT_ATTR_PD |
			     IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.send_ops_flags = type == IBV_QPT_UD ? OPS_UD :
				  type == IBV_QPT_UC ? OPS_UC :
						       LEG_ALL_OPS,
	};

	if (type == IBV_QPT_XRC_SEND) {
		init.cap.max_recv_wr = 0;
		init.cap.max_recv_sge = 0;
		init.recv_cq = NULL;
	} else if (type == IBV_QPT_XRC_RECV) {
		leg_xrcd(leg);
		memset(&init, 0, sizeof(init));
		init.qp_type = type;
		init.xrcd = leg->xrcd;
		init.comp_mask = IBV_QP_INIT_ATTR_XRCD;
	}
	init.send_ops_flags |= leg->opt.wr_ops;
	leg->qp = ibv_create_qp_ex(leg->dev->ctx, &init);
	T_ASSERT(leg->qp, "ibv_create_qp_ex: %s", t_errname(errno));
	if (type == IBV_QPT_XRC_RECV)
		return;
	leg->qpx = ibv_qp_to_qp_ex(leg->qp);
	T_ASSERT(leg->qpx, "no ibv_qp_ex");
}

void leg_open(struct leg *leg, struct t_dev *dev, size_t len,
	      const struct leg_opt *opt)
{
	unsigned int access = opt->access & ~IBV_ACCESS_LOCAL_WRITE;

	if (opt->odp && t_has_odp(dev, 0))
		access |= IBV_ACCESS_ON_DEMAND;
	memset(leg, 0, sizeof(*leg));
	leg->dev = dev;
	leg->opt = *opt;
	leg->scq = leg_cq(leg);
	leg->rcq = leg_cq(leg);
	leg_qp(leg);
	leg->len = len;
	leg->buf = t_map(len);
	leg->mr = t_reg(dev->pd, leg->buf, len,
			access | IBV_ACCESS_LOCAL_WRITE);
}

void leg_close(struct leg *leg)
{
	T_OK(ibv_destroy_qp(leg->qp));
	if (leg->srq)
		T_OK(ibv_destroy_srq(leg->srq));
	if (leg->xrcd)
		T_OK(ibv_close_xrcd(leg->xrcd));
	if (leg->ah)
		T_OK(ibv_destroy_ah(leg->ah));
	t_dereg(leg->mr);
	T_OK(ibv_destroy_cq(leg->scq));
	T_OK(ibv_destroy_cq(leg->rcq));
	t_unmap(leg->buf, leg->len);
	memset(leg, 0, sizeof(*leg));
}

static struct ibv_ah_attr leg_ah(const struct leg *leg, const struct leg *to)
{
	struct ibv_ah_attr attr = {
		.is_global = 1,
		.port_num = T_PORT,
		.grh = {
			.dgid = to->dev->gid,
			.sgid_index = leg->dev->gid_index,
			.hop_limit = 64,
			.traffic_class = leg->opt.tclass,
		},
	};

	return attr;
}

static void leg_init(struct leg *leg)
{
	bool ud = leg->opt.type == IBV_QPT_UD;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = T_PORT,
		.qkey = LEG_QKEY,
		.qp_access_flags = leg->opt.access,
	};

	if (leg->opt.type == IBV_QPT_UC)
		attr.qp_access_flags &= IBV_ACCESS_REMOTE_WRITE;
	T_OK(ibv_modify_qp(leg->qp, &attr,
			   IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				   (ud ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS)));
}

static void leg_rtr(struct leg *leg, const struct leg *peer)
{
	enum ibv_qp_type type = leg->opt.type;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = leg->opt.mtu,
		.dest_qp_num = peer->qp->qp_num,
		.rq_psn = peer->opt.psn,
		.max_dest_rd_atomic = 16,
		.min_rnr_timer = leg->opt.min_rnr,
		.ah_attr = leg_ah(leg, peer),
	};
	int mask = IBV_QP_STATE;

	if (type != IBV_QPT_UD)
		mask |= IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
			IBV_QP_RQ_PSN;
	if (type == IBV_QPT_RC || type == IBV_QPT_XRC_RECV)
		mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	T_OK(ibv_modify_qp(leg->qp, &attr, mask));
}

static void leg_rts(struct leg *leg)
{
	enum ibv_qp_type type = leg->opt.type;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = leg->opt.psn,
		.timeout = leg->opt.timeout,
		.retry_cnt = leg->opt.retry_cnt,
		.rnr_retry = leg->opt.rnr_retry,
		.max_rd_atomic = leg->opt.rd_atomic,
	};
	int mask = IBV_QP_STATE | IBV_QP_SQ_PSN;

	if (type == IBV_QPT_RC || type == IBV_QPT_XRC_SEND)
		mask |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			IBV_QP_MAX_QP_RD_ATOMIC;
	else if (type == IBV_QPT_XRC_RECV)
		mask |= IBV_QP_TIMEOUT;
	T_OK(ibv_modify_qp(leg->qp, &attr, mask));
}

void leg_connect(struct leg *leg, const struct leg *peer)
{
	struct ibv_ah_attr attr = leg_ah(leg, peer);

	leg_init(leg);
	leg_rtr(leg, peer);
	leg_rts(leg);
	if (leg->opt.type != IBV_QPT_UD || leg->ah)
		return;
	leg->ah = ibv_create_ah(leg->dev->pd, &attr);
	T_ASSERT(leg->ah, "ibv_create_ah: %s", t_errname(errno));
}

void leg_join(struct leg *a, struct leg *b)
{
	leg_connect(a, b);
	leg_connect(b, a);
}

void leg_reset(struct leg *leg)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	T_OK(ibv_modify_qp(leg->qp, &attr, IBV_QP_STATE));
}

enum ibv_qp_state leg_state(const struct leg *leg)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	T_OK(ibv_query_qp(leg->qp, &attr, IBV_QP_STATE, &init));
	return attr.qp_state;
}

void leg_recv(struct leg *leg, uint64_t wr_id, size_t off, uint32_t len)
{
	struct ibv_sge sge = t_sge(leg->mr, leg->buf + off, len);
	struct ibv_recv_wr wr = {
		.wr_id = wr_id,
		.sg_list = &sge,
		.num_sge = 1,
	};
	struct ibv_recv_wr *bad;

	if (leg->srq)
		T_OK(ibv_post_srq_recv(leg->srq, &wr, &bad));
	else
		T_OK(ibv_post_recv(leg->qp, &wr, &bad));
}

struct ibv_qp_ex *leg_begin(struct leg *leg, uint64_t wr_id)
{
	ibv_wr_start(leg->qpx);
	leg->qpx->wr_id = wr_id;
	leg->qpx->wr_flags = IBV_SEND_SIGNALED;
	return leg->qpx;
}

void leg_end(struct leg *leg, const struct leg *peer, size_t off, uint32_t len)
{
	if (leg->opt.type == IBV_QPT_UD)
		ibv_wr_set_ud_addr(leg->qpx, leg->ah, peer->qp->qp_num,
				   LEG_QKEY);
	if (leg->opt.type == IBV_QPT_XRC_SEND)
		ibv_wr_set_xrc_srqn(leg->qpx, peer->srqn);
	if (len)
		ibv_wr_set_sge(leg->qpx, leg->mr->lkey, leg_addr(leg, off),
			       len);
	T_OK(ibv_wr_complete(leg->qpx));
}
