// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bench.c - what things cost, as TAP comments
 *
 * With QEMU's -icount shift=0 a nanosecond is an instruction.
 */

#include <linux/ktime.h>

#include "selftest.h"

#define RW	(PROT_READ | PROT_WRITE)
#define PAGES	(SZ_64M >> PAGE_SHIFT)

/* Small pages whatever THP is set to: one mapping per 1 MiB, not mergeable */
static unsigned long bench_map(bool huge)
{
	unsigned long va, at;

	if (huge)
		return st_map_aligned(SZ_64M, ODP_LEAF_SIZE);
	va = st_map_aligned(SZ_64M, ODP_LEAF_SIZE);
	if (IS_ERR_VALUE(va))
		return va;
	for (at = 0; at < SZ_64M; at += SZ_2M)
		if (st_map_at(va + at + SZ_1M, SZ_1M, RW | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
			      MAP_NORESERVE) != va + at + SZ_1M)
			return -ENOMEM;
	return va;
}

static u64 bench_cpu_touch(unsigned long va)
{
	u64 began = ktime_get_ns();
	unsigned long at;

	for (at = 0; at < SZ_64M; at += PAGE_SIZE)
		if (put_user(1, (u8 __user *)(va + at)))
			return 0;
	return ktime_get_ns() - began;
}

static u64 bench_unmap(unsigned long va)
{
	u64 began = ktime_get_ns();

	st_unmap(va, SZ_64M);
	return ktime_get_ns() - began;
}

static u64 bench_prefetch(struct odp_region *region, unsigned long va)
{
	u64 began = ktime_get_ns();

	if (odp_region_prefetch(region, va, SZ_64M,
				ODP_ADVICE_PREFETCH_WRITE, true))
		return 0;
	return ktime_get_ns() - began;
}

static u64 bench_copy(struct odp_region *region, unsigned long to,
		      unsigned long from, u64 len, unsigned int rounds)
{
	u64 began, done, spent;
	struct odp_miss miss;
	unsigned int i;

	if (st_copy(region, to, region, from, len))
		return 0;
	began = ktime_get_ns();
	for (i = 0; i < rounds; i++)
		if (odp_copy(region, to, region, from, len, &done, &miss))
			return 0;
	spent = ktime_get_ns() - began;
	return div_u64(spent, rounds);
}

static u64 bench_cold(struct odp_region *region, unsigned long va,
		      const void *buffer)
{
	u64 began = ktime_get_ns();
	unsigned long at;

	for (at = 0; at < SZ_64M; at += SZ_64K)
		if (st_copy_in(region, va + at, buffer, SZ_64K))
			return 0;
	return ktime_get_ns() - began;
}

static int bench_size(bool huge)
{
	const char *name = huge ? "THP" : "4K";
	void *buffer = kvzalloc(SZ_64K, GFP_KERNEL);
	struct odp_region *region = st_implicit();
	u64 touch, unmap, prefetch, zap, cold;
	unsigned long va;
	int ret = -ENOMEM;

	va = bench_map(huge);
	touch = bench_cpu_touch(va);
	unmap = bench_unmap(va);
	va = bench_map(huge);
	prefetch = bench_prefetch(region, va);
	pr_info("# %s: copy 8 B %llu, 4 KiB %llu, 64 KiB %llu, odd %llu ns\n",
		name, bench_copy(region, va + SZ_32M + 8, va + 64, 8, 1000),
		bench_copy(region, va + SZ_32M, va + SZ_1M, SZ_4K, 500),
		bench_copy(region, va + SZ_32M, va + SZ_1M, SZ_64K, 100),
		bench_copy(region, va + SZ_32M + 9, va + SZ_1M, SZ_64K, 100));
	zap = bench_unmap(va);
	va = bench_map(huge);
	if (buffer)
		cold = bench_cold(region, va, buffer);
	pr_info("# %s: page: touch %llu, prefetch %llu, cold write %llu ns\n",
		name, div_u64(touch, PAGES), div_u64(prefetch, PAGES),
		div_u64(cold, PAGES));
	pr_info("# %s: 64 MiB unmap %llu, registered %llu ns\n", name, unmap,
		zap);
	pr_info("# %s: faults %llu, huge %llu\n", name,
		st_stat(region, faults), st_stat(region, fault_huge));
	if (touch && prefetch && cold)
		ret = 0;
	odp_region_destroy(region);
	st_unmap(va, SZ_64M);
	kvfree(buffer);
	return ret;
}

static int bench_small_pages(void)
{
	return bench_size(false);
}

static int bench_huge_pages(void)
{
	return bench_size(true);
}

const struct st_case st_bench_cases[] = {
	{ "cost: small pages", bench_small_pages },
	{ "cost: huge pages", bench_huge_pages },
	{ }
};
