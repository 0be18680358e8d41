// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * main.c - rdma_odp.ko: load and unload
 */

#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/sched/mm.h>

#include "core.h"
#include "memcpy.h"

/* Collects leaves, destroys children; never waits for pages */
struct workqueue_struct *odp_gc_wq;

/* Lets go of spaces, and of workers: waits for what the other one does */
struct workqueue_struct *odp_release_wq;

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
	odp_release_wq = alloc_workqueue("odp_release", WQ_UNBOUND, 0);
	if (!odp_release_wq)
		goto err_gc_wq;
	ret = odp_leaf_cache_init();
	if (ret)
		goto err_release_wq;
	ret = odp_fault_init();
	if (ret)
		goto err_leaf_cache;
	ret = odp_space_init();
	if (ret)
		goto err_fault;
	odp_memcpy_init();
	lockdep_teach();
	return 0;

err_fault:
	odp_fault_exit();
err_leaf_cache:
	odp_leaf_cache_exit();
err_release_wq:
	destroy_workqueue(odp_release_wq);
err_gc_wq:
	destroy_workqueue(odp_gc_wq);
	return ret;
}

static void __exit odp_exit(void)
{
	odp_space_exit();
	/* Prefetches fault, and what they drop last is for these two */
	odp_spaces_wait();
	destroy_workqueue(odp_release_wq);
	odp_fault_exit();
	destroy_workqueue(odp_gc_wq);
	odp_leaf_cache_exit();
}

module_init(odp_init);
module_exit(odp_exit);
MODULE_DESCRIPTION("On-demand paging of user memory for RDMA devices");
MODULE_LICENSE("Dual BSD/GPL");
