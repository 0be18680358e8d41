// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * invalidate.c - the mm takes pages back
 *
 * Costs what is mapped, not what is invalidated: only leaves that exist are
 * visited, and a leaf that goes as a whole is one memset.
 */

#include <linux/delay.h>

#include "access.h"
#include "trace.h"

/**
 * odp_leaf_close() - keep new accesses out, and wait for those in flight
 * @leaf: which
 * @blockable: may wait
 *
 * Context: Under leaf_mutex, as @blockable says.
 * Return: false: it would have to wait; the leaf is open.
 */
bool odp_leaf_close(struct odp_leaf *leaf, bool blockable)
{
	lockdep_assert_held(&leaf->leaf_mutex);
	WRITE_ONCE(leaf->state, leaf->state | LEAF_ZAPPING);
	/* Pairs with smp_mb() in odp_access_hold() */
	smp_mb();
	if (odp_access_wait(leaf, blockable))
		return true;
	WRITE_ONCE(leaf->state, leaf->state & ~LEAF_ZAPPING);
	return false;
}

/**
 * odp_leaf_reopen() - let accesses in
 * @leaf: closed, its entries changed
 *
 * Context: Under leaf_mutex.
 */
void odp_leaf_reopen(struct odp_leaf *leaf)
{
	lockdep_assert_held(&leaf->leaf_mutex);
	/* Pairs with smp_load_acquire() in odp_access_allowed() */
	smp_store_release(&leaf->state, leaf->state & ~LEAF_ZAPPING);
}

/*
 * Part of a huge entry goes: spell it out in the table. Nothing here may
 * reclaim, we may be called by reclaim. Return false if there is no memory.
 */
static bool leaf_split(struct odp_leaf *leaf)
{
	unsigned long entry = leaf->huge_entry, fresh = 0;
	unsigned int i;

	if (odp_table_needed(leaf, 0, ODP_LEAF_PAGES)) {
		fresh = odp_table_alloc(leaf->space,
					GFP_NOWAIT | __GFP_NOWARN);
		if (!fresh)
			return false;
	}
	odp_table_use(leaf, 0, ODP_LEAF_PAGES, &fresh);
	for (i = 0; i < ODP_LEAF_PAGES; i++, entry += PAGE_SIZE)
		odp_table_set(leaf, i, entry);
	WRITE_ONCE(leaf->huge_entry, 0);
	return true;
}

static void leaf_zap_huge(struct odp_leaf *leaf, struct odp_zap *zap)
{
	bitmap_fill(zap->pages, ODP_LEAF_PAGES);
	zap->nr = ODP_LEAF_PAGES;
	/* What counts it may look at all of the leaf */
	zap->from = 0;
	zap->to = ODP_LEAF_PAGES;
	WRITE_ONCE(leaf->huge_entry, 0);
}

/*
 * Unmap pages of a leaf that no access is in flight to. Nothing is done per
 * page when all of them go: dirtying was done at commit, see commit_entry().
 */
static void leaf_zap(struct odp_leaf *leaf, struct odp_zap *zap)
{
	bool whole = zap->to - zap->from == ODP_LEAF_PAGES;

	if (leaf->huge_entry && (whole || !leaf_split(leaf)))
		leaf_zap_huge(leaf, zap);
	else
		odp_table_zap(leaf, zap);
	WRITE_ONCE(leaf->present, leaf->present - zap->nr);
}

/* Take the right to write away; a huge entry loses it as a whole */
static void leaf_downgrade(struct odp_leaf *leaf, struct odp_zap *zap)
{
	if (!leaf->huge_entry) {
		odp_table_zap(leaf, zap);
		return;
	}
	if (!(leaf->huge_entry & ODP_ENTRY_WRITE))
		return;
	WRITE_ONCE(leaf->huge_entry, leaf->huge_entry & ~ODP_ENTRY_WRITE);
	bitmap_set(zap->pages, zap->from, zap->to - zap->from);
	zap->nr = zap->to - zap->from;
}

/* Return false only if it would have to wait, and must not */
static bool leaf_change(struct odp_leaf *leaf, struct odp_zap *zap)
{
	/* It has no accesses: the driver's unmap() is what waits */
	if (leaf->state & LEAF_DEVICE)
		return odp_device_zap(leaf, zap);
	if (!odp_leaf_close(leaf, zap->blockable))
		return false;
	if (zap->downgrade)
		leaf_downgrade(leaf, zap);
	else
		leaf_zap(leaf, zap);
	odp_leaf_reopen(leaf);
	return true;
}

/*
 * One leaf of an invalidation. Return false only if it would have to wait and
 * must not; then nothing was changed.
 */
static bool leaf_invalidate(struct odp_leaf *leaf, struct odp_zap *zap)
{
	unsigned int before;
	bool done = true;
	s64 gone;

	if (zap->blockable)
		mutex_lock(&leaf->leaf_mutex);
	else if (!mutex_trylock(&leaf->leaf_mutex))
		return false;
	/*
	 * Even if nothing is mapped: a fault may be about to commit what it
	 * saw before. Pairs with READ_ONCE in fault_sample().
	 */
	WRITE_ONCE(leaf->inval_count, leaf->inval_count + 1);
	before = leaf->present;
	if (before)
		done = leaf_change(leaf, zap);
	gone = before - leaf->present;
	mutex_unlock(&leaf->leaf_mutex);
	if (gone)
		odp_domain_count(leaf->space->domain, mapped_pages, -gone);
	if (gone == before && gone)
		odp_leaf_mark_empty(leaf->space, leaf->index);
	return done;
}

/*
 * Only events that leave the page mapped and its content as it is may leave
 * an entry readable. PROTECTION_VMA may mean PROT_NONE, so it zaps.
 */
static bool invalidate_is_downgrade(const struct mmu_notifier_range *range)
{
	return range->event == MMU_NOTIFY_PROTECTION_PAGE ||
	       range->event == MMU_NOTIFY_SOFT_DIRTY;
}

/* See "late" in child_invalidate() */
static void inval_begin_late(struct odp_mm *omm,
			     const struct mmu_notifier_range *range)
{
	if (mmu_notifier_range_blockable(range))
		msleep(20);
	odp_inval_begin(omm, range);
}

/* The first of the child's leaves that there may be from an index on */
static unsigned long child_first_made(const struct odp_child *child,
				      unsigned long index)
{
	unsigned long first = child->start >> ODP_LEAF_SHIFT;

	return first + find_next_bit(child->made, ODP_CHILD_LEAVES,
				     index - first);
}

/* The leaves of [start, last]. Return false as leaf_invalidate() */
static bool child_zap(struct odp_child *child, unsigned long start,
		      unsigned long last, struct odp_zap *zap,
		      unsigned long *pages)
{
	unsigned long index = child_first_made(child, start >> ODP_LEAF_SHIFT);
	struct odp_space *space = child->space;
	struct odp_leaf *leaf;
	bool done = true;
	u64 event = 0;

	for (; done && index <= last >> ODP_LEAF_SHIFT; index++) {
		leaf = odp_leaf_find(space, &index, last >> ODP_LEAF_SHIFT);
		if (!leaf)
			break;
		zap->base = index << ODP_LEAF_SHIFT;
		zap->from = (max(start, zap->base) - zap->base) >> PAGE_SHIFT;
		zap->to = ODP_LEAF_PAGES;
		if (last - zap->base < ODP_LEAF_SIZE)
			zap->to = ((last - zap->base) >> PAGE_SHIFT) + 1;
		done = leaf_invalidate(leaf, zap);
		odp_leaf_put(leaf);
		if (!zap->nr)
			continue;
		odp_space_count_inval(space, &event, zap);
		*pages += zap->nr;
		bitmap_zero(zap->pages, ODP_LEAF_PAGES);
		zap->nr = 0;
	}
	return done;
}

/*
 * A commit that does not see that we have begun is done under the leaf_mutex
 * before we get that, and is undone here: see commit_is_stale().
 */
static bool child_invalidate(struct mmu_interval_notifier *interval_sub,
			     const struct mmu_notifier_range *range,
			     unsigned long interval_seq)
{
	struct odp_child *child =
		container_of(interval_sub, struct odp_child, interval_sub);
	struct odp_space *space = child->space;
	/* At exit the range is the whole address space: clip it */
	unsigned long start = max(range->start, child->start);
	unsigned long last = min(range->end - 1, child->last);
	struct odp_zap zap = {
		.downgrade = invalidate_is_downgrade(range),
		.blockable = mmu_notifier_range_blockable(range),
	};
	/* For the self-test of the barrier: make ODP_LATE_SEQ=y must fail it */
	const bool late = IS_ENABLED(CONFIG_ODP_LATE_SEQ);
	unsigned long pages = 0;
	bool done;

	/*
	 * Only for mmu_interval_read_begin(). All that are told of the same
	 * invalidation store the same, and no two go on with different ones.
	 */
	mmu_interval_set_seq(interval_sub, interval_seq);
	if (!late)
		odp_inval_begin(space->omm, range);
	done = child_zap(child, start, last, &zap, &pages);
	if (late)
		inval_begin_late(space->omm, range);
	if (pages) {
		odp_domain_count(space->domain, invalidations, 1);
		odp_domain_count(space->domain, invalidated_pages, pages);
	}
	trace_odp_invalidate(space, start, last, range->event, pages, done);
	return done;
}

const struct mmu_interval_notifier_ops odp_child_ops = {
	.invalidate = child_invalidate,
};
