// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * space.c - the shadow of one mm for one domain
 *
 * What a device may touch of a process' memory is kept once, whatever number
 * of regions there are of it: they are windows. So a second region over the
 * same memory is warm from its first byte, and who registers, uses and
 * deregisters finds its pages again the next time. A leaf that no region
 * covers stays as it is, and in step with the mm, until it is empty, or was
 * not covered for a while, or memory is short, or the space goes. It takes no
 * more than the CPU's own table does, for no entry is without a page.
 */

#include <linux/export.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "core.h"
#include "../compat/compat_mm.h"

/* A leaf that no region covers for between one and two of these goes */
#define SPACE_AGE	(10 * HZ)

/* Guards both lists, and omm->spaces */
static DEFINE_SPINLOCK(spaces_lock);
static LIST_HEAD(spaces);
/* Not freed yet, those of static regions included */
static atomic_t spaces_alive = ATOMIC_INIT(0);
static struct shrinker *space_shrinker;

static bool space_hold(struct odp_space *space)
{
	return refcount_inc_not_zero(&space->refs);
}

/* One at a time, each with a reference: @prev is let go of. NULL: the first */
static struct odp_space *space_next(struct odp_space *prev)
{
	struct odp_space *next = NULL, *space;

	spin_lock(&spaces_lock);
	space = list_prepare_entry(prev, &spaces, node);
	list_for_each_entry_continue(space, &spaces, node)
		if (space_hold(space)) {
			next = space;
			break;
		}
	spin_unlock(&spaces_lock);
	if (prev)
		odp_space_put_later(prev);
	return next;
}

static bool space_covers(struct odp_space *space, unsigned long index)
{
	unsigned long start = index << ODP_LEAF_SHIFT;
	bool covers;

	spin_lock(&space->regions_lock);
	covers = interval_tree_iter_first(&space->regions, start,
					  start + ODP_LEAF_SIZE - 1);
	spin_unlock(&space->regions_lock);
	return covers;
}

/* Return whether to look again: some leaf is not covered and still there */
static bool space_age_leaves(struct odp_space *space)
{
	unsigned long index = 0;
	struct odp_leaf *leaf;
	bool again = false;

	while ((leaf = odp_leaf_find(space, &index, ULONG_MAX))) {
		if (space_covers(space, index)) {
			leaf->idle = false;
		} else if (!leaf->idle || !odp_leaf_take_idle(leaf)) {
			leaf->idle = true;
			again = true;
		}
		odp_leaf_put(leaf);
		index++;
		cond_resched();
	}
	return again;
}

static void space_age_later(struct odp_space *space)
{
	/* Of its regions one is everything: all is covered */
	if (!READ_ONCE(space->implicit) && !READ_ONCE(space->closing))
		queue_delayed_work(odp_gc_wq, &space->age_work, SPACE_AGE);
}

static void space_age_work(struct work_struct *work)
{
	struct odp_space *space = container_of(to_delayed_work(work),
					       struct odp_space, age_work);

	if (space_age_leaves(space))
		space_age_later(space);
}

static void space_free(struct odp_space *space)
{
	struct odp_domain *domain = space->domain;

	odp_device_close(space);
	if (space->omm)
		odp_mm_put(space->omm);
	mem_cgroup_put(space->memcg);
	/* Pairs with the wait in odp_domain_destroy() */
	if (atomic_dec_and_test(&domain->spaces))
		wake_up_var(&domain->spaces);
	odp_domain_put(domain);
	xa_destroy(&space->children);
	xa_destroy(&space->leaves);
	kfree_rcu(space, rcu);
	if (atomic_dec_and_test(&spaces_alive))
		wake_up_var(&spaces_alive);
}

/* Nobody has a reference. May sleep. */
static void space_release(struct odp_space *space)
{
	if (space->omm) {
		spin_lock(&spaces_lock);
		list_del_rcu(&space->mm_node);
		list_del(&space->node);
		spin_unlock(&spaces_lock);
	}
	WRITE_ONCE(space->closing, true);
	odp_leaf_unlink_all(space);
	odp_child_wait_all(space);
	/* Nobody can start them any more */
	cancel_delayed_work_sync(&space->gc_work);
	cancel_delayed_work_sync(&space->age_work);
	space_free(space);
}

static void space_release_work(struct work_struct *work)
{
	space_release(container_of(work, struct odp_space, release_work));
}

/**
 * odp_space_put() - drop a reference
 * @space: from odp_space_get(); goes with the last one
 *
 * Context: May sleep. No mmap_lock, no access, not in a notifier callback.
 */
void odp_space_put(struct odp_space *space)
{
	if (refcount_dec_and_test(&space->refs))
		space_release(space);
}
EXPORT_SYMBOL_GPL(odp_space_put);

/* The same for who may not wait */
void odp_space_put_later(struct odp_space *space)
{
	if (refcount_dec_and_test(&space->refs))
		queue_work(odp_release_wq, &space->release_work);
}

static struct odp_space *space_alloc(struct odp_domain *domain)
{
	struct odp_space *space = kzalloc(sizeof(*space), GFP_KERNEL_ACCOUNT);

	if (!space)
		return NULL;
	xa_init_flags(&space->leaves, XA_FLAGS_ACCOUNT);
	xa_init_flags(&space->children, XA_FLAGS_ACCOUNT);
	refcount_set(&space->refs, 1);
	spin_lock_init(&space->regions_lock);
	space->regions = RB_ROOT_CACHED;
	INIT_DELAYED_WORK(&space->gc_work, odp_leaf_gc_work);
	INIT_DELAYED_WORK(&space->age_work, space_age_work);
	INIT_WORK(&space->release_work, space_release_work);
	refcount_inc(&domain->refs);
	atomic_inc(&domain->spaces);
	space->domain = domain;
	atomic_inc(&spaces_alive);
	return space;
}

/**
 * odp_space_create_static() - a space for pages that do not move
 * @domain: what to count them in
 *
 * Context: May sleep.
 * Return: a reference, or ERR_PTR(-ENOMEM).
 */
struct odp_space *odp_space_create_static(struct odp_domain *domain)
{
	return space_alloc(domain) ?: ERR_PTR(-ENOMEM);
}

static struct odp_space *space_find(struct odp_mm *omm,
				    const struct odp_domain *domain)
{
	struct odp_space *space;

	lockdep_assert_held(&spaces_lock);
	list_for_each_entry(space, &omm->spaces, mm_node)
		if (space->domain == domain && space_hold(space))
			return space;
	return NULL;
}

static struct odp_space *space_make(struct odp_mm *omm,
				    struct odp_domain *domain)
{
	struct odp_space *space = space_alloc(domain), *other;
	int ret;

	if (!space)
		return ERR_PTR(-ENOMEM);
	odp_mm_hold(omm);
	space->omm = omm;
	space->mm = omm->mm;
	space->memcg = get_mem_cgroup_from_mm(omm->mm);
	ret = odp_device_open(space);
	if (ret) {
		space_free(space);
		return ERR_PTR(ret);
	}
	spin_lock(&spaces_lock);
	other = space_find(omm, domain);
	if (!other) {
		list_add_rcu(&space->mm_node, &omm->spaces);
		list_add(&space->node, &spaces);
	}
	spin_unlock(&spaces_lock);
	if (!other)
		return space;
	/* Another thread was first */
	space_free(space);
	return other;
}

/**
 * odp_space_get() - that of the calling process
 * @domain: of the device
 *
 * It is made when there is none; every region of the process has a reference.
 * A driver that takes one for as long as a process uses it makes creating the
 * first region as cheap as the others, and keeps warm what was used.
 *
 * Context: Process context, may sleep.
 * Return: a reference, for odp_space_put(); ERR_PTR(-EINVAL) without a mm,
 * ERR_PTR(-ENOMEM), or what the driver's open() says.
 */
struct odp_space *odp_space_get(struct odp_domain *domain)
{
	struct odp_mm *omm = odp_mm_get();
	struct odp_space *space;

	if (IS_ERR(omm))
		return ERR_CAST(omm);
	spin_lock(&spaces_lock);
	space = space_find(omm, domain);
	spin_unlock(&spaces_lock);
	if (!space)
		space = space_make(omm, domain);
	odp_mm_put(omm);
	return space;
}
EXPORT_SYMBOL_GPL(odp_space_get);

/**
 * odp_spaces_wait() - wait until all spaces are gone, and all workers back
 *
 * For a driver that unloads: all regions are destroyed, and nothing takes a
 * reference on a space any more. Takes as long as the longest wait for a page.
 *
 * Context: May sleep.
 */
void odp_spaces_wait(void)
{
	wait_var_event(&spaces_alive, !atomic_read(&spaces_alive));
	odp_mms_wait();
}
EXPORT_SYMBOL_GPL(odp_spaces_wait);

static bool region_is_everything(const struct odp_region *region)
{
	return region->flags & ODP_REGION_IMPLICIT;
}

/**
 * odp_space_add_region() - there is one more window
 * @space: has a mm
 * @region: with bounds and flags
 *
 * Context: Process.
 */
void odp_space_add_region(struct odp_space *space, struct odp_region *region)
{
	region->itn.start = region->start;
	region->itn.last = region->last;
	spin_lock(&space->regions_lock);
	interval_tree_insert(&region->itn, &space->regions);
	if (region_is_everything(region))
		WRITE_ONCE(space->implicit, space->implicit + 1);
	spin_unlock(&space->regions_lock);
}

/**
 * odp_space_remove_region() - there is one less
 * @space: has a mm
 * @region: of odp_space_add_region()
 *
 * Context: Process.
 */
void odp_space_remove_region(struct odp_space *space, struct odp_region *region)
{
	spin_lock(&space->regions_lock);
	interval_tree_remove(&region->itn, &space->regions);
	if (region_is_everything(region))
		WRITE_ONCE(space->implicit, space->implicit - 1);
	spin_unlock(&space->regions_lock);
	space_age_later(space);
}

static unsigned int zap_weight(const struct odp_zap *zap, unsigned int from,
			       unsigned int to)
{
	unsigned int nr = 0;

	for_each_set_bit_from(from, zap->pages, to)
		nr++;
	return nr;
}

/**
 * odp_space_count_inval() - count an invalidation in the regions it hits
 * @space: has a mm
 * @event: number of the invalidation; 0: give it one
 * @zap: what it did to one leaf
 *
 * Context: Notifier callbacks; does not sleep.
 */
void odp_space_count_inval(struct odp_space *space, u64 *event,
			   const struct odp_zap *zap)
{
	unsigned long start = zap->base + ((u64)zap->from << PAGE_SHIFT);
	unsigned long last = zap->base + ((u64)zap->to << PAGE_SHIFT) - 1;
	struct interval_tree_node *node;
	struct odp_region *region;
	unsigned int from, to, nr;

	spin_lock(&space->regions_lock);
	if (!*event)
		*event = ++space->inval_events;
	for (node = interval_tree_iter_first(&space->regions, start, last);
	     node; node = interval_tree_iter_next(node, start, last)) {
		region = container_of(node, struct odp_region, itn);
		from = (max(start, node->start) - zap->base) >> PAGE_SHIFT;
		to = ((min(last, node->last) - zap->base) >> PAGE_SHIFT) + 1;
		nr = zap->nr;
		if (to - from != zap->to - zap->from)
			nr = zap_weight(zap, from, to);
		if (!nr)
			continue;
		atomic64_add(nr, &region->count.invalidated_pages);
		if (region->inval_event == *event)
			continue;
		region->inval_event = *event;
		atomic64_inc(&region->count.invalidations);
	}
	spin_unlock(&space->regions_lock);
}

/*
 * Pages @from to @to, which share a bit of leaf->young. The mm asks for one
 * after the other, and must not hear of the first one only what holds for all:
 * a bit that is cleared becomes a bit for each of them.
 */
static bool age_pages(struct odp_leaf *leaf, unsigned int from, unsigned int to,
		      bool clear)
{
	unsigned int young = BIT(from / LEAF_YOUNG_PAGES);
	unsigned int first = round_down(from, LEAF_YOUNG_PAGES) % BITS_PER_LONG;
	unsigned long pages = GENMASK(to % BITS_PER_LONG, from % BITS_PER_LONG);
	atomic_long_t *owed = &leaf->owed[from / BITS_PER_LONG];

	if (!clear)
		return (atomic_read(&leaf->young) & young) ||
		       (atomic_long_read(owed) & pages);
	if (atomic_read(&leaf->young) & young) {
		atomic_andnot(young, &leaf->young);
		atomic_long_or(GENMASK(first + LEAF_YOUNG_PAGES - 1, first),
			       owed);
	}
	if (!(atomic_long_read(owed) & pages))
		return false;
	return atomic_long_fetch_andnot(pages, owed) & pages;
}

static bool age_leaf(struct odp_leaf *leaf, unsigned int from, unsigned int to,
		     bool clear)
{
	bool young = false;
	unsigned int end;

	for (; from <= to; from = end + 1) {
		end = min(to, from | (LEAF_YOUNG_PAGES - 1));
		young |= age_pages(leaf, from, end, clear);
	}
	return young;
}

/**
 * odp_space_age() - was some of a range accessed of late
 * @space: has a mm
 * @start: first byte
 * @last: last byte
 * @clear: and forget it
 *
 * A page is young where some of the 64 KiB that it is in was accessed after the
 * mm last asked for this very page.
 *
 * Context: Any; under RCU.
 * Return: true if so.
 */
bool odp_space_age(struct odp_space *space, unsigned long start,
		   unsigned long last, bool clear)
{
	unsigned long index = start >> ODP_LEAF_SHIFT;
	unsigned long base, from, to;
	struct odp_leaf *leaf;
	bool young = false;

	xa_for_each_range(&space->leaves, index, leaf, index,
			  last >> ODP_LEAF_SHIFT) {
		base = index << ODP_LEAF_SHIFT;
		from = max(start, base) - base;
		to = min(last, base + ODP_LEAF_SIZE - 1) - base;
		young |= age_leaf(leaf, from >> PAGE_SHIFT, to >> PAGE_SHIFT,
				  clear);
	}
	return young;
}

/**
 * odp_space_touch() - some of a range is accessed
 * @space: has a mm
 * @start: first byte
 * @last: last byte
 *
 * Context: Any.
 */
void odp_space_touch(struct odp_space *space, unsigned long start,
		     unsigned long last)
{
	unsigned long index = start >> ODP_LEAF_SHIFT;
	unsigned long base, from, to;
	struct odp_leaf *leaf;

	rcu_read_lock();
	xa_for_each_range(&space->leaves, index, leaf, index,
			  last >> ODP_LEAF_SHIFT) {
		base = index << ODP_LEAF_SHIFT;
		from = (max(start, base) - base) >> LEAF_YOUNG_SHIFT;
		to = min(last - base, ODP_LEAF_SIZE - 1) >> LEAF_YOUNG_SHIFT;
		atomic_or(GENMASK(to, from), &leaf->young);
	}
	rcu_read_unlock();
}

/* --- memory is short --- */

static unsigned long space_shrink_count(struct shrinker *shrinker,
					struct shrink_control *sc)
{
	return odp_leaf_count();
}

/* Those that no region covers, and those that nobody has used */
static unsigned long space_shrink(struct odp_space *space, unsigned long want)
{
	unsigned long index = 0, freed = 0;
	struct odp_leaf *leaf;

	while (freed < want &&
	       (leaf = odp_leaf_find(space, &index, ULONG_MAX))) {
		if (!atomic_read(&leaf->young) || !space_covers(space, index))
			freed += odp_leaf_take_idle(leaf);
		odp_leaf_put(leaf);
		index++;
	}
	return freed;
}

static unsigned long space_shrink_scan(struct shrinker *shrinker,
				       struct shrink_control *sc)
{
	struct odp_space *space = NULL;
	unsigned long freed = 0;

	while ((space = space_next(space))) {
		freed += space_shrink(space, sc->nr_to_scan - freed);
		if (freed < sc->nr_to_scan)
			continue;
		odp_space_put_later(space);
		break;
	}
	return freed ? freed : SHRINK_STOP;
}

int odp_space_init(void)
{
	space_shrinker = shrinker_alloc(0, "rdma-odp");
	if (!space_shrinker)
		return -ENOMEM;
	space_shrinker->count_objects = space_shrink_count;
	space_shrinker->scan_objects = space_shrink_scan;
	shrinker_register(space_shrinker);
	return 0;
}

void odp_space_exit(void)
{
	shrinker_free(space_shrinker);
}
