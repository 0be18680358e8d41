// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * leaf.c - leaves: find, make, unlink, collect
 */

#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "access.h"

static struct kmem_cache *leaf_cache;
/* Those that can be made anew: what the shrinker counts */
static atomic_long_t nr_leaves = ATOMIC_LONG_INIT(0);

static void leaf_free_rcu(struct rcu_head *rcu)
{
	kmem_cache_free(leaf_cache, container_of(rcu, struct odp_leaf, rcu));
}

static void leaf_free(struct odp_leaf *leaf)
{
	/*
	 * No access is in flight (leaf_unlink_locked() waited, and an access
	 * that comes later sees LEAF_DEAD), so the table can go at once.
	 */
	odp_table_free(leaf->table);
	if (leaf->child)
		atomic_long_dec(&nr_leaves);
	call_rcu(&leaf->rcu, leaf_free_rcu);
}

/**
 * odp_leaf_put() - drop a reference
 * @leaf: may be gone afterwards
 *
 * Context: Any process context, notifier callbacks included.
 */
void odp_leaf_put(struct odp_leaf *leaf)
{
	struct odp_child *child = leaf->child;

	if (!refcount_dec_and_test(&leaf->refs))
		return;
	leaf_free(leaf);
	if (child)
		odp_child_put(child);
}

static void leaf_put_sync(struct odp_leaf *leaf)
{
	struct odp_child *child = leaf->child;

	if (!refcount_dec_and_test(&leaf->refs))
		return;
	leaf_free(leaf);
	if (child)
		odp_child_put_sync(child);
}

/**
 * odp_leaf_find() - the first leaf at or after an index
 * @space: where
 * @index: in: where to start, out: where the leaf is
 * @last: how far to look
 *
 * Context: Any process context.
 * Return: a reference, NULL if there is none.
 */
struct odp_leaf *odp_leaf_find(struct odp_space *space,
			       unsigned long *index, unsigned long last)
{
	struct odp_leaf *leaf;

	rcu_read_lock();
	leaf = xa_find(&space->leaves, index, last, XA_PRESENT);
	while (leaf && !refcount_inc_not_zero(&leaf->refs))
		leaf = xa_find_after(&space->leaves, index, last, XA_PRESENT);
	rcu_read_unlock();
	return leaf;
}

static struct odp_leaf *leaf_lookup(struct odp_space *space,
				    unsigned long index)
{
	struct odp_leaf *leaf;

	rcu_read_lock();
	leaf = xa_load(&space->leaves, index);
	if (leaf && !refcount_inc_not_zero(&leaf->refs))
		leaf = NULL;
	rcu_read_unlock();
	return leaf;
}

/* One place, hence one lockdep class */
static void leaf_init(struct odp_leaf *leaf, struct odp_space *space,
		      unsigned long index)
{
	leaf->space = space;
	leaf->index = index;
	if (space && odp_space_is_device(space))
		leaf->state = LEAF_DEVICE;
	/* One for space->leaves, one for the caller */
	refcount_set(&leaf->refs, 2);
	mutex_init(&leaf->leaf_mutex);
}

static struct odp_leaf *leaf_create(struct odp_space *space,
				    unsigned long index, gfp_t gfp)
{
	struct odp_leaf *leaf;

	leaf = kmem_cache_zalloc(leaf_cache, gfp | __GFP_ACCOUNT);
	if (!leaf)
		return ERR_PTR(-ENOMEM);
	leaf_init(leaf, space, index);
	if (space->mm) {
		unsigned long child_index =
			index >> (ODP_CHILD_SHIFT - ODP_LEAF_SHIFT);
		struct odp_child *child =
			odp_child_get(space, child_index, gfp);

		if (IS_ERR(child)) {
			kmem_cache_free(leaf_cache, leaf);
			return ERR_CAST(child);
		}
		leaf->child = child;
		/* Before it is found: pairs with find_next_bit() in child_zap() */
		set_bit(index & (ODP_CHILD_LEAVES - 1), child->made);
		atomic_long_inc(&nr_leaves);
	}
	return leaf;
}

long odp_leaf_count(void)
{
	return atomic_long_read(&nr_leaves);
}

/**
 * odp_leaf_get() - the leaf of a span, made if need be
 * @space: where
 * @index: in space->leaves
 * @gfp: as in odp_child_get()
 *
 * Context: As @gfp; mm_users held, mmap_lock not.
 * Return: a reference, or an ERR_PTR().
 */
struct odp_leaf *odp_leaf_get(struct odp_space *space,
			      unsigned long index, gfp_t gfp)
{
	struct mem_cgroup *old_memcg;
	struct odp_leaf *leaf, *old;

	leaf = leaf_lookup(space, index);
	if (leaf)
		return leaf;
	old_memcg = set_active_memcg(space->memcg);
	leaf = leaf_create(space, index, gfp);
	if (IS_ERR(leaf))
		goto out;
	for (;;) {
		old = xa_cmpxchg(&space->leaves, index, NULL, leaf,
				 gfp);
		if (!old)
			goto out;
		if (!xa_is_err(old))
			old = leaf_lookup(space, index);
		else
			old = ERR_PTR(xa_err(old));
		/* NULL: the one that was there has just been unlinked */
		if (old)
			break;
	}
	refcount_set(&leaf->refs, 1);
	if (gfpflags_allow_blocking(gfp))
		leaf_put_sync(leaf);
	else
		odp_leaf_put(leaf);
	leaf = old;
out:
	set_active_memcg(old_memcg);
	return leaf;
}

/*
 * Under leaf_mutex: @leaf leaves the space. No access begins after this, and
 * those in flight end before: an invalidation finds the leaf until then.
 */
static void leaf_unlink_locked(struct odp_leaf *leaf)
{
	struct odp_space *space = leaf->space;

	lockdep_assert_held(&leaf->leaf_mutex);
	WRITE_ONCE(leaf->state, leaf->state | LEAF_DEAD);
	/* Pairs with smp_mb() in odp_access_hold() */
	smp_mb();
	odp_access_wait(leaf, true);
	odp_access_forget(leaf);
	if (leaf->state & LEAF_DEVICE)
		odp_device_release(leaf);
	xa_erase(&space->leaves, leaf->index);
	odp_domain_count(space->domain, mapped_pages, -(s64)leaf->present);
	WRITE_ONCE(leaf->present, 0);
}

/**
 * odp_leaf_unlink_all() - empty a space that nobody uses any more
 * @space: which
 *
 * Context: May sleep.
 */
void odp_leaf_unlink_all(struct odp_space *space)
{
	struct odp_leaf *leaf;
	unsigned long index = 0;
	bool unlinked;

	while ((leaf = odp_leaf_find(space, &index, ULONG_MAX))) {
		mutex_lock(&leaf->leaf_mutex);
		unlinked = !(leaf->state & LEAF_DEAD);
		if (unlinked)
			leaf_unlink_locked(leaf);
		mutex_unlock(&leaf->leaf_mutex);
		if (unlinked)
			leaf_put_sync(leaf);
		leaf_put_sync(leaf);
		cond_resched();
	}
}

/**
 * odp_leaf_take_idle() - unlink a leaf that can be made anew at any time
 * @leaf: referenced by the caller
 *
 * Context: May sleep, also in reclaim; does not wait for a leaf_mutex.
 * Return: true: it was; false: somebody uses it just now, or it is gone.
 */
bool odp_leaf_take_idle(struct odp_leaf *leaf)
{
	bool unlink;

	if (!mutex_trylock(&leaf->leaf_mutex))
		return false;
	/* One of space->leaves, one of the caller */
	unlink = !(leaf->state & ~LEAF_DEVICE) &&
		 refcount_read(&leaf->refs) == 2;
	if (unlink)
		leaf_unlink_locked(leaf);
	mutex_unlock(&leaf->leaf_mutex);
	if (unlink)
		odp_leaf_put(leaf);
	return unlink;
}

/**
 * odp_leaf_mark_empty() - a leaf may have lost its last page
 * @space: where
 * @index: which
 *
 * Context: Notifier callbacks too; does not sleep. No leaf_mutex held: the
 * collector clears the mark under it, so a mark set after the leaf was
 * emptied and unlocked is never lost.
 */
void odp_leaf_mark_empty(struct odp_space *space, unsigned long index)
{
	xa_set_mark(&space->leaves, index, LEAF_MARK_EMPTY);
	queue_delayed_work(odp_gc_wq, &space->gc_work, ODP_GC_DELAY);
}

static struct odp_leaf *leaf_find_marked(struct odp_space *space,
					 unsigned long *index)
{
	struct odp_leaf *leaf;

	rcu_read_lock();
	leaf = xa_find(&space->leaves, index, ULONG_MAX, LEAF_MARK_EMPTY);
	while (leaf && !refcount_inc_not_zero(&leaf->refs))
		leaf = xa_find_after(&space->leaves, index, ULONG_MAX,
				     LEAF_MARK_EMPTY);
	rcu_read_unlock();
	return leaf;
}

/*
 * Unlink a marked leaf if it is empty and unused. Return whether it has to be
 * looked at again: a fault that uses it now may leave it empty.
 */
static bool leaf_collect(struct odp_space *space, struct odp_leaf *leaf)
{
	bool dead, busy, unlink;

	mutex_lock(&leaf->leaf_mutex);
	dead = leaf->state & LEAF_DEAD;
	/* One of space->leaves, one of the collector */
	busy = !leaf->present && refcount_read(&leaf->refs) > 2;
	unlink = !leaf->present && !dead && !busy;
	if (unlink)
		leaf_unlink_locked(leaf);
	else if (!dead && !busy)
		xa_clear_mark(&space->leaves, leaf->index, LEAF_MARK_EMPTY);
	mutex_unlock(&leaf->leaf_mutex);
	if (unlink)
		odp_leaf_put(leaf);
	return busy && !dead;
}

/**
 * odp_leaf_gc_work() - free the leaves that are empty
 * @work: space->gc_work
 *
 * Context: Workqueue.
 */
void odp_leaf_gc_work(struct work_struct *work)
{
	struct odp_space *space =
		container_of(to_delayed_work(work), struct odp_space, gc_work);
	struct odp_leaf *leaf;
	unsigned long index = 0;
	bool again = false;

	while ((leaf = leaf_find_marked(space, &index))) {
		again |= leaf_collect(space, leaf);
		odp_leaf_put(leaf);
		index++;
		cond_resched();
	}
	if (again && !READ_ONCE(space->closing))
		queue_delayed_work(odp_gc_wq, &space->gc_work,
				   ODP_GC_DELAY);
}

/**
 * odp_leaf_lockdep_teach() - a leaf_mutex, and below it the wait for accesses
 *
 * Context: Module load, with what comes before them held.
 */
void odp_leaf_lockdep_teach(void)
{
	/* mutex_init() of leaf_init(): the class is that of every leaf */
	struct odp_leaf *leaf = kmem_cache_zalloc(leaf_cache, GFP_NOWAIT);

	if (!leaf)
		return;
	leaf_init(leaf, NULL, 0);
	mutex_lock(&leaf->leaf_mutex);
	lock_map_acquire(&odp_accessor_map);
	lock_map_release(&odp_accessor_map);
	mutex_unlock(&leaf->leaf_mutex);
	kmem_cache_free(leaf_cache, leaf);
}

int odp_leaf_cache_init(void)
{
	leaf_cache = KMEM_CACHE(odp_leaf, SLAB_ACCOUNT);
	return leaf_cache ? 0 : -ENOMEM;
}

void odp_leaf_cache_exit(void)
{
	/* Pairs with call_rcu() in leaf_free() */
	rcu_barrier();
	kmem_cache_destroy(leaf_cache);
}
