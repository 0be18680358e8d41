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
 * sodp_access_lookup() - open an access to a leaf that no hint knows
 * @region: where
 * @index: of the leaf in region->leaves
 *
 * Context: RCU read side.
 * Return: the leaf, NULL if there is none or it is being invalidated.
 */
struct sodp_leaf *sodp_access_lookup(struct sodp_region *region,
				     unsigned long index)
{
	struct sodp_leaf *leaf = xa_load(&region->leaves, index);

	if (!leaf)
		return NULL;
	/* As in sodp_access_hold() */
	if (atomic_inc_return(&leaf->accesses) & LEAF_CLOSED) {
		sodp_access_uncount(leaf);
		return NULL;
	}
	/* We have an access: leaf_unlink_locked() waits; cleared after that */
	WRITE_ONCE(*sodp_region_hint(region, index), leaf);
	return leaf;
}

/**
 * sodp_access_wake() - the last access of a closed leaf is gone
 * @leaf: used as a key only, it may have been freed
 *
 * Context: Any.
 */
void sodp_access_wake(struct sodp_leaf *leaf)
{
	wake_up_var(&leaf->accesses);
}

static bool access_entries_valid(struct sodp_leaf *leaf, unsigned long va,
				 size_t len, unsigned long need)
{
	unsigned long end = va + len;

	va &= PAGE_MASK;
	if (READ_ONCE(leaf->huge_entry))
		return (READ_ONCE(leaf->huge_entry) & need) == need;
	for (; va < end; va += PAGE_SIZE)
		if ((sodp_leaf_entry(leaf, va) & need) != need)
			return false;
	return true;
}

/**
 * sodp_access_begin() - take a reference on the pages of a range
 * @region: where
 * @va: first byte
 * @len: bytes; clipped to the leaf, access->len tells
 * @write: the pages will be written
 * @access: filled; to be given to sodp_access_end()
 *
 * Until sodp_access_end() no page of the range goes away. The holder must not
 * sleep, fault, take mmap_lock or allocate with reclaim.
 *
 * Context: Any; never sleeps.
 * Return: 0, -EFAULT outside the region, -EAGAIN when a page has no entry
 * (call sodp_region_fault() and try again).
 */
int sodp_access_begin(struct sodp_region *region, u64 va, size_t len,
		      bool write, struct sodp_access *access)
{
	unsigned long need = SODP_ENTRY_READ;
	struct sodp_leaf *leaf;

	access->leaf = NULL;
	if (!sodp_region_covers(region, va, len))
		return -EFAULT;
	leaf = sodp_access_hold(region, va >> SODP_LEAF_SHIFT);
	if (!leaf)
		return -EAGAIN;
	if (write)
		need |= SODP_ENTRY_WRITE;
	len = min_t(u64, len, SODP_LEAF_SIZE - (va & (SODP_LEAF_SIZE - 1)));
	access->leaf = leaf;
	access->va = va;
	access->len = len;
	if (likely(access_entries_valid(leaf, va, len, need)))
		return 0;
	sodp_access_end(access);
	return -EAGAIN;
}
EXPORT_SYMBOL_GPL(sodp_access_begin);

/**
 * sodp_access_end() - let the pages go
 * @access: from sodp_access_begin(); ending one that failed is harmless
 *
 * Context: Any.
 */
void sodp_access_end(struct sodp_access *access)
{
	if (!access->leaf)
		return;
	sodp_access_drop(access->leaf);
	access->leaf = NULL;
}
EXPORT_SYMBOL_GPL(sodp_access_end);

/**
 * sodp_access_map() - the kernel's address of a byte under an access
 * @access: from sodp_access_begin()
 * @va: a byte of it
 * @run: bytes from there on that are contiguous in the kernel's mapping
 *
 * Context: Any.
 * Return: the address, to be given to sodp_access_unmap().
 */
void *sodp_access_map(struct sodp_access *access, u64 va, size_t *run)
{
	size_t rest = access->va + access->len - va;
	unsigned long offset = va & ~PAGE_MASK;
	unsigned long entry = sodp_leaf_entry(access->leaf, va);
	unsigned long phys = entry & PAGE_MASK;
	size_t len = PAGE_SIZE - offset;
	unsigned long next = phys;

	while (len < rest) {
		next += PAGE_SIZE;
		entry = sodp_leaf_entry(access->leaf, va + len);
		if ((entry & PAGE_MASK) != next)
			break;
		len += PAGE_SIZE;
	}
	*run = min(len, rest);
	return phys_to_virt(phys) + offset;
}
EXPORT_SYMBOL_GPL(sodp_access_map);

/**
 * sodp_access_unmap() - done with an address
 * @addr: from sodp_access_map()
 *
 * Context: As sodp_access_map().
 */
void sodp_access_unmap(void *addr)
{
	/* Nothing to do while all kernels we run on map all memory */
}
EXPORT_SYMBOL_GPL(sodp_access_unmap);
