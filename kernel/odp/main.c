// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * main.c - rdma_odp.ko: load and unload
 */

#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/sched/mm.h>

#include "core.h"

/* Collects empty leaves, destroys children and pools; never waits for pages */
struct workqueue_struct *odp_gc_wq;

/* Held by accesses in flight and by who waits for them: DOC: Locking */
#ifdef CONFIG_LOCKDEP
struct lockdep_map odp_accessor_map =
	STATIC_LOCKDEP_MAP_INIT("odp_accessor", &odp_accessor_map);
#endif

/*
 * Take the locks once in the order that DOC: Locking gives, so that lockdep
 * finds fault with the other order the first time that it is tried, and not
 * when reclaim happens to come by.
 */
static void lockdep_teach(void)
{
	if (!IS_ENABLED(CONFIG_LOCKDEP))
		return;
	if (current->mm)
		mmap_read_lock(current->mm);
	fs_reclaim_acquire(GFP_KERNEL);
	odp_leaf_lockdep_teach();
	fs_reclaim_release(GFP_KERNEL);
	if (current->mm)
		mmap_read_unlock(current->mm);
}

static int __init odp_init(void)
{
	int ret = -ENOMEM;

	odp_gc_wq = alloc_workqueue("odp_gc", WQ_UNBOUND, 0);
	if (!odp_gc_wq)
		return ret;
	ret = odp_leaf_cache_init();
	if (ret)
		goto err_gc_wq;
	ret = odp_fault_init();
	if (ret)
		goto err_leaf_cache;
	lockdep_teach();
	return 0;

err_leaf_cache:
	odp_leaf_cache_exit();
err_gc_wq:
	destroy_workqueue(odp_gc_wq);
	return ret;
}

static void __exit odp_exit(void)
{
	/* Prefetches fault, and what they drop last is for odp_gc_wq */
	odp_pools_wait();
	odp_fault_exit();
	destroy_workqueue(odp_gc_wq);
	odp_leaf_cache_exit();
}

module_init(odp_init);
module_exit(odp_exit);
MODULE_DESCRIPTION("On-demand paging of user memory for RDMA devices");
MODULE_LICENSE("Dual BSD/GPL");
