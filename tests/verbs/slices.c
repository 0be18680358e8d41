// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What one call or one turn of a worker may take: time in ibv_post_send,
 * whose memory is faulted in it, and the order in which bytes, and one QP's
 * completions and another's, are seen.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/t_duo.h"

#define WRS 128
#define SGES 32
/* What a call may take; an emulated CPU that is not alone needs more */
#define CALL_MS 5
#define SLACK 4
#define TRIES 5

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static unsigned long counter(const struct t_dev *dev, const char *name)
{
	uint64_t value;

	/* ib_core shows what it read last for 10 ms */
	t_sleep_ms(15);
	T_ASSERT(t_read_counter(dev, name, &value), "no counter %s", name);
	return value;
}

/* Places of cold memory, in an order that nothing foresees */
static void shuffle(unsigned int *order, unsigned int nr)
{
	struct t_rand r = { .state = 7 };
	unsigned int i, j, other;

	for (i = 0; i < nr; i++)
		order[i] = i;
	for (i = nr - 1; i; i--) {
		j = t_rand_below(&r, i + 1);
		other = order[i];
		order[i] = order[j];
		order[j] = other;
	}
}

struct cold {
	struct t_duo d;
	char *mem;
	size_t stride;
	unsigned int nr; /* places */
	unsigned int sges; /* of each request */
	struct ibv_mr *mr;
	struct ibv_send_wr wr[WRS];
	struct ibv_sge sge[WRS * SGES];
	unsigned int order[WRS * SGES];
};

static void cold_make(struct cold *c, size_t stride, unsigned int wrs,
		      unsigned int sges, bool huge)
{
	struct t_qp_opt opt = T_QP_OPT;
	size_t len = stride * wrs * sges;
	unsigned int i;

	opt.sq = WRS;
	opt.sge = SGES;
	opt.cqe = 2 * WRS;
	t_open(&c->d.dev);
	t_need_odp(&c->d.dev);
	t_duo_make(&c->d, SGES * 8, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL,
		   &opt);
	c->stride = stride;
	c->nr = wrs * sges;
	c->sges = sges;
	c->mem = t_map_aligned(len, T_HUGE);
	t_map_pages(c->mem, len, huge ? T_THP : T_SMALL);
	c->mr = t_reg_kind(&c->d.dev, T_EXPLICIT, c->mem, len, T_ACCESS_ALL);
	shuffle(c->order, c->nr);
	/* READs into it: each byte needs a page that is made for it */
	for (i = 0; i < c->nr; i++)
		c->sge[i] = t_sge(c->mr, c->mem + c->order[i] * stride, 8);
	for (i = 0; i < wrs; i++)
		c->wr[i] = (struct ibv_send_wr){
			.wr_id = i,
			.next = i + 1 < wrs ? &c->wr[i + 1] : NULL,
			.sg_list = &c->sge[i * sges],
			.num_sge = sges,
			.opcode = IBV_WR_RDMA_READ,
			.send_flags = IBV_SEND_SIGNALED,
			.wr.rdma.remote_addr = t_remote(&c->d, 0),
			.wr.rdma.rkey = c->d.bmr->rkey,
		};
	t_fill(c->d.bbuf, SGES * 8, 3);
}

/*
 * One list of work requests, each of which needs pages that are not there:
 * CPU time of the call. The best of some tries: others use the CPU too.
 */
static void cold_post(size_t stride, unsigned int wrs, unsigned int sges,
		      bool huge)
{
	static struct cold c;
	uint64_t best = UINT64_MAX;
	unsigned int try, i;
	uint64_t begin, ns;

	cold_make(&c, stride, wrs, sges, huge);
	for (try = 0; try < TRIES; try++) {
		t_case("try %u", try);
		T_ASSERT(!madvise(c.mem, stride * c.nr, MADV_DONTNEED),
			 "madvise: %s", t_errname(errno));
		begin = cpu_ns();
		T_OK(t_try_post(&c.d.a, c.wr));
		ns = cpu_ns() - begin;
		for (i = 0; i < wrs; i++)
			t_want_wc(c.d.a.scq, i, IBV_WC_SUCCESS);
		for (i = 0; i < c.nr; i++)
			T_ASSERT(!memcmp(c.mem + c.order[i] * stride,
					 c.d.bbuf + i % sges * 8, 8),
				 "place %u", i);
		/* The first fault of a process is a worker's */
		if (try && ns < best)
			best = ns;
	}
	t_note("%llu us", (unsigned long long)best / 1000);
	T_ASSERT(best < CALL_MS * SLACK * 1000000ULL,
		 "ibv_post_send took %llu us of CPU",
		 (unsigned long long)best / 1000);
}

static void cold_list(void)
{
	cold_post(4 * T_PAGE, WRS, SGES, false);
}

static void cold_huge(void)
{
	cold_post(T_HUGE, WRS, 1, true);
}

/* --- whose memory is faulted in the call --- */

struct other {
	struct t_addr addr;
	uint64_t mem;
	uint32_t rkey;
};

#define OTHER_PAGES 16

static void other_run(int fd)
{
	struct other self, peer;
	struct ibv_mr *mr;
	struct t_dev dev;
	struct t_ep ep;
	char *mem;

	t_open(&dev);
	mem = t_map(OTHER_PAGES * T_PAGE);
	mr = t_reg_kind(&dev, T_EXPLICIT, mem, OTHER_PAGES * T_PAGE,
			T_ACCESS_ALL);
	t_ep_open(&ep, &dev, NULL);
	self.addr = t_ep_addr(&ep);
	self.mem = (uintptr_t)mem;
	self.rkey = mr->rkey;
	t_msg_send(fd, &self, sizeof(self));
	t_msg_recv(fd, &peer, sizeof(peer));
	t_ep_connect(&ep, &peer.addr);
	t_msg_send(fd, &self, sizeof(self));
	t_msg_recv(fd, &peer, sizeof(peer));
	T_ASSERT(t_check_byte(mem, T_PAGE, 0x5a) < 0, "not what was written");
	_exit(0);
}

/* A QP of ours, memory of ours, and a process with the same */
struct link {
	struct t_dev dev;
	struct t_ep ep;
	struct other peer;
	struct ibv_mr *mr;
	char *mem;
	int fd[2];
	pid_t pid;
};

static void link_open(struct link *l)
{
	struct other self = {};

	memset(l, 0, sizeof(*l));
	t_msg_pair(l->fd);
	l->pid = t_fork();
	if (!l->pid)
		other_run(l->fd[1]);
	t_open(&l->dev);
	t_need_odp(&l->dev);
	t_ep_open(&l->ep, &l->dev, NULL);
	l->mem = t_map(2 * OTHER_PAGES * T_PAGE);
	l->mr = t_reg_kind(&l->dev, T_EXPLICIT, l->mem,
			   2 * OTHER_PAGES * T_PAGE, T_ACCESS_ALL);
	self.addr = t_ep_addr(&l->ep);
	t_msg_send(l->fd[0], &self, sizeof(self));
	t_msg_recv(l->fd[0], &l->peer, sizeof(l->peer));
	t_ep_connect(&l->ep, &l->peer.addr);
	t_msg_recv(l->fd[0], &l->peer, sizeof(l->peer));
	/* The first fault of a process is a worker's in any case */
	memset(l->mem, 0x5a, T_PAGE);
	t_post(&l->ep, IBV_WR_RDMA_WRITE, 1, t_sge(l->mr, l->mem, T_PAGE),
	       l->peer.mem, l->peer.rkey);
	t_want_wc(l->ep.scq, 1, IBV_WC_SUCCESS);
}

static void link_close(struct link *l)
{
	t_msg_send(l->fd[0], &l->peer, sizeof(l->peer));
	t_reap(l->pid);
}

/* Whoever brings a page in counts it, whose ever it is */
static long own_faults(void)
{
	struct rusage usage;

	T_ASSERT(!getrusage(RUSAGE_THREAD, &usage), "getrusage");
	return usage.ru_minflt + usage.ru_majflt;
}

/*
 * Cold memory of another process is brought in by that process' workers, the
 * poster's own in its call.
 */
static void other_process(void)
{
	unsigned long parks;
	struct link l;
	unsigned int i;
	long faults;

	link_open(&l);
	t_case("own memory");
	parks = counter(&l.dev, "fault_parks");
	faults = own_faults();
	for (i = 1; i < OTHER_PAGES; i++) {
		t_post(&l.ep, IBV_WR_RDMA_READ, i,
		       t_sge(l.mr, l.mem + 2 * i * T_PAGE, 8), l.peer.mem,
		       l.peer.rkey);
		t_want_wc(l.ep.scq, i, IBV_WC_SUCCESS);
	}
	T_ASSERT(counter(&l.dev, "fault_parks") == parks,
		 "%lu faults went to workers",
		 counter(&l.dev, "fault_parks") - parks);
	T_ASSERT(own_faults() - faults >= OTHER_PAGES - 1, "%ld faults",
		 own_faults() - faults);
	t_case("the other's");
	faults = own_faults();
	for (i = 2; i < OTHER_PAGES; i += 4) {
		t_post(&l.ep, IBV_WR_RDMA_WRITE, i,
		       t_sge(l.mr, l.mem, T_PAGE), l.peer.mem + i * T_PAGE,
		       l.peer.rkey);
		t_want_wc(l.ep.scq, i, IBV_WC_SUCCESS);
	}
	faults = own_faults() - faults;
	T_ASSERT(!faults, "%ld faults by the poster", faults);
	T_ASSERT(counter(&l.dev, "fault_parks") > parks, "no worker had one");
	link_close(&l);
}

/* --- a program that polls for the last byte finds all the others --- */

struct watcher {
	const volatile unsigned char *mem;
	uint32_t len;
	unsigned char want;
	unsigned int torn;
};

/* Each value once, 0 at last */
static void *watch_run(void *arg)
{
	struct watcher *s = arg;
	unsigned char want = 1;
	uint32_t i;

	for (;;) {
		while (s->mem[s->len - 1] != want)
			;
		for (i = 0; i < s->len - 1 && s->mem[i] == want; i++)
			;
		s->torn += i < s->len - 1;
		want++;
		__atomic_store_n(&s->want, want, __ATOMIC_RELEASE);
		if (want == 1)
			return NULL;
	}
}

static void watch_length(struct t_duo *d, struct watcher *s)
{
	unsigned int value = 1;
	pthread_t thread;

	memset(d->bbuf, 0, s->len);
	s->want = 1;
	T_ASSERT(!pthread_create(&thread, NULL, watch_run, s),
		 "pthread_create");
	do {
		memset(d->abuf, value, s->len);
		t_post(&d->a, IBV_WR_RDMA_WRITE, value,
		       t_duo_sge(d, 0, s->len), t_remote(d, 0), d->bmr->rkey);
		t_want_wc(d->a.scq, value, IBV_WC_SUCCESS);
		value = (value + 1) % 256;
		while (__atomic_load_n(&s->want, __ATOMIC_ACQUIRE) != value)
			;
	} while (value != 1);
	pthread_join(thread, NULL);
}

static void last_byte(void)
{
	static const uint32_t lens[] = { 2, 8, 61, 64, 1000, 4096, 8192 };
	struct watcher s = {};
	struct t_duo d;
	size_t l;

	t_duo_open(&d, 8192, T_EXPLICIT, NULL);
	s.mem = (unsigned char *)d.bbuf;
	for (l = 0; l < T_ARRAY_SIZE(lens); l++) {
		t_case("%u bytes", lens[l]);
		s.len = lens[l];
		watch_length(&d, &s);
		T_ASSERT(!s.torn, "%u of 256 were not whole", s.torn);
	}
}

/* --- a completion comes before that of the answer --- */

struct side {
	struct t_ep ep;
	unsigned int rounds;
	unsigned int reversed;
	bool begins;
};

static void side_send(struct side *s, unsigned int i)
{
	struct ibv_send_wr wr = {
		.wr_id = i,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};

	T_OK(t_try_post(&s->ep, &wr));
}

static void *side_run(void *arg)
{
	struct side *s = arg;
	unsigned int got = 0, sent = 0, posted = 0;
	struct ibv_wc wc;

	if (s->begins) {
		side_send(s, 0);
		posted++;
	}
	while (got < s->rounds || sent < s->rounds) {
		if (!ibv_poll_cq(s->ep.scq, 1, &wc))
			continue;
		T_ASSERT(!wc.status, "'%s'", t_wc_name(wc.status));
		if (wc.opcode == IBV_WC_SEND) {
			sent++;
			continue;
		}
		got++;
		t_post_recv(&s->ep, 0, t_sge(NULL, NULL, 0));
		/* The answer to what was sent before, if that was it */
		if (sent < posted)
			s->reversed++;
		if (posted < s->rounds) {
			side_send(s, posted);
			posted++;
		}
	}
	return NULL;
}

static void answer_order(void)
{
	unsigned int rounds = t_quick ? 4000 : 10000;
	struct t_qp_opt opt = T_QP_OPT;
	struct side side[2] = {};
	struct t_addr addr[2];
	pthread_t thread[2];
	unsigned int i, j;
	struct t_dev dev;

	t_open(&dev);
	for (i = 0; i < 2; i++) {
		opt.scq = ibv_create_cq(dev.ctx, 64, NULL, NULL, 0);
		T_ASSERT(opt.scq, "ibv_create_cq: %s", t_errname(errno));
		opt.rcq = opt.scq;
		t_ep_open(&side[i].ep, &dev, &opt);
		side[i].rounds = rounds;
		side[i].begins = !i;
		addr[i] = t_ep_addr(&side[i].ep);
	}
	for (i = 0; i < 2; i++) {
		t_ep_connect(&side[i].ep, &addr[!i]);
		for (j = 0; j < 8; j++)
			t_post_recv(&side[i].ep, 0, t_sge(NULL, NULL, 0));
	}
	for (i = 0; i < 2; i++)
		T_ASSERT(!pthread_create(&thread[i], NULL, side_run, &side[i]),
			 "pthread_create");
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	t_note("%u of %u", side[0].reversed + side[1].reversed, 2 * rounds);
	T_ASSERT(!side[0].reversed && !side[1].reversed,
		 "%u and %u of %u answers came before the completion of what they answer",
		 side[0].reversed, side[1].reversed, rounds);
}

/* --- real-time threads that poll have all CPUs --- */

#define BIG (4UL << 20)
/* Without a rescue it is what the scheduler leaves to others: a second */
#define STARVED_MS 450

static volatile bool spin_on;

static void be_first(unsigned int cpu)
{
	struct sched_param param = { .sched_priority = 10 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	T_ASSERT(!sched_setaffinity(0, sizeof(set), &set), "affinity: %s",
		 t_errname(errno));
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		t_skip("SCHED_FIFO: %s", t_errname(errno));
}

/* For a time at most: the rest of the test may not get a CPU to end it */
static void *spin_run(void *arg)
{
	uint64_t end = t_now_ns() + 2000000000ULL;

	be_first((uintptr_t)arg);
	while (spin_on && t_now_ns() < end)
		;
	return NULL;
}

/* Time until the completion is there, with no CPU left for ordinary threads */
static unsigned int starved_ms(struct t_ep *ep, struct ibv_sge sge,
			       uint64_t remote, uint32_t rkey)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct sched_param param = {};
	pthread_t thread[64];
	uint64_t begin, ns;
	struct ibv_wc wc;
	long i;

	T_ASSERT(cpus <= 64, "%ld CPUs", cpus);
	spin_on = true;
	for (i = 1; i < cpus; i++)
		T_ASSERT(!pthread_create(&thread[i], NULL, spin_run,
					 (void *)(uintptr_t)i),
			 "pthread_create");
	t_sleep_ms(20);
	be_first(0);
	begin = t_now_ns();
	t_post(ep, IBV_WR_RDMA_WRITE, 1, sge, remote, rkey);
	while (!ibv_poll_cq(ep->scq, 1, &wc))
		;
	ns = t_now_ns() - begin;
	sched_setscheduler(0, SCHED_OTHER, &param);
	spin_on = false;
	for (i = 1; i < cpus; i++)
		pthread_join(thread[i], NULL);
	T_ASSERT(!wc.status, "'%s'", t_wc_name(wc.status));
	/* Let those run who could not, and the scheduler forget */
	t_sleep_ms(1100);
	return ns / 1000000;
}

static void want_rescue(struct t_ep *ep, struct ibv_sge sge, uint64_t remote,
			uint32_t rkey)
{
	unsigned int best = UINT32_MAX, ms, try;

	for (try = 0; try < 3; try++) {
		ms = starved_ms(ep, sge, remote, rkey);
		if (ms < best)
			best = ms;
		/* Downwards: nothing is brought in ahead of us */
		remote -= sge.length;
	}
	t_note("%u ms", best);
	T_ASSERT(best < STARVED_MS, "%u ms", best);
}

/* More than a doorbell does itself */
static void starved_big(void)
{
	struct t_duo d;

	t_duo_open(&d, BIG, T_PINNED, NULL);
	d.bbuf = t_map(3 * BIG);
	d.bmr = t_reg_kind(&d.dev, T_PINNED, d.bbuf, 3 * BIG, T_ACCESS_ALL);
	want_rescue(&d.a, t_duo_sge(&d, 0, BIG), t_remote(&d, 2 * BIG),
		    d.bmr->rkey);
}

/* Memory of another process that is not there */
static void starved_cold(void)
{
	struct link l;

	link_open(&l);
	want_rescue(&l.ep, t_sge(l.mr, l.mem, 4 * T_PAGE),
		    l.peer.mem + 12 * T_PAGE, l.peer.rkey);
	link_close(&l);
}

/* --- nobody waits for another process' doorbell --- */

#define RINGS 128
#define CLOSES 5
/* Until the scheduler throttles the one that has its CPU, about */
#define STOPPED_MS 900

static void ring_run(unsigned int cpu)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_sge sge;
	struct t_duo d;
	cpu_set_t set;
	unsigned int i;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	T_ASSERT(!sched_setaffinity(0, sizeof(set), &set), "affinity");
	opt.sq = RINGS;
	opt.cqe = 2 * RINGS;
	t_duo_open(&d, 4 * T_PAGE, T_PINNED, &opt);
	sge = t_duo_sge(&d, 0, 4 * T_PAGE);
	wr.sg_list = &sge;
	wr.num_sge = 1;
	wr.wr.rdma.remote_addr = t_remote(&d, 0);
	wr.wr.rdma.rkey = d.bmr->rkey;
	while (1) {
		t_post_chain(&d.a, &wr, 0, RINGS);
		for (i = 0; i < RINGS; i++)
			t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
	}
}

static int by_ms(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* A context is closed while a thread of another process is stopped so */
static void close_meanwhile(void)
{
	long cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	struct ibv_context *ctx;
	int ms[CLOSES];
	pthread_t thread;
	struct t_dev dev;
	uint64_t begin;
	unsigned int i;

	if (cpu < 1)
		t_skip("needs two CPUs");
	if (!t_fork())
		ring_run(cpu);
	t_open(&dev);
	t_sleep_ms(300);
	for (i = 0; i < CLOSES; i++) {
		ctx = ibv_open_device(dev.ctx->device);
		T_ASSERT(ctx, "ibv_open_device: %s", t_errname(errno));
		spin_on = true;
		T_ASSERT(!pthread_create(&thread, NULL, spin_run,
					 (void *)(uintptr_t)cpu),
			 "pthread_create");
		t_sleep_ms(30);
		begin = t_now_ns();
		T_OK(ibv_close_device(ctx));
		ms[i] = (t_now_ns() - begin) / 1000000;
		spin_on = false;
		pthread_join(thread, NULL);
		/* The scheduler's budget for such threads fills again */
		t_sleep_ms(1000);
	}
	qsort(ms, CLOSES, sizeof(ms[0]), by_ms);
	t_note("%d to %d ms", ms[0], ms[CLOSES - 1]);
	T_ASSERT(ms[CLOSES / 2] < STOPPED_MS / 2, "%d ms", ms[CLOSES / 2]);
}

static const struct t_test tests[] = {
	{ "cold_list", cold_list },
	{ "cold_huge", cold_huge },
	{ "other_process", other_process },
	{ "last_byte", last_byte, 120 },
	{ "answer_order", answer_order, 120 },
	{ "starved_big", starved_big },
	{ "starved_cold", starved_cold },
	{ "close_meanwhile", close_meanwhile },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
