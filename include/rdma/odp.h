/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * odp.h - regions of user memory that a device may page on demand
 *
 * The ODP core (rdma_odp.ko) keeps, for a driver, a software page table over
 * part or all of a process's address space and keeps it in step with the
 * CPU's. It knows addresses and pages only.
 *
 * Vocabulary
 *   domain   what the regions of one device share: counters, fault model
 *   space    the shadow of one mm for one domain: what the device may touch
 *   region   a window on a space, explicit or implicit: bounds, rights,
 *            counters. Or a list of pages that do not move ("static": pinned
 *            user memory, kernel memory), with a space of its own
 *   child    an aligned 1 GiB span of a space, with one interval_sub
 *   leaf     an aligned 2 MiB span: up to 512 entries, or one huge one
 *   entry    a page the device may touch now, readable or writable
 *   access   while a CPU has one to a leaf, no page under a valid entry of the
 *            leaf goes away
 *
 * Two kinds of devices
 *   software  the CPU is the device: odp_copy(), odp_atomic(), odp_access_*().
 *             Entries are physical addresses, and nobody sees them.
 *   hardware  entries are DMA addresses, which the driver gets by
 *             struct odp_device_ops and writes into the device's own page
 *             table. The functions that copy are not for it.
 *
 * What a driver may hold, and where it may be
 *   creating, destroying, faulting, prefetching, references put: it may sleep;
 *             no mmap_lock, no access, no lock that its map() or unmap() takes,
 *             and not in these. odp_region_put() and odp_region_get() anywhere
 *             but there.
 *   copying, odp_region_check(), odp_region_touched(): any lock; never sleeps
 *   map(), unmap(): see struct odp_device_ops
 * Each function has it in more detail where it is defined, under "Context".
 */
#ifndef RDMA_ODP_H
#define RDMA_ODP_H

#include <linux/bits.h>
#include <linux/types.h>
#include <linux/atomic.h>
#include <linux/workqueue.h>

struct device;
struct odp_domain;
struct odp_space;
struct odp_region;
struct odp_leaf;
struct odp_mm;

#define ODP_LEAF_SHIFT		21
#define ODP_LEAF_SIZE		(1UL << ODP_LEAF_SHIFT)
#define ODP_CHILD_SHIFT	30
#define ODP_CHILD_SIZE		(1UL << ODP_CHILD_SHIFT)
#define ODP_LEAF_ORDER		(ODP_LEAF_SHIFT - PAGE_SHIFT)

/* An entry is an address, of a whole page, and what the device may do there */
#define ODP_ENTRY_READ		BIT(0)
#define ODP_ENTRY_WRITE		BIT(1)
#define ODP_ENTRY_FLAGS		(ODP_ENTRY_READ | ODP_ENTRY_WRITE)

/*
 * What a fault, a copy or an access may be asked to do.
 *
 * NOWAIT does not sleep on I/O, on a lock that is held across I/O, on an
 * invalidation of somebody else, or to reclaim for tables of its own, and it
 * allocates no memory for a process other than the current one: then it gives
 * -EAGAIN, and somebody who may wait has to do it. To fill in a page of the
 * current process it may do what the process would do if it touched the page:
 * clear it, and reclaim for it.
 */
enum odp_fault_flags {
	ODP_FAULT_WRITE	= 1 << 0, /* the device is going to write */
	ODP_FAULT_NOWAIT	= 1 << 1, /* -EAGAIN rather than wait */
	ODP_FAULT_PREFETCH	= 1 << 2, /* count as prefetch, no fault-around */
	ODP_FAULT_SNAPSHOT	= 1 << 3, /* map what is present, fault nothing */
	ODP_FAULT_BRIEF	= 1 << 4, /* what can be had within some ms */
};

enum odp_region_flags {
	ODP_REGION_WRITABLE	= 1 << 0, /* faults for write are allowed */
	ODP_REGION_IMPLICIT	= 1 << 1, /* reported as implicit */
};

/*
 * Fault latency histogram: bucket i counts faults of [2^i, 2^(i+1)) us, the
 * first all shorter ones too, the last all longer ones.
 */
#define ODP_FAULT_BUCKETS	24

/**
 * struct odp_stats - counters of a region, or of a domain
 * @faults: times the device missed an entry and went to the mm
 * @faults_read: of these, for reading
 * @faults_write: of these, for writing
 * @faults_failed: of these, that ended in an error for the device
 * @faults_handed_over: times a no-wait fault had to go to a worker
 * @fault_pages: 4 KiB pages that faults mapped, fault-around included
 * @fault_huge: huge entries that faults mapped
 * @invalidations: notifier events that found something mapped; one counts in
 *	each region that had some of it, and once in the domain
 * @invalidated_pages: 4 KiB pages that these unmapped or downgraded, likewise
 * @prefetches: prefetch requests carried out
 * @prefetch_pages: 4 KiB pages they mapped
 * @collisions: commits given up because an invalidation came first
 * @mapped_pages: 4 KiB pages mapped now; of a region: inside its bounds
 */
struct odp_stats {
	u64 faults;
	u64 faults_read;
	u64 faults_write;
	u64 faults_failed;
	u64 faults_handed_over;
	u64 fault_pages;
	u64 fault_huge;
	u64 invalidations;
	u64 invalidated_pages;
	u64 prefetches;
	u64 prefetch_pages;
	u64 collisions;
	u64 mapped_pages;
};

/**
 * struct odp_fault_model - delay added to every fault, to mimic a NIC
 * @fixed_ns: per fault
 * @per_page_ns: per 4 KiB page that the fault maps
 * @jitter_ns: uniformly random, 0 to this
 *
 * With any of them set, faults under ODP_FAULT_NOWAIT give -EAGAIN.
 */
struct odp_fault_model {
	u32 fixed_ns;
	u32 per_page_ns;
	u32 jitter_ns;
};

/**
 * struct odp_batch - entries of one leaf that a device gets, or loses
 * @va: first byte of the first page
 * @nr: entries, one for each page of @order
 * @order: of all of these pages: 0, or ODP_LEAF_ORDER, and then @nr is 1, @va
 *	and the DMA address are multiples of ODP_LEAF_SIZE
 * @entries: @nr of them, a DMA address and ODP_ENTRY_* each. 0: nothing is
 *	said about that page
 * @blockable: (unmap) may wait
 */
struct odp_batch {
	u64 va;
	unsigned int nr;
	unsigned int order;
	const unsigned long *entries;
	bool blockable;
};

/**
 * struct odp_device_ops - what the driver of a device does for the core
 *
 * The driver keeps a table for each process that uses the domain; what it
 * makes of the entries is its own affair. An entry does not change: it is
 * mapped once, with the rights it has, and unmapped once, and what is mapped
 * had no entry before.
 *
 * @map and @unmap are called with a mutex held that belongs to the leaf: never
 * two at a time for the same leaf, but any number for different ones. Reclaim
 * waits for that mutex. So neither may take mmap_lock, fault, allocate with
 * reclaim, call the core, or wait for anybody who may be doing such a thing; a
 * lock that is taken in there is never held elsewhere while doing so. They may
 * sleep, to wait for the device.
 *
 * @open: a process begins to use the domain: make a table. What it is given is
 *	the priv of struct odp_device. It may sleep, and allocate; what it
 *	allocates with __GFP_ACCOUNT is charged to the owner of the memory, as
 *	in @map. It returns the table, or an ERR_PTR(), which
 *	odp_region_create() and odp_space_get() then give to their caller.
 * @close: nobody uses it any more, all that was mapped has been unmapped. It
 *	may sleep.
 * @map: the device may use these entries from now on. GFP_NOWAIT, as above. It
 *	returns 0; or -errno, and then none of them is in use: the fault is
 *	tried again for a while (a second), and ends with -ENOMEM.
 * @unmap: the device loses these, and does not touch them any more when it is
 *	over: nothing new begins, what was begun has ended, nothing is left in
 *	a TLB of the device's own (an IOMMU's is the core's affair). For this
 *	a DMA has to come to an end whatever happens to anybody's memory. It
 *	is called as above, mostly in a callback of an mmu_notifier, perhaps
 *	in reclaim; it does not sleep unless the batch is blockable. It returns
 *	true; or false if it would have to sleep and may not, and then nothing
 *	has changed.
 */
struct odp_device_ops {
	void *(*open)(void *device);
	void (*close)(void *table);
	int (*map)(void *table, const struct odp_batch *batch);
	bool (*unmap)(void *table, const struct odp_batch *batch);
};

/**
 * struct odp_device - the device of a domain of hardware
 * @dev: does DMA; its mask is set, and it is coherent
 * @ops: of its driver, all of them
 * @priv: what @ops->open is given
 */
struct odp_device {
	struct device *dev;
	const struct odp_device_ops *ops;
	void *priv;
};

struct odp_domain *odp_domain_create(const char *name,
				     const struct odp_device *device);
void odp_domain_destroy(struct odp_domain *domain);
void odp_domain_stats(struct odp_domain *domain, struct odp_stats *stats);
u64 odp_domain_fault_bucket(struct odp_domain *domain, unsigned int i);
void odp_domain_set_fault_model(struct odp_domain *domain,
				const struct odp_fault_model *model);
void odp_domain_get_fault_model(struct odp_domain *domain,
				struct odp_fault_model *model);

struct odp_space *odp_space_get(struct odp_domain *domain);
void odp_space_put(struct odp_space *space);
void odp_space_closed(struct odp_space *space);
void odp_spaces_wait(void);

struct odp_region *odp_region_create(struct odp_domain *domain, u64 start,
				     u64 length, u32 flags);
struct odp_region *odp_region_create_static(struct odp_domain *domain,
					    u64 start, u64 length, u32 flags);
int odp_region_add_pages(struct odp_region *region, u64 va,
			 unsigned long pfn, unsigned long nr_pages);
void odp_region_get(struct odp_region *region);
void odp_region_put(struct odp_region *region);
void odp_region_destroy(struct odp_region *region);
void odp_region_stats(struct odp_region *region, struct odp_stats *stats);
void odp_region_set_name(struct odp_region *region, u32 name);
u32 odp_region_name(const struct odp_region *region);
bool odp_region_is_odp(const struct odp_region *region);
bool odp_region_is_implicit(const struct odp_region *region);
bool odp_region_is_callers(const struct odp_region *region);
int odp_region_check(const struct odp_region *region, u64 va, u64 len,
		     bool write);
void *odp_region_table(const struct odp_region *region);
void odp_region_touched(struct odp_region *region, u64 va, u64 len);

int odp_region_fault(struct odp_region *region, u64 va, u64 len, u32 flags);

/**
 * struct odp_work - what a worker of some process is to do
 * @work: for the workqueue
 * @node: among those that wait to be given to it
 * @omm: whose; set while it is queued or runs
 * @run: does it
 */
struct odp_work {
	struct work_struct work;
	struct list_head node;
	struct odp_mm *omm;
	void (*run)(struct odp_work *work);
};

void odp_work_init(struct odp_work *work, void (*run)(struct odp_work *work));
void odp_region_queue_work(struct odp_region *region, struct odp_work *work);
bool odp_region_cancel_work(struct odp_region *region, struct odp_work *work);

enum odp_advice {
	ODP_ADVICE_PREFETCH,		/* for reading */
	ODP_ADVICE_PREFETCH_WRITE,
	ODP_ADVICE_NO_FAULT,
};

int odp_region_prefetch(struct odp_region *region, u64 va, u64 len,
			enum odp_advice advice, bool flush);

/**
 * struct odp_access - an access in flight to part of one leaf
 * @leaf: which, NULL when none
 * @slot: of the CPU, which is ours until the access ends
 * @va: first byte
 * @len: bytes, all inside the leaf and all under valid entries
 */
struct odp_access {
	struct odp_leaf *leaf;
	unsigned int slot;
	u64 va;
	size_t len;
};

int odp_access_begin(struct odp_region *region, u64 va, size_t len,
		     bool write, struct odp_access *access);
void odp_access_end(struct odp_access *access);
void *odp_access_map(struct odp_access *access, u64 va, size_t *run);

/**
 * struct odp_miss - where a copy stopped
 * @region: the region that has no entry there
 * @va: first byte missing
 * @len: bytes that the operation still needs from there
 * @flags: ODP_FAULT_WRITE or 0, to give to odp_region_fault()
 */
struct odp_miss {
	struct odp_region *region;
	u64 va;
	u64 len;
	u32 flags;
};

int odp_copy(struct odp_region *dst, u64 dst_va, struct odp_region *src,
	     u64 src_va, u64 len, u64 *done, struct odp_miss *miss);
int odp_copy_in(struct odp_region *dst, u64 dst_va, const void *src,
		u64 len, u64 *done, struct odp_miss *miss);
int odp_copy_out(void *dst, struct odp_region *src, u64 src_va, u64 len,
		 u64 *done, struct odp_miss *miss);

enum odp_atomic_op {
	ODP_ATOMIC_CAS,
	ODP_ATOMIC_FAA,
	ODP_ATOMIC_STORE,
};

int odp_atomic(struct odp_region *region, u64 va, enum odp_atomic_op op,
	       u64 operand, u64 compare, u64 *old, struct odp_miss *miss);

#endif /* RDMA_ODP_H */
