// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * space.c - regions over the same memory, and what is kept without them. Looks
 * inside.
 */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>

#include "../access.h"
#include "selftest.h"

#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)

/*
 * What one region has brought in, another finds, inside its own bounds. Shared
 * memory: of other memory all of 2 MiB goes when a mapping is split.
 */
static int test_second(void)
{
	unsigned long va = st_map(SZ_128K, RW, MAP_SHARED | MAP_ANONYMOUS);
	struct odp_region *first, *second;
	unsigned long at;
	u64 word = 1;
	int ret = 0;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	first = st_region(va, SZ_64K);
	second = st_region(va + SZ_32K + 5, SZ_64K);
	for (at = va; !ret && at < va + SZ_64K; at += PAGE_SIZE)
		ret = st_copy_in(first, at, &word, sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ret = st_copy_in(second, va + SZ_32K + 5, &word, sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(!st_stat(second, faults), out);
	ST_CHECK_GOTO(st_stat(first, mapped_pages) == 16, out);
	ST_CHECK_GOTO(st_stat(second, mapped_pages) == 8, out);
	ST_CHECK_GOTO(!st_mapped(second, va + SZ_32K + 4, false), out);
	/* One event, and each counts its own pages */
	st_unmap(va + SZ_16K, SZ_32K);
	ST_CHECK_GOTO(st_stat(first, invalidations) == 1, out);
	ST_CHECK_GOTO(st_stat(first, invalidated_pages) == 8, out);
	ST_CHECK_GOTO(st_stat(second, invalidations) == 1, out);
	ST_CHECK_GOTO(st_stat(second, invalidated_pages) == 4, out);
	ST_CHECK_GOTO(st_stat(second, mapped_pages) == 4, out);
	odp_region_destroy(first);
	first = NULL;
	ST_CHECK_GOTO(st_mapped(second, va + SZ_64K - 1, true), out);
out:
	if (first)
		odp_region_destroy(first);
	odp_region_destroy(second);
	st_unmap(va, SZ_128K);
	return ret;
}

/* Registered, used, deregistered, and the same again: warm, and in step */
static int kept_check(unsigned long va)
{
	struct odp_region *region = st_region(va, SZ_64K);
	u64 word = 7;
	int ret;

	ret = st_copy_in(region, va, &word, sizeof(word));
	odp_region_destroy(region);
	ST_CHECK(!ret, ret);
	region = st_region(va, SZ_64K);
	ST_CHECK_GOTO(st_mapped(region, va, true), out);
	odp_region_destroy(region);
	/* Of no region, but an invalidation finds it */
	ret = st_map_at(va, SZ_64K, RW, ANON | MAP_FIXED) == va ? 0 : -ENOMEM;
	region = st_region(va, SZ_64K);
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(!st_mapped(region, va, false), out);
	ret = st_copy_out(&word, region, va, sizeof(word));
	ST_CHECK_GOTO(!ret && !word, out);
out:
	odp_region_destroy(region);
	return ret;
}

static int test_kept(void)
{
	struct odp_space *space = odp_space_get(st_domain);
	unsigned long va = st_map(SZ_64K, RW, ANON);
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	ST_CHECK(!IS_ERR(space), PTR_ERR(space));
	ret = kept_check(va);
	odp_space_put(space);
	st_unmap(va, SZ_64K);
	return ret;
}

/* The mm is told what the device has used, once */
static int test_young(void)
{
	unsigned long va = st_map_aligned(ODP_LEAF_SIZE, ODP_LEAF_SIZE), at;
	struct odp_region *region;
	u64 word = 7;
	int ret;

	if (!st_has_young())
		return ST_SKIP;
	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, ODP_LEAF_SIZE);
	ret = st_fill(va, ODP_LEAF_SIZE, 1);
	if (!ret)
		ret = odp_region_fault(region, va, ODP_LEAF_SIZE, 0);
	st_young(va, va + ODP_LEAF_SIZE, true);
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(!st_young(va, va + ODP_LEAF_SIZE, false), out);
	ret = st_copy_out(&word, region, va + SZ_1M, sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_young(va + SZ_1M, va + SZ_1M + 1, false), out);
	ST_CHECK_GOTO(!st_young(va, va + SZ_1M, false), out);
	ST_CHECK_GOTO(!st_young(va + SZ_1M + SZ_64K, va + ODP_LEAF_SIZE,
				false), out);
	ST_CHECK_GOTO(st_young(va, va + ODP_LEAF_SIZE, true), out);
	ST_CHECK_GOTO(!st_young(va, va + ODP_LEAF_SIZE, false), out);
	ret = st_copy_out(&word, region, va + SZ_1M, sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	/* Of each page, once */
	for (at = va + SZ_1M; at < va + SZ_1M + SZ_64K; at += PAGE_SIZE) {
		ST_CHECK_GOTO(st_young(at, at + PAGE_SIZE, false), out);
		ST_CHECK_GOTO(st_young(at, at + PAGE_SIZE, true), out);
		ST_CHECK_GOTO(!st_young(at, at + PAGE_SIZE, true), out);
	}
	ST_CHECK_GOTO(!st_young(va, va + ODP_LEAF_SIZE, false), out);
	ret = st_copy_out(&word, region, va + SZ_1M, sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_young(va + SZ_1M, va + SZ_1M + 1, true), out);
	ST_CHECK_GOTO(st_young(va, va + ODP_LEAF_SIZE, true), out);
	ST_CHECK_GOTO(!st_young(va, va + ODP_LEAF_SIZE, true), out);
out:
	odp_region_destroy(region);
	st_unmap(va, ODP_LEAF_SIZE);
	return ret;
}

struct shrink_user {
	struct odp_region *region;
	unsigned long va;
	struct completion held;
	bool ended;
};

/* Touches the page for a while */
static int user_thread(void *data)
{
	struct shrink_user *user = data;
	struct odp_access access;
	unsigned long until;
	int ret;

	ret = odp_access_begin(user->region, user->va, 8, true, &access);
	complete(&user->held);
	until = jiffies + HZ / 5;
	while (!ret && time_before(jiffies, until))
		cpu_relax();
	WRITE_ONCE(user->ended, true);
	odp_access_end(&access);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return ret;
}

/* What the collector has in its hands just now is passed over: again */
static bool shrink_takes(struct shrink_user *user)
{
	unsigned int tries;

	for (tries = 0; tries < 10; tries++) {
		st_young(user->va, user->va + PAGE_SIZE, true);
		st_shrink();
		if (!st_mapped(user->region, user->va, false))
			return true;
		msleep(20);
	}
	return false;
}

/* What is being used just now is waited for, then it goes like the rest */
static int shrink_used(struct shrink_user *user)
{
	struct task_struct *task;
	bool ended, taken;
	int ret;

	init_completion(&user->held);
	task = kthread_run(user_thread, user, "odp_user");
	ST_CHECK(!IS_ERR(task), PTR_ERR(task));
	wait_for_completion(&user->held);
	taken = shrink_takes(user);
	ended = READ_ONCE(user->ended);
	ret = kthread_stop(task);
	ST_CHECK(!ret, ret);
	ST_CHECK(ended && taken, -EBADMSG);
	return 0;
}

/* When memory is short, what was not used goes, and comes back when it is */
static int shrink_check(struct shrink_user *user)
{
	unsigned long other = user->va + ODP_LEAF_SIZE;
	u64 word = 7;
	int ret;

	ret = st_copy_in(user->region, user->va, &word, sizeof(word));
	if (!ret)
		ret = st_copy_in(user->region, other, &word, sizeof(word));
	ST_CHECK(!ret, ret);
	ST_CHECK(shrink_takes(user), -EBADMSG);
	ST_CHECK(st_mapped(user->region, other, true), -EBADMSG);
	ret = st_copy_in(user->region, user->va, &word, sizeof(word));
	ST_CHECK(!ret, ret);
	return shrink_used(user);
}

static int test_shrink(void)
{
	unsigned long va = st_map_aligned(2 * ODP_LEAF_SIZE, ODP_LEAF_SIZE);
	struct shrink_user user = { .va = va };
	int ret;

	if (!st_has_young() || !st_has_shrink())
		return ST_SKIP;
	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	user.region = st_region(va, 2 * ODP_LEAF_SIZE);
	ret = shrink_check(&user);
	odp_region_destroy(user.region);
	st_unmap(va, 2 * ODP_LEAF_SIZE);
	return ret;
}

static struct odp_leaf *small_leaf(struct odp_region *region, unsigned long va)
{
	return xa_load(&region->space->leaves, va >> ODP_LEAF_SHIFT);
}

/* A page here and there needs no table; more do, and lose nothing */
static int small_check(struct odp_region *region, unsigned long va)
{
	static const unsigned int pages[] = { 37, 40, 47, 50, 511, 0, 32 };
	u64 word = 0x1111, got;
	unsigned int i, j;
	bool small;
	int ret;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		ret = st_copy_in(region, va + pages[i] * PAGE_SIZE, &word, 8);
		ST_CHECK(!ret, ret);
		small = small_leaf(region, va)->table & LEAF_TABLE_SMALL;
		ST_CHECK(small == (i < 3), -EBADMSG);
		for (j = 0; j <= i; j++)
			ST_CHECK(st_mapped(region, va + pages[j] * PAGE_SIZE,
					   true), -EBADMSG);
		ST_CHECK(!st_mapped(region, va + 100 * PAGE_SIZE, false),
			 -EBADMSG);
		/* From what is there into what is not */
		ret = st_copy_out(&got, region, va + pages[i] * PAGE_SIZE, 8);
		ST_CHECK(!ret && got == word, -EBADMSG);
	}
	ST_CHECK(st_stat(region, mapped_pages) == ARRAY_SIZE(pages), -EBADMSG);
	return 0;
}

/* A copy over the end of what a small table has */
static int small_copy(struct odp_region *region, unsigned long va)
{
	unsigned long from = va + ODP_LEAF_SIZE;
	int ret = st_fill(from, SZ_256K, 3);

	if (!ret)
		ret = odp_region_fault(region, from + 20 * PAGE_SIZE, 8, 0);
	ST_CHECK(!ret, ret);
	ST_CHECK(small_leaf(region, from)->table & LEAF_TABLE_SMALL, -EBADMSG);
	ret = st_copy(region, from + SZ_512K, region, from, SZ_256K);
	ST_CHECK(!ret, ret);
	return st_compare(from + SZ_512K, SZ_256K, 3, 0);
}

static int test_small(void)
{
	unsigned long va = st_map_aligned(2 * ODP_LEAF_SIZE, ODP_LEAF_SIZE);
	struct odp_region *region;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	st_madvise(va, 2 * ODP_LEAF_SIZE, MADV_NOHUGEPAGE);
	region = st_region(va, 2 * ODP_LEAF_SIZE);
	ret = small_check(region, va);
	if (!ret)
		ret = small_copy(region, va);
	odp_region_destroy(region);
	st_unmap(va, 2 * ODP_LEAF_SIZE);
	return ret;
}

/*
 * An invalidation that must not block may have no end. Afterwards nobody
 * trusts the list of those that go on, and all goes on working.
 */
static int test_lost(void)
{
	unsigned long va = st_map(SZ_64K, RW, ANON), at;
	struct odp_region *region;
	u64 word = 7;
	int ret;

	if (!st_has_events())
		return ST_SKIP;
	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, SZ_64K);
	ret = st_copy_in(region, va, &word, sizeof(word));
	if (!ret)
		ret = st_event(va, va + PAGE_SIZE, MMU_NOTIFY_CLEAR, false);
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(READ_ONCE(region->space->omm->lost), out);
	ST_CHECK_GOTO(odp_region_fault(region, va, 8, ODP_FAULT_NOWAIT) ==
		      -EAGAIN, out);
	for (at = va; !ret && at < va + SZ_64K; at += PAGE_SIZE)
		ret = st_copy_in(region, at, &word, sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_stat(region, mapped_pages) == 16, out);
out:
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

const struct st_case st_space_cases[] = {
	{ "space: a second region over the same memory", test_second },
	{ "space: what is kept without a region", test_kept },
	{ "space: the mm asks what was used", test_young },
	{ "space: memory is short", test_shrink },
	{ "space: small tables", test_small },
	{ "space: an invalidation without an end", test_lost },
	{ }
};
