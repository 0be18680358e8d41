// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * copy.c - bytes from page to page
 *
 * A copy goes in chunks that touch one leaf on each side. The accesses of a
 * chunk are opened, entries are looked up as the copy comes to them, runs of
 * contiguous pages are copied at once, the accesses are dropped. Nothing in
 * between sleeps. A page without an entry ends it: the caller faults and
 * comes back.
 */

#include <linux/export.h>

#include "core.h"
#include "memcpy.h"

/**
 * struct copy_side - one side of a chunk
 * @leaf: accessed
 * @va: next byte
 * @need: SODP_ENTRY_* that a page must have
 * @addr: kernel address of the next byte, when @run is not 0
 * @run: bytes contiguous from @addr
 */
struct copy_side {
	struct sodp_leaf *leaf;
	unsigned long va;
	unsigned long need;
	void *addr;
	size_t run;
};

/* Find the next run, of at most @want bytes. Return false on a miss. */
static __always_inline bool copy_next_run(struct copy_side *side, size_t want)
{
	unsigned long entry = sodp_leaf_entry(side->leaf, side->va);
	unsigned long offset = side->va & ~PAGE_MASK;
	size_t run = PAGE_SIZE - offset;

	if (unlikely((entry & side->need) != side->need))
		return false;
	side->addr = phys_to_virt((entry & PAGE_MASK) + offset);
	/* With the same flags, so that @need is met */
	while (run < want) {
		entry += PAGE_SIZE;
		if (sodp_leaf_entry(side->leaf, side->va + run) != entry)
			break;
		run += PAGE_SIZE;
	}
	side->run = min(run, want);
	return true;
}

/*
 * Copy a chunk. Return the bytes copied; less than @len when an entry is
 * missing: on the side that has no run, dst first.
 */
static size_t copy_chunk(struct copy_side *dst, struct copy_side *src,
			 size_t len)
{
	size_t left = len;

	while (left) {
		size_t run;

		if (!dst->run && !copy_next_run(dst, left))
			break;
		if (!src->run && !copy_next_run(src, left))
			break;
		run = min(dst->run, src->run);
		sodp_memcpy(dst->addr, src->addr, run);
		dst->va += run;
		dst->addr += run;
		dst->run -= run;
		src->va += run;
		src->addr += run;
		src->run -= run;
		left -= run;
	}
	return len - left;
}

static size_t leaf_rest(u64 va)
{
	return SODP_LEAF_SIZE - (va & (SODP_LEAF_SIZE - 1));
}

static int copy_missed(struct sodp_miss *miss, struct sodp_region *region,
		       u64 va, u64 len, u32 flags)
{
	miss->region = region;
	miss->va = va;
	miss->len = len;
	miss->flags = flags;
	return -EAGAIN;
}

/**
 * sodp_copy() - copy from region to region
 * @dst: written
 * @dst_va: first byte there
 * @src: read; may be @dst, and the ranges may overlap, but what is in them
 *	afterwards is then not defined
 * @src_va: first byte there
 * @len: bytes
 * @done: bytes copied, also when it fails; from the start on, in order
 * @miss: what to fault in, when the result is -EAGAIN
 *
 * Context: Any; never sleeps, holds off invalidations of the leaves it is in.
 * Return: 0, -EFAULT outside a region, -EAGAIN a page has no entry.
 */
int sodp_copy(struct sodp_region *dst, u64 dst_va, struct sodp_region *src,
	      u64 src_va, u64 len, u64 *done, struct sodp_miss *miss)
{
	u64 left = len;
	int ret = 0;

	*done = 0;
	if (!sodp_region_covers(dst, dst_va, len) ||
	    !sodp_region_covers(src, src_va, len))
		return -EFAULT;
	while (left) {
		struct copy_side to = {
			.va = dst_va,
			.need = SODP_ENTRY_FLAGS,
		};
		struct copy_side from = {
			.va = src_va,
			.need = SODP_ENTRY_READ,
		};
		size_t chunk, copied;

		to.leaf = sodp_access_hold(dst, dst_va >> SODP_LEAF_SHIFT);
		if (!to.leaf) {
			ret = copy_missed(miss, dst, dst_va, left,
					  SODP_FAULT_WRITE);
			break;
		}
		from.leaf = sodp_access_hold(src, src_va >> SODP_LEAF_SHIFT);
		if (!from.leaf) {
			sodp_access_drop(to.leaf);
			ret = copy_missed(miss, src, src_va, left, 0);
			break;
		}
		chunk = min3(left, (u64)leaf_rest(dst_va),
			     (u64)leaf_rest(src_va));
		copied = copy_chunk(&to, &from, chunk);
		sodp_access_drop(from.leaf);
		sodp_access_drop(to.leaf);
		dst_va += copied;
		src_va += copied;
		left -= copied;
		if (likely(copied == chunk))
			continue;
		if (!to.run)
			ret = copy_missed(miss, dst, dst_va, left,
					  SODP_FAULT_WRITE);
		else
			ret = copy_missed(miss, src, src_va, left, 0);
		break;
	}
	*done = len - left;
	return ret;
}
EXPORT_SYMBOL_GPL(sodp_copy);

/*
 * Copy between a region and a kernel buffer. Inlined twice, so that @write is
 * a constant.
 */
static __always_inline int copy_buffer(struct sodp_region *region, u64 va,
				       void *buffer, u64 len, bool write,
				       u64 *done, struct sodp_miss *miss)
{
	u64 left = len;

	*done = 0;
	if (!sodp_region_covers(region, va, len))
		return -EFAULT;
	while (left) {
		struct copy_side side = {
			.va = va,
			.need = write ? SODP_ENTRY_FLAGS : SODP_ENTRY_READ,
		};
		size_t chunk = min_t(u64, left, leaf_rest(va));
		size_t copied = 0;

		side.leaf = sodp_access_hold(region, va >> SODP_LEAF_SHIFT);
		while (side.leaf && copied < chunk) {
			if (!copy_next_run(&side, chunk - copied))
				break;
			if (write)
				sodp_memcpy(side.addr, buffer, side.run);
			else
				sodp_memcpy(buffer, side.addr, side.run);
			buffer += side.run;
			side.va += side.run;
			copied += side.run;
		}
		if (side.leaf)
			sodp_access_drop(side.leaf);
		va += copied;
		left -= copied;
		*done += copied;
		if (unlikely(copied < chunk))
			return copy_missed(miss, region, va, left,
					   write ? SODP_FAULT_WRITE : 0);
	}
	return 0;
}

/**
 * sodp_copy_in() - copy from a kernel buffer to a region
 * @dst: written
 * @dst_va: first byte there
 * @src: kernel memory
 * @len: bytes
 * @done: bytes copied, also when it fails
 * @miss: what to fault in, when the result is -EAGAIN
 *
 * Context: As sodp_copy().
 * Return: As sodp_copy().
 */
int sodp_copy_in(struct sodp_region *dst, u64 dst_va, const void *src,
		 u64 len, u64 *done, struct sodp_miss *miss)
{
	return copy_buffer(dst, dst_va, (void *)src, len, true, done, miss);
}
EXPORT_SYMBOL_GPL(sodp_copy_in);

/**
 * sodp_copy_out() - copy from a region to a kernel buffer
 * @dst: kernel memory
 * @src: read
 * @src_va: first byte there
 * @len: bytes
 * @done: bytes copied, also when it fails
 * @miss: what to fault in, when the result is -EAGAIN
 *
 * Context: As sodp_copy().
 * Return: As sodp_copy().
 */
int sodp_copy_out(void *dst, struct sodp_region *src, u64 src_va, u64 len,
		  u64 *done, struct sodp_miss *miss)
{
	return copy_buffer(src, src_va, dst, len, false, done, miss);
}
EXPORT_SYMBOL_GPL(sodp_copy_out);

/* Real atomics of the CPU, so the application's own are atomic with them */
static int copy_atomic(atomic64_t *target, enum sodp_atomic_op op, u64 operand,
		       u64 compare, u64 *old)
{
	switch (op) {
	case SODP_ATOMIC_CAS:
		*old = atomic64_cmpxchg(target, compare, operand);
		return 0;
	case SODP_ATOMIC_FAA:
		*old = atomic64_fetch_add(operand, target);
		return 0;
	case SODP_ATOMIC_STORE:
		/* What was copied before is seen by who sees this */
		atomic64_set_release(target, operand);
		*old = 0;
		return 0;
	}
	return -EINVAL;
}

/**
 * sodp_atomic() - an 8-byte atomic operation
 * @region: where
 * @va: 8-byte aligned
 * @op: which
 * @operand: to swap in, add or store
 * @compare: what CAS compares with
 * @old: what was there before; 0 for a store
 * @miss: what to fault in, when the result is -EAGAIN
 *
 * Context: As sodp_copy().
 * Return: 0, -EINVAL not aligned or not an operation, -EFAULT outside the
 * region, -EAGAIN the page has no entry.
 */
int sodp_atomic(struct sodp_region *region, u64 va, enum sodp_atomic_op op,
		u64 operand, u64 compare, u64 *old, struct sodp_miss *miss)
{
	struct sodp_leaf *leaf;
	unsigned long entry;
	int ret;

	if (!IS_ALIGNED(va, sizeof(u64)))
		return -EINVAL;
	if (!sodp_region_covers(region, va, sizeof(u64)))
		return -EFAULT;
	leaf = sodp_access_hold(region, va >> SODP_LEAF_SHIFT);
	if (!leaf)
		return copy_missed(miss, region, va, sizeof(u64),
				   SODP_FAULT_WRITE);
	entry = sodp_leaf_entry(leaf, va);
	if ((entry & SODP_ENTRY_FLAGS) == SODP_ENTRY_FLAGS)
		ret = copy_atomic(phys_to_virt((entry & PAGE_MASK) +
					       (va & ~PAGE_MASK)),
				  op, operand, compare, old);
	else
		ret = copy_missed(miss, region, va, sizeof(u64),
				  SODP_FAULT_WRITE);
	sodp_access_drop(leaf);
	return ret;
}
EXPORT_SYMBOL_GPL(sodp_atomic);
