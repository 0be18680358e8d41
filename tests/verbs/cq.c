// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Completion queues: resize, overflow, channels, solicited, moderation */

#include <pthread.h>
#include <unistd.h>

#include "common/t_duo.h"

#define LEN T_PAGE

struct cq_duo {
	struct t_duo d;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq; /* of b's receives */
};

/* b's receive CQ has a channel */
static void open_channel(struct cq_duo *c, int cqe)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_addr addr_a, addr_b;

	memset(c, 0, sizeof(*c));
	t_duo_open(&c->d, LEN, T_PINNED, NULL);
	c->channel = ibv_create_comp_channel(c->d.dev.ctx);
	T_ASSERT(c->channel, "ibv_create_comp_channel: %s", t_errname(errno));
	c->cq = ibv_create_cq(c->d.dev.ctx, cqe, c, c->channel, 0);
	T_ASSERT(c->cq, "ibv_create_cq: %s", t_errname(errno));
	t_ep_close(&c->d.b);
	t_ep_reset(&c->d.a);
	opt.rcq = c->cq;
	t_ep_open(&c->d.b, &c->d.dev, &opt);
	addr_a = t_ep_addr(&c->d.a);
	addr_b = t_ep_addr(&c->d.b);
	t_ep_connect(&c->d.a, &addr_b);
	t_ep_connect(&c->d.b, &addr_a);
}

static void message(struct cq_duo *c, uint64_t id, unsigned int flags)
{
	struct ibv_send_wr wr = {
		.wr_id = id,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED | flags,
	};

	t_post_recv(&c->d.b, id, t_sge(NULL, NULL, 0));
	T_OK(t_try_post(&c->d.a, &wr));
	t_want_wc(c->d.a.scq, id, IBV_WC_SUCCESS);
}

static void arm(struct cq_duo *c, int solicited_only)
{
	T_OK(ibv_req_notify_cq(c->cq, solicited_only));
}

static void want_event(struct cq_duo *c)
{
	T_ASSERT(t_cq_event(c->channel, T_WAIT_MS), "no completion event");
}

static void want_no_event(struct cq_duo *c)
{
	T_ASSERT(!t_cq_event(c->channel, T_QUIET_MS), "an unwanted event");
}

static void notify(void)
{
	struct cq_duo c;

	open_channel(&c, 64);
	message(&c, 1, 0);
	want_no_event(&c);
	t_want_wc(c.cq, 1, IBV_WC_SUCCESS);
	arm(&c, 0);
	want_no_event(&c);
	message(&c, 2, 0);
	want_event(&c);
	/* One event for each time it is armed */
	message(&c, 3, 0);
	want_no_event(&c);
	t_want_wc(c.cq, 2, IBV_WC_SUCCESS);
	t_want_wc(c.cq, 3, IBV_WC_SUCCESS);
	/* Armed twice is armed once */
	arm(&c, 0);
	arm(&c, 0);
	message(&c, 4, 0);
	want_event(&c);
	message(&c, 5, 0);
	want_no_event(&c);
}

static void solicited(void)
{
	struct cq_duo c;

	open_channel(&c, 64);
	arm(&c, 1);
	message(&c, 1, 0);
	want_no_event(&c);
	message(&c, 2, IBV_SEND_SOLICITED);
	want_event(&c);
	t_want_wc(c.cq, 1, IBV_WC_SUCCESS);
	t_want_wc(c.cq, 2, IBV_WC_SUCCESS);
	/* The wider request holds */
	arm(&c, 0);
	arm(&c, 1);
	message(&c, 3, 0);
	want_event(&c);
	t_want_wc(c.cq, 3, IBV_WC_SUCCESS);
	/* An error counts as solicited */
	arm(&c, 1);
	t_post_recv(&c.d.b, 4, t_sge(NULL, NULL, 0));
	{
		struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

		T_OK(ibv_modify_qp(c.d.b.qp, &attr, IBV_QP_STATE));
	}
	want_event(&c);
	t_want_wc(c.cq, 4, IBV_WC_WR_FLUSH_ERR);
}

/* A send that fails counts as solicited too, and one that does not, not */
static void solicited_send(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct cq_duo c;

	memset(&c, 0, sizeof(c));
	t_open(&c.d.dev);
	c.channel = ibv_create_comp_channel(c.d.dev.ctx);
	T_ASSERT(c.channel, "ibv_create_comp_channel: %s", t_errname(errno));
	opt.channel = c.channel;
	t_duo_make(&c.d, LEN, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, &opt);
	T_OK(ibv_req_notify_cq(c.d.a.scq, 1));
	t_post(&c.d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&c.d, 0, 8),
	       t_remote(&c.d, 0), c.d.bmr->rkey);
	t_want_wc(c.d.a.scq, 1, IBV_WC_SUCCESS);
	want_no_event(&c);
	t_post(&c.d.a, IBV_WR_RDMA_WRITE, 2, t_duo_sge(&c.d, 0, 8),
	       t_remote(&c.d, 0), c.d.bmr->rkey ^ 0x100);
	want_event(&c);
	t_want_wc(c.d.a.scq, 2, IBV_WC_REM_ACCESS_ERR);
}

struct sender {
	struct cq_duo *c;
	unsigned int messages;
	volatile unsigned int allowed; /* messages that may be sent by now */
};

static void *send_allowed(void *arg)
{
	struct sender *s = arg;
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND,
				  .send_flags = IBV_SEND_SIGNALED };
	unsigned int i;

	for (i = 0; i < s->messages; i++) {
		while (s->allowed <= i)
			;
		wr.wr_id = i;
		T_OK(t_try_post(&s->c->d.a, &wr));
		t_want_wc(s->c->d.a.scq, i, IBV_WC_SUCCESS);
	}
	return NULL;
}

/*
 * The same while the message is on its way: the CQ is armed, and polled, at
 * the very moment at which the other thread's message completes. It was not
 * armed before: each last time is used up by a second message.
 */
static void notify_threads(void)
{
	unsigned int rounds = t_quick ? 300 : 2000;
	struct sender s = { .messages = 2 * rounds };
	struct t_rand rand = { .state = 5 };
	struct cq_duo c;
	struct ibv_wc wc;
	pthread_t thread;
	unsigned int i, slept = 0;
	volatile unsigned int spin;

	open_channel(&c, 64);
	s.c = &c;
	T_ASSERT(!pthread_create(&thread, NULL, send_allowed, &s), "thread");
	for (i = 0; i < s.messages; i += 2) {
		t_case("message %u", i);
		t_post_recv(&c.d.b, i, t_sge(NULL, NULL, 0));
		t_post_recv(&c.d.b, i + 1, t_sge(NULL, NULL, 0));
		s.allowed = i + 1;
		for (spin = t_rand_below(&rand, 3000); spin; spin--)
			;
		for (;;) {
			arm(&c, 0);
			if (ibv_poll_cq(c.cq, 1, &wc))
				break;
			want_event(&c);
			slept++;
		}
		T_ASSERT(wc.wr_id == i && !wc.status, "completion of %llu",
			 (unsigned long long)wc.wr_id);
		s.allowed = i + 2;
		want_event(&c);
		t_want_wc(c.cq, i + 1, IBV_WC_SUCCESS);
	}
	T_ASSERT(!pthread_join(thread, NULL), "join");
	t_note("%u of %u slept", slept, rounds);
}

/* The usual loop of sleepers, thousands of times: no wake-up is ever lost. */
static void notify_race(void)
{
	unsigned int rounds = t_quick ? 200 : 2000;
	struct cq_duo c;
	struct ibv_wc wc;
	unsigned int i;
	int n;

	open_channel(&c, 64);
	for (i = 0; i < rounds; i++) {
		struct ibv_send_wr wr = { .wr_id = i, .opcode = IBV_WR_SEND,
					  .send_flags = IBV_SEND_SIGNALED };

		t_case("round %u", i);
		t_post_recv(&c.d.b, i, t_sge(NULL, NULL, 0));
		if (i & 1) {
			arm(&c, 0);
			T_OK(t_try_post(&c.d.a, &wr));
		} else {
			T_OK(t_try_post(&c.d.a, &wr));
			arm(&c, 0);
		}
		n = ibv_poll_cq(c.cq, 1, &wc);
		if (!n) {
			want_event(&c);
			n = ibv_poll_cq(c.cq, 1, &wc);
		} else {
			/* It may have fired before the poll */
			t_cq_event(c.channel, 0);
		}
		T_ASSERT(n == 1 && wc.wr_id == i, "%d completions", n);
		t_want_wc(c.d.a.scq, i, IBV_WC_SUCCESS);
	}
}

/* Entries survive a resize, in order, with a wrapped ring too. */
static void resize(void)
{
	static const int sizes[] = { 200, 40, 17, 500 };
	unsigned int next_in = 0;
	unsigned int next_out = 0;
	struct cq_duo c;
	size_t i;
	int ret;

	open_channel(&c, 32);
	for (i = 0; i < T_ARRAY_SIZE(sizes); i++) {
		t_case("to %d", sizes[i]);
		while (next_in - next_out < 16)
			message(&c, next_in++, 0);
		while (next_in - next_out > 10)
			t_want_wc(c.cq, next_out++, IBV_WC_SUCCESS);
		while (next_in - next_out < 15)
			message(&c, next_in++, 0);
		ret = ibv_resize_cq(c.cq, sizes[i]);
		if (ret == EOPNOTSUPP || ret == ENOSYS)
			t_skip("no resize");
		T_ASSERT(!ret, "ibv_resize_cq: %s", t_errname(ret));
		T_ASSERT(c.cq->cqe >= sizes[i], "cqe %d", c.cq->cqe);
	}
	t_case("too small");
	ret = ibv_resize_cq(c.cq, 3);
	if (ret)
		T_ASSERT(ret == EINVAL, "%s", t_errname(ret));
	else
		T_ASSERT(c.cq->cqe >= 15, "15 entries, cqe is now %d",
			 c.cq->cqe);
	while (next_out < next_in)
		t_want_wc(c.cq, next_out++, IBV_WC_SUCCESS);
	t_want_none(c.cq);
	t_case("armed before it");
	arm(&c, 0);
	T_OK(ibv_resize_cq(c.cq, 600));
	message(&c, next_in++, 0);
	want_event(&c);
	t_want_wc(c.cq, next_out++, IBV_WC_SUCCESS);
	T_ERR(ibv_resize_cq(c.cq, 0), EINVAL);
	T_ERR(ibv_resize_cq(c.cq, c.d.dev.attr.orig_attr.max_cqe + 1), EINVAL);
	/* And an event still comes */
	arm(&c, 0);
	message(&c, next_in, 0);
	want_event(&c);
}

/* Resizing under traffic: every completion comes once, in order. */
static void resize_busy(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	unsigned int rounds = t_quick ? 100 : 1000;
	unsigned int posted = 0;
	unsigned int done = 0;
	struct t_duo d;
	unsigned int i;
	int ret;

	opt.sq = 64;
	opt.cqe = 64;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	for (i = 0; i < rounds; i++) {
		t_case("round %u", i);
		while (posted - done < 48) {
			t_post(&d.a, IBV_WR_RDMA_WRITE, posted++,
			       t_duo_sge(&d, 0, LEN), t_remote(&d, 0),
			       d.bmr->rkey);
		}
		ret = ibv_resize_cq(d.a.scq, 64 + 37 * (i % 5));
		if (ret == EOPNOTSUPP || ret == ENOSYS)
			t_skip("no resize");
		T_ASSERT(!ret, "ibv_resize_cq: %s", t_errname(ret));
		while (posted - done > i % 40)
			t_want_wc(d.a.scq, done++, IBV_WC_SUCCESS);
	}
}

/* Thousands of entries to move, while a worker goes on writing more. */
static void resize_deep(void)
{
	static const int sizes[] = { 16000, 8000, 30000, 9000 };
	struct t_qp_opt opt = T_QP_OPT;
	unsigned int posted = 0, done = 0;
	unsigned int rounds = t_quick ? 4 : 40;
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct t_duo d;
	unsigned int i;
	int ret;

	opt.sq = 8000;
	opt.cqe = 8000;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	wr.wr.rdma.remote_addr = t_remote(&d, 0);
	wr.wr.rdma.rkey = d.bmr->rkey;
	for (i = 0; i < rounds; i++) {
		t_case("round %u, to %d", i, sizes[i % 4]);
		/* A doorbell does 128 of them itself */
		t_post_chain(&d.a, &wr, posted, 7500 - (posted - done));
		posted = done + 7500;
		ret = ibv_resize_cq(d.a.scq, sizes[i % 4]);
		if (ret == EOPNOTSUPP || ret == ENOSYS)
			t_skip("no resize");
		T_ASSERT(!ret, "ibv_resize_cq: %s", t_errname(ret));
		while (posted - done > 4000 + 100 * (i % 7))
			t_want_wc(d.a.scq, done++, IBV_WC_SUCCESS);
	}
	while (done != posted)
		t_want_wc(d.a.scq, done++, IBV_WC_SUCCESS);
	t_want_none(d.a.scq);
}

/* As many as there is room for, each as it should be, and no more */
static void want_filled(struct ibv_cq *cq)
{
	unsigned int i;
	struct ibv_wc wc;

	for (i = 0; i < (unsigned int)cq->cqe; i++) {
		T_ASSERT(ibv_poll_cq(cq, 1, &wc) == 1, "entry %u is lost", i);
		T_ASSERT(wc.wr_id == i && !wc.status,
			 "entry %u is of request %llu, '%s'", i,
			 (unsigned long long)wc.wr_id, t_wc_name(wc.status));
	}
	T_ASSERT(!ibv_poll_cq(cq, 1, &wc), "more than %d", cq->cqe);
}

/* The same by receives: the responder is in error, and its peer is told */
static void overflow_recv(void)
{
	struct ibv_async_event event;
	struct ibv_wc wc;
	struct cq_duo c;
	unsigned int i;
	int cqe;

	open_channel(&c, 4);
	cqe = c.cq->cqe;
	for (i = 0; i < (unsigned int)cqe; i++)
		message(&c, i, 0);
	t_post_recv(&c.d.b, i, t_sge(NULL, NULL, 0));
	t_post(&c.d.a, IBV_WR_SEND, i, t_sge(NULL, NULL, 0), 0, 0);
	event = t_want_event(&c.d.dev, IBV_EVENT_CQ_ERR);
	T_ASSERT(event.element.cq == c.cq, "event of another CQ");
	event = t_want_event(&c.d.dev, IBV_EVENT_QP_FATAL);
	T_ASSERT(event.element.qp == c.d.b.qp, "event of another QP");
	t_want_state(&c.d.b, IBV_QPS_ERR);
	/* It was taken, whatever became of its completion */
	t_poll_for(c.d.a.scq, &wc, T_WAIT_MS);
	want_filled(c.cq);
}

/* More completions than entries: an event, an error, and no harm beyond. */
static void overflow(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_async_event event;
	struct t_ep other_a, other_b;
	struct t_duo d;
	unsigned int i;

	opt.sq = 256;
	opt.cqe = 4;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	t_pair(&d.dev, &other_a, &other_b, NULL);
	for (i = 0; i < d.a.scq->cqe + 64u && i < 256; i++) {
		struct ibv_send_wr wr = { .wr_id = i,
					  .opcode = IBV_WR_RDMA_WRITE,
					  .send_flags = IBV_SEND_SIGNALED };

		if (t_try_post(&d.a, &wr))
			break;
	}
	T_ASSERT((int)i > d.a.scq->cqe, "%u requests fit", i);
	event = t_want_event(&d.dev, IBV_EVENT_CQ_ERR);
	T_ASSERT(event.element.cq == d.a.scq, "event of another CQ");
	event = t_want_event(&d.dev, IBV_EVENT_QP_FATAL);
	T_ASSERT(event.element.qp == d.a.qp, "event of another QP");
	t_want_state(&d.a, IBV_QPS_ERR);
	want_filled(d.a.scq);
	t_post(&other_a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, LEN),
	       t_remote(&d, 0), d.bmr->rkey);
	t_want_wc(other_a.scq, 1, IBV_WC_SUCCESS);
	t_want_data(d.bbuf, LEN, 1);
	t_ep_close(&d.a);
	t_ep_close(&d.b);
}

static void moderation(void)
{
	struct ibv_modify_cq_attr attr = {
		.attr_mask = IBV_CQ_ATTR_MODERATE,
		.moderate = { .cq_count = 8, .cq_period = 60000 },
	};
	struct cq_duo c;
	unsigned int i;

	open_channel(&c, 64);
	if (!c.d.dev.attr.cq_mod_caps.max_cq_count)
		t_skip("no moderation");
	T_OK(ibv_modify_cq(c.cq, &attr));
	arm(&c, 0);
	for (i = 0; i < 7; i++)
		message(&c, i, 0);
	T_ASSERT(!t_cq_event(c.channel, 1), "an event after 7 of 8");
	message(&c, i, 0);
	want_event(&c);
	for (i = 0; i < 8; i++)
		t_want_wc(c.cq, i, IBV_WC_SUCCESS);
	/* Fewer than the count: the period decides */
	attr.moderate.cq_period = 20000;
	T_OK(ibv_modify_cq(c.cq, &attr));
	arm(&c, 0);
	message(&c, 9, 0);
	want_event(&c);
	t_want_wc(c.cq, 9, IBV_WC_SUCCESS);
	/* Off again */
	attr.moderate.cq_count = 0;
	attr.moderate.cq_period = 0;
	T_OK(ibv_modify_cq(c.cq, &attr));
	arm(&c, 0);
	message(&c, 10, 0);
	want_event(&c);
}

/* Who arms again and again is woken all the same */
static void moderation_rearmed(void)
{
	struct ibv_modify_cq_attr attr = {
		.attr_mask = IBV_CQ_ATTR_MODERATE,
		.moderate = { .cq_count = 10, .cq_period = 60000 },
	};
	struct cq_duo c;
	unsigned int i;

	open_channel(&c, 64);
	if (!c.d.dev.attr.cq_mod_caps.max_cq_count)
		t_skip("no moderation");
	T_OK(ibv_modify_cq(c.cq, &attr));
	for (i = 0; i < 40; i++) {
		arm(&c, 0);
		message(&c, i, 0);
		if (t_cq_event(c.channel, 0))
			break;
	}
	T_ASSERT(i < 40, "no event after %u of 10", i);
}

static void creation(void)
{
	struct ibv_comp_channel *channel;
	struct ibv_device_attr *attr;
	struct t_dev dev;
	struct ibv_cq *cq;

	t_open(&dev);
	attr = &dev.attr.orig_attr;
	T_NULL_ERRNO(ibv_create_cq(dev.ctx, 0, NULL, NULL, 0), EINVAL);
	T_NULL_ERRNO(ibv_create_cq(dev.ctx, attr->max_cqe + 1, NULL, NULL, 0),
		     EINVAL);
	T_NULL_ERRNO(ibv_create_cq(dev.ctx, 1, NULL, NULL,
				   dev.ctx->num_comp_vectors),
		     EINVAL);
	channel = ibv_create_comp_channel(dev.ctx);
	cq = ibv_create_cq(dev.ctx, 1, NULL, channel,
			   dev.ctx->num_comp_vectors - 1);
	T_ASSERT(cq, "the last vector: %s", t_errname(errno));
	T_ASSERT(cq->cqe >= 1, "cqe %d", cq->cqe);
	T_ERR(ibv_destroy_comp_channel(channel), EBUSY);
	T_OK(ibv_destroy_cq(cq));
	T_OK(ibv_destroy_comp_channel(channel));
	t_close(&dev);
}

/* Many at once, fewer at once, none: in order every way. */
static void poll_many(void)
{
	struct ibv_wc wc[32];
	struct cq_duo c;
	unsigned int i;

	open_channel(&c, 64);
	for (i = 0; i < 16; i++)
		message(&c, i, 0);
	T_ASSERT(ibv_poll_cq(c.cq, 0, wc) == 0, "poll of 0");
	T_ASSERT(ibv_poll_cq(c.cq, 5, wc) == 5, "poll of 5");
	T_ASSERT(ibv_poll_cq(c.cq, 32, wc + 5) == 11, "poll of 32");
	for (i = 0; i < 16; i++)
		T_ASSERT(wc[i].wr_id == i && !wc[i].status, "entry %u is %llu",
			 i, (unsigned long long)wc[i].wr_id);
	T_ASSERT(ibv_poll_cq(c.cq, 32, wc) == 0, "poll of an empty queue");
}

static const struct t_test tests[] = {
	{ "notify", notify },
	{ "solicited", solicited },
	{ "solicited_send", solicited_send },
	{ "notify_race", notify_race },
	{ "notify_threads", notify_threads },
	{ "resize", resize },
	{ "resize_busy", resize_busy },
	{ "resize_deep", resize_deep },
	{ "overflow", overflow },
	{ "overflow_recv", overflow_recv },
	{ "moderation", moderation },
	{ "moderation_rearmed", moderation_rearmed },
	{ "creation", creation },
	{ "poll_many", poll_many },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
