// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * fault.c - a device misses an entry
 *
 * A fault is cut into leaves. Each goes round
 *
 *	sample leaf->inval_count; an invalidation of these pages under way is
 *	waited for, if at all, without mmap_lock
 *	snapshot what the mm maps into private scratch
 *	handle_mm_fault() what is missing, and snapshot again
 *	under leaf_mutex: still true? then commit
 *
 * until it holds. The live entries never hold anything unverified.
 */

#include <linux/export.h>
#include <linux/hmm.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "access.h"
#include "trace.h"

/* A collision is retried this long, then again for a single page */
#define FAULT_RETRY_TIME	HZ
/* After so many rounds that came to nothing the range is halved */
#define FAULT_HALVE_TRIES	8
/* Who may not wait gives up sooner and lets a worker do it */
#define FAULT_NOWAIT_TRIES	4
/* ODP_FAULT_BRIEF */
#define FAULT_BRIEF_NS		(2 * NSEC_PER_MSEC)
/* How often a page may look impossible after its fault was handled */
#define FAULT_ERROR_TRIES	4

#define AROUND_MIN_PAGES	(SZ_64K >> PAGE_SHIFT)
/* Of a mapping larger than a leaf a fault takes so much; who may not wait less */
#define AROUND_LEAVES		SZ_128M
#define AROUND_LEAVES_NOWAIT	SZ_16M

static struct kmem_cache *scratch_cache;

/*
 * What is not known of invalidations under way: all, if the child is new, or
 * some have no end (omm->lost). Then wait until there are none, and the count
 * is that from before. Return 0, or -EAGAIN.
 */
static int fault_prepare(struct odp_fault *fault)
{
	struct odp_child *child = fault->leaf->child;
	struct odp_mm *omm = fault->region->space->omm;

	fault->sampled = false;
	/* Pairs with smp_store_release() in odp_child_wait() */
	if (likely(smp_load_acquire(&child->sure) && !READ_ONCE(omm->lost)))
		return 0;
	if (fault->flags & (ODP_FAULT_NOWAIT | ODP_FAULT_BRIEF))
		return -EAGAIN;
	fault->inval_count = READ_ONCE(fault->leaf->inval_count);
	/* As in fault_sample() */
	smp_mb();
	odp_child_wait(child);
	fault->sampled = READ_ONCE(omm->lost);
	return 0;
}

static bool fault_overlaps(const struct odp_fault *fault, unsigned int first,
			   unsigned int end)
{
	return odp_inval_overlaps(fault->region->space->omm,
				  fault->base + ((u64)first << PAGE_SHIFT),
				  fault->base + ((u64)end << PAGE_SHIFT) - 1);
}

/*
 * Sample what commit_is_stale() compares, then look for invalidations. Return
 * 0, or -EBUSY or -EAGAIN when what is mapped may be about to go.
 */
static int fault_sample(struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;

	if (likely(!fault->sampled)) {
		/* Pairs with WRITE_ONCE in leaf_invalidate() */
		fault->inval_count = READ_ONCE(leaf->inval_count);
		/*
		 * The leaf is in space->leaves, put there by us or by another
		 * fault, before we look. Pairs with smp_mb() in
		 * odp_inval_begin(), which says why. It also keeps the count
		 * from being read later (litmus/sample_order.litmus).
		 */
		smp_mb();
		if (unlikely(READ_ONCE(fault->region->space->omm->lost)))
			return -EBUSY;
	}
	fault->apart = fault_overlaps(fault, 0, ODP_LEAF_PAGES);
	if (likely(!fault->apart))
		return 0;
	if (!fault_overlaps(fault, fault->first, fault->last)) {
		if (fault_overlaps(fault, fault->first, fault->end))
			fault->end = fault->last;
		return 0;
	}
	if (fault->flags & (ODP_FAULT_NOWAIT | ODP_FAULT_BRIEF))
		return -EAGAIN;
	fault->disturbed = true;
	return -EBUSY;
}

static int fault_look(struct odp_fault *fault)
{
	int ret;

	fault->populated = false;
	ret = fault_sample(fault);
	return ret ? ret : odp_fault_snapshot(fault);
}

static int fault_under_mmap_lock(struct odp_fault *fault)
{
	int ret;

	ret = odp_fault_check_vmas(fault);
	if (ret)
		return ret;
	ret = fault_look(fault);
	if (ret || (fault->flags & ODP_FAULT_SNAPSHOT))
		return ret;
	ret = odp_fault_populate(fault);
	if (!ret && fault->populated)
		ret = fault_look(fault);
	if (!ret)
		odp_fault_take_folio(fault);
	return ret;
}

static bool fault_found_any(const struct odp_fault *fault)
{
	unsigned int page;

	for (page = fault->first; !fault->whole && page < fault->end; page++)
		if (fault->pfns[page] & HMM_PFN_VALID)
			return true;
	return fault->whole;
}

/* Who holds mmap_lock may wait for a page, so we leave the region meanwhile */
static int fault_mmap_lock(struct odp_fault *fault)
{
	fault->locked = mmap_read_trylock(fault->mm);
	if (likely(fault->locked))
		return 0;
	if (fault->flags & ODP_FAULT_NOWAIT)
		return -EAGAIN;
	odp_region_leave(fault->region);
	mmap_read_lock(fault->mm);
	fault->entered = !odp_region_enter(fault->region);
	fault->locked = fault->entered;
	if (fault->entered)
		return 0;
	mmap_read_unlock(fault->mm);
	return -ESRCH;
}

static void fault_wait_undisturbed(struct odp_fault *fault)
{
	odp_inval_wait(fault->region->space->omm,
		       fault->base + ((u64)fault->first << PAGE_SHIFT),
		       fault->base + ((u64)fault->last << PAGE_SHIFT) - 1);
}

/*
 * One round. Return 0; -EBUSY, -ESTALE or -ERESTART for another one; -EAGAIN
 * if it would wait and must not; or what is wrong.
 */
static int fault_try(struct odp_fault *fault)
{
	int ret;

	fault->incomplete = false;
	ret = fault_prepare(fault);
	if (!ret)
		ret = fault_mmap_lock(fault);
	if (ret)
		return ret;
	ret = fault_under_mmap_lock(fault);
	if (fault->locked)
		mmap_read_unlock(fault->mm);
	fault->vma = NULL;
	/* An unmap of many pages takes long, and no mmap() has to wait for us */
	if (fault->disturbed)
		fault_wait_undisturbed(fault);
	fault->disturbed = false;
	if (ret)
		return ret;
	if (fault->flags & ODP_FAULT_SNAPSHOT)
		return fault_found_any(fault) ? odp_fault_commit(fault) : 0;
	fault->incomplete = !odp_fault_complete(fault);
	if (fault->incomplete)
		return -EBUSY;
	return odp_fault_commit(fault);
}

/*
 * Handled, but not there. Gone again, or is there a page, but not one for a
 * device? hmm says error for the latter, and for some that only pass by.
 */
static bool fault_page_is_error(const struct odp_fault *fault)
{
	unsigned int page;

	if (!fault->incomplete || fault->blank)
		return false;
	for (page = fault->first; !fault->whole && page < fault->last; page++)
		if (fault->pfns[page] & HMM_PFN_ERROR)
			return true;
	return false;
}

static int fault_new_leaf(struct odp_fault *fault)
{
	struct odp_leaf *leaf;

	leaf = odp_leaf_get(fault->region->space, fault->base >> ODP_LEAF_SHIFT,
			    odp_fault_gfp(fault));
	if (IS_ERR(leaf))
		return PTR_ERR(leaf);
	if (fault->leaf)
		odp_leaf_put(fault->leaf);
	fault->leaf = leaf;
	return 0;
}

/* Can another round help: is this an outcome that passes */
static bool fault_is_transient(int ret)
{
	return ret == -EBUSY || ret == -ESTALE || ret == -ERESTART ||
	       ret == -ENOMEM;
}

/* Reasons to stop that are none of the memory's */
static int fault_interrupted(const struct odp_fault *fault, int ret,
			     unsigned int tries)
{
	if (odp_region_is_dying(fault->region))
		return -ESRCH;
	if (fatal_signal_pending(current))
		return -EAGAIN;
	if ((fault->flags & ODP_FAULT_NOWAIT) &&
	    (tries > FAULT_NOWAIT_TRIES || ret == -ENOMEM))
		return -EAGAIN;
	return 0;
}

/*
 * Memory that somebody keeps taking away (a hole punched again and again) may
 * never be there as a whole: go for less of it, down to one page.
 */
static void fault_halve(struct odp_fault *fault)
{
	unsigned int pages = fault->last - fault->first;

	fault->last = fault->first + max(pages / 2, 1U);
	fault->end = fault->last;
	fault->narrowed = true;
}

/*
 * A wait that was for a page further on than all before: that much is there,
 * and it is no round in vain.
 */
static bool fault_goes_on(struct odp_fault *fault, int ret)
{
	if (ret != -ERESTART || fault->waited < fault->reached)
		return false;
	fault->reached = fault->waited + 1;
	return true;
}

/*
 * Rounds, until one works. Bounded in time, not counting what is spent
 * waiting for pages (-ERESTART): those waits end when the page is there.
 * The range is halved now and then on the way, and when time is up only its
 * first page is tried; fault->last and fault->narrowed say so.
 */
static int fault_leaf(struct odp_fault *fault)
{
	unsigned long deadline = jiffies + FAULT_RETRY_TIME;
	unsigned int tries, errors = 0;
	int ret, stop;

	for (tries = 1;; tries++) {
		ret = fault_try(fault);
		if (!fault_is_transient(ret))
			return ret;
		stop = fault_interrupted(fault, ret, tries);
		if (stop)
			return stop;
		if (ret == -EBUSY && fault_page_is_error(fault) &&
		    ++errors > FAULT_ERROR_TRIES)
			return -EFAULT;
		if (fault_goes_on(fault, ret))
			tries = 0;
		else if (!(tries % FAULT_HALVE_TRIES))
			fault_halve(fault);
		if (ret == -ERESTART) {
			deadline = jiffies + FAULT_RETRY_TIME;
			continue;
		}
		if (ret == -ESTALE) {
			stop = fault_new_leaf(fault);
			if (stop)
				return stop;
		}
		if (time_after(jiffies, deadline)) {
			if (fault->last - fault->first == 1)
				return ret == -ENOMEM ? ret : -EAGAIN;
			fault->last = fault->first + 1;
			fault->end = fault->last;
			fault->narrowed = true;
			deadline = jiffies + FAULT_RETRY_TIME;
		}
		if (ret == -ENOMEM)
			schedule_timeout_uninterruptible(1);
		else
			cond_resched();
	}
}

/*
 * Did somebody else map it in the meantime, or was it there all the time, in a
 * leaf that was closed because other pages of it go? Then wait for the leaf,
 * not for the mm: nothing was missing, and this is no fault.
 */
static bool fault_is_covered(struct odp_fault *fault)
{
	unsigned long need = ODP_ENTRY_READ;
	struct odp_leaf *leaf = fault->leaf;
	unsigned int page;
	bool covered;

	if (!READ_ONCE(leaf->present))
		return false;
	if (fault->write)
		need |= ODP_ENTRY_WRITE;
	if (!odp_fault_lock_leaf(fault))
		return false;
	covered = !(leaf->state & LEAF_DEAD);
	for (page = fault->first; covered && page < fault->last; page++) {
		unsigned long va = fault->base + ((u64)page << PAGE_SHIFT);

		covered = (odp_leaf_entry(leaf, va) & need) == need;
	}
	mutex_unlock(&leaf->leaf_mutex);
	return covered;
}

/* How far a stream that comes from the leaf before may go on in this one */
static unsigned int around_inherited(struct odp_fault *fault)
{
	unsigned long index = fault->base >> ODP_LEAF_SHIFT;
	unsigned int pages = 0;
	struct odp_leaf *leaf;

	if (!index)
		return 0;
	rcu_read_lock();
	leaf = xa_load(&fault->region->space->leaves, index - 1);
	if (leaf && READ_ONCE(leaf->around_next) == ODP_LEAF_PAGES)
		pages = READ_ONCE(leaf->around_pages);
	rcu_read_unlock();
	return pages;
}

/*
 * Fault-around: a fault that starts where the one before ended is part of a
 * stream, and the window beyond its needs doubles. Others get none.
 */
static void around_open(struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;
	unsigned int pages = READ_ONCE(leaf->around_pages);
	unsigned long rest;

	fault->end = fault->last;
	if (fault->flags & (ODP_FAULT_PREFETCH | ODP_FAULT_SNAPSHOT))
		return;
	/* Whatever a stream of the past has left behind in this leaf */
	if (!fault->first)
		pages = around_inherited(fault);
	else if (fault->first != READ_ONCE(leaf->around_next))
		pages = 0;
	rest = (fault->region->last - fault->base) >> PAGE_SHIFT;
	fault->end = min_t(unsigned long, fault->last + pages,
			   min_t(unsigned long, rest + 1, ODP_LEAF_PAGES));
	pages = clamp_t(unsigned int, pages * 2, AROUND_MIN_PAGES,
			ODP_LEAF_PAGES);
	WRITE_ONCE(leaf->around_pages, pages);
}

static void around_close(struct odp_fault *fault)
{
	if (fault->flags & (ODP_FAULT_PREFETCH | ODP_FAULT_SNAPSHOT))
		return;
	if (READ_ONCE(fault->leaf->huge_entry))
		fault->end = ODP_LEAF_PAGES;
	/* The same again, by one who may wait, is no stream */
	if (fault->end == fault->first)
		return;
	WRITE_ONCE(fault->leaf->around_next, fault->end);
}

/* Fault in what [va, last] needs of the leaf that va is in */
static int fault_piece(struct odp_fault *fault, u64 va, u64 last)
{
	int ret;

	fault->base = va & ~(ODP_LEAF_SIZE - 1);
	fault->first = (va - fault->base) >> PAGE_SHIFT;
	last = min_t(u64, last - fault->base, ODP_LEAF_SIZE - 1);
	fault->last = (last >> PAGE_SHIFT) + 1;
	fault->leaf = NULL;
	fault->tried = ULONG_MAX;
	fault->reached = 0;
	fault->narrowed = false;
	ret = fault_new_leaf(fault);
	if (ret)
		return ret;
	if (!fault_is_covered(fault)) {
		fault->missed = true;
		around_open(fault);
		ret = fault_leaf(fault);
		around_close(fault);
	}
	/* Advice: what cannot be mapped is left out */
	if (ret && (fault->flags & ODP_FAULT_SNAPSHOT) && ret != -ESRCH)
		ret = 0;
	if (fault->entered && !READ_ONCE(fault->leaf->present))
		odp_leaf_mark_empty(fault->region->space,
				    fault->base >> ODP_LEAF_SHIFT);
	odp_leaf_put(fault->leaf);
	return ret;
}

static int fault_pieces(struct odp_fault *fault, u64 va, u64 last)
{
	int ret = 0;

	while (!ret && va <= last) {
		if (odp_region_is_dying(fault->region))
			return -ESRCH;
		if (fatal_signal_pending(current))
			return -EAGAIN;
		ret = fault_piece(fault, va, last);
		/* Not always to the end of the leaf: see fault_leaf() */
		va = fault->base + ((u64)fault->last << PAGE_SHIFT);
		/*
		 * What was got would be gone by the time the rest is there.
		 * The caller uses it, and comes back for the rest.
		 */
		if (fault->narrowed && !(fault->flags & ODP_FAULT_PREFETCH))
			break;
		if (va <= last && odp_fault_is_late(fault))
			break;
		cond_resched();
	}
	return ret;
}

/*
 * The mm maps more by one entry than a leaf has (a page of 1 GiB): the leaves
 * around this one, in the same page, cost a look now, or a fault each later.
 */
static void fault_around_leaf(struct odp_fault *fault)
{
	const struct odp_region *region = fault->region;
	u32 flags = fault->flags;
	u64 size = flags & ODP_FAULT_NOWAIT ? AROUND_LEAVES_NOWAIT :
					      AROUND_LEAVES;
	u64 done = fault->base, first, last;

	if (!fault->whole || fault->mapped <= ODP_LEAF_SIZE ||
	    (flags & (ODP_FAULT_PREFETCH | ODP_FAULT_SNAPSHOT)))
		return;
	size = min_t(u64, size, fault->mapped);
	first = done & ~(size - 1);
	last = min(first + size - 1, region->last);
	first = max(first, ALIGN(region->start, ODP_LEAF_SIZE));
	fault->flags |= ODP_FAULT_SNAPSHOT | ODP_FAULT_NOWAIT;
	for (; first + ODP_LEAF_SIZE - 1 <= last; first += ODP_LEAF_SIZE) {
		if (first == done)
			continue;
		if (odp_fault_is_late(fault) ||
		    fault_piece(fault, first, first + ODP_LEAF_SIZE - 1))
			break;
		cond_resched();
	}
	fault->flags = flags;
}

/*
 * A worker waits as part of the process. Who adds to a memory cgroup that has
 * more than its memory.high reclaims there, or is held up: by current->mm.
 */
static bool fault_use_mm(const struct odp_fault *fault)
{
	bool use = (current->flags & PF_KTHREAD) && !current->mm &&
		   !(fault->flags & ODP_FAULT_NOWAIT);

	if (use)
		kthread_use_mm(fault->mm);
	return use;
}

static int fault_range(struct odp_fault *fault, u64 va, u64 last)
{
	struct odp_region *region = fault->region;
	bool waits = !(fault->flags & ODP_FAULT_NOWAIT);
	struct odp_recall recall;
	struct odp_numa numa;
	bool used;
	int ret;

	fault->mm = region->space->mm;
	if (!mmget_not_zero(fault->mm))
		return -ESRCH;
	fault->look.mm = fault->mm;
	ret = -ENOMEM;
	fault->pfns = kmem_cache_alloc(scratch_cache, odp_fault_gfp(fault));
	if (!fault->pfns)
		goto out_mmput;
	ret = -ESRCH;
	if (waits && !odp_recall_begin(region, &recall))
		goto out_recall;
	used = fault_use_mm(fault);
	odp_numa_begin(&numa, fault->mm);
	fault->entered = !odp_region_enter(region);
	if (fault->entered)
		ret = fault_pieces(fault, va, last);
	if (fault->entered && !ret)
		fault_around_leaf(fault);
	/* It may have been left, and destroyed, during a wait for a page */
	if (fault->entered)
		odp_region_leave(region);
	odp_numa_end(&numa);
	if (used)
		kthread_unuse_mm(fault->mm);
out_recall:
	if (waits)
		odp_recall_end(&recall);
	kmem_cache_free(scratch_cache, fault->pfns);
out_mmput:
	/* The last user's exit would run here, under our callers' locks */
	mmput_async(fault->mm);
	return ret;
}

/* A no-wait fault that gave up is not counted: the worker's will be */
static void fault_account(const struct odp_fault *fault, int ret, u64 ns)
{
	struct odp_region *region = fault->region;

	if (fault->flags & (ODP_FAULT_PREFETCH | ODP_FAULT_SNAPSHOT)) {
		odp_count(region, prefetch_pages, fault->pages);
		return;
	}
	if (fault->pages)
		odp_count(region, fault_pages, fault->pages);
	if (fault->huge)
		odp_count(region, fault_huge, fault->huge);
	if (ret == -EAGAIN) {
		if (fault->flags & ODP_FAULT_NOWAIT)
			odp_count(region, faults_handed_over, 1);
		return;
	}
	if (!ret && !fault->missed)
		return;
	odp_count(region, faults, 1);
	if (fault->write)
		odp_count(region, faults_write, 1);
	else
		odp_count(region, faults_read, 1);
	if (ret)
		odp_count(region, faults_failed, 1);
	odp_stats_latency(region->space->domain, ns);
}

static int fault_validate(struct odp_region *region, u64 va, u64 len,
			  u32 flags)
{
	int ret = odp_region_check(region, va, len, flags & ODP_FAULT_WRITE);

	if (ret)
		return ret;
	/* All pages of a static region are there, or will never be */
	if (!region->space->mm)
		return -EFAULT;
	return 0;
}

/**
 * odp_region_fault() - map a range for the device
 * @region: where
 * @va: first byte
 * @len: bytes, all that the operation still needs
 * @flags: enum odp_fault_flags
 *
 * Afterwards every page of the range had an entry, readable or, with
 * ODP_FAULT_WRITE, writable; it may be gone again by the time the caller
 * looks, who then faults again. Where pages are taken away faster than a
 * range of them can be had, or where ODP_FAULT_BRIEF is asked for and they
 * take their time, only the first ones are mapped: use them.
 *
 * The caller's mm does not matter; the caller has a reference to the region.
 * In a user's context a fatal signal ends the wait with -EAGAIN. A worker waits
 * until there is a page: memory under userfaultfd may keep it until the page
 * is provided, the userfaultfd is closed or the range unmapped. The region may
 * be destroyed meanwhile, which does not wait for us, and then it is -ESRCH.
 *
 * Context: May sleep. Neither mmap_lock nor an access held.
 * Return: 0; -EAGAIN when it would wait under ODP_FAULT_NOWAIT, or should be
 * tried again; -EFAULT outside the region, not mapped or not permitted, or, in
 * a domain of hardware, memory of another PCI device (P2PDMA);
 * -EACCES writing to a region that is not writable; -EHWPOISON the memory has
 * an error, and was taken out of use; -ESRCH the process, or the region, is
 * gone; -ENOMEM.
 */
int odp_region_fault(struct odp_region *region, u64 va, u64 len, u32 flags)
{
	struct odp_fault fault = {
		.region = region,
		.flags = flags,
		.write = flags & ODP_FAULT_WRITE,
	};
	bool advice = flags & (ODP_FAULT_PREFETCH | ODP_FAULT_SNAPSHOT);
	bool model = !advice && odp_fault_model_on(region->space->domain);
	u64 began;
	int ret;

	if (!len)
		return 0;
	trace_odp_fault_begin(region, va, len, flags);
	began = advice ? 0 : ktime_get_ns();
	fault.deadline = began + FAULT_BRIEF_NS;
	ret = fault_validate(region, va, len, flags);
	if (!ret && model && (flags & ODP_FAULT_NOWAIT))
		ret = -EAGAIN;
	if (!ret)
		ret = fault_range(&fault, va, va + len - 1);
	/* Not without reclaim: somebody else may */
	if (ret == -ENOMEM && (flags & ODP_FAULT_NOWAIT))
		ret = -EAGAIN;
	if (!ret && model)
		odp_fault_model_delay(region->space->domain, fault.pages);
	fault_account(&fault, ret, advice ? 0 : ktime_get_ns() - began);
	trace_odp_fault_end(region, va, len, fault.pages, ret);
	return ret;
}
EXPORT_SYMBOL_GPL(odp_region_fault);

/*
 * A constructor, so that a scratch is not cleared at every fault. It is
 * cleared once because hmm keeps some bits of what it finds there.
 */
static void scratch_init(void *scratch)
{
	memset(scratch, 0, ODP_SCRATCH_BYTES);
}

int odp_fault_init(void)
{
	scratch_cache = kmem_cache_create("odp_scratch", ODP_SCRATCH_BYTES,
					  sizeof(unsigned long), 0,
					  scratch_init);
	return scratch_cache ? 0 : -ENOMEM;
}

void odp_fault_exit(void)
{
	kmem_cache_destroy(scratch_cache);
}
