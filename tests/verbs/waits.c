// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Waits for pages that never come: whom they hold up, and what may be done to
 * a queue pair meanwhile.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/t_duo.h"
#include "common/t_tool.h"
#include "common/t_uffd.h"

/* More than any workqueue of the driver has workers at a time, on 6.x */
#define CROWD 600
/* A kernel that checks its locks has this */
#define LOCKDEP "/proc/lockdep_stats"
/* Waits that one side of a queue pair may leave behind: SODP_WAIT_SLOTS */
#define SLOTS 3
/* Pages of a scene: the first never come, the others are served */
#define PAGES 32
#define NEVER 16
#define LATE_MS 50

static unsigned long count_parks(const struct t_dev *dev)
{
	char path[128], line[32];

	snprintf(path, sizeof(path),
		 "/sys/class/infiniband/%s/ports/1/hw_counters/fault_parks",
		 dev->name);
	T_ASSERT(t_read_file(path, line, sizeof(line)), "%s", path);
	return strtoul(line, NULL, 10);
}

static void want_parks(const struct t_dev *dev, unsigned long parks)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;

	while (count_parks(dev) < parks) {
		T_ASSERT(t_now_ns() < end, "%lu waits, want %lu",
			 count_parks(dev), parks);
		t_sleep_ms(20);
	}
}

/* A buffer of b whose pages come as said above */
struct scene {
	struct t_duo d;
	struct t_monitor m;
	int never;
};

static void scene_make(struct scene *s, const struct t_qp_opt *opt,
		       unsigned int late_ms)
{
	t_open(&s->d.dev);
	t_need_odp(&s->d.dev);
	t_duo_make(&s->d, PAGES * T_PAGE, T_PINNED, T_ACCESS_ALL,
		   T_ACCESS_ALL, opt);
	s->d.bbuf = t_map(PAGES * T_PAGE);
	s->d.bmr = t_reg_kind(&s->d.dev, T_EXPLICIT, s->d.bbuf,
			      PAGES * T_PAGE, T_ACCESS_ALL);
	s->never = t_uffd(s->d.bbuf, NEVER * T_PAGE);
	t_monitor_start(&s->m, s->d.bbuf + NEVER * T_PAGE,
			(PAGES - NEVER) * T_PAGE, late_ms);
}

static void scene_open(struct scene *s)
{
	scene_make(s, NULL, LATE_MS);
}

/*
 * A request that needs a page of b: as the target, or as what is sent. Over
 * the wire it is the responder that waits for the one, the requester for the
 * other.
 */
static void scene_post(struct scene *s, uint64_t wr_id, unsigned int page,
		       bool as_source)
{
	struct t_duo *d = &s->d;
	char *p = d->bbuf + page * T_PAGE;

	if (as_source)
		t_post(&d->a, IBV_WR_RDMA_WRITE, wr_id,
		       t_sge(d->bmr, p, T_PAGE), (uintptr_t)d->abuf,
		       d->amr->rkey);
	else
		t_post(&d->a, IBV_WR_RDMA_READ, wr_id,
		       t_duo_sge(d, 0, T_PAGE), (uintptr_t)p, d->bmr->rkey);
}

static void scene_late(struct scene *s, uint64_t wr_id, unsigned int page,
		       bool as_source)
{
	scene_post(s, wr_id, page, as_source);
	t_want_wc(s->d.a.scq, wr_id, IBV_WC_SUCCESS);
	t_want_monitored(s->d.abuf, s->d.bbuf + page * T_PAGE, 1);
}

/* Workers that wait for pages, of everybody */
static unsigned int fault_workers(void)
{
	char line[32];

	T_ASSERT(!t_output(line, sizeof(line),
			   "cat /proc/[0-9]*/comm 2>/dev/null | "
			   "grep -c '[+]odp_fault' || true"),
		 "cannot count workers");
	return strtoul(line, NULL, 10);
}

static void want_fault_workers(unsigned int most)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;

	while (fault_workers() > most) {
		T_ASSERT(t_now_ns() < end, "%u workers wait, want %u",
			 fault_workers(), most);
		t_sleep_ms(50);
	}
}

/* --- one process waits for ever, another must not --- */

/*
 * Holds what never comes even when the process that waits is gone: until the
 * test closes its end of the pipe.
 */
static void keep_open(int from_test)
{
	char c;

	if (fork())
		return;
	while (read(from_test, &c, 1) > 0)
		;
	_exit(0);
}

static void crowd_run(int from_test, int msg)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_addr self;
	char *never = t_map(T_PAGE);
	char *buf = t_map(T_PAGE);
	struct ibv_mr *mr, *local;
	struct t_dev dev;
	struct t_ep ep;
	unsigned long parks;
	unsigned int i;

	t_uffd(never, T_PAGE);
	keep_open(from_test);
	t_open(&dev);
	mr = t_reg_kind(&dev, T_EXPLICIT, never, T_PAGE, T_ACCESS_ALL);
	local = t_reg(dev.pd, buf, T_PAGE, T_ACCESS_ALL);
	opt.sq = 1;
	opt.rq = 1;
	opt.sge = 1;
	/* All of them have one CPU between them, which others may want too */
	opt.timeout = 18;
	opt.scq = ibv_create_cq(dev.ctx, CROWD, NULL, NULL, 0);
	T_ASSERT(opt.scq, "ibv_create_cq: %s", t_errname(errno));
	parks = count_parks(&dev);
	for (i = 0; i < CROWD; i++) {
		t_ep_open(&ep, &dev, &opt);
		self = t_ep_addr(&ep);
		t_ep_connect(&ep, &self);
		t_post(&ep, IBV_WR_RDMA_READ, i, t_sge(local, buf, 8),
		       (uintptr_t)never, mr->rkey);
	}
	want_parks(&dev, parks + CROWD);
	/* All workers it can have are asleep by then */
	t_sleep_ms(500);
	t_want_none(opt.scq);
	t_msg_send(msg, &i, sizeof(i));
	while (1)
		pause();
}

struct crowd {
	pid_t pid;
	int pipe;
};

static void crowd_start(struct crowd *c, void (*run)(int from_test, int msg))
{
	int from_test[2], msg[2];
	unsigned int n;

	T_ASSERT(!pipe(from_test), "pipe: %s", t_errname(errno));
	t_msg_pair(msg);
	c->pid = t_fork();
	if (!c->pid) {
		close(from_test[1]);
		close(msg[0]);
		run(from_test[0], msg[1]);
	}
	close(from_test[0]);
	close(msg[1]);
	c->pipe = from_test[1];
	t_msg_recv(msg[0], &n, sizeof(n));
	close(msg[0]);
}

/* What it waits for goes on being held back */
static void crowd_kill(struct crowd *c)
{
	int status;

	kill(c->pid, SIGKILL);
	T_ASSERT(waitpid(c->pid, &status, 0) == c->pid && WIFSIGNALED(status),
		 "the crowd ended by itself");
}

/*
 * By packets each of the crowd is sent away by RNR NAK and comes back, three
 * times a second. That costs 0.3 ms of an emulated CPU, and 4.4 ms under KASAN
 * and lockdep: half of the crowd would have both CPUs to itself.
 */
static void crowd_affordable(unsigned int qps)
{
	if (!access(LOCKDEP, F_OK) && t_wire_only())
		t_skip("%u queue pairs' RNR NAKs starve a debug kernel", qps);
}

static void crowd(void)
{
	struct crowd c;
	struct scene s;
	unsigned int i;

	crowd_affordable(CROWD);
	crowd_start(&c, crowd_run);
	scene_open(&s);
	t_case("while a process waits in %u queue pairs", CROWD);
	for (i = 0; i < 4; i++)
		scene_late(&s, i, NEVER + 3 * i, i % 2);
	t_case("when that process is dead");
	crowd_kill(&c);
	scene_late(&s, 9, PAGES - 1, false);
	t_case("when its pages are given up");
	close(c.pipe);
	scene_late(&s, 10, PAGES - 3, true);
}

/* A call that waits for a page, made by a thread of its own */
struct advice {
	struct ibv_mr *mr;
	uint32_t flags;
	int ret;
	bool ended;
};

static void *advise(void *arg)
{
	struct advice *a = arg;
	struct ibv_sge sge = t_sge(a->mr, a->mr->addr, T_PAGE);

	a->ret = ibv_advise_mr(a->mr->pd, IBV_ADVISE_MR_ADVICE_PREFETCH,
			       a->flags, &sge, 1);
	__atomic_store_n(&a->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

static void advise_start(struct advice *a, pthread_t *thread)
{
	T_ASSERT(!pthread_create(thread, NULL, advise, a), "thread");
	t_sleep_ms(300);
	T_ASSERT(!__atomic_load_n(&a->ended, __ATOMIC_ACQUIRE),
		 "the call has not waited for the page");
}

static void prefetch_run(int from_test, int msg)
{
	char *never = t_map(T_PAGE);
	struct advice more = { 0 };
	pthread_t thread;
	struct ibv_sge sge;
	struct t_dev dev;
	unsigned int i;

	t_uffd(never, T_PAGE);
	keep_open(from_test);
	t_open(&dev);
	more.mr = t_reg_kind(&dev, T_EXPLICIT, never, T_PAGE, T_ACCESS_ALL);
	sge = t_sge(more.mr, never, T_PAGE);
	for (i = 0; i < 128; i++)
		T_OK(ibv_advise_mr(dev.pd, IBV_ADVISE_MR_ADVICE_PREFETCH, 0,
				   &sge, 1));
	/* One more is done by the caller, who has to wait */
	advise_start(&more, &thread);
	t_msg_send(msg, &i, sizeof(i));
	while (1)
		pause();
}

/* Asynchronous prefetches of one process are no reason for another to wait */
static void crowd_prefetches(void)
{
	struct crowd c;
	struct scene s;
	struct ibv_sge sge;

	crowd_start(&c, prefetch_run);
	scene_open(&s);
	s.m.delay_ms = 1000;
	sge = t_sge(s.d.bmr, s.d.bbuf + NEVER * T_PAGE, T_PAGE);
	T_OK(ibv_advise_mr(s.d.dev.pd, IBV_ADVISE_MR_ADVICE_PREFETCH, 0, &sge,
			   1));
	T_ASSERT(!__atomic_load_n(&s.m.served, __ATOMIC_ACQUIRE),
		 "the call waited for the page");
	scene_late(&s, 1, NEVER, false);
	crowd_kill(&c);
	close(c.pipe);
}

/* --- one user waits for ever, another must not --- */

#define TENANT_UID 1000
#define TENANT_PROCESSES 3
#define TENANT_QPS 150
/* Workers of a user: POOL_USER_MAX_ACTIVE */
#define TENANT_WORKERS 384
#define REQUESTS 1000
#define TENANT_TURNS 6

/* WRITEs from a page that never comes: only this side waits, by packets too */
static void tenant_run(int from_test, int msg)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_addr self;
	char *never = t_map(T_PAGE);
	char *buf = t_map(T_PAGE);
	struct ibv_mr *mr, *target;
	struct t_dev dev;
	struct t_ep ep;
	unsigned int i;

	t_uffd(never, T_PAGE);
	keep_open(from_test);
	T_ASSERT(!setresuid(TENANT_UID, TENANT_UID, TENANT_UID), "setresuid");
	t_open(&dev);
	mr = t_reg_kind(&dev, T_EXPLICIT, never, T_PAGE, T_ACCESS_ALL);
	target = t_reg_kind(&dev, T_EXPLICIT, buf, T_PAGE, T_ACCESS_ALL);
	opt.sq = 1;
	opt.rq = 1;
	opt.sge = 1;
	opt.scq = ibv_create_cq(dev.ctx, TENANT_QPS, NULL, NULL, 0);
	T_ASSERT(opt.scq, "ibv_create_cq: %s", t_errname(errno));
	for (i = 0; i < TENANT_QPS; i++) {
		t_ep_open(&ep, &dev, &opt);
		self = t_ep_addr(&ep);
		t_ep_connect(&ep, &self);
		t_post(&ep, IBV_WR_RDMA_WRITE, i, t_sge(mr, never, 8),
		       (uintptr_t)buf, target->rkey);
	}
	t_msg_send(msg, &i, sizeof(i));
	while (1)
		pause();
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * Time of a request to memory that is not there: the median, of which it is
 * no part that this CPU is not always ours.
 */
static uint64_t traffic(struct t_duo *d)
{
	static uint64_t ns[REQUESTS];
	uint64_t begin;
	unsigned int i;

	for (i = 0; i < REQUESTS; i++) {
		T_ASSERT(!madvise(d->bbuf, d->len, MADV_DONTNEED),
			 "madvise: %s", t_errname(errno));
		begin = t_now_ns();
		t_post(&d->a, IBV_WR_RDMA_WRITE, i, t_duo_sge(d, 0, d->len),
		       t_remote(d, 0), d->bmr->rkey);
		t_want_wc(d->a.scq, i, IBV_WC_SUCCESS);
		ns[i] = t_now_ns() - begin;
	}
	qsort(ns, REQUESTS, sizeof(ns[0]), by_time);
	return ns[REQUESTS / 2];
}

static uint64_t best_traffic(struct t_duo *d, uint64_t best)
{
	uint64_t ns;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		ns = traffic(d);
		best = ns < best ? ns : best;
	}
	return best;
}

/* Returns the best time beside the processes, which are dead then */
static uint64_t beside_tenants(struct t_duo *d, uint64_t best)
{
	struct crowd c[TENANT_PROCESSES];
	unsigned int workers, i;

	for (i = 0; i < TENANT_PROCESSES; i++)
		crowd_start(&c[i], tenant_run);
	t_sleep_ms(1000);
	workers = fault_workers();
	T_ASSERT(workers >= TENANT_WORKERS / 2 && workers <= TENANT_WORKERS,
		 "%u workers wait for %u queue pairs", workers,
		 TENANT_PROCESSES * TENANT_QPS);
	best = best_traffic(d, best);
	for (i = 0; i < TENANT_PROCESSES; i++)
		crowd_kill(&c[i]);
	/* Its pages are held back still, but there is nobody to wait for them */
	want_fault_workers(0);
	for (i = 0; i < TENANT_PROCESSES; i++)
		close(c[i].pipe);
	return best;
}

/*
 * Another load on the host may slow either side of the comparison down for
 * a second or more, a tenant slows all of his: the best of each, by turns.
 */
static void tenants(void)
{
	uint64_t alone = UINT64_MAX, beside = UINT64_MAX;
	struct t_duo d = {};
	unsigned int turn;

	crowd_affordable(TENANT_PROCESSES * TENANT_QPS);
	T_ASSERT(!t_system("chmod 666 /dev/infiniband/uverbs*"), "chmod");
	t_open(&d.dev);
	t_need_odp(&d.dev);
	t_duo_make(&d, 16 * T_PAGE, T_EXPLICIT, T_ACCESS_ALL, T_ACCESS_ALL,
		   NULL);
	for (turn = 0; turn < TENANT_TURNS; turn++) {
		alone = best_traffic(&d, alone);
		beside = beside_tenants(&d, beside);
		t_note("%llu ns, %llu beside the other",
		       (unsigned long long)alone, (unsigned long long)beside);
		/* 4/5 of the traffic */
		if (beside * 4 <= alone * 5)
			return;
	}
	T_ASSERT(false, "%llu ns, %llu beside the other",
		 (unsigned long long)alone, (unsigned long long)beside);
}

/* --- a queue pair that waits for ever is used anew --- */

static void renew(struct scene *s, bool by_error)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
	struct ibv_wc wc;

	if (by_error) {
		T_OK(ibv_modify_qp(s->d.a.qp, &attr, IBV_QP_STATE));
		T_OK(ibv_modify_qp(s->d.b.qp, &attr, IBV_QP_STATE));
		wc = t_poll(s->d.a.scq);
		T_ASSERT(wc.status == IBV_WC_WR_FLUSH_ERR, "'%s'",
			 t_wc_name(wc.status));
	}
	t_ep_reset(&s->d.a);
	t_ep_reset(&s->d.b);
	t_join(&s->d.a, &s->d.b);
}

/* A request that finds no page, and is forgotten */
static void abandon(struct scene *s, unsigned int page, bool as_source,
		    bool by_error)
{
	unsigned long parks = count_parks(&s->d.dev);

	scene_post(s, 100 + page, page, as_source);
	want_parks(&s->d.dev, parks + 1);
	/* Until its worker has asked for the page */
	t_sleep_ms(T_QUIET_MS);
	t_want_none(s->d.a.scq);
	renew(s, by_error);
}

/*
 * The page that is not waited for any more will never be there: that is not
 * said to who waits for another meanwhile.
 */
static void abandon_fails(bool as_source)
{
	unsigned long parks;
	struct scene s;

	scene_open(&s);
	abandon(&s, 0, as_source, false);
	parks = count_parks(&s.d.dev);
	scene_post(&s, 1, 2, as_source);
	want_parks(&s.d.dev, parks + 1);
	t_sleep_ms(T_QUIET_MS);
	T_ASSERT(!munmap(s.d.bbuf, T_PAGE), "munmap: %s", t_errname(errno));
	t_uffd_wake(s.never, s.d.bbuf);
	t_sleep_ms(T_QUIET_MS);
	t_want_none(s.d.a.scq);
	t_uffd_serve(s.never, s.d.bbuf + 2 * T_PAGE);
	t_want_wc(s.d.a.scq, 1, IBV_WC_SUCCESS);
}

static void abandon_source_fails(void)
{
	abandon_fails(true);
}

static void abandon_target_fails(void)
{
	abandon_fails(false);
}

static void reuse(bool as_source)
{
	unsigned int i;
	struct scene s;

	scene_open(&s);
	for (i = 0; i < SLOTS - 1; i++) {
		t_case("%u waits left behind", i + 1);
		abandon(&s, 2 * i, as_source, i % 2);
		scene_late(&s, i, NEVER + 3 * i, as_source);
	}
	t_case("the pages come at last");
	for (i = 0; i < SLOTS - 1; i++)
		t_uffd_serve(s.never, s.d.bbuf + 2 * i * T_PAGE);
	t_sleep_ms(T_QUIET_MS);
	t_want_none(s.d.a.scq);
	/* And none of them is taken for this one's */
	scene_late(&s, 50, PAGES - 1, as_source);
}

static void reuse_source(void)
{
	reuse(true);
}

static void reuse_target(void)
{
	reuse(false);
}

/*
 * So many waits are left behind that there is none to be had: the queue pair
 * goes on with what is there, and all the rest when one of them ends.
 */
static void reuse_too_often(bool as_source)
{
	struct ibv_wc wc;
	unsigned int i;
	struct scene s;

	scene_open(&s);
	for (i = 0; i < SLOTS; i++)
		abandon(&s, 2 * i, as_source, i % 2);
	t_case("the page comes by itself");
	scene_post(&s, 1, 2 * SLOTS, as_source);
	t_sleep_ms(T_QUIET_MS);
	t_want_none(s.d.a.scq);
	t_uffd_serve(s.never, s.d.bbuf + 2 * SLOTS * T_PAGE);
	t_want_wc(s.d.a.scq, 1, IBV_WC_SUCCESS);
	t_case("a wait ends");
	scene_post(&s, 2, NEVER, as_source);
	T_ASSERT(!t_poll_for(s.d.a.scq, &wc, 5 * LATE_MS) && !s.m.served,
		 "more waits than a queue pair may have");
	t_uffd_serve(s.never, s.d.bbuf);
	t_want_wc(s.d.a.scq, 2, IBV_WC_SUCCESS);
	t_want_monitored(s.d.abuf, s.d.bbuf + NEVER * T_PAGE, 1);
	t_case("destroyed meanwhile");
	abandon(&s, NEVER - 2, as_source, false);
	scene_post(&s, 3, NEVER - 4, as_source);
	t_sleep_ms(T_QUIET_MS);
	T_OK(ibv_destroy_qp(s.d.a.qp));
	T_OK(ibv_destroy_qp(s.d.b.qp));
	t_dereg(s.d.bmr);
}

static void reuse_too_often_source(void)
{
	reuse_too_often(true);
}

static void reuse_too_often_target(void)
{
	reuse_too_often(false);
}

/* --- what was posted before the request that waits goes on --- */

static struct ibv_send_wr scene_wr(uint64_t wr_id, enum ibv_wr_opcode opcode,
				   struct ibv_sge *sge, uint64_t remote,
				   uint32_t rkey)
{
	struct ibv_send_wr wr = {
		.wr_id = wr_id,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = sge,
		.num_sge = sge ? 1 : 0,
		.wr.rdma.remote_addr = remote,
		.wr.rdma.rkey = rkey,
	};

	return wr;
}

/*
 * READs, then a WRITE from a page that comes only when they have completed,
 * as with memory that is migrated over the same connection; one READ goes to
 * a page that is late itself.
 */
static void older_requests(void)
{
	struct ibv_sge near_sge, late_sge, never_sge;
	struct ibv_send_wr near_read, late_read, never_write;
	uint64_t remote;
	struct ibv_wc wc;
	struct scene s;

	scene_open(&s);
	remote = (uintptr_t)s.d.abuf + 8 * T_PAGE;
	near_sge = t_duo_sge(&s.d, 0, 2 * T_PAGE);
	late_sge = t_sge(s.d.bmr, s.d.bbuf + NEVER * T_PAGE, T_PAGE);
	never_sge = t_sge(s.d.bmr, s.d.bbuf, T_PAGE);
	near_read = scene_wr(1, IBV_WR_RDMA_READ, &near_sge, remote,
			     s.d.amr->rkey);
	late_read = scene_wr(2, IBV_WR_RDMA_READ, &late_sge, remote,
			     s.d.amr->rkey);
	never_write = scene_wr(3, IBV_WR_RDMA_WRITE, &never_sge, remote,
			       s.d.amr->rkey);
	near_read.next = &late_read;
	late_read.next = &never_write;
	T_OK(t_try_post(&s.d.a, &near_read));
	t_want_wc(s.d.a.scq, 1, IBV_WC_SUCCESS);
	t_want_wc(s.d.a.scq, 2, IBV_WC_SUCCESS);
	T_ASSERT(!t_poll_for(s.d.a.scq, &wc, 2 * LATE_MS), "%s without page",
		 t_wc_name(wc.status));
	t_uffd_serve(s.never, s.d.bbuf);
	t_want_wc(s.d.a.scq, 3, IBV_WC_SUCCESS);
}

/* An RNR NAK's time is waited for, though a later request waits for a page */
static void rnr_meanwhile(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_send_wr send, write;
	struct ibv_sge late_sge;
	struct scene s;

	opt.min_rnr = 29; /* 246 ms */
	opt.rnr_retry = 1;
	scene_make(&s, &opt, LATE_MS);
	late_sge = t_sge(s.d.bmr, s.d.bbuf + NEVER * T_PAGE, T_PAGE);
	send = scene_wr(1, IBV_WR_SEND, NULL, 0, 0);
	write = scene_wr(2, IBV_WR_RDMA_WRITE, &late_sge,
			 (uintptr_t)s.d.abuf, s.d.amr->rkey);
	send.next = &write;
	T_OK(t_try_post(&s.d.a, &send));
	t_sleep_ms(2 * LATE_MS);
	t_post_recv(&s.d.b, 7, t_sge(NULL, NULL, 0));
	t_want_wc(s.d.a.scq, 1, IBV_WC_SUCCESS);
	t_want_wc(s.d.a.scq, 2, IBV_WC_SUCCESS);
	t_want_wc(s.d.b.rcq, 7, IBV_WC_SUCCESS);
}

/* --- a page as late as that, and few RNR NAKs that may be sent --- */

static void few_rnr_retries(void)
{
	static const struct {
		uint8_t rnr_retry;
		unsigned int late_ms;
	} cases[] = { { 0, 20 }, { 0, 1000 }, { 1, 1000 } };
	struct t_qp_opt opt = T_QP_OPT;
	struct scene s;
	unsigned int i;

	/* 0.5 s in all, but the peer hears that it is waited for */
	opt.timeout = 14;
	for (i = 0; i < T_ARRAY_SIZE(cases); i++) {
		t_case("rnr_retry %u, pages %u ms late", cases[i].rnr_retry,
		       cases[i].late_ms);
		opt.rnr_retry = cases[i].rnr_retry;
		scene_make(&s, &opt, cases[i].late_ms);
		scene_late(&s, 1, NEVER, false);
		scene_late(&s, 2, NEVER + 1, false);
		scene_late(&s, 3, NEVER + 2, true);
	}
}

/* --- a region that goes while a page of it is waited for --- */

/* A worker waits: it is called back, and the request fails */
static void dereg_worker(void)
{
	struct scene s;
	struct ibv_wc wc;

	scene_open(&s);
	scene_post(&s, 1, 0, false);
	t_sleep_ms(200);
	T_ASSERT(fault_workers(), "no worker waits");
	T_OK(ibv_dereg_mr(s.d.bmr));
	want_fault_workers(0);
	wc = t_poll(s.d.a.scq);
	T_ASSERT(wc.status == IBV_WC_REM_ACCESS_ERR, "'%s'",
		 t_wc_name(wc.status));
}

/* A thread waits, which nobody may send signals to: the region goes */
static void dereg_advice(void)
{
	struct advice a = { .flags = IBV_ADVISE_MR_FLAG_FLUSH };
	pthread_t thread;
	struct scene s;

	scene_open(&s);
	a.mr = s.d.bmr;
	advise_start(&a, &thread);
	T_OK(ibv_dereg_mr(s.d.bmr));
	T_ASSERT(!__atomic_load_n(&a.ended, __ATOMIC_ACQUIRE),
		 "the page has come");
	t_uffd_serve(s.never, s.d.bbuf);
	T_ASSERT(!pthread_join(thread, NULL), "join");
	T_ASSERT(a.ret, "pages of a region that is gone");
}

static const struct t_test tests[] = {
	{ "crowd", crowd, 120 },
	{ "crowd_prefetches", crowd_prefetches },
	{ "tenants", tenants, 120 },
	{ "abandon_source_fails", abandon_source_fails },
	{ "abandon_target_fails", abandon_target_fails },
	{ "reuse_source", reuse_source },
	{ "reuse_target", reuse_target },
	{ "reuse_too_often_source", reuse_too_often_source },
	{ "reuse_too_often_target", reuse_too_often_target },
	{ "older_requests", older_requests },
	{ "rnr_meanwhile", rnr_meanwhile },
	{ "few_rnr_retries", few_rnr_retries },
	{ "dereg_worker", dereg_worker },
	{ "dereg_advice", dereg_advice },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
