/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * access.h - accesses in flight, the way that every copy goes
 *
 * A CPU that is going to touch pages of a leaf says so in a slot of its own,
 * then looks whether the leaf is open, touches the pages, and empties the slot.
 * An invalidation closes the leaf, then looks into the slots of all CPUs until
 * the leaf is in none. With a full barrier between the two steps on both sides
 * one sees the other: no page is touched after its invalidation has returned.
 * The same goes for a region that is being destroyed. (model/access.pml,
 * litmus/access.litmus.)
 *
 * So an access writes to nothing that CPUs share, and since it is not preempted
 * nobody waits for it longer than it takes to copy a chunk.
 */
#ifndef ODP_ACCESS_H
#define ODP_ACCESS_H

#include "core.h"

/* Two sides of a copy, and some for odp_access_begin() */
enum { ODP_SLOT_DST, ODP_SLOT_SRC, ODP_SLOT_FREE, ODP_NR_SLOTS = 4 };

/*
 * Leaves that a CPU accessed last, by a hash, on each side of a copy: the two
 * do not get into each other's way
 */
#define ODP_HINT_BITS		4
#define ODP_HINT_SIDES		2

/**
 * struct odp_slot - what a CPU is accessing
 * @leaf: which, NULL when nothing; written after @region (release, acquire)
 * @region: by which right
 */
struct odp_slot {
	struct odp_leaf *leaf;
	const struct odp_region *region;
};

/**
 * struct odp_cpu - accesses of one CPU
 * @slots: written by the CPU only
 * @hints: leaves that need not be looked up. Set by the CPU while it has an
 *	access to the leaf; cleared by who unlinks the leaf, when no access to
 *	it can begin any more, before it is freed by RCU.
 */
struct odp_cpu {
	struct odp_slot slots[ODP_NR_SLOTS];
	struct odp_leaf *hints[ODP_HINT_SIDES][1 << ODP_HINT_BITS];
};

DECLARE_PER_CPU_SHARED_ALIGNED(struct odp_cpu, odp_cpus);
extern struct lockdep_map odp_accessor_map;

/* Buffers are often a power of two apart, and so are spaces */
static __always_inline struct odp_leaf **
odp_access_hint(struct odp_cpu *cpu, unsigned int side,
		const struct odp_space *space, unsigned long index)
{
	unsigned long key = index ^ (unsigned long)space >> 6;

	return &cpu->hints[side][hash_long(key, ODP_HINT_BITS)];
}

/* From here to odp_access_leave() nothing sleeps, and RCU is read */
static __always_inline struct odp_cpu *odp_access_enter(void)
{
	/* An interrupt's access would end that of the task */
	WARN_ON_ONCE(IS_ENABLED(CONFIG_PROVE_LOCKING) && !in_task());
	rcu_read_lock_sched();
	lock_map_acquire_read(&odp_accessor_map);
	return this_cpu_ptr(&odp_cpus);
}

static __always_inline void odp_access_leave(void)
{
	lock_map_release(&odp_accessor_map);
	rcu_read_unlock_sched();
}

/* The leaf of a span, NULL if there is none */
static __always_inline struct odp_leaf *
odp_access_find(struct odp_cpu *cpu, unsigned int side, struct odp_space *space,
		unsigned long index)
{
	/* Pairs with cmpxchg() in odp_access_forget() */
	struct odp_leaf *leaf = READ_ONCE(*odp_access_hint(cpu, side, space,
							   index));

	if (likely(leaf && leaf->index == index && leaf->space == space))
		return leaf;
	return xa_load(&space->leaves, index);
}

/* To be followed by a full barrier, and by odp_access_allowed() */
static __always_inline void odp_access_announce(struct odp_slot *slot,
						const struct odp_region *region,
						struct odp_leaf *leaf)
{
	WRITE_ONCE(slot->region, region);
	/* Pairs with smp_load_acquire() in access_is_held() */
	smp_store_release(&slot->leaf, leaf);
}

static __always_inline bool
odp_access_allowed(const struct odp_region *region, const struct odp_leaf *leaf)
{
	/* Pairs with smp_store_release() in odp_leaf_reopen(): entries after it */
	return likely(!smp_load_acquire(&leaf->state) &&
		      !READ_ONCE(region->gone));
}

/* The mm may ask what was used; and the CPU may use it again */
static __always_inline void odp_access_note(struct odp_cpu *cpu,
					    unsigned int side,
					    struct odp_leaf *leaf,
					    unsigned long va, size_t len)
{
	struct odp_leaf **hint = odp_access_hint(cpu, side, leaf->space,
						 leaf->index);
	unsigned int first, last, mask;

	va &= ODP_LEAF_SIZE - 1;
	first = va >> LEAF_YOUNG_SHIFT;
	last = (va + len - 1) >> LEAF_YOUNG_SHIFT;
	mask = GENMASK(last, first);
	if (unlikely((atomic_read(&leaf->young) & mask) != mask))
		atomic_or(mask, &leaf->young);
	/* Pairs with cmpxchg() in odp_access_forget() */
	if (unlikely(READ_ONCE(*hint) != leaf))
		WRITE_ONCE(*hint, leaf);
}

/* All that was done in the access comes before it */
static __always_inline void odp_access_withdraw(struct odp_slot *slot)
{
	/* Pairs with smp_load_acquire() in access_is_held() */
	smp_store_release(&slot->leaf, NULL);
}

/**
 * odp_access_hold() - open the only access of this CPU
 * @region: where
 * @va: first byte
 * @len: bytes, inside one leaf
 *
 * Context: Process. On success preemption is off until odp_access_drop().
 * Return: the leaf, NULL if there is none or it is being invalidated.
 */
static __always_inline struct odp_leaf *
odp_access_hold(struct odp_region *region, unsigned long va, size_t len)
{
	struct odp_cpu *cpu = odp_access_enter();
	struct odp_slot *slot = &cpu->slots[ODP_SLOT_DST];
	struct odp_leaf *leaf;

	leaf = odp_access_find(cpu, ODP_SLOT_DST, region->space,
			       va >> ODP_LEAF_SHIFT);
	if (likely(leaf)) {
		odp_access_announce(slot, region, leaf);
		/* Pairs with smp_mb() in odp_leaf_close(), odp_region_destroy() */
		smp_mb();
		if (odp_access_allowed(region, leaf)) {
			odp_access_note(cpu, ODP_SLOT_DST, leaf, va, len);
			return leaf;
		}
		odp_access_withdraw(slot);
	}
	odp_access_leave();
	return NULL;
}

/* End what odp_access_hold() began */
static __always_inline void odp_access_drop(void)
{
	odp_access_withdraw(&this_cpu_ptr(&odp_cpus)->slots[ODP_SLOT_DST]);
	odp_access_leave();
}

/**
 * odp_leaf_entry() - the entry of one page
 * @leaf: an access to it is held, or its leaf_mutex
 * @va: some byte of the page
 *
 * Return: the entry, 0 if there is none.
 */
static __always_inline unsigned long
odp_leaf_entry(const struct odp_leaf *leaf, unsigned long va)
{
	/* Pairs with WRITE_ONCE in commit_huge() and leaf_zap() */
	unsigned long entry = READ_ONCE(leaf->huge_entry);
	unsigned int page = (va >> PAGE_SHIFT) & (ODP_LEAF_PAGES - 1);
	unsigned long table;

	if (entry)
		return entry + ((unsigned long)page << PAGE_SHIFT);
	/* Pairs with smp_store_release() in odp_table_use() */
	table = smp_load_acquire(&leaf->table);
	if (unlikely(table & LEAF_TABLE_SMALL)) {
		page -= leaf->small_first;
		if (page >= LEAF_SMALL_PAGES)
			return 0;
		table -= LEAF_TABLE_SMALL;
	}
	if (!table)
		return 0;
	return READ_ONCE(((unsigned long *)table)[page]);
}

/* access.c */
bool odp_access_wait(const struct odp_leaf *leaf, bool blockable);
void odp_access_wait_region(const struct odp_region *region);
void odp_access_forget(struct odp_leaf *leaf);

#endif /* ODP_ACCESS_H */
