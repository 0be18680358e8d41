// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * dma.c - entries of a device: DMA addresses
 *
 * There are two ways to get them. Behind an IOMMU, if the kernel can
 * (dma_iova_link()), a leaf has a range of addresses, as long and as aligned as
 * itself, in which each page has its place: one allocation for a leaf, one sync
 * for a batch, and a run of pages that goes is one flush of the IOMMU's TLB.
 * Elsewhere each page is mapped by itself.
 *
 * A leaf goes one way at a time. It asks for a range when it has no page
 * mapped, and keeps it, used or not, until it goes. If there is none it maps
 * pages by themselves until it is empty again: a device of 32 bits, used for a
 * page here and there, is short of ranges long before it is of addresses. A
 * page that cannot be linked in a range is -ENOMEM, for that may pass.
 *
 * All of it is done under leaf_mutex: there is one place for a page, and what
 * was there has to be unlinked first. None of it sleeps or reclaims. What is
 * unlinked is gone from the IOMMU at once, also where it is told to be lazy;
 * there is nobody else's mapping in the range.
 */

#include <linux/device.h>
#include <linux/dma-mapping.h>

#include "core.h"

/*
 * Nobody synchronises: neither a bounce buffer nor a cache would be kept in
 * step. Processes share pages, so they are mapped more than once.
 */
#define ENTRY_DMA_ATTRS							\
	(DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_REQUIRE_COHERENT |		\
	 DMA_ATTR_NO_WARN)

static enum dma_data_direction entry_direction(unsigned long rights)
{
	return rights & ODP_ENTRY_WRITE ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
}

static struct device *leaf_device(const struct odp_leaf *leaf)
{
	return leaf->space->domain->device.dev;
}

static unsigned long entry_map(struct device *dev, unsigned long pfn,
			       unsigned int order, unsigned long rights)
{
	size_t size = PAGE_SIZE << order;
	dma_addr_t address;

	address = dma_map_phys(dev, PFN_PHYS(pfn), size,
			       entry_direction(rights), ENTRY_DMA_ATTRS);
	if (dma_mapping_error(dev, address))
		return 0;
	if (IS_ALIGNED(address, size))
		return address | rights;
	dma_unmap_phys(dev, address, size, entry_direction(rights),
		       ENTRY_DMA_ATTRS);
	return 0;
}

static void entry_unmap(struct device *dev, unsigned long entry,
			unsigned int order)
{
	dma_unmap_phys(dev, entry & PAGE_MASK, PAGE_SIZE << order,
		       entry_direction(entry), ENTRY_DMA_ATTRS);
}

/**
 * odp_dma_is_direct() - is a page's mapping the page itself
 * @dev: its mask is set
 *
 * Context: May sleep.
 * Return: true: nothing has to be kept in step.
 */
bool odp_dma_is_direct(struct device *dev)
{
	struct page *page = alloc_page(GFP_KERNEL);
	unsigned long entry;
	bool direct = false;

	if (!page)
		return false;
	entry = entry_map(dev, page_to_pfn(page), 0, ODP_ENTRY_FLAGS);
	if (entry) {
		/* Through an IOMMU pages are not bounced, as they are whole */
		direct = device_iommu_mapped(dev) ||
			 !dma_need_sync(dev, entry & PAGE_MASK);
		entry_unmap(dev, entry, 0);
	}
	__free_page(page);
	return direct;
}

/**
 * odp_dma_prepare() - before a batch of odp_dma_map()
 * @leaf: of a device
 *
 * Context: Under leaf_mutex; does not sleep.
 */
void odp_dma_prepare(struct odp_leaf *leaf)
{
	struct device *dev = leaf_device(leaf);

	lockdep_assert_held(&leaf->leaf_mutex);
	if (leaf->present || dma_use_iova(&leaf->iova) ||
	    !dma_iova_try_alloc(dev, &leaf->iova, 0, ODP_LEAF_SIZE) ||
	    IS_ALIGNED(leaf->iova.addr, ODP_LEAF_SIZE))
		return;
	odp_dma_release(leaf);
}

/**
 * odp_dma_release() - a leaf goes
 * @leaf: of a device, with nothing mapped
 *
 * Context: Under leaf_mutex; does not sleep.
 */
void odp_dma_release(struct odp_leaf *leaf)
{
	lockdep_assert_held(&leaf->leaf_mutex);
	if (!dma_use_iova(&leaf->iova))
		return;
	dma_iova_free(leaf_device(leaf), &leaf->iova);
	memset(&leaf->iova, 0, sizeof(leaf->iova));
}

/**
 * odp_dma_map() - what becomes the entry of a page
 * @leaf: of a device
 * @page: which, without an entry
 * @pfn: it is there, and stays
 * @order: 0, or ODP_LEAF_ORDER for all of the leaf
 * @rights: ODP_ENTRY_*
 *
 * Context: Under leaf_mutex, after odp_dma_prepare(); does not sleep.
 * Return: the entry, of use after odp_dma_sync(); 0 if it cannot be mapped.
 */
unsigned long odp_dma_map(struct odp_leaf *leaf, unsigned int page,
			  unsigned long pfn, unsigned int order,
			  unsigned long rights)
{
	struct device *dev = leaf_device(leaf);
	size_t offset = (size_t)page << PAGE_SHIFT;

	lockdep_assert_held(&leaf->leaf_mutex);
	if (!dma_use_iova(&leaf->iova))
		return entry_map(dev, pfn, order, rights);
	if (dma_iova_link(dev, &leaf->iova, PFN_PHYS(pfn), offset,
			  PAGE_SIZE << order, entry_direction(rights),
			  ENTRY_DMA_ATTRS))
		return 0;
	return (leaf->iova.addr + offset) | rights;
}

/**
 * odp_dma_sync() - make known to the IOMMU what was mapped
 * @leaf: of a device
 * @page: the first one
 * @nr: pages, of which some may have been there before, or not be there
 *
 * Context: Under leaf_mutex; does not sleep.
 * Return: 0, or -errno and they are to be unmapped.
 */
int odp_dma_sync(struct odp_leaf *leaf, unsigned int page, unsigned int nr)
{
	lockdep_assert_held(&leaf->leaf_mutex);
	if (!dma_use_iova(&leaf->iova))
		return 0;
	return dma_iova_sync(leaf_device(leaf), &leaf->iova,
			     (size_t)page << PAGE_SHIFT,
			     (size_t)nr << PAGE_SHIFT);
}

/* How many have the same rights as the first one; none is the same, too */
static unsigned int entries_alike(const unsigned long *entries,
				  unsigned int nr)
{
	unsigned int i;

	for (i = 1; i < nr; i++)
		if ((entries[i] ^ entries[0]) & ODP_ENTRY_FLAGS)
			break;
	return i;
}

static void entries_unmap(struct odp_leaf *leaf, unsigned int page,
			  const unsigned long *entries, unsigned int nr,
			  unsigned int order)
{
	struct device *dev = leaf_device(leaf);
	unsigned int i;

	if (dma_use_iova(&leaf->iova)) {
		dma_iova_unlink(dev, &leaf->iova, (size_t)page << PAGE_SHIFT,
				(size_t)nr << (PAGE_SHIFT + order),
				entry_direction(entries[0]), ENTRY_DMA_ATTRS);
		return;
	}
	for (i = 0; i < nr; i++)
		entry_unmap(dev, entries[i], order);
}

/**
 * odp_dma_unmap() - undo odp_dma_map()
 * @leaf: of a device, which does not touch the pages any more
 * @page: the first one
 * @entries: of the pages, 0 where there is none
 * @nr: of @entries
 * @order: of each
 *
 * Context: Under leaf_mutex, in notifier callbacks too; does not sleep.
 */
void odp_dma_unmap(struct odp_leaf *leaf, unsigned int page,
		   const unsigned long *entries, unsigned int nr,
		   unsigned int order)
{
	unsigned int i, run;

	lockdep_assert_held(&leaf->leaf_mutex);
	for (i = 0; i < nr; i += run) {
		run = entries_alike(entries + i, nr - i);
		if (entries[i])
			entries_unmap(leaf, page + i, entries + i, run, order);
	}
}
