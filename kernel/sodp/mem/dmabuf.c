// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * MRs on dma-bufs. A soft device copies by the CPU, so it asks the exporter
 * for a kernel mapping, which pins the buffer, and takes the pages behind
 * it. What has no struct page (video memory behind a BAR) is refused.
 */
#include <linux/iosys-map.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat_dmabuf.h"
#include "compat_rdma.h"
#include "mem/mem.h"

struct sodp_dmabuf {
	struct dma_buf *buf;
	struct iosys_map map;
	u64 first;		/* pages of the MR: offsets in the buffer */
	u64 end;
	bool writable;
};

static int dmabuf_page(const struct sodp_dmabuf *dmabuf, u64 off,
		       struct page **page)
{
	void *addr = dmabuf->map.vaddr + off;
	unsigned long pfn;

	if (is_vmalloc_addr(addr))
		pfn = vmalloc_to_pfn(addr);
	else if (virt_addr_valid(addr))
		pfn = PHYS_PFN(__pa(addr));
	else
		return -EOPNOTSUPP;
	if (!pfn_valid(pfn) || is_zone_device_page(pfn_to_page(pfn)))
		return -EOPNOTSUPP;
	*page = pfn_to_page(pfn);
	return 0;
}

/* Long runs get huge entries where they fill a leaf */
static int dmabuf_add_pages(const struct sodp_dmabuf *dmabuf,
			    struct odp_region *region)
{
	unsigned long pfn = 0, nr = 0;
	u64 start = dmabuf->first;
	struct page *page;
	int ret = 0;
	u64 off;

	for (off = start; off < dmabuf->end && !ret; off += PAGE_SIZE) {
		ret = dmabuf_page(dmabuf, off, &page);
		if (ret)
			return ret;
		if (nr && page_to_pfn(page) == pfn + nr) {
			nr++;
			continue;
		}
		ret = odp_region_add_pages(region, start, pfn, nr);
		start = off;
		pfn = page_to_pfn(page);
		nr = 1;
		cond_resched();
	}
	return ret ? : odp_region_add_pages(region, start, pfn, nr);
}

/* The exporter may page what it exports, and does not see our writes */
static void dmabuf_dirty_pages(const struct sodp_dmabuf *dmabuf)
{
	struct page *page;
	u64 off;

	for (off = dmabuf->first; off < dmabuf->end; off += PAGE_SIZE) {
		if (dmabuf_page(dmabuf, off, &page))
			return;
		page = compound_head(page);
		if (READ_ONCE(page->mapping))
			set_page_dirty_lock(page);
		cond_resched();
	}
}

/**
 * sodp_dmabuf_release() - let go of a buffer that no region uses any more
 * @dmabuf: from a registration
 *
 * Context: process, may sleep.
 */
void sodp_dmabuf_release(struct sodp_dmabuf *dmabuf)
{
	if (dmabuf->writable)
		dmabuf_dirty_pages(dmabuf);
	dma_buf_vunmap_unlocked(dmabuf->buf, &dmabuf->map);
	dma_buf_end_cpu_access(dmabuf->buf, DMA_BIDIRECTIONAL);
	dma_buf_put(dmabuf->buf);
	kfree(dmabuf);
}

static int dmabuf_map(struct sodp_dmabuf *dmabuf, u64 offset, u64 length,
		      int fd)
{
	int ret;

	dmabuf->buf = dma_buf_get(fd);
	if (IS_ERR(dmabuf->buf))
		return PTR_ERR(dmabuf->buf);
	ret = -EINVAL;
	if (!length || offset > dmabuf->buf->size ||
	    length > dmabuf->buf->size - offset)
		goto err_put;
	dmabuf->first = offset & PAGE_MASK;
	dmabuf->end = PAGE_ALIGN(offset + length);
	/* Waits for what other devices are doing to it */
	ret = dma_buf_begin_cpu_access(dmabuf->buf, DMA_BIDIRECTIONAL);
	if (ret)
		goto err_put;
	ret = dma_buf_vmap_unlocked(dmabuf->buf, &dmabuf->map);
	if (ret)
		goto err_end_access;
	if (!dmabuf->map.is_iomem)
		return 0;
	ret = -EOPNOTSUPP;
	dma_buf_vunmap_unlocked(dmabuf->buf, &dmabuf->map);
err_end_access:
	dma_buf_end_cpu_access(dmabuf->buf, DMA_BIDIRECTIONAL);
err_put:
	dma_buf_put(dmabuf->buf);
	return ret;
}

static int dmabuf_back(struct sodp_dev *dev, struct sodp_backing *b)
{
	struct sodp_dmabuf *dmabuf = b->dmabuf;
	int ret;

	b->region = odp_region_create_static(dev->domain, dmabuf->first,
					     dmabuf->end - dmabuf->first,
					     dmabuf->writable ?
					     ODP_REGION_WRITABLE : 0);
	if (IS_ERR(b->region))
		return PTR_ERR(b->region);
	ret = dmabuf_add_pages(dmabuf, b->region);
	if (ret)
		odp_region_destroy(b->region);
	return ret;
}

/**
 * sodp_dmabuf_reg_mr() - register part of a dma-buf
 * @pd: protection domain
 * @offset: first byte in the buffer
 * @length: bytes
 * @iova: address by which SGEs and peers name @offset
 * @fd: the buffer
 * @access: IB_ACCESS_*
 *
 * Context: process, may sleep.
 * Return: the MR or ERR_PTR: -EBADF or -EINVAL not a dma-buf, -EINVAL beyond
 * its end or an exporter that cannot map it, -EOPNOTSUPP access bits or
 * memory without struct pages, -ENOMEM.
 */
struct ib_mr *sodp_dmabuf_reg_mr(struct ib_pd *pd, u64 offset, u64 length,
				 u64 iova, int fd, int access)
{
	struct sodp_dev *dev = to_sodp_dev(pd->device);
	struct sodp_backing b = { .va = offset, .length = length };
	int ret;

	if (access & ~(SODP_ACCESS_PLAIN | IB_ZERO_BASED))
		return ERR_PTR(-EOPNOTSUPP);
	if (iova + length < iova)
		return ERR_PTR(-EINVAL);
	b.dmabuf = kzalloc(sizeof(*b.dmabuf), GFP_KERNEL_ACCOUNT);
	if (!b.dmabuf)
		return ERR_PTR(-ENOMEM);
	b.dmabuf->writable = access & SODP_ACCESS_WRITABLE;
	ret = dmabuf_map(b.dmabuf, offset, length, fd);
	if (ret) {
		ibdev_dbg(&dev->base_dev,
			  "dma-buf %d, %#llx+%llu: not mappable: %d\n", fd,
			  offset, length, ret);
		kfree(b.dmabuf);
		return ERR_PTR(ret);
	}
	ret = dmabuf_back(dev, &b);
	if (ret) {
		ibdev_dbg(&dev->base_dev,
			  "dma-buf %d, %#llx+%llu: no pages: %d\n", fd, offset,
			  length, ret);
		sodp_dmabuf_release(b.dmabuf);
		return ERR_PTR(ret);
	}
	return sodp_mr_create(pd, &b, access & IB_ZERO_BASED ? 0 : iova,
			      access);
}

MODULE_INFO(import_ns, "DMA_BUF");
