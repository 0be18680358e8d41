// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * region.c - regions: create, fill (static ones), destroy
 *
 * Creating a region costs the same whatever its length: two empty xarrays.
 */

#include <linux/export.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "core.h"

/**
 * odp_region_wake() - the last one has left a dying region
 * @region: used as a key only, it may have been freed
 *
 * Context: Any.
 */
void odp_region_wake(struct odp_region *region)
{
	wake_up_var(&region->busy);
}

static struct odp_region *region_alloc(struct odp_domain *domain, u64 start,
				       u64 length, u32 flags)
{
	struct odp_region *region;
	u64 last;

	if (!length)
		return ERR_PTR(-EINVAL);
	if (check_add_overflow(start, length - 1, &last))
		return ERR_PTR(-EOVERFLOW);
	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return ERR_PTR(-ENOMEM);
	xa_init_flags(&region->leaves, XA_FLAGS_ACCOUNT);
	xa_init_flags(&region->children, XA_FLAGS_ACCOUNT);
	region->domain = domain;
	region->start = start;
	region->last = last;
	region->flags = flags;
	refcount_set(&region->refs, 1);
	INIT_DELAYED_WORK(&region->gc_work, odp_leaf_gc_work);
	refcount_inc(&domain->refs);
	return region;
}

/**
 * odp_region_create() - a region of the caller's memory
 * @domain: what to count it in
 * @start: first byte, of any alignment
 * @length: bytes; may reach beyond what is mapped, now or ever
 * @flags: enum odp_region_flags; an implicit region is clipped to the
 *	address space
 *
 * Maps nothing and tells the mm nothing: that happens at the first fault.
 *
 * Context: Process context of the memory's owner.
 * Return: a region with one reference, for odp_region_destroy(); -EINVAL
 * empty or no memory, -EOVERFLOW, -EFAULT outside the address space, -ENOMEM.
 */
struct odp_region *odp_region_create(struct odp_domain *domain, u64 start,
				     u64 length, u32 flags)
{
	struct mm_struct *mm = current->mm;
	struct odp_region *region;
	struct odp_pool *pool;

	if (!mm)
		return ERR_PTR(-EINVAL);
	region = region_alloc(domain, start, length, flags);
	if (IS_ERR(region))
		return region;
	if (flags & ODP_REGION_IMPLICIT)
		region->last = min_t(u64, region->last, mm->task_size - 1);
	if (region->start > region->last || region->last >= mm->task_size) {
		odp_region_put(region);
		return ERR_PTR(-EFAULT);
	}
	pool = odp_pool_get();
	if (IS_ERR(pool)) {
		odp_region_put(region);
		return ERR_CAST(pool);
	}
	region->pool = pool;
	mmgrab(mm);
	region->mm = mm;
	region->memcg = get_mem_cgroup_from_mm(mm);
	return region;
}
EXPORT_SYMBOL_GPL(odp_region_create);

/**
 * odp_region_create_static() - a region of pages that do not move
 * @domain: what to count it in
 * @start: first byte
 * @length: bytes
 * @flags: enum odp_region_flags
 *
 * Accessed and copied like any other, by the same code. Empty until
 * odp_region_add_pages(). The driver keeps the pages until the region is
 * destroyed.
 *
 * Context: May sleep.
 * Return: a region with one reference, for odp_region_destroy(); -EINVAL,
 * -EOVERFLOW, -ENOMEM.
 */
struct odp_region *odp_region_create_static(struct odp_domain *domain,
					    u64 start, u64 length, u32 flags)
{
	struct odp_region *region;

	region = region_alloc(domain, start, length, flags);
	if (!IS_ERR(region))
		region->is_static = true;
	return region;
}
EXPORT_SYMBOL_GPL(odp_region_create_static);

/* Pages @first to @first + @nr of a leaf; the caller is alone with it */
static int region_fill_leaf(struct odp_region *region, struct odp_leaf *leaf,
			    unsigned int first, unsigned long pfn,
			    unsigned int nr)
{
	unsigned long entry = (pfn << PAGE_SHIFT) | ODP_ENTRY_READ;
	unsigned int i, added = 0;

	if (region->flags & ODP_REGION_WRITABLE)
		entry |= ODP_ENTRY_WRITE;
	if (nr < ODP_LEAF_PAGES &&
	    odp_leaf_add_table(region, leaf, GFP_KERNEL))
		return -ENOMEM;
	mutex_lock(&leaf->leaf_mutex);
	if (nr == ODP_LEAF_PAGES) {
		added = nr - leaf->present;
		WRITE_ONCE(leaf->huge_entry, entry);
	}
	for (i = first; nr < ODP_LEAF_PAGES && i < first + nr; i++) {
		added += !leaf->table[i];
		WRITE_ONCE(leaf->table[i], entry);
		entry += PAGE_SIZE;
	}
	WRITE_ONCE(leaf->present, leaf->present + added);
	mutex_unlock(&leaf->leaf_mutex);
	if (added)
		odp_count(region, mapped_pages, added);
	return 0;
}

/**
 * odp_region_add_pages() - put pages into a static region
 * @region: static, and not yet in use
 * @va: where; page aligned
 * @pfn: first page
 * @nr_pages: contiguous pages. 512 that fill a leaf get a huge entry, so
 *	longer runs in fewer calls are better.
 *
 * Context: May sleep. One caller at a time.
 * Return: 0, -EINVAL, -EFAULT outside the region, -ENOMEM.
 */
int odp_region_add_pages(struct odp_region *region, u64 va,
			 unsigned long pfn, unsigned long nr_pages)
{
	u64 first = region->start & PAGE_MASK;
	u64 last = region->last | ~PAGE_MASK;
	int ret = 0;

	if (!region->is_static || !PAGE_ALIGNED(va))
		return -EINVAL;
	if (!nr_pages)
		return 0;
	if (va < first || va > last ||
	    nr_pages - 1 > (last - va) >> PAGE_SHIFT)
		return -EFAULT;
	while (!ret && nr_pages) {
		unsigned int page = (va >> PAGE_SHIFT) & (ODP_LEAF_PAGES - 1);
		unsigned int nr = min_t(unsigned long, nr_pages,
					ODP_LEAF_PAGES - page);
		struct odp_leaf *leaf;

		leaf = odp_leaf_get(region, va >> ODP_LEAF_SHIFT,
				    GFP_KERNEL);
		if (IS_ERR(leaf))
			return PTR_ERR(leaf);
		ret = region_fill_leaf(region, leaf, page, pfn, nr);
		odp_leaf_put(leaf);
		va += (u64)nr << PAGE_SHIFT;
		pfn += nr;
		nr_pages -= nr;
	}
	return ret;
}
EXPORT_SYMBOL_GPL(odp_region_add_pages);

/**
 * odp_region_get() - take a reference
 * @region: which
 *
 * Keeps the structure, not the mapping: after odp_region_destroy() every
 * access and fault of it fails.
 *
 * Context: Any.
 */
void odp_region_get(struct odp_region *region)
{
	refcount_inc(&region->refs);
}
EXPORT_SYMBOL_GPL(odp_region_get);

/**
 * odp_region_put() - drop a reference
 * @region: may be gone afterwards
 *
 * Context: Process context; does not wait.
 */
void odp_region_put(struct odp_region *region)
{
	if (!refcount_dec_and_test(&region->refs))
		return;
	if (region->pool)
		odp_pool_put(region->pool);
	if (region->mm)
		mmdrop(region->mm);
	mem_cgroup_put(region->memcg);
	odp_domain_put(region->domain);
	xa_destroy(&region->children);
	xa_destroy(&region->leaves);
	kfree(region);
}
EXPORT_SYMBOL_GPL(odp_region_put);

/**
 * odp_region_destroy() - end a region, and drop the first reference
 * @region: from odp_region_create() or odp_region_create_static()
 *
 * Called once. When it returns no page is touched, no callback or collection
 * of this region runs or will run, nothing will be mapped; what others try
 * with their references fails with -EAGAIN (access, copy) or -ESRCH (fault).
 *
 * In this order it
 *  1. marks the region dying: faults and prefetches are refused, those that
 *     run stop at the next leaf;
 *  2. waits for those that are at work in it. It does not wait for one that
 *     waits for a page: by userfaultfd or FUSE that may take until the
 *     process has exited, which may be waiting for us. Such a fault has left
 *     the region, holds references of its caller, and will be refused when
 *     it comes back. A worker is called back, which not every wait listens
 *     to. Queued prefetches find out the same way;
 *  3. unlinks every leaf and waits for its accesses in flight, which do not
 *     sleep;
 *  4. ends the callbacks of every child;
 *  5. stops the collector, which nobody can start any more.
 *
 * Context: May sleep. No mmap_lock, no access, and not in a notifier
 * callback.
 */
void odp_region_destroy(struct odp_region *region)
{
	/* Pairs with atomic_inc_return() in odp_region_enter() */
	atomic_fetch_or(REGION_DYING, &region->busy);
	odp_recall_all(region);
	wait_var_event(&region->busy,
		       !(atomic_read(&region->busy) & REGION_COUNT));
	odp_leaf_unlink_all(region);
	odp_child_detach_all(region);
	cancel_delayed_work_sync(&region->gc_work);
	odp_region_put(region);
}
EXPORT_SYMBOL_GPL(odp_region_destroy);

/**
 * odp_region_stats() - the counters of a region
 * @region: which
 *
 * Context: Any.
 * Return: live counters, good as long as the region is.
 */
const struct odp_stats *odp_region_stats(struct odp_region *region)
{
	return &region->stats;
}
EXPORT_SYMBOL_GPL(odp_region_stats);

/**
 * odp_region_is_odp() - can its pages come and go
 * @region: which
 *
 * Context: Any.
 * Return: false for a static region.
 */
bool odp_region_is_odp(const struct odp_region *region)
{
	return !region->is_static;
}
EXPORT_SYMBOL_GPL(odp_region_is_odp);

/**
 * odp_region_is_implicit() - was it created with ODP_REGION_IMPLICIT
 * @region: which
 *
 * Context: Any.
 * Return: true if so.
 */
bool odp_region_is_implicit(const struct odp_region *region)
{
	return region->flags & ODP_REGION_IMPLICIT;
}
EXPORT_SYMBOL_GPL(odp_region_is_implicit);

/**
 * odp_region_is_callers() - is it of the memory of the current process
 * @region: which
 *
 * Context: Process.
 * Return: false for a static region, and in another process or after exec.
 */
bool odp_region_is_callers(const struct odp_region *region)
{
	return region->mm && region->mm == current->mm;
}
EXPORT_SYMBOL_GPL(odp_region_is_callers);
