// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A peer that does not answer: the request ends in IBV_WC_RETRY_EXC_ERR, not
 * before its retries are used up, and within four times the time of the formula
 * 4.096 us * 2^timeout * (retry_cnt + 1) (IBA 9.7.6.1.3).
 *
 * WIRE_BREAK and WIRE_MEND are commands that cut the wire and join it again.
 */

#include <stdlib.h>

#include "wire.h"

/* What a busy emulated machine may add */
#define GRACE_MS 1500

struct dead {
	uint8_t timeout;
	uint8_t retry_cnt;
	enum ibv_wr_opcode opcode;
};

static struct w_wire wire;

static void open_all(const struct dead *dead)
{
	struct w_qp_opt opt = W_QP_OPT;

	if (!getenv("WIRE_BREAK") || !getenv("WIRE_MEND"))
		t_skip("WIRE_BREAK is not set");
	opt.timeout = dead->timeout;
	opt.retry_cnt = dead->retry_cnt;
	wire_open(&wire);
	wire_buf(&wire, 0, 1 << 20, T_PINNED, T_PINNED, T_SMALL);
	wire_qp(&wire, 0, &opt);
}

static void cut(void)
{
	T_ASSERT(!t_system("%s", getenv("WIRE_BREAK")), "cannot cut the wire");
}

static void mend(void)
{
	T_ASSERT(!t_system("%s", getenv("WIRE_MEND")), "cannot mend the wire");
}

/* Something works while the wire is whole */
static void works(void)
{
	T_OK(wire_post(&wire, 0, IBV_WR_RDMA_WRITE, 1, 0, 0, 8192, 0));
	t_want_wc(wire.here.qp[0].scq, 1, IBV_WC_SUCCESS);
}

static void dead(void)
{
	const struct dead *d = t_this->arg;
	uint64_t formula = (4096ULL << d->timeout) * (d->retry_cnt + 1);
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	uint64_t begin, took;
	struct ibv_wc wc;

	open_all(d);
	works();
	cut();
	begin = t_now_ns();
	T_OK(wire_post(&wire, 0, d->opcode, 2, 0, 0, 64, 0));
	T_OK(wire_post(&wire, 0, IBV_WR_RDMA_WRITE, 3, 0, 0, 64, 0));
	if (!t_poll_for(wire.here.qp[0].scq, &wc,
			4 * formula / 1000000 + 4 * GRACE_MS)) {
		mend();
		t_fail("no completion within four times %llu ms",
		       (unsigned long long)formula / 1000000);
	}
	took = t_now_ns() - begin;
	mend();
	T_ASSERT(wc.wr_id == 2 && wc.status == IBV_WC_RETRY_EXC_ERR,
		 "request %llu ended with '%s'", (unsigned long long)wc.wr_id,
		 t_wc_name(wc.status));
	t_want_wc(wire.here.qp[0].scq, 3, IBV_WC_WR_FLUSH_ERR);
	T_OK(ibv_query_qp(wire.here.qp[0].qp, &attr, IBV_QP_STATE, &init));
	T_ASSERT(attr.qp_state == IBV_QPS_ERR, "state is %d", attr.qp_state);
	T_ASSERT(took >= formula / 10 * 9, "after %llu ms, formula %llu ms",
		 (unsigned long long)took / 1000000,
		 (unsigned long long)formula / 1000000);
	T_ASSERT(took <= 4 * formula + GRACE_MS * 1000000ULL,
		 "after %llu ms, formula %llu ms",
		 (unsigned long long)took / 1000000,
		 (unsigned long long)formula / 1000000);
	t_note("after %llu ms, formula %llu ms",
	       (unsigned long long)took / 1000000,
	       (unsigned long long)formula / 1000000);
}

/* A cut that is shorter than the retries last: nothing is lost */
static void short_cut(void)
{
	static const struct dead d = { 16, 7, IBV_WR_RDMA_WRITE };
	unsigned int i;

	open_all(&d);
	works();
	cut();
	for (i = 0; i < 4; i++)
		T_OK(wire_post(&wire, 0,
			       i & 1 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE,
			       10 + i, i * 65536, i * 65536, 40000, 0));
	t_sleep_ms(700);
	mend();
	for (i = 0; i < 4; i++)
		t_want_wc(wire.here.qp[0].scq, 10 + i, IBV_WC_SUCCESS);
	wire_close(&wire);
}

/* timeout 0: it waits for ever, and goes on when the wire is mended. */
static void no_timeout(void)
{
	static const struct dead d = { 0, 7, IBV_WR_RDMA_WRITE };

	open_all(&d);
	works();
	cut();
	T_OK(wire_post(&wire, 0, IBV_WR_RDMA_WRITE, 2, 0, 0, 64, 0));
	t_sleep_ms(2000);
	mend();
	t_want_none(wire.here.qp[0].scq);
}

static const struct dead deads[] = {
	{ 14, 7, IBV_WR_RDMA_WRITE },
	{ 17, 1, IBV_WR_SEND },
	{ 12, 7, IBV_WR_RDMA_READ },
	{ 18, 0, IBV_WR_RDMA_WRITE },
};

static const struct t_test tests[] = {
	{ "timeout14_retry7", dead, 0, &deads[0] },
	{ "timeout17_retry1", dead, 0, &deads[1] },
	{ "timeout12_retry7", dead, 0, &deads[2] },
	{ "timeout18_retry0", dead, 0, &deads[3] },
	{ "short_cut", short_cut, 0, NULL },
	{ "no_timeout", no_timeout, 0, NULL },
};

int main(int argc, char **argv)
{
	t_patterns_init();
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
