// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * lifetime.c - leaves that go, and what is left of them. Looks inside.
 */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "../access.h"
#include "selftest.h"

#define RW		(PROT_READ | PROT_WRITE)
#define ANON		(MAP_PRIVATE | MAP_ANONYMOUS)
#define STREAM_PAGES	64
/* Fault-around begins with so many: AROUND_MIN_PAGES */
#define STREAM_FIRST	(SZ_64K >> PAGE_SHIFT)

/* MUTEX_FLAG_WAITERS of kernel/locking */
#define MUTEX_WAITERS	1

static u64 stream_fault(struct odp_region *region, unsigned long va,
			unsigned int page)
{
	u64 before = st_stat(region, fault_pages);

	if (odp_region_fault(region, va + page * PAGE_SIZE, 8,
			     ODP_FAULT_WRITE))
		return 0;
	return st_stat(region, fault_pages) - before;
}

/*
 * A leaf knows how far a stream has come. One that was emptied a moment ago
 * still does; one that was collected has been made anew, and does not.
 */
static int collected_check(struct odp_region *region, unsigned long va)
{
	const unsigned long len = STREAM_PAGES * PAGE_SIZE;
	unsigned int next = 2 + STREAM_FIRST;

	ST_CHECK(stream_fault(region, va, 0) == 1, -EBADMSG);
	ST_CHECK(stream_fault(region, va, 1) == 1 + STREAM_FIRST, -EBADMSG);
	ST_CHECK(st_map_at(va, len, RW, ANON | MAP_FIXED) == va, -ENOMEM);
	ST_CHECK(stream_fault(region, va, next) == 1 + 2 * STREAM_FIRST,
		 -EBADMSG);
	next += 1 + 2 * STREAM_FIRST;
	ST_CHECK(st_map_at(va, len, RW, ANON | MAP_FIXED) == va, -ENOMEM);
	ST_CHECK(!st_stat(region, mapped_pages), -EBADMSG);
	msleep(1000);
	ST_CHECK(stream_fault(region, va, next) == 1, -EBADMSG);
	return 0;
}

static int test_collected(void)
{
	unsigned long len = STREAM_PAGES * PAGE_SIZE;
	unsigned long va = st_map_aligned(len, ODP_LEAF_SIZE);
	struct odp_region *region;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, len);
	ret = collected_check(region, va);
	odp_region_destroy(region);
	st_unmap(va, len);
	return ret;
}

/* A stream does not go on behind the region, where the memory does */
static int test_around_end(void)
{
	unsigned long va = st_map_aligned(2 * STREAM_PAGES * PAGE_SIZE,
					  ODP_LEAF_SIZE);
	unsigned long len = STREAM_PAGES * PAGE_SIZE - 100;
	struct odp_region *region, *behind;
	unsigned int page;
	u64 word = 7;
	int ret = 0;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, len);
	/* Shows what is mapped there, whoever did it */
	behind = st_region(va + STREAM_PAGES * PAGE_SIZE,
			   STREAM_PAGES * PAGE_SIZE);
	for (page = 0; !ret && page < STREAM_PAGES; page++)
		ret = st_copy_in(region, va + page * PAGE_SIZE, &word,
				 sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_stat(region, faults) < STREAM_PAGES / 2, out);
	ST_CHECK_GOTO(st_stat(region, mapped_pages) == STREAM_PAGES, out);
	ST_CHECK_GOTO(!st_stat(behind, mapped_pages), out);
out:
	odp_region_destroy(behind);
	odp_region_destroy(region);
	st_unmap(va, 2 * STREAM_PAGES * PAGE_SIZE);
	return ret;
}

struct writer {
	struct odp_region *region;
	unsigned long va;
	void *from;
	struct completion begun;
};

#define WRITE_BYTES	SZ_256K
#define WRITE_ROUNDS	100

/* The same bytes again and again, until the region lets it no more */
static int writer_thread(void *data)
{
	struct writer *writer = data;
	struct odp_miss miss;
	u64 done;

	complete(&writer->begun);
	while (!odp_copy_in(writer->region, writer->va, writer->from,
			    WRITE_BYTES, &done, &miss))
		;
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/* A copy in flight has ended when the region is gone: its last word is last */
static int gone_check(struct writer *writer)
{
	u64 __user *last = (u64 __user *)(writer->va + WRITE_BYTES) - 1;
	struct task_struct *task;
	u64 seen = 0;
	int ret;

	writer->region = st_region(writer->va, WRITE_BYTES);
	ret = odp_region_fault(writer->region, writer->va, WRITE_BYTES,
			       ODP_FAULT_WRITE);
	init_completion(&writer->begun);
	odp_region_get(writer->region);
	task = kthread_run(writer_thread, writer, "odp_writer");
	if (!IS_ERR(task))
		wait_for_completion(&writer->begun);
	usleep_range(500, 1000);
	odp_region_destroy(writer->region);
	if (put_user(0x5555555555555555, last))
		ret = -EFAULT;
	ret = ret ?: PTR_ERR_OR_ZERO(task) ?: kthread_stop(task);
	odp_region_put(writer->region);
	if (get_user(seen, last))
		ret = -EFAULT;
	ST_CHECK(ret || seen == 0x5555555555555555, -EBADMSG);
	return ret;
}

static int test_gone(void)
{
	struct writer writer = { .va = st_map(WRITE_BYTES, RW, ANON) };
	int round, ret = 0;

	ST_CHECK(!IS_ERR_VALUE(writer.va), -ENOMEM);
	writer.from = vzalloc(WRITE_BYTES);
	ST_CHECK_GOTO(writer.from, out);
	for (round = 0; !ret && round < WRITE_ROUNDS; round++)
		ret = gone_check(&writer);
out:
	vfree(writer.from);
	st_unmap(writer.va, WRITE_BYTES);
	return ret;
}

/* Does any CPU have a short way to a leaf */
static bool hint_is_set(struct odp_region *region, unsigned long va)
{
	struct odp_leaf **hint;
	int cpu;

	for_each_possible_cpu(cpu) {
		hint = odp_access_hint(per_cpu_ptr(&odp_cpus, cpu),
				       ODP_SLOT_DST, region->space,
				       va >> ODP_LEAF_SHIFT);
		if (READ_ONCE(*hint))
			return true;
	}
	return false;
}

/* What leads to a leaf goes with it: the memory is another's soon */
static int test_hint(void)
{
	unsigned long len = STREAM_PAGES * PAGE_SIZE;
	unsigned long va = st_map_aligned(len, ODP_LEAF_SIZE);
	struct odp_region *region;
	unsigned int tries = 50;
	u64 word = 7;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, len);
	ret = st_copy_in(region, va, &word, sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(hint_is_set(region, va), out);
	ST_CHECK_GOTO(st_map_at(va, len, RW, ANON | MAP_FIXED) == va, out);
	while (hint_is_set(region, va) && --tries)
		msleep(100);
	ST_CHECK_GOTO(tries, out);
out:
	odp_region_destroy(region);
	st_unmap(va, len);
	return ret;
}

struct late {
	struct odp_region *region;
	unsigned long va;
	struct completion go;
};

static int late_thread(void *data)
{
	struct late *late = data;
	int ret;

	wait_for_completion(&late->go);
	ret = odp_region_fault(late->region, late->va, 8, ODP_FAULT_WRITE);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return ret;
}

/*
 * A fault has seen the page and is about to commit. By then it is out of date,
 * as the leaf would be after an invalidation that came first.
 */
static int late_commit(struct late *late, struct odp_leaf *leaf)
{
	u64 collisions = st_stat(late->region, collisions);
	struct task_struct *task;
	unsigned int tries = 200;
	int ret;

	task = kthread_run(late_thread, late, "odp_late");
	ST_CHECK(!IS_ERR(task), PTR_ERR(task));
	mutex_lock(&leaf->leaf_mutex);
	complete(&late->go);
	while (!(atomic_long_read(&leaf->leaf_mutex.owner) & MUTEX_WAITERS) &&
	       --tries)
		msleep(20);
	WRITE_ONCE(leaf->inval_count, leaf->inval_count + 1);
	mutex_unlock(&leaf->leaf_mutex);
	ret = kthread_stop(task);
	ST_CHECK(!ret && tries, ret ?: -EBADMSG);
	ST_CHECK(st_stat(late->region, collisions) == collisions + 1,
		 -EBADMSG);
	ST_CHECK(st_mapped(late->region, late->va, true), -EBADMSG);
	return 0;
}

/* An invalidation counts in a leaf that has nothing mapped as in any other */
static int late_check(struct late *late, struct odp_leaf *leaf)
{
	unsigned long end = late->va + ODP_LEAF_SIZE, count;
	int i, ret;

	for (i = 0; i < 2; i++) {
		count = READ_ONCE(leaf->inval_count);
		ret = st_event(late->va, end, MMU_NOTIFY_CLEAR, true);
		ST_CHECK(!ret, ret);
		ST_CHECK(!READ_ONCE(leaf->present), -EBADMSG);
		ST_CHECK(READ_ONCE(leaf->inval_count) == count + 1, -EBADMSG);
	}
	return late_commit(late, leaf);
}

static int late_run(int advice)
{
	struct late late = { };
	struct odp_leaf *leaf;
	int ret;

	if (!st_has_events())
		return ST_SKIP;
	init_completion(&late.go);
	late.va = st_map_aligned(ODP_LEAF_SIZE, ODP_LEAF_SIZE);
	ST_CHECK(!IS_ERR_VALUE(late.va), -ENOMEM);
	st_madvise(late.va, ODP_LEAF_SIZE, advice);
	late.region = st_region(late.va, ODP_LEAF_SIZE);
	ret = odp_region_fault(late.region, late.va, 8, ODP_FAULT_WRITE);
	ST_CHECK_GOTO(!ret, out);
	if (advice == MADV_HUGEPAGE && !st_stat(late.region, fault_huge)) {
		ret = ST_SKIP;
		goto out;
	}
	leaf = xa_load(&late.region->space->leaves, late.va >> ODP_LEAF_SHIFT);
	/* The collector leaves it */
	refcount_inc(&leaf->refs);
	ret = late_check(&late, leaf);
	refcount_dec(&leaf->refs);
out:
	odp_region_destroy(late.region);
	st_unmap(late.va, ODP_LEAF_SIZE);
	return ret;
}

static int test_late(void)
{
	return late_run(MADV_NOHUGEPAGE);
}

static int test_late_huge(void)
{
	return late_run(MADV_HUGEPAGE);
}

static int part_check(struct odp_region *region, unsigned long va)
{
	unsigned long hole = va + SZ_512K;
	struct odp_leaf *leaf;
	int ret;

	ret = odp_region_fault(region, va, 8, ODP_FAULT_WRITE);
	ST_CHECK(!ret, ret);
	leaf = xa_load(&region->space->leaves, va >> ODP_LEAF_SHIFT);
	if (!leaf->huge_entry)
		return ST_SKIP;
	ret = st_event(hole, hole + SZ_64K, MMU_NOTIFY_CLEAR, true);
	ST_CHECK(!ret, ret);
	ST_CHECK(!leaf->huge_entry, -EBADMSG);
	ST_CHECK(!st_mapped(region, hole, false), -EBADMSG);
	ST_CHECK(!st_mapped(region, hole + SZ_64K - 1, false), -EBADMSG);
	/* All of it would go where there is no memory for a table */
	ST_CHECK(leaf->present == ODP_LEAF_PAGES - 16 || !leaf->present,
		 -EBADMSG);
	return 0;
}

/* Part of a huge entry goes: not less than that part */
static int test_huge_event(void)
{
	unsigned long va;
	struct odp_region *region;
	int ret;

	if (!st_has_events())
		return ST_SKIP;
	va = st_map_aligned(ODP_LEAF_SIZE, ODP_LEAF_SIZE);
	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	st_madvise(va, ODP_LEAF_SIZE, MADV_HUGEPAGE);
	region = st_region(va, ODP_LEAF_SIZE);
	ret = part_check(region, va);
	odp_region_destroy(region);
	st_unmap(va, ODP_LEAF_SIZE);
	return ret;
}

const struct st_case st_lifetime_cases[] = {
	{ "lifetime: a page that goes before it is committed", test_late },
	{ "lifetime: the same, huge", test_late_huge },
	{ "lifetime: part of a huge entry", test_huge_event },
	{ "lifetime: emptied leaves are forgotten", test_collected },
	{ "lifetime: a hint goes with its leaf", test_hint },
	{ "lifetime: a stream ends with its region", test_around_end },
	{ "lifetime: nothing is written under a region that is gone", test_gone },
	{ }
};
