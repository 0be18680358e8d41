// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What happens to memory while the device is at it
 *
 * A thread has the device copy all the time, so that there is a DMA under way
 * at most times, to the one side or from the other. Meanwhile the pages are
 * taken away. Where they come back as they were the bytes have to be right;
 * where they do not, there are old ones or new ones, and an IOMMU that says
 * nothing.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edu_scene.h"
#include "edu_tests.h"

#define RW (PROT_READ | PROT_WRITE)

/**
 * struct copier - who has the device copy
 * @s: what
 * @thread: it
 * @lossy: the memory may come back empty, or not be there
 * @end: be done
 * @rounds: copies that were right
 * @failed: what was wrong, or NULL
 */
struct copier {
	struct edu_scene *s;
	pthread_t thread;
	bool lossy;
	bool end;
	unsigned int rounds;
	const char *failed;
};

static const char *copier_look(struct copier *c, int ret, uint64_t seed)
{
	const struct edu_scene *s = c->s;

	if (c->lossy) {
		/* No memory; no region; one that goes while it faults */
		if (!ret || ret == EFAULT || ret == ENOENT || ret == ESRCH)
			return NULL;
		return t_errname(ret);
	}
	if (ret)
		return t_errname(ret);
	if (t_check_data(s->dst, EDU_PIECE, seed, 0) >= 0)
		return "wrong bytes";
	return NULL;
}

/* The source is filled anew each time, so each is by the device's own right */
static void *copier_run(void *arg)
{
	struct copier *c = arg;
	const struct edu_scene *s = c->s;
	uint64_t seed = 1;

	while (!__atomic_load_n(&c->end, __ATOMIC_ACQUIRE) && !c->failed) {
		if (!c->lossy)
			t_fill_data(s->src, EDU_PIECE, ++seed, 0);
		c->failed = copier_look(c, edu_try_copy(s, s->dst, s->src,
							EDU_PIECE), seed);
		__atomic_add_fetch(&c->rounds, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void copier_start(struct copier *c, struct edu_scene *s, bool lossy)
{
	memset(c, 0, sizeof(*c));
	c->s = s;
	c->lossy = lossy;
	T_OK(pthread_create(&c->thread, NULL, copier_run, c));
}

static unsigned int copier_rounds(struct copier *c)
{
	return __atomic_load_n(&c->rounds, __ATOMIC_ACQUIRE);
}

static void copier_end(struct copier *c)
{
	__atomic_store_n(&c->end, true, __ATOMIC_RELEASE);
	T_OK(pthread_join(c->thread, NULL));
	T_ASSERT(!c->failed, "%s, after %u rounds", c->failed, c->rounds);
}

/*
 * Do something to the memory again and again, until so many copies were made.
 * Return how many times somebody waited for a DMA.
 */
static unsigned long disturb(struct edu_scene *s, bool lossy,
			     unsigned int rounds,
			     void (*what)(struct edu_scene *s, unsigned int i))
{
	uint64_t before = edu_stats(s->fd, s->dst_id).waits, waits;
	struct copier c;
	unsigned int i;

	copier_start(&c, s, lossy);
	for (i = 0; copier_rounds(&c) < rounds && !c.failed; i++) {
		what(s, i);
		t_sleep_ms(i % 8 * 10);
	}
	copier_end(&c);
	waits = edu_stats(s->fd, s->dst_id).waits - before;
	t_note("%u copies, %u times, %llu waited", c.rounds, i,
	       (unsigned long long)waits);
	return waits;
}

static void replace(char *addr, size_t len)
{
	T_ASSERT(mmap(addr, len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		      -1, 0) == addr, "mmap: %s", t_errname(errno));
}

static void do_unmap(struct edu_scene *s, unsigned int i)
{
	switch (i % 4) {
	case 0:
		madvise(s->dst, s->len, MADV_DONTNEED);
		break;
	case 1:
		replace(s->dst, s->len);
		break;
	case 2:
		madvise(s->src, s->len, MADV_DONTNEED);
		break;
	case 3:
		t_unmap(s->src, s->len);
		t_sleep_ms(30);
		replace(s->src, s->len);
		break;
	}
}

void test_inflight_unmap(void)
{
	struct edu_scene s;

	edu_scene_open(&s, T_PAGE, T_SMALL, EDU_EXPLICIT);
	T_ASSERT(disturb(&s, true, 25, do_unmap), "nobody waited");
	/* And nothing is stuck */
	replace(s.src, s.len);
	replace(s.dst, s.len);
	t_fill(s.src, EDU_PIECE, 77);
	edu_copy(&s, s.dst, s.src, EDU_PIECE);
	t_want_data(s.dst, EDU_PIECE, 77);
}

static void do_move(struct edu_scene *s, unsigned int i)
{
	edu_move(i & 1 ? s->src : s->dst, s->len);
}

void test_inflight_move(void)
{
	struct edu_scene s;

	edu_scene_open(&s, T_PAGE, T_SMALL, EDU_IMPLICIT);
	t_fill(s.src, s.len, 1);
	t_fill(s.dst, s.len, 1);
	T_ASSERT(disturb(&s, false, 25, do_move), "nobody waited");
}

static void do_swap(struct edu_scene *s, unsigned int i)
{
	madvise(i & 1 ? s->src : s->dst, s->len, MADV_PAGEOUT);
}

void test_inflight_swap(void)
{
	struct edu_scene s;

	edu_swap_on();
	edu_scene_open(&s, T_PAGE, T_SMALL, EDU_IMPLICIT);
	T_ASSERT(disturb(&s, false, 25, do_swap), "nobody waited");
	t_swap_off();
}

/* The child looks on: what it sees does not change */
static void do_fork(struct edu_scene *s, unsigned int i)
{
	pid_t pid = t_fork();

	if (!pid) {
		char seen[EDU_PIECE];

		memcpy(seen, s->dst, EDU_PIECE);
		t_sleep_ms(250);
		_exit(memcmp(seen, s->dst, EDU_PIECE) != 0);
	}
	t_reap(pid);
}

void test_inflight_fork(void)
{
	struct edu_scene s;

	edu_scene_open(&s, T_PAGE, T_SMALL, EDU_EXPLICIT);
	disturb(&s, false, 25, do_fork);
}

static void do_protect(struct edu_scene *s, unsigned int i)
{
	if (i & 1) {
		t_write_file("/proc/self/clear_refs", "4");
		return;
	}
	mprotect(s->dst, s->len, PROT_READ);
	mprotect(s->dst, s->len, RW);
}

void test_inflight_protect(void)
{
	struct edu_scene s;

	edu_scene_open(&s, T_PAGE, T_SMALL, EDU_IMPLICIT);
	/* A write that meets the moment is refused */
	disturb(&s, true, 25, do_protect);
	t_fill(s.src, EDU_PIECE, 77);
	edu_copy(&s, s.dst, s.src, EDU_PIECE);
	t_want_data(s.dst, EDU_PIECE, 77);
}

static void do_destroy(struct edu_scene *s, unsigned int i)
{
	uint32_t *id = i & 1 ? &s->src_id : &s->dst_id;
	uint32_t fresh = edu_region(s->fd, i & 1 ? s->src : s->dst, s->len,
				    i & 1 ? 0 : ODP_EDU_WRITABLE);
	uint32_t old = __atomic_exchange_n(id, fresh, __ATOMIC_ACQ_REL);

	T_OK(edu_try_destroy(s->fd, old));
}

/* A region goes, another comes, over the same memory */
void test_inflight_destroy(void)
{
	struct edu_scene s;

	edu_scene_open(&s, T_PAGE, T_SMALL, EDU_EXPLICIT);
	disturb(&s, true, 25, do_destroy);
	t_fill(s.src, EDU_PIECE, 77);
	edu_copy(&s, s.dst, s.src, EDU_PIECE);
	t_want_data(s.dst, EDU_PIECE, 77);
}

/* A process is killed at some moment of a copy; what it had is used again */
void test_inflight_exit(void)
{
	struct edu_scene s;
	unsigned int i;
	pid_t pid;
	int status;

	for (i = 0; i < 8; i++) {
		pid = fork();
		T_ASSERT(pid >= 0, "fork: %s", t_errname(errno));
		if (!pid) {
			edu_scene_open(&s, T_PAGE, T_SMALL, EDU_IMPLICIT);
			t_fill(s.src, s.len, 1);
			for (;;)
				edu_try_copy(&s, s.dst, s.src, EDU_PIECE);
		}
		t_sleep_ms(300 + i * 37);
		kill(pid, SIGKILL);
		T_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	}
}

/* Everything after which the bytes are as they were, in no order */
static void do_all(struct edu_scene *s, unsigned int i)
{
	static struct t_rand r = { 42 };
	char *addr = t_rand(&r) & 1 ? s->src : s->dst;

	switch (t_rand_below(&r, 7)) {
	case 0:
	case 1:
		edu_move(addr, s->len);
		break;
	case 2:
	case 3:
		madvise(addr, s->len, MADV_PAGEOUT);
		break;
	case 4:
		t_write_file("/proc/self/clear_refs", "4");
		break;
	case 5:
		do_fork(s, i);
		break;
	case 6:
		t_write_file("/proc/sys/vm/drop_caches", "2");
		break;
	}
}

void test_inflight_all(void)
{
	struct edu_scene s;

	t_swap_on(T_SWAP_SIZE);
	edu_scene_open(&s, T_PAGE, T_SMALL, EDU_IMPLICIT);
	T_ASSERT(disturb(&s, false, t_full ? 300 : 60, do_all),
		 "nobody waited");
	t_swap_off();
}
