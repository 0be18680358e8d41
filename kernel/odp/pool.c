// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * pool.c - the workers that wait for the pages of one mm
 *
 * A page may never come (a userfaultfd or FUSE that nobody serves), and the
 * worker that waits for it never comes back. So each process has its own: one
 * that leaves its pages unserved runs out of workers for its own memory, and
 * nobody else does.
 */

#include <linux/export.h>
#include <linux/hashtable.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "core.h"

/* Waits of one process at a time; more of them queue */
#define POOL_MAX_ACTIVE		512

/* Guards the table. A pool is in it as long as it has references */
static DEFINE_SPINLOCK(pools_lock);
static DEFINE_HASHTABLE(pools, 8);
/* Pools that are not freed yet, those out of the table included */
static atomic_t pools_alive = ATOMIC_INIT(0);

/* Whoever had the last reference may have been one of its workers */
static void pool_release_work(struct work_struct *work)
{
	struct sodp_pool *pool = container_of(work, struct sodp_pool,
					      release_work);

	destroy_workqueue(pool->wq);
	mmdrop(pool->mm);
	kfree(pool);
	if (atomic_dec_and_test(&pools_alive))
		wake_up_var(&pools_alive);
}

static struct sodp_pool *pool_alloc(struct mm_struct *mm)
{
	struct sodp_pool *pool = kzalloc(sizeof(*pool), GFP_KERNEL_ACCOUNT);

	if (!pool)
		return NULL;
	pool->wq = alloc_workqueue("sodp_fault_%d", WQ_UNBOUND,
				   POOL_MAX_ACTIVE, task_tgid_nr(current));
	if (!pool->wq) {
		kfree(pool);
		return NULL;
	}
	INIT_WORK(&pool->release_work, pool_release_work);
	refcount_set(&pool->refs, 1);
	/* Its address is the key */
	mmgrab(mm);
	pool->mm = mm;
	return pool;
}

static struct sodp_pool *pool_find(struct mm_struct *mm)
{
	struct sodp_pool *pool;

	lockdep_assert_held(&pools_lock);
	hash_for_each_possible(pools, pool, node, (unsigned long)mm)
		if (pool->mm == mm) {
			refcount_inc(&pool->refs);
			return pool;
		}
	return NULL;
}

/**
 * sodp_pool_get() - the pool of the calling process
 *
 * It is made when there is none; every region of the process has a reference.
 * A driver that takes one for as long as a process uses it makes creating the
 * first region as cheap as the others.
 *
 * Context: Process context, may sleep.
 * Return: the pool, for sodp_pool_put(); ERR_PTR(-EINVAL) without a mm,
 * ERR_PTR(-ENOMEM).
 */
struct sodp_pool *sodp_pool_get(void)
{
	struct mm_struct *mm = current->mm;
	struct sodp_pool *pool, *other;

	if (!mm)
		return ERR_PTR(-EINVAL);
	spin_lock(&pools_lock);
	pool = pool_find(mm);
	spin_unlock(&pools_lock);
	if (pool)
		return pool;
	pool = pool_alloc(mm);
	if (!pool)
		return ERR_PTR(-ENOMEM);
	atomic_inc(&pools_alive);
	spin_lock(&pools_lock);
	other = pool_find(mm);
	if (!other)
		hash_add(pools, &pool->node, (unsigned long)mm);
	spin_unlock(&pools_lock);
	if (!other)
		return pool;
	/* Another thread was first */
	pool_release_work(&pool->release_work);
	return other;
}
EXPORT_SYMBOL_GPL(sodp_pool_get);

/**
 * sodp_pool_put() - drop a reference
 * @pool: goes, some time after the last one
 *
 * Context: Process context; does not wait.
 */
void sodp_pool_put(struct sodp_pool *pool)
{
	bool last;

	if (refcount_dec_not_one(&pool->refs))
		return;
	spin_lock(&pools_lock);
	last = refcount_dec_and_test(&pool->refs);
	if (last)
		hash_del(&pool->node);
	spin_unlock(&pools_lock);
	if (last)
		queue_work(sodp_gc_wq, &pool->release_work);
}
EXPORT_SYMBOL_GPL(sodp_pool_put);

/**
 * sodp_pools_wait() - wait until the last worker has come back
 *
 * For a driver that unloads: all regions are destroyed, and nothing takes a
 * reference on a pool any more. Takes as long as the longest wait for a page.
 *
 * Context: May sleep.
 */
void sodp_pools_wait(void)
{
	wait_var_event(&pools_alive, !atomic_read(&pools_alive));
}
EXPORT_SYMBOL_GPL(sodp_pools_wait);

/**
 * sodp_region_queue_work() - have a worker of the region's process do it
 * @region: not static; the caller's reference stays until the work has begun
 * @work: may call sodp_region_fault(), which may never return. It may drop
 *	the last reference to the region.
 *
 * Context: Any.
 */
void sodp_region_queue_work(struct sodp_region *region,
			    struct work_struct *work)
{
	queue_work(region->pool->wq, work);
}
EXPORT_SYMBOL_GPL(sodp_region_queue_work);
