// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * fresh.c - leaves that are made while the mm takes pages back
 */

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/sched/mm.h>

#include "selftest.h"

#define RW		(PROT_READ | PROT_WRITE)
#define FRESH_ROUNDS	60

/**
 * struct fresh - a fault and an invalidation that meet
 * @region: of two leaves, the second one made
 * @va: of the first leaf
 * @delay_us: how long the fault waits for the invalidation to begin
 * @go: both may begin
 * @ret: of the fault
 */
struct fresh {
	struct odp_region *region;
	unsigned long va;
	unsigned int delay_us;
	bool go;
	int ret;
};

static int fresh_thread(void *data)
{
	struct fresh *fresh = data;

	/* Pairs with smp_store_release() in fresh_meet() */
	while (!smp_load_acquire(&fresh->go) && !kthread_should_stop())
		cond_resched();
	if (fresh->delay_us)
		usleep_range(fresh->delay_us, fresh->delay_us + 100);
	fresh->ret = odp_region_fault(fresh->region, fresh->va, 8, 0);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return fresh->ret == -EAGAIN ? 0 : fresh->ret;
}

/* The device makes the leaf of a page that is being thrown away */
static int fresh_meet(struct fresh *fresh)
{
	struct task_struct *task;
	int ret, stopped;

	fresh->go = false;
	task = kthread_run(fresh_thread, fresh, "odp_fresh");
	if (IS_ERR(task))
		return PTR_ERR(task);
	/* Pairs with smp_load_acquire() in fresh_thread() */
	smp_store_release(&fresh->go, true);
	ret = st_madvise(fresh->va, PAGE_SIZE, MADV_DONTNEED);
	stopped = kthread_stop(task);
	/* Stopped before it ever ran: the host is busy */
	return ret ?: stopped == -EINTR ? 0 : stopped;
}

/* The device sees what the CPU sees: a new page, and not the old one */
static int fresh_round(struct fresh *fresh)
{
	u64 word = 0x600dda7a;
	struct page *page;
	int ret;

	fresh->region = st_region(fresh->va, 2 * ODP_LEAF_SIZE);
	ST_CHECK(!IS_ERR(fresh->region), PTR_ERR(fresh->region));
	if (copy_to_user((void __user *)fresh->va, &word, sizeof(word)))
		ret = -EFAULT;
	else	/* There is a child: it is told of the invalidation */
		ret = odp_region_fault(fresh->region, fresh->va +
				       ODP_LEAF_SIZE, 8, ODP_FAULT_WRITE);
	/* Kept, so that nobody changes what is in it */
	if (!ret && get_user_pages_fast(fresh->va, 1, 0, &page) != 1)
		ret = -EFAULT;
	ST_CHECK_GOTO(!ret, out);
	ret = fresh_meet(fresh);
	if (!ret)
		ret = st_copy_out(&word, fresh->region, fresh->va,
				  sizeof(word));
	put_page(page);
	if (!ret && word) {
		pr_info("# the device reads %#llx from a page that is gone\n",
			word);
		ret = -EBADMSG;
	}
out:
	odp_region_destroy(fresh->region);
	return ret;
}

/*
 * An invalidation looks for leaves while a fault makes one. Normally the
 * window is as long as a store buffer; the core that is made by
 * ODP_LATE_SEQ=y has one of 20 ms and fails.
 */
static int test_fresh_leaf(void)
{
	unsigned long len = 2 * ODP_LEAF_SIZE;
	struct fresh fresh = { };
	int ret = 0, round;

	fresh.va = st_map_aligned(len, len);
	ST_CHECK(!IS_ERR_VALUE(fresh.va), -ENOMEM);
	for (round = 0; !ret && round < FRESH_ROUNDS; round++) {
		fresh.delay_us = round % 4 ? 0 : 5000;
		ret = fresh_round(&fresh);
	}
	st_unmap(fresh.va, len);
	return ret;
}

const struct st_case st_fresh_cases[] = {
	{ "race: a leaf that is made while its page goes", test_fresh_leaf },
	{ }
};
