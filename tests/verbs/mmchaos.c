// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The mm at work while RC traffic runs over the same memory. A thread fires
 * events as fast as it can; the main thread writes, reads and compares.
 *
 * Three sorts of events, by what may be seen meanwhile:
 *   keep   nothing is lost: every transfer succeeds, every byte is right
 *   lose   pages become zeros: every transfer succeeds, a byte is new, or zero
 *   deny   the memory is away at times: a transfer may also be refused
 * After the events have stopped, everything must be exact again.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mmevents.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define LEN (2 * T_HUGE)

enum sort {
	KEEP,
	LOSE,
	DENY,
};

struct chaos {
	struct mm_scene s;
	const struct event *event;
	struct t_rand rand;
	atomic_bool stop;
	atomic_uint fired;
	atomic_bool spoiled; /* a canary died */
	int fd; /* of the file below the region, or -1 */
};

struct event {
	const char *name;
	enum sort sort;
	enum t_pages pages;
	void (*fire)(struct chaos *c);
	bool swap;
};

/* A random part of the region, in whole pages */
static char *some(struct chaos *c, size_t *len)
{
	size_t first = t_rand_below(&c->rand, LEN / T_PAGE);
	size_t most = LEN / T_PAGE - first;

	*len = (1 + t_rand_below(&c->rand, most)) * T_PAGE;
	return c->s.d.bbuf + first * T_PAGE;
}

static void fire_dontneed(struct chaos *c)
{
	size_t len;
	char *p = some(c, &len);

	madvise(p, len, MADV_DONTNEED);
}

static void fire_free(struct chaos *c)
{
	size_t len;
	char *p = some(c, &len);

	madvise(p, len, MADV_FREE);
}

static void fire_pageout(struct chaos *c)
{
	size_t len;
	char *p = some(c, &len);

	madvise(p, len, MADV_PAGEOUT);
}

static void fire_collapse(struct chaos *c)
{
	size_t len;
	char *p = some(c, &len);

	madvise(c->s.d.bbuf, LEN, MADV_HUGEPAGE);
	madvise(c->s.d.bbuf, LEN, MADV_COLLAPSE);
	/* Splits the huge pages by giving one part another policy */
	madvise(p, len, MADV_NOHUGEPAGE);
	mprotect(p, len, PROT_READ | PROT_WRITE | PROT_EXEC);
	mprotect(p, len, PROT_READ | PROT_WRITE);
}

static void fire_track(struct chaos *c)
{
	t_write_file("/proc/self/clear_refs", "4");
}

/* The child's writes break the sharing from its side. */
static void fire_fork(struct chaos *c)
{
	size_t len;
	char *p = some(c, &len);
	pid_t pid = fork();
	size_t i;

	if (!pid) {
		for (i = 0; i < len; i += T_PAGE)
			p[i] = 1;
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void fire_protect(struct chaos *c)
{
	static const int prots[] = { PROT_NONE, PROT_READ };
	size_t len;
	char *p = some(c, &len);

	mprotect(p, len, prots[t_rand_below(&c->rand, 2)]);
	sched_yield();
	mprotect(p, len, PROT_READ | PROT_WRITE);
}

/*
 * The pages that were freed are soon somebody else's: of a mapping whose
 * bytes must stay what they are.
 */
static void fire_remap(struct chaos *c)
{
	size_t len;
	char *p = some(c, &len);
	char *canary;

	munmap(p, len);
	canary = mmap(NULL, len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (canary != MAP_FAILED) {
		t_fill_background(canary, len);
		sched_yield();
		if (t_check_background(canary, len) >= 0)
			c->spoiled = true;
	}
	t_map_pages(p, len, c->event->pages);
	if (canary != MAP_FAILED) {
		if (t_check_background(canary, len) >= 0)
			c->spoiled = true;
		munmap(canary, len);
	}
}

/* Mapped over without unmapping: never away, but other pages. */
static void fire_replace(struct chaos *c)
{
	size_t len;
	char *p = some(c, &len);

	t_map_pages(p, len, c->event->pages);
}

static void fire_move(struct chaos *c)
{
	char *away = t_map_aligned(LEN, T_HUGE);
	void *got;

	got = mremap(c->s.d.bbuf, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED,
		     away);
	if (got == away) {
		sched_yield();
		mremap(away, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED,
		       c->s.d.bbuf);
	}
}

static void fire_punch(struct chaos *c)
{
	size_t len;
	char *p = some(c, &len);

	fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		  p - c->s.d.bbuf, len);
}

static void fire_truncate(struct chaos *c)
{
	size_t len = t_rand_below(&c->rand, LEN / T_PAGE) * T_PAGE;

	if (!ftruncate(c->fd, len))
		sched_yield();
	if (ftruncate(c->fd, LEN))
		c->spoiled = true;
}

static void *fire_loop(void *arg)
{
	/* A pause has to be longer than a fault, or nothing ever moves */
	unsigned int rest = t_slow_kernel() ? 20 : 1;
	struct chaos *c = arg;

	while (!c->stop) {
		c->event->fire(c);
		c->fired++;
		if (t_rand_below(&c->rand, 4) == 0)
			t_sleep_ms(rest);
	}
	return NULL;
}

/* Bytes that are neither the data of the seed nor zero */
static int64_t neither(const char *p, size_t len, uint64_t seed)
{
	static char want[LEN];
	size_t i;

	if (t_check_data(p, len, seed, 0) < 0)
		return -1;
	t_fill(want, len, seed);
	for (i = 0; i < len; i++)
		if (p[i] && p[i] != want[i])
			return i;
	return -1;
}

/* One transfer of part of the region; false: refused */
static bool transfer(struct chaos *c, enum ibv_wr_opcode opcode, size_t off,
		     size_t len)
{
	struct t_duo *d = &c->s.d;
	struct ibv_wc wc;

	t_post(&d->a, opcode, 7, t_duo_sge(d, off, len), t_remote(d, off),
	       d->bmr->rkey);
	wc = t_poll(d->a.scq);
	T_ASSERT(wc.wr_id == 7, "completion of request %llu",
		 (unsigned long long)wc.wr_id);
	if (wc.status == IBV_WC_SUCCESS)
		return true;
	T_ASSERT(c->event->sort == DENY &&
			 wc.status == IBV_WC_REM_ACCESS_ERR,
		 "opcode %d: '%s' after %u events", opcode,
		 t_wc_name(wc.status), c->fired);
	t_duo_renew(d);
	return false;
}

/* A WRITE, a look by the process where it may, a READ. False: refused */
static bool one_round(struct chaos *c, uint64_t seed)
{
	struct t_duo *d = &c->s.d;

	t_fill(d->abuf, LEN, seed);
	if (!transfer(c, IBV_WR_RDMA_WRITE, 0, LEN))
		return false;
	if (c->event->sort == KEEP) {
		t_want_data(d->bbuf, LEN, seed);
		t_fill(d->bbuf, LEN, seed + 1);
	}
	t_fill_background(d->abuf, LEN);
	if (!transfer(c, IBV_WR_RDMA_READ, 0, LEN))
		return false;
	if (c->event->sort == KEEP)
		t_want_data(d->abuf, LEN, seed + 1);
	else
		T_ASSERT(neither(d->abuf, LEN, seed) < 0,
			 "byte %lld read is neither new nor zero",
			 (long long)neither(d->abuf, LEN, seed));
	return true;
}

static void file_below(struct chaos *c)
{
	char *space = c->s.d.bbuf;
	void *p;

	c->fd = memfd_create("chaos", MFD_CLOEXEC);
	T_ASSERT(c->fd >= 0 && !ftruncate(c->fd, LEN), "memfd");
	p = mmap(space, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 c->fd, 0);
	T_ASSERT(p == space, "mmap");
}

static void run(const struct event *event, bool implicit)
{
	static struct chaos c;
	uint64_t end;
	unsigned int rounds = 0;
	unsigned int refused = 0;
	pthread_t thread;

	memset(&c, 0, sizeof(c));
	c.event = event;
	c.fd = -1;
	c.rand.state = 42;
	if (event->swap)
		t_swap_on(T_SWAP_SIZE);
	mm_open(&c.s, LEN, event->pages, implicit);
	if (event->fire == fire_punch || event->fire == fire_truncate)
		file_below(&c);
	end = t_now_ns() + (t_quick ? 1 : t_full ? 10 : 3) * 1000000000ULL;
	T_ASSERT(!pthread_create(&thread, NULL, fire_loop, &c), "thread");
	while (t_now_ns() < end || c.fired < 10) {
		t_case("%s, round %u", implicit ? "implicit" : "explicit",
		       rounds);
		if (!one_round(&c, 2 * ++rounds))
			refused++;
		T_ASSERT(!c.spoiled, "memory of somebody else was written");
	}
	c.stop = true;
	pthread_join(thread, NULL);
	t_case("quiet again");
	T_ASSERT(!c.spoiled, "memory of somebody else was written");
	mm_agree(&c.s, 1000001);
	if (event->swap)
		t_swap_off();
	t_note("%u events, %u rounds, %u refused", c.fired, rounds, refused);
}

static const struct event events[] = {
	{ "dontneed/small", LOSE, T_SMALL, fire_dontneed },
	{ "dontneed/thp", LOSE, T_THP, fire_dontneed },
	{ "dontneed/shmem", KEEP, T_SHMEM, fire_dontneed },
	{ "free/small", LOSE, T_SMALL, fire_free, true },
	{ "pageout/small", KEEP, T_SMALL, fire_pageout, true },
	{ "pageout/thp", KEEP, T_THP, fire_pageout, true },
	{ "pageout/shmem", KEEP, T_SHMEM, fire_pageout, true },
	{ "collapse/small", KEEP, T_SMALL, fire_collapse },
	{ "track/small", KEEP, T_SMALL, fire_track },
	{ "track/thp", KEEP, T_THP, fire_track },
	{ "fork/small", KEEP, T_SMALL, fire_fork },
	{ "fork/thp", KEEP, T_THP, fire_fork },
	{ "protect/small", DENY, T_SMALL, fire_protect },
	{ "protect/thp", DENY, T_THP, fire_protect },
	{ "remap/small", DENY, T_SMALL, fire_remap },
	{ "remap/thp", DENY, T_THP, fire_remap },
	{ "replace/small", LOSE, T_SMALL, fire_replace },
	{ "move/small", DENY, T_SMALL, fire_move },
	{ "punch/file", LOSE, T_SHMEM, fire_punch },
	{ "truncate/file", DENY, T_SHMEM, fire_truncate },
};

static void explicit_region(void)
{
	run(t_this->arg, false);
}

static void implicit_region(void)
{
	run(t_this->arg, true);
}

int main(int argc, char **argv)
{
	static struct t_test tests[2 * T_ARRAY_SIZE(events)];
	unsigned int mode;
	char *name;
	size_t i;

	for (i = 0; i < T_ARRAY_SIZE(events); i++) {
		for (mode = 0; mode < 2; mode++) {
			struct t_test *test = &tests[2 * i + mode];

			if (asprintf(&name, "%s/%s", events[i].name,
				     mode ? "implicit" : "explicit") < 0)
				return T_EXIT_FAIL;
			test->name = name;
			test->fn = mode ? implicit_region : explicit_region;
			test->seconds = 120;
			test->arg = &events[i];
		}
	}
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
