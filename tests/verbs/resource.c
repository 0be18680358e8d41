// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What `rdma -dd resource show` says of queues, regions and domains: the
 * numbers that they were made with, and where they are
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/t_duo.h"
#include "common/t_tool.h"
#include "common/t_uffd.h"

#define LEN (16 * T_PAGE)

/* Lines of `rdma -dd resource show WHAT` that this process owns */
struct shown {
	char text[1 << 16];
	char *lines[64];
	unsigned int nr;
};

/*
 * Is this in the line? A NULL value: the key must be absent. What is of the
 * driver begins with drv_ in some versions of the tool.
 */
static bool has(const char *line, const char *key, const char *want)
{
	const char *value;
	char name[64];
	char buf[64];

	snprintf(name, sizeof(name), "drv_%s", key);
	value = t_value(line, name, buf, sizeof(buf));
	if (!value)
		value = t_value(line, key, buf, sizeof(buf));
	return want ? value && !strcmp(value, want) : !value;
}

static bool has_number(const char *line, const char *key, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return has(line, key, text);
}

static void show(struct shown *s, const char *device, const char *what)
{
	char pid[32];
	char *line;

	snprintf(pid, sizeof(pid), "%d", getpid());
	T_ASSERT(!t_output(s->text, sizeof(s->text),
			   "rdma -dd resource show %s", what),
		 "rdma resource show %s: %s", what, s->text);
	/* What is of the driver stands in a line of its own */
	while ((line = strstr(s->text, "\n ")))
		*line = ' ';
	s->nr = 0;
	for (line = strtok(s->text, "\n"); line; line = strtok(NULL, "\n")) {
		if (!has(line, "pid", pid) || !strstr(line, device))
			continue;
		T_ASSERT(s->nr < T_ARRAY_SIZE(s->lines), "many lines");
		s->lines[s->nr++] = line;
	}
}

/* The one line in which a key has a value */
static const char *line_of(const struct shown *s, const char *key,
			   uint64_t number)
{
	const char *found = NULL;
	unsigned int i;

	for (i = 0; i < s->nr; i++) {
		if (!has_number(s->lines[i], key, number))
			continue;
		T_ASSERT(!found, "two have %s %llu", key,
			 (unsigned long long)number);
		found = s->lines[i];
	}
	T_ASSERT(found, "none of %u lines has %s %llu", s->nr, key,
		 (unsigned long long)number);
	return found;
}

static void want_number(const char *line, const char *key, uint64_t number)
{
	T_ASSERT(has_number(line, key, number), "%s is not %llu: %s", key,
		 (unsigned long long)number, line);
}

static void want(const char *line, const char *key, const char *value)
{
	T_ASSERT(has(line, key, value), "%s is not %s: %s", key,
		 value ? value : "absent", line);
}

/* The QP's line must, at some time soon, say this */
static void want_parked(const struct t_ep *ep, const char *value)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	static struct shown s;
	const char *line;

	do {
		show(&s, ep->dev->name, "qp");
		line = line_of(&s, "lqpn", ep->qp->qp_num);
		if (has(line, "parked", value))
			return;
		t_sleep_ms(20);
	} while (t_now_ns() < end);
	want(line, "parked", value);
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

static void qp(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	static struct shown s;
	const char *line;
	unsigned int i;
	struct t_duo d;

	opt.sq = 33;
	opt.rq = 100;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	for (i = 0; i < 5; i++)
		t_duo_works(&d);
	for (i = 0; i < 9; i++)
		t_post_recv(&d.b, i, t_sge(d.bmr, d.bbuf, 8));
	for (i = 0; i < 3; i++) {
		t_post(&d.a, IBV_WR_SEND, i, t_duo_sge(&d, 0, 8), 0, 0);
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
		t_want_wc(d.b.rcq, i, IBV_WC_SUCCESS);
	}
	show(&s, d.dev.name, "qp");
	T_ASSERT(s.nr == 2, "%u QPs", s.nr);
	line = line_of(&s, "lqpn", d.a.qp->qp_num);
	want_number(line, "rqpn", d.b.qp->qp_num);
	want(line, "type", "RC");
	want(line, "state", "RTS");
	want_number(line, "sq_depth", power_of_two(opt.sq));
	want_number(line, "rq_depth", power_of_two(opt.rq));
	want_number(line, "sq_ci", 8);
	want_number(line, "rq_ci", 0);
	want(line, "parked", "no");
	line = line_of(&s, "lqpn", d.b.qp->qp_num);
	want_number(line, "sq_ci", 0);
	want_number(line, "rq_ci", 3);
	want(line, "parked", "no");
}

/* A page that does not come, a receive that is not there, a peer that is not */
static void parked(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_duo d;
	int fd;

	opt.timeout = 0;
	t_duo_open(&d, LEN, T_EXPLICIT, &opt);
	t_duo_works(&d);
	t_case("page");
	T_ASSERT(!madvise(d.abuf, LEN, MADV_DONTNEED), "madvise");
	fd = t_uffd(d.abuf, LEN);
	t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, 8), t_remote(&d, 0),
	       d.bmr->rkey);
	want_parked(&d.a, "fault");
	t_uffd_serve(fd, d.abuf);
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	want_parked(&d.a, "no");
	close(fd);
	t_case("receive");
	t_post(&d.a, IBV_WR_SEND, 2, t_duo_sge(&d, 0, 8), 0, 0);
	want_parked(&d.a, "rnr");
	t_post_recv(&d.b, 3, t_sge(d.bmr, d.bbuf, 8));
	t_want_wc(d.a.scq, 2, IBV_WC_SUCCESS);
	want_parked(&d.a, "no");
	t_case("peer");
	t_ep_reset(&d.b);
	t_post(&d.a, IBV_WR_SEND, 4, t_duo_sge(&d, 0, 8), 0, 0);
	want_parked(&d.a, "timeout");
	t_ep_reset(&d.a);
	want_parked(&d.a, "no");
}

static void cq(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	static struct shown s;
	const char *line;
	unsigned int i;
	struct t_duo d;

	t_open(&d.dev);
	opt.scq = ibv_create_cq(d.dev.ctx, 300, NULL, NULL, 0);
	opt.rcq = ibv_create_cq(d.dev.ctx, 20, NULL, NULL, 0);
	T_ASSERT(opt.scq && opt.rcq, "ibv_create_cq: %s", t_errname(errno));
	t_duo_make(&d, LEN, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, &opt);
	for (i = 0; i < 7; i++)
		t_duo_works(&d);
	show(&s, d.dev.name, "cq");
	T_ASSERT(s.nr == 2, "%u CQs", s.nr);
	line = line_of(&s, "cqe", opt.scq->cqe);
	want_number(line, "depth", 512);
	want_number(line, "pi", 7);
	line = line_of(&s, "cqe", opt.rcq->cqe);
	want_number(line, "depth", 32);
	want_number(line, "pi", 0);
	T_OK(ibv_resize_cq(opt.rcq, 1000));
	show(&s, d.dev.name, "cq");
	line_of(&s, "depth", 1024);
}

static void srq(void)
{
	struct ibv_srq_init_attr init = {
		.attr = { .max_wr = 40, .max_sge = 2 },
	};
	struct ibv_srq_attr attr = { .srq_limit = 11 };
	struct t_qp_opt opt = T_QP_OPT;
	static struct shown s;
	const char *line;
	unsigned int i;
	struct t_duo d;

	t_open(&d.dev);
	opt.srq = ibv_create_srq(d.dev.pd, &init);
	T_ASSERT(opt.srq, "ibv_create_srq: %s", t_errname(errno));
	t_duo_make(&d, LEN, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, &opt);
	for (i = 0; i < 20; i++)
		t_post_srq(opt.srq, i, t_sge(d.bmr, d.bbuf, 8));
	for (i = 0; i < 2; i++) {
		t_post(&d.a, IBV_WR_SEND, i, t_duo_sge(&d, 0, 8), 0, 0);
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
		t_want_wc(d.b.rcq, i, IBV_WC_SUCCESS);
	}
	T_OK(ibv_modify_srq(opt.srq, &attr, IBV_SRQ_LIMIT));
	show(&s, d.dev.name, "srq");
	T_ASSERT(s.nr == 1, "%u SRQs", s.nr);
	line = s.lines[0];
	want_number(line, "depth", 64);
	want_number(line, "ci", 2);
	want_number(line, "limit", 11);
	want(line, "xrc_number", NULL);
}

static void xrc_srq(void)
{
	struct ibv_xrcd_init_attr xrcd = {
		.comp_mask = IBV_XRCD_INIT_ATTR_FD | IBV_XRCD_INIT_ATTR_OFLAGS,
		.fd = -1,
		.oflags = O_CREAT,
	};
	struct ibv_srq_init_attr_ex init = {
		.attr = { .max_wr = 10, .max_sge = 2 },
		.comp_mask = IBV_SRQ_INIT_ATTR_TYPE | IBV_SRQ_INIT_ATTR_PD |
			     IBV_SRQ_INIT_ATTR_XRCD | IBV_SRQ_INIT_ATTR_CQ,
		.srq_type = IBV_SRQT_XRC,
	};
	struct ibv_srq *srqs[3];
	static struct shown s;
	struct t_dev dev;
	uint32_t number;
	unsigned int i;

	t_open(&dev);
	init.pd = dev.pd;
	init.xrcd = ibv_open_xrcd(dev.ctx, &xrcd);
	init.cq = ibv_create_cq(dev.ctx, 10, NULL, NULL, 0);
	T_ASSERT(init.xrcd && init.cq, "%s", t_errname(errno));
	for (i = 0; i < T_ARRAY_SIZE(srqs); i++) {
		srqs[i] = ibv_create_srq_ex(dev.ctx, &init);
		T_ASSERT(srqs[i], "ibv_create_srq_ex: %s", t_errname(errno));
	}
	show(&s, dev.name, "srq");
	T_ASSERT(s.nr == T_ARRAY_SIZE(srqs), "%u SRQs", s.nr);
	for (i = 0; i < T_ARRAY_SIZE(srqs); i++) {
		T_OK(ibv_get_srq_num(srqs[i], &number));
		want_number(line_of(&s, "xrc_number", number), "depth", 16);
	}
}

static void mr(void)
{
	static struct shown s;
	struct ibv_mr *mrs[T_NR_KINDS];
	struct ibv_pd *pd;
	struct t_dev dev;
	const char *line;
	unsigned int k;
	char *buf;

	t_open(&dev);
	buf = t_map(LEN);
	for (k = 0; k < T_NR_KINDS; k++)
		mrs[k] = t_reg_kind(&dev, k, buf, LEN + k, T_ACCESS_ALL);
	show(&s, dev.name, "mr");
	T_ASSERT(s.nr == T_NR_KINDS, "%u MRs", s.nr);
	line = line_of(&s, "mrlen", mrs[T_PINNED]->length);
	want(line, "odp", NULL);
	want(line, "backing", NULL);
	line = line_of(&s, "mrlen", mrs[T_EXPLICIT]->length);
	want(line, "odp", "explicit");
	line = line_of(&s, "mrlen", UINT64_MAX);
	want(line, "odp", "implicit");
	pd = ibv_alloc_pd(dev.ctx);
	T_ASSERT(pd, "ibv_alloc_pd: %s", t_errname(errno));
	show(&s, dev.name, "pd");
	T_ASSERT(s.nr == 2, "%u PDs", s.nr);
	T_ASSERT(has_number(s.lines[0], "users", 3) +
		 has_number(s.lines[1], "users", 3) == 1, "users: %s",
		 s.lines[0]);
	T_OK(ibv_dealloc_pd(pd));
	show(&s, dev.name, "pd");
	T_ASSERT(s.nr == 1, "%u PDs", s.nr);
}

static void device_memory(void)
{
	struct ibv_alloc_dm_attr attr = { .length = T_PAGE };
	static struct shown s;
	struct ibv_dm *dm;
	struct ibv_mr *region;
	struct t_dev dev;

	t_open(&dev);
	dm = ibv_alloc_dm(dev.ctx, &attr);
	T_ASSERT(dm, "ibv_alloc_dm: %s", t_errname(errno));
	region = ibv_reg_dm_mr(dev.pd, dm, 0, T_PAGE,
			       IBV_ACCESS_ZERO_BASED | IBV_ACCESS_LOCAL_WRITE);
	T_ASSERT(region, "ibv_reg_dm_mr: %s", t_errname(errno));
	show(&s, dev.name, "mr");
	T_ASSERT(s.nr == 1, "%u MRs", s.nr);
	want(s.lines[0], "backing", "dm");
}

/* Makes queue pairs, and destroys them, until it is killed. */
static void come_and_go(void)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_UD,
		.cap = { 64, 64, 4, 4, 0 },
	};
	struct ibv_qp *qps[8];
	struct t_dev dev;
	unsigned int i;

	t_open(&dev);
	init.send_cq = ibv_create_cq(dev.ctx, 16, NULL, NULL, 0);
	T_ASSERT(init.send_cq, "ibv_create_cq: %s", t_errname(errno));
	init.recv_cq = init.send_cq;
	for (;;) {
		for (i = 0; i < T_ARRAY_SIZE(qps); i++) {
			init.qp_type = i & 1 ? IBV_QPT_UD : IBV_QPT_RC;
			qps[i] = ibv_create_qp(dev.pd, &init);
			T_ASSERT(qps[i], "ibv_create_qp: %s",
				 t_errname(errno));
		}
		for (i = 0; i < T_ARRAY_SIZE(qps); i++)
			T_OK(ibv_destroy_qp(qps[i]));
	}
}

/*
 * Who is shown may be going: ib_core forgets a QP before or after it destroys
 * it, according to its version, and the tool says nothing of one that is gone.
 */
static void qp_goes(void)
{
	uint64_t end = t_now_ns() + (t_quick ? 1 : 4) * 1000000000ULL;
	static char text[1 << 18];
	unsigned int shows = 0;
	unsigned int i;
	pid_t pids[2];

	for (i = 0; i < T_ARRAY_SIZE(pids); i++) {
		pids[i] = t_fork();
		if (!pids[i])
			come_and_go();
	}
	while (t_now_ns() < end || !strstr(text, "lqpn")) {
		T_ASSERT(!t_output(text, sizeof(text),
				   "rdma -dd resource show qp"),
			 "rdma resource show qp: %s", text);
		shows++;
	}
	for (i = 0; i < T_ARRAY_SIZE(pids); i++) {
		T_ASSERT(!kill(pids[i], SIGKILL), "it has ended by itself");
		waitpid(pids[i], NULL, 0);
	}
	t_note("shown %u times", shows);
}

static const struct t_test tests[] = {
	{ "qp", qp },
	{ "qp_goes", qp_goes },
	{ "parked", parked },
	{ "cq", cq },
	{ "srq", srq },
	{ "xrc_srq", xrc_srq },
	{ "mr", mr },
	{ "device_memory", device_memory },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
