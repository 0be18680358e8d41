/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* dma-buf: names of older kernels. HAVE_* come from the compile probes. */
#ifndef SODP_COMPAT_DMABUF_H
#define SODP_COMPAT_DMABUF_H

#include <linux/dma-buf.h>

#include "compat.h"

#ifndef HAVE_DMA_BUF_VMAP_UNLOCKED
/* Drop when the oldest kernel is > 6.1, which takes the lock itself */
static inline int dma_buf_vmap_unlocked(struct dma_buf *buf,
					struct iosys_map *map)
{
	return dma_buf_vmap(buf, map);
}

static inline void dma_buf_vunmap_unlocked(struct dma_buf *buf,
					   struct iosys_map *map)
{
	dma_buf_vunmap(buf, map);
}
#endif

#endif /* SODP_COMPAT_DMABUF_H */
