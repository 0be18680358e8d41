// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * qp.c - queue pairs: create, modify, query, destroy
 *
 * The state machine is the kernel's. Of the state only what posting needs is
 * kept here, as the limit of each queue.
 */
#include <errno.h>
#include <stdlib.h>

#include <ccan/minmax.h>

#include "sodp.h"

#define QP_INIT_ATTRS                                  \
	(IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_XRCD | \
	 IBV_QP_INIT_ATTR_CREATE_FLAGS | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS)

/* What ibv_post_send() takes, by transport */
#define OPCODES_SEND (1U << IBV_WR_SEND | 1U << IBV_WR_SEND_WITH_IMM)
#define OPCODES_WRITE \
	(1U << IBV_WR_RDMA_WRITE | 1U << IBV_WR_RDMA_WRITE_WITH_IMM)
#define OPCODES_LOCAL (1U << IBV_WR_LOCAL_INV | 1U << IBV_WR_BIND_MW)
#define OPCODES_UD    OPCODES_SEND
#define OPCODES_UC                                      \
	(OPCODES_SEND | OPCODES_WRITE | OPCODES_LOCAL)
#define OPCODES_RC                                                             \
	(OPCODES_UC | 1U << IBV_WR_SEND_WITH_INV | 1U << IBV_WR_RDMA_READ |    \
	 1U << IBV_WR_ATOMIC_CMP_AND_SWP | 1U << IBV_WR_ATOMIC_FETCH_AND_ADD | \
	 1U << SODP_WR_ATOMIC_WRITE)

static uint32_t qp_opcodes(enum ibv_qp_type type)
{
	switch (type) {
	case IBV_QPT_RC:
	case IBV_QPT_XRC_SEND:
		return OPCODES_RC;
	case IBV_QPT_UC:
		return OPCODES_UC;
	case IBV_QPT_UD:
		return OPCODES_UD;
	default:
		return 0;
	}
}

/* Connected, nothing to say but SGEs and maybe a remote address */
static uint32_t qp_plain_opcodes(enum ibv_qp_type type)
{
	if (type != IBV_QPT_RC && type != IBV_QPT_UC)
		return 0;
	return qp_opcodes(type) &
	       (OPCODES_SEND | OPCODES_WRITE | 1U << IBV_WR_SEND_WITH_INV |
		1U << IBV_WR_RDMA_READ);
}

static void qp_set_rings(struct sodp_qp *qp,
			 const struct sodp_create_qp_resp *resp,
			 const struct ibv_qp_init_attr_ex *attr)
{
	struct sodp_context *ctx = to_sodp_context(qp->vqp.qp.context);
	bool by_poll = resp->comp_mask & SODP_CREATE_QP_COOKIES;
	uint8_t *base = qp->map.addr;

	qp->page = qp->map.addr;
	qp->db_fd = ctx->db_fd;

	if (resp->sq_depth) {
		qp->sq.mask = resp->sq_depth - 1;
		qp->sq.stride = resp->sq_stride;
		qp->sq.ring = base + resp->sq_offset;
		qp->sq.ci_word = by_poll ? &qp->sq.freed : &qp->page->sq_ci;
		qp->sq.max_sge = min_t(uint32_t, attr->cap.max_send_sge,
				       resp->max_send_sge);
		qp->sq.max_inline = resp->max_inline;
		qp->sq.max_wr =
			min_t(uint32_t, attr->cap.max_send_wr, resp->sq_depth);
		qp->sq.opcodes = qp_opcodes(attr->qp_type);
		qp->sq.plain_opcodes = qp_plain_opcodes(attr->qp_type);
		qp->sq.sig_flag = attr->sq_sig_all ? SODP_SEND_SIGNALED : 0;
	}

	if (resp->rq_depth) {
		qp->rq.mask = resp->rq_depth - 1;
		qp->rq.stride = resp->rq_stride;
		qp->rq.ring = base + resp->rq_offset;
		qp->rq.max_sge = min_t(uint32_t, attr->cap.max_recv_sge,
				       resp->max_recv_sge);
		qp->rq.max_wr =
			min_t(uint32_t, attr->cap.max_recv_wr, resp->rq_depth);
		qp->rq.pi_word = &qp->page->rq_pi;
		qp->rq.ci_word = by_poll ? &qp->rq.freed : &qp->page->rq_ci;
		qp->rq.flags_word = &qp->page->flags;
		qp->rq.qpn = qp->vqp.qp.qp_num;
		qp->rq.db_fd = ctx->db_fd;
	}
}

/* ibv_qp_to_qp_ex() of the installed library looks for this bit */
static void qp_set_ex(struct sodp_qp *qp)
{
#ifdef SODP_LIB_HAS_NO_WR_FLUSH
	qp->lib_vqp.comp_mask |= VERBS_QP_EX;
#else
	qp->vqp.comp_mask |= VERBS_QP_EX;
#endif
}

/*
 * libibverbs takes PD, CQs and SRQ as they are in the attributes, the kernel
 * those that the type has: the rest may be anything, or go before the QP does.
 */
static void qp_drop_unused(struct ibv_qp *ibqp)
{
	if (ibqp->qp_type == IBV_QPT_XRC_RECV) {
		ibqp->pd = NULL;
		ibqp->send_cq = NULL;
	}
	if (ibqp->qp_type == IBV_QPT_XRC_RECV ||
	    ibqp->qp_type == IBV_QPT_XRC_SEND) {
		ibqp->recv_cq = NULL;
		ibqp->srq = NULL;
	}
}

static int qp_create(struct ibv_context *context, struct sodp_qp *qp,
		     struct ibv_qp_init_attr_ex *attr)
{
	struct sodp_create_qp_cmd_resp resp = {};
	uint32_t comp_mask = attr->comp_mask;
	struct sodp_create_qp_cmd_req cmd = {};
	int ret;

	/* No create flag is supported, but no flags may be said explicitly */
	attr->comp_mask &= ~IBV_QP_INIT_ATTR_CREATE_FLAGS;
	cmd.drv.sq_cookie = (uintptr_t)&qp->sq;
	cmd.drv.rq_cookie = (uintptr_t)&qp->rq;
	ret = ibv_cmd_create_qp_ex(context, &qp->vqp, attr, &cmd.ibv_cmd,
				   sizeof(cmd), &resp.ibv_resp, sizeof(resp));
	attr->comp_mask = comp_mask;
	if (ret)
		return ret;
	qp_drop_unused(&qp->vqp.qp);

	ret = sodp_map_ring(context, resp.drv.mmap_offset, resp.drv.mmap_size,
			    &qp->map);
	if (ret)
		goto err_destroy;

	qp_set_rings(qp, &resp.drv, attr);

	if (attr->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS) {
		ret = sodp_wr_init(qp, attr->qp_type, attr->send_ops_flags);
		if (ret)
			goto err_unmap;
		qp_set_ex(qp);
	}
	sodp_pd_get(qp->vqp.qp.pd);
	return 0;

err_unmap:
	sodp_unmap_ring(&qp->map);
err_destroy:
	ibv_cmd_destroy_qp(&qp->vqp.qp);
	return ret;
}

struct ibv_qp *sodp_create_qp_ex(struct ibv_context *context,
				 struct ibv_qp_init_attr_ex *attr)
{
	struct sodp_qp *qp;
	int ret;

	if (!check_comp_mask(attr->comp_mask, QP_INIT_ATTRS) ||
	    ((attr->comp_mask & IBV_QP_INIT_ATTR_CREATE_FLAGS) &&
	     attr->create_flags)) {
		errno = EOPNOTSUPP;
		return NULL;
	}

	qp = calloc(1, sizeof(*qp));
	if (!qp)
		return NULL;

	ret = qp_create(context, qp, attr);
	if (ret) {
		free(qp);
		errno = ret;
		return NULL;
	}
	return &qp->vqp.qp;
}

struct ibv_qp *sodp_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	struct ibv_qp_init_attr_ex attr_ex = {
		.qp_context = attr->qp_context,
		.send_cq = attr->send_cq,
		.recv_cq = attr->recv_cq,
		.srq = attr->srq,
		.cap = attr->cap,
		.qp_type = attr->qp_type,
		.sq_sig_all = attr->sq_sig_all,
		.comp_mask = IBV_QP_INIT_ATTR_PD,
		.pd = pd,
	};
	struct ibv_qp *ibqp;

	ibqp = sodp_create_qp_ex(pd->context, &attr_ex);
	if (ibqp)
		attr->cap = attr_ex.cap;
	return ibqp;
}

/* An opened XRC target QP has no queues: the kernel alone works on it */
struct ibv_qp *sodp_open_qp(struct ibv_context *context,
			    struct ibv_qp_open_attr *attr)
{
	struct ib_uverbs_create_qp_resp resp;
	struct ibv_open_qp cmd;
	struct sodp_qp *qp;
	int ret;

	qp = calloc(1, sizeof(*qp));
	if (!qp)
		return NULL;

	ret = ibv_cmd_open_qp(context, &qp->vqp, sizeof(qp->vqp), attr, &cmd,
			      sizeof(cmd), &resp, sizeof(resp));
	if (ret) {
		free(qp);
		errno = ret;
		return NULL;
	}
	return &qp->vqp.qp;
}

int sodp_query_qp(struct ibv_qp *ibqp, struct ibv_qp_attr *attr, int attr_mask,
		  struct ibv_qp_init_attr *init_attr)
{
	struct ibv_query_qp cmd;

	return ibv_cmd_query_qp(ibqp, attr, attr_mask, init_attr, &cmd,
				sizeof(cmd));
}

/* The receives of an SRQ among what is dropped are free, as if polled */
static void qp_clean_cqs(struct ibv_qp *ibqp)
{
	uint32_t recvs = 0;

	if (ibqp->send_cq)
		recvs += sodp_cq_clean_qp(to_sodp_cq(ibqp->send_cq),
					  ibqp->qp_num);
	if (ibqp->recv_cq && ibqp->recv_cq != ibqp->send_cq)
		recvs += sodp_cq_clean_qp(to_sodp_cq(ibqp->recv_cq),
					  ibqp->qp_num);
	if (ibqp->srq)
		__atomic_fetch_add(&to_sodp_srq(ibqp->srq)->rq.freed, recvs,
				   __ATOMIC_RELEASE);
}

/*
 * The kernel has dropped all entries. Its indices say where it will go on,
 * whether it counts from 0 again or not. Nobody polls a completion of what was
 * there before: these are gone from the CQs.
 */
static void qp_reset(struct sodp_qp *qp)
{
	if (!qp->page)
		return;

	qp->sq.ci = __atomic_load_n(&qp->page->sq_ci, __ATOMIC_ACQUIRE);
	qp->sq.pi = qp->sq.ci;
	__atomic_store_n(&qp->sq.freed, qp->sq.ci, __ATOMIC_RELAXED);
	__atomic_store_n(&qp->page->sq_pi, qp->sq.pi, __ATOMIC_RELEASE);
	qp->rq.ci = __atomic_load_n(&qp->page->rq_ci, __ATOMIC_ACQUIRE);
	qp->rq.pi = qp->rq.ci;
	__atomic_store_n(&qp->rq.freed, qp->rq.ci, __ATOMIC_RELAXED);
	__atomic_store_n(&qp->page->rq_pi, qp->rq.pi, __ATOMIC_RELEASE);
}

static void qp_enter_state(struct sodp_qp *qp, enum ibv_qp_state state)
{
	bool may_send = state >= IBV_QPS_RTS && state <= IBV_QPS_ERR;

	if (state == IBV_QPS_RESET)
		qp_clean_cqs(&qp->vqp.qp);

	sodp_lock(&qp->sq.sq_lock);
	sodp_lock(&qp->rq.rq_lock);
	if (state == IBV_QPS_RESET)
		qp_reset(qp);
	qp->sq.limit = may_send ? qp->sq.max_wr : 0;
	qp->rq.limit = state != IBV_QPS_RESET ? qp->rq.max_wr : 0;
	sodp_unlock(&qp->rq.rq_lock);
	sodp_unlock(&qp->sq.sq_lock);
}

int sodp_modify_qp(struct ibv_qp *ibqp, struct ibv_qp_attr *attr, int attr_mask)
{
	struct ibv_modify_qp cmd = {};
	int ret;

	ret = ibv_cmd_modify_qp(ibqp, attr, attr_mask, &cmd, sizeof(cmd));
	if (!ret && (attr_mask & IBV_QP_STATE))
		qp_enter_state(to_sodp_qp(ibqp), attr->qp_state);
	return ret;
}

int sodp_destroy_qp(struct ibv_qp *ibqp)
{
	struct sodp_qp *qp = to_sodp_qp(ibqp);
	int ret;

	ret = ibv_cmd_destroy_qp(ibqp);
	if (ret)
		return ret;

	/* Not before: the kernel may have been adding completions until now */
	qp_clean_cqs(ibqp);
	sodp_unmap_ring(&qp->map);
	if (qp->batch.scratch)
		sodp_pd_free(ibqp->pd, qp->batch.scratch,
			     SODP_RESOURCE_SCRATCH, qp->batch.scratch_is_ours);
	sodp_pd_put(ibqp->pd);
	free(qp);
	return 0;
}
