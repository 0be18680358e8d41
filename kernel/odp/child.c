// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * child.c - children: the spans of a space that listen to the mm
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

static void child_destroy(struct odp_child *child)
{
	struct odp_space *space = child->space;

	trace_odp_child_destroy(space, child->start, child->last);
	/* Sleeps until no callback runs */
	mmu_interval_notifier_remove(&child->interval_sub);
	xa_cmpxchg(&space->children, child->index, child, NULL, 0);
	/* The space may be gone after the decrement; its address is a key */
	if (atomic_dec_and_test(&space->live_children))
		wake_up_var(&space->live_children);
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

static struct odp_child *child_create(struct odp_space *space,
				      unsigned long index, gfp_t gfp)
{
	unsigned long first = index << ODP_CHILD_SHIFT;
	struct odp_child *child;
	int ret;

	child = kzalloc(sizeof(*child), gfp | __GFP_ACCOUNT);
	if (!child)
		return ERR_PTR(-ENOMEM);
	child->space = space;
	child->index = index;
	child->start = first;
	child->last = min(first + ODP_CHILD_SIZE - 1,
			  space->mm->task_size - 1);
	refcount_set(&child->refs, 1);
	INIT_WORK(&child->destroy_work, child_destroy_work);
	ret = READ_ONCE(space->omm->listens) ? 0 : odp_mm_listen(space->omm);
	if (!ret)
		ret = mmu_interval_notifier_insert(&child->interval_sub,
						   space->mm, child->start,
						   child->last - child->start +
						   1, &odp_child_ops);
	if (ret) {
		kfree(child);
		return ERR_PTR(ret);
	}
	/* Once is enough, for as long as the mm lives */
	WRITE_ONCE(space->omm->listens, true);
	atomic_inc(&space->live_children);
	return child;
}

/**
 * odp_child_wait() - wait until no invalidation of the mm goes on
 * @child: which is told of those that begin later
 *
 * A child that is new has missed the beginning of those that went on when it
 * was made. Afterwards it has missed none that still goes on.
 *
 * Context: Sleeps. No mmap_lock, no leaf_mutex, not in a callback.
 */
void odp_child_wait(struct odp_child *child)
{
	mmu_interval_read_begin(&child->interval_sub);
	/* Pairs with smp_load_acquire() in fault_prepare() */
	smp_store_release(&child->sure, true);
}

static struct odp_child *child_find(struct odp_space *space,
				    unsigned long index)
{
	struct odp_child *child;

	rcu_read_lock();
	child = xa_load(&space->children, index);
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
	struct xarray *children = &child->space->children;
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
 * @space: where; its memcg is the active one
 * @index: in space->children
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
struct odp_child *odp_child_get(struct odp_space *space, unsigned long index,
				gfp_t gfp)
{
	struct odp_child *child, *found;

	for (;;) {
		child = child_find(space, index);
		if (child)
			return child;
		/* The mm's first notifiers take mmap_lock */
		if (!gfpflags_allow_blocking(gfp) &&
		    !READ_ONCE(space->omm->listens))
			return ERR_PTR(-EAGAIN);
		child = child_create(space, index, gfp);
		if (IS_ERR(child))
			return child;
		found = child_publish(child, gfp);
		if (found == child) {
			trace_odp_child_create(space, child->start,
					       child->last);
			/* The first fault need not find out */
			if (gfpflags_allow_blocking(gfp))
				odp_child_wait(child);
			return child;
		}
		child_put_unused(child, gfp);
		if (found)
			return found;
	}
}

/**
 * odp_child_wait_all() - wait until the callbacks of a space have ended
 * @space: has no leaves, and nobody makes any
 *
 * Context: May sleep. No mmap_lock, no leaf_mutex, not in a callback.
 */
void odp_child_wait_all(struct odp_space *space)
{
	wait_var_event(&space->live_children,
		       !atomic_read(&space->live_children));
}
