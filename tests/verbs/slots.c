// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Slots of queues: each is taken until the completion of its request, or of a
 * later one of that queue, has been polled. So a CQ as deep as its queues are
 * is never overrun, whatever the application leaves unpolled.
 */

#include <pthread.h>
#include <stdlib.h>

#include "common/t_duo.h"
#include "common/t_uffd.h"

#define LEN (4 * T_PAGE)
#define DEPTH 16

static struct ibv_qp_cap qp_cap(const struct t_ep *ep)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	T_OK(ibv_query_qp(ep->qp, &attr, IBV_QP_CAP, &init));
	return attr.cap;
}

static void open_duo(struct t_duo *d, uint64_t ops)
{
	struct t_qp_opt opt = T_QP_OPT;

	opt.sq = DEPTH;
	opt.rq = DEPTH;
	opt.cqe = DEPTH;
	opt.wr_ops = ops;
	t_duo_open(d, LEN, T_PINNED, &opt);
	T_ASSERT(qp_cap(&d->a).max_send_wr == DEPTH &&
			 qp_cap(&d->b).max_recv_wr == DEPTH &&
			 d->a.scq->cqe == DEPTH,
		 "a depth of %d is not what one gets", DEPTH);
}

/* A WRITE of 8 bytes */
static int try_write(struct t_duo *d, struct t_ep *ep, uint64_t id,
		     unsigned int flags)
{
	struct ibv_sge sge = t_duo_sge(d, 8 * (id % 512), 8);
	struct ibv_send_wr wr = {
		.wr_id = id,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = flags,
		.sg_list = &sge,
		.num_sge = 1,
		.wr.rdma.remote_addr = t_remote(d, 8 * (id % 512)),
		.wr.rdma.rkey = d->bmr->rkey,
	};

	return t_try_post(ep, &wr);
}

/* Posts until there is no room: how many */
static unsigned int fill_sq(struct t_duo *d, uint64_t id, unsigned int flags)
{
	unsigned int nr;
	int ret;

	for (nr = 0; nr < 4 * DEPTH; nr++) {
		ret = try_write(d, &d->a, id + nr, flags);
		if (!ret)
			continue;
		T_ASSERT(ret == ENOMEM, "%s", t_errname(ret));
		return nr;
	}
	return nr;
}

static void want_fill(struct t_duo *d, uint64_t id, unsigned int flags,
		      unsigned int want)
{
	unsigned int nr = fill_sq(d, id, flags);

	T_ASSERT(nr == want, "%u requests fit, want %u", nr, want);
	/* Whether they have been carried out or not */
	t_sleep_ms(T_QUIET_MS);
	nr = fill_sq(d, id, flags);
	T_ASSERT(!nr, "%u more fit with nothing polled", nr);
}

static void want_healthy(struct t_duo *d)
{
	struct ibv_async_event event;

	T_ASSERT(!t_event_for(&d->dev, &event, T_QUIET_MS), "event %d",
		 event.event_type);
	T_ASSERT(t_ep_state(&d->a) == IBV_QPS_RTS, "state %d",
		 t_ep_state(&d->a));
}

static void signaled(void)
{
	struct t_duo d;
	unsigned int i;

	open_duo(&d, 0);
	want_fill(&d, 0, IBV_SEND_SIGNALED, DEPTH);
	t_want_wc(d.a.scq, 0, IBV_WC_SUCCESS);
	want_fill(&d, DEPTH, IBV_SEND_SIGNALED, 1);
	for (i = 1; i < 6; i++)
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
	want_fill(&d, DEPTH + 1, IBV_SEND_SIGNALED, 5);
	for (; i < DEPTH + 6; i++)
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
	want_healthy(&d);
	t_duo_works(&d);
}

/* Many polled at once */
static void batch(void)
{
	struct ibv_wc wc[DEPTH];
	struct t_duo d;
	int n, left;

	open_duo(&d, 0);
	want_fill(&d, 0, IBV_SEND_SIGNALED, DEPTH);
	for (left = DEPTH; left; left -= n) {
		n = ibv_poll_cq(d.a.scq, DEPTH, wc);
		T_ASSERT(n >= 0 && n <= left, "ibv_poll_cq: %d", n);
	}
	want_fill(&d, DEPTH, IBV_SEND_SIGNALED, DEPTH);
	want_healthy(&d);
}

/* They are free when a later one is; with none to come they stay taken */
static void unsignaled(void)
{
	struct t_duo d;
	unsigned int i;

	open_duo(&d, 0);
	for (i = 0; i < DEPTH - 1; i++)
		T_OK(try_write(&d, &d.a, i, i == 4 ? IBV_SEND_SIGNALED : 0));
	want_fill(&d, i, IBV_SEND_SIGNALED, 1);
	t_want_wc(d.a.scq, 4, IBV_WC_SUCCESS);
	want_fill(&d, 100, 0, 5);
	t_want_wc(d.a.scq, DEPTH - 1, IBV_WC_SUCCESS);
	want_fill(&d, 200, 0, DEPTH - 5);
	t_want_none(d.a.scq);
	want_healthy(&d);
	t_ep_reset(&d.a);
	t_ep_reset(&d.b);
	t_join(&d.a, &d.b);
	want_fill(&d, 300, IBV_SEND_SIGNALED, DEPTH);
	for (i = 0; i < DEPTH; i++)
		t_want_wc(d.a.scq, 300 + i, IBV_WC_SUCCESS);
}

/* A reset drops what was not polled, and so frees all of it */
static void reset(void)
{
	struct t_duo d;

	open_duo(&d, 0);
	want_fill(&d, 0, IBV_SEND_SIGNALED, DEPTH);
	t_ep_reset(&d.a);
	t_ep_reset(&d.b);
	t_want_none(d.a.scq);
	t_join(&d.a, &d.b);
	want_fill(&d, 50, IBV_SEND_SIGNALED, DEPTH);
	t_want_wc(d.a.scq, 50, IBV_WC_SUCCESS);
	want_fill(&d, 80, IBV_SEND_SIGNALED, 1);
}

/* An error is told of requests that are not signaled, and frees them too */
static void errors(void)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
	struct ibv_send_wr wr = { .wr_id = 3, .opcode = IBV_WR_RDMA_WRITE };
	struct ibv_sge sge;
	struct t_duo d;
	unsigned int i;

	open_duo(&d, 0);
	for (i = 0; i < 3; i++)
		T_OK(try_write(&d, &d.a, i, 0));
	sge = t_duo_sge(&d, 0, 8);
	sge.lkey ^= 0x100;
	wr.sg_list = &sge;
	wr.num_sge = 1;
	T_OK(t_try_post(&d.a, &wr));
	t_want_state(&d.a, IBV_QPS_ERR);
	want_fill(&d, 4, 0, DEPTH - 4);
	t_want_wc(d.a.scq, 3, IBV_WC_LOC_PROT_ERR);
	want_fill(&d, DEPTH, 0, 4);
	for (i = 4; i < DEPTH + 4; i++)
		t_want_wc(d.a.scq, i, IBV_WC_WR_FLUSH_ERR);
	t_want_none(d.a.scq);
	t_case("receives");
	for (i = 0; i < DEPTH; i++)
		t_post_recv(&d.b, i, t_sge(NULL, NULL, 0));
	T_OK(ibv_modify_qp(d.b.qp, &attr, IBV_QP_STATE));
	for (i = 0; i < 3 * DEPTH; i++) {
		t_want_wc(d.b.rcq, i, IBV_WC_WR_FLUSH_ERR);
		t_post_recv(&d.b, i + DEPTH, t_sge(NULL, NULL, 0));
	}
}

static void ex_start(struct t_ep *ep, uint64_t id)
{
	ibv_wr_start(ep->qpx);
	ep->qpx->wr_id = id;
	ep->qpx->wr_flags = IBV_SEND_SIGNALED;
}

static int ex_write(struct t_duo *d, uint64_t id)
{
	ex_start(&d->a, id);
	ibv_wr_rdma_write(d->a.qpx, d->bmr->rkey, t_remote(d, 0));
	ibv_wr_set_sge(d->a.qpx, d->amr->lkey, (uintptr_t)d->abuf, 8);
	return ibv_wr_complete(d->a.qpx);
}

static void wr_api(void)
{
	struct t_duo d;
	unsigned int i;

	open_duo(&d, IBV_QP_EX_WITH_RDMA_WRITE);
	for (i = 0; i < DEPTH; i++)
		T_OK(ex_write(&d, i));
	t_sleep_ms(T_QUIET_MS);
	T_ERR(ex_write(&d, i), ENOMEM);
	for (i = 0; i < 2 * DEPTH; i++) {
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
		T_OK(ex_write(&d, DEPTH + i));
		T_ERR(ex_write(&d, 99), ENOMEM);
	}
	want_healthy(&d);
}

/* In a session each request can be followed by a new one at once */
static void session(void)
{
	struct ibv_cq_init_attr_ex init = { .cqe = DEPTH };
	struct ibv_poll_cq_attr attr = { 0 };
	struct t_qp_opt opt = T_QP_OPT;
	unsigned int i, done = 0;
	struct ibv_cq_ex *cqx;
	struct t_duo d;
	int ret;

	t_open(&d.dev);
	cqx = ibv_create_cq_ex(d.dev.ctx, &init);
	if (!cqx)
		t_skip("no ibv_create_cq_ex");
	opt.sq = DEPTH;
	opt.scq = ibv_cq_ex_to_cq(cqx);
	t_duo_make(&d, LEN, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, &opt);
	for (i = 0; i < DEPTH; i++)
		T_OK(try_write(&d, &d.a, i, IBV_SEND_SIGNALED));
	t_sleep_ms(T_QUIET_MS);
	while (done < 20 * DEPTH) {
		ret = ibv_start_poll(cqx, &attr);
		if (ret == ENOENT)
			continue;
		for (; !ret; ret = ibv_next_poll(cqx)) {
			T_ASSERT(cqx->wr_id == done && !cqx->status,
				 "request %llu with %d, want %u",
				 (unsigned long long)cqx->wr_id, cqx->status,
				 done);
			T_OK(try_write(&d, &d.a, i++, IBV_SEND_SIGNALED));
			T_ASSERT(ibv_wc_read_opcode(cqx) == IBV_WC_RDMA_WRITE,
				 "the entry has changed");
			if (++done % (2 * DEPTH) == 0)
				break;
		}
		T_ASSERT(!ret || ret == ENOENT, "%s", t_errname(ret));
		ibv_end_poll(cqx);
	}
	want_healthy(&d);
}

static void receives(void)
{
	struct ibv_recv_wr wr = { 0 };
	struct ibv_recv_wr *bad;
	struct t_duo d;
	unsigned int i;

	open_duo(&d, 0);
	for (i = 0; i < DEPTH; i++)
		t_post_recv(&d.b, i, t_sge(NULL, NULL, 0));
	T_ERR(ibv_post_recv(d.b.qp, &wr, &bad), ENOMEM);
	for (i = 0; i < DEPTH; i++) {
		t_post(&d.a, IBV_WR_SEND, i, t_sge(NULL, NULL, 0), 0, 0);
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
		T_ERR(ibv_post_recv(d.b.qp, &wr, &bad), ENOMEM);
	}
	for (i = 0; i < DEPTH; i++) {
		t_want_wc(d.b.rcq, i, IBV_WC_SUCCESS);
		T_OK(ibv_post_recv(d.b.qp, &wr, &bad));
		T_ERR(ibv_post_recv(d.b.qp, &wr, &bad), ENOMEM);
	}
	want_healthy(&d);
}

#define NR_QPS 3

struct srq_scene {
	struct t_dev dev;
	struct ibv_srq *srq;
	struct t_ep a[NR_QPS];
	struct t_ep b[NR_QPS];
};

static void srq_open(struct srq_scene *s)
{
	struct ibv_srq_init_attr init = { .attr = { DEPTH, 1, 0 } };
	struct t_qp_opt opt = T_QP_OPT;
	unsigned int i;

	memset(s, 0, sizeof(*s));
	t_open(&s->dev);
	s->srq = ibv_create_srq(s->dev.pd, &init);
	T_ASSERT(s->srq && init.attr.max_wr == DEPTH, "ibv_create_srq");
	for (i = 0; i < NR_QPS; i++) {
		opt.srq = NULL;
		t_ep_open(&s->a[i], &s->dev, &opt);
		opt.srq = s->srq;
		t_ep_open(&s->b[i], &s->dev, &opt);
		t_join(&s->a[i], &s->b[i]);
	}
}

static void want_srq(struct srq_scene *s, unsigned int want)
{
	struct ibv_recv_wr wr = { 0 };
	struct ibv_recv_wr *bad;
	unsigned int nr;

	for (nr = 0; nr < 4 * DEPTH; nr++)
		if (ibv_post_srq_recv(s->srq, &wr, &bad))
			break;
	T_ASSERT(nr == want, "%u receives fit, want %u", nr, want);
}

static void srq_send(struct srq_scene *s, unsigned int pair)
{
	t_post(&s->a[pair], IBV_WR_SEND, 1, t_sge(NULL, NULL, 0), 0, 0);
	t_want_wc(s->a[pair].scq, 1, IBV_WC_SUCCESS);
}

/* In whatever order, and whoever took them */
static void srq(void)
{
	struct srq_scene s;
	unsigned int i;

	srq_open(&s);
	want_srq(&s, DEPTH);
	for (i = 0; i < 9; i++)
		srq_send(&s, i % NR_QPS);
	want_srq(&s, 0);
	for (i = NR_QPS; i-- > 0;) {
		t_case("polled of %u", i);
		t_want_wc(s.b[i].rcq, 0, IBV_WC_SUCCESS);
		want_srq(&s, 1);
		t_want_wc(s.b[i].rcq, 0, IBV_WC_SUCCESS);
		t_want_wc(s.b[i].rcq, 0, IBV_WC_SUCCESS);
		want_srq(&s, 2);
	}
	t_case("dropped by a reset");
	for (i = 0; i < 5; i++)
		srq_send(&s, 0);
	want_srq(&s, 0);
	t_ep_reset(&s.b[0]);
	want_srq(&s, 5);
	t_case("dropped by a destroy");
	for (i = 0; i < 4; i++)
		srq_send(&s, 1);
	want_srq(&s, 0);
	T_OK(ibv_destroy_qp(s.b[1].qp));
	want_srq(&s, 4);
	t_case("all the rest");
	for (i = 0; i < DEPTH; i++)
		srq_send(&s, 2);
	want_srq(&s, 0);
	for (i = 0; i < DEPTH; i++)
		t_want_wc(s.b[2].rcq, 0, IBV_WC_SUCCESS);
	want_srq(&s, DEPTH);
}

/* A receive that is in hand when its QP goes is not completed by anything */
static void srq_lost(void)
{
	struct ibv_srq_attr resize = { .max_wr = 2 * DEPTH };
	struct srq_scene s;
	struct ibv_mr *mr, *smr;
	unsigned int i, n;
	char *src, *late;
	int fd;

	srq_open(&s);
	if (!t_can_kind(&s.dev, T_EXPLICIT))
		t_skip("no on-demand paging");
	late = t_map(T_PAGE);
	src = t_map(T_PAGE);
	t_fill(src, T_PAGE, 1);
	smr = t_reg(s.dev.pd, src, T_PAGE, 0);
	fd = t_uffd(late, T_PAGE);
	mr = t_reg_kind(&s.dev, T_EXPLICIT, late, T_PAGE, T_ACCESS_ALL);
	for (i = 0; i < 2; i++) {
		t_case(i ? "destroyed" : "reset");
		t_post_srq(s.srq, 7, t_sge(mr, late, T_PAGE));
		want_srq(&s, DEPTH - 1);
		t_post(&s.a[i], IBV_WR_SEND, 2, t_sge(smr, src, 64), 0, 0);
		/* Taken, and waiting for the page */
		t_sleep_ms(4 * T_QUIET_MS);
		want_srq(&s, 0);
		if (i)
			T_OK(ibv_destroy_qp(s.b[i].qp));
		else
			t_ep_reset(&s.b[i]);
		want_srq(&s, 1);
		T_OK(ibv_destroy_qp(s.a[i].qp));
		/* Empty it for what follows */
		for (n = 0; n < DEPTH; n++) {
			srq_send(&s, 2);
			t_want_wc(s.b[2].rcq, 0, IBV_WC_SUCCESS);
		}
	}
	t_case("resized");
	T_OK(ibv_modify_srq(s.srq, &resize, IBV_SRQ_MAX_WR));
	want_srq(&s, 2 * DEPTH);
	t_uffd_serve(fd, late);
}

/* A receive whose completion finds no room is not completed either */
static void srq_overflow(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct srq_scene s;
	struct t_ep a, b;
	struct ibv_wc wc;
	unsigned int i, cqe;

	srq_open(&s);
	opt.rcq = ibv_create_cq(s.dev.ctx, 4, NULL, NULL, 0);
	T_ASSERT(opt.rcq, "ibv_create_cq: %s", t_errname(errno));
	cqe = opt.rcq->cqe;
	T_ASSERT(cqe < DEPTH, "a CQ of %u entries", cqe);
	opt.srq = s.srq;
	t_ep_open(&b, &s.dev, &opt);
	opt.srq = NULL;
	opt.rcq = NULL;
	t_ep_open(&a, &s.dev, &opt);
	t_join(&a, &b);
	want_srq(&s, DEPTH);
	for (i = 0; i < cqe; i++) {
		t_post(&a, IBV_WR_SEND, i, t_sge(NULL, NULL, 0), 0, 0);
		t_want_wc(a.scq, i, IBV_WC_SUCCESS);
	}
	want_srq(&s, 0);
	t_post(&a, IBV_WR_SEND, i, t_sge(NULL, NULL, 0), 0, 0);
	t_want_state(&b, IBV_QPS_ERR);
	t_poll_for(a.scq, &wc, T_WAIT_MS);
	want_srq(&s, 1);
}

#define CROWD 4

struct crowd {
	struct t_duo d;
	struct t_ep eps[CROWD];
	struct t_ep peers[CROWD];
	unsigned int rounds;
	volatile unsigned int posted[CROWD];
};

static void *crowd_poster(void *arg)
{
	struct crowd *c = arg;
	unsigned int i, left = CROWD;
	int ret;

	while (left) {
		left = 0;
		for (i = 0; i < CROWD; i++) {
			if (c->posted[i] == c->rounds)
				continue;
			left++;
			ret = try_write(&c->d, &c->eps[i], c->posted[i],
					c->posted[i] % 3 ? 0 :
							   IBV_SEND_SIGNALED);
			T_ASSERT(!ret || ret == ENOMEM, "%s", t_errname(ret));
			if (!ret)
				c->posted[i]++;
		}
	}
	return NULL;
}

/*
 * One thread posts to several QPs as soon as that is possible, another one
 * polls the CQ of them all, which has room for what fits into the queues.
 */
static void shared_cq(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	static struct crowd c;
	unsigned int next[CROWD] = { 0 };
	unsigned int i, left;
	struct ibv_wc wc[7];
	pthread_t thread;
	uint64_t end;
	int n, k;

	t_duo_open(&c.d, LEN, T_PINNED, NULL);
	c.rounds = t_quick ? 601 : 6001;
	opt.sq = 4;
	opt.scq = ibv_create_cq(c.d.dev.ctx, 4 * CROWD, NULL, NULL, 0);
	T_ASSERT(opt.scq, "ibv_create_cq");
	for (i = 0; i < CROWD; i++) {
		t_ep_open(&c.eps[i], &c.d.dev, &opt);
		t_ep_open(&c.peers[i], &c.d.dev, NULL);
		t_join(&c.eps[i], &c.peers[i]);
	}
	left = CROWD * (c.rounds / 3 + 1);
	T_ASSERT(!pthread_create(&thread, NULL, crowd_poster, &c), "thread");
	end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	while (left) {
		T_ASSERT(t_now_ns() < end, "%u completions are missing", left);
		n = ibv_poll_cq(opt.scq, 1 + left % 7, wc);
		T_ASSERT(n >= 0, "ibv_poll_cq: %d", n);
		for (k = 0; k < n; k++, left--) {
			for (i = 0; i < CROWD - 1; i++)
				if (c.eps[i].qp->qp_num == wc[k].qp_num)
					break;
			T_ASSERT(c.eps[i].qp->qp_num == wc[k].qp_num &&
					 !wc[k].status &&
					 wc[k].wr_id == next[i],
				 "QP %u: %llu with '%s', want %u", i,
				 (unsigned long long)wc[k].wr_id,
				 t_wc_name(wc[k].status), next[i]);
			next[i] += 3;
		}
	}
	pthread_join(thread, NULL);
	want_healthy(&c.d);
}

static const struct t_test tests[] = {
	{ "signaled", signaled },
	{ "batch", batch },
	{ "unsignaled", unsignaled },
	{ "reset", reset },
	{ "errors", errors },
	{ "wr_api", wr_api },
	{ "session", session },
	{ "receives", receives },
	{ "srq", srq },
	{ "srq_lost", srq_lost },
	{ "srq_overflow", srq_overflow },
	{ "shared_cq", shared_cq },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
