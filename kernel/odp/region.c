// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * region.c - regions: create, fill (static ones), destroy
 *
 * A region is a window: creating and destroying one costs the same whatever its
 * length and whatever is mapped.
 */

#include <linux/export.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "access.h"

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

static struct odp_region *region_alloc(u64 start, u64 length, u32 flags)
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
	region->start = start;
	region->last = last;
	region->flags = flags;
	refcount_set(&region->refs, 1);
	return region;
}

/**
 * odp_region_create() - a region of the caller's memory
 * @domain: of the device
 * @start: first byte, of any alignment
 * @length: bytes; may reach beyond what is mapped, now or ever
 * @flags: enum odp_region_flags; an implicit region is clipped to the
 *	address space
 *
 * Maps nothing and tells the mm nothing: that happens at the first fault.
 *
 * Context: Process context of the memory's owner.
 * Return: a region with one reference, for odp_region_destroy(); -EINVAL
 * empty or no memory, -EOVERFLOW, -EFAULT outside the address space, -ENOMEM; of
 * hardware also what its driver's open() says.
 */
struct odp_region *odp_region_create(struct odp_domain *domain, u64 start,
				     u64 length, u32 flags)
{
	struct mm_struct *mm = current->mm;
	struct odp_region *region;
	struct odp_space *space;

	if (!mm)
		return ERR_PTR(-EINVAL);
	region = region_alloc(start, length, flags);
	if (IS_ERR(region))
		return region;
	if (flags & ODP_REGION_IMPLICIT)
		region->last = min_t(u64, region->last, mm->task_size - 1);
	if (region->start > region->last || region->last >= mm->task_size) {
		kfree(region);
		return ERR_PTR(-EFAULT);
	}
	space = odp_space_get(domain);
	if (IS_ERR(space)) {
		kfree(region);
		return ERR_CAST(space);
	}
	region->space = space;
	odp_space_add_region(space, region);
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
 * -EOVERFLOW, -ENOMEM; -EOPNOTSUPP for a domain of hardware: whose pages stay
 * where they are needs no core.
 */
struct odp_region *odp_region_create_static(struct odp_domain *domain,
					    u64 start, u64 length, u32 flags)
{
	struct odp_region *region;
	struct odp_space *space;

	if (domain->device.dev)
		return ERR_PTR(-EOPNOTSUPP);
	region = region_alloc(start, length, flags);
	if (IS_ERR(region))
		return region;
	space = odp_space_create_static(domain);
	if (IS_ERR(space)) {
		kfree(region);
		return ERR_CAST(space);
	}
	region->space = space;
	return region;
}
EXPORT_SYMBOL_GPL(odp_region_create_static);

/* Pages @first to @first + @nr of a leaf; the caller is alone with it */
static int region_fill_leaf(struct odp_region *region, struct odp_leaf *leaf,
			    unsigned int first, unsigned long pfn,
			    unsigned int nr)
{
	unsigned long entry = (pfn << PAGE_SHIFT) | ODP_ENTRY_READ;
	unsigned int last = first + nr;
	unsigned long fresh = 0;
	unsigned int added = 0;

	if (region->flags & ODP_REGION_WRITABLE)
		entry |= ODP_ENTRY_WRITE;
	if (nr < ODP_LEAF_PAGES && odp_table_needed(leaf, first, last)) {
		fresh = odp_table_alloc(region->space, GFP_KERNEL);
		if (!fresh)
			return -ENOMEM;
	}
	mutex_lock(&leaf->leaf_mutex);
	if (nr == ODP_LEAF_PAGES) {
		added = nr - leaf->present;
		WRITE_ONCE(leaf->huge_entry, entry);
	} else {
		odp_table_use(leaf, first, last, &fresh);
		for (; first < last; first++, entry += PAGE_SIZE)
			added += !odp_table_set(leaf, first, entry);
	}
	WRITE_ONCE(leaf->present, leaf->present + added);
	mutex_unlock(&leaf->leaf_mutex);
	odp_domain_count(region->space->domain, mapped_pages, added);
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

	if (odp_region_is_odp(region) || !PAGE_ALIGNED(va))
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

		leaf = odp_leaf_get(region->space, va >> ODP_LEAF_SHIFT,
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
	odp_space_put_later(region->space);
	kfree(region);
}
EXPORT_SYMBOL_GPL(odp_region_put);

/**
 * odp_region_destroy() - end a region, and drop the first reference
 * @region: from odp_region_create() or odp_region_create_static()
 *
 * Called once. A driver of hardware has first made its device stop using the
 * region: what the process has mapped stays mapped, for other regions.
 *
 * When it returns no page is touched by right of this region,
 * nothing will be mapped for it; what others try with their references fails
 * with -EAGAIN (access, copy) or -ESRCH (fault).
 *
 * In this order it
 *  1. marks the region gone: no access begins, faults and prefetches are
 *     refused, those that run stop at the next leaf;
 *  2. waits for those that are at work in it. It does not wait for one that
 *     waits for a page: by userfaultfd or FUSE that may take until the
 *     process has exited, which may be waiting for us. Such a fault has left
 *     the region, holds references of its caller, and will be refused when
 *     it comes back. A worker is called back, which not every wait listens
 *     to. Queued prefetches find out the same way;
 *  3. waits for its accesses in flight, which do not sleep;
 *  4. drops its reference to the space, where what it was used for stays. That
 *     of a static region goes.
 *
 * So it costs the same whatever was mapped.
 *
 * Context: May sleep. No mmap_lock, no access, and not in a notifier
 * callback.
 */
void odp_region_destroy(struct odp_region *region)
{
	struct odp_space *space = region->space;

	WRITE_ONCE(region->gone, true);
	/*
	 * Fully ordered. Pairs with atomic_inc_return() in odp_region_enter(),
	 * and, for @gone, with smp_mb() in who opens an access
	 */
	atomic_fetch_or(REGION_DYING, &region->busy);
	odp_recall_all(region);
	wait_var_event(&region->busy,
		       !(atomic_read(&region->busy) & REGION_COUNT));
	odp_access_wait_region(region);
	if (odp_region_is_odp(region))
		odp_space_remove_region(space, region);
	if (refcount_dec_and_test(&region->refs)) {
		kfree(region);
		odp_space_put(space);
	}
}
EXPORT_SYMBOL_GPL(odp_region_destroy);

/* Entries of a leaf between two addresses */
static unsigned int region_leaf_pages(struct odp_leaf *leaf,
				      unsigned long start, unsigned long last)
{
	unsigned long base = leaf->index << ODP_LEAF_SHIFT;
	unsigned long va = max(start & PAGE_MASK, base);
	unsigned int nr = 0;

	last = min(last, base + ODP_LEAF_SIZE - 1);
	mutex_lock(&leaf->leaf_mutex);
	if (va == base && last - base >= ODP_LEAF_SIZE - PAGE_SIZE)
		nr = leaf->present;
	else if (leaf->present)
		for (; va <= last; va += PAGE_SIZE)
			nr += !!odp_leaf_entry(leaf, va);
	mutex_unlock(&leaf->leaf_mutex);
	return nr;
}

static u64 region_mapped_pages(struct odp_region *region)
{
	unsigned long index = region->start >> ODP_LEAF_SHIFT;
	struct odp_leaf *leaf;
	u64 nr = 0;

	while ((leaf = odp_leaf_find(region->space, &index,
				     region->last >> ODP_LEAF_SHIFT))) {
		nr += region_leaf_pages(leaf, region->start, region->last);
		odp_leaf_put(leaf);
		index++;
		cond_resched();
	}
	return nr;
}

/**
 * odp_region_stats() - the counters of a region
 * @region: which; not destroyed
 * @stats: filled
 *
 * Takes as long as there are pages mapped in it, to count them.
 *
 * Context: May sleep.
 */
void odp_region_stats(struct odp_region *region, struct odp_stats *stats)
{
	const struct odp_region_counters *count = &region->count;

	stats->faults = atomic64_read(&count->faults);
	stats->faults_read = atomic64_read(&count->faults_read);
	stats->faults_write = atomic64_read(&count->faults_write);
	stats->faults_failed = atomic64_read(&count->faults_failed);
	stats->faults_handed_over = atomic64_read(&count->faults_handed_over);
	stats->fault_pages = atomic64_read(&count->fault_pages);
	stats->fault_huge = atomic64_read(&count->fault_huge);
	stats->invalidations = atomic64_read(&count->invalidations);
	stats->invalidated_pages = atomic64_read(&count->invalidated_pages);
	stats->prefetches = atomic64_read(&count->prefetches);
	stats->prefetch_pages = atomic64_read(&count->prefetch_pages);
	stats->collisions = atomic64_read(&count->collisions);
	stats->mapped_pages = region_mapped_pages(region);
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
	return region->space->mm;
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
 * odp_region_set_name() - say what the driver calls a region
 * @region: which
 * @name: a number that users know it by (mrn); trace points show it
 *
 * Context: Any.
 */
void odp_region_set_name(struct odp_region *region, u32 name)
{
	/* Mostly it is known already */
	if (READ_ONCE(region->name) != name)
		WRITE_ONCE(region->name, name);
}
EXPORT_SYMBOL_GPL(odp_region_set_name);

/**
 * odp_region_name() - what the driver calls a region
 * @region: which
 *
 * Context: Any.
 * Return: from odp_region_set_name(), or 0.
 */
u32 odp_region_name(const struct odp_region *region)
{
	return READ_ONCE(region->name);
}
EXPORT_SYMBOL_GPL(odp_region_name);

/**
 * odp_region_is_callers() - is it of the memory of the current process
 * @region: which
 *
 * Context: Process.
 * Return: false for a static region, and in another process or after exec.
 */
bool odp_region_is_callers(const struct odp_region *region)
{
	return region->space->mm && region->space->mm == current->mm;
}
EXPORT_SYMBOL_GPL(odp_region_is_callers);

/**
 * odp_region_check() - may a region be used for this
 * @region: which
 * @va: first byte
 * @len: bytes
 * @write: they will be written
 *
 * Entries are the process', not the region's: what one region has brought in
 * others find, whatever their bounds and rights. So a device, or its driver,
 * has to ask before each use.
 *
 * Context: Any.
 * Return: 0, -EFAULT outside the region, -EACCES to write to one that is not
 * writable.
 */
int odp_region_check(const struct odp_region *region, u64 va, u64 len,
		     bool write)
{
	if (!odp_region_covers(region, va, len))
		return -EFAULT;
	return write && !(region->flags & ODP_REGION_WRITABLE) ? -EACCES : 0;
}
EXPORT_SYMBOL_GPL(odp_region_check);

/**
 * odp_region_table() - the page table that a region is used by
 * @region: which
 *
 * Context: Any; while there is a reference to the region.
 * Return: what the driver's open() has made for the process; NULL in a domain
 * of software.
 */
void *odp_region_table(const struct odp_region *region)
{
	return region->space->table;
}
EXPORT_SYMBOL_GPL(odp_region_table);

/**
 * odp_region_touched() - a device says what it has used
 * @region: of a domain of hardware
 * @va: first byte
 * @len: bytes
 *
 * So that the mm knows which pages are in use: see struct odp_mm. A driver
 * whose device cannot tell leaves it, and then faults are all that counts.
 *
 * Context: Any that may read RCU.
 */
void odp_region_touched(struct odp_region *region, u64 va, u64 len)
{
	if (len && odp_region_covers(region, va, len))
		odp_space_touch(region->space, va, va + len - 1);
}
EXPORT_SYMBOL_GPL(odp_region_touched);
