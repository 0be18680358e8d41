// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * device.c - spaces that hardware uses: entries are DMA addresses
 *
 * The device has a table of its own, which its driver fills (map) and empties
 * (unmap). What is different from a space that the CPU copies in:
 *
 *  - Pages are mapped for DMA, and the driver is told, under leaf_mutex: what is
 *    found there to be stale, or there already, is never mapped. That does not
 *    sleep, nor reclaim: the DMA API may be used in interrupts.
 *  - The driver's unmap() is the fence. The DMA mapping goes when the device
 *    cannot touch the page any more, and before the mm goes on.
 *  - An entry never changes. A readable one is mapped DMA_TO_DEVICE, one that
 *    may be written DMA_BIDIRECTIONAL: so an IOMMU holds the device to what the
 *    mm allows, whatever the device or its driver believes. What a mapping
 *    allows cannot be changed. So an entry that is to be written goes, and a
 *    new one comes; and one that the mm protects against writing goes
 *    altogether, for a new one cannot be made in a notifier. That costs a
 *    fault, if the device reads there again.
 *  - Part of a huge entry cannot go: it is one mapping. All of it does.
 *
 * An entry is written only after a fault that is for writing, also where the
 * page is dirty already: the device that only reads is to be held to it. For
 * dirtying see commit_entry().
 *
 * What unmapping needs is in the entries: address, and direction by the rights.
 */

#include <linux/dma-mapping.h>
#include <linux/hmm.h>
#include <linux/memremap.h>
#include <linux/sched/mm.h>

#include "access.h"

static const struct odp_device_ops *leaf_ops(const struct odp_leaf *leaf)
{
	return leaf->space->domain->device.ops;
}

/**
 * odp_device_check() - can the core work for it
 * @device: of odp_domain_create()
 *
 * Context: May sleep.
 * Return: 0, -EINVAL, -EOPNOTSUPP.
 */
int odp_device_check(const struct odp_device *device)
{
	const struct odp_device_ops *ops = device->ops;

	if (!device->dev || !ops || !ops->open || !ops->close || !ops->map ||
	    !ops->unmap)
		return -EINVAL;
	if (dma_addressing_limited(device->dev) ||
	    !odp_dma_is_direct(device->dev))
		return -EOPNOTSUPP;
	return 0;
}

/**
 * odp_device_open() - a process gets a table of the driver's
 * @space: its memcg is set
 *
 * Context: May sleep.
 * Return: 0, also where no hardware is; or what the driver says.
 */
int odp_device_open(struct odp_space *space)
{
	const struct odp_device *device = &space->domain->device;
	struct mem_cgroup *old_memcg;
	void *table;

	if (!device->dev)
		return 0;
	old_memcg = set_active_memcg(space->memcg);
	table = device->ops->open(device->priv);
	set_active_memcg(old_memcg);
	if (IS_ERR(table))
		return PTR_ERR(table);
	space->table = table;
	return WARN_ON_ONCE(!table) ? -EINVAL : 0;
}

/**
 * odp_device_close() - and loses it
 * @space: nothing is mapped in it
 *
 * Context: May sleep.
 */
void odp_device_close(struct odp_space *space)
{
	if (space->table)
		space->domain->device.ops->close(space->table);
}

static unsigned long leaf_page_va(const struct odp_leaf *leaf,
				  unsigned int page)
{
	return (leaf->index << ODP_LEAF_SHIFT) +
	       ((unsigned long)page << PAGE_SHIFT);
}

static unsigned int leaf_page_of(const struct odp_leaf *leaf, unsigned long va)
{
	return (va - leaf_page_va(leaf, 0)) >> PAGE_SHIFT;
}

/* What the device has of a range of a leaf; false: nothing */
static bool device_batch(struct odp_leaf *leaf, unsigned int from,
			 unsigned int to, struct odp_batch *batch)
{
	unsigned long *entries;

	if (leaf->huge_entry) {
		batch->va = leaf_page_va(leaf, 0);
		batch->nr = 1;
		batch->order = ODP_LEAF_ORDER;
		batch->entries = &leaf->huge_entry;
		return true;
	}
	entries = odp_table_entries(leaf, &from, &to);
	while (from < to && !entries[from])
		from++;
	while (from < to && !entries[to - 1])
		to--;
	if (from >= to)
		return false;
	batch->va = leaf_page_va(leaf, from);
	batch->nr = to - from;
	batch->order = 0;
	batch->entries = entries + from;
	return true;
}

static bool batch_is_writable(const struct odp_batch *batch)
{
	unsigned int i;

	for (i = 0; i < batch->nr; i++)
		if (batch->entries[i] & ODP_ENTRY_WRITE)
			return true;
	return false;
}

/* The device cannot touch these any more. @zap is told which they were */
static void device_forget(struct odp_leaf *leaf, const struct odp_batch *batch,
			  struct odp_zap *zap)
{
	unsigned int page = leaf_page_of(leaf, batch->va), end;

	odp_dma_unmap(leaf, page, batch->entries, batch->nr, batch->order);
	if (batch->order) {
		WRITE_ONCE(leaf->huge_entry, 0);
		bitmap_fill(zap->pages, ODP_LEAF_PAGES);
		zap->nr = ODP_LEAF_PAGES;
		/* What counts it may look at all of the leaf */
		zap->from = 0;
		zap->to = ODP_LEAF_PAGES;
	} else {
		for (end = page + batch->nr; page < end; page++) {
			if (!odp_table_set(leaf, page, 0))
				continue;
			__set_bit(page, zap->pages);
			zap->nr++;
		}
	}
	WRITE_ONCE(leaf->present, leaf->present - zap->nr);
}

/**
 * odp_device_zap() - take pages from the device
 * @leaf: of a device
 * @zap: which; @pages and @nr are filled. @downgrade: only if it could write to
 *	some of them
 *
 * Context: Under leaf_mutex; as @zap->blockable says.
 * Return: false: it would have to wait and must not; nothing was changed.
 */
bool odp_device_zap(struct odp_leaf *leaf, struct odp_zap *zap)
{
	struct odp_batch batch = { .blockable = zap->blockable };

	lockdep_assert_held(&leaf->leaf_mutex);
	if (!device_batch(leaf, zap->from, zap->to, &batch))
		return true;
	if (zap->downgrade && !batch_is_writable(&batch))
		return true;
	if (!leaf_ops(leaf)->unmap(leaf->space->table, &batch)) {
		WARN_ON_ONCE(zap->blockable);
		return false;
	}
	device_forget(leaf, &batch, zap);
	return true;
}

static void device_drop(struct odp_leaf *leaf, unsigned int from,
			unsigned int to)
{
	struct odp_zap zap = { .from = from, .to = to, .blockable = true };

	odp_device_zap(leaf, &zap);
	odp_domain_count(leaf->space->domain, mapped_pages, -(s64)zap.nr);
}

static void device_drop_all(struct odp_leaf *leaf)
{
	device_drop(leaf, 0, ODP_LEAF_PAGES);
}

/**
 * odp_device_release() - take all of a leaf from the device
 * @leaf: of a device; it goes
 *
 * Context: Under leaf_mutex; may sleep, also in reclaim.
 */
void odp_device_release(struct odp_leaf *leaf)
{
	device_drop_all(leaf);
	odp_dma_release(leaf);
}

/* --- a fault's pages become entries --- */

static unsigned long fault_rights(const struct odp_fault *fault,
				  unsigned long hmm_pfn)
{
	if ((hmm_pfn & (HMM_PFN_VALID | HMM_PFN_ERROR)) != HMM_PFN_VALID)
		return 0;
	if ((hmm_pfn & HMM_PFN_WRITE) && fault->write && !fault->read_only)
		return ODP_ENTRY_FLAGS;
	return ODP_ENTRY_READ;
}

/* Is there an entry that does for what is wanted */
static bool entry_does(unsigned long entry, unsigned long rights)
{
	return (entry & rights & ODP_ENTRY_FLAGS) ==
	       (rights & ODP_ENTRY_FLAGS);
}

/*
 * Another device's memory, which this one may not reach, or by another way
 * than is mapped here. The page is looked at under leaf_mutex, where it stays.
 */
static bool device_takes(unsigned long hmm_pfn)
{
	return !is_pci_p2pdma_page(pfn_to_page(hmm_pfn & ~HMM_PFN_FLAGS));
}

/* Before the device can write; see commit_entry() */
static void device_dirty(unsigned long hmm_pfn)
{
	struct folio *folio = page_folio(pfn_to_page(hmm_pfn & ~HMM_PFN_FLAGS));

	if (!folio_test_dirty(folio))
		folio_mark_dirty(folio);
}

/* Memory that the driver needs is charged to whom it serves */
static int device_tell(struct odp_leaf *leaf, const struct odp_batch *batch)
{
	struct mem_cgroup *old_memcg = set_active_memcg(leaf->space->memcg);
	int ret;

	ret = leaf_ops(leaf)->map(leaf->space->table, batch);
	set_active_memcg(old_memcg);
	return ret;
}

/* From here on the device's. What it does not get is unmapped */
static int device_publish(struct odp_leaf *leaf, const struct odp_batch *batch)
{
	unsigned int page = leaf_page_of(leaf, batch->va);

	if (!odp_dma_sync(leaf, page, batch->nr << batch->order) &&
	    !device_tell(leaf, batch))
		return 0;
	odp_dma_unmap(leaf, page, batch->entries, batch->nr, batch->order);
	return -ENOMEM;
}

static void device_count(struct odp_fault *fault, unsigned int pages)
{
	struct odp_leaf *leaf = fault->leaf;

	WRITE_ONCE(leaf->present, leaf->present + pages);
	fault->pages += pages;
	odp_domain_count(leaf->space->domain, mapped_pages, pages);
}

/* What the snapshot would say of the pages if nothing were huge */
static void device_spell_out(struct odp_fault *fault)
{
	unsigned long hmm_pfn = fault->pfns[fault->first];
	unsigned int page;

	for (page = fault->first; page < fault->end; page++)
		fault->pfns[page] = hmm_pfn + (page - fault->first);
	fault->whole = false;
}

/* One mapping for all of the leaf. If that cannot be had, @whole is cleared */
static int commit_device_whole(struct odp_fault *fault)
{
	unsigned long hmm_pfn = fault->pfns[fault->first];
	unsigned long rights = fault_rights(fault, hmm_pfn), entry;
	struct odp_leaf *leaf = fault->leaf;
	struct odp_batch batch = {
		.va = leaf_page_va(leaf, 0),
		.nr = 1,
		.order = ODP_LEAF_ORDER,
		.entries = &entry,
	};
	int ret;

	/* Nothing wanted, or it is there by somebody else's fault */
	if (!rights || entry_does(leaf->huge_entry, rights))
		return 0;
	if (!device_takes(hmm_pfn))
		return -EFAULT;
	device_drop_all(leaf);
	odp_dma_prepare(leaf);
	entry = odp_dma_map(leaf, 0, (hmm_pfn & ~HMM_PFN_FLAGS) - fault->first,
			    ODP_LEAF_ORDER, rights);
	if (!entry) {
		device_spell_out(fault);
		return 0;
	}
	if (entry & ODP_ENTRY_WRITE)
		device_dirty(hmm_pfn);
	ret = device_publish(leaf, &batch);
	if (ret)
		return ret;
	WRITE_ONCE(leaf->huge_entry, entry);
	device_count(fault, ODP_LEAF_PAGES);
	fault->huge++;
	return 0;
}

/* A readable entry that is to be written goes first: run by run */
static void device_drop_old(struct odp_fault *fault, const unsigned long *dma)
{
	struct odp_leaf *leaf = fault->leaf;
	unsigned int page = fault->first, from;

	if (!leaf->present)
		return;
	while (page < fault->end) {
		for (from = page; page < fault->end && dma[page]; page++)
			;
		if (page > from)
			device_drop(leaf, from, page);
		else
			page++;
	}
}

/*
 * The rights that pages are to get which have none, or not the right to write;
 * 0 for others. Return how many, or an error.
 */
static int device_pick(struct odp_fault *fault, unsigned long *dma)
{
	struct odp_leaf *leaf = fault->leaf;
	unsigned long entry, rights;
	unsigned int page, nr = 0;

	for (page = fault->first; page < fault->end; page++) {
		rights = fault_rights(fault, fault->pfns[page]);
		entry = odp_leaf_entry(leaf, leaf_page_va(leaf, page));
		if (!rights || entry_does(entry, rights))
			continue;
		if (device_takes(fault->pfns[page])) {
			dma[page] = rights;
			nr++;
		} else if (page < fault->last) {
			return -EFAULT;
		}
	}
	return nr;
}

/* Rights become entries. Return how many, or -ENOMEM and there is none */
static int device_map_pages(struct odp_fault *fault, unsigned long *dma)
{
	struct odp_leaf *leaf = fault->leaf;
	unsigned int page, nr = 0;

	for (page = fault->first; page < fault->end; page++) {
		if (!dma[page])
			continue;
		dma[page] = odp_dma_map(leaf, page,
					fault->pfns[page] & ~HMM_PFN_FLAGS, 0,
					dma[page]);
		if (dma[page]) {
			nr++;
			continue;
		}
		if (page < fault->last) {
			odp_dma_unmap(leaf, fault->first, dma + fault->first,
				      page - fault->first, 0);
			return -ENOMEM;
		}
		fault->end = page;
	}
	return nr;
}

static int device_commit_batch(struct odp_fault *fault, unsigned long *dma)
{
	struct odp_leaf *leaf = fault->leaf;
	struct odp_batch batch = {
		.va = leaf_page_va(leaf, fault->first),
		.entries = dma + fault->first,
	};
	unsigned int page;
	int nr, ret;

	odp_dma_prepare(leaf);
	nr = device_map_pages(fault, dma);
	if (nr <= 0)
		return nr;
	batch.nr = fault->end - fault->first;
	for (page = fault->first; page < fault->end; page++)
		if (dma[page] & ODP_ENTRY_WRITE)
			device_dirty(fault->pfns[page]);
	ret = device_publish(leaf, &batch);
	if (ret)
		return ret;
	for (page = fault->first; page < fault->end; page++)
		if (dma[page])
			odp_table_set(leaf, page, dma[page]);
	device_count(fault, nr);
	return 0;
}

/* @dma: a page for the time being, all 0, one entry for each page */
static int commit_device_pages(struct odp_fault *fault, unsigned long *dma,
			       unsigned long *fresh)
{
	struct odp_leaf *leaf = fault->leaf;
	int nr;

	/* It was not when the fault came by */
	if (!*fresh && odp_table_needed(leaf, fault->first, fault->end))
		return -EBUSY;
	nr = device_pick(fault, dma);
	if (nr <= 0)
		return nr;
	/* See commit_drop_huge() */
	if (leaf->huge_entry)
		device_drop_all(leaf);
	odp_table_use(leaf, fault->first, fault->end, fresh);
	device_drop_old(fault, dma);
	return device_commit_batch(fault, dma);
}

static int commit_device(struct odp_fault *fault, unsigned long *dma,
			 unsigned long *fresh)
{
	struct odp_leaf *leaf = fault->leaf;
	int ret;

	if (!odp_fault_lock_leaf(fault))
		return -EAGAIN;
	ret = odp_fault_check(fault);
	if (!ret && fault->whole)
		ret = commit_device_whole(fault);
	else if (!ret)
		ret = commit_device_pages(fault, dma, fresh);
	mutex_unlock(&leaf->leaf_mutex);
	return ret;
}

static int device_commit_small(struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;
	unsigned long fresh = 0, dma;
	int ret = -ENOMEM;

	dma = odp_table_alloc(leaf->space, odp_fault_gfp(fault));
	if (!dma)
		return -ENOMEM;
	if (odp_table_needed(leaf, fault->first, fault->end)) {
		fresh = odp_table_alloc(leaf->space, odp_fault_gfp(fault));
		if (!fresh)
			goto out_dma;
	}
	ret = commit_device(fault, (unsigned long *)dma, &fresh);
	odp_table_free(fresh);
out_dma:
	odp_table_free(dma);
	return ret;
}

/**
 * odp_device_commit() - odp_fault_commit() for a device
 * @fault: its pfns filled, mmap_lock not held
 *
 * Context: May sleep; reclaims as odp_fault_gfp() says.
 * Return: As odp_fault_commit(); -EAGAIN if it would wait and must not.
 */
int odp_device_commit(struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;
	int ret = 0;

	if (fault->whole)
		ret = commit_device(fault, NULL, NULL);
	if (!fault->whole)
		ret = device_commit_small(fault);
	/* Whoever wanted them is about to use them */
	if (!ret)
		odp_space_touch(leaf->space, leaf_page_va(leaf, fault->first),
				leaf_page_va(leaf, fault->last) - 1);
	return ret;
}
