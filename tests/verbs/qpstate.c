// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The state machine of a queue pair, its attributes, and the error flush */

#include "common/t_duo.h"

#define LEN T_PAGE

static const char *const state_names[] = {
	[IBV_QPS_RESET] = "RESET", [IBV_QPS_INIT] = "INIT",
	[IBV_QPS_RTR] = "RTR",	   [IBV_QPS_RTS] = "RTS",
	[IBV_QPS_SQD] = "SQD",	   [IBV_QPS_SQE] = "SQE",
	[IBV_QPS_ERR] = "ERR",
};

static int modify(struct t_ep *ep, enum ibv_qp_state to)
{
	struct t_addr self = t_ep_addr(ep);
	struct ibv_qp_attr attr = {
		.qp_state = to,
		.port_num = T_PORT,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE,
		.path_mtu = ep->dev->port.active_mtu,
		.dest_qp_num = self.qpn,
		.rq_psn = self.psn,
		.sq_psn = self.psn,
		.max_dest_rd_atomic = 1,
		.max_rd_atomic = 1,
		.min_rnr_timer = 1,
		.timeout = 14,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.ah_attr = {
			.is_global = 1,
			.port_num = T_PORT,
			.grh = { .dgid = self.gid,
				 .sgid_index = ep->dev->gid_index,
				 .hop_limit = 64 },
		},
	};
	int mask = IBV_QP_STATE;

	if (to == IBV_QPS_INIT)
		mask |= IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
	if (to == IBV_QPS_RTR)
		mask |= IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
			IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
			IBV_QP_MIN_RNR_TIMER;
	if (to == IBV_QPS_RTS && t_ep_state(ep) == IBV_QPS_RTR)
		mask |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC;
	return ibv_modify_qp(ep->qp, &attr, mask);
}

/* The shortest way from RESET */
static void bring_to(struct t_ep *ep, enum ibv_qp_state state)
{
	T_OK(modify(ep, IBV_QPS_RESET));
	if (state == IBV_QPS_RESET)
		return;
	T_OK(modify(ep, IBV_QPS_INIT));
	if (state == IBV_QPS_INIT)
		return;
	if (state == IBV_QPS_ERR) {
		T_OK(modify(ep, IBV_QPS_ERR));
		return;
	}
	T_OK(modify(ep, IBV_QPS_RTR));
	if (state == IBV_QPS_RTR)
		return;
	T_OK(modify(ep, IBV_QPS_RTS));
	if (state == IBV_QPS_SQD)
		T_OK(modify(ep, IBV_QPS_SQD));
}

static bool legal(enum ibv_qp_state from, enum ibv_qp_state to)
{
	switch (to) {
	case IBV_QPS_RESET:
		return true;
	case IBV_QPS_ERR:
		return from != IBV_QPS_RESET;
	case IBV_QPS_INIT:
		return from == IBV_QPS_RESET || from == IBV_QPS_INIT;
	case IBV_QPS_RTR:
		return from == IBV_QPS_INIT;
	case IBV_QPS_RTS:
		return from == IBV_QPS_RTR || from == IBV_QPS_RTS ||
		       from == IBV_QPS_SQD;
	case IBV_QPS_SQD:
		return from == IBV_QPS_RTS || from == IBV_QPS_SQD;
	default:
		return false;
	}
}

static void transitions(void)
{
	static const enum ibv_qp_state states[] = {
		IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR,
		IBV_QPS_RTS,   IBV_QPS_SQD,  IBV_QPS_ERR,
	};
	struct t_dev dev;
	struct t_ep ep;
	size_t from;
	size_t to;
	int ret;

	t_open(&dev);
	t_ep_open(&ep, &dev, NULL);
	for (from = 0; from < T_ARRAY_SIZE(states); from++) {
		for (to = 0; to < T_ARRAY_SIZE(states); to++) {
			bring_to(&ep, states[from]);
			t_case("%s to %s", state_names[states[from]],
			       state_names[states[to]]);
			ret = modify(&ep, states[to]);
			if (legal(states[from], states[to])) {
				T_ASSERT(!ret, "%s", t_errname(ret));
				T_ASSERT(t_ep_state(&ep) == states[to],
					 "state is %s",
					 state_names[t_ep_state(&ep)]);
				continue;
			}
			T_ASSERT(ret == EINVAL, "%s", t_errname(ret));
			T_ASSERT(t_ep_state(&ep) == states[from],
				 "refused, but state is %s",
				 state_names[t_ep_state(&ep)]);
		}
	}
}

/* Each of these spoils one attribute of an otherwise good step to RTR. */
static void bad_attributes(void)
{
	struct t_dev dev;
	struct t_ep ep;
	struct t_addr self;
	unsigned int i;
	int ret;

	t_open(&dev);
	t_ep_open(&ep, &dev, NULL);
	self = t_ep_addr(&ep);
	for (i = 0; i < 6; i++) {
		struct ibv_qp_attr attr = {
			.qp_state = IBV_QPS_RTR,
			.path_mtu = IBV_MTU_256,
			.dest_qp_num = self.qpn,
			.min_rnr_timer = 1,
			.ah_attr = { .is_global = 1, .port_num = T_PORT,
				     .grh = { .dgid = self.gid,
					      .sgid_index = dev.gid_index } },
		};
		int mask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
			   IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			   IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;

		bring_to(&ep, IBV_QPS_INIT);
		t_case("fault %u", i);
		if (i == 0)
			mask &= ~IBV_QP_DEST_QPN;
		if (i == 1)
			attr.path_mtu = 9;
		if (i == 2)
			attr.ah_attr.grh.sgid_index = 255;
		if (i == 3)
			attr.ah_attr.port_num = 2;
		if (i == 4) {
			if (dev.attr.orig_attr.max_qp_rd_atom >= 255)
				continue;
			attr.max_dest_rd_atomic =
				dev.attr.orig_attr.max_qp_rd_atom + 1;
		}
		if (i == 5)
			attr.min_rnr_timer = 32;
		ret = ibv_modify_qp(ep.qp, &attr, mask);
		/* ib_core looks the GID up, and says ENODATA when it is none */
		T_ASSERT(ret == EINVAL || (i == 2 && ret == ENODATA), "%s",
			 t_errname(ret));
		T_ASSERT(t_ep_state(&ep) == IBV_QPS_INIT, "state changed");
	}
}

static void round_trip(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	struct t_addr addr_b;
	struct t_dev dev;
	struct t_ep a, b;

	opt.timeout = 17;
	opt.retry_cnt = 5;
	opt.rnr_retry = 3;
	opt.min_rnr = 12;
	opt.rd_atomic = 2;
	opt.dest_rd_atomic = 4;
	opt.access = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
	t_open(&dev);
	t_pair(&dev, &a, &b, &opt);
	addr_b = t_ep_addr(&b);
	memset(&attr, 0, sizeof(attr));
	attr.path_mig_state = IBV_MIG_ARMED;
	T_OK(ibv_query_qp(a.qp, &attr, 0xfffff, &init));
	T_ASSERT(attr.qp_state == IBV_QPS_RTS, "state %d", attr.qp_state);
	T_ASSERT(attr.timeout == 17, "timeout %u", attr.timeout);
	T_ASSERT(attr.retry_cnt == 5, "retry_cnt %u", attr.retry_cnt);
	T_ASSERT(attr.rnr_retry == 3, "rnr_retry %u", attr.rnr_retry);
	T_ASSERT(attr.min_rnr_timer == 12, "min_rnr %u", attr.min_rnr_timer);
	T_ASSERT(attr.max_rd_atomic == 2 && attr.max_dest_rd_atomic == 4,
		 "rd_atomic %u, dest %u", attr.max_rd_atomic,
		 attr.max_dest_rd_atomic);
	T_ASSERT(attr.qp_access_flags ==
			 (IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE),
		 "access %#x", attr.qp_access_flags);
	T_ASSERT(attr.dest_qp_num == b.qp->qp_num, "dest %#x",
		 attr.dest_qp_num);
	T_ASSERT(attr.sq_psn == t_ep_addr(&a).psn, "sq_psn %#x", attr.sq_psn);
	T_ASSERT(attr.rq_psn == addr_b.psn, "rq_psn %#x", attr.rq_psn);
	T_ASSERT(attr.path_mtu == dev.port.active_mtu, "mtu %d",
		 attr.path_mtu);
	T_ASSERT(attr.port_num == T_PORT && attr.pkey_index == 0, "port %u",
		 attr.port_num);
	T_ASSERT(attr.ah_attr.is_global &&
			 attr.ah_attr.grh.sgid_index == dev.gid_index &&
			 !memcmp(&attr.ah_attr.grh.dgid, &dev.gid, 16),
		 "address vector differs");
	/* There is one path, and packets say so */
	T_ASSERT(attr.path_mig_state == IBV_MIG_MIGRATED, "path_mig_state %d",
		 attr.path_mig_state);
	T_ASSERT(attr.cap.max_send_wr >= 16 && attr.cap.max_recv_wr >= 16 &&
			 attr.cap.max_send_sge >= 4 &&
			 attr.cap.max_recv_sge >= 4,
		 "caps shrank");
	T_ASSERT(init.send_cq == a.scq && init.recv_cq == a.rcq &&
			 init.qp_type == IBV_QPT_RC && !init.sq_sig_all,
		 "init attributes differ");
}

/* Changes in RTS: the access flags and the RNR timer count at once. */
static void modify_in_rts(void)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.qp_access_flags = IBV_ACCESS_REMOTE_READ,
	};
	struct t_duo d;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_duo_works(&d);
	T_OK(ibv_modify_qp(d.b.qp, &attr, IBV_QP_STATE | IBV_QP_ACCESS_FLAGS));
	t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, 8), t_remote(&d, 0),
	       d.bmr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_REM_INV_REQ_ERR);
}

static void create_limits(void)
{
	struct ibv_qp_init_attr good = {
		.qp_type = IBV_QPT_RC,
		.cap = { 1, 1, 1, 1, 0 },
	};
	struct ibv_qp_init_attr init;
	struct ibv_device_attr *attr;
	struct t_dev dev;
	struct ibv_cq *cq;
	struct ibv_qp *qp;

	t_open(&dev);
	attr = &dev.attr.orig_attr;
	cq = ibv_create_cq(dev.ctx, 8, NULL, NULL, 0);
	T_ASSERT(cq, "ibv_create_cq");
	good.send_cq = cq;
	good.recv_cq = cq;
	init = good;
	init.cap.max_send_wr = attr->max_qp_wr + 1;
	T_NULL_ERRNO(ibv_create_qp(dev.pd, &init), EINVAL);
	init = good;
	init.cap.max_recv_wr = attr->max_qp_wr + 1;
	T_NULL_ERRNO(ibv_create_qp(dev.pd, &init), EINVAL);
	init = good;
	init.cap.max_send_sge = attr->max_sge + 1;
	T_NULL_ERRNO(ibv_create_qp(dev.pd, &init), EINVAL);
	init = good;
	init.cap.max_recv_sge = attr->max_sge + 1;
	T_NULL_ERRNO(ibv_create_qp(dev.pd, &init), EINVAL);
	init = good;
	init.cap.max_inline_data = 1 << 20;
	T_NULL_ERRNO(ibv_create_qp(dev.pd, &init), EINVAL);
	/* The largest that is claimed does work */
	init = good;
	if (attr->max_qp_wr <= 65536) {
		init.cap.max_send_wr = attr->max_qp_wr;
		init.cap.max_recv_wr = attr->max_qp_wr;
		qp = ibv_create_qp(dev.pd, &init);
		T_ASSERT(qp, "QP of %d requests: %s", attr->max_qp_wr,
			 t_errname(errno));
		T_OK(ibv_destroy_qp(qp));
	}
	init = good;
	init.cap.max_send_sge = attr->max_sge;
	init.cap.max_recv_sge = attr->max_sge;
	qp = ibv_create_qp(dev.pd, &init);
	T_ASSERT(qp, "QP of the most SGEs: %s", t_errname(errno));
	T_ERR(ibv_destroy_cq(cq), EBUSY);
	T_ERR(ibv_dealloc_pd(dev.pd), EBUSY);
	T_OK(ibv_destroy_qp(qp));
	T_OK(ibv_destroy_cq(cq));
	t_close(&dev);
}

/* The first bad request fails, everything behind it is flushed in order. */
static void flush_order(void)
{
	struct t_duo d;
	unsigned int i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (i = 0; i < 4; i++) {
		t_post_recv(&d.a, 100 + i, t_sge(d.amr, d.abuf, 8));
		t_post_recv(&d.b, 200 + i, t_sge(d.bmr, d.bbuf, 8));
	}
	t_post(&d.a, IBV_WR_RDMA_WRITE, 0, t_duo_sge(&d, 0, 8), t_remote(&d, 0),
	       d.bmr->rkey);
	t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, 8), t_remote(&d, 0),
	       d.bmr->rkey ^ 0x100);
	for (i = 2; i < 6; i++)
		t_post(&d.a, IBV_WR_SEND, i, t_duo_sge(&d, 0, 8), 0, 0);
	t_want_wc(d.a.scq, 0, IBV_WC_SUCCESS);
	t_want_wc(d.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	for (i = 2; i < 6; i++)
		t_want_wc(d.a.scq, i, IBV_WC_WR_FLUSH_ERR);
	for (i = 0; i < 4; i++) {
		t_want_wc(d.a.rcq, 100 + i, IBV_WC_WR_FLUSH_ERR);
		t_want_wc(d.b.rcq, 200 + i, IBV_WC_WR_FLUSH_ERR);
	}
	t_want_none(d.a.scq);
	t_want_none(d.b.rcq);
}

/* What is posted to a QP in error comes back flushed, on both queues. */
static void flush_late(void)
{
	struct ibv_sge none = { 0 };
	struct t_duo d;
	unsigned int i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	T_OK(modify(&d.a, IBV_QPS_ERR));
	for (i = 0; i < 200; i++) {
		t_post_recv(&d.a, i, t_sge(d.amr, d.abuf, 8));
		t_want_wc(d.a.rcq, i, IBV_WC_WR_FLUSH_ERR);
		t_post(&d.a, IBV_WR_RDMA_WRITE, i, none, 0, 0);
		t_want_wc(d.a.scq, i, IBV_WC_WR_FLUSH_ERR);
	}
	/* Unsignaled ones too */
	{
		struct ibv_send_wr wr = { .wr_id = 7,
					  .opcode = IBV_WR_RDMA_WRITE };

		T_OK(t_try_post(&d.a, &wr));
		t_want_wc(d.a.scq, 7, IBV_WC_WR_FLUSH_ERR);
	}
}

/* Requests that wait for a receive are flushed when the QP is put in error. */
static void flush_waiting(void)
{
	struct t_duo d;
	unsigned int i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (i = 0; i < 8; i++)
		t_post(&d.a, IBV_WR_SEND, i, t_duo_sge(&d, 0, 8), 0, 0);
	t_sleep_ms(5);
	T_OK(modify(&d.a, IBV_QPS_ERR));
	for (i = 0; i < 8; i++)
		t_want_wc(d.a.scq, i, IBV_WC_WR_FLUSH_ERR);
	t_want_none(d.a.scq);
}

/* An error is no end: over RESET the pair can be used again, many times. */
static void reset_reuse(void)
{
	struct t_duo d;
	unsigned int i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (i = 0; i < 50; i++) {
		t_case("round %u", i);
		t_duo_works(&d);
		t_post_recv(&d.b, i, t_sge(d.bmr, d.bbuf, 8));
		t_post(&d.a, IBV_WR_RDMA_WRITE, i, t_duo_sge(&d, 0, 8), 0, 0);
		t_want_wc(d.a.scq, i, IBV_WC_REM_ACCESS_ERR);
		t_want_wc(d.b.rcq, i, IBV_WC_WR_FLUSH_ERR);
		t_ep_reset(&d.a);
		t_ep_reset(&d.b);
		t_want_none(d.a.scq);
		t_join(&d.a, &d.b);
	}
}

/* RESET with requests waiting: they are gone without a trace. */
static void reset_waiting(void)
{
	struct t_duo d;
	unsigned int i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (i = 0; i < 8; i++)
		t_post(&d.a, IBV_WR_SEND, i, t_duo_sge(&d, 0, 8), 0, 0);
	t_ep_reset(&d.a);
	t_ep_reset(&d.b);
	t_want_none(d.a.scq);
	t_join(&d.a, &d.b);
	t_duo_works(&d);
	t_post_recv(&d.b, 9, t_sge(d.bmr, d.bbuf, 8));
	t_post(&d.a, IBV_WR_SEND, 10, t_duo_sge(&d, 0, 8), 0, 0);
	t_want_wc(d.a.scq, 10, IBV_WC_SUCCESS);
	t_want_wc(d.b.rcq, 9, IBV_WC_SUCCESS);
}

/* In SQD nothing new is started; RTS goes on where it stopped. */
static void drained(void)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_SQD,
		.en_sqd_async_notify = 1,
	};
	struct ibv_async_event event;
	struct t_duo d;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_duo_works(&d);
	T_OK(ibv_modify_qp(d.a.qp, &attr,
			   IBV_QP_STATE | IBV_QP_EN_SQD_ASYNC_NOTIFY));
	event = t_want_event(&d.dev, IBV_EVENT_SQ_DRAINED);
	T_ASSERT(event.element.qp == d.a.qp, "event of another QP");
	t_fill(d.abuf, LEN, 5);
	t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, LEN),
	       t_remote(&d, 0), d.bmr->rkey);
	t_want_none(d.a.scq);
	T_OK(modify(&d.a, IBV_QPS_RTS));
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	t_want_data(d.bbuf, LEN, 5);
}

/* The responder serves from RTR on, receives may be posted from INIT on. */
static void early_responder(void)
{
	struct t_addr addr_a, addr_b;
	struct t_duo d;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_ep_reset(&d.a);
	t_ep_reset(&d.b);
	addr_a = t_ep_addr(&d.a);
	addr_b = t_ep_addr(&d.b);
	t_ep_init(&d.b);
	t_post_recv(&d.b, 1, t_sge(d.bmr, d.bbuf, LEN));
	t_ep_rtr(&d.b, &addr_a);
	t_ep_connect(&d.a, &addr_b);
	t_post(&d.a, IBV_WR_SEND, 2, t_duo_sge(&d, 0, LEN), 0, 0);
	t_want_wc(d.a.scq, 2, IBV_WC_SUCCESS);
	t_want_wc(d.b.rcq, 1, IBV_WC_SUCCESS);
	t_want_data(d.bbuf, LEN, 1);
}

static const struct t_test tests[] = {
	{ "transitions", transitions },
	{ "bad_attributes", bad_attributes },
	{ "round_trip", round_trip },
	{ "modify_in_rts", modify_in_rts },
	{ "create_limits", create_limits },
	{ "flush_order", flush_order },
	{ "flush_late", flush_late },
	{ "flush_waiting", flush_waiting },
	{ "reset_reuse", reset_reuse },
	{ "reset_waiting", reset_waiting },
	{ "drained", drained },
	{ "early_responder", early_responder },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
