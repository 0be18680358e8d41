// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Peers that are not ready, and peers that are gone: counts and times */

#include <stdlib.h>

#include "common/t_duo.h"

#define LEN T_PAGE

/* IBTA table 45: min_rnr_timer codes, in microseconds */
#define RNR_10MS 20
#define RNR_10MS_US 10240
#define RNR_80MS 26
#define RNR_80MS_US 81920

static uint64_t ms_since(uint64_t begin)
{
	return (t_now_ns() - begin) / 1000000;
}

static void send_one(struct t_duo *d, uint64_t wr_id)
{
	t_post(&d->a, IBV_WR_SEND, wr_id, t_duo_sge(d, 0, LEN), 0, 0);
}

static void rnr_zero(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_duo d;

	opt.rnr_retry = 0;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	send_one(&d, 1);
	t_want_wc(d.a.scq, 1, IBV_WC_RNR_RETRY_EXC_ERR);
	t_want_state(&d.a, IBV_QPS_ERR);
	T_ASSERT(t_ep_state(&d.b) == IBV_QPS_RTS, "the responder left RTS");
	T_ASSERT(t_check_background(d.bbuf, LEN) < 0, "the target changed");
}

/* n retries, each after the responder's timer. */
static void rnr_count(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	uint64_t begin, naks;
	uint64_t ms;
	struct t_duo d;

	opt.rnr_retry = 4;
	opt.min_rnr = RNR_80MS;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	naks = t_counter(&d.dev, "rnr_naks");
	begin = t_now_ns();
	send_one(&d, 1);
	t_want_wc(d.a.scq, 1, IBV_WC_RNR_RETRY_EXC_ERR);
	ms = ms_since(begin);
	t_want_counter(&d.dev, "rnr_naks", naks + 1 + opt.rnr_retry);
	T_ASSERT(ms >= 4 * RNR_80MS_US / 1000 * 9 / 10,
		 "gave up after %llu ms, 4 retries of %u us",
		 (unsigned long long)ms, RNR_80MS_US);
	T_ASSERT(ms < 4 * RNR_80MS_US / 1000 * 4 + 1000,
		 "gave up only after %llu ms", (unsigned long long)ms);
	t_note("%llu ms for 4 x %u us", (unsigned long long)ms, RNR_80MS_US);
}

/* 7 means for ever. */
static void rnr_seven(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_wc wc;
	struct t_duo d;

	opt.min_rnr = RNR_10MS;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	send_one(&d, 1);
	send_one(&d, 2);
	T_ASSERT(!t_poll_for(d.a.scq, &wc, 15 * RNR_10MS_US / 1000),
		 "ended with '%s'", t_wc_name(wc.status));
	t_post_recv(&d.b, 3, t_sge(d.bmr, d.bbuf, LEN));
	t_want_wc(d.b.rcq, 3, IBV_WC_SUCCESS);
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	t_want_data(d.bbuf, LEN, 1);
	t_want_none(d.a.scq);
	t_post_recv(&d.b, 4, t_sge(d.bmr, d.bbuf, LEN));
	t_want_wc(d.a.scq, 2, IBV_WC_SUCCESS);
	t_want_wc(d.b.rcq, 4, IBV_WC_SUCCESS);
}

/* Retries are counted per request: each success gives a new account. */
static void rnr_renewed(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_duo d;
	unsigned int i;

	opt.rnr_retry = 6;
	opt.min_rnr = RNR_80MS;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	for (i = 0; i < 6; i++) {
		t_case("message %u", i);
		send_one(&d, i);
		t_sleep_ms(2 * RNR_80MS_US / 1000);
		t_post_recv(&d.b, i, t_sge(d.bmr, d.bbuf, LEN));
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
		t_want_wc(d.b.rcq, i, IBV_WC_SUCCESS);
	}
}

/* One-sided requests need no receive; those behind a waiting SEND wait. */
static void rnr_order(void)
{
	struct t_duo d;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_duo_works(&d);
	t_fill_background(d.bbuf, LEN);
	send_one(&d, 1);
	t_post(&d.a, IBV_WR_RDMA_WRITE, 2, t_duo_sge(&d, 0, LEN),
	       t_remote(&d, 0), d.bmr->rkey);
	t_want_none(d.a.scq);
	T_ASSERT(t_check_background(d.bbuf, LEN) < 0,
		 "a WRITE overtook a SEND");
	t_post_recv(&d.b, 3, t_sge(d.bmr, d.bbuf, LEN));
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	t_want_wc(d.a.scq, 2, IBV_WC_SUCCESS);
	t_want_wc(d.b.rcq, 3, IBV_WC_SUCCESS);
}

static void rnr_write_imm(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_duo d;

	opt.rnr_retry = 0;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	t_post(&d.a, IBV_WR_RDMA_WRITE_WITH_IMM, 1, t_duo_sge(&d, 0, LEN),
	       t_remote(&d, 0), d.bmr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_RNR_RETRY_EXC_ERR);
}

enum absence {
	ABSENT_DESTROYED,
	ABSENT_RESET,
	ABSENT_INIT,
	ABSENT_ERROR,
	ABSENT_NEVER,
};

static void make_absent(struct t_duo *d, enum absence how)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
	struct t_addr nobody = t_ep_addr(&d->a);

	switch (how) {
	case ABSENT_DESTROYED:
		T_OK(ibv_destroy_qp(d->b.qp));
		break;
	case ABSENT_RESET:
		t_ep_reset(&d->b);
		break;
	case ABSENT_INIT:
		t_ep_reset(&d->b);
		t_ep_init(&d->b);
		break;
	case ABSENT_ERROR:
		T_OK(ibv_modify_qp(d->b.qp, &attr, IBV_QP_STATE));
		break;
	case ABSENT_NEVER:
		t_ep_reset(&d->a);
		nobody.qpn = 0x7ffff0;
		t_ep_connect(&d->a, &nobody);
		break;
	}
}

/*
 * Timer of 4.096 us * 2^timeout, which may take up to four times as long,
 * retry_cnt times after the first.
 */
static void peer_gone(enum absence how)
{
	struct t_qp_opt opt = T_QP_OPT;
	uint64_t begin, ms, one_ms, timeouts;
	struct t_duo d;

	opt.timeout = 14;
	opt.retry_cnt = 3;
	one_ms = 67;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	t_duo_works(&d);
	make_absent(&d, how);
	timeouts = t_counter(&d.dev, "timeouts");
	begin = t_now_ns();
	t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, 8), t_remote(&d, 0),
	       d.bmr->rkey);
	t_post(&d.a, IBV_WR_RDMA_READ, 2, t_duo_sge(&d, 0, 8), t_remote(&d, 0),
	       d.bmr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_RETRY_EXC_ERR);
	ms = ms_since(begin);
	t_want_counter(&d.dev, "timeouts", timeouts + 1 + opt.retry_cnt);
	t_want_wc(d.a.scq, 2, IBV_WC_WR_FLUSH_ERR);
	t_want_state(&d.a, IBV_QPS_ERR);
	T_ASSERT(ms >= one_ms * 4 * 9 / 10, "gave up after %llu ms",
		 (unsigned long long)ms);
	T_ASSERT(ms <= one_ms * 4 * 4 + 1000, "gave up only after %llu ms",
		 (unsigned long long)ms);
	t_note("%llu ms for 4 x 67 ms", (unsigned long long)ms);
}

static void gone_destroyed(void)
{
	peer_gone(ABSENT_DESTROYED);
}

static void gone_reset(void)
{
	peer_gone(ABSENT_RESET);
}

static void gone_init(void)
{
	peer_gone(ABSENT_INIT);
}

static void gone_error(void)
{
	peer_gone(ABSENT_ERROR);
}

static void never_there(void)
{
	peer_gone(ABSENT_NEVER);
}

/* A peer that comes back in time is served as if nothing had been. */
static void comes_back(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_addr addr_a;
	struct t_duo d;

	opt.timeout = 16;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	t_ep_reset(&d.a);
	t_ep_reset(&d.b);
	addr_a = t_ep_addr(&d.a);
	{
		struct t_addr addr_b = t_ep_addr(&d.b);

		t_ep_connect(&d.a, &addr_b);
	}
	t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, LEN),
	       t_remote(&d, 0), d.bmr->rkey);
	t_sleep_ms(400);
	t_ep_connect(&d.b, &addr_a);
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	t_want_data(d.bbuf, LEN, 1);
}

/* timeout 0 means for ever. */
static void timeout_zero(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_wc wc;
	struct t_duo d;

	opt.timeout = 0;
	opt.retry_cnt = 0;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	t_ep_reset(&d.b);
	t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, LEN),
	       t_remote(&d, 0), d.bmr->rkey);
	T_ASSERT(!t_poll_for(d.a.scq, &wc, 1500), "ended with '%s'",
		 t_wc_name(wc.status));
	T_OK(ibv_destroy_qp(d.a.qp));
}

/* The address of a host that is not there, in the device's network */
static struct t_addr nobody(const struct t_ep *ep)
{
	struct t_addr addr = t_ep_addr(ep);

	addr.gid.raw[15] ^= 0x55;
	return addr;
}

/* What @c sends to d->b, which is not its peer, is not taken */
static void want_refused(struct t_duo *d, struct t_ep *c)
{
	t_post_recv(&d->b, 1, t_sge(d->bmr, d->bbuf, LEN));
	t_post(c, IBV_WR_SEND, 2, t_duo_sge(d, 0, LEN), 0, 0);
	t_want_wc(c->scq, 2, IBV_WC_RETRY_EXC_ERR);
	t_want_none(d->b.rcq);
	T_ASSERT(t_check_background(d->bbuf, LEN) < 0, "another QP wrote");
}

/* A QP that has the number of the peer is not the peer. */
static void stranger(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_addr addr_b, addr_c;
	struct t_duo d;
	struct t_ep c;

	opt.retry_cnt = 1;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	t_ep_open(&c, &d.dev, &opt);
	t_ep_reset(&d.b);
	addr_b = t_ep_addr(&d.b);
	addr_c = nobody(&c);
	t_ep_connect(&d.b, &addr_c);
	t_ep_connect(&c, &addr_b);
	want_refused(&d, &c);
}

/*
 * Nor is one of the same host whose next request would be the expected one.
 * Between hosts a request does not say of which QP it is, see roce.hostile.
 */
static void stranger_here(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_addr addr_a, addr_b;
	struct t_duo d;
	struct t_ep c;

	if (t_wire_only()) {
		t_note("requests of a host's QPs are alike");
		return;
	}
	opt.retry_cnt = 1;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	t_ep_open(&c, &d.dev, &opt);
	t_ep_reset(&d.b);
	addr_a = t_ep_addr(&d.a);
	addr_b = t_ep_addr(&d.b);
	addr_a.psn = t_ep_addr(&c).psn;
	t_ep_connect(&d.b, &addr_a);
	t_ep_connect(&c, &addr_b);
	want_refused(&d, &c);
}

/* Told in SQD that its peer is on another host, which is not there */
static void moved_away(void)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_SQD };
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_qp_init_attr init;
	struct t_duo d;

	opt.retry_cnt = 1;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	t_duo_works(&d);
	t_fill_background(d.bbuf, LEN);
	T_OK(ibv_modify_qp(d.a.qp, &attr, IBV_QP_STATE));
	T_OK(ibv_query_qp(d.a.qp, &attr, IBV_QP_AV, &init));
	attr.ah_attr.grh.dgid = nobody(&d.a).gid;
	attr.qp_state = IBV_QPS_SQD;
	T_OK(ibv_modify_qp(d.a.qp, &attr, IBV_QP_STATE | IBV_QP_AV));
	attr.qp_state = IBV_QPS_RTS;
	T_OK(ibv_modify_qp(d.a.qp, &attr, IBV_QP_STATE));
	t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, LEN),
	       t_remote(&d, 0), d.bmr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_RETRY_EXC_ERR);
	T_ASSERT(t_check_background(d.bbuf, LEN) < 0, "the target changed");
}

#define IDLE 256
#define SLAB "/sys/kernel/slab/sodp_qp/objects"

static unsigned long nr_objects(void)
{
	char text[64];

	return t_read_file(SLAB, text, sizeof(text)) ? strtoul(text, NULL, 0) :
						       0;
}

/*
 * A requester with nothing to do does not keep the memory of the peer that it
 * had. Some of it is free in a CPU's hands, and counts.
 */
static void gone_forgotten(void)
{
	static struct t_ep a[IDLE], b[IDLE];
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	unsigned long before, now;
	unsigned int i;
	struct t_duo d;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	if (!nr_objects()) {
		t_note("the kernel does not count QPs");
		return;
	}
	for (i = 0; i < IDLE; i++) {
		t_pair(&d.dev, &a[i], &b[i], NULL);
		t_post(&a[i], IBV_WR_RDMA_WRITE, i, t_duo_sge(&d, 0, 8),
		       t_remote(&d, 0), d.bmr->rkey);
		t_want_wc(a[i].scq, i, IBV_WC_SUCCESS);
	}
	before = nr_objects();
	for (i = 0; i < IDLE; i++)
		t_ep_close(&b[i]);
	while ((now = nr_objects()) > before - IDLE / 2) {
		T_ASSERT(t_now_ns() < end, "%lu QPs, before %lu", now, before);
		t_sleep_ms(20);
	}
	t_note("%lu QPs, before %lu", now, before);
}

static const struct t_test tests[] = {
	{ "rnr_zero", rnr_zero },
	{ "rnr_count", rnr_count },
	{ "rnr_seven", rnr_seven },
	{ "rnr_renewed", rnr_renewed },
	{ "rnr_order", rnr_order },
	{ "rnr_write_imm", rnr_write_imm },
	{ "gone_destroyed", gone_destroyed },
	{ "gone_reset", gone_reset },
	{ "gone_init", gone_init },
	{ "gone_error", gone_error },
	{ "gone_forgotten", gone_forgotten },
	{ "never_there", never_there },
	{ "comes_back", comes_back },
	{ "timeout_zero", timeout_zero },
	{ "stranger", stranger },
	{ "stranger_here", stranger_here },
	{ "moved_away", moved_away },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
