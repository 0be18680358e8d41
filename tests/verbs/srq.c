// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Shared receive queues: order, limit, resize, last WQE */

#include "common/t_duo.h"

#define LEN (16 * T_PAGE)
#define NR_PAIRS 3

struct srq_scene {
	struct t_dev dev;
	struct ibv_srq *srq;
	struct t_ep a[NR_PAIRS];
	struct t_ep b[NR_PAIRS];
	char *buf;
	struct ibv_mr *mr;
};

static struct ibv_srq *make_srq(struct t_dev *dev, unsigned int max_wr)
{
	struct ibv_srq_init_attr init = {
		.attr = { .max_wr = max_wr, .max_sge = 2 },
	};
	struct ibv_srq *srq = ibv_create_srq(dev->pd, &init);

	T_ASSERT(srq, "ibv_create_srq: %s", t_errname(errno));
	T_ASSERT(init.attr.max_wr >= max_wr && init.attr.max_sge >= 2,
		 "max_wr %u max_sge %u", init.attr.max_wr, init.attr.max_sge);
	return srq;
}

static void scene_open(struct srq_scene *s, unsigned int max_wr)
{
	struct t_qp_opt opt = T_QP_OPT;
	unsigned int i;

	memset(s, 0, sizeof(*s));
	t_open(&s->dev);
	if (!s->dev.attr.orig_attr.max_srq)
		t_skip("no SRQ");
	s->srq = make_srq(&s->dev, max_wr);
	s->buf = t_map(LEN);
	s->mr = t_reg(s->dev.pd, s->buf, LEN, T_ACCESS_ALL);
	for (i = 0; i < NR_PAIRS; i++) {
		opt.srq = NULL;
		t_ep_open(&s->a[i], &s->dev, &opt);
		opt.srq = s->srq;
		t_ep_open(&s->b[i], &s->dev, &opt);
		t_join(&s->a[i], &s->b[i]);
	}
}

static void post(struct srq_scene *s, uint64_t id)
{
	t_post_srq(s->srq, id, t_sge(s->mr, s->buf + 64 * (id % 512), 64));
}

static void transfer(struct srq_scene *s, unsigned int pair, uint64_t id,
		     uint64_t recv_id)
{
	char *src = s->buf + LEN / 2;
	struct ibv_wc wc;

	t_fill(src, 64, id);
	t_post(&s->a[pair], IBV_WR_SEND, id, t_sge(s->mr, src, 64), 0, 0);
	t_want_wc(s->a[pair].scq, id, IBV_WC_SUCCESS);
	wc = t_want_wc(s->b[pair].rcq, recv_id, IBV_WC_SUCCESS);
	T_ASSERT(wc.qp_num == s->b[pair].qp->qp_num && wc.byte_len == 64,
		 "qp_num %#x byte_len %u", wc.qp_num, wc.byte_len);
	t_want_data(s->buf + 64 * (recv_id % 512), 64, id);
}

/* Any QP takes the oldest. */
static void shared_order(void)
{
	unsigned int rounds = t_quick ? 200 : 2000;
	struct t_rand rand = { .state = 3 };
	struct srq_scene s;
	unsigned int posted = 0;
	unsigned int i;

	scene_open(&s, 32);
	for (i = 0; i < rounds; i++) {
		t_case("message %u", i);
		while (posted < i + 20)
			post(&s, posted++);
		transfer(&s, t_rand_below(&rand, NR_PAIRS), i, i);
	}
}

static void limit(void)
{
	struct ibv_srq_attr attr = { .srq_limit = 5 };
	struct ibv_async_event event;
	struct srq_scene s;
	unsigned int i;

	scene_open(&s, 32);
	for (i = 0; i < 8; i++)
		post(&s, i);
	T_OK(ibv_modify_srq(s.srq, &attr, IBV_SRQ_LIMIT));
	memset(&attr, 0, sizeof(attr));
	T_OK(ibv_query_srq(s.srq, &attr));
	T_ASSERT(attr.srq_limit == 5 && attr.max_wr >= 32, "limit %u of %u",
		 attr.srq_limit, attr.max_wr);
	for (i = 0; i < 3; i++)
		transfer(&s, i, i, i);
	T_ASSERT(!t_event_for(&s.dev, &event, T_QUIET_MS),
		 "event with 5 left of limit 5");
	transfer(&s, 0, 3, 3);
	event = t_want_event(&s.dev, IBV_EVENT_SRQ_LIMIT_REACHED);
	T_ASSERT(event.element.srq == s.srq, "event of another SRQ");
	/* Once; the limit is then off */
	transfer(&s, 1, 4, 4);
	T_ASSERT(!t_event_for(&s.dev, &event, T_QUIET_MS), "a second event");
	T_OK(ibv_query_srq(s.srq, &attr));
	T_ASSERT(attr.srq_limit == 0, "limit still %u", attr.srq_limit);
	/* Armed above what is there: the next receive tells */
	attr.srq_limit = 10;
	T_OK(ibv_modify_srq(s.srq, &attr, IBV_SRQ_LIMIT));
	transfer(&s, 2, 5, 5);
	t_want_event(&s.dev, IBV_EVENT_SRQ_LIMIT_REACHED);
}

static void full(void)
{
	struct ibv_recv_wr wr = { 0 };
	struct ibv_recv_wr *bad = NULL;
	struct srq_scene s;
	unsigned int posted;
	int ret = 0;

	scene_open(&s, 20);
	for (posted = 0; posted < 4096; posted++) {
		wr.wr_id = posted;
		ret = ibv_post_srq_recv(s.srq, &wr, &bad);
		if (ret)
			break;
	}
	T_ASSERT(ret == ENOMEM && bad == &wr, "post %u: %s", posted,
		 t_errname(ret));
	T_ASSERT(posted >= 20, "only %u receives fit", posted);
}

static void resize(void)
{
	struct ibv_srq_attr attr = { .max_wr = 100 };
	struct srq_scene s;
	unsigned int i;
	int ret;

	scene_open(&s, 16);
	if (!(s.dev.attr.orig_attr.device_cap_flags & IBV_DEVICE_SRQ_RESIZE))
		t_skip("no SRQ resize");
	for (i = 0; i < 10; i++)
		post(&s, i);
	ret = ibv_modify_srq(s.srq, &attr, IBV_SRQ_MAX_WR);
	T_ASSERT(!ret, "ibv_modify_srq: %s", t_errname(ret));
	for (; i < 100; i++)
		post(&s, i);
	for (i = 0; i < 100; i++)
		transfer(&s, i % NR_PAIRS, i, i);
}

/* Thousands of receives move while a worker takes some of them */
static void resize_deep(void)
{
	static const unsigned int sizes[] = { 6000, 3000, 9000, 3500 };
	struct ibv_srq_attr attr = { 0 };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};
	unsigned int posted = 0, done = 0;
	struct t_qp_opt opt = T_QP_OPT;
	struct srq_scene s;
	struct t_ep a, b;
	unsigned int i, n;
	int ret;

	scene_open(&s, 3000);
	if (!(s.dev.attr.orig_attr.device_cap_flags & IBV_DEVICE_SRQ_RESIZE))
		t_skip("no SRQ resize");
	opt.sq = 2000;
	opt.cqe = 2000;
	t_ep_open(&a, &s.dev, &opt);
	opt.srq = s.srq;
	t_ep_open(&b, &s.dev, &opt);
	t_join(&a, &b);
	for (i = 0; i < (t_quick ? 4 : 40); i++) {
		t_case("round %u, to %u", i, sizes[i % 4]);
		while (posted - done < 2900)
			post(&s, posted++);
		n = 1500 + 10 * i;
		t_post_chain(&a, &wr, done, n);
		attr.max_wr = sizes[i % 4];
		ret = ibv_modify_srq(s.srq, &attr, IBV_SRQ_MAX_WR);
		T_ASSERT(!ret, "ibv_modify_srq: %s", t_errname(ret));
		for (; n; n--, done++) {
			t_want_wc(a.scq, done, IBV_WC_SUCCESS);
			t_want_wc(b.rcq, done, IBV_WC_SUCCESS);
		}
	}
}

/* A resize whose limit is refused changes nothing */
static void resize_refused(void)
{
	struct ibv_srq_attr attr = { .max_wr = 64, .srq_limit = 65 };
	struct srq_scene s;
	unsigned int i;

	scene_open(&s, 16);
	if (!(s.dev.attr.orig_attr.device_cap_flags & IBV_DEVICE_SRQ_RESIZE))
		t_skip("no SRQ resize");
	for (i = 0; i < 10; i++)
		post(&s, i);
	T_ERR(ibv_modify_srq(s.srq, &attr, IBV_SRQ_MAX_WR | IBV_SRQ_LIMIT),
	      EINVAL);
	T_OK(ibv_query_srq(s.srq, &attr));
	T_ASSERT(attr.max_wr < 64 && !attr.srq_limit, "max_wr %u, limit %u",
		 attr.max_wr, attr.srq_limit);
	for (; i < 16; i++)
		post(&s, i);
	for (i = 0; i < 16; i++)
		transfer(&s, i % NR_PAIRS, i, i);
}

/* A QP in error takes no more; the receives stay for the others. */
static void last_wqe(void)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
	struct ibv_async_event event;
	struct srq_scene s;
	unsigned int i;

	scene_open(&s, 16);
	for (i = 0; i < 4; i++)
		post(&s, i);
	transfer(&s, 0, 0, 0);
	T_OK(ibv_modify_qp(s.b[0].qp, &attr, IBV_QP_STATE));
	event = t_want_event(&s.dev, IBV_EVENT_QP_LAST_WQE_REACHED);
	T_ASSERT(event.element.qp == s.b[0].qp, "event of another QP");
	t_want_none(s.b[0].rcq);
	for (i = 1; i < 4; i++)
		transfer(&s, 1, i, i);
}

/* Its receives belong to the SRQ's PD, not to that of the QP that takes them */
static void domain(void)
{
	char *src, *dst;
	struct ibv_mr *srq_mr, *qp_mr;
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_pd *qp_pd, *srq_pd;
	struct srq_scene s;
	struct t_ep a, b;

	memset(&s, 0, sizeof(s));
	t_open(&s.dev);
	qp_pd = s.dev.pd;
	srq_pd = ibv_alloc_pd(s.dev.ctx);
	T_ASSERT(srq_pd, "ibv_alloc_pd: %s", t_errname(errno));
	s.dev.pd = srq_pd;
	s.srq = make_srq(&s.dev, 16);
	s.dev.pd = qp_pd;
	src = t_map(T_PAGE);
	dst = t_map(T_PAGE);
	t_fill(src, T_PAGE, 3);
	t_fill_background(dst, T_PAGE);
	srq_mr = t_reg(srq_pd, dst, T_PAGE, T_ACCESS_ALL);
	qp_mr = t_reg(qp_pd, dst, T_PAGE, T_ACCESS_ALL);
	s.mr = t_reg(qp_pd, src, T_PAGE, 0);
	t_ep_open(&a, &s.dev, NULL);
	opt.srq = s.srq;
	t_ep_open(&b, &s.dev, &opt);
	t_join(&a, &b);

	t_case("a key of the QP's PD in a receive");
	t_post_srq(s.srq, 1, t_sge(qp_mr, dst, T_PAGE));
	t_post(&a, IBV_WR_SEND, 1, t_sge(s.mr, src, 100), 0, 0);
	t_want_wc(a.scq, 1, IBV_WC_REM_OP_ERR);
	t_want_wc(b.rcq, 1, IBV_WC_LOC_PROT_ERR);
	T_ASSERT(t_check_background(dst, T_PAGE) < 0, "the target changed");

	t_case("a key of the SRQ's PD in a receive");
	t_ep_reset(&a);
	t_ep_reset(&b);
	t_join(&a, &b);
	t_post_srq(s.srq, 2, t_sge(srq_mr, dst, T_PAGE));
	t_post(&a, IBV_WR_SEND, 2, t_sge(s.mr, src, T_PAGE), 0, 0);
	t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
	t_want_wc(b.rcq, 2, IBV_WC_SUCCESS);
	t_want_data(dst, T_PAGE, 3);

	/* A request's rkey is a matter of the QP all the same */
	t_case("rkeys");
	t_post(&a, IBV_WR_RDMA_WRITE, 3, t_sge(s.mr, src, 100),
	       (uintptr_t)dst, qp_mr->rkey);
	t_want_wc(a.scq, 3, IBV_WC_SUCCESS);
	t_post(&a, IBV_WR_RDMA_WRITE, 4, t_sge(s.mr, src, 100),
	       (uintptr_t)dst, srq_mr->rkey);
	t_want_wc(a.scq, 4, IBV_WC_REM_ACCESS_ERR);
}

static void empty(void)
{
	struct ibv_wc wc;
	struct srq_scene s;

	scene_open(&s, 16);
	t_post(&s.a[0], IBV_WR_SEND, 1, t_sge(s.mr, s.buf + LEN / 2, 64), 0, 0);
	T_ASSERT(!t_poll_for(s.a[0].scq, &wc, 50), "ended with '%s'",
		 t_wc_name(wc.status));
	post(&s, 2);
	t_want_wc(s.a[0].scq, 1, IBV_WC_SUCCESS);
	t_want_wc(s.b[0].rcq, 2, IBV_WC_SUCCESS);
}

/*
 * The first of several finds no receive: it is told so, and nothing is said of
 * those that follow it, which come again by themselves.
 */
static void empty_chain(void)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = 1,
	};
	uint64_t gaps;
	struct srq_scene s;
	unsigned int i;

	scene_open(&s, 16);
	gaps = t_counter(&s.dev, "rx_out_of_sequence");
	sge = t_sge(s.mr, s.buf + LEN / 2, 64);
	t_post_chain(&s.a[0], &wr, 0, 8);
	t_want_none(s.a[0].scq);
	for (i = 0; i < 8; i++)
		post(&s, 10 + i);
	for (i = 0; i < 8; i++) {
		t_want_wc(s.a[0].scq, i, IBV_WC_SUCCESS);
		t_want_wc(s.b[0].rcq, 10 + i, IBV_WC_SUCCESS);
	}
	t_want_counter(&s.dev, "rx_out_of_sequence", gaps);
}

static void limits(void)
{
	struct ibv_srq_init_attr init = { 0 };
	struct ibv_device_attr *dev_attr;
	struct srq_scene s;
	struct ibv_srq *srq;

	scene_open(&s, 16);
	dev_attr = &s.dev.attr.orig_attr;
	T_ERR(ibv_destroy_srq(s.srq), EBUSY);
	init.attr.max_wr = dev_attr->max_srq_wr + 1;
	init.attr.max_sge = 1;
	T_NULL_ERRNO(ibv_create_srq(s.dev.pd, &init), EINVAL);
	init.attr.max_wr = 1;
	init.attr.max_sge = dev_attr->max_srq_sge + 1;
	T_NULL_ERRNO(ibv_create_srq(s.dev.pd, &init), EINVAL);
	init.attr.max_sge = dev_attr->max_srq_sge;
	srq = ibv_create_srq(s.dev.pd, &init);
	T_ASSERT(srq, "most SGEs: %s", t_errname(errno));
	T_OK(ibv_destroy_srq(srq));
	{
		struct ibv_srq_attr attr = { .srq_limit = 1u << 30 };

		T_ERR(ibv_modify_srq(s.srq, &attr, IBV_SRQ_LIMIT), EINVAL);
	}
}

static const struct t_test tests[] = {
	{ "shared_order", shared_order },
	{ "limit", limit },
	{ "full", full },
	{ "resize", resize },
	{ "resize_deep", resize_deep },
	{ "resize_refused", resize_refused },
	{ "last_wqe", last_wqe },
	{ "domain", domain },
	{ "empty", empty },
	{ "empty_chain", empty_chain },
	{ "limits", limits },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
