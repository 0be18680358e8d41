// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * invalidate.c - the mm takes pages back
 *
 * Costs what is mapped, not what is invalidated: only leaves that exist are
 * visited, and a leaf that goes as a whole is one memset.
 */

#include <linux/delay.h>
#include <linux/wait_bit.h>

#include "core.h"
#include "trace.h"

/**
 * struct leaf_zap - what to do to one leaf
 * @from: first page
 * @to: page after the last one
 * @downgrade: leave the pages readable
 * @blockable: may wait
 */
struct leaf_zap {
	unsigned int from;
	unsigned int to;
	bool downgrade;
	bool blockable;
};

/* Keep new accesses out, and wait for those in flight if that is allowed */
static bool leaf_close(struct odp_leaf *leaf, bool blockable)
{
	int accesses;

	lockdep_assert_held(&leaf->leaf_mutex);
	/* Fully ordered. Pairs with atomic_inc_return in odp_access_hold() */
	accesses = atomic_fetch_or(LEAF_ZAPPING, &leaf->accesses);
	if (!(accesses & LEAF_COUNT))
		return true;
	if (!blockable) {
		atomic_andnot(LEAF_ZAPPING, &leaf->accesses);
		return false;
	}
	lock_map_acquire(&odp_accessor_map);
	lock_map_release(&odp_accessor_map);
	wait_var_event(&leaf->accesses,
		       !(atomic_read(&leaf->accesses) & LEAF_COUNT));
	/* What the last access did comes before what the caller does now */
	smp_mb();
	return true;
}

/* Pairs with atomic_inc_return() in odp_access_hold(): entries first */
static void leaf_reopen(struct odp_leaf *leaf)
{
	atomic_fetch_andnot_release(LEAF_ZAPPING, &leaf->accesses);
}

/*
 * Part of a huge entry goes: spell it out in the table. Nothing here may
 * reclaim, we may be called by reclaim. Return false if there is no memory.
 */
static bool leaf_split(struct odp_region *region, struct odp_leaf *leaf)
{
	unsigned long entry = leaf->huge_entry;
	unsigned int i;

	if (odp_leaf_add_table(region, leaf, GFP_NOWAIT | __GFP_NOWARN))
		return false;
	for (i = 0; i < ODP_LEAF_PAGES; i++, entry += PAGE_SIZE)
		WRITE_ONCE(leaf->table[i], entry);
	WRITE_ONCE(leaf->huge_entry, 0);
	return true;
}

static unsigned long leaf_clear(struct odp_leaf *leaf, unsigned int from,
				unsigned int to)
{
	unsigned int i, gone = 0;

	for (i = from; i < to; i++) {
		if (!leaf->table[i])
			continue;
		WRITE_ONCE(leaf->table[i], 0);
		gone++;
	}
	WRITE_ONCE(leaf->present, leaf->present - gone);
	return gone;
}

/*
 * Unmap pages of a leaf that no access is in flight to. Nothing is done per
 * page when all of them go: dirtying was done at commit, see commit_entry().
 */
static unsigned long leaf_zap(struct odp_region *region,
			      struct odp_leaf *leaf, unsigned int from,
			      unsigned int to)
{
	unsigned long gone = leaf->present;
	bool whole = to - from == ODP_LEAF_PAGES;

	if (leaf->huge_entry && (whole || !leaf_split(region, leaf))) {
		WRITE_ONCE(leaf->huge_entry, 0);
	} else {
		if (!whole)
			return leaf_clear(leaf, from, to);
		memset(leaf->table, 0, ODP_SCRATCH_BYTES);
	}
	WRITE_ONCE(leaf->present, 0);
	return gone;
}

/* Take the right to write away; a huge entry loses it as a whole */
static unsigned long leaf_downgrade(struct odp_leaf *leaf, unsigned int from,
				    unsigned int to)
{
	unsigned long changed = 0;
	unsigned int i;

	if (leaf->huge_entry) {
		if (leaf->huge_entry & ODP_ENTRY_WRITE)
			changed = to - from;
		WRITE_ONCE(leaf->huge_entry,
			   leaf->huge_entry & ~ODP_ENTRY_WRITE);
		return changed;
	}
	for (i = from; i < to; i++) {
		if (!(leaf->table[i] & ODP_ENTRY_WRITE))
			continue;
		WRITE_ONCE(leaf->table[i], leaf->table[i] & ~ODP_ENTRY_WRITE);
		changed++;
	}
	return changed;
}

/*
 * One leaf of an invalidation. Return false only if it would have to wait and
 * must not; then nothing was changed.
 */
static bool leaf_invalidate(struct odp_region *region, struct odp_leaf *leaf,
			    const struct leaf_zap *zap, unsigned long *pages)
{
	unsigned long gone = 0;
	bool empty;

	if (zap->blockable)
		mutex_lock(&leaf->leaf_mutex);
	else if (!mutex_trylock(&leaf->leaf_mutex))
		return false;
	/*
	 * Even if nothing is mapped: a fault may be about to commit what it
	 * saw before. Pairs with READ_ONCE in fault_sample().
	 */
	WRITE_ONCE(leaf->inval_count, leaf->inval_count + 1);
	if (leaf->present) {
		if (!leaf_close(leaf, zap->blockable)) {
			mutex_unlock(&leaf->leaf_mutex);
			return false;
		}
		if (zap->downgrade)
			gone = leaf_downgrade(leaf, zap->from, zap->to);
		else
			gone = leaf_zap(region, leaf, zap->from, zap->to);
		leaf_reopen(leaf);
	}
	empty = gone && !leaf->present;
	mutex_unlock(&leaf->leaf_mutex);
	if (!gone)
		return true;
	*pages += gone;
	if (!zap->downgrade)
		odp_count(region, mapped_pages, -(s64)gone);
	if (empty)
		odp_leaf_mark_empty(region, leaf->index);
	return true;
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

/*
 * The sequence is stored before the leaves are looked for. A fault does it
 * crosswise: its leaf is in region->leaves before it reads the sequence. With
 * a full barrier on either side one of the two sees the other: we find the
 * leaf, or the fault sees that we may be in progress and waits until the page
 * is unmapped (litmus/fresh_leaf.litmus). Program
 * order would not do: a CPU may search while the store is in its buffer, and
 * the page that a fault has found meanwhile would be the device's for good.
 */
static void child_publish_seq(struct odp_child *child,
			      unsigned long interval_seq)
{
	odp_child_set_seq(child, interval_seq);
	/* Pairs with smp_mb() in fault_sample() */
	smp_mb();
}

/* See "late" in child_invalidate() */
static void child_publish_seq_late(struct odp_child *child,
				   const struct mmu_notifier_range *range,
				   unsigned long interval_seq)
{
	if (mmu_notifier_range_blockable(range))
		msleep(20);
	child_publish_seq(child, interval_seq);
}

/*
 * A commit that does not see the sequence yet is done under the leaf_mutex
 * before we get that, and is undone here: see commit_is_stale().
 */
static bool child_invalidate(struct mmu_interval_notifier *interval_sub,
			     const struct mmu_notifier_range *range,
			     unsigned long interval_seq)
{
	struct odp_child *child =
		container_of(interval_sub, struct odp_child, interval_sub);
	struct odp_region *region = child->region;
	/* At exit the range is the whole address space: clip it */
	unsigned long start = max(range->start, child->start);
	unsigned long last = min(range->end - 1, child->last);
	unsigned long index = start >> ODP_LEAF_SHIFT;
	struct leaf_zap zap = {
		.downgrade = invalidate_is_downgrade(range),
		.blockable = mmu_notifier_range_blockable(range),
	};
	/* For the self-test of the barrier: make ODP_LATE_SEQ=y must fail it */
	const bool late = IS_ENABLED(CONFIG_ODP_LATE_SEQ);
	unsigned long pages = 0;
	struct odp_leaf *leaf;
	bool done = true;

	if (!late)
		child_publish_seq(child, interval_seq);
	for (; done; index++) {
		unsigned long base;

		leaf = odp_leaf_find(region, &index, last >> ODP_LEAF_SHIFT);
		if (!leaf)
			break;
		base = index << ODP_LEAF_SHIFT;
		zap.from = (max(start, base) - base) >> PAGE_SHIFT;
		zap.to = ODP_LEAF_PAGES;
		if (last - base < ODP_LEAF_SIZE)
			zap.to = ((last - base) >> PAGE_SHIFT) + 1;
		done = leaf_invalidate(region, leaf, &zap, &pages);
		odp_leaf_put(leaf);
	}
	if (late)
		child_publish_seq_late(child, range, interval_seq);
	if (pages) {
		odp_count(region, invalidations, 1);
		odp_count(region, invalidated_pages, pages);
	}
	trace_odp_invalidate(region, start, last, range->event, pages, done);
	return done;
}

const struct mmu_interval_notifier_ops odp_child_ops = {
	.invalidate = child_invalidate,
};
