// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * commit.c - from a fault's private scratch to the live entries
 */

#include <linux/hmm.h>

#include "access.h"
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
	if ((hmm_pfn & HMM_PFN_WRITE) && !fault->read_only) {
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
 * One mapping of the CPU covers the leaf: one entry will do, also where the
 * region that faults has only part of it. The table, if there is one, is kept
 * empty meanwhile.
 */
static void commit_huge(struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;
	unsigned long entry = commit_entry(fault, fault->pfns[fault->first]);
	unsigned int added = ODP_LEAF_PAGES - leaf->present;
	bool had_table = leaf->present && !leaf->huge_entry;

	entry -= (unsigned long)fault->first << PAGE_SHIFT;
	entry |= leaf->huge_entry & ODP_ENTRY_FLAGS;
	if (leaf->huge_entry == entry)
		return;
	WRITE_ONCE(leaf->huge_entry, entry);
	/* An access that looked before may miss, which does no harm */
	if (had_table)
		odp_table_clear(leaf);
	WRITE_ONCE(leaf->present, ODP_LEAF_PAGES);
	odp_domain_count(leaf->space->domain, mapped_pages, added);
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
		old = odp_leaf_entry(leaf, (unsigned long)page << PAGE_SHIFT);
		if (!entry || (entry | (old & ODP_ENTRY_FLAGS)) == old)
			continue;
		/* Writable once is writable until a notifier says otherwise */
		odp_table_set(leaf, page, entry | (old & ODP_ENTRY_FLAGS));
		added += !old;
		changed++;
	}
	WRITE_ONCE(leaf->present, leaf->present + added);
	fault->pages += changed;
	odp_domain_count(leaf->space->domain, mapped_pages, added);
}

/*
 * The mm maps the leaf by small pages and we have it huge: a notifier that
 * takes that away is on its way, or the mm has several ways to map one page.
 */
static void commit_drop_huge(struct odp_leaf *leaf)
{
	odp_leaf_close(leaf, true);
	odp_domain_count(leaf->space->domain, mapped_pages,
			 -(s64)leaf->present);
	WRITE_ONCE(leaf->present, 0);
	WRITE_ONCE(leaf->huge_entry, 0);
	odp_leaf_reopen(leaf);
}

/*
 * Is the snapshot still true of this leaf? Its count is the one authority.
 * model/stale.pml has all of what follows, and what happens without each of it.
 *
 * Take an invalidation of pages of the snapshot that may have been mapped when
 * it was taken. Its callback puts the invalidation into omm->invals, searches
 * space->leaves, and counts under leaf_mutex in each leaf that it finds; the
 * mm takes it out of the list when the pages are unmapped. Our fault had its
 * leaf in space->leaves, sampled the count, then looked into the list
 * (fault_sample()).
 *  - It was in the list when we looked: then there was no snapshot before it
 *    was over.
 *  - It was not yet: then, by the barriers of odp_inval_begin() and
 *    fault_sample(), the search comes after our leaf was published, and finds
 *    it.
 *  - It was there no more: the snapshot was taken of what it left.
 * One that has found the leaf takes leaf_mutex. If it was first, it has
 * counted. After our sample: else, since it is in the list before it counts,
 * we had found it there. So the count has moved, and we see it because we hold
 * leaf_mutex. If we are first, the pages are still mapped, since its callback
 * has not returned, and it will find and zap what we commit.
 *
 * With omm->lost the sample is older (fault_prepare()): of the time before we
 * waited until no invalidation of the mm went on.
 */
static bool commit_is_stale(const struct odp_fault *fault)
{
	lockdep_assert_held(&fault->leaf->leaf_mutex);
	return fault->leaf->inval_count != fault->inval_count;
}

/**
 * odp_fault_check() - may what was found be committed
 * @fault: to commit
 *
 * Context: Under leaf_mutex.
 * Return: 0, -EBUSY or -ESTALE as odp_fault_commit().
 */
int odp_fault_check(const struct odp_fault *fault)
{
	lockdep_assert_held(&fault->leaf->leaf_mutex);
	if (fault->leaf->state & LEAF_DEAD)
		return -ESTALE;
	if (commit_is_stale(fault)) {
		odp_count(fault->region, collisions, 1);
		return -EBUSY;
	}
	return 0;
}

static int commit_locked(struct odp_fault *fault, unsigned long *fresh)
{
	struct odp_leaf *leaf = fault->leaf;
	int ret;

	ret = odp_fault_check(fault);
	if (ret)
		return ret;
	if (fault->whole) {
		commit_huge(fault);
		return 0;
	}
	/* It was not when the fault came by */
	if (!*fresh && odp_table_needed(leaf, fault->first, fault->end))
		return -EBUSY;
	if (leaf->huge_entry)
		commit_drop_huge(leaf);
	odp_table_use(leaf, fault->first, fault->end, fresh);
	commit_table(fault);
	return 0;
}

static int commit_for_cpu(struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;
	unsigned long fresh = 0;
	int ret;

	if (!fault->whole &&
	    odp_table_needed(leaf, fault->first, fault->end)) {
		fresh = odp_table_alloc(leaf->space, odp_fault_gfp(fault));
		if (!fresh)
			return -ENOMEM;
	}
	mutex_lock(&leaf->leaf_mutex);
	ret = commit_locked(fault, &fresh);
	mutex_unlock(&leaf->leaf_mutex);
	odp_table_free(fresh);
	return ret;
}

/**
 * odp_fault_commit() - publish what the snapshot found
 * @fault: its pfns filled, mmap_lock not held
 *
 * Context: May sleep; reclaims as odp_fault_gfp() says.
 * Return: 0; -EBUSY when an invalidation came first; -ESTALE when the leaf
 * was unlinked; -ENOMEM; for a device also -EFAULT.
 */
int odp_fault_commit(struct odp_fault *fault)
{
	int ret;

	if (odp_space_is_device(fault->leaf->space))
		ret = odp_device_commit(fault);
	else
		ret = commit_for_cpu(fault);
	trace_odp_commit(fault->region, fault->base, fault->first,
			 fault->end, fault->whole, ret);
	return ret;
}
