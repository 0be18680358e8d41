// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * race.c - several devices and an mm that does not hold still
 */

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/sched/mm.h>

#include "selftest.h"

#define RW	(PROT_READ | PROT_WRITE)
#define THREADS	4

/**
 * struct race - what the threads of a test share
 * @region: under test
 * @va: of the memory
 * @len: of the memory
 * @floor: no data older than this may be seen by a copy that begins now
 * @rounds: copies done
 * @error: the first one
 * @mm: of the memory
 */
struct race {
	struct odp_region *region;
	unsigned long va;
	unsigned long len;
	atomic64_t floor;
	atomic64_t rounds;
	atomic_t error;
	struct mm_struct *mm;
};

static int race_stop(struct task_struct **tasks, unsigned int n)
{
	int ret = 0, one;

	while (n--) {
		if (IS_ERR_OR_NULL(tasks[n]))
			continue;
		one = kthread_stop(tasks[n]);
		/* Stopped before it ever ran: the host is busy */
		if (one != -EINTR)
			ret = ret ?: one;
	}
	return ret;
}

static int race_start(struct task_struct **tasks, unsigned int n,
		      int (*thread)(void *), struct race *race)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		tasks[i] = kthread_run(thread, race, "odp_race/%u", i);
		if (IS_ERR(tasks[i])) {
			race_stop(tasks, i);
			return PTR_ERR(tasks[i]);
		}
	}
	return 0;
}

static int race_hold(struct race *race)
{
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return atomic_read(&race->error);
}

static void race_fail(struct race *race, int error)
{
	if (!atomic_cmpxchg(&race->error, 0, error))
		pr_info("# race: %d\n", error);
}

/* All threads touch the same untouched children, in the same order */
static int first_touch_thread(void *data)
{
	struct race *race = data;
	unsigned long at;
	int ret;

	while (!atomic64_read(&race->floor) && !kthread_should_stop())
		cond_resched();
	for (at = 0; at < race->len; at += ODP_CHILD_SIZE) {
		ret = odp_region_fault(race->region, race->va + at, 16,
				       ODP_FAULT_WRITE);
		if (ret && ret != -EAGAIN)
			race_fail(race, ret);
		if (!ret)
			atomic64_inc(&race->rounds);
	}
	return race_hold(race);
}

static int test_first_touch(void)
{
	struct task_struct *tasks[THREADS] = { };
	struct race race = { .len = 64 * ODP_CHILD_SIZE };
	unsigned long at;
	int ret, round;

	race.va = st_map(race.len, RW, MAP_PRIVATE | MAP_ANONYMOUS |
			 MAP_NORESERVE);
	if (IS_ERR_VALUE(race.va))
		return ST_SKIP;
	for (round = 0; round < 5; round++) {
		atomic64_set(&race.floor, 0);
		race.region = st_implicit();
		ret = race_start(tasks, THREADS, first_touch_thread, &race);
		if (ret)
			break;
		atomic64_set(&race.rounds, 0);
		atomic64_set(&race.floor, 1);
		/* Who has begun goes through to the end */
		while (!atomic64_read(&race.rounds) &&
		       !atomic_read(&race.error))
			msleep(20);
		/* Some rounds end while the children are being made */
		if (round & 1)
			ssleep(1);
		ret = race_stop(tasks, THREADS);
		for (at = 0; !ret && at < race.len; at += ODP_CHILD_SIZE)
			if (!st_mapped(race.region, race.va + at, true))
				ret = -EBADMSG;
		odp_region_destroy(race.region);
		if (ret)
			break;
	}
	st_unmap(race.va, race.len);
	return ret;
}

/*
 * A copy that began after a mapping was replaced must not see the old one.
 * Words are 0 in fresh memory, then hold the number of the mapping.
 */
static int reader_thread(void *data)
{
	struct race *race = data;
	u64 *words = kvmalloc(race->len, GFP_KERNEL), floor;
	unsigned long i;
	int ret;

	while (words && !kthread_should_stop() &&
	       !atomic_read(&race->error)) {
		floor = atomic64_read(&race->floor);
		ret = st_copy_out(words, race->region, race->va, race->len);
		if (ret && ret != -EFAULT)
			race_fail(race, ret);
		for (i = 0; !ret && i < race->len / sizeof(u64); i++) {
			if (!words[i] || words[i] >= floor)
				continue;
			pr_info("# word %lu is %llu, floor %llu\n", i,
				words[i], floor);
			race_fail(race, -EBADMSG);
			break;
		}
		atomic64_inc(&race->rounds);
		cond_resched();
	}
	kvfree(words);
	return race_hold(race);
}

static int replace_mapping(struct race *race, u64 generation, bool huge)
{
	unsigned long at, step = huge ? race->len / 3 & PAGE_MASK : 0;
	u64 *page = (u64 *)__get_free_page(GFP_KERNEL);
	unsigned long i;
	int ret = 0;

	if (!page)
		return -ENOMEM;
	/* In one piece or in three */
	for (at = 0; at < race->len; at += step) {
		step = step ?: race->len;
		step = min(step, race->len - at);
		if (st_map_at(race->va + at, step, RW, MAP_PRIVATE |
			      MAP_ANONYMOUS | MAP_FIXED) != race->va + at)
			ret = -ENOMEM;
	}
	atomic64_set(&race->floor, generation);
	for (i = 0; i < PAGE_SIZE / sizeof(u64); i++)
		page[i] = generation;
	for (at = 0; !ret && at < race->len; at += PAGE_SIZE)
		if (copy_to_user((void __user *)(race->va + at), page,
				 PAGE_SIZE))
			ret = -EFAULT;
	free_page((unsigned long)page);
	return ret;
}

static int test_readers(void)
{
	struct task_struct *tasks[THREADS] = { };
	struct race race = { .len = ODP_LEAF_SIZE + SZ_64K };
	u64 generation;
	int ret, stopped;

	race.va = st_map_aligned(race.len, ODP_LEAF_SIZE);
	ST_CHECK(!IS_ERR_VALUE(race.va), -ENOMEM);
	race.region = st_region(race.va, race.len);
	ret = race_start(tasks, THREADS, reader_thread, &race);
	for (generation = 1; !ret && generation < 40; generation++) {
		ret = replace_mapping(&race, generation, generation & 1);
		if (generation % 8 == 0)
			usleep_range(100, 5000);
		if (atomic_read(&race.error))
			break;
	}
	stopped = race_stop(tasks, THREADS);
	pr_info("# %lld copies, %llu collisions, %llu invalidations\n",
		atomic64_read(&race.rounds), st_stat(race.region, collisions),
		st_stat(race.region, invalidations));
	odp_region_destroy(race.region);
	st_unmap(race.va, race.len);
	return ret ?: stopped;
}

/* Writes all the time; what is not mapped is an error it does not mind */
static int writer_thread(void *data)
{
	struct race *race = data;
	u64 word = 0xdeadbeef;
	unsigned long at = 0;
	int ret;

	while (!kthread_should_stop()) {
		ret = st_copy_in(race->region, race->va + at, &word,
				 sizeof(word));
		if (ret && ret != -EFAULT)
			race_fail(race, ret);
		at = (at + PAGE_SIZE) % race->len;
		atomic64_inc(&race->rounds);
		cond_resched();
	}
	return atomic_read(&race->error);
}

/* Keep the pages past their unmapping, and see that nobody writes to them */
static int writers_round(struct race *race, struct page **pages, int nr)
{
	int got, i, ret = 0;

	got = get_user_pages_fast(race->va, nr, FOLL_WRITE, pages);
	usleep_range(50, 300);
	if (st_map_at(race->va, race->len, RW, MAP_PRIVATE | MAP_ANONYMOUS |
		      MAP_FIXED) != race->va)
		ret = -ENOMEM;
	for (i = 0; i < got; i++)
		memset(page_address(pages[i]), 0, PAGE_SIZE);
	usleep_range(50, 300);
	for (i = 0; i < got; i++) {
		if (memchr_inv(page_address(pages[i]), 0, PAGE_SIZE))
			ret = -EBADMSG;
		put_page(pages[i]);
	}
	return ret;
}

static int test_writers(void)
{
	struct task_struct *tasks[THREADS] = { };
	struct race race = { .len = SZ_128K };
	struct page *pages[SZ_128K / PAGE_SIZE];
	int ret, round, stopped;

	race.va = st_map_aligned(race.len, ODP_LEAF_SIZE);
	ST_CHECK(!IS_ERR_VALUE(race.va), -ENOMEM);
	race.region = st_region(race.va, race.len);
	ret = race_start(tasks, THREADS, writer_thread, &race);
	for (round = 0; !ret && round < 300; round++)
		ret = writers_round(&race, pages, ARRAY_SIZE(pages));
	stopped = race_stop(tasks, THREADS);
	pr_info("# %lld writes, %llu collisions, %llu invalidations\n",
		atomic64_read(&race.rounds), st_stat(race.region, collisions),
		st_stat(race.region, invalidations));
	odp_region_destroy(race.region);
	st_unmap(race.va, race.len);
	return ret ?: stopped;
}

static int faulter_thread(void *data)
{
	struct race *race = data;
	u64 word = 1;
	int ret;

	while (!kthread_should_stop()) {
		ret = st_copy_in(race->region, race->va, &word, sizeof(word));
		if (!ret)
			ret = st_copy_out(&word, race->region, race->va +
					  race->len / 2, sizeof(word));
		if (ret)
			race_fail(race, ret);
		atomic64_inc(&race->rounds);
		cond_resched();
	}
	return atomic_read(&race->error);
}

/* Invalidations in a tight loop: operations still get through */
static int test_storm(void)
{
	struct task_struct *tasks[2] = { };
	struct race race = { .len = SZ_1M };
	unsigned long until, storms = 0;
	int ret, stopped;

	if (!st_has_events())
		return ST_SKIP;
	race.va = st_map(race.len, RW, MAP_PRIVATE | MAP_ANONYMOUS);
	ST_CHECK(!IS_ERR_VALUE(race.va), -ENOMEM);
	race.region = st_region(race.va, race.len);
	ret = race_start(tasks, ARRAY_SIZE(tasks), faulter_thread, &race);
	until = jiffies + HZ;
	while (!ret && time_before(jiffies, until)) {
		ret = st_event(race.va, race.va + race.len, MMU_NOTIFY_CLEAR,
			       true);
		storms++;
		if (storms % 64 == 0)
			cond_resched();
	}
	stopped = race_stop(tasks, ARRAY_SIZE(tasks));
	pr_info("# %lu invalidations, %lld operations, %llu collisions\n",
		storms, atomic64_read(&race.rounds),
		st_stat(race.region, collisions));
	if (!ret && atomic64_read(&race.rounds) < 10)
		ret = -ETIMEDOUT;
	odp_region_destroy(race.region);
	st_unmap(race.va, race.len);
	return ret ?: stopped;
}

/* Destroy while prefetches are queued and running */
static int test_prefetch_destroy(void)
{
	unsigned long len = 32 * ODP_LEAF_SIZE, va;
	struct odp_region *region;
	int ret = 0, round, i;

	va = st_map(len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	for (round = 0; !ret && round < 20; round++) {
		region = st_region(va, len);
		for (i = 0; !ret && i < 200; i++)
			ret = odp_region_prefetch(region, va + i * PAGE_SIZE,
						  len / 2, i % 3, false);
		if (round % 4 == 0)
			usleep_range(100, 4000);
		odp_region_get(region);
		odp_region_destroy(region);
		if (!ret && st_mapped(region, va, false))
			ret = -EBADMSG;
		if (!ret && odp_region_fault(region, va, 1, 0) != -ESRCH)
			ret = -EBADMSG;
		if (!ret && odp_region_prefetch(region, va, 1,
						ODP_ADVICE_PREFETCH,
						false) != -ESRCH)
			ret = -EBADMSG;
		odp_region_put(region);
	}
	st_unmap(va, len);
	return ret;
}

/* Asynchronous prefetch gets there, without anybody waiting for it */
static int test_prefetch_async(void)
{
	unsigned long len = 2 * ODP_LEAF_SIZE, va;
	struct odp_region *region;
	unsigned int waited;
	int ret;

	va = st_map_aligned(len, ODP_LEAF_SIZE);
	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, len);
	ret = odp_region_prefetch(region, va, len, ODP_ADVICE_PREFETCH_WRITE,
				  false);
	for (waited = 0; waited < 5000 &&
	     st_stat(region, prefetches) == 0; waited++)
		usleep_range(900, 1100);
	if (!ret && st_stat(region, prefetch_pages) != len >> PAGE_SHIFT)
		ret = -EBADMSG;
	if (!ret && st_stat(region, faults))
		ret = -EBADMSG;
	odp_region_destroy(region);
	st_unmap(va, len);
	return ret;
}

/* The process goes: entries go with it, faults say so, destroy still works */
static int test_threads_use_mm(void)
{
	struct task_struct *tasks[THREADS] = { };
	struct race race = { .len = SZ_4M };
	int ret, round, stopped;

	race.va = st_map_aligned(race.len, ODP_LEAF_SIZE);
	ST_CHECK(!IS_ERR_VALUE(race.va), -ENOMEM);
	/* Regions that come and go under readers of the same memory */
	race.region = st_region(race.va, race.len);
	ret = race_start(tasks, THREADS, faulter_thread, &race);
	for (round = 0; !ret && round < 50; round++) {
		struct odp_region *other = st_region(race.va, race.len);

		ret = odp_region_fault(other, race.va, race.len,
				       ODP_FAULT_WRITE);
		if (!ret && round % 2)
			ret = st_map_at(race.va + SZ_64K, SZ_1M, RW,
					MAP_PRIVATE | MAP_ANONYMOUS |
					MAP_FIXED) == race.va + SZ_64K ?
				0 : -ENOMEM;
		odp_region_destroy(other);
	}
	stopped = race_stop(tasks, THREADS);
	odp_region_destroy(race.region);
	st_unmap(race.va, race.len);
	return ret ?: stopped;
}

const struct st_case st_race_cases[] = {
	{ "race: first touch of children", test_first_touch },
	{ "race: readers and a mapping that is replaced", test_readers },
	{ "race: writers never reach pages given back", test_writers },
	{ "race: collision storm", test_storm },
	{ "race: asynchronous prefetch", test_prefetch_async },
	{ "race: prefetch and destroy", test_prefetch_destroy },
	{ "race: regions come and go", test_threads_use_mm },
	{ }
};
