// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * entry.c - what entries a fault makes
 */

#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/ktime.h>

#include "selftest.h"

#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)

/* Read memory nobody wrote, then write it: zero page, then a page of its own */
static int zero_then_write(struct odp_region *region, unsigned long va)
{
	u64 word = 1, magic = 0x1122334455667788ULL;
	int ret;

	ret = st_copy_out(&word, region, va + 40, sizeof(word));
	ST_CHECK(!ret && word == 0, -EBADMSG);
	ST_CHECK(st_mapped(region, va, false), -EBADMSG);
	ST_CHECK(!st_mapped(region, va, true), -EBADMSG);
	ret = st_copy_in(region, va + 40, &magic, sizeof(magic));
	ST_CHECK(!ret, ret);
	ST_CHECK(st_mapped(region, va, true), -EBADMSG);
	ST_CHECK(!get_user(word, (u64 __user *)(va + 40)), -EFAULT);
	ST_CHECK(word == magic, -EBADMSG);
	/* The CPU writes, the device reads what it wrote */
	ST_CHECK(!put_user(magic + 1, (u64 __user *)(va + 40)), -EFAULT);
	ret = st_copy_out(&word, region, va + 40, sizeof(word));
	ST_CHECK(!ret && word == magic + 1, -EBADMSG);
	return 0;
}

/* And with the CPU first to write: the device must not keep the zero page */
static int zero_then_cpu_write(struct odp_region *region, unsigned long va)
{
	u64 word = 1;
	int ret;

	ret = st_copy_out(&word, region, va, sizeof(word));
	ST_CHECK(!ret && word == 0, -EBADMSG);
	ST_CHECK(!put_user(0x77ULL, (u64 __user *)va), -EFAULT);
	ret = st_copy_out(&word, region, va, sizeof(word));
	ST_CHECK(!ret && word == 0x77, -EBADMSG);
	return 0;
}

static int test_read_then_write(void)
{
	unsigned long va = st_map(SZ_64K, RW, ANON);
	struct odp_region *region;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, SZ_64K);
	ret = zero_then_write(region, va);
	if (!ret)
		ret = zero_then_cpu_write(region, va + PAGE_SIZE);
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

static int huge_check(struct odp_region *region, unsigned long va)
{
	unsigned long hole = va + SZ_512K;
	int ret;

	ret = odp_region_fault(region, va + 5, 10, ODP_FAULT_WRITE);
	ST_CHECK(!ret, ret);
	if (!st_stat(region, fault_huge))
		return ST_SKIP;
	ST_CHECK(st_stat(region, mapped_pages) == 512, -EBADMSG);
	ST_CHECK(st_stat(region, fault_pages) == 512, -EBADMSG);
	ST_CHECK(st_mapped(region, va + ODP_LEAF_SIZE - 1, true), -EBADMSG);
	ret = st_fill(va, ODP_LEAF_SIZE, 1);
	ST_CHECK(!ret, ret);
	/* A hole in the middle splits the entry, or drops all of it */
	ST_CHECK(st_map_at(hole, SZ_64K, RW, ANON | MAP_FIXED) == hole,
		 -ENOMEM);
	ST_CHECK(!st_mapped(region, hole, false), -EBADMSG);
	ST_CHECK(!st_mapped(region, hole + SZ_64K - 1, false), -EBADMSG);
	ret = st_copy(region, va + ODP_LEAF_SIZE, region, va, SZ_1M);
	ST_CHECK(!ret, ret);
	ret = st_compare(va + ODP_LEAF_SIZE, SZ_512K, 1, 0);
	ST_CHECK(!ret, ret);
	ret = st_compare(va + ODP_LEAF_SIZE + SZ_512K + SZ_64K,
			 SZ_512K - SZ_64K, 1, SZ_512K + SZ_64K);
	return ret;
}

/* A huge page, and part of it unmapped again */
static int test_huge(void)
{
	unsigned long va = st_map_aligned(2 * ODP_LEAF_SIZE, ODP_LEAF_SIZE);
	struct odp_region *region;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, 2 * ODP_LEAF_SIZE);
	ret = huge_check(region, va);
	odp_region_destroy(region);
	st_unmap(va, 2 * ODP_LEAF_SIZE);
	return ret;
}

/* A region that ends inside a huge page counts only its own part */
static int test_huge_part(void)
{
	unsigned long va = st_map_aligned(ODP_LEAF_SIZE, ODP_LEAF_SIZE);
	struct odp_region *region;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va + SZ_64K + 1, SZ_128K);
	ret = odp_region_fault(region, va + SZ_64K + 1, SZ_128K,
			       ODP_FAULT_WRITE);
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_stat(region, mapped_pages) == 33, out);
	ST_CHECK_GOTO(!st_mapped(region, va + SZ_64K, false), out);
	ST_CHECK_GOTO(!st_mapped(region, va + SZ_64K + SZ_128K + 1, false),
		      out);
	st_unmap(va, ODP_LEAF_SIZE);
	ST_CHECK_GOTO(!st_stat(region, mapped_pages), out);
	ST_CHECK_GOTO(st_stat(region, invalidated_pages) == 33, out);
out:
	odp_region_destroy(region);
	st_unmap(va, ODP_LEAF_SIZE);
	return ret;
}

static int atomics_at(struct odp_region *region, unsigned long va)
{
	struct odp_miss miss;
	u64 old, now;
	int ret;

	ret = odp_atomic(region, va, ODP_ATOMIC_STORE, va, 0, &old, &miss);
	ST_CHECK(!ret, ret);
	ret = odp_atomic(region, va, ODP_ATOMIC_CAS, 17, va + 1, &old, &miss);
	ST_CHECK(!ret && old == va, -EBADMSG);
	ret = odp_atomic(region, va, ODP_ATOMIC_CAS, 17, va, &old, &miss);
	ST_CHECK(!ret && old == va, -EBADMSG);
	ret = odp_atomic(region, va, ODP_ATOMIC_FAA, 3, 0, &old, &miss);
	ST_CHECK(!ret && old == 17, -EBADMSG);
	ST_CHECK(!get_user(now, (u64 __user *)va), -EFAULT);
	ST_CHECK(now == 20, -EBADMSG);
	return 0;
}

static int test_atomics(void)
{
	unsigned long va = st_map(2 * PAGE_SIZE, RW, ANON), at;
	struct odp_region *region;
	struct odp_miss miss;
	u64 old;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, 2 * PAGE_SIZE);
	ret = odp_atomic(region, va, ODP_ATOMIC_FAA, 1, 0, &old, &miss);
	ST_CHECK_GOTO(ret == -EAGAIN, out);
	ST_CHECK_GOTO(miss.va == va && miss.len == 8 &&
		      miss.flags == ODP_FAULT_WRITE, out);
	ret = odp_region_fault(region, va, 2 * PAGE_SIZE, ODP_FAULT_WRITE);
	for (at = 0; !ret && at < 2 * PAGE_SIZE; at += 8)
		ret = atomics_at(region, va + at);
	for (at = 1; !ret && at < 8; at++)
		if (odp_atomic(region, va + at, ODP_ATOMIC_FAA, 1, 0, &old,
			       &miss) != -EINVAL)
			ret = -EBADMSG;
	if (!ret && odp_atomic(region, va + 2 * PAGE_SIZE, ODP_ATOMIC_FAA, 1,
			       0, &old, &miss) != -EFAULT)
		ret = -EBADMSG;
out:
	odp_region_destroy(region);
	st_unmap(va, 2 * PAGE_SIZE);
	return ret;
}

static int dirty_check(struct odp_region *region, unsigned long va,
		       struct page *page)
{
	struct folio *folio = page_folio(page);
	u64 word = 7;
	int ret;

	folio_clear_dirty(folio);
	ret = st_copy_out(&word, region, va, sizeof(word));
	ST_CHECK(!ret, ret);
	ST_CHECK(!folio_test_dirty(folio), -EBADMSG);
	/* Clean, so reading did not make it writable */
	ST_CHECK(!st_mapped(region, va, true), -EBADMSG);
	ret = st_copy_in(region, va, &word, sizeof(word));
	ST_CHECK(!ret, ret);
	ST_CHECK(folio_test_dirty(folio), -EBADMSG);
	return 0;
}

/* Shared memory: pages that the device writes become dirty, others do not */
static int test_dirty(void)
{
	unsigned long va = st_map(SZ_64K, RW, MAP_SHARED | MAP_ANONYMOUS);
	struct odp_region *region;
	struct page *page;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, SZ_64K);
	ret = st_fill(va, PAGE_SIZE, 1);
	ST_CHECK_GOTO(!ret, out);
	ret = get_user_pages_fast(va, 1, FOLL_WRITE, &page);
	ST_CHECK_GOTO(ret == 1, out);
	ret = dirty_check(region, va, page);
	set_page_dirty_lock(page);
	put_page(page);
out:
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

static int counters_check(struct odp_region *region, unsigned long va)
{
	const unsigned long pages = 40;
	int ret;

	ret = odp_region_fault(region, va, 3 * PAGE_SIZE, ODP_FAULT_WRITE);
	ST_CHECK(!ret, ret);
	ST_CHECK(st_stat(region, faults) == 1, -EBADMSG);
	ST_CHECK(st_stat(region, faults_write) == 1, -EBADMSG);
	ST_CHECK(st_stat(region, fault_pages) == 3, -EBADMSG);
	ST_CHECK(st_stat(region, mapped_pages) == 3, -EBADMSG);
	ret = odp_region_fault(region, va + 100 * PAGE_SIZE, 1, 0);
	ST_CHECK(!ret, ret);
	ST_CHECK(st_stat(region, faults_read) == 1, -EBADMSG);
	ST_CHECK(st_stat(region, mapped_pages) == 4, -EBADMSG);
	ret = odp_region_prefetch(region, va + 200 * PAGE_SIZE,
				  pages * PAGE_SIZE,
				  ODP_ADVICE_PREFETCH_WRITE, true);
	ST_CHECK(!ret, ret);
	ST_CHECK(st_stat(region, prefetches) == 1, -EBADMSG);
	ST_CHECK(st_stat(region, prefetch_pages) == pages, -EBADMSG);
	ST_CHECK(st_stat(region, faults) == 2, -EBADMSG);
	ST_CHECK(st_stat(region, mapped_pages) == 4 + pages, -EBADMSG);
	ST_CHECK(!st_stat(region, invalidations), -EBADMSG);
	st_unmap(va + 2 * PAGE_SIZE, 210 * PAGE_SIZE);
	ST_CHECK(st_stat(region, invalidations) == 1, -EBADMSG);
	/* One of the three, the one read, twelve of those prefetched */
	ST_CHECK(st_stat(region, invalidated_pages) == 14, -EBADMSG);
	ST_CHECK(st_stat(region, mapped_pages) == 4 + pages - 14, -EBADMSG);
	ret = odp_region_fault(region, va + 50 * PAGE_SIZE, 1, 0);
	ST_CHECK(ret == -EFAULT, -EBADMSG);
	ST_CHECK(st_stat(region, faults) == 3, -EBADMSG);
	ST_CHECK(st_stat(region, faults_failed) == 1, -EBADMSG);
	ST_CHECK(!st_stat(region, collisions), -EBADMSG);
	return 0;
}

static int test_counters(void)
{
	unsigned long len = SZ_1M;
	unsigned long va = st_map(len, RW, MAP_SHARED | MAP_ANONYMOUS);
	struct odp_region *region;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, len);
	ret = counters_check(region, va);
	odp_region_destroy(region);
	st_unmap(va, len);
	return ret;
}

/* A stream is met half way: ever fewer faults for as many pages */
static int test_around(void)
{
	unsigned long va = st_map_aligned(4 * ODP_LEAF_SIZE, ODP_LEAF_SIZE);
	unsigned long len = 4 * ODP_LEAF_SIZE, at;
	struct odp_region *region;
	u64 word = 3, random, first;
	int ret = 0;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, len);
	for (at = 0; !ret && at < len; at += SZ_64K)
		ret = st_copy_in(region, va + at, &word, sizeof(word));
	for (at = 0; !ret && at < len; at += SZ_4K)
		ret = st_copy_in(region, va + at, &word, sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_stat(region, mapped_pages) == len >> PAGE_SHIFT, out);
	first = st_stat(region, faults);
	ST_CHECK_GOTO(first < 200, out);
	/* Again, in leaves that have been zapped but not yet collected */
	ST_CHECK_GOTO(st_map_at(va, len, RW, ANON | MAP_FIXED) == va, out);
	for (at = 0; !ret && at < len; at += SZ_64K)
		ret = st_copy_in(region, va + at, &word, sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_stat(region, faults) - first <= 200, out);
	ST_CHECK_GOTO(st_map_at(va, len, RW, ANON | MAP_FIXED) == va, out);
	random = st_stat(region, fault_pages);
	for (at = 0; at < 64; at++)
		ret = ret ?: odp_region_fault(region, va + at * 7919 % 512 *
					      PAGE_SIZE, 1, 0);
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_stat(region, fault_pages) - random < 600, out);
out:
	odp_region_destroy(region);
	st_unmap(va, len);
	return ret;
}

const struct st_case st_entry_cases[] = {
	{ "entry: read, then write", test_read_then_write },
	{ "entry: huge, and split", test_huge },
	{ "entry: part of a huge page", test_huge_part },
	{ "entry: atomics at every offset of a page", test_atomics },
	{ "entry: written pages are dirty, read ones are not", test_dirty },
	{ "entry: counters are exact", test_counters },
	{ "entry: fault-around", test_around },
	{ }
};
