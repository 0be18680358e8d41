// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Who posts does not wait: not beside memory that is being unmapped, not for
 * swap, and not for the reclaim of another process.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/t_owner.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *ns, unsigned int nr)
{
	qsort(ns, nr, sizeof(*ns), compare);
	return ns[nr / 2];
}

/* --- beside an munmap() --- */

#define UNMAP_LEN (64 * T_GIB)
#define UNMAP_ROUNDS 4U
/* In the GiB and the leaf in which the memory begins that is unmapped */
#define BESIDE_LEN (T_GIB / 2 + T_HUGE / 2)
/* The last ones of it, in an order that is no stream */
#define BESIDE_PAGES 8192U
#define BESIDE_STRIDE 3001U
#define BESIDE_MAX 4096U
#define BESIDE_LEAST 64U
/* Percent of the unmapping that one of them lasts in each round: it waits */
#define BESIDE_SHARE 15U

struct unmapper {
	char *mem;
	uint64_t begin;
	uint64_t end;
};

static void *unmapper_run(void *arg)
{
	struct unmapper *u = arg;

	__atomic_store_n(&u->begin, t_now_ns(), __ATOMIC_SEQ_CST);
	t_unmap(u->mem, UNMAP_LEN);
	__atomic_store_n(&u->end, t_now_ns(), __ATOMIC_SEQ_CST);
	return NULL;
}

struct beside {
	struct t_duo d;
	char *mem;
	struct ibv_mr *mr;
	unsigned int next; /* one that nobody has touched */
	unsigned int nr;
	uint64_t ns[BESIDE_MAX];
	unsigned int quiet_nr;
	uint64_t quiet_ns[BESIDE_MAX];
	unsigned int share; /* percent: of the longest one, in the best round */
};

/* A page in each 2 MiB, and so a page table; the device has some of them */
static void unmap_fill(struct beside *b, char *mem)
{
	size_t at;

	for (at = 0; at < UNMAP_LEN; at += T_HUGE)
		mem[at] = 1;
	for (at = 0; at < UNMAP_LEN; at += T_GIB) {
		t_post(&b->d.a, IBV_WR_RDMA_WRITE, at,
		       t_duo_sge(&b->d, 0, T_PAGE), (uintptr_t)mem + at,
		       b->mr->rkey);
		t_want_wc(b->d.a.scq, at, IBV_WC_SUCCESS);
	}
}

static uint64_t write_beside(struct beside *b)
{
	size_t page = b->next++ * BESIDE_STRIDE % BESIDE_PAGES;
	char *first = b->mem + BESIDE_LEN - BESIDE_PAGES * T_PAGE;
	uint64_t begin = t_now_ns();

	T_ASSERT(b->next <= BESIDE_PAGES, "out of pages");
	t_post(&b->d.a, IBV_WR_RDMA_WRITE, page, t_duo_sge(&b->d, 0, 8),
	       (uintptr_t)first + page * T_PAGE, b->mr->rkey);
	t_want_wc(b->d.a.scq, page, IBV_WC_SUCCESS);
	return t_now_ns() - begin;
}

static void beside_round(struct beside *b)
{
	char *mem = b->mem + BESIDE_LEN;
	struct unmapper u = { .mem = mem };
	unsigned int i, each = BESIDE_MAX / UNMAP_ROUNDS;
	uint64_t ns, worst = 0;
	pthread_t thread;

	t_map_pages(mem, UNMAP_LEN, T_SMALL);
	unmap_fill(b, mem);
	for (i = 0; i < each / 4; i++)
		b->quiet_ns[b->quiet_nr++] = write_beside(b);
	T_ASSERT(!pthread_create(&thread, NULL, unmapper_run, &u), "thread");
	while (!__atomic_load_n(&u.begin, __ATOMIC_SEQ_CST))
		;
	for (i = 0; i < each && !__atomic_load_n(&u.end, __ATOMIC_SEQ_CST);
	     i++) {
		ns = write_beside(b);
		if (ns > worst)
			worst = ns;
		b->ns[b->nr++] = ns;
	}
	pthread_join(thread, NULL);
	i = worst * 100 / (u.end - u.begin);
	if (i < b->share)
		b->share = i;
}

/*
 * Pages in the GiB, and in the leaf, where the unmapping of 64 GiB begins take
 * as long as ever.
 */
static void beside_munmap(void)
{
	struct beside *b = calloc(1, sizeof(*b));
	uint64_t quiet, beside;
	unsigned int i;

	T_ASSERT(b, "no memory");
	t_duo_open(&b->d, T_PAGE, T_PINNED, NULL);
	t_need_odp(&b->d.dev);
	b->mem = t_map_aligned(BESIDE_LEN + UNMAP_LEN, T_GIB);
	t_map_pages(b->mem, BESIDE_LEN, T_SMALL);
	b->mr = t_reg_kind(&b->d.dev, T_EXPLICIT, b->mem,
			   BESIDE_LEN + UNMAP_LEN, T_ACCESS_ALL);
	b->share = 100;
	for (i = 0; i < UNMAP_ROUNDS; i++)
		beside_round(b);
	T_ASSERT(b->nr >= BESIDE_LEAST, "only %u faults while it goes on",
		 b->nr);
	T_ASSERT(b->share < BESIDE_SHARE,
		 "one fault takes %u %% of munmap(), each time", b->share);
	quiet = median(b->quiet_ns, b->quiet_nr);
	beside = median(b->ns, b->nr);
	T_ASSERT(beside < 2 * quiet, "%llu us beside munmap(), %llu us else",
		 (unsigned long long)beside / 1000,
		 (unsigned long long)quiet / 1000);
	t_note("%u faults beside munmap(), %llu us, %llu us else, %u %% of it",
	       b->nr, (unsigned long long)beside / 1000,
	       (unsigned long long)quiet / 1000, b->share);
}

/* --- tmpfs that is swapped out --- */

#define TMPFS_PAGES 256U

/* Each page that has to be read is a worker's to wait for */
static void tmpfs_swapped(void)
{
	const size_t len = TMPFS_PAGES * T_PAGE;
	unsigned int i, out;
	uint64_t before, handed;
	struct ibv_mr *mr;
	struct t_duo d;
	char *mem;

	t_swap_on(T_SWAP_SIZE);
	/* One page at a time, and no more */
	T_OK(t_write_file("/proc/sys/vm/page-cluster", "0"));
	t_duo_open(&d, T_PAGE, T_PINNED, NULL);
	t_need_odp(&d.dev);
	mem = t_map_aligned(len, T_HUGE);
	t_map_pages(mem, len, T_SHMEM);
	t_fill(mem, len, 5);
	mr = t_reg_kind(&d.dev, T_EXPLICIT, mem, len, T_ACCESS_ALL);
	t_page_out(mem, len);
	before = t_counter(&d.dev, "page_faults_handed_over");
	for (i = out = 0; i < TMPFS_PAGES; i++) {
		bool gone = !t_resident(mem + i * T_PAGE, T_PAGE);

		out += gone;
		t_post(&d.a, IBV_WR_RDMA_READ, i, t_duo_sge(&d, 0, T_PAGE),
		       (uintptr_t)mem + i * T_PAGE, mr->rkey);
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
		T_ASSERT(t_check_data(d.abuf, T_PAGE, 5, i * T_PAGE) < 0,
			 "page %u has other bytes", i);
	}
	handed = t_counter(&d.dev, "page_faults_handed_over") - before;
	T_OK(t_write_file("/proc/sys/vm/page-cluster", "3"));
	t_swap_off();
	T_ASSERT(out >= TMPFS_PAGES / 2, "%u pages were swapped out", out);
	T_ASSERT(handed >= out, "%u pages out, %llu faults left to workers",
		 out, (unsigned long long)handed);
	t_note("%u of %u pages were read by workers", out, TMPFS_PAGES);
}

/* --- the memory cgroup of another process --- */

#define FULL_SIZE (16UL << 20)
#define FULL_MEMORY (3 * FULL_SIZE)
#define FULL_PAGES (FULL_MEMORY / T_PAGE)

static void *full_make(const void *arg)
{
	char *mem = t_map(FULL_MEMORY);
	char folder[T_CGROUP_PATH];

	if (*(const unsigned long *)arg) {
		t_cgroup_enter(folder, "memory");
		t_cgroup_set(folder, "memory.max",
			     *(const unsigned long *)arg);
	}
	return mem;
}

static uint64_t own_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/*
 * CPU time that posting a WRITE to a new page takes who posts, on the average:
 * who reclaims does so for many pages at a time
 */
static uint64_t post_time(struct t_duo *d, unsigned long max)
{
	static const struct t_owner_ops ops = {
		.make = full_make,
		.len = FULL_MEMORY,
	};
	uint64_t ns = 0;
	struct t_owner o;
	unsigned int i;

	t_owner_start(&o, d, &ops, &max);
	for (i = 0; i < FULL_PAGES; i++) {
		ns -= own_time();
		t_post(&d->a, IBV_WR_RDMA_WRITE, i, t_duo_sge(d, 0, 8),
		       o.mem + i * T_PAGE, o.rkey);
		ns += own_time();
		t_want_wc(d->a.scq, i, IBV_WC_SUCCESS);
	}
	t_owner_end(&o, NULL);
	return ns / FULL_PAGES;
}

/* Each page that a full process is given takes another from it: not by us */
static void reclaim_of_others(void)
{
	uint64_t room, full;
	struct t_duo d;

	t_swap_on(2 * FULL_MEMORY);
	t_duo_open(&d, T_PAGE, T_PINNED, NULL);
	t_need_odp(&d.dev);
	room = post_time(&d, 0);
	full = post_time(&d, FULL_SIZE);
	t_swap_off();
	T_ASSERT(full < 2 * room, "%llu us for a full process, %llu else",
		 (unsigned long long)full / 1000,
		 (unsigned long long)room / 1000);
	t_note("%llu us for a full process, %llu else",
	       (unsigned long long)full / 1000,
	       (unsigned long long)room / 1000);
}

static const struct t_test tests[] = {
	{ "beside_munmap", beside_munmap, 120 },
	{ "tmpfs_swapped", tmpfs_swapped },
	{ "reclaim_of_others", reclaim_of_others, 120 },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
