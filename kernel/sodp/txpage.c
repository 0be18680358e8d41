// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages for trains of packets, used again: the kernel clears what it hands
 * out, which costs as much as a copy, and every train overwrites its page.
 *
 * Each CPU has a ring of pages and a reference on each; when that is the only
 * one left, the stack is done with the page. One that is still busy when its
 * turn comes leaves the ring.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>

#include "wire.h"

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
			*slot = page;
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

	for_each_possible_cpu(cpu) {
		ring = per_cpu_ptr(&txpage_rings, cpu);
		for (i = 0; i < TXPAGE_RING; i++) {
			if (ring->pages[i])
				put_page(ring->pages[i]);
			ring->pages[i] = NULL;
		}
	}
}
