// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * leaf.c - leaves: find, make, unlink, collect
 */

#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "core.h"

static struct kmem_cache *leaf_cache;

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
	free_page((unsigned long)leaf->table);
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
 * @region: where
 * @index: in: where to start, out: where the leaf is
 * @last: how far to look
 *
 * Context: Any process context.
 * Return: a reference, NULL if there is none.
 */
struct odp_leaf *odp_leaf_find(struct odp_region *region,
			       unsigned long *index, unsigned long last)
{
	struct odp_leaf *leaf;

	rcu_read_lock();
	leaf = xa_find(&region->leaves, index, last, XA_PRESENT);
	while (leaf && !refcount_inc_not_zero(&leaf->refs))
		leaf = xa_find_after(&region->leaves, index, last, XA_PRESENT);
	rcu_read_unlock();
	return leaf;
}

static struct odp_leaf *leaf_lookup(struct odp_region *region,
				    unsigned long index)
{
	struct odp_leaf *leaf;

	rcu_read_lock();
	leaf = xa_load(&region->leaves, index);
	if (leaf && !refcount_inc_not_zero(&leaf->refs))
		leaf = NULL;
	rcu_read_unlock();
	return leaf;
}

/* One place, hence one lockdep class */
static void leaf_init(struct odp_leaf *leaf, unsigned long index)
{
	leaf->index = index;
	/* One for region->leaves, one for the caller */
	refcount_set(&leaf->refs, 2);
	mutex_init(&leaf->leaf_mutex);
}

static struct odp_leaf *leaf_create(struct odp_region *region,
				    unsigned long index, gfp_t gfp)
{
	struct odp_leaf *leaf;

	leaf = kmem_cache_zalloc(leaf_cache, gfp | __GFP_ACCOUNT);
	if (!leaf)
		return ERR_PTR(-ENOMEM);
	leaf_init(leaf, index);
	if (!region->is_static) {
		unsigned long child_index =
			index >> (ODP_CHILD_SHIFT - ODP_LEAF_SHIFT);
		struct odp_child *child =
			odp_child_get(region, child_index, gfp);

		if (IS_ERR(child)) {
			kmem_cache_free(leaf_cache, leaf);
			return ERR_CAST(child);
		}
		leaf->child = child;
	}
	return leaf;
}

/**
 * odp_leaf_get() - the leaf of a span, made if need be
 * @region: where
 * @index: in region->leaves
 * @gfp: as in odp_child_get()
 *
 * Context: As @gfp; mm_users held, mmap_lock not.
 * Return: a reference, or an ERR_PTR().
 */
struct odp_leaf *odp_leaf_get(struct odp_region *region,
			      unsigned long index, gfp_t gfp)
{
	struct mem_cgroup *old_memcg;
	struct odp_leaf *leaf, *old;

	leaf = leaf_lookup(region, index);
	if (leaf)
		return leaf;
	old_memcg = set_active_memcg(region->memcg);
	leaf = leaf_create(region, index, gfp);
	if (IS_ERR(leaf))
		goto out;
	for (;;) {
		old = xa_cmpxchg(&region->leaves, index, NULL, leaf,
				 gfp);
		if (!old)
			goto out;
		if (!xa_is_err(old))
			old = leaf_lookup(region, index);
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

/**
 * odp_leaf_add_table() - give a leaf its table, if it has none
 * @region: where
 * @leaf: referenced
 * @gfp: how to allocate; notifier callbacks must not reclaim
 *
 * Context: As @gfp.
 * Return: 0 or -ENOMEM.
 */
int odp_leaf_add_table(struct odp_region *region, struct odp_leaf *leaf,
		       gfp_t gfp)
{
	struct mem_cgroup *old_memcg;
	unsigned long table;

	/* Pairs with the cmpxchg below */
	if (READ_ONCE(leaf->table))
		return 0;
	old_memcg = set_active_memcg(region->memcg);
	table = __get_free_page(gfp | __GFP_ACCOUNT | __GFP_ZERO);
	set_active_memcg(old_memcg);
	if (!table)
		return -ENOMEM;
	if (cmpxchg(&leaf->table, NULL, (unsigned long *)table))
		free_page(table);
	return 0;
}

/*
 * Under leaf_mutex: @leaf leaves the region. No access begins after this, and
 * those in flight end before: an invalidation finds the leaf until then.
 */
static void leaf_unlink_locked(struct odp_region *region,
			       struct odp_leaf *leaf)
{
	lockdep_assert_held(&leaf->leaf_mutex);
	/* Pairs with atomic_inc_return() in odp_access_hold() */
	atomic_fetch_or(LEAF_DEAD, &leaf->accesses);
	lock_map_acquire(&odp_accessor_map);
	lock_map_release(&odp_accessor_map);
	wait_var_event(&leaf->accesses,
		       !(atomic_read(&leaf->accesses) & LEAF_COUNT));
	/* What the last access did comes before the leaf cannot be found */
	smp_mb();
	xa_erase(&region->leaves, leaf->index);
	if (leaf->present)
		odp_count(region, mapped_pages, -(s64)leaf->present);
	WRITE_ONCE(leaf->present, 0);
}

/* Drop the reference of the region to a leaf that was unlinked */
static void leaf_unlinked_and_put(struct odp_region *region,
				  struct odp_leaf *leaf)
{
	/*
	 * Only who has an access sets a hint, so there will be none again.
	 * Who has read it already counts itself under RCU and backs off.
	 */
	cmpxchg(odp_region_hint(region, leaf->index), leaf, NULL);
	leaf_put_sync(leaf);
}

/**
 * odp_leaf_unlink_all() - empty a region that nobody faults in any more
 * @region: dying, and not busy
 *
 * Context: May sleep.
 */
void odp_leaf_unlink_all(struct odp_region *region)
{
	struct odp_leaf *leaf;
	unsigned long index = 0;
	bool unlinked;

	while ((leaf = odp_leaf_find(region, &index, ULONG_MAX))) {
		mutex_lock(&leaf->leaf_mutex);
		unlinked = !(atomic_read(&leaf->accesses) & LEAF_DEAD);
		if (unlinked)
			leaf_unlink_locked(region, leaf);
		mutex_unlock(&leaf->leaf_mutex);
		if (unlinked)
			leaf_unlinked_and_put(region, leaf);
		leaf_put_sync(leaf);
		cond_resched();
	}
}

/**
 * odp_leaf_mark_empty() - a leaf may have lost its last page
 * @region: where
 * @index: which
 *
 * Context: Notifier callbacks too; does not sleep. No leaf_mutex held: the
 * collector clears the mark under it, so a mark set after the leaf was
 * emptied and unlocked is never lost.
 */
void odp_leaf_mark_empty(struct odp_region *region, unsigned long index)
{
	xa_set_mark(&region->leaves, index, LEAF_MARK_EMPTY);
	queue_delayed_work(odp_gc_wq, &region->gc_work, ODP_GC_DELAY);
}

static struct odp_leaf *leaf_find_marked(struct odp_region *region,
					 unsigned long *index)
{
	struct odp_leaf *leaf;

	rcu_read_lock();
	leaf = xa_find(&region->leaves, index, ULONG_MAX, LEAF_MARK_EMPTY);
	while (leaf && !refcount_inc_not_zero(&leaf->refs))
		leaf = xa_find_after(&region->leaves, index, ULONG_MAX,
				     LEAF_MARK_EMPTY);
	rcu_read_unlock();
	return leaf;
}

/*
 * Unlink a marked leaf if it is empty and unused. Return whether it has to be
 * looked at again: a fault that uses it now may leave it empty.
 */
static bool leaf_collect(struct odp_region *region, struct odp_leaf *leaf)
{
	bool dead, busy, unlink;

	mutex_lock(&leaf->leaf_mutex);
	dead = atomic_read(&leaf->accesses) & LEAF_DEAD;
	/* One of region->leaves, one of the collector */
	busy = !leaf->present && refcount_read(&leaf->refs) > 2;
	unlink = !leaf->present && !dead && !busy;
	if (unlink)
		leaf_unlink_locked(region, leaf);
	else if (!dead && !busy)
		xa_clear_mark(&region->leaves, leaf->index, LEAF_MARK_EMPTY);
	mutex_unlock(&leaf->leaf_mutex);
	if (unlink)
		leaf_unlinked_and_put(region, leaf);
	return busy && !dead;
}

/**
 * odp_leaf_gc_work() - free the leaves that are empty
 * @work: region->gc_work
 *
 * Context: Workqueue.
 */
void odp_leaf_gc_work(struct work_struct *work)
{
	struct odp_region *region =
		container_of(to_delayed_work(work), struct odp_region, gc_work);
	struct odp_leaf *leaf;
	unsigned long index = 0;
	bool again = false;

	while ((leaf = leaf_find_marked(region, &index))) {
		again |= leaf_collect(region, leaf);
		odp_leaf_put(leaf);
		index++;
		cond_resched();
	}
	if (again && !odp_region_is_dying(region))
		queue_delayed_work(odp_gc_wq, &region->gc_work,
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
	leaf_init(leaf, 0);
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
