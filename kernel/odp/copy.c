// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * copy.c - bytes from page to page
 *
 * A copy goes in chunks that touch one leaf on each side. The accesses of a
 * chunk are opened, entries are looked up as the copy comes to them, runs of
 * contiguous pages are copied at once, the accesses are ended. Nothing in
 * between sleeps or is preempted. A page without an entry ends it: the caller faults and
 * comes back. So does memory with an error in it, for good.
 */

#include <linux/export.h>
#include <linux/sizes.h>

#include "access.h"
#include "memcpy.h"

/* An invalidation, and who wants the CPU, wait for this many bytes at most */
#define COPY_CHUNK	SZ_256K

/* Why less than all was copied */
enum copy_stop {
	COPY_DST_MISSED,
	COPY_SRC_MISSED,
	COPY_BAD_MEMORY,
	COPY_GO_ON,		/* nothing is wrong, the chunk was shorter */
};

/* Stands in for the table that a leaf does not have */
static const unsigned long no_entries[ODP_LEAF_PAGES];

/**
 * struct copy_side - one side of a chunk
 * @table: entries; of a leaf with few, those before and after are not there
 * @huge: huge entry of the leaf, or 0
 *
 * Both are read once for the chunk. If the leaf gets a table, or a huge entry,
 * meanwhile, that is a miss at worst, and found out when the caller faults.
 */
struct copy_side {
	const unsigned long *table;
	unsigned long huge;
};

/* Few entries: the chunk ends with them. @at: offset in the leaf */
static noinline struct copy_side copy_open_small(const struct odp_leaf *leaf,
						 unsigned long table,
						 unsigned long at, size_t *len)
{
	unsigned long first = (unsigned long)leaf->small_first << PAGE_SHIFT;
	unsigned long size = LEAF_SMALL_PAGES << PAGE_SHIFT;

	if (at - first >= size)
		return (struct copy_side) { .table = no_entries };
	*len = min(*len, first + size - at);
	table -= LEAF_TABLE_SMALL + leaf->small_first * sizeof(table);
	return (struct copy_side) { .table = (unsigned long *)table };
}

static __always_inline struct copy_side copy_open(const struct odp_leaf *leaf,
						  unsigned long at, size_t *len)
{
	/* Pairs with WRITE_ONCE in commit_huge() */
	unsigned long huge = READ_ONCE(leaf->huge_entry);
	/* Pairs with smp_store_release() in odp_table_use() */
	unsigned long table = smp_load_acquire(&leaf->table);

	if (unlikely(!huge && (table & LEAF_TABLE_SMALL)))
		return copy_open_small(leaf, table, at & (ODP_LEAF_SIZE - 1),
				       len);
	return (struct copy_side) {
		.table = table ? (unsigned long *)table : no_entries,
		.huge = huge,
	};
}

static __always_inline void *copy_address(unsigned long entry,
					  unsigned long in_page)
{
	return phys_to_virt((entry & PAGE_MASK) + in_page);
}

/* May a device write to, may it read from a page with this entry */
static __always_inline bool copy_writable(unsigned long entry)
{
	return likely((entry & ODP_ENTRY_FLAGS) == ODP_ENTRY_FLAGS);
}

static __always_inline bool copy_readable(unsigned long entry)
{
	return likely(entry & ODP_ENTRY_READ);
}

/* odp_memcpy(), with bytes copied as the result */
static __always_inline size_t copy_run(void *to, const void *from, size_t len,
				       enum copy_stop *stop)
{
	size_t left = odp_memcpy(to, from, len);

	if (likely(!left))
		return len;
	*stop = COPY_BAD_MEMORY;
	return len - left;
}

/*
 * Copy between a table, from offset @at of its leaf on, and a buffer. Return
 * the bytes copied; less than @len for the reason in @stop. Neighbours with
 * the same flags are one run: string instructions like it long.
 */
static __always_inline size_t copy_table(const unsigned long *table,
					 unsigned long at, void *buffer,
					 size_t len, bool write,
					 enum copy_stop *stop)
{
	unsigned long in_page = at & ~PAGE_MASK;
	size_t left = len, copied;

	table += at >> PAGE_SHIFT;
	while (left) {
		unsigned long entry = READ_ONCE(*table++);
		void *address = copy_address(entry, in_page);
		size_t run = PAGE_SIZE - in_page;

		if (write ? !copy_writable(entry) : !copy_readable(entry)) {
			*stop = write ? COPY_DST_MISSED : COPY_SRC_MISSED;
			break;
		}
		while (run < left && READ_ONCE(*table) == entry + PAGE_SIZE) {
			entry += PAGE_SIZE;
			run += PAGE_SIZE;
			table++;
		}
		run = min(run, left);
		if (write)
			copied = copy_run(address, buffer, run, stop);
		else
			copied = copy_run(buffer, address, run, stop);
		left -= copied;
		if (unlikely(copied != run))
			break;
		buffer += run;
		in_page = 0;
	}
	return len - left;
}

/* Inlined once for each direction only */
static noinline size_t copy_to_table(const unsigned long *table,
				     unsigned long at, const void *buffer,
				     size_t len, enum copy_stop *stop)
{
	return copy_table(table, at, (void *)buffer, len, true, stop);
}

static noinline size_t copy_from_table(const unsigned long *table,
				       unsigned long at, void *buffer,
				       size_t len, enum copy_stop *stop)
{
	return copy_table(table, at, buffer, len, false, stop);
}

/* The destination is named first: a fault for it may bring the source too */
static __always_inline bool copy_entries_allow(unsigned long to,
					       unsigned long from,
					       enum copy_stop *stop)
{
	*stop = copy_writable(to) ? COPY_SRC_MISSED : COPY_DST_MISSED;
	return *stop == COPY_SRC_MISSED && copy_readable(from);
}

/* From table to table, at the same offset in the page; as copy_table() */
static noinline size_t copy_tables(const unsigned long *dst,
				   const unsigned long *src,
				   unsigned long in_page, size_t len,
				   enum copy_stop *stop)
{
	size_t left = len, copied;

	while (left) {
		unsigned long to = READ_ONCE(*dst++);
		unsigned long from = READ_ONCE(*src++);
		size_t run = PAGE_SIZE - in_page, more = PAGE_SIZE;

		if (!copy_entries_allow(to, from, stop))
			break;
		while (run < left && READ_ONCE(*dst) == to + more &&
		       READ_ONCE(*src) == from + more) {
			run += PAGE_SIZE;
			more += PAGE_SIZE;
			dst++;
			src++;
		}
		run = min(run, left);
		copied = copy_run(copy_address(to, in_page),
				  copy_address(from, in_page), run, stop);
		left -= copied;
		if (unlikely(copied != run))
			break;
		in_page = 0;
	}
	return len - left;
}

/* The same, at different offsets: two pieces per page */
static noinline size_t copy_shifted(const unsigned long *dst, unsigned long to,
				    const unsigned long *src,
				    unsigned long from, size_t len,
				    enum copy_stop *stop)
{
	size_t left = len, copied;

	while (left) {
		unsigned long dst_entry = READ_ONCE(dst[to >> PAGE_SHIFT]);
		unsigned long src_entry = READ_ONCE(src[from >> PAGE_SHIFT]);
		unsigned long dst_in_page = to & ~PAGE_MASK;
		unsigned long src_in_page = from & ~PAGE_MASK;
		size_t run = PAGE_SIZE - max(dst_in_page, src_in_page);

		if (!copy_entries_allow(dst_entry, src_entry, stop))
			break;
		run = min(run, left);
		copied = copy_run(copy_address(dst_entry, dst_in_page),
				  copy_address(src_entry, src_in_page), run,
				  stop);
		left -= copied;
		if (unlikely(copied != run))
			break;
		to += run;
		from += run;
	}
	return len - left;
}

/* @to and @from are offsets in the leaves */
static __always_inline size_t copy_sides(struct copy_side dst,
					 unsigned long to,
					 struct copy_side src,
					 unsigned long from, size_t len,
					 enum copy_stop *stop)
{
	void *dst_addr = phys_to_virt((dst.huge & PAGE_MASK) + to);
	void *src_addr = phys_to_virt((src.huge & PAGE_MASK) + from);

	if (dst.huge) {
		*stop = COPY_DST_MISSED;
		if (!copy_writable(dst.huge))
			return 0;
		if (!src.huge)
			return copy_from_table(src.table, from, dst_addr, len,
					       stop);
		return copy_run(dst_addr, src_addr, len, stop);
	}
	if (src.huge)
		return copy_to_table(dst.table, to, src_addr, len, stop);
	if ((to & ~PAGE_MASK) == (from & ~PAGE_MASK))
		return copy_tables(dst.table + (to >> PAGE_SHIFT),
				   src.table + (from >> PAGE_SHIFT),
				   to & ~PAGE_MASK, len, stop);
	return copy_shifted(dst.table, to, src.table, from, len, stop);
}

/* All of a chunk, which the leaves may have made shorter */
static __always_inline size_t copy_full(size_t copied, enum copy_stop *stop)
{
	*stop = COPY_GO_ON;
	return copied;
}

/*
 * Copy from leaf to leaf. Return the bytes copied; less than @len for the
 * reason in @stop, or because that was enough for now.
 */
static __always_inline size_t copy_chunk(const struct odp_leaf *dst_leaf,
					 unsigned long dst_va,
					 const struct odp_leaf *src_leaf,
					 unsigned long src_va, size_t len,
					 enum copy_stop *stop)
{
	struct copy_side dst = copy_open(dst_leaf, dst_va, &len);
	struct copy_side src = copy_open(src_leaf, src_va, &len);
	size_t copied;

	copied = copy_sides(dst, dst_va & (ODP_LEAF_SIZE - 1), src,
			    src_va & (ODP_LEAF_SIZE - 1), len, stop);
	return copied == len ? copy_full(copied, stop) : copied;
}

/*
 * The short way for what stays inside one page on each side. Return false if
 * an entry is missing, or memory bad: the long way finds out which.
 */
static __always_inline bool copy_small(const struct odp_leaf *dst_leaf,
				       unsigned long to,
				       const struct odp_leaf *src_leaf,
				       unsigned long from, size_t len)
{
	unsigned long dst_entry = odp_leaf_entry(dst_leaf, to);
	unsigned long src_entry = odp_leaf_entry(src_leaf, from);

	if (!copy_writable(dst_entry) || !copy_readable(src_entry))
		return false;
	return !odp_memcpy(copy_address(dst_entry, to & ~PAGE_MASK),
			   copy_address(src_entry, from & ~PAGE_MASK), len);
}

/* Inside a page */
static __always_inline bool copy_is_small(u64 va, u64 len)
{
	return len < PAGE_SIZE && (va & ~PAGE_MASK) + len <= PAGE_SIZE;
}

static __always_inline size_t copy_chunk_size(u64 va, u64 left)
{
	return min3(left, ODP_LEAF_SIZE - (va & (ODP_LEAF_SIZE - 1)),
		    (u64)COPY_CHUNK);
}

/* A device's memory is always missed, by LEAF_DEVICE: a copy is not for it */
static noinline int copy_missed(struct odp_miss *miss,
				struct odp_region *region, u64 va, u64 len,
				u32 flags)
{
	if (WARN_ON_ONCE(odp_space_is_device(region->space)))
		return -EINVAL;
	miss->region = region;
	miss->va = va;
	miss->len = len;
	miss->flags = flags;
	return -EAGAIN;
}

/* May it be written; if not, the fault that is asked for says so */
static __always_inline bool copy_region_writable(const struct odp_region *region)
{
	return likely(region->flags & ODP_REGION_WRITABLE);
}

/* With both accesses open: are they allowed? As copy_entries_allow() */
static __always_inline bool copy_allowed(const struct odp_region *dst,
					 const struct odp_leaf *to,
					 const struct odp_region *src,
					 const struct odp_leaf *from,
					 enum copy_stop *stop)
{
	*stop = COPY_DST_MISSED;
	if (!odp_access_allowed(dst, to))
		return false;
	*stop = COPY_SRC_MISSED;
	return odp_access_allowed(src, from);
}

/* One chunk, inside one leaf on each side; as copy_chunk() */
static __always_inline size_t copy_leaves(struct odp_region *dst, u64 dst_va,
					  struct odp_region *src, u64 src_va,
					  size_t len, enum copy_stop *stop)
{
	struct odp_cpu *cpu = odp_access_enter();
	struct odp_leaf *to, *from;
	size_t copied = 0;

	to = odp_access_find(cpu, ODP_SLOT_DST, dst->space,
			     dst_va >> ODP_LEAF_SHIFT);
	from = odp_access_find(cpu, ODP_SLOT_SRC, src->space,
			       src_va >> ODP_LEAF_SHIFT);
	*stop = to ? COPY_SRC_MISSED : COPY_DST_MISSED;
	if (unlikely(!to || !from))
		goto out;
	odp_access_announce(&cpu->slots[ODP_SLOT_DST], dst, to);
	odp_access_announce(&cpu->slots[ODP_SLOT_SRC], src, from);
	/* Pairs with smp_mb() in odp_leaf_close() and odp_region_destroy() */
	smp_mb();
	if (copy_allowed(dst, to, src, from, stop)) {
		odp_access_note(cpu, ODP_SLOT_DST, to, dst_va, len);
		odp_access_note(cpu, ODP_SLOT_SRC, from, src_va, len);
		if (copy_is_small(dst_va, len) && copy_is_small(src_va, len) &&
		    copy_small(to, dst_va, from, src_va, len))
			copied = copy_full(len, stop);
		else
			copied = copy_chunk(to, dst_va, from, src_va, len,
					    stop);
	}
	odp_access_withdraw(&cpu->slots[ODP_SLOT_SRC]);
	odp_access_withdraw(&cpu->slots[ODP_SLOT_DST]);
out:
	odp_access_leave();
	return copied;
}

/**
 * odp_copy() - copy from region to region
 * @dst: written
 * @dst_va: first byte there
 * @src: read; may be @dst, and the ranges may overlap, but what is in them
 *	afterwards is then not defined
 * @src_va: first byte there
 * @len: bytes
 * @done: bytes copied, also when it fails; from the start on, in order
 * @miss: what to fault in, when the result is -EAGAIN
 *
 * Who sees the bytes in the last aligned word of @dst sees all that are before
 * them: see memcpy.h.
 *
 * Context: Process; never sleeps, preemption is off for a chunk at a time.
 * Return: 0, -EFAULT outside a region, -EAGAIN a page has no entry, or the
 * region does not grant it, -EHWPOISON reading ended in a machine check,
 * -EINVAL a region is of a domain of hardware.
 */
int odp_copy(struct odp_region *dst, u64 dst_va, struct odp_region *src,
	     u64 src_va, u64 len, u64 *done, struct odp_miss *miss)
{
	u64 left = len;
	int ret = 0;

	*done = 0;
	if (!odp_region_covers(dst, dst_va, len) ||
	    !odp_region_covers(src, src_va, len))
		return -EFAULT;
	if (!copy_region_writable(dst) && len)
		return copy_missed(miss, dst, dst_va, len, ODP_FAULT_WRITE);
	while (left) {
		enum copy_stop stop;
		size_t chunk, copied;

		chunk = copy_chunk_size(dst_va, copy_chunk_size(src_va, left));
		copied = copy_leaves(dst, dst_va, src, src_va, chunk, &stop);
		dst_va += copied;
		src_va += copied;
		left -= copied;
		if (likely(stop == COPY_GO_ON))
			continue;
		if (unlikely(stop == COPY_BAD_MEMORY))
			ret = -EHWPOISON;
		else if (stop == COPY_DST_MISSED)
			ret = copy_missed(miss, dst, dst_va, left,
					  ODP_FAULT_WRITE);
		else
			ret = copy_missed(miss, src, src_va, left, 0);
		break;
	}
	*done = len - left;
	return ret;
}
EXPORT_SYMBOL_GPL(odp_copy);

/*
 * One side of a chunk is a kernel buffer. Return the bytes copied; less than
 * @len because of a miss, or as copy_chunk().
 */
static __always_inline size_t copy_buffer_chunk(const struct odp_leaf *leaf,
						unsigned long at, void *buffer,
						size_t len, bool write,
						enum copy_stop *stop)
{
	struct copy_side side = copy_open(leaf, at, &len);
	size_t copied = 0;
	void *address;

	*stop = COPY_DST_MISSED;
	at &= ODP_LEAF_SIZE - 1;
	address = phys_to_virt((side.huge & PAGE_MASK) + at);
	if (!side.huge && write)
		copied = copy_to_table(side.table, at, buffer, len, stop);
	else if (!side.huge)
		copied = copy_from_table(side.table, at, buffer, len, stop);
	else if (!write)
		copied = copy_run(buffer, address, len, stop);
	else if (copy_writable(side.huge))
		copied = copy_run(address, buffer, len, stop);
	return copied == len ? copy_full(copied, stop) : copied;
}

/* Inlined twice, so that @write is a constant */
static __always_inline int copy_buffer(struct odp_region *region, u64 va,
				       void *buffer, u64 len, bool write,
				       u64 *done, struct odp_miss *miss)
{
	u64 left = len;
	int ret = 0;

	*done = 0;
	if (!odp_region_covers(region, va, len))
		return -EFAULT;
	if (write && !copy_region_writable(region) && len)
		return copy_missed(miss, region, va, len, ODP_FAULT_WRITE);
	while (left) {
		size_t chunk = copy_chunk_size(va, left), copied = 0;
		enum copy_stop stop = COPY_DST_MISSED;
		struct odp_leaf *leaf;

		leaf = odp_access_hold(region, va, chunk);
		if (leaf) {
			copied = copy_buffer_chunk(leaf, va, buffer, chunk,
						   write, &stop);
			odp_access_drop();
		}
		buffer += copied;
		va += copied;
		left -= copied;
		if (likely(stop == COPY_GO_ON))
			continue;
		if (unlikely(stop == COPY_BAD_MEMORY))
			ret = -EHWPOISON;
		else
			ret = copy_missed(miss, region, va, left,
					  write ? ODP_FAULT_WRITE : 0);
		break;
	}
	*done = len - left;
	return ret;
}

/**
 * odp_copy_in() - copy from a kernel buffer to a region
 * @dst: written
 * @dst_va: first byte there
 * @src: kernel memory
 * @len: bytes
 * @done: bytes copied, also when it fails
 * @miss: what to fault in, when the result is -EAGAIN
 *
 * Context: As odp_copy().
 * Return: As odp_copy().
 */
int odp_copy_in(struct odp_region *dst, u64 dst_va, const void *src,
		u64 len, u64 *done, struct odp_miss *miss)
{
	return copy_buffer(dst, dst_va, (void *)src, len, true, done, miss);
}
EXPORT_SYMBOL_GPL(odp_copy_in);

/**
 * odp_copy_out() - copy from a region to a kernel buffer
 * @dst: kernel memory
 * @src: read
 * @src_va: first byte there
 * @len: bytes
 * @done: bytes copied, also when it fails
 * @miss: what to fault in, when the result is -EAGAIN
 *
 * Context: As odp_copy().
 * Return: As odp_copy().
 */
int odp_copy_out(void *dst, struct odp_region *src, u64 src_va, u64 len,
		 u64 *done, struct odp_miss *miss)
{
	return copy_buffer(src, src_va, dst, len, false, done, miss);
}
EXPORT_SYMBOL_GPL(odp_copy_out);

/* Real atomics of the CPU, so the application's own are atomic with them */
static int copy_atomic(atomic64_t *target, enum odp_atomic_op op, u64 operand,
		       u64 compare, u64 *old)
{
	switch (op) {
	case ODP_ATOMIC_CAS:
		*old = atomic64_cmpxchg(target, compare, operand);
		return 0;
	case ODP_ATOMIC_FAA:
		*old = atomic64_fetch_add(operand, target);
		return 0;
	case ODP_ATOMIC_STORE:
		/* What was copied before is seen by who sees this */
		atomic64_set_release(target, operand);
		*old = 0;
		return 0;
	}
	return -EINVAL;
}

/**
 * odp_atomic() - an 8-byte atomic operation
 * @region: where
 * @va: 8-byte aligned
 * @op: which
 * @operand: to swap in, add or store
 * @compare: what CAS compares with
 * @old: what was there before; 0 for a store
 * @miss: what to fault in, when the result is -EAGAIN
 *
 * Context: As odp_copy().
 * Return: 0, -EINVAL not aligned or not an operation, -EFAULT outside the
 * region, -EAGAIN the page has no entry, -EHWPOISON reading ended in a machine
 * check.
 */
int odp_atomic(struct odp_region *region, u64 va, enum odp_atomic_op op,
	       u64 operand, u64 compare, u64 *old, struct odp_miss *miss)
{
	struct odp_leaf *leaf;
	unsigned long entry;
	atomic64_t *target;
	int ret;

	if (!IS_ALIGNED(va, sizeof(u64)))
		return -EINVAL;
	if (!odp_region_covers(region, va, sizeof(u64)))
		return -EFAULT;
	leaf = copy_region_writable(region) ?
	       odp_access_hold(region, va, sizeof(u64)) : NULL;
	if (!leaf)
		return copy_missed(miss, region, va, sizeof(u64),
				   ODP_FAULT_WRITE);
	entry = odp_leaf_entry(leaf, va);
	target = copy_address(entry, va & ~PAGE_MASK);
	if (!copy_writable(entry))
		ret = copy_missed(miss, region, va, sizeof(u64),
				  ODP_FAULT_WRITE);
	else if (unlikely(!odp_mc_readable(target)))
		/* An atomic instruction would have no way back */
		ret = -EHWPOISON;
	else
		ret = copy_atomic(target, op, operand, compare, old);
	odp_access_drop();
	return ret;
}
EXPORT_SYMBOL_GPL(odp_atomic);
