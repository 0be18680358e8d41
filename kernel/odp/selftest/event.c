// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * event.c - what the mm's events do to entries
 */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>

#include "selftest.h"

#define RW	(PROT_READ | PROT_WRITE)
#define SHARED	(MAP_SHARED | MAP_ANONYMOUS)

/* A region of shared memory (small pages, whatever THP is set to), mapped */
static struct odp_region *event_region(unsigned long *va, unsigned long len)
{
	struct odp_region *region;

	*va = st_map(len, RW, SHARED);
	if (IS_ERR_VALUE(*va))
		return ERR_PTR(-ENOMEM);
	region = st_region(*va, len);
	if (IS_ERR(region))
		return region;
	if (odp_region_fault(region, *va, len, ODP_FAULT_WRITE))
		pr_info("# cannot map for the device\n");
	return region;
}

static int event_downgrade_check(struct odp_region *region, unsigned long va,
				 enum mmu_notifier_event event)
{
	u64 before = st_stat(region, mapped_pages);
	u64 word = 42, done;
	struct odp_miss miss;
	int ret;

	ret = st_copy_in(region, va, &word, sizeof(word));
	ST_CHECK(!ret, ret);
	ret = st_event(va, va + PAGE_SIZE, event, true);
	ST_CHECK(!ret, ret);
	ST_CHECK(st_mapped(region, va, false), -EBADMSG);
	ST_CHECK(!st_mapped(region, va, true), -EBADMSG);
	ST_CHECK(st_mapped(region, va + PAGE_SIZE, true), -EBADMSG);
	ST_CHECK(st_stat(region, mapped_pages) == before, -EBADMSG);
	ret = odp_copy_in(region, va, &word, sizeof(word), &done, &miss);
	ST_CHECK(ret == -EAGAIN && !done, -EBADMSG);
	ST_CHECK(miss.va == va && miss.flags == ODP_FAULT_WRITE, -EBADMSG);
	return st_copy_in(region, va, &word, sizeof(word));
}

/* Write protection leaves pages readable, all else takes them away */
static int test_downgrade(void)
{
	struct odp_region *region;
	unsigned long va;
	int ret;

	if (!st_has_events())
		return ST_SKIP;
	region = event_region(&va, SZ_64K);
	ST_CHECK(!IS_ERR(region), PTR_ERR(region));
	ret = event_downgrade_check(region, va, MMU_NOTIFY_PROTECTION_PAGE);
	if (!ret)
		ret = event_downgrade_check(region, va, MMU_NOTIFY_SOFT_DIRTY);
	ST_CHECK_GOTO(!ret, out);
	ret = st_event(va, va + PAGE_SIZE, MMU_NOTIFY_PROTECTION_VMA, true);
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(!st_mapped(region, va, false), out);
	ST_CHECK_GOTO(st_mapped(region, va + PAGE_SIZE, true), out);
out:
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

struct holder {
	struct odp_region *region;
	unsigned long va;
	struct completion held;
	bool end;
	bool refused;
	bool ended;
};

/* Holds an access for a while: its CPU does nothing else */
static int holder_thread(void *data)
{
	struct holder *holder = data;
	struct odp_access access;
	unsigned long until;
	int ret;

	ret = odp_access_begin(holder->region, holder->va, 8, true, &access);
	complete(&holder->held);
	until = jiffies + HZ / 5;
	while (!ret && time_before(jiffies, until) &&
	       !READ_ONCE(holder->end))
		cpu_relax();
	WRITE_ONCE(holder->ended, true);
	odp_access_end(&access);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return ret;
}

/*
 * Holds one while an invalidation waits for it: another is refused then, even
 * though the page is there.
 */
static int guard_thread(void *data)
{
	struct holder *holder = data;
	struct odp_access access, other;
	unsigned long until = jiffies + 10 * HZ;
	int ret;

	ret = odp_access_begin(holder->region, holder->va, 8, true, &access);
	complete(&holder->held);
	while (!ret && !holder->refused && time_before(jiffies, until)) {
		holder->refused = odp_access_begin(holder->region, holder->va,
						   8, true, &other);
		odp_access_end(&other);
		cpu_relax();
	}
	until = jiffies + HZ / 20;
	while (time_before(jiffies, until))
		cpu_relax();
	WRITE_ONCE(holder->ended, true);
	odp_access_end(&access);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return ret;
}

/* Must not wait: only an access in flight makes it fail, and then no harm */
static int nonblock_held(struct odp_region *region, unsigned long va)
{
	int ret;

	ret = st_event(va, va + PAGE_SIZE, MMU_NOTIFY_CLEAR, false);
	ST_CHECK(ret == -EAGAIN, -EBADMSG);
	ST_CHECK(st_mapped(region, va, true), -EBADMSG);
	/* Nothing mapped there: nothing to wait for */
	ret = st_event(va + ODP_CHILD_SIZE, va + 2 * ODP_CHILD_SIZE,
		       MMU_NOTIFY_CLEAR, false);
	ST_CHECK(!ret, -EBADMSG);
	return 0;
}

static int nonblock_free(struct odp_region *region, unsigned long va)
{
	int ret;

	ret = st_event(va, va + PAGE_SIZE, MMU_NOTIFY_CLEAR, false);
	ST_CHECK(!ret, -EBADMSG);
	ST_CHECK(!st_mapped(region, va, false), -EBADMSG);
	ST_CHECK(st_mapped(region, va + PAGE_SIZE, true), -EBADMSG);
	return 0;
}

static int test_nonblock(void)
{
	struct holder holder = { };
	struct task_struct *task;
	int ret, held;

	if (!st_has_events())
		return ST_SKIP;
	holder.region = event_region(&holder.va, SZ_64K);
	ST_CHECK(!IS_ERR(holder.region), PTR_ERR(holder.region));
	init_completion(&holder.held);
	/* Not by ourselves: lockdep would say what it has been taught to say */
	task = kthread_run(holder_thread, &holder, "odp_holder");
	ret = PTR_ERR_OR_ZERO(task);
	ST_CHECK_GOTO(!ret, out);
	wait_for_completion(&holder.held);
	held = nonblock_held(holder.region, holder.va);
	WRITE_ONCE(holder.end, true);
	ret = kthread_stop(task);
	ret = ret ?: held;
	if (!ret)
		ret = nonblock_free(holder.region, holder.va);
out:
	odp_region_destroy(holder.region);
	st_unmap(holder.va, SZ_64K);
	return ret;
}

/* An invalidation does not return before the access it meets has ended */
static int test_fence(void)
{
	struct holder holder = { };
	struct task_struct *task;
	bool ended;
	int ret;

	holder.region = event_region(&holder.va, SZ_64K);
	ST_CHECK(!IS_ERR(holder.region), PTR_ERR(holder.region));
	init_completion(&holder.held);
	task = kthread_run(guard_thread, &holder, "odp_guard");
	ret = PTR_ERR_OR_ZERO(task);
	ST_CHECK_GOTO(!ret, out);
	wait_for_completion(&holder.held);
	st_unmap(holder.va, SZ_64K);
	ended = READ_ONCE(holder.ended);
	ret = kthread_stop(task);
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(ended, out);
	ST_CHECK_GOTO(holder.refused, out);
out:
	odp_region_destroy(holder.region);
	return ret;
}

static int destroyer_thread(void *data)
{
	struct holder *holder = data;

	odp_region_destroy(holder->region);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/* The same while the region is being destroyed, which waits for it too */
static int test_fence_destroy(void)
{
	struct task_struct *task, *destroyer;
	struct holder holder = { };
	bool ended = false;
	int ret;

	holder.region = event_region(&holder.va, SZ_64K);
	ST_CHECK(!IS_ERR(holder.region), PTR_ERR(holder.region));
	init_completion(&holder.held);
	odp_region_get(holder.region);
	task = kthread_run(holder_thread, &holder, "odp_holder");
	ST_CHECK(!IS_ERR(task), PTR_ERR(task));
	wait_for_completion(&holder.held);
	destroyer = kthread_run(destroyer_thread, &holder, "odp_destroyer");
	ret = PTR_ERR_OR_ZERO(destroyer);
	while (!ret && odp_region_fault(holder.region, holder.va, 8, 0) !=
	       -ESRCH)
		usleep_range(900, 1100);
	msleep(20);
	st_unmap(holder.va, SZ_64K);
	ended = READ_ONCE(holder.ended);
	ret = kthread_stop(task) ?: ret;
	if (!IS_ERR(destroyer))
		kthread_stop(destroyer);
	else
		odp_region_destroy(holder.region);
	odp_region_put(holder.region);
	ST_CHECK(!ret, ret);
	ST_CHECK(ended, -EBADMSG);
	return 0;
}

static int stalled_thread(void *data)
{
	struct holder *holder = data;
	int ret;

	complete(&holder->held);
	ret = odp_region_fault(holder->region, holder->va + PAGE_SIZE, 8,
			       ODP_FAULT_WRITE);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return ret;
}

/*
 * A fault waits, for mmap_lock here, as it would for a page: destroying its
 * region does not, and the fault finds out.
 */
static int test_destroy_stalled(void)
{
	struct holder holder = { };
	struct task_struct *task;
	int ret;

	holder.va = st_map(SZ_64K, RW, SHARED);
	ST_CHECK(!IS_ERR_VALUE(holder.va), -ENOMEM);
	holder.region = st_region(holder.va, SZ_64K);
	ST_CHECK(!IS_ERR(holder.region), PTR_ERR(holder.region));
	/* So that there is a child */
	ret = odp_region_fault(holder.region, holder.va, 8, 0);
	ST_CHECK(!ret, ret);
	init_completion(&holder.held);
	odp_region_get(holder.region);
	mmap_write_lock(current->mm);
	task = kthread_run(stalled_thread, &holder, "odp_stalled");
	if (!IS_ERR(task)) {
		wait_for_completion(&holder.held);
		msleep(50);
	}
	odp_region_destroy(holder.region);
	mmap_write_unlock(current->mm);
	ret = PTR_ERR_OR_ZERO(task);
	if (!ret)
		ret = kthread_stop(task) == -ESRCH ? 0 : -EBADMSG;
	odp_region_put(holder.region);
	st_unmap(holder.va, SZ_64K);
	return ret;
}

/* Emptied leaves go away and come back; the region goes on working */
static int test_collect(void)
{
	unsigned long len = 64 * ODP_LEAF_SIZE, va, at;
	struct odp_region *region;
	int ret = 0, round;

	va = st_map(len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_implicit();
	for (round = 0; !ret && round < 4; round++) {
		for (at = 0; !ret && at < len; at += ODP_LEAF_SIZE)
			ret = odp_region_fault(region, va + at, 8,
					       ODP_FAULT_WRITE);
		ST_CHECK_GOTO(!ret, out);
		at = st_map_at(va, len, RW, MAP_PRIVATE | MAP_ANONYMOUS |
			       MAP_NORESERVE | MAP_FIXED);
		ST_CHECK_GOTO(at == va, out);
		ST_CHECK_GOTO(!st_stat(region, mapped_pages), out);
		/* With, without, and right in the middle of a collection */
		if (round < 3)
			msleep(round == 1 ? 205 : 600 * (round & 2));
	}
out:
	odp_region_destroy(region);
	st_unmap(va, len);
	return ret;
}

/* Two mappings one after the other at one place: the new one's bytes */
static int test_remap(void)
{
	unsigned long va, at;
	struct odp_region *region;
	u8 byte = 0;
	int ret;

	region = event_region(&va, SZ_64K);
	ST_CHECK(!IS_ERR(region), PTR_ERR(region));
	ret = st_fill(va, SZ_64K, 1);
	ST_CHECK_GOTO(!ret, out);
	ret = st_copy_out(&byte, region, va + 77, 1);
	ST_CHECK_GOTO(!ret && byte == st_byte(1, 77), out);
	at = st_map_at(va, SZ_64K, RW, SHARED | MAP_FIXED);
	ST_CHECK_GOTO(at == va, out);
	ret = st_copy_out(&byte, region, va + 77, 1);
	ST_CHECK_GOTO(!ret && byte == 0, out);
	at = st_map_at(va, SZ_64K, PROT_READ, SHARED | MAP_FIXED);
	ST_CHECK_GOTO(at == va, out);
	ret = st_copy_in(region, va + 77, &byte, 1) == -EFAULT ? 0 : -EBADMSG;
	ST_CHECK_GOTO(!ret, out);
	ret = st_copy_out(&byte, region, va + 77, 1);
	ST_CHECK_GOTO(!ret, out);
	at = st_map_at(va, SZ_64K, PROT_WRITE, SHARED | MAP_FIXED);
	ST_CHECK_GOTO(at == va, out);
	ret = st_copy_out(&byte, region, va + 77, 1) == -EFAULT ? 0 : -EBADMSG;
	ST_CHECK_GOTO(!ret, out);
	at = st_map_at(va, SZ_64K, PROT_NONE, SHARED | MAP_FIXED);
	ST_CHECK_GOTO(at == va, out);
	ret = st_copy_out(&byte, region, va + 77, 1) == -EFAULT ? 0 : -EBADMSG;
out:
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

const struct st_case st_event_cases[] = {
	{ "event: write protection downgrades", test_downgrade },
	{ "event: non-blockable", test_nonblock },
	{ "event: waits for accesses in flight", test_fence },
	{ "event: waits for them in a region that goes", test_fence_destroy },
	{ "event: destroy does not wait for a stalled fault", test_destroy_stalled },
	{ "event: emptied leaves and children are collected", test_collect },
	{ "event: remap, read-only, write-only, no access", test_remap },
	{ }
};
