/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * odp_umem.h - regions of user memory that a device may page on demand
 *
 * The ODP core (rdma_odp.ko) keeps, for a driver, a software page table over
 * part or all of a process's address space and keeps it in step with the
 * CPU's. It knows addresses and pages only.
 *
 * Vocabulary
 *   domain   what the regions of one device share: counters, fault model
 *   region   a range of one mm, explicit or implicit; or a list of pages
 *            that do not move ("static": pinned user memory, kernel memory)
 *   pool     the workers that wait for the pages of one mm: some of those
 *            that its user has
 *   child    an aligned 1 GiB span of a region, with one interval_sub
 *   leaf     an aligned 2 MiB span: 512 entries, or one huge one
 *   entry    a page the device may touch now, readable or writable
 *   access   a reference on a leaf; while it is held no page under a valid
 *            entry goes away
 */
#ifndef RDMA_ODP_UMEM_H
#define RDMA_ODP_UMEM_H

#include <linux/types.h>
#include <linux/atomic.h>
#include <linux/workqueue.h>

struct sodp_domain;
struct sodp_region;
struct sodp_leaf;
struct sodp_pool;
struct seq_file;

#define SODP_LEAF_SHIFT		21
#define SODP_LEAF_SIZE		(1UL << SODP_LEAF_SHIFT)
#define SODP_CHILD_SHIFT	30
#define SODP_CHILD_SIZE		(1UL << SODP_CHILD_SHIFT)

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
enum sodp_fault_flags {
	SODP_FAULT_WRITE	= 1 << 0, /* the device is going to write */
	SODP_FAULT_NOWAIT	= 1 << 1, /* -EAGAIN rather than wait */
	SODP_FAULT_PREFETCH	= 1 << 2, /* count as prefetch, no fault-around */
	SODP_FAULT_SNAPSHOT	= 1 << 3, /* map what is present, fault nothing */
	SODP_FAULT_BRIEF	= 1 << 4, /* what can be had within some ms */
};

enum sodp_region_flags {
	SODP_REGION_WRITABLE	= 1 << 0, /* faults for write are allowed */
	SODP_REGION_IMPLICIT	= 1 << 1, /* reported as implicit */
};

/*
 * Fault latency histogram: bucket i counts faults of [2^i, 2^(i+1)) us, the
 * first all shorter ones too, the last all longer ones.
 */
#define SODP_FAULT_BUCKETS	24

/**
 * struct sodp_odp_stats - counters of a region, or summed over a domain
 * @faults: times the device missed an entry and went to the mm
 * @faults_read: of these, for reading
 * @faults_write: of these, for writing
 * @faults_failed: of these, that ended in an error for the device
 * @faults_handed_over: times a no-wait fault had to go to a worker
 * @fault_pages: 4 KiB pages that faults mapped, fault-around included
 * @fault_huge: huge entries that faults mapped
 * @invalidations: notifier events that found something mapped
 * @invalidated_pages: 4 KiB pages that these unmapped or downgraded
 * @prefetches: prefetch requests carried out
 * @prefetch_pages: 4 KiB pages they mapped
 * @collisions: commits given up because an invalidation came first
 * @mapped_pages: 4 KiB pages mapped now
 */
struct sodp_odp_stats {
	atomic64_t faults;
	atomic64_t faults_read;
	atomic64_t faults_write;
	atomic64_t faults_failed;
	atomic64_t faults_handed_over;
	atomic64_t fault_pages;
	atomic64_t fault_huge;
	atomic64_t invalidations;
	atomic64_t invalidated_pages;
	atomic64_t prefetches;
	atomic64_t prefetch_pages;
	atomic64_t collisions;
	atomic64_t mapped_pages;
};

/**
 * struct sodp_fault_model - delay added to every fault, to mimic a NIC
 * @fixed_ns: per fault
 * @per_page_ns: per 4 KiB page that the fault maps
 * @jitter_ns: uniformly random, 0 to this
 *
 * With any of them set, faults under SODP_FAULT_NOWAIT give -EAGAIN.
 */
struct sodp_fault_model {
	u32 fixed_ns;
	u32 per_page_ns;
	u32 jitter_ns;
};

struct sodp_domain *sodp_domain_create(const char *name);
void sodp_domain_destroy(struct sodp_domain *domain);
const struct sodp_odp_stats *sodp_domain_stats(struct sodp_domain *domain);
u64 sodp_domain_fault_bucket(struct sodp_domain *domain, unsigned int i);
void sodp_domain_set_fault_model(struct sodp_domain *domain,
				 const struct sodp_fault_model *model);
void sodp_domain_get_fault_model(struct sodp_domain *domain,
				 struct sodp_fault_model *model);

struct sodp_region *sodp_region_create(struct sodp_domain *domain, u64 start,
				       u64 length, u32 flags);
struct sodp_region *sodp_region_create_static(struct sodp_domain *domain,
					      u64 start, u64 length, u32 flags);
int sodp_region_add_pages(struct sodp_region *region, u64 va,
			  unsigned long pfn, unsigned long nr_pages);
void sodp_region_get(struct sodp_region *region);
void sodp_region_put(struct sodp_region *region);
void sodp_region_destroy(struct sodp_region *region);
const struct sodp_odp_stats *sodp_region_stats(struct sodp_region *region);
bool sodp_region_is_odp(const struct sodp_region *region);
bool sodp_region_is_implicit(const struct sodp_region *region);
bool sodp_region_is_callers(const struct sodp_region *region);

int sodp_region_fault(struct sodp_region *region, u64 va, u64 len, u32 flags);

/**
 * struct sodp_pool_work - what a worker of some process is to do
 * @work: for the workqueue
 * @node: among those that wait to be given to it
 * @pool: whose; set while it is queued or runs
 * @run: does it
 */
struct sodp_pool_work {
	struct work_struct work;
	struct list_head node;
	struct sodp_pool *pool;
	void (*run)(struct sodp_pool_work *work);
};

void sodp_pool_work_init(struct sodp_pool_work *work,
			 void (*run)(struct sodp_pool_work *work));
void sodp_region_queue_work(struct sodp_region *region,
			    struct sodp_pool_work *work);
bool sodp_region_cancel_work(struct sodp_region *region,
			     struct sodp_pool_work *work);

struct sodp_pool *sodp_pool_get(void);
void sodp_pool_put(struct sodp_pool *pool);
void sodp_pool_closed(struct sodp_pool *pool);
void sodp_pools_wait(void);

enum sodp_advice {
	SODP_ADVICE_PREFETCH,		/* for reading */
	SODP_ADVICE_PREFETCH_WRITE,
	SODP_ADVICE_NO_FAULT,
};

int sodp_region_prefetch(struct sodp_region *region, u64 va, u64 len,
			 enum sodp_advice advice, bool flush);

/**
 * struct sodp_access - an access in flight to part of one leaf
 * @leaf: the leaf referenced, NULL when none
 * @va: first byte
 * @len: bytes, all inside the leaf and all under valid entries
 */
struct sodp_access {
	struct sodp_leaf *leaf;
	u64 va;
	size_t len;
};

int sodp_access_begin(struct sodp_region *region, u64 va, size_t len,
		      bool write, struct sodp_access *access);
void sodp_access_end(struct sodp_access *access);
void *sodp_access_map(struct sodp_access *access, u64 va, size_t *run);
void sodp_access_unmap(void *addr);

/**
 * struct sodp_miss - where a copy stopped
 * @region: the region that has no entry there
 * @va: first byte missing
 * @len: bytes that the operation still needs from there
 * @flags: SODP_FAULT_WRITE or 0, to give to sodp_region_fault()
 */
struct sodp_miss {
	struct sodp_region *region;
	u64 va;
	u64 len;
	u32 flags;
};

int sodp_copy(struct sodp_region *dst, u64 dst_va, struct sodp_region *src,
	      u64 src_va, u64 len, u64 *done, struct sodp_miss *miss);
int sodp_copy_in(struct sodp_region *dst, u64 dst_va, const void *src,
		 u64 len, u64 *done, struct sodp_miss *miss);
int sodp_copy_out(void *dst, struct sodp_region *src, u64 src_va, u64 len,
		  u64 *done, struct sodp_miss *miss);

enum sodp_atomic_op {
	SODP_ATOMIC_CAS,
	SODP_ATOMIC_FAA,
	SODP_ATOMIC_STORE,
};

int sodp_atomic(struct sodp_region *region, u64 va, enum sodp_atomic_op op,
		u64 operand, u64 compare, u64 *old, struct sodp_miss *miss);

#endif /* RDMA_ODP_UMEM_H */
