// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * child.c - children: the spans of a region that listen to the mm
 *
 * A child comes into being when a device first touches its span, so that
 * registration costs nothing and an mm's interval tree holds only what is
 * used. It goes when its last leaf has gone.
 */

#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "core.h"
#include "trace.h"

/*
 * No more callbacks. Done once: by who drops the last reference, or before
 * that, with a reference, by odp_child_detach_all().
 */
static void child_detach(struct odp_child *child)
{
	struct odp_region *region = child->region;

	if (child->detached)
		return;
	child->detached = true;
	trace_odp_child_destroy(region, child->start, child->last);
	/* Sleeps until no callback runs */
	mmu_interval_notifier_remove(&child->interval_sub);
	xa_cmpxchg(&region->children, child->index, child, NULL, 0);
	/* The region may be gone after the decrement; its address is a key */
	if (atomic_dec_and_test(&region->live_children))
		wake_up_var(&region->live_children);
}

static void child_destroy(struct odp_child *child)
{
	child_detach(child);
	kfree_rcu(child, rcu);
}

static void child_destroy_work(struct work_struct *work)
{
	child_destroy(container_of(work, struct odp_child, destroy_work));
}

/**
 * odp_child_put() - drop a reference; the last one destroys, but later
 * @child: may be gone afterwards
 *
 * Context: Any process context, notifier callbacks included.
 */
void odp_child_put(struct odp_child *child)
{
	if (refcount_dec_and_test(&child->refs))
		queue_work(odp_gc_wq, &child->destroy_work);
}

/**
 * odp_child_put_sync() - drop a reference; the last one destroys, now
 * @child: may be gone afterwards
 *
 * Context: May sleep. No mmap_lock, no leaf_mutex, not in a callback.
 */
void odp_child_put_sync(struct odp_child *child)
{
	if (refcount_dec_and_test(&child->refs))
		child_destroy(child);
}

/* Ours was not needed. To remove it waits for invalidations under way. */
static void child_put_unused(struct odp_child *child, gfp_t gfp)
{
	if (gfpflags_allow_blocking(gfp))
		odp_child_put_sync(child);
	else
		odp_child_put(child);
}

static struct odp_child *child_create(struct odp_region *region,
				      unsigned long index, gfp_t gfp)
{
	u64 first = (u64)index << ODP_CHILD_SHIFT;
	u64 last = first + ODP_CHILD_SIZE - 1;
	struct odp_child *child;
	int ret;

	child = kzalloc(sizeof(*child), gfp | __GFP_ACCOUNT);
	if (!child)
		return ERR_PTR(-ENOMEM);
	child->region = region;
	child->index = index;
	child->start = max(first, region->start & PAGE_MASK);
	child->last = min(last, region->last | ~PAGE_MASK);
	refcount_set(&child->refs, 1);
	spin_lock_init(&child->inval_lock);
	child->inval_by = ODP_INVAL_UNKNOWN;
	INIT_WORK(&child->destroy_work, child_destroy_work);
	ret = mmu_interval_notifier_insert(&child->interval_sub, region->mm,
					   child->start,
					   child->last - child->start + 1,
					   &odp_child_ops);
	if (ret) {
		kfree(child);
		return ERR_PTR(ret);
	}
	/* Once is enough, for as long as the mm lives */
	WRITE_ONCE(region->pool->listens, true);
	atomic_inc(&region->live_children);
	return child;
}

/**
 * odp_child_set_seq() - an invalidation in the span of a child has begun
 * @child: which
 * @seq: what the callback was given
 *
 * Context: Notifier callbacks; does not sleep.
 */
void odp_child_set_seq(struct odp_child *child, unsigned long seq)
{
	spin_lock(&child->inval_lock);
	if (!child->inval_by)
		child->inval_by = current;
	else if (child->inval_by != current)
		child->inval_by = ODP_INVAL_UNKNOWN;
	mmu_interval_set_seq(&child->interval_sub, seq);
	spin_unlock(&child->inval_lock);
}

/*
 * Numbers only rise; who is late with an older one, and overwrites a newer
 * one, makes somebody wait that need not.
 */
static void child_is_quiet(struct odp_child *child, unsigned long seq)
{
	unsigned long *quiet_seq = &child->region->pool->quiet_seq;

	if ((long)(seq - READ_ONCE(*quiet_seq)) <= 0)
		return;
	/* Pairs with smp_load_acquire() in odp_child_try_seq() */
	smp_store_release(quiet_seq, seq);
}

/**
 * odp_child_try_seq() - mmu_interval_read_begin() for who may not wait
 * @child: which
 * @seq: as mmu_interval_read_begin() returns it, for
 *	mmu_interval_read_retry()
 *
 * That function sleeps until all invalidations of the mm are over if one of
 * them has hit the child. There is no asking whether one is in progress, only
 * callbacks when one begins. What can be known without sleeping is this:
 *  - the mm numbers the times in which invalidations hit anybody, one number
 *    for as long as any of them goes on. If somebody has waited for one to
 *    end, it and all before it are over (pool->quiet_seq);
 *  - if since then all that hit this child were made by the current task,
 *    they are over as well: it is here, and not in the middle of them. That
 *    is the task which has just freed some memory and goes on sending.
 * A child that is new may have missed callbacks of invalidations that go on;
 * only the first can be said of it.
 *
 * Context: Does not sleep. mmap_lock may be held. Not in a callback.
 * Return: true, or false if one may be in progress: odp_child_wait_seq().
 */
bool odp_child_try_seq(struct odp_child *child, unsigned long *seq)
{
	const struct task_struct *by;
	unsigned long quiet_seq;

	spin_lock(&child->inval_lock);
	*seq = READ_ONCE(child->interval_sub.invalidate_seq);
	if (child->inval_by && child->inval_by != current) {
		/* Pairs with smp_store_release() in child_is_quiet() */
		quiet_seq = smp_load_acquire(&child->region->pool->quiet_seq);
		if ((long)(*seq - quiet_seq) <= 0)
			child->inval_by = NULL;
	}
	by = child->inval_by;
	spin_unlock(&child->inval_lock);
	return !by || by == current;
}

/**
 * odp_child_wait_seq() - wait until the invalidations under way are over
 * @child: which
 *
 * Afterwards odp_child_try_seq() succeeds, until the next one begins.
 *
 * Context: Sleeps. No mmap_lock, no leaf_mutex, not in a callback.
 */
void odp_child_wait_seq(struct odp_child *child)
{
	unsigned long seq = mmu_interval_read_begin(&child->interval_sub);

	child_is_quiet(child, seq);
	spin_lock(&child->inval_lock);
	if (child->interval_sub.invalidate_seq == seq)
		child->inval_by = NULL;
	spin_unlock(&child->inval_lock);
}

static struct odp_child *child_find(struct odp_region *region,
				    unsigned long index)
{
	struct odp_child *child;

	rcu_read_lock();
	child = xa_load(&region->children, index);
	if (child && !refcount_inc_not_zero(&child->refs))
		child = NULL;
	rcu_read_unlock();
	return child;
}

/*
 * Put @child where others find it. Return it, or the one that is there and
 * alive; NULL when that may be another by now.
 */
static struct odp_child *child_publish(struct odp_child *child, gfp_t gfp)
{
	struct xarray *children = &child->region->children;
	struct odp_child *seen, *old;

	xa_lock(children);
	/* Whoever frees it takes it out first, under xa_lock */
	seen = xa_load(children, child->index);
	if (seen && refcount_inc_not_zero(&seen->refs)) {
		xa_unlock(children);
		return seen;
	}
	/* Drops xa_lock to allocate, but only where nothing is yet */
	old = __xa_cmpxchg(children, child->index, seen, child, gfp);
	xa_unlock(children);
	if (xa_is_err(old))
		return ERR_PTR(xa_err(old));
	return old == seen ? child : NULL;
}

/**
 * odp_child_get() - the child of a span, made if need be
 * @region: where; its memcg is the active one
 * @index: in region->children
 * @gfp: how to allocate; who may not wait does not make it either if that needs
 *	mmap_lock for writing
 *
 * Whoever loses the race to publish frees its own and takes the winner's.
 * One that is dying is replaced at once: for a moment two children listen to
 * the span, and a leaf may be zapped twice by one event, which is harmless.
 *
 * Context: May sleep; mm_users held, mmap_lock not.
 * Return: a reference, or an ERR_PTR().
 */
struct odp_child *odp_child_get(struct odp_region *region,
				unsigned long index, gfp_t gfp)
{
	struct odp_child *child, *found;

	for (;;) {
		child = child_find(region, index);
		if (child)
			return child;
		/* The mm's first interval notifier ever takes mmap_lock */
		if (!gfpflags_allow_blocking(gfp) &&
		    !READ_ONCE(region->pool->listens))
			return ERR_PTR(-EAGAIN);
		child = child_create(region, index, gfp);
		if (IS_ERR(child))
			return child;
		found = child_publish(child, gfp);
		if (found == child) {
			trace_odp_child_create(region, child->start,
					       child->last);
			/* The first fault need not find out */
			if (gfpflags_allow_blocking(gfp))
				odp_child_wait_seq(child);
			return child;
		}
		child_put_unused(child, gfp);
		if (found)
			return found;
	}
}

/**
 * odp_child_detach_all() - end the callbacks of a region
 * @region: dying, and not busy
 *
 * What faults that are waiting for a page keep is memory, not callbacks.
 *
 * Context: May sleep. No mmap_lock, no leaf_mutex, not in a callback.
 */
void odp_child_detach_all(struct odp_region *region)
{
	struct odp_child *child, *seen;
	unsigned long index;

	xa_for_each(&region->children, index, seen) {
		child = child_find(region, index);
		if (!child)
			continue;
		child_detach(child);
		odp_child_put_sync(child);
	}
	/* Those whose last reference was dropped before we came */
	wait_var_event(&region->live_children,
		       !atomic_read(&region->live_children));
}
