// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A peer that does not answer: the request ends in IBV_WC_RETRY_EXC_ERR, not
 * before its retries are used up, and not much later: the timer expires
 * retry_cnt + 1 times, each time 4.096 us * 2^timeout after it was sent, where
 * the specification allows four times that (IBA 9.7.6.1.3).
 *
 * WIRE_BREAK and WIRE_MEND are commands that cut the wire and join it again.
 */

#include <stdlib.h>

#include "wire.h"

/* What a busy emulated machine may add to half the time more */
#define GRACE_MS 300
/* Times that it may have had something else to do meanwhile */
#define LATE_TRIES 3

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

static uint64_t formula_ns(const struct dead *d)
{
	return (4096ULL << d->timeout) * (d->retry_cnt + 1);
}

static uint64_t limit_ns(const struct dead *d)
{
	uint64_t limit = formula_ns(d) / 2 * 3 + GRACE_MS * 1000000ULL;

	return t_slow_kernel() ? 4 * limit : limit;
}

/* How long the request takes to end, and how often its timer expires */
static uint64_t time_dead(const struct dead *d, uint64_t *timeouts)
{
	const char *name = wire.here.dev.name;
	uint64_t old = 0;
	uint64_t begin, took;
	struct ibv_wc wc;

	works();
	w_counter(name, "timeouts", &old);
	cut();
	begin = t_now_ns();
	T_OK(wire_post(&wire, 0, d->opcode, 2, 0, 0, 64, 0));
	T_OK(wire_post(&wire, 0, IBV_WR_RDMA_WRITE, 3, 0, 0, 64, 0));
	if (!t_poll_for(wire.here.qp[0].scq, &wc,
			formula_ns(d) / 1000000 + T_WAIT_MS)) {
		mend();
		t_fail("no completion within %llu ms and %u s",
		       (unsigned long long)formula_ns(d) / 1000000,
		       T_WAIT_MS / 1000);
	}
	took = t_now_ns() - begin;
	if (w_counter(name, "timeouts", timeouts))
		*timeouts -= old;
	else
		*timeouts = d->retry_cnt + 1;
	mend();
	T_ASSERT(wc.wr_id == 2 && wc.status == IBV_WC_RETRY_EXC_ERR,
		 "request %llu ended with '%s'", (unsigned long long)wc.wr_id,
		 t_wc_name(wc.status));
	return took;
}

static void dead(void)
{
	const struct dead *d = t_this->arg;
	uint64_t formula = formula_ns(d);
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	uint64_t took, timeouts;
	unsigned int tries = 0;

	do {
		open_all(d);
		took = time_dead(d, &timeouts);
		t_want_wc(wire.here.qp[0].scq, 3, IBV_WC_WR_FLUSH_ERR);
		T_OK(ibv_query_qp(wire.here.qp[0].qp, &attr, IBV_QP_STATE,
				  &init));
		T_ASSERT(attr.qp_state == IBV_QPS_ERR, "state is %d",
			 attr.qp_state);
		T_ASSERT(took >= formula, "after %llu us, formula %llu us",
			 (unsigned long long)took / 1000,
			 (unsigned long long)formula / 1000);
		T_ASSERT(timeouts == d->retry_cnt + 1U,
			 "%llu timeouts, %u retries",
			 (unsigned long long)timeouts, d->retry_cnt);
		wire_close(&wire);
	} while (took > limit_ns(d) && ++tries < LATE_TRIES);
	T_ASSERT(took <= limit_ns(d), "after %llu ms, formula %llu ms",
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
	{ 13, 1, IBV_WR_RDMA_WRITE },
	{ 16, 0, IBV_WR_RDMA_READ },
	{ 15, 5, IBV_WR_SEND },
	{ 19, 2, IBV_WR_RDMA_READ },
};

static const struct t_test tests[] = {
	{ "timeout14_retry7", dead, 0, &deads[0] },
	{ "timeout17_retry1", dead, 0, &deads[1] },
	{ "timeout12_retry7", dead, 0, &deads[2] },
	{ "timeout18_retry0", dead, 0, &deads[3] },
	{ "timeout13_retry1", dead, 0, &deads[4] },
	{ "timeout16_retry0", dead, 0, &deads[5] },
	{ "timeout15_retry5", dead, 0, &deads[6] },
	{ "timeout19_retry2", dead, 0, &deads[7] },
	{ "short_cut", short_cut, 0, NULL },
	{ "no_timeout", no_timeout, 0, NULL },
};

int main(int argc, char **argv)
{
	t_patterns_init();
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
