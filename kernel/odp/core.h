/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * core.h - what the files of rdma_odp.ko share
 *
 * odp.h has the vocabulary. One name, one thing: interval_sub is always the
 * subscription to the mm's notifiers that a child owns.
 */
#ifndef ODP_CORE_H
#define ODP_CORE_H

#include <linux/bits.h>
#include <linux/lockdep.h>
#include <linux/hash.h>
#include <linux/interval_tree.h>
#include <linux/io.h>
#include <linux/memcontrol.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <rdma/odp.h>

#include "../compat/compat.h"
#include "../compat/compat_dma.h"

/* Entries are one word, and all memory is in the kernel's direct map */
#ifndef CONFIG_64BIT
#error "sodp needs a 64-bit kernel"
#endif

/**
 * DOC: Locking
 *
 * Outer locks first; nothing is ever taken in the other direction::
 *
 *   mmap_lock (read; never held when a leaf_mutex is taken by a fault)
 *     page, i_mmap and anon_vma locks of whoever invalidates
 *       leaf->leaf_mutex
 *         accessor (a lockdep map: the wait for accesses in flight)
 *         locks of a driver's map() and unmap()
 *         locks of folio_mark_dirty(), xa_lock of leaves and children
 *       omm->inval_lock, space->regions_lock (nothing below them)
 *
 * leaf_mutex is taken by the invalidate callback, which reclaim may call:
 * under it nobody allocates with reclaim, takes mmap_lock, or faults. Pages are
 * mapped for DMA and unmapped under it: the DMA API neither sleeps nor reclaims.
 *
 * An access is a leaf in a slot of the CPU that touches its pages, with
 * preemption off: access.h. It is not a lock, but who has one keeps an
 * invalidation, and so perhaps reclaim, waiting. Lockdep is taught at module
 * load (lockdep_teach()) what must not be done meanwhile, with the map that
 * both sides acquire. An access never waits, it backs off with -EAGAIN.
 *
 * Lifetimes::
 *
 *   domain  refs: the driver's, and one of each space.
 *   omm     (what the spaces of one mm share) refs: one of each space, and one
 *           of each work from when it is queued until it has ended. The last
 *           one leaves the rest to odp_release_wq: with the last omm of a user
 *           goes his workqueue, which waits for its workers.
 *   space   refs: the driver's, by odp_space_get(), and one of each region.
 *           The last one takes leaves and children away. A static region's
 *           has no other reference.
 *   region  refs: the driver's, by odp_region_get() and odp_region_put(),
 *           and one of each queued prefetch.
 *           busy: who works in it; destroy waits for them. A fault leaves it
 *           before it calls handle_mm_fault(), which may wait for a page
 *           for ever (userfaultfd, FUSE), and for one that is served by the
 *           very process whose exit called odp_region_destroy().
 *   child   refs: one of each of its leaves, one of each fault creating a
 *           leaf. The last one destroys it, from a workqueue, never from
 *           a notifier callback.
 *   leaf    refs: one of space->leaves, one of each fault, invalidation or
 *           collection using it. Freed by RCU. LEAF_DEAD is set, under
 *           leaf_mutex, when it leaves space->leaves. It outlives the regions
 *           that it was made for: see space.c.
 */

#define ODP_LEAF_PAGES		(1U << (ODP_LEAF_SHIFT - PAGE_SHIFT))
#define ODP_CHILD_LEAVES	(1U << (ODP_CHILD_SHIFT - ODP_LEAF_SHIFT))

/* leaf->state */
#define LEAF_ZAPPING		BIT(0)	/* an invalidation waits or zaps */
#define LEAF_DEAD		BIT(1)	/* unlinked */
#define LEAF_DEVICE		BIT(2)	/* entries are no addresses for a CPU */

/* leaf->table: it has LEAF_SMALL_PAGES entries only, and is leaf->small */
#define LEAF_TABLE_SMALL	BIT(0)
#define LEAF_SMALL_PAGES	16U

/* Leaves that may be empty, for the collector */
#define LEAF_MARK_EMPTY		XA_MARK_0

/* What one bit of leaf->young stands for */
#define LEAF_YOUNG_SHIFT	(ODP_LEAF_SHIFT - 5)
#define LEAF_YOUNG_PAGES	(1U << (LEAF_YOUNG_SHIFT - PAGE_SHIFT))

/* region->busy: a count of who works in it, and this */
#define REGION_DYING		BIT(30)
#define REGION_COUNT		(REGION_DYING - 1)

/* A leaf emptied this long ago may be freed: zap and refault do not churn */
#define ODP_GC_DELAY		msecs_to_jiffies(200)

struct odp_fault;
struct odp_user;

/* Of a domain's name, the end included */
#define ODP_NAME_MAX		64

/**
 * struct odp_domain - what the regions of one device share
 * @stats: counters, one set per CPU
 * @device: what was given for hardware; its dev is NULL for a software device
 * @spaces: those that are not gone yet
 * @fault_buckets: histogram
 * @fault_model: delays
 * @refs: see DOC: Locking
 * @name: for messages
 */
struct odp_domain {
	struct odp_stats __percpu *stats;
	struct odp_device device;
	atomic_t spaces;
	atomic64_t fault_buckets[ODP_FAULT_BUCKETS];
	/*
	 * Read without a lock by faults (READ_ONCE, pairs with WRITE_ONCE in
	 * odp_domain_set_fault_model()): a fault may see half of a new
	 * model, which delays it by some value between the two.
	 */
	struct odp_fault_model fault_model;
	refcount_t refs;
	char name[ODP_NAME_MAX];
};

/* Invalidations of one mm at a time for which no memory is needed */
#define ODP_INVALS		16

/**
 * struct odp_inval - an invalidation that has begun and not ended
 * @node: in omm->invals
 * @range: what the mm calls it by; its address is all that is used
 * @start: first byte
 * @last: last byte
 */
struct odp_inval {
	struct list_head node;
	const struct mmu_notifier_range *range;
	unsigned long start;
	unsigned long last;
};

/**
 * struct odp_mm - what the spaces of one mm share
 * @refs: see DOC: Locking
 * @mm: whose; held by mmgrab()
 * @pid: of the process that was the first to want it, for trace points
 * @node: in the table of these, by @mm
 * @notifier: tells when an invalidation ends, and asks what is young
 * @spaces: of the domains that use the mm; changed under spaces_lock, read
 *	under RCU
 * @inval_lock: @invals, @inval_free
 * @invals: invalidations under way of which some child was told
 * @inval_free: those of @inval_slots that are not in use
 * @inval_slots: the first ones
 * @inval_wait: for one of them to end
 * @lost: there may be invalidations under way that are not in @invals; once
 *	set it stays (READ_ONCE, WRITE_ONCE): see odp_inval_begin()
 * @listen_mutex: @registered, over mmap_lock
 * @registered: @notifier is
 * @listens: so it is, and the mm has had an interval notifier: one more needs
 *	no mmap_lock (READ_ONCE, WRITE_ONCE)
 * @user: whose workers
 * @work_lock: innermost, but for siglock; process context only
 * @active: works that the workqueue of @user has
 * @waiting: works for which there is no room there; both under @work_lock
 * @recalls: workers that may wait for a page, and hold mm_users
 * @nr_recalls: of them
 * @orphaned: nobody but these uses the mm any more; all three under @work_lock
 * @prefetches: of asynchronous prefetches, under way or queued
 * @release_work: runs when @refs is 0
 */
struct odp_mm {
	refcount_t refs;
	struct mm_struct *mm;
	pid_t pid;
	struct hlist_node node;
	struct mmu_notifier notifier;
	struct list_head spaces;
	/* See above */
	spinlock_t inval_lock;
	struct list_head invals;
	struct list_head inval_free;
	struct odp_inval inval_slots[ODP_INVALS];
	wait_queue_head_t inval_wait;
	bool lost;
	/* See above */
	struct mutex listen_mutex;
	bool registered;
	bool listens;
	struct odp_user *user;
	/* See above */
	spinlock_t work_lock;
	unsigned int active;
	struct list_head waiting;
	struct list_head recalls;
	unsigned int nr_recalls;
	bool orphaned;
	atomic_t prefetches;
	struct work_struct release_work;
};

/**
 * struct odp_space - the shadow of one mm for one domain
 * @leaves: struct odp_leaf by va >> ODP_LEAF_SHIFT; read under RCU
 * @children: struct odp_child by va >> ODP_CHILD_SHIFT; read under RCU
 * @domain: referenced
 * @mm: whose memory; that of @omm, NULL in the space of a static region
 * @omm: referenced; NULL likewise
 * @memcg: charged for leaves and children
 * @table: of the driver, where the domain is of hardware
 * @refs: see DOC: Locking
 * @live_children: children not yet detached
 * @closing: @refs is 0
 * @regions_lock: @regions, and what counts in them; nothing below it
 * @regions: by their bounds, for what happens to their memory
 * @implicit: of them, those that are everything; (READ_ONCE, WRITE_ONCE)
 * @inval_events: numbers invalidations
 * @mm_node: in omm->spaces
 * @node: among all spaces that have a mm
 * @gc_work: frees leaves marked LEAF_MARK_EMPTY
 * @age_work: frees leaves that no region covers
 * @release_work: frees it where nobody may wait
 * @rcu: frees it
 */
struct odp_space {
	struct xarray leaves;
	struct xarray children;
	struct odp_domain *domain;
	struct mm_struct *mm;
	struct odp_mm *omm;
	struct mem_cgroup *memcg;
	void *table;
	refcount_t refs;
	atomic_t live_children;
	bool closing;
	/* See above */
	spinlock_t regions_lock;
	struct rb_root_cached regions;
	unsigned int implicit;
	u64 inval_events;
	struct list_head mm_node;
	struct list_head node;
	struct delayed_work gc_work;
	struct delayed_work age_work;
	struct work_struct release_work;
	struct rcu_head rcu;
};

/* Counters of a region; see struct odp_stats */
struct odp_region_counters {
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
};

/**
 * struct odp_region - a window on a space
 * @space: referenced
 * @start: first byte
 * @last: last byte
 * @flags: enum odp_region_flags
 * @gone: no access begins under it any more (READ_ONCE, WRITE_ONCE). All above
 *	is what an access reads, and never written but for this
 * @busy: who works in it (not who waits for pages), and REGION_DYING
 * @refs: references of the driver
 * @itn: in space->regions, where it is not static
 * @inval_event: the last one that was counted in it; under regions_lock
 * @name: see odp_region_set_name() (READ_ONCE, WRITE_ONCE)
 * @count: counters
 */
struct odp_region {
	struct odp_space *space;
	u64 start;
	u64 last;
	u32 flags;
	bool gone;
	atomic_t busy ____cacheline_aligned_in_smp;
	refcount_t refs;
	struct interval_tree_node itn;
	u64 inval_event;
	u32 name;
	struct odp_region_counters count;
};

/**
 * struct odp_child - an aligned 1 GiB span of a space
 * @interval_sub: what tells us of invalidations in the span
 * @space: parent
 * @index: in space->children
 * @start: first byte
 * @last: last byte, clipped to the address space
 * @refs: leaves, and faults about to make one
 * @made: leaves that there are, or were; set before a leaf can be found. What
 *	goes beside all of them costs no search
 * @sure: of all invalidations that go on in the span we have been told
 *	(release, acquire): see odp_child_wait()
 * @destroy_work: runs when @refs is 0
 * @rcu: frees it
 */
struct odp_child {
	struct mmu_interval_notifier interval_sub;
	struct odp_space *space;
	unsigned long index;
	unsigned long start;
	unsigned long last;
	refcount_t refs;
	DECLARE_BITMAP(made, ODP_CHILD_LEAVES);
	bool sure;
	struct work_struct destroy_work;
	struct rcu_head rcu;
};

/**
 * struct odp_leaf - an aligned 2 MiB span of a space
 * @state: LEAF_ZAPPING, LEAF_DEAD; written under @leaf_mutex (WRITE_ONCE), read
 *	by accesses, which go on only if it is 0. LEAF_DEVICE from the start
 * @young: a bit for each 64 KiB that was accessed since the mm last asked
 * @owed: a bit for each page: its bit of @young was taken when the mm asked for
 *	another page, and is still to be told of this one
 * @huge_entry: when not 0, entry of page 0 of 512 contiguous pages
 * @table: address of the entries, and LEAF_TABLE_SMALL; 0 until the first is
 *	needed; while @huge_entry is set they are not looked at. Goes from
 *	nothing to @small to a page, or to a page at once (WRITE_ONCE under
 *	@leaf_mutex), which is freed with the leaf. Entries are written under
 *	@leaf_mutex, with WRITE_ONCE; set at any time, cleared when no access
 *	is in flight. Read by who has an access.
 * @index: in space->leaves
 * @space: parent; an access finds out whether a hint is right
 * @small_first: page of small[0]; does not change once @table is @small
 * @idle: no region covered it when somebody last looked
 * @around_next: page that follows the last one a fault mapped
 * @around_pages: how far beyond its needs the next sequential fault may go.
 *	Both are hints, read and written without a lock (READ_ONCE, WRITE_ONCE)
 * @child: who tells of invalidations; NULL in a static region
 * @refs: see DOC: Locking
 * @present: pages that have an entry; written under @leaf_mutex (WRITE_ONCE),
 *	a fault takes a hint from it without (READ_ONCE)
 * @inval_count: invalidations of some of this leaf; written under
 *	@leaf_mutex, sampled without it (WRITE_ONCE, READ_ONCE)
 * @leaf_mutex: serialises commit, invalidation and unlinking. Taken in
 *	notifier callbacks, by the rules of DOC: Locking.
 * @iova: of a device: DMA addresses for its pages, if it has a range of them;
 *	under @leaf_mutex, and until LEAF_DEAD: see dma.c
 * @rcu: frees it
 * @small: an aligned run of entries, for who touches a page here and there
 */
struct odp_leaf {
	unsigned int state;
	atomic_t young;
	unsigned long huge_entry;
	unsigned long table;
	unsigned long index;
	struct odp_space *space;
	u16 small_first;
	bool idle;
	u16 around_next;
	u16 around_pages;
	struct odp_child *child;
	refcount_t refs;
	unsigned int present;
	unsigned long inval_count;
	/* Commit, invalidation, unlinking; see above and DOC: Locking */
	struct mutex leaf_mutex;
	union {
		struct dma_iova_state iova;
		struct rcu_head rcu;
	};
	atomic_long_t owed[ODP_LEAF_PAGES / BITS_PER_LONG];
	unsigned long small[LEAF_SMALL_PAGES];
};

/* Add to a counter of a domain */
#define odp_domain_count(domain, counter, n)				\
	this_cpu_add((domain)->stats->counter, (n))

/* Add to a counter of a region and of its domain */
#define odp_count(region, counter, n)					\
	do {								\
		struct odp_region *count_region = (region);		\
		s64 count_n = (n);					\
									\
		atomic64_add(count_n, &count_region->count.counter);	\
		odp_domain_count(count_region->space->domain, counter,	\
				 count_n);				\
	} while (0)

/**
 * struct odp_zap - what an invalidation takes from one leaf
 * @base: address of the leaf's first byte
 * @from: first page
 * @to: page after the last one
 * @downgrade: leave the pages readable
 * @blockable: may wait
 * @nr: pages that it changed
 * @pages: which
 */
struct odp_zap {
	unsigned long base;
	unsigned int from;
	unsigned int to;
	bool downgrade;
	bool blockable;
	unsigned int nr;
	DECLARE_BITMAP(pages, ODP_LEAF_PAGES);
};

/* main.c */
extern struct workqueue_struct *odp_gc_wq;
extern struct workqueue_struct *odp_release_wq;

/**
 * struct odp_recall - a worker that may wait for a page of a region
 * @node: in omm->recalls
 * @task: the worker; NULL: not a worker, and not in there
 * @region: referenced by whoever faults
 */
struct odp_recall {
	struct list_head node;
	struct task_struct *task;
	struct odp_region *region;
};

/* recall.c */
bool odp_recall_begin(struct odp_region *region, struct odp_recall *recall);
void odp_recall_end(struct odp_recall *recall);
void odp_recall_all(struct odp_region *region);

/* region.c */
void odp_region_wake(struct odp_region *region);

/**
 * odp_region_leave() - done in a region, or about to wait for something
 * @region: entered before
 *
 * Context: Any.
 */
static __always_inline void odp_region_leave(struct odp_region *region)
{
	int left = atomic_dec_return(&region->busy);

	/* It may be freed from here on; its address is still a key */
	if (unlikely(left & REGION_DYING) && !(left & REGION_COUNT))
		odp_region_wake(region);
}

/**
 * odp_region_enter() - begin to work in a region
 * @region: which
 *
 * Context: Any.
 * Return: 0, or -ESRCH when it is being destroyed.
 */
static __always_inline int odp_region_enter(struct odp_region *region)
{
	/* Pairs with atomic_fetch_or() in odp_region_destroy() */
	if (likely(!(atomic_inc_return(&region->busy) & REGION_DYING)))
		return 0;
	odp_region_leave(region);
	return -ESRCH;
}

/* Is a range inside a region; an empty one always is */
static __always_inline bool
odp_region_covers(const struct odp_region *region, u64 va, u64 len)
{
	if (!len)
		return true;
	return va >= region->start && va <= region->last &&
	       len - 1 <= region->last - va;
}

static inline bool odp_region_is_dying(const struct odp_region *region)
{
	return atomic_read(&region->busy) & REGION_DYING;
}

/* Whose memory, for trace points; 0: no process' */
static inline pid_t odp_space_pid(const struct odp_space *space)
{
	return space->omm ? space->omm->pid : 0;
}

/* mm.c */
struct odp_mm *odp_mm_get(void);
void odp_mm_hold(struct odp_mm *omm);
void odp_mm_put(struct odp_mm *omm);
int odp_mm_listen(struct odp_mm *omm);
void odp_inval_begin(struct odp_mm *omm,
		     const struct mmu_notifier_range *range);
bool odp_inval_overlaps(struct odp_mm *omm, unsigned long start,
			unsigned long last);
void odp_inval_wait(struct odp_mm *omm, unsigned long start,
		    unsigned long last);
void odp_mms_wait(void);

/* pool.c */
int odp_pool_init(struct odp_mm *omm);
void odp_pool_exit(struct odp_mm *omm);

/**
 * struct odp_numa - the memory policy that a worker has for a while
 * @policy: the process'
 * @old: its own
 * @used: it has
 */
struct odp_numa {
	struct mempolicy policy;
	struct mempolicy *old;
	bool used;
};

/* numa.c */
#ifdef CONFIG_NUMA
void odp_numa_begin(struct odp_numa *numa, struct mm_struct *mm);
void odp_numa_end(struct odp_numa *numa);
int odp_numa_node(struct mm_struct *mm);
#else
static inline void odp_numa_begin(struct odp_numa *numa, struct mm_struct *mm)
{
}

static inline void odp_numa_end(struct odp_numa *numa)
{
}

static inline int odp_numa_node(struct mm_struct *mm)
{
	return NUMA_NO_NODE;
}
#endif

/* space.c */
struct odp_space *odp_space_create_static(struct odp_domain *domain);
void odp_space_put_later(struct odp_space *space);
void odp_space_add_region(struct odp_space *space, struct odp_region *region);
void odp_space_remove_region(struct odp_space *space,
			     struct odp_region *region);
void odp_space_count_inval(struct odp_space *space, u64 *event,
			   const struct odp_zap *zap);
bool odp_space_age(struct odp_space *space, unsigned long start,
		   unsigned long last, bool clear);
void odp_space_touch(struct odp_space *space, unsigned long start,
		     unsigned long last);
int odp_space_init(void);
void odp_space_exit(void);

/* child.c */
struct odp_child *odp_child_get(struct odp_space *space, unsigned long index,
				gfp_t gfp);
void odp_child_put(struct odp_child *child);
void odp_child_put_sync(struct odp_child *child);
void odp_child_wait(struct odp_child *child);
void odp_child_wait_all(struct odp_space *space);

/* leaf.c */
int odp_leaf_cache_init(void);
void odp_leaf_cache_exit(void);
struct odp_leaf *odp_leaf_get(struct odp_space *space, unsigned long index,
			      gfp_t gfp);
struct odp_leaf *odp_leaf_find(struct odp_space *space, unsigned long *index,
			       unsigned long last);
void odp_leaf_put(struct odp_leaf *leaf);
void odp_leaf_unlink_all(struct odp_space *space);
bool odp_leaf_take_idle(struct odp_leaf *leaf);
long odp_leaf_count(void);
void odp_leaf_mark_empty(struct odp_space *space, unsigned long index);
void odp_leaf_gc_work(struct work_struct *work);
void odp_leaf_lockdep_teach(void);

/* Does hardware use it, and not the CPU */
static inline bool odp_space_is_device(const struct odp_space *space)
{
	return space->domain->device.dev;
}

/* dma.c */
bool odp_dma_is_direct(struct device *dev);
void odp_dma_prepare(struct odp_leaf *leaf);
void odp_dma_release(struct odp_leaf *leaf);
int odp_dma_sync(struct odp_leaf *leaf, unsigned int page, unsigned int nr);
unsigned long odp_dma_map(struct odp_leaf *leaf, unsigned int page,
			  unsigned long pfn, unsigned int order,
			  unsigned long rights);
void odp_dma_unmap(struct odp_leaf *leaf, unsigned int page,
		   const unsigned long *entries, unsigned int nr,
		   unsigned int order);

/* device.c */
int odp_device_check(const struct odp_device *device);
int odp_device_open(struct odp_space *space);
void odp_device_close(struct odp_space *space);
int odp_device_commit(struct odp_fault *fault);
bool odp_device_zap(struct odp_leaf *leaf, struct odp_zap *zap);
void odp_device_release(struct odp_leaf *leaf);

/* table.c */
unsigned long odp_table_alloc(struct odp_space *space, gfp_t gfp);
void odp_table_free(unsigned long table);
bool odp_table_needed(const struct odp_leaf *leaf, unsigned int first,
		      unsigned int end);
void odp_table_use(struct odp_leaf *leaf, unsigned int first,
		   unsigned int end, unsigned long *fresh);
unsigned long *odp_table_entries(const struct odp_leaf *leaf,
				 unsigned int *from, unsigned int *to);
unsigned long odp_table_set(struct odp_leaf *leaf, unsigned int page,
			    unsigned long entry);
void odp_table_zap(struct odp_leaf *leaf, struct odp_zap *zap);
void odp_table_clear(struct odp_leaf *leaf);

/* invalidate.c */
bool odp_leaf_close(struct odp_leaf *leaf, bool blockable);
void odp_leaf_reopen(struct odp_leaf *leaf);
extern const struct mmu_interval_notifier_ops odp_child_ops;

/* fault.c */
#define ODP_SCRATCH_BYTES	(ODP_LEAF_PAGES * sizeof(unsigned long))

/**
 * struct odp_fault - a fault in one leaf, as it goes
 * @region: where
 * @leaf: where; referenced
 * @mm: of the region; mm_users held
 * @look: what hmm is told to watch; nothing happens to it, for what does
 *	matter is asked elsewhere: see commit_is_stale()
 * @pfns: private scratch, one per page of the leaf, filled by hmm
 * @vma: one that covers the last page needed; valid while @locked
 * @base: address of the leaf's first byte
 * @first: first page needed
 * @last: page after the last one needed
 * @end: page after the last one that is welcome (fault-around)
 * @tried: address whose fault was told to retry, to do it the patient way
 * @waited: page whose fault was the last to drop mmap_lock
 * @reached: page after the last one in the leaf that was waited for
 * @deadline: with ODP_FAULT_BRIEF, when what is there has to do, in ns
 * @flags: enum odp_fault_flags
 * @write: @flags has ODP_FAULT_WRITE
 * @missed: some of what is needed had no entry
 * @entered: counted in region->busy
 * @locked: mmap_lock is held
 * @whole: the leaf is one mapping of the CPU's, only pfns[@first] is filled
 * @mapped: with @whole, bytes of that mapping
 * @blank: the CPU maps nothing here, only pfns[@first] says so yet
 * @incomplete: there was a snapshot after all was handled, and pages missing
 * @narrowed: @last was moved down, because the range keeps changing or it
 *	has taken long enough
 * @populated: handle_mm_fault() was called since the last snapshot
 * @disturbed: an invalidation of what is needed goes on: wait for it, without
 *	mmap_lock, before the next round
 * @sampled: @inval_count is from before this round, and stays
 * @apart: an invalidation of some of the leaf goes on: no huge entry
 * @read_only: some of it is memory that may not be written, whatever it looks
 *	like
 * @inval_count: of the leaf, sampled before the snapshot
 * @pages: pages committed
 * @huge: huge entries committed
 */
struct odp_fault {
	struct odp_region *region;
	struct odp_leaf *leaf;
	struct mm_struct *mm;
	struct mmu_interval_notifier look;
	unsigned long *pfns;
	struct vm_area_struct *vma;
	unsigned long base;
	unsigned int first;
	unsigned int last;
	unsigned int end;
	unsigned long tried;
	unsigned int waited;
	unsigned int reached;
	u64 deadline;
	u32 flags;
	bool write;
	bool missed;
	bool entered;
	bool locked;
	bool whole;
	bool blank;
	bool incomplete;
	bool narrowed;
	bool populated;
	bool disturbed;
	bool sampled;
	bool apart;
	bool read_only;
	unsigned long inval_count;
	unsigned long mapped;
	unsigned long pages;
	unsigned int huge;
};

/* What the core itself needs: who may not wait does not reclaim for it */
static inline gfp_t odp_fault_gfp(const struct odp_fault *fault)
{
	return fault->flags & ODP_FAULT_NOWAIT ? GFP_NOWAIT | __GFP_NOWARN :
						  GFP_KERNEL;
}

/*
 * Take leaf_mutex. Who takes pages from a device has it until the device has come
 * to an end, which takes longer than a copy: that is not for who may not wait.
 */
static inline bool odp_fault_lock_leaf(const struct odp_fault *fault)
{
	struct odp_leaf *leaf = fault->leaf;

	if ((fault->flags & ODP_FAULT_NOWAIT) &&
	    odp_space_is_device(leaf->space))
		return mutex_trylock(&leaf->leaf_mutex);
	mutex_lock(&leaf->leaf_mutex);
	return true;
}

static inline bool odp_fault_is_late(const struct odp_fault *fault)
{
	return (fault->flags & ODP_FAULT_BRIEF) &&
	       ktime_get_ns() > fault->deadline;
}

int odp_fault_init(void);
void odp_fault_exit(void);

/* populate.c */
int odp_fault_check_vmas(struct odp_fault *fault);
int odp_fault_populate(struct odp_fault *fault);
int odp_fault_snapshot(struct odp_fault *fault);
void odp_fault_take_folio(struct odp_fault *fault);

/* commit.c */
bool odp_fault_complete(const struct odp_fault *fault);
int odp_fault_check(const struct odp_fault *fault);
int odp_fault_commit(struct odp_fault *fault);

/* stats.c */
void odp_domain_put(struct odp_domain *domain);
void odp_stats_latency(struct odp_domain *domain, u64 ns);
bool odp_fault_model_on(struct odp_domain *domain);
void odp_fault_model_delay(struct odp_domain *domain, unsigned long pages);

#endif /* ODP_CORE_H */
