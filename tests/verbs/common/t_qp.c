// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* RC queue pairs: making, connecting, posting, polling */

#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>

#include "t_rdma.h"

static struct ibv_cq *make_cq(struct t_dev *dev, const struct t_qp_opt *opt)
{
	struct ibv_cq *cq;

	cq = ibv_create_cq(dev->ctx, opt->cqe, NULL, opt->channel, 0);
	T_ASSERT(cq, "ibv_create_cq: %s", t_errname(errno));
	return cq;
}

void t_ep_open(struct t_ep *ep, struct t_dev *dev, const struct t_qp_opt *opt)
{
	static const struct t_qp_opt defaults = T_QP_OPT;
	struct ibv_qp_init_attr_ex init = { 0 };

	memset(ep, 0, sizeof(*ep));
	ep->dev = dev;
	ep->opt = opt ? *opt : defaults;
	opt = &ep->opt;
	ep->scq = opt->scq ? opt->scq : make_cq(dev, opt);
	ep->rcq = opt->rcq ? opt->rcq : opt->scq ? opt->scq :
						   make_cq(dev, opt);
	init.qp_type = IBV_QPT_RC;
	init.send_cq = ep->scq;
	init.recv_cq = ep->rcq;
	init.srq = opt->srq;
	init.sq_sig_all = opt->sig_all;
	init.cap.max_send_wr = opt->sq;
	init.cap.max_recv_wr = opt->srq ? 0 : opt->rq;
	init.cap.max_send_sge = opt->sge;
	init.cap.max_recv_sge = opt->srq ? 0 : opt->sge;
	init.cap.max_inline_data = opt->inline_max;
	init.pd = opt->pd ? opt->pd : dev->pd;
	init.comp_mask = IBV_QP_INIT_ATTR_PD;
	if (opt->wr_ops) {
		init.comp_mask |= IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
		init.send_ops_flags = opt->wr_ops;
	}
	ep->qp = ibv_create_qp_ex(dev->ctx, &init);
	T_ASSERT(ep->qp, "ibv_create_qp_ex: %s", t_errname(errno));
	ep->opt.inline_max = init.cap.max_inline_data;
	if (opt->wr_ops) {
		ep->qpx = ibv_qp_to_qp_ex(ep->qp);
		T_ASSERT(ep->qpx, "no ibv_qp_ex");
	}
}

void t_ep_close(struct t_ep *ep)
{
	T_OK(ibv_destroy_qp(ep->qp));
	if (!ep->opt.rcq && !ep->opt.scq)
		T_OK(ibv_destroy_cq(ep->rcq));
	if (!ep->opt.scq)
		T_OK(ibv_destroy_cq(ep->scq));
	memset(ep, 0, sizeof(*ep));
}

struct t_addr t_ep_addr(const struct t_ep *ep)
{
	struct t_addr addr = {
		.qpn = ep->qp->qp_num,
		.psn = (ep->qp->qp_num * 2654435761U) & 0xffffff,
		.gid = ep->dev->gid,
	};

	return addr;
}

void t_ep_init(struct t_ep *ep)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = T_PORT,
		.qp_access_flags = ep->opt.access & ~IBV_ACCESS_LOCAL_WRITE,
	};

	T_OK(ibv_modify_qp(ep->qp, &attr,
			   IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				   IBV_QP_ACCESS_FLAGS));
}

void t_ep_rtr(struct t_ep *ep, const struct t_addr *peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = ep->dev->port.active_mtu,
		.dest_qp_num = peer->qpn,
		.rq_psn = peer->psn,
		.max_dest_rd_atomic = ep->opt.dest_rd_atomic,
		.min_rnr_timer = ep->opt.min_rnr,
		.ah_attr = {
			.is_global = 1,
			.port_num = T_PORT,
			.grh = {
				.dgid = peer->gid,
				.sgid_index = ep->dev->gid_index,
				.hop_limit = 64,
			},
		},
	};

	T_OK(ibv_modify_qp(ep->qp, &attr,
			   IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
				   IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
				   IBV_QP_MAX_DEST_RD_ATOMIC |
				   IBV_QP_MIN_RNR_TIMER));
}

void t_ep_rts(struct t_ep *ep)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = t_ep_addr(ep).psn,
		.timeout = ep->opt.timeout,
		.retry_cnt = ep->opt.retry_cnt,
		.rnr_retry = ep->opt.rnr_retry,
		.max_rd_atomic = ep->opt.rd_atomic,
	};

	T_OK(ibv_modify_qp(ep->qp, &attr,
			   IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
				   IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
				   IBV_QP_MAX_QP_RD_ATOMIC));
}

void t_ep_connect(struct t_ep *ep, const struct t_addr *peer)
{
	t_ep_init(ep);
	t_ep_rtr(ep, peer);
	t_ep_rts(ep);
}

void t_ep_reset(struct t_ep *ep)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	T_OK(ibv_modify_qp(ep->qp, &attr, IBV_QP_STATE));
}

enum ibv_qp_state t_ep_state(const struct t_ep *ep)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	T_OK(ibv_query_qp(ep->qp, &attr, IBV_QP_STATE, &init));
	return attr.qp_state;
}

void (t_want_state)(const struct t_ep *ep, enum ibv_qp_state state)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;

	while (t_ep_state(ep) != state) {
		T_ASSERT(t_now_ns() < end, "QP is in state %d, want %d",
			 t_ep_state(ep), state);
		t_sleep_ms(1);
	}
}

void t_join(struct t_ep *a, struct t_ep *b)
{
	struct t_addr addr_a = t_ep_addr(a);
	struct t_addr addr_b = t_ep_addr(b);

	t_ep_connect(a, &addr_b);
	t_ep_connect(b, &addr_a);
}

void t_pair(struct t_dev *dev, struct t_ep *a, struct t_ep *b,
	    const struct t_qp_opt *opt)
{
	t_ep_open(a, dev, opt);
	t_ep_open(b, dev, opt);
	t_join(a, b);
}

struct ibv_mr *(t_reg)(struct ibv_pd *pd, void *addr, size_t length,
		     unsigned int access)
{
	struct ibv_mr *mr = ibv_reg_mr(pd, addr, length, access);

	T_ASSERT(mr, "ibv_reg_mr(%p, %#zx, %#x): %s", addr, length, access,
		 t_errname(errno));
	return mr;
}

void t_dereg(struct ibv_mr *mr)
{
	T_OK(ibv_dereg_mr(mr));
}

struct ibv_sge t_sge(const struct ibv_mr *mr, const void *addr, uint32_t len)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)addr,
		.length = len,
		.lkey = mr ? mr->lkey : 0,
	};

	return sge;
}

int t_try_post(struct t_ep *ep, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad = NULL;

	return ibv_post_send(ep->qp, wr, &bad);
}

void t_post_chain(struct t_ep *ep, const struct ibv_send_wr *wr,
		  uint64_t first, unsigned int nr)
{
	struct ibv_send_wr *chain = calloc(nr, sizeof(*chain));
	unsigned int i;

	T_ASSERT(chain && nr, "a chain of %u", nr);
	for (i = 0; i < nr; i++) {
		chain[i] = *wr;
		chain[i].wr_id = first + i;
		chain[i].next = i + 1 < nr ? &chain[i + 1] : NULL;
	}
	T_OK(t_try_post(ep, chain));
	free(chain);
}

void (t_post)(struct t_ep *ep, enum ibv_wr_opcode opcode, uint64_t wr_id,
	    struct ibv_sge sge, uint64_t remote_addr, uint32_t rkey)
{
	struct ibv_send_wr wr = {
		.wr_id = wr_id,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = sge.length ? 1 : 0,
		.wr.rdma.remote_addr = remote_addr,
		.wr.rdma.rkey = rkey,
	};
	int ret = t_try_post(ep, &wr);

	T_ASSERT(!ret, "ibv_post_send(opcode %d): %s", opcode, t_errname(ret));
}

void t_post_recv(struct t_ep *ep, uint64_t wr_id, struct ibv_sge sge)
{
	struct ibv_recv_wr wr = {
		.wr_id = wr_id,
		.sg_list = &sge,
		.num_sge = sge.length ? 1 : 0,
	};
	struct ibv_recv_wr *bad;

	T_OK(ibv_post_recv(ep->qp, &wr, &bad));
}

void t_post_srq(struct ibv_srq *srq, uint64_t wr_id, struct ibv_sge sge)
{
	struct ibv_recv_wr wr = {
		.wr_id = wr_id,
		.sg_list = &sge,
		.num_sge = sge.length ? 1 : 0,
	};
	struct ibv_recv_wr *bad;

	T_OK(ibv_post_srq_recv(srq, &wr, &bad));
}

unsigned int t_wait_ms(void)
{
	return t_slow_kernel() ? 120000 : 20000;
}

int t_poll_for(struct ibv_cq *cq, struct ibv_wc *wc, unsigned int ms)
{
	uint64_t end = 0;
	unsigned int tries;
	int n;

	for (tries = 0;; tries++) {
		n = ibv_poll_cq(cq, 1, wc);
		T_ASSERT(n >= 0, "ibv_poll_cq: %d", n);
		if (n)
			return n;
		if (tries < 64)
			continue;
		sched_yield();
		if (!end)
			end = t_now_ns() + ms * 1000000ULL;
		else if (t_now_ns() > end)
			return 0;
		if (tries > 4096)
			t_sleep_ms(1);
	}
}

struct ibv_wc (t_poll)(struct ibv_cq *cq)
{
	struct ibv_wc wc;

	T_ASSERT(t_poll_for(cq, &wc, T_WAIT_MS), "no completion in %u ms",
		 T_WAIT_MS);
	return wc;
}

const char *t_wc_name(int status)
{
	return ibv_wc_status_str(status);
}

struct ibv_wc (t_want_wc)(struct ibv_cq *cq, uint64_t wr_id,
			enum ibv_wc_status status)
{
	struct ibv_wc wc;

	T_ASSERT(t_poll_for(cq, &wc, T_WAIT_MS),
		 "no completion for request %llu, want '%s'",
		 (unsigned long long)wr_id, t_wc_name(status));
	T_ASSERT(wc.wr_id == wr_id && wc.status == status,
		 "completion of request %llu with '%s', want %llu with '%s'",
		 (unsigned long long)wc.wr_id, t_wc_name(wc.status),
		 (unsigned long long)wr_id, t_wc_name(status));
	return wc;
}

void (t_want_none)(struct ibv_cq *cq)
{
	struct ibv_wc wc;

	T_ASSERT(!t_poll_for(cq, &wc, T_QUIET_MS),
		 "completion of request %llu with '%s', want none",
		 (unsigned long long)wc.wr_id, t_wc_name(wc.status));
}
