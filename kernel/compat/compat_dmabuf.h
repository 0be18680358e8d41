/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* dma-buf: names of older kernels. HAVE_* come from the compile probes. */
#ifndef SODP_COMPAT_DMABUF_H
#define SODP_COMPAT_DMABUF_H

#include <linux/dma-buf.h>

#include "compat.h"

#ifndef HAVE_DMA_BUF_VMAP_UNLOCKED
/* Drop when the oldest kernel is > 6.1, which takes the lock itself */
#define dma_buf_vmap_unlocked	dma_buf_vmap
#define dma_buf_vunmap_unlocked	dma_buf_vunmap
#endif

#endif /* SODP_COMPAT_DMABUF_H */
