// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * commit.c - from a fault's private scratch to the live entries
 */

#include <linux/hmm.h>

#include "core.h"
#include "trace.h"

/**
 * odp_fault_complete() - does the snapshot have all that is needed
 * @fault: its pfns filled
 *
 * Context: Any.
 * Return: true if so.
 */
bool odp_fault_complete(const struct odp_fault *fault)
{
	unsigned int last = fault->whole ? fault->first + 1 : fault->last;
	unsigned long need = HMM_PFN_VALID;
	unsigned int page;

	if (fault->write)
		need |= HMM_PFN_WRITE;
	for (page = fault->first; page < last; page++)
		if ((fault->pfns[page] & need) != need)
			return false;
	return true;
}

/*
 * The entry for one page of the snapshot, 0 if there is none.
 *
 * Dirtying. A page that the device may write is dirtied here, when it gets
 * the right, and not when the entry goes: the zap of a leaf then costs no
 * work per page. That is enough, because whoever clears the dirty bit of a
 * page takes the right away first, by a notifier that we have to answer
 * before it goes on:
 *  - writeback: folio_mkclean() sends PROTECTION_PAGE to every shared mapping
 *    before the bit is cleared; the next write faults and dirties again;
 *  - MADV_FREE: sends CLEAR before it makes pages lazily freeable. The next
 *    write fault finds them mapped and writable, and the dirty bit set here
 *    is what makes reclaim keep them;
 *  - shmem: pages may be writable and clean, which is why we do not rely on
 *    HMM_PFN_WRITE. It is swapped out only when unmapped (CLEAR);
 *  - anonymous memory: goes to the swap cache and is written out, or dropped
 *    when clean, only after it was unmapped (CLEAR);
 *  - truncation, migration, KSM, fork: unmapped or write-protected first.
 *
 * So a page that is dirty already may be written without more ado; one that
 * is not becomes writable only by a fault that is for writing, lest reading
 * dirties memory.
 *
 * It is safe without the folio lock: the caller holds leaf_mutex and has seen
 * that no invalidation passed this leaf, so the page is still mapped.
 */
static __always_inline unsigned long
commit_entry(const struct odp_fault *fault, unsigned long hmm_pfn)
{
	unsigned long pfn = hmm_pfn & ~HMM_PFN_FLAGS;
	struct folio *folio;

	if ((hmm_pfn & (HMM_PFN_VALID | HMM_PFN_ERROR)) != HMM_PFN_VALID)
		return 0;
	if ((hmm_pfn & HMM_PFN_WRITE) &&
	    (fault->region->flags & ODP_REGION_WRITABLE)) {
		folio = page_folio(pfn_to_page(pfn));
		if (folio_test_dirty(folio))
			return (pfn << PAGE_SHIFT) | ODP_ENTRY_FLAGS;
		if (fault->write) {
			folio_mark_dirty(folio);
			return (pfn << PAGE_SHIFT) | ODP_ENTRY_FLAGS;
		}
	}
	return (pfn << PAGE_SHIFT) | ODP_ENTRY_READ;
}

/*
 * One mapping of the CPU covers the leaf, and the region all of the leaf: one
 * entry will do. The table, if there is one, is kept empty meanwhile.
 */
static void commit_huge(struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;
	unsigned long entry = commit_entry(fault, fault->pfns[fault->first]);
	unsigned int added = ODP_LEAF_PAGES - leaf->present;
	bool had_table = leaf->present && !leaf->huge_entry;
	unsigned int page;

	entry -= (unsigned long)fault->first << PAGE_SHIFT;
	entry |= leaf->huge_entry & ODP_ENTRY_FLAGS;
	if (leaf->huge_entry == entry)
		return;
	WRITE_ONCE(leaf->huge_entry, entry);
	/* An access that looked before may miss, which does no harm */
	for (page = 0; had_table && page < ODP_LEAF_PAGES; page++)
		WRITE_ONCE(leaf->table[page], 0);
	WRITE_ONCE(leaf->present, ODP_LEAF_PAGES);
	if (added)
		odp_count(fault->region, mapped_pages, added);
	fault->pages += ODP_LEAF_PAGES;
	fault->huge++;
}

static void commit_table(struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;
	unsigned int page, added = 0, changed = 0;
	unsigned long old, entry;

	for (page = fault->first; page < fault->end; page++) {
		entry = commit_entry(fault, fault->pfns[page]);
		old = leaf->table[page];
		if (!entry || (entry | (old & ODP_ENTRY_FLAGS)) == old)
			continue;
		/* Writable once is writable until a notifier says otherwise */
		WRITE_ONCE(leaf->table[page],
			   entry | (old & ODP_ENTRY_FLAGS));
		added += !old;
		changed++;
	}
	WRITE_ONCE(leaf->present, leaf->present + added);
	fault->pages += changed;
	if (added)
		odp_count(fault->region, mapped_pages, added);
}

/*
 * The mm maps the leaf by small pages and we have it huge. A notifier has to
 * have come in between, so this is not seen unless the mm has several ways
 * to map one page; the entry's pages are still mapped, no access is harmed.
 */
static void commit_drop_huge(struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;

	odp_count(fault->region, mapped_pages, -(s64)leaf->present);
	WRITE_ONCE(leaf->present, 0);
	WRITE_ONCE(leaf->huge_entry, 0);
}

/*
 * Is the snapshot still true of this leaf? Of the two samples the leaf's count
 * is the authority; the child's sequence is a short cut, it is the same for
 * as long as nothing in the child's whole span was invalidated.
 *
 * Take an invalidation of pages of this leaf that may have been mapped when
 * the snapshot was taken. Its callback stores the sequence, searches
 * region->leaves, and counts under leaf_mutex in each leaf that it finds; our
 * fault had its leaf in region->leaves, sampled the count, then the sequence
 * (fault_sample()).
 *  - It had begun when we sampled the sequence: then either
 *    odp_child_try_seq() saw that and there was no snapshot before it was
 *    over; or it did not see the store, and then, by the barriers of
 *    child_publish_seq() and fault_sample(), the search comes after our leaf
 *    was published, and finds it.
 *  - It began later: the search finds the leaf all the more.
 * One that has found the leaf takes leaf_mutex. If it was first, it has
 * counted, after our sample, and its sequence was stored before that: both
 * have moved, and we see it because we hold leaf_mutex. If we are first, the
 * pages are still mapped, since its callback has not returned, and it will
 * find and zap what we commit.
 *
 * The sequence is read without the lock that mmu_interval_read_retry() asks
 * for: mmu_interval_set_seq() is not called under leaf_mutex, and need not
 * be. A store that we see too early makes us look at the count, no more.
 */
static bool commit_is_stale(const struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;

	lockdep_assert_held(&leaf->leaf_mutex);
	return mmu_interval_read_retry(&leaf->child->interval_sub,
				       fault->interval_seq) &&
	       leaf->inval_count != fault->inval_count;
}

/**
 * odp_fault_commit() - publish what the snapshot found
 * @fault: its pfns filled, mmap_lock not held
 *
 * Context: May sleep; reclaims as odp_fault_gfp() says.
 * Return: 0; -EBUSY when an invalidation came first; -ESTALE when the leaf
 * was unlinked; -ENOMEM.
 */
int odp_fault_commit(struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;
	bool huge = fault->whole;
	int ret = 0;

	if (!huge && odp_leaf_add_table(fault->region, leaf,
					odp_fault_gfp(fault)))
		return -ENOMEM;

	mutex_lock(&leaf->leaf_mutex);
	if (atomic_read(&leaf->accesses) & LEAF_DEAD) {
		ret = -ESTALE;
	} else if (commit_is_stale(fault)) {
		odp_count(fault->region, collisions, 1);
		ret = -EBUSY;
	} else if (huge) {
		commit_huge(fault);
	} else {
		if (leaf->huge_entry)
			commit_drop_huge(fault);
		commit_table(fault);
	}
	mutex_unlock(&leaf->leaf_mutex);
	trace_odp_commit(fault->region, fault->base, fault->first,
			 fault->end, huge, ret);
	return ret;
}
