// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages for trains of packets, used again: the kernel clears what it hands
 * out, which costs as much as a copy, and every train overwrites its page.
 *
 * Each CPU has a ring of pages and a reference on each; when that is the only
 * one left, the stack is done with the page. One that is still busy when its
 * turn comes leaves the ring, and when memory is short those that are not.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>

#include "compat_mm.h"
#include "net/net.h"

/* As much as a QP may have on its way, and a little more */
#define TXPAGE_RING	20

struct txpage_ring {
	/* Guards the ring, from process context and softirq; innermost */
	spinlock_t lock;
	struct page *pages[TXPAGE_RING];
	u32 next;
};

static DEFINE_PER_CPU(struct txpage_ring, txpage_rings) = {
	.lock = __SPIN_LOCK_UNLOCKED(txpage_rings.lock),
};

static struct shrinker *txpage_shrinker;

/* One that the stack is done with, out of its ring; NULL: there is none */
static struct page *txpage_take_idle(struct txpage_ring *ring)
{
	struct page *page = NULL;
	u32 i;

	spin_lock_bh(&ring->lock);
	for (i = 0; i < TXPAGE_RING && !page; i++) {
		page = ring->pages[i];
		if (page && page_ref_count(page) == 1)
			WRITE_ONCE(ring->pages[i], NULL);
		else
			page = NULL;
	}
	spin_unlock_bh(&ring->lock);
	return page;
}

/* Busy ones included: a guess is enough, and no lock is needed for that */
static unsigned long txpage_count(struct shrinker *shrinker,
				  struct shrink_control *sc)
{
	unsigned long nr = 0;
	int cpu;
	u32 i;

	for_each_possible_cpu(cpu)
		for (i = 0; i < TXPAGE_RING; i++)
			nr += !!READ_ONCE(per_cpu(txpage_rings, cpu).pages[i]);
	return nr ? nr << SODP_TXPAGE_ORDER : SHRINK_EMPTY;
}

static unsigned long txpage_scan(struct shrinker *shrinker,
				 struct shrink_control *sc)
{
	unsigned long freed = 0;
	struct page *page;
	int cpu;

	for_each_possible_cpu(cpu) {
		while (freed < sc->nr_to_scan) {
			page = txpage_take_idle(per_cpu_ptr(&txpage_rings,
							    cpu));
			if (!page)
				break;
			put_page(page);
			freed += 1UL << SODP_TXPAGE_ORDER;
		}
	}
	return freed ? freed : SHRINK_STOP;
}

/**
 * sodp_txpage_init() - let the kernel have the pages back when it needs them
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int sodp_txpage_init(void)
{
	txpage_shrinker = shrinker_alloc(0, "sodp-txpage");
	if (!txpage_shrinker)
		return -ENOMEM;
	txpage_shrinker->count_objects = txpage_count;
	txpage_shrinker->scan_objects = txpage_scan;
	shrinker_register(txpage_shrinker);
	return 0;
}

/**
 * sodp_txpage_get() - have a compound page of SODP_TXPAGE_ORDER
 *
 * Context: any but hardirq.
 * Return: the page, with a reference for the caller; NULL.
 */
struct page *sodp_txpage_get(void)
{
	/* Another CPU's after a migration will do as well */
	struct txpage_ring *ring = raw_cpu_ptr(&txpage_rings);
	struct page **slot, *page;

	/* Without bottom halves others may run here still: PREEMPT_RT */
	spin_lock_bh(&ring->lock);
	slot = &ring->pages[ring->next++ % TXPAGE_RING];
	page = *slot;
	if (!page || page_ref_count(page) != 1) {
		page = alloc_pages(GFP_NOWAIT | __GFP_NOWARN | __GFP_NORETRY |
				   __GFP_NOMEMALLOC | __GFP_COMP,
				   SODP_TXPAGE_ORDER);
		if (page) {
			if (*slot)
				put_page(*slot);
			/* Pairs with the READ_ONCE() in txpage_count() */
			WRITE_ONCE(*slot, page);
		}
	}
	if (page)
		get_page(page);
	spin_unlock_bh(&ring->lock);
	return page;
}

/**
 * sodp_txpage_exit() - let go of all of them
 *
 * Context: process, nobody sends any more.
 */
void sodp_txpage_exit(void)
{
	struct txpage_ring *ring;
	int cpu;
	u32 i;

	shrinker_free(txpage_shrinker);
	for_each_possible_cpu(cpu) {
		ring = per_cpu_ptr(&txpage_rings, cpu);
		for (i = 0; i < TXPAGE_RING; i++) {
			if (ring->pages[i])
				put_page(ring->pages[i]);
			ring->pages[i] = NULL;
		}
	}
}
