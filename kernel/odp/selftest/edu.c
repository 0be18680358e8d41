// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * edu.c - odp_edu.ko: the core used by hardware, which is QEMU's "edu" device
 *
 * edu has a buffer of 4 KiB and an engine that copies between it and memory by
 * DMA, in 100 ms, and then sends an interrupt. The driver makes of it what a
 * network card would be: there is a page table for each process, filled by
 * map() and emptied by unmap(); a request that finds no entry there faults; and
 * unmap() waits for the DMA that uses one. /dev/odp_edu copies user memory
 * (edu.h), by two DMAs for every piece that lies in one page on each side.
 *
 * Behind an IOMMU a DMA to a page that was given back is a fault that the
 * kernel reports. QEMU looks up the address at the end of those 100 ms, so
 * nothing that is unmapped meanwhile goes unnoticed.
 *
 * Locks, outer ones first::
 *
 *   edu->engine_mutex   one user of the device; never held during a fault
 *   a leaf's mutex (around map() and unmap())
 *     edu->table_lock   tables, and what the engine is at
 */

#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <rdma/odp.h>

#include "edu.h"

#define EDU_VENDOR	0x1234
#define EDU_DEVICE	0x11e8

#define EDU_REG_ID		0x00
#define EDU_REG_IRQ_STATUS	0x24
#define EDU_REG_IRQ_ACK		0x64
#define EDU_REG_DMA_FROM	0x80
#define EDU_REG_DMA_TO		0x88
#define EDU_REG_DMA_COUNT	0x90
#define EDU_REG_DMA_COMMAND	0x98

#define EDU_ID			0x010000edU
#define EDU_IRQ_DMA		0x100
#define EDU_DMA_START		BIT(0)
#define EDU_DMA_TO_MEMORY	BIT(1)
#define EDU_DMA_IRQ		BIT(2)
/* Its buffer. Some versions refuse to fill it to the last byte */
#define EDU_BUFFER		0x40000
#define EDU_PIECE		SZ_2K

#define EDU_TIMEOUT		(20 * HZ)

/**
 * struct edu - the device
 * @pdev: on its bus
 * @regs: registers
 * @domain: of the core
 * @misc: /dev/odp_edu
 * @engine_mutex: @done; who has it uses registers and buffer
 * @done: a DMA has ended
 * @table_lock: tables, @busy_table, @busy_va and what is counted. It is held
 *	from the look at an entry until the DMA is announced, so unmap() finds
 *	the entry, or the DMA. Innermost; process context.
 * @busy_table: that the engine uses an entry of, NULL if none
 * @busy_va: page of that entry
 * @idle: for who waits for it
 * @dmas: begun; changes under @engine_mutex too
 * @waits: of unmap()
 * @refusals: of unmap()
 * @placed: entries whose place in 2 MiB is that of their page
 * @elsewhere: other entries
 */
struct edu {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct odp_domain *domain;
	struct miscdevice misc;
	/* See above */
	struct mutex engine_mutex;
	struct completion done;
	/* See above */
	spinlock_t table_lock;
	const struct edu_table *busy_table;
	u64 busy_va;
	wait_queue_head_t idle;
	u64 dmas;
	u64 waits;
	u64 refusals;
	u64 placed;
	u64 elsewhere;
};

/**
 * struct edu_table - the device's page table of a process
 * @edu: whose
 * @pages: entries by va >> PAGE_SHIFT, as values
 * @huge: those that stand for a leaf, by va >> ODP_LEAF_SHIFT
 * @nr_huge: of them
 */
struct edu_table {
	struct edu *edu;
	struct xarray pages;
	struct xarray huge;
	u64 nr_huge;
};

/**
 * struct edu_file - an open file
 * @edu: of the device
 * @regions: by id
 * @regions_lock: keeps one that was found until it has a reference
 * @reach: it has asked for ODP_EDU_REACH
 */
struct edu_file {
	struct edu *edu;
	struct xarray regions;
	/* See above */
	struct mutex regions_lock;
	bool reach;
};

/* --- what the core asks --- */

static void *edu_open_table(void *device)
{
	struct edu_table *table = kzalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);

	if (!table)
		return ERR_PTR(-ENOMEM);
	table->edu = device;
	xa_init_flags(&table->pages, XA_FLAGS_ACCOUNT);
	xa_init_flags(&table->huge, XA_FLAGS_ACCOUNT);
	return table;
}

static void edu_close_table(void *data)
{
	struct edu_table *table = data;

	WARN_ON(!xa_empty(&table->pages) || !xa_empty(&table->huge));
	xa_destroy(&table->pages);
	xa_destroy(&table->huge);
	kfree(table);
}

static struct xarray *edu_level(struct edu_table *table,
				const struct odp_batch *batch, u64 *index)
{
	*index = batch->va >> (PAGE_SHIFT + batch->order);
	return batch->order ? &table->huge : &table->pages;
}

/* Under table_lock: what the batch has, up to entry @nr, is not there */
static void edu_erase(struct edu_table *table, const struct odp_batch *batch,
		      unsigned int nr)
{
	struct xarray *level;
	unsigned int i;
	u64 index;

	level = edu_level(table, batch, &index);
	for (i = 0; i < nr; i++)
		if (batch->entries[i] && xa_erase(level, index + i))
			table->nr_huge -= !!batch->order;
}

static void edu_count_place(struct edu *edu, u64 va, unsigned long entry)
{
	if ((va ^ entry) & (ODP_LEAF_SIZE - 1) & PAGE_MASK)
		edu->elsewhere++;
	else
		edu->placed++;
}

static int edu_map(void *data, const struct odp_batch *batch)
{
	struct edu_table *table = data;
	struct edu *edu = table->edu;
	struct xarray *level;
	unsigned int i;
	int ret = 0;
	u64 index;

	level = edu_level(table, batch, &index);
	spin_lock(&edu->table_lock);
	for (i = 0; !ret && i < batch->nr; i++) {
		if (!batch->entries[i])
			continue;
		ret = xa_err(xa_store(level, index + i,
				      xa_mk_value(batch->entries[i]),
				      GFP_NOWAIT | __GFP_NOWARN));
		if (ret) {
			edu_erase(table, batch, i);
			continue;
		}
		table->nr_huge += !!batch->order;
		edu_count_place(edu, batch->va + i * PAGE_SIZE,
				batch->entries[i]);
	}
	spin_unlock(&edu->table_lock);
	return ret;
}

/* Under table_lock */
static bool edu_is_at(const struct edu *edu, const struct edu_table *table,
		      u64 va, u64 len)
{
	return edu->busy_table == table && edu->busy_va >= va &&
	       edu->busy_va < va + len;
}

static bool edu_is_past(struct edu *edu, const struct edu_table *table, u64 va,
			u64 len)
{
	bool past;

	spin_lock(&edu->table_lock);
	past = !edu_is_at(edu, table, va, len);
	spin_unlock(&edu->table_lock);
	return past;
}

static bool edu_unmap(void *data, const struct odp_batch *batch)
{
	u64 len = (u64)batch->nr << (PAGE_SHIFT + batch->order);
	struct edu_table *table = data;
	struct edu *edu = table->edu;
	bool busy;

	spin_lock(&edu->table_lock);
	busy = edu_is_at(edu, table, batch->va, len);
	if (busy && !batch->blockable) {
		edu->refusals++;
		spin_unlock(&edu->table_lock);
		return false;
	}
	edu->waits += busy;
	/* No DMA begins from here on */
	edu_erase(table, batch, batch->nr);
	spin_unlock(&edu->table_lock);
	if (busy)
		wait_event(edu->idle,
			   edu_is_past(edu, table, batch->va, len));
	return true;
}

static const struct odp_device_ops edu_ops = {
	.open = edu_open_table,
	.close = edu_close_table,
	.map = edu_map,
	.unmap = edu_unmap,
};

/* --- the engine --- */

/* Under table_lock: the DMA address of a byte; false: no entry allows it */
static bool edu_translate(struct edu_table *table, u64 va, bool write,
			  dma_addr_t *address)
{
	unsigned long need = ODP_ENTRY_READ | (write ? ODP_ENTRY_WRITE : 0);
	u64 size = PAGE_SIZE;
	void *value;

	value = xa_load(&table->pages, va >> PAGE_SHIFT);
	if (!value) {
		size = ODP_LEAF_SIZE;
		value = xa_load(&table->huge, va >> ODP_LEAF_SHIFT);
	}
	if (!value || (xa_to_value(value) & need) != need)
		return false;
	*address = (xa_to_value(value) & PAGE_MASK) + (va & (size - 1));
	return true;
}

static irqreturn_t edu_irq(int irq, void *data)
{
	struct edu *edu = data;
	u32 status = readl(edu->regs + EDU_REG_IRQ_STATUS);

	if (!status)
		return IRQ_NONE;
	writel(status, edu->regs + EDU_REG_IRQ_ACK);
	if (status & EDU_IRQ_DMA)
		complete(&edu->done);
	return IRQ_HANDLED;
}

static void edu_start(struct edu *edu, dma_addr_t address, u32 len, bool write)
{
	u64 command = EDU_DMA_START | EDU_DMA_IRQ;

	if (write)
		command |= EDU_DMA_TO_MEMORY;
	writeq(write ? EDU_BUFFER : address, edu->regs + EDU_REG_DMA_FROM);
	writeq(write ? address : EDU_BUFFER, edu->regs + EDU_REG_DMA_TO);
	writeq(len, edu->regs + EDU_REG_DMA_COUNT);
	writeq(command, edu->regs + EDU_REG_DMA_COMMAND);
}

/*
 * One DMA between the buffer and memory inside a page. Return 0; -EAGAIN
 * without an entry; -EIO.
 */
static int edu_dma(struct edu *edu, struct edu_table *table, u64 va, u32 len,
		   bool write)
{
	dma_addr_t address;
	int ret = 0;

	lockdep_assert_held(&edu->engine_mutex);
	reinit_completion(&edu->done);
	spin_lock(&edu->table_lock);
	if (!edu_translate(table, va, write, &address)) {
		spin_unlock(&edu->table_lock);
		return -EAGAIN;
	}
	edu->busy_table = table;
	edu->busy_va = va;
	edu->dmas++;
	spin_unlock(&edu->table_lock);
	edu_start(edu, address, len, write);
	/* Not interruptible: nothing else says when it is over */
	if (!wait_for_completion_timeout(&edu->done, EDU_TIMEOUT)) {
		dev_err(&edu->pdev->dev, "no interrupt\n");
		ret = -EIO;
	}
	spin_lock(&edu->table_lock);
	edu->busy_table = NULL;
	spin_unlock(&edu->table_lock);
	wake_up_all(&edu->idle);
	return ret;
}

/**
 * struct edu_side - one end of a copy
 * @file: with the region
 * @region: referenced
 * @id: of it
 * @va: next byte
 * @write: it is written
 */
struct edu_side {
	struct edu_file *file;
	struct odp_region *region;
	u32 id;
	u64 va;
	bool write;
};

static int edu_side_dma(struct edu *edu, struct edu_side *side, u32 len)
{
	int ret;

	/* What was mapped for it may be there still: see file_destroy() */
	if (xa_load(&side->file->regions, side->id) != side->region)
		return -ENOENT;
	ret = odp_region_check(side->region, side->va, len, side->write);
	if (ret)
		return ret;
	ret = edu_dma(edu, odp_region_table(side->region), side->va, len,
		      side->write);
	if (!ret)
		odp_region_touched(side->region, side->va, len);
	return ret;
}

/*
 * Both DMAs of a piece, or what is left of them: @filled is the number of the
 * first, and the last if nobody has had the buffer since. Else it begins anew.
 */
static int edu_try_piece(struct edu *edu, struct edu_side *src,
			 struct edu_side *dst, u32 len, u64 *filled,
			 struct edu_side **missed)
{
	int ret;

	lockdep_assert_held(&edu->engine_mutex);
	*missed = src;
	if (!*filled || *filled != edu->dmas) {
		ret = edu_side_dma(edu, src, len);
		if (ret)
			return ret;
		*filled = edu->dmas;
	}
	*missed = dst;
	return edu_side_dma(edu, dst, len);
}

/*
 * A piece, inside a page on each side. A miss interrupts it, and the fault is
 * made with nothing held.
 */
static int edu_piece(struct edu *edu, struct edu_side *src,
		     struct edu_side *dst, u32 len)
{
	struct edu_side *missed;
	u64 filled = 0;
	int ret;

	for (;;) {
		ret = mutex_lock_interruptible(&edu->engine_mutex);
		if (ret)
			return ret;
		ret = edu_try_piece(edu, src, dst, len, &filled, &missed);
		mutex_unlock(&edu->engine_mutex);
		if (ret != -EAGAIN)
			return ret;
		ret = odp_region_fault(missed->region, missed->va, len,
				       missed->write ? ODP_FAULT_WRITE : 0);
		if (ret && ret != -EAGAIN)
			return ret;
		if (signal_pending(current))
			return -EINTR;
	}
}

static u32 edu_piece_size(const struct edu_side *side, u32 len)
{
	return min_t(u32, len, PAGE_SIZE - (side->va & ~PAGE_MASK));
}

static int edu_copy(struct edu *edu, struct edu_side *src,
		    struct edu_side *dst, u32 len)
{
	u32 piece;
	int ret = 0;

	while (!ret && len) {
		piece = edu_piece_size(src, edu_piece_size(dst, len));
		piece = min_t(u32, piece, EDU_PIECE);
		ret = edu_piece(edu, src, dst, piece);
		src->va += piece;
		dst->va += piece;
		len -= piece;
	}
	return ret;
}

/* --- the file --- */

/* The region of an id, with a reference; NULL if there is none */
static struct odp_region *file_region(struct edu_file *file, u32 id)
{
	struct odp_region *region;

	mutex_lock(&file->regions_lock);
	region = xa_load(&file->regions, id);
	if (region)
		odp_region_get(region);
	mutex_unlock(&file->regions_lock);
	return region;
}

static long file_create(struct edu_file *file, void __user *arg)
{
	struct odp_edu_region ask;
	struct odp_region *region;
	u32 flags = 0;
	int ret;

	if (copy_from_user(&ask, arg, sizeof(ask)))
		return -EFAULT;
	if (ask.flags & ODP_EDU_WRITABLE)
		flags |= ODP_REGION_WRITABLE;
	if (ask.flags & ODP_EDU_IMPLICIT)
		flags |= ODP_REGION_IMPLICIT;
	region = odp_region_create(file->edu->domain, ask.va, ask.len, flags);
	if (IS_ERR(region))
		return PTR_ERR(region);
	ret = xa_alloc(&file->regions, &ask.id, region, xa_limit_16b,
		       GFP_KERNEL);
	if (!ret && !copy_to_user(arg, &ask, sizeof(ask)))
		return 0;
	if (!ret)
		xa_erase(&file->regions, ask.id);
	odp_region_destroy(region);
	return ret ? ret : -EFAULT;
}

/*
 * The engine may be at work for it. When that is over nothing begins any more:
 * whoever has the engine looks whether the region is in the array.
 */
static long file_destroy(struct edu_file *file, u32 id)
{
	struct odp_region *region;

	mutex_lock(&file->regions_lock);
	region = xa_erase(&file->regions, id);
	mutex_unlock(&file->regions_lock);
	if (!region)
		return -ENOENT;
	mutex_lock(&file->edu->engine_mutex);
	mutex_unlock(&file->edu->engine_mutex);
	odp_region_destroy(region);
	return 0;
}

static int side_open(struct edu_side *side, struct edu_file *file, u32 id,
		     u64 va, bool write)
{
	*side = (struct edu_side) {
		.file = file,
		.region = file_region(file, id),
		.id = id,
		.va = va,
		.write = write,
	};
	if (!side->region)
		return -ENOENT;
	/* Whose memory it is counts, not who has the file by now */
	return odp_region_is_callers(side->region) ? 0 : -EPERM;
}

static void side_close(struct edu_side *side)
{
	if (side->region)
		odp_region_put(side->region);
}

static long file_copy(struct edu_file *file, void __user *arg)
{
	struct edu_side src, dst;
	struct odp_edu_copy ask;
	int ret, ret2;

	if (copy_from_user(&ask, arg, sizeof(ask)))
		return -EFAULT;
	ret = side_open(&src, file, ask.src, ask.src_va, false);
	ret2 = side_open(&dst, file, ask.dst, ask.dst_va, true);
	ret = ret ? ret : ret2;
	if (!ret)
		ret = edu_copy(file->edu, &src, &dst, ask.len);
	side_close(&src);
	side_close(&dst);
	return ret;
}

static long file_map(struct edu_file *file, void __user *arg)
{
	struct odp_region *region;
	struct odp_edu_map ask;
	long ret;

	if (copy_from_user(&ask, arg, sizeof(ask)))
		return -EFAULT;
	region = file_region(file, ask.id);
	if (!region)
		return -ENOENT;
	ret = odp_region_fault(region, ask.va, ask.len,
			       ask.write ? ODP_FAULT_WRITE : 0);
	odp_region_put(region);
	return ret;
}

static long file_stats(struct edu_file *file, void __user *arg)
{
	struct edu *edu = file->edu;
	struct odp_region *region;
	struct odp_edu_stats ask;
	struct odp_stats stats;
	struct edu_table *table;

	if (copy_from_user(&ask, arg, sizeof(ask)))
		return -EFAULT;
	region = file_region(file, ask.id);
	if (!region)
		return -ENOENT;
	odp_region_stats(region, &stats);
	table = odp_region_table(region);
	ask.mapped_pages = stats.mapped_pages;
	ask.faults = stats.faults;
	spin_lock(&edu->table_lock);
	ask.huge = table->nr_huge;
	ask.dmas = edu->dmas;
	ask.waits = edu->waits;
	ask.refusals = edu->refusals;
	ask.placed = edu->placed;
	ask.elsewhere = edu->elsewhere;
	spin_unlock(&edu->table_lock);
	odp_region_put(region);
	ask.iommu = device_iommu_mapped(&edu->pdev->dev);
	return copy_to_user(arg, &ask, sizeof(ask)) ? -EFAULT : 0;
}

/* What is mapped already stays. The core has looked at the mask before */
static long file_reach(struct edu_file *file, u32 bits)
{
	struct device *dev = &file->edu->pdev->dev;

	if (!device_iommu_mapped(dev))
		return -EOPNOTSUPP;
	if (bits < ODP_LEAF_SHIFT || bits > 64)
		return -EINVAL;
	file->reach = true;
	return dma_set_mask(dev, DMA_BIT_MASK(bits));
}

static long edu_ioctl(struct file *filp, unsigned int cmd, unsigned long data)
{
	struct edu_file *file = filp->private_data;
	void __user *arg = (void __user *)data;
	u32 id;

	switch (cmd) {
	case ODP_EDU_REGION:
		return file_create(file, arg);
	case ODP_EDU_DESTROY:
		if (get_user(id, (u32 __user *)arg))
			return -EFAULT;
		return file_destroy(file, id);
	case ODP_EDU_COPY:
		return file_copy(file, arg);
	case ODP_EDU_MAP:
		return file_map(file, arg);
	case ODP_EDU_STATS:
		return file_stats(file, arg);
	case ODP_EDU_REACH:
		if (get_user(id, (u32 __user *)arg))
			return -EFAULT;
		return file_reach(file, id);
	}
	return -ENOTTY;
}

static int edu_open(struct inode *inode, struct file *filp)
{
	struct edu_file *file = kzalloc(sizeof(*file), GFP_KERNEL);

	if (!file)
		return -ENOMEM;
	/* misc_open() has left the miscdevice there */
	file->edu = container_of(filp->private_data, struct edu, misc);
	xa_init_flags(&file->regions, XA_FLAGS_ALLOC);
	mutex_init(&file->regions_lock);
	filp->private_data = file;
	return 0;
}

static int edu_release(struct inode *inode, struct file *filp)
{
	struct edu_file *file = filp->private_data;
	struct odp_region *region;
	unsigned long id;

	/* No ioctl is in there any more */
	xa_for_each(&file->regions, id, region)
		odp_region_destroy(region);
	xa_destroy(&file->regions);
	if (file->reach)
		file_reach(file, 64);
	kfree(file);
	return 0;
}

static const struct file_operations edu_fops = {
	.owner = THIS_MODULE,
	.open = edu_open,
	.release = edu_release,
	.unlocked_ioctl = edu_ioctl,
};

/* --- the device --- */

static int edu_create_domain(struct edu *edu)
{
	struct odp_device device = {
		.dev = &edu->pdev->dev,
		.ops = &edu_ops,
		.priv = edu,
	};
	struct odp_domain *domain = odp_domain_create("edu", &device);

	if (IS_ERR(domain))
		return PTR_ERR(domain);
	edu->domain = domain;
	return 0;
}

static int edu_start_device(struct edu *edu)
{
	struct pci_dev *pdev = edu->pdev;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	edu->regs = pcim_iomap(pdev, 0, 0);
	if (!edu->regs)
		return -ENOMEM;
	if (readl(edu->regs + EDU_REG_ID) != EDU_ID)
		return -ENODEV;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	pci_set_master(pdev);
	return pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_ALL_TYPES) < 0 ?
	       -ENOSPC : 0;
}

static struct edu *edu_alloc(struct pci_dev *pdev)
{
	struct edu *edu = devm_kzalloc(&pdev->dev, sizeof(*edu), GFP_KERNEL);

	if (!edu)
		return NULL;
	edu->pdev = pdev;
	mutex_init(&edu->engine_mutex);
	spin_lock_init(&edu->table_lock);
	init_completion(&edu->done);
	init_waitqueue_head(&edu->idle);
	edu->misc.minor = MISC_DYNAMIC_MINOR;
	edu->misc.name = "odp_edu";
	edu->misc.fops = &edu_fops;
	edu->misc.parent = &pdev->dev;
	pci_set_drvdata(pdev, edu);
	return edu;
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu *edu = edu_alloc(pdev);
	int ret;

	if (!edu)
		return -ENOMEM;
	ret = edu_start_device(edu);
	if (ret)
		return ret;
	ret = request_irq(pci_irq_vector(pdev, 0), edu_irq, IRQF_SHARED,
			  "odp_edu", edu);
	if (ret)
		goto err_vectors;
	ret = edu_create_domain(edu);
	if (ret)
		goto err_irq;
	ret = misc_register(&edu->misc);
	if (ret)
		goto err_domain;
	dev_info(&pdev->dev, "edu is there, %s an IOMMU\n",
		 device_iommu_mapped(&pdev->dev) ? "behind" : "without");
	return 0;

err_domain:
	odp_domain_destroy(edu->domain);
err_irq:
	free_irq(pci_irq_vector(pdev, 0), edu);
err_vectors:
	pci_free_irq_vectors(pdev);
	return ret;
}

/* The module is in use while a file is open, so nobody uses the device */
static void edu_remove(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	misc_deregister(&edu->misc);
	odp_domain_destroy(edu->domain);
	free_irq(pci_irq_vector(pdev, 0), edu);
	pci_free_irq_vectors(pdev);
	pci_clear_master(pdev);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(EDU_VENDOR, EDU_DEVICE) },
	{}
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = "odp_edu",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
	/* By sysfs it could go while a file is open */
	.driver.suppress_bind_attrs = true,
};

module_pci_driver(edu_driver);
MODULE_DESCRIPTION("On-demand paging for QEMU's edu device");
MODULE_LICENSE("Dual BSD/GPL");
