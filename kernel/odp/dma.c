// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * dma.c - entries of a device: DMA addresses
 */

#include <linux/device.h>
#include <linux/dma-mapping.h>

#include "core.h"
#include "../compat/compat_dma.h"

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
 * odp_dma_map() - what becomes the entry of a page
 * @leaf: of a device
 * @page: which, without an entry
 * @pfn: it is there, and stays
 * @order: 0, or ODP_LEAF_ORDER for all of the leaf
 * @rights: ODP_ENTRY_*
 *
 * Context: Under leaf_mutex; does not sleep.
 * Return: the entry; 0 if it cannot be mapped.
 */
unsigned long odp_dma_map(struct odp_leaf *leaf, unsigned int page,
			  unsigned long pfn, unsigned int order,
			  unsigned long rights)
{
	lockdep_assert_held(&leaf->leaf_mutex);
	return entry_map(leaf_device(leaf), pfn, order, rights);
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
	unsigned int i;

	lockdep_assert_held(&leaf->leaf_mutex);
	for (i = 0; i < nr; i++)
		if (entries[i])
			entry_unmap(leaf_device(leaf), entries[i], order);
}
