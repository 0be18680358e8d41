// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <linux/dma-mapping.h>
dma_addr_t probe(struct device *dev);
dma_addr_t probe(struct device *dev)
{ return dma_map_phys(dev, 0, PAGE_SIZE, DMA_TO_DEVICE, 0); }
