// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <linux/dma-mapping.h>
int probe(struct device *d, struct dma_iova_state *s);
int probe(struct device *d, struct dma_iova_state *s)
{
	if (dma_use_iova(s) || !dma_iova_try_alloc(d, s, 0, PAGE_SIZE))
		return 0;
	dma_iova_unlink(d, s, 0, PAGE_SIZE, DMA_TO_DEVICE, 0);
	dma_iova_free(d, s);
	return dma_iova_link(d, s, 0, 0, PAGE_SIZE, DMA_TO_DEVICE, 0) ?:
	       dma_iova_sync(d, s, 0, PAGE_SIZE);
}
