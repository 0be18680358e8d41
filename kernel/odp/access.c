// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * access.c - accesses in flight: who waits for them, and accesses by drivers
 */

#include <linux/delay.h>
#include <linux/export.h>
#include <linux/lockdep.h>

#include "access.h"

DEFINE_PER_CPU_SHARED_ALIGNED(struct odp_cpu, odp_cpus);
/* For the self-test, which looks inside */
EXPORT_PER_CPU_SYMBOL_GPL(odp_cpus);

/* Looks at the slots before somebody who has no CPU is given one */
#define ACCESS_SPINS	2000

/* Held by accesses in flight and by who waits for them: DOC: Locking */
#ifdef CONFIG_LOCKDEP
struct lockdep_map odp_accessor_map =
	STATIC_LOCKDEP_MAP_INIT("odp_accessor", &odp_accessor_map);
#endif

/*
 * Has a CPU an access to @leaf, or by right of @region? One of them is NULL.
 * CPUs that come online after the leaf was closed see that; those that go have
 * been through the scheduler, which an access has not.
 */
static bool access_is_held(const struct odp_leaf *leaf,
			   const struct odp_region *region)
{
	const struct odp_slot *slot;
	const struct odp_leaf *held;
	unsigned int i;
	int cpu;

	for_each_online_cpu(cpu) {
		for (i = 0; i < ODP_NR_SLOTS; i++) {
			slot = &per_cpu_ptr(&odp_cpus, cpu)->slots[i];
			/* Pairs with the releases of access.h */
			held = smp_load_acquire(&slot->leaf);
			if (held && (held == leaf ||
				     READ_ONCE(slot->region) == region))
				return true;
		}
	}
	return false;
}

/* A virtual CPU may have been taken away in the middle of an access */
static void access_pause(unsigned int *spins)
{
	if (++*spins < ACCESS_SPINS)
		cpu_relax();
	else
		usleep_range(20, 100);
}

/**
 * odp_access_wait() - wait for the accesses to a leaf that was closed
 * @leaf: closed to new ones, and a full barrier after that
 * @blockable: else only look
 *
 * Context: As @blockable says.
 * Return: true: there are none.
 */
bool odp_access_wait(const struct odp_leaf *leaf, bool blockable)
{
	unsigned int spins = 0;

	if (likely(!access_is_held(leaf, NULL)))
		return true;
	if (!blockable)
		return false;
	lock_map_acquire(&odp_accessor_map);
	lock_map_release(&odp_accessor_map);
	while (access_is_held(leaf, NULL))
		access_pause(&spins);
	return true;
}

/**
 * odp_access_wait_region() - wait for the accesses of a region
 * @region: gone, and a full barrier after that
 *
 * Context: May sleep.
 */
void odp_access_wait_region(const struct odp_region *region)
{
	unsigned int spins = 0;

	lock_map_acquire(&odp_accessor_map);
	lock_map_release(&odp_accessor_map);
	while (access_is_held(NULL, region))
		access_pause(&spins);
}

/**
 * odp_access_forget() - no hint leads to a leaf any more
 * @leaf: dead, and no access is in flight: none is begun, nor a hint made
 *
 * Who has read a hint already backs off when it looks at the leaf, under RCU.
 *
 * Context: Any.
 */
void odp_access_forget(struct odp_leaf *leaf)
{
	struct odp_leaf **hint;
	unsigned int side;
	int cpu;

	for_each_possible_cpu(cpu) {
		for (side = 0; side < ODP_HINT_SIDES; side++) {
			hint = odp_access_hint(per_cpu_ptr(&odp_cpus, cpu),
					       side, leaf->space, leaf->index);
			/* The CPU may be writing another one there */
			if (READ_ONCE(*hint) == leaf)
				cmpxchg(hint, leaf, NULL);
		}
	}
}

static bool access_entries_valid(struct odp_leaf *leaf, unsigned long va,
				 size_t len, unsigned long need)
{
	unsigned long end = va + len;

	for (va &= PAGE_MASK; va < end; va += PAGE_SIZE)
		if ((odp_leaf_entry(leaf, va) & need) != need)
			return false;
	return true;
}

/* Of an access in an access: not those that copies use */
static struct odp_slot *access_free_slot(struct odp_cpu *cpu)
{
	unsigned int i;

	for (i = ODP_SLOT_FREE; i < ODP_NR_SLOTS; i++)
		if (!cpu->slots[i].leaf)
			return &cpu->slots[i];
	return NULL;
}

static int access_try(struct odp_region *region, unsigned long need,
		      struct odp_access *access)
{
	struct odp_cpu *cpu = odp_access_enter();
	struct odp_slot *slot = access_free_slot(cpu);
	struct odp_leaf *leaf;

	if (WARN_ON_ONCE(!slot))
		goto err_leave;
	leaf = odp_access_find(cpu, ODP_SLOT_DST, region->space,
			       access->va >> ODP_LEAF_SHIFT);
	if (!leaf)
		goto err_leave;
	odp_access_announce(slot, region, leaf);
	/* Pairs with smp_mb() in odp_leaf_close() and odp_region_destroy() */
	smp_mb();
	if (!odp_access_allowed(region, leaf) ||
	    !access_entries_valid(leaf, access->va, access->len, need))
		goto err_withdraw;
	odp_access_note(cpu, ODP_SLOT_DST, leaf, access->va, access->len);
	access->slot = slot - cpu->slots;
	access->leaf = leaf;
	return 0;

err_withdraw:
	odp_access_withdraw(slot);
err_leave:
	odp_access_leave();
	return -EAGAIN;
}

/**
 * odp_access_begin() - hold the pages of a range
 * @region: where
 * @va: first byte
 * @len: bytes, not 0; clipped to the leaf, access->len tells
 * @write: the pages will be written
 * @access: filled; to be given to odp_access_end()
 *
 * Until odp_access_end() no page of the range goes away, and preemption is
 * off. A CPU has two of these at most.
 *
 * Context: Process; never sleeps.
 * Return: 0, -EFAULT outside the region, -EACCES to write to one that is not
 * writable, -EAGAIN when a page has no entry (call odp_region_fault() and try
 * again), -EINVAL in a domain of hardware.
 */
int odp_access_begin(struct odp_region *region, u64 va, size_t len,
		     bool write, struct odp_access *access)
{
	unsigned long need = ODP_ENTRY_READ;
	int ret;

	access->leaf = NULL;
	if (!len || !odp_region_covers(region, va, len))
		return -EFAULT;
	if (write) {
		if (!(region->flags & ODP_REGION_WRITABLE))
			return -EACCES;
		need |= ODP_ENTRY_WRITE;
	}
	access->va = va;
	access->len = min_t(u64, len,
			    ODP_LEAF_SIZE - (va & (ODP_LEAF_SIZE - 1)));
	ret = access_try(region, need, access);
	/* LEAF_DEVICE has kept it out */
	if (unlikely(ret) && WARN_ON_ONCE(odp_space_is_device(region->space)))
		ret = -EINVAL;
	return ret;
}
EXPORT_SYMBOL_GPL(odp_access_begin);

/**
 * odp_access_end() - let the pages go
 * @access: from odp_access_begin(); ending one that failed is harmless
 *
 * Context: The CPU of odp_access_begin().
 */
void odp_access_end(struct odp_access *access)
{
	if (!access->leaf)
		return;
	access->leaf = NULL;
	odp_access_withdraw(&this_cpu_ptr(&odp_cpus)->slots[access->slot]);
	odp_access_leave();
}
EXPORT_SYMBOL_GPL(odp_access_end);

/**
 * odp_access_map() - the kernel's address of a byte under an access
 * @access: from odp_access_begin()
 * @va: a byte of it
 * @run: bytes from there on that are contiguous in the kernel's mapping
 *
 * Context: As odp_access_end().
 * Return: the address.
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
