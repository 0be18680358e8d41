/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * DMA API of the newest kernel over that of older ones. HAVE_* come from the
 * compile probes of kernel/compat.
 */
#ifndef SODP_COMPAT_DMA_H
#define SODP_COMPAT_DMA_H

#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include "compat.h"

#ifndef HAVE_DMA_MAP_PHYS
/* Drop when the oldest kernel is > 6.17 */
static inline dma_addr_t dma_map_phys(struct device *dev, phys_addr_t phys,
				      size_t size, enum dma_data_direction dir,
				      unsigned long attrs)
{
	return dma_map_page_attrs(dev, pfn_to_page(PHYS_PFN(phys)),
				  offset_in_page(phys), size, dir, attrs);
}

static inline void dma_unmap_phys(struct device *dev, dma_addr_t addr,
				  size_t size, enum dma_data_direction dir,
				  unsigned long attrs)
{
	dma_unmap_page_attrs(dev, addr, size, dir, attrs);
}
#endif

#ifndef HAVE_DMA_IOVA_LINK
/* Drop when the oldest kernel is > 6.15. As a newer one without an IOMMU */
struct dma_iova_state {
	dma_addr_t addr;
};

static inline bool dma_use_iova(struct dma_iova_state *state)
{
	return false;
}

static inline bool dma_iova_try_alloc(struct device *dev,
				      struct dma_iova_state *state,
				      phys_addr_t phys, size_t size)
{
	return false;
}

static inline void dma_iova_free(struct device *dev,
				 struct dma_iova_state *state)
{
}

static inline int dma_iova_link(struct device *dev,
				struct dma_iova_state *state, phys_addr_t phys,
				size_t offset, size_t size,
				enum dma_data_direction dir,
				unsigned long attrs)
{
	return -EOPNOTSUPP;
}

static inline int dma_iova_sync(struct device *dev,
				struct dma_iova_state *state, size_t offset,
				size_t size)
{
	return -EOPNOTSUPP;
}

static inline void dma_iova_unlink(struct device *dev,
				   struct dma_iova_state *state, size_t offset,
				   size_t size, enum dma_data_direction dir,
				   unsigned long attrs)
{
}
#endif

/* Rather no mapping than one that has to be synchronised */
#ifndef DMA_ATTR_REQUIRE_COHERENT
#define DMA_ATTR_REQUIRE_COHERENT	0
#endif

#endif /* SODP_COMPAT_DMA_H */
