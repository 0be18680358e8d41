// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * access.c - accesses in flight
 *
 * The reader's half of the fence; the other half is leaf_invalidate(). Both
 * sides meet in leaf->accesses, one atomic word: the count of accesses and
 * the flags that close the leaf to new ones. An access that saw no flag when
 * it was counted is seen by every invalidation after it.
 */

#include <linux/export.h>
#include <linux/wait_bit.h>

#include "core.h"

/**
 * odp_access_lookup() - open an access to a leaf that no hint knows
 * @region: where
 * @index: of the leaf in region->leaves
 *
 * Context: RCU read side.
 * Return: the leaf, NULL if there is none or it is being invalidated.
 */
struct odp_leaf *odp_access_lookup(struct odp_region *region,
				   unsigned long index)
{
	struct odp_leaf *leaf = xa_load(&region->leaves, index);

	if (!leaf)
		return NULL;
	/* As in odp_access_hold() */
	if (atomic_inc_return(&leaf->accesses) & LEAF_CLOSED) {
		odp_access_uncount(leaf);
		return NULL;
	}
	/* We have an access: leaf_unlink_locked() waits; cleared after that */
	WRITE_ONCE(*odp_region_hint(region, index), leaf);
	return leaf;
}

/**
 * odp_access_wake() - the last access of a closed leaf is gone
 * @leaf: used as a key only, it may have been freed
 *
 * Context: Any.
 */
void odp_access_wake(struct odp_leaf *leaf)
{
	wake_up_var(&leaf->accesses);
}

static bool access_entries_valid(struct odp_leaf *leaf, unsigned long va,
				 size_t len, unsigned long need)
{
	unsigned long end = va + len;

	va &= PAGE_MASK;
	if (READ_ONCE(leaf->huge_entry))
		return (READ_ONCE(leaf->huge_entry) & need) == need;
	for (; va < end; va += PAGE_SIZE)
		if ((odp_leaf_entry(leaf, va) & need) != need)
			return false;
	return true;
}

/**
 * odp_access_begin() - take a reference on the pages of a range
 * @region: where
 * @va: first byte
 * @len: bytes; clipped to the leaf, access->len tells
 * @write: the pages will be written
 * @access: filled; to be given to odp_access_end()
 *
 * Until odp_access_end() no page of the range goes away. The holder must not
 * sleep, fault, take mmap_lock or allocate with reclaim.
 *
 * Context: Any; never sleeps.
 * Return: 0, -EFAULT outside the region, -EAGAIN when a page has no entry
 * (call odp_region_fault() and try again).
 */
int odp_access_begin(struct odp_region *region, u64 va, size_t len,
		     bool write, struct odp_access *access)
{
	unsigned long need = ODP_ENTRY_READ;
	struct odp_leaf *leaf;

	access->leaf = NULL;
	if (!odp_region_covers(region, va, len))
		return -EFAULT;
	leaf = odp_access_hold(region, va >> ODP_LEAF_SHIFT);
	if (!leaf)
		return -EAGAIN;
	if (write)
		need |= ODP_ENTRY_WRITE;
	len = min_t(u64, len, ODP_LEAF_SIZE - (va & (ODP_LEAF_SIZE - 1)));
	access->leaf = leaf;
	access->va = va;
	access->len = len;
	if (likely(access_entries_valid(leaf, va, len, need)))
		return 0;
	odp_access_end(access);
	return -EAGAIN;
}
EXPORT_SYMBOL_GPL(odp_access_begin);

/**
 * odp_access_end() - let the pages go
 * @access: from odp_access_begin(); ending one that failed is harmless
 *
 * Context: Any.
 */
void odp_access_end(struct odp_access *access)
{
	if (!access->leaf)
		return;
	odp_access_drop(access->leaf);
	access->leaf = NULL;
}
EXPORT_SYMBOL_GPL(odp_access_end);

/**
 * odp_access_map() - the kernel's address of a byte under an access
 * @access: from odp_access_begin()
 * @va: a byte of it
 * @run: bytes from there on that are contiguous in the kernel's mapping
 *
 * Context: Any.
 * Return: the address, to be given to odp_access_unmap().
 */
void *odp_access_map(struct odp_access *access, u64 va, size_t *run)
{
	size_t rest = access->va + access->len - va;
	unsigned long offset = va & ~PAGE_MASK;
	unsigned long entry = odp_leaf_entry(access->leaf, va);
	unsigned long phys = entry & PAGE_MASK;
	size_t len = PAGE_SIZE - offset;
	unsigned long next = phys;

	while (len < rest) {
		next += PAGE_SIZE;
		entry = odp_leaf_entry(access->leaf, va + len);
		if ((entry & PAGE_MASK) != next)
			break;
		len += PAGE_SIZE;
	}
	*run = min(len, rest);
	return phys_to_virt(phys) + offset;
}
EXPORT_SYMBOL_GPL(odp_access_map);

/**
 * odp_access_unmap() - done with an address
 * @addr: from odp_access_map()
 *
 * Context: As odp_access_map().
 */
void odp_access_unmap(void *addr)
{
	/* Nothing to do while all kernels we run on map all memory */
}
EXPORT_SYMBOL_GPL(odp_access_unmap);
