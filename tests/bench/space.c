// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What regions over the same memory cost, and memory that is used here and
 * there: both ends are in this process.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

/* Two connected queue pairs, and something to send */
struct pair {
	struct end end;
	struct end responder;
	struct area source;
	struct ibv_mr *mr;
};

static void pair_open(struct pair *p, uint64_t len)
{
	end_open(&p->end);
	end_share(&p->responder, &p->end);
	end_connect_pair(&p->end, &p->responder);
	area_map(&p->source, len, false, SHIFT_SOURCE);
	area_touch(&p->source);
	p->mr = mr_register(p->end.pd, p->source.addr, len, MR_PINNED);
}

/* One WRITE; returns the time that it took */
static uint64_t write_one(struct pair *p, const struct ibv_mr *mr,
			  const uint8_t *to, uint64_t size)
{
	struct stream stream = {
		.source = p->source.addr,
		.source_len = size,
		.lkey = p->mr->lkey,
		.target = (uintptr_t)to,
		.target_len = size,
		.rkey = mr->rkey,
		.size = size,
		.count = 1,
	};
	uint64_t begin = now_ns();

	end_write(&p->end, &stream);
	return now_ns() - begin;
}

static uint64_t use_once(struct pair *p, const struct area *area, uint64_t len,
			 enum mr_kind kind, bool use, uint64_t size)
{
	uint64_t begin = now_ns();
	struct ibv_mr *mr;

	mr = mr_register(p->end.pd, area->addr, len, kind);
	if (use)
		write_one(p, mr, area->addr, size);
	mr_release(mr);
	return now_ns() - begin;
}

static void reg_use_size(struct pair *p, const struct area *area, uint64_t len)
{
	struct series used = { "used_ns" }, unused = { "unused_ns" };
	struct series written = { "write_ns" }, pinned = { "pinned_ns" };
	uint64_t size = opt_u64("size", 64 * KIB);
	unsigned int i, reps = opt_u64("reps", 31);
	struct ibv_mr *mr;

	if (size > len)
		size = len;
	mr = mr_register(p->end.pd, area->addr, len, MR_ODP);
	write_one(p, mr, area->addr, size);
	for (i = 0; i < reps; i++) {
		series_add(&written, write_one(p, mr, area->addr, size));
		series_add(&unused,
			   use_once(p, area, len, MR_ODP, false, size));
		series_add(&used, use_once(p, area, len, MR_ODP, true, size));
		series_add(&pinned,
			   use_once(p, area, len, MR_PINNED, true, size));
	}
	mr_release(mr);
	printf("{\"len\": %llu, ", (unsigned long long)len);
	print_series(&used, false);
	print_series(&unused, false);
	print_series(&written, false);
	print_series(&pinned, true);
}

/* reg_use dev= gid= sizes= size= reps= thp=: memory that is warm */
int cmd_reg_use(void)
{
	uint64_t sizes[16];
	struct area area;
	struct pair p;
	int i, nr;

	nr = opt_sizes("sizes", "16K,64K,256K,1M", sizes, ARRAY_SIZE(sizes));
	pair_open(&p, MIB);
	area_map(&area, 4 * MIB, opt_u64("thp", 0), SHIFT_TARGET);
	area_touch(&area);
	for (i = 0; i < nr; i++)
		reg_use_size(&p, &area, sizes[i]);
	return 0;
}

/* second_mr dev= gid= size= reps=: the first WRITE by a second region */
int cmd_second_mr(void)
{
	struct series first = { "first_ns" }, warm = { "warm_ns" };
	struct series faults = { "faults" };
	uint64_t size = opt_u64("size", 64 * KIB);
	unsigned int i, reps = opt_u64("reps", 31);
	struct ibv_mr *mr, *second;
	struct area area;
	uint64_t before;
	struct pair p;

	pair_open(&p, size);
	area_map(&area, 4 * MIB, false, SHIFT_TARGET);
	area_touch(&area);
	mr = mr_register(p.end.pd, area.addr, area.len, MR_ODP);
	write_one(&p, mr, area.addr, size);
	for (i = 0; i < reps; i++) {
		series_add(&warm, write_one(&p, mr, area.addr, size));
		second = mr_register(p.end.pd, area.addr, area.len, MR_ODP);
		before = device_faults();
		series_add(&first, write_one(&p, second, area.addr, size));
		series_add(&faults, device_faults() - before);
		mr_release(second);
	}
	printf("{");
	print_series(&first, false);
	print_series(&warm, false);
	print_series(&faults, true);
	return 0;
}

/* munmap and mmap of one page, with @mr on it, which is warm */
static uint64_t exchange_page(struct pair *p, const struct ibv_mr *mr,
			      uint8_t *page)
{
	uint64_t begin, ns;

	write_one(p, mr, page, 8);
	begin = now_ns();
	munmap(page, SMALL_PAGE);
	if (mmap(page, SMALL_PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page)
		die("mmap: %s", strerror(errno));
	ns = now_ns() - begin;
	*(volatile uint8_t *)page = 1;
	return ns;
}

/*
 * many_mrs dev= gid= count= reps=: stops before and after the regions are made
 * and used, and after those times are taken.
 */
int cmd_many_mrs(void)
{
	struct series one = { "one_ns" }, many = { "many_ns" };
	unsigned int i, reps = opt_u64("reps", 101);
	unsigned int count = opt_u64("count", 10000);
	struct ibv_mr **mrs = calloc(count, sizeof(*mrs)), *all;
	struct area area;
	struct pair p;

	if (!mrs)
		die("no memory");
	pair_open(&p, SMALL_PAGE);
	area_map(&area, count * SMALL_PAGE, false, SHIFT_TARGET);
	area_touch(&area);
	all = mr_register(p.end.pd, area.addr, area.len, MR_ODP);
	for (i = 0; i < reps; i++)
		series_add(&one, exchange_page(&p, all, area.addr +
					       i * 97 % count * SMALL_PAGE));
	mr_release(all);
	pause_for("before");
	for (i = 0; i < count; i++)
		mrs[i] = mr_register(p.end.pd, area.addr + i * SMALL_PAGE,
				     SMALL_PAGE, MR_ODP);
	for (i = 0; i < count; i++)
		write_one(&p, mrs[i], area.addr + i * SMALL_PAGE, 8);
	pause_for("made");
	for (i = 0; i < reps; i++)
		series_add(&many,
			   exchange_page(&p, mrs[i * 97 % count], area.addr +
					 i * 97 % count * SMALL_PAGE));
	printf("{\"at\": \"timed\", ");
	print_series(&one, false);
	print_series(&many, true);
	pause_line();
	return 0;
}

/* sparse dev= gid= len=: one page in each 2 MiB is written */
int cmd_sparse(void)
{
	uint64_t at, len = opt_u64("len", 64 * GIB);
	struct area area;
	struct ibv_mr *mr;
	struct pair p;

	pair_open(&p, SMALL_PAGE);
	area_map(&area, len, false, SHIFT_TARGET);
	for (at = 0; at < len; at += LEAF)
		area.addr[at + at / LEAF % 512 * SMALL_PAGE] = 1;
	mr = mr_register(p.end.pd, area.addr, len, MR_ODP);
	pause_for("before");
	for (at = 0; at < len; at += LEAF)
		write_one(&p, mr, area.addr + at + at / LEAF % 512 * SMALL_PAGE,
			  8);
	pause_for("touched");
	mr_release(mr);
	return 0;
}

/* --- beside memory that comes and goes --- */

struct churn {
	uint8_t *addr;
	uint64_t len;
	bool stop;
	unsigned int rounds;
};

/* Unmaps and touches, again and again */
static void *churn_run(void *arg)
{
	struct churn *c = arg;
	uint64_t at;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		if (mmap(c->addr, c->len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) != c->addr)
			die("mmap: %s", strerror(errno));
		for (at = 0; at < c->len; at += SMALL_PAGE)
			*(volatile uint8_t *)(c->addr + at) = 1;
		__atomic_add_fetch(&c->rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static pthread_t churn_start(struct churn *c)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, churn_run, c))
		die("no thread");
	return thread;
}

static void churn_end(struct churn *c, pthread_t thread)
{
	__atomic_store_n(&c->stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

static void cold_writes(struct pair *p, const struct ibv_mr *mr,
			uint8_t *pages, unsigned int reps,
			struct series *series)
{
	unsigned int i;

	for (i = 0; i < reps; i++) {
		series_add(series, write_one(p, mr, pages + i * SMALL_PAGE,
					     SMALL_PAGE));
		/* Meets the other thread at any point of its round */
		usleep(opt_u64("gap", 10000));
	}
}

/* beside dev= gid= len= reps= gap=: cold WRITEs in the same GiB, quiet and not */
int cmd_beside(void)
{
	struct series quiet = { "quiet_ns" }, beside = { "beside_ns" };
	unsigned int reps = opt_u64("reps", 200);
	struct churn churn = { .len = opt_u64("len", 256 * MIB) };
	struct area area;
	pthread_t thread;
	struct ibv_mr *mr;
	struct pair p;

	pair_open(&p, SMALL_PAGE);
	area_map(&area, churn.len + 2 * LEAF, false, SHIFT_TARGET);
	mr = mr_register(p.end.pd, area.addr, area.len, MR_ODP);
	churn.addr = area.addr + 2 * LEAF;
	cold_writes(&p, mr, area.addr, reps, &quiet);
	thread = churn_start(&churn);
	cold_writes(&p, mr, area.addr + LEAF, reps, &beside);
	churn_end(&churn, thread);
	printf("{\"rounds\": %u, ", churn.rounds);
	print_series(&quiet, false);
	print_series(&beside, true);
	return 0;
}

/* dereg dev= gid= len= step= reps=: of an implicit region, much of it used */
int cmd_dereg(void)
{
	struct series series = { "dereg_ns" };
	uint64_t at, len = opt_u64("len", 256 * GIB);
	uint64_t begin, step = opt_u64("step", 64 * MIB);
	unsigned int i, reps = opt_u64("reps", 5);
	struct churn churn = { .len = 64 * MIB };
	struct area area;
	pthread_t thread;
	struct ibv_mr *mr;
	struct pair p;

	pair_open(&p, SMALL_PAGE);
	area_map(&area, len + churn.len, false, SHIFT_TARGET);
	churn.addr = area.addr + len;
	thread = churn_start(&churn);
	for (i = 0; i < reps; i++) {
		mr = mr_register(p.end.pd, NULL, 0, MR_IMPLICIT);
		for (at = 0; at < len; at += step)
			write_one(&p, mr, area.addr + at, 8);
		begin = now_ns();
		mr_release(mr);
		series_add(&series, now_ns() - begin);
	}
	churn_end(&churn, thread);
	printf("{");
	print_series(&series, true);
	return 0;
}
