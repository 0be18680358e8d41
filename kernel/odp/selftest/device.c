// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * device.c - a domain of hardware, by a driver that only keeps accounts
 *
 * The device does nothing, so what is seen here is what the core tells its
 * driver, and when. edu.c has a device that does DMA.
 */

#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/xarray.h>

#include "selftest.h"

#define RW	(PROT_READ | PROT_WRITE)
#define SHARED	(MAP_SHARED | MAP_ANONYMOUS)

/**
 * struct fake - a device, and what its driver was asked
 * @pdev: the device
 * @domain: of it
 * @region: of the test
 * @va: its memory
 * @pages: entries that it has; a huge one stands at its first page
 * @tables: opened and not closed
 * @maps: calls of map
 * @unmaps: calls of unmap
 * @mapped: entries given
 * @huge: of these, huge ones
 * @busy: unmap would have to wait
 * @full: maps that are to fail for want of memory
 * @wrong: an entry came where one was, or went where none was
 */
struct fake {
	struct platform_device *pdev;
	struct odp_domain *domain;
	struct odp_region *region;
	unsigned long va;
	struct xarray pages;
	int tables;
	int maps;
	int unmaps;
	int mapped;
	int huge;
	bool busy;
	int full;
	int wrong;
};

static void *fake_open(void *device)
{
	struct fake *fake = device;

	fake->tables++;
	return fake;
}

static void fake_close(void *table)
{
	struct fake *fake = table;

	fake->tables--;
	fake->wrong += !xa_empty(&fake->pages);
}

/* Is there any in the pages of the batch, or (huge) over them */
static bool fake_has(struct fake *fake, const struct odp_batch *batch,
		     unsigned int i)
{
	unsigned long index = (batch->va >> PAGE_SHIFT) + i;
	unsigned long last = index + (1UL << batch->order) - 1;
	unsigned long *huge;

	if (xa_find(&fake->pages, &index, last, XA_PRESENT))
		return true;
	huge = xa_load(&fake->pages, index & ~(ODP_LEAF_SIZE / PAGE_SIZE - 1));
	return huge && (xa_to_value(huge) >> 2) == ODP_LEAF_ORDER;
}

/* Stands for an entry: rights and order */
static void *fake_value(const struct odp_batch *batch, unsigned int i)
{
	return xa_mk_value((batch->entries[i] & ODP_ENTRY_FLAGS) |
			   batch->order << 2);
}

static int fake_map(void *table, const struct odp_batch *batch)
{
	unsigned long index = batch->va >> PAGE_SHIFT;
	struct fake *fake = table;
	unsigned int i;

	fake->maps++;
	if (fake->full) {
		fake->full--;
		return -ENOMEM;
	}
	for (i = 0; i < batch->nr; i++) {
		if (!batch->entries[i])
			continue;
		fake->wrong += fake_has(fake, batch, i);
		fake->wrong += !(batch->entries[i] & ODP_ENTRY_READ);
		fake->mapped++;
		fake->huge += batch->order == ODP_LEAF_ORDER;
		if (xa_err(xa_store(&fake->pages, index + i,
				    fake_value(batch, i), GFP_NOWAIT)))
			fake->wrong++;
	}
	return 0;
}

static bool fake_unmap(void *table, const struct odp_batch *batch)
{
	unsigned long index = batch->va >> PAGE_SHIFT;
	struct fake *fake = table;
	unsigned int i;

	fake->unmaps++;
	if (fake->busy && !batch->blockable)
		return false;
	for (i = 0; i < batch->nr; i++)
		if (batch->entries[i] &&
		    xa_erase(&fake->pages, index + i) != fake_value(batch, i))
			fake->wrong++;
	return true;
}

static const struct odp_device_ops fake_ops = {
	.open = fake_open,
	.close = fake_close,
	.map = fake_map,
	.unmap = fake_unmap,
};

static int fake_domain(struct fake *fake)
{
	struct odp_device device = {
		.dev = &fake->pdev->dev,
		.ops = &fake_ops,
		.priv = fake,
	};
	struct odp_domain *domain = odp_domain_create("fake", &device);

	if (IS_ERR(domain))
		return PTR_ERR(domain);
	fake->domain = domain;
	return 0;
}

static int fake_create(struct fake *fake)
{
	memset(fake, 0, sizeof(*fake));
	xa_init(&fake->pages);
	fake->pdev = platform_device_register_simple("odp-selftest", -1, NULL,
						     0);
	if (IS_ERR(fake->pdev))
		return PTR_ERR(fake->pdev);
	return dma_set_mask_and_coherent(&fake->pdev->dev, DMA_BIT_MASK(64));
}

/* Nothing may be left, and nothing may have been wrong */
static int fake_destroy(struct fake *fake, int ret)
{
	struct odp_stats stats = {};

	if (!IS_ERR_OR_NULL(fake->region))
		odp_region_destroy(fake->region);
	if (fake->domain) {
		odp_domain_stats(fake->domain, &stats);
		odp_domain_destroy(fake->domain);
	}
	if (!IS_ERR_OR_NULL(fake->pdev))
		platform_device_unregister(fake->pdev);
	if (!ret && (fake->wrong || fake->tables || stats.mapped_pages)) {
		pr_info("# wrong %d, tables %d, mapped pages %llu\n",
			fake->wrong, fake->tables, stats.mapped_pages);
		ret = -EBADMSG;
	}
	xa_destroy(&fake->pages);
	return ret;
}

/* A region of memory that there is; memory and region go by fake_end() */
static int fake_begin(struct fake *fake, unsigned long va, unsigned long len)
{
	int ret = fake_create(fake);

	if (!ret)
		ret = fake_domain(fake);
	if (ret)
		return ret;
	fake->va = va;
	if (IS_ERR_VALUE(va))
		return -ENOMEM;
	fake->region = odp_region_create(fake->domain, va, len,
					 ODP_REGION_WRITABLE);
	return PTR_ERR_OR_ZERO(fake->region);
}

/*
 * Shared memory, of small pages whatever THP is set to, in one leaf, and all of
 * it there: a fault that has to make it may stop after some pages.
 */
static int fake_begin_small(struct fake *fake, unsigned long len)
{
	unsigned long va = st_map_aligned(len, len);
	int ret;

	if (!IS_ERR_VALUE(va))
		va = st_map_at(va, len, RW, SHARED | MAP_FIXED);
	ret = fake_begin(fake, va, len);
	return ret ? ret : st_fill(fake->va, len, 1);
}

static int fake_end(struct fake *fake, unsigned long len, int ret)
{
	st_unmap(fake->va, len);
	return fake_destroy(fake, ret);
}

/* A check on 64 KiB of such memory */
static int fake_run_small(int (*check)(struct fake *fake))
{
	struct fake fake;
	int ret;

	ret = fake_begin_small(&fake, SZ_64K);
	if (!ret)
		ret = check(&fake);
	return fake_end(&fake, SZ_64K, ret);
}

/* The rights that the device has to a page, 0 none */
static unsigned long fake_rights(struct fake *fake, unsigned int page)
{
	void *value = xa_load(&fake->pages, (fake->va >> PAGE_SHIFT) + page);

	return value ? xa_to_value(value) & ODP_ENTRY_FLAGS : 0;
}

static int fake_fault(struct fake *fake, unsigned int page, unsigned int nr,
		      u32 flags)
{
	return odp_region_fault(fake->region, fake->va + page * PAGE_SIZE,
				nr * PAGE_SIZE, flags);
}

static int map_check(struct fake *fake)
{
	int ret;

	ret = fake_fault(fake, 0, 16, 0);
	ST_CHECK(!ret && fake->tables == 1, ret);
	ST_CHECK(odp_region_table(fake->region) == fake, -EBADMSG);
	ST_CHECK(fake->maps == 1 && fake->mapped == 16, -EBADMSG);
	ST_CHECK(fake_rights(fake, 0) == ODP_ENTRY_READ, -EBADMSG);
	/* There already: nothing happens */
	ret = fake_fault(fake, 2, 3, 0);
	ST_CHECK(!ret && fake->maps == 1 && !fake->unmaps, -EBADMSG);
	/* To be written: each of these goes, and comes; the rest stays */
	ret = fake_fault(fake, 4, 4, ODP_FAULT_WRITE);
	ST_CHECK(!ret && fake->unmaps == 1, -EBADMSG);
	ST_CHECK(fake->maps == 2 && fake->mapped == 20, -EBADMSG);
	ST_CHECK(fake_rights(fake, 7) == ODP_ENTRY_FLAGS, -EBADMSG);
	ST_CHECK(fake_rights(fake, 8) == ODP_ENTRY_READ, -EBADMSG);
	/* Around those that may be written already */
	ret = fake_fault(fake, 3, 6, ODP_FAULT_WRITE);
	ST_CHECK(!ret && fake->unmaps == 3, -EBADMSG);
	ST_CHECK(fake->maps == 3 && fake->mapped == 22, -EBADMSG);
	ST_CHECK(st_stat(fake->region, mapped_pages) == 16, -EBADMSG);
	/* And for reading, once more */
	ret = fake_fault(fake, 0, 16, 0);
	ST_CHECK(!ret && fake->maps == 3, -EBADMSG);
	st_unmap(fake->va + 4 * PAGE_SIZE, PAGE_SIZE);
	ST_CHECK(fake->unmaps == 4 && !fake_rights(fake, 4), -EBADMSG);
	ST_CHECK(fake_rights(fake, 5) == ODP_ENTRY_FLAGS, -EBADMSG);
	ST_CHECK(st_stat(fake->region, mapped_pages) == 15, -EBADMSG);
	return 0;
}

/* One batch for a fault, no entry twice, rights as asked for */
static int test_map(void)
{
	return fake_run_small(map_check);
}

static int downgrade_check(struct fake *fake)
{
	unsigned long end = fake->va + SZ_64K;
	int ret;

	ret = fake_fault(fake, 0, 16, 0);
	if (!ret)
		ret = fake_fault(fake, 8, 4, ODP_FAULT_WRITE);
	ST_CHECK(!ret && fake->unmaps == 1, -EBADMSG);
	ret = st_event(fake->va, fake->va + SZ_16K, MMU_NOTIFY_PROTECTION_PAGE,
		       true);
	ST_CHECK(!ret && fake->unmaps == 1, -EBADMSG);
	ST_CHECK(fake_rights(fake, 0) == ODP_ENTRY_READ, -EBADMSG);
	ret = st_event(fake->va + SZ_32K, end, MMU_NOTIFY_PROTECTION_PAGE,
		       true);
	ST_CHECK(!ret && fake->unmaps == 2, -EBADMSG);
	ST_CHECK(!fake_rights(fake, 8), -EBADMSG);
	ST_CHECK(fake_rights(fake, 7) == ODP_ENTRY_READ, -EBADMSG);
	ST_CHECK(st_stat(fake->region, mapped_pages) == 8, -EBADMSG);
	ret = st_event(fake->va, end, MMU_NOTIFY_CLEAR, true);
	ST_CHECK(!ret && xa_empty(&fake->pages), -EBADMSG);
	return 0;
}

/* What must not be written goes; what is only readable stays */
static int test_downgrade(void)
{
	if (!st_has_events())
		return ST_SKIP;
	return fake_run_small(downgrade_check);
}

static int nonblock_check(struct fake *fake)
{
	unsigned long end = fake->va + SZ_64K;
	int ret;

	ret = fake_fault(fake, 0, 16, ODP_FAULT_WRITE);
	ST_CHECK(!ret, ret);
	fake->busy = true;
	ret = st_event(fake->va, end, MMU_NOTIFY_CLEAR, false);
	ST_CHECK(ret == -EAGAIN && fake->unmaps == 1, -EBADMSG);
	ST_CHECK(fake_rights(fake, 3) == ODP_ENTRY_FLAGS, -EBADMSG);
	ST_CHECK(st_stat(fake->region, mapped_pages) == 16, -EBADMSG);
	fake->busy = false;
	ret = st_event(fake->va, end, MMU_NOTIFY_CLEAR, false);
	ST_CHECK(!ret && fake->unmaps == 2 && !fake_rights(fake, 3), -EBADMSG);
	return 0;
}

/* A device that is busy, and an invalidation that may not wait for it */
static int test_nonblock(void)
{
	if (!st_has_events())
		return ST_SKIP;
	return fake_run_small(nonblock_check);
}

static int huge_check(struct fake *fake)
{
	int ret;

	ret = fake_fault(fake, 3, 1, 0);
	ST_CHECK(!ret, ret);
	if (!fake->huge)
		return ST_SKIP;
	ST_CHECK(fake->mapped == 1 && fake_rights(fake, 0) == ODP_ENTRY_READ,
		 -EBADMSG);
	ret = fake_fault(fake, 100, 200, 0);
	ST_CHECK(!ret && fake->maps == 1, -EBADMSG);
	ret = fake_fault(fake, 5, 1, ODP_FAULT_WRITE);
	ST_CHECK(!ret && fake->huge == 2 && fake->unmaps == 1, -EBADMSG);
	ST_CHECK(fake_rights(fake, 0) == ODP_ENTRY_FLAGS, -EBADMSG);
	ST_CHECK(st_stat(fake->region, mapped_pages) == 512, -EBADMSG);
	/* Some of it goes: it is one mapping, so all does */
	st_unmap(fake->va + 16 * PAGE_SIZE, PAGE_SIZE);
	ST_CHECK(fake->unmaps == 2 && xa_empty(&fake->pages), -EBADMSG);
	ST_CHECK(!st_stat(fake->region, mapped_pages), -EBADMSG);
	ret = fake_fault(fake, 17, 10, ODP_FAULT_WRITE);
	ST_CHECK(!ret && fake->huge == 2 && fake->mapped >= 12, -EBADMSG);
	ST_CHECK(fake_rights(fake, 26) == ODP_ENTRY_FLAGS, -EBADMSG);
	return 0;
}

static int test_huge(void)
{
	unsigned long va = st_map_aligned(ODP_LEAF_SIZE, ODP_LEAF_SIZE);
	struct fake fake;
	u64 word = 1;
	int ret;

	ret = fake_begin(&fake, va, ODP_LEAF_SIZE);
	if (!ret) {
		st_madvise(va, ODP_LEAF_SIZE, MADV_HUGEPAGE);
		if (copy_to_user((void __user *)va, &word, sizeof(word)))
			ret = -EFAULT;
	}
	if (!ret)
		ret = huge_check(&fake);
	if (ret != ST_SKIP)
		return fake_end(&fake, ODP_LEAF_SIZE, ret);
	return fake_end(&fake, ODP_LEAF_SIZE, 0) ?: ST_SKIP;
}

/* More than a leaf has room for by itself, some of it there before */
static int test_many(void)
{
	struct fake fake;
	int ret;

	ret = fake_begin_small(&fake, SZ_512K);
	if (!ret)
		ret = fake_fault(&fake, 40, 1, ODP_FAULT_WRITE);
	if (!ret)
		ret = fake_fault(&fake, 0, 128, ODP_FAULT_WRITE);
	if (!ret && (fake.mapped != 128 || fake.unmaps ||
		     st_stat(fake.region, mapped_pages) != 128)) {
		pr_info("# %d maps, %d mapped, %d unmaps\n", fake.maps,
			fake.mapped, fake.unmaps);
		ret = -EBADMSG;
	}
	return fake_end(&fake, SZ_512K, ret);
}

static int full_check(struct fake *fake)
{
	int ret;

	/* A while later there is memory */
	fake->full = 2;
	ret = fake_fault(fake, 0, 16, ODP_FAULT_WRITE);
	ST_CHECK(!ret && fake->maps == 3 && fake->mapped == 16, -EBADMSG);
	/* Who may not wait has it done by somebody else */
	fake->full = 1;
	ret = fake_fault(fake, 16, 4, ODP_FAULT_NOWAIT | ODP_FAULT_WRITE);
	ST_CHECK(ret == -EAGAIN && !fake_rights(fake, 16), -EBADMSG);
	/* There is none */
	fake->full = INT_MAX;
	ret = fake_fault(fake, 16, 4, ODP_FAULT_WRITE);
	ST_CHECK(ret == -ENOMEM && !fake_rights(fake, 16), -EBADMSG);
	fake->full = 0;
	ST_CHECK(st_stat(fake->region, mapped_pages) == 16, -EBADMSG);
	return 0;
}

/* A table that is full */
static int test_full(void)
{
	struct fake fake;
	int ret;

	ret = fake_begin_small(&fake, SZ_128K);
	if (!ret)
		ret = full_check(&fake);
	return fake_end(&fake, SZ_128K, ret);
}

/* Leaves that are not in use go, with what is in them */
static int test_unused(void)
{
	struct odp_space *space = NULL;
	unsigned int tries;
	struct fake fake;
	int ret;

	if (!st_has_shrink())
		return ST_SKIP;
	ret = fake_begin_small(&fake, SZ_64K);
	if (!ret)
		ret = fake_fault(&fake, 0, 16, ODP_FAULT_WRITE);
	ST_CHECK_GOTO(!ret, out);
	space = odp_space_get(fake.domain);
	odp_region_destroy(fake.region);
	fake.region = NULL;
	ST_CHECK_GOTO(fake_rights(&fake, 0) == ODP_ENTRY_FLAGS, out);
	for (tries = 0; tries < 10 && !xa_empty(&fake.pages); tries++) {
		st_shrink();
		msleep(20);
	}
	ST_CHECK_GOTO(xa_empty(&fake.pages) && fake.tables == 1, out);
out:
	if (!IS_ERR_OR_NULL(space))
		odp_space_put(space);
	return fake_end(&fake, SZ_64K, ret);
}

static int refused_check(struct fake *fake)
{
	struct odp_device_ops ops = fake_ops;
	struct odp_device device = { .dev = &fake->pdev->dev, .ops = &ops };
	struct odp_region *region;
	struct odp_domain *domain;

	ops.unmap = NULL;
	domain = odp_domain_create("fake", &device);
	ST_CHECK(domain == ERR_PTR(-EINVAL), -EBADMSG);
	ops = fake_ops;
	/* Memory that it cannot reach would be copied */
	if (dma_set_mask(device.dev, DMA_BIT_MASK(24)))
		return 0;
	domain = odp_domain_create("fake", &device);
	ST_CHECK(domain == ERR_PTR(-EOPNOTSUPP), -EBADMSG);
	if (dma_set_mask(device.dev, DMA_BIT_MASK(64)))
		return -EIO;
	if (fake_domain(fake))
		return -EBADMSG;
	region = odp_region_create_static(fake->domain, 0, SZ_4K, 0);
	ST_CHECK(region == ERR_PTR(-EOPNOTSUPP), -EBADMSG);
	return 0;
}

static int test_refused(void)
{
	struct fake fake;
	int ret;

	ret = fake_create(&fake);
	if (!ret)
		ret = refused_check(&fake);
	return fake_destroy(&fake, ret);
}

const struct st_case st_device_cases[] = {
	{ "device: mapped for reading, then for writing", test_map },
	{ "device: write protection", test_downgrade },
	{ "device: non-blockable", test_nonblock },
	{ "device: a huge page, and some of it goes", test_huge },
	{ "device: many pages", test_many },
	{ "device: a table that is full", test_full },
	{ "device: what nobody uses", test_unused },
	{ "device: what is refused", test_refused },
	{}
};
