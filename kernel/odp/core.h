/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * core.h - what the files of rdma_odp.ko share
 *
 * odp.h has the vocabulary. One name, one thing: interval_sub is always
 * the subscription to the mm's notifiers that a child owns.
 */
#ifndef ODP_CORE_H
#define ODP_CORE_H

#include <linux/bits.h>
#include <linux/lockdep.h>
#include <linux/hash.h>
#include <linux/io.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <rdma/odp.h>

#include "../compat/compat.h"

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
 *         locks of folio_mark_dirty(), xa_lock of leaves and children
 *     child->inval_lock (nothing below it)
 *
 * leaf_mutex is taken by the invalidate callback, which reclaim may call:
 * under it nobody allocates with reclaim, takes mmap_lock, or faults.
 *
 * An access is a count in leaf->accesses. It is not a lock, but who holds one
 * keeps an invalidation, and so perhaps reclaim, waiting: between
 * odp_access_begin() and odp_access_end() nothing sleeps, takes mmap_lock,
 * takes a leaf_mutex or allocates with reclaim. Lockdep is taught that at
 * module load (lockdep_teach()), with the map that both sides acquire.
 *
 * Two accesses may be held at once, in any order: an access never waits, it
 * backs off with -EAGAIN.
 *
 * Lifetimes::
 *
 *   domain  refs: the driver's, and one of each region.
 *   pool    refs: one of each region of its mm, the driver's, and one of
 *           each work from when it is queued until it has ended. The last
 *           one leaves the rest to odp_gc_wq: with the last pool of a user
 *           goes his workqueue, which waits for its workers.
 *   region  refs: the driver's, by odp_region_get() and odp_region_put(),
 *           and one of each queued prefetch.
 *           busy: who works in it; destroy waits for them. A fault leaves it
 *           before it calls handle_mm_fault(), which may wait for a page
 *           for ever (userfaultfd, FUSE), and for one that is served by the
 *           very process whose exit called odp_region_destroy().
 *   child   refs: one of each of its leaves, one of each fault creating a
 *           leaf. The last one destroys it, from a workqueue, never from
 *           a notifier callback. odp_region_destroy() detaches it before
 *           that: what is referenced then is memory only.
 *   leaf    refs: one of region->leaves, one of each fault, invalidation or
 *           collection using it. Freed by RCU. LEAF_DEAD is set, under
 *           leaf_mutex, when it leaves region->leaves.
 */

#define ODP_LEAF_PAGES		(1U << (ODP_LEAF_SHIFT - PAGE_SHIFT))
#define ODP_LEAF_ORDER		(ODP_LEAF_SHIFT - PAGE_SHIFT)

/* An entry is the page's physical address and what the device may do */
#define ODP_ENTRY_READ		BIT(0)
#define ODP_ENTRY_WRITE	BIT(1)
#define ODP_ENTRY_FLAGS	(ODP_ENTRY_READ | ODP_ENTRY_WRITE)

/* leaf->accesses: a count of accesses in flight, and these */
#define LEAF_ZAPPING		BIT(30)	/* an invalidation waits or zaps */
#define LEAF_DEAD		BIT(29)	/* unlinked */
#define LEAF_CLOSED		(LEAF_ZAPPING | LEAF_DEAD)
#define LEAF_COUNT		(LEAF_DEAD - 1)

/* Leaves that may be empty, for the collector */
#define LEAF_MARK_EMPTY		XA_MARK_0

/* region->busy: a count of who works in it, and this */
#define REGION_DYING		BIT(30)
#define REGION_COUNT		(REGION_DYING - 1)

/* Leaves that were accessed last, by a hash of their index */
#define ODP_HINT_BITS		4

/* A leaf emptied this long ago may be freed: zap and refault do not churn */
#define ODP_GC_DELAY		msecs_to_jiffies(200)

struct pool_user;

struct odp_domain {
	struct odp_stats stats;
	atomic64_t fault_buckets[ODP_FAULT_BUCKETS];
	/*
	 * Read without a lock by faults (READ_ONCE, pairs with WRITE_ONCE in
	 * odp_domain_set_fault_model()): a fault may see half of a new
	 * model, which delays it by some value between the two.
	 */
	struct odp_fault_model fault_model;
	refcount_t refs;
	char name[64];
};

/**
 * struct odp_pool - the workers that wait for the pages of one mm
 * @refs: see DOC: Locking
 * @mm: whose; held by mmgrab()
 * @node: in the table of pools, by @mm
 * @user: whose workers
 * @work_lock: innermost, but for siglock; process context only
 * @active: works that the workqueue of @user has
 * @waiting: works for which there is no room there; both under @work_lock
 * @recalls: workers that may wait for a page, and hold mm_users
 * @nr_recalls: of them
 * @orphaned: nobody but these uses the mm any more; all three under @work_lock
 * @prefetches: of asynchronous prefetches, under way or queued
 * @listens: the mm has had an interval notifier, so that one more needs no
 *	mmap_lock (READ_ONCE, WRITE_ONCE)
 * @quiet_seq: no invalidation of the mm that gave a child this sequence or an
 *	older one is in progress: see odp_child_try_seq() (release, acquire)
 * @release_work: runs when @refs is 0
 */
struct odp_pool {
	refcount_t refs;
	struct mm_struct *mm;
	struct hlist_node node;
	struct pool_user *user;
	/* See above */
	spinlock_t work_lock;
	unsigned int active;
	struct list_head waiting;
	struct list_head recalls;
	unsigned int nr_recalls;
	bool orphaned;
	atomic_t prefetches;
	bool listens;
	unsigned long quiet_seq;
	struct work_struct release_work;
};

/**
 * struct odp_region - a range of one mm, or pages that do not move
 * @leaves: struct odp_leaf by va >> ODP_LEAF_SHIFT; read under RCU
 * @children: struct odp_child by va >> ODP_CHILD_SHIFT; read under RCU
 * @hints: leaves that need not be looked up in @leaves. Set while an access
 *	to the leaf is held, cleared when no access to it can begin any more,
 *	before it is freed by RCU (READ_ONCE, WRITE_ONCE, cmpxchg).
 * @domain: what it is counted in
 * @start: first byte
 * @last: last byte
 * @flags: enum odp_region_flags
 * @is_static: filled by odp_region_add_pages(), has no mm
 * @busy: who works in it (not who waits for pages), and REGION_DYING
 * @live_children: children not yet detached
 * @refs: references of the driver
 * @mm: whose memory; held by mmgrab(), NULL if static
 * @pool: of @mm; referenced, NULL if static
 * @memcg: charged for leaves and children
 * @gc_work: frees leaves marked LEAF_MARK_EMPTY
 * @stats: counters
 */
struct odp_region {
	struct xarray leaves;
	struct xarray children;
	struct odp_leaf *hints[1 << ODP_HINT_BITS];
	struct odp_domain *domain;
	u64 start;
	u64 last;
	u32 flags;
	bool is_static;
	atomic_t busy;
	atomic_t live_children;
	refcount_t refs;
	struct mm_struct *mm;
	struct odp_pool *pool;
	struct mem_cgroup *memcg;
	struct delayed_work gc_work;
	struct odp_stats stats;
};

#define ODP_INVAL_UNKNOWN	((const struct task_struct *)ERR_PTR(-EBUSY))

/**
 * struct odp_child - an aligned 1 GiB span of a region
 * @interval_sub: what tells us of invalidations in the span
 * @region: parent
 * @index: in region->children
 * @start: first byte, page aligned, clipped to the region
 * @last: last byte
 * @refs: leaves, and faults about to make one
 * @inval_lock: @inval_by, and the writing of the sequence in @interval_sub. A
 *	leaf lock, taken in notifier callbacks and by faults.
 * @inval_by: who has invalidated in the span since it was known that nobody
 *	does; NULL nobody, ODP_INVAL_UNKNOWN several, or it is not known
 * @detached: @interval_sub is removed; written by who has the last reference,
 *	or by odp_region_destroy()
 * @destroy_work: runs when @refs is 0
 * @rcu: frees it
 */
struct odp_child {
	struct mmu_interval_notifier interval_sub;
	struct odp_region *region;
	unsigned long index;
	unsigned long start;
	unsigned long last;
	refcount_t refs;
	bool detached;
	/* See @inval_by */
	spinlock_t inval_lock;
	const struct task_struct *inval_by;
	struct work_struct destroy_work;
	struct rcu_head rcu;
};

/**
 * struct odp_leaf - an aligned 2 MiB span of a region
 * @accesses: accesses in flight, LEAF_ZAPPING, LEAF_DEAD
 * @around_next: page that follows the last one a fault mapped
 * @around_pages: how far beyond its needs the next sequential fault may go.
 *	Both are hints, read and written without a lock (READ_ONCE, WRITE_ONCE)
 * @huge_entry: when not 0, entry of page 0 of 512 contiguous pages
 * @table: 512 entries, NULL until the first is needed; while @huge_entry is
 *	set it is not looked at. Set once (cmpxchg), freed with the leaf.
 *	Entries are written under @leaf_mutex, with WRITE_ONCE; set at any
 *	time, cleared when no access is in flight. Read by who has an access.
 * @index: in region->leaves
 * @child: who tells of invalidations; NULL in a static region
 * @refs: see DOC: Locking
 * @present: pages that have an entry; written under @leaf_mutex (WRITE_ONCE),
 *	a fault takes a hint from it without (READ_ONCE)
 * @inval_count: invalidations of some of this leaf; written under
 *	@leaf_mutex, sampled without it (WRITE_ONCE, READ_ONCE)
 * @leaf_mutex: serialises commit, invalidation and unlinking. Taken in
 *	notifier callbacks, by the rules of DOC: Locking.
 * @rcu: frees it
 */
struct odp_leaf {
	atomic_t accesses;
	u16 around_next;
	u16 around_pages;
	unsigned long huge_entry;
	unsigned long *table;
	unsigned long index;
	struct odp_child *child;
	refcount_t refs;
	unsigned int present;
	unsigned long inval_count;
	/* Commit, invalidation, unlinking; see above and DOC: Locking */
	struct mutex leaf_mutex;
	struct rcu_head rcu;
};

#define odp_count(region, counter, n)					\
	do {								\
		struct odp_region *count_region = (region);		\
		s64 count_n = (n);					\
									\
		atomic64_add(count_n, &count_region->stats.counter);	\
		atomic64_add(count_n,					\
			     &count_region->domain->stats.counter);	\
	} while (0)

/* main.c */
extern struct workqueue_struct *odp_gc_wq;
extern struct lockdep_map odp_accessor_map;

/**
 * struct odp_recall - a worker that may wait for a page of a region
 * @node: in pool->recalls
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

/* A hash: buffers are often a power of two apart */
static __always_inline struct odp_leaf **
odp_region_hint(struct odp_region *region, unsigned long index)
{
	return &region->hints[hash_long(index, ODP_HINT_BITS)];
}

/* child.c */
struct odp_child *odp_child_get(struct odp_region *region,
				unsigned long index, gfp_t gfp);
void odp_child_put(struct odp_child *child);
void odp_child_put_sync(struct odp_child *child);
void odp_child_detach_all(struct odp_region *region);
void odp_child_set_seq(struct odp_child *child, unsigned long seq);
bool odp_child_try_seq(struct odp_child *child, unsigned long *seq);
void odp_child_wait_seq(struct odp_child *child);

/* leaf.c */
int odp_leaf_cache_init(void);
void odp_leaf_cache_exit(void);
struct odp_leaf *odp_leaf_get(struct odp_region *region,
			      unsigned long index, gfp_t gfp);
struct odp_leaf *odp_leaf_find(struct odp_region *region,
			       unsigned long *index, unsigned long last);
void odp_leaf_put(struct odp_leaf *leaf);
int odp_leaf_add_table(struct odp_region *region, struct odp_leaf *leaf,
		       gfp_t gfp);
void odp_leaf_unlink_all(struct odp_region *region);
void odp_leaf_mark_empty(struct odp_region *region, unsigned long index);
void odp_leaf_gc_work(struct work_struct *work);
void odp_leaf_lockdep_teach(void);

/**
 * odp_leaf_entry() - the entry of one page
 * @leaf: an access to it is held, or its leaf_mutex
 * @va: some byte of the page
 *
 * Return: the entry, 0 if there is none.
 */
static __always_inline unsigned long
odp_leaf_entry(const struct odp_leaf *leaf, unsigned long va)
{
	/* Pairs with WRITE_ONCE in commit_huge() and leaf_zap() */
	unsigned long entry = READ_ONCE(leaf->huge_entry);
	const unsigned long *table;

	if (entry)
		return entry + (va & (ODP_LEAF_SIZE - 1) & PAGE_MASK);
	/* Pairs with cmpxchg in odp_leaf_add_table(), by the dependency */
	table = READ_ONCE(leaf->table);
	if (!table)
		return 0;
	return READ_ONCE(table[(va >> PAGE_SHIFT) & (ODP_LEAF_PAGES - 1)]);
}

/* access.c */
void odp_access_wake(struct odp_leaf *leaf);
struct odp_leaf *odp_access_lookup(struct odp_region *region,
				   unsigned long index);

/* A value-returning atomic: everything done in the access comes before it */
static __always_inline void odp_access_uncount(struct odp_leaf *leaf)
{
	int left = atomic_dec_return(&leaf->accesses);

	/* The leaf may be freed from here on; its address is still a key */
	if (unlikely(left & LEAF_CLOSED) && !(left & LEAF_COUNT))
		odp_access_wake(leaf);
}

/**
 * odp_access_hold() - open an access to a leaf
 * @region: where
 * @index: of the leaf in region->leaves
 *
 * Context: Any in which nothing forbids a copy; never sleeps. On success the
 * rules of DOC: Locking hold until odp_access_drop().
 * Return: the leaf, NULL if there is none or it is being invalidated.
 */
static __always_inline struct odp_leaf *
odp_access_hold(struct odp_region *region, unsigned long index)
{
	struct odp_leaf *leaf;

	/* As good as rcu_read_lock(), and inline */
	rcu_read_lock_sched();
	/* Pairs with WRITE_ONCE in odp_access_lookup() */
	leaf = READ_ONCE(*odp_region_hint(region, index));
	if (unlikely(!leaf || leaf->index != index)) {
		leaf = odp_access_lookup(region, index);
	} else if (unlikely(atomic_inc_return(&leaf->accesses) & LEAF_CLOSED)) {
		/*
		 * Fully ordered: entries are read after it. Pairs with
		 * atomic_fetch_or() in leaf_close() and leaf_unlink_locked().
		 */
		odp_access_uncount(leaf);
		leaf = NULL;
	}
	rcu_read_unlock_sched();
	if (leaf)
		lock_map_acquire_read(&odp_accessor_map);
	return leaf;
}

/* End what odp_access_hold() began */
static __always_inline void odp_access_drop(struct odp_leaf *leaf)
{
	lock_map_release(&odp_accessor_map);
	odp_access_uncount(leaf);
}

/* invalidate.c */
extern const struct mmu_interval_notifier_ops odp_child_ops;

/* fault.c */
#define ODP_SCRATCH_BYTES	(ODP_LEAF_PAGES * sizeof(unsigned long))

/**
 * struct odp_fault - a fault in one leaf, as it goes
 * @region: where
 * @leaf: where; referenced
 * @mm: of the region; mm_users held
 * @pfns: private scratch, one per page of the leaf, filled by hmm
 * @vma: one that covers the last page needed; valid while @locked
 * @base: address of the leaf's first byte
 * @first: first page needed
 * @last: page after the last one needed
 * @end: page after the last one that is welcome (fault-around)
 * @tried: address whose fault was told to retry, to do it the patient way
 * @deadline: with ODP_FAULT_BRIEF, when what is there has to do, in ns
 * @flags: enum odp_fault_flags
 * @write: @flags has ODP_FAULT_WRITE
 * @entered: counted in region->busy
 * @locked: mmap_lock is held
 * @whole: the leaf is one mapping of the CPU's, only pfns[@first] is filled
 * @blank: the CPU maps nothing here, only pfns[@first] says so yet
 * @incomplete: there was a snapshot after all was handled, and pages missing
 * @narrowed: @last was moved down, because the range keeps changing or it
 *	has taken long enough
 * @populated: handle_mm_fault() was called since the last snapshot
 * @disturbed: an invalidation of the child's span may be in progress: wait
 *	for it without mmap_lock before the next round
 * @interval_seq: of the snapshot
 * @inval_count: of the leaf, sampled before @interval_seq
 * @pages: pages committed
 * @huge: huge entries committed
 */
struct odp_fault {
	struct odp_region *region;
	struct odp_leaf *leaf;
	struct mm_struct *mm;
	unsigned long *pfns;
	struct vm_area_struct *vma;
	unsigned long base;
	unsigned int first;
	unsigned int last;
	unsigned int end;
	unsigned long tried;
	u64 deadline;
	u32 flags;
	bool write;
	bool entered;
	bool locked;
	bool whole;
	bool blank;
	bool incomplete;
	bool narrowed;
	bool populated;
	bool disturbed;
	unsigned long interval_seq;
	unsigned long inval_count;
	unsigned long pages;
	unsigned int huge;
};

/* What the core itself needs: who may not wait does not reclaim for it */
static inline gfp_t odp_fault_gfp(const struct odp_fault *fault)
{
	return fault->flags & ODP_FAULT_NOWAIT ? GFP_NOWAIT | __GFP_NOWARN :
						  GFP_KERNEL;
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

/* commit.c */
bool odp_fault_complete(const struct odp_fault *fault);
int odp_fault_commit(struct odp_fault *fault);

/* stats.c */
void odp_domain_put(struct odp_domain *domain);
void odp_stats_latency(struct odp_domain *domain, u64 ns);
bool odp_fault_model_on(struct odp_domain *domain);
void odp_fault_model_delay(struct odp_domain *domain, unsigned long pages);

#endif /* ODP_CORE_H */
