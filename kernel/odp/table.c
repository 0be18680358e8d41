// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * table.c - where a leaf keeps its entries
 *
 * Sixteen fit in the leaf itself, which is all that those need who touch a
 * page here and there. For more it gets a page.
 */

#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "core.h"

/**
 * odp_table_alloc() - a page for entries, none set
 * @space: who pays
 * @gfp: how; notifier callbacks must not reclaim
 *
 * Context: As @gfp.
 * Return: its address, 0 if there is no memory.
 */
unsigned long odp_table_alloc(struct odp_space *space, gfp_t gfp)
{
	struct mem_cgroup *old_memcg = set_active_memcg(space->memcg);
	unsigned long table = __get_free_page(gfp | __GFP_ACCOUNT | __GFP_ZERO);

	set_active_memcg(old_memcg);
	return table;
}

/**
 * odp_table_free() - give a table back
 * @table: leaf->table, or of odp_table_alloc(); 0 is harmless
 *
 * Context: Any.
 */
void odp_table_free(unsigned long table)
{
	if (!(table & LEAF_TABLE_SMALL))
		free_page(table);
}

static bool table_small_fits(unsigned int first, unsigned int end)
{
	return first / LEAF_SMALL_PAGES == (end - 1) / LEAF_SMALL_PAGES;
}

/**
 * odp_table_needed() - does a leaf want a page for more entries
 * @leaf: which
 * @first: first page
 * @end: page after the last one
 *
 * Context: Any; without leaf_mutex it is a guess.
 * Return: true: odp_table_use() needs one.
 */
bool odp_table_needed(const struct odp_leaf *leaf, unsigned int first,
		      unsigned int end)
{
	/* Pairs with smp_store_release() in odp_table_use() */
	unsigned long table = smp_load_acquire(&leaf->table);

	if (!table)
		return !table_small_fits(first, end);
	return (table & LEAF_TABLE_SMALL) &&
	       (first < leaf->small_first ||
		end > leaf->small_first + LEAF_SMALL_PAGES);
}

/**
 * odp_table_use() - have room for entries
 * @leaf: its huge_entry is not set, or is about to go
 * @first: first page
 * @end: page after the last one
 * @fresh: of odp_table_alloc() if odp_table_needed() says so; 0 if it was taken
 *
 * Who has an access and uses the small one goes on with it: its entries are
 * as good until somebody invalidates, who waits.
 *
 * Context: Under leaf_mutex.
 */
void odp_table_use(struct odp_leaf *leaf, unsigned int first, unsigned int end,
		   unsigned long *fresh)
{
	lockdep_assert_held(&leaf->leaf_mutex);
	if (odp_table_needed(leaf, first, end)) {
		if (leaf->table)
			memcpy((unsigned long *)*fresh + leaf->small_first,
			       leaf->small, sizeof(leaf->small));
		/* Pairs with smp_load_acquire() in odp_leaf_entry() */
		smp_store_release(&leaf->table, *fresh);
		*fresh = 0;
	} else if (!leaf->table) {
		leaf->small_first = round_down(first, LEAF_SMALL_PAGES);
		/* As above */
		smp_store_release(&leaf->table, (unsigned long)leaf->small |
					LEAF_TABLE_SMALL);
	}
}

/**
 * odp_table_entries() - those in use
 * @leaf: which
 * @from: in: first page of interest, out: that may have an entry
 * @to: page after the last one, likewise; *@from if there are none
 *
 * Context: Under leaf_mutex.
 * Return: where the entry of page 0 is, or would be.
 */
unsigned long *odp_table_entries(const struct odp_leaf *leaf,
				 unsigned int *from, unsigned int *to)
{
	unsigned long table = leaf->table & ~LEAF_TABLE_SMALL;

	if (leaf->table & LEAF_TABLE_SMALL) {
		*from = max_t(unsigned int, *from, leaf->small_first);
		*to = min_t(unsigned int, *to,
			    leaf->small_first + LEAF_SMALL_PAGES);
		table -= leaf->small_first * sizeof(unsigned long);
	}
	if (!table)
		*to = *from;
	return (unsigned long *)table;
}

/**
 * odp_table_set() - write one entry
 * @leaf: with room for it
 * @page: which
 * @entry: its value
 *
 * Context: Under leaf_mutex.
 * Return: what was there.
 */
unsigned long odp_table_set(struct odp_leaf *leaf, unsigned int page,
			    unsigned long entry)
{
	unsigned int from = 0, to = ODP_LEAF_PAGES;
	unsigned long *entries = odp_table_entries(leaf, &from, &to);
	unsigned long old = entries[page];

	lockdep_assert_held(&leaf->leaf_mutex);
	WRITE_ONCE(entries[page], entry);
	return old;
}

/**
 * odp_table_zap() - clear entries, or take the right to write away
 * @leaf: no access is in flight
 * @zap: which pages; @pages and @nr are filled
 *
 * Context: Under leaf_mutex.
 */
void odp_table_zap(struct odp_leaf *leaf, struct odp_zap *zap)
{
	unsigned long keep = zap->downgrade ? ~ODP_ENTRY_WRITE : 0;
	unsigned int page = zap->from, to = zap->to;
	unsigned long *entries = odp_table_entries(leaf, &page, &to);
	unsigned long old;

	lockdep_assert_held(&leaf->leaf_mutex);
	if (!keep && to - page == leaf->present &&
	    leaf->present == ODP_LEAF_PAGES) {
		memset(entries, 0, ODP_SCRATCH_BYTES);
		bitmap_fill(zap->pages, ODP_LEAF_PAGES);
		zap->nr = ODP_LEAF_PAGES;
		return;
	}
	for (; page < to; page++) {
		old = entries[page];
		if (!(old & ~keep))
			continue;
		WRITE_ONCE(entries[page], old & keep);
		__set_bit(page, zap->pages);
		zap->nr++;
	}
}

/**
 * odp_table_clear() - clear all entries
 * @leaf: no access is in flight, or a huge entry stands for them
 *
 * Context: Under leaf_mutex.
 */
void odp_table_clear(struct odp_leaf *leaf)
{
	unsigned int page = 0, to = ODP_LEAF_PAGES;
	unsigned long *entries = odp_table_entries(leaf, &page, &to);

	lockdep_assert_held(&leaf->leaf_mutex);
	for (; page < to; page++)
		WRITE_ONCE(entries[page], 0);
}
